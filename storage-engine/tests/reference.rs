//! The reference model: what the engine must answer, as ordered maps and plain rules.
//!
//! It knows no device, no journal and no key. A batch is decided on the state alone; what the engine
//! alone can know (the sequence a new version gets) is told to it afterwards and checked for order.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use storage_engine::*;

/// All that is in a store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reference {
    /// By space, by name: versions, newest first.
    pub(crate) spaces: BTreeMap<SpaceId, BTreeMap<Bytes, Vec<Version>>>,
    /// The highest time a batch was sequenced at.
    pub(crate) time_ms: u64,
}

/// One version.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) sequence: u64,
    pub(crate) time_ms: u64,
    pub(crate) keep: Keep,
    /// None: a marker.
    pub(crate) content: Option<Written>,
    pub(crate) lock: Option<Lock>,
    /// Counts rewrites.
    pub(crate) revision: u64,
}

/// What was put.
#[derive(Clone)]
pub(crate) struct Written {
    pub(crate) data: Arc<[u8]>,
    pub(crate) meta: Bytes,
    pub(crate) stamp: Stamp,
    pub(crate) label: u8,
    /// Blobs it shares with copies; none when it lies in its record.
    pub(crate) blobs: Vec<u64>,
    /// The blobs existed before: the value is a copy.
    pub(crate) shares: bool,
    /// The engine's side of it, until it is put.
    pub(crate) value: Option<Value>,
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes in blobs {:?}", self.data.len(), self.blobs)
    }
}

/// A batch in the model's words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(crate) conditions: Vec<(SpaceId, Bytes, Asked)>,
    pub(crate) changes: Vec<Change>,
}

/// A test of a condition.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked {
    Plain(Test),
    /// [`Test::RecordIs`], with the revision at which the location was read.
    Record {
        sequence: u64,
        location: Location,
        revision: u64,
    },
}

/// An operation.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a plan has a few, and most are puts")]
pub(crate) enum Change {
    Put { space: SpaceId, name: Bytes, keep: Keep, content: Option<Written>, lock: Option<Lock> },
    Rewrite { space: SpaceId, name: Bytes, sequence: u64, meta: Bytes, label: u8 },
    Remove { space: SpaceId, name: Bytes, which: Which, bypass: Bypass },
    SetLock { space: SpaceId, name: Bytes, which: Which, change: LockChange, bypass: Bypass },
    CreateSpace(SpaceId),
    DropSpace(SpaceId),
    ClearSpace(SpaceId),
}

/// Why a batch does not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Condition { index: usize, found: Option<u64> },
    Locked,
    NoSpace(SpaceId),
    NoVersion,
    NoBlob,
    Invalid,
}

impl Refusal {
    /// The model's word for an engine's error; none for one that no plan can bring about.
    pub(crate) fn of(error: &Error) -> Option<Self> {
        Some(match error {
            Error::Condition { index, found } => {
                let found = found.as_ref().map(|entry| entry.sequence);
                Self::Condition { index: *index, found }
            }
            Error::Locked { .. } => Self::Locked,
            Error::NotFound(Missing::Space(space)) => Self::NoSpace(*space),
            Error::NotFound(Missing::Version) => Self::NoVersion,
            Error::NotFound(Missing::Blob) => Self::NoBlob,
            Error::Invalid(_) => Self::Invalid,
            _ => return None,
        })
    }
}

impl Version {
    pub(crate) fn is_marker(&self) -> bool {
        self.content.is_none()
    }

    fn is(&self, which: Which) -> bool {
        match which {
            Which::Sequence(sequence) => self.sequence == sequence,
            Which::Null => self.keep == Keep::Null,
        }
    }

