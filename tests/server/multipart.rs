//! Multipart uploads: parts in any order and at once, one object in the end or none.

use std::sync::OnceLock;

use crate::support::digest::{self, CHECKSUMS, checksum, checksum_header, multipart_etag};
use crate::support::fixture::bytes;
use crate::support::signing::encode;
use crate::support::{Bucket, Response, Server, Setup, bucket, shared};

const MIB: usize = 1024 * 1024;
/// The least that a part but the last may hold.
const PART_MIN: usize = 5 * MIB;

/// What a part number past the last is answered with: by AWS, and as s3-tests wants it.
const NO_SUCH_PART: [(u16, &str); 2] = [(416, "InvalidPartNumber"), (400, "InvalidPart")];

/// An upload in progress.
struct Upload<'a> {
    bucket: &'a Bucket,
    key: String,
    id: String,
}

impl<'a> Upload<'a> {
    #[track_caller]
    fn begin(bucket: &'a Bucket, key: &str) -> Self {
        Self::begin_with(bucket, key, &[])
    }

    #[track_caller]
    fn begin_with(bucket: &'a Bucket, key: &str, headers: &[(&str, &str)]) -> Self {
        let request = bucket.post(&format!("{}?uploads", encode(key))).headers(headers);
        let xml = request.send().expect(200).xml();
        assert_eq!(xml.name, "InitiateMultipartUploadResult");
        assert_eq!((xml.text("Bucket"), xml.text("Key")), (bucket.name.clone(), key.to_owned()));
        Self { bucket, key: encode(key), id: xml.text("UploadId") }
    }

    fn part_target(&self, number: u32) -> String {
        format!("{}?partNumber={number}&uploadId={}", self.key, self.id)
    }

    #[track_caller]
    fn part(&self, number: u32, body: &[u8]) -> String {
        let etag = self.bucket.put(&self.part_target(number)).body(body).send().expect(200).etag();
        assert_eq!(etag, format!("\"{}\"", digest::md5_hex(body)));
        etag
    }

    fn complete(&self, parts: &[(u32, String)]) -> Response {
        self.complete_with(&parts_xml(parts), &[])
    }

    fn complete_with(&self, body: &str, headers: &[(&str, &str)]) -> Response {
        let request = self.bucket.post(&format!("{}?uploadId={}", self.key, self.id));
        request.headers(headers).body(body).send()
    }

    fn abort(&self) -> Response {
        self.bucket.delete(&format!("{}?uploadId={}", self.key, self.id)).send()
    }
}

fn parts_xml(parts: &[(u32, String)]) -> String {
    let parts: String = parts
        .iter()
        .map(|(number, etag)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
        })
        .collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

/// A server that takes parts of any size, for what does not depend on it.
fn small_parts() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Setup::new().env("LODESTORE_SMALL_PARTS", "true").start())
}

#[track_caller]
fn small_parts_bucket(purpose: &str) -> Bucket {
    Bucket::create(&small_parts().client(), purpose)
}

#[test]
fn parts_in_any_order_become_one_object() {
    let bucket = bucket("multipart");
    let contents = [bytes(PART_MIN), bytes(PART_MIN + 1), bytes(1234)];
    let upload =
        Upload::begin_with(&bucket, "k", &[("x-amz-meta-a", "1"), ("content-type", "a/b")]);
    let third = upload.part(30, &contents[2]);
    let first = upload.part(7, &contents[0]);
    let second = upload.part(8, &contents[1]);
    bucket.head("k").send().expect(404);
    let response = upload.complete(&[(7, first), (8, second), (30, third)]).expect(200);
    let expected = multipart_etag(&[&contents[0], &contents[1], &contents[2]]);
    let xml = response.xml();
    assert_eq!(xml.name, "CompleteMultipartUploadResult");
    assert_eq!(xml.text("ETag"), expected);
    assert_eq!((xml.text("Bucket"), xml.text("Key")), (bucket.name.clone(), "k".to_owned()));
    assert!(xml.text("Location").ends_with("/k"));
    let got = bucket.get("k").send().expect(200).with("etag", &expected);
    assert!(got.body == contents.concat());
    got.with("x-amz-meta-a", "1").with("content-type", "a/b");
}

