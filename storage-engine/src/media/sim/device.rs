//! What a simulated device holds: cheap to copy, so that every operation can leave a crash point.
//!
//! - A zone has *durable* sectors and *pending* ones: written, visible, not yet synced.
//! - A crash keeps an arbitrary choice of the pending 512-byte pieces, tearing sectors, and of the
//!   seals.
//! - A zone that is made anew holds what a former life left, where there was one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::random::SeededRandom;
use crate::error::{Error, Missing, Result};
use crate::id::{Epoch, ZoneId};
use crate::media::{SECTOR_BYTES, Sector, sector_bytes, sector_bytes_mut};

/// What a device writes as one: a sector is torn between pieces, never inside one.
const PIECE_BYTES: usize = 512;

/// What survives a crash of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    /// None of it.
    Nothing,
    /// All of it.
    Everything,
    /// A choice that the seed makes, zone by zone: a beginning, an end, or pieces here and there.
    Some(u64),
}

impl Survival {
    fn forgets_a_seal(self, random: &mut SeededRandom) -> bool {
        match self {
            Self::Nothing => true,
            Self::Everything => false,
            Self::Some(_) => random.percent(50),
        }
    }
}

/// Everything a device holds.
#[derive(Debug, Clone)]
pub(super) struct Device {
    pub(super) zone_bytes: u64,
    pub(super) capacity_bytes: u64,
    pub(super) epoch: Epoch,
    pub(super) root: Option<Arc<[u8]>>,
    zones: BTreeMap<ZoneId, Arc<Zone>>,
    /// Contents of deleted zones.
    former: Vec<Arc<Zone>>,
    /// Zones whose deletion failed: they may be gone after a crash.
    wavering: BTreeSet<ZoneId>,
}

/// What still may happen to a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ZoneState {
    Open,
    Sealed,
    Failed,
}

#[derive(Debug, Clone)]
pub(super) struct Zone {
    pub(super) state: ZoneState,
    durable: Vec<Option<Arc<Sector>>>,
    pending: Vec<Pending>,
}

#[derive(Debug, Clone)]
struct Pending {
    index: usize,
    sector: Arc<Sector>,
    fate: Fate,
}

/// What becomes of a write at the next sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is made durable.
    Kept,
    /// It never reaches the device, though a cache shows it.
    Lost,
}

/// Where a read looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// Through the cache.
    Cached,
    /// What the device has.
    Device,
}

impl Device {
    pub(super) fn new(zone_bytes: u64, capacity_bytes: u64) -> Self {
        Self {
            zone_bytes,
            capacity_bytes,
            epoch: Epoch(0),
            root: None,
            zones: BTreeMap::new(),
            former: Vec::new(),
            wavering: BTreeSet::new(),
        }
    }

    pub(super) fn list(&self) -> Vec<ZoneId> {
        self.zones.keys().copied().collect()
    }

    pub(super) fn zone_count(&self) -> u64 {
        self.zones.len() as u64
    }

    pub(super) fn contains(&self, zone: ZoneId) -> bool {
        self.zones.contains_key(&zone)
    }

    pub(super) fn zone(&self, id: ZoneId) -> Result<&Zone> {
        self.zones.get(&id).map(|zone| &**zone).ok_or(Error::NotFound(Missing::Zone(id)))
    }

    pub(super) fn zone_mut(&mut self, id: ZoneId) -> Result<&mut Zone> {
        let zone = self.zones.get_mut(&id).ok_or(Error::NotFound(Missing::Zone(id)))?;
        Ok(Arc::make_mut(zone))
    }

    /// Makes a zone, of a former one when there is any.
    pub(super) fn create(&mut self, id: ZoneId, random: &mut SeededRandom) {
        let fresh = usize::try_from(self.zone_bytes / SECTOR_BYTES).unwrap_or(0);
        let position = random.position(self.former.len() + 1);
        let durable = if position < self.former.len() {
            self.former.swap_remove(position).durable.clone()
        } else {
            vec![None; fresh]
        };
        let zone = Zone { state: ZoneState::Open, durable, pending: Vec::new() };
        self.zones.insert(id, Arc::new(zone));
    }

