//! Every number that a caller can push against, in one place, with its reason.

/// Names are S3 keys (1,024 bytes) plus an owner's prefix and suffix.
pub const NAME_BYTES_MAX: usize = 2048;
/// Metadata of one version: user metadata (2 KiB), headers, tags and a checksum a part.
pub const META_BYTES_MAX: usize = 1024 * 1024;
/// Values up to this length live in the journal record itself.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Blobs of one value: an S3 multipart upload has at most 10,000 parts.
pub const BLOBS_MAX: usize = 10_000;
/// Plaintext bytes under one authentication tag: small enough for a ranged read, large enough for
/// the cipher's full speed.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Plaintext bytes under one tag where single pages are read: what a device reads at once.
pub const PAGE_BYTES: usize = 4096;
/// One blob: 5 GiB is the largest S3 part. Its tags, 1.25 MiB, or 20 MiB in pages, lie in one zone:
/// where zones are smaller, so are the blobs they take.
pub const BLOB_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// Smallest zone: one record, or one block of a checkpoint, must fit.
pub const ZONE_BYTES_MIN: u64 = 64 * 1024;
/// Largest zone: an offset is 32 bits, and a zone is the unit of reclaim.
pub const ZONE_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// One device write of a streaming value.
pub const WRITE_BYTES: usize = 1024 * 1024;
/// Memory in which all streaming values together are sealed: one write for each of 128 streams, or
/// two for 64, before some have to write in smaller pieces.
pub const WRITE_BUFFER_BYTES: usize = 128 * 1024 * 1024;
/// Operations of one batch.
pub const BATCH_OPERATIONS_MAX: usize = 4096;
/// Encoded bytes after which a commit group is closed.
pub const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Batches that may wait for the sequencer before callers are told to retry.
pub const QUEUE_BATCHES_MAX: usize = 16 * 1024;
/// Names in one scan page.
pub const PAGE_MAX: usize = 10_000;

const _: () = assert!(INLINE_BYTES_MAX <= CHUNK_BYTES, "an inline value is one chunk");
const _: () = assert!(CHUNK_BYTES.is_multiple_of(PAGE_BYTES), "a buffer of a chunk is whole pages");
const _: () = assert!(WRITE_BYTES.is_multiple_of(CHUNK_BYTES), "a write is whole chunks");
