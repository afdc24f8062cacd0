//! Writing an object in one piece, and what every write says about the object it makes.

use bytes::Bytes;
use http::HeaderMap;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::action::Extra;
use super::caller::Access;
use super::checksum_fields::{ChecksumFields, coverage_name, parse_algorithm, set_checksum_fields};
use super::condition::write_conditions;
use super::lock::parse_mode;
use super::properties::{made_version, time_ms};
use super::refusal::{encryption, refuse_unbuilt};
use super::{Wire, action, binding, body};
use crate::checksum::Algorithm;
use crate::objects::{self, LockRequest, Put, Retention};
use crate::server::body::BodyPromise;

/// The header in which SDKs name the algorithm of a checksum that they send.
const SDK_CHECKSUM_ALGORITHM: &str = "x-amz-sdk-checksum-algorithm";

/// What a write says about the object it makes; rights it needs on top are asked for.
macro_rules! attributes {
    ($access:expr, $request:expr) => {{
        let access: &$crate::s3::caller::Access = $access;
        let headers = $crate::s3::properties::content_headers!($request);
        let input = &mut $request.input;
        $crate::s3::refusal::check_object_acl(input.acl.as_ref())?;
        $crate::s3::refusal::check_encryption(input.server_side_encryption.as_ref())?;
        let lock = $crate::s3::put::AskedLock {
            mode: input.object_lock_mode.as_ref(),
            until: input.object_lock_retain_until_date.as_ref(),
            legal_hold: input.object_lock_legal_hold_status.as_ref(),
        };
        let acl = input.acl.as_ref().map(|_| $crate::s3::action::Extra::ObjectAcl);
        acl.map_or(Ok(()), |extra| access.also(extra, &input.key))?;
        $crate::objects::Attributes {
            headers,
            user_metadata: $crate::s3::properties::user_metadata(input.metadata.take()),
            lock: $crate::s3::put::lock_request(access, &input.key, lock)?,
            tags: $crate::s3::put::asked_tags(access, &input.key, input.tagging.as_deref())?,
            storage_class: $crate::s3::refusal::parse_storage_class(input.storage_class.as_ref())?,
        }
    }};
}

pub(super) use attributes;

/// `PutObject`.
pub(super) async fn put_object(
    wire: &Wire,
    mut request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let access = wire.at_object(&request, action::PUT_OBJECT)?;
    let vector = binding::take(&mut request.headers)?;
    refuse_unbuilt(&request.headers)?;
    let attributes = attributes!(&access, request);
    let promise = promise(&mut request)?;
    let algorithm = sdk_algorithm(&request.headers, request.input.checksum_algorithm.as_ref())?;
    let input = request.input;
    let bind = match vector {
        Some(vector) => Some(binding::bind(wire, access.caller.clone(), &input.key, vector).await?),
        None => None,
    };
    let put = Put {
        conditions: write_conditions(input.if_match.as_ref(), input.if_none_match.as_ref())?,
        key: input.key,
        attributes,
        promise,
        algorithm,
        bind,
    };
    let body = input.body.unwrap_or_else(|| body::whole(Bytes::new()));
    let stored = access.bucket.put(put, body).await?;

    let checksum = &stored.checksum;
    let mut output = PutObjectOutput {
        checksum_type: Some(coverage_name(checksum.coverage)),
        e_tag: Some(ETag::Strong(stored.etag.to_string())),
        server_side_encryption: encryption(),
        version_id: made_version(stored.version),
        ..Default::default()
    };
    set_checksum_fields!(output, ChecksumFields::with(checksum.algorithm, checksum.text()));
    Ok(S3Response::new(output))
}

/// What the gate noted about the body; there is one in every request it lets through.
pub(super) fn promise<T>(request: &mut S3Request<T>) -> S3Result<BodyPromise> {
    request
        .extensions
        .remove::<BodyPromise>()
        .ok_or_else(|| s3_error!(InternalError, "The request did not come through the gate"))
}

/// The algorithm that an SDK says it uses.
pub(super) fn sdk_algorithm(
    headers: &HeaderMap,
    named: Option<&ChecksumAlgorithm>,
) -> S3Result<Option<Algorithm>> {
    let sdk = headers.get(SDK_CHECKSUM_ALGORITHM).and_then(|value| value.to_str().ok());
    let sdk = sdk.map(|text| ChecksumAlgorithm::from(text.to_owned()));
    sdk.as_ref().or(named).map(parse_algorithm).transpose()
}