    /// Removes a zone; its durable content may show again in a later one.
    pub(super) fn delete(&mut self, id: ZoneId) -> Result<()> {
        let zone = self.zones.remove(&id).ok_or(Error::NotFound(Missing::Zone(id)))?;
        self.wavering.remove(&id);
        self.former.push(zone);
        Ok(())
    }

    /// Notes that a deletion failed.
    pub(super) fn waver(&mut self, id: ZoneId) {
        if self.zones.contains_key(&id) {
            self.wavering.insert(id);
        }
    }

    fn decide_wavering(&mut self, random: &mut SeededRandom) {
        for id in std::mem::take(&mut self.wavering) {
            if random.percent(50)
                && let Some(zone) = self.zones.remove(&id)
            {
                self.former.push(zone);
            }
        }
    }

    /// The device after a loss of power.
    pub(super) fn crash(&mut self, survival: Survival) {
        let mut random = match survival {
            Survival::Some(seed) => SeededRandom::new(seed),
            Survival::Nothing | Survival::Everything => SeededRandom::new(0),
        };
        self.decide_wavering(&mut random);
        for zone in self.zones.values_mut() {
            if zone.state == ZoneState::Sealed && survival.forgets_a_seal(&mut random) {
                Arc::make_mut(zone).state = ZoneState::Open;
            }
            if zone.pending.is_empty() {
                reopen(zone);
                continue;
            }
            let choice = match survival {
                Survival::Nothing => Choice::Nothing,
                Survival::Everything => Choice::Everything,
                Survival::Some(_) => Choice::of(&mut random, zone.pending.len()),
            };
            Arc::make_mut(zone).crash(choice, &mut random);
            reopen(zone);
        }
    }

    /// The device after its process was killed: what was written is there, and is now durable,
    /// as opening syncs before it reads. What a failed sync left is up to chance.
    pub(super) fn restart(&mut self, random: &mut SeededRandom) {
        self.decide_wavering(random);
        for zone in self.zones.values_mut() {
            if !zone.pending.is_empty() {
                let choice = match zone.state {
                    ZoneState::Failed => Choice::of(random, zone.pending.len()),
                    ZoneState::Open | ZoneState::Sealed => Choice::Everything,
                };
                Arc::make_mut(zone).crash(choice, random);
            }
            reopen(zone);
        }
    }
}

/// A failed zone is only open to the next process: nobody told it.
fn reopen(zone: &mut Arc<Zone>) {
    if zone.state == ZoneState::Failed {
        Arc::make_mut(zone).state = ZoneState::Open;
    }
}

impl Zone {
    pub(super) fn read(&self, view: View, offset: u64, out: &mut [u8]) {
        let mut position = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut out = out;
        while !out.is_empty() {
            let (index, skip) = (position / sector_len(), position % sector_len());
            let len = out.len().min(sector_len() - skip);
            let (piece, rest) = out.split_at_mut(len);
            let sector = self.sector(view, index);
            let bytes = sector.map_or(&Sector::ZERO.0[..], |sector| &sector.0[..]);
            piece.copy_from_slice(&bytes[skip..skip + len]);
            position += len;
            out = rest;
        }
    }

    fn sector(&self, view: View, index: usize) -> Option<&Arc<Sector>> {
        let shown = |p: &&Pending| view == View::Cached || p.fate == Fate::Kept;
        let pending = self.pending.iter().rev().filter(shown).find(|p| p.index == index);
        pending.map(|p| &p.sector).or_else(|| self.durable.get(index)?.as_ref())
    }

    pub(super) fn write(&mut self, offset: u64, data: &[Sector], fate: Fate) {
        let first = usize::try_from(offset / SECTOR_BYTES).unwrap_or(usize::MAX);
        let written = first..first.saturating_add(data.len());
        // A lost write is only seen until its place is written again.
        self.pending.retain(|p| p.fate == Fate::Kept || !written.contains(&p.index));
        let pending = written.zip(data).map(|(index, sector)| Pending {
            index,
            sector: Arc::new(*sector),
            fate,
        });
        self.pending.extend(pending);
    }

