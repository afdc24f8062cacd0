//! One keep-alive connection to the endpoint, and one request on it at a time.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{AUTHORIZATION, ETAG, HOST};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::options::PayloadHash;
use super::payload::Payload;
use super::plan::Plan;
use super::sign::{EMPTY_SHA256, Signer, UNSIGNED_PAYLOAD, Unsigned};

const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
/// An error document; the rest of a longer one is read and dropped.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// A connection that is made again when it broke.
pub(super) struct Client {
    plan: Arc<Plan>,
    signer: Option<Signer>,
    host: HeaderValue,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// What to ask.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// Percent-encoded.
    pub(super) path: &'a str,
    /// Percent-encoded and sorted by name.
    pub(super) query: &'a str,
    pub(super) body: Body<'a>,
    pub(super) keep: Keep,
}

/// What goes with a request.
pub(super) enum Body<'a> {
    Empty,
    /// Prepared before the clock started.
    Payload(&'a Payload),
    /// A small document of the protocol.
    Document(String),
}

/// What becomes of an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// It is counted.
    Length,
    /// It is counted and its first 64 KiB are given back.
    Text,
}

/// A good answer.
pub(super) struct Answer {
    pub(super) etag: Option<String>,
    pub(super) body_bytes: u64,
    pub(super) text: String,
}

/// Why there was none.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The endpoint said no.
    Status(u16, String),
    /// The connection broke, or could not be made.
    Connection(String),
    /// It took too long.
    Timeout,
    /// The answer is not what was asked for.
    Wrong(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status, code) => write!(f, "status {status} {code}"),
            Self::Connection(why) => write!(f, "connection: {why}"),
            Self::Timeout => f.write_str("timeout"),
            Self::Wrong(why) => write!(f, "wrong answer: {why}"),
        }
    }
}

impl Client {
    pub(super) fn new(plan: Arc<Plan>) -> Result<Self, Failure> {
        let host = HeaderValue::from_str(&plan.endpoint.authority)
            .map_err(|error| Failure::Connection(error.to_string()))?;
        Ok(Self { signer: plan.signer(), plan, host, sender: None })
    }

    /// Makes the connection when there is none.
    pub(super) async fn connect(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::Connection(error.to_string());
        let usable = self.sender.take().filter(|sender| !sender.is_closed());
        let sender = match usable {
            Some(sender) => sender,
            None => {
                let address = self.plan.endpoint.address;
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
    pub(super) async fn ask(&mut self, ask: &Ask<'_>) -> Result<Answer, Failure> {
        let timeout = self.plan.timeout;
        let answer = match tokio::time::timeout(timeout, self.exchange(ask)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Timeout),
        };
        if matches!(answer, Err(Failure::Connection(_) | Failure::Timeout)) {
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
        let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.map(str::to_owned);
        let keep = if status.is_success() { ask.keep } else { Keep::Text };
        let (body_bytes, text) = read(response.into_body(), keep).await.map_err(broken)?;
        if status.is_success() {
            Ok(Answer { etag, body_bytes, text })
        } else {
            let code = element(&text, "Code").unwrap_or_default().to_owned();
            Err(Failure::Status(status.as_u16(), code))
        }
    }

    fn request(&mut self, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, Failure> {
        let (bytes, hash) = match &ask.body {
            Body::Empty => (Bytes::new(), EMPTY_SHA256),
            Body::Document(text) => (Bytes::from(text.clone()), UNSIGNED_PAYLOAD),
            Body::Payload(payload) => match self.plan.payload_hash {
                PayloadHash::Unsigned => (payload.bytes.clone(), UNSIGNED_PAYLOAD),
                PayloadHash::Sha256 => (payload.bytes.clone(), payload.sha256.as_str()),
            },
        };
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
        if let Some(signer) = &mut self.signer {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            signer.set_time(now.as_secs());
            let authorization = signer.authorization(&Unsigned {
                method: ask.method.as_str(),
                path: ask.path,
                query: ask.query,
                host: &self.plan.endpoint.authority,
                headers: &[],
                payload_hash: hash,
            });
            let value = |text: &str| HeaderValue::from_str(text).map_err(|error| invalid(&error));
            headers.insert(CONTENT_SHA256, value(hash)?);
            headers.insert(DATE, value(signer.date())?);
            headers.insert(AUTHORIZATION, value(&authorization)?);
        }
        Ok(request)
    }
}

async fn read(mut body: Incoming, keep: Keep) -> Result<(u64, String), hyper::Error> {
    let mut body_bytes = 0;
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        body_bytes += data.len() as u64;
        if keep == Keep::Text {
            let room = KEPT_BYTES_MAX.saturating_sub(kept.len()).min(data.len());
            kept.extend(data.iter().take(room));
        }
    }
    Ok((body_bytes, String::from_utf8_lossy(&kept).into_owned()))
}

/// The text of the first element `name` of an XML document.
pub(super) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = text.find(&format!("<{name}>"))? + name.len() + 2;
    let rest = text.get(start..)?;
    rest.get(..rest.find(&format!("</{name}>"))?)
}
