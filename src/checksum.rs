//! The five S3 checksums: names, streaming computation, and combination of parts' CRCs.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>

/// A checksum algorithm of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// CRC-32 (IEEE).
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// How the checksum of a multipart object covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coverage {
    /// Over the whole content.
    FullObject,
    /// Over the parts' checksums; its text ends in `-N`.
    Composite,
}

impl Algorithm {
    /// All five.
    pub const ALL: [Self; 5] =
        [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The name in headers and XML: `CRC32`, `CRC32C`, `CRC64NVME`, `SHA1`, `SHA256`.
    pub fn name(self) -> &'static str {
        todo!()
    }

    /// The header that carries a value: `x-amz-checksum-crc32`, ….
    pub fn header(self) -> &'static str {
        todo!()
    }

    /// From [`Algorithm::name`], any case.
    pub fn from_name(_name: &str) -> Option<Self> {
        todo!()
    }

    /// From [`Algorithm::header`], any case.
    pub fn from_header(_name: &str) -> Option<Self> {
        todo!()
    }

    /// Length of a digest in bytes.
    pub fn digest_bytes(self) -> usize {
        todo!()
    }

    /// A number for storage; never changes meaning.
    pub fn code(self) -> u8 {
        todo!()
    }

    /// From [`Algorithm::code`].
    pub fn from_code(_code: u8) -> Option<Self> {
        todo!()
    }

    /// The digest of the concatenation, from digests and lengths of the parts; none when the
    /// algorithm is no CRC.
    pub fn combine(self, _parts: &[(Vec<u8>, u64)]) -> Option<Vec<u8>> {
        todo!()
    }
}

/// A running checksum.
pub struct Hasher {}

impl Hasher {
    /// Starts one.
    pub fn new(_algorithm: Algorithm) -> Self {
        todo!()
    }
    /// Which algorithm it runs.
    pub fn algorithm(&self) -> Algorithm {
        todo!()
    }
    /// Adds bytes.
    pub fn update(&mut self, _data: &[u8]) {
        todo!()
    }
    /// The digest, big-endian for CRCs, as S3 encodes it in base64.
    pub fn finish(self) -> Vec<u8> {
        todo!()
    }
}
