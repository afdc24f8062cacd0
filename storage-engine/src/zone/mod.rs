//! Zones in use: made, filled, pinned by readers, sealed, freed.
//!
//! Invariants:
//! - a zone id is never handed out twice, so a stale reference never meets another life;
//! - room in a zone is handed out once, from its start to its end, in whole sectors;
//! - a zone is deleted only when nothing in the index lies in it, nothing reserved in it is still to
//!   be committed, and no reader holds it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::environment::Environment;
use crate::error::{Error, Missing, Result, Shortage};
use crate::format::{Root, ZONE_DATA_OFFSET, ZoneClass, ZoneHeader};
use crate::id::{Epoch, Lsn, ZoneId};
use crate::media::{Media, SECTOR_BYTES, Sector, sector_bytes_mut};

/// Zones kept back from user writes, so that removals, checkpoints and reclaim always have room.
pub(crate) const RESERVE_ZONES: u64 = 6;
/// Zones that a new store has room for: the reserve, and one each for journal and data.
pub(crate) const FIRST_ZONES: u64 = RESERVE_ZONES + 2;
/// Zones kept back from removals and reclaim too, for the checkpoint that frees the journal behind
/// them.
const VITAL_ZONES: u64 = 2;

/// Zone ids set aside at a time.
pub(crate) const ZONE_IDS_STEP: u32 = 1024;

/// The end of the zone ids that are set aside from `first` on.
pub(crate) fn zone_ids_end(first: u32) -> Result<u32> {
    first.checked_add(ZONE_IDS_STEP).ok_or_else(|| Error::Stopped {
        reason: "the store has no zone ids left: copy it to a new one".to_owned(),
    })
}

/// A zone in use. Holding one keeps it from being deleted.
#[derive(Debug)]
pub(crate) struct Zone {
    pub(crate) id: ZoneId,
    pub(crate) class: ZoneClass,
    pub(crate) created_ms: u64,
    /// Journal: the last LSN in it.
    pub(crate) last_lsn: AtomicU64,
    /// No more room is handed out.
    closed: AtomicBool,
    /// The medium refuses writes, or was asked to.
    sealed: AtomicBool,
    /// One copy of its header is gone and cannot be written again: what lives in it should move.
    worn: AtomicBool,
    /// Bytes handed out to values that are not yet committed or dropped.
    pub(crate) reserved: AtomicI64,
    /// Writes completed, and how many of them a sync has covered.
    pub(crate) written: AtomicU64,
    pub(crate) synced: AtomicU64,
}

/// Room in a zone, to be written once.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) zone: Arc<Zone>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

#[derive(Debug)]
struct Open {
    zone: Arc<Zone>,
    next: u64,
}

/// The root object, in which zone ids are set aside, and the next of them.
#[derive(Debug)]
struct Ids {
    root: Root,
    next: u32,
}

/// All zones of a device.
pub(crate) struct Zones {
    pub(crate) media: Arc<dyn Media>,
    environment: Arc<dyn Environment>,
    pub(crate) epoch: Epoch,
    pub(crate) store: [u8; 16],
    pub(crate) salt: u32,
    ids: Mutex<Ids>,
    map: RwLock<BTreeMap<ZoneId, Arc<Zone>>>,
    retiring: Mutex<Vec<Arc<Zone>>>,
    low_space: AtomicBool,
    data: Mutex<Option<Open>>,
    survivors: Mutex<Option<Open>>,
}

impl std::fmt::Debug for Zones {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Zones(epoch {})", self.epoch)
    }
}

/// Whom a zone is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A user's write: keeps away from the reserve.
    User,
    /// Removals and reclaim: may use the reserve, but for its last zones.
    Engine,
    /// What gives room back or lets the store open: may use all.
    Vital,
}

impl Zones {
    pub(crate) fn new(
        media: Arc<dyn Media>,
        environment: Arc<dyn Environment>,
        root: Root,
        found: &[ZoneHeader],
        next_id: u32,
    ) -> Result<Self> {
        let mut map = BTreeMap::new();
        for header in found {
            let sealed = media.is_sealed(header.zone)?;
            map.insert(header.zone, Arc::new(Zone::found(header, sealed)));
        }
        let (epoch, store, salt) = (root.epoch, root.store, root.salt());
        let zones = Self {
            media,
            environment,
            epoch,
            store,
            salt,
            ids: Mutex::new(Ids { root, next: next_id }),
            map: RwLock::new(map),
            retiring: Mutex::default(),
            low_space: AtomicBool::new(false),
            data: Mutex::default(),
            survivors: Mutex::default(),
        };
        zones.refresh_space()?;
        Ok(zones)
    }

