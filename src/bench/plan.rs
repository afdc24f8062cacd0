//! Everything a run needs to know before its clock starts: names, bodies, keys to sign with.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::BenchError;
use super::options::{BenchOptions, Operation, PayloadHash};
use super::payload::{Hashing, Payloads};
use crate::http_client::{self, Service, Target};

/// Objects that operations on existing objects choose from, when nobody says.
const KEYS_MAX: u64 = 10_000;
/// And the room they take at most.
const KEYS_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bodies are held in memory.
const BODY_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// S3's own limit.
const PARTS_MAX: u64 = 10_000;

/// The plan of one run.
pub(super) struct Plan {
    pub(super) operation: Operation,
    pub(super) target: Arc<Target>,
    /// The path of the bucket, percent-encoded: `/bucket`.
    pub(super) bucket_path: String,
    /// Length of an object in bytes.
    pub(super) size: u64,
    /// Objects that exist when the clock starts; puts in rotation for a bounded `put`.
    pub(super) keys: u64,
    pub(super) payload_hash: PayloadHash,
    pub(super) objects: Payloads,
    /// Bodies of all parts but the last, and of the last one.
    pub(super) parts: Option<Parts>,
    pub(super) list_query: ListQuery,
    prefix: String,
    folders: Option<u64>,
    rotation: Rotation,
}

/// Whether puts come back to the same objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rotation {
    /// Every put makes a new object.
    Never,
    /// After `keys` puts the first one's object is put again.
    AfterKeys,
}

/// The parts of a multipart object.
pub(super) struct Parts {
    pub(super) count: u64,
    pub(super) whole: Payloads,
    pub(super) last: Payloads,
}

/// The query of a listing.
pub(super) struct ListQuery {
    delimiter: Option<String>,
    page: u32,
    prefix: String,
}

impl Plan {
    pub(super) fn new(options: &BenchOptions) -> Result<Self, BenchError> {
        let operation = options.op;
        let makes_objects = matches!(operation, Operation::Put | Operation::Multipart);
        let rotation = if makes_objects && options.keys.is_none() {
            Rotation::Never
        } else {
            Rotation::AfterKeys
        };
        let prefix = match rotation {
            Rotation::Never => format!("{}{:x}/", options.prefix, unix_seconds()),
            Rotation::AfterKeys => options.prefix.clone(),
        };
        if options.size > BODY_BYTES_MAX {
            return Err(BenchError::new("size: at most 5 GiB: bodies are held in memory"));
        }
        let keys_fitting = (KEYS_BYTES_MAX / options.size.max(1)).clamp(16, KEYS_MAX);
        let keys = match (options.keys, operation, options.count) {
            (Some(keys), ..) => keys,
            (None, Operation::Delete, Some(count)) => count,
            (None, ..) => keys_fitting,
        };
        let hashing = match options.payload {
            PayloadHash::Unsigned => Hashing::Skipped,
            PayloadHash::Sha256 => Hashing::Hashed,
        };
        let (objects, parts) = if operation == Operation::Multipart {
            (Payloads::random(0, hashing)?, Some(Parts::new(options, hashing)?))
        } else {
            (Payloads::random(to_len(options.size)?, hashing)?, None)
        };
        Ok(Self {
            operation,
            target: Arc::new(Target::resolve(&options.target, Service::S3)?),
            bucket_path: format!("/{}", http_client::encode_path(&options.bucket)),
            size: options.size,
            keys,
            payload_hash: options.payload,
            objects,
            parts,
            list_query: ListQuery {
                delimiter: options.delimiter.as_deref().map(http_client::encode_value),
                page: options.page,
                prefix: http_client::encode_value(&prefix),
            },
            prefix,
            folders: options.folders,
            rotation,
        })
    }

    /// True when the operation works on objects that must exist.
    pub(super) fn needs_objects(&self) -> bool {
        !matches!(self.operation, Operation::Put | Operation::Multipart)
    }

    /// The path of the `index`-th object, percent-encoded.
    pub(super) fn object_path(&self, index: u64) -> String {
        format!("{}/{}", self.bucket_path, http_client::encode_path(&self.key(index)))
    }

    /// The object that the `turn`-th put writes.
    pub(super) fn put_index(&self, turn: u64) -> u64 {
        match self.rotation {
            Rotation::Never => turn,
            Rotation::AfterKeys => turn % self.keys,
        }
    }

    /// How many objects a run of `turns` operations leaves.
    pub(super) fn written(&self, turns: u64) -> u64 {
        match (self.operation, self.rotation) {
            (Operation::Mixed, _) => self.keys + turns,
            (Operation::Put | Operation::Multipart, Rotation::Never) => turns,
            (Operation::Put | Operation::Multipart, Rotation::AfterKeys) => turns.min(self.keys),
            _ => self.keys,
        }
    }

    /// Keys after which a whole page follows.
    pub(super) fn page_starts(&self) -> u64 {
        self.keys.saturating_sub(u64::from(self.list_query.page)).max(1)
    }

    /// The query of a page that begins after the `index`-th key.
    pub(super) fn list_query(&self, index: u64) -> String {
        let ListQuery { delimiter, page, prefix } = &self.list_query;
        match delimiter {
            Some(delimiter) => {
                format!("delimiter={delimiter}&list-type=2&max-keys={page}&prefix={prefix}")
            }
            None => {
                let after = http_client::encode_value(&self.key(index));
                format!("list-type=2&max-keys={page}&prefix={prefix}&start-after={after}")
            }
        }
    }

    fn key(&self, index: u64) -> String {
        match self.folders {
            Some(folders) => format!("{}{:06}/{index:012}", self.prefix, index % folders),
            None => format!("{}{index:012}", self.prefix),
        }
    }
}

impl Parts {
    fn new(options: &BenchOptions, hashing: Hashing) -> Result<Self, BenchError> {
        let BenchOptions { size, part_size, .. } = *options;
        let count = size.div_ceil(part_size.max(1)).max(1);
        if part_size == 0 || count > PARTS_MAX {
            return Err(BenchError::new("part-size: an upload has 1 to 10,000 parts"));
        }
        let whole = if count > 1 { part_size } else { 0 };
        let last = size - (count - 1) * part_size;
        Ok(Self {
            count,
            whole: Payloads::random(to_len(whole)?, hashing)?,
            last: Payloads::random(to_len(last)?, hashing)?,
        })
    }
}

fn to_len(bytes: u64) -> Result<usize, BenchError> {
    usize::try_from(bytes).map_err(|_| BenchError::new("size: more than this machine can address"))
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
