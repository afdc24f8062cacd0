//! The compression of MD5 over several streams at once, one in each lane of a vector register.
//!
//! - Lanes are independent: each gives what MD5 of its stream alone gives.
//! - A step of MD5 waits for the one before it, so a register of lanes takes about as long as one
//!   stream: the gain is the number of lanes that are taken.

use md5::block_api::compress as compress_one;

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 64;
/// One step of the input of MD5.
pub type Block = [u8; BLOCK_BYTES];
/// The chaining value of one stream.
pub type State = [u32; 4];

/// The state of a stream of which nothing was hashed yet.
pub const START: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
/// Lanes of the widest kernel.
pub const LANES_MAX: usize = 16;

/// What makes [`Kernel::PANICKING`] panic.
#[cfg(test)]
pub(super) const PANIC_BYTE: u8 = 0xdb;

/// A way to compress that this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Instructions);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instructions {
    Scalar,
    #[cfg(test)]
    Panicking,
    /// Only made where the processor has AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Only made where the processor has AVX-512F.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kernel {
    /// One stream after the other; every processor can.
    pub const SCALAR: Self = Self(Instructions::Scalar);

    /// Panics at a block of [`PANIC_BYTE`].
    #[cfg(test)]
    pub(super) const PANICKING: Self = Self(Instructions::Panicking);

    /// What this processor has, narrowest first; never empty.
    pub fn available() -> Vec<Self> {
        let mut kernels = vec![Self::SCALAR];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                kernels.push(Self(Instructions::Avx2));
            }
            if is_x86_feature_detected!("avx512f") {
                kernels.push(Self(Instructions::Avx512));
            }
        }
        kernels
    }

    /// The widest one that this processor has.
    pub fn widest() -> Self {
        Self::available().pop().unwrap_or(Self::SCALAR)
    }

    /// Streams that it advances at once.
    pub fn lanes(self) -> usize {
        match self.0 {
            Instructions::Scalar => 1,
            #[cfg(test)]
            Instructions::Panicking => LANES_MAX,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => super::avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => super::avx512::LANES,
        }
    }

    /// Advances every state over its blocks: as many as the shortest run has, which it returns.
    /// Each state goes with the run of its index; what is left over of the longer is not touched.
    pub fn compress(self, states: &mut [State], runs: &[&[Block]]) -> usize {
        let blocks = runs.iter().map(|run| run.len()).min().unwrap_or(0);
        let lanes = self.lanes();
        #[cfg(test)]
        if self == Self::PANICKING {
            assert!(!runs.iter().any(|run| run.contains(&[PANIC_BYTE; BLOCK_BYTES])), "as asked");
        }
        for (states, runs) in states.chunks_mut(lanes).zip(runs.chunks(lanes)) {
            match (states, runs) {
                // Alone, a stream is faster without the vector.
                ([state], [run]) => compress_one(state, run.get(..blocks).unwrap_or(run)),
                (states, runs) => self.compress_lanes(states, runs, blocks),
            }
        }
        blocks
    }

    /// At most one register of lanes.
    fn compress_lanes(self, states: &mut [State], runs: &[&[Block]], blocks: usize) {
        match self.0 {
            #[cfg(test)]
            Instructions::Panicking => Kernel::SCALAR.compress_lanes(states, runs, blocks),
            Instructions::Scalar => {
                for (state, run) in states.iter_mut().zip(runs) {
                    compress_one(state, run.get(..blocks).unwrap_or(run));
                }
            }
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => {
                fill_lanes(states, runs, blocks, |states, runs| {
                    #[expect(unsafe_code, reason = "the processor was asked for AVX2 at run time")]
                    // SAFETY: `Instructions::Avx2` is only made where AVX2 was detected.
                    unsafe {
                        super::avx2::compress(states, runs);
                    }
                });
            }
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => {
                fill_lanes(states, runs, blocks, |states, runs| {
                    #[expect(
                        unsafe_code,
                        reason = "the processor was asked for AVX-512 at run time"
                    )]
                    // SAFETY: `Instructions::Avx512` is only made where AVX-512F was detected.
                    unsafe {
                        super::avx512::compress(states, runs);
                    }
                });
            }
        }
    }
}

/// Lends full lanes to `compress`: those without a stream repeat the first run, for nothing.
#[cfg(target_arch = "x86_64")]
fn fill_lanes<const LANES: usize>(
    states: &mut [State],
    runs: &[&[Block]],
    blocks: usize,
    compress: impl FnOnce(&mut [State; LANES], &[&[Block]; LANES]),
) {
    let Some(first) = runs.first().and_then(|run| run.get(..blocks)) else { return };
    let mut lane_states = [START; LANES];
    let mut lane_runs = [first; LANES];
    for (lane, state) in lane_states.iter_mut().zip(&*states) {
        *lane = *state;
    }
    for (lane, run) in lane_runs.iter_mut().zip(runs) {
        *lane = run.get(..blocks).unwrap_or(run);
    }
    compress(&mut lane_states, &lane_runs);
    for (state, lane) in states.iter_mut().zip(lane_states) {
        *state = lane;
    }
}

/// The constants of RFC 1321: the sines of 1 to 64.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
pub(super) const SINES: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

