//! Where a blob lies and in what it is sealed.
//!
//! A place, 28 bytes and its extents:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 7 | length of the blob |
//! | 7 | 1 | chunk size: 0 64 KiB (all that format versions 1 and 2 know), 1 4 KiB |
//! | 8 | 16 | extent of the tags |
//! | 24 | 4 | extent count |
//! | 28 | … | extents of the ciphertext, in order |
//!
//! An extent, 16 bytes: zone 4, offset 4, length 4, CRC-32 4.

use super::{Decoder, Encoder, Malformed};
use crate::id::ZoneId;
use crate::limits::{CHUNK_BYTES, PAGE_BYTES};

const EXTENT_BYTES: usize = 16;
const LEN_BITS: u32 = 56;
const LEN_MAX: u64 = (1 << LEN_BITS) - 1;

/// Immutable run of bytes inside one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// The zone.
    pub zone: ZoneId,
    /// Byte offset in it.
    pub offset: u32,
    /// Length in bytes.
    pub len: u32,
    /// CRC-32 of the bytes.
    pub crc: u32,
}

/// Where a blob lies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlobPlace {
    /// How long it is, and in chunks of which size it is sealed.
    pub shape: BlobShape,
    /// Its authentication tags, 16 bytes a chunk, in order.
    pub tags: Extent,
    /// Its ciphertext, in order.
    pub extents: Box<[Extent]>,
}

/// Length and chunk size of a blob, in one word: the index has one for every blob.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct BlobShape(u64);

/// Size of the chunks of a blob, each of which is verified and opened by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChunkSize {
    /// [`CHUNK_BYTES`]: the cipher's full speed, for what is read as a stream.
    #[default]
    Stream,
    /// [`PAGE_BYTES`]: no byte more than a device reads, for what is read at random.
    Page,
}

impl ChunkSize {
    /// Plaintext bytes of a chunk; the last one of a blob may have less.
    pub fn bytes(self) -> usize {
        match self {
            Self::Stream => CHUNK_BYTES,
            Self::Page => PAGE_BYTES,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Stream => 0,
            Self::Page => 1,
        }
    }
}

impl BlobShape {
    /// A blob of `bytes`, less than 2^56.
    pub fn new(bytes: u64, chunks: ChunkSize) -> Self {
        Self(bytes.min(LEN_MAX) | u64::from(chunks.code()) << LEN_BITS)
    }

    /// Plaintext and ciphertext length.
    pub fn bytes(self) -> u64 {
        self.0 & LEN_MAX
    }

    /// Size of the chunks.
    pub fn chunk_size(self) -> ChunkSize {
        if self.0 >> LEN_BITS == 0 { ChunkSize::Stream } else { ChunkSize::Page }
    }

    /// Plaintext bytes of a chunk.
    pub fn chunk_bytes(self) -> u64 {
        self.chunk_size().bytes() as u64
    }

    /// Number of chunks with bytes in them.
    pub fn chunks(self) -> u64 {
        self.bytes().div_ceil(self.chunk_bytes())
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let word = d.u64()?;
        match word >> LEN_BITS {
            0 | 1 => Ok(Self(word)),
            _ => Err(Malformed::new("chunk size")),
        }
    }
}

impl std::fmt::Debug for BlobShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes, {:?}", self.bytes(), self.chunk_size())
    }
}

fn encode_extent(extent: &Extent, out: &mut Vec<u8>) {
    Encoder::new(out).u32(extent.zone.0).u32(extent.offset).u32(extent.len).u32(extent.crc);
}

fn decode_extent(d: &mut Decoder<'_>) -> Result<Extent, Malformed> {
    Ok(Extent { zone: ZoneId(d.u32()?), offset: d.u32()?, len: d.u32()?, crc: d.u32()? })
}

pub(super) fn encode_place(place: &BlobPlace, out: &mut Vec<u8>) {
    Encoder::new(out).u64(place.shape.0);
    encode_extent(&place.tags, out);
    Encoder::new(out).u32(place.extents.len() as u32);
    for extent in &place.extents {
        encode_extent(extent, out);
    }
}

pub(super) fn decode_place(d: &mut Decoder<'_>) -> Result<BlobPlace, Malformed> {
    let shape = BlobShape::decode(d)?;
    let tags = decode_extent(d)?;
    let count = d.count(EXTENT_BYTES)?;
    let mut extents = Vec::with_capacity(count);
    for _ in 0..count {
        extents.push(decode_extent(d)?);
    }
    let held: u64 = extents.iter().map(|e| u64::from(e.len)).sum();
    if held != shape.bytes() {
        return Err(Malformed::new("blob length"));
    }
    Ok(BlobPlace { shape, tags, extents: extents.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BLOB_BYTES_MAX;

    #[test]
    fn a_shape_keeps_length_and_chunk_size_in_eight_bytes() {
        for chunks in [ChunkSize::Stream, ChunkSize::Page] {
            for bytes in [0, 1, 4096, 65_537, BLOB_BYTES_MAX, LEN_MAX] {
                let shape = BlobShape::new(bytes, chunks);
                assert_eq!((shape.bytes(), shape.chunk_size()), (bytes, chunks));
                assert_eq!(shape.chunks(), bytes.div_ceil(chunks.bytes() as u64));
            }
        }
        // With its two counts it fills an allocation of 64 bytes; every blob has one.
        assert_eq!((size_of::<BlobShape>(), size_of::<BlobPlace>()), (8, 40));
    }

    #[test]
    fn an_unknown_chunk_size_is_refused() {
        let mut bytes = Vec::new();
        encode_place(&BlobPlace::default(), &mut bytes);
        for (code, known) in [(0, true), (1, true), (2, false), (0xFF, false)] {
            bytes[7] = code;
            assert_eq!(decode_place(&mut Decoder::new(&bytes, "place")).is_ok(), known, "{code}");
        }
    }
}
