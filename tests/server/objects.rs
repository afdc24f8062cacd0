//! Objects: what is put is what is got, whatever its size and its name.

use std::time::{Duration, Instant};

use crate::support::fixture::bytes;
use crate::support::form;
use crate::support::signing::encode_path;
use crate::support::{Bucket, Connection, bucket, digest, shared, xml};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Names that are odd and legal.
pub const ODD_KEYS: [&str; 27] = [
    "plain",
    "with space",
    " leading and trailing ",
    "plus+and&amp=?#",
    "a//b",
    "/leading",
    "//",
    "trailing/",
    ".",
    "..",
    "a/./b",
    "a/../b",
    "../../etc/passwd",
    "%41",
    "%2F",
    "%",
    "100%",
    "quote\"apostrophe'less<more>",
    "back\\slash",
    "semi;colon:comma,at@dollar$",
    "star*paren(bang!)tilde~",
    "line\nfeed\rreturn\ttab",
    "\u{1}\u{1f}\u{7f}",
    "ключ/日本語/🦀",
    "e\u{301}",
    "\u{e9}",
    "\u{fffd}\u{10ffff}",
];

#[test]
fn content_of_any_size_comes_back_as_it_was_put() {
    let bucket = bucket("sizes");
    let sizes = [
        0,
        1,
        4 * KIB - 1,
        4 * KIB,
        4 * KIB + 1,
        64 * KIB - 1,
        64 * KIB,
        64 * KIB + 1,
        128 * KIB,
        MIB - 1,
        MIB + 1,
        5 * MIB,
        17 * MIB + 3,
    ];
    for size in sizes {
        let content = bytes(size);
        let etag = bucket.store("k", content.clone());
        assert_eq!(etag, format!("\"{}\"", digest::md5_hex(&content)), "{size} bytes");
        let response = bucket.get("k").send().expect(200);
        let response = response.with("content-length", &size.to_string()).with("etag", &etag);
        assert!(response.body == content, "{size} bytes came back different");
    }
}

#[test]
fn head_says_what_get_says_without_a_body() {
    let bucket = bucket("head");
    bucket.put("k").body("0123456789").header("content-type", "text/x-test").send().expect(200);
    let got = bucket.get("k").send().expect(200);
    let head = bucket.head("k").send().expect(200).with("content-length", "10");
    assert!(head.body.is_empty());
    for name in ["etag", "last-modified", "content-type", "accept-ranges"] {
        assert!(got.header(name).is_some(), "{name} is not there: {got}");
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
}

#[test]
fn system_headers_and_user_metadata_are_kept() {
    let bucket = bucket("metadata");
    let headers = [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "max-age=60, private"),
        ("content-disposition", "attachment; filename=\"a b.txt\""),
        ("content-encoding", "gzip"),
        ("content-language", "de, en"),
        ("expires", "Thu, 01 Dec 2033 16:00:00 GMT"),
        ("x-amz-meta-one", "1"),
        ("x-amz-meta-spaced", "a  b"),
        ("x-amz-meta-empty", ""),
        ("x-amz-website-redirect-location", "/elsewhere"),
    ];
    bucket.put("k").headers(&headers).body("x").send().expect(200);
    for method in ["GET", "HEAD"] {
        let response = bucket.request(method, "k").send().expect(200);
        for (name, value) in headers {
            // What is empty may be left out.
            let kept = response.header(name).unwrap_or_default();
            assert_eq!(kept, value, "{method}: {name} of {response}");
        }
    }
}

#[test]
fn metadata_names_come_back_in_lower_case() {
    let bucket = bucket("metadata-case");
    bucket.put("k").header("X-Amz-Meta-Fenced", "true").body("F").send().expect(200);
    bucket.head("k").send().expect(200).with("x-amz-meta-fenced", "true");
}

#[test]
fn content_type_defaults_to_octets() {
    let bucket = bucket("content-type");
    bucket.store("k", "x");
    bucket.head("k").send().expect(200).with("content-type", "binary/octet-stream");
}

#[test]
fn more_than_two_kibibytes_of_metadata_are_refused() {
    let bucket = bucket("metadata-limit");
    let fits = "v".repeat(2 * KIB - 1);
    bucket.put("k").header("x-amz-meta-a", fits.as_str()).body("x").send().expect(200);
    let over = "v".repeat(2 * KIB);
    let response = bucket.put("over").header("x-amz-meta-a", over.as_str()).body("x").send();
    response.refused(400, "MetadataTooLarge");
    bucket.head("over").send().expect(404);
}

