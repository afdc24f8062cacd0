//! The immutable inverted index of one segment and one metadata key, kept as its encoded bytes.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `LDSTTEXT` |
//! | 8 | 2 | format version, 1 |
//! | 10 | 1 | language: 0 none, else the place of its code in en fr es pt it de nl zh ja ko, from 1 |
//! | 11 | 1 | analyzer version |
//! | 12 | 1 | bytes of a row's length: 1 or 2 |
//! | 13 | 3 | zero |
//! | 16 | 4 | rows that have a length: one more than the last row with a term |
//! | 20 | 4 | rows with a term |
//! | 24 | 8 | terms of all rows together |
//! | 32 | 8 | different terms |
//! | 40 | 8 | length of the dictionary |
//! | 48 | 8 | length of the postings |
//! | 56 | | length of every row: its terms, repeated ones too |
//! | | | where the dictionary's blocks begin, the dictionary ([`super::dictionary`]) |
//! | | | postings ([`super::postings`]) |
//!
//! Reading checks what it uses when it uses it: damage is an error of the query that meets it.

use bytes::Bytes;
use storage_engine::format::{Decoder, Encoder, Malformed};

use super::analyzer::ANALYZER_VERSION;
use super::dictionary::{BLOCK_TERMS, Dictionary, DictionaryWriter, Entry, PLACE_BYTES};
use super::postings::{self, Cursor};
use super::{FoundTerms, Language, TextQuery};
use crate::{Error, Result};

const MAGIC: [u8; 8] = *b"LDSTTEXT";
const FORMAT_VERSION: u16 = 1;

/// What BM25 needs of all the texts that a query searches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextStatistics {
    /// Rows with a term.
    pub documents: u64,
    /// Terms of all rows together, repeated ones too.
    pub tokens: u64,
}

impl std::ops::AddAssign for TextStatistics {
    fn add_assign(&mut self, other: Self) {
        self.documents = self.documents.saturating_add(other.documents);
        self.tokens = self.tokens.saturating_add(other.tokens);
    }
}

/// An immutable inverted index. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TextIndex {
    bytes: Bytes,
    language: Option<Language>,
    analyzer_version: u8,
    statistics: TextStatistics,
    terms: u64,
    length_bytes: u8,
    lengths: Bytes,
    places: Bytes,
    dictionary: Bytes,
    postings: Bytes,
}

impl TextIndex {
    /// Reads an index from its encoded bytes, which it keeps.
    pub fn decode(bytes: Bytes) -> Result<Self> {
        Self::parse(bytes).map_err(corrupt)
    }

    /// Its encoded bytes.
    pub fn encode(&self) -> Bytes {
        self.bytes.clone()
    }

    /// Bytes of the beginning that [`Self::is_head_current`] reads.
    pub(crate) const HEAD_BYTES: u64 = 12;

    /// [`Self::is_current`] of the index that begins so.
    pub(crate) fn is_head_current(head: &[u8]) -> Result<bool> {
        let mut fields = Decoder::new(head, "text index");
        let (_, analyzer_version) = begin(&mut fields).map_err(corrupt)?;
        Ok(analyzer_version == ANALYZER_VERSION)
    }

    /// The language it was analyzed in.
    pub fn language(&self) -> Option<Language> {
        self.language
    }

    /// Whether its terms are those that this release's analyzer gives. If not, it has to be built
    /// anew from the rows' texts.
    pub fn is_current(&self) -> bool {
        self.analyzer_version == ANALYZER_VERSION
    }

    /// What it adds to the statistics of a search, dead rows included.
    pub fn statistics(&self) -> TextStatistics {
        self.statistics
    }

    /// Different terms in it.
    pub fn terms(&self) -> u64 {
        self.terms
    }

    /// Memory it holds.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }

