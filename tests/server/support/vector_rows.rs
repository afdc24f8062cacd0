//! Rows of vectors as a test knows them, the index that they were put into, and the comparison of what
//! it answers with what is known.
//!
//! What is wrong is told and not a panic, so that a harness can insist on finding it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io;

use serde_json::{Value, json};

use super::client::Client;
use super::fixture::Random;
use super::http::Response;
use super::vectors::{index_with, request};

/// Results of a query.
pub const TOP: usize = 10;
const DIMENSION: usize = 12;
/// Pages of a listing: more are one that does not end.
const PAGES_MAX: usize = 10_000;
/// Keys that are told of those that are wrong.
const TOLD_MAX: usize = 5;

/// A row as it was put.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Small whole numbers: exact as floats and in JSON.
    pub vector: Vec<i64>,
    /// Below 10.
    pub size: u64,
    /// A word that no other row has.
    pub word: String,
}

/// Rows by key.
pub type Rows = BTreeMap<String, Row>;

/// An index with the client that asks it.
#[derive(Debug, Clone)]
pub struct VectorIndex {
    /// Who asks.
    pub client: Client,
    /// Its name.
    pub arn: String,
    /// `euclidean` or `cosine`.
    pub metric: &'static str,
}

/// How many of the nearest rows a query told, by their distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Results that there are.
    pub wanted: usize,
    /// Of them, those that were told, or others as near.
    pub found: usize,
}

impl Row {
    /// One that no other is.
    pub fn random(random: &mut Random) -> Self {
        let (vector, size) = (vector(random), random.next() % 10);
        Self { vector, size, word: format!("w{:x}", random.next()) }
    }

    /// The row as it is put and listed, with the name of who put it.
    pub fn encoded(&self, key: &str, owner: &str) -> Value {
        let text = format!("says {}", self.word);
        let metadata = json!({ "worker": owner, "size": self.size, "text": text });
        json!({ "key": key, "data": { "float32": self.vector }, "metadata": metadata })
    }
}

/// A vector to put or to ask for. Never zero: the cosine would have no distance.
pub fn vector(random: &mut Random) -> Vec<i64> {
    let mut component = || i64::try_from(random.below(41)).unwrap() - 20;
    let mut vector: Vec<i64> = (0..DIMENSION).map(|_| component()).collect();
    vector[0] += 21;
    vector
}

impl VectorIndex {
    /// Makes an index named after its metric, with texts to search.
    pub fn create(client: &Client, bucket: &str, metric: &'static str) -> Self {
        let text = json!([{ "metadataKey": "text", "language": "en" }]);
        let more = json!({ "metadataConfiguration": { "textSearchConfigurations": text } });
        let arn = index_with(client, bucket, metric, DIMENSION, metric, &more);
        Self { client: client.clone(), arn, metric }
    }

    /// Sends a request about it.
    pub fn try_send(&self, operation: &str, mut body: Value) -> io::Result<Response> {
        body["indexArn"] = self.arn.clone().into();
        request(&self.client, operation, body.to_string()).try_send()
    }

    /// Asks about it; says so if that fails.
    pub fn ask(&self, operation: &str, body: Value) -> Result<Value, String> {
        match self.try_send(operation, body) {
            Ok(response) if response.status == 200 => Ok(response.json()),
            Ok(response) => Err(format!("vectors of {}: {operation}: {response}", self.metric)),
            Err(error) => Err(format!("vectors of {}: {operation}: {error}", self.metric)),
        }
    }

    /// Rows of each segment.
    pub fn segments(&self) -> Vec<u64> {
        let mut query = query(&[1; DIMENSION], None);
        query["explain"] = true.into();
        let told = self.ask("QueryVectors", query).unwrap();
        let segments = told["explain"]["segments"].as_array().unwrap();
        segments.iter().map(|segment| segment["rows"].as_u64().unwrap()).collect()
    }

    /// Vectors by key, got by their keys, which may stand twice.
    pub fn get(&self, keys: &[&String]) -> Result<BTreeMap<String, Vec<i64>>, String> {
        let mut found = BTreeMap::new();
        for keys in keys.chunks(100) {
            let told = self.ask("GetVectors", json!({ "keys": keys, "returnData": true }))?;
            for row in told["vectors"].as_array().unwrap() {
                found.insert(text(&row["key"]).to_owned(), components(row));
            }
        }
        Ok(found)
    }

    /// Holds a listing against all rows, encoded.
    pub fn verify_listing(&self, expected: &BTreeMap<String, Value>) -> Result<(), String> {
        self.same(&self.list()?, expected)
    }

