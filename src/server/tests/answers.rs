//! What answers look like from outside.

use std::sync::atomic::{AtomicBool, Ordering};

use storage_engine::Stats;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Echo, Plan, TestServer};
use crate::server::Settings;

#[tokio::test]
async fn errors_are_whole_and_named() {
    let server = TestServer::start().await;
    let answer = server.send(&Plan::new("DELETE", "/bucket?versioning")).await;
    assert_eq!((answer.status, answer.code().as_str()), (501, "NotImplemented"));
    let id = answer.headers["x-amz-request-id"].to_str().unwrap();
    assert!(answer.body.contains(&format!("<RequestId>{id}</RequestId>")), "{}", answer.body);
    assert!(answer.body.contains("<Resource>/bucket</Resource>"));
    assert!(answer.body.contains("<BucketName>bucket</BucketName>"));
    assert_eq!(answer.headers["server"], "Lodestore");
    assert_eq!(answer.headers["content-type"], "application/xml");
    assert!(answer.headers.contains_key("x-amz-id-2") && answer.headers.contains_key("date"));
}

#[tokio::test]
async fn errors_to_head_have_no_body() {
    let server = TestServer::start().await;
    let answer = server.send(&Plan::new("HEAD", "/bucket/key?acl")).await;
    assert_eq!(answer.status, 501);
    assert!(answer.headers.get("content-length").is_none_or(|len| len == "0"));
    assert_eq!(answer.headers["x-amz-error-code"], "NotImplemented");
}

#[tokio::test]
async fn a_panic_or_failure_of_a_handler_is_an_internal_error() {
    let server = TestServer::start().await;
    for path in ["/bucket/panic", "/bucket/fails"] {
        let answer = server.send(&Plan::new("GET", path)).await;
        assert_eq!((answer.status, answer.code().as_str()), (500, "InternalError"));
        assert!(!answer.body.contains("as asked"));
    }
    let page = server.send(&Plan::new("GET", "/_/metrics").keys(None)).await;
    assert!(page.has("lodestore_handler_panics_total 1"), "{}", page.body);
}

#[tokio::test]
async fn a_panic_outside_a_handler_is_answered_and_counted_too() {
    let asked = AtomicBool::new(false);
    let stats = move || {
        assert!(asked.swap(true, Ordering::Relaxed), "as asked");
        Stats::default()
    };
    let server = TestServer::with_stats(Echo, stats, Settings::default()).await;
    let metrics = Plan::new("GET", "/_/metrics").keys(None);
    let answer = server.send(&metrics).await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "InternalError"));
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&Plan::new("GET", "/bucket/torn").bytes()).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    let page = server.send(&metrics).await;
    assert!(page.has("lodestore_handler_panics_total 2"), "{}", page.body);
}

#[tokio::test]
async fn health_and_metrics_are_open_and_the_rest_of_their_place_is_empty() {
    let server = TestServer::start().await;
    let get = |path: &str| Plan::new("GET", path).keys(None);
    for path in ["/livez", "/readyz", "/healthz", "/minio/health/live", "/minio/health/cluster"] {
        assert_eq!(server.send(&get(path)).await.status, 200, "{path}");
    }
    assert!(server.send(&get("/readyz")).await.body.contains("\"durability\":\"sync\""));
    let head = server.send(&Plan::new("HEAD", "/livez").keys(None)).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    server.readiness.set_draining();
    assert_eq!(server.send(&get("/readyz")).await.status, 503);
    assert_eq!(server.send(&get("/livez")).await.status, 200);
    assert_eq!(server.send(&get("/_/console")).await.status, 404);
    assert_eq!(server.code(&Plan::new("GET", "/livez")).await, "ListObjects");
    server.send(&Plan::put(b"12345")).await;
    let page = server.send(&get("/_/metrics")).await;
    for line in [
        "lodestore_sync_total 7",
        "lodestore_requests_total{operation=\"PutObject\",status=\"2xx\"} 1",
        "lodestore_request_received_bytes_total{operation=\"PutObject\"} 5",
        "lodestore_durability{mode=\"sync\"} 1",
    ] {
        assert!(page.has(line), "{line} is not in\n{}", page.body);
    }
}

#[tokio::test]
async fn preflights_are_answered_without_a_signature() {
    let server = TestServer::start().await;
    let plan = Plan::new("OPTIONS", "/bucket/key").keys(None).header("origin", "http://a");
    let plan = plan.header("access-control-request-method", "PUT");
    let answer = server.send(&plan).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "AccessForbidden"));
}

#[tokio::test]
async fn heads_that_could_be_read_two_ways_are_refused() {
    let server = TestServer::start().await;
    for (plan, code) in [
        (
            Plan::put(b"").header("if-none-match", "*").header("if-none-match", "*"),
            "InvalidArgument",
        ),
        (Plan::new("GET", "/bucket/%ff"), "InvalidURI"),
        (Plan::new("PATCH", "/bucket/key"), "MethodNotAllowed"),
        (Plan::new("GET", &format!("/bucket/{}", "k".repeat(1025))), "KeyTooLongError"),
        (Plan::put(b"").header("x-amz-meta-a", "1").header("x-amz-meta-b", "2"), "PutObject"),
    ] {
        assert_eq!(server.code(&plan).await, code);
    }
    // The client's library would refuse to write these.
    for target in ["/bucket/key?versionId=1&versionId=2", "/bucket/%zz", "/bucket?prefix=%ff"] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let answer = server.send_bytes(request.as_bytes()).await;
        assert_eq!(answer.status, 400, "{target}");
    }
}
