//! Committing a new version of a key: the one way by which put, copy and complete write.
//!
//! The batch holds only while the bucket's record is the one its versioning and lock were read
//! from; when that changed, they are read again. Vectors are bound and unbound by the same batch.

use bytes::Bytes;
use storage_engine::{
    Batch, Condition, Content, Engine, Error as EngineError, Keep, Operation, Outcome,
    Put as EnginePut, ROOT_SPACE, Stamp, Test, Value,
};

use super::binding::{Bind, VectorChange};
use super::bucket::Bucket;
use super::bucket_record::Versioning;
use super::condition::WriteConditions;
use super::error::{ObjectError, Result};
use super::limits::{BOUND_RETRIES_MAX, RETRIES_MAX};
use super::lock::LockRequest;
use super::version_id::VersionId;
use crate::catalog::Kind;

/// A new version of a key, ready but for what the bucket's configuration says.
#[derive(Debug, Clone)]
pub(super) struct NewVersion {
    pub(super) name: Bytes,
    pub(super) value: Value,
    /// Encoded metadata.
    pub(super) meta: Bytes,
    pub(super) stamp: Stamp,
    pub(super) label: u8,
    pub(super) lock: LockRequest,
    pub(super) conditions: WriteConditions,
    /// The vector that comes with it.
    pub(super) bind: Option<Bind>,
}

/// What else happens in the same batch.
#[derive(Debug)]
pub(super) struct Companions {
    pub(super) conditions: Vec<Condition>,
    /// What it means when one of the conditions does not hold.
    pub(super) refusal: ObjectError,
    pub(super) operations: Vec<Operation>,
}

impl Companions {
    /// Nothing else.
    pub(super) fn none() -> Self {
        Self { conditions: vec![], refusal: ObjectError::OperationAborted, operations: vec![] }
    }
}

/// A version that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    /// Its id to show; none in a bucket that never had versioning.
    pub(super) version: Option<VersionId>,
    /// When it was made, ms since 1970.
    pub(super) time_ms: u64,
}

impl Bucket {
    /// The engine.
    pub(super) fn engine(&self) -> &Engine {
        &self.objects.shared.engine
    }

    /// Holds while the bucket's record is the one in hand.
    pub(super) fn unchanged(&self) -> Condition {
        Condition {
            space: ROOT_SPACE,
            name: Kind::Bucket.record_name(self.name()),
            test: Test::NewestIs(self.state.sequence),
        }
    }

    /// What a new version does to the ones there are.
    pub(super) fn keep(&self) -> Keep {
        match self.record().versioning {
            Versioning::Enabled => Keep::All,
            Versioning::Unversioned | Versioning::Suspended => Keep::Null,
        }
    }

    /// How clients see the id of a version that was just made.
    pub(super) fn made(&self, outcome: &Outcome) -> Made {
        let version = match self.record().versioning {
            Versioning::Unversioned => None,
            Versioning::Suspended => Some(VersionId::Null),
            Versioning::Enabled => Some(VersionId::Sequence(outcome.sequence)),
        };
        Made { version, time_ms: outcome.time_ms }
    }

    /// The bucket as it is now, if it is still the same one.
    pub(super) fn again(&self) -> Result<Self> {
        let now = self.objects.bucket(self.name())?;
        if now.record().objects() == self.record().objects() {
            Ok(now)
        } else {
            Err(ObjectError::NoSuchBucket)
        }
    }

    /// The same after a condition on it did not hold: its newer record, once that shows.
    pub(super) async fn renewed(&self) -> Result<Self> {
        let now = self.again()?;
        if now.state.sequence != self.state.sequence {
            return Ok(now);
        }
        self.objects.shared.catalog.settled().await;
        self.again()
    }

    /// Makes a version. `companions` is asked again for every attempt.
    pub(super) async fn commit_version(
        &self,
        new: &NewVersion,
        companions: impl Fn() -> Companions + Send,
    ) -> Result<Made> {
        let mut bucket = self.clone();
        if new.bind.is_some() && !bucket.record().bound {
            bucket.allow_bound().await?;
            bucket = bucket.again()?;
        }
        let mut attempts = 0;
        while attempts < bucket.retries() {
            attempts += 1;
            match bucket.try_version(new, companions()).await? {
                Attempt::Made(made) => return Ok(made),
                Attempt::Changed => bucket = bucket.renewed().await?,
            }
        }
        Err(ObjectError::OperationAborted)
    }

    /// How often a change of versions is tried; more often once the bucket has bound ones.
    pub(super) fn retries(&self) -> usize {
        if self.record().bound { BOUND_RETRIES_MAX } else { RETRIES_MAX }
    }

    async fn try_version(&self, new: &NewVersion, companions: Companions) -> Result<Attempt> {
        let space = self.record().objects();
        let tests = match new.conditions == WriteConditions::default() {
            true => vec![],
            false => new.conditions.tests(self.engine().current(space, &new.name)?.as_ref())?,
        };
        let replaced = self.replaced(&new.name).await?;
        let Companions { conditions: more, refusal, operations } = companions;
        let own_count = 1 + more.len();
        let mut conditions = vec![self.unchanged()];
        conditions.extend(more);
        conditions.extend(tests.iter().map(|key| Condition {
            space,
            name: new.name.clone(),
            test: key.test,
        }));
        let (still, goes) = match replaced {
            Some(replaced) => (Some(replaced.still), replaced.binding),
            None => (None, None),
        };
        let still_at = still.is_some().then_some(conditions.len());
        conditions.extend(still);
        let put = Operation::Put(EnginePut {
            space,
            name: new.name.clone(),
            keep: self.keep(),
            content: Content::Value {
                value: new.value.clone(),
                meta: new.meta.clone(),
                stamp: new.stamp,
                label: new.label,
            },
            lock: self.lock_for(new.lock)?,
        });
        let operations = std::iter::once(put).chain(operations).collect();
        let vectors = VectorChange { comes: new.bind.clone(), goes };
        match self.commit_with(vectors, Batch { conditions, operations }).await? {
            Ok(outcomes) => match outcomes.first() {
                Some(outcome) => Ok(Attempt::Made(self.made(outcome))),
                None => Err(no_outcome()),
            },
            Err(EngineError::Condition { index: 0, .. }) => Ok(Attempt::Changed),
            Err(EngineError::Condition { index, .. }) if Some(index) == still_at => {
                Ok(Attempt::Changed)
            }
            Err(EngineError::Condition { index, found }) => {
                let test = index.checked_sub(own_count).and_then(|index| tests.get(index));
                Err(test.map_or(refusal, |test| test.refusal(found.as_ref())))
            }
            Err(error) => Err(error.into()),
        }
    }
}

enum Attempt {
    Made(Made),
    /// The bucket's record or the version to be replaced is another: look again.
    Changed,
}

/// The engine broke its word: one outcome an operation.
pub(super) fn no_outcome() -> ObjectError {
    tracing::error!("the engine gave no outcome for an operation");
    ObjectError::Internal
}
