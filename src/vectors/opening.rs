//! Opening vector indexes at start, so that the first query of each finds its codes in memory and its
//! last writes read.
//!
//! - One after the other, beside requests: who asks for one meanwhile waits for that one alone.
//! - As many as fit a budget of memory; the rest are opened when they are asked for.

use super::error::Result;
use super::record::{IndexRecord, Record as _};
use super::service::Service;
use crate::catalog::{Catalog, Kind};

impl Service {
    /// Opens indexes until those that are open take `memory_bytes`. One that cannot be opened is
    /// logged and left: it says so again to who asks for it.
    pub async fn open_indexes(&self, catalog: &Catalog, memory_bytes: u64) {
        for record in catalog.all(Kind::VectorIndex) {
            if self.stats().indexes.memory_bytes >= memory_bytes {
                tracing::info!("further vector indexes are opened when they are asked for");
                return;
            }
            if let Err(error) = self.open_index(&record.name, &record.bytes).await {
                let why = error.message;
                tracing::warn!(index = record.name, why, "vector index is not opened");
            }
        }
    }

    async fn open_index(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.rows(&IndexRecord::decode(name, bytes)?).await.map(drop)
    }
}
