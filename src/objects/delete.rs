//! Deleting objects and versions.

use futures::StreamExt as _;
use storage_engine::{
    Batch, Bypass, Condition, Content, Entry, Error as EngineError, Keep, Missing, Operation,
    Outcome, Put as EnginePut, Remove, Test, Which,
};

use super::binding::{VectorChange, is_bound};
use super::bucket::Bucket;
use super::bucket_record::Versioning;
use super::commit::no_outcome;
use super::condition::DeleteConditions;
use super::error::{ObjectError, Result};
use super::key::name_of;
use super::limits::UNBINDS_MAX;
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

/// What a delete comes to, given what is there.
enum Plan {
    /// There is nothing to do.
    Done(Deleted),
    /// Commit this. The batch holds while what was looked at is still so.
    Commit(Batch),
    /// Commit this with the removal of the vector that is bound to the version.
    Unbind(Batch, Entry),
}

/// Where the answer to one of many deletes comes from.
enum Turn {
    /// It is there.
    Answered(Result<Deleted>),
    /// It is in the batches that are committed in one go.
    Together,
    /// It is one of its own.
    Alone,
}

impl Bucket {
    /// Deletes one key or version. What is not there is deleted already.
    pub async fn delete(&self, delete: Delete) -> Result<Deleted> {
        self.delete_one(&delete).await
    }

    /// Deletes many, in one go; answers in their order. At most [`super::DELETE_KEYS_MAX`].
    pub async fn delete_many(&self, deletes: Vec<Delete>) -> Vec<Result<Deleted>> {
        let mut batches = Vec::new();
        let turns: Vec<Turn> = deletes
            .iter()
            .map(|delete| match self.plan(delete) {
                Ok(Plan::Done(deleted)) => Turn::Answered(Ok(deleted)),
                Ok(Plan::Commit(batch)) => {
                    batches.push(batch);
                    Turn::Together
                }
                Ok(Plan::Unbind(..)) => Turn::Alone,
                Err(error) => Turn::Answered(Err(error)),
            })
            .collect();
        let mut committed = self.engine().commit_all(batches).await.into_iter();
        let alone = deletes.iter().zip(&turns).filter(|(_, turn)| matches!(turn, Turn::Alone));
        let alone: Vec<_> = alone.map(|(delete, _)| self.delete_one(delete)).collect();
        let alone = futures::stream::iter(alone).buffered(UNBINDS_MAX);
        let mut alone = alone.collect::<Vec<_>>().await.into_iter();
        let mut answers = Vec::with_capacity(deletes.len());
        for (delete, turn) in deletes.iter().zip(turns) {
            answers.push(match turn {
                Turn::Answered(answer) => answer,
                Turn::Alone => alone.next().unwrap_or_else(|| Err(no_outcome())),
                Turn::Together => {
                    match committed.next().map(|result| self.answer(delete, result)) {
                        Some(Ok(Some(deleted))) => Ok(deleted),
                        // Something changed under this one: on its own, with another look.
                        Some(Ok(None)) => self.delete_one(delete).await,
                        Some(Err(error)) => Err(error),
                        None => Err(no_outcome()),
                    }
                }
            });
        }
        answers
    }

    async fn delete_one(&self, delete: &Delete) -> Result<Deleted> {
        let mut bucket = self.clone();
        let mut attempts = 0;
        while attempts < bucket.retries() {
            attempts += 1;
            let result = match bucket.plan(delete)? {
                Plan::Done(deleted) => return Ok(deleted),
                Plan::Commit(batch) => bucket.engine().commit(batch).await,
                Plan::Unbind(batch, entry) => {
                    let name = name_of(&delete.key)?;
                    let Some(goes) = bucket.binding_at(&name, &entry).await? else { continue };
                    let vectors = VectorChange { comes: None, goes: Some(goes) };
                    bucket.commit_with(vectors, batch).await?
                }
            };
            if let Some(deleted) = bucket.answer(delete, result)? {
                return Ok(deleted);
            }
            bucket = bucket.renewed().await?;
        }
        Err(ObjectError::OperationAborted)
    }

