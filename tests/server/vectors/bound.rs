//! Vectors bound to objects: both or neither, whatever happens to the object.
//!
//! Where a vector is held against its object, its first component is the number that the object's
//! content says.

mod crash;
mod races;

use serde_json::{Value, json};

use super::{call, index, name, ok};
use crate::lock::days_ahead;
use crate::support::client::Client;
use crate::support::digest::base64;
use crate::support::process::{ALICE, BOB};
use crate::support::{Bucket, Request, Response, Setup, shared};

/// An index `index` of two dimensions in a vector bucket of its own, and how objects name it.
struct Vectors {
    client: Client,
    bucket: String,
    arn: String,
}

impl Vectors {
    #[track_caller]
    fn create(client: &Client) -> Self {
        let bucket = name("bound-vectors");
        ok(client, "CreateVectorBucket", &json!({ "vectorBucketName": bucket }));
        let arn = index(client, &bucket, "index", 2, "euclidean");
        Self { client: client.clone(), bucket, arn }
    }

    fn named(&self) -> String {
        format!("{}/index", self.bucket)
    }

    fn seen_by(&self, client: Client) -> Self {
        Self { client, bucket: self.bucket.clone(), arn: self.arn.clone() }
    }

    /// Asks for an operation on the index.
    #[track_caller]
    fn call(&self, operation: &str, more: Value) -> Response {
        let mut all = json!({ "indexArn": self.arn });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call(&self.client, operation, &all)
    }

    /// The first component of a vector that is there.
    #[track_caller]
    fn number(&self, key: &str) -> Option<u64> {
        let found = self.call("GetVectors", json!({ "keys": [key], "returnData": true }));
        let found = found.expect(200).json();
        let vector = found["vectors"].as_array().unwrap().first()?;
        Some(vector["data"]["float32"][0].as_f64().unwrap() as u64)
    }

    #[track_caller]
    fn put(&self, key: &str) -> Response {
        let vector = json!({ "key": key, "data": { "float32": [9, 9] } });
        self.call("PutVectors", json!({ "vectors": [vector] }))
    }

    #[track_caller]
    fn delete(&self, key: &str) -> Response {
        self.call("DeleteVectors", json!({ "keys": [key] }))
    }
}

fn data(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|float| float.to_le_bytes()).collect();
    base64(&bytes)
}

/// A put of the content `number` with the vector `[number, 1]`.
fn put(bucket: &Bucket, key: &str, vectors: &Vectors, number: u64) -> Request {
    let request = bucket.put(key).body(number.to_string());
    let request = request.header("x-lodestore-vector-index", vectors.named());
    request.header("x-lodestore-vector-data", data(&[number as f32, 1.0]))
}

/// The same with a key of the vector's own.
fn put_as(bucket: &Bucket, key: &str, vectors: &Vectors, vector: &str, number: u64) -> Request {
    put(bucket, key, vectors, number).header("x-lodestore-vector-key", vector)
}

#[track_caller]
fn fixture(purpose: &str) -> (Bucket, Vectors) {
    let client = shared().client();
    (Bucket::create(&client, purpose), Vectors::create(&client))
}

#[test]
fn an_object_comes_with_its_vector_and_tells_of_it() {
    let (bucket, vectors) = fixture("bound-put");
    let metadata = json!({ "color": "red" }).to_string();
    let request = put_as(&bucket, "a/b", &vectors, "%C3%A4%20/x", 7);
    request.header("x-lodestore-vector-metadata", base64(metadata.as_bytes())).send().expect(200);
    let named = vectors.named();
    for read in [bucket.get("a/b"), bucket.head("a/b")] {
        let told = read.send().expect(200).with("x-lodestore-vector-index", &named);
        told.with("x-lodestore-vector-key", "%C3%A4%20/x");
    }
    assert_eq!(bucket.content("a/b"), b"7");
    assert_eq!(vectors.number("ä /x"), Some(7));
    let query = json!({
        "queryVector": { "float32": [7, 1] }, "topK": 1, "filter": { "color": "red" },
        "returnMetadata": true,
    });
    let found = vectors.call("QueryVectors", query).expect(200).json();
    assert_eq!(found["vectors"][0]["key"], "ä /x");
    assert_eq!(found["vectors"][0]["metadata"], json!({ "color": "red" }));

    // By the index's ARN, under the object's key; tags change nothing about it.
    let request = bucket.put("plain").body("8").header("x-lodestore-vector-index", &*vectors.arn);
    request.header("x-lodestore-vector-data", data(&[8.0, 1.0])).send().expect(200);
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
    bucket.put("plain?tagging").body(tags).content_md5().send().expect(200);
    bucket.head("plain").send().expect(200).with("x-lodestore-vector-key", "plain");
    assert_eq!(vectors.number("plain"), Some(8));
    bucket.delete("plain").send().expect(204);
    assert_eq!(vectors.number("plain"), None);
    bucket.store("unbound", "9");
    bucket.head("unbound").send().expect(200).without("x-lodestore-vector-index");
}

