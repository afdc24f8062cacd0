//! Full text of metadata keys: analysis, one immutable inverted index a segment and key, and BM25.
//!
//! A segment's index answers what it holds of a query ([`TextIndex::find`]); what all segments hold
//! together gives the weights ([`Weights::new`]); with those each segment ranks its own rows
//! ([`FoundTerms::best`]). So a row's score is the same in whatever segment it lies.
//!
//! The statistics count every row that was indexed: rows that died since count until compaction
//! drops them, as do older versions of a row in other segments.

mod analyzer;
mod bm25;
mod builder;
mod dictionary;
mod fold;
mod index;
mod language;
mod merge;
mod postings;
mod stop_words;
#[cfg(test)]
mod tests;
mod varint;

pub use analyzer::Analyzer;
pub use bm25::{FoundTerms, Scope, TextMatch, TextQuery, Weights};
pub use builder::TextBuilder;
pub use index::{TextIndex, TextStatistics};
pub use language::Language;
pub use merge::TextPart;

/// Bytes of a term: longer words are found by their beginning. Long words are addresses and encoded
/// data, whose tails nobody types.
const TERM_BYTES_MAX: usize = 128;
/// Terms of one row and key; text after them is not found. Metadata of 40 KB holds fewer, so only
/// an operator who raised that limit meets this one. A row's length is 16 bits.
const ROW_TERMS_MAX: u16 = u16::MAX;
/// Different terms of one query: more than a text of 1,024 characters can have.
const QUERY_TERMS_MAX: usize = 1024;
