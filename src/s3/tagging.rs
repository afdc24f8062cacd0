//! Tags of buckets and objects.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::{Wire, action};
use crate::objects::{self, TagTarget};

/// `GetBucketTagging`.
pub(super) async fn get_bucket_tags(
    wire: &Wire,
    request: S3Request<GetBucketTaggingInput>,
) -> S3Result<S3Response<GetBucketTaggingOutput>> {
    let access = wire.at_bucket(&request, action::GET_BUCKET_TAGGING)?;
    let tag_set = shown(access.bucket.bucket_tags()?);
    Ok(S3Response::new(GetBucketTaggingOutput { tag_set }))
}

/// `PutBucketTagging`.
pub(super) async fn put_bucket_tags(
    wire: &Wire,
    request: S3Request<PutBucketTaggingInput>,
) -> S3Result<S3Response<PutBucketTaggingOutput>> {
    let access = wire.at_bucket(&request, action::PUT_BUCKET_TAGGING)?;
    let tags = parse(TagTarget::Bucket, request.input.tagging)?;
    access.bucket.set_bucket_tags(tags.tags().to_vec()).await?;
    Ok(S3Response::new(PutBucketTaggingOutput::default()))
}

/// `DeleteBucketTagging`.
pub(super) async fn delete_bucket_tags(
    wire: &Wire,
    request: S3Request<DeleteBucketTaggingInput>,
) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
    let access = wire.at_bucket(&request, action::DELETE_BUCKET_TAGGING)?;
    access.bucket.set_bucket_tags(Vec::new()).await?;
    Ok(S3Response::new(DeleteBucketTaggingOutput::default()))
}

/// `GetObjectTagging`.
pub(super) async fn get_object_tags(
    wire: &Wire,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let access = wire.at_object(&request, action::GET_OBJECT_TAGGING)?;
    let (tags, version) = access.bucket.tags(&request.input.key, access.version).await?;
    Ok(S3Response::new(GetObjectTaggingOutput {
        tag_set: shown(tags.tags()),
        version_id: version.map(|version| version.to_string()),
    }))
}

/// `PutObjectTagging`.
pub(super) async fn put_object_tags(
    wire: &Wire,
    request: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let access = wire.at_object(&request, action::PUT_OBJECT_TAGGING)?;
    let input = request.input;
    let tags = parse(TagTarget::Object, input.tagging)?;
    let version = access.bucket.set_tags(&input.key, access.version, tags).await?;
    let version_id = version.map(|version| version.to_string());
    Ok(S3Response::new(PutObjectTaggingOutput { version_id }))
}

/// `DeleteObjectTagging`.
pub(super) async fn delete_object_tags(
    wire: &Wire,
    request: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    let access = wire.at_object(&request, action::DELETE_OBJECT_TAGGING)?;
    let none = objects::TagSet::default();
    let version = access.bucket.set_tags(&request.input.key, access.version, none).await?;
    let version_id = version.map(|version| version.to_string());
    Ok(S3Response::new(DeleteObjectTaggingOutput { version_id }))
}

fn shown(tags: &[(String, String)]) -> TagSet {
    tags.iter()
        .map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) })
        .collect()
}

fn parse(target: TagTarget, tagging: Tagging) -> S3Result<objects::TagSet> {
    let pair = |tag: Tag| tag.key.zip(tag.value);
    let tags: Option<Vec<_>> = tagging.tag_set.into_iter().map(pair).collect();
    let tags = tags.ok_or_else(|| s3_error!(MalformedXML, "A tag needs a key and a value"))?;
    Ok(objects::TagSet::new(target, tags)?)
}
