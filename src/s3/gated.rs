//! What the gate made of a request, held against what s3s made of it. The gate has checked the one
//! and the handlers answer the other, so where the two differ nothing is done.

use http::Extensions;
use s3s::{S3Error, S3Result, s3_error};

use crate::server::guard::OperationName;
use crate::server::target::Target;

/// Is `handler`, as the trait of s3s names it, the operation that the gate saw?
pub(super) fn check_operation(extensions: &Extensions, handler: &str) -> S3Result<()> {
    let seen = extensions.get::<OperationName>().ok_or_else(not_gated)?.0;
    let letters = handler.bytes().filter(|letter| *letter != b'_');
    match seen.bytes().map(|letter| letter.to_ascii_lowercase()).eq(letters) {
        true => Ok(()),
        false => Err(other_than_seen(seen, handler)),
    }
}

/// Are these the names that the gate saw?
pub(super) fn check_target(
    extensions: &Extensions,
    bucket: &str,
    key: Option<&str>,
) -> S3Result<()> {
    let seen = extensions.get::<Target>().ok_or_else(not_gated)?;
    match seen.bucket.as_deref() == Some(bucket) && seen.key.as_deref() == key {
        true => Ok(()),
        false => Err(other_than_seen(&seen.path(), bucket)),
    }
}

fn not_gated() -> S3Error {
    s3_error!(InternalError, "The request did not come through the gate")
}

fn other_than_seen(seen: &str, handled: &str) -> S3Error {
    tracing::error!(seen, handled, "the gate and the S3 library read a request differently");
    s3_error!(InternalError)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extensions(operation: &'static str, path: &str) -> Extensions {
        let mut extensions = Extensions::new();
        extensions.insert(OperationName(operation));
        extensions.insert(Target::parse(path, None, &[]).unwrap());
        extensions
    }

    #[test]
    fn a_handler_answers_what_the_gate_saw() {
        for (seen, handler, passes) in [
            ("PutObject", "put_object", true),
            ("ListObjectsV2", "list_objects_v2", true),
            ("DeleteBucketLifecycle", "delete_bucket_lifecycle", true),
            ("DeleteObject", "delete_objects", false),
            ("GetObject", "delete_object", false),
        ] {
            let checked = check_operation(&extensions(seen, "/b/k"), handler);
            assert_eq!(checked.is_ok(), passes, "{seen} {handler}");
        }
        for (path, bucket, key, passes) in [
            ("/b/k", "b", Some("k"), true),
            ("/b/k%2fl", "b", Some("k/l"), true),
            ("/b", "b", None, true),
            ("/b/k", "b", None, false),
            ("/b/k", "b/k", None, false),
            ("/b/k", "b", Some("K"), false),
            ("/b", "b", Some(""), false),
            ("/", "", None, false),
        ] {
            let checked = check_target(&extensions("PutObject", path), bucket, key);
            assert_eq!(checked.is_ok(), passes, "{path} {bucket}");
        }
        let empty = Extensions::new();
        assert!(check_operation(&empty, "put_object").is_err());
        assert!(check_target(&empty, "b", None).is_err());
    }
}
