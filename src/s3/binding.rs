//! `x-lodestore-vector-*`: the vector that a `PutObject` binds to its object, and what a read tells of
//! it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::Wire;
use super::caller::Caller;
use super::error::insert_text;
use crate::objects::{Bind, Binding};
use crate::vectors::{self, Failure, Kind};

/// What the names of the headers begin with.
pub(super) const PREFIX: &str = "x-lodestore-vector-";

const INDEX: HeaderName = HeaderName::from_static("x-lodestore-vector-index");
const KEY: HeaderName = HeaderName::from_static("x-lodestore-vector-key");
const DATA: HeaderName = HeaderName::from_static("x-lodestore-vector-data");
const METADATA: HeaderName = HeaderName::from_static("x-lodestore-vector-metadata");

/// What of a key stands in a header as it is.
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PLAIN_IN_KEYS: AsciiSet = PLAIN.remove(b'/');

/// A vector as a request tells it, read but not checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    index: String,
    /// None: the object's.
    key: Option<String>,
    data: Vec<f32>,
    /// A document in JSON.
    metadata: Option<String>,
}

/// Takes the vector out of the headers of a write.
pub(super) fn take(headers: &mut HeaderMap) -> S3Result<Option<Asked>> {
    let [index, key, data, metadata] =
        [&INDEX, &KEY, &DATA, &METADATA].map(|name| headers.remove(name));
    if index.is_none() && key.is_none() && data.is_none() && metadata.is_none() {
        return Ok(None);
    }
    let (Some(index), Some(data)) = (index, data) else {
        return Err(s3_error!(InvalidArgument, "{INDEX} and {DATA} must both be supplied"));
    };
    let key = key.map(|value| {
        let text = text_of(&KEY, &value)?.to_owned();
        let decoded = percent_decode_str(&text).decode_utf8();
        decoded.map(|key| key.into_owned()).map_err(|_| invalid(&KEY, "it is not UTF-8"))
    });
    let metadata = metadata.map(|value| {
        String::from_utf8(base64_of(&METADATA, &value)?)
            .map_err(|_| invalid(&METADATA, "it is not UTF-8"))
    });
    Ok(Some(Asked {
        index: text_of(&INDEX, &index)?.to_owned(),
        key: key.transpose()?,
        data: floats_of(&base64_of(&DATA, &data)?)?,
        metadata: metadata.transpose()?,
    }))
}

/// Finds the index and checks the vector, as `PutVectors` does, and its caller's rights.
pub(super) async fn bind(
    wire: &Wire,
    caller: Caller,
    object_key: &str,
    asked: Asked,
) -> S3Result<Bind> {
    let Some(service) = &wire.vectors else {
        return Err(s3_error!(NotImplemented, "There are no vector indexes"));
    };
    let (principal, context) = caller.into_parts();
    let Asked { index, key, data, metadata } = asked;
    let new = vectors::NewBinding {
        index: &index,
        key: key.unwrap_or_else(|| object_key.to_owned()),
        data,
        metadata: metadata.as_deref(),
    };
    service.bind(principal, context, new).await.map_err(refusal)
}

/// Tells of the vector that is bound to an object.
pub(super) fn insert(headers: &mut HeaderMap, binding: &Binding) {
    insert_text(headers, INDEX, [&*binding.bucket, "/", &*binding.index].concat());
    let key = utf8_percent_encode(&binding.key, &PLAIN_IN_KEYS);
    insert_text(headers, KEY, key.to_string());
}

/// A refusal of the vector service in the words of S3. A field at fault is a header here.
fn refusal(failure: Failure) -> S3Error {
    let code = match failure.kind {
        Kind::Validation | Kind::Serialization => S3ErrorCode::InvalidArgument,
        Kind::NotFound => S3ErrorCode::InvalidRequest,
        Kind::AccessDenied => S3ErrorCode::AccessDenied,
        Kind::Conflict => S3ErrorCode::OperationAborted,
        Kind::Unavailable | Kind::TooManyRequests => S3ErrorCode::SlowDown,
        _ => S3ErrorCode::InternalError,
    };
    let message = match failure.fields.first() {
        Some(field) => format!("{PREFIX}{}: {}", field.path, field.message),
        None => format!("{INDEX}: {}", failure.message),
    };
    S3Error::with_message(code, message)
}

fn invalid(name: &HeaderName, why: &str) -> S3Error {
    s3_error!(InvalidArgument, "{name}: {why}")
}

fn text_of<'a>(name: &HeaderName, value: &'a HeaderValue) -> S3Result<&'a str> {
    value.to_str().map_err(|_| invalid(name, "it is not ASCII"))
}

fn base64_of(name: &HeaderName, value: &HeaderValue) -> S3Result<Vec<u8>> {
    STANDARD.decode(value.as_bytes()).map_err(|_| invalid(name, "it is not base64"))
}

/// Little-endian, 4 bytes each.
fn floats_of(bytes: &[u8]) -> S3Result<Vec<f32>> {
    let (floats, rest) = bytes.as_chunks::<4>();
    match rest.is_empty() {
        true => Ok(floats.iter().map(|float| f32::from_le_bytes(*float)).collect()),
        false => Err(invalid(&DATA, "its bytes are not 4 a component")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let lines = lines.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        lines.collect()
    }

    #[test]
    fn a_vector_is_read_from_its_headers() {
        let mut plain = headers(&[("content-type", "x")]);
        assert_eq!(take(&mut plain).unwrap(), None);
        let mut all = headers(&[
            ("x-lodestore-vector-index", "bucket/index"),
            ("x-lodestore-vector-data", "AACAPwAAAMA="),
            ("x-lodestore-vector-key", "a%2Fb%20%C3%A4/c"),
            ("x-lodestore-vector-metadata", "eyJhIjoxfQ=="),
        ]);
        let asked = take(&mut all).unwrap().unwrap();
        assert_eq!(asked.data, [1.0, -2.0]);
        assert_eq!(asked.key.as_deref(), Some("a/b ä/c"));
        assert_eq!(asked.metadata.as_deref(), Some("{\"a\":1}"));
        assert!(all.is_empty());
    }

    #[test]
    fn headers_that_cannot_be_read_are_named() {
        let index = ("x-lodestore-vector-index", "bucket/index");
        let data = ("x-lodestore-vector-data", "AACAPw==");
        for (lines, name) in [
            (&[index][..], DATA),
            (&[data], INDEX),
            (&[("x-lodestore-vector-key", "k")], INDEX),
            (&[index, ("x-lodestore-vector-data", "AACAPw")], DATA),
            (&[index, ("x-lodestore-vector-data", "AACA")], DATA),
            (&[index, data, ("x-lodestore-vector-key", "%ff")], KEY),
            (&[index, data, ("x-lodestore-vector-metadata", "{}")], METADATA),
            (&[index, data, ("x-lodestore-vector-metadata", "/w==")], METADATA),
        ] {
            let refusal = take(&mut headers(lines)).unwrap_err();
            assert_eq!(*refusal.code(), S3ErrorCode::InvalidArgument);
            assert!(refusal.message().unwrap().contains(name.as_str()), "{refusal:?}");
        }
    }

    #[test]
    fn a_key_is_told_as_it_is_taken() {
        let owner = vector_engine::Owner([0; 16]);
        let key = "a b/ä+\n%".to_owned();
        let binding = Binding { owner, space: 1, bucket: "b".into(), index: "i".into(), key };
        let mut headers = HeaderMap::new();
        insert(&mut headers, &binding);
        assert_eq!(headers[INDEX], "b/i");
        assert_eq!(headers[KEY], "a%20b/%C3%A4%2B%0A%25");
    }
}
