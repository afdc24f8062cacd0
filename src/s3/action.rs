//! Which action each operation needs: the one table between S3's operations and the names that
//! policies use.
//!
//! - An operation on a named version asks for the version's action instead of the current one's.
//! - What a request asks for on top (tags, a lock, the right to bypass one) is an [`Extra`], asked
//!   for as well.
//! - An operation that is not in the table is not built; s3s answers it with `NotImplemented`.

/// What an operation is about and what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operation {
    /// S3's name of it.
    pub(super) name: &'static str,
    /// The action it needs.
    pub(super) action: &'static str,
    /// The action it needs instead when it names a version.
    pub(super) versioned: Option<&'static str>,
}

macro_rules! extras {
    ($($(#[$meaning:meta])* $extra:ident = $action:literal;)*) => {
        /// Rights a request needs on top of its operation's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Extra {
            $($(#[$meaning])* $extra,)*
        }

        impl Extra {
            /// Every one.
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$extra),*];

            /// The action it needs.
            pub(super) const fn action(self) -> &'static str {
                match self {
                    $(Self::$extra => concat!("s3:", $action),)*
                }
            }
        }
    };
}

extras! {
    /// Sets tags with the object.
    Tags = "PutObjectTagging";
    /// Reads the source's tags in a copy.
    SourceTags = "GetObjectTagging";
    /// Sets a retention with the object.
    Retention = "PutObjectRetention";
    /// Sets a legal hold with the object.
    LegalHold = "PutObjectLegalHold";
    /// Names a canned ACL with the object.
    ObjectAcl = "PutObjectAcl";
    /// Names a canned ACL with the bucket.
    BucketAcl = "PutBucketAcl";
    /// Lifts a governance retention.
    Bypass = "BypassGovernanceRetention";
    /// Reads an object's attributes.
    Attributes = "GetObjectAttributes";
    /// Reads a version's attributes.
    VersionAttributes = "GetObjectVersionAttributes";
    /// Learns that a key does not exist.
    Absence = "ListBucket";
    /// Sees a version's retention in its headers.
    SeeRetention = "GetObjectRetention";
    /// Sees a version's legal hold in its headers.
    SeeLegalHold = "GetObjectLegalHold";
    /// Makes a bucket with object lock.
    BucketLock = "PutBucketObjectLockConfiguration";
    /// Makes a bucket with versioning.
    BucketVersioning = "PutBucketVersioning";
    /// Makes a bucket with an ownership of its own.
    BucketOwnership = "PutBucketOwnershipControls";
    /// Makes a bucket with tags.
    BucketTags = "TagResource";
}

macro_rules! operations {
    ($($constant:ident = $name:literal : $action:literal $(| $versioned:literal)?;)*) => {
        $(
            pub(super) const $constant: Operation = Operation {
                name: $name,
                action: concat!("s3:", $action),
                versioned: operations!(@versioned $($versioned)?),
            };
        )*

        /// Every operation that is built.
        #[cfg(test)]
        pub(super) const ALL: &[Operation] = &[$($constant),*];
    };
    (@versioned) => { None };
    (@versioned $versioned:literal) => { Some(concat!("s3:", $versioned)) };
}

