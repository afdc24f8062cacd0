//! Which bucket a `Host` header names: only below the domains the operator configured, so that an
//! unknown host (`localhost`, an address, another name of the machine) is path-style.

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// The base domains, in lower case, without a port.
#[derive(Debug, Clone, Default)]
pub(super) struct Domains {
    bases: Vec<String>,
}

impl Domains {
    /// Domains under which `bucket.domain` names a bucket.
    pub(super) fn new(bases: &[String]) -> Self {
        let bases = bases.iter().map(|base| base.trim_matches('.').to_ascii_lowercase()).collect();
        Self { bases }
    }

    /// The bucket that a host (without port) names; of nested domains the longest counts.
    fn bucket_of(&self, host: &str) -> Option<String> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.bases
            .iter()
            .filter(|base| {
                host == **base
                    || host.strip_suffix(base.as_str()).is_some_and(|rest| rest.ends_with('.'))
            })
            .max_by_key(|base| base.len())
            .and_then(|base| host.strip_suffix(base.as_str()))
            .and_then(|rest| rest.strip_suffix('.'))
            .map(str::to_owned)
    }
}

impl S3Host for Domains {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let virtual_host = VirtualHost::new(host);
        Ok(match self.bucket_of(name) {
            Some(bucket) => virtual_host.with_bucket(bucket),
            None => virtual_host,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_configured_domains_name_buckets() {
        let domains = Domains::new(&["S3.example.com".into(), "eu.s3.example.com".into()]);
        for (host, bucket) in [
            ("s3.example.com", None),
            ("s3.example.com:9000", None),
            ("photos.s3.example.com", Some("photos")),
            ("Photos.S3.Example.Com:9000", Some("photos")),
            ("a.b.s3.example.com", Some("a.b")),
            ("eu.s3.example.com", None),
            ("photos.eu.s3.example.com", Some("photos")),
            ("photoss3.example.com", None),
            ("localhost", None),
            ("localhost:9000", None),
            ("127.0.0.1:9000", None),
            ("[::1]:9000", None),
            ("", None),
        ] {
            let parsed = domains.parse_host_header(host).unwrap();
            assert_eq!(parsed.bucket(), bucket, "{host}");
        }
    }

    #[test]
    fn without_domains_all_is_path_style() {
        let parsed = Domains::default();
        assert_eq!(parsed.parse_host_header("photos.example.com").unwrap().bucket(), None);
    }
}
