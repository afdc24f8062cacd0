//! The server as a client meets it: over TCP, with signed requests, and a handler that tells what
//! reached it.

mod answers;
mod bodies;
mod connections;
mod s3_layer;
mod signatures;

use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use s3s::dto::StreamingBlob;
use sha2::{Digest, Sha256};
use storage_engine::Stats;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::admitted::Admitted;
use super::body::{BodyError, BodyPromise, ChecksumSource};
use super::front::Handler;
use super::gate::Case;
use super::guard::OperationName;
use super::query::Query;
use super::sigv4::Head;
use super::sigv4::example::{KeyPair, Signature, basic_text};
use super::{Readiness, Server, Settings};
use crate::iam::{Context, Identities, Principal, SecretKey};

const ROOT: KeyPair = KeyPair { access_key: "rootkey", secret_key: "rootsecret" };
const ALICE: KeyPair = KeyPair { access_key: "alicekey", secret_key: "alicesecret" };

fn identities() -> Identities {
    let secret = SecretKey::new(ROOT.secret_key.into());
    let mut identities = Identities::new(ROOT.access_key.into(), secret).unwrap();
    identities
        .add_users(
            r#"{"users":[{"name":"alice","access_key":"alicekey","secret_key":"alicesecret"}]}"#,
        )
        .unwrap();
    identities
}

/// A running server.
struct TestServer {
    address: SocketAddr,
    readiness: Readiness,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl TestServer {
    async fn start() -> Self {
        Self::with(Echo, Settings { domains: vec!["s3.test".into()], ..Settings::default() }).await
    }

    async fn with(handler: impl Handler, settings: Settings) -> Self {
        let stats = || Stats { durability: "sync", syncs: 7, ..Stats::default() };
        Self::with_stats(handler, stats, settings).await
    }

    async fn with_stats(
        handler: impl Handler,
        stats: impl Fn() -> Stats + Send + Sync + 'static,
        settings: Settings,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let readiness = Readiness::default();
        readiness.set_ready();
        let server = Server::new(handler, identities(), stats, readiness.clone(), settings);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.serve(listener, async {
            let _ = stopped.await;
        }));
        Self { address, readiness, stop: Some(stop), task }
    }

    async fn send(&self, request: &Plan) -> Answer {
        self.send_bytes(&request.bytes()).await
    }

    /// Sends bytes on a connection of their own and reads the answer.
    async fn send_bytes(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        Answer::read(&mut stream, bytes.starts_with(b"HEAD ")).await
    }

    async fn code(&self, request: &Plan) -> String {
        self.send(request).await.code()
    }
}

/// A request in the making, signed as it is at the end.
#[derive(Clone)]
struct Plan {
    method: Method,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    keys: Option<KeyPair>,
    hash: Option<String>,
    late: time::Duration,
    /// Added behind the signature's back.
    unsigned: Vec<(String, String)>,
}

impl Plan {
    fn new(method: &str, target: &str) -> Self {
        Self {
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            target: target.into(),
            headers: vec![("host".into(), "localhost:9000".into())],
            body: Vec::new(),
            keys: Some(ROOT),
            hash: None,
            late: time::Duration::ZERO,
            unsigned: Vec::new(),
        }
    }

    fn put(body: &[u8]) -> Self {
        Self::new("PUT", "/bucket/key").body(body)
    }

    fn keys(mut self, keys: Option<KeyPair>) -> Self {
        self.keys = keys;
        self
    }

    fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        if name == "host" {
            self.headers.clear();
        }
        self.headers.push((name.into(), value.into()));
        self
    }

    fn unsigned(mut self, name: &str, value: &str) -> Self {
        self.unsigned.push((name.into(), value.into()));
        self
    }

    /// A body with its length.
    fn body(self, body: &[u8]) -> Self {
        self.header("content-length", body.len().to_string()).raw_body(body)
    }

    fn raw_body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// What `x-amz-content-sha256` says, instead of the body's hash.
    fn hash(mut self, hash: &str) -> Self {
        self.hash = Some(hash.into());
        self
    }

    fn late(mut self, late: time::Duration) -> Self {
        self.late = late;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        match self.keys {
            Some(keys) => self.sign(keys).0,
            None => self.write(&self.headers),
        }
    }

    /// The signed request, and its signature to continue.
    fn sign(&self, keys: KeyPair) -> (Vec<u8>, Signature) {
        let time = basic_text(OffsetDateTime::now_utc() - self.late);
        let hash = self.hash.clone().unwrap_or_else(|| hex::encode(Sha256::digest(&self.body)));
        let mut headers = self.headers.clone();
        headers.push(("x-amz-date".into(), time.clone()));
        headers.push(("x-amz-content-sha256".into(), hash.clone()));
        let mut signed: Vec<String> = headers.iter().map(|(name, _)| name.clone()).collect();
        signed.sort();
        signed.dedup();
        let signed: Vec<&str> = signed.iter().map(String::as_str).collect();
        let signature = self.signature(keys, &headers, &time, &signed, &hash);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}, SignedHeaders={}, Signature={}",
            keys.credential(&time),
            signed.join(";"),
            signature.hex
        );
        headers.push(("authorization".into(), authorization));
        (self.write(&headers), signature)
    }

    /// The same request with its signature in the query; only these headers signed.
    fn presign(&self, keys: KeyPair, seconds: i64, signed: &[&str]) -> Vec<u8> {
        let time = basic_text(OffsetDateTime::now_utc() - self.late);
        let separator = if self.target.contains('?') { '&' } else { '?' };
        let mut plan = self.clone();
        plan.target = format!(
            "{}{separator}X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={time}\
             &X-Amz-Expires={seconds}&X-Amz-SignedHeaders={}",
            self.target,
            keys.credential(&time).replace('/', "%2F"),
            signed.join("%3B")
        );
        let signature = plan.signature(keys, &plan.headers, &time, signed, "UNSIGNED-PAYLOAD");
        plan.target = format!("{}&X-Amz-Signature={}", plan.target, signature.hex);
        plan.write(&plan.headers)
    }

    fn signature(
        &self,
        keys: KeyPair,
        headers: &[(String, String)],
        time: &str,
        signed: &[&str],
        hash: &str,
    ) -> Signature {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let query = Query::parse(query).unwrap();
        let host = map.get("host").map(|host| host.to_str().unwrap().to_owned());
        let head = Head {
            method: &self.method,
            path,
            query: &query,
            headers: &map,
            host: host.as_deref(),
        };
        keys.sign(&head, time, signed, hash)
    }

    fn write(&self, headers: &[(String, String)]) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in headers.iter().chain(&self.unsigned) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        [text.as_bytes(), &self.body].concat()
    }
}

