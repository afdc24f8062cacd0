//! The gate: lets a request through to the S3 layer only when it is authenticated, plain, bounded
//! and names an operation.
//!
//! What comes out is an [`Admitted`]: its principal is known, no header of it could be read two ways,
//! and its body ends with an error if anything promised about it does not hold.
//!
//! The body is not touched before everything that the head can be refused for was looked at.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, header};
use http_body::Body;
use s3s::stream::DynByteStream;
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::admitted::Admitted;
use super::body::BodyPromise;
use super::chunked::{Deframer, Frames};
use super::guard::{self, Framing};
use super::limits::{ADMISSION_WAIT, DOCUMENT_BYTES_MAX, DOCUMENT_BYTES_SMALL, DOCUMENTS_MAX};
use super::operations::{self, Payload};
use super::query::{Query, is_amz};
use super::refusal::Refusal;
use super::request_id::RequestId;
use super::sigv4::{Form, Head, PathStyle, PayloadHash, Verified, Verifier};
use super::stream::{BodyStream, Check, Ledger};
use super::target::{Target, TargetKind};
use super::{cors, document, promise, sigv2};
use crate::iam::{Identities, Principal, PrincipalKind};

/// Parameters of a presigned URL's signature.
const SIGNATURE_PARAMETERS: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Content-Sha256",
];

/// The gate of a server.
#[derive(Debug)]
pub struct Gate {
    verifier: Verifier,
    domains: Vec<String>,
    documents: Arc<Semaphore>,
    body_window: Duration,
}

/// What is known of a request, for its answer, the log and the metrics; grows on the way.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its id.
    pub id: RequestId,
    /// Its method.
    pub method: Method,
    /// Its path as sent.
    pub path: String,
    /// Who sent it.
    pub peer: IpAddr,
    /// What it is about.
    pub target: Target,
    /// Who signed it.
    pub principal: Option<Principal>,
    /// What it asks for: the place in the table.
    pub operation: Option<usize>,
    /// Whether it wants its bytes moved by RDMA, which its answer must decline.
    pub wants_rdma: bool,
}

/// A document that a request comes with, not read yet.
#[derive(Debug)]
pub struct Document<B>(BodyStream<B>);

impl Gate {
    /// One for these identities; hosts below `domains` name buckets, and a body must make progress
    /// in each `body_window`.
    pub fn new(identities: Identities, domains: Vec<String>, body_window: Duration) -> Self {
        let domains = domains.into_iter().map(|domain| domain.to_ascii_lowercase()).collect();
        let documents = Arc::new(Semaphore::new(DOCUMENTS_MAX));
        Self { verifier: Verifier::new(identities), domains, documents, body_window }
    }

    /// Whose signatures it knows.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// In which a body must make progress.
    pub fn body_window(&self) -> Duration {
        self.body_window
    }

    /// Looks at the head of a request, and lets it through or says why not. A document that comes
    /// with it is still to be read by [`Gate::read_document`]. The body that nobody read ends up in
    /// `ledger`.
    pub fn admit<B>(
        &self,
        mut parts: Parts,
        body: B,
        case: &mut Case,
        ledger: Arc<Ledger<B>>,
        now: OffsetDateTime,
    ) -> Result<(Admitted, Option<Document<B>>), Refusal>
    where
        B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
    {
        // From here on the body goes back by itself, whatever happens.
        let mut stream = BodyStream::new(body, Check::plain(None, None), ledger);
        stream.set_window(self.body_window);
        let mut query = Query::parse(parts.uri.query().unwrap_or_default())?;
        let verified = self.verify(&parts, &query, case, now)?;
        guard::join_repeated(&mut parts.headers);
        match verified.form {
            Form::Unsigned | Form::Header => {}
            Form::Presigned => hoist(&mut query, &mut parts)?,
            Form::PresignedV2 => {
                for (name, value) in sigv2::hoisted_headers(&query)? {
                    parts.headers.insert(name, value);
                }
                query.retain(|name, _| !sigv2::is_spent(name));
            }
        }
        let kind = case.target.kind();
        let (place, operation) = operations::resolve(&parts.method, kind, &query, &parts.headers)?;
        case.operation = Some(place);
        guard::decline_rdma(&parts.headers, operation)?;
        refuse_form(&parts, kind)?;
        let principal = verified.principal.clone();
        let form = verified.form;
        let framing = if verified.payload.is_framed() { Framing::Framed } else { Framing::Plain };
        let len = guard::plain_length(&parts.headers, operation, framing)?;
        let mut promise = promise::read(&parts.headers, operation, verified.payload, len)?;
        let mut document = None;
        let body = if operation.payload == Payload::Data {
            stream.set_check(check(verified, &promise));
            let stream: DynByteStream = Box::pin(stream);
            s3s::Body::from(stream)
        } else {
            if stream.is_empty() && verified.payload.is_of_nothing() && promise.is_of_nothing() {
                promise.len = Some(0);
            } else {
                stream.set_check(check(verified, &promise));
                document = Some(Document(stream));
            }
            s3s::Body::empty()
        };
        Ok((Admitted { parts, query, body, promise, operation, principal, form }, document))
    }

