//! One key's values in ascending order (see [`super::term`]), in blocks of a few.
//!
//! Spans hold the union of the rows of consecutive blocks, so that a wide range of rare values
//! costs a few bitmaps, not a step for each value. Every offset is from its part's start.
//!
//! | part | bytes |
//! |---|---|
//! | head | u32 length of the name, u32 blocks, u32 spans, u32 1 if a row may have several values, else 0, u64 length of the blocks |
//! | name | UTF-8 |
//! | per block | u64 offset, u64 rows of the values before it |
//! | per span | u32 first block, u32 block after the last, u64 offset |
//! | block | per value: varint bytes shared with the last value, varint length of the rest, rest; rows (see [`super::postings`]). The first shares nothing |
//! | span | varint length, roaring bitmap |

use std::cmp::Ordering;

use super::corrupt;
use super::postings::{self, Postings, Union};
use super::term;
use crate::Result;
use crate::metadata::varint::{self, Reader};

/// Values of one block: what a look-up steps over at most.
const BLOCK_VALUES: usize = 16;
/// Rows of a span. A range steps over the values of at most two spans; a row in a span costs
/// about two bytes.
const SPAN_ROWS: usize = 32 << 10;

const BLOCK_ENTRY_BYTES: usize = 16;
const SPAN_ENTRY_BYTES: usize = 16;

/// How many values of a key a row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowValues {
    AtMostOne,
    /// Some row may have more than one.
    Several,
}

/// Takes the values of a key in ascending order.
#[derive(Debug, Default)]
pub(super) struct SectionWriter {
    directory: Vec<u8>,
    blocks: Vec<u8>,
    block_count: u32,
    values: usize,
    rows_before: u64,
    last: Vec<u8>,
    spans: Vec<u8>,
    span_directory: Vec<u8>,
    span_count: u32,
    /// The rows of the blocks since `span_block`, all of rare values.
    span_rows: Vec<u32>,
    span_block: u32,
}

impl SectionWriter {
    /// The next value and its rows, ascending.
    pub(super) fn push(&mut self, term: &[u8], rows: &[u32]) {
        if self.values.is_multiple_of(BLOCK_VALUES) {
            self.end_span();
            self.directory.extend_from_slice(&(self.blocks.len() as u64).to_le_bytes());
            self.directory.extend_from_slice(&self.rows_before.to_le_bytes());
            self.block_count += 1;
            self.last.clear();
        }
        let shared = self.last.iter().zip(term).take_while(|(a, b)| a == b).count();
        let rest = term.get(shared..).unwrap_or_default();
        varint::write(&mut self.blocks, shared as u64);
        varint::write(&mut self.blocks, rest.len() as u64);
        self.blocks.extend_from_slice(rest);
        postings::write(rows, &mut self.blocks);
        self.last.truncate(shared);
        self.last.extend_from_slice(rest);
        self.values += 1;
        self.rows_before += rows.len() as u64;
        if postings::is_bitmap(rows.len() as u64) {
            self.span_rows.clear();
            self.span_block = self.block_count;
        } else if self.span_block < self.block_count {
            self.span_rows.extend_from_slice(rows);
        }
    }

    /// At a block's end: writes the span if it is large enough.
    fn end_span(&mut self) {
        if self.span_rows.len() < SPAN_ROWS {
            return;
        }
        self.span_directory.extend_from_slice(&self.span_block.to_le_bytes());
        self.span_directory.extend_from_slice(&self.block_count.to_le_bytes());
        self.span_directory.extend_from_slice(&(self.spans.len() as u64).to_le_bytes());
        self.span_rows.sort_unstable();
        postings::write_bitmap(self.span_rows.drain(..).collect(), &mut self.spans);
        self.span_count += 1;
        self.span_block = self.block_count;
    }

    /// Appends the section.
    pub(super) fn finish(mut self, name: &str, values: RowValues, out: &mut Vec<u8>) {
        self.end_span();
        out.extend_from_slice(&(name.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.block_count.to_le_bytes());
        out.extend_from_slice(&self.span_count.to_le_bytes());
        let values = match values {
            RowValues::AtMostOne => 0u32,
            RowValues::Several => 1,
        };
        out.extend_from_slice(&values.to_le_bytes());
        out.extend_from_slice(&(self.blocks.len() as u64).to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&self.directory);
        out.extend_from_slice(&self.span_directory);
        out.extend_from_slice(&self.blocks);
        out.extend_from_slice(&self.spans);
    }
}

/// One key's values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section<'a> {
    name: &'a [u8],
    rows: u32,
    block_count: usize,
    span_count: usize,
    row_values: RowValues,
    directory: &'a [u8],
    span_directory: &'a [u8],
    blocks: &'a [u8],
    spans: &'a [u8],
}

