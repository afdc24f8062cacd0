//! Columns from rows.

use std::collections::HashMap;

use super::section::{RowValues, SectionWriter};
use super::{Columns, HEADER_BYTES, MAGIC, OFFSET_BYTES, VERSION, term};
use crate::metadata::Metadata;

/// Takes the metadata of a segment's rows.
#[derive(Debug, Default)]
pub struct ColumnsBuilder {
    non_filterable: Vec<String>,
    keys: HashMap<String, KeyBuilder>,
    rows: u32,
    /// The term of the value being added.
    term: Vec<u8>,
}

#[derive(Debug, Default)]
struct KeyBuilder {
    present: Vec<u32>,
    /// Whether a row has more than one value.
    several: bool,
    terms: HashMap<Box<[u8]>, u32>,
    /// The value's place among `terms`, and the row: in one number, since they are sorted.
    postings: Vec<u64>,
}

impl ColumnsBuilder {
    /// For an index with these non-filterable keys, which are left out.
    pub fn new(non_filterable: &[String]) -> Self {
        Self { non_filterable: non_filterable.to_vec(), ..Self::default() }
    }

    /// Adds a row, best in ascending order. A row is added once.
    pub fn add(&mut self, row: u32, metadata: &Metadata) {
        for (name, field) in metadata.iter() {
            if self.non_filterable.iter().any(|other| other == name) {
                continue;
            }
            self.rows = self.rows.max(row.saturating_add(1));
            if !self.keys.contains_key(name) {
                self.keys.insert(name.to_owned(), KeyBuilder::default());
            }
            let Some(key) = self.keys.get_mut(name) else { continue };
            key.present.push(row);
            for (at, value) in field.scalars().enumerate() {
                key.several |= at > 0;
                self.term.clear();
                term::write(value, &mut self.term);
                key.add(row, &self.term);
            }
        }
    }

    /// The columns of what was added.
    pub fn finish(self) -> Columns {
        let mut keys: Vec<(String, KeyBuilder)> = self.keys.into_iter().collect();
        keys.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut bytes = Vec::new();
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&self.rows.to_le_bytes());
        bytes.extend_from_slice(&(keys.len() as u32).to_le_bytes());
        let count = keys.len();
        let sections_at = HEADER_BYTES + OFFSET_BYTES * count;
        let mut sections = Vec::new();
        for (name, key) in keys {
            bytes.extend_from_slice(&((sections_at + sections.len()) as u64).to_le_bytes());
            key.finish(&name, &mut sections);
        }
        bytes.append(&mut sections);
        Columns { bytes: bytes.into(), rows: self.rows, keys: count }
    }
}

impl KeyBuilder {
    fn add(&mut self, row: u32, term: &[u8]) {
        let id = match self.terms.get(term) {
            Some(id) => *id,
            None => {
                let id = self.terms.len() as u32;
                self.terms.insert(term.into(), id);
                id
            }
        };
        self.postings.push(u64::from(id) << u32::BITS | u64::from(row));
    }

    /// Appends the section.
    fn finish(mut self, name: &str, out: &mut Vec<u8>) {
        let mut writer = SectionWriter::default();
        self.present.sort_unstable();
        self.present.dedup();
        writer.push(term::PRESENT, &self.present);

        self.postings.sort_unstable();
        // A list may name a value twice.
        self.postings.dedup();
        let mut terms: Vec<(Box<[u8]>, u32)> = self.terms.into_iter().collect();
        terms.sort_unstable();
        let mut rows = Vec::new();
        for (term, id) in terms {
            let first = u64::from(id) << u32::BITS;
            let start = self.postings.partition_point(|posting| *posting < first);
            let of_term = self.postings.get(start..).unwrap_or_default().iter();
            rows.clear();
            rows.extend(
                of_term
                    .take_while(|posting| *posting >> u32::BITS == u64::from(id))
                    .map(|posting| *posting as u32),
            );
            writer.push(&term, &rows);
        }
        let values = if self.several { RowValues::Several } else { RowValues::AtMostOne };
        writer.finish(name, values, out);
    }
}
