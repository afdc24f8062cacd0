//! Requests that are not what S3 Vectors takes: signatures, methods, bodies and members.

use serde_json::{Value, json};

use super::{SERVICE, bucket, call, index, name, ok, request, tags_request};
use crate::support::process::{ALICE, ROOT, Setup};
use crate::support::{Bucket, shared};

#[test]
fn what_is_not_signed_or_wrongly_signed_opens_nothing_and_is_told_in_json() {
    let client = shared().client();
    let (unsigned, incomplete) =
        ("MissingAuthenticationTokenException", "IncompleteSignatureException");
    let (invalid, unknown) = ("InvalidSignatureException", "UnrecognizedClientException");
    let body = || json!({ "vectorBucketName": "unsigned" }).to_string();
    let create = || request(&client, "CreateVectorBucket", body());
    let by = |keys: (&str, &str)| {
        request(&client.with_keys(keys.0, keys.1), "CreateVectorBucket", body())
    };
    let tampered = body().replace("unsigned", "tampered");
    for (nth, (request, kind)) in [
        (create().anonymous(), unsigned),
        (by((ROOT.0, "wrong")), invalid),
        (by((ROOT.0, ALICE.1)), invalid),
        (by(("NOSUCHKEY0000000", "secret")), unknown),
        (create().clock_offset(-960), invalid),
        (create().clock_offset(86_400), invalid),
        (create().header("x-amz-security-token", "token"), unknown),
        (create().leave_unsigned("x-amz-date"), "AccessDeniedException"),
        (create().leave_unsigned("host"), "AccessDeniedException"),
        (create().redirect("/DeleteVectorBucket"), invalid),
        (create().sent_method("PUT"), "UnknownOperationException"),
        (create().unsigned_header("x-amz-meta-a", "b"), "AccessDeniedException"),
        (create().absent_signed_header("x-a"), invalid),
        (create().presigned(60).header("authorization", "AWS4-HMAC-SHA256 x"), incomplete),
        (create().payload(&crate::support::digest::sha256_hex(tampered.as_bytes())), invalid),
        (create().payload("UNSIGNED-PAYLOAD"), invalid),
    ]
    .into_iter()
    .enumerate()
    {
        let response = request.send();
        let status = if kind == "UnknownOperationException" { 405 } else { 403 };
        assert!(!response.failed(status, kind).is_empty(), "{nth}");
    }
    let wire = create().build();
    let mut connection = client.connection().unwrap();
    let response = connection.exchange("POST", &wire.head, tampered.as_bytes()).unwrap();
    response.failed(403, invalid);
    for name in ["unsigned", "tampered"] {
        call(&client, "GetVectorBucket", &json!({ "vectorBucketName": name }))
            .failed(404, "NotFoundException");
    }
}

#[test]
fn a_signature_in_the_query_or_with_the_hash_in_a_header_is_one_as_well() {
    let (client, bucket) = bucket("signed-otherwise");
    let body = json!({ "vectorBucketName": bucket }).to_string();
    request(&client, "GetVectorBucket", body.clone()).presigned(60).send().expect(200);
    let told = client.request("POST", "/GetVectorBucket").service(SERVICE).body(body.clone());
    told.send().expect(200);
    let lied = client.request("POST", "/GetVectorBucket").service(SERVICE).body(body);
    lied.payload("UNSIGNED-PAYLOAD").send().failed(403, "InvalidSignatureException");
}

#[test]
fn scopes_are_not_taken_for_each_other() {
    let client = shared().client();
    let bucket_name = name("scope");
    let body = json!({ "vectorBucketName": bucket_name }).to_string();
    // Signed for S3 it is a POST to a bucket that cannot be.
    let s3 = client.request("POST", "/CreateVectorBucket").body(body.clone()).send();
    assert!((400..=501).contains(&s3.status) && !s3.field("Code").is_empty(), "{s3}");
    call(&client, "GetVectorBucket", &json!({ "vectorBucketName": bucket_name }))
        .failed(404, "NotFoundException");
    // Signed for S3 Vectors no bucket of S3 is reached.
    let objects = Bucket::create(&client, "tags");
    objects.store("k", "content");
    for method in ["GET", "PUT", "DELETE", "POST"] {
        let path = format!("/{}/k", objects.name);
        let response = client.request(method, &path).signed_for(SERVICE).send();
        response.failed(404, "UnknownOperationException");
    }
    assert_eq!(objects.content("k"), b"content");
    // The key of one scope does not sign for the other.
    let wire = request(&client, "CreateVectorBucket", body.clone()).build();
    let head = String::from_utf8(wire.head).unwrap();
    let mut connection = client.connection().unwrap();
    let moved = head.replace("/s3vectors/", "/s3/").replace(
        "content-type: application/json\r\n",
        &format!(
            "content-type: application/json\r\nx-amz-content-sha256: {}\r\n",
            crate::support::digest::sha256_hex(body.as_bytes())
        ),
    );
    let response = connection.exchange("POST", moved.as_bytes(), body.as_bytes()).unwrap();
    response.refused(403, "SignatureDoesNotMatch");
    let mut connection = client.connection().unwrap();
    let wire = client.request("POST", "/CreateVectorBucket").body(body.clone()).build();
    let moved = String::from_utf8(wire.head).unwrap().replace("/s3/", "/s3vectors/");
    let response = connection.exchange("POST", moved.as_bytes(), body.as_bytes()).unwrap();
    response.failed(403, "InvalidSignatureException");
}

