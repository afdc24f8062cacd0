//! Totals the engine keeps while it runs, and the figures made of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::engine::Inner;
use crate::stats::Stats;

/// Totals since open. Plain counters: nothing is ordered by them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    acknowledged: AtomicU64,
    groups: AtomicU64,
    group_max: AtomicU64,
    tail_bytes: AtomicU64,
    checkpoints: AtomicU64,
    checkpoint_ms: AtomicU64,
    recovery_ms: AtomicU64,
    recovery_records: AtomicU64,
    reclaimed: AtomicU64,
    moved_bytes: AtomicU64,
    scrubbed: AtomicU64,
    corruptions: AtomicU64,
    /// A group brought blobs and nothing says yet that it is durable.
    unstamped: AtomicBool,
}

impl Counters {
    pub(crate) fn note_group(&self, batches: u64, bytes: u64) {
        self.acknowledged.fetch_add(batches, Relaxed);
        self.groups.fetch_add(1, Relaxed);
        // Falls slowly, so that it says what groups are like of late.
        let held = self.group_max.load(Relaxed);
        self.group_max.store(batches.max(held - held / 16), Relaxed);
        self.tail_bytes.fetch_add(bytes.next_multiple_of(crate::media::SECTOR_BYTES), Relaxed);
        self.unstamped.store(true, Relaxed);
    }

    pub(crate) fn groups(&self) -> u64 {
        self.groups.load(Relaxed)
    }

    /// True once after each time groups were written.
    pub(crate) fn take_unstamped(&self) -> bool {
        self.unstamped.swap(false, Relaxed)
    }

    pub(crate) fn tail_bytes(&self) -> u64 {
        self.tail_bytes.load(Relaxed)
    }

    pub(crate) fn note_checkpoint(&self, took: Duration, covered_bytes: u64) {
        self.checkpoints.fetch_add(1, Relaxed);
        self.checkpoint_ms.store(took.as_millis() as u64, Relaxed);
        self.tail_bytes.fetch_sub(covered_bytes, Relaxed);
    }

    pub(crate) fn note_recovery(&self, took: Duration, records: u64, tail_bytes: u64) {
        self.recovery_ms.store(took.as_millis() as u64, Relaxed);
        self.recovery_records.store(records, Relaxed);
        self.tail_bytes.store(tail_bytes, Relaxed);
    }

    pub(crate) fn note_reclaimed(&self, zones: u64) {
        self.reclaimed.fetch_add(zones, Relaxed);
    }

    pub(crate) fn note_moved(&self, bytes: u64) {
        self.moved_bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn note_scrubbed(&self) {
        self.scrubbed.fetch_add(1, Relaxed);
    }

    pub(crate) fn note_corruption(&self) {
        self.corruptions.fetch_add(1, Relaxed);
    }
}

impl Inner {
    pub(crate) fn stats(&self) -> Stats {
        let counters = &self.counters;
        let media = self.zones.media.counters();
        let capacity = self.zones.media.capacity().ok();
        let zones = self.zones.all();
        let mut stats = Stats {
            durability: self.zones.media.durability(),
            stopped: self.stopped(),
            syncs: media.syncs,
            device_written_bytes: media.written_bytes,
            device_read_bytes: media.read_bytes,
            acknowledged_batches: counters.acknowledged.load(Relaxed),
            groups: counters.groups.load(Relaxed),
            group_batches_recent_max: counters.group_max.load(Relaxed),
            zone_total_bytes: zones.len() as u64 * self.zones.zone_bytes(),
            free_bytes: capacity.map_or(0, |c| c.free_bytes),
            capacity_bytes: capacity.map_or(0, |c| c.total_bytes),
            reclaimed_zones: counters.reclaimed.load(Relaxed),
            reclaim_moved_bytes: counters.moved_bytes.load(Relaxed),
            scrubbed_zones: counters.scrubbed.load(Relaxed),
            corruptions: counters.corruptions.load(Relaxed),
            checkpoints: counters.checkpoints.load(Relaxed),
            checkpoint_last_ms: counters.checkpoint_ms.load(Relaxed),
            journal_tail_bytes: counters.tail_bytes.load(Relaxed),
            recovery_ms: counters.recovery_ms.load(Relaxed),
            recovery_records: counters.recovery_records.load(Relaxed),
            ..Stats::default()
        };
        for zone in &zones {
            let state = if zone.is_sealed() { "sealed" } else { "open" };
            let class = zone.class.name();
            match stats.zones.iter_mut().find(|(c, s, _)| (*c, *s) == (class, state)) {
                Some((_, _, count)) => *count += 1,
                None => stats.zones.push((class, state, 1)),
            }
        }
        let index = self.index.read();
        for space in index.spaces.values() {
            stats.current_entries += space.current.len() as u64;
            stats.history_entries += space.history.len() as u64;
        }
        stats.blobs = index.blobs.len() as u64;
        stats.live_bytes = index.live.total_bytes();
        stats
    }
}
