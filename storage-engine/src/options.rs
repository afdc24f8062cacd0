//! Decisions an operator can make about a store when opening it.

use crate::format::ZONE_DATA_OFFSET;
use crate::limits::INLINE_BYTES_MAX;

/// Options of [`crate::Engine::open`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Reclaim, scrub and timed checkpoints run in the background.
    pub background: bool,
    /// Values up to this length live in the journal; at most [`crate::limits::INLINE_BYTES_MAX`], and
    /// half a zone.
    pub inline_bytes: usize,
    /// Journal bytes since the last checkpoint after which the next one is written; caps recovery.
    pub checkpoint_bytes: u64,
    /// Device bytes a second that reclaim and scrub may read and write together.
    pub background_bytes_per_s: u64,
    /// Days in which scrub reads every zone once.
    pub scrub_days: u32,
    /// Longest wait for company of a commit while others are known to be coming, in microseconds.
    pub linger_us: u64,
    /// Memory in which all writers together seal what is on its way to the device. Where it is spent
    /// each has only what a chunk takes, and writes in pieces of that.
    pub write_buffer_bytes: usize,
}

impl Options {
    /// The options as zones of this size allow them: a record with its value fits one.
    pub(crate) fn within_zones_of(self, zone_bytes: u64) -> Self {
        let half = zone_bytes.saturating_sub(ZONE_DATA_OFFSET) / 2;
        let inline_bytes = self.inline_bytes.min(INLINE_BYTES_MAX);
        Self { inline_bytes: inline_bytes.min(usize::try_from(half).unwrap_or(usize::MAX)), ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            background: true,
            inline_bytes: INLINE_BYTES_MAX,
            checkpoint_bytes: 256 * 1024 * 1024,
            background_bytes_per_s: 64 * 1024 * 1024,
            scrub_days: 14,
            linger_us: 1000,
            write_buffer_bytes: crate::limits::WRITE_BUFFER_BYTES,
        }
    }
}
