//! Objects written, read, copied, tagged.

use super::*;
use crate::checksum::{Algorithm, Hasher};
use crate::server::body::BodyError;

#[test]
fn what_was_put_is_read() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("plain").await;
        for len in [0, 1, 4096, 65_536, 65_537, 3 * MIB + 7] {
            let content = content(len);
            let mut new = new_put("dir/key");
            new.attributes.headers.content_type = Some("text/plain".into());
            new.attributes.user_metadata = vec![("a".into(), "b".into())];
            let stored = bucket.put(new, body(&content)).await.unwrap();
            assert_eq!((stored.version, stored.size), (None, len as u64));
            let object = bucket.object("dir/key", None).await.unwrap();
            let info = object.info();
            assert_eq!(info.etag, ETag::of_md5(super::super::digest::md5_of(&content)));
            assert_eq!(info.meta.headers.content_type.as_deref(), Some("text/plain"));
            assert_eq!(info.meta.checksum, Some(stored.checksum));
            assert_eq!(read(&bucket, "dir/key", None).await.unwrap(), content);
            let middle = object.open(1..len as u64).collect().await.unwrap();
            assert_eq!(middle, content.get(1..).unwrap_or_default());
        }
        assert_eq!(code(bucket.object("dir", None).await), Some("NoSuchKey"));
    });
}

#[test]
fn a_body_that_breaks_its_promise_leaves_nothing() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("plain").await;
        let promising = |promise: BodyPromise| Put { promise, ..new_put("key") };
        let short = BodyPromise { len: Some(9), ..BodyPromise::default() };
        let got = bucket.put(promising(short.clone()), body(b"content")).await;
        assert_eq!(code(got), Some("IncompleteBody"));
        let got = bucket.put(promising(short), body(b"more content")).await;
        assert_eq!(code(got), Some("IncompleteBody"));
        let md5 = BodyPromise { content_md5: Some([0; 16]), ..BodyPromise::default() };
        assert_eq!(code(bucket.put(promising(md5), body(b"content")).await), Some("BadDigest"));
        let error = BodyError { code: "RequestTimeout", status: 400, message: "idle".into() };
        let broken = vec![Ok(Bytes::from_static(b"con")), Err(error.into())];
        let got = bucket.put(new_put("key"), stream::iter(broken)).await;
        assert_eq!(code(got), Some("RequestTimeout"));
        assert_eq!(code(bucket.object("key", None).await), Some("NoSuchKey"));
        assert!(bucket.list(&List { limit: 10, ..List::default() }).unwrap().items.is_empty());
    });
}

#[test]
fn a_source_that_went_is_not_a_failure_of_the_store() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("plain").await;
        let upload = NewUpload {
            key: "to".into(),
            attributes: Attributes::default(),
            algorithm: None,
            coverage: None,
            initiator: "root".into(),
        };
        let upload = bucket.create_upload(upload).await.unwrap().id;
        put(&bucket, "from", &content(MIB)).await;
        let source = bucket.copy_source("from", None).await.unwrap();
        bucket.delete(delete_of("from", None)).await.unwrap();
        let copy = Copy { key: "to".into(), ..Copy::default() };
        let hashed = Copy { algorithm: Some(Algorithm::Sha256), ..copy.clone() };
        for copy in [copy, hashed] {
            assert_eq!(bucket.copy(&source, copy).await, Err(ObjectError::ContentGone));
        }
        for (range, refusal) in [
            (None, Some(ObjectError::ContentGone)),
            // Written anew, from what the source in hand holds.
            (Some(ByteRange::Between(1, 9)), None),
        ] {
            let copy = CopyPart {
                key: "to".into(),
                upload,
                number: 1,
                range,
                source_conditions: ReadConditions::default(),
            };
            assert_eq!(bucket.copy_part(&source, copy).await.err(), refusal);
        }
    });
}

