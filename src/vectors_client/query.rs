//! `lodestore vectors query`: asks, and prints what was found as a table or as JSON.

use std::io::{Read, Write as _};

use serde::Deserialize;
use serde_json::{Value, json};

use super::VectorsError;
use super::api::{Api, Caller, told};
use super::options::QueryOptions;
use super::printed::{plain, shortened, table};
use super::row::{JsonRow, read_vector};
use crate::http_client::Failure;

/// A file with one vector, ten times as long as the longest that a service takes.
const VECTOR_FILE_BYTES_MAX: u64 = 1 << 20;
/// Metadata in a table; JSON has all of it.
const METADATA_CHARS_MAX: usize = 80;
/// A key in a table.
const KEY_CHARS_MAX: usize = 64;

/// An answer, or all pages of one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    vectors: Vec<Value>,
    distance_metric: Option<String>,
    next_token: Option<String>,
    /// What our servers tell when they are asked to explain.
    pub(super) explain: Option<Value>,
}

#[derive(Deserialize)]
struct Got {
    vectors: Vec<JsonRow>,
}

/// Queries and prints.
pub(super) async fn run(options: &QueryOptions) -> Result<(), VectorsError> {
    let api = Api::new(&options.of)?;
    let mut caller = api.caller()?;
    let body = body(options, &api, &mut caller).await?;
    let answer = ask(&api, &mut caller, body).await?;
    print(&if options.json { answer.json() } else { answer.table() })
}

/// What is asked.
pub(super) async fn body(
    options: &QueryOptions,
    api: &Api,
    caller: &mut Caller,
) -> Result<Value, VectorsError> {
    let mut body = api.of_index();
    body["topK"] = json!(options.top);
    body["returnDistance"] = json!(true);
    body["returnMetadata"] = json!(true);
    if let Some(vector) = vector(options, api, caller).await? {
        body["queryVector"] = json!({ "float32": vector });
    }
    if !options.text.is_empty() {
        let texts = options.text.iter().map(|text| text_of(text)).collect::<Result<_, _>>()?;
        body["queryTexts"] = Value::Array(texts);
        body["returnScores"] = json!(true);
    }
    if let Some(filter) = &options.filter {
        body["filter"] = serde_json::from_str(filter)
            .map_err(|error| VectorsError::new(format!("filter: no JSON: {error}")))?;
    }
    Ok(body)
}

/// Asks for all pages.
pub(super) async fn ask(
    api: &Api,
    caller: &mut Caller,
    mut body: Value,
) -> Result<Answer, VectorsError> {
    let refused = |failure| VectorsError::new(format!("{}: {}", api.name(), told(&failure)));
    let mut whole: Answer = caller.ask("QueryVectors", &body).await.map_err(refused)?;
    while let Some(token) = whole.next_token.take() {
        body["nextToken"] = json!(token);
        let page: Answer = caller.ask("QueryVectors", &body).await.map_err(refused)?;
        whole.vectors.extend(page.vectors);
        whole.next_token = page.next_token;
    }
    Ok(whole)
}

/// Prints to standard output.
pub(super) fn print(text: &str) -> Result<(), VectorsError> {
    let written = std::io::stdout().write_all(text.as_bytes());
    written.map_err(|error| VectorsError::new(format!("print the answer: {error}")))
}

impl Answer {
    /// As one line of JSON.
    pub(super) fn json(&self) -> String {
        let mut object = json!({ "vectors": self.vectors });
        if let Some(metric) = &self.distance_metric {
            object["distanceMetric"] = json!(metric);
        }
        if let Some(explain) = &self.explain {
            object["explain"] = explain.clone();
        }
        format!("{object}\n")
    }

