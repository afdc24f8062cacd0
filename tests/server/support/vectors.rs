//! Requests to S3 Vectors: signed as for a service that is not S3, bodies and answers in JSON.

use serde_json::{Value, json};

use super::client::Client;
use super::http::Response;
use super::request::Request;

/// The scope of its signatures.
pub const SERVICE: &str = "s3vectors";

/// A request for an operation.
pub fn request(client: &Client, operation: &str, body: impl Into<Vec<u8>>) -> Request {
    let request = client.request("POST", &format!("/{operation}")).signed_for(SERVICE);
    request.header("content-type", "application/json").body(body)
}

/// Asks for an operation.
#[track_caller]
pub fn call(client: &Client, operation: &str, body: &Value) -> Response {
    request(client, operation, body.to_string()).send()
}

/// Asks for an operation and insists on success.
#[track_caller]
pub fn ok(client: &Client, operation: &str, body: &Value) -> Value {
    call(client, operation, body).expect(200).with("content-type", "application/json").json()
}

/// An index with more members of its request.
#[track_caller]
pub fn index_with(
    client: &Client,
    bucket: &str,
    name: &str,
    dimension: usize,
    metric: &str,
    more: &Value,
) -> String {
    let mut new = json!({
        "vectorBucketName": bucket, "indexName": name, "dataType": "float32",
        "dimension": dimension, "distanceMetric": metric,
    });
    new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = ok(client, "CreateIndex", &new);
    made["indexArn"].as_str().unwrap().to_owned()
}

/// All items of a list, page by page.
#[track_caller]
pub fn pages(client: &Client, operation: &str, body: &Value, items: &str) -> (Vec<Value>, usize) {
    let mut body = body.clone();
    let (mut all, mut count) = (Vec::new(), 0);
    loop {
        let page = ok(client, operation, &body);
        all.extend(page[items].as_array().unwrap().iter().cloned());
        count += 1;
        assert!(count < 10_000, "{operation} does not end");
        match page.get("nextToken") {
            Some(token) => body["nextToken"] = token.clone(),
            None => return (all, count),
        }
    }
}
