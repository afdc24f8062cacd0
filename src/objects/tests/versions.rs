//! Versioning: enabled, suspended, delete markers.

use super::*;

#[test]
fn versions_stack_and_markers_hide_them() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("versioned").await;
        let first = put(&bucket, "key", b"1").await.version;
        let second = put(&bucket, "key", b"2").await.version;
        assert!(first.is_some() && first != second);
        assert_eq!(read(&bucket, "key", None).await.unwrap(), b"2");
        assert_eq!(read(&bucket, "key", first).await.unwrap(), b"1");

        let marker = bucket.delete(delete_of("key", None)).await.unwrap();
        assert!(marker.delete_marker && marker.version.is_some());
        let hidden = bucket.object("key", None).await.unwrap_err();
        assert_eq!(hidden, ObjectError::NoSuchKey { marker: marker.version });
        let named = bucket.object("key", marker.version).await.unwrap_err();
        assert_eq!((named.code(), named.status()), ("MethodNotAllowed", 405));
        assert_eq!(read(&bucket, "key", second).await.unwrap(), b"2");

        let another = bucket.delete(delete_of("key", None)).await.unwrap();
        assert_ne!(another.version, marker.version);
        for version in [another.version, marker.version] {
            let removed = bucket.delete(delete_of("key", version)).await.unwrap();
            assert_eq!(removed, Deleted { version, delete_marker: true });
        }
        assert_eq!(read(&bucket, "key", None).await.unwrap(), b"2");
        let removed = bucket.delete(delete_of("key", second)).await.unwrap();
        assert_eq!(removed, Deleted { version: second, delete_marker: false });
        assert_eq!(read(&bucket, "key", None).await.unwrap(), b"1");
        assert_eq!(code(bucket.object("key", second).await), Some("NoSuchVersion"));
        assert_eq!(code(bucket.object("key", Some(VersionId::Null)).await), Some("NoSuchVersion"));
    });
}

#[test]
fn null_versions_live_beside_others() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("plain").await;
        assert_eq!(put(&bucket, "key", b"before").await.version, None);
        bucket.set_versioning(Versioning::Enabled).await.unwrap();
        // The handle is stale: a write with it must see the new configuration all the same.
        let second = put(&bucket, "key", b"enabled").await.version;
        assert!(matches!(second, Some(VersionId::Sequence(_))));
        let bucket = fixture.objects.bucket("plain").unwrap();
        assert_eq!(read(&bucket, "key", Some(VersionId::Null)).await.unwrap(), b"before");
        bucket.set_versioning(Versioning::Suspended).await.unwrap();
        let bucket = fixture.objects.bucket("plain").unwrap();
        assert_eq!(put(&bucket, "key", b"suspended").await.version, Some(VersionId::Null));
        assert_eq!(read(&bucket, "key", Some(VersionId::Null)).await.unwrap(), b"suspended");
        assert_eq!(read(&bucket, "key", second).await.unwrap(), b"enabled");
        let marker = bucket.delete(delete_of("key", None)).await.unwrap();
        assert_eq!(marker, Deleted { version: Some(VersionId::Null), delete_marker: true });
        assert_eq!(code(bucket.object("key", None).await), Some("NoSuchKey"));
        let removed = bucket.delete(delete_of("key", Some(VersionId::Null))).await.unwrap();
        assert!(removed.delete_marker);
        assert_eq!(read(&bucket, "key", None).await.unwrap(), b"enabled");
    });
}

#[test]
fn many_deletes_answer_in_their_order() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("versioned").await;
        let stored = put(&bucket, "a", b"1").await;
        put(&bucket, "b", b"1").await;
        let wrong = DeleteConditions {
            if_match: Some(EtagPattern::Foreign),
            ..DeleteConditions::default()
        };
        let answers = bucket
            .delete_many(vec![
                delete_of("a", stored.version),
                Delete { conditions: wrong, ..delete_of("b", None) },
                delete_of("b", None),
                delete_of("never", None),
                delete_of(&"k".repeat(2000), None),
            ])
            .await;
        let seen: Vec<_> = answers
            .iter()
            .map(|answer| answer.as_ref().map(|d| d.delete_marker).map_err(ObjectError::code))
            .collect();
        assert_eq!(
            seen,
            [Ok(false), Err("PreconditionFailed"), Ok(true), Ok(true), Err("KeyTooLongError")]
        );
        let plain = fixture.bucket("plain").await;
        put(&plain, "a", b"1").await;
        let answers = plain.delete_many(vec![delete_of("a", None), delete_of("a", None)]).await;
        assert_eq!(answers, [Ok(Deleted::default()), Ok(Deleted::default())]);
        assert_eq!(code(plain.object("a", None).await), Some("NoSuchKey"));
    });
}
