//! The nearest of many rows, by looking at each.
//!
//! Distances are ordered as numbers, what is not a number behind all others, and rows of one
//! distance by their index: the same rows give the same answer.

#[cfg(test)]
mod tests;

use roaring::RoaringBitmap;

use crate::code::{CodeQuery, Codebook};
use crate::kernel::Probe;

/// Rows that are estimated together, so that the processor is chosen for once for all of them.
const BLOCK_ROWS: usize = 128;

/// Spreads of an estimate within which a row may belong to the nearest: recall of ten is then 0.99
/// and more on all sets measured, for 50 rows compared of real text, 95 of tight clusters.
const COMPARED_SPREADS: f32 = 2.5;

/// A row and how far it is: by estimate from [`best`], exactly from [`exact`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Its index in the segment.
    pub row: u32,
    /// The distance that searches order by.
    pub estimate: f32,
}

/// Which rows of a segment may be found.
#[derive(Debug, Clone, Copy)]
pub enum Rows<'a> {
    /// All but the dead.
    Live {
        /// Rows that were deleted or overwritten.
        dead: &'a RoaringBitmap,
    },
    /// Those that match, but for the dead.
    Matching {
        /// Rows that a filter left.
        matching: &'a RoaringBitmap,
        /// Rows that were deleted or overwritten.
        dead: &'a RoaringBitmap,
    },
}

/// The nearest rows met so far, at most a number of them.
#[derive(Debug, Clone)]
pub struct Nearest {
    keep: usize,
    /// Distance and row in one number that orders as they do; the nearest `keep` and some more.
    keys: Vec<u64>,
    /// No row is taken whose key is not below.
    limit: u64,
    /// Nor one that is farther: the same said in a number that is compared at once.
    farthest: f32,
}

/// The `keep` nearest rows by estimate, nearest first. `codes` are all rows' codes of the segment.
pub fn best(
    codebook: &Codebook,
    query: &CodeQuery,
    codes: &[u8],
    rows: Rows<'_>,
    keep: usize,
) -> Vec<Candidate> {
    nearest(codebook, query, codes, rows, keep).into_sorted()
}

/// What [`best`] sorts.
pub fn nearest(
    codebook: &Codebook,
    query: &CodeQuery,
    codes: &[u8],
    rows: Rows<'_>,
    keep: usize,
) -> Nearest {
    let count = codes.len() / codebook.code_bytes();
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let mut scan = Scan { codebook, query, codes, nearest: Nearest::new(keep) };
    match rows {
        Rows::Live { dead } => scan.over(0..count, dead, |_| {}),
        Rows::Matching { matching, dead } => {
            scan.over(matching.range(..count), dead, |block| codebook.fetch(codes, block));
        }
    }
    scan.nearest
}

/// How many of the `candidates` that [`best`] gave, from the nearest on, to compare exactly so that
/// the `top` nearest are found: those whose estimate is not beyond that of the last of the `top` by
/// more than spreads explain. All may be read at once; sharp estimates need few.
pub fn worth_comparing(
    codebook: &Codebook,
    query: &CodeQuery,
    codes: &[u8],
    candidates: &[Candidate],
    top: usize,
) -> usize {
    let Some(last) = top.checked_sub(1).and_then(|last| candidates.get(last)) else {
        return candidates.len().min(top);
    };
    let limit = comparing_limit(codebook, query, codes, *last);
    candidates.partition_point(|candidate| candidate.estimate <= limit).max(top)
}

/// The estimate up to which rows are worth comparing when `last` is the last of as many as are
/// wanted.
pub fn comparing_limit(
    codebook: &Codebook,
    query: &CodeQuery,
    codes: &[u8],
    last: Candidate,
) -> f32 {
    let spread = codebook.spread(query, codebook.code(codes, last.row), last.estimate);
    let limit = last.estimate + COMPARED_SPREADS * spread;
    if limit.is_nan() { f32::INFINITY } else { limit }
}

