//! Figures of an index.

use super::Index;
use crate::member::Rows;

/// Figures of an index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Rows that live.
    pub rows: u64,
    /// Rows in growing segments, the dead ones too.
    pub growing_rows: u64,
    /// Sealed segments.
    pub sealed_segments: u64,
    /// Of them, those with a graph.
    pub graph_segments: u64,
    /// Rows that are dead and still in a segment.
    pub dead_rows: u64,
    /// Bytes of memory, about, without the cache.
    pub memory_bytes: u64,
    /// Bytes of segments on the device, about.
    pub device_bytes: u64,
}

impl std::ops::AddAssign for IndexStats {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.growing_rows += other.growing_rows;
        self.sealed_segments += other.sealed_segments;
        self.graph_segments += other.graph_segments;
        self.dead_rows += other.dead_rows;
        self.memory_bytes += other.memory_bytes;
        self.device_bytes += other.device_bytes;
    }
}

impl Index {
    /// Figures.
    pub fn stats(&self) -> IndexStats {
        let state = self.inner.state();
        let mut stats = IndexStats {
            rows: state.rows(),
            growing_rows: state.growing_rows() as u64,
            ..IndexStats::default()
        };
        for member in state.members() {
            stats.dead_rows += member.dead.len();
            match &member.rows {
                Rows::Growing(chunk) => {
                    stats.memory_bytes += chunk.memory_bytes() as u64;
                }
                Rows::Sealed(sealed) => {
                    stats.sealed_segments += 1;
                    stats.graph_segments += u64::from(sealed.resident.degree > 0);
                    stats.memory_bytes += sealed.memory_bytes() as u64;
                    stats.device_bytes += sealed.device_bytes();
                }
            }
        }
        stats
    }
}
