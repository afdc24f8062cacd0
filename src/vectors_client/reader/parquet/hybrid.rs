//! Small numbers in runs: levels, places in a dictionary, booleans.
//!
//! | head, 7 bits a byte | then |
//! |---|---|
//! | `count << 1` | one number in whole bytes, that many times |
//! | `groups << 1 \| 1` | eight numbers a group, packed into bits |
//!
//! A run is walked, not laid out, so that a short one of many numbers takes no memory.

use bytes::Bytes;

use super::packed::{self, Cursor};
use super::too_soon;

/// Numbers of so many bits, one after the other.
#[derive(Debug)]
pub(super) struct Hybrid {
    rest: Cursor,
    width: u32,
    run: Run,
}

#[derive(Debug)]
enum Run {
    Repeated { number: u32, left: u64 },
    Packed { bytes: Bytes, bit: u64, left: u64 },
}

impl Hybrid {
    /// Numbers of `width` bits, at most 32; of no bits all are 0 and take no bytes.
    pub(super) fn new(bytes: Bytes, width: u32) -> Result<Self, String> {
        if width > u32::BITS {
            return Err(format!("numbers of {width} bits; at most {}", u32::BITS));
        }
        let run = Run::Repeated { number: 0, left: if width == 0 { u64::MAX } else { 0 } };
        Ok(Self { rest: Cursor::new(bytes), width, run })
    }

    /// The next number.
    pub(super) fn next(&mut self) -> Result<u32, String> {
        loop {
            match &mut self.run {
                Run::Repeated { number, left } if *left > 0 => {
                    *left -= 1;
                    return Ok(*number);
                }
                Run::Packed { bytes, bit, left } if *left > 0 => {
                    let number = packed::number(bytes, *bit, self.width).ok_or_else(too_soon)?;
                    *left -= 1;
                    *bit += u64::from(self.width);
                    return u32::try_from(number).map_err(|_| too_soon());
                }
                _ => self.run = self.next_run()?,
            }
        }
    }

    fn next_run(&mut self) -> Result<Run, String> {
        let head = self.rest.unsigned()?;
        let count = head >> 1;
        if head & 1 == 0 {
            let bytes = self.rest.take(self.width.div_ceil(8) as usize)?;
            let number = bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
            return Ok(Run::Repeated { number, left: count });
        }
        let bytes = self.rest.take_at_most(count.saturating_mul(u64::from(self.width)));
        Ok(Run::Packed { bytes, bit: 0, left: count.saturating_mul(8) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_both_kinds_are_walked() {
        let all = |bytes: &'static [u8], width, count| -> Result<Vec<u32>, String> {
            let mut numbers = Hybrid::new(Bytes::from_static(bytes), width)?;
            (0..count).map(|_| numbers.next()).collect()
        };
        let ended = Err("it ends too soon".to_owned());
        for (bytes, width, count, right) in [
            (&[10, 3][..], 2, 5, Ok(vec![3; 5])),
            (&[10, 3], 2, 6, ended.clone()),
            // The example of the format's own description: 0 to 7 in three bits.
            (&[3, 0x88, 0xc6, 0xfa], 3, 8, Ok((0..8).collect())),
            (&[3, 0x88, 0xc6], 3, 5, Ok((0..5).collect())),
            (&[3, 0x88, 0xc6], 3, 6, ended.clone()),
            (&[4, 1, 3, 0b10], 1, 4, Ok(vec![1, 1, 0, 1])),
            (&[2, 0x34, 0x12], 13, 1, Ok(vec![0x1234])),
            (&[0, 3, 2, 1], 2, 1, Ok(vec![1])),
            (&[], 0, 3, Ok(vec![0; 3])),
            (&[], 1, 1, ended.clone()),
            (&[1], 1, 1, ended.clone()),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 5], 32, 9, ended),
            (&[], 33, 0, Err("numbers of 33 bits; at most 32".to_owned())),
        ] {
            assert_eq!(all(bytes, width, count), right, "{bytes:?}");
        }
    }
}
