//! Arithmetic over rows and codes, in the widest instructions that this processor has.
//!
//! - What the processor has is asked once; every way to compute is behind a [`Kernel`], and each is
//!   tested against [`Kernel::PORTABLE`].
//! - Sums of integers are the same on every kernel; sums of floats differ in their rounding.
//! - No length panics: of two rows of different lengths the longer is cut.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod probe;
mod quantized;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

pub use self::probe::Probe;
pub use self::quantized::{QuantizedRow, QuantizedRows};

/// Bytes of a code that a kernel takes at once, and what one part of a query is padded to.
pub(crate) const PART_BYTES: usize = 64;

/// A query's numbers for [`PART_BYTES`] bytes of a code; which, the form of the code says.
pub(crate) type Part = [u8; PART_BYTES];

/// A way to compute that this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kernel(Instructions);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instructions {
    Portable,
    /// Only made where the processor has AVX2, FMA and POPCNT.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Only made where the processor has AVX-512 F, BW, VNNI and VPOPCNTDQ.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// How the numbers of a code lie in its bytes, and what the parts of a query are for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A bit a number. Parts are bit planes of the query's numbers, [`PLANES`] for each
    /// [`PART_BYTES`] of a code, in two's complement from the lowest on.
    Planes,
    /// Four numbers of two bits a byte. Parts are the query's numbers as `i8`: for each
    /// [`PART_BYTES`] of a code, those for the lowest two bits, then for the next.
    Crumbs,
    /// Two numbers of four bits a byte, parts as with crumbs.
    Nibbles,
}

/// Bit planes of a query for codes of one bit: its numbers are from -31 to 31. With four of them
/// rounding the query widens an estimate's spread by a fiftieth, with six by a thousandth.
pub(crate) const PLANES: usize = 6;

impl Form {
    /// Parts of a query for each [`PART_BYTES`] of a code.
    pub(crate) fn parts(self) -> usize {
        match self {
            Self::Planes => PLANES,
            Self::Crumbs => 4,
            Self::Nibbles => 2,
        }
    }
}

/// Codes of one segment, one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codes<'a> {
    pub(crate) bytes: &'a [u8],
    /// From one row's first byte to the next one's.
    pub(crate) stride: usize,
    /// Where in a row its numbers begin.
    pub(crate) offset: usize,
}

/// What `$call` gives on the kernel that `$self` is.
macro_rules! dispatch {
    ($self:expr, $name:ident($($argument:expr),*)) => {
        match $self.0 {
            Instructions::Portable => portable::$name($($argument),*),
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "the processor was asked for AVX2 at run time")]
            // SAFETY: `Instructions::Avx2` is only made where its features were detected.
            Instructions::Avx2 => unsafe { avx2::$name($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "the processor was asked for AVX-512 at run time")]
            // SAFETY: `Instructions::Avx512` is only made where its features were detected.
            Instructions::Avx512 => unsafe { avx512::$name($($argument),*) },
        }
    };
}

impl Kernel {
    /// What every processor can.
    pub(crate) const PORTABLE: Self = Self(Instructions::Portable);

    /// What this processor has, narrowest first; never empty.
    pub(crate) fn available() -> Vec<Self> {
        let mut kernels = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("popcnt");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni")
                && is_x86_feature_detected!("avx512vpopcntdq");
            if avx2 {
                kernels.push(Self(Instructions::Avx2));
            }
            if avx2 && avx512 {
                kernels.push(Self(Instructions::Avx512));
            }
        }
        kernels
    }

    /// The widest one that this processor has.
    pub(crate) fn widest() -> Self {
        static WIDEST: LazyLock<Kernel> =
            LazyLock::new(|| Kernel::available().pop().unwrap_or(Kernel::PORTABLE));
        *WIDEST
    }

    /// The inner product.
    pub(crate) fn dot(self, left: &[f32], right: &[f32]) -> f32 {
        dispatch!(self, dot(left, right))
    }

    /// The square of the straight-line distance.
    pub(crate) fn square_distance(self, left: &[f32], right: &[f32]) -> f32 {
        dispatch!(self, square_distance(left, right))
    }

    /// The inner product of a query and a row, and that of the row with itself. Where both are the
    /// same numbers, both results are, to the bit, and those of [`Kernel::dot`].
    pub(crate) fn dot_and_square(self, query: &[f32], row: &[f32]) -> (f32, f32) {
        dispatch!(self, dot_and_square(query, row))
    }

    /// The inner product of rows of whole [`PART_BYTES`]; what is over of the longer does not count.
    /// `right_sum` is the sum of `right`.
    pub(crate) fn dot_i8(self, left: &[i8], right: &[i8], right_sum: i32) -> i32 {
        let (left, _) = left.as_chunks::<PART_BYTES>();
        let (right, _) = right.as_chunks::<PART_BYTES>();
        dispatch!(self, dot_i8(left, right, right_sum))
    }

    /// The inner products of a query and the codes of `rows`, one each, as long as `dots` is; bytes
    /// that are not there count as zeros. Bytes behind a row's end meet zeros of the query.
    pub(crate) fn code_dots(
        self,
        form: Form,
        parts: &[Part],
        codes: Codes<'_>,
        rows: &[u32],
        dots: &mut [i32],
    ) {
        dispatch!(self, code_dots(form, parts, codes, rows, dots));
    }

    /// The Walsh-Hadamard transform in place, not scaled; `values` are a power of two.
    pub(crate) fn hadamard(self, values: &mut [f32]) {
        dispatch!(self, hadamard(values));
    }
}

/// Bytes that come from memory at once.
const LINE_BYTES: usize = 64;

impl<'a> Codes<'a> {
    /// Has memory bring the codes of rows that lie apart, all at the same time: computing with one
    /// after the other would wait for each.
    pub(crate) fn fetch(self, rows: &[u32]) {
        let mut seen = 0;
        for row in rows {
            let start = (*row as usize).saturating_mul(self.stride);
            let code = self.bytes.get(start..start.saturating_add(self.stride)).unwrap_or_default();
            for line in code.chunks(LINE_BYTES) {
                seen ^= line.first().copied().unwrap_or_default();
            }
            seen ^= code.last().copied().unwrap_or_default();
        }
        std::hint::black_box(seen);
    }

    /// The bytes from where the numbers of a row begin up to the end of all codes.
    #[inline(always)]
    fn row(self, row: u32) -> &'a [u8] {
        let start = (row as usize).saturating_mul(self.stride).saturating_add(self.offset);
        self.bytes.get(start..).unwrap_or_default()
    }
}

/// One part of a code; what is not there is zero.
#[inline(always)]
fn part_at(bytes: &[u8], at: usize) -> Part {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first_chunk::<PART_BYTES>() {
        Some(part) => *part,
        None => padded(rest),
    }
}

/// The numbers and then the default of them.
#[inline(always)]
fn padded<T: Copy + Default, const N: usize>(rest: &[T]) -> [T; N] {
    let mut full = [T::default(); N];
    for (to, from) in full.iter_mut().zip(rest) {
        *to = *from;
    }
    full
}

/// Both cut to the length of the shorter.
#[inline(always)]
fn same_length<'a, T>(left: &'a [T], right: &'a [T]) -> (&'a [T], &'a [T]) {
    let length = left.len().min(right.len());
    (left.get(..length).unwrap_or(left), right.get(..length).unwrap_or(right))
}