/// Sixty-four steps of RFC 1321 on a state of four vectors and sixteen vectors of words. `$v` is the
/// module of the operations: `add`, `rotate`, `splat` and the functions `f`, `g`, `h`, `i`.
#[cfg(target_arch = "x86_64")]
macro_rules! sixty_four_steps {
    ($v:ident, $sines:ident, $state:ident, $words:ident) => {
        $crate::md5::lanes::four_steps!($v $sines f [7 12 17 22], $state, $words, 0, [0 1 2 3]);
        $crate::md5::lanes::four_steps!($v $sines f [7 12 17 22], $state, $words, 4, [4 5 6 7]);
        $crate::md5::lanes::four_steps!($v $sines f [7 12 17 22], $state, $words, 8, [8 9 10 11]);
        $crate::md5::lanes::four_steps!($v $sines f [7 12 17 22], $state, $words, 12, [12 13 14 15]);
        $crate::md5::lanes::four_steps!($v $sines g [5 9 14 20], $state, $words, 16, [1 6 11 0]);
        $crate::md5::lanes::four_steps!($v $sines g [5 9 14 20], $state, $words, 20, [5 10 15 4]);
        $crate::md5::lanes::four_steps!($v $sines g [5 9 14 20], $state, $words, 24, [9 14 3 8]);
        $crate::md5::lanes::four_steps!($v $sines g [5 9 14 20], $state, $words, 28, [13 2 7 12]);
        $crate::md5::lanes::four_steps!($v $sines h [4 11 16 23], $state, $words, 32, [5 8 11 14]);
        $crate::md5::lanes::four_steps!($v $sines h [4 11 16 23], $state, $words, 36, [1 4 7 10]);
        $crate::md5::lanes::four_steps!($v $sines h [4 11 16 23], $state, $words, 40, [13 0 3 6]);
        $crate::md5::lanes::four_steps!($v $sines h [4 11 16 23], $state, $words, 44, [9 12 15 2]);
        $crate::md5::lanes::four_steps!($v $sines i [6 10 15 21], $state, $words, 48, [0 7 14 5]);
        $crate::md5::lanes::four_steps!($v $sines i [6 10 15 21], $state, $words, 52, [12 3 10 1]);
        $crate::md5::lanes::four_steps!($v $sines i [6 10 15 21], $state, $words, 56, [8 15 6 13]);
        $crate::md5::lanes::four_steps!($v $sines i [6 10 15 21], $state, $words, 60, [4 11 2 9]);
    };
}

/// Four steps from step `$first` on; after them the four vectors have their places again.
#[cfg(target_arch = "x86_64")]
macro_rules! four_steps {
    ($v:ident $sines:ident $mix:ident [$r0:literal $r1:literal $r2:literal $r3:literal], $state:ident,
     $words:ident, $first:literal, [$w0:literal $w1:literal $w2:literal $w3:literal]) => {
        let [mut a, mut b, mut c, mut d] = $state;
        let sine = |step: usize| $v::splat($sines[$first + step]);
        let input = [
            $v::add($words[$w0], sine(0)),
            $v::add($words[$w1], sine(1)),
            $v::add($words[$w2], sine(2)),
            $v::add($words[$w3], sine(3)),
        ];
        a = $v::add(b, $v::rotate::<$r0>($v::add($v::add(a, input[0]), $v::$mix(b, c, d))));
        d = $v::add(a, $v::rotate::<$r1>($v::add($v::add(d, input[1]), $v::$mix(a, b, c))));
        c = $v::add(d, $v::rotate::<$r2>($v::add($v::add(c, input[2]), $v::$mix(d, a, b))));
        b = $v::add(c, $v::rotate::<$r3>($v::add($v::add(b, input[3]), $v::$mix(c, d, a))));
        $state = [a, b, c, d];
    };
}

/// Defines `compress`, which advances each state over its run; the runs are of one length. The module
/// has `LANES`, the operations of a step in `vector`, and `words_of`: the sixteen words of one block of
/// every run, each a vector of all lanes.
#[cfg(target_arch = "x86_64")]
macro_rules! compress {
    ($feature:literal, $register:ty) => {
        #[target_feature(enable = $feature)]
        pub(super) fn compress(
            states: &mut [$crate::md5::lanes::State; LANES],
            runs: &[&[$crate::md5::lanes::Block]; LANES],
        ) {
            let mut state = [vector::splat(0); 4];
            for (word, vector) in state.iter_mut().enumerate() {
                *vector = bytemuck::must_cast(states.map(|state| state[word]));
            }
            // Known to the compiler, they would be added last of all, where the next step waits for
            // them.
            let sines = std::hint::black_box(&$crate::md5::lanes::SINES);
            let blocks = runs.iter().map(|run| run.len()).min().unwrap_or(0);
            for block in 0..blocks {
                let words: [$register; 16] = words_of(runs, block);
                let before = state;
                $crate::md5::lanes::sixty_four_steps!(vector, sines, state, words);
                for (vector, before) in state.iter_mut().zip(before) {
                    *vector = vector::add(*vector, before);
                }
            }
            for (word, vector) in state.iter().enumerate() {
                let lanes: [u32; LANES] = bytemuck::must_cast(*vector);
                for (state, lane) in states.iter_mut().zip(lanes) {
                    state[word] = lane;
                }
            }
        }
    };
}

/// Four rows of words become four columns, in each group of four lanes: `$words` and `$pairs` are the
/// instructions that take the low or high words, or pairs of words, of two rows by turns.
#[cfg(target_arch = "x86_64")]
macro_rules! transpose_fours {
    ($rows:expr, [$low_words:ident $high_words:ident], [$low_pairs:ident $high_pairs:ident]) => {{
        let rows = $rows;
        let (low, high) = ($low_words(rows[0], rows[1]), $high_words(rows[0], rows[1]));
        let (low_next, high_next) = ($low_words(rows[2], rows[3]), $high_words(rows[2], rows[3]));
        [
            $low_pairs(low, low_next),
            $high_pairs(low, low_next),
            $low_pairs(high, high_next),
            $high_pairs(high, high_next),
        ]
    }};
}

#[cfg(target_arch = "x86_64")]
pub(super) use {compress, four_steps, sixty_four_steps, transpose_fours};
