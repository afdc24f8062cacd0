//! Eight lanes of MD5 in AVX2.

use std::arch::x86_64::{
    __m256i, _mm_cvtsi32_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_andnot_si256,
    _mm256_or_si256, _mm256_permute2x128_si256, _mm256_set1_epi32, _mm256_setzero_si256,
    _mm256_sll_epi32, _mm256_srl_epi32, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64,
    _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use bytemuck::must_cast;

use super::lanes::{Block, compress, transpose_fours};

/// Streams that are advanced at once.
pub(super) const LANES: usize = 8;

compress!("avx2", __m256i);

/// Each word of a block of every run.
#[inline]
#[target_feature(enable = "avx2")]
fn words_of(runs: &[&[Block]; LANES], block: usize) -> [__m256i; 16] {
    let mut low = [_mm256_setzero_si256(); 8];
    let mut high = low;
    for (lane, run) in runs.iter().enumerate() {
        [low[lane], high[lane]] = must_cast(run[block]);
    }
    must_cast([transpose(low), transpose(high)])
}

/// Eight half blocks of eight words become eight words of eight lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(rows: [__m256i; 8]) -> [__m256i; 8] {
    let zero = _mm256_setzero_si256();
    // Four rows at a time: within halves[group][k], half h holds word 4h + k of the four rows.
    let mut halves = [[zero; 4]; 2];
    for (half, row) in halves.iter_mut().zip(rows.as_chunks::<4>().0) {
        *half = transpose_fours!(
            row,
            [_mm256_unpacklo_epi32 _mm256_unpackhi_epi32],
            [_mm256_unpacklo_epi64 _mm256_unpackhi_epi64]
        );
    }
    let mut words = [zero; 8];
    for k in 0..4 {
        words[k] = _mm256_permute2x128_si256::<0x20>(halves[0][k], halves[1][k]);
        words[4 + k] = _mm256_permute2x128_si256::<0x31>(halves[0][k], halves[1][k]);
    }
    words
}

/// The operations of a step; the functions are those of RFC 1321.
mod vector {
    use super::{
        __m256i, _mm_cvtsi32_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_andnot_si256,
        _mm256_or_si256, _mm256_set1_epi32, _mm256_sll_epi32, _mm256_srl_epi32, _mm256_xor_si256,
    };

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn splat(word: u32) -> __m256i {
        _mm256_set1_epi32(word.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn add(x: __m256i, y: __m256i) -> __m256i {
        _mm256_add_epi32(x, y)
    }

    /// The counts are constants: the compiler makes shifts by an immediate of them.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn rotate<const LEFT: i32>(x: __m256i) -> __m256i {
        _mm256_or_si256(
            _mm256_sll_epi32(x, _mm_cvtsi32_si128(LEFT)),
            _mm256_srl_epi32(x, _mm_cvtsi32_si128(32 - LEFT)),
        )
    }

    /// `x` chooses between `y` and `z`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn f(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
        _mm256_xor_si256(_mm256_and_si256(_mm256_xor_si256(y, z), x), z)
    }

    /// `z` chooses between `x` and `y`: both sides are disjoint, and `y & !z` does not wait for `x`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn g(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
        _mm256_or_si256(_mm256_and_si256(x, z), _mm256_andnot_si256(z, y))
    }

    /// `x ^ y ^ z`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn h(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
        _mm256_xor_si256(_mm256_xor_si256(z, y), x)
    }

    /// `y ^ (x | !z)`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn i(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
        let not_z = _mm256_xor_si256(z, splat(u32::MAX));
        _mm256_xor_si256(y, _mm256_or_si256(x, not_z))
    }
}
