//! What `x-amz-content-sha256` says of a payload.

use http::{HeaderMap, StatusCode};

use crate::server::refusal::Refusal;

pub(super) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

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
