//! What a caller asks of the sequencer: operations that happen together, and what must hold first.
//!
//! A batch is atomic: all of its operations become durable and visible at one moment, or none do.
//! Its conditions are decided at the moment it gets its place in the order, by the one owner of
//! that order, so that of two writers with the same condition exactly one wins.
//!
//! What a batch may do is decided on what was there before it, so its operations must not meet: at most
//! one on a name (all of its versions count as one), at most one on a space, and none on a name of a
//! space that the same batch makes, drops or clears. A batch in which two meet is refused as
//! [`Error::Invalid`](crate::Error::Invalid) before it waits.

use bytes::Bytes;

use crate::entry::{Entry, Location, Stamp};
use crate::id::SpaceId;
use crate::lock::{Bypass, Lock};
use crate::value::Value;

/// Operations that happen together, if their conditions hold.
#[derive(Debug, Default)]
pub struct Batch {
    /// What must hold when the batch is sequenced.
    pub conditions: Vec<Condition>,
    /// What then happens, in order. No two may be about the same name or space.
    pub operations: Vec<Operation>,
}

/// One test on one name.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Where.
    pub space: SpaceId,
    /// On which name.
    pub name: Bytes,
    /// What must hold.
    pub test: Test,
}

/// What can be asked of a name at the sequencing point. A marker counts as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// No current version.
    Absent,
    /// A current version.
    Present,
    /// The current version has this stamp.
    StampIs(Stamp),
    /// There is no current version, or it has another stamp.
    StampIsNot(Stamp),
    /// The newest version (a marker too) is this one.
    NewestIs(u64),
    /// This version exists and its record still lies here: nobody changed it since it was read.
    RecordIs {
        /// The version.
        sequence: u64,
        /// Where its record was.
        location: Location,
    },
}

/// One change.
#[derive(Debug)]
pub enum Operation {
    /// A new version of a name.
    Put(Put),
    /// Gives an existing version new metadata; value, sequence, time, stamp and lock stay. Pair it
    /// with [`Test::RecordIs`] on the record that was read.
    Rewrite(Rewrite),
    /// Removes one version for good. The lock guard is asked.
    Remove(Remove),
    /// Sets a version's lock. The lock guard is asked.
    SetLock(SetLock),
    /// Makes a space with a fresh key of its own. The id comes from [`crate::Engine::reserve_space`].
    CreateSpace(SpaceId),
    /// Drops a space; refused unless it has no version left at all.
    DropSpace(SpaceId),
    /// Drops a space and all that is in it; refused while anything in it is locked.
    ClearSpace(SpaceId),
}

/// A new version.
#[derive(Debug)]
pub struct Put {
    /// Where.
    pub space: SpaceId,
    /// The name.
    pub name: Bytes,
    /// What becomes of the versions that are there.
    pub keep: Keep,
    /// A value, or a marker that says "deleted".
    pub content: Content,
    /// The version's lock from its first moment on.
    pub lock: Option<Lock>,
}

/// What a new version does to its predecessors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The new version is the name's null version: it takes the place of the null version there
    /// was, wherever that stood (the lock guard is asked); other versions stay.
    Null,
    /// Everything stays; the new version is one more.
    All,
}

/// What a version says.
#[derive(Debug)]
pub enum Content {
    /// The name is deleted.
    Marker,
    /// The name has a value.
    Value {
        /// The sealed value, from a [`crate::ValueWriter`], [`Value::empty`] or another record.
        value: Value,
        /// The owner's metadata in clear; the engine seals it. At most [`crate::limits::META_BYTES_MAX`].
        meta: Bytes,
        /// Identity of the content, for conditions.
        stamp: Stamp,
        /// A byte for the owner's listing.
        label: u8,
    },
}

/// New metadata for an existing version. Refused when `entry` or `value` has another length or other
/// blobs than the version; a value that lies in its record must be the one from the version's record,
/// as nothing else knows its bytes.
#[derive(Debug)]
pub struct Rewrite {
    /// Where.
    pub space: SpaceId,
    /// The name.
    pub name: Bytes,
    /// The version, as it was read.
    pub entry: Entry,
    /// Its value, from the record that was read.
    pub value: Value,
    /// The new metadata in clear.
    pub meta: Bytes,
    /// The new label.
    pub label: u8,
}

/// Removal of one version.
#[derive(Debug)]
pub struct Remove {
    /// Where.
    pub space: SpaceId,
    /// The name.
    pub name: Bytes,
    /// Which version.
    pub which: Which,
    /// The right against governance retention.
    pub bypass: Bypass,
}

/// How a version is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// By its sequence.
    Sequence(u64),
    /// The null version. Removing it when there is none is success.
    Null,
}

/// A lock for one version.
#[derive(Debug)]
pub struct SetLock {
    /// Where.
    pub space: SpaceId,
    /// The name.
    pub name: Bytes,
    /// Which version.
    pub which: Which,
    /// What to change.
    pub change: LockChange,
    /// The right against governance retention.
    pub bypass: Bypass,
}

/// A change of one half of a lock; the other half stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockChange {
    /// Set or clear the retention.
    Retention(Option<crate::lock::Retention>),
    /// Set or clear the legal hold.
    LegalHold(bool),
}

/// What became of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The version that was made, rewritten, locked or removed; 0 when there was none.
    pub sequence: u64,
    /// When it was sequenced, ms since 1970.
    pub time_ms: u64,
    /// The version that went away or, for a removal, the removed one.
    pub removed: Option<Entry>,
}
