//! Reading: the answer of `GetObject` and of `HeadObject`, which has the same headers.

use std::ops::Range;

use futures::StreamExt as _;
use futures::stream;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE,
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES, IF_RANGE, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use s3s::header::{
    X_AMZ_CHECKSUM_TYPE, X_AMZ_MP_PARTS_COUNT, X_AMZ_OBJECT_LOCK_LEGAL_HOLD,
    X_AMZ_OBJECT_LOCK_MODE, X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE, X_AMZ_SERVER_SIDE_ENCRYPTION,
    X_AMZ_STORAGE_CLASS, X_AMZ_TAGGING_COUNT, X_AMZ_VERSION_ID, X_AMZ_WEBSITE_REDIRECT_LOCATION,
};
use s3s::{Body, HttpResponse, S3ErrorCode, S3Result, s3_error};

use super::action::Extra;
use super::caller::Access;
use super::checksum_fields::{coverage_text, digest_text};
use super::condition::{check_read, range_stands};
use super::error::insert_text;
use super::lock::{hold_name, mode_name};
use super::properties::{DEFAULT_CONTENT_TYPE, encoded_words, http_date, iso_date};
use super::read::{ChecksumDisplay, Read, ReadKind, ReadRequest, Selection};
use super::refusal::{refuse_encryption, refuse_unbuilt};
use super::{Wire, binding, body};
use crate::checksum::{Algorithm, Coverage};
use crate::objects::{Encryption, LegalHold, ObjectError, ObjectInfo, StorageClass, ValueReader};

/// Up to here a value is read at once and sent in one write with its head.
const WHOLE_BYTES_MAX: u64 = 64 * 1024;
/// Room for the headers of most answers, those of the response stage included.
const HEADERS_USUAL: usize = 12;

/// Answers a read.
pub(super) async fn answer(wire: &Wire, request: &ReadRequest<'_>) -> S3Result<HttpResponse> {
    let access = wire
        .at_named(request.caller(), request.kind.operation(), request.name()?)
        .map_err(|error| match error.code() {
            S3ErrorCode::NoSuchBucket if !s3s::path::check_bucket_name(request.bucket) => {
                s3_error!(InvalidBucketName)
            }
            _ => error,
        })?;
    refuse_unbuilt(request.headers)?;
    refuse_encryption(request.headers)?;
    let read = request.read()?;
    let object = access.object(request.key).await?;
    let info = object.info();
    check_read(&read.conditions, info)?;
    let view = View::of(info, &read, request.headers)?;
    let range = view.cut.range.clone();
    let headers = head(&access, &view, read);
    let body = match request.kind {
        ReadKind::Get => stream_of(object.into_reader(range)).await?,
        ReadKind::Head => Body::empty(),
    };
    let mut response = HttpResponse::new(body);
    if headers.contains_key(CONTENT_RANGE) {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    *response.headers_mut() = headers;
    Ok(response)
}

/// What a read shows of an object.
struct View<'a> {
    info: &'a ObjectInfo,
    cut: Cut,
    checksum: Option<ShownChecksum>,
    parts_count: Option<usize>,
}

impl<'a> View<'a> {
    /// Decides what is shown.
    fn of(info: &'a ObjectInfo, read: &Read, headers: &HeaderMap) -> S3Result<Self> {
        let selection = match read.selection {
            Selection::Bytes(_) if !range_stands(headers.get(IF_RANGE), info) => Selection::Whole,
            selection => selection,
        };
        Ok(Self {
            info,
            cut: cut(info, selection)?,
            checksum: match read.checksums {
                ChecksumDisplay::Shown => shown_checksum(info, selection),
                ChecksumDisplay::Hidden => None,
            },
            parts_count: match selection {
                Selection::Part(_) => info.parts_count(),
                _ => None,
            },
        })
    }
}

