//! Vectors bound to objects, as the S3 service asks for them: by the rules and the rights of
//! `PutVectors`.

use serde_json::value::RawValue;
use vector_engine::{Index, Metadata, NewRow};

use super::access::{Caller, FoundIndex, IndexTarget};
use super::error::{Failure, Kind, Result};
use super::limits::KEY_CHARS;
use super::name::{Arn, is_name};
use super::operation::{Id, OPERATIONS};
use super::record::IndexRecord;
use super::registry::Held;
use super::rows::{read_metadata, vector_fault};
use super::service::Service;
use crate::iam::{Context, Principal};
use crate::objects::{Bind, Binding, BoundIndexes, ObjectError};

/// A vector to bind. Where one of its members is at fault, the failure's field has its name.
#[derive(Debug, Clone)]
pub struct NewBinding<'a> {
    /// `BUCKET/INDEX`, or the index's ARN.
    pub index: &'a str,
    /// Key of the vector.
    pub key: String,
    /// Its components.
    pub data: Vec<f32>,
    /// Its metadata, in JSON.
    pub metadata: Option<&'a str>,
}

impl Service {
    /// Checks a vector that is to be bound to an object, and its caller's rights. From then on the
    /// index is known to be one with bound rows.
    pub async fn bind(
        &self,
        principal: Principal,
        context: Context,
        new: NewBinding<'_>,
    ) -> Result<Bind> {
        let operation = OPERATIONS.iter().find(|operation| operation.id == Id::PutVectors);
        let operation = operation.ok_or_else(Failure::internal)?;
        let caller = Caller { principal, context, operation };
        let FoundIndex { mut index, .. } = self.access(&caller).index(target(new.index)?)?;
        let row = new.row(self, &index)?;
        let registry = &self.shared.registry;
        if !index.record.bound {
            let bound = |record: &mut IndexRecord| {
                record.bound = true;
                Ok(())
            };
            let record = &index.record;
            let marked = registry.change_index(&record.bucket, &record.name, bound).await?;
            if marked.record.space != record.space {
                return Err(Failure::contended());
            }
            index = marked;
        }
        let record = &index.record;
        let binding = Binding {
            owner: registry.new_owner(),
            space: record.space,
            bucket: record.bucket.clone(),
            index: record.name.clone(),
            key: row.key.clone(),
        };
        Ok(Bind { index: self.rows(record).await?, row, binding })
    }
}

impl NewBinding<'_> {
    fn row(self, service: &Service, index: &Held<IndexRecord>) -> Result<NewRow> {
        let Self { key, data, metadata, .. } = self;
        if !KEY_CHARS.contains(&key.len()) {
            let most = KEY_CHARS.end();
            return Err(Failure::field("key", format!("it must have 1 to {most} bytes")));
        }
        if let Some(why) = vector_fault(&data, &index.record) {
            return Err(Failure::field("data", why));
        }
        let metadata = match metadata {
            None => Metadata::default(),
            Some(text) => {
                let refused = |why| Failure::field("metadata", why);
                let text: &RawValue = serde_json::from_str(text)
                    .map_err(|error| refused(format!("it is not JSON: {error}")))?;
                read_metadata(text, &index.record, &service.shared.limits).map_err(refused)?
            }
        };
        Ok(NewRow { key, vector: data, metadata })
    }
}

fn target(text: &str) -> Result<IndexTarget<'_>> {
    let arn = || Arn::parse(text).is_some_and(|arn| arn.index.is_some());
    match text.split_once('/') {
        Some((bucket, index)) if is_name(bucket) && is_name(index) => {
            Ok(IndexTarget { bucket: Some(bucket), index: Some(index), arn: None })
        }
        _ if arn() => Ok(IndexTarget { bucket: None, index: None, arn: Some(text) }),
        _ => Err(Failure::field("index", "it must be BUCKET/INDEX or the ARN of an index")),
    }
}

#[async_trait::async_trait]
impl BoundIndexes for Service {
    async fn find(&self, binding: &Binding) -> Result<Option<Index>, ObjectError> {
        let found = self.shared.registry.index(&binding.bucket, &binding.index);
        let found = found.map_err(as_object_error)?;
        match found.filter(|held| held.record.space == binding.space) {
            None => Ok(None),
            Some(held) => self.rows(&held.record).await.map(Some).map_err(as_object_error),
        }
    }
}

/// The failure was logged where it happened.
fn as_object_error(failure: Failure) -> ObjectError {
    match failure.kind {
        Kind::Unavailable => ObjectError::SlowDown,
        // It was dropped between the two looks.
        Kind::NotFound | Kind::Conflict => ObjectError::OperationAborted,
        _ => ObjectError::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::target;

    #[test]
    fn an_index_is_named_by_its_bucket_and_its_name_or_by_its_arn() {
        let arn = "arn:aws:s3vectors:r:000000000000:bucket/abc/index/xyz";
        assert_eq!(target(arn).unwrap().arn, Some(arn));
        let named = target("abc/x.y-z").unwrap();
        assert_eq!((named.bucket, named.index), (Some("abc"), Some("x.y-z")));
        let bucket = "arn:aws:s3vectors:r:000000000000:bucket/abc";
        for text in ["", "abc", "abc/", "/abc", "abc/xyz/u", "a/xyz", "abc/XYZ", "arn:x", bucket] {
            assert_eq!(target(text).unwrap_err().fields[0].path, "index", "{text}");
        }
    }
}