#[test]
fn paths_are_signed_encoded_twice() {
    let (client, bucket) = bucket("double");
    let arn = format!("arn:aws:s3vectors:us-east-1:000000000000:bucket/{bucket}");
    tags_request(&client, "GET", &arn, "").send().expect(200);
    let once = client
        .request("GET", &format!("/tags/{}", crate::support::signing::encode(&arn)))
        .service(SERVICE);
    once.send().failed(403, "InvalidSignatureException");
}

#[test]
fn what_no_operation_is_at_is_told_so() {
    let client = shared().client();
    for (method, path, status) in [
        ("POST", "/CreateTable", 404),
        ("POST", "/createVectorBucket", 404),
        ("POST", "/", 404),
        ("GET", "/ListVectorBuckets", 405),
        ("DELETE", "/DeleteVectorBucket", 405),
        ("PUT", "/tags/arn", 405),
        ("HEAD", "/x/y", 404),
    ] {
        let response = client.request(method, path).signed_for(SERVICE).send();
        if method == "HEAD" {
            response.expect(status).with("x-amzn-errortype", "UnknownOperationException");
        } else {
            response.failed(status, "UnknownOperationException");
        }
    }
}

#[test]
fn bodies_that_are_not_the_operations_are_refused() {
    let client = shared().client();
    let deep = |levels: usize| {
        format!("{{\"vectorBucketName\":{}1{}}}", "[".repeat(levels), "]".repeat(levels))
    };
    let (metadata_depth, filter_depth) = (100_000, 100_000);
    for body in [
        "{".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "{} {}".to_owned(),
        r#"{"vectorBucketName":7}"#.to_owned(),
        r#"{"vectorBucketName":["a"]}"#.to_owned(),
        r#"{"vectorBucketName":"a","vectorBucketName":"b"}"#.to_owned(),
        deep(10),
        deep(1_000_000),
    ] {
        let response = request(&client, "CreateVectorBucket", body).send();
        response.failed(400, "SerializationException");
    }
    request(&client, "CreateVectorBucket", b"{\"vectorBucketName\":\"\xff\"}".to_vec())
        .send()
        .failed(400, "SerializationException");
    let (client, bucket) = bucket("deep");
    let arn = index(&client, &bucket, "index", 1, "euclidean");
    let nested = format!("{}1{}", "[".repeat(metadata_depth), "]".repeat(metadata_depth));
    let put = format!(
        r#"{{"indexArn":"{arn}","vectors":[{{"key":"k","data":{{"float32":[1]}},"metadata":{{"a":{nested}}}}}]}}"#
    );
    request(&client, "PutVectors", put).send().failed(400, "ValidationException");
    let nested = format!(
        "{}{{\"a\":1}}{}",
        r#"{"$and":["#.repeat(filter_depth / 10),
        "]}".repeat(filter_depth / 10)
    );
    let query = format!(
        r#"{{"indexArn":"{arn}","topK":1,"queryVector":{{"float32":[1]}},"filter":{nested}}}"#
    );
    request(&client, "QueryVectors", query).send().failed(400, "ValidationException");
    ok(&client, "GetIndex", &json!({ "indexArn": arn }));
}

#[test]
fn large_bodies_are_refused_before_they_fill_memory() {
    let server = Setup::new().start();
    let client = server.client();
    let before = server.memory_peak_bytes();
    let body = vec![b' '; 40 << 20];
    let refused = request(&client, "PutVectors", body.clone()).send();
    refused.failed(413, "RequestEntityTooLargeException");
    let refused = request(&client, "PutVectors", body).transfer_chunked().send();
    refused.failed(413, "RequestEntityTooLargeException");
    let refused = request(&client, "QueryVectors", vec![b' '; 5 << 20]).send();
    refused.failed(413, "RequestEntityTooLargeException");
    // Of many small items few are kept.
    let mut items = br#"{"indexArn":"arn:aws:s3vectors:us-east-1:000000000000:bucket/abc/index/xyz","vectors":["#.to_vec();
    items.extend_from_slice(&b"{},".repeat(6 << 20));
    items.extend_from_slice(b"{}]}");
    let refused = request(&client, "PutVectors", items).send();
    refused.failed(400, "ValidationException");
    let grown = server.memory_peak_bytes().saturating_sub(before);
    assert!(grown < 128 << 20, "{grown} bytes");
}

