//! A load of vectors that knows what has to be there: workers put, overwrite, delete and search until
//! the server goes away, and hold what they were told against what is there then.
//!
//! - Each worker owns its keys of each index, so what it finds under a filter that names it is exactly
//!   what it knows, even while the others write.
//! - Answers are held against exact ones: segments have to be too small for a graph.
//! - An answer that is wrong while the server runs is a panic; what is wrong after a restart is told, so
//!   that a test can insist on it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::Client;
use super::fixture::Random;
use super::process::Server;
use super::vectors::{index_with, ok, request};

/// What `LODESTORE_VECTOR_GROWING_ROWS` should be, for seals and merges to happen all the time: the
/// smallest that the configuration takes.
pub const GROWING_ROWS: u64 = 100;
/// Keys of each worker in each index.
const KEYS: usize = 1000;
const PUT_ROWS_MAX: usize = 40;
/// Results that are compared.
const TOP: usize = 10;
/// One index of each.
const METRICS: [&str; 2] = ["euclidean", "cosine"];
const DIMENSION: usize = 12;
/// Wait after the store said that it has no room just now.
const PATIENCE: Duration = Duration::from_millis(20);
/// Pages of a listing: more are one that does not end.
const PAGES_MAX: usize = 10_000;
/// Keys that are told of those that are wrong.
const TOLD_MAX: usize = 5;

/// The server is gone in the middle of a request.
struct Died;

/// A row as it was put. Components are small whole numbers: exact as floats and in JSON.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    vector: Vec<i64>,
    size: u64,
    /// A word that no other row has.
    word: String,
}

/// The rows of a worker's keys by key.
type Rows = BTreeMap<String, Row>;

/// What one worker knows of one index.
#[derive(Debug)]
struct Known {
    arn: String,
    metric: &'static str,
    rows: Rows,
    /// What the rows are if the request without an answer was carried out.
    doubt: Option<Rows>,
}

/// One client with its memory.
#[derive(Debug)]
pub struct VectorWorker {
    name: String,
    client: Client,
    indexes: Vec<Known>,
    random: Random,
    acknowledged: u64,
    refused: u64,
}

/// The workers and what they share.
#[derive(Debug)]
pub struct VectorLoad {
    workers: Vec<VectorWorker>,
    client: Client,
    arns: Vec<String>,
    random: Random,
}

impl VectorLoad {
    /// Makes a vector bucket of that name, its indexes and so many workers.
    pub fn create(server: &Server, bucket: &str, workers: usize, seed: u64) -> Self {
        let (client, mut random) = (server.client(), Random::new(seed));
        ok(&client, "CreateVectorBucket", &json!({ "vectorBucketName": bucket }));
        let text = json!([{ "metadataKey": "text", "language": "en" }]);
        let more = json!({ "metadataConfiguration": { "textSearchConfigurations": text } });
        let create = |metric| index_with(&client, bucket, metric, DIMENSION, metric, &more);
        let arns: Vec<String> = METRICS.into_iter().map(create).collect();
        let worker = |number| VectorWorker::new(number, &client, &arns, random.next());
        Self { workers: (0..workers).map(worker).collect(), client, arns, random }
    }

    /// Each of them can work on a thread of its own.
    pub fn workers(&mut self) -> impl Iterator<Item = &mut VectorWorker> {
        self.workers.iter_mut()
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
        self.client = server.client();
        for worker in &mut self.workers {
            worker.client = server.client();
        }
    }

    /// Holds all that the workers know against the store, and learns what became of what was in doubt:
    /// from then on it has to stay. Says what is wrong.
    pub fn verify(&mut self) -> Vec<String> {
        let settled = self.workers.iter_mut().flat_map(VectorWorker::settle);
        let mut losses: Vec<String> = settled.filter_map(Result::err).collect();
        for place in 0..self.arns.len() {
            losses.extend(self.verify_index(place).err());
        }
        losses
    }

    /// Whether there is a segment that only a merge makes: writers wait when twice as much grows as is
    /// sealed, and each of them may just have been let in.
    pub fn has_merged(&self) -> bool {
        let growing_max = 2 * GROWING_ROWS + (PUT_ROWS_MAX * self.workers.len()) as u64;
        let is_larger = |segment: &Value| segment["rows"].as_u64().unwrap() > growing_max;
        self.arns.iter().any(|arn| {
            let mut query = query(arn, &[1; DIMENSION], None);
            query["explain"] = true.into();
            let told = ok(&self.client, "QueryVectors", &query);
            told["explain"]["segments"].as_array().unwrap().iter().any(is_larger)
        })
    }

