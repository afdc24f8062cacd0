//! What becomes of bodies in every form a client sends them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::{Plan, ROOT, TestServer};
use crate::checksum::{Algorithm, Hasher};

fn digest(algorithm: Algorithm, data: &[u8]) -> String {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(data);
    STANDARD.encode(hasher.finish())
}

fn md5(data: &[u8]) -> String {
    STANDARD.encode(md5::Md5::digest(data))
}

/// A PUT in signed chunks of 7 bytes with a trailer, `spoil` applied to the framed body.
fn signed_chunks(data: &[u8], spoil: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let plan = Plan::new("PUT", "/bucket/key")
        .header("content-encoding", "gzip, aws-chunked")
        .header("x-amz-decoded-content-length", data.len().to_string())
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .header("transfer-encoding", "chunked")
        .hash("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER");
    let (mut head, mut signature) = plan.sign(ROOT);
    let mut framed = Vec::new();
    for chunk in data.chunks(7).chain([&[][..]]) {
        let hash = Sha256::digest(chunk).into();
        let signed = hex::encode(signature.signer.sign_chunk(hash));
        framed.extend(format!("{:x};chunk-signature={signed}\r\n", chunk.len()).bytes());
        framed.extend(chunk);
        framed.extend(if chunk.is_empty() { &b""[..] } else { b"\r\n" });
    }
    let line = format!("x-amz-checksum-crc32:{}", digest(Algorithm::Crc32, data));
    let signed = signature.signer.sign_trailer(format!("{line}\n").as_bytes());
    let end = format!("{line}\r\nx-amz-trailer-signature:{}\r\n\r\n", hex::encode(signed));
    framed.extend(end.bytes());
    spoil(&mut framed);
    // And HTTP's own chunks around it all.
    for piece in framed.chunks(50) {
        head.extend(format!("{:x}\r\n", piece.len()).bytes());
        head.extend(piece);
        head.extend(b"\r\n");
    }
    head.extend(b"0\r\n\r\n");
    head
}

