//! What goes on, on standard error: a line a second, and one at the end.

use std::io::{IsTerminal, Write as _};
use std::time::{Duration, Instant};

/// Between two lines.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// Progress of a command over rows.
pub(super) struct Progress {
    label: &'static str,
    is_terminal: bool,
    start: Instant,
    last: Instant,
    last_rows: u64,
    rows: u64,
}

impl Progress {
    /// Begins the clock.
    pub(super) fn new(label: &'static str) -> Self {
        let start = Instant::now();
        let is_terminal = std::io::stderr().is_terminal();
        Self { label, is_terminal, start, last: start, last_rows: 0, rows: 0 }
    }

    /// More rows are done.
    pub(super) fn add(&mut self, rows: u64) {
        self.rows += rows;
    }

    /// Rows that are done.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Prints a line.
    pub(super) fn show(&mut self, errors: u64) {
        let line = format!(
            "{} {:>4} s  {:>10} rows  {:>8.0} rows/s  {errors} errors",
            self.label,
            self.start.elapsed().as_secs(),
            self.rows,
            rate(self.rows - self.last_rows, self.last.elapsed()),
        );
        // Progress that nobody can read is no reason to stop.
        let _unread = match self.is_terminal {
            true => write!(std::io::stderr(), "\r{line}\x1b[K"),
            false => writeln!(std::io::stderr(), "{line}"),
        };
        (self.last, self.last_rows) = (Instant::now(), self.rows);
    }

    /// Prints the last line.
    pub(super) fn finish(&self, errors: u64) {
        let elapsed = self.start.elapsed();
        let line = format!(
            "{}: {} rows in {:.2} s, {:.0} rows/s, {errors} errors",
            self.label,
            self.rows,
            elapsed.as_secs_f64(),
            rate(self.rows, elapsed),
        );
        let again = if self.is_terminal { "\r\x1b[K" } else { "" };
        let _unread = writeln!(std::io::stderr(), "{again}{line}");
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is printed without a fraction")]
fn rate(rows: u64, time: Duration) -> f64 {
    rows as f64 / time.as_secs_f64().max(1e-9)
}
