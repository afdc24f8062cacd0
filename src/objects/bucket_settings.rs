//! Changes of a bucket's configuration. Reading it is [`Bucket::record`].

use super::bucket::Bucket;
use super::bucket_record::{
    BucketEncryption, LockConfiguration, Ownership, PublicAccessBlock, Versioning,
};
use super::error::Result;

impl Bucket {
    /// Enables or suspends versioning. A bucket with object lock cannot suspend it.
    pub async fn set_versioning(&self, versioning: Versioning) -> Result<()> {
        let _ = versioning;
        todo!()
    }

    /// Sets object lock and its default retention; needs versioning. Never taken away.
    pub async fn set_lock_configuration(&self, lock: LockConfiguration) -> Result<()> {
        let _ = lock;
        todo!()
    }

    /// Object lock, or [`super::ObjectError::NoLockConfiguration`].
    pub fn lock_configuration(&self) -> Result<LockConfiguration> {
        todo!()
    }

    /// Sets or clears ownership controls.
    pub async fn set_ownership(&self, ownership: Option<Ownership>) -> Result<()> {
        let _ = ownership;
        todo!()
    }

    /// Ownership controls, or [`super::ObjectError::NoOwnershipControls`].
    pub fn ownership(&self) -> Result<Ownership> {
        todo!()
    }

    /// Sets or clears the public access block.
    pub async fn set_public_access_block(&self, block: Option<PublicAccessBlock>) -> Result<()> {
        let _ = block;
        todo!()
    }

    /// The public access block, or [`super::ObjectError::NoSuchPublicAccessBlock`].
    pub fn public_access_block(&self) -> Result<PublicAccessBlock> {
        todo!()
    }

    /// Sets the default encryption; the default clears it.
    pub async fn set_encryption(&self, encryption: BucketEncryption) -> Result<()> {
        let _ = encryption;
        todo!()
    }

    /// Sets the bucket's tags; none clears them.
    pub async fn set_bucket_tags(&self, tags: Vec<(String, String)>) -> Result<()> {
        let _ = tags;
        todo!()
    }

    /// The bucket's tags, or [`super::ObjectError::NoSuchTagSet`].
    pub fn bucket_tags(&self) -> Result<&[(String, String)]> {
        todo!()
    }
}