    /// Size of a zone in bytes.
    pub(crate) fn zone_bytes(&self) -> u64 {
        self.media.zone_bytes()
    }

    /// Pins a zone for reading.
    pub(crate) fn pin(&self, id: ZoneId) -> Result<Arc<Zone>> {
        let map = self.map.read();
        map.get(&id).map(Arc::clone).ok_or(Error::NotFound(Missing::Zone(id)))
    }

    /// All zones in use, in order.
    pub(crate) fn all(&self) -> Vec<Arc<Zone>> {
        self.map.read().values().map(Arc::clone).collect()
    }

    /// True when user writes must wait for space.
    pub(crate) fn is_low_on_space(&self) -> bool {
        self.low_space.load(Ordering::Relaxed)
    }

    /// Looks at the device's room anew; answers the bytes that zones can still be made of.
    pub(crate) fn refresh_space(&self) -> Result<u64> {
        let free = self.media.capacity()?.free_bytes;
        let low = free < RESERVE_ZONES * self.zone_bytes();
        self.low_space.store(low, Ordering::Relaxed);
        Ok(free)
    }

    /// Refuses a value of `len` bytes that there is no room for. The open zone may have up to a zone's
    /// room left, so that much is allowed on top; what then does not fit fails where room runs out.
    pub(crate) fn admit(&self, len: u64) -> Result<()> {
        if len < self.zone_bytes() && !self.is_low_on_space() {
            return Ok(());
        }
        let free = self.refresh_space()?;
        let usable = free.saturating_sub(RESERVE_ZONES * self.zone_bytes());
        if self.is_low_on_space() || len > usable + self.zone_bytes() {
            return Err(Error::Busy(Shortage::Space));
        }
        Ok(())
    }

    /// Zones that can still be made.
    pub(crate) fn free_zones(&self) -> Result<u64> {
        Ok(self.media.capacity()?.free_bytes / self.zone_bytes())
    }

