//! Buckets made, listed, configured, deleted.

use super::*;

fn new_bucket(name: &str, owner: &str) -> NewBucket {
    NewBucket {
        name: name.into(),
        owner: owner.into(),
        region: None,
        versioning: Versioning::Unversioned,
        object_lock: false,
        ownership: None,
        tags: vec![],
    }
}

#[test]
fn a_name_belongs_to_one() {
    run(async {
        let fixture = Fixture::new().await;
        let objects = &fixture.objects;
        let make = async |name, owner| objects.create_bucket(new_bucket(name, owner)).await;
        assert!(matches!(make("bucket", "ann").await, Ok(Created::New(_))));
        assert!(matches!(make("bucket", "ann").await, Ok(Created::Existing(_))));
        assert_eq!(code(make("bucket", "bob").await), Some("BucketAlreadyExists"));
        assert_eq!(code(make("Bucket", "bob").await), Some("InvalidBucketName"));
        let abroad = NewBucket { region: Some("EU".into()), ..new_bucket("abroad", "ann") };
        objects.create_bucket(abroad).await.unwrap();
        assert_eq!(objects.bucket("abroad").unwrap().record().region, "eu-west-1");
        assert_eq!(objects.bucket("bucket").unwrap().record().region, "");
    });
}

#[test]
fn a_bucket_that_is_there_is_not_another_one() {
    run(async {
        let fixture = Fixture::new().await;
        let make = async |new| fixture.objects.create_bucket(new).await;
        let plain = new_bucket("plain", "ann");
        make(plain.clone()).await.unwrap();
        for new in [
            NewBucket { object_lock: true, ..plain.clone() },
            NewBucket { tags: vec![("a".into(), "1".into())], ..plain.clone() },
            NewBucket { ownership: Some(Ownership::ObjectWriter), ..plain.clone() },
        ] {
            assert_eq!(code(make(new.clone()).await), Some("BucketAlreadyOwnedByYou"));
            let other = NewBucket { name: "other".into(), ..new };
            make(other.clone()).await.unwrap();
            for again in [other, new_bucket("other", "ann")] {
                assert!(matches!(make(again).await, Ok(Created::Existing(_))));
            }
            fixture.objects.bucket("other").unwrap().delete_bucket().await.unwrap();
        }
    });
}

#[test]
fn a_bucket_of_the_configuration_is_as_configured_or_refused() {
    run(async {
        let fixture = Fixture::new().await;
        let objects = &fixture.objects;
        let state = |name: &str| {
            let record = objects.bucket(name).unwrap().record().clone();
            (record.versioning, record.lock)
        };
        let plain = |name: &str| new_bucket(name, "root");
        let versioned = |name: &str| NewBucket { versioning: Versioning::Enabled, ..plain(name) };
        let locked = |name: &str| NewBucket { object_lock: true, ..versioned(name) };
        let lock = Some(LockConfiguration::default());

        objects.ensure_bucket(plain("bucket")).await.unwrap();
        assert_eq!(code(objects.ensure_bucket(locked("bucket")).await), Some("InvalidBucketState"));
        assert_eq!(state("bucket"), (Versioning::Unversioned, None));
        objects.ensure_bucket(versioned("bucket")).await.unwrap();
        assert_eq!(state("bucket"), (Versioning::Enabled, None));
        objects.bucket("bucket").unwrap().set_versioning(Versioning::Suspended).await.unwrap();
        assert_eq!(code(objects.ensure_bucket(locked("bucket")).await), Some("InvalidBucketState"));
        objects.ensure_bucket(versioned("bucket")).await.unwrap();
        objects.ensure_bucket(locked("bucket")).await.unwrap();
        assert_eq!(state("bucket"), (Versioning::Enabled, lock));

        let default =
            DefaultRetention { mode: RetentionMode::Compliance, period: RetentionPeriod::Days(1) };
        let ruled = LockConfiguration { default: Some(default) };
        objects.bucket("bucket").unwrap().set_lock_configuration(ruled).await.unwrap();
        for new in [locked("bucket"), versioned("bucket"), plain("bucket")] {
            objects.ensure_bucket(new).await.unwrap();
            assert_eq!(state("bucket"), (Versioning::Enabled, Some(ruled)));
        }
    });
}

