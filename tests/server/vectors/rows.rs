//! Vectors in an index: put, got, listed, deleted, found.

use serde_json::{Value, json};

use super::{bucket, call, column, index, ok, pages, request};
use crate::support::client::Client;

/// A new index with its ARN.
#[track_caller]
fn arn(purpose: &str, dimension: usize, metric: &str) -> (Client, String) {
    let (client, bucket) = bucket(purpose);
    let arn = index(&client, &bucket, "index", dimension, metric);
    (client, arn)
}

/// A request about an index with more members.
fn with(arn: &str, more: Value) -> Value {
    let mut all = json!({ "indexArn": arn });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

/// `count` vectors `[n, 0.5]` with keys `k0`, `k1`, … and the metadata `n` and `odd`.
#[track_caller]
fn numbered(client: &Client, arn: &str, count: usize) {
    for start in (0..count).step_by(500) {
        let vectors: Vec<Value> = (start..count.min(start + 500))
            .map(|nth| {
                json!({
                    "key": format!("k{nth}"), "data": { "float32": [nth, 0.5] },
                    "metadata": { "n": nth, "odd": nth % 2 == 1 },
                })
            })
            .collect();
        ok(client, "PutVectors", &with(arn, json!({ "vectors": vectors })));
    }
}

#[test]
fn vectors_come_back_as_the_floats_they_are() {
    let (client, arn) = arn("floats", 3, "cosine");
    let body = format!(
        r#"{{"indexArn":"{arn}","vectors":[
            {{"key":"a","data":{{"float32":[0.9,1,-1e-9]}},"metadata":{{"s":"x","l":["p","q"],"n":1.5,"b":true}}}},
            {{"key":"ä/😀","data":{{"float32":[0.1,3.4028235e38,1.5e-45]}}}},
            {{"key":"{}","data":{{"float32":[1,2,3]}},"metadata":null}}]}}"#,
        "k".repeat(1024)
    );
    request(&client, "PutVectors", body).send().expect(200);
    let get = |more: Value| ok(&client, "GetVectors", &with(&arn, more))["vectors"].clone();
    assert_eq!(get(json!({ "keys": ["none"] })), json!([]));
    assert_eq!(get(json!({ "keys": ["a", "none"] })), json!([{ "key": "a" }]));
    let whole = json!({ "keys": ["a", "ä/😀"], "returnData": true, "returnMetadata": true });
    let told = call(&client, "GetVectors", &with(&arn, whole)).expect(200);
    // As AWS tells them: each the double that it is.
    for float in [
        "0.8999999761581421,1.0,-9.999999717180685e-10",
        "0.10000000149011612,3.4028234663852886e38,1.401298464324817e-45",
    ] {
        assert!(told.text().replace("e+", "e").contains(&format!("[{float}]")), "{told}");
    }
    let told = told.json()["vectors"].clone();
    assert_eq!(told[0]["metadata"], json!({ "b": true, "l": ["p", "q"], "n": 1.5, "s": "x" }));
    assert_eq!((&told[1]["key"], &told[1]["metadata"]), (&json!("ä/😀"), &json!({})));
    let metadata = json!({ "keys": ["k".repeat(1024)], "returnMetadata": true });
    assert_eq!(get(metadata)[0]["metadata"], json!({}));
    // A put takes the place of all that was there.
    let vectors = json!([{ "key": "a", "data": { "float32": [1, 0, 0] }, "metadata": { "z": 1 } }]);
    ok(&client, "PutVectors", &with(&arn, json!({ "vectors": vectors })));
    assert_eq!(
        get(json!({ "keys": ["a"], "returnData": true, "returnMetadata": true })),
        json!([{ "key": "a", "data": { "float32": [1.0, 0.0, 0.0] }, "metadata": { "z": 1 } }])
    );
}

