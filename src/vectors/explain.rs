//! What a query tells of itself when it is asked to explain.

use serde::Serialize;
use vector_engine::Explain;

/// As an answer shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explained {
    phases: Vec<PhaseShown>,
    segments: Vec<SegmentShown>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PhaseShown {
    phase: &'static str,
    micros: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SegmentShown {
    plan: &'static str,
    rows: u64,
    candidates: u64,
    measured: u64,
    rounds: u32,
}

impl From<&Explain> for Explained {
    fn from(explain: &Explain) -> Self {
        let phases = explain.phases.iter().map(|(phase, time)| PhaseShown {
            phase: phase.name(),
            micros: u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
        });
        let segments = explain.segments.iter().map(|work| SegmentShown {
            plan: work.plan.name(),
            rows: work.rows,
            candidates: work.candidates,
            measured: work.measured,
            rounds: work.rounds,
        });
        Self { phases: phases.collect(), segments: segments.collect() }
    }
}
