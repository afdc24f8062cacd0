//! Whether the vectors that belong to objects and the objects that they belong to say the same of
//! each other: for `lodestore check`.
//!
//! - Both sides are streamed; what is held against each other are the owners of the rows.
//! - A pass holds at most [`PASS_ROWS`] of them. More are as many passes over both sides, each for an
//!   equal part of all owners.
//! - One index is open at a time.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use futures::executor::block_on;
use storage_engine::{Engine, Environment, Result};
use vector_engine::{EngineOptions, Error as VectorError, Index, Owner, VectorEngine};

use super::record::{IndexRecord, Record};
use crate::catalog::{Catalog, Kind};
use crate::objects::{Binding, BoundVersion, for_each_bound};

/// Owners held at once: about 100 MB.
const PASS_ROWS: u64 = 2 << 20;
/// Findings told: more say nothing new.
const FINDINGS_MAX: usize = 100;

/// What comparing both sides went through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Vectors that belong to objects.
    pub rows: u64,
    /// What is wrong, in words; at most a hundred and how many more.
    pub findings: Vec<String>,
}

/// Compares the versions that are bound to vectors with the rows of all vector indexes. Blocks until
/// both were read.
pub fn compare(
    engine: &Engine,
    environment: Arc<dyn Environment>,
    catalog: &Catalog,
) -> Result<Agreement> {
    compare_in_passes(engine, environment, catalog, PASS_ROWS)
}

fn compare_in_passes(
    engine: &Engine,
    environment: Arc<dyn Environment>,
    catalog: &Catalog,
    pass_rows: u64,
) -> Result<Agreement> {
    let options = EngineOptions { background: false, ..EngineOptions::default() };
    let vectors = VectorEngine::new(engine.clone(), environment, options).map_err(storage)?;
    let mut comparison = Comparison {
        engine,
        catalog,
        vectors,
        indexes: BTreeMap::new(),
        hasher: RandomState::new(),
        findings: Findings::default(),
    };
    let rows = comparison.count_rows()?;
    let passes = rows.div_ceil(pass_rows).max(1);
    for pass in 0..passes {
        comparison.pass(&Share { passes, pass })?;
    }
    Ok(Agreement { rows, findings: comparison.findings.told() })
}

struct Comparison<'a> {
    engine: &'a Engine,
    catalog: &'a Catalog,
    vectors: VectorEngine,
    /// By `BUCKET/INDEX`.
    indexes: BTreeMap<String, Known>,
    hasher: RandomState,
    findings: Findings,
}

/// An index of the catalog.
struct Known {
    record: IndexRecord,
    rows: Rows,
}

/// What is known of the rows of an index that have an owner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    None,
    Some,
    /// They cannot be read.
    Unknown,
}

/// The owners that a pass is about.
#[derive(Clone, Copy)]
struct Share {
    passes: u64,
    pass: u64,
}

/// A row that has an owner.
struct Held {
    space: u32,
    /// Hash of its key.
    key: u64,
    is_named: bool,
}

#[derive(Default)]
struct Findings {
    told: Vec<String>,
    more: u64,
}

impl Share {
    /// Owners are random, so the shares are of a size.
    fn has(&self, owner: Owner) -> bool {
        let (head, _) = owner.0.split_first_chunk().unwrap_or((&[0; 8], &[]));
        u64::from_be_bytes(*head) % self.passes == self.pass
    }

    fn is_first(&self) -> bool {
        self.pass == 0
    }
}

impl Findings {
    fn found(&mut self, what: String) {
        match self.told.len() < FINDINGS_MAX {
            true => self.told.push(what),
            false => self.more += 1,
        }
    }

    fn told(mut self) -> Vec<String> {
        if self.more > 0 {
            self.told.push(format!("{} more of objects and their vectors", self.more));
        }
        self.told
    }
}

