//! A checkpoint: the index as blocks in checkpoint zones, each block at a sector boundary.
//!
//! Block header, 32 bytes:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `LCKP` |
//! | 4 | 1 | kind: 1 spaces, 2 versions, 3 blobs, 4 end |
//! | 5 | 3 | number of the block in its checkpoint, from 1, without higher bits; 0: not numbered |
//! | 8 | 4 | zone id it was written for |
//! | 12 | 4 | body length |
//! | 16 | 8 | LSN as of which the body is complete |
//! | 24 | 4 | CRC-32 of the body |
//! | 28 | 4 | CRC-32 of bytes 0..28, XOR the store's salt (CRC-32 of the store id) |
//!
//! *spaces*: count 4, then space 4, key length 2, wrapped key. *versions*: space 4, last (1: no name
//! of the space follows this block), count 4, bound length 2 and bound (the last name the block
//! covers), then per version: name length 2, name, flags 1, label 1, parts 2, digest 16, sequence 8,
//! time 8, size 8, location 16, lock 10, blob count 4, blob ids 8. *blobs*: count 4, then id 8 and a
//! place as in a blob record. *end*: checkpoint LSN 8, replay zone 4, replay offset 4, highest time
//! 8, next space 4, zones 4.

use super::place::{decode_place, encode_place};
use super::record::{decode_location, decode_lock, encode_location, encode_lock};
use super::{BlobPlace, Decoder, Encoder, Malformed};
use crate::entry::{Body, Entry, Stamp};
use crate::id::{BlobId, Lsn, SpaceId, ZoneId};
use crate::lock::Lock;

/// Length of a block header.
pub const CHECKPOINT_BLOCK_HEADER_BYTES: usize = 32;

/// A block's number is counted modulo one more than this.
pub const BLOCK_ORDINAL_MAX: u32 = 0xFF_FFFF;

const MAGIC: [u8; 4] = *b"LCKP";
const CRC_OFFSET: usize = 28;
const VERSION_BYTES_MIN: usize = 2 + 1 + 1 + 2 + 16 + 8 + 8 + 8 + 16 + 10 + 4;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// Spaces and their keys.
    Spaces,
    /// Versions of a run of names.
    Versions,
    /// Blobs.
    Blobs,
    /// The end: the checkpoint is complete.
    End,
}

/// Header of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// What it holds.
    pub kind: BlockKind,
    /// Its number in the checkpoint, from 1; 0 when its writer did not number blocks.
    pub ordinal: u32,
    /// Zone it was written for.
    pub zone: ZoneId,
    /// Body length.
    pub len: u32,
    /// As of which LSN.
    pub as_of: Lsn,
    /// CRC-32 of the body.
    pub crc: u32,
}

/// The end of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointEnd {
    /// The LSN up to which the journal is not needed with this checkpoint.
    pub lsn: Lsn,
    /// Journal zone where replay begins.
    pub replay_zone: ZoneId,
    /// Offset in it.
    pub replay_offset: u32,
    /// Highest time ever journaled.
    pub time_ms: u64,
    /// Next space id.
    pub next_space: SpaceId,
    /// Zones of the checkpoint.
    pub zones: u32,
}

/// One version in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedVersion {
    /// Its name.
    pub name: Vec<u8>,
    /// Its entry.
    pub entry: Entry,
    /// Its lock.
    pub lock: Option<Lock>,
}

impl BlockHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; CHECKPOINT_BLOCK_HEADER_BYTES] {
        let kind = match self.kind {
            BlockKind::Spaces => 1,
            BlockKind::Versions => 2,
            BlockKind::Blobs => 3,
            BlockKind::End => 4,
        };
        let mut out = Vec::with_capacity(CHECKPOINT_BLOCK_HEADER_BYTES);
        Encoder::new(&mut out)
            .bytes(&MAGIC)
            .u8(kind)
            .u16((self.ordinal & 0xFFFF) as u16)
            .u8((self.ordinal >> 16) as u8)
            .u32(self.zone.0)
            .u32(self.len)
            .u64(self.as_of.0)
            .u32(self.crc);
        let crc = crc32fast::hash(&out);
        Encoder::new(&mut out).u32(crc);
        let mut header = [0; CHECKPOINT_BLOCK_HEADER_BYTES];
        header.copy_from_slice(&out);
        header
    }

    /// Verifies and reads a header.
    pub fn decode(data: &[u8]) -> Result<Self, Malformed> {
        let (covered, rest) =
            data.split_at_checked(CRC_OFFSET).ok_or(Malformed::new("block header length"))?;
        let mut d = Decoder::new(covered, "block header");
        if d.array()? != MAGIC {
            return Err(Malformed::new("block magic"));
        }
        if Decoder::new(rest, "block header").u32()? != crc32fast::hash(covered) {
            return Err(Malformed::new("block header crc"));
        }
        let kind = match d.u8()? {
            1 => BlockKind::Spaces,
            2 => BlockKind::Versions,
            3 => BlockKind::Blobs,
            4 => BlockKind::End,
            _ => return Err(Malformed::new("block kind")),
        };
        let ordinal = u32::from(d.u16()?) | u32::from(d.u8()?) << 16;
        Ok(Self {
            kind,
            ordinal,
            zone: ZoneId(d.u32()?),
            len: d.u32()?,
            as_of: Lsn(d.u64()?),
            crc: d.u32()?,
        })
    }
}

