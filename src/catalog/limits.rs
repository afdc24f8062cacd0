//! The catalog's limits, with their reasons.

use std::time::Duration;

/// Records of the catalog. Each is in memory; an account of the service we follow has 10,000
/// buckets, and settings are few.
pub const RECORDS_MAX: usize = 100_000;
/// Bytes of one record: the engine's limit for metadata.
pub const RECORD_BYTES_MAX: usize = storage_engine::limits::META_BYTES_MAX;
/// Bytes of all records together, because all of them are in memory.
pub const TABLE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Records that a walk over all of a kind copies at a time, so that it holds no lock in between.
pub(super) const PAGE_RECORDS: usize = 1000;
/// Bytes of a row that goes into the view. Above it sled writes a file of its own that it never
/// syncs; such a record is read from the engine at open.
pub(super) const ROW_BYTES_MAX: usize = 8 * 1024;
/// sled's page cache: the view is read once and then only written.
pub(super) const VIEW_CACHE_BYTES: u64 = 4 * 1024 * 1024;
/// Changes that may wait for the view's thread; more means that it is stuck.
pub(super) const VIEW_QUEUE_MAX: usize = 1024;
/// Longest wait for the view at open and at close.
pub(super) const VIEW_WAIT: Duration = Duration::from_secs(5);
