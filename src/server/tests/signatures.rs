//! Who gets through, and as whom.

use time::Duration;

use super::{ALICE, KeyPair, Plan, ROOT, TestServer};

#[tokio::test]
async fn signed_requests_arrive_with_their_principal_and_without_their_signature() {
    let server = TestServer::start().await;
    for (keys, name) in [(Some(ROOT), "root"), (Some(ALICE), "alice"), (None, "")] {
        let plan = Plan::new("GET", "/bucket/a%20b?versionId=v%2F1").keys(keys);
        let answer = server.send(&plan).await;
        assert!(answer.has(&format!("principal={name}")), "{}", answer.body);
        assert!(answer.has("operation=GetObject"));
        assert!(answer.has("uri=/bucket/a%20b?versionId=v%2F1"));
        assert!(!answer.body.contains("authorization:"));
    }
}

#[tokio::test]
async fn wrong_signatures_do_not_get_through() {
    let server = TestServer::start().await;
    let get = || Plan::new("GET", "/bucket/key");
    let stranger = KeyPair { access_key: "stranger", secret_key: "rootsecret" };
    let liar = KeyPair { access_key: "rootkey", secret_key: "wrongsecret" };
    for (plan, code) in [
        (get().keys(Some(stranger)), "InvalidAccessKeyId"),
        (get().keys(Some(liar)), "SignatureDoesNotMatch"),
        (get().late(Duration::minutes(16)), "RequestTimeTooSkewed"),
        (get().late(Duration::minutes(-16)), "RequestTimeTooSkewed"),
        (get().late(Duration::minutes(14)), "GetObject"),
        (get().unsigned("x-amz-meta-a", "1"), "AccessDenied"),
        (get().header("x-amz-security-token", "t"), "InvalidToken"),
        (Plan::put(b"").unsigned("x-amz-copy-source", "/other/secret"), "AccessDenied"),
        (Plan::put(b"").header("x-amz-copy-source", "/other/open"), "CopyObject"),
        (
            get().keys(None).header("authorization", "AWS rootkey:frJIUN8DYpKDtOLCwo//yllqDzg="),
            "InvalidRequest",
        ),
    ] {
        assert_eq!(server.code(&plan).await, code);
    }
}

#[tokio::test]
async fn presigned_requests_lose_their_signature_and_get_their_headers_back() {
    let server = TestServer::start().await;
    let plan =
        Plan::new("PUT", "/bucket/k%2B?x-id=PutObject&x-amz-meta-color=blue%20ish").body(b"data");
    let answer = server.send_bytes(&plan.presign(ALICE, 60, &["host"])).await;
    assert_eq!(answer.code(), "PutObject", "{}", answer.body);
    assert!(answer.has("uri=/bucket/k%2B?x%2Did=PutObject"), "{}", answer.body);
    assert!(answer.has("x-amz-meta-color: blue ish"));
    assert!(answer.has("principal=alice") && answer.has("body=data"));
    let both = plan.clone().header("x-amz-meta-color", "red");
    let signed = ["host", "x-amz-meta-color"];
    assert_eq!(server.send_bytes(&both.presign(ROOT, 60, &signed)).await.code(), "InvalidArgument");
}

#[tokio::test]
async fn presigned_requests_end_with_their_time_and_carry_nothing_more() {
    let server = TestServer::start().await;
    let get = || Plan::new("GET", "/bucket/key");
    let parameters = "AuthorizationQueryParametersError";
    for (plan, seconds, code) in [
        (get(), 60, "GetObject"),
        (get().late(Duration::minutes(2)), 60, "AccessDenied"),
        (get(), 0, "AccessDenied"),
        (get(), -1, parameters),
        (get(), 604_800, "GetObject"),
        (get(), 315_360_000, parameters),
        (get().unsigned("x-amz-tagging", "a=b"), 60, "AccessDenied"),
        (Plan::put(b"").unsigned("x-amz-copy-source", "/other/secret"), 60, "AccessDenied"),
        (Plan::put(b"").unsigned("x-amz-acl", "public-read"), 60, "AccessDenied"),
    ] {
        let answer = server.send_bytes(&plan.presign(ROOT, seconds, &["host"])).await;
        assert_eq!(answer.code(), code, "{seconds}");
    }
    let late = get().late(Duration::hours(1)).presign(ROOT, 60, &["host"]);
    let expired = server.send_bytes(&late).await;
    assert!(expired.body.contains("<Message>Request has expired</Message>"), "{}", expired.body);
}

#[tokio::test]
async fn hosts_below_a_domain_name_buckets() {
    let server = TestServer::start().await;
    let plan = Plan::new("GET", "/a//b?versionId=1").header("host", "photos.s3.test:9000");
    let answer = server.send(&plan).await;
    assert!(answer.has("uri=/photos/a//b?versionId=1"), "{}", answer.body);
    let plan = Plan::new("GET", "/").header("host", "photos.s3.test");
    assert_eq!(server.code(&plan).await, "ListObjects");
    let plan = Plan::new("GET", "/").header("host", "unknown.example");
    assert_eq!(server.code(&plan).await, "ListBuckets");
    let plan = Plan::new("GET", "//").header("host", "localhost");
    assert_eq!(server.code(&plan).await, "ListBuckets");
}

#[tokio::test]
async fn other_services_are_told_that_they_are_not_built() {
    let server = TestServer::start().await;
    for service in ["s3vectors", "iam", "sts"] {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=rootkey/20260101/r/{service}/aws4_request, \
             SignedHeaders=host, Signature=00"
        );
        let plan = Plan::new("POST", "/CreateVectorBucket")
            .keys(None)
            .header("authorization", scope)
            .header("content-length", "0");
        let answer = server.send(&plan).await;
        assert_eq!((answer.status, answer.code().as_str()), (501, "NotImplemented"));
    }
}

#[tokio::test]
async fn version_2_urls_arrive_as_plain_requests() {
    let server = TestServer::start().await;
    let expires = (time::OffsetDateTime::now_utc() + Duration::minutes(1)).unix_timestamp();
    let text = format!("PUT\n\ntext/plain\n{expires}\nx-amz-meta-a:b\n/bucket/a%20b");
    let signature = sigv2_signature(ALICE, &text);
    let target = format!(
        "/bucket/a%20b?AWSAccessKeyId={}&Signature={signature}&Expires={expires}\
         &content-type=text%2Fplain&x-amz-meta-a=b",
        ALICE.access_key
    );
    let plan = Plan::new("PUT", &target).keys(None).body(b"data");
    let sent_too = plan.clone().header("content-type", "text/plain").header("x-amz-meta-a", "b");
    for plan in [&plan, &sent_too] {
        let answer = server.send(plan).await;
        assert_eq!(answer.code(), "PutObject", "{}", answer.body);
        assert!(answer.has("uri=/bucket/a%20b"), "{}", answer.body);
        for line in ["content-type: text/plain", "x-amz-meta-a: b", "principal=alice", "body=data"]
        {
            assert_eq!(answer.body.lines().filter(|found| *found == line).count(), 1, "{line}");
        }
    }
    let copying = plan.clone().header("x-amz-copy-source", "/other/secret");
    assert_eq!(server.code(&copying).await, "SignatureDoesNotMatch");
    let bucket = target.replace("/a%20b", "");
    let listing = Plan::new("GET", &bucket).keys(None);
    assert_eq!(server.code(&listing).await, "InvalidRequest");
}

fn sigv2_signature(keys: KeyPair, text: &str) -> String {
    use base64::Engine as _;
    use hmac::{KeyInit as _, Mac as _};
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(keys.secret_key.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}
