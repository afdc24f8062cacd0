//! The commit lane: the one place where batches get their order, conditions and locks are decided,
//! and groups become durable.
//!
//! sequence → durable → publish to the index → acknowledge. One group is in flight at a time. A batch
//! that names something an earlier batch of the same group changes waits for the next group, so every
//! decision is made on durable state alone and no overlay exists.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::batch::{Batch, Condition, Keep, LockChange, Outcome, Remove, SetLock, Test, Which};
use crate::cipher::SpaceKey;
use crate::engine::Inner;
use crate::entry::{Entry, Location};
use crate::error::{Error, Missing, Result, Shortage};
use crate::format::{BlobPlace, RecordBody, encode_body, patch_put};
use crate::id::{BlobId, Lsn, SpaceId};
use crate::index::{Change, Index, Visit};
use crate::journal::{Group, Journal, Stage};
use crate::limits::GROUP_BYTES_MAX;
use crate::lock::{Bypass, LegalHold, Lock};
use crate::media::Sector;
use crate::value::FreshBlob;
use crate::zone::{Claim, Zone};

/// What a commit answers.
pub(crate) type Reply = Result<Vec<Outcome>>;

/// A batch with everything encoded that does not depend on its place in the order.
#[derive(Debug)]
pub(crate) struct Ready {
    conditions: Vec<Condition>,
    operations: Vec<Prepared>,
    bytes: usize,
    claim: Claim,
}

impl Ready {
    /// Gives it somebody to answer to.
    pub(crate) fn into_pending(self, reply: oneshot::Sender<Reply>) -> Pending {
        let Self { conditions, operations, bytes, claim } = self;
        Pending { conditions, operations, bytes, claim, reply }
    }
}

/// A batch on its way through the lane.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) operations: Vec<Prepared>,
    pub(crate) bytes: usize,
    pub(crate) claim: Claim,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// An operation, encoded.
#[derive(Debug)]
pub(crate) enum Prepared {
    Put {
        space: SpaceId,
        name: Bytes,
        keep: Keep,
        entry: Entry,
        lock: Option<Lock>,
        body: Vec<u8>,
        fresh: Option<Arc<FreshBlob>>,
    },
    Rewrite {
        space: SpaceId,
        name: Bytes,
        entry: Entry,
        label: u8,
        body: Vec<u8>,
    },
    Remove(Remove),
    SetLock(SetLock),
    CreateSpace {
        space: SpaceId,
        key: Arc<SpaceKey>,
        wrapped: Vec<u8>,
    },
    DropSpace(SpaceId),
    ClearSpace(SpaceId),
    MoveBlob {
        blob: BlobId,
        from: Arc<BlobPlace>,
        to: BlobPlace,
        zones: Vec<Arc<Zone>>,
    },
    MoveRecord {
        space: SpaceId,
        name: Bytes,
        sequence: u64,
        from: Location,
        to: Location,
        zone: Arc<Zone>,
    },
}

/// The lane's own state; whoever holds it may sequence.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) journal: Journal,
    spare: Vec<Sector>,
}

/// Something decided and encoded, waiting for the group to be durable.
#[derive(Debug)]
struct Planned {
    changes: Vec<Change>,
    outcomes: Vec<Outcome>,
    reply: oneshot::Sender<Reply>,
    /// Held until the index refers to what they protect.
    _operations: Vec<Prepared>,
}

/// What the batches of a group have touched so far.
#[derive(Debug, Default)]
struct Touched {
    names: HashSet<(SpaceId, Bytes)>,
    spaces: HashSet<SpaceId>,
    structures: HashSet<SpaceId>,
    released: HashSet<BlobId>,
    moved: HashSet<BlobId>,
}

impl Lane {
    pub(crate) fn new(journal: Journal) -> Self {
        Self { journal, spare: Vec::new() }
    }

