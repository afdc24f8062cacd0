//! The engine: open a device, commit batches, read, close. The only file that composes the parts.

pub(crate) mod ownership;
mod threads;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::oneshot;

use self::ownership::take_ownership;
use self::threads::DataSyncRequest;
use crate::batch::{Batch, Outcome, Which};
use crate::cipher::{MasterKey, SpaceKey};
use crate::counters::Counters;
use crate::entry::Entry;
use crate::environment::Environment;
use crate::error::{Corruption, Error, Missing, Result, Shortage};
use crate::format::{ZoneClass, ZoneHeader};
use crate::id::{Lsn, SPACE_NONE, SpaceId, ZoneId};
use crate::index::Index;
use crate::journal::replay::{FoundCheckpoint, recover};
use crate::journal::{Journal, Position};
use crate::lane::Lane;
use crate::lock::Lock;
use crate::media::{Media, check_zone_bytes};
use crate::options::Options;
use crate::queue::{Pending, Queue, Reply};
use crate::scan::{Scan, ScanPage, VersionScan};
use crate::value::{Placement, Sealed, Value, ValueWriter};
use crate::write_buffer::WriteBuffers;
use crate::zone::{ZONE_IDS_STEP, Zones};

/// A store on one device. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({:?})", self.inner.zones)
    }
}

/// Everything that the parts share.
pub(crate) struct Inner {
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) zones: Zones,
    pub(crate) index: RwLock<Index>,
    pub(crate) options: Options,
    pub(crate) master: Arc<dyn MasterKey>,
    pub(crate) blob_counter: AtomicU64,
    pub(crate) write_buffers: Arc<WriteBuffers>,
    pub(crate) counters: Counters,
    pub(crate) checkpoints: Mutex<Vec<FoundCheckpoint>>,
    pub(crate) lane: Mutex<Lane>,
    /// Live bytes when reclaim last gained nothing on a full device.
    pub(crate) fruitless_live_bytes: AtomicU64,
    /// Zones that reclaim cannot empty: something in them cannot be read.
    pub(crate) rotten_zones: Mutex<HashSet<ZoneId>>,
    next_space: AtomicU32,
    position: Mutex<Option<Position>>,
    time_ms: AtomicU64,
    stopped: RwLock<Option<String>>,
    queue: Queue,
    data_sync: Mutex<Option<mpsc::Sender<DataSyncRequest>>>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    closing: AtomicBool,
    keeper: (Mutex<()>, Condvar),
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inner")
    }
}

impl Engine {
    /// Opens the store on `media`, or makes one on a fresh medium; replays what the last owner left.
    pub fn open(
        environment: Arc<dyn Environment>,
        media: Arc<dyn Media>,
        master: Arc<dyn MasterKey>,
        options: Options,
    ) -> Result<Self> {
        check_zone_bytes(media.zone_bytes())?;
        let options = options.within_zones_of(media.zone_bytes());
        let started = environment.monotonic();
        let root = take_ownership(environment.as_ref(), media.as_ref(), master.as_ref())?;
        let recovered =
            recover(media.as_ref(), master.as_ref(), &root, Some(environment.as_ref()))?;
        if recovered.missing_blobs > 0 {
            return Err(Error::Corrupt(Corruption {
                zone: None,
                offset: 0,
                what: "index",
                expected: "every blob that versions refer to".to_owned(),
                found: format!("{} blobs missing", recovered.missing_blobs),
            }));
        }
        let next_id = root.zone_ids_end - ZONE_IDS_STEP;
        let zones = Zones::new(media, Arc::clone(&environment), root, &recovered.headers, next_id)?;
        for blank in &recovered.blank {
            if recovered.index.live_bytes(*blank) > 0 {
                return Err(Error::Corrupt(Corruption {
                    zone: Some(*blank),
                    offset: 0,
                    what: "zone header",
                    expected: "one of two valid copies".to_owned(),
                    found: "neither, and live data in the zone".to_owned(),
                }));
            }
            zones.media.delete(zones.epoch, *blank)?;
        }
        for header in &recovered.headers {
            zones.mend_header(header)?;
        }
        note_last_lsns(&zones, &recovered.headers, recovered.tail.next_lsn);
        let journal = Journal::resume(&zones, recovered.tail)?;
        let checkpoint_tail = recovered.tail_bytes;
        let inner = Arc::new(Inner {
            environment,
            zones,
            index: RwLock::new(recovered.index),
            write_buffers: Arc::new(WriteBuffers::new(options.write_buffer_bytes)),
            options,
            master,
            blob_counter: AtomicU64::new(1),
            counters: Counters::default(),
            checkpoints: Mutex::new(recovered.checkpoints),
            position: Mutex::new(journal.position()),
            time_ms: AtomicU64::new(recovered.tail.time_ms),
            lane: Mutex::new(Lane::new(journal)),
            fruitless_live_bytes: AtomicU64::new(u64::MAX),
            rotten_zones: Mutex::default(),
            next_space: AtomicU32::new(recovered.next_space),
            stopped: RwLock::default(),
            queue: Queue::default(),
            data_sync: Mutex::default(),
            threads: Mutex::default(),
            closing: AtomicBool::new(false),
            keeper: (Mutex::new(()), Condvar::new()),
        });
        inner.settle_zones();
        // What is left of an unfinished checkpoint goes before the next one, which may be as of the
        // same LSN: they must not be found together.
        inner.zones.sweep()?;
        // The first batch of this epoch takes the place of whatever was torn behind the tail.
        // Without room for it nothing is torn there: the tail ends with its zone.
        match inner.lane.lock().stamp(&inner) {
            Ok(()) | Err(Error::Busy(Shortage::Space)) => {}
            Err(error) => return Err(error),
        }
        let took = inner.environment.monotonic().saturating_sub(started);
        inner.counters.note_recovery(took, recovered.records, checkpoint_tail);
        inner.start_threads()?;
        Ok(Self { inner })
    }

