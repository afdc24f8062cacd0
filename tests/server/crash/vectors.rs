//! kill -9 under a load of vectors, with segments so small that each round seals and merges some:
//! what was acknowledged is got, listed and found; what was in flight happened whole or not at all.
//!
//! Each worker owns its keys of each index, so what it finds under a filter that names it is exactly
//! what it knows, even while the others write.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::crash::{Died, Run, Step};
use crate::support::Setup;
use crate::support::client::Client;
use crate::support::fixture::Random;
use crate::vectors::{index_with, ok, pages, request};

const WORKERS: usize = 3;
/// Keys of each worker in each index.
const KEYS: usize = 1000;
const PUT_ROWS_MAX: usize = 40;
/// The smallest that the configuration takes.
const GROWING_ROWS: u64 = 100;
/// Longest wait for segments to be merged, also in a debug build on a busy machine.
const MERGE_MAX: Duration = Duration::from_secs(30);
/// Results that are compared.
const TOP: usize = 10;
const METRICS: [&str; 2] = ["euclidean", "cosine"];
const DIMENSION: usize = 12;

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
struct Known {
    arn: String,
    metric: &'static str,
    rows: Rows,
    /// What the rows are if the request without an answer was carried out.
    doubt: Option<Rows>,
}

struct Worker {
    name: String,
    client: Client,
    indexes: Vec<Known>,
    random: Random,
    acknowledged: u64,
}

