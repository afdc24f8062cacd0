//! Values of a page, one after the other, in each encoding of the format.

use std::sync::Arc;

use bytes::Bytes;

use super::delta::Delta;
use super::hybrid::Hybrid;
use super::packed::{self, Cursor};
use super::schema::Physical;
use super::too_soon;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Datum {
    Boolean(bool),
    Int32(i32),
    Int64(i64),
    Float(f32),
    Double(f64),
    /// Also an `Int96`.
    Bytes(Bytes),
}

/// Values that are left of a page.
#[derive(Debug)]
pub(super) enum Values {
    Plain(Plain),
    Named { places: Hybrid, dictionary: Arc<Dictionary> },
    Bits(Hybrid),
    Delta { numbers: Delta, physical: Physical },
    DeltaLength(DeltaLength),
    DeltaBytes { shared: Delta, rest: DeltaLength, last: Vec<u8> },
}

const PLAIN: i32 = 0;
/// Once the name of both, a dictionary and the places in it.
const PLAIN_DICTIONARY: i32 = 2;
const RLE: i32 = 3;
const DELTA_BINARY_PACKED: i32 = 5;
const DELTA_LENGTH_BYTE_ARRAY: i32 = 6;
const DELTA_BYTE_ARRAY: i32 = 7;
const RLE_DICTIONARY: i32 = 8;
const BYTE_STREAM_SPLIT: i32 = 9;

impl Values {
    /// At most `count` values, as `encoding` writes them.
    pub(super) fn new(
        physical: Physical,
        encoding: i32,
        bytes: Bytes,
        count: u64,
        dictionary: Option<&Arc<Dictionary>>,
    ) -> Result<Self, String> {
        let numbers = matches!(physical, Physical::Int32 | Physical::Int64);
        let texts = matches!(physical, Physical::Bytes | Physical::Fixed(_));
        match encoding {
            PLAIN => Ok(Self::Plain(Plain { physical, bytes, at: 0 })),
            PLAIN_DICTIONARY | RLE_DICTIONARY => {
                let dictionary = dictionary.ok_or("it has no dictionary")?;
                let dictionary = Arc::clone(dictionary);
                let mut rest = Cursor::new(bytes);
                // A page of nulls has nothing here.
                let width = if rest.is_empty() { 0 } else { rest.byte()? };
                let places = Hybrid::new(rest.rest(), u32::from(width))?;
                Ok(Self::Named { places, dictionary })
            }
            RLE if physical == Physical::Boolean => {
                let bytes = if bytes.is_empty() { bytes } else { Cursor::new(bytes).sized()? };
                Ok(Self::Bits(Hybrid::new(bytes, 1)?))
            }
            BYTE_STREAM_SPLIT if physical != Physical::Int96 && physical.bytes().is_some() => {
                joined(physical, &bytes).map(Self::Plain)
            }
            DELTA_BINARY_PACKED if numbers => {
                Ok(Self::Delta { numbers: deltas(bytes, count)?, physical })
            }
            DELTA_LENGTH_BYTE_ARRAY if texts => {
                Ok(Self::DeltaLength(DeltaLength::new(bytes, count)?))
            }
            DELTA_BYTE_ARRAY if texts => {
                let shared = deltas(bytes, count)?;
                let rest = DeltaLength::new(shared.clone().behind()?, count)?;
                Ok(Self::DeltaBytes { shared, rest, last: Vec::new() })
            }
            other => Err(format!("encoding {other} of {physical:?} is not known")),
        }
    }

    /// The next value.
    pub(super) fn next(&mut self) -> Result<Datum, String> {
        match self {
            Self::Plain(plain) => plain.next(),
            Self::Named { places, dictionary } => dictionary.get(places.next()?),
            Self::Bits(bits) => Ok(Datum::Boolean(bits.next()? != 0)),
            #[expect(clippy::cast_possible_truncation, reason = "their differences wrap around")]
            Self::Delta { numbers, physical } => Ok(match physical {
                Physical::Int32 => Datum::Int32(numbers.next()? as i32),
                _ => Datum::Int64(numbers.next()?),
            }),
            Self::DeltaLength(texts) => texts.next().map(Datum::Bytes),
            Self::DeltaBytes { shared, rest, last } => {
                let shared = shared.next()?;
                let shared = usize::try_from(shared).ok().filter(|shared| *shared <= last.len());
                last.truncate(shared.ok_or("a text shares more than there is")?);
                last.extend_from_slice(&rest.next()?);
                Ok(Datum::Bytes(Bytes::copy_from_slice(last)))
            }
        }
    }
}

/// Differences of not more numbers than the page has.
fn deltas(bytes: Bytes, count: u64) -> Result<Delta, String> {
    let numbers = Delta::new(bytes)?;
    match numbers.left() <= count {
        true => Ok(numbers),
        false => Err(format!("{} numbers in a page of {count}", numbers.left())),
    }
}

/// Values as they are, bytes behind their length, booleans as bits.
#[derive(Debug)]
pub(super) struct Plain {
    physical: Physical,
    bytes: Bytes,
    /// The next byte, of booleans the next bit.
    at: usize,
}

