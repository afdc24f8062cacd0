//! How fast background work may go: it asks between its steps.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};

/// Asked between the steps of background work.
pub(crate) trait Pace: std::fmt::Debug + Sync {
    /// Returns when the next step may begin; errs when the work has to end.
    fn step(&self) -> Result<()>;
}

/// As fast as it goes.
#[derive(Debug)]
pub(crate) struct Unhurried;

impl Pace for Unhurried {
    fn step(&self) -> Result<()> {
        Ok(())
    }
}

/// What background work yields to.
#[derive(Debug, Default)]
pub(crate) struct Foreground {
    queries: AtomicUsize,
    closing: AtomicBool,
}

/// A query that runs.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a Foreground);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.queries.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Foreground {
    /// Notes a query until what it returns is dropped.
    pub(crate) fn enter(&self) -> Running<'_> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        Running(self)
    }

    /// Ends all background work.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}

/// Longest wait of one step for queries, so that background work goes on under any load.
const STEP_WAIT: Duration = Duration::from_micros(200);

/// Yields to queries: while one runs, a step waits a little.
#[derive(Debug)]
pub(crate) struct Yielding<'a>(pub(crate) &'a Foreground);

impl Pace for Yielding<'_> {
    fn step(&self) -> Result<()> {
        if self.0.is_closing() {
            return Err(Error::Stopped);
        }
        if self.0.queries.load(Ordering::Relaxed) > 0 {
            std::thread::sleep(STEP_WAIT);
        }
        Ok(())
    }
}
