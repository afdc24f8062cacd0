//! Listings of keys and versions: what is echoed, how it is encoded, where the next page begins.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::caller::{owner_of, parse_version};
use super::checksum_fields::coverage_name;
use super::encoding::KeyEncoding;
use super::list_versions_xml::{Row, VersionsDocument};
use super::multipart::algorithm_name;
use super::properties::{size, timestamp};
use super::service::{Document, telling_keys};
use super::{Wire, action};
use crate::objects::{
    List, ListItem, ListPage, PAGE_ITEMS_MAX, PageToken, VersionList, VersionMarker,
};

/// `ListObjects`.
pub(super) async fn list_objects(
    wire: &Wire,
    request: S3Request<ListObjectsInput>,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let access = wire.at_bucket(&request, action::LIST_OBJECTS)?;
    let input = request.input;
    let encoding = KeyEncoding::parse(input.encoding_type.as_ref())?;
    let list = List {
        prefix: input.prefix.unwrap_or_default(),
        delimiter: input.delimiter.unwrap_or_default(),
        after: input.marker.unwrap_or_default(),
        limit: page_limit("max-keys", input.max_keys)?,
    };
    let page = match list.limit {
        0 => ListPage::default(),
        _ => access.bucket.list(&list)?,
    };

    let owner = Some(owner_of(access.bucket.owner()));
    // Without a delimiter S3 leaves it to the client to go on after the last key.
    let next = page.next.as_ref().filter(|_| !list.delimiter.is_empty());
    Ok(telling_keys(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(encoding.write(&list.prefix)),
        marker: Some(encoding.write(&list.after)),
        max_keys: i32::try_from(list.limit).ok(),
        is_truncated: Some(page.next.is_some()),
        common_prefixes: common_prefixes(&page.prefixes, encoding),
        delimiter: shown_delimiter(&list.delimiter, encoding),
        next_marker: next.map(|next| encoding.write(next.last())),
        encoding_type: encoding.echo(),
        contents: Some(contents(page.items, owner.as_ref(), encoding)),
        request_charged: None,
    }))
}

/// `ListObjectsV2`.
pub(super) async fn list_objects_v2(
    wire: &Wire,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let access = wire.at_bucket(&request, action::LIST_OBJECTS_V2)?;
    let input = request.input;
    let encoding = KeyEncoding::parse(input.encoding_type.as_ref())?;
    let token = parse_token(input.continuation_token.as_deref())?;
    let list = List {
        prefix: input.prefix.unwrap_or_default(),
        delimiter: input.delimiter.unwrap_or_default(),
        after: match &token {
            Some(token) => token.last().to_owned(),
            None => input.start_after.clone().unwrap_or_default(),
        },
        limit: page_limit("max-keys", input.max_keys)?,
    };
    let page = match list.limit {
        0 => ListPage::default(),
        _ => access.bucket.list(&list)?,
    };

    let owner = input.fetch_owner.unwrap_or(false).then(|| owner_of(access.bucket.owner()));
    Ok(telling_keys(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encoding.write(&list.prefix)),
        max_keys: i32::try_from(list.limit).ok(),
        key_count: i32::try_from(page.items.len() + page.prefixes.len()).ok(),
        continuation_token: input.continuation_token,
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.as_ref().map(PageToken::to_string),
        common_prefixes: common_prefixes(&page.prefixes, encoding),
        delimiter: shown_delimiter(&list.delimiter, encoding),
        encoding_type: encoding.echo(),
        start_after: input.start_after.map(|start| encoding.write(&start)),
        contents: Some(contents(page.items, owner.as_ref(), encoding)),
        request_charged: None,
    }))
}

