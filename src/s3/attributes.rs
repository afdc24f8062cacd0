//! `GetObjectAttributes`: what is known of an object, by name, with its parts in pages.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::action::Extra;
use super::checksum_fields::{ChecksumFields, coverage_name, set_checksum_fields};
use super::list::page_limit;
use super::properties::{size, timestamp};
use super::refusal::refuse_unbuilt;
use super::service::BareEtag;
use super::{Wire, action};
use crate::objects::ObjectInfo;

/// `GetObjectAttributes`.
pub(super) async fn get_attributes(
    wire: &Wire,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let access = wire.at_object(&request, action::GET_OBJECT_ATTRIBUTES)?;
    let input = request.input;
    access.also(
        match access.version {
            Some(_) => Extra::VersionAttributes,
            None => Extra::Attributes,
        },
        &input.key,
    )?;
    refuse_unbuilt(&request.headers)?;
    let asked = parse_names(&input.object_attributes)?;
    let page = Page {
        after: parse_after(input.part_number_marker)?,
        limit: page_limit("max-parts", input.max_parts)?,
    };
    let object = access.object(&input.key).await?;
    let info = object.info();

    let mut output = GetObjectAttributesOutput {
        last_modified: Some(timestamp(info.last_modified_ms)),
        version_id: info.version.map(|version| version.to_string()),
        ..Default::default()
    };
    for name in asked {
        match name {
            Name::ETag => output.e_tag = Some(ETag::Strong(info.etag.to_string())),
            Name::Checksum => output.checksum = checksum(info),
            Name::ObjectParts => output.object_parts = parts(info, page),
            Name::StorageClass => {
                let class = info.meta.storage_class.name();
                output.storage_class = Some(StorageClass::from_static(class));
            }
            Name::ObjectSize => output.object_size = Some(size(info.size)),
        }
    }
    let mut response = S3Response::new(output);
    response.extensions.insert(BareEtag);
    Ok(response)
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    ETag,
    Checksum,
    ObjectParts,
    StorageClass,
    ObjectSize,
}

/// Which parts are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Page {
    after: i32,
    limit: usize,
}

/// The names of one or more headers; s3s does not part them at commas.
fn parse_names(headers: &[ObjectAttributes]) -> S3Result<Vec<Name>> {
    headers
        .iter()
        .flat_map(|header| header.as_str().split(','))
        .map(|name| match name.trim() {
            ObjectAttributes::ETAG => Ok(Name::ETag),
            ObjectAttributes::CHECKSUM => Ok(Name::Checksum),
            ObjectAttributes::OBJECT_PARTS => Ok(Name::ObjectParts),
            ObjectAttributes::STORAGE_CLASS => Ok(Name::StorageClass),
            ObjectAttributes::OBJECT_SIZE => Ok(Name::ObjectSize),
            _ => Err(s3_error!(InvalidArgument, "Invalid attribute name specified.")),
        })
        .collect()
}

fn parse_after(marker: Option<i32>) -> S3Result<i32> {
    marker.map_or(Ok(0), Ok).and_then(|marker| {
        if marker < 0 {
            return Err(s3_error!(
                InvalidArgument,
                "Argument part-number-marker must be an integer between 0 and 2147483647"
            ));
        }
        Ok(marker)
    })
}

fn checksum(info: &ObjectInfo) -> Option<Checksum> {
    let kept = info.meta.checksum.as_ref()?;
    let mut shown =
        Checksum { checksum_type: Some(coverage_name(kept.coverage)), ..Default::default() };
    set_checksum_fields!(shown, ChecksumFields::with(kept.algorithm, kept.text()));
    Some(shown)
}

/// A page of parts; none of an object that was written in one piece.
fn parts(info: &ObjectInfo, page: Page) -> Option<GetObjectAttributesParts> {
    let total = i32::try_from(info.parts_count()?).ok()?;
    let mut rest = info.meta.parts.iter().filter(|part| i32::from(part.number) > page.after);
    let mut shown = Vec::new();
    for part in rest.by_ref().take(page.limit) {
        let mut entry = ObjectPart {
            part_number: Some(i32::from(part.number)),
            size: Some(size(part.size)),
            ..Default::default()
        };
        if let Some(checksum) = info.meta.part_checksum(part) {
            set_checksum_fields!(entry, ChecksumFields::with(checksum.algorithm, checksum.text()));
        }
        shown.push(entry);
    }
    let last = shown.last().and_then(|part| part.part_number).unwrap_or(page.after);
    Some(GetObjectAttributesParts {
        is_truncated: Some(rest.next().is_some()),
        max_parts: i32::try_from(page.limit).ok(),
        next_part_number_marker: Some(last),
        part_number_marker: Some(page.after),
        parts: (!shown.is_empty()).then_some(shown),
        total_parts_count: Some(total),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{self, ObjectMeta, PartMeta};

    fn info(parts: u16) -> ObjectInfo {
        let part = |number| PartMeta { number, size: 5, digest: Vec::new() };
        ObjectInfo {
            key: "key".into(),
            version: None,
            size: u64::from(parts) * 5,
            etag: objects::ETag::of_md5([0; 16]),
            last_modified_ms: 0,
            meta: ObjectMeta { parts: (1..=parts).map(part).collect(), ..Default::default() },
            lock: None,
        }
    }

    #[test]
    fn names_are_parted_at_commas() {
        let header = |text: &str| ObjectAttributes::from(text.to_owned());
        let names = parse_names(&[header("ETag, ObjectSize"), header("Checksum")]).unwrap();
        assert_eq!(names, [Name::ETag, Name::ObjectSize, Name::Checksum]);
        assert!(parse_names(&[header("ETag,Colour")]).is_err());
        assert!(parse_names(&[header("")]).is_err());
    }

    #[test]
    fn parts_come_in_pages() {
        let page = parts(&info(6), Page { after: 3, limit: 1 }).unwrap();
        assert_eq!(page.parts.as_ref().map(Vec::len), Some(1));
        assert_eq!(page.parts.unwrap()[0].part_number, Some(4));
        assert_eq!(page.is_truncated, Some(true));
        assert_eq!(page.next_part_number_marker, Some(4));
        assert_eq!(page.total_parts_count, Some(6));

        let page = parts(&info(6), Page { after: 4, limit: 10 }).unwrap();
        assert_eq!(page.parts.map(|parts| parts.len()), Some(2));
        assert_eq!(page.is_truncated, Some(false));
        assert_eq!(page.max_parts, Some(10));
        assert_eq!(parts(&info(0), Page { after: 0, limit: 10 }), None);
    }
}
