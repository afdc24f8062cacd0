//! The text of a request that is signed: the canonical request and the string to sign.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::payload::NOTHING_TEXT;
use super::{Credential, Head, PathStyle, RequestTime};
use crate::server::target::decode_path;

/// What the specification calls `UriEncode`.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same with slashes left as they are.
const PATH: &AsciiSet = &COMPONENT.remove(b'/');

/// Room for what most requests sign.
const CANONICAL_BYTES_USUAL: usize = 512;

/// A canonical request but for its path, of which there may be two readings.
pub(super) struct CanonicalRequest<'a> {
    head: &'a Head<'a>,
    signed_headers: &'a [&'a str],
    hash: Option<&'a str>,
}

impl<'a> CanonicalRequest<'a> {
    pub(super) fn new(
        head: &'a Head<'a>,
        signed_headers: &'a [&'a str],
        hash: Option<&'a str>,
    ) -> Self {
        Self { head, signed_headers, hash }
    }

    /// The paths the client may have signed: as the specification says, and as it was sent.
    pub(super) fn paths(&self, style: PathStyle) -> impl Iterator<Item = Cow<'a, str>> {
        let raw = Cow::Borrowed(self.head.path);
        let (first, second) = match style {
            PathStyle::Once if is_plain(self.head.path) => (raw, None),
            PathStyle::Once => match decode_path(self.head.path) {
                Ok(path) => {
                    let encoded = Cow::Owned(utf8_percent_encode(&path, PATH).to_string());
                    let second = (encoded != raw).then_some(raw);
                    (encoded, second)
                }
                Err(_) => (raw, None),
            },
            PathStyle::Twice => {
                let resolved = resolve_dots(self.head.path);
                (Cow::Owned(utf8_percent_encode(&resolved, PATH).to_string()), None)
            }
        };
        std::iter::once(first).chain(second)
    }

    /// All of it.
    pub(super) fn text(&self, path: &str) -> String {
        let mut text = String::with_capacity(CANONICAL_BYTES_USUAL);
        text.extend([self.head.method.as_str(), "\n", path, "\n"]);
        push_query(&mut text, self.head);
        text.push('\n');
        for name in self.signed_headers {
            text.extend([name, ":"]);
            push_header_value(&mut text, self.head, name);
            text.push('\n');
        }
        for (nth, name) in self.signed_headers.iter().enumerate() {
            text.push(if nth == 0 { '\n' } else { ';' });
            text.push_str(name);
        }
        text.extend(["\n", self.hash.unwrap_or(NOTHING_TEXT)]);
        text
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

fn push_query(text: &mut String, head: &Head<'_>) {
    if head.query.is_empty() {
        return;
    }
    let encode = |part: &str| utf8_percent_encode(part, COMPONENT).to_string();
    let mut pairs: Vec<(String, String)> = head
        .query
        .iter()
        .filter(|(name, _)| *name != "X-Amz-Signature")
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> =
        pairs.into_iter().map(|(name, value)| [name, value].join("=")).collect();
    text.push_str(&pairs.join("&"));
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
