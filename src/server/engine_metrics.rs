//! The engine's figures under their names in Prometheus.

use storage_engine::Stats;

use super::metrics::Page;

/// Adds them to a page.
pub fn render(page: &mut Page, stats: &Stats) {
    for (name, kind, help, value) in counters(stats) {
        page.single(name, kind, help, value);
    }
    page.family("lodestore_zones", "gauge", "zones by class and state");
    for (class, state, count) in &stats.zones {
        let labels = format!("class=\"{class}\",state=\"{state}\"");
        page.sample("lodestore_zones", &labels, count);
    }
    page.single(
        "lodestore_live_ratio",
        "gauge",
        "share of the zones' bytes that still serve",
        ratio(stats.live_bytes, stats.zone_total_bytes),
    );
    page.single(
        "lodestore_group_writes_mean",
        "gauge",
        "writes acknowledged per commit group since open",
        ratio(stats.acknowledged_batches, stats.groups),
    );
    page.single(
        "lodestore_checkpoint_last_seconds",
        "gauge",
        "seconds the last checkpoint took",
        seconds(stats.checkpoint_last_ms),
    );
    page.single(
        "lodestore_recovery_seconds",
        "gauge",
        "seconds the replay at open took",
        seconds(stats.recovery_ms),
    );
    page.family("lodestore_durability", "gauge", "how a write is made durable before its answer");
    page.sample("lodestore_durability", &format!("mode=\"{}\"", stats.durability), 1);
    page.single(
        "lodestore_writes_stopped",
        "gauge",
        "1 when the engine refuses writes",
        u8::from(stats.stopped.is_some()),
    );
}

type Row = (&'static str, &'static str, &'static str, u64);

#[rustfmt::skip]
fn counters(stats: &Stats) -> [Row; 20] {
    let (counter, gauge) = ("counter", "gauge");
    [
        ("lodestore_sync_total", counter, "syncs of the device", stats.syncs),
        ("lodestore_acknowledged_writes_total", counter, "writes acknowledged", stats.acknowledged_batches),
        ("lodestore_commit_groups_total", counter, "groups of writes that shared a sync", stats.groups),
        ("lodestore_group_writes_recent_max", gauge, "writes in the largest recent group", stats.group_batches_recent_max),
        ("lodestore_device_written_bytes_total", counter, "bytes handed to the device", stats.device_written_bytes),
        ("lodestore_device_read_bytes_total", counter, "bytes read from the device or its cache", stats.device_read_bytes),
        ("lodestore_live_bytes", gauge, "bytes in zones that still serve", stats.live_bytes),
        ("lodestore_zone_bytes", gauge, "bytes that existing zones take", stats.zone_total_bytes),
        ("lodestore_free_bytes", gauge, "bytes that zones can still be made of", stats.free_bytes),
        ("lodestore_capacity_bytes", gauge, "bytes that the operator gave", stats.capacity_bytes),
        ("lodestore_current_entries", gauge, "current versions of objects and records", stats.current_entries),
        ("lodestore_history_entries", gauge, "older versions and delete markers", stats.history_entries),
        ("lodestore_blobs", gauge, "large values referred to", stats.blobs),
        ("lodestore_reclaimed_zones_total", counter, "zones reclaimed", stats.reclaimed_zones),
        ("lodestore_reclaim_moved_bytes_total", counter, "bytes moved by reclaim", stats.reclaim_moved_bytes),
        ("lodestore_scrubbed_zones_total", counter, "zones scrubbed", stats.scrubbed_zones),
        ("lodestore_corruptions_total", counter, "bad structures found by scrub or reads", stats.corruptions),
        ("lodestore_checkpoints_total", counter, "checkpoints written", stats.checkpoints),
        ("lodestore_journal_tail_bytes", gauge, "journal bytes that a recovery would replay", stats.journal_tail_bytes),
        ("lodestore_recovery_records", gauge, "records replayed at open", stats.recovery_records),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1e3
}
