//! Access control lists of buckets whose ACLs are disabled: readable, and settable only to what
//! holds anyway, that the bucket's owner has full control.

use http::HeaderMap;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::caller::{Access, canonical_id, owner_of};
use super::refusal::{acl_not_supported, check_bucket_acl, check_object_acl, refuse_unbuilt};
use super::{Wire, action};

/// `GetBucketAcl`.
pub(super) async fn get_bucket_acl(
    wire: &Wire,
    request: S3Request<GetBucketAclInput>,
) -> S3Result<S3Response<GetBucketAclOutput>> {
    let access = wire.at_bucket(&request, action::GET_BUCKET_ACL)?;
    let (owner, grants) = full_control(access.bucket.owner());
    Ok(S3Response::new(GetBucketAclOutput { grants, owner }))
}

/// `PutBucketAcl`.
pub(super) async fn put_bucket_acl(
    wire: &Wire,
    request: S3Request<PutBucketAclInput>,
) -> S3Result<S3Response<PutBucketAclOutput>> {
    let access = wire.at_bucket(&request, action::PUT_BUCKET_ACL)?;
    let input = request.input;
    check_bucket_acl(input.acl.as_ref())?;
    let canned = Canned(input.acl.is_some());
    check_policy(&access, &request.headers, canned, input.access_control_policy)?;
    Ok(S3Response::new(PutBucketAclOutput::default()))
}

/// `GetObjectAcl`.
pub(super) async fn get_object_acl(
    wire: &Wire,
    request: S3Request<GetObjectAclInput>,
) -> S3Result<S3Response<GetObjectAclOutput>> {
    let access = wire.at_object(&request, action::GET_OBJECT_ACL)?;
    access.object(&request.input.key).await?;
    let (owner, grants) = full_control(access.bucket.owner());
    Ok(S3Response::new(GetObjectAclOutput { grants, owner, request_charged: None }))
}

/// `PutObjectAcl`.
pub(super) async fn put_object_acl(
    wire: &Wire,
    request: S3Request<PutObjectAclInput>,
) -> S3Result<S3Response<PutObjectAclOutput>> {
    let access = wire.at_object(&request, action::PUT_OBJECT_ACL)?;
    let input = request.input;
    access.object(&input.key).await?;
    check_object_acl(input.acl.as_ref())?;
    let canned = Canned(input.acl.is_some());
    check_policy(&access, &request.headers, canned, input.access_control_policy)?;
    Ok(S3Response::new(PutObjectAclOutput::default()))
}

/// Was a canned ACL named?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Canned(bool);

fn full_control(owner: &str) -> (Option<Owner>, Option<Grants>) {
    let grant = Grant {
        grantee: Some(Grantee {
            display_name: None,
            email_address: None,
            id: Some(canonical_id(owner)),
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        }),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    };
    (Some(owner_of(owner)), Some(vec![grant]))
}

/// Takes a list that says what holds, refuses any other.
fn check_policy(
    access: &Access,
    headers: &HeaderMap,
    canned: Canned,
    policy: Option<AccessControlPolicy>,
) -> S3Result<()> {
    refuse_unbuilt(headers)?;
    match (canned, policy) {
        (Canned(true), None) => Ok(()),
        (Canned(true), Some(_)) => {
            Err(s3_error!(UnexpectedContent, "This request does not support content"))
        }
        (Canned(false), None) => {
            Err(s3_error!(MissingSecurityHeader, "Your request was missing a required header"))
        }
        (Canned(false), Some(policy)) if says_full_control(&policy, access.bucket.owner()) => {
            Ok(())
        }
        (Canned(false), Some(_)) => Err(acl_not_supported()),
    }
}

fn says_full_control(policy: &AccessControlPolicy, owner: &str) -> bool {
    let Some([grant]) = policy.grants.as_deref() else { return false };
    let grantee = grant.grantee.as_ref().and_then(|grantee| grantee.id.as_deref());
    let permission = grant.permission.as_ref().map(Permission::as_str);
    permission == Some(Permission::FULL_CONTROL) && grantee == Some(canonical_id(owner).as_str())
}
