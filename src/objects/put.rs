//! Writing an object in one piece.

use bytes::Bytes;
use futures::Stream;

use super::bucket::Bucket;
use super::checksum::Checksum;
use super::condition::WriteConditions;
use super::error::Result;
use super::etag::ETag;
use super::meta::Attributes;
use super::version_id::VersionId;
use crate::checksum::Algorithm;
use crate::server::body::BodyPromise;

/// How a body stream fails; a [`crate::server::body::BodyError`] inside is passed through.
pub type BodyFault = Box<dyn std::error::Error + Send + Sync + 'static>;

/// An object to write.
#[derive(Debug, Clone)]
pub struct Put {
    /// Key.
    pub key: String,
    /// What is kept with it.
    pub attributes: Attributes,
    /// What must hold.
    pub conditions: WriteConditions,
    /// What was promised about the body.
    pub promise: BodyPromise,
    /// `x-amz-sdk-checksum-algorithm`: what to compute when no value was promised.
    pub algorithm: Option<Algorithm>,
}

/// An object that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its version; none in a bucket that never had versioning.
    pub version: Option<VersionId>,
    /// Entity tag.
    pub etag: ETag,
    /// Checksum.
    pub checksum: Checksum,
    /// Size in bytes.
    pub size: u64,
    /// When it was written, ms since 1970.
    pub time_ms: u64,
}

impl Bucket {
    /// Writes an object. Nothing is stored unless the body holds all that was promised.
    pub async fn put<S>(&self, put: Put, body: S) -> Result<Stored>
    where
        S: Stream<Item = std::result::Result<Bytes, BodyFault>> + Send,
    {
        let _ = (put, body);
        todo!()
    }
}
