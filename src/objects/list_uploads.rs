//! Listing uploads and parts.

use super::bucket::Bucket;
use super::error::Result;
use super::part::PartInfo;
use super::upload::UploadInfo;
use super::upload_id::UploadId;

/// A page of uploads to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadList {
    /// Only keys that begin so.
    pub prefix: String,
    /// Fold keys that have this after the prefix; empty: do not.
    pub delimiter: String,
    /// Only what comes after it.
    pub after: Option<UploadMarker>,
    /// Uploads and common prefixes at most; cut to [`super::PAGE_ITEMS_MAX`].
    pub limit: usize,
}

/// Where a page of uploads begins or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadMarker {
    /// `key-marker`: a key or a common prefix.
    pub key: String,
    /// `upload-id-marker`: none: after all uploads of the key.
    pub upload: Option<UploadId>,
}

/// A page of uploads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadPage {
    /// Uploads by key, then oldest first.
    pub uploads: Vec<UploadInfo>,
    /// Common prefixes in order.
    pub prefixes: Vec<String>,
    /// Where the next page begins, if there is one.
    pub next: Option<UploadMarker>,
}

/// A page of parts to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartList {
    /// Key of the upload.
    pub key: String,
    /// The upload.
    pub upload: UploadId,
    /// `part-number-marker`: only parts after it.
    pub after: u16,
    /// Parts at most; cut to [`super::PAGE_ITEMS_MAX`].
    pub limit: usize,
}

/// A page of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartPage {
    /// The upload.
    pub upload: UploadInfo,
    /// Parts in order.
    pub parts: Vec<PartInfo>,
    /// The last part shown, when more follow.
    pub next: Option<u16>,
}

impl Bucket {
    /// A page of uploads in progress.
    pub async fn list_uploads(&self, list: &UploadList) -> Result<UploadPage> {
        let _ = list;
        todo!()
    }

    /// A page of an upload's parts.
    pub async fn list_parts(&self, list: &PartList) -> Result<PartPage> {
        let _ = list;
        todo!()
    }
}
