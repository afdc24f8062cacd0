//! A sealed segment: immutable rows, sorted by key hash; codes in memory, the rest in extents.
//!
//! The resident part:
//! ```text
//! 0   8  magic `LODEVSEG`
//! 8   2  format version 1
//! 10  1  metric (0 euclidean, 1 cosine, 2 inner product)
//! 11  1  0
//! 12  4  dimension
//! 16  4  rows
//! 20  4  most neighbours of a node (0: no graph)
//! 24  4  entries of the graph
//! 28  4  codebook bytes
//! 32  4  bytes of the bitmap of owned rows
//! 36  4  0
//! 40  8  properties bytes
//! 48  …  entries × u32 · codebook · bitmap · rows × key hash · rows × code
//! ```
//!
//! - Key hashes rise strictly: a key stands in a segment once.
//! - Vectors and properties are read page by page; each page is verified by the storage engine.

use std::sync::Arc;

use crate::wait::wait;
use bytes::Bytes;
use roaring::RoaringBitmap;
use storage_engine::Entry;
use storage_engine::limits::PAGE_BYTES;

use crate::cache::{Cached, Caches};
use crate::code::Codebook;
use crate::codec::Cursor;
use crate::columns::Columns;
use crate::error::{Error, Result};
use crate::key_hash::KeyHash;
use crate::layout::{Layout, Locator};
use crate::metric::Metric;
use crate::pages::{Page, Paged, Pages, Reading};
use crate::properties::Properties;
use crate::row::{IndexSettings, TextField};
use crate::store::{Part, SegmentId, Store, missing, part_name};
use crate::text::TextIndex;

const MAGIC: &[u8; 8] = b"LODEVSEG";
const FORMAT_VERSION: u16 = 1;
/// Pages read as one batch: a round of reranking is one.
const BATCH_PAGES: usize = 256;

/// What of a segment stays in memory.
#[derive(Debug, Clone)]
pub(crate) struct Resident {
    pub(crate) metric: Metric,
    pub(crate) dimension: usize,
    pub(crate) rows: u32,
    pub(crate) degree: usize,
    pub(crate) entries: Vec<u32>,
    pub(crate) book: Codebook,
    pub(crate) owned: RoaringBitmap,
    pub(crate) properties_bytes: u64,
    pub(crate) hashes: Bytes,
    pub(crate) codes: Bytes,
}

impl Resident {
    /// Encodes.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let book = self.book.encode();
        let mut owned = Vec::new();
        self.owned.serialize_into(&mut owned).map_err(|e| Error::Invalid(e.to_string()))?;
        let mut out = Vec::with_capacity(
            48 + self.entries.len() * 4
                + book.len()
                + owned.len()
                + self.hashes.len()
                + self.codes.len(),
        );
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[self.metric.code(), 0]);
        for number in [
            self.dimension as u32,
            self.rows,
            self.degree as u32,
            self.entries.len() as u32,
            book.len() as u32,
            owned.len() as u32,
            0,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.properties_bytes.to_le_bytes());
        for entry in &self.entries {
            out.extend_from_slice(&entry.to_le_bytes());
        }
        out.extend_from_slice(&book);
        out.extend_from_slice(&owned);
        out.extend_from_slice(&self.hashes);
        out.extend_from_slice(&self.codes);
        Ok(out)
    }

    /// Decodes what [`Resident::encode`] made.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self> {
        let mut cursor = Cursor::new("segment", bytes);
        cursor.begin(MAGIC, FORMAT_VERSION)?;
        let [metric, _] = cursor.array()?;
        let metric = Metric::of_code(metric).ok_or_else(|| cursor.corrupt("another metric"))?;
        let dimension = cursor.u32()? as usize;
        let rows = cursor.u32()?;
        let degree = cursor.u32()? as usize;
        let entry_count = cursor.u32()? as usize;
        let (book_bytes, owned_bytes) = (cursor.u32()? as usize, cursor.u32()? as usize);
        cursor.u32()?;
        let properties_bytes = cursor.u64()?;
        let entries = cursor.take(entry_count.saturating_mul(4))?;
        let entries: Vec<u32> =
            entries.as_chunks().0.iter().map(|four| u32::from_le_bytes(*four)).collect();
        if entries.iter().any(|entry| *entry >= rows) {
            return Err(cursor.corrupt("an entry of the graph that is no row"));
        }
        let book = Codebook::decode(cursor.take(book_bytes)?)?;
        let owned = RoaringBitmap::deserialize_from(cursor.take(owned_bytes)?)
            .map_err(|_| cursor.corrupt("no bitmap of owned rows"))?;
        let hashes = bytes.slice_ref(cursor.take(rows as usize * KeyHash::BYTES)?);
        let codes = bytes.slice_ref(cursor.take(rows as usize * book.code_bytes())?);
        cursor.end()?;
        if !hashes.as_chunks::<{ KeyHash::BYTES }>().0.is_sorted_by(|a, b| a < b) {
            return Err(cursor.corrupt("key hashes out of order"));
        }
        if book.dimension() != dimension || book.metric() != metric {
            return Err(cursor.corrupt("a codebook of another index"));
        }
        Ok(Self {
            metric,
            dimension,
            rows,
            degree,
            entries,
            book,
            owned,
            properties_bytes,
            hashes,
            codes,
        })
    }
}

