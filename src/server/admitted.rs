//! A request that came through the gate, as its handler gets it: its head understood, its principal
//! known, its body plain.

use http::request::Parts;
use http::{HeaderName, HeaderValue, Uri, header};

use super::body::BodyPromise;
use super::gate::Case;
use super::guard::{self, OperationName};
use super::operations::Operation;
use super::query::Query;
use super::refusal::Refusal;
use super::sigv4::Form;
use super::target::{Addressing, Target};
use crate::iam::{Context, Principal};

/// Headers that told the gate something and mean nothing behind it.
const SPENT: [HeaderName; 5] = [
    header::AUTHORIZATION,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("x-amz-content-sha256"),
    HeaderName::from_static("x-amz-decoded-content-length"),
    HeaderName::from_static("x-amz-trailer"),
];

/// A request that may go on.
#[derive(Debug)]
pub struct Admitted {
    /// Its head: what a presigned URL hoisted is in the headers again, and no header is repeated
    /// that could be read two ways.
    pub parts: Parts,
    /// Its query without what signed it.
    pub query: Query,
    /// Its body. It ends with an error if anything promised about it does not hold.
    pub body: s3s::Body,
    /// What was promised about the body.
    pub promise: BodyPromise,
    /// What it asks for.
    pub operation: &'static Operation,
    /// Who sent it.
    pub principal: Principal,
    /// Where its signature was.
    pub form: Form,
}

impl Admitted {
    /// What else a decision about it may depend on.
    pub fn context(case: &Case) -> Context {
        Context { source_ip: Some(case.peer) }
    }

    /// As the S3 layer gets it: path-style, without a signature, framing or a header that could be
    /// read two ways. In its extensions are [`Principal`], [`BodyPromise`], [`OperationName`],
    /// [`RequestId`](super::request_id::RequestId) and [`Context`].
    pub fn into_request(self, case: &Case) -> Result<http::Request<s3s::Body>, Refusal> {
        let Self { mut parts, query, body, promise, operation, principal, form } = self;
        readdress(&mut parts, &case.target, &query, form)?;
        clean_headers(&mut parts, promise.len);
        parts.extensions.insert(principal);
        parts.extensions.insert(promise);
        parts.extensions.insert(OperationName(operation.name));
        parts.extensions.insert(case.id);
        parts.extensions.insert(Self::context(case));
        Ok(http::Request::from_parts(parts, body))
    }
}

/// Makes the URI path-style and takes the signature out of its query.
fn readdress(parts: &mut Parts, target: &Target, query: &Query, form: Form) -> Result<(), Refusal> {
    let same_path = target.addressing == Addressing::Path && !parts.uri.path().starts_with("//");
    let same_query = matches!(form, Form::Unsigned | Form::Header);
    if same_path && same_query {
        return Ok(());
    }
    let mut text = target.path();
    let query = query.text();
    if !query.is_empty() {
        text.push('?');
        text.push_str(&query);
    }
    parts.uri = text.parse::<Uri>().map_err(|_| Refusal::invalid_uri())?;
    Ok(())
}

fn clean_headers(parts: &mut Parts, len: Option<u64>) {
    for name in SPENT {
        parts.headers.remove(name);
    }
    guard::strip_transfer_coding(&mut parts.headers);
    match len {
        Some(len) => parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len)),
        None => parts.headers.remove(header::CONTENT_LENGTH),
    };
}
