//! Records of the journal, gathered and put in the order of their names.
//!
//! What a record says touches one name, or one space or blob as a whole. So those of different names
//! may change places, those of one name may not; what makes a space or places a blob goes first, what
//! drops a space goes last (no id is ever used again). Neighbours in the order are neighbours in the
//! index, which is what makes a run fast to apply.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::entry::{Body, Location};
use crate::format::RecordBody;
use crate::id::{Lsn, SpaceId};
use crate::index::{Change, entry_of};

/// Memory that a run takes when it is full.
const RUN_BYTES: usize = 4 << 20;

/// What one record says.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) lsn: Lsn,
    pub(super) said: Said,
}

/// A change, or what needs a key before it is one.
#[derive(Debug)]
pub(super) enum Said {
    /// A space was made; its wrapped key.
    CreateSpace(SpaceId, Vec<u8>),
    /// Anything else.
    Change(Change),
}

/// Steps in the order of the journal.
#[derive(Debug, Default)]
pub(super) struct Run {
    steps: Vec<Step>,
    bytes: usize,
}

/// Steps in the order of their names. They stay where they are until each is taken, once.
#[derive(Debug)]
pub(super) struct SortedRun {
    steps: Vec<Option<Step>>,
    order: Vec<usize>,
}

impl SortedRun {
    /// Takes the steps, in order.
    pub(super) fn take(mut self) -> impl Iterator<Item = Step> {
        self.order.into_iter().filter_map(move |at| self.steps.get_mut(at)?.take())
    }
}

impl Run {
    /// Takes what a record says.
    pub(super) fn push(&mut self, lsn: Lsn, body: RecordBody<'_>, location: Location) {
        let said = said_by(body, location);
        self.bytes += size_of::<Step>() + said.heap_bytes();
        self.steps.push(Step { lsn, said });
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= RUN_BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The steps from the `from`th on.
    pub(super) fn since(&self, from: usize) -> &[Step] {
        self.steps.get(from..).unwrap_or_default()
    }

    /// Forgets the steps from the `from`th on.
    pub(super) fn truncate(&mut self, from: usize) {
        self.steps.truncate(from);
    }

    /// Puts the steps in the order of their names, each name's in the order of the journal.
    pub(super) fn sort(self) -> SortedRun {
        let shared = self.shared_prefixes();
        let mut order: Vec<Place> = self
            .steps
            .iter()
            .enumerate()
            .map(|(at, step)| Place::of(at, &step.said, &shared))
            .collect();
        let rest = |place: &Place| self.steps.get(place.at).map_or(&[][..], |s| s.said.name());
        order.sort_unstable_by(|a, b| {
            (a.rank, a.prefix)
                .cmp(&(b.rank, b.prefix))
                .then_with(|| match a.is_whole && b.is_whole {
                    true => Ordering::Equal,
                    false => rest(a).cmp(rest(b)),
                })
                .then(a.at.cmp(&b.at))
        });
        let order = order.into_iter().map(|place| place.at).collect();
        SortedRun { steps: self.steps.into_iter().map(Some).collect(), order }
    }

    /// How many bytes all names of a space begin with alike.
    fn shared_prefixes(&self) -> HashMap<SpaceId, usize> {
        let mut shared: HashMap<SpaceId, (&[u8], usize)> = HashMap::new();
        for step in &self.steps {
            let Some((space, name)) = step.said.target() else { continue };
            let (first, len) = shared.entry(space).or_insert((name, name.len()));
            let both = first.iter().zip(name).take(*len);
            *len = both.take_while(|(a, b)| a == b).count();
        }
        shared.into_iter().map(|(space, (_, len))| (space, len)).collect()
    }
}

/// Where a step goes: enough of it to tell most names apart without looking at them.
struct Place {
    rank: u64,
    /// What follows the prefix that all names of the space share, big-endian, padded with zeros.
    prefix: u128,
    /// Nothing of the name follows `prefix`, and no padding could be taken for a part of it.
    is_whole: bool,
    at: usize,
}

impl Place {
    fn of(at: usize, said: &Said, shared: &HashMap<SpaceId, usize>) -> Self {
        let rank = match said {
            Said::CreateSpace(..)
            | Said::Change(Change::Blob { .. } | Change::CreateSpace { .. }) => 0,
            Said::Change(Change::DropSpace { .. }) => u64::MAX,
            Said::Change(_) => said.target().map_or(0, |(space, _)| 1 + u64::from(space.0)),
        };
        let (mut prefix, mut is_whole) = ([0; 16], true);
        if let Some((space, name)) = said.target() {
            let skip = shared.get(&space).copied().unwrap_or_default();
            let rest = name.get(skip..).unwrap_or_default();
            let len = rest.len().min(prefix.len());
            if let (Some(to), Some(from)) = (prefix.get_mut(..len), rest.get(..len)) {
                to.copy_from_slice(from);
            }
            is_whole = rest.len() <= prefix.len() && rest.last() != Some(&0);
        }
        Self { rank, prefix: u128::from_be_bytes(prefix), is_whole, at }
    }
}

impl Said {
    fn target(&self) -> Option<(SpaceId, &[u8])> {
        match self {
            Self::CreateSpace(..) => None,
            Self::Change(change) => change.target(),
        }
    }

