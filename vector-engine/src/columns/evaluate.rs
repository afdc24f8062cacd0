//! A filter's rows by way of columns.

use roaring::RoaringBitmap;

use super::postings::Union;
use super::section::{RowValues, Section, TermRange};
use super::{Columns, term};
use crate::Result;
use crate::filter::{Comparison, Literal, Node, Test};
use crate::metadata::Number;

/// Rows, told by those in it or by those not in it.
#[derive(Debug)]
pub(super) enum Rows {
    Only(RoaringBitmap),
    AllBut(RoaringBitmap),
}

impl Rows {
    /// Those of `0..rows`.
    pub(super) fn within(self, rows: u32) -> RoaringBitmap {
        match self {
            Self::Only(only) => only,
            Self::AllBut(but) => {
                let mut all = RoaringBitmap::new();
                all.insert_range(0..rows);
                all - but
            }
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(a), Self::Only(b)) => Self::Only(a & b),
            (Self::Only(only), Self::AllBut(but)) | (Self::AllBut(but), Self::Only(only)) => {
                Self::Only(only - but)
            }
            (Self::AllBut(a), Self::AllBut(b)) => Self::AllBut(a | b),
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(a), Self::Only(b)) => Self::Only(a | b),
            (Self::Only(only), Self::AllBut(but)) | (Self::AllBut(but), Self::Only(only)) => {
                Self::AllBut(but - only)
            }
            (Self::AllBut(a), Self::AllBut(b)) => Self::AllBut(a & b),
        }
    }

    fn is_none(&self) -> bool {
        matches!(self, Self::Only(only) if only.is_empty())
    }
}

/// The rows that pass. As deep as the filter.
pub(super) fn matches(columns: &Columns, node: &Node) -> Result<Rows> {
    match node {
        Node::And(parts) => {
            let mut all = Rows::AllBut(RoaringBitmap::new());
            for part in cheapest_first(columns, parts)? {
                all = all.and(part.matches(columns)?);
                if all.is_none() {
                    break;
                }
            }
            Ok(all)
        }
        Node::Or(parts) => {
            let mut any = Rows::Only(RoaringBitmap::new());
            for part in parts {
                any = any.or(matches(columns, part)?);
            }
            Ok(any)
        }
        Node::Key { key, test } => {
            let section = columns.section(key)?;
            rows_of(section.as_ref(), test, columns.rows)
        }
    }
}

/// A part of an `And`.
enum Part<'a> {
    Node(&'a Node),
    /// Comparisons of one key.
    Range {
        key: &'a str,
        range: TermRange,
    },
}

impl Part<'_> {
    fn matches(&self, columns: &Columns) -> Result<Rows> {
        match self {
            Self::Node(node) => matches(columns, node),
            Self::Range { key, range } => {
                let mut union = Union::new(columns.rows);
                if let Some(section) = columns.section(key)? {
                    section.add_range(range, &mut union)?;
                }
                Ok(Rows::Only(union.finish()))
            }
        }
    }

    fn estimate(&self, columns: &Columns, rows: u64) -> Result<u64> {
        match self {
            Self::Node(node) => estimate(columns, node, rows),
            Self::Range { key, range } => {
                let section = columns.section(key)?;
                section.map_or(Ok(0), |section| section.count_range(range)).map(|sum| sum.min(rows))
            }
        }
    }
}

/// The parts, comparisons of a key that has one value a row brought together: the two ends of a
/// narrow range would each be most of the rows. Of several values each may meet another end.
fn parts_of<'a>(columns: &Columns, nodes: &'a [Node]) -> Result<Vec<Part<'a>>> {
    let mut parts: Vec<Part<'a>> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Node::Key { key, test: Test::Compare { comparison, with } } = node else {
            parts.push(Part::Node(node));
            continue;
        };
        let with = numbers(*comparison, *with);
        let known = parts.iter_mut().find_map(|part| match part {
            Part::Range { key: other, range } if other == key => Some(range),
            _ => None,
        });
        if let Some(range) = known {
            range.narrow(with);
            continue;
        }
        let section = columns.section(key)?;
        let one = section.is_none_or(|section| section.row_values() == RowValues::AtMostOne);
        parts.push(if one { Part::Range { key, range: with } } else { Part::Node(node) });
    }
    Ok(parts)
}

