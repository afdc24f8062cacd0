//! The response stage: every answer gets its ids, every error its full body, and nothing has a
//! body that must have none.
//!
//! What sits behind the gate writes errors with a code at most, puts bodies on answers to `HEAD`
//! and on 304, and quotes an ETag that S3 does not.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::Event;

use super::gate::Case;
use super::limits::ERROR_BODY_BYTES_MAX;
use super::operations;
use super::refusal::Refusal;

/// What `Server` says. Some clients look for other names in it and change their ways.
const SERVER: HeaderValue = HeaderValue::from_static("Lodestore");
const XML: HeaderValue = HeaderValue::from_static("application/xml");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const EXTENDED_ID: HeaderName = HeaderName::from_static("x-amz-id-2");
/// 501 in it says that the bytes go over HTTP.
const RDMA_REPLY: HeaderName = HeaderName::from_static("x-amz-rdma-reply");
const ERROR_CODE: HeaderName = HeaderName::from_static("x-amz-error-code");
const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-amz-error-message");

/// The answer to a refused request.
pub fn of_refusal(refusal: Refusal, case: &Case) -> Response<s3s::Body> {
    let mut response = Response::new(s3s::Body::empty());
    *response.status_mut() = refusal.status;
    write_error(&mut response, refusal.code, &refusal.message, &refusal.details, case);
    finish(response, case)
}

/// The answer of a handler, made as S3 would send it.
pub fn of_handler(mut response: Response<s3s::Body>, case: &Case) -> Response<s3s::Body> {
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        // An error without a body of ours to read is left to say what it says.
        if let Some(body) = response.body().bytes() {
            let (code, message) = read_error(&body);
            let code = code.unwrap_or_else(|| default_code(status).into());
            let message = message.unwrap_or_else(|| default_message(&code).into());
            write_error(&mut response, &code, &message, &[], case);
        }
    } else if case.operation_name() == "GetObjectAttributes" {
        unquote_etag(&mut response);
    }
    finish(response, case)
}

/// Any answer, with what all answers have and without what theirs must not have.
pub fn finish(mut response: Response<s3s::Body>, case: &Case) -> Response<s3s::Body> {
    let status = response.status();
    let bodiless = case.method == Method::HEAD
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
        || status.is_informational();
    if bodiless {
        *response.body_mut() = s3s::Body::empty();
        // To HEAD, length and type tell of the object; all others have none to tell of.
        if case.method != Method::HEAD || !status.is_success() {
            response.headers_mut().remove(header::CONTENT_LENGTH);
            response.headers_mut().remove(header::CONTENT_TYPE);
        }
    }
    let headers = response.headers_mut();
    headers.insert(header::SERVER, SERVER);
    if case.wants_rdma {
        headers.insert(RDMA_REPLY, HeaderValue::from_static("501"));
    }
    let ids = [(REQUEST_ID, case.id.text()), (EXTENDED_ID, case.id.extended())];
    for (name, id) in ids {
        if let Ok(value) = HeaderValue::try_from(id) {
            headers.insert(name, value);
        }
    }
    response
}

fn write_error(
    response: &mut Response<s3s::Body>,
    code: &str,
    message: &str,
    details: &[(&'static str, String)],
    case: &Case,
) {
    if case.method == Method::HEAD {
        // The only way to say what is wrong where no body may be.
        for (name, text) in [(ERROR_CODE, code), (ERROR_MESSAGE, message)] {
            if let Ok(value) = HeaderValue::from_str(text) {
                response.headers_mut().insert(name, value);
            }
        }
        return;
    }
    let body = error_xml(code, message, details, case);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, XML);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = s3s::Body::from(body);
}

fn error_xml(code: &str, message: &str, details: &[(&'static str, String)], case: &Case) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    let mut element = |name: &str, text: &str| {
        let _ = write!(xml, "<{name}>{}</{name}>", escape(&*printable(text)));
    };
    element("Code", code);
    element("Message", message);
    for (name, text) in details {
        element(name, text);
    }
    element("Resource", &case.path);
    if let Some(bucket) = &case.target.bucket {
        element("BucketName", bucket);
    }
    if let Some(key) = &case.target.key {
        element("Key", key);
    }
    element("RequestId", &case.id.text());
    element("HostId", &case.id.extended());
    xml.push_str("</Error>");
    xml
}

/// Keys may hold characters that XML cannot; in an error body they need not come back exactly.
fn printable(text: &str) -> Cow<'_, str> {
    let forbidden = |letter: char| {
        (letter < ' ' && !matches!(letter, '\t' | '\n' | '\r'))
            || matches!(letter, '\u{fffe}' | '\u{ffff}')
    };
    if text.contains(forbidden) {
        Cow::Owned(text.replace(forbidden, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Code and message of an error that the S3 layer wrote.
fn read_error(body: &Bytes) -> (Option<String>, Option<String>) {
    let text = body.get(..body.len().min(ERROR_BODY_BYTES_MAX)).unwrap_or_default();
    let Ok(text) = std::str::from_utf8(text) else { return (None, None) };
    (element_text(text, "Code"), element_text(text, "Message"))
}

fn element_text(xml: &str, name: &str) -> Option<String> {
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) if start.name().0 == name => break,
            Event::Eof => return None,
            _ => {}
        }
    }
    let text = reader.read_text(quick_xml::name::QName(name)).ok()?;
    let text = quick_xml::escape::unescape(&text).ok()?;
    (!text.is_empty()).then(|| text.into_owned())
}

/// S3 sends the ETag of GetObjectAttributes without its quotes.
fn unquote_etag(response: &mut Response<s3s::Body>) {
    let Some(body) = response.body().bytes() else { return };
    let Ok(text) = std::str::from_utf8(&body) else { return };
    let fixed = ["&quot;", "\"", "&#34;"].into_iter().find_map(|quote| {
        let from = text.find(&format!("<ETag>{quote}"))? + "<ETag>".len();
        let to = from + text.get(from..)?.find("</ETag>")?;
        let etag = text.get(from..to)?.strip_prefix(quote)?.strip_suffix(quote)?;
        Some([text.get(..from)?, etag, text.get(to..)?].concat())
    });
    if let Some(fixed) = fixed {
        if response.headers().contains_key(header::CONTENT_LENGTH) {
            let len = HeaderValue::from(fixed.len());
            response.headers_mut().insert(header::CONTENT_LENGTH, len);
        }
        *response.body_mut() = s3s::Body::from(fixed);
    }
}

fn default_code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        403 => "AccessDenied",
        404 => "NoSuchKey",
        405 => "MethodNotAllowed",
        409 => "OperationAborted",
        411 => "MissingContentLength",
        412 => "PreconditionFailed",
        416 => "InvalidRange",
        501 => "NotImplemented",
        503 => "ServiceUnavailable",
        500..=599 => "InternalError",
        _ => "InvalidRequest",
    }
}

