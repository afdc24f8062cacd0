//! Buckets: make, look, list, delete.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::action::{Extra, Operation};
use super::caller::{Caller, canonical_id};
use super::gated::check_target;
use super::properties::timestamp;
use super::refusal::{check_bucket_acl, refuse_unbuilt};
use super::service::SetAside;
use super::tagging::tag_pairs;
use super::{Wire, action};
use crate::iam::Resource;
use crate::objects::{
    BUCKETS_PAGE_MAX, Created, ListBuckets, NewBucket, Ownership, PageToken, Versioning,
};

/// The region in which re-creating a bucket is success, and which `GetBucketLocation` leaves out.
const CLASSIC_REGION: &str = "us-east-1";

/// `CreateBucket`.
pub(super) async fn create(
    wire: &Wire,
    mut request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let caller = Caller::of(&request.extensions)?;
    caller.authorize(action::CREATE_BUCKET.action, Resource::Service)?;
    check_target(&request.extensions, &request.input.bucket, None)?;
    let tags = request.extensions.remove::<SetAside>().unwrap_or_default().bucket_tags;
    let input = request.input;
    let object_lock = input.object_lock_enabled_for_bucket.unwrap_or(false);
    for (asked, extra) in [
        (object_lock, Extra::BucketLock),
        (object_lock, Extra::BucketVersioning),
        (input.object_ownership.is_some(), Extra::BucketOwnership),
        (input.acl.is_some(), Extra::BucketAcl),
        (!tags.is_empty(), Extra::BucketTags),
    ] {
        if asked {
            caller.authorize(extra.action(), own_bucket(&caller, &input.bucket))?;
        }
    }
    refuse_unbuilt(&request.headers)?;
    check_bucket_acl(input.acl.as_ref())?;
    let new = NewBucket {
        owner: caller.name().to_owned(),
        region: parse_location(input.create_bucket_configuration)?,
        versioning: Versioning::Unversioned,
        object_lock,
        ownership: input.object_ownership.as_ref().map(parse_ownership).transpose()?,
        tags: tag_pairs(tags)?,
        name: input.bucket,
    };
    let location = Some(format!("/{}", new.name));
    match wire.objects.create_bucket(new).await? {
        Created::New(_) | Created::Existing(_) => {
            Ok(S3Response::new(CreateBucketOutput { location }))
        }
    }
}

/// `HeadBucket`.
pub(super) async fn head(
    wire: &Wire,
    request: S3Request<HeadBucketInput>,
) -> S3Result<S3Response<HeadBucketOutput>> {
    let access = wire.at_bucket(&request, action::HEAD_BUCKET)?;
    let bucket_region = Some(shown_region(&access.bucket.record().region).to_owned());
    Ok(S3Response::new(HeadBucketOutput { bucket_region, ..Default::default() }))
}

/// `GetBucketLocation`.
pub(super) async fn location(
    wire: &Wire,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    let access = wire.at_bucket(&request, action::GET_BUCKET_LOCATION)?;
    let region = shown_region(&access.bucket.record().region);
    let location_constraint =
        (region != CLASSIC_REGION).then(|| BucketLocationConstraint::from(region.to_owned()));
    Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
}

/// `DeleteBucket`.
pub(super) async fn delete(
    wire: &Wire,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    let access = wire.at_bucket(&request, action::DELETE_BUCKET)?;
    access.bucket.delete_bucket().await?;
    Ok(S3Response::new(DeleteBucketOutput::default()))
}

