//! Object lock: what is locked stays, whoever asks, until its day or its release.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::{Bucket, Response, bucket, shared};

/// A day from now and so many days.
pub fn days_ahead(days: i64) -> String {
    let when = OffsetDateTime::now_utc() + time::Duration::days(days);
    when.replace_nanosecond(0).expect("zero").format(&Rfc3339).expect("a date")
}

fn locked(purpose: &str) -> Bucket {
    Bucket::create_locked(&shared().client(), purpose)
}

fn put_retention(bucket: &Bucket, target: &str, mode: &str, until: &str) -> Response {
    put_retention_with(bucket, target, mode, until, &[])
}

fn put_retention_with(
    bucket: &Bucket,
    target: &str,
    mode: &str,
    until: &str,
    headers: &[(&str, &str)],
) -> Response {
    let body = format!(
        "<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"
    );
    let target = format!("{target}{}retention", if target.contains('?') { "&" } else { "?" });
    bucket.put(&target).body(body).content_md5().headers(headers).send()
}

fn put_hold(bucket: &Bucket, target: &str, status: &str) -> Response {
    let body = format!("<LegalHold><Status>{status}</Status></LegalHold>");
    let target = format!("{target}{}legal-hold", if target.contains('?') { "&" } else { "?" });
    bucket.put(&target).body(body).content_md5().send()
}

fn put_default(bucket: &Bucket, rule: &str) -> Response {
    let body = format!(
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}\
         </ObjectLockConfiguration>"
    );
    bucket.put("?object-lock").body(body).content_md5().send()
}

fn rule(mode: &str, period: &str) -> String {
    format!("<Rule><DefaultRetention><Mode>{mode}</Mode>{period}</DefaultRetention></Rule>")
}

/// Stores a version with retention for a day and returns its id.
#[track_caller]
fn store_locked(bucket: &Bucket, key: &str, mode: &str) -> String {
    let request = bucket.put(key).body("locked").header("x-amz-object-lock-mode", mode);
    let request = request.header("x-amz-object-lock-retain-until-date", days_ahead(1));
    request.content_md5().send().expect(200).version_id()
}

const BYPASS: (&str, &str) = ("x-amz-bypass-governance-retention", "true");

#[test]
fn a_locked_bucket_has_versioning_that_cannot_be_suspended() {
    let bucket = locked("lock-bucket");
    assert_eq!(bucket.get("?versioning").send().expect(200).field("Status"), "Enabled");
    let xml = bucket.get("?object-lock").send().expect(200).xml();
    assert_eq!(xml.text("ObjectLockEnabled"), "Enabled");
    let body = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    let response = bucket.put("?versioning").body(body).content_md5().send();
    response.refused(409, "InvalidBucketState");
}

#[test]
fn a_locked_version_cannot_be_deleted_in_either_mode() {
    for mode in ["GOVERNANCE", "COMPLIANCE"] {
        let bucket = locked("lock-delete");
        let id = store_locked(&bucket, "k", mode);
        let target = format!("k?versionId={id}");
        bucket.delete(&target).send().refused(403, "AccessDenied");
        let body =
            format!("<Delete><Object><Key>k</Key><VersionId>{id}</VersionId></Object></Delete>");
        let response = bucket.post("?delete").body(body).content_md5().send().expect(200);
        assert_eq!(response.xml().column("Error", "Code"), ["AccessDenied"]);
        assert!(response.xml().all("Deleted").is_empty());
        assert_eq!(bucket.get(&target).send().expect(200).text(), "locked");
        bucket.delete("").send().refused(409, "BucketNotEmpty");
    }
}

#[test]
fn a_locked_object_can_be_hidden_and_covered_but_stays() {
    let bucket = locked("lock-cover");
    let id = store_locked(&bucket, "k", "COMPLIANCE");
    bucket.store("k", "newer");
    bucket.delete("k").send().expect(204).with("x-amz-delete-marker", "true");
    assert_eq!(bucket.get(&format!("k?versionId={id}")).send().expect(200).text(), "locked");
}

#[test]
fn governance_gives_way_to_a_bypass() {
    let bucket = locked("lock-governance");
    let id = store_locked(&bucket, "k", "GOVERNANCE");
    let target = format!("k?versionId={id}");
    let sooner = days_ahead(0);
    put_retention(&bucket, &target, "GOVERNANCE", &days_ahead(2)).expect(200);
    put_retention(&bucket, &target, "GOVERNANCE", &days_ahead(1)).refused(403, "AccessDenied");
    let response = put_retention_with(&bucket, &target, "GOVERNANCE", &sooner, &[BYPASS]);
    assert!(response.status == 200 || response.status == 400, "{response}");
    bucket.delete(&target).headers(&[BYPASS]).send().expect(204);
    bucket.get(&target).send().refused(404, "NoSuchVersion");
}