    /// Gets keys, which may stand twice, and holds the answer against all rows.
    pub fn verify_get(&self, keys: &[String], rows: &Rows) -> Result<(), String> {
        let held = |key: &String| rows.get(key).map(|row| (key.clone(), row.vector.clone()));
        let held: BTreeMap<String, Vec<i64>> = keys.iter().filter_map(held).collect();
        self.same(&self.get(&keys.iter().collect::<Vec<_>>())?, &held)
    }

    /// Finds a row by its own word.
    pub fn verify_text(&self, key: &str, row: &Row) -> Result<(), String> {
        let texts = json!([{ "text": row.word, "metadataKey": "text" }]);
        let told = self.ask("QueryVectors", json!({ "topK": 2, "queryTexts": texts }))?;
        match told["vectors"] == json!([{ "key": key }]) {
            true => Ok(()),
            false => Err(format!("vectors of {}: {key} not found by {}", self.metric, row.word)),
        }
    }

    /// Asks for the rows nearest to a vector, of those with at least this size.
    pub fn verify_query(&self, vector: &[i64], least: u64, rows: &Rows) -> Result<Found, String> {
        let filter = (least > 0).then(|| json!({ "size": { "$gte": least } }));
        let told = self.ask("QueryVectors", query(vector, filter))?;
        self.nearest(&told, vector, rows.iter().filter(|(_, row)| row.size >= least))
    }

    /// Holds an answer against all rows that it could have named: distances decide, as rows may be
    /// equally far. A row that is not there, or lies elsewhere, is an error.
    pub fn nearest<'a>(
        &self,
        told: &Value,
        vector: &[i64],
        rows: impl Iterator<Item = (&'a String, &'a Row)>,
    ) -> Result<Found, String> {
        let metric = self.metric;
        let rows: BTreeMap<&str, f64> =
            rows.map(|(key, row)| (key.as_str(), distance(metric, vector, &row.vector))).collect();
        let mut nearest: Vec<f64> = rows.values().copied().collect();
        nearest.sort_by(f64::total_cmp);
        nearest.truncate(TOP);
        let wanted = nearest.len();
        let hits = told["vectors"].as_array().unwrap();
        if hits.len() != wanted {
            return Err(format!("vectors of {metric}: {} are found, not {wanted}", hits.len()));
        }
        let mut before = f64::NEG_INFINITY;
        let (mut found, mut keys) = (0, BTreeSet::new());
        for hit in hits {
            let (key, told) = (text(&hit["key"]), hit["distance"].as_f64().unwrap());
            let Some(own) = rows.get(key) else {
                return Err(format!("vectors of {metric}: {key} is found and is not there"));
            };
            if !keys.insert(key) {
                return Err(format!("vectors of {metric}: {key} is found twice"));
            }
            if (told - own).abs() > 1e-3 {
                return Err(format!("vectors of {metric}: {key} is told at {told}, not {own}"));
            }
            if told < before {
                return Err(format!("vectors of {metric}: {key} at {told} comes after {before}"));
            }
            before = told;
            found += usize::from(nearest.last().is_some_and(|last| told <= last + 1e-3));
        }
        Ok(Found { wanted, found })
    }

    /// All rows by key, as they were put.
    fn list(&self) -> Result<BTreeMap<String, Value>, String> {
        let mut body = json!({ "returnData": true, "returnMetadata": true });
        let mut found = BTreeMap::new();
        for _ in 0..PAGES_MAX {
            let page = self.ask("ListVectors", body.clone())?;
            for row in page["vectors"].as_array().unwrap() {
                let (mut row, key) = (row.clone(), text(&row["key"]).to_owned());
                row["data"]["float32"] = components(&row).into();
                if found.insert(key.clone(), row).is_some() {
                    return Err(format!("vectors of {}: {key} is listed twice", self.metric));
                }
            }
            match page.get("nextToken") {
                Some(token) => body["nextToken"] = token.clone(),
                None => return Ok(found),
            }
        }
        Err(format!("vectors of {}: a listing does not end", self.metric))
    }

    /// Holds what is there against what has to be.
    fn same<T: PartialEq + Debug>(
        &self,
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
        Err(format!(
            "vectors of {}: of {}, {} are not there, and {} too many: {}",
            self.metric,
            expected.len(),
            lost.len(),
            strays.len(),
            told.join("; ")
        ))
    }
}

/// A query for the nearest rows.
pub fn query(vector: &[i64], filter: Option<Value>) -> Value {
    let mut body =
        json!({ "topK": TOP, "queryVector": { "float32": vector }, "returnDistance": true });
    if let Some(filter) = filter {
        body["filter"] = filter;
    }
    body
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
