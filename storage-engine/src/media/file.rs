//! A local directory as a medium: one preallocated file a zone.
//!
//! ```text
//! LOCK                  locked while open; names the process that holds it
//! device                the zone size, decided once there is a root object or a zone
//! root                  the root object
//! zones/0000002a.zone   one file a zone, all of one size; without write permission once sealed
//! pool/00000029.free    files of deleted zones, for the next ones
//! ```
//!
//! - A zone file is whole before it gets its name; a name never replaces another.
//! - Writes go past the page cache where the filesystem lets them; hot reads come from it.
//! - What an earlier process left unsynced is synced at open, before anything is read: what recovery
//!   has seen cannot vanish later. A sealed zone is on stable media and needs none of it.
//! - A zone whose sync failed takes no more writes and no second sync.

mod directory;
mod frame;
mod probe;
mod zone;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use rustix::fs::Advice;
use rustix::io::{Errno, ReadWriteFlags};

use self::directory::Directory;
use self::frame::FrameKind;
use self::zone::{Handles, Zone, ZoneFiles, ZoneState};
use super::{Capacity, Media, MediaCounters, SECTOR_BYTES, Sector, sector_bytes, sector_bytes_mut};
use crate::error::{Corruption, Error, Missing, Result};
use crate::id::{Epoch, ZoneId};

pub use self::frame::ROOT_BYTES_MAX;
pub use self::probe::{Probe, WriteCache};

/// Bounds of the zone size that is chosen by capacity: about a thousand zones.
const CHOSEN_ZONE_BYTES: (u64, u64) = (16 * 1024 * 1024, 1024 * 1024 * 1024);
const CHOSEN_ZONES: u64 = 1024;
/// Room that zones leave on the filesystem, so that the root object can always be replaced.
const RESERVE_BYTES: u64 = 2 * ROOT_BYTES_MAX as u64;
/// Freed files kept for reuse: enough for a burst of zones, little against a device.
const POOL_ZONES: (u64, u64) = (4, 64);
/// Open zones that are synced one by one at open; for more, one sync of the filesystem is cheaper.
const SETTLE_EACH_MAX: usize = 32;

/// How a sync is made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On stable media: survives power loss.
    Sync,
    /// In the device: survives the process and the system, not a device that loses its cache.
    Device,
    /// In the page cache: survives the process only.
    None,
}

/// Options of [`FileMedia::open`].
#[derive(Debug, Clone)]
pub struct FileMediaOptions {
    /// Where. Made when it is not there.
    pub directory: PathBuf,
    /// Size of every zone; 0 chooses by capacity. Decided once there is a root object or a zone.
    pub zone_bytes: u64,
    /// How a sync is made durable.
    pub durability: Durability,
    /// What zones may take together; none: all that the filesystem has.
    pub capacity_bytes: Option<u64>,
}

impl FileMediaOptions {
    /// A durable device that may fill the filesystem of `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            zone_bytes: 0,
            durability: Durability::Sync,
            capacity_bytes: None,
        }
    }
}

/// A directory of zone files.
#[derive(Debug)]
pub struct FileMedia {
    directory: Directory,
    zone_bytes: u64,
    durability: Durability,
    capacity_bytes: Option<u64>,
    probe: Probe,
    /// Held for reading through every mutation, for writing to raise it: an owner that was fenced
    /// has nothing in flight.
    epoch: RwLock<Epoch>,
    /// Orders replacements of the root object.
    root: Mutex<()>,
    zones: RwLock<BTreeMap<ZoneId, Arc<Zone>>>,
    /// Former names of the files that wait for reuse.
    pool: Mutex<Vec<ZoneId>>,
    /// Held through every create and delete, so that names change one at a time.
    names: Mutex<()>,
    handles: Handles,
    nowait_refused: AtomicBool,
    written_bytes: AtomicU64,
    read_bytes: AtomicU64,
    syncs: AtomicU64,
}

impl FileMedia {
    /// True when a device, whole or in part, is in `directory`. Looks only, where [`open`](Self::open)
    /// would make one.
    pub fn is_in(directory: &Path) -> bool {
        Directory::is_device(directory)
    }

