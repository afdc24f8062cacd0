//! Multipart uploads: begin, parts, complete, abort, and the listings of both.

use bytes::Bytes;
use http::header::HOST;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::caller::{canonical_id, owner_of};
use super::checksum_fields::{
    ChecksumFields, checksum_fields_of, coverage_name, parse_algorithm, parse_coverage,
    set_checksum_fields,
};
use super::condition::write_conditions;
use super::encoding::KeyEncoding;
use super::list::{common_prefixes, page_limit};
use super::properties::{made_version, size, timestamp};
use super::put::{attributes, promise, sdk_algorithm};
use super::read::part_number;
use super::refusal::{encryption, refuse_encryption, refuse_unbuilt};
use super::service::telling_keys;
use super::{Wire, action, body};
use crate::checksum::{Algorithm, Coverage};
use crate::objects::{
    Complete, CompletePart, NewUpload, PARTS_MAX, PartInfo, PartList, PutPart, UploadId,
    UploadInfo, UploadList, UploadMarker,
};

/// `CreateMultipartUpload`.
pub(super) async fn create(
    wire: &Wire,
    mut request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let access = wire.at_object(&request, action::CREATE_MULTIPART_UPLOAD)?;
    refuse_unbuilt(&request.headers)?;
    let attributes = attributes!(&access, request);
    let input = request.input;
    let upload = access
        .bucket
        .create_upload(NewUpload {
            key: input.key,
            attributes,
            algorithm: input.checksum_algorithm.as_ref().map(parse_algorithm).transpose()?,
            coverage: input.checksum_type.as_ref().map(parse_coverage).transpose()?,
            initiator: access.caller.name().to_owned(),
        })
        .await?;
    Ok(telling_keys(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        checksum_algorithm: upload.checksum.map(|(algorithm, _)| algorithm_name(algorithm)),
        checksum_type: upload.checksum.map(|(_, coverage)| coverage_name(coverage)),
        key: Some(upload.key),
        server_side_encryption: encryption(),
        upload_id: Some(upload.id.to_string()),
        ..Default::default()
    }))
}

/// `UploadPart`.
pub(super) async fn upload_part(
    wire: &Wire,
    mut request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let access = wire.at_object(&request, action::UPLOAD_PART)?;
    refuse_unbuilt(&request.headers)?;
    refuse_encryption(&request.headers)?;
    let promise = promise(&mut request)?;
    let algorithm = sdk_algorithm(&request.headers, request.input.checksum_algorithm.as_ref())?;
    let input = request.input;
    let part = PutPart {
        upload: parse_upload(&input.upload_id)?,
        number: part_number(input.part_number)?,
        key: input.key,
        promise,
        algorithm,
    };
    let body = input.body.unwrap_or_else(|| body::whole(Bytes::new()));
    let part = access.bucket.put_part(part, body).await?;

    let mut output = UploadPartOutput {
        e_tag: Some(ETag::Strong(part.etag.to_string())),
        server_side_encryption: encryption(),
        ..Default::default()
    };
    if let Some(checksum) = &part.checksum {
        set_checksum_fields!(output, ChecksumFields::with(checksum.algorithm, checksum.text()));
    }
    Ok(S3Response::new(output))
}

/// `CompleteMultipartUpload`. Completing is one batch of the engine and takes no longer than a
/// small put, so the answer has its status at once and needs no keep-alive before it.
pub(super) async fn complete(
    wire: &Wire,
    mut request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let access = wire.at_object(&request, action::COMPLETE_MULTIPART_UPLOAD)?;
    refuse_unbuilt(&request.headers)?;
    let host = request.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let location = location(host, request.uri.path(), &request.input.bucket);
    let checksum = checksum_fields_of!(request.input).one()?;
    let input = request.input;
    let complete = Complete {
        upload: parse_upload(&input.upload_id)?,
        parts: parse_parts(input.multipart_upload)?,
        conditions: write_conditions(input.if_match.as_ref(), input.if_none_match.as_ref())?,
        checksum,
        coverage: input.checksum_type.as_ref().map(parse_coverage).transpose()?,
        size: input.mpu_object_size.map(parse_size).transpose()?,
        key: input.key.clone(),
    };
    let completed = access.bucket.complete_upload(complete).await?;

    let mut output = CompleteMultipartUploadOutput {
        bucket: Some(input.bucket),
        checksum_type: completed.checksum.as_ref().map(|checksum| coverage_name(checksum.coverage)),
        e_tag: Some(ETag::Strong(completed.etag.to_string())),
        key: Some(input.key),
        location: Some(location),
        server_side_encryption: encryption(),
        version_id: made_version(completed.version),
        ..Default::default()
    };
    if let Some(checksum) = &completed.checksum {
        set_checksum_fields!(output, ChecksumFields::with(checksum.algorithm, checksum.text()));
    }
    Ok(telling_keys(output))
}

