//! Which vector buckets and indexes there are: make, find, change, list, delete.
//!
//! - A bucket has a space with a name for each of its indexes. Making an index puts its name there
//!   in the batch of its record, deleting one takes it out, and a bucket's space is dropped with its
//!   record: so the sequencer decides that no bucket goes while it has an index, and that no index is
//!   made in a bucket that is gone.
//! - An index owns one more space, made and cleared with its record.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use storage_engine::{
    Bypass, Condition, Content, Engine, Environment, Error as EngineError, Keep, Missing,
    Operation, Put, ROOT_SPACE, Remove, SpaceId, Stamp, Test, Value, Which,
};
use vector_engine::{Index, Owner};

use super::error::{Failure, Kind, Result};
use super::limits::{CATALOG_PAGE, Limits, RETRIES_MAX};
use super::record::{BucketRecord, IndexRecord, Record, Tags};
use super::spares::Spares;
use crate::catalog::{Catalog, CatalogRecord, Change, Expect, Kind as CatalogKind};

/// A parsed record and the catalog's token for it.
#[derive(Debug)]
pub(super) struct Held<T> {
    /// The token.
    pub(super) sequence: u64,
    /// The record.
    pub(super) record: T,
}

/// Parsed records kept of each kind.
const PARSED_MAX: usize = 4096;

/// Records of one kind, each state parsed once.
struct Parsed<T> {
    kind: CatalogKind,
    held: RwLock<HashMap<String, Arc<Held<T>>>>,
}

/// All vector buckets and indexes.
pub(super) struct Registry {
    engine: Engine,
    catalog: Catalog,
    environment: Arc<dyn Environment>,
    buckets: Parsed<BucketRecord>,
    indexes: Parsed<IndexRecord>,
    spares: Spares,
}

/// A page of names.
#[derive(Debug)]
pub(super) struct Page<T> {
    /// In order of their names.
    pub(super) items: Vec<Arc<Held<T>>>,
    /// Whether there are more.
    pub(super) more: bool,
}

/// Which names of a list are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    /// Those that begin so.
    pub(super) prefix: &'a str,
    /// Those behind it.
    pub(super) after: Option<&'a str>,
    /// So many at most.
    pub(super) limit: usize,
}

/// An index to make.
#[derive(Debug, Clone)]
pub(super) struct NewIndex {
    /// All but what making it decides: `format`, `created_ms` and `space` are set then.
    pub(super) record: IndexRecord,
}

impl Registry {
    /// The registry on `engine` and `catalog`.
    pub(super) fn new(engine: Engine, catalog: Catalog, environment: Arc<dyn Environment>) -> Self {
        Self {
            spares: Spares::new(engine.clone()),
            engine,
            catalog,
            environment,
            buckets: Parsed::new(CatalogKind::VectorBucket),
            indexes: Parsed::new(CatalogKind::VectorIndex),
        }
    }

    /// Finds a bucket.
    pub(super) fn bucket(&self, name: &str) -> Result<Option<Arc<Held<BucketRecord>>>> {
        self.buckets.find(&self.catalog, name)
    }

    /// Finds an index.
    pub(super) fn index(&self, bucket: &str, name: &str) -> Result<Option<Arc<Held<IndexRecord>>>> {
        self.indexes.find(&self.catalog, &index_name(bucket, name))
    }

    /// Makes a bucket.
    pub(super) async fn create_bucket(
        &self,
        name: &str,
        owner: &str,
        tags: Tags,
        limits: &Limits,
    ) -> Result<()> {
        if self.catalog.count(CatalogKind::VectorBucket, "", limits.buckets) >= limits.buckets {
            return Err(quota("vector buckets", limits.buckets));
        }
        let space = self.engine.reserve_space();
        let record = BucketRecord {
            format: BucketRecord::FORMAT,
            name: name.to_owned(),
            owner: owner.to_owned(),
            created_ms: self.environment.now_ms(),
            tags,
            policy: None,
            indexes: space.0,
        };
        let change = Change {
            kind: CatalogKind::VectorBucket,
            name: name.to_owned(),
            expect: Expect::Absent,
            bytes: Some(record.encode()?),
            conditions: vec![],
            operations: vec![Operation::CreateSpace(space)],
        };
        match self.catalog.change(change).await {
            Ok(_) => Ok(()),
            Err(EngineError::Condition { .. }) => Err(Failure::new(
                Kind::Conflict,
                "A vector bucket with the specified name already exists",
            )),
            Err(error) => Err(of_catalog(error)),
        }
    }

