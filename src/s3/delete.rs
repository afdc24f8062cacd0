//! Deleting: one key, or up to a thousand in one message.

use std::mem;

use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::caller::{Access, parse_version};
use super::condition::{match_pattern, tag_pattern};
use super::lock::bypass;
use super::properties::time_ms;
use super::put::promise;
use super::refusal::refuse_unbuilt;
use super::service::telling_keys;
use super::{Wire, action};
use crate::objects::{self, DELETE_KEYS_MAX, DeleteConditions, Deleted};

/// `DeleteObject`.
pub(super) async fn delete_object(
    wire: &Wire,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let access = wire.at_object(&request, action::DELETE_OBJECT)?;
    refuse_unbuilt(&request.headers)?;
    let input = request.input;
    let bypass = bypass(&access, &input.key, input.bypass_governance_retention)?;
    let conditions = DeleteConditions {
        if_match: input.if_match.as_ref().map(match_pattern).transpose()?,
        size: input.if_match_size.map(parse_size).transpose()?,
        last_modified_ms: input.if_match_last_modified_time.as_ref().map(time_ms),
    };
    let delete = objects::Delete { key: input.key, version: access.version, conditions, bypass };
    let deleted = access.bucket.delete(delete).await?;
    Ok(S3Response::new(DeleteObjectOutput {
        delete_marker: deleted.delete_marker.then_some(true),
        request_charged: None,
        version_id: deleted.version.map(|version| version.to_string()),
    }))
}

/// `DeleteObjects`.
pub(super) async fn delete_objects(
    wire: &Wire,
    mut request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let access = wire.at_keys(&request)?;
    let promise = promise(&mut request)?;
    if promise.content_md5.is_none() && promise.checksum.is_none() {
        return Err(s3_error!(
            InvalidRequest,
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
        ));
    }
    let input = request.input;
    let names = input.delete.objects;
    check_names(&names)?;
    let quiet = input.delete.quiet.unwrap_or(false);

    let mut errors = Vec::new();
    let mut permitted = Vec::with_capacity(names.len());
    let mut deletes = Vec::with_capacity(names.len());
    for name in names {
        match delete_of(&access, &name, input.bypass_governance_retention) {
            Ok(delete) => {
                permitted.push(name);
                deletes.push(delete);
            }
            Err(error) => errors.push(shown_error(name, &error)),
        }
    }
    let results = access.bucket.delete_many(deletes).await;

    let mut shown = Vec::new();
    for (name, result) in permitted.into_iter().zip(results) {
        match result {
            Ok(deleted) if !quiet => shown.push(shown_deleted(name, deleted)),
            Ok(_) => {}
            Err(error) => errors.push(shown_error(name, &error.into())),
        }
    }
    Ok(telling_keys(DeleteObjectsOutput {
        deleted: (!shown.is_empty()).then_some(shown),
        errors: (!errors.is_empty()).then_some(errors),
        request_charged: None,
    }))
}

/// An empty key is no key; s3s also reads one where it dropped a CDATA section.
fn check_names(names: &[ObjectIdentifier]) -> S3Result<()> {
    let counted = (1..=DELETE_KEYS_MAX).contains(&names.len());
    if counted && names.iter().all(|name| !name.key.is_empty()) {
        return Ok(());
    }
    Err(s3_error!(
        MalformedXML,
        "The XML you provided was not well-formed or did not validate against our published schema"
    ))
}

/// What one name of the list asks for, if the caller may ask for it.
fn delete_of(
    access: &Access,
    name: &ObjectIdentifier,
    claimed: Option<bool>,
) -> S3Result<objects::Delete> {
    access.authorize_key(action::DELETE_OBJECTS, &name.key, name.version_id.is_some())?;
    let conditions = DeleteConditions {
        if_match: name.e_tag.as_ref().map(tag_pattern),
        size: name.size.map(parse_size).transpose()?,
        last_modified_ms: name.last_modified_time.as_ref().map(time_ms),
    };
    Ok(objects::Delete {
        key: name.key.clone(),
        version: name.version_id.as_deref().map(parse_version).transpose()?,
        conditions,
        bypass: bypass(access, &name.key, claimed)?,
    })
}

fn parse_size(size: i64) -> S3Result<u64> {
    u64::try_from(size).map_err(|_| s3_error!(InvalidArgument, "A size cannot be negative"))
}

fn shown_deleted(name: ObjectIdentifier, deleted: Deleted) -> DeletedObject {
    let version = deleted.version.map(|version| version.to_string());
    DeletedObject {
        delete_marker: deleted.delete_marker.then_some(true),
        delete_marker_version_id: version.filter(|_| deleted.delete_marker),
        key: Some(name.key),
        version_id: name.version_id,
    }
}

fn shown_error(mut name: ObjectIdentifier, error: &S3Error) -> Error {
    Error {
        code: Some(error.code().as_str().to_owned()),
        key: Some(mem::take(&mut name.key)),
        message: error.message().map(str::to_owned),
        version_id: name.version_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::VersionId;

    fn name(key: &str, version_id: Option<&str>) -> ObjectIdentifier {
        ObjectIdentifier {
            key: key.into(),
            version_id: version_id.map(str::to_owned),
            e_tag: None,
            last_modified_time: None,
            size: None,
        }
    }

    #[test]
    fn a_list_has_one_to_a_thousand_names() {
        let names = |count| vec![name("k", None); count];
        assert!(check_names(&names(1)).is_ok());
        assert!(check_names(&names(1000)).is_ok());
        for wrong in [names(0), names(1001), vec![name("", None)]] {
            assert_eq!(check_names(&wrong).unwrap_err().code().as_str(), "MalformedXML");
        }
    }

    #[test]
    fn a_marker_shows_as_the_version_it_is() {
        let made = Deleted { version: Some(VersionId::Null), delete_marker: true };
        let shown = shown_deleted(name("k", None), made);
        assert_eq!(shown.delete_marker, Some(true));
        assert_eq!(shown.delete_marker_version_id.as_deref(), Some("null"));
        assert_eq!(shown.version_id, None);

        let removed = Deleted { version: Some(VersionId::Null), delete_marker: false };
        let shown = shown_deleted(name("k", Some("null")), removed);
        assert_eq!(shown.delete_marker, None);
        assert_eq!(shown.delete_marker_version_id, None);
        assert_eq!(shown.version_id.as_deref(), Some("null"));
    }
}
