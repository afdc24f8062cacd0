//! Builds an inverted index from the texts of a segment's rows.

use std::collections::HashMap;

use super::analyzer::Side;
use super::index::IndexWriter;
use super::{Analyzer, ROW_TERMS_MAX, TextIndex};
use crate::{Error, Result};

/// Takes the texts of rows, in the order of the rows.
#[derive(Debug)]
pub struct TextBuilder<'a> {
    analyzer: &'a Analyzer,
    /// Words met, as they stand in texts, with the number of their term; none for stop words.
    words: HashMap<Box<str>, Option<u32>>,
    /// Terms by their text, with their number.
    terms: HashMap<Box<str>, u32>,
    /// Every finished row's different terms.
    postings: Vec<Posting>,
    /// Terms of every finished row.
    lengths: Vec<u16>,
    row: u32,
    row_terms: Vec<u32>,
    scratch: String,
}

#[derive(Debug, Clone, Copy)]
struct Posting {
    term: u32,
    row: u32,
    times: u32,
}

impl<'a> TextBuilder<'a> {
    /// An empty one.
    pub fn new(analyzer: &'a Analyzer) -> Self {
        Self {
            analyzer,
            words: HashMap::new(),
            terms: HashMap::new(),
            postings: Vec::new(),
            lengths: Vec::new(),
            row: 0,
            row_terms: Vec::new(),
            scratch: String::new(),
        }
    }

    /// Takes a text of a row: the row last taken, whose texts count together, or a later one.
    pub fn add(&mut self, row: u32, text: &str) -> Result<()> {
        if row < self.row || row == u32::MAX {
            return Err(Error::Invalid("rows of a text index must ascend".into()));
        }
        if row > self.row {
            self.finish_row();
            self.row = row;
        }
        let Self { analyzer, words, terms, row_terms, scratch, .. } = self;
        analyzer.words(text, Side::Row, scratch, |word| {
            if row_terms.len() == usize::from(ROW_TERMS_MAX) {
                return;
            }
            let number = words.get(word).copied().unwrap_or_else(|| {
                let number = analyzer.term(word).map(|term| match terms.get(term.as_ref()) {
                    Some(&number) => number,
                    None => {
                        let number = terms.len() as u32;
                        terms.insert(term.into(), number);
                        number
                    }
                });
                words.insert(word.into(), number);
                number
            });
            row_terms.extend(number);
        });
        Ok(())
    }

    /// The index of what was taken.
    pub fn finish(mut self) -> Result<TextIndex> {
        self.finish_row();
        let mut terms: Vec<(Box<str>, u32)> = self.terms.into_iter().collect();
        terms.sort_unstable();
        // Stable, so that the rows of a term stay ascending.
        let mut rank = vec![0; terms.len()];
        for (nth, (_, number)) in (0u32..).zip(&terms) {
            if let Some(rank) = rank.get_mut(*number as usize) {
                *rank = nth;
            }
        }
        let rank_of = |posting: &Posting| rank.get(posting.term as usize).copied();
        self.postings.sort_by_key(rank_of);
        let mut writer = IndexWriter::new(self.analyzer.language(), self.lengths);
        let mut rows = Vec::new();
        let same = |a: &Posting, b: &Posting| a.term == b.term;
        for ((term, _), postings) in terms.iter().zip(self.postings.chunk_by(same)) {
            rows.clear();
            rows.extend(postings.iter().map(|posting| (posting.row, posting.times)));
            writer.push(term.as_bytes(), &rows);
        }
        writer.finish()
    }

    fn finish_row(&mut self) {
        if self.row_terms.is_empty() {
            return;
        }
        self.lengths.resize(self.row as usize, 0);
        self.lengths.push(self.row_terms.len() as u16);
        self.row_terms.sort_unstable();
        for same in self.row_terms.chunk_by(|a, b| a == b) {
            let times = same.len() as u32;
            let posting = same.first().map(|&term| Posting { term, row: self.row, times });
            self.postings.extend(posting);
        }
        self.row_terms.clear();
    }
}
