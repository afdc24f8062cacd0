//! Reads from the head what was promised about the body: its digests, and which of them come in
//! the trailer.

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, StatusCode};

use super::body::{BodyPromise, ChecksumSource};
use super::chunked::TrailingChecksum;
use super::operations::{Operation, Payload};
use super::refusal::Refusal;
use super::sigv4::PayloadHash;
use crate::checksum::Algorithm;

/// The names that look like a checksum's header and are none.
const NOT_VALUES: [&str; 3] =
    ["x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"];

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const TRAILER: HeaderName = HeaderName::from_static("x-amz-trailer");
const SDK_ALGORITHM: HeaderName = HeaderName::from_static("x-amz-sdk-checksum-algorithm");

/// The promise of a head whose body, plain, has `len` bytes.
pub fn read(
    headers: &HeaderMap,
    operation: &Operation,
    payload: PayloadHash,
    len: Option<u64>,
) -> Result<BodyPromise, Refusal> {
    let trailing = trailing_algorithm(headers, payload)?;
    let in_header = match operation.payload {
        // There these headers speak of the object that is made, not of a body.
        Payload::Nothing => None,
        Payload::Xml if operation.name == "CompleteMultipartUpload" => None,
        Payload::Data | Payload::Xml | Payload::Json => header_checksum(headers)?,
    };
    let checksum = match (in_header, trailing) {
        (Some(_), Some(_)) => return Err(several_checksums()),
        (Some((algorithm, digest)), None) => Some((algorithm, ChecksumSource::Header(digest))),
        (None, Some(algorithm)) => {
            Some((algorithm, ChecksumSource::Trailer(Arc::new(OnceLock::new()))))
        }
        (None, None) => None,
    };
    if matches!(operation.payload, Payload::Data) {
        check_announced(headers, checksum.as_ref().map(|(algorithm, _)| *algorithm))?;
    }
    Ok(BodyPromise { len, content_md5: content_md5(headers)?, checksum })
}

/// The part of a promise that the de-framer keeps.
pub fn trailing(promise: &BodyPromise) -> Option<TrailingChecksum> {
    match &promise.checksum {
        Some((algorithm, ChecksumSource::Trailer(slot))) => {
            Some(TrailingChecksum { algorithm: *algorithm, slot: Arc::clone(slot) })
        }
        _ => None,
    }
}

fn content_md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>, Refusal> {
    let Some(value) = headers.get(CONTENT_MD5) else { return Ok(None) };
    STANDARD
        .decode(value.as_bytes())
        .ok()
        .and_then(|digest| digest.try_into().ok())
        .map(Some)
        .ok_or_else(|| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                "InvalidDigest",
                "The Content-MD5 you specified was invalid.",
            )
        })
}

fn header_checksum(headers: &HeaderMap) -> Result<Option<(Algorithm, Vec<u8>)>, Refusal> {
    let mut found = None;
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with("x-amz-checksum-") || NOT_VALUES.contains(&name) {
            continue;
        }
        let Some(algorithm) = Algorithm::from_header(name) else {
            return Err(Refusal::not_implemented(format!("the checksum of {name} is not known")));
        };
        let digest = STANDARD
            .decode(value.as_bytes())
            .ok()
            .filter(|digest| digest.len() == algorithm.digest_bytes())
            .ok_or_else(|| {
                Refusal::invalid_request(format!("Value for {name} header is invalid."))
            })?;
        if found.replace((algorithm, digest)).is_some() {
            return Err(several_checksums());
        }
    }
    Ok(found)
}

fn trailing_algorithm(
    headers: &HeaderMap,
    payload: PayloadHash,
) -> Result<Option<Algorithm>, Refusal> {
    let with_trailer =
        matches!(payload, PayloadHash::SignedChunksTrailer | PayloadHash::UnsignedChunksTrailer);
    let announced = headers.get(TRAILER).map(|value| value.to_str().unwrap_or_default());
    match (with_trailer, announced) {
        (false, None) => Ok(None),
        (false, Some(_)) => Err(Refusal::invalid_request(
            "x-amz-trailer was given, but x-amz-content-sha256 does not announce a trailer",
        )),
        (true, None) => Err(Refusal::invalid_request(
            "x-amz-content-sha256 announces a trailer, but x-amz-trailer is missing",
        )),
        (true, Some(names)) => {
            let mut names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
            let algorithm = names.next().and_then(Algorithm::from_header).ok_or_else(|| {
                Refusal::invalid_request(
                    "The value specified in the x-amz-trailer header is not supported",
                )
            })?;
            if names.next().is_some() { Err(several_checksums()) } else { Ok(Some(algorithm)) }
        }
    }
}