    /// Sequences, writes and publishes one group. Answers the batches that wait for the next one, in
    /// order.
    pub(crate) fn run(&mut self, inner: &Inner, queue: Vec<Pending>) -> Vec<Pending> {
        if let Some(reason) = inner.stopped() {
            for pending in queue {
                answer(pending.reply, Err(Error::Stopped { reason: reason.clone() }));
            }
            return Vec::new();
        }
        let time_ms = self.journal.advance_time(inner.environment.now_ms());
        let mut group = Group::new(self.journal.next_lsn(), std::mem::take(&mut self.spare));
        let mut planned = Vec::with_capacity(queue.len());
        // A group with a removal in it may use the reserve: removals always work.
        let mut claim = Claim::User;
        let limit = GROUP_BYTES_MAX.min(Journal::group_bytes_max(&inner.zones));
        let deferred = {
            let index = inner.index.read();
            let mut planner = Planner { index: &index, touched: Touched::default(), time_ms };
            let mut deferred = Vec::new();
            for pending in queue {
                let fits = group.is_empty() || group.len() + pending.bytes <= limit;
                if !fits || planner.must_wait(&pending) {
                    planner.touch(&pending);
                    planner.touch_conditions(&pending);
                    deferred.push(pending);
                    continue;
                }
                let own_claim = pending.claim;
                planner.touch(&pending);
                if let Some(plan) = planner.plan(pending, &mut group) {
                    if own_claim == Claim::Engine {
                        claim = Claim::Engine;
                    }
                    planned.push(plan);
                }
            }
            deferred
        };
        if !planned.is_empty() {
            self.commit(inner, group, planned, claim);
        } else {
            self.spare = group.recycle();
        }
        deferred
    }

    /// Writes an empty batch: it says that all before it is durable.
    pub(crate) fn stamp(&mut self, inner: &Inner) -> Result<()> {
        self.journal.advance_time(inner.environment.now_ms());
        let mut group = Group::new(self.journal.next_lsn(), std::mem::take(&mut self.spare));
        self.journal.write(&inner.zones, &mut group, Claim::Vital, &mut |_| Ok(()))?;
        self.spare = group.recycle();
        inner.note_position(&self.journal);
        Ok(())
    }

    fn commit(&mut self, inner: &Inner, mut group: Group, planned: Vec<Planned>, claim: Claim) {
        let zones = data_zones(&planned);
        let mut data = DataSync { inner, zones, started: None };
        let bytes = group.len() as u64;
        let written =
            self.journal.write(&inner.zones, &mut group, claim, &mut |stage| data.step(stage));
        self.spare = group.recycle();
        let at = match written {
            Ok(at) => at,
            Err(error) => return refuse(inner, planned, &error),
        };
        let count = planned.len() as u64;
        let mut replies = Vec::with_capacity(planned.len());
        {
            let mut index = inner.index.write();
            for mut plan in planned {
                for mut change in plan.changes.drain(..) {
                    change.settle_at(at.0, at.1);
                    index.apply(change);
                }
                index.end_batch();
                replies.push((plan.reply, plan.outcomes));
            }
            inner.note_position(&self.journal);
        }
        inner.counters.note_group(count, bytes);
        for (reply, outcomes) in replies {
            answer(reply, Ok(outcomes));
        }
    }
}

/// Syncs data zones in parallel with the journal where threads exist, before it otherwise.
struct DataSync<'a> {
    inner: &'a Inner,
    zones: Vec<Arc<Zone>>,
    started: Option<std::sync::mpsc::Receiver<Result<()>>>,
}

impl DataSync<'_> {
    fn step(&mut self, stage: Stage) -> Result<()> {
        match stage {
            Stage::Start if self.zones.is_empty() => Ok(()),
            Stage::Start => {
                self.started = self.inner.start_data_sync(std::mem::take(&mut self.zones))?;
                Ok(())
            }
            Stage::Finish => match self.started.take() {
                None => Ok(()),
                Some(result) => result.recv().unwrap_or_else(|_| {
                    Err(Error::Stopped { reason: "the data sync thread is gone".to_owned() })
                }),
            },
        }
    }
}

fn data_zones(planned: &[Planned]) -> Vec<Arc<Zone>> {
    let mut zones: Vec<Arc<Zone>> = Vec::new();
    let mut add = |zone: &Arc<Zone>| {
        if !zones.iter().any(|held| held.id == zone.id) {
            zones.push(Arc::clone(zone));
        }
    };
    for operation in planned.iter().flat_map(|plan| &plan._operations) {
        match operation {
            Prepared::Put { fresh: Some(fresh), .. } => fresh.zones().for_each(&mut add),
            Prepared::MoveBlob { zones, .. } => zones.iter().for_each(&mut add),
            Prepared::MoveRecord { zone, .. } => add(zone),
            _ => {}
        }
    }
    zones
}

