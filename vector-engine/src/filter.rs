//! A filter over metadata: Amazon S3 Vectors' language, parsed once, asked of rows or columns.
//!
//! [`Filter::matches`] is what a filter means; `Columns::matches` answers the same for a whole
//! segment. Each test looks at one key of a row, whose values are those of its list or its one:
//!
//! | test | true when |
//! |---|---|
//! | `$eq`, `$in` | any value is one of those named |
//! | `$ne`, `$nin` | no value is one of those named; so also without the key |
//! | `$gt`, `$gte`, `$lt`, `$lte` | any value is a number so placed |
//! | `$startsWith` | any value is a string that begins so |
//! | `$exists` | the key is there, be its list empty; or is not |

use std::collections::BTreeSet;

use serde_json::Value;

use crate::metadata::{Metadata, Number, Scalar};
use crate::{Error, Result};

mod canonical;
mod parse;
#[cfg(test)]
mod tests;

/// What a filter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterLimits {
    /// How many values it may name, as Amazon S3 Vectors counts constraints: each value of `$in`
    /// and `$nin`, one for any other test, nothing for `$and` and `$or`.
    pub constraints: usize,
    /// How many `$and` and `$or` may lie in one another. Evaluation recurses this deep.
    pub depth: usize,
}

impl Default for FilterLimits {
    /// Amazon's hundred constraints. It tells no depth; a hundred constraints fill no tree that
    /// needs more than this.
    fn default() -> Self {
        Self { constraints: 100, depth: 32 }
    }
}

/// A parsed filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    pub(crate) root: Node,
    constraints: usize,
}

/// A part of a filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// All of them; never empty, and none of them an `And`.
    And(Vec<Node>),
    /// Any of them; never empty.
    Or(Vec<Node>),
    /// One test of one key.
    Key { key: String, test: Test },
}

/// What is asked of a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    In(Vec<Literal>),
    NotIn(Vec<Literal>),
    Compare { comparison: Comparison, with: Number },
    StartsWith(String),
    Exists,
    Missing,
}

/// How a number lies to the one named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    fn holds(self, value: Number, with: Number) -> bool {
        match self {
            Self::Greater => value > with,
            Self::GreaterOrEqual => value >= with,
            Self::Less => value < with,
            Self::LessOrEqual => value <= with,
        }
    }
}

/// A value that a filter names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Boolean(bool),
    Number(Number),
    String(String),
}

impl Literal {
    pub(crate) fn scalar(&self) -> Scalar<'_> {
        match self {
            Self::Boolean(value) => Scalar::Boolean(*value),
            Self::Number(number) => Scalar::Number(*number),
            Self::String(text) => Scalar::String(text),
        }
    }
}

impl From<Scalar<'_>> for Literal {
    fn from(scalar: Scalar<'_>) -> Self {
        match scalar {
            Scalar::Boolean(value) => Self::Boolean(value),
            Scalar::Number(number) => Self::Number(number),
            Scalar::String(text) => Self::String(text.to_owned()),
        }
    }
}

impl Filter {
    /// Parses the document of a request. The refusal's text is for the caller.
    pub fn parse(document: &Value, limits: &FilterLimits) -> Result<Self> {
        parse::parse(document, limits)
    }

    /// The keys it looks at.
    pub fn keys(&self) -> BTreeSet<&str> {
        let mut keys = BTreeSet::new();
        self.root.visit(&mut |key, _| {
            keys.insert(key);
        });
        keys
    }

    /// Refuses a filter that looks at one of `non_filterable`.
    pub fn check_keys(&self, non_filterable: &[String]) -> Result<()> {
        match self.keys().into_iter().find(|key| non_filterable.iter().any(|other| other == key)) {
            Some(key) => Err(Error::Invalid(format!(
                "Invalid use of non-filterable metadata in filter: key '{key}'"
            ))),
            None => Ok(()),
        }
    }

    /// How many constraints it has (see [`FilterLimits::constraints`]).
    pub fn constraints(&self) -> usize {
        self.constraints
    }

    /// Whether it asks what only the index mode ENHANCED answers.
    pub fn needs_enhanced(&self) -> bool {
        let mut needs = false;
        self.root.visit(&mut |_, test| needs |= matches!(test, Test::StartsWith(_)));
        needs
    }

    /// Bytes that are the same for filters that differ in the order of keys, values and parts
    /// only, and in the form of numbers: what a page token's hash covers.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        canonical::bytes(&self.root)
    }

    /// Whether a row with this metadata passes.
    pub fn matches(&self, metadata: &Metadata) -> bool {
        self.root.matches(metadata)
    }
}

impl Node {
    fn visit<'a>(&'a self, each: &mut impl FnMut(&'a str, &'a Test)) {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.visit(each)),
            Self::Key { key, test } => each(key, test),
        }
    }

    fn matches(&self, metadata: &Metadata) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.matches(metadata)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(metadata)),
            Self::Key { key, test } => test.matches(metadata, key),
        }
    }
}

impl Test {
    fn matches(&self, metadata: &Metadata, key: &str) -> bool {
        let field = metadata.get(key);
        let any = |holds: &dyn Fn(Scalar<'_>) -> bool| {
            field.is_some_and(|field| field.scalars().any(holds))
        };
        match self {
            Self::In(literals) => any(&|value| names(literals, value)),
            Self::NotIn(literals) => !any(&|value| names(literals, value)),
            Self::Compare { comparison, with } => any(&|value| match value {
                Scalar::Number(number) => comparison.holds(number, *with),
                Scalar::Boolean(_) | Scalar::String(_) => false,
            }),
            Self::StartsWith(prefix) => any(&|value| match value {
                Scalar::String(text) => text.starts_with(prefix.as_str()),
                Scalar::Boolean(_) | Scalar::Number(_) => false,
            }),
            Self::Exists => field.is_some(),
            Self::Missing => field.is_none(),
        }
    }
}

fn names(literals: &[Literal], value: Scalar<'_>) -> bool {
    literals.iter().any(|literal| literal.scalar() == value)
}
