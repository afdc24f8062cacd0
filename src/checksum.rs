//! The five S3 checksums: names, streaming computation, and combination of parts' CRCs.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>

use crc_fast::{CrcAlgorithm, Digest as CrcDigest};
use sha1::Sha1;
use sha2::{Digest, Sha256};

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
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header that carries a value: `x-amz-checksum-crc32`, ….
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// From [`Algorithm::name`], any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// From [`Algorithm::header`], any case.
    pub fn from_header(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(name))
    }

    /// Length of a digest in bytes.
    pub fn digest_bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// A number for storage; never changes meaning.
    pub fn code(self) -> u8 {
        match self {
            Self::Crc32 => 1,
            Self::Crc32c => 2,
            Self::Crc64Nvme => 3,
            Self::Sha1 => 4,
            Self::Sha256 => 5,
        }
    }

    /// From [`Algorithm::code`].
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.code() == code)
    }

    /// The digest of the concatenation, from digests and lengths of the parts; none when the
    /// algorithm is no CRC or a digest has not its length.
    pub fn combine(self, parts: &[(Vec<u8>, u64)]) -> Option<Vec<u8>> {
        let crc = self.crc()?;
        // The CRC of nothing is zero, and prepending nothing changes nothing.
        let mut whole = 0;
        for (digest, len) in parts {
            let part = self.crc_value(digest)?;
            whole = crc_fast::checksum_combine(crc, whole, part, *len);
        }
        Some(self.crc_digest(whole))
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }

    fn crc_value(self, digest: &[u8]) -> Option<u64> {
        if digest.len() != self.digest_bytes() {
            return None;
        }
        Some(digest.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn crc_digest(self, value: u64) -> Vec<u8> {
        value.to_be_bytes().into_iter().skip(8 - self.digest_bytes().min(8)).collect()
    }
}

/// A running checksum.
pub struct Hasher {
    algorithm: Algorithm,
    state: State,
}

enum State {
    Crc(CrcDigest),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hasher {
    /// Starts one.
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Crc32 => State::Crc(CrcDigest::new(CrcAlgorithm::Crc32IsoHdlc)),
            Algorithm::Crc32c => State::Crc(CrcDigest::new(CrcAlgorithm::Crc32Iscsi)),
            Algorithm::Crc64Nvme => State::Crc(CrcDigest::new(CrcAlgorithm::Crc64Nvme)),
            Algorithm::Sha1 => State::Sha1(Sha1::new()),
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
        };
        Self { algorithm, state }
    }

    /// Which algorithm it runs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Adds bytes.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.state {
            State::Crc(digest) => digest.update(data),
            State::Sha1(digest) => digest.update(data),
            State::Sha256(digest) => digest.update(data),
        }
    }

    /// The digest, big-endian for CRCs, as S3 encodes it in base64.
    pub fn finish(self) -> Vec<u8> {
        match self.state {
            State::Crc(digest) => self.algorithm.crc_digest(digest.finalize()),
            State::Sha1(digest) => digest.finalize().to_vec(),
            State::Sha256(digest) => digest.finalize().to_vec(),
        }
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, Hasher};

    fn digest(algorithm: Algorithm, data: &[u8]) -> Vec<u8> {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(data);
        hasher.finish()
    }

    #[test]
    fn known_vectors_hold() {
        // The check values of the CRC catalogue, and FIPS 180's digests of "abc".
        for (algorithm, data, expected) in [
            (Algorithm::Crc32, "123456789", "cbf43926"),
            (Algorithm::Crc32c, "123456789", "e3069283"),
            (Algorithm::Crc64Nvme, "123456789", "ae8b14860a799888"),
            (Algorithm::Sha1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                Algorithm::Sha256,
                "abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (Algorithm::Crc32, "", "00000000"),
            (Algorithm::Crc64Nvme, "", "0000000000000000"),
        ] {
            let found = digest(algorithm, data.as_bytes());
            assert_eq!(hex::encode(&found), expected, "{}", algorithm.name());
            assert_eq!(found.len(), algorithm.digest_bytes());
        }
    }

    #[test]
    fn names_headers_and_codes_come_back() {
        for algorithm in Algorithm::ALL {
            let lower = algorithm.name().to_ascii_lowercase();
            assert_eq!(Algorithm::from_name(&lower), Some(algorithm));
            assert_eq!(algorithm.header(), format!("x-amz-checksum-{lower}"));
            assert_eq!(
                Algorithm::from_header(&algorithm.header().to_ascii_uppercase()),
                Some(algorithm)
            );
            assert_eq!(Algorithm::from_code(algorithm.code()), Some(algorithm));
        }
        assert_eq!(Algorithm::from_name("MD5"), None);
        assert_eq!(Algorithm::from_header("x-amz-checksum-mode"), None);
        assert_eq!(Algorithm::from_code(0), None);
    }

    #[test]
    fn combined_parts_equal_the_whole() {
        let data: Vec<u8> = (0..70_001_u32).map(|n| ((n * 31) >> 3) as u8).collect();
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            for cuts in [vec![], vec![0], vec![1, 2], vec![5, 5, 40_000], vec![65_536, 70_001]] {
                let mut parts = Vec::new();
                let mut from = 0;
                for to in cuts.iter().copied().chain([data.len()]) {
                    parts.push((digest(algorithm, &data[from..to]), (to - from) as u64));
                    from = to;
                }
                assert_eq!(
                    algorithm.combine(&parts),
                    Some(digest(algorithm, &data)),
                    "{} {cuts:?}",
                    algorithm.name()
                );
            }
            assert_eq!(algorithm.combine(&[]), Some(digest(algorithm, b"")));
            assert_eq!(algorithm.combine(&[(vec![1], 1)]), None, "a digest of the wrong length");
        }
        assert_eq!(Algorithm::Sha1.combine(&[]), None);
        assert_eq!(Algorithm::Sha256.combine(&[(vec![0; 32], 5)]), None);
    }

    #[test]
    fn pieces_equal_the_whole() {
        let data: Vec<u8> = (0..10_000_u32).map(|n| (n % 251) as u8).collect();
        for algorithm in Algorithm::ALL {
            let mut hasher = Hasher::new(algorithm);
            assert_eq!(hasher.algorithm(), algorithm);
            for piece in data.chunks(17) {
                hasher.update(piece);
            }
            assert_eq!(hasher.finish(), digest(algorithm, &data));
        }
    }
}