    /// Makes everything that is pending durable, except what is lost.
    pub(super) fn settle(&mut self) {
        for pending in self.pending.extract_if(.., |p| p.fate == Fate::Kept) {
            if let Some(place) = self.durable.get_mut(pending.index) {
                *place = Some(pending.sector);
            }
        }
    }

    /// Puts bytes on the device behind everybody's back.
    pub(super) fn alter(&mut self, offset: u64, change: impl FnOnce(&mut [u8])) {
        self.settle();
        let index = usize::try_from(offset / SECTOR_BYTES).unwrap_or(usize::MAX);
        let skip = usize::try_from(offset % SECTOR_BYTES).unwrap_or(0);
        if let Some(place) = self.durable.get_mut(index) {
            let sector = place.get_or_insert_with(|| Arc::new(Sector::ZERO));
            change(&mut Arc::make_mut(sector).0[skip..]);
        }
    }

    /// Lets `data` land on the device at once.
    pub(super) fn land(&mut self, offset: u64, data: &[Sector]) {
        for (nth, sector) in data.iter().enumerate() {
            let bytes = sector_bytes(std::slice::from_ref(sector));
            self.alter(offset + nth as u64 * SECTOR_BYTES, |to| to.copy_from_slice(bytes));
        }
    }

    fn crash(&mut self, choice: Choice, random: &mut SeededRandom) {
        let pending = std::mem::take(&mut self.pending);
        for (nth, pending) in pending.into_iter().enumerate() {
            let Some(place) = self.durable.get_mut(pending.index) else { continue };
            if pending.fate == Fate::Lost {
                continue;
            }
            match choice.of_sector(nth, random) {
                Kept::Whole => *place = Some(pending.sector),
                Kept::Nothing => {}
                Kept::Pieces => {
                    let old = place.get_or_insert_with(|| Arc::new(Sector::ZERO));
                    tear(Arc::make_mut(old), &pending.sector, random);
                }
            }
        }
    }
}

/// Replaces some of a sector's pieces.
pub(super) fn tear(old: &mut Sector, new: &Sector, random: &mut SeededRandom) {
    let bits = random.next_u64();
    let old = sector_bytes_mut(std::slice::from_mut(old)).chunks_mut(PIECE_BYTES);
    let new = sector_bytes(std::slice::from_ref(new)).chunks(PIECE_BYTES);
    for (nth, (to, from)) in old.zip(new).enumerate() {
        if bits >> nth & 1 == 1 {
            to.copy_from_slice(from);
        }
    }
}

/// Which pending writes of one zone survive.
#[derive(Debug, Clone, Copy)]
enum Choice {
    Nothing,
    Everything,
    /// The first so many, and part of the next.
    Beginning(usize),
    /// All from this one on, and part of the one before.
    End(usize),
    /// So many in a hundred, one in four of the others in part.
    Scattered(u64),
}

enum Kept {
    Nothing,
    Whole,
    Pieces,
}

impl Choice {
    fn of(random: &mut SeededRandom, pending: usize) -> Self {
        match random.below(8) {
            0 => Self::Nothing,
            1 => Self::Everything,
            2 | 3 => Self::Beginning(random.position(pending)),
            4 | 5 => Self::End(random.position(pending) + 1),
            _ => Self::Scattered(random.below(101)),
        }
    }

    fn of_sector(self, nth: usize, random: &mut SeededRandom) -> Kept {
        let kept = match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Beginning(count) if nth == count => return Kept::Pieces,
            Self::Beginning(count) => nth < count,
            Self::End(first) if nth + 1 == first => return Kept::Pieces,
            Self::End(first) => nth >= first,
            Self::Scattered(percent) => {
                if random.percent(percent) {
                    true
                } else if random.percent(25) {
                    return Kept::Pieces;
                } else {
                    false
                }
            }
        };
        if kept { Kept::Whole } else { Kept::Nothing }
    }
}

const fn sector_len() -> usize {
    SECTOR_BYTES as usize
}
