//! From a row to its code, and from a query and a code to a distance.
//!
//! With the centroid `c`, each measure is a part of the row, a part of the query, and a multiple of
//! `(row - c)(query - c)`, which is what the code estimates:
//!
//! - Euclidean: `|row - c|^2 + |query - c|^2 - 2 (row - c)(query - c)`
//! - cosine, of rows of length 1: `(1 - row c) + (c c - c query) - (row - c)(query - c)`
//! - inner product: `-row c + (c c - c query) - (row - c)(query - c)`

use super::{CodeBits, Codebook, FACTORS_BYTES, direction_factor, rounding};
use crate::Metric;
use crate::kernel::{Codes, PART_BYTES, PLANES, Part};

/// Spreads by which an estimate is taken to be off at most. With four of them one neighbour of 10,000 was
/// missed under a filter (docs/performance.md), with five none; to be sure costs little.
pub(super) const SPREADS: f32 = 6.0;

/// The part of a query's square that is at least taken to be across a row's direction: an estimate
/// is not sharp enough to tell less.
const ACROSS_MIN: f32 = 0.05;

/// Rows that are estimated together, so that the processor is chosen for once for all of them.
const ROWS_AT_ONCE: usize = 64;

/// A query made ready to be compared with codes; made once, compared with many.
#[derive(Debug, Clone)]
pub struct CodeQuery {
    /// Its rounded numbers, as the form of the codes wants them.
    parts: Vec<Part>,
    /// The product of query and integers is `gain * dot - shift`.
    gain: f32,
    shift: f32,
    /// The query's part of the distance.
    base: f32,
    /// The square of its distance from the centroid.
    square: f32,
    /// Its distance from the centroid, widened by what rounding adds to the spread.
    reach: f32,
}

/// What a code stores of its row beside the numbers.
#[derive(Debug, Clone, Copy)]
struct Factors {
    base: f32,
    scale: f32,
    spread: f32,
}

impl Factors {
    #[inline(always)]
    fn read(code: &[u8]) -> Option<Self> {
        let [b0, b1, b2, b3, s0, s1, s2, s3, e0, e1, e2, e3] = *code.first_chunk()?;
        Some(Self {
            base: f32::from_le_bytes([b0, b1, b2, b3]),
            scale: f32::from_le_bytes([s0, s1, s2, s3]),
            spread: f32::from_le_bytes([e0, e1, e2, e3]),
        })
    }

    fn write(self) -> [u8; FACTORS_BYTES] {
        let mut bytes = [0; FACTORS_BYTES];
        for (to, factor) in
            bytes.as_chunks_mut().0.iter_mut().zip([self.base, self.scale, self.spread])
        {
            *to = factor.to_le_bytes();
        }
        bytes
    }

    #[inline(always)]
    fn estimate(self, query: &CodeQuery, dot: i32) -> f32 {
        self.base + query.base - self.scale * (query.gain * dot as f32 - query.shift)
    }
}

impl CodeQuery {
    /// The estimate for a row of which the product is known; infinite when its code is not there.
    #[inline(always)]
    pub(crate) fn estimate(&self, code: &[u8], dot: i32) -> f32 {
        Factors::read(code).map_or(f32::INFINITY, |factors| factors.estimate(self, dot))
    }
}

impl Codebook {
    /// Writes a row's code; `out` is [`Codebook::code_bytes`] long, and nothing is written beyond it.
    /// Numbers that `row` lacks count as zeros.
    pub fn encode_row(&self, row: &[f32], out: &mut [u8]) {
        debug_assert_eq!(out.len(), self.code_bytes(), "a code's bytes");
        let factor = direction_factor(self.kernel, self.metric, row);
        let (mut turned, with_centroid) = self.around_centroid(row, factor);
        self.rotation.apply(self.kernel, &mut turned);
        let square = self.kernel.dot(&turned, &turned);
        let rounded = rounding::round(self.bits, &turned);

        let (base, multiple) = match self.metric {
            Metric::Euclidean => (square, 2.0),
            Metric::Cosine => (1.0 - with_centroid, 1.0),
            Metric::InnerProduct => (-with_centroid, 1.0),
        };
        let mut factors = Factors { base, scale: 0.0, spread: 0.0 };
        let scale = square / rounded.product;
        if scale.is_finite() {
            // The cosine between the row and its integers; 1 but for rounding is 1.
            let cosine = (rounded.product / (rounded.square * square).sqrt()).min(1.0);
            let spread = (square * (1.0 - cosine * cosine)).sqrt()
                / (cosine * (turned.len() as f32 - 1.0).sqrt());
            factors.scale = multiple * scale;
            factors.spread = if spread.is_finite() { multiple * spread } else { 0.0 };
        }
        if let Some((head, numbers)) = out.split_first_chunk_mut() {
            *head = factors.write();
            rounding::pack(self.bits, &rounded.levels, numbers);
        }
    }

