//! Vectors bound to versions: written with the version in one batch, gone with it in one batch.
//!
//! - A binding is kept in the metadata of its version; the row in the index has the binding's owner,
//!   so that nobody else changes it.
//! - A bucket says in its record that it may hold bound versions, before it holds the first. Only
//!   there does a write look at the version whose place it takes.
//! - What such a write saw is a condition of its batch. The lock guard is asked by the same batch.

use std::sync::Arc;

use bytes::Bytes;
use storage_engine::{
    Batch, Condition, Entry, Error as EngineError, Keep, Missing, Outcome, Test, Which,
};
use vector_engine::{Error as VectorError, Index, NewRow, Owner};

use super::bucket::Bucket;
use super::error::{ObjectError, Result};
use super::fields::{FieldReader, Malformed, put_varint, text_of};
use super::label::Label;
use super::limits::BOUND_RETRIES_MAX;
use super::meta::ObjectMeta;

/// Where the vector of a version is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Whose the row is: of this version alone.
    pub owner: Owner,
    /// The index's space, which tells it from a later one of its name.
    pub space: u32,
    /// Name of the vector bucket.
    pub bucket: String,
    /// Name of the index.
    pub index: String,
    /// Key of the row.
    pub key: String,
}

/// A vector to bind to a version that is to be written.
#[derive(Debug, Clone)]
pub struct Bind {
    /// The index.
    pub index: Index,
    /// The row; its key is the binding's.
    pub row: NewRow,
    /// What the version keeps of it.
    pub binding: Binding,
}

/// Finds the indexes that bindings name.
#[async_trait::async_trait]
pub trait BoundIndexes: std::fmt::Debug + Send + Sync {
    /// The index of a binding; none: it is gone with all its rows.
    async fn find(&self, binding: &Binding) -> Result<Option<Index>>;
}

/// What a batch does to vectors besides its operations.
#[derive(Debug, Clone, Default)]
pub(super) struct VectorChange {
    /// The vector that comes.
    pub(super) comes: Option<Bind>,
    /// The binding whose vector goes.
    pub(super) goes: Option<Binding>,
}

/// The version whose place a write takes, as it was looked up.
#[derive(Debug)]
pub(super) struct Replaced {
    /// Holds while it is still that version.
    pub(super) still: Condition,
    /// Its binding.
    pub(super) binding: Option<Binding>,
}

impl Binding {
    /// As a field of a record.
    pub(super) fn field(&self) -> Vec<u8> {
        let mut field = self.owner.0.to_vec();
        put_varint(&mut field, self.space.into());
        for name in [&self.bucket, &self.index] {
            put_varint(&mut field, name.len() as u64);
            field.extend_from_slice(name.as_bytes());
        }
        field.extend_from_slice(self.key.as_bytes());
        field
    }

    /// From [`Binding::field`].
    pub(super) fn of_field(field: &[u8]) -> Result<Self, Malformed> {
        let mut reader = FieldReader::inside(field);
        let owner = reader.bytes(16)?.first_chunk().copied();
        let owner = Owner(owner.ok_or(Malformed("cut off"))?);
        let space = reader.varint()?;
        let space = u32::try_from(space).map_err(|_| Malformed("number is too large"))?;
        let mut name = || {
            let len = usize::from(reader.small()?);
            text_of(reader.bytes(len)?)
        };
        let (bucket, index) = (name()?, name()?);
        Ok(Self { owner, space, bucket, index, key: text_of(reader.rest())? })
    }
}

impl Bucket {
    /// Makes the bucket one that may hold bound versions.
    pub(super) async fn allow_bound(&self) -> Result<()> {
        self.update(|record| {
            record.bound = true;
            Ok(())
        })
        .await
    }

    /// The null version that a write takes the place of, in a bucket where it may be bound.
    pub(super) async fn replaced(&self, name: &Bytes) -> Result<Option<Replaced>> {
        if !self.record().bound || self.keep() != Keep::Null {
            return Ok(None);
        }
        for _ in 0..BOUND_RETRIES_MAX {
            let still = self.still(name)?;
            let null = self.engine().version(self.record().objects(), name, Which::Null)?;
            match null.filter(is_bound) {
                None => return Ok(Some(Replaced { still, binding: None })),
                Some(entry) => {
                    if let Some(binding) = self.binding_at(name, &entry).await? {
                        return Ok(Some(Replaced { still, binding: Some(binding) }));
                    }
                }
            }
        }
        Err(ObjectError::OperationAborted)
    }

