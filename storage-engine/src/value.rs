//! Values on their way in: sealed pieces and the writer that makes them.
//!
//! - A writer seals chunks into an aligned buffer and writes it in 1 MiB pieces, or in smaller ones
//!   where memory is short, while the stream comes in; the tags follow the last chunk.
//! - A value that is dropped uncommitted gives its room back as dead bytes; nothing refers to it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Buf, Bytes};
use tokio::sync::oneshot;

use crate::cipher::{BlobCipher, ChunkEnd, DataKey, TAG_BYTES};
use crate::engine::Inner;
use crate::error::{Error, Result};
use crate::format::{
    BlobPlace, BlobShape, ChunkSize, Extent, Piece, StoredValue, WRAPPED_KEY_BYTES,
    ZONE_DATA_OFFSET, ZoneClass,
};
use crate::id::{BlobId, SpaceId};
use crate::limits::{BLOB_BYTES_MAX, BLOBS_MAX, CHUNK_BYTES, WRITE_BYTES};
use crate::media::SECTOR_BYTES;
use crate::write_buffer::{BUFFER_BYTES_MAX, WriteBuffer};
use crate::zone::{Claim, Room, Zone};

/// Device writes a writer keeps in flight.
const WRITES_IN_FLIGHT_MAX: usize = 2;
/// Room asked for at once when the length is not known.
const BLIND_ROOM_BYTES: u64 = 4 * 1024 * 1024;

/// A sealed value, ready to be put. Blobs it brought are kept from reclaim while it lives.
#[derive(Debug, Clone, Default)]
pub struct Value {
    pub(crate) size: u64,
    pub(crate) content: ValueContent,
    pub(crate) fresh: Option<Arc<FreshBlob>>,
}

#[derive(Debug, Clone, Default)]
pub(crate) enum ValueContent {
    #[default]
    Empty,
    Inline {
        blob: BlobId,
        key: [u8; WRAPPED_KEY_BYTES],
        tag: [u8; TAG_BYTES],
        data: Bytes,
    },
    Blobs(Vec<Piece>),
}

/// A blob that was written and is not yet in the index.
#[derive(Debug)]
pub(crate) struct FreshBlob {
    pub(crate) blob: BlobId,
    pub(crate) place: BlobPlace,
    pub(crate) rooms: Vec<Room>,
}

impl Drop for FreshBlob {
    fn drop(&mut self) {
        for room in &self.rooms {
            room.zone.unreserve(room.len);
        }
    }
}

impl FreshBlob {
    /// Zones that must be synced before the blob may be acknowledged.
    pub(crate) fn zones(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.rooms.iter().map(|room| &room.zone)
    }
}

impl Value {
    /// The value of no bytes.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// True when the value lies in its record; such a value cannot be joined to others.
    pub fn is_inline(&self) -> bool {
        matches!(self.content, ValueContent::Inline { .. })
    }

    pub(crate) fn stored(&self) -> StoredValue<'_> {
        match &self.content {
            ValueContent::Empty => StoredValue::None,
            ValueContent::Inline { blob, key, tag, data } => {
                StoredValue::Inline { blob: *blob, key: *key, tag: *tag, data }
            }
            ValueContent::Blobs(pieces) => StoredValue::Blobs(pieces.clone()),
        }
    }
}

/// A value and the space under whose key it is sealed.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// The space it was written to or read from.
    pub space: SpaceId,
    /// The value.
    pub value: Value,
}

/// Where a writer puts what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// In the record when small, else in a blob.
    Auto,
    /// Always in a blob, so that it can be joined to others without moving.
    Blob,
    /// Always in a blob, sealed in pages of [`crate::limits::PAGE_BYTES`], so that single ones can be
    /// read ([`crate::PageReader`]).
    Pages,
}

impl Placement {
    fn chunk_size(self) -> ChunkSize {
        match self {
            Self::Auto | Self::Blob => ChunkSize::Stream,
            Self::Pages => ChunkSize::Page,
        }
    }
}

/// Takes a stream, seals it and puts it where it stays. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct ValueWriter {
    inner: Arc<Inner>,
    space: SpaceId,
    placement: Placement,
    expected: Option<u64>,
    size: u64,
    /// What a chunk is filled with.
    small: Vec<u8>,
    stream: Option<BlobStream>,
}

