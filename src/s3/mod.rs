//! The S3 wire: what clients say and hear, in s3s' types on one side and the objects' on the other.
//!
//! - An operation is one line below; its family's file converts the message, calls the objects and
//!   converts the answer. No rule about objects lives here, and no name of s3s lives elsewhere.
//! - The two reads, [`ReadKind`], are answered from the head that the gate verified, and do not go
//!   through s3s.
//! - Every operation learns its caller and its bucket through [`caller`], which asks
//!   [`crate::iam::authorize`] for the action that the table in [`action`] names.
//! - A handler answers nothing but what the gate saw: [`gated`].
//! - An operation or a header that is not built answers `NotImplemented`, never success.

mod acl;
mod action;
mod attributes;
mod binding;
mod body;
mod bucket;
mod bucket_settings;
mod caller;
mod checksum_fields;
mod condition;
mod copy;
mod delete;
mod encoding;
mod error;
mod gated;
mod get;
mod list;
mod list_versions_xml;
mod lock;
mod multipart;
mod properties;
mod put;
mod read;
mod refusal;
mod service;
#[cfg(test)]
mod service_tests;
mod tagging;
mod unconfigured;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};

pub use self::read::{ReadKind, ReadRequest};
pub use self::service::{Service, service};
use crate::objects::Objects;
use crate::vectors;

/// The adapter: the only implementation of s3s' trait.
#[derive(Debug, Clone)]
struct Wire {
    objects: Objects,
    /// Where vectors are that objects may be bound to; none: nowhere.
    vectors: Option<vectors::Service>,
}

macro_rules! operations {
    ($($operation:ident($input:ty) -> $output:ty = $($handler:ident)::+;)*) => {
        #[async_trait::async_trait]
        impl S3 for Wire {
            $(
                async fn $operation(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                    gated::check_operation(&request.extensions, stringify!($operation))?;
                    $($handler)::+(self, request).await
                }
            )*

            async fn post_object(&self, _: S3Request<PostObjectInput>) -> S3Result<S3Response<PostObjectOutput>> {
                Err(s3s::s3_error!(NotImplemented, "POST of a browser form is not implemented"))
            }
        }

        /// What is built, as the trait names it: the reads, which do not go through it, too.
        #[cfg(test)]
        const BUILT: &[&str] = &["get_object", "head_object", $(stringify!($operation)),*];
    };
}

operations! {
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = multipart::abort;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = multipart::complete;
    copy_object(CopyObjectInput) -> CopyObjectOutput = copy::copy_object;
    create_bucket(CreateBucketInput) -> CreateBucketOutput = bucket::create;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = multipart::create;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = bucket::delete;
    delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput = unconfigured::delete_cors;
    delete_bucket_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput = bucket_settings::delete_encryption;
    delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput = unconfigured::delete_lifecycle;
    delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput) -> DeleteBucketOwnershipControlsOutput = bucket_settings::delete_ownership;
    delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput = unconfigured::delete_policy;
    delete_bucket_replication(DeleteBucketReplicationInput) -> DeleteBucketReplicationOutput = unconfigured::delete_replication;
    delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput = tagging::delete_bucket_tags;
    delete_bucket_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput = unconfigured::delete_website;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput = delete::delete_object;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput = tagging::delete_object_tags;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = delete::delete_objects;
    delete_public_access_block(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput = bucket_settings::delete_public_access;
    get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput = unconfigured::get_accelerate;
    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput = acl::get_bucket_acl;
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput = unconfigured::get_cors;
    get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput = bucket_settings::get_encryption;
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput = unconfigured::get_lifecycle;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = bucket::location;
    get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput = unconfigured::get_logging;
    get_bucket_notification_configuration(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput = unconfigured::get_notification;
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput = bucket_settings::get_ownership;
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput = unconfigured::get_policy;
    get_bucket_policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput = unconfigured::get_policy_status;
    get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput = unconfigured::get_replication;
    get_bucket_request_payment(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput = unconfigured::get_request_payment;
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput = tagging::get_bucket_tags;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = bucket_settings::get_versioning;
    get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput = unconfigured::get_website;
    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput = acl::get_object_acl;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput = attributes::get_attributes;
    get_object_legal_hold(GetObjectLegalHoldInput) -> GetObjectLegalHoldOutput = lock::get_legal_hold;
    get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput = lock::get_configuration;
    get_object_retention(GetObjectRetentionInput) -> GetObjectRetentionOutput = lock::get_retention;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput = tagging::get_object_tags;
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput = bucket_settings::get_public_access;
    head_bucket(HeadBucketInput) -> HeadBucketOutput = bucket::head;
    list_buckets(ListBucketsInput) -> ListBucketsOutput = bucket::list;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = multipart::list_uploads;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput = list::list_versions;
    list_objects(ListObjectsInput) -> ListObjectsOutput = list::list_objects;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = list::list_objects_v2;
    list_parts(ListPartsInput) -> ListPartsOutput = multipart::list_parts;
    put_bucket_acl(PutBucketAclInput) -> PutBucketAclOutput = acl::put_bucket_acl;
    put_bucket_encryption(PutBucketEncryptionInput) -> PutBucketEncryptionOutput = bucket_settings::put_encryption;
    put_bucket_ownership_controls(PutBucketOwnershipControlsInput) -> PutBucketOwnershipControlsOutput = bucket_settings::put_ownership;
    put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput = tagging::put_bucket_tags;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput = bucket_settings::put_versioning;
    put_object(PutObjectInput) -> PutObjectOutput = put::put_object;
    put_object_acl(PutObjectAclInput) -> PutObjectAclOutput = acl::put_object_acl;
    put_object_legal_hold(PutObjectLegalHoldInput) -> PutObjectLegalHoldOutput = lock::put_legal_hold;
    put_object_lock_configuration(PutObjectLockConfigurationInput) -> PutObjectLockConfigurationOutput = lock::put_configuration;
    put_object_retention(PutObjectRetentionInput) -> PutObjectRetentionOutput = lock::put_retention;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput = tagging::put_object_tags;
    put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput = bucket_settings::put_public_access;
    upload_part(UploadPartInput) -> UploadPartOutput = multipart::upload_part;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = copy::upload_part_copy;
}
