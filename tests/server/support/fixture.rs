//! Buckets and contents for tests: each test has its own, so that all can share one server.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::client::Client;
use super::process::{Server, Setup};
use super::request::Request;
use super::signing::encode_path;

/// The server that all tests use that do not kill, starve or configure theirs.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Setup::new().start())
}

/// A new bucket on the shared server.
#[track_caller]
pub fn bucket(purpose: &str) -> Bucket {
    Bucket::create(&shared().client(), purpose)
}

/// A bucket with the client that made it.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Who asks.
    pub client: Client,
    /// Its name.
    pub name: String,
}

impl Bucket {
    /// Makes a bucket whose name begins with `purpose`.
    #[track_caller]
    pub fn create(client: &Client, purpose: &str) -> Self {
        Self::create_with(client, purpose, &[])
    }

    /// Makes a bucket with headers on the request.
    #[track_caller]
    pub fn create_with(client: &Client, purpose: &str, headers: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{purpose}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let bucket = Self { client: client.clone(), name };
        bucket.put("").headers(headers).send().expect(200);
        bucket
    }

    /// Makes a bucket with versioning on.
    #[track_caller]
    pub fn create_versioned(client: &Client, purpose: &str) -> Self {
        let bucket = Self::create(client, purpose);
        bucket.set_versioning("Enabled");
        bucket
    }

    /// Makes a bucket with object lock on.
    #[track_caller]
    pub fn create_locked(client: &Client, purpose: &str) -> Self {
        Self::create_with(client, purpose, &[("x-amz-bucket-object-lock-enabled", "true")])
    }

    /// Sets the versioning state.
    #[track_caller]
    pub fn set_versioning(&self, status: &str) {
        let body = format!(
            "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Status>{status}</Status></VersioningConfiguration>"
        );
        self.put("?versioning").body(body).content_md5().send().expect(200);
    }

    /// The same bucket as somebody else sees it.
    pub fn seen_by(&self, keys: (&str, &str)) -> Self {
        Self { client: self.client.with_keys(keys.0, keys.1), name: self.name.clone() }
    }

    /// A request for a key, as it goes on the wire, or for the bucket: `""` or `"?query"`.
    pub fn request(&self, method: &str, rest: &str) -> Request {
        let slash = if rest.is_empty() || rest.starts_with('?') { "" } else { "/" };
        self.client.request(method, &format!("/{}{slash}{rest}", self.name))
    }

    /// A `GET`.
    pub fn get(&self, rest: &str) -> Request {
        self.request("GET", rest)
    }

    /// A `HEAD`.
    pub fn head(&self, rest: &str) -> Request {
        self.request("HEAD", rest)
    }

    /// A `PUT`.
    pub fn put(&self, rest: &str) -> Request {
        self.request("PUT", rest)
    }

    /// A `POST`.
    pub fn post(&self, rest: &str) -> Request {
        self.request("POST", rest)
    }

    /// A `DELETE`.
    pub fn delete(&self, rest: &str) -> Request {
        self.request("DELETE", rest)
    }

    /// Stores `body` under a key in plain text and returns the ETag.
    #[track_caller]
    pub fn store(&self, key: &str, body: impl Into<Vec<u8>>) -> String {
        self.put(&encode_path(key)).body(body).send().expect(200).etag()
    }

    /// Stores `body` and returns the version id.
    #[track_caller]
    pub fn store_version(&self, key: &str, body: impl Into<Vec<u8>>) -> String {
        self.put(&encode_path(key)).body(body).send().expect(200).version_id()
    }

    /// The content under a key in plain text.
    #[track_caller]
    pub fn content(&self, key: &str) -> Vec<u8> {
        self.get(&encode_path(key)).send().expect(200).body
    }

    /// The keys in the bucket as a plain V2 listing tells them.
    #[track_caller]
    pub fn keys(&self) -> Vec<String> {
        self.get("?list-type=2").send().expect(200).xml().column("Contents", "Key")
    }
}

/// Content that can be made again from two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Which content.
    pub seed: u64,
    /// How much of it.
    pub len: usize,
}

impl Content {
    /// The bytes: no two places and no two seeds look alike.
    pub fn bytes(self) -> Vec<u8> {
        let mut random = Random::new(self.seed);
        let mut bytes = Vec::with_capacity(self.len + 8);
        while bytes.len() < self.len {
            bytes.extend_from_slice(&random.next().to_le_bytes());
        }
        bytes.truncate(self.len);
        bytes
    }
}

/// `len` bytes that compress badly and differ everywhere.
pub fn bytes(len: usize) -> Vec<u8> {
    Content { seed: 1, len }.bytes()
}

/// A small generator of numbers from a seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Starts at a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("64 bits");
        usize::try_from(self.next() % end).expect("below a usize")
    }

    /// One of `items`.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}
