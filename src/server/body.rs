//! What a request promised about its body, and how a body can fail on the way in.
//!
//! Every request that the gate lets through comes with a [`BodyPromise`]. The
//! stream the handler gets is de-framed plain bytes; it ends with [`BodyError`] instead of an end
//! when a signature, a length or a hash that the gate checks does not hold. What is only known to
//! the writer (stored checksums) the handler checks against the promise after the last byte.

use std::sync::{Arc, OnceLock};

use crate::checksum::Algorithm;

/// What was promised about the body.
#[derive(Debug, Clone, Default)]
pub struct BodyPromise {
    /// Length of the plain body in bytes, after de-framing.
    pub len: Option<u64>,
    /// From `Content-MD5`.
    pub content_md5: Option<[u8; 16]>,
    /// From `x-amz-checksum-*`, as a header or a declared trailer. At most one.
    pub checksum: Option<(Algorithm, ChecksumSource)>,
}

impl BodyPromise {
    /// Whether no byte at all keeps it.
    pub fn is_of_nothing(&self) -> bool {
        self.len.unwrap_or(0) == 0 && self.content_md5.is_none() && self.checksum.is_none()
    }
}

/// Where a promised checksum's value comes from.
#[derive(Debug, Clone)]
pub enum ChecksumSource {
    /// It was in a header: the digest.
    Header(Vec<u8>),
    /// It comes in the trailer: set, verified against its signature, before the stream ends.
    Trailer(Arc<OnceLock<Vec<u8>>>),
}

impl ChecksumSource {
    /// The digest; none before the trailer has come.
    pub fn digest(&self) -> Option<&[u8]> {
        match self {
            Self::Header(digest) => Some(digest),
            Self::Trailer(slot) => slot.get().map(Vec::as_slice),
        }
    }
}

/// Why a body ended early. Travels as the stream's boxed error; handlers downcast it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyError {
    /// The S3 error code: `IncompleteBody`, `SignatureDoesNotMatch`, `XAmzContentSHA256Mismatch`,
    /// `MalformedTrailerError`, `InvalidChunkSizeError`, `RequestTimeout`, ….
    pub code: &'static str,
    /// The HTTP status that goes with it.
    pub status: u16,
    /// What was wrong, for the client.
    pub message: String,
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for BodyError {}