/// A group that could not be made durable: nothing of it happened, as far as anybody was told. No
/// room is an answer; anything else stops the engine, because what the device holds is unknown.
fn refuse(inner: &Inner, planned: Vec<Planned>, error: &Error) {
    let full = matches!(error, Error::Busy(Shortage::Space));
    if !full {
        inner.stop(format!("a commit could not be made durable: {error}"));
    }
    for plan in planned {
        let answer_error = if full {
            Error::Busy(Shortage::Space)
        } else {
            Error::Stopped { reason: format!("a commit could not be made durable: {error}") }
        };
        answer(plan.reply, Err(answer_error));
    }
}

fn answer(reply: oneshot::Sender<Reply>, result: Reply) {
    // A caller that went away does not undo what was decided.
    drop(reply.send(result));
}

/// Decides batches on the durable state.
struct Planner<'a> {
    index: &'a Index,
    touched: Touched,
    time_ms: u64,
}

impl Planner<'_> {
    fn must_wait(&self, pending: &Pending) -> bool {
        let touched = &self.touched;
        let busy = |space: &SpaceId, name: &Bytes| {
            touched.structures.contains(space) || touched.names.contains(&(*space, name.clone()))
        };
        pending.conditions.iter().any(|c| busy(&c.space, &c.name))
            || pending.operations.iter().any(|operation| match operation {
                Prepared::Put { space, name, entry, fresh, .. } => {
                    let brought = fresh.as_ref().map(|fresh| fresh.blob);
                    let mut needed = entry.body.blobs().iter().filter(|&id| Some(*id) != brought);
                    busy(space, name) || needed.any(|id| touched.released.contains(id))
                }
                Prepared::Rewrite { space, name, .. }
                | Prepared::MoveRecord { space, name, .. }
                | Prepared::Remove(Remove { space, name, .. })
                | Prepared::SetLock(SetLock { space, name, .. }) => busy(space, name),
                Prepared::MoveBlob { blob, .. } => {
                    touched.released.contains(blob) || touched.moved.contains(blob)
                }
                Prepared::CreateSpace { space, .. }
                | Prepared::DropSpace(space)
                | Prepared::ClearSpace(space) => {
                    touched.structures.contains(space) || touched.spaces.contains(space)
                }
            })
    }

    /// Notes what a batch changes, whether it is planned now or waits: later batches that name the
    /// same keep their place behind it.
    fn touch(&mut self, pending: &Pending) {
        for operation in &pending.operations {
            match operation {
                Prepared::Put { space, name, keep, .. } => {
                    if *keep == Keep::Null {
                        self.touch_released(*space, name, Which::Null);
                    }
                    self.touch_name(*space, name);
                }
                Prepared::Rewrite { space, name, .. }
                | Prepared::MoveRecord { space, name, .. }
                | Prepared::SetLock(SetLock { space, name, .. }) => self.touch_name(*space, name),
                Prepared::Remove(Remove { space, name, which, .. }) => {
                    self.touch_released(*space, name, *which);
                    self.touch_name(*space, name);
                }
                Prepared::MoveBlob { blob, .. } => {
                    self.touched.moved.insert(*blob);
                }
                Prepared::CreateSpace { space, .. } | Prepared::DropSpace(space) => {
                    self.touched.structures.insert(*space);
                }
                Prepared::ClearSpace(space) => {
                    self.touched.structures.insert(*space);
                    if let Some(held) = self.index.spaces.get(space) {
                        let released = &mut self.touched.released;
                        for table in [&held.current, &held.history] {
                            table.visit(std::ops::Bound::Unbounded, &mut |_, entry| {
                                released.extend(entry.body.blobs());
                                Visit::Next
                            });
                        }
                    }
                }
            }
        }
    }

    /// Keeps later batches from changing what a waiting one asks about.
    fn touch_conditions(&mut self, pending: &Pending) {
        for condition in &pending.conditions {
            self.touch_name(condition.space, &condition.name);
        }
    }

    fn touch_name(&mut self, space: SpaceId, name: &Bytes) {
        self.touched.spaces.insert(space);
        self.touched.names.insert((space, name.clone()));
    }

    fn touch_released(&mut self, space: SpaceId, name: &Bytes, which: Which) {
        if let Some(entry) = self.find(space, name, which) {
            self.touched.released.extend(entry.body.blobs());
        }
    }

    fn find(&self, space: SpaceId, name: &[u8], which: Which) -> Option<Entry> {
        match which {
            Which::Sequence(sequence) => self.index.by_sequence(space, name, sequence),
            Which::Null => self.index.null(space, name),
        }
    }

    /// Decides a batch. A refused one is answered here: it depends on durable state only.
    fn plan(&mut self, pending: Pending, group: &mut Group) -> Option<Planned> {
        let checked = self.check_conditions(&pending.conditions).and_then(|()| {
            let checks = pending.operations.iter().map(|operation| self.check(operation));
            checks.collect::<Result<Vec<_>>>()
        });
        let found = match checked {
            Ok(found) => found,
            Err(error) => {
                answer(pending.reply, Err(error));
                return None;
            }
        };
        let mut pending = pending;
        let mut changes = Vec::with_capacity(pending.operations.len() + 1);
        let mut outcomes = Vec::with_capacity(pending.operations.len());
        for (operation, found) in pending.operations.iter_mut().zip(found) {
            outcomes.push(self.encode(operation, found, group, &mut changes));
        }
        if changes.is_empty() {
            // Nothing to do and nothing pending: what was asked already holds, durably.
            answer(pending.reply, Ok(outcomes));
            return None;
        }
        let (reply, _operations) = (pending.reply, pending.operations);
        Some(Planned { changes, outcomes, reply, _operations })
    }

    fn check_conditions(&self, conditions: &[Condition]) -> Result<()> {
        for (index, Condition { space, name, test }) in conditions.iter().enumerate() {
            if !self.index.spaces.contains_key(space) {
                return Err(Error::NotFound(Missing::Space(*space)));
            }
            let current = self.index.current(*space, name);
            let holds = match test {
                Test::Absent => current.is_none(),
                Test::Present => current.is_some(),
                Test::StampIs(stamp) => current.as_ref().is_some_and(|e| e.stamp == *stamp),
                Test::StampIsNot(stamp) => current.as_ref().is_none_or(|e| e.stamp != *stamp),
                Test::NewestIs(sequence) => {
                    self.index.newest(*space, name).is_some_and(|e| e.sequence == *sequence)
                }
                Test::RecordIs { sequence, location } => self
                    .index
                    .by_sequence(*space, name, *sequence)
                    .is_some_and(|e| e.location == *location),
            };
            if !holds {
                return Err(Error::Condition { index, found: current });
            }
        }
        Ok(())
    }

    fn space(&self, space: SpaceId) -> Result<()> {
        if self.index.spaces.contains_key(&space) {
            Ok(())
        } else {
            Err(Error::NotFound(Missing::Space(space)))
        }
    }

    /// May this operation happen now? Answers the version it is about.
    fn check(&self, operation: &Prepared) -> Result<Option<Entry>> {
        match operation {
            Prepared::Put { space, name, keep, entry, fresh, .. } => {
                self.space(*space)?;
                self.check_blobs(entry, fresh.as_deref())?;
                if *keep == Keep::All {
                    return Ok(None);
                }
                let replaced = self.index.null(*space, name);
                if let Some(old) = &replaced {
                    self.permit_removal(old, Bypass::None)?;
                }
                Ok(replaced)
            }
            Prepared::Rewrite { space, name, entry, .. } => {
                self.space(*space)?;
                let found = self.index.by_sequence(*space, name, entry.sequence);
                found.map(Some).ok_or(Error::NotFound(Missing::Version))
            }
            Prepared::Remove(remove) => {
                self.space(remove.space)?;
                match self.find(remove.space, &remove.name, remove.which) {
                    Some(entry) => {
                        self.permit_removal(&entry, remove.bypass)?;
                        Ok(Some(entry))
                    }
                    None if remove.which == Which::Null => Ok(None),
                    None => Err(Error::NotFound(Missing::Version)),
                }
            }
            Prepared::SetLock(set) => {
                self.space(set.space)?;
                let entry = self
                    .find(set.space, &set.name, set.which)
                    .ok_or(Error::NotFound(Missing::Version))?;
                let held = self.lock_of(&entry)?;
                held.permit_change(&changed(held, set.change), self.time_ms, set.bypass)?;
                Ok(Some(entry))
            }
            Prepared::CreateSpace { space, .. } => match self.space(*space) {
                Ok(()) => Err(Error::Invalid(format!("space {space} exists"))),
                Err(_) => Ok(None),
            },
            Prepared::DropSpace(space) => match self.index.is_empty(*space) {
                None => Err(Error::NotFound(Missing::Space(*space))),
                Some(false) => Err(Error::Invalid(format!("space {space} is not empty"))),
                Some(true) => Ok(None),
            },
            Prepared::ClearSpace(space) => self.check_clear(*space).map(|()| None),
            Prepared::MoveBlob { blob, from, .. } => {
                let held = self.index.blobs.get(blob).ok_or(Error::NotFound(Missing::Blob))?;
                if held.place == *from { Ok(None) } else { Err(Error::NotFound(Missing::Blob)) }
            }
            Prepared::MoveRecord { space, name, sequence, from, .. } => self
                .index
                .by_sequence(*space, name, *sequence)
                .filter(|entry| entry.location == *from)
                .map(Some)
                .ok_or(Error::NotFound(Missing::Version)),
        }
    }

    fn check_blobs(&self, entry: &Entry, fresh: Option<&FreshBlob>) -> Result<()> {
        let brought = fresh.map(|fresh| fresh.blob);
        let known = |id: &BlobId| Some(*id) == brought || self.index.blobs.contains_key(id);
        if entry.body.blobs().iter().all(known) {
            Ok(())
        } else {
            Err(Error::NotFound(Missing::Blob))
        }
    }

    fn check_clear(&self, space: SpaceId) -> Result<()> {
        let held = self.index.spaces.get(&space).ok_or(Error::NotFound(Missing::Space(space)))?;
        let mut refused = Ok(());
        for table in [&held.current, &held.history] {
            table.visit(std::ops::Bound::Unbounded, &mut |_, entry| {
                refused = self.permit_removal(entry, Bypass::None);
                if refused.is_ok() { Visit::Next } else { Visit::Stop }
            });
            // What one table refused, the other cannot allow.
            if refused.is_err() {
                break;
            }
        }
        refused
    }

    /// The lock of a version. A version that says it is locked and whose lock is not there counts as
    /// locked for good.
    fn lock_of(&self, entry: &Entry) -> Result<Lock> {
        match (entry.is_locked(), self.index.locks.get(&entry.sequence)) {
            (false, _) => Ok(Lock::default()),
            (true, Some(lock)) => Ok(*lock),
            (true, None) => Err(Error::Locked { reason: "the lock cannot be read" }),
        }
    }

    fn permit_removal(&self, entry: &Entry, bypass: Bypass) -> Result<()> {
        self.lock_of(entry)?.permit_removal(self.time_ms, bypass)
    }

    /// Encodes an operation that may happen; its changes name places relative to the group.
    fn encode(
        &self,
        operation: &mut Prepared,
        found: Option<Entry>,
        group: &mut Group,
        changes: &mut Vec<Change>,
    ) -> Outcome {
        let mut outcome = Outcome {
            sequence: found.as_ref().map_or(0, |entry| entry.sequence),
            time_ms: self.time_ms,
            removed: None,
        };
        match operation {
            Prepared::Put { space, name, entry, lock, body, fresh, .. } => {
                if let Some(fresh) = fresh {
                    push(group, &RecordBody::Blob { blob: fresh.blob, place: fresh.place.clone() });
                    changes.push(Change::Blob { blob: fresh.blob, place: fresh.place.clone() });
                }
                let lsn = group.next_lsn();
                patch_put(body, lsn.0, self.time_ms);
                let (offset, len, crc) = group.push(1, lsn, body);
                let location = Location { offset, len, crc, ..Location::default() };
                let entry =
                    Entry { sequence: lsn.0, time_ms: self.time_ms, location, ..entry.clone() };
                outcome = Outcome { sequence: lsn.0, time_ms: self.time_ms, removed: found };
                let (name, lock) = (name.to_vec(), *lock);
                changes.push(Change::Put { space: *space, name, entry, lock });
            }
            Prepared::Rewrite { space, name, entry, label, body } => {
                patch_put(body, entry.sequence, entry.time_ms);
                let (offset, len, crc) = group.push(2, group.next_lsn(), body);
                let location = Location { offset, len, crc, ..Location::default() };
                let (name, sequence, label) = (name.to_vec(), entry.sequence, *label);
                changes.push(Change::Rewrite { space: *space, name, sequence, label, location });
            }
            Prepared::Remove(Remove { space, name, .. }) => {
                if let Some(entry) = found {
                    let (space, sequence) = (*space, entry.sequence);
                    push(group, &RecordBody::Remove { space, sequence, name });
                    changes.push(Change::Remove { space, name: name.to_vec(), sequence });
                    outcome.removed = Some(entry);
                }
            }
            Prepared::SetLock(set) => {
                if let Some(entry) = found {
                    let held = self.lock_of(&entry).unwrap_or_default();
                    let (space, sequence) = (set.space, entry.sequence);
                    let lock = changed(held, set.change);
                    push(group, &RecordBody::Lock { space, sequence, name: &set.name, lock });
                    changes.push(Change::Lock { space, name: set.name.to_vec(), sequence, lock });
                }
            }
            Prepared::CreateSpace { space, key, wrapped } => {
                push(group, &RecordBody::CreateSpace { space: *space, key: wrapped });
                let (space, key, wrapped) = (*space, Arc::clone(key), wrapped.clone());
                changes.push(Change::CreateSpace { space, key, wrapped });
            }
            Prepared::DropSpace(space) | Prepared::ClearSpace(space) => {
                push(group, &RecordBody::DropSpace { space: *space });
                changes.push(Change::DropSpace { space: *space });
            }
            Prepared::MoveBlob { blob, to, .. } => {
                push(group, &RecordBody::Blob { blob: *blob, place: to.clone() });
                changes.push(Change::Blob { blob: *blob, place: to.clone() });
            }
            Prepared::MoveRecord { space, name, sequence, to, .. } => {
                let (space, sequence, to) = (*space, *sequence, *to);
                push(group, &RecordBody::MoveRecord { space, sequence, name, to });
                changes.push(Change::MoveRecord { space, name: name.to_vec(), sequence, to });
            }
        }
        outcome
    }
}

