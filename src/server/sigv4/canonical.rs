//! The text of a request that is signed: the canonical request and the string to sign.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::{Credential, Head, PathStyle, RequestTime};
use crate::server::target::decode_path;

/// What the specification calls `UriEncode`.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same with slashes left as they are.
const PATH: &AsciiSet = &COMPONENT.remove(b'/');
/// SHA-256 of nothing.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A canonical request but for its path, of which there may be two readings.
pub(super) struct CanonicalRequest<'a> {
    method: &'a str,
    raw_path: &'a str,
    /// From the query's line to the payload hash.
    rest: String,
}

impl<'a> CanonicalRequest<'a> {
    pub(super) fn new(head: &Head<'a>, signed_headers: &[&str], hash: Option<&str>) -> Self {
        let mut rest = canonical_query(head);
        rest.push('\n');
        for name in signed_headers {
            rest.push_str(name);
            rest.push(':');
            push_header_value(&mut rest, head, name);
            rest.push('\n');
        }
        rest.push('\n');
        rest.push_str(&signed_headers.join(";"));
        rest.push('\n');
        rest.push_str(hash.unwrap_or(EMPTY_SHA256));
        Self { method: head.method.as_str(), raw_path: head.path, rest }
    }

    /// The paths the client may have signed: as the specification says, and as it was sent.
    pub(super) fn paths(&self, style: PathStyle) -> Vec<String> {
        match style {
            PathStyle::Once => {
                let encoded = match decode_path(self.raw_path) {
                    Ok(path) => utf8_percent_encode(&path, PATH).to_string(),
                    Err(_) => self.raw_path.to_owned(),
                };
                if encoded == self.raw_path {
                    vec![encoded]
                } else {
                    vec![encoded, self.raw_path.to_owned()]
                }
            }
            PathStyle::Twice => {
                let resolved = resolve_dots(self.raw_path);
                vec![utf8_percent_encode(&resolved, PATH).to_string()]
            }
        }
    }

    pub(super) fn text(&self, path: &str) -> String {
        [self.method, path, &self.rest].join("\n")
    }
}

pub(super) fn string_to_sign(
    canonical: &str,
    time: &RequestTime,
    credential: &Credential<'_>,
) -> String {
    let hash = hex::encode(Sha256::digest(canonical.as_bytes()));
    ["AWS4-HMAC-SHA256", time.text(), credential.scope, &hash].join("\n")
}

fn canonical_query(head: &Head<'_>) -> String {
    let encode = |text: &str| utf8_percent_encode(text, COMPONENT).to_string();
    let mut pairs: Vec<(String, String)> = head
        .query
        .iter()
        .filter(|(name, _)| *name != "X-Amz-Signature")
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> =
        pairs.into_iter().map(|(name, value)| [name, value].join("=")).collect();
    pairs.join("&")
}

/// Values joined by commas, trimmed, inner runs of spaces made one.
fn push_header_value(text: &mut String, head: &Head<'_>, name: &str) {
    if name == "host"
        && let Some(host) = head.host
    {
        text.push_str(host.trim());
        return;
    }
    for (nth, value) in head.headers.get_all(name).iter().enumerate() {
        if nth > 0 {
            text.push(',');
        }
        // Bytes that are no UTF-8 cannot be in the text a client signed.
        let value = String::from_utf8_lossy(value.as_bytes());
        for (nth, word) in value.split([' ', '\t']).filter(|word| !word.is_empty()).enumerate() {
            if nth > 0 {
                text.push(' ');
            }
            text.push_str(word);
        }
    }
}

fn resolve_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let mut resolved = String::from("/");
    resolved.push_str(&kept.join("/"));
    if path.len() > 1 && path.ends_with('/') && !kept.is_empty() {
        resolved.push('/');
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::resolve_dots;

    #[test]
    fn dot_segments_are_resolved() {
        for (path, expected) in [
            ("/", "/"),
            ("", "/"),
            ("/a/../..", "/"),
            ("/a//b/./c", "/a/b/c"),
            ("/a/b/", "/a/b/"),
            ("/a%20b", "/a%20b"),
        ] {
            assert_eq!(resolve_dots(path), expected, "{path}");
        }
    }
}
