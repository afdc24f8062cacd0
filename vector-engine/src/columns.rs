//! The filter index of a segment: for each key its values in order, for each value its rows.
//!
//! The encoded bytes are the form in memory: a query reads the few blocks that its filter names.
//! Values of few rows lie with their rows in the blocks, others with a roaring bitmap, so that
//! neither a key of two values nor one of another value each row is large. Little-endian.
//!
//! | offset | bytes |
//! |---|---|
//! | 0 | magic `LODECOLS` |
//! | 8 | u16 version, u16 zero |
//! | 12 | u32 rows: one more than the last row with a key |
//! | 16 | u32 keys |
//! | 20 | per key, ascending by name: u64 offset of its section (see [`section`]), which ends where the next begins |

use std::collections::BTreeMap;

use bytes::Bytes;
use roaring::RoaringBitmap;

use crate::filter::Filter;
use crate::metadata::varint::Reader;
use crate::{Error, Result};

mod builder;
mod evaluate;
mod postings;
mod section;
pub(crate) mod term;
#[cfg(test)]
mod tests;

pub use builder::ColumnsBuilder;
use section::Section;

const MAGIC: &[u8; 8] = b"LODECOLS";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 20;
/// An entry of the directory of keys.
const OFFSET_BYTES: usize = 8;

/// The filter index of a sealed segment.
#[derive(Debug, Clone)]
pub struct Columns {
    bytes: Bytes,
    rows: u32,
    keys: usize,
}

fn corrupt(what: &str) -> Error {
    Error::Corrupt(format!("columns: {what}"))
}

impl Columns {
    /// Takes the bytes of [`Columns::encode`] without copying them. Sections are looked at when a
    /// filter needs them.
    pub fn decode(bytes: Bytes) -> Result<Self> {
        let (rows, keys) = header(&bytes)?;
        let columns = Self { bytes, rows, keys };
        let mut least = HEADER_BYTES + OFFSET_BYTES * keys;
        for key in 0..keys {
            let offset = columns.offset(key)?;
            if offset < least || offset > columns.bytes.len() {
                return Err(corrupt("directory of keys"));
            }
            least = offset;
        }
        Ok(columns)
    }

    /// The bytes to keep.
    pub fn encode(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }

    /// The bytes to keep, shared.
    pub fn encoded(&self) -> &Bytes {
        &self.bytes
    }

    /// What it holds of memory, itself included.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }

    /// The rows out of `0..rows` that pass: those for whose metadata [`Filter::matches`] is true.
    pub fn matches(&self, filter: &Filter, rows: u32) -> Result<RoaringBitmap> {
        self.check_rows(rows)?;
        Ok(evaluate::matches(self, &filter.root)?.within(rows))
    }

    /// A count that the rows which pass do not exceed, from counts kept beside the values: exact
    /// for one test, or comparisons, of a key without lists.
    pub fn estimate(&self, filter: &Filter, rows: u32) -> Result<u64> {
        self.check_rows(rows)?;
        evaluate::estimate(self, &filter.root, u64::from(rows))
    }

    /// Goes through all of it; for each key the number of rows that have it.
    pub(crate) fn walk(&self) -> Result<BTreeMap<String, u64>> {
        let mut keys = BTreeMap::new();
        for key in 0..self.keys {
            let section = self.section_at(key)?;
            let name = std::str::from_utf8(section.name()).map_err(|_| corrupt("name of a key"))?;
            if keys.last_key_value().is_some_and(|(last, _): (&String, _)| last.as_str() >= name) {
                return Err(corrupt("order of keys"));
            }
            keys.insert(name.to_owned(), section.walk()?);
        }
        Ok(keys)
    }

    fn check_rows(&self, rows: u32) -> Result<()> {
        if self.rows > rows { Err(corrupt("more rows than the segment has")) } else { Ok(()) }
    }

    fn offset(&self, key: usize) -> Result<usize> {
        self.bytes
            .get(HEADER_BYTES + OFFSET_BYTES * key..)
            .and_then(|bytes| bytes.first_chunk())
            .and_then(|bytes| usize::try_from(u64::from_le_bytes(*bytes)).ok())
            .ok_or_else(|| corrupt("directory of keys"))
    }

    fn section_at(&self, key: usize) -> Result<Section<'_>> {
        let start = self.offset(key)?;
        let end = if key + 1 < self.keys { self.offset(key + 1)? } else { self.bytes.len() };
        let bytes = self.bytes.get(start..end).ok_or_else(|| corrupt("directory of keys"))?;
        Section::open(bytes, self.rows)
    }

    /// The section of a key, if any row has the key.
    fn section(&self, name: &str) -> Result<Option<Section<'_>>> {
        let (mut low, mut high) = (0, self.keys);
        while low < high {
            let middle = low + (high - low) / 2;
            let section = self.section_at(middle)?;
            match section.name().cmp(name.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(Some(section)),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }
}

/// Rows and count of keys.
fn header(bytes: &[u8]) -> Result<(u32, usize)> {
    let mut reader = Reader::new(bytes);
    if reader.array() != Some(*MAGIC) {
        return Err(corrupt("magic"));
    }
    match reader.array().map(u16::from_le_bytes) {
        Some(VERSION) => {}
        Some(version) => return Err(corrupt(&format!("unknown version {version}"))),
        None => return Err(corrupt("header")),
    }
    let (Some([0, 0]), Some(rows), Some(keys)) = (reader.array(), reader.array(), reader.array())
    else {
        return Err(corrupt("header"));
    };
    Ok((u32::from_le_bytes(rows), u32::from_le_bytes(keys) as usize))
}
