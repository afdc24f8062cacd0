//! What programs on the AWS SDK for Rust do every day.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart, Delete,
    ObjectIdentifier,
};
use lodestore_rust_sdk_test::{client, new_bucket};

const SMALLEST_PART_BYTES: usize = 5 << 20;

async fn put(client: &Client, bucket: &str, key: &str, body: &'static [u8]) {
    let body = ByteStream::from_static(body);
    client.put_object().bucket(bucket).key(key).body(body).send().await.expect("the put succeeds");
}

async fn read(client: &Client, bucket: &str, key: &str) -> Vec<u8> {
    let got = client.get_object().bucket(bucket).key(key).send().await.expect("the get succeeds");
    got.body.collect().await.expect("the body is whole").to_vec()
}

/// Code and status of a refusal.
fn refusal<E: ProvideErrorMetadata>(
    error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
) -> (Option<&str>, Option<u16>) {
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    (error.as_service_error().and_then(ProvideErrorMetadata::code), status)
}

/// One request by a client that knows nothing of S3: the head of the answer, and its body.
async fn plain_http(method: &str, url: &str, body: &str) -> (String, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (host, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .expect("the URL has a host and a path");
    let mut connection = tokio::net::TcpStream::connect(host).await.expect("the store listens");
    let length = body.len();
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    connection.write_all(request.as_bytes()).await.expect("the request is sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("the answer is text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("the answer has a head");
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let client = client();
    let bucket = new_bucket(&client).await;
    client
        .put_object()
        .bucket(&bucket)
        .key("dir/with space+%41/ü")
        .content_type("text/plain")
        .metadata("a", "1")
        .body(ByteStream::from_static(b"hello"))
        .send()
        .await
        .expect("the put succeeds");
    let got = client
        .get_object()
        .bucket(&bucket)
        .key("dir/with space+%41/ü")
        .send()
        .await
        .expect("the get succeeds");
    assert_eq!(got.content_type(), Some("text/plain"));
    assert_eq!(got.metadata().and_then(|all| all.get("a")).map(String::as_str), Some("1"));
    assert_eq!(got.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    assert_eq!(got.body.collect().await.expect("the body is whole").to_vec(), b"hello");
}

#[tokio::test]
async fn a_missing_object_is_named() {
    let client = client();
    let bucket = new_bucket(&client).await;
    let error = client.get_object().bucket(&bucket).key("missing").send().await.unwrap_err();
    assert_eq!(refusal(&error), (Some("NoSuchKey"), Some(404)));
    let error = client.head_object().bucket(&bucket).key("missing").send().await.unwrap_err();
    assert!(error.as_service_error().is_some_and(|error| error.is_not_found()));
}

#[tokio::test]
async fn a_range_is_read() {
    let client = client();
    let bucket = new_bucket(&client).await;
    put(&client, &bucket, "k", b"0123456789").await;
    let got = client.get_object().bucket(&bucket).key("k").range("bytes=3-6").send().await;
    let got = got.expect("the get succeeds");
    assert_eq!(got.content_range(), Some("bytes 3-6/10"));
    assert_eq!(got.body.collect().await.expect("the body is whole").to_vec(), b"3456");
}

#[tokio::test]
async fn pages_of_a_listing_join() {
    let client = client();
    let bucket = new_bucket(&client).await;
    let keys: Vec<String> = (0..7).map(|number| format!("dir/{number} +%")).collect();
    for key in &keys {
        put(&client, &bucket, key, b"x").await;
    }
    let mut pages =
        client.list_objects_v2().bucket(&bucket).prefix("dir/").max_keys(3).into_paginator().send();
    let mut listed = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.expect("the page comes");
        assert!(page.contents().len() <= 3);
        listed.extend(page.contents().iter().filter_map(|entry| entry.key().map(str::to_owned)));
    }
    assert_eq!(listed, keys);
}

#[tokio::test]
async fn an_object_is_copied() {
    let client = client();
    let bucket = new_bucket(&client).await;
    put(&client, &bucket, "from", b"hello").await;
    client
        .copy_object()
        .bucket(&bucket)
        .key("to")
        .copy_source(format!("{bucket}/from"))
        .send()
        .await
        .expect("the copy succeeds");
    assert_eq!(read(&client, &bucket, "to").await, b"hello");
}

#[tokio::test]
async fn an_upload_in_parts_makes_one_object() {
    let client = client();
    let bucket = new_bucket(&client).await;
    let upload = client
        .create_multipart_upload()
        .bucket(&bucket)
        .key("k")
        .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
        .send()
        .await
        .expect("the upload begins");
    let upload = upload.upload_id().expect("the upload has an id");
    let bodies = [vec![1; SMALLEST_PART_BYTES], vec![2; SMALLEST_PART_BYTES + 1], vec![3; 7]];
    let mut parts = CompletedMultipartUpload::builder();
    for (number, body) in (1..).zip(&bodies) {
        let part = client
            .upload_part()
            .bucket(&bucket)
            .key("k")
            .upload_id(upload)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .body(body.clone().into())
            .send()
            .await
            .expect("the part is sent");
        parts = parts.parts(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(part.e_tag)
                .set_checksum_crc64_nvme(part.checksum_crc64_nvme)
                .build(),
        );
    }
    let done = client
        .complete_multipart_upload()
        .bucket(&bucket)
        .key("k")
        .upload_id(upload)
        .multipart_upload(parts.build())
        .send()
        .await
        .expect("the upload completes");
    assert!(done.e_tag().is_some_and(|etag| etag.ends_with("-3\"")));
    let head = client
        .head_object()
        .bucket(&bucket)
        .key("k")
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .expect("the head succeeds");
    assert_eq!(head.checksum_crc64_nvme(), done.checksum_crc64_nvme());
    assert!(head.checksum_crc64_nvme().is_some());
    assert_eq!(read(&client, &bucket, "k").await, bodies.concat());
}

#[tokio::test]
async fn presigned_urls_put_and_get_an_object() {
    let client = client();
    let bucket = new_bucket(&client).await;
    let minute =
        PresigningConfig::expires_in(Duration::from_secs(60)).expect("a minute is allowed");
    let up = client.put_object().bucket(&bucket).key("with space").presigned(minute.clone()).await;
    let (head, _) = plain_http("PUT", up.expect("the URL is made").uri(), "hello").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let down = client.get_object().bucket(&bucket).key("with space").presigned(minute).await;
    let (head, body) = plain_http("GET", down.expect("the URL is made").uri(), "").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body, "hello");
}

#[tokio::test]
async fn put_if_absent_makes_an_object_once() {
    let client = client();
    let bucket = new_bucket(&client).await;
    let attempt = || client.put_object().bucket(&bucket).key("k").if_none_match("*").send();
    attempt().await.expect("the first put succeeds");
    let error = attempt().await.unwrap_err();
    assert_eq!(refusal(&error), (Some("PreconditionFailed"), Some(412)));
}

#[tokio::test]
async fn objects_are_deleted_one_by_one_and_at_once() {
    let client = client();
    let bucket = new_bucket(&client).await;
    let keys = ["a", "b", "c"];
    for key in keys {
        put(&client, &bucket, key, b"x").await;
    }
    client.delete_object().bucket(&bucket).key("a").send().await.expect("the delete succeeds");
    let mut wanted = Delete::builder();
    for key in &keys[1..] {
        wanted =
            wanted.objects(ObjectIdentifier::builder().key(*key).build().expect("it has a key"));
    }
    let wanted = wanted.build().expect("it names objects");
    let done = client.delete_objects().bucket(&bucket).delete(wanted).send().await;
    let done = done.expect("the deletes succeed");
    assert_eq!((done.deleted().len(), done.errors().len()), (2, 0));
    client.delete_bucket().bucket(&bucket).send().await.expect("the bucket is empty");
}
