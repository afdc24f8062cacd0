//! Deleting objects and versions.

use storage_engine::Bypass;

use super::bucket::Bucket;
use super::condition::DeleteConditions;
use super::error::Result;
use super::version_id::VersionId;

/// What to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// Key.
    pub key: String,
    /// The version to remove for good; none: delete the key as versioning has it.
    pub version: Option<VersionId>,
    /// What must hold.
    pub conditions: DeleteConditions,
    /// The right against governance retention; the caller has been authorised for it.
    pub bypass: Bypass,
}

/// What a delete did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The version that was removed, or the delete marker that was made.
    pub version: Option<VersionId>,
    /// True when a delete marker was made, or a version that was one was removed.
    pub delete_marker: bool,
}

impl Bucket {
    /// Deletes one key or version. What is not there is deleted already.
    pub async fn delete(&self, delete: Delete) -> Result<Deleted> {
        let _ = delete;
        todo!()
    }

    /// Deletes many, in one go; answers in their order. At most [`super::DELETE_KEYS_MAX`].
    pub async fn delete_many(&self, deletes: Vec<Delete>) -> Vec<Result<Deleted>> {
        let _ = deletes;
        todo!()
    }
}
