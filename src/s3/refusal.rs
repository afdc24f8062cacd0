//! Request headers whose meaning is not built: refused in words, never ignored.

use http::{HeaderMap, HeaderName};
use s3s::dto::{BucketCannedACL, ObjectCannedACL, ServerSideEncryption, StorageClass};
use s3s::header::X_AMZ_SERVER_SIDE_ENCRYPTION;
use s3s::{S3Error, S3Result, s3_error};

use super::binding;
use crate::objects;

/// Prefixes of headers that ask for what is not built.
const NOT_BUILT: [(&str, &str); 7] = [
    ("x-amz-server-side-encryption-customer-", "SSE-C is not implemented"),
    ("x-amz-copy-source-server-side-encryption-customer-", "SSE-C is not implemented"),
    ("x-amz-server-side-encryption-aws-kms-key-id", "SSE-KMS is not implemented"),
    ("x-amz-server-side-encryption-context", "SSE-KMS is not implemented"),
    ("x-amz-write-offset-bytes", "Appending to an object is not implemented"),
    ("x-amz-rename-source", "Renaming an object is not implemented"),
    ("x-amz-if-match-initiated-time", "Conditional abort is not implemented"),
];

/// Refuses headers that would change what the request means, had they been built.
pub(super) fn refuse_unbuilt(headers: &HeaderMap) -> S3Result<()> {
    headers.keys().try_for_each(refuse_header)
}

fn refuse_header(name: &HeaderName) -> S3Result<()> {
    if name.as_str().starts_with(binding::PREFIX) {
        return Err(s3_error!(NotImplemented, "Vectors are bound to objects by PutObject alone"));
    }
    let Some(rest) = name.as_str().strip_prefix("x-amz-") else { return Ok(()) };
    if rest.starts_with("meta-") {
        return Ok(());
    }
    if rest.starts_with("grant-") {
        return Err(acl_not_supported());
    }
    match NOT_BUILT.iter().find(|(prefix, _)| name.as_str().starts_with(prefix)) {
        Some((_, reason)) => Err(s3_error!(NotImplemented, "{reason}")),
        None => Ok(()),
    }
}

/// The answer to an ACL where ACLs are disabled.
pub(super) fn acl_not_supported() -> S3Error {
    s3_error!(AccessControlListNotSupported, "The bucket does not allow ACLs")
}

/// A canned ACL of an object: the two that say what holds anyway.
pub(super) fn check_object_acl(acl: Option<&ObjectCannedACL>) -> S3Result<()> {
    match acl.map(ObjectCannedACL::as_str) {
        None | Some(ObjectCannedACL::PRIVATE | ObjectCannedACL::BUCKET_OWNER_FULL_CONTROL) => {
            Ok(())
        }
        Some(
            ObjectCannedACL::PUBLIC_READ
            | ObjectCannedACL::PUBLIC_READ_WRITE
            | ObjectCannedACL::AUTHENTICATED_READ
            | ObjectCannedACL::AWS_EXEC_READ
            | ObjectCannedACL::BUCKET_OWNER_READ,
        ) => Err(acl_not_supported()),
        Some(_) => Err(s3_error!(InvalidArgument, "The canned ACL is not known")),
    }
}

/// A canned ACL of a bucket: the one that says what holds anyway.
pub(super) fn check_bucket_acl(acl: Option<&BucketCannedACL>) -> S3Result<()> {
    match acl.map(BucketCannedACL::as_str) {
        None | Some(BucketCannedACL::PRIVATE) => Ok(()),
        Some(
            BucketCannedACL::PUBLIC_READ
            | BucketCannedACL::PUBLIC_READ_WRITE
            | BucketCannedACL::AUTHENTICATED_READ,
        ) => Err(acl_not_supported()),
        Some(_) => Err(s3_error!(InvalidArgument, "The canned ACL is not known")),
    }
}

/// An encryption by its name: SSE-S3, which every object has anyway.
pub(super) fn check_encryption(encryption: Option<&ServerSideEncryption>) -> S3Result<()> {
    match encryption.map(ServerSideEncryption::as_str) {
        None | Some(ServerSideEncryption::AES256) => Ok(()),
        Some(ServerSideEncryption::AWS_KMS | ServerSideEncryption::AWS_KMS_DSSE) => {
            Err(s3_error!(NotImplemented, "SSE-KMS is not implemented"))
        }
        Some(_) => {
            Err(s3_error!(InvalidArgument, "The encryption method specified is not supported"))
        }
    }
}