impl ValueWriter {
    pub(crate) fn new(
        inner: Arc<Inner>,
        space: SpaceId,
        placement: Placement,
        expected: Option<u64>,
    ) -> Self {
        let chunk_bytes = placement.chunk_size().bytes();
        let capacity = expected.unwrap_or(0).min(chunk_bytes as u64) as usize;
        let small = Vec::with_capacity(capacity);
        Self { inner, space, placement, expected, size: 0, small, stream: None }
    }

    /// Adds bytes. Waits while the device is behind.
    pub async fn write(&mut self, mut data: Bytes) -> Result<()> {
        self.size += data.len() as u64;
        if self.size > BLOB_BYTES_MAX {
            return Err(Error::Invalid(format!("a value is at most {BLOB_BYTES_MAX} bytes")));
        }
        let chunk_bytes = self.placement.chunk_size().bytes();
        while data.has_remaining() {
            if self.small.len() == chunk_bytes {
                self.seal_pending(ChunkEnd::More).await?;
            }
            let take = data.len().min(chunk_bytes - self.small.len());
            self.small.extend_from_slice(&data[..take]);
            data.advance(take);
        }
        Ok(())
    }

    /// Ends the value.
    pub async fn finish(mut self) -> Result<Value> {
        if self.size == 0 && self.placement == Placement::Auto {
            return Ok(Value::empty());
        }
        let fits = self.size <= self.inner.options.inline_bytes as u64;
        if self.stream.is_none() && fits && self.placement == Placement::Auto {
            return self.inner.seal_inline(self.space, std::mem::take(&mut self.small));
        }
        self.seal_pending(ChunkEnd::Last).await?;
        let Some(stream) = self.stream.take() else { return Ok(Value::empty()) };
        let (blob, data_key) = (stream.blob, stream.key.clone());
        let fresh = stream.finish(self.size).await?;
        let key = self.inner.space_key(self.space)?;
        let key = key.wrap(self.inner.environment.as_ref(), blob, &data_key)?;
        Ok(Value {
            size: self.size,
            content: ValueContent::Blobs(vec![Piece { blob, len: self.size, key }]),
            fresh: Some(Arc::new(fresh)),
        })
    }

    async fn seal_pending(&mut self, end: ChunkEnd) -> Result<()> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let expected = self.expected.filter(|&len| len >= self.size);
                let (inner, chunks) = (Arc::clone(&self.inner), self.placement.chunk_size());
                self.stream.insert(BlobStream::new(inner, chunks, expected)?)
            }
        };
        stream.push_chunk(&self.small, end).await?;
        self.small.clear();
        Ok(())
    }
}

/// A blob being written: sealed bytes on their way to zones.
#[derive(Debug)]
struct BlobStream {
    inner: Arc<Inner>,
    blob: BlobId,
    cipher: BlobCipher,
    key: DataKey,
    chunk_size: ChunkSize,
    chunks: u64,
    tags: Vec<u8>,
    /// Bytes of data still expected, for sizing runs.
    expected: Option<u64>,
    buffer: Option<WriteBuffer>,
    filled: usize,
    run: Option<Run>,
    extents: Vec<Extent>,
    rooms: Vec<Room>,
    in_flight: VecDeque<oneshot::Receiver<Result<()>>>,
}

/// The room being filled.
#[derive(Debug)]
struct Run {
    room: Room,
    used: u64,
}

impl Drop for BlobStream {
    fn drop(&mut self) {
        for room in &self.rooms {
            room.zone.unreserve(room.len);
        }
    }
}

impl BlobStream {
    fn new(inner: Arc<Inner>, chunk_size: ChunkSize, expected: Option<u64>) -> Result<Self> {
        let blob = inner.next_blob()?;
        let (cipher, key) = BlobCipher::create(inner.environment.as_ref(), blob, chunk_size)?;
        Ok(Self {
            inner,
            blob,
            cipher,
            key,
            chunk_size,
            chunks: 0,
            tags: Vec::new(),
            expected,
            buffer: None,
            filled: 0,
            run: None,
            extents: Vec::new(),
            rooms: Vec::new(),
            in_flight: VecDeque::new(),
        })
    }

