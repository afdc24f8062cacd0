//! Whether the server lives and can serve, for supervisors and load balancers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::{HeaderValue, Response, StatusCode, header};
use storage_engine::Stats;

/// What the server is at, shared between who runs it and who asks.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    state: Arc<AtomicU8>,
}

/// The states of [`Readiness`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not yet serving.
    Starting,
    /// Serving.
    Ready,
    /// Serving what has begun, about to stop.
    Draining,
}

impl Readiness {
    /// Says that the server serves.
    pub fn set_ready(&self) {
        self.state.store(1, Ordering::Release);
    }

    /// Says that the server is about to stop.
    pub fn set_draining(&self) {
        self.state.store(2, Ordering::Release);
    }

    /// The state now.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Starting,
            1 => State::Ready,
            _ => State::Draining,
        }
    }
}

/// The answer to "do you live?".
pub fn answer_live() -> Response<s3s::Body> {
    text(StatusCode::OK, "{\"status\":\"live\"}")
}

/// The answer to "can you serve?".
pub fn answer_ready(readiness: &Readiness, engine: &Stats) -> Response<s3s::Body> {
    let (status, state) = match (readiness.state(), &engine.stopped) {
        (State::Starting, _) => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        (State::Draining, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (State::Ready, Some(_)) => (StatusCode::SERVICE_UNAVAILABLE, "writes stopped"),
        (State::Ready, None) => (StatusCode::OK, "ready"),
    };
    let body = serde_json::json!({ "status": state, "durability": engine.durability });
    text(status, &body.to_string())
}

fn text(status: StatusCode, body: &str) -> Response<s3s::Body> {
    let mut response = Response::new(s3s::Body::from(body.to_owned()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    response
}

#[cfg(test)]
mod tests {
    use storage_engine::Stats;

    use super::{Readiness, answer_live, answer_ready};

    #[test]
    fn readiness_follows_the_state_and_the_engine() {
        let readiness = Readiness::default();
        let mut stats = Stats { durability: "sync", ..Stats::default() };
        let shared = readiness.clone();
        assert_eq!(answer_ready(&readiness, &stats).status(), 503);
        shared.set_ready();
        let answer = answer_ready(&readiness, &stats);
        assert_eq!(answer.status(), 200);
        let body = answer.body().bytes().unwrap();
        assert_eq!(body, "{\"durability\":\"sync\",\"status\":\"ready\"}");
        stats.stopped = Some("a sync failed".into());
        assert_eq!(answer_ready(&readiness, &stats).status(), 503);
        stats.stopped = None;
        shared.set_draining();
        assert_eq!(answer_ready(&readiness, &stats).status(), 503);
        assert_eq!(answer_live().status(), 200);
    }
}
