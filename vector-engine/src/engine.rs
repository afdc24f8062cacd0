//! The vector engine: open indexes, what they share, and the threads behind them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use storage_engine::{Engine, Environment, SpaceId};

use crate::cache::{CacheStats, Caches};
use crate::error::{Error, Result};
use crate::index::{Index, IndexInner, IndexStats};
use crate::limits::{GRAPH_ROWS_MIN, READERS_MAX};
use crate::metrics::{Counters, QueryStats};
use crate::pace::{Foreground, Pressing, Unhurried, Yielding};
use crate::recall::{QueryShare, RecallProbe, RecallStats, Runner};
use crate::row::IndexSettings;
use crate::store::Store;
use crate::upkeep::Did;

/// How often the background thread looks whether something is to be done.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Long enough for an ingest to be over, short enough for who queries then.
const SETTLE_AFTER: Duration = Duration::from_secs(20);

/// Decisions about a vector engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Memory for what queries use again: filter columns and text indexes, read whole, and pages of
    /// vectors and of what else rows say.
    pub cache_bytes: usize,
    /// Rows from which a sealed segment has a graph.
    pub graph_rows_min: usize,
    /// Rows after which a growing segment is sealed.
    pub growing_rows_max: usize,
    /// How long an index has no write before its segments become one with a graph.
    pub settle_after: Duration,
    /// Share of queries that are answered once more, exactly, to count what they found.
    pub recall_probe: QueryShare,
    /// Seal and compact in the background. Without it, [`Index::maintain`] does.
    pub background: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 256 * 1024 * 1024,
            graph_rows_min: GRAPH_ROWS_MIN,
            growing_rows_max: crate::limits::GROWING_ROWS_MAX,
            settle_after: SETTLE_AFTER,
            recall_probe: QueryShare::NONE,
            background: true,
        }
    }
}

/// Vector indexes on one storage engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct VectorEngine {
    shared: Arc<Shared>,
    indexes: Arc<Indexes>,
    threads: Arc<Mutex<Vec<std::thread::JoinHandle<()>>>>,
}

/// Indexes by their space. Apart from what indexes share, so that neither holds the other for good.
#[derive(Debug, Default)]
struct Indexes(Mutex<HashMap<SpaceId, Slot>>);

/// What indexes share.
pub(crate) struct Shared {
    engine: Engine,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) options: EngineOptions,
    pub(crate) caches: Caches,
    pub(crate) foreground: Foreground,
    pub(crate) readers: tokio::sync::Semaphore,
    pub(crate) counters: Counters,
    pub(crate) recall: RecallProbe,
    /// How often a thread was to look now.
    wakes: (Mutex<u64>, Condvar),
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}

/// An index that is open or being opened.
type Slot = Arc<tokio::sync::OnceCell<Index>>;

/// Figures of all open indexes.
#[derive(Debug, Clone, Default)]
pub struct VectorStats {
    /// Indexes that are open.
    pub open_indexes: u64,
    /// Their figures, added up.
    pub indexes: IndexStats,
    /// The cache of filter columns and text indexes.
    pub parts: CacheStats,
    /// The cache of pages.
    pub pages: CacheStats,
    /// Queries by phase and plan.
    pub queries: QueryStats,
    /// What queries found of what they should.
    pub recall: RecallStats,
}

impl VectorEngine {
    /// Vector indexes on `engine`, which was opened with `environment`.
    pub fn new(
        engine: Engine,
        environment: Arc<dyn Environment>,
        options: EngineOptions,
    ) -> Result<Self> {
        let background = options.background && !environment.is_inline();
        let runner = if background { Runner::Thread } else { Runner::Caller };
        let shared = Arc::new(Shared {
            engine,
            caches: Caches::new(options.cache_bytes),
            recall: RecallProbe::new(options.recall_probe, runner),
            environment,
            options,
            foreground: Foreground::default(),
            readers: tokio::sync::Semaphore::new(READERS_MAX),
            counters: Counters::default(),
            wakes: (Mutex::new(0), Condvar::new()),
        });
        let indexes = Arc::<Indexes>::default();
        let mut threads = Vec::new();
        let mut start = |name, job| -> Result<()> {
            let spawned = shared.environment.spawn(name, job);
            let io = |error| storage_engine::Error::io("start a thread", error);
            threads.push(spawned.map_err(io)?);
            Ok(())
        };
        for (name, work) in [("vector-seal", Work::Seal), ("vector-merge", Work::Merge)] {
            if background {
                let (shared_there, there) = (Arc::downgrade(&shared), Arc::downgrade(&indexes));
                start(name, Box::new(move || keep_up(&shared_there, &there, work)))?;
            }
        }
        if background && shared.options.recall_probe != QueryShare::NONE {
            let there = Arc::downgrade(&shared);
            let job = move || crate::recall::keep_probing(&there, LOOK_INTERVAL);
            start("vector-recall", Box::new(job))?;
        }
        Ok(Self { shared, indexes, threads: Arc::new(Mutex::new(threads)) })
    }