#[test]
fn parts_may_come_at_once() {
    let bucket = bucket("multipart-concurrent");
    let upload = Upload::begin(&bucket, "k");
    let contents: Vec<Vec<u8>> = (0..4).map(|n| vec![n; PART_MIN]).collect();
    let etags: Vec<String> = std::thread::scope(|scope| {
        let parts: Vec<_> = (1..)
            .zip(&contents)
            .map(|(number, body)| {
                let upload = &upload;
                scope.spawn(move || upload.part(number, body))
            })
            .collect();
        parts.into_iter().map(|part| part.join().expect("a part")).collect()
    });
    upload.complete(&(1..).zip(etags).collect::<Vec<_>>()).expect(200);
    assert!(bucket.content("k") == contents.concat());
}

#[test]
fn a_part_sent_again_replaces_the_first() {
    let bucket = small_parts_bucket("multipart-again");
    let upload = Upload::begin(&bucket, "k");
    let stale = upload.part(1, b"old");
    let fresh = upload.part(1, b"new");
    let last = upload.part(2, b"-end");
    upload.complete(&[(1, stale), (2, last.clone())]).refused(400, "InvalidPart");
    upload.complete(&[(1, fresh), (2, last)]).expect(200);
    assert_eq!(bucket.content("k"), b"new-end");
}

#[test]
fn parts_that_are_not_named_are_left_out() {
    let bucket = small_parts_bucket("multipart-left-out");
    let upload = Upload::begin(&bucket, "k");
    let first = upload.part(1, b"a");
    upload.part(2, b"b");
    let third = upload.part(10000, b"c");
    upload.complete(&[(1, first), (10000, third)]).expect(200);
    assert_eq!(bucket.content("k"), b"ac");
}

#[test]
fn a_wrong_list_of_parts_is_refused_and_the_upload_stays() {
    let bucket = small_parts_bucket("multipart-wrong-list");
    let upload = Upload::begin(&bucket, "k");
    let (a, b) = (upload.part(1, b"a"), upload.part(2, b"b"));
    let other = format!("\"{}\"", digest::md5_hex(b"other"));
    upload.complete(&[(1, other)]).refused(400, "InvalidPart");
    upload.complete(&[(1, a.clone()), (3, b.clone())]).refused(400, "InvalidPart");
    upload.complete(&[(2, b.clone()), (1, a.clone())]).refused(400, "InvalidPartOrder");
    upload.complete(&[(1, a.clone()), (1, a.clone())]).refused(400, "InvalidPartOrder");
    upload.complete(&[]).refused(400, "MalformedXML");
    upload.complete_with("", &[]).client_error();
    upload.complete_with("<CompleteMultipartUpload><Part>", &[]).refused(400, "MalformedXML");
    upload.complete(&[(1, a.trim_matches('"').to_owned()), (2, b)]).expect(200);
    assert_eq!(bucket.content("k"), b"ab");
}

#[test]
fn a_small_part_in_the_middle_is_too_small() {
    let bucket = bucket("multipart-small");
    let upload = Upload::begin(&bucket, "k");
    let first = upload.part(1, &bytes(PART_MIN - 1));
    let last = upload.part(2, b"end");
    let parts = [(1, first), (2, last)];
    upload.complete(&parts).refused(400, "EntityTooSmall");
    bucket.head("k").send().expect(404);
    let again = upload.part(1, &bytes(PART_MIN));
    upload.complete(&[(1, again), parts[1].clone()]).expect(200);
}

