//! Reading: `GetObject` and `HeadObject`, which answer the same headers.

use std::ops::Range;

use futures::StreamExt as _;
use futures::stream;
use http::HeaderMap;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, EXPIRES,
    IF_RANGE,
};
use s3s::dto::*;
use s3s::header::X_AMZ_TAGGING_COUNT;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::action::Extra;
use super::caller::Access;
use super::checksum_fields::{ChecksumFields, coverage_name, digest_text, set_checksum_fields};
use super::condition::{check_read, range_stands, read_conditions};
use super::error::insert_text;
use super::lock::{legal_hold_status, mode_name};
use super::properties::{
    self, DEFAULT_CONTENT_TYPE, exact_timestamp, expires_header, shown_metadata, timestamp,
};
use super::refusal::{encryption, refuse_encryption, refuse_unbuilt};
use super::service::PartialHead;
use super::{Wire, action, body};
use crate::objects::{
    ByteRange, LegalHold, Object, ObjectError, ObjectInfo, PARTS_MAX, ReadConditions,
};

/// Up to here a value is read at once and sent in one write with its head.
const WHOLE_BYTES_MAX: u64 = 64 * 1024;

/// What part of an object is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selection {
    /// All of it.
    Whole,
    /// A range of bytes.
    Bytes(ByteRange),
    /// A part of its upload.
    Part(u16),
}

/// Are checksums asked for?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChecksumDisplay {
    Hidden,
    Shown,
}

/// A read as both messages ask for it.
struct Read {
    conditions: ReadConditions,
    selection: Selection,
    checksums: ChecksumDisplay,
}

macro_rules! read_of {
    ($input:expr) => {{
        let input = &$input;
        Read {
            conditions: read_conditions(
                input.if_match.as_ref(),
                input.if_none_match.as_ref(),
                input.if_modified_since.as_ref(),
                input.if_unmodified_since.as_ref(),
            ),
            selection: select(input.range, input.part_number)?,
            checksums: display(input.checksum_mode.as_ref())?,
        }
    }};
}

/// What a read shows of an object.
struct View<'a> {
    info: &'a ObjectInfo,
    /// The bytes that are sent.
    range: Range<u64>,
    content_range: Option<String>,
    checksum: ChecksumFields,
    checksum_type: Option<ChecksumType>,
    parts_count: Option<i32>,
    lock: LockFields,
}

/// A lock as headers show it, to those who may see it.
#[derive(Default)]
struct LockFields {
    mode: Option<ObjectLockMode>,
    until: Option<Timestamp>,
    legal_hold: Option<ObjectLockLegalHoldStatus>,
}

macro_rules! output_of {
    ($output:ident, $view:expr) => {{
        let view: View<'_> = $view;
        let kept = &view.info.meta.headers;
        let mut output = $output {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: kept.cache_control.clone(),
            checksum_type: view.checksum_type,
            content_disposition: kept.content_disposition.clone(),
            content_encoding: kept.content_encoding.clone(),
            content_language: kept.content_language.clone(),
            content_length: Some(properties::size(view.range.end - view.range.start)),
            content_range: view.content_range,
            content_type: Some(
                kept.content_type.clone().unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned()),
            ),
            e_tag: Some(ETag::Strong(view.info.etag.to_string())),
            last_modified: Some(timestamp(view.info.last_modified_ms)),
            metadata: shown_metadata(&view.info.meta.user_metadata),
            object_lock_legal_hold_status: view.lock.legal_hold,
            object_lock_mode: view.lock.mode,
            object_lock_retain_until_date: view.lock.until,
            parts_count: view.parts_count,
            server_side_encryption: encryption(),
            storage_class: shown_class(view.info),
            version_id: view.info.version.map(|version| version.to_string()),
            website_redirect_location: kept.website_redirect.clone(),
            ..Default::default()
        };
        set_checksum_fields!(output, view.checksum);
        output
    }};
}