    /// As a table.
    pub(super) fn table(&self) -> String {
        let metric = self.distance_metric.as_deref().unwrap_or("distance");
        let has = |name: &str| self.vectors.iter().any(|row| row.get(name).is_some());
        let (distance, scores) = (has("distance"), has("scores"));
        let mut head = vec!["#".to_owned(), "key".to_owned()];
        head.extend(distance.then(|| plain(metric)));
        head.extend(scores.then(|| "scores".to_owned()));
        head.push("metadata".to_owned());
        let mut rows = vec![head];
        for (nth, row) in self.vectors.iter().enumerate() {
            let key = row.get("key").and_then(Value::as_str).unwrap_or_default();
            let mut cells = vec![(nth + 1).to_string(), shortened(&plain(key), KEY_CHARS_MAX)];
            cells.extend(distance.then(|| figure(row.get("distance"))));
            cells.extend(scores.then(|| row.get("scores").map(scores_of).unwrap_or_default()));
            let metadata = row.get("metadata").map(Value::to_string).unwrap_or_default();
            cells.push(shortened(&plain(&metadata), METADATA_CHARS_MAX));
            rows.push(cells);
        }
        table(&rows)
    }
}

/// `fused 0.0325, title 1.386`
fn scores_of(scores: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(fused) = scores.get("fused") {
        parts.push(format!("fused {}", figure(Some(fused))));
    }
    for score in scores.get("bm25Scores").and_then(Value::as_array).into_iter().flatten() {
        let key = score.get("metadataKey").and_then(Value::as_str).unwrap_or_default();
        parts.push(format!("{} {}", plain(key), figure(score.get("score"))));
    }
    parts.join(", ")
}

fn figure(number: Option<&Value>) -> String {
    number.and_then(Value::as_f64).map(|number| format!("{number:.6}")).unwrap_or_default()
}

async fn vector(
    options: &QueryOptions,
    api: &Api,
    caller: &mut Caller,
) -> Result<Option<Vec<f32>>, VectorsError> {
    if let Some(text) = &options.vector {
        return read_vector(text).map(Some);
    }
    if let Some(path) = &options.vector_file {
        let mut text = String::new();
        let file = std::fs::File::open(path);
        let read = file.and_then(|file| file.take(VECTOR_FILE_BYTES_MAX).read_to_string(&mut text));
        read.map_err(|error| VectorsError::new(format!("{}: {error}", path.display())))?;
        return read_vector(&text).map(Some);
    }
    let Some(key) = &options.key else { return Ok(None) };
    let refused =
        |failure: Failure| VectorsError::new(format!("{}: {}", api.name(), told(&failure)));
    let mut body = api.of_index();
    body["keys"] = json!([key]);
    body["returnData"] = json!(true);
    let Got { vectors } = caller.ask("GetVectors", &body).await.map_err(refused)?;
    match vectors.into_iter().next() {
        None => Err(VectorsError::new(format!("{}: no vector has the key `{key}`", api.name()))),
        Some(mut row) => {
            let vector = row.take_vector().map_err(Failure::Wrong).map_err(refused)?;
            Ok(Some(vector))
        }
    }
}

fn text_of(text: &str) -> Result<Value, VectorsError> {
    match text.split_once('=') {
        Some((key, words)) => Ok(json!({ "metadataKey": key, "text": words })),
        None => Err(VectorsError::new(format!("text: `{text}`: give KEY=WORDS"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(document: Value) -> Answer {
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn what_was_found_is_a_table() {
        let found = answer(json!({
            "distanceMetric": "cosine",
            "vectors": [
                { "key": "a\u{1b}", "distance": 0.25, "metadata": { "title": "x" } },
                { "key": "b", "distance": 1, "scores": {
                    "fused": 0.0325, "bm25Scores": [{ "metadataKey": "title", "score": 1.5 }] } },
            ],
        }));
        let lines = [
            "#  key     cosine    scores                          metadata",
            "1  a\\u{1b}  0.250000                                  {\"title\":\"x\"}",
            "2  b       1.000000  fused 0.032500, title 1.500000",
        ];
        let spaced = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let table = found.table();
        for (line, right) in table.lines().zip(lines) {
            assert_eq!(spaced(line), spaced(right));
        }
        assert_eq!(table.lines().count(), lines.len());
        assert_eq!(spaced(&answer(json!({ "vectors": [] })).table()), "# key metadata");
    }

    #[test]
    fn words_are_of_a_key() {
        assert_eq!(text_of("a=b=c").unwrap(), json!({ "metadataKey": "a", "text": "b=c" }));
        assert!(text_of("words").is_err());
    }
}
