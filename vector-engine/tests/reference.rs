//! What an index must answer, by the simplest means.

use std::collections::BTreeMap;

use serde_json::Value;
use vector_engine::{Filter, Metadata, Metric};

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReferenceRow {
    pub(crate) vector: Vec<f32>,
    pub(crate) metadata: Metadata,
}

/// The rows by key.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reference {
    pub(crate) rows: BTreeMap<String, ReferenceRow>,
}

impl Reference {
    /// Keys and ordering distances of all rows that match, nearest first.
    pub(crate) fn nearest(
        &self,
        metric: Metric,
        query: &[f32],
        filter: Option<&Filter>,
    ) -> Vec<(String, f64)> {
        let matches = |row: &ReferenceRow| filter.is_none_or(|f| f.matches(&row.metadata));
        let rows = self.rows.iter().filter(|(_, row)| matches(row));
        let mut all: Vec<(String, f64)> =
            rows.map(|(key, row)| (key.clone(), distance(metric, query, &row.vector))).collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1));
        all
    }
}

/// The distance that is told.
pub(crate) fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let pairs = || a.iter().zip(b).map(|(x, y)| (f64::from(*x), f64::from(*y)));
    let dot: f64 = pairs().map(|(x, y)| x * y).sum();
    let square = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    match metric {
        Metric::Euclidean => pairs().map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt(),
        Metric::Cosine => 1.0 - dot / (square(a) * square(b)),
        Metric::InnerProduct => -dot,
    }
}

/// A document.
pub(crate) fn metadata(json: &Value) -> Metadata {
    Metadata::from_json(json, &[], &vector_engine::MetadataLimits::default()).unwrap()
}

/// A filter.
pub(crate) fn filter(json: &Value) -> Filter {
    Filter::parse(json, &vector_engine::FilterLimits::default()).unwrap()
}
