//! AWS Signature Version 4 as a client computes it, each step in the caller's hands.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html>

use time::OffsetDateTime;
use time::macros::format_description;

use super::digest::{hmac_sha256, sha256_hex};

/// SHA-256 of nothing.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What a signature is computed under.
#[derive(Debug, Clone)]
pub struct Signer {
    /// The derived signing key.
    key: Vec<u8>,
    /// `20130524T000000Z`.
    pub timestamp: String,
    /// `20130524/us-east-1/s3/aws4_request`.
    pub scope: String,
}

impl Signer {
    /// Derives the signing key of one day, region and service.
    pub fn new(secret: &str, timestamp: &str, region: &str, service: &str) -> Self {
        let day = &timestamp[..8];
        let mut key = format!("AWS4{secret}").into_bytes();
        for step in [day, region, service, "aws4_request"] {
            key = hmac_sha256(&key, step.as_bytes());
        }
        let scope = format!("{day}/{region}/{service}/aws4_request");
        Self { key, timestamp: timestamp.to_owned(), scope }
    }

    /// Signs any text: the last step of each form.
    pub fn sign(&self, text: &str) -> String {
        hex::encode(hmac_sha256(&self.key, text.as_bytes()))
    }

    /// Signs a canonical request.
    pub fn sign_request(&self, canonical: &str) -> String {
        let hash = sha256_hex(canonical.as_bytes());
        self.sign(&format!("AWS4-HMAC-SHA256\n{}\n{}\n{hash}", self.timestamp, self.scope))
    }

    /// Signs a chunk of a signed stream after the signature before it.
    pub fn sign_chunk(&self, previous: &str, data: &[u8]) -> String {
        self.sign(&format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{previous}\n{EMPTY_SHA256}\n{}",
            self.timestamp,
            self.scope,
            sha256_hex(data)
        ))
    }

    /// Signs the trailing headers, each line ended by one line feed.
    pub fn sign_trailer(&self, previous: &str, lines: &str) -> String {
        self.sign(&format!(
            "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{previous}\n{}",
            self.timestamp,
            self.scope,
            sha256_hex(lines.as_bytes())
        ))
    }
}

/// The time now and `offset_s` seconds, as `x-amz-date` writes it.
pub fn timestamp(offset_s: i64) -> String {
    let when = OffsetDateTime::now_utc() + time::Duration::seconds(offset_s);
    when.format(format_description!("[year][month][day]T[hour][minute][second]Z"))
        .expect("a fixed format")
}

/// How a service wants paths written into what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paths {
    /// S3: encoded once.
    Once,
    /// All others: as they are sent, encoded once more.
    Twice,
}

/// The canonical form of a request. `headers` are the signed ones, in any order and case.
pub fn canonical_request(
    paths: Paths,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    signed_names: &str,
    payload: &str,
) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut lines: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| {
            let words: Vec<&str> = value.split_whitespace().collect();
            (name.to_lowercase(), words.join(" "))
        })
        .collect();
    lines.sort();
    let lines: String = lines.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    format!(
        "{method}\n{}\n{}\n{lines}\n{signed_names}\n{payload}",
        match paths {
            Paths::Once => encode_path(decode(path)),
            Paths::Twice => encode_path(path),
        },
        canonical_query(query),
    )
}

/// Query pairs decoded, encoded AWS's way, and sorted.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(decode(name)), encode(decode(value)))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Percent-encodes all but the unreserved characters.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    let mut text = String::new();
    for &byte in bytes.as_ref() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Percent-encodes a key or a path: as [`encode`], with slashes left alone.
pub fn encode_path(bytes: impl AsRef<[u8]>) -> String {
    encode(bytes).replace("%2F", "/")
}

/// Percent-decodes; what is no escape stays as it is.
pub fn decode(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

#[cfg(test)]
mod tests {
    //! The examples that AWS publishes with every intermediate value.

    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn signer() -> Signer {
        Signer::new(SECRET, "20130524T000000Z", "us-east-1", "s3")
    }

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_ranged_get_is_signed_as_published() {
        let canonical = canonical_request(
            Paths::Once,
            "GET",
            "/test.txt",
            &headers(&[
                ("host", "examplebucket.s3.amazonaws.com"),
                ("range", "bytes=0-9"),
                ("x-amz-content-sha256", EMPTY_SHA256),
                ("x-amz-date", "20130524T000000Z"),
            ]),
            "host;range;x-amz-content-sha256;x-amz-date",
            EMPTY_SHA256,
        );
        assert_eq!(
            signer().sign_request(&canonical),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
    }

    #[test]
    fn a_chunked_put_is_signed_as_published() {
        let payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
        let canonical = canonical_request(
            Paths::Once,
            "PUT",
            "/examplebucket/chunkObject.txt",
            &headers(&[
                ("content-encoding", "aws-chunked"),
                ("content-length", "66824"),
                ("host", "s3.amazonaws.com"),
                ("x-amz-content-sha256", payload),
                ("x-amz-date", "20130524T000000Z"),
                ("x-amz-decoded-content-length", "66560"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ]),
            "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
             x-amz-decoded-content-length;x-amz-storage-class",
            payload,
        );
        let signer = signer();
        let seed = signer.sign_request(&canonical);
        assert_eq!(seed, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9");
        let first = signer.sign_chunk(&seed, &[b'a'; 65536]);
        assert_eq!(first, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648");
        let second = signer.sign_chunk(&first, &[b'a'; 1024]);
        assert_eq!(second, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497");
        let last = signer.sign_chunk(&second, b"");
        assert_eq!(last, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9");
    }

    #[test]
    fn a_trailer_is_signed_as_published() {
        let lines = "x-amz-checksum-crc32c:sOO8/Q==\n";
        let last = "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992";
        assert_eq!(
            signer().sign_trailer(last, lines),
            "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
        );
    }
}
