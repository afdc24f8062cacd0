//! Conditional writes and deletes.

use super::*;

fn conditional(if_match: Option<EtagPattern>, if_none_match: Option<EtagPattern>) -> Put {
    Put { conditions: WriteConditions { if_match, if_none_match }, ..new_put("key") }
}

#[test]
fn puts_hold_their_conditions() {
    run(async {
        for name in ["plain", "versioned"] {
            let fixture = Fixture::new().await;
            let bucket = fixture.bucket(name).await;
            let try_put = async |put: Put| code(bucket.put(put, body(b"new")).await);
            let any = Some(EtagPattern::Any);
            let foreign = Some(EtagPattern::Foreign);
            assert_eq!(try_put(conditional(any, None)).await, Some("NoSuchKey"));
            assert_eq!(try_put(conditional(foreign, None)).await, Some("NoSuchKey"));
            assert_eq!(try_put(conditional(None, any)).await, None);
            assert_eq!(try_put(conditional(None, any)).await, Some("PreconditionFailed"));
            assert_eq!(try_put(conditional(foreign, None)).await, Some("PreconditionFailed"));
            let tag = Some(EtagPattern::Tag(put(&bucket, "key", b"other").await.etag));
            assert_eq!(try_put(conditional(None, tag)).await, Some("PreconditionFailed"));
            assert_eq!(try_put(conditional(tag, None)).await, None);
            assert_eq!(try_put(conditional(tag, None)).await, Some("PreconditionFailed"));
            bucket.delete(delete_of("key", None)).await.unwrap();
            assert_eq!(try_put(conditional(tag, None)).await, Some("NoSuchKey"));
            assert_eq!(try_put(conditional(None, any)).await, None);
        }
    });
}

#[test]
fn of_many_puts_if_absent_one_wins() {
    run(async {
        let fixture = Fixture::new().await;
        for name in ["plain", "versioned"] {
            let bucket = fixture.bucket(name).await;
            let writers = (0..64).map(|writer: u8| {
                let bucket = bucket.clone();
                let put = conditional(None, Some(EtagPattern::Any));
                async move { bucket.put(put, body(&[writer])).await.map(|_| writer) }
            });
            let results = futures::future::join_all(writers).await;
            let winners: Vec<u8> = results.into_iter().flatten().collect();
            assert_eq!(winners.len(), 1);
            assert_eq!(read(&bucket, "key", None).await.unwrap(), winners);
        }
    });
}

#[test]
fn deletes_hold_their_conditions() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("versioned").await;
        let stored = put(&bucket, "key", b"content").await;
        let with = |conditions| Delete { conditions, ..delete_of("key", None) };
        let none = DeleteConditions::default();
        let wrong = DeleteConditions { if_match: Some(EtagPattern::Foreign), ..none };
        assert_eq!(code(bucket.delete(with(wrong)).await), Some("PreconditionFailed"));
        let wrong = DeleteConditions { size: Some(8), ..none };
        assert_eq!(code(bucket.delete(with(wrong)).await), Some("PreconditionFailed"));
        let right = DeleteConditions {
            if_match: Some(EtagPattern::Tag(stored.etag)),
            size: Some(7),
            last_modified_ms: Some(stored.time_ms),
        };
        assert!(bucket.delete(with(right)).await.unwrap().delete_marker);
        assert_eq!(code(bucket.delete(with(right)).await), Some("PreconditionFailed"));
        let versioned = Delete { version: stored.version, ..with(right) };
        assert_eq!(code(bucket.delete(versioned.clone()).await), None);
        assert_eq!(code(bucket.delete(versioned).await), None);
    });
}