/// Refuses to be told the encryption by an operation that does not choose it: a read, a part.
pub(super) fn refuse_encryption(headers: &HeaderMap) -> S3Result<()> {
    match headers.contains_key(X_AMZ_SERVER_SIDE_ENCRYPTION) {
        false => Ok(()),
        true => Err(s3_error!(
            InvalidArgument,
            "x-amz-server-side-encryption header is not supported for this operation."
        )),
    }
}

/// What every object answers about its encryption.
pub(super) fn encryption() -> Option<ServerSideEncryption> {
    Some(ServerSideEncryption::from_static(ServerSideEncryption::AES256))
}

/// A storage class by its name.
pub(super) fn parse_storage_class(class: Option<&StorageClass>) -> S3Result<objects::StorageClass> {
    match class {
        None => Ok(objects::StorageClass::default()),
        Some(class) => Ok(objects::StorageClass::from_name(class.as_str())?),
    }
}

#[cfg(test)]
mod tests {
    use s3s::S3ErrorCode;

    use super::*;

    #[test]
    fn what_is_not_built_is_refused_by_name() {
        for (name, code) in [
            ("x-amz-server-side-encryption-customer-algorithm", S3ErrorCode::NotImplemented),
            ("x-amz-copy-source-server-side-encryption-customer-key", S3ErrorCode::NotImplemented),
            ("x-amz-server-side-encryption-aws-kms-key-id", S3ErrorCode::NotImplemented),
            ("x-amz-write-offset-bytes", S3ErrorCode::NotImplemented),
            ("x-amz-rename-source", S3ErrorCode::NotImplemented),
            ("x-amz-rename-source-if-match", S3ErrorCode::NotImplemented),
            ("x-lodestore-vector-index", S3ErrorCode::NotImplemented),
            ("x-amz-grant-read", S3ErrorCode::AccessControlListNotSupported),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), "1".parse().unwrap());
            assert_eq!(*refuse_unbuilt(&headers).unwrap_err().code(), code, "{name}");
        }
        let mut headers = HeaderMap::new();
        for name in [
            "x-amz-meta-x-amz-grant-read",
            "x-amz-server-side-encryption",
            "x-amz-checksum-crc32",
            "x-amz-date",
            "content-type",
        ] {
            headers.insert(HeaderName::from_static(name), "1".parse().unwrap());
        }
        assert!(refuse_unbuilt(&headers).is_ok());
    }

    #[test]
    fn canned_acls_that_change_nothing_pass() {
        let object = |name: &str| check_object_acl(Some(&ObjectCannedACL::from(name.to_owned())));
        assert!(object("private").is_ok());
        assert!(object("bucket-owner-full-control").is_ok());
        assert_eq!(
            *object("public-read").unwrap_err().code(),
            S3ErrorCode::AccessControlListNotSupported
        );
        assert_eq!(*object("nonsense").unwrap_err().code(), S3ErrorCode::InvalidArgument);
        let bucket = |name: &str| check_bucket_acl(Some(&BucketCannedACL::from(name.to_owned())));
        assert!(bucket("private").is_ok());
        assert!(bucket("bucket-owner-full-control").is_err());
    }

    #[test]
    fn encryption_is_never_promised_in_vain() {
        let check =
            |name: &str| check_encryption(Some(&ServerSideEncryption::from(name.to_owned())));
        assert!(check("AES256").is_ok());
        assert_eq!(*check("aws:kms").unwrap_err().code(), S3ErrorCode::NotImplemented);
        assert_eq!(*check("ROT13").unwrap_err().code(), S3ErrorCode::InvalidArgument);
        let mut headers = HeaderMap::new();
        assert!(refuse_encryption(&headers).is_ok());
        headers.insert("x-amz-server-side-encryption", "AES256".parse().unwrap());
        let refused = refuse_encryption(&headers).unwrap_err();
        assert_eq!(*refused.code(), S3ErrorCode::InvalidArgument);
    }
}
