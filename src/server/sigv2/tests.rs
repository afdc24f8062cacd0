//! The examples that AWS publishes, and what becomes of a URL when any part of it is changed.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::{SignedHeaders, hoisted_headers, is_presigned, is_spent, sign, string_to_sign, verify};
use crate::iam::{Identities, SecretKey};
use crate::server::query::Query;
use crate::server::refusal::Refusal;
use crate::server::sigv4::{Form, Head, PayloadHash, Verified};
use crate::server::target::Target;

const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const NOW: OffsetDateTime = datetime!(2007-03-29 03:00:00 UTC);
/// When the published URL expires.
const EXPIRES: &str = "1175139620";

/// A URL that can be changed before it is verified.
#[derive(Clone)]
struct Url {
    method: &'static str,
    host: &'static str,
    path: String,
    query: String,
    headers: Vec<(&'static str, &'static str)>,
    now: OffsetDateTime,
}

impl Url {
    fn published() -> Self {
        Self {
            method: "GET",
            host: "johnsmith.s3.amazonaws.com",
            path: "/photos/puppy.jpg".into(),
            query: format!(
                "AWSAccessKeyId={ACCESS_KEY}&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D\
                 &Expires={EXPIRES}"
            ),
            headers: Vec::new(),
            now: NOW,
        }
    }

    /// A URL in path style, signed over `text` behind the method.
    fn signed(method: &'static str, path: &str, parameters: &str, text: &str) -> Self {
        let text = format!("{method}\n{text}");
        let signature = base64(&sign(&SecretKey::new(SECRET_KEY.into()), &text));
        let signature = utf8_percent_encode(&signature, NON_ALPHANUMERIC);
        let query = format!(
            "{parameters}&AWSAccessKeyId={ACCESS_KEY}&Signature={signature}&Expires={EXPIRES}"
        );
        Self { method, host: "localhost", path: path.into(), query, ..Self::published() }
    }

    fn query(mut self, from: &str, to: &str) -> Self {
        let changed = self.query.replace(from, to);
        assert_ne!(changed, self.query);
        self.query = changed;
        self
    }

