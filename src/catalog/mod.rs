//! The control plane's records: buckets, vector indexes and settings; small and rare. The only folder that names
//! sled.
//!
//! - **The truth is a record in the engine's root space**, named by [`Kind::record_name`]. A change
//!   is one engine batch, with whatever must happen with it; the sequencer decides its conditions.
//! - **Reads never wait and never miss**: the table holds every record in memory. It shows a
//!   change after the engine made it durable and before the caller is told.
//! - **The sled view decides nothing**: it saves [`Catalog::open`] reading each record from the
//!   journal, and a row is believed only if the engine's index names the same sequence, time and
//!   digest. Faulty, stale, lost or stuck, it costs those reads and nothing else.
//! - **The view is in clear**: records hold no secret. Keys and passwords have no place here.

mod limits;
mod reconcile;
mod row;
mod table;
mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use storage_engine::{
    Batch, Bypass, Condition, Content, Engine, Error, Keep, Operation, Outcome, Put, ROOT_SPACE,
    Remove, Result, Test, Value, Which,
};

use limits::PAGE_RECORDS;
pub use limits::{RECORD_BYTES_MAX, RECORDS_MAX, TABLE_BYTES_MAX};
use row::Row;
use table::Table;
use view::{View, ViewChange};

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A bucket, by name.
    Bucket,
    /// A setting of the store, by name.
    Setting,
    /// A vector bucket, by name.
    VectorBucket,
    /// A vector index, by its bucket's name, a slash and its own.
    VectorIndex,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Bucket, Self::Setting, Self::VectorBucket, Self::VectorIndex];

    /// What the names of its records begin with.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Bucket => "bucket/",
            Self::Setting => "setting/",
            Self::VectorBucket => "vector-bucket/",
            Self::VectorIndex => "vector-index/",
        }
    }

    /// The name of a record in the engine's root space, for conditions in other batches:
    /// `Condition { space: ROOT_SPACE, name, test: Test::NewestIs(record.sequence) }`.
    pub fn record_name(self, name: &str) -> Bytes {
        Bytes::from([self.prefix(), name].concat())
    }
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
    /// What must be there now: condition 0 of the batch.
    pub expect: Expect,
    /// The new bytes, or none to delete the record.
    pub bytes: Option<Bytes>,
    /// More conditions of the same batch: from condition 1 on.
    pub conditions: Vec<Condition>,
    /// More operations of the same batch (make or drop the bucket's spaces).
    pub operations: Vec<Operation>,
}

/// The control plane's records. Cheap to clone.
#[derive(Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    table: RwLock<Table>,
    /// None: there is no view, or it was given up until the next open.
    view: Mutex<Option<View>>,
    /// Held from a change's commit until it shows, so that changes show in their order.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Catalog {
    /// Opens the catalog beside `engine`, with the view in `directory` (none: no view), and brings
    /// the view up to date.
    pub async fn open(engine: Engine, directory: Option<PathBuf>) -> Result<Self> {
        let (view, rows) = match directory {
            Some(directory) => View::open(directory).await,
            None => (None, BTreeMap::new()),
        };
        let reconciled = reconcile::reconcile(&engine, rows).await?;
        let catalog = Self {
            inner: Arc::new(Inner {
                engine,
                table: RwLock::new(reconciled.table),
                view: Mutex::new(view),
                turn: Arc::default(),
            }),
        };
        catalog.inner.update_view(reconciled.repairs);
        Ok(catalog)
    }

    /// One record. Never blocks on a device.
    pub fn get(&self, kind: Kind, name: &str) -> Option<CatalogRecord> {
        self.inner.table.read().get(kind, name).cloned()
    }

    /// The sequence of a record: whether what was read of it still holds.
    pub fn sequence(&self, kind: Kind, name: &str) -> Option<u64> {
        self.inner.table.read().get(kind, name).map(|record| record.sequence)
    }

    /// Records of a kind after `after` in name order, at most `limit`.
    pub fn list(&self, kind: Kind, after: Option<&str>, limit: usize) -> Vec<CatalogRecord> {
        self.inner.table.read().after(kind, after).take(limit).cloned().collect()
    }

    /// All records of a kind in name order, page by page: what changes meanwhile may show or not.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = CatalogRecord> {
        let mut after = None;
        let pages = std::iter::from_fn(move || {
            let page = self.list(kind, after.as_deref(), PAGE_RECORDS);
            after = Some(page.last()?.name.clone());
            Some(page)
        });
        pages.flatten()
    }

    /// How many records of a kind have names that begin with `prefix`, counted up to `most`.
    pub fn count(&self, kind: Kind, prefix: &str, most: usize) -> usize {
        self.inner.table.read().count_within(kind, prefix, most)
    }

    /// Makes a change durable, then shows it; returns the new record, or the deleted one.
    /// `Error::Condition` when `expect` (index 0) or one of `conditions` (index 1 on) did not hold.
    ///
    /// Cancel safe: once begun, a change is finished and shown even if nobody waits for it.
    pub async fn change(&self, change: Change) -> Result<CatalogRecord> {
        let turn = Arc::clone(&self.inner.turn).lock_owned().await;
        let inner = Arc::clone(&self.inner);
        let finished = tokio::spawn(async move {
            let result = inner.change(change).await;
            drop(turn);
            result
        });
        finished
            .await
            .map_err(|e| Error::Stopped { reason: format!("catalog change was cut off: {e}") })?
    }

    /// Waits until what was durable shows: a change counts for conditions a moment before it is shown.
    pub async fn settled(&self) {
        drop(self.inner.turn.lock().await);
    }

    /// Lets the view finish what it was given, for a quick next open. The records are safe without.
    pub async fn close(&self) {
        let view = self.inner.view.lock().take();
        if let Some(view) = view {
            view.close().await;
        }
    }
}

