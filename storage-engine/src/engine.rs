//! The engine: open a device, commit batches, read, close. The only file that composes the parts.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::oneshot;

use crate::batch::{Batch, Content, Keep, Operation, Outcome, Put, Which};
use crate::cipher::{MasterKey, SpaceKey, space_context};
use crate::counters::Counters;
use crate::entry::{Body, Entry};
use crate::environment::Environment;
use crate::error::{Corruption, Error, Missing, Result, Shortage};
use crate::format::{PutHead, RecordBody, Root, ZoneClass, ZoneHeader, encode_body};
use crate::id::{Epoch, Lsn, ROOT_SPACE, SpaceId, ZoneId};
use crate::index::Index;
use crate::journal::replay::{FoundCheckpoint, read_header, recover};
use crate::journal::{Journal, Position};
use crate::lane::{Lane, Pending, Prepared, Reply};
use crate::limits::{META_BYTES_MAX, NAME_BYTES_MAX, QUEUE_BATCHES_MAX};
use crate::lock::Lock;
use crate::media::Media;
use crate::options::Options;
use crate::scan::{Scan, ScanPage, VersionScan};
use crate::value::{Placement, Sealed, Value, ValueContent, ValueWriter};
use crate::zone::{Claim, ZONE_IDS_STEP, Zone, Zones};

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
    pub(crate) counters: Counters,
    pub(crate) checkpoints: Mutex<Vec<FoundCheckpoint>>,
    pub(crate) lane: Mutex<Lane>,
    /// Live bytes when reclaim last gained nothing on a full device.
    pub(crate) fruitless_live_bytes: AtomicU64,
    next_space: AtomicU32,
    position: Mutex<Option<Position>>,
    time_ms: AtomicU64,
    stopped: RwLock<Option<String>>,
    queue: Mutex<Queue>,
    queued: Condvar,
    data_sync: Mutex<Option<std::sync::mpsc::Sender<DataSyncRequest>>>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    closing: AtomicBool,
    keeper: (Mutex<()>, Condvar),
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inner")
    }
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Pending>,
    closed: bool,
}

type DataSyncRequest = (Vec<Arc<Zone>>, std::sync::mpsc::Sender<Result<()>>);

