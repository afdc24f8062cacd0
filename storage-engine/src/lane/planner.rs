//! Decisions: may a batch happen, and what does it change? On the durable state alone.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Prepared, answer};
use crate::batch::{Condition, Keep, LockChange, Outcome, Remove, SetLock, Test, Which};
use crate::entry::{Entry, Location};
use crate::error::{Error, Missing, Result};
use crate::format::{RecordBody, encode_body, patch_put};
use crate::id::{BlobId, SpaceId};
use crate::index::{Change, Index, Visit};
use crate::journal::Group;
use crate::lock::{Bypass, LegalHold, Lock};
use crate::queue::{Pending, Reply};
use crate::value::FreshBlob;

/// Something decided and encoded, waiting for the group to be durable.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) changes: Vec<Change>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) reply: oneshot::Sender<Reply>,
    /// Held until the index refers to what they protect.
    pub(super) held: Vec<Prepared>,
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

/// Decides batches on the durable state.
pub(super) struct Planner<'a> {
    index: &'a Index,
    touched: Touched,
    time_ms: u64,
}

impl<'a> Planner<'a> {
    pub(super) fn new(index: &'a Index, time_ms: u64) -> Self {
        Self { index, touched: Touched::default(), time_ms }
    }

    /// True when the batch names what an earlier one of the group changes.
    pub(super) fn must_wait(&self, pending: &Pending) -> bool {
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
    pub(super) fn touch(&mut self, pending: &Pending) {
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
    pub(super) fn touch_conditions(&mut self, pending: &Pending) {
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
    pub(super) fn plan(&mut self, pending: Pending, group: &mut Group) -> Option<Planned> {
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
        let (reply, held) = (pending.reply, pending.operations);
        Some(Planned { changes, outcomes, reply, held })
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
                let found = self
                    .index
                    .by_sequence(*space, name, entry.sequence)
                    .ok_or(Error::NotFound(Missing::Version))?;
                // The record that is written must be of the value that the index goes on to count.
                if (found.size, &found.body) != (entry.size, &entry.body) {
                    return Err(Error::Invalid("a rewrite keeps the version's value".to_owned()));
                }
                Ok(Some(found))
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
