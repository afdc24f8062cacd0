//! Who asks, and for what: the way every operation takes to its bucket or index.
//!
//! - There is no other way: what is found here was authorized by [`iam::authorize`].
//! - A bucket or index that does not exist is not found to everybody, as on AWS.

use std::sync::Arc;

use super::check::Check;
use super::error::{Failure, Kind, Result};
use super::limits::NAME_CHARS;
use super::name::Arn;
use super::operation::Operation;
use super::record::{BucketRecord, IndexRecord};
use super::registry::{Held, Registry};
use crate::iam::{self, Context, Principal, PrincipalKind, Resource};

const BUCKET_PATTERN: &str = "arn:aws[-a-z0-9]*:s3vectors:[a-z0-9-]+:[0-9]{12}:bucket/\
                              [a-z0-9][a-z0-9-.]{1,61}[a-z0-9]";
const INDEX_PATTERN: &str = "arn:aws[-a-z0-9]*:s3vectors:[a-z0-9-]+:[0-9]{12}:bucket/\
                             [a-z0-9][a-z0-9-.]{1,61}[a-z0-9]/index/\
                             [a-z0-9][a-z0-9-.]{1,61}[a-z0-9]";
/// The right that an operation needs on top when it tells more than keys and distances.
pub(super) const GET_VECTORS: &str = "s3vectors:GetVectors";
/// The right that a fork needs on the index that it makes.
pub(super) const CREATE_INDEX: &str = "s3vectors:CreateIndex";
/// The right that making something with tags needs on top.
pub(super) const TAG_RESOURCE: &str = "s3vectors:TagResource";

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Who it is.
    pub(super) principal: Principal,
    /// What else a decision about it may depend on.
    pub(super) context: Context,
    /// What it asks for.
    pub(super) operation: &'static Operation,
}

/// How a request names a bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct BucketTarget<'a> {
    /// `vectorBucketName`
    pub(super) name: Option<&'a str>,
    /// `vectorBucketArn`
    pub(super) arn: Option<&'a str>,
}

/// How a request names an index.
#[derive(Debug, Clone, Copy)]
pub(super) struct IndexTarget<'a> {
    /// `vectorBucketName`
    pub(super) bucket: Option<&'a str>,
    /// `indexName`
    pub(super) index: Option<&'a str>,
    /// `indexArn`
    pub(super) arn: Option<&'a str>,
}

macro_rules! targets {
    (buckets: $($shape:ident),*; indexes: $($index_shape:ty),*) => {
        $(impl super::shape::$shape {
            /// The bucket that it names.
            pub(super) fn target(&self) -> BucketTarget<'_> {
                BucketTarget {
                    name: self.vector_bucket_name.as_deref(),
                    arn: self.vector_bucket_arn.as_deref(),
                }
            }
        })*
        $(impl $index_shape {
            /// The index that it names.
            pub(super) fn target(&self) -> IndexTarget<'_> {
                IndexTarget {
                    bucket: self.vector_bucket_name.as_deref(),
                    index: self.index_name.as_deref(),
                    arn: self.index_arn.as_deref(),
                }
            }
        })*
    };
}

targets! {
    buckets:
    OfBucket, PutVectorBucketPolicy, PutVectorBucketDefaultIndexMode, CreateIndex, ListIndexes;
    indexes:
    super::shape::OfIndex,
    super::shape::UpdateIndexMode,
    super::shape::ForkIndex,
    super::shape::UpdateMetadataConfiguration,
    super::shape::PutVectors<'_>,
    super::shape::GetVectors,
    super::shape::ListVectors<'_>,
    super::shape::DeleteVectors<'_>,
    super::shape::QueryVectors<'_>
}

/// An index with its bucket, as they were when they were found.
#[derive(Debug, Clone)]
pub(super) struct FoundIndex {
    /// The bucket.
    pub(super) bucket: Arc<Held<BucketRecord>>,
    /// The index.
    pub(super) index: Arc<Held<IndexRecord>>,
}

impl Caller {
    /// Whether it sees everything.
    pub(super) fn is_root(&self) -> bool {
        self.principal.kind == PrincipalKind::Root
    }

    /// May it do its operation on the service itself?
    pub(super) fn authorize_service(&self) -> Result<()> {
        self.authorize(self.operation.action, Resource::Service, "*")
    }

    /// May it do `action` on a bucket that it is about to make?
    pub(super) fn authorize_own_bucket(&self, action: &str, bucket: &str, arn: &Arn) -> Result<()> {
        let resource = Resource::VectorBucket { bucket, owner: &self.principal.name, policy: None };
        self.authorize(action, resource, &arn.to_string())
    }

