//! Reading: records by their entry, values by their record; verified before a byte is handed out.
//!
//! - A read that the page cache can answer happens on the calling worker; any other goes to a
//!   blocking thread.
//! - What does not verify is read once more past every cache; only then is it called corrupt.
//! - A record holds the key and the places of its value: what becomes of the version later takes
//!   nothing away from its reader, and reclaim cannot reuse the zones under it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::Stream;
use tokio::sync::oneshot;

use crate::cipher::{BlobCipher, ChunkEnd, DataKey, SpaceKey, TAG_BYTES};
use crate::engine::{Engine, Inner};
use crate::entry::{Entry, Location};
use crate::error::{Corruption, Error, Missing, Result};
use crate::format::{
    BlobPlace, ChunkSize, Extent, Piece, RECORD_HEADER_BYTES, RecordBody, RecordHeader,
    StoredValue, put_parts,
};
use crate::id::{BlobId, SpaceId, ZoneId};
use crate::lock::Lock;
use crate::media::{SECTOR_BYTES, Sector, sector_bytes};
use crate::scrub::bad_extent;
use crate::value::{Value, ValueContent};
use crate::zone::Zone;

/// Plaintext bytes opened at a time.
const WINDOW_BYTES: u64 = 512 * 1024;
/// Tags read at a time: those of 256 MiB in chunks, of 16 MiB in pages.
const TAG_WINDOW_CHUNKS: u64 = 4096;
/// How often a version that keeps moving is followed.
const FOLLOW_MAX: usize = 16;

/// A record as it was read and verified.
#[derive(Debug, Clone)]
pub struct Record {
    /// The version it belongs to.
    pub entry: Entry,
    /// The owner's metadata, opened.
    pub meta: Bytes,
    /// The version's lock.
    pub lock: Option<Lock>,
    value: Value,
    held: Arc<Held>,
    inner: Arc<Inner>,
}

/// What the value of a record is read with.
#[derive(Debug)]
struct Held {
    key: Arc<SpaceKey>,
    /// One a blob, in order.
    places: Vec<Arc<BlobPlace>>,
    /// Keeps the zones from being reused.
    _pins: Vec<Arc<Zone>>,
}

impl Engine {
    /// Reads and verifies the record of a version that was just looked up. A version that was
    /// rewritten or moved meanwhile is followed; one that is gone is `NotFound(Version)`.
    pub async fn load(&self, space: SpaceId, name: &Bytes, entry: &Entry) -> Result<Record> {
        let mut entry = entry.clone();
        let mut failed = None;
        for _ in 0..FOLLOW_MAX {
            match self.inner.read_record(space, name, &entry).await {
                Ok((meta, value, held)) => {
                    let lock = self.lock_of(&entry);
                    let (held, inner) = (Arc::new(held), Arc::clone(&self.inner));
                    return Ok(Record { entry, meta, lock, value, held, inner });
                }
                Err(error) => failed = Some(error),
            }
            let now = self.inner.index.read().by_sequence(space, name, entry.sequence);
            match now {
                None => return Err(Error::NotFound(Missing::Version)),
                Some(now) if now.location != entry.location => entry = now,
                Some(_) => break,
            }
        }
        let error = failed.unwrap_or(Error::NotFound(Missing::Version));
        self.inner.note_corrupt(&error);
        Err(error)
    }
}

impl Record {
    /// The sealed value, to put it under another name ([`crate::Engine::adopt`]) or rewrite it.
    pub fn value(&self) -> Value {
        self.value.clone()
    }

    /// The blob that is all of the value, and where it lies; none when there is not exactly one.
    pub(crate) fn only_blob(&self) -> Option<(&Piece, &Arc<BlobPlace>)> {
        match (&self.value.content, self.held.places.as_slice()) {
            (ValueContent::Blobs(pieces), [place]) => Some((pieces.first()?, place)),
            _ => None,
        }
    }

    /// The key of a blob of the value.
    pub(crate) fn data_key(&self, piece: &Piece) -> Result<DataKey> {
        self.held.key.unwrap(piece.blob, &piece.key)
    }

    /// Opens `range` (clipped to the value) as a stream of verified pieces.
    pub fn read(&self, range: Range<u64>) -> ValueReader {
        self.clone().into_reader(range)
    }