fn push(group: &mut Group, body: &RecordBody<'_>) {
    let mut encoded = Vec::with_capacity(128);
    encode_body(body, &mut encoded);
    group.push(body.kind(), group.next_lsn(), &encoded);
}

fn changed(mut lock: Lock, change: LockChange) -> Lock {
    match change {
        LockChange::Retention(retention) => lock.retention = retention,
        LockChange::LegalHold(on) => lock.legal_hold = LegalHold::set(on),
    }
    lock
}

impl Group {
    /// LSN of the next record.
    pub(crate) fn next_lsn(&self) -> Lsn {
        Lsn(self.first_lsn().0 + u64::from(self.records()))
    }
}

impl Change {
    /// Turns places relative to the group into places on the device.
    fn settle_at(&mut self, zone: crate::id::ZoneId, offset: u64) {
        let location = match self {
            Self::Put { entry, .. } => &mut entry.location,
            Self::Rewrite { location, .. } => location,
            _ => return,
        };
        location.zone = zone;
        location.offset += offset as u32;
    }
}

/// What a batch needs before it can enter the queue.
impl Inner {
    /// Encodes and seals a batch; refuses what is outside the limits.
    pub(crate) fn prepare(&self, batch: Batch) -> Result<Ready> {
        let Batch { conditions, operations } = batch;
        if operations.len() > crate::limits::BATCH_OPERATIONS_MAX {
            let max = crate::limits::BATCH_OPERATIONS_MAX;
            return Err(Error::Invalid(format!("a batch has at most {max} operations")));
        }
        let mut claim = Claim::Engine;
        let mut prepared = Vec::with_capacity(operations.len());
        for operation in operations {
            prepared.push(self.prepare_operation(operation, &mut claim)?);
        }
        if claim == Claim::User && self.zones.is_low_on_space() {
            return Err(Error::Busy(Shortage::Space));
        }
        self.ready(conditions, prepared, claim)
    }

