//! The object model on the key-value engine: buckets, keys, versions, uploads, locks.
//!
//! It knows no HTTP and no XML; who may do what was decided before a call arrives here.
//!
//! - A bucket is a catalog record and two spaces of the engine: `objects` (a name is a key) and
//!   `uploads` (multipart uploads and their parts).
//! - Everything that depends on a bucket's configuration is committed on the condition that the
//!   configuration is still the one that was read; else it is read again.
//! - A vector that is bound to a version is written, locked and removed in the version's batch.
//! - Every condition of a client is decided by the engine's sequencer, never here.
//!
//! Entry: [`Objects::bucket`] gives a [`Bucket`], whose methods are the operations.

mod assembly;
mod binding;
mod bound_versions;
mod bucket;
mod bucket_name;
mod bucket_record;
mod bucket_settings;
mod checksum;
mod commit;
mod complete;
mod condition;
mod copy;
mod delete;
mod digest;
mod ended;
mod error;
mod etag;
mod fields;
mod get;
mod intake;
mod key;
mod label;
mod limits;
mod list;
mod list_uploads;
mod lock;
mod meta;
mod page_token;
mod part;
mod part_copy;
mod put;
mod range;
mod record;
mod store;
mod tags;
mod upload;
mod upload_id;
mod upload_record;
mod version_id;

pub use binding::{Bind, Binding, BoundIndexes};
pub use bound_versions::{BoundVersion, for_each_bound};
pub use bucket::{Bucket, BucketPage, Created, ListBuckets, NewBucket};
pub use bucket_name::check_bucket_name;
pub use bucket_record::{
    BucketEncryption, BucketRecord, DefaultRetention, LockConfiguration, Ownership,
    PublicAccessBlock, RetentionPeriod, Versioning,
};
pub use checksum::{Checksum, PartChecksum};
pub use complete::{Complete, CompletePart, Completed};
pub use condition::{DeleteConditions, EtagPattern, ReadConditions, ReadVerdict, WriteConditions};
pub use copy::{Copied, Copy, MetadataDirective, TaggingDirective};
pub use delete::{Delete, Deleted};
pub use error::{ObjectError, Result};
pub use etag::ETag;
pub use get::{Object, ObjectInfo};
pub use limits::*;
pub use list::{List, ListItem, ListPage, VersionList, VersionMarker, VersionPage};
pub use list_uploads::{PartList, PartPage, UploadList, UploadMarker, UploadPage};
pub use lock::LockRequest;
pub use meta::{Attributes, ContentHeaders, Encryption, ObjectMeta, PartMeta, StorageClass};
pub use page_token::PageToken;
pub use part::{PartInfo, PutPart};
pub use part_copy::{CopiedPart, CopyPart};
pub use put::{BodyFault, Put, Stored};
pub use range::ByteRange;
pub use store::{Objects, Settings, SmallParts};
pub use tags::{TagSet, TagTarget};
pub use upload::{NewUpload, UploadInfo};
pub use upload_id::UploadId;
pub use version_id::VersionId;

pub use storage_engine::{Bypass, LegalHold, Retention, RetentionMode, ValueReader};

#[cfg(test)]
mod tests;