/// An SDK that says which checksum it computed must have sent that one.
fn check_announced(headers: &HeaderMap, found: Option<Algorithm>) -> Result<(), Refusal> {
    let Some(value) = headers.get(SDK_ALGORITHM) else { return Ok(()) };
    let announced = value.to_str().ok().and_then(Algorithm::from_name).ok_or_else(|| {
        Refusal::invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid.")
    })?;
    match found {
        Some(found) if found == announced => Ok(()),
        Some(_) => Err(Refusal::invalid_request(
            "Value for x-amz-sdk-checksum-algorithm header is invalid.",
        )),
        None => Err(Refusal::invalid_request(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or \
             x-amz-trailer headers were found.",
        )),
    }
}

fn several_checksums() -> Refusal {
    Refusal::invalid_request(
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
    )
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::read;
    use crate::server::body::BodyPromise;
    use crate::server::operations::OPERATIONS;
    use crate::server::refusal::Refusal;
    use crate::server::sigv4::PayloadHash;

    fn promise(
        operation: &str,
        payload: PayloadHash,
        lines: &[(&'static str, &'static str)],
    ) -> Result<BodyPromise, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let operation = OPERATIONS.iter().find(|row| row.name == operation).unwrap();
        read(&headers, operation, payload, Some(1))
    }

    fn code(payload: PayloadHash, lines: &[(&'static str, &'static str)]) -> &'static str {
        promise("PutObject", payload, lines).err().map_or("none", |refusal| refusal.code)
    }

    #[test]
    fn digests_are_read_and_malformed_ones_refused() {
        let plain = PayloadHash::Unsigned;
        for (name, value, expected) in [
            ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==", "none"),
            ("content-md5", "", "InvalidDigest"),
            ("content-md5", "YWJyYWNhZGFicmE=", "InvalidDigest"),
            ("content-md5", "rubbish!", "InvalidDigest"),
            ("x-amz-checksum-crc32", "AAAAAA==", "none"),
            ("x-amz-checksum-crc32", "AAAAAAAA", "InvalidRequest"),
            ("x-amz-checksum-crc32", "?", "InvalidRequest"),
            ("x-amz-checksum-md9", "AAAA", "NotImplemented"),
            ("x-amz-checksum-algorithm", "CRC32", "none"),
        ] {
            assert_eq!(code(plain, &[(name, value)]), expected, "{name}: {value}");
        }
        let two = [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-crc32c", "AAAAAA==")];
        assert_eq!(code(plain, &two), "InvalidRequest");
    }

    #[test]
    fn trailers_are_announced_on_both_sides_or_on_neither() {
        let trailer = PayloadHash::UnsignedChunksTrailer;
        let crc32 = ("x-amz-trailer", "x-amz-checksum-crc32");
        for (payload, lines, expected) in [
            (trailer, &[crc32][..], "none"),
            (trailer, &[("x-amz-trailer", "X-Amz-Checksum-CRC32")], "none"),
            (trailer, &[], "InvalidRequest"),
            (trailer, &[("x-amz-trailer", "x-amz-meta-a")], "InvalidRequest"),
            (
                trailer,
                &[("x-amz-trailer", "x-amz-checksum-sha1,x-amz-checksum-crc32")],
                "InvalidRequest",
            ),
            (trailer, &[crc32, ("x-amz-checksum-crc32", "AAAAAA==")], "InvalidRequest"),
            (PayloadHash::Unsigned, &[crc32], "InvalidRequest"),
            (PayloadHash::SignedChunks, &[crc32], "InvalidRequest"),
            (trailer, &[crc32, ("x-amz-sdk-checksum-algorithm", "CRC32")], "none"),
            (trailer, &[crc32, ("x-amz-sdk-checksum-algorithm", "SHA1")], "InvalidRequest"),
            (PayloadHash::Unsigned, &[("x-amz-sdk-checksum-algorithm", "CRC32")], "InvalidRequest"),
        ] {
            assert_eq!(code(payload, lines), expected, "{payload:?} {lines:?}");
        }
    }

    #[test]
    fn checksums_of_the_object_to_be_are_left_to_the_handler() {
        let lines = [("x-amz-checksum-crc32", "AAAAAA==")];
        let complete = promise("CompleteMultipartUpload", PayloadHash::Unsigned, &lines).unwrap();
        assert!(complete.checksum.is_none());
        let delete = promise("DeleteObjects", PayloadHash::Unsigned, &lines).unwrap();
        assert!(delete.checksum.is_some());
    }
}
