//! The root object: the store's identity and its owner's epoch.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `LODEROOT` |
//! | 8 | 2 | format version |
//! | 10 | 2 | partitions |
//! | 12 | 4 | epoch |
//! | 16 | 16 | store id |
//! | 32 | 8 | time the store was made, ms since 1970 |
//! | 40 | 4 | zone ids below this one may have been used |
//! | 44 | 4 | length of the wrapped key |
//! | 48 | … | the root space's key, wrapped by the master key |
//! | … | 4 | CRC-32 of all before |

use super::{Decoder, Encoder, FORMAT_VERSION, Malformed};
use crate::id::Epoch;

const MAGIC: [u8; 8] = *b"LODEROOT";

/// The root object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Partitions of the store; names hash to one of them.
    pub partitions: u16,
    /// Epoch of the owner.
    pub epoch: Epoch,
    /// Identity of the store: random, and shown to nobody.
    pub store: [u8; 16],
    /// When it was made.
    pub created_ms: u64,
    /// Zone ids below this one may have been used by some owner; a new owner begins here.
    pub zone_ids_end: u32,
    /// The root space's key, wrapped.
    pub key: Vec<u8>,
}

impl Root {
    /// What the headers of this store are salted with ([`super::salt_header`]).
    pub fn salt(&self) -> u32 {
        crc32fast::hash(&self.store)
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + self.key.len());
        Encoder::new(&mut out)
            .bytes(&MAGIC)
            .u16(FORMAT_VERSION)
            .u16(self.partitions)
            .u32(self.epoch.0)
            .bytes(&self.store)
            .u64(self.created_ms)
            .u32(self.zone_ids_end)
            .u32(self.key.len() as u32)
            .bytes(&self.key);
        let crc = crc32fast::hash(&out);
        Encoder::new(&mut out).u32(crc);
        out
    }

    /// Verifies and reads it.
    pub fn decode(data: &[u8]) -> Result<Self, Malformed> {
        let at = data.len().checked_sub(4).ok_or(Malformed::new("root length"))?;
        let (covered, rest) = data.split_at_checked(at).ok_or(Malformed::new("root length"))?;
        if Decoder::new(rest, "root").u32()? != crc32fast::hash(covered) {
            return Err(Malformed::new("root crc"));
        }
        let mut d = Decoder::new(covered, "root");
        if d.array()? != MAGIC {
            return Err(Malformed::new("root magic"));
        }
        let version = d.u16()?;
        if version == 0 || version > FORMAT_VERSION {
            return Err(Malformed::new("root format version"));
        }
        let (partitions, epoch, store) = (d.u16()?, Epoch(d.u32()?), d.array()?);
        let (created_ms, zone_ids_end) = (d.u64()?, d.u32()?);
        let key_len = d.count(1)?;
        let key = d.bytes(key_len)?.to_vec();
        d.finish()?;
        Ok(Self { partitions, epoch, store, created_ms, zone_ids_end, key })
    }
}
