//! One verifier of AWS Signature Version 4 for every service: in the `Authorization` header and in
//! the query of a presigned URL.
//!
//! - What took part in the signature is what is used: every `x-amz-*` and `x-lodestore-*` header must
//!   be signed, each name in the signed list must be there, `host` must be among them.
//! - A signature is compared in constant time, and only after everything that needs no secret.
//! - The payload is not read here; its promised hash is part of what was signed, and
//!   [`Verified::payload`] says how it has to be checked while it comes in.

mod authorization;
mod canonical;
mod date;
#[cfg(test)]
pub(super) mod example;
mod payload;
mod signing;
#[cfg(test)]
mod tests;

use http::{HeaderMap, HeaderName, Method, StatusCode};
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

pub use authorization::{Credential, scope_service};
pub use date::RequestTime;
pub(super) use date::iso_text;
pub use payload::PayloadHash;
pub use signing::{ChunkSigner, SigningKey, SigningKeys};

use super::guard::is_ours_or_amazons;
use super::limits::{PRESIGNED_SECONDS_MAX, SKEW_MAX};
use super::query::Query;
use super::refusal::Refusal;
use super::sigv2;
use crate::iam::{Identities, Principal};
use authorization::Authorization;
use canonical::CanonicalRequest;

/// The one header whose value is part of the signature without being named in its list.
pub(super) const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// How a service writes the path into what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathStyle {
    /// S3: encoded once, nothing normalised.
    Once,
    /// All others: encoded once more, dot segments resolved.
    Twice,
}

/// The head of a request as it came.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path, undecoded.
    pub path: &'a str,
    /// Its query, decoded.
    pub query: &'a Query,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The host asked for: `Host`, or `:authority` in HTTP/2.
    pub host: Option<&'a str>,
}

/// What a verified head says.
#[derive(Debug)]
pub struct Verified {
    /// Who signed.
    pub principal: Principal,
    /// How the payload is protected.
    pub payload: PayloadHash,
    /// Signs chunks and trailers, for payloads signed piece by piece.
    pub signer: Option<ChunkSigner>,
    /// Where the signature was.
    pub form: Form,
}

/// Where a signature was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Nowhere.
    Unsigned,
    /// In the `Authorization` header.
    Header,
    /// In the query.
    Presigned,
    /// In the query, of version 2.
    PresignedV2,
}

/// The verifier: identities and their derived keys.
#[derive(Debug)]
pub struct Verifier {
    identities: Identities,
    keys: SigningKeys,
}

impl Verifier {
    /// One for these identities.
    pub fn new(identities: Identities) -> Self {
        Self { identities, keys: SigningKeys::default() }
    }

    /// Whose signatures it knows.
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// Verifies a head that addresses `service`.
    pub fn verify(
        &self,
        head: &Head<'_>,
        service: &str,
        style: PathStyle,
        now: OffsetDateTime,
    ) -> Result<Verified, Refusal> {
        let header = authorization_header(head)?;
        // Version 2 in a query is for the gate, which knows what the request is about.
        let version_2 = header.is_some_and(|header| header.starts_with("AWS "));
        if version_2 || sigv2::is_presigned(head.query) {
            return Err(unsupported_mechanism());
        }
        match (header, is_presigned(head.query)) {
            (Some(_), true) => Err(second_mechanism()),
            (Some(header), false) => {
                let authorization = Authorization::parse_header(header)?;
                refuse_session_token(head)?;
                self.verify_header(head, &authorization, service, style, now)
            }
            (None, true) => {
                let authorization = Authorization::parse_query(head.query)?;
                refuse_session_token(head)?;
                self.verify_query(head, &authorization, service, style, now)
            }
            (None, false) => unsigned(head),
        }
    }

