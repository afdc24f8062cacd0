//! Lodestore's vector engine: "here are vectors with metadata: find the nearest that match".

mod error;
mod fuse;
mod metric;
mod text;

pub use error::{Error, Result};
pub use fuse::{Fused, fuse};
pub use metric::Metric;
pub use text::{
    Analyzer, FoundTerms, Language, Scope, TextBuilder, TextIndex, TextMatch, TextPart, TextQuery,
    TextStatistics, Weights,
};
