//! The examples that AWS publishes, and what becomes of them when any part is changed.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::{Form, Head, PathStyle, PayloadHash, Verified, Verifier};
use crate::iam::{Identities, SecretKey};
use crate::server::query::Query;
use crate::server::refusal::Refusal;

const NOW: OffsetDateTime = datetime!(2013-05-24 00:00:00 UTC);
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const PRESIGNED: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256\
    &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
    &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
    &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";

/// A request that can be changed before it is verified.
#[derive(Clone)]
struct Example {
    method: Method,
    path: &'static str,
    query: String,
    host: &'static str,
    headers: Vec<(&'static str, String)>,
    now: OffsetDateTime,
}

impl Example {
    fn new(
        method: Method,
        path: &'static str,
        signed: &str,
        signature: &str,
        headers: &[(&'static str, &str)],
    ) -> Self {
        let mut headers: Vec<(&'static str, String)> =
            headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        headers.push(("x-amz-date", "20130524T000000Z".into()));
        let credential = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
        headers.push((
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={signed},\
                 Signature={signature}"
            ),
        ));
        let host = "examplebucket.s3.amazonaws.com";
        Self { method, path, query: String::new(), host, headers, now: NOW }
    }

    fn get() -> Self {
        Self::new(
            Method::GET,
            "/test.txt",
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            &[("range", "bytes=0-9"), ("x-amz-content-sha256", EMPTY)],
        )
    }

    fn presigned() -> Self {
        Self {
            method: Method::GET,
            path: "/test.txt",
            query: PRESIGNED.into(),
            host: "examplebucket.s3.amazonaws.com",
            headers: vec![],
            now: NOW,
        }
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self
    }

    fn authorization(self, from: &str, to: &str) -> Self {
        let old = self.headers.iter().find(|(name, _)| *name == "authorization").unwrap();
        let new = old.1.replace(from, to);
        assert_ne!(new, old.1);
        self.header("authorization", &new)
    }

    fn query(mut self, from: &str, to: &str) -> Self {
        let new = self.query.replace(from, to);
        assert!(from.is_empty() || new != self.query);
        self.query = if from.is_empty() { format!("{}{to}", self.query) } else { new };
        self
    }

    fn at(mut self, later: Duration) -> Self {
        self.now += later;
        self
    }

    fn verify(&self) -> Result<Verified, Refusal> {
        let secret = SecretKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into());
        let identities = Identities::new("AKIAIOSFODNN7EXAMPLE".into(), secret).unwrap();
        let verifier = Verifier::new(identities);
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        let query = Query::parse(&self.query).unwrap();
        let head = Head {
            method: &self.method,
            path: self.path,
            query: &query,
            headers: &headers,
            host: Some(self.host),
        };
        let first = verifier.verify(&head, "s3", PathStyle::Once, self.now);
        // The second time the key comes from the cache; nothing else may change.
        let second = verifier.verify(&head, "s3", PathStyle::Once, self.now);
        assert_eq!(first.is_ok(), second.is_ok());
        second
    }

    fn code(&self) -> &'static str {
        self.verify().err().map_or("none", |refusal| refusal.code)
    }
}

#[test]
fn published_header_examples_verify() {
    let verified = Example::get().verify().unwrap();
    assert_eq!(&*verified.principal.name, "root");
    assert_eq!(verified.form, Form::Header);
    let put = Example::new(
        Method::PUT,
        "/test$file.text",
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        &[
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            (
                "x-amz-content-sha256",
                "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            ),
        ],
    );
    assert!(matches!(put.verify().unwrap().payload, PayloadHash::Sha256(_)));
    let signed = "host;x-amz-content-sha256;x-amz-date";
    for (query, signature) in [
        ("lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ("prefix=J&max-keys=2", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ] {
        let headers = [("x-amz-content-sha256", EMPTY)];
        let mut get = Example::new(Method::GET, "/", signed, signature, &headers);
        get.query = query.into();
        assert_eq!(get.code(), "none", "{query}");
    }
}

#[test]
fn published_chunked_examples_verify() {
    let plain = Example::new(
        Method::PUT,
        "/examplebucket/chunkObject.txt",
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
         x-amz-decoded-content-length;x-amz-storage-class",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        &[
            ("content-encoding", "aws-chunked"),
            ("content-length", "66824"),
            ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
            ("x-amz-decoded-content-length", "66560"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ],
    );
    let plain = Example { host: "s3.amazonaws.com", ..plain };
    let verified = plain.verify().unwrap();
    assert_eq!(verified.payload, PayloadHash::SignedChunks);
    assert!(verified.signer.is_some());
}

#[test]
fn the_published_presigned_example_verifies_within_its_validity() {
    let presigned = Example::presigned();
    let verified = presigned.verify().unwrap();
    assert_eq!(verified.form, Form::Presigned);
    assert_eq!(verified.payload, PayloadHash::Unsigned);
    assert_eq!(presigned.clone().at(Duration::hours(24)).code(), "none");
    assert_eq!(presigned.clone().at(Duration::minutes(-15)).code(), "none");
    let late = presigned.clone().at(Duration::hours(25)).verify().unwrap_err();
    assert_eq!((late.code, late.message.as_str()), ("AccessDenied", "Request has expired"));
    assert_eq!(presigned.at(Duration::minutes(-16)).code(), "AccessDenied");
}

#[test]
fn a_changed_header_request_is_refused() {
    let get = Example::get;
    let cases = [
        ("path", Example { path: "/test.tx", ..get() }, "SignatureDoesNotMatch"),
        ("method", Example { method: Method::PUT, ..get() }, "SignatureDoesNotMatch"),
        ("host", Example { host: "evil.s3.amazonaws.com", ..get() }, "SignatureDoesNotMatch"),
        ("query", Example { query: "acl".into(), ..get() }, "SignatureDoesNotMatch"),
        ("value", get().header("range", "bytes=0-10"), "SignatureDoesNotMatch"),
        ("hash", get().header("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), "SignatureDoesNotMatch"),
        ("signature", get().authorization("f0e8", "f0e9"), "SignatureDoesNotMatch"),
        ("region", get().authorization("us-east-1", "mars-1"), "SignatureDoesNotMatch"),
        ("access key", get().authorization("AKIA", "BKIA"), "InvalidAccessKeyId"),
        ("service", get().authorization("/s3/", "/iam/"), "AuthorizationHeaderMalformed"),
        ("day", get().authorization("20130524", "20130525"), "AuthorizationHeaderMalformed"),
        ("absent", get().without("range"), "SignatureDoesNotMatch"),
        ("no host", get().authorization("host;", ""), "AccessDenied"),
        ("copy", get().header("x-amz-copy-source", "/other/secret"), "AccessDenied"),
        ("meta", get().header("x-amz-meta-a", "1"), "AccessDenied"),
        ("tagging", get().header("x-amz-tagging", "a=1"), "AccessDenied"),
        ("unsigned date", get().authorization(";x-amz-date", ""), "AccessDenied"),
        ("token", get().header("x-amz-security-token", "t"), "InvalidToken"),
        ("no hash", get().without("x-amz-content-sha256"), "SignatureDoesNotMatch"),
        ("not a hash", get().header("x-amz-content-sha256", "abc"), "InvalidArgument"),
        ("no date", get().without("x-amz-date"), "AccessDenied"),
        ("bad date", get().header("x-amz-date", "yesterday"), "AccessDenied"),
        (
            "other day",
            get().header("x-amz-date", "20130525T000000Z"),
            "AuthorizationHeaderMalformed",
        ),
        ("other second", get().header("x-amz-date", "20130524T000001Z"), "SignatureDoesNotMatch"),
        ("late", get().at(Duration::seconds(901)), "RequestTimeTooSkewed"),
        ("early", get().at(Duration::seconds(-901)), "RequestTimeTooSkewed"),
        ("just", get().at(Duration::seconds(900)), "none"),
        ("two mechanisms", Example { query: PRESIGNED.into(), ..get() }, "InvalidArgument"),
    ];
    for (what, example, code) in cases {
        assert_eq!(example.code(), code, "{what}");
    }
    let refusal = get().header("x-amz-tagging", "a=1").verify().unwrap_err();
    let expected = "There were headers present in the request which were not signed";
    assert_eq!(refusal.message, expected);
    assert!(refusal.details.contains(&("HeadersNotSigned", "x-amz-tagging".into())));
}

#[test]
fn a_malformed_authorization_header_is_refused() {
    for (value, code) in [
        ("AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=", "InvalidRequest"),
        ("AWS4-ECDSA-P256-SHA256 Credential=x", "InvalidRequest"),
        ("Bearer abc", "InvalidArgument"),
        ("AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=a", "AuthorizationHeaderMalformed"),
        (
            "AWS4-HMAC-SHA256 Credential=a/20130524/r/s3/aws4_request,SignedHeaders=host,\
             Signature=00",
            "AuthorizationHeaderMalformed",
        ),
    ] {
        assert_eq!(Example::get().header("authorization", value).code(), code, "{value}");
    }
    let get = Example::get;
    for (from, to) in [
        ("aws4_request", "aws5_request"),
        ("Credential=", "Credentials="),
        ("Credential=AKIAIOSFODNN7EXAMPLE/", "Credential="),
        ("SignedHeaders=host;range", "SignedHeaders=range;host"),
        ("SignedHeaders=host", "SignedHeaders=Host"),
        ("SignedHeaders=host", "SignedHeaders=host;host"),
        ("bdb41", "bdb4"),
        ("bdb41", "bdb4x"),
        (",Signature=", ",Signature=00,Signature="),
    ] {
        assert_eq!(get().authorization(from, to).code(), "AuthorizationHeaderMalformed", "{to}");
    }
    assert_eq!(get().header("authorization", "").verify().unwrap().form, Form::Unsigned);
}

#[test]
fn a_changed_presigned_request_is_refused() {
    let url = Example::presigned;
    let parameters = "AuthorizationQueryParametersError";
    let cases = [
        ("ten years", url().query("Expires=86400", "Expires=315360000"), parameters),
        ("a week", url().query("Expires=86400", "Expires=604800"), "SignatureDoesNotMatch"),
        ("over a week", url().query("Expires=86400", "Expires=604801"), parameters),
        ("negative", url().query("Expires=86400", "Expires=-1"), parameters),
        ("no number", url().query("Expires=86400", "Expires=soon"), parameters),
        ("zero", url().query("Expires=86400", "Expires=0"), "AccessDenied"),
        ("no expiry", url().query("&X-Amz-Expires=86400", ""), parameters),
        ("no signature", url().query("&X-Amz-Signature=", "&y="), parameters),
        ("no date", url().query("Date=20130524T000000Z", "Date=now"), parameters),
        ("algorithm", url().query("SHA256", "SHA1"), parameters),
        ("credential", url().query("aws4_request", "aws4"), parameters),
        ("service", url().query("%2Fs3%2F", "%2Fsts%2F"), "AuthorizationHeaderMalformed"),
        ("parameter", url().query("", "&versionId=1"), "SignatureDoesNotMatch"),
        ("signature", url().query("aeeed9", "aeeed8"), "SignatureDoesNotMatch"),
        ("access key", url().query("AKIA", "BKIA"), "InvalidAccessKeyId"),
        ("token", url().query("", "&X-Amz-Security-Token=t"), "InvalidToken"),
        ("path", Example { path: "/other", ..url() }, "SignatureDoesNotMatch"),
        ("method", Example { method: Method::DELETE, ..url() }, "SignatureDoesNotMatch"),
        ("copy", url().header("x-amz-copy-source", "/other/secret"), "AccessDenied"),
        ("acl", url().header("x-amz-acl", "public-read"), "AccessDenied"),
        ("hash", url().header("x-amz-content-sha256", EMPTY), "none"),
        (
            "chunks",
            url().header("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
            "InvalidRequest",
        ),
    ];
    for (what, example, code) in cases {
        assert_eq!(example.code(), code, "{what}");
    }
    let version_2 = Example {
        query: "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=x&Expires=1".into(),
        ..url()
    };
    let refusal = version_2.verify().unwrap_err();
    assert_eq!(refusal.code, "InvalidRequest");
    assert!(refusal.message.contains("AWS4-HMAC-SHA256"));
}

#[test]
fn unsigned_requests_are_anonymous() {
    let unsigned = Example::get().without("authorization");
    let verified = unsigned.verify().unwrap();
    assert_eq!(verified.principal, crate::iam::Principal::anonymous());
    let chunks =
        unsigned.header("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER");
    assert_eq!(chunks.code(), "AccessDenied");
}
