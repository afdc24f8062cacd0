//! How uploads, parts and ended uploads are kept.

use bytes::Bytes;
use storage_engine::{Retention, RetentionMode, Stamp};

use super::checksum::{Checksum, PartChecksum};
use super::etag::ETag;
use super::fields::{FieldReader, FieldWriter, Malformed, put_varint, text_of};
use super::lock::LockRequest;
use super::meta::ObjectMeta;
use super::put::DEFAULT_ALGORITHM;
use super::record::{algorithm_of, coverage_code, coverage_of};
use crate::checksum::{Algorithm, Coverage};

/// Tags of fields, above those of an object's metadata. A number never changes meaning.
const INITIATOR: u8 = 32;
/// Algorithm code, coverage code.
const ASKED: u8 = 33;
/// Mode (0 governance, 1 compliance), time in ms as a varint.
const RETENTION: u8 = 34;
/// 0 or 1.
const LEGAL_HOLD: u8 = 35;
/// Algorithm code, digest: in the upload's algorithm.
const PART_CHECKSUM: u8 = 40;
/// The same: what the client sent.
const SENT_CHECKSUM: u8 = 41;
/// The key of an ended upload.
const KEY: u8 = 48;
/// Digest of the entity tag, part count, digest of the request.
const COMPLETION: u8 = 49;

/// An upload in progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct UploadRecord {
    /// Metadata of the object to be; without checksum and parts.
    pub(super) meta: ObjectMeta,
    pub(super) lock: LockRequest,
    pub(super) initiator: String,
    /// The checksum that was asked for.
    pub(super) asked: Option<(Algorithm, Coverage)>,
}

/// A part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartRecord {
    /// Its checksum in the upload's algorithm.
    pub(super) checksum: PartChecksum,
    /// The checksum that the client sent with it.
    pub(super) sent: Option<PartChecksum>,
}

/// An upload that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EndedRecord {
    pub(super) key: String,
    /// What it was completed to; none: it was aborted.
    pub(super) completion: Option<Completion>,
}

/// What an upload was completed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Completion {
    pub(super) etag: ETag,
    pub(super) checksum: Option<Checksum>,
    /// Digest of the parts that were named.
    pub(super) request: [u8; 16],
}

impl UploadRecord {
    /// The checksum that parts and object get: what was asked for, or the default.
    pub(super) fn checksum(&self) -> (Algorithm, Coverage) {
        self.asked.unwrap_or((DEFAULT_ALGORITHM, Coverage::FullObject))
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut writer = FieldWriter::new();
        self.meta.write(&mut writer);
        writer.field(INITIATOR, self.initiator.as_bytes());
        if let Some((algorithm, coverage)) = self.asked {
            writer.field(ASKED, &[algorithm.code(), coverage_code(coverage)]);
        }
        if let Some(retention) = self.lock.retention {
            let mut field = vec![mode_code(retention.mode)];
            put_varint(&mut field, retention.until_ms);
            writer.field(RETENTION, &field);
        }
        if let Some(hold) = self.lock.legal_hold {
            writer.field(LEGAL_HOLD, &[u8::from(hold)]);
        }
        writer.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut record = Self::default();
        let mut reader = FieldReader::record(bytes)?;
        while let Some((tag, field)) = reader.next_field()? {
            let mut inside = FieldReader::inside(field);
            match tag {
                INITIATOR => record.initiator = text_of(field)?,
                ASKED => {
                    let algorithm = algorithm_of(inside.byte()?)?;
                    record.asked = Some((algorithm, coverage_of(inside.byte()?)?));
                    inside.end()?;
                }
                RETENTION => {
                    let mode = mode_of(inside.byte()?)?;
                    let until_ms = inside.varint()?;
                    record.lock.retention = Some(Retention { mode, until_ms });
                    inside.end()?;
                }
                LEGAL_HOLD => {
                    record.lock.legal_hold = Some(inside.byte()? != 0);
                    inside.end()?;
                }
                _ => record.meta.take(tag, field)?,
            }
        }
        Ok(record)
    }
}

impl PartRecord {
    pub(super) fn encode(&self) -> Bytes {
        let mut writer = FieldWriter::new();
        writer.field(PART_CHECKSUM, &part_checksum_field(&self.checksum));
        if let Some(sent) = &self.sent {
            writer.field(SENT_CHECKSUM, &part_checksum_field(sent));
        }
        writer.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut checksum, mut sent) = (None, None);
        let mut reader = FieldReader::record(bytes)?;
        while let Some((tag, field)) = reader.next_field()? {
            match tag {
                PART_CHECKSUM => checksum = Some(part_checksum_of(field)?),
                SENT_CHECKSUM => sent = Some(part_checksum_of(field)?),
                _ => return Err(Malformed("unknown field")),
            }
        }
        Ok(Self { checksum: checksum.ok_or(Malformed("part without checksum"))?, sent })
    }
}

