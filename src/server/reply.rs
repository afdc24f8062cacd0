//! The body of an answer on its way out: counted, and accounted for when it is over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::gate::Case;
use super::metrics::{Metrics, Served};
use super::outgoing::Answer;

/// An answer's body; when it is dropped, sent or not, the request is over.
pub struct Reply {
    body: s3s::Body,
    account: Account,
}

/// What is known of a request when its answer begins.
pub struct Account {
    /// The request.
    pub case: Case,
    /// The answer's status.
    pub status: u16,
    /// Bytes of the request's body that came.
    pub received_bytes: u64,
    /// Bytes of the answer's body that went, so far.
    pub sent_bytes: u64,
    /// When its head had come.
    pub begun: Instant,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// Its place among the answers of its connection, when it begins.
    pub answer: Option<Answer>,
    /// Its place among the requests worked on at once.
    pub permit: Option<OwnedSemaphorePermit>,
}

impl Reply {
    /// The body of an answer, on this account.
    pub fn new(body: s3s::Body, account: Account) -> Self {
        Self { body, account }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = s3s::StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, s3s::StdError>>> {
        // A panic may cost this answer, not the others of its connection.
        let poll = || Pin::new(&mut self.body).poll_frame(cx);
        let polled = catch_unwind(AssertUnwindSafe(poll));
        let frame = ready!(polled.unwrap_or_else(|_| {
            self.account.metrics.panicked();
            Poll::Ready(Some(Err("reading the answer panicked".into())))
        }));
        self.account.answer.iter().for_each(Answer::moved);
        match &frame {
            Some(Ok(frame)) => {
                let len = frame.data_ref().map_or(0, Bytes::len);
                self.account.sent_bytes += len as u64;
            }
            Some(Err(error)) => {
                let id = self.account.case.id.text();
                tracing::error!(request_id = id, %error, "an answer broke off");
            }
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let time = self.begun.elapsed();
        self.metrics.count(Served {
            operation: self.case.operation,
            status: self.status,
            received_bytes: self.received_bytes,
            sent_bytes: self.sent_bytes,
            time,
        });
        self.metrics.end();
        let case = &self.case;
        tracing::debug!(
            target: "lodestore::access",
            request_id = case.id.text(),
            peer = %case.peer,
            principal = case.principal.as_ref().map_or("", |principal| &*principal.name),
            operation = case.operation_name(),
            method = %case.method,
            bucket = case.target.bucket.as_deref().unwrap_or_default(),
            key = case.target.key.as_deref().unwrap_or_default(),
            status = self.status,
            received_bytes = self.received_bytes,
            sent_bytes = self.sent_bytes,
            time_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
            "served"
        );
    }
}
