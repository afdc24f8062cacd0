//! `lodestore check` on objects and their vectors: silent about whatever clients did, and not when one
//! side was changed without the other, past all that keeps them together.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use bytes::Bytes;
use lodestore::catalog::{Catalog, Change, Expect, Kind};
use lodestore::keys::{LocalKeyring, StoreState};
use serde_json::Value;
use storage_engine::media::{FileMedia, FileMediaOptions};
use storage_engine::{
    Batch, Bypass, Content, Engine, Environment, Keep, Operation, Options, Placement, Put, Remove,
    SpaceId, Stamp, SystemEnvironment, Which,
};
use vector_engine::{
    EngineOptions, Index, IndexSettings, Metadata, Metric, NewRow, Owner, VectorEngine,
};

use super::{Vectors, put, put_as, upload};
use crate::support::{Bucket, Server, Setup};

/// A stopped store, opened past the server.
struct Store {
    engine: Engine,
    catalog: Catalog,
    vectors: VectorEngine,
}

impl Store {
    fn open(data: &Path) -> Self {
        let environment: Arc<dyn Environment> = Arc::new(SystemEnvironment::new(None));
        let media = Arc::new(FileMedia::open(&FileMediaOptions::new(data)).unwrap());
        let master = Arc::new(LocalKeyring::open(data, StoreState::Exists).unwrap());
        let options = Options { background: false, ..Options::default() };
        let engine = Engine::open(Arc::clone(&environment), media, master, options).unwrap();
        let catalog = run(Catalog::open(engine.clone(), None)).unwrap();
        let options = EngineOptions { background: false, ..EngineOptions::default() };
        let vectors = VectorEngine::new(engine.clone(), environment, options).unwrap();
        Self { engine, catalog, vectors }
    }

    fn close(self) {
        run(self.catalog.close());
        run(self.engine.close()).unwrap();
    }

    fn record(&self, kind: Kind, name: &str) -> Value {
        serde_json::from_slice(&self.catalog.get(kind, name).unwrap().bytes).unwrap()
    }

    fn space(&self, kind: Kind, name: &str, field: &str) -> SpaceId {
        SpaceId(self.record(kind, name)[field].as_u64().unwrap().try_into().unwrap())
    }

    /// Replaces a record of the catalog, or removes it.
    fn change(&self, kind: Kind, name: &str, record: Option<Value>) {
        let expect = Expect::Sequence(self.catalog.get(kind, name).unwrap().sequence);
        let bytes = record.map(|record| Bytes::from(record.to_string()));
        let name = name.to_owned();
        let (conditions, operations) = (Vec::new(), Vec::new());
        let change = Change { kind, name, expect, bytes, conditions, operations };
        run(self.catalog.change(change)).unwrap();
    }

    /// Has a record not say that there may be bound vectors.
    fn forget_bound(&self, kind: Kind, name: &str) {
        let mut record = self.record(kind, name);
        assert_eq!(record.as_object_mut().unwrap().remove("bound"), Some(Value::Bool(true)));
        self.change(kind, name, Some(record));
    }

    fn index(&self, vectors: &Vectors) -> Index {
        let space = self.space(Kind::VectorIndex, &vectors.named(), "space");
        let settings = IndexSettings {
            dimension: 2,
            metric: Metric::Euclidean,
            non_filterable: Vec::new(),
            text: Vec::new(),
        };
        run(self.vectors.index(space, &settings)).unwrap()
    }

    fn objects(&self, bucket: &Bucket) -> SpaceId {
        self.space(Kind::Bucket, &bucket.name, "objects")
    }

    fn commit(&self, operation: Operation) {
        let batch = Batch { conditions: Vec::new(), operations: vec![operation] };
        run(self.engine.commit(batch)).unwrap();
    }

    /// Puts one more version that says all that another one says.
    fn twin(&self, space: SpaceId, of: &str, name: &str) {
        let of = Bytes::copy_from_slice(of.as_bytes());
        let entry = self.engine.newest(space, &of).unwrap().unwrap();
        let record = run(self.engine.load(space, &of, &entry)).unwrap();
        let writer = self.engine.writer(space, Placement::Auto, Some(0)).unwrap();
        let content = Content::Value {
            value: run(writer.finish()).unwrap(),
            meta: record.meta.clone(),
            stamp: Stamp::default(),
            label: entry.label,
        };
        let name = Bytes::copy_from_slice(name.as_bytes());
        self.commit(Operation::Put(Put { space, name, keep: Keep::All, content, lock: None }));
    }
}

/// Waits for what may be done in tasks.
fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn owner_of(index: &Index, key: &str) -> Owner {
    let mut found = None;
    index
        .for_each_owned(|of, owner| {
            found = if of == key { Some(owner) } else { found };
            Ok::<(), vector_engine::Error>(())
        })
        .unwrap();
    found.unwrap()
}