impl Comparison<'_> {
    /// Finds the indexes, and how many rows of all of them have an owner.
    fn count_rows(&mut self) -> Result<u64> {
        let mut all = 0;
        let catalog = self.catalog;
        for read in catalog.all(Kind::VectorIndex) {
            // One that cannot be read was found already.
            let Ok(record) = IndexRecord::decode(&read.name, &read.bytes) else { continue };
            let counted = open(&self.vectors, &record).map(|index| index.owned_rows());
            self.vectors.forget(record.space());
            let rows = match self.readable(&read.name, counted)? {
                None => Rows::Unknown,
                Some(0) => Rows::None,
                Some(count) => {
                    all += count;
                    if !record.bound {
                        let name = &read.name;
                        self.findings.found(format!(
                            "vector index {name}: its record does not say that vectors of it \
                             belong to objects"
                        ));
                    }
                    Rows::Some
                }
            };
            self.indexes.insert(read.name, Known { record, rows });
        }
        Ok(all)
    }

    /// Keeps damage of an index as a finding; anything else ends the check.
    fn readable<T>(&mut self, name: &str, read: vector_engine::Result<T>) -> Result<Option<T>> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(VectorError::Storage(error))
                if !matches!(error, storage_engine::Error::Corrupt(_)) =>
            {
                Err(error)
            }
            Err(error) => {
                self.findings.found(format!(
                    "vector index {name}: not compared with the objects that its vectors belong \
                     to: {error}"
                ));
                Ok(None)
            }
        }
    }

    /// Shows the rows of all indexes that have an owner of `share`. An index that turns out not to be
    /// readable is left from then on.
    fn for_each_row(
        &mut self,
        share: &Share,
        mut each: impl FnMut(&mut Findings, &str, &IndexRecord, String, Owner),
    ) -> Result<()> {
        let names: Vec<String> = self.indexes.keys().cloned().collect();
        for name in names {
            let Some(Known { record, rows: Rows::Some }) = self.indexes.get(&name) else {
                continue;
            };
            let record = record.clone();
            let findings = &mut self.findings;
            let shown = open(&self.vectors, &record).and_then(|index| {
                index.for_each_owned(|key, owner| {
                    if share.has(owner) {
                        each(findings, &name, &record, key, owner);
                    }
                    Ok(())
                })
            });
            self.vectors.forget(record.space());
            if self.readable(&name, shown)?.is_none()
                && let Some(known) = self.indexes.get_mut(&name)
            {
                known.rows = Rows::Unknown;
            }
        }
        Ok(())
    }

    fn pass(&mut self, share: &Share) -> Result<()> {
        let mut held: HashMap<Owner, Held> = HashMap::new();
        let hasher = self.hasher.clone();
        self.for_each_row(share, |findings, name, record, key, owner| {
            let row = Held { space: record.space, key: hasher.hash_one(&key), is_named: false };
            if held.insert(owner, row).is_some() {
                findings.found(format!(
                    "vector index {name}: the vector {key:?} has the owner of another"
                ));
            }
        })?;
        let mut unforeseen = String::new();
        let (engine, catalog) = (self.engine, self.catalog);
        let unread = for_each_bound(engine, catalog, |version| {
            self.version(share, &mut held, &version);
            if share.is_first() && !version.is_foreseen && unforeseen != version.bucket {
                self.findings.found(format!(
                    "bucket {}: its record does not say that objects of it have vectors",
                    version.bucket
                ));
                unforeseen = version.bucket;
            }
            Ok(())
        })?;
        for bucket in unread.into_iter().filter(|_| share.is_first()) {
            self.findings.found(format!("bucket {bucket}: its objects cannot be listed"));
        }
        held.retain(|_, row| !row.is_named);
        if held.is_empty() {
            return Ok(());
        }
        self.for_each_row(share, |findings, name, _, key, owner| {
            if held.contains_key(&owner) {
                findings.found(format!(
                    "vector index {name}: the vector {key:?} belongs to an object, and no version \
                     of an object is bound to it"
                ));
            }
        })
    }

    /// Holds a version against the rows.
    fn version(&mut self, share: &Share, held: &mut HashMap<Owner, Held>, version: &BoundVersion) {
        let Some(binding) = &version.binding else {
            if share.is_first() {
                self.findings.found(format!("{version} is bound and does not say to what"));
            }
            return;
        };
        if !share.has(binding.owner) {
            return;
        }
        let fault = match self.index_of(binding) {
            None => "there is no such index",
            Some(Rows::Unknown) => return,
            Some(_) => match held.get_mut(&binding.owner) {
                None => "there is no such vector that belongs to it",
                Some(row) if row.space != binding.space || row.key != self.hash(&binding.key) => {
                    row.is_named = true;
                    "another vector belongs to it"
                }
                Some(row) if row.is_named => "it belongs to another version as well",
                Some(row) => {
                    row.is_named = true;
                    return;
                }
            },
        };
        let Binding { bucket, index, key, .. } = binding;
        self.findings.found(format!(
            "{version} is bound to the vector {key:?} of vector index {bucket}/{index}: {fault}"
        ));
    }

    fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The rows of the index of a binding; none: it is not there.
    fn index_of(&self, binding: &Binding) -> Option<Rows> {
        let known = self.indexes.get(&format!("{}/{}", binding.bucket, binding.index))?;
        (known.record.space == binding.space).then_some(known.rows)
    }
}

fn open(vectors: &VectorEngine, record: &IndexRecord) -> vector_engine::Result<Index> {
    block_on(vectors.index(record.space(), &record.settings()))
}

fn storage(error: VectorError) -> storage_engine::Error {
    match error {
        VectorError::Storage(error) => error,
        error => storage_engine::Error::Invalid(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
