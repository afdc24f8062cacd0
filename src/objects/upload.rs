//! Multipart uploads: begin, find, abort.

use bytes::Bytes;
use storage_engine::{
    Batch, Bypass, Condition, Content, Entry, Error as EngineError, Keep, Missing, Operation,
    Put as EnginePut, Remove, Stamp, Test, Value, Which,
};

use super::bucket::Bucket;
use super::commit::no_outcome;
use super::error::{ObjectError, Result};
use super::key::check_key;
use super::meta::{Attributes, StorageClass};
use super::upload_id::UploadId;
use super::upload_record::{EndedRecord, UploadRecord};
use crate::checksum::{Algorithm, Coverage};

/// An upload to begin.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// Key of the object.
    pub key: String,
    /// What will be kept with it.
    pub attributes: Attributes,
    /// `x-amz-checksum-algorithm`.
    pub algorithm: Option<Algorithm>,
    /// `x-amz-checksum-type`.
    pub coverage: Option<Coverage>,
    /// Name of the principal that begins it.
    pub initiator: String,
}

/// An upload in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadInfo {
    /// Key of the object.
    pub key: String,
    /// Its id.
    pub id: UploadId,
    /// When it was begun, ms since 1970.
    pub initiated_ms: u64,
    /// Name of the principal that began it.
    pub initiator: String,
    /// Storage class of the object.
    pub storage_class: StorageClass,
    /// Checksum that was asked for.
    pub checksum: Option<(Algorithm, Coverage)>,
}

/// An upload that was found, with its record.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) id: UploadId,
    /// Sequence of its record: the token for what ends it.
    pub(super) sequence: u64,
    pub(super) initiated_ms: u64,
    pub(super) record: UploadRecord,
}

impl Bucket {
    /// Begins an upload.
    pub async fn create_upload(&self, new: NewUpload) -> Result<UploadInfo> {
        let NewUpload { key, attributes, algorithm, coverage, initiator } = new;
        check_key(&key)?;
        attributes.check()?;
        let lock = attributes.lock;
        self.lock_for(lock)?;
        let asked = asked_checksum(algorithm, coverage)?;
        let meta = attributes.into_meta(None, vec![]);
        let record = UploadRecord { meta, lock, initiator, asked };
        let id = UploadId::new(self.objects.shared.environment.as_ref());
        let put = self.put_record(
            id.upload_name(&key),
            Value::empty(),
            Stamp::default(),
            record.encode(),
        );
        let batch = Batch { conditions: vec![], operations: vec![put] };
        let outcomes = self.engine().commit(batch).await?;
        let outcome = outcomes.first().ok_or_else(no_outcome)?;
        let (sequence, initiated_ms) = (outcome.sequence, outcome.time_ms);
        Ok(Upload { key, id, sequence, initiated_ms, record }.info())
    }

    /// Finds an upload in progress.
    pub async fn upload(&self, key: &str, id: UploadId) -> Result<UploadInfo> {
        Ok(self.find_upload(key, id).await?.info())
    }

    /// Ends an upload and drops its parts.
    pub async fn abort_upload(&self, key: &str, id: UploadId) -> Result<()> {
        let upload = self.find_upload(key, id).await?;
        let ended = EndedRecord { key: upload.key.clone(), completion: None };
        let batch = Batch {
            conditions: vec![self.still_open(&upload)],
            operations: self.end_operations(&upload, &ended),
        };
        match self.engine().commit(batch).await {
            Ok(_) => {}
            Err(EngineError::Condition { .. }) => return Err(ObjectError::NoSuchUpload),
            Err(error) => return Err(error.into()),
        }
        // No part can come any more: what is there now is all there will be.
        self.sweep_parts(id).await?;
        Ok(())
    }

    /// Finds an upload in progress and reads its record.
    pub(super) async fn find_upload(&self, key: &str, id: UploadId) -> Result<Upload> {
        check_key(key)?;
        let name = id.upload_name(key);
        let entry = self.engine().newest(self.record().uploads(), &name)?;
        let entry = entry.ok_or(ObjectError::NoSuchUpload)?;
        self.load_upload(key.to_owned(), id, &entry).await
    }

