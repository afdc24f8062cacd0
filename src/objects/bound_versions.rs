//! Every version that is bound to a vector, bucket by bucket: for `lodestore check`.
//!
//! - Bound versions are told by their labels, in the index; only they are read.
//! - It keeps a page of the index in memory.

use bytes::Bytes;
use storage_engine::limits::PAGE_MAX;
use storage_engine::{Engine, Error, Missing, Result, ScanItem, VersionScan};

use super::binding::{Binding, is_bound};
use super::bucket_record::BucketRecord;
use super::key::key_of;
use super::meta::ObjectMeta;
use super::version_id::VersionId;
use crate::catalog::{Catalog, CatalogRecord, Kind};

/// A version whose label says that it is bound to a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundVersion {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Which version of the key.
    pub version: VersionId,
    /// The binding in its metadata; none: there is none that can be read.
    pub binding: Option<Binding>,
    /// Whether the bucket's record says that it may hold such versions.
    pub is_foreseen: bool,
}

impl std::fmt::Display for BoundVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { bucket, key, version, .. } = self;
        write!(f, "bucket {bucket}: version {version} of {key:?}")
    }
}

/// Shows every bound version. Blocks. Names of buckets that cannot be read come back.
pub fn for_each_bound(
    engine: &Engine,
    catalog: &Catalog,
    mut each: impl FnMut(BoundVersion) -> Result<()>,
) -> Result<Vec<String>> {
    let mut unread = Vec::new();
    for CatalogRecord { name, bytes, .. } in catalog.all(Kind::Bucket) {
        match serde_json::from_slice(&bytes) {
            Ok(record) => match for_each_of(engine, &record, &mut each) {
                Err(Error::NotFound(Missing::Space(_))) => unread.push(name),
                done => done?,
            },
            Err(_) => unread.push(name),
        }
    }
    Ok(unread)
}

fn for_each_of(
    engine: &Engine,
    record: &BucketRecord,
    each: &mut impl FnMut(BoundVersion) -> Result<()>,
) -> Result<()> {
    let space = record.objects();
    let mut after = None;
    loop {
        let scan =
            VersionScan { prefix: Bytes::new(), delimiter: Bytes::new(), after, limit: PAGE_MAX };
        let page = engine.scan_versions(space, &scan)?;
        after = None;
        for item in page.items {
            let ScanItem::Version { name, entry, .. } = item else { continue };
            if is_bound(&entry) {
                let read = futures::executor::block_on(engine.load(space, &name, &entry))?;
                each(BoundVersion {
                    bucket: record.name.clone(),
                    key: key_of(&name),
                    version: VersionId::of(&entry),
                    binding: ObjectMeta::decode(&read.meta).ok().and_then(|meta| meta.binding),
                    is_foreseen: record.bound,
                })?;
            }
            after = Some((name, Some(entry.sequence)));
        }
        if !page.more {
            return Ok(());
        }
    }
}