    fn permit_removal(&self, now_ms: u64, bypass: Bypass) -> Result<(), Refusal> {
        let Some(lock) = self.lock else { return Ok(()) };
        let bound = lock.retention.is_some_and(|held| {
            let bypassed = held.mode == RetentionMode::Governance && bypass == Bypass::Governance;
            now_ms < held.until_ms && !bypassed
        });
        if lock.legal_hold == LegalHold::On || bound { Err(Refusal::Locked) } else { Ok(()) }
    }

    fn changed_lock(
        &self,
        change: LockChange,
        now_ms: u64,
        bypass: Bypass,
    ) -> Result<Lock, Refusal> {
        let mut lock = self.lock.unwrap_or_default();
        let held = lock.retention.filter(|held| now_ms < held.until_ms);
        match change {
            LockChange::LegalHold(on) => lock.legal_hold = LegalHold::set(on),
            LockChange::Retention(next) => {
                let extends = |held: Retention| {
                    next.is_some_and(|n| n.mode == held.mode && n.until_ms >= held.until_ms)
                };
                let bypassed = |held: Retention| {
                    held.mode == RetentionMode::Governance && bypass == Bypass::Governance
                };
                if held.is_some_and(|held| !extends(held) && !bypassed(held)) {
                    return Err(Refusal::Locked);
                }
                lock.retention = next;
            }
        }
        Ok(lock)
    }
}

