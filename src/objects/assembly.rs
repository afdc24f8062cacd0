//! What an upload's parts come to: entity tag, checksum, sizes. Pure.

use std::collections::BTreeMap;

use storage_engine::{Entry, Stamp, Value};

use super::checksum::{Checksum, PartChecksum};
use super::complete::{Complete, CompletePart};
use super::digest::md5_of;
use super::error::{ObjectError, Result};
use super::etag::ETag;
use super::limits::{OBJECT_BYTES_MAX, PART_BYTES_MIN, PARTS_MAX};
use super::meta::PartMeta;
use super::part::type_mismatch;
use super::store::SmallParts;
use super::upload_record::{PartRecord, UploadRecord};
use crate::checksum::{Algorithm, Coverage, Hasher};

/// A part as the client named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NamedPart {
    pub(super) number: u16,
    pub(super) stamp: Stamp,
}

/// A part as it was read.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) number: u16,
    pub(super) size: u64,
    pub(super) md5: [u8; 16],
    pub(super) record: PartRecord,
    pub(super) value: Value,
}

/// The object that parts come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assembly {
    pub(super) etag: ETag,
    pub(super) checksum: Checksum,
    pub(super) parts: Vec<PartMeta>,
    pub(super) size: u64,
}

impl NamedPart {
    /// Identity of a list of parts.
    pub(super) fn digest(named: &[Self]) -> [u8; 16] {
        let bytes: Vec<u8> = named
            .iter()
            .flat_map(|part| part.number.to_be_bytes().into_iter().chain(part.stamp.digest))
            .collect();
        md5_of(&bytes)
    }
}

/// Checks the list of parts as such.
pub(super) fn name_parts(parts: &[CompletePart]) -> Result<Vec<NamedPart>> {
    const MALFORMED: ObjectError = ObjectError::MalformedDocument(
        "The XML you provided was not well-formed or did not validate against our published \
         schema",
    );
    if parts.is_empty() || parts.len() > usize::from(PARTS_MAX) {
        return Err(MALFORMED);
    }
    if !parts.is_sorted_by(|a, b| a.number < b.number) {
        return Err(ObjectError::InvalidPartOrder);
    }
    parts
        .iter()
        .map(|part| {
            let etag = part.etag.as_deref().ok_or(MALFORMED)?;
            let etag = ETag::parse(etag).ok_or(ObjectError::InvalidPart)?;
            Ok(NamedPart { number: part.number, stamp: etag.0 })
        })
        .collect()
}

/// Finds the parts that were named among those that are there, and checks their sizes.
pub(super) fn select<'a>(
    named: &[NamedPart],
    there: &'a BTreeMap<u16, Entry>,
    small_parts: SmallParts,
) -> Result<Vec<(u16, &'a Entry)>> {
    let found: Vec<(u16, &Entry)> = named
        .iter()
        .map(|part| match there.get(&part.number) {
            Some(entry) if entry.stamp == part.stamp => Ok((part.number, entry)),
            _ => Err(ObjectError::InvalidPart),
        })
        .collect::<Result<_>>()?;
    let but_last = found.iter().take(found.len().saturating_sub(1));
    let small = but_last.into_iter().find(|(_, entry)| entry.size < PART_BYTES_MIN);
    if let (Some((part, entry)), SmallParts::Refused) = (small, small_parts) {
        return Err(ObjectError::EntityTooSmall { part: *part, size: entry.size });
    }
    Ok(found)
}

