//! Verifies what a store holds of vectors: every index of the catalog, with all its records.

use storage_engine::{Engine, Result};
use vector_engine::Error as VectorError;

use super::record::{IndexRecord, Record};
use crate::catalog::{Catalog, CatalogRecord, Kind};

/// What verifying all indexes went through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Vector indexes.
    pub indexes: u64,
    /// Their sealed segments.
    pub segments: u64,
    /// The rows of those, the dead ones too.
    pub rows: u64,
    /// Writes that are in no sealed segment yet.
    pub deltas: u64,
    /// What is wrong, in words.
    pub findings: Vec<String>,
}

/// Verifies every vector index. Blocks until all of them were read.
pub fn verify(engine: &Engine, catalog: &Catalog) -> Result<Verified> {
    let mut verified = Verified::default();
    for record in catalog.all(Kind::VectorIndex) {
        verified.index(engine, &record)?;
    }
    Ok(verified)
}

impl Verified {
    fn index(&mut self, engine: &Engine, record: &CatalogRecord) -> Result<()> {
        self.indexes += 1;
        let name = &record.name;
        let Ok(index) = IndexRecord::decode(name, &record.bytes) else {
            self.findings.push(format!("vector index {name}: its record cannot be read"));
            return Ok(());
        };
        match vector_engine::verify(engine, index.space(), &index.settings()) {
            Ok(found) => {
                self.segments += found.segments;
                self.rows += found.rows;
                self.deltas += found.deltas;
                let of_index = |what| format!("vector index {name}: {what}");
                self.findings.extend(found.findings.into_iter().map(of_index));
            }
            Err(VectorError::NotFound) => {
                self.findings.push(format!("vector index {name}: its space is not there"));
            }
            Err(VectorError::Storage(error)) => return Err(error),
            Err(error) => self.findings.push(format!("vector index {name}: {error}")),
        }
        Ok(())
    }
}
