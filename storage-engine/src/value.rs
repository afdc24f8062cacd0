//! Values on their way in and out: sealed pieces, the writer that makes them, the records that hold
//! them.

use bytes::Bytes;
use futures::stream::Stream;

use crate::entry::Entry;
use crate::error::Result;
use crate::id::SpaceId;
use crate::lock::Lock;

/// A sealed value, ready to be put. Blobs it brought are kept from reclaim while it lives.
#[derive(Debug, Clone)]
pub struct Value {}

impl Value {
    /// The value of no bytes.
    pub fn empty() -> Self {
        todo!()
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        todo!()
    }

    /// True when the value lies in its record; such a value cannot be joined to others.
    pub fn is_inline(&self) -> bool {
        todo!()
    }
}

/// Where a writer puts what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// In the record when small, else in a blob.
    Auto,
    /// Always in a blob, so that it can be joined to others without moving.
    Blob,
}

/// Takes a stream, seals it and puts it where it stays. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct ValueWriter {}

impl ValueWriter {
    /// Adds bytes. Waits while the device is behind.
    pub async fn write(&mut self, _data: Bytes) -> Result<()> {
        todo!()
    }

    /// Ends the value.
    pub async fn finish(self) -> Result<Value> {
        todo!()
    }
}

/// A record as it was read and verified.
#[derive(Debug, Clone)]
pub struct Record {
    /// The version it belongs to.
    pub entry: Entry,
    /// The owner's metadata, opened.
    pub meta: Bytes,
    /// The version's lock.
    pub lock: Option<Lock>,
}

impl Record {
    /// The sealed value, to put it under another name ([`crate::Engine::adopt`]) or rewrite it.
    pub fn value(&self) -> Value {
        todo!()
    }

    /// Opens `range` (clipped to the value) as a stream of verified pieces.
    pub fn read(&self, _range: std::ops::Range<u64>) -> ValueReader {
        todo!()
    }
}

/// The bytes of a value in order, each piece verified before it is handed out.
#[derive(Debug)]
pub struct ValueReader {}

impl ValueReader {
    /// Bytes still to come.
    pub fn remaining(&self) -> u64 {
        todo!()
    }

    /// The next piece, or none at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        todo!()
    }

    /// All of the rest in one buffer. For values the caller knows to be small.
    pub async fn collect(self) -> Result<Bytes> {
        todo!()
    }

    /// As a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        futures::stream::unfold(self, |mut reader| async move {
            reader.next().await.map(|piece| (piece, reader))
        })
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
