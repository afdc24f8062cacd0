//! The service against a store on a simulated device: who is let in, and what S3 answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, Method};
use md5::{Digest as _, Md5};
use s3s::{Body, HttpResponse};
use storage_engine::media::{SimEnvironment, SimMedia, SimOptions};
use storage_engine::{Engine, Environment, Options, PlainMasterKey};

use super::{BUILT, ReadKind, ReadRequest, Service, service};
use crate::catalog::Catalog;
use crate::iam::{Context, Principal};
use crate::objects::{self, Objects, SmallParts};
use crate::server::body::BodyPromise;
use crate::server::guard::OperationName;
use crate::server::operations::resolve;
use crate::server::query::Query;
use crate::server::target::Target;

/// A request in a few words.
struct Ask<'a> {
    method: Method,
    uri: &'a str,
    headers: &'a [(&'static str, &'a str)],
    body: &'a str,
}

/// An answer, read to its end.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    async fn of(answer: HttpResponse) -> Self {
        let (parts, mut body) = answer.into_parts();
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        let body = String::from_utf8(bytes).unwrap();
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    fn code(&self) -> &str {
        between(&self.body, "<Code>", "</Code>")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn element(&self, name: &str) -> &str {
        between(&self.body, &format!("<{name}>"), &format!("</{name}>"))
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map_or("", |(it, _)| it)
}

async fn store() -> Service {
    let environment: Arc<dyn Environment> = Arc::new(SimEnvironment::new(1));
    let media = Arc::new(SimMedia::new(&SimOptions::default()));
    let master = Arc::new(PlainMasterKey::new([7; 32]));
    let options = Options { background: false, ..Options::default() };
    let engine = Engine::open(Arc::clone(&environment), media, master, options).unwrap();
    let catalog = Catalog::open(engine.clone(), None).await.unwrap();
    let settings =
        objects::Settings { region: "us-east-1".into(), small_parts: SmallParts::Allowed };
    service(Objects::new(engine, catalog, environment, settings), None)
}

async fn send(service: &Service, principal: Option<Principal>, ask: Ask<'_>) -> Answer {
    let mut request = http::Request::builder().method(ask.method.clone()).uri(ask.uri);
    for (name, value) in ask.headers {
        request = request.header(*name, *value);
    }
    let (path, query) = ask.uri.split_once('?').unwrap_or((ask.uri, ""));
    let target = Target::parse(path, None, &[]).unwrap();
    let query = Query::parse(query).unwrap();
    let name = operation_name(&ask, &target, &query);
    if let Some(kind) = name.and_then(ReadKind::of) {
        let request = request.body(()).unwrap();
        let principal = principal.unwrap_or_else(Principal::anonymous);
        let answer = service.read(ReadRequest {
            kind,
            bucket: target.bucket.as_deref().unwrap(),
            key: target.key.as_deref().unwrap(),
            query: &query,
            headers: request.headers(),
            principal: &principal,
            context: Context::default(),
        });
        return Answer::of(answer.await.unwrap()).await;
    }
    let body = Bytes::copy_from_slice(ask.body.as_bytes());
    let promise = BodyPromise {
        len: Some(body.len() as u64),
        content_md5: Some(Md5::digest(&body).into()),
        ..Default::default()
    };
    let mut request = request.body(Body::from(body)).unwrap();
    request.extensions_mut().insert(promise);
    request.extensions_mut().insert(target);
    if let Some(name) = name {
        request.extensions_mut().insert(OperationName(name));
    }
    if let Some(principal) = principal {
        request.extensions_mut().insert(principal);
    }
    Answer::of(service.call(request).await.unwrap()).await
}

/// The operation that the gate would see in a request.
fn operation_name(ask: &Ask<'_>, target: &Target, query: &Query) -> Option<&'static str> {
    let mut headers = HeaderMap::new();
    for (name, value) in ask.headers {
        headers.insert(*name, value.parse().unwrap());
    }
    let (_, operation) = resolve(&ask.method, target.kind(), query, &headers).ok()?;
    Some(operation.name)
}

/// As the owner of the store.
async fn root(
    service: &Service,
    method: Method,
    uri: &str,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Answer {
    send(service, Some(Principal::root()), Ask { method, uri, headers, body }).await
}

const VERSIONING: &str =
    "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
const TAGS: &str = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
const OWNERSHIP: &str = "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>";
const ENCRYPTION: &str = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>";
const LOCK: &str = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>";
const RETENTION: &str = "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>";
const HOLD: &str = "<LegalHold><Status>ON</Status></LegalHold>";
const ACCESS: &str = "<PublicAccessBlockConfiguration/>";
const PARTS: &str = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>";
const DELETE: &str = "<Delete><Object><Key>k</Key></Object></Delete>";
const COPY: (&str, &str) = ("x-amz-copy-source", "/own/k");
const PRIVATE: (&str, &str) = ("x-amz-acl", "private");
const ATTRIBUTES: (&str, &str) = ("x-amz-object-attributes", "ETag");
const UPLOAD: &str = "uploadId=00000000000000000000000000000000";

/// An operation, and a request of it: method, target, headers, body.
type Example = (&'static str, Method, String, Vec<(&'static str, &'static str)>, &'static str);

/// One request of each operation, on the bucket `own`.
fn every_operation() -> Vec<Example> {
    let get = |name, query: &str| (name, Method::GET, format!("/own{query}"), vec![], "");
    let put = |name, query: &str, body| (name, Method::PUT, format!("/own{query}"), vec![], body);
    let delete = |name, query: &str| (name, Method::DELETE, format!("/own{query}"), vec![], "");
    vec![
        ("abort_multipart_upload", Method::DELETE, format!("/own/k?{UPLOAD}"), vec![], ""),
        ("complete_multipart_upload", Method::POST, format!("/own/k?{UPLOAD}"), vec![], PARTS),
        ("copy_object", Method::PUT, "/own/k2".into(), vec![COPY], ""),
        ("create_bucket", Method::PUT, "/new".into(), vec![], ""),
        ("create_multipart_upload", Method::POST, "/own/k?uploads".into(), vec![], ""),
        delete("delete_bucket", ""),
        delete("delete_bucket_cors", "?cors"),
        delete("delete_bucket_encryption", "?encryption"),
        delete("delete_bucket_lifecycle", "?lifecycle"),
        delete("delete_bucket_ownership_controls", "?ownershipControls"),
        delete("delete_bucket_policy", "?policy"),
        delete("delete_bucket_replication", "?replication"),
        delete("delete_bucket_tagging", "?tagging"),
        delete("delete_bucket_website", "?website"),
        delete("delete_object", "/k"),
        delete("delete_object_tagging", "/k?tagging"),
        ("delete_objects", Method::POST, "/own?delete".into(), vec![], DELETE),
        delete("delete_public_access_block", "?publicAccessBlock"),
        get("get_bucket_accelerate_configuration", "?accelerate"),
        get("get_bucket_acl", "?acl"),
        get("get_bucket_cors", "?cors"),
        get("get_bucket_encryption", "?encryption"),
        get("get_bucket_lifecycle_configuration", "?lifecycle"),
        get("get_bucket_location", "?location"),
        get("get_bucket_logging", "?logging"),
        get("get_bucket_notification_configuration", "?notification"),
        get("get_bucket_ownership_controls", "?ownershipControls"),
        get("get_bucket_policy", "?policy"),
        get("get_bucket_policy_status", "?policyStatus"),
        get("get_bucket_replication", "?replication"),
        get("get_bucket_request_payment", "?requestPayment"),
        get("get_bucket_tagging", "?tagging"),
        get("get_bucket_versioning", "?versioning"),
        get("get_bucket_website", "?website"),
        get("get_object", "/k"),
        get("get_object_acl", "/k?acl"),
        ("get_object_attributes", Method::GET, "/own/k?attributes".into(), vec![ATTRIBUTES], ""),
        get("get_object_legal_hold", "/k?legal-hold"),
        get("get_object_lock_configuration", "?object-lock"),
        get("get_object_retention", "/k?retention"),
        get("get_object_tagging", "/k?tagging"),
        get("get_public_access_block", "?publicAccessBlock"),
        ("head_bucket", Method::HEAD, "/own".into(), vec![], ""),
        ("head_object", Method::HEAD, "/own/k".into(), vec![], ""),
        ("list_buckets", Method::GET, "/".into(), vec![], ""),
        get("list_multipart_uploads", "?uploads"),
        get("list_object_versions", "?versions"),
        get("list_objects", ""),
        get("list_objects_v2", "?list-type=2"),
        get("list_parts", &format!("/k?{UPLOAD}")),
        ("put_bucket_acl", Method::PUT, "/own?acl".into(), vec![PRIVATE], ""),
        put("put_bucket_encryption", "?encryption", ENCRYPTION),
        put("put_bucket_ownership_controls", "?ownershipControls", OWNERSHIP),
        put("put_bucket_tagging", "?tagging", TAGS),
        put("put_bucket_versioning", "?versioning", VERSIONING),
        put("put_object", "/k", "data"),
        ("put_object_acl", Method::PUT, "/own/k?acl".into(), vec![PRIVATE], ""),
        put("put_object_legal_hold", "/k?legal-hold", HOLD),
        put("put_object_lock_configuration", "?object-lock", LOCK),
        put("put_object_retention", "/k?retention", RETENTION),
        put("put_object_tagging", "/k?tagging", TAGS),
        put("put_public_access_block", "?publicAccessBlock", ACCESS),
        put("upload_part", &format!("/k?partNumber=1&{UPLOAD}"), "data"),
        ("upload_part_copy", Method::PUT, format!("/own/k?partNumber=1&{UPLOAD}"), vec![COPY], ""),
    ]
}

#[tokio::test]
async fn every_operation_asks_who_may() {
    let service = store().await;
    assert_eq!(root(&service, Method::PUT, "/own", &[], "").await.status, 200);
    assert_eq!(root(&service, Method::PUT, "/own/k", &[], "data").await.status, 200);
    let operations = every_operation();
    let named: BTreeSet<_> = operations.iter().map(|operation| operation.0).collect();
    assert_eq!(named, BUILT.iter().copied().collect(), "a request for each operation");

    for (name, method, uri, headers, body) in &operations {
        let ask = || Ask { method: method.clone(), uri, headers, body };
        let anonymous = send(&service, Some(Principal::anonymous()), ask()).await;
        assert_eq!((anonymous.status, anonymous.code()), (403, "AccessDenied"), "{name}");
        let nobody = send(&service, None, ask()).await;
        assert_eq!((nobody.status, nobody.code()), (403, "AccessDenied"), "{name}");

        let other = send(&service, Some(Principal::user("bob")), ask()).await;
        match *name {
            // These touch nothing of the owner's.
            "create_bucket" | "list_buckets" => assert_eq!(other.status, 200, "{name}"),
            // Rights are asked key by key, and refused key by key.
            "delete_objects" => assert_eq!(other.code(), "AccessDenied", "{name}"),
            _ => assert_eq!((other.status, other.code()), (403, "AccessDenied"), "{name}"),
        }
        if uri.starts_with("/own") {
            let elsewhere = uri.replacen("/own", "/none", 1);
            let ask = Ask { method: method.clone(), uri: &elsewhere, headers, body };
            let unknown = send(&service, Some(Principal::root()), ask).await;
            assert_eq!((unknown.status, unknown.code()), (404, "NoSuchBucket"), "{name}");
        }
    }
    let kept = root(&service, Method::GET, "/own/k", &[], "").await;
    assert_eq!(kept.body, "data", "nothing that was refused happened");
}

#[tokio::test]
async fn an_owner_that_is_not_expected_is_refused() {
    let service = store().await;
    root(&service, Method::PUT, "/own", &[], "").await;
    let owner = Principal::root().canonical_id();
    for (expected, status) in [(owner.as_str(), 200), ("root", 200), ("123456789012", 403)] {
        let headers = [("x-amz-expected-bucket-owner", expected)];
        assert_eq!(root(&service, Method::GET, "/own?location", &headers, "").await.status, status);
        assert_eq!(root(&service, Method::PUT, "/own/k", &headers, "x").await.status, status);
    }
}

#[tokio::test]
async fn what_is_not_built_is_said_so() {
    let service = store().await;
    root(&service, Method::PUT, "/own", &[], "").await;
    let cors = "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>";
    for (method, uri, body) in [
        (Method::PUT, "/own?cors", cors),
        (Method::PUT, "/own?policy", "{}"),
        (
            Method::PUT,
            "/own?requestPayment",
            "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>",
        ),
        (Method::GET, "/own/k?torrent", ""),
        (Method::POST, "/own/k?restore", ""),
    ] {
        let answer = root(&service, method, uri, &[], body).await;
        assert_eq!((answer.status, answer.code()), (501, "NotImplemented"), "{uri}");
    }
    let form = [("content-type", "multipart/form-data; boundary=x")];
    let answer = root(&service, Method::POST, "/own", &form, "--x--").await;
    assert_eq!((answer.status, answer.code()), (501, "NotImplemented"));
    for header in [
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-write-offset-bytes", "0"),
    ] {
        let answer = root(&service, Method::PUT, "/own/k", &[header], "x").await;
        assert_eq!((answer.status, answer.code()), (501, "NotImplemented"), "{header:?}");
    }
    let granted = [("x-amz-grant-read", "id=\"x\"")];
    let answer = root(&service, Method::PUT, "/own/k", &granted, "x").await;
    assert_eq!((answer.status, answer.code()), (400, "AccessControlListNotSupported"));
    assert_eq!(root(&service, Method::GET, "/own/k", &[], "").await.status, 404);
}

#[tokio::test]
async fn a_new_bucket_answers_as_a_new_bucket_of_aws() {
    let service = store().await;
    let made = root(&service, Method::PUT, "/own", &[], "").await;
    assert_eq!((made.status, made.header("location")), (200, "/own"));
    assert_eq!(root(&service, Method::PUT, "/own", &[], "").await.status, 200);
    for (uri, code) in [
        ("/own?policy", "NoSuchBucketPolicy"),
        ("/own?policyStatus", "NoSuchBucketPolicy"),
        ("/own?cors", "NoSuchCORSConfiguration"),
        ("/own?lifecycle", "NoSuchLifecycleConfiguration"),
        ("/own?website", "NoSuchWebsiteConfiguration"),
        ("/own?replication", "ReplicationConfigurationNotFoundError"),
        ("/own?tagging", "NoSuchTagSet"),
        ("/own?object-lock", "ObjectLockConfigurationNotFoundError"),
    ] {
        let answer = root(&service, Method::GET, uri, &[], "").await;
        assert_eq!((answer.status, answer.code()), (404, code), "{uri}");
    }
    let get = async |uri: &str| root(&service, Method::GET, uri, &[], "").await;
    assert_eq!(get("/own?encryption").await.element("SSEAlgorithm"), "AES256");
    assert_eq!(
        get("/own?ownershipControls").await.element("ObjectOwnership"),
        "BucketOwnerEnforced"
    );
    assert_eq!(get("/own?publicAccessBlock").await.element("BlockPublicAcls"), "true");
    assert_eq!(get("/own?requestPayment").await.element("Payer"), "BucketOwner");
    assert_eq!(get("/own?acl").await.element("Permission"), "FULL_CONTROL");
    assert_eq!(get("/own?versioning").await.element("Status"), "");
    assert!(get("/own?location").await.body.contains("<LocationConstraint"));
    assert_eq!(
        root(&service, Method::HEAD, "/own", &[], "").await.header("x-amz-bucket-region"),
        "us-east-1"
    );
    assert_eq!(root(&service, Method::DELETE, "/own?publicAccessBlock", &[], "").await.status, 204);
    assert_eq!(get("/own?publicAccessBlock").await.code(), "NoSuchPublicAccessBlockConfiguration");
}

#[tokio::test]
async fn an_object_comes_back_with_what_was_said_about_it() {
    let service = store().await;
    root(&service, Method::PUT, "/own", &[], "").await;
    let said = [
        ("content-type", "text/plain"),
        ("content-encoding", "gzip,aws-chunked"),
        ("cache-control", "no-store"),
        ("expires", "never"),
        ("x-amz-meta-colour", "blue"),
        ("x-amz-website-redirect-location", "/elsewhere"),
        ("x-amz-tagging", "a=b&c=d"),
        ("x-amz-server-side-encryption", "AES256"),
    ];
    let put = root(&service, Method::PUT, "/own/dir/k", &said, "0123456789").await;
    assert_eq!(put.status, 200, "{put:?}");
    assert_eq!(put.header("x-amz-server-side-encryption"), "AES256");
    assert_eq!(put.header("x-amz-checksum-type"), "FULL_OBJECT");
    let etag = put.header("etag").to_owned();

    for method in [Method::GET, Method::HEAD] {
        let got = root(&service, method.clone(), "/own/dir/k", &[], "").await;
        assert_eq!(got.status, 200);
        for (name, value) in [
            ("content-length", "10"),
            ("content-type", "text/plain"),
            ("content-encoding", "gzip"),
            ("cache-control", "no-store"),
            ("expires", "never"),
            ("x-amz-meta-colour", "blue"),
            ("x-amz-website-redirect-location", "/elsewhere"),
            ("x-amz-tagging-count", "2"),
            ("x-amz-server-side-encryption", "AES256"),
            ("accept-ranges", "bytes"),
            ("etag", &etag),
            ("x-amz-checksum-type", ""),
            ("x-amz-version-id", ""),
            ("x-amz-storage-class", ""),
        ] {
            assert_eq!(got.header(name), value, "{method} {name}");
        }
        let shown =
            root(&service, method, "/own/dir/k", &[("x-amz-checksum-mode", "ENABLED")], "").await;
        assert_eq!(shown.header("x-amz-checksum-type"), "FULL_OBJECT");
    }
    let get = async |uri: &str, headers: &[(&'static str, &str)]| {
        root(&service, Method::GET, uri, headers, "").await
    };
    let overridden = get("/own/dir/k?response-expires=Wed%2C%2021%20Oct%202015%2007%3A28%3A00%20GMT&response-content-type=a%2Fb", &[]).await;
    assert_eq!(overridden.header("expires"), "Wed, 21 Oct 2015 07:28:00 GMT");
    assert_eq!(overridden.header("content-type"), "a/b");

    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=-3", 206, "bytes 7-9/10", "789"),
        ("bytes=8-99", 206, "bytes 8-9/10", "89"),
        ("bytes=5-2", 200, "", "0123456789"),
        ("bytes=0-1,3-4", 200, "", "0123456789"),
    ] {
        let got = get("/own/dir/k", &[("range", range), ("x-amz-checksum-mode", "ENABLED")]).await;
        assert_eq!(
            (got.status, got.header("content-range"), got.body.as_str()),
            (status, content_range, body)
        );
        assert_eq!(got.header("x-amz-checksum-type").is_empty(), status == 206, "{range}");
    }
    let outside = get("/own/dir/k", &[("range", "bytes=10-")]).await;
    assert_eq!((outside.status, outside.code()), (416, "InvalidRange"));
    assert_eq!(outside.header("content-range"), "bytes */10");

    let unchanged = get("/own/dir/k", &[("if-none-match", &etag)]).await;
    assert_eq!((unchanged.status, unchanged.header("etag")), (304, etag.as_str()));
    assert_eq!(get("/own/dir/k", &[("if-match", "\"other\"")]).await.code(), "PreconditionFailed");
    let moved_on = get("/own/dir/k", &[("range", "bytes=0-1"), ("if-range", "\"other\"")]).await;
    assert_eq!((moved_on.status, moved_on.body.len()), (200, 10));

    let attributes =
        get("/own/dir/k?attributes", &[("x-amz-object-attributes", "ETag,ObjectSize")]).await;
    assert_eq!(attributes.element("ETag"), etag.trim_matches('"'));
    assert_eq!(attributes.element("ObjectSize"), "10");
    let exists = root(&service, Method::PUT, "/own/dir/k", &[("if-none-match", "*")], "x").await;
    assert_eq!((exists.status, exists.code()), (412, "PreconditionFailed"));
}

#[tokio::test]
async fn a_read_that_cannot_be_is_refused() {
    let service = store().await;
    root(&service, Method::PUT, "/own", &[], "").await;
    root(&service, Method::PUT, "/own/k", &[], "data").await;
    for (uri, header, status, code) in [
        ("/Bad_Name/k", None, 400, "InvalidBucketName"),
        ("/none/k", None, 404, "NoSuchBucket"),
        ("/own/none", None, 404, "NoSuchKey"),
        ("/own/k?versionId=", None, 400, "InvalidArgument"),
        ("/own/k?versionId=x", None, 400, "InvalidArgument"),
        ("/own/k?partNumber=1", Some(("range", "bytes=0-1")), 400, "InvalidRequest"),
        ("/own/k?response-expires=never", None, 400, "InvalidArgument"),
        ("/own/k", Some(("x-amz-expected-bucket-owner", "other")), 403, "AccessDenied"),
        ("/own/k", Some(("x-amz-server-side-encryption", "AES256")), 400, "InvalidArgument"),
        (
            "/own/k",
            Some(("x-amz-server-side-encryption-customer-algorithm", "AES256")),
            501,
            "NotImplemented",
        ),
    ] {
        let headers: Vec<_> = header.into_iter().collect();
        let got = root(&service, Method::GET, uri, &headers, "").await;
        assert_eq!((got.status, got.code()), (status, code), "{uri} {header:?}");
        let head = root(&service, Method::HEAD, uri, &headers, "").await;
        assert_eq!(head.status, status, "{uri} {header:?}");
    }
}

#[tokio::test]
async fn metadata_in_other_letters_comes_back_as_encoded_words() {
    let service = store().await;
    root(&service, Method::PUT, "/own", &[], "").await;
    let said = [("x-amz-meta-a", "=?UTF-8?B?w6Q=?="), ("x-amz-meta-b", "plain")];
    root(&service, Method::PUT, "/own/k", &said, "data").await;
    for method in [Method::GET, Method::HEAD] {
        let got = root(&service, method, "/own/k", &[], "").await;
        assert_eq!(got.header("x-amz-meta-a"), "=?UTF-8?B?w6Q=?=");
        assert_eq!(got.header("x-amz-meta-b"), "plain");
    }
}

#[tokio::test]
async fn large_objects_stream_with_their_length() {
    let service = store().await;
    root(&service, Method::PUT, "/own", &[], "").await;
    let data = "0123456789abcdef".repeat(40_000);
    assert_eq!(root(&service, Method::PUT, "/own/big", &[], &data).await.status, 200);
    let got = root(&service, Method::GET, "/own/big", &[], "").await;
    assert_eq!(got.header("content-length"), data.len().to_string());
    assert_eq!(got.body, data);
    let range =
        root(&service, Method::GET, "/own/big", &[("range", "bytes=100000-400000")], "").await;
    assert_eq!(range.body, data[100_000..=400_000]);
}

#[tokio::test]
async fn listings_echo_and_encode() {
    let service = store().await;
    root(&service, Method::PUT, "/own", &[], "").await;
    for key in ["foo%2B1/bar", "foo/bar/xyzzy", "quux%20ab/thud", "asdf%2Bb"] {
        root(&service, Method::PUT, &format!("/own/{key}"), &[], "x").await;
    }
    let get = async |uri: &str| root(&service, Method::GET, uri, &[], "").await;
    let first = get("/own?delimiter=/&encoding-type=url&max-keys=2").await;
    assert_eq!(first.element("Key"), "asdf%2Bb");
    assert!(first.body.contains("<CommonPrefixes><Prefix>foo%2B1/</Prefix></CommonPrefixes>"));
    assert_eq!(first.element("IsTruncated"), "true");
    assert_eq!(first.element("NextMarker"), "foo%2B1/");
    assert_eq!(first.element("Delimiter"), "/");
    assert_eq!(first.element("EncodingType"), "url");
    assert!(first.body.contains("<Marker></Marker>") && first.body.contains("<Prefix></Prefix>"));
    assert!(!first.element("Owner").is_empty());
    let rest = get("/own?delimiter=/&encoding-type=url&marker=foo%2B1/").await;
    assert!(rest.body.contains("<Prefix>foo/</Prefix>"), "{}", rest.body);
    assert!(rest.body.contains("<Prefix>quux%20ab/</Prefix>"));
    assert_eq!(rest.element("IsTruncated"), "false");

    let second = get("/own?list-type=2&max-keys=3&start-after=a").await;
    assert_eq!((second.element("KeyCount"), second.element("MaxKeys")), ("3", "3"));
    assert_eq!(second.element("StartAfter"), "a");
    assert_eq!(second.element("Owner"), "");
    let token = second.element("NextContinuationToken").to_owned();
    let last = get(&format!("/own?list-type=2&continuation-token={token}&fetch-owner=true")).await;
    assert_eq!(last.element("ContinuationToken"), token);
    assert_eq!(last.element("KeyCount"), "1");
    assert!(!last.element("Owner").is_empty());

    let none = get("/own?max-keys=0").await;
    assert_eq!((none.element("IsTruncated"), none.element("MaxKeys")), ("false", "0"));
    assert_eq!(get("/own?max-keys=5000").await.element("MaxKeys"), "1000");
    assert_eq!(get("/own?max-keys=-1").await.code(), "InvalidArgument");
    assert_eq!(get("/own?encoding-type=base64").await.code(), "InvalidArgument");
}

#[tokio::test]
async fn versions_and_markers_show_as_s3_shows_them() {
    let service = store().await;
    root(&service, Method::PUT, "/own", &[], "").await;
    root(&service, Method::PUT, "/own?versioning", &[], VERSIONING).await;
    let first = root(&service, Method::PUT, "/own/k", &[], "one").await;
    let version = first.header("x-amz-version-id").to_owned();
    assert_eq!(version.len(), 32);
    let deleted = root(&service, Method::DELETE, "/own/k", &[], "").await;
    assert_eq!((deleted.status, deleted.header("x-amz-delete-marker")), (204, "true"));
    let marker = deleted.header("x-amz-version-id").to_owned();

    let gone = root(&service, Method::HEAD, "/own/k", &[], "").await;
    assert_eq!((gone.status, gone.header("x-amz-delete-marker")), (404, "true"));
    assert_eq!(gone.header("x-amz-version-id"), marker);
    let named = root(&service, Method::GET, &format!("/own/k?versionId={marker}"), &[], "").await;
    assert_eq!((named.status, named.code()), (405, "MethodNotAllowed"));
    assert_eq!(named.header("allow"), "DELETE");
    let old = root(&service, Method::GET, &format!("/own/k?versionId={version}"), &[], "").await;
    assert_eq!((old.status, old.body.as_str()), (200, "one"));
    let empty = root(&service, Method::GET, "/own/k?versionId=", &[], "").await;
    assert_eq!((empty.status, empty.code()), (400, "InvalidArgument"));

    let listed = root(&service, Method::GET, "/own?versions", &[], "").await;
    assert!(listed.body.contains(&format!("<VersionId>{marker}</VersionId>")));
    assert!(listed.body.contains(&format!("<VersionId>{version}</VersionId>")));
    let both = format!(
        "<Delete><Object><Key>k</Key><VersionId>{marker}</VersionId></Object><Object><Key>k</Key><VersionId>{version}</VersionId></Object><Object><Key>k</Key><VersionId>made-up</VersionId></Object></Delete>"
    );
    let removed = root(&service, Method::POST, "/own?delete", &[], &both).await;
    assert_eq!(removed.status, 200);
    assert_eq!(removed.element("DeleteMarkerVersionId"), marker);
    assert_eq!(removed.code(), "InvalidArgument");
    assert_eq!(root(&service, Method::DELETE, "/own", &[], "").await.status, 204);
}

#[tokio::test]
async fn an_upload_becomes_an_object_of_its_parts() {
    let service = store().await;
    root(&service, Method::PUT, "/own", &[], "").await;
    let begun = root(
        &service,
        Method::POST,
        "/own/k?uploads",
        &[("content-type", "multipart/form-data; boundary=x")],
        "",
    )
    .await;
    let upload = begun.element("UploadId").to_owned();
    assert!(!upload.is_empty(), "{begun:?}");
    let mut parts = String::new();
    for (number, data) in [(1, "aaaa"), (2, "bb")] {
        let uri = format!("/own/k?partNumber={number}&uploadId={upload}");
        let part = root(&service, Method::PUT, &uri, &[], data).await;
        assert_eq!(part.status, 200, "{part:?}");
        parts += &format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>",
            part.header("etag")
        );
    }
    let listed = root(&service, Method::GET, &format!("/own/k?uploadId={upload}"), &[], "").await;
    assert_eq!(listed.element("NextPartNumberMarker"), "2");
    let uploads = root(&service, Method::GET, "/own?uploads", &[], "").await;
    assert_eq!(uploads.element("UploadId"), upload);

    let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    let uri = format!("/own/k?uploadId={upload}");
    for _ in 0..2 {
        let completed =
            root(&service, Method::POST, &uri, &[("host", "localhost:9000")], &body).await;
        assert_eq!(completed.status, 200, "{completed:?}");
        assert!(completed.element("ETag").ends_with("-2\""));
        assert_eq!(completed.element("Location"), "http://localhost:9000/own/k");
    }
    let second = root(&service, Method::GET, "/own/k?partNumber=2", &[], "").await;
    assert_eq!((second.status, second.body.as_str()), (206, "bb"));
    assert_eq!(second.header("x-amz-mp-parts-count"), "2");
    assert_eq!(second.header("content-range"), "bytes 4-5/6");
    let whole = root(&service, Method::GET, "/own/k", &[], "").await;
    assert_eq!(whole.header("content-type"), "multipart/form-data; boundary=x");
    assert_eq!(whole.body, "aaaabb");
    let missing = root(&service, Method::GET, "/own/k?partNumber=3", &[], "").await;
    assert_eq!((missing.status, missing.code()), (400, "InvalidPart"));

    let copied =
        root(&service, Method::PUT, "/own/copy", &[("x-amz-copy-source", "own/k")], "").await;
    assert_eq!(copied.status, 200, "{copied:?}");
    assert_eq!(root(&service, Method::GET, "/own/copy", &[], "").await.body, "aaaabb");
    let itself =
        root(&service, Method::PUT, "/own/copy", &[("x-amz-copy-source", "own/copy")], "").await;
    assert_eq!((itself.status, itself.code()), (400, "InvalidRequest"));
    let taken = [("x-amz-copy-source", "own/k"), ("if-none-match", "*")];
    let refused = root(&service, Method::PUT, "/own/copy", &taken, "").await;
    assert_eq!((refused.status, refused.code()), (412, "PreconditionFailed"));
}

#[tokio::test]
async fn locks_hold_and_show() {
    let service = store().await;
    let locked = [("x-amz-bucket-object-lock-enabled", "true")];
    assert_eq!(root(&service, Method::PUT, "/own", &locked, "").await.status, 200);
    let put = root(&service, Method::PUT, "/own/k", &[], "data").await;
    let version = put.header("x-amz-version-id").to_owned();
    let answer = root(&service, Method::PUT, "/own/k?retention", &[], RETENTION).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let head = root(&service, Method::HEAD, "/own/k", &[], "").await;
    assert_eq!(head.header("x-amz-object-lock-mode"), "GOVERNANCE");
    assert_eq!(head.header("x-amz-object-lock-retain-until-date"), "2099-01-01T00:00:00.000Z");
    assert_eq!(head.header("x-amz-object-lock-legal-hold"), "");
    let uri = format!("/own/k?versionId={version}");
    let refused = root(&service, Method::DELETE, &uri, &[], "").await;
    assert_eq!((refused.status, refused.code()), (403, "AccessDenied"));
    assert_eq!(root(&service, Method::PUT, "/own/k?legal-hold", &[], HOLD).await.status, 200);
    let bypass = [("x-amz-bypass-governance-retention", "true")];
    assert_eq!(root(&service, Method::DELETE, &uri, &bypass, "").await.status, 403);
    let off = HOLD.replace("ON", "OFF");
    assert_eq!(root(&service, Method::PUT, "/own/k?legal-hold", &[], &off).await.status, 200);
    assert_eq!(root(&service, Method::DELETE, &uri, &bypass, "").await.status, 204);
}