/// A sealed segment, open.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) id: SegmentId,
    pub(crate) resident: Resident,
    layout: Layout,
    vectors: Pages,
    properties: Pages,
    store: Store,
    caches: Caches,
}

impl Sealed {
    /// Opens a segment of the index.
    pub(crate) async fn open(
        store: &Store,
        caches: &Caches,
        settings: &IndexSettings,
        id: SegmentId,
    ) -> Result<Self> {
        let (resident, vectors, properties) = futures::try_join!(
            store.part(id, &Part::Resident),
            store.pages(id, &Part::Vectors),
            store.pages(id, &Part::Properties),
        )?;
        let resident = Resident::decode(&resident)?;
        let corrupt = |found: String| Error::Corrupt(format!("segment {}: {found}", id.0));
        if resident.dimension != settings.dimension || resident.metric != settings.metric {
            return Err(corrupt("vectors of another index".to_owned()));
        }
        let pages = |reader, paged| Pages::new(reader, store.space, id, paged, &caches.pages);
        let vectors = pages(vectors, Paged::Vectors);
        let properties = pages(properties, Paged::Properties);
        let layout = Layout::new(resident.dimension, resident.degree);
        if vectors.bytes() < layout.bytes(resident.rows) {
            return Err(corrupt(format!("{} bytes of vectors", vectors.bytes())));
        }
        if properties.bytes() != resident.properties_bytes {
            return Err(corrupt(format!("{} bytes of properties", properties.bytes())));
        }
        let (store, caches) = (store.clone(), caches.clone());
        Ok(Self { id, resident, layout, vectors, properties, store, caches })
    }

    /// Number of rows, dead ones too.
    pub(crate) fn len(&self) -> u32 {
        self.resident.rows
    }