    /// Opens the device in a directory, or makes one there.
    pub fn open(options: &FileMediaOptions) -> Result<Self> {
        let directory = Directory::open(&options.directory, options.durability)?;
        let zone_bytes = device_zone_bytes(&directory, options)?;
        let root = directory.read_framed(FrameKind::Root)?;
        let probe = Probe::of(&directory);
        let zones = directory.zones()?;
        let pool = directory.pool(zone_bytes)?;
        let media = Self {
            zone_bytes,
            durability: options.durability,
            capacity_bytes: options.capacity_bytes,
            probe,
            epoch: RwLock::new(root.map_or(Epoch(0), |frame| frame.epoch)),
            root: Mutex::new(()),
            zones: RwLock::new(zones),
            pool: Mutex::new(pool),
            names: Mutex::new(()),
            handles: Handles::new(),
            nowait_refused: AtomicBool::new(false),
            written_bytes: AtomicU64::new(0),
            read_bytes: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            directory,
        };
        media.settle()?;
        Ok(media)
    }

    /// What the device says about itself.
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Syncs the zones that were open when the last process ended, and forgets cached copies of
    /// them: a page whose write-back failed looks clean and is not on the device.
    fn settle(&self) -> Result<()> {
        if self.durability == Durability::None {
            return Ok(());
        }
        let zones = self.zones.read();
        let open = || zones.values().filter(|zone| *zone.state.read() == ZoneState::Open);
        let each = open().count() <= SETTLE_EACH_MAX;
        if !each {
            self.directory.sync_filesystem().map_err(during("sync the filesystem at open"))?;
        }
        for zone in open() {
            let file = self.directory.open_zone(zone.id).map_err(during("open a zone"))?;
            if each {
                file.sync_all().map_err(during("sync a zone at open"))?;
            }
            let dropped = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
            dropped.map_err(during("drop cached pages of a zone"))?;
        }
        Ok(())
    }

    fn held(&self, held: Epoch) -> Result<RwLockReadGuard<'_, Epoch>> {
        let found = self.epoch.read();
        if found.0 > held.0 {
            return Err(Error::Fenced { found: found.0, held: held.0 });
        }
        Ok(found)
    }

    fn zone(&self, id: ZoneId) -> Result<Arc<Zone>> {
        self.zones.read().get(&id).cloned().ok_or(Error::NotFound(Missing::Zone(id)))
    }

    fn files(&self, zone: &Arc<Zone>) -> Result<Arc<ZoneFiles>> {
        self.handles
            .files(zone, || self.directory.open_zone(zone.id))
            .map_err(during("open a zone"))
    }

    fn writer<'f>(&self, zone: &Zone, files: &'f ZoneFiles) -> Result<&'f File> {
        files
            .writer(|| self.directory.open_zone_writer(zone.id, self.writes_direct()))
            .map_err(during("open a zone for writing"))
    }

    fn writes_direct(&self) -> bool {
        self.probe.direct && self.durability != Durability::None
    }

    /// The writable zone, kept so until the guard is dropped.
    fn writable<'z>(&self, zone: &'z Zone) -> Result<RwLockReadGuard<'z, ZoneState>> {
        let state = zone.state.read();
        match *state {
            ZoneState::Open => Ok(state),
            ZoneState::Sealed => Err(Error::Invalid(format!("zone {} is sealed", zone.id))),
            ZoneState::Deleted => Err(Error::NotFound(Missing::Zone(zone.id))),
            ZoneState::Failed => {
                let why = format!("an earlier sync of zone {} failed", zone.id);
                Err(Error::io("use a zone", io::Error::other(why)))
            }
        }
    }

    fn check_range(&self, zone: ZoneId, offset: u64, len: usize) -> Result<()> {
        let end = offset.checked_add(len as u64);
        if end.is_none_or(|end| end > self.zone_bytes) {
            return Err(Error::Invalid(format!("{len} bytes at {offset} end outside zone {zone}")));
        }
        Ok(())
    }

    /// Flushes a zone's files as far as the durability asks, and remembers when that failed.
    fn flush(&self, zone: &Zone, files: &ZoneFiles) -> Result<()> {
        let writer = self.writer(zone, files)?;
        let flushed = zone.sync(|| match self.durability {
            Durability::None => Ok(()),
            // A direct write to blocks that were written before is in the device when it returns.
            Durability::Device if zone.filled && self.writes_direct() => Ok(()),
            Durability::Device | Durability::Sync => writer.sync_data(),
        });
        self.syncs.fetch_add(1, Relaxed);
        flushed.map_err(during("sync a zone"))
    }

    /// A file for `zone`, still in the pool folder: a former one, or a new one.
    fn pooled_file(&self, zone: ZoneId) -> Result<String> {
        let former = self.pool.lock().pop();
        if let Some(former) = former {
            let name = directory::free_name(former);
            self.directory.make_free_writable(&name).map_err(during("reuse a zone file"))?;
            return Ok(name);
        }
        let room = self.directory.available_bytes().map_err(during("ask for free space"))?;
        if room < self.zone_bytes + RESERVE_BYTES {
            return Err(full("the filesystem has no room for another zone"));
        }
        let made = self.directory.make_zone_file(zone, self.zone_bytes);
        made.map_err(during("make a zone file"))
    }

    fn pool_max(&self) -> usize {
        let zones = self.capacity().map_or(0, |c| c.total_bytes / self.zone_bytes);
        usize::try_from((zones / 16).clamp(POOL_ZONES.0, POOL_ZONES.1)).unwrap_or(usize::MAX)
    }
}