    /// Makes a query ready.
    pub fn prepare(&self, query: &[f32]) -> CodeQuery {
        let factor = direction_factor(self.kernel, self.metric, query);
        let (mut turned, with_centroid) = self.around_centroid(query, factor);
        self.rotation.apply(self.kernel, &mut turned);
        let square = self.kernel.dot(&turned, &turned);
        let base = match self.metric {
            Metric::Euclidean => square,
            Metric::Cosine | Metric::InnerProduct => self.centroid_square - with_centroid,
        };

        let number_max = match self.bits {
            CodeBits::One => (1 << (PLANES - 1)) - 1,
            CodeBits::Two | CodeBits::Four => i8::MAX,
        };
        let greatest = turned.iter().fold(0.0_f32, |greatest, value| greatest.max(value.abs()));
        let step = greatest / f32::from(number_max);
        let inverse = if step.recip().is_finite() { step.recip() } else { 0.0 };
        let numbers: Vec<i8> = turned.iter().map(|value| (value * inverse).round() as i8).collect();
        let sum: i32 = numbers.iter().map(|number| i32::from(*number)).sum();
        let level_max = (1 << self.bits.count()) - 1;

        // What rounding to this many bits leaves out of a normal distribution's square.
        let left_out = match self.bits {
            CodeBits::One => 0.363,
            CodeBits::Two => 0.119,
            CodeBits::Four => 0.0115,
        };
        let rounding = step * step / 12.0 * turned.len() as f32;
        CodeQuery {
            parts: parts(self.bits, &numbers, self.numbers_bytes()),
            gain: 2.0 * step,
            shift: step * (level_max * sum) as f32,
            base,
            square,
            reach: (square + rounding / left_out).sqrt(),
        }
    }

    /// The distance that searches order by, estimated; infinite when the code is cut short.
    pub fn estimate(&self, query: &CodeQuery, code: &[u8]) -> f32 {
        let mut dots = [0];
        self.dots(query, code, &[0], &mut dots);
        let [dot] = dots;
        query.estimate(code, dot)
    }

    /// [`Codebook::estimate`] of rows by index, in their order; `codes` are all rows' codes, and
    /// `estimates` is cleared first. Many at once are several times cheaper than one by one.
    pub fn estimate_rows(
        &self,
        query: &CodeQuery,
        codes: &[u8],
        rows: &[u32],
        estimates: &mut Vec<f32>,
    ) {
        estimates.clear();
        let mut dots = [0; ROWS_AT_ONCE];
        for rows in rows.chunks(ROWS_AT_ONCE) {
            self.fetch(codes, rows);
            self.dots(query, codes, rows, &mut dots);
            let one = |(row, dot): (&u32, i32)| query.estimate(self.code(codes, *row), dot);
            estimates.extend(rows.iter().zip(dots).map(one));
        }
    }

    /// The codes from a row's on; none when it is not there.
    #[inline]
    pub(crate) fn code<'a>(&self, codes: &'a [u8], row: u32) -> &'a [u8] {
        let start = (row as usize).saturating_mul(self.code_bytes());
        codes.get(start..).unwrap_or_default()
    }

    /// The spread of an estimate: of what the query has across the row's direction, as far as the
    /// estimate says what that is. It is all of the query under [`Metric::InnerProduct`], where a
    /// code does not tell the row's length.
    pub(crate) fn spread(&self, query: &CodeQuery, code: &[u8], estimate: f32) -> f32 {
        let Some(factors) = Factors::read(code) else { return 0.0 };
        let product = factors.base + query.base - estimate;
        let along = match self.metric {
            Metric::Euclidean => 0.25 * product * product / factors.base,
            Metric::Cosine => product * product / (2.0 * factors.base - 1.0 + self.centroid_square),
            Metric::InnerProduct => 0.0,
        };
        let across = (1.0 - along / query.square).max(ACROSS_MIN);
        factors.spread * query.reach * across.sqrt()
    }

    /// What the distance is at least, by its estimate: what is behind need not be compared.
    pub fn lower_bound(&self, query: &CodeQuery, code: &[u8], estimate: f32) -> f32 {
        let spread = Factors::read(code).map_or(0.0, |factors| factors.spread * query.reach);
        estimate - SPREADS * spread
    }

    /// The products of a query and rows of `codes`, as many as `dots` holds.
    pub(crate) fn dots(&self, query: &CodeQuery, codes: &[u8], rows: &[u32], dots: &mut [i32]) {
        self.kernel.code_dots(self.bits.form(), &query.parts, self.codes(codes), rows, dots);
    }

    /// See [`Codes::fetch`].
    pub(crate) fn fetch(&self, codes: &[u8], rows: &[u32]) {
        self.codes(codes).fetch(rows);
    }

    fn codes<'a>(&self, bytes: &'a [u8]) -> Codes<'a> {
        Codes { bytes, stride: self.code_bytes(), offset: FACTORS_BYTES }
    }

    /// `row * factor - centroid`, padded, and the product of `row * factor` with the centroid.
    fn around_centroid(&self, row: &[f32], factor: f64) -> (Vec<f32>, f32) {
        let mut around = vec![0.0; self.rotation.padded()];
        let with_centroid = (f64::from(self.kernel.dot(row, &self.centroid)) * factor) as f32;
        let row = row.iter().copied().chain(std::iter::repeat(0.0));
        for ((to, value), centroid) in around.iter_mut().zip(row).zip(&self.centroid) {
            *to = (f64::from(value) * factor) as f32 - centroid;
        }
        (around, with_centroid)
    }
}

/// The query's numbers for each [`PART_BYTES`] of a code, see [`crate::kernel::Form`].
fn parts(bits: CodeBits, numbers: &[i8], numbers_bytes: usize) -> Vec<Part> {
    let form = bits.form();
    let mut parts = vec![[0; PART_BYTES]; numbers_bytes.div_ceil(PART_BYTES) * form.parts()];
    let mut set = |byte: usize, part: usize, value: u8| {
        let part = parts.get_mut(byte / PART_BYTES * form.parts() + part);
        if let Some(to) = part.and_then(|part| part.get_mut(byte % PART_BYTES)) {
            *to |= value;
        }
    };
    for (at, number) in numbers.iter().enumerate() {
        match bits {
            CodeBits::One => {
                for plane in 0..PLANES {
                    set(at / 8, plane, ((number >> plane) as u8 & 1) << (at % 8));
                }
            }
            CodeBits::Two | CodeBits::Four => {
                set(at % numbers_bytes, at / numbers_bytes, number.cast_unsigned());
            }
        }
    }
    parts
}