impl Reference {
    pub(crate) fn versions(&self, space: SpaceId, name: &[u8]) -> &[Version] {
        self.spaces.get(&space).and_then(|names| names.get(name)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn newest(&self, space: SpaceId, name: &[u8]) -> Option<&Version> {
        self.versions(space, name).first()
    }

    pub(crate) fn current(&self, space: SpaceId, name: &[u8]) -> Option<&Version> {
        self.newest(space, name).filter(|version| !version.is_marker())
    }

    pub(crate) fn version(&self, space: SpaceId, name: &[u8], which: Which) -> Option<&Version> {
        self.versions(space, name).iter().find(|version| version.is(which))
    }

    /// Every version with its name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (SpaceId, &Bytes, &Version)> {
        self.spaces.iter().flat_map(|(&space, names)| {
            names.iter().flat_map(move |(name, versions)| {
                versions.iter().map(move |version| (space, name, version))
            })
        })
    }

    fn names(&self, space: SpaceId) -> Result<&BTreeMap<Bytes, Vec<Version>>, Refusal> {
        self.spaces.get(&space).ok_or(Refusal::NoSpace(space))
    }

    /// What is refused before a batch gets its place in the order.
    pub(crate) fn prepare(&self, plan: &Plan) -> Result<(), Refusal> {
        plan.changes.iter().try_for_each(|change| match change {
            Change::Put { space, .. } | Change::Rewrite { space, .. } => {
                self.names(*space).map(drop)
            }
            _ => Ok(()),
        })
    }

    /// Does this batch happen?
    pub(crate) fn decide(&self, plan: &Plan) -> Result<(), Refusal> {
        for (index, (space, name, asked)) in plan.conditions.iter().enumerate() {
            self.names(*space)?;
            let current = self.current(*space, name);
            let stamp = current.and_then(|v| v.content.as_ref()).map(|content| content.stamp);
            let holds = match *asked {
                Asked::Plain(Test::Absent) => current.is_none(),
                Asked::Plain(Test::Present) => current.is_some(),
                Asked::Plain(Test::StampIs(wanted)) => stamp == Some(wanted),
                Asked::Plain(Test::StampIsNot(wanted)) => stamp != Some(wanted),
                Asked::Plain(Test::NewestIs(sequence)) => {
                    self.newest(*space, name).is_some_and(|v| v.sequence == sequence)
                }
                Asked::Plain(Test::RecordIs { .. }) => false,
                Asked::Record { sequence, revision, .. } => self
                    .version(*space, name, Which::Sequence(sequence))
                    .is_some_and(|v| v.revision == revision),
            };
            if !holds {
                let found = current.map(|version| version.sequence);
                return Err(Refusal::Condition { index, found });
            }
        }
        plan.changes.iter().try_for_each(|change| self.decide_change(change))
    }

    fn decide_change(&self, change: &Change) -> Result<(), Refusal> {
        let now_ms = self.time_ms;
        match change {
            Change::Put { space, name, keep, content, .. } => {
                self.names(*space)?;
                let written = content.iter().filter(|content| content.shares);
                let mut needed = written.flat_map(|content| &content.blobs);
                let known = |blob: &u64| {
                    let mut contents = self.all().filter_map(|(_, _, v)| v.content.as_ref());
                    contents.any(|content| content.blobs.contains(blob))
                };
                if !needed.all(known) {
                    return Err(Refusal::NoBlob);
                }
                match self.version(*space, name, Which::Null) {
                    Some(old) if *keep == Keep::Null => old.permit_removal(now_ms, Bypass::None),
                    _ => Ok(()),
                }
            }
            Change::Rewrite { space, name, sequence, .. } => {
                self.names(*space)?;
                let found = self.version(*space, name, Which::Sequence(*sequence));
                found.map(drop).ok_or(Refusal::NoVersion)
            }
            Change::Remove { space, name, which, bypass } => {
                self.names(*space)?;
                match self.version(*space, name, *which) {
                    Some(version) => version.permit_removal(now_ms, *bypass),
                    None if *which == Which::Null => Ok(()),
                    None => Err(Refusal::NoVersion),
                }
            }
            Change::SetLock { space, name, which, change, bypass } => {
                self.names(*space)?;
                let version = self.version(*space, name, *which).ok_or(Refusal::NoVersion)?;
                version.changed_lock(*change, now_ms, *bypass).map(drop)
            }
            Change::CreateSpace(space) if self.spaces.contains_key(space) => Err(Refusal::Invalid),
            Change::CreateSpace(_) => Ok(()),
            Change::DropSpace(space) => {
                let empty = self.names(*space)?.is_empty();
                if empty { Ok(()) } else { Err(Refusal::Invalid) }
            }
            Change::ClearSpace(space) => {
                let versions = self.names(*space)?.values().flatten();
                versions.into_iter().try_for_each(|v| v.permit_removal(now_ms, Bypass::None))
            }
        }
    }

    /// Carries out a decided batch. `sequences`: what the engine answered, one an operation.
    pub(crate) fn apply(&mut self, plan: &Plan, sequences: &[u64]) {
        for (change, &sequence) in plan.changes.iter().zip(sequences) {
            self.apply_change(change, sequence);
        }
    }

    fn apply_change(&mut self, change: &Change, sequence: u64) {
        let time_ms = self.time_ms;
        match change.clone() {
            Change::Put { space, name, keep, content, lock } => {
                let versions = self.spaces.entry(space).or_default().entry(name).or_default();
                let newest = versions.first().map_or(0, |version| version.sequence);
                assert!(sequence > newest, "sequence {sequence} after {newest}");
                if keep == Keep::Null {
                    versions.retain(|version| version.keep != Keep::Null);
                }
                let content = content.map(|content| Written { value: None, ..content });
                let version = Version { sequence, time_ms, keep, content, lock, revision: 0 };
                versions.insert(0, version);
            }
            Change::Rewrite { space, name, sequence, meta, label } => {
                self.update(space, &name, Which::Sequence(sequence), |version| {
                    version.revision += 1;
                    if let Some(content) = &mut version.content {
                        content.meta = meta;
                        content.label = label;
                    }
                });
            }
            Change::Remove { space, name, which, .. } => {
                let Some(names) = self.spaces.get_mut(&space) else { return };
                if let Some(versions) = names.get_mut(&name) {
                    versions.retain(|version| !version.is(which));
                    if versions.is_empty() {
                        names.remove(&name);
                    }
                }
            }
            Change::SetLock { space, name, which, change, .. } => {
                self.update(space, &name, which, |version| {
                    let lock = version.lock.get_or_insert_default();
                    match change {
                        LockChange::Retention(retention) => lock.retention = retention,
                        LockChange::LegalHold(on) => lock.legal_hold = LegalHold::set(on),
                    }
                });
            }
            Change::CreateSpace(space) => {
                self.spaces.insert(space, BTreeMap::new());
            }
            Change::DropSpace(space) | Change::ClearSpace(space) => {
                self.spaces.remove(&space);
            }
        }
    }

    fn update(
        &mut self,
        space: SpaceId,
        name: &Bytes,
        which: Which,
        change: impl FnOnce(&mut Version),
    ) {
        let names = self.spaces.get_mut(&space);
        let mut versions = names.and_then(|names| names.get_mut(name)).into_iter().flatten();
        if let Some(version) = versions.find(|version| version.is(which)) {
            change(version);
        }
    }

    /// A page of current names: a name and its sequence, or a prefix and none.
    pub(crate) fn scan(&self, space: SpaceId, scan: &Scan) -> (Vec<(Bytes, Option<u64>)>, bool) {
        let mut items: Vec<(Bytes, Option<u64>)> = Vec::new();
        for name in self.spaces.get(&space).into_iter().flat_map(BTreeMap::keys) {
            let Some(current) = self.current(space, name) else { continue };
            let reached = match &scan.from {
                Bound::Unbounded => true,
                Bound::Included(from) => name >= from,
                Bound::Excluded(from) => is_after(name, from, &scan.prefix, &scan.delimiter),
            };
            if reached && name.starts_with(&scan.prefix) {
                push_folded(&mut items, name, current.sequence, &scan.prefix, &scan.delimiter);
            }
        }
        cut(items, scan.limit)
    }

    /// A page of versions, in the same form.
    pub(crate) fn scan_versions(
        &self,
        space: SpaceId,
        scan: &VersionScan,
    ) -> (Vec<(Bytes, Option<u64>)>, bool) {
        let mut items = Vec::new();
        for (name, versions) in self.spaces.get(&space).into_iter().flatten() {
            for version in versions {
                let reached = match &scan.after {
                    None => true,
                    Some((after, Some(sequence))) if after == name => version.sequence < *sequence,
                    Some((after, Some(_))) => name > after,
                    Some((after, None)) => is_after(name, after, &scan.prefix, &scan.delimiter),
                };
                if reached && name.starts_with(&scan.prefix) {
                    push_folded(&mut items, name, version.sequence, &scan.prefix, &scan.delimiter);
                }
            }
        }
        cut(items, scan.limit)
    }
}

/// The part of a name up to and with the first delimiter behind the prefix.
fn folded(name: &Bytes, prefix: &[u8], delimiter: &[u8]) -> Option<Bytes> {
    let rest = name.strip_prefix(prefix)?;
    let at = (0..rest.len()).find(|&at| rest[at..].starts_with(delimiter))?;
    (!delimiter.is_empty()).then(|| name.slice(..prefix.len() + at + delimiter.len()))
}

fn is_after(name: &Bytes, from: &Bytes, prefix: &[u8], delimiter: &[u8]) -> bool {
    let from_folds = folded(from, prefix, delimiter).is_some_and(|folded| folded == *from);
    name > from && !(from_folds && name.starts_with(from))
}

fn push_folded(
    items: &mut Vec<(Bytes, Option<u64>)>,
    name: &Bytes,
    sequence: u64,
    prefix: &[u8],
    delimiter: &[u8],
) {
    let item = match folded(name, prefix, delimiter) {
        Some(folded) => (folded, None),
        None => (name.clone(), Some(sequence)),
    };
    if items.last() != Some(&item) {
        items.push(item);
    }
}

fn cut(mut items: Vec<(Bytes, Option<u64>)>, limit: usize) -> (Vec<(Bytes, Option<u64>)>, bool) {
    let more = items.len() > limit;
    items.truncate(limit);
    (items, more)
}