impl Media for FileMedia {
    fn zone_bytes(&self) -> u64 {
        self.zone_bytes
    }

    fn root(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.directory.read_framed(FrameKind::Root)?.map(|frame| frame.payload))
    }

    fn replace_root(&self, epoch: Epoch, bytes: &[u8]) -> Result<()> {
        if bytes.len() > ROOT_BYTES_MAX {
            return Err(Error::Invalid(format!("a root object of {} bytes", bytes.len())));
        }
        let _order = self.root.lock();
        if self.held(epoch)?.0 < epoch.0 {
            *self.epoch.write() = epoch;
        }
        let _held = self.held(epoch)?;
        let written = self.directory.write_framed(FrameKind::Root, epoch, bytes);
        written.map_err(during("replace the root object"))
    }

    fn list(&self) -> Result<Vec<ZoneId>> {
        Ok(self.zones.read().keys().copied().collect())
    }

    fn create(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        let _held = self.held(epoch)?;
        let _names = self.names.lock();
        let taken_bytes = {
            let zones = self.zones.read();
            if zones.contains_key(&zone) {
                return Err(Error::io("create a zone", io::ErrorKind::AlreadyExists.into()));
            }
            (zones.len() as u64 + 1) * self.zone_bytes
        };
        if self.capacity_bytes.is_some_and(|limit| taken_bytes > limit) {
            return Err(full("the device's capacity is taken"));
        }
        let name = self.pooled_file(zone)?;
        let filled = self.durability == Durability::Device && self.writes_direct();
        if filled {
            self.directory.fill_holes(&name).map_err(during("write a zone for the first time"))?;
        }
        let moved = self.directory.move_from_pool(&name, zone);
        moved.map_err(during("create a zone"))?;
        let mut made = Zone::new(zone, ZoneState::Open);
        made.filled = filled;
        self.zones.write().insert(zone, Arc::new(made));
        Ok(())
    }

    fn write(&self, epoch: Epoch, zone: ZoneId, offset: u64, data: &[Sector]) -> Result<()> {
        let _held = self.held(epoch)?;
        let bytes = sector_bytes(data);
        self.check_range(zone, offset, bytes.len())?;
        if !offset.is_multiple_of(SECTOR_BYTES) {
            return Err(Error::Invalid(format!("a write at offset {offset}")));
        }
        let zone = self.zone(zone)?;
        let _open = self.writable(&zone)?;
        let files = self.files(&zone)?;
        let writer = self.writer(&zone, &files)?;
        let written = zone.write(|| writer.write_all_at(bytes, offset));
        self.written_bytes.fetch_add(bytes.len() as u64, Relaxed);
        written.map_err(during("write to a zone"))
    }

    fn sync(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        let _held = self.held(epoch)?;
        let zone = self.zone(zone)?;
        let open = self.writable(&zone)?;
        let files = self.files(&zone)?;
        let flushed = self.flush(&zone, &files);
        drop(open);
        if flushed.is_err() {
            *zone.state.write() = ZoneState::Failed;
        }
        flushed
    }

    fn read(&self, zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<()> {
        self.check_range(zone, offset, out.len())?;
        let files = self.files(&self.zone(zone)?)?;
        files.reader.read_exact_at(out, offset).map_err(|e| unreadable(zone, offset, e))?;
        self.read_bytes.fetch_add(out.len() as u64, Relaxed);
        Ok(())
    }

    fn read_cached(&self, zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<bool> {
        self.check_range(zone, offset, out.len())?;
        let zone = self.zone(zone)?;
        if self.nowait_refused.load(Relaxed) {
            return Ok(false);
        }
        let Some(files) = zone.open_files() else { return Ok(false) };
        let len = out.len();
        let mut pieces = [IoSliceMut::new(out)];
        let nowait = ReadWriteFlags::NOWAIT;
        match rustix::io::preadv2(&files.reader, &mut pieces, offset, nowait) {
            Ok(read) if read == len => {
                self.read_bytes.fetch_add(len as u64, Relaxed);
                Ok(true)
            }
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                self.nowait_refused.store(true, Relaxed);
                Ok(false)
            }
            Err(errno) => Err(Error::io("read a zone", errno.into())),
        }
    }

    fn will_need(&self, zone: ZoneId, offset: u64, len: u64) {
        if let Ok(files) = self.zone(zone).and_then(|zone| self.files(&zone)) {
            let len = std::num::NonZeroU64::new(len);
            // Where the system cannot, the read waits alone.
            let _hint = rustix::fs::fadvise(&files.reader, offset, len, Advice::WillNeed);
        }
    }

    fn read_uncached(&self, zone: ZoneId, offset: u64, out: &mut [Sector]) -> Result<()> {
        let bytes = sector_bytes_mut(out);
        self.check_range(zone, offset, bytes.len())?;
        if !offset.is_multiple_of(SECTOR_BYTES) {
            return Err(Error::Invalid(format!("an uncached read at offset {offset}")));
        }
        let held = self.zone(zone)?;
        let files = self.files(&held)?;
        let file = if self.writes_direct() {
            self.writer(&held, &files)?
        } else {
            let len = std::num::NonZeroU64::new(bytes.len() as u64);
            let dropped = rustix::fs::fadvise(&files.reader, offset, len, Advice::DontNeed);
            dropped.map_err(during("drop cached pages of a zone"))?;
            &files.reader
        };
        file.read_exact_at(bytes, offset).map_err(|e| unreadable(zone, offset, e))?;
        self.read_bytes.fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }

    fn seal(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        let _held = self.held(epoch)?;
        let zone = self.zone(zone)?;
        let mut state = zone.state.write();
        match *state {
            ZoneState::Sealed => return Ok(()),
            ZoneState::Deleted => return Err(Error::NotFound(Missing::Zone(zone.id))),
            // Writes are refused already; the next owner finds it open and syncs before it reads.
            ZoneState::Failed => return Ok(()),
            ZoneState::Open => {}
        }
        let files = self.files(&zone)?;
        // The mark outlives this process and what it was asked to do about durability.
        if self.durability != Durability::Sync || zone.has_unsynced() {
            let writer = self.writer(&zone, &files)?;
            let synced = zone.sync(|| writer.sync_data());
            self.syncs.fetch_add(1, Relaxed);
            if let Err(source) = synced {
                *state = ZoneState::Failed;
                return Err(Error::io("sync a zone to seal it", source));
            }
        }
        *state = ZoneState::Sealed;
        drop(state);
        directory::make_read_only(&files.reader).map_err(during("seal a zone"))
    }

    fn is_sealed(&self, zone: ZoneId) -> Result<bool> {
        Ok(*self.zone(zone)?.state.read() == ZoneState::Sealed)
    }

    fn delete(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        let _held = self.held(epoch)?;
        let deleted = self.zone(zone)?;
        *deleted.state.write() = ZoneState::Deleted;
        deleted.close();
        // Before its name can be another's: nobody waits for this one.
        self.directory.make_zone_writable(zone).map_err(during("delete a zone"))?;
        let _names = self.names.lock();
        self.zone(zone)?;
        // Where this fails the zone stays listed, for the caller to try again.
        let pool_max = self.pool_max();
        let pooled = self.pool.lock().len();
        if pooled < pool_max {
            self.directory.move_to_pool(zone).map_err(during("delete a zone"))?;
            self.pool.lock().push(zone);
        } else {
            self.directory.unlink_zone(zone).map_err(during("delete a zone"))?;
        }
        self.zones.write().remove(&zone);
        Ok(())
    }

    fn capacity(&self) -> Result<Capacity> {
        let zones_bytes = self.zones.read().len() as u64 * self.zone_bytes;
        let pool_bytes = self.pool.lock().len() as u64 * self.zone_bytes;
        let available = self.directory.available_bytes().map_err(during("ask for free space"))?;
        let room_bytes = available.saturating_sub(RESERVE_BYTES) + pool_bytes;
        let total_bytes = self.capacity_bytes.unwrap_or(u64::MAX).min(zones_bytes + room_bytes);
        let free_bytes = total_bytes.saturating_sub(zones_bytes);
        Ok(Capacity { total_bytes, free_bytes: free_bytes - free_bytes % self.zone_bytes })
    }

    fn counters(&self) -> MediaCounters {
        MediaCounters {
            written_bytes: self.written_bytes.load(Relaxed),
            syncs: self.syncs.load(Relaxed),
            read_bytes: self.read_bytes.load(Relaxed),
        }
    }

    fn durability(&self) -> &'static str {
        match self.durability {
            Durability::Sync => "sync",
            Durability::Device => "device",
            Durability::None => "none",
        }
    }
}

