//! Digests and checksums in the text forms that S3 uses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The five checksums by the name that goes into XML and headers.
pub const CHECKSUMS: [&str; 5] = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"];

/// SHA-256 in hex.
pub fn sha256_hex(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

/// HMAC-SHA-256.
pub fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// MD5 in hex: the inside of an ETag.
pub fn md5_hex(data: &[u8]) -> String {
    hex::encode(md5::Md5::digest(data))
}

/// MD5 in base64: the value of `Content-MD5`.
pub fn md5_base64(data: &[u8]) -> String {
    STANDARD.encode(md5::Md5::digest(data))
}

/// Standard base64.
pub fn base64(data: &[u8]) -> String {
    STANDARD.encode(data)
}

/// The raw digest of one of [`CHECKSUMS`].
pub fn digest(name: &str, data: &[u8]) -> Vec<u8> {
    let crc32 = |algorithm| {
        let value = crc_fast::checksum(algorithm, data);
        u32::try_from(value).expect("32 bits").to_be_bytes().to_vec()
    };
    match name {
        "CRC32" => crc32(CrcAlgorithm::Crc32IsoHdlc),
        "CRC32C" => crc32(CrcAlgorithm::Crc32Iscsi),
        "CRC64NVME" => crc_fast::checksum(CrcAlgorithm::Crc64Nvme, data).to_be_bytes().to_vec(),
        "SHA1" => sha1::Sha1::digest(data).to_vec(),
        "SHA256" => Sha256::digest(data).to_vec(),
        other => panic!("{other} is no checksum of S3"),
    }
}

/// One of [`CHECKSUMS`] in base64.
pub fn checksum(name: &str, data: &[u8]) -> String {
    base64(&digest(name, data))
}

/// The header that carries one of [`CHECKSUMS`].
pub fn checksum_header(name: &str) -> String {
    format!("x-amz-checksum-{}", name.to_lowercase())
}

/// The ETag of a multipart object made of `parts`, with its quotes.
pub fn multipart_etag(parts: &[&[u8]]) -> String {
    let digests: Vec<u8> = parts.iter().flat_map(md5::Md5::digest).collect();
    format!("\"{}-{}\"", md5_hex(&digests), parts.len())
}

/// The COMPOSITE checksum of a multipart object made of `parts`.
pub fn composite(name: &str, parts: &[&[u8]]) -> String {
    let digests: Vec<u8> = parts.iter().flat_map(|part| digest(name, part)).collect();
    format!("{}-{}", checksum(name, &digests), parts.len())
}

#[test]
fn checksums_of_the_check_string_are_the_published_ones() {
    let hex_of = |name| hex::encode(digest(name, b"123456789"));
    assert_eq!(hex_of("CRC32"), "cbf43926");
    assert_eq!(hex_of("CRC32C"), "e3069283");
    assert_eq!(hex_of("CRC64NVME"), "ae8b14860a799888");
}