    /// A batch of encoded operations, if it fits.
    pub(crate) fn ready(
        &self,
        conditions: Vec<Condition>,
        operations: Vec<Prepared>,
        claim: Claim,
    ) -> Result<Ready> {
        let bytes = operations.iter().map(Prepared::bytes_max).sum();
        if bytes + crate::format::BATCH_HEADER_BYTES > Journal::group_bytes_max(&self.zones) {
            return Err(Error::Invalid("a batch must fit one zone".to_owned()));
        }
        Ok(Ready { conditions, operations, bytes, claim })
    }
}

impl Prepared {
    /// Bytes its records take at most.
    fn bytes_max(&self) -> usize {
        const FRAME: usize = 128;
        match self {
            Self::Put { body, fresh, .. } => {
                let extents = fresh.as_ref().map_or(0, |fresh| fresh.place.extents.len() + 1);
                FRAME * 2 + body.len() + extents * 16
            }
            Self::Rewrite { body, .. } => FRAME + body.len(),
            Self::Remove(remove) => FRAME + remove.name.len(),
            Self::SetLock(set) => FRAME + set.name.len(),
            Self::CreateSpace { wrapped, .. } => FRAME + wrapped.len(),
            Self::DropSpace(_) | Self::ClearSpace(_) => FRAME,
            Self::MoveBlob { to, .. } => FRAME + to.extents.len() * 16,
            Self::MoveRecord { name, .. } => FRAME + name.len(),
        }
    }
}
