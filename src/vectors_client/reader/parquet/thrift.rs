//! The compact protocol of Thrift, in which Parquet writes its footer and the heads of its pages.
//!
//! | value | bytes |
//! |---|---|
//! | number | zigzag, then 7 bits a byte from the lowest on, the highest bit set where more follow |
//! | text | its length, not zigzag, and its bytes |
//! | list | `count << 4 \| kind`, of 15 and more `0xf0 \| kind` and the count; the items |
//! | map | the count; if there are any, a byte of both kinds; keys and values in turn |
//! | structure | fields, then a byte 0 |
//! | field | `distance from the last id << 4 \| kind`, of distance 0 the id follows; the value |
//!
//! Nothing is kept but what is asked for, so memory is not more than what was read.

use std::io::{ErrorKind, Read};

use super::too_soon;

/// Structures in structures: Parquet's own are four deep.
const DEPTH_MAX: u32 = 32;

/// Values that are read one after the other.
pub(super) struct Thrift<R> {
    input: R,
}

/// What follows in a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) id: i16,
    pub(super) kind: Kind,
}

/// How a value is written. A boolean field is its own kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    True,
    False,
    Byte,
    Short,
    Int,
    Long,
    Double,
    Binary,
    List,
    Map,
    Structure,
    Uuid,
}

impl Kind {
    fn of(low: u8) -> Result<Self, String> {
        Ok(match low & 0xf {
            1 => Self::True,
            2 => Self::False,
            3 => Self::Byte,
            4 => Self::Short,
            5 => Self::Int,
            6 => Self::Long,
            7 => Self::Double,
            8 => Self::Binary,
            9 | 10 => Self::List,
            11 => Self::Map,
            12 => Self::Structure,
            13 => Self::Uuid,
            other => return Err(format!("a value of kind {other} is not known")),
        })
    }
}

impl<R: Read> Thrift<R> {
    /// Reads from `input`, byte by byte.
    pub(super) fn new(input: R) -> Self {
        Self { input }
    }

    /// The next field of a structure, `last` being the id of the one before, 0 at first; none: the
    /// structure ends.
    pub(super) fn field(&mut self, last: &mut i16) -> Result<Option<Field>, String> {
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        let id = match i16::from(head >> 4) {
            0 => i16::try_from(self.long()?).ok(),
            distance => last.checked_add(distance),
        };
        *last = id.ok_or("the id of a field is too large")?;
        Ok(Some(Field { id: *last, kind: Kind::of(head)? }))
    }

    /// A number.
    pub(super) fn long(&mut self) -> Result<i64, String> {
        let number = self.unsigned()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A number of 32 bits.
    pub(super) fn int(&mut self) -> Result<i32, String> {
        i32::try_from(self.long()?).map_err(|_| "a number has more than 32 bits".to_owned())
    }

    /// A text.
    pub(super) fn text(&mut self) -> Result<String, String> {
        let length = self.unsigned()?;
        let mut bytes = Vec::new();
        let read = (&mut self.input).take(length).read_to_end(&mut bytes);
        match read {
            Ok(count) if count as u64 == length => {}
            Ok(_) => return Err(too_soon()),
            Err(error) => return Err(error.to_string()),
        }
        String::from_utf8(bytes).map_err(|_| "a name is not UTF-8".to_owned())
    }

    /// How many items a list has, and how they are written.
    pub(super) fn items(&mut self) -> Result<(u64, Kind), String> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.unsigned()?,
            count => u64::from(count),
        };
        Ok((count, Kind::of(head)?))
    }

    /// Passes over a field's value.
    pub(super) fn skip(&mut self, kind: Kind) -> Result<(), String> {
        match kind {
            Kind::True | Kind::False => Ok(()),
            kind => self.skip_within(kind, DEPTH_MAX),
        }
    }

    fn skip_within(&mut self, kind: Kind, depth: u32) -> Result<(), String> {
        let depth = depth.checked_sub(1).ok_or("it is nested too deep")?;
        match kind {
            Kind::Byte => self.pass(1),
            Kind::Short | Kind::Int | Kind::Long => self.unsigned().map(drop),
            Kind::Double => self.pass(8),
            Kind::Uuid => self.pass(16),
            Kind::Binary => {
                let length = self.unsigned()?;
                self.pass(length)
            }
            Kind::List => {
                let (count, kind) = self.items()?;
                (0..count).try_for_each(|_| self.skip_within(kind, depth))
            }
            Kind::Map => {
                let count = self.unsigned()?;
                if count == 0 {
                    return Ok(());
                }
                let kinds = self.byte()?;
                let (key, value) = (Kind::of(kinds >> 4)?, Kind::of(kinds)?);
                (0..count).try_for_each(|_| {
                    self.skip_within(key, depth)?;
                    self.skip_within(value, depth)
                })
            }
            Kind::Structure => {
                let mut last = 0;
                while let Some(field) = self.field(&mut last)? {
                    match field.kind {
                        Kind::True | Kind::False => {}
                        kind => self.skip_within(kind, depth)?,
                    }
                }
                Ok(())
            }
            // As items they take a byte.
            Kind::True | Kind::False => self.pass(1),
        }
    }

    fn pass(&mut self, bytes: u64) -> Result<(), String> {
        let passed = std::io::copy(&mut (&mut self.input).take(bytes), &mut std::io::sink());
        match passed {
            Ok(count) if count == bytes => Ok(()),
            Ok(_) => Err(too_soon()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn unsigned(&mut self) -> Result<u64, String> {
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

    fn byte(&mut self) -> Result<u8, String> {
        let mut byte = [0];
        match self.input.read_exact(&mut byte) {
            Ok(()) => Ok(u8::from_ne_bytes(byte)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(too_soon()),
            Err(error) => Err(error.to_string()),
        }
    }
}
