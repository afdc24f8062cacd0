//! What S3 keeps with an object in headers, and how times are written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use s3s::dto::{Metadata, Timestamp, TimestampFormat};
use s3s::{S3Result, s3_error};
use time::OffsetDateTime;

use super::service::SetAside;
use crate::objects::{ObjectError, VersionId};

/// What an object is served as when its writer did not say.
pub(super) const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";
/// S3's own limit.
const WEBSITE_REDIRECT_BYTES_MAX: usize = 2 * 1024;
/// Bytes in an encoded word: their base64 and what frames it may have 75 letters.
const WORD_BYTES_MAX: usize = 45;

/// The content headers of a write.
macro_rules! content_headers {
    ($request:expr) => {{
        use http::header::{
            CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE,
            EXPIRES,
        };
        let aside = $request.extensions.remove().unwrap_or_default();
        let aside = |name| $crate::s3::properties::text_aside(&aside, name);
        let input = &mut $request.input;
        $crate::objects::ContentHeaders {
            content_type: input.content_type.take().or(aside(CONTENT_TYPE)?),
            cache_control: input.cache_control.take().or(aside(CACHE_CONTROL)?),
            content_disposition: input.content_disposition.take().or(aside(CONTENT_DISPOSITION)?),
            content_encoding: input
                .content_encoding
                .take()
                .or(aside(CONTENT_ENCODING)?)
                .and_then(|text| $crate::s3::properties::stored_encoding(&text)),
            content_language: input.content_language.take().or(aside(CONTENT_LANGUAGE)?),
            expires: aside(EXPIRES)?,
            website_redirect: $crate::s3::properties::website_redirect(
                input.website_redirect_location.take(),
            )?,
        }
    }};
}

pub(super) use content_headers;

/// A header that travelled beside the request. It is given back byte by byte as it came.
pub(super) fn text_aside(aside: &SetAside, name: HeaderName) -> S3Result<Option<String>> {
    let text = aside.headers.get(&name).map(|value| std::str::from_utf8(value.as_bytes()));
    let text = text.transpose();
    text.map(|text| text.map(str::to_owned))
        .map_err(|_| s3_error!(InvalidArgument, "The header {name} is not UTF-8"))
}

/// `x-amz-website-redirect-location`, as S3 takes it.
pub(super) fn website_redirect(location: Option<String>) -> Result<Option<String>, ObjectError> {
    let Some(text) = &location else { return Ok(None) };
    let refuse = |message| Err(ObjectError::InvalidRedirectLocation(message));
    if !["/", "http://", "https://"].iter().any(|start| text.starts_with(start)) {
        return refuse(
            "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
        );
    }
    if text.len() > WEBSITE_REDIRECT_BYTES_MAX {
        return refuse("The length of website redirect location cannot exceed 2,048 characters.");
    }
    Ok(location)
}

/// `Content-Encoding` as it was sent, but without the transfer's own `aws-chunked`.
pub(super) fn stored_encoding(text: &str) -> Option<String> {
    let transfers = |coding: &str| coding.trim().eq_ignore_ascii_case("aws-chunked");
    let stored = match text.split(',').any(transfers) {
        false => text.trim().to_owned(),
        true => {
            let kept = text.split(',').filter(|coding| !transfers(coding)).map(str::trim);
            kept.collect::<Vec<_>>().join(",")
        }
    };
    (!stored.is_empty()).then_some(stored)
}

/// The version that a write made, as its answer tells it. AWS tells of the null version, which a
/// write makes while versioning is suspended, only to readers.
pub(super) fn made_version(version: Option<VersionId>) -> Option<String> {
    version.filter(|version| *version != VersionId::Null).map(|version| version.to_string())
}

/// User metadata in the order of its names.
pub(super) fn user_metadata(metadata: Option<Metadata>) -> Vec<(String, String)> {
    let mut metadata: Vec<_> = metadata.unwrap_or_default().into_iter().collect();
    metadata.sort_unstable();
    metadata
}

/// A text as a header can carry it: what is not printable ASCII becomes encoded words, as S3 sends
/// user metadata ([RFC 2047](https://datatracker.ietf.org/doc/html/rfc2047)).
pub(super) fn encoded_words(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut words = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(WORD_BYTES_MAX));
        let space = if words.is_empty() { "" } else { " " };
        words.extend([space, "=?UTF-8?B?", &STANDARD.encode(piece), "?="]);
        rest = after;
    }
    words
}

/// A time to show, in whole seconds as S3 shows them.
pub(super) fn timestamp(time_ms: u64) -> Timestamp {
    exact_timestamp(time_ms - time_ms % 1000)
}

/// A time to the millisecond.
pub(super) fn exact_timestamp(time_ms: u64) -> Timestamp {
    date_time(time_ms).into()
}

fn date_time(time_ms: u64) -> OffsetDateTime {
    let nanos = i128::from(time_ms) * 1_000_000;
    // A time past the year 9999 can only be a client's retention date; it is shown as the last one.
    let last = time::macros::datetime!(9999-12-31 23:59:59 UTC);
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(last)
}

/// A client's time in ms since 1970; times before that are 0.
pub(super) fn time_ms(timestamp: &Timestamp) -> u64 {
    let time: OffsetDateTime = timestamp.clone().into();
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}