    /// Bytes of memory, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        let tags = (self.vectors.count() + self.properties.count()) as usize * 16;
        self.resident.hashes.len() + self.resident.codes.len() + tags
    }

    /// Bytes on the device, about.
    pub(crate) fn device_bytes(&self) -> u64 {
        let resident = self.resident.hashes.len() + self.resident.codes.len();
        self.vectors.bytes() + self.properties.bytes() + resident as u64
    }

    /// The row of a key.
    pub(crate) fn find(&self, hash: KeyHash) -> Option<u32> {
        let hashes = self.resident.hashes.as_chunks::<{ KeyHash::BYTES }>().0;
        hashes.binary_search(&hash.0).ok().map(|row| row as u32)
    }

    /// The hash of a row; of no row, the last of all hashes.
    pub(crate) fn hash(&self, row: u32) -> KeyHash {
        let hashes = self.resident.hashes.as_chunks::<{ KeyHash::BYTES }>().0;
        KeyHash(hashes.get(row as usize).copied().unwrap_or([0xff; KeyHash::BYTES]))
    }

    /// The first row whose hash is not below `hash`.
    pub(crate) fn lower_bound(&self, hash: KeyHash) -> u32 {
        let hashes = self.resident.hashes.as_chunks::<{ KeyHash::BYTES }>().0;
        hashes.partition_point(|held| *held < hash.0) as u32
    }

    /// Lets the readers follow where their bytes lie now, so that old zones can be freed.
    pub(crate) fn follow(&self) -> Result<()> {
        self.vectors.follow()?;
        self.properties.follow()
    }

    /// How many pages queries did not find in memory.
    pub(crate) fn missed_pages(&self) -> u64 {
        self.vectors.missed() + self.properties.missed()
    }

    /// Pages that its rows lie in.
    pub(crate) fn row_pages(&self) -> u32 {
        self.vectors.count()
    }

    /// Says that rows are read next, beside those of other segments.
    pub(crate) fn will_need_rows(&self, rows: &[u32]) {
        let spans = rows.iter().map(|row| self.layout.span(*row));
        let mut pages: Vec<u32> =
            spans.flat_map(|span| span.page..span.page + span.pages).collect();
        pages.sort_unstable();
        pages.dedup();
        self.vectors.will_need(&pages);
    }

    /// Says that properties are read next, beside those of other segments.
    pub(crate) fn will_need_properties(&self, at: &[Locator]) {
        let pages = at.iter().flat_map(|locator| {
            let end = locator.offset.saturating_add(locator.len.into());
            let page_of =
                |offset: u64| u32::try_from(offset / PAGE_BYTES as u64).unwrap_or(u32::MAX);
            page_of(locator.offset)..=page_of(end.saturating_sub(1))
        });
        let held = 0..self.properties.count();
        self.properties.will_need(&pages.filter(|page| held.contains(page)).collect::<Vec<_>>());
    }

    /// Reads rows as they lie in their pages and hands each out with its place in `rows`.
    pub(crate) fn read_rows(
        &self,
        rows: &[u32],
        reading: Reading,
        mut each: impl FnMut(usize, RowBytes<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let row_at = |place: &usize| rows.get(*place).copied().unwrap_or(0);
        if !rows.is_sorted() {
            order.sort_unstable_by_key(row_at);
        }
        let (mut numbers, mut pages) = (Vec::new(), Vec::new());
        let mut joined = Vec::new();
        let mut left = order.as_slice();
        while !left.is_empty() {
            numbers.clear();
            // Of each row, the first of its pages, how many, and where it begins in the first.
            let mut lies = Vec::with_capacity(left.len().min(BATCH_PAGES));
            for place in left {
                let span = self.layout.span(row_at(place));
                if !numbers.is_empty() && numbers.len() + span.pages as usize > BATCH_PAGES {
                    break;
                }
                // Rows come in order, so that what a row shares with those before it are the last
                // pages.
                let next = numbers.last().map_or(span.page, |last| span.page.max(*last + 1));
                let first = numbers.len() - (next - span.page) as usize;
                numbers.extend(next..span.page + span.pages);
                lies.push((first, span.pages as usize, span.offset));
            }
            self.vectors.read(&numbers, reading, &mut pages)?;
            let (now, later) = left.split_at(lies.len());
            for (place, (first, count, offset)) in now.iter().zip(lies) {
                let of_row = pages.get(first..first + count).unwrap_or_default();
                let bytes = bytes_in(of_row, offset, self.layout.stride(), &mut joined);
                each(*place, RowBytes { bytes, layout: &self.layout })?;
            }
            left = later;
        }
        Ok(())
    }

    /// Reads properties.
    pub(crate) fn read_properties(
        &self,
        at: &[Locator],
        reading: Reading,
    ) -> Result<Vec<Properties>> {
        let mut found = Vec::with_capacity(at.len());
        let (mut numbers, mut pages) = (Vec::new(), Vec::new());
        let mut joined = Vec::new();
        // One batch for as many as fit it; each may be longer than one page.
        let mut left = at;
        while !left.is_empty() {
            numbers.clear();
            let mut lies = Vec::with_capacity(left.len().min(BATCH_PAGES));
            for locator in left {
                let end = locator.offset.saturating_add(locator.len.into());
                if end > self.properties.bytes() {
                    let id = self.id.0;
                    return Err(Error::Corrupt(format!("segment {id}: {locator:?} is outside")));
                }
                let first = (locator.offset / PAGE_BYTES as u64) as u32;
                let last = end.div_ceil(PAGE_BYTES as u64) as u32;
                if !numbers.is_empty() && numbers.len() + (last - first) as usize > BATCH_PAGES {
                    break;
                }
                let offset = (locator.offset % PAGE_BYTES as u64) as usize;
                lies.push((numbers.len(), (last - first) as usize, offset));
                numbers.extend(first..last);
            }
            self.properties.read(&numbers, reading, &mut pages)?;
            let (now, later) = left.split_at(lies.len());
            for (locator, (first, count, offset)) in now.iter().zip(lies) {
                let of_row = pages.get(first..first + count).unwrap_or_default();
                let bytes = bytes_in(of_row, offset, locator.len as usize, &mut joined);
                let mut cursor = Cursor::new("properties", bytes);
                found.push(Properties::read(&mut cursor)?);
                cursor.end()?;
            }
            left = later;
        }
        Ok(found)
    }

    /// The filter columns, from the cache or read now.
    pub(crate) fn columns(&self) -> Result<Arc<Columns>> {
        let key = (self.store.space, self.id, Part::Columns);
        if let Some(Cached::Columns(columns)) = self.caches.parts.get(&key) {
            return Ok(columns);
        }
        let bytes = wait(self.store.part(self.id, &Part::Columns))?;
        let columns = Arc::new(Columns::decode(bytes)?);
        self.caches.parts.keep(key, Cached::Columns(Arc::clone(&columns)));
        Ok(columns)
    }

    /// Whether it is in the store: a merge takes the segments away that it merged.
    pub(crate) fn is_there(&self) -> Result<bool> {
        let name = part_name(self.id, &Part::Resident);
        Ok(self.store.engine.current(self.store.space, &name)?.is_some())
    }

    /// The text index of a field, from the cache or read now; none while it is being built.
    pub(crate) fn text(&self, field: &TextField) -> Result<Option<Arc<TextIndex>>> {
        let part = Part::Text(field.part_name());
        let key = (self.store.space, self.id, part.clone());
        if let Some(Cached::Text(text)) = self.caches.parts.get(&key) {
            return Ok(Some(text));
        }
        let name = part_name(self.id, &part);
        let Some(record) = wait(self.store.record(&name))? else {
            return match self.is_there()? {
                true => Ok(None),
                false => Err(missing(self.id, &part)),
            };
        };
        let Entry { size, sequence, .. } = record.entry;
        let text = wait(record.into_reader(0..size).collect())?;
        let text = Arc::new(TextIndex::decode(text)?);
        self.caches.parts.keep(key, Cached::Text(Arc::clone(&text)));
        if !text.is_current() {
            // It may have been built anew while it was read, and then it must not stay.
            let now = self.store.engine.current(self.store.space, &name)?;
            if now.is_none_or(|now| now.sequence != sequence) {
                self.caches.parts.forget(self.store.space, Some(self.id));
            }
        }
        Ok(Some(text))
    }
}