/// `AbortMultipartUpload`.
pub(super) async fn abort(
    wire: &Wire,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let access = wire.at_object(&request, action::ABORT_MULTIPART_UPLOAD)?;
    refuse_unbuilt(&request.headers)?;
    let upload = parse_upload(&request.input.upload_id)?;
    access.bucket.abort_upload(&request.input.key, upload).await?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

/// `ListParts`.
pub(super) async fn list_parts(
    wire: &Wire,
    request: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let access = wire.at_object(&request, action::LIST_PARTS)?;
    refuse_unbuilt(&request.headers)?;
    let input = request.input;
    let limit = page_limit("max-parts", input.max_parts)?;
    let after = parse_part_marker(input.part_number_marker)?;
    let list = PartList { upload: parse_upload(&input.upload_id)?, key: input.key, after, limit };
    let page = access.bucket.list_parts(&list).await?;

    let upload = page.upload;
    let last = page.parts.last().map_or(0, |part| part.number);
    Ok(telling_keys(ListPartsOutput {
        bucket: Some(input.bucket),
        checksum_algorithm: upload.checksum.map(|(algorithm, _)| algorithm_name(algorithm)),
        checksum_type: upload.checksum.map(|(_, coverage)| coverage_name(coverage)),
        initiator: Some(initiator(&upload.initiator)),
        is_truncated: Some(page.next.is_some()),
        key: Some(upload.key),
        max_parts: i32::try_from(limit).ok(),
        next_part_number_marker: Some(i32::from(page.next.unwrap_or(last))),
        owner: Some(owner_of(access.bucket.owner())),
        part_number_marker: Some(i32::from(after)),
        parts: Some(page.parts.into_iter().map(shown_part).collect()),
        storage_class: Some(StorageClass::from_static(upload.storage_class.name())),
        upload_id: Some(upload.id.to_string()),
        ..Default::default()
    }))
}

/// `ListMultipartUploads`.
pub(super) async fn list_uploads(
    wire: &Wire,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let access = wire.at_bucket(&request, action::LIST_MULTIPART_UPLOADS)?;
    let input = request.input;
    let encoding = KeyEncoding::parse(input.encoding_type.as_ref())?;
    let limit = page_limit("max-uploads", input.max_uploads)?;
    let prefix = input.prefix.unwrap_or_default();
    let delimiter = input.delimiter.unwrap_or_default();
    let after = upload_marker(input.key_marker.as_deref(), input.upload_id_marker.as_deref())?;
    let list = UploadList { prefix, delimiter, after, limit };
    let page = access.bucket.list_uploads(&list).await?;

    let UploadList { prefix, delimiter, .. } = list;
    let (next_key, next_upload) = match page.next {
        Some(next) => (Some(encoding.write(&next.key)), next.upload.map(|id| id.to_string())),
        None => (None, None),
    };
    let owner = owner_of(access.bucket.owner());
    Ok(telling_keys(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        common_prefixes: common_prefixes(&page.prefixes, encoding),
        delimiter: (!delimiter.is_empty()).then(|| encoding.write(&delimiter)),
        encoding_type: encoding.echo(),
        is_truncated: Some(next_key.is_some()),
        key_marker: Some(encoding.write(input.key_marker.as_deref().unwrap_or_default())),
        max_uploads: i32::try_from(limit).ok(),
        next_key_marker: next_key,
        next_upload_id_marker: next_upload,
        prefix: Some(encoding.write(&prefix)),
        upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
        uploads: Some(
            page.uploads
                .into_iter()
                .map(|upload| shown_upload(upload, owner.clone(), encoding))
                .collect(),
        ),
        ..Default::default()
    }))
}

/// The upload of an id that a client gives.
pub(super) fn parse_upload(text: &str) -> S3Result<UploadId> {
    Ok(text.parse::<UploadId>()?)
}

/// An algorithm as S3 names it.
pub(super) fn algorithm_name(algorithm: Algorithm) -> ChecksumAlgorithm {
    ChecksumAlgorithm::from_static(algorithm.name())
}

/// Where the object can be got, as the client addressed it: by path, or with the bucket in the
/// host, which the gate has put into the path.
fn location(host: &str, path: &str, bucket: &str) -> String {
    let in_host = host.strip_prefix(bucket).is_some_and(|rest| rest.starts_with('.'));
    let below = path.strip_prefix('/').and_then(|path| path.strip_prefix(bucket));
    match below {
        Some(below) if in_host => format!("http://{host}{below}"),
        _ => format!("http://{host}{path}"),
    }
}

fn parse_size(size: i64) -> S3Result<u64> {
    u64::try_from(size)
        .map_err(|_| s3_error!(InvalidRequest, "Value for x-amz-mp-object-size header is invalid."))
}

fn parse_parts(upload: Option<CompletedMultipartUpload>) -> S3Result<Vec<CompletePart>> {
    let parts = upload.and_then(|upload| upload.parts).unwrap_or_default();
    if parts.is_empty() || parts.len() > usize::from(PARTS_MAX) {
        return Err(s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        ));
    }
    parts.into_iter().map(parse_part).collect()
}

