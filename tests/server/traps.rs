//! What the S3 library behind the gate would let through: each row is an attack that it, or a store
//! built on it, once fell for.

use std::sync::OnceLock;
use std::time::Duration;

use crate::support::digest::{checksum, md5_base64};
use crate::support::fixture::bytes;
use crate::support::form;
use crate::support::request::Damage;
use crate::support::{Bucket, Connection, Request, Server, Setup, bucket, shared};

const MIB: usize = 1024 * 1024;
/// More memory than a streamed body may cost, in bytes; far less than the bodies sent here.
const GROWTH_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// More memory than all uploads together may take when there are some hundreds: 128 MiB to be
/// written, 96 MiB to be hashed, and a fraction of 1 MiB for each: a quarter, and twice that where
/// the server is built without optimisation, as it is for these tests.
const STALLED_MAX_BYTES: u64 = 512 * 1024 * 1024;

/// Sends to a server of its own and insists that its memory did not follow the body.
#[track_caller]
fn without_growth(attack: impl FnOnce(&Server, &Bucket)) {
    let server = Setup::new().env("LODESTORE_DURABILITY", "none").start();
    let bucket = Bucket::create(&server.client(), "growth");
    bucket.store("warm", bytes(MIB));
    let before = server.memory_peak_bytes();
    attack(&server, &bucket);
    let grown = server.memory_peak_bytes() - before;
    assert!(grown < GROWTH_MAX_BYTES, "memory grew by {} MiB", grown / MIB as u64);
    assert_eq!(bucket.content("warm").len(), MIB);
}

