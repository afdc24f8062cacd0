//! Copies: an object, or a part made of one. Read is asked for at the source, write at the target.

use http::HeaderMap;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::action::Extra;
use super::caller::{Caller, ObjectName};
use super::checksum_fields::{ChecksumFields, coverage_name, parse_algorithm, set_checksum_fields};
use super::condition::{read_conditions, write_conditions};
use super::multipart::parse_upload;
use super::properties::{content_headers, made_version, timestamp, user_metadata};
use super::put::{AskedLock, asked_tags, lock_request};
use super::read::part_number;
use super::refusal::{
    check_encryption, check_object_acl, encryption, parse_storage_class, refuse_encryption,
    refuse_unbuilt,
};
use super::{Wire, action};
use crate::objects::{
    ByteRange, Copy, CopyPart, Encryption, MetadataDirective as KeptMetadata, Object, ObjectError,
    RETRIES_MAX, TaggingDirective as KeptTags,
};

macro_rules! source_conditions {
    ($input:expr) => {
        read_conditions(
            $input.copy_source_if_match.as_ref(),
            $input.copy_source_if_none_match.as_ref(),
            $input.copy_source_if_modified_since.as_ref(),
            $input.copy_source_if_unmodified_since.as_ref(),
        )
    };
}

/// `CopyObject`.
pub(super) async fn copy_object(
    wire: &Wire,
    mut request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let access = wire.at_object(&request, action::COPY_OBJECT)?;
    refuse_unbuilt(&request.headers)?;
    let headers = content_headers!(request);
    let input = request.input;
    check_object_acl(input.acl.as_ref())?;
    check_encryption(input.server_side_encryption.as_ref())?;
    if input.acl.is_some() {
        access.also(Extra::ObjectAcl, &input.key)?;
    }
    let lock = AskedLock {
        mode: input.object_lock_mode.as_ref(),
        until: input.object_lock_retain_until_date.as_ref(),
        legal_hold: input.object_lock_legal_hold_status.as_ref(),
    };
    let website_redirect = headers.website_redirect.clone();
    let metadata = match replaces(input.metadata_directive.as_ref().map(MetadataDirective::as_str))?
    {
        Directive::Copy => KeptMetadata::Copy,
        Directive::Replace => {
            KeptMetadata::Replace { headers, user_metadata: user_metadata(input.metadata) }
        }
    };
    let tagging = match replaces(input.tagging_directive.as_ref().map(TaggingDirective::as_str))? {
        Directive::Copy => KeptTags::Copy,
        Directive::Replace => {
            KeptTags::Replace(asked_tags(&access, &input.key, input.tagging.as_deref())?)
        }
    };
    let rights = match tagging {
        KeptTags::Copy => SourceRights::ContentAndTags,
        KeptTags::Replace(_) => SourceRights::Content,
    };
    let copy = Copy {
        source_conditions: source_conditions!(input),
        conditions: target_conditions(&request.headers)?,
        metadata,
        website_redirect,
        tagging,
        storage_class: match &input.storage_class {
            None => None,
            class => Some(parse_storage_class(class.as_ref())?),
        },
        encryption: input.server_side_encryption.as_ref().map(|_| Encryption::Aes256),
        algorithm: input.checksum_algorithm.as_ref().map(parse_algorithm).transpose()?,
        lock: lock_request(&access, &input.key, lock)?,
        key: input.key,
    };
    let mut source = Source {
        caller: &access.caller,
        name: &input.copy_source,
        expected_owner: input.expected_source_bucket_owner.as_deref(),
        rights,
        looks_left: RETRIES_MAX,
    };
    let copied = loop {
        match access.bucket.copy(&source.find(wire).await?, copy.clone()).await {
            Err(ObjectError::ContentGone) => {}
            copied => break copied?,
        }
    };

    let mut result = CopyObjectResult {
        checksum_type: copied.checksum.as_ref().map(|checksum| coverage_name(checksum.coverage)),
        e_tag: Some(ETag::Strong(copied.etag.to_string())),
        last_modified: Some(timestamp(copied.time_ms)),
        ..Default::default()
    };
    if let Some(checksum) = &copied.checksum {
        set_checksum_fields!(result, ChecksumFields::with(checksum.algorithm, checksum.text()));
    }
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: copied.source_version.map(|version| version.to_string()),
        server_side_encryption: encryption(),
        version_id: made_version(copied.version),
        ..Default::default()
    }))
}

