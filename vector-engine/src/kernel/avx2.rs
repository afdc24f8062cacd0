//! AVX2 with FMA: eight floats or thirty-two bytes at once.

use std::arch::x86_64::{
    __m128i, __m256, __m256i, _mm256_add_epi32, _mm256_add_ps, _mm256_and_si256,
    _mm256_cvtepi8_epi16, _mm256_fmadd_ps, _mm256_madd_epi16, _mm256_maddubs_epi16,
    _mm256_set1_epi8, _mm256_set1_epi16, _mm256_setzero_ps, _mm256_setzero_si256,
    _mm256_srli_epi16, _mm256_sub_ps,
};

use bytemuck::must_cast;

use super::{Codes, Form, PART_BYTES, Part, padded, part_at, portable, same_length};

const LANES: usize = 8;
/// Sums that run at once: a fused multiply-add takes four steps, and two start at once.
const SUMS: usize = 8;

/// See [`super::Kernel::dot`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn dot(left: &[f32], right: &[f32]) -> f32 {
    sum_of(left, right, |left, right, sum| _mm256_fmadd_ps(left, right, sum))
}

/// See [`super::Kernel::square_distance`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn square_distance(left: &[f32], right: &[f32]) -> f32 {
    sum_of(left, right, |left, right, sum| {
        let difference = _mm256_sub_ps(left, right);
        _mm256_fmadd_ps(difference, difference, sum)
    })
}

/// See [`super::Kernel::dot_and_square`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn dot_and_square(query: &[f32], row: &[f32]) -> (f32, f32) {
    let (query, row) = same_length(query, row);
    (dot(query, row), dot(row, row))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn sum_of(left: &[f32], right: &[f32], add: impl Fn(__m256, __m256, __m256) -> __m256) -> f32 {
    let (left, right) = same_length(left, right);
    let ((left, left_rest), (right, right_rest)) =
        (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    let mut sums = [_mm256_setzero_ps(); SUMS];
    let ((left, left_last), (right, right_last)) =
        (left.as_chunks::<SUMS>(), right.as_chunks::<SUMS>());
    for (left, right) in left.iter().zip(right) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum = add(must_cast(*left), must_cast(*right), *sum);
        }
    }
    for ((sum, left), right) in sums.iter_mut().zip(left_last).zip(right_last) {
        *sum = add(must_cast(*left), must_cast(*right), *sum);
    }
    let rest: [__m256; 2] =
        [must_cast(padded::<_, LANES>(left_rest)), must_cast(padded::<_, LANES>(right_rest))];
    sums[0] = add(rest[0], rest[1], sums[0]);
    let fours: [__m256; 4] = std::array::from_fn(|i| _mm256_add_ps(sums[i], sums[i + 4]));
    let twos = [_mm256_add_ps(fours[0], fours[2]), _mm256_add_ps(fours[1], fours[3])];
    let lanes: [f32; LANES] = must_cast(_mm256_add_ps(twos[0], twos[1]));
    lanes.iter().sum()
}

/// See [`super::Kernel::dot_i8`].
#[target_feature(enable = "avx2")]
pub(super) fn dot_i8(
    left: &[[i8; PART_BYTES]],
    right: &[[i8; PART_BYTES]],
    _right_sum: i32,
) -> i32 {
    let mut sums = [_mm256_setzero_si256(); 4];
    for (left, right) in left.iter().zip(right) {
        let (left, right): ([__m128i; 4], [__m128i; 4]) = (must_cast(*left), must_cast(*right));
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            let products =
                _mm256_madd_epi16(_mm256_cvtepi8_epi16(left), _mm256_cvtepi8_epi16(right));
            *sum = _mm256_add_epi32(*sum, products);
        }
    }
    total(_mm256_add_epi32(_mm256_add_epi32(sums[0], sums[1]), _mm256_add_epi32(sums[2], sums[3])))
}

#[inline]
#[target_feature(enable = "avx2")]
fn total(sum: __m256i) -> i32 {
    let lanes: [i32; LANES] = must_cast(sum);
    lanes.iter().sum()
}

/// See [`super::Kernel::code_dots`].
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn code_dots(
    form: Form,
    parts: &[Part],
    codes: Codes<'_>,
    rows: &[u32],
    dots: &mut [i32],
) {
    match form {
        // The portable way counts bits of words: with POPCNT that is the short way, too.
        Form::Planes => portable::code_dots(form, parts, codes, rows, dots),
        Form::Crumbs => field_dots::<4, 2>(parts, codes, rows, dots),
        Form::Nibbles => field_dots::<2, 4>(parts, codes, rows, dots),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn field_dots<const FIELDS: usize, const BITS: i32>(
    parts: &[Part],
    codes: Codes<'_>,
    rows: &[u32],
    dots: &mut [i32],
) {
    let mask = _mm256_set1_epi8((1 << BITS) - 1);
    let ones = _mm256_set1_epi16(1);
    for (row, dot) in rows.iter().zip(dots) {
        let code = codes.row(*row);
        let mut sum = _mm256_setzero_si256();
        for (index, fields) in parts.as_chunks::<FIELDS>().0.iter().enumerate() {
            let mut halves: [__m256i; 2] = must_cast(part_at(code, index * PART_BYTES));
            for numbers in fields {
                let numbers: [__m256i; 2] = must_cast(*numbers);
                for (half, numbers) in halves.iter_mut().zip(numbers) {
                    // At most 2 * 15 * 128: no sum of two is cut.
                    let pairs = _mm256_maddubs_epi16(_mm256_and_si256(*half, mask), numbers);
                    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
                    *half = _mm256_srli_epi16::<BITS>(*half);
                }
            }
        }
        *dot = total(sum);
    }
}

/// See [`super::Kernel::hadamard`].
#[target_feature(enable = "avx2")]
pub(super) fn hadamard(values: &mut [f32]) {
    portable::hadamard(values);
}
