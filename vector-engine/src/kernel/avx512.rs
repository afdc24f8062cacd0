//! AVX-512 with VNNI and VPOPCNTDQ: sixteen floats or sixty-four bytes at once.

use std::arch::x86_64::{
    __m512, __m512i, _mm512_add_epi32, _mm512_add_epi64, _mm512_add_ps, _mm512_and_si512,
    _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_popcnt_epi64, _mm512_reduce_add_epi32,
    _mm512_reduce_add_epi64, _mm512_reduce_add_ps, _mm512_set1_epi8, _mm512_setzero_ps,
    _mm512_setzero_si512, _mm512_slli_epi64, _mm512_srli_epi16, _mm512_sub_epi64, _mm512_sub_ps,
    _mm512_xor_si512,
};

use bytemuck::must_cast;

use super::{Codes, Form, PART_BYTES, PLANES, Part, padded, part_at, portable, same_length};

const LANES: usize = 16;
/// Sums that run at once.
const SUMS: usize = 4;

/// See [`super::Kernel::dot`].
#[target_feature(enable = "avx512f")]
pub(super) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let [sum] = sums_of(left, right, |left, right, [sum]| [_mm512_fmadd_ps(left, right, sum)]);
    sum
}

/// See [`super::Kernel::square_distance`].
#[target_feature(enable = "avx512f")]
pub(super) fn square_distance(left: &[f32], right: &[f32]) -> f32 {
    let [sum] = sums_of(left, right, |left, right, [sum]| {
        let difference = _mm512_sub_ps(left, right);
        [_mm512_fmadd_ps(difference, difference, sum)]
    });
    sum
}

/// See [`super::Kernel::dot_and_square`].
#[target_feature(enable = "avx512f")]
pub(super) fn dot_and_square(query: &[f32], row: &[f32]) -> (f32, f32) {
    let [dot, square] = sums_of(query, row, |query, row, [dot, square]| {
        [_mm512_fmadd_ps(query, row, dot), _mm512_fmadd_ps(row, row, square)]
    });
    (dot, square)
}

/// `KINDS` sums over both rows. The order of additions does not depend on the kind.
#[inline]
#[target_feature(enable = "avx512f")]
fn sums_of<const KINDS: usize>(
    left: &[f32],
    right: &[f32],
    add: impl Fn(__m512, __m512, [__m512; KINDS]) -> [__m512; KINDS],
) -> [f32; KINDS] {
    let (left, right) = same_length(left, right);
    let ((left, left_rest), (right, right_rest)) =
        (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    let mut sums = [[_mm512_setzero_ps(); KINDS]; SUMS];
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
    if !left_rest.is_empty() {
        let rest: [__m512; 2] =
            [must_cast(padded::<_, LANES>(left_rest)), must_cast(padded::<_, LANES>(right_rest))];
        sums[SUMS - 1] = add(rest[0], rest[1], sums[SUMS - 1]);
    }
    let mut totals = [0.0; KINDS];
    for (kind, total) in totals.iter_mut().enumerate() {
        let low = _mm512_add_ps(sums[0][kind], sums[1][kind]);
        let high = _mm512_add_ps(sums[2][kind], sums[3][kind]);
        *total = _mm512_reduce_add_ps(_mm512_add_ps(low, high));
    }
    totals
}

/// See [`super::Kernel::dot_i8`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn dot_i8(left: &[[i8; PART_BYTES]], right: &[[i8; PART_BYTES]], right_sum: i32) -> i32 {
    // The instruction takes one side without signs: 128 is added to it, and its part taken off.
    let sign = _mm512_set1_epi8(i8::MIN);
    let mut sums = [_mm512_setzero_si512(); 2];
    for (index, (left, right)) in left.iter().zip(right).enumerate() {
        let sum = &mut sums[index % 2];
        let raised = _mm512_xor_si512(must_cast(*left), sign);
        *sum = _mm512_dpbusd_epi32(*sum, raised, must_cast(*right));
    }
    _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1])) - 128 * right_sum
}

/// See [`super::Kernel::code_dots`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vpopcntdq")]
pub(super) fn code_dots(
    form: Form,
    parts: &[Part],
    codes: Codes<'_>,
    rows: &[u32],
    dots: &mut [i32],
) {
    match form {
        Form::Planes => plane_dots(parts, codes, rows, dots),
        Form::Crumbs => field_dots::<4, 2>(parts, codes, rows, dots),
        Form::Nibbles => field_dots::<2, 4>(parts, codes, rows, dots),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn plane_dots(parts: &[Part], codes: Codes<'_>, rows: &[u32], dots: &mut [i32]) {
    let parts = parts.as_chunks::<PLANES>().0;
    for (row, dot) in rows.iter().zip(dots) {
        let code = codes.row(*row);
        let mut sums = [_mm512_setzero_si512(); PLANES];
        for (index, planes) in parts.iter().enumerate() {
            let part: __m512i = must_cast(part_at(code, index * PART_BYTES));
            for (sum, plane) in sums.iter_mut().zip(planes) {
                let common = _mm512_and_si512(part, must_cast(*plane));
                *sum = _mm512_add_epi64(*sum, _mm512_popcnt_epi64(common));
            }
        }
        // Two's complement: 1, 2, 4, 8, 16 and -32.
        let [ones, twos, fours, eights, sixteens, minus] = sums;
        let low = _mm512_add_epi64(ones, _mm512_slli_epi64::<1>(twos));
        let middle = _mm512_add_epi64(fours, _mm512_slli_epi64::<1>(eights));
        let high = _mm512_sub_epi64(sixteens, _mm512_slli_epi64::<1>(minus));
        let upper = _mm512_add_epi64(middle, _mm512_slli_epi64::<2>(high));
        let sum = _mm512_add_epi64(low, _mm512_slli_epi64::<2>(upper));
        *dot = _mm512_reduce_add_epi64(sum) as i32;
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn field_dots<const FIELDS: usize, const BITS: u32>(
    parts: &[Part],
    codes: Codes<'_>,
    rows: &[u32],
    dots: &mut [i32],
) {
    let mask = _mm512_set1_epi8((1 << BITS) - 1);
    let parts = parts.as_chunks::<FIELDS>().0;
    for (row, dot) in rows.iter().zip(dots) {
        let code = codes.row(*row);
        let mut sum = _mm512_setzero_si512();
        for (index, fields) in parts.iter().enumerate() {
            let mut part: __m512i = must_cast(part_at(code, index * PART_BYTES));
            for numbers in fields {
                let field = _mm512_and_si512(part, mask);
                sum = _mm512_dpbusd_epi32(sum, field, must_cast(*numbers));
                part = _mm512_srli_epi16::<BITS>(part);
            }
        }
        *dot = _mm512_reduce_add_epi32(sum);
    }
}

/// See [`super::Kernel::hadamard`].
#[target_feature(enable = "avx512f")]
pub(super) fn hadamard(values: &mut [f32]) {
    portable::hadamard(values);
}
