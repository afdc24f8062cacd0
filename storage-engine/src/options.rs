//! Decisions an operator can make about a store when opening it.

/// Options of [`crate::Engine::open`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Reclaim, scrub and timed checkpoints run in the background.
    pub background: bool,
    /// Values up to this length live in the journal; at most [`crate::limits::INLINE_BYTES_MAX`].
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

impl Default for Options {
    fn default() -> Self {
        Self {
            background: true,
            inline_bytes: crate::limits::INLINE_BYTES_MAX,
            checkpoint_bytes: 256 * 1024 * 1024,
            background_bytes_per_s: 64 * 1024 * 1024,
            scrub_days: 14,
            linger_us: 1000,
            write_buffer_bytes: crate::limits::WRITE_BUFFER_BYTES,
        }
    }
}