    /// Makes a zone. Its header is written, not yet synced: the first sync of its content covers it.
    pub(crate) fn create(
        &self,
        class: ZoneClass,
        first_lsn: Lsn,
        ordinal: u32,
        claim: Claim,
    ) -> Result<Arc<Zone>> {
        let kept_back = match claim {
            Claim::User => RESERVE_ZONES,
            Claim::Engine => VITAL_ZONES,
            Claim::Vital => 0,
        };
        if self.free_zones()? < kept_back {
            self.refresh_space()?;
            return Err(Error::Busy(Shortage::Space));
        }
        let id = self.next_id()?;
        self.media.create(self.epoch, id).map_err(|error| match error {
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                self.low_space.store(true, Ordering::Relaxed);
                Error::Busy(Shortage::Space)
            }
            other => other,
        })?;
        let header = ZoneHeader {
            class,
            partition: 0,
            zone: id,
            epoch: self.epoch,
            zone_bytes: self.zone_bytes(),
            first_lsn,
            ordinal,
            created_ms: self.environment.now_ms(),
            store: self.store,
        };
        let mut sectors = [Sector::ZERO; (ZONE_DATA_OFFSET / SECTOR_BYTES) as usize];
        let encoded = header.encode();
        for copy in sector_bytes_mut(&mut sectors).chunks_mut(SECTOR_BYTES as usize) {
            copy[..encoded.len()].copy_from_slice(&encoded);
        }
        let zone = Arc::new(Zone::found(&header, false));
        zone.reopen();
        if let Err(error) = self.write(&zone, 0, &sectors).and_then(|()| self.refresh_space()) {
            // It was never in use: the next sweep deletes it.
            self.retiring.lock().push(zone);
            return Err(error);
        }
        self.map.write().insert(id, Arc::clone(&zone));
        Ok(zone)
    }

    /// Writes the copies of a zone's header anew that a crash has torn, so that the zone goes on with
    /// two. A sealed zone has to do with one until reclaim has emptied it.
    pub(crate) fn mend_header(&self, header: &ZoneHeader) -> Result<()> {
        let encoded = header.encode();
        for copy in 0..ZONE_DATA_OFFSET / SECTOR_BYTES {
            let mut held = [0; 128];
            self.media.read(header.zone, copy * SECTOR_BYTES, &mut held)?;
            if held.starts_with(&encoded) {
                continue;
            }
            let zone = self.pin(header.zone)?;
            if zone.is_sealed() {
                tracing::warn!(zone = %zone.id, copy, "a sealed zone has one copy of its header left");
                zone.worn.store(true, Ordering::Relaxed);
                continue;
            }
            tracing::warn!(zone = %zone.id, copy, "mending a zone header");
            let mut sector = Sector::ZERO;
            sector.0[..encoded.len()].copy_from_slice(&encoded);
            self.media.write(self.epoch, header.zone, copy * SECTOR_BYTES, &[sector])?;
            self.media.sync(self.epoch, header.zone)?;
        }
        Ok(())
    }

    /// An id that no zone of this store ever had. Ids are set aside in the root object by the
    /// thousand, so that a crash forgets none that was used.
    fn next_id(&self) -> Result<ZoneId> {
        let mut ids = self.ids.lock();
        let id = ids.next;
        if id >= ids.root.zone_ids_end {
            let raised = Root { zone_ids_end: zone_ids_end(id)?, ..ids.root.clone() };
            self.media.replace_root(self.epoch, &raised.encode())?;
            ids.root = raised;
        }
        ids.next = id + 1;
        Ok(ZoneId(id))
    }

    /// Hands out up to `want` bytes of room for extents, at least one sector. What is handed out is
    /// reserved in its zone until [`Zone::unreserve`].
    pub(crate) fn allocate(&self, class: ZoneClass, want: u64, claim: Claim) -> Result<Room> {
        let want = want.clamp(1, self.zone_bytes()).next_multiple_of(SECTOR_BYTES);
        let small = want.min(crate::limits::WRITE_BYTES as u64);
        self.take_room(class, small, want, claim)
    }

    /// Hands out exactly `len` bytes in one zone.
    pub(crate) fn allocate_whole(&self, class: ZoneClass, len: u64, claim: Claim) -> Result<Room> {
        let len = len.next_multiple_of(SECTOR_BYTES);
        if len > self.zone_bytes() - ZONE_DATA_OFFSET {
            return Err(Error::Invalid(format!("a run of {len} bytes is larger than a zone")));
        }
        self.take_room(class, len, len, claim)
    }

    fn take_room(&self, class: ZoneClass, least: u64, want: u64, claim: Claim) -> Result<Room> {
        let mut open = match class {
            ZoneClass::Survivor => self.survivors.lock(),
            _ => self.data.lock(),
        };
        let least = least.min(self.zone_bytes() - ZONE_DATA_OFFSET);
        if let Some(held) = open.take_if(|held| held.next + least > self.zone_bytes()) {
            held.zone.close();
        }
        let held = match open.as_mut() {
            Some(held) => held,
            None => {
                let zone = self.create(class, Lsn(0), 0, claim)?;
                open.insert(Open { zone, next: ZONE_DATA_OFFSET })
            }
        };
        let len = want.min(self.zone_bytes() - held.next);
        let room = Room { zone: Arc::clone(&held.zone), offset: held.next, len };
        held.next += len;
        held.zone.reserved.fetch_add(len as i64, Ordering::AcqRel);
        Ok(room)
    }

    /// Goes on filling a data zone that an earlier owner left, from `next` on.
    pub(crate) fn resume_data(&self, id: ZoneId, next: u64) {
        if let Ok(zone) = self.pin(id) {
            zone.reopen();
            *self.data.lock() = Some(Open { zone, next: next.next_multiple_of(SECTOR_BYTES) });
        }
    }

    /// Writes sectors of a zone.
    pub(crate) fn write(&self, zone: &Zone, offset: u64, data: &[Sector]) -> Result<()> {
        self.media.write(self.epoch, zone.id, offset, data)?;
        zone.written.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Makes everything written to a zone so far durable, unless it is.
    pub(crate) fn sync(&self, zone: &Zone) -> Result<()> {
        let written = zone.written.load(Ordering::Acquire);
        if zone.synced.load(Ordering::Acquire) >= written {
            return Ok(());
        }
        self.media.sync(self.epoch, zone.id)?;
        zone.synced.fetch_max(written, Ordering::AcqRel);
        Ok(())
    }

    /// Seals every zone that takes nothing more. It is tried once for each: a zone that stays open on
    /// the medium costs the next open a sync, and nothing else.
    pub(crate) fn seal_settled(&self) {
        for zone in self.all() {
            if !zone.is_settled() || zone.sealed.swap(true, Ordering::AcqRel) {
                continue;
            }
            if let Err(error) = self.media.seal(self.epoch, zone.id) {
                tracing::warn!(%error, zone = %zone.id, "a zone could not be sealed");
            }
        }
    }

    /// Takes a zone out of use; it is deleted once nobody holds it ([`Zones::sweep`]).
    pub(crate) fn retire(&self, id: ZoneId) {
        if let Some(zone) = self.map.write().remove(&id) {
            self.retiring.lock().push(zone);
        }
    }

    /// Deletes retired zones that nobody holds any more; answers how many.
    pub(crate) fn sweep(&self) -> Result<u64> {
        let mut retiring = self.retiring.lock();
        let (free, held): (Vec<_>, Vec<_>) =
            retiring.drain(..).partition(|zone| Arc::strong_count(zone) == 1);
        *retiring = held;
        let mut freed = 0;
        let mut failed = None;
        for zone in free {
            match self.media.delete(self.epoch, zone.id) {
                Ok(()) => freed += 1,
                Err(error) => {
                    retiring.push(zone);
                    failed = Some(error);
                }
            }
        }
        drop(retiring);
        if freed > 0 {
            self.refresh_space()?;
        }
        failed.map_or(Ok(freed), Err)
    }
}