impl CheckpointEnd {
    /// The body of the end block.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        Encoder::new(&mut out)
            .u64(self.lsn.0)
            .u32(self.replay_zone.0)
            .u32(self.replay_offset)
            .u64(self.time_ms)
            .u32(self.next_space.0)
            .u32(self.zones);
        out
    }

    /// Reads the body of the end block.
    pub fn decode(data: &[u8]) -> Result<Self, Malformed> {
        let mut d = Decoder::new(data, "checkpoint end");
        let end = Self {
            lsn: Lsn(d.u64()?),
            replay_zone: ZoneId(d.u32()?),
            replay_offset: d.u32()?,
            time_ms: d.u64()?,
            next_space: SpaceId(d.u32()?),
            zones: d.u32()?,
        };
        d.finish()?;
        Ok(end)
    }
}

/// The body of a spaces block.
pub fn encode_spaces(spaces: &[(SpaceId, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(&mut out).u32(spaces.len() as u32);
    for (space, key) in spaces {
        Encoder::new(&mut out).u32(space.0).u16(key.len() as u16).bytes(key);
    }
    out
}

/// Reads the body of a spaces block.
pub fn decode_spaces(data: &[u8]) -> Result<Vec<(SpaceId, Vec<u8>)>, Malformed> {
    let mut d = Decoder::new(data, "spaces block");
    let count = d.count(6)?;
    let mut spaces = Vec::with_capacity(count);
    for _ in 0..count {
        let space = SpaceId(d.u32()?);
        let len = d.u16()? as usize;
        spaces.push((space, d.bytes(len)?.to_vec()));
    }
    d.finish()?;
    Ok(spaces)
}

/// A decoded versions block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionsBlock {
    /// The space.
    pub space: SpaceId,
    /// The last name it covers, none when it covers all that follow.
    pub bound: Option<Vec<u8>>,
    /// The versions, by name.
    pub versions: Vec<NamedVersion>,
}

/// The body of a versions block. `bound`: none when no name of the space follows.
pub fn encode_versions(space: SpaceId, bound: Option<&[u8]>, versions: &[NamedVersion]) -> Vec<u8> {
    let mut out = Vec::with_capacity(versions.len() * 160 + 64);
    let name = bound.unwrap_or_default();
    Encoder::new(&mut out)
        .u32(space.0)
        .u8(u8::from(bound.is_none()))
        .u32(versions.len() as u32)
        .u16(name.len() as u16)
        .bytes(name);
    for NamedVersion { name, entry, lock } in versions {
        Encoder::new(&mut out)
            .u16(name.len() as u16)
            .bytes(name)
            .u8(entry.flags)
            .u8(entry.label)
            .u16(entry.stamp.parts)
            .bytes(&entry.stamp.digest)
            .u64(entry.sequence)
            .u64(entry.time_ms)
            .u64(entry.size);
        encode_location(&entry.location, &mut out);
        encode_lock(lock.as_ref(), &mut out);
        match &entry.body {
            Body::Record => {
                Encoder::new(&mut out).u32(0);
            }
            Body::Blob(blob) => {
                Encoder::new(&mut out).u32(1).u64(blob.0);
            }
            Body::Blobs(blobs) => {
                Encoder::new(&mut out).u32(blobs.len() as u32);
                for blob in blobs.iter() {
                    Encoder::new(&mut out).u64(blob.0);
                }
            }
        }
    }
    out
}

/// Reads the body of a versions block.
pub fn decode_versions(data: &[u8]) -> Result<VersionsBlock, Malformed> {
    let mut d = Decoder::new(data, "versions block");
    let space = SpaceId(d.u32()?);
    let last = d.u8()? != 0;
    let count = d.u32()? as usize;
    let bound_len = d.u16()? as usize;
    let bound = d.bytes(bound_len)?.to_vec();
    if count.saturating_mul(VERSION_BYTES_MIN) > d.remaining() {
        return Err(Malformed::new("versions block count"));
    }
    let mut versions = Vec::with_capacity(count);
    for _ in 0..count {
        let name_len = d.u16()? as usize;
        let name = d.bytes(name_len)?.to_vec();
        let (flags, label) = (d.u8()?, d.u8()?);
        let parts = d.u16()?;
        let stamp = Stamp { digest: d.array()?, parts };
        let (sequence, time_ms, size) = (d.u64()?, d.u64()?, d.u64()?);
        let location = decode_location(&mut d)?;
        let lock = decode_lock(&mut d)?;
        let blobs = d.count(8)?;
        let body = match blobs {
            0 => Body::Record,
            1 => Body::Blob(BlobId(d.u64()?)),
            _ => {
                let mut ids = Vec::with_capacity(blobs);
                for _ in 0..blobs {
                    ids.push(BlobId(d.u64()?));
                }
                Body::Blobs(Box::new(ids))
            }
        };
        let lock = (flags & Entry::LOCKED != 0).then_some(lock);
        let entry = Entry { sequence, time_ms, size, location, body, stamp, label, flags };
        versions.push(NamedVersion { name, entry, lock });
    }
    d.finish()?;
    Ok(VersionsBlock { space, bound: (!last).then_some(bound), versions })
}

/// The body of a blobs block.
pub fn encode_blobs(blobs: &[(BlobId, BlobPlace)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(blobs.len() * 64 + 8);
    Encoder::new(&mut out).u32(blobs.len() as u32);
    for (blob, place) in blobs {
        Encoder::new(&mut out).u64(blob.0);
        encode_place(place, &mut out);
    }
    out
}

/// Reads the body of a blobs block.
pub fn decode_blobs(data: &[u8]) -> Result<Vec<(BlobId, BlobPlace)>, Malformed> {
    let mut d = Decoder::new(data, "blobs block");
    let count = d.count(36)?;
    let mut blobs = Vec::with_capacity(count);
    for _ in 0..count {
        blobs.push((BlobId(d.u64()?), decode_place(&mut d)?));
    }
    d.finish()?;
    Ok(blobs)
}
