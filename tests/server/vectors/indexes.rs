//! Vector indexes: made in a bucket, listed, configured for text, deleted with all they hold, and
//! kept over a restart.

use serde_json::{Value, json};

use super::{bucket, call, column, index, name, ok, pages, tags_request};
use crate::support::process::Setup;

#[test]
fn an_index_is_made_once_and_tells_of_itself() {
    let (client, bucket) = bucket("index-made");
    let new = json!({
        "vectorBucketName": bucket, "indexName": "index", "dataType": "float32", "dimension": 3,
        "distanceMetric": "euclidean", "tags": { "a": "b" },
        "metadataConfiguration": {
            "nonFilterableMetadataKeys": ["raw", "more"],
            "textSearchConfigurations": [
                { "metadataKey": "raw", "language": "de" }, { "metadataKey": "title" }
            ],
        },
    });
    let arn = format!("arn:aws:s3vectors:us-east-1:000000000000:bucket/{bucket}/index/index");
    assert_eq!(ok(&client, "CreateIndex", &new), json!({ "indexArn": arn }));
    let again = call(&client, "CreateIndex", &new);
    assert_eq!(
        again.failed(409, "ConflictException"),
        "An index with the specified name already exists"
    );
    let named = json!({ "vectorBucketName": bucket, "indexName": "index" });
    for target in [named, json!({ "indexArn": arn })] {
        let told = ok(&client, "GetIndex", &target)["index"].clone();
        let expected = json!({
            "vectorBucketName": bucket,
            "indexName": "index",
            "indexArn": arn,
            "creationTime": told["creationTime"].as_u64().unwrap(),
            "dataType": "float32",
            "dimension": 3,
            "distanceMetric": "euclidean",
            "metadataConfiguration": {
                "nonFilterableMetadataKeys": ["raw", "more"],
                "textSearchConfigurations": [
                    { "metadataKey": "raw", "language": "de", "status": "ACTIVE" },
                    { "metadataKey": "title", "status": "ACTIVE" },
                ],
            },
            "encryptionConfiguration": { "sseType": "AES256" },
            "indexMode": "ENHANCED",
        });
        assert_eq!(told, expected);
    }
    let tags = tags_request(&client, "GET", &arn, "").send().expect(200).json();
    assert_eq!(tags, json!({ "tags": { "a": "b" } }));
    let plain = index(&client, &bucket, "plain", 1, "cosine");
    let told = ok(&client, "GetIndex", &json!({ "indexArn": plain }));
    assert_eq!(told["index"].get("metadataConfiguration"), None);
}

