//! The simulator's clock, randomness and threads: there are no threads, and time stands until a
//! test moves it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use super::random::SeededRandom;
use crate::environment::{Environment, Job};

/// A simulated clock's first reading: 2030-01-01 UTC, in milliseconds since 1970.
const START_MS: u64 = 1_893_456_000_000;

/// A deterministic environment: the same seed and the same calls give the same run.
#[derive(Debug)]
pub struct SimEnvironment {
    wall_ms: AtomicU64,
    elapsed_us: AtomicU64,
    random: Mutex<SeededRandom>,
}

impl SimEnvironment {
    /// An environment with the randomness of a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            wall_ms: AtomicU64::new(START_MS),
            elapsed_us: AtomicU64::new(0),
            random: Mutex::new(SeededRandom::new(seed)),
        }
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        let saturated = |count: u128| u64::try_from(count).unwrap_or(u64::MAX);
        self.wall_ms.fetch_add(saturated(duration.as_millis()), Relaxed);
        self.elapsed_us.fetch_add(saturated(duration.as_micros()), Relaxed);
    }

    /// Sets the wall clock, forward or back, as an operator can.
    pub fn set_now_ms(&self, now_ms: u64) {
        self.wall_ms.store(now_ms, Relaxed);
    }
}

impl Environment for SimEnvironment {
    fn now_ms(&self) -> u64 {
        self.wall_ms.load(Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.elapsed_us.load(Relaxed))
    }

    fn fill_random(&self, out: &mut [u8]) {
        self.random.lock().fill(out);
    }

    fn is_inline(&self) -> bool {
        true
    }

    fn spawn(&self, name: &str, _job: Job) -> io::Result<std::thread::JoinHandle<()>> {
        let why = format!("no thread {name:?} in a simulation");
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    fn run_beside<'a>(
        &self,
        name: &str,
        _beside: Box<dyn FnOnce() + Send + 'a>,
        _here: Box<dyn FnOnce() + 'a>,
    ) -> io::Result<()> {
        let why = format!("no thread {name:?} in a simulation");
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    fn run_blocking(&self, job: Job) {
        job();
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}