impl Inner {
    /// The caller holds the turn.
    async fn change(&self, change: Change) -> Result<CatalogRecord> {
        self.table.read().admit(&change)?;
        let Change { kind, name, bytes, .. } = &change;
        let (kind, name, bytes) = (*kind, name.clone(), bytes.clone());
        let outcomes = self.engine.commit(batch(change)?).await?;
        let Some(&Outcome { sequence, time_ms, .. }) = outcomes.first() else {
            return Err(Error::Invalid("the engine gave no outcome for a change".to_owned()));
        };
        let row_name = kind.record_name(&name);
        match bytes {
            Some(bytes) => {
                let record = CatalogRecord { name, sequence, time_ms, bytes };
                self.table.write().show(kind, record.clone());
                self.update_view(vec![ViewChange::set(row_name, &Row::of(&record))]);
                Ok(record)
            }
            None => {
                let shown = self.table.write().hide(kind, &name);
                self.update_view(vec![ViewChange::Remove(row_name)]);
                let bytes = shown.map(|record| record.bytes).unwrap_or_default();
                Ok(CatalogRecord { name, sequence, time_ms, bytes })
            }
        }
    }

    /// Hands changes to the view without waiting; a view that cannot take them is given up.
    fn update_view(&self, changes: Vec<ViewChange>) {
        let mut view = self.view.lock();
        if let Some(open) = view.as_ref()
            && !changes.is_empty()
            && !open.offer(changes)
        {
            tracing::warn!(
                "catalog view is stuck or lost; going on without it until the next start"
            );
            *view = None;
        }
    }
}

/// The engine batch of a change: its own condition and operation first.
fn batch(change: Change) -> Result<Batch> {
    let Change { kind, name, expect, bytes, conditions, operations } = change;
    let name = kind.record_name(&name);
    let test = match expect {
        Expect::Absent => Test::Absent,
        Expect::Sequence(sequence) => Test::NewestIs(sequence),
    };
    let own_operation = match (bytes, expect) {
        (Some(meta), _) => Operation::Put(Put {
            space: ROOT_SPACE,
            name: name.clone(),
            keep: Keep::Null,
            content: Content::Value {
                value: Value::empty(),
                stamp: row::digest(&meta),
                meta,
                label: 0,
            },
            lock: None,
        }),
        (None, Expect::Sequence(_)) => Operation::Remove(Remove {
            space: ROOT_SPACE,
            name: name.clone(),
            which: Which::Null,
            bypass: Bypass::None,
        }),
        (None, Expect::Absent) => {
            return Err(Error::Invalid("a record expected to be absent cannot be deleted".into()));
        }
    };
    let own_condition = Condition { space: ROOT_SPACE, name, test };
    Ok(Batch {
        conditions: std::iter::once(own_condition).chain(conditions).collect(),
        operations: std::iter::once(own_operation).chain(operations).collect(),
    })
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
