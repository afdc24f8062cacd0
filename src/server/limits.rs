//! Every number a client can push against before a handler is asked, with its reason.

use std::time::Duration;

/// Connections open at once. Each costs about 20 KiB and a file descriptor; further ones wait in
/// the kernel's backlog.
pub const CONNECTIONS_MAX: usize = 8_192;

/// Requests worked on at once, over all connections. Bounds the memory of bodies in flight.
pub const REQUESTS_MAX: usize = 2_048;

/// How long a request may wait for its turn before it is told `SlowDown`. Milvus gives a request
/// ten seconds in all.
pub const ADMISSION_WAIT: Duration = Duration::from_secs(5);

/// Bytes of a request's head in HTTP/2. S3 allows 8 KiB of headers and a URL of a 1,024-byte key
/// with each byte percent-encoded; presigned URLs add to it.
pub const HEAD_BYTES_MAX: usize = 64 << 10;

/// What is read from a connection at once: bounds a head in HTTP/1, and the pieces of a body.
pub const READ_BYTES_MAX: usize = 128 << 10;

/// Bytes of an HTTP/2 body that may be under way unread, of one request and of a connection.
pub const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// See [`STREAM_WINDOW_BYTES`].
pub const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// How long to wait before the next accept after one failed, mostly for want of descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Headers of a request. S3's own limit of 2 KiB of user metadata fits well below.
pub const HEADERS_MAX: usize = 128;

/// The first request of a connection must have come by then.
pub const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A request's head must have come by then; an idle connection is closed after the same time.
/// Above the 90 s after which Go clients close an idle connection themselves, so that none is
/// closed under a request just sent.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(100);

/// Requests at once on one HTTP/2 connection.
pub const STREAMS_MAX: u32 = 256;

/// HTTP/2 pings: a peer that is gone is noticed.
pub const PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long a peer may leave sent bytes unacknowledged or its receive window shut.
pub const STALLED_PEER_TIMEOUT: Duration = Duration::from_secs(300);

/// Window of a body's progress: in each at least [`BODY_WINDOW_BYTES_MIN`] must come.
pub const BODY_WINDOW: Duration = Duration::from_secs(60);

/// Windows in which something of a connection's answers must be taken, or it is cut off. More than one,
/// as between a reader and what it seems to take are the buffers of the kernel, of some MiB.
pub const ANSWER_WINDOWS: u32 = 5;

/// Below this in a [`BODY_WINDOW`] a sender only holds a place.
pub const BODY_WINDOW_BYTES_MIN: u64 = 1 << 10;

/// Unread bytes of a refused request that are read and dropped, so that the client sees the answer
/// instead of a reset connection.
pub const LINGER_BYTES_MAX: u64 = 8 << 20;

/// And for how long.
pub const LINGER_TIME: Duration = Duration::from_secs(2);

/// A single PUT or part: S3's 5 GiB.
pub const OBJECT_BYTES_MAX: u64 = 5 << 30;

/// An XML or JSON body. CompleteMultipartUpload of 10,000 parts with all checksums takes 1.9 MiB.
pub const DOCUMENT_BYTES_MAX: usize = 2 << 20;

/// A document up to this may be read without asking; most are.
pub const DOCUMENT_BYTES_SMALL: u64 = 64 << 10;

/// Larger documents in memory at once, which bounds them to 128 MiB.
pub const DOCUMENTS_MAX: usize = 64;

/// A body of `PutVectors`, unless an operator says otherwise: what Amazon S3 Vectors takes.
pub const VECTOR_BODY_BYTES_MAX: usize = 20 << 20;

/// Bodies of S3 Vectors in memory at once, in bytes; those up to [`DOCUMENT_BYTES_SMALL`] are not
/// counted. Read, the worst of them takes some ten times its bytes.
pub const VECTOR_BODIES_BYTES: usize = 128 << 20;

/// In which they are counted.
pub const VECTOR_BODY_UNIT_BYTES: usize = 4 << 10;

/// Nested elements of an XML body; the deepest S3 has is 8.
pub const DOCUMENT_DEPTH_MAX: usize = 32;

/// Elements of an XML body: 10,000 parts of 8 elements each, and room.
pub const DOCUMENT_ELEMENTS_MAX: usize = 100_000;

/// Bytes of a key in UTF-8, as S3 limits it.
pub const KEY_BYTES_MAX: usize = 1_024;

/// Parameters in a query. A presigned URL has 7; response overrides and hoisted headers add some.
pub const QUERY_PARAMETERS_MAX: usize = 64;

/// The line before a chunk: a size, a signature of 64 digits, and room for extensions.
pub const CHUNK_LINE_BYTES_MAX: usize = 1 << 10;

/// All trailer lines of a body.
pub const TRAILER_BYTES_MAX: usize = 8 << 10;

/// Between a request's time and ours.
pub const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// Validity of a presigned URL: one week.
pub const PRESIGNED_SECONDS_MAX: u64 = 7 * 24 * 3600;

/// Signing keys kept derived. One is used per access key, day, region and service.
pub const SIGNING_KEYS_MAX: usize = 4_096;

/// An error body that the response stage rewrites.
pub const ERROR_BODY_BYTES_MAX: usize = 64 << 10;

const _: () = {
    assert!(HEAD_BYTES_MAX >= 8 * KEY_BYTES_MAX);
    assert!(DOCUMENT_BYTES_MAX as u64 <= LINGER_BYTES_MAX);
    assert!(REQUESTS_MAX <= CONNECTIONS_MAX * STREAMS_MAX as usize);
};
