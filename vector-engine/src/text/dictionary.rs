//! The different terms of an index, sorted by their bytes, in blocks that share beginnings.
//!
//! A block holds 16 terms: where its first term's postings begin, then a term each: bytes shared
//! with the term before it (left out for the first), bytes that follow, those bytes, rows that have
//! it, length of its postings. Numbers are variable ([`super::varint`]). Beside the blocks lies an
//! array of where each begins, 8 bytes each.

use std::cmp::Ordering;
use std::ops::Range;

use storage_engine::format::Malformed;

use super::varint;

/// Terms of a block: few enough to walk, many enough to share their beginnings.
pub(super) const BLOCK_TERMS: u64 = 16;
/// Bytes of a block's place.
pub(super) const PLACE_BYTES: usize = 8;

const MALFORMED: Malformed = Malformed::new("dictionary");

/// What the dictionary says of a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Rows that have it.
    pub(super) rows: u32,
    /// Where its postings lie.
    pub(super) postings: Range<u64>,
}

/// The terms of an index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dictionary<'a> {
    /// How many there are.
    pub(super) terms: u64,
    /// Where the blocks begin.
    pub(super) places: &'a [u8],
    /// The blocks.
    pub(super) blocks: &'a [u8],
}

impl<'a> Dictionary<'a> {
    /// Looks for a term.
    pub(super) fn find(&self, term: &[u8]) -> Result<Option<Entry>, Malformed> {
        // `low`: blocks whose first term is not after the one looked for.
        let (mut low, mut high) = (0, self.terms.div_ceil(BLOCK_TERMS));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.first_term(middle)? <= term {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let Some(nth) = low.checked_sub(1) else { return Ok(None) };
        let mut block = Block::new(self, nth)?;
        while let Some(entry) = block.next()? {
            match block.term.as_slice().cmp(term) {
                Ordering::Less => {}
                Ordering::Equal => return Ok(Some(entry)),
                Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    /// All terms in their order.
    pub(super) fn walk(self) -> Walk<'a> {
        Walk { dictionary: self, next_block: 0, block: Block::default() }
    }

    fn first_term(&self, nth: u64) -> Result<&'a [u8], Malformed> {
        let take = |mut rest: &'a [u8]| {
            varint::take(&mut rest)?;
            let len = varint::take_u32(&mut rest)?;
            rest.get(..len as usize)
        };
        take(self.block(nth)?).ok_or(MALFORMED)
    }

    /// The bytes from the beginning of a block.
    fn block(&self, nth: u64) -> Result<&'a [u8], Malformed> {
        let place = usize::try_from(nth).ok().and_then(|nth| self.places.as_chunks().0.get(nth));
        let place = place.and_then(|place| usize::try_from(u64::from_le_bytes(*place)).ok());
        place.and_then(|place| self.blocks.get(place..)).ok_or(MALFORMED)
    }
}

/// Goes through all terms.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    dictionary: Dictionary<'a>,
    next_block: u64,
    block: Block<'a>,
}

impl Walk<'_> {
    /// The next term; its bytes are [`Self::term`].
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Malformed> {
        if self.block.left == 0 {
            if self.next_block == self.dictionary.terms.div_ceil(BLOCK_TERMS) {
                return Ok(None);
            }
            self.block = Block::new(&self.dictionary, self.next_block)?;
            self.next_block += 1;
        }
        self.block.next()
    }

    /// The bytes of the term that was last answered.
    pub(super) fn term(&self) -> &[u8] {
        &self.block.term
    }
}

/// Goes through the terms of a block.
#[derive(Debug, Default)]
struct Block<'a> {
    rest: &'a [u8],
    left: u64,
    shares: bool,
    term: Vec<u8>,
    postings_at: u64,
}

impl<'a> Block<'a> {
    fn new(dictionary: &Dictionary<'a>, nth: u64) -> Result<Self, Malformed> {
        let mut rest = dictionary.block(nth)?;
        let postings_at = varint::take(&mut rest).ok_or(MALFORMED)?;
        let left = (dictionary.terms - nth * BLOCK_TERMS).min(BLOCK_TERMS);
        Ok(Self { rest, left, shares: false, term: Vec::new(), postings_at })
    }

    fn next(&mut self) -> Result<Option<Entry>, Malformed> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                self.take().ok_or(MALFORMED).map(Some)
            }
            None => Ok(None),
        }
    }

    fn take(&mut self) -> Option<Entry> {
        let shared = if self.shares { varint::take_u32(&mut self.rest)? as usize } else { 0 };
        self.shares = true;
        let own = varint::take_u32(&mut self.rest)? as usize;
        let (suffix, rest) = self.rest.split_at_checked(own)?;
        self.rest = rest;
        if shared > self.term.len() {
            return None;
        }
        self.term.truncate(shared);
        self.term.extend_from_slice(suffix);
        let rows = varint::take_u32(&mut self.rest)?;
        let from = self.postings_at;
        self.postings_at = from.checked_add(varint::take(&mut self.rest)?)?;
        Some(Entry { rows, postings: from..self.postings_at })
    }
}

/// Writes a dictionary.
#[derive(Debug, Default)]
pub(super) struct DictionaryWriter {
    /// Terms taken.
    pub(super) terms: u64,
    /// Where the blocks begin.
    pub(super) places: Vec<u8>,
    /// The blocks.
    pub(super) blocks: Vec<u8>,
    last: Vec<u8>,
}

impl DictionaryWriter {
    /// Takes the next term, which comes after all before it.
    pub(super) fn push(&mut self, term: &[u8], entry: &Entry) {
        let out = &mut self.blocks;
        let mut suffix = term;
        if self.terms.is_multiple_of(BLOCK_TERMS) {
            self.places.extend_from_slice(&(out.len() as u64).to_le_bytes());
            varint::put(out, entry.postings.start);
        } else {
            let shared = term.iter().zip(&self.last).take_while(|(a, b)| a == b).count();
            varint::put(out, shared as u64);
            suffix = term.get(shared..).unwrap_or_default();
        }
        varint::put(out, suffix.len() as u64);
        out.extend_from_slice(suffix);
        varint::put(out, entry.rows.into());
        varint::put(out, entry.postings.end - entry.postings.start);
        self.terms += 1;
        self.last.clear();
        self.last.extend_from_slice(term);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_term_is_found_and_no_other() {
        for count in [0u32, 1, 15, 16, 17, 32, 1000] {
            let terms: Vec<String> = (0..count).map(|n| format!("term{n:05}x")).collect();
            let entry = |n: u32| Entry { rows: n + 1, postings: n.into()..u64::from(n) + 1 };
            let mut writer = DictionaryWriter::default();
            for (n, term) in (0..).zip(&terms) {
                writer.push(term.as_bytes(), &entry(n));
            }
            let dictionary =
                Dictionary { terms: writer.terms, places: &writer.places, blocks: &writer.blocks };
            let mut walk = dictionary.walk();
            for (n, term) in (0..).zip(&terms) {
                assert_eq!(dictionary.find(term.as_bytes()), Ok(Some(entry(n))));
                assert_eq!(dictionary.find(format!("{term}y").as_bytes()), Ok(None));
                assert_eq!(dictionary.find(&term.as_bytes()[..9]), Ok(None));
                assert_eq!(walk.next(), Ok(Some(entry(n))));
                assert_eq!(walk.term(), term.as_bytes());
            }
            assert_eq!(walk.next(), Ok(None));
            assert_eq!(dictionary.find(b""), Ok(None));
            assert_eq!(dictionary.find(b"zzz"), Ok(None));
        }
    }
}