#[test]
fn a_vector_that_an_index_cannot_take_is_named() {
    let (client, bucket) = bucket("faults");
    let make = |name: &str, metric: &str| {
        let configuration = json!({ "nonFilterableMetadataKeys": ["raw"] });
        let new = json!({
            "vectorBucketName": bucket, "indexName": name, "dataType": "float32", "dimension": 2,
            "distanceMetric": metric, "metadataConfiguration": configuration,
        });
        ok(&client, "CreateIndex", &new)["indexArn"].as_str().unwrap().to_owned()
    };
    let (cosine, euclidean) = (make("cosine", "cosine"), make("euclidean", "euclidean"));
    let put = |arn: &str, vector: &str, metadata: &str| {
        let body = format!(
            r#"{{"indexArn":"{arn}","vectors":[{{"key":"right","data":{{"float32":[1,2]}}}},
                {{"key":"wrong","data":{{"float32":{vector}}},"metadata":{metadata}}}]}}"#
        );
        request(&client, "PutVectors", body).send()
    };
    let vector = "vectors[1]";
    let metadata = "vectors[1].metadata";
    let long = |key: &str, len: usize| json!({ key: "x".repeat(len) }).to_string();
    let many: serde_json::Map<String, Value> =
        (0..51).map(|nth| (nth.to_string(), json!(1))).collect();
    let not_finite = "vector contains NaNs or Infs";
    let zero = "cosine distance does not support vectors with zero norm";
    for (arn, components, document, path, why) in [
        (&euclidean, "[1]", "{}", vector, "vector must have length 2, but has length 1"),
        (&euclidean, "[]", "{}", vector, "vector must have length 2, but has length 0"),
        (&euclidean, "[1,2,3]", "{}", vector, "vector must have length 2, but has length 3"),
        (&euclidean, "[1,\"NaN\"]", "{}", vector, not_finite),
        (&euclidean, "[1,\"-Infinity\"]", "{}", vector, not_finite),
        (&euclidean, "[1,1e39]", "{}", vector, not_finite),
        (&euclidean, "[1,1e999]", "{}", vector, not_finite),
        (&euclidean, "[1,3.40282357e38]", "{}", vector, not_finite),
        (&cosine, "[0,-0.0]", "{}", vector, zero),
        (&cosine, "[1e-46,1e-46]", "{}", vector, zero),
        (
            &cosine,
            "[1,2]",
            &long("f", 2036),
            metadata,
            "Filterable metadata must have at most 2048 bytes",
        ),
        (
            &cosine,
            "[1,2]",
            &long("raw", 40_946),
            metadata,
            "Metadata object must have at most 40960 bytes",
        ),
        (
            &cosine,
            "[1,2]",
            &Value::from(many).to_string(),
            metadata,
            "Metadata object must have at most 50 keys",
        ),
    ] {
        let response = put(arn, components, document);
        let message = response.failed(400, "ValidationException");
        assert_eq!(message, format!("Invalid record for key 'wrong': {why}"), "{components}");
        let fields = response.json()["fieldList"].clone();
        assert_eq!(fields, json!([{ "path": path, "message": why }]));
    }
    // As AWS was seen to refuse them, and by the key.
    let values = "Metadata values must be strings, numbers, booleans, or arrays: key 'a'";
    let lists = "Metadata array values must be strings or numbers: key 'a'";
    let empty = "Empty arrays are not allowed in metadata: key 'a'";
    for (document, why) in [
        ("[]", "Metadata must be an object"),
        ("7", "Metadata must be an object"),
        ("\"x\"", "Metadata must be an object"),
        (r#"{"a":{}}"#, values),
        (r#"{"a":null}"#, values),
        (r#"{"a":[{}]}"#, lists),
        (r#"{"a":[[1]]}"#, lists),
        (r#"{"a":[true]}"#, lists),
        (r#"{"a":[1,"a"]}"#, lists),
        (r#"{"a":["a",1]}"#, lists),
        (r#"{"a":[]}"#, empty),
    ] {
        let message = put(&cosine, "[1,2]", document).failed(400, "ValidationException");
        assert_eq!(message, format!("Invalid record for key 'wrong': {why}"), "{document}");
    }
    for components in ["[1,\"2\"]", "[1,null]", "[1,true]", "[[1],2]", "{}", "7"] {
        put(&cosine, components, "{}").failed(400, "SerializationException");
    }
    // Nothing of a refused request is kept.
    for arn in [&cosine, &euclidean] {
        assert_eq!(
            ok(&client, "ListVectors", &json!({ "indexArn": arn })),
            json!({ "vectors": [] })
        );
    }
    put(&euclidean, "[0,0]", &long("f", 2035)).expect(200);
    put(&cosine, "[0,1e-45]", &long("raw", 40_945)).expect(200);
    put(&cosine, "[1,2]", r#"{"":"x","$eq":"y","a.b":["","x","x"],"n":[1,2.5]}"#).expect(200);
    let unnamed = json!({ "indexArn": cosine, "filter": { "": "x", "a.b": "x", "n": 2.5 } });
    let listed = ok(&client, "ListVectors", &unnamed);
    assert_eq!(column(listed["vectors"].as_array().unwrap(), "key"), ["wrong"]);
}

#[test]
fn keys_are_bounded_and_named_once() {
    let (client, arn) = arn("keys", 1, "euclidean");
    let too_long = "中".repeat(342);
    let put = |keys: &[&str]| {
        let vectors: Vec<Value> =
            keys.iter().map(|key| json!({ "key": key, "data": { "float32": [1] } })).collect();
        call(&client, "PutVectors", &with(&arn, json!({ "vectors": vectors })))
    };
    let keyed = |operation: &str, keys: &[&str]| {
        call(&client, operation, &with(&arn, json!({ "keys": keys })))
    };
    let long = "Record key length exceeds the maximum allowed";
    for response in
        [put(&[&too_long]), keyed("GetVectors", &[&too_long]), keyed("DeleteVectors", &[&too_long])]
    {
        assert_eq!(response.failed(400, "ValidationException"), long);
    }
    put(&[&"中".repeat(341)]).expect(200);
    let twice = "Request must not contain duplicate keys";
    for response in [put(&["a", "b", "a"]), keyed("DeleteVectors", &["a", "a"])] {
        assert_eq!(response.failed(400, "ValidationException"), twice);
    }
    keyed("GetVectors", &["a", "a"]).expect(200);
    assert_eq!(keyed("DeleteVectors", &["a", "none"]).expect(200).json(), json!({}));
}

#[test]
fn a_list_has_every_vector_once_whole_or_in_segments() {
    let (client, arn) = arn("list", 2, "euclidean");
    numbered(&client, &arn, 700);
    let mut expected: Vec<String> = (0..700).map(|nth| format!("k{nth}")).collect();
    expected.sort();
    let sorted = |found: &[Value]| {
        let mut keys = column(found, "key");
        keys.sort();
        keys
    };
    let (found, count) = pages(&client, "ListVectors", &with(&arn, json!({})), "vectors");
    assert_eq!((sorted(&found), count), (expected.clone(), 2));
    assert_eq!(found[0].as_object().unwrap().len(), 1);
    let (found, _) =
        pages(&client, "ListVectors", &with(&arn, json!({ "maxResults": 64 })), "vectors");
    assert_eq!(sorted(&found), expected);
    for count in [1, 3, 16] {
        let mut all = Vec::new();
        for segment in 0..count {
            let part = json!({ "segmentCount": count, "segmentIndex": segment, "maxResults": 100 });
            all.extend(pages(&client, "ListVectors", &with(&arn, part), "vectors").0);
        }
        assert_eq!(sorted(&all), expected, "{count} segments");
    }
    for wrong in [
        json!({ "segmentCount": 2 }),
        json!({ "segmentIndex": 0 }),
        json!({ "segmentCount": 2, "segmentIndex": 2 }),
    ] {
        call(&client, "ListVectors", &with(&arn, wrong)).failed(400, "ValidationException");
    }
    let token =
        ok(&client, "ListVectors", &with(&arn, json!({ "maxResults": 10 })))["nextToken"].clone();
    for (other, fits) in [
        (json!({ "nextToken": token }), true),
        (json!({ "nextToken": token, "maxResults": 20, "returnData": true }), true),
        (json!({ "nextToken": token, "segmentCount": 2, "segmentIndex": 0 }), false),
        (json!({ "nextToken": token, "filter": { "n": 1 } }), false),
        (json!({ "nextToken": "forged" }), false),
    ] {
        let response = call(&client, "ListVectors", &with(&arn, other));
        if fits {
            response.expect(200);
        } else {
            response.failed(400, "ValidationException");
        }
    }
}

#[test]
fn a_page_of_a_list_ends_after_a_megabyte_of_rows() {
    let (client, arn) = arn("list-bytes", 4096, "euclidean");
    let vectors: Vec<Value> = (0..100)
        .map(|nth| json!({ "key": nth.to_string(), "data": { "float32": vec![nth; 4096] } }))
        .collect();
    ok(&client, "PutVectors", &with(&arn, json!({ "vectors": vectors })));
    let list = with(&arn, json!({ "returnData": true }));
    let (found, count) = pages(&client, "ListVectors", &list, "vectors");
    assert_eq!(found.len(), 100);
    assert!((2..=4).contains(&count), "{count} pages");
}

#[test]
fn a_query_finds_the_nearest_first() {
    let (client, arn) = arn("query", 2, "euclidean");
    numbered(&client, &arn, 50);
    let query = |more: Value| {
        let mut body = json!({ "topK": 3, "queryVector": { "float32": [7, 0.5] } });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ok(&client, "QueryVectors", &with(&arn, body))
    };
    let found = query(json!({ "topK": 1 }));
    assert_eq!(found, json!({ "vectors": [{ "key": "k7" }], "distanceMetric": "euclidean" }));
    let found = query(json!({ "returnDistance": true, "returnMetadata": true, "topK": 5 }));
    let found = found["vectors"].as_array().unwrap().clone();
    assert_eq!(
        found[0],
        json!({ "key": "k7", "distance": 0.0, "metadata": { "n": 7, "odd": true } })
    );
    let distances: Vec<f64> = found.iter().map(|hit| hit["distance"].as_f64().unwrap()).collect();
    assert_eq!(distances, [0.0, 1.0, 1.0, 2.0, 2.0], "they are rooted");
    let found = query(json!({ "filter": { "odd": { "$eq": false } }, "topK": 2 }));
    let mut keys = column(found["vectors"].as_array().unwrap(), "key");
    keys.sort();
    assert_eq!(keys, ["k6", "k8"]);
    let found = query(json!({ "returnData": true, "topK": 1 }));
    assert_eq!(found["vectors"][0], json!({ "key": "k7", "data": { "float32": [7.0, 0.5] } }));
    assert!(query(json!({ "explain": true })).get("explain").is_some());
    assert!(query(json!({})).get("explain").is_none());
    // Scores are of texts.
    assert_eq!(query(json!({ "returnScores": true, "topK": 1 })), query(json!({ "topK": 1 })));
    // Distances are 1 - cos where that is the metric, and negated products.
    let (client, bucket) = bucket("metrics");
    for (metric, distance) in
        [("cosine", 1.0), ("innerProduct", -6.0), ("euclidean", 13.0_f64.sqrt())]
    {
        let arn = index(&client, &bucket, &metric.to_lowercase(), 2, metric);
        let vectors = json!([{ "key": "k", "data": { "float32": [2, 0] } }]);
        ok(&client, "PutVectors", &with(&arn, json!({ "vectors": vectors })));
        let vector = if metric == "innerProduct" { json!([3, 3]) } else { json!([0, 3]) };
        let body = json!({
            "topK": 1, "queryVector": { "float32": vector }, "returnDistance": true,
        });
        let found = ok(&client, "QueryVectors", &with(&arn, body));
        let told = found["vectors"][0]["distance"].as_f64().unwrap();
        assert!((told - distance).abs() < 1e-6, "{metric}: {told}");
        assert_eq!(found["distanceMetric"], metric);
    }
}

#[test]
fn queries_that_make_no_sense_are_refused() {
    let (client, bucket) = bucket("query-refused");
    let new = json!({
        "vectorBucketName": bucket, "indexName": "index", "dataType": "float32", "dimension": 2,
        "distanceMetric": "cosine", "metadataConfiguration": {
            "nonFilterableMetadataKeys": ["raw"],
            "textSearchConfigurations": [{ "metadataKey": "t" }],
        },
    });
    let arn = ok(&client, "CreateIndex", &new)["indexArn"].as_str().unwrap().to_owned();
    let vector = json!({ "float32": [1, 2] });
    let text = |key: &str| json!({ "text": "word", "metadataKey": key });
    let filtered = |filter: Value| json!({ "topK": 1, "queryVector": vector, "filter": filter });
    let unfit = "Query vector contains invalid values or is invalid for this index";
    for (body, message) in [
        (json!({ "topK": 1 }), Some("Must specify queryVector, queryTexts, or both")),
        (json!({ "topK": 10_001, "queryVector": vector }), None),
        (json!({ "topK": 1, "queryVector": { "float32": [1] } }), Some(unfit)),
        (json!({ "topK": 1, "queryVector": { "float32": [] } }), Some(unfit)),
        (json!({ "topK": 1, "queryVector": { "float32": [0, 0] } }), Some(unfit)),
        (json!({ "topK": 1, "queryVector": { "float32": ["NaN", 0] } }), Some(unfit)),
        (json!({ "topK": 1, "queryVector": { "float32": [1e39, 0] } }), Some(unfit)),
        (json!({ "topK": 1, "queryTexts": [text("x")] }), None),
        (json!({ "topK": 1, "queryTexts": [text("t"), text("t")] }), None),
        (filtered(json!({})), Some("Invalid filter: a filter must name at least one key")),
        (filtered(json!([])), Some("Invalid filter: a filter must be an object")),
        (filtered(json!({ "a": { "$in": [] } })), None),
        (
            filtered(json!({ "a": { "$eg": 1 } })),
            Some("Invalid filter: key 'a' has the unknown operator '$eg'"),
        ),
        (
            filtered(json!({ "raw": "x" })),
            Some("Invalid use of non-filterable metadata in filter: key 'raw'"),
        ),
        (json!({ "topK": 1, "queryVector": vector, "nextToken": "forged" }), None),
        (json!({ "topK": 1, "queryVector": vector, "maxResults": 0 }), None),
    ] {
        let response = call(&client, "QueryVectors", &with(&arn, body.clone()));
        let told = response.failed(400, "ValidationException");
        assert!(message.is_none_or(|message| told == message), "{body}: {told}");
    }
    let long =
        json!({ "topK": 1, "queryVector": vector, "filter": { "a": "x".repeat(300 << 10) } });
    call(&client, "QueryVectors", &with(&arn, long)).failed(400, "ValidationException");
}

#[test]
fn results_come_in_pages_of_a_hundred_or_all_at_once() {
    let (client, arn) = arn("query-pages", 2, "euclidean");
    numbered(&client, &arn, 600);
    let expected: Vec<String> = (0..450).map(|nth| format!("k{nth}")).collect();
    let query = with(
        &arn,
        json!({
            "topK": 450, "queryVector": { "float32": [0, 0.5] }, "returnMetadata": true,
            "returnDistance": true,
        }),
    );
    let (found, count) = pages(&client, "QueryVectors", &query, "vectors");
    assert_eq!((column(&found, "key"), count), (expected.clone(), 5));
    assert_eq!(found[449]["metadata"], json!({ "n": 449, "odd": true }));
    assert_eq!(found[449]["distance"], json!(449.0));
    let mut once = query.clone();
    once["maxResults"] = json!(10_000);
    let (all, count) = pages(&client, "QueryVectors", &once, "vectors");
    assert_eq!((all, count), (found, 1));
    let mut smaller = query.clone();
    smaller["maxResults"] = json!(60);
    let (all, count) = pages(&client, "QueryVectors", &smaller, "vectors");
    assert_eq!((column(&all, "key"), count), (expected, 8));
    // What was deleted between two pages is left out of the next.
    let first = ok(&client, "QueryVectors", &query);
    ok(&client, "DeleteVectors", &with(&arn, json!({ "keys": ["k100", "k150"] })));
    let mut second = query.clone();
    second["nextToken"] = first["nextToken"].clone();
    let page = ok(&client, "QueryVectors", &second)["vectors"].as_array().unwrap().clone();
    assert_eq!((page.len(), &page[0]["key"]), (98, &json!("k101")));
    // A token is of its query.
    for (member, other) in [
        ("topK", json!(451)),
        ("queryVector", json!({ "float32": [1, 0.5] })),
        ("filter", json!({ "odd": true })),
    ] {
        let mut foreign = second.clone();
        foreign[member] = other;
        call(&client, "QueryVectors", &foreign).failed(400, "ValidationException");
    }
}

#[test]
fn a_filter_lists_and_deletes_what_matches() {
    let (client, arn) = arn("matching", 2, "euclidean");
    numbered(&client, &arn, 40);
    let list = with(&arn, json!({ "filter": { "odd": true }, "maxResults": 7 }));
    let (found, _) = pages(&client, "ListVectors", &list, "vectors");
    assert_eq!(found.len(), 20);
    assert!(column(&found, "key").contains(&"k39".to_owned()));
    for wrong in [json!({ "filter": {} }), json!({ "filter": { "odd": true }, "keys": ["k1"] })] {
        call(&client, "DeleteVectors", &with(&arn, wrong)).failed(400, "ValidationException");
    }
    let deleted = ok(&client, "DeleteVectors", &with(&arn, json!({ "filter": { "odd": true } })));
    assert_eq!(deleted, json!({ "deletedCount": 20 }));
    let (left, _) = pages(&client, "ListVectors", &with(&arn, json!({})), "vectors");
    assert_eq!(left.len(), 20);
    assert!(!column(&left, "key").contains(&"k39".to_owned()));
}

#[test]
fn texts_are_found_by_their_words_and_fused_with_vectors() {
    let (client, bucket) = bucket("texts");
    let new = json!({
        "vectorBucketName": bucket, "indexName": "index", "dataType": "float32", "dimension": 2,
        "distanceMetric": "euclidean", "metadataConfiguration": {
            "nonFilterableMetadataKeys": ["body"],
            "textSearchConfigurations": [{ "metadataKey": "body", "language": "en" }],
        },
    });
    let arn = ok(&client, "CreateIndex", &new)["indexArn"].as_str().unwrap().to_owned();
    let vectors = json!([
        { "key": "fox", "data": { "float32": [0, 0] }, "metadata": { "body": "the quick brown fox jumps" } },
        { "key": "dog", "data": { "float32": [5, 5] }, "metadata": { "body": "a lazy dog sleeps" } },
        { "key": "both", "data": { "float32": [9, 9] }, "metadata": { "body": "foxes and dogs" } },
        { "key": "none", "data": { "float32": [1, 1] } },
    ]);
    ok(&client, "PutVectors", &with(&arn, json!({ "vectors": vectors })));
    let texts = json!([{ "text": "fox", "metadataKey": "body" }]);
    let body =
        json!({ "topK": 10, "queryTexts": texts, "returnScores": true, "returnDistance": true });
    let found =
        ok(&client, "QueryVectors", &with(&arn, body))["vectors"].as_array().unwrap().clone();
    let mut keys = column(&found, "key");
    keys.sort();
    assert_eq!(keys, ["both", "fox"]);
    for hit in &found {
        assert!(hit.get("distance").is_none() && hit["scores"].get("fused").is_none(), "{hit}");
        let scores = hit["scores"]["bm25Scores"].as_array().unwrap();
        assert_eq!(scores[0]["metadataKey"], "body");
        assert!(scores[0]["score"].as_f64().unwrap() > 0.0);
    }
    let body = json!({
        "topK": 4, "queryTexts": texts, "queryVector": { "float32": [0, 0] }, "returnScores": true,
    });
    let found =
        ok(&client, "QueryVectors", &with(&arn, body))["vectors"].as_array().unwrap().clone();
    assert_eq!(found[0]["key"], "fox");
    assert!(found[0]["scores"]["fused"].as_f64().unwrap() > 0.0);
    assert_eq!(found[0]["scores"]["vectorDistance"], json!(0.0));
    let body = json!({ "topK": 4, "queryTexts": texts });
    let found = ok(&client, "QueryVectors", &with(&arn, body));
    assert!(found["vectors"][0].get("scores").is_none());
}
