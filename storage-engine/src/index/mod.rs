//! The index: which versions a name has, where their records and blobs lie, what is locked.
//!
//! A view of the journal, changed only by applying records, at commit and at replay by the same code:
//! those of one name in LSN order, those of different names in any. Invariants:
//! - `current` holds a name exactly when its newest version is not a marker, and then that version;
//!   all other versions and all markers are in `history`: listing never walks them;
//! - a name has at most one null version;
//! - a blob's reference count is the number of times versions refer to it; at none, when its batch
//!   is over, it is gone;
//! - `live` holds, per zone, the bytes that records and blobs in the index take there.

mod live;
mod scan;
mod table;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::cipher::SpaceKey;
use crate::entry::{Body, Entry, Location};
use crate::format::{BlobPlace, PutHead, StoredValue};
use crate::id::{BlobId, SpaceId, ZoneId};
use crate::lock::Lock;

pub(crate) use live::Live;
pub(crate) use table::{MemoryTable, Table, Visit, history_key, history_name, history_prefix};

/// One change, as a record says it, ready to be applied.
#[derive(Debug)]
pub(crate) enum Change {
    /// A new version.
    Put { space: SpaceId, name: Vec<u8>, entry: Entry, lock: Option<Lock> },
    /// A version's record has new content in a new place.
    Rewrite { space: SpaceId, name: Vec<u8>, sequence: u64, label: u8, location: Location },
    /// A version is gone.
    Remove { space: SpaceId, name: Vec<u8>, sequence: u64 },
    /// A version's lock changed.
    Lock { space: SpaceId, name: Vec<u8>, sequence: u64, lock: Lock },
    /// A space was made.
    CreateSpace { space: SpaceId, key: Arc<SpaceKey>, wrapped: Vec<u8> },
    /// A space and all in it is gone.
    DropSpace { space: SpaceId },
    /// Where a blob lies.
    Blob { blob: BlobId, place: BlobPlace },
    /// Where a version's record lies.
    MoveRecord { space: SpaceId, name: Vec<u8>, sequence: u64, to: Location },
}

impl Change {
    /// The name it is about; none when it is about a space or a blob.
    pub(crate) fn target(&self) -> Option<(SpaceId, &[u8])> {
        match self {
            Self::Put { space, name, .. }
            | Self::Rewrite { space, name, .. }
            | Self::Remove { space, name, .. }
            | Self::Lock { space, name, .. }
            | Self::MoveRecord { space, name, .. } => Some((*space, name)),
            Self::CreateSpace { .. } | Self::DropSpace { .. } | Self::Blob { .. } => None,
        }
    }
}

/// A blob and how often it is referred to.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) place: Arc<BlobPlace>,
    pub(crate) references: u32,
}

/// One namespace.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) key: Arc<SpaceKey>,
    pub(crate) wrapped: Vec<u8>,
    pub(crate) current: Box<dyn Table>,
    pub(crate) history: Box<dyn Table>,
}

/// All spaces, blobs, locks, and what is live where.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) spaces: BTreeMap<SpaceId, Space>,
    pub(crate) blobs: BTreeMap<BlobId, Blob>,
    pub(crate) locks: HashMap<u64, Lock>,
    pub(crate) live: Live,
    /// Blobs that lost their last reference in the batch being applied.
    orphans: Vec<BlobId>,
    /// While replaying, a blob record may come after the version that needs it.
    pub(crate) phase: Phase,
}

/// Whether references are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// Replaying: blobs are kept whatever their count; [`Index::settle`] ends it.
    #[default]
    Replay,
    /// Serving: a blob without references goes at the end of its batch.
    Serving,
}

impl Index {
    /// The current version.
    pub(crate) fn current(&self, space: SpaceId, name: &[u8]) -> Option<Entry> {
        self.spaces.get(&space)?.current.get(name)
    }

    /// The newest version, a marker too.
    pub(crate) fn newest(&self, space: SpaceId, name: &[u8]) -> Option<Entry> {
        let held = self.spaces.get(&space)?;
        held.current.get(name).or_else(|| held.newest_in_history(name))
    }

