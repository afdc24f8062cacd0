//! Signature version 4 at little cost: the key is derived once a day, the date is printed once a
//! second, and a request costs one hash and two short ones.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};

use crate::iam::SecretKey;

/// SHA-256 of nothing, as AWS clients send it for requests without a body.
pub(super) const EMPTY_SHA256: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// Stands for the hash of a body that is not signed.
pub(super) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Whose rules a request is signed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// The path is encoded once, and the body's hash is sent in a header.
    S3,
    /// The path is encoded twice, and the body's hash is not sent.
    S3Vectors,
}

impl Service {
    /// What the scope of a signature calls it.
    fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::S3Vectors => "s3vectors",
        }
    }
}

/// What a request is signed over. Header names are lower-case and sorted, and `host`,
/// `x-amz-content-sha256` and `x-amz-date` are not among `headers`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unsigned<'a> {
    pub(super) method: &'a str,
    /// Percent-encoded once.
    pub(super) path: &'a str,
    /// Percent-encoded, sorted by name, each with its `=`.
    pub(super) query: &'a str,
    pub(super) host: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) payload_hash: &'a str,
}

/// Signs requests of one principal to one service of a region.
pub(super) struct Signer {
    access_key: String,
    secret_key: SecretKey,
    region: String,
    service: Service,
    second: u64,
    /// `20130524T000000Z` of `second`.
    date: String,
    scope: String,
    key: hmac::Key,
    canonical: String,
}

impl Signer {
    pub(super) fn new(
        access_key: &str,
        secret_key: SecretKey,
        region: &str,
        service: Service,
    ) -> Self {
        let mut signer = Self {
            access_key: access_key.to_owned(),
            secret_key,
            region: region.to_owned(),
            service,
            second: 0,
            date: String::new(),
            scope: String::new(),
            key: hmac::Key::new(HMAC_SHA256, b""),
            canonical: String::new(),
        };
        signer.turn_to(0);
        signer
    }

    /// Sets the time of the signatures that follow, in seconds since 1970.
    pub(super) fn set_time(&mut self, second: u64) {
        if second != self.second {
            self.turn_to(second);
        }
    }

    /// The value of `x-amz-date` that belongs to the signatures.
    pub(super) fn date(&self) -> &str {
        &self.date
    }

    /// Whether the body's hash is a header of its requests.
    pub(super) fn sends_hash(&self) -> bool {
        self.service == Service::S3
    }

    /// The value of `Authorization`.
    pub(super) fn authorization(&mut self, request: &Unsigned<'_>) -> String {
        self.write_canonical(request);
        let hash = hex::encode(digest(&SHA256, self.canonical.as_bytes()));
        let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{}\n{hash}", self.date, self.scope);
        let signature = hex::encode(hmac::sign(&self.key, to_sign.as_bytes()));
        let mut names = String::with_capacity(64);
        for (name, _) in self.headers(request) {
            if !names.is_empty() {
                names.push(';');
            }
            names.push_str(name);
        }
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={names}, Signature={signature}",
            self.access_key, self.scope
        )
    }

    fn write_canonical(&mut self, request: &Unsigned<'_>) {
        let mut text = std::mem::take(&mut self.canonical);
        text.clear();
        text.extend([request.method, "\n"]);
        match self.service {
            Service::S3 => text.push_str(request.path),
            Service::S3Vectors => text.push_str(&encode_path(request.path)),
        }
        text.extend(["\n", request.query, "\n"]);
        for (name, value) in self.headers(request) {
            text.extend([name, ":", value, "\n"]);
        }
        text.push('\n');
        for (index, (name, _)) in self.headers(request).enumerate() {
            text.extend([if index == 0 { "" } else { ";" }, name]);
        }
        text.extend(["\n", request.payload_hash]);
        self.canonical = text;
    }

    fn turn_to(&mut self, second: u64) {
        self.second = second;
        self.date = format_date(second);
        let day = self.date.get(..8).unwrap_or_default().to_owned();
        if !self.scope.starts_with(&day) {
            let service = self.service.name();
            self.key = derive(self.secret_key.expose(), &day, &self.region, service);
            self.scope = format!("{day}/{}/{service}/aws4_request", self.region);
        }
    }

    /// The signed headers of a request in their order.
    fn headers<'a>(
        &'a self,
        request: &Unsigned<'a>,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let hash = self.sends_hash().then_some(("x-amz-content-sha256", request.payload_hash));
        let own = [("host", request.host)].into_iter().chain(hash);
        merged(own.chain([("x-amz-date", self.date.as_str())]), request.headers)
    }
}

