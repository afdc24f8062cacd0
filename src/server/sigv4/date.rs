//! When a request says it was signed.

use http::header::DATE;
use http::{HeaderMap, HeaderName};
use time::format_description::well_known::Rfc2822;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

use crate::server::query::Query;
use crate::server::refusal::Refusal;

const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");

/// A time with its text in the signature: `20130524T000000Z`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestTime {
    time: OffsetDateTime,
    text: [u8; 16],
}

impl RequestTime {
    /// From `x-amz-date`, or `Date` without it.
    pub(super) fn of_headers(headers: &HeaderMap) -> Result<Self, Refusal> {
        [X_AMZ_DATE, DATE]
            .into_iter()
            .filter_map(|name| headers.get(name))
            .find(|value| !value.is_empty())
            .and_then(|value| Self::parse(value.to_str().ok()?))
            .ok_or_else(|| {
                Refusal::access_denied(
                    "AWS authentication requires a valid Date or x-amz-date header",
                )
            })
    }

    /// From `X-Amz-Date` of a presigned URL.
    pub(super) fn of_query(query: &Query) -> Result<Self, Refusal> {
        query.get("X-Amz-Date").and_then(Self::parse_basic).ok_or_else(|| {
            super::authorization::malformed_query(
                "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
            )
        })
    }

    /// The time.
    pub fn time(&self) -> OffsetDateTime {
        self.time
    }

    /// Its text in the string to sign.
    pub fn text(&self) -> &str {
        // It is of ASCII digits and two letters.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// The day of the scope.
    pub fn day(&self) -> &str {
        self.text().get(..8).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        Self::parse_basic(text).or_else(|| {
            let time = OffsetDateTime::parse(text.trim(), &Rfc2822).ok()?;
            // An offset can carry a time out of the years that there are.
            let time = time.checked_to_offset(UtcOffset::UTC)?;
            let format = format_description!("[year][month][day]T[hour][minute][second]Z");
            Some(Self { time, text: time.format(format).ok()?.into_bytes().try_into().ok()? })
        })
    }

    fn parse_basic(text: &str) -> Option<Self> {
        let text: [u8; 16] = text.as_bytes().try_into().ok()?;
        let (b'T', b'Z') = (text[8], text[15]) else { return None };
        let two = |at: usize| match [text[at], text[at + 1]] {
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some((tens - b'0') * 10 + ones - b'0'),
            _ => None,
        };
        let year = i32::from(two(0)?) * 100 + i32::from(two(2)?);
        let date = Date::from_calendar_date(year, two(4)?.try_into().ok()?, two(6)?).ok()?;
        let time = date.with_hms(two(9)?, two(11)?, two(13)?).ok()?.assume_utc();
        Some(Self { time, text })
    }
}

/// A time as error bodies show it.
pub(in crate::server) fn iso_text(time: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    time.format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::RequestTime;

    #[test]
    fn both_forms_are_read() {
        let basic = RequestTime::parse("20130524T000000Z").unwrap();
        let long = RequestTime::parse("Fri, 24 May 2013 00:00:00 GMT").unwrap();
        assert_eq!(basic, long);
        assert_eq!(basic.day(), "20130524");
        assert_eq!(basic.time().unix_timestamp(), 1_369_353_600);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "x",
            "20130524T000000",
            "20131324T000000Z",
            "20130532T000000Z",
            "20130524T240000Z",
            "20130524T000060Z",
            "20130524t000000Z",
            "20130524T000000z",
            "2013052aT000000Z",
            "+0130524T000000Z",
            "2013-05-24",
            "Fri, 31 Dec 9999 23:59:59 -2359",
            "Sat, 01 Jan 0000 00:00:00 +2359",
        ] {
            assert_eq!(RequestTime::parse(text), None, "{text}");
        }
    }
}
