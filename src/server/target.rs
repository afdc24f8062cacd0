//! What a request is about: the service, a bucket, or an object; from its path and, for
//! configured domains, its host.
//!
//! - A host below a configured domain names a bucket; every other host, IP address or name is
//!   just how this server was reached. So an unknown `Host` can never choose a bucket.
//! - Names are plain: `.`, `..`, `//` and trailing slashes mean nothing.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::limits::KEY_BYTES_MAX;
use super::query::escapes_are_whole;
use super::refusal::Refusal;

/// What stays as it is in a path.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// Kinds of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetKind {
    /// The service itself.
    Service,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
}

/// The decoded names a request is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The bucket.
    pub bucket: Option<String>,
    /// The key.
    pub key: Option<String>,
    /// Whether the bucket came from the host.
    pub addressing: Addressing,
}

/// Where the bucket's name was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Addressing {
    /// First in the path.
    #[default]
    Path,
    /// In the host, before a configured domain.
    Host,
}

impl Target {
    /// Reads `path` (as sent) and `host` against the configured domains.
    pub fn parse(path: &str, host: Option<&str>, domains: &[String]) -> Result<Self, Refusal> {
        let path = decode_path(path)?;
        let names = path.strip_prefix('/').ok_or_else(Refusal::invalid_uri)?;
        if let Some(bucket) = host.and_then(|host| bucket_of_host(host, domains)) {
            let key = (!names.is_empty()).then(|| names.to_owned());
            return Self { bucket: Some(bucket), key, addressing: Addressing::Host }.check();
        }
        if names.bytes().all(|byte| byte == b'/') {
            return Ok(Self::default());
        }
        let (bucket, key) = names.split_once('/').unwrap_or((names, ""));
        let key = (!key.is_empty()).then(|| key.to_owned());
        Self { bucket: Some(bucket.to_owned()), key, addressing: Addressing::Path }.check()
    }

    /// Which kind it is.
    pub fn kind(&self) -> TargetKind {
        match (&self.bucket, &self.key) {
            (None, _) => TargetKind::Service,
            (Some(_), None) => TargetKind::Bucket,
            (Some(_), Some(_)) => TargetKind::Object,
        }
    }

    /// The path-style path, percent-encoded.
    pub fn path(&self) -> String {
        let mut path = String::from("/");
        if let Some(bucket) = &self.bucket {
            path.extend(utf8_percent_encode(bucket, PATH));
        }
        if let Some(key) = &self.key {
            path.push('/');
            path.extend(utf8_percent_encode(key, PATH));
        }
        path
    }

    fn check(self) -> Result<Self, Refusal> {
        let key_bytes = self.key.as_ref().map_or(0, String::len);
        if key_bytes > KEY_BYTES_MAX {
            return Err(Refusal::new(
                http::StatusCode::BAD_REQUEST,
                "KeyTooLongError",
                "Your key is too long",
            )
            .with("Size", key_bytes.to_string())
            .with("MaxSizeAllowed", KEY_BYTES_MAX.to_string()));
        }
        Ok(self)
    }
}

/// Decodes the escapes of a path; what is left must be UTF-8.
pub fn decode_path(path: &str) -> Result<Cow<'_, str>, Refusal> {
    if !escapes_are_whole(path) {
        return Err(Refusal::invalid_uri());
    }
    percent_decode_str(path).decode_utf8().map_err(|_| Refusal::invalid_uri())
}

fn bucket_of_host(host: &str, domains: &[String]) -> Option<String> {
    if domains.is_empty() {
        return None;
    }
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let host = host.to_ascii_lowercase();
    // The longest domain wins, so that one may lie below another.
    domains
        .iter()
        .filter_map(|domain| host.strip_suffix(domain.as_str())?.strip_suffix('.'))
        .filter(|bucket| !bucket.is_empty())
        .min_by_key(|bucket| bucket.len())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{Addressing, Target, TargetKind};

    fn parse(path: &str) -> (Option<String>, Option<String>) {
        let target = Target::parse(path, Some("localhost:9000"), &[]).unwrap();
        (target.bucket, target.key)
    }

    fn names(bucket: &str, key: Option<&str>) -> (Option<String>, Option<String>) {
        (Some(bucket.into()), key.map(Into::into))
    }

    #[test]
    fn paths_name_buckets_and_keys() {
        assert_eq!(parse("/"), (None, None));
        assert_eq!(parse("//"), (None, None));
        assert_eq!(parse("/b"), names("b", None));
        assert_eq!(parse("/b/"), names("b", None));
        assert_eq!(parse("/b/k"), names("b", Some("k")));
        assert_eq!(parse("/b//k/"), names("b", Some("/k/")));
        assert_eq!(parse("/b/../%2e%2E/a%2Fb"), names("b", Some("../../a/b")));
        assert_eq!(parse("/b/a+b%20c%C3%A4"), names("b", Some("a+b cä")));
        assert_eq!(parse("//b/k"), names("", Some("b/k")));
    }

    #[test]
    fn broken_paths_are_refused() {
        for path in ["/b/%", "/b/%2", "/b/%zz", "/b/%ff", "*"] {
            let refusal = Target::parse(path, None, &[]).unwrap_err();
            assert_eq!(refusal.code, "InvalidURI", "{path}");
        }
        let longest = format!("/b/{}", "%41".repeat(1024));
        assert!(Target::parse(&longest, None, &[]).is_ok());
        let refusal = Target::parse(&format!("{longest}A"), None, &[]).unwrap_err();
        assert_eq!(refusal.code, "KeyTooLongError");
    }

    #[test]
    fn only_configured_domains_make_hosts_into_buckets() {
        let domains = ["s3.test".to_owned(), "eu.s3.test".to_owned()];
        for (host, bucket) in [
            ("s3.test", None),
            ("S3.test:9000", None),
            ("b.s3.test", Some("b")),
            ("B.c.s3.test:9000", Some("b.c")),
            ("b.eu.s3.test", Some("b")),
            ("evils3.test", None),
            ("localhost", None),
            ("127.0.0.1:9000", None),
            ("[::1]:9000", None),
            (".s3.test", None),
        ] {
            let target = Target::parse("/x/y", Some(host), &domains).unwrap();
            match bucket {
                Some(bucket) => {
                    assert_eq!(target.bucket.as_deref(), Some(bucket), "{host}");
                    assert_eq!(target.key.as_deref(), Some("x/y"));
                    assert_eq!(target.addressing, Addressing::Host);
                    assert_eq!(target.path(), format!("/{bucket}/x/y"));
                }
                None => assert_eq!(target.bucket.as_deref(), Some("x"), "{host}"),
            }
        }
        let root = Target::parse("/", Some("b.s3.test"), &domains).unwrap();
        assert_eq!(root.kind(), TargetKind::Bucket);
    }

    #[test]
    fn paths_are_written_back_encoded() {
        let target = Target::parse("/b/a%2F%3F%20+ä~", None, &[]).unwrap();
        assert_eq!(target.path(), "/b/a/%3F%20%2B%C3%A4~");
    }
}