#[test]
fn an_unsigned_amz_header_is_refused_in_every_form_of_signature() {
    let bucket = bucket("unsigned-header");
    let secret = Bucket::create(&bucket.client, "unsigned-secret");
    secret.store("k", "secret");
    let source = format!("/{}/k", secret.name);
    let headers = [
        ("x-amz-copy-source", source.as_str()),
        ("x-amz-tagging", "a=1"),
        ("x-amz-acl", "public-read"),
        ("x-amz-meta-planted", "1"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-object-lock-legal-hold", "ON"),
        ("x-amz-website-redirect-location", "/elsewhere"),
        ("X-Amz-Copy-Source", source.as_str()),
    ];
    for (name, value) in headers {
        for request in [bucket.put("k").presigned(60), bucket.put("k")] {
            let response = request.unsigned_header(name, value).send();
            assert_eq!(response.status, 403, "{name}: {response}");
            bucket.head("k").send().expect(404);
        }
    }
}

#[test]
fn a_bypass_that_was_not_signed_bypasses_nothing() {
    let bucket = Bucket::create_locked(&shared().client(), "unsigned-bypass");
    let request = bucket.put("k").body("x").header("x-amz-object-lock-mode", "GOVERNANCE");
    let until = "2037-01-01T00:00:00Z";
    let request = request.header("x-amz-object-lock-retain-until-date", until).content_md5();
    let id = request.send().expect(200).version_id();
    let target = format!("k?versionId={id}");
    for request in [bucket.delete(&target), bucket.delete(&target).presigned(60)] {
        let request = request.unsigned_header("x-amz-bypass-governance-retention", "true");
        request.send().refused(403, "AccessDenied");
    }
    bucket.head(&target).send().expect(200);
}

#[test]
fn a_signed_header_that_is_absent_is_refused() {
    let bucket = bucket("absent-header");
    for request in [bucket.put("k").body("x"), bucket.put("k").body("x").presigned(60)] {
        let request = request.absent_signed_header("x-amz-meta-promised");
        let response = request.send();
        response.refused_as(&[(403, "AccessDenied"), (403, "SignatureDoesNotMatch")]);
    }
    bucket.head("k").send().expect(404);
}

#[test]
fn the_host_has_to_be_signed() {
    let bucket = bucket("unsigned-host");
    for request in [bucket.put("k"), bucket.put("k").presigned(60)] {
        request.leave_unsigned("host").send().client_error();
    }
    bucket.head("k").send().expect(404);
}

#[test]
fn an_unknown_subresource_never_becomes_the_plain_operation() {
    let bucket = bucket("subresource");
    bucket.store("k", "content");
    let empty = Bucket::create(&bucket.client, "subresource-empty");
    for (target, requests) in [
        ("?metadataConfiguration", [empty.delete(""), empty.delete("")]),
        ("?versioning", [empty.delete(""), empty.delete("")]),
        ("?frobnicate", [empty.delete(""), empty.put("")]),
        ("?frobnicate=1", [empty.delete(""), empty.post("")]),
        ("?versions", [bucket.get("k"), bucket.head("k")]),
        ("?acl", [bucket.delete("k"), bucket.delete("k")]),
        ("?torrent", [bucket.put("k"), bucket.delete("k")]),
        ("?frobnicate", [bucket.put("k"), bucket.delete("k")]),
        ("?frobnicate&x-id=PutObject", [bucket.put("k"), bucket.get("k")]),
        ("?x-id=RenameObject", [bucket.put("k"), bucket.delete("k")]),
        ("?x-amz-tagging=a", [bucket.put("k"), bucket.get("k")]),
        ("?uploads&frobnicate", [bucket.post("k"), bucket.put("k")]),
        ("?legal-hold&frobnicate", [bucket.put("k"), bucket.delete("k")]),
    ] {
        for request in requests {
            let request = request.with_query(target);
            let response = request.send();
            let answers = matches!(response.status, 400 | 405 | 501);
            assert!(answers, "{target} fell through: {response}");
        }
    }
    let fresh = Bucket { name: format!("{}-abac", bucket.name), ..bucket.clone() };
    let response = fresh.put("?abac").send();
    assert!(response.status >= 400, "{response}");
    fresh.head("").send().expect(404);
    let response = bucket.put("k?renameObject").send();
    assert!(response.status >= 400, "{response}");
    empty.head("").send().expect(200);
    assert_eq!(bucket.content("k"), b"content");
}

#[test]
fn names_that_mean_nothing_are_passed_over() {
    let bucket = bucket("own-names");
    bucket.put("k?x-request-of=me").body("content").send().expect(200);
    for target in ["k?x-user=1", "k?v=2&customer", "k?x-user=1&x-id=GetObject&prefix=a"] {
        for request in [bucket.get(target), bucket.get(target).presigned(60)] {
            assert_eq!(request.send().expect(200).text(), "content", "{target}");
        }
    }
    for target in ["?unknown=1", "?list-type=2&x-user", "?versions&unknown", "?uploads&x-a=b"] {
        bucket.get(target).send().expect(200);
    }
    bucket.head("k?unknown").send().expect(200);
    bucket.delete("k?x-user=1").send().expect(204);
    assert!(bucket.keys().is_empty());
}

#[test]
fn an_unsigned_form_costs_no_memory() {
    without_growth(|server, bucket| {
        let fields = [("key".to_owned(), "k".to_owned())];
        let form = form::body(&fields, b"");
        let total = form.len() + 256 * MIB;
        let request = bucket.post("").anonymous().header("content-type", form::content_type());
        let wire = request.content_length(total).build();
        let mut connection = Connection::open(server.address).unwrap();
        connection.write(&wire.head).unwrap();
        let sent = connection
            .write(&form[..form.len() - 40])
            .and_then(|()| connection.write_repeatedly(&vec![b'x'; MIB], 256));
        match connection.read_response("POST") {
            Ok(response) => assert!(matches!(response.status, 400..=499 | 501), "{response}"),
            // It hung up in the middle: that is a refusal too.
            Err(_) => assert!(sent.is_err(), "256 MiB were taken without an answer"),
        }
    });
}

#[test]
fn one_huge_unsigned_chunk_costs_no_memory() {
    without_growth(|server, bucket| {
        let length = 256 * MIB;
        let mut connection = Connection::open(server.address).unwrap();
        // The trailing checksum is of the content that is sent below.
        let piece = vec![0; MIB];
        let sum = zeros_crc32(length);
        let head = format!("{length:x}\r\n");
        let tail = format!("\r\n0\r\nx-amz-checksum-crc32:{sum}\r\n\r\n");
        let request = bucket
            .put("huge")
            .payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .header("x-amz-decoded-content-length", length.to_string())
            .header("x-amz-trailer", "x-amz-checksum-crc32")
            .header("content-encoding", "aws-chunked")
            .content_length(head.len() + length + tail.len());
        connection.write(&request.build().head).unwrap();
        connection.write(head.as_bytes()).unwrap();
        connection.write_repeatedly(&piece, 256).unwrap();
        connection.write(tail.as_bytes()).unwrap();
        connection.read_response("PUT").unwrap().expect(200);
        let head = bucket.head("huge").send().expect(200);
        head.with("content-length", &length.to_string());
    });
}

/// The CRC-32 of so many zeros, in base64.
fn zeros_crc32(length: usize) -> String {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32IsoHdlc);
    let piece = vec![0; MIB];
    for _ in 0..length / MIB {
        digest.update(&piece);
    }
    let value = u32::try_from(digest.finalize()).expect("32 bits");
    crate::support::digest::base64(&value.to_be_bytes())
}

