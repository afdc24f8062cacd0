//! Rows and the settings of an index, as its owner gives and hears them.

use crate::error::Result;
use crate::metadata::{Metadata, Scalar};
use crate::metric::Metric;
use crate::text::{Analyzer, Language, TextBuilder};

/// What an index is made with. Dimension and metric never change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSettings {
    /// Components of each vector.
    pub dimension: usize,
    /// How distance is measured.
    pub metric: Metric,
    /// Metadata keys that cannot be filtered by.
    pub non_filterable: Vec<String>,
    /// Metadata keys that can be searched as text.
    pub text: Vec<TextField>,
}

/// A metadata key that is searched as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextField {
    /// The key.
    pub key: String,
    /// The language of its analyzer; none: words as they are.
    pub language: Option<Language>,
}

/// A row to put.
#[derive(Debug, Clone)]
pub struct NewRow {
    /// Its name within the index.
    pub key: String,
    /// Its vector, of the index's dimension; every component is finite.
    pub vector: Vec<f32>,
    /// Its document.
    pub metadata: Metadata,
}

/// A row as it is read. What was not asked for is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name within the index.
    pub key: String,
    /// Its vector.
    pub vector: Option<Vec<f32>>,
    /// Its document.
    pub metadata: Option<Metadata>,
}

/// What of a row is wanted besides its key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Want {
    /// The vector.
    pub data: bool,
    /// The document.
    pub metadata: bool,
}

/// Whose rows these are: a row with an owner is changed only by that owner's writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner(pub [u8; 16]);

impl TextField {
    /// What the part of a segment that holds its index is called: another language is another part.
    pub(crate) fn part_name(&self) -> String {
        format!("{}/{}", self.language.map_or("-", Language::code), self.key)
    }

    /// What makes its texts terms.
    pub(crate) fn analyzer(&self) -> Analyzer {
        Analyzer::new(self.language)
    }

    /// Gives the texts of a row to a builder of its index.
    pub(crate) fn add(
        &self,
        builder: &mut TextBuilder<'_>,
        row: u32,
        metadata: &Metadata,
    ) -> Result<()> {
        let Some(field) = metadata.get(&self.key) else { return Ok(()) };
        for scalar in field.scalars() {
            if let Scalar::String(text) = scalar {
                builder.add(row, text)?;
            }
        }
        Ok(())
    }
}
