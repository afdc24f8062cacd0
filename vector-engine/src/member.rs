//! A set of rows with the dead among them: growing or sealed, as a query and a merge see it.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::chunk::Chunk;
use crate::error::Result;
use crate::key_hash::KeyHash;
use crate::layout::Locator;
use crate::pages::Reading;
use crate::row::Owner;
use crate::sealed::Sealed;

/// Rows that lie together.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    Growing(Arc<Chunk>),
    Sealed(Arc<Sealed>),
}

/// Rows and the dead among them. Cheap to clone; what a clone sees does not change.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) rows: Rows,
    pub(crate) dead: Arc<RoaringBitmap>,
}

impl Member {
    /// A member without dead rows.
    pub(crate) fn new(rows: Rows) -> Self {
        Self { rows, dead: Arc::default() }
    }

    /// True when both are the same rows, whichever of them are dead.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.rows, &other.rows) {
            (Rows::Growing(a), Rows::Growing(b)) => Arc::ptr_eq(a, b),
            (Rows::Sealed(a), Rows::Sealed(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Number of rows, dead ones too.
    pub(crate) fn len(&self) -> u32 {
        match &self.rows {
            Rows::Growing(chunk) => chunk.len(),
            Rows::Sealed(sealed) => sealed.len(),
        }
    }

    /// Number of rows that live.
    pub(crate) fn living(&self) -> u32 {
        self.len() - self.dead.len() as u32
    }

    /// The living row of a key.
    pub(crate) fn find(&self, hash: KeyHash) -> Option<u32> {
        let row = match &self.rows {
            Rows::Growing(chunk) => chunk.find(hash),
            Rows::Sealed(sealed) => sealed.find(hash),
        };
        row.filter(|row| !self.dead.contains(*row))
    }

    /// The hash of a row.
    pub(crate) fn hash(&self, row: u32) -> KeyHash {
        match &self.rows {
            Rows::Growing(chunk) => chunk.hash(row),
            Rows::Sealed(sealed) => sealed.hash(row),
        }
    }

    /// The first row whose hash is not below `hash`.
    pub(crate) fn lower_bound(&self, hash: KeyHash) -> u32 {
        match &self.rows {
            Rows::Growing(chunk) => chunk.hashes().partition_point(|held| *held < hash) as u32,
            Rows::Sealed(sealed) => sealed.lower_bound(hash),
        }
    }

    /// Marks a row dead.
    pub(crate) fn kill(&mut self, row: u32) {
        Arc::make_mut(&mut self.dead).insert(row);
    }

    /// True when the row has an owner.
    pub(crate) fn is_owned(&self, row: u32) -> bool {
        match &self.rows {
            Rows::Growing(chunk) => chunk.row(row).is_some_and(|row| row.owner.is_some()),
            Rows::Sealed(sealed) => sealed.resident.owned.contains(row),
        }
    }

    /// Those of some rows that have an owner.
    pub(crate) fn owned_of(&self, rows: &RoaringBitmap) -> RoaringBitmap {
        match &self.rows {
            Rows::Growing(_) => rows.iter().filter(|row| self.is_owned(*row)).collect(),
            Rows::Sealed(sealed) => rows & &sealed.resident.owned,
        }
    }

    /// True when a row that lives has an owner.
    pub(crate) fn has_owned(&self) -> bool {
        match &self.rows {
            Rows::Growing(chunk) => chunk.living(&self.dead).any(|row| self.is_owned(row)),
            Rows::Sealed(sealed) => !sealed.resident.owned.is_subset(&self.dead),
        }
    }

    /// The owner of a row. Blocks: a sealed row is read.
    pub(crate) fn owner(&self, row: u32) -> Result<Option<Owner>> {
        match &self.rows {
            Rows::Growing(chunk) => Ok(chunk.row(row).and_then(|row| row.owner)),
            Rows::Sealed(sealed) if sealed.resident.owned.contains(row) => {
                let mut at: Option<Locator> = None;
                sealed.read_rows(&[row], Reading::Again, |_, bytes| {
                    at = Some(bytes.locator()?);
                    Ok(())
                })?;
                let found = sealed.read_properties(at.as_slice(), Reading::Again)?;
                Ok(found.first().and_then(|properties| properties.owner))
            }
            Rows::Sealed(_) => Ok(None),
        }
    }
}
