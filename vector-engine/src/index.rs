//! One vector index: a log of writes that becomes segments, and the lane that puts writes in order.
//!
//! - A write is acknowledged when its delta is durable and its rows are in the state that queries see.
//! - The lane is the only one who changes the state; whoever holds its turn commits for all who wait.
//! - What must not be changed by a write (a row with an owner) is decided in the lane, where the write
//!   gets its place.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use storage_engine::limits::PAGE_MAX;
use storage_engine::{Batch, Condition, Outcome, Test, Value};
use tokio::sync::oneshot;

use crate::delta::{Delta, DeltaKey, DeltaRow};
use crate::engine::Shared;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::key_hash::KeyHash;
use crate::limits::{
    GROUP_WRITES_MAX, GROWING_BYTES_MAX, PAGE_ROWS_MAX, QUEUE_WRITES_MAX, TOP_MAX, WRITE_ROWS_MAX,
};
use crate::listing::{self, List, ListPage};
use crate::manifest::Manifest;
use crate::query::{self, Answer, Query};
use crate::row::{IndexSettings, NewRow, Owner, Row, TextField, Want};
use crate::sealed::Sealed;
use crate::state::State;
use crate::store::{
    DeltaNumber, Part, SegmentId, Store, dead_name, delta_name, manifest_name, number_of, part_name,
};
use crate::wait::wait;

/// Longest wait of a write for a seal, before its caller is told to retry.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(30);

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
    secret: crate::key_hash::HashSecret,
    state: RwLock<Arc<State>>,
    queue: Mutex<VecDeque<Waiting>>,
    lane: tokio::sync::Mutex<Lane>,
    /// Held by whoever seals, and by whoever merges: one of each at a time.
    pub(crate) sealing: Mutex<()>,
    pub(crate) merging: Mutex<()>,
    /// Told when a seal made room.
    settled: tokio::sync::Notify,
    gone: AtomicBool,
    /// When the last write was committed.
    written_at: Mutex<Duration>,
}

/// What only the holder of the turn knows.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) manifest: Manifest,
    pub(crate) last_delta: DeltaNumber,
    /// The last delta of the frozen rows.
    pub(crate) frozen_delta: DeltaNumber,
    /// Dead rows of each segment as they are on the device.
    pub(crate) dead_saved: std::collections::HashMap<SegmentId, u64>,
}

/// A write and who waits for it.
#[derive(Debug)]
struct Waiting {
    delta: Delta,
    /// The delta, sealed.
    value: Value,
    /// Owners whose rows it may change.
    acts_for: Vec<Owner>,
    /// What must happen with it.
    extra: Batch,
    reply: oneshot::Sender<Result<Vec<Outcome>>>,
}

/// While it lives, nobody writes to the index.
#[derive(Debug)]
pub struct Hold<'a> {
    _turn: tokio::sync::MutexGuard<'a, Lane>,
}

/// Figures of an index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Rows that live.
    pub rows: u64,
    /// Rows in growing segments, the dead ones too.
    pub growing_rows: u64,
    /// Sealed segments.
    pub sealed_segments: u64,
    /// Of them, those with a graph.
    pub graph_segments: u64,
    /// Rows that are dead and still in a segment.
    pub dead_rows: u64,
    /// Bytes of memory, about, without the cache.
    pub memory_bytes: u64,
    /// Bytes of segments on the device, about.
    pub device_bytes: u64,
}

impl std::ops::AddAssign for IndexStats {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.growing_rows += other.growing_rows;
        self.sealed_segments += other.sealed_segments;
        self.graph_segments += other.graph_segments;
        self.dead_rows += other.dead_rows;
        self.memory_bytes += other.memory_bytes;
        self.device_bytes += other.device_bytes;
    }
}

/// Whether a field can be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextState {
    /// Some rows cannot be found by it yet.
    Building,
    /// All rows can.
    Active,
}

