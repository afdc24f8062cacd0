//! Settings of a bucket: versioning, ownership, public access, encryption.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::bucket::parse_ownership;
use super::refusal::{check_encryption, encryption};
use super::{Wire, action};
use crate::objects::{BucketEncryption, Ownership, PublicAccessBlock, Versioning};

/// `GetBucketVersioning`.
pub(super) async fn get_versioning(
    wire: &Wire,
    request: S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    let access = wire.at_bucket(&request, action::GET_BUCKET_VERSIONING)?;
    let status = match access.bucket.record().versioning {
        Versioning::Unversioned => None,
        Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
        Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
    };
    let status = status.map(BucketVersioningStatus::from_static);
    Ok(S3Response::new(GetBucketVersioningOutput { mfa_delete: None, status }))
}

/// `PutBucketVersioning`.
pub(super) async fn put_versioning(
    wire: &Wire,
    request: S3Request<PutBucketVersioningInput>,
) -> S3Result<S3Response<PutBucketVersioningOutput>> {
    let access = wire.at_bucket(&request, action::PUT_BUCKET_VERSIONING)?;
    let versioning = parse_versioning(&request.input.versioning_configuration)?;
    access.bucket.set_versioning(versioning).await?;
    Ok(S3Response::new(PutBucketVersioningOutput::default()))
}

/// `GetBucketOwnershipControls`.
pub(super) async fn get_ownership(
    wire: &Wire,
    request: S3Request<GetBucketOwnershipControlsInput>,
) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
    let access = wire.at_bucket(&request, action::GET_BUCKET_OWNERSHIP_CONTROLS)?;
    let name = match access.bucket.ownership()? {
        Ownership::BucketOwnerEnforced => ObjectOwnership::BUCKET_OWNER_ENFORCED,
        Ownership::BucketOwnerPreferred => ObjectOwnership::BUCKET_OWNER_PREFERRED,
        Ownership::ObjectWriter => ObjectOwnership::OBJECT_WRITER,
    };
    let rule = OwnershipControlsRule { object_ownership: ObjectOwnership::from_static(name) };
    let ownership_controls = Some(OwnershipControls { rules: vec![rule] });
    Ok(S3Response::new(GetBucketOwnershipControlsOutput { ownership_controls }))
}

/// `PutBucketOwnershipControls`.
pub(super) async fn put_ownership(
    wire: &Wire,
    request: S3Request<PutBucketOwnershipControlsInput>,
) -> S3Result<S3Response<PutBucketOwnershipControlsOutput>> {
    let access = wire.at_bucket(&request, action::PUT_BUCKET_OWNERSHIP_CONTROLS)?;
    let [rule] = request.input.ownership_controls.rules.as_slice() else {
        return Err(s3_error!(MalformedXML, "There must be exactly one rule"));
    };
    let ownership = parse_ownership(&rule.object_ownership)?;
    access.bucket.set_ownership(Some(ownership)).await?;
    Ok(S3Response::new(PutBucketOwnershipControlsOutput::default()))
}

/// `DeleteBucketOwnershipControls`.
pub(super) async fn delete_ownership(
    wire: &Wire,
    request: S3Request<DeleteBucketOwnershipControlsInput>,
) -> S3Result<S3Response<DeleteBucketOwnershipControlsOutput>> {
    let access = wire.at_bucket(&request, action::DELETE_BUCKET_OWNERSHIP_CONTROLS)?;
    access.bucket.set_ownership(None).await?;
    Ok(S3Response::new(DeleteBucketOwnershipControlsOutput::default()))
}

/// `GetPublicAccessBlock`.
pub(super) async fn get_public_access(
    wire: &Wire,
    request: S3Request<GetPublicAccessBlockInput>,
) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
    let access = wire.at_bucket(&request, action::GET_PUBLIC_ACCESS_BLOCK)?;
    let block = access.bucket.public_access_block()?;
    Ok(S3Response::new(GetPublicAccessBlockOutput {
        public_access_block_configuration: Some(PublicAccessBlockConfiguration {
            block_public_acls: Some(block.block_public_acls),
            block_public_policy: Some(block.block_public_policy),
            ignore_public_acls: Some(block.ignore_public_acls),
            restrict_public_buckets: Some(block.restrict_public_buckets),
        }),
    }))
}

/// `PutPublicAccessBlock`.
pub(super) async fn put_public_access(
    wire: &Wire,
    request: S3Request<PutPublicAccessBlockInput>,
) -> S3Result<S3Response<PutPublicAccessBlockOutput>> {
    let access = wire.at_bucket(&request, action::PUT_PUBLIC_ACCESS_BLOCK)?;
    let asked = request.input.public_access_block_configuration;
    let block = PublicAccessBlock {
        block_public_acls: asked.block_public_acls.unwrap_or(false),
        ignore_public_acls: asked.ignore_public_acls.unwrap_or(false),
        block_public_policy: asked.block_public_policy.unwrap_or(false),
        restrict_public_buckets: asked.restrict_public_buckets.unwrap_or(false),
    };
    access.bucket.set_public_access_block(Some(block)).await?;
    Ok(S3Response::new(PutPublicAccessBlockOutput::default()))
}