/// A time as HTTP writes it: `Wed, 21 Oct 2015 07:28:00 GMT`.
pub(super) fn http_date(time_ms: u64) -> String {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let time = date_time(time_ms);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    let weekday = usize::from(time.weekday().number_days_from_monday());
    let month = usize::from(u8::from(month)) - 1;
    let century = u8::try_from(year / 100).unwrap_or_default();
    let years = u8::try_from(year % 100).unwrap_or_default();
    let mut text = String::with_capacity(29);
    text.push_str(DAYS.get(weekday).unwrap_or(&""));
    text.push_str(", ");
    push_two_digits(&mut text, day);
    text.extend([" ", MONTHS.get(month).unwrap_or(&""), " "]);
    push_two_digits(&mut text, century);
    push_two_digits(&mut text, years);
    for (separator, number) in [(' ', hour), (':', minute), (':', second)] {
        text.push(separator);
        push_two_digits(&mut text, number);
    }
    text.push_str(" GMT");
    text
}

/// A time to the millisecond, as S3 writes it: `2015-10-21T07:28:00.999Z`.
pub(super) fn iso_date(time_ms: u64) -> String {
    let mut text = Vec::with_capacity(24);
    // Writing into memory does not fail; an empty text would be left out as a header.
    let _written = exact_timestamp(time_ms).format(TimestampFormat::DateTime, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

fn push_two_digits(text: &mut String, number: u8) {
    text.push(char::from(b'0' + number / 10 % 10));
    text.push(char::from(b'0' + number % 10));
}

/// A size as s3s wants it; objects are smaller than 2^63.
pub(super) fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_chunked_is_never_stored() {
        for (sent, stored) in [
            ("aws-chunked", None),
            ("AWS-Chunked", None),
            ("gzip", Some("gzip")),
            ("gzip,aws-chunked", Some("gzip")),
            ("aws-chunked, gzip", Some("gzip")),
            ("gzip, br", Some("gzip, br")),
            (" gzip ,br ", Some("gzip ,br")),
            ("aws-chunked, aws-chunked", None),
            ("", None),
        ] {
            assert_eq!(stored_encoding(sent).as_deref(), stored, "{sent}");
        }
    }

    #[test]
    fn a_redirect_begins_as_urls_do() {
        let check = |text: &str| website_redirect(Some(text.to_owned()));
        let longest = format!("/{}", "x".repeat(WEBSITE_REDIRECT_BYTES_MAX - 1));
        for text in ["/", "//", "/elsewhere", "http://a", "https://a/b", &longest] {
            assert_eq!(check(text).unwrap().as_deref(), Some(text));
        }
        for text in ["", "elsewhere", "ftp://a", "HTTP://a", &format!("{longest}x")] {
            assert_eq!(check(text).unwrap_err().code(), "InvalidRedirectLocation", "{text}");
        }
        assert_eq!(website_redirect(None).unwrap(), None);
    }

    #[test]
    fn a_write_does_not_tell_of_the_null_version() {
        assert_eq!(made_version(None), None);
        assert_eq!(made_version(Some(VersionId::Null)), None);
        let version = VersionId::Sequence(7);
        assert_eq!(made_version(Some(version)), Some(version.to_string()));
    }

    #[test]
    fn times_are_shown_in_whole_seconds() {
        for (time_ms, text) in [
            (1_445_412_480_999, "Wed, 21 Oct 2015 07:28:00 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_827_696_000, "Tue, 29 Feb 2000 12:34:56 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(http_date(time_ms), text);
            let mut expected = Vec::new();
            timestamp(time_ms).format(TimestampFormat::HttpDate, &mut expected).unwrap();
            assert_eq!(text.as_bytes(), expected);
        }
        assert_eq!(iso_date(1_445_412_480_999), "2015-10-21T07:28:00.999Z");
        assert_eq!(time_ms(&timestamp(1_445_412_480_999)), 1_445_412_480_000);
        assert_eq!(time_ms(&exact_timestamp(1_445_412_480_999)), 1_445_412_480_999);
        assert_eq!(time_ms(&exact_timestamp(u64::MAX)), 253_402_300_799_000);
    }

    #[test]
    fn metadata_comes_in_the_order_of_names() {
        let metadata: Metadata =
            [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())].into();
        let sorted = user_metadata(Some(metadata));
        assert_eq!(sorted, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn metadata_is_shown_in_letters_that_headers_have() {
        let long = "ä".repeat(30);
        for (kept, shown) in [
            ("", ""),
            ("plain ~", "plain ~"),
            ("ä", "=?UTF-8?B?w6Q=?="),
            ("a\tb", "=?UTF-8?B?YQli?="),
        ] {
            assert_eq!(encoded_words(kept), shown);
        }
        let words = encoded_words(&long);
        let decoded: Vec<u8> = words
            .split(' ')
            .inspect(|word| assert!(word.len() <= 75, "{word}"))
            .map(|word| word.strip_prefix("=?UTF-8?B?").unwrap().strip_suffix("?=").unwrap())
            .flat_map(|piece| {
                let bytes = STANDARD.decode(piece).unwrap();
                assert!(std::str::from_utf8(&bytes).is_ok(), "a letter is cut");
                bytes
            })
            .collect();
        assert_eq!(decoded, long.as_bytes());
        assert_eq!(words.split(' ').count(), 2);
    }
}
