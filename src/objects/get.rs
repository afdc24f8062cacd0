//! Reading an object.

use std::ops::Range;

use bytes::Bytes;
use storage_engine::{Entry, Error as EngineError, Lock, Missing, Record, SpaceId, ValueReader};

use super::bucket::Bucket;
use super::bucket_record::Versioning;
use super::error::{ObjectError, Result};
use super::etag::ETag;
use super::key::name_of;
use super::limits::RETRIES_MAX;
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
    pub(super) bucket: Bucket,
    pub(super) space: SpaceId,
    pub(super) record: Record,
    /// The version the caller named.
    pub(super) named: Option<VersionId>,
}

impl Bucket {
    /// Finds an object: the current version, or the one named.
    ///
    /// `NoSuchKey` with the marker when a delete marker is current, `IsMarker` when one was named.
    pub async fn object(&self, key: &str, version: Option<VersionId>) -> Result<Object> {
        let name = name_of(key)?;
        let record = self.load(&name, version).await?;
        let info = ObjectInfo {
            key: key.to_owned(),
            version: self.shown(&record.entry),
            size: record.entry.size,
            etag: ETag(record.entry.stamp),
            last_modified_ms: record.entry.time_ms,
            meta: ObjectMeta::decode(&record.meta)?,
            lock: record.lock,
        };
        let space = self.record().objects();
        Ok(Object { info, bucket: self.clone(), space, record, named: version })
    }

    /// Finds the source of a copy: as [`Bucket::object`], but a marker that was named is
    /// `InvalidRequest`.
    pub async fn copy_source(&self, key: &str, version: Option<VersionId>) -> Result<Object> {
        self.object(key, version).await.map_err(|error| match error {
            ObjectError::IsMarker { .. } => ObjectError::request(
                "The source of a copy request may not specifically refer to a delete marker by \
                 version id.",
            ),
            ObjectError::NoSuchKey { .. } => ObjectError::NoSuchKey { marker: None },
            error => error,
        })
    }

    /// Finds a version in the index.
    pub(super) fn find(&self, name: &[u8], version: Option<VersionId>) -> Result<Entry> {
        let space = self.record().objects();
        let Some(version) = version else {
            return match self.engine().newest(space, name)? {
                Some(entry) if entry.is_marker() => {
                    Err(ObjectError::NoSuchKey { marker: Some(VersionId::of(&entry)) })
                }
                Some(entry) => Ok(entry),
                None => Err(ObjectError::NoSuchKey { marker: None }),
            };
        };
        match self.engine().version(space, name, version.which())? {
            Some(entry) if !version.names(&entry) => Err(ObjectError::NoSuchVersion),
            Some(entry) if entry.is_marker() => {
                Err(ObjectError::IsMarker { version, time_ms: entry.time_ms })
            }
            Some(entry) => Ok(entry),
            None => Err(ObjectError::NoSuchVersion),
        }
    }

    /// Finds a version and reads its record. One that is replaced between the two is looked up
    /// again.
    pub(super) async fn load(&self, name: &Bytes, version: Option<VersionId>) -> Result<Record> {
        for _ in 0..RETRIES_MAX {
            let entry = self.find(name, version)?;
            match self.engine().load(self.record().objects(), name, &entry).await {
                Err(EngineError::NotFound(Missing::Version)) => {}
                loaded => return Ok(loaded?),
            }
        }
        Err(ObjectError::OperationAborted)
    }

    /// How clients see the id of a version that is there.
    pub(super) fn shown(&self, entry: &Entry) -> Option<VersionId> {
        match self.record().versioning {
            Versioning::Unversioned => None,
            Versioning::Enabled | Versioning::Suspended => Some(VersionId::of(entry)),
        }
    }
}

impl Object {
    /// What is known of it.
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }

    /// Name of its bucket.
    pub fn bucket(&self) -> &str {
        self.bucket.name()
    }

    /// As [`Object::open`], when all that is known of it was told already.
    pub fn into_reader(self, range: Range<u64>) -> ValueReader {
        self.record.into_reader(range)
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
        if self.meta.parts.is_empty() && number == 1 {
            return Ok((None, 0..self.size));
        }
        let mut begin = 0;
        for part in &self.meta.parts {
            if part.number == number {
                return Ok((Some(part), begin..begin + part.size));
            }
            begin += part.size;
        }
        Err(ObjectError::NoSuchPart)
    }
}

#[cfg(test)]
mod tests {
    use storage_engine::Stamp;

    use super::*;

    fn info(size: u64, parts: Vec<PartMeta>) -> ObjectInfo {
        ObjectInfo {
            key: "k".into(),
            version: None,
            size,
            etag: ETag(Stamp::default()),
            last_modified_ms: 0,
            meta: ObjectMeta { parts, ..ObjectMeta::default() },
            lock: None,
        }
    }

    #[test]
    fn parts_are_found_by_number() {
        let part = |number, size| PartMeta { number, size, digest: vec![] };
        let whole = info(9, vec![]);
        assert_eq!(whole.part(1).unwrap(), (None, 0..9));
        assert_eq!(whole.part(2), Err(ObjectError::NoSuchPart));
        assert_eq!(whole.parts_count(), None);
        let parts = info(9, vec![part(2, 5), part(7, 4)]);
        assert_eq!(parts.part(7).unwrap().1, 5..9);
        assert_eq!(parts.part(2).unwrap().1, 0..5);
        assert_eq!(parts.part(1), Err(ObjectError::NoSuchPart));
        assert_eq!(parts.parts_count(), Some(2));
    }
}