/// The headers of the answer.
fn head(access: &Access, view: &View<'_>, read: Read) -> HeaderMap {
    let info = view.info;
    let kept = &info.meta.headers;
    let mut headers = HeaderMap::with_capacity(HEADERS_USUAL);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let len = view.cut.range.end - view.cut.range.start;
    insert_text(&mut headers, CONTENT_LENGTH, len.to_string());
    insert_text(&mut headers, ETAG, info.etag.quoted());
    insert_text(&mut headers, LAST_MODIFIED, http_date(info.last_modified_ms));
    let Encryption::Aes256 = info.meta.encryption;
    headers.insert(X_AMZ_SERVER_SIDE_ENCRYPTION, HeaderValue::from_static("AES256"));
    if let Some(range) = &view.cut.content_range {
        insert_text(&mut headers, CONTENT_RANGE, range.clone());
    }
    if kept.content_type.is_none() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(DEFAULT_CONTENT_TYPE));
    }
    for (name, text) in [
        (CONTENT_TYPE, &kept.content_type),
        (CACHE_CONTROL, &kept.cache_control),
        (CONTENT_DISPOSITION, &kept.content_disposition),
        (CONTENT_ENCODING, &kept.content_encoding),
        (CONTENT_LANGUAGE, &kept.content_language),
        (EXPIRES, &kept.expires),
        (X_AMZ_WEBSITE_REDIRECT_LOCATION, &kept.website_redirect),
    ] {
        if let Some(text) = text {
            insert_text(&mut headers, name, text.clone());
        }
    }
    for (name, text) in &info.meta.user_metadata {
        if let Ok(name) = HeaderName::try_from(["x-amz-meta-", name].concat()) {
            insert_text(&mut headers, name, encoded_words(text));
        }
    }
    if let Some(checksum) = &view.checksum {
        let name = HeaderName::from_static(checksum.algorithm.header());
        insert_text(&mut headers, name, checksum.text.clone());
        insert_text(&mut headers, X_AMZ_CHECKSUM_TYPE, coverage_text(checksum.coverage).to_owned());
    }
    if let Some(count) = view.parts_count {
        headers.insert(X_AMZ_MP_PARTS_COUNT, HeaderValue::from(count));
    }
    if let Some(version) = info.version {
        insert_text(&mut headers, X_AMZ_VERSION_ID, version.to_string());
    }
    // S3 leaves the header out for the standard class.
    if info.meta.storage_class != StorageClass::default() {
        let name = HeaderValue::from_static(info.meta.storage_class.name());
        headers.insert(X_AMZ_STORAGE_CLASS, name);
    }
    if let Some(vector) = &info.meta.binding {
        binding::insert(&mut headers, vector);
    }
    insert_tag_count(&mut headers, access, info);
    insert_lock(&mut headers, access, info);
    headers.extend(read.overrides.into_iter().map(|(name, value)| (Some(name), value)));
    headers
}

/// The bytes that are sent, and the header that says which they are.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    range: Range<u64>,
    content_range: Option<String>,
}

fn cut(info: &ObjectInfo, selection: Selection) -> Result<Cut, ObjectError> {
    let range = match selection {
        Selection::Whole => return Ok(Cut { range: 0..info.size, content_range: None }),
        Selection::Bytes(range) => range.resolve(info.size)?,
        // Reads say `InvalidPart` where the model says that there is no such part.
        Selection::Part(number) => info.part(number).map(|(_, range)| range).map_err(|error| {
            if error == ObjectError::NoSuchPart { ObjectError::InvalidPart } else { error }
        })?,
    };
    let content_range = (!range.is_empty())
        .then(|| format!("bytes {}-{}/{}", range.start, range.end - 1, info.size));
    Ok(Cut { range, content_range })
}

/// A checksum as headers show it.
#[derive(Debug, PartialEq, Eq)]
struct ShownChecksum {
    algorithm: Algorithm,
    coverage: Coverage,
    text: String,
}

/// The checksum that covers exactly what is sent, if one does.
fn shown_checksum(info: &ObjectInfo, selection: Selection) -> Option<ShownChecksum> {
    let checksum = info.meta.checksum.as_ref()?;
    let text = match selection {
        Selection::Bytes(_) => None,
        Selection::Whole => Some(checksum.text()),
        Selection::Part(number) => match info.part(number) {
            Ok((Some(part), _)) => info.meta.part_checksum(part).map(|part| part.text()),
            Ok((None, _)) => Some(digest_text(&checksum.digest)),
            Err(_) => None,
        },
    }?;
    Some(ShownChecksum { algorithm: checksum.algorithm, coverage: checksum.coverage, text })
}

