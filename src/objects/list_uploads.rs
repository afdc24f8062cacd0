//! Listing uploads and parts.

use std::ops::Bound;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use storage_engine::{Entry, Error as EngineError, Missing, Scan, ScanItem};

use super::bucket::Bucket;
use super::error::{ObjectError, Result};
use super::limits::{PAGE_ITEMS_MAX, PART_READS_MAX};
use super::list::begin;
use super::part::PartInfo;
use super::upload::{Upload, UploadInfo};
use super::upload_id::{
    UploadId, after_uploads, parse_part_name, parse_upload_name, parse_upload_prefix, upload_prefix,
};
use super::upload_record::PartRecord;

/// A page of uploads to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadList {
    /// Only keys that begin so.
    pub prefix: String,
    /// Fold keys that have this after the prefix; empty: do not.
    pub delimiter: String,
    /// Only what comes after it.
    pub after: Option<UploadMarker>,
    /// Uploads and common prefixes at most; cut to [`super::PAGE_ITEMS_MAX`].
    pub limit: usize,
}

/// Where a page of uploads begins or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadMarker {
    /// `key-marker`: a key or a common prefix.
    pub key: String,
    /// `upload-id-marker`: none: after all uploads of the key.
    pub upload: Option<UploadId>,
}

/// A page of uploads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadPage {
    /// Uploads by key, then oldest first.
    pub uploads: Vec<UploadInfo>,
    /// Common prefixes in order.
    pub prefixes: Vec<String>,
    /// Where the next page begins, if there is one.
    pub next: Option<UploadMarker>,
}

/// A page of parts to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartList {
    /// Key of the upload.
    pub key: String,
    /// The upload.
    pub upload: UploadId,
    /// `part-number-marker`: only parts after it.
    pub after: u16,
    /// Parts at most; cut to [`super::PAGE_ITEMS_MAX`].
    pub limit: usize,
}

/// A page of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartPage {
    /// The upload.
    pub upload: UploadInfo,
    /// Parts in order.
    pub parts: Vec<PartInfo>,
    /// The last part shown, when more follow.
    pub next: Option<u16>,
}

impl Bucket {
    /// A page of uploads in progress.
    pub async fn list_uploads(&self, list: &UploadList) -> Result<UploadPage> {
        let limit = list.limit.min(PAGE_ITEMS_MAX);
        if limit == 0 {
            return Ok(UploadPage::default());
        }
        let scan = Scan {
            prefix: upload_prefix(&list.prefix),
            delimiter: Bytes::copy_from_slice(list.delimiter.as_bytes()),
            from: list.from(),
            limit,
        };
        let page = self.engine().scan(self.record().uploads(), &scan)?;
        let next = page.items.last().filter(|_| page.more).and_then(marker_of);
        let (mut found, mut prefixes) = (Vec::new(), Vec::new());
        for item in page.items {
            match item {
                ScanItem::Version { name, entry, .. } => {
                    found.extend(parse_upload_name(&name).map(|(key, id)| (key, id, entry)));
                }
                ScanItem::Prefix(name) => prefixes.extend(parse_upload_prefix(&name)),
            }
        }
        let reads = found.into_iter().map(|(key, id, entry)| async move {
            match self.load_upload(key, id, &entry).await {
                Ok(upload) => Ok(Some(upload.info())),
                // Ended meanwhile.
                Err(ObjectError::NoSuchUpload) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let reads = futures::stream::iter(reads).buffered(PART_READS_MAX);
        let uploads: Vec<Option<UploadInfo>> = reads.try_collect().await?;
        Ok(UploadPage { uploads: uploads.into_iter().flatten().collect(), prefixes, next })
    }

    /// A page of an upload's parts.
    pub async fn list_parts(&self, list: &PartList) -> Result<PartPage> {
        let upload = self.find_upload(&list.key, list.upload).await?;
        let limit = list.limit.min(PAGE_ITEMS_MAX);
        let scan = Scan {
            prefix: upload.id.part_prefix(),
            delimiter: Bytes::new(),
            from: Bound::Excluded(upload.id.part_name(list.after)),
            limit,
        };
        if limit == 0 {
            return Ok(PartPage { upload: upload.info(), parts: vec![], next: None });
        }
        let page = self.engine().scan(self.record().uploads(), &scan)?;
        let reads = page.items.into_iter().filter_map(|item| match item {
            ScanItem::Version { name, entry, .. } => Some(self.part_info(&upload, name, entry)),
            ScanItem::Prefix(_) => None,
        });
        let reads = futures::stream::iter(reads).buffered(PART_READS_MAX);
        let parts: Vec<Option<PartInfo>> = reads.try_collect().await?;
        let parts: Vec<PartInfo> = parts.into_iter().flatten().collect();
        let next = parts.last().filter(|_| page.more).map(|part| part.number);
        Ok(PartPage { upload: upload.info(), parts, next })
    }

    /// A part as it is listed; none when it was written anew meanwhile and is gone.
    async fn part_info(
        &self,
        upload: &Upload,
        name: Bytes,
        entry: Entry,
    ) -> Result<Option<PartInfo>> {
        let Some(number) = parse_part_name(&name) else { return Ok(None) };
        let record = match self.engine().load(self.record().uploads(), &name, &entry).await {
            Err(EngineError::NotFound(Missing::Version)) => return Ok(None),
            record => record?,
        };
        let checksum = PartRecord::decode(&record.meta)?.shown(&upload.record);
        Ok(Some(PartInfo::of(number, &record.entry, checksum)))
    }
}

impl UploadList {
    /// Where the page begins among the names of uploads.
    fn from(&self) -> Bound<Bytes> {
        let Some(marker) = self.after.as_ref().filter(|marker| !marker.key.is_empty()) else {
            return Bound::Unbounded;
        };
        let common = begin(&self.prefix, &self.delimiter, &marker.key);
        let folded = !self.delimiter.is_empty()
            && common
                .strip_prefix(&*self.prefix)
                .is_some_and(|rest| rest.ends_with(&self.delimiter));
        Bound::Excluded(match marker.upload {
            _ if folded => upload_prefix(common),
            Some(upload) => upload.upload_name(&marker.key),
            None => after_uploads(&marker.key),
        })
    }
}

/// Where the page after this item begins.
fn marker_of(item: &ScanItem) -> Option<UploadMarker> {
    match item {
        ScanItem::Version { name, .. } => {
            let (key, upload) = parse_upload_name(name)?;
            Some(UploadMarker { key, upload: Some(upload) })
        }
        ScanItem::Prefix(name) => {
            parse_upload_prefix(name).map(|key| UploadMarker { key, upload: None })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_begin_after_their_marker() {
        let id = UploadId([7; 16]);
        let from = |delimiter: &str, key: &str, upload| {
            let after = Some(UploadMarker { key: key.into(), upload });
            let list = UploadList { delimiter: delimiter.into(), after, ..UploadList::default() };
            list.from()
        };
        assert_eq!(from("", "", Some(id)), Bound::Unbounded);
        assert_eq!(from("", "a/b", Some(id)), Bound::Excluded(id.upload_name("a/b")));
        assert_eq!(from("", "a/b", None), Bound::Excluded(after_uploads("a/b")));
        assert_eq!(from("/", "a/", None), Bound::Excluded(upload_prefix("a/")));
        assert_eq!(from("/", "a/b", Some(id)), Bound::Excluded(upload_prefix("a/")));
        assert_eq!(from("/", "a", Some(id)), Bound::Excluded(id.upload_name("a")));
    }
}
