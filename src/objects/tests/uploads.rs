//! Multipart uploads.

use super::*;
use crate::checksum::{Algorithm, Coverage, Hasher};

fn new_upload(algorithm: Option<Algorithm>) -> NewUpload {
    NewUpload {
        key: "key".into(),
        attributes: Attributes {
            user_metadata: vec![("a".into(), "b".into())],
            ..Attributes::default()
        },
        algorithm,
        coverage: algorithm.map(|_| Coverage::FullObject),
        initiator: "root".into(),
    }
}

async fn put_part(bucket: &Bucket, upload: UploadId, number: u16, content: &[u8]) -> PartInfo {
    try_part(bucket, upload, number, content).await.unwrap()
}

async fn try_part(
    bucket: &Bucket,
    upload: UploadId,
    number: u16,
    content: &[u8],
) -> Result<PartInfo> {
    let promise = BodyPromise { len: Some(content.len() as u64), ..BodyPromise::default() };
    let part = PutPart { key: "key".into(), upload, number, promise, algorithm: None };
    bucket.put_part(part, body(content)).await
}

fn complete_of(upload: UploadId, parts: &[&PartInfo]) -> Complete {
    let part = |part: &&PartInfo| CompletePart {
        number: part.number,
        etag: Some(format!("\"{}\"", part.etag)),
        checksum: None,
    };
    Complete {
        key: "key".into(),
        upload,
        parts: parts.iter().map(part).collect(),
        conditions: WriteConditions::default(),
        checksum: None,
        coverage: None,
        size: None,
    }
}

#[test]
fn an_upload_of_the_most_parts_with_all_that_comes_with_it_fits_the_smallest_zones() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("versioned").await;
        let tag = |n: u8| (format!("{n:0>128}"), "v".repeat(256));
        let attributes = Attributes {
            user_metadata: vec![("a".into(), "b".repeat(2000))],
            tags: TagSet::new(TagTarget::Object, (0..10).map(tag).collect()).unwrap(),
            ..Attributes::default()
        };
        let algorithm = Algorithm::Sha256;
        let coverage = Some(Coverage::Composite);
        let new = NewUpload { attributes, coverage, ..new_upload(Some(algorithm)) };
        let upload = bucket.create_upload(new).await.unwrap().id;
        let mut parts = Vec::new();
        for number in 1..=10_000 {
            parts.push(put_part(&bucket, upload, number, &number.to_be_bytes()).await);
        }
        let mut complete = complete_of(upload, &parts.iter().collect::<Vec<_>>());
        for (named, part) in complete.parts.iter_mut().zip(&parts) {
            let text = part.checksum.as_ref().map(PartChecksum::text).unwrap();
            named.checksum = Some((algorithm, text));
        }
        bucket.complete_upload(complete).await.unwrap();
        let whole: Vec<u8> = (1..=10_000_u16).flat_map(u16::to_be_bytes).collect();
        assert!(read(&bucket, "key", None).await.unwrap() == whole);
        let uploads = storage_engine::Scan {
            prefix: upload.part_prefix(),
            delimiter: Bytes::new(),
            from: std::ops::Bound::Unbounded,
            limit: 1,
        };
        let left = bucket.engine().scan(bucket.record().uploads(), &uploads).unwrap();
        assert_eq!(left.items.len(), 0, "parts stay behind");
    });
}

#[test]
fn parts_become_one_object() {
    run(async {
        let fixture = Fixture::new().await;
        for (name, algorithm) in [("plain", None), ("versioned", Some(Algorithm::Crc32))] {
            let bucket = fixture.bucket(name).await;
            let upload = bucket.create_upload(new_upload(algorithm)).await.unwrap().id;
            let (large, small) = (content(2 * MIB + 5), content(1000));
            let third = put_part(&bucket, upload, 7, b"end").await;
            let first = put_part(&bucket, upload, 1, &large).await;
            put_part(&bucket, upload, 2, b"will be replaced").await;
            let second = put_part(&bucket, upload, 2, &small).await;
            put_part(&bucket, upload, 9, b"not named").await;
            let list = PartList { key: "key".into(), upload, after: 1, limit: 2 };
            let page = bucket.list_parts(&list).await.unwrap();
            assert_eq!(page.parts, [second.clone(), third.clone()]);
            assert_eq!(page.next, Some(7));
            assert_eq!(code(bucket.object("key", None).await), Some("NoSuchKey"));

            let complete = complete_of(upload, &[&first, &second, &third]);
            let completed = bucket.complete_upload(complete.clone()).await.unwrap();
            assert_eq!(completed.version.is_some(), name == "versioned");
            let whole = [&large[..], &small, b"end"].concat();
            assert_eq!(read(&bucket, "key", completed.version).await.unwrap(), whole);
            let object = bucket.object("key", None).await.unwrap();
            let info = object.info();
            assert_eq!((info.etag.0.parts, info.parts_count()), (3, Some(3)));
            assert_eq!(info.meta.user_metadata, [("a".to_owned(), "b".to_owned())]);
            let algorithm = algorithm.unwrap_or(Algorithm::Crc64Nvme);
            let mut hasher = Hasher::new(algorithm);
            hasher.update(&whole);
            let checksum = Checksum::full(algorithm, hasher.finish());
            assert_eq!(completed.checksum.as_ref(), Some(&checksum));
            let (_, range) = info.part(2).unwrap();
            assert_eq!(object.open(range).collect().await.unwrap(), small);

            // Asked again: the same answer, even after another write.
            put(&bucket, "key", b"newer").await;
            let again = bucket.complete_upload(complete).await.unwrap();
            assert_eq!(again, completed);
            let other = complete_of(upload, &[&first]);
            assert_eq!(code(bucket.complete_upload(other).await), Some("NoSuchUpload"));
            let late = try_part(&bucket, upload, 3, b"late").await;
            assert_eq!(code(late), Some("NoSuchUpload"));
            assert_eq!(code(bucket.abort_upload("key", upload).await), Some("NoSuchUpload"));
            let uploads = UploadList { limit: 9, ..UploadList::default() };
            assert!(bucket.list_uploads(&uploads).await.unwrap().uploads.is_empty());
        }
    });
}

