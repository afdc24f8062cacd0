//! Answers that a conformance suite taught us, and answers of AWS where such a suite expects others:
//! `docs/s3.md` lists those.

use crate::support::digest::{checksum, checksum_header};
use crate::support::xml::escape;
use crate::support::{Bucket, bucket, shared};

/// Begins an upload and answers its id.
#[track_caller]
fn begin(bucket: &Bucket, headers: &[(&str, &str)]) -> String {
    bucket.post("k?uploads").headers(headers).send().expect(200).xml().text("UploadId")
}

/// The body that completes an upload of one part; `more` is said of the part besides.
fn one_part(etag: &str, more: &str) -> String {
    format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag>{more}</Part>\
         </CompleteMultipartUpload>",
        escape(etag)
    )
}

#[test]
fn a_write_while_versioning_is_suspended_tells_no_version() {
    let bucket = Bucket::create_versioned(&shared().client(), "suspended-writes");
    bucket.set_versioning("Suspended");
    let told_to_readers = || {
        for request in [bucket.get("k"), bucket.head("k")] {
            request.send().expect(200).with("x-amz-version-id", "null");
        }
    };
    bucket.put("k").body("x").send().expect(200).without("x-amz-version-id");
    told_to_readers();

    let source = format!("/{}/k", bucket.name);
    let copied = bucket.put("k").header("x-amz-copy-source", source.as_str());
    let copied = copied.header("x-amz-metadata-directive", "REPLACE").send().expect(200);
    copied.without("x-amz-version-id");
    told_to_readers();

    let id = begin(&bucket, &[]);
    let etag = bucket.put(&format!("k?partNumber=1&uploadId={id}")).body("y").send().etag();
    // The second time it is answered from the record of the first.
    for _ in 0..2 {
        let complete = bucket.post(&format!("k?uploadId={id}")).body(one_part(&etag, ""));
        complete.send().expect(200).without("x-amz-version-id");
    }
    told_to_readers();
}

#[test]
fn tags_come_in_the_order_of_their_keys() {
    let bucket = bucket("tags-order");
    bucket.put("k").body("x").header("x-amz-tagging", "foo=bar&bar").send().expect(200);
    let told = bucket.get("k?tagging").send().expect(200).xml();
    assert_eq!(told.child("TagSet").expect("a set").column("Tag", "Key"), ["bar", "foo"]);
}

#[test]
fn a_content_encoding_is_kept_to_the_letter() {
    let bucket = bucket("codings");
    for coding in ["gzip", "deflate, gzip", "deflate,gzip"] {
        bucket.put("k").body("x").header("content-encoding", coding).send().expect(200);
        bucket.head("k").send().expect(200).with("content-encoding", coding);
    }
}

#[test]
fn what_does_not_choose_the_encryption_may_not_name_it() {
    let bucket = bucket("encryption-named");
    bucket.store("k", "x");
    let id = begin(&bucket, &[]);
    let part = format!("k?partNumber=1&uploadId={id}");
    let encryption = ("x-amz-server-side-encryption", "AES256");
    for request in [bucket.get("k"), bucket.put(&part).body("y")] {
        request.headers(&[encryption]).send().refused(400, "InvalidArgument");
    }
    bucket.head("k").headers(&[encryption]).send().expect(400);
    bucket.put("k").body("y").headers(&[encryption]).send().expect(200);
}

#[test]
fn a_copied_range_that_ends_beyond_its_source_is_told_from_one_that_begins_there() {
    let bucket = bucket("copied-range");
    bucket.store("source", "12345");
    let id = begin(&bucket, &[]);
    let part = bucket.put(&format!("k?partNumber=1&uploadId={id}"));
    let part = part.header("x-amz-copy-source", format!("/{}/source", bucket.name));
    for (range, code, message) in [
        (
            "bytes=0-5",
            "InvalidArgument",
            "Range specified is not valid for source object of size: 5",
        ),
        (
            "bytes=5-9",
            "InvalidRequest",
            "The specified copy range is invalid for the source object size",
        ),
    ] {
        let refused = part.clone().header("x-amz-copy-source-range", range).send();
        assert_eq!(refused.refused(400, code).field("Message"), message);
    }
    part.header("x-amz-copy-source-range", "bytes=0-4").send().expect(200);
}

#[test]
fn completing_a_composite_checksum_takes_the_checksum_of_every_part() {
    let bucket = bucket("part-checksums");
    let id = begin(&bucket, &[("x-amz-checksum-algorithm", "SHA256")]);
    let sum = checksum("SHA256", b"content");
    let part = bucket.put(&format!("k?partNumber=1&uploadId={id}")).body("content");
    let etag = part.header(&checksum_header("SHA256"), sum.as_str()).send().expect(200).etag();
    let complete =
        |more: &str| bucket.post(&format!("k?uploadId={id}")).body(one_part(&etag, more)).send();
    complete("").refused(400, "InvalidRequest");
    complete(&format!("<ChecksumSHA256>{sum}</ChecksumSHA256>")).expect(200);
}

#[test]
fn the_prefix_of_a_listing_is_encoded_when_keys_are() {
    let bucket = bucket("prefix-encoding");
    for version in ["", "&list-type=2"] {
        let listed = bucket.get(&format!("?prefix=%0A&encoding-type=url{version}")).send();
        assert_eq!(listed.expect(200).xml().text("Prefix"), "%0A");
        let listed = bucket.get(&format!("?prefix=%0A{version}")).send();
        assert_eq!(listed.expect(200).xml().text("Prefix"), "\n");
    }
}
