//! Lodestore's vector engine: "here are vectors with metadata: find the nearest that match".
//!
//! What it guarantees:
//! - a write is acknowledged when it is durable and every later query sees it, whole;
//! - a query sees one state from its beginning to its end;
//! - a filter leaves exactly what matches, however few, and few are compared exactly;
//! - what was stored is verified when it is read, never served when it is not what was written.
//!
//! What it is not: it knows no HTTP, no bucket, no policy and no user. An index is one space of the
//! storage engine, which seals, journals, reclaims and scrubs all that lies in it.
//!
//! The life of a write: [`Index::put`] encodes a delta and seals it → the lane commits what waits as
//! one group → its rows become a chunk of the state that queries see → the caller is told. Later the
//! chunks become a sealed segment, and sealed segments are merged. The life of a query:
//! [`Index::query`] takes the state → a filter leaves rows of each segment → each segment is measured
//! exactly, scanned by codes, or walked along its graph → one round of reading gives exact distances →
//! the answer's rows are read.

mod builder;
mod cache;
mod chunk;
pub mod code;
mod codec;
mod columns;
mod delta;
mod engine;
mod error;
mod fetch;
mod filter;
mod fork;
mod fuse;
#[cfg(test)]
mod golden;
pub mod graph;
mod index;
pub mod kernel;
mod key_hash;
mod layout;
pub mod limits;
mod listing;
mod manifest;
mod matching;
mod member;
mod metadata;
mod metric;
mod metrics;
mod pace;
mod pages;
mod properties;
mod query;
mod recall;
mod row;
pub mod scan;
mod sealed;
mod search;
mod source;
mod state;
mod store;
pub mod text;
mod text_search;
mod upkeep;
mod verify;
mod wait;

pub use cache::CacheStats;
pub use columns::{Columns, ColumnsBuilder};
pub use engine::{EngineOptions, VectorEngine, VectorStats};
pub use error::{Error, Result};
pub use filter::{Filter, FilterLimits};
pub use fuse::{Fused, fuse};
pub use index::{Hold, Index, IndexStats, TextState};
pub use listing::{List, ListPage};
pub use metadata::{Field, Metadata, MetadataLimits, Number, Scalar, Scalars};
pub use metric::Metric;
pub use metrics::{Phase, Plan, QueryStats};
pub use query::{Answer, Explain, Explained, Hit, Query, QueryText, SegmentWork};
pub use recall::{QueryShare, RecallStats};
pub use row::{IndexSettings, NewRow, Owner, Row, TextField, Want};
pub use text::{
    Analyzer, FoundTerms, Language, Scope, TextBuilder, TextIndex, TextMatch, TextPart, TextQuery,
    TextStatistics, Weights,
};
pub use verify::{Verified, decode_record, verify};
