//! Vector buckets: made once, listed in pages, seen by their owners, deleted when empty.

use std::sync::Barrier;

use serde_json::json;

use super::{bucket, call, column, index, name, ok, pages, tags_request};
use crate::support::process::{ALICE, BOB, Setup};
use crate::support::shared;

#[test]
fn a_bucket_is_made_once_and_tells_of_itself() {
    let (client, bucket) = bucket("made");
    let again = call(&client, "CreateVectorBucket", &json!({ "vectorBucketName": bucket }));
    assert_eq!(
        again.failed(409, "ConflictException"),
        "A vector bucket with the specified name already exists"
    );
    let arn = format!("arn:aws:s3vectors:us-east-1:000000000000:bucket/{bucket}");
    for target in [json!({ "vectorBucketName": bucket }), json!({ "vectorBucketArn": arn })] {
        let told = ok(&client, "GetVectorBucket", &target)["vectorBucket"].clone();
        assert!(told["creationTime"].as_u64().unwrap() > 1_600_000_000);
        let expected = json!({
            "vectorBucketName": bucket,
            "vectorBucketArn": arn,
            "creationTime": told["creationTime"],
            "encryptionConfiguration": { "sseType": "AES256" },
            "defaultIndexMode": "ENHANCED",
        });
        assert_eq!(told, expected);
    }
    for target in [json!({}), json!({ "vectorBucketName": bucket, "vectorBucketArn": arn })] {
        let refused = call(&client, "GetVectorBucket", &target);
        assert_eq!(
            refused.failed(400, "ValidationException"),
            "Must specify either vectorBucketName or vectorBucketArn but not both"
        );
    }
    assert_eq!(ok(&client, "DeleteVectorBucket", &json!({ "vectorBucketArn": arn })), json!({}));
    for operation in
        ["GetVectorBucket", "DeleteVectorBucket", "GetVectorBucketPolicy", "ListIndexes"]
    {
        let gone = call(&client, operation, &json!({ "vectorBucketName": bucket }));
        assert_eq!(
            gone.failed(404, "NotFoundException"),
            "The specified vector bucket could not be found"
        );
    }
}

#[test]
fn names_that_no_bucket_can_have_are_refused() {
    let client = shared().client();
    for name in ["with_under_score", "special&char", "-ab", "ab-", "Abc", "a/b", "ä-ä"] {
        let refused = call(&client, "CreateVectorBucket", &json!({ "vectorBucketName": name }));
        assert_eq!(refused.failed(400, "ValidationException"), "Invalid vector bucket name");
        call(&client, "GetVectorBucket", &json!({ "vectorBucketName": name }))
            .failed(404, "NotFoundException");
    }
    for arn in [
        "arn:aws:s3vectors:eu-west-1:000000000000:bucket/abc",
        "arn:aws:s3vectors:us-east-1:123456789012:bucket/abc",
    ] {
        call(&client, "GetVectorBucket", &json!({ "vectorBucketArn": arn }))
            .failed(404, "NotFoundException");
    }
}

#[test]
fn a_bucket_of_objects_and_one_of_vectors_may_bear_the_same_name() {
    let objects = crate::support::bucket("twice");
    let (client, created) = (shared().client(), json!({ "vectorBucketName": objects.name }));
    ok(&client, "CreateVectorBucket", &created);
    objects.store("k", "content");
    ok(&client, "DeleteVectorBucket", &created);
    assert_eq!(objects.content("k"), b"content");
}

#[test]
fn what_is_not_built_is_refused_and_not_ignored() {
    let client = shared().client();
    let key = "arn:aws:kms:us-east-1:000000000000:key/1";
    for encryption in [
        json!({ "sseType": "aws:kms", "kmsKeyArn": key }),
        json!({ "sseType": "aws:kms" }),
        json!({ "sseType": "AES256", "kmsKeyArn": key }),
        json!({ "kmsKeyArn": key }),
    ] {
        let new =
            json!({ "vectorBucketName": "kms-bucket", "encryptionConfiguration": encryption });
        call(&client, "CreateVectorBucket", &new).failed(400, "ValidationException");
    }
    let (client, bucket) = bucket("modes");
    let mode = |mode: &str| json!({ "vectorBucketName": bucket, "defaultIndexMode": mode });
    ok(&client, "PutVectorBucketDefaultIndexMode", &mode("ENHANCED"));
    let refused = call(&client, "PutVectorBucketDefaultIndexMode", &mode("CLASSIC"));
    assert_eq!(
        refused.failed(400, "ValidationException"),
        "defaultIndexMode cannot be set to CLASSIC because the vector bucket does not support \
         CLASSIC mode"
    );
}

