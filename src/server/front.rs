//! Answers one request: routes it, lets it through the gate to its handler, and makes the answer
//! what S3 would send. No request can end without an answer, a count and a line in the log.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::Body;
use storage_engine::Stats;
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::admitted::Admitted;
use super::gate::{Case, Document, Gate};
use super::guard;
use super::health::{self, Readiness};
use super::limits::ADMISSION_WAIT;
use super::linger;
use super::metrics::Metrics;
use super::outgoing::Outgoing;
use super::refusal::Refusal;
use super::reply::{Account, Reply};
use super::request_id::RequestIds;
use super::response;
use super::route::Route;
use super::stream::Ledger;
use super::target::Target;
use super::vectors::{self, Vectors};
use crate::s3::{ReadKind, ReadRequest};
use crate::vectors::Failure;

/// What answers the requests that came through the gate.
pub trait Handler: Send + Sync + 'static {
    /// Answers one. An error is answered by 500.
    fn call<'a>(
        &'a self,
        admitted: Admitted,
        case: &'a Case,
    ) -> BoxFuture<'a, Result<Response<s3s::Body>, s3s::StdError>>;
}

impl Handler for crate::s3::Service {
    fn call<'a>(
        &'a self,
        admitted: Admitted,
        case: &'a Case,
    ) -> BoxFuture<'a, Result<Response<s3s::Body>, s3s::StdError>> {
        match ReadKind::of(admitted.operation.name) {
            Some(kind) => Box::pin(async move {
                let answer = self.read(ReadRequest {
                    kind,
                    bucket: case.target.bucket.as_deref().unwrap_or_default(),
                    key: case.target.key.as_deref().unwrap_or_default(),
                    query: &admitted.query,
                    headers: &admitted.parts.headers,
                    principal: &admitted.principal,
                    context: Admitted::context(case),
                });
                Ok(answer.await?)
            }),
            None => Box::pin(async move {
                match admitted.into_request(case) {
                    Ok(request) => Ok(self.call(request).await?),
                    Err(refusal) => Ok(response::of_refusal(refusal, case)),
                }
            }),
        }
    }
}

/// Gives the engine's figures.
pub type StatsSource = Box<dyn Fn() -> Stats + Send + Sync>;

/// What all connections of a server share.
pub struct Front {
    /// Lets requests through or not.
    pub gate: Gate,
    /// Answers those that came through.
    pub handler: Box<dyn Handler>,
    /// Answers those to S3 Vectors; none: it is not served.
    pub vectors: Option<Vectors>,
    /// Gives the engine's figures.
    pub stats: StatsSource,
    /// Whether the server can serve.
    pub readiness: Readiness,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where requests get their ids.
    pub ids: RequestIds,
    /// Places for requests worked on at once.
    pub requests: Arc<Semaphore>,
    /// Time in which something of a connection's answers must be taken.
    pub answer_window: Duration,
}

impl Front {
    /// Answers a request of `peer`, on a connection with the answers `outgoing`.
    pub async fn answer<B>(
        &self,
        request: Request<B>,
        peer: IpAddr,
        outgoing: &Outgoing,
    ) -> Response<Reply>
    where
        B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
    {
        let begun = Instant::now();
        self.metrics.begin();
        let (parts, body) = request.into_parts();
        let mut account = Account {
            case: Case {
                id: self.ids.take(),
                method: parts.method.clone(),
                path: parts.uri.path().to_owned(),
                peer,
                target: Target::default(),
                principal: None,
                operation: None,
                wants_rdma: guard::asks_for_rdma(&parts.headers),
            },
            status: 0,
            received_bytes: 0,
            sent_bytes: 0,
            begun,
            metrics: Arc::clone(&self.metrics),
            permit: None,
            answer: None,
        };
        let route = catch_unwind(AssertUnwindSafe(|| Route::of(&parts)));
        let vectors = match route {
            Ok(Route::Vectors) => self.vectors.as_ref(),
            _ => None,
        };
        let answered = match (route, vectors) {
            (Ok(Route::S3), _) | (Ok(Route::Vectors), Some(_)) => {
                let admitted = AssertUnwindSafe(self.admit(vectors, parts, body, &mut account));
                admitted.catch_unwind().await
            }
            (Ok(route), _) => {
                let other = || self.answer_other(route, &account.case);
                catch_unwind(AssertUnwindSafe(other))
            }
            (Err(panic), _) => Err(panic),
        };
        let answer = answered.unwrap_or_else(|panic| {
            self.metrics.panicked();
            let failure = panic_text(&*panic);
            match vectors {
                Some(_) => vectors_failure(failure, &account.case),
                None => answer_failure(failure, &account.case),
            }
        });
        account.status = answer.status().as_u16();
        account.answer = Some(outgoing.begin());
        let (head, body) = answer.into_parts();
        Response::from_parts(head, Reply::new(body, account))
    }

