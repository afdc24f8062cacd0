//! Sixteen lanes of MD5 in AVX-512: it rotates and has any function of three inputs in one
//! instruction each.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_rol_epi32, _mm512_set1_epi32, _mm512_setzero_si512,
    _mm512_shuffle_i32x4, _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};
use std::hint::black_box;

use bytemuck::must_cast;

use super::lanes::{Block, SINES, State, sixty_four_steps};

/// Streams that are advanced at once.
pub(super) const LANES: usize = 16;

/// Advances each state over its run; the runs are of one length.
#[target_feature(enable = "avx512f")]
pub(super) fn compress(states: &mut [State; LANES], runs: &[&[Block]; LANES]) {
    let mut state = [_mm512_setzero_si512(); 4];
    for (word, vector) in state.iter_mut().enumerate() {
        *vector = must_cast(states.map(|state| state[word]));
    }
    // Known to the compiler, they would be added last of all, where the next step waits for them.
    let sines = black_box(&SINES);
    let blocks = runs.iter().map(|run| run.len()).min().unwrap_or(0);
    for block in 0..blocks {
        let mut rows = [_mm512_setzero_si512(); 16];
        for (row, run) in rows.iter_mut().zip(runs) {
            *row = must_cast(run[block]);
        }
        let words = transpose(rows);
        let before = state;
        sixty_four_steps!(vector, sines, state, words);
        for (vector, before) in state.iter_mut().zip(before) {
            *vector = _mm512_add_epi32(*vector, before);
        }
    }
    for (word, vector) in state.iter().enumerate() {
        let lanes: [u32; LANES] = must_cast(*vector);
        for (state, lane) in states.iter_mut().zip(lanes) {
            state[word] = lane;
        }
    }
}

/// Sixteen blocks of sixteen words become sixteen words of sixteen lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(rows: [__m512i; 16]) -> [__m512i; 16] {
    let zero = _mm512_setzero_si512();
    // Four rows at a time: within quarters[group][k], quarter q holds word 4q + k of the four rows.
    let mut quarters = [[zero; 4]; 4];
    for (quarter, row) in quarters.iter_mut().zip(rows.as_chunks::<4>().0) {
        let low = _mm512_unpacklo_epi32(row[0], row[1]);
        let high = _mm512_unpackhi_epi32(row[0], row[1]);
        let low_next = _mm512_unpacklo_epi32(row[2], row[3]);
        let high_next = _mm512_unpackhi_epi32(row[2], row[3]);
        *quarter = [
            _mm512_unpacklo_epi64(low, low_next),
            _mm512_unpackhi_epi64(low, low_next),
            _mm512_unpacklo_epi64(high, high_next),
            _mm512_unpackhi_epi64(high, high_next),
        ];
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
