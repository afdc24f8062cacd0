//! The graph of a large sealed segment: every row leads to a bounded number of others, so that a
//! greedy walk from a few entries comes to the rows nearest to a query after few reads (Vamana).
//!
//! A [`Graph`] is built in memory from small copies of the rows ([`Space`]), checked (every row can
//! be reached from the entries), and written row by row into node pages by the segment. Searches
//! never see it: they read nodes through [`Nodes`].

mod build;
mod order;
mod prune;
mod reach;
mod rows;
mod search;
mod space;
mod start;
#[cfg(test)]
mod tests;
mod visited;
mod walk;

pub use build::{BuildOptions, Pace, Progress, Watch, build};
pub use rows::RowSpace;
pub use search::{Expanded, Found, Nodes, SearchOptions, SearchScratch, search};
pub use space::Space;

/// The most neighbours a row may have: what fits a node page beside a vector of 768 dimensions.
pub const DEGREE_MAX: usize = 64;

/// Who leads where. Lists are of a fixed stride, which costs little, as nearly all are full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    degree: usize,
    entries: Vec<u32>,
    counts: Vec<u8>,
    neighbours: Vec<u32>,
}

impl Graph {
    /// The most neighbours of any row.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// How many rows there are.
    pub fn rows(&self) -> u32 {
        u32::try_from(self.counts.len()).unwrap_or(u32::MAX)
    }

    /// Where searches begin: the row in the middle first, then rows far from one another.
    pub fn entries(&self) -> &[u32] {
        &self.entries
    }

    /// Where a row leads, most useful first; nothing for a row that is not there.
    pub fn neighbours(&self, row: u32) -> &[u32] {
        let row = row as usize;
        let count = self.counts.get(row).copied().map_or(0, usize::from);
        let from = row.saturating_mul(self.degree);
        self.neighbours.get(from..from.saturating_add(count)).unwrap_or_default()
    }
}
