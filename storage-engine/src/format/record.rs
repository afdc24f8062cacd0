//! One record of the journal: a 32-byte header and a body by kind.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `LREC` |
//! | 4 | 1 | kind |
//! | 5 | 3 | 0 |
//! | 8 | 8 | LSN |
//! | 16 | 4 | length, header included |
//! | 20 | 4 | CRC-32 of the body |
//! | 24 | 4 | 0 |
//! | 28 | 4 | CRC-32 of bytes 0..28 |
//!
//! Body of *put* (1) and *rewrite* (2):
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | space |
//! | 4 | 8 | sequence (of a put: its LSN) |
//! | 12 | 8 | time, ms since 1970 |
//! | 20 | 8 | size of the value |
//! | 28 | 1 | flags: 1 marker, 2 null, 4 locked |
//! | 29 | 1 | label |
//! | 30 | 2 | stamp: parts |
//! | 32 | 16 | stamp: digest |
//! | 48 | 1 | lock: retention mode (0 none, 1 governance, 2 compliance) |
//! | 49 | 1 | lock: legal hold (0 off, 1 on, 2 never set) |
//! | 50 | 8 | lock: retain until, ms since 1970 |
//! | 58 | 2 | name length |
//! | 60 | 4 | sealed metadata length |
//! | 64 | 1 | value: 0 none, 1 in the record, 2 blobs |
//! | 65 | 4 | value: number of blobs |
//! | 69 | … | name, sealed metadata, value |
//!
//! A value in the record: blob id 8, wrapped key 60, tag 16, ciphertext. A blob of a value: id 8,
//! length 8, wrapped key 60. *remove* (3): space 4, sequence 8, name. *lock* (4): space 4, sequence
//! 8, lock 10 as above, name. *create space* (5): space 4, wrapped key. *drop space* (6): space 4.
//! *blob* (7): id 8, place (`place.rs`). *move record* (8): space 4, sequence 8, zone 4, offset 4,
//! length 4, CRC 4, name.

use super::place::{BlobPlace, decode_place, encode_place};
use super::{Decoder, Encoder, Malformed};
use crate::entry::{Entry, Location, Stamp};
use crate::id::{BlobId, Lsn, SpaceId, ZoneId};
use crate::lock::{LegalHold, Lock, Retention, RetentionMode};

/// Length of a record header.
pub const RECORD_HEADER_BYTES: usize = 32;
/// Nonce, key and tag of a wrapped data key.
pub const WRAPPED_KEY_BYTES: usize = 12 + 32 + 16;

const MAGIC: [u8; 4] = *b"LREC";
const HEADER_CRC_OFFSET: usize = 28;
const PIECE_BYTES: usize = 8 + 8 + WRAPPED_KEY_BYTES;
const PUT_FIXED_BYTES: usize = 69;

/// Header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader {
    /// Which body follows.
    pub kind: u8,
    /// Position in the journal's order.
    pub lsn: Lsn,
    /// Length, header included.
    pub len: u32,
    /// CRC-32 of the body.
    pub crc: u32,
}

/// A blob as part of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The blob.
    pub blob: BlobId,
    /// Its length in bytes.
    pub len: u64,
    /// Its data key, wrapped under the key of the value's space.
    pub key: [u8; WRAPPED_KEY_BYTES],
}

/// A value as a record holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredValue<'a> {
    /// No bytes.
    None,
    /// In the record.
    Inline {
        /// The creation attempt.
        blob: BlobId,
        /// Its data key, wrapped.
        key: [u8; WRAPPED_KEY_BYTES],
        /// Authentication tag.
        tag: [u8; 16],
        /// Ciphertext.
        data: &'a [u8],
    },
    /// In blobs.
    Blobs(Vec<Piece>),
}

/// The fixed part of a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutHead {
    /// Where.
    pub space: SpaceId,
    /// The version.
    pub sequence: u64,
    /// When.
    pub time_ms: u64,
    /// Length of the value.
    pub size: u64,
    /// [`Entry`] flags.
    pub flags: u8,
    /// The owner's byte.
    pub label: u8,
    /// Identity of the content.
    pub stamp: Stamp,
    /// The lock it was born with.
    pub lock: Option<Lock>,
}