/// An answer as it came.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    async fn read(stream: &mut TcpStream, to_head: bool) -> Self {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "no answer came");
        };
        let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, value.parse().unwrap());
        }
        let mut body = bytes.split_off(head_end + 4);
        let len =
            headers.get("content-length").map_or(0, |len| len.to_str().unwrap().parse().unwrap());
        while !to_head && status != 100 && body.len() < len {
            assert!(stream.read_buf(&mut body).await.unwrap() > 0, "the answer broke off");
        }
        Self { status, headers, body: String::from_utf8(body).unwrap() }
    }

    /// The error code, or the operation that was reached.
    fn code(&self) -> String {
        let between = |from: &str, to: &str| {
            let (_, rest) = self.body.split_once(from)?;
            Some(rest.split_once(to)?.0.to_owned())
        };
        between("<Code>", "</Code>")
            .or_else(|| between("operation=", "\n"))
            .unwrap_or_else(|| format!("status {}", self.status))
    }

    fn has(&self, line: &str) -> bool {
        self.body.lines().any(|found| found == line)
    }
}

/// Answers with what reached it, a line each.
struct Echo;

impl Handler for Echo {
    fn call<'a>(
        &'a self,
        admitted: Admitted,
        case: &'a Case,
    ) -> BoxFuture<'a, Result<Response<s3s::Body>, s3s::StdError>> {
        Box::pin(async move {
            let (parts, mut body) = admitted.into_request(case).unwrap().into_parts();
            let extensions = &parts.extensions;
            let operation = extensions.get::<OperationName>().unwrap().0;
            let principal = extensions.get::<Principal>().unwrap();
            assert!(extensions.get::<Context>().unwrap().source_ip.is_some());
            match parts.uri.path() {
                "/bucket/panic" => panic!("as asked"),
                "/bucket/fails" => return Err("as asked".into()),
                "/bucket/unread" => {
                    let answer = Response::builder().status(404);
                    return Ok(answer.body(s3s::Body::from("<E/>".to_owned()))?);
                }
                "/bucket/torn" => {
                    let torn =
                        futures::stream::poll_fn(|_| -> Poll<Option<Result<Bytes, BodyError>>> {
                            panic!("as asked")
                        });
                    return Ok(Response::new(s3s::Body::from(StreamingBlob::wrap(torn))));
                }
                "/bucket/slow" => tokio::time::sleep(Duration::from_millis(300)).await,
                _ => {}
            }
            let mut data = Vec::new();
            while let Some(piece) = body.next().await {
                match piece {
                    Ok(piece) => data.extend_from_slice(&piece),
                    Err(error) => {
                        let error = error.downcast::<BodyError>().unwrap();
                        let xml = format!("<Error><Code>{}</Code></Error>", error.code);
                        let answer = Response::builder().status(error.status);
                        return Ok(answer.body(s3s::Body::from(xml))?);
                    }
                }
            }
            let promise = extensions.get::<BodyPromise>().unwrap();
            let checksum = promise.checksum.as_ref().map(|(algorithm, source)| {
                let from = match source {
                    ChecksumSource::Header(_) => "header",
                    ChecksumSource::Trailer(_) => "trailer",
                };
                format!("{} {from} {:?}", algorithm.name(), source.digest().map(hex::encode))
            });
            let mut text = format!(
                "operation={operation}\nuri={}\nprincipal={}\nlen={:?}\nchecksum={}\nbody={}\n",
                parts.uri,
                principal.name,
                promise.len,
                checksum.unwrap_or_default(),
                String::from_utf8_lossy(&data),
            );
            for (name, value) in &parts.headers {
                text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
            }
            Ok(Response::builder().header("content-length", text.len()).body(text.into())?)
        })
    }
}
