//! Completing an upload: one atomic batch makes the object and ends the upload.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};
use storage_engine::{
    Entry, Error as EngineError, Missing, Operation, Scan, ScanItem, Sealed, Value, VersionScan,
};

use super::assembly::{Assembly, NamedPart, Piece, name_parts, select};
use super::bucket::Bucket;
use super::checksum::Checksum;
use super::commit::{Companions, NewVersion};
use super::condition::WriteConditions;
use super::error::{ObjectError, Result};
use super::etag::ETag;
use super::key::name_of;
use super::limits::{PART_READS_MAX, PARTS_MAX, RETRIES_MAX, SWEEP_BATCH_PARTS};
use super::store::SmallParts;
use super::upload::Upload;
use super::upload_id::{UploadId, parse_part_name};
use super::upload_record::{Completion, EndedRecord, PartRecord};
use super::version_id::VersionId;
use crate::checksum::{Algorithm, Coverage};

/// A part as the client names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletePart {
    /// Its number.
    pub number: u16,
    /// Entity tag, quoted or not; none when the client sent none.
    pub etag: Option<String>,
    /// Checksum in base64, if the client sent one.
    pub checksum: Option<(Algorithm, String)>,
}

/// An upload to complete.
#[derive(Debug, Clone)]
pub struct Complete {
    /// Key of the upload.
    pub key: String,
    /// The upload.
    pub upload: UploadId,
    /// Its parts, ascending.
    pub parts: Vec<CompletePart>,
    /// What must hold at the key.
    pub conditions: WriteConditions,
    /// `x-amz-checksum-*` of the object as the client sent it (base64, `-N` when composite).
    pub checksum: Option<(Algorithm, String)>,
    /// `x-amz-checksum-type`.
    pub coverage: Option<Coverage>,
    /// `x-amz-mp-object-size`.
    pub size: Option<u64>,
}

/// An upload that was completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// The object's version; none in a bucket that never had versioning.
    pub version: Option<VersionId>,
    /// Entity tag.
    pub etag: ETag,
    /// Checksum.
    pub checksum: Option<Checksum>,
}

impl Bucket {
    /// Completes an upload. Asked again with the same parts, it answers the same for a day.
    pub async fn complete_upload(&self, complete: Complete) -> Result<Completed> {
        let named = name_parts(&complete.parts)?;
        for _ in 0..RETRIES_MAX {
            let result = match self.find_upload(&complete.key, complete.upload).await {
                Ok(upload) => self.complete_open(&upload, &complete, &named).await,
                Err(error) => Err(error),
            };
            match result {
                // A part was written anew, or the upload ended, since the parts were read.
                Err(ObjectError::ContentGone) => {}
                Err(ObjectError::NoSuchUpload) => {
                    return self.completed_before(&complete, &named).await;
                }
                result => return result,
            }
        }
        Err(ObjectError::OperationAborted)
    }

    async fn complete_open(
        &self,
        upload: &Upload,
        complete: &Complete,
        named: &[NamedPart],
    ) -> Result<Completed> {
        let there = self.part_entries(upload.id)?;
        let small_parts = self.objects.shared.settings.small_parts;
        let (pieces, values) = self.pieces(upload, named, &there, small_parts).await?;
        let assembly = Assembly::new(&upload.record, &pieces)?;
        assembly.check(&upload.record, complete, &pieces)?;

        let Assembly { etag, checksum, parts, size: _ } = assembly;
        let mut meta = upload.record.meta.clone();
        meta.checksum = Some(checksum.clone());
        meta.parts = parts;
        let new = NewVersion {
            name: name_of(&upload.key)?,
            value: self.join(values)?,
            meta: meta.encode(),
            stamp: etag.0,
            label: meta.label(),
            lock: upload.record.lock,
            conditions: complete.conditions,
            bind: None,
        };
        let request = NamedPart::digest(named);
        let completion = Completion { etag, checksum: Some(checksum.clone()), request };
        let ended = EndedRecord { key: upload.key.clone(), completion: Some(completion) };
        let companions = || Companions {
            conditions: vec![self.still_open(upload)],
            refusal: ObjectError::NoSuchUpload,
            operations: self.completion_operations(upload, &ended, &there),
        };
        let made = self.commit_version(&new, companions).await?;
        // The upload is complete whatever happens now; what stays behind is swept again later.
        if let Err(error) = self.sweep_parts(upload.id).await {
            tracing::warn!(%error, "parts of a completed upload are left to the sweep");
        }
        Ok(Completed { version: made.version, etag, checksum: Some(checksum) })
    }

