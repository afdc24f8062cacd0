//! What an operator decides: one [`Config`], resolved from flags, environment, file and defaults in
//! that order, and validated once.
//!
//! - Every key is one row of [`KEYS`]; its flag, variable and file name follow from the row's name.
//! - An error names the key, where its value came from, the value, and what is allowed. The value of
//!   a secret is never in it.

mod key;
mod layers;
mod quantity;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use storage_engine::media::Durability;
use vector_engine::QueryShare;

pub use key::{KEYS, Key};
pub use layers::{Layers, Origin, Setting};
pub use quantity::{
    ParseQuantityError, format_bytes, format_duration, parse_bytes, parse_duration,
};

/// Where the store lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A directory that stays.
    Directory(PathBuf),
    /// A temporary directory, removed at exit.
    Ephemeral,
}

/// What a bucket of the configuration has, from its making on or from the next start on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketKind {
    /// Without versions.
    Plain,
    /// With versioning enabled.
    Versioned,
    /// With object lock, and so with versioning.
    Lock,
}

/// A bucket to make at start when it is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSpec {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: BucketKind,
}

/// Which parts of a multipart upload may be smaller than 5 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmallParts {
    /// The last one only, as on AWS.
    LastOnly,
    /// Any.
    Any,
}

/// Form of the log on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One line of text an event.
    Text,
    /// One JSON object an event.
    Json,
}

/// A validated configuration of the server. The root keys are resolved apart, by
/// [`credentials`](crate::credentials), because they may come from the data directory.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Where the store lives.
    pub place: Place,
    /// File of users and their keys.
    pub users: Option<PathBuf>,
    /// Buckets to make at start.
    pub buckets: Vec<BucketSpec>,
    /// When a write counts as done.
    pub durability: Durability,
    /// Size of each zone of a new store, in bytes; none: the store's own, or the default.
    pub zone_bytes: Option<u64>,
    /// Room the store may take, in bytes; none: what the file system has.
    pub capacity_bytes: Option<u64>,
    /// Values up to this length live in the journal, in bytes.
    pub inline_bytes: usize,
    /// Journal bytes between two checkpoints.
    pub checkpoint_bytes: u64,
    /// Bytes a second that reclaim and scrub may read and write together.
    pub background_bytes_per_s: u64,
    /// Days in which scrub reads everything once.
    pub scrub_days: u32,
    /// Domains whose first label is a bucket (virtual-host style).
    pub domains: Vec<String>,
    /// The region this store answers for.
    pub region: String,
    /// Which parts may be small.
    pub small_parts: SmallParts,
    /// Connections open at once.
    pub connections: usize,
    /// Requests worked on at once.
    pub requests: usize,
    /// Time in which a body must make progress.
    pub body_window: Duration,
    /// Largest body of a `PutVectors`, in bytes.
    pub vector_body_bytes: usize,
    /// Memory of the caches of vector queries, in bytes; unless told, a share of what there is.
    pub vector_cache_bytes: Option<usize>,
    /// Rows after which the growing segment of a vector index is sealed.
    pub vector_growing_rows: usize,
    /// Share of vector queries whose recall is counted.
    pub vector_recall_probe: QueryShare,
    /// Filter of the log, in the syntax of `tracing`.
    pub log: String,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Time that requests in flight get to finish when the server stops.
    pub drain: Duration,
}

