//! The control plane's records: buckets, users, settings; small and rare. The only place that names
//! sled.
//!
//! - The truth is a record in the engine's root space (`ROOT_SPACE`, name `kind/name`); a change is
//!   committed there first, together with whatever must happen with it.
//! - sled holds a *view* for lookups and ordered listing, with the engine sequence it has applied.
//!   Any error, corruption, panic at open or watermark mismatch deletes the view and rebuilds it.

use bytes::Bytes;
use storage_engine::{Condition, Engine, Operation};

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A bucket, by name.
    Bucket,
    /// A setting of the store, by name.
    Setting,
}

/// One record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogRecord {
    /// Its name within its kind.
    pub name: String,
    /// The engine's sequence of this state: the token for the next change.
    pub sequence: u64,
    /// When it was written, ms since 1970.
    pub time_ms: u64,
    /// The owner's bytes (JSON).
    pub bytes: Bytes,
}

/// What a change expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No record.
    Absent,
    /// The record in this state.
    Sequence(u64),
}

/// A change of one record with what must happen atomically with it.
#[derive(Debug)]
pub struct Change {
    /// Kind of the record.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What must be there now.
    pub expect: Expect,
    /// The new bytes, or none to delete the record.
    pub bytes: Option<Bytes>,
    /// More conditions of the same batch.
    pub conditions: Vec<Condition>,
    /// More operations of the same batch (make or drop the bucket's spaces).
    pub operations: Vec<Operation>,
}

/// The control plane's records. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalog {}

impl Catalog {
    /// Opens the view in `directory` (none: in memory) beside `engine`, rebuilding it as needed.
    pub async fn open(
        _engine: Engine,
        _directory: Option<std::path::PathBuf>,
    ) -> storage_engine::Result<Self> {
        todo!()
    }

    /// One record.
    pub fn get(&self, _kind: Kind, _name: &str) -> Option<CatalogRecord> {
        todo!()
    }

    /// Records of a kind after `after` in name order, at most `limit`.
    pub fn list(&self, _kind: Kind, _after: Option<&str>, _limit: usize) -> Vec<CatalogRecord> {
        todo!()
    }

    /// Makes a change durable, then shows it. `Error::Condition` when `expect` did not hold.
    pub async fn change(&self, _change: Change) -> storage_engine::Result<CatalogRecord> {
        todo!()
    }
}