operations! {
    ABORT_MULTIPART_UPLOAD = "AbortMultipartUpload": "AbortMultipartUpload";
    COMPLETE_MULTIPART_UPLOAD = "CompleteMultipartUpload": "PutObject";
    COPY_OBJECT = "CopyObject": "PutObject";
    CREATE_BUCKET = "CreateBucket": "CreateBucket";
    CREATE_MULTIPART_UPLOAD = "CreateMultipartUpload": "PutObject";
    DELETE_BUCKET = "DeleteBucket": "DeleteBucket";
    DELETE_BUCKET_CORS = "DeleteBucketCors": "PutBucketCORS";
    DELETE_BUCKET_ENCRYPTION = "DeleteBucketEncryption": "PutEncryptionConfiguration";
    DELETE_BUCKET_LIFECYCLE = "DeleteBucketLifecycle": "PutLifecycleConfiguration";
    DELETE_BUCKET_OWNERSHIP_CONTROLS =
        "DeleteBucketOwnershipControls": "PutBucketOwnershipControls";
    DELETE_BUCKET_POLICY = "DeleteBucketPolicy": "DeleteBucketPolicy";
    DELETE_BUCKET_REPLICATION = "DeleteBucketReplication": "PutReplicationConfiguration";
    DELETE_BUCKET_TAGGING = "DeleteBucketTagging": "PutBucketTagging";
    DELETE_BUCKET_WEBSITE = "DeleteBucketWebsite": "DeleteBucketWebsite";
    DELETE_OBJECT = "DeleteObject": "DeleteObject" | "DeleteObjectVersion";
    DELETE_OBJECT_TAGGING =
        "DeleteObjectTagging": "DeleteObjectTagging" | "DeleteObjectVersionTagging";
    DELETE_OBJECTS = "DeleteObjects": "DeleteObject" | "DeleteObjectVersion";
    DELETE_PUBLIC_ACCESS_BLOCK = "DeletePublicAccessBlock": "PutBucketPublicAccessBlock";
    GET_BUCKET_ACCELERATE_CONFIGURATION =
        "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration";
    GET_BUCKET_ACL = "GetBucketAcl": "GetBucketAcl";
    GET_BUCKET_CORS = "GetBucketCors": "GetBucketCORS";
    GET_BUCKET_ENCRYPTION = "GetBucketEncryption": "GetEncryptionConfiguration";
    GET_BUCKET_LIFECYCLE_CONFIGURATION =
        "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration";
    GET_BUCKET_LOCATION = "GetBucketLocation": "GetBucketLocation";
    GET_BUCKET_LOGGING = "GetBucketLogging": "GetBucketLogging";
    GET_BUCKET_NOTIFICATION_CONFIGURATION =
        "GetBucketNotificationConfiguration": "GetBucketNotification";
    GET_BUCKET_OWNERSHIP_CONTROLS = "GetBucketOwnershipControls": "GetBucketOwnershipControls";
    GET_BUCKET_POLICY = "GetBucketPolicy": "GetBucketPolicy";
    GET_BUCKET_POLICY_STATUS = "GetBucketPolicyStatus": "GetBucketPolicyStatus";
    GET_BUCKET_REPLICATION = "GetBucketReplication": "GetReplicationConfiguration";
    GET_BUCKET_REQUEST_PAYMENT = "GetBucketRequestPayment": "GetBucketRequestPayment";
    GET_BUCKET_TAGGING = "GetBucketTagging": "GetBucketTagging";
    GET_BUCKET_VERSIONING = "GetBucketVersioning": "GetBucketVersioning";
    GET_BUCKET_WEBSITE = "GetBucketWebsite": "GetBucketWebsite";
    GET_OBJECT = "GetObject": "GetObject" | "GetObjectVersion";
    GET_OBJECT_ACL = "GetObjectAcl": "GetObjectAcl" | "GetObjectVersionAcl";
    GET_OBJECT_ATTRIBUTES = "GetObjectAttributes": "GetObject" | "GetObjectVersion";
    GET_OBJECT_LEGAL_HOLD = "GetObjectLegalHold": "GetObjectLegalHold";
    GET_OBJECT_LOCK_CONFIGURATION =
        "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration";
    GET_OBJECT_RETENTION = "GetObjectRetention": "GetObjectRetention";
    GET_OBJECT_TAGGING = "GetObjectTagging": "GetObjectTagging" | "GetObjectVersionTagging";
    GET_PUBLIC_ACCESS_BLOCK = "GetPublicAccessBlock": "GetBucketPublicAccessBlock";
    HEAD_BUCKET = "HeadBucket": "ListBucket";
    HEAD_OBJECT = "HeadObject": "GetObject" | "GetObjectVersion";
    LIST_BUCKETS = "ListBuckets": "ListAllMyBuckets";
    LIST_MULTIPART_UPLOADS = "ListMultipartUploads": "ListBucketMultipartUploads";
    LIST_OBJECT_VERSIONS = "ListObjectVersions": "ListBucketVersions";
    LIST_OBJECTS = "ListObjects": "ListBucket";
    LIST_OBJECTS_V2 = "ListObjectsV2": "ListBucket";
    LIST_PARTS = "ListParts": "ListMultipartUploadParts";
    PUT_BUCKET_ACL = "PutBucketAcl": "PutBucketAcl";
    PUT_BUCKET_ENCRYPTION = "PutBucketEncryption": "PutEncryptionConfiguration";
    PUT_BUCKET_OWNERSHIP_CONTROLS = "PutBucketOwnershipControls": "PutBucketOwnershipControls";
    PUT_BUCKET_TAGGING = "PutBucketTagging": "PutBucketTagging";
    PUT_BUCKET_VERSIONING = "PutBucketVersioning": "PutBucketVersioning";
    PUT_OBJECT = "PutObject": "PutObject";
    PUT_OBJECT_ACL = "PutObjectAcl": "PutObjectAcl" | "PutObjectVersionAcl";
    PUT_OBJECT_LEGAL_HOLD = "PutObjectLegalHold": "PutObjectLegalHold";
    PUT_OBJECT_LOCK_CONFIGURATION =
        "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration";
    PUT_OBJECT_RETENTION = "PutObjectRetention": "PutObjectRetention";
    PUT_OBJECT_TAGGING = "PutObjectTagging": "PutObjectTagging" | "PutObjectVersionTagging";
    PUT_PUBLIC_ACCESS_BLOCK = "PutPublicAccessBlock": "PutBucketPublicAccessBlock";
    UPLOAD_PART = "UploadPart": "PutObject";
    UPLOAD_PART_COPY = "UploadPartCopy": "PutObject";
}

