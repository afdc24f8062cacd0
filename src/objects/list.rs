//! Listing keys and versions.

use std::ops::Bound;

use bytes::Bytes;
use storage_engine::{Entry, Scan, ScanItem, ScanPage, VersionScan};

use super::bucket::Bucket;
use super::error::Result;
use super::etag::ETag;
use super::key::key_of;
use super::label::Label;
use super::limits::PAGE_ITEMS_MAX;
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
        let limit = list.limit.min(PAGE_ITEMS_MAX);
        if limit == 0 {
            return Ok(ListPage::default());
        }
        let from = match begin(&list.prefix, &list.delimiter, &list.after) {
            "" => Bound::Unbounded,
            after => Bound::Excluded(Bytes::copy_from_slice(after.as_bytes())),
        };
        let scan = Scan {
            prefix: Bytes::copy_from_slice(list.prefix.as_bytes()),
            delimiter: Bytes::copy_from_slice(list.delimiter.as_bytes()),
            from,
            limit,
        };
        let page = self.engine().scan(self.record().objects(), &scan)?;
        let next = last_of(&page).map(|(name, _)| PageToken(name));
        let (items, prefixes) = split(page);
        Ok(ListPage { items, prefixes, next })
    }

    /// A page of versions.
    pub fn list_versions(&self, list: &VersionList) -> Result<VersionPage> {
        let limit = list.limit.min(PAGE_ITEMS_MAX);
        if limit == 0 {
            return Ok(VersionPage::default());
        }
        let after = match &list.after {
            Some(marker) if !marker.key.is_empty() => Some(self.version_bound(list, marker)?),
            _ => None,
        };
        let scan = VersionScan {
            prefix: Bytes::copy_from_slice(list.prefix.as_bytes()),
            delimiter: Bytes::copy_from_slice(list.delimiter.as_bytes()),
            after,
            limit,
        };
        let page = self.engine().scan_versions(self.record().objects(), &scan)?;
        let next = last_of(&page).map(|(key, version)| VersionMarker { key, version });
        let (items, prefixes) = split(page);
        Ok(VersionPage { items, prefixes, next })
    }

    /// Where a page of versions begins. A null version that is gone leaves no place inside its
    /// key: the page begins with the key, as a version shown twice harms less than one never shown.
    fn version_bound(
        &self,
        list: &VersionList,
        marker: &VersionMarker,
    ) -> Result<(Bytes, Option<u64>)> {
        let begin = begin(&list.prefix, &list.delimiter, &marker.key);
        let name = Bytes::copy_from_slice(begin.as_bytes());
        if begin.len() < marker.key.len() {
            return Ok((name, None));
        }
        let sequence = match marker.version {
            None => None,
            Some(VersionId::Sequence(sequence)) => Some(sequence),
            Some(VersionId::Null) => {
                let which = VersionId::Null.which();
                let entry = self.engine().version(self.record().objects(), &name, which)?;
                Some(entry.map_or(u64::MAX, |entry| entry.sequence))
            }
        };
        Ok((name, sequence))
    }
}

/// Where a page after `marker` begins: the common prefix the marker lies in, or the marker. What
/// was folded into a prefix at or before the marker was shown already.
pub(super) fn begin<'a>(prefix: &str, delimiter: &str, marker: &'a str) -> &'a str {
    let Some(rest) = marker.strip_prefix(prefix) else { return marker };
    if delimiter.is_empty() {
        return marker;
    }
    match rest.find(delimiter) {
        Some(at) => marker.get(..prefix.len() + at + delimiter.len()).unwrap_or(marker),
        None => marker,
    }
}

/// The last item of a page after which more follows.
fn last_of(page: &ScanPage) -> Option<(String, Option<VersionId>)> {
    match page.items.last().filter(|_| page.more)? {
        ScanItem::Version { name, entry, .. } => Some((key_of(name), Some(VersionId::of(entry)))),
        ScanItem::Prefix(prefix) => Some((key_of(prefix), None)),
    }
}

fn split(page: ScanPage) -> (Vec<ListItem>, Vec<String>) {
    let (mut items, mut prefixes) = (Vec::with_capacity(page.items.len()), Vec::new());
    for item in page.items {
        match item {
            ScanItem::Version { name, entry, newest } => {
                items.push(item_of(key_of(&name), &entry, newest));
            }
            ScanItem::Prefix(prefix) => prefixes.push(key_of(&prefix)),
        }
    }
    (items, prefixes)
}

fn item_of(key: String, entry: &Entry, is_latest: bool) -> ListItem {
    let label = Label::decode(entry.label);
    ListItem {
        key,
        version: VersionId::of(entry),
        is_latest,
        is_marker: entry.is_marker(),
        size: entry.size,
        etag: ETag(entry.stamp),
        last_modified_ms: entry.time_ms,
        checksum: label.checksum,
        storage_class: label.storage_class,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_inside_a_common_prefix_skips_it() {
        for (prefix, delimiter, marker, want) in [
            ("", "", "a/b", "a/b"),
            ("", "/", "", ""),
            ("", "/", "a", "a"),
            ("", "/", "a/", "a/"),
            ("", "/", "a/b/c", "a/"),
            ("a/", "/", "a/b/c", "a/b/"),
            ("a/", "/", "a/b", "a/b"),
            ("b/", "/", "a/b/c", "a/b/c"),
            ("", "ö/", "größ/ö/x", "größ/ö/"),
        ] {
            assert_eq!(begin(prefix, delimiter, marker), want, "{prefix} {delimiter} {marker}");
        }
    }
}
