//! Who asks, and for what: the way every operation takes to its bucket.
//!
//! - There is no other way: only [`Wire::at_bucket`], [`Wire::at_object`] and their kin hand out a
//!   [`Bucket`], and each asks [`iam::authorize`] first.
//! - A request without a principal is refused: the gate puts one into every request.
//! - A bucket that does not exist is `NoSuchBucket` to everybody, as on AWS.

use http::Extensions;
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Result, s3_error};

use super::Wire;
use super::action::{Extra, Operation};
use super::gated::check_target;
use crate::iam::{self, Context, Principal, PrincipalKind, Resource};
use crate::objects::{Bucket, Object, ObjectError, VersionId};

/// Where a message's bucket stands in it.
pub(super) trait AtBucket {
    /// The bucket's name.
    fn bucket(&self) -> &str;
    /// `x-amz-expected-bucket-owner`.
    fn expected_owner(&self) -> Option<&str>;
}

/// Where a message's key stands in it.
pub(super) trait AtObject: AtBucket {
    /// The key.
    fn key(&self) -> &str;
    /// The version named, as the client wrote it.
    fn version(&self) -> Option<&str>;
}

macro_rules! at_bucket {
    ($($input:ty),* $(,)?) => {
        $(
            impl AtBucket for $input {
                fn bucket(&self) -> &str {
                    &self.bucket
                }
                fn expected_owner(&self) -> Option<&str> {
                    self.expected_bucket_owner.as_deref()
                }
            }
        )*
    };
}

macro_rules! at_object {
    ($($input:ty),* $(,)?) => {
        at_bucket!($($input),*);
        $(
            impl AtObject for $input {
                fn key(&self) -> &str {
                    &self.key
                }
                fn version(&self) -> Option<&str> {
                    None
                }
            }
        )*
    };
}

macro_rules! at_version {
    ($($input:ty),* $(,)?) => {
        at_bucket!($($input),*);
        $(
            impl AtObject for $input {
                fn key(&self) -> &str {
                    &self.key
                }
                fn version(&self) -> Option<&str> {
                    self.version_id.as_deref()
                }
            }
        )*
    };
}

at_bucket!(
    DeleteBucketCorsInput,
    DeleteBucketEncryptionInput,
    DeleteBucketInput,
    DeleteBucketLifecycleInput,
    DeleteBucketOwnershipControlsInput,
    DeleteBucketPolicyInput,
    DeleteBucketReplicationInput,
    DeleteBucketTaggingInput,
    DeleteBucketWebsiteInput,
    DeleteObjectsInput,
    DeletePublicAccessBlockInput,
    GetBucketAccelerateConfigurationInput,
    GetBucketAclInput,
    GetBucketCorsInput,
    GetBucketEncryptionInput,
    GetBucketLifecycleConfigurationInput,
    GetBucketLocationInput,
    GetBucketLoggingInput,
    GetBucketNotificationConfigurationInput,
    GetBucketOwnershipControlsInput,
    GetBucketPolicyInput,
    GetBucketPolicyStatusInput,
    GetBucketReplicationInput,
    GetBucketRequestPaymentInput,
    GetBucketTaggingInput,
    GetBucketVersioningInput,
    GetBucketWebsiteInput,
    GetObjectLockConfigurationInput,
    GetPublicAccessBlockInput,
    HeadBucketInput,
    ListMultipartUploadsInput,
    ListObjectVersionsInput,
    ListObjectsInput,
    ListObjectsV2Input,
    PutBucketAclInput,
    PutBucketEncryptionInput,
    PutBucketOwnershipControlsInput,
    PutBucketTaggingInput,
    PutBucketVersioningInput,
    PutObjectLockConfigurationInput,
    PutPublicAccessBlockInput,
);

at_object!(
    AbortMultipartUploadInput,
    CompleteMultipartUploadInput,
    CopyObjectInput,
    CreateMultipartUploadInput,
    ListPartsInput,
    PutObjectInput,
    UploadPartCopyInput,
    UploadPartInput,
);

at_version!(
    DeleteObjectInput,
    DeleteObjectTaggingInput,
    GetObjectAclInput,
    GetObjectAttributesInput,
    GetObjectLegalHoldInput,
    GetObjectRetentionInput,
    GetObjectTaggingInput,
    PutObjectAclInput,
    PutObjectLegalHoldInput,
    PutObjectRetentionInput,
    PutObjectTaggingInput,
);

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    principal: Principal,
    context: Context,
}

/// A caller who may do an operation, at its bucket.
#[derive(Debug, Clone)]
pub(super) struct Access {
    /// Who asks.
    pub(super) caller: Caller,
    /// The bucket as it was when the request came.
    pub(super) bucket: Bucket,
    /// The version that the request names.
    pub(super) version: Option<VersionId>,
}

impl Caller {
    /// A principal, asking.
    pub(super) fn new(principal: Principal, context: Context) -> Self {
        Self { principal, context }
    }

    /// The caller that the gate wrote into a request.
    pub(super) fn of(extensions: &Extensions) -> S3Result<Self> {
        let principal = extensions.get::<Principal>().cloned().ok_or_else(access_denied)?;
        let context = extensions.get::<Context>().cloned().unwrap_or_default();
        Ok(Self::new(principal, context))
    }

    /// Who asks, as other services know it.
    pub(super) fn into_parts(self) -> (Principal, Context) {
        (self.principal, self.context)
    }

    /// The principal's name.
    pub(super) fn name(&self) -> &str {
        &self.principal.name
    }

    /// True for the owner of the store.
    pub(super) fn is_root(&self) -> bool {
        self.principal.kind == PrincipalKind::Root
    }