#[test]
fn compliance_gives_way_to_nobody() {
    let bucket = locked("lock-compliance");
    let id = store_locked(&bucket, "k", "COMPLIANCE");
    let target = format!("k?versionId={id}");
    bucket.delete(&target).headers(&[BYPASS]).send().refused(403, "AccessDenied");
    for (mode, until) in [("COMPLIANCE", days_ahead(0)), ("GOVERNANCE", days_ahead(5))] {
        let response = put_retention_with(&bucket, &target, mode, &until, &[BYPASS]);
        assert!(matches!(response.status, 400 | 403), "{mode} {until}: {response}");
    }
    let body = bucket.put(&format!("{target}&retention")).body("<Retention/>").content_md5();
    body.headers(&[BYPASS]).send().client_error();
    put_retention(&bucket, &target, "COMPLIANCE", &days_ahead(3)).expect(200);
    let body = format!("<Delete><Object><Key>k</Key><VersionId>{id}</VersionId></Object></Delete>");
    let request = bucket.post("?delete").body(body).content_md5().headers(&[BYPASS]);
    assert_eq!(request.send().expect(200).xml().column("Error", "Code"), ["AccessDenied"]);
    assert_eq!(bucket.get(&target).send().expect(200).text(), "locked");
}

#[test]
fn retention_is_told() {
    let bucket = locked("lock-told");
    let id = store_locked(&bucket, "k", "GOVERNANCE");
    let xml = bucket.get(&format!("k?retention&versionId={id}")).send().expect(200).xml();
    assert_eq!(xml.text("Mode"), "GOVERNANCE");
    assert_eq!(xml.text("RetainUntilDate")[..10], days_ahead(1)[..10]);
    let head = bucket.head("k").send().expect(200).with("x-amz-object-lock-mode", "GOVERNANCE");
    let until = head.header("x-amz-object-lock-retain-until-date").expect("a date");
    assert_eq!(until[..10], days_ahead(1)[..10]);
}

#[test]
fn a_legal_hold_holds_until_it_is_released() {
    let bucket = locked("lock-hold");
    let id = bucket.store_version("k", "held");
    let target = format!("k?versionId={id}");
    put_hold(&bucket, &target, "ON").expect(200);
    let told = bucket.get(&format!("{target}&legal-hold")).send().expect(200);
    assert_eq!(told.field("Status"), "ON");
    bucket.head("k").send().expect(200).with("x-amz-object-lock-legal-hold", "ON");
    for headers in [&[][..], &[BYPASS]] {
        bucket.delete(&target).headers(headers).send().refused(403, "AccessDenied");
    }
    put_hold(&bucket, &target, "MAYBE").refused(400, "MalformedXML");
    put_hold(&bucket, &target, "OFF").expect(200);
    bucket.delete(&target).send().expect(204);
}

#[test]
fn a_hold_that_was_never_set_is_told_from_one_that_was_lifted() {
    let bucket = locked("lock-hold-never");
    bucket.store("plain", "x");
    store_locked(&bucket, "retained", "GOVERNANCE");
    for key in ["plain", "retained"] {
        let told = || bucket.get(&format!("{key}?legal-hold")).send();
        told().refused(404, "NoSuchObjectLockConfiguration");
        bucket.head(key).send().expect(200).without("x-amz-object-lock-legal-hold");
        put_hold(&bucket, key, "ON").expect(200);
        put_hold(&bucket, key, "OFF").expect(200);
        assert_eq!(told().expect(200).field("Status"), "OFF");
        bucket.head(key).send().expect(200).with("x-amz-object-lock-legal-hold", "OFF");
    }
    let put = bucket.put("off").body("x").header("x-amz-object-lock-legal-hold", "OFF");
    put.content_md5().send().expect(200).with("x-amz-server-side-encryption", "AES256");
    assert_eq!(bucket.get("off?legal-hold").send().expect(200).field("Status"), "OFF");
}

#[test]
fn a_hold_can_come_with_the_put() {
    let bucket = locked("lock-hold-put");
    let request = bucket.put("k").body("held").header("x-amz-object-lock-legal-hold", "ON");
    let id = request.content_md5().send().expect(200).version_id();
    bucket.delete(&format!("k?versionId={id}")).send().refused(403, "AccessDenied");
}

