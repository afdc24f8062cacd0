//! One vector index, as its users hold it: a log of writes that becomes segments.
//!
//! - A write goes through the lane ([`lane`]), which gives it its place.
//! - A read is of one state, on a thread that may wait for a device.

mod deletion;
mod lane;
mod recovery;
mod stats;
mod texts;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use storage_engine::{Batch, Outcome};
use tokio::sync::oneshot;

use crate::delta::{Delta, DeltaKey, DeltaRow};
use crate::engine::Shared;
use crate::error::{Error, Result};
use crate::key_hash::{HashSecret, KeyHash};
use crate::limits::{PAGE_ROWS_MAX, TOP_MAX};
use crate::listing::{self, List, ListPage};
use crate::pages::Reading;
use crate::query::{self, Answer, Query};
use crate::row::{IndexSettings, NewRow, Owner, Row, Want};
use crate::state::State;
use crate::store::Store;
use crate::wait::wait;

pub use lane::Hold;
pub(crate) use lane::Lane;
use lane::Waiting;
pub use stats::IndexStats;
use texts::OutdatedTexts;
pub use texts::TextState;

/// A vector index. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Index {
    pub(crate) inner: Arc<IndexInner>,
}

#[derive(Debug)]
pub(crate) struct IndexInner {
    pub(crate) store: Store,
    pub(crate) shared: Arc<Shared>,
    settings: RwLock<Arc<IndexSettings>>,
    secret: HashSecret,
    state: RwLock<Arc<State>>,
    queue: Mutex<VecDeque<Waiting>>,
    lane: tokio::sync::Mutex<Lane>,
    /// Held by whoever seals, and by whoever merges: one of each at a time.
    pub(crate) sealing: Mutex<()>,
    pub(crate) merging: Mutex<()>,
    /// Text parts that upkeep has to build anew.
    pub(crate) outdated_texts: OutdatedTexts,
    /// Told when a seal made room.
    settled: tokio::sync::Notify,
    gone: AtomicBool,
    /// When the last write was committed.
    written_at: Mutex<Duration>,
    /// The last query found in memory all that it read.
    is_warm: AtomicBool,
}

impl Index {
    /// Puts rows; a row with a key that is there takes its place. Durable and found by every later
    /// query when it returns.
    pub async fn put(&self, rows: Vec<NewRow>) -> Result<()> {
        let rows = rows.into_iter().map(|row| DeltaRow { row, owner: None }).collect();
        self.write(Delta { rows, deleted: Vec::new() }, Vec::new(), Batch::default()).await?;
        Ok(())
    }

    /// Deletes rows. Keys that are not there are passed over.
    pub async fn delete(&self, keys: Vec<String>) -> Result<()> {
        let key = |key| DeltaKey { key, owner: None };
        let deleted = keys.into_iter().map(key).collect();
        self.write(Delta { rows: Vec::new(), deleted }, Vec::new(), Batch::default()).await?;
        Ok(())
    }

    /// Writes for an owner: rows that only it changes from now on, together with `extra`, all or
    /// nothing. `extra`'s outcomes come back.
    pub async fn write_owned(
        &self,
        owner: Owner,
        rows: Vec<NewRow>,
        extra: Batch,
    ) -> Result<Vec<Outcome>> {
        let rows = rows.into_iter().map(|row| (owner, row)).collect();
        self.change_owned(rows, Vec::new(), extra).await
    }

    /// Deletes what of `keys` is the owner's, together with `extra`, all or nothing.
    pub async fn delete_owned(
        &self,
        owner: Owner,
        keys: Vec<String>,
        extra: Batch,
    ) -> Result<Vec<Outcome>> {
        let keys = keys.into_iter().map(|key| (owner, key)).collect();
        self.change_owned(Vec::new(), keys, extra).await
    }

    /// Puts rows for their owners and deletes what of `keys` is their owners', together with `extra`,
    /// all or nothing. A row may take the place of one whose owner stands in `keys`. A write whose
    /// conditions do not hold is refused for them, whatever else stands in its way.
    pub async fn change_owned(
        &self,
        rows: Vec<(Owner, NewRow)>,
        mut keys: Vec<(Owner, String)>,
        extra: Batch,
    ) -> Result<Vec<Outcome>> {
        let owners = rows.iter().map(|(owner, _)| *owner);
        let acts_for = owners.chain(keys.iter().map(|(owner, _)| *owner)).collect();
        keys.retain(|(_, key)| rows.iter().all(|(_, row)| row.key != *key));
        let row = |(owner, row)| DeltaRow { row, owner: Some(owner) };
        let key = |(owner, key)| DeltaKey { key, owner: Some(owner) };
        let rows = rows.into_iter().map(row).collect();
        let deleted = keys.into_iter().map(key).collect();
        self.write(Delta { rows, deleted }, acts_for, extra).await
    }