    /// Deletes a bucket that has no index.
    pub(super) async fn delete_bucket(&self, name: &str) -> Result<()> {
        for _ in 0..RETRIES_MAX {
            let Some(held) = self.bucket(name)? else { return Err(Failure::no_bucket()) };
            let change = Change {
                kind: CatalogKind::VectorBucket,
                name: name.to_owned(),
                expect: Expect::Sequence(held.sequence),
                bytes: None,
                conditions: vec![],
                operations: vec![Operation::DropSpace(held.record.indexes())],
            };
            match self.catalog.change(change).await {
                Ok(_) => {
                    self.buckets.forget(name);
                    return Ok(());
                }
                // Either the record changed or the space is not empty: look which.
                Err(EngineError::Condition { .. } | EngineError::Invalid(_)) => {
                    match self.engine.is_empty(held.record.indexes()) {
                        Ok(true) | Err(EngineError::NotFound(_)) => {}
                        Ok(false) => {
                            let message = "The specified vector bucket is not empty";
                            return Err(Failure::new(Kind::Conflict, message));
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure::contended())
    }

    /// Changes a bucket's record.
    pub(super) async fn change_bucket(
        &self,
        name: &str,
        change: impl Fn(&mut BucketRecord) -> Result<()>,
    ) -> Result<()> {
        let changed = self.buckets.change(&self.catalog, name, change).await?;
        changed.map(drop).ok_or_else(Failure::no_bucket)
    }

    /// Changes an index's record; answers the new one.
    pub(super) async fn change_index(
        &self,
        bucket: &str,
        name: &str,
        change: impl Fn(&mut IndexRecord) -> Result<()>,
    ) -> Result<Arc<Held<IndexRecord>>> {
        let name = index_name(bucket, name);
        let changed = self.indexes.change(&self.catalog, &name, change).await?;
        changed.ok_or_else(Failure::no_index)
    }

    /// Makes an index in the bucket that was found.
    pub(super) async fn create_index(
        &self,
        bucket: &BucketRecord,
        NewIndex { record }: NewIndex,
        limits: &Limits,
    ) -> Result<()> {
        self.admit_index(&bucket.name, limits)?;
        let space = self.engine.reserve_space();
        let record = IndexRecord {
            format: IndexRecord::FORMAT,
            created_ms: self.environment.now_ms(),
            space: space.0,
            ..record
        };
        let change = Change {
            kind: CatalogKind::VectorIndex,
            name: index_name(&bucket.name, &record.name),
            expect: Expect::Absent,
            bytes: Some(record.encode()?),
            conditions: vec![],
            operations: vec![Operation::CreateSpace(space), bucket.put_name(&record.name)],
        };
        match self.catalog.change(change).await {
            Ok(_) => Ok(()),
            Err(EngineError::Condition { .. }) => Err(index_exists()),
            // The bucket was deleted meanwhile, and its space with it.
            Err(EngineError::NotFound(Missing::Space(_))) => Err(Failure::no_bucket()),
            Err(error) => Err(of_catalog(error)),
        }
    }

    /// Makes an index of all rows of another of the bucket. `record` says what making it does not
    /// decide, as of the other's record.
    pub(super) async fn fork_index(
        &self,
        bucket: &BucketRecord,
        source: &Held<IndexRecord>,
        rows: &Index,
        NewIndex { record }: NewIndex,
        limits: &Limits,
    ) -> Result<()> {
        self.admit_index(&bucket.name, limits)?;
        if self.index(&bucket.name, &record.name)?.is_some() {
            return Err(index_exists());
        }
        let spare = self.spares.take().await?;
        let record = IndexRecord {
            format: IndexRecord::FORMAT,
            created_ms: self.environment.now_ms(),
            space: spare.0,
            ..record
        };
        let bytes = record.encode()?;
        // The other as it was found, or there is no telling what was forked.
        let same = Condition {
            space: ROOT_SPACE,
            name: CatalogKind::VectorIndex
                .record_name(&index_name(&bucket.name, &source.record.name)),
            test: Test::NewestIs(source.sequence),
        };
        let forked = rows.fork(spare, |mut operations| async move {
            operations.extend([bucket.put_name(&record.name), Spares::use_up(spare)]);
            let change = Change {
                kind: CatalogKind::VectorIndex,
                name: index_name(&bucket.name, &record.name),
                expect: Expect::Absent,
                bytes: Some(bytes),
                conditions: vec![same],
                operations,
            };
            Ok::<_, Failure>(self.catalog.change(change).await)
        });
        let failure = match forked.await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(EngineError::Condition { index: 0, .. })) => index_exists(),
            Ok(Err(EngineError::NotFound(Missing::Space(_)))) => Failure::no_bucket(),
            // What it consists of was deleted while it was read.
            Ok(Err(EngineError::NotFound(_))) => Failure::contended(),
            Ok(Err(error)) => of_catalog(error),
            Err(failure) => failure,
        };
        self.spares.give_back(spare).await;
        Err(failure)
    }

    /// Errs when a bucket has all its indexes.
    fn admit_index(&self, bucket: &str, limits: &Limits) -> Result<()> {
        let prefix = index_name(bucket, "");
        if self.catalog.count(CatalogKind::VectorIndex, &prefix, limits.indexes) >= limits.indexes {
            return Err(quota("vector indexes in a vector bucket", limits.indexes));
        }
        Ok(())
    }

    /// Deletes an index with all its rows; false: its record is not `held` any more.
    pub(super) async fn delete_index(
        &self,
        bucket: &BucketRecord,
        held: &Held<IndexRecord>,
    ) -> Result<bool> {
        let record_name = index_name(&bucket.name, &held.record.name);
        let change = Change {
            kind: CatalogKind::VectorIndex,
            name: record_name.clone(),
            expect: Expect::Sequence(held.sequence),
            bytes: None,
            conditions: vec![],
            operations: vec![
                Operation::ClearSpace(held.record.space()),
                remove(bucket.indexes(), Bytes::from(held.record.name.clone())),
            ],
        };
        match self.catalog.change(change).await {
            Ok(_) => {
                self.indexes.forget(&record_name);
                Ok(true)
            }
            Err(EngineError::Condition { .. } | EngineError::NotFound(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// An owner of rows that there was never before.
    pub(super) fn new_owner(&self) -> Owner {
        let mut owner = [0; 16];
        self.environment.fill_random(&mut owner);
        Owner(owner)
    }

    /// A page of the buckets that `shown` lets through.
    pub(super) fn list_buckets(
        &self,
        names: Names<'_>,
        shown: impl Fn(&BucketRecord) -> bool,
    ) -> Result<Page<BucketRecord>> {
        self.buckets.list(&self.catalog, "", names, shown)
    }

    /// A page of a bucket's indexes.
    pub(super) fn list_indexes(&self, bucket: &str, names: Names<'_>) -> Result<Page<IndexRecord>> {
        self.indexes.list(&self.catalog, &index_name(bucket, ""), names, |_| true)
    }
}

impl<T: Record> Parsed<T> {
    fn new(kind: CatalogKind) -> Self {
        Self { kind, held: RwLock::new(HashMap::new()) }
    }

    fn find(&self, catalog: &Catalog, name: &str) -> Result<Option<Arc<Held<T>>>> {
        let Some(sequence) = catalog.sequence(self.kind, name) else { return Ok(None) };
        let held = self.held.read().get(name).cloned();
        match held.filter(|held| held.sequence == sequence) {
            Some(held) => Ok(Some(held)),
            None => catalog.get(self.kind, name).map(|record| self.parse(&record)).transpose(),
        }
    }

    fn parse(&self, record: &CatalogRecord) -> Result<Arc<Held<T>>> {
        let parsed = T::decode(&record.name, &record.bytes)?;
        let held = Arc::new(Held { sequence: record.sequence, record: parsed });
        let mut kept = self.held.write();
        if kept.len() >= PARSED_MAX {
            kept.clear();
        }
        kept.insert(record.name.clone(), Arc::clone(&held));
        Ok(held)
    }

    fn forget(&self, name: &str) {
        self.held.write().remove(name);
    }

    /// Changes a record; none: there is no such record.
    async fn change(
        &self,
        catalog: &Catalog,
        name: &str,
        change: impl Fn(&mut T) -> Result<()>,
    ) -> Result<Option<Arc<Held<T>>>>
    where
        T: Clone,
    {
        for _ in 0..RETRIES_MAX {
            let Some(held) = self.find(catalog, name)? else { return Ok(None) };
            let mut record = held.record.clone();
            change(&mut record)?;
            let change = Change {
                kind: self.kind,
                name: name.to_owned(),
                expect: Expect::Sequence(held.sequence),
                bytes: Some(record.encode()?),
                conditions: vec![],
                operations: vec![],
            };
            match catalog.change(change).await {
                Ok(record) => return self.parse(&record).map(Some),
                Err(EngineError::Condition { .. }) => {}
                Err(error) => return Err(of_catalog(error)),
            }
        }
        Err(Failure::contended())
    }

    /// A page of the records whose names are `scope` and what `names` says.
    fn list(
        &self,
        catalog: &Catalog,
        scope: &str,
        names: Names<'_>,
        shown: impl Fn(&T) -> bool,
    ) -> Result<Page<T>> {
        let prefix = [scope, names.prefix].concat();
        let mut after = names.after.map(|after| [scope, after].concat());
        let mut items = Vec::new();
        if after.as_ref().is_none_or(|after| *after < prefix) {
            // The catalog begins after a name, and the first one may be the prefix itself.
            items.extend(self.find(catalog, &prefix)?.filter(|held| shown(&held.record)));
            after = Some(prefix.clone());
        }
        'pages: loop {
            let page = catalog.list(self.kind, after.as_deref(), CATALOG_PAGE);
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            for record in &page {
                if !record.name.starts_with(&prefix) || items.len() > names.limit {
                    break 'pages;
                }
                let found = self.find(catalog, &record.name)?;
                items.extend(found.filter(|held| shown(&held.record)));
            }
        }
        let more = items.len() > names.limit;
        items.truncate(names.limit);
        Ok(Page { items, more })
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl BucketRecord {
    /// Puts the name of an index into the bucket's space.
    fn put_name(&self, index: &str) -> Operation {
        put_empty(self.indexes(), Bytes::from(index.to_owned()))
    }
}

/// Puts a name that says all there is to say.
pub(super) fn put_empty(space: SpaceId, name: Bytes) -> Operation {
    let (meta, stamp) = (Bytes::new(), Stamp::default());
    let content = Content::Value { value: Value::empty(), meta, stamp, label: 0 };
    Operation::Put(Put { space, name, keep: Keep::Null, content, lock: None })
}

/// Removes a name.
pub(super) fn remove(space: SpaceId, name: Bytes) -> Operation {
    Operation::Remove(Remove { space, name, which: Which::Null, bypass: Bypass::None })
}

fn index_exists() -> Failure {
    Failure::new(Kind::Conflict, "An index with the specified name already exists")
}

/// The name of an index's record. No bucket's name has a slash in it.
fn index_name(bucket: &str, index: &str) -> String {
    [bucket, "/", index].concat()
}

/// A change that the catalog did not take. Names were checked: what is left to be invalid is the
/// catalog's own limit.
fn of_catalog(error: EngineError) -> Failure {
    match error {
        EngineError::Invalid(why) => Failure::new(Kind::QuotaExceeded, why),
        error => error.into(),
    }
}

fn quota(what: &str, most: usize) -> Failure {
    Failure::new(Kind::QuotaExceeded, format!("The store has its {most} {what}"))
}
