//! What an upload's parts come to: entity tag, checksum, sizes. Pure.

use std::collections::BTreeMap;

use storage_engine::{Entry, Stamp};

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

/// A part as its record tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) number: u16,
    pub(super) size: u64,
    pub(super) md5: [u8; 16],
    pub(super) record: PartRecord,
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
pub(super) fn select(
    named: &[NamedPart],
    there: &BTreeMap<u16, Entry>,
    small_parts: SmallParts,
) -> Result<Vec<(u16, Entry)>> {
    let found: Vec<(u16, Entry)> = named
        .iter()
        .map(|part| match there.get(&part.number) {
            Some(entry) if entry.stamp == part.stamp => Ok((part.number, entry.clone())),
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

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use storage_engine::{Body, Location};

    use super::super::condition::WriteConditions;
    use super::super::upload_id::UploadId;
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn upload(algorithm: Algorithm, coverage: Coverage) -> UploadRecord {
        UploadRecord { asked: Some((algorithm, coverage)), ..UploadRecord::default() }
    }

    /// Parts 1, 2, … with these checksums and this size each.
    fn pieces(algorithm: Algorithm, checksums: &[&str], size: u64) -> Vec<Piece> {
        let piece = |(number, text): (u16, &&str)| {
            let digest = STANDARD.decode(text).unwrap();
            let checksum = PartChecksum { algorithm, digest };
            let record = PartRecord { checksum, sent: None };
            Piece { number, size, md5: [number as u8; 16], record }
        };
        (1..).zip(checksums).map(piece).collect()
    }

    fn named(number: u16, etag: &str) -> CompletePart {
        CompletePart { number, etag: Some(etag.to_owned()), checksum: None }
    }

    fn request(parts: Vec<CompletePart>) -> Complete {
        Complete {
            key: "k".into(),
            upload: UploadId([0; 16]),
            parts,
            conditions: WriteConditions::default(),
            checksum: None,
            coverage: None,
            size: None,
        }
    }

    /// Values from ceph/s3-tests: parts of `A`, `B`, `C`.
    #[test]
    fn checksums_of_parts_combine_as_amazon_s_do() {
        use Algorithm::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
        use Coverage::{Composite, FullObject};
        for (algorithm, coverage, parts, size, want) in [
            (Crc32, FullObject, &["JRTCyQ==", "QoZTGg==", "YAgjqw=="][..], 5 * MIB, "WgDhBQ=="),
            (Crc32c, FullObject, &["MDaLrw==", "TH4EZg==", "Z7mBIQ=="], 5 * MIB, "xU+Krw=="),
            (
                Crc64Nvme,
                FullObject,
                &["L/E4WYn8v98=", "xW1l19VobYM=", "cK5MnNaWrW4="],
                5 * MIB,
                "i+6LR0y3eFo=",
            ),
            (
                Sha1,
                Composite,
                &[
                    "iIaTCGbm+vdVjNqIMF2S0T7ibMk=",
                    "LS/TJ32bAVKEwRu+sE3X7awh/lk=",
                    "6DDwovUaHwrKNXDMzOGbuvj9kxI=",
                ],
                5 * MIB,
                "sizjvY4eud3MrcHdZM3cQ/ol39o=-3",
            ),
            (
                Sha256,
                Composite,
                &["arcu6553sHVAiX4MjW0j7I7vD4w6R+Gz9Ok0Q9lTa+0="],
                1024,
                "Ok6Cs5b96ux6+MWQkJO7UBT5sKPBeXBLwvj/hK89smg=-1",
            ),
        ] {
            let pieces = pieces(algorithm, parts, size);
            let assembly = Assembly::new(&upload(algorithm, coverage), &pieces).unwrap();
            assert_eq!(assembly.checksum.text(), want, "{algorithm:?}");
            assert_eq!(assembly.size, size * parts.len() as u64);
            assert_eq!(usize::from(assembly.etag.0.parts), parts.len());
        }
    }

    #[test]
    fn lists_of_parts_are_checked() {
        let hex = "ab".repeat(16);
        let code = |parts: &[CompletePart]| name_parts(parts).err().map(|error| error.code());
        assert_eq!(code(&[named(1, &hex), named(3, &format!("\"{hex}\""))]), None);
        assert_eq!(code(&[]), Some("MalformedXML"));
        assert_eq!(code(&[named(2, &hex), named(1, &hex)]), Some("InvalidPartOrder"));
        assert_eq!(code(&[named(1, &hex), named(1, &hex)]), Some("InvalidPartOrder"));
        assert_eq!(code(&[named(1, "nonsense")]), Some("InvalidPart"));
        let bare = CompletePart { number: 1, etag: None, checksum: None };
        assert_eq!(code(&[bare]), Some("MalformedXML"));
    }

    #[test]
    fn parts_are_selected_by_number_tag_and_size() {
        let entry = |digest, size| Entry {
            sequence: 1,
            time_ms: 0,
            size,
            location: Location::default(),
            body: Body::Record,
            stamp: Stamp { digest: [digest; 16], parts: 0 },
            label: 0,
            flags: 0,
        };
        let part =
            |number, digest| NamedPart { number, stamp: Stamp { digest: [digest; 16], parts: 0 } };
        let there = BTreeMap::from([(1, entry(1, 5 * MIB)), (2, entry(2, 9)), (7, entry(7, 0))]);
        let code = |parts: &[NamedPart], small_parts| {
            select(parts, &there, small_parts).err().map(|error| error.code())
        };
        let refused = SmallParts::Refused;
        assert_eq!(code(&[part(1, 1), part(2, 2)], refused), None);
        assert_eq!(code(&[part(7, 7)], refused), None);
        assert_eq!(code(&[part(1, 2)], refused), Some("InvalidPart"));
        assert_eq!(code(&[part(3, 3)], refused), Some("InvalidPart"));
        let small = [part(1, 1), part(2, 2), part(7, 7)];
        assert_eq!(code(&small, refused), Some("EntityTooSmall"));
        assert_eq!(code(&small, SmallParts::Allowed), None);
    }

    #[test]
    fn the_request_s_words_are_held_against_the_object() {
        let upload = upload(Algorithm::Crc32, Coverage::Composite);
        let pieces = pieces(Algorithm::Crc32, &["JRTCyQ=="], 10);
        let assembly = Assembly::new(&upload, &pieces).unwrap();
        let part = |checksum: Option<(Algorithm, &str)>| CompletePart {
            checksum: checksum.map(|(algorithm, text)| (algorithm, text.to_owned())),
            ..named(1, "")
        };
        let good = || request(vec![part(Some((Algorithm::Crc32, "JRTCyQ==")))]);
        let object = |algorithm, text: &str| Some((algorithm, text.to_owned()));
        let text = assembly.checksum.text();
        for (request, code) in [
            (good(), None),
            (Complete { size: Some(10), ..good() }, None),
            (Complete { size: Some(11), ..good() }, Some("InvalidRequest")),
            (Complete { coverage: Some(Coverage::Composite), ..good() }, None),
            (Complete { coverage: Some(Coverage::FullObject), ..good() }, Some("InvalidRequest")),
            (Complete { checksum: object(Algorithm::Crc32, &text), ..good() }, None),
            (Complete { checksum: object(Algorithm::Crc32, "bad"), ..good() }, Some("BadDigest")),
            (Complete { checksum: object(Algorithm::Sha1, "x"), ..good() }, Some("InvalidRequest")),
            (request(vec![part(None)]), Some("InvalidRequest")),
            (
                Complete { checksum: object(Algorithm::Crc32, "bad"), ..request(vec![part(None)]) },
                Some("BadDigest"),
            ),
            (request(vec![part(Some((Algorithm::Crc32, "AAAAAA==")))]), Some("InvalidPart")),
            (request(vec![part(Some((Algorithm::Sha1, "AAAA")))]), Some("InvalidPart")),
        ] {
            let got = assembly.check(&upload, &request, &pieces).err().map(|error| error.code());
            assert_eq!(got, code, "{request:?}");
        }
    }
}
