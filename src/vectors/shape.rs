//! The inputs of the operations as their bodies have them. What is missing or out of range is for the
//! operation to refuse; here a body is only refused when its types are not those of the model.
//!
//! Members that Amazon S3 Vectors does not have are marked so; its clients never send them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::check::Check;
use super::error::{Failure, Kind, Result};
use super::json::{Floats, List};
use super::packed::{Bytes, PackedFloats, PackedHalves};

/// Reads the body of an operation; no body is an object without members.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    let body = if body.iter().all(u8::is_ascii_whitespace) { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        // The parser's own words may quote what was sent, however long.
        let what = match error.classify() {
            serde_json::error::Category::Data => "a member does not have its type",
            _ => "it is not JSON",
        };
        let (line, column) = (error.line(), error.column());
        let message = format!("The body cannot be read: {what}, line {line} column {column}");
        Failure::new(Kind::Serialization, message)
    })
}

/// `encryptionConfiguration`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Encryption {
    pub(super) sse_type: Option<String>,
    pub(super) kms_key_arn: Option<String>,
}

/// `tags`
pub(super) type Tags = BTreeMap<String, String>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateVectorBucket {
    pub(super) vector_bucket_name: Option<String>,
    pub(super) encryption_configuration: Option<Encryption>,
    pub(super) tags: Option<Tags>,
}

/// The input of what needs a bucket's name and nothing else.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfBucket {
    pub(super) vector_bucket_name: Option<String>,
    pub(super) vector_bucket_arn: Option<String>,
}