fn cheapest_first<'a>(columns: &Columns, nodes: &'a [Node]) -> Result<Vec<Part<'a>>> {
    let mut costed = Vec::with_capacity(nodes.len());
    for part in parts_of(columns, nodes)? {
        costed.push((part.estimate(columns, u64::from(columns.rows))?, part));
    }
    costed.sort_by_key(|(cost, _)| *cost);
    Ok(costed.into_iter().map(|(_, part)| part).collect())
}

fn rows_of(section: Option<&Section<'_>>, test: &Test, rows: u32) -> Result<Rows> {
    let mut union = Union::new(rows);
    if let Some(section) = section {
        match Lookup::of(test) {
            Lookup::Terms(terms) => {
                for term in terms {
                    if let Some(postings) = section.get(&term)? {
                        postings.add_to(&mut union)?;
                    }
                }
            }
            Lookup::Range(range) => section.add_range(&range, &mut union)?,
        }
    }
    let found = union.finish();
    Ok(if negates(test) { Rows::AllBut(found) } else { Rows::Only(found) })
}

/// Whether a test passes where what it looks up is not.
fn negates(test: &Test) -> bool {
    match test {
        Test::NotIn(_) | Test::Missing => true,
        Test::In(_) | Test::Compare { .. } | Test::StartsWith(_) | Test::Exists => false,
    }
}

/// What to look up among a key's values.
enum Lookup {
    Terms(Vec<Vec<u8>>),
    Range(TermRange),
}

impl Lookup {
    fn of(test: &Test) -> Self {
        match test {
            Test::In(literals) | Test::NotIn(literals) => Self::Terms(terms_of(literals)),
            Test::Exists | Test::Missing => Self::Terms(vec![term::PRESENT.to_vec()]),
            Test::StartsWith(prefix) => {
                let from = [term::STRINGS, prefix.as_bytes()].concat();
                let to = term::after_prefix(&from);
                Self::Range(TermRange { from, to })
            }
            Test::Compare { comparison, with } => Self::Range(numbers(*comparison, *with)),
        }
    }
}

/// Each once: `$in` may name a value twice.
fn terms_of(literals: &[Literal]) -> Vec<Vec<u8>> {
    let mut terms: Vec<Vec<u8>> =
        literals.iter().map(|literal| term::of(literal.scalar())).collect();
    terms.sort_unstable();
    terms.dedup();
    terms
}

fn numbers(comparison: Comparison, with: Number) -> TermRange {
    let at = term::of_number(with).to_vec();
    // All numbers' terms are of one length: nothing lies between one and itself with a byte more.
    let after = [at.as_slice(), &[0]].concat();
    let (from, to) = match comparison {
        Comparison::Greater => (after, term::STRINGS.to_vec()),
        Comparison::GreaterOrEqual => (at, term::STRINGS.to_vec()),
        Comparison::Less => (term::NUMBERS.to_vec(), at),
        Comparison::LessOrEqual => (term::NUMBERS.to_vec(), after),
    };
    TermRange { from, to: Some(to) }
}

/// At most so many of `rows` rows pass. As deep as the filter.
pub(super) fn estimate(columns: &Columns, node: &Node, rows: u64) -> Result<u64> {
    match node {
        Node::And(nodes) => {
            let mut least = rows;
            for part in parts_of(columns, nodes)? {
                least = least.min(part.estimate(columns, rows)?);
            }
            Ok(least)
        }
        Node::Or(nodes) => {
            let mut sum = 0u64;
            for node in nodes {
                sum = sum.saturating_add(estimate(columns, node, rows)?);
            }
            Ok(sum.min(rows))
        }
        Node::Key { key, test } => estimate_of(columns, key, test, rows),
    }
}

fn estimate_of(columns: &Columns, key: &str, test: &Test, rows: u64) -> Result<u64> {
    let (mut sum, mut largest) = (0u64, 0);
    if let Some(section) = columns.section(key)? {
        match Lookup::of(test) {
            Lookup::Terms(terms) => {
                for term in terms {
                    let count = section.get(&term)?.map_or(0, |postings| postings.count);
                    sum = sum.saturating_add(count);
                    largest = largest.max(count);
                }
            }
            Lookup::Range(range) => sum = section.count_range(&range)?,
        }
    }
    Ok(if negates(test) { rows.saturating_sub(largest) } else { sum.min(rows) })
}