/// `UploadPartCopy`.
pub(super) async fn upload_part_copy(
    wire: &Wire,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let access = wire.at_object(&request, action::UPLOAD_PART_COPY)?;
    refuse_unbuilt(&request.headers)?;
    refuse_encryption(&request.headers)?;
    let input = request.input;
    let copy = CopyPart {
        upload: parse_upload(&input.upload_id)?,
        number: part_number(input.part_number)?,
        range: input.copy_source_range.as_deref().map(parse_source_range).transpose()?,
        source_conditions: source_conditions!(input),
        key: input.key,
    };
    let mut source = Source {
        caller: &access.caller,
        name: &input.copy_source,
        expected_owner: input.expected_source_bucket_owner.as_deref(),
        rights: SourceRights::Content,
        looks_left: RETRIES_MAX,
    };
    let copied = loop {
        match access.bucket.copy_part(&source.find(wire).await?, copy.clone()).await {
            Err(ObjectError::ContentGone) => {}
            copied => break copied?,
        }
    };

    let mut result = CopyPartResult {
        e_tag: Some(ETag::Strong(copied.part.etag.to_string())),
        last_modified: Some(timestamp(copied.part.last_modified_ms)),
        ..Default::default()
    };
    if let Some(checksum) = &copied.part.checksum {
        set_checksum_fields!(result, ChecksumFields::with(checksum.algorithm, checksum.text()));
    }
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(result),
        copy_source_version_id: copied.source_version.map(|version| version.to_string()),
        server_side_encryption: encryption(),
        ..Default::default()
    }))
}

/// What of the source a copy reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SourceRights {
    Content,
    ContentAndTags,
}

/// The source of a copy, as the request names it.
struct Source<'a> {
    caller: &'a Caller,
    name: &'a CopySource,
    expected_owner: Option<&'a str>,
    rights: SourceRights,
    looks_left: usize,
}

impl Source<'_> {
    /// Finds it, for a caller who may read it; again, when what was found went before it was copied.
    async fn find(&mut self, wire: &Wire) -> S3Result<Object> {
        self.looks_left = self.looks_left.checked_sub(1).ok_or(ObjectError::OperationAborted)?;
        let CopySource::Bucket { bucket, key, version_id } = self.name else {
            return Err(s3_error!(NotImplemented, "Access points are not implemented"));
        };
        let version = version_id.as_deref();
        let name = ObjectName { bucket, key, version, expected_owner: self.expected_owner };
        let access = wire.at_named(self.caller.clone(), action::COPY_SOURCE, name)?;
        let object = match access.bucket.copy_source(key, access.version).await {
            Err(ObjectError::NoSuchKey { marker }) => {
                access.also(Extra::Absence, key)?;
                return Err(ObjectError::NoSuchKey { marker }.into());
            }
            found => found?,
        };
        if self.rights == SourceRights::ContentAndTags && !object.info().meta.tags.is_empty() {
            access.also(Extra::SourceTags, key)?;
        }
        Ok(object)
    }
}

/// `If-Match` and `If-None-Match` at the target, which s3s' message lacks.
fn target_conditions(headers: &HeaderMap) -> S3Result<crate::objects::WriteConditions> {
    let condition = |name| match headers.get(&name) {
        None => Ok(None),
        Some(value) => ETagCondition::parse_http_header(value.as_bytes())
            .map(Some)
            .map_err(|_| s3_error!(InvalidArgument, "invalid header: {name}")),
    };
    let (if_match, if_none_match) = (condition(IF_MATCH)?, condition(IF_NONE_MATCH)?);
    write_conditions(if_match.as_ref(), if_none_match.as_ref())
}

/// `COPY` or `REPLACE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    Copy,
    Replace,
}

fn replaces(directive: Option<&str>) -> S3Result<Directive> {
    match directive {
        None | Some("COPY") => Ok(Directive::Copy),
        Some("REPLACE") => Ok(Directive::Replace),
        Some(_) => Err(s3_error!(InvalidArgument, "Unknown metadata or tagging directive.")),
    }
}

/// `bytes=first-last`, and nothing else.
fn parse_source_range(text: &str) -> S3Result<ByteRange> {
    let refused = || {
        s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy"
        )
    };
    match s3s::dto::Range::parse(text) {
        Ok(s3s::dto::Range::Int { first, last: Some(last) }) => Ok(ByteRange::Between(first, last)),
        _ => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::EtagPattern;

    #[test]
    fn a_source_range_has_both_ends() {
        assert_eq!(parse_source_range("bytes=0-21").unwrap(), ByteRange::Between(0, 21));
        for text in [
            "0-2",
            "bytes=0",
            "bytes=hello-world",
            "bytes=0-bar",
            "bytes=hello-",
            "bytes=0-2,3-5",
            "bytes=3-",
            "bytes=-3",
        ] {
            let error = parse_source_range(text).unwrap_err();
            assert_eq!(error.code().as_str(), "InvalidArgument", "{text}");
        }
    }

    #[test]
    fn the_targets_conditions_come_from_headers() {
        let mut headers = HeaderMap::new();
        assert_eq!(target_conditions(&headers).unwrap(), Default::default());
        headers.insert(IF_NONE_MATCH, "*".parse().unwrap());
        let conditions = target_conditions(&headers).unwrap();
        assert_eq!(conditions.if_none_match, Some(EtagPattern::Any));
        headers.insert(IF_MATCH, "a b".parse().unwrap());
        assert!(target_conditions(&headers).is_err());
    }

    #[test]
    fn directives_are_two_words() {
        assert_eq!(replaces(None).unwrap(), Directive::Copy);
        assert_eq!(replaces(Some("COPY")).unwrap(), Directive::Copy);
        assert_eq!(replaces(Some("REPLACE")).unwrap(), Directive::Replace);
        assert!(replaces(Some("replace")).is_err());
    }
}