impl Plain {
    fn next(&mut self) -> Result<Datum, String> {
        let bytes = match self.physical {
            Physical::Boolean => {
                let bit = packed::number(&self.bytes, self.at as u64, 1).ok_or_else(too_soon)?;
                self.at += 1;
                return Ok(Datum::Boolean(bit != 0));
            }
            Physical::Bytes => {
                let rest = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk());
                let length = u32::from_le_bytes(*rest.ok_or_else(too_soon)?);
                self.at += size_of_val(&length);
                length as usize
            }
            fixed => fixed.bytes().ok_or_else(too_soon)?,
        };
        let end = self.at.checked_add(bytes).filter(|end| *end <= self.bytes.len());
        let range = self.at..end.ok_or_else(too_soon)?;
        self.at = range.end;
        datum(self.physical, &self.bytes, range)
    }
}

/// The value that lies there.
fn datum(
    physical: Physical,
    bytes: &Bytes,
    range: std::ops::Range<usize>,
) -> Result<Datum, String> {
    let there = bytes.get(range.clone()).ok_or_else(too_soon)?;
    let four = || there.first_chunk::<4>().copied().ok_or_else(too_soon);
    let eight = || there.first_chunk::<8>().copied().ok_or_else(too_soon);
    Ok(match physical {
        Physical::Boolean => Datum::Boolean(there.first().is_some_and(|byte| *byte != 0)),
        Physical::Int32 => Datum::Int32(i32::from_le_bytes(four()?)),
        Physical::Int64 => Datum::Int64(i64::from_le_bytes(eight()?)),
        Physical::Float => Datum::Float(f32::from_le_bytes(four()?)),
        Physical::Double => Datum::Double(f64::from_le_bytes(eight()?)),
        Physical::Int96 | Physical::Bytes | Physical::Fixed(_) => Datum::Bytes(bytes.slice(range)),
    })
}

/// Plain values of what has all first bytes of the values, then all second ones, and so on.
fn joined(physical: Physical, bytes: &Bytes) -> Result<Plain, String> {
    let width = physical.bytes().filter(|width| bytes.len().is_multiple_of(*width));
    let values = width.and_then(|width| bytes.len().checked_div(width)).ok_or_else(too_soon)?;
    let value = |nth| bytes.iter().skip(nth).step_by(values.max(1));
    Ok(Plain { physical, bytes: (0..values).flat_map(value).copied().collect(), at: 0 })
}

/// The lengths of all texts, then their bytes.
#[derive(Debug)]
pub(super) struct DeltaLength {
    lengths: Delta,
    bytes: Cursor,
}

impl DeltaLength {
    fn new(bytes: Bytes, count: u64) -> Result<Self, String> {
        let lengths = deltas(bytes, count)?;
        let bytes = Cursor::new(lengths.clone().behind()?);
        Ok(Self { lengths, bytes })
    }

    fn next(&mut self) -> Result<Bytes, String> {
        let length = self.lengths.next()?;
        self.bytes.take(usize::try_from(length).map_err(|_| format!("a text of {length} bytes"))?)
    }
}

/// Values that pages name by their place.
#[derive(Debug)]
pub(super) struct Dictionary {
    physical: Physical,
    bytes: Bytes,
    count: u32,
    /// Of values that differ in length: where each begins, behind its length.
    starts: Vec<u32>,
}

impl Dictionary {
    /// So many plain values.
    pub(super) fn new(physical: Physical, bytes: Bytes, count: i32) -> Result<Self, String> {
        let count = u32::try_from(count).map_err(|_| format!("a dictionary of {count} values"))?;
        let mut starts = Vec::new();
        match physical {
            Physical::Boolean => return Err("a dictionary of booleans".to_owned()),
            Physical::Bytes => {
                let mut rest = Cursor::new(bytes.clone());
                let mut at = 0_u32;
                for _ in 0..count {
                    let value = rest.sized()?;
                    at += size_of::<u32>() as u32;
                    starts.push(at);
                    at += u32::try_from(value.len()).map_err(|_| too_soon())?;
                }
            }
            fixed => {
                let width = fixed.bytes().unwrap_or_default() as u64;
                if width.saturating_mul(u64::from(count)) > bytes.len() as u64 {
                    return Err(too_soon());
                }
            }
        }
        Ok(Self { physical, bytes, count, starts })
    }

    fn get(&self, place: u32) -> Result<Datum, String> {
        if place >= self.count {
            return Err(format!("value {place} of a dictionary of {}", self.count));
        }
        let nth = place as usize;
        let range = match self.physical.bytes() {
            Some(width) => nth * width..(nth + 1) * width,
            None => {
                let start = *self.starts.get(nth).ok_or_else(too_soon)? as usize;
                let before = start.checked_sub(size_of::<u32>()).ok_or_else(too_soon)?;
                let length = self.bytes.get(before..start).and_then(|bytes| bytes.first_chunk());
                let length = u32::from_le_bytes(*length.ok_or_else(too_soon)?);
                start..start + length as usize
            }
        };
        datum(self.physical, &self.bytes, range)
    }
}