/// The zone size that the device was made with, or that it is now made with.
fn device_zone_bytes(directory: &Directory, options: &FileMediaOptions) -> Result<u64> {
    let has_zones = !directory.zones()?.is_empty();
    let is_used = has_zones || directory.read_framed(FrameKind::Root)?.is_some();
    // A size that no store was made with, such as one that left no room for a store, may be mended.
    if let Some(frame) = directory.read_framed(FrameKind::Device)?.filter(|_| is_used) {
        let bytes = <[u8; 8]>::try_from(frame.payload.as_slice()).unwrap_or_default();
        let zone_bytes = u64::from_le_bytes(bytes);
        super::check_zone_bytes(zone_bytes)?;
        return Ok(zone_bytes);
    }
    if has_zones {
        return Err(Error::Corrupt(Corruption {
            zone: None,
            offset: 0,
            what: "device file",
            expected: "a file, as there are zones".into(),
            found: "none".into(),
        }));
    }
    let zone_bytes = match options.zone_bytes {
        0 => {
            let available = directory.available_bytes().map_err(during("ask for free space"))?;
            chosen_zone_bytes(options.capacity_bytes.unwrap_or(available))
        }
        given => given,
    };
    super::check_zone_bytes(zone_bytes)?;
    let written = directory.write_framed(FrameKind::Device, Epoch(0), &zone_bytes.to_le_bytes());
    written.map_err(during("make a device"))?;
    Ok(zone_bytes)
}

fn chosen_zone_bytes(capacity_bytes: u64) -> u64 {
    let (min, max) = CHOSEN_ZONE_BYTES;
    let wanted = (capacity_bytes / CHOSEN_ZONES).clamp(min, max);
    1 << wanted.ilog2()
}

fn full(why: &'static str) -> Error {
    Error::io("create a zone", io::Error::new(io::ErrorKind::StorageFull, why))
}

fn during<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Error {
    move |source| Error::io(what, source.into())
}

/// A zone file that is shorter than a zone lost bytes; anything else is the device's answer.
fn unreadable(zone: ZoneId, offset: u64, source: io::Error) -> Error {
    if source.kind() != io::ErrorKind::UnexpectedEof {
        return Error::io("read a zone", source);
    }
    Error::Corrupt(Corruption {
        zone: Some(zone),
        offset,
        what: "zone file",
        expected: "a whole zone".into(),
        found: "the end of the file".into(),
    })
}

#[cfg(test)]
mod tests;