#[test]
fn a_vector_that_the_index_cannot_take_refuses_the_object() {
    let (bucket, vectors) = fixture("bound-refused");
    let named = vectors.named();
    let good = data(&[1.0, 2.0]);
    let [short, infinite] = [data(&[1.0]), data(&[f32::INFINITY, 1.0])];
    let metadata = |text: &str| base64(text.as_bytes());
    let missing = format!("{}/missing", vectors.bucket);
    let foreign = vectors.arn.replace("us-east-1", "eu-west-1");
    let long = "k".repeat(1025);
    const INDEX: &str = "x-lodestore-vector-index";
    const DATA: &str = "x-lodestore-vector-data";
    const KEY: &str = "x-lodestore-vector-key";
    const METADATA: &str = "x-lodestore-vector-metadata";
    for (headers, code, says) in [
        (&[(INDEX, &*named)][..], "InvalidArgument", DATA),
        (&[(DATA, &*good)], "InvalidArgument", INDEX),
        (&[(KEY, "k")], "InvalidArgument", INDEX),
        (&[(INDEX, ""), (DATA, &*good)], "InvalidArgument", INDEX),
        (&[(INDEX, "no-index"), (DATA, &*good)], "InvalidArgument", INDEX),
        (&[(INDEX, &*missing), (DATA, &*good)], "InvalidRequest", INDEX),
        (&[(INDEX, "missing/index"), (DATA, &*good)], "InvalidRequest", INDEX),
        (&[(INDEX, &*foreign), (DATA, &*good)], "InvalidRequest", INDEX),
        (&[(INDEX, &*named), (DATA, "%")], "InvalidArgument", DATA),
        (&[(INDEX, &*named), (DATA, "")], "InvalidArgument", DATA),
        (&[(INDEX, &*named), (DATA, &*short)], "InvalidArgument", DATA),
        (&[(INDEX, &*named), (DATA, &*infinite)], "InvalidArgument", DATA),
        (&[(INDEX, &*named), (DATA, &*good), (KEY, "")], "InvalidArgument", KEY),
        (&[(INDEX, &*named), (DATA, &*good), (KEY, "%ff")], "InvalidArgument", KEY),
        (&[(INDEX, &*named), (DATA, &*good), (KEY, &*long)], "InvalidArgument", KEY),
        (
            &[(INDEX, &*named), (DATA, &*good), (METADATA, &*metadata("[1]"))],
            "InvalidArgument",
            METADATA,
        ),
        (
            &[(INDEX, &*named), (DATA, &*good), (METADATA, &*metadata("{"))],
            "InvalidArgument",
            METADATA,
        ),
        (
            &[(INDEX, &*named), (DATA, &*good), (METADATA, &*metadata("{\"a\":{}}"))],
            "InvalidArgument",
            METADATA,
        ),
        (
            &[(INDEX, &*named), (DATA, &*good), ("x-lodestore-vector-more", "1")],
            "NotImplemented",
            "PutObject",
        ),
    ] {
        let status = if code == "NotImplemented" { 501 } else { 400 };
        let refused = bucket.put("k").body("1").headers(headers).send().refused(status, code);
        assert!(refused.field("Message").contains(says), "{headers:?}: {refused}");
        bucket.head("k").send().expect(404);
    }
    // Zero has no direction.
    index(&vectors.client, &vectors.bucket, "cosine", 2, "cosine");
    let request = bucket.put("k").body("1").header(INDEX, format!("{}/cosine", vectors.bucket));
    let request = request.header(DATA, data(&[0.0, 0.0]));
    request.send().refused(400, "InvalidArgument");
    bucket.head("k").send().expect(404);
}

