//! Every number of the vector service that a client can push against, with its reason.

use std::time::Duration;

/// What an operator could decide differently; the defaults are those of Amazon S3 Vectors today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Vector buckets of the store.
    pub buckets: usize,
    /// Indexes of a bucket.
    pub indexes: usize,
    /// Components of a vector.
    pub dimension: i64,
    /// Results of a query.
    pub top: i64,
    /// Vectors of one `PutVectors`.
    pub put_vectors: usize,
    /// Keys of one `GetVectors`.
    pub get_keys: usize,
    /// Keys of one `DeleteVectors`.
    pub delete_keys: usize,
    /// Vectors of a page of `ListVectors`, and how many without `maxResults`.
    pub list_vectors: i64,
    /// See `list_vectors`.
    pub list_vectors_default: i64,
    /// Data of the rows of a page of `ListVectors`, in bytes.
    pub list_bytes: usize,
    /// Results in a page of a query that does not say how many.
    pub query_page: usize,
    /// Metadata keys of a vector.
    pub metadata_keys: usize,
    /// Metadata of a vector, in bytes.
    pub metadata_bytes: usize,
    /// The part of it that can be filtered by, in bytes.
    pub filterable_bytes: usize,
    /// Metadata keys of an index that cannot be filtered by.
    pub non_filterable_keys: usize,
    /// Metadata keys of an index that are searched as text.
    pub text_fields: usize,
    /// Texts of one query.
    pub query_texts: usize,
    /// Tags of a bucket or an index.
    pub tags: usize,
    /// A bucket's policy, in bytes: what S3 allows a bucket.
    pub policy_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            buckets: 10_000,
            indexes: 10_000,
            dimension: 4096,
            top: 10_000,
            put_vectors: 500,
            get_keys: 100,
            delete_keys: 500,
            list_vectors: 1000,
            list_vectors_default: 500,
            list_bytes: 1 << 20,
            query_page: 100,
            metadata_keys: 50,
            metadata_bytes: 40 << 10,
            filterable_bytes: 2 << 10,
            non_filterable_keys: 10,
            text_fields: 10,
            query_texts: 10,
            tags: 50,
            policy_bytes: 20 << 10,
        }
    }
}

/// Characters of a bucket's or an index's name.
pub(super) const NAME_CHARS: std::ops::RangeInclusive<usize> = 3..=63;
/// Characters of a vector's key; its UTF-8 has as many bytes at most.
pub(super) const KEY_CHARS: std::ops::RangeInclusive<usize> = 1..=1024;
/// Characters of a metadata key that an index's configuration names.
pub(super) const METADATA_KEY_CHARS: std::ops::RangeInclusive<usize> = 1..=63;
/// Characters of a text that is searched.
pub(super) const QUERY_TEXT_CHARS: std::ops::RangeInclusive<usize> = 1..=1024;
/// Characters of a prefix of names.
pub(super) const PREFIX_CHARS: std::ops::RangeInclusive<usize> = 1..=63;
/// Characters of a token of a list of buckets or indexes, of vectors, and of a query.
pub(super) const NAME_TOKEN_CHARS: std::ops::RangeInclusive<usize> = 1..=512;
/// See [`NAME_TOKEN_CHARS`].
pub(super) const LIST_TOKEN_CHARS: std::ops::RangeInclusive<usize> = 1..=2048;
/// See [`NAME_TOKEN_CHARS`].
pub(super) const QUERY_TOKEN_CHARS: std::ops::RangeInclusive<usize> = 1..=4096;
/// Names in a page.
pub(super) const NAMES_PAGE: std::ops::RangeInclusive<i64> = 1..=500;
/// Segments of a list that several workers share.
pub(super) const SEGMENT_COUNT: std::ops::RangeInclusive<i64> = 1..=16;
/// One of them.
pub(super) const SEGMENT_INDEX: std::ops::RangeInclusive<i64> = 0..=15;
/// Characters of a tag's key and value.
pub(super) const TAG_KEY_CHARS: std::ops::RangeInclusive<usize> = 1..=128;
/// See [`TAG_KEY_CHARS`].
pub(super) const TAG_VALUE_CHARS: std::ops::RangeInclusive<usize> = 0..=256;
/// Characters of an ARN in a path.
pub(super) const RESOURCE_ARN_CHARS: std::ops::RangeInclusive<usize> = 0..=1011;
/// Characters of the ARN of a key.
pub(super) const KMS_ARN_CHARS: std::ops::RangeInclusive<usize> = 1..=2048;

/// Items of a list that are kept while a body is read: what is behind them is only counted, so that
/// a body of empty items does not grow in memory. No limit above is higher.
pub(super) const LIST_ITEMS_KEPT: usize = 10_000;
/// Bytes of a metadata document as JSON: those of [`Limits::metadata_bytes`] with each character
/// escaped in six, and room for spaces. What is longer is not parsed.
pub(super) const METADATA_JSON_BYTES_MAX: usize = 512 << 10;
/// Bytes of a filter as JSON. A query of 100 constraints of 1 KiB fits in.
pub(super) const FILTER_JSON_BYTES_MAX: usize = 256 << 10;

/// How long the token of a list is good for: a listing may run for hours, but not be kept.
pub(super) const LIST_TOKEN_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the token of a query is good for: "several minutes" on AWS.
pub(super) const QUERY_TOKEN_LIFE: Duration = Duration::from_secs(10 * 60);
/// Ranked keys kept for the next pages of queries, in bytes. What is not kept any more is searched
/// again.
pub(super) const RANKINGS_BYTES_MAX: usize = 64 << 20;
/// Bytes of a page of query results, after which it ends and tells a token. A full page of whole
/// rows, as AWS answers it, is far below.
pub(super) const QUERY_PAGE_BYTES_MAX: usize = 32 << 20;
/// How often a change is tried again when what it depends on changed under it.
pub(super) const RETRIES_MAX: usize = 16;
/// Records asked of the catalog at once while listing.
pub(super) const CATALOG_PAGE: usize = 1000;
/// Levels of a policy's JSON; its grammar has five.
pub(super) const POLICY_STATEMENTS_MAX: usize = 1000;
