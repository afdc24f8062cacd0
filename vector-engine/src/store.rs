//! The keyspace of one index in the storage engine: names of its records, and how they are read.
//!
//! | name | holds |
//! |---|---|
//! | `m` | the manifest |
//! | `d` number | a delta |
//! | `s` segment `r` | what of a sealed segment stays in memory |
//! | `s` segment `v` | its vectors, in pages |
//! | `s` segment `p` | its properties, in pages |
//! | `s` segment `f` | its filter columns |
//! | `s` segment `t` field | the text index of a field |
//! | `x` segment | its dead rows |
//!
//! Numbers of deltas and segments are 8 bytes, big-endian, so that names are in their order.

use std::ops::Bound;

use bytes::Bytes;
use storage_engine::{
    Bypass, Content, Engine, Keep, Operation, PageReader, Placement, Put, Record, Remove, Scan,
    ScanItem, SpaceId, Stamp, Value, ValueWriter, Which,
};

use crate::error::{Error, Result};

/// Number of a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct DeltaNumber(pub(crate) u64);

/// Number of a sealed segment within its index; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct SegmentId(pub(crate) u64);

/// A part of a sealed segment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    Resident,
    Vectors,
    Properties,
    Columns,
    Text(String),
}

/// What a record of an index is, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordKind {
    Manifest,
    Delta(DeltaNumber),
    Part(SegmentId, Part),
    Dead(SegmentId),
}

impl RecordKind {
    /// Reads a name; none when it means nothing.
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        let (kind, rest) = name.split_first()?;
        if *kind == b'm' {
            return rest.is_empty().then_some(Self::Manifest);
        }
        let (number, rest) = rest.split_first_chunk()?;
        let number = u64::from_be_bytes(*number);
        match (kind, rest) {
            (b'd', []) => Some(Self::Delta(DeltaNumber(number))),
            (b'x', []) => Some(Self::Dead(SegmentId(number))),
            (b's', [part, rest @ ..]) => {
                let part = match (part, rest) {
                    (b'r', []) => Part::Resident,
                    (b'v', []) => Part::Vectors,
                    (b'p', []) => Part::Properties,
                    (b'f', []) => Part::Columns,
                    (b't', field) => Part::Text(std::str::from_utf8(field).ok()?.to_owned()),
                    _ => return None,
                };
                Some(Self::Part(SegmentId(number), part))
            }
            _ => None,
        }
    }
}

/// The keyspace of one index. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) engine: Engine,
    pub(crate) space: SpaceId,
}

/// The name of the manifest.
pub(crate) fn manifest_name() -> Bytes {
    Bytes::from_static(b"m")
}

/// The name of a delta.
pub(crate) fn delta_name(number: DeltaNumber) -> Bytes {
    numbered(b'd', number.0, &[])
}

/// The name of the dead rows of a segment.
pub(crate) fn dead_name(segment: SegmentId) -> Bytes {
    numbered(b'x', segment.0, &[])
}

/// The name of a part of a segment.
pub(crate) fn part_name(segment: SegmentId, part: &Part) -> Bytes {
    match part {
        Part::Resident => numbered(b's', segment.0, b"r"),
        Part::Vectors => numbered(b's', segment.0, b"v"),
        Part::Properties => numbered(b's', segment.0, b"p"),
        Part::Columns => numbered(b's', segment.0, b"f"),
        Part::Text(field) => numbered(b's', segment.0, &[b"t", field.as_bytes()].concat()),
    }
}

/// What the names of all parts of a segment begin with.
pub(crate) fn segment_prefix(segment: SegmentId) -> Bytes {
    numbered(b's', segment.0, &[])
}

/// What the names of all text parts of a segment begin with.
pub(crate) fn texts_prefix(segment: SegmentId) -> Bytes {
    numbered(b's', segment.0, b"t")
}

fn numbered(kind: u8, number: u64, rest: &[u8]) -> Bytes {
    let mut name = vec![kind];
    name.extend_from_slice(&number.to_be_bytes());
    name.extend_from_slice(rest);
    name.into()
}

/// The number in a name.
pub(crate) fn number_of(name: &[u8]) -> Option<u64> {
    name.get(1..)?.first_chunk().map(|number| u64::from_be_bytes(*number))
}

impl Store {
    /// The record of a name.
    pub(crate) async fn record(&self, name: &Bytes) -> Result<Option<Record>> {
        match self.engine.current(self.space, name)? {
            Some(entry) => Ok(Some(self.engine.load(self.space, name, &entry).await?)),
            None => Ok(None),
        }
    }

