//! Where batches wait for the lane: in order, up to a limit, and a moment longer when more are known
//! to be coming.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::batch::{Condition, Outcome};
use crate::environment::Environment;
use crate::error::{Error, Result, Shortage};
use crate::lane::Prepared;
use crate::limits::QUEUE_BATCHES_MAX;
use crate::zone::Claim;

/// What a commit answers.
pub(crate) type Reply = Result<Vec<Outcome>>;

/// A batch on its way through the lane.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) operations: Vec<Prepared>,
    pub(crate) bytes: usize,
    pub(crate) claim: Claim,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// The batches that wait.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<Pending>,
    /// Why no more are taken.
    closed: Option<String>,
}

/// How long to wait for batches that are known to be coming: for as many as came of late, and only
/// while more arrive. A single writer never waits.
pub(crate) struct Linger<'a> {
    pub(crate) environment: &'a dyn Environment,
    /// As many as came of late.
    pub(crate) company: usize,
    pub(crate) at_most: Duration,
}

/// Fewer than this many at a time are no company to wait for.
const COMPANY_MIN: usize = 4;

impl Queue {
    /// Puts batches at the end; answers those that find it full or closed.
    pub(crate) fn push(&self, batches: Vec<Pending>) {
        let mut waiting = self.waiting.lock();
        for pending in batches {
            // A caller that went away needs no answer.
            if let Some(reason) = waiting.closed.clone() {
                drop(pending.reply.send(Err(Error::Stopped { reason })));
            } else if waiting.batches.len() >= QUEUE_BATCHES_MAX {
                drop(pending.reply.send(Err(Error::Busy(Shortage::Queue))));
            } else {
                waiting.batches.push_back(pending);
            }
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Takes no more batches; what waits is still handed out.
    pub(crate) fn close(&self) {
        self.waiting.lock().closed.get_or_insert_with(|| "the engine is closed".to_owned());
        self.changed.notify_all();
    }

    /// Takes no more batches, and answers those that wait: nobody will come for them.
    pub(crate) fn abandon(&self, reason: &str) {
        let abandoned = {
            let mut waiting = self.waiting.lock();
            waiting.closed = Some(reason.to_owned());
            std::mem::take(&mut waiting.batches)
        };
        for pending in abandoned {
            drop(pending.reply.send(Err(Error::Stopped { reason: reason.to_owned() })));
        }
    }

    /// All that waits, behind what was deferred, once there is anything; none when it is closed and
    /// nothing is left.
    pub(crate) fn take(&self, deferred: Vec<Pending>, linger: &Linger<'_>) -> Option<Vec<Pending>> {
        let mut group = deferred;
        let mut waiting = self.waiting.lock();
        while waiting.batches.is_empty() && group.is_empty() {
            if waiting.closed.is_some() {
                return None;
            }
            self.changed.wait(&mut waiting);
        }
        self.linger(&mut waiting, group.len(), linger);
        group.extend(waiting.batches.drain(..));
        Some(group)
    }

    fn linger(&self, waiting: &mut MutexGuard<'_, Waiting>, have: usize, linger: &Linger<'_>) {
        if linger.company < COMPANY_MIN || linger.at_most.is_zero() {
            return;
        }
        let until = linger.environment.monotonic() + linger.at_most;
        loop {
            let arrived = have + waiting.batches.len();
            let now = linger.environment.monotonic();
            if arrived >= linger.company || waiting.closed.is_some() || now >= until {
                return;
            }
            self.changed.wait_for(waiting, until - now);
        }
    }
}