#[test]
fn an_overwrite_replaces_content_and_metadata() {
    let bucket = bucket("overwrite");
    bucket.put("k").header("x-amz-meta-a", "1").body(bytes(MIB)).send().expect(200);
    bucket.put("k").header("x-amz-meta-b", "2").body("new").send().expect(200);
    let response = bucket.get("k").send().expect(200);
    let response = response.without("x-amz-meta-a").with("x-amz-meta-b", "2");
    assert_eq!(response.text(), "new");
}

#[test]
fn a_deleted_object_is_gone_and_deleting_it_again_succeeds() {
    let bucket = bucket("delete");
    bucket.store("k", "x");
    bucket.delete("k").send().expect(204);
    bucket.get("k").send().refused(404, "NoSuchKey");
    bucket.delete("k").send().expect(204);
    bucket.delete("never").send().expect(204);
    assert!(bucket.keys().is_empty());
}

#[test]
fn what_is_missing_is_named() {
    let bucket = bucket("missing");
    let response = bucket.get("some/key").send().refused(404, "NoSuchKey");
    assert_eq!(response.field("Key"), "some/key");
    bucket.head("some/key").send().expect(404);
    let nowhere = Bucket { name: "no-such-bucket-here".to_owned(), ..bucket };
    let response = nowhere.get("k").send().refused(404, "NoSuchBucket");
    assert_eq!(response.field("BucketName"), nowhere.name);
    nowhere.put("k").body("x").send().refused(404, "NoSuchBucket");
    nowhere.delete("k").send().refused(404, "NoSuchBucket");
    nowhere.head("k").send().expect(404);
}

#[test]
fn odd_keys_are_plain_names() {
    let bucket = bucket("odd-keys");
    for key in ODD_KEYS {
        bucket.store(key, key);
    }
    for key in ODD_KEYS {
        assert_eq!(bucket.content(key), key.as_bytes(), "{key:?}");
        bucket.head(&encode_path(key)).send().expect(200);
    }
    let listed = bucket.get("?list-type=2&encoding-type=url").send().expect(200);
    let mut listed: Vec<Vec<u8>> = listed
        .xml()
        .column("Contents", "Key")
        .iter()
        .map(|key| crate::support::signing::decode(&key.replace('+', " ")))
        .collect();
    let mut stored: Vec<Vec<u8>> = ODD_KEYS.iter().map(|key| key.as_bytes().to_vec()).collect();
    stored.sort();
    assert_eq!(listed, stored);
    listed.dedup();
    for key in ODD_KEYS {
        bucket.delete(&encode_path(key)).send().expect(204);
    }
    assert!(bucket.keys().is_empty());
}

#[test]
fn a_key_and_keys_below_it_live_side_by_side() {
    let bucket = bucket("side-by-side");
    for key in ["a", "a/", "a/b", "a/b/", "a/b/c", "a//"] {
        bucket.store(key, key);
    }
    bucket.delete("a/b").send().expect(204);
    assert_eq!(bucket.keys(), ["a", "a/", "a//", "a/b/", "a/b/c"]);
    bucket.get("a/b").send().refused(404, "NoSuchKey");
    assert_eq!(bucket.content("a/b/c"), b"a/b/c");
}

#[test]
fn keys_reach_to_1024_bytes() {
    let bucket = bucket("key-length");
    let longest = "é".repeat(512);
    bucket.store(&longest, "x");
    assert_eq!(bucket.content(&longest), b"x");
    let over = format!("{longest}a");
    let response = bucket.put(&encode_path(&over)).body("x").send();
    response.refused(400, "KeyTooLongError");
    assert_eq!(bucket.keys(), [longest]);
}

#[test]
fn ranges_are_answered_as_rfc_9110_and_aws_say() {
    let bucket = bucket("ranges");
    bucket.store("k", "0123456789");
    let whole = (200, "0123456789", None);
    type Answer = (u16, &'static str, Option<&'static str>);
    let cases: [(&str, Answer); 13] = [
        ("bytes=0-0", (206, "0", Some("bytes 0-0/10"))),
        ("bytes=0-4", (206, "01234", Some("bytes 0-4/10"))),
        ("bytes=4-7", (206, "4567", Some("bytes 4-7/10"))),
        ("bytes=9-", (206, "9", Some("bytes 9-9/10"))),
        ("bytes=5-", (206, "56789", Some("bytes 5-9/10"))),
        ("bytes=-3", (206, "789", Some("bytes 7-9/10"))),
        ("bytes=-999", (206, "0123456789", Some("bytes 0-9/10"))),
        ("bytes=0-999999", (206, "0123456789", Some("bytes 0-9/10"))),
        ("bytes=8-18446744073709551615", (206, "89", Some("bytes 8-9/10"))),
        ("bytes=5-2", whole),
        ("bytes=", whole),
        ("lines=0-1", whole),
        ("bytes=x-y", whole),
    ];
    for (range, (status, body, content_range)) in cases {
        let response = bucket.get("k").header("range", range).send().expect(status);
        assert_eq!(response.text(), body, "{range}");
        assert_eq!(response.header("content-range"), content_range, "{range}");
        let head = bucket.head("k").header("range", range).send().expect(status);
        assert_eq!(head.header("content-length"), Some(body.len().to_string().as_str()), "{range}");
    }
}

