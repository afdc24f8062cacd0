//! Both sides on one store over a simulated device, in one pass and in many.

use bytes::Bytes;
use futures::stream;
use storage_engine::media::{SimEnvironment, SimMedia, SimOptions};
use storage_engine::{Batch, Operation, Options, PlainMasterKey};
use tokio::runtime::{Builder, Runtime};
use vector_engine::{Metadata, NewRow};

use super::*;
use crate::catalog::{Change, Expect};
use crate::objects::{
    Attributes, Bind, Bucket, NewBucket, Objects, Put, Settings, SmallParts, Versioning,
    WriteConditions,
};
use crate::server::body::BodyPromise;
use crate::vectors::record::{Metric, Tags};

struct Fixture {
    /// For what is asynchronous; a comparison waits by itself, as it does in `lodestore check`.
    runtime: Runtime,
    environment: Arc<dyn Environment>,
    engine: Engine,
    catalog: Catalog,
    record: IndexRecord,
    bucket: Bucket,
    index: Index,
}

impl Fixture {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().build().unwrap();
        let environment: Arc<dyn Environment> = Arc::new(SimEnvironment::new(1));
        let options = SimOptions {
            zone_bytes: crate::config::ZONE_BYTES_MIN,
            capacity_bytes: 256 << 20,
            ..SimOptions::default()
        };
        let media = Arc::new(SimMedia::new(&options));
        let master = Arc::new(PlainMasterKey::new([7; 32]));
        let options = Options { background: false, ..Options::default() };
        let engine = Engine::open(Arc::clone(&environment), media, master, options).unwrap();
        let catalog = runtime.block_on(Catalog::open(engine.clone(), None)).unwrap();
        let record = IndexRecord {
            format: IndexRecord::FORMAT,
            bucket: "films".into(),
            name: "plots".into(),
            created_ms: 0,
            dimension: 1,
            metric: Metric::Euclidean,
            non_filterable: Vec::new(),
            text: Vec::new(),
            tags: Tags::new(),
            bound: true,
            space: engine.reserve_space().0,
        };
        let change = Change {
            kind: Kind::VectorIndex,
            name: "films/plots".into(),
            expect: Expect::Absent,
            bytes: Some(record.encode().unwrap()),
            conditions: Vec::new(),
            operations: vec![Operation::CreateSpace(record.space())],
        };
        runtime.block_on(catalog.change(change)).unwrap();
        let options = EngineOptions { background: false, ..EngineOptions::default() };
        let vectors = VectorEngine::new(engine.clone(), Arc::clone(&environment), options).unwrap();
        let index = open(&vectors, &record).unwrap();
        let settings = Settings { region: "r".into(), small_parts: SmallParts::Allowed };
        let objects =
            Objects::new(engine.clone(), catalog.clone(), Arc::clone(&environment), settings);
        let new = NewBucket {
            name: "bucket".into(),
            owner: "root".into(),
            region: None,
            versioning: Versioning::Unversioned,
            object_lock: false,
            ownership: None,
            tags: Vec::new(),
        };
        runtime.block_on(objects.ensure_bucket(new)).unwrap();
        let bucket = objects.bucket("bucket").unwrap();
        Self { runtime, environment, engine, catalog, record, bucket, index }
    }

    /// Objects with vectors, some of them in a segment.
    fn filled(objects: u64) -> Self {
        let mut fixture = Self::new();
        for nth in 0..objects {
            if nth == objects / 2 {
                fixture.index.seal().unwrap();
            }
            fixture.put(nth);
        }
        fixture
    }

    fn put(&mut self, nth: u64) {
        let (owner, key) = (owner(nth), key(nth));
        let IndexRecord { space, bucket, name, .. } = self.record.clone();
        let binding = Binding { owner, space, bucket, index: name, key };
        let put = Put {
            key: key_of_object(nth),
            attributes: Attributes::default(),
            conditions: WriteConditions::default(),
            promise: BodyPromise::default(),
            algorithm: None,
            bind: Some(Bind { index: self.index.clone(), row: row(nth), binding }),
        };
        let body = stream::iter([Ok(Bytes::from_static(b"x"))]);
        self.runtime.block_on(self.bucket.put(put, body)).unwrap();
    }

    fn take(&self, nth: u64) {
        self.runtime
            .block_on(self.index.delete_owned(owner(nth), vec![key(nth)], Batch::default()))
            .unwrap();
    }

    fn give(&self, owner: Owner, rows: Vec<NewRow>) {
        self.runtime.block_on(self.index.write_owned(owner, rows, Batch::default())).unwrap();
    }

    fn compared(&self, pass_rows: u64) -> Agreement {
        let environment = Arc::clone(&self.environment);
        let mut compared =
            compare_in_passes(&self.engine, environment, &self.catalog, pass_rows).unwrap();
        compared.findings.sort();
        compared
    }
}