/// `DeletePublicAccessBlock`.
pub(super) async fn delete_public_access(
    wire: &Wire,
    request: S3Request<DeletePublicAccessBlockInput>,
) -> S3Result<S3Response<DeletePublicAccessBlockOutput>> {
    let access = wire.at_bucket(&request, action::DELETE_PUBLIC_ACCESS_BLOCK)?;
    access.bucket.set_public_access_block(None).await?;
    Ok(S3Response::new(DeletePublicAccessBlockOutput::default()))
}

/// `GetBucketEncryption`.
pub(super) async fn get_encryption(
    wire: &Wire,
    request: S3Request<GetBucketEncryptionInput>,
) -> S3Result<S3Response<GetBucketEncryptionOutput>> {
    let access = wire.at_bucket(&request, action::GET_BUCKET_ENCRYPTION)?;
    let default = encryption().map(|sse_algorithm| ServerSideEncryptionByDefault {
        kms_master_key_id: None,
        sse_algorithm,
    });
    let rule = ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: default,
        bucket_key_enabled: Some(access.bucket.record().encryption.bucket_key),
    };
    Ok(S3Response::new(GetBucketEncryptionOutput {
        server_side_encryption_configuration: Some(ServerSideEncryptionConfiguration {
            rules: vec![rule],
        }),
    }))
}

/// `PutBucketEncryption`.
pub(super) async fn put_encryption(
    wire: &Wire,
    request: S3Request<PutBucketEncryptionInput>,
) -> S3Result<S3Response<PutBucketEncryptionOutput>> {
    let access = wire.at_bucket(&request, action::PUT_BUCKET_ENCRYPTION)?;
    let asked = parse_encryption(&request.input.server_side_encryption_configuration)?;
    access.bucket.set_encryption(asked).await?;
    Ok(S3Response::new(PutBucketEncryptionOutput::default()))
}

/// `DeleteBucketEncryption`: back to what every bucket has.
pub(super) async fn delete_encryption(
    wire: &Wire,
    request: S3Request<DeleteBucketEncryptionInput>,
) -> S3Result<S3Response<DeleteBucketEncryptionOutput>> {
    let access = wire.at_bucket(&request, action::DELETE_BUCKET_ENCRYPTION)?;
    access.bucket.set_encryption(BucketEncryption::default()).await?;
    Ok(S3Response::new(DeleteBucketEncryptionOutput::default()))
}

fn parse_versioning(configuration: &VersioningConfiguration) -> S3Result<Versioning> {
    if configuration.mfa_delete.as_ref().map(MFADelete::as_str) == Some(MFADelete::ENABLED) {
        return Err(s3_error!(NotImplemented, "MFA delete is not implemented"));
    }
    match configuration.status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) => Ok(Versioning::Enabled),
        Some(BucketVersioningStatus::SUSPENDED) => Ok(Versioning::Suspended),
        Some(_) => Err(s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        )),
        None => Err(s3_error!(
            IllegalVersioningConfigurationException,
            "The Versioning element must be specified"
        )),
    }
}

fn parse_encryption(
    configuration: &ServerSideEncryptionConfiguration,
) -> S3Result<BucketEncryption> {
    let [rule] = configuration.rules.as_slice() else {
        return Err(s3_error!(MalformedXML, "There must be exactly one rule"));
    };
    let default = rule
        .apply_server_side_encryption_by_default
        .as_ref()
        .ok_or_else(|| s3_error!(MalformedXML, "The rule has no default encryption"))?;
    check_encryption(Some(&default.sse_algorithm))?;
    if default.kms_master_key_id.is_some() {
        return Err(s3_error!(
            InvalidArgument,
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms"
        ));
    }
    Ok(BucketEncryption { bucket_key: rule.bucket_key_enabled.unwrap_or(false) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versioning_is_enabled_or_suspended() {
        let configuration = |status: Option<&str>, mfa: Option<&str>| VersioningConfiguration {
            mfa_delete: mfa.map(|mfa| MFADelete::from(mfa.to_owned())),
            status: status.map(|status| BucketVersioningStatus::from(status.to_owned())),
        };
        let code = |status, mfa| match parse_versioning(&configuration(status, mfa)) {
            Ok(versioning) => format!("{versioning:?}"),
            Err(error) => error.code().as_str().to_owned(),
        };
        assert_eq!(code(Some("Enabled"), None), "Enabled");
        assert_eq!(code(Some("Suspended"), Some("Disabled")), "Suspended");
        assert_eq!(code(Some("Enabled"), Some("Enabled")), "NotImplemented");
        assert_eq!(code(Some("enabled"), None), "MalformedXML");
        assert_eq!(code(None, None), "IllegalVersioningConfigurationException");
    }

    #[test]
    fn encryption_is_the_stores_own() {
        let configuration = |name: &str, key: Option<&str>| ServerSideEncryptionConfiguration {
            rules: vec![ServerSideEncryptionRule {
                apply_server_side_encryption_by_default: Some(ServerSideEncryptionByDefault {
                    kms_master_key_id: key.map(str::to_owned),
                    sse_algorithm: ServerSideEncryption::from(name.to_owned()),
                }),
                bucket_key_enabled: Some(true),
            }],
        };
        let kept = parse_encryption(&configuration("AES256", None)).unwrap();
        assert_eq!(kept, BucketEncryption { bucket_key: true });
        assert!(parse_encryption(&configuration("AES256", Some("id"))).is_err());
        assert!(parse_encryption(&configuration("aws:kms", None)).is_err());
        let empty = ServerSideEncryptionConfiguration { rules: Vec::new() };
        assert!(parse_encryption(&empty).is_err());
    }
}