#[test]
fn ended_uploads_leave_nothing_behind() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("plain").await;
        let aborted = bucket.create_upload(new_upload(None)).await.unwrap().id;
        put_part(&bucket, aborted, 1, b"gone").await;
        bucket.abort_upload("key", aborted).await.unwrap();
        let completed = bucket.create_upload(new_upload(None)).await.unwrap().id;
        let part = put_part(&bucket, completed, 1, b"kept").await;
        let complete = complete_of(completed, &[&part]);
        bucket.complete_upload(complete.clone()).await.unwrap();
        assert_eq!(fixture.objects.sweep().await, Ok(1));
        assert_eq!(code(bucket.complete_upload(complete.clone()).await), None);
        fixture.advance(25 * 60 * 60);
        // The engine's clock moves with its batches.
        put(&bucket, "tick", b"").await;
        assert_eq!(fixture.objects.sweep().await, Ok(1));
        assert_eq!(code(bucket.complete_upload(complete).await), Some("NoSuchUpload"));
        assert_eq!(read(&bucket, "key", None).await.unwrap(), b"kept");
        let engine = &fixture.objects.shared.engine;
        assert!(engine.is_empty(bucket.record().uploads()).unwrap());
    });
}

#[test]
fn completions_hold_their_conditions() {
    run(async {
        let fixture = Fixture::with(SmallParts::Refused).await;
        let bucket = fixture.bucket("plain").await;
        let upload = bucket.create_upload(new_upload(None)).await.unwrap().id;
        let first = put_part(&bucket, upload, 1, b"small").await;
        let second = put_part(&bucket, upload, 2, b"last").await;
        let both = complete_of(upload, &[&first, &second]);
        assert_eq!(code(bucket.complete_upload(both).await), Some("EntityTooSmall"));
        let swapped = complete_of(upload, &[&second, &first]);
        assert_eq!(code(bucket.complete_upload(swapped).await), Some("InvalidPartOrder"));
        let mut wrong = complete_of(upload, &[&first]);
        wrong.parts[0].etag = Some(second.etag.to_string());
        assert_eq!(code(bucket.complete_upload(wrong).await), Some("InvalidPart"));

        put(&bucket, "key", b"there").await;
        let mut absent = complete_of(upload, &[&second]);
        absent.conditions.if_none_match = Some(EtagPattern::Any);
        let got = bucket.complete_upload(absent.clone()).await;
        assert_eq!(code(got), Some("PreconditionFailed"));
        bucket.delete(delete_of("key", None)).await.unwrap();
        bucket.complete_upload(absent).await.unwrap();
        assert_eq!(read(&bucket, "key", None).await.unwrap(), b"last");
    });
}

#[test]
fn of_two_completions_both_hear_the_same() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("versioned").await;
        let upload = bucket.create_upload(new_upload(None)).await.unwrap().id;
        let part = put_part(&bucket, upload, 1, b"content").await;
        let complete = complete_of(upload, &[&part]);
        let (one, two) = futures::join!(
            bucket.complete_upload(complete.clone()),
            bucket.complete_upload(complete)
        );
        assert_eq!(one.unwrap(), two.unwrap());
        let versions = VersionList { limit: 9, ..VersionList::default() };
        assert_eq!(bucket.list_versions(&versions).unwrap().items.len(), 1);
    });
}

#[test]
fn parts_are_made_of_objects() {
    run(async {
        let fixture = Fixture::new().await;
        let (from, to) = (fixture.bucket("versioned").await, fixture.bucket("plain").await);
        let (large, small) = (content(MIB + 3), content(50));
        put(&from, "large", &large).await;
        put(&from, "small", &small).await;
        let upload = to.create_upload(new_upload(None)).await.unwrap().id;
        let mut parts = Vec::new();
        for (number, key, range) in [
            (1, "large", None),
            (2, "small", None),
            (3, "large", Some(ByteRange::Between(10, 99_999))),
        ] {
            let source = from.copy_source(key, None).await.unwrap();
            let copy = CopyPart {
                key: "key".into(),
                upload,
                number,
                range,
                source_conditions: ReadConditions::default(),
            };
            let copied = to.copy_part(&source, copy).await.unwrap();
            assert_eq!(copied.source_version, source.info().version);
            parts.push(copied.part);
        }
        let written_before = fixture.objects.shared.engine.stats().device_written_bytes;
        let parts: Vec<&PartInfo> = parts.iter().collect();
        let completed = to.complete_upload(complete_of(upload, &parts)).await.unwrap();
        let written = fixture.objects.shared.engine.stats().device_written_bytes - written_before;
        assert!(written < 100_000, "completion wrote {written} bytes");
        let whole = [&large[..], &small, &large[10..100_000]].concat();
        assert_eq!(read(&to, "key", None).await.unwrap(), whole);
        let mut hasher = Hasher::new(Algorithm::Crc64Nvme);
        hasher.update(&whole);
        let checksum = Checksum::full(Algorithm::Crc64Nvme, hasher.finish());
        assert_eq!(completed.checksum, Some(checksum));
        // The source may go; the parts stay.
        for version in
            from.list_versions(&VersionList { limit: 9, ..Default::default() }).unwrap().items
        {
            from.delete(delete_of(&version.key, Some(version.version))).await.unwrap();
        }
        assert_eq!(read(&to, "key", None).await.unwrap(), whole);
    });
}