impl<'a> Section<'a> {
    /// Finds the parts of a section whose rows are below `rows`.
    pub(super) fn open(bytes: &'a [u8], rows: u32) -> Result<Self> {
        Self::parts(bytes, rows).ok_or_else(|| corrupt("section"))
    }

    fn parts(bytes: &'a [u8], rows: u32) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let mut word = || reader.array().map(|bytes| u32::from_le_bytes(bytes) as usize);
        let (name_len, block_count, span_count) = (word()?, word()?, word()?);
        let row_values = match word()? {
            0 => RowValues::AtMostOne,
            1 => RowValues::Several,
            _ => return None,
        };
        let blocks_len = usize::try_from(u64::from_le_bytes(reader.array()?)).ok()?;
        Some(Self {
            name: reader.bytes(name_len)?,
            rows,
            block_count,
            span_count,
            row_values,
            directory: reader.bytes(block_count.checked_mul(BLOCK_ENTRY_BYTES)?)?,
            span_directory: reader.bytes(span_count.checked_mul(SPAN_ENTRY_BYTES)?)?,
            blocks: reader.bytes(blocks_len)?,
            spans: reader.bytes(reader.remaining())?,
        })
    }

    pub(super) fn name(&self) -> &'a [u8] {
        self.name
    }

    /// How many values its rows have.
    pub(super) fn row_values(&self) -> RowValues {
        self.row_values
    }

    /// How many spans there are.
    #[cfg(test)]
    pub(super) fn spans(&self) -> usize {
        self.span_count
    }

    /// Where a block's values begin, and how many rows those before it have.
    fn block(&self, block: usize) -> Option<(usize, u64)> {
        if block == self.block_count {
            return Some((self.blocks.len(), u64::MAX));
        }
        let mut entry = Reader::new(self.directory.get(BLOCK_ENTRY_BYTES.checked_mul(block)?..)?);
        let offset = usize::try_from(u64::from_le_bytes(entry.array()?)).ok()?;
        Some((offset, u64::from_le_bytes(entry.array()?)))
    }

    fn block_reader(&self, block: usize) -> Option<Reader<'a>> {
        let (start, _) = self.block(block)?;
        let (end, _) = self.block(block + 1)?;
        self.blocks.get(start..end).map(Reader::new)
    }

    fn first_term(&self, block: usize) -> Result<&'a [u8]> {
        let term = self.block_reader(block).and_then(|mut reader| {
            reader.varint().filter(|shared| *shared == 0)?;
            reader.sized()
        });
        term.ok_or_else(|| corrupt("block"))
    }

    /// How many blocks begin at or below `term`, or only below it.
    fn blocks_to(&self, term: &[u8], bound: Bound) -> Result<usize> {
        let (mut low, mut high) = (0, self.block_count);
        while low < high {
            let middle = low + (high - low) / 2;
            let below = match self.first_term(middle)?.cmp(term) {
                Ordering::Less => true,
                Ordering::Equal => bound == Bound::Included,
                Ordering::Greater => false,
            };
            if below { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// The rows of a value.
    pub(super) fn get(&self, term: &[u8]) -> Result<Option<Postings<'a>>> {
        let Some(block) = self.blocks_to(term, Bound::Included)?.checked_sub(1) else {
            return Ok(None);
        };
        let mut values = self.values(block)?;
        while let Some(postings) = values.next()? {
            match values.term.as_slice().cmp(term) {
                Ordering::Less => {}
                Ordering::Equal => return Ok(Some(postings)),
                Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    /// Goes through every value; the number of rows that have the key.
    pub(super) fn walk(&self) -> Result<u64> {
        let mut present = None;
        let mut before = 0_u64;
        let mut last: Option<Vec<u8>> = None;
        for block in 0..self.block_count {
            if self.block(block).is_none_or(|(_, rows)| rows != before) {
                return Err(corrupt("rows before a block"));
            }
            let mut values = self.values(block)?;
            while let Some(postings) = values.next()? {
                if last.as_ref().is_some_and(|last| *last >= values.term) {
                    return Err(corrupt("order of values"));
                }
                if last.is_none() && values.term == term::PRESENT {
                    present = Some(postings.count);
                }
                last = Some(values.term.clone());
                postings.add_to(&mut Union::new(self.rows))?;
                before = before.saturating_add(postings.count);
            }
            if let Some((_, bitmap)) = self.span(block)? {
                postings::read_bitmap(&mut Reader::new(bitmap), self.rows)?;
            }
        }
        present.ok_or_else(|| corrupt("rows of a key"))
    }

    fn values(&self, block: usize) -> Result<Values<'a>> {
        let reader = self.block_reader(block).ok_or_else(|| corrupt("block"))?;
        Ok(Values { reader, term: Vec::new() })
    }

    /// Adds the rows of the values in `range` to `union`.
    pub(super) fn add_range(&self, range: &TermRange, union: &mut Union) -> Result<()> {
        let blocks = self.blocks_of(range)?;
        let mut block = blocks.start;
        while block < blocks.end {
            // The first block may begin below the range, the last may end above it.
            if block > blocks.start
                && let Some((after, bitmap)) = self.span(block)?
                && after > block
                && after < blocks.end
            {
                union.add_bitmap(postings::read_bitmap(&mut Reader::new(bitmap), self.rows)?);
                block = after;
                continue;
            }
            let mut values = self.values(block)?;
            while let Some(postings) = values.next()? {
                if range.contains(&values.term) {
                    postings.add_to(union)?;
                }
            }
            block += 1;
        }
        Ok(())
    }

    /// How many rows the values in `range` have, counting a row for each of its values.
    pub(super) fn count_range(&self, range: &TermRange) -> Result<u64> {
        let blocks = self.blocks_of(range)?;
        let mut count = 0u64;
        let first = blocks.clone().next();
        let last = blocks.clone().skip(1).next_back();
        for block in [first, last].into_iter().flatten() {
            let mut values = self.values(block)?;
            while let Some(postings) = values.next()? {
                if range.contains(&values.term) {
                    count = count.saturating_add(postings.count);
                }
            }
        }
        if blocks.len() > 2 {
            let whole = [blocks.start + 1, blocks.end - 1].map(|block| self.block(block));
            let [Some((_, from)), Some((_, to))] = whole else { return Err(corrupt("block")) };
            count = count.saturating_add(to.saturating_sub(from));
        }
        Ok(count)
    }

    /// The blocks that hold the values of `range`.
    fn blocks_of(&self, range: &TermRange) -> Result<std::ops::Range<usize>> {
        let start = self.blocks_to(&range.from, Bound::Included)?.saturating_sub(1);
        let end = match &range.to {
            Some(to) => self.blocks_to(to, Bound::Excluded)?,
            None => self.block_count,
        };
        Ok(start..end.max(start))
    }

    /// The span that begins with `block`: the block after it, and its bitmap's bytes.
    fn span(&self, block: usize) -> Result<Option<(usize, &'a [u8])>> {
        let entry = |at: usize| -> Option<(usize, usize, usize)> {
            let mut entry = Reader::new(self.span_directory.get(at * SPAN_ENTRY_BYTES..)?);
            let first = u32::from_le_bytes(entry.array()?) as usize;
            let after = u32::from_le_bytes(entry.array()?) as usize;
            Some((first, after, usize::try_from(u64::from_le_bytes(entry.array()?)).ok()?))
        };
        let (mut low, mut high) = (0, self.span_count);
        while low < high {
            let middle = low + (high - low) / 2;
            let (first, after, offset) = entry(middle).ok_or_else(|| corrupt("span"))?;
            match first.cmp(&block) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => {
                    let bytes = self.spans.get(offset..).ok_or_else(|| corrupt("span"))?;
                    return Ok(Some((after, bytes)));
                }
            }
        }
        Ok(None)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Included,
    Excluded,
}

/// Terms from one on to before another.
#[derive(Debug, Clone)]
pub(super) struct TermRange {
    pub(super) from: Vec<u8>,
    /// The end if `None`.
    pub(super) to: Option<Vec<u8>>,
}

impl TermRange {
    /// What lies in both.
    pub(super) fn narrow(&mut self, other: Self) {
        self.from = std::mem::take(&mut self.from).max(other.from);
        self.to = match (self.to.take(), other.to) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    fn contains(&self, term: &[u8]) -> bool {
        term >= self.from.as_slice() && self.to.as_ref().is_none_or(|to| term < to.as_slice())
    }
}

/// The values of a block, one after another.
struct Values<'a> {
    reader: Reader<'a>,
    /// The value whose rows were read last.
    term: Vec<u8>,
}

impl<'a> Values<'a> {
    fn next(&mut self) -> Result<Option<Postings<'a>>> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        self.read().map(Some).ok_or_else(|| corrupt("value"))
    }

    fn read(&mut self) -> Option<Postings<'a>> {
        let shared = usize::try_from(self.reader.varint()?).ok()?;
        if shared > self.term.len() {
            return None;
        }
        self.term.truncate(shared);
        self.term.extend_from_slice(self.reader.sized()?);
        Postings::read(&mut self.reader)
    }
}