#[test]
fn uploads_that_stand_still_share_a_bounded_memory() {
    const UPLOADS: usize = 300;
    let server = Setup::new().env("LODESTORE_DURABILITY", "none").start();
    let bucket = Bucket::create(&server.client(), "stalled");
    let piece = bytes(3 * MIB / 2);
    let stalled: Vec<Connection> = (0..UPLOADS)
        .map(|number| {
            let request = bucket.put(&format!("k{number}")).payload("UNSIGNED-PAYLOAD");
            let mut connection = Connection::open(server.address).unwrap();
            connection.write(&request.content_length(256 * MIB).build().head).unwrap();
            connection.write(&piece).unwrap();
            connection
        })
        .collect();
    bucket.store("beside", piece.clone());
    assert_eq!(bucket.content("beside"), piece);
    // All that was sent is taken in when nothing grows any more.
    let mut peak = 0;
    while peak < server.memory_peak_bytes() {
        peak = server.memory_peak_bytes();
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(peak < STALLED_MAX_BYTES, "{UPLOADS} uploads took {} MiB", peak / MIB as u64);
    drop(stalled);
    assert_eq!(bucket.keys(), ["beside"]);
}

#[test]
fn one_huge_signed_chunk_costs_no_memory() {
    without_growth(|server, bucket| {
        let length = 256 * MIB;
        let signature = "0".repeat(64);
        let head = format!("{length:x};chunk-signature={signature}\r\n");
        let request = bucket
            .put("huge")
            .payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
            .header("x-amz-decoded-content-length", length.to_string())
            .header("content-encoding", "aws-chunked")
            .content_length(head.len() + length + 90);
        let mut connection = Connection::open(server.address).unwrap();
        connection.write(&request.build().head).unwrap();
        connection.write(head.as_bytes()).unwrap();
        let sent = connection.write_repeatedly(&vec![0; MIB], 256);
        let sent = sent.and_then(|()| {
            connection.write(format!("\r\n0;chunk-signature={signature}\r\n\r\n").as_bytes())
        });
        match connection.read_response("PUT") {
            Ok(response) => drop(response.client_error()),
            Err(_) => assert!(sent.is_err(), "256 MiB were taken without an answer"),
        }
        bucket.head("huge").send().expect(404);
    });
}

#[test]
fn a_chunked_body_that_ends_early_is_incomplete() {
    let bucket = bucket("truncated-chunks");
    let cuts: [(&str, Damage); 4] = [
        ("no zero chunk", |frames| drop(frames.drain(2..))),
        ("no data", |frames| drop(frames.drain(..2))),
        ("one chunk is missing", |frames| drop(frames.remove(1))),
        ("half a chunk", |frames| {
            frames.truncate(2);
            frames[1].truncate(100);
        }),
    ];
    let forms: [fn(Request) -> Request; 3] = [
        |request| request.signed_chunks(65536),
        |request| request.signed_chunks_with_trailer(65536, "CRC32"),
        |request| request.unsigned_chunks_with_trailer(65536, "CRC32"),
    ];
    for (what, cut) in cuts {
        for form in forms {
            let request = form(bucket.put("k").body(bytes(100_000))).damage(cut);
            let response = request.send();
            assert!(matches!(response.status, 400 | 403), "{what}: {response}");
            bucket.head("k").send().expect(404);
        }
    }
}

#[test]
fn a_chunked_body_of_another_length_than_declared_is_refused() {
    let bucket = bucket("declared-length");
    for (declared, sent) in [(500, 5), (2, 5), (0, 5), (100_000, 99_999), (99_999, 100_000)] {
        let content = bytes(sent);
        let sum = checksum("CRC32", &content);
        let length = format!("{sent:x}");
        let body = [
            length.as_bytes(),
            b"\r\n",
            &content,
            format!("\r\n0\r\nx-amz-checksum-crc32:{sum}\r\n\r\n").as_bytes(),
        ]
        .concat();
        let request = bucket.put("k").body(body).payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
        let response = request
            .header("x-amz-decoded-content-length", declared.to_string())
            .header("x-amz-trailer", "x-amz-checksum-crc32")
            .header("content-encoding", "aws-chunked")
            .send();
        assert_eq!(response.status, 400, "declared {declared}, sent {sent}: {response}");
        bucket.head("k").send().expect(404);
    }
}

#[test]
fn a_trailer_is_there_right_and_the_one_that_was_declared() {
    let bucket = bucket("trailers");
    let right = checksum("CRC32", b"content");
    let crc32 = "x-amz-checksum-crc32";
    for signed in [true, false] {
        let request = |declared: &str, name: &str, value: &str| {
            bucket.put("k").body("content").trailer(65536, signed, declared, name, value)
        };
        let cases = [
            ("missing", request(crc32, crc32, &right).damage(|frames| drop_trailer(frames))),
            ("wrong", request(crc32, crc32, "AAAAAA==")),
            ("malformed", request(crc32, crc32, "AAAA")),
            ("empty", request(crc32, crc32, "")),
            ("foreign", request(crc32, "x-amz-checksum-sha1", &checksum("SHA1", b"content"))),
            ("not declared", request("x-amz-checksum-sha1", crc32, &right)),
            ("no checksum", request("x-amz-meta-late", "x-amz-meta-late", "1")),
        ];
        for (what, request) in cases {
            let response = request.send();
            let refused = (400..404).contains(&response.status);
            assert!(refused, "a trailer that is {what}, signed {signed}: {response}");
            bucket.head("k").send().expect(404);
        }
        request(crc32, crc32, &right).send().expect(200);
        bucket.delete("k").send().expect(204);
    }
}

fn drop_trailer(frames: &mut [Vec<u8>]) {
    *frames.last_mut().expect("an end") = b"\r\n".to_vec();
}

#[test]
fn a_trailer_with_a_broken_signature_is_refused() {
    let bucket = bucket("trailer-signature");
    let request = bucket.put("k").body("content").signed_chunks_with_trailer(65536, "CRC32");
    let response = request
        .damage(|frames| {
            let end = frames.last_mut().expect("an end");
            let at = end.len() - 5;
            end[at] ^= 1;
        })
        .send();
    response.client_error();
    bucket.head("k").send().expect(404);
}

#[test]
fn the_digest_of_an_xml_body_is_checked() {
    let bucket = bucket("xml-digest");
    bucket.store("k", "precious");
    let body = "<Delete><Object><Key>k</Key></Object></Delete>";
    let request = || bucket.post("?delete").body(body).payload("UNSIGNED-PAYLOAD");
    request().header("content-md5", md5_base64(b"other")).send().refused(400, "BadDigest");
    request().header("content-md5", "nonsense").send().refused(400, "InvalidDigest");
    for name in crate::support::digest::CHECKSUMS {
        let header = crate::support::digest::checksum_header(name);
        let request = request().header(&header, checksum(name, b"other"));
        request.send().refused(400, "BadDigest");
    }
    assert_eq!(bucket.content("k"), b"precious");
    request().checksum("SHA256").send().expect(200);
    bucket.head("k").send().expect(404);
}

#[test]
fn keys_without_a_digest_are_not_deleted() {
    let bucket = bucket("no-digest");
    bucket.store("k", "precious");
    let body = "<Delete><Object><Key>k</Key></Object></Delete>";
    for payload in ["UNSIGNED-PAYLOAD", ""] {
        let request = bucket.post("?delete").body(body);
        let request = if payload.is_empty() { request } else { request.payload(payload) };
        request.send().refused(400, "InvalidRequest");
    }
    assert_eq!(bucket.content("k"), b"precious");
    bucket.post("?delete").body(body).checksum("CRC32").send().expect(200);
    assert!(bucket.keys().is_empty());
}

#[test]
fn a_key_in_a_cdata_section_is_that_key_or_an_error() {
    let bucket = bucket("xml-cdata");
    bucket.store("precious", "x");
    let body = "<Delete><Object><Key><![CDATA[precious]]></Key></Object></Delete>";
    let response = bucket.post("?delete").body(body).content_md5().send();
    if response.status == 200 {
        assert_eq!(response.xml().column("Deleted", "Key"), ["precious"]);
        bucket.head("precious").send().expect(404);
    } else {
        response.refused(400, "MalformedXML");
        bucket.head("precious").send().expect(200);
    }
}

#[test]
fn a_byte_order_mark_moves_no_key() {
    let bucket = bucket("xml-mark");
    for (key, named) in [
        ("abcdef", "abc<!--x-->def"),
        ("abcdef", "abc<![CDATA[]]>def"),
        ("abcdef", "<![CDATA[abcdef]]>"),
        ("xxxyyyyyyyyyy", "xxx<?p?>yyyyyyyyyy"),
    ] {
        for key in ["-->def", "abc-->def", "def", "abc", key] {
            bucket.store(key, "x");
        }
        let body = format!("\u{feff}<Delete><Object><Key>{named}</Key></Object></Delete>");
        let response = bucket.post("?delete").body(body).content_md5().send().expect(200);
        assert_eq!(response.xml().column("Deleted", "Key"), [key], "{named}");
        assert_eq!(bucket.keys(), ["-->def", "abc", "abc-->def", "def"], "{named}");
    }
}

#[test]
fn an_empty_key_is_no_key() {
    let bucket = bucket("xml-empty-key");
    for key in ["<Key></Key>", "<Key/>", ""] {
        let body = format!("<Delete><Object>{key}</Object></Delete>");
        let response = bucket.post("?delete").body(body).content_md5().send();
        if response.status == 200 {
            assert!(response.xml().all("Deleted").is_empty(), "{response}");
        } else {
            response.client_error();
        }
    }
}

#[test]
fn a_document_type_is_refused() {
    let bucket = bucket("xml-doctype");
    bucket.store("k", "x");
    for declaration in
        ["<!DOCTYPE Delete [<!ENTITY e \"k\">]>", "<!DOCTYPE Delete SYSTEM \"file:///etc/passwd\">"]
    {
        let body = format!("{declaration}<Delete><Object><Key>&e;</Key></Object></Delete>");
        let response = bucket.post("?delete").body(body).content_md5().send();
        response.refused(400, "MalformedXML");
    }
    bucket.head("k").send().expect(200);
}

#[test]
fn more_than_a_thousand_keys_are_not_deleted_at_once() {
    let bucket = bucket("xml-many-keys");
    bucket.store("k1", "x");
    for count in [1001, 5000] {
        let keys: String =
            (0..count).map(|n| format!("<Object><Key>k{n}</Key></Object>")).collect();
        let response = bucket.post("?delete").body(format!("<Delete>{keys}</Delete>"));
        response.content_md5().send().refused(400, "MalformedXML");
        bucket.head("k1").send().expect(200);
    }
    let keys: String = (0..1000).map(|n| format!("<Object><Key>k{n}</Key></Object>")).collect();
    let request = bucket.post("?delete").body(format!("<Delete>{keys}</Delete>")).content_md5();
    assert_eq!(request.send().expect(200).xml().all("Deleted").len(), 1000);
    bucket.head("k1").send().expect(404);
}

#[test]
fn the_log_holds_no_bodies_signatures_or_secrets() {
    static SERVER: OnceLock<Server> = OnceLock::new();
    // The operator may ask for all there is: of the library under the handlers, that is nothing.
    let all = "trace,s3s=trace,s3s::ops=trace,s3s::service=trace,s3s::http=trace,sled::tree=trace";
    let server = SERVER.get_or_init(|| Setup::new().env("LODESTORE_LOG", all).start());
    let bucket = Bucket::create(&server.client(), "log");
    let put = bucket.put("k2").body("VERY-PRIVATE-BODY");
    put.header("x-amz-meta-a", "VERY-PRIVATE-META").send().expect(200);
    let body = "<Delete><Object><Key>VERY-PRIVATE-NAME</Key></Object>";
    let request = bucket.post("?delete").body(body).content_md5();
    let wire = request.build();
    request.send().refused(400, "MalformedXML");
    bucket.seen_by(("LODESTOREROOTKEY", "WRONG-SECRET")).get("k").send().expect(403);
    bucket.get("k").presigned(60).send().expect(404);
    let log = server.log();
    let (_, secret) = crate::support::process::ROOT;
    let private = ["VERY-PRIVATE", "WRONG-SECRET", secret, &wire.signature, "AWS4-HMAC"];
    for text in private.into_iter().chain(["\"s3s", "sled::"]) {
        assert!(!log.contains(text), "{text} is in the log:\n{log}");
    }
}

#[test]
fn answers_without_a_body_send_no_body() {
    let bucket = bucket("bodiless");
    let etag = bucket.store("k", "content");
    let mut connection = Connection::open(shared().address).unwrap();
    let wrong = bucket.seen_by(("LODESTOREROOTKEY", "wrong"));
    let cases = [
        ("HEAD", bucket.head("missing"), 404),
        ("HEAD", bucket.head("k"), 200),
        ("HEAD", wrong.head("k"), 403),
        ("HEAD", bucket.head("k").header("if-match", "\"other\""), 412),
        ("GET", bucket.get("k").header("if-none-match", etag), 304),
        ("DELETE", bucket.delete("k"), 204),
    ];
    for (method, request, status) in cases {
        let head = request.build().head;
        connection.exchange(method, &head, b"").unwrap().expect(status);
        assert!(connection.is_quiet(), "bytes follow the {status} of a {method}");
    }
}

#[test]
fn an_error_tells_all_that_aws_tells() {
    let bucket = bucket("error-fields");
    let wrong = bucket.seen_by(("LODESTOREROOTKEY", "wrong"));
    let (mut ids, mut checked) = (Vec::new(), 0);
    for request in [
        bucket.get("no/such/key"),
        bucket.get("?policy"),
        wrong.get("k"),
        bucket.get("k").anonymous(),
        bucket.put("k").header("content-md5", "nonsense").body("x"),
        bucket.post("?delete").body("<nonsense").content_md5(),
        bucket.put("?frobnicate"),
    ] {
        let response = request.send();
        let error = response.xml();
        assert_eq!(error.name, "Error", "{response}");
        for field in ["Code", "Message", "Resource", "RequestId", "HostId"] {
            assert!(!error.text(field).is_empty(), "{field} is missing: {response}");
        }
        let id = response.header("x-amz-request-id").expect("an id").to_owned();
        assert_eq!(error.text("RequestId"), id, "{response}");
        assert!(response.header("x-amz-id-2").is_some(), "{response}");
        assert_eq!(response.header("content-type"), Some("application/xml"), "{response}");
        assert!(error.text("Resource").starts_with(&format!("/{}", bucket.name)), "{response}");
        ids.push(id);
        checked += 1;
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), checked, "each request has an id of its own");
}

