//! How rows lie in the pages of a sealed segment's vectors.
//!
//! ```text
//! row:  dimension × f32 · locator 8 · with a graph: neighbours 4 · degree × u32
//! ```
//! The locator says where the row's properties lie: offset in the low 40 bits, length in the high 24.
//!
//! - Rows do not cross pages where that wastes less than a third of a page; else they run on.

use storage_engine::limits::PAGE_BYTES;

use crate::error::{Error, Result};

/// Bits of a locator that are its offset.
const OFFSET_BITS: u32 = 40;

/// Where a row's properties lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Locator {
    /// Offset in the properties.
    pub(crate) offset: u64,
    /// Length in bytes.
    pub(crate) len: u32,
}

impl Locator {
    /// As 64 bits; errs when it does not fit.
    pub(crate) fn pack(self) -> Result<u64> {
        if self.offset >> OFFSET_BITS != 0 || self.len >> (64 - OFFSET_BITS) != 0 {
            return Err(Error::Invalid("a segment's properties are too long".to_owned()));
        }
        Ok(u64::from(self.len) << OFFSET_BITS | self.offset)
    }

    /// From 64 bits.
    pub(crate) fn unpack(packed: u64) -> Self {
        let offset = packed & ((1 << OFFSET_BITS) - 1);
        Self { offset, len: (packed >> OFFSET_BITS) as u32 }
    }
}

/// The pages of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first page.
    pub(crate) page: u32,
    /// How many.
    pub(crate) pages: u32,
    /// Where the row begins in them.
    pub(crate) offset: usize,
}

/// Places of rows in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    dimension: usize,
    degree: usize,
    stride: usize,
    /// Rows of a page, or 0 where rows run across pages.
    per_page: usize,
}

impl Layout {
    /// The layout of vectors of `dimension` whose nodes have at most `degree` neighbours (0: no graph).
    pub(crate) fn new(dimension: usize, degree: usize) -> Self {
        let graph = if degree == 0 { 0 } else { 4 + degree * 4 };
        let stride = dimension * 4 + 8 + graph;
        let fitting = PAGE_BYTES / stride;
        let per_page = if fitting * stride * 3 >= PAGE_BYTES * 2 { fitting } else { 0 };
        Self { dimension, degree, stride, per_page }
    }

    /// Bytes of a row.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Most neighbours of a node.
    pub(crate) fn degree(&self) -> usize {
        self.degree
    }

    /// Bytes of `rows` rows, gaps included.
    pub(crate) fn bytes(&self, rows: u32) -> u64 {
        let Some(last) = rows.checked_sub(1) else { return 0 };
        let span = self.span(last);
        let end = u64::from(span.page) * PAGE_BYTES as u64 + span.offset as u64;
        end + (self.stride + self.gap(last)) as u64
    }

    /// Bytes of zeros behind `row` up to where the next one begins.
    pub(crate) fn gap(&self, row: u32) -> usize {
        match self.per_page {
            0 => 0,
            per_page if (row as usize + 1).is_multiple_of(per_page) => {
                PAGE_BYTES - per_page * self.stride
            }
            _ => 0,
        }
    }

    /// The pages of a row.
    pub(crate) fn span(&self, row: u32) -> Span {
        match self.per_page {
            0 => {
                let start = u64::from(row) * self.stride as u64;
                let page = start / PAGE_BYTES as u64;
                let offset = (start - page * PAGE_BYTES as u64) as usize;
                let pages = (offset + self.stride).div_ceil(PAGE_BYTES) as u32;
                Span { page: page as u32, pages, offset }
            }
            per_page => {
                let (page, within) = (row as usize / per_page, row as usize % per_page);
                Span { page: page as u32, pages: 1, offset: within * self.stride }
            }
        }
    }

    /// The vector's bytes within a row's.
    pub(crate) fn vector<'a>(&self, row: &'a [u8]) -> &'a [u8] {
        row.get(..self.dimension * 4).unwrap_or_default()
    }

    /// The locator within a row's bytes.
    pub(crate) fn locator(&self, row: &[u8]) -> Option<Locator> {
        let bytes = row.get(self.dimension * 4..)?.first_chunk()?;
        Some(Locator::unpack(u64::from_le_bytes(*bytes)))
    }

    /// The neighbours within a row's bytes; of a segment without a graph, none.
    pub(crate) fn neighbours<'a>(&self, row: &'a [u8]) -> impl Iterator<Item = u32> + 'a {
        let bytes = row.get(self.dimension * 4 + 8..).unwrap_or_default();
        let (count, rest) = match bytes.split_first_chunk() {
            Some((count, rest)) if self.degree > 0 => (u32::from_le_bytes(*count), rest),
            _ => (0, bytes),
        };
        let count = (count as usize).min(self.degree);
        rest.as_chunks().0.iter().take(count).map(|four| u32::from_le_bytes(*four))
    }
}

#[cfg(test)]
mod tests {
    use super::{Layout, Locator};

    #[test]
    fn rows_lie_where_the_writer_puts_them() {
        for (dimension, degree) in
            [(1, 0), (2, 48), (128, 0), (384, 48), (768, 0), (768, 48), (1024, 0), (4096, 48)]
        {
            let layout = Layout::new(dimension, degree);
            let mut at = 0;
            for row in 0..100 {
                let span = layout.span(row);
                assert_eq!(span.page as usize * 4096 + span.offset, at, "{layout:?} row {row}");
                assert!(span.offset + layout.stride() <= span.pages as usize * 4096);
                at += layout.stride() + layout.gap(row);
            }
            assert_eq!(layout.bytes(100) as usize, at, "{layout:?}");
        }
    }

    #[test]
    fn a_row_of_768_is_one_page_and_one_of_1024_wastes_none() {
        assert_eq!(Layout::new(768, 48).span(7).pages, 1);
        assert_eq!(Layout::new(1024, 0).bytes(1000), 1000 * (4096 + 8));
    }

    #[test]
    fn locators_come_back_and_refuse_what_does_not_fit() {
        let locator = Locator { offset: (1 << 40) - 1, len: (1 << 24) - 1 };
        assert_eq!(Locator::unpack(locator.pack().unwrap()), locator);
        assert!(Locator { offset: 1 << 40, len: 0 }.pack().is_err());
        assert!(Locator { offset: 0, len: 1 << 24 }.pack().is_err());
    }
}