impl Zone {
    fn found(header: &ZoneHeader, sealed: bool) -> Self {
        Self {
            id: header.zone,
            class: header.class,
            created_ms: header.created_ms,
            last_lsn: AtomicU64::new(header.first_lsn.0),
            closed: AtomicBool::new(true),
            sealed: AtomicBool::new(sealed),
            worn: AtomicBool::new(false),
            reserved: AtomicI64::new(0),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
        }
    }

    /// Ends the handing out of room.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Hands out room again, or for the first time.
    pub(crate) fn reopen(&self) {
        self.closed.store(false, Ordering::Release);
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    pub(crate) fn is_worn(&self) -> bool {
        self.worn.load(Ordering::Relaxed)
    }

    /// Lets go of room that was committed, or will never be.
    pub(crate) fn unreserve(&self, bytes: u64) {
        self.reserved.fetch_sub(bytes as i64, Ordering::AcqRel);
    }

    /// True when no more room is handed out and nothing in it is still to be committed.
    pub(crate) fn is_settled(&self) -> bool {
        self.closed.load(Ordering::Acquire) && self.reserved.load(Ordering::Acquire) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{Fault, Operation, SimEnvironment, SimMedia, SimOptions, Target};

    fn zones(next_id: u32, zone_ids_end: u32) -> (Arc<SimMedia>, Zones) {
        let media = Arc::new(SimMedia::new(&SimOptions::default()));
        let (epoch, store, key) = (Epoch(1), [1; 16], Vec::new());
        let root = Root { partitions: 1, epoch, store, created_ms: 0, zone_ids_end, key };
        let environment = Arc::new(SimEnvironment::new(1));
        let device = Arc::clone(&media) as Arc<dyn Media>;
        (media, Zones::new(device, environment, root, &[], next_id).unwrap())
    }

    fn create(zones: &Zones) -> Result<Arc<Zone>> {
        zones.create(ZoneClass::Data, Lsn(0), 0, Claim::User)
    }

    #[test]
    fn zone_ids_end_and_never_begin_again() {
        let end = u32::MAX - ZONE_IDS_STEP;
        let (media, zones) = zones(end - 2, end);
        for nth in 0..ZONE_IDS_STEP + 2 {
            let zone = create(&zones).unwrap().id;
            assert_eq!(zone, ZoneId(end - 2 + nth));
            zones.retire(zone);
            zones.sweep().unwrap();
        }
        let changes = media.changes();
        for _ in 0..3 {
            let refused = create(&zones);
            assert!(matches!(refused, Err(Error::Stopped { .. })), "{refused:?}");
        }
        assert_eq!(media.changes(), changes);
        assert_eq!(media.list().unwrap(), []);
    }

    #[test]
    fn a_zone_whose_header_cannot_be_written_goes() {
        let (media, zones) = zones(1, 100);
        media.arm(1, Fault::FailOn(Target::Only(Operation::Write)));
        let failed = create(&zones);
        assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
        media.heal();
        assert_eq!(media.list().unwrap(), [ZoneId(1)]);
        assert!(zones.all().is_empty());
        assert_eq!(zones.sweep().unwrap(), 1);
        assert_eq!(media.list().unwrap(), []);
        assert_eq!(create(&zones).unwrap().id, ZoneId(2));
    }
}
