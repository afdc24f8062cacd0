//! Writing an object in one piece.

use bytes::Bytes;
use futures::Stream;
use storage_engine::Placement;

use super::binding::Bind;
use super::bucket::Bucket;
use super::checksum::Checksum;
use super::commit::{Companions, NewVersion};
use super::condition::WriteConditions;
use super::error::Result;
use super::etag::ETag;
use super::intake::Destination;
use super::key::name_of;
use super::meta::Attributes;
use super::version_id::VersionId;
use crate::checksum::Algorithm;
use crate::server::body::BodyPromise;

/// How a body stream fails; a [`crate::server::body::BodyError`] inside is passed through.
pub type BodyFault = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The checksum of content for which the client asked none, as AWS computes it.
pub(super) const DEFAULT_ALGORITHM: Algorithm = Algorithm::Crc64Nvme;

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
    /// The vector to bind to it.
    pub bind: Option<Bind>,
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
        let Put { key, attributes, conditions, promise, algorithm, bind } = put;
        let name = name_of(&key)?;
        attributes.check()?;
        // Refuse now what would be refused after the last byte anyway.
        self.lock_for(attributes.lock)?;
        let promised = promise.checksum.as_ref().map(|(algorithm, _)| *algorithm);
        let algorithm = promised.or(algorithm).unwrap_or(DEFAULT_ALGORITHM);
        let destination = Destination {
            engine: self.engine(),
            space: self.record().objects(),
            placement: Placement::Auto,
        };
        let (value, digests) = destination.take(&promise, &[algorithm], body).await?;

        let etag = ETag::of_md5(digests.md5);
        let digest = digests.checksums.into_iter().next().map(|sum| sum.digest);
        let checksum = Checksum::full(algorithm, digest.unwrap_or_default());
        let lock = attributes.lock;
        let mut meta = attributes.into_meta(Some(checksum.clone()), vec![]);
        meta.binding = bind.as_ref().map(|bind| bind.binding.clone());
        let new = NewVersion {
            name,
            value,
            meta: meta.encode(),
            stamp: etag.0,
            label: meta.label(),
            lock,
            conditions,
            bind,
        };
        let made = self.commit_version(&new, Companions::none).await?;
        let size = digests.size;
        Ok(Stored { version: made.version, etag, checksum, size, time_ms: made.time_ms })
    }
}