/// The input of what needs an index's name and nothing else.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfIndex {
    pub(super) vector_bucket_name: Option<String>,
    pub(super) index_name: Option<String>,
    pub(super) index_arn: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListVectorBuckets {
    pub(super) max_results: Option<i64>,
    pub(super) next_token: Option<String>,
    pub(super) prefix: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PutVectorBucketPolicy {
    pub(super) vector_bucket_name: Option<String>,
    pub(super) vector_bucket_arn: Option<String>,
    pub(super) policy: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PutVectorBucketDefaultIndexMode {
    pub(super) vector_bucket_name: Option<String>,
    pub(super) vector_bucket_arn: Option<String>,
    pub(super) default_index_mode: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateIndex {
    pub(super) vector_bucket_name: Option<String>,
    pub(super) vector_bucket_arn: Option<String>,
    pub(super) index_name: Option<String>,
    pub(super) data_type: Option<String>,
    pub(super) dimension: Option<i64>,
    pub(super) distance_metric: Option<String>,
    pub(super) metadata_configuration: Option<MetadataConfiguration>,
    pub(super) encryption_configuration: Option<Encryption>,
    pub(super) tags: Option<Tags>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MetadataConfiguration {
    pub(super) non_filterable_metadata_keys: Option<List<String>>,
    pub(super) text_search_configurations: Option<List<TextSearchConfiguration>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TextSearchConfiguration {
    pub(super) metadata_key: Option<String>,
    pub(super) language: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListIndexes {
    pub(super) vector_bucket_name: Option<String>,
    pub(super) vector_bucket_arn: Option<String>,
    pub(super) max_results: Option<i64>,
    pub(super) next_token: Option<String>,
    pub(super) prefix: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateIndexMode {
    pub(super) vector_bucket_name: Option<String>,
    pub(super) index_name: Option<String>,
    pub(super) index_arn: Option<String>,
    pub(super) index_mode: Option<String>,
}

/// Not on AWS.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ForkIndex {
    pub(super) vector_bucket_name: Option<String>,
    pub(super) index_name: Option<String>,
    pub(super) index_arn: Option<String>,
    pub(super) new_index_name: Option<String>,
    pub(super) tags: Option<Tags>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateMetadataConfiguration {
    pub(super) vector_bucket_name: Option<String>,
    pub(super) index_name: Option<String>,
    pub(super) index_arn: Option<String>,
    pub(super) add: Option<TextSearchConfigurations>,
    pub(super) delete: Option<TextSearchConfigurations>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TextSearchConfigurations {
    pub(super) text_search_configurations: Option<List<TextSearchConfiguration>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PutVectors<'a> {
    pub(super) vector_bucket_name: Option<String>,
    pub(super) index_name: Option<String>,
    pub(super) index_arn: Option<String>,
    #[serde(borrow)]
    pub(super) vectors: Option<List<PutVector<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PutVector<'a> {
    pub(super) key: Option<String>,
    pub(super) data: Option<VectorData>,
    #[serde(borrow)]
    pub(super) metadata: Option<&'a RawValue>,
}

/// `data`, `queryVector`: a union of one member.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VectorData {
    float32: Option<Floats>,
    /// Not on AWS.
    float32_base64: Option<PackedFloats>,
    /// Not on AWS.
    float16_base64: Option<PackedHalves>,
    /// Not on AWS.
    int8: Option<Bytes>,
}

impl VectorData {
    /// Checks that one member is there; `path` is the union's.
    pub(super) fn check(&self, check: &mut Check, path: impl Fn() -> String) {
        let Self { float32, float32_base64, float16_base64, int8 } = self;
        let given =
            [float32.is_some(), float32_base64.is_some(), float16_base64.is_some(), int8.is_some()];
        match given.into_iter().filter(|given| *given).count() {
            0 => drop(check.required(&[&path(), "/float32"].concat(), float32)),
            1 => {}
            _ => check.only_one(&path(), &["float32", "float32Base64", "float16Base64", "int8"]),
        }
    }

    /// The components.
    pub(super) fn into_components(self) -> Vec<f32> {
        let Self { float32, float32_base64, float16_base64, int8 } = self;
        let floats = float32.map(|Floats(floats)| floats);
        let packed = float32_base64.map(|PackedFloats(floats)| floats);
        let halves = float16_base64.map(|PackedHalves(floats)| floats);
        let bytes = int8.map(|Bytes(floats)| floats);
        floats.or(packed).or(halves).or(bytes).unwrap_or_default()
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GetVectors {
    pub(super) vector_bucket_name: Option<String>,
    pub(super) index_name: Option<String>,
    pub(super) index_arn: Option<String>,
    pub(super) keys: Option<List<String>>,
    pub(super) return_data: Option<bool>,
    pub(super) return_metadata: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListVectors<'a> {
    pub(super) vector_bucket_name: Option<String>,
    pub(super) index_name: Option<String>,
    pub(super) index_arn: Option<String>,
    pub(super) max_results: Option<i64>,
    pub(super) next_token: Option<String>,
    pub(super) segment_count: Option<i64>,
    pub(super) segment_index: Option<i64>,
    pub(super) return_data: Option<bool>,
    pub(super) return_metadata: Option<bool>,
    /// Not on AWS: only vectors that match.
    #[serde(borrow)]
    pub(super) filter: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeleteVectors<'a> {
    pub(super) vector_bucket_name: Option<String>,
    pub(super) index_name: Option<String>,
    pub(super) index_arn: Option<String>,
    pub(super) keys: Option<List<String>>,
    /// Not on AWS: in the place of keys, all vectors that match.
    #[serde(borrow)]
    pub(super) filter: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueryVectors<'a> {
    pub(super) vector_bucket_name: Option<String>,
    pub(super) index_name: Option<String>,
    pub(super) index_arn: Option<String>,
    pub(super) top_k: Option<i64>,
    pub(super) query_vector: Option<VectorData>,
    pub(super) query_texts: Option<List<QueryText>>,
    #[serde(borrow)]
    pub(super) filter: Option<&'a RawValue>,
    pub(super) query_mode: Option<String>,
    pub(super) return_metadata: Option<bool>,
    pub(super) return_distance: Option<bool>,
    pub(super) return_scores: Option<bool>,
    pub(super) next_token: Option<String>,
    /// Not on AWS: the vectors as well.
    pub(super) return_data: Option<bool>,
    /// Not on AWS: results in a page, up to all of them.
    pub(super) max_results: Option<i64>,
    /// Not on AWS: what was done, and in which time.
    pub(super) explain: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueryText {
    pub(super) text: Option<String>,
    pub(super) metadata_key: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TagResource {
    pub(super) tags: Option<Tags>,
}

#[cfg(test)]
mod tests {
    use super::{CreateIndex, PutVectors, QueryVectors, read};

    #[test]
    fn bodies_are_read_and_what_is_unknown_is_passed_over() {
        let put: PutVectors<'_> = read(
            br#"{"vectors":[{"key":"a","data":{"float32":[1]},"metadata":{"a":[1,{}]},"x":[[]]}],"y":{}}"#,
        )
        .unwrap();
        let vectors = put.vectors.unwrap();
        assert_eq!(vectors.items[0].metadata.unwrap().get(), r#"{"a":[1,{}]}"#);
        assert_eq!(vectors.items[0].data.clone().unwrap().into_components(), [1.0]);
        let empty: QueryVectors<'_> = read(b" \n").unwrap();
        assert!(empty.top_k.is_none());
    }

    #[test]
    fn what_has_other_types_is_no_body_and_is_not_quoted() {
        let deep = format!("{{\"indexName\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
        for body in [
            "{",
            "[]",
            "null",
            "7",
            "\"text\"",
            r#"{"dimension":"secret"}"#,
            r#"{"dimension":1.5}"#,
            r#"{"dimension":1e3}"#,
            r#"{"dimension":99999999999999999999}"#,
            r#"{"indexName":7}"#,
            r#"{"indexName":"a","indexName":"b"}"#,
            r#"{"tags":["secret"]}"#,
            r#"{"tags":{"a":null}}"#,
            "{\"indexName\":\"\u{1}\"}",
            &deep,
        ] {
            let failure = read::<CreateIndex>(body.as_bytes()).unwrap_err();
            assert_eq!(failure.kind.name(), "SerializationException", "{body}");
            assert!(!failure.message.contains("secret"), "{}", failure.message);
        }
        assert!(read::<CreateIndex>(b"{\"indexName\":\"\xff\"}").is_err());
    }
}