    async fn push_chunk(&mut self, plain: &[u8], end: ChunkEnd) -> Result<()> {
        let room = self.buffer.as_ref().map_or(0, |buffer| buffer.bytes().len().min(WRITE_BYTES));
        if self.filled + plain.len() > room {
            self.flush().await?;
        }
        let mut buffer = match self.buffer.take() {
            Some(buffer) => buffer,
            None => self.take_buffer(plain.len()).await?,
        };
        let target = &mut buffer.bytes_mut()[self.filled..][..plain.len()];
        target.copy_from_slice(plain);
        let tag = self.cipher.seal_chunk(self.chunks, end, target);
        self.buffer = Some(buffer);
        self.tags.extend_from_slice(&tag?);
        self.filled += plain.len();
        self.chunks += 1;
        Ok(())
    }

    /// Bytes that the tags of all chunks will take, as far as the length is known.
    fn expected_tags(&self) -> u64 {
        let chunk_bytes = self.chunk_size.bytes() as u64;
        self.expected.map_or(0, |len| len.div_ceil(chunk_bytes) * TAG_BYTES as u64)
    }

    /// A buffer for as much as comes next, or at least for what a writer has to have.
    async fn take_buffer(&mut self, chunk_len: usize) -> Result<WriteBuffer> {
        let sealed = self.chunks * self.chunk_size.bytes() as u64;
        let left = self.expected.map_or(u64::MAX, |len| {
            len.saturating_sub(sealed).saturating_add(self.expected_tags())
        });
        let wanted = left.min(BUFFER_BYTES_MAX as u64) as usize;
        loop {
            if let Some(buffer) = self.inner.write_buffers.take(wanted.max(chunk_len)) {
                return Ok(buffer);
            }
            // What this stream has on its way comes back soon; what others have, perhaps never.
            if self.in_flight.is_empty() {
                // Small chunks are not written one by one.
                return Ok(WriteBuffer::uncounted(wanted.min(CHUNK_BYTES).max(chunk_len)));
            }
            self.wait_one().await?;
        }
    }

    /// Writes what the buffer holds (whole sectors, except at the end) and gives it back.
    async fn flush(&mut self) -> Result<()> {
        let Some(mut buffer) = self.buffer.take() else { return Ok(()) };
        let filled = std::mem::take(&mut self.filled);
        let padded = filled.next_multiple_of(SECTOR_BYTES as usize);
        buffer.bytes_mut()[filled..padded].fill(0);
        let buffer = Arc::new(buffer);
        let mut start = 0;
        // A run may end inside the buffer.
        while start < filled {
            let wanted = (padded - start) as u64;
            let run = self.run_with_room(wanted)?;
            let len = wanted.min(run.room.len - run.used);
            let offset = run.room.offset + run.used;
            let zone = Arc::clone(&run.room.zone);
            run.used += len;
            let past = start + len as usize;
            let end = past.min(filled);
            let crc = crc32fast::hash(&buffer.bytes()[start..end]);
            self.note_extent(&zone, offset, (end - start) as u64, crc);
            self.submit(zone, offset, Arc::clone(&buffer), start..past).await?;
            start = end;
        }
        Ok(())
    }

    fn run_with_room(&mut self, wanted: u64) -> Result<&mut Run> {
        let spent = self.run.as_ref().is_none_or(|run| run.used == run.room.len);
        if spent {
            let tags = self.expected_tags();
            let written: u64 = self.extents.iter().map(|e| u64::from(e.len)).sum();
            let ask = match self.expected {
                Some(len) => len.saturating_sub(written) + tags,
                None => BLIND_ROOM_BYTES,
            };
            let room = self.inner.zones.allocate(ZoneClass::Data, ask.max(wanted), Claim::User)?;
            self.rooms.push(room.clone());
            self.run = Some(Run { room, used: 0 });
        }
        self.run.as_mut().ok_or_else(|| Error::Invalid("no room was handed out".to_owned()))
    }