/// Both in the order of their names.
fn merged<'a>(
    own: impl Iterator<Item = (&'a str, &'a str)>,
    given: &'a [(&'a str, &'a str)],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let mut own = own.peekable();
    let mut given = given.iter().copied().peekable();
    std::iter::from_fn(move || match (own.peek(), given.peek()) {
        (Some(left), Some(right)) if right.0 < left.0 => given.next(),
        (Some(_), _) => own.next(),
        (None, _) => given.next(),
    })
}

fn derive(secret_key: &str, day: &str, region: &str, service: &str) -> hmac::Key {
    let first = zeroize::Zeroizing::new(format!("AWS4{secret_key}"));
    let mut key = hmac::Key::new(HMAC_SHA256, first.as_bytes());
    for part in [day, region, service, "aws4_request"] {
        key = hmac::Key::new(HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
    }
    key
}

fn format_date(second: u64) -> String {
    let second = i64::try_from(second).unwrap_or(i64::MAX);
    let time = time::OffsetDateTime::from_unix_timestamp(second)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// `text` with every byte percent-encoded that S3 wants encoded; a slash stays.
pub(crate) fn encode_path(text: &str) -> String {
    encode(text, b"-._~/")
}

/// `text` as a value of a query, where a slash is encoded too.
pub(crate) fn encode_value(text: &str) -> String {
    encode(text, b"-._~")
}

fn encode(text: &str, plain: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2013-05-24T00:00:00Z, the time of the examples in AWS's documentation.
    const EXAMPLE_TIME: u64 = 1_369_353_600;
    const HOST: &str = "examplebucket.s3.amazonaws.com";

    fn signature(request: &Unsigned<'_>) -> String {
        let secret = SecretKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned());
        let mut signer = Signer::new("AKIAIOSFODNN7EXAMPLE", secret, "us-east-1", Service::S3);
        signer.set_time(EXAMPLE_TIME);
        signer.authorization(request)
    }

    #[test]
    fn the_examples_of_aws_come_out() {
        let get = signature(&Unsigned {
            method: "GET",
            path: "/test.txt",
            query: "",
            host: HOST,
            headers: &[("range", "bytes=0-9")],
            payload_hash: EMPTY_SHA256,
        });
        assert_eq!(
            get,
            "AWS4-HMAC-SHA256 \
             Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let put = signature(&Unsigned {
            method: "PUT",
            path: &encode_path("/test$file.text"),
            query: "",
            host: HOST,
            headers: &[
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ],
            payload_hash: "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        });
        assert!(put.contains(
            "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class"
        ));
        assert!(put.ends_with("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"));
        let lifecycle = Unsigned {
            method: "GET",
            path: "/",
            query: "lifecycle=",
            host: HOST,
            headers: &[],
            payload_hash: EMPTY_SHA256,
        };
        assert!(
            signature(&lifecycle)
                .ends_with("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
        );
        let list = Unsigned { query: "max-keys=2&prefix=J", ..lifecycle };
        assert!(
            signature(&list)
                .ends_with("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
        );
    }

    #[test]
    fn the_key_follows_the_day() {
        let secret = SecretKey::new("secret".to_owned());
        let mut signer = Signer::new("access", secret, "eu-west-1", Service::S3);
        signer.set_time(EXAMPLE_TIME);
        assert!(signer.scope.starts_with("20130524/eu-west-1"));
        signer.set_time(EXAMPLE_TIME + 86_399);
        assert_eq!(signer.date(), "20130524T235959Z");
        signer.set_time(EXAMPLE_TIME + 86_400);
        assert!(signer.scope.starts_with("20130525/eu-west-1"));
    }

    #[test]
    fn other_services_encode_paths_twice_and_send_no_hash() {
        let secret = SecretKey::new("secret".to_owned());
        let mut signer = Signer::new("access", secret, "eu-west-1", Service::S3Vectors);
        signer.set_time(EXAMPLE_TIME);
        let authorization = signer.authorization(&Unsigned {
            method: "GET",
            path: "/tags/arn%3Aa",
            query: "",
            host: "host",
            headers: &[("content-type", "application/json")],
            payload_hash: EMPTY_SHA256,
        });
        assert_eq!(
            signer.canonical,
            format!(
                "GET\n/tags/arn%253Aa\n\ncontent-type:application/json\nhost:host\n\
                 x-amz-date:20130524T000000Z\n\ncontent-type;host;x-amz-date\n{EMPTY_SHA256}"
            )
        );
        let scope = "Credential=access/20130524/eu-west-1/s3vectors/aws4_request";
        assert!(authorization.contains(scope), "{authorization}");
    }

    #[test]
    fn encoding_is_that_of_s3() {
        assert_eq!(encode_path("/a b/ü+~"), "/a%20b/%C3%BC%2B~");
        assert_eq!(encode_value("a/b"), "a%2Fb");
    }
}
