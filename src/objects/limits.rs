//! Every number of the object model that a client can push against, with its reason.

use std::time::Duration;

/// Longest key in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 1024;
/// Names and values of user metadata together.
pub const USER_METADATA_BYTES_MAX: usize = 2 * 1024;
/// Largest object that one put or one copy makes.
pub const PUT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// Largest object at all.
pub const OBJECT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024 * 1024;
/// Smallest part that is not the last one of its upload.
pub const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// Part numbers run from 1 to this.
pub const PARTS_MAX: u16 = 10_000;
/// Items in a page of a listing of keys, versions, uploads or parts.
pub const PAGE_ITEMS_MAX: usize = 1000;
/// Keys that one call deletes.
pub const DELETE_KEYS_MAX: usize = 1000;
/// Buckets in a page.
pub const BUCKETS_PAGE_MAX: usize = 10_000;
/// Tags of an object.
pub const OBJECT_TAGS_MAX: usize = 10;
/// Tags of a bucket.
pub const BUCKET_TAGS_MAX: usize = 50;
/// Characters (UTF-16 units, as AWS counts) of a tag's key.
pub const TAG_KEY_CHARS_MAX: usize = 128;
/// Characters of a tag's value.
pub const TAG_VALUE_CHARS_MAX: usize = 256;
/// Days of a default retention.
pub const RETENTION_DAYS_MAX: u32 = 36_500;
/// Years of a default retention.
pub const RETENTION_YEARS_MAX: u32 = 100;
/// How often a write is tried again when what it depends on changed under it.
pub const RETRIES_MAX: usize = 16;
/// The same in a bucket with bound versions, where each write that takes the place of a version has
/// to have seen it: more writers of one key than can be expected.
pub(super) const BOUND_RETRIES_MAX: usize = 128;
/// Bound versions of one call that are deleted at once: they are committed together.
pub(super) const UNBINDS_MAX: usize = 64;
/// Bytes that all hashes take in before the next ones: they stay in the nearest cache.
pub(super) const HASH_PIECE_BYTES: usize = 64 * 1024;
/// Bytes hashed before other tasks get the worker: less than a millisecond of MD5.
pub(super) const HASH_TURN_BYTES: usize = 512 * 1024;
/// Part records read at once.
pub(super) const PART_READS_MAX: usize = 32;
/// How long a completed upload answers a repeated completion, in milliseconds: a day.
pub(super) const ENDED_KEEP_MS: u64 = 24 * 60 * 60 * 1000;
/// Time between two sweeps.
pub(super) const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);
/// Part removals in one batch with a completion; the rest is swept after it.
pub(super) const SWEEP_BATCH_PARTS: usize = 2000;
/// Parsed bucket records kept.
pub(super) const BUCKET_CACHE_MAX: usize = 4096;

const _: () = assert!(HASH_TURN_BYTES.is_multiple_of(HASH_PIECE_BYTES), "a turn is whole pieces");
const _: () = assert!(SWEEP_BATCH_PARTS + 8 < storage_engine::limits::BATCH_OPERATIONS_MAX);
const _: () = assert!(PARTS_MAX as usize <= storage_engine::limits::PAGE_MAX);