    fn note_extent(&mut self, zone: &Zone, offset: u64, len: u64, crc: u32) {
        if let Some(last) = self.extents.last_mut() {
            let adjoins =
                last.zone == zone.id && u64::from(last.offset) + u64::from(last.len) == offset;
            if adjoins {
                let mut joined = crc32fast::Hasher::new_with_initial_len(last.crc, last.len.into());
                joined.combine(&crc32fast::Hasher::new_with_initial_len(crc, len));
                last.crc = joined.finalize();
                last.len += len as u32;
                return;
            }
        }
        self.extents.push(Extent { zone: zone.id, offset: offset as u32, len: len as u32, crc });
    }

    /// Begins to write whole sectors of a buffer.
    async fn submit(
        &mut self,
        zone: Arc<Zone>,
        offset: u64,
        buffer: Arc<WriteBuffer>,
        bytes: Range<usize>,
    ) -> Result<()> {
        if self.in_flight.len() >= WRITES_IN_FLIGHT_MAX {
            self.wait_one().await?;
        }
        let sectors = bytes.start / SECTOR_BYTES as usize..bytes.end / SECTOR_BYTES as usize;
        let (done, result) = oneshot::channel();
        let inner = Arc::clone(&self.inner);
        self.inner.environment.run_blocking(Box::new(move || {
            let outcome = inner.zones.write(&zone, offset, &buffer.sectors()[sectors]);
            drop(buffer);
            // A receiver that is gone means that the writer was dropped: nobody needs the outcome.
            drop(done.send(outcome));
        }));
        self.in_flight.push_back(result);
        Ok(())
    }

    async fn wait_one(&mut self) -> Result<()> {
        match self.in_flight.pop_front() {
            None => Ok(()),
            Some(result) => result.await.map_err(|_| Error::Stopped {
                reason: "a device write was abandoned at shutdown".to_owned(),
            })?,
        }
    }

    /// Writes the tags behind the data and waits for all writes.
    async fn finish(mut self, size: u64) -> Result<FreshBlob> {
        let tags = std::mem::take(&mut self.tags);
        let room_left = self.run.as_ref().map_or(0, |run| run.room.len - run.used);
        let together = (self.filled + tags.len()) as u64;
        let padded = together.next_multiple_of(SECTOR_BYTES);
        let fits = match self.run {
            Some(_) => room_left >= padded,
            None => padded <= self.inner.zones.zone_bytes() - ZONE_DATA_OFFSET,
        };
        let tags_extent = if tags.is_empty() {
            Extent::default()
        } else if fits {
            self.finish_together(&tags).await?
        } else {
            self.flush().await?;
            self.finish_apart(&tags).await?
        };
        while !self.in_flight.is_empty() {
            self.wait_one().await?;
        }
        let place = BlobPlace {
            shape: BlobShape::new(size, self.chunk_size),
            tags: tags_extent,
            extents: std::mem::take(&mut self.extents).into(),
        };
        Ok(FreshBlob { blob: self.blob, place, rooms: std::mem::take(&mut self.rooms) })
    }

    /// Data and tags in one write: the tags begin right behind the last byte.
    async fn finish_together(&mut self, tags: &[u8]) -> Result<Extent> {
        let data_len = self.filled;
        if self.run.is_none() {
            let len = (data_len + tags.len()) as u64;
            let room = self.inner.zones.allocate_whole(ZoneClass::Data, len, Claim::User)?;
            self.rooms.push(room.clone());
            self.run = Some(Run { room, used: 0 });
        }
        let Some(run) = &mut self.run else {
            return Err(Error::Invalid("no room was handed out".to_owned()));
        };
        let (zone, offset) = (Arc::clone(&run.room.zone), run.room.offset + run.used);
        let len = (data_len + tags.len()).next_multiple_of(SECTOR_BYTES as usize);
        let mut buffer = match self.buffer.take() {
            Some(buffer) if buffer.bytes().len() >= len => buffer,
            // The tags of a long value, or data in a buffer of a chunk.
            shorter => {
                let mut longer = WriteBuffer::uncounted(len);
                if let Some(shorter) = shorter {
                    longer.bytes_mut()[..data_len].copy_from_slice(&shorter.bytes()[..data_len]);
                }
                longer
            }
        };
        run.used += len as u64;
        self.filled = 0;
        let bytes = &mut buffer.bytes_mut()[..len];
        bytes[data_len..][..tags.len()].copy_from_slice(tags);
        bytes[data_len + tags.len()..].fill(0);
        let crc = crc32fast::hash(&bytes[..data_len]);
        if data_len > 0 {
            self.note_extent(&zone, offset, data_len as u64, crc);
        }
        let extent = Extent {
            zone: zone.id,
            offset: (offset + data_len as u64) as u32,
            len: tags.len() as u32,
            crc: crc32fast::hash(tags),
        };
        self.submit(zone, offset, Arc::new(buffer), 0..len).await?;
        Ok(extent)
    }