impl EndedRecord {
    pub(super) fn encode(&self) -> Bytes {
        let mut writer = FieldWriter::new();
        writer.field(KEY, self.key.as_bytes());
        if let Some(completion) = &self.completion {
            let checksum = completion.checksum.clone();
            ObjectMeta { checksum, ..ObjectMeta::default() }.write(&mut writer);
            let mut field = completion.etag.0.digest.to_vec();
            field.extend_from_slice(&completion.etag.0.parts.to_be_bytes());
            field.extend_from_slice(&completion.request);
            writer.field(COMPLETION, &field);
        }
        writer.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut key, mut result) = (None, None);
        let mut meta = ObjectMeta::default();
        let mut reader = FieldReader::record(bytes)?;
        while let Some((tag, field)) = reader.next_field()? {
            match tag {
                KEY => key = Some(text_of(field)?),
                COMPLETION => result = Some(result_of(field)?),
                _ => meta.take(tag, field)?,
            }
        }
        let completion =
            result.map(|(etag, request)| Completion { etag, checksum: meta.checksum, request });
        Ok(Self { key: key.ok_or(Malformed("ended upload without key"))?, completion })
    }
}

fn result_of(field: &[u8]) -> Result<(ETag, [u8; 16]), Malformed> {
    const SHORT: Malformed = Malformed("completion has a wrong length");
    let (digest, rest) = field.split_first_chunk::<16>().ok_or(SHORT)?;
    let (parts, rest) = rest.split_first_chunk::<2>().ok_or(SHORT)?;
    let request = rest.try_into().map_err(|_| SHORT)?;
    Ok((ETag(Stamp { digest: *digest, parts: u16::from_be_bytes(*parts) }), request))
}

fn part_checksum_field(checksum: &PartChecksum) -> Vec<u8> {
    let mut field = vec![checksum.algorithm.code()];
    field.extend_from_slice(&checksum.digest);
    field
}

fn part_checksum_of(field: &[u8]) -> Result<PartChecksum, Malformed> {
    let mut reader = FieldReader::inside(field);
    let algorithm = algorithm_of(reader.byte()?)?;
    let digest = reader.rest().to_vec();
    if digest.len() == algorithm.digest_bytes() {
        Ok(PartChecksum { algorithm, digest })
    } else {
        Err(Malformed("digest has a wrong length"))
    }
}

fn mode_code(mode: RetentionMode) -> u8 {
    match mode {
        RetentionMode::Governance => 0,
        RetentionMode::Compliance => 1,
    }
}

fn mode_of(code: u8) -> Result<RetentionMode, Malformed> {
    match code {
        0 => Ok(RetentionMode::Governance),
        1 => Ok(RetentionMode::Compliance),
        _ => Err(Malformed("unknown retention mode")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_come_back() {
        let plain = UploadRecord { initiator: "root".into(), ..UploadRecord::default() };
        let retention = Retention { mode: RetentionMode::Compliance, until_ms: u64::MAX };
        let full = UploadRecord {
            meta: ObjectMeta {
                user_metadata: vec![("a".into(), "b".into())],
                ..ObjectMeta::default()
            },
            lock: LockRequest { retention: Some(retention), legal_hold: Some(false) },
            initiator: "user".into(),
            asked: Some((Algorithm::Sha1, Coverage::Composite)),
        };
        for record in [plain, full] {
            assert_eq!(UploadRecord::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn parts_come_back() {
        let checksum = PartChecksum { algorithm: Algorithm::Crc64Nvme, digest: vec![1; 8] };
        let sent = PartChecksum { algorithm: Algorithm::Crc32, digest: vec![2; 4] };
        for sent in [None, Some(sent)] {
            let record = PartRecord { checksum: checksum.clone(), sent };
            assert_eq!(PartRecord::decode(&record.encode()), Ok(record));
        }
        assert!(PartRecord::decode(&[1]).is_err());
    }

    #[test]
    fn ended_uploads_come_back() {
        let completion = Completion {
            etag: ETag(Stamp { digest: [3; 16], parts: 10_000 }),
            checksum: Some(Checksum::full(Algorithm::Crc32c, vec![9; 4])),
            request: [4; 16],
        };
        for completion in [None, Some(completion)] {
            let record = EndedRecord { key: "key".into(), completion };
            assert_eq!(EndedRecord::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn no_cut_panics() {
        let record = EndedRecord { key: "key".into(), completion: None }.encode();
        for cut in 0..record.len() {
            let _ = EndedRecord::decode(&record[..cut]);
            let _ = UploadRecord::decode(&record[..cut]);
            let _ = PartRecord::decode(&record[..cut]);
        }
    }
}
