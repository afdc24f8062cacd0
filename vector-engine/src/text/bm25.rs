//! BM25: how well a row's text answers a query's.
//!
//! A row's score is the sum over the query's terms of
//! `idf * times * (k1 + 1) / (times + k1 * (1 - b + b * length / average length))`, with
//! `idf = ln(1 + (documents - rows + 0.5) / (rows + 0.5))`, `k1 = 1.2`, `b = 0.75`. The statistics are
//! sums over all indexes that are searched, and a row's terms are added in the query's order: a row
//! scores the same to the last bit whatever index it lies in.
//!
//! Rows are scored in windows, a term after the other. Once as many rows as wanted are kept, the
//! terms that together cannot lift a row over the least of those no longer lead to rows, they only
//! add to the rows that others lead to; what lies between is passed over by whole blocks.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use roaring::RoaringBitmap;
use storage_engine::format::Malformed;

use super::analyzer::Side;
use super::index::{FoundTerm, corrupt};
use super::postings::{Ceiling, Cursor, END};
use super::{Analyzer, QUERY_TERMS_MAX, TextIndex, TextStatistics};
use crate::Result;

/// How soon more of the same term stops to count.
const K1: f32 = 1.2;
/// How much long texts are held against their rows.
const B: f32 = 0.75;
/// Rows scored together: their scores fit the processor's first cache.
const WINDOW_ROWS: u32 = 1024;
/// Ceilings are computed in another order than scores: what rounding may make of the difference.
const CEILING_SLACK: f32 = 1.0001;

/// A text to look for: its different terms, each with how often it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextQuery {
    terms: Vec<(String, u32)>,
}

impl TextQuery {
    /// The query of a text, up to 1,024 different terms.
    pub fn new(analyzer: &Analyzer, text: &str) -> Self {
        let mut terms: Vec<(String, u32)> = Vec::new();
        analyzer.words(text, Side::Query, &mut String::new(), |word| {
            let Some(term) = analyzer.term(word) else { return };
            if let Some((_, times)) = terms.iter_mut().find(|(known, _)| *known == term) {
                *times = times.saturating_add(1);
            } else if terms.len() < QUERY_TERMS_MAX {
                terms.push((term.into_owned(), 1));
            }
        });
        Self { terms }
    }

    /// Whether it has no term, and so finds nothing: a text of stop words, or of no words.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Its different terms, in the order of the text.
    pub fn terms(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().map(|(term, _)| term.as_str())
    }
}

/// What the terms of a query weigh in one search.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    terms: Vec<f32>,
    /// The part of a row's length in its scores, for none and for each term of it.
    length_base: f32,
    length_step: f32,
}

impl Weights {
    /// From what all indexes that are searched found of the query.
    pub fn new(query: &TextQuery, found: &[FoundTerms<'_>]) -> Self {
        let mut statistics = TextStatistics::default();
        let mut rows = vec![0u64; query.terms.len()];
        for found in found {
            statistics += found.index.statistics();
            for (rows, term) in rows.iter_mut().zip(&found.terms) {
                *rows += term.map_or(0, |term| u64::from(term.rows));
            }
        }
        let documents = statistics.documents as f64;
        let weigh = |(&rows, (_, times)): (&u64, &(String, u32))| {
            let rows = rows as f64;
            let idf = (1.0 + (documents - rows + 0.5).max(0.0) / (rows + 0.5)).ln();
            (idf * f64::from(*times)) as f32
        };
        let average = statistics.tokens as f64 / documents.max(1.0);
        Self {
            terms: rows.iter().zip(&query.terms).map(weigh).collect(),
            length_base: K1 * (1.0 - B),
            length_step: (f64::from(K1 * B) / average.max(1.0)) as f32,
        }
    }

    #[inline]
    fn score(&self, weight: f32, times: u32, length: u32) -> f32 {
        let times = times as f32;
        let length = self.length_base + self.length_step * length as f32;
        weight * (times * (K1 + 1.0)) / (times + length)
    }

    fn ceiling(&self, weight: f32, ceiling: Ceiling) -> f32 {
        self.score(weight, ceiling.times, ceiling.length) * CEILING_SLACK
    }
}

/// The rows that a search may answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    /// Only these, if any are named.
    pub filter: Option<&'a RoaringBitmap>,
    /// Not these.
    pub dead: Option<&'a RoaringBitmap>,
}

impl Scope<'_> {
    fn has(&self, row: u32) -> bool {
        self.filter.is_none_or(|filter| filter.contains(row))
            && self.dead.is_none_or(|dead| !dead.contains(row))
    }
}

/// A row that has terms of a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextMatch {
    /// The row.
    pub row: u32,
    /// How well it answers: greater is better, above 0.
    pub score: f32,
}

impl Eq for TextMatch {}

impl PartialOrd for TextMatch {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TextMatch {
    /// The better one is greater; of equals, the row that comes first.
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.row.cmp(&self.row))
    }
}

/// What one index has of the terms of a query.
#[derive(Debug, Clone)]
pub struct FoundTerms<'a> {
    index: &'a TextIndex,
    terms: Vec<Option<FoundTerm<'a>>>,
}

impl<'a> FoundTerms<'a> {
    pub(super) fn new(index: &'a TextIndex, terms: Vec<Option<FoundTerm<'a>>>) -> Self {
        Self { index, terms }
    }