/// `ListObjectVersions`.
pub(super) async fn list_versions(
    wire: &Wire,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let access = wire.at_bucket(&request, action::LIST_OBJECT_VERSIONS)?;
    let input = request.input;
    let encoding = KeyEncoding::parse(input.encoding_type.as_ref())?;
    let key_marker = input.key_marker.unwrap_or_default();
    let version_marker = input.version_id_marker.unwrap_or_default();
    let list = VersionList {
        prefix: input.prefix.unwrap_or_default(),
        delimiter: input.delimiter.unwrap_or_default(),
        after: parse_marker(&key_marker, &version_marker)?,
        limit: page_limit("max-keys", input.max_keys)?,
    };
    let page = match list.limit {
        0 => Default::default(),
        _ => access.bucket.list_versions(&list)?,
    };

    let owner = owner_of(access.bucket.owner());
    let (next_key, next_version) = match page.next {
        Some(next) => (Some(encoding.write(&next.key)), next.version.map(|id| id.to_string())),
        None => (None, None),
    };
    let head = ListObjectVersionsOutput {
        delimiter: shown_delimiter(&list.delimiter, encoding),
        encoding_type: encoding.echo(),
        is_truncated: Some(next_key.is_some()),
        key_marker: Some(encoding.write(&key_marker)),
        max_keys: i32::try_from(list.limit).ok(),
        name: Some(input.bucket),
        next_key_marker: next_key,
        next_version_id_marker: next_version,
        prefix: Some(encoding.write(&list.prefix)),
        version_id_marker: Some(version_marker),
        ..Default::default()
    };
    let shown = |item: ListItem| match item.is_marker {
        true => Row::Marker(shown_marker(item, &owner, encoding)),
        false => Row::Version(shown_version(item, &owner, encoding)),
    };
    let document = VersionsDocument {
        head,
        rows: page.items.into_iter().map(shown).collect(),
        prefixes: common_prefixes(&page.prefixes, encoding).unwrap_or_default(),
    };
    let mut response = telling_keys(ListObjectVersionsOutput::default());
    response.extensions.insert(Document(document.write()?));
    Ok(response)
}

/// How many items a page may have: what was asked for, cut to S3's limit.
pub(super) fn page_limit(name: &str, asked: Option<i32>) -> S3Result<usize> {
    match asked.map(usize::try_from) {
        None => Ok(PAGE_ITEMS_MAX),
        Some(Ok(limit)) => Ok(limit.min(PAGE_ITEMS_MAX)),
        Some(Err(_)) => Err(s3_error!(
            InvalidArgument,
            "Argument {name} must be an integer between 0 and 2147483647"
        )),
    }
}

/// Common prefixes as they are written; none when there are none.
pub(super) fn common_prefixes(
    prefixes: &[String],
    encoding: KeyEncoding,
) -> Option<CommonPrefixList> {
    let shown = |prefix: &String| CommonPrefix { prefix: Some(encoding.write(prefix)) };
    (!prefixes.is_empty()).then(|| prefixes.iter().map(shown).collect())
}

/// An empty delimiter is none, and none is echoed.
fn shown_delimiter(delimiter: &str, encoding: KeyEncoding) -> Option<String> {
    (!delimiter.is_empty()).then(|| encoding.write(delimiter))
}

/// An empty token begins at the beginning.
fn parse_token(text: Option<&str>) -> S3Result<Option<PageToken>> {
    match text {
        None | Some("") => Ok(None),
        Some(text) => Ok(Some(text.parse::<PageToken>()?)),
    }
}

fn parse_marker(key: &str, version: &str) -> S3Result<Option<VersionMarker>> {
    let version = match version {
        "" => None,
        text => Some(parse_version(text)?),
    };
    match (key, version) {
        ("", None) => Ok(None),
        ("", Some(_)) => Err(s3_error!(
            InvalidArgument,
            "A version-id marker cannot be specified without a key marker."
        )),
        (key, version) => Ok(Some(VersionMarker { key: key.to_owned(), version })),
    }
}

fn contents(items: Vec<ListItem>, owner: Option<&Owner>, encoding: KeyEncoding) -> ObjectList {
    items.into_iter().map(|item| shown_object(&item, owner.cloned(), encoding)).collect()
}