/// A record's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordBody<'a> {
    /// A new version.
    Put {
        /// Fixed part.
        head: PutHead,
        /// Name.
        name: &'a [u8],
        /// Sealed metadata.
        meta: &'a [u8],
        /// Value.
        value: StoredValue<'a>,
    },
    /// An existing version with new metadata.
    Rewrite {
        /// Fixed part.
        head: PutHead,
        /// Name.
        name: &'a [u8],
        /// Sealed metadata.
        meta: &'a [u8],
        /// Value.
        value: StoredValue<'a>,
    },
    /// A version is gone.
    Remove {
        /// Where.
        space: SpaceId,
        /// Which version.
        sequence: u64,
        /// Name.
        name: &'a [u8],
    },
    /// A version's lock changed.
    Lock {
        /// Where.
        space: SpaceId,
        /// Which version.
        sequence: u64,
        /// Name.
        name: &'a [u8],
        /// The lock now.
        lock: Lock,
    },
    /// A space was made.
    CreateSpace {
        /// Which.
        space: SpaceId,
        /// Its key, wrapped by the master key.
        key: &'a [u8],
    },
    /// A space and all in it is gone.
    DropSpace {
        /// Which.
        space: SpaceId,
    },
    /// Where a blob lies, from now on.
    Blob {
        /// Which.
        blob: BlobId,
        /// Where.
        place: BlobPlace,
    },
    /// Where a version's record lies, from now on.
    MoveRecord {
        /// Where.
        space: SpaceId,
        /// Which version.
        sequence: u64,
        /// Name.
        name: &'a [u8],
        /// The new place.
        to: Location,
    },
}

impl RecordHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; RECORD_HEADER_BYTES] {
        let mut out = Vec::with_capacity(RECORD_HEADER_BYTES);
        Encoder::new(&mut out)
            .bytes(&MAGIC)
            .u8(self.kind)
            .bytes(&[0; 3])
            .u64(self.lsn.0)
            .u32(self.len)
            .u32(self.crc)
            .u32(0);
        let crc = crc32fast::hash(&out);
        Encoder::new(&mut out).u32(crc);
        let mut header = [0; RECORD_HEADER_BYTES];
        header.copy_from_slice(&out);
        header
    }

    /// Verifies and reads a header.
    pub fn decode(data: &[u8]) -> Result<Self, Malformed> {
        let (covered, rest) = data
            .split_at_checked(HEADER_CRC_OFFSET)
            .ok_or(Malformed::new("record header length"))?;
        let mut d = Decoder::new(covered, "record header");
        if d.array()? != MAGIC {
            return Err(Malformed::new("record magic"));
        }
        if Decoder::new(rest, "record header").u32()? != crc32fast::hash(covered) {
            return Err(Malformed::new("record header crc"));
        }
        let kind = d.u8()?;
        d.bytes(3)?;
        let header = Self { kind, lsn: Lsn(d.u64()?), len: d.u32()?, crc: d.u32()? };
        if (header.len as usize) < RECORD_HEADER_BYTES {
            return Err(Malformed::new("record length"));
        }
        Ok(header)
    }

    /// Verifies a whole record and reads its body.
    pub fn decode_record(data: &[u8]) -> Result<(Self, RecordBody<'_>), Malformed> {
        let header = Self::decode(data)?;
        let body = data
            .get(RECORD_HEADER_BYTES..header.len as usize)
            .ok_or(Malformed::new("record length"))?;
        if crc32fast::hash(body) != header.crc {
            return Err(Malformed::new("record crc"));
        }
        Ok((header, RecordBody::decode(header.kind, body)?))
    }
}

