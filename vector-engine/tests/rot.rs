//! An index one of whose records is whole and says anything: whatever is asked of it, it answers or
//! refuses, and never panics, waits for ever or takes memory for what is not there. Shared by
//! `damage.rs` and the fuzz target `index`.

use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use serde_json::json;
use storage_engine::media::{SeededRandom, SimEnvironment};
use storage_engine::{Batch, Content, Environment, Keep, Operation, Placement, Put, Stamp};
use vector_engine::{
    EngineOptions, Error, Explained, Index, IndexSettings, Language, List, Metric, NewRow, Query,
    QueryStats, QueryText, Result, TextField, VectorEngine, Want, verify,
};

use crate::reference::{filter, metadata};
use crate::subject::{Subject, open_engine, settings, vector};

const DIMENSION: usize = 4;
/// Rows of a segment without a graph, and of one with: more than are measured one by one, so that the
/// graph is walked.
const FLAT_ROWS: u64 = 40;
const GRAPH_ROWS: u64 = 560;
/// Rows that are only in a delta.
const GROWING_ROWS: u64 = 5;
/// Pages of a listing; the index has 8, damaged or not.
const PAGES_MAX: usize = 100;

/// The index as it was written, and its records.
pub(crate) struct Whole {
    subject: Subject,
    pub(crate) records: Vec<(Bytes, Bytes)>,
}

impl Whole {
    pub(crate) fn new() -> Self {
        let field = |key: &str, language| TextField { key: key.to_owned(), language };
        let text = vec![field("said", Some(Language::English)), field("color", None)];
        let settings = IndexSettings { text, ..settings(DIMENSION, Metric::Euclidean) };
        let options = EngineOptions {
            graph_rows_min: GRAPH_ROWS as usize / 2,
            background: false,
            ..EngineOptions::default()
        };
        let subject = Subject::new(21, settings, options);
        let mut random = SeededRandom::new(21);
        let mut put = |numbers: std::ops::Range<u64>| {
            let rows = numbers.map(|number| row(&mut random, number)).collect();
            block_on(subject.index.put(rows)).unwrap();
        };
        put(0..FLAT_ROWS);
        subject.index.seal().unwrap();
        put(FLAT_ROWS..FLAT_ROWS + GRAPH_ROWS);
        let gone = |number| format!("key {number}");
        block_on(subject.index.delete((35..45).map(gone).collect())).unwrap();
        subject.index.seal().unwrap();
        put(2_000..2_000 + GROWING_ROWS);
        block_on(subject.index.delete(vec![gone(3), gone(300)])).unwrap();
        let stats = subject.index.stats();
        assert_eq!((stats.sealed_segments, stats.graph_segments), (2, 1));
        let records = names().into_iter().map(|name| {
            let entry = subject.engine.current(subject.space, &name).unwrap();
            let entry = entry.unwrap_or_else(|| panic!("no record {name:?}"));
            let record = block_on(subject.engine.load(subject.space, &name, &entry)).unwrap();
            (name, block_on(record.read(0..u64::MAX).collect()).unwrap())
        });
        let records = records.collect();
        Self { subject, records }
    }

    /// Asks all there is to ask of a copy whose record of that name has another value, and answers
    /// how it was answered; none when the index was not opened.
    pub(crate) fn ask_with(&self, name: &Bytes, value: Bytes) -> Option<QueryStats> {
        let environment = Arc::new(SimEnvironment::new(1));
        let engine = open_engine(&environment, Arc::new(self.subject.media.fork()));
        let (space, settings) = (self.subject.space, &self.subject.settings);
        let placement = match name.last() {
            Some(b'v' | b'p') if name.len() == 10 => Placement::Pages,
            _ => Placement::Auto,
        };
        let mut writer = engine.writer(space, placement, Some(value.len() as u64)).unwrap();
        block_on(writer.write(value)).unwrap();
        let value = block_on(writer.finish()).unwrap();
        let (meta, stamp) = (Bytes::new(), Stamp::default());
        let content = Content::Value { value, meta, stamp, label: 0 };
        let name = name.clone();
        let put = Operation::Put(Put { space, name, keep: Keep::Null, content, lock: None });
        block_on(engine.commit(Batch { conditions: Vec::new(), operations: vec![put] })).unwrap();

        may_be_damaged(verify(&engine, space, settings));
        let environment = environment as Arc<dyn Environment>;
        // A graph is read and not built again: that would take most of the time.
        let options = EngineOptions { graph_rows_min: usize::MAX, ..self.subject.options.clone() };
        let vectors = VectorEngine::new(engine.clone(), environment, options).unwrap();
        let index = may_be_damaged(block_on(vectors.index(space, settings)))?;
        ask(&index);
        // So much dies that both segments are rewritten, and all is read.
        let keys = (0..FLAT_ROWS + GRAPH_ROWS).step_by(3).map(|number| format!("key {number}"));
        may_be_damaged(block_on(index.delete(keys.collect())));
        may_be_damaged(index.seal());
        ask(&index);
        Some(vectors.stats().queries)
    }
}

