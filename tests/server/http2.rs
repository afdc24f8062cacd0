//! HTTP/2 with prior knowledge: the same store, many requests on one connection, and none of them
//! ends the others.

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::fixture::bytes;
use crate::support::request::Request;
use crate::support::{Response, bucket, shared};

/// One connection.
#[derive(Clone)]
struct Http2(SendRequest<Full<Bytes>>);

impl Http2 {
    async fn connect() -> Self {
        let stream = tokio::net::TcpStream::connect(shared().address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// Sends what `request` would send over HTTP/1, and reads the answer to its end.
    async fn try_send(&self, request: &Request) -> Result<Response, hyper::Error> {
        let wire = request.build();
        let head = String::from_utf8(wire.head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let mut first = lines.next().unwrap().split(' ');
        let (method, target) = (first.next().unwrap(), first.next().unwrap());
        let mut built = http::Request::builder().method(method);
        for line in lines {
            match line.split_once(": ").unwrap_or((line, "")) {
                ("host", host) => {
                    let uri = Uri::builder().scheme("http").authority(host).path_and_query(target);
                    built = built.uri(uri.build().unwrap());
                }
                (name, value) => built = built.header(name.trim_end_matches(':'), value),
            }
        }
        let built = built.body(Full::new(Bytes::from(wire.frames.concat()))).unwrap();
        let mut sender = self.0.clone();
        sender.ready().await?;
        let (parts, body) = sender.send_request(built).await?.into_parts();
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        Ok(Response {
            request: format!("{method} {target}"),
            status: parts.status.as_u16(),
            headers: parts.headers.iter().map(header).collect(),
            body: body.collect().await?.to_bytes().to_vec(),
            continued: false,
        })
    }

    async fn send(&self, request: &Request) -> Response {
        self.try_send(request).await.unwrap()
    }
}

#[tokio::test]
async fn objects_are_written_read_listed_and_deleted() {
    let bucket = bucket("h2-daily");
    let connection = Http2::connect().await;
    let put = connection.send(&bucket.put("a/%C3%A4").body("content").content_md5()).await;
    let etag = put.expect(200).etag();
    let got = connection.send(&bucket.get("a/%C3%A4")).await.expect(200).with("etag", &etag);
    assert_eq!(got.with("content-length", "7").text(), "content");
    let range = bucket.get("a/%C3%A4").header("range", "bytes=1-3");
    assert_eq!(connection.send(&range).await.expect(206).text(), "ont");
    let listed = connection.send(&bucket.get("?list-type=2&prefix=a%2F")).await.expect(200);
    assert_eq!(listed.xml().column("Contents", "Key"), ["a/ä"]);
    let link = connection.send(&bucket.get("a/%C3%A4").presigned(60)).await.expect(200);
    assert_eq!(link.text(), "content");
    connection.send(&bucket.delete("a/%C3%A4")).await.expect(204);
    connection.send(&bucket.get("a/%C3%A4")).await.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_usable() {
    let bucket = bucket("h2-bodiless");
    let etag = bucket.store("k", "content");
    let connection = Http2::connect().await;
    for _ in 0..3 {
        let head = connection.send(&bucket.head("k")).await.expect(200);
        head.with("content-length", "7");
        let part = connection.send(&bucket.head("k").header("range", "bytes=0-2")).await;
        part.expect(206).with("content-length", "3");
        let requests = [
            (bucket.head("missing"), 404),
            (bucket.head("k").header("if-match", "\"x\""), 412),
            (bucket.head("k").header("if-none-match", etag.as_str()), 304),
            (bucket.get("k").header("if-none-match", etag.as_str()), 304),
            (bucket.delete("missing"), 204),
            (bucket.head("").anonymous(), 403),
        ];
        for (request, status) in requests {
            let response = connection.send(&request).await.expect(status);
            assert!(response.body.is_empty(), "{response}");
        }
    }
    assert_eq!(connection.send(&bucket.get("k")).await.expect(200).text(), "content");
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let bucket = bucket("h2-many");
    let connection = Http2::connect().await;
    let content = |number: usize| bytes(1000 + 3001 * number);
    let puts = (0..100).map(|number| {
        let (connection, request) =
            (connection.clone(), bucket.put(&format!("k{number}")).body(content(number)));
        async move { connection.send(&request).await.expect(200) }
    });
    futures::future::join_all(puts).await;
    let gets = (0..100).map(|number| {
        let (connection, request) = (connection.clone(), bucket.get(&format!("k{number}")));
        async move { connection.send(&request).await.expect(200).body == content(number) }
    });
    let same = futures::future::join_all(gets).await;
    assert!(same.iter().all(|same| *same), "a body came back different");
}

#[tokio::test]
async fn large_bodies_pass_the_windows_in_every_framing() {
    let bucket = bucket("h2-large");
    let connection = Http2::connect().await;
    let content = bytes(9_000_001);
    let requests = [
        bucket.put("plain").body(content.clone()).payload("UNSIGNED-PAYLOAD"),
        bucket.put("hashed").body(content.clone()),
        bucket.put("chunks").body(content.clone()).signed_chunks(64 * 1024),
        bucket.put("trailer").body(content.clone()).unsigned_chunks_with_trailer(100_000, "CRC32"),
    ];
    for request in &requests {
        connection.send(request).await.expect(200);
    }
    for key in ["plain", "hashed", "chunks", "trailer"] {
        let got = connection.send(&bucket.get(key)).await.expect(200);
        assert!(got.body == content, "{key} came back different");
    }
}

#[tokio::test]
async fn signatures_hold_as_they_do_over_http_1() {
    let bucket = bucket("h2-signatures");
    bucket.store("k", "content");
    let connection = Http2::connect().await;
    let refused = [
        (bucket.get("k").anonymous(), "AccessDenied"),
        (bucket.get("k").redirect(&format!("/{}/other", bucket.name)), "SignatureDoesNotMatch"),
        (bucket.get("k").leave_unsigned("host"), "AccessDenied"),
        (bucket.put("k").body("x").unsigned_header("x-amz-acl", "private"), "AccessDenied"),
    ];
    for (request, code) in refused {
        connection.send(&request).await.refused(403, code);
    }
    assert_eq!(bucket.content("k"), b"content");
}

#[tokio::test]
async fn a_refused_body_ends_its_stream_only() {
    let bucket = bucket("h2-refused");
    bucket.store("k", "content");
    let connection = Http2::connect().await;
    for _ in 0..4 {
        let large = bucket.put("new").body(bytes(6_000_000)).payload("UNSIGNED-PAYLOAD");
        let (large, small) = (large.redirect("/elsewhere/new"), bucket.get("k"));
        let (refused, read) =
            tokio::join!(connection.try_send(&large), connection.try_send(&small));
        // The client may hear of the reset stream before it hears the answer.
        if let Ok(refused) = refused {
            refused.refused(403, "SignatureDoesNotMatch");
        }
        assert_eq!(read.unwrap().expect(200).text(), "content");
    }
    bucket.head("new").send().expect(404);
}