    /// As [`Record::read`], when the record is not needed afterwards: a value that lies in it is
    /// opened where it is, instead of in a copy.
    pub fn into_reader(self, range: Range<u64>) -> ValueReader {
        let range = range.start.min(self.value.size)..range.end.min(self.value.size);
        let remaining = range.end.saturating_sub(range.start);
        let source = match &self.value.content {
            _ if remaining == 0 => Source::Done,
            ValueContent::Empty => Source::Done,
            ValueContent::Inline { .. } => {
                Source::Inline { value: self.value, at: self.entry.location, range }
            }
            ValueContent::Blobs(pieces) => {
                let segments = segments_of(pieces, &self.held.places, &range);
                Source::Blobs { segments, open: None }
            }
        };
        ValueReader { inner: self.inner, held: self.held, remaining, source }
    }
}

/// The bytes of a value in order, each piece verified before it is handed out.
#[derive(Debug)]
pub struct ValueReader {
    inner: Arc<Inner>,
    held: Arc<Held>,
    remaining: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Done,
    Inline { value: Value, at: Location, range: Range<u64> },
    Blobs { segments: VecDeque<Segment>, open: Option<Box<OpenBlob>> },
}

/// The part of one blob that a reader wants.
#[derive(Debug)]
struct Segment {
    piece: Piece,
    place: Arc<BlobPlace>,
    range: Range<u64>,
}

#[derive(Debug)]
struct OpenBlob {
    blob: BlobId,
    cipher: BlobCipher,
    tags: Vec<u8>,
    first_tag: u64,
}

impl ValueReader {
    /// Bytes still to come.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The next piece, or none at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        let result = match &mut self.source {
            Source::Done => return None,
            Source::Inline { .. } => match std::mem::replace(&mut self.source, Source::Done) {
                Source::Inline { value, at, range } => {
                    open_inline(&self.held.key, value, at, range)
                }
                _ => return None,
            },
            Source::Blobs { segments, open } => {
                let segment = segments.front_mut()?;
                let result = self.inner.open_window(&self.held.key, segment, open).await;
                if segment.range.is_empty() {
                    segments.pop_front();
                }
                result
            }
        };
        match &result {
            Ok(piece) => self.remaining -= (piece.len() as u64).min(self.remaining),
            Err(error) => {
                self.inner.note_corrupt(error);
                self.source = Source::Done;
            }
        }
        Some(result)
    }

    /// All of the rest in one buffer. For values the caller knows to be small enough for it.
    pub async fn collect(mut self) -> Result<Bytes> {
        if self.remaining > WINDOW_BYTES {
            self.announce();
        }
        let first = match self.next().await {
            None => return Ok(Bytes::new()),
            Some(piece) => piece?,
        };
        if self.remaining == 0 {
            return Ok(first);
        }
        let mut all = Vec::with_capacity(first.len() + self.remaining as usize);
        all.extend_from_slice(&first);
        while let Some(piece) = self.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all.into())
    }

    /// Has the device fetch what is to come, beside what is read of it meanwhile.
    fn announce(&self) {
        let Source::Blobs { segments, .. } = &self.source else { return };
        for segment in segments {
            let chunk_bytes = segment.place.shape.chunk_bytes();
            let start = segment.range.start / chunk_bytes * chunk_bytes;
            let end = segment.range.end.next_multiple_of(chunk_bytes);
            let bytes = start..end.min(segment.place.shape.bytes());
            for run in runs_of(&segment.place.extents, bytes) {
                self.inner.zones.media.will_need(run.zone, run.offset, run.into.len() as u64);
            }
        }
    }

    /// As a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        futures::stream::unfold(self, |mut reader| async move {
            reader.next().await.map(|piece| (piece, reader))
        })
    }
}

/// A run of bytes to be read into a part of a buffer.
#[derive(Debug, Clone)]
struct Run {
    zone: ZoneId,
    offset: u64,
    into: Range<usize>,
}

impl Inner {
    async fn read_record(
        &self,
        space: SpaceId,
        name: &Bytes,
        entry: &Entry,
    ) -> Result<(Bytes, Value, Held)> {
        let location = entry.location;
        let _pin = self.zones.pin(location.zone)?;
        let len = location.len as usize;
        let run = Run { zone: location.zone, offset: u64::from(location.offset), into: 0..len };
        let data = self.read_runs(vec![0; len], &[run]).await?;
        let data = match verify_record(&data, location) {
            Ok(()) => data,
            Err(_) => {
                let again = self.read_past_caches(location.zone, location.offset.into(), len)?;
                verify_record(&again, location)?;
                again
            }
        };
        self.open_record(space, name, entry, data.into())
    }

