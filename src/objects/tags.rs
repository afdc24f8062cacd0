//! Tags of objects.

use super::bucket::Bucket;
use super::error::Result;
use super::version_id::VersionId;

/// Tags that were checked against the rules, in the order they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagSet(Vec<(String, String)>);

/// What carries the tags; each has its own limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagTarget {
    /// An object: at most [`super::OBJECT_TAGS_MAX`].
    Object,
    /// A bucket: at most [`super::BUCKET_TAGS_MAX`].
    Bucket,
}

impl TagSet {
    /// Checks tags against S3's rules.
    pub fn new(target: TagTarget, tags: Vec<(String, String)>) -> Result<Self> {
        let _ = (target, tags);
        todo!()
    }

    /// Reads the `x-amz-tagging` header: a query string.
    pub fn from_query(text: &str) -> Result<Self> {
        let _ = text;
        todo!()
    }

    /// The tags.
    pub fn tags(&self) -> &[(String, String)] {
        &self.0
    }

    /// True without tags.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Bucket {
    /// Tags of a version, and which version it was.
    pub async fn tags(
        &self,
        key: &str,
        version: Option<VersionId>,
    ) -> Result<(TagSet, Option<VersionId>)> {
        let _ = (key, version);
        todo!()
    }

    /// Sets a version's tags (an empty set deletes them); answers which version it was.
    pub async fn set_tags(
        &self,
        key: &str,
        version: Option<VersionId>,
        tags: TagSet,
    ) -> Result<Option<VersionId>> {
        let _ = (key, version, tags);
        todo!()
    }
}
