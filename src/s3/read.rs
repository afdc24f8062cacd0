//! What a read asks for: `GetObject` and `HeadObject`, taken from the head that the gate verified.
//!
//! - Reads do not go through s3s: they are the hot path, and all that they say is in a few headers
//!   and query names.
//! - As S3 does, a `Range` or a date that cannot be read is ignored; anything else is refused.

use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, EXPIRES,
    HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE, RANGE,
};
use s3s::dto::{ETagCondition, Timestamp, TimestampFormat};
use s3s::header::{X_AMZ_CHECKSUM_MODE, X_AMZ_EXPECTED_BUCKET_OWNER};
use s3s::{S3Result, s3_error};

use super::action::{self, Operation};
use super::caller::{Caller, ObjectName};
use super::condition::read_conditions;
use super::properties::{http_date, time_ms};
use crate::iam::{Context, Principal};
use crate::objects::{ByteRange, PARTS_MAX, ReadConditions};
use crate::server::query::Query;

/// The two reads, which answer the same headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadKind {
    /// `GetObject`.
    Get,
    /// `HeadObject`.
    Head,
}

impl ReadKind {
    /// The read that an operation of that name is, if it is one.
    pub fn of(operation: &str) -> Option<Self> {
        [Self::Get, Self::Head].into_iter().find(|kind| kind.operation().name == operation)
    }

    /// Its row in the table of actions.
    pub(super) const fn operation(self) -> Operation {
        match self {
            Self::Get => action::GET_OBJECT,
            Self::Head => action::HEAD_OBJECT,
        }
    }
}

/// A read that came through the gate.
#[derive(Debug, Clone)]
pub struct ReadRequest<'a> {
    /// Which of the two.
    pub kind: ReadKind,
    /// The bucket's name.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// Its query, without what signed it.
    pub query: &'a Query,
    /// Its headers. None that matters here is there twice.
    pub headers: &'a HeaderMap,
    /// Who sent it.
    pub principal: &'a Principal,
    /// What else a decision about it may depend on.
    pub context: Context,
}

/// What part of an object is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selection {
    /// All of it.
    Whole,
    /// A range of bytes.
    Bytes(ByteRange),
    /// A part of its upload.
    Part(u16),
}

/// Are checksums asked for?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChecksumDisplay {
    /// No.
    Hidden,
    /// Where one covers exactly what is sent.
    Shown,
}

/// A read, understood.
#[derive(Debug)]
pub(super) struct Read {
    /// When it is answered at all.
    pub(super) conditions: ReadConditions,
    /// What is sent.
    pub(super) selection: Selection,
    /// Whether checksums are shown.
    pub(super) checksums: ChecksumDisplay,
    /// `response-*`: headers that take the place of those that were kept.
    pub(super) overrides: Vec<(HeaderName, HeaderValue)>,
}

impl<'a> ReadRequest<'a> {
    /// Who asks.
    pub(super) fn caller(&self) -> Caller {
        Caller::new(self.principal.clone(), self.context.clone())
    }

