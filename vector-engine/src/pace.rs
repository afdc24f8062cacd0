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

/// Steps of which one waits for queries: one step is a row or a few.
const STEPS_A_WAIT: usize = 64;

/// As fast as it goes, until the engine is closed.
#[derive(Debug)]
pub(crate) struct Pressing<'a>(pub(crate) &'a Foreground);

impl Pace for Pressing<'_> {
    fn step(&self) -> Result<()> {
        match self.0.is_closing() {
            true => Err(Error::Stopped),
            false => Ok(()),
        }
    }
}

/// Yields to queries: while one runs, every few steps wait a little.
#[derive(Debug)]
pub(crate) struct Yielding<'a> {
    foreground: &'a Foreground,
    steps: AtomicUsize,
}

impl<'a> Yielding<'a> {
    pub(crate) fn new(foreground: &'a Foreground) -> Self {
        Self { foreground, steps: AtomicUsize::new(0) }
    }
}

impl Pace for Yielding<'_> {
    fn step(&self) -> Result<()> {
        if self.foreground.is_closing() {
            return Err(Error::Stopped);
        }
        let waits = self.steps.fetch_add(1, Ordering::Relaxed).is_multiple_of(STEPS_A_WAIT);
        if waits && self.foreground.queries.load(Ordering::Relaxed) > 0 {
            std::thread::sleep(STEP_WAIT);
        }
        Ok(())
    }
}
