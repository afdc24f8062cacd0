//! Multipart uploads: begin, find, abort.

use super::bucket::Bucket;
use super::error::Result;
use super::meta::{Attributes, StorageClass};
use super::upload_id::UploadId;
use crate::checksum::{Algorithm, Coverage};

/// An upload to begin.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// Key of the object.
    pub key: String,
    /// What will be kept with it.
    pub attributes: Attributes,
    /// `x-amz-checksum-algorithm`.
    pub algorithm: Option<Algorithm>,
    /// `x-amz-checksum-type`.
    pub coverage: Option<Coverage>,
    /// Name of the principal that begins it.
    pub initiator: String,
}

/// An upload in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadInfo {
    /// Key of the object.
    pub key: String,
    /// Its id.
    pub id: UploadId,
    /// When it was begun, ms since 1970.
    pub initiated_ms: u64,
    /// Name of the principal that began it.
    pub initiator: String,
    /// Storage class of the object.
    pub storage_class: StorageClass,
    /// Checksum that was asked for.
    pub checksum: Option<(Algorithm, Coverage)>,
}

impl Bucket {
    /// Begins an upload.
    pub async fn create_upload(&self, new: NewUpload) -> Result<UploadInfo> {
        let _ = new;
        todo!()
    }

    /// Finds an upload in progress.
    pub async fn upload(&self, key: &str, id: UploadId) -> Result<UploadInfo> {
        let _ = (key, id);
        todo!()
    }

    /// Ends an upload and drops its parts.
    pub async fn abort_upload(&self, key: &str, id: UploadId) -> Result<()> {
        let _ = (key, id);
        todo!()
    }
}