    async fn admit<B>(
        &self,
        vectors: Option<&Vectors>,
        parts: Parts,
        body: B,
        account: &mut Account,
    ) -> Response<s3s::Body>
    where
        B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
    {
        match (self.reserve().await, vectors) {
            (Ok(permit), None) => {
                account.permit = Some(permit);
                self.answer_s3(parts, body, account).await
            }
            // Boxed, as every request to S3 would have to make room for it.
            (Ok(permit), Some(vectors)) => {
                account.permit = Some(permit);
                Box::pin(self.answer_vectors(vectors, parts, body, account)).await
            }
            (Err(refusal), None) => response::of_refusal(refusal, &account.case),
            (Err(refusal), Some(_)) => {
                vectors::of_failure(&vectors::of_refusal(&refusal), &account.case)
            }
        }
    }

    async fn answer_vectors<B>(
        &self,
        vectors: &Vectors,
        parts: Parts,
        body: B,
        account: &mut Account,
    ) -> Response<s3s::Body>
    where
        B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
    {
        let unread = Unread::of(&parts);
        let ledger = Arc::clone(&unread.ledger);
        let case = &mut account.case;
        let answered = vectors.answer(&self.gate, parts, body, case, ledger).await;
        let answer = match answered {
            Ok(body) => vectors::of_body(body, case),
            Err(failure) => vectors::of_failure(&failure, case),
        };
        unread.settle(answer, account).await
    }

    async fn answer_s3<B>(
        &self,
        parts: Parts,
        body: B,
        account: &mut Account,
    ) -> Response<s3s::Body>
    where
        B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
    {
        let unread = Unread::of(&parts);
        let ledger = Arc::clone(&unread.ledger);
        let now = OffsetDateTime::now_utc();
        let case = &mut account.case;
        let answer = match self.gate.admit(parts, body, case, ledger, now) {
            Ok((admitted, None)) => self.call_handler(admitted, case).await,
            // Boxed, as only few requests come with one, and each has to make room for it.
            Ok((admitted, Some(document))) => {
                Box::pin(self.answer_document(admitted, document, case)).await
            }
            Err(refusal) => response::of_refusal(refusal, case),
        };
        unread.settle(answer, account).await
    }

    async fn answer_document<B>(
        &self,
        mut admitted: Admitted,
        document: Document<B>,
        case: &Case,
    ) -> Response<s3s::Body>
    where
        B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
    {
        match self.gate.read_document(&mut admitted, document).await {
            // The share of memory goes back when the handler is done with the document.
            Ok(_permit) => self.call_handler(admitted, case).await,
            Err(refusal) => response::of_refusal(refusal, case),
        }
    }