/// A row as it lies in its pages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowBytes<'a> {
    bytes: &'a [u8],
    layout: &'a Layout,
}

/// The bytes from `offset` on in pages that follow each other: lent by the one that has them all, else
/// joined.
fn bytes_in<'a>(
    pages: &'a [Arc<Page>],
    offset: usize,
    len: usize,
    joined: &'a mut Vec<u8>,
) -> &'a [u8] {
    if let [page] = pages {
        return page.bytes().get(offset..offset + len).unwrap_or_default();
    }
    joined.clear();
    pages.iter().for_each(|page| joined.extend_from_slice(page.bytes()));
    joined.get(offset..offset + len).unwrap_or_default()
}

impl<'a> RowBytes<'a> {
    /// Its vector: lent where it lies as this processor reads numbers, else put in `room`.
    pub(crate) fn vector<'v>(&'v self, room: &'v mut Vec<f32>) -> &'v [f32] {
        let bytes = self.layout.vector(self.bytes);
        match bytemuck::try_cast_slice(bytes) {
            Ok(numbers) if cfg!(target_endian = "little") => numbers,
            _ => {
                self.vector_into(room);
                room
            }
        }
    }

    /// Its vector, into `out`.
    pub(crate) fn vector_into(&self, out: &mut Vec<f32>) {
        out.clear();
        out.extend(crate::codec::floats_of(self.layout.vector(self.bytes)));
    }

    /// Where its properties lie.
    pub(crate) fn locator(&self) -> Result<Locator> {
        let found = self.layout.locator(self.bytes);
        found.ok_or_else(|| Error::Corrupt("a row of a segment ends early".to_owned()))
    }

    /// Its neighbours in the graph.
    pub(crate) fn neighbours(&self) -> impl Iterator<Item = u32> + 'a {
        self.layout.neighbours(self.bytes)
    }
}
