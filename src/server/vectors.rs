//! The gate of S3 Vectors and its response stage: requests verified by the same verifier as those of
//! S3, with a body that is hashed here because the head does not tell its hash, and answers in JSON.
//!
//! - Of a request from nobody whom we know, or with a head that cannot be right, the body is not
//!   taken in. Of the others it is, up to the operation's limit, and no request reaches the service
//!   before the signature over its body was right.
//! - Bodies in memory have a budget over all requests.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Body;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use vector_engine::VectorStats;

use super::admitted::Admitted;
use super::body::BodyError;
use super::gate::{Case, Gate, host};
use super::guard;
use super::limits::{
    ADMISSION_WAIT, DOCUMENT_BYTES_SMALL, VECTOR_BODIES_BYTES, VECTOR_BODY_UNIT_BYTES,
};
use super::operations;
use super::query::{Query, is_amz};
use super::refusal::Refusal;
use super::response;
use super::route::VECTORS;
use super::sigv4::Head;
use super::stream::{BodyStream, Check, Ledger};
use crate::vectors::{Failure, Kind, Operation, Request, Service};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// Of the query, what may come more than once.
const LISTS: &[&str] = &["tagKeys"];

/// The service with what the server keeps for it.
#[derive(Debug)]
pub struct Vectors {
    service: Service,
    put_bytes_max: usize,
    budget: Arc<Semaphore>,
}

impl Vectors {
    /// A gate before `service`; a body of `PutVectors` has `put_bytes_max` at most.
    pub fn new(service: Service, put_bytes_max: usize) -> Self {
        let units = VECTOR_BODIES_BYTES.max(put_bytes_max) / VECTOR_BODY_UNIT_BYTES;
        Self { service, put_bytes_max, budget: Arc::new(Semaphore::new(units)) }
    }

    /// The vector engine's figures.
    pub fn stats(&self) -> VectorStats {
        self.service.stats()
    }

    /// Answers a request, or says why not.
    pub async fn answer<B>(
        &self,
        gate: &Gate,
        parts: Parts,
        body: B,
        case: &mut Case,
        ledger: Arc<Ledger<B>>,
    ) -> Result<Vec<u8>, Failure>
    where
        B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
    {
        // From here on the body goes back by itself, whatever happens.
        let mut stream = BodyStream::new(body, Check::plain(None, None), ledger);
        stream.set_window(gate.body_window());
        let query = Query::parse_with(parts.uri.query().unwrap_or_default(), LISTS)
            .map_err(|refusal| of_refusal(&refusal))?;
        let head = Head {
            method: &parts.method,
            path: parts.uri.path(),
            query: &query,
            headers: &parts.headers,
            host: host(&parts),
        };
        guard::check_headers(&parts.headers).map_err(|refusal| of_refusal(&refusal))?;
        let now = OffsetDateTime::now_utc();
        gate.verifier().precheck(&head, VECTORS, now).map_err(|refusal| of_refusal(&refusal))?;
        // Before an operation is known, nothing says how long its body may be.
        let operation = Operation::resolve(&parts.method, parts.uri.path())?;
        case.operation = Some(operations::place_of(operation));
        let most = operation.body_bytes_max(self.put_bytes_max);
        let len = guard::wire_length(&parts.headers).map_err(|refusal| of_refusal(&refusal))?;
        let len = len.map(|len| usize::try_from(len).unwrap_or(usize::MAX));
        if len.is_some_and(|len| len > most) {
            return Err(too_large(most));
        }
        stream.set_check(Check::plain(len.map(|len| len as u64), None));
        let _share = self.reserve(len.unwrap_or(most)).await?;
        let (body, hash) = collect(stream, len.unwrap_or(0), most).await?;
        let verified = gate
            .verifier()
            .verify_with_body(&head, VECTORS, &hash, now)
            .map_err(|refusal| of_refusal(&refusal))?;
        case.principal = Some(verified.principal.clone());
        let query = query.iter().filter(|(name, _)| !is_amz(name));
        let request = Request {
            operation,
            principal: verified.principal,
            context: Admitted::context(case),
            path: parts.uri.path().to_owned(),
            query: query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body,
        };
        self.service.call(request).await
    }

