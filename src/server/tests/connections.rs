//! Connections that are kept, expect, linger, drain, and come in numbers.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, Echo, Plan, TestServer};
use crate::server::Settings;
use crate::server::limits::LINGER_BYTES_MAX;

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(&Plan::put(b"hello").bytes()).await.unwrap();
        assert_eq!(Answer::read(&mut stream, false).await.code(), "PutObject");
        stream
            .write_all(&Plan::put(b"hello").unsigned("x-amz-acl", "private").bytes())
            .await
            .unwrap();
        assert_eq!(Answer::read(&mut stream, false).await.code(), "AccessDenied");
    }
}

#[tokio::test]
async fn a_body_is_asked_for_only_when_it_is_wanted() {
    let server = TestServer::start().await;
    let plan = Plan::put(b"hello").header("expect", "100-continue");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = plan.bytes();
    let (head, body) = request.split_at(request.len() - 5);
    stream.write_all(head).await.unwrap();
    assert_eq!(Answer::read(&mut stream, false).await.status, 100);
    stream.write_all(body).await.unwrap();
    let taken = Answer::read(&mut stream, false).await;
    assert_eq!((taken.code().as_str(), taken.headers.get("connection")), ("PutObject", None));
    let refused = plan.unsigned("x-amz-acl", "private").bytes();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&refused[..refused.len() - 5]).await.unwrap();
    let refusal = Answer::read(&mut stream, false).await;
    assert_eq!(refusal.status, 403);
    assert_eq!(refusal.headers["connection"], "close");
}

/// See [`linger::end_connection`](crate::server::linger::end_connection).
#[tokio::test]
async fn a_connection_ends_where_no_body_was_asked_for() {
    let server = TestServer::start().await;
    let plan = Plan::put(b"").header("expect", "100-continue");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&plan.bytes()).await.unwrap();
    let answer = Answer::read(&mut stream, false).await;
    assert_eq!(answer.code(), "PutObject");
    assert_eq!(answer.headers["connection"], "close");
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_that_sends_on_gets_to_read_why_it_was_refused() {
    let server = TestServer::start().await;
    let large = vec![b'x'; 4 << 20];
    for plan in [
        Plan::put(&large).unsigned("x-amz-acl", "private"),
        Plan::new("PUT", "/bucket/unread").body(&large),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&plan.bytes()).await.unwrap();
        let answer = Answer::read(&mut stream, false).await;
        assert!([403, 404].contains(&answer.status));
        // And the connection goes on.
        stream.write_all(&Plan::put(b"hello").bytes()).await.unwrap();
        assert_eq!(Answer::read(&mut stream, false).await.code(), "PutObject");
    }
}

/// A client's buffers may take all of a body, so that nothing else tells it.
#[tokio::test]
async fn a_client_is_told_that_the_rest_of_its_body_ends_the_connection() {
    let server = TestServer::start().await;
    for body_bytes in [LINGER_BYTES_MAX as usize + 1, 100 << 20] {
        let head = Plan::new("PUT", "/bucket/key")
            .header("content-length", body_bytes.to_string())
            .unsigned("x-amz-acl", "private");
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&head.bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; LINGER_BYTES_MAX as usize + 1]).await.unwrap();
        let answer = Answer::read(&mut stream, false).await;
        assert_eq!(answer.status, 403);
        assert_eq!(answer.headers["connection"], "close");
    }
}

#[tokio::test]
async fn stopping_lets_requests_end() {
    let mut server = TestServer::start().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(&Plan::put(b"hello").bytes()).await.unwrap();
    Answer::read(&mut idle, false).await;
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(&Plan::new("GET", "/bucket/slow").bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.stop.take().unwrap().send(()).unwrap();
    assert_eq!(Answer::read(&mut busy, false).await.code(), "GetObject");
    tokio::time::timeout(Duration::from_secs(10), server.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let settings = Settings { drain: Duration::from_millis(100), ..Settings::default() };
    let mut server = TestServer::with(Echo, settings).await;
    let mut stuck = TcpStream::connect(server.address).await.unwrap();
    let request = Plan::put(b"hello").bytes();
    stuck.write_all(&request[..request.len() - 2]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.stop.take().unwrap().send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let settings = Settings { connections_max: 1, ..Settings::default() };
    let server = TestServer::with(Echo, settings).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(&Plan::put(b"hello").bytes()).await.unwrap();
    Answer::read(&mut first, false).await;
    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(&Plan::put(b"hello").bytes()).await.unwrap();
    let answer = Answer::read(&mut second, false);
    let mut answer = Box::pin(answer);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut answer).await;
    assert!(early.is_err(), "answered without a place");
    drop(first);
    assert_eq!(answer.await.code(), "PutObject");
}

#[tokio::test]
async fn too_many_headers_are_refused() {
    let server = TestServer::start().await;
    let mut plan = Plan::put(b"");
    for n in 0..200 {
        plan = plan.header(&format!("x-other-{n}"), "1");
    }
    let answer = server.send(&plan).await;
    assert_eq!(answer.status, 431);
}

#[tokio::test]
async fn http_2_is_served_on_the_same_port() {
    use http_body_util::{BodyExt, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let server = TestServer::start().await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let plan = Plan::put(b"hello").header("host", "photos.s3.test");
    let text = String::from_utf8(plan.bytes()).unwrap();
    let head = text.split("\r\n\r\n").next().unwrap();
    let mut request =
        http::Request::builder().method("PUT").uri("http://photos.s3.test/bucket/key");
    for line in head.split("\r\n").skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        // In HTTP/2 the host is the authority of the URI.
        if name != "host" {
            request = request.header(name, value);
        }
    }
    let request = request.body(Full::new(bytes::Bytes::from_static(b"hello"))).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains("operation=PutObject\nuri=/photos/bucket/key\n"), "{text}");
    assert!(text.contains("body=hello"));
    let mut head = http::Request::head("http://localhost/bucket?acl").body(Full::default());
    head.as_mut().unwrap().headers_mut().insert("x-a", "b".parse().unwrap());
    let answer = sender.send_request(head.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 501);
    assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
}
