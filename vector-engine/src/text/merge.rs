//! One index of the rows of several, without a look at their texts.

use super::TextIndex;
use super::dictionary::{Entry, Walk};
use super::index::{IndexWriter, corrupt};
use super::postings::END;
use crate::{Error, Result};

/// An index to merge, and what becomes of its rows.
#[derive(Debug, Clone, Copy)]
pub struct TextPart<'a> {
    /// The index.
    pub index: &'a TextIndex,
    /// The new row of each of its rows, [`TextPart::DROPPED`] for those that are left out. Rows that
    /// it does not reach are left out.
    pub rows: &'a [u32],
}

impl TextPart<'_> {
    /// Instead of a new row: the row is left out.
    pub const DROPPED: u32 = u32::MAX;
}

/// A part at the term it is at.
struct Source<'a> {
    part: TextPart<'a>,
    walk: Walk<'a>,
    entry: Option<Entry>,
}

impl TextIndex {
    /// The index of the rows of `parts` under their new numbers, in which terms that no row is left
    /// to have are gone. The parts are of one language, and no two rows become the same.
    pub fn merge(parts: &[TextPart<'_>]) -> Result<Self> {
        let language = parts.first().and_then(|part| part.index.language());
        if parts.iter().any(|part| part.index.language() != language || !part.index.is_current()) {
            return Err(Error::Invalid("text indexes of different analyzers do not merge".into()));
        }
        let mut writer = IndexWriter::new(language, lengths(parts)?);
        let mut sources = Vec::with_capacity(parts.len());
        for &part in parts {
            let mut walk = part.index.dictionary().walk();
            let entry = walk.next().map_err(corrupt)?;
            sources.push(Source { part, walk, entry });
        }
        let mut term = Vec::new();
        let mut rows: Vec<(u32, u32)> = Vec::new();
        loop {
            let at = sources.iter().filter(|source| source.entry.is_some());
            let Some(least) = at.map(|source| source.walk.term()).min() else { break };
            term.clear();
            term.extend_from_slice(least);
            rows.clear();
            for source in &mut sources {
                source.take(&term, &mut rows)?;
            }
            if !rows.is_sorted() {
                rows.sort_unstable();
            }
            if !rows.is_empty() {
                writer.push(&term, &rows);
            }
        }
        writer.finish()
    }
}

impl Source<'_> {
    /// Takes the rows of `term`, if it is the one it is at, and goes to the next.
    fn take(&mut self, term: &[u8], rows: &mut Vec<(u32, u32)>) -> Result<()> {
        let Some(entry) = self.entry.take_if(|_| self.walk.term() == term) else { return Ok(()) };
        let mut cursor =
            self.part.index.found(&entry).and_then(|found| found.cursor()).map_err(corrupt)?;
        while cursor.row < END {
            let row = self.part.rows.get(cursor.row as usize).copied();
            if self.part.index.length(cursor.row).is_none_or(|length| length == 0) {
                return Err(Error::Corrupt("text index: row without a length".into()));
            }
            rows.extend(row.filter(|&row| row < END).map(|row| (row, cursor.times)));
            cursor.advance().map_err(corrupt)?;
        }
        self.entry = self.walk.next().map_err(corrupt)?;
        if self.entry.is_some() && self.walk.term() <= term {
            return Err(Error::Corrupt("text index: order of the dictionary".into()));
        }
        Ok(())
    }
}

/// Terms of every new row.
fn lengths(parts: &[TextPart<'_>]) -> Result<Vec<u16>> {
    let mut lengths: Vec<u16> = Vec::new();
    for part in parts {
        for (old, &new) in (0..).zip(part.rows) {
            let length = part.index.length(old).unwrap_or_default();
            if length == 0 || new == TextPart::DROPPED {
                continue;
            }
            if lengths.len() <= new as usize {
                lengths.resize(new as usize + 1, 0);
            }
            let slot = lengths.get_mut(new as usize).filter(|slot| **slot == 0);
            let Some(slot) = slot else {
                return Err(Error::Invalid("two rows of a text index become the same".into()));
            };
            *slot = u16::try_from(length).unwrap_or(u16::MAX);
        }
    }
    Ok(lengths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Analyzer, Language, TextBuilder};

    fn built(analyzer: &Analyzer, texts: &[(u32, &str)]) -> TextIndex {
        let mut builder = TextBuilder::new(analyzer);
        for (row, text) in texts {
            builder.add(*row, text).unwrap();
        }
        builder.finish().unwrap()
    }

    #[test]
    fn a_merged_index_is_the_one_that_the_texts_give() {
        let analyzer = Analyzer::new(Some(Language::English));
        let first = built(&analyzer, &[(0, "red fish"), (1, "gone fishing"), (3, "blue sky")]);
        let second = built(&analyzer, &[(0, "red red wine"), (2, "the end")]);
        let none = built(&analyzer, &[]);
        let dropped = TextPart::DROPPED;
        let merged = TextIndex::merge(&[
            TextPart { index: &first, rows: &[4, dropped, 1, 0] },
            TextPart { index: &none, rows: &[] },
            TextPart { index: &second, rows: &[2, 3] },
        ])
        .unwrap();
        let expected = built(&analyzer, &[(0, "blue sky"), (2, "red red wine"), (4, "red fish")]);
        assert_eq!(merged.encode(), expected.encode());
        assert_eq!(TextIndex::merge(&[]).unwrap().terms(), 0);
    }

    #[test]
    fn a_merge_of_many_random_rows_is_the_one_that_the_texts_give() {
        let analyzer = Analyzer::new(None);
        let texts: Vec<String> =
            (0..900u32).map(|n| format!("w{} w{} all w{}", n % 7, n * n % 31, n % 400)).collect();
        let parts: Vec<TextIndex> = (0..3)
            .map(|part| {
                let own = (0..).zip(texts.iter().skip(part).step_by(3));
                let own: Vec<_> = own.map(|(row, text)| (row, text.as_str())).collect();
                built(&analyzer, &own)
            })
            .collect();
        let rows: Vec<Vec<u32>> = (0..3).map(|part| (part..900).step_by(3).collect()).collect();
        let parts: Vec<_> =
            parts.iter().zip(&rows).map(|(index, rows)| TextPart { index, rows }).collect();
        let all: Vec<_> = (0..).zip(&texts).map(|(row, text)| (row, text.as_str())).collect();
        let merged = TextIndex::merge(&parts).unwrap();
        assert_eq!(merged.encode(), built(&analyzer, &all).encode());
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let (standard, english) = (Analyzer::new(None), Analyzer::new(Some(Language::English)));
        let (one, other) = (built(&standard, &[(0, "a b")]), built(&english, &[(0, "dog")]));
        let cases = [
            [TextPart { index: &one, rows: &[0] }, TextPart { index: &other, rows: &[1] }],
            [TextPart { index: &one, rows: &[0] }, TextPart { index: &one, rows: &[0] }],
        ];
        for parts in cases {
            assert!(matches!(TextIndex::merge(&parts), Err(Error::Invalid(_))));
        }
    }
}