#[test]
fn the_default_of_the_bucket_locks_what_is_put() {
    let bucket = locked("lock-default");
    put_default(&bucket, &rule("GOVERNANCE", "<Days>2</Days>")).expect(200);
    let xml = bucket.get("?object-lock").send().expect(200).xml();
    let told = xml.child("Rule").and_then(|rule| rule.child("DefaultRetention")).expect("a rule");
    assert_eq!((told.text("Mode"), told.text("Days")), ("GOVERNANCE".into(), "2".into()));
    let id = bucket.store_version("k", "x");
    let xml = bucket.get("k?retention").send().expect(200).xml();
    assert_eq!(xml.text("Mode"), "GOVERNANCE");
    assert_eq!(xml.text("RetainUntilDate")[..10], days_ahead(2)[..10]);
    bucket.delete(&format!("k?versionId={id}")).send().refused(403, "AccessDenied");
    let own = store_locked(&bucket, "own", "COMPLIANCE");
    let xml = bucket.get(&format!("own?retention&versionId={own}")).send().expect(200).xml();
    assert_eq!(xml.text("Mode"), "COMPLIANCE", "what the request says comes first");
}

#[test]
fn the_default_covers_copies_and_multipart_uploads() {
    let bucket = locked("lock-default-all");
    put_default(&bucket, &rule("GOVERNANCE", "<Years>1</Years>")).expect(200);
    bucket.store("source", "x");
    let request =
        bucket.put("copy").header("x-amz-copy-source", format!("/{}/source", bucket.name));
    request.send().expect(200);
    let upload = bucket.post("upload?uploads").send().expect(200).field("UploadId");
    let part = bucket.put(&format!("upload?partNumber=1&uploadId={upload}")).body("x");
    let etag = part.content_md5().send().expect(200).etag();
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    bucket.post(&format!("upload?uploadId={upload}")).body(body).send().expect(200);
    for key in ["source", "copy", "upload"] {
        let response = bucket.head(key).send().expect(200);
        response.with("x-amz-object-lock-mode", "GOVERNANCE");
    }
}

#[test]
fn an_upload_can_ask_for_retention_at_its_beginning() {
    let bucket = locked("lock-upload");
    let request = bucket.post("k?uploads").header("x-amz-object-lock-mode", "COMPLIANCE");
    let request = request.header("x-amz-object-lock-retain-until-date", days_ahead(1));
    let upload = request.send().expect(200).field("UploadId");
    let etag = bucket.put(&format!("k?partNumber=1&uploadId={upload}")).body("x").send().etag();
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let response = bucket.post(&format!("k?uploadId={upload}")).body(body).send().expect(200);
    let id = response.version_id();
    bucket
        .delete(&format!("k?versionId={id}"))
        .headers(&[BYPASS])
        .send()
        .refused(403, "AccessDenied");
}

#[test]
fn a_bad_default_is_refused() {
    let bucket = locked("lock-bad-default");
    let both = "<Days>1</Days><Years>1</Years>";
    for (mode, period) in [
        ("GOVERNANCE", both),
        ("GOVERNANCE", ""),
        ("governance", "<Days>1</Days>"),
        ("GOVERNANCE", "<Days>0</Days>"),
        ("GOVERNANCE", "<Days>-1</Days>"),
        ("GOVERNANCE", "<Years>0</Years>"),
        ("GOVERNANCE", "<Days>99999999999</Days>"),
    ] {
        let response = put_default(&bucket, &rule(mode, period));
        let answers =
            [(400, "MalformedXML"), (400, "InvalidArgument"), (400, "InvalidRetentionPeriod")];
        response.refused_as(&answers);
    }
    assert!(bucket.get("?object-lock").send().expect(200).xml().child("Rule").is_none());
}

#[test]
fn a_misspelt_element_loosens_nothing() {
    let bucket = locked("lock-misspelt");
    let compliance = rule("COMPLIANCE", "<Days>1</Days>");
    put_default(&bucket, &compliance).expect(200);
    for (from, to) in [
        ("Rule>", "rule>"),
        ("Rule>", "Rules>"),
        ("DefaultRetention>", "Retention>"),
        ("<Days>1</Days>", "<Days>1</Days><Dayz>2</Dayz>"),
    ] {
        put_default(&bucket, &compliance.replace(from, to)).refused(400, "MalformedXML");
    }
    put_default(&bucket, "COMPLIANCE").refused(400, "MalformedXML");
    let kept = bucket.get("?object-lock").send().expect(200).text();
    assert!(kept.contains("<Mode>COMPLIANCE</Mode>"), "{kept}");

    let id = store_locked(&bucket, "k", "GOVERNANCE");
    let target = format!("k?versionId={id}&retention");
    for body in [
        "<Retention><mode>COMPLIANCE</mode><RetainUntil>2028-01-01T00:00:00Z</RetainUntil></Retention>",
        "<Retention Mode=\"COMPLIANCE\"/>",
        "<Retention>none</Retention>",
        "<Retention><Mode/></Retention>",
        "<retention/>",
    ] {
        let request = bucket.put(&target).body(body).content_md5().headers(&[BYPASS]);
        request.send().refused(400, "MalformedXML");
    }
    assert_eq!(bucket.get(&target).send().expect(200).field("Mode"), "GOVERNANCE");

    let body = "<PublicAccessBlockConfiguration><blockPublicAcls>true</blockPublicAcls>\
                </PublicAccessBlockConfiguration>";
    let request = bucket.put("?publicAccessBlock").body(body).content_md5();
    request.send().refused(400, "MalformedXML");
    let block = bucket.get("?publicAccessBlock").send().expect(200);
    assert_eq!(block.field("BlockPublicAcls"), "true");
}

