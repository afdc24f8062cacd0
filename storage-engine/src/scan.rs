//! Ordered reading of a space: pages of current names, with or without a delimiter, and of versions.
//!
//! A page is taken at one moment. A delimiter page seeks past each common prefix, so its cost
//! follows what it shows, not what lies below.

use std::ops::Bound;

use bytes::Bytes;

use crate::entry::Entry;

/// A page of current names.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Only names that begin so.
    pub prefix: Bytes,
    /// Fold names that have this after the prefix into one [`ScanItem::Prefix`]; empty: do not.
    pub delimiter: Bytes,
    /// Where to begin. `Excluded` of a common prefix skips everything below it.
    pub from: Bound<Bytes>,
    /// Items at most; at most [`crate::limits::PAGE_MAX`].
    pub limit: usize,
}

/// A page of versions: by name, then newest first.
#[derive(Debug, Clone)]
pub struct VersionScan {
    /// Only names that begin so.
    pub prefix: Bytes,
    /// Fold names as in [`Scan::delimiter`].
    pub delimiter: Bytes,
    /// Begin after this name (or common prefix), or inside it: after the version given.
    pub after: Option<(Bytes, Option<u64>)>,
    /// Items at most.
    pub limit: usize,
}

/// One item of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanItem {
    /// A name with its version.
    Version {
        /// The name.
        name: Bytes,
        /// The version.
        entry: Entry,
        /// True for the newest version of its name, a marker too.
        newest: bool,
    },
    /// Names that share everything up to and with the delimiter.
    Prefix(Bytes),
}

/// A page and whether more follows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanPage {
    /// In order.
    pub items: Vec<ScanItem>,
    /// True when another item follows.
    pub more: bool,
}
