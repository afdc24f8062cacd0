//! The frame around a small file that is replaced whole: the root object, the device's facts.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | epoch of the owner that wrote it |
//! | 16 | 8 | length of the payload |
//! | 24 | 4 | CRC-32 (IEEE) of bytes 0 to 24 and the payload |
//! | 28 | 4 | zero |
//! | 32 | … | payload |
//!
//! Integers are little-endian.

use crate::error::{Corruption, Error, Result};
use crate::id::Epoch;

/// Largest root object: it is read at once at open.
pub const ROOT_BYTES_MAX: usize = 16 * 1024 * 1024;

const HEADER_BYTES: usize = 32;
const VERSION: u32 = 1;

/// Which framed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// The root object.
    Root,
    /// The zone size.
    Device,
}

/// What a framed file holds.
#[derive(Debug)]
pub(super) struct Frame {
    /// Who wrote it.
    pub(super) epoch: Epoch,
    /// What was written.
    pub(super) payload: Vec<u8>,
}

impl FrameKind {
    pub(super) fn file_name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Device => "device",
        }
    }

    pub(super) fn file_bytes_max(self) -> u64 {
        (HEADER_BYTES + ROOT_BYTES_MAX) as u64
    }

    fn magic(self) -> [u8; 8] {
        match self {
            Self::Root => *b"LODEROOT",
            Self::Device => *b"LODEDEVC",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Root => "root object",
            Self::Device => "device file",
        }
    }

    pub(super) fn encode(self, epoch: Epoch, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
        bytes.extend_from_slice(&self.magic());
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&epoch.0.to_le_bytes());
        bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        let crc = checksum(&bytes, payload);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(payload);
        bytes
    }

    pub(super) fn decode(self, bytes: &[u8]) -> Result<Frame> {
        let Some((header, payload)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(self.corrupt(0, "a header of 32 bytes", format!("{} bytes", bytes.len())));
        };
        let [magic, rest @ ..] = bytemuck::cast::<[u8; HEADER_BYTES], [[u8; 8]; 4]>(*header);
        let [versions, len, crc] = rest;
        if magic != self.magic() {
            return Err(self.corrupt(0, "the magic", format!("{magic:02x?}")));
        }
        let [version, epoch] = bytemuck::cast::<[u8; 8], [[u8; 4]; 2]>(versions);
        let version = u32::from_le_bytes(version);
        if version != VERSION {
            let known = "format version 1";
            return Err(self.corrupt(8, known, format!("format version {version}")));
        }
        let len = u64::from_le_bytes(len);
        if len != payload.len() as u64 {
            let expected = format!("{len} bytes of payload");
            return Err(self.corrupt(16, &expected, format!("{}", payload.len())));
        }
        let [expected, zero] = bytemuck::cast::<[u8; 8], [u32; 2]>(crc).map(u32::from_le);
        let found = checksum(&header[..24], payload);
        if expected != found || zero != 0 {
            let expected = format!("checksum {expected:08x}");
            return Err(self.corrupt(24, &expected, format!("{found:08x}")));
        }
        let epoch = Epoch(u32::from_le_bytes(epoch));
        Ok(Frame { epoch, payload: payload.to_vec() })
    }

    fn corrupt(self, offset: u64, expected: &str, found: String) -> Error {
        let expected = expected.to_owned();
        Error::Corrupt(Corruption { zone: None, offset, what: self.what(), expected, found })
    }
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_keeps_its_bytes() {
        let bytes = FrameKind::Root.encode(Epoch(7), b"root");
        assert_eq!(bytes[..16], *b"LODEROOT\x01\0\0\0\x07\0\0\0");
        assert_eq!(bytes[16..24], 4u64.to_le_bytes());
        assert_eq!(bytes[28..], *b"\0\0\0\0root");
        let frame = FrameKind::Root.decode(&bytes).unwrap();
        assert_eq!((frame.epoch, frame.payload.as_slice()), (Epoch(7), &b"root"[..]));
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_found() {
        let good = FrameKind::Root.encode(Epoch(7), b"payload");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(FrameKind::Root.decode(&bad).is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            assert!(FrameKind::Root.decode(&good[..len]).is_err(), "cut at {len}");
        }
        assert!(FrameKind::Device.decode(&good).is_err());
    }
}