#[test]
fn part_numbers_go_from_one_to_ten_thousand() {
    let bucket = bucket("multipart-numbers");
    let upload = Upload::begin(&bucket, "k");
    for number in ["0", "10001", "-1", "x", "", "4294967297"] {
        let target = format!("k?partNumber={number}&uploadId={}", upload.id);
        bucket.put(&target).body("x").send().refused(400, "InvalidArgument");
    }
    upload.part(10000, b"x");
}

#[test]
fn an_unknown_upload_is_no_such_upload() {
    let bucket = bucket("multipart-unknown");
    let aborted = Upload::begin(&bucket, "k");
    let etag = aborted.part(1, b"x");
    aborted.abort().expect(204);
    let invented = |id: &str| Upload { bucket: &bucket, key: "k".into(), id: id.into() };
    for upload in [aborted, invented("nonsense"), invented("..%2F.."), invented("%00")] {
        bucket.put(&upload.part_target(1)).body("x").send().refused(404, "NoSuchUpload");
        upload.complete(&[(1, etag.clone())]).refused(404, "NoSuchUpload");
        upload.abort().refused(404, "NoSuchUpload");
        bucket.get(&format!("k?uploadId={}", upload.id)).send().refused(404, "NoSuchUpload");
    }
    bucket.head("k").send().expect(404);
}

#[test]
fn an_upload_belongs_to_its_key() {
    let bucket = bucket("multipart-key");
    let upload = Upload::begin(&bucket, "k");
    let etag = upload.part(1, b"x");
    let elsewhere = Upload { bucket: &bucket, key: "other".into(), id: upload.id.clone() };
    elsewhere.complete(&[(1, etag.clone())]).refused(404, "NoSuchUpload");
    elsewhere.abort().refused(404, "NoSuchUpload");
    upload.complete(&[(1, etag)]).expect(200);
}

#[test]
fn complete_can_be_repeated() {
    let bucket = bucket("multipart-repeat");
    let upload = Upload::begin(&bucket, "k");
    let parts = [(1, upload.part(1, b"content"))];
    let first = upload.complete(&parts).expect(200).field("ETag");
    assert_eq!(upload.complete(&parts).expect(200).field("ETag"), first);
    assert_eq!(bucket.content("k"), b"content");
}

#[test]
fn the_last_complete_of_two_uploads_wins() {
    let bucket = bucket("multipart-two");
    let (a, b) = (Upload::begin(&bucket, "k"), Upload::begin(&bucket, "k"));
    assert_ne!(a.id, b.id);
    let (part_a, part_b) = (a.part(1, b"from a"), b.part(1, b"from b"));
    b.complete(&[(1, part_b)]).expect(200);
    a.complete(&[(1, part_a)]).expect(200);
    assert_eq!(bucket.content("k"), b"from a");
}

#[test]
fn parts_are_listed_in_pages() {
    let bucket = small_parts_bucket("multipart-list-parts");
    let upload = Upload::begin(&bucket, "k");
    let etags: Vec<String> =
        [3, 1, 5, 2].iter().map(|number| upload.part(*number, &[b'x'; 10])).collect();
    let list =
        |cut: &str| bucket.get(&format!("k?uploadId={}{cut}", upload.id)).send().expect(200).xml();
    let xml = list("");
    assert_eq!(xml.name, "ListPartsResult");
    assert_eq!(xml.column("Part", "PartNumber"), ["1", "2", "3", "5"]);
    assert_eq!(xml.column("Part", "Size"), ["10"; 4]);
    assert_eq!(xml.column("Part", "ETag")[0], etags[1]);
    assert_eq!(xml.text("IsTruncated"), "false");
    let xml = list("&max-parts=2");
    assert_eq!(xml.column("Part", "PartNumber"), ["1", "2"]);
    assert_eq!(
        (xml.text("IsTruncated"), xml.text("NextPartNumberMarker")),
        ("true".into(), "2".into())
    );
    let xml = list("&max-parts=2&part-number-marker=2");
    assert_eq!(xml.column("Part", "PartNumber"), ["3", "5"]);
    assert_eq!(xml.text("IsTruncated"), "false");
}