#[test]
fn an_object_that_is_refused_leaves_no_vector() {
    let (bucket, vectors) = fixture("bound-conditions");
    let vector = |number| put(&bucket, "k", &vectors, number);
    vector(1).header("if-match", "\"00000000000000000000000000000000\"").send().expect(404);
    vector(1).header("content-md5", base64(&[0; 16])).send().refused(400, "BadDigest");
    assert_eq!(vectors.number("k"), None);
    vector(1).header("if-none-match", "*").send().expect(200);
    assert_eq!(vectors.number("k"), Some(1));
    vector(2).header("if-none-match", "*").send().refused(412, "PreconditionFailed");
    assert_eq!((bucket.content("k"), vectors.number("k")), (b"1".to_vec(), Some(1)));
    let etag = bucket.head("k").send().etag();
    vector(3).header("if-match", &*etag).send().expect(200);
    assert_eq!((bucket.content("k"), vectors.number("k")), (b"3".to_vec(), Some(3)));
}

#[test]
fn a_vector_takes_the_rights_of_putvectors_and_signed_headers() {
    let client = shared().client();
    let bucket = Bucket::create(&client.with_keys(ALICE.0, ALICE.1), "bound-rights");
    let of_bob = Vectors::create(&client.with_keys(BOB.0, BOB.1));
    let of_alice = Vectors::create(&bucket.client);
    put(&bucket, "k", &of_bob, 1).send().refused(403, "AccessDenied");
    bucket.head("k").send().expect(404);
    assert_eq!(of_bob.number("k"), None);
    put(&bucket, "k", &of_alice, 1).send().expect(200);

    let plain = bucket
        .put("unsigned")
        .body("1")
        .unsigned_header("x-lodestore-vector-index", of_alice.named());
    plain
        .unsigned_header("x-lodestore-vector-data", data(&[1.0, 1.0]))
        .send()
        .refused(403, "AccessDenied");
    bucket.head("unsigned").send().expect(404);
}

#[test]
fn other_operations_than_putobject_bind_nothing_and_say_so() {
    let (bucket, vectors) = fixture("bound-elsewhere");
    bucket.store("source", "1");
    let source = format!("/{}/source", bucket.name);
    for request in [
        bucket.post("k?uploads"),
        bucket.put("k").header("x-amz-copy-source", source),
        bucket.get("source"),
        bucket.delete("source"),
    ] {
        let request = request.header("x-lodestore-vector-index", vectors.named());
        request.header("x-lodestore-vector-data", data(&[1.0, 1.0])).send().expect(501);
    }
    assert_eq!(bucket.keys(), ["source"]);
}

/// Uploads `2` in one part over a key.
#[track_caller]
fn upload(bucket: &Bucket, key: &str) {
    let id = bucket.post(&format!("{key}?uploads")).send().expect(200).field("UploadId");
    let part = bucket.put(&format!("{key}?partNumber=1&uploadId={id}")).body("2").send();
    let etag = part.expect(200).etag();
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    bucket.post(&format!("{key}?uploadId={id}")).body(body).send().expect(200);
}

#[track_caller]
fn delete_many(bucket: &Bucket, keys: &[&str]) -> Response {
    let keys: String =
        keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>")).collect();
    let body = format!("<Delete>{keys}</Delete>");
    bucket.post("?delete").body(body).content_md5().send().expect(200)
}

