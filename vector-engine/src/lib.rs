//! Lodestore's vector engine: "here are vectors with metadata: find the nearest that match".

mod columns;
mod error;
mod filter;
mod metadata;
mod metric;

pub use columns::{Columns, ColumnsBuilder};
pub use error::{Error, Result};
pub use filter::{Filter, FilterLimits};
pub use metadata::{Field, Metadata, MetadataLimits, Number, Scalar, Scalars};
pub use metric::Metric;
