//! A query made ready to be compared with rows.

use super::Kernel;
use crate::Metric;

/// Squares between these keep their digits in `f32`; others are summed again in `f64`.
const SQUARE_MIN: f32 = 1e-30;
const SQUARE_MAX: f32 = 1e30;

/// A query and its measure; made once, compared with many rows.
#[derive(Debug, Clone)]
pub struct Probe {
    metric: Metric,
    query: Vec<f32>,
    /// The query's inner product with itself.
    square: f32,
    kernel: Kernel,
}

impl Probe {
    /// Makes a query ready.
    pub fn new(metric: Metric, query: &[f32]) -> Self {
        Self::on(Kernel::widest(), metric, query)
    }

    pub(super) fn on(kernel: Kernel, metric: Metric, query: &[f32]) -> Self {
        Self { metric, query: query.to_vec(), square: kernel.dot(query, query), kernel }
    }

    /// The measure.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The query as it came.
    pub fn query(&self) -> &[f32] {
        &self.query
    }

    /// The distance that searches order by; smaller is nearer. Under [`Metric::Cosine`] it is within
    /// `0..=2`, 0 for a row that is the query, and 1 where either has no direction.
    pub fn distance(&self, row: &[f32]) -> f32 {
        match self.metric {
            Metric::Euclidean => self.kernel.square_distance(&self.query, row),
            Metric::InnerProduct => -self.kernel.dot(&self.query, row),
            Metric::Cosine => {
                let (dot, square) = self.kernel.dot_and_square(&self.query, row);
                let precise = SQUARE_MIN..=SQUARE_MAX;
                if precise.contains(&square) && precise.contains(&self.square) {
                    cosine_distance(f64::from(dot), f64::from(self.square), f64::from(square))
                } else {
                    cosine_distance(
                        wide_dot(&self.query, row),
                        wide_dot(&self.query, &self.query),
                        wide_dot(row, row),
                    )
                }
            }
        }
    }
}

fn cosine_distance(dot: f64, query_square: f64, row_square: f64) -> f32 {
    let norms = query_square.sqrt() * row_square.sqrt();
    if norms > 0.0 { (1.0 - dot / norms).clamp(0.0, 2.0) as f32 } else { 1.0 }
}

/// The inner product where `f32` would lose it.
fn wide_dot(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(left, right)| f64::from(*left) * f64::from(*right)).sum()
}