    /// The whole value of a name.
    pub(crate) async fn value(&self, name: &Bytes) -> Result<Option<Bytes>> {
        match self.record(name).await? {
            Some(record) => {
                let size = record.entry.size;
                Ok(Some(record.into_reader(0..size).collect().await?))
            }
            None => Ok(None),
        }
    }

    /// The whole value of a part that has to be there.
    pub(crate) async fn part(&self, segment: SegmentId, part: &Part) -> Result<Bytes> {
        let value = self.value(&part_name(segment, part)).await?;
        value.ok_or_else(|| missing(segment, part))
    }

    /// A reader of the pages of a part.
    pub(crate) async fn pages(&self, segment: SegmentId, part: &Part) -> Result<PageReader> {
        let record = self.record(&part_name(segment, part)).await?;
        let record = record.ok_or_else(|| missing(segment, part))?;
        Ok(self.engine.page_reader(&record).await?)
    }

    /// A writer for a value of `len` bytes.
    pub(crate) fn writer(&self, placement: Placement, len: Option<u64>) -> Result<ValueWriter> {
        Ok(self.engine.writer(self.space, placement, len)?)
    }

    /// Seals a whole value.
    pub(crate) async fn seal(&self, bytes: Bytes) -> Result<Value> {
        let mut writer = self.writer(Placement::Auto, Some(bytes.len() as u64))?;
        writer.write(bytes).await?;
        Ok(writer.finish().await?)
    }

    /// At most `limit` names that begin with `prefix`, in order, `after` one of them.
    pub(crate) fn names(
        &self,
        prefix: &[u8],
        after: Option<Bytes>,
        limit: usize,
    ) -> Result<Vec<Bytes>> {
        let scan = Scan {
            prefix: Bytes::copy_from_slice(prefix),
            delimiter: Bytes::new(),
            from: after.map_or(Bound::Unbounded, Bound::Excluded),
            limit,
        };
        let page = self.engine.scan(self.space, &scan)?;
        let name = |item| match item {
            ScanItem::Version { name, .. } | ScanItem::Prefix(name) => name,
        };
        Ok(page.items.into_iter().map(name).collect())
    }

    /// The operation that puts a value.
    pub(crate) fn put(&self, name: Bytes, value: Value) -> Operation {
        let content =
            Content::Value { value, meta: Bytes::new(), stamp: Stamp::default(), label: 0 };
        Operation::Put(Put { space: self.space, name, keep: Keep::Null, content, lock: None })
    }

    /// The operation that removes a name.
    pub(crate) fn remove(&self, name: Bytes) -> Operation {
        let which = Which::Null;
        Operation::Remove(Remove { space: self.space, name, which, bypass: Bypass::None })
    }
}

/// The error of a part that has to be there.
pub(crate) fn missing(segment: SegmentId, part: &Part) -> Error {
    Error::Corrupt(format!("segment {}: its {part:?} is missing", segment.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_made() {
        let (delta, segment) = (DeltaNumber(0x0102), SegmentId(7));
        let text = Part::Text("en/title".to_owned());
        let named = [
            (manifest_name(), RecordKind::Manifest),
            (delta_name(delta), RecordKind::Delta(delta)),
            (dead_name(segment), RecordKind::Dead(segment)),
            (part_name(segment, &Part::Resident), RecordKind::Part(segment, Part::Resident)),
            (part_name(segment, &Part::Vectors), RecordKind::Part(segment, Part::Vectors)),
            (part_name(segment, &Part::Properties), RecordKind::Part(segment, Part::Properties)),
            (part_name(segment, &Part::Columns), RecordKind::Part(segment, Part::Columns)),
            (part_name(segment, &text), RecordKind::Part(segment, text)),
        ];
        for (name, kind) in named {
            assert_eq!(RecordKind::of(&name), Some(kind), "{name:?}");
        }
        for wrong in [&b""[..], b"mm", b"d", b"d1234567", b"d123456789", b"s12345678", b"z12345678"]
        {
            assert_eq!(RecordKind::of(wrong), None, "{wrong:?}");
        }
        assert_eq!(delta_name(delta)[..], *b"d\0\0\0\0\0\0\x01\x02");
        assert_eq!(part_name(segment, &Part::Vectors)[..], *b"s\0\0\0\0\0\0\0\x07v");
    }
}
