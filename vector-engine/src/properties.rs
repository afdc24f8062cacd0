//! What a row says besides its vector, as bytes: in deltas and in sealed segments.
//!
//! ```text
//! 0  2  key bytes
//! 2  1  flags (1: it has an owner)
//! 3  1  0
//! 4  4  metadata bytes
//! 8  …  key, owner (16 or 0), metadata
//! ```

use crate::codec::Cursor;
use crate::error::{Error, Result};
use crate::limits::KEY_BYTES_MAX;
use crate::metadata::Metadata;
use crate::row::Owner;

const OWNED: u8 = 1;

/// Key, owner and metadata of a row.
#[derive(Debug, Clone)]
pub(crate) struct Properties {
    pub(crate) key: String,
    pub(crate) owner: Option<Owner>,
    pub(crate) metadata: Metadata,
}

/// Appends them.
pub(crate) fn put_properties(
    out: &mut Vec<u8>,
    key: &str,
    owner: Option<Owner>,
    metadata: &Metadata,
) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&key_len(key)?.to_le_bytes());
    out.extend_from_slice(&[if owner.is_some() { OWNED } else { 0 }, 0]);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(key.as_bytes());
    if let Some(Owner(owner)) = owner {
        out.extend_from_slice(&owner);
    }
    let before = out.len();
    metadata.encode_into(out);
    let len = (out.len() - before) as u32;
    if let Some(field) = out.get_mut(start + 4..start + 8) {
        field.copy_from_slice(&len.to_le_bytes());
    }
    Ok(())
}

impl Properties {
    /// Reads what [`put_properties`] wrote.
    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        let key_bytes = cursor.u16()?.into();
        let [flags, _] = cursor.array()?;
        let metadata_bytes = cursor.u32()? as usize;
        let key = cursor.text(key_bytes)?.to_owned();
        let owner = match flags & OWNED {
            0 => None,
            _ => Some(Owner(cursor.array()?)),
        };
        let metadata = Metadata::decode(cursor.take(metadata_bytes)?)?;
        Ok(Self { key, owner, metadata })
    }
}

/// The length of a key; errs when no key has it.
pub(crate) fn key_len(key: &str) -> Result<u16> {
    match key.len() {
        0 => Err(Error::Invalid("a key has at least one byte".to_owned())),
        len if len > KEY_BYTES_MAX => {
            Err(Error::Invalid(format!("a key has at most {KEY_BYTES_MAX} bytes")))
        }
        len => Ok(len as u16),
    }
}
