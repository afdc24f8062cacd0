//! One acknowledged write of an index: rows put, keys deleted.
//!
//! ```text
//! 0   8  magic `LODEVDEL`
//! 8   2  format version 1
//! 10  2  0
//! 12  4  dimension
//! 16  4  rows
//! 20  4  deleted keys
//! 24  …  the rows: properties, dimension × f32
//!     …  the keys: bytes 2 · flags 1 (1: only if this owner's) · 0 1 · key · owner (16 or 0)
//! ```
//!
//! - A key stands in a delta once.
//! - Deltas are applied in the order of their numbers.

use crate::codec::{Cursor, put_floats};
use crate::error::{Error, Result};
use crate::limits::{WRITE_BYTES_MAX, WRITE_ROWS_MAX};
use crate::properties::{Properties, key_len, put_properties};
use crate::row::{NewRow, Owner};

const MAGIC: &[u8; 8] = b"LODEVDEL";
const FORMAT_VERSION: u16 = 1;
const OWNED: u8 = 1;

/// A write.
#[derive(Debug, Clone, Default)]
pub(crate) struct Delta {
    /// Rows put.
    pub(crate) rows: Vec<DeltaRow>,
    /// Keys deleted.
    pub(crate) deleted: Vec<DeltaKey>,
}

/// A key to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeltaKey {
    pub(crate) key: String,
    /// Deleted only while the row is this owner's.
    pub(crate) owner: Option<Owner>,
}

/// A row with its owner.
#[derive(Debug, Clone)]
pub(crate) struct DeltaRow {
    pub(crate) row: NewRow,
    pub(crate) owner: Option<Owner>,
}

impl Delta {
    /// Encodes; errs when it is more than one write may be.
    pub(crate) fn encode(&self, dimension: usize) -> Result<Vec<u8>> {
        if self.rows.len() + self.deleted.len() > WRITE_ROWS_MAX {
            return Err(Error::Invalid(format!("a write has at most {WRITE_ROWS_MAX} rows")));
        }
        let rows: usize = self.rows.iter().map(|r| 64 + r.row.key.len() + dimension * 4).sum();
        let mut out = Vec::with_capacity(24 + rows);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&(dimension as u32).to_le_bytes());
        out.extend_from_slice(&(self.rows.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.deleted.len() as u32).to_le_bytes());
        for DeltaRow { row, owner } in &self.rows {
            put_properties(&mut out, &row.key, *owner, &row.metadata)?;
            put_floats(&mut out, &row.vector);
        }
        for DeltaKey { key, owner } in &self.deleted {
            out.extend_from_slice(&key_len(key)?.to_le_bytes());
            out.extend_from_slice(&[if owner.is_some() { OWNED } else { 0 }, 0]);
            out.extend_from_slice(key.as_bytes());
            if let Some(Owner(owner)) = owner {
                out.extend_from_slice(owner);
            }
        }
        if out.len() > WRITE_BYTES_MAX {
            return Err(Error::Invalid(format!("a write has at most {WRITE_BYTES_MAX} bytes")));
        }
        Ok(out)
    }

    /// Decodes what [`Delta::encode`] made.
    pub(crate) fn decode(bytes: &[u8], dimension: usize) -> Result<Self> {
        let mut cursor = Cursor::new("delta", bytes);
        cursor.begin(MAGIC, FORMAT_VERSION)?;
        cursor.u16()?;
        let found = cursor.u32()? as usize;
        if found != dimension {
            return Err(cursor.corrupt(&format!("dimension {found}, expected {dimension}")));
        }
        let (rows, keys) = (cursor.u32()? as usize, cursor.u32()? as usize);
        if rows.saturating_add(keys) > WRITE_ROWS_MAX {
            return Err(cursor.corrupt("more rows than a write can have"));
        }
        let mut delta = Self { rows: Vec::with_capacity(rows), deleted: Vec::with_capacity(keys) };
        for _ in 0..rows {
            let Properties { key, owner, metadata } = Properties::read(&mut cursor)?;
            let vector = cursor.floats(dimension)?;
            delta.rows.push(DeltaRow { row: NewRow { key, vector, metadata }, owner });
        }
        for _ in 0..keys {
            let key_bytes = cursor.u16()?.into();
            let [flags, _] = cursor.array()?;
            let key = cursor.text(key_bytes)?.to_owned();
            let owner = match flags & OWNED {
                0 => None,
                _ => Some(Owner(cursor.array()?)),
            };
            delta.deleted.push(DeltaKey { key, owner });
        }
        cursor.end()?;
        Ok(delta)
    }
}
