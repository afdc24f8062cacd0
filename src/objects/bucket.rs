//! Buckets: make, find, list, delete.

use std::sync::Arc;

use bytes::Bytes;
use storage_engine::{Error as EngineError, Operation};

use super::bucket_name::check_bucket_name;
use super::bucket_record::{
    BucketEncryption, BucketRecord, LockConfiguration, Ownership, PublicAccessBlock, Versioning,
};
use super::error::{ObjectError, Result};
use super::limits::{BUCKET_CACHE_MAX, BUCKETS_PAGE_MAX, RETRIES_MAX};
use super::page_token::PageToken;
use super::store::Objects;
use super::tags::{TagSet, TagTarget};
use crate::catalog::{CatalogRecord, Change, Expect, Kind};

/// The region whose rules differ: making a bucket that one has is success there.
const CLASSIC_REGION: &str = "us-east-1";
/// Records asked of the catalog at once while listing.
const CATALOG_PAGE: usize = 1000;

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
        let sequence = self.shared.catalog.sequence(Kind::Bucket, name);
        if let Some(parsed) = self.parsed(name, sequence.ok_or(ObjectError::NoSuchBucket)?) {
            return Ok(parsed);
        }
        let record = self.shared.catalog.get(Kind::Bucket, name);
        self.handle(&record.ok_or(ObjectError::NoSuchBucket)?)
    }

    /// Makes a bucket.
    pub async fn create_bucket(&self, new: NewBucket) -> Result<Created> {
        check_bucket_name(&new.name)?;
        let region = self.region(new.region.as_deref())?;
        let tags = TagSet::new(TagTarget::Bucket, new.tags.clone())?;
        for _ in 0..RETRIES_MAX {
            match self.bucket(&new.name) {
                Ok(there) => return self.recreate(&new, &tags, there),
                Err(ObjectError::NoSuchBucket) => {}
                Err(error) => return Err(error),
            }
            if let Some(made) = self.try_create(&new, &region, &tags).await? {
                return Ok(Created::New(made));
            }
        }
        Err(ObjectError::OperationAborted)
    }

    /// A page of buckets.
    pub fn list_buckets(&self, list: &ListBuckets) -> Result<BucketPage> {
        let limit = list.limit.unwrap_or(BUCKETS_PAGE_MAX).min(BUCKETS_PAGE_MAX);
        let shown =
            |bucket: &Bucket| list.owner.as_ref().is_none_or(|owner| owner == bucket.owner());
        let mut buckets = Vec::new();
        let mut after = list.token.as_ref().map(|token| token.0.clone());
        if after.as_ref().is_none_or(|after| *after < list.prefix) && !list.prefix.is_empty() {
            // The catalog begins after a name, and the first one may be the prefix itself.
            buckets.extend(self.bucket(&list.prefix).ok().filter(shown));
            after = Some(list.prefix.clone());
        }
        loop {
            let page = self.shared.catalog.list(Kind::Bucket, after.as_deref(), CATALOG_PAGE);
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            for record in &page {
                if !record.name.starts_with(&list.prefix) {
                    return Ok(BucketPage::cut(buckets, limit));
                }
                buckets.extend(Some(self.handle(record)?).filter(shown));
            }
            if buckets.len() > limit {
                break;
            }
        }
        Ok(BucketPage::cut(buckets, limit))
    }

    /// The handle of a record, parsed once for each state of it.
    fn handle(&self, record: &CatalogRecord) -> Result<Bucket> {
        if let Some(parsed) = self.parsed(&record.name, record.sequence) {
            return Ok(parsed);
        }
        let parsed = serde_json::from_slice(&record.bytes).map_err(|error| {
            tracing::error!(bucket = record.name, %error, "a bucket's record cannot be read");
            ObjectError::Internal
        })?;
        let state = Arc::new(BucketState { sequence: record.sequence, record: parsed });
        let mut cache = self.shared.buckets.write();
        if cache.len() >= BUCKET_CACHE_MAX {
            cache.clear();
        }
        cache.insert(record.name.clone(), Arc::clone(&state));
        Ok(Bucket { objects: self.clone(), state })
    }

    /// The handle of a record that was parsed already.
    fn parsed(&self, name: &str, sequence: u64) -> Option<Bucket> {
        let buckets = self.shared.buckets.read();
        let state = buckets.get(name).filter(|state| state.sequence == sequence)?;
        Some(Bucket { objects: self.clone(), state: Arc::clone(state) })
    }

    /// The region to keep: empty for the classic one.
    fn region(&self, asked: Option<&str>) -> Result<String> {
        let region = match asked {
            None | Some("") => self.shared.settings.region.as_str(),
            Some("EU") => "eu-west-1",
            Some(region) => region,
        };
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if region.len() > 64 || !region.bytes().all(legal) {
            return Err(ObjectError::InvalidLocationConstraint);
        }
        Ok(if region == CLASSIC_REGION { String::new() } else { region.to_owned() })
    }

    /// What it means to make a bucket that is there. It is not changed, so it has to be what is
    /// asked for.
    fn recreate(&self, new: &NewBucket, tags: &TagSet, there: Bucket) -> Result<Created> {
        let record = there.record();
        let is_as_asked = (record.lock.is_some() || !new.object_lock)
            && (new.ownership.is_none() || record.ownership == new.ownership)
            && (tags.is_empty() || record.tags == tags.tags());
        if there.owner() != new.owner {
            Err(ObjectError::BucketAlreadyExists)
        } else if is_as_asked && self.shared.settings.region == CLASSIC_REGION {
            Ok(Created::Existing(there))
        } else {
            Err(ObjectError::BucketAlreadyOwnedByYou)
        }
    }

    /// None when somebody else was quicker.
    async fn try_create(
        &self,
        new: &NewBucket,
        region: &str,
        tags: &TagSet,
    ) -> Result<Option<Bucket>> {
        let (objects, uploads) =
            (self.shared.engine.reserve_space(), self.shared.engine.reserve_space());
        let record = BucketRecord {
            format: BucketRecord::FORMAT,
            name: new.name.clone(),
            owner: new.owner.clone(),
            created_ms: self.shared.environment.now_ms(),
            region: region.to_owned(),
            versioning: if new.object_lock { Versioning::Enabled } else { new.versioning },
            lock: new.object_lock.then(LockConfiguration::default),
            ownership: Some(new.ownership.unwrap_or(Ownership::BucketOwnerEnforced)),
            public_access_block: Some(PublicAccessBlock::ALL),
            tags: tags.tags().to_vec(),
            encryption: BucketEncryption::default(),
            bound: false,
            objects: objects.0,
            uploads: uploads.0,
        };
        let change = Change {
            kind: Kind::Bucket,
            name: new.name.clone(),
            expect: Expect::Absent,
            bytes: Some(record.encode()?),
            conditions: vec![],
            operations: vec![Operation::CreateSpace(objects), Operation::CreateSpace(uploads)],
        };
        match self.shared.catalog.change(change).await {
            Ok(made) => Ok(Some(self.handle(&made)?)),
            Err(EngineError::Condition { .. }) => Ok(None),
            // The name and the size were checked: what is left is the catalog's own limit.
            Err(EngineError::Invalid(_)) => Err(ObjectError::TooManyBuckets),
            Err(error) => Err(error.into()),
        }
    }
}

