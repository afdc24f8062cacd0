//! Every number that a caller can push against, in one place, with its reason.

/// Dimensions of a vector: what Amazon S3 Vectors takes; one row is then 16 KiB.
pub const DIMENSION_MAX: usize = 4096;
/// Bytes of a row's key, as Amazon S3 Vectors.
pub const KEY_BYTES_MAX: usize = 1024;
/// Rows of one write: its encoding stays in memory until it is durable. The wire allows 500.
pub const WRITE_ROWS_MAX: usize = 4096;
/// Encoded bytes of one write.
pub const WRITE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Writes that are committed together.
pub const GROUP_WRITES_MAX: usize = 256;
/// Writes of one index that may wait before callers are told to retry.
pub const QUEUE_WRITES_MAX: usize = 4096;
/// Results of one query, as Amazon S3 Vectors.
pub const TOP_MAX: usize = 10_000;
/// Rows of one page of a listing.
pub const PAGE_ROWS_MAX: usize = 1000;
/// Rows after which a growing segment is sealed: scanning so many costs about a millisecond.
pub const GROWING_ROWS_MAX: usize = 50_000;
/// Vector bytes after which a growing segment is sealed.
pub const GROWING_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Writes after which a growing segment is sealed: each costs an entry of the storage engine's index
/// and a read at start.
pub const GROWING_WRITES_MAX: u64 = 20_000;
/// Rows from which a chunk of a growing segment has codes and is merged no further.
pub const CODED_ROWS_MIN: usize = 4096;
/// Rows from which a sealed segment has a graph.
pub const GRAPH_ROWS_MIN: usize = 250_000;
/// Rows from which an index that nobody writes to gets a graph: below, codes are scanned as soon.
pub const SETTLED_ROWS_MIN: usize = 20_000;
/// Rows of a segment that compaction makes: its builder holds a byte a dimension of each in memory.
pub const SEGMENT_ROWS_MAX: usize = 4_000_000;
/// Matches of a filter up to which a segment reads and measures every one of them.
pub const EXACT_ROWS_MAX: u64 = 500;
/// Pages of rows up to which a segment without a graph is measured whole: 256 KiB are read as soon as the
/// pages that estimates would choose, and nothing is missed.
pub const EXACT_PAGES_MAX: u32 = 64;
/// Bytes of one part of a segment: what one blob of the storage engine takes, with room to spare.
pub const SEGMENT_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Queries and reads that run at once; more wait. Each has a thread and a few MiB.
pub const READERS_MAX: usize = 32;
/// Results up to which a graph is walked: more are found sooner in a scan of codes.
pub const GRAPH_TOP_MAX: usize = 300;