/// The read that a copy does on its source.
pub(super) const COPY_SOURCE: Operation = GET_OBJECT;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn snake_case(name: &str) -> String {
        let mut snake = String::new();
        for (index, letter) in name.char_indices() {
            if letter.is_ascii_uppercase() && index > 0 {
                snake.push('_');
            }
            snake.push(letter.to_ascii_lowercase());
        }
        snake
    }

    #[test]
    fn every_built_operation_has_a_row_and_every_row_is_built() {
        let rows: BTreeSet<_> = ALL.iter().map(|operation| snake_case(operation.name)).collect();
        assert_eq!(rows.len(), ALL.len(), "a row twice");
        let built: BTreeSet<_> =
            super::super::BUILT.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(rows, built);
    }

    #[test]
    fn actions_are_named_as_aws_names_them() {
        let extras = Extra::ALL.iter().map(|extra| extra.action());
        let actions =
            ALL.iter().flat_map(|operation| [Some(operation.action), operation.versioned]);
        for action in actions.flatten().chain(extras) {
            let name = action.strip_prefix("s3:").unwrap();
            assert!(name.starts_with(|c: char| c.is_ascii_uppercase()), "{action}");
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{action}");
        }
    }

    #[test]
    fn reading_and_removing_a_version_need_the_versions_action() {
        for operation in ALL.iter().filter(|operation| operation.versioned.is_some()) {
            let versioned = operation.versioned.unwrap();
            assert!(versioned.contains("Version"), "{operation:?}");
            assert_ne!(versioned, operation.action);
        }
        assert_eq!(GET_OBJECT.versioned, Some("s3:GetObjectVersion"));
        assert_eq!(HEAD_OBJECT.versioned, Some("s3:GetObjectVersion"));
        assert_eq!(DELETE_OBJECT.versioned, Some("s3:DeleteObjectVersion"));
        assert_eq!(COPY_SOURCE, GET_OBJECT);
    }
}
