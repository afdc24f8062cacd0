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
use crate::s3::{ReadKind, ReadRequest};

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
        let other = || self.answer_other(Route::of(&parts), &account.case);
        let answered = match catch_unwind(AssertUnwindSafe(other)) {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => {
                let s3 = AssertUnwindSafe(self.admit_s3(parts, body, &mut account));
                s3.catch_unwind().await
            }
            Err(panic) => Err(panic),
        };
        let answer = answered.unwrap_or_else(|panic| {
            self.metrics.panicked();
            answer_failure(panic_text(&*panic), &account.case)
        });
        account.status = answer.status().as_u16();
        account.answer = Some(outgoing.begin());
        let (head, body) = answer.into_parts();
        Response::from_parts(head, Reply::new(body, account))
    }

    async fn admit_s3<B>(&self, parts: Parts, body: B, account: &mut Account) -> Response<s3s::Body>
    where
        B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
    {
        match self.reserve().await {
            Ok(permit) => {
                account.permit = Some(permit);
                self.answer_s3(parts, body, account).await
            }
            Err(refusal) => response::of_refusal(refusal, &account.case),
        }
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
        let waits = linger::waits_for_continue(&parts);
        let owns_connection = parts.version == Version::HTTP_11;
        let ledger = Arc::new(Ledger::default());
        let now = OffsetDateTime::now_utc();
        let case = &mut account.case;
        let mut answer = match self.gate.admit(parts, body, case, Arc::clone(&ledger), now) {
            Ok((admitted, None)) => self.call_handler(admitted, case).await,
            // Boxed, as only few requests come with one, and each has to make room for it.
            Ok((admitted, Some(document))) => {
                Box::pin(self.answer_document(admitted, document, case)).await
            }
            Err(refusal) => response::of_refusal(refusal, case),
        };
        if answer.status().is_client_error() || answer.status().is_server_error() {
            // What is left is to take in and give out a few bytes, at the client's pace.
            account.permit = None;
        }
        linger::drain(&ledger, waits).await;
        account.received_bytes = ledger.received();
        if waits && owns_connection && account.received_bytes == 0 {
            linger::end_connection(&mut answer);
        }
        answer
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

    /// Answers what is not for S3; none for what is.
    fn answer_other(&self, route: Route, case: &Case) -> Option<Response<s3s::Body>> {
        Some(match route {
            Route::S3 => return None,
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
        })
    }

    fn answer_metrics(&self) -> Response<s3s::Body> {
        let page = self.metrics.render(&(self.stats)());
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        let len = HeaderValue::from(page.len());
        let mut answer = Response::new(s3s::Body::from(page));
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        answer.headers_mut().insert(header::CONTENT_LENGTH, len);
        answer
    }
}

/// The answer to a request that could not be answered.
fn answer_failure(failure: &str, case: &Case) -> Response<s3s::Body> {
    tracing::error!(
        request_id = case.id.text(),
        operation = case.operation_name(),
        failure,
        "a request could not be answered"
    );
    let message = "We encountered an internal error. Please try again.";
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    response::of_refusal(Refusal::new(status, "InternalError", message), case)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "a panic without words",
    }
}
