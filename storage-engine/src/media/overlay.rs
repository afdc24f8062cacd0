//! A device over another that is never changed: what is written stays in memory and ends with it.
//! So an offline tool opens a store as its owner would, and leaves it as it was.
//!
//! - Reads see what was written here over what lies below.
//! - It takes [`OVERLAY_BYTES_MAX`] of writes: an engine without background work writes a few sectors
//!   when it opens.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;

use parking_lot::RwLock;

use super::{
    Capacity, Media, MediaCounters, ROOT_BYTES_MAX, SECTOR_BYTES, Sector, sector_bytes,
    sector_bytes_mut,
};
use crate::error::{Error, Missing, Result};
use crate::id::{Epoch, ZoneId};

/// Bytes that may be written: they stay in memory.
pub const OVERLAY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A device whose changes are forgotten.
pub struct OverlayMedia {
    below: Arc<dyn Media>,
    above: RwLock<Above>,
}

/// What was changed.
#[derive(Default)]
struct Above {
    root: Option<Vec<u8>>,
    epoch: Epoch,
    zones: BTreeMap<ZoneId, Changed>,
    held_bytes: u64,
    counters: MediaCounters,
}

/// A zone that was changed.
struct Changed {
    state: State,
    sectors: BTreeMap<u64, Box<Sector>>,
    sealed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It lies below, with other sectors over it.
    Covered,
    /// It was made here.
    Made,
    /// It lies below and was removed.
    Removed,
}

impl std::fmt::Debug for OverlayMedia {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OverlayMedia")
    }
}

impl OverlayMedia {
    /// A device that begins as `below` is.
    pub fn new(below: Arc<dyn Media>) -> Self {
        Self { below, above: RwLock::default() }
    }

    /// Errs unless the zone has these bytes.
    fn check_range(&self, zone: ZoneId, offset: u64, len: usize) -> Result<()> {
        match offset.checked_add(len as u64) {
            Some(end) if end <= self.below.zone_bytes() => Ok(()),
            _ => {
                Err(Error::Invalid(format!("{len} bytes at {offset} of zone {zone}: past its end")))
            }
        }
    }

    /// Whether a zone is there, and lies below.
    fn lies_below(&self, above: &Above, zone: ZoneId) -> Result<bool> {
        match above.zones.get(&zone).map(|changed| changed.state) {
            Some(State::Made) => Ok(false),
            Some(State::Covered) => Ok(true),
            Some(State::Removed) => Err(Error::NotFound(Missing::Zone(zone))),
            None => self.below.is_sealed(zone).map(|_| true),
        }
    }

    fn is_sealed_in(&self, above: &Above, zone: ZoneId) -> Result<bool> {
        match self.lies_below(above, zone)? {
            true => Ok(above.zones.get(&zone).is_some_and(|changed| changed.sealed)
                || self.below.is_sealed(zone)?),
            false => Ok(above.zones.get(&zone).is_some_and(|changed| changed.sealed)),
        }
    }

    /// Lets a change pass: its owner is not fenced and the zone, if it names one, is there.
    fn change<T>(
        &self,
        epoch: Epoch,
        zone: Option<ZoneId>,
        change: impl FnOnce(&mut Above) -> Result<T>,
    ) -> Result<T> {
        let mut above = self.above.write();
        if epoch < above.epoch {
            return Err(Error::Fenced { found: above.epoch.0, held: epoch.0 });
        }
        if let Some(zone) = zone {
            self.lies_below(&above, zone)?;
        }
        change(&mut above)
    }
}

impl Above {
    /// A zone that is there, to be changed.
    fn zone(&mut self, zone: ZoneId) -> &mut Changed {
        self.zones.entry(zone).or_insert_with(|| Changed::new(State::Covered))
    }
}

impl Changed {
    fn new(state: State) -> Self {
        Self { state, sectors: BTreeMap::new(), sealed: false }
    }

    /// Lays what was written over `out`, which begins at `offset`.
    fn cover(&self, offset: u64, out: &mut [u8]) {
        let end = offset + out.len() as u64;
        let first = offset / SECTOR_BYTES;
        for (number, sector) in self.sectors.range(first..end.div_ceil(SECTOR_BYTES)) {
            let start = number * SECTOR_BYTES;
            let (from, to) = (start.max(offset), (start + SECTOR_BYTES).min(end));
            let there = out.get_mut((from - offset) as usize..(to - offset) as usize);
            let here = sector.0.get((from - start) as usize..(to - start) as usize);
            if let (Some(there), Some(here)) = (there, here) {
                there.copy_from_slice(here);
            }
        }
    }
}

impl Media for OverlayMedia {
    fn zone_bytes(&self) -> u64 {
        self.below.zone_bytes()
    }

    fn root(&self) -> Result<Option<Vec<u8>>> {
        match &self.above.read().root {
            Some(root) => Ok(Some(root.clone())),
            None => self.below.root(),
        }
    }

    fn replace_root(&self, epoch: Epoch, bytes: &[u8]) -> Result<()> {
        if bytes.len() > ROOT_BYTES_MAX {
            return Err(Error::Invalid(format!("a root object of {} bytes", bytes.len())));
        }
        self.change(epoch, None, |above| {
            above.epoch = epoch;
            above.root = Some(bytes.to_vec());
            Ok(())
        })
    }

