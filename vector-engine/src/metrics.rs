//! What queries cost, counted: by phase and by the plan of each segment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A phase of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Finding what a filter leaves.
    Filter,
    /// Measuring vectors: codes, graphs, exact distances.
    Vectors,
    /// Scoring texts.
    Texts,
    /// Reading what the answer tells of its rows.
    Fetch,
}

/// How a segment was searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plan {
    /// Nothing in it could be found.
    Nothing,
    /// Every row that could be found was measured.
    Exact,
    /// Codes of all that could be found were scanned, and the nearest measured.
    Codes,
    /// The graph was walked.
    Graph,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Filter, Self::Vectors, Self::Texts, Self::Fetch];

    /// Its name in metrics and explanations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Vectors => "vectors",
            Self::Texts => "texts",
            Self::Fetch => "fetch",
        }
    }
}

impl Plan {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Exact, Self::Codes, Self::Graph];

    /// Its name in metrics and explanations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Exact => "exact",
            Self::Codes => "codes",
            Self::Graph => "graph",
        }
    }
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Queries answered.
    pub queries: u64,
    /// Microseconds by [`Phase::ALL`].
    pub phase_us: [u64; 4],
    /// Segments searched by [`Plan::ALL`].
    pub plans: [u64; 4],
}

/// The counters behind [`QueryStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    queries: AtomicU64,
    phase_us: [AtomicU64; 4],
    plans: [AtomicU64; 4],
}

impl Counters {
    pub(crate) fn note_query(&self) {
        self.queries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_phase(&self, phase: Phase, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = Phase::ALL.iter().position(|p| *p == phase);
        if let Some(counter) = place.and_then(|place| self.phase_us.get(place)) {
            counter.fetch_add(us, Ordering::Relaxed);
        }
    }

    pub(crate) fn note_plan(&self, plan: Plan) {
        let place = Plan::ALL.iter().position(|p| *p == plan);
        if let Some(counter) = place.and_then(|place| self.plans.get(place)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> QueryStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        QueryStats {
            queries: load(&self.queries),
            phase_us: self.phase_us.each_ref().map(load),
            plans: self.plans.each_ref().map(load),
        }
    }
}