fn parse_part(mut part: CompletedPart) -> S3Result<CompletePart> {
    let number = part.part_number.ok_or_else(|| s3_error!(MalformedXML, "A part has no number"))?;
    Ok(CompletePart {
        number: part_number(number)?,
        etag: part.e_tag.take().map(ETag::into_value),
        checksum: checksum_fields_of!(part).one()?,
    })
}

fn parse_part_marker(marker: Option<i32>) -> S3Result<u16> {
    let marker = marker.unwrap_or(0);
    if marker < 0 {
        return Err(s3_error!(
            InvalidArgument,
            "Argument part-number-marker must be an integer between 0 and 2147483647"
        ));
    }
    Ok(u16::try_from(marker).unwrap_or(u16::MAX))
}

fn upload_marker(key: Option<&str>, upload: Option<&str>) -> S3Result<Option<UploadMarker>> {
    let Some(key) = key.filter(|key| !key.is_empty()) else { return Ok(None) };
    let upload = match upload.filter(|upload| !upload.is_empty()) {
        None => None,
        Some(text) => Some(
            text.parse::<UploadId>()
                .map_err(|_| s3_error!(InvalidArgument, "Invalid uploadId marker"))?,
        ),
    };
    Ok(Some(UploadMarker { key: key.to_owned(), upload }))
}

fn initiator(name: &str) -> Initiator {
    Initiator { display_name: None, id: Some(canonical_id(name)) }
}

fn shown_part(part: PartInfo) -> Part {
    let mut shown = Part {
        e_tag: Some(ETag::Strong(part.etag.to_string())),
        last_modified: Some(timestamp(part.last_modified_ms)),
        part_number: Some(i32::from(part.number)),
        size: Some(size(part.size)),
        ..Default::default()
    };
    if let Some(checksum) = &part.checksum {
        set_checksum_fields!(shown, ChecksumFields::with(checksum.algorithm, checksum.text()));
    }
    shown
}

fn shown_upload(upload: UploadInfo, owner: Owner, encoding: KeyEncoding) -> MultipartUpload {
    let checksum: Option<(Algorithm, Coverage)> = upload.checksum;
    MultipartUpload {
        checksum_algorithm: checksum.map(|(algorithm, _)| algorithm_name(algorithm)),
        checksum_type: checksum.map(|(_, coverage)| coverage_name(coverage)),
        initiated: Some(timestamp(upload.initiated_ms)),
        initiator: Some(initiator(&upload.initiator)),
        key: Some(encoding.write(&upload.key)),
        owner: Some(owner),
        storage_class: Some(StorageClass::from_static(upload.storage_class.name())),
        upload_id: Some(upload.id.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(count: i32) -> Option<CompletedMultipartUpload> {
        let part = |number| CompletedPart { part_number: Some(number), ..Default::default() };
        Some(CompletedMultipartUpload { parts: Some((1..=count).map(part).collect()) })
    }

    #[test]
    fn parts_are_one_to_ten_thousand() {
        assert_eq!(parse_parts(parts(10_000)).unwrap().len(), 10_000);
        for wrong in [None, parts(0), parts(10_001)] {
            assert_eq!(parse_parts(wrong).unwrap_err().code().as_str(), "MalformedXML");
        }
    }

    #[test]
    fn a_part_keeps_its_tag_and_checksum() {
        let sent = CompletedPart {
            part_number: Some(3),
            e_tag: Some(ETag::Strong("abc".into())),
            checksum_sha1: Some("AAAA".into()),
            ..Default::default()
        };
        let part = parse_part(sent).unwrap();
        assert_eq!((part.number, part.etag.as_deref()), (3, Some("abc")));
        assert_eq!(part.checksum, Some((Algorithm::Sha1, "AAAA".into())));
    }

    #[test]
    fn the_location_is_where_the_client_wrote() {
        for (host, location_of_k) in [
            ("localhost:9000", "http://localhost:9000/photos/k%20k"),
            ("photos.example.com", "http://photos.example.com/k%20k"),
            ("photosexample.com", "http://photosexample.com/photos/k%20k"),
        ] {
            assert_eq!(location(host, "/photos/k%20k", "photos"), location_of_k);
        }
    }

    #[test]
    fn markers_are_read_leniently_and_refused_exactly() {
        assert_eq!(parse_part_marker(None).unwrap(), 0);
        assert_eq!(parse_part_marker(Some(1_000_000)).unwrap(), u16::MAX);
        assert!(parse_part_marker(Some(-1)).is_err());
        assert_eq!(upload_marker(None, Some("x")).unwrap(), None);
        assert_eq!(upload_marker(Some(""), None).unwrap(), None);
        let key_only = upload_marker(Some("k"), Some("")).unwrap().unwrap();
        assert_eq!((key_only.key.as_str(), key_only.upload), ("k", None));
        assert!(upload_marker(Some("k"), Some("not an id")).is_err());
    }
}
