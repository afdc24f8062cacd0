//! The deadline of a connection's next head, kept by a timer that is seldom set.
//!
//! HTTP/1 sets a deadline before each head and drops it when the head has come. As a timer of the
//! runtime, each is entered and taken out again under a lock that all connections share. Here it is
//! a number; who watches it sleeps until the one it knows, and only then looks for a later one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// No deadline is set.
const NEVER: u64 = u64::MAX;

/// A connection's deadline. Its twins share it.
#[derive(Debug, Clone)]
pub struct Deadline {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    begun: Instant,
    /// In ms since it began.
    at_ms: AtomicU64,
    has_passed: AtomicBool,
}

impl Deadline {
    /// None yet, of a connection that begins now.
    pub fn new() -> Self {
        let (at_ms, has_passed) = (AtomicU64::new(NEVER), AtomicBool::new(false));
        Self { shared: Arc::new(Shared { begun: Instant::now(), at_ms, has_passed }) }
    }

    /// Sees to it that what waits for the deadline is polled when it has passed; never ends. Only for
    /// the task that polls the connection, and for deadlines that are set at least `ahead`.
    pub async fn watch(&self, ahead: Duration) {
        let Shared { begun, at_ms, has_passed } = &*self.shared;
        loop {
            let at = at_ms.load(Ordering::Relaxed);
            if at == NEVER {
                tokio::time::sleep(ahead).await;
                continue;
            }
            tokio::time::sleep_until((*begun + Duration::from_millis(at)).into()).await;
            if at_ms.load(Ordering::Relaxed) == at {
                has_passed.store(true, Ordering::Relaxed);
                tokio::task::yield_now().await;
                tokio::time::sleep(ahead).await;
            }
        }
    }

    fn set(&self, deadline: Instant) {
        let after = deadline.saturating_duration_since(self.shared.begun);
        // Up to the next millisecond: a deadline is never early.
        let at_ms = u64::try_from(after.as_millis()).map_or(NEVER, |ms| ms.saturating_add(1));
        self.shared.has_passed.store(false, Ordering::Relaxed);
        self.shared.at_ms.store(at_ms, Ordering::Relaxed);
    }
}

impl Default for Deadline {
    fn default() -> Self {
        Self::new()
    }
}

impl Timer for Deadline {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.set(deadline);
        Box::pin(Passed { deadline: self.clone() })
    }

    fn reset(&self, _: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        self.set(deadline);
    }
}

/// Waits until the deadline has passed; dropped, it takes the deadline away.
struct Passed {
    deadline: Deadline,
}

impl Future for Passed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.deadline.shared.has_passed.load(Ordering::Relaxed) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Sleep for Passed {}

impl Drop for Passed {
    fn drop(&mut self) {
        self.deadline.shared.at_ms.store(NEVER, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http_body_util::Empty;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(60);

    /// Serves one end of a pipe until its deadline; gives what it was ended by, and after how long.
    async fn serve(server: tokio::io::DuplexStream) -> (Option<hyper::Error>, Duration) {
        let begun = Instant::now();
        let deadline = Deadline::new();
        let answer = |_: hyper::Request<hyper::body::Incoming>| async {
            Ok::<_, Infallible>(hyper::Response::new(Empty::<Bytes>::new()))
        };
        let connection = http1::Builder::new()
            .timer(deadline.clone())
            .header_read_timeout(TIMEOUT)
            .serve_connection(TokioIo::new(server), service_fn(answer));
        let ended = tokio::select! {
            ended = connection => ended,
            () = deadline.watch(TIMEOUT) => unreachable!("it never ends"),
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("nobody noticed"),
        };
        (ended.err(), begun.elapsed())
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_ends_the_connection() {
        for sent in ["", "GET / HTTP/1.1\r\n"] {
            let (mut client, server) = tokio::io::duplex(1024);
            client.write_all(sent.as_bytes()).await.unwrap();
            let (error, after) = serve(server).await;
            assert!(error.unwrap().is_timeout(), "{sent:?}");
            assert!(after >= TIMEOUT, "{sent:?}: early, after {after:?}");
        }
    }

    #[tokio::test]
    async fn each_head_has_its_own_deadline() {
        let (mut client, server) = tokio::io::duplex(1024);
        let asking = tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(TIMEOUT / 3).await;
                client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
                assert!(client.read(&mut [0; 1024]).await.unwrap() > 0);
            }
            client
        });
        let (error, after) = serve(server).await;
        assert!(error.unwrap().is_timeout());
        assert!(after >= TIMEOUT / 3 * 5 + TIMEOUT, "early, after {after:?}");
        drop(asking.await.unwrap());
    }

    #[tokio::test]
    async fn a_deadline_that_is_taken_away_does_not_pass() {
        let deadline = Deadline::new();
        drop(deadline.sleep(Duration::ZERO));
        let mut later = deadline.sleep(Duration::ZERO);
        deadline.reset(&mut later, Instant::now() + Duration::from_secs(60));
        tokio::select! {
            () = deadline.watch(Duration::from_millis(1)) => unreachable!("it never ends"),
            () = later => panic!("it did not pass"),
            () = tokio::time::sleep(TIMEOUT) => {}
        }
    }
}
