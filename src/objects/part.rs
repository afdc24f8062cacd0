//! Parts of an upload.

use bytes::Bytes;
use futures::Stream;
use storage_engine::{Batch, Entry, Error as EngineError, Placement, Value};

use super::bucket::Bucket;
use super::checksum::PartChecksum;
use super::commit::no_outcome;
use super::digest::Digests;
use super::error::{ObjectError, Result};
use super::etag::ETag;
use super::intake::Destination;
use super::limits::PARTS_MAX;
use super::put::BodyFault;
use super::upload::Upload;
use super::upload_id::UploadId;
use super::upload_record::{PartRecord, UploadRecord};
use crate::checksum::Algorithm;
use crate::server::body::BodyPromise;

/// A part to write.
#[derive(Debug, Clone)]
pub struct PutPart {
    /// Key of the upload.
    pub key: String,
    /// The upload.
    pub upload: UploadId,
    /// Its number, 1 to [`super::PARTS_MAX`].
    pub number: u16,
    /// What was promised about the body.
    pub promise: BodyPromise,
    /// `x-amz-sdk-checksum-algorithm`.
    pub algorithm: Option<Algorithm>,
}

/// A part that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartInfo {
    /// Its number.
    pub number: u16,
    /// Size in bytes.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// When it was written, ms since 1970.
    pub last_modified_ms: u64,
    /// Its checksum to show: what the client sent, else what the upload was begun with.
    pub checksum: Option<PartChecksum>,
}

/// A part's bytes, sealed and hashed.
pub(super) struct NewPart {
    pub(super) number: u16,
    pub(super) value: Value,
    pub(super) digests: Digests,
    /// The algorithm the client sent a checksum in.
    pub(super) sent: Option<Algorithm>,
}

impl Bucket {
    /// Writes a part; it replaces the part of that number.
    pub async fn put_part<S>(&self, part: PutPart, body: S) -> Result<PartInfo>
    where
        S: Stream<Item = std::result::Result<Bytes, BodyFault>> + Send,
    {
        let PutPart { key, upload, number, promise, algorithm } = part;
        check_number(number)?;
        let upload = self.find_upload(&key, upload).await?;
        let sent = promise.checksum.as_ref().map(|(algorithm, _)| *algorithm).or(algorithm);
        check_algorithm(&upload.record, sent)?;
        let (kept, _) = upload.record.checksum();
        let algorithms: Vec<Algorithm> = std::iter::once(kept).chain(sent).collect();
        let destination = self.part_destination();
        let (value, digests) = destination.take(&promise, &algorithms, body).await?;
        self.commit_part(&upload, NewPart { number, value, digests, sent }).await
    }

    /// Where parts go.
    pub(super) fn part_destination(&self) -> Destination<'_> {
        Destination {
            engine: self.engine(),
            space: self.record().uploads(),
            placement: Placement::Blob,
        }
    }

    /// Makes a part durable, unless the upload has ended.
    pub(super) async fn commit_part(&self, upload: &Upload, new: NewPart) -> Result<PartInfo> {
        let (kept, _) = upload.record.checksum();
        let checksum = new.digests.checksum(kept).cloned().ok_or_else(no_digest)?;
        let sent = new.sent.and_then(|algorithm| new.digests.checksum(algorithm)).cloned();
        let record = PartRecord { checksum, sent };
        let etag = ETag::of_md5(new.digests.md5);
        let name = upload.id.part_name(new.number);
        let batch = Batch {
            conditions: vec![self.still_open(upload)],
            operations: vec![self.put_record(name, new.value, etag.0, record.encode())],
        };
        let outcomes = match self.engine().commit(batch).await {
            Err(EngineError::Condition { .. }) => return Err(ObjectError::NoSuchUpload),
            outcomes => outcomes?,
        };
        let outcome = outcomes.first().ok_or_else(no_outcome)?;
        Ok(PartInfo {
            number: new.number,
            size: new.digests.size,
            etag,
            last_modified_ms: outcome.time_ms,
            checksum: record.shown(&upload.record),
        })
    }
}

impl PartRecord {
    /// The checksum to show.
    pub(super) fn shown(self, upload: &UploadRecord) -> Option<PartChecksum> {
        self.sent.or_else(|| upload.asked.map(|_| self.checksum))
    }
}

impl PartInfo {
    /// A part as it is listed.
    pub(super) fn of(number: u16, entry: &Entry, checksum: Option<PartChecksum>) -> Self {
        Self {
            number,
            size: entry.size,
            etag: ETag(entry.stamp),
            last_modified_ms: entry.time_ms,
            checksum,
        }
    }
}

/// Checks a part's number.
pub(super) fn check_number(number: u16) -> Result<()> {
    if (1..=PARTS_MAX).contains(&number) {
        Ok(())
    } else {
        Err(ObjectError::argument("Part number must be an integer between 1 and 10000, inclusive"))
    }
}

/// An upload that was begun with an algorithm takes no other.
fn check_algorithm(upload: &UploadRecord, sent: Option<Algorithm>) -> Result<()> {
    match (upload.asked, sent) {
        (Some((asked, _)), Some(sent)) if asked != sent => Err(type_mismatch(asked, sent)),
        _ => Ok(()),
    }
}

/// A checksum of another algorithm than the upload's.
pub(super) fn type_mismatch(expected: Algorithm, actual: Algorithm) -> ObjectError {
    ObjectError::request(format!(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        expected.name().to_lowercase(),
        actual.name().to_lowercase()
    ))
}

fn no_digest() -> ObjectError {
    tracing::error!("a part's checksum was not computed");
    ObjectError::Internal
}