    async fn call_handler(&self, admitted: Admitted, case: &Case) -> Response<s3s::Body> {
        match self.handler.call(admitted, case).await {
            Ok(answer) => {
                let status = answer.status();
                if matches!(status.as_u16(), 500 | 502 | 504..) {
                    tracing::warn!(
                        request_id = case.id.text(),
                        operation = case.operation_name(),
                        status = status.as_u16(),
                        "a request failed"
                    );
                }
                response::of_handler(answer, case)
            }
            Err(error) => answer_failure(&error.to_string(), case),
        }
    }

    async fn reserve(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        if let Ok(permit) = Arc::clone(&self.requests).try_acquire_owned() {
            return Ok(permit);
        }
        let acquire = Arc::clone(&self.requests).acquire_owned();
        match tokio::time::timeout(ADMISSION_WAIT, acquire).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Refusal::slow_down()),
        }
    }

    /// Answers what is for no service.
    fn answer_other(&self, route: Route, case: &Case) -> Response<s3s::Body> {
        match route {
            Route::S3 => answer_failure("S3 is not served", case),
            Route::Vectors => {
                let what = format!("the service {} is not served", super::route::VECTORS);
                response::of_refusal(Refusal::not_implemented(what), case)
            }
            Route::Live => response::finish(health::answer_live(), case),
            Route::Ready => {
                let answer = health::answer_ready(&self.readiness, &(self.stats)());
                response::finish(answer, case)
            }
            Route::Metrics => response::finish(self.answer_metrics(), case),
            Route::Nowhere => {
                let nothing = "nothing is at this path";
                let refusal = Refusal::new(StatusCode::NOT_FOUND, "NoSuchResource", nothing);
                response::of_refusal(refusal, case)
            }
            Route::NotBuilt(service) => {
                let what = format!("the service {service} is not implemented");
                response::of_refusal(Refusal::not_implemented(what), case)
            }
        }
    }

    fn answer_metrics(&self) -> Response<s3s::Body> {
        let vectors = self.vectors.as_ref().map(Vectors::stats);
        let page = self.metrics.render(&(self.stats)(), vectors.as_ref());
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        let len = HeaderValue::from(page.len());
        let mut answer = Response::new(s3s::Body::from(page));
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        answer.headers_mut().insert(header::CONTENT_LENGTH, len);
        answer
    }
}

/// A body that may be left unread when its answer is ready.
struct Unread<B> {
    ledger: Arc<Ledger<B>>,
    waits: bool,
    owns_connection: bool,
}

impl<B> Unread<B>
where
    B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
{
    /// That of a request.
    fn of(parts: &Parts) -> Self {
        Self {
            ledger: Arc::new(Ledger::default()),
            waits: linger::waits_for_continue(parts),
            owns_connection: parts.version == Version::HTTP_11,
        }
    }

    /// Drains what is left of the body, so that the client gets to see the answer.
    async fn settle(
        self,
        mut answer: Response<s3s::Body>,
        account: &mut Account,
    ) -> Response<s3s::Body> {
        if answer.status().is_client_error() || answer.status().is_server_error() {
            // What is left is to take in and give out a few bytes, at the client's pace.
            account.permit = None;
        }
        let goes_on = linger::drain(&self.ledger, self.waits).await;
        account.received_bytes = self.ledger.received();
        if !goes_on && self.owns_connection {
            linger::end_connection(&mut answer);
        }
        answer
    }
}

/// The answer to a request that could not be answered.
fn answer_failure(failure: &str, case: &Case) -> Response<s3s::Body> {
    log_failure(failure, case);
    let message = "We encountered an internal error. Please try again.";
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    response::of_refusal(Refusal::new(status, "InternalError", message), case)
}

/// The same of S3 Vectors.
fn vectors_failure(failure: &str, case: &Case) -> Response<s3s::Body> {
    log_failure(failure, case);
    vectors::of_failure(&Failure::internal(), case)
}

fn log_failure(failure: &str, case: &Case) {
    tracing::error!(
        request_id = case.id.text(),
        operation = case.operation_name(),
        failure,
        "a request could not be answered"
    );
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "a panic without words",
    }
}