#[test]
fn a_lock_that_cannot_be_kept_is_refused() {
    let plain = bucket("lock-plain");
    let request = plain.put("k").body("x").header("x-amz-object-lock-mode", "GOVERNANCE");
    let request = request.header("x-amz-object-lock-retain-until-date", days_ahead(1));
    request.content_md5().send().refused(400, "InvalidRequest");
    let request = plain.put("k").body("x").header("x-amz-object-lock-legal-hold", "ON");
    request.content_md5().send().refused(400, "InvalidRequest");
    plain.head("k").send().expect(404);
    plain.store("k", "x");
    put_retention(&plain, "k", "GOVERNANCE", &days_ahead(1)).refused(400, "InvalidRequest");
    put_hold(&plain, "k", "ON").refused(400, "InvalidRequest");
    put_default(&plain, &rule("GOVERNANCE", "<Days>1</Days>")).refused(409, "InvalidBucketState");
    plain.get("?object-lock").send().refused(404, "ObjectLockConfigurationNotFoundError");
}

#[test]
fn lock_headers_have_to_make_sense() {
    let bucket = locked("lock-headers");
    let mode = ("x-amz-object-lock-mode", "GOVERNANCE");
    let date = "x-amz-object-lock-retain-until-date";
    let (ahead, past) = (days_ahead(1), days_ahead(-1));
    let cases: [&[(&str, &str)]; 6] = [
        &[mode],
        &[(date, &ahead)],
        &[mode, (date, &past)],
        &[mode, (date, "tomorrow")],
        &[("x-amz-object-lock-mode", "STRICT"), (date, &ahead)],
        &[("x-amz-object-lock-legal-hold", "MAYBE")],
    ];
    for headers in cases {
        let response = bucket.put("k").body("x").headers(headers).content_md5().send();
        response.refused_as(&[(400, "InvalidArgument"), (400, "InvalidRequest")]);
    }
    bucket.head("k").send().expect(404);
    bucket.store("k", "x");
    for (mode, until) in [("STRICT", &ahead), ("GOVERNANCE", &"never".to_owned())] {
        put_retention(&bucket, "k", mode, until).refused(400, "MalformedXML");
    }
    put_retention(&bucket, "k", "GOVERNANCE", &past).refused(400, "InvalidArgument");
}

#[test]
fn what_has_no_lock_says_so() {
    let bucket = locked("lock-none");
    bucket.store("k", "x");
    for query in ["retention", "legal-hold"] {
        let response = bucket.get(&format!("k?{query}")).send();
        response.refused(404, "NoSuchObjectLockConfiguration");
        bucket.get(&format!("missing?{query}")).send().refused(404, "NoSuchKey");
    }
    put_retention(&bucket, "missing", "GOVERNANCE", &days_ahead(1)).refused(404, "NoSuchKey");
}

#[test]
fn a_hold_that_is_off_is_told_as_off() {
    let bucket = locked("lock-hold-off");
    bucket.store("lifted", "x");
    for status in ["ON", "OFF"] {
        put_hold(&bucket, "lifted", status).expect(200);
    }
    let request = bucket.put("never-on").body("x").header("x-amz-object-lock-legal-hold", "OFF");
    request.content_md5().send().expect(200);
    for key in ["lifted", "never-on"] {
        let told = bucket.get(&format!("{key}?legal-hold")).send().expect(200);
        assert_eq!(told.field("Status"), "OFF", "{key}");
        bucket.head(key).send().expect(200).with("x-amz-object-lock-legal-hold", "OFF");
        bucket
            .get(&format!("{key}?retention"))
            .send()
            .refused(404, "NoSuchObjectLockConfiguration");
        let id = bucket.head(key).send().version_id();
        bucket.delete(&format!("{key}?versionId={id}")).send().expect(204);
    }
}

#[test]
fn a_versioned_bucket_can_be_locked_later() {
    let bucket = Bucket::create_versioned(&shared().client(), "lock-later");
    put_default(&bucket, &rule("COMPLIANCE", "<Days>1</Days>")).expect(200);
    let id = bucket.store_version("k", "x");
    bucket.delete(&format!("k?versionId={id}")).send().refused(403, "AccessDenied");
}
