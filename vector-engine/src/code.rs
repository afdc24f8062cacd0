//! Short codes of rows, from which distances are estimated: what a segment keeps in memory.
//!
//! - A row less the segment's centroid is turned by a random rotation, and each number is rounded to
//!   one, two or four bits, all rows in one direction as near as it can be (RaBitQ, and its
//!   extension to more bits). The row's own error is taken out by a factor it stores, so that over
//!   rotations the estimate is right in the mean, and its spread is known.
//! - A code stands alone: scans read them in a row, graphs one by one. Little-endian:
//!
//! | bytes | of a code |
//! |---|---|
//! | 4 | `f32` the part of the distance that does not depend on the direction |
//! | 4 | `f32` what the product with the query's direction is multiplied by |
//! | 4 | `f32` the spread of the estimate for a query at distance 1 from the centroid |
//! | rest | a number of the rotated row each, `dimension` padded to 64 times the bits |
//!
//! | bytes | of a codebook |
//! |---|---|
//! | 8 | `"LSvcodes"` |
//! | 2 | format version, 1 |
//! | 1, 1 | the measure (0 Euclidean, 1 cosine, 2 inner product); bits a number |
//! | 4 | dimension |
//! | 8 | seed of the rotation |
//! | 4 each | `f32` numbers of the centroid |

mod estimate;
mod rotation;
mod rounding;

#[cfg(test)]
pub(crate) mod tests;

pub use self::estimate::CodeQuery;
use self::rotation::Rotation;
use crate::kernel::{Form, Kernel};
use crate::{Error, Metric, Result};

/// Numbers of the longest row.
pub const DIMENSION_MAX: usize = 4096;

/// What stands before the numbers of a code.
const FACTORS_BYTES: usize = 12;

const MAGIC: [u8; 8] = *b"LSvcodes";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 24;

/// How many bits a number of the rotated row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CodeBits {
    /// Its sign.
    One,
    /// One of four values.
    Two,
    /// One of sixteen values.
    Four,
}

/// What a segment's codes have in common.
#[derive(Debug, Clone)]
pub struct Codebook {
    metric: Metric,
    bits: CodeBits,
    seed: u64,
    centroid: Vec<f32>,
    /// The centroid's inner product with itself.
    centroid_square: f32,
    rotation: Rotation,
    kernel: Kernel,
}

impl CodeBits {
    /// As few as give recall 0.99 with a short rerank: the spread of an estimate falls with the root
    /// of the dimension, and halves with each bit.
    pub fn for_dimension(dimension: usize) -> Self {
        match dimension {
            0..=64 => Self::Four,
            65..=320 => Self::Two,
            _ => Self::One,
        }
    }

    /// Their number.
    pub fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    fn from_count(count: u8) -> Option<Self> {
        [Self::One, Self::Two, Self::Four]
            .into_iter()
            .find(|bits| bits.count() == usize::from(count))
    }

    fn form(self) -> Form {
        match self {
            Self::One => Form::Planes,
            Self::Two => Form::Crumbs,
            Self::Four => Form::Nibbles,
        }
    }
}

impl Codebook {
    /// A codebook around a centroid, of as many numbers as the rows; see [`Codebook::of_rows`].
    pub fn new(metric: Metric, seed: u64, centroid: Vec<f32>) -> Result<Self> {
        let bits = CodeBits::for_dimension(centroid.len());
        Self::with_bits(metric, seed, centroid, bits)
    }

