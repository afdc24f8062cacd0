//! The first 8 KiB of a zone: who it is, twice.
//!
//! Two copies, at offsets 0 and 4096, each one sector:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `LODEZONE` |
//! | 8 | 2 | format version |
//! | 10 | 1 | class |
//! | 11 | 1 | 0 |
//! | 12 | 2 | partition |
//! | 14 | 2 | 0 |
//! | 16 | 4 | zone id (never reused: also its generation) |
//! | 20 | 4 | epoch that made it |
//! | 24 | 8 | zone length in bytes |
//! | 32 | 8 | first LSN (journal), checkpoint LSN (checkpoint), else the LSN when it was made |
//! | 40 | 4 | ordinal within its checkpoint, else 0 |
//! | 44 | 8 | time it was made, ms since 1970 |
//! | 52 | 16 | store id |
//! | 68 | 4 | CRC-32 of bytes 0..68 |

use super::{Decoder, Encoder, FORMAT_VERSION, Malformed};
use crate::id::{Epoch, Lsn, ZoneId};

/// Where a zone's content begins.
pub const ZONE_DATA_OFFSET: u64 = 8192;

const MAGIC: [u8; 8] = *b"LODEZONE";
const CRC_OFFSET: usize = 68;

/// What a zone holds; things that die together share a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ZoneClass {
    /// Journal batches, with small values in them.
    Journal,
    /// Extents of blobs as they came in.
    Data,
    /// Records and extents that outlived their first zone.
    Survivor,
    /// One checkpoint of the index, or a part of one.
    Checkpoint,
}

impl ZoneClass {
    /// The class in words, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Data => "data",
            Self::Survivor => "survivor",
            Self::Checkpoint => "checkpoint",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Journal => 1,
            Self::Data => 2,
            Self::Survivor => 3,
            Self::Checkpoint => 4,
        }
    }

    fn from_code(code: u8) -> Result<Self, Malformed> {
        match code {
            1 => Ok(Self::Journal),
            2 => Ok(Self::Data),
            3 => Ok(Self::Survivor),
            4 => Ok(Self::Checkpoint),
            _ => Err(Malformed::new("zone class")),
        }
    }
}

/// The header of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneHeader {
    /// What it holds.
    pub class: ZoneClass,
    /// The partition it belongs to.
    pub partition: u16,
    /// Its id.
    pub zone: ZoneId,
    /// The epoch that made it.
    pub epoch: Epoch,
    /// Its length.
    pub zone_bytes: u64,
    /// See the table.
    pub first_lsn: Lsn,
    /// Ordinal within its checkpoint.
    pub ordinal: u32,
    /// When it was made.
    pub created_ms: u64,
    /// The store it belongs to.
    pub store: [u8; 16],
}

impl ZoneHeader {
    /// What the headers inside the zone are salted with ([`super::salt_header`]).
    pub fn salt(&self) -> u32 {
        crc32fast::hash(&self.store)
    }

    /// One copy.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CRC_OFFSET + 4);
        Encoder::new(&mut out)
            .bytes(&MAGIC)
            .u16(FORMAT_VERSION)
            .u8(self.class.code())
            .u8(0)
            .u16(self.partition)
            .u16(0)
            .u32(self.zone.0)
            .u32(self.epoch.0)
            .u64(self.zone_bytes)
            .u64(self.first_lsn.0)
            .u32(self.ordinal)
            .u64(self.created_ms)
            .bytes(&self.store);
        let crc = crc32fast::hash(&out);
        Encoder::new(&mut out).u32(crc);
        out
    }

    /// Verifies and reads one copy.
    pub fn decode(data: &[u8]) -> Result<Self, Malformed> {
        let (covered, rest) =
            data.split_at_checked(CRC_OFFSET).ok_or(Malformed::new("zone header length"))?;
        let mut d = Decoder::new(covered, "zone header");
        if d.array()? != MAGIC {
            return Err(Malformed::new("zone magic"));
        }
        if Decoder::new(rest, "zone header").u32()? != crc32fast::hash(covered) {
            return Err(Malformed::new("zone header crc"));
        }
        let version = d.u16()?;
        if version == 0 || version > FORMAT_VERSION {
            return Err(Malformed::new("zone format version"));
        }
        let class = ZoneClass::from_code(d.u8()?)?;
        d.u8()?;
        let partition = d.u16()?;
        d.u16()?;
        Ok(Self {
            class,
            partition,
            zone: ZoneId(d.u32()?),
            epoch: Epoch(d.u32()?),
            zone_bytes: d.u64()?,
            first_lsn: Lsn(d.u64()?),
            ordinal: d.u32()?,
            created_ms: d.u64()?,
            store: d.array()?,
        })
    }
}