#[test]
fn an_operator_may_allow_larger_bodies() {
    let server = Setup::new().argument("--vector-body-bytes").argument("48MiB").start();
    let client = server.client();
    let body = vec![b' '; 40 << 20];
    request(&client, "PutVectors", body).send().failed(400, "ValidationException");
}

/// A member of a request that the model does not allow, and what is told of it.
#[test]
fn members_are_held_to_the_model() {
    let client = shared().client();
    let long = "x".repeat(64);
    let arn = "arn:aws:s3vectors:us-east-1:000000000000:bucket/abc/index/xyz";
    let vector = json!({ "float32": [1] });
    let keys = |count: usize| (0..count).map(|nth| nth.to_string()).collect::<Vec<_>>();
    let text = |text: &str| json!([{ "text": text, "metadataKey": "k" }]);
    let between = |path: &str, len: usize, range: &str| {
        format!(
            "1 validation error detected. Value with length {len} at '{path}' failed to satisfy \
             constraint: Member must have length between {range}, inclusive"
        )
    };
    let at = |path: &str, constraint: &str| {
        format!(
            "1 validation error detected. Value at '{path}' failed to satisfy constraint: Member \
             must {constraint}"
        )
    };
    let not_null = |path: &str| at(path, "not be null");
    let index = |part: Value| {
        let mut whole = json!({
            "vectorBucketName": "abc", "indexName": "xyz", "dataType": "float32", "dimension": 1,
            "distanceMetric": "cosine",
        });
        whole.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        whole
    };
    let table: Vec<(&str, Value, String)> = vec![
        ("CreateVectorBucket", json!({}), not_null("/vectorBucketName")),
        (
            "CreateVectorBucket",
            json!({ "vectorBucketName": "ab" }),
            between("/vectorBucketName", 2, "3 and 63"),
        ),
        (
            "CreateVectorBucket",
            json!({ "vectorBucketName": "abc", "encryptionConfiguration": { "sseType": "x" } }),
            at("/encryptionConfiguration/sseType", "satisfy enum value set: [AES256, aws:kms]"),
        ),
        (
            "CreateVectorBucket",
            json!({ "vectorBucketName": "abc", "tags": { "": "x" } }),
            between("/tags/", 0, "1 and 128"),
        ),
        (
            "GetVectorBucket",
            json!({ "vectorBucketName": long }),
            between("/vectorBucketName", 64, "3 and 63"),
        ),
        (
            "GetVectorBucket",
            json!({ "vectorBucketArn": arn }),
            at(
                "/vectorBucketArn",
                "satisfy regular expression pattern: arn:aws[-a-z0-9]*:s3vectors:[a-z0-9-]+:\
                 [0-9]{12}:bucket/[a-z0-9][a-z0-9-.]{1,61}[a-z0-9]",
            ),
        ),
        (
            "ListVectorBuckets",
            json!({ "maxResults": 0 }),
            at("/maxResults", "be between 1 and 500, inclusive"),
        ),
        (
            "ListVectorBuckets",
            json!({ "maxResults": 501 }),
            at("/maxResults", "be between 1 and 500, inclusive"),
        ),
        ("ListVectorBuckets", json!({ "prefix": "" }), between("/prefix", 0, "1 and 63")),
        ("ListVectorBuckets", json!({ "nextToken": "" }), between("/nextToken", 0, "1 and 512")),
        ("PutVectorBucketPolicy", json!({ "vectorBucketName": "abc" }), not_null("/policy")),
        (
            "PutVectorBucketDefaultIndexMode",
            json!({ "vectorBucketName": "abc", "defaultIndexMode": "FAST" }),
            at("/defaultIndexMode", "satisfy enum value set: [CLASSIC, ENHANCED]"),
        ),
        ("CreateIndex", index(json!({ "dimension": null })), not_null("/dimension")),
        (
            "CreateIndex",
            index(json!({ "dimension": 0 })),
            at("/dimension", "be between 1 and 4096, inclusive"),
        ),
        (
            "CreateIndex",
            index(json!({ "dimension": 4097 })),
            at("/dimension", "be between 1 and 4096, inclusive"),
        ),
        (
            "CreateIndex",
            index(json!({ "dataType": "int" })),
            at("/dataType", "satisfy enum value set: [float32]"),
        ),
        (
            "CreateIndex",
            index(json!({ "distanceMetric": "what" })),
            at("/distanceMetric", "satisfy enum value set: [euclidean, cosine]"),
        ),
        (
            "CreateIndex",
            index(json!({ "metadataConfiguration": { "nonFilterableMetadataKeys": keys(11) } })),
            between("/metadataConfiguration/nonFilterableMetadataKeys", 11, "0 and 10"),
        ),
        (
            "CreateIndex",
            index(json!({ "metadataConfiguration": { "nonFilterableMetadataKeys": [long] } })),
            between("/metadataConfiguration/nonFilterableMetadataKeys/0", 64, "1 and 63"),
        ),
        (
            "CreateIndex",
            index(json!({ "metadataConfiguration": { "textSearchConfigurations": [
                { "metadataKey": "k", "language": "la" }
            ] } })),
            at(
                "/metadataConfiguration/textSearchConfigurations/0/language",
                "satisfy enum value set: [en, fr, es, pt, it, de, nl, zh, ja, ko]",
            ),
        ),
        (
            "CreateIndex",
            index(json!({ "metadataConfiguration": { "textSearchConfigurations": [{}] } })),
            not_null("/metadataConfiguration/textSearchConfigurations/0/metadataKey"),
        ),
        (
            "UpdateMetadataConfiguration",
            json!({ "indexArn": arn, "delete": { "textSearchConfigurations": [] } }),
            between("/delete/textSearchConfigurations", 0, "1 and 10"),
        ),
        ("UpdateIndexMode", json!({ "indexArn": arn }), not_null("/indexMode")),
        ("PutVectors", json!({ "indexArn": arn }), not_null("/vectors")),
        (
            "PutVectors",
            json!({ "indexArn": arn, "vectors": [] }),
            between("/vectors", 0, "1 and 500"),
        ),
        (
            "PutVectors",
            json!({ "indexArn": arn, "vectors": vec![json!({ "key": "k", "data": vector }); 501] }),
            between("/vectors", 501, "1 and 500"),
        ),
        (
            "PutVectors",
            json!({ "indexArn": arn, "vectors": [{ "data": vector }] }),
            not_null("/vectors/0/key"),
        ),
        (
            "PutVectors",
            json!({ "indexArn": arn, "vectors": [{ "key": "k" }] }),
            not_null("/vectors/0/data"),
        ),
        (
            "PutVectors",
            json!({ "indexArn": arn, "vectors": [{ "key": "k", "data": {} }] }),
            not_null("/vectors/0/data/float32"),
        ),
        (
            "PutVectors",
            json!({ "indexArn": arn, "vectors": [{ "key": "x".repeat(1025), "data": vector }] }),
            between("/vectors/0/key", 1025, "1 and 1024"),
        ),
        (
            "GetVectors",
            json!({ "indexArn": arn, "keys": keys(101) }),
            between("/keys", 101, "1 and 100"),
        ),
        (
            "GetVectors",
            json!({ "indexArn": arn, "keys": [""] }),
            between("/keys/0", 0, "1 and 1024"),
        ),
        (
            "ListVectors",
            json!({ "indexArn": arn, "maxResults": 1001 }),
            at("/maxResults", "be between 1 and 1000, inclusive"),
        ),
        (
            "ListVectors",
            json!({ "indexArn": arn, "segmentCount": 17, "segmentIndex": 0 }),
            at("/segmentCount", "be between 1 and 16, inclusive"),
        ),
        (
            "ListVectors",
            json!({ "indexArn": arn, "segmentCount": 2, "segmentIndex": 16 }),
            at("/segmentIndex", "be between 0 and 15, inclusive"),
        ),
        ("DeleteVectors", json!({ "indexArn": arn }), not_null("/keys")),
        (
            "DeleteVectors",
            json!({ "indexArn": arn, "keys": keys(501) }),
            between("/keys", 501, "1 and 500"),
        ),
        ("QueryVectors", json!({ "indexArn": arn, "queryVector": vector }), not_null("/topK")),
        (
            "QueryVectors",
            json!({ "indexArn": arn, "topK": 0 }),
            at("/topK", "be greater than or equal to 1"),
        ),
        (
            "QueryVectors",
            json!({ "indexArn": arn, "topK": 1, "queryTexts": [] }),
            between("/queryTexts", 0, "1 and 10"),
        ),
        (
            "QueryVectors",
            json!({ "indexArn": arn, "topK": 1, "queryTexts": text("") }),
            between("/queryTexts/0/text", 0, "1 and 1024"),
        ),
        (
            "QueryVectors",
            json!({ "indexArn": arn, "topK": 1, "queryVector": {} }),
            not_null("/queryVector/float32"),
        ),
    ];
    for (operation, body, message) in table {
        let response = call(&client, operation, &body);
        assert_eq!(response.failed(400, "ValidationException"), message, "{operation} {body}");
        let field = &response.json()["fieldList"][0];
        assert!(message.ends_with(field["message"].as_str().unwrap()), "{response}");
        assert!(message.contains(field["path"].as_str().unwrap()), "{response}");
    }
}
