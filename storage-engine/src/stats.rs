//! Figures the engine gives for metrics: totals since open, and states now.

/// Figures of a running engine. Totals count since open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// How a commit is made durable: `sync`, `device`, `none`, `simulated`.
    pub durability: &'static str,
    /// Why writes are refused, when they are.
    pub stopped: Option<String>,
    /// Syncs completed.
    pub syncs: u64,
    /// Bytes handed to the device.
    pub device_written_bytes: u64,
    /// Bytes read from the device or its cache.
    pub device_read_bytes: u64,
    /// Batches acknowledged.
    pub acknowledged_batches: u64,
    /// Commit groups written (one journal write and sync each).
    pub groups: u64,
    /// Batches in the largest recent group.
    pub group_batches_recent_max: u64,
    /// Zones by class and state: (class, state, count).
    pub zones: Vec<(&'static str, &'static str, u64)>,
    /// Bytes in zones that still serve, and bytes the zones take.
    pub live_bytes: u64,
    /// Bytes that existing zones take.
    pub zone_total_bytes: u64,
    /// Bytes zones can still be made of.
    pub free_bytes: u64,
    /// What the operator gave.
    pub capacity_bytes: u64,
    /// Current versions, older versions and markers, blobs.
    pub current_entries: u64,
    /// Older versions and markers.
    pub history_entries: u64,
    /// Blobs referred to.
    pub blobs: u64,
    /// Zones reclaimed, and bytes moved for it.
    pub reclaimed_zones: u64,
    /// Bytes moved by reclaim.
    pub reclaim_moved_bytes: u64,
    /// Zones scrubbed.
    pub scrubbed_zones: u64,
    /// Bad structures found by scrub or reads.
    pub corruptions: u64,
    /// Checkpoints written since open.
    pub checkpoints: u64,
    /// Time the last checkpoint took, in milliseconds.
    pub checkpoint_last_ms: u64,
    /// Journal bytes a recovery would replay now.
    pub journal_tail_bytes: u64,
    /// Time the opening replay took, in milliseconds.
    pub recovery_ms: u64,
    /// Records replayed at open.
    pub recovery_records: u64,
}
