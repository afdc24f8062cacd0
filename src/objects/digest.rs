//! Hashing content on its way through: MD5 for the entity tag, and the checksums asked for.

use bytes::Bytes;
use md5::{Digest as _, Md5};

use super::checksum::PartChecksum;
use super::error::{ObjectError, Result};
use super::limits::{HASH_PIECE_BYTES, HASH_TURN_BYTES};
use crate::checksum::{Algorithm, Hasher};
use crate::md5::{Md5Stream, StreamLost};

/// Hashes running over content.
pub(super) struct Digester {
    md5: Md5Stream,
    hashers: Vec<Hasher>,
    size: u64,
}

/// What content hashed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digests {
    /// Length of the content in bytes.
    pub(super) size: u64,
    /// Its MD5.
    pub(super) md5: [u8; 16],
    /// Its checksums, in the order they were asked for.
    pub(super) checksums: Vec<PartChecksum>,
}

impl Digester {
    /// Begins MD5 and `algorithms`; one named twice runs once.
    pub(super) fn new(algorithms: &[Algorithm]) -> Self {
        let mut hashers: Vec<Hasher> = Vec::with_capacity(algorithms.len());
        for &algorithm in algorithms {
            if hashers.iter().all(|hasher| hasher.algorithm() != algorithm) {
                hashers.push(Hasher::new(algorithm));
            }
        }
        Self { md5: Md5Stream::new(), hashers, size: 0 }
    }

    /// Adds bytes. The checksums run piece by piece so that a piece is in the cache once, and other
    /// tasks have the worker between turns.
    pub(super) async fn update(&mut self, data: &Bytes) {
        let mut rest = data.clone();
        while !rest.is_empty() {
            let turn = rest.split_to(rest.len().min(HASH_TURN_BYTES));
            self.md5.update(&turn).await;
            for piece in turn.chunks(HASH_PIECE_BYTES) {
                for hasher in &mut self.hashers {
                    hasher.update(piece);
                }
            }
            if !rest.is_empty() {
                tokio::task::yield_now().await;
            }
        }
        self.size += data.len() as u64;
    }

    /// Bytes so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Ends all hashes.
    pub(super) async fn finish(self) -> Result<Digests> {
        let checksums = self
            .hashers
            .into_iter()
            .map(|hasher| PartChecksum { algorithm: hasher.algorithm(), digest: hasher.finish() })
            .collect();
        // Logged where it happened.
        let md5 = self.md5.finish().await.map_err(|StreamLost| ObjectError::Internal)?;
        Ok(Digests { size: self.size, md5, checksums })
    }
}

impl Digests {
    /// The digest of one algorithm, if it ran.
    pub(super) fn checksum(&self, algorithm: Algorithm) -> Option<&PartChecksum> {
        self.checksums.iter().find(|checksum| checksum.algorithm == algorithm)
    }
}

/// MD5 of small content.
pub(super) fn md5_of(content: &[u8]) -> [u8; 16] {
    Md5::digest(content).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_do_not_change_the_digests() {
        let content: Vec<u8> = (0..1_000_003_u32).map(|i| (i % 251) as u8).collect();
        let mut whole = Digester::new(&Algorithm::ALL);
        let content = Bytes::from(content);
        whole.update(&content).await;
        let mut pieces = Digester::new(&Algorithm::ALL);
        for piece in content.chunks(77_777) {
            pieces.update(&content.slice_ref(piece)).await;
        }
        assert_eq!(pieces.size(), 1_000_003);
        let whole = whole.finish().await.unwrap();
        assert_eq!(whole.md5, md5_of(&content));
        assert_eq!(pieces.finish().await, Ok(whole));
    }

    #[tokio::test]
    async fn an_algorithm_named_twice_runs_once() {
        let digests = Digester::new(&[Algorithm::Crc32, Algorithm::Crc32]).finish().await.unwrap();
        assert_eq!(digests.checksums.len(), 1);
        assert!(digests.checksum(Algorithm::Crc32).is_some());
        assert!(digests.checksum(Algorithm::Sha1).is_none());
    }
}
