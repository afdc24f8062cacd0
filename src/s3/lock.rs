//! Object lock: the bucket's configuration, retention and legal hold of versions.

use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::action::Extra;
use super::caller::Access;
use super::properties::{exact_timestamp, time_ms};
use super::{Wire, action};
use crate::objects::{Bypass, LockConfiguration, Retention, RetentionMode, RetentionPeriod};

/// `GetObjectLockConfiguration`.
pub(super) async fn get_configuration(
    wire: &Wire,
    request: S3Request<GetObjectLockConfigurationInput>,
) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
    let access = wire.at_bucket(&request, action::GET_OBJECT_LOCK_CONFIGURATION)?;
    let configuration = access.bucket.lock_configuration()?;
    Ok(S3Response::new(GetObjectLockConfigurationOutput {
        object_lock_configuration: Some(shown_configuration(configuration)),
    }))
}

/// `PutObjectLockConfiguration`.
pub(super) async fn put_configuration(
    wire: &Wire,
    request: S3Request<PutObjectLockConfigurationInput>,
) -> S3Result<S3Response<PutObjectLockConfigurationOutput>> {
    let access = wire.at_bucket(&request, action::PUT_OBJECT_LOCK_CONFIGURATION)?;
    let configuration = parse_configuration(request.input.object_lock_configuration)?;
    access.bucket.set_lock_configuration(configuration).await?;
    Ok(S3Response::new(PutObjectLockConfigurationOutput::default()))
}

/// `GetObjectRetention`.
pub(super) async fn get_retention(
    wire: &Wire,
    request: S3Request<GetObjectRetentionInput>,
) -> S3Result<S3Response<GetObjectRetentionOutput>> {
    let access = wire.at_object(&request, action::GET_OBJECT_RETENTION)?;
    let retention = access.bucket.retention(&request.input.key, access.version)?;
    Ok(S3Response::new(GetObjectRetentionOutput {
        retention: Some(ObjectLockRetention {
            mode: Some(ObjectLockRetentionMode::from_static(mode_name(retention.mode))),
            retain_until_date: Some(exact_timestamp(retention.until_ms)),
        }),
    }))
}

/// `PutObjectRetention`.
pub(super) async fn put_retention(
    wire: &Wire,
    request: S3Request<PutObjectRetentionInput>,
) -> S3Result<S3Response<PutObjectRetentionOutput>> {
    let access = wire.at_object(&request, action::PUT_OBJECT_RETENTION)?;
    let input = request.input;
    let bypass = bypass(&access, &input.key, input.bypass_governance_retention)?;
    let retention = parse_retention(input.retention)?;
    access.bucket.set_retention(&input.key, access.version, retention, bypass).await?;
    Ok(S3Response::new(PutObjectRetentionOutput::default()))
}

/// `GetObjectLegalHold`.
pub(super) async fn get_legal_hold(
    wire: &Wire,
    request: S3Request<GetObjectLegalHoldInput>,
) -> S3Result<S3Response<GetObjectLegalHoldOutput>> {
    let access = wire.at_object(&request, action::GET_OBJECT_LEGAL_HOLD)?;
    let hold = access.bucket.legal_hold(&request.input.key, access.version)?;
    let status = Some(ObjectLockLegalHoldStatus::from_static(hold_name(hold)));
    Ok(S3Response::new(GetObjectLegalHoldOutput {
        legal_hold: Some(ObjectLockLegalHold { status }),
    }))
}

/// `PutObjectLegalHold`.
pub(super) async fn put_legal_hold(
    wire: &Wire,
    request: S3Request<PutObjectLegalHoldInput>,
) -> S3Result<S3Response<PutObjectLegalHoldOutput>> {
    let access = wire.at_object(&request, action::PUT_OBJECT_LEGAL_HOLD)?;
    let input = request.input;
    let status = input.legal_hold.and_then(|hold| hold.status);
    let hold = match status.as_ref().map(ObjectLockLegalHoldStatus::as_str) {
        Some(ObjectLockLegalHoldStatus::ON) => true,
        Some(ObjectLockLegalHoldStatus::OFF) => false,
        _ => return Err(malformed()),
    };
    access.bucket.set_legal_hold(&input.key, access.version, hold).await?;
    Ok(S3Response::new(PutObjectLegalHoldOutput::default()))
}

/// The right against governance retention, asked for when the request claims it.
pub(super) fn bypass(access: &Access, key: &str, claimed: Option<bool>) -> S3Result<Bypass> {
    if claimed != Some(true) {
        return Ok(Bypass::None);
    }
    access.also(Extra::Bypass, key)?;
    Ok(Bypass::Governance)
}

/// A mode by S3's name.
pub(super) fn parse_mode(name: &str) -> Option<RetentionMode> {
    match name {
        ObjectLockRetentionMode::GOVERNANCE => Some(RetentionMode::Governance),
        ObjectLockRetentionMode::COMPLIANCE => Some(RetentionMode::Compliance),
        _ => None,
    }
}

/// S3's name of a mode.
pub(super) fn mode_name(mode: RetentionMode) -> &'static str {
    match mode {
        RetentionMode::Governance => ObjectLockRetentionMode::GOVERNANCE,
        RetentionMode::Compliance => ObjectLockRetentionMode::COMPLIANCE,
    }
}

/// S3's word for a legal hold.
pub(super) fn hold_name(hold: bool) -> &'static str {
    match hold {
        true => ObjectLockLegalHoldStatus::ON,
        false => ObjectLockLegalHoldStatus::OFF,
    }
}

