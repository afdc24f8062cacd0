//! Operations of the API, one at a time on a connection, tried again where that may help.
//!
//! All operations here may be done twice: reads change nothing, and a put of the same rows leaves
//! the same rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::VectorsError;
use super::options::IndexOptions;
use crate::http_client::{Ask, Body, Client, Failure, Keep, Refusal, Service, Target};

/// An answer. A page of 1 MiB of rows is 6 MiB of JSON, and a page of results 32 MiB.
const ANSWER_BYTES_MAX: usize = 128 << 20;
/// Before the first try again; doubled before each other.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Before any try again.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// An index of an endpoint.
#[derive(Clone)]
pub(super) struct Api {
    target: Arc<Target>,
    bucket: String,
    index: String,
    retries: u32,
    /// Tries of any of its connections that failed, but for those that found a thing made already.
    errors: Arc<AtomicU64>,
}

/// One connection to it.
pub(super) struct Caller {
    api: Api,
    client: Client,
}

/// What `GetIndex` tells of an index.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IndexTold {
    pub(super) dimension: usize,
    pub(super) distance_metric: String,
}

/// What an endpoint says of a request that it refuses.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Document {
    #[serde(alias = "Message")]
    message: String,
    field_list: Vec<FieldFault>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FieldFault {
    path: String,
    message: String,
}

impl Api {
    pub(super) fn new(options: &IndexOptions) -> Result<Self, VectorsError> {
        Ok(Self {
            target: Arc::new(Target::resolve(&options.target, Service::S3Vectors)?),
            bucket: options.bucket.clone(),
            index: options.index.clone(),
            retries: options.retries,
            errors: Arc::default(),
        })
    }

    /// Its name in messages.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.bucket, self.index)
    }

    /// Tries that failed.
    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// A body about the bucket.
    pub(super) fn of_bucket(&self) -> Value {
        json!({ "vectorBucketName": self.bucket })
    }

    /// A body about the index.
    pub(super) fn of_index(&self) -> Value {
        json!({ "vectorBucketName": self.bucket, "indexName": self.index })
    }

    /// A connection, which is made when it is used.
    pub(super) fn caller(&self) -> Result<Caller, VectorsError> {
        let client = Client::new(Arc::clone(&self.target));
        let client = client.map_err(|failure| VectorsError::new(failure.to_string()))?;
        Ok(Caller { api: self.clone(), client })
    }
}

/// The answer of `GetIndex`.
#[derive(Deserialize)]
struct GetIndex {
    index: IndexTold,
}

impl Caller {
    /// What the index is.
    pub(super) async fn index(&mut self) -> Result<IndexTold, Failure> {
        let body = self.api.of_index();
        self.ask("GetIndex", &body).await.map(|GetIndex { index }| index)
    }

    /// Asks for an operation and reads its answer.
    pub(super) async fn ask<T: DeserializeOwned>(
        &mut self,
        operation: &str,
        body: &Value,
    ) -> Result<T, Failure> {
        let answer = self.call(operation, Bytes::from(body.to_string())).await?;
        serde_json::from_slice(&answer).map_err(|error| Failure::Wrong(error.to_string()))
    }

    /// Asks for an operation, again and again if need be.
    pub(super) async fn call(&mut self, operation: &str, body: Bytes) -> Result<Vec<u8>, Failure> {
        let path = format!("/{operation}");
        let mut pause = PAUSE_MIN;
        for _ in 0..self.api.retries {
            match self.attempt(&path, body.clone()).await {
                Err(failure) if may_pass(&failure) => {}
                other => return other,
            }
            tokio::time::sleep(pause.mul_f64(0.5 + random_share() / 2.0)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        self.attempt(&path, body).await
    }

    async fn attempt(&mut self, path: &str, body: Bytes) -> Result<Vec<u8>, Failure> {
        let keep = Keep::Whole(ANSWER_BYTES_MAX);
        let ask = Ask { method: Method::POST, path, query: "", body: Body::Json(body), keep };
        match self.client.ask(&ask).await {
            Ok(answer) => Ok(answer.body),
            Err(failure) => {
                if !matches!(failure, Failure::Status(409, _)) {
                    self.api.errors.fetch_add(1, Relaxed);
                }
                Err(failure)
            }
        }
    }
}

/// Whether a later try may succeed.
fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::Status(status, _) => *status == 429 || *status >= 500,
        Failure::Connection(_) | Failure::Timeout => true,
        Failure::Wrong(_) => false,
    }
}