    /// Reads the document of a request, which then has it for its body; gives its share of the memory
    /// for them.
    pub async fn read_document<B>(
        &self,
        admitted: &mut Admitted,
        Document(stream): Document<B>,
    ) -> Result<Option<OwnedSemaphorePermit>, Refusal>
    where
        B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
    {
        let promise = &mut admitted.promise;
        if stream.is_empty() {
            // No byte comes, but some may have been promised.
            document::collect(stream).await?;
            document::verify(&[], promise)?;
            promise.len = Some(0);
            return Ok(None);
        }
        if admitted.principal.kind == PrincipalKind::Anonymous {
            // Nothing is granted to strangers yet, so none of them may fill memory.
            return Err(Refusal::access_denied("Access Denied"));
        }
        document::check_length(promise.len)?;
        let permit = self.reserve(promise.len).await?;
        let bytes = document::collect(stream).await?;
        document::verify(&bytes, promise)?;
        let bytes = match admitted.operation.payload {
            Payload::Nothing => Bytes::new(),
            _ => document::normalise(bytes, admitted.operation)?,
        };
        promise.len = Some(bytes.len() as u64);
        admitted.body = s3s::Body::from(bytes);
        Ok(permit)
    }

    /// Finds out what a head is about and who sent it.
    fn verify(
        &self,
        parts: &Parts,
        query: &Query,
        case: &mut Case,
        now: OffsetDateTime,
    ) -> Result<Verified, Refusal> {
        let host = host(parts);
        case.target = Target::parse(parts.uri.path(), host, &self.domains)?;
        guard::check_headers(&parts.headers)?;
        if parts.method == Method::OPTIONS {
            return Err(cors::answer_preflight(&parts.headers, case.target.kind()));
        }
        let head = Head {
            method: &parts.method,
            path: parts.uri.path(),
            query,
            headers: &parts.headers,
            host,
        };
        let verified = if sigv2::is_presigned(query) {
            sigv2::verify(&head, &case.target, self.verifier.identities(), now)?
        } else {
            self.verifier.verify(&head, "s3", PathStyle::Once, now)?
        };
        case.principal = Some(verified.principal.clone());
        Ok(verified)
    }

    /// Waits for memory for a large document.
    async fn reserve(&self, len: Option<u64>) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        if len.is_some_and(|len| len <= DOCUMENT_BYTES_SMALL) {
            return Ok(None);
        }
        let acquire = Arc::clone(&self.documents).acquire_owned();
        match tokio::time::timeout(ADMISSION_WAIT, acquire).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Err(Refusal::slow_down()),
        }
    }
}

const _: () = assert!(DOCUMENT_BYTES_SMALL < DOCUMENT_BYTES_MAX as u64);

/// `Host`, or in HTTP/2 the authority of the URI.
pub fn host(parts: &Parts) -> Option<&str> {
    match parts.headers.get(header::HOST) {
        Some(host) => host.to_str().ok(),
        None => parts.uri.authority().map(|authority| authority.as_str()),
    }
}

/// SDKs move headers of a presigned request into its query, where the signature covers them too:
/// back they go.
fn hoist(query: &mut Query, parts: &mut Parts) -> Result<(), Refusal> {
    for (name, value) in query.iter() {
        let spent = SIGNATURE_PARAMETERS.iter().any(|known| known.eq_ignore_ascii_case(name));
        if spent || !is_amz(name) {
            continue;
        }
        let header = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes());
        let value = HeaderValue::from_bytes(value.as_bytes());
        let (Ok(header), Ok(value)) = (header, value) else {
            return Err(Refusal::invalid_argument(format!("{name} cannot be a header")));
        };
        if parts.headers.insert(header, value).is_some() {
            return Err(Refusal::invalid_argument(format!(
                "{name} is both in the query and in a header"
            )));
        }
    }
    query.retain(|name, _| !is_amz(name));
    Ok(())
}

fn refuse_form(parts: &Parts, kind: TargetKind) -> Result<(), Refusal> {
    let content_type = parts.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let form = b"multipart/form-data";
    let is_form = content_type
        .and_then(|value| value.get(..form.len()))
        .is_some_and(|start| start.eq_ignore_ascii_case(form));
    // The S3 layer takes every such POST for a browser's upload, and holds it in memory.
    if parts.method == Method::POST && is_form {
        let what = if kind == TargetKind::Bucket { "POST Object" } else { "a form" };
        return Err(Refusal::not_implemented(format!("{what} is not implemented")));
    }
    Ok(())
}

fn check(verified: Verified, promise: &BodyPromise) -> Check {
    match verified.payload {
        PayloadHash::Absent | PayloadHash::Unsigned => Check::plain(promise.len, None),
        PayloadHash::Sha256(hash) => Check::plain(promise.len, Some(hash)),
        PayloadHash::SignedChunks
        | PayloadHash::SignedChunksTrailer
        | PayloadHash::UnsignedChunksTrailer => Check::Framed(Box::new(Deframer::new(Frames {
            signer: verified.signer,
            decoded_len: promise.len.unwrap_or_default(),
            trailer: promise::trailing(promise),
        }))),
    }
}