impl<'a> RecordBody<'a> {
    /// The number of the kind.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Put { .. } => 1,
            Self::Rewrite { .. } => 2,
            Self::Remove { .. } => 3,
            Self::Lock { .. } => 4,
            Self::CreateSpace { .. } => 5,
            Self::DropSpace { .. } => 6,
            Self::Blob { .. } => 7,
            Self::MoveRecord { .. } => 8,
        }
    }

    /// Reads a body of `kind`.
    pub fn decode(kind: u8, body: &'a [u8]) -> Result<Self, Malformed> {
        let mut d = Decoder::new(body, "record body");
        match kind {
            1 => {
                let (head, name, meta, value) = decode_put(d)?;
                Ok(Self::Put { head, name, meta, value })
            }
            2 => {
                let (head, name, meta, value) = decode_put(d)?;
                Ok(Self::Rewrite { head, name, meta, value })
            }
            3 => {
                let (space, sequence) = (SpaceId(d.u32()?), d.u64()?);
                Ok(Self::Remove { space, sequence, name: d.rest() })
            }
            4 => {
                let (space, sequence) = (SpaceId(d.u32()?), d.u64()?);
                let lock = decode_lock(&mut d)?;
                Ok(Self::Lock { space, sequence, lock, name: d.rest() })
            }
            5 => Ok(Self::CreateSpace { space: SpaceId(d.u32()?), key: d.rest() }),
            6 => {
                let space = SpaceId(d.u32()?);
                d.finish()?;
                Ok(Self::DropSpace { space })
            }
            7 => {
                let blob = BlobId(d.u64()?);
                let place = decode_place(&mut d)?;
                d.finish()?;
                Ok(Self::Blob { blob, place })
            }
            8 => {
                let (space, sequence) = (SpaceId(d.u32()?), d.u64()?);
                let to = decode_location(&mut d)?;
                Ok(Self::MoveRecord { space, sequence, to, name: d.rest() })
            }
            _ => Err(Malformed::new("record kind")),
        }
    }
}

/// Appends a whole record with LSN 0 to `out`; [`patch_put`] or the lane completes the header.
pub fn encode_body(body: &RecordBody<'_>, out: &mut Vec<u8>) {
    match body {
        RecordBody::Put { head, name, meta, value }
        | RecordBody::Rewrite { head, name, meta, value } => {
            encode_put(head, name, meta, value, out);
        }
        RecordBody::Remove { space, sequence, name } => {
            Encoder::new(out).u32(space.0).u64(*sequence).bytes(name);
        }
        RecordBody::Lock { space, sequence, name, lock } => {
            Encoder::new(out).u32(space.0).u64(*sequence);
            encode_lock(Some(lock), out);
            Encoder::new(out).bytes(name);
        }
        RecordBody::CreateSpace { space, key } => {
            Encoder::new(out).u32(space.0).bytes(key);
        }
        RecordBody::DropSpace { space } => {
            Encoder::new(out).u32(space.0);
        }
        RecordBody::Blob { blob, place } => {
            Encoder::new(out).u64(blob.0);
            encode_place(place, out);
        }
        RecordBody::MoveRecord { space, sequence, name, to } => {
            Encoder::new(out).u32(space.0).u64(*sequence);
            encode_location(to, out);
            Encoder::new(out).bytes(name);
        }
    }
}

/// Sets sequence, time and flags in an encoded put body.
pub fn patch_put(body: &mut [u8], sequence: u64, time_ms: u64) {
    if let Some(field) = body.get_mut(4..12) {
        field.copy_from_slice(&sequence.to_le_bytes());
    }
    if let Some(field) = body.get_mut(12..20) {
        field.copy_from_slice(&time_ms.to_le_bytes());
    }
}

/// Offsets and lengths of name, metadata and value within a put body, for readers that keep the
/// buffer.
pub fn put_parts(body: &[u8]) -> Result<(PutHead, [std::ops::Range<usize>; 3]), Malformed> {
    let mut d = Decoder::new(body, "put");
    let (head, name_len, meta_len) = decode_put_head(&mut d)?;
    let name_end = PUT_FIXED_BYTES + name_len;
    let meta_end = name_end + meta_len;
    if meta_end > body.len() {
        return Err(Malformed::new("put lengths"));
    }
    Ok((head, [PUT_FIXED_BYTES..name_end, name_end..meta_end, meta_end..body.len()]))
}

fn encode_put(
    head: &PutHead,
    name: &[u8],
    meta: &[u8],
    value: &StoredValue<'_>,
    out: &mut Vec<u8>,
) {
    Encoder::new(out)
        .u32(head.space.0)
        .u64(head.sequence)
        .u64(head.time_ms)
        .u64(head.size)
        .u8(head.flags)
        .u8(head.label)
        .u16(head.stamp.parts)
        .bytes(&head.stamp.digest);
    encode_lock(head.lock.as_ref(), out);
    let (tag, count) = match value {
        StoredValue::None => (0, 0),
        StoredValue::Inline { .. } => (1, 0),
        StoredValue::Blobs(pieces) => (2, pieces.len() as u32),
    };
    Encoder::new(out).u16(name.len() as u16).u32(meta.len() as u32).u8(tag).u32(count);
    Encoder::new(out).bytes(name).bytes(meta);
    match value {
        StoredValue::None => {}
        StoredValue::Inline { blob, key, tag, data } => {
            Encoder::new(out).u64(blob.0).bytes(key).bytes(tag).bytes(data);
        }
        StoredValue::Blobs(pieces) => {
            for piece in pieces {
                Encoder::new(out).u64(piece.blob.0).u64(piece.len).bytes(&piece.key);
            }
        }
    }
}

