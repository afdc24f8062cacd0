//! Listing keys and versions.

use super::bucket::Bucket;
use super::error::Result;
use super::etag::ETag;
use super::meta::StorageClass;
use super::page_token::PageToken;
use super::version_id::VersionId;
use crate::checksum::{Algorithm, Coverage};

/// A page of current keys to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// Only keys that begin so.
    pub prefix: String,
    /// Fold keys that have this after the prefix; empty: do not.
    pub delimiter: String,
    /// `marker`, `start-after` or [`PageToken::last`]: only what comes after it. A common prefix
    /// (or a key below one) skips that prefix.
    pub after: String,
    /// Keys and common prefixes at most; cut to [`super::PAGE_ITEMS_MAX`].
    pub limit: usize,
}

/// A page of versions to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionList {
    /// Only keys that begin so.
    pub prefix: String,
    /// Fold keys that have this after the prefix; empty: do not.
    pub delimiter: String,
    /// Only what comes after it.
    pub after: Option<VersionMarker>,
    /// Versions, markers and common prefixes at most; cut to [`super::PAGE_ITEMS_MAX`].
    pub limit: usize,
}

/// Where a page of versions begins or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionMarker {
    /// `key-marker`: a key or a common prefix.
    pub key: String,
    /// `version-id-marker`: none: after all versions of the key.
    pub version: Option<VersionId>,
}

/// One version in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListItem {
    /// Key.
    pub key: String,
    /// Version.
    pub version: VersionId,
    /// True for the newest version of its key, a marker too.
    pub is_latest: bool,
    /// True for a delete marker.
    pub is_marker: bool,
    /// Size in bytes.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// When it was written, ms since 1970.
    pub last_modified_ms: u64,
    /// Checksum algorithm and coverage, when it has one.
    pub checksum: Option<(Algorithm, Coverage)>,
    /// Storage class.
    pub storage_class: StorageClass,
}

/// A page of current keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Keys in order.
    pub items: Vec<ListItem>,
    /// Common prefixes in order.
    pub prefixes: Vec<String>,
    /// Where the next page begins, if there is one: its [`PageToken::last`] is V1's `NextMarker`.
    pub next: Option<PageToken>,
}

/// A page of versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionPage {
    /// Versions and delete markers by key, then newest first.
    pub items: Vec<ListItem>,
    /// Common prefixes in order.
    pub prefixes: Vec<String>,
    /// Where the next page begins, if there is one.
    pub next: Option<VersionMarker>,
}

impl Bucket {
    /// A page of current keys.
    pub fn list(&self, list: &List) -> Result<ListPage> {
        let _ = list;
        todo!()
    }

    /// A page of versions.
    pub fn list_versions(&self, list: &VersionList) -> Result<VersionPage> {
        let _ = list;
        todo!()
    }
}