impl Index {
    /// Opens the index in `store`: segments, then the writes behind them.
    pub(crate) async fn open(
        shared: &Arc<Shared>,
        store: Store,
        settings: IndexSettings,
    ) -> Result<Self> {
        let manifest = load_manifest(shared, &store).await?;
        let mut state = State::default();
        let mut dead_saved = std::collections::HashMap::new();
        for id in &manifest.segments {
            let sealed = Sealed::open(&store, &shared.caches, &settings, *id).await?;
            let mut member = crate::member::Member::new(crate::member::Rows::Sealed(sealed.into()));
            if let Some(bytes) = store.value(&dead_name(*id)).await? {
                let dead = roaring::RoaringBitmap::deserialize_from(&bytes[..])
                    .map_err(|_| Error::Corrupt(format!("segment {}: no dead rows", id.0)))?;
                if dead.max().is_some_and(|last| last >= member.len()) {
                    return Err(Error::Corrupt(format!("segment {}: dead rows of another", id.0)));
                }
                dead_saved.insert(*id, dead.len());
                member.dead = Arc::new(dead);
            }
            state.sealed.push(member);
        }
        let last_delta = replay(&store, &settings, &manifest, &mut state).await?;
        let secret = manifest.secret;
        let lane = Lane { manifest, last_delta, frozen_delta: DeltaNumber::default(), dead_saved };
        let inner = IndexInner {
            store,
            shared: Arc::clone(shared),
            settings: RwLock::new(Arc::new(settings)),
            secret,
            state: RwLock::new(Arc::new(state)),
            queue: Mutex::default(),
            lane: tokio::sync::Mutex::new(lane),
            sealing: Mutex::default(),
            merging: Mutex::default(),
            settled: tokio::sync::Notify::new(),
            gone: AtomicBool::new(false),
            written_at: Mutex::new(shared.environment.monotonic()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

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

    /// Deletes every row that matches, in several writes; answers how many.
    pub async fn delete_matching(&self, filter: Filter) -> Result<u64> {
        let mut deleted = 0;
        let mut after = None;
        loop {
            let list = List {
                after,
                limit: PAGE_ROWS_MAX.min(WRITE_ROWS_MAX),
                page_bytes: usize::MAX,
                parts: None,
                want: Want::default(),
                filter: Some(filter.clone()),
            };
            let page = self.list(list).await?;
            let keys: Vec<String> = page.rows.into_iter().map(|row| row.key).collect();
            if !keys.is_empty() {
                deleted += keys.len() as u64;
                self.delete(keys).await?;
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(deleted),
            }
        }
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

    /// Holds all writes back for as long as the answer lives. Errs while a row with an owner lives.
    pub async fn hold_unowned(&self) -> Result<Hold<'_>> {
        let turn = self.inner.lane.lock().await;
        match self.inner.state().has_owned() {
            true => Err(Error::Conflict("the index has vectors that belong to objects".to_owned())),
            false => Ok(Hold { _turn: turn }),
        }
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
        let shared = Arc::clone(&self.inner.shared);
        self.read(move |state, settings| query::run(&shared, state, settings, &query)).await
    }

    /// Changes which fields can be searched as text. New ones are built in the background.
    pub async fn set_text(&self, text: Vec<TextField>) -> Result<()> {
        let _turn = self.inner.lane.lock().await;
        let mut settings = self.inner.settings.write();
        *settings = Arc::new(IndexSettings { text, ..IndexSettings::clone(&settings) });
        drop(settings);
        self.inner.shared.wake();
        Ok(())
    }

    /// Whether all rows can be found by a field.
    pub fn text_state(&self, field: &TextField) -> TextState {
        let state = self.inner.state();
        let part = Part::Text(field.part_name());
        let built = |member: &crate::member::Member| match &member.rows {
            crate::member::Rows::Growing(_) => true,
            crate::member::Rows::Sealed(sealed) => {
                let name = part_name(sealed.id, &part);
                let found = self.inner.store.engine.current(self.inner.store.space, &name);
                // What took the place of a segment that is gone was built with the field.
                matches!(found, Ok(Some(_))) || matches!(sealed.is_there(), Ok(false))
            }
        };
        match state.members().all(built) {
            true => TextState::Active,
            false => TextState::Building,
        }
    }

    /// Settings as they are now.
    pub fn settings(&self) -> Arc<IndexSettings> {
        self.inner.settings()
    }

    /// Figures.
    pub fn stats(&self) -> IndexStats {
        let state = self.inner.state();
        let mut stats = IndexStats {
            rows: state.rows(),
            growing_rows: state.growing_rows() as u64,
            ..IndexStats::default()
        };
        for member in state.members() {
            stats.dead_rows += member.dead.len();
            match &member.rows {
                crate::member::Rows::Growing(chunk) => {
                    stats.memory_bytes += chunk.memory_bytes() as u64;
                }
                crate::member::Rows::Sealed(sealed) => {
                    stats.sealed_segments += 1;
                    stats.graph_segments += u64::from(sealed.resident.degree > 0);
                    stats.memory_bytes += sealed.memory_bytes() as u64;
                    stats.device_bytes += sealed.device_bytes();
                }
            }
        }
        stats
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

    async fn write(
        &self,
        delta: Delta,
        acts_for: Vec<Owner>,
        extra: Batch,
    ) -> Result<Vec<Outcome>> {
        let inner = &self.inner;
        check_write(&inner.settings(), &delta)?;
        let bytes = delta.encode(inner.settings().dimension)?;
        let value = inner.store.seal(bytes.into()).await?;
        inner.wait_for_room().await?;
        let (reply, answer) = oneshot::channel();
        {
            let mut queue = inner.queue.lock();
            if queue.len() >= QUEUE_WRITES_MAX {
                return Err(Error::Busy);
            }
            queue.push_back(Waiting { delta, value, acts_for, extra, reply });
        }
        // Once begun, a write is finished and shown even if nobody waits for it.
        let lane = Arc::clone(inner);
        if inner.shared.environment.is_inline() {
            lane.drain().await;
        } else {
            tokio::spawn(async move { lane.drain().await });
        }
        answer.await.map_err(|_| Error::Stopped)?
    }
}

/// Errs unless the index can take the write.
fn check_write(settings: &IndexSettings, delta: &Delta) -> Result<()> {
    let mut keys = HashSet::new();
    let rows = delta.rows.iter().map(|row| &row.row.key);
    for key in rows.chain(delta.deleted.iter().map(|key| &key.key)) {
        if !keys.insert(key.as_str()) {
            return Err(Error::Invalid(format!("the key {key:?} stands twice in one write")));
        }
    }
    for DeltaRow { row, .. } in &delta.rows {
        let (found, expected) = (row.vector.len(), settings.dimension);
        if found != expected {
            return Err(Error::Invalid(format!("a vector has {found} dimensions, not {expected}")));
        }
        if row.vector.iter().any(|component| !component.is_finite()) {
            return Err(Error::Invalid("a vector has a component that is not finite".to_owned()));
        }
    }
    Ok(())
}

async fn load_manifest(shared: &Shared, store: &Store) -> Result<Manifest> {
    let name = manifest_name();
    if let Some(bytes) = store.value(&name).await? {
        return Manifest::decode(&bytes);
    }
    let mut secret = [0; 16];
    shared.environment.fill_random(&mut secret);
    let manifest = Manifest::new(crate::key_hash::HashSecret(secret));
    let value = store.seal(manifest.encode().into()).await?;
    let condition = Condition { space: store.space, name: name.clone(), test: Test::Absent };
    let batch = Batch { conditions: vec![condition], operations: vec![store.put(name, value)] };
    store.engine.commit(batch).await?;
    Ok(manifest)
}

/// Applies the writes behind the watermark; answers the last of all.
async fn replay(
    store: &Store,
    settings: &IndexSettings,
    manifest: &Manifest,
    state: &mut State,
) -> Result<DeltaNumber> {
    let mut last = manifest.watermark;
    let mut after = Some(delta_name(manifest.watermark));
    loop {
        let names = store.names(b"d", after.take(), PAGE_MAX)?;
        let Some(end) = names.last().cloned() else { return Ok(last) };
        for name in names {
            let number = number_of(&name)
                .ok_or_else(|| Error::Corrupt("a delta without a number".to_owned()))?;
            let Some(bytes) = store.value(&name).await? else { continue };
            state.apply(settings, &manifest.secret, Delta::decode(&bytes, settings.dimension)?)?;
            last = DeltaNumber(number);
        }
        after = Some(end);
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

    /// Takes the turn.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, Lane> {
        self.lane.lock().await
    }

    /// Tells writers that there is room again.
    pub(crate) fn note_settled(&self) {
        self.settled.notify_waiters();
    }

    /// Waits while sealing in the background is behind by more than a whole segment.
    async fn wait_for_room(&self) -> Result<()> {
        if !self.shared.options.background || self.shared.environment.is_inline() {
            return Ok(());
        }
        let started = self.shared.environment.monotonic();
        loop {
            let settled = self.settled.notified();
            let state = self.state();
            let full = state.growing_rows() >= 2 * self.shared.options.growing_rows_max
                || state.growing_bytes() >= 2 * GROWING_BYTES_MAX;
            if self.is_gone() {
                return Err(Error::NotFound);
            }
            if self.shared.foreground.is_closing() {
                return Err(Error::Stopped);
            }
            if !full {
                return Ok(());
            }
            if self.shared.environment.monotonic().saturating_sub(started) >= ROOM_WAIT_MAX {
                return Err(Error::Busy);
            }
            // The bound is for a signal that came between the look and the wait.
            drop(tokio::time::timeout(std::time::Duration::from_millis(100), settled).await);
        }
    }

    /// Commits and shows what waits, until nothing does.
    async fn drain(&self) {
        loop {
            let mut lane = self.lane.lock().await;
            let group = self.take_group();
            if group.is_empty() {
                return;
            }
            self.commit_group(&mut lane, group).await;
        }
    }

    /// The writes to be committed together. One that names what an earlier one with an owner names
    /// waits for the next group, as who owns a row is known only when the earlier is applied.
    fn take_group(&self) -> Vec<Waiting> {
        let mut queue = self.queue.lock();
        let mut group: Vec<Waiting> = Vec::new();
        let mut owned = HashSet::new();
        while group.len() < GROUP_WRITES_MAX {
            let Some(next) = queue.front() else { break };
            if !owned.is_empty() && keys_of(&next.delta).any(|key| owned.contains(key)) {
                break;
            }
            let Some(next) = queue.pop_front() else { break };
            if next.delta.rows.iter().any(|row| row.owner.is_some()) {
                owned.extend(keys_of(&next.delta).map(str::to_owned).collect::<Vec<_>>());
            }
            group.push(next);
        }
        group
    }

    async fn commit_group(&self, lane: &mut Lane, group: Vec<Waiting>) {
        let before = self.state();
        let (mut batches, mut waiting) = (Vec::new(), Vec::new());
        for Waiting { delta, value, acts_for, mut extra, reply } in group {
            if let Err(refused) = self.may(&before, &delta, &acts_for) {
                let error = self.refusal(refused, extra.conditions).await;
                // The caller may have gone: it needs no answer.
                drop(reply.send(Err(error)));
                continue;
            }
            lane.last_delta.0 += 1;
            let put = self.store.put(delta_name(lane.last_delta), value);
            extra.operations.push(put);
            batches.push(extra);
            waiting.push((delta, reply));
        }
        let results = self.store.engine.commit_all(batches).await;
        *self.written_at.lock() = self.shared.environment.monotonic();
        let mut state = State::clone(&before);
        let mut replies = Vec::with_capacity(waiting.len());
        for (result, (delta, reply)) in results.into_iter().zip(waiting) {
            let result = match result {
                Ok(mut outcomes) => {
                    let applied = state.apply(&self.settings(), &self.secret, delta);
                    outcomes.pop();
                    applied.map(|()| outcomes)
                }
                Err(error) => Err(error.into()),
            };
            replies.push((reply, result));
        }
        let seals = crate::upkeep::should_seal(&state, self.shared.options.growing_rows_max);
        self.show(state);
        for (reply, result) in replies {
            drop(reply.send(result));
        }
        if seals {
            self.shared.wake();
        }
    }

    /// Why a write that may not be is refused: for its own conditions, if they do not hold. Then the row
    /// in its way may be one that it did not know of.
    async fn refusal(&self, refused: Error, conditions: Vec<Condition>) -> Error {
        if conditions.is_empty() {
            return refused;
        }
        let asks = Batch { conditions, operations: Vec::new() };
        match self.store.engine.commit(asks).await {
            Ok(_) => refused,
            Err(error) => error.into(),
        }
    }

    /// Errs when the write would change a row that is another owner's.
    fn may(&self, state: &State, delta: &Delta, acts_for: &[Owner]) -> Result<()> {
        if self.is_gone() {
            return Err(Error::NotFound);
        }
        let guarded = delta.deleted.iter().filter(|key| key.owner.is_none()).map(|key| &key.key);
        for key in delta.rows.iter().map(|row| &row.row.key).chain(guarded) {
            let Some((member, row)) = state.find(KeyHash::of(&self.secret, key)) else { continue };
            if !member.is_owned(row) {
                continue;
            }
            if member.owner(row)?.is_none_or(|owner| !acts_for.contains(&owner)) {
                return Err(Error::Conflict(format!(
                    "the vector {key:?} belongs to an object; change the object"
                )));
            }
        }
        Ok(())
    }
}

fn keys_of(delta: &Delta) -> impl Iterator<Item = &str> {
    let rows = delta.rows.iter().map(|row| row.row.key.as_str());
    rows.chain(delta.deleted.iter().map(|key| key.key.as_str()))
}