#[test]
fn lists_come_in_pages_whose_tokens_cannot_be_forged_or_lent() {
    let server = Setup::new().start();
    let (client, alice) = (server.client(), server.client().with_keys(ALICE.0, ALICE.1));
    let names: Vec<String> = (0..23).map(|nth| format!("page-{nth:02}")).collect();
    for name in names.iter().chain(&["other".to_owned()]) {
        ok(&client, "CreateVectorBucket", &json!({ "vectorBucketName": name }));
    }
    ok(&alice, "CreateVectorBucket", &json!({ "vectorBucketName": "page-99" }));
    let list = json!({ "prefix": "page-", "maxResults": 5 });
    let (found, count) = pages(&client, "ListVectorBuckets", &list, "vectorBuckets");
    let mut expected = names.clone();
    expected.push("page-99".to_owned());
    assert_eq!((column(&found, "vectorBucketName"), count), (expected, 5));
    assert_eq!(found[0].as_object().unwrap().len(), 3);
    let token = ok(&client, "ListVectorBuckets", &list)["nextToken"].as_str().unwrap().to_owned();
    let with = |token: &str| json!({ "prefix": "page-", "maxResults": 5, "nextToken": token });
    let refused = |response: crate::support::Response| {
        response.failed(400, "ValidationException");
    };
    ok(&client, "ListVectorBuckets", &with(&token));
    // The number of results may change, what is listed may not.
    ok(&client, "ListVectorBuckets", &json!({ "prefix": "page-", "nextToken": token }));
    refused(call(&client, "ListVectorBuckets", &json!({ "prefix": "page", "nextToken": token })));
    refused(call(&alice, "ListVectorBuckets", &with(&token)));
    let target = json!({ "vectorBucketName": "other", "prefix": "page-", "nextToken": token });
    refused(call(&client, "ListIndexes", &target));
    for forged in
        [&token[1..], &token[..token.len() - 2], "AAAA", "!", &token.replace(&token[3..4], "_")]
    {
        if forged != token {
            refused(call(&client, "ListVectorBuckets", &with(forged)));
        }
    }
    let server = server.restart();
    ok(&server.client(), "ListVectorBuckets", &with(&token));
}

