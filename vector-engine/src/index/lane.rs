//! The lane of an index: it puts writes in order, and is the only one who changes the state.
//!
//! - Whoever holds its turn commits for all who wait.
//! - A write is acknowledged when its delta is durable and its rows are in the state that queries see.
//! - What must not be changed by a write (a row with an owner) is decided here, where the write gets
//!   its place.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use storage_engine::{Batch, Condition, Outcome, Value};
use tokio::sync::oneshot;

use super::{Index, IndexInner};
use crate::delta::{Delta, DeltaRow};
use crate::error::{Error, Result};
use crate::key_hash::KeyHash;
use crate::limits::{GROUP_WRITES_MAX, GROWING_BYTES_MAX, QUEUE_WRITES_MAX};
use crate::manifest::Manifest;
use crate::row::{IndexSettings, Owner};
use crate::state::State;
use crate::store::{DeltaNumber, SegmentId, delta_name};

/// Longest wait of a write for a seal, before its caller is told to retry.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(30);

/// What only the holder of the turn knows.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) manifest: Manifest,
    pub(crate) last_delta: DeltaNumber,
    /// The last delta of the frozen rows.
    pub(crate) frozen_delta: DeltaNumber,
    /// Dead rows of each segment as they are on the device.
    pub(crate) dead_saved: HashMap<SegmentId, u64>,
}

/// A write and who waits for it.
#[derive(Debug)]
pub(super) struct Waiting {
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

impl Index {
    /// Holds all writes back for as long as the answer lives. Errs while a row with an owner lives.
    pub async fn hold_unowned(&self) -> Result<Hold<'_>> {
        let turn = self.inner.lane.lock().await;
        match self.inner.state().has_owned() {
            true => Err(Error::Conflict("the index has vectors that belong to objects".to_owned())),
            false => Ok(Hold { _turn: turn }),
        }
    }

    /// Has the lane do a write, and waits until it is durable and shown.
    pub(super) async fn write(
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

impl IndexInner {
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
                return Err(belongs(key));
            }
        }
        Ok(())
    }
}

/// The error of a write that would change a row of another owner.
pub(super) fn belongs(key: &str) -> Error {
    Error::Conflict(format!("the vector {key:?} belongs to an object; change the object"))
}

fn keys_of(delta: &Delta) -> impl Iterator<Item = &str> {
    let rows = delta.rows.iter().map(|row| row.row.key.as_str());
    rows.chain(delta.deleted.iter().map(|key| key.key.as_str()))
}
