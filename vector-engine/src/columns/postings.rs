//! The rows of one value.
//!
//! | part | bytes |
//! |---|---|
//! | count | varint, above zero |
//! | up to [`GAPS_MAX`] rows | varint first row, then per row varint of what lies between it and the last |
//! | more | varint length, roaring bitmap in its portable format |

use roaring::{MultiOps, RoaringBitmap};

use super::corrupt;
use crate::Result;
use crate::metadata::varint::{self, Reader};

/// Above this many rows a bitmap is smaller or little larger than gaps, and faster.
const GAPS_MAX: u64 = 256;

/// Appends `rows`, ascending.
pub(super) fn write(rows: &[u32], out: &mut Vec<u8>) {
    varint::write(out, rows.len() as u64);
    if is_bitmap(rows.len() as u64) {
        write_bitmap(rows.iter().copied().collect(), out);
        return;
    }
    let mut next = 0;
    for row in rows {
        varint::write(out, u64::from(*row) - next);
        next = u64::from(*row) + 1;
    }
}

/// Whether so many rows are kept as a bitmap.
pub(super) fn is_bitmap(count: u64) -> bool {
    count > GAPS_MAX
}

/// Appends a length and a bitmap.
pub(super) fn write_bitmap(mut bitmap: RoaringBitmap, out: &mut Vec<u8>) {
    bitmap.optimize();
    varint::write(out, bitmap.serialized_size() as u64);
    #[expect(clippy::expect_used, reason = "a Vec takes every write")]
    bitmap.serialize_into(out).expect("a Vec takes every write");
}

/// Reads a length and a bitmap of rows below `rows`.
pub(super) fn read_bitmap(reader: &mut Reader<'_>, rows: u32) -> Result<RoaringBitmap> {
    let mut bytes = reader.sized().ok_or_else(|| corrupt("bitmap"))?;
    let bitmap =
        RoaringBitmap::deserialize_from(&mut bytes).map_err(|error| corrupt(&error.to_string()))?;
    if !bytes.is_empty() || bitmap.max().is_some_and(|last| last >= rows) {
        return Err(corrupt("bitmap"));
    }
    Ok(bitmap)
}

/// The rows of a value, not read yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Postings<'a> {
    pub(super) count: u64,
    reader: Reader<'a>,
}

impl<'a> Postings<'a> {
    /// Reads where they are, and moves `reader` past them.
    pub(super) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let count = reader.varint().filter(|count| *count > 0)?;
        let postings = Self { count, reader: *reader };
        if is_bitmap(count) {
            reader.sized()?;
        } else {
            for _ in 0..count {
                reader.varint()?;
            }
        }
        Some(postings)
    }

    /// Adds them to `union`.
    pub(super) fn add_to(mut self, union: &mut Union) -> Result<()> {
        if is_bitmap(self.count) {
            let bitmap = read_bitmap(&mut self.reader, union.rows)?;
            if bitmap.len() != self.count {
                return Err(corrupt("count of a bitmap"));
            }
            union.add_bitmap(bitmap);
            return Ok(());
        }
        let mut next = 0u64;
        for _ in 0..self.count {
            let gap = self.reader.varint().ok_or_else(|| corrupt("gap"))?;
            let row = next.checked_add(gap).and_then(|row| u32::try_from(row).ok());
            let row = row.filter(|row| *row < union.rows).ok_or_else(|| corrupt("row"))?;
            union.add_row(row);
            next = u64::from(row) + 1;
        }
        Ok(())
    }
}

/// With more than one of so many rows in it, bits are set rather than rows sorted.
const ROWS_PER_SPARSE: usize = 64;

/// Rows being brought together.
#[derive(Debug)]
pub(super) struct Union {
    rows: u32,
    bitmaps: Vec<RoaringBitmap>,
    sparse: Vec<u32>,
    /// A bit for each row; empty until `sparse` grew large.
    dense: Vec<u8>,
}

impl Union {
    /// None yet of `0..rows`.
    pub(super) fn new(rows: u32) -> Self {
        Self { rows, bitmaps: Vec::new(), sparse: Vec::new(), dense: Vec::new() }
    }

    fn add_row(&mut self, row: u32) {
        if self.dense.is_empty() {
            self.sparse.push(row);
            if self.sparse.len() > self.rows as usize / ROWS_PER_SPARSE {
                self.dense = vec![0; (self.rows as usize).div_ceil(8)];
                for row in std::mem::take(&mut self.sparse) {
                    set(&mut self.dense, row);
                }
            }
        } else {
            set(&mut self.dense, row);
        }
    }

    pub(super) fn add_bitmap(&mut self, bitmap: RoaringBitmap) {
        self.bitmaps.push(bitmap);
    }

    /// All that were added.
    pub(super) fn finish(mut self) -> RoaringBitmap {
        if !self.dense.is_empty() {
            self.add_bitmap(RoaringBitmap::from_lsb0_bytes(0, &self.dense));
        } else if !self.sparse.is_empty() {
            self.sparse.sort_unstable();
            let sparse = std::mem::take(&mut self.sparse).into_iter().collect();
            self.add_bitmap(sparse);
        }
        match self.bitmaps.pop() {
            Some(only) if self.bitmaps.is_empty() => only,
            Some(last) => {
                self.bitmaps.push(last);
                self.bitmaps.union()
            }
            None => RoaringBitmap::new(),
        }
    }
}

fn set(bits: &mut [u8], row: u32) {
    if let Some(byte) = bits.get_mut(row as usize / 8) {
        *byte |= 1 << (row % 8);
    }
}