#[test]
fn users_see_and_touch_their_own_buckets_alone() {
    let client = shared().client();
    let (alice, bob) = (client.with_keys(ALICE.0, ALICE.1), client.with_keys(BOB.0, BOB.1));
    let bucket = name("alices");
    ok(&alice, "CreateVectorBucket", &json!({ "vectorBucketName": bucket, "tags": { "a": "b" } }));
    let arn = index(&alice, &bucket, "index", 2, "cosine");
    let vectors = json!([{ "key": "k", "data": { "float32": [1, 2] } }]);
    ok(&alice, "PutVectors", &json!({ "indexArn": arn, "vectors": vectors }));
    let of_bucket = json!({ "vectorBucketName": bucket });
    let of_index = json!({ "indexArn": arn });
    let with = |more: serde_json::Value| {
        let mut all = of_index.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let new = json!({
        "vectorBucketName": bucket, "indexName": "new", "dataType": "float32", "dimension": 1,
        "distanceMetric": "cosine",
    });
    let policy = json!({ "vectorBucketName": bucket, "policy": "{\"Statement\":[]}" });
    let mode = json!({ "vectorBucketName": bucket, "defaultIndexMode": "ENHANCED" });
    let text = json!({ "textSearchConfigurations": [{ "metadataKey": "k" }] });
    let query = json!({ "topK": 1, "queryVector": { "float32": [1, 2] } });
    for (operation, body) in [
        ("GetVectorBucket", of_bucket.clone()),
        ("DeleteVectorBucket", of_bucket.clone()),
        ("GetVectorBucketPolicy", of_bucket.clone()),
        ("PutVectorBucketPolicy", policy),
        ("DeleteVectorBucketPolicy", of_bucket.clone()),
        ("PutVectorBucketDefaultIndexMode", mode),
        ("ListIndexes", of_bucket.clone()),
        ("CreateIndex", new),
        ("GetIndex", of_index.clone()),
        ("DeleteIndex", of_index.clone()),
        ("ForkIndex", with(json!({ "newIndexName": "fork" }))),
        ("UpdateIndexMode", with(json!({ "indexMode": "ENHANCED" }))),
        ("UpdateMetadataConfiguration", with(json!({ "add": text }))),
        ("PutVectors", with(json!({ "vectors": vectors }))),
        ("GetVectors", with(json!({ "keys": ["k"] }))),
        ("ListVectors", of_index.clone()),
        ("DeleteVectors", with(json!({ "keys": ["k"] }))),
        ("QueryVectors", with(query)),
    ] {
        let message = call(&bob, operation, &body).failed(403, "AccessDeniedException");
        let told = format!("User: bob is not authorized to perform: s3vectors:{operation} on");
        assert!(message.starts_with(&told), "{message}");
    }
    for (method, query) in [("GET", ""), ("DELETE", "?tagKeys=a"), ("POST", "")] {
        let request = tags_request(&bob, method, &arn, query);
        let request = if method == "POST" { request.body("{\"tags\":{}}") } else { request };
        request.send().failed(403, "AccessDeniedException");
    }
    let unknown = json!({ "indexArn": arn.replace("/index/index", "/index/unknown") });
    call(&bob, "GetIndex", &unknown).failed(403, "AccessDeniedException");
    let made = call(&bob, "CreateVectorBucket", &of_bucket);
    made.failed(409, "ConflictException");
    let seen = |client| {
        let list = json!({ "prefix": bucket });
        let (found, _) = pages(client, "ListVectorBuckets", &list, "vectorBuckets");
        column(&found, "vectorBucketName").contains(&bucket)
    };
    assert!(seen(&alice) && seen(&client) && !seen(&bob));
    ok(&client, "GetIndex", &of_index);
    let kept = ok(&alice, "GetVectors", &with(json!({ "keys": ["k"] })));
    assert_eq!(kept["vectors"], json!([{ "key": "k" }]));
}

#[test]
fn of_many_who_make_a_bucket_one_does() {
    let client = shared().client();
    let new = json!({ "vectorBucketName": name("race") });
    let start = Barrier::new(8);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    call(&client, "CreateVectorBucket", &new).status
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 409)), "{statuses:?}");
}

#[test]
fn no_bucket_goes_from_under_an_index() {
    let client = shared().client();
    let bucket = name("emptied");
    let of_bucket = json!({ "vectorBucketName": bucket });
    for round in 0..30 {
        ok(&client, "CreateVectorBucket", &of_bucket);
        let new = json!({
            "vectorBucketName": bucket, "indexName": format!("index-{round}"),
            "dataType": "float32", "dimension": 1, "distanceMetric": "cosine",
        });
        let start = Barrier::new(2);
        let (made, deleted) = std::thread::scope(|scope| {
            let made = scope.spawn(|| {
                start.wait();
                call(&client, "CreateIndex", &new)
            });
            start.wait();
            let deleted = call(&client, "DeleteVectorBucket", &of_bucket);
            (made.join().unwrap(), deleted)
        });
        match (made.status, deleted.status) {
            (200, 409) => {
                let name = &new["indexName"];
                let target = json!({ "vectorBucketName": bucket, "indexName": name });
                ok(&client, "GetIndex", &target);
                ok(&client, "DeleteIndex", &target);
                ok(&client, "DeleteVectorBucket", &of_bucket);
            }
            (404, 200) => {}
            _ => panic!("{made} {deleted}"),
        }
        call(&client, "GetVectorBucket", &of_bucket).failed(404, "NotFoundException");
    }
}