/// `GetObject`.
pub(super) async fn get_object(
    wire: &Wire,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let access = wire.at_object(&request, action::GET_OBJECT)?;
    refuse_unbuilt(&request.headers)?;
    refuse_encryption(&request.headers)?;
    let read = read_of!(request.input);
    let object = access.object(&request.input.key).await?;
    let view = view(&access, &object, read, &request.headers)?;
    let range = view.range.clone();

    let mut output = output_of!(GetObjectOutput, view);
    output.tag_count = tag_count(&access, object.info());
    output.body = Some(open(&object, range).await?);
    let headers = match request.input.response_expires {
        // s3s writes the override, and what is set here would win over it.
        Some(_) => HeaderMap::new(),
        None => expires_header(object.info().meta.headers.expires.as_deref()),
    };
    Ok(S3Response::with_headers(output, headers))
}

/// `HeadObject`.
pub(super) async fn head_object(
    wire: &Wire,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let access = wire.at_object(&request, action::HEAD_OBJECT)?;
    refuse_unbuilt(&request.headers)?;
    refuse_encryption(&request.headers)?;
    let read = read_of!(request.input);
    let object = access.object(&request.input.key).await?;
    let view = view(&access, &object, read, &request.headers)?;

    let output = output_of!(HeadObjectOutput, view);
    let is_partial = output.content_range.is_some();
    let mut headers = expires_header(object.info().meta.headers.expires.as_deref());
    if let Some(count) = tag_count(&access, object.info()) {
        insert_text(&mut headers, X_AMZ_TAGGING_COUNT, count.to_string());
    }
    headers.extend(overrides(request.input));
    let mut response = S3Response::with_headers(output, headers);
    if is_partial {
        response.extensions.insert(PartialHead);
    }
    Ok(response)
}

/// `response-*` of a HEAD; s3s writes those of a GET itself.
fn overrides(input: HeadObjectInput) -> HeaderMap {
    let expires = input.response_expires.as_ref().map(properties::time_ms);
    let mut headers = HeaderMap::new();
    for (name, text) in [
        (CACHE_CONTROL, input.response_cache_control),
        (CONTENT_DISPOSITION, input.response_content_disposition),
        (CONTENT_ENCODING, input.response_content_encoding),
        (CONTENT_LANGUAGE, input.response_content_language),
        (CONTENT_TYPE, input.response_content_type),
        (EXPIRES, expires.map(properties::http_date)),
    ] {
        if let Some(text) = text {
            insert_text(&mut headers, name, text);
        }
    }
    headers
}

fn select(range: Option<s3s::dto::Range>, part: Option<i32>) -> S3Result<Selection> {
    match (range, part) {
        (Some(_), Some(_)) => Err(s3_error!(
            InvalidRequest,
            "Cannot specify both Range header and partNumber query parameter"
        )),
        (None, None) => Ok(Selection::Whole),
        (Some(range), None) => Ok(Selection::Bytes(byte_range(range))),
        (None, Some(number)) => Ok(Selection::Part(part_number(number)?)),
    }
}

/// A range as the objects know it.
pub(super) fn byte_range(range: s3s::dto::Range) -> ByteRange {
    match range {
        s3s::dto::Range::Int { first, last: Some(last) } => ByteRange::Between(first, last),
        s3s::dto::Range::Int { first, last: None } => ByteRange::From(first),
        s3s::dto::Range::Suffix { length } => ByteRange::Last(length),
    }
}

/// A part's number within S3's limits.
pub(super) fn part_number(number: i32) -> S3Result<u16> {
    u16::try_from(number).ok().filter(|number| (1..=PARTS_MAX).contains(number)).ok_or_else(|| {
        s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive")
    })
}

fn display(mode: Option<&ChecksumMode>) -> S3Result<ChecksumDisplay> {
    match mode.map(ChecksumMode::as_str) {
        None => Ok(ChecksumDisplay::Hidden),
        Some(text) if text.eq_ignore_ascii_case(ChecksumMode::ENABLED) => {
            Ok(ChecksumDisplay::Shown)
        }
        Some(_) => Err(s3_error!(InvalidArgument, "x-amz-checksum-mode must be ENABLED")),
    }
}