    /// The records of an upload's parts in the index, by number.
    fn part_entries(&self, id: UploadId) -> Result<BTreeMap<u16, Entry>> {
        let scan = Scan {
            prefix: id.part_prefix(),
            delimiter: bytes::Bytes::new(),
            from: std::ops::Bound::Unbounded,
            limit: usize::from(PARTS_MAX),
        };
        let page = self.engine().scan(self.record().uploads(), &scan)?;
        let entries = page.items.into_iter().filter_map(|item| match item {
            ScanItem::Version { name, entry, .. } => Some((parse_part_name(&name)?, entry)),
            ScanItem::Prefix(_) => None,
        });
        Ok(entries.collect())
    }

    /// Reads the records of the parts that were named.
    async fn pieces(
        &self,
        upload: &Upload,
        named: &[NamedPart],
        there: &BTreeMap<u16, Entry>,
        small_parts: SmallParts,
    ) -> Result<(Vec<Piece>, Vec<Value>)> {
        let entries = select(named, there, small_parts)?;
        let reads = entries.into_iter().map(|(number, entry)| async move {
            let name = upload.id.part_name(number);
            match self.engine().load(self.record().uploads(), &name, &entry).await {
                Err(EngineError::NotFound(Missing::Version)) => Err(ObjectError::ContentGone),
                Err(error) => Err(error.into()),
                Ok(record) => {
                    let piece = Piece {
                        number,
                        size: record.entry.size,
                        md5: record.entry.stamp.digest,
                        record: PartRecord::decode(&record.meta)?,
                    };
                    Ok((piece, record.value()))
                }
            }
        });
        let read: Vec<(Piece, Value)> =
            futures::stream::iter(reads).buffered(PART_READS_MAX).try_collect().await?;
        Ok(read.into_iter().unzip())
    }

    /// The parts' values as the object's; moves no data.
    fn join(&self, values: Vec<Value>) -> Result<Value> {
        let space = self.record().uploads();
        let sealed: Vec<Sealed> = values
            .into_iter()
            .filter(|value| value.size() > 0)
            .map(|value| Sealed { space, value })
            .collect();
        if sealed.is_empty() {
            return Ok(Value::empty());
        }
        Ok(self.engine().adopt(self.record().objects(), &sealed)?)
    }

    /// Ends the upload and removes as many of its parts as one batch should.
    fn completion_operations(
        &self,
        upload: &Upload,
        ended: &EndedRecord,
        there: &BTreeMap<u16, Entry>,
    ) -> Vec<Operation> {
        let mut operations = self.end_operations(upload, ended);
        let parts = there.keys().take(SWEEP_BATCH_PARTS);
        operations.extend(parts.map(|number| self.remove_record(upload.id.part_name(*number))));
        operations
    }

    /// The answer of a completion that happened before, if this is the same one again.
    async fn completed_before(
        &self,
        complete: &Complete,
        named: &[NamedPart],
    ) -> Result<Completed> {
        let name = complete.upload.ended_name();
        let space = self.record().uploads();
        let entry = self.engine().newest(space, &name)?.ok_or(ObjectError::NoSuchUpload)?;
        let record = match self.engine().load(space, &name, &entry).await {
            Err(EngineError::NotFound(Missing::Version)) => return Err(ObjectError::NoSuchUpload),
            record => record?,
        };
        let ended = EndedRecord::decode(&record.meta)?;
        let same = |completion: &Completion| {
            ended.key == complete.key && completion.request == NamedPart::digest(named)
        };
        let completion = ended.completion.as_ref().filter(|completion| same(completion));
        let Completion { etag, checksum, .. } =
            completion.cloned().ok_or(ObjectError::NoSuchUpload)?;
        let version = self.version_before(&complete.key, entry.sequence, etag)?;
        Ok(Completed { version, etag, checksum })
    }

    /// The version that a completion made, to show: the newest one of its key before the record of
    /// the completion, which came after it in the same batch.
    fn version_before(&self, key: &str, sequence: u64, etag: ETag) -> Result<Option<VersionId>> {
        let name = name_of(key)?;
        let scan = VersionScan {
            prefix: name.clone(),
            delimiter: bytes::Bytes::new(),
            after: Some((name.clone(), Some(sequence))),
            limit: 1,
        };
        let page = self.engine().scan_versions(self.record().objects(), &scan)?;
        Ok(page.items.into_iter().next().and_then(|item| match item {
            ScanItem::Version { name: found, entry, .. }
                if found == name && entry.stamp == etag.0 =>
            {
                self.shown(&entry)
            }
            _ => None,
        }))
    }
}
