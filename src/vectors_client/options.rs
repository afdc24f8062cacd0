//! What to do with vectors, as flags.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use crate::http_client::TargetOptions;

/// Options of `lodestore vectors`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lodestore vectors import --bucket media --index films --create --metric cosine films.jsonl
  lodestore vectors query  --bucket media --index films --key film-7 --filter '{\"year\":1999}'
  lodestore vectors export --bucket media --index films films.jsonl

A row of JSON lines: {\"key\":\"a\",\"vector\":[0.5,1.5],\"metadata\":{\"year\":1999}}")]
pub struct VectorsOptions {
    /// What to do.
    #[command(subcommand)]
    pub action: VectorsAction,
}

/// What can be done with the vectors of an index.
#[derive(Debug, Subcommand)]
pub enum VectorsAction {
    /// Put the rows of a file into an index
    Import(ImportOptions),
    /// Write the rows of an index to a file
    Export(ExportOptions),
    /// Find the rows nearest to a vector, that match words, or both
    Query(QueryOptions),
    /// The same query, and how it was answered: plans, rows, reads and times
    Explain(QueryOptions),
}

/// Flags that name an index.
#[derive(Debug, Args)]
pub struct IndexOptions {
    /// Vector bucket
    #[arg(long)]
    pub bucket: String,
    /// Index of the bucket
    #[arg(long)]
    pub index: String,
    /// Whom to ask.
    #[command(flatten)]
    pub target: TargetOptions,
    /// How often a request is tried again after a broken connection or an answer of 429 or 5xx
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(..=100))]
    pub retries: u32,
}

/// Options of `lodestore vectors import`.
#[derive(Debug, Args)]
pub struct ImportOptions {
    /// File to read; `-`: standard input, of any format but parquet
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The index to put rows into.
    #[command(flatten)]
    pub of: IndexOptions,
    /// Format of the file [default: by its name]
    #[arg(long, value_enum)]
    pub format: Option<ImportFormat>,
    /// Make bucket and index when they are missing; the dimension is that of the first row
    #[arg(long, requires = "metric")]
    pub create: bool,
    /// create: how distances are measured
    #[arg(long, value_enum, requires = "create")]
    pub metric: Option<MetricName>,
    /// create: metadata keys that are only kept, such as long texts
    #[arg(long, value_name = "KEY,...", value_delimiter = ',', requires = "create")]
    pub non_filterable: Vec<String>,
    /// create: metadata keys whose words can be searched
    #[arg(long, value_name = "KEY,...", value_delimiter = ',', requires = "create")]
    pub text_keys: Vec<String>,
    /// npy, fvecs: JSON lines with {"key":...,"metadata":{...}} of each row, both optional
    #[arg(long, value_name = "FILE")]
    pub metadata: Option<PathBuf>,
    /// Rows without a key are named by this and their number, counted from 0
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub key_prefix: String,
    /// parquet: column of the keys, texts or whole numbers [default: rows are numbered]
    #[arg(long, value_name = "COLUMN")]
    pub key_column: Option<String>,
    /// parquet: column of the vectors, lists of numbers or f32 in bytes [default: vector]
    #[arg(long, value_name = "COLUMN")]
    pub vector_column: Option<String>,
    /// parquet: columns that become metadata, '': none [default: all others]
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    pub metadata_columns: Option<Vec<String>>,
    /// Rows of a request
    #[arg(long, value_name = "ROWS", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch: u32,
    /// Requests in flight
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub concurrency: u32,
    /// Pass over the rows before this one, counted from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub from_row: u64,
}

impl ImportOptions {
    /// Whether a column is named.
    pub(super) fn names_columns(&self) -> bool {
        let named = [&self.key_column, &self.vector_column];
        named.iter().any(|column| column.is_some()) || self.metadata_columns.is_some()
    }
}

/// Options of `lodestore vectors export`.
#[derive(Debug, Args)]
pub struct ExportOptions {
    /// File to write; `-`: standard output, of any format but npy
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
    /// The index whose rows to write.
    #[command(flatten)]
    pub of: IndexOptions,
    /// Format of the file [default: by its name]
    #[arg(long, value_enum)]
    pub format: Option<ExportFormat>,
    /// npy, fvecs: also write keys and metadata, as JSON lines, to this file
    #[arg(long, value_name = "FILE")]
    pub metadata: Option<PathBuf>,
    /// Parts of the index that are listed at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub parts: u32,
}

/// Options of `lodestore vectors query` and `explain`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["vector", "vector_file", "key", "text"]).multiple(true).required(true))]
#[command(group = ArgGroup::new("near").args(["vector", "vector_file", "key"]))]
pub struct QueryOptions {
    /// The index to ask.
    #[command(flatten)]
    pub of: IndexOptions,
    /// Vector to be near to: a JSON array
    #[arg(long, value_name = "JSON")]
    pub vector: Option<String>,
    /// File with that array
    #[arg(long, value_name = "FILE")]
    pub vector_file: Option<PathBuf>,
    /// Key of the stored vector to be near to
    #[arg(long)]
    pub key: Option<String>,
    /// Words to find in a metadata key; may be given for several keys
    #[arg(long, value_name = "KEY=WORDS")]
    pub text: Vec<String>,
    /// Only rows that match, such as '{"year":{"$gte":1990}}'
    #[arg(long, value_name = "JSON")]
    pub filter: Option<String>,
    /// How many rows to find
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub top: u32,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Formats that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    /// JSON lines
    Jsonl,
    /// An array of NumPy: two dimensions, C order, f2, f4 or f8
    Npy,
    /// Vectors of f32, each behind its length
    Fvecs,
    /// Parquet, plain or compressed with Snappy or Zstandard
    Parquet,
}

/// Formats that can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// JSON lines
    Jsonl,
    /// An array of NumPy, f4
    Npy,
    /// Vectors of f32, each behind its length
    Fvecs,
}

/// How an index measures distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MetricName {
    /// 1 - cosine of the angle
    Cosine,
    /// Length of the difference
    Euclidean,
    /// Negated inner product; not on AWS
    InnerProduct,
}

impl MetricName {
    /// Its name in the API.
    pub(super) fn wire(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Euclidean => "euclidean",
            Self::InnerProduct => "innerProduct",
        }
    }
}
