//! Parts made of other objects; a whole object moves no data.

use std::ops::Range;

use storage_engine::{Body, Placement, Value};

use super::bucket::Bucket;
use super::checksum::PartChecksum;
use super::condition::ReadConditions;
use super::copy::{adopt, check_source_size, digest};
use super::digest::{Digester, Digests};
use super::error::{ObjectError, Result};
use super::get::{Object, ObjectInfo};
use super::part::{NewPart, PartInfo, check_number};
use super::range::ByteRange;
use super::upload_id::UploadId;
use super::version_id::VersionId;
use crate::checksum::{Algorithm, Coverage};

/// A part to make of an object. The source was found with [`Bucket::copy_source`].
#[derive(Debug, Clone)]
pub struct CopyPart {
    /// Key of the upload.
    pub key: String,
    /// The upload.
    pub upload: UploadId,
    /// Its number, 1 to [`super::PARTS_MAX`].
    pub number: u16,
    /// `x-amz-copy-source-range`; none: the whole object.
    pub range: Option<ByteRange>,
    /// `x-amz-copy-source-if-*`.
    pub source_conditions: ReadConditions,
}

/// A part that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedPart {
    /// The part.
    pub part: PartInfo,
    /// Version of the source; none in a bucket that never had versioning.
    pub source_version: Option<VersionId>,
}

impl Bucket {
    /// Makes a part of `source`. [`ObjectError::ContentGone`] when the source was removed since it
    /// was found.
    pub async fn copy_part(&self, source: &Object, copy: CopyPart) -> Result<CopiedPart> {
        check_number(copy.number)?;
        let info = source.info();
        copy.source_conditions.check_source(info.etag, info.last_modified_ms)?;
        let range = resolve(copy.range, info.size)?;
        check_source_size(range.end - range.start)?;
        let upload = self.find_upload(&copy.key, copy.upload).await?;
        let (algorithm, _) = upload.record.checksum();
        let whole = range == (0..info.size);
        // One blob stays one blob: an upload's parts are never more blobs than it has parts.
        let (value, digests) = match source.record.entry.body {
            Body::Blob(_) if whole => self.adopt_part(source, algorithm).await?,
            _ => self.copy_range(source, range, algorithm).await?,
        };
        let new = NewPart { number: copy.number, value, digests, sent: None };
        let part = self.commit_part(&upload, new).await?;
        Ok(CopiedPart { part, source_version: info.version })
    }

    /// The source's blob as a part; its bytes are read only when a digest is not known.
    async fn adopt_part(&self, source: &Object, algorithm: Algorithm) -> Result<(Value, Digests)> {
        let digests = match known_digests(source.info(), algorithm) {
            Some(digests) => digests,
            None => digest(source.open(0..source.info().size), &[algorithm]).await?,
        };
        Ok((adopt(self.engine(), self.record().uploads(), source)?, digests))
    }

    /// A range of the source, read and written again.
    async fn copy_range(
        &self,
        source: &Object,
        range: Range<u64>,
        algorithm: Algorithm,
    ) -> Result<(Value, Digests)> {
        let len = range.end - range.start;
        let space = self.record().uploads();
        let mut writer = self.engine().writer(space, Placement::Blob, Some(len))?;
        let mut digester = Digester::new(&[algorithm]);
        let mut reader = source.open(range);
        while let Some(piece) = reader.next().await {
            let piece = piece?;
            digester.update(&piece).await;
            writer.write(piece).await?;
        }
        let (value, digests) = futures::join!(writer.finish(), digester.finish());
        Ok((value?, digests?))
    }
}

/// What the source's record tells about its content: everything, when it was written in one piece
/// with the same algorithm.
fn known_digests(info: &ObjectInfo, algorithm: Algorithm) -> Option<Digests> {
    let checksum = info.meta.checksum.as_ref()?;
    let known = info.etag.0.parts == 0
        && checksum.algorithm == algorithm
        && checksum.coverage == Coverage::FullObject;
    known.then(|| Digests {
        size: info.size,
        md5: info.etag.0.digest,
        checksums: vec![PartChecksum { algorithm, digest: checksum.digest.clone() }],
    })
}

/// The range of a copy: S3 wants both ends, and both inside; it names a range that begins behind the
/// end otherwise than one that only ends there.
fn resolve(range: Option<ByteRange>, size: u64) -> Result<Range<u64>> {
    match range {
        None => Ok(0..size),
        Some(ByteRange::Between(first, last)) if first <= last && last < size => {
            Ok(first..last + 1)
        }
        Some(ByteRange::Between(first, _)) if first >= size => Err(ObjectError::request(
            "The specified copy range is invalid for the source object size",
        )),
        Some(_) => Err(ObjectError::argument(format!(
            "Range specified is not valid for source object of size: {size}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_must_lie_inside() {
        for (range, want) in [
            (None, Ok(0..10)),
            (Some(ByteRange::Between(0, 9)), Ok(0..10)),
            (Some(ByteRange::Between(3, 3)), Ok(3..4)),
            (Some(ByteRange::Between(3, 10)), Err("InvalidArgument")),
            (Some(ByteRange::Between(4, 3)), Err("InvalidArgument")),
            (Some(ByteRange::Between(10, 11)), Err("InvalidRequest")),
            (Some(ByteRange::From(3)), Err("InvalidArgument")),
            (Some(ByteRange::Last(3)), Err("InvalidArgument")),
        ] {
            assert_eq!(resolve(range, 10).map_err(|error| error.code()), want, "{range:?}");
        }
    }
}
