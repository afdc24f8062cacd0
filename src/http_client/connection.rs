//! One keep-alive connection to the endpoint, and one request on it at a time.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HOST};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::sign::{EMPTY_SHA256, Signer, UNSIGNED_PAYLOAD, Unsigned};
use super::target::Target;

const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const JSON: &str = "application/json";
/// An error document; the rest of a longer one is read and dropped.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// A connection that is made again when it broke.
pub(crate) struct Client {
    target: Arc<Target>,
    signer: Option<Signer>,
    host: HeaderValue,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// What to ask.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// Percent-encoded.
    pub(crate) path: &'a str,
    /// Percent-encoded and sorted by name.
    pub(crate) query: &'a str,
    pub(crate) body: Body<'a>,
    pub(crate) keep: Keep,
}

/// What goes with a request.
pub(crate) enum Body<'a> {
    Empty,
    /// Prepared before.
    Bytes(Bytes, Hash<'a>),
    /// A small document of the protocol.
    Document(String),
    /// A document of the protocols that speak JSON.
    Json(Bytes),
}

/// What a signature says of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash<'a> {
    /// Nothing.
    Unsigned,
    /// This SHA-256, in hexadecimal digits.
    Sha256(&'a str),
}

/// What becomes of an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// It is counted.
    Length,
    /// It is counted and its first 64 KiB are given back.
    Text,
    /// All of it is given back; one of more bytes than this is a failure.
    Whole(usize),
}

/// A good answer.
pub(crate) struct Answer {
    pub(crate) etag: Option<String>,
    pub(crate) body_bytes: u64,
    /// What was to be kept of the body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// What was kept, as text.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

/// Why there was none.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The endpoint said no.
    Status(u16, Refusal),
    /// The connection broke, or could not be made.
    Connection(String),
    /// It took too long.
    Timeout,
    /// The answer is not what was asked for.
    Wrong(String),
}

/// What an endpoint says when it says no.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusal {
    /// The name of the error.
    pub(crate) code: String,
    /// The document that came with it where it is JSON; empty: it is another's.
    pub(crate) document: String,
}

impl Refusal {
    fn read(error_type: Option<&HeaderValue>, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        match error_type.and_then(|name| name.to_str().ok()) {
            // `Name:URL` is one of the forms that AWS documents.
            Some(name) => Self {
                code: name.split(':').next().unwrap_or_default().to_owned(),
                document: text.into_owned(),
            },
            None => {
                let code = element(&text, "Code").unwrap_or_default().to_owned();
                Self { code, document: String::new() }
            }
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status, refusal) => write!(f, "status {status} {}", refusal.code),
            Self::Connection(why) => write!(f, "connection: {why}"),
            Self::Timeout => f.write_str("timeout"),
            Self::Wrong(why) => write!(f, "wrong answer: {why}"),
        }
    }
}

impl Client {
    pub(crate) fn new(target: Arc<Target>) -> Result<Self, Failure> {
        let host = HeaderValue::from_str(&target.endpoint.authority)
            .map_err(|error| Failure::Connection(error.to_string()))?;
        Ok(Self { signer: target.signer(), target, host, sender: None })
    }

    /// Makes the connection when there is none.
    pub(crate) async fn connect(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::Connection(error.to_string());
        let usable = self.sender.take().filter(|sender| !sender.is_closed());
        let sender = match usable {
            Some(sender) => sender,
            None => {
                let address = self.target.endpoint.address;
                let stream = TcpStream::connect(address).await.map_err(|error| broken(&error))?;
                stream.set_nodelay(true).map_err(|error| broken(&error))?;
                let (sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(stream))
                        .await
                        .map_err(|error| broken(&error))?;
                // Its errors reach the request that waits for an answer.
                drop(tokio::spawn(connection));
                sender
            }
        };
        Ok(self.sender.insert(sender))
    }

