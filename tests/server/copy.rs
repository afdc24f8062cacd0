//! Copies: the same bytes under another name, with the metadata that was asked for.

use crate::support::fixture::bytes;
use crate::support::signing::encode_path;
use crate::support::{Bucket, Request, bucket, digest, shared};

fn copy(bucket: &Bucket, source: &str, target: &str) -> Request {
    bucket.put(target).header("x-amz-copy-source", format!("/{}/{source}", bucket.name))
}

#[test]
fn a_copy_has_content_etag_and_metadata_of_its_source() {
    let bucket = bucket("copy");
    let put = bucket.put("source").body("content").header("content-type", "text/x-test");
    let etag = put.header("x-amz-meta-a", "1").send().expect(200).etag();
    let response = copy(&bucket, "source", "target").send().expect(200);
    assert_eq!(response.xml().name, "CopyObjectResult");
    assert_eq!(response.field("ETag"), etag);
    assert!(response.field("LastModified").ends_with('Z'));
    let copied = bucket.get("target").send().expect(200).with("etag", &etag);
    let copied = copied.with("content-type", "text/x-test").with("x-amz-meta-a", "1");
    assert_eq!(copied.text(), "content");
}

#[test]
fn a_copy_can_replace_the_metadata() {
    let bucket = bucket("copy-replace");
    let put = bucket.put("source").body("content").header("content-type", "text/x-test");
    put.header("x-amz-meta-a", "1").send().expect(200);
    let request = copy(&bucket, "source", "target").header("x-amz-metadata-directive", "REPLACE");
    request.header("x-amz-meta-b", "2").send().expect(200);
    let copied = bucket.head("target").send().expect(200);
    copied
        .without("x-amz-meta-a")
        .with("x-amz-meta-b", "2")
        .with("content-type", "binary/octet-stream");
    let request = copy(&bucket, "source", "x").header("x-amz-metadata-directive", "MERGE");
    request.send().refused(400, "InvalidArgument");
}

#[test]
fn a_copy_to_itself_has_to_change_something() {
    let bucket = bucket("copy-itself");
    bucket.put("k").body("content").header("x-amz-meta-a", "1").send().expect(200);
    copy(&bucket, "k", "k").send().refused(400, "InvalidRequest");
    let request = copy(&bucket, "k", "k").header("x-amz-metadata-directive", "REPLACE");
    request.header("x-amz-meta-a", "2").send().expect(200);
    let changed = bucket.get("k").send().expect(200).with("x-amz-meta-a", "2");
    assert_eq!(changed.text(), "content");
}

#[test]
fn a_large_copy_outlives_its_source() {
    let bucket = bucket("copy-large");
    let content = bytes(6 * 1024 * 1024 + 11);
    bucket.store("source", content.clone());
    copy(&bucket, "source", "target").send().expect(200);
    bucket.delete("source").send().expect(204);
    bucket.store("source", "other");
    assert!(bucket.content("target") == content);
}

#[test]
fn a_copy_goes_across_buckets() {
    let (from, to) = (bucket("copy-from"), bucket("copy-to"));
    from.store("k", "content");
    copy(&from, "k", "unused").send().expect(200);
    let source = format!("{}/k", from.name);
    to.put("k").header("x-amz-copy-source", source).send().expect(200);
    assert_eq!(to.content("k"), b"content");
}

#[test]
fn a_copy_needs_the_right_to_read_its_source() {
    let secret = bucket("copy-secret");
    secret.store("k", "secret");
    let alice = shared()
        .client()
        .with_keys(crate::support::process::ALICE.0, crate::support::process::ALICE.1);
    let own = Bucket::create(&alice, "copy-alice");
    let source = format!("/{}/k", secret.name);
    own.put("k").header("x-amz-copy-source", source).send().refused(403, "AccessDenied");
    own.head("k").send().expect(404);
}