    /// Looks at all of a head that needs neither a secret nor the body, whose hash it does not tell.
    /// Bodies of those whom it refuses need not be taken in.
    pub fn precheck(
        &self,
        head: &Head<'_>,
        service: &str,
        now: OffsetDateTime,
    ) -> Result<(), Refusal> {
        let (authorization, _, _) = self.claim(head, service, now)?;
        let access_key = authorization.credential.access_key;
        match self.identities.find(access_key) {
            Some(_) => Ok(()),
            None => Err(unknown_access_key(access_key)),
        }
    }

    /// Verifies a head whose signature covers the hash of the body that came with it: 64 hex digits.
    /// Whatever the head tells of a hash, the body's own counts.
    pub fn verify_with_body(
        &self,
        head: &Head<'_>,
        service: &str,
        body_sha256: &str,
        now: OffsetDateTime,
    ) -> Result<Verified, Refusal> {
        let (authorization, time, form) = self.claim(head, service, now)?;
        let hash = &[Some(body_sha256)];
        let style = PathStyle::Twice;
        self.finish(head, &authorization, &time, style, hash, PayloadHash::Absent, form)
    }

    /// What a head says about its signature, in the header or in the query.
    fn claim<'a>(
        &self,
        head: &Head<'a>,
        service: &str,
        now: OffsetDateTime,
    ) -> Result<(Authorization<'a>, RequestTime, Form), Refusal> {
        let (authorization, time, form) =
            match (authorization_header(head)?, is_presigned(head.query)) {
                (Some(_), true) => return Err(second_mechanism()),
                (None, false) => return Err(unsigned_refusal()),
                (Some(header), false) => {
                    let authorization = Authorization::parse_header(header)?;
                    let time = RequestTime::of_headers(head.headers)?;
                    check_skew(&time, now)?;
                    (authorization, time, Form::Header)
                }
                (None, true) => {
                    let authorization = Authorization::parse_query(head.query)?;
                    let time = RequestTime::of_query(head.query)?;
                    check_validity(head.query, &time, now)?;
                    (authorization, time, Form::Presigned)
                }
            };
        refuse_session_token(head)?;
        authorization.credential.check(service, &time)?;
        check_signed_headers(head, &authorization.signed_headers)?;
        Ok((authorization, time, form))
    }

    fn verify_header(
        &self,
        head: &Head<'_>,
        authorization: &Authorization<'_>,
        service: &str,
        style: PathStyle,
        now: OffsetDateTime,
    ) -> Result<Verified, Refusal> {
        let time = RequestTime::of_headers(head.headers)?;
        authorization.credential.check(service, &time)?;
        check_skew(&time, now)?;
        check_signed_headers(head, &authorization.signed_headers)?;
        let payload = PayloadHash::of_headers(head.headers)?;
        if style == PathStyle::Once && payload == PayloadHash::Absent {
            return Err(Refusal::invalid_request(
                "Missing required header for this request: x-amz-content-sha256",
            ));
        }
        let hash = head.headers.get(CONTENT_SHA256).and_then(|value| value.to_str().ok());
        self.finish(head, authorization, &time, style, &[hash], payload, Form::Header)
    }

    fn verify_query(
        &self,
        head: &Head<'_>,
        authorization: &Authorization<'_>,
        service: &str,
        style: PathStyle,
        now: OffsetDateTime,
    ) -> Result<Verified, Refusal> {
        let time = RequestTime::of_query(head.query)?;
        authorization.credential.check(service, &time)?;
        check_validity(head.query, &time, now)?;
        check_signed_headers(head, &authorization.signed_headers)?;
        let (hashes, payload) = presigned_payload(head)?;
        self.finish(head, authorization, &time, style, &hashes, payload, Form::Presigned)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one signature, used once")]
    fn finish(
        &self,
        head: &Head<'_>,
        authorization: &Authorization<'_>,
        time: &RequestTime,
        style: PathStyle,
        hashes: &[Option<&str>],
        payload: PayloadHash,
        form: Form,
    ) -> Result<Verified, Refusal> {
        let credential = &authorization.credential;
        let Some(identity) = self.identities.find(credential.access_key) else {
            return Err(unknown_access_key(credential.access_key));
        };
        let kept = self.keys.find(credential);
        let is_new = kept.is_none();
        let key = kept.unwrap_or_else(|| SigningKey::derive(&identity.secret_key, credential));
        let mut mismatch = None;
        for hash in hashes {
            let canonical = CanonicalRequest::new(head, &authorization.signed_headers, *hash);
            for path in canonical.paths(style) {
                let text = canonical.text(&path);
                let to_sign = canonical::string_to_sign(&text, time, credential);
                let signature = key.sign(to_sign.as_bytes());
                let equal: bool = signature.ct_eq(&authorization.signature).into();
                if equal {
                    if is_new {
                        self.keys.keep(credential, &key);
                    }
                    let signer = payload
                        .is_signed_in_chunks()
                        .then(|| ChunkSigner::new(key, time, credential, authorization.signature));
                    let principal = identity.principal.clone();
                    return Ok(Verified { principal, payload, signer, form });
                }
                mismatch.get_or_insert((text, to_sign));
            }
        }
        let signature = hex::encode(authorization.signature);
        let refusal = does_not_match(credential.access_key, &signature);
        Err(match mismatch {
            Some((canonical, to_sign)) => {
                refusal.with("StringToSign", to_sign).with("CanonicalRequest", canonical)
            }
            None => refusal,
        })
    }
}

