//! A record as the view keeps it, and the test that decides whether it is believed.
//!
//! Layout, big endian: version of the layout `u8` (1), sequence `u64`, time in ms `u64`, the owner's
//! bytes.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use storage_engine::{Entry, Stamp};

use super::CatalogRecord;

const LAYOUT_VERSION: u8 = 1;
const HEADER_BYTES: usize = 17;

/// The stamp under which the engine's index keeps a record: a digest of its bytes.
pub(super) fn digest(bytes: &[u8]) -> Stamp {
    let mut stamp = Stamp::default();
    for (to, from) in stamp.digest.iter_mut().zip(Sha256::digest(bytes)) {
        *to = from;
    }
    stamp
}

/// A record without its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    sequence: u64,
    time_ms: u64,
    bytes: Bytes,
}

impl Row {
    pub(super) fn of(record: &CatalogRecord) -> Self {
        let CatalogRecord { sequence, time_ms, bytes, .. } = record;
        Self { sequence: *sequence, time_ms: *time_ms, bytes: bytes.clone() }
    }

    /// True when the row says what the engine's index says, to the byte.
    pub(super) fn agrees(&self, entry: &Entry) -> bool {
        self.sequence == entry.sequence
            && self.time_ms == entry.time_ms
            && digest(&self.bytes) == entry.stamp
    }

    pub(super) fn into_record(self, name: String) -> CatalogRecord {
        CatalogRecord { name, sequence: self.sequence, time_ms: self.time_ms, bytes: self.bytes }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.bytes.len());
        out.push(LAYOUT_VERSION);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.time_ms.to_be_bytes());
        out.extend_from_slice(&self.bytes);
        out
    }

    pub(super) fn decode(encoded: &[u8]) -> Option<Self> {
        let (&version, rest) = encoded.split_first()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (time_ms, bytes) = rest.split_first_chunk()?;
        (version == LAYOUT_VERSION).then(|| Self {
            sequence: u64::from_be_bytes(*sequence),
            time_ms: u64::from_be_bytes(*time_ms),
            bytes: Bytes::copy_from_slice(bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row { sequence: 7, time_ms: 1_700_000_000_123, bytes: Bytes::from_static(b"{\"a\":1}") }
    }

    #[test]
    fn a_row_comes_back_as_it_was() {
        assert_eq!(Row::decode(&row().encode()), Some(row()));
        let empty = Row { bytes: Bytes::new(), ..row() };
        assert_eq!(Row::decode(&empty.encode()), Some(empty));
    }

    #[test]
    fn a_short_or_foreign_row_is_refused() {
        let encoded = row().encode();
        for len in 0..HEADER_BYTES {
            assert_eq!(Row::decode(&encoded[..len]), None, "{len} bytes");
        }
        let mut foreign = encoded;
        foreign[0] = LAYOUT_VERSION + 1;
        assert_eq!(Row::decode(&foreign), None);
    }

    #[test]
    fn a_row_is_believed_only_if_all_of_it_agrees() {
        let entry = Entry {
            sequence: 7,
            time_ms: 1_700_000_000_123,
            size: 0,
            location: storage_engine::Location::default(),
            body: storage_engine::Body::Record,
            stamp: digest(b"{\"a\":1}"),
            label: 0,
            flags: Entry::NULL,
        };
        assert!(row().agrees(&entry));
        assert!(!Row { sequence: 8, ..row() }.agrees(&entry));
        assert!(!Row { time_ms: 0, ..row() }.agrees(&entry));
        assert!(!Row { bytes: Bytes::from_static(b"{\"a\":2}"), ..row() }.agrees(&entry));
    }
}