    /// May it do `action` on a bucket?
    pub(super) fn authorize_bucket(
        &self,
        action: &str,
        bucket: &BucketRecord,
        region: &str,
    ) -> Result<()> {
        let resource = Resource::VectorBucket {
            bucket: &bucket.name,
            owner: &bucket.owner,
            policy: bucket.policy.as_deref(),
        };
        self.authorize(action, resource, &Arn::of(region, &bucket.name, None).to_string())
    }

    /// May it do `action` on an index of a bucket?
    pub(super) fn authorize_index(
        &self,
        action: &str,
        bucket: &BucketRecord,
        index: &str,
        region: &str,
    ) -> Result<()> {
        let resource = Resource::VectorIndex {
            bucket: &bucket.name,
            index,
            owner: &bucket.owner,
            policy: bucket.policy.as_deref(),
        };
        self.authorize(action, resource, &Arn::of(region, &bucket.name, Some(index)).to_string())
    }

    fn authorize(&self, action: &str, resource: Resource<'_>, arn: &str) -> Result<()> {
        iam::authorize(&self.principal, action, resource, &self.context).map_err(|denied| {
            tracing::debug!(
                principal = &*self.principal.name,
                action,
                resource = arn,
                reason = denied.reason,
                "denied"
            );
            let name = &self.principal.name;
            let message =
                format!("User: {name} is not authorized to perform: {action} on resource: {arn}");
            Failure::new(Kind::AccessDenied, message)
        })
    }
}

impl BucketTarget<'_> {
    /// Checks what the model asks of the names.
    pub(super) fn check(&self, check: &mut Check) {
        check.optional_text("/vectorBucketName", self.name, &NAME_CHARS);
        if let Some(arn) = self.arn {
            let fits = Arn::parse(arn).is_some_and(|arn| arn.index.is_none());
            check.pattern("/vectorBucketArn", fits, BUCKET_PATTERN);
        }
    }

    /// The name of the bucket; none: it is one of another store.
    fn bucket(&self, region: &str) -> Result<Option<String>> {
        match (self.name, self.arn) {
            (Some(name), None) => Ok(Some(name.to_owned())),
            (None, Some(arn)) => {
                let arn = Arn::parse(arn).filter(|arn| arn.is_of(region));
                Ok(arn.map(|arn| arn.bucket))
            }
            _ => Err(Failure::validation(
                "Must specify either vectorBucketName or vectorBucketArn but not both",
            )),
        }
    }
}

impl IndexTarget<'_> {
    /// Checks what the model asks of the names.
    pub(super) fn check(&self, check: &mut Check) {
        check.optional_text("/vectorBucketName", self.bucket, &NAME_CHARS);
        check.optional_text("/indexName", self.index, &NAME_CHARS);
        if let Some(arn) = self.arn {
            let fits = Arn::parse(arn).is_some_and(|arn| arn.index.is_some());
            check.pattern("/indexArn", fits, INDEX_PATTERN);
        }
    }

    /// The names of bucket and index; none: they are of another store.
    fn names(&self, region: &str) -> Result<Option<(String, String)>> {
        match (self.bucket, self.index, self.arn) {
            (Some(bucket), Some(index), None) => Ok(Some((bucket.to_owned(), index.to_owned()))),
            (None, None, Some(arn)) => {
                let arn = Arn::parse(arn).filter(|arn| arn.is_of(region));
                Ok(arn.and_then(|arn| Some((arn.bucket, arn.index?))))
            }
            _ => Err(Failure::validation(
                "Must specify either indexArn or both vectorBucketName and indexName",
            )),
        }
    }
}

/// The registry as a caller may use it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access<'a> {
    /// The registry.
    pub(super) registry: &'a Registry,
    /// Region of the store.
    pub(super) region: &'a str,
    /// Who asks.
    pub(super) caller: &'a Caller,
}

