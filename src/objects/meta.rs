//! What is kept with an object besides its bytes.

use super::binding::Binding;
use super::checksum::{Checksum, PartChecksum};
use super::error::{ObjectError, Result};
use super::label::Label;
use super::limits::USER_METADATA_BYTES_MAX;
use super::lock::LockRequest;
use super::tags::TagSet;

/// The headers that S3 keeps with an object and gives back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentHeaders {
    /// `Content-Type`; none reads as `binary/octet-stream`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`, without `aws-chunked`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Expires`, as it was sent.
    pub expires: Option<String>,
    /// `x-amz-website-redirect-location`.
    pub website_redirect: Option<String>,
}

/// Storage classes that need no restore. All are kept alike; the name is given back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StorageClass {
    /// `STANDARD`.
    #[default]
    Standard,
    /// `REDUCED_REDUNDANCY`.
    ReducedRedundancy,
    /// `STANDARD_IA`.
    StandardIa,
    /// `ONEZONE_IA`.
    OnezoneIa,
    /// `INTELLIGENT_TIERING`.
    IntelligentTiering,
    /// `GLACIER_IR`.
    GlacierIr,
}

impl StorageClass {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 6] = [
        Self::Standard,
        Self::ReducedRedundancy,
        Self::StandardIa,
        Self::OnezoneIa,
        Self::IntelligentTiering,
        Self::GlacierIr,
    ];

    /// The name in headers and XML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::ReducedRedundancy => "REDUCED_REDUNDANCY",
            Self::StandardIa => "STANDARD_IA",
            Self::OnezoneIa => "ONEZONE_IA",
            Self::IntelligentTiering => "INTELLIGENT_TIERING",
            Self::GlacierIr => "GLACIER_IR",
        }
    }

    /// From [`StorageClass::name`]; [`ObjectError::InvalidStorageClass`] for any other.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|class| class.name() == name)
            .ok_or(ObjectError::InvalidStorageClass)
    }

    /// A number for storage.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Standard => 0,
            Self::ReducedRedundancy => 1,
            Self::StandardIa => 2,
            Self::OnezoneIa => 3,
            Self::IntelligentTiering => 4,
            Self::GlacierIr => 5,
        }
    }

    /// From [`StorageClass::code`].
    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// Whose key seals an object. Everything is sealed; this is what the answer says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encryption {
    /// The store's own key: `AES256`.
    #[default]
    Aes256,
}

impl Encryption {
    /// The value of `x-amz-server-side-encryption`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes256 => "AES256",
        }
    }
}

/// What a writer says about a new object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Headers to keep.
    pub headers: ContentHeaders,
    /// `x-amz-meta-*` without the prefix, names in lower case.
    pub user_metadata: Vec<(String, String)>,
    /// Tags.
    pub tags: TagSet,
    /// Storage class.
    pub storage_class: StorageClass,
    /// The lock asked for.
    pub lock: LockRequest,
}

/// One part of an object that was uploaded in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartMeta {
    /// Its number.
    pub number: u16,
    /// Its size in bytes.
    pub size: u64,
    /// Its checksum, in the algorithm of the object's; empty when none was kept.
    pub digest: Vec<u8>,
}

/// Everything kept with an object besides bytes, stamp and lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Headers.
    pub headers: ContentHeaders,
    /// User metadata.
    pub user_metadata: Vec<(String, String)>,
    /// Tags.
    pub tags: TagSet,
    /// Storage class.
    pub storage_class: StorageClass,
    /// Whose key seals it.
    pub encryption: Encryption,
    /// Checksum of the content.
    pub checksum: Option<Checksum>,
    /// Its parts in order; none when it was written in one piece.
    pub parts: Vec<PartMeta>,
    /// The vector that is bound to it.
    pub binding: Option<Binding>,
}

impl ObjectMeta {
    /// The byte for listings.
    pub(super) fn label(&self) -> u8 {
        let checksum = self.checksum.as_ref().map(|sum| (sum.algorithm, sum.coverage));
        let bound = self.binding.is_some();
        Label { checksum, storage_class: self.storage_class, bound }.encode()
    }

    /// The checksum of one of its parts.
    pub fn part_checksum(&self, part: &PartMeta) -> Option<PartChecksum> {
        let checksum = self.checksum.as_ref()?;
        (!part.digest.is_empty())
            .then(|| PartChecksum { algorithm: checksum.algorithm, digest: part.digest.clone() })
    }
}

impl Attributes {
    /// Checks what no type can.
    pub(super) fn check(&self) -> Result<()> {
        check_user_metadata(&self.user_metadata)
    }

    /// The metadata of the object they describe.
    pub(super) fn into_meta(self, checksum: Option<Checksum>, parts: Vec<PartMeta>) -> ObjectMeta {
        ObjectMeta {
            headers: self.headers,
            user_metadata: self.user_metadata,
            tags: self.tags,
            storage_class: self.storage_class,
            encryption: Encryption::Aes256,
            checksum,
            parts,
            binding: None,
        }
    }
}

/// Checks the size of user metadata, as S3 counts it: bytes of names and values.
pub(super) fn check_user_metadata(metadata: &[(String, String)]) -> Result<()> {
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > USER_METADATA_BYTES_MAX { Err(ObjectError::MetadataTooLarge) } else { Ok(()) }
}
