//! Random work from a seed: plans of every kind, on few names, so that they meet.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use storage_engine::media::SeededRandom;
use storage_engine::*;

use crate::reference::{Asked, Change, Plan, Version, Written};
use crate::subject::{INLINE_BYTES, Source, Subject, data};

/// Names that share prefixes, hold delimiters, and sort at the edges.
pub(crate) const NAMES: [&[u8]; 16] = [
    b"a",
    b"a/1",
    b"a/2",
    b"a/b/3",
    b"a/b/4",
    b"b",
    b"b\0",
    b"b\0c",
    b"c/",
    b"c/x",
    b"d",
    b"\x01",
    b"\xff",
    b"\xff\xff",
    b"\xff\xff/x",
    b"/",
];

/// Most spaces at a time, beside the root space.
const SPACES_MAX: usize = 3;

/// A source of plans.
pub(crate) struct Workload {
    pub(crate) random: SeededRandom,
    /// Records as they were read some time ago.
    stale: Vec<(SpaceId, Bytes, Asked)>,
    /// Largest value it puts.
    pub(crate) size_max: usize,
    pub(crate) copies: Copies,
}

/// Whether plans copy. Batches that are in flight together may pass each other, so that the source
/// of a copy may go before it; one after the other they may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copies {
    Never,
    Sometimes,
}