/// A configuration that cannot be used, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    /// From a finished sentence.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// From a setting that does not hold and what is allowed instead.
    fn refused(setting: &Setting, allowed: impl std::fmt::Display) -> Self {
        let Setting { key, origin, value } = setting;
        Self(format!("{}: `{value}` ({origin}) is not allowed: give {allowed}", key.name))
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Validates what the layers say.
    pub fn resolve(layers: &Layers) -> Result<Self, ConfigError> {
        let read = Reader { layers };
        Ok(Self {
            listen: read.required("listen", listen_address, "HOST:PORT, such as 127.0.0.1:9000")?,
            place: read.place()?,
            users: read.optional("users", path, "a path")?,
            buckets: read.required("buckets", bucket_specs, BUCKETS_ALLOWED)?,
            durability: read.required("durability", durability, "sync, device or none")?,
            zone_bytes: read.optional("zone-bytes", zone_bytes, ZONE_BYTES_ALLOWED)?,
            capacity_bytes: read.optional(
                "capacity-bytes",
                bytes_from::<CAPACITY_BYTES_MIN>,
                "at least 256MiB",
            )?,
            inline_bytes: read.required("inline-bytes", inline_bytes, "a size from 0 to 64KiB")?,
            checkpoint_bytes: read.required(
                "checkpoint-bytes",
                bytes_from::<CHECKPOINT_BYTES_MIN>,
                "at least 1MiB",
            )?,
            background_bytes_per_s: read.required(
                "background-bytes-per-s",
                bytes_from::<BACKGROUND_BYTES_PER_S_MIN>,
                "at least 1MiB: reclaim has to keep up with writes",
            )?,
            scrub_days: read.required(
                "scrub-days",
                scrub_days,
                "a number of days from 1 to 3650",
            )?,
            domains: read.required("domains", domains, "host names separated by commas")?,
            region: read.required("region", region, "lower-case letters, digits and hyphens")?,
            small_parts: read.required("small-parts", small_parts, "true or false")?,
            connections: read.required("connections", count, "a number from 1 to 1000000")?,
            requests: read.required("requests", count, "a number from 1 to 1000000")?,
            body_window: read.required(
                "body-window",
                body_window,
                "a duration from 100ms to 1h, such as 60s",
            )?,
            vector_body_bytes: read.required(
                "vector-body-bytes",
                vector_body_bytes,
                "a size from 1MiB to 256MiB",
            )?,
            vector_cache_bytes: read.optional(
                "vector-cache-bytes",
                vector_cache_bytes,
                "a size from 1MiB to 1TiB",
            )?,
            vector_growing_rows: read.required(
                "vector-growing-rows",
                vector_growing_rows,
                "a number from 100 to 1000000",
            )?,
            vector_recall_probe: read.required(
                "vector-recall-probe",
                query_share,
                "a number from 0 to 1, such as 0.01",
            )?,
            log: read.required(
                "log",
                filter,
                "error, warn, info, debug, trace, or tracing's filter syntax",
            )?,
            log_format: read.required("log-format", log_format, "auto, text or json")?,
            drain: read.required("drain", drain, "a duration up to 10m, such as 10s")?,
        })
    }
}

const BUCKETS_ALLOWED: &str = "names of 3 to 63 lower-case letters, digits, dots and hyphens, \
                               separated by commas, each with :versioned or :lock or neither";
const ZONE_BYTES_ALLOWED: &str = "a power of two from 4MiB to 1GiB";
/// Smallest zone of a new store: the record of an object of 10,000 parts with all that can come with
/// it, 1.5 MiB, must fit one, and so must the tags of an object of 5 GiB, 1.25 MiB.
pub const ZONE_BYTES_MIN: u64 = 4 * 1024 * 1024;
const ZONE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const CAPACITY_BYTES_MIN: u64 = 256 * 1024 * 1024;
const CHECKPOINT_BYTES_MIN: u64 = 1024 * 1024;
const BACKGROUND_BYTES_PER_S_MIN: u64 = 1024 * 1024;
const VECTOR_BODY_BYTES: std::ops::RangeInclusive<usize> = 1 << 20..=256 << 20;
const VECTOR_CACHE_BYTES: std::ops::RangeInclusive<usize> = 1 << 20..=1 << 40;
/// A seal costs a few syncs; a growing row costs its vector in memory and a read at start.
const VECTOR_GROWING_ROWS: std::ops::RangeInclusive<usize> = 100..=1_000_000;
const DRAIN_MAX: Duration = Duration::from_secs(600);
const COUNT_MAX: usize = 1_000_000;
const BODY_WINDOW_MIN: Duration = Duration::from_millis(100);
const BODY_WINDOW_MAX: Duration = Duration::from_secs(3600);

/// Takes settings out of the layers, each with its parser.
struct Reader<'a> {
    layers: &'a Layers,
}

impl Reader<'_> {
    fn optional<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        allowed: &str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(setting) = self.layers.get(name) else { return Ok(None) };
        match parse(setting.value.trim()) {
            Some(value) => Ok(Some(value)),
            None => Err(ConfigError::refused(&setting, allowed)),
        }
    }

    fn required<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        allowed: &str,
    ) -> Result<T, ConfigError> {
        self.optional(name, parse, allowed)?
            .ok_or_else(|| ConfigError::new(format!("{name}: not set; give {allowed}")))
    }

    /// Of `ephemeral` and `data` the one that a stronger layer names wins, so that a flag can
    /// overrule a container's environment; both in one layer contradict each other.
    fn place(&self) -> Result<Place, ConfigError> {
        let ephemeral = self.required("ephemeral", truth, "true or false")?;
        match (ephemeral, self.layers.first_of(["ephemeral", "data"])) {
            (true, [Some(_), Some(data)]) => Err(ConfigError::new(format!(
                "ephemeral and data: `{}` ({}) cannot be both; leave one out",
                data.value, data.origin
            ))),
            (true, [Some(_), None]) => Ok(Place::Ephemeral),
            _ => Ok(Place::Directory(self.required("data", path, "a path")?)),
        }
    }
}

