//! Copying objects; moves no data.

use storage_engine::{Engine, Sealed, SpaceId, Value, ValueReader};

use super::bucket::Bucket;
use super::checksum::Checksum;
use super::commit::{Companions, NewVersion};
use super::condition::{ReadConditions, WriteConditions};
use super::digest::{Digester, Digests};
use super::error::{ObjectError, Result};
use super::etag::ETag;
use super::get::Object;
use super::key::name_of;
use super::limits::PUT_BYTES_MAX;
use super::lock::LockRequest;
use super::meta::{ContentHeaders, Encryption, ObjectMeta, StorageClass, check_user_metadata};
use super::tags::TagSet;
use super::version_id::VersionId;
use crate::checksum::Algorithm;

/// `x-amz-metadata-directive`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MetadataDirective {
    /// Headers and user metadata of the source.
    #[default]
    Copy,
    /// These instead.
    Replace {
        /// Headers.
        headers: ContentHeaders,
        /// User metadata.
        user_metadata: Vec<(String, String)>,
    },
}

/// `x-amz-tagging-directive`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TaggingDirective {
    /// Tags of the source.
    #[default]
    Copy,
    /// These instead.
    Replace(TagSet),
}

/// A copy to make. The source was found with [`Bucket::copy_source`].
#[derive(Debug, Clone, Default)]
pub struct Copy {
    /// Key of the copy.
    pub key: String,
    /// `x-amz-copy-source-if-*`.
    pub source_conditions: ReadConditions,
    /// What must hold at the destination.
    pub conditions: WriteConditions,
    /// Metadata of the copy.
    pub metadata: MetadataDirective,
    /// `x-amz-website-redirect-location`: never copied from the source.
    pub website_redirect: Option<String>,
    /// Tags of the copy.
    pub tagging: TaggingDirective,
    /// Storage class, if one was sent; else standard.
    pub storage_class: Option<StorageClass>,
    /// Encryption, if it was sent.
    pub encryption: Option<Encryption>,
    /// Checksum algorithm of the copy, if one was sent; else the source's.
    pub algorithm: Option<Algorithm>,
    /// The lock asked for.
    pub lock: LockRequest,
}

/// A copy that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Its version; none in a bucket that never had versioning.
    pub version: Option<VersionId>,
    /// Version of the source; none in a bucket that never had versioning.
    pub source_version: Option<VersionId>,
    /// Entity tag.
    pub etag: ETag,
    /// Checksum.
    pub checksum: Option<Checksum>,
    /// When it was made, ms since 1970.
    pub time_ms: u64,
}

impl Bucket {
    /// Copies `source` into this bucket. The copy keeps the source's entity tag and parts.
    /// [`ObjectError::ContentGone`] when the source was removed since it was found.
    pub async fn copy(&self, source: &Object, copy: Copy) -> Result<Copied> {
        let name = name_of(&copy.key)?;
        let info = source.info();
        copy.source_conditions.check_source(info.etag, info.last_modified_ms)?;
        check_source_size(info.size)?;
        if copy.changes_nothing(self.name(), source) {
            return Err(ObjectError::request(
                "This copy request is illegal because it is trying to copy an object to itself \
                 without changing the object's metadata, storage class, website redirect location \
                 or encryption attributes.",
            ));
        }
        self.lock_for(copy.lock)?;
        let meta = copy.meta(source).await?;
        let new = NewVersion {
            name,
            value: adopt(self.engine(), self.record().objects(), source)?,
            meta: meta.encode(),
            stamp: info.etag.0,
            label: meta.label(),
            lock: copy.lock,
            conditions: copy.conditions,
            bind: None,
        };
        let made = self.commit_version(&new, Companions::none).await?;
        Ok(Copied {
            version: made.version,
            source_version: info.version,
            etag: info.etag,
            checksum: meta.checksum,
            time_ms: made.time_ms,
        })
    }
}

impl Copy {
    /// True for a copy of the current version onto itself that leaves everything as it is.
    fn changes_nothing(&self, bucket: &str, source: &Object) -> bool {
        let info = source.info();
        bucket == source.bucket()
            && self.key == info.key
            && source.named.is_none()
            && self.metadata == MetadataDirective::Copy
            && self.website_redirect.is_none()
            && self.encryption.is_none()
            && self.storage_class.is_none_or(|class| class == info.meta.storage_class)
            && self.algorithm.is_none()
    }

    /// The metadata of the copy.
    async fn meta(&self, source: &Object) -> Result<ObjectMeta> {
        let from = &source.info().meta;
        let mut meta = from.clone();
        meta.binding = None;
        if let MetadataDirective::Replace { headers, user_metadata } = &self.metadata {
            check_user_metadata(user_metadata)?;
            meta.headers = headers.clone();
            meta.user_metadata = user_metadata.clone();
        }
        meta.headers.website_redirect = self.website_redirect.clone();
        if let TaggingDirective::Replace(tags) = &self.tagging {
            meta.tags = tags.clone();
        }
        meta.storage_class = self.storage_class.unwrap_or_default();
        let kept = from.checksum.as_ref().map(|checksum| checksum.algorithm);
        if let Some(algorithm) = self.algorithm.filter(|algorithm| Some(*algorithm) != kept) {
            let digests = digest(source.open(0..source.info().size), &[algorithm]).await?;
            let digest = digests.checksum(algorithm).map(|sum| sum.digest.clone());
            meta.checksum = digest.map(|digest| Checksum::full(algorithm, digest));
            for part in &mut meta.parts {
                part.digest.clear();
            }
        }
        Ok(meta)
    }
}

/// Refuses a source that is larger than one copy may be.
pub(super) fn check_source_size(size: u64) -> Result<()> {
    if size > PUT_BYTES_MAX {
        return Err(ObjectError::request(format!(
            "The specified copy source is larger than the maximum allowable size for a copy \
             source: {PUT_BYTES_MAX}"
        )));
    }
    Ok(())
}

/// The source's value, sealed for another space; moves no data.
pub(super) fn adopt(engine: &Engine, space: SpaceId, source: &Object) -> Result<Value> {
    if source.info().size == 0 {
        return Ok(Value::empty());
    }
    let sealed = Sealed { space: source.space, value: source.record.value() };
    Ok(engine.adopt(space, &[sealed])?)
}

/// Reads content to hash it.
pub(super) async fn digest(mut reader: ValueReader, algorithms: &[Algorithm]) -> Result<Digests> {
    let mut digester = Digester::new(algorithms);
    while let Some(piece) = reader.next().await {
        digester.update(&piece?).await;
    }
    digester.finish().await
}
