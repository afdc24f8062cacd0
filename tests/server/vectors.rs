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
use crate::support::vectors::{SERVICE, call, index_with, ok, pages, request};
use crate::support::{Request, shared};

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

/// One member of each item.
fn column(items: &[Value], name: &str) -> Vec<String> {
    items.iter().map(|item| item[name].as_str().unwrap().to_owned()).collect()
}
