//! Input that is broken, absurd or hostile: a clear error, nothing stored, nothing lost, and the
//! server goes on.

use std::time::{Duration, Instant};

use crate::support::fixture::bytes;
use crate::support::request::Damage;
use crate::support::signing::encode;
use crate::support::{Bucket, Connection, Response, Server, Setup, bucket, shared};

const MIB: usize = 1024 * 1024;

/// Sends raw bytes and reads the answer, if one comes.
fn raw(server: &Server, bytes: &[u8]) -> Option<Response> {
    let mut connection = Connection::open(server.address).unwrap();
    connection.exchange("GET", bytes, b"").ok()
}

#[track_caller]
fn still_serves(bucket: &Bucket) {
    bucket.store("still", "here");
    assert_eq!(bucket.content("still"), b"here");
}

#[test]
fn a_body_cut_off_in_the_middle_stores_nothing() {
    let bucket = bucket("cut-off");
    for (length, sent) in [(1000, 0), (1000, 999), (8 * MIB, MIB), (8 * MIB, 8 * MIB - 1)] {
        let wire = bucket.put("k").body(bytes(length)).build();
        let mut connection = Connection::open(shared().address).unwrap();
        connection.write(&wire.head).unwrap();
        connection.write(&wire.frames.concat()[..sent]).unwrap();
        connection.finish_writing().unwrap();
        if let Ok(response) = connection.read_response("PUT") {
            response.refused_as(&[(400, "IncompleteBody"), (400, "RequestTimeout")]);
        }
        bucket.head("k").send().expect(404);
    }
    still_serves(&bucket);
}

#[test]
fn a_part_cut_off_in_the_middle_is_no_part() {
    let bucket = bucket("cut-off-part");
    let upload = bucket.post("k?uploads").send().expect(200).field("UploadId");
    let target = format!("k?partNumber=1&uploadId={upload}");
    let wire = bucket.put(&target).body(bytes(MIB)).payload("UNSIGNED-PAYLOAD").build();
    let mut connection = Connection::open(shared().address).unwrap();
    connection.write(&wire.head).unwrap();
    connection.write(&wire.frames.concat()[..MIB / 2]).unwrap();
    drop(connection);
    let listed = bucket.get(&format!("k?uploadId={upload}")).send().expect(200);
    assert!(listed.xml().all("Part").is_empty());
}

#[test]
fn an_absurd_content_length_is_refused_before_the_body() {
    let bucket = bucket("content-length");
    let lengths = [
        ("18446744073709551616", 400),
        ("99999999999999999999999999", 400),
        ("-1", 400),
        ("0x10", 400),
        ("5 5", 400),
        ("", 400),
        ("5368709121", 400),
        ("6597069766656", 400),
    ];
    for (length, status) in lengths {
        let wire = bucket.put("k").payload("UNSIGNED-PAYLOAD").content_length(length).build();
        let mut connection = Connection::open(shared().address).unwrap();
        connection.write(&wire.head).unwrap();
        let response = connection.read_response("PUT").unwrap();
        assert_eq!(response.status, status, "{length:?}: {response}");
        if length.len() < 14 && length.starts_with("53") {
            response.refused(400, "EntityTooLarge");
        }
    }
    bucket.head("k").send().expect(404);
    still_serves(&bucket);
}

#[test]
fn a_declared_length_above_the_limit_is_refused_before_the_body() {
    let bucket = bucket("decoded-length");
    for length in ["5368709121", "18446744073709551615", "-1", "many", ""] {
        let request = bucket
            .put("k")
            .payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .header("x-amz-decoded-content-length", length)
            .header("x-amz-trailer", "x-amz-checksum-crc32")
            .content_length(100);
        let mut connection = Connection::open(shared().address).unwrap();
        connection.write(&request.build().head).unwrap();
        connection.read_response("PUT").unwrap().client_error();
    }
    bucket.head("k").send().expect(404);
}

#[test]
fn a_put_without_a_length_is_refused() {
    let bucket = bucket("no-length");
    let wire = bucket.put("k").unframed().build();
    let mut connection = Connection::open(shared().address).unwrap();
    let response = connection.exchange("PUT", &wire.head, b"").unwrap();
    response.refused(411, "MissingContentLength");
    bucket.head("k").send().expect(404);
}