    fn name(&self) -> &[u8] {
        self.target().map_or(&[], |(_, name)| name)
    }

    fn heap_bytes(&self) -> usize {
        let own = match self {
            Self::CreateSpace(_, wrapped) => wrapped.len(),
            Self::Change(Change::Blob { place, .. }) => size_of_val(place.extents.as_ref()),
            Self::Change(Change::Put { entry, .. }) => size_of_val(entry.body.blobs()),
            Self::Change(_) => 0,
        };
        own + self.name().len()
    }
}

fn said_by(body: RecordBody<'_>, location: Location) -> Said {
    Said::Change(match body {
        RecordBody::Put { head, name, value, .. } => Change::Put {
            space: head.space,
            name: name.to_vec(),
            lock: head.lock,
            entry: entry_of(&head, Body::of(&value), location),
        },
        RecordBody::Rewrite { head, name, .. } => {
            let (space, sequence, label) = (head.space, head.sequence, head.label);
            Change::Rewrite { space, name: name.to_vec(), sequence, label, location }
        }
        RecordBody::Remove { space, sequence, name } => {
            Change::Remove { space, name: name.to_vec(), sequence }
        }
        RecordBody::Lock { space, sequence, name, lock } => {
            Change::Lock { space, name: name.to_vec(), sequence, lock }
        }
        RecordBody::MoveRecord { space, sequence, name, to } => {
            Change::MoveRecord { space, name: name.to_vec(), sequence, to }
        }
        RecordBody::CreateSpace { space, key } => return Said::CreateSpace(space, key.to_vec()),
        RecordBody::DropSpace { space } => Change::DropSpace { space },
        RecordBody::Blob { blob, place } => Change::Blob { blob, place },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::BlobId;

    #[test]
    fn a_run_is_ordered_by_space_and_name_and_keeps_the_order_of_each_name() {
        let long = [b'x'; 40];
        let names: [&[u8]; 9] =
            [b"a", b"a\0", b"a\0\0", b"a\0b", b"ab", b"abcdefghijklmnop", &long[..39], &long, b""];
        let mut run = Run::default();
        let mut expected = Vec::new();
        for nth in 0..500_u64 {
            // Every name in every space many times, in no order.
            let name = names[(nth * 7 % 9) as usize];
            let space = SpaceId((nth % 3) as u32);
            run.push(
                Lsn(nth),
                RecordBody::Remove { space, sequence: nth, name },
                Location::default(),
            );
            expected.push((space, name.to_vec(), Lsn(nth)));
        }
        expected.sort();
        let found: Vec<_> = run
            .sort()
            .take()
            .map(|step| {
                let (space, name) = step.said.target().unwrap();
                (space, name.to_vec(), step.lsn)
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn spaces_are_made_and_blobs_placed_before_names_and_spaces_dropped_after_them() {
        let space = SpaceId(1);
        let mut run = Run::default();
        let bodies = [
            RecordBody::Remove { space, sequence: 1, name: b"a" },
            RecordBody::DropSpace { space },
            RecordBody::Blob { blob: BlobId(1), place: Default::default() },
            RecordBody::CreateSpace { space: SpaceId(2), key: b"k" },
            RecordBody::Blob { blob: BlobId(1), place: Default::default() },
        ];
        for (lsn, body) in (1..).zip(bodies) {
            run.push(Lsn(lsn), body, Location::default());
        }
        let order: Vec<u64> = run.sort().take().map(|step| step.lsn.0).collect();
        assert_eq!(order, [3, 4, 5, 1, 2]);
    }
}