    fn open_record(
        &self,
        space: SpaceId,
        name: &Bytes,
        entry: &Entry,
        data: Bytes,
    ) -> Result<(Bytes, Value, Held)> {
        let bad = |found: &str| corrupt_record(entry.location, "this version's record", found);
        let body = data.slice(RECORD_HEADER_BYTES..);
        let (head, [name_at, meta_at, value_at]) =
            put_parts(&body).map_err(|malformed| bad(malformed.what))?;
        if head.space != space || head.sequence != entry.sequence || body[name_at] != **name {
            return Err(bad("another version's record"));
        }
        let key = self.space_key(space)?;
        let meta = match meta_at.is_empty() {
            true => Bytes::new(),
            false => key.open_meta(name, &body[meta_at])?.into(),
        };
        let kind = RecordHeader::decode(&data).map_err(|malformed| bad(malformed.what))?.kind;
        let decoded = RecordBody::decode(kind, &body).map_err(|malformed| bad(malformed.what))?;
        let (RecordBody::Put { value, .. } | RecordBody::Rewrite { value, .. }) = decoded else {
            return Err(bad("a record of another kind"));
        };
        let content = match value {
            StoredValue::None => ValueContent::Empty,
            StoredValue::Inline { blob, key, tag, data } => {
                let at = value_at.end - data.len();
                ValueContent::Inline { blob, key, tag, data: body.slice(at..value_at.end) }
            }
            StoredValue::Blobs(pieces) => ValueContent::Blobs(pieces),
        };
        if content.len() != Some(head.size) {
            return Err(bad("a value of another length"));
        }
        let held = self.hold(key, &content, entry.location)?;
        Ok((meta, Value { size: head.size, content, fresh: None }, held))
    }

    /// Finds where the blobs of a value lie and pins the zones.
    fn hold(&self, key: Arc<SpaceKey>, content: &ValueContent, record: Location) -> Result<Held> {
        let ValueContent::Blobs(pieces) = content else {
            return Ok(Held { key, places: Vec::new(), _pins: Vec::new() });
        };
        let index = self.index.read();
        let mut places = Vec::with_capacity(pieces.len());
        let mut pins: Vec<Arc<Zone>> = Vec::new();
        for piece in pieces {
            let blob = index.blobs.get(&piece.blob).ok_or(Error::NotFound(Missing::Blob))?;
            if blob.place.shape.bytes() != piece.len {
                let expected = format!("blob {} of {} bytes", piece.blob, piece.len);
                return Err(corrupt_record(record, &expected, "a blob of another length"));
            }
            for extent in blob.place.all_extents() {
                if pins.last().is_none_or(|zone| zone.id != extent.zone) {
                    pins.push(self.zones.pin(extent.zone)?);
                }
            }
            places.push(Arc::clone(&blob.place));
        }
        Ok(Held { key, places, _pins: pins })
    }

    /// Reads, verifies and opens the next window of a segment.
    async fn open_window(
        &self,
        key: &SpaceKey,
        segment: &mut Segment,
        open: &mut Option<Box<OpenBlob>>,
    ) -> Result<Bytes> {
        let shape = segment.place.shape;
        let chunk_bytes = shape.chunk_bytes();
        let first = segment.range.start / chunk_bytes;
        let wanted_end = segment.range.end.min(segment.range.start + WINDOW_BYTES);
        let last = wanted_end.div_ceil(chunk_bytes);
        let blob = self.open_blob(key, segment, open, first..last).await?;
        let bytes = first * chunk_bytes..(last * chunk_bytes).min(shape.bytes());
        let len = (bytes.end - bytes.start) as usize;
        let runs = runs_of(&segment.place.extents, bytes.clone());
        let mut data = self.read_runs(vec![0; len], &runs).await?;
        for (number, chunk) in (first..last).zip(data.chunks_mut(shape.chunk_size().bytes())) {
            self.open_chunk(segment, blob, number, chunk)?;
        }
        let from = (segment.range.start - bytes.start) as usize;
        let to = (wanted_end.min(bytes.end) - bytes.start) as usize;
        segment.range.start += (to - from) as u64;
        Ok(Bytes::from(data).slice(from..to))
    }

