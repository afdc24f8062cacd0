//! Bytes of a page that are taken from the front, and numbers packed into bits from the lowest on.

use bytes::Bytes;

use super::too_soon;

/// What is left of a page.
#[derive(Debug, Clone)]
pub(super) struct Cursor(Bytes);

impl Cursor {
    /// All of `bytes`.
    pub(super) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// What is left.
    pub(super) fn rest(self) -> Bytes {
        self.0
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next bytes, exactly so many.
    pub(super) fn take(&mut self, count: usize) -> Result<Bytes, String> {
        match count <= self.0.len() {
            true => Ok(self.0.split_to(count)),
            false => Err(too_soon()),
        }
    }

    /// The next bytes; fewer where fewer are left, since writers leave out the end of the last
    /// group of numbers.
    pub(super) fn take_at_most(&mut self, count: u64) -> Bytes {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.0.len());
        self.0.split_to(count)
    }

    /// A byte.
    pub(super) fn byte(&mut self) -> Result<u8, String> {
        self.take(1)?.first().copied().ok_or_else(too_soon)
    }

    /// Four bytes, little-endian.
    pub(super) fn u32(&mut self) -> Result<u32, String> {
        self.take(4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)).ok_or_else(too_soon)
    }

    /// Bytes behind their length of four bytes.
    pub(super) fn sized(&mut self) -> Result<Bytes, String> {
        let count = self.u32()?;
        self.take(count as usize)
    }

    /// 7 bits a byte from the lowest on, the highest bit set where more follow.
    pub(super) fn unsigned(&mut self) -> Result<u64, String> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number has more than 64 bits".to_owned())
    }

    /// The same, 0, -1, 1, -2, … being 0, 1, 2, 3, ….
    pub(super) fn signed(&mut self) -> Result<i64, String> {
        let number = self.unsigned()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}

/// The number of `width` bits, at most 64, that begins at a bit; none: it is not there whole.
pub(super) fn number(bytes: &[u8], bit: u64, width: u32) -> Option<u64> {
    let from = bytes.get(usize::try_from(bit / 8).ok()?..)?;
    let shift = u32::try_from(bit % 8).ok()?;
    let word = match from.first_chunk::<8>() {
        Some(word) => u64::from_le_bytes(*word),
        None if from.len() as u64 * 8 < u64::from(shift + width) => return None,
        None => from.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    let mut number = word.checked_shr(shift)?;
    if shift + width > u64::BITS {
        number |= u64::from(*from.get(8)?) << (u64::BITS - shift);
    }
    Some(number & u64::MAX.checked_shr(u64::BITS - width).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_width_are_found_at_any_bit() {
        // The reference: bit by bit.
        let bytes: Vec<u8> = (0..24_u32).map(|nth| (nth * 151 + 77) as u8).collect();
        let slow = |bit: u64, width: u32| {
            (0..u64::from(width)).try_fold(0_u64, |number, nth| {
                let place = bit + nth;
                let byte = bytes.get((place / 8) as usize)?;
                Some(number | u64::from(byte >> (place % 8) & 1) << nth)
            })
        };
        for width in 0..=64 {
            for bit in 0..192 {
                assert_eq!(number(&bytes, bit, width), slow(bit, width), "{width} bits at {bit}");
            }
        }
        assert_eq!(number(&bytes, u64::MAX, 1), None);
    }

    #[test]
    fn what_is_not_there_is_not_taken() {
        let cursor = || Cursor::new(Bytes::from_static(&[3, 0, 0, 0, 7, 8]));
        assert_eq!(cursor().sized(), Err(too_soon()));
        assert_eq!(cursor().take(7), Err(too_soon()));
        assert_eq!(cursor().take_at_most(u64::MAX).len(), 6);
        let mut long = Cursor::new(Bytes::from_static(&[0xff; 11]));
        assert_eq!(long.unsigned(), Err("a number has more than 64 bits".to_owned()));
        let mut cut = Cursor::new(Bytes::from_static(&[0x80]));
        assert_eq!(cut.signed(), Err(too_soon()));
        let mut signed = Cursor::new(Bytes::from_static(&[0, 1, 2, 3, 0xac, 2]));
        let numbers: Vec<i64> = (0..5).map(|_| signed.signed().unwrap()).collect();
        assert_eq!(numbers, [0, -1, 1, -2, 150]);
    }
}
