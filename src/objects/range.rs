//! Byte ranges as clients ask for them.

use std::ops::Range;

use super::error::{ObjectError, Result};

/// One range of a `Range` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// `a-b`, both included.
    Between(u64, u64),
    /// `a-`.
    From(u64),
    /// `-n`.
    Last(u64),
}

impl ByteRange {
    /// The bytes of an object of `size` that are meant; `InvalidRange` when there are none.
    pub fn resolve(self, size: u64) -> Result<Range<u64>> {
        let range = match self {
            Self::Between(first, last) => first..last.saturating_add(1).min(size),
            Self::From(first) => first..size,
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        if range.is_empty() { Err(ObjectError::InvalidRange { size }) } else { Ok(range) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clipped_or_refused() {
        for (range, size, want) in [
            (ByteRange::Between(0, 0), 10, Some(0..1)),
            (ByteRange::Between(4, 99), 10, Some(4..10)),
            (ByteRange::Between(4, u64::MAX), 10, Some(4..10)),
            (ByteRange::Between(10, 11), 10, None),
            (ByteRange::Between(5, 4), 10, None),
            (ByteRange::From(9), 10, Some(9..10)),
            (ByteRange::From(10), 10, None),
            (ByteRange::Last(3), 10, Some(7..10)),
            (ByteRange::Last(30), 10, Some(0..10)),
            (ByteRange::Last(0), 10, None),
            (ByteRange::Last(1), 0, None),
            (ByteRange::From(0), 0, None),
        ] {
            assert_eq!(range.resolve(size).ok(), want, "{range:?} of {size}");
        }
    }
}