    /// One version by sequence.
    pub(crate) fn by_sequence(&self, space: SpaceId, name: &[u8], sequence: u64) -> Option<Entry> {
        let held = self.spaces.get(&space)?;
        held.current
            .get(name)
            .filter(|entry| entry.sequence == sequence)
            .or_else(|| held.history.get(&history_key(name, sequence)))
    }

    /// The null version, a marker too.
    pub(crate) fn null(&self, space: SpaceId, name: &[u8]) -> Option<Entry> {
        let held = self.spaces.get(&space)?;
        held.current
            .get(name)
            .filter(Entry::is_null)
            .or_else(|| held.find_in_history(name, Entry::is_null))
    }

    /// True when the space has no version at all; none when there is no such space.
    pub(crate) fn is_empty(&self, space: SpaceId) -> Option<bool> {
        let held = self.spaces.get(&space)?;
        Some(held.current.len() == 0 && held.history.len() == 0)
    }

    /// Applies one change. Everything a change names must exist, except while replaying.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Put { space, name, entry, lock } => self.put(space, name, entry, lock),
            Change::Rewrite { space, name, sequence, label, location } => {
                self.update(space, &name, sequence, |entry| {
                    entry.label = label;
                    entry.location = location;
                });
            }
            Change::MoveRecord { space, name, sequence, to } => {
                self.update(space, &name, sequence, |entry| entry.location = to);
            }
            Change::Remove { space, name, sequence } => self.remove(space, &name, sequence),
            Change::Lock { space, name, sequence, lock } => {
                if self.by_sequence(space, &name, sequence).is_some() {
                    self.locks.insert(sequence, lock);
                    self.update(space, &name, sequence, |entry| entry.flags |= Entry::LOCKED);
                }
            }
            Change::CreateSpace { space, key, wrapped } => {
                self.spaces.insert(space, Space::new(key, wrapped));
            }
            Change::DropSpace { space } => self.drop_space(space),
            Change::Blob { blob, place } => self.place_blob(blob, place),
        }
    }

    /// Ends replay: counts references anew, drops blobs without any, and counts live bytes anew.
    /// Answers blobs that versions need and that are missing.
    pub(crate) fn settle(&mut self) -> Vec<BlobId> {
        self.phase = Phase::Serving;
        self.live.clear();
        for blob in self.blobs.values_mut() {
            blob.references = 0;
        }
        let mut missing = Vec::new();
        let (blobs, live) = (&mut self.blobs, &mut self.live);
        for space in self.spaces.values() {
            for table in [&space.current, &space.history] {
                table.visit(Bound::Unbounded, &mut |_, entry| {
                    live.add(entry.location.zone, entry.location.len);
                    for id in entry.body.blobs() {
                        match blobs.get_mut(id) {
                            Some(blob) => blob.references += 1,
                            None => missing.push(*id),
                        }
                    }
                    Visit::Next
                });
            }
        }
        self.blobs.retain(|_, blob| blob.references > 0);
        for blob in self.blobs.values() {
            blob.place.all_extents().for_each(|extent| self.live.add(extent.zone, extent.len));
        }
        missing
    }

    /// Bytes in the zone that still serve.
    pub(crate) fn live_bytes(&self, zone: ZoneId) -> u64 {
        self.live.bytes(zone)
    }

    fn put(&mut self, space: SpaceId, name: Vec<u8>, entry: Entry, lock: Option<Lock>) {
        let Some(Space { current, history, .. }) = self.spaces.get_mut(&space) else { return };
        let (sequence, is_null) = (entry.sequence, entry.is_null());
        let mut gone = match is_null && history.len() > 0 {
            true => find_in(history.as_ref(), &name, Entry::is_null)
                .and_then(|old| history.remove(&history_key(&name, old.sequence))),
            false => None,
        };
        let mut replace = |name: &[u8], old: Entry| match is_null && old.is_null() {
            true => gone = Some(old),
            false => insert_new(history.as_mut(), history_key(name, old.sequence), old),
        };
        let taken = entry.clone();
        if entry.is_marker() {
            if let Some(old) = current.remove(&name) {
                replace(&name, old);
            }
            insert_new(history.as_mut(), history_key(&name, sequence), entry);
        } else {
            current.insert(name.into(), entry, &mut replace);
        }
        if let Some(old) = gone {
            self.release(&old);
        }
        self.take(&taken);
        if let Some(lock) = lock {
            self.locks.insert(sequence, lock);
        }
    }

    fn remove(&mut self, space: SpaceId, name: &[u8], sequence: u64) {
        let Some(Space { current, history, .. }) = self.spaces.get_mut(&space) else { return };
        let newest = current.get(name).map(|entry| entry.sequence);
        let gone = match newest == Some(sequence) {
            true => current.remove(name),
            false => history.remove(&history_key(name, sequence)),
        };
        // What is left of the name may have a newest version again that is no marker.
        if newest.is_none_or(|newest| newest == sequence)
            && history.len() > 0
            && let Some(next) = find_in(history.as_ref(), name, |_| true)
            && !next.is_marker()
        {
            history.remove(&history_key(name, next.sequence));
            insert_new(current.as_mut(), name.into(), next);
        }
        if let Some(entry) = gone {
            self.release(&entry);
        }
    }

    fn update(
        &mut self,
        space: SpaceId,
        name: &[u8],
        sequence: u64,
        change: impl FnOnce(&mut Entry),
    ) {
        let Some(Space { current, history, .. }) = self.spaces.get_mut(&space) else { return };
        let (table, key, held) = match current.get(name).filter(|held| held.sequence == sequence) {
            Some(held) => (current, Box::from(name), Some(held)),
            None => {
                let key = history_key(name, sequence);
                let held = history.get(&key);
                (history, key, held)
            }
        };
        let Some(mut entry) = held else { return };
        self.live.subtract(entry.location.zone, entry.location.len);
        change(&mut entry);
        self.live.add(entry.location.zone, entry.location.len);
        table.insert(key, entry, &mut |_, _| {});
    }

    fn drop_space(&mut self, space: SpaceId) {
        let Some(held) = self.spaces.remove(&space) else { return };
        for table in [&held.current, &held.history] {
            table.visit(Bound::Unbounded, &mut |_, entry| {
                self.release(entry);
                Visit::Next
            });
        }
    }

    fn place_blob(&mut self, id: BlobId, place: BlobPlace) {
        let place = Arc::new(place);
        place.all_extents().for_each(|extent| self.live.add(extent.zone, extent.len));
        match self.blobs.get_mut(&id) {
            Some(blob) => {
                let old = std::mem::replace(&mut blob.place, place);
                old.all_extents().for_each(|extent| self.live.subtract(extent.zone, extent.len));
            }
            None => {
                self.blobs.insert(id, Blob { place, references: 0 });
            }
        }
    }

    fn take(&mut self, entry: &Entry) {
        self.live.add(entry.location.zone, entry.location.len);
        for id in entry.body.blobs() {
            if let Some(blob) = self.blobs.get_mut(id) {
                blob.references += 1;
            }
        }
    }

    fn release(&mut self, entry: &Entry) {
        self.live.subtract(entry.location.zone, entry.location.len);
        if entry.is_locked() {
            self.locks.remove(&entry.sequence);
        }
        for id in entry.body.blobs() {
            let Some(blob) = self.blobs.get_mut(id) else { continue };
            blob.references = blob.references.saturating_sub(1);
            if blob.references == 0 && self.phase == Phase::Serving {
                self.orphans.push(*id);
            }
        }
    }

    /// Ends a batch: lets go of the blobs that nothing in it took up again.
    pub(crate) fn end_batch(&mut self) {
        for id in std::mem::take(&mut self.orphans) {
            if self.blobs.get(&id).is_none_or(|blob| blob.references > 0) {
                continue;
            }
            if let Some(gone) = self.blobs.remove(&id) {
                let extents = gone.place.all_extents();
                extents.for_each(|extent| self.live.subtract(extent.zone, extent.len));
            }
        }
    }
}

