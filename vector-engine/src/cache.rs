//! What queries read whole and use again (filter columns, text indexes), within a budget of bytes.
//!
//! - The least recently used goes first; what a query holds lives until it is done.
//! - Losing an entry costs reading it again, nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use storage_engine::SpaceId;

use crate::columns::Columns;
use crate::pages::PageCache;
use crate::store::{Part, SegmentId};
use crate::text::TextIndex;

/// Of a budget, the share of what is read whole; the rest is for pages.
const PARTS_SHARE: usize = 4;

/// All that segments keep in memory to be used again.
#[derive(Debug, Clone)]
pub(crate) struct Caches {
    pub(crate) parts: Arc<PartCache>,
    pub(crate) pages: Arc<PageCache>,
}

impl Caches {
    /// Caches of at most so many bytes together.
    pub(crate) fn new(budget_bytes: usize) -> Self {
        let parts_bytes = budget_bytes / PARTS_SHARE;
        Self {
            parts: Arc::new(PartCache::new(parts_bytes)),
            pages: Arc::new(PageCache::new(budget_bytes - parts_bytes)),
        }
    }

    /// Lets go of all of a segment, or a space, that is gone.
    pub(crate) fn forget(&self, space: SpaceId, segment: Option<SegmentId>) {
        self.parts.forget(space, segment);
        self.pages.forget(space, segment);
    }
}

/// What is cached of a segment.
#[derive(Debug, Clone)]
pub(crate) enum Cached {
    Columns(Arc<Columns>),
    Text(Arc<TextIndex>),
}

impl Cached {
    fn bytes(&self) -> usize {
        match self {
            Self::Columns(columns) => columns.memory_bytes(),
            Self::Text(text) => text.memory_bytes(),
        }
    }
}

/// Of which part.
pub(crate) type CacheKey = (SpaceId, SegmentId, Part);

/// Parts in memory.
#[derive(Debug)]
pub(crate) struct PartCache {
    budget_bytes: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    entries: HashMap<CacheKey, (Cached, u64)>,
    bytes: usize,
    uses: u64,
    hits: u64,
    misses: u64,
}

/// Figures of the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Bytes held.
    pub bytes: u64,
    /// Looked up and there.
    pub hits: u64,
    /// Looked up and read.
    pub misses: u64,
}

impl PartCache {
    pub(crate) fn new(budget_bytes: usize) -> Self {
        Self { budget_bytes, held: Mutex::default() }
    }

    /// What is held of a part.
    pub(crate) fn get(&self, key: &CacheKey) -> Option<Cached> {
        let mut held = self.held.lock();
        held.uses += 1;
        let now = held.uses;
        let found = held.entries.get_mut(key).map(|(cached, used)| {
            *used = now;
            cached.clone()
        });
        match found {
            Some(_) => held.hits += 1,
            None => held.misses += 1,
        }
        found
    }

    /// Keeps a part, and lets go of others until all fit. What alone does not fit is not kept.
    pub(crate) fn keep(&self, key: CacheKey, cached: Cached) {
        let bytes = cached.bytes();
        if bytes > self.budget_bytes {
            return;
        }
        let mut held = self.held.lock();
        held.uses += 1;
        let now = held.uses;
        if let Some((old, _)) = held.entries.insert(key, (cached, now)) {
            held.bytes -= old.bytes();
        }
        held.bytes += bytes;
        while held.bytes > self.budget_bytes {
            let oldest = held.entries.iter().min_by_key(|(_, (_, used))| *used);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else { break };
            if let Some((gone, _)) = held.entries.remove(&key) {
                held.bytes -= gone.bytes();
            }
        }
    }

    /// Lets go of all of a segment that is gone.
    pub(crate) fn forget(&self, space: SpaceId, segment: Option<SegmentId>) {
        let mut held = self.held.lock();
        let Held { entries, bytes, .. } = &mut *held;
        entries.retain(|(of, id, _), (cached, _)| {
            let goes = *of == space && segment.is_none_or(|segment| segment == *id);
            if goes {
                *bytes -= cached.bytes();
            }
            !goes
        });
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let held = self.held.lock();
        CacheStats { bytes: held.bytes as u64, hits: held.hits, misses: held.misses }
    }
}
