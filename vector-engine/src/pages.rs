//! Pages of sealed segments, opened, in memory: what queries meet again and again (the nodes of a graph
//! near its entries, popular rows) is not fetched, verified and opened each time.
//!
//! - Bounded by bytes; a page that is met once makes no way for itself over those that are met often.
//! - A page never changes: a segment is written once, and its number in its space is given once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use storage_engine::limits::PAGE_BYTES;
use storage_engine::{PageReader, SpaceId};

use crate::cache::CacheStats;
use crate::error::{Error, Result};
use crate::store::SegmentId;

/// What a page takes with its entry in the cache.
const PAGE_MEMORY_BYTES: usize = PAGE_BYTES + 128;

/// A page, opened; aligned as the widest instructions want numbers.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Page([u8; PAGE_BYTES]);

impl Page {
    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8; PAGE_BYTES] {
        &self.0
    }
}

/// Whether what is read will be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// By queries: pages are kept.
    Again,
    /// By queries on a thread that must not wait: what is not kept is [`Error::NotHeld`].
    Held,
    /// By what goes through all rows: pages that are kept are used, no others are.
    Once,
}

/// What of a segment is in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Paged {
    Vectors,
    Properties,
}

/// Which page of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct PageKey {
    space: SpaceId,
    segment: SegmentId,
    paged: Paged,
    page: u32,
}

/// Pages of all segments.
#[derive(Debug)]
pub(crate) struct PageCache {
    held: Cache<PageKey, Arc<Page>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl PageCache {
    /// A cache of at most so many bytes.
    pub(crate) fn new(budget_bytes: usize) -> Self {
        Self {
            held: Cache::new(budget_bytes / PAGE_MEMORY_BYTES),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Lets go of all of a segment, or a space, that is gone.
    pub(crate) fn forget(&self, space: SpaceId, segment: Option<SegmentId>) {
        self.held.retain(|key, _| {
            key.space != space || segment.is_some_and(|segment| segment != key.segment)
        });
    }

    pub(crate) fn stats(&self) -> CacheStats {
        CacheStats {
            bytes: (self.held.len() * PAGE_MEMORY_BYTES) as u64,
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}

/// The pages of one value, by way of the cache.
#[derive(Debug)]
pub(crate) struct Pages {
    reader: PageReader,
    space: SpaceId,
    segment: SegmentId,
    paged: Paged,
    cache: Arc<PageCache>,
    missed: AtomicU64,
}

impl Pages {
    pub(crate) fn new(
        reader: PageReader,
        space: SpaceId,
        segment: SegmentId,
        paged: Paged,
        cache: &Arc<PageCache>,
    ) -> Self {
        Self { reader, space, segment, paged, cache: Arc::clone(cache), missed: AtomicU64::new(0) }
    }

    /// Length of the value.
    pub(crate) fn bytes(&self) -> u64 {
        self.reader.bytes()
    }

    /// Number of its pages.
    pub(crate) fn count(&self) -> u32 {
        self.reader.pages()
    }

    /// How many of its pages queries did not find in the cache.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// See [`PageReader::follow`].
    pub(crate) fn follow(&self) -> Result<()> {
        Ok(self.reader.follow()?)
    }

    /// Reads pages into `found`, in the order of `pages`; those that are not in the cache as one batch.
    pub(crate) fn read(
        &self,
        pages: &[u32],
        reading: Reading,
        found: &mut Vec<Arc<Page>>,
    ) -> Result<()> {
        found.clear();
        let held: Vec<Option<Arc<Page>>> =
            pages.iter().map(|page| self.cache.held.get(&self.key(*page))).collect();
        let wanted = pages.iter().zip(&held).filter(|(_, held)| held.is_none());
        let missed: Vec<u32> = wanted.map(|(page, _)| *page).collect();
        if reading == Reading::Held && !missed.is_empty() {
            return Err(Error::NotHeld);
        }
        if reading != Reading::Once {
            self.cache.hits.fetch_add((pages.len() - missed.len()) as u64, Ordering::Relaxed);
            self.cache.misses.fetch_add(missed.len() as u64, Ordering::Relaxed);
            self.missed.fetch_add(missed.len() as u64, Ordering::Relaxed);
        }
        let mut buffer = vec![0; missed.len() * PAGE_BYTES];
        if !missed.is_empty() {
            self.reader.read(&missed, &mut buffer)?;
        }
        let mut read = missed.iter().zip(buffer.as_chunks::<PAGE_BYTES>().0);
        for held in held {
            found.extend(held.or_else(|| {
                let (page, bytes) = read.next()?;
                let opened = Arc::new(Page(*bytes));
                if reading == Reading::Again {
                    self.cache.held.insert(self.key(*page), Arc::clone(&opened));
                }
                Some(opened)
            }));
        }
        Ok(())
    }

    fn key(&self, page: u32) -> PageKey {
        let Self { space, segment, paged, .. } = *self;
        PageKey { space, segment, paged, page }
    }
}