#[test]
fn a_range_past_the_end_is_not_satisfiable() {
    let bucket = bucket("range-past-end");
    bucket.store("k", "0123456789");
    bucket.store("empty", "");
    for (key, range) in
        [("k", "bytes=10-"), ("k", "bytes=99-100"), ("k", "bytes=-0"), ("empty", "bytes=0-0")]
    {
        let response = bucket.get(key).header("range", range).send();
        response.refused(416, "InvalidRange");
        bucket.head(key).header("range", range).send().expect(416);
    }
}

#[test]
fn ranges_of_a_large_object_are_cut_exactly() {
    let bucket = bucket("range-large");
    let content = bytes(9 * MIB + 12345);
    bucket.store("k", content.clone());
    let edges = [0, 1, 4 * KIB, 64 * KIB - 1, 64 * KIB, MIB - 1, MIB, MIB + 1, 8 * MIB, 9 * MIB];
    for first in edges {
        for length in [1, 100, 64 * KIB, 2 * MIB + 7] {
            let last = (first + length - 1).min(content.len() - 1);
            let range = format!("bytes={first}-{last}");
            let response = bucket.get("k").header("range", range.as_str()).send().expect(206);
            assert!(response.body == content[first..=last], "{range} came back different");
        }
    }
}

#[test]
fn if_range_ignores_the_range_of_a_changed_object() {
    let bucket = bucket("if-range");
    let etag = bucket.store("k", "0123456789");
    let request = bucket.get("k").header("range", "bytes=0-1");
    let response = request.clone().header("if-range", etag.as_str()).send().expect(206);
    assert_eq!(response.text(), "01");
    let response = request.header("if-range", "\"another\"").send().expect(200);
    assert_eq!(response.text(), "0123456789");
}

#[test]
fn a_signed_request_can_override_response_headers() {
    let bucket = bucket("response-headers");
    bucket.store("k", "x");
    let overrides = [
        ("content-type", "text/plain"),
        ("content-language", "de"),
        ("expires", "Thu, 01 Dec 2033 16:00:00 GMT"),
        ("cache-control", "no-cache"),
        ("content-disposition", "attachment; filename=x"),
        ("content-encoding", "br"),
    ];
    let query: Vec<String> = overrides
        .iter()
        .map(|(name, value)| format!("response-{name}={}", crate::support::signing::encode(value)))
        .collect();
    let target = format!("k?{}", query.join("&"));
    for request in [bucket.get(&target), bucket.get(&target).presigned(60)] {
        let response = request.send().expect(200);
        for (name, value) in overrides {
            assert_eq!(response.header(name), Some(value), "{response}");
        }
    }
}

#[test]
fn headers_that_are_not_ascii_come_back_as_they_were() {
    let bucket = bucket("utf-8-headers");
    let kept = [
        ("content-type", "text/größe"),
        ("content-disposition", "attachment; filename=\"値段 5€.pdf\""),
        ("cache-control", "no-cache=\"é\""),
        ("content-encoding", "gzip, ß"),
        ("content-language", "日本"),
        ("expires", "nächste Woche"),
    ];
    bucket.put("k").body("x").headers(&kept).send().expect(200);
    let copied = bucket.put("copy").header("x-amz-copy-source", format!("/{}/k", bucket.name));
    copied.send().expect(200);
    let replaced = bucket.put("replaced").header("x-amz-metadata-directive", "REPLACE");
    let replaced = replaced.header("x-amz-copy-source", format!("/{}/k", bucket.name));
    replaced.headers(&kept).send().expect(200);
    let upload = bucket.post("parts?uploads").headers(&kept).send().expect(200);
    let upload = upload.xml().text("UploadId").to_owned();
    let part = bucket.put(&format!("parts?uploadId={upload}&partNumber=1")).body("x").send();
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part>\
         </CompleteMultipartUpload>",
        part.expect(200).etag()
    );
    bucket.post(&format!("parts?uploadId={upload}")).body(document).send().expect(200);
    for key in ["k", "copy", "replaced", "parts"] {
        for response in [bucket.get(key).send(), bucket.head(key).send()] {
            let response = response.expect(200);
            for (name, value) in kept {
                assert_eq!(response.header(name), Some(value), "{key}: {response}");
            }
        }
    }
}

