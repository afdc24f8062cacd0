//! The answer to a browser's preflight. No bucket has a CORS configuration yet, so it is always
//! the one AWS gives for such a bucket.

use http::{HeaderMap, StatusCode, header};

use super::refusal::Refusal;
use super::target::TargetKind;

/// What `OPTIONS` is told.
pub fn answer_preflight(headers: &HeaderMap, kind: TargetKind) -> Refusal {
    let bad = |what: &str| Refusal::new(StatusCode::BAD_REQUEST, "BadRequest", what);
    if !headers.contains_key(header::ORIGIN) {
        return bad("Insufficient information. Origin request header needed.");
    }
    let Some(method) = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD) else {
        return bad("Invalid Access-Control-Request-Method: null");
    };
    let resource = match kind {
        TargetKind::Service => "SERVICE",
        TargetKind::Bucket => "BUCKET",
        TargetKind::Object => "OBJECT",
    };
    Refusal::new(
        StatusCode::FORBIDDEN,
        "AccessForbidden",
        "CORSResponse: CORS is not enabled for this bucket.",
    )
    .with("Method", String::from_utf8_lossy(method.as_bytes()))
    .with("ResourceType", resource)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{TargetKind, answer_preflight};

    #[test]
    fn preflights_are_answered_as_for_a_bucket_without_cors() {
        let mut headers = HeaderMap::new();
        assert_eq!(answer_preflight(&headers, TargetKind::Bucket).status, 400);
        headers.insert("origin", HeaderValue::from_static("http://a"));
        assert_eq!(answer_preflight(&headers, TargetKind::Bucket).status, 400);
        headers.insert("access-control-request-method", HeaderValue::from_static("PUT"));
        let refusal = answer_preflight(&headers, TargetKind::Object);
        assert_eq!((refusal.status.as_u16(), refusal.code), (403, "AccessForbidden"));
        assert!(refusal.details.contains(&("ResourceType", "OBJECT".into())));
    }
}