impl Space {
    pub(crate) fn new(key: Arc<SpaceKey>, wrapped: Vec<u8>) -> Self {
        Self {
            key,
            wrapped,
            current: Box::new(MemoryTable::default()),
            history: Box::new(MemoryTable::default()),
        }
    }

    pub(crate) fn newest_in_history(&self, name: &[u8]) -> Option<Entry> {
        self.find_in_history(name, |_| true)
    }

    fn find_in_history(&self, name: &[u8], wanted: impl Fn(&Entry) -> bool) -> Option<Entry> {
        find_in(self.history.as_ref(), name, wanted)
    }

    /// All versions of a name, newest first, into `out`.
    pub(crate) fn versions_of(&self, name: &[u8], out: &mut Vec<Entry>) {
        out.extend(self.current.get(name));
        let prefix = history_prefix(name);
        self.history.visit(Bound::Included(&prefix), &mut |key, entry| {
            if !key.starts_with(&prefix) {
                return Visit::Stop;
            }
            out.push(entry.clone());
            Visit::Next
        });
    }

    /// The first name after `after` that has any version.
    pub(crate) fn next_name(&self, after: Option<&[u8]>) -> Option<Vec<u8>> {
        let mut in_current = None;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.current.visit(from, &mut |name, _| {
            in_current = Some(name.to_vec());
            Visit::Stop
        });
        let mut in_history = None;
        // The prefix with its terminator raised sorts after every version of the name itself and
        // before every longer name.
        let past = after.map(|name| {
            let mut past = history_prefix(name);
            if let Some(last) = past.last_mut() {
                *last = 2;
            }
            past
        });
        let from = past.as_deref().map_or(Bound::Unbounded, Bound::Included);
        self.history.visit(from, &mut |key, _| {
            in_history = Some(history_name(key));
            Visit::Stop
        });
        match (in_current, in_history) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

/// The newest version of a name in a history that is wanted.
fn find_in(history: &dyn Table, name: &[u8], wanted: impl Fn(&Entry) -> bool) -> Option<Entry> {
    let prefix = history_prefix(name);
    let mut found = None;
    history.visit(Bound::Included(&prefix), &mut |key, entry| {
        if !key.starts_with(&prefix) {
            return Visit::Stop;
        }
        if wanted(entry) {
            found = Some(entry.clone());
            return Visit::Stop;
        }
        Visit::Next
    });
    found
}

/// Sets the entry of a key that is not there.
fn insert_new(table: &mut dyn Table, key: Box<[u8]>, entry: Entry) {
    table.insert(key, entry, &mut |_, _| {});
}

impl Body {
    /// The blobs it needs.
    pub(crate) fn blobs(&self) -> &[BlobId] {
        match self {
            Self::Record => &[],
            Self::Blob(id) => std::slice::from_ref(id),
            Self::Blobs(ids) => ids,
        }
    }

    /// The body of a stored value.
    pub(crate) fn of(value: &StoredValue<'_>) -> Self {
        match value {
            StoredValue::None | StoredValue::Inline { .. } => Self::Record,
            StoredValue::Blobs(pieces) => match pieces.as_slice() {
                [] => Self::Record,
                [one] => Self::Blob(one.blob),
                many => Self::Blobs(Box::new(many.iter().map(|piece| piece.blob).collect())),
            },
        }
    }
}

impl BlobPlace {
    /// Extents of the ciphertext and of the tags.
    pub(crate) fn all_extents(&self) -> impl Iterator<Item = &crate::format::Extent> {
        self.extents.iter().chain(std::iter::once(&self.tags)).filter(|extent| extent.len > 0)
    }
}

/// The entry that a put record says.
pub(crate) fn entry_of(head: &PutHead, body: Body, location: Location) -> Entry {
    Entry {
        sequence: head.sequence,
        time_ms: head.time_ms,
        size: head.size,
        location,
        body,
        stamp: head.stamp,
        label: head.label,
        flags: head.flags,
    }
}
