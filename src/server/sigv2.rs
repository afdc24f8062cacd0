//! Verifies version 2 signatures in the query of an object's URL: what boto3, the AWS CLI and
//! s3cmd make of "presign" when nobody tells them otherwise.
//!
//! - Only presigned, only objects, only to read, write and delete one; elsewhere version 2 is
//!   refused.
//! - What takes part in the signature is what is used: every `x-amz-*` header, in the request or
//!   moved into its query, and no query name but those the signature covers.
//! - The signed text joins parameters undecoded by `&`; a value that could be read as two
//!   parameters is refused.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html>

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue, Method, header};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

use super::limits::PRESIGNED_SECONDS_MAX;
use super::query::Query;
use super::refusal::Refusal;
use super::sigv4::{self, Form, Head, PayloadHash, Verified};
use super::target::{Addressing, Target, TargetKind};
use crate::iam::{Identities, SecretKey};

/// The parameters of the signature itself.
const SIGNATURE_PARAMETERS: [&str; 3] = ["AWSAccessKeyId", "Expires", "Signature"];

/// Parameters that the signed text holds, in its order.
const SIGNED_PARAMETERS: [&str; 11] = [
    "acl",
    "partNumber",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "tagging",
    "uploadId",
    "versionId",
];

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// Signed headers by name; those a client moved into the query among them.
type SignedHeaders = BTreeMap<String, String>;

/// Whether a query carries a version 2 signature, or part of one.
pub fn is_presigned(query: &Query) -> bool {
    query.has("AWSAccessKeyId") || query.has("Signature")
}

/// Verifies a head that [`is_presigned`] and is about `target`.
pub fn verify(
    head: &Head<'_>,
    target: &Target,
    identities: &Identities,
    now: OffsetDateTime,
) -> Result<Verified, Refusal> {
    sigv4::refuse_second_mechanism(head)?;
    let methods = [Method::GET, Method::HEAD, Method::PUT, Method::DELETE];
    if target.kind() != TargetKind::Object || !methods.contains(head.method) {
        return Err(sigv4::unsupported_mechanism());
    }
    sigv4::refuse_session_token(head)?;
    let [Some(access_key), Some(expires), Some(signature)] =
        SIGNATURE_PARAMETERS.map(|name| head.query.get(name))
    else {
        return Err(Refusal::access_denied(
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId \
             parameters",
        ));
    };
    check_validity(expires, now)?;
    check_parameters(head.query)?;
    let headers = signed_headers(head)?;
    let payload = match headers.get(sigv4::CONTENT_SHA256.as_str()) {
        Some(text) => PayloadHash::parse(text)?,
        None => PayloadHash::Unsigned,
    };
    if payload.is_signed_in_chunks() {
        return Err(sigv4::presigned_chunks());
    }
    let Some(identity) = identities.find(access_key) else {
        return Err(sigv4::unknown_access_key(access_key));
    };
    let provided = STANDARD.decode(signature).unwrap_or_default();
    let mut mismatch = String::new();
    for path in paths(head.path, target) {
        let resource = canonical_resource(path, head.query);
        let text = string_to_sign(head.method, expires, &headers, &resource);
        if bool::from(sign(&identity.secret_key, &text).ct_eq(&provided)) {
            let principal = identity.principal.clone();
            return Ok(Verified { principal, payload, signer: None, form: Form::PresignedV2 });
        }
        mismatch = text;
    }
    Err(sigv4::does_not_match(access_key, signature).with("StringToSign", mismatch))
}

/// Whether a parameter of a verified query has done its work at the gate: the signature, and
/// headers that were moved into the query.
pub fn is_spent(name: &str) -> bool {
    SIGNATURE_PARAMETERS.contains(&name) || header_of(name).is_some()
}

/// The headers that a verified query stands for.
pub fn hoisted_headers(query: &Query) -> Result<Vec<(HeaderName, HeaderValue)>, Refusal> {
    let mut hoisted = Vec::new();
    for (parameter, value) in query.iter() {
        let Some(name) = header_of(parameter) else { continue };
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
            Refusal::invalid_argument(format!("{parameter} cannot be a header"))
                .with("ArgumentName", parameter)
        })?;
        hoisted.push((name, value));
    }
    Ok(hoisted)
}

/// The header that a parameter stands for: clients move those they sign into the query.
fn header_of(parameter: &str) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(parameter.as_bytes()).ok()?;
    is_signed(&name).then_some(name)
}

