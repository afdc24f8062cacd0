//! The one door for clock, randomness and threads, so that a seed replays a run.
//!
//! - Nothing else in the crate reads a clock, draws a random byte or starts a thread (`clippy.toml`).
//! - [`SystemEnvironment`] is the real one; the simulator brings its own and runs every job in
//!   the caller, in order.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A job handed to the environment.
pub type Job = Box<dyn FnOnce() + Send + 'static>;

/// Clock, randomness and threads.
pub trait Environment: Send + Sync + 'static {
    /// Wall-clock time in milliseconds since 1970-01-01 UTC.
    fn now_ms(&self) -> u64;
    /// Time that never goes back, from an arbitrary start.
    fn monotonic(&self) -> Duration;
    /// Fills `out` with unpredictable bytes.
    fn fill_random(&self, out: &mut [u8]);
    /// True when jobs run in the caller: no thread exists, `commit` does its own I/O.
    fn is_inline(&self) -> bool;
    /// Starts a long-lived thread. Never called when [`Environment::is_inline`].
    fn spawn(&self, name: &str, job: Job) -> std::io::Result<std::thread::JoinHandle<()>>;
    /// Runs `beside` on a thread of its own and `here` in the caller, and returns when both are done.
    /// Never called when [`Environment::is_inline`].
    fn run_beside<'a>(
        &self,
        name: &str,
        beside: Box<dyn FnOnce() + Send + 'a>,
        here: Box<dyn FnOnce() + 'a>,
    ) -> std::io::Result<()>;
    /// Runs a short blocking job off the async workers, or in the caller when inline.
    fn run_blocking(&self, job: Job);
    /// Waits. Only long-lived threads call it.
    fn sleep(&self, duration: Duration);
}

/// The machine's own clock, randomness and threads; blocking jobs go to tokio's blocking pool.
#[derive(Debug)]
pub struct SystemEnvironment {
    start: Instant,
    runtime: Option<tokio::runtime::Handle>,
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
impl SystemEnvironment {
    /// An environment whose blocking jobs run on `runtime`'s blocking pool, or in the caller
    /// when there is none (offline tools).
    pub fn new(runtime: Option<tokio::runtime::Handle>) -> Self {
        Self { start: Instant::now(), runtime }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
impl Environment for SystemEnvironment {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn fill_random(&self, out: &mut [u8]) {
        let mut rest = out;
        while !rest.is_empty() {
            match rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty()) {
                Ok(filled) => rest = rest.get_mut(filled..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => {}
                // Without randomness no key can be made: there is nothing safe to go on with.
                Err(_) => std::process::abort(),
            }
        }
    }

    fn is_inline(&self) -> bool {
        false
    }

    fn spawn(&self, name: &str, job: Job) -> std::io::Result<std::thread::JoinHandle<()>> {
        std::thread::Builder::new().name(name.to_owned()).spawn(job)
    }

    fn run_beside<'a>(
        &self,
        name: &str,
        beside: Box<dyn FnOnce() + Send + 'a>,
        here: Box<dyn FnOnce() + 'a>,
    ) -> std::io::Result<()> {
        std::thread::scope(|scope| {
            std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, beside)?;
            here();
            Ok(())
        })
    }

    fn run_blocking(&self, job: Job) {
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn_blocking(job)),
            None => job(),
        }
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}
