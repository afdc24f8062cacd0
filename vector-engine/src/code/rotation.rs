//! A random rotation in `n log n`: signs by chance and Walsh-Hadamard transforms by turns.
//!
//! A transform takes a power of two. Other lengths are covered by two that overlap, by turns at the
//! front and at the back, each followed by a turn of the first half against the second.

use crate::kernel::Kernel;

/// Lengths are padded to this, so that a code is whole words.
const PADDING: usize = 64;
/// Rounds where one transform covers everything, and where two by turns do.
const ROUNDS_WHOLE: usize = 3;
const ROUNDS_PARTED: usize = 4;

/// The rotation of a seed.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    padded: usize,
    /// The greatest power of two within `padded`.
    span: usize,
    /// For each round, what each number is multiplied by: a sign by chance and the round's scale.
    factors: Vec<f32>,
}

impl Rotation {
    pub(super) fn new(dimension: usize, seed: u64) -> Self {
        let padded = dimension.max(1).next_multiple_of(PADDING);
        let span = 1 << padded.ilog2();
        let rounds = if span == padded { ROUNDS_WHOLE } else { ROUNDS_PARTED };
        let whole = (span as f32).sqrt().recip();
        let mut random = SplitMix(seed);
        let mut factors = Vec::with_capacity(rounds * padded);
        for round in 0..rounds {
            let turned = window(round, span, padded);
            for at in 0..padded {
                let transform = if turned.contains(&at) { whole } else { 1.0 };
                let halves = if span == padded { 1.0 } else { std::f32::consts::FRAC_1_SQRT_2 };
                let sign = if random.next().is_multiple_of(2) { 1.0 } else { -1.0 };
                factors.push(sign * transform * halves);
            }
        }
        Self { padded, span, factors }
    }

    /// Numbers of a rotated row.
    pub(super) fn padded(&self) -> usize {
        self.padded
    }

    /// Rotates in place; `values` are as many as `padded`.
    pub(super) fn apply(&self, kernel: Kernel, values: &mut [f32]) {
        for (round, factors) in self.factors.chunks_exact(self.padded).enumerate() {
            for (value, factor) in values.iter_mut().zip(factors) {
                *value *= factor;
            }
            let turned = values.get_mut(window(round, self.span, self.padded));
            kernel.hadamard(turned.unwrap_or_default());
            if self.span < self.padded {
                let (low, high) = values.split_at_mut(values.len() / 2);
                for (low, high) in low.iter_mut().zip(high) {
                    (*low, *high) = (*low + *high, *low - *high);
                }
            }
        }
    }
}

/// What a round transforms.
fn window(round: usize, span: usize, padded: usize) -> std::ops::Range<usize> {
    if round.is_multiple_of(2) { 0..span } else { padded - span..padded }
}

/// SplitMix64: the signs must be the same wherever a codebook is read.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}
