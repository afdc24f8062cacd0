//! Lodestore's vector engine: "here are vectors with metadata: find the nearest that match".

mod error;
mod metric;

pub use error::{Error, Result};
pub use metric::Metric;