    /// What it has of the terms of a query.
    pub fn find(&self, query: &TextQuery) -> Result<FoundTerms<'_>> {
        let dictionary = self.dictionary();
        let find = |term: &str| match dictionary.find(term.as_bytes())? {
            Some(entry) => self.found(&entry).map(Some),
            None => Ok(None),
        };
        let terms = query.terms().map(find).collect::<Result<_, _>>().map_err(corrupt)?;
        Ok(FoundTerms::new(self, terms))
    }

    /// Goes through every term and its rows. What another release's analyzer made is left: it is
    /// built anew.
    pub(crate) fn walk(&self) -> Result<()> {
        if !self.is_current() {
            return Ok(());
        }
        let rows: Vec<u32> = (0..self.rows()).collect();
        let again = Self::merge(&[super::TextPart { index: self, rows: &rows }])?;
        match again.statistics == self.statistics && again.terms == self.terms {
            true => Ok(()),
            false => Err(Error::Corrupt("text index: counts in its header".to_owned())),
        }
    }

    /// Rows that have a length.
    pub(crate) fn rows(&self) -> u32 {
        (self.lengths.len() / usize::from(self.length_bytes).max(1)) as u32
    }

    /// Its terms.
    pub(super) fn dictionary(&self) -> Dictionary<'_> {
        Dictionary { terms: self.terms, places: &self.places, blocks: &self.dictionary }
    }

    /// The postings of a term of its dictionary.
    pub(super) fn found(&self, entry: &Entry) -> Result<FoundTerm<'_>, Malformed> {
        let place = |at: u64| usize::try_from(at).ok();
        let place = place(entry.postings.start).zip(place(entry.postings.end));
        let postings = place.and_then(|(from, to)| self.postings.get(from..to));
        if entry.rows == 0 || u64::from(entry.rows) > self.statistics.documents {
            return Err(Malformed::new("rows of a term"));
        }
        Ok(FoundTerm {
            rows: entry.rows,
            postings: postings.ok_or(Malformed::new("place of postings"))?,
        })
    }

    /// Terms of a row that has a length.
    #[inline]
    pub(super) fn length(&self, row: u32) -> Option<u32> {
        let row = row as usize;
        match self.length_bytes {
            1 => self.lengths.get(row).map(|&length| length.into()),
            _ => self.lengths.as_chunks().0.get(row).map(|at| u16::from_le_bytes(*at).into()),
        }
    }

    fn parse(bytes: Bytes) -> Result<Self, Malformed> {
        let mut fields = Decoder::new(&bytes, "text index");
        let (language, analyzer_version) = begin(&mut fields)?;
        let length_bytes = fields.u8()?;
        let padding: [u8; 3] = fields.array()?;
        let rows = fields.u32()?;
        let documents = fields.u32()?;
        let tokens = fields.u64()?;
        let terms = fields.u64()?;
        let mut len = |what| usize::try_from(fields.u64()?).map_err(|_| Malformed::new(what));
        let dictionary_bytes = len("length of the dictionary")?;
        let postings_bytes = len("length of the postings")?;
        let plausible = matches!(length_bytes, 1 | 2)
            && padding == [0; 3]
            && documents <= rows
            && u64::from(documents) <= tokens;
        if !plausible {
            return Err(Malformed::new("text index: header"));
        }
        let blocks = usize::try_from(terms.div_ceil(BLOCK_TERMS)).unwrap_or(usize::MAX);
        let lengths = fields.bytes((rows as usize).saturating_mul(length_bytes.into()))?;
        let places = fields.bytes(blocks.saturating_mul(PLACE_BYTES))?;
        let dictionary = fields.bytes(dictionary_bytes)?;
        let postings = fields.bytes(postings_bytes)?;
        fields.finish()?;
        Ok(Self {
            language: Language::numbered(language).ok_or(Malformed::new("text index: language"))?,
            analyzer_version,
            statistics: TextStatistics { documents: documents.into(), tokens },
            terms,
            length_bytes,
            lengths: bytes.slice_ref(lengths),
            places: bytes.slice_ref(places),
            dictionary: bytes.slice_ref(dictionary),
            postings: bytes.slice_ref(postings),
            bytes,
        })
    }
}

/// Takes what every index begins with; answers the numbers of its language and of its analyzer.
fn begin(fields: &mut Decoder<'_>) -> Result<(u8, u8), Malformed> {
    if fields.array()? != MAGIC {
        return Err(Malformed::new("text index: magic"));
    }
    if fields.u16()? != FORMAT_VERSION {
        return Err(Malformed::new("text index: format version"));
    }
    Ok((fields.u8()?, fields.u8()?))
}

/// What an index has of a term.
#[derive(Debug, Clone, Copy)]
pub(super) struct FoundTerm<'a> {
    /// Rows that have it.
    pub(super) rows: u32,
    postings: &'a [u8],
}

impl<'a> FoundTerm<'a> {
    /// Stands at its first row.
    pub(super) fn cursor(&self) -> Result<Cursor<'a>, Malformed> {
        Cursor::new(self.rows, self.postings)
    }
}

/// Writes an index, term by term.
#[derive(Debug)]
pub(super) struct IndexWriter {
    language: Option<Language>,
    lengths: Vec<u16>,
    dictionary: DictionaryWriter,
    postings: Vec<u8>,
}

impl IndexWriter {
    /// An index of rows of these lengths.
    pub(super) fn new(language: Option<Language>, mut lengths: Vec<u16>) -> Self {
        let rows = lengths.iter().rposition(|&length| length > 0).map_or(0, |last| last + 1);
        lengths.truncate(rows);
        Self { language, lengths, dictionary: DictionaryWriter::default(), postings: Vec::new() }
    }

    /// Takes the next term, which comes after all before it, with its rows: ascending, at least one.
    pub(super) fn push(&mut self, term: &[u8], rows: &[(u32, u32)]) {
        let from = self.postings.len() as u64;
        postings::put(&mut self.postings, rows, &self.lengths);
        let postings = from..self.postings.len() as u64;
        self.dictionary.push(term, &Entry { rows: rows.len() as u32, postings });
    }

    /// The index of what was taken.
    pub(super) fn finish(self) -> Result<TextIndex> {
        let Self { language, lengths, dictionary, postings } = self;
        let documents = lengths.iter().filter(|&&length| length > 0).count() as u32;
        let tokens = lengths.iter().map(|&length| u64::from(length)).sum();
        let short: Option<Vec<u8>> =
            lengths.iter().map(|&length| u8::try_from(length).ok()).collect();
        let mut bytes = Vec::with_capacity(
            64 + lengths.len() * 2
                + dictionary.places.len()
                + dictionary.blocks.len()
                + postings.len(),
        );
        let mut fields = Encoder::new(&mut bytes);
        fields.bytes(&MAGIC).u16(FORMAT_VERSION);
        fields.u8(Language::number(language)).u8(ANALYZER_VERSION);
        fields.u8(if short.is_some() { 1 } else { 2 }).bytes(&[0; 3]);
        fields.u32(lengths.len() as u32).u32(documents).u64(tokens).u64(dictionary.terms);
        fields.u64(dictionary.blocks.len() as u64).u64(postings.len() as u64);
        match &short {
            Some(short) => {
                fields.bytes(short);
            }
            None => lengths.iter().for_each(|&length| {
                fields.u16(length);
            }),
        }
        fields.bytes(&dictionary.places).bytes(&dictionary.blocks).bytes(&postings);
        TextIndex::decode(bytes.into())
    }
}

/// The error of damaged bytes.
pub(super) fn corrupt(malformed: Malformed) -> Error {
    Error::Corrupt(malformed.what.into())
}
