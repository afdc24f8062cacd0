//! One commit group in the journal: a header at a sector boundary, then its records, padded with
//! zeros to the next sector. Never rewritten once acknowledged.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `LODEBAT1` |
//! | 8 | 4 | zone id it was written for |
//! | 12 | 4 | epoch |
//! | 16 | 8 | LSN of its first record (the next LSN when it has none) |
//! | 24 | 8 | last LSN that was durable, data included, before this batch was written |
//! | 32 | 8 | time, ms since 1970: the highest ever journaled |
//! | 40 | 4 | records |
//! | 44 | 4 | bytes of records |
//! | 48 | 4 | CRC-32 of the records |
//! | 52 | 4 | header CRC of the batch before it in this zone, 0 for the first |
//! | 56 | 2 | partition |
//! | 58 | 2 | 0 |
//! | 60 | 4 | CRC-32 of bytes 0..60, XOR the store's salt (CRC-32 of the store id) |

use super::{Decoder, Encoder, Malformed};
use crate::id::{Epoch, Lsn, ZoneId};

/// Length of a batch header.
pub const BATCH_HEADER_BYTES: usize = 64;

const MAGIC: [u8; 8] = *b"LODEBAT1";
const CRC_OFFSET: usize = 60;

/// The header of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Zone it was written for.
    pub zone: ZoneId,
    /// Epoch of its writer.
    pub epoch: Epoch,
    /// LSN of its first record.
    pub first_lsn: Lsn,
    /// What was durable before it.
    pub durable_lsn: Lsn,
    /// Highest time ever journaled.
    pub time_ms: u64,
    /// Records in it.
    pub records: u32,
    /// Bytes of records.
    pub len: u32,
    /// CRC-32 of the records.
    pub crc: u32,
    /// Header CRC of its predecessor in the zone.
    pub previous_crc: u32,
    /// Partition.
    pub partition: u16,
}

impl BatchHeader {
    /// The header's bytes; the last four are its CRC, which the next batch repeats.
    pub fn encode(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut out = Vec::with_capacity(BATCH_HEADER_BYTES);
        Encoder::new(&mut out)
            .bytes(&MAGIC)
            .u32(self.zone.0)
            .u32(self.epoch.0)
            .u64(self.first_lsn.0)
            .u64(self.durable_lsn.0)
            .u64(self.time_ms)
            .u32(self.records)
            .u32(self.len)
            .u32(self.crc)
            .u32(self.previous_crc)
            .u16(self.partition)
            .u16(0);
        let crc = crc32fast::hash(&out);
        Encoder::new(&mut out).u32(crc);
        let mut header = [0; BATCH_HEADER_BYTES];
        header.copy_from_slice(&out);
        header
    }

    /// Verifies and reads a header; also answers its own CRC.
    pub fn decode(data: &[u8]) -> Result<(Self, u32), Malformed> {
        let (covered, rest) =
            data.split_at_checked(CRC_OFFSET).ok_or(Malformed::new("batch header length"))?;
        let mut d = Decoder::new(covered, "batch header");
        if d.array()? != MAGIC {
            return Err(Malformed::new("batch magic"));
        }
        let crc = Decoder::new(rest, "batch header").u32()?;
        if crc != crc32fast::hash(covered) {
            return Err(Malformed::new("batch header crc"));
        }
        let header = Self {
            zone: ZoneId(d.u32()?),
            epoch: Epoch(d.u32()?),
            first_lsn: Lsn(d.u64()?),
            durable_lsn: Lsn(d.u64()?),
            time_ms: d.u64()?,
            records: d.u32()?,
            len: d.u32()?,
            crc: d.u32()?,
            previous_crc: d.u32()?,
            partition: d.u16()?,
        };
        Ok((header, crc))
    }

    /// LSN of the record behind its last.
    pub fn end_lsn(&self) -> Lsn {
        Lsn(self.first_lsn.0.saturating_add(self.records.into()))
    }

    /// Bytes the batch takes in the zone, padding included.
    pub fn padded_bytes(&self) -> u64 {
        (BATCH_HEADER_BYTES as u64 + u64::from(self.len))
            .next_multiple_of(crate::media::SECTOR_BYTES)
    }
}
