//! Tags of buckets and objects.

use s3s::dto::*;
use s3s::xml::{DeError, Deserializer};
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
    Ok(objects::TagSet::new(target, tag_pairs(tagging.tag_set)?)?)
}

/// Keys and values of tags.
pub(super) fn tag_pairs(tags: Vec<Tag>) -> S3Result<Vec<(String, String)>> {
    let pairs: Option<Vec<_>> = tags.into_iter().map(|tag| tag.key.zip(tag.value)).collect();
    pairs.ok_or_else(|| s3_error!(MalformedXML, "A tag needs a key and a value"))
}

/// The tags in a document that makes a bucket, which s3s does not read.
pub(super) fn tags_of_new_bucket(document: &[u8]) -> S3Result<Vec<Tag>> {
    let mut tags = None;
    let mut reader = Deserializer::new(document);
    let read = reader.named_element("CreateBucketConfiguration", |reader| {
        reader.for_each_element(|reader, name| match name {
            b"Tags" if tags.is_some() => Err(DeError::DuplicateField),
            b"Tags" => {
                tags = Some(reader.list_content("Tag")?);
                Ok(())
            }
            b"LocationConstraint" => reader.content::<BucketLocationConstraint>().map(drop),
            b"Location" => reader.content::<LocationInfo>().map(drop),
            b"Bucket" => reader.content::<BucketInfo>().map(drop),
            _ => Err(DeError::UnexpectedTagName),
        })
    });
    read.map_err(|_| s3_error!(MalformedXML))?;
    Ok(tags.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_bucket_has_the_tags_of_its_document() {
        let tag = |name: &str| format!("<Tag><Key>{name}</Key><Value>of {name}</Value></Tag>");
        let found = |content: &str| {
            let document =
                format!("<CreateBucketConfiguration>{content}</CreateBucketConfiguration>");
            let pairs = tags_of_new_bucket(document.as_bytes()).and_then(tag_pairs);
            pairs.map_err(|error| error.code().as_str().to_owned())
        };
        let pair = |name: &str| (name.to_owned(), format!("of {name}"));
        let location = "<LocationConstraint>eu-west-1</LocationConstraint>";
        assert_eq!(found(location), Ok(vec![]));
        assert_eq!(found("<Tags></Tags>"), Ok(vec![]));
        let two = format!("{location}<Tags>{}{}</Tags>", tag("b"), tag("a"));
        assert_eq!(found(&two), Ok(vec![pair("b"), pair("a")]));
        for refused in [
            "<Tags><Tag><Key>a</Key></Tag></Tags>",
            "<Tags></Tags><Tags></Tags>",
            "<Other></Other>",
        ] {
            assert_eq!(found(refused), Err("MalformedXML".into()), "{refused}");
        }
    }
}