#[test]
fn two_lengths_cannot_smuggle_a_request() {
    let bucket = bucket("smuggle");
    bucket.store("victim", "x");
    let inner = String::from_utf8(bucket.delete("victim").build().head).unwrap();
    let wire = bucket.put("k").payload("UNSIGNED-PAYLOAD").content_length(inner.len() + 5);
    let wire = wire.unsigned_header("transfer-encoding", "chunked").build();
    let mut connection = Connection::open(shared().address).unwrap();
    let first = connection.exchange("PUT", &wire.head, format!("0\r\n\r\n{inner}").as_bytes());
    // Whoever takes both has to end the connection, or the rest is a request.
    if first.is_ok_and(|response| response.status < 400) {
        assert!(connection.read_response("DELETE").is_err(), "a second answer came");
    }
    let twice =
        bucket.put("k").payload("UNSIGNED-PAYLOAD").content_length("4\r\ncontent-length: 5");
    let wire = twice.build();
    let mut connection = Connection::open(shared().address).unwrap();
    connection.exchange("PUT", &wire.head, b"12345").unwrap().expect(400);
    bucket.head("victim").send().expect(200);
}

#[test]
fn a_broken_chunk_is_refused_wherever_it_is() {
    let bucket = bucket("broken-chunks");
    let changes: [(&str, Damage); 9] = [
        ("a changed byte in the first chunk", |frames| flip(&mut frames[0], 1000)),
        ("a changed byte in the second chunk", |frames| flip(&mut frames[1], 1000)),
        ("a changed signature in the first chunk", |frames| flip(&mut frames[0], 30)),
        ("a changed signature at the end", |frames| flip(&mut frames[3], 30)),
        ("chunks in another order", |frames| frames.swap(0, 1)),
        ("a chunk twice", |frames| frames.insert(1, frames[1].clone())),
        ("a chunk left out", |frames| drop(frames.remove(1))),
        ("no signature", |frames| {
            let data = frames[1].iter().position(|byte| *byte == b'\r').expect("a line");
            let rest = frames[1].split_off(data);
            frames[1] = [b"10000".to_vec(), rest].concat();
        }),
        ("a signature that is none", |frames| {
            let line = frames[1].iter().position(|byte| *byte == b'\r').expect("a line");
            frames[1].splice(..line, b"10000;chunk-signature=zzz".iter().copied());
        }),
    ];
    for (what, change) in changes {
        let request = bucket.put("k").body(bytes(3 * 65536)).signed_chunks(65536);
        let response = request.damage(change).send();
        assert!(matches!(response.status, 400 | 403), "{what}: {response}");
        bucket.head("k").send().expect(404);
    }
    still_serves(&bucket);
}

fn flip(frame: &mut [u8], at: usize) {
    frame[at] ^= 1;
}

#[test]
fn malformed_chunk_framing_is_refused() {
    let bucket = bucket("chunk-framing");
    let endless = [b"1".repeat(100_000), b"\r\n".to_vec()].concat();
    let extension = [b"5;".to_vec(), b"x".repeat(1_000_000)].concat();
    let bodies: [&[u8]; 10] = [
        b"zz\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nno colon here\r\n\r\n",
        b"\r\n\r\n\r\n",
        &endless,
        &extension,
    ];
    for body in bodies {
        let request = bucket
            .put("k")
            .body(body)
            .payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .header("x-amz-decoded-content-length", "5")
            .header("x-amz-trailer", "x-amz-checksum-crc32");
        request.send().expect(400);
        bucket.head("k").send().expect(404);
    }
}

#[test]
fn endless_trailers_are_refused() {
    let bucket = bucket("endless-trailers");
    let mut body = b"5\r\nhello\r\n0\r\n".to_vec();
    for number in 0..100_000 {
        body.extend_from_slice(format!("x-amz-meta-{number}:v\r\n").as_bytes());
    }
    body.extend_from_slice(b"\r\n");
    let request = bucket
        .put("k")
        .body(body)
        .payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        .header("x-amz-decoded-content-length", "5")
        .header("x-amz-trailer", "x-amz-checksum-crc32");
    if let Ok(response) = request.try_send() {
        response.client_error();
    }
    bucket.head("k").send().expect(404);
}