    /// The index in `space`, opened when it is not; an index that was just made is empty. The settings
    /// count when it is opened.
    pub async fn index(&self, space: SpaceId, settings: &IndexSettings) -> Result<Index> {
        let slot = Arc::clone(self.indexes.0.lock().entry(space).or_default());
        let open = || {
            let store = Store { engine: self.shared.engine.clone(), space };
            Index::open(&self.shared, store, settings.clone())
        };
        let opened = slot.get_or_try_init(open).await;
        match opened {
            Ok(index) => Ok(index.clone()),
            Err(error) => {
                let mut indexes = self.indexes.0.lock();
                if indexes.get(&space).is_some_and(|held| !held.initialized()) {
                    indexes.remove(&space);
                }
                Err(error)
            }
        }
    }

    /// Forgets an index whose space is gone. Queries that run end on what they see.
    pub fn forget(&self, space: SpaceId) {
        let slot = self.indexes.0.lock().remove(&space);
        if let Some(index) = slot.as_ref().and_then(|slot| slot.get()) {
            index.inner.set_gone();
        }
        self.shared.caches.forget(space, None);
    }

    /// Figures.
    pub fn stats(&self) -> VectorStats {
        let mut stats = VectorStats {
            parts: self.shared.caches.parts.stats(),
            pages: self.shared.caches.pages.stats(),
            queries: self.shared.counters.read(),
            recall: self.shared.recall.read(),
            ..VectorStats::default()
        };
        for index in self.indexes.open() {
            stats.open_indexes += 1;
            stats.indexes += index.stats();
        }
        stats
    }

    /// Ends background work. What it had not finished is taken up at the next start.
    pub async fn close(&self) {
        self.shared.foreground.close();
        self.shared.wake();
        self.shared.recall.wake();
        self.indexes.0.lock().clear();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            let joined = tokio::task::spawn_blocking(move || thread.join().is_err()).await;
            if !matches!(joined, Ok(false)) {
                tracing::error!("a thread of the vector engine panicked");
            }
        }
    }
}

impl Index {
    /// Seals and compacts until nothing is left to do, on this thread. For owners without background
    /// work.
    pub fn maintain(&self) -> Result<()> {
        while crate::upkeep::step(&self.inner, &Unhurried)? == Did::Something {}
        Ok(())
    }

    /// Seals what grows, whatever its size, and then does as [`Index::maintain`].
    pub fn seal(&self) -> Result<()> {
        crate::upkeep::seal(&self.inner, &Unhurried)?;
        self.maintain()
    }
}

impl Indexes {
    fn open(&self) -> Vec<Index> {
        self.0.lock().values().filter_map(|slot| slot.get().cloned()).collect()
    }
}

impl Shared {
    /// Has the background threads look now.
    pub(crate) fn wake(&self) {
        *self.wakes.0.lock() += 1;
        self.wakes.1.notify_all();
    }

    /// Waits until it is to be looked again; `seen` are the wakes that were seen.
    fn wait(&self, seen: &mut u64) {
        let mut wakes = self.wakes.0.lock();
        if *wakes == *seen {
            self.wakes.1.wait_for(&mut wakes, LOOK_INTERVAL);
        }
        *seen = *wakes;
    }
}

/// What a background thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Seals growing segments. Writers wait for it, so it yields to nobody.
    Seal,
    /// Everything else, which may take minutes.
    Merge,
}

/// A background thread: one step of each index that has something to do, in turns.
fn keep_up(shared: &Weak<Shared>, indexes: &Weak<Indexes>, work: Work) {
    if work == Work::Merge {
        crate::upkeep::lower_priority();
    }
    let mut seen = 0;
    loop {
        let (Some(shared), Some(indexes)) = (shared.upgrade(), indexes.upgrade()) else { return };
        if shared.foreground.is_closing() {
            return;
        }
        let mut idle = true;
        for index in indexes.open() {
            let did = match work {
                Work::Seal => crate::upkeep::seal_step(&index.inner, &Pressing(&shared.foreground)),
                Work::Merge => {
                    crate::upkeep::merge_step(&index.inner, &Yielding::new(&shared.foreground))
                }
            };
            match did {
                Ok(Did::Nothing) => {}
                Ok(Did::Something) => idle = false,
                Err(Error::Stopped) => return,
                Err(_) if index.inner.is_gone() => {}
                Err(error) => note_failure(&index.inner, &error),
            }
        }
        drop(indexes);
        if idle {
            shared.wait(&mut seen);
        } else {
            // A seal may be what a merge waits for.
            shared.wake();
        }
    }
}

fn note_failure(index: &IndexInner, error: &Error) {
    tracing::error!(space = %index.store.space, %error, "upkeep of a vector index failed");
}
