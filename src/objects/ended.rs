//! Cleaning up after uploads.
//!
//! A completion or an abort replaces the upload's record with that of its end, in the same batch
//! that makes new parts impossible. Parts are removed after it; a crash in between leaves them to
//! [`Objects::sweep`], which looks at ended uploads only.

use std::ops::Bound;

use bytes::Bytes;
use storage_engine::{Batch, Entry, Error as EngineError, Missing, Scan, ScanItem};

use super::bucket::{Bucket, ListBuckets};
use super::error::{ObjectError, Result};
use super::limits::{ENDED_KEEP_MS, PAGE_ITEMS_MAX, SWEEP_BATCH_PARTS, SWEEP_EVERY};
use super::store::Objects;
use super::upload_id::{UploadId, ended_prefix, parse_ended_name};
use super::upload_record::EndedRecord;

impl Objects {
    /// Sweeps now and then every hour, for as long as it is polled.
    pub async fn keep_swept(&self) {
        loop {
            match self.sweep().await {
                Ok(removed) => tracing::debug!(removed, "swept ended uploads"),
                Err(error) => tracing::warn!(%error, "ended uploads could not be swept"),
            }
            tokio::time::sleep(SWEEP_EVERY).await;
        }
    }

    /// Removes what ended uploads left behind and completions too old to be asked for again.
    /// Returns the number of records removed.
    pub async fn sweep(&self) -> Result<u64> {
        let mut removed = 0;
        let mut list = ListBuckets { limit: Some(PAGE_ITEMS_MAX), ..ListBuckets::default() };
        loop {
            let page = self.list_buckets(&list)?;
            for bucket in &page.buckets {
                match bucket.sweep_ended().await {
                    Ok(count) => removed += count,
                    // The bucket was deleted meanwhile, and everything with it.
                    Err(ObjectError::NoSuchBucket) => {}
                    Err(error) => return Err(error),
                }
            }
            if page.next.is_none() {
                return Ok(removed);
            }
            list.token = page.next;
        }
    }
}

impl Bucket {
    /// Removes the parts of an upload that has ended.
    pub(super) async fn sweep_parts(&self, id: UploadId) -> Result<u64> {
        let mut removed = 0;
        loop {
            let names = self.records(id.part_prefix(), Bound::Unbounded, SWEEP_BATCH_PARTS)?;
            if names.is_empty() {
                return Ok(removed);
            }
            removed += names.len() as u64;
            let operations = names.into_iter().map(|(name, _)| self.remove_record(name)).collect();
            self.engine().commit(Batch { conditions: vec![], operations }).await?;
        }
    }

    /// Sweeps all ended uploads of the bucket.
    async fn sweep_ended(&self) -> Result<u64> {
        let mut removed = 0;
        let mut from = Bound::Unbounded;
        loop {
            let page = self.records(ended_prefix(), from, PAGE_ITEMS_MAX)?;
            let Some((last, _)) = page.last() else { return Ok(removed) };
            from = Bound::Excluded(last.clone());
            let mut operations = Vec::new();
            for (name, entry) in page {
                let Some(id) = parse_ended_name(&name) else { continue };
                removed += self.sweep_parts(id).await?;
                if self.is_over(&name, &entry).await? {
                    operations.push(self.remove_record(name));
                }
            }
            if !operations.is_empty() {
                removed += operations.len() as u64;
                self.engine().commit(Batch { conditions: vec![], operations }).await?;
            }
        }
    }

    /// True when nobody will ask for an ended upload again.
    async fn is_over(&self, name: &Bytes, entry: &Entry) -> Result<bool> {
        let now_ms = self.objects.shared.environment.now_ms();
        if now_ms.saturating_sub(entry.time_ms) >= ENDED_KEEP_MS {
            return Ok(true);
        }
        match self.engine().load(self.record().uploads(), name, entry).await {
            Ok(record) => Ok(EndedRecord::decode(&record.meta)?.completion.is_none()),
            Err(EngineError::NotFound(Missing::Version)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Records of the uploads' space.
    pub(super) fn records(
        &self,
        prefix: Bytes,
        from: Bound<Bytes>,
        limit: usize,
    ) -> Result<Vec<(Bytes, Entry)>> {
        let scan = Scan { prefix, delimiter: Bytes::new(), from, limit };
        let page = self.engine().scan(self.record().uploads(), &scan)?;
        let records = page.items.into_iter().filter_map(|item| match item {
            ScanItem::Version { name, entry, .. } => Some((name, entry)),
            ScanItem::Prefix(_) => None,
        });
        Ok(records.collect())
    }
}