impl Engine {
    /// Opens the store on `media`, or makes one on a fresh medium; replays what the last owner left.
    pub fn open(
        environment: Arc<dyn Environment>,
        media: Arc<dyn Media>,
        master: Arc<dyn MasterKey>,
        options: Options,
    ) -> Result<Self> {
        let started = environment.monotonic();
        let root = take_ownership(environment.as_ref(), media.as_ref(), master.as_ref())?;
        let recovered = recover(media.as_ref(), master.as_ref(), &root)?;
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
            options,
            master,
            blob_counter: AtomicU64::new(1),
            counters: Counters::default(),
            checkpoints: Mutex::new(recovered.checkpoints),
            position: Mutex::new(journal.position()),
            time_ms: AtomicU64::new(recovered.tail.time_ms),
            lane: Mutex::new(Lane::new(journal)),
            fruitless_live_bytes: AtomicU64::new(u64::MAX),
            next_space: AtomicU32::new(recovered.next_space),
            stopped: RwLock::default(),
            queue: Mutex::default(),
            queued: Condvar::new(),
            data_sync: Mutex::default(),
            threads: Mutex::default(),
            closing: AtomicBool::new(false),
            keeper: (Mutex::new(()), Condvar::new()),
        });
        inner.settle_zones();
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

    /// An id that no space ever had; [`crate::Operation::CreateSpace`] makes the space.
    pub fn reserve_space(&self) -> SpaceId {
        SpaceId(self.inner.next_space.fetch_add(1, Ordering::Relaxed))
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

/// Reads or makes the root object and raises the epoch: from here on every earlier owner is fenced.
fn take_ownership(
    environment: &dyn Environment,
    media: &dyn Media,
    master: &dyn MasterKey,
) -> Result<Root> {
    let root = match media.root()? {
        Some(bytes) => {
            let held = read_root(&bytes)?;
            // The key is tried before anything is changed.
            SpaceKey::open(master, &held.key, &space_context(&held.store, ROOT_SPACE))?;
            let epoch = Epoch(held.epoch.0 + 1);
            let zone_ids_end = held.zone_ids_end.saturating_add(ZONE_IDS_STEP);
            Root { epoch, zone_ids_end, ..held }
        }
        None => {
            refuse_orphans(media)?;
            let mut store = [0; 16];
            environment.fill_random(&mut store);
            let context = space_context(&store, ROOT_SPACE);
            let (_, key) = SpaceKey::create(environment, master, &context)?;
            Root {
                partitions: 1,
                epoch: Epoch(1),
                store,
                created_ms: environment.now_ms(),
                zone_ids_end: 1 + ZONE_IDS_STEP,
                key,
            }
        }
    };
    media.replace_root(root.epoch, &root.encode())?;
    Ok(root)
}

/// Errs when zones are in use: they belong to a store whose root object is gone.
fn refuse_orphans(media: &dyn Media) -> Result<()> {
    for zone in media.list()? {
        if read_header(media, zone)?.is_some() {
            return Err(Error::Corrupt(Corruption {
                zone: None,
                offset: 0,
                what: "root object",
                expected: format!("one, as zone {zone} is in use"),
                found: "none".to_owned(),
            }));
        }
    }
    Ok(())
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

pub(crate) fn read_root(bytes: &[u8]) -> Result<Root> {
    Root::decode(bytes).map_err(|malformed| {
        Error::Corrupt(Corruption {
            zone: None,
            offset: 0,
            what: "root object",
            expected: "a valid root".to_owned(),
            found: format!("bad {}", malformed.what),
        })
    })
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

    /// After recovery: data zones have no open end but the one with most room left; checkpoints that
    /// were never finished, or cannot be read, go.
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
        let data = zones.iter().filter(|z| z.class == ZoneClass::Data);
        let open = data.filter_map(|z| Some((*ends.get(&z.id)?, z.id))).min();
        if let Some((end, id)) = open.filter(|(end, _)| *end < self.zones.zone_bytes()) {
            self.zones.resume_data(id, end);
        }
    }

    /// Encodes and seals an operation.
    pub(crate) fn prepare_operation(
        &self,
        operation: Operation,
        claim: &mut Claim,
    ) -> Result<Prepared> {
        match operation {
            Operation::Put(put) => {
                if matches!(put.content, Content::Value { .. }) && put.space != ROOT_SPACE {
                    *claim = Claim::User;
                }
                self.prepare_put(put)
            }
            Operation::Rewrite(rewrite) => {
                check_name(&rewrite.name)?;
                check_meta(&rewrite.meta)?;
                let key = self.space_key(rewrite.space)?;
                let environment = self.environment.as_ref();
                let meta = key.seal_meta(environment, &rewrite.name, &rewrite.meta)?;
                let entry = rewrite.entry;
                let head = PutHead {
                    space: rewrite.space,
                    sequence: entry.sequence,
                    time_ms: entry.time_ms,
                    size: entry.size,
                    flags: entry.flags,
                    label: rewrite.label,
                    stamp: entry.stamp,
                    lock: self.index.read().locks.get(&entry.sequence).copied(),
                };
                let value = rewrite.value.stored();
                let name = rewrite.name;
                let mut body = Vec::with_capacity(256 + meta.len());
                let record = RecordBody::Rewrite { head, name: &name, meta: &meta, value };
                encode_body(&record, &mut body);
                let (space, label) = (rewrite.space, rewrite.label);
                Ok(Prepared::Rewrite { space, name, entry, label, body })
            }
            Operation::Remove(remove) => {
                check_name(&remove.name)?;
                Ok(Prepared::Remove(remove))
            }
            Operation::SetLock(set) => {
                check_name(&set.name)?;
                Ok(Prepared::SetLock(set))
            }
            Operation::CreateSpace(space) => {
                let store = &self.zones.store;
                let context = space_context(store, space);
                let (key, wrapped) =
                    SpaceKey::create(self.environment.as_ref(), self.master.as_ref(), &context)?;
                Ok(Prepared::CreateSpace { space, key: Arc::new(key), wrapped })
            }
            Operation::DropSpace(space) => Ok(Prepared::DropSpace(space)),
            Operation::ClearSpace(space) => Ok(Prepared::ClearSpace(space)),
        }
    }

    fn prepare_put(&self, put: Put) -> Result<Prepared> {
        check_name(&put.name)?;
        let Put { space, name, keep, content, lock } = put;
        let key = self.space_key(space)?;
        let mut flags = if keep == Keep::Null { Entry::NULL } else { 0 };
        if lock.is_some() {
            flags |= Entry::LOCKED;
        }
        let mut entry = Entry {
            sequence: 0,
            time_ms: 0,
            size: 0,
            location: crate::entry::Location::default(),
            body: Body::Record,
            stamp: crate::entry::Stamp::default(),
            label: 0,
            flags,
        };
        let (value, meta) = match content {
            Content::Marker => {
                entry.flags |= Entry::MARKER;
                (Value::empty(), Vec::new())
            }
            Content::Value { value, meta, stamp, label } => {
                check_meta(&meta)?;
                entry.size = value.size;
                entry.stamp = stamp;
                entry.label = label;
                (value, key.seal_meta(self.environment.as_ref(), &name, &meta)?)
            }
        };
        let head = PutHead {
            space,
            sequence: 0,
            time_ms: 0,
            size: entry.size,
            flags: entry.flags,
            label: entry.label,
            stamp: entry.stamp,
            lock,
        };
        let stored = value.stored();
        entry.body = Body::of(&stored);
        let inline = if value.is_inline() { value.size as usize } else { 0 };
        let mut body = Vec::with_capacity(256 + name.len() + meta.len() + inline);
        let record = RecordBody::Put { head, name: &name, meta: &meta, value: stored };
        encode_body(&record, &mut body);
        Ok(Prepared::Put { space, name, keep, entry, lock, body, fresh: value.fresh })
    }

    pub(crate) fn adopt(&self, space: SpaceId, values: &[Sealed]) -> Result<Value> {
        let target = self.space_key(space)?;
        let mut joined = Value::empty();
        let several = values.iter().filter(|sealed| sealed.value.size > 0).count() > 1;
        let mut pieces = Vec::new();
        for sealed in values {
            let source = self.space_key(sealed.space)?;
            let rewrap = |blob, key| {
                let data_key = source.unwrap(blob, key)?;
                target.wrap(self.environment.as_ref(), blob, &data_key)
            };
            joined.size += sealed.value.size;
            match &sealed.value.content {
                ValueContent::Empty => {}
                ValueContent::Inline { .. } if several => {
                    return Err(Error::Invalid("an inline value cannot be joined".to_owned()));
                }
                ValueContent::Inline { blob, key, tag, data } => {
                    let key = rewrap(*blob, key)?;
                    let (blob, tag, data) = (*blob, *tag, data.clone());
                    joined.content = ValueContent::Inline { blob, key, tag, data };
                }
                ValueContent::Blobs(held) => {
                    for piece in held {
                        let key = rewrap(piece.blob, &piece.key)?;
                        pieces.push(crate::format::Piece { key, ..piece.clone() });
                    }
                    if sealed.value.fresh.is_some() && several {
                        return Err(Error::Invalid("an uncommitted value cannot be joined".into()));
                    }
                    joined.fresh = joined.fresh.or_else(|| sealed.value.fresh.clone());
                }
            }
        }
        if pieces.len() > crate::limits::BLOBS_MAX {
            let max = crate::limits::BLOBS_MAX;
            return Err(Error::Invalid(format!("a value has at most {max} blobs")));
        }
        if !pieces.is_empty() {
            joined.content = ValueContent::Blobs(pieces);
        }
        Ok(joined)
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
        let mut queue = self.queue.lock();
        for pending in ready {
            if queue.closed {
                let stopped = Error::Stopped { reason: "the engine is closed".to_owned() };
                drop(pending.reply.send(Err(stopped)));
            } else if queue.waiting.len() >= QUEUE_BATCHES_MAX {
                drop(pending.reply.send(Err(Error::Busy(Shortage::Queue))));
            } else {
                queue.waiting.push_back(pending);
            }
        }
        drop(queue);
        self.queued.notify_one();
    }

    fn start_threads(self: &Arc<Self>) -> Result<()> {
        if self.environment.is_inline() {
            return Ok(());
        }
        let io = |source| Error::io("starting a thread", source);
        let (requests, incoming) = std::sync::mpsc::channel::<DataSyncRequest>();
        *self.data_sync.lock() = Some(requests);
        let mut threads = self.threads.lock();
        let inner = Arc::clone(self);
        threads.push(
            self.environment
                .spawn(
                    "lodestore-sync",
                    Box::new(move || {
                        for (zones, done) in incoming {
                            let result = zones.iter().try_for_each(|zone| inner.zones.sync(zone));
                            // The lane waits for it unless it failed itself.
                            drop(done.send(result));
                        }
                    }),
                )
                .map_err(io)?,
        );
        let inner = Arc::clone(self);
        let lane = Box::new(move || inner.run_lane());
        threads.push(self.environment.spawn("lodestore-lane", lane).map_err(io)?);
        if self.options.background {
            let inner = Arc::clone(self);
            let keeper = Box::new(move || inner.run_keeper());
            threads.push(self.environment.spawn("lodestore-keeper", keeper).map_err(io)?);
        }
        Ok(())
    }

    /// Syncs data zones beside the journal; without threads, at once.
    pub(crate) fn start_data_sync(
        &self,
        zones: Vec<Arc<Zone>>,
    ) -> Result<Option<std::sync::mpsc::Receiver<Result<()>>>> {
        let lane = self.data_sync.lock().clone();
        let Some(requests) = lane else {
            zones.iter().try_for_each(|zone| self.zones.sync(zone))?;
            return Ok(None);
        };
        let (done, result) = std::sync::mpsc::channel();
        requests
            .send((zones, done))
            .map_err(|_| Error::Stopped { reason: "the data sync thread is gone".to_owned() })?;
        Ok(Some(result))
    }

    fn run_lane(&self) {
        let mut deferred: Vec<Pending> = Vec::new();
        let mut company = 1;
        loop {
            let mut group = std::mem::take(&mut deferred);
            {
                let mut queue = self.queue.lock();
                while queue.waiting.is_empty() && group.is_empty() {
                    if queue.closed {
                        return;
                    }
                    self.queued.wait(&mut queue);
                }
                self.linger(&mut queue, group.len(), company);
                group.extend(queue.waiting.drain(..));
            }
            company = (company * 3 / 4).max(group.len());
            deferred = self.lane.lock().run(self, group);
        }
    }

    /// Waits a moment for batches that are known to be coming: as many as came of late, and only
    /// while more arrive. A single writer never waits.
    fn linger(&self, queue: &mut parking_lot::MutexGuard<'_, Queue>, have: usize, company: usize) {
        if company < 4 || self.options.linger_us == 0 {
            return;
        }
        let until = self.environment.monotonic() + Duration::from_micros(self.options.linger_us);
        loop {
            let arrived = have + queue.waiting.len();
            let now = self.environment.monotonic();
            if arrived >= company || queue.closed || now >= until {
                return;
            }
            self.queued.wait_for(queue, until - now);
        }
    }

    fn close(&self) -> Result<()> {
        if self.closing.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.queue.lock().closed = true;
        self.queued.notify_all();
        self.wake_keeper();
        let threads = std::mem::take(&mut *self.threads.lock());
        drop(self.data_sync.lock().take());
        let mut panicked = false;
        for thread in threads {
            panicked |= thread.join().is_err();
        }
        if panicked {
            self.stop("an engine thread panicked".to_owned());
        }
        if let Some(reason) = self.stopped() {
            return Err(Error::Stopped { reason });
        }
        self.checkpoint()?;
        let stamped = self.lane.lock().stamp(self);
        self.stop_for_close();
        stamped
    }
}

fn check_name(name: &Bytes) -> Result<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Error::Invalid(format!("a name has 1 to {NAME_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn check_meta(meta: &Bytes) -> Result<()> {
    if meta.len() > META_BYTES_MAX {
        return Err(Error::Invalid(format!("metadata has at most {META_BYTES_MAX} bytes")));
    }
    Ok(())
}