/// What S3 says to a code, for errors that came without a message.
fn default_message(code: &str) -> &'static str {
    match code {
        "AccessDenied" => "Access Denied",
        "BadDigest" => {
            "The Content-MD5 or checksum value that you specified did not match what \
                        the server received."
        }
        "BucketAlreadyExists" => {
            "The requested bucket name is not available. The bucket \
                                  namespace is shared by all users of the system. Select a \
                                  different name and try again."
        }
        "BucketAlreadyOwnedByYou" => {
            "Your previous request to create the named bucket succeeded \
                                      and you already own it."
        }
        "BucketNotEmpty" => "The bucket you tried to delete is not empty",
        "EntityTooLarge" => "Your proposed upload exceeds the maximum allowed object size.",
        "EntityTooSmall" => "Your proposed upload is smaller than the minimum allowed size",
        "IncompleteBody" => {
            "You did not provide the number of bytes specified by the \
                             Content-Length HTTP header."
        }
        "InternalError" => "We encountered an internal error. Please try again.",
        "InvalidArgument" => "Invalid Argument",
        "InvalidBucketName" => "The specified bucket is not valid.",
        "InvalidBucketState" => "The request is not valid with the current state of the bucket.",
        "InvalidDigest" => "The Content-MD5 you specified is not valid.",
        "InvalidObjectState" => "The operation is not valid for the current state of the object.",
        "InvalidPart" => {
            "One or more of the specified parts could not be found. The part may \
                          not have been uploaded, or the specified entity tag may not match the \
                          part's entity tag."
        }
        "InvalidPartOrder" => {
            "The list of parts was not in ascending order. The parts list must \
                               be specified in order by part number."
        }
        "InvalidRange" => "The requested range is not satisfiable",
        "InvalidRequest" => "Invalid Request",
        "InvalidURI" => "Couldn't parse the specified URI.",
        "KeyTooLongError" => "Your key is too long",
        "MalformedXML" => {
            "The XML you provided was not well-formed or did not validate against \
                           our published schema"
        }
        "MaxMessageLengthExceeded" => "Your request was too big.",
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "MissingRequestBodyError" => "Request Body is empty",
        "NoSuchBucket" => "The specified bucket does not exist",
        "NoSuchBucketPolicy" => "The bucket policy does not exist",
        "NoSuchCORSConfiguration" => "The CORS configuration does not exist",
        "NoSuchKey" => "The specified key does not exist.",
        "NoSuchLifecycleConfiguration" => "The lifecycle configuration does not exist",
        "NoSuchObjectLockConfiguration" => {
            "The specified object does not have a ObjectLock \
                                            configuration"
        }
        "NoSuchPublicAccessBlockConfiguration" => {
            "The public access block configuration was not \
                                                   found"
        }
        "NoSuchTagSet" => "The TagSet does not exist",
        "NoSuchUpload" => {
            "The specified upload does not exist. The upload ID may be invalid, or \
                           the upload may have been aborted or completed."
        }
        "NoSuchVersion" => "The specified version does not exist.",
        "NotImplemented" => {
            "A header or query you provided implies functionality that is not \
                             implemented."
        }
        "ObjectLockConfigurationNotFoundError" => {
            "Object Lock configuration does not exist for \
                                                   this bucket"
        }
        "OperationAborted" => {
            "A conflicting conditional operation is currently in progress \
                               against this resource. Try again."
        }
        "OwnershipControlsNotFoundError" => "The bucket ownership controls were not found",
        "PreconditionFailed" => "At least one of the pre-conditions you specified did not hold",
        "ServerSideEncryptionConfigurationNotFoundError" => {
            "The server side encryption \
                                                             configuration was not found"
        }
        "ServiceUnavailable" => "Service is unable to handle request.",
        "SlowDown" => "Please reduce your request rate.",
        _ => "The request was refused.",
    }
}

impl Case {
    /// The name of the operation, once it is known.
    pub fn operation_name(&self) -> &'static str {
        self.operation.and_then(operations::name_of).unwrap_or("Unknown")
    }
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