    /// The object as the request names it.
    pub(super) fn name(&self) -> S3Result<ObjectName<'a>> {
        Ok(ObjectName {
            bucket: self.bucket,
            key: self.key,
            version: self.query.get("versionId"),
            expected_owner: self.text(&X_AMZ_EXPECTED_BUCKET_OWNER)?,
        })
    }

    /// What it asks for.
    pub(super) fn read(&self) -> S3Result<Read> {
        let range = self.lenient_text(&RANGE).and_then(readable_range);
        let part = match self.query.get("partNumber") {
            None => None,
            Some(text) => Some(text.parse::<i32>().map_err(|_| invalid_query("partNumber", text))?),
        };
        Ok(Read {
            conditions: read_conditions(
                self.tags(&IF_MATCH)?.as_ref(),
                self.tags(&IF_NONE_MATCH)?.as_ref(),
                self.date(&IF_MODIFIED_SINCE).as_ref(),
                self.date(&IF_UNMODIFIED_SINCE).as_ref(),
            ),
            selection: select(range, part)?,
            checksums: display(self.text(&X_AMZ_CHECKSUM_MODE)?)?,
            overrides: self.overrides()?,
        })
    }

    fn overrides(&self) -> S3Result<Vec<(HeaderName, HeaderValue)>> {
        let mut overrides = Vec::new();
        for (name, text) in self.query.iter() {
            let header = match name {
                "response-cache-control" => CACHE_CONTROL,
                "response-content-disposition" => CONTENT_DISPOSITION,
                "response-content-encoding" => CONTENT_ENCODING,
                "response-content-language" => CONTENT_LANGUAGE,
                "response-content-type" => CONTENT_TYPE,
                "response-expires" => EXPIRES,
                _ => continue,
            };
            let value = if header == EXPIRES {
                let date = parse_date(text).ok_or_else(|| invalid_query(name, text))?;
                HeaderValue::try_from(http_date(time_ms(&date)))
            } else {
                HeaderValue::from_bytes(&latin1(text)?)
            };
            let value = value.map_err(|_| {
                s3_error!(InvalidRequest, "{name} cannot be the value of a header: {text:?}")
            })?;
            overrides.push((header, value));
        }
        Ok(overrides)
    }

    /// The text of a header; none when it is empty, as S3 reads it.
    fn text(&self, name: &HeaderName) -> S3Result<Option<&'a str>> {
        match self.headers.get(name).map(HeaderValue::to_str) {
            None | Some(Ok("")) => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(invalid_header(name)),
        }
    }

    /// The text of a header that is ignored where it cannot be read.
    fn lenient_text(&self, name: &HeaderName) -> Option<&'a str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn tags(&self, name: &HeaderName) -> S3Result<Option<ETagCondition>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| invalid_header(name))
    }

    fn date(&self, name: &HeaderName) -> Option<Timestamp> {
        self.lenient_text(name).and_then(parse_date)
    }
}

/// A text as S3 puts it into a header that it is asked for.
fn latin1(text: &str) -> S3Result<Vec<u8>> {
    let bytes: Result<_, _> = text.chars().map(u8::try_from).collect();
    bytes.map_err(|_| {
        s3_error!(InvalidArgument, "Header value cannot be represented using ISO-8859-1.")
    })
}

fn select(range: Option<ByteRange>, part: Option<i32>) -> S3Result<Selection> {
    match (range, part) {
        (Some(_), Some(_)) => Err(s3_error!(
            InvalidRequest,
            "Cannot specify both Range header and partNumber query parameter"
        )),
        (None, None) => Ok(Selection::Whole),
        (Some(range), None) => Ok(Selection::Bytes(range)),
        (None, Some(number)) => Ok(Selection::Part(part_number(number)?)),
    }
}

/// A part's number within S3's limits.
pub(super) fn part_number(number: i32) -> S3Result<u16> {
    u16::try_from(number).ok().filter(|number| (1..=PARTS_MAX).contains(number)).ok_or_else(|| {
        s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive")
    })
}

fn display(mode: Option<&str>) -> S3Result<ChecksumDisplay> {
    match mode {
        None => Ok(ChecksumDisplay::Hidden),
        Some(text) if text.eq_ignore_ascii_case("ENABLED") => Ok(ChecksumDisplay::Shown),
        Some(_) => Err(s3_error!(InvalidArgument, "x-amz-checksum-mode must be ENABLED")),
    }
}

/// A range; none for a text that S3 ignores. A position past all numbers is the last number, which
/// no object reaches.
fn readable_range(text: &str) -> Option<ByteRange> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let position = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        plain.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    match (first, last) {
        ("", last) => position(last).map(ByteRange::Last),
        (first, "") => position(first).map(ByteRange::From),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            (first <= last).then_some(ByteRange::Between(first, last))
        }
    }
}

fn parse_date(text: &str) -> Option<Timestamp> {
    Timestamp::parse(TimestampFormat::HttpDate, text).ok()
}