    fn open_chunk(
        &self,
        segment: &Segment,
        blob: &OpenBlob,
        number: u64,
        chunk: &mut [u8],
    ) -> Result<()> {
        let shape = segment.place.shape;
        let end = if number + 1 == shape.chunks() { ChunkEnd::Last } else { ChunkEnd::More };
        let at = (number - blob.first_tag) as usize * TAG_BYTES;
        let tag = blob.tags.get(at..at + TAG_BYTES).unwrap_or_default();
        // A failed opening leaves the buffer unspecified, so the second try reads afresh.
        if blob.cipher.open_chunk(number, end, tag, chunk) {
            return Ok(());
        }
        let start = number * shape.chunk_bytes();
        let mut at_fault = None;
        for run in runs_of(&segment.place.extents, start..start + chunk.len() as u64) {
            let fresh = self.read_past_caches(run.zone, run.offset, run.into.len())?;
            at_fault.get_or_insert((run.zone, run.offset));
            chunk[run.into].copy_from_slice(&fresh);
        }
        if blob.cipher.open_chunk(number, end, tag, chunk) {
            return Ok(());
        }
        let (zone, offset) = at_fault.unwrap_or_default();
        Err(Error::Corrupt(Corruption {
            zone: Some(zone),
            offset,
            what: "chunk of a blob",
            expected: format!("chunk {number} of blob {} as sealed", segment.piece.blob),
            found: "bytes its tag does not fit".to_owned(),
        }))
    }

    async fn open_blob<'a>(
        &self,
        key: &SpaceKey,
        segment: &Segment,
        open: &'a mut Option<Box<OpenBlob>>,
        chunks: Range<u64>,
    ) -> Result<&'a OpenBlob> {
        let held = open.take().filter(|held| {
            let end = held.first_tag + (held.tags.len() / TAG_BYTES) as u64;
            held.blob == segment.piece.blob && held.first_tag <= chunks.start && chunks.end <= end
        });
        let held = match held {
            Some(held) => held,
            None => {
                let key = key.unwrap(segment.piece.blob, &segment.piece.key)?;
                let shape = segment.place.shape;
                let cipher = BlobCipher::open(segment.piece.blob, shape.chunk_size(), &key)?;
                let wanted = segment.range.end.div_ceil(shape.chunk_bytes());
                let last = wanted.min(chunks.start + TAG_WINDOW_CHUNKS).max(chunks.end);
                let last = last.min(shape.chunks());
                let len = (last - chunks.start) as usize * TAG_BYTES;
                let offset = u64::from(segment.place.tags.offset) + chunks.start * TAG_BYTES as u64;
                let run = Run { zone: segment.place.tags.zone, offset, into: 0..len };
                let tags = self.read_runs(vec![0; len], &[run]).await?;
                let blob = segment.piece.blob;
                Box::new(OpenBlob { blob, cipher, tags, first_tag: chunks.start })
            }
        };
        Ok(open.insert(held))
    }

    /// Reads and verifies an extent. What it lies in must be pinned.
    pub(crate) async fn read_extent(&self, extent: &Extent) -> Result<Vec<u8>> {
        let (zone, offset, len) = (extent.zone, u64::from(extent.offset), extent.len as usize);
        let data = self.read_runs(vec![0; len], &[Run { zone, offset, into: 0..len }]).await?;
        if crc32fast::hash(&data) == extent.crc {
            return Ok(data);
        }
        let again = self.read_past_caches(zone, offset, len)?;
        match crc32fast::hash(&again) {
            crc if crc == extent.crc => Ok(again),
            crc => Err(Error::Corrupt(bad_extent(zone, extent.offset, extent.crc, crc))),
        }
    }

    /// Counts an error that says that bytes changed.
    pub(crate) fn note_corrupt(&self, error: &Error) {
        if matches!(error, Error::Corrupt(_)) {
            self.counters.note_corruption();
        }
    }

    /// Fills a buffer: from the page cache here, else on a blocking thread.
    async fn read_runs(&self, mut buffer: Vec<u8>, runs: &[Run]) -> Result<Vec<u8>> {
        let mut cached = true;
        for run in runs {
            let out = buffer.get_mut(run.into.clone()).unwrap_or_default();
            if !self.zones.media.read_cached(run.zone, run.offset, out)? {
                cached = false;
                break;
            }
        }
        if cached {
            return Ok(buffer);
        }
        let (media, runs) = (Arc::clone(&self.zones.media), runs.to_vec());
        let (done, result) = oneshot::channel();
        self.environment.run_blocking(Box::new(move || {
            let read = runs.iter().try_for_each(|run| {
                let out = buffer.get_mut(run.into.clone()).unwrap_or_default();
                media.read(run.zone, run.offset, out)
            });
            // A reader that went away needs no bytes.
            drop(done.send(read.map(|()| buffer)));
        }));
        result.await.map_err(|_| Error::Stopped { reason: "a read was abandoned".to_owned() })?
    }

    /// Reads any run of bytes past every cache. Rare: only what did not verify, and scrub.
    pub(crate) fn read_past_caches(
        &self,
        zone: ZoneId,
        offset: u64,
        len: usize,
    ) -> Result<Vec<u8>> {
        let first = offset / SECTOR_BYTES;
        let last = (offset + len as u64).div_ceil(SECTOR_BYTES);
        let mut sectors = vec![Sector::ZERO; (last - first) as usize];
        self.zones.media.read_uncached(zone, first * SECTOR_BYTES, &mut sectors)?;
        let skip = (offset - first * SECTOR_BYTES) as usize;
        Ok(sector_bytes(&sectors).get(skip..skip + len).unwrap_or_default().to_vec())
    }
}

