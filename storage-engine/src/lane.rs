//! The commit lane: the one place where batches get their order, conditions and locks are decided,
//! and groups become durable.
//!
//! sequence → durable → publish to the index → acknowledge. One group is in flight at a time. A batch
//! that names something an earlier batch of the same group changes waits for the next group, so every
//! decision is made on durable state alone and no overlay exists.
//!
//! A lane that panics stops the engine before anybody else can use what it left half done, and every
//! batch is answered.

mod planner;
mod prepared;

use std::sync::Arc;

use tokio::sync::oneshot;

use self::planner::{Planned, Planner};
use crate::engine::Inner;
use crate::error::{Error, Result, Shortage};
use crate::id::ZoneId;
use crate::index::Change;
use crate::journal::{Group, Journal, Stage};
use crate::limits::GROUP_BYTES_MAX;
use crate::media::Sector;
use crate::queue::{Pending, Reply};
use crate::zone::{Claim, Zone};

pub(crate) use self::prepared::Prepared;

/// The lane's own state; whoever holds it may sequence.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) journal: Journal,
    spare: Vec<Sector>,
}

impl Lane {
    pub(crate) fn new(journal: Journal) -> Self {
        Self { journal, spare: Vec::new() }
    }

    /// Sequences, writes and publishes one group. Answers the batches that wait for the next one, in
    /// order.
    pub(crate) fn run(&mut self, inner: &Inner, queue: Vec<Pending>) -> Vec<Pending> {
        let _guard = StopOnPanic(inner);
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
            let mut planner = Planner::new(&index, time_ms);
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
        let _guard = StopOnPanic(inner);
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
            // Dropped before the index is free again: no checkpoint of half a batch is finished.
            let _guard = StopOnPanic(inner);
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

/// Stops the engine when its thread panics.
pub(crate) struct StopOnPanic<'a>(pub(crate) &'a Inner);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop("the commit lane panicked".to_owned());
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
    for operation in planned.iter().flat_map(|plan| &plan.held) {
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

impl Change {
    /// Turns places relative to the group into places on the device.
    fn settle_at(&mut self, zone: ZoneId, offset: u64) {
        let location = match self {
            Self::Put { entry, .. } => &mut entry.location,
            Self::Rewrite { location, .. } => location,
            _ => return,
        };
        location.zone = zone;
        location.offset += offset as u32;
    }
}