#[test]
fn every_answer_has_a_request_id_and_a_date() {
    let bucket = bucket("request-ids");
    bucket.store("k", "x");
    for request in [bucket.get("k"), bucket.head("k"), bucket.get(""), bucket.delete("k")] {
        let response = request.send();
        for name in ["x-amz-request-id", "x-amz-id-2", "date", "server"] {
            assert!(response.header(name).is_some(), "no {name}: {response}");
        }
    }
}

#[test]
fn an_unknown_host_is_no_bucket() {
    let bucket = bucket("hosts");
    bucket.store("k", "x");
    for host in ["localhost", "localhost:9000", "storage.internal", "a.b.c.d:80", "[::1]:9000"] {
        assert_eq!(bucket.get("k").host(host).send().expect(200).text(), "x", "{host}");
    }
}

#[test]
fn a_double_slash_lists_the_buckets() {
    let client = shared().client();
    let response = client.request("GET", "//").send().expect(200);
    assert_eq!(response.xml().name, "ListAllMyBucketsResult");
}

#[test]
fn the_transfer_coding_is_not_kept_with_the_object() {
    let bucket = bucket("aws-chunked");
    for (sent, kept) in [
        ("aws-chunked", None),
        ("gzip,aws-chunked", Some("gzip")),
        ("aws-chunked, gzip", Some("gzip")),
        ("AWS-Chunked", None),
    ] {
        let request = bucket.put("k").body("content").header("content-encoding", sent);
        request.signed_chunks(65536).send().expect(200);
        let head = bucket.head("k").send().expect(200);
        assert_eq!(head.header("content-encoding"), kept, "{sent}: {head}");
        assert_eq!(bucket.content("k"), b"content");
    }
    // Some clients announce it for a body that is not chunked at all.
    bucket.put("k").body("x").header("content-encoding", "aws-chunked").send().expect(200);
    bucket.head("k").send().expect(200).without("content-encoding");
}