    /// Looks at what is there and says what to do.
    fn plan(&self, delete: &Delete) -> Result<Plan> {
        let space = self.record().objects();
        let name = name_of(&delete.key)?;
        let still = match self.record().bound {
            true => Some(self.still(&name)?),
            false => None,
        };
        let found = match delete.version {
            None => self.engine().newest(space, &name)?,
            Some(version) => self
                .engine()
                .version(space, &name, version.which())?
                .filter(|entry| version.names(entry)),
        };
        if found.is_some() || delete.version.is_none() {
            delete.conditions.check(found.as_ref())?;
        }
        let mut conditions = Vec::new();
        if let Some(entry) = found.as_ref().filter(|_| !delete.conditions.is_empty()) {
            let test = looked_at(delete, entry);
            conditions.push(Condition { space, name: name.clone(), test });
        }
        let null = match (delete.version, self.record().versioning) {
            (None, Versioning::Suspended) if still.is_some() => {
                self.engine().version(space, &name, Which::Null)?
            }
            _ => None,
        };
        // The version that goes for good, with its vector if it has one.
        let goes = match (delete.version, self.record().versioning) {
            (Some(_), _) | (None, Versioning::Unversioned) => found.as_ref(),
            (None, Versioning::Suspended) => null.as_ref(),
            (None, Versioning::Enabled) => None,
        };
        let unbinds = goes.filter(|entry| is_bound(entry)).cloned();
        let operation = match (delete.version, self.record().versioning, &found) {
            (Some(version), _, None) => {
                let version = Some(version);
                return Ok(Plan::Done(Deleted { version, delete_marker: false }));
            }
            (None, Versioning::Unversioned, None) => return Ok(Plan::Done(Deleted::default())),
            (Some(version), _, Some(_)) => {
                if version == VersionId::Null {
                    // Another null version may come, and one with a vector only after the record.
                    conditions.push(self.unchanged());
                }
                let (which, bypass) = (version.which(), delete.bypass);
                Operation::Remove(Remove { space, name, which, bypass })
            }
            (None, Versioning::Unversioned, Some(_)) => {
                conditions.push(self.unchanged());
                let (which, bypass) = (Which::Null, delete.bypass);
                Operation::Remove(Remove { space, name, which, bypass })
            }
            (None, Versioning::Enabled | Versioning::Suspended, _) => {
                conditions.push(self.unchanged());
                let (keep, content) = (self.keep(), Content::Marker);
                Operation::Put(EnginePut { space, name, keep, content, lock: None })
            }
        };
        let null_goes = match delete.version {
            Some(version) => version == VersionId::Null,
            None => self.keep() == Keep::Null,
        };
        conditions.extend(still.filter(|_| null_goes));
        let batch = Batch { conditions, operations: vec![operation] };
        Ok(match unbinds {
            Some(entry) => Plan::Unbind(batch, entry),
            None => Plan::Commit(batch),
        })
    }

    /// What a committed delete answers; none: something changed, look again.
    fn answer(
        &self,
        delete: &Delete,
        result: storage_engine::Result<Vec<Outcome>>,
    ) -> Result<Option<Deleted>> {
        let outcome = match result {
            Ok(outcomes) => outcomes.into_iter().next().ok_or_else(no_outcome)?,
            Err(EngineError::Condition { .. }) => return Ok(None),
            // Somebody else removed the version first.
            Err(EngineError::NotFound(Missing::Version)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(match (delete.version, self.record().versioning) {
            (Some(version), _) => Deleted {
                version: Some(version),
                delete_marker: outcome.removed.as_ref().is_some_and(Entry::is_marker),
            },
            (None, Versioning::Unversioned) => Deleted::default(),
            (None, Versioning::Enabled | Versioning::Suspended) => {
                Deleted { version: self.made(&outcome).version, delete_marker: true }
            }
        }))
    }
}

/// Holds while the version whose properties were compared is the one to be deleted.
fn looked_at(delete: &Delete, entry: &Entry) -> Test {
    match delete.version {
        None => Test::NewestIs(entry.sequence),
        Some(_) => Test::RecordIs { sequence: entry.sequence, location: entry.location },
    }
}