    /// Holds while the null version of a name is the one there is now: another one would be the
    /// newest version. To be asked before the null version is looked up.
    pub(super) fn still(&self, name: &Bytes) -> Result<Condition> {
        let space = self.record().objects();
        let test = match self.engine().newest(space, name)? {
            Some(entry) => Test::NewestIs(entry.sequence),
            None => Test::Absent,
        };
        Ok(Condition { space, name: name.clone(), test })
    }

    /// The binding of a version that has one; none: the version is not there any more.
    pub(super) async fn binding_at(&self, name: &Bytes, entry: &Entry) -> Result<Option<Binding>> {
        let record = match self.engine().load(self.record().objects(), name, entry).await {
            Err(EngineError::NotFound(Missing::Version)) => return Ok(None),
            record => record?,
        };
        let meta = ObjectMeta::decode(&record.meta)?;
        meta.binding.map(Some).ok_or_else(|| {
            tracing::error!("a version is labelled as bound and has no binding");
            ObjectError::Internal
        })
    }

    /// Commits a batch with what it does to vectors, all or nothing. The outer error is about the
    /// vectors, the inner one the engine's about the batch.
    pub(super) async fn commit_with(
        &self,
        vectors: VectorChange,
        batch: Batch,
    ) -> Result<storage_engine::Result<Vec<Outcome>>> {
        let VectorChange { comes, goes } = vectors;
        let index = match (&comes, &goes) {
            (None, None) => None,
            (Some(bind), None) => Some(bind.index.clone()),
            (Some(bind), Some(gone)) if bind.binding.space == gone.space => {
                Some(bind.index.clone())
            }
            (Some(_), Some(gone)) if self.index_of(gone).await?.is_some() => {
                return Err(ObjectError::VectorConflict(format!(
                    "The object is bound to a vector in {}/{}. Delete it before it is bound to one \
                     in another index.",
                    gone.bucket, gone.index
                )));
            }
            (Some(bind), Some(_)) => Some(bind.index.clone()),
            (None, Some(gone)) => self.index_of(gone).await?,
        };
        let Some(index) = index else { return Ok(self.engine().commit(batch).await) };
        let rows = comes.into_iter().map(|bind| (bind.binding.owner, bind.row)).collect();
        let keys = goes.into_iter().map(|gone| (gone.owner, gone.key)).collect();
        match index.change_owned(rows, keys, batch).await {
            Ok(outcomes) => Ok(Ok(outcomes)),
            Err(VectorError::Storage(error)) => Ok(Err(error)),
            Err(error) => Err(error.into()),
        }
    }

    async fn index_of(&self, binding: &Binding) -> Result<Option<Index>> {
        match &self.objects.shared.indexes {
            Some(indexes) => Arc::clone(indexes).find(binding).await,
            None => {
                tracing::error!("a version is bound to a vector and there is no vector engine");
                Err(ObjectError::Internal)
            }
        }
    }
}

/// Whether the version of an entry has a binding.
pub(super) fn is_bound(entry: &Entry) -> bool {
    !entry.is_marker() && Label::decode(entry.label).bound
}

impl From<VectorError> for ObjectError {
    fn from(error: VectorError) -> Self {
        match error {
            VectorError::Invalid(why) => Self::InvalidArgument(why),
            VectorError::NotFound => Self::request("The vector index does not exist any more."),
            VectorError::Conflict(why) => Self::VectorConflict(why),
            VectorError::Busy | VectorError::Stopped => Self::SlowDown,
            VectorError::Storage(error) => error.into(),
            error => {
                tracing::error!(%error, "a vector index cannot be written");
                Self::Internal
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_come_back_and_cuts_are_refused() {
        let binding = Binding {
            owner: Owner([7; 16]),
            space: 300,
            bucket: "vectors".into(),
            index: "texts".into(),
            key: "ä/k".into(),
        };
        let field = binding.field();
        assert_eq!(Binding::of_field(&field), Ok(binding));
        let names = field.len() - "ä/k".len();
        for cut in 0..names {
            assert!(Binding::of_field(&field[..cut]).is_err(), "cut at {cut}");
        }
    }
}
