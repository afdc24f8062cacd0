//! Every decoder of the format, given any bytes: it answers or refuses, it never panics, and what it
//! accepted it encodes and reads again the same. Shared by `format.rs` and the fuzz targets.
//!
//! No random bytes have the right checksum: what a checksum guards is given once more with it set
//! right, so that the fields behind it are reached.

use storage_engine::format::*;

/// A decoder under test, and what sets the checksum of its structure right.
pub(crate) type Decoder = (fn(&[u8]), fn(&mut [u8]));

/// All of them, by name.
pub(crate) const ALL: [(&str, Decoder); 11] = [
    ("root", (root, seal_root)),
    ("zone_header", (zone_header, |data| seal_header(data, b"LODEZONE", 68))),
    ("batch_header", (batch_header, |data| seal_header(data, b"LODEBAT1", 60))),
    ("record", (record, seal_record)),
    ("record_body", (record_body, unsealed)),
    ("put_body", (put_body, unsealed)),
    ("block_header", (block_header, |data| seal_header(data, b"LCKP", 28))),
    ("checkpoint_end", (checkpoint_end, unsealed)),
    ("spaces", (spaces, unsealed)),
    ("versions", (versions, unsealed)),
    ("blobs", (blobs, unsealed)),
];

/// Gives bytes to one of them.
pub(crate) fn run(name: &str, data: &[u8]) {
    for (_, (decode, seal)) in ALL.into_iter().filter(|(decoder, _)| *decoder == name) {
        decode(data);
        let mut sealed = data.to_vec();
        seal(&mut sealed);
        decode(&sealed);
    }
}

/// For a structure that another one's checksum guards.
fn unsealed(_: &mut [u8]) {}

fn seal_header(data: &mut [u8], magic: &[u8], crc_at: usize) {
    if data.len() >= crc_at + 4 {
        data[..magic.len()].copy_from_slice(magic);
        let crc = crc32fast::hash(&data[..crc_at]);
        data[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

fn seal_root(data: &mut [u8]) {
    if data.len() >= 12 {
        seal_header(data, b"LODEROOT", data.len() - 4);
    }
}

fn seal_record(data: &mut [u8]) {
    if data.len() >= RECORD_HEADER_BYTES {
        let len = data.len() as u32;
        let crc = crc32fast::hash(&data[RECORD_HEADER_BYTES..]);
        data[16..20].copy_from_slice(&len.to_le_bytes());
        data[20..24].copy_from_slice(&crc.to_le_bytes());
        seal_header(data, b"LREC", 28);
    }
}

fn root(data: &[u8]) {
    if let Ok(root) = Root::decode(data) {
        assert_eq!(Root::decode(&root.encode()), Ok(root));
    }
}

fn zone_header(data: &[u8]) {
    if let Ok(header) = ZoneHeader::decode(data) {
        assert_eq!(ZoneHeader::decode(&header.encode()), Ok(header));
    }
}

fn batch_header(data: &[u8]) {
    if let Ok((header, _)) = BatchHeader::decode(data) {
        let again = BatchHeader::decode(&header.encode()).map(|(header, _)| header);
        assert_eq!(again, Ok(header));
        let _ = header.padded_bytes();
    }
}

fn record(data: &[u8]) {
    if let Ok((header, body)) = RecordHeader::decode_record(data) {
        assert_eq!(header.kind, body.kind());
        assert_eq!(RecordHeader::decode(&header.encode()), Ok(header));
    }
}

/// The first byte says the kind.
fn record_body(data: &[u8]) {
    let Some((&kind, body)) = data.split_first() else { return };
    if let Ok(body) = RecordBody::decode(kind % 10, body) {
        let mut encoded = Vec::new();
        encode_body(&body, &mut encoded);
        assert_eq!(RecordBody::decode(body.kind(), &encoded), Ok(body));
    }
}

fn put_body(data: &[u8]) {
    if let Ok((_, parts)) = put_parts(data) {
        for part in parts {
            assert!(data.get(part).is_some());
        }
    }
}

fn block_header(data: &[u8]) {
    if let Ok(header) = BlockHeader::decode(data) {
        assert_eq!(BlockHeader::decode(&header.encode()), Ok(header));
    }
}

fn checkpoint_end(data: &[u8]) {
    if let Ok(end) = CheckpointEnd::decode(data) {
        assert_eq!(CheckpointEnd::decode(&end.encode()), Ok(end));
    }
}

fn spaces(data: &[u8]) {
    if let Ok(spaces) = decode_spaces(data) {
        assert_eq!(decode_spaces(&encode_spaces(&spaces)), Ok(spaces));
    }
}

fn versions(data: &[u8]) {
    if let Ok(block) = decode_versions(data) {
        let encoded = encode_versions(block.space, block.bound.as_deref(), &block.versions);
        assert_eq!(decode_versions(&encoded), Ok(block));
    }
}

fn blobs(data: &[u8]) {
    if let Ok(blobs) = decode_blobs(data) {
        assert_eq!(decode_blobs(&encode_blobs(&blobs)), Ok(blobs));
    }
}