    /// Reads the record of an upload that was just found.
    pub(super) async fn load_upload(
        &self,
        key: String,
        id: UploadId,
        entry: &Entry,
    ) -> Result<Upload> {
        let name = id.upload_name(&key);
        let record = match self.engine().load(self.record().uploads(), &name, entry).await {
            Err(EngineError::NotFound(Missing::Version)) => return Err(ObjectError::NoSuchUpload),
            record => record?,
        };
        let (sequence, initiated_ms) = (entry.sequence, entry.time_ms);
        let record = UploadRecord::decode(&record.meta)?;
        Ok(Upload { key, id, sequence, initiated_ms, record })
    }

    /// Holds while nobody ended the upload.
    pub(super) fn still_open(&self, upload: &Upload) -> Condition {
        Condition {
            space: self.record().uploads(),
            name: upload.id.upload_name(&upload.key),
            test: Test::NewestIs(upload.sequence),
        }
    }

    /// Replaces the record of an upload with that of its end.
    pub(super) fn end_operations(&self, upload: &Upload, ended: &EndedRecord) -> Vec<Operation> {
        let name = upload.id.ended_name();
        vec![
            self.put_record(name, Value::empty(), Stamp::default(), ended.encode()),
            self.remove_record(upload.id.upload_name(&upload.key)),
        ]
    }

    /// Sets a record of the uploads' space.
    pub(super) fn put_record(
        &self,
        name: Bytes,
        value: Value,
        stamp: Stamp,
        meta: Bytes,
    ) -> Operation {
        Operation::Put(EnginePut {
            space: self.record().uploads(),
            name,
            keep: Keep::Null,
            content: Content::Value { value, meta, stamp, label: 0 },
            lock: None,
        })
    }

    /// Removes a record of the uploads' space.
    pub(super) fn remove_record(&self, name: Bytes) -> Operation {
        let space = self.record().uploads();
        Operation::Remove(Remove { space, name, which: Which::Null, bypass: Bypass::None })
    }
}

impl Upload {
    /// As it is shown.
    pub(super) fn info(self) -> UploadInfo {
        UploadInfo {
            key: self.key,
            id: self.id,
            initiated_ms: self.initiated_ms,
            initiator: self.record.initiator,
            storage_class: self.record.meta.storage_class,
            checksum: self.record.asked,
        }
    }
}

/// The checksum that an upload is begun with. SHA covers parts only, CRC64NVME the whole only.
fn asked_checksum(
    algorithm: Option<Algorithm>,
    coverage: Option<Coverage>,
) -> Result<Option<(Algorithm, Coverage)>> {
    let Some(algorithm) = algorithm else {
        return match coverage {
            None => Ok(None),
            Some(_) => Err(ObjectError::request(
                "The x-amz-checksum-type header can only be used with the \
                 x-amz-checksum-algorithm header.",
            )),
        };
    };
    let default = match algorithm {
        Algorithm::Crc64Nvme => Coverage::FullObject,
        _ => Coverage::Composite,
    };
    let coverage = coverage.unwrap_or(default);
    let text = match (algorithm, coverage) {
        (Algorithm::Sha1 | Algorithm::Sha256, Coverage::FullObject) => "FULL_OBJECT",
        (Algorithm::Crc64Nvme, Coverage::Composite) => "COMPOSITE",
        _ => return Ok(Some((algorithm, coverage))),
    };
    Err(ObjectError::request(format!(
        "The {text} checksum type cannot be used with the {} checksum algorithm.",
        algorithm.name().to_lowercase()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_allow_their_coverages() {
        use Algorithm::{Crc32, Crc64Nvme, Sha256};
        use Coverage::{Composite, FullObject};
        for (algorithm, coverage, want) in [
            (None, None, Ok(None)),
            (None, Some(Composite), Err("InvalidRequest")),
            (Some(Crc32), None, Ok(Some((Crc32, Composite)))),
            (Some(Crc32), Some(FullObject), Ok(Some((Crc32, FullObject)))),
            (Some(Crc64Nvme), None, Ok(Some((Crc64Nvme, FullObject)))),
            (Some(Crc64Nvme), Some(Composite), Err("InvalidRequest")),
            (Some(Sha256), None, Ok(Some((Sha256, Composite)))),
            (Some(Sha256), Some(FullObject), Err("InvalidRequest")),
        ] {
            let got = asked_checksum(algorithm, coverage).map_err(|error| error.code());
            assert_eq!(got, want, "{algorithm:?} {coverage:?}");
        }
    }
}