fn unsigned_chunks(framed: &str, len: usize) -> Plan {
    Plan::new("PUT", "/bucket/key")
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", len.to_string())
        .header("x-amz-trailer", "x-amz-checksum-crc64nvme")
        .hash("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        .body(framed.as_bytes())
}

#[tokio::test]
async fn plain_bodies_are_verified_against_their_hash() {
    let server = TestServer::start().await;
    let wrong = hex::encode(Sha256::digest(b"other"));
    for (plan, code) in [
        (Plan::put(b"hello"), "PutObject"),
        (Plan::put(b"hello").hash("UNSIGNED-PAYLOAD"), "PutObject"),
        (Plan::put(b"hello").hash(&wrong), "XAmzContentSHA256Mismatch"),
        (Plan::put(b"").hash(&wrong), "XAmzContentSHA256Mismatch"),
        (Plan::new("GET", "/bucket/key").hash(&wrong), "XAmzContentSHA256Mismatch"),
        (Plan::new("PUT", "/bucket/key"), "MissingContentLength"),
        (Plan::put(b"hello").header("content-md5", "abc"), "InvalidDigest"),
        (Plan::put(b"hello").header("x-amz-checksum-crc32", "abc"), "InvalidRequest"),
    ] {
        assert_eq!(server.code(&plan).await, code);
    }
    let answer = server.send(&Plan::put(b"hello")).await;
    assert!(answer.has("body=hello") && answer.has("len=Some(5)"), "{}", answer.body);
}

#[tokio::test]
async fn framed_bodies_arrive_plain() {
    let server = TestServer::start().await;
    let data = b"twenty-one bytes long";
    let answer = server.send_bytes(&signed_chunks(data, |_| {})).await;
    assert_eq!(answer.code(), "PutObject", "{}", answer.body);
    for line in [
        "body=twenty-one bytes long",
        "len=Some(21)",
        "content-length: 21",
        "content-encoding: gzip",
    ] {
        assert!(answer.has(line), "{line} is not in {}", answer.body);
    }
    assert!(answer.body.contains("checksum=CRC32 trailer Some("), "{}", answer.body);
    for gone in ["transfer-encoding", "x-amz-decoded", "x-amz-trailer", "x-amz-content-sha256"] {
        assert!(!answer.body.contains(gone), "{gone} is still there");
    }
    let line = format!("x-amz-checksum-crc64nvme:{}", digest(Algorithm::Crc64Nvme, b"hello"));
    let framed = format!("5\r\nhello\r\n0\r\n{line}\r\n\r\n");
    let answer = server.send(&unsigned_chunks(&framed, 5)).await;
    assert!(answer.has("body=hello"), "{}", answer.body);
    assert!(!answer.body.contains("content-encoding"), "{}", answer.body);
}

#[tokio::test]
async fn framed_bodies_that_are_not_as_promised_fail() {
    let server = TestServer::start().await;
    let data = b"twenty-one bytes long";
    for (at, what) in [(100, "data"), (10, "a signature")] {
        let request = signed_chunks(data, |framed| framed[at] ^= 1);
        let code = server.send_bytes(&request).await.code();
        assert!(["SignatureDoesNotMatch", "InvalidRequest"].contains(&&*code), "{what}: {code}");
    }
    let cut = signed_chunks(data, |framed| framed.truncate(framed.len() - 1));
    assert_eq!(server.send_bytes(&cut).await.code(), "IncompleteBody");
    let line = format!("x-amz-checksum-crc64nvme:{}", digest(Algorithm::Crc64Nvme, b"hello"));
    let whole = format!("5\r\nhello\r\n0\r\n{line}\r\n\r\n");
    for (framed, len, code) in [
        (whole.replace("hello", "jello"), 5, "BadDigest"),
        (whole.clone(), 500, "IncompleteBody"),
        (whole.clone(), 2, "IncompleteBody"),
        ("5\r\nhello\r\n".into(), 5, "IncompleteBody"),
        ("5\r\nhello\r\n0\r\n\r\n".into(), 5, "MalformedTrailerError"),
        (whole.replace("crc64nvme", "crc32"), 5, "MalformedTrailerError"),
        (whole.replace("0\r\n", "1\r\n"), 5, "IncompleteBody"),
    ] {
        assert_eq!(server.code(&unsigned_chunks(&framed, len)).await, code, "{framed}");
    }
    let no_length = Plan::put(whole.as_bytes()).hash("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    assert_eq!(server.code(&no_length).await, "MissingContentLength");
}

#[tokio::test]
async fn lengths_beyond_the_limits_are_refused_before_the_body() {
    let server = TestServer::start().await;
    let put = |len: &str| {
        Plan::new("PUT", "/bucket/key").header("content-length", len).hash("UNSIGNED-PAYLOAD")
    };
    assert_eq!(server.code(&put("5368709121")).await, "EntityTooLarge");
    let framed = Plan::new("PUT", "/bucket/key")
        .header("content-length", "10")
        .header("x-amz-decoded-content-length", "5368709121")
        .hash("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    assert_eq!(server.code(&framed).await, "EntityTooLarge");
    let negative = Plan::put(b"")
        .header("x-amz-decoded-content-length", "-1")
        .hash("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    assert_eq!(server.code(&negative).await, "InvalidArgument");
    let document = Plan::new("POST", "/bucket?delete")
        .header("content-length", "2097153")
        .hash("UNSIGNED-PAYLOAD");
    assert_eq!(server.code(&document).await, "MaxMessageLengthExceeded");
}

#[tokio::test]
async fn documents_are_verified_and_normalised() {
    let server = TestServer::start().await;
    let xml = b"<Delete><Object><Key><![CDATA[precious]]></Key></Object></Delete>";
    let delete = |body: &[u8]| Plan::new("POST", "/bucket?delete").body(body);
    let answer = server.send(&delete(xml)).await;
    assert!(answer.has("body=<Delete><Object><Key>precious</Key></Object></Delete>"));
    assert!(answer.has("content-length: 53"), "{}", answer.body);
    for (plan, code) in [
        (delete(xml).header("content-md5", md5(xml)), "DeleteObjects"),
        (delete(xml).header("content-md5", md5(b"other")), "BadDigest"),
        (delete(xml).header("content-md5", "!"), "InvalidDigest"),
        (delete(xml).hash(&hex::encode(Sha256::digest(b"x"))), "XAmzContentSHA256Mismatch"),
        (
            delete(xml).header("x-amz-checksum-crc32", digest(Algorithm::Crc32, xml)),
            "DeleteObjects",
        ),
        (delete(xml).header("x-amz-checksum-crc32", digest(Algorithm::Crc32, b"x")), "BadDigest"),
        (delete(b"<Delete>"), "MalformedXML"),
        (delete(&[b"<!DOCTYPE a []>", &xml[..]].concat()), "MalformedXML"),
        (delete(xml).keys(None), "AccessDenied"),
    ] {
        assert_eq!(server.code(&plan).await, code);
    }
}

#[tokio::test]
async fn forms_and_rdma_are_declined() {
    let server = TestServer::start().await;
    let form = Plan::new("POST", "/bucket").keys(None).body(b"--x--");
    let form = form.header("content-type", "multipart/form-data; boundary=x");
    assert_eq!(server.code(&form).await, "NotImplemented");
    let upload = Plan::new("POST", "/bucket/key?uploads").header("content-length", "0");
    let upload = upload.header("content-type", "Multipart/Form-Data; boundary=x");
    assert_eq!(server.code(&upload).await, "NotImplemented");
    let rdma = Plan::put(b"").header("x-amz-rdma-token", "opaque").hash("UNSIGNED-PAYLOAD");
    let answer = server.send(&rdma).await;
    assert_eq!(
        (answer.status, &answer.headers["x-amz-rdma-reply"]),
        (501, &"501".parse().unwrap())
    );
}
