//! The space of a segment's rows, at a byte a dimension: a quarter of the rows' memory and less of
//! the time of their distances, and near enough, as the graph only decides who leads where.
//!
//! Every measure becomes a squared straight-line distance, which pruning needs: cosine of rows
//! brought to length one; inner product by one more dimension that lifts all rows to the length of
//! the longest.

use super::space::Space;
use crate::kernel::QuantizedRows;
use crate::metric::Metric;

/// The rows of a segment, for building its graph.
#[derive(Debug)]
pub struct RowSpace {
    metric: Metric,
    rows: QuantizedRows,
    /// Under inner product, where a row lies in the added dimension; the squared length of a row
    /// until all are known. Else empty.
    lifts: Vec<f32>,
    direction: Vec<f32>,
}

impl RowSpace {
    /// No rows yet, of as many numbers as `centre`: about the mean of the rows (under cosine, of
    /// their directions), which is taken off so that the bytes are spent on differences.
    pub fn new(metric: Metric, centre: &[f32]) -> Self {
        let rows = QuantizedRows::new(Metric::Euclidean, centre);
        Self { metric, rows, lifts: Vec::new(), direction: Vec::new() }
    }

    /// Makes room for rows to come.
    pub fn reserve(&mut self, rows: usize) {
        self.rows.reserve(rows);
        if self.metric == Metric::InnerProduct {
            self.lifts.reserve(rows);
        }
    }

    /// Takes the next row in.
    pub fn push(&mut self, row: &[f32]) {
        let square = || row.iter().map(|value| value * value).sum::<f32>();
        match self.metric {
            Metric::Euclidean => self.rows.push(row),
            Metric::Cosine => {
                let length = square().sqrt();
                let length = if length > 0.0 { length } else { 1.0 };
                self.direction.clear();
                self.direction.extend(row.iter().map(|value| value / length));
                self.rows.push(&self.direction);
            }
            Metric::InnerProduct => {
                self.lifts.push(square());
                self.rows.push(row);
            }
        }
    }

    /// All rows are there.
    #[must_use]
    pub fn finish(mut self) -> Self {
        let longest = self.lifts.iter().copied().fold(0.0, f32::max);
        for lift in &mut self.lifts {
            *lift = (longest - *lift).max(0.0).sqrt();
        }
        self
    }

    /// Bytes held in memory.
    pub fn memory_bytes(&self) -> usize {
        self.rows.memory_bytes() + self.lifts.capacity() * size_of::<f32>()
    }
}

impl Space for RowSpace {
    fn rows(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    fn distance(&self, one: u32, other: u32) -> f32 {
        let distance = self.rows.distance(one, other);
        match (self.lifts.get(one as usize), self.lifts.get(other as usize)) {
            (Some(one), Some(other)) => distance + (one - other) * (one - other),
            _ => distance,
        }
    }

    fn distances(&self, from: u32, to: &[u32], out: &mut Vec<f32>) {
        out.clear();
        let Some(from_row) = self.rows.row(from) else {
            return out.resize(to.len(), f32::INFINITY);
        };
        let lift = self.lifts.get(from as usize);
        out.extend(to.iter().map(|&to| {
            let Some(row) = self.rows.row(to) else { return f32::INFINITY };
            let distance = self.rows.distance_of(from_row, row);
            match (lift, self.lifts.get(to as usize)) {
                (Some(one), Some(other)) => distance + (one - other) * (one - other),
                _ => distance,
            }
        }));
    }
}