impl BucketPage {
    /// A page of at most `limit` of `buckets`.
    fn cut(mut buckets: Vec<Bucket>, limit: usize) -> Self {
        let more = buckets.len() > limit;
        buckets.truncate(limit);
        let last = buckets.last().filter(|_| more);
        let next = last.map(|bucket| PageToken(bucket.name().to_owned()));
        Self { buckets, next }
    }
}

impl BucketRecord {
    /// As the catalog keeps it.
    pub(super) fn encode(&self) -> Result<Bytes> {
        serde_json::to_vec(self).map(Bytes::from).map_err(|error| {
            tracing::error!(bucket = self.name, %error, "a bucket's record cannot be written");
            ObjectError::Internal
        })
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
        let mut bucket = self.clone();
        for _ in 0..RETRIES_MAX {
            let change = Change {
                kind: Kind::Bucket,
                name: bucket.name().to_owned(),
                expect: Expect::Sequence(bucket.state.sequence),
                bytes: None,
                conditions: vec![],
                operations: vec![
                    Operation::DropSpace(bucket.record().objects()),
                    Operation::ClearSpace(bucket.record().uploads()),
                ],
            };
            match bucket.objects.shared.catalog.change(change).await {
                Ok(_) => {
                    bucket.objects.shared.buckets.write().remove(bucket.name());
                    return Ok(());
                }
                // Either the record changed or a space is not empty: look which.
                Err(EngineError::Condition { .. } | EngineError::Invalid(_)) => {
                    if !bucket.engine().is_empty(bucket.record().objects())? {
                        return Err(ObjectError::BucketNotEmpty);
                    }
                    bucket = bucket.again()?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(ObjectError::OperationAborted)
    }
}
