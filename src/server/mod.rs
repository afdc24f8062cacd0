//! Listening, routing, the gate, the response stage.
//!
//! The way of a request: [`conn`] accepts → [`front`] gives it an id and a place → [`route`] picks
//! the part of the server → [`gate`] verifies, de-frames and bounds it ([`sigv4`], [`sigv2`],
//! [`chunked`], [`guard`], [`operations`], [`document`]) → the S3 layer answers what was
//! [`admitted`] → [`response`] makes the answer what S3 would send → [`reply`] counts it out.
//!
//! - For S3 Vectors, [`vectors`] is gate and response stage; the verifier is the same.
//! - The S3 layer behind the gate checks nothing: what reaches it is authenticated, plain and
//!   bounded.
//! - Every number a client can push against is in [`limits`].

pub mod admitted;
pub mod body;
pub mod chunked;
pub mod conn;
pub mod cors;
pub mod deadline;
pub mod document;
pub mod engine_metrics;
pub mod front;
pub mod gate;
pub mod guard;
pub mod health;
pub mod limits;
pub mod linger;
pub mod metrics;
pub mod operations;
pub mod outgoing;
pub mod promise;
pub mod query;
pub mod refusal;
pub mod reply;
pub mod repoll;
pub mod request_id;
pub mod response;
pub mod route;
pub mod schema;
pub mod sigv2;
pub mod sigv4;
pub mod stream;
pub mod target;
#[cfg(test)]
mod tests;
pub mod vector_metrics;
pub mod vectors;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use storage_engine::Stats;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::iam::Identities;
use front::Front;
use gate::Gate;
use limits::{ANSWER_WINDOWS, BODY_WINDOW, CONNECTIONS_MAX, REQUESTS_MAX};
use metrics::Metrics;
use request_id::RequestIds;

pub use front::Handler;
pub use health::Readiness;

/// What an operator can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Domains below which a host names a bucket; none: path-style only.
    pub domains: Vec<String>,
    /// Connections open at once.
    pub connections_max: usize,
    /// Requests worked on at once.
    pub requests_max: usize,
    /// Time in which a body that is waited for must make progress; an answer has
    /// [`ANSWER_WINDOWS`] times that.
    pub body_window: Duration,
    /// How long requests that have begun may take to end when the server stops.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            domains: Vec::new(),
            connections_max: CONNECTIONS_MAX,
            requests_max: REQUESTS_MAX,
            body_window: BODY_WINDOW,
            drain: Duration::from_secs(30),
        }
    }
}

/// A server, ready to be given a listener.
pub struct Server {
    front: Front,
    settings: Settings,
}

impl Server {
    /// One that lets requests of `identities` through to `handler`.
    ///
    /// `readiness` says to who asks whether the server can serve: whoever holds its twin sets it
    /// ready; stopping sets it draining. `stats` gives the engine's figures for metrics.
    pub fn new(
        handler: impl Handler,
        identities: Identities,
        stats: impl Fn() -> Stats + Send + Sync + 'static,
        readiness: Readiness,
        settings: Settings,
    ) -> Self {
        let front = Front {
            gate: Gate::new(identities, settings.domains.clone(), settings.body_window),
            handler: Box::new(handler),
            vectors: None,
            stats: Box::new(stats),
            readiness,
            metrics: Arc::new(Metrics::default()),
            ids: RequestIds::default(),
            requests: Arc::new(Semaphore::new(settings.requests_max)),
            answer_window: settings.body_window * ANSWER_WINDOWS,
        };
        Self { front, settings }
    }

    /// The same, which answers requests to S3 Vectors as well.
    #[must_use]
    pub fn with_vectors(mut self, vectors: vectors::Vectors) -> Self {
        self.front.vectors = Some(vectors);
        self
    }

    /// Serves until `shutdown` and drains. Returns when no connection is left or the drain's time
    /// is over.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let Settings { connections_max, drain, .. } = self.settings;
        conn::serve(listener, Arc::new(self.front), connections_max, drain, shutdown).await;
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("settings", &self.settings).finish_non_exhaustive()
    }
}