/// Checks the conditions and decides what is shown.
fn view<'a>(
    access: &Access,
    object: &'a Object,
    read: Read,
    headers: &HeaderMap,
) -> S3Result<View<'a>> {
    let info = object.info();
    check_read(&read.conditions, info)?;
    let selection = match read.selection {
        Selection::Bytes(_) if !range_stands(headers.get(IF_RANGE), info) => Selection::Whole,
        selection => selection,
    };
    let shown = cut(info, selection)?;
    let (checksum, checksum_type) = match read.checksums {
        ChecksumDisplay::Shown => shown_checksum(info, selection),
        ChecksumDisplay::Hidden => Default::default(),
    };
    Ok(View {
        info,
        content_range: shown.content_range,
        range: shown.range,
        checksum,
        checksum_type,
        parts_count: match selection {
            Selection::Part(_) => info.parts_count().and_then(|count| i32::try_from(count).ok()),
            _ => None,
        },
        lock: lock_fields(access, info),
    })
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

/// The checksum that covers exactly what is sent, if one does.
fn shown_checksum(
    info: &ObjectInfo,
    selection: Selection,
) -> (ChecksumFields, Option<ChecksumType>) {
    let Some(checksum) = &info.meta.checksum else { return Default::default() };
    let text = match selection {
        Selection::Bytes(_) => None,
        Selection::Whole => Some(checksum.text()),
        Selection::Part(number) => match info.part(number) {
            Ok((Some(part), _)) => info.meta.part_checksum(part).map(|part| part.text()),
            Ok((None, _)) => Some(digest_text(&checksum.digest)),
            Err(_) => None,
        },
    };
    let Some(text) = text else { return Default::default() };
    (ChecksumFields::with(checksum.algorithm, text), Some(coverage_name(checksum.coverage)))
}

fn lock_fields(access: &Access, info: &ObjectInfo) -> LockFields {
    let Some(lock) = info.lock else { return LockFields::default() };
    let mut fields = LockFields::default();
    if let Some(retention) = lock.retention
        && access.also(Extra::SeeRetention, &info.key).is_ok()
    {
        fields.mode = Some(ObjectLockMode::from_static(mode_name(retention.mode)));
        fields.until = Some(exact_timestamp(retention.until_ms));
    }
    if lock.legal_hold != LegalHold::NeverSet && access.also(Extra::SeeLegalHold, &info.key).is_ok()
    {
        fields.legal_hold = Some(legal_hold_status(lock.legal_hold == LegalHold::On));
    }
    fields
}

fn tag_count(access: &Access, info: &ObjectInfo) -> Option<i32> {
    let count = info.meta.tags.tags().len();
    let shown = count > 0 && access.also(Extra::SourceTags, &info.key).is_ok();
    shown.then(|| i32::try_from(count).ok()).flatten()
}

/// S3 leaves the header out for the standard class.
fn shown_class(info: &ObjectInfo) -> Option<StorageClass> {
    let class = info.meta.storage_class;
    (class != crate::objects::StorageClass::default())
        .then(|| StorageClass::from_static(class.name()))
}

/// The bytes of a range. The first piece is read before the answer begins, so that a failure to
/// read it still has a status of its own.
async fn open(object: &Object, range: Range<u64>) -> S3Result<StreamingBlob> {
    let len = range.end - range.start;
    let mut reader = object.open(range);
    if len <= WHOLE_BYTES_MAX {
        let bytes = reader.collect().await.map_err(ObjectError::from)?;
        return Ok(body::whole(bytes));
    }
    let first = reader.next().await.transpose().map_err(ObjectError::from)?;
    let rest = reader.into_stream().map(|piece| piece.map_err(ObjectError::from));
    Ok(body::pieces(stream::iter(first.map(Ok)).chain(rest), len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{Algorithm, Coverage};
    use crate::objects::{self, Checksum, ObjectMeta};

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
        let (fields, coverage) = shown_checksum(&info, Selection::Whole);
        assert_eq!(fields.crc32.as_deref(), Some("AAAAAQ=="));
        assert_eq!(coverage, Some(coverage_name(Coverage::FullObject)));
        let (fields, coverage) = shown_checksum(&info, Selection::Bytes(ByteRange::From(0)));
        assert_eq!((fields, coverage), Default::default());
    }

    #[test]
    fn a_range_and_a_part_exclude_each_other() {
        let range = s3s::dto::Range::Suffix { length: 1 };
        assert!(select(Some(range), Some(1)).is_err());
        assert_eq!(select(None, Some(10_000)).unwrap(), Selection::Part(10_000));
        assert_eq!(select(None, None).unwrap(), Selection::Whole);
        for number in [0, -1, 10_001] {
            assert!(select(None, Some(number)).is_err(), "{number}");
        }
    }
}
