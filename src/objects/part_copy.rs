//! Parts made of other objects; a whole object moves no data.

use super::bucket::Bucket;
use super::condition::ReadConditions;
use super::error::Result;
use super::get::Object;
use super::part::PartInfo;
use super::range::ByteRange;
use super::upload_id::UploadId;
use super::version_id::VersionId;

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
    /// Makes a part of `source`.
    pub async fn copy_part(&self, source: &Object, copy: CopyPart) -> Result<CopiedPart> {
        let _ = (source, copy);
        todo!()
    }
}