/// `ListBuckets`: a user's own buckets; the owner of the store sees all.
pub(super) async fn list(
    wire: &Wire,
    request: S3Request<ListBucketsInput>,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let operation: Operation = action::LIST_BUCKETS;
    let caller = Caller::of(&request.extensions)?;
    caller.authorize(operation.action, Resource::Service)?;
    let input = request.input;
    let paged = input.max_buckets.is_some()
        || input.continuation_token.is_some()
        || input.prefix.is_some()
        || input.bucket_region.is_some();
    let list = ListBuckets {
        owner: (!caller.is_root()).then(|| caller.name().to_owned()),
        prefix: input.prefix.clone().unwrap_or_default(),
        token: match input.continuation_token.as_deref() {
            None | Some("") => None,
            Some(text) => Some(text.parse::<PageToken>()?),
        },
        limit: input.max_buckets.map(parse_limit).transpose()?,
    };
    let page = wire.objects.list_buckets(&list)?;

    let wanted = input.bucket_region.as_deref();
    let buckets = page.buckets.iter().filter_map(|bucket| {
        let region = shown_region(&bucket.record().region);
        wanted.is_none_or(|wanted| wanted == region).then(|| Bucket {
            bucket_region: paged.then(|| region.to_owned()),
            creation_date: Some(timestamp(bucket.record().created_ms)),
            name: Some(bucket.name().to_owned()),
        })
    });
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(buckets.collect()),
        continuation_token: page.next.as_ref().map(PageToken::to_string),
        owner: Some(Owner { display_name: None, id: Some(canonical_id(caller.name())) }),
        prefix: input.prefix,
    }))
}

/// An ownership that holds here: access control lists are not built.
pub(super) fn parse_ownership(ownership: &ObjectOwnership) -> S3Result<Ownership> {
    match ownership.as_str() {
        ObjectOwnership::BUCKET_OWNER_ENFORCED => Ok(Ownership::BucketOwnerEnforced),
        ObjectOwnership::BUCKET_OWNER_PREFERRED | ObjectOwnership::OBJECT_WRITER => {
            Err(s3_error!(NotImplemented, "Access control lists are not implemented"))
        }
        _ => Err(s3_error!(InvalidArgument, "Invalid x-amz-object-ownership header")),
    }
}

fn own_bucket<'a>(caller: &'a Caller, bucket: &'a str) -> Resource<'a> {
    Resource::Bucket { bucket, owner: caller.name() }
}

/// A record without a region is of the classic one.
fn shown_region(region: &str) -> &str {
    if region.is_empty() { CLASSIC_REGION } else { region }
}

fn parse_location(configuration: Option<CreateBucketConfiguration>) -> S3Result<Option<String>> {
    let Some(configuration) = configuration else { return Ok(None) };
    if configuration.bucket.is_some() || configuration.location.is_some() {
        return Err(s3_error!(NotImplemented, "Directory buckets are not implemented"));
    }
    let region = configuration.location_constraint.map(|region| region.as_str().to_owned());
    Ok(region.filter(|region| !region.is_empty()))
}

fn parse_limit(limit: i32) -> S3Result<usize> {
    usize::try_from(limit).ok().filter(|limit| (1..=BUCKETS_PAGE_MAX).contains(limit)).ok_or_else(
        || {
            s3_error!(
                InvalidArgument,
                "Argument max-buckets must be an integer between 1 and 10000"
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_region_or_refused() {
        let configuration = |region: &str| CreateBucketConfiguration {
            location_constraint: Some(BucketLocationConstraint::from(region.to_owned())),
            ..Default::default()
        };
        assert_eq!(parse_location(None).unwrap(), None);
        assert_eq!(parse_location(Some(configuration(""))).unwrap(), None);
        let region = parse_location(Some(configuration("eu-west-1"))).unwrap();
        assert_eq!(region.as_deref(), Some("eu-west-1"));
        let directory =
            CreateBucketConfiguration { bucket: Some(BucketInfo::default()), ..Default::default() };
        assert_eq!(parse_location(Some(directory)).unwrap_err().code().as_str(), "NotImplemented");
    }

    #[test]
    fn a_page_of_buckets_has_a_size() {
        assert_eq!(parse_limit(1).unwrap(), 1);
        assert_eq!(parse_limit(10_000).unwrap(), 10_000);
        for wrong in [0, -1, 10_001] {
            assert!(parse_limit(wrong).is_err());
        }
    }

    #[test]
    fn regions_are_shown_by_name() {
        assert_eq!(shown_region(""), "us-east-1");
        assert_eq!(shown_region("mars-1"), "mars-1");
    }
}