#[test]
fn malformed_xml_is_named_so_wherever_it_comes() {
    let bucket = Bucket::create_locked(&shared().client(), "malformed-xml");
    bucket.store("k", "content");
    let upload = bucket.post("k?uploads").send().expect(200).field("UploadId");
    let complete = format!("k?uploadId={upload}");
    let targets = [
        ("POST", "?delete"),
        ("PUT", "?versioning"),
        ("PUT", "?tagging"),
        ("PUT", "?object-lock"),
        ("PUT", "k?tagging"),
        ("PUT", "k?retention"),
        ("PUT", "k?legal-hold"),
        ("POST", complete.as_str()),
    ];
    let bodies: [&[u8]; 10] = [
        b"<",
        b"not xml at all",
        b"<Unclosed>",
        b"<A></B>",
        b"<A/><B/>",
        b"<Other><Thing>1</Thing></Other>",
        b"\x00\x01\x02",
        b"<A>\xff\xfe</A>",
        b"{\"json\":true}",
        b"<?xml version=\"1.0\"?>",
    ];
    for (method, target) in targets {
        for body in bodies {
            let response = bucket.request(method, target).body(body).content_md5().send();
            let right = response.status == 400 && response.field("Code") == "MalformedXML";
            assert!(right, "{method} {target} {:?}: {response}", String::from_utf8_lossy(body));
        }
    }
    assert_eq!(bucket.content("k"), b"content");
    assert_eq!(bucket.get("?versioning").send().field("Status"), "Enabled");
}

#[test]
fn deep_and_large_xml_is_refused_cheaply() {
    let server = Setup::new().start();
    let bucket = Bucket::create(&server.client(), "deep-xml");
    let deep = [b"<a>".repeat(200_000), b"</a>".repeat(200_000)].concat();
    let wide = format!("<Delete>{}</Delete>", "<Object/>".repeat(100_000));
    let attributes = format!("<Delete {}/>", "a=\"b\" ".repeat(100_000));
    let text = format!("<Delete><Object><Key>{}</Key></Object></Delete>", "k".repeat(30 * MIB));
    let parts: String = (1..=10_001)
        .map(|n| format!("<Part><PartNumber>{n}</PartNumber><ETag>e</ETag></Part>"))
        .collect();
    let before = server.memory_peak_bytes();
    for body in [deep, wide.into_bytes(), attributes.into_bytes(), text.into_bytes()] {
        if let Ok(response) = bucket.post("?delete").body(body).content_md5().try_send() {
            response.client_error();
        }
    }
    let upload = bucket.post("k?uploads").send().expect(200).field("UploadId");
    let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    bucket.post(&format!("k?uploadId={upload}")).body(body).send().client_error();
    let grown = server.memory_peak_bytes() - before;
    assert!(grown < 64 * MIB as u64, "memory grew by {} MiB", grown / MIB as u64);
    still_serves(&bucket);
}

#[test]
fn endless_headers_are_cut_off() {
    let server = Setup::new().start();
    let before = server.memory_peak_bytes();
    let host = format!("host: {}\r\n", server.address);
    let many = "x-header: value\r\n".repeat(500_000);
    let long = format!("x-header: {}\r\n", "v".repeat(32 * MIB));
    let line = format!("/{}", "k".repeat(32 * MIB));
    let name = format!("{}: v\r\n", "n".repeat(32 * MIB));
    for (target, headers) in [("/", &many), ("/", &long), (line.as_str(), &host), ("/", &name)] {
        let request = format!("GET {target} HTTP/1.1\r\n{host}{headers}\r\n");
        if let Some(response) = raw(&server, request.as_bytes()) {
            assert!(matches!(response.status, 400..=431), "{response}");
        }
    }
    let grown = server.memory_peak_bytes() - before;
    assert!(grown < 64 * MIB as u64, "memory grew by {} MiB", grown / MIB as u64);
    still_serves(&Bucket::create(&server.client(), "after-headers"));
}