    /// A codebook around the mean of rows; of their directions, under [`Metric::Cosine`].
    pub fn of_rows<'a>(
        metric: Metric,
        seed: u64,
        dimension: usize,
        rows: impl Iterator<Item = &'a [f32]>,
    ) -> Result<Self> {
        let kernel = Kernel::widest();
        let mut sums = vec![0.0_f64; dimension.min(DIMENSION_MAX)];
        let mut count = 0_u64;
        for row in rows {
            let factor = direction_factor(kernel, metric, row);
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += f64::from(*value) * factor;
            }
            count += 1;
        }
        let mean = |sum: f64| (sum / count.max(1) as f64) as f32;
        // A mean of rows beyond what `f32` holds is none; any centroid is right, if less near.
        let finite = |value: f32| if value.is_finite() { value } else { 0.0 };
        let mut centroid: Vec<f32> = sums.into_iter().map(mean).map(finite).collect();
        centroid.resize(dimension, 0.0);
        Self::new(metric, seed, centroid)
    }

    /// A codebook with more or fewer bits than its dimension asks for.
    pub fn with_bits(
        metric: Metric,
        seed: u64,
        centroid: Vec<f32>,
        bits: CodeBits,
    ) -> Result<Self> {
        if !(1..=DIMENSION_MAX).contains(&centroid.len()) {
            let dimension = centroid.len();
            return Err(Error::Invalid(format!("dimension {dimension} is not 1 to 4096")));
        }
        if !centroid.iter().all(|value| value.is_finite()) {
            return Err(Error::Invalid("centroid with a number that is not finite".into()));
        }
        let kernel = Kernel::widest();
        let rotation = Rotation::new(centroid.len(), seed);
        let centroid_square = kernel.dot(&centroid, &centroid);
        Ok(Self { metric, bits, seed, centroid, centroid_square, rotation, kernel })
    }

    /// The measure.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Numbers of a row.
    pub fn dimension(&self) -> usize {
        self.centroid.len()
    }

    /// What codes are around.
    pub fn centroid(&self) -> &[f32] {
        &self.centroid
    }

    /// Bits a number.
    pub fn bits(&self) -> CodeBits {
        self.bits
    }

    /// Bytes of one row's code.
    pub fn code_bytes(&self) -> usize {
        FACTORS_BYTES + self.numbers_bytes()
    }

    fn numbers_bytes(&self) -> usize {
        self.rotation.padded() * self.bits.count() / 8
    }

    /// How many of the nearest by estimate to keep so that the `top` nearest are among them, even
    /// of rows that lie in tight clusters far apart; `scan::worth_comparing` says how few of those
    /// to compare exactly. Measured by `benches/codes.rs`.
    pub fn rerank_rows(&self, top: usize) -> usize {
        top.saturating_mul(5).saturating_add(150)
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + 4 * self.centroid.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.push(match self.metric {
            Metric::Euclidean => 0,
            Metric::Cosine => 1,
            Metric::InnerProduct => 2,
        });
        bytes.push(self.bits.count() as u8);
        bytes.extend_from_slice(&(self.centroid.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.seed.to_le_bytes());
        bytes.extend(self.centroid.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let corrupt = |what: &str| Error::Corrupt(format!("codebook {what}"));
        let (header, rest) =
            bytes.split_first_chunk::<HEADER_BYTES>().ok_or_else(|| corrupt("cut short"))?;
        let [m0, m1, m2, m3, m4, m5, m6, m7, v0, v1, metric, bits, d0, d1, d2, d3, seed @ ..] =
            *header;
        if [m0, m1, m2, m3, m4, m5, m6, m7] != MAGIC {
            return Err(corrupt("without its magic"));
        }
        if u16::from_le_bytes([v0, v1]) != VERSION {
            return Err(corrupt("of an unknown version"));
        }
        let metric = match metric {
            0 => Metric::Euclidean,
            1 => Metric::Cosine,
            2 => Metric::InnerProduct,
            _ => return Err(corrupt("of an unknown measure")),
        };
        let bits = CodeBits::from_count(bits).ok_or_else(|| corrupt("of an unknown width"))?;
        let dimension = u32::from_le_bytes([d0, d1, d2, d3]) as usize;
        if rest.len() != dimension.saturating_mul(4) {
            return Err(corrupt("of another length than its dimension"));
        }
        let numbers = rest.as_chunks().0.iter();
        let centroid = numbers.map(|number| f32::from_le_bytes(*number)).collect();
        Self::with_bits(metric, u64::from_le_bytes(seed), centroid, bits)
            .map_err(|error| corrupt(&format!("refused: {error}")))
    }
}

/// What a row is multiplied by before it is encoded: to length 1 under [`Metric::Cosine`], and to
/// nothing there if it has no direction.
fn direction_factor(kernel: Kernel, metric: Metric, row: &[f32]) -> f64 {
    if metric != Metric::Cosine {
        return 1.0;
    }
    let mut square = f64::from(kernel.dot(row, row));
    if !(1e-30..=1e30).contains(&square) {
        square = row.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    }
    if square > 0.0 && square.is_finite() { 1.0 / square.sqrt() } else { 0.0 }
}