    fn list(&self) -> Result<Vec<ZoneId>> {
        let above = self.above.read();
        let mut zones = self.below.list()?;
        zones.retain(|zone| !above.zones.contains_key(zone));
        let there = above.zones.iter().filter(|(_, changed)| changed.state != State::Removed);
        zones.extend(there.map(|(zone, _)| *zone));
        zones.sort_unstable();
        Ok(zones)
    }

    fn create(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        let room = self.capacity()?.free_bytes >= self.zone_bytes();
        self.change(epoch, None, |above| {
            let kind = match self.lies_below(above, zone) {
                // An id is not used again: what lies below would show through.
                Err(Error::NotFound(_)) if above.zones.contains_key(&zone) => {
                    ErrorKind::AlreadyExists
                }
                Err(Error::NotFound(_)) if !room => ErrorKind::StorageFull,
                Err(Error::NotFound(_)) => {
                    above.zones.insert(zone, Changed::new(State::Made));
                    return Ok(());
                }
                Ok(_) => ErrorKind::AlreadyExists,
                Err(error) => return Err(error),
            };
            Err(Error::io("create a zone", kind.into()))
        })
    }

    fn write(&self, epoch: Epoch, zone: ZoneId, offset: u64, data: &[Sector]) -> Result<()> {
        self.change(epoch, Some(zone), |above| {
            if !offset.is_multiple_of(SECTOR_BYTES) {
                return Err(Error::Invalid(format!("a write at {offset}: no sector begins there")));
            }
            self.check_range(zone, offset, size_of_val(data))?;
            if self.is_sealed_in(above, zone)? {
                return Err(Error::Invalid(format!("zone {zone} is sealed")));
            }
            let bytes = size_of_val(data) as u64;
            if above.held_bytes + bytes > OVERLAY_BYTES_MAX {
                return Err(Error::io("write in memory", ErrorKind::StorageFull.into()));
            }
            above.held_bytes += bytes;
            above.counters.written_bytes += bytes;
            let changed = above.zone(zone);
            for (number, sector) in (offset / SECTOR_BYTES..).zip(data) {
                changed.sectors.insert(number, Box::new(*sector));
            }
            Ok(())
        })
    }

    fn sync(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        self.change(epoch, Some(zone), |above| {
            above.counters.syncs += 1;
            Ok(())
        })
    }

    fn read(&self, zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<()> {
        let mut above = self.above.write();
        let lies_below = self.lies_below(&above, zone)?;
        self.check_range(zone, offset, out.len())?;
        above.counters.read_bytes += out.len() as u64;
        let above = parking_lot::RwLockWriteGuard::downgrade(above);
        match lies_below {
            true => self.below.read(zone, offset, out)?,
            false => out.fill(0),
        }
        if let Some(changed) = above.zones.get(&zone) {
            changed.cover(offset, out);
        }
        Ok(())
    }

    fn read_cached(&self, zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<bool> {
        self.read(zone, offset, out).map(|()| true)
    }

    fn will_need(&self, zone: ZoneId, offset: u64, len: u64) {
        self.below.will_need(zone, offset, len);
    }

    fn read_uncached(&self, zone: ZoneId, offset: u64, out: &mut [Sector]) -> Result<()> {
        let above = self.above.read();
        let lies_below = self.lies_below(&above, zone)?;
        self.check_range(zone, offset, sector_bytes(out).len())?;
        match lies_below {
            true => self.below.read_uncached(zone, offset, out)?,
            false if !offset.is_multiple_of(SECTOR_BYTES) => {
                return Err(Error::Invalid(format!("a read at {offset}: no sector begins there")));
            }
            false => out.fill(Sector::ZERO),
        }
        if let Some(changed) = above.zones.get(&zone) {
            changed.cover(offset, sector_bytes_mut(out));
        }
        Ok(())
    }

    fn seal(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        self.change(epoch, Some(zone), |above| {
            above.zone(zone).sealed = true;
            Ok(())
        })
    }

    fn is_sealed(&self, zone: ZoneId) -> Result<bool> {
        self.is_sealed_in(&self.above.read(), zone)
    }

    fn delete(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        self.change(epoch, Some(zone), |above| {
            let lies_below = self.lies_below(above, zone)?;
            let gone = above.zones.remove(&zone).map_or(0, |changed| changed.sectors.len());
            above.held_bytes = above.held_bytes.saturating_sub(gone as u64 * SECTOR_BYTES);
            if lies_below {
                above.zones.insert(zone, Changed::new(State::Removed));
            }
            Ok(())
        })
    }

    fn capacity(&self) -> Result<Capacity> {
        let above = self.above.read();
        let count = |state| above.zones.values().filter(|zone| zone.state == state).count() as u64;
        let Capacity { total_bytes, free_bytes } = self.below.capacity()?;
        let free_bytes = free_bytes + count(State::Removed) * self.zone_bytes();
        let free_bytes = free_bytes.saturating_sub(count(State::Made) * self.zone_bytes());
        Ok(Capacity { total_bytes, free_bytes })
    }

    fn counters(&self) -> MediaCounters {
        self.above.read().counters
    }

    fn durability(&self) -> &'static str {
        "none"
    }
}