#[test]
fn the_name_of_the_source_is_percent_encoded() {
    let bucket = bucket("copy-encoded");
    for key in ["a b+c", "ключ", "per%cent", "q?versionId=x", "dot/../dot", "plus+plus"] {
        bucket.store(key, key);
        copy(&bucket, &encode_path(key), "target").send().expect(200);
        assert_eq!(bucket.content("target"), key.as_bytes());
    }
    // AWS takes a plus sign there as itself, not as a space.
    copy(&bucket, "plus+plus", "target").send().expect(200);
    assert_eq!(bucket.content("target"), b"plus+plus");
}

#[test]
fn a_bad_source_is_named_as_such() {
    let bucket = bucket("copy-bad");
    copy(&bucket, "missing", "target").send().refused(404, "NoSuchKey");
    let from = |source: &str| bucket.put("target").header("x-amz-copy-source", source).send();
    from("/no-such-bucket-here/k").refused(404, "NoSuchBucket");
    for source in ["", "/", "bucketonly", "/bucket-only/", "//"] {
        let answers = [(400, "InvalidArgument"), (400, "InvalidRequest"), (404, "NoSuchBucket")];
        from(source).refused_as(&answers);
    }
    bucket.head("target").send().expect(404);
}

#[test]
fn a_version_can_be_copied() {
    let bucket = Bucket::create_versioned(&shared().client(), "copy-version");
    let first = bucket.store_version("k", "first");
    bucket.store("k", "second");
    let response = copy(&bucket, &format!("k?versionId={first}"), "target").send().expect(200);
    let response = response.with("x-amz-copy-source-version-id", &first);
    assert!(!response.version_id().is_empty());
    assert_eq!(bucket.content("target"), b"first");
    copy(&bucket, &format!("k?versionId={first}"), "k").send().expect(200);
    assert_eq!(bucket.content("k"), b"first");
}

#[test]
fn a_delete_marker_cannot_be_copied() {
    let bucket = Bucket::create_versioned(&shared().client(), "copy-marker");
    bucket.store("k", "x");
    let marker = bucket.delete("k").send().expect(204).version_id();
    copy(&bucket, "k", "target").send().refused(404, "NoSuchKey");
    let response = copy(&bucket, &format!("k?versionId={marker}"), "target").send();
    response.refused_as(&[(400, "InvalidRequest"), (405, "MethodNotAllowed")]);
}

#[test]
fn a_copy_takes_the_tags_along_or_new_ones() {
    let bucket = bucket("copy-tags");
    bucket.put("source").body("x").header("x-amz-tagging", "a=1").send().expect(200);
    copy(&bucket, "source", "same").send().expect(200);
    let request = copy(&bucket, "source", "other").header("x-amz-tagging-directive", "REPLACE");
    request.header("x-amz-tagging", "b=2").send().expect(200);
    for (key, expected) in [("same", "a"), ("other", "b")] {
        let xml = bucket.get(&format!("{key}?tagging")).send().expect(200).xml();
        let tags = xml.child("TagSet").expect("a set").column("Tag", "Key");
        assert_eq!(tags, [expected], "{key}");
    }
}

#[test]
fn a_copy_can_ask_for_a_checksum() {
    let bucket = bucket("copy-checksum");
    bucket.store("source", "content");
    let request = copy(&bucket, "source", "target").header("x-amz-checksum-algorithm", "SHA256");
    let response = request.send().expect(200);
    assert_eq!(response.field("ChecksumSHA256"), digest::checksum("SHA256", b"content"));
    let head = bucket.head("target").header("x-amz-checksum-mode", "ENABLED").send().expect(200);
    head.with("x-amz-checksum-sha256", &digest::checksum("SHA256", b"content"));
}

#[test]
fn a_copy_keeps_the_checksum_of_its_source() {
    let bucket = bucket("copy-checksum-kept");
    bucket.put("source").body("content").checksum("CRC32C").send().expect(200);
    copy(&bucket, "source", "target").send().expect(200);
    let head = bucket.head("target").header("x-amz-checksum-mode", "ENABLED").send().expect(200);
    head.with("x-amz-checksum-crc32c", &digest::checksum("CRC32C", b"content"));
}
