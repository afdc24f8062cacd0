//! The catalog record of a bucket: its configuration, as JSON.

use serde::{Deserialize, Serialize};
use storage_engine::{RetentionMode, SpaceId};

use super::error::{ObjectError, Result};
use super::limits::{RETENTION_DAYS_MAX, RETENTION_YEARS_MAX};

/// A bucket's record. Fields that a record lacks read as what they were before they existed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRecord {
    /// Format version of the record.
    pub(super) format: u32,
    /// Name.
    pub name: String,
    /// Name of the principal that owns it.
    pub owner: String,
    /// When it was made, ms since 1970.
    pub created_ms: u64,
    /// Region, as `GetBucketLocation` answers it; empty for `us-east-1`.
    pub region: String,
    /// Versioning.
    pub versioning: Versioning,
    /// Object lock, when the bucket has it. Never taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<LockConfiguration>,
    /// Object ownership, when it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<Ownership>,
    /// Public access block, when it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_access_block: Option<PublicAccessBlock>,
    /// Tags; empty: none were set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(String, String)>,
    /// Default encryption.
    #[serde(default)]
    pub encryption: BucketEncryption,
    /// True once the bucket may hold versions with bound vectors. Never taken away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) bound: bool,
    /// Space of the keys.
    pub(super) objects: u32,
    /// Space of uploads and parts.
    pub(super) uploads: u32,
}

/// Versioning of a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versioning {
    /// Never enabled.
    #[default]
    Unversioned,
    /// Every write is a new version.
    Enabled,
    /// Writes are the null version again; older versions stay.
    Suspended,
}

/// Object lock of a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockConfiguration {
    /// Retention of versions that come without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<DefaultRetention>,
}

/// Retention of versions that come without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultRetention {
    /// Who may lift it early.
    #[serde(with = "mode")]
    pub mode: RetentionMode,
    /// How long it lasts.
    pub period: RetentionPeriod,
}

/// Length of a default retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionPeriod {
    /// Days.
    Days(u32),
    /// Years of 365 days.
    Years(u32),
}

/// Who owns objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ownership {
    /// The bucket's owner, always; access control lists are off.
    BucketOwnerEnforced,
    /// The bucket's owner, when the writer says so.
    BucketOwnerPreferred,
    /// The writer.
    ObjectWriter,
}

/// The four switches against public access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "these are S3's four switches")]
pub struct PublicAccessBlock {
    /// Refuse new public access control lists.
    pub block_public_acls: bool,
    /// Ignore public access control lists.
    pub ignore_public_acls: bool,
    /// Refuse new public policies.
    pub block_public_policy: bool,
    /// Let only the owner use a public policy.
    pub restrict_public_buckets: bool,
}

impl PublicAccessBlock {
    /// What a new bucket has.
    pub const ALL: Self = Self {
        block_public_acls: true,
        ignore_public_acls: true,
        block_public_policy: true,
        restrict_public_buckets: true,
    };
}

/// Default encryption of a bucket: SSE-S3, always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketEncryption {
    /// `BucketKeyEnabled`, kept and given back.
    pub bucket_key: bool,
}

impl BucketRecord {
    /// The format version that this software writes.
    pub(super) const FORMAT: u32 = 1;

    /// Space of the keys.
    pub(super) fn objects(&self) -> SpaceId {
        SpaceId(self.objects)
    }

    /// Space of uploads and parts.
    pub(super) fn uploads(&self) -> SpaceId {
        SpaceId(self.uploads)
    }
}

impl RetentionPeriod {
    /// Its length in milliseconds.
    pub(super) fn length_ms(self) -> u64 {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        match self {
            Self::Days(days) => u64::from(days) * DAY_MS,
            Self::Years(years) => u64::from(years) * 365 * DAY_MS,
        }
    }

    /// Checks it against S3's limits.
    pub(super) fn check(self) -> Result<()> {
        match self {
            Self::Days(0) | Self::Years(0) => Err(ObjectError::argument(
                "Default retention period must be a positive integer value.",
            )),
            Self::Days(days) if days > RETENTION_DAYS_MAX => {
                Err(ObjectError::argument("Default retention period too large."))
            }
            Self::Years(years) if years > RETENTION_YEARS_MAX => {
                Err(ObjectError::argument("Default retention period too large."))
            }
            _ => Ok(()),
        }
    }
}

/// S3's names of the modes in JSON.
mod mode {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use storage_engine::RetentionMode;

    pub(super) fn serialize<S: Serializer>(
        mode: &RetentionMode,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match mode {
            RetentionMode::Governance => "GOVERNANCE",
            RetentionMode::Compliance => "COMPLIANCE",
        })
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(
        deserializer: D,
    ) -> Result<RetentionMode, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "GOVERNANCE" => Ok(RetentionMode::Governance),
            "COMPLIANCE" => Ok(RetentionMode::Compliance),
            other => Err(D::Error::custom(format!("unknown retention mode {other}"))),
        }
    }
}
