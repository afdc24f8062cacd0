//! Bodies to send: random bytes made before the clock starts, so that they cost nothing then and
//! nobody on the way can compress or deduplicate them.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;

use super::BenchError;

/// Distinct bodies in rotation.
const VARIANTS: usize = 16;
/// Distance of one body's start in the pool from the next one's; odd, so that no block repeats at
/// the same alignment.
const STEP_BYTES: usize = 4097;

/// A body with its hash.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    pub(super) bytes: Bytes,
    pub(super) sha256: String,
}

/// Bodies of one length.
#[derive(Debug, Clone)]
pub(super) struct Payloads(Vec<Payload>);

/// Whether the hashes will be needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hashing {
    Hashed,
    Skipped,
}

impl Payloads {
    pub(super) fn random(len: usize, hashing: Hashing) -> Result<Self, BenchError> {
        let mut pool = vec![0; len + VARIANTS * STEP_BYTES];
        aws_lc_rs::rand::fill(&mut pool)
            .map_err(|_| BenchError::new("the system gives no randomness"))?;
        let pool = Bytes::from(pool);
        let variant = |index: usize| {
            let bytes = pool.slice(index * STEP_BYTES..index * STEP_BYTES + len);
            let sha256 = match hashing {
                Hashing::Hashed => hex::encode(digest(&SHA256, &bytes)),
                Hashing::Skipped => String::new(),
            };
            Payload { bytes, sha256 }
        };
        Ok(Self((0..VARIANTS).map(variant).collect()))
    }

    /// The body for the `index`-th request; the same index gives the same body.
    pub(super) fn get(&self, index: u64) -> Option<&Payload> {
        self.0.get((index % VARIANTS as u64) as usize)
    }
}
