//! Random reads of single pages of a blob, for a reader of few bytes in much.
//!
//! - Each page is verified and opened by itself; the tags of all of them are in memory.
//! - The zones under a reader are not reused: what becomes of the version, or where reclaim moves the
//!   blob, takes nothing away from it. It holds on to old zones until it is told to follow.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::cipher::{BlobCipher, ChunkEnd, TAG_BYTES};
use crate::engine::{Engine, Inner};
use crate::error::{Corruption, Error, Result};
use crate::format::{BlobPlace, BlobShape, ChunkSize, Extent};
use crate::id::{BlobId, ZoneId};
use crate::limits::PAGE_BYTES;
use crate::read::Record;
use crate::zone::{Zone, Zones};

/// Reads pages of one value that was written as [`crate::Placement::Pages`]. Calls block: they are
/// for blocking threads. It takes 16 bytes of memory a page, and keeps the store open.
pub struct PageReader {
    inner: Arc<Inner>,
    blob: BlobId,
    shape: BlobShape,
    pages: u32,
    cipher: BlobCipher,
    tags: Vec<u8>,
    held: RwLock<Arc<HeldPlace>>,
}

impl std::fmt::Debug for PageReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PageReader(blob {}, {:?})", self.blob, self.shape)
    }
}

impl Engine {
    /// A reader of single pages of a record's value; `Invalid` unless that is one blob and was
    /// written as [`crate::Placement::Pages`].
    pub async fn page_reader(&self, record: &Record) -> Result<PageReader> {
        let paged =
            record.only_blob().filter(|(_, place)| place.shape.chunk_size() == ChunkSize::Page);
        let Some((piece, place)) = paged else {
            return Err(Error::Invalid("only a value of one blob in pages has pages".to_owned()));
        };
        let inner = Arc::clone(&self.inner);
        let reader = async {
            let blob = piece.blob;
            let cipher = BlobCipher::open(blob, ChunkSize::Page, &record.data_key(piece)?)?;
            let tags = inner.read_extent(&place.tags).await?;
            let pages = pages_of(place, tags.len())?;
            let held = HeldPlace::new(&inner.zones, Arc::clone(place))?;
            let held = RwLock::new(Arc::new(held));
            let (inner, shape) = (Arc::clone(&inner), place.shape);
            Ok(PageReader { inner, blob, shape, pages, cipher, tags, held })
        };
        let reader = reader.await.inspect_err(|error| inner.note_corrupt(error))?;
        // The record may be of some time ago.
        reader.follow()?;
        Ok(reader)
    }
}

impl PageReader {
    /// Length of the value.
    pub fn bytes(&self) -> u64 {
        self.shape.bytes()
    }

    /// Number of its pages, of [`PAGE_BYTES`] each.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// Reads pages, in any order, into `out`, which takes as many; behind the end of the value it is
    /// filled with zeros. Pages that follow each other in the list as in the value are read in one
    /// go; those that are in no cache are fetched at the same time. After an error `out` holds zeros.
    pub fn read(&self, pages: &[u32], out: &mut [u8]) -> Result<()> {
        if pages.len().checked_mul(PAGE_BYTES) != Some(out.len()) {
            let (count, len) = (pages.len(), out.len());
            return Err(Error::Invalid(format!("{len} bytes of room for {count} pages")));
        }
        if let Some(page) = pages.iter().find(|page| **page >= self.pages) {
            return Err(Error::Invalid(format!("page {page} of {}", self.pages)));
        }
        let held = Arc::clone(&self.held.read());
        self.read_held(&held, pages, out).inspect_err(|error| {
            out.fill(0);
            self.inner.note_corrupt(error);
        })
    }

    /// Says that pages are read next, so that the device can fetch them beside those of other readers. A
    /// hint: what is wrong with the list, the read says.
    pub fn will_need(&self, pages: &[u32]) {
        let held = Arc::clone(&self.held.read());
        let mut rest = pages;
        while !rest.is_empty() {
            let Ok(run) = held.next_run(rest, 0) else { return };
            rest = rest.get(run.listed.len()..).unwrap_or_default();
            self.inner.zones.media.will_need(run.zone, run.offset, run.len as u64);
        }
    }

    /// Lets go of the zones that the blob has left since. Reads that are under way end where they
    /// began; a blob that is gone from the store is read on where it lay.
    pub fn follow(&self) -> Result<()> {
        let index = self.inner.index.read();
        let Some(blob) = index.blobs.get(&self.blob) else { return Ok(()) };
        if Arc::ptr_eq(&blob.place, &self.held.read().place) {
            return Ok(());
        }
        if blob.place.shape != self.shape {
            let (expected, found) =
                (format!("{:?}", self.shape), format!("{:?}", blob.place.shape));
            return Err(not_paged(&blob.place.tags, &expected, found));
        }
        // Under the index's lock: what lies in a zone keeps it from being retired.
        let now = HeldPlace::new(&self.inner.zones, Arc::clone(&blob.place))?;
        drop(index);
        *self.held.write() = Arc::new(now);
        Ok(())
    }

    fn read_held(&self, held: &HeldPlace, pages: &[u32], out: &mut [u8]) -> Result<()> {
        let media = self.inner.zones.media.as_ref();
        let mut missed = Vec::new();
        let mut rest = pages;
        while !rest.is_empty() {
            let run = held.next_run(rest, pages.len() - rest.len())?;
            rest = rest.get(run.listed.len()..).unwrap_or_default();
            let target = run.target(out);
            if media.read_cached(run.zone, run.offset, target)? {
                self.open_run(&run, pages, out)?;
            } else {
                media.will_need(run.zone, run.offset, run.len as u64);
                missed.push(run);
            }
        }
        for run in &missed {
            media.read(run.zone, run.offset, run.target(out))?;
            self.open_run(run, pages, out)?;
        }
        Ok(())
    }