#[test]
fn acknowledged_vectors_survive_kill() {
    let Run { rounds, seed } = Run::asked();
    let mut random = Random::new(seed ^ 0x7ec);
    let mut server = Setup::new()
        .env("LODESTORE_ZONE_BYTES", "4MiB")
        .env("LODESTORE_CHECKPOINT_BYTES", "2MiB")
        .env("LODESTORE_CAPACITY_BYTES", "1GiB")
        .env("LODESTORE_VECTOR_GROWING_ROWS", &GROWING_ROWS.to_string())
        .start();
    let client = server.client();
    ok(&client, "CreateVectorBucket", &json!({ "vectorBucketName": "crash" }));
    let arns: Vec<String> = METRICS.iter().map(|metric| create_index(&client, metric)).collect();
    let mut workers: Vec<Worker> =
        (0..WORKERS).map(|number| Worker::new(number, &client, &arns, random.next())).collect();
    let mut seals = 0_u64;
    for _ in 0..rounds {
        let work = Duration::from_millis(200 + u64::try_from(random.below(600)).unwrap());
        std::thread::scope(|scope| {
            for worker in &mut workers {
                scope.spawn(|| while worker.step().is_ok() {});
            }
            std::thread::sleep(work);
            server.kill();
        });
        server = server.start_again();
        for worker in &mut workers {
            worker.client = server.client();
            worker.settle();
        }
        for place in 0..arns.len() {
            verify(&mut workers, place, &mut random);
        }
        seals += u64::from(server.metric("lodestore_vector_sealed_segments") > Some(0.0));
    }
    let acknowledged: u64 = workers.iter().map(|worker| worker.acknowledged).sum();
    println!(
        "{acknowledged} acknowledged writes of vectors in {rounds} rounds, sealed segments after \
         {seals} of them"
    );
    assert!(acknowledged > rounds * 5, "{acknowledged} writes are no load");
    assert!(seals > rounds / 2, "too few segments were sealed");
    // What the last kill cut off is taken up. No rows that only grow are so many: writers wait then.
    let deadline = Instant::now() + MERGE_MAX;
    while largest_segment(&server.client(), &arns) <= 4 * GROWING_ROWS {
        assert!(Instant::now() < deadline, "segments are not merged");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(server.stop().success());
    crate::crash::check_finds_nothing(&server);
}

fn create_index(client: &Client, metric: &str) -> String {
    let text = json!([{ "metadataKey": "text", "language": "en" }]);
    let more = json!({ "metadataConfiguration": { "textSearchConfigurations": text } });
    index_with(client, "crash", metric, DIMENSION, metric, &more)
}

/// Rows of the largest segment of any index.
fn largest_segment(client: &Client, arns: &[String]) -> u64 {
    let rows = |arn: &String| {
        let mut query = query(arn, &[1; DIMENSION], None);
        query["explain"] = true.into();
        let told = ok(client, "QueryVectors", &query);
        let segments = told["explain"]["segments"].as_array().unwrap();
        segments.iter().map(|segment| segment["rows"].as_u64().unwrap()).max().unwrap_or(0)
    };
    arns.iter().map(rows).max().unwrap_or(0)
}

impl Worker {
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
        }
    }

    fn step(&mut self) -> Step {
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

    fn vector(&mut self) -> Vec<i64> {
        let component = |random: &mut Random| i64::try_from(random.below(41)).unwrap() - 20;
        let mut vector: Vec<i64> = (0..DIMENSION).map(|_| component(&mut self.random)).collect();
        // Never zero: the cosine would have no distance.
        vector[0] += 21;
        vector
    }

    /// Puts some rows, new ones and others over what is there.
    fn put(&mut self, place: usize) -> Step {
        let count = 1 + self.random.below(PUT_ROWS_MAX);
        let mut rows = Rows::new();
        for _ in 0..count {
            let (key, vector) = (self.key(), self.vector());
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
    fn delete(&mut self, place: usize) -> Step {
        let count = 1 + self.random.below(PUT_ROWS_MAX / 2);
        let mut keys: Vec<String> = (0..count).map(|_| self.key()).collect();
        keys.sort();
        keys.dedup();
        let mut after = self.indexes[place].rows.clone();
        after.retain(|key, _| !keys.contains(key));
        self.write(place, "DeleteVectors", json!({ "keys": keys }), after)
    }

    /// Sends, with the outcome in doubt until the answer comes.
    fn write(&mut self, place: usize, operation: &str, mut body: Value, after: Rows) -> Step {
        let known = &mut self.indexes[place];
        body["indexArn"] = known.arn.clone().into();
        known.doubt = Some(after);
        let sent = request(&self.client, operation, body.to_string()).try_send();
        sent.map_err(|_| Died)?.expect(200);
        if let Some(after) = known.doubt.take() {
            known.rows = after;
        }
        self.acknowledged += 1;
        Ok(())
    }

    /// What this worker finds among its own rows is exact while others write.
    fn query(&mut self, place: usize) -> Step {
        let (vector, least) = (self.vector(), self.random.next() % 10);
        let mine = json!({ "worker": self.name, "size": { "$gte": least } });
        let known = &self.indexes[place];
        let query = query(&known.arn, &vector, Some(mine)).to_string();
        let sent = request(&self.client, "QueryVectors", query).try_send();
        let found = sent.map_err(|_| Died)?.expect(200).json();
        let rows = known.rows.iter().filter(|(_, row)| row.size >= least);
        expect_nearest(&found, &vector, known.metric, rows);
        Ok(())
    }

    fn encoded(&self, key: &str, row: &Row) -> Value {
        json!({
            "key": key, "data": { "float32": row.vector }, "metadata": self.metadata(row),
        })
    }

    fn metadata(&self, row: &Row) -> Value {
        json!({ "worker": self.name, "size": row.size, "text": format!("says {}", row.word) })
    }

    /// Decides what became of the requests without an answer: each happened whole or not at all.
    fn settle(&mut self) {
        for known in &mut self.indexes {
            let Some(after) = known.doubt.take() else { continue };
            let changed = |key: &&String| known.rows.get(*key) != after.get(*key);
            let keys: Vec<&String> =
                known.rows.keys().chain(after.keys()).filter(changed).collect();
            let found = get(&self.client, &known.arn, &keys);
            let of = |rows: &Rows| -> BTreeMap<String, Vec<i64>> {
                let there = keys.iter().filter_map(|key| rows.get_key_value(*key));
                there.map(|(key, row)| (key.clone(), row.vector.clone())).collect()
            };
            if found == of(&after) {
                known.rows = after;
            } else {
                assert_eq!(found, of(&known.rows), "{}: half of a request is there", self.name);
            }
        }
    }
}

/// Vectors by key, got by their keys, which may stand twice.
fn get(client: &Client, arn: &str, keys: &[&String]) -> BTreeMap<String, Vec<i64>> {
    let mut found = BTreeMap::new();
    for keys in keys.chunks(100) {
        let body = json!({ "indexArn": arn, "keys": keys, "returnData": true });
        let told = ok(client, "GetVectors", &body);
        for row in told["vectors"].as_array().unwrap() {
            found.insert(text(&row["key"]).to_owned(), components(row));
        }
    }
    found
}

/// Holds an index against what all workers know of it.
fn verify(workers: &mut [Worker], place: usize, random: &mut Random) {
    let Known { arn, metric, .. } = &workers[0].indexes[place];
    let (arn, metric, client) = (arn.clone(), *metric, workers[0].client.clone());
    let mut expected: BTreeMap<String, Value> = BTreeMap::new();
    let mut all = Rows::new();
    for worker in &*workers {
        for (key, row) in &worker.indexes[place].rows {
            expected.insert(key.clone(), worker.encoded(key, row));
            all.insert(key.clone(), row.clone());
        }
    }
    let whole = json!({ "indexArn": arn, "returnData": true, "returnMetadata": true });
    let (listed, _) = pages(&client, "ListVectors", &whole, "vectors");
    let mut found = BTreeMap::new();
    for mut row in listed {
        let key = text(&row["key"]).to_owned();
        row["data"]["float32"] = components(&row).into();
        assert!(found.insert(key.clone(), row).is_none(), "{key} is listed twice");
    }
    expect_same(&found, &expected);
    let mut keys: Vec<String> = all.keys().filter(|_| random.below(20) == 0).cloned().collect();
    keys.extend((0..20).map(|_| format!("worker0/{}", random.below(KEYS))));
    let held = |key: &String| all.get(key).map(|row| (key.clone(), row.vector.clone()));
    let got = get(&client, &arn, &keys.iter().collect::<Vec<_>>());
    assert_eq!(got, keys.iter().filter_map(held).collect());
    for round in 0..6 {
        let (vector, least) = (workers[0].vector(), random.next() % 10);
        let filter = (round > 0).then(|| json!({ "size": { "$gte": least } }));
        let least = if filter.is_some() { least } else { 0 };
        let told = ok(&client, "QueryVectors", &query(&arn, &vector, filter));
        expect_nearest(&told, &vector, metric, all.iter().filter(|(_, row)| row.size >= least));
    }
    for (key, row) in all.iter().filter(|_| random.below(200) == 0) {
        let texts = json!([{ "text": row.word, "metadataKey": "text" }]);
        let body = json!({ "indexArn": arn, "topK": 2, "queryTexts": texts });
        let told = ok(&client, "QueryVectors", &body);
        assert_eq!(told["vectors"], json!([{ "key": key }]), "found by {}", row.word);
    }
}

fn expect_same(found: &BTreeMap<String, Value>, expected: &BTreeMap<String, Value>) {
    for (key, row) in expected {
        assert_eq!(found.get(key), Some(row), "{key} was acknowledged");
    }
    let strays: Vec<&String> = found.keys().filter(|key| !expected.contains_key(*key)).collect();
    assert!(strays.is_empty(), "nobody put {strays:?}, or they were deleted");
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
#[track_caller]
fn expect_nearest<'a>(
    told: &Value,
    vector: &[i64],
    metric: &str,
    rows: impl Iterator<Item = (&'a String, &'a Row)>,
) {
    let rows: BTreeMap<&str, f64> =
        rows.map(|(key, row)| (key.as_str(), distance(metric, vector, &row.vector))).collect();
    let mut nearest: Vec<f64> = rows.values().copied().collect();
    nearest.sort_by(f64::total_cmp);
    let hits = told["vectors"].as_array().unwrap();
    assert_eq!(hits.len(), nearest.len().min(TOP), "{told}");
    for (hit, expected) in hits.iter().zip(nearest) {
        let key = text(&hit["key"]);
        let own = *rows.get(key).unwrap_or_else(|| panic!("{key} is found and is not there"));
        let told = hit["distance"].as_f64().unwrap();
        assert!((told - own).abs() < 1e-3, "{key} is told at {told} and lies at {own}");
        assert!((told - expected).abs() < 1e-3, "{key} at {told} is told for one at {expected}");
    }
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
