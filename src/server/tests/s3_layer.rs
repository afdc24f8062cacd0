//! The S3 layer behind the gate takes what the gate gives it.

use std::sync::{Arc, Mutex};

use futures::StreamExt;
use futures::future::BoxFuture;
use http::Response;
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, ListBucketsInput,
    ListBucketsOutput, PutObjectInput, PutObjectOutput,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::{ALICE, Plan, ROOT, TestServer};
use crate::iam::Principal;
use crate::server::Settings;
use crate::server::admitted::Admitted;
use crate::server::body::BodyPromise;
use crate::server::front::Handler;
use crate::server::gate::Case;
use crate::server::guard::OperationName;

type Seen = Arc<Mutex<Vec<String>>>;

struct Probe(Seen);

impl Probe {
    fn note<T>(&self, request: &S3Request<T>, what: &str) {
        let name = request.extensions.get::<OperationName>().unwrap().0;
        let principal = &request.extensions.get::<Principal>().unwrap().name;
        let promise = request.extensions.get::<BodyPromise>().unwrap();
        self.0.lock().unwrap().push(format!("{name} {principal} {:?} {what}", promise.len));
    }
}

#[async_trait::async_trait]
impl S3 for Probe {
    async fn put_object(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let mut body = request.input.body.take().unwrap();
        let mut data = Vec::new();
        while let Some(piece) = body.next().await {
            data.extend_from_slice(&piece.map_err(|_| s3_error!(BadDigest))?);
        }
        let input = &request.input;
        let what = format!(
            "{}/{} {:?} {:?} {}",
            input.bucket,
            input.key,
            input.content_length,
            input.content_encoding,
            String::from_utf8(data).unwrap()
        );
        self.note(&request, &what);
        Ok(S3Response::new(PutObjectOutput::default()))
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        self.note(&request, "copied");
        Ok(S3Response::new(CopyObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let objects = &request.input.delete.objects;
        let keys: Vec<&str> = objects.iter().map(|object| object.key.as_str()).collect();
        self.note(&request, &keys.join(","));
        Ok(S3Response::new(DeleteObjectsOutput::default()))
    }

    async fn list_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        self.note(&request, "listed");
        Err(s3_error!(NoSuchBucket))
    }
}

impl Handler for S3Service {
    fn call<'a>(
        &'a self,
        admitted: Admitted,
        case: &'a Case,
    ) -> BoxFuture<'a, Result<Response<s3s::Body>, s3s::StdError>> {
        Box::pin(async move { Ok(self.call(admitted.into_request(case).unwrap()).await?) })
    }
}

async fn start() -> (TestServer, Seen) {
    let seen = Seen::default();
    let service = S3ServiceBuilder::new(Probe(Arc::clone(&seen))).build();
    let settings = Settings { domains: vec!["s3.test".into()], ..Settings::default() };
    (TestServer::with(service, settings).await, seen)
}

#[tokio::test]
async fn requests_reach_their_methods_as_the_gate_made_them() {
    let (server, seen) = start().await;
    let framed = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    let chunks = Plan::new("PUT", "/key").header("host", "photos.s3.test").body(framed.as_bytes());
    let chunks = chunks
        .header("content-encoding", "aws-chunked,gzip")
        .header("x-amz-decoded-content-length", "5")
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .hash("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let delete = Plan::new("POST", "/bucket?delete")
        .body(b"<Delete><Object><Key>a<!-- -->b<![CDATA[&c]]></Key></Object></Delete>");
    let copy = Plan::new("PUT", "/bucket/key").header("x-amz-copy-source", "/other/b");
    for (request, expected) in [
        (Plan::put(b"hello").bytes(), "PutObject root Some(5) bucket/key Some(5) None hello"),
        (
            Plan::put(b"").presign(ALICE, 60, &["host"]),
            "PutObject alice Some(0) bucket/key Some(0) None ",
        ),
        (chunks.bytes(), "PutObject root Some(5) photos/key Some(5) Some(\"gzip\") hello"),
        (delete.bytes(), "DeleteObjects root Some(53) ab&c"),
        (copy.bytes(), "CopyObject root Some(0) copied"),
    ] {
        let answer = server.send_bytes(&request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(seen.lock().unwrap().pop().as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn errors_of_the_s3_layer_are_made_whole() {
    let (server, seen) = start().await;
    let answer = server.send(&Plan::new("GET", "/")).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "NoSuchBucket"));
    assert!(answer.body.contains("<Message>The specified bucket does not exist</Message>"));
    let answer = server.send(&Plan::new("GET", "/bucket?acl")).await;
    assert_eq!((answer.status, answer.code().as_str()), (501, "NotImplemented"));
    let answer = server.send(&Plan::new("GET", "/Bad_Name")).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "InvalidBucketName"));
    assert_eq!(seen.lock().unwrap().len(), 1);
    let spoilt = Plan::put(b"hello").hash(&"0".repeat(64)).sign(ROOT).0;
    assert_eq!(server.send_bytes(&spoilt).await.code(), "BadDigest");
    assert_eq!(seen.lock().unwrap().len(), 1);
}