    /// Sends one request and reads the whole answer; anything but a 2xx is a failure.
    pub(crate) async fn ask(&mut self, ask: &Ask<'_>) -> Result<Answer, Failure> {
        let timeout = self.target.timeout;
        let answer = match tokio::time::timeout(timeout, self.exchange(ask)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Timeout),
        };
        if matches!(answer, Err(Failure::Connection(_) | Failure::Timeout | Failure::Wrong(_))) {
            self.sender = None;
        }
        answer
    }

    async fn exchange(&mut self, ask: &Ask<'_>) -> Result<Answer, Failure> {
        let request = self.request(ask)?;
        let broken = |error: hyper::Error| Failure::Connection(error.to_string());
        let sender = self.connect().await?;
        sender.ready().await.map_err(broken)?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let header = |name: HeaderName| response.headers().get(name);
        let etag = header(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let error_type = header(ERROR_TYPE).cloned();
        let keep = if status.is_success() { ask.keep } else { Keep::Text };
        let (body_bytes, body) = read(response.into_body(), keep).await?;
        if status.is_success() {
            Ok(Answer { etag, body_bytes, body })
        } else {
            Err(Failure::Status(status.as_u16(), Refusal::read(error_type.as_ref(), &body)))
        }
    }

    fn request(&mut self, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, Failure> {
        let hashed;
        let (bytes, hash) = match &ask.body {
            Body::Empty => (Bytes::new(), EMPTY_SHA256),
            Body::Document(text) => (Bytes::from(text.clone()), UNSIGNED_PAYLOAD),
            Body::Bytes(bytes, Hash::Unsigned) => (bytes.clone(), UNSIGNED_PAYLOAD),
            Body::Bytes(bytes, Hash::Sha256(hash)) => (bytes.clone(), *hash),
            Body::Json(bytes) => {
                hashed = hex::encode(digest(&SHA256, bytes));
                (bytes.clone(), hashed.as_str())
            }
        };
        let is_json = matches!(ask.body, Body::Json(_));
        let invalid = |error: &dyn std::fmt::Display| Failure::Wrong(error.to_string());
        let target = match ask.query {
            "" => ask.path.to_owned(),
            query => format!("{}?{query}", ask.path),
        };
        let mut request = Request::new(Full::new(bytes));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = Uri::try_from(target).map_err(|error| invalid(&error))?;
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        if is_json {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        }
        if let Some(signer) = &mut self.signer {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            signer.set_time(now.as_secs());
            let authorization = signer.authorization(&Unsigned {
                method: ask.method.as_str(),
                path: ask.path,
                query: ask.query,
                host: &self.target.endpoint.authority,
                headers: if is_json { &[("content-type", JSON)] } else { &[] },
                payload_hash: hash,
            });
            let value = |text: &str| HeaderValue::from_str(text).map_err(|error| invalid(&error));
            if signer.sends_hash() {
                headers.insert(CONTENT_SHA256, value(hash)?);
            }
            headers.insert(DATE, value(signer.date())?);
            headers.insert(AUTHORIZATION, value(&authorization)?);
        }
        Ok(request)
    }
}

async fn read(mut body: Incoming, keep: Keep) -> Result<(u64, Vec<u8>), Failure> {
    let mut body_bytes = 0;
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Connection(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        body_bytes += data.len() as u64;
        match keep {
            Keep::Length => {}
            Keep::Text => {
                let room = KEPT_BYTES_MAX.saturating_sub(kept.len());
                kept.extend_from_slice(data.get(..room).unwrap_or(&data));
            }
            Keep::Whole(bytes_max) if data.len() > bytes_max.saturating_sub(kept.len()) => {
                let why = format!("it is longer than {bytes_max} bytes");
                return Err(Failure::Wrong(why));
            }
            Keep::Whole(_) => kept.extend_from_slice(&data),
        }
    }
    Ok((body_bytes, kept))
}

/// The text of the first element `name` of an XML document.
pub(crate) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = text.find(&format!("<{name}>"))? + name.len() + 2;
    let rest = text.get(start..)?;
    rest.get(..rest.find(&format!("</{name}>"))?)
}
