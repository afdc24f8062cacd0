//! From the objects' errors to S3's: the code, the status and the message are theirs, the headers
//! that go with a refusal are set here.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_RANGE, CONTENT_TYPE, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use s3s::header::{X_AMZ_DELETE_MARKER, X_AMZ_VERSION_ID};
use s3s::{S3Error, S3ErrorCode};

use super::properties::http_date;
use crate::objects::ObjectError;

impl From<ObjectError> for S3Error {
    fn from(error: ObjectError) -> Self {
        let code = S3ErrorCode::from_bytes(error.code().as_bytes());
        let mut answer =
            Self::with_message(code.unwrap_or(S3ErrorCode::InternalError), error.message());
        // Codes that s3s does not know have no status of their own, others are known by one.
        answer.set_status_code(
            StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        );
        with_headers(answer, headers_of(&error))
    }
}

/// What a refusal says in headers.
fn headers_of(error: &ObjectError) -> HeaderMap {
    let mut headers = HeaderMap::new();
    match error {
        ObjectError::NoSuchKey { marker: Some(version) } => {
            headers.insert(X_AMZ_DELETE_MARKER, HeaderValue::from_static("true"));
            insert_text(&mut headers, X_AMZ_VERSION_ID, version.to_string());
        }
        ObjectError::IsMarker { version, time_ms } => {
            headers.insert(X_AMZ_DELETE_MARKER, HeaderValue::from_static("true"));
            headers.insert(ALLOW, HeaderValue::from_static("DELETE"));
            insert_text(&mut headers, X_AMZ_VERSION_ID, version.to_string());
            insert_text(&mut headers, LAST_MODIFIED, http_date(*time_ms));
        }
        ObjectError::InvalidRange { size } => {
            insert_text(&mut headers, CONTENT_RANGE, format!("bytes */{size}"));
        }
        _ => {}
    }
    headers
}

/// Adds a header whose text is made here and so is always a legal value.
pub(super) fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: String) {
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(text)) {
        headers.insert(name, value);
    }
}

/// Gives an error headers; s3s then forgets the one it would set itself.
pub(super) fn with_headers(mut error: S3Error, mut headers: HeaderMap) -> S3Error {
    if !headers.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        error.set_headers(headers);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::VersionId;
    use crate::server::body::BodyError;

    fn header(error: &S3Error, name: HeaderName) -> Option<&str> {
        error.headers()?.get(name)?.to_str().ok()
    }

    #[test]
    fn a_body_error_keeps_its_code_and_status() {
        let error = BodyError {
            code: "XAmzContentSHA256Mismatch",
            status: 400,
            message: "The provided hash does not match".into(),
        };
        let answer = S3Error::from(ObjectError::Body(error));
        assert_eq!(answer.code().as_str(), "XAmzContentSHA256Mismatch");
        assert_eq!(answer.status_code(), Some(StatusCode::BAD_REQUEST));
        assert_eq!(answer.message(), Some("The provided hash does not match"));
    }

    #[test]
    fn codes_unknown_to_s3s_keep_their_status() {
        for (error, code, status) in [
            (ObjectError::NoSuchPart, "InvalidPartNumber", 416),
            (ObjectError::NoSuchPublicAccessBlock, "NoSuchPublicAccessBlockConfiguration", 404),
            (ObjectError::NoSpace, "InsufficientStorage", 507),
            (ObjectError::Locked, "AccessDenied", 403),
        ] {
            let answer = S3Error::from(error);
            assert_eq!(answer.code().as_str(), code);
            assert_eq!(answer.status_code().map(|status| status.as_u16()), Some(status));
        }
    }

    #[test]
    fn delete_markers_show_in_headers() {
        let marker = Some(VersionId::Null);
        let absent = S3Error::from(ObjectError::NoSuchKey { marker });
        assert_eq!(header(&absent, X_AMZ_DELETE_MARKER), Some("true"));
        assert_eq!(header(&absent, X_AMZ_VERSION_ID), Some("null"));
        assert_eq!(header(&absent, CONTENT_TYPE), Some("application/xml"));
        assert!(S3Error::from(ObjectError::NoSuchKey { marker: None }).headers().is_none());
        let named = S3Error::from(ObjectError::IsMarker { version: VersionId::Null, time_ms: 0 });
        assert_eq!(named.status_code(), Some(StatusCode::METHOD_NOT_ALLOWED));
        assert_eq!(header(&named, LAST_MODIFIED), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    }

    #[test]
    fn an_unsatisfiable_range_tells_the_size() {
        let answer = S3Error::from(ObjectError::InvalidRange { size: 10 });
        assert_eq!(answer.status_code(), Some(StatusCode::RANGE_NOT_SATISFIABLE));
        assert_eq!(header(&answer, CONTENT_RANGE), Some("bytes */10"));
    }
}
