//! The text of a request that is signed: the canonical request and the string to sign.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use std::borrow::Cow;

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

/// Room for what most requests sign.
const CANONICAL_BYTES_USUAL: usize = 512;

/// A canonical request but for its path, of which there may be two readings.
pub(super) struct CanonicalRequest<'a> {
    method: &'a str,
    raw_path: &'a str,
    /// From the query's line to the payload hash.
    rest: String,
}

impl<'a> CanonicalRequest<'a> {
    pub(super) fn new(head: &Head<'a>, signed_headers: &[&str], hash: Option<&str>) -> Self {
        let mut rest = String::with_capacity(CANONICAL_BYTES_USUAL);
        push_query(&mut rest, head);
        rest.push('\n');
        for name in signed_headers {
            rest.push_str(name);
            rest.push(':');
            push_header_value(&mut rest, head, name);
            rest.push('\n');
        }
        for (nth, name) in signed_headers.iter().enumerate() {
            rest.push(if nth == 0 { '\n' } else { ';' });
            rest.push_str(name);
        }
        rest.push('\n');
        rest.push_str(hash.unwrap_or(EMPTY_SHA256));
        Self { method: head.method.as_str(), raw_path: head.path, rest }
    }

    /// The paths the client may have signed: as the specification says, and as it was sent.
    pub(super) fn paths(&self, style: PathStyle) -> impl Iterator<Item = Cow<'a, str>> {
        let raw = Cow::Borrowed(self.raw_path);
        let (first, second) = match style {
            PathStyle::Once if is_plain(self.raw_path) => (raw, None),
            PathStyle::Once => match decode_path(self.raw_path) {
                Ok(path) => {
                    let encoded = Cow::Owned(utf8_percent_encode(&path, PATH).to_string());
                    let second = (encoded != raw).then_some(raw);
                    (encoded, second)
                }
                Err(_) => (raw, None),
            },
            PathStyle::Twice => {
                let resolved = resolve_dots(self.raw_path);
                (Cow::Owned(utf8_percent_encode(&resolved, PATH).to_string()), None)
            }
        };
        std::iter::once(first).chain(second)
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
    let hash = hex_text(Sha256::digest(canonical.as_bytes()).into());
    let hash = std::str::from_utf8(&hash).unwrap_or_default();
    ["AWS4-HMAC-SHA256", time.text(), credential.scope, hash].join("\n")
}

fn hex_text(hash: [u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(hash) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    text
}

/// Whether a path is its own encoding.
fn is_plain(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    path.bytes().all(plain)
}

fn push_query(rest: &mut String, head: &Head<'_>) {
    if head.query.is_empty() {
        return;
    }
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
    rest.push_str(&pairs.join("&"));
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
    use super::{PATH, hex_text, is_plain, resolve_dots};

    #[test]
    fn plain_paths_are_their_own_encoding() {
        for byte in 0..=127_u8 {
            let path = format!("/{}", char::from(byte));
            let encoded = percent_encoding::utf8_percent_encode(&path, PATH).to_string();
            assert_eq!(is_plain(&path), path == encoded, "{path:?}");
        }
        assert!(!is_plain("/ä"));
    }

    #[test]
    fn hashes_are_written_in_hex() {
        let hash = std::array::from_fn(|nth| nth as u8 * 8 + 7);
        assert_eq!(hex_text(hash).as_slice(), hex::encode(hash).as_bytes());
    }

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
