//! A vector index on a simulated device beside its reference: every write goes to both, and all that
//! can be asked is compared.

use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use serde_json::json;
use storage_engine::media::{Media, SeededRandom, SimEnvironment, SimMedia, SimOptions, Survival};
use storage_engine::{
    Batch, Bypass, Content, Engine, Environment, Keep, Operation, Options, Placement,
    PlainMasterKey, Put, Remove, SpaceId, Stamp, Which,
};
use vector_engine::{
    EngineOptions, Index, IndexSettings, List, Metric, NewRow, Query, VectorEngine, Want, verify,
};

use crate::reference::{Reference, ReferenceRow, filter, metadata};

/// Small enough that segments span zones, large enough for a resident part.
const ZONE_BYTES: u64 = 256 * 1024;

#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) environment: Arc<SimEnvironment>,
    pub(crate) media: Arc<SimMedia>,
    pub(crate) engine: Engine,
    pub(crate) vectors: VectorEngine,
    pub(crate) index: Index,
    pub(crate) settings: IndexSettings,
    pub(crate) space: SpaceId,
    pub(crate) reference: Reference,
    pub(crate) options: EngineOptions,
}

pub(crate) fn settings(dimension: usize, metric: Metric) -> IndexSettings {
    IndexSettings { dimension, metric, non_filterable: vec!["note".to_owned()], text: Vec::new() }
}

pub(crate) fn small_segments() -> EngineOptions {
    EngineOptions { growing_rows_max: 60, background: false, ..EngineOptions::default() }
}

pub(crate) fn sim_options(seed: u64) -> SimOptions {
    SimOptions { seed, zone_bytes: ZONE_BYTES, ..SimOptions::default() }
}

pub(crate) fn open_engine(environment: &Arc<SimEnvironment>, media: Arc<dyn Media>) -> Engine {
    let environment = Arc::clone(environment) as Arc<dyn Environment>;
    let options = Options { background: false, ..Options::default() };
    Engine::open(environment, media, Arc::new(PlainMasterKey::new([7; 32])), options).unwrap()
}

pub(crate) fn open_index(
    environment: &Arc<SimEnvironment>,
    engine: &Engine,
    options: &EngineOptions,
    space: SpaceId,
    settings: &IndexSettings,
) -> (VectorEngine, Index) {
    let environment = Arc::clone(environment) as Arc<dyn Environment>;
    let vectors = VectorEngine::new(engine.clone(), environment, options.clone()).unwrap();
    let index = block_on(vectors.index(space, settings)).unwrap();
    (vectors, index)
}

impl Subject {
    pub(crate) fn new(seed: u64, settings: IndexSettings, options: EngineOptions) -> Self {
        let environment = Arc::new(SimEnvironment::new(seed));
        let media = Arc::new(SimMedia::new(&sim_options(seed)));
        let engine = open_engine(&environment, Arc::clone(&media) as Arc<dyn Media>);
        let space = engine.reserve_space();
        let operations = vec![Operation::CreateSpace(space)];
        block_on(engine.commit(Batch { conditions: Vec::new(), operations })).unwrap();
        let (vectors, index) = open_index(&environment, &engine, &options, space, &settings);
        let reference = Reference::default();
        Self { environment, media, engine, vectors, index, settings, space, reference, options }
    }

    /// The index that a device holds.
    pub(crate) fn resumed(&self, seed: u64, media: SimMedia, reference: Reference) -> Self {
        let environment = Arc::new(SimEnvironment::new(seed));
        let media = Arc::new(media);
        let engine = open_engine(&environment, Arc::clone(&media) as Arc<dyn Media>);
        let store = Self { environment, media, engine, ..self.clone() };
        store.reopened(self.space, reference)
    }

    /// Another index of the same store.
    pub(crate) fn reopened(&self, space: SpaceId, reference: Reference) -> Self {
        let (environment, options, settings) = (&self.environment, &self.options, &self.settings);
        let (vectors, index) = open_index(environment, &self.engine, options, space, settings);
        Self { vectors, index, space, reference, ..self.clone() }
    }

    /// Loses power and starts again.
    pub(crate) fn crash(&mut self, survival: Survival) {
        let media = self.media.crash(survival);
        *self = self.resumed(self.environment.now_ms(), media, self.reference.clone());
    }

    /// Ends the process and starts it again.
    pub(crate) fn restart(&mut self) {
        let media = self.media.restart();
        *self = self.resumed(self.environment.now_ms(), media, self.reference.clone());
    }

    pub(crate) fn put(&mut self, rows: Vec<NewRow>) {
        for NewRow { key, vector, metadata } in rows.clone() {
            self.reference.rows.insert(key, ReferenceRow { vector, metadata });
        }
        block_on(self.index.put(rows)).unwrap();
    }

    pub(crate) fn delete(&mut self, keys: Vec<String>) {
        for key in &keys {
            self.reference.rows.remove(key);
        }
        block_on(self.index.delete(keys)).unwrap();
    }

    /// The value of a record of the index.
    pub(crate) fn read(&self, name: &Bytes) -> Option<Bytes> {
        let entry = self.engine.current(self.space, name).unwrap()?;
        let record = block_on(self.engine.load(self.space, name, &entry)).unwrap();
        Some(block_on(record.read(0..u64::MAX).collect()).unwrap())
    }

