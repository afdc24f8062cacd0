//! What to measure, as flags.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::config::{parse_bytes, parse_duration};
use crate::http_client::TargetOptions;

/// How long to measure when nobody says.
pub(super) const DURATION: Duration = Duration::from_secs(10);

/// Options of `lodestore bench`.
#[derive(Args)]
pub struct BenchOptions {
    /// Whom to load, path style
    #[command(flatten)]
    pub target: TargetOptions,
    /// Operation to measure
    #[arg(long, value_name = "OPERATION", value_enum)]
    pub op: Operation,
    /// Size of an object
    #[arg(long, default_value = "4KiB", value_parser = parse_bytes)]
    pub size: u64,
    /// Connections, each with one request in flight
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub concurrency: u32,
    /// Threads of the client [default: half of the processors]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// How long to measure [default: 10s]
    #[arg(long, value_parser = parse_duration, conflicts_with = "count")]
    pub duration: Option<Duration>,
    /// How many operations to measure, instead of a duration
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Distinct objects [default: put, multipart: a new one each time; else up to 10,000 in 256 MiB]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub keys: Option<u64>,
    /// Spread the keys over this many common prefixes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub folders: Option<u64>,
    /// list: pages of common prefixes up to this delimiter, instead of keys
    #[arg(long, value_name = "TEXT")]
    pub delimiter: Option<String>,
    /// list: entries a page
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub page: u32,
    /// multipart: size of a part
    #[arg(long, default_value = "5MiB", value_parser = parse_bytes)]
    pub part_size: u64,
    /// Whether the signature covers the body: `unsigned` says UNSIGNED-PAYLOAD, `sha256` its hash
    #[arg(long, value_enum, default_value_t = PayloadHash::Unsigned)]
    pub payload: PayloadHash,
    /// Bucket; made when missing
    #[arg(long, default_value = "lodestore-bench")]
    pub bucket: String,
    /// Prefix of every key
    #[arg(long, default_value = "bench/")]
    pub prefix: String,
    /// Which objects to put first, for operations that need some
    #[arg(long, value_enum, default_value_t = Prefill::All)]
    pub prefill: Prefill,
    /// Delete the objects of this run at its end
    #[arg(long)]
    pub cleanup: bool,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

impl std::fmt::Debug for BenchOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BenchOptions")
            .field("target", &self.target)
            .field("op", &self.op)
            .field("size", &self.size)
            .field("concurrency", &self.concurrency)
            .field("duration", &self.duration)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// What to do again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// Put objects
    Put,
    /// Get whole objects, chosen at random
    Get,
    /// Ask for objects' headers, chosen at random
    Head,
    /// List one page from a random place, or of common prefixes with --delimiter
    List,
    /// Delete objects, each once
    Delete,
    /// Upload objects in parts; one operation is one object
    Multipart,
    /// 45 % get, 30 % head, 15 % put, 10 % delete
    Mixed,
}

/// What stands for the body in a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PayloadHash {
    /// Nothing: `UNSIGNED-PAYLOAD`
    Unsigned,
    /// Its SHA-256, computed before the clock starts
    Sha256,
}

/// Which objects are put before the clock starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Prefill {
    /// All that the operation needs
    All,
    /// None: an earlier run put them
    None,
}

impl Operation {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Multipart => "multipart",
            Self::Mixed => "mixed",
        }
    }
}

impl PayloadHash {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Sha256 => "sha256",
        }
    }
}
