//! Where zones live: the one trait through which the engine reaches a device.
//!
//! A medium holds zones of one fixed size and one small *root object*. Every mutation carries the
//! owner's epoch and is refused with [`Error::Fenced`](crate::Error::Fenced) when a higher one was
//! raised. Contract, checked by `tests/contract.rs` on every implementation:
//!
//! - `create` is exclusive and durable on return; the content of a new zone is unspecified (it may
//!   be a former life's), which is why every structure names its zone.
//! - `write` takes 4 KiB-aligned offsets and lengths; it is durable only after `sync` of that zone.
//!   Until then a crash keeps any subset of its sectors.
//! - `seal` makes durable what was written and refuses all that follows. It stays when the device is
//!   opened again; a crash may forget the seal, never what it covered.
//! - After a failed `sync` the state of everything unsynced in the zone is unknown; the caller never
//!   retries it.
//! - `delete` is durable before the zone's space is handed out again.
//! - `replace_root` is atomic and durable on return, and raises the epoch.
//!
//! A local directory ([`FileMedia`]), the simulator ([`SimMedia`]) and a view whose changes are
//! forgotten ([`OverlayMedia`]) implement it; a shared store can (names are `(epoch, zone)`, creation is exclusive, nothing needs rename).

mod file;
mod overlay;
mod sim;

use crate::error::{Error, Result};
use crate::id::{Epoch, ZoneId};
use crate::limits::{ZONE_BYTES_MAX, ZONE_BYTES_MIN};

pub use file::{Durability, FileMedia, FileMediaOptions, Probe, ROOT_BYTES_MAX, WriteCache};
pub use overlay::{OVERLAY_BYTES_MAX, OverlayMedia};
pub use sim::{
    CrashPoint, Fault, History, Operation, SeededRandom, SimEnvironment, SimMedia, SimOptions,
    Survival, Target,
};

/// Smallest unit of a durable write, in bytes.
pub const SECTOR_BYTES: u64 = 4096;

/// Room on a device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// What the operator gave.
    pub total_bytes: u64,
    /// What zones can still be made of.
    pub free_bytes: u64,
}

/// A device. All calls block; the engine decides on which thread.
pub trait Media: Send + Sync {
    /// Size of every zone, in bytes; a multiple of [`SECTOR_BYTES`].
    fn zone_bytes(&self) -> u64;
    /// The root object, or none on a fresh device.
    fn root(&self) -> Result<Option<Vec<u8>>>;
    /// Replaces the root object, atomically and durably, and raises the epoch to `epoch`.
    fn replace_root(&self, epoch: Epoch, bytes: &[u8]) -> Result<()>;
    /// The zones that exist, in order.
    fn list(&self) -> Result<Vec<ZoneId>>;
    /// Makes a zone; fails when it exists. `ErrorKind::StorageFull` when there is no room.
    fn create(&self, epoch: Epoch, zone: ZoneId) -> Result<()>;
    /// Writes whole sectors at a sector boundary.
    fn write(&self, epoch: Epoch, zone: ZoneId, offset: u64, data: &[Sector]) -> Result<()>;
    /// Makes every completed write to the zone durable.
    fn sync(&self, epoch: Epoch, zone: ZoneId) -> Result<()>;
    /// Reads exactly `out.len()` bytes.
    fn read(&self, zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<()>;
    /// Like [`Media::read`] when it needs no waiting, else false and `out` is unspecified.
    fn read_cached(&self, zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<bool>;
    /// Says that a run of bytes is read next, so that the device can fetch it beside others. A hint:
    /// what is wrong with the run, the read says.
    fn will_need(&self, _zone: ZoneId, _offset: u64, _len: u64) {}
    /// Reads whole sectors past every cache: what is on the device now.
    fn read_uncached(&self, zone: ZoneId, offset: u64, out: &mut [Sector]) -> Result<()>;
    /// Makes every completed write to the zone durable and refuses further ones.
    fn seal(&self, epoch: Epoch, zone: ZoneId) -> Result<()>;
    /// True when the zone was sealed, by this owner or an earlier one.
    fn is_sealed(&self, zone: ZoneId) -> Result<bool>;
    /// Removes a zone; its space may serve a later `create`.
    fn delete(&self, epoch: Epoch, zone: ZoneId) -> Result<()>;
    /// Room on the device.
    fn capacity(&self) -> Result<Capacity>;
    /// Bytes written and syncs done since this medium was opened.
    fn counters(&self) -> MediaCounters;
    /// How a sync is made durable, for banners and metrics: `sync`, `device`, `none`, `simulated`.
    fn durability(&self) -> &'static str;
}

/// Errs when the engine cannot live in zones of this size.
pub(crate) fn check_zone_bytes(zone_bytes: u64) -> Result<()> {
    let fits = (ZONE_BYTES_MIN..=ZONE_BYTES_MAX).contains(&zone_bytes);
    if !fits || !zone_bytes.is_multiple_of(SECTOR_BYTES) {
        return Err(Error::Invalid(format!(
            "a zone of {zone_bytes} bytes: it must be a multiple of {SECTOR_BYTES} \
             between {ZONE_BYTES_MIN} and {ZONE_BYTES_MAX}"
        )));
    }
    Ok(())
}

/// Totals since the medium was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MediaCounters {
    /// Bytes handed to the device.
    pub written_bytes: u64,
    /// Syncs completed.
    pub syncs: u64,
    /// Bytes read from the device or its cache.
    pub read_bytes: u64,
}

/// One aligned 4 KiB piece of memory: what direct I/O needs, without `unsafe`.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(4096))]
pub struct Sector(pub [u8; SECTOR_BYTES as usize]);

impl Sector {
    /// A sector of zeros.
    pub const ZERO: Self = Self([0; SECTOR_BYTES as usize]);
}

impl std::fmt::Debug for Sector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sector")
    }
}

/// The sectors as plain bytes.
pub fn sector_bytes(sectors: &[Sector]) -> &[u8] {
    bytemuck::cast_slice(sectors)
}

/// The sectors as plain bytes, to write into.
pub fn sector_bytes_mut(sectors: &mut [Sector]) -> &mut [u8] {
    bytemuck::cast_slice_mut(sectors)
}
