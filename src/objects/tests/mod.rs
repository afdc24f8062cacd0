//! The object model on a real engine over a simulated device: no thread, no clock, no chance.

mod buckets;
mod conditions;
mod listings;
mod locks;
mod objects;
mod uploads;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use storage_engine::media::{SimEnvironment, SimMedia, SimOptions};
use storage_engine::{Engine, Environment, Options, PlainMasterKey};

use super::*;
use crate::catalog::Catalog;
use crate::server::body::BodyPromise;

const MIB: usize = 1024 * 1024;

/// A piece of a body.
type Piece = std::result::Result<Bytes, BodyFault>;

/// A store of its own for one test.
struct Fixture {
    environment: Arc<SimEnvironment>,
    objects: Objects,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(SmallParts::Allowed).await
    }

    async fn with(small_parts: SmallParts) -> Self {
        let environment = Arc::new(SimEnvironment::new(1));
        let shared: Arc<dyn Environment> = Arc::<SimEnvironment>::clone(&environment);
        let options = SimOptions {
            zone_bytes: crate::config::ZONE_BYTES_MIN,
            capacity_bytes: 512 * MIB as u64,
            ..SimOptions::default()
        };
        let media = Arc::new(SimMedia::new(&options));
        let key = Arc::new(PlainMasterKey::new([7; 32]));
        let engine = Engine::open(Arc::clone(&shared), media, key, Options::default()).unwrap();
        let catalog = Catalog::open(engine.clone(), None).await.unwrap();
        let settings = Settings { region: "us-east-1".into(), small_parts };
        Self { environment, objects: Objects::new(engine, catalog, shared, settings) }
    }

    /// A bucket to put things into: `plain`, `versioned` or `lock`.
    async fn bucket(&self, name: &str) -> Bucket {
        let versioning =
            if name == "plain" { Versioning::Unversioned } else { Versioning::Enabled };
        let new = NewBucket {
            name: name.into(),
            owner: "root".into(),
            region: None,
            versioning,
            object_lock: name == "lock",
            ownership: None,
            tags: vec![],
        };
        self.objects.ensure_bucket(new).await.unwrap();
        self.objects.bucket(name).unwrap()
    }

    fn now_ms(&self) -> u64 {
        self.environment.now_ms()
    }

    fn advance(&self, seconds: u64) {
        self.environment.advance(Duration::from_secs(seconds));
    }
}

fn run<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test)
}

fn new_put(key: &str) -> Put {
    Put {
        bind: None,
        key: key.into(),
        attributes: Attributes::default(),
        conditions: WriteConditions::default(),
        promise: BodyPromise::default(),
        algorithm: None,
    }
}

/// A body in pieces of odd sizes.
fn body(content: &[u8]) -> impl Stream<Item = Piece> + use<> {
    let pieces: Vec<Piece> =
        content.chunks(99_991).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

async fn put(bucket: &Bucket, key: &str, content: &[u8]) -> Stored {
    bucket.put(new_put(key), body(content)).await.unwrap()
}

async fn read(bucket: &Bucket, key: &str, version: Option<VersionId>) -> Result<Vec<u8>> {
    let object = bucket.object(key, version).await?;
    let content = object.open(0..object.info().size).collect().await?;
    Ok(content.to_vec())
}

fn delete_of(key: &str, version: Option<VersionId>) -> Delete {
    Delete {
        key: key.into(),
        version,
        conditions: DeleteConditions::default(),
        bypass: Bypass::None,
    }
}

/// Content without a pattern that a block could hide.
fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8).collect()
}

fn code<T>(result: Result<T>) -> Option<&'static str> {
    result.err().map(|error| error.code())
}