impl Access<'_> {
    /// The bucket that a request names, when the caller may do its operation on it.
    pub(super) fn bucket(&self, target: BucketTarget<'_>) -> Result<Arc<Held<BucketRecord>>> {
        let name = target.bucket(self.region)?.ok_or_else(Failure::no_bucket)?;
        let bucket = self.registry.bucket(&name)?.ok_or_else(Failure::no_bucket)?;
        self.caller.authorize_bucket(self.caller.operation.action, &bucket.record, self.region)?;
        Ok(bucket)
    }

    /// The bucket in which a request makes `index`.
    pub(super) fn bucket_for(
        &self,
        target: BucketTarget<'_>,
        index: &str,
    ) -> Result<Arc<Held<BucketRecord>>> {
        let name = target.bucket(self.region)?.ok_or_else(Failure::no_bucket)?;
        let bucket = self.registry.bucket(&name)?.ok_or_else(Failure::no_bucket)?;
        let action = self.caller.operation.action;
        self.caller.authorize_index(action, &bucket.record, index, self.region)?;
        Ok(bucket)
    }

    /// The index that a request names, when the caller may do its operation on it.
    pub(super) fn index(&self, target: IndexTarget<'_>) -> Result<FoundIndex> {
        let (bucket, index) = target.names(self.region)?.ok_or_else(Failure::no_index)?;
        self.index_named(&bucket, &index)
    }

    fn index_named(&self, bucket: &str, index: &str) -> Result<FoundIndex> {
        let bucket = self.registry.bucket(bucket)?.ok_or_else(Failure::no_index)?;
        let action = self.caller.operation.action;
        self.caller.authorize_index(action, &bucket.record, index, self.region)?;
        let index = self.registry.index(&bucket.record.name, index)?;
        Ok(FoundIndex { bucket, index: index.ok_or_else(Failure::no_index)? })
    }

    /// The bucket or index of an ARN.
    pub(super) fn resource(&self, arn: &Arn) -> Result<Resourced> {
        match &arn.index {
            _ if !arn.is_of(self.region) => {
                let gone = "The specified resource could not be found";
                Err(Failure::new(Kind::NotFound, gone))
            }
            Some(index) => self.index_named(&arn.bucket, index).map(Resourced::Index),
            None => {
                let target = BucketTarget { name: Some(&arn.bucket), arn: None };
                self.bucket(target).map(Resourced::Bucket)
            }
        }
    }

    /// May the caller do `action` on an index as well?
    pub(super) fn also(&self, action: &str, found: &FoundIndex) -> Result<()> {
        let index = &found.index.record.name;
        self.caller.authorize_index(action, &found.bucket.record, index, self.region)
    }
}

/// What can have tags.
#[derive(Debug)]
pub(super) enum Resourced {
    /// A bucket.
    Bucket(Arc<Held<BucketRecord>>),
    /// An index.
    Index(FoundIndex),
}

#[cfg(test)]
mod tests {
    use super::{BucketTarget, Check, IndexTarget};

    const BUCKET: &str = "arn:aws:s3vectors:r:000000000000:bucket/abc";
    const INDEX: &str = "arn:aws:s3vectors:r:000000000000:bucket/abc/index/xyz";

    #[test]
    fn a_bucket_is_named_in_exactly_one_way() {
        let named = |name, arn| BucketTarget { name, arn }.bucket("r");
        assert_eq!(named(Some("abc"), None), Ok(Some("abc".to_owned())));
        assert_eq!(named(None, Some(BUCKET)), Ok(Some("abc".to_owned())));
        for foreign in [BUCKET.replace(":r:", ":s:"), BUCKET.replace("0:b", "1:b")] {
            assert_eq!(BucketTarget { name: None, arn: Some(&foreign) }.bucket("r"), Ok(None));
        }
        for (name, arn) in [(None, None), (Some("abc"), Some(BUCKET))] {
            let message = named(name, arn).unwrap_err().message;
            assert_eq!(
                message,
                "Must specify either vectorBucketName or vectorBucketArn but not both"
            );
        }
    }

    #[test]
    fn an_index_is_named_in_exactly_one_way() {
        let named = |bucket, index, arn| IndexTarget { bucket, index, arn }.names("r");
        let names = Ok(Some(("abc".to_owned(), "xyz".to_owned())));
        assert_eq!(named(Some("abc"), Some("xyz"), None), names);
        assert_eq!(named(None, None, Some(INDEX)), names);
        for (bucket, index, arn) in [
            (None, None, None),
            (Some("abc"), None, None),
            (None, Some("xyz"), None),
            (Some("abc"), None, Some(INDEX)),
            (None, Some("xyz"), Some(INDEX)),
            (Some("abc"), Some("xyz"), Some(INDEX)),
        ] {
            let message = named(bucket, index, arn).unwrap_err().message;
            assert_eq!(
                message,
                "Must specify either indexArn or both vectorBucketName and indexName"
            );
        }
    }

    #[test]
    fn an_arn_of_the_other_kind_has_the_wrong_pattern() {
        let mut check = Check::default();
        BucketTarget { name: None, arn: Some(INDEX) }.check(&mut check);
        IndexTarget { bucket: Some("a"), index: None, arn: Some(BUCKET) }.check(&mut check);
        assert_eq!(check.finish().unwrap_err().fields.len(), 3);
    }
}
