//! Bytes that still serve, by zone.
//!
//! Counted with a sign: while a journal is replayed a record may leave before it came.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::id::ZoneId;

/// Live bytes of every zone.
#[derive(Debug, Default)]
pub(crate) struct Live {
    zones: HashMap<ZoneId, i64, BuildHasherDefault<ZoneHasher>>,
}

impl Live {
    pub(crate) fn add(&mut self, zone: ZoneId, bytes: u32) {
        *self.zones.entry(zone).or_default() += i64::from(bytes);
    }

    pub(crate) fn subtract(&mut self, zone: ZoneId, bytes: u32) {
        *self.zones.entry(zone).or_default() -= i64::from(bytes);
    }

    /// Live bytes of a zone.
    pub(crate) fn bytes(&self, zone: ZoneId) -> u64 {
        self.zones.get(&zone).map_or(0, |&bytes| u64::try_from(bytes).unwrap_or(0))
    }

    /// Live bytes of all zones.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.zones.keys().map(|&zone| self.bytes(zone)).sum()
    }

    /// Forgets a zone that is gone.
    pub(crate) fn remove(&mut self, zone: ZoneId) {
        self.zones.remove(&zone);
    }

    pub(crate) fn clear(&mut self) {
        self.zones.clear();
    }
}

/// Spreads zone ids, which the engine hands out itself: nobody can choose them to collide.
#[derive(Debug, Default)]
struct ZoneHasher(u64);

impl Hasher for ZoneHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u32(byte.into()));
    }

    fn write_u32(&mut self, word: u32) {
        self.0 = (self.0 ^ u64::from(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
