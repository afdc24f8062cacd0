//! Media around the simulated one: what a real device may do that it does not, and what no medium
//! may do.

use std::sync::Arc;

use parking_lot::Mutex;
use storage_engine::format::{
    BATCH_HEADER_BYTES, BatchHeader, Root, ZoneClass, ZoneHeader, salt_header,
};
use storage_engine::media::{Capacity, Media, MediaCounters, Sector, SimMedia};
use storage_engine::*;

/// Passes everything on, but for what the caller writes itself.
macro_rules! pass_on {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        $(fn $name(&self, $($argument: $kind),*) -> $result {
            self.media.$name($($argument),*)
        })*
    };
}
pub(crate) use pass_on;

/// What the headers of the store on a device are salted with.
pub(crate) fn salt_of(media: &SimMedia) -> u32 {
    Root::decode(&media.root().unwrap().unwrap()).unwrap().salt()
}

/// The batch header that begins `data`, in a store of this salt.
pub(crate) fn batch_header(data: &[u8], salt: u32) -> Option<BatchHeader> {
    let mut bytes: [u8; BATCH_HEADER_BYTES] = *data.first_chunk()?;
    salt_header(&mut bytes, salt);
    Some(BatchHeader::decode(&bytes).ok()?.0)
}

/// Syncs data zones after the journal: the order that syncing both at once may take.
pub(crate) struct DataSyncedLast {
    media: Arc<SimMedia>,
    waiting: Mutex<Vec<ZoneId>>,
}

impl DataSyncedLast {
    pub(crate) fn new(media: Arc<SimMedia>) -> Self {
        Self { media, waiting: Mutex::default() }
    }
}

/// What a zone holds, by its own header.
pub(crate) fn class_of(media: &SimMedia, zone: ZoneId) -> Option<ZoneClass> {
    let mut bytes = [0; 128];
    media.read(zone, 0, &mut bytes).ok()?;
    let header = ZoneHeader::decode(&bytes).ok()?;
    (header.zone == zone).then_some(header.class)
}

impl Media for DataSyncedLast {
    pass_on! {
        zone_bytes() -> u64;
        root() -> Result<Option<Vec<u8>>>;
        replace_root(epoch: Epoch, bytes: &[u8]) -> Result<()>;
        list() -> Result<Vec<ZoneId>>;
        create(epoch: Epoch, zone: ZoneId) -> Result<()>;
        write(epoch: Epoch, zone: ZoneId, offset: u64, data: &[Sector]) -> Result<()>;
        read(zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<()>;
        read_cached(zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<bool>;
        read_uncached(zone: ZoneId, offset: u64, out: &mut [Sector]) -> Result<()>;
        seal(epoch: Epoch, zone: ZoneId) -> Result<()>;
        is_sealed(zone: ZoneId) -> Result<bool>;
        delete(epoch: Epoch, zone: ZoneId) -> Result<()>;
        capacity() -> Result<Capacity>;
        counters() -> MediaCounters;
        durability() -> &'static str;
    }

    fn sync(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        match class_of(&self.media, zone) {
            Some(ZoneClass::Data | ZoneClass::Survivor) => {
                self.waiting.lock().push(zone);
                Ok(())
            }
            _ => {
                self.media.sync(epoch, zone)?;
                let waiting = std::mem::take(&mut *self.waiting.lock());
                waiting.into_iter().try_for_each(|zone| self.media.sync(epoch, zone))
            }
        }
    }
}