fn malformed() -> S3Error {
    s3_error!(
        MalformedXML,
        "The XML you provided was not well-formed or did not validate against our published schema"
    )
}

fn shown_configuration(configuration: LockConfiguration) -> ObjectLockConfiguration {
    let rule = configuration.default.map(|default| {
        let (days, years) = match default.period {
            RetentionPeriod::Days(days) => (i32::try_from(days).ok(), None),
            RetentionPeriod::Years(years) => (None, i32::try_from(years).ok()),
        };
        let mode = Some(ObjectLockRetentionMode::from_static(mode_name(default.mode)));
        ObjectLockRule { default_retention: Some(DefaultRetention { days, mode, years }) }
    });
    ObjectLockConfiguration {
        object_lock_enabled: Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED)),
        rule,
    }
}

fn parse_configuration(
    configuration: Option<ObjectLockConfiguration>,
) -> S3Result<LockConfiguration> {
    let configuration = configuration.ok_or_else(malformed)?;
    let enabled = configuration.object_lock_enabled.as_ref().map(ObjectLockEnabled::as_str);
    if enabled != Some(ObjectLockEnabled::ENABLED) {
        return Err(malformed());
    }
    let Some(rule) = configuration.rule else { return Ok(LockConfiguration::default()) };
    let default = rule.default_retention.ok_or_else(malformed)?;
    let mode = default.mode.and_then(|mode| parse_mode(mode.as_str())).ok_or_else(malformed)?;
    let period = match (default.days, default.years) {
        (Some(days), None) => RetentionPeriod::Days(positive(days)?),
        (None, Some(years)) => RetentionPeriod::Years(positive(years)?),
        _ => return Err(malformed()),
    };
    let default = crate::objects::DefaultRetention { mode, period };
    Ok(LockConfiguration { default: Some(default) })
}

fn positive(number: i32) -> S3Result<u32> {
    u32::try_from(number).ok().filter(|number| *number > 0).ok_or_else(|| {
        let code = S3ErrorCode::from_bytes(b"InvalidRetentionPeriod");
        let mut error = S3Error::with_message(
            code.unwrap_or(S3ErrorCode::InvalidArgument),
            "Default retention period must be a positive integer value.",
        );
        error.set_status_code(http::StatusCode::BAD_REQUEST);
        error
    })
}

/// A retention to set; an empty one lifts what is there.
fn parse_retention(retention: Option<ObjectLockRetention>) -> S3Result<Option<Retention>> {
    let retention = retention.ok_or_else(malformed)?;
    match (retention.mode, retention.retain_until_date) {
        (None, None) => Ok(None),
        (Some(mode), Some(until)) => {
            let mode = parse_mode(mode.as_str()).ok_or_else(malformed)?;
            Ok(Some(Retention { mode, until_ms: time_ms(&until) }))
        }
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(mode: &str, days: Option<i32>, years: Option<i32>) -> ObjectLockConfiguration {
        let mode = Some(ObjectLockRetentionMode::from(mode.to_owned()));
        let default_retention = Some(DefaultRetention { days, mode, years });
        ObjectLockConfiguration {
            object_lock_enabled: Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED)),
            rule: Some(ObjectLockRule { default_retention }),
        }
    }

    fn code(configuration: ObjectLockConfiguration) -> String {
        let error = parse_configuration(Some(configuration)).unwrap_err();
        assert_eq!(error.status_code().unwrap(), 400);
        error.code().as_str().to_owned()
    }

    #[test]
    fn a_configuration_comes_back() {
        for (days, years) in [(Some(1), None), (None, Some(3))] {
            let sent = configuration("COMPLIANCE", days, years);
            let kept = parse_configuration(Some(sent.clone())).unwrap();
            assert_eq!(shown_configuration(kept), sent);
        }
    }

    #[test]
    fn wrong_configurations_are_told_apart() {
        assert_eq!(code(configuration("governance", Some(1), None)), "MalformedXML");
        assert_eq!(code(configuration("GOVERNANCE", Some(1), Some(1))), "MalformedXML");
        assert_eq!(code(configuration("GOVERNANCE", None, None)), "MalformedXML");
        assert_eq!(code(configuration("GOVERNANCE", Some(0), None)), "InvalidRetentionPeriod");
        assert_eq!(code(configuration("GOVERNANCE", None, Some(-1))), "InvalidRetentionPeriod");
        let disabled = ObjectLockConfiguration {
            object_lock_enabled: Some(ObjectLockEnabled::from("Disabled".to_owned())),
            ..configuration("GOVERNANCE", Some(1), None)
        };
        assert_eq!(code(disabled), "MalformedXML");
        assert!(parse_configuration(None).is_err());
    }

    #[test]
    fn a_retention_is_whole_empty_or_refused() {
        let mode = Some(ObjectLockRetentionMode::from_static(ObjectLockRetentionMode::GOVERNANCE));
        let date = Some(exact_timestamp(86_400_000));
        let whole = ObjectLockRetention { mode: mode.clone(), retain_until_date: date.clone() };
        let kept = Retention { mode: RetentionMode::Governance, until_ms: 86_400_000 };
        assert_eq!(parse_retention(Some(whole)).unwrap(), Some(kept));
        assert_eq!(parse_retention(Some(ObjectLockRetention::default())).unwrap(), None);
        let half = ObjectLockRetention { mode, retain_until_date: None };
        assert!(parse_retention(Some(half)).is_err());
        assert!(parse_retention(None).is_err());
    }
}
