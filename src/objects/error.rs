//! What can go wrong in the object model: one variant per situation, one table of what S3 calls it.
//!
//! The table is exhaustive: a new variant does not compile before it has a code, a status and a
//! message.

use std::fmt;

use storage_engine::{Error as EngineError, Missing, Shortage};

use super::version_id::VersionId;
use crate::checksum::Algorithm;
use crate::server::body::BodyError;

/// Result of an operation on the object model.
pub type Result<T, E = ObjectError> = std::result::Result<T, E>;

/// One situation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectError {
    /// No bucket of that name.
    NoSuchBucket,
    /// Somebody else has a bucket of that name.
    BucketAlreadyExists,
    /// The caller has a bucket of that name already.
    BucketAlreadyOwnedByYou,
    /// The store has as many buckets as it can.
    TooManyBuckets,
    /// The bucket still holds versions.
    BucketNotEmpty,
    /// Not a name a bucket can have.
    InvalidBucketName,
    /// Not a location.
    InvalidLocationConstraint,
    /// The bucket's state does not allow the change.
    InvalidBucketState(&'static str),
    /// Vectors stand in the way of the change: why.
    VectorConflict(String),
    /// What depends on each other kept changing.
    OperationAborted,
    /// The content that was found was removed before it was used: who asked looks again.
    ContentGone,
    /// The bucket has no tags.
    NoSuchTagSet,
    /// The bucket has no public access block.
    NoSuchPublicAccessBlock,
    /// The bucket has no ownership controls.
    NoOwnershipControls,
    /// The bucket has no object lock.
    NoLockConfiguration,

    /// No such key, or its newest version is a delete marker: then which.
    NoSuchKey {
        /// The delete marker, when one is in the way.
        marker: Option<VersionId>,
    },
    /// The version asked for is a delete marker.
    IsMarker {
        /// The marker.
        version: VersionId,
        /// When it was made, ms since 1970.
        time_ms: u64,
    },
    /// The key has no such version.
    NoSuchVersion,
    /// Text that is no version id.
    InvalidVersionId,
    /// The key is longer than [`super::KEY_BYTES_MAX`].
    KeyTooLong,
    /// User metadata is larger than [`super::USER_METADATA_BYTES_MAX`].
    MetadataTooLarge,
    /// A condition did not hold: its name.
    PreconditionFailed(&'static str),
    /// The range has no byte of the object: its size.
    InvalidRange {
        /// Size of the object in bytes.
        size: u64,
    },
    /// The object has no such part.
    NoSuchPart,
    /// A storage class that is not kept here.
    InvalidStorageClass,
    /// Tags outside the rules.
    InvalidTag(&'static str),
    /// A redirect outside the rules.
    InvalidRedirectLocation(&'static str),

    /// The content does not have the MD5 that was promised.
    BadMd5,
    /// The content does not have the checksum that was promised.
    BadChecksum(Algorithm),
    /// The body ended before or after the promised length.
    IncompleteBody,
    /// Larger than one request may make.
    EntityTooLarge,
    /// The body failed on its way in.
    Body(BodyError),

    /// No such upload, or it ended.
    NoSuchUpload,
    /// A part is missing or is not the one that was named.
    InvalidPart,
    /// Parts were not named in ascending order.
    InvalidPartOrder,
    /// A part that is not the last one is too small.
    EntityTooSmall {
        /// The part.
        part: u16,
        /// Its size in bytes.
        size: u64,
    },

    /// A lock forbids it.
    Locked,
    /// The version has no retention or no legal hold.
    NoSuchLock,

    /// A value outside the rules, in words for the client.
    InvalidArgument(String),
    /// A request that makes no sense, in words for the client.
    InvalidRequest(String),
    /// A request whose document makes no sense.
    MalformedDocument(&'static str),

    /// No room for new data.
    NoSpace,
    /// Too much in flight.
    SlowDown,
    /// The store failed; what happened was logged where it was seen.
    Internal,
}

impl ObjectError {
    /// S3's code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchBucket => "NoSuchBucket",
            Self::BucketAlreadyExists => "BucketAlreadyExists",
            Self::BucketAlreadyOwnedByYou => "BucketAlreadyOwnedByYou",
            Self::TooManyBuckets => "TooManyBuckets",
            Self::BucketNotEmpty => "BucketNotEmpty",
            Self::InvalidBucketName => "InvalidBucketName",
            Self::InvalidLocationConstraint => "InvalidLocationConstraint",
            Self::InvalidBucketState(_) => "InvalidBucketState",
            Self::VectorConflict(_) => "Conflict",
            Self::OperationAborted | Self::ContentGone => "OperationAborted",
            Self::NoSuchTagSet => "NoSuchTagSet",
            Self::NoSuchPublicAccessBlock => "NoSuchPublicAccessBlockConfiguration",
            Self::NoOwnershipControls => "OwnershipControlsNotFoundError",
            Self::NoLockConfiguration => "ObjectLockConfigurationNotFoundError",
            Self::NoSuchKey { .. } => "NoSuchKey",
            Self::IsMarker { .. } => "MethodNotAllowed",
            Self::NoSuchVersion => "NoSuchVersion",
            Self::KeyTooLong => "KeyTooLongError",
            Self::MetadataTooLarge => "MetadataTooLarge",
            Self::PreconditionFailed(_) => "PreconditionFailed",
            Self::InvalidRange { .. } => "InvalidRange",
            Self::NoSuchPart => "InvalidPartNumber",
            Self::InvalidStorageClass => "InvalidStorageClass",
            Self::InvalidTag(_) => "InvalidTag",
            Self::InvalidRedirectLocation(_) => "InvalidRedirectLocation",
            Self::BadMd5 | Self::BadChecksum(_) => "BadDigest",
            Self::IncompleteBody => "IncompleteBody",
            Self::EntityTooLarge => "EntityTooLarge",
            Self::Body(error) => error.code,
            Self::NoSuchUpload => "NoSuchUpload",
            Self::InvalidPart => "InvalidPart",
            Self::InvalidPartOrder => "InvalidPartOrder",
            Self::EntityTooSmall { .. } => "EntityTooSmall",
            Self::Locked => "AccessDenied",
            Self::NoSuchLock => "NoSuchObjectLockConfiguration",
            Self::InvalidVersionId | Self::InvalidArgument(_) => "InvalidArgument",
            Self::InvalidRequest(_) => "InvalidRequest",
            Self::MalformedDocument(_) => "MalformedXML",
            Self::NoSpace => "InsufficientStorage",
            Self::SlowDown => "SlowDown",
            Self::Internal => "InternalError",
        }
    }

    /// The status that goes with the code.
    pub fn status(&self) -> u16 {
        match self {
            Self::Locked => 403,
            Self::NoSuchBucket
            | Self::NoSuchTagSet
            | Self::NoSuchPublicAccessBlock
            | Self::NoOwnershipControls
            | Self::NoLockConfiguration
            | Self::NoSuchKey { .. }
            | Self::NoSuchVersion
            | Self::NoSuchUpload
            | Self::NoSuchLock => 404,
            Self::IsMarker { .. } => 405,
            Self::BucketAlreadyExists
            | Self::BucketAlreadyOwnedByYou
            | Self::BucketNotEmpty
            | Self::InvalidBucketState(_)
            | Self::VectorConflict(_)
            | Self::OperationAborted
            | Self::ContentGone => 409,
            Self::PreconditionFailed(_) => 412,
            Self::InvalidRange { .. } | Self::NoSuchPart => 416,
            Self::InvalidBucketName
            | Self::TooManyBuckets
            | Self::InvalidLocationConstraint
            | Self::InvalidVersionId
            | Self::KeyTooLong
            | Self::MetadataTooLarge
            | Self::InvalidStorageClass
            | Self::InvalidTag(_)
            | Self::InvalidRedirectLocation(_)
            | Self::BadMd5
            | Self::BadChecksum(_)
            | Self::IncompleteBody
            | Self::EntityTooLarge
            | Self::InvalidPart
            | Self::InvalidPartOrder
            | Self::EntityTooSmall { .. }
            | Self::InvalidArgument(_)
            | Self::InvalidRequest(_)
            | Self::MalformedDocument(_) => 400,
            Self::Body(error) => error.status,
            Self::NoSpace => 507,
            Self::SlowDown => 503,
            Self::Internal => 500,
        }
    }

    /// Words for the client, AWS's where AWS has some.
    pub fn message(&self) -> String {
        let fixed = match self {
            Self::NoSuchBucket => "The specified bucket does not exist",
            Self::BucketAlreadyExists => {
                "The requested bucket name is not available. The bucket namespace is shared by \
                 all users of the system. Please select a different name and try again."
            }
            Self::BucketAlreadyOwnedByYou => {
                "Your previous request to create the named bucket succeeded and you already own it."
            }
            Self::TooManyBuckets => "You have attempted to create more buckets than allowed",
            Self::BucketNotEmpty => "The bucket you tried to delete is not empty",
            Self::InvalidBucketName => "The specified bucket is not valid.",
            Self::InvalidLocationConstraint => "The specified location-constraint is not valid",
            Self::OperationAborted | Self::ContentGone => {
                "A conflicting conditional operation is currently in progress against this \
                 resource. Please try again."
            }
            Self::NoSuchTagSet => "The TagSet does not exist",
            Self::NoSuchPublicAccessBlock => "The public access block configuration was not found",
            Self::NoOwnershipControls => "The bucket ownership controls were not found",
            Self::NoLockConfiguration => "Object Lock configuration does not exist for this bucket",
            Self::NoSuchKey { .. } => "The specified key does not exist.",
            Self::IsMarker { .. } => "The specified method is not allowed against this resource.",
            Self::NoSuchVersion => "The specified version does not exist.",
            Self::InvalidVersionId => "Invalid version id specified",
            Self::KeyTooLong => "Your key is too long",
            Self::MetadataTooLarge => {
                "Your metadata headers exceed the maximum allowed metadata size"
            }
            Self::PreconditionFailed(_) => {
                "At least one of the pre-conditions you specified did not hold"
            }
            Self::InvalidRange { .. } => "The requested range is not satisfiable",
            Self::NoSuchPart => "The requested partnumber is not satisfiable",
            Self::InvalidStorageClass => "The storage class you specified is not valid",
            Self::BadMd5 => "The Content-MD5 you specified did not match what we received.",
            Self::IncompleteBody => {
                "You did not provide the number of bytes specified by the Content-Length HTTP \
                 header"
            }
            Self::EntityTooLarge => "Your proposed upload exceeds the maximum allowed size",
            Self::NoSuchUpload => {
                "The specified upload does not exist. The upload ID may be invalid, or the upload \
                 may have been aborted or completed."
            }
            Self::InvalidPart => {
                "One or more of the specified parts could not be found.  The part may not have \
                 been uploaded, or the specified entity tag may not match the part's entity tag."
            }
            Self::InvalidPartOrder => {
                "The list of parts was not in ascending order. Parts must be ordered by part \
                 number."
            }
            Self::EntityTooSmall { .. } => {
                "Your proposed upload is smaller than the minimum allowed size"
            }
            Self::Locked => "Access Denied because object protected by object lock.",
            Self::NoSuchLock => "The specified object does not have a ObjectLock configuration",
            Self::NoSpace => "There is not enough space on the device for this request.",
            Self::SlowDown => "Please reduce your request rate.",
            Self::Internal => "We encountered an internal error. Please try again.",
            Self::InvalidBucketState(text)
            | Self::InvalidTag(text)
            | Self::InvalidRedirectLocation(text)
            | Self::MalformedDocument(text) => text,
            Self::InvalidArgument(text)
            | Self::InvalidRequest(text)
            | Self::VectorConflict(text) => text,
            Self::Body(error) => &error.message,
            Self::BadChecksum(algorithm) => {
                return format!(
                    "The {} you specified did not match the calculated checksum.",
                    algorithm.name()
                );
            }
        };
        fixed.to_owned()
    }

    /// An [`ObjectError::InvalidArgument`].
    pub(super) fn argument(text: impl Into<String>) -> Self {
        Self::InvalidArgument(text.into())
    }

    /// An [`ObjectError::InvalidRequest`].
    pub(super) fn request(text: impl Into<String>) -> Self {
        Self::InvalidRequest(text.into())
    }
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.message())
    }
}

impl std::error::Error for ObjectError {}

impl From<BodyError> for ObjectError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

/// What an engine error means to a client when the caller did not expect it. Failures of the store
/// are logged here, once: nobody above learns more than "internal".
impl From<EngineError> for ObjectError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Locked { .. } => Self::Locked,
            EngineError::NotFound(Missing::Space(_)) => Self::NoSuchBucket,
            EngineError::NotFound(Missing::Version) => Self::NoSuchKey { marker: None },
            EngineError::NotFound(Missing::Blob) => Self::ContentGone,
            EngineError::Condition { .. } => Self::OperationAborted,
            EngineError::Busy(Shortage::Space) => Self::NoSpace,
            EngineError::Busy(Shortage::Queue) => Self::SlowDown,
            error => {
                tracing::error!(%error, "the engine failed a request");
                Self::Internal
            }
        }
    }
}
