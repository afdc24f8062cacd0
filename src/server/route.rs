//! Which part of the server a request is for, decided from its head before any parser sees it.

use http::request::Parts;
use http::{Method, header};

use super::query::Query;
use super::sigv4;
use crate::vectors::Operation;

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// "Do you live?"
    Live,
    /// "Can you serve?"
    Ready,
    /// Figures for Prometheus.
    Metrics,
    /// Below `/_/`, where nothing else is yet.
    Nowhere,
    /// S3.
    S3,
    /// S3 Vectors.
    Vectors,
    /// A service that is known and not built.
    NotBuilt(&'static str),
}

/// Services that share the port by the scope of their signatures, and are still to come.
const NOT_BUILT: [&str; 4] = ["iam", "sts", "kms", "s3tables"];
/// The scope of S3 Vectors.
pub const VECTORS: &str = "s3vectors";

impl Route {
    /// Decides.
    pub fn of(parts: &Parts) -> Self {
        let path = parts.uri.path();
        // No bucket's name begins with an underscore, so this part of the paths is ours.
        if path == "/_" || path.starts_with("/_/") {
            return if path == "/_/metrics" && is_reading(parts) {
                Self::Metrics
            } else {
                Self::Nowhere
            };
        }
        // A bucket may be named `livez`; who asks for it signs.
        if is_reading(parts) && !is_signed(parts) {
            match path {
                "/livez" | "/minio/health/live" => return Self::Live,
                "/readyz"
                | "/healthz"
                | "/minio/health/ready"
                | "/minio/health/cluster"
                | "/minio/health/cluster/read" => return Self::Ready,
                _ => {}
            }
        }
        // What cannot be parsed is refused later, by name.
        let query = match parts.uri.query() {
            Some(text) if text.contains("X-Amz-Credential") => {
                Query::parse(text).unwrap_or_default()
            }
            _ => Query::default(),
        };
        let service = sigv4::scope_service(&parts.headers, &query);
        // Unsigned requests have no scope; what no object can be asked with is for S3 Vectors.
        let unsigned = service.is_none() && parts.method == Method::POST && !is_signed(parts);
        if service == Some(VECTORS) || (unsigned && Operation::named_by(path).is_some()) {
            return Self::Vectors;
        }
        match NOT_BUILT.into_iter().find(|name| service == Some(name)) {
            Some(name) => Self::NotBuilt(name),
            None => Self::S3,
        }
    }
}

fn is_reading(parts: &Parts) -> bool {
    parts.method == Method::GET || parts.method == Method::HEAD
}

fn is_signed(parts: &Parts) -> bool {
    parts.headers.contains_key(header::AUTHORIZATION)
        || parts.uri.query().is_some_and(|query| query.contains("Signature="))
}

#[cfg(test)]
mod tests {
    use super::Route;

    fn route(method: &str, uri: &str, authorization: &str) -> Route {
        let mut request = http::Request::builder().method(method).uri(uri);
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        Route::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn requests_go_where_they_belong() {
        let s3 = "AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request, Signature=";
        let iam = s3.replace("/s3/", "/iam/");
        let vectors = s3.replace("/s3/", "/s3vectors/");
        for (method, uri, authorization, expected) in [
            ("GET", "/livez", "", Route::Live),
            ("HEAD", "/livez", "", Route::Live),
            ("GET", "/livez", s3, Route::S3),
            ("PUT", "/livez", "", Route::S3),
            ("GET", "/livez/key", "", Route::S3),
            ("GET", "/readyz", "", Route::Ready),
            ("GET", "/healthz", "", Route::Ready),
            ("GET", "/minio/health/cluster", "", Route::Ready),
            ("GET", "/minio/health/live", "", Route::Live),
            ("GET", "/minio/health/live?X-Amz-Signature=00", "", Route::S3),
            ("GET", "/minio/health/live?AWSAccessKeyId=AK&Signature=00", "", Route::S3),
            ("GET", "/_/metrics", "", Route::Metrics),
            ("GET", "/_/metrics", s3, Route::Metrics),
            ("POST", "/_/metrics", "", Route::Nowhere),
            ("GET", "/_/", "", Route::Nowhere),
            ("GET", "/_", "", Route::Nowhere),
            ("GET", "/_x/y", "", Route::S3),
            ("GET", "/b/k", "", Route::S3),
            ("POST", "/", &iam, Route::NotBuilt("iam")),
            ("POST", "/CreateVectorBucket", &vectors, Route::Vectors),
            ("GET", "/tags/arn", &vectors, Route::Vectors),
            ("PUT", "/b/k", &vectors, Route::Vectors),
            ("POST", "/CreateVectorBucket", "", Route::Vectors),
            ("POST", "/CreateVectorBucket", s3, Route::S3),
            ("GET", "/CreateVectorBucket", "", Route::S3),
            ("POST", "/tags/arn", "", Route::S3),
            ("POST", "/CreateVectorBucket?X-Amz-Signature=00", "", Route::S3),
            (
                "GET",
                "/tags/arn?X-Amz-Credential=AK/20130524/r/s3vectors/aws4_request",
                "",
                Route::Vectors,
            ),
            (
                "GET",
                "/?X-Amz-Credential=AK/20130524/r/sts/aws4_request",
                "",
                Route::NotBuilt("sts"),
            ),
            ("GET", "/b/k", "garbage", Route::S3),
        ] {
            assert_eq!(route(method, uri, authorization), expected, "{method} {uri}");
        }
    }
}
