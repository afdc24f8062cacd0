//! Signatures that are wrong, stale, stretched or borrowed: none of them opens anything.

use crate::support::process::{ALICE, ROOT};
use crate::support::signing::{encode, timestamp};
use crate::support::{Bucket, bucket, shared};

#[track_caller]
fn stocked(purpose: &str) -> Bucket {
    let bucket = bucket(purpose);
    bucket.store("k", "content");
    bucket
}

#[test]
fn a_wrong_secret_is_a_wrong_signature() {
    let bucket = stocked("wrong-secret");
    let response = bucket.seen_by((ROOT.0, "wrong")).get("k").send();
    response.refused(403, "SignatureDoesNotMatch");
    let response = bucket.seen_by((ROOT.0, "wrong")).get("k").presigned(60).send();
    response.refused(403, "SignatureDoesNotMatch");
    let response = bucket.seen_by((ROOT.0, ALICE.1)).get("k").send();
    response.refused(403, "SignatureDoesNotMatch");
}

#[test]
fn an_unknown_key_is_named_so() {
    let bucket = stocked("unknown-key");
    let nobody = bucket.seen_by(("NOSUCHKEY0000000", "secret"));
    nobody.get("k").send().refused(403, "InvalidAccessKeyId");
    nobody.get("k").presigned(60).send().refused(403, "InvalidAccessKeyId");
    nobody.put("new").body("x").send().refused(403, "InvalidAccessKeyId");
    bucket.head("new").send().expect(404);
}

#[test]
fn a_signature_covers_method_path_query_and_headers() {
    let bucket = stocked("tampered");
    bucket.store("other", "other");
    let name = &bucket.name;
    let elsewhere = format!("/{name}/other");
    let requests = [
        bucket.get("k").redirect(&elsewhere),
        bucket.get("k").redirect(&format!("/{name}/k?versionId=null")),
        bucket.get("k").sent_method("DELETE"),
        bucket
            .get("k?response-content-type=a")
            .redirect(&format!("/{name}/k?response-content-type=b")),
        bucket.get("k").host("elsewhere.example.com").leave_unsigned("none").redirect(&elsewhere),
    ];
    for request in requests {
        request.send().refused(403, "SignatureDoesNotMatch");
    }
    let wire = bucket.get("k").header("x-amz-meta-a", "1").build();
    let text = String::from_utf8(wire.head).unwrap().replace("x-amz-meta-a: 1", "x-amz-meta-a: 2");
    let mut connection = bucket.client.connection().unwrap();
    let response = connection.exchange("GET", text.as_bytes(), b"").unwrap();
    response.refused(403, "SignatureDoesNotMatch");
    assert_eq!(bucket.content("k"), b"content");
}

#[test]
fn a_clock_may_be_a_quarter_of_an_hour_off() {
    let bucket = stocked("skew");
    for offset_s in [-840, 840] {
        bucket.get("k").clock_offset(offset_s).send().expect(200);
    }
    for offset_s in [-960, 960, -86_400, 86_400] {
        let response = bucket.get("k").clock_offset(offset_s).send();
        response.refused(403, "RequestTimeTooSkewed");
    }
}

#[test]
fn a_date_outside_all_years_is_no_date() {
    let bucket = stocked("far-date");
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=x/20130524/us-east-1/s3/aws4_request,SignedHeaders=host,\
         Signature={}",
        "0".repeat(64)
    );
    for date in ["Fri, 31 Dec 9999 23:59:59 -2359", "Sat, 01 Jan 0000 00:00:00 +2359"] {
        let request = bucket.get("k").anonymous().header("date", date);
        request.header("authorization", &authorization).send().refused(403, "AccessDenied");
    }
    assert_eq!(shared().metric("lodestore_handler_panics_total"), Some(0.0));
}

#[test]
fn a_link_lives_for_seven_days_at_most() {
    let bucket = stocked("presigned-life");
    bucket.get("k").presigned(604_800).send().expect(200);
    for expires_s in [604_801, 315_360_000, i64::MAX, 0, -1, i64::MIN] {
        let response = bucket.get("k").presigned(expires_s).send();
        let answers = [(400, "AuthorizationQueryParametersError"), (403, "AccessDenied")];
        response.refused_as(&answers);
    }
}

#[test]
fn a_link_ends_when_it_says() {
    let bucket = stocked("presigned-end");
    bucket.get("k").presigned(3600).clock_offset(-3500).send().expect(200);
    let response = bucket.get("k").presigned(3600).clock_offset(-3700).send();
    response.refused(403, "AccessDenied");
    let response = bucket.get("k").presigned(3600).clock_offset(3600).send();
    assert!(matches!(response.status, 400 | 403), "a link from the future: {response}");
}