    /// The one question, asked once for each action.
    pub(super) fn authorize(&self, action: &'static str, resource: Resource<'_>) -> S3Result<()> {
        iam::authorize(&self.principal, action, resource, &self.context).map_err(|denied| {
            tracing::debug!(principal = self.name(), action, reason = denied.reason, "denied");
            access_denied()
        })
    }
}

impl Wire {
    /// A caller at the bucket of a bucket operation.
    pub(super) fn at_bucket<T: AtBucket>(
        &self,
        request: &S3Request<T>,
        operation: Operation,
    ) -> S3Result<Access> {
        let caller = Caller::of(&request.extensions)?;
        check_target(&request.extensions, request.input.bucket(), None)?;
        let bucket = self.objects.bucket(request.input.bucket())?;
        let resource = Resource::Bucket { bucket: bucket.name(), owner: bucket.owner() };
        caller.authorize(operation.action, resource)?;
        check_owner(&bucket, request.input.expected_owner())?;
        Ok(Access { caller, bucket, version: None })
    }

    /// A caller at the bucket of an operation on a key or a version of it.
    pub(super) fn at_object<T: AtObject>(
        &self,
        request: &S3Request<T>,
        operation: Operation,
    ) -> S3Result<Access> {
        let caller = Caller::of(&request.extensions)?;
        let input = &request.input;
        check_target(&request.extensions, input.bucket(), Some(input.key()))?;
        let target = ObjectName {
            bucket: input.bucket(),
            key: input.key(),
            version: input.version(),
            expected_owner: input.expected_owner(),
        };
        self.at_named(caller, operation, target)
    }

    /// A caller at the bucket of a key that is named in another way.
    pub(super) fn at_named(
        &self,
        caller: Caller,
        operation: Operation,
        name: ObjectName<'_>,
    ) -> S3Result<Access> {
        let bucket = self.objects.bucket(name.bucket)?;
        let access = Access { caller, bucket, version: None };
        access.authorize_key(operation, name.key, name.version.is_some())?;
        check_owner(&access.bucket, name.expected_owner)?;
        let version = name.version.map(parse_version).transpose()?;
        Ok(Access { version, ..access })
    }

    /// A caller at each key of a request with many: rights are asked key by key. An unsigned
    /// request is refused whole, as S3 does, instead of key by key.
    pub(super) fn at_keys<T: AtBucket>(&self, request: &S3Request<T>) -> S3Result<Access> {
        let caller = Caller::of(&request.extensions)?;
        if caller.principal.kind == PrincipalKind::Anonymous {
            return Err(access_denied());
        }
        check_target(&request.extensions, request.input.bucket(), None)?;
        let bucket = self.objects.bucket(request.input.bucket())?;
        check_owner(&bucket, request.input.expected_owner())?;
        Ok(Access { caller, bucket, version: None })
    }
}

/// An object as a message names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ObjectName<'a> {
    /// Its bucket.
    pub(super) bucket: &'a str,
    /// Its key.
    pub(super) key: &'a str,
    /// The version named, as the client wrote it.
    pub(super) version: Option<&'a str>,
    /// The owner that the client expects its bucket to have.
    pub(super) expected_owner: Option<&'a str>,
}

impl Access {
    /// May the caller do `operation` on a key, or on a version of it?
    pub(super) fn authorize_key(
        &self,
        operation: Operation,
        key: &str,
        names_version: bool,
    ) -> S3Result<()> {
        let action = match operation.versioned {
            Some(versioned) if names_version => versioned,
            _ => operation.action,
        };
        self.caller.authorize(action, self.resource(key))
    }

    /// May the caller do what it asks for on top?
    pub(super) fn also(&self, extra: Extra, key: &str) -> S3Result<()> {
        let resource = match extra {
            Extra::Absence | Extra::BucketAcl => {
                Resource::Bucket { bucket: self.bucket.name(), owner: self.bucket.owner() }
            }
            _ => self.resource(key),
        };
        self.caller.authorize(extra.action(), resource)
    }

    /// The object that the request names. Only who may list learns that it does not exist.
    pub(super) async fn object(&self, key: &str) -> S3Result<Object> {
        match self.bucket.object(key, self.version).await {
            Err(ObjectError::NoSuchKey { marker }) => {
                self.also(Extra::Absence, key)?;
                Err(ObjectError::NoSuchKey { marker }.into())
            }
            found => Ok(found?),
        }
    }

    fn resource<'a>(&'a self, key: &'a str) -> Resource<'a> {
        Resource::Object { bucket: self.bucket.name(), owner: self.bucket.owner(), key }
    }
}

/// The answer "no".
pub(super) fn access_denied() -> S3Error {
    s3_error!(AccessDenied, "Access Denied")
}

/// The principal of that name, as S3 shows owners.
pub(super) fn owner_of(name: &str) -> Owner {
    Owner { id: Some(canonical_id(name)), display_name: None }
}

/// The 64 hex digits that stand for a principal.
pub(super) fn canonical_id(name: &str) -> String {
    Principal { name: name.into(), kind: PrincipalKind::User }.canonical_id()
}

/// Reads a version id.
pub(super) fn parse_version(text: &str) -> S3Result<VersionId> {
    if text.is_empty() {
        return Err(s3_error!(InvalidArgument, "Version id cannot be the empty string"));
    }
    Ok(text.parse::<VersionId>()?)
}

/// `x-amz-expected-bucket-owner`: the owner's canonical id or its name.
fn check_owner(bucket: &Bucket, expected: Option<&str>) -> S3Result<()> {
    let Some(expected) = expected else { return Ok(()) };
    let owner = bucket.owner();
    if expected == owner || expected == canonical_id(owner) { Ok(()) } else { Err(access_denied()) }
}
