//! Rounding a rotated row to few bits a number, and how the numbers lie in a code.
//!
//! With `b` bits a number is one of `2^b` odd integers around zero, `2u + 1 - 2^b` for the stored
//! `u`. Only their direction counts, so the step between them is the row's to choose.

use super::CodeBits;

/// Steps that are tried, over that which is best for numbers spread like the normal distribution.
const STEPS: [f32; 14] =
    [0.55, 0.65, 0.72, 0.79, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.17, 1.25, 1.35, 1.5];

/// A row in odd integers.
#[derive(Debug)]
pub(super) struct Rounded {
    /// For each number, the `u` it is stored as.
    pub(super) levels: Vec<u8>,
    /// The inner product of the row and its integers.
    pub(super) product: f32,
    /// The inner product of the integers with themselves.
    pub(super) square: f32,
}

/// The integers whose direction is nearest to that of `values`.
pub(super) fn round(bits: CodeBits, values: &[f32]) -> Rounded {
    let normal_step = match bits {
        CodeBits::One => return round_by(bits, values, 0.0),
        CodeBits::Two => 0.996,
        CodeBits::Four => 0.335,
    };
    let square: f32 = values.iter().map(|value| value * value).sum();
    let step = normal_step * (square / values.len() as f32).sqrt();
    if !(step > 0.0 && step.is_finite()) {
        return round_by(bits, values, 0.0);
    }
    let greatest = (1 << (bits.count() - 1)) as f32 - 1.0;
    let nearness = |step: f32| {
        let inverse = step.recip();
        let (mut product, mut square) = (0.0_f32, 0.0_f32);
        for value in values {
            let integer = 2.0 * size_of_step(value.abs() * inverse, greatest) + 1.0;
            product += value.abs() * integer;
            square += integer * integer;
        }
        product / square.sqrt()
    };
    let tried = STEPS.map(|factor| (nearness(factor * step), factor * step));
    let best = tried.into_iter().max_by(|left, right| left.0.total_cmp(&right.0));
    round_by(bits, values, best.map_or(step, |(_, step)| step).recip())
}

fn round_by(bits: CodeBits, values: &[f32], inverse: f32) -> Rounded {
    let half = 1_u8 << (bits.count() - 1);
    let greatest = f32::from(half - 1);
    let (mut product, mut square) = (0.0_f32, 0.0_f32);
    let levels = values.iter().map(|value| {
        let size = size_of_step(value.abs() * inverse, greatest);
        let integer = 2.0 * size + 1.0;
        product += value.abs() * integer;
        square += integer * integer;
        let size = size as u8;
        if value.is_sign_negative() { half - 1 - size.min(half - 1) } else { half + size }
    });
    let levels = levels.collect();
    Rounded { levels, product, square }
}

/// Whole steps, at most `greatest`; by way of an integer, which every processor has for vectors.
#[inline(always)]
fn size_of_step(steps: f32, greatest: f32) -> f32 {
    steps.min(greatest) as i32 as f32
}

/// Writes the levels as a code's numbers: number `f * n + j` is field `f` of byte `j` of `n`; with
/// one bit, number `i` is bit `i % 8` of byte `i / 8`.
pub(super) fn pack(bits: CodeBits, levels: &[u8], numbers: &mut [u8]) {
    match bits {
        CodeBits::One => {
            for (byte, levels) in numbers.iter_mut().zip(levels.chunks(8)) {
                *byte = levels.iter().rev().fold(0, |byte, level| (byte << 1) | (level & 1));
            }
        }
        CodeBits::Two | CodeBits::Four => {
            numbers.fill(0);
            for (field, levels) in levels.chunks(numbers.len().max(1)).enumerate() {
                for (byte, level) in numbers.iter_mut().zip(levels) {
                    *byte |= level << (field * bits.count());
                }
            }
        }
    }
}