/// Shows a lock to those who may see it.
fn insert_lock(headers: &mut HeaderMap, access: &Access, info: &ObjectInfo) {
    let Some(lock) = info.lock else { return };
    if let Some(retention) = lock.retention
        && access.also(Extra::SeeRetention, &info.key).is_ok()
    {
        let mode = HeaderValue::from_static(mode_name(retention.mode));
        headers.insert(X_AMZ_OBJECT_LOCK_MODE, mode);
        let until = iso_date(retention.until_ms);
        insert_text(headers, X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE, until);
    }
    if lock.legal_hold != LegalHold::NeverSet && access.also(Extra::SeeLegalHold, &info.key).is_ok()
    {
        let hold = HeaderValue::from_static(hold_name(lock.legal_hold == LegalHold::On));
        headers.insert(X_AMZ_OBJECT_LOCK_LEGAL_HOLD, hold);
    }
}

/// Shows how many tags there are to those who may see them.
fn insert_tag_count(headers: &mut HeaderMap, access: &Access, info: &ObjectInfo) {
    let count = info.meta.tags.tags().len();
    if count > 0 && access.also(Extra::SourceTags, &info.key).is_ok() {
        headers.insert(X_AMZ_TAGGING_COUNT, HeaderValue::from(count));
    }
}

/// The bytes that are sent. The first piece is read before the answer begins, so that a failure to
/// read it still has a status of its own.
async fn stream_of(mut reader: ValueReader) -> S3Result<Body> {
    let len = reader.remaining();
    if len <= WHOLE_BYTES_MAX {
        return Ok(Body::from(reader.collect().await.map_err(ObjectError::from)?));
    }
    let first = reader.next().await.transpose().map_err(ObjectError::from)?;
    let rest = reader.into_stream().map(|piece| piece.map_err(ObjectError::from));
    Ok(body::pieces(stream::iter(first.map(Ok)).chain(rest), len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{self, ByteRange, Checksum, ObjectMeta};

    fn info(size: u64) -> ObjectInfo {
        ObjectInfo {
            key: "key".into(),
            version: None,
            size,
            etag: objects::ETag::of_md5([7; 16]),
            last_modified_ms: 0,
            meta: ObjectMeta {
                checksum: Some(Checksum::full(Algorithm::Crc32, vec![0, 0, 0, 1])),
                ..Default::default()
            },
            lock: None,
        }
    }

    #[test]
    fn a_range_shows_as_content_range() {
        for (range, cut_to, header) in [
            (ByteRange::Between(0, 4), 0..5, "bytes 0-4/10"),
            (ByteRange::Between(4, 99), 4..10, "bytes 4-9/10"),
            (ByteRange::From(9), 9..10, "bytes 9-9/10"),
            (ByteRange::Last(3), 7..10, "bytes 7-9/10"),
        ] {
            let cut = cut(&info(10), Selection::Bytes(range)).unwrap();
            assert_eq!(cut, Cut { range: cut_to, content_range: Some(header.into()) });
        }
        let whole = cut(&info(10), Selection::Whole).unwrap();
        assert_eq!(whole, Cut { range: 0..10, content_range: None });
        let outside = cut(&info(10), Selection::Bytes(ByteRange::From(10)));
        assert_eq!(outside, Err(ObjectError::InvalidRange { size: 10 }));
    }

    #[test]
    fn checksums_cover_what_is_sent_or_are_left_out() {
        let info = info(10);
        let whole = ShownChecksum {
            algorithm: Algorithm::Crc32,
            coverage: Coverage::FullObject,
            text: "AAAAAQ==".into(),
        };
        assert_eq!(shown_checksum(&info, Selection::Whole), Some(whole));
        assert_eq!(shown_checksum(&info, Selection::Bytes(ByteRange::From(0))), None);
    }
}
