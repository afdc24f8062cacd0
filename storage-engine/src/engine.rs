//! The engine: open a device, commit batches, read, close. The only file that composes the parts.

use std::sync::Arc;

use bytes::Bytes;

use crate::batch::{Batch, Outcome, Which};
use crate::cipher::MasterKey;
use crate::entry::Entry;
use crate::environment::Environment;
use crate::error::Result;
use crate::id::SpaceId;
use crate::lock::Lock;
use crate::media::Media;
use crate::scan::{Scan, ScanPage, VersionScan};
use crate::value::{Placement, Record, Sealed, Value, ValueWriter};

/// A store on one device. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {}

impl Engine {
    /// Opens the store on `media`, or makes one on a fresh medium; replays what the last owner left.
    pub fn open(
        _environment: Arc<dyn Environment>,
        _media: Arc<dyn Media>,
        _master: Arc<dyn MasterKey>,
        _options: crate::options::Options,
    ) -> Result<Self> {
        todo!()
    }

    /// Stops taking writes, finishes those in flight, writes a checkpoint and seals the journal.
    pub async fn close(&self) -> Result<()> {
        todo!()
    }

    /// An id that no space ever had; [`crate::Operation::CreateSpace`] makes the space.
    pub fn reserve_space(&self) -> SpaceId {
        todo!()
    }

    /// Sequences a batch and returns when it is durable and visible, one outcome an operation.
    pub async fn commit(&self, _batch: Batch) -> Result<Vec<Outcome>> {
        todo!()
    }

    /// Commits batches that need not be atomic with each other, in one go; results in their order.
    pub async fn commit_all(&self, _batches: Vec<Batch>) -> Vec<Result<Vec<Outcome>>> {
        todo!()
    }

    /// The current version of a name: none when there is none or it was deleted.
    pub fn current(&self, _space: SpaceId, _name: &[u8]) -> Result<Option<Entry>> {
        todo!()
    }

    /// The newest version of a name, a marker too.
    pub fn newest(&self, _space: SpaceId, _name: &[u8]) -> Result<Option<Entry>> {
        todo!()
    }

    /// One version of a name, a marker too.
    pub fn version(&self, _space: SpaceId, _name: &[u8], _which: Which) -> Result<Option<Entry>> {
        todo!()
    }

    /// The lock of a version.
    pub fn lock_of(&self, _entry: &Entry) -> Option<Lock> {
        todo!()
    }

    /// A page of current names.
    pub fn scan(&self, _space: SpaceId, _scan: &Scan) -> Result<ScanPage> {
        todo!()
    }

    /// A page of versions.
    pub fn scan_versions(&self, _space: SpaceId, _scan: &VersionScan) -> Result<ScanPage> {
        todo!()
    }

    /// True when the space holds no version at all.
    pub fn is_empty(&self, _space: SpaceId) -> Result<bool> {
        todo!()
    }

    /// Reads and verifies the record of a version that was just looked up. A version that was
    /// rewritten or moved meanwhile is followed; one that is gone is `NotFound(Version)`.
    pub async fn load(&self, _space: SpaceId, _name: &Bytes, _entry: &Entry) -> Result<Record> {
        todo!()
    }

    /// A writer for a value that will be put into `space`. `len`: the length, if it is known.
    /// Refused with `Busy(Space)` before a byte is taken when the device is full.
    pub fn writer(
        &self,
        _space: SpaceId,
        _placement: Placement,
        _len: Option<u64>,
    ) -> Result<ValueWriter> {
        todo!()
    }

    /// Seals values for `space`, joined in order; moves no data. Joining more than one needs values
    /// that are not inline.
    pub fn adopt(&self, _space: SpaceId, _values: &[Sealed]) -> Result<Value> {
        todo!()
    }

    /// Seals a small value at once.
    pub fn seal_small(&self, _space: SpaceId, _data: &[u8]) -> Result<Value> {
        todo!()
    }

    /// Figures for metrics.
    pub fn stats(&self) -> crate::stats::Stats {
        todo!()
    }
}
