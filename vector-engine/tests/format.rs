//! A store with a vector index as the first release wrote it, which every later one must read:
//! segments with and without a graph, dead rows, columns, texts, rows of an owner, and writes behind
//! them.
//!
//! `LODESTORE_WRITE_FIXTURE` writes it anew; only for a new format version.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::executor::block_on;
use serde_json::{Value, json};
use storage_engine::media::{
    Durability, FileMedia, FileMediaOptions, Media, SeededRandom, SimEnvironment,
};
use storage_engine::{Batch, Engine, Operation, PlainMasterKey, SpaceId};
use vector_engine::{
    EngineOptions, Error, Index, IndexSettings, Language, List, Metric, NewRow, Owner, Query,
    QueryText, TextField, Verified, Want, verify,
};

use crate::reference::{filter, metadata};
use crate::subject::{open_engine, open_index, vector};

/// The newest format version; a fixture of each stays.
const FORMAT_VERSION: u16 = 1;
const SPACE: SpaceId = SpaceId(1);
const ZONE_BYTES: u64 = 128 * 1024;
const DIMENSION: usize = 6;
const OWNED: &str = "key owned";

fn settings() -> IndexSettings {
    IndexSettings {
        dimension: DIMENSION,
        metric: Metric::Cosine,
        non_filterable: vec!["note".to_owned()],
        text: vec![TextField { key: "text".to_owned(), language: Some(Language::English) }],
    }
}

fn options() -> EngineOptions {
    EngineOptions { graph_rows_min: 60, background: false, ..EngineOptions::default() }
}

fn fixture(version: u16) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/v{version}"))
}

/// Copies a folder with the modes a device has: a checkout keeps none.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy_folder(&item.path(), &target);
        } else {
            std::fs::write(&target, std::fs::read(item.path()).unwrap()).unwrap();
            std::fs::set_permissions(&target, PermissionsExt::from_mode(0o600)).unwrap();
        }
    }
    std::fs::set_permissions(to, PermissionsExt::from_mode(0o700)).unwrap();
}

fn media(directory: &Path) -> Arc<dyn Media> {
    let options = FileMediaOptions {
        zone_bytes: ZONE_BYTES,
        durability: Durability::None,
        capacity_bytes: Some(8 << 20),
        ..FileMediaOptions::new(directory)
    };
    Arc::new(FileMedia::open(&options).unwrap())
}

fn open(seed: u64, media: Arc<dyn Media>) -> (Engine, Index) {
    let environment = Arc::new(SimEnvironment::new(seed));
    let engine = open_engine(&environment, media);
    if engine.is_empty(SPACE).is_err() {
        assert_eq!(engine.reserve_space(), SPACE);
        let operations = vec![Operation::CreateSpace(SPACE)];
        block_on(engine.commit(Batch { conditions: Vec::new(), operations })).unwrap();
    }
    let (_, index) = open_index(&environment, &engine, &options(), SPACE, &settings());
    (engine, index)
}

/// All that can be asked of the index, as text. Distances are told as far as every processor agrees.
fn describe(index: &Index) -> String {
    let mut out = String::new();
    let all = List {
        after: None,
        limit: 1000,
        page_bytes: 1 << 20,
        parts: None,
        want: Want { data: true, metadata: true },
        filter: None,
    };
    for row in block_on(index.list(all)).unwrap().rows {
        let (vector, metadata) =
            (row.vector.unwrap(), Value::from(row.metadata.unwrap().to_json()));
        writeln!(out, "row {} {vector:?} {metadata}", row.key).unwrap();
    }
    let text = |text: &str| vec![QueryText { key: "text".to_owned(), text: text.to_owned() }];
    let red = filter(&json!({"$and": [{"color": "red"}, {"size": {"$gte": 2}}]}));
    let vector = || Some((0..DIMENSION).map(|nth| nth as f32 - 1.5).collect::<Vec<f32>>());
    for (what, vector, texts, filter) in [
        ("nearest", vector(), Vec::new(), None),
        ("nearest red", vector(), Vec::new(), Some(red.clone())),
        ("said", None, text("foxes running"), None),
        ("said red", None, text("runs"), Some(red)),
        ("both", vector(), text("dogs"), None),
    ] {
        let query = Query { vector, texts, filter, top: 8, ..Query::default() };
        for hit in block_on(index.query(query)).unwrap().hits {
            let scores: Vec<String> =
                hit.text_scores.iter().map(|(key, score)| format!("{key} {score:.3}")).collect();
            let distance = hit.distance.map(|distance| format!(" {distance:.4}"));
            let distance = distance.unwrap_or_default();
            writeln!(out, "{what}: {}{distance} {scores:?}", hit.key).unwrap();
        }
    }
    out
}

