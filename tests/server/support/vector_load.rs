//! A load of vectors that knows what has to be there: workers put, overwrite, delete and search until
//! the server goes away, and hold what they were told against what is there then.
//!
//! - Each worker owns its keys of each index, so what it finds under a filter that names it is exactly
//!   what it knows, even while the others write.
//! - Answers are held against exact ones: segments have to be too small for a graph.
//! - An answer that is wrong while the server runs is a panic; what is wrong after a restart is told.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::Client;
use super::fixture::Random;
use super::process::Server;
use super::vector_rows::{Found, Row, Rows, VectorIndex, query, vector};
use super::vectors::ok;

/// What `LODESTORE_VECTOR_GROWING_ROWS` should be, for seals and merges to happen all the time: the
/// smallest that the configuration takes.
pub const GROWING_ROWS: u64 = 100;
/// Keys of each worker in each index.
const KEYS: usize = 1000;
const PUT_ROWS_MAX: usize = 40;
/// One index of each.
const METRICS: [&str; 2] = ["euclidean", "cosine"];
/// Wait after the store said that it has no room just now.
const PATIENCE: Duration = Duration::from_millis(20);

/// The server is gone in the middle of a request.
struct Died;

/// What one worker knows of one index.
#[derive(Debug)]
struct Known {
    index: VectorIndex,
    rows: Rows,
    /// What the rows are if the request without an answer was carried out.
    doubt: Option<Rows>,
}

/// One client with its memory.
#[derive(Debug)]
pub struct VectorWorker {
    name: String,
    indexes: Vec<Known>,
    random: Random,
    acknowledged: u64,
    refused: u64,
}

/// The workers and what they share.
#[derive(Debug)]
pub struct VectorLoad {
    workers: Vec<VectorWorker>,
    indexes: Vec<VectorIndex>,
    random: Random,
}

impl VectorLoad {
    /// Makes a vector bucket of that name, its indexes and so many workers.
    pub fn create(server: &Server, bucket: &str, workers: usize, seed: u64) -> Self {
        let (client, mut random) = (server.client(), Random::new(seed));
        ok(&client, "CreateVectorBucket", &json!({ "vectorBucketName": bucket }));
        let create = |metric| VectorIndex::create(&client, bucket, metric);
        let indexes: Vec<VectorIndex> = METRICS.into_iter().map(create).collect();
        let worker = |number| VectorWorker::new(number, &indexes, random.next());
        Self { workers: (0..workers).map(worker).collect(), indexes, random }
    }

    /// Each of them can work on a thread of its own.
    pub fn workers(&mut self) -> impl Iterator<Item = &mut VectorWorker> {
        self.workers.iter_mut()
    }

    /// One more step of each, with a server that stays.
    pub fn go_on(&mut self) {
        for worker in &mut self.workers {
            assert!(worker.step().is_ok(), "the server is gone");
        }
    }

    /// Writes that the server said were done.
    pub fn acknowledged(&self) -> u64 {
        self.workers.iter().map(|worker| worker.acknowledged).sum()
    }

    /// Writes that the server had no room for.
    pub fn refused(&self) -> u64 {
        self.workers.iter().map(|worker| worker.refused).sum()
    }

    /// Turns to the server where it is now.
    pub fn meet(&mut self, server: &Server) {
        let client = server.client();
        let known = self.workers.iter_mut().flat_map(|worker| &mut worker.indexes);
        for index in known.map(|known| &mut known.index).chain(&mut self.indexes) {
            index.client = Client::clone(&client);
        }
    }

    /// Holds all that the workers know against the store, and learns what became of what was in doubt:
    /// from then on it has to stay. Says what is wrong.
    pub fn verify(&mut self) -> Vec<String> {
        let settled = self.workers.iter_mut().flat_map(VectorWorker::settle);
        let mut losses: Vec<String> = settled.filter_map(Result::err).collect();
        for place in 0..self.indexes.len() {
            losses.extend(self.verify_index(place).err());
        }
        losses
    }

    /// Whether there is a segment that only a merge makes: writers wait when twice as much grows as is
    /// sealed, and each of them may just have been let in.
    pub fn has_merged(&self) -> bool {
        let growing_max = 2 * GROWING_ROWS + (PUT_ROWS_MAX * self.workers.len()) as u64;
        self.indexes.iter().any(|index| index.segments().iter().any(|rows| *rows > growing_max))
    }

    /// Rows of the sealed segments of each index.
    pub fn segments(&self) -> Vec<Vec<u64>> {
        self.indexes.iter().map(|index| index.segments()).collect()
    }

    fn verify_index(&mut self, place: usize) -> Result<(), String> {
        let index = &self.indexes[place];
        let mut expected: BTreeMap<String, Value> = BTreeMap::new();
        let mut all = Rows::new();
        for worker in &self.workers {
            for (key, row) in &worker.indexes[place].rows {
                expected.insert(key.clone(), row.encoded(key, &worker.name));
                all.insert(key.clone(), row.clone());
            }
        }
        index.verify_listing(&expected)?;
        let random = &mut self.random;
        let mut keys: Vec<String> = all.keys().filter(|_| random.below(20) == 0).cloned().collect();
        keys.extend((0..20).map(|_| format!("worker0/{}", random.below(KEYS))));
        index.verify_get(&keys, &all)?;
        for round in 0..6 {
            let least = if round > 0 { random.next() % 10 } else { 0 };
            expect_all(index.verify_query(&vector(random), least, &all)?)?;
        }
        for (key, row) in all.iter().filter(|_| random.below(200) == 0) {
            index.verify_text(key, row)?;
        }
        Ok(())
    }
}