fn decode_put_head(d: &mut Decoder<'_>) -> Result<(PutHead, usize, usize), Malformed> {
    let (space, sequence, time_ms, size) = (SpaceId(d.u32()?), d.u64()?, d.u64()?, d.u64()?);
    let (flags, label) = (d.u8()?, d.u8()?);
    let parts = d.u16()?;
    let stamp = Stamp { digest: d.array()?, parts };
    let lock = decode_lock(d)?;
    let lock = (flags & Entry::LOCKED != 0).then_some(lock);
    let head = PutHead { space, sequence, time_ms, size, flags, label, stamp, lock };
    Ok((head, d.u16()? as usize, d.u32()? as usize))
}

type PutParts<'a> = (PutHead, &'a [u8], &'a [u8], StoredValue<'a>);

fn decode_put(mut d: Decoder<'_>) -> Result<PutParts<'_>, Malformed> {
    let (head, name_len, meta_len) = decode_put_head(&mut d)?;
    let (tag, count) = (d.u8()?, d.u32()? as usize);
    let name = d.bytes(name_len)?;
    let meta = d.bytes(meta_len)?;
    let value = match tag {
        0 => {
            d.finish()?;
            StoredValue::None
        }
        1 => {
            let (blob, key, tag) = (BlobId(d.u64()?), d.array()?, d.array()?);
            StoredValue::Inline { blob, key, tag, data: d.rest() }
        }
        2 => {
            if count.checked_mul(PIECE_BYTES) != Some(d.remaining()) {
                return Err(Malformed::new("put blob count"));
            }
            let mut pieces = Vec::with_capacity(count);
            for _ in 0..count {
                pieces.push(Piece { blob: BlobId(d.u64()?), len: d.u64()?, key: d.array()? });
            }
            StoredValue::Blobs(pieces)
        }
        _ => return Err(Malformed::new("put value kind")),
    };
    Ok((head, name, meta, value))
}

pub(super) fn encode_lock(lock: Option<&Lock>, out: &mut Vec<u8>) {
    let (mode, until_ms) = match lock.and_then(|l| l.retention) {
        None => (0, 0),
        Some(Retention { mode: RetentionMode::Governance, until_ms }) => (1, until_ms),
        Some(Retention { mode: RetentionMode::Compliance, until_ms }) => (2, until_ms),
    };
    let hold = match lock.map(|l| l.legal_hold) {
        None | Some(LegalHold::Off) => 0,
        Some(LegalHold::On) => 1,
        Some(LegalHold::NeverSet) => 2,
    };
    Encoder::new(out).u8(mode).u8(hold).u64(until_ms);
}

pub(super) fn decode_lock(d: &mut Decoder<'_>) -> Result<Lock, Malformed> {
    let (mode, hold, until_ms) = (d.u8()?, d.u8()?, d.u64()?);
    let mode = match mode {
        0 => None,
        1 => Some(RetentionMode::Governance),
        2 => Some(RetentionMode::Compliance),
        _ => return Err(Malformed::new("retention mode")),
    };
    let legal_hold = match hold {
        0 => LegalHold::Off,
        1 => LegalHold::On,
        2 => LegalHold::NeverSet,
        _ => return Err(Malformed::new("legal hold")),
    };
    Ok(Lock { retention: mode.map(|mode| Retention { mode, until_ms }), legal_hold })
}

pub(super) fn encode_location(location: &Location, out: &mut Vec<u8>) {
    Encoder::new(out).u32(location.zone.0).u32(location.offset).u32(location.len).u32(location.crc);
}

pub(super) fn decode_location(d: &mut Decoder<'_>) -> Result<Location, Malformed> {
    Ok(Location { zone: ZoneId(d.u32()?), offset: d.u32()?, len: d.u32()?, crc: d.u32()? })
}