#[test]
fn copies_keep_or_replace_what_the_directives_say() {
    run(async {
        let fixture = Fixture::new().await;
        let (plain, versioned) = (fixture.bucket("plain").await, fixture.bucket("versioned").await);
        for len in [0, 10, 2 * MIB] {
            let content = content(len);
            let mut new = new_put("from");
            new.attributes.user_metadata = vec![("a".into(), "b".into())];
            new.attributes.headers.website_redirect = Some("/x".into());
            new.attributes.tags = TagSet::from_query("t=1").unwrap();
            plain.put(new, body(&content)).await.unwrap();
            let source = plain.copy_source("from", None).await.unwrap();

            let copy = Copy { key: "to".into(), ..Copy::default() };
            let copied = versioned.copy(&source, copy).await.unwrap();
            assert!(copied.version.is_some() && copied.source_version.is_none());
            let object = versioned.object("to", copied.version).await.unwrap();
            assert_eq!(object.info().etag, source.info().etag);
            assert_eq!(object.info().meta.user_metadata, source.info().meta.user_metadata);
            assert_eq!(object.info().meta.headers.website_redirect, None);
            assert_eq!(read(&versioned, "to", None).await.unwrap(), content);

            let other = Copy {
                key: "from".into(),
                metadata: MetadataDirective::Replace {
                    headers: ContentHeaders::default(),
                    user_metadata: vec![("c".into(), "d".into())],
                },
                tagging: TaggingDirective::Replace(TagSet::default()),
                algorithm: Some(Algorithm::Sha256),
                ..Copy::default()
            };
            plain.copy(&source, other).await.unwrap();
            let object = plain.object("from", None).await.unwrap();
            let mut hasher = Hasher::new(Algorithm::Sha256);
            hasher.update(&content);
            let checksum = Checksum::full(Algorithm::Sha256, hasher.finish());
            assert_eq!(object.info().meta.checksum, Some(checksum));
            assert_eq!(object.info().meta.user_metadata, [("c".to_owned(), "d".to_owned())]);
            assert!(object.info().meta.tags.is_empty());
            assert_eq!(read(&plain, "from", None).await.unwrap(), content);
        }
    });
}

#[test]
fn a_copy_onto_itself_must_change_something() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("plain").await;
        put(&bucket, "key", b"content").await;
        let source = bucket.copy_source("key", None).await.unwrap();
        let same = Copy { key: "key".into(), ..Copy::default() };
        assert_eq!(code(bucket.copy(&source, same.clone()).await), Some("InvalidRequest"));
        let touched = Copy { encryption: Some(Encryption::Aes256), ..same.clone() };
        assert_eq!(code(bucket.copy(&source, touched).await), None);
        let failing =
            ReadConditions { if_none_match: vec![EtagPattern::Any], ..ReadConditions::default() };
        let conditional = Copy { key: "other".into(), source_conditions: failing, ..same };
        assert_eq!(code(bucket.copy(&source, conditional).await), Some("PreconditionFailed"));
    });
}

#[test]
fn tags_change_and_the_rest_stays() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("versioned").await;
        let content = content(MIB);
        let stored = put(&bucket, "key", &content).await;
        let tags = TagSet::from_query("a=1&b=2").unwrap();
        let version = bucket.set_tags("key", None, tags.clone()).await.unwrap();
        assert_eq!(version, stored.version);
        assert_eq!(bucket.tags("key", None).await.unwrap(), (tags, stored.version));
        let object = bucket.object("key", None).await.unwrap();
        assert_eq!(object.info().etag, stored.etag);
        assert_eq!(object.info().last_modified_ms, stored.time_ms);
        assert_eq!(read(&bucket, "key", None).await.unwrap(), content);
        bucket.set_tags("key", None, TagSet::default()).await.unwrap();
        assert!(bucket.tags("key", None).await.unwrap().0.is_empty());
        assert_eq!(code(bucket.tags("none", None).await), Some("NoSuchKey"));
    });
}