    /// Stops taking writes, finishes those in flight, writes a checkpoint and stamps the journal.
    pub async fn close(&self) -> Result<()> {
        let (done, finished) = oneshot::channel();
        let inner = Arc::clone(&self.inner);
        self.inner.environment.run_blocking(Box::new(move || {
            // The caller may have stopped waiting; the close is done all the same.
            drop(done.send(inner.close()));
        }));
        finished.await.map_err(|_| Error::Stopped { reason: "closed".to_owned() })?
    }

    /// An id that no space ever had; [`crate::Operation::CreateSpace`] makes the space, or is refused
    /// when all ids are used up.
    pub fn reserve_space(&self) -> SpaceId {
        let next = |id: u32| Some(id.saturating_add(1));
        let reserved =
            self.inner.next_space.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        SpaceId(reserved.unwrap_or(SPACE_NONE.0))
    }

    /// Sequences a batch and returns when it is durable and visible, one outcome an operation.
    pub async fn commit(&self, batch: Batch) -> Result<Vec<Outcome>> {
        let reply = self.inner.submit(vec![batch]).pop();
        wait(reply).await
    }

    /// Commits batches that need not be atomic with each other, in one go; results in their order.
    pub async fn commit_all(&self, batches: Vec<Batch>) -> Vec<Result<Vec<Outcome>>> {
        let replies = self.inner.submit(batches);
        let mut results = Vec::with_capacity(replies.len());
        for reply in replies {
            results.push(wait(Some(reply)).await);
        }
        results
    }

    /// The current version of a name: none when there is none or it was deleted.
    pub fn current(&self, space: SpaceId, name: &[u8]) -> Result<Option<Entry>> {
        self.inner.with_index(space, |index| index.current(space, name))
    }

    /// The newest version of a name, a marker too.
    pub fn newest(&self, space: SpaceId, name: &[u8]) -> Result<Option<Entry>> {
        self.inner.with_index(space, |index| index.newest(space, name))
    }

    /// One version of a name, a marker too.
    pub fn version(&self, space: SpaceId, name: &[u8], which: Which) -> Result<Option<Entry>> {
        self.inner.with_index(space, |index| match which {
            Which::Sequence(sequence) => index.by_sequence(space, name, sequence),
            Which::Null => index.null(space, name),
        })
    }

    /// The lock of a version.
    pub fn lock_of(&self, entry: &Entry) -> Option<Lock> {
        if !entry.is_locked() {
            return None;
        }
        self.inner.index.read().locks.get(&entry.sequence).copied()
    }

