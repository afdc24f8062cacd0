//! The rows that answer texts best, over all members: statistics are summed before anything is ranked.
//!
//! - A row's score does not depend on the segment it lies in.
//! - Rows that a filter leaves out and dead rows are not ranked, but count in the statistics until a
//!   compaction drops them.

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::error::{Error, Result};
use crate::fetch::Pick;
use crate::member::{Member, Rows};
use crate::query::QueryText;
use crate::row::IndexSettings;
use crate::text::{Scope, TextIndex, TextQuery, Weights};

/// The ranks of each text of a query.
#[derive(Debug, Default)]
pub(crate) struct TextRanks {
    ranks: Vec<TextRank>,
}

/// The rows that answer one text, best first.
#[derive(Debug)]
struct TextRank {
    key: String,
    rows: Vec<(usize, u32, f32)>,
    /// The same by member and row: each of thousands of hits asks.
    scores: HashMap<(usize, u32), f32>,
}

impl TextRanks {
    /// Members and rows of each list, best first.
    pub(crate) fn lists(&self) -> Vec<Vec<(usize, u32)>> {
        let rows = |rank: &TextRank| rank.rows.iter().map(|&(m, row, _)| (m, row)).collect();
        self.ranks.iter().map(rows).collect()
    }

    /// The scores of a row, by key, of the texts that it answers.
    pub(crate) fn scores_of(&self, pick: Pick) -> Vec<(String, f32)> {
        let score = |rank: &TextRank| {
            let score = rank.scores.get(&(pick.member, pick.row))?;
            Some((rank.key.clone(), *score))
        };
        self.ranks.iter().filter_map(score).collect()
    }
}

/// Ranks the rows of all members by each text.
pub(crate) fn rank_texts(
    members: &[&Member],
    matches: Option<&[RoaringBitmap]>,
    settings: &IndexSettings,
    texts: &[QueryText],
    keep: usize,
) -> Result<TextRanks> {
    let mut ranks = Vec::with_capacity(texts.len());
    for text in texts {
        let rows = rank_text(members, matches, settings, text, keep)?;
        let scores = rows.iter().map(|&(member, row, score)| ((member, row), score)).collect();
        ranks.push(TextRank { key: text.key.clone(), rows, scores });
    }
    Ok(TextRanks { ranks })
}

fn rank_text(
    members: &[&Member],
    matches: Option<&[RoaringBitmap]>,
    settings: &IndexSettings,
    text: &QueryText,
    keep: usize,
) -> Result<Vec<(usize, u32, f32)>> {
    let field = settings.text.iter().find(|field| field.key == text.key).ok_or_else(|| {
        Error::Invalid(format!("the metadata key {:?} is not configured for text search", text.key))
    })?;
    let query = TextQuery::new(&field.analyzer(), &text.text);
    let mut indexes: Vec<(usize, Arc<TextIndex>)> = Vec::with_capacity(members.len());
    for (number, member) in members.iter().enumerate() {
        let index = match &member.rows {
            Rows::Growing(chunk) => Some(chunk.text(field)?),
            Rows::Sealed(sealed) => sealed.text(field)?,
        };
        indexes.extend(index.map(|index| (number, index)));
    }
    let found: Result<Vec<_>> = indexes.iter().map(|(_, index)| index.find(&query)).collect();
    let found = found?;
    let weights = Weights::new(&query, &found);
    let mut rows = Vec::new();
    for ((number, _), found) in indexes.iter().zip(&found) {
        let Some(member) = members.get(*number) else { continue };
        let filter = matches.and_then(|matches| matches.get(*number));
        let scope = Scope { filter, dead: Some(&member.dead) };
        let best = found.best(&weights, scope, keep)?;
        rows.extend(best.into_iter().map(|found| (*number, found.row, found.score)));
    }
    let hash = |member: usize, row| members.get(member).map(|member| member.hash(row));
    rows.sort_by(|a, b| b.2.total_cmp(&a.2).then_with(|| hash(a.0, a.1).cmp(&hash(b.0, b.1))));
    rows.truncate(keep);
    Ok(rows)
}