fn authorization_header<'a>(head: &Head<'a>) -> Result<Option<&'a str>, Refusal> {
    let Some(value) = head.headers.get(http::header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Refusal::access_denied("Access Denied"))?;
    // A header without a word is as good as none.
    Ok(Some(text.trim()).filter(|text| !text.is_empty()))
}

fn is_presigned(query: &Query) -> bool {
    query.has("X-Amz-Algorithm") || query.has("X-Amz-Signature")
}

/// Refuses a signature of this version beside one of another.
pub(super) fn refuse_second_mechanism(head: &Head<'_>) -> Result<(), Refusal> {
    if authorization_header(head)?.is_some() || is_presigned(head.query) {
        return Err(second_mechanism());
    }
    Ok(())
}

/// A request that has to be signed and is not.
fn unsigned_refusal() -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        "MissingAuthenticationToken",
        "Missing Authentication Token",
    )
}

fn second_mechanism() -> Refusal {
    Refusal::invalid_argument(
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature \
         query string parameter or the Authorization header should be specified",
    )
}

pub(super) fn unsupported_mechanism() -> Refusal {
    Refusal::invalid_request(
        "The authorization mechanism you have provided is not supported. Please use \
         AWS4-HMAC-SHA256.",
    )
}

/// There are no sessions yet, so no token can be one of ours.
pub(super) fn refuse_session_token(head: &Head<'_>) -> Result<(), Refusal> {
    if head.headers.contains_key(SECURITY_TOKEN)
        || head.query.iter().any(|(name, _)| name.eq_ignore_ascii_case("x-amz-security-token"))
    {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "InvalidToken",
            "The provided token is malformed or otherwise invalid.",
        ));
    }
    Ok(())
}

fn unsigned(head: &Head<'_>) -> Result<Verified, Refusal> {
    let payload = PayloadHash::of_headers(head.headers)?;
    if payload.is_signed_in_chunks() {
        return Err(Refusal::access_denied("Access Denied"));
    }
    Ok(Verified { principal: Principal::anonymous(), payload, signer: None, form: Form::Unsigned })
}