    /// A page of current names.
    pub fn scan(&self, space: SpaceId, scan: &Scan) -> Result<ScanPage> {
        let index = self.inner.index.read();
        let held = index.spaces.get(&space).ok_or(Error::NotFound(Missing::Space(space)))?;
        Ok(held.scan(scan))
    }

    /// A page of versions.
    pub fn scan_versions(&self, space: SpaceId, scan: &VersionScan) -> Result<ScanPage> {
        let index = self.inner.index.read();
        let held = index.spaces.get(&space).ok_or(Error::NotFound(Missing::Space(space)))?;
        Ok(held.scan_versions(scan))
    }

    /// True when the space holds no version at all.
    pub fn is_empty(&self, space: SpaceId) -> Result<bool> {
        let empty = self.inner.index.read().is_empty(space);
        empty.ok_or(Error::NotFound(Missing::Space(space)))
    }

    /// A writer for a value that will be put into `space`. `len`: the length, if it is known.
    /// Refused with `Busy(Space)` before a byte is taken when the device is full.
    pub fn writer(
        &self,
        space: SpaceId,
        placement: Placement,
        len: Option<u64>,
    ) -> Result<ValueWriter> {
        if let Some(reason) = self.inner.stopped() {
            return Err(Error::Stopped { reason });
        }
        self.inner.zones.admit(len.unwrap_or(0))?;
        self.inner.space_key(space)?;
        Ok(ValueWriter::new(Arc::clone(&self.inner), space, placement, len))
    }

    /// Seals values for `space`, joined in order; moves no data. Joining more than one needs values
    /// that are not inline.
    pub fn adopt(&self, space: SpaceId, values: &[Sealed]) -> Result<Value> {
        self.inner.adopt(space, values)
    }

    /// Seals a small value at once.
    pub fn seal_small(&self, space: SpaceId, data: &[u8]) -> Result<Value> {
        if data.len() > self.inner.options.inline_bytes {
            return Err(Error::Invalid(format!("{} bytes are no small value", data.len())));
        }
        if data.is_empty() {
            return Ok(Value::empty());
        }
        self.inner.seal_inline(space, data.to_vec())
    }

    /// Writes a checkpoint now. Answers false when nothing was committed since the last.
    pub fn checkpoint(&self) -> Result<bool> {
        self.inner.checkpoint()
    }

    /// Figures for metrics.
    pub fn stats(&self) -> crate::stats::Stats {
        self.inner.stats()
    }
}

async fn wait(reply: Option<oneshot::Receiver<Reply>>) -> Reply {
    let gone = || Error::Stopped { reason: "the commit lane is gone".to_owned() };
    match reply {
        Some(reply) => reply.await.unwrap_or_else(|_| Err(gone())),
        None => Err(gone()),
    }
}

/// Notes where each journal zone ends: where the next one begins, or at the tail.
fn note_last_lsns(zones: &Zones, headers: &[ZoneHeader], next_lsn: Lsn) {
    let mut journal: Vec<&ZoneHeader> =
        headers.iter().filter(|h| h.class == ZoneClass::Journal).collect();
    journal.sort_by_key(|h| (h.first_lsn, h.zone));
    let ends = journal.iter().skip(1).map(|h| h.first_lsn).chain([next_lsn]);
    for (header, end) in journal.iter().zip(ends) {
        if let Ok(zone) = zones.pin(header.zone) {
            zone.last_lsn.store(end.0.saturating_sub(1), Ordering::Release);
        }
    }
}

impl Inner {
    pub(crate) fn stopped(&self) -> Option<String> {
        self.stopped.read().clone()
    }

    /// Refuses all writes from now on.
    pub(crate) fn stop(&self, reason: String) {
        let mut stopped = self.stopped.write();
        if stopped.is_none() {
            tracing::error!(%reason, "engine stopped taking writes");
            *stopped = Some(reason);
        }
    }

    /// Refuses all writes from now on because the owner said so.
    fn stop_for_close(&self) {
        self.stopped.write().get_or_insert_with(|| "the engine is closed".to_owned());
    }

    pub(crate) fn position(&self) -> Option<Position> {
        *self.position.lock()
    }

