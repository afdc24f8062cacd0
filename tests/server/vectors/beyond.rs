//! What Lodestore does beyond Amazon S3 Vectors: forks of indexes, vectors in fewer bytes, and recall
//! that is counted.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{bucket, call, column, index, name, ok, pages, request, tags_request};
use crate::support::client::Client;
use crate::support::process::{ALICE, BOB, Setup};
use crate::support::shared;

/// Puts `[n, 1]` with the metadata `n` for each of `numbers`.
#[track_caller]
fn put(client: &Client, arn: &str, numbers: std::ops::Range<usize>) {
    let vectors: Vec<Value> = numbers
        .map(|nth| {
            let (key, data) = (format!("k{nth:03}"), json!({ "float32": [nth, 1] }));
            json!({ "key": key, "data": data, "metadata": { "n": nth } })
        })
        .collect();
    ok(client, "PutVectors", &json!({ "indexArn": arn, "vectors": vectors }));
}

/// All rows of an index, by key.
#[track_caller]
fn listed(client: &Client, arn: &str) -> Vec<Value> {
    let list = json!({ "indexArn": arn, "returnData": true, "returnMetadata": true });
    let (mut rows, _) = pages(client, "ListVectors", &list, "vectors");
    rows.sort_by_key(|row| row["key"].as_str().map(str::to_owned));
    rows
}

#[test]
fn a_fork_has_all_that_its_index_had_and_goes_its_own_way() {
    let server = Setup::new().start();
    let client = server.client();
    ok(&client, "CreateVectorBucket", &json!({ "vectorBucketName": "forks" }));
    let new = json!({
        "vectorBucketName": "forks", "indexName": "trunk", "dataType": "float32", "dimension": 2,
        "distanceMetric": "euclidean", "tags": { "of": "trunk" },
        "metadataConfiguration": {
            "nonFilterableMetadataKeys": ["raw"],
            "textSearchConfigurations": [{ "metadataKey": "raw", "language": "en" }],
        },
    });
    let trunk = ok(&client, "CreateIndex", &new)["indexArn"].as_str().unwrap().to_owned();
    put(&client, &trunk, 0..300);
    let text = json!([{
        "key": "text", "data": { "float32": [-5, -5] }, "metadata": { "raw": "foxes jump" },
    }]);
    ok(&client, "PutVectors", &json!({ "indexArn": trunk, "vectors": text }));
    ok(&client, "DeleteVectors", &json!({ "indexArn": trunk, "keys": ["k007"] }));
    let before = listed(&client, &trunk);
    assert_eq!(before.len(), 300);
    let by_name = json!({
        "vectorBucketName": "forks", "indexName": "trunk", "newIndexName": "fork",
        "tags": { "of": "fork" },
    });
    let fork = ok(&client, "ForkIndex", &by_name);
    let fork = fork["indexArn"].as_str().unwrap().to_owned();
    assert_eq!(fork, trunk.replace("/index/trunk", "/index/fork"));
    assert_eq!(listed(&client, &fork), before);
    let described = |arn: &str| {
        let mut index = ok(&client, "GetIndex", &json!({ "indexArn": arn }))["index"].clone();
        for own in ["indexName", "indexArn", "creationTime"] {
            index.as_object_mut().unwrap().remove(own);
        }
        index
    };
    assert_eq!(described(&fork), described(&trunk));
    let tags = tags_request(&client, "GET", &fork, "").send().expect(200).json();
    assert_eq!(tags, json!({ "tags": { "of": "fork" } }));
    let texts = json!([{ "text": "fox", "metadataKey": "raw" }]);
    let query = json!({ "indexArn": fork, "topK": 5, "queryTexts": texts });
    assert_eq!(ok(&client, "QueryVectors", &query)["vectors"], json!([{ "key": "text" }]));
    // Each changes by itself.
    put(&client, &trunk, 300..310);
    ok(&client, "DeleteVectors", &json!({ "indexArn": fork, "filter": { "n": { "$lt": 100 } } }));
    assert_eq!((listed(&client, &trunk).len(), listed(&client, &fork).len()), (310, 201));
    let second = json!({ "indexArn": fork, "newIndexName": "of-the-fork" });
    let second = ok(&client, "ForkIndex", &second)["indexArn"].as_str().unwrap().to_owned();
    let server = server.restart();
    let client = server.client();
    assert_eq!((listed(&client, &trunk).len(), listed(&client, &fork).len()), (310, 201));
    ok(&client, "DeleteIndex", &json!({ "indexArn": trunk }));
    ok(&client, "DeleteIndex", &json!({ "indexArn": fork }));
    assert_eq!(listed(&client, &second).len(), 201);
    let (indexes, _) =
        pages(&client, "ListIndexes", &json!({ "vectorBucketName": "forks" }), "indexes");
    assert_eq!(column(&indexes, "indexName"), ["of-the-fork"]);
    ok(&client, "DeleteIndex", &json!({ "indexArn": second }));
    ok(&client, "DeleteVectorBucket", &json!({ "vectorBucketName": "forks" }));
}

