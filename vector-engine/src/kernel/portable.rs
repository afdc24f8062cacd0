//! What every processor can: arrays of lanes, which compilers make vectors of.

use super::{Codes, Form, PART_BYTES, PLANES, Part, part_at, same_length};

/// Sums that run at once, so that an addition does not wait for the one before.
const LANES: usize = 16;
/// What a bit of each plane stands for.
const PLANE_WEIGHTS: [i32; PLANES] = [1, 2, 4, 8, 16, -32];

/// See [`super::Kernel::dot`].
pub(super) fn dot(left: &[f32], right: &[f32]) -> f32 {
    sum_of(left, right, |left, right| left * right)
}

/// See [`super::Kernel::square_distance`].
pub(super) fn square_distance(left: &[f32], right: &[f32]) -> f32 {
    sum_of(left, right, |left, right| (left - right) * (left - right))
}

/// See [`super::Kernel::dot_and_square`].
pub(super) fn dot_and_square(query: &[f32], row: &[f32]) -> (f32, f32) {
    let (query, row) = same_length(query, row);
    (dot(query, row), dot(row, row))
}

#[inline(always)]
fn sum_of(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (left, right) = same_length(left, right);
    let ((left, left_rest), (right, right_rest)) =
        (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    let mut sums = [0.0_f32; LANES];
    for (left, right) in left.iter().zip(right) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += term(*left, *right);
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(left, right)| term(*left, *right)).sum();
    sums.iter().sum::<f32>() + rest
}

/// See [`super::Kernel::dot_i8`].
pub(super) fn dot_i8(
    left: &[[i8; PART_BYTES]],
    right: &[[i8; PART_BYTES]],
    _right_sum: i32,
) -> i32 {
    let mut sum = 0;
    for (left, right) in left.iter().zip(right) {
        for (left, right) in left.iter().zip(right) {
            sum += i32::from(*left) * i32::from(*right);
        }
    }
    sum
}

/// See [`super::Kernel::code_dots`].
#[inline(always)]
pub(super) fn code_dots(
    form: Form,
    parts: &[Part],
    codes: Codes<'_>,
    rows: &[u32],
    dots: &mut [i32],
) {
    for (row, dot) in rows.iter().zip(dots) {
        let code = codes.row(*row);
        *dot = match form {
            Form::Planes => plane_dot(parts, code),
            Form::Crumbs => field_dot::<4, 2>(parts, code),
            Form::Nibbles => field_dot::<2, 4>(parts, code),
        };
    }
}

#[inline(always)]
fn plane_dot(parts: &[Part], code: &[u8]) -> i32 {
    let mut sum = 0;
    for (index, planes) in parts.as_chunks::<PLANES>().0.iter().enumerate() {
        let part = part_at(code, index * PART_BYTES);
        for (plane, weight) in planes.iter().zip(PLANE_WEIGHTS) {
            sum += weight * common_bits(&part, plane);
        }
    }
    sum
}

#[inline(always)]
fn common_bits(left: &Part, right: &Part) -> i32 {
    let (left, right) = (left.as_chunks().0, right.as_chunks().0);
    let words = left.iter().zip(right);
    words
        .map(|(left, right)| (u64::from_le_bytes(*left) & u64::from_le_bytes(*right)).count_ones())
        .sum::<u32>()
        .cast_signed()
}

#[inline(always)]
fn field_dot<const FIELDS: usize, const BITS: usize>(parts: &[Part], code: &[u8]) -> i32 {
    let mut sum = 0;
    for (index, fields) in parts.as_chunks::<FIELDS>().0.iter().enumerate() {
        let part = part_at(code, index * PART_BYTES);
        for (field, numbers) in fields.iter().enumerate() {
            for (byte, number) in part.iter().zip(numbers) {
                let value = (byte >> (field * BITS)) & ((1 << BITS) - 1);
                sum += i32::from(value) * i32::from(number.cast_signed());
            }
        }
    }
    sum
}

/// See [`super::Kernel::hadamard`].
#[inline(always)]
pub(super) fn hadamard(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (low, high) in low.iter_mut().zip(high) {
                (*low, *high) = (*low + *high, *low - *high);
            }
        }
        half *= 2;
    }
}
