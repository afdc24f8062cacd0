//! Checksum values as they are kept and shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checksum::{Algorithm, Coverage};

/// The checksum of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// Algorithm.
    pub algorithm: Algorithm,
    /// What the digest covers.
    pub coverage: Coverage,
    /// The digest.
    pub digest: Vec<u8>,
    /// Number of parts a composite digest covers, else 0.
    pub parts: u16,
}

impl Checksum {
    /// Of the whole content.
    pub fn full(algorithm: Algorithm, digest: Vec<u8>) -> Self {
        Self { algorithm, coverage: Coverage::FullObject, digest, parts: 0 }
    }

    /// As S3 shows it: base64, and `-N` after a composite one.
    pub fn text(&self) -> String {
        let text = STANDARD.encode(&self.digest);
        match self.coverage {
            Coverage::FullObject => text,
            Coverage::Composite => format!("{text}-{}", self.parts),
        }
    }
}

/// The checksum of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartChecksum {
    /// Algorithm.
    pub algorithm: Algorithm,
    /// The digest.
    pub digest: Vec<u8>,
}

impl PartChecksum {
    /// As S3 shows it: base64.
    pub fn text(&self) -> String {
        STANDARD.encode(&self.digest)
    }
}
