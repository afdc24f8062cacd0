//! The five checksum fields that S3's messages repeat, and the one value behind them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3s::dto::{ChecksumAlgorithm, ChecksumType};
use s3s::{S3Result, s3_error};

use crate::checksum::{Algorithm, Coverage};

/// The text of at most one checksum, by field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ChecksumFields {
    pub(super) crc32: Option<String>,
    pub(super) crc32c: Option<String>,
    pub(super) crc64nvme: Option<String>,
    pub(super) sha1: Option<String>,
    pub(super) sha256: Option<String>,
}

impl ChecksumFields {
    /// With one field set.
    pub(super) fn with(algorithm: Algorithm, text: String) -> Self {
        let mut fields = Self::default();
        *fields.slot(algorithm) = Some(text);
        fields
    }

    fn slot(&mut self, algorithm: Algorithm) -> &mut Option<String> {
        match algorithm {
            Algorithm::Crc32 => &mut self.crc32,
            Algorithm::Crc32c => &mut self.crc32c,
            Algorithm::Crc64Nvme => &mut self.crc64nvme,
            Algorithm::Sha1 => &mut self.sha1,
            Algorithm::Sha256 => &mut self.sha256,
        }
    }

    /// The one value that is set, its text as it came; more than one is refused.
    pub(super) fn one(mut self) -> S3Result<Option<(Algorithm, String)>> {
        let mut found = None;
        for algorithm in Algorithm::ALL {
            let Some(text) = self.slot(algorithm).take() else { continue };
            if found.replace((algorithm, text)).is_some() {
                return Err(s3_error!(InvalidRequest, "Expecting a single x-amz-checksum- header"));
            }
        }
        Ok(found)
    }
}

/// Fills the five fields of a message.
macro_rules! set_checksum_fields {
    ($message:expr, $fields:expr) => {{
        let fields: $crate::s3::checksum_fields::ChecksumFields = $fields;
        $message.checksum_crc32 = fields.crc32;
        $message.checksum_crc32c = fields.crc32c;
        $message.checksum_crc64nvme = fields.crc64nvme;
        $message.checksum_sha1 = fields.sha1;
        $message.checksum_sha256 = fields.sha256;
    }};
}

/// Takes the five fields of a message.
macro_rules! checksum_fields_of {
    ($message:expr) => {
        $crate::s3::checksum_fields::ChecksumFields {
            crc32: $message.checksum_crc32.take(),
            crc32c: $message.checksum_crc32c.take(),
            crc64nvme: $message.checksum_crc64nvme.take(),
            sha1: $message.checksum_sha1.take(),
            sha256: $message.checksum_sha256.take(),
        }
    };
}

pub(super) use {checksum_fields_of, set_checksum_fields};

/// A digest as S3 writes it.
pub(super) fn digest_text(digest: &[u8]) -> String {
    STANDARD.encode(digest)
}

/// An algorithm by the name a client gave.
pub(super) fn parse_algorithm(name: &ChecksumAlgorithm) -> S3Result<Algorithm> {
    Algorithm::from_name(name.as_str()).ok_or_else(|| {
        s3_error!(
            InvalidRequest,
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
        )
    })
}

/// A coverage by the name a client gave.
pub(super) fn parse_coverage(name: &ChecksumType) -> S3Result<Coverage> {
    match name.as_str() {
        ChecksumType::FULL_OBJECT => Ok(Coverage::FullObject),
        ChecksumType::COMPOSITE => Ok(Coverage::Composite),
        _ => Err(s3_error!(InvalidRequest, "Value for x-amz-checksum-type header is invalid.")),
    }
}

/// A coverage as S3 names it.
pub(super) fn coverage_text(coverage: Coverage) -> &'static str {
    match coverage {
        Coverage::FullObject => ChecksumType::FULL_OBJECT,
        Coverage::Composite => ChecksumType::COMPOSITE,
    }
}

/// A coverage as s3s' messages have it.
pub(super) fn coverage_name(coverage: Coverage) -> ChecksumType {
    ChecksumType::from_static(coverage_text(coverage))
}