fn invalid_header(name: &HeaderName) -> s3s::S3Error {
    s3_error!(InvalidArgument, "invalid header: {name}")
}

fn invalid_query(name: &str, text: &str) -> s3s::S3Error {
    s3_error!(InvalidArgument, "invalid query: {name}: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A read with these headers and this query.
    fn read(headers: &[(&'static str, &[u8])], query: &str) -> S3Result<Read> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let request = ReadRequest {
            kind: ReadKind::Get,
            bucket: "b",
            key: "k",
            query: &Query::parse(query).unwrap(),
            headers: &map,
            principal: &Principal::root(),
            context: Context::default(),
        };
        request.read()
    }

    fn refusal(headers: &[(&'static str, &[u8])], query: &str) -> String {
        read(headers, query).unwrap_err().code().as_str().to_owned()
    }

    #[test]
    fn only_the_two_reads_are_reads() {
        assert_eq!(ReadKind::of("GetObject"), Some(ReadKind::Get));
        assert_eq!(ReadKind::of("HeadObject"), Some(ReadKind::Head));
        assert_eq!(ReadKind::of("GetObjectAcl"), None);
    }

    #[test]
    fn a_range_that_s3_ignores_is_ignored() {
        use ByteRange::{Between, From, Last};
        for (text, range) in [
            ("bytes=0-4", Some(Between(0, 4))),
            ("bytes=-4", Some(Last(4))),
            ("bytes=4-", Some(From(4))),
            ("bytes=007-8", Some(Between(7, 8))),
            ("bytes=8-99999999999999999999999", Some(Between(8, u64::MAX))),
            ("bytes=99999999999999999999999-", Some(From(u64::MAX))),
            ("bytes=-99999999999999999999999", Some(Last(u64::MAX))),
            ("bytes=5-2", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
            ("bytes=-", None),
            ("bytes=+1-2", None),
            ("bytes= 1-2", None),
            ("", None),
        ] {
            assert_eq!(readable_range(text), range, "{text}");
            let read = read(&[("range", text.as_bytes())], "").unwrap();
            assert_eq!(read.selection, range.map_or(Selection::Whole, Selection::Bytes), "{text}");
        }
    }

    #[test]
    fn a_date_that_cannot_be_read_is_ignored() {
        for (text, time) in [
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(1_445_412_480_000)),
            ("yesterday", None),
            ("0", None),
            ("", None),
        ] {
            let read = read(
                &[("if-modified-since", text.as_bytes()), ("if-unmodified-since", text.as_bytes())],
                "",
            );
            let conditions = read.unwrap().conditions;
            assert_eq!(conditions.if_modified_since_ms, time, "{text}");
            assert_eq!(conditions.if_unmodified_since_ms, time, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (headers, query, code) in [
            (&[("if-match", &b"\"a"[..])][..], "", "InvalidArgument"),
            (&[("if-none-match", b"\xc3\xa4")], "", "InvalidArgument"),
            (&[("x-amz-checksum-mode", b"maybe")], "", "InvalidArgument"),
            (&[], "partNumber=x", "InvalidArgument"),
            (&[], "partNumber=", "InvalidArgument"),
            (&[], "partNumber=0", "InvalidArgument"),
            (&[], "partNumber=-1", "InvalidArgument"),
            (&[], "partNumber=10001", "InvalidArgument"),
            (&[], "response-expires=never", "InvalidArgument"),
            (&[], "response-content-type=a%0Ab", "InvalidRequest"),
            (&[("range", b"bytes=-1")], "partNumber=1", "InvalidRequest"),
        ] {
            assert_eq!(refusal(headers, query), code, "{headers:?} {query}");
        }
        assert_eq!(read(&[], "partNumber=10000").unwrap().selection, Selection::Part(10_000));
        let empty = read(&[("if-match", b""), ("x-amz-checksum-mode", b"")], "").unwrap();
        assert!(empty.conditions.if_match.is_empty());
        assert_eq!(empty.checksums, ChecksumDisplay::Hidden);
    }
}