fn is_signed(name: &HeaderName) -> bool {
    *name == header::CONTENT_TYPE || *name == CONTENT_MD5 || name.as_str().starts_with("x-amz-")
}

/// AWS lets version 2 signatures live for ever; here they live as long as those of version 4.
fn check_validity(expires: &str, now: OffsetDateTime) -> Result<(), Refusal> {
    let digits = expires.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = expires.parse().ok().filter(|_| digits);
    let time = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let Some(time) = time else {
        return Err(Refusal::access_denied("Invalid date (should be seconds since epoch)"));
    };
    if now > time {
        return Err(Refusal::access_denied("Request has expired")
            .with("Expires", sigv4::iso_text(time))
            .with("ServerTime", sigv4::iso_text(now)));
    }
    if (time - now).unsigned_abs().as_secs() > PRESIGNED_SECONDS_MAX {
        return Err(Refusal::access_denied("Expires must be less than a week away")
            .with("Expires", sigv4::iso_text(time))
            .with("ServerTime", sigv4::iso_text(now)));
    }
    Ok(())
}

fn check_parameters(query: &Query) -> Result<(), Refusal> {
    for (name, value) in query.iter() {
        if is_spent(name) {
            continue;
        }
        if !SIGNED_PARAMETERS.contains(&name) {
            return Err(Refusal::access_denied(
                "There were query parameters present in the request which were not signed",
            )
            .with("ParametersNotSigned", name));
        }
        let mut pieces = value.split('&').skip(1);
        let is_parameter = |piece: &str| {
            SIGNED_PARAMETERS.contains(&piece.split_once('=').map_or(piece, |(name, _)| name))
        };
        if pieces.any(is_parameter) {
            return Err(Refusal::invalid_argument("the parameter could be read as two")
                .with("ArgumentName", name));
        }
    }
    Ok(())
}

/// A header may come twice, moved into the query and as it is, when both say the same.
fn signed_headers(head: &Head<'_>) -> Result<SignedHeaders, Refusal> {
    // This form of signature covers none of ours.
    let mut names = head.headers.keys().map(HeaderName::as_str);
    if let Some(name) = names.find(|name| name.starts_with("x-lodestore-")) {
        return Err(sigv4::headers_not_signed(&[name]));
    }
    let mut headers = SignedHeaders::new();
    for name in head.headers.keys().filter(|name| is_signed(name)) {
        let values = head.headers.get_all(name).iter();
        let values: Vec<_> =
            values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        let values: Vec<&str> = values.iter().map(|value| value.trim()).collect();
        headers.insert(name.to_string(), values.join(","));
    }
    for (name, value) in hoisted_headers(head.query)? {
        let value = String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
        if headers.get(name.as_str()).is_some_and(|known| *known != value) {
            return Err(Refusal::invalid_argument(format!(
                "{name} is both in the query and in a header"
            )));
        }
        headers.insert(name.to_string(), value);
    }
    Ok(headers)
}

/// The paths the client may have signed: as it was sent, and as we would write it.
fn paths(sent: &str, target: &Target) -> Vec<String> {
    let bucket = match target.addressing {
        Addressing::Host => target.bucket.as_deref(),
        Addressing::Path => None,
    };
    let sent = match bucket {
        Some(bucket) => format!("/{bucket}{sent}"),
        None => sent.to_owned(),
    };
    let written = target.path();
    if sent == written { vec![sent] } else { vec![sent, written] }
}

fn canonical_resource(path: String, query: &Query) -> String {
    let mut resource = path;
    let mut separator = '?';
    for name in SIGNED_PARAMETERS {
        let Some(value) = query.get(name) else { continue };
        resource.push(separator);
        resource.push_str(name);
        if !value.is_empty() {
            resource.push('=');
            resource.push_str(value);
        }
        separator = '&';
    }
    resource
}

fn string_to_sign(
    method: &Method,
    expires: &str,
    headers: &SignedHeaders,
    resource: &str,
) -> String {
    let value = |name: &HeaderName| headers.get(name.as_str()).map_or("", String::as_str);
    let mut text =
        [method.as_str(), value(&CONTENT_MD5), value(&header::CONTENT_TYPE), expires].join("\n");
    text.push('\n');
    for (name, value) in headers.iter().filter(|(name, _)| name.starts_with("x-amz-")) {
        text.push_str(name);
        text.push(':');
        text.push_str(value);
        text.push('\n');
    }
    text.push_str(resource);
    text
}

fn sign(secret: &SecretKey, text: &str) -> [u8; 20] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes()).expect("any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}