fn owner(nth: u64) -> Owner {
    Owner((u128::from(nth).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).to_be_bytes())
}

fn key(nth: u64) -> String {
    format!("vector {nth:03}")
}

fn key_of_object(nth: u64) -> String {
    format!("object {nth:03}")
}

fn row(nth: u64) -> NewRow {
    NewRow { key: key(nth), vector: vec![nth as f32], metadata: Metadata::default() }
}

#[test]
fn sides_that_agree_do_so_in_any_number_of_passes() {
    let fixture = Fixture::filled(60);
    for pass_rows in [1, 7, 59, 60, 1000] {
        let agreement = Agreement { rows: 60, findings: Vec::new() };
        assert_eq!(fixture.compared(pass_rows), agreement, "{pass_rows} rows a pass");
    }
    assert_eq!(Fixture::new().compared(7), Agreement::default());
}

#[test]
fn what_one_side_alone_says_is_found_in_whatever_pass() {
    let fixture = Fixture::filled(40);
    let mut expected = Vec::new();
    for nth in [3, 30] {
        fixture.take(nth);
        expected.push(format!(
            "bucket bucket: version null of {:?} is bound to the vector {:?} of vector index \
             films/plots: there is no such vector that belongs to it",
            key_of_object(nth),
            key(nth)
        ));
    }
    for nth in [50, 51] {
        fixture.give(owner(nth), vec![row(nth)]);
        expected.push(format!(
            "vector index films/plots: the vector {:?} belongs to an object, and no version of an \
             object is bound to it",
            key(nth)
        ));
    }
    let of_two = vec![row(60), row(61)];
    fixture.give(owner(60), of_two);
    for pass_rows in [3, 1000] {
        let Agreement { rows, mut findings } = fixture.compared(pass_rows);
        assert_eq!(rows, 42);
        let shared = findings.extract_if(.., |found| found.contains("vector 06"));
        // One is the other's, and no version is of either.
        assert_eq!(shared.count(), 3, "{pass_rows} rows a pass");
        assert_eq!(findings, expected, "{pass_rows} rows a pass");
    }
}

#[test]
fn of_very_many_findings_a_hundred_are_told_and_the_rest_is_counted() {
    let fixture = Fixture::filled(120);
    for nth in 0..120 {
        fixture.take(nth);
    }
    let Agreement { rows, findings } = fixture.compared(1000);
    assert_eq!((rows, findings.len()), (0, FINDINGS_MAX + 1));
    assert!(findings.contains(&"20 more of objects and their vectors".to_owned()));
}

#[test]
fn an_index_that_cannot_be_read_is_named_once_and_its_objects_are_not() {
    let fixture = Fixture::filled(10);
    let manifest = Bytes::from_static(b"m");
    let space = fixture.record.space();
    let operation = crate::vectors::registry::put_empty(space, manifest);
    let batch = Batch { conditions: Vec::new(), operations: vec![operation] };
    fixture.runtime.block_on(fixture.engine.commit(batch)).unwrap();
    let Agreement { rows, findings } = fixture.compared(1000);
    assert_eq!((rows, findings.len()), (0, 1), "{findings:?}");
    assert!(findings[0].starts_with("vector index films/plots: not compared"), "{findings:?}");
}
