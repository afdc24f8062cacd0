//! The handle on everything: engine, catalog, settings.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use storage_engine::{Engine, Environment};

use super::bucket::{BucketState, NewBucket};
use super::bucket_record::Versioning;
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
        Self { shared: Arc::new(Shared { engine, catalog, environment, settings, buckets }) }
    }

    /// The operator's settings.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Makes the buckets of `LODESTORE_BUCKETS` (`a,b:versioned,c:lock`) that do not exist yet.
    pub async fn make_buckets(&self, list: &str, owner: &str) -> Result<()> {
        for text in list.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            let new = wanted_bucket(text, owner)?;
            match self.bucket(&new.name) {
                Ok(_) => {}
                Err(ObjectError::NoSuchBucket) => drop(self.create_bucket(new).await?),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// One element of the list of buckets to make.
fn wanted_bucket(text: &str, owner: &str) -> Result<NewBucket> {
    let (name, feature) = text.split_once(':').unwrap_or((text, ""));
    let (versioning, object_lock) = match feature {
        "" => (Versioning::Unversioned, false),
        "versioned" => (Versioning::Enabled, false),
        "lock" => (Versioning::Enabled, true),
        other => {
            return Err(ObjectError::argument(format!(
                "bucket {name}: unknown feature {other}, known are versioned and lock"
            )));
        }
    };
    Ok(NewBucket {
        name: name.to_owned(),
        owner: owner.to_owned(),
        region: None,
        versioning,
        object_lock,
        ownership: None,
        tags: vec![],
    })
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_buckets_have_features() {
        for (text, versioning, object_lock) in [
            ("plain", Versioning::Unversioned, false),
            ("b:versioned", Versioning::Enabled, false),
            ("c:lock", Versioning::Enabled, true),
        ] {
            let new = wanted_bucket(text, "root").unwrap();
            assert_eq!((new.versioning, new.object_lock), (versioning, object_lock), "{text}");
            assert!(!new.name.contains(':'));
        }
        assert!(wanted_bucket("d:magic", "root").is_err());
    }
}