    /// Called under the index's write lock, so that index and position tell the same moment.
    pub(crate) fn note_position(&self, journal: &Journal) {
        *self.position.lock() = journal.position();
        self.time_ms.store(journal.time_ms(), Ordering::Relaxed);
    }

    pub(crate) fn time_ms(&self) -> u64 {
        self.time_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn next_space(&self) -> SpaceId {
        SpaceId(self.next_space.load(Ordering::Relaxed))
    }

    pub(crate) fn space_key(&self, space: SpaceId) -> Result<Arc<SpaceKey>> {
        let index = self.index.read();
        let held = index.spaces.get(&space).ok_or(Error::NotFound(Missing::Space(space)))?;
        Ok(Arc::clone(&held.key))
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Waits on the keeper's thread, until closing at most.
    pub(crate) fn keeper_wait(&self, duration: Duration) {
        let mut guard = self.keeper.0.lock();
        if !self.is_closing() {
            self.keeper.1.wait_for(&mut guard, duration);
        }
    }

    fn wake_keeper(&self) {
        let _guard = self.keeper.0.lock();
        self.keeper.1.notify_all();
    }

    /// Lets the foreground have the processor between two steps of background work.
    pub(crate) fn yield_to_foreground(&self) {
        if !self.environment.is_inline() {
            std::thread::yield_now();
        }
    }

    fn with_index<T>(&self, space: SpaceId, read: impl FnOnce(&Index) -> T) -> Result<T> {
        let index = self.index.read();
        if !index.spaces.contains_key(&space) {
            return Err(Error::NotFound(Missing::Space(space)));
        }
        Ok(read(&index))
    }

    /// After recovery: data zones have no open end but the unsealed one with most room left;
    /// checkpoints that were never finished, or cannot be read, go.
    fn settle_zones(&self) {
        let kept: HashSet<ZoneId> =
            self.checkpoints.lock().iter().flat_map(|found| found.zones.clone()).collect();
        for zone in self.zones.all() {
            if zone.class == ZoneClass::Checkpoint && !kept.contains(&zone.id) {
                self.zones.retire(zone.id);
            }
        }
        let index = self.index.read();
        let mut ends = std::collections::HashMap::new();
        for blob in index.blobs.values() {
            for extent in blob.place.all_extents() {
                let end = u64::from(extent.offset) + u64::from(extent.len);
                let held = ends.entry(extent.zone).or_insert(0);
                *held = end.max(*held);
            }
        }
        drop(index);
        let zones = self.zones.all();
        let data = zones.iter().filter(|z| z.class == ZoneClass::Data && !z.is_sealed());
        let open = data.filter_map(|z| Some((*ends.get(&z.id)?, z.id))).min();
        if let Some((end, id)) = open.filter(|(end, _)| *end < self.zones.zone_bytes()) {
            self.zones.resume_data(id, end);
        }
    }

    /// Queues batches; when there are no threads, commits them here and now.
    fn submit(&self, batches: Vec<Batch>) -> Vec<oneshot::Receiver<Reply>> {
        let mut replies = Vec::with_capacity(batches.len());
        let mut ready = Vec::with_capacity(batches.len());
        for batch in batches {
            let (reply, receiver) = oneshot::channel();
            replies.push(receiver);
            match self.prepare(batch) {
                Ok(prepared) => ready.push(prepared.into_pending(reply)),
                // The caller holds the other end.
                Err(error) => drop(reply.send(Err(error))),
            }
        }
        self.enqueue(ready);
        replies
    }

    /// Queues prepared batches, or runs them here when there are no threads.
    pub(crate) fn enqueue(&self, ready: Vec<Pending>) {
        if ready.is_empty() {
            return;
        }
        if self.environment.is_inline() {
            let mut waiting = ready;
            let mut lane = self.lane.lock();
            while !waiting.is_empty() {
                waiting = lane.run(self, waiting);
            }
            return;
        }
        self.queue.push(ready);
    }

    fn close(&self) -> Result<()> {
        if self.closing.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.queue.close();
        self.wake_keeper();
        self.join_threads();
        if let Some(reason) = self.stopped() {
            return Err(Error::Stopped { reason });
        }
        self.checkpoint()?;
        let stamped = self.lane.lock().stamp(self);
        self.zones.seal_settled();
        self.stop_for_close();
        stamped
    }
}
