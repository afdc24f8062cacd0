//! Conditions as clients write them, and the answers to reads that they end.

use http::header::{CACHE_CONTROL, ETAG, EXPIRES, HeaderMap, HeaderValue, LAST_MODIFIED};
use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::header::X_AMZ_VERSION_ID;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::error::{insert_text, with_headers};
use super::properties::{http_date, time_ms};
use crate::objects::{
    self, EtagPattern, ObjectError, ObjectInfo, ReadConditions, ReadVerdict, WriteConditions,
};

/// The four conditions of a read or of a copy's source.
pub(super) fn read_conditions(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
    if_modified_since: Option<&Timestamp>,
    if_unmodified_since: Option<&Timestamp>,
) -> ReadConditions {
    ReadConditions {
        if_match: if_match.map(|asked| patterns(asked, Comparison::Strong)).unwrap_or_default(),
        if_none_match: if_none_match
            .map(|asked| patterns(asked, Comparison::Weak))
            .unwrap_or_default(),
        if_modified_since_ms: if_modified_since.map(time_ms),
        if_unmodified_since_ms: if_unmodified_since.map(time_ms),
    }
}

/// The conditions of a write.
pub(super) fn write_conditions(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<WriteConditions> {
    Ok(WriteConditions {
        if_match: if_match.map(match_pattern).transpose()?,
        if_none_match: if_none_match.map(|asked| pattern(asked, Comparison::Weak)).transpose()?,
    })
}

/// `If-Match` of a write or a delete.
pub(super) fn match_pattern(asked: &ETagCondition) -> S3Result<EtagPattern> {
    pattern(asked, Comparison::Strong)
}

/// The tag of a condition on a write. No tag or more than one is refused: a write that goes on
/// without its condition destroys what the condition was to keep.
fn pattern(asked: &ETagCondition, comparison: Comparison) -> S3Result<EtagPattern> {
    match asked {
        ETagCondition::Any => Ok(EtagPattern::Any),
        ETagCondition::ETag(tag) if tag.value().is_empty() || tag.value().contains('"') => {
            Err(s3_error!(
                InvalidArgument,
                "If-Match and If-None-Match of a write have exactly one entity tag"
            ))
        }
        ETagCondition::ETag(tag @ ETag::Strong(_)) => Ok(tag_pattern(tag)),
        ETagCondition::ETag(ETag::Weak(tag)) => Ok(match comparison {
            Comparison::Strong => EtagPattern::Foreign,
            Comparison::Weak => EtagPattern::parse(tag),
        }),
    }
}

/// A tag of which `*` means any.
pub(super) fn tag_pattern(tag: &ETag) -> EtagPattern {
    tag.as_strong().map_or(EtagPattern::Foreign, EtagPattern::parse)
}

/// Does a weak tag match?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// All tags of a header: s3s reads `"a", "b"` as one tag with quotes and a comma in it.
fn patterns(asked: &ETagCondition, comparison: Comparison) -> Vec<EtagPattern> {
    match asked {
        ETagCondition::Any => vec![EtagPattern::Any],
        ETagCondition::ETag(ETag::Weak(_)) if comparison == Comparison::Strong => {
            vec![EtagPattern::Foreign]
        }
        ETagCondition::ETag(tag) => tag.value().split(',').map(element).collect(),
    }
}

fn element(text: &str) -> EtagPattern {
    let text = text.trim();
    EtagPattern::parse(text.strip_prefix("W/").unwrap_or(text).trim_matches('"'))
}

/// Ends a read that its conditions end: 304 and 412 tell what is there.
pub(super) fn check_read(conditions: &ReadConditions, info: &ObjectInfo) -> S3Result<()> {
    match conditions.evaluate(info.etag, info.last_modified_ms) {
        ReadVerdict::Proceed => Ok(()),
        ReadVerdict::NotModified => {
            let mut error = S3Error::new(S3ErrorCode::NotModified);
            let mut headers = validators(info);
            let kept = &info.meta.headers;
            for (name, text) in [(CACHE_CONTROL, &kept.cache_control), (EXPIRES, &kept.expires)] {
                if let Some(text) = text {
                    insert_text(&mut headers, name, text.clone());
                }
            }
            error.set_headers(headers);
            Err(error)
        }
        ReadVerdict::Failed(condition) => {
            Err(with_headers(ObjectError::PreconditionFailed(condition).into(), validators(info)))
        }
    }
}

fn validators(info: &ObjectInfo) -> HeaderMap {
    let mut headers = HeaderMap::new();
    insert_text(&mut headers, ETAG, info.etag.quoted());
    insert_text(&mut headers, LAST_MODIFIED, http_date(info.last_modified_ms));
    if let Some(version) = info.version {
        insert_text(&mut headers, X_AMZ_VERSION_ID, version.to_string());
    }
    headers
}

/// True when `If-Range` lets the range stand: the same strong tag, or the very time.
pub(super) fn range_stands(if_range: Option<&HeaderValue>, info: &ObjectInfo) -> bool {
    let Some(text) = if_range.map(HeaderValue::to_str) else { return true };
    match text {
        Ok(text) if text.starts_with('"') => objects::ETag::parse(text) == Some(info.etag),
        Ok(text) => text == http_date(info.last_modified_ms),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "d41d8cd98f00b204e9800998ecf8427e";
    const OTHER: &str = "9e107d9d372bb6826bd81d3542a419d6";

    fn info() -> ObjectInfo {
        ObjectInfo {
            key: "key".into(),
            version: None,
            size: 0,
            etag: objects::ETag::parse(TAG).unwrap(),
            last_modified_ms: 1_445_412_480_999,
            meta: objects::ObjectMeta::default(),
            lock: None,
        }
    }

    fn header(text: &str) -> ETagCondition {
        text.parse().unwrap()
    }

    #[test]
    fn a_list_of_tags_matches_by_any_of_them() {
        let own = info().etag;
        for (text, strong, weak) in [
            (format!("\"{TAG}\""), true, true),
            (TAG.to_owned(), true, true),
            ("*".to_owned(), true, true),
            (format!("\"{OTHER}\", \"{TAG}\""), true, true),
            (format!("\"{TAG}\",\"{OTHER}\""), true, true),
            (format!("\"{OTHER}\""), false, false),
            (format!("W/\"{TAG}\""), false, true),
            ("\"ABCORZ\"".to_owned(), false, false),
        ] {
            let matches = |comparison| {
                patterns(&header(&text), comparison).iter().any(|pattern| pattern.matches(own))
            };
            assert_eq!(matches(Comparison::Strong), strong, "{text}");
            assert_eq!(matches(Comparison::Weak), weak, "{text}");
        }
    }

    #[test]
    fn a_write_has_one_tag() {
        let own = EtagPattern::parse(TAG);
        for (text, if_match, if_none_match) in [
            ("*".to_owned(), EtagPattern::Any, EtagPattern::Any),
            (TAG.to_owned(), own, own),
            (format!("\"{TAG}\""), own, own),
            (format!("W/\"{TAG}\""), EtagPattern::Foreign, own),
            ("\"ABCORZ\"".to_owned(), EtagPattern::Foreign, EtagPattern::Foreign),
        ] {
            let asked = header(&text);
            let conditions = write_conditions(Some(&asked), Some(&asked)).unwrap();
            assert_eq!(conditions.if_match, Some(if_match), "{text}");
            assert_eq!(conditions.if_none_match, Some(if_none_match), "{text}");
        }
        for text in ["\"\"", "W/\"\"", "\"a\", \"b\"", "\"a\"b\""] {
            let asked = header(text);
            assert!(write_conditions(Some(&asked), None).is_err(), "{text}");
            assert!(write_conditions(None, Some(&asked)).is_err(), "{text}");
        }
    }

    #[test]
    fn not_modified_and_failed_carry_the_validators() {
        let none_match =
            ReadConditions { if_none_match: vec![EtagPattern::Any], ..Default::default() };
        let unmodified = check_read(&none_match, &info()).unwrap_err();
        assert_eq!(unmodified.status_code().unwrap(), 304);
        let headers = unmodified.headers().unwrap();
        assert_eq!(headers[ETAG], format!("\"{TAG}\""));
        assert_eq!(headers[LAST_MODIFIED], "Wed, 21 Oct 2015 07:28:00 GMT");

        let no_match =
            ReadConditions { if_match: vec![EtagPattern::Foreign], ..Default::default() };
        let failed = check_read(&no_match, &info()).unwrap_err();
        assert_eq!(failed.status_code().unwrap(), 412);
        assert_eq!(failed.headers().unwrap()[ETAG], format!("\"{TAG}\""));
        assert!(check_read(&ReadConditions::default(), &info()).is_ok());
    }

    #[test]
    fn a_range_stands_while_the_object_is_the_same() {
        for (text, stands) in [
            (format!("\"{TAG}\""), true),
            (format!("\"{OTHER}\""), false),
            (format!("W/\"{TAG}\""), false),
            ("Wed, 21 Oct 2015 07:28:00 GMT".to_owned(), true),
            ("Wed, 21 Oct 2015 07:28:01 GMT".to_owned(), false),
            ("nonsense".to_owned(), false),
        ] {
            let value = HeaderValue::from_str(&text).unwrap();
            assert_eq!(range_stands(Some(&value), &info()), stands, "{text}");
        }
        assert!(range_stands(None, &info()));
    }
}
