//! What the head of a request may be, beyond its signature: no header that would be read two ways,
//! no length that cannot be, nothing that asks for what is not built.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::limits::OBJECT_BYTES_MAX;
use super::operations::{Operation, Payload};
use super::refusal::Refusal;

/// The operation of a request, for handlers, logs and metrics; in its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationName(pub &'static str);

const RDMA_TOKEN: HeaderName = HeaderName::from_static("x-amz-rdma-token");

/// Headers of lists: several lines of one mean the same as one line with commas.
const LISTS: [&str; 4] = [
    "x-amz-object-attributes",
    "x-amz-optional-object-attributes",
    "x-amz-trailer",
    "cache-control",
];

/// Beside `x-amz-*`, headers that decide what a request does.
const MEANINGFUL: [HeaderName; 15] = [
    header::AUTHORIZATION,
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LANGUAGE,
    header::EXPIRES,
    header::RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
];

/// Refuses headers that what sits behind the gate would overlook: it takes a repeated header, and
/// one that is no UTF-8, for an absent one.
pub fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    for (name, value) in headers {
        if is_meaningful(name) && std::str::from_utf8(value.as_bytes()).is_err() {
            return Err(invalid_header(name.as_str(), "the header's value is not UTF-8"));
        }
    }
    let repeated = repeated(headers).find(|name| is_meaningful(name) && !is_list(name));
    match repeated {
        Some(name) => Err(invalid_header(name.as_str(), "the header is repeated")),
        None => Ok(()),
    }
}

/// Names of headers that mean something to some operation, known or not: a signed request has them all
/// signed.
pub fn is_ours_or_amazons(name: &str) -> bool {
    name.starts_with("x-amz-") || name.starts_with("x-lodestore-")
}

fn is_meaningful(name: &HeaderName) -> bool {
    let text = name.as_str();
    is_ours_or_amazons(text) || MEANINGFUL.contains(name) || text == "content-md5"
}

fn is_list(name: &HeaderName) -> bool {
    LISTS.contains(&name.as_str()) || name.as_str().starts_with("x-amz-meta-")
}

/// The names that are there more than once.
fn repeated(headers: &HeaderMap) -> impl Iterator<Item = &HeaderName> {
    let any = headers.len() > headers.keys_len();
    let names = any.then(|| headers.keys()).into_iter().flatten();
    names.filter(|name| headers.get_all(*name).iter().nth(1).is_some())
}

/// Makes one line of each repeated header that is a list; call after [`check_headers`].
pub fn join_repeated(headers: &mut HeaderMap) {
    let repeated: Vec<HeaderName> =
        repeated(headers).filter(|name| is_list(name)).cloned().collect();
    for name in repeated {
        let values: Vec<&[u8]> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
        if let Ok(joined) = HeaderValue::from_bytes(&values.join(&b","[..])) {
            headers.insert(name, joined);
        }
    }
}

/// Whether a request wants its bytes moved by RDMA. Its answer says that they are not.
pub fn asks_for_rdma(headers: &HeaderMap) -> bool {
    headers.contains_key(RDMA_TOKEN)
}

/// Refuses to take bytes by RDMA: the client sends them again over HTTP, while its bodiless request
/// would store an empty object. What is read goes over HTTP at once.
pub fn decline_rdma(headers: &HeaderMap, operation: &Operation) -> Result<(), Refusal> {
    if asks_for_rdma(headers) && operation.payload == Payload::Data {
        return Err(Refusal::not_implemented(
            "transfer by RDMA is not implemented; send the bytes over HTTP",
        ));
    }
    Ok(())
}

/// The length of the body on the wire, when the head says it.
pub fn wire_length(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    length_header(headers, &header::CONTENT_LENGTH)
}