#[test]
fn a_vector_goes_with_the_object_that_is_overwritten_or_deleted() {
    let (bucket, vectors) = fixture("bound-goes");
    bucket.store("source", "2");
    let source = format!("/{}/source", bucket.name);
    type Act<'a> = &'a dyn Fn(&Bucket);
    let copy: Act<'_> = &|bucket| {
        bucket.put("k").header("x-amz-copy-source", &*source).send().expect(200);
    };
    let acts: [(&str, Act<'_>); 6] = [
        ("put", &|bucket| drop(bucket.store("k", "2"))),
        ("copy", copy),
        ("complete", &|bucket| upload(bucket, "k")),
        ("delete", &|bucket| drop(bucket.delete("k").send().expect(204))),
        ("delete null", &|bucket| drop(bucket.delete("k?versionId=null").send().expect(204))),
        ("delete many", &|bucket| drop(delete_many(bucket, &["k", "none", "source2"]))),
    ];
    for suspended in [false, true] {
        if suspended {
            bucket.set_versioning("Suspended");
        }
        for (act, run) in &acts {
            put(&bucket, "k", &vectors, 1).send().expect(200);
            assert_eq!(vectors.number("k"), Some(1), "{act}");
            run(&bucket);
            assert_eq!(vectors.number("k"), None, "{act}, suspended: {suspended}");
        }
    }
    // Under the same key, another one, and back.
    put(&bucket, "k", &vectors, 1).send().expect(200);
    put(&bucket, "k", &vectors, 2).send().expect(200);
    assert_eq!(vectors.number("k"), Some(2));
    put_as(&bucket, "k", &vectors, "other", 3).send().expect(200);
    assert_eq!((vectors.number("k"), vectors.number("other")), (None, Some(3)));
    put(&bucket, "k", &vectors, 4).send().expect(200);
    assert_eq!((vectors.number("k"), vectors.number("other")), (Some(4), None));
    // Another index needs the old vector gone first.
    let others = Vectors::create(&vectors.client);
    put(&bucket, "k", &others, 5).send().refused(409, "Conflict");
    assert_eq!((bucket.content("k"), vectors.number("k")), (b"4".to_vec(), Some(4)));
    bucket.delete("k").send().expect(204);
    put(&bucket, "k", &others, 5).send().expect(200);
    assert_eq!((vectors.number("k"), others.number("k")), (None, Some(5)));
}

#[test]
fn a_copy_has_no_vector_and_leaves_that_of_its_source() {
    let (bucket, vectors) = fixture("bound-copy");
    put(&bucket, "k", &vectors, 1).send().expect(200);
    let source = format!("/{}/k", bucket.name);
    bucket.put("copy").header("x-amz-copy-source", source).send().expect(200);
    bucket.head("copy").send().expect(200).without("x-lodestore-vector-index");
    bucket.delete("copy").send().expect(204);
    assert_eq!(vectors.number("k"), Some(1));
}

#[test]
fn a_vector_belongs_to_its_version_and_outlives_a_delete_marker() {
    let client = shared().client();
    let (bucket, vectors) =
        (Bucket::create_versioned(&client, "bound-versions"), Vectors::create(&client));
    let first = put(&bucket, "k", &vectors, 1).send().expect(200).version_id();
    // Another version cannot have the same vector, but one of its own.
    put(&bucket, "k", &vectors, 2).send().refused(409, "Conflict");
    let second = put_as(&bucket, "k", &vectors, "k2", 2).send().expect(200).version_id();
    bucket.store("k", "3");
    bucket.delete("k").send().expect(204);
    delete_many(&bucket, &["k"]);
    assert_eq!((vectors.number("k"), vectors.number("k2")), (Some(1), Some(2)));
    let told = bucket.head(&format!("k?versionId={first}")).send().expect(200);
    told.with("x-lodestore-vector-key", "k");
    bucket.delete(&format!("k?versionId={first}")).send().expect(204);
    assert_eq!((vectors.number("k"), vectors.number("k2")), (None, Some(2)));
    let body =
        format!("<Delete><Object><Key>k</Key><VersionId>{second}</VersionId></Object></Delete>");
    bucket.post("?delete").body(body).content_md5().send().expect(200);
    assert_eq!(vectors.number("k2"), None);
    put(&bucket, "k", &vectors, 4).send().expect(200);
    assert_eq!(vectors.number("k"), Some(4));
}

#[test]
fn a_null_version_under_newer_ones_takes_its_vector_along() {
    let (bucket, vectors) = fixture("bound-null");
    put(&bucket, "k", &vectors, 1).send().expect(200);
    bucket.set_versioning("Enabled");
    bucket.store("k", "2");
    assert_eq!(vectors.number("k"), Some(1));
    bucket.set_versioning("Suspended");
    // The marker takes the place of the null version, which is not the newest.
    bucket.delete("k").send().expect(204);
    assert_eq!(vectors.number("k"), None);
    put(&bucket, "k", &vectors, 3).send().expect(200);
    bucket.set_versioning("Enabled");
    bucket.store("k", "4");
    bucket.delete("k?versionId=null").send().expect(204);
    assert_eq!(vectors.number("k"), None);
}

