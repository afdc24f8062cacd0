//! Sixteen lanes of MD5 in AVX-512: it rotates and has any function of three inputs in one
//! instruction each.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_rol_epi32, _mm512_set1_epi32, _mm512_setzero_si512,
    _mm512_shuffle_i32x4, _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use bytemuck::must_cast;

use super::lanes::{Block, compress, transpose_fours};

/// Streams that are advanced at once.
pub(super) const LANES: usize = 16;

compress!("avx512f", __m512i);

/// Each word of a block of every run.
#[inline]
#[target_feature(enable = "avx512f")]
fn words_of(runs: &[&[Block]; LANES], block: usize) -> [__m512i; 16] {
    let mut rows = [_mm512_setzero_si512(); 16];
    for (row, run) in rows.iter_mut().zip(runs) {
        *row = must_cast(run[block]);
    }
    transpose(rows)
}

/// Sixteen blocks of sixteen words become sixteen words of sixteen lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(rows: [__m512i; 16]) -> [__m512i; 16] {
    let zero = _mm512_setzero_si512();
    // Four rows at a time: within quarters[group][k], quarter q holds word 4q + k of the four rows.
    let mut quarters = [[zero; 4]; 4];
    for (quarter, row) in quarters.iter_mut().zip(rows.as_chunks::<4>().0) {
        *quarter = transpose_fours!(
            row,
            [_mm512_unpacklo_epi32 _mm512_unpackhi_epi32],
            [_mm512_unpacklo_epi64 _mm512_unpackhi_epi64]
        );
    }
    let mut words = [zero; 16];
    for k in 0..4 {
        let [first, second, third, fourth] =
            [quarters[0][k], quarters[1][k], quarters[2][k], quarters[3][k]];
        let low = _mm512_shuffle_i32x4::<0x44>(first, second);
        let low_next = _mm512_shuffle_i32x4::<0x44>(third, fourth);
        let high = _mm512_shuffle_i32x4::<0xEE>(first, second);
        let high_next = _mm512_shuffle_i32x4::<0xEE>(third, fourth);
        words[k] = _mm512_shuffle_i32x4::<0x88>(low, low_next);
        words[4 + k] = _mm512_shuffle_i32x4::<0xDD>(low, low_next);
        words[8 + k] = _mm512_shuffle_i32x4::<0x88>(high, high_next);
        words[12 + k] = _mm512_shuffle_i32x4::<0xDD>(high, high_next);
    }
    words
}

/// The operations of a step; the functions are those of RFC 1321, given as truth tables.
mod vector {
    use super::{
        __m512i, _mm512_add_epi32, _mm512_rol_epi32, _mm512_set1_epi32, _mm512_ternarylogic_epi32,
    };

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn splat(word: u32) -> __m512i {
        _mm512_set1_epi32(word.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn add(x: __m512i, y: __m512i) -> __m512i {
        _mm512_add_epi32(x, y)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn rotate<const LEFT: i32>(x: __m512i) -> __m512i {
        _mm512_rol_epi32::<LEFT>(x)
    }

    /// `x` chooses between `y` and `z`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn f(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<0xCA>(x, y, z)
    }

    /// `z` chooses between `x` and `y`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn g(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<0xE4>(x, y, z)
    }

    /// `x ^ y ^ z`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn h(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<0x96>(x, y, z)
    }

    /// `y ^ (x | !z)`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn i(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<0x39>(x, y, z)
    }
}