/// The length of the plain body: after de-framing when `framed`.
pub fn plain_length(
    headers: &HeaderMap,
    operation: &Operation,
    framing: Framing,
) -> Result<Option<u64>, Refusal> {
    let decoded = HeaderName::from_static("x-amz-decoded-content-length");
    let len = match framing {
        Framing::Framed => {
            Some(length_header(headers, &decoded)?.ok_or_else(Refusal::missing_length)?)
        }
        Framing::Plain => wire_length(headers)?,
    };
    if operation.payload != Payload::Data {
        return Ok(len);
    }
    let len = len.ok_or_else(Refusal::missing_length)?;
    if len > OBJECT_BYTES_MAX {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
        )
        .with("ProposedSize", len.to_string())
        .with("MaxSizeAllowed", OBJECT_BYTES_MAX.to_string()));
    }
    Ok(Some(len))
}

/// Whether a body comes in the frames of `aws-chunked`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// As it is.
    Plain,
    /// In frames.
    Framed,
}

/// Takes `aws-chunked` out of `Content-Encoding`: it tells of the transfer, not of the object.
pub fn strip_transfer_coding(headers: &mut HeaderMap) {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else { return };
    let Ok(text) = value.to_str() else { return };
    let codings: Vec<&str> = text.split(',').map(str::trim).collect();
    let kept: Vec<&str> = codings
        .iter()
        .copied()
        .filter(|coding| !coding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    if kept.len() == codings.len() {
        return;
    }
    match HeaderValue::from_str(&kept.join(",")) {
        Ok(value) if !kept.is_empty() => {
            headers.insert(header::CONTENT_ENCODING, value);
        }
        _ => {
            headers.remove(header::CONTENT_ENCODING);
        }
    }
}

fn length_header(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|text| text.parse().ok()) {
        Some(len) => Ok(Some(len)),
        None => Err(invalid_header(name.as_str(), "the header is not a number")),
    }
}

fn invalid_header(name: &str, what: &str) -> Refusal {
    Refusal::invalid_argument(format!("{what}: {name}")).with("ArgumentName", name)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{check_headers, join_repeated, strip_transfer_coding};

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn headers_that_would_be_overlooked_are_refused() {
        for lines in [
            [("if-none-match", &b"*"[..]), ("if-none-match", b"*")],
            [("x-amz-copy-source", b"/a/b"), ("x-amz-copy-source", b"/a/b")],
            [("content-md5", b"a"), ("content-md5", b"b")],
            [("x-amz-object-lock-mode", b"\xff"), ("range", b"bytes=0-1")],
            [("x-amz-meta-a", b"\xff"), ("range", b"bytes=0-1")],
            [("x-lodestore-vector-key", b"a"), ("x-lodestore-vector-key", b"b")],
            [("cache-control", b"\xff"), ("range", b"bytes=0-1")],
        ] {
            assert_eq!(check_headers(&headers(&lines)).unwrap_err().code, "InvalidArgument");
        }
        let fine = [("x-amz-meta-a", "ä".as_bytes()), ("x-amz-meta-a", b"b"), ("accept", b"\xff")];
        assert!(check_headers(&headers(&fine)).is_ok());
    }

    #[test]
    fn repeated_lists_become_one_line() {
        let mut repeated = headers(&[
            ("x-amz-meta-a", b"1"),
            ("x-amz-meta-a", b"2"),
            ("x-amz-object-attributes", b"ETag"),
            ("x-amz-object-attributes", b"ObjectSize"),
        ]);
        join_repeated(&mut repeated);
        assert_eq!(repeated["x-amz-meta-a"], "1,2");
        assert_eq!(repeated["x-amz-object-attributes"], "ETag,ObjectSize");
        assert_eq!(repeated.len(), 2);
    }

    #[test]
    fn the_transfer_coding_is_not_kept() {
        for (before, after) in [
            ("aws-chunked", None),
            ("gzip, aws-chunked", Some("gzip")),
            ("AWS-Chunked,gzip", Some("gzip")),
            ("gzip, br", Some("gzip, br")),
            ("", Some("")),
        ] {
            let mut map = headers(&[("content-encoding", before.as_bytes())]);
            strip_transfer_coding(&mut map);
            let found = map.get("content-encoding").map(|value| value.to_str().unwrap());
            assert_eq!(found, after, "{before}");
        }
    }
}