#[test]
fn uploads_are_listed_in_pages() {
    let bucket = bucket("multipart-list-uploads");
    let mut begun: Vec<(String, String)> = ["a/1", "a/2", "b", "b", "c"]
        .iter()
        .map(|key| ((*key).to_owned(), Upload::begin(&bucket, key).id))
        .collect();
    let list = |cut: &str| bucket.get(&format!("?uploads{cut}")).send().expect(200).xml();
    let pairs = |xml: &crate::support::xml::Node| -> Vec<(String, String)> {
        xml.column("Upload", "Key").into_iter().zip(xml.column("Upload", "UploadId")).collect()
    };
    let whole = list("");
    assert_eq!(whole.name, "ListMultipartUploadsResult");
    let mut listed = pairs(&whole);
    assert_eq!(
        listed.iter().map(|pair| &pair.0).collect::<Vec<_>>(),
        ["a/1", "a/2", "b", "b", "c"]
    );
    listed.sort();
    begun.sort();
    assert_eq!(listed, begun);
    assert_eq!(list("&prefix=a%2F").column("Upload", "Key"), ["a/1", "a/2"]);
    let grouped = list("&delimiter=%2F");
    assert_eq!(grouped.column("CommonPrefixes", "Prefix"), ["a/"]);
    let mut seen = Vec::new();
    let mut from = String::new();
    loop {
        let xml = list(&format!("&max-uploads=2{from}"));
        seen.extend(pairs(&xml));
        if xml.text("IsTruncated") == "false" {
            break;
        }
        let (key, id) = (xml.text("NextKeyMarker"), xml.text("NextUploadIdMarker"));
        from = format!("&key-marker={}&upload-id-marker={}", encode(key), encode(id));
    }
    assert_eq!(seen, pairs(&whole));
    assert_eq!(list("&key-marker=b").column("Upload", "Key"), ["c"]);
}

#[test]
fn a_finished_upload_is_listed_no_more() {
    let bucket = bucket("multipart-finished");
    let (kept, dropped) = (Upload::begin(&bucket, "k"), Upload::begin(&bucket, "k"));
    let etag = kept.part(1, b"x");
    dropped.abort().expect(204);
    kept.complete(&[(1, etag)]).expect(200);
    assert!(bucket.get("?uploads").send().expect(200).xml().all("Upload").is_empty());
}

#[test]
fn a_single_part_can_be_read() {
    let bucket = small_parts_bucket("multipart-part-number");
    let upload = Upload::begin(&bucket, "k");
    let parts = [(1, upload.part(1, b"first")), (2, upload.part(2, b"second"))];
    let etag = upload.complete(&parts).expect(200).field("ETag");
    for (number, body, range) in [(1, "first", "bytes 0-4/11"), (2, "second", "bytes 5-10/11")] {
        for method in ["GET", "HEAD"] {
            let response = bucket.request(method, &format!("k?partNumber={number}")).send();
            let response = response.expect(206).with("content-range", range).with("etag", &etag);
            let response = response.with("x-amz-mp-parts-count", "2");
            assert_eq!(response.header("content-length"), Some(body.len().to_string().as_str()));
            assert!(method == "HEAD" || response.text() == body);
        }
    }
    bucket.get("k?partNumber=3").send().refused_as(&NO_SUCH_PART);
    bucket.head("k?partNumber=3").send().client_error();
    bucket.get("k?partNumber=0").send().refused(400, "InvalidArgument");
    let both = bucket.get("k?partNumber=1").header("range", "bytes=0-1");
    both.send().refused(400, "InvalidRequest");
}

#[test]
fn an_object_put_whole_has_one_part() {
    let bucket = bucket("part-of-whole");
    bucket.store("k", "content");
    let response = bucket.get("k?partNumber=1").send();
    assert_eq!(response.expect(206).with("content-range", "bytes 0-6/7").text(), "content");
    bucket.get("k?partNumber=2").send().refused_as(&NO_SUCH_PART);
}