/// The `keep` nearest of `rows`, nearest first.
pub fn exact<'a>(
    probe: &Probe,
    rows: impl Iterator<Item = (u32, &'a [f32])>,
    keep: usize,
) -> Vec<Candidate> {
    let mut nearest = Nearest::new(keep);
    for (row, values) in rows {
        nearest.push(row, probe.distance(values));
    }
    nearest.into_sorted()
}

struct Scan<'a> {
    codebook: &'a Codebook,
    query: &'a CodeQuery,
    codes: &'a [u8],
    nearest: Nearest,
}

impl Scan<'_> {
    /// Looks at rows, block by block, of which each is made `ready` before.
    fn over(
        &mut self,
        mut rows: impl Iterator<Item = u32>,
        dead: &RoaringBitmap,
        ready: impl Fn(&[u32]),
    ) {
        let (mut block, mut dots) = ([0_u32; BLOCK_ROWS], [0_i32; BLOCK_ROWS]);
        let code_bytes = self.codebook.code_bytes();
        loop {
            let mut filled = 0;
            for (place, row) in block.iter_mut().zip(&mut rows) {
                *place = row;
                filled += 1;
            }
            let block = block.get(..filled).unwrap_or_default();
            if block.is_empty() {
                return;
            }
            ready(block);
            self.codebook.dots(self.query, self.codes, block, &mut dots);
            for (row, dot) in block.iter().zip(dots) {
                let start = (*row as usize).saturating_mul(code_bytes);
                let code = self.codes.get(start..).unwrap_or_default();
                let estimate = self.query.estimate(code, dot);
                // Few are near enough to be looked up.
                if estimate > self.nearest.farthest || dead.contains(*row) {
                    continue;
                }
                self.nearest.push(*row, estimate);
            }
        }
    }
}

impl Nearest {
    /// Beyond this many more than the kept, the farthest are dropped.
    const SLACK_ROWS: usize = 64;

    /// None met yet.
    pub fn new(keep: usize) -> Self {
        let limit = if keep == 0 { 0 } else { u64::MAX };
        Self { keep, keys: Vec::new(), limit, farthest: f32::INFINITY }
    }

    /// Takes a row, if it is among the nearest so far.
    #[inline]
    pub fn push(&mut self, row: u32, distance: f32) {
        let key = key_of(row, distance);
        if key >= self.limit {
            return;
        }
        self.keys.push(key);
        if self.keys.len() >= self.keep.saturating_mul(2).saturating_add(Self::SLACK_ROWS) {
            self.drop_farthest();
        }
    }

    /// The rows, nearest first.
    pub fn into_sorted(mut self) -> Vec<Candidate> {
        self.drop_farthest();
        self.keys.sort_unstable();
        self.into_any_order().collect()
    }

    /// The rows, in an order that says nothing.
    pub fn into_any_order(mut self) -> impl Iterator<Item = Candidate> {
        self.drop_farthest();
        let candidate =
            |key| Candidate { row: key as u32, estimate: distance_of((key >> 32) as u32) };
        self.keys.into_iter().map(candidate)
    }

    fn drop_farthest(&mut self) {
        if self.keep == 0 || self.keys.len() <= self.keep {
            return;
        }
        let (_, farthest, _) = self.keys.select_nth_unstable(self.keep - 1);
        self.limit = *farthest;
        self.farthest = distance_of((self.limit >> 32) as u32);
        self.keys.truncate(self.keep);
    }
}

const SIGN: u32 = 1 << 31;

/// A number that orders by distance, then by row.
#[inline]
fn key_of(row: u32, distance: f32) -> u64 {
    let distance = if distance.is_nan() { f32::NAN.copysign(1.0) } else { distance };
    // Zero has two signs; of the sum it has one.
    let bits = (distance + 0.0).to_bits();
    let ordered = if bits & SIGN == 0 { bits | SIGN } else { !bits };
    (u64::from(ordered) << 32) | u64::from(row)
}

fn distance_of(ordered: u32) -> f32 {
    f32::from_bits(if ordered & SIGN == 0 { !ordered } else { ordered & !SIGN })
}
