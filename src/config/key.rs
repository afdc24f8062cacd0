//! The keys of the configuration as data: what `--help`, the environment, the file and the errors
//! know of them.

/// One key. For `zone-bytes` the flag is `--zone-bytes`, the variable `LODESTORE_ZONE_BYTES` and
/// the line in the file `zone_bytes = "16MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Name of the flag without its dashes; every other name follows from it.
    pub name: &'static str,
    /// What a value looks like, for `--help`.
    pub form: &'static str,
    /// What it means, in one line.
    pub meaning: &'static str,
    /// What holds when nobody says anything.
    pub default: Option<&'static str>,
    /// What happens to the value when it is shown.
    pub display: Display,
}

/// Whether a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Display {
    /// In errors and logs.
    Open,
    /// Nowhere.
    Secret,
}

impl Key {
    /// Name of the environment variable.
    pub fn variable(&self) -> String {
        format!("LODESTORE_{}", self.name.replace('-', "_").to_ascii_uppercase())
    }

    /// Name in the configuration file.
    pub fn file_name(&self) -> String {
        self.name.replace('-', "_")
    }

    /// True when the flag alone, without a value, means `true`.
    pub fn is_switch(&self) -> bool {
        self.form == "BOOL"
    }

    /// The key of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }
}

const fn key(
    name: &'static str,
    form: &'static str,
    default: Option<&'static str>,
    meaning: &'static str,
) -> Key {
    Key { name, form, meaning, default, display: Display::Open }
}

/// Every key of the server.
pub const KEYS: &[Key] = &[
    key("listen", "HOST:PORT", Some("127.0.0.1:9000"), "Address to listen on"),
    key("data", "DIR", Some("./lodestore-data"), "Directory of the store; made when missing"),
    key(
        "ephemeral",
        "BOOL",
        Some("false"),
        "Keep the store in a temporary directory, without syncs, and remove it at exit",
    ),
    key("root-access-key", "KEY", None, "Access key of root"),
    key("root-access-key-file", "FILE", None, "File that holds the access key of root"),
    Key {
        display: Display::Secret,
        ..key("root-secret-key", "KEY", None, "Secret key of root; a flag shows in process lists")
    },
    key("root-secret-key-file", "FILE", None, "File that holds the secret key of root"),
    key("users", "FILE", None, "File that names users and their keys"),
    key(
        "buckets",
        "LIST",
        Some(""),
        "Buckets to make at start when missing, as in `a,b:versioned,c:lock`; one that is there gets \
         the versioning, and the lock if it has versioning",
    ),
    key(
        "durability",
        "MODE",
        Some("sync"),
        "When a write counts as done: `sync` on stable media, `device` in the device (its cache \
         may lose it), `none` in memory",
    ),
    key("zone-bytes", "SIZE", None, "Size of the zones of a new store"),
    key("capacity-bytes", "SIZE", None, "Room the store may take [default: the file system's]"),
    key("inline-bytes", "SIZE", Some("64KiB"), "Values up to this length live in the journal"),
    key("checkpoint-bytes", "SIZE", Some("256MiB"), "Journal bytes between two checkpoints"),
    key(
        "background-bytes-per-s",
        "SIZE",
        Some("64MiB"),
        "Bytes a second that reclaim and scrub may move",
    ),
    key("scrub-days", "DAYS", Some("14"), "Days in which scrub reads everything once"),
    key("domains", "LIST", Some(""), "Domains under which `BUCKET.DOMAIN` names a bucket"),
    key("region", "NAME", Some("us-east-1"), "Region this store answers for"),
    key(
        "small-parts",
        "BOOL",
        Some("false"),
        "Let any part of a multipart upload be smaller than 5 MiB",
    ),
    key(
        "connections",
        "COUNT",
        Some("8192"),
        "Connections open at once, within half of the file descriptors; further ones wait",
    ),
    key("requests", "COUNT", Some("2048"), "Requests worked on at once; further ones wait for 5s"),
    key(
        "body-window",
        "DURATION",
        Some("60s"),
        "Time in which a body that is waited for must bring 1 KiB, or is given up; in five of \
         them something of an answer must be taken",
    ),
    key(
        "vector-body-bytes",
        "SIZE",
        Some("20MiB"),
        "Largest body of a PutVectors; 500 vectors of 4096 dimensions take some 40MiB",
    ),
    key(
        "vector-cache-bytes",
        "SIZE",
        None,
        "Memory for what vector queries read and use again [default: an eighth of the memory, from \
         256MiB to 16GiB]",
    ),
    key(
        "vector-growing-rows",
        "COUNT",
        Some("50000"),
        "Vectors of an index that gather in memory before they are sealed as a segment",
    ),
    key(
        "vector-recall-probe",
        "SHARE",
        Some("0"),
        "Share of vector queries, from 0 to 1, that are answered once more exactly in the background, \
         to count what they found",
    ),
    key("log", "FILTER", Some("info"), "What to log, as in `warn` or `info,lodestore=debug`"),
    key("log-format", "FORM", Some("auto"), "`text`, `json`, or `auto`: text on a terminal"),
    key("drain", "DURATION", Some("10s"), "Time that requests in flight get when stopping"),
];

const _: () = assert!(KEYS.len() < 80, "a configuration that nobody reads is no configuration");
