//! Rows of bytes, for work that compares rows with each other: a graph is built on them.
//!
//! A row is its numbers over the greatest of them, times 127, rounded; the distance of two is that
//! of what they stand for, without further rounding. A row lies padded to whole [`PART_BYTES`].

use super::{Kernel, PART_BYTES};
use crate::Metric;

/// The greatest number of a row becomes this.
const NUMBER_MAX: f32 = 127.0;

/// Rows of one segment as bytes, `dimension` and 12 bytes each (padded to 64).
#[derive(Debug, Clone)]
pub struct QuantizedRows {
    metric: Metric,
    centroid: Vec<f32>,
    /// From one row to the next.
    stride: usize,
    numbers: Vec<i8>,
    factors: Vec<Factors>,
    kernel: Kernel,
}

/// One row of bytes, of a [`QuantizedRows`] or made by it from a query.
#[derive(Debug, Clone, Copy)]
pub struct QuantizedRow<'a> {
    numbers: &'a [i8],
    factors: Factors,
}

#[derive(Debug, Clone, Copy, Default)]
struct Factors {
    /// What a number stands for; under cosine, such that the row's length is 1.
    scale: f32,
    /// The inner product with itself of what the row stands for.
    square: f32,
    /// The sum of its numbers.
    sum: i32,
}

impl QuantizedRows {
    /// No rows, of as many numbers as `centroid` has. Under [`Metric::Euclidean`] it is taken off
    /// each row, which keeps distances and spends the bytes on differences; zeros do no harm.
    pub fn new(metric: Metric, centroid: &[f32]) -> Self {
        let stride = centroid.len().next_multiple_of(PART_BYTES);
        let (centroid, kernel) = (centroid.to_vec(), Kernel::widest());
        Self { metric, centroid, stride, numbers: Vec::new(), factors: Vec::new(), kernel }
    }

    /// Makes room for so many rows more.
    pub fn reserve(&mut self, rows: usize) {
        self.numbers.reserve(rows.saturating_mul(self.stride));
        self.factors.reserve(rows);
    }

    /// Adds a row; what it has beyond the dimension does not count.
    pub fn push(&mut self, row: &[f32]) {
        let start = self.numbers.len();
        self.numbers.resize(start + self.stride, 0);
        let numbers = self.numbers.get_mut(start..).unwrap_or_default();
        self.factors.push(quantize(self.metric, &self.centroid, row, numbers));
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.factors.len()
    }

    /// True when it has no rows.
    pub fn is_empty(&self) -> bool {
        self.factors.is_empty()
    }

    /// The row of an index; none beyond the last.
    pub fn row(&self, row: u32) -> Option<QuantizedRow<'_>> {
        let factors = *self.factors.get(row as usize)?;
        let start = (row as usize).checked_mul(self.stride)?;
        let numbers = self.numbers.get(start..start.checked_add(self.stride)?)?;
        Some(QuantizedRow { numbers, factors })
    }

    /// A query in the form of the rows; `space` holds its bytes.
    pub fn quantize<'a>(&self, query: &[f32], space: &'a mut Vec<i8>) -> QuantizedRow<'a> {
        space.clear();
        space.resize(self.stride, 0);
        let factors = quantize(self.metric, &self.centroid, query, space);
        QuantizedRow { numbers: space, factors }
    }

    /// The distance that searches order by, of two rows by index; infinite where one is not there.
    #[inline]
    pub fn distance(&self, left: u32, right: u32) -> f32 {
        match (self.row(left), self.row(right)) {
            (Some(left), Some(right)) => self.distance_of(left, right),
            _ => f32::INFINITY,
        }
    }

    /// The distance that searches order by, of two rows of this form.
    #[inline]
    pub fn distance_of(&self, left: QuantizedRow<'_>, right: QuantizedRow<'_>) -> f32 {
        let dot = self.kernel.dot_i8(left.numbers, right.numbers, right.factors.sum);
        let dot = dot as f32 * (left.factors.scale * right.factors.scale);
        match self.metric {
            Metric::Euclidean => (left.factors.square + right.factors.square - 2.0 * dot).max(0.0),
            Metric::Cosine => (1.0 - dot).clamp(0.0, 2.0),
            Metric::InnerProduct => -dot,
        }
    }

    /// Bytes held in memory.
    pub fn memory_bytes(&self) -> usize {
        self.numbers.capacity() + self.factors.capacity() * size_of::<Factors>()
    }
}

fn quantize(metric: Metric, centroid: &[f32], row: &[f32], numbers: &mut [i8]) -> Factors {
    let offset = |at: usize| match metric {
        Metric::Euclidean => centroid.get(at).copied().unwrap_or(0.0),
        Metric::Cosine | Metric::InnerProduct => 0.0,
    };
    let values = || row.iter().take(centroid.len()).enumerate().map(|(at, x)| x - offset(at));
    let greatest = values().fold(0.0_f32, |greatest, value| greatest.max(value.abs()));
    if !(greatest > 0.0 && greatest.is_finite()) {
        return Factors::default();
    }
    let (mut sum, mut square) = (0, 0);
    for (number, value) in numbers.iter_mut().zip(values()) {
        // Divided first: the inverse of a very small number is not finite.
        *number = (value / greatest * NUMBER_MAX).round() as i8;
        sum += i32::from(*number);
        square += i32::from(*number) * i32::from(*number);
    }
    let square = square as f32;
    match metric {
        Metric::Cosine => Factors { scale: 1.0 / square.sqrt(), square: 1.0, sum },
        Metric::Euclidean | Metric::InnerProduct => {
            let scale = greatest / NUMBER_MAX;
            Factors { scale, square: square * (scale * scale), sum }
        }
    }
}
