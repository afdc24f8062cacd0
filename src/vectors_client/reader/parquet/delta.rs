//! Whole numbers written as differences (`DELTA_BINARY_PACKED`).
//!
//! Numbers of a block, parts of a block, how many numbers there are, the first one; then blocks:
//! the least difference, the bits of a difference in each part, the parts, each with the bits of
//! its differences above the least one.

use bytes::Bytes;

use super::packed::{self, Cursor};
use super::too_soon;

/// Numbers of a block: writers take 128, and no page has more numbers than this.
const BLOCK_MAX: u64 = 1 << 31;

/// Whole numbers, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Delta {
    rest: Cursor,
    parts: usize,
    part_numbers: u64,
    /// Numbers that are not answered yet; the first of them.
    left: u64,
    number: i64,
    least: i64,
    /// Bits of the parts of this block that are not begun.
    widths: Cursor,
    part: Bytes,
    width: u32,
    bit: u64,
    part_left: u64,
}

impl Delta {
    /// Reads what stands before the blocks.
    pub(super) fn new(bytes: Bytes) -> Result<Self, String> {
        let mut rest = Cursor::new(bytes);
        let (block, parts) = (rest.unsigned()?, rest.unsigned()?);
        let (left, number) = (rest.unsigned()?, rest.signed()?);
        let part_numbers = block.checked_div(parts).unwrap_or(0);
        let fits = (1..=BLOCK_MAX).contains(&block)
            && part_numbers * parts == block
            && part_numbers.is_multiple_of(8);
        let (true, Ok(parts)) = (fits, usize::try_from(parts)) else {
            return Err(format!("blocks of {block} numbers in {parts} parts"));
        };
        let none = Bytes::new();
        Ok(Self {
            rest,
            parts,
            part_numbers,
            left,
            number,
            least: 0,
            widths: Cursor::new(none.clone()),
            part: none,
            width: 0,
            bit: 0,
            part_left: 0,
        })
    }

    /// Numbers that are left.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The next number.
    pub(super) fn next(&mut self) -> Result<i64, String> {
        self.left = self.left.checked_sub(1).ok_or_else(too_soon)?;
        let number = self.number;
        if self.left > 0 {
            self.number = number.wrapping_add(self.difference()?);
        }
        Ok(number)
    }

    /// What stands behind the numbers.
    pub(super) fn behind(mut self) -> Result<Bytes, String> {
        while self.left > 0 {
            self.next()?;
        }
        Ok(self.rest.rest())
    }

    fn difference(&mut self) -> Result<i64, String> {
        if self.part_left == 0 {
            self.begin_part()?;
        }
        let above = packed::number(&self.part, self.bit, self.width).ok_or_else(too_soon)?;
        self.bit += u64::from(self.width);
        self.part_left -= 1;
        Ok(self.least.wrapping_add(above.cast_signed()))
    }

    fn begin_part(&mut self) -> Result<(), String> {
        if self.widths.is_empty() {
            self.least = self.rest.signed()?;
            self.widths = Cursor::new(self.rest.take(self.parts)?);
        }
        let width = self.widths.byte()?;
        self.width = u32::from(width);
        if self.width > u64::BITS {
            return Err(format!("differences of {width} bits; at most {}", u64::BITS));
        }
        self.part = self.rest.take_at_most(self.part_numbers / 8 * u64::from(width));
        self.bit = 0;
        self.part_left = self.part_numbers;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &'static [u8]) -> Result<Vec<i64>, String> {
        let mut numbers = Delta::new(Bytes::from_static(bytes))?;
        (0..numbers.left()).map(|_| numbers.next()).collect()
    }

    #[test]
    fn differences_add_up_or_are_refused() {
        let ended = Err("it ends too soon".to_owned());
        for (bytes, right) in [
            // 7, 5, 3, 1, 2, 3, 4, 5: the example of the format's own description.
            (&[8, 1, 8, 14, 3, 2, 0xc0, 0x3f][..], Ok(vec![7, 5, 3, 1, 2, 3, 4, 5])),
            (&[8, 1, 8, 14, 3, 2, 0xc0], ended.clone()),
            (&[8, 1, 1, 14], Ok(vec![7])),
            (&[8, 1, 0, 0], Ok(vec![])),
            (&[8, 1, 2, 0, 1, 0], Ok(vec![0, -1])),
            (&[8, 1, 2], ended.clone()),
            (&[16, 2, 2, 0, 1, 0], ended),
            (&[8, 1, 2, 0, 1, 65], Err("differences of 65 bits; at most 64".to_owned())),
            (&[8, 0, 2, 0], Err("blocks of 8 numbers in 0 parts".to_owned())),
            (&[0, 0, 2, 0], Err("blocks of 0 numbers in 0 parts".to_owned())),
            (&[9, 2, 2, 0], Err("blocks of 9 numbers in 2 parts".to_owned())),
            (&[8, 2, 2, 0], Err("blocks of 8 numbers in 2 parts".to_owned())),
        ] {
            assert_eq!(all(bytes), right, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_behind_the_numbers_is_found() {
        let numbers = Delta::new(Bytes::from_static(&[8, 1, 3, 14, 3, 2, 0xc0, 0x3f, 9])).unwrap();
        assert_eq!(numbers.behind().unwrap(), [9].as_slice());
    }
}
