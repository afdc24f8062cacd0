//! Parts of an upload.

use bytes::Bytes;
use futures::Stream;

use super::bucket::Bucket;
use super::checksum::PartChecksum;
use super::error::Result;
use super::etag::ETag;
use super::put::BodyFault;
use super::upload_id::UploadId;
use crate::checksum::Algorithm;
use crate::server::body::BodyPromise;

/// A part to write.
#[derive(Debug, Clone)]
pub struct PutPart {
    /// Key of the upload.
    pub key: String,
    /// The upload.
    pub upload: UploadId,
    /// Its number, 1 to [`super::PARTS_MAX`].
    pub number: u16,
    /// What was promised about the body.
    pub promise: BodyPromise,
    /// `x-amz-sdk-checksum-algorithm`.
    pub algorithm: Option<Algorithm>,
}

/// A part that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartInfo {
    /// Its number.
    pub number: u16,
    /// Size in bytes.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// When it was written, ms since 1970.
    pub last_modified_ms: u64,
    /// Its checksum to show: what the client sent, else what the upload was begun with.
    pub checksum: Option<PartChecksum>,
}

impl Bucket {
    /// Writes a part; it replaces the part of that number.
    pub async fn put_part<S>(&self, part: PutPart, body: S) -> Result<PartInfo>
    where
        S: Stream<Item = std::result::Result<Bytes, BodyFault>> + Send,
    {
        let _ = (part, body);
        todo!()
    }
}