#[test]
fn what_is_not_there_is_not_told_apart() {
    let (client, bucket) = bucket("index-missing");
    let named = json!({ "vectorBucketName": bucket, "indexName": "none" });
    let nowhere = json!({ "vectorBucketName": "no-such-bucket", "indexName": "none" });
    for target in [named, nowhere] {
        let with = |more: Value| {
            let mut all = target.clone();
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let vector = json!({ "float32": [1] });
        for (operation, body) in [
            ("GetIndex", target.clone()),
            ("DeleteIndex", target.clone()),
            ("UpdateIndexMode", with(json!({ "indexMode": "ENHANCED" }))),
            ("PutVectors", with(json!({ "vectors": [{ "key": "k", "data": vector }] }))),
            ("GetVectors", with(json!({ "keys": ["k"] }))),
            ("ListVectors", target.clone()),
            ("DeleteVectors", with(json!({ "keys": ["k"] }))),
            ("QueryVectors", with(json!({ "topK": 1, "queryVector": vector }))),
        ] {
            let message = call(&client, operation, &body).failed(404, "NotFoundException");
            assert_eq!(message, "The specified index could not be found", "{operation}");
        }
    }
    let new = json!({
        "vectorBucketName": "no-such-bucket", "indexName": "new", "dataType": "float32",
        "dimension": 1, "distanceMetric": "cosine",
    });
    let message = call(&client, "CreateIndex", &new).failed(404, "NotFoundException");
    assert_eq!(message, "The specified vector bucket could not be found");
}

#[test]
fn an_index_is_named_in_exactly_one_way() {
    let (client, bucket) = bucket("index-named");
    let arn = index(&client, &bucket, "index", 1, "cosine");
    for target in [
        json!({}),
        json!({ "vectorBucketName": bucket }),
        json!({ "indexName": "index" }),
        json!({ "vectorBucketName": bucket, "indexArn": arn }),
        json!({ "vectorBucketName": bucket, "indexName": "index", "indexArn": arn }),
    ] {
        let message = call(&client, "GetIndex", &target).failed(400, "ValidationException");
        assert_eq!(message, "Must specify either indexArn or both vectorBucketName and indexName");
    }
    let new = json!({
        "vectorBucketName": bucket, "indexName": "a_b", "dataType": "float32", "dimension": 1,
        "distanceMetric": "cosine",
    });
    let message = call(&client, "CreateIndex", &new).failed(400, "ValidationException");
    assert_eq!(message, "Invalid index name");
}

#[test]
fn indexes_are_listed_in_pages_within_their_bucket() {
    let (client, first) = bucket("index-list");
    let second = name("index-list-other");
    ok(&client, "CreateVectorBucket", &json!({ "vectorBucketName": second }));
    for nth in 0..12 {
        index(&client, &first, &format!("a-{nth:02}"), 1, "cosine");
    }
    index(&client, &first, "b-0", 1, "cosine");
    index(&client, &second, "a-99", 1, "cosine");
    let list = json!({ "vectorBucketName": first, "maxResults": 5, "prefix": "a-" });
    let (found, count) = pages(&client, "ListIndexes", &list, "indexes");
    let expected: Vec<String> = (0..12).map(|nth| format!("a-{nth:02}")).collect();
    assert_eq!((column(&found, "indexName"), count), (expected, 3));
    assert_eq!(found[0].as_object().unwrap().len(), 4, "{}", found[0]);
    let (all, _) = pages(&client, "ListIndexes", &json!({ "vectorBucketName": first }), "indexes");
    assert_eq!(all.len(), 13);
    let refused = call(&client, "DeleteVectorBucket", &json!({ "vectorBucketName": first }));
    assert_eq!(
        refused.failed(409, "ConflictException"),
        "The specified vector bucket is not empty"
    );
}

#[test]
fn texts_to_search_are_added_and_deleted() {
    let (client, bucket) = bucket("index-text");
    let arn = index(&client, &bucket, "index", 1, "cosine");
    let texts = |keys: &[&str]| {
        let texts: Vec<Value> = keys.iter().map(|key| json!({ "metadataKey": key })).collect();
        json!({ "textSearchConfigurations": texts })
    };
    let add = |keys: &[&str]| json!({ "indexArn": arn, "add": texts(keys) });
    let delete = |keys: &[&str]| json!({ "indexArn": arn, "delete": texts(keys) });
    let update = "UpdateMetadataConfiguration";
    assert_eq!(ok(&client, update, &add(&["a", "b"])), json!({ "indexArn": arn }));
    call(&client, update, &add(&["b"])).failed(409, "ConflictException");
    for refused in [
        add(&["c", "c"]),
        add(&["c", "d", "e", "f", "g", "h", "i", "j", "k"]),
        delete(&["c"]),
        delete(&["a", "a"]),
        json!({ "indexArn": arn }),
        json!({ "indexArn": arn, "add": texts(&["c"]), "delete": texts(&["a"]) }),
    ] {
        call(&client, update, &refused).failed(400, "ValidationException");
    }
    let keys = || {
        let told = ok(&client, "GetIndex", &json!({ "indexArn": arn }));
        let texts = &told["index"]["metadataConfiguration"]["textSearchConfigurations"];
        texts.as_array().map(|texts| column(texts, "metadataKey")).unwrap_or_default()
    };
    assert_eq!(keys(), ["a", "b"]);
    ok(&client, update, &delete(&["a"]));
    assert_eq!(keys(), ["b"]);
    ok(&client, update, &delete(&["b"]));
    assert_eq!(keys(), Vec::<String>::new());
    let twice = json!({
        "vectorBucketName": bucket, "indexName": "twice", "dataType": "float32", "dimension": 1,
        "distanceMetric": "cosine", "metadataConfiguration": texts(&["a", "a"]),
    });
    call(&client, "CreateIndex", &twice).failed(400, "ValidationException");
}

#[test]
fn there_is_one_mode() {
    let (client, bucket) = bucket("index-mode");
    let arn = index(&client, &bucket, "index", 1, "euclidean");
    let mode = |mode: &str| json!({ "indexArn": arn, "indexMode": mode });
    assert_eq!(ok(&client, "UpdateIndexMode", &mode("ENHANCED")), json!({}));
    assert_eq!(
        call(&client, "UpdateIndexMode", &mode("CLASSIC")).failed(400, "ValidationException"),
        "indexMode cannot be set to CLASSIC because the vector bucket does not support CLASSIC mode"
    );
    let query = |mode: &str| {
        json!({
            "indexArn": arn, "topK": 1, "queryVector": { "float32": [1] }, "queryMode": mode,
        })
    };
    ok(&client, "QueryVectors", &query("ENHANCED"));
    assert_eq!(
        call(&client, "QueryVectors", &query("CLASSIC")).failed(400, "ValidationException"),
        "queryMode cannot be CLASSIC when indexMode is ENHANCED"
    );
}

#[test]
fn a_deleted_index_leaves_nothing_to_the_next_of_its_name() {
    let (client, bucket) = bucket("index-deleted");
    for dimension in [2, 3] {
        let arn = index(&client, &bucket, "index", dimension, "euclidean");
        let list = || ok(&client, "ListVectors", &json!({ "indexArn": arn }));
        assert_eq!(list(), json!({ "vectors": [] }));
        let vector = json!({ "float32": vec![1; dimension] });
        let put = json!({ "indexArn": arn, "vectors": [{ "key": "k", "data": vector }] });
        ok(&client, "PutVectors", &put);
        assert_eq!(list(), json!({ "vectors": [{ "key": "k" }] }));
        ok(&client, "DeleteIndex", &json!({ "indexArn": arn }));
        call(&client, "ListVectors", &json!({ "indexArn": arn })).failed(404, "NotFoundException");
        call(&client, "PutVectors", &put).failed(404, "NotFoundException");
    }
    ok(&client, "DeleteVectorBucket", &json!({ "vectorBucketName": bucket }));
}

#[test]
fn a_restart_keeps_everything() {
    let server = Setup::new().start();
    let client = server.client();
    let new = json!({ "vectorBucketName": "kept", "tags": { "t": "1" } });
    ok(&client, "CreateVectorBucket", &new);
    let policy = json!({ "vectorBucketName": "kept", "policy": "{\"Statement\":[]}" });
    ok(&client, "PutVectorBucketPolicy", &policy);
    let arn = index(&client, "kept", "index", 2, "euclidean");
    let text = json!({ "textSearchConfigurations": [{ "metadataKey": "t", "language": "en" }] });
    ok(&client, "UpdateMetadataConfiguration", &json!({ "indexArn": arn, "add": text }));
    let vectors: Vec<Value> = (0..300)
        .map(|nth| {
            json!({
                "key": format!("k{nth}"), "data": { "float32": [nth, 0.5] },
                "metadata": { "n": nth, "t": format!("word{nth}") },
            })
        })
        .collect();
    ok(&client, "PutVectors", &json!({ "indexArn": arn, "vectors": vectors }));
    ok(&client, "DeleteVectors", &json!({ "indexArn": arn, "keys": ["k0", "k299"] }));
    let all = |client: &crate::support::client::Client| {
        let of_bucket = json!({ "vectorBucketName": "kept" });
        let query = json!({
            "indexArn": arn, "topK": 5, "queryVector": { "float32": [7, 0.5] },
            "returnDistance": true, "returnMetadata": true, "filter": { "n": { "$gte": 5 } },
        });
        let list = json!({ "indexArn": arn, "returnData": true, "returnMetadata": true });
        let (mut listed, _) = pages(client, "ListVectors", &list, "vectors");
        listed.sort_by_key(|vector| vector["key"].as_str().unwrap().to_owned());
        json!([
            ok(client, "GetVectorBucket", &of_bucket),
            ok(client, "GetVectorBucketPolicy", &of_bucket),
            ok(client, "GetIndex", &json!({ "indexArn": arn })),
            ok(client, "QueryVectors", &query),
            tags_request(client, "GET", &arn.replace("/index/index", ""), "").send().json(),
            listed,
        ])
    };
    let before = all(&client);
    assert_eq!(before[5].as_array().unwrap().len(), 298);
    let server = server.restart();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while server.metric("lodestore_vector_rows") != Some(298.0) {
        assert!(std::time::Instant::now() < deadline, "opened before anybody asks for it");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(all(&server.client()) == before, "{:?}", all(&server.client())[3]);
    let mut server = server;
    server.kill();
    let server = server.start_again();
    assert!(all(&server.client()) == before, "{:?}", all(&server.client())[3]);
}