#[test]
fn parts_can_be_copied_whole_or_by_range() {
    let bucket = small_parts_bucket("multipart-copy");
    let content = bytes(300_000);
    bucket.store("source", content.clone());
    let upload = Upload::begin(&bucket, "k");
    let source = format!("/{}/source", bucket.name);
    let copy = |number: u32, range: Option<&str>| {
        let request =
            bucket.put(&upload.part_target(number)).header("x-amz-copy-source", source.as_str());
        let request = match range {
            Some(range) => request.header("x-amz-copy-source-range", range),
            None => request,
        };
        request.send()
    };
    let whole = copy(1, None).expect(200);
    assert_eq!(whole.xml().name, "CopyPartResult");
    assert_eq!(whole.field("ETag"), format!("\"{}\"", digest::md5_hex(&content)));
    let cut = copy(2, Some("bytes=1000-200999")).expect(200).field("ETag");
    copy(3, Some("bytes=0-300000")).refused(400, "InvalidArgument");
    copy(3, Some("bytes=300000-300001")).refused(400, "InvalidRequest");
    for range in ["bytes=5", "0-5", "bytes=5-", "bytes=-5", "bytes=9-5", "bytes=a-b"] {
        copy(3, Some(range)).refused(400, "InvalidArgument");
    }
    upload.complete(&[(1, whole.field("ETag")), (2, cut)]).expect(200);
    let expected = [&content[..], &content[1000..201_000]].concat();
    bucket.delete("source").send().expect(204);
    assert!(bucket.content("k") == expected);
}

#[test]
fn an_upload_takes_tags_and_keeps_them() {
    let bucket = bucket("multipart-tags");
    let upload = Upload::begin_with(&bucket, "k", &[("x-amz-tagging", "colour=blue")]);
    let etag = upload.part(1, b"x");
    upload.complete(&[(1, etag)]).expect(200);
    let xml = bucket.get("k?tagging").send().expect(200).xml();
    assert_eq!(xml.child("TagSet").expect("a set").column("Tag", "Value"), ["blue"]);
}

#[test]
fn a_wrong_content_md5_of_a_part_is_refused() {
    let bucket = bucket("multipart-md5");
    let upload = Upload::begin(&bucket, "k");
    let request = bucket.put(&upload.part_target(1)).body("x");
    request.header("content-md5", digest::md5_base64(b"y")).send().refused(400, "BadDigest");
    assert!(bucket.get(&format!("k?uploadId={}", upload.id)).send().xml().all("Part").is_empty());
}

#[test]
fn checksums_of_parts_combine_as_each_kind_allows() {
    let bucket = bucket("multipart-checksums");
    let contents = [bytes(PART_MIN), bytes(70_000)];
    let pieces: [&[u8]; 2] = [&contents[0], &contents[1]];
    let whole = contents.concat();
    let cases = CHECKSUMS.iter().flat_map(|name| {
        let kinds: &[&str] = match *name {
            "CRC64NVME" => &["FULL_OBJECT"],
            "SHA1" | "SHA256" => &["COMPOSITE"],
            _ => &["FULL_OBJECT", "COMPOSITE"],
        };
        kinds.iter().map(move |kind| (*name, *kind))
    });
    for (name, kind) in cases {
        let expected = match kind {
            "FULL_OBJECT" => checksum(name, &whole),
            _ => digest::composite(name, &pieces),
        };
        let headers = [("x-amz-checksum-algorithm", name), ("x-amz-checksum-type", kind)];
        let upload = Upload::begin_with(&bucket, "k", &headers);
        let mut parts = String::new();
        for (number, piece) in (1..).zip(pieces) {
            let request = bucket.put(&upload.part_target(number)).body(piece).checksum(name);
            let response = request.send().expect(200);
            let value = checksum(name, piece);
            assert_eq!(response.header(&checksum_header(name)), Some(value.as_str()), "{response}");
            parts.push_str(&format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag>\
                 <Checksum{name}>{value}</Checksum{name}></Part>",
                response.etag()
            ));
        }
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let xml = upload.complete_with(&body, &[]).expect(200).xml();
        assert_eq!(xml.text(&format!("Checksum{name}")), expected, "{name} {kind}");
        assert_eq!(xml.text("ChecksumType"), kind, "{name}");
        let head = bucket.head("k").header("x-amz-checksum-mode", "ENABLED").send().expect(200);
        let head = head.with(&checksum_header(name), &expected);
        head.with("x-amz-checksum-type", kind);
        let request = bucket.get("k?attributes");
        let request = request.header("x-amz-object-attributes", "Checksum,ObjectParts");
        let xml = request.send().expect(200).xml();
        let told = xml.child("Checksum").expect("a checksum").text(&format!("Checksum{name}"));
        // There the count of parts does not follow the value.
        assert!(told == expected || expected.starts_with(&format!("{told}-")), "{name}: {told}");
        let count = xml.child("ObjectParts").expect("parts");
        assert!(
            [count.text("PartsCount"), count.text("TotalPartsCount")].contains(&"2".to_owned())
        );
    }
}

