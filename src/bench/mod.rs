//! `lodestore bench`: load for any S3 endpoint, and what came of it.
//!
//! The client shares its machine with the server it measures, so it spends little: a few threads
//! with a share of the connections each, one keep-alive connection a worker, bodies made before the
//! clock starts, one cached signing key. What it did spend is in the report.
//!
//! `options` says what to do → `plan` turns it into names and bodies → `load` runs workers over
//! connections of `http_client` until a budget is used up → `report` prints it.

mod histogram;
mod load;
mod options;
mod payload;
mod plan;
mod recorder;
mod report;
mod worker;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

pub use histogram::Histogram;
pub use options::{BenchOptions, Operation, PayloadHash, Prefill};

use self::load::{Budget, Load};
use self::plan::Plan;
use self::report::Report;
use crate::http_client::TargetError;

/// Why nothing could be measured, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenchError(String);

impl BenchError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for BenchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BenchError {}

impl From<TargetError> for BenchError {
    fn from(error: TargetError) -> Self {
        Self(error.to_string())
    }
}

/// Prepares, measures, prints. The exit status is failure when any operation failed.
pub fn run(options: &BenchOptions) -> Result<ExitCode, BenchError> {
    let plan = Arc::new(Plan::new(options)?);
    let load = Load::new(Arc::clone(&plan), options.concurrency, options.threads);
    load.make_bucket()?;
    if plan.needs_objects() && options.prefill == Prefill::All {
        prefill(&load, &plan)?;
    }
    let budget = match (plan.operation, options.count) {
        // An object can be deleted once.
        (Operation::Delete, count) => {
            let count = count.unwrap_or(plan.keys).min(plan.keys);
            Budget::new(Some(count), options.duration)
        }
        (_, Some(count)) => Budget::new(Some(count), options.duration),
        (_, None) => Budget::new(None, Some(options.duration.unwrap_or(options::DURATION))),
    };
    let budget = Arc::new(budget);
    let outcome = load.run(plan.operation, &budget)?;
    if options.cleanup {
        clean_up(&load, &plan, budget.turns())?;
    }
    let report = Report::new(options, &plan, load.threads(), &outcome);
    let text = if options.json { format!("{}\n", report.json()) } else { report.to_string() };
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| BenchError::new(format!("print the report: {error}")))?;
    let failed = outcome.recorder.errors() > 0 || outcome.recorder.operations() == 0;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn prefill(load: &Load, plan: &Plan) -> Result<(), BenchError> {
    let budget = Arc::new(Budget::new(Some(plan.keys), None));
    let outcome = load.run_quietly("prefill", Operation::Put, &budget)?;
    match outcome.recorder.samples().first() {
        None => Ok(()),
        Some(sample) => Err(BenchError::new(format!(
            "prefill: {} of {} objects could not be put, such as: {sample}",
            outcome.recorder.errors(),
            plan.keys
        ))),
    }
}

/// Deletes what this run put.
fn clean_up(load: &Load, plan: &Plan, turns: u64) -> Result<(), BenchError> {
    let written = plan.written(turns);
    let budget = Arc::new(Budget::new(Some(written), None));
    load.run_quietly("cleanup", Operation::Delete, &budget).map(drop)
}
