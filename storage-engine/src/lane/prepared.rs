//! A batch before it waits for the lane: within the limits, values sealed, records encoded but for
//! what depends on their place in the order.
//!
//! Invariant: no two operations of a batch meet in one name or space, so that each can be decided
//! without the others.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::batch::{Batch, Condition, Content, Keep, Operation, Put, Remove, SetLock};
use crate::cipher::{SpaceKey, space_context};
use crate::engine::Inner;
use crate::entry::{Body, Entry, Location, Stamp};
use crate::error::{Error, Result, Shortage};
use crate::format::{BlobPlace, PutHead, RecordBody, encode_body};
use crate::id::{BlobId, ROOT_SPACE, SPACE_NONE, SpaceId};
use crate::journal::Journal;
use crate::limits::{BATCH_OPERATIONS_MAX, META_BYTES_MAX, NAME_BYTES_MAX};
use crate::lock::Lock;
use crate::queue::{Pending, Reply};
use crate::value::{FreshBlob, Value};
use crate::zone::{Claim, Zone};

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

impl Inner {
    /// Encodes and seals a batch; refuses what is outside the limits.
    pub(crate) fn prepare(&self, batch: Batch) -> Result<Ready> {
        let Batch { conditions, operations } = batch;
        if operations.len() > BATCH_OPERATIONS_MAX {
            let max = BATCH_OPERATIONS_MAX;
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
        refuse_meeting(&operations)?;
        let bytes = operations.iter().map(Prepared::bytes_max).sum();
        if bytes + crate::format::BATCH_HEADER_BYTES > Journal::group_bytes_max(&self.zones) {
            return Err(Error::Invalid("a batch must fit one zone".to_owned()));
        }
        Ok(Ready { conditions, operations, bytes, claim })
    }

    /// Encodes and seals an operation.
    fn prepare_operation(&self, operation: Operation, claim: &mut Claim) -> Result<Prepared> {
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
                if rewrite.value.size != entry.size || Body::of(&value) != entry.body {
                    return Err(Error::Invalid("a rewrite keeps the version's value".to_owned()));
                }
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
            Operation::CreateSpace(SPACE_NONE) => {
                Err(Error::Invalid("the store has no space ids left".to_owned()))
            }
            Operation::CreateSpace(space) => {
                let store = &self.zones.store;
                let context = space_context(store, space);
                let (key, wrapped) =
                    SpaceKey::create(self.environment.as_ref(), self.master.as_ref(), &context)?;
                Ok(Prepared::CreateSpace { space, key: Arc::new(key), wrapped })
            }
            Operation::DropSpace(ROOT_SPACE) | Operation::ClearSpace(ROOT_SPACE) => {
                Err(Error::Invalid("the root space cannot be dropped".to_owned()))
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
            location: Location::default(),
            body: Body::Record,
            stamp: Stamp::default(),
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
}

impl Prepared {
    /// The name it is about, or the whole of a space; none when it is about a blob, of which the engine
    /// moves one a batch.
    fn target(&self) -> Option<(SpaceId, Option<&Bytes>)> {
        match self {
            Self::Put { space, name, .. }
            | Self::Rewrite { space, name, .. }
            | Self::MoveRecord { space, name, .. }
            | Self::Remove(Remove { space, name, .. })
            | Self::SetLock(SetLock { space, name, .. }) => Some((*space, Some(name))),
            Self::CreateSpace { space, .. } | Self::DropSpace(space) | Self::ClearSpace(space) => {
                Some((*space, None))
            }
            Self::MoveBlob { .. } => None,
        }
    }

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

/// Errs when two operations are about one name, or one is about the space of another.
fn refuse_meeting(operations: &[Prepared]) -> Result<()> {
    if operations.len() < 2 {
        return Ok(());
    }
    let mut targets: Vec<_> = operations.iter().filter_map(Prepared::target).collect();
    targets.sort_unstable();
    // A space as a whole comes before its names.
    let mut neighbours = targets.iter().zip(targets.iter().skip(1));
    let meeting = neighbours
        .find(|((space, name), next)| next.0 == *space && (name.is_none() || next.1 == *name));
    match meeting {
        None => Ok(()),
        Some(((space, _), (_, Some(_)))) => Err(Error::Invalid(format!(
            "two operations of a batch meet in a name of space {space}"
        ))),
        Some(((space, _), (_, None))) => {
            Err(Error::Invalid(format!("two operations of a batch meet in space {space}")))
        }
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