#[test]
fn policies_are_kept_as_they_were_sent_when_they_are_policies() {
    let (client, bucket) = bucket("policy");
    let of_bucket = json!({ "vectorBucketName": bucket });
    let none = "The specified vector bucket policy could not be found";
    let get = || call(&client, "GetVectorBucketPolicy", &of_bucket);
    assert_eq!(get().failed(404, "NotFoundException"), none);
    ok(&client, "DeleteVectorBucketPolicy", &of_bucket);
    let policy = "{ \"Version\":\"2012-10-17\", \"Statement\":[{\"Effect\":\"Allow\",\
                  \"Principal\":{\"AWS\":\"arn:aws:iam::000000000000:root\"},\
                  \"Action\":\"s3vectors:*\",\"Resource\":\"*\"}] }";
    let put = |policy: &str| {
        let body = json!({ "vectorBucketName": bucket, "policy": policy });
        call(&client, "PutVectorBucketPolicy", &body)
    };
    put(policy).expect(200);
    assert_eq!(get().expect(200).json(), json!({ "policy": policy }));
    let large = policy.replace(' ', &" ".repeat(10 << 10));
    for refused in ["", "{}", "[]", "policy", &policy.replace("Allow", "Maybe"), &large] {
        put(refused).failed(400, "ValidationException");
    }
    assert_eq!(get().expect(200).json(), json!({ "policy": policy }));
    ok(&client, "DeleteVectorBucketPolicy", &of_bucket);
    assert_eq!(get().failed(404, "NotFoundException"), none);
}

#[test]
fn tags_are_set_changed_and_taken_away() {
    let (client, bucket) = bucket("tags");
    let index = index(&client, &bucket, "index", 1, "cosine");
    let bucket = format!("arn:aws:s3vectors:us-east-1:000000000000:bucket/{bucket}");
    for arn in [&bucket, &index] {
        let get = || tags_request(&client, "GET", arn, "").send();
        let put = |tags: serde_json::Value| {
            tags_request(&client, "POST", arn, "").body(json!({ "tags": tags }).to_string()).send()
        };
        let delete = |query: &str| tags_request(&client, "DELETE", arn, query).send();
        assert_eq!(get().expect(200).json(), json!({ "tags": {} }));
        assert_eq!(put(json!({ "a b": "1", "ü": "2", "c": "" })).expect(200).json(), json!({}));
        put(json!({ "c": "3" })).expect(200);
        assert_eq!(get().json()["tags"], json!({ "a b": "1", "ü": "2", "c": "3" }));
        delete("?tagKeys=a%20b&tagKeys=%C3%BC&tagKeys=none").expect(200);
        assert_eq!(get().json()["tags"], json!({ "c": "3" }));
        let many = |count: usize| (0..count).map(|nth| (nth.to_string(), json!(""))).collect();
        put(serde_json::Value::Object(many(50))).failed(400, "ValidationException");
        put(serde_json::Value::Object(many(49))).expect(200);
        for refused in [json!({ "": "" }), json!({ "a*": "" }), json!({ "aws:a": "" })] {
            put(refused).failed(400, "ValidationException");
        }
        delete("").failed(400, "ValidationException");
        tags_request(&client, "POST", arn, "").body("{}").send().failed(400, "ValidationException");
        assert_eq!(get().json()["tags"].as_object().unwrap().len(), 50);
    }
    for arn in [
        format!("{bucket}-none"),
        format!("{bucket}/index/none"),
        "arn:aws:s3vectors:us-east-1:123456789012:bucket/none".to_owned(),
    ] {
        tags_request(&client, "GET", &arn, "").send().failed(404, "NotFoundException");
    }
    for arn in ["none", "arn:aws:s3:::none", "arn:aws:s3vectors:us-east-1:1:bucket/none"] {
        tags_request(&client, "GET", arn, "").send().failed(400, "ValidationException");
    }
}
