//! Lodestore's vector engine: "here are vectors with metadata: find the nearest that match".

pub mod code;
mod error;
pub mod graph;
pub mod kernel;
mod metric;
pub mod scan;

pub use error::{Error, Result};
pub use metric::Metric;