#[test]
fn a_header_is_overridden_in_latin_1() {
    let bucket = bucket("latin-1");
    bucket.store("k", "x");
    let get = |text: &str| {
        let text = crate::support::signing::encode(text);
        bucket.get(&format!("k?response-content-disposition={text}")).send()
    };
    // The reader of the tests shows bytes that are no UTF-8 as one sign.
    get("a; filename=é").expect(200).with("content-disposition", "a; filename=\u{fffd}");
    get("a; filename=値").refused(400, "InvalidArgument");
    get("a\nb").refused(400, "InvalidRequest");
}

#[test]
fn a_redirect_is_kept_when_it_is_one() {
    let bucket = bucket("redirect");
    let name = "x-amz-website-redirect-location";
    let long = format!("/{}", "x".repeat(2048));
    for bad in ["elsewhere", "ftp://example.com/", &long] {
        for request in [bucket.put("k").body("x"), bucket.post("k?uploads")] {
            request.header(name, bad).send().refused(400, "InvalidRedirectLocation");
        }
    }
    bucket.head("k").send().expect(404);
    for good in ["/elsewhere", "http://example.com/a", "https://example.com", &long[..2048]] {
        bucket.put("k").body("x").header(name, good).send().expect(200);
        bucket.get("k").send().expect(200).with(name, good);
        let copied = bucket.put("copy").header("x-amz-copy-source", format!("/{}/k", bucket.name));
        copied.clone().header(name, "nowhere").send().refused(400, "InvalidRedirectLocation");
        copied.send().expect(200);
        bucket.head("copy").send().expect(200).without(name);
    }
}

#[test]
fn a_presigned_put_and_get_need_no_headers() {
    let bucket = bucket("presigned");
    bucket.put("k").presigned(60).body("by link").send().expect(200);
    assert_eq!(bucket.get("k").presigned(60).send().expect(200).text(), "by link");
    bucket.head("k").presigned(60).send().expect(200);
    bucket.delete("k").presigned(60).send().expect(204);
}

#[test]
fn delete_objects_answers_for_every_key() {
    let bucket = bucket("delete-many");
    for key in ["a", "b & <c>", "d"] {
        bucket.store(key, "x");
    }
    let keys: Vec<String> = ["a", "b & <c>", "missing"]
        .iter()
        .map(|key| format!("<Object><Key>{}</Key></Object>", xml::escape(key)))
        .collect();
    let body = format!("<Delete>{}</Delete>", keys.concat());
    let response = bucket.post("?delete").body(body).content_md5().send().expect(200);
    let mut deleted = response.xml().column("Deleted", "Key");
    deleted.sort();
    assert_eq!(deleted, ["a", "b & <c>", "missing"]);
    assert_eq!(bucket.keys(), ["d"]);
}

#[test]
fn a_quiet_delete_objects_tells_failures_only() {
    let bucket = bucket("delete-quiet");
    bucket.store("a", "x");
    let body = "<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object></Delete>";
    let response = bucket.post("?delete").body(body).content_md5().send().expect(200);
    assert!(response.xml().children.is_empty(), "{response}");
    assert!(bucket.keys().is_empty());
}

#[test]
fn attributes_tell_size_etag_and_checksum() {
    let bucket = bucket("attributes");
    let etag = bucket.put("k").body("hello").checksum("CRC32C").send().expect(200).etag();
    let response = bucket
        .get("k?attributes")
        .header("x-amz-object-attributes", "ETag,Checksum,ObjectParts,StorageClass,ObjectSize")
        .send()
        .expect(200);
    let xml = response.xml();
    assert_eq!(xml.name, "GetObjectAttributesResponse");
    assert_eq!(xml.text("ETag"), etag.trim_matches('"'), "the ETag there has no quotes");
    assert_eq!(xml.text("ObjectSize"), "5");
    assert_eq!(xml.text("StorageClass"), "STANDARD");
    let checksum = xml.child("Checksum").expect("a checksum");
    assert_eq!(checksum.text("ChecksumCRC32C"), digest::checksum("CRC32C", b"hello"));
    assert_eq!(checksum.text("ChecksumType"), "FULL_OBJECT");
    assert!(response.header("last-modified").is_some(), "{response}");
    let only_size = bucket.get("k?attributes").header("x-amz-object-attributes", "ObjectSize");
    assert!(only_size.send().expect(200).xml().child("ETag").is_none());
}