#[test]
fn what_is_no_http_is_no_trouble() {
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let inputs: [&[u8]; 8] = [
        hello,
        b"\x00\x00\x00\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
    ];
    for input in inputs {
        let mut connection = Connection::open(shared().address).unwrap();
        connection.write(input).unwrap();
        connection.finish_writing().unwrap();
        if let Ok(response) = connection.read_response("GET") {
            assert!((400..506).contains(&response.status), "{response}");
        }
    }
    still_serves(&bucket("after-garbage"));
}

#[test]
fn an_unfinished_head_is_cut_off_in_time() {
    let mut connection = Connection::open(shared().address).unwrap();
    connection.write(b"GET / HTTP/1.1\r\nhost: a\r\n").unwrap();
    let started = Instant::now();
    assert!(!connection.waits(Duration::from_secs(45)), "still open after 45 s");
    assert!(started.elapsed() > Duration::from_secs(1), "and not at once");
}

#[test]
fn odd_percent_encodings_are_refused_or_plain() {
    let bucket = bucket("percent");
    for target in ["%", "%z", "%zz", "%4", "a%", "%FF", "%C3%28", "%ED%A0%80", "%F8%88%80%80%80"] {
        let response = bucket.put(target).body("x").send();
        assert_eq!(response.status, 400, "{target}: {response}");
    }
    assert!(bucket.keys().is_empty());
    // Lower-case and needless escapes name the same key.
    bucket.store("a/b c", "x");
    for target in ["a%2fb%20c", "%61%2Fb%20c", "a/b%20c"] {
        assert_eq!(bucket.get(target).send().expect(200).text(), "x", "{target}");
    }
}

#[test]
fn a_nul_in_a_key_is_a_plain_byte_or_an_error() {
    let bucket = bucket("nul");
    let response = bucket.put("a%00b").body("x").send();
    if response.status == 200 {
        assert_eq!(bucket.get("a%00b").send().expect(200).text(), "x");
        bucket.get("a").send().refused(404, "NoSuchKey");
    } else {
        response.client_error();
        assert!(bucket.keys().is_empty());
    }
}

#[test]
fn a_path_never_leaves_the_store() {
    let server = Setup::new().start();
    let bucket = Bucket::create(&server.client(), "paths");
    let outside = server.setup().home().join("escaped");
    for key in
        ["../escaped", "../../escaped", "/../../../escaped", "..\\escaped", "a/../../escaped"]
    {
        bucket.store(key, "x");
        bucket.put(&encode(key)).body("x").send().expect(200);
        assert_eq!(bucket.content(key), b"x");
        assert!(!outside.exists(), "{key} became a path");
    }
    for target in ["/..", "/../x", "/%2e%2e/x", "/./x", "/%2F/x", "/..%2Fx/y"] {
        let response = server.client().request("PUT", target).body("x").send();
        response.client_error();
    }
    assert!(!outside.exists());
}

#[test]
fn a_method_that_s3_does_not_know_is_not_allowed() {
    let bucket = bucket("methods");
    bucket.store("k", "x");
    for method in ["PATCH", "TRACE", "PROPFIND", "get", "LODESTORE"] {
        let response = bucket.request(method, "k").send();
        assert!(matches!(response.status, 400 | 403 | 405 | 501), "{method}: {response}");
    }
    assert_eq!(bucket.content("k"), b"x");
}

#[test]
fn a_request_for_rdma_is_declined_as_the_draft_says() {
    let bucket = bucket("rdma");
    let token = ("x-amz-rdma-token", "0123456789abcdef:4096:42");
    let put = bucket.put("k").headers(&[token]).body("x").send();
    assert_eq!(put.header("x-amz-rdma-reply"), Some("501"), "{put}");
    bucket.head("k").send().expect(404);
    bucket.store("k", "x");
    let get = bucket.get("k").headers(&[token]).send();
    assert_eq!(get.header("x-amz-rdma-reply"), Some("501"), "{get}");
    assert!(get.header("x-amz-rdma-bytes-transferred").is_none(), "{get}");
}