impl ValueContent {
    /// Bytes of the value; none when they are more than can be.
    fn len(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Inline { data, .. } => Some(data.len() as u64),
            Self::Blobs(pieces) => {
                pieces.iter().try_fold(0_u64, |len, piece| len.checked_add(piece.len))
            }
        }
    }
}

/// The parts of a joined value that `range` needs.
fn segments_of(
    pieces: &[Piece],
    places: &[Arc<BlobPlace>],
    range: &Range<u64>,
) -> VecDeque<Segment> {
    let mut segments = VecDeque::new();
    let mut start = 0;
    for (piece, place) in pieces.iter().zip(places) {
        let end = start + piece.len;
        if start < range.end && range.start < end {
            let range = range.start.max(start) - start..range.end.min(end) - start;
            segments.push_back(Segment { piece: piece.clone(), place: Arc::clone(place), range });
        }
        start = end;
    }
    segments
}

/// Opens a value that lies in its record, in place when nobody else holds it.
fn open_inline(key: &SpaceKey, value: Value, at: Location, range: Range<u64>) -> Result<Bytes> {
    let ValueContent::Inline { blob, key: wrapped, tag, data } = value.content else {
        return Ok(Bytes::new());
    };
    let data_key = key.unwrap(blob, &wrapped)?;
    let mut plain = data.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
    let cipher = BlobCipher::open(blob, ChunkSize::Stream, &data_key)?;
    if !cipher.open_chunk(0, ChunkEnd::Last, &tag, &mut plain) {
        return Err(corrupt_record(at, "an authentic value", "changed bytes"));
    }
    Ok(plain.freeze().slice(range.start as usize..range.end as usize))
}

/// The runs of extents that hold `range` of the bytes they hold together.
fn runs_of(extents: &[Extent], range: Range<u64>) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut start = 0;
    for extent in extents {
        let end = start + u64::from(extent.len);
        let (from, to) = (range.start.max(start), range.end.min(end));
        if from < to {
            runs.push(Run {
                zone: extent.zone,
                offset: u64::from(extent.offset) + (from - start),
                into: (from - range.start) as usize..(to - range.start) as usize,
            });
        }
        start = end;
    }
    runs
}

/// Errs unless these are the bytes that the location says.
pub(crate) fn verify_record(data: &[u8], location: Location) -> Result<()> {
    let expected = || format!("a record of {} bytes, crc {:08x}", location.len, location.crc);
    let header = RecordHeader::decode(data)
        .map_err(|malformed| corrupt_record(location, &expected(), malformed.what))?;
    let body = data.get(RECORD_HEADER_BYTES..).unwrap_or_default();
    let crc = crc32fast::hash(body);
    if header.len != location.len || header.crc != location.crc || crc != location.crc {
        let found = format!("{} bytes, crc {:08x} over {crc:08x}", header.len, header.crc);
        return Err(corrupt_record(location, &expected(), &found));
    }
    Ok(())
}

fn corrupt_record(location: Location, expected: &str, found: &str) -> Error {
    Error::Corrupt(Corruption {
        zone: Some(location.zone),
        offset: location.offset.into(),
        what: "record",
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}