fn take(index: &Index, key: &str) -> Owner {
    let owner = owner_of(index, key);
    run(index.delete_owned(owner, vec![key.to_owned()], Batch::default())).unwrap();
    owner
}

fn give(index: &Index, key: &str, owner: Owner) {
    let row = NewRow { key: key.to_owned(), vector: vec![1.0, 1.0], metadata: Metadata::default() };
    run(index.write_owned(owner, vec![row], Batch::default())).unwrap();
}

fn check(server: &Server) -> (Output, String) {
    let output = server.setup().run(&["check", server.data().to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, text)
}

#[track_caller]
fn finds_nothing(server: &Server, rows: u64) {
    let (output, text) = check(server);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(&format!("\n{rows} vectors that belong to objects\n")), "{text}");
}

#[test]
fn check_holds_objects_and_their_vectors_against_each_other() {
    let mut server = Setup::new().start();
    let client = server.client();
    let vectors = Vectors::create(&client);
    let others = Vectors::create(&client);
    let plain = Bucket::create(&client, "bound-check");
    plain.store("source", "0");
    let source = format!("/{}/source", plain.name);
    for (nth, key) in (1..).zip(["kept", "over", "copied", "uploaded", "deleted", "again", "twin"])
    {
        put(&plain, key, &vectors, nth).send().expect(200);
    }
    plain.store("over", "2");
    plain.put("copied").header("x-amz-copy-source", &*source).send().expect(200);
    let source = format!("/{}/kept", plain.name);
    plain.put("copy-of-kept").header("x-amz-copy-source", source).send().expect(200);
    upload(&plain, "uploaded");
    plain.delete("deleted").send().expect(204);
    put(&plain, "again", &vectors, 9).send().expect(200);
    put_as(&plain, "moved", &vectors, "moved/a", 1).send().expect(200);
    put_as(&plain, "moved", &vectors, "moved/b", 2).send().expect(200);
    put(&plain, "elsewhere", &others, 1).send().expect(200);
    vectors.put("free").expect(200);

    let versioned = Bucket::create_versioned(&client, "bound-check-versions");
    for number in 1..4 {
        let vector = format!("version/{number}");
        put_as(&versioned, "k", &vectors, &vector, number).send().expect(200);
    }
    versioned.delete("k").send().expect(204);
    let gone = put(&versioned, "gone", &vectors, 1).send().expect(200).version_id();
    versioned.delete(&format!("gone?versionId={gone}")).send().expect(204);
    let suspended = Bucket::create(&client, "bound-check-suspended");
    put_as(&suspended, "k", &vectors, "null", 1).send().expect(200);
    suspended.set_versioning("Enabled");
    put_as(&suspended, "k", &vectors, "newer", 1).send().expect(200);
    suspended.set_versioning("Suspended");
    put(&suspended, "deleted", &vectors, 1).send().expect(200);
    suspended.delete("deleted").send().expect(204);
    assert!(server.stop().success());
    // Kept, again, twin, moved, elsewhere; three versions; null and newer.
    finds_nothing(&server, 10);

    // In segments it is no other.
    let store = Store::open(&server.data());
    store.index(&vectors).seal().unwrap();
    store.close();
    finds_nothing(&server, 10);

    let store = Store::open(&server.data());
    let index = store.index(&vectors);
    take(&index, "kept");
    give(&index, "stray", Owner([9; 16]));
    let removed = Bytes::from_static(b"again");
    let space = store.objects(&plain);
    let (which, bypass) = (Which::Null, Bypass::None);
    store.commit(Operation::Remove(Remove { space, name: removed, which, bypass }));
    store.twin(space, "twin", "twins-twin");
    let owner = take(&index, "version/2");
    give(&index, "version/other", owner);
    store.change(Kind::VectorIndex, &others.named(), None);
    store.forget_bound(Kind::Bucket, &versioned.name);
    store.forget_bound(Kind::VectorIndex, &vectors.named());
    drop(index);
    store.close();
    let (output, text) = check(&server);
    assert!(!output.status.success(), "{text}");
    let (ours, plain, other) = (vectors.named(), &plain.name, others.named());
    for finding in [
        format!("vector index {ours}: its record does not say that vectors of it belong to"),
        format!(
            "bucket {plain}: version null of \"kept\" is bound to the vector \"kept\" of vector"
        ),
        format!("\"kept\" of vector index {ours}: there is no such vector that belongs to it"),
        format!("vector index {ours}: the vector \"stray\" belongs to an object, and no version"),
        format!("vector index {ours}: the vector \"again\" belongs to an object, and no version"),
        format!("\"twin\" of vector index {ours}: it belongs to another version as well"),
        format!("of \"k\" is bound to the vector \"version/2\" of vector index {ours}: another"),
        format!("the vector \"elsewhere\" of vector index {other}: there is no such index"),
        format!("bucket {}: its record does not say that objects of it have", versioned.name),
    ] {
        assert!(text.contains(&finding), "{finding}\n{text}");
    }
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains(": 8 findings"), "{told}\n{text}");
}