#[test]
fn a_link_that_lacks_a_field_is_none() {
    let bucket = stocked("presigned-fields");
    let wire = bucket.get("k").presigned(60).build();
    let head = String::from_utf8(wire.head).unwrap();
    let target = head.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').unwrap();
    let fields: Vec<&str> = query.split('&').collect();
    for left_out in 0..fields.len() {
        let mut rest = fields.clone();
        let name = rest.remove(left_out);
        let target = format!("{path}?{}", rest.join("&"));
        let response = bucket.client.request("GET", &target).anonymous().send();
        assert!(matches!(response.status, 400 | 403), "without {name}: {response}");
    }
    for (name, value) in [
        ("X-Amz-Algorithm", "AWS4-HMAC-MD5"),
        ("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"),
        ("X-Amz-Date", "yesterday"),
        ("X-Amz-Expires", "soon"),
        ("X-Amz-Credential", "nonsense"),
        ("X-Amz-Signature", "00"),
        ("X-Amz-SignedHeaders", ""),
    ] {
        let changed: Vec<String> = fields
            .iter()
            .map(|field| match field.split_once('=') {
                Some((key, _)) if key == name => format!("{key}={value}"),
                _ => (*field).to_owned(),
            })
            .collect();
        let target = format!("{path}?{}", changed.join("&"));
        let response = bucket.client.request("GET", &target).anonymous().send();
        assert!(matches!(response.status, 400 | 403 | 501), "{name}={value}: {response}");
    }
}

#[test]
fn a_malformed_authorization_is_refused() {
    let bucket = stocked("malformed-authorization");
    let scope = format!("{}/us-east-1/s3/aws4_request", &timestamp(0)[..8]);
    let zeros = "0".repeat(64);
    let good = format!("Credential={}/{scope}", ROOT.0);
    let values = [
        String::new(),
        "AWS4-HMAC-SHA256".to_owned(),
        "AWS4-HMAC-SHA256 nonsense".to_owned(),
        format!("AWS4-HMAC-SHA256 {good}, SignedHeaders=host"),
        format!("AWS4-HMAC-SHA256 {good}, Signature={zeros}"),
        format!("AWS4-HMAC-SHA256 Credential={}, SignedHeaders=host, Signature={zeros}", ROOT.0),
        format!("AWS4-HMAC-SHA256 {good}, SignedHeaders=, Signature={zeros}"),
        format!("AWS4-HMAC-SHA256 {good}, SignedHeaders=host, Signature=zz"),
        format!("AWS4-HMAC-SHA512 {good}, SignedHeaders=host, Signature={zeros}"),
        "Bearer token".to_owned(),
        "Basic dXNlcjpwYXNz".to_owned(),
        format!("AWS4-HMAC-SHA256 {}", "x".repeat(20_000)),
    ];
    for value in values {
        let request = bucket.get("k").anonymous().unsigned_header("authorization", value.as_str());
        let request = request.unsigned_header("x-amz-date", timestamp(0));
        let request = request.unsigned_header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
        let response = request.send();
        let refused = matches!(response.status, 400 | 403 | 431 | 501);
        assert!(refused, "{:.80}: {response}", value);
    }
}

#[test]
fn version_two_signatures_are_refused() {
    let bucket = stocked("version-two");
    let request = bucket.get("k").anonymous();
    let request = request.unsigned_header("authorization", format!("AWS {}:c2lnbmF0dXJl", ROOT.0));
    let response = request.unsigned_header("date", "Tue, 27 Mar 2029 19:36:42 +0000").send();
    response.refused(400, "InvalidRequest");
    let target = format!("k?AWSAccessKeyId={}&Signature=c2ln&Expires=4102444800", ROOT.0);
    bucket.get(&target).anonymous().send().client_error();
}

#[test]
fn a_client_need_not_know_the_region() {
    let bucket = stocked("any-region");
    bucket.get("k").region("eu-central-1").send().expect(200);
    bucket.get("k").region("mars-1").presigned(60).send().expect(200);
}

#[test]
fn a_scope_of_another_day_is_refused() {
    let bucket = stocked("scope");
    let wire = bucket.get("k").build();
    let head = String::from_utf8(wire.head).unwrap();
    let today = &timestamp(0)[..8];
    let changed = head.replacen(&format!("/{today}/"), "/20200101/", 1);
    let mut connection = bucket.client.connection().unwrap();
    let response = connection.exchange("GET", changed.as_bytes(), b"").unwrap();
    assert!(matches!(response.status, 400 | 403), "{response}");
}

#[test]
fn a_request_is_signed_once() {
    let bucket = stocked("signed-twice");
    let wire = bucket.get("k").presigned(60).build();
    let head = String::from_utf8(wire.head).unwrap();
    let target = head.split(' ').nth(1).unwrap();
    let response = bucket.client.request("GET", target).send();
    response.refused(400, "InvalidArgument");
}

#[test]
fn the_payload_hash_has_to_be_named() {
    let bucket = bucket("payload-named");
    for name in ["", "nonsense", "STREAMING-NONSENSE", &"A".repeat(64)] {
        let response = bucket.put("k").body("x").payload(name).send();
        assert!(matches!(response.status, 400 | 403 | 501), "{name}: {response}");
    }
    bucket.head("k").send().expect(404);
}

#[test]
fn a_session_token_that_nobody_gave_is_refused() {
    let bucket = stocked("token");
    let target = format!("k?X-Amz-Security-Token={}", encode("made-up"));
    for request in [
        bucket.get("k").header("x-amz-security-token", "made-up"),
        bucket.get("k").unsigned_header("x-amz-security-token", "made-up"),
        bucket.get("k").presigned(60).unsigned_header("x-amz-security-token", "made-up"),
        bucket.get(&target).presigned(60),
    ] {
        request.send().refused(400, "InvalidToken");
    }
}

#[test]
fn a_user_is_kept_to_what_is_theirs_after_all_of_this() {
    let bucket = Bucket::create(&shared().client().with_keys(ALICE.0, ALICE.1), "auth-alice");
    bucket.store("k", "hers");
    assert_eq!(bucket.content("k"), b"hers");
}