/// From 0 to 1, so that connections that failed together do not come back together.
fn random_share() -> f64 {
    let mut byte = [0];
    match aws_lc_rs::rand::fill(&mut byte) {
        Ok(()) => f64::from(byte[0]) / 255.0,
        // Without it they come back together.
        Err(_) => 1.0,
    }
}

/// All that a failure says.
pub(super) fn told(failure: &Failure) -> String {
    let Failure::Status(_, refusal) = failure else { return failure.to_string() };
    let Document { message, field_list } = document(refusal);
    let mut text = failure.to_string();
    if !message.is_empty() {
        text.push_str(": ");
        text.push_str(&message);
    }
    // A message often has its one field's words already.
    for field in field_list.iter().filter(|field| !message.contains(&field.message)) {
        text.push_str(&format!("; {}: {}", field.path, field.message));
    }
    super::printed::plain(&text)
}

/// Which of the vectors of a put is at fault, counted from 0.
pub(super) fn vector_at_fault(failure: &Failure) -> Option<u64> {
    let Failure::Status(400, refusal) = failure else { return None };
    let faults = document(refusal).field_list;
    let path = &faults.first()?.path;
    // `vectors[7].metadata` or `/vectors/7/key`
    let (_, rest) = path.split_once("vectors")?;
    let rest = rest.strip_prefix(['[', '/', '.'])?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

fn document(refusal: &Refusal) -> Document {
    // What is no JSON of that form says nothing more than its status.
    serde_json::from_str(&refusal.document).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, document: &str) -> Failure {
        let (code, document) = ("ValidationException".to_owned(), document.to_owned());
        Failure::Status(status, Refusal { code, document })
    }

    #[test]
    fn a_refusal_says_what_the_endpoint_said() {
        for (document, text) in [
            (r#"{"message":"No\u001b[2J."}"#, "status 400 ValidationException: No\\u{1b}[2J."),
            (r#"{"Message":"Not."}"#, "status 400 ValidationException: Not."),
            (
                r#"{"message":"Two","fieldList":[{"path":"a","message":"b"},{"path":"c","message":"Two"}]}"#,
                "status 400 ValidationException: Two; a: b",
            ),
            ("<xml/>", "status 400 ValidationException"),
            ("", "status 400 ValidationException"),
        ] {
            assert_eq!(told(&refused(400, document)), text);
        }
        assert_eq!(told(&Failure::Timeout), "timeout");
    }

    #[test]
    fn the_vector_at_fault_is_found_in_either_form_of_path() {
        for (path, nth) in [
            ("vectors[17]", Some(17)),
            ("vectors[3].metadata", Some(3)),
            ("/vectors/0/key", Some(0)),
            ("vectors", None),
            ("vectors[]", None),
            ("indexName", None),
            ("vectors[99999999999999999999]", None),
        ] {
            let document = json!({ "message": "", "fieldList": [{ "path": path, "message": "" }] });
            assert_eq!(vector_at_fault(&refused(400, &document.to_string())), nth, "{path}");
        }
        assert_eq!(vector_at_fault(&Failure::Timeout), None);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (status, again) in
            [(400, false), (402, false), (403, false), (404, false), (413, false)]
                .into_iter()
                .chain([(429, true), (500, true), (503, true)])
        {
            assert_eq!(may_pass(&refused(status, "")), again, "{status}");
        }
        assert!(may_pass(&Failure::Timeout) && may_pass(&Failure::Connection(String::new())));
        assert!(!may_pass(&Failure::Wrong(String::new())));
    }
}