#[test]
fn yesterdays_vectors_are_read_exactly() {
    if std::env::var_os("LODESTORE_WRITE_FIXTURE").is_some() {
        write_the_fixture();
    }
    for version in 1..=FORMAT_VERSION {
        read_the_fixture(version);
    }
}

fn read_the_fixture(version: u16) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    copy_folder(&fixture(version).join("store"), &store);
    let expected = std::fs::read_to_string(fixture(version).join("content.txt")).unwrap();
    let rows = expected.lines().filter(|line| line.starts_with("row ")).count() as u64;
    {
        let media = media(&store);
        let report = storage_engine::check(media.as_ref(), &PlainMasterKey::new([7; 32])).unwrap();
        assert_eq!(report.corruptions, []);
        let (engine, index) = open(99, media);
        let found = verify(&engine, SPACE, &settings()).unwrap();
        assert_eq!(
            found,
            Verified { segments: 3, rows: 155, dead_rows: 8, deltas: 3, findings: vec![] }
        );
        let stats = index.stats();
        assert_eq!((stats.rows, stats.sealed_segments, stats.graph_segments), (rows, 3, 1));
        assert_eq!(describe(&index), expected);
        let refused = block_on(index.delete(vec![OWNED.to_owned()])).unwrap_err();
        assert!(matches!(refused, Error::Conflict(_)), "{refused}");
        // This release goes on: it seals the writes, and merges with what is here.
        let mut random = SeededRandom::new(9);
        for batch in 0..3 {
            let numbers = 1000 + batch * 25..1025 + batch * 25;
            let later =
                |number| NewRow { key: format!("later {number}"), ..row(&mut random, number) };
            block_on(index.put(numbers.map(later).collect())).unwrap();
            index.seal().unwrap();
        }
        assert_eq!(index.stats().sealed_segments, 3, "nothing was merged");
        block_on(engine.close()).unwrap();
    }
    let (engine, index) = open(100, media(&store));
    let rows = |text: &str| -> Vec<String> {
        let old = |line: &&str| line.starts_with("row ") && !line.starts_with("row later ");
        text.lines().filter(old).map(str::to_owned).collect()
    };
    assert_eq!(rows(&describe(&index)), rows(&expected));
    assert_eq!(verify(&engine, SPACE, &settings()).unwrap().findings, [""; 0]);
}

fn row(random: &mut SeededRandom, number: u64) -> NewRow {
    let color = ["red", "green", "blue"][random.position(3)];
    let (who, does) = (["a fox", "dogs", "the cat"][random.position(3)], ["runs", "sleep"]);
    let said = format!("{who} {} {number}", does[random.position(2)]);
    let (size, live) = (random.below(6), random.percent(50));
    let document = json!({
        "color": color, "size": size, "live": live, "text": said, "tags": ["all", (number % 4).to_string()],
        "note": "n".repeat(size as usize),
    });
    NewRow {
        key: format!("key {number}"),
        vector: vector(random, DIMENSION),
        metadata: metadata(&document),
    }
}

/// Writes the store of this release anew.
fn write_the_fixture() {
    let fixture = fixture(FORMAT_VERSION);
    let store = fixture.join("store");
    let _absent = std::fs::remove_dir_all(&fixture).is_err();
    std::fs::create_dir_all(&store).unwrap();
    let (engine, index) = open(2026, media(&store));
    let mut random = SeededRandom::new(2026);
    let mut put = |numbers: std::ops::Range<u64>| {
        let rows = numbers.map(|number| row(&mut random, number)).collect();
        block_on(index.put(rows)).unwrap();
    };
    let keys = |numbers: std::ops::Range<u64>| numbers.map(|n| format!("key {n}")).collect();
    put(0..100);
    index.seal().unwrap();
    // Over some of the first segment, and behind it.
    put(96..130);
    block_on(index.delete(keys(0..2))).unwrap();
    index.seal().unwrap();
    put(130..150);
    let owned = NewRow { key: OWNED.to_owned(), ..row(&mut SeededRandom::new(5), 1000) };
    block_on(index.write_owned(Owner([7; 16]), vec![owned], Batch::default())).unwrap();
    block_on(index.delete(keys(128..130))).unwrap();
    index.seal().unwrap();
    // What is only in deltas.
    put(150..155);
    put(10..12);
    block_on(index.delete(keys(20..22))).unwrap();
    std::fs::write(fixture.join("content.txt"), describe(&index)).unwrap();
    block_on(engine.close()).unwrap();
    drop((engine, index));
    let _gone = std::fs::remove_file(store.join("LOCK")).is_ok();
}