#[test]
fn attributes_have_to_be_named() {
    let bucket = bucket("attributes-named");
    bucket.store("k", "x");
    bucket.get("k?attributes").send().expect(400);
    let request = bucket.get("k?attributes").header("x-amz-object-attributes", "Colour");
    request.send().refused(400, "InvalidArgument");
}

#[test]
fn a_body_waits_for_100_continue() {
    let bucket = bucket("expect");
    let request = bucket.put("k").header("expect", "100-continue").body("waited for");
    let wire = request.build();
    let mut connection = Connection::open(shared().address).unwrap();
    connection.write(&wire.head).unwrap();
    // Nothing is sent until the server asks; it answers 100 alone.
    std::thread::sleep(Duration::from_millis(50));
    connection.write(&wire.frames.concat()).unwrap();
    let response = connection.read_response("PUT").unwrap().expect(200);
    assert!(response.continued, "no 100 Continue came: {response}");
    assert_eq!(bucket.content("k"), b"waited for");
}

#[test]
fn a_refused_request_is_not_asked_for_its_body() {
    let bucket = bucket("expect-refused").seen_by(("LODESTOREROOTKEY", "wrong"));
    let wire = bucket.put("k").header("expect", "100-continue").body("unsent").build();
    let mut connection = Connection::open(shared().address).unwrap();
    connection.write(&wire.head).unwrap();
    let response = connection.read_response("PUT").unwrap();
    assert!(!response.refused(403, "SignatureDoesNotMatch").continued);
}

#[test]
fn one_connection_serves_request_after_request() {
    let bucket = bucket("keep-alive");
    let mut connection = Connection::open(shared().address).unwrap();
    let content = bytes(300 * KIB);
    for round in 0..20 {
        let key = format!("k{round}");
        let put = bucket.put(&key).body(content.clone()).build();
        connection.exchange("PUT", &put.head, &put.frames.concat()).unwrap().expect(200);
        let missing = bucket.head("missing").build();
        connection.exchange("HEAD", &missing.head, b"").unwrap().expect(404);
        let get = bucket.get(&key).build();
        let response = connection.exchange("GET", &get.head, b"").unwrap().expect(200);
        assert!(response.body == content);
    }
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let bucket = bucket("pipelined");
    let mut connection = Connection::open(shared().address).unwrap();
    for key in ["a", "b", "c"] {
        bucket.store(key, key);
    }
    let heads: Vec<u8> =
        ["a", "b", "c"].iter().flat_map(|key| bucket.get(key).build().head).collect();
    connection.write(&heads).unwrap();
    for key in ["a", "b", "c"] {
        assert_eq!(connection.read_response("GET").unwrap().expect(200).text(), key);
    }
}

#[test]
fn a_small_get_does_not_wait_for_a_delayed_acknowledgement() {
    let bucket = bucket("no-delay");
    bucket.store("k", bytes(4 * KIB));
    let best = (0..30)
        .map(|_| {
            let started = Instant::now();
            bucket.get("k").send().expect(200);
            started.elapsed()
        })
        .min();
    assert!(best < Some(Duration::from_millis(30)), "the fastest of 30 took {best:?}");
}

#[test]
fn a_browser_form_is_not_implemented_and_stores_nothing() {
    let bucket = bucket("form");
    let body = form::body(&[("key".to_owned(), "k".to_owned())], b"x");
    let request = bucket.post("").header("content-type", form::content_type()).body(body);
    request.send().refused(501, "NotImplemented");
    assert!(bucket.keys().is_empty());
}

#[test]
fn encryption_that_is_not_offered_is_refused_not_ignored() {
    let bucket = bucket("sse");
    let key = digest::base64(&[7; 32]);
    let md5 = digest::md5_base64(&[7; 32]);
    let cases: [&[(&str, &str)]; 3] = [
        &[("x-amz-server-side-encryption", "aws:kms")],
        &[("x-amz-server-side-encryption", "ROT13")],
        &[
            ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
            ("x-amz-server-side-encryption-customer-key", &key),
            ("x-amz-server-side-encryption-customer-key-md5", &md5),
        ],
    ];
    for headers in cases {
        let response = bucket.put("k").headers(headers).body("x").send();
        assert!(matches!(response.status, 400 | 501), "{response}");
        bucket.head("k").send().expect(404);
    }
    let response =
        bucket.put("k").header("x-amz-server-side-encryption", "AES256").body("x").send();
    response.expect(200).with("x-amz-server-side-encryption", "AES256");
}