/// A lock as a write asks for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct AskedLock<'a> {
    pub(super) mode: Option<&'a ObjectLockMode>,
    pub(super) until: Option<&'a Timestamp>,
    pub(super) legal_hold: Option<&'a ObjectLockLegalHoldStatus>,
}

/// Reads the lock headers and asks for the rights they need.
pub(super) fn lock_request(
    access: &Access,
    key: &str,
    asked: AskedLock<'_>,
) -> S3Result<LockRequest> {
    let request = parse_lock(asked)?;
    if request.retention.is_some() {
        access.also(Extra::Retention, key)?;
    }
    if request.legal_hold.is_some() {
        access.also(Extra::LegalHold, key)?;
    }
    Ok(request)
}

fn parse_lock(asked: AskedLock<'_>) -> S3Result<LockRequest> {
    let retention = match (asked.mode, asked.until) {
        (None, None) => None,
        (Some(mode), Some(until)) => {
            let mode = parse_mode(mode.as_str())
                .ok_or_else(|| s3_error!(InvalidArgument, "Unknown wormMode directive."))?;
            Some(Retention { mode, until_ms: time_ms(until) })
        }
        _ => {
            return Err(s3_error!(
                InvalidArgument,
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
            ));
        }
    };
    let legal_hold = match asked.legal_hold.map(ObjectLockLegalHoldStatus::as_str) {
        None => None,
        Some(ObjectLockLegalHoldStatus::ON) => Some(true),
        Some(ObjectLockLegalHoldStatus::OFF) => Some(false),
        Some(_) => {
            return Err(s3_error!(InvalidArgument, "Legal Hold must be either of 'ON' or 'OFF'"));
        }
    };
    Ok(LockRequest { retention, legal_hold })
}

/// Reads `x-amz-tagging` and asks for the right it needs.
pub(super) fn asked_tags(
    access: &Access,
    key: &str,
    header: Option<&str>,
) -> S3Result<objects::TagSet> {
    let Some(text) = header else { return Ok(objects::TagSet::default()) };
    access.also(Extra::Tags, key)?;
    Ok(objects::TagSet::from_query(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::RetentionMode;

    fn asked<'a>(
        mode: Option<&'a ObjectLockMode>,
        until: Option<&'a Timestamp>,
        legal_hold: Option<&'a ObjectLockLegalHoldStatus>,
    ) -> AskedLock<'a> {
        AskedLock { mode, until, legal_hold }
    }

    #[test]
    fn a_lock_is_whole_or_refused() {
        let mode = ObjectLockMode::from_static(ObjectLockMode::COMPLIANCE);
        let unknown = ObjectLockMode::from("compliance".to_owned());
        let until = Timestamp::parse(TimestampFormat::DateTime, "2030-01-01T00:00:00Z").unwrap();
        let on = ObjectLockLegalHoldStatus::from_static(ObjectLockLegalHoldStatus::ON);
        let maybe = ObjectLockLegalHoldStatus::from("maybe".to_owned());

        let lock = parse_lock(asked(Some(&mode), Some(&until), Some(&on))).unwrap();
        let retention = Retention { mode: RetentionMode::Compliance, until_ms: 1_893_456_000_000 };
        assert_eq!(lock, LockRequest { retention: Some(retention), legal_hold: Some(true) });
        assert_eq!(parse_lock(asked(None, None, None)).unwrap(), LockRequest::default());
        assert!(parse_lock(asked(Some(&mode), None, None)).is_err());
        assert!(parse_lock(asked(None, Some(&until), None)).is_err());
        assert!(parse_lock(asked(Some(&unknown), Some(&until), None)).is_err());
        assert!(parse_lock(asked(None, None, Some(&maybe))).is_err());
    }

    #[test]
    fn the_sdks_algorithm_is_read_from_its_own_header() {
        let mut headers = HeaderMap::new();
        assert_eq!(sdk_algorithm(&headers, None).unwrap(), None);
        headers.insert(SDK_CHECKSUM_ALGORITHM, "MD5".parse().unwrap());
        let named = ChecksumAlgorithm::from_static(ChecksumAlgorithm::CRC32);
        // The names are read by `Algorithm::from_name`; one that nobody knows is refused.
        assert!(sdk_algorithm(&headers, Some(&named)).is_err());
    }
}
