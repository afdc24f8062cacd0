//! The service that the gate calls: reads are answered here, all else by s3s without
//! authentication, and on both sides of it the few things that s3s 0.14 reads too strictly or writes
//! wrongly.
//!
//! - A text that S3 keeps as it came, and s3s refuses, travels beside the request in [`SetAside`].
//! - A guard of a write without a value is refused, where s3s would write without the guard.
//! - What s3s writes wrongly is put right by a mark in the answer's extensions.
//! - The gate has verified and taken off every signature, and put the bucket of a host into the
//!   path: there is one style of address here, and no key.
//! - Browser forms are refused before s3s would read them into memory.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_TYPE, EXPIRES,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::dto::Tag;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, HttpRequest, HttpResponse, S3Error, S3Response, S3Result, s3_error};

use super::encoding::with_references;
use super::read::ReadRequest;
use super::{Wire, get, tagging};
use crate::objects::Objects;
use crate::server::guard::OperationName;
use crate::vectors;

/// XML of a request. The largest legitimate one completes 10,000 parts with a checksum each.
const XML_BYTES_MAX: usize = 2 * 1024 * 1024;
/// A form's file, fields and parts: forms are refused before s3s reads them, these are the net.
const FORM_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
const FORM_FIELD_BYTES_MAX: usize = 16 * 1024;
const FORM_FIELDS_BYTES_MAX: usize = 64 * 1024;
const FORM_PARTS_MAX: usize = 64;

/// Texts of headers that s3s would refuse or lose.
#[derive(Debug, Clone, Default)]
pub(super) struct SetAside {
    /// `Expires`, which S3 keeps whatever it says, `Content-Type: multipart/form-data` of a request
    /// that is no form, and of the headers kept with an object those that are not ASCII.
    pub(super) headers: HeaderMap,
    /// Tags of a bucket to make.
    pub(super) bucket_tags: Vec<Tag>,
}

/// Headers that hold a write back or say what must be kept of it. s3s takes an empty one for none.
const WRITE_GUARDS: [&str; 16] = [
    "if-match",
    "if-none-match",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-expected-bucket-owner",
    "x-amz-if-match-initiated-time",
    "x-amz-if-match-last-modified-time",
    "x-amz-if-match-size",
    "x-amz-mp-object-size",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-source-expected-bucket-owner",
];

/// Headers that S3 keeps with an object, as they come, besides `Expires`.
const KEPT: [HeaderName; 5] =
    [CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE];

/// Marks an answer whose `ETag` element stands without quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct BareEtag;

/// Marks an answer whose document tells keys.
#[derive(Debug, Clone, Copy)]
struct TellsKeys;

/// An answer whose document tells keys.
pub(super) fn telling_keys<T>(output: T) -> S3Response<T> {
    let mut response = S3Response::new(output);
    response.extensions.insert(TellsKeys);
    response
}

/// An XML document that takes the place of the one s3s wrote.
#[derive(Debug, Clone)]
pub(super) struct Document(pub(super) Bytes);

/// The S3 service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    inner: S3Service,
    wire: Wire,
}

/// Builds the service. Requests must come through the gate: this part verifies no signature, it
/// trusts the [`crate::iam::Principal`] in the request's extensions and refuses when there is none.
/// Objects are bound to vectors of `vectors`, which `objects` has for its indexes.
pub fn service(objects: Objects, vectors: Option<vectors::Service>) -> Service {
    let mut config = S3Config::default();
    config.xml_max_body_size = XML_BYTES_MAX;
    config.post_object_max_file_size = FORM_FILE_BYTES_MAX;
    config.form_max_field_size = FORM_FIELD_BYTES_MAX;
    config.form_max_fields_size = FORM_FIELDS_BYTES_MAX;
    config.form_max_parts = FORM_PARTS_MAX;
    let wire = Wire { objects, vectors };
    let mut builder = S3ServiceBuilder::new(wire.clone());
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    Service { inner: builder.build(), wire }
}

impl Service {
    /// Answers a read; the answer still needs the gate's response stage.
    ///
    /// # Errors
    /// When an answer could not be written at all: abort the connection.
    pub async fn read(&self, request: ReadRequest<'_>) -> Result<HttpResponse, HttpError> {
        match get::answer(&self.wire, &request).await {
            Ok(answer) => Ok(answer),
            Err(refusal) => refuse(refusal),
        }
    }

    /// Answers any other request; the answer still needs the gate's response stage.
    ///
    /// # Errors
    /// When an answer could not be written at all: abort the connection.
    pub async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if is_form(&request) {
            if !names_uploads(request.uri()) {
                return refuse(s3_error!(
                    NotImplemented,
                    "POST of a browser form is not implemented"
                ));
            }
            set_header_aside(&mut request, &CONTENT_TYPE);
        }
        if let Err(refusal) = check_guards(&request) {
            return refuse(refusal);
        }
        if let Err(refusal) = prepare(&mut request) {
            return refuse(refusal);
        }
        let mut response = self.inner.call(request).await?;
        finish(&mut response);
        Ok(response)
    }
}

fn refuse(refusal: S3Error) -> Result<HttpResponse, HttpError> {
    refusal.to_http_response().map_err(|error| HttpError::new(Box::new(error)))
}