impl VectorWorker {
    fn new(number: usize, indexes: &[VectorIndex], seed: u64) -> Self {
        let known =
            |index: &VectorIndex| Known { index: index.clone(), rows: Rows::new(), doubt: None };
        Self {
            name: format!("worker{number}"),
            indexes: indexes.iter().map(known).collect(),
            random: Random::new(seed),
            acknowledged: 0,
            refused: 0,
        }
    }

    /// Goes on until the server is gone.
    pub fn work(&mut self) {
        while self.step().is_ok() {}
    }

    fn step(&mut self) -> Result<(), Died> {
        let place = self.random.below(self.indexes.len());
        match self.random.below(10) {
            0..6 => self.put(place),
            6..8 => self.delete(place),
            _ => self.query(place),
        }
    }

    fn key(&mut self) -> String {
        format!("{}/{}", self.name, self.random.below(KEYS))
    }

    /// Puts some rows, new ones and others over what is there.
    fn put(&mut self, place: usize) -> Result<(), Died> {
        let count = 1 + self.random.below(PUT_ROWS_MAX);
        let mut rows = Rows::new();
        for _ in 0..count {
            rows.insert(self.key(), Row::random(&mut self.random));
        }
        let vectors: Vec<Value> =
            rows.iter().map(|(key, row)| row.encoded(key, &self.name)).collect();
        let mut after = self.indexes[place].rows.clone();
        after.extend(rows);
        self.write(place, "PutVectors", json!({ "vectors": vectors }), after)
    }

    /// Deletes some keys, whether they are there or not.
    fn delete(&mut self, place: usize) -> Result<(), Died> {
        let count = 1 + self.random.below(PUT_ROWS_MAX / 2);
        let mut keys: Vec<String> = (0..count).map(|_| self.key()).collect();
        keys.sort();
        keys.dedup();
        let mut after = self.indexes[place].rows.clone();
        after.retain(|key, _| !keys.contains(key));
        self.write(place, "DeleteVectors", json!({ "keys": keys }), after)
    }

    /// Sends, with the outcome in doubt until the answer comes.
    fn write(
        &mut self,
        place: usize,
        operation: &str,
        body: Value,
        after: Rows,
    ) -> Result<(), Died> {
        let known = &mut self.indexes[place];
        known.doubt = Some(after);
        let response = known.index.try_send(operation, body).map_err(|_| Died)?;
        let after = known.doubt.take();
        if matches!(response.status, 503 | 507) {
            self.refused += 1;
            std::thread::sleep(PATIENCE);
            return Ok(());
        }
        response.expect(200);
        known.rows = after.unwrap_or_default();
        self.acknowledged += 1;
        Ok(())
    }

    /// What this worker finds among its own rows is exact while others write.
    fn query(&mut self, place: usize) -> Result<(), Died> {
        let (vector, least) = (vector(&mut self.random), self.random.next() % 10);
        let mine = json!({ "worker": self.name, "size": { "$gte": least } });
        let Known { index, rows, .. } = &self.indexes[place];
        let sent = index.try_send("QueryVectors", query(&vector, Some(mine)));
        let told = sent.map_err(|_| Died)?.expect(200).json();
        let found = index.nearest(&told, &vector, rows.iter().filter(|(_, row)| row.size >= least));
        if let Err(what) = found.and_then(expect_all) {
            panic!("{}: {what}", self.name);
        }
        Ok(())
    }

    /// Decides what became of the requests without an answer: each happened whole or not at all.
    fn settle(&mut self) -> Vec<Result<(), String>> {
        self.indexes.iter_mut().map(Known::settle).collect()
    }
}

impl Known {
    fn settle(&mut self) -> Result<(), String> {
        let Some(after) = self.doubt.take() else { return Ok(()) };
        let changed = |key: &&String| self.rows.get(*key) != after.get(*key);
        let keys: Vec<&String> = self.rows.keys().chain(after.keys()).filter(changed).collect();
        let found = self.index.get(&keys)?;
        let of = |rows: &Rows| -> BTreeMap<String, Vec<i64>> {
            let there = keys.iter().filter_map(|key| rows.get_key_value(*key));
            there.map(|(key, row)| (key.clone(), row.vector.clone())).collect()
        };
        if found == of(&after) {
            self.rows = after;
        } else if found != of(&self.rows) {
            return Err(format!("half of a request about vectors is there: {found:?}"));
        }
        Ok(())
    }
}

/// Insists that a query told all that it should.
fn expect_all(found: Found) -> Result<(), String> {
    match found.found == found.wanted {
        true => Ok(()),
        false => Err(format!("vectors: {} of the nearest {}", found.found, found.wanted)),
    }
}