#[test]
fn a_checksum_of_the_whole_is_checked_at_the_end() {
    let bucket = bucket("multipart-whole-checksum");
    let headers = [("x-amz-checksum-algorithm", "CRC32C"), ("x-amz-checksum-type", "FULL_OBJECT")];
    let upload = Upload::begin_with(&bucket, "k", &headers);
    let request = bucket.put(&upload.part_target(1)).body("content").checksum("CRC32C");
    let body = parts_xml(&[(1, request.send().expect(200).etag())]);
    let with = |value: &str| {
        let headers = [("x-amz-checksum-crc32c", value), ("x-amz-checksum-type", "FULL_OBJECT")];
        upload.complete_with(&body, &headers)
    };
    with(&checksum("CRC32C", b"another")).refused(400, "BadDigest");
    bucket.head("k").send().expect(404);
    with(&checksum("CRC32C", b"content")).expect(200);
}

#[test]
fn a_promised_size_of_the_object_is_checked() {
    let bucket = bucket("multipart-size");
    let upload = Upload::begin(&bucket, "k");
    let body = parts_xml(&[(1, upload.part(1, b"content"))]);
    upload.complete_with(&body, &[("x-amz-mp-object-size", "8")]).refused(400, "InvalidRequest");
    upload.complete_with(&body, &[("x-amz-mp-object-size", "7")]).expect(200);
}

#[test]
fn complete_in_a_versioned_bucket_makes_a_version() {
    let bucket = Bucket::create_versioned(&shared().client(), "multipart-versioned");
    let before = bucket.store_version("k", "before");
    let upload = Upload::begin(&bucket, "k");
    let etag = upload.part(1, b"after");
    let id = upload.complete(&[(1, etag)]).expect(200).version_id();
    assert!(!id.is_empty() && id != before);
    let xml = bucket.get("?versions").send().expect(200).xml();
    assert_eq!(xml.column("Version", "VersionId"), [id, before]);
}

#[test]
fn a_complete_answer_leaves_the_connection_usable() {
    let bucket = bucket("multipart-keep-alive");
    let upload = Upload::begin(&bucket, "k");
    let body = parts_xml(&[(1, upload.part(1, b"content"))]);
    let wire = bucket.post(&format!("k?uploadId={}", upload.id)).body(body).build();
    let mut connection = crate::support::Connection::open(shared().address).unwrap();
    connection.exchange("POST", &wire.head, &wire.frames.concat()).unwrap().expect(200).xml();
    let get = bucket.get("k").build();
    let response = connection.exchange("GET", &get.head, b"").unwrap();
    assert_eq!(response.expect(200).text(), "content");
}