    /// Rows that have each term of the query, in the query's order, dead rows included.
    pub fn rows_of_terms(&self) -> impl Iterator<Item = u32> {
        self.terms.iter().map(|term| term.map_or(0, |term| term.rows))
    }

    /// The `keep` best rows within `scope`, best first; of equal ones, the first row first.
    ///
    /// To score known rows, name them in the scope and keep them all: rows that have no term of the
    /// query are not among the answers.
    pub fn best(&self, weights: &Weights, scope: Scope<'_>, keep: usize) -> Result<Vec<TextMatch>> {
        if keep == 0 {
            return Ok(Vec::new());
        }
        self.search(weights, scope, keep).map_err(corrupt)
    }

    fn search(
        &self,
        weights: &Weights,
        scope: Scope<'_>,
        keep: usize,
    ) -> Result<Vec<TextMatch>, Malformed> {
        let mut terms = Vec::new();
        for (found, &weight) in self.terms.iter().zip(&weights.terms) {
            if let Some(found) = found {
                let cursor = found.cursor()?;
                let ceiling = weights.ceiling(weight, cursor.ceiling);
                terms.push(Term { cursor, weight, ceiling });
            }
        }
        let mut leads = Leads::new(&terms);
        let mut window = Window::default();
        let mut allowed = scope.filter.map(RoaringBitmap::iter);
        let mut best: BinaryHeap<Reverse<TextMatch>> = BinaryHeap::new();
        let mut least = 0.0;
        loop {
            let mut row = leads.next_row(&terms, least);
            if let Some(allowed) = &mut allowed {
                allowed.advance_to(row);
                row = allowed.clone().next().unwrap_or(END);
            }
            if row == END {
                break;
            }
            let start = row - row % WINDOW_ROWS;
            for term in &mut terms {
                term.cursor.advance_to(row)?;
                window.add(self.index, weights, term, start)?;
            }
            window.take(|nth, score| {
                let found = TextMatch { row: start + nth, score };
                if score <= least || !scope.has(found.row) {
                    return;
                }
                if best.len() == keep {
                    best.pop();
                }
                best.push(Reverse(found));
                if best.len() == keep {
                    least = best.peek().map_or(0.0, |Reverse(last)| last.score);
                }
            });
        }
        Ok(best.into_sorted_vec().into_iter().map(|Reverse(found)| found).collect())
    }
}

/// A term of a query within an index.
struct Term<'a> {
    cursor: Cursor<'a>,
    weight: f32,
    /// The most that it adds to a row's score.
    ceiling: f32,
}

/// Which terms lead to rows: all but the weakest ones that together do not reach the least score
/// that is wanted.
struct Leads {
    /// Terms, the weakest first.
    order: Vec<usize>,
    /// How many of those no longer lead.
    followers: usize,
    /// What these reach together.
    reach: f32,
}

impl Leads {
    fn new(terms: &[Term<'_>]) -> Self {
        let mut order: Vec<usize> = (0..terms.len()).collect();
        let ceiling = |&nth: &usize| terms.get(nth).map_or(0.0, |term| term.ceiling);
        order.sort_by(|a, b| ceiling(a).total_cmp(&ceiling(b)));
        Self { order, followers: 0, reach: 0.0 }
    }

    /// The first row that may score above `least`.
    fn next_row(&mut self, terms: &[Term<'_>], least: f32) -> u32 {
        while let Some(weakest) = self.order.get(self.followers).and_then(|&nth| terms.get(nth)) {
            if self.reach + weakest.ceiling > least {
                break;
            }
            self.reach += weakest.ceiling;
            self.followers += 1;
        }
        let leading = self.order.iter().skip(self.followers).filter_map(|&nth| terms.get(nth));
        leading.map(|term| term.cursor.row).min().unwrap_or(END)
    }
}

/// Scores of neighbouring rows.
struct Window {
    scores: [f32; WINDOW_ROWS as usize],
    /// A bit for each row that has a score.
    scored: [u64; WINDOW_ROWS as usize / 64],
}

impl Default for Window {
    fn default() -> Self {
        Self { scores: [0.0; WINDOW_ROWS as usize], scored: [0; WINDOW_ROWS as usize / 64] }
    }
}

impl Window {
    /// Adds what a term gives to the rows of the window from `start`; leaves it behind them.
    fn add(
        &mut self,
        index: &TextIndex,
        weights: &Weights,
        term: &mut Term<'_>,
        start: u32,
    ) -> Result<(), Malformed> {
        let cursor = &mut term.cursor;
        while cursor.row < END {
            let nth = (cursor.row - start) as usize;
            let Some(score) = self.scores.get_mut(nth) else { break };
            let length = index.length(cursor.row).filter(|&length| length > 0);
            let length = length.ok_or(Malformed::new("text index: row without a length"))?;
            *score += weights.score(term.weight, cursor.times, length);
            if let Some(word) = self.scored.get_mut(nth / 64) {
                *word |= 1 << (nth % 64);
            }
            cursor.advance()?;
        }
        Ok(())
    }

    /// Shows the scores, in the order of the rows, and forgets them.
    fn take(&mut self, mut each: impl FnMut(u32, f32)) {
        let words = self.scores.chunks_exact_mut(64).zip(&mut self.scored);
        for (first, (scores, scored)) in (0..).step_by(64).zip(words) {
            while *scored != 0 {
                let bit = scored.trailing_zeros();
                *scored &= *scored - 1;
                if let Some(score) = scores.get_mut(bit as usize) {
                    each(first + bit, std::mem::take(score));
                }
            }
        }
    }
}