    fn open_run(&self, run: &PageRun, pages: &[u32], out: &mut [u8]) -> Result<()> {
        let listed = pages.get(run.listed.clone()).unwrap_or_default();
        let room = out.get_mut(run.room()).unwrap_or_default();
        let mut offset = run.offset;
        for (page, page_out) in listed.iter().zip(room.chunks_exact_mut(PAGE_BYTES)) {
            self.open_page(*page, run.zone, offset, page_out)?;
            offset += PAGE_BYTES as u64;
        }
        Ok(())
    }

    /// Opens the sealed page that `out` begins with.
    fn open_page(&self, page: u32, zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<()> {
        let start = u64::from(page) * PAGE_BYTES as u64;
        let len = (self.bytes() - start).min(PAGE_BYTES as u64) as usize;
        let (data, behind) = out.split_at_mut(len);
        behind.fill(0);
        let end = if page + 1 == self.pages { ChunkEnd::Last } else { ChunkEnd::More };
        let tag = self.tags.get(page as usize * TAG_BYTES..).unwrap_or_default();
        let tag = tag.get(..TAG_BYTES).unwrap_or_default();
        if self.cipher.open_chunk(page.into(), end, tag, data) {
            return Ok(());
        }
        data.copy_from_slice(&self.inner.read_past_caches(zone, offset, len)?);
        if self.cipher.open_chunk(page.into(), end, tag, data) {
            return Ok(());
        }
        Err(Error::Corrupt(Corruption {
            zone: Some(zone),
            offset,
            what: "page of a blob",
            expected: format!("page {page} of blob {} as sealed", self.blob),
            found: "bytes its tag does not fit".to_owned(),
        }))
    }
}

/// Where a blob lies, and the zones there, held.
#[derive(Debug)]
struct HeldPlace {
    place: Arc<BlobPlace>,
    /// Per extent, the page behind its last.
    ends: Box<[u32]>,
    _pins: Vec<Arc<Zone>>,
}

/// Pages that lie and are listed one behind the other.
#[derive(Debug)]
struct PageRun {
    zone: ZoneId,
    offset: u64,
    /// Bytes of them on the device.
    len: usize,
    /// Where they stand in the list.
    listed: Range<usize>,
}

impl PageRun {
    /// The room for the pages.
    fn room(&self) -> Range<usize> {
        self.listed.start * PAGE_BYTES..self.listed.end * PAGE_BYTES
    }

    /// The room for what the device holds of them.
    fn target<'a>(&self, out: &'a mut [u8]) -> &'a mut [u8] {
        let start = self.listed.start * PAGE_BYTES;
        out.get_mut(start..start + self.len).unwrap_or_default()
    }
}

impl HeldPlace {
    fn new(zones: &Zones, place: Arc<BlobPlace>) -> Result<Self> {
        let mut ends = Vec::with_capacity(place.extents.len());
        let mut pins: Vec<Arc<Zone>> = Vec::new();
        let mut bytes = 0_u64;
        for extent in &place.extents {
            bytes += u64::from(extent.len);
            let is_last = ends.len() + 1 == place.extents.len();
            if !is_last && !bytes.is_multiple_of(PAGE_BYTES as u64) {
                return Err(not_paged(extent, "whole pages", format!("{} bytes", extent.len)));
            }
            ends.push(bytes.div_ceil(PAGE_BYTES as u64) as u32);
            if pins.last().is_none_or(|zone| zone.id != extent.zone) {
                pins.push(zones.pin(extent.zone)?);
            }
        }
        Ok(Self { place, ends: ends.into(), _pins: pins })
    }

    /// The first pages of `listed`, which stands `at` in the list, that lie one behind the other.
    fn next_run(&self, listed: &[u32], at: usize) -> Result<PageRun> {
        let first = listed.first().map_or(0, |page| *page);
        let nth = self.ends.partition_point(|end| *end <= first);
        let (Some(extent), Some(&end)) = (self.place.extents.get(nth), self.ends.get(nth)) else {
            return Err(Error::Invalid(format!("page {first} lies in no extent")));
        };
        let begin = nth.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |e| *e);
        let follows = |(page, expected): &(&u32, u32)| *page == expected;
        let count = listed.iter().zip(first..end).take_while(follows).count();
        let skip = (first - begin) as usize * PAGE_BYTES;
        Ok(PageRun {
            zone: extent.zone,
            offset: u64::from(extent.offset) + skip as u64,
            len: (count * PAGE_BYTES).min((extent.len as usize).saturating_sub(skip)),
            listed: at..at + count,
        })
    }
}

/// The number of a blob's pages, if it has a tag for each.
fn pages_of(place: &BlobPlace, tags_len: usize) -> Result<u32> {
    let pages = place.shape.chunks();
    // A blob of no bytes has a tag, too.
    let tags = pages.max(1) * TAG_BYTES as u64;
    let count = u32::try_from(pages).ok().filter(|_| tags == tags_len as u64);
    count.ok_or_else(|| {
        not_paged(&place.tags, &format!("{tags} bytes of tags"), format!("{tags_len}"))
    })
}

fn not_paged(extent: &Extent, expected: &str, found: String) -> Error {
    Error::Corrupt(Corruption {
        zone: Some(extent.zone),
        offset: extent.offset.into(),
        what: "extent of a blob in pages",
        expected: expected.to_owned(),
        found,
    })
}

/// Keeps the compiler honest about what crosses threads.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<PageReader>();
};