impl Assembly {
    /// Combines what the parts' records tell.
    pub(super) fn new(upload: &UploadRecord, pieces: &[Piece]) -> Result<Self> {
        let size = pieces.iter().try_fold(0_u64, |sum, piece| sum.checked_add(piece.size));
        let size = size.filter(|size| *size <= OBJECT_BYTES_MAX);
        let size = size.ok_or(ObjectError::EntityTooLarge)?;
        let count = u16::try_from(pieces.len()).map_err(|_| ObjectError::EntityTooLarge)?;
        let md5s: Vec<u8> = pieces.iter().flat_map(|piece| piece.md5).collect();
        let etag = ETag(Stamp { digest: md5_of(&md5s), parts: count });
        let parts = pieces
            .iter()
            .map(|piece| PartMeta {
                number: piece.number,
                size: piece.size,
                digest: piece.record.checksum.digest.clone(),
            })
            .collect();
        Ok(Self { etag, checksum: checksum_of(upload, pieces, count)?, parts, size })
    }

    /// Holds the object against what the request says of it.
    pub(super) fn check(
        &self,
        upload: &UploadRecord,
        complete: &Complete,
        pieces: &[Piece],
    ) -> Result<()> {
        let (algorithm, coverage) = upload.checksum();
        if let Some(said) = complete.coverage.filter(|said| *said != coverage) {
            return Err(ObjectError::request(format!(
                "The upload was created using the {} checksum mode. The complete request must \
                 use the same checksum mode, not {}.",
                coverage_name(coverage),
                coverage_name(said)
            )));
        }
        if let Some((said, text)) = &complete.checksum {
            if *said != algorithm {
                return Err(type_mismatch(algorithm, *said));
            }
            if *text != self.checksum.text() {
                return Err(ObjectError::BadChecksum(algorithm));
            }
        }
        for (part, piece) in complete.parts.iter().zip(pieces) {
            check_part(upload, part, &piece.record)?;
        }
        match complete.size {
            Some(said) if said != self.size => Err(ObjectError::request(format!(
                "The provided 'x-amz-mp-object-size' header value {said} does not match what was \
                 computed: {}",
                self.size
            ))),
            _ => Ok(()),
        }
    }
}

/// Holds one part's checksum against what the request says of it.
fn check_part(upload: &UploadRecord, part: &CompletePart, record: &PartRecord) -> Result<()> {
    let Some((said, text)) = &part.checksum else {
        return match upload.asked {
            Some((algorithm, Coverage::Composite)) => Err(ObjectError::request(format!(
                "The upload was created using a {} checksum. The complete request must include \
                 the checksum for each part. It was missing for part {} in the request.",
                algorithm.name().to_lowercase(),
                part.number
            ))),
            _ => Ok(()),
        };
    };
    let kept = std::iter::once(&record.checksum).chain(&record.sent);
    match kept.into_iter().find(|kept| kept.algorithm == *said).map(PartChecksum::text) {
        Some(kept) if kept == *text => Ok(()),
        _ => Err(ObjectError::InvalidPart),
    }
}

fn checksum_of(upload: &UploadRecord, pieces: &[Piece], count: u16) -> Result<Checksum> {
    let (algorithm, coverage) = upload.checksum();
    let digest = match coverage {
        Coverage::FullObject => {
            let parts: Vec<(Vec<u8>, u64)> = pieces
                .iter()
                .map(|piece| (piece.record.checksum.digest.clone(), piece.size))
                .collect();
            algorithm.combine(&parts).ok_or_else(|| {
                tracing::error!(algorithm = algorithm.name(), "parts cannot be combined");
                ObjectError::Internal
            })?
        }
        Coverage::Composite => composite(algorithm, pieces),
    };
    let parts = if coverage == Coverage::Composite { count } else { 0 };
    Ok(Checksum { algorithm, coverage, digest, parts })
}

fn composite(algorithm: Algorithm, pieces: &[Piece]) -> Vec<u8> {
    let mut hasher = Hasher::new(algorithm);
    for piece in pieces {
        hasher.update(&piece.record.checksum.digest);
    }
    hasher.finish()
}

fn coverage_name(coverage: Coverage) -> &'static str {
    match coverage {
        Coverage::FullObject => "FULL_OBJECT",
        Coverage::Composite => "COMPOSITE",
    }
}