#[test]
fn a_bound_vector_is_changed_by_its_object_alone() {
    let (bucket, vectors) = fixture("bound-owner");
    vectors.put("k").expect(200);
    vectors.put("free").expect(200);
    put(&bucket, "k", &vectors, 1).send().expect(200);
    vectors.put("k").failed(409, "ConflictException");
    vectors.delete("k").failed(409, "ConflictException");
    vectors
        .call("DeleteVectors", json!({ "filter": { "color": { "$exists": false } } }))
        .failed(409, "ConflictException");
    assert_eq!(vectors.number("free"), Some(9));
    vectors.call("DeleteIndex", json!({})).failed(409, "ConflictException");
    put_as(&bucket, "other", &vectors, "k", 2).send().refused(409, "Conflict");
    bucket.head("other").send().expect(404);
    assert_eq!(vectors.number("k"), Some(1));
    bucket.delete("k").send().expect(204);
    vectors.put("k").expect(200);
    vectors.call("DeleteIndex", json!({})).expect(200);
    put(&bucket, "k", &vectors, 1).send().refused(400, "InvalidRequest");
}

#[test]
fn a_lock_of_the_version_holds_its_vector() {
    let client = shared().client();
    let (bucket, vectors) =
        (Bucket::create_locked(&client, "bound-lock"), Vectors::create(&client));
    let held = put(&bucket, "held", &vectors, 1).header("x-amz-object-lock-legal-hold", "ON");
    let held = held.content_md5().send().expect(200).version_id();
    let kept = put(&bucket, "kept", &vectors, 2).header("x-amz-object-lock-mode", "COMPLIANCE");
    let kept = kept.header("x-amz-object-lock-retain-until-date", days_ahead(1));
    let kept = kept.content_md5().send().expect(200).version_id();
    for (key, id, number) in [("held", &held, 1), ("kept", &kept, 2)] {
        let target = format!("{key}?versionId={id}");
        bucket.delete(&target).send().refused(403, "AccessDenied");
        let bypass = bucket.delete(&target).header("x-amz-bypass-governance-retention", "true");
        bypass.send().refused(403, "AccessDenied");
        let body = format!(
            "<Delete><Object><Key>{key}</Key><VersionId>{id}</VersionId></Object></Delete>"
        );
        let many = bucket.post("?delete").body(body).content_md5().send().expect(200);
        assert!(many.text().contains("AccessDenied"), "{many}");
        vectors.put(key).failed(409, "ConflictException");
        vectors.delete(key).failed(409, "ConflictException");
        vectors.call("DeleteIndex", json!({})).failed(409, "ConflictException");
        let whole = json!({ "vectorBucketName": vectors.bucket });
        call(&client, "DeleteVectorBucket", &whole).failed(409, "ConflictException");
        bucket.delete(key).send().expect(204);
        assert_eq!(vectors.number(key), Some(number));
    }
    let off = "<LegalHold><Status>OFF</Status></LegalHold>";
    let target = format!("held?versionId={held}");
    bucket.put(&format!("{target}&legal-hold")).body(off).content_md5().send().expect(200);
    bucket.delete(&target).send().expect(204);
    assert_eq!((vectors.number("held"), vectors.number("kept")), (None, Some(2)));
}

#[test]
fn bound_vectors_are_as_they_were_after_a_restart() {
    let server = Setup::new().start();
    let client = server.client();
    let (bucket, vectors) = (Bucket::create(&client, "bound-restart"), Vectors::create(&client));
    put(&bucket, "kept", &vectors, 1).send().expect(200);
    put(&bucket, "gone", &vectors, 2).send().expect(200);
    bucket.delete("gone").send().expect(204);
    let server = server.restart();
    let bucket = Bucket { client: server.client(), ..bucket };
    let vectors = vectors.seen_by(server.client());
    bucket.head("kept").send().expect(200).with("x-lodestore-vector-key", "kept");
    assert_eq!((vectors.number("kept"), vectors.number("gone")), (Some(1), None));
    vectors.call("DeleteIndex", json!({})).failed(409, "ConflictException");
    vectors.delete("kept").failed(409, "ConflictException");
    // What a start did not open is opened by the delete.
    let server = server.restart();
    let bucket = Bucket { client: server.client(), ..bucket };
    bucket.delete("kept").send().expect(204);
    assert_eq!(vectors.seen_by(server.client()).number("kept"), None);
}