/// The records of the index: a manifest, a delta, two segments with all their parts.
fn names() -> Vec<Bytes> {
    let name = |kind: u8, number: u64, rest: &str| {
        Bytes::from([&[kind][..], &number.to_be_bytes(), rest.as_bytes()].concat())
    };
    let mut names = vec![Bytes::from_static(b"m"), name(b'd', 4, ""), name(b'x', 1, "")];
    for segment in [1, 2] {
        let parts = ["r", "v", "p", "f", "ten/said", "t-/color"];
        names.extend(parts.map(|part| name(b's', segment, part)));
    }
    names
}

fn row(random: &mut SeededRandom, number: u64) -> NewRow {
    let color = ["red", "green", "blue"][random.position(3)];
    let said = format!("{} foxes run {}", number % 7, number % 50);
    let document = json!({
        "color": color, "size": random.below(600), "live": random.percent(50), "said": said,
        "tags": ["all", (number % 4).to_string()], "score": number as f64 / 8.0, "note": "none",
    });
    NewRow {
        key: format!("key {number}"),
        vector: vector(random, DIMENSION),
        metadata: metadata(&document),
    }
}

/// Passes what is there, and what is refused for its damage.
fn may_be_damaged<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(Error::Corrupt(_) | Error::Storage(storage_engine::Error::Corrupt(_))) => None,
        Err(error) => panic!("damage is told as {error:?}"),
    }
}

fn ask(index: &Index) {
    let want = Want { data: true, metadata: true };
    let mut after = None;
    for page in 0.. {
        assert!(page < PAGES_MAX, "a listing does not end");
        let list = List { after, limit: 100, page_bytes: 1 << 20, parts: None, want, filter: None };
        let Some(page) = may_be_damaged(block_on(index.list(list))) else { break };
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let keys: Vec<String> = (0..800).step_by(7).map(|number| format!("key {number}")).collect();
    may_be_damaged(block_on(index.get(&keys, want)));
    let texts = |key: &str, text: &str| vec![QueryText { key: key.into(), text: text.into() }];
    let near = Some(vec![1.0, -2.0, 0.5, 0.0]);
    let most = filter(&json!({"size": {"$gte": 3}}));
    let few = filter(&json!({
        "$and": [
            {"color": {"$ne": "red"}}, {"score": {"$lt": 30.5}},
            {"$or": [{"tags": "2"}, {"live": true}, {"said": {"$exists": false}}]},
        ]
    }));
    for (vector, texts, filter, top) in [
        (near.clone(), Vec::new(), None, 10),
        (near.clone(), Vec::new(), None, 1000),
        (near.clone(), Vec::new(), Some(most.clone()), 10),
        (near.clone(), Vec::new(), Some(few.clone()), 10),
        (None, texts("said", "fox running 12"), None, 10),
        (None, texts("said", "6 foxes"), Some(few), 10),
        (None, texts("color", "red"), Some(most), 1000),
        (near, texts("said", "run"), None, 10),
    ] {
        let query = Query { vector, texts, top, filter, want, explain: Explained::Yes };
        if let Some(answer) = may_be_damaged(block_on(index.query(query))) {
            assert!(answer.hits.len() <= top);
        }
    }
}