    /// Waits for memory for a body.
    async fn reserve(&self, len: usize) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        if len as u64 <= DOCUMENT_BYTES_SMALL {
            return Ok(None);
        }
        let units = u32::try_from(len.div_ceil(VECTOR_BODY_UNIT_BYTES)).unwrap_or(u32::MAX);
        let acquire = Arc::clone(&self.budget).acquire_many_owned(units);
        match tokio::time::timeout(ADMISSION_WAIT, acquire).await {
            Ok(Ok(share)) => Ok(Some(share)),
            _ => Err(Failure::unavailable()),
        }
    }
}

/// Takes a body in; answers it with its hash in hex.
async fn collect<B>(
    mut stream: BodyStream<B>,
    len: usize,
    most: usize,
) -> Result<(Bytes, String), Failure>
where
    B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
{
    let mut bytes = Vec::with_capacity(len);
    let mut hash = Sha256::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| match error.downcast::<BodyError>() {
            Ok(error) => of_refusal(&Refusal::from(*error)),
            Err(error) => Failure::new(Kind::Serialization, error.to_string()),
        })?;
        if bytes.len() + piece.len() > most {
            return Err(too_large(most));
        }
        hash.update(&piece);
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes.into(), hex::encode(hash.finalize())))
}

fn too_large(most: usize) -> Failure {
    Failure::new(Kind::TooLarge, format!("The request body has more than {most} bytes"))
}

/// What S3 Vectors calls what the verifier and the guards refuse.
pub fn of_refusal(refusal: &Refusal) -> Failure {
    let kind = match refusal.code {
        "MissingAuthenticationToken" => Kind::Unsigned,
        "SignatureDoesNotMatch" | "RequestTimeTooSkewed" => Kind::InvalidSignature,
        "InvalidAccessKeyId" | "InvalidToken" => {
            let message = "The security token included in the request is invalid.";
            return Failure::new(Kind::UnknownKey, message);
        }
        "AuthorizationHeaderMalformed" | "AuthorizationQueryParametersError" => {
            Kind::IncompleteSignature
        }
        "AccessDenied" => Kind::AccessDenied,
        "RequestTimeout" => Kind::RequestTimeout,
        "IncompleteBody" => Kind::Serialization,
        "SlowDown" => Kind::Unavailable,
        "InternalError" => Kind::Internal,
        // Two ways to sign at once, or one that is not known.
        "InvalidArgument" | "InvalidRequest" if refusal.message.contains("auth") => {
            Kind::IncompleteSignature
        }
        _ => Kind::Validation,
    };
    Failure::new(kind, refusal.message.clone())
}

/// A success as it is sent.
pub fn of_body(body: Vec<u8>, case: &Case) -> Response<s3s::Body> {
    finish(StatusCode::OK, body, case)
}

/// A failure as it is sent.
pub fn of_failure(failure: &Failure, case: &Case) -> Response<s3s::Body> {
    let mut answer = finish(failure.kind.status(), failure.body(), case);
    let name = HeaderValue::from_static(failure.kind.name());
    answer.headers_mut().insert(ERROR_TYPE, name);
    answer
}

fn finish(status: StatusCode, body: Vec<u8>, case: &Case) -> Response<s3s::Body> {
    let len = HeaderValue::from(body.len());
    let mut answer = Response::new(s3s::Body::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::CONTENT_LENGTH, len);
    if let Ok(id) = HeaderValue::try_from(case.id.text()) {
        headers.insert(REQUEST_ID, id);
    }
    response::finish(answer, case)
}

const _: () = assert!(DOCUMENT_BYTES_SMALL as usize <= VECTOR_BODIES_BYTES);
