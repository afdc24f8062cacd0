//! What was measured, as a table for people and as JSON for programs.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::histogram::Histogram;
use super::load::Outcome;
use super::options::BenchOptions;
use super::plan::Plan;
use super::recorder::Recorder;
use crate::config::format_bytes;

const MIB: f64 = 1024.0 * 1024.0;
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

/// A finished measurement.
pub(super) struct Report<'a> {
    options: &'a BenchOptions,
    plan: &'a Plan,
    threads: u32,
    recorder: &'a Recorder,
    elapsed_s: f64,
    cpu_s: f64,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        options: &'a BenchOptions,
        plan: &'a Plan,
        threads: u32,
        outcome: &'a Outcome,
    ) -> Self {
        Self {
            options,
            plan,
            threads,
            recorder: &outcome.recorder,
            elapsed_s: outcome.elapsed.as_secs_f64().max(1e-9),
            cpu_s: outcome.cpu.as_secs_f64(),
        }
    }

    /// One JSON object.
    pub(super) fn json(&self) -> Value {
        let by_operation: serde_json::Map<String, Value> = self
            .recorder
            .by_verb()
            .iter()
            .map(|(verb, histogram)| {
                let latency = latency_us(histogram);
                let value = json!({ "operations": histogram.count(), "latency_us": latency });
                (verb.name().to_owned(), value)
            })
            .collect();
        json!({
            "op": self.plan.operation.name(),
            "endpoint": self.options.target.endpoint,
            "bucket": self.options.bucket,
            "size_bytes": self.plan.size,
            "concurrency": self.options.concurrency,
            "threads": self.threads,
            "keys": self.plan.keys,
            "payload": self.options.payload.name(),
            "signed": !self.options.target.anonymous,
            "elapsed_s": rounded(self.elapsed_s),
            "operations": self.recorder.operations(),
            "ops_per_s": rounded(self.ops_per_s()),
            "mib_per_s": rounded(self.mib_per_s()),
            "errors": self.recorder.errors(),
            "error_samples": self.recorder.samples(),
            "page_entries": self.recorder.entries(),
            "latency_us": latency_us(&self.recorder.all()),
            "by_operation": by_operation,
            "client_cpu_s": rounded(self.cpu_s),
        })
    }

    fn ops_per_s(&self) -> f64 {
        self.recorder.operations() as f64 / self.elapsed_s
    }

    fn mib_per_s(&self) -> f64 {
        self.recorder.bytes() as f64 / MIB / self.elapsed_s
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { options, plan, recorder, .. } = self;
        let signed = if options.target.anonymous { "unsigned requests" } else { "signed requests" };
        writeln!(
            f,
            "{} of {} at {}: {} connections, {} client threads, {signed}, payload {}",
            plan.operation.name(),
            format_bytes(plan.size),
            options.target.endpoint,
            options.concurrency,
            self.threads,
            options.payload.name(),
        )?;
        writeln!(
            f,
            "  {} operations in {:.2} s: {:.1} ops/s, {:.1} MiB/s, {} errors, client {:.2} s of CPU",
            recorder.operations(),
            self.elapsed_s,
            self.ops_per_s(),
            self.mib_per_s(),
            recorder.errors(),
            self.cpu_s,
        )?;
        if let Some(entries) = recorder.entries() {
            writeln!(f, "  {entries} entries in the first page")?;
        }
        writeln!(
            f,
            "  {:<10}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}",
            "latency", "count", "p50", "p90", "p99", "p99.9", "max"
        )?;
        for (verb, histogram) in recorder.by_verb() {
            write!(f, "  {:<10}{:>12}", verb.name(), histogram.count())?;
            for (_, share) in QUANTILES {
                write!(f, "{:>12}", readable(histogram.quantile(share)))?;
            }
            writeln!(f, "{:>12}", readable(histogram.max()))?;
        }
        for sample in recorder.samples() {
            writeln!(f, "  error: {sample}")?;
        }
        Ok(())
    }
}

fn latency_us(histogram: &Histogram) -> Value {
    let us = |duration: Duration| json!(rounded(duration.as_secs_f64() * 1e6));
    let mut figures: serde_json::Map<String, Value> = QUANTILES
        .iter()
        .map(|(name, share)| ((*name).to_owned(), us(histogram.quantile(*share))))
        .collect();
    figures.insert("max".to_owned(), us(histogram.max()));
    figures.insert("mean".to_owned(), us(histogram.mean()));
    Value::Object(figures)
}

fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

fn readable(duration: Duration) -> String {
    let us = duration.as_secs_f64() * 1e6;
    match us {
        ..1_000.0 => format!("{us:.0} us"),
        ..1_000_000.0 => format!("{:.2} ms", us / 1e3),
        _ => format!("{:.2} s", us / 1e6),
    }
}