/// Refuses a write whose guard has no value.
fn check_guards(request: &HttpRequest) -> S3Result<()> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(());
    }
    let headers = request.headers();
    let is_empty = |name: &&&str| {
        headers.get_all(**name).iter().any(|value| value.as_bytes().trim_ascii().is_empty())
    };
    match WRITE_GUARDS.iter().find(is_empty) {
        None => Ok(()),
        Some(name) => Err(s3_error!(InvalidArgument, "The header {name} has no value")),
    }
}

fn set_aside(request: &mut HttpRequest) -> &mut SetAside {
    request.extensions_mut().get_or_insert_default()
}

fn set_header_aside(request: &mut HttpRequest, name: &HeaderName) {
    if let Some(value) = request.headers_mut().remove(name) {
        set_aside(request).headers.insert(name, value);
    }
}

fn is_form(request: &HttpRequest) -> bool {
    let form = |value: &HeaderValue| {
        value
            .as_bytes()
            .get(..19)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/form-data"))
    };
    request.method() == Method::POST && request.headers().get(CONTENT_TYPE).is_some_and(form)
}

/// True for `POST key?uploads`, which may give any content type to the object it begins.
fn names_uploads(uri: &Uri) -> bool {
    uri.query()
        .is_some_and(|query| query.split('&').any(|pair| pair.split('=').next() == Some("uploads")))
}

/// Makes a request that S3 accepts one that s3s accepts.
fn prepare(request: &mut HttpRequest) -> S3Result<()> {
    set_header_aside(request, &EXPIRES);
    for name in &KEPT {
        if request.headers().get(name).is_some_and(|value| value.to_str().is_err()) {
            set_header_aside(request, name);
        }
    }
    if request.extensions().get() == Some(&OperationName("CreateBucket"))
        && let Some(document) = request.body().bytes().filter(|document| !document.is_empty())
    {
        let tags = tagging::tags_of_new_bucket(&document)?;
        set_aside(request).bucket_tags = tags;
    }
    Ok(())
}

/// Puts right what the marks say.
fn finish(response: &mut HttpResponse) {
    if response.extensions_mut().remove::<BareEtag>().is_some()
        && let Some(body) = response.body_mut().take_bytes()
    {
        replace_body(response, without_etag_quotes(&body).map_or(body, Bytes::from));
    }
    if let Some(Document(document)) = response.extensions_mut().remove::<Document>() {
        replace_body(response, document);
    }
    if response.extensions_mut().remove::<TellsKeys>().is_some()
        && let Some(body) = response.body_mut().take_bytes()
    {
        replace_body(response, with_references(body));
    }
}

fn replace_body(response: &mut HttpResponse, body: Bytes) {
    response.headers_mut().remove(CONTENT_LENGTH);
    *response.body_mut() = Body::from(body);
}

fn without_etag_quotes(xml: &[u8]) -> Option<String> {
    let xml = std::str::from_utf8(xml).ok()?;
    let (before, rest) = xml.split_once("<ETag>\"")?;
    let (etag, after) = rest.split_once("\"</ETag>")?;
    Some(format!("{before}<ETag>{etag}</ETag>{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(&'static str, &str)]) -> HttpRequest {
        let mut request = http::Request::builder().uri(uri).body(Body::empty()).unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        request
    }

    #[test]
    fn a_write_without_the_value_of_its_guard_is_refused() {
        for name in WRITE_GUARDS {
            for (method, value, passes) in [
                (Method::PUT, "", false),
                (Method::POST, " ", false),
                (Method::DELETE, "", false),
                (Method::GET, "", true),
                (Method::PUT, "x", true),
            ] {
                let mut request = request("/b/k", &[(name, value)]);
                *request.method_mut() = method.clone();
                assert_eq!(check_guards(&request).is_ok(), passes, "{method} {name}: {value:?}");
            }
        }
    }

    #[test]
    fn marks_are_obeyed() {
        let mut response = HttpResponse::new(Body::from("written".to_owned()));
        response.extensions_mut().insert(Document(Bytes::from_static(b"document")));
        finish(&mut response);
        assert_eq!(response.body().bytes().unwrap(), "document");
    }

    #[test]
    fn expires_travels_beside_the_request() {
        let mut request = request("/b/k", &[("expires", "never")]);
        prepare(&mut request).unwrap();
        assert!(request.headers().is_empty());
        let aside = request.extensions().get::<SetAside>().unwrap();
        assert_eq!(aside.headers["expires"], "never");
    }

    #[test]
    fn only_forms_are_forms() {
        let mut form = request("/b", &[("content-type", "Multipart/Form-Data; boundary=x")]);
        assert!(!is_form(&form));
        *form.method_mut() = Method::POST;
        assert!(is_form(&form));
        assert!(names_uploads(&"/b/k?uploads".parse().unwrap()));
        assert!(names_uploads(&"/b/k?x-id=y&uploads=".parse().unwrap()));
        assert!(!names_uploads(&"/b?delete".parse().unwrap()));
    }

    #[test]
    fn attributes_have_a_bare_etag() {
        let xml = "<A><ETag>\"abc-2\"</ETag><ObjectSize>3</ObjectSize></A>";
        let bare = without_etag_quotes(xml.as_bytes()).unwrap();
        assert_eq!(bare, "<A><ETag>abc-2</ETag><ObjectSize>3</ObjectSize></A>");
        assert_eq!(without_etag_quotes(b"<A/>"), None);
    }
}
