//! A fork: another index with all rows that one has at one moment, for the price of its records.
//!
//! - The records of the index (manifest, deltas, parts of segments, dead rows) are put into another
//!   space under the same names. Their values are adopted: bytes that lie in blobs stay where they
//!   are and belong to both, until each index has compacted them away or is gone.
//! - The lane's turn is held meanwhile: no write, seal or compaction comes between two records.
//! - All of it is one batch, so that the fork is there whole or not at all.

use bytes::Bytes;
use storage_engine::limits::{BATCH_OPERATIONS_MAX, PAGE_MAX};
use storage_engine::{Body, Operation, Placement, Record, Sealed, SpaceId, Value};

use crate::error::{Error, Result};
use crate::index::{Index, IndexInner, Lane};
use crate::pace::Unhurried;
use crate::store::{Store, dead_name, delta_name, manifest_name, segment_prefix};

/// Operations of a fork's batch; some are left for what happens with it.
const FORK_OPERATIONS_MAX: usize = BATCH_OPERATIONS_MAX - 64;
/// Deltas that are taken over. Of more the growing rows are sealed first: each is a read while writes
/// wait.
const FORK_DELTAS_MAX: usize = 1000;
/// Bytes of values that lie in records, after which the growing rows are sealed first: they are written
/// once more.
const FORK_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of values that lie in the records of the batch, which has to fit a zone, however small. Further
/// ones are written as blobs.
const RECORDS_BYTES_MAX: u64 = 96 * 1024;
/// How often the growing rows are sealed before a fork takes them as they are.
const SEALS_MAX: usize = 3;

impl Index {
    /// Gives `to`, a space that is there and empty, all that this index has as of now. `commit` puts the
    /// operations that it is handed, in one batch, with what else must happen then. What it answers
    /// comes back. Open the fork with the settings of this index.
    ///
    /// Refused while rows have an owner: they would be nobody's in the fork.
    pub async fn fork<T, E, F>(
        &self,
        to: SpaceId,
        commit: impl FnOnce(Vec<Operation>) -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        for _ in 0..SEALS_MAX {
            if !self.inner.is_much_to_fork(&*self.inner.turn().await)? {
                break;
            }
            self.seal_growing().await?;
        }
        let lane = self.inner.turn().await;
        let operations = self.inner.fork_operations(&lane, to).await?;
        let result = commit(operations).await;
        drop(lane);
        result
    }

    /// Seals the growing rows off the workers.
    async fn seal_growing(&self) -> Result<()> {
        let inner = std::sync::Arc::clone(&self.inner);
        self.run(move || crate::upkeep::seal(&inner, &Unhurried)).await
    }
}

impl IndexInner {
    /// Whether growing rows should be sealed before they are taken over.
    fn is_much_to_fork(&self, lane: &Lane) -> Result<bool> {
        if self.is_gone() {
            return Err(Error::NotFound);
        }
        let names = self.deltas_to_fork(lane, FORK_DELTAS_MAX + 1)?;
        let mut bytes = 0;
        for name in &names {
            let entry = self.store.engine.current(self.store.space, name)?;
            bytes += entry.filter(|entry| entry.body == Body::Record).map_or(0, |entry| entry.size);
        }
        Ok(names.len() > FORK_DELTAS_MAX || bytes > FORK_BYTES_MAX)
    }

    /// The deltas that are in no sealed segment.
    fn deltas_to_fork(&self, lane: &Lane, limit: usize) -> Result<Vec<Bytes>> {
        self.store.names(b"d", Some(delta_name(lane.manifest.watermark)), limit)
    }

    async fn fork_operations(&self, lane: &Lane, to: SpaceId) -> Result<Vec<Operation>> {
        if self.is_gone() {
            return Err(Error::NotFound);
        }
        if self.state().members().any(crate::member::Member::has_owned) {
            return Err(Error::Conflict(
                "vectors of the index belong to objects: it cannot be forked".to_owned(),
            ));
        }
        let mut names = vec![manifest_name()];
        for segment in &lane.manifest.segments {
            names.extend(self.store.names(&segment_prefix(*segment), None, PAGE_MAX)?);
            names.push(dead_name(*segment));
        }
        names.extend(self.deltas_to_fork(lane, PAGE_MAX)?);
        if names.len() > FORK_OPERATIONS_MAX {
            return Err(Error::Busy);
        }
        let fork = Store { engine: self.store.engine.clone(), space: to };
        let mut operations = Vec::with_capacity(names.len());
        let mut records_bytes = 0;
        for name in names {
            // Not every segment has dead rows, and a text index may be removed at any time.
            let Some(record) = self.store.record(&name).await? else { continue };
            let size = record.entry.size;
            let lies_in_record = record.entry.body == Body::Record;
            if lies_in_record {
                records_bytes += size;
            }
            let value = match lies_in_record && records_bytes > RECORDS_BYTES_MAX {
                true => copied(&fork, record).await?,
                false => self.adopted(to, &record)?,
            };
            operations.push(fork.put(name, value));
        }
        Ok(operations)
    }

    /// The value of a record under the key of another space.
    fn adopted(&self, to: SpaceId, record: &Record) -> Result<Value> {
        let sealed = Sealed { space: self.store.space, value: record.value() };
        Ok(self.store.engine.adopt(to, &[sealed])?)
    }
}

/// The value of a record, written as a blob.
async fn copied(fork: &Store, record: Record) -> Result<Value> {
    let size = record.entry.size;
    let bytes = record.into_reader(0..size).collect().await?;
    let mut writer = fork.writer(Placement::Blob, Some(size))?;
    writer.write(bytes).await?;
    Ok(writer.finish().await?)
}
