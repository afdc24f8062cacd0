//! S3 Vectors as its clients meet it: requests signed as for a service that is not S3, bodies and
//! answers in JSON.

mod beyond;
mod bound;
mod buckets;
mod indexes;
mod requests;
mod rows;

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::{Request, Response, shared};

/// The scope of its signatures.
const SERVICE: &str = "s3vectors";

/// A request for an operation.
pub fn request(client: &Client, operation: &str, body: impl Into<Vec<u8>>) -> Request {
    let request = client.request("POST", &format!("/{operation}")).signed_for(SERVICE);
    request.header("content-type", "application/json").body(body)
}

/// Asks for an operation.
#[track_caller]
fn call(client: &Client, operation: &str, body: &Value) -> Response {
    request(client, operation, body.to_string()).send()
}

/// Asks for an operation and insists on success.
#[track_caller]
pub fn ok(client: &Client, operation: &str, body: &Value) -> Value {
    call(client, operation, body).expect(200).with("content-type", "application/json").json()
}

/// A request about the tags of a resource.
fn tags_request(client: &Client, method: &str, arn: &str, query: &str) -> Request {
    let arn = crate::support::signing::encode(arn);
    client.request(method, &format!("/tags/{arn}{query}")).signed_for(SERVICE)
}

/// A name that no other test has.
fn name(purpose: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{purpose}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A vector bucket on the shared server.
#[track_caller]
fn bucket(purpose: &str) -> (Client, String) {
    let client = shared().client();
    let bucket = name(purpose);
    ok(&client, "CreateVectorBucket", &json!({ "vectorBucketName": bucket }));
    (client, bucket)
}

/// An index of a vector bucket: its ARN.
#[track_caller]
fn index(client: &Client, bucket: &str, name: &str, dimension: usize, metric: &str) -> String {
    index_with(client, bucket, name, dimension, metric, &json!({}))
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

/// One member of each item.
fn column(items: &[Value], name: &str) -> Vec<String> {
    items.iter().map(|item| item[name].as_str().unwrap().to_owned()).collect()
}