fn shown_object(item: &ListItem, owner: Option<Owner>, encoding: KeyEncoding) -> Object {
    Object {
        checksum_algorithm: item.checksum.map(|(algorithm, _)| vec![algorithm_name(algorithm)]),
        checksum_type: item.checksum.map(|(_, coverage)| coverage_name(coverage)),
        e_tag: Some(ETag::Strong(item.etag.to_string())),
        key: Some(encoding.write(&item.key)),
        last_modified: Some(timestamp(item.last_modified_ms)),
        owner,
        restore_status: None,
        size: Some(size(item.size)),
        storage_class: Some(ObjectStorageClass::from_static(item.storage_class.name())),
    }
}

fn shown_version(item: ListItem, owner: &Owner, encoding: KeyEncoding) -> ObjectVersion {
    ObjectVersion {
        checksum_algorithm: item.checksum.map(|(algorithm, _)| vec![algorithm_name(algorithm)]),
        checksum_type: item.checksum.map(|(_, coverage)| coverage_name(coverage)),
        e_tag: Some(ETag::Strong(item.etag.to_string())),
        is_latest: Some(item.is_latest),
        key: Some(encoding.write(&item.key)),
        last_modified: Some(timestamp(item.last_modified_ms)),
        owner: Some(owner.clone()),
        restore_status: None,
        size: Some(size(item.size)),
        storage_class: Some(ObjectVersionStorageClass::from_static(item.storage_class.name())),
        version_id: Some(item.version.to_string()),
    }
}

fn shown_marker(item: ListItem, owner: &Owner, encoding: KeyEncoding) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        is_latest: Some(item.is_latest),
        key: Some(encoding.write(&item.key)),
        last_modified: Some(timestamp(item.last_modified_ms)),
        owner: Some(owner.clone()),
        version_id: Some(item.version.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{self, VersionId};

    #[test]
    fn a_page_is_cut_to_a_thousand() {
        for (asked, limit) in [(None, 1000), (Some(0), 0), (Some(7), 7), (Some(i32::MAX), 1000)] {
            assert_eq!(page_limit("max-keys", asked).unwrap(), limit);
        }
        assert!(page_limit("max-keys", Some(-1)).is_err());
    }

    #[test]
    fn delimiters_and_prefixes_are_echoed_when_they_are_there() {
        assert_eq!(shown_delimiter("", KeyEncoding::Url), None);
        assert_eq!(shown_delimiter("/", KeyEncoding::Url).as_deref(), Some("/"));
        assert_eq!(shown_delimiter("%", KeyEncoding::Url).as_deref(), Some("%25"));
        assert_eq!(common_prefixes(&[], KeyEncoding::Plain), None);
        let prefixes = common_prefixes(&["a b/".to_owned()], KeyEncoding::Url).unwrap();
        assert_eq!(prefixes[0].prefix.as_deref(), Some("a%20b/"));
    }

    #[test]
    fn markers_of_versions_need_a_key() {
        let id = VersionId::Sequence(5).to_string();
        assert_eq!(parse_marker("", "").unwrap(), None);
        assert!(parse_marker("", &id).is_err());
        assert!(parse_marker("k", "made up").is_err());
        let marker = parse_marker("k", &id).unwrap().unwrap();
        assert_eq!(
            marker,
            VersionMarker { key: "k".into(), version: Some(VersionId::Sequence(5)) }
        );
    }

    #[test]
    fn an_object_is_shown_with_its_owner_only_when_asked() {
        let item = ListItem {
            key: "a b".into(),
            version: VersionId::Null,
            is_latest: true,
            is_marker: false,
            size: 3,
            etag: objects::ETag::of_md5([0; 16]),
            last_modified_ms: 1999,
            checksum: None,
            storage_class: objects::StorageClass::Standard,
        };
        let shown = shown_object(&item, None, KeyEncoding::Url);
        assert_eq!(shown.key.as_deref(), Some("a%20b"));
        assert_eq!(shown.owner, None);
        assert_eq!(shown.last_modified, Some(timestamp(1000)));
        assert_eq!(shown.storage_class.unwrap().as_str(), "STANDARD");
    }

    #[test]
    fn an_empty_token_is_none() {
        assert_eq!(parse_token(None).unwrap(), None);
        assert_eq!(parse_token(Some("")).unwrap(), None);
        assert!(parse_token(Some("made up")).is_err());
    }
}