    fn verify_index(&mut self, place: usize) -> Result<(), String> {
        let (arn, metric) = (&self.arns[place], METRICS[place]);
        let mut expected: BTreeMap<String, Value> = BTreeMap::new();
        let mut all = Rows::new();
        for worker in &self.workers {
            for (key, row) in &worker.indexes[place].rows {
                expected.insert(key.clone(), worker.encoded(key, row));
                all.insert(key.clone(), row.clone());
            }
        }
        let found = list(&self.client, arn)?;
        expect_same(&found, &expected).map_err(|what| format!("vectors of {metric}: {what}"))?;
        let random = &mut self.random;
        let mut keys: Vec<String> = all.keys().filter(|_| random.below(20) == 0).cloned().collect();
        keys.extend((0..20).map(|_| format!("worker0/{}", random.below(KEYS))));
        let held = |key: &String| all.get(key).map(|row| (key.clone(), row.vector.clone()));
        let got = get(&self.client, arn, &keys.iter().collect::<Vec<_>>())?;
        let held: BTreeMap<String, Vec<i64>> = keys.iter().filter_map(held).collect();
        expect_same(&got, &held).map_err(|what| format!("vectors got of {metric}: {what}"))?;
        for round in 0..6 {
            let (vector, least) = (vector(random), random.next() % 10);
            let filter = (round > 0).then(|| json!({ "size": { "$gte": least } }));
            let least = if filter.is_some() { least } else { 0 };
            let told = ask(&self.client, "QueryVectors", &query(arn, &vector, filter))?;
            let rows = all.iter().filter(|(_, row)| row.size >= least);
            expect_nearest(&told, &vector, metric, rows)?;
        }
        for (key, row) in all.iter().filter(|_| random.below(200) == 0) {
            let texts = json!([{ "text": row.word, "metadataKey": "text" }]);
            let body = json!({ "indexArn": arn, "topK": 2, "queryTexts": texts });
            let told = ask(&self.client, "QueryVectors", &body)?;
            if told["vectors"] != json!([{ "key": key }]) {
                return Err(format!("vectors of {metric}: {key} is not found by {}", row.word));
            }
        }
        Ok(())
    }
}

impl VectorWorker {
    fn new(number: usize, client: &Client, arns: &[String], seed: u64) -> Self {
        let known = |(arn, metric): (&String, &'static str)| Known {
            arn: arn.clone(),
            metric,
            rows: Rows::new(),
            doubt: None,
        };
        Self {
            name: format!("worker{number}"),
            client: client.clone(),
            indexes: arns.iter().zip(METRICS).map(known).collect(),
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
            let (key, vector) = (self.key(), vector(&mut self.random));
            let size = self.random.next() % 10;
            let word = format!("w{:x}", self.random.next());
            rows.insert(key, Row { vector, size, word });
        }
        let vectors: Vec<Value> = rows.iter().map(|(key, row)| self.encoded(key, row)).collect();
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
        mut body: Value,
        after: Rows,
    ) -> Result<(), Died> {
        let known = &mut self.indexes[place];
        body["indexArn"] = known.arn.clone().into();
        known.doubt = Some(after);
        let response =
            request(&self.client, operation, body.to_string()).try_send().map_err(|_| Died)?;
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
        let known = &self.indexes[place];
        let query = query(&known.arn, &vector, Some(mine)).to_string();
        let sent = request(&self.client, "QueryVectors", query).try_send();
        let found = sent.map_err(|_| Died)?.expect(200).json();
        let rows = known.rows.iter().filter(|(_, row)| row.size >= least);
        if let Err(what) = expect_nearest(&found, &vector, known.metric, rows) {
            panic!("{}: {what}", self.name);
        }
        Ok(())
    }

    fn encoded(&self, key: &str, row: &Row) -> Value {
        let text = format!("says {}", row.word);
        let metadata = json!({ "worker": self.name, "size": row.size, "text": text });
        json!({ "key": key, "data": { "float32": row.vector }, "metadata": metadata })
    }

    /// Decides what became of the requests without an answer: each happened whole or not at all.
    fn settle(&mut self) -> Vec<Result<(), String>> {
        let (name, client) = (&self.name, &self.client);
        self.indexes.iter_mut().map(|known| known.settle(name, client)).collect()
    }
}

impl Known {
    fn settle(&mut self, worker: &str, client: &Client) -> Result<(), String> {
        let Some(after) = self.doubt.take() else { return Ok(()) };
        let changed = |key: &&String| self.rows.get(*key) != after.get(*key);
        let keys: Vec<&String> = self.rows.keys().chain(after.keys()).filter(changed).collect();
        let found = get(client, &self.arn, &keys)?;
        let of = |rows: &Rows| -> BTreeMap<String, Vec<i64>> {
            let there = keys.iter().filter_map(|key| rows.get_key_value(*key));
            there.map(|(key, row)| (key.clone(), row.vector.clone())).collect()
        };
        if found == of(&after) {
            self.rows = after;
        } else if found != of(&self.rows) {
            return Err(format!("{worker}: half of a request about vectors is there: {found:?}"));
        }
        Ok(())
    }
}

/// Asks for an operation; says so if it fails.
fn ask(client: &Client, operation: &str, body: &Value) -> Result<Value, String> {
    let response = request(client, operation, body.to_string()).send();
    match response.status {
        200 => Ok(response.json()),
        _ => Err(format!("{operation} of vectors: {response}")),
    }
}

