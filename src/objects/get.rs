//! Reading an object.

use std::ops::Range;

use storage_engine::{Lock, Record, SpaceId, ValueReader};

use super::bucket::Bucket;
use super::error::Result;
use super::etag::ETag;
use super::meta::{ObjectMeta, PartMeta};
use super::version_id::VersionId;

/// What is known of a version without reading its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Key.
    pub key: String,
    /// Its version; none in a bucket that never had versioning.
    pub version: Option<VersionId>,
    /// Size in bytes.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// When it was written, ms since 1970.
    pub last_modified_ms: u64,
    /// What is kept with it.
    pub meta: ObjectMeta,
    /// Its lock.
    pub lock: Option<Lock>,
}

/// A version, found and its record read; the bytes are read by [`Object::open`].
#[derive(Debug, Clone)]
pub struct Object {
    pub(super) info: ObjectInfo,
    pub(super) bucket: String,
    pub(super) space: SpaceId,
    pub(super) record: Record,
    /// True when the caller named the version.
    pub(super) by_version: bool,
}

impl Bucket {
    /// Finds an object: the current version, or the one named.
    ///
    /// `NoSuchKey` with the marker when a delete marker is current, `IsMarker` when one was named.
    pub async fn object(&self, key: &str, version: Option<VersionId>) -> Result<Object> {
        let _ = (key, version);
        todo!()
    }

    /// Finds the source of a copy: as [`Bucket::object`], but a marker that was named is
    /// `InvalidRequest`.
    pub async fn copy_source(&self, key: &str, version: Option<VersionId>) -> Result<Object> {
        let _ = (key, version);
        todo!()
    }
}

impl Object {
    /// What is known of it.
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }

    /// Name of its bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Its bytes in `range` (clipped), verified piece by piece.
    pub fn open(&self, range: Range<u64>) -> ValueReader {
        self.record.read(range)
    }
}

impl ObjectInfo {
    /// Number of parts it was uploaded in; none when it was written in one piece.
    pub fn parts_count(&self) -> Option<usize> {
        (!self.meta.parts.is_empty()).then_some(self.meta.parts.len())
    }

    /// The part with `number` and its bytes' range; an object written in one piece is part 1.
    pub fn part(&self, number: u16) -> Result<(Option<&PartMeta>, Range<u64>)> {
        let _ = number;
        todo!()
    }
}
