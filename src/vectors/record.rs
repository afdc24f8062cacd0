//! The catalog records of vector buckets and indexes: JSON, with a format version each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use storage_engine::SpaceId;
use vector_engine::{IndexSettings, Language, TextField};

use super::error::{Failure, Result};

/// Tags, by key.
pub(super) type Tags = BTreeMap<String, String>;

/// A vector bucket's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BucketRecord {
    /// Format version of the record.
    pub(super) format: u32,
    /// Name.
    pub(super) name: String,
    /// Name of the principal that owns it and all in it.
    pub(super) owner: String,
    /// When it was made, ms since 1970.
    pub(super) created_ms: u64,
    /// Tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tags: Tags,
    /// Policy, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<String>,
    /// Space with a name for each index: a bucket goes with it, and so only when it is empty.
    pub(super) indexes: u32,
}

/// An index's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IndexRecord {
    /// Format version of the record.
    pub(super) format: u32,
    /// Name of its bucket.
    pub(super) bucket: String,
    /// Name.
    pub(super) name: String,
    /// When it was made, ms since 1970.
    pub(super) created_ms: u64,
    /// Components of each vector.
    pub(super) dimension: usize,
    /// How distance is measured.
    pub(super) metric: Metric,
    /// Metadata keys that cannot be filtered by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) non_filterable: Vec<String>,
    /// Metadata keys that are searched as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) text: Vec<TextConfiguration>,
    /// Tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tags: Tags,
    /// True once rows of it may be bound to objects. Never taken away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) bound: bool,
    /// Space of its rows.
    pub(super) space: u32,
}

/// A metadata key that is searched as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TextConfiguration {
    /// The key.
    pub(super) key: String,
    /// Code of its language; none: words as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) language: Option<String>,
}

/// How distance is measured, by the names of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Metric {
    /// Straight-line distance.
    Euclidean,
    /// 1 - cosine.
    Cosine,
    /// Negated inner product; not on AWS.
    InnerProduct,
}

/// A record of the catalog.
pub(super) trait Record: Serialize + for<'de> Deserialize<'de> {
    /// The format version that this software writes, and the only one it reads.
    const FORMAT: u32 = 1;

    /// The format version of a record that was read.
    fn format(&self) -> u32;

    /// As the catalog keeps it.
    fn encode(&self) -> Result<bytes::Bytes> {
        serde_json::to_vec(self).map(bytes::Bytes::from).map_err(|error| {
            tracing::error!(%error, "a record of the vector service cannot be written");
            Failure::internal()
        })
    }

    /// As it was read from the catalog.
    fn decode(name: &str, bytes: &[u8]) -> Result<Self> {
        let unreadable = |error: &dyn std::fmt::Display| {
            tracing::error!(name, %error, "a record of the vector service cannot be read");
            Failure::internal()
        };
        let record: Self = serde_json::from_slice(bytes).map_err(|error| unreadable(&error))?;
        if record.format() != Self::FORMAT {
            return Err(unreadable(&format!("its format is {}", record.format())));
        }
        Ok(record)
    }
}

impl Record for BucketRecord {
    fn format(&self) -> u32 {
        self.format
    }
}

impl Record for IndexRecord {
    fn format(&self) -> u32 {
        self.format
    }
}

impl BucketRecord {
    /// Space with a name for each index.
    pub(super) fn indexes(&self) -> SpaceId {
        SpaceId(self.indexes)
    }
}

impl IndexRecord {
    /// Space of its rows.
    pub(super) fn space(&self) -> SpaceId {
        SpaceId(self.space)
    }

    /// What the vector engine has to know of it.
    pub(super) fn settings(&self) -> IndexSettings {
        IndexSettings {
            dimension: self.dimension,
            metric: self.metric.into(),
            non_filterable: self.non_filterable.clone(),
            text: self.text_fields(),
        }
    }

    /// The keys that are searched as text.
    pub(super) fn text_fields(&self) -> Vec<TextField> {
        self.text.iter().map(TextConfiguration::field).collect()
    }
}

impl TextConfiguration {
    /// As the vector engine knows it.
    pub(super) fn field(&self) -> TextField {
        // It was checked when it was written.
        let language = self.language.as_deref().and_then(|code| code.parse::<Language>().ok());
        TextField { key: self.key.clone(), language }
    }
}

impl Metric {
    /// Reads its name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Euclidean, Self::Cosine, Self::InnerProduct]
            .into_iter()
            .find(|metric| metric.name() == text)
    }

    /// Its name in the API.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Euclidean => "euclidean",
            Self::Cosine => "cosine",
            Self::InnerProduct => "innerProduct",
        }
    }
}

impl From<Metric> for vector_engine::Metric {
    fn from(metric: Metric) -> Self {
        match metric {
            Metric::Euclidean => Self::Euclidean,
            Metric::Cosine => Self::Cosine,
            Metric::InnerProduct => Self::InnerProduct,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_and_those_of_another_format_do_not() {
        let record = IndexRecord {
            format: IndexRecord::FORMAT,
            bucket: "abc".into(),
            name: "xyz".into(),
            created_ms: 7,
            dimension: 3,
            metric: Metric::InnerProduct,
            non_filterable: vec!["raw".into()],
            text: vec![TextConfiguration { key: "raw".into(), language: Some("en".into()) }],
            tags: Tags::from([("a".into(), "b".into())]),
            bound: true,
            space: 9,
        };
        let bytes = record.encode().unwrap();
        assert_eq!(IndexRecord::decode("n", &bytes).unwrap(), record);
        assert_eq!(record.text_fields()[0].language, Some(Language::English));
        let later = IndexRecord { format: 2, ..record };
        assert!(IndexRecord::decode("n", &later.encode().unwrap()).is_err());
        assert!(BucketRecord::decode("n", b"{}").is_err());
    }

    #[test]
    fn metrics_have_their_names() {
        for metric in [Metric::Euclidean, Metric::Cosine, Metric::InnerProduct] {
            assert_eq!(Metric::parse(metric.name()), Some(metric));
        }
        assert_eq!(Metric::parse("COSINE"), None);
    }
}
