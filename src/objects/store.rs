//! The handle on everything: engine, catalog, settings.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use storage_engine::{Engine, Environment};

use super::binding::BoundIndexes;
use super::bucket::{BucketState, NewBucket};
use super::error::{ObjectError, Result};
use crate::catalog::Catalog;

/// What an operator decides about the object model.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Region of buckets that are made without one.
    pub region: String,
    /// May parts other than the last be smaller than [`super::PART_BYTES_MIN`]?
    pub small_parts: SmallParts,
}

/// May parts other than the last be small?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmallParts {
    /// As AWS: `EntityTooSmall`.
    Refused,
    /// Let them pass (Milvus storage v2 sends them).
    Allowed,
}

/// All buckets. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    pub(super) shared: Arc<Shared>,
}

/// What all handles share.
pub(super) struct Shared {
    pub(super) engine: Engine,
    pub(super) catalog: Catalog,
    pub(super) environment: Arc<dyn Environment>,
    pub(super) settings: Settings,
    /// Parsed records by name, each with the sequence it was parsed from.
    pub(super) buckets: RwLock<HashMap<String, Arc<BucketState>>>,
    /// Where vectors are that are bound to versions.
    pub(super) indexes: Option<Arc<dyn BoundIndexes>>,
}

impl Objects {
    /// The object model on `engine` and `catalog`.
    pub fn new(
        engine: Engine,
        catalog: Catalog,
        environment: Arc<dyn Environment>,
        settings: Settings,
    ) -> Self {
        let buckets = RwLock::new(HashMap::new());
        let indexes = None;
        let shared = Shared { engine, catalog, environment, settings, buckets, indexes };
        Self { shared: Arc::new(shared) }
    }

    /// The same, with the indexes that versions may be bound to.
    #[must_use]
    pub fn with_indexes(self, indexes: Arc<dyn BoundIndexes>) -> Self {
        let shared = &self.shared;
        let shared = Shared {
            engine: shared.engine.clone(),
            catalog: shared.catalog.clone(),
            environment: Arc::clone(&shared.environment),
            settings: shared.settings.clone(),
            buckets: RwLock::new(HashMap::new()),
            indexes: Some(indexes),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The operator's settings.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Makes a bucket unless one of that name exists; that one gets the versioning and the object
    /// lock that `new` has, or is refused where S3 would refuse it.
    pub async fn ensure_bucket(&self, new: NewBucket) -> Result<()> {
        match self.bucket(&new.name) {
            Ok(there) => there.ensure_kept(&new).await,
            Err(ObjectError::NoSuchBucket) => self.create_bucket(new).await.map(drop),
            Err(error) => Err(error),
        }
    }
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}