fn listen_address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    // A name other than localhost could resolve to anything tomorrow; an operator names an address.
    let port = text.strip_prefix("localhost:")?;
    ("127.0.0.1", port.parse().ok()?).to_socket_addrs().ok()?.next()
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn small_parts(text: &str) -> Option<SmallParts> {
    truth(text).map(|any| if any { SmallParts::Any } else { SmallParts::LastOnly })
}

fn durability(text: &str) -> Option<Durability> {
    match text {
        "sync" => Some(Durability::Sync),
        "device" => Some(Durability::Device),
        "none" => Some(Durability::None),
        _ => None,
    }
}

fn log_format(text: &str) -> Option<LogFormat> {
    match text {
        "auto" => Some(LogFormat::Auto),
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}

fn filter(text: &str) -> Option<String> {
    tracing_subscriber::EnvFilter::try_new(text).ok().map(|_| text.to_owned())
}

fn zone_bytes(text: &str) -> Option<u64> {
    let bytes = parse_bytes(text).ok()?;
    let fits = (ZONE_BYTES_MIN..=ZONE_BYTES_MAX).contains(&bytes) && bytes.is_power_of_two();
    fits.then_some(bytes)
}

fn bytes_from<const LEAST: u64>(text: &str) -> Option<u64> {
    parse_bytes(text).ok().filter(|bytes| *bytes >= LEAST)
}

fn inline_bytes(text: &str) -> Option<usize> {
    let bytes = usize::try_from(parse_bytes(text).ok()?).ok()?;
    (bytes <= storage_engine::limits::INLINE_BYTES_MAX).then_some(bytes)
}

fn scrub_days(text: &str) -> Option<u32> {
    text.parse().ok().filter(|days| (1..=3650).contains(days))
}

fn drain(text: &str) -> Option<Duration> {
    parse_duration(text).ok().filter(|duration| *duration <= DRAIN_MAX)
}

fn count(text: &str) -> Option<usize> {
    text.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count))
}

fn body_window(text: &str) -> Option<Duration> {
    let allowed = BODY_WINDOW_MIN..=BODY_WINDOW_MAX;
    parse_duration(text).ok().filter(|window| allowed.contains(window))
}

fn vector_body_bytes(text: &str) -> Option<usize> {
    let bytes = usize::try_from(parse_bytes(text).ok()?).ok()?;
    VECTOR_BODY_BYTES.contains(&bytes).then_some(bytes)
}

fn vector_cache_bytes(text: &str) -> Option<usize> {
    let bytes = usize::try_from(parse_bytes(text).ok()?).ok()?;
    VECTOR_CACHE_BYTES.contains(&bytes).then_some(bytes)
}

fn vector_growing_rows(text: &str) -> Option<usize> {
    text.parse().ok().filter(|rows| VECTOR_GROWING_ROWS.contains(rows))
}

fn query_share(text: &str) -> Option<QueryShare> {
    text.parse().ok().and_then(QueryShare::new)
}

fn region(text: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
    fits.then(|| text.to_owned())
}

fn domains(text: &str) -> Option<Vec<String>> {
    list(text).map(|name| is_host_name(name).then(|| name.to_ascii_lowercase())).collect()
}

fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

fn bucket_specs(text: &str) -> Option<Vec<BucketSpec>> {
    list(text).map(bucket_spec).collect()
}

fn bucket_spec(text: &str) -> Option<BucketSpec> {
    let (name, kind) = match text.split_once(':') {
        None => (text, BucketKind::Plain),
        Some((name, "versioned")) => (name, BucketKind::Versioned),
        Some((name, "lock")) => (name, BucketKind::Lock),
        Some(_) => return None,
    };
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')
    };
    let fits = (3..=63).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with(['.', '-'])
        && !name.ends_with(['.', '-']);
    fits.then(|| BucketSpec { name: name.to_owned(), kind })
}

/// The parts of a list separated by commas; an empty text is an empty list.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests;