    async fn finish_apart(&mut self, tags: &[u8]) -> Result<Extent> {
        let room =
            self.inner.zones.allocate_whole(ZoneClass::Data, tags.len() as u64, Claim::User)?;
        self.rooms.push(room.clone());
        let len = room.len as usize;
        let mut buffer = WriteBuffer::uncounted(len);
        buffer.bytes_mut()[..tags.len()].copy_from_slice(tags);
        let extent = Extent {
            zone: room.zone.id,
            offset: room.offset as u32,
            len: tags.len() as u32,
            crc: crc32fast::hash(tags),
        };
        self.submit(Arc::clone(&room.zone), room.offset, Arc::new(buffer), 0..len).await?;
        Ok(extent)
    }
}

/// Keeps the compiler honest about what crosses threads.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<ValueWriter>();
    is_send::<Value>();
};

impl Inner {
    /// Seals values for `space`, joined in order; moves no data.
    pub(crate) fn adopt(&self, space: SpaceId, values: &[Sealed]) -> Result<Value> {
        let target = self.space_key(space)?;
        let mut joined = Value::empty();
        let several = values.iter().filter(|sealed| sealed.value.size > 0).count() > 1;
        let mut pieces = Vec::new();
        for sealed in values {
            let source = self.space_key(sealed.space)?;
            let rewrap = |blob, key| {
                let data_key = source.unwrap(blob, key)?;
                target.wrap(self.environment.as_ref(), blob, &data_key)
            };
            joined.size += sealed.value.size;
            match &sealed.value.content {
                ValueContent::Empty => {}
                ValueContent::Inline { .. } if several => {
                    return Err(Error::Invalid("an inline value cannot be joined".to_owned()));
                }
                ValueContent::Inline { blob, key, tag, data } => {
                    let key = rewrap(*blob, key)?;
                    let (blob, tag, data) = (*blob, *tag, data.clone());
                    joined.content = ValueContent::Inline { blob, key, tag, data };
                }
                ValueContent::Blobs(held) => {
                    for piece in held {
                        let key = rewrap(piece.blob, &piece.key)?;
                        pieces.push(Piece { key, ..piece.clone() });
                    }
                    if sealed.value.fresh.is_some() && several {
                        return Err(Error::Invalid("an uncommitted value cannot be joined".into()));
                    }
                    joined.fresh = joined.fresh.or_else(|| sealed.value.fresh.clone());
                }
            }
        }
        if pieces.len() > BLOBS_MAX {
            let max = BLOBS_MAX;
            return Err(Error::Invalid(format!("a value has at most {max} blobs")));
        }
        if !pieces.is_empty() {
            joined.content = ValueContent::Blobs(pieces);
        }
        Ok(joined)
    }

    /// Seals a small value into itself.
    pub(crate) fn seal_inline(&self, space: SpaceId, mut data: Vec<u8>) -> Result<Value> {
        let space_key = self.space_key(space)?;
        let blob = self.next_blob()?;
        let environment = self.environment.as_ref();
        let (cipher, data_key) = BlobCipher::create(environment, blob, ChunkSize::Stream)?;
        let tag = cipher.seal_chunk(0, ChunkEnd::Last, &mut data)?;
        let key = space_key.wrap(environment, blob, &data_key)?;
        Ok(Value {
            size: data.len() as u64,
            content: ValueContent::Inline { blob, key, tag, data: data.into() },
            fresh: None,
        })
    }

    /// An id that no blob ever had.
    pub(crate) fn next_blob(&self) -> Result<BlobId> {
        let counter = self.blob_counter.fetch_add(1, Ordering::Relaxed);
        if counter >= 1 << 40 {
            return Err(Error::Invalid("blob ids of this epoch are used up".to_owned()));
        }
        Ok(BlobId(u64::from(self.zones.epoch.0) << 40 | counter))
    }
}
