//! Retention and legal hold.

use super::*;

const LOCKED: Option<&str> = Some("AccessDenied");

fn retention(mode: RetentionMode, until_ms: u64) -> Option<Retention> {
    Some(Retention { mode, until_ms })
}

#[test]
fn a_locked_version_stays() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("lock").await;
        let until_ms = fixture.now_ms() + 60_000;
        let mut new = new_put("key");
        new.attributes.lock.retention = retention(RetentionMode::Governance, until_ms);
        let version = bucket.put(new, body(b"content")).await.unwrap().version;
        let remove = |bypass| Delete { bypass, ..delete_of("key", version) };
        assert_eq!(code(bucket.delete(remove(Bypass::None)).await), LOCKED);
        // A delete marker hides it, and that is allowed.
        let marker = bucket.delete(delete_of("key", None)).await.unwrap();
        bucket.delete(delete_of("key", marker.version)).await.unwrap();

        let got = bucket.retention("key", version).unwrap();
        assert_eq!(Some(got), retention(RetentionMode::Governance, until_ms));
        let shorter = retention(RetentionMode::Governance, until_ms - 1000);
        let got = bucket.set_retention("key", version, shorter, Bypass::None).await;
        assert_eq!(code(got), LOCKED);
        bucket.set_retention("key", version, shorter, Bypass::Governance).await.unwrap();
        let past = retention(RetentionMode::Governance, fixture.now_ms());
        let got = bucket.set_retention("key", version, past, Bypass::Governance).await;
        assert_eq!(code(got), Some("InvalidArgument"));

        assert_eq!(bucket.legal_hold("key", version), Err(ObjectError::NoSuchLock));
        bucket.set_legal_hold("key", version, true).await.unwrap();
        assert_eq!(bucket.legal_hold("key", version), Ok(true));
        assert_eq!(code(bucket.delete(remove(Bypass::Governance)).await), LOCKED);
        bucket.set_legal_hold("key", version, false).await.unwrap();
        assert_eq!(bucket.legal_hold("key", version), Ok(false));
        assert_eq!(code(bucket.delete(remove(Bypass::None)).await), LOCKED);
        assert_eq!(code(bucket.delete_many(vec![remove(Bypass::None)]).await.remove(0)), LOCKED);
        bucket.delete(remove(Bypass::Governance)).await.unwrap();
        assert_eq!(code(bucket.retention("key", version)), Some("NoSuchVersion"));
    });
}

#[test]
fn compliance_ends_with_its_time_only() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("lock").await;
        let default =
            DefaultRetention { mode: RetentionMode::Compliance, period: RetentionPeriod::Days(1) };
        let configuration = LockConfiguration { default: Some(default) };
        bucket.set_lock_configuration(configuration).await.unwrap();
        // The handle is stale: the default of now applies all the same.
        let version = put(&bucket, "key", b"content").await.version;
        let remove = Delete { bypass: Bypass::Governance, ..delete_of("key", version) };
        assert_eq!(code(bucket.delete(remove.clone()).await), LOCKED);
        let object = bucket.object("key", version).await.unwrap();
        let until_ms = fixture.now_ms() + 86_400_000;
        let lock = object.info().lock.unwrap();
        assert_eq!(lock.retention, retention(RetentionMode::Compliance, until_ms));
        assert_eq!(code(bucket.delete_bucket().await), Some("BucketNotEmpty"));
        fixture.advance(86_400);
        bucket.delete(remove).await.unwrap();
    });
}

#[test]
fn a_bucket_without_lock_knows_no_locks() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("versioned").await;
        put(&bucket, "key", b"content").await;
        let mut new = new_put("key");
        new.attributes.lock.legal_hold = Some(true);
        assert_eq!(code(bucket.put(new, body(b"x")).await), Some("InvalidRequest"));
        assert_eq!(code(bucket.legal_hold("key", None)), Some("InvalidRequest"));
        assert_eq!(code(bucket.set_legal_hold("key", None, true).await), Some("InvalidRequest"));
    });
}
