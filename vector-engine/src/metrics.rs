//! What queries cost, counted: by phase and by the plan of each segment. And how far graphs are.

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

/// Graphs that are being built, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GraphStats {
    /// Rows of the segments that are to have them.
    pub building_rows: u64,
    /// Of them, those that have joined their graph.
    pub joined_rows: u64,
}

/// The counters behind [`QueryStats`] and [`GraphStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    queries: AtomicU64,
    phase_us: [AtomicU64; 4],
    plans: [AtomicU64; 4],
    building_rows: AtomicU64,
    joined_rows: AtomicU64,
}

/// A segment with a graph that is being built. It counts until it is dropped.
#[derive(Debug)]
pub(crate) struct BuildingGraph<'a> {
    counters: &'a Counters,
    rows: u64,
    joined: AtomicU64,
}

impl BuildingGraph<'_> {
    /// Notes how many rows have joined. Workers tell it in any order.
    pub(crate) fn note_joined(&self, rows: u64) {
        let before = self.joined.fetch_max(rows, Ordering::Relaxed);
        self.counters.joined_rows.fetch_add(rows.saturating_sub(before), Ordering::Relaxed);
    }
}

impl Drop for BuildingGraph<'_> {
    fn drop(&mut self) {
        let joined = self.joined.load(Ordering::Relaxed);
        self.counters.joined_rows.fetch_sub(joined, Ordering::Relaxed);
        self.counters.building_rows.fetch_sub(self.rows, Ordering::Relaxed);
    }
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

    /// Notes a segment of so many rows whose graph is built until what it returns is dropped.
    pub(crate) fn begin_graph(&self, rows: u64) -> BuildingGraph<'_> {
        self.building_rows.fetch_add(rows, Ordering::Relaxed);
        BuildingGraph { counters: self, rows, joined: AtomicU64::new(0) }
    }

    pub(crate) fn graphs(&self) -> GraphStats {
        GraphStats {
            building_rows: self.building_rows.load(Ordering::Relaxed),
            joined_rows: self.joined_rows.load(Ordering::Relaxed),
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

#[cfg(test)]
mod tests {
    use super::{Counters, GraphStats};

    #[test]
    fn graphs_count_while_they_are_built() {
        let counters = Counters::default();
        let stats = |building_rows, joined_rows| GraphStats { building_rows, joined_rows };
        let one = counters.begin_graph(10);
        let other = counters.begin_graph(5);
        for (told, joined) in [(0, 0), (4, 4), (2, 4), (10, 10)] {
            one.note_joined(told);
            assert_eq!(counters.graphs(), stats(15, joined));
        }
        other.note_joined(3);
        drop(one);
        assert_eq!(counters.graphs(), stats(5, 3));
        drop(other);
        assert_eq!(counters.graphs(), stats(0, 0));
    }
}
