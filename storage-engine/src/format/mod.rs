//! Every structure on the device, as pure encoding and decoding: no I/O, no clock, no keys.
//!
//! All integers are little-endian. Every structure carries a magic, its length and CRC-32 (IEEE) of
//! its header and of its body, so that it can be verified without keys. Decoders take any bytes and
//! answer [`Malformed`]; they never panic (`tests/format.rs`, `fuzz/`). `docs/format.md` is the same
//! tables for readers without the source.
#![deny(clippy::indexing_slicing)]

mod checkpoint;
mod codec;
mod journal;
mod place;
mod record;
mod root;
mod zone;

pub use checkpoint::{
    BLOCK_ORDINAL_MAX, BlockHeader, BlockKind, CHECKPOINT_BLOCK_HEADER_BYTES, CheckpointEnd,
    NamedVersion, VersionsBlock, decode_blobs, decode_spaces, decode_versions, encode_blobs,
    encode_spaces, encode_versions,
};
pub use codec::{Decoder, Encoder, Malformed};
pub use journal::{BATCH_HEADER_BYTES, BatchHeader};
pub use place::{BlobPlace, BlobShape, ChunkSize, Extent};
pub use record::{
    Piece, PutHead, RECORD_HEADER_BYTES, RecordBody, RecordHeader, StoredValue, WRAPPED_KEY_BYTES,
    encode_body, patch_put, put_parts,
};
pub use root::Root;
pub use zone::{ZONE_DATA_OFFSET, ZoneClass, ZoneHeader};

/// Binds a header to its store: changes its CRC, the last four bytes, by the store's salt, and back.
/// Names lie on the device as clients gave them; without the salt, which no client knows, one could
/// be made to look like a header.
pub fn salt_header(header: &mut [u8], salt: u32) {
    if let Some(crc) = header.last_chunk_mut::<4>() {
        *crc = (u32::from_le_bytes(*crc) ^ salt).to_le_bytes();
    }
}

/// The format this release writes. It reads every format down to 1.
pub const FORMAT_VERSION: u16 = 3;