    fn and(mut self, parameters: &str) -> Self {
        self.query = format!("{}&{parameters}", self.query);
        self
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn verify(&self) -> Result<Verified, Refusal> {
        let secret = SecretKey::new(SECRET_KEY.into());
        let identities = Identities::new(ACCESS_KEY.into(), secret).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let query = Query::parse(&self.query).unwrap();
        let method = Method::from_bytes(self.method.as_bytes()).unwrap();
        let head = Head {
            method: &method,
            path: &self.path,
            query: &query,
            headers: &headers,
            host: Some(self.host),
        };
        assert!(is_presigned(&query));
        let domains = ["s3.amazonaws.com".to_owned()];
        let target = Target::parse(&self.path, Some(self.host), &domains)?;
        verify(&head, &target, &identities, self.now)
    }

    fn code(&self) -> &'static str {
        self.verify().err().map_or("none", |refusal| refusal.code)
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn the_published_url_verifies_until_it_expires() {
    let verified = Url::published().verify().unwrap();
    assert_eq!(&*verified.principal.name, "root");
    assert_eq!(verified.form, Form::PresignedV2);
    assert_eq!(verified.payload, PayloadHash::Unsigned);
    let expiry = datetime!(2007-03-29 03:40:20 UTC);
    for (now, message) in [
        (expiry, None),
        (expiry - Duration::WEEK, None),
        (expiry + Duration::SECOND, Some("Request has expired")),
        (expiry - Duration::WEEK - Duration::SECOND, Some("Expires must be less than a week away")),
    ] {
        let refusal = Url { now, ..Url::published() }.verify().err();
        assert_eq!(refusal.as_ref().map(|refusal| refusal.message.as_str()), message, "{now}");
        assert!(refusal.is_none_or(|refusal| refusal.code == "AccessDenied"));
    }
}

/// Its signature is in a header, which is refused; the text that is signed has the same form, with
/// a date for the expiry.
#[test]
fn the_published_upload_has_its_signature() {
    let headers = [
        ("content-md5", "4gJE4saaMU4BqNR0kLY+lw=="),
        ("content-type", "application/x-download"),
        ("x-amz-acl", "public-read"),
        ("x-amz-meta-checksumalgorithm", "crc32"),
        ("x-amz-meta-filechecksum", "0x02661779"),
        ("x-amz-meta-reviewedby", "joe@johnsmith.net,jane@johnsmith.net"),
    ];
    let headers: SignedHeaders =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let date = "Tue, 27 Mar 2007 21:06:08 +0000";
    let resource = "/static.johnsmith.net/db-backup.dat.gz";
    let text = string_to_sign(&Method::PUT, date, &headers, resource);
    let signature = sign(&SecretKey::new(SECRET_KEY.into()), &text);
    assert_eq!(base64(&signature), "ilyl83RwaSoYIEdixDQcA4OnAnc=");
}

#[test]
fn what_was_changed_does_not_verify() {
    let url = Url::published;
    let mismatch = "SignatureDoesNotMatch";
    for (changed, code) in [
        (Url { method: "HEAD", ..url() }, mismatch),
        (Url { method: "PUT", ..url() }, mismatch),
        (Url { method: "DELETE", ..url() }, mismatch),
        (Url { method: "POST", ..url() }, "InvalidRequest"),
        (Url { path: "/photos/kitty.jpg".into(), ..url() }, mismatch),
        (Url { path: "/".into(), ..url() }, "InvalidRequest"),
        (Url { host: "janesmith.s3.amazonaws.com", ..url() }, mismatch),
        (url().query(EXPIRES, "1175139621"), mismatch),
        (url().query(EXPIRES, "+1175139620"), "AccessDenied"),
        (url().query(EXPIRES, "soon"), "AccessDenied"),
        (url().query("Expires", "Expired"), "AccessDenied"),
        (url().query("&Signature=", "&signature="), "AccessDenied"),
        (url().query("AWSAccessKeyId", "accesskey"), "AccessDenied"),
        (url().query("NpgC", "NpgD"), mismatch),
        (url().query("NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D", ""), mismatch),
        (url().query("NpgC", "NpgCNpgC"), mismatch),
        (url().query(ACCESS_KEY, "AKIAI44QH8DHBEXAMPLE"), "InvalidAccessKeyId"),
        (url().and("versionId=1"), mismatch),
        (url().and("response-content-type=text%2Fhtml"), mismatch),
        (url().and("tagging"), mismatch),
        (url().and("x-amz-meta-a=1"), mismatch),
        (url().and("content-type=text%2Fhtml"), mismatch),
        (url().and("retention"), "AccessDenied"),
        (url().and("x-id=GetObject"), "AccessDenied"),
        (url().and("x-amz-security-token=t"), "InvalidToken"),
        (url().and("X-Amz-Signature=0"), "InvalidArgument"),
        (url().header("authorization", "AWS a:b"), "InvalidArgument"),
        (url().header("x-amz-meta-a", "1"), mismatch),
        (url().header("content-type", "text/plain"), mismatch),
        (url().header("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="), mismatch),
        (url().header("range", "bytes=0-1"), "none"),
        (
            url().header("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
            "InvalidRequest",
        ),
    ] {
        assert_eq!(changed.code(), code, "{} {}?{}", changed.method, changed.path, changed.query);
    }
}

#[test]
fn parameters_are_signed_sorted_and_undecoded() {
    let url = Url::signed(
        "GET",
        "/b/a%20b",
        "versionId=v&response-content-type=a%2Fb%3B%20c&partNumber=1",
        "\n\n1175139620\n/b/a%20b?partNumber=1&response-content-type=a/b; c&versionId=v",
    );
    assert_eq!(url.code(), "none");
    let bare = Url::signed("GET", "/b/k", "tagging", "\n\n1175139620\n/b/k?tagging");
    assert_eq!(bare.code(), "none");
    let unencoded = Url { path: "/b/a%20b%2Bc".into(), ..bare };
    let url = Url::signed("GET", "/b/a%20b+c", "acl", "\n\n1175139620\n/b/a%20b%2Bc?acl");
    assert_eq!((url.code(), unencoded.code()), ("none", "SignatureDoesNotMatch"));
}

#[test]
fn one_text_is_not_read_as_other_parameters() {
    let text = "\n\n1175139620\n/b/k?response-expires=x&versionId=old";
    let honest = Url::signed("GET", "/b/k", "response-expires=x&versionId=old", text);
    assert_eq!(honest.code(), "none");
    for joined in ["response-expires=x%26versionId%3Dold", "response-expires=x%26tagging"] {
        assert_eq!(Url::signed("GET", "/b/k", joined, text).code(), "InvalidArgument");
    }
    let text = "\n\n1175139620\n/b/k?response-content-disposition=a&b";
    let harmless = Url::signed("GET", "/b/k", "response-content-disposition=a%26b", text);
    assert_eq!(harmless.code(), "none");
}

#[test]
fn headers_in_the_query_are_signed_and_come_back() {
    let url = Url::signed(
        "PUT",
        "/b/k",
        "content-type=text%2Fplain&x-amz-meta-a=b%20c&X-Amz-Acl=private",
        "\ntext/plain\n1175139620\nx-amz-acl:private\nx-amz-meta-a:b c\n/b/k",
    );
    let sent_too = url.clone().header("content-type", "text/plain").header("x-amz-meta-a", "b c");
    assert_eq!((url.code(), sent_too.code()), ("none", "none"));
    let other = url.clone().header("content-type", "text/html");
    assert_eq!(other.code(), "InvalidArgument");
    assert_eq!(url.clone().query("b%20c", "b%0Ac").code(), "InvalidArgument");
    let mut query = Query::parse(&url.query).unwrap();
    let hoisted = hoisted_headers(&query).unwrap();
    let names: Vec<&str> = hoisted.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-type", "x-amz-meta-a", "x-amz-acl"]);
    query.retain(|name, _| !is_spent(name));
    assert_eq!(query, Query::default());
}