#[test]
fn a_fork_that_cannot_be_is_refused() {
    let client = shared().client();
    let (alice, bob) = (client.with_keys(ALICE.0, ALICE.1), client.with_keys(BOB.0, BOB.1));
    let bucket = name("fork-refused");
    ok(&alice, "CreateVectorBucket", &json!({ "vectorBucketName": bucket }));
    let arn = index(&alice, &bucket, "trunk", 2, "cosine");
    index(&alice, &bucket, "taken", 2, "cosine");
    let fork = |by: &Client, arn: &str, name: Value| {
        call(by, "ForkIndex", &json!({ "indexArn": arn, "newIndexName": name }))
    };
    for name in ["taken", "trunk"] {
        assert_eq!(
            fork(&alice, &arn, json!(name)).failed(409, "ConflictException"),
            "An index with the specified name already exists"
        );
    }
    assert_eq!(
        fork(&alice, &arn, Value::Null).failed(400, "ValidationException"),
        "1 validation error detected. Value at '/newIndexName' failed to satisfy constraint: \
         Member must not be null"
    );
    for (name, kind) in [(json!("No"), "Validation"), (json!("a_b"), "Validation")] {
        fork(&alice, &arn, name).failed(400, &format!("{kind}Exception"));
    }
    fork(&alice, &arn, json!(7)).failed(400, "SerializationException");
    call(&alice, "ForkIndex", &json!({ "newIndexName": "fork" }))
        .failed(400, "ValidationException");
    let absent = arn.replace("/index/trunk", "/index/absent");
    fork(&alice, &absent, json!("fork")).failed(404, "NotFoundException");
    let denied = fork(&bob, &arn, json!("fork")).failed(403, "AccessDeniedException");
    assert!(denied.starts_with("User: bob is not authorized to perform: s3vectors:ForkIndex on"));
    // None of them left anything.
    let (indexes, _) =
        pages(&alice, "ListIndexes", &json!({ "vectorBucketName": bucket }), "indexes");
    assert_eq!(column(&indexes, "indexName"), ["taken", "trunk"]);
}

#[test]
fn forks_at_once_are_all_whole_and_one_name_is_one_forks() {
    let (client, bucket) = bucket("fork-race");
    let arn = index(&client, &bucket, "trunk", 2, "euclidean");
    put(&client, &arn, 0..200);
    let made: Vec<(usize, u16)> = std::thread::scope(|scope| {
        let forks: Vec<_> = (0..8)
            .map(|nth| {
                let (client, arn) = (&client, &arn);
                scope.spawn(move || {
                    let name = format!("fork-{}", nth % 4);
                    let body = json!({ "indexArn": arn, "newIndexName": name });
                    put(client, arn, 200 + nth..201 + nth);
                    (nth % 4, call(client, "ForkIndex", &body).status)
                })
            })
            .collect();
        forks.into_iter().map(|fork| fork.join().unwrap()).collect()
    });
    for name in 0..4 {
        let of_name = made.iter().filter(|(nth, _)| *nth == name).map(|(_, status)| *status);
        let mut statuses: Vec<u16> = of_name.collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "fork-{name}");
        let rows = listed(&client, &arn.replace("trunk", &format!("fork-{name}")));
        assert!((200..=208).contains(&rows.len()));
        assert!((0..200).all(|nth| rows[nth]["metadata"]["n"] == nth));
    }
}