/// The hashes a presigned request may have been signed with, and how its payload is protected.
fn presigned_payload<'a>(head: &Head<'a>) -> Result<(Vec<Option<&'a str>>, PayloadHash), Refusal> {
    let hoisted = head
        .query
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(CONTENT_SHA256.as_str()))
        .map(|(_, value)| value);
    let in_header = match head.headers.get(CONTENT_SHA256) {
        None => None,
        Some(value) => Some(value.to_str().map_err(|_| payload::invalid_hash())?),
    };
    let payload = match hoisted.or(in_header) {
        Some(text) => PayloadHash::parse(text)?,
        None => PayloadHash::Unsigned,
    };
    if payload.is_signed_in_chunks() {
        return Err(presigned_chunks());
    }
    // Most clients sign UNSIGNED-PAYLOAD whatever they send; some sign what they announce.
    let mut hashes = vec![Some(payload::UNSIGNED)];
    hashes.extend([hoisted, in_header].into_iter().flatten().map(Some));
    hashes.dedup();
    Ok((hashes, payload))
}

pub(super) fn presigned_chunks() -> Refusal {
    Refusal::invalid_request("a presigned request cannot carry a payload signed in chunks")
}

fn check_skew(time: &RequestTime, now: OffsetDateTime) -> Result<(), Refusal> {
    if (now - time.time()).unsigned_abs() <= SKEW_MAX {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::FORBIDDEN,
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
    )
    .with("RequestTime", time.text())
    .with("ServerTime", date::iso_text(now))
    .with("MaxAllowedSkewMilliseconds", SKEW_MAX.as_millis().to_string()))
}

fn check_validity(query: &Query, time: &RequestTime, now: OffsetDateTime) -> Result<(), Refusal> {
    let text = query.get("X-Amz-Expires").unwrap_or_default();
    let seconds: i64 = text
        .parse()
        .map_err(|_| authorization::malformed_query("X-Amz-Expires should be a number"))?;
    let Ok(seconds) = u64::try_from(seconds) else {
        return Err(authorization::malformed_query("X-Amz-Expires must be non-negative"));
    };
    if seconds > PRESIGNED_SECONDS_MAX {
        return Err(authorization::malformed_query(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given \
             X-Amz-Expires must be less than 604800 seconds",
        ));
    }
    if time.time() - now > SKEW_MAX {
        return Err(Refusal::access_denied("Request is not valid yet")
            .with("ServerTime", date::iso_text(now)));
    }
    let expiry = time.time() + std::time::Duration::from_secs(seconds);
    // Validity of zero seconds is over before it begins.
    if now > expiry || seconds == 0 {
        return Err(Refusal::access_denied("Request has expired")
            .with("X-Amz-Expires", text)
            .with("Expires", date::iso_text(expiry))
            .with("ServerTime", date::iso_text(now)));
    }
    Ok(())
}

/// The refusal of headers that have a meaning and no part in the signature.
pub(super) fn headers_not_signed(names: &[&str]) -> Refusal {
    Refusal::access_denied("There were headers present in the request which were not signed")
        .with("HeadersNotSigned", names.join(", "))
}

fn check_signed_headers(head: &Head<'_>, signed: &[&str]) -> Result<(), Refusal> {
    let mut left_out: Vec<&str> = head
        .headers
        .keys()
        .map(HeaderName::as_str)
        .filter(|name| is_ours_or_amazons(name) && *name != CONTENT_SHA256.as_str())
        .filter(|name| !signed.contains(name))
        .collect();
    if !signed.contains(&"host") {
        left_out.insert(0, "host");
    }
    if !left_out.is_empty() {
        return Err(headers_not_signed(&left_out));
    }
    for name in signed {
        let present =
            if *name == "host" { head.host.is_some() } else { head.headers.contains_key(*name) };
        if !present {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "SignatureDoesNotMatch",
                format!("the signed header {name} is not in the request"),
            ));
        }
    }
    Ok(())
}

pub(super) fn unknown_access_key(access_key: &str) -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
    )
    .with("AWSAccessKeyId", access_key)
}

pub(super) fn does_not_match(access_key: &str, signature: &str) -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check \
         your key and signing method.",
    )
    .with("AWSAccessKeyId", access_key)
    .with("SignatureProvided", signature)
}