/// Vectors by key, got by their keys, which may stand twice.
fn get(client: &Client, arn: &str, keys: &[&String]) -> Result<BTreeMap<String, Vec<i64>>, String> {
    let mut found = BTreeMap::new();
    for keys in keys.chunks(100) {
        let body = json!({ "indexArn": arn, "keys": keys, "returnData": true });
        let told = ask(client, "GetVectors", &body)?;
        for row in told["vectors"].as_array().unwrap() {
            found.insert(text(&row["key"]).to_owned(), components(row));
        }
    }
    Ok(found)
}

/// All rows of an index by key, as they were put.
fn list(client: &Client, arn: &str) -> Result<BTreeMap<String, Value>, String> {
    let mut body = json!({ "indexArn": arn, "returnData": true, "returnMetadata": true });
    let mut found = BTreeMap::new();
    for _ in 0..PAGES_MAX {
        let page = ask(client, "ListVectors", &body)?;
        for row in page["vectors"].as_array().unwrap() {
            let (mut row, key) = (row.clone(), text(&row["key"]).to_owned());
            row["data"]["float32"] = components(&row).into();
            if found.insert(key.clone(), row).is_some() {
                return Err(format!("the vector {key} is listed twice"));
            }
        }
        match page.get("nextToken") {
            Some(token) => body["nextToken"] = token.clone(),
            None => return Ok(found),
        }
    }
    Err("a listing of vectors does not end".to_owned())
}

/// Holds what is there against what has to be.
fn expect_same<T: PartialEq + std::fmt::Debug>(
    found: &BTreeMap<String, T>,
    expected: &BTreeMap<String, T>,
) -> Result<(), String> {
    let lost = expected.iter().filter_map(|(key, row)| match found.get(key) {
        None => Some(format!("{key} is gone")),
        Some(other) => (other != row).then(|| format!("{key} is {other:?}, not {row:?}")),
    });
    let lost: Vec<String> = lost.collect();
    let strays = found.keys().filter(|key| !expected.contains_key(*key));
    let strays: Vec<String> =
        strays.map(|key| format!("nobody put {key}, or it was deleted")).collect();
    if lost.is_empty() && strays.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = lost.iter().chain(&strays).take(TOLD_MAX).cloned().collect();
    let (lost, strays, there) = (lost.len(), strays.len(), expected.len());
    Err(format!("of {there}, {lost} are not there, and {strays} too many: {}", told.join("; ")))
}

fn query(arn: &str, vector: &[i64], filter: Option<Value>) -> Value {
    let mut body = json!({
        "indexArn": arn, "topK": TOP, "queryVector": { "float32": vector }, "returnDistance": true,
    });
    if let Some(filter) = filter {
        body["filter"] = filter;
    }
    body
}

/// Holds an answer against all rows that it could have named: distances decide, as rows may be
/// equally far.
fn expect_nearest<'a>(
    told: &Value,
    vector: &[i64],
    metric: &str,
    rows: impl Iterator<Item = (&'a String, &'a Row)>,
) -> Result<(), String> {
    let rows: BTreeMap<&str, f64> =
        rows.map(|(key, row)| (key.as_str(), distance(metric, vector, &row.vector))).collect();
    let mut nearest: Vec<f64> = rows.values().copied().collect();
    nearest.sort_by(f64::total_cmp);
    let hits = told["vectors"].as_array().unwrap();
    if hits.len() != nearest.len().min(TOP) {
        return Err(format!("{} vectors of {} are found", hits.len(), nearest.len()));
    }
    for (hit, expected) in hits.iter().zip(nearest) {
        let key = text(&hit["key"]);
        let own =
            rows.get(key).ok_or_else(|| format!("the vector {key} is found and not there"))?;
        let told = hit["distance"].as_f64().unwrap();
        if (told - own).abs() > 1e-3 {
            return Err(format!("the vector {key} is told at {told} and lies at {own}"));
        }
        if (told - expected).abs() > 1e-3 {
            return Err(format!("the vector {key} at {told} is told for one at {expected}"));
        }
    }
    Ok(())
}

fn distance(metric: &str, a: &[i64], b: &[i64]) -> f64 {
    let sum = |terms: &dyn Fn(i64, i64) -> i64| {
        let sum: i64 = a.iter().zip(b).map(|(x, y)| terms(*x, *y)).sum();
        f64::from(i32::try_from(sum).expect("small numbers"))
    };
    match metric {
        "euclidean" => sum(&|x, y| (x - y) * (x - y)).sqrt(),
        _ => 1.0 - sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt(),
    }
}

fn vector(random: &mut Random) -> Vec<i64> {
    let mut component = || i64::try_from(random.below(41)).unwrap() - 20;
    let mut vector: Vec<i64> = (0..DIMENSION).map(|_| component()).collect();
    // Never zero: the cosine would have no distance.
    vector[0] += 21;
    vector
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// The components of a row, which are whole numbers.
fn components(row: &Value) -> Vec<i64> {
    let components = row["data"]["float32"].as_array().expect("a vector");
    let whole = |component: &Value| {
        let float = component.as_f64().expect("a number");
        #[expect(clippy::cast_possible_truncation, reason = "what was cut off is looked for")]
        let whole = float as i64;
        assert_eq!(float.to_bits(), (whole as f64).to_bits(), "{float} was never put");
        whole
    };
    components.iter().map(whole).collect()
}