#[test]
fn only_an_empty_bucket_is_deleted() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("versioned").await;
        let stored = put(&bucket, "key", b"content").await;
        assert_eq!(code(bucket.delete_bucket().await), Some("BucketNotEmpty"));
        let marker = bucket.delete(delete_of("key", None)).await.unwrap();
        bucket.delete(delete_of("key", stored.version)).await.unwrap();
        assert_eq!(code(bucket.delete_bucket().await), Some("BucketNotEmpty"));
        bucket.delete(delete_of("key", marker.version)).await.unwrap();
        let new = NewUpload {
            key: "upload".into(),
            attributes: Attributes::default(),
            algorithm: None,
            coverage: None,
            initiator: "root".into(),
        };
        bucket.create_upload(new).await.unwrap();
        bucket.set_versioning(Versioning::Suspended).await.unwrap();
        // The handle is stale; the bucket is the same.
        bucket.delete_bucket().await.unwrap();
        assert_eq!(code(fixture.objects.bucket("versioned")), Some("NoSuchBucket"));
        assert_eq!(code(bucket.delete_bucket().await), Some("NoSuchBucket"));
        let got = bucket.put(new_put("key"), body(b"late")).await;
        assert_eq!(code(got), Some("NoSuchBucket"));
        // A new bucket of the name is not the old one.
        let again = fixture.bucket("versioned").await;
        assert_eq!(code(bucket.set_bucket_tags(vec![]).await), Some("NoSuchBucket"));
        assert!(again.list_versions(&VersionList { limit: 9, ..Default::default() }).is_ok());
    });
}

#[test]
fn buckets_are_listed_in_pages() {
    run(async {
        let fixture = Fixture::new().await;
        for (name, owner) in
            [("aaa", "ann"), ("aaa-1", "bob"), ("aaa-2", "ann"), ("bbb", "ann"), ("ccc", "bob")]
        {
            fixture.objects.create_bucket(new_bucket(name, owner)).await.unwrap();
        }
        let names = |list: &ListBuckets| {
            let page = fixture.objects.list_buckets(list).unwrap();
            let names: Vec<_> = page.buckets.iter().map(|b| b.name().to_owned()).collect();
            (names, page.next)
        };
        let all = ListBuckets::default();
        assert_eq!(
            names(&all),
            (["aaa", "aaa-1", "aaa-2", "bbb", "ccc"].map(String::from).into(), None)
        );
        let ann = ListBuckets { owner: Some("ann".into()), ..all.clone() };
        assert_eq!(names(&ann).0, ["aaa", "aaa-2", "bbb"]);
        let prefix = ListBuckets { prefix: "aaa".into(), ..all.clone() };
        assert_eq!(names(&prefix).0, ["aaa", "aaa-1", "aaa-2"]);
        let (first, token) = names(&ListBuckets { limit: Some(2), ..ann.clone() });
        assert_eq!(first, ["aaa", "aaa-2"]);
        let (second, token) = names(&ListBuckets { token, limit: Some(2), ..ann });
        assert_eq!((second, token), (vec!["bbb".to_owned()], None));
        let (page, token) = names(&ListBuckets { limit: Some(1), ..prefix.clone() });
        assert_eq!(page, ["aaa"]);
        assert_eq!(names(&ListBuckets { token, ..prefix }).0, ["aaa-1", "aaa-2"]);
    });
}

#[test]
fn a_new_bucket_has_amazon_s_defaults() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("plain").await;
        assert_eq!(bucket.ownership(), Ok(Ownership::BucketOwnerEnforced));
        assert_eq!(bucket.public_access_block(), Ok(PublicAccessBlock::ALL));
        assert_eq!(code(bucket.bucket_tags()), Some("NoSuchTagSet"));
        assert_eq!(code(bucket.lock_configuration()), Some("ObjectLockConfigurationNotFoundError"));
        bucket.set_ownership(None).await.unwrap();
        bucket.set_public_access_block(None).await.unwrap();
        bucket.set_bucket_tags(vec![("a".into(), "b".into())]).await.unwrap();
        let bucket = fixture.objects.bucket("plain").unwrap();
        assert_eq!(code(bucket.ownership()), Some("OwnershipControlsNotFoundError"));
        assert_eq!(
            code(bucket.public_access_block()),
            Some("NoSuchPublicAccessBlockConfiguration")
        );
        assert_eq!(bucket.bucket_tags().unwrap().len(), 1);
    });
}
