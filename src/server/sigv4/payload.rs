//! What `x-amz-content-sha256` says of a payload.

use http::{HeaderMap, StatusCode};

use crate::server::refusal::Refusal;

pub(super) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// SHA-256 of nothing.
pub(super) const NOTHING_TEXT: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const NOTHING_SHA256: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// How a payload is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadHash {
    /// Nothing is said.
    Absent,
    /// Expressly not at all.
    Unsigned,
    /// By its SHA-256.
    Sha256([u8; 32]),
    /// Framed, each chunk signed.
    SignedChunks,
    /// Framed, each chunk and the trailer signed.
    SignedChunksTrailer,
    /// Framed, with a trailer, not signed.
    UnsignedChunksTrailer,
}

impl PayloadHash {
    pub(super) fn of_headers(headers: &HeaderMap) -> Result<Self, Refusal> {
        match headers.get(super::CONTENT_SHA256) {
            None => Ok(Self::Absent),
            Some(value) => Self::parse(value.to_str().map_err(|_| invalid_hash())?),
        }
    }

    pub(in crate::server) fn parse(text: &str) -> Result<Self, Refusal> {
        match text {
            UNSIGNED => Ok(Self::Unsigned),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Ok(Self::SignedChunks),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Ok(Self::SignedChunksTrailer),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(Self::UnsignedChunksTrailer),
            // What every request without a body says.
            NOTHING_TEXT => Ok(Self::Sha256(NOTHING_SHA256)),
            text => {
                let mut hash = [0; 32];
                hex::decode_to_slice(text, &mut hash).map_err(|_| invalid_hash())?;
                Ok(Self::Sha256(hash))
            }
        }
    }

    /// Whether chunks carry signatures that continue the request's.
    pub fn is_signed_in_chunks(self) -> bool {
        matches!(self, Self::SignedChunks | Self::SignedChunksTrailer)
    }

    /// Whether no byte at all, unframed, is what was signed.
    pub fn is_of_nothing(self) -> bool {
        match self {
            Self::Absent | Self::Unsigned => true,
            Self::Sha256(hash) => hash == NOTHING_SHA256,
            Self::SignedChunks | Self::SignedChunksTrailer | Self::UnsignedChunksTrailer => false,
        }
    }

    /// Whether the payload comes in frames of `aws-chunked`.
    pub fn is_framed(self) -> bool {
        self.is_signed_in_chunks() || self == Self::UnsignedChunksTrailer
    }
}

pub(super) fn invalid_hash() -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
         STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a \
         valid sha256 value.",
    )
    .with("ArgumentName", "x-amz-content-sha256")
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::{NOTHING_SHA256, NOTHING_TEXT, PayloadHash};

    #[test]
    fn the_hash_of_nothing_is_known() {
        assert_eq!(NOTHING_SHA256, <[u8; 32]>::from(Sha256::digest(b"")));
        assert_eq!(NOTHING_TEXT, hex::encode(NOTHING_SHA256));
        for text in [NOTHING_TEXT, &NOTHING_TEXT.to_uppercase(), "UNSIGNED-PAYLOAD"] {
            assert!(PayloadHash::parse(text).unwrap().is_of_nothing(), "{text}");
        }
        for text in [&"0".repeat(64), "STREAMING-UNSIGNED-PAYLOAD-TRAILER"] {
            assert!(!PayloadHash::parse(text).unwrap().is_of_nothing(), "{text}");
        }
    }
}
