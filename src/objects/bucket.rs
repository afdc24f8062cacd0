//! Buckets: make, find, list, delete.

use std::sync::Arc;

use super::bucket_record::{BucketRecord, Ownership, Versioning};
use super::error::Result;
use super::page_token::PageToken;
use super::store::Objects;

/// A bucket as it was when it was looked up. Cheap to clone. Its methods are the operations on it.
#[derive(Debug, Clone)]
pub struct Bucket {
    pub(super) objects: Objects,
    pub(super) state: Arc<BucketState>,
}

/// A parsed record and the catalog's token for it.
#[derive(Debug)]
pub(super) struct BucketState {
    pub(super) sequence: u64,
    pub(super) record: BucketRecord,
}

/// A bucket to make.
#[derive(Debug, Clone)]
pub struct NewBucket {
    /// Name.
    pub name: String,
    /// Name of the principal that will own it.
    pub owner: String,
    /// `LocationConstraint`, if one was sent.
    pub region: Option<String>,
    /// Versioning from the start; a lock brings it anyway.
    pub versioning: Versioning,
    /// `x-amz-bucket-object-lock-enabled`.
    pub object_lock: bool,
    /// `x-amz-object-ownership`.
    pub ownership: Option<Ownership>,
    /// Tags from the start.
    pub tags: Vec<(String, String)>,
}

/// What became of a bucket to make.
#[derive(Debug, Clone)]
pub enum Created {
    /// It was made.
    New(Bucket),
    /// The caller had it already, and the region is the one in which that is success.
    Existing(Bucket),
}

/// A page of buckets to show.
#[derive(Debug, Clone, Default)]
pub struct ListBuckets {
    /// Only buckets of this principal; none: all.
    pub owner: Option<String>,
    /// Only names that begin so.
    pub prefix: String,
    /// Where the last page ended.
    pub token: Option<PageToken>,
    /// Buckets at most; none: all there are, up to [`super::BUCKETS_PAGE_MAX`].
    pub limit: Option<usize>,
}

/// A page of buckets.
#[derive(Debug, Clone)]
pub struct BucketPage {
    /// In order of their names.
    pub buckets: Vec<Bucket>,
    /// Where the next page begins, if there is one.
    pub next: Option<PageToken>,
}

impl Objects {
    /// Finds a bucket.
    pub fn bucket(&self, name: &str) -> Result<Bucket> {
        let _ = name;
        todo!()
    }

    /// Makes a bucket.
    pub async fn create_bucket(&self, new: NewBucket) -> Result<Created> {
        let _ = new;
        todo!()
    }

    /// A page of buckets.
    pub fn list_buckets(&self, list: &ListBuckets) -> Result<BucketPage> {
        let _ = list;
        todo!()
    }
}

impl Bucket {
    /// Its record.
    pub fn record(&self) -> &BucketRecord {
        &self.state.record
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.state.record.name
    }

    /// Name of the principal that owns it.
    pub fn owner(&self) -> &str {
        &self.state.record.owner
    }

    /// Deletes the bucket; refused while it holds a version. Uploads in progress end with it.
    pub async fn delete_bucket(&self) -> Result<()> {
        todo!()
    }
}
