//! What an index is made of, as one small record: it is put with every seal and compaction.
//!
//! ```text
//! 0   8   magic `LODEVMAN`
//! 8   2   format version 1
//! 10  16  secret of the key hashes
//! 26  8   watermark: deltas up to this number are in sealed segments
//! 34  8   next segment
//! 42  4   segments
//! 46  …   their numbers, 8 each
//! ```
//!
//! A segment stands in it once, under a number below the next: that one's records would be put over
//! those of a segment that lives.

use std::collections::HashSet;

use crate::codec::Cursor;
use crate::error::Result;
use crate::key_hash::HashSecret;
use crate::store::{DeltaNumber, SegmentId};

const MAGIC: &[u8; 8] = b"LODEVMAN";
const FORMAT_VERSION: u16 = 1;
/// No number is larger: an index never gets so far, and counting on from there never overflows.
const NUMBER_MAX: u64 = u64::MAX / 2;

/// What an index is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) secret: HashSecret,
    pub(crate) watermark: DeltaNumber,
    pub(crate) next_segment: SegmentId,
    pub(crate) segments: Vec<SegmentId>,
}

impl Manifest {
    pub(crate) fn new(secret: HashSecret) -> Self {
        Self { secret, watermark: DeltaNumber(0), next_segment: SegmentId(1), segments: Vec::new() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(46 + self.segments.len() * 8);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&self.secret.0);
        out.extend_from_slice(&self.watermark.0.to_le_bytes());
        out.extend_from_slice(&self.next_segment.0.to_le_bytes());
        out.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        for segment in &self.segments {
            out.extend_from_slice(&segment.0.to_le_bytes());
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new("manifest", bytes);
        cursor.begin(MAGIC, FORMAT_VERSION)?;
        let secret = HashSecret(cursor.array()?);
        let watermark = DeltaNumber(cursor.u64()?);
        let next_segment = SegmentId(cursor.u64()?);
        let count = cursor.u32()? as usize;
        if cursor.rest().len() != count.saturating_mul(8) {
            return Err(cursor.corrupt("another length"));
        }
        let mut segments = Vec::with_capacity(count);
        for _ in 0..count {
            segments.push(SegmentId(cursor.u64()?));
        }
        let distinct: HashSet<SegmentId> = segments.iter().copied().collect();
        if distinct.len() != count {
            return Err(cursor.corrupt("a segment stands in it twice"));
        }
        if segments.iter().any(|segment| *segment >= next_segment) {
            return Err(cursor.corrupt("a segment behind the next"));
        }
        if watermark.0.max(next_segment.0) > NUMBER_MAX {
            return Err(cursor.corrupt("a number that nobody counted to"));
        }
        Ok(Self { secret, watermark, next_segment, segments })
    }
}

#[cfg(test)]
mod tests {
    use super::{Manifest, NUMBER_MAX};
    use crate::key_hash::HashSecret;
    use crate::store::{DeltaNumber, SegmentId};

    #[test]
    fn the_manifest_comes_back_and_takes_no_other_bytes() {
        let mut manifest = Manifest::new(HashSecret([9; 16]));
        manifest.segments = vec![SegmentId(7), SegmentId(3)];
        manifest.next_segment = SegmentId(8);
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
        for len in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_manifest_whose_numbers_would_meet_is_refused() {
        for (watermark, next, segments, why) in [
            (5, 8, vec![3, 3], "twice"),
            (5, 7, vec![3, 7], "behind the next"),
            (5, 0, vec![3], "behind the next"),
            (u64::MAX, 8, vec![3], "nobody counted to"),
            (5, NUMBER_MAX + 1, vec![3], "nobody counted to"),
        ] {
            let manifest = Manifest {
                watermark: DeltaNumber(watermark),
                next_segment: SegmentId(next),
                segments: segments.into_iter().map(SegmentId).collect(),
                ..Manifest::new(HashSecret([9; 16]))
            };
            let refused = Manifest::decode(&manifest.encode()).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