    /// Puts a value under the name of a record, or removes what is there.
    pub(crate) fn write(&self, name: &Bytes, value: Option<Bytes>) {
        let (space, name) = (self.space, name.clone());
        let operation = match value {
            None => {
                Operation::Remove(Remove { space, name, which: Which::Null, bypass: Bypass::None })
            }
            Some(bytes) => {
                let len = Some(bytes.len() as u64);
                let mut writer = self.engine.writer(space, Placement::Auto, len).unwrap();
                block_on(writer.write(bytes)).unwrap();
                let value = block_on(writer.finish()).unwrap();
                let (meta, stamp) = (Bytes::new(), Stamp::default());
                let content = Content::Value { value, meta, stamp, label: 0 };
                Operation::Put(Put { space, name, keep: Keep::Null, content, lock: None })
            }
        };
        let batch = Batch { conditions: Vec::new(), operations: vec![operation] };
        block_on(self.engine.commit(batch)).unwrap();
    }

    /// Compares all that can be asked; what differs is the error.
    pub(crate) fn verify(&self, random: &mut SeededRandom) -> Result<(), String> {
        let found = verify(&self.engine, self.space, &self.settings).map_err(|e| e.to_string())?;
        if let Some(finding) = found.findings.first() {
            return Err(finding.clone());
        }
        self.verify_listing()?;
        self.verify_get()?;
        for round in 0..3 {
            self.verify_query(random, round)?;
        }
        Ok(())
    }

    fn verify_listing(&self) -> Result<(), String> {
        for parts in [None, Some(3)] {
            let mut listed = Reference::default();
            for part in 0..parts.unwrap_or(1) {
                let mut after = None;
                loop {
                    let list = List {
                        after,
                        limit: 7,
                        page_bytes: 10_000,
                        parts: parts.map(|parts| (parts, part)),
                        want: Want { data: true, metadata: true },
                        filter: None,
                    };
                    let page = block_on(self.index.list(list)).map_err(|e| e.to_string())?;
                    for row in page.rows {
                        let (vector, metadata) = (row.vector.unwrap(), row.metadata.unwrap());
                        let row_there = ReferenceRow { vector, metadata };
                        if listed.rows.insert(row.key.clone(), row_there).is_some() {
                            return Err(format!("{:?} is listed twice", row.key));
                        }
                    }
                    match page.next {
                        Some(next) => after = Some(next),
                        None => break,
                    }
                }
            }
            if listed != self.reference {
                let (found, expected) = (listed.rows.len(), self.reference.rows.len());
                return Err(format!("{found} rows are listed in parts {parts:?}, not {expected}"));
            }
        }
        Ok(())
    }

    fn verify_get(&self) -> Result<(), String> {
        let mut keys: Vec<String> = self.reference.rows.keys().take(20).cloned().collect();
        keys.insert(keys.len() / 2, "never there".to_owned());
        let want = Want { data: true, metadata: false };
        let rows = block_on(self.index.get(&keys, want)).map_err(|e| e.to_string())?;
        keys.retain(|key| key != "never there");
        let found: Vec<&String> = rows.iter().map(|row| &row.key).collect();
        if found != keys.iter().collect::<Vec<_>>() {
            return Err(format!("got {found:?}, not {keys:?}"));
        }
        Ok(())
    }

    fn verify_query(&self, random: &mut SeededRandom, round: usize) -> Result<(), String> {
        let filters = [
            None,
            Some(filter(&json!({"color": "red"}))),
            Some(filter(&json!({"$and": [{"size": {"$gte": 3}}, {"color": {"$ne": "blue"}}]}))),
        ];
        let filter = filters[round % filters.len()].clone();
        let vector = vector(random, self.settings.dimension);
        let expected = self.reference.nearest(self.settings.metric, &vector, filter.as_ref());
        let top = 1 + random.position(12);
        let query = Query { vector: Some(vector), top, filter, ..Query::default() };
        let answer = block_on(self.index.query(query)).map_err(|e| e.to_string())?;
        if answer.hits.len() != expected.len().min(top) {
            return Err(format!("{} hits of {} for {top}", answer.hits.len(), expected.len()));
        }
        for (hit, (_, distance)) in answer.hits.iter().zip(&expected) {
            let told = f64::from(hit.distance.unwrap());
            let own = expected.iter().find(|(key, _)| *key == hit.key);
            let Some((_, own)) = own else {
                return Err(format!("{:?} is found and does not match", hit.key));
            };
            if (told - distance).abs() > 1e-4 * (1.0 + distance.abs())
                || (told - own).abs() > 1e-4 * (1.0 + own.abs())
            {
                return Err(format!("{:?} at {told}, not {own}; expected {distance}", hit.key));
            }
        }
        Ok(())
    }
}

/// The name of a record of the index's space.
pub(crate) fn record_name(kind: u8, number: u64, rest: &str) -> Bytes {
    [&[kind][..], &number.to_be_bytes(), rest.as_bytes()].concat().into()
}

/// A vector of small whole numbers, never zero.
pub(crate) fn vector(random: &mut SeededRandom, dimension: usize) -> Vec<f32> {
    let mut vector: Vec<f32> = (0..dimension).map(|_| random.below(9) as f32 - 4.0).collect();
    if vector.iter().all(|component| *component == 0.0) {
        vector[0] = 1.0;
    }
    vector
}

/// A row under one of a few keys.
pub(crate) fn row(random: &mut SeededRandom, dimension: usize, keys: u64) -> NewRow {
    let color = ["red", "green", "blue"][random.position(3)];
    let size = random.below(6);
    NewRow {
        key: format!("key {}", random.below(keys)),
        vector: vector(random, dimension),
        metadata: metadata(
            &json!({"color": color, "size": size, "note": "x".repeat(size as usize)}),
        ),
    }
}

/// Rows with keys of their own.
pub(crate) fn rows(
    random: &mut SeededRandom,
    dimension: usize,
    keys: u64,
    count: usize,
) -> Vec<NewRow> {
    let mut rows: Vec<NewRow> = (0..count).map(|_| row(random, dimension, keys)).collect();
    let mut seen = std::collections::HashSet::new();
    rows.retain(|row| seen.insert(row.key.clone()));
    rows
}