#[test]
fn an_xml_body_may_be_chunked() {
    let bucket = bucket("xml-chunked");
    let body = "<Delete><Object><Key>k</Key></Object></Delete>";
    let requests: [fn(Request) -> Request; 3] = [
        |request| request.signed_chunks(65536).content_md5(),
        |request| request.signed_chunks_with_trailer(65536, "CRC32"),
        |request| request.unsigned_chunks_with_trailer(65536, "CRC32"),
    ];
    for form in requests {
        bucket.store("k", "x");
        form(bucket.post("?delete").body(body)).send().expect(200);
        bucket.head("k").send().expect(404);
    }
}

#[test]
fn a_signature_for_another_service_is_none_for_s3() {
    let bucket = bucket("other-service");
    bucket.store("k", "x");
    for service in ["iam", "sts", "kms", "ec2", ""] {
        let response = bucket.get("k").service(service).send();
        let refused = (400..404).contains(&response.status) || response.status == 501;
        assert!(refused, "{service}: {response}");
    }
}

#[test]
fn a_call_of_another_service_is_no_form_and_no_bucket() {
    let bucket = bucket("other-api");
    let calls = [
        ("sts", "/", "Action=GetCallerIdentity&Version=2011-06-15"),
        ("iam", "/", "Action=ListUsers&Version=2010-05-08"),
    ];
    for (service, target, body) in calls {
        let request = bucket.client.request("POST", target).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        for request in [request.clone().service(service), request] {
            let response = request.send();
            let refused = matches!(response.status, 400..=405 | 501);
            assert!(refused && !response.field("Code").is_empty(), "{service}: {response}");
        }
    }
}

#[test]
fn a_preflight_is_answered_without_a_signature() {
    let bucket = bucket("preflight");
    let request = bucket.request("OPTIONS", "k").anonymous();
    let request = request
        .header("origin", "https://example.com")
        .header("access-control-request-method", "PUT");
    let response = request.send().expect(403);
    response.without("access-control-allow-origin");
    bucket.request("OPTIONS", "k").anonymous().send().expect(400);
}