impl Workload {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: SeededRandom::new(seed),
            stale: Vec::new(),
            size_max: 150_000,
            copies: Copies::Sometimes,
        }
    }

    pub(crate) fn chance(&mut self, in_hundred: u64) -> bool {
        self.random.percent(in_hundred)
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.random.position(from.len())].clone()
    }

    pub(crate) fn name(&mut self) -> Bytes {
        Bytes::from_static(self.pick(&NAMES))
    }

    pub(crate) fn space(&mut self, subject: &Subject) -> SpaceId {
        let spaces: Vec<SpaceId> = subject.reference.spaces.keys().copied().collect();
        self.pick(&spaces)
    }

    /// Forgets records that were read: they may have moved.
    pub(crate) fn forget(&mut self) {
        self.stale.clear();
    }

    fn version(&mut self, subject: &Subject) -> Option<(SpaceId, Bytes, Version)> {
        let all: Vec<_> = subject.reference.all().collect();
        let (space, name, version) = *all.get(self.random.position(all.len()))?;
        Some((space, name.clone(), version.clone()))
    }

    pub(crate) fn size(&mut self) -> usize {
        let size = match self.random.below(20) {
            0..3 => 0,
            3..12 => 1 + self.random.position(600),
            12..14 => INLINE_BYTES - 1 + self.random.position(3),
            14..18 => INLINE_BYTES + self.random.position(12_000),
            18 => 65_535 + self.random.position(3),
            _ => self.random.position(150_000),
        };
        size.min(self.size_max)
    }

    /// A batch of one to four changes, mostly without conditions.
    pub(crate) fn plan(&mut self, subject: &Subject) -> Plan {
        let mut plan = Plan::default();
        let count = if self.chance(70) { 1 } else { 2 + self.random.position(3) };
        let mut names = Vec::new();
        for _ in 0..count {
            let Some(change) = self.change(subject) else { continue };
            let at = place(&change);
            // One operation a name, and what changes spaces goes alone.
            if at.is_none() && (count > 1 || !plan.changes.is_empty()) {
                continue;
            }
            if names.contains(&at) {
                continue;
            }
            names.push(at);
            plan.changes.push(change);
        }
        while self.chance(20) {
            let condition = self.condition(subject);
            plan.conditions.push(condition);
        }
        plan
    }

    fn change(&mut self, subject: &Subject) -> Option<Change> {
        Some(match self.random.below(100) {
            0..52 => self.put(subject),
            52..60 => self.copy(subject)?,
            60..78 => self.remove(subject)?,
            78..86 => self.set_lock(subject)?,
            86..94 => self.rewrite(subject)?,
            94..97 if subject.reference.spaces.len() <= SPACES_MAX => {
                Change::CreateSpace(subject.engine().reserve_space())
            }
            97 => Change::CreateSpace(self.space(subject)),
            98 => Change::DropSpace(self.user_space(subject)?),
            99 => Change::ClearSpace(self.user_space(subject)?),
            _ => self.put(subject),
        })
    }

    fn user_space(&mut self, subject: &Subject) -> Option<SpaceId> {
        Some(self.space(subject)).filter(|space| *space != ROOT_SPACE)
    }

    pub(crate) fn put(&mut self, subject: &Subject) -> Change {
        let (space, name) = (self.space(subject), self.name());
        let keep = if self.chance(60) { Keep::Null } else { Keep::All };
        let lock = if self.chance(8) { Some(self.lock(subject)) } else { None };
        if self.chance(15) {
            return Change::Put { space, name, keep, content: None, lock };
        }
        let content = data(self.random.next_u64(), self.size());
        let placement = match self.random.below(100) {
            0..10 => Placement::Blob,
            10..20 => Placement::Pages,
            _ => Placement::Auto,
        };
        let written = subject.write(space, content, &Source::Fresh(placement)).unwrap();
        Change::Put { space, name, keep, content: Some(written), lock }
    }

    fn lock(&mut self, subject: &Subject) -> Lock {
        let holds = [
            LegalHold::NeverSet,
            LegalHold::NeverSet,
            LegalHold::NeverSet,
            LegalHold::Off,
            LegalHold::On,
        ];
        Lock { retention: self.retention(subject), legal_hold: self.pick(&holds) }
    }

    fn retention(&mut self, subject: &Subject) -> Option<Retention> {
        let mode = self.pick(&[RetentionMode::Governance, RetentionMode::Compliance]);
        let until_ms = subject.reference.time_ms + self.random.below(4_000);
        if self.chance(20) { None } else { Some(Retention { mode, until_ms }) }
    }

    /// A copy of one value, or of several that lie in blobs.
    fn copy(&mut self, subject: &Subject) -> Option<Change> {
        if self.copies == Copies::Never {
            return None;
        }
        let count = 1 + self.random.position(3);
        let mut sources = Vec::new();
        let mut content = Vec::new();
        for _ in 0..count {
            let (space, name, version) = self.version(subject)?;
            let Some(Written { data, blobs, .. }) = version.content else { continue };
            if count > 1 && blobs.is_empty() && !data.is_empty() {
                continue;
            }
            content.extend_from_slice(&data);
            sources.push((space, name, version.sequence));
        }
        let (mut space, mut name) = (self.space(subject), self.name());
        if self.chance(20)
            && let Some(first) = sources.first()
        {
            // Onto itself.
            (space, name) = (first.0, first.1.clone());
        }
        let keep = self.pick(&[Keep::All, Keep::Null]);
        let copies = Source::Copies(sources);
        let written = subject.write(space, Arc::from(content), &copies).unwrap();
        Some(Change::Put { space, name, keep, content: Some(written), lock: None })
    }

    fn remove(&mut self, subject: &Subject) -> Option<Change> {
        let bypass = self.pick(&[Bypass::None, Bypass::Governance]);
        if self.chance(30) {
            let (space, name) = (self.space(subject), self.name());
            return Some(Change::Remove { space, name, which: Which::Null, bypass });
        }
        let (space, name, version) = self.version(subject)?;
        let wrong = u64::from(self.chance(5));
        let which = Which::Sequence(version.sequence + wrong * 1_000_000);
        Some(Change::Remove { space, name, which, bypass })
    }

    fn set_lock(&mut self, subject: &Subject) -> Option<Change> {
        let (space, name, version) = self.version(subject)?;
        let change = if self.chance(70) {
            LockChange::Retention(self.retention(subject))
        } else {
            LockChange::LegalHold(self.chance(30))
        };
        let which = if self.chance(10) { Which::Null } else { Which::Sequence(version.sequence) };
        let bypass = self.pick(&[Bypass::None, Bypass::Governance]);
        Some(Change::SetLock { space, name, which, change, bypass })
    }

    fn rewrite(&mut self, subject: &Subject) -> Option<Change> {
        let (space, name, version) = self.version(subject)?;
        version.content.as_ref()?;
        let number = self.random.below(1_000_000);
        let meta = Bytes::from(vec![number as u8; self.random.position(2_000)]);
        let (sequence, label) = (version.sequence, number as u8);
        Some(Change::Rewrite { space, name, sequence, meta, label })
    }

    fn condition(&mut self, subject: &Subject) -> (SpaceId, Bytes, Asked) {
        if self.chance(15)
            && let Some(stale) = self.stale.pop()
        {
            return stale;
        }
        let (mut space, mut name) = (self.space(subject), self.name());
        let mut asked = self.pick(&[Test::Absent, Test::Present]);
        if self.chance(60)
            && let Some(found) = self.version(subject)
        {
            (space, name) = (found.0, found.1);
            let version = found.2;
            let stamp = version.content.as_ref().map_or(Stamp::default(), |c| c.stamp);
            let tests = [
                Test::StampIs(stamp),
                Test::StampIsNot(stamp),
                Test::NewestIs(version.sequence),
                Test::Present,
            ];
            asked = self.pick(&tests);
            if self.chance(30) {
                let sequence = version.sequence;
                let which = Which::Sequence(sequence);
                let entry = subject.engine().version(space, &name, which).unwrap().unwrap();
                let (location, revision) = (entry.location, version.revision);
                let asked = Asked::Record { sequence, location, revision };
                self.stale.push((space, name.clone(), asked));
                return (space, name, asked);
            }
        }
        (space, name, Asked::Plain(asked))
    }

    /// A page of current names.
    pub(crate) fn scan(&mut self) -> Scan {
        let from = match self.random.below(3) {
            0 => Bound::Unbounded,
            1 => Bound::Included(self.edge()),
            _ => Bound::Excluded(self.edge()),
        };
        Scan { prefix: self.prefix(), delimiter: self.delimiter(), from, limit: self.limit() }
    }

    /// A page of versions.
    pub(crate) fn version_scan(&mut self, subject: &Subject) -> VersionScan {
        let (prefix, mut delimiter) = (self.prefix(), self.delimiter());
        let after = match self.random.below(3) {
            0 => None,
            1 => Some((self.edge(), None)),
            _ => self.version(subject).map(|(_, name, version)| {
                // Inside a name is no place where the name is folded away.
                delimiter = Bytes::new();
                (name, Some(version.sequence))
            }),
        };
        VersionScan { prefix, delimiter, after, limit: self.limit() }
    }

    fn prefix(&mut self) -> Bytes {
        Bytes::from_static(self.pick(&[&b""[..], b"", b"", b"a", b"a/", b"b\0", b"\xff", b"zz"]))
    }

    fn delimiter(&mut self) -> Bytes {
        Bytes::from_static(self.pick(&[&b""[..], b"/", b"/", b"b/", b"\xff"]))
    }

    fn edge(&mut self) -> Bytes {
        let edges: [&[u8]; 6] = [b"a/", b"a/b/", b"c/", b"a/1x", b"\xff\xff/", b"zz"];
        if self.chance(50) { self.name() } else { Bytes::from_static(self.pick(&edges)) }
    }

    fn limit(&mut self) -> usize {
        self.pick(&[0, 1, 2, 3, 5, 1000])
    }
}

fn place(change: &Change) -> Option<(SpaceId, Bytes)> {
    match change {
        Change::Put { space, name, .. }
        | Change::Rewrite { space, name, .. }
        | Change::Remove { space, name, .. }
        | Change::SetLock { space, name, .. } => Some((*space, name.clone())),
        Change::CreateSpace(_) | Change::DropSpace(_) | Change::ClearSpace(_) => None,
    }
}
