//! A medium as it is, whatever a cache shows: every read goes to the device.
//!
//! Verifying reads through this: a cache that still holds what was written says nothing about what
//! the device holds, and reading all of a device through it would drive out what is in use. Reads that
//! follow each other are answered from one long read of the device.

use parking_lot::Mutex;

use crate::error::Result;
use crate::id::{Epoch, ZoneId};
use crate::media::{Capacity, Media, MediaCounters, SECTOR_BYTES, Sector, sector_bytes};

/// Sectors read at once where reads follow each other.
const AHEAD_SECTORS: u64 = 256;

/// Reads past every cache; all else is passed on.
pub(crate) struct DeviceView<'a> {
    media: &'a dyn Media,
    window: Mutex<Window>,
}

/// What was read last.
#[derive(Default)]
struct Window {
    zone: ZoneId,
    /// First sector in the zone.
    first: u64,
    sectors: Vec<Sector>,
}

impl<'a> DeviceView<'a> {
    pub(crate) fn new(media: &'a dyn Media) -> Self {
        Self { media, window: Mutex::default() }
    }
}

impl Window {
    fn end(&self) -> u64 {
        self.first + self.sectors.len() as u64
    }

    /// Makes it hold the sectors from `first` to `end`.
    fn fill(&mut self, media: &dyn Media, zone: ZoneId, first: u64, end: u64) -> Result<()> {
        let here = self.zone == zone && self.first <= first;
        if here && end <= self.end() {
            return Ok(());
        }
        let follows = here && first <= self.end();
        let ahead = if follows { first + AHEAD_SECTORS } else { end };
        let end = ahead.min(media.zone_bytes() / SECTOR_BYTES).max(end);
        self.sectors.clear();
        self.sectors.resize((end - first) as usize, Sector::ZERO);
        // Until it is read the window is of no zone's.
        self.zone = ZoneId::default();
        media.read_uncached(zone, first * SECTOR_BYTES, &mut self.sectors)?;
        (self.zone, self.first) = (zone, first);
        Ok(())
    }
}

/// Passes a call on.
macro_rules! pass_on {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        $(fn $name(&self, $($argument: $kind),*) -> $result {
            self.media.$name($($argument),*)
        })*
    };
}

impl Media for DeviceView<'_> {
    pass_on! {
        zone_bytes() -> u64;
        root() -> Result<Option<Vec<u8>>>;
        replace_root(epoch: Epoch, bytes: &[u8]) -> Result<()>;
        list() -> Result<Vec<ZoneId>>;
        create(epoch: Epoch, zone: ZoneId) -> Result<()>;
        write(epoch: Epoch, zone: ZoneId, offset: u64, data: &[Sector]) -> Result<()>;
        sync(epoch: Epoch, zone: ZoneId) -> Result<()>;
        read_uncached(zone: ZoneId, offset: u64, out: &mut [Sector]) -> Result<()>;
        seal(epoch: Epoch, zone: ZoneId) -> Result<()>;
        is_sealed(zone: ZoneId) -> Result<bool>;
        delete(epoch: Epoch, zone: ZoneId) -> Result<()>;
        capacity() -> Result<Capacity>;
        counters() -> MediaCounters;
        durability() -> &'static str;
    }

    fn read(&self, zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        let first = offset / SECTOR_BYTES;
        let end = (offset + out.len() as u64).div_ceil(SECTOR_BYTES);
        let mut window = self.window.lock();
        window.fill(self.media, zone, first, end)?;
        let skip = (offset - window.first * SECTOR_BYTES) as usize;
        out.copy_from_slice(&sector_bytes(&window.sectors)[skip..skip + out.len()]);
        Ok(())
    }

    fn read_cached(&self, zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<bool> {
        self.read(zone, offset, out).map(|()| true)
    }
}
