//! What a signature says about itself: whose, in which scope, over which headers.

use http::{HeaderMap, StatusCode};

use super::RequestTime;
use crate::server::query::Query;
use crate::server::refusal::Refusal;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
/// More than any client signs; keeps the checks over the list short.
const SIGNED_HEADERS_MAX: usize = 128;

/// `ACCESSKEY/20130524/us-east-1/s3/aws4_request`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credential<'a> {
    /// The whole of it.
    pub text: &'a str,
    /// Whose key.
    pub access_key: &'a str,
    /// Day, region, service and terminator, as they are signed.
    pub scope: &'a str,
    /// `YYYYMMDD`.
    pub day: &'a str,
    /// Any; clients configure what they like.
    pub region: &'a str,
    /// The service the key was derived for.
    pub service: &'a str,
}

/// The three parts of a signature.
#[derive(Debug)]
pub(super) struct Authorization<'a> {
    pub(super) credential: Credential<'a>,
    pub(super) signed_headers: Vec<&'a str>,
    pub(super) signature: [u8; 32],
}

impl<'a> Credential<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.rsplitn(5, '/');
        let terminator = parts.next()?;
        let service = parts.next()?;
        let region = parts.next()?;
        let day = parts.next()?;
        let access_key = parts.next()?;
        let scope = text.get(access_key.len() + 1..)?;
        let whole = terminator == TERMINATOR
            && !access_key.is_empty()
            && !region.is_empty()
            && !service.is_empty();
        whole.then_some(Self { text, access_key, scope, day, region, service })
    }

    /// Whether the scope is for this service and this day.
    pub(super) fn check(&self, service: &str, time: &RequestTime) -> Result<(), Refusal> {
        if self.day != time.day() {
            return Err(malformed(&format!(
                "Invalid credential date \"{}\". This date is not the same as X-Amz-Date: \
                 \"{}\".",
                self.day,
                time.day()
            )));
        }
        if self.service != service {
            return Err(malformed(&format!(
                "incorrect service \"{}\". This endpoint belongs to \"{service}\".",
                self.service
            )));
        }
        Ok(())
    }
}

impl<'a> Authorization<'a> {
    pub(super) fn parse_header(text: &'a str) -> Result<Self, Refusal> {
        let (algorithm, fields) = text.split_once(' ').unwrap_or((text, ""));
        if algorithm != ALGORITHM {
            if algorithm.starts_with("AWS4-") {
                return Err(super::unsupported_mechanism());
            }
            return Err(Refusal::invalid_argument("Unsupported Authorization Type"));
        }
        let mut credential = None;
        let mut signed_headers = None;
        let mut signature = None;
        for field in fields.split(',').map(str::trim) {
            let slot = match field.split_once('=') {
                Some(("Credential", value)) => credential.replace(value),
                Some(("SignedHeaders", value)) => signed_headers.replace(value),
                Some(("Signature", value)) => signature.replace(value),
                _ => return Err(malformed("it has a field that is not known")),
            };
            if slot.is_some() {
                return Err(malformed("it names a field twice"));
            }
        }
        let (Some(credential), Some(signed_headers), Some(signature)) =
            (credential, signed_headers, signature)
        else {
            return Err(malformed("Credential, SignedHeaders and Signature are required"));
        };
        Self::new(credential, signed_headers, signature, malformed)
    }

    pub(super) fn parse_query(query: &'a Query) -> Result<Self, Refusal> {
        let fields = [
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Signature",
            "X-Amz-Date",
            "X-Amz-SignedHeaders",
            "X-Amz-Expires",
        ];
        let [Some(algorithm), Some(credential), Some(signature), Some(_), Some(signed), Some(_)] =
            fields.map(|name| query.get(name))
        else {
            return Err(malformed_query(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, \
                 X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and \
                 X-Amz-Expires parameters.",
            ));
        };
        if algorithm != ALGORITHM {
            return Err(malformed_query("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""));
        }
        Self::new(credential, signed, signature, malformed_query)
    }

    fn new(
        credential: &'a str,
        signed_headers: &'a str,
        signature: &str,
        malformed: fn(&str) -> Refusal,
    ) -> Result<Self, Refusal> {
        let credential = Credential::parse(credential).ok_or_else(|| {
            malformed(
                "the Credential is mal-formed; expecting \
                 \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
            )
        })?;
        let signed_headers: Vec<&str> = signed_headers.split(';').collect();
        let sorted = signed_headers.is_sorted_by(|first, second| first < second);
        let plain = signed_headers
            .iter()
            .all(|name| !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase()));
        if !sorted || !plain || signed_headers.len() > SIGNED_HEADERS_MAX {
            return Err(malformed(
                "SignedHeaders must be lower case, sorted and separated by semicolons",
            ));
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(signature, &mut bytes)
            .map_err(|_| malformed("the Signature is not 64 hexadecimal digits"))?;
        Ok(Self { credential, signed_headers, signature: bytes })
    }
}

/// The service that the signature of a request, yet unverified, is for. It only picks the code
/// that will verify it.
pub fn scope_service<'a>(headers: &'a HeaderMap, query: &'a Query) -> Option<&'a str> {
    let header = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let credential = match header.and_then(after_credential) {
        Some(rest) => {
            let end = rest.bytes().position(|byte| matches!(byte, b',' | b' '));
            rest.get(..end.unwrap_or(rest.len()))?
        }
        None => query.get("X-Amz-Credential")?,
    };
    let scope = credential.strip_suffix(TERMINATOR)?.strip_suffix('/')?;
    scope.rsplit_once('/').map(|(_, service)| service)
}

fn after_credential(header: &str) -> Option<&str> {
    // Most clients write it first, where it need not be searched for.
    let usual = header.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(" Credential="));
    usual.or_else(|| header.split_once("Credential=").map(|(_, rest)| rest))
}

pub(super) fn malformed(what: &str) -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        "AuthorizationHeaderMalformed",
        format!("The authorization header is malformed; {what}"),
    )
}

pub(super) fn malformed_query(what: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "AuthorizationQueryParametersError", what)
}