    /// The rows of these keys that are there, in the order of `keys`.
    pub async fn get(&self, keys: &[String], want: Want) -> Result<Vec<Row>> {
        let secret = self.inner.secret;
        let keys: Vec<(KeyHash, String)> =
            keys.iter().map(|key| (KeyHash::of(&secret, key), key.clone())).collect();
        self.read(move |state, _| listing::get(state, &keys, want)).await
    }

    /// A page of rows, in an order that no write changes.
    pub async fn list(&self, list: List) -> Result<ListPage> {
        let limit = list.limit.clamp(1, PAGE_ROWS_MAX);
        let list = List { limit, ..list };
        self.read(move |state, settings| listing::list(state, settings, &list)).await
    }

    /// The nearest rows.
    pub async fn query(&self, query: Query) -> Result<Answer> {
        let settings = self.settings();
        if let Some(vector) = &query.vector
            && vector.len() != settings.dimension
        {
            let (found, expected) = (vector.len(), settings.dimension);
            return Err(Error::Invalid(format!(
                "the vector has {found} dimensions, not {expected}"
            )));
        }
        if query.top == 0 || query.top > TOP_MAX {
            return Err(Error::Invalid(format!("between 1 and {TOP_MAX} results can be asked")));
        }
        if let Some(answer) = self.answered_from_memory(&query)? {
            return Ok(answer);
        }
        let inner = Arc::clone(&self.inner);
        self.read(move |state, settings| {
            let missed = state.missed_pages();
            let answer = query::run(&inner.shared, state, settings, &query, Reading::Again);
            inner.is_warm.store(state.missed_pages() == missed, Ordering::Relaxed);
            answer
        })
        .await
    }

    /// A light query's answer without another thread, when the last one found all it read in memory.
    fn answered_from_memory(&self, query: &Query) -> Result<Option<Answer>> {
        let (inner, shared) = (&self.inner, &self.inner.shared);
        let (state, settings) = (inner.state(), inner.settings());
        if !inner.is_warm.load(Ordering::Relaxed)
            || inner.is_gone()
            || !query::is_light(&state, &settings, query)
        {
            return Ok(None);
        }
        let _running = shared.foreground.enter();
        match query::run(shared, &state, &settings, query, Reading::Held) {
            Err(Error::NotHeld) => {
                inner.is_warm.store(false, Ordering::Relaxed);
                Ok(None)
            }
            answered => answered.map(Some),
        }
    }

    /// Settings as they are now.
    pub fn settings(&self) -> Arc<IndexSettings> {
        self.inner.settings()
    }

    /// Runs a reader on a blocking thread. What a compaction took away under it is read once more
    /// from what took its place.
    async fn read<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Arc<State>, &IndexSettings) -> Result<T> + Send + 'static,
    {
        if self.inner.is_gone() {
            return Err(Error::NotFound);
        }
        let inner = Arc::clone(&self.inner);
        let job = move || {
            let _running = inner.shared.foreground.enter();
            let mut state = inner.state();
            loop {
                let result = read(&state, &inner.settings());
                if !matches!(
                    result,
                    Err(Error::Storage(storage_engine::Error::NotFound(_)) | Error::Corrupt(_))
                ) {
                    return result;
                }
                // A merge takes its segments away before it shows what took their place. It has the
                // turn meanwhile.
                drop(wait(inner.turn()));
                let now = inner.state();
                if inner.is_gone() {
                    return Err(Error::NotFound);
                }
                if state.is_kept_by(&now) {
                    return result;
                }
                state = now;
            }
        };
        self.run(job).await
    }

    /// Runs a job on a blocking thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let environment = &self.inner.shared.environment;
        if environment.is_inline() {
            return job();
        }
        let permit = self.inner.shared.readers.acquire().await.map_err(|_| Error::Stopped)?;
        let (done, result) = oneshot::channel();
        environment.run_blocking(Box::new(move || {
            // A caller that went away needs no answer.
            drop(done.send(job()));
        }));
        let result = result.await.map_err(|_| Error::Stopped)?;
        drop(permit);
        result
    }
}

impl IndexInner {
    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read())
    }

    pub(crate) fn settings(&self) -> Arc<IndexSettings> {
        Arc::clone(&self.settings.read())
    }

    /// How long there was no write.
    pub(crate) fn idle_for(&self) -> Duration {
        self.shared.environment.monotonic().saturating_sub(*self.written_at.lock())
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub(crate) fn set_gone(&self) {
        self.gone.store(true, Ordering::Release);
        self.settled.notify_waiters();
    }

    /// Shows a new state. Only the holder of the turn calls it.
    pub(crate) fn show(&self, state: State) {
        *self.state.write() = Arc::new(state);
    }
}