/// Vectors as they are packed, and as they are told.
const PACKED: &[(&str, [f64; 2])] = &[
    (r#"{"float32":[1,-2]}"#, [1.0, -2.0]),
    // 0.1 as a float, -2.
    (r#"{"float32Base64":"zczMPQAAAMA="}"#, [0.100_000_001_490_116_12, -2.0]),
    // 0.333251953125, -2; the largest of 16 bits, the smallest.
    (r#"{"float16Base64":"VTUAwA=="}"#, [0.333_251_953_125, -2.0]),
    (r#"{"float16Base64":"\/3sBAA=="}"#, [65504.0, 5.960_464_477_539_063e-8]),
    (r#"{"int8":[-128, 127]}"#, [-128.0, 127.0]),
    (r#"{"int8":[1,0],"float32":null,"unknown":[]}"#, [1.0, 0.0]),
];

#[test]
fn packed_vectors_are_the_floats_they_hold() {
    let (client, bucket) = bucket("packed");
    let arn = index(&client, &bucket, "index", 2, "euclidean");
    for (nth, (data, told)) in PACKED.iter().enumerate() {
        let put = format!(r#"{{"indexArn":"{arn}","vectors":[{{"key":"k{nth}","data":{data}}}]}}"#);
        request(&client, "PutVectors", put).send().expect(200);
        let get = json!({ "indexArn": arn, "keys": [format!("k{nth}")], "returnData": true });
        let got = ok(&client, "GetVectors", &get)["vectors"][0]["data"].clone();
        assert_eq!(got, json!({ "float32": told }), "{data}");
        let query = format!(
            r#"{{"indexArn":"{arn}","topK":1,"returnDistance":true,"queryVector":{data}}}"#
        );
        let found = request(&client, "QueryVectors", query).send().expect(200).json();
        let nearest = json!([{ "key": format!("k{nth}"), "distance": 0.0 }]);
        assert_eq!(found["vectors"], nearest, "{data}");
    }
}

#[test]
fn packed_vectors_are_refused_as_others_are() {
    let (client, bucket) = bucket("packed-refused");
    let arn = index(&client, &bucket, "index", 2, "cosine");
    let (fault, unread) = ("ValidationException", "SerializationException");
    for (data, kind, why) in [
        (r#"{"float16Base64":"ADw="}"#, fault, "must have length 2, but has length 1"),
        (r#"{"int8":[1,2,3]}"#, fault, "must have length 2, but has length 3"),
        (r#"{"float32Base64":""}"#, fault, "must have length 2, but has length 0"),
        (r#"{"float16Base64":"AHwAPA=="}"#, fault, "contains NaNs or Infs"),
        (r#"{"float32Base64":"AADAfwAAAAA="}"#, fault, "contains NaNs or Infs"),
        (r#"{"int8":[0,0]}"#, fault, "does not support vectors with zero norm"),
        (r#"{"float16Base64":"AAAAgA=="}"#, fault, "does not support vectors with zero norm"),
        (r#"{"int8":[1,2],"float32":[1,2]}"#, fault, "Member must have only one of: ["),
        (r#"{}"#, fault, "/float32' failed to satisfy constraint: Member must not be null"),
        (r#"{"int8":[128,0]}"#, unread, "does not have its type"),
        (r#"{"int8":[1.5,0]}"#, unread, "does not have its type"),
        (r#"{"int8":"AQI="}"#, unread, "does not have its type"),
        (r#"{"float16Base64":"ADwA"}"#, unread, "does not have its type"),
        (r#"{"float32Base64":"not base64"}"#, unread, "does not have its type"),
        (r#"{"float32Base64":[1,2]}"#, unread, "does not have its type"),
    ] {
        let put = format!(r#"{{"indexArn":"{arn}","vectors":[{{"key":"k","data":{data}}}]}}"#);
        let query = format!(r#"{{"indexArn":"{arn}","topK":1,"queryVector":{data}}}"#);
        for (operation, body) in [("PutVectors", put), ("QueryVectors", query)] {
            let response = request(&client, operation, body).send();
            response.failed(400, kind);
            assert!(response.text().contains(why), "{operation} {data}: {response}");
        }
    }
    assert_eq!(listed(&client, &arn), [] as [Value; 0]);
}

#[test]
fn recall_is_counted_where_it_is_asked_for() {
    let setup = Setup::new().argument("--vector-recall-probe").argument("1");
    let server = setup.start();
    let client = server.client();
    ok(&client, "CreateVectorBucket", &json!({ "vectorBucketName": "recall" }));
    let arn = index(&client, "recall", "index", 2, "euclidean");
    put(&client, &arn, 0..400);
    for nth in 0..20 {
        let query = json!({
            "indexArn": arn, "topK": 7, "queryVector": { "float32": [nth, 3] },
            "filter": { "n": { "$gte": nth } },
        });
        ok(&client, "QueryVectors", &query);
    }
    let metric = |name: &str| {
        let name = format!("lodestore_vector_recall_{name}_total");
        server.metric(&name).unwrap_or_else(|| panic!("{name} is not there"))
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while metric("probes") + metric("dropped") < 20.0 {
        assert!(Instant::now() < deadline, "not all queries were looked at");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(metric("probes") >= 1.0);
    assert_eq!(metric("wanted"), metric("probes") * 7.0);
    assert_eq!(metric("found"), metric("wanted"), "so few vectors are all measured");
    let text = client.request("GET", "/_/metrics").anonymous().send().text();
    assert!(text.contains("# TYPE lodestore_vector_recall_found_total counter"));
    // Elsewhere there is none.
    let of_shared = |name: &str| shared().metric(&format!("lodestore_vector_recall_{name}_total"));
    assert_eq!((of_shared("probes"), of_shared("dropped")), (Some(0.0), Some(0.0)));
}
