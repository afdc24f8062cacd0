//! What the index keeps of one version: where its record lies and what listing needs.
//!
//! Invariants:
//! - a *current* entry is never a marker; the newest entry of a name is current, or is a marker;
//! - a name has at most one *null* version;
//! - `sequence` orders the versions of a name and is unique in the store.

use crate::id::{BlobId, ZoneId};

/// Identity of content as its owner names it: an MD5 and a part count (0: not multipart).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Stamp {
    /// Digest of the content.
    pub digest: [u8; 16],
    /// Number of parts it was made of, 0 when it was written in one piece.
    pub parts: u16,
}

/// Place of a record: inside one zone, with the checksum of what must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Location {
    /// The zone.
    pub zone: ZoneId,
    /// Byte offset in the zone.
    pub offset: u32,
    /// Length of the record, header included.
    pub len: u32,
    /// CRC-32 (IEEE) of the record after its header.
    pub crc: u32,
}

/// What a version's value is made of, as far as the index must know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Body {
    /// No value, or one that lies inside the record.
    #[default]
    Record,
    /// One blob.
    Blob(BlobId),
    /// Many blobs, in order.
    Blobs(Box<Vec<BlobId>>),
}

/// One version in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Order among versions and identity of this one.
    pub sequence: u64,
    /// When it was sequenced, ms since 1970; never goes back along `sequence`.
    pub time_ms: u64,
    /// Length of the value in bytes.
    pub size: u64,
    /// Where the record lies.
    pub location: Location,
    /// The blobs the value needs.
    pub body: Body,
    /// Identity of the content.
    pub stamp: Stamp,
    /// A byte for the owner's listing (the engine does not read it).
    pub label: u8,
    /// Bits of [`Entry::MARKER`], [`Entry::NULL`], [`Entry::LOCKED`].
    pub flags: u8,
}

impl Entry {
    /// The version says that the name is deleted; it has no value.
    pub const MARKER: u8 = 1;
    /// The version is the name's null version.
    pub const NULL: u8 = 2;
    /// A lock was set on the version; the lock table holds it.
    pub const LOCKED: u8 = 4;

    /// True for a delete marker.
    pub fn is_marker(&self) -> bool {
        self.flags & Self::MARKER != 0
    }

    /// True for the null version.
    pub fn is_null(&self) -> bool {
        self.flags & Self::NULL != 0
    }

    /// True when the lock table has a lock for it.
    pub fn is_locked(&self) -> bool {
        self.flags & Self::LOCKED != 0
    }
}
