//! Listings of keys, versions and uploads, page by page.

use super::*;

/// All pages: keys, and prefixes in brackets, in the order they came.
fn walk(bucket: &Bucket, prefix: &str, delimiter: &str, limit: usize) -> String {
    let mut list =
        List { prefix: prefix.into(), delimiter: delimiter.into(), limit, ..List::default() };
    let mut seen = Vec::new();
    loop {
        let page = bucket.list(&list).unwrap();
        assert!(page.items.len() + page.prefixes.len() <= limit);
        seen.extend(page.items.into_iter().map(|item| item.key));
        seen.extend(page.prefixes.into_iter().map(|prefix| format!("[{prefix}]")));
        let Some(token) = page.next else { return seen.join(" ") };
        let token: PageToken = token.to_string().parse().unwrap();
        list.after = token.last().to_owned();
    }
}

#[test]
fn keys_are_listed_by_prefix_and_delimiter() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("plain").await;
        for key in ["asdf", "boo/bar", "boo/baz/xyzzy", "cquux/bla", "cquux/thud", "cquux//", "ü"]
        {
            put(&bucket, key, b"x").await;
        }
        for limit in [1, 2, 1000] {
            let all = "asdf boo/bar boo/baz/xyzzy cquux// cquux/bla cquux/thud ü";
            assert_eq!(walk(&bucket, "", "", limit), all);
            assert_eq!(walk(&bucket, "boo/", "/", limit), "boo/bar [boo/baz/]");
            assert_eq!(walk(&bucket, "cquux", "/", limit), "[cquux/]");
            assert_eq!(walk(&bucket, "nothing", "/", limit), "");
        }
        assert_eq!(walk(&bucket, "", "/", 1), "asdf [boo/] [cquux/] ü");
        let none = bucket.list(&List::default()).unwrap();
        assert_eq!(none, ListPage::default());
        let inside =
            List { delimiter: "/".into(), after: "boo/bar".into(), limit: 9, ..List::default() };
        assert_eq!(bucket.list(&inside).unwrap().prefixes, ["cquux/"]);
    });
}

#[test]
fn versions_are_listed_newest_first() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("versioned").await;
        for key in ["a", "a", "b/1", "b/2", "c"] {
            put(&bucket, key, b"x").await;
        }
        bucket.delete(delete_of("a", None)).await.unwrap();
        for limit in [1, 2, 3, 1000] {
            let mut list = VersionList { limit, delimiter: "/".into(), ..VersionList::default() };
            let mut seen = Vec::new();
            loop {
                let page = bucket.list_versions(&list).unwrap();
                for item in page.items {
                    assert!(item.version.to_string().parse() == Ok(item.version));
                    seen.push((item.key, item.is_latest, item.is_marker));
                }
                seen.extend(page.prefixes.into_iter().map(|prefix| (prefix, false, false)));
                if page.next.is_none() {
                    break;
                }
                list.after = page.next;
            }
            seen.sort_by(|x, y| x.0.cmp(&y.0));
            let want = [
                ("a", true, true),
                ("a", false, false),
                ("a", false, false),
                ("b/", false, false),
                ("c", true, false),
            ];
            let want = want.map(|(key, latest, marker)| (key.to_owned(), latest, marker));
            assert_eq!(seen, want, "{limit}");
        }
    });
}

#[test]
fn a_version_that_goes_between_two_pages_hides_no_other() {
    run(async {
        for end in [1, 2, 3] {
            let fixture = Fixture::new().await;
            let bucket = fixture.bucket("versioned").await;
            let mut versions = vec![];
            for versioning in [Versioning::Enabled, Versioning::Suspended, Versioning::Enabled] {
                bucket.set_versioning(versioning).await.unwrap();
                let bucket = fixture.objects.bucket("versioned").unwrap();
                versions.insert(0, put(&bucket, "k", b"").await.version.unwrap());
            }
            put(&bucket, "l", b"").await;
            assert_eq!(versions[1], VersionId::Null);
            let mut list = VersionList { limit: end, ..VersionList::default() };
            let first = bucket.list_versions(&list).unwrap();
            assert_eq!(first.items.last().unwrap().version, versions[end - 1]);
            bucket.delete(delete_of("k", Some(versions[end - 1]))).await.unwrap();
            list = VersionList { limit: 1000, after: first.next, ..list };
            let second = bucket.list_versions(&list).unwrap();
            let shown = |version: &VersionId| {
                let mut items = first.items.iter().chain(&second.items);
                items.any(|item| item.version == *version)
            };
            assert!(versions.iter().all(shown), "{end}");
            assert_eq!(second.items.last().unwrap().key, "l");
        }
    });
}

#[test]
fn uploads_are_listed_in_pages() {
    run(async {
        let fixture = Fixture::new().await;
        let bucket = fixture.bucket("plain").await;
        for key in ["a", "a", "a/b", "c/d", "c/e", "f"] {
            fixture.advance(1);
            let new = NewUpload {
                key: key.into(),
                attributes: Attributes::default(),
                algorithm: None,
                coverage: None,
                initiator: "ann".into(),
            };
            bucket.create_upload(new).await.unwrap();
        }
        for limit in [1, 2, 1000] {
            for (delimiter, want) in [("", "a a a/b c/d c/e f"), ("/", "a a [a/] [c/] f")] {
                let mut list =
                    UploadList { delimiter: delimiter.into(), limit, ..UploadList::default() };
                let mut seen: Vec<(String, u64)> = Vec::new();
                loop {
                    let page = bucket.list_uploads(&list).await.unwrap();
                    assert!(page.uploads.iter().all(|upload| upload.initiator == "ann"));
                    let keys = page.uploads.into_iter().map(|u| (u.key, u.initiated_ms));
                    seen.extend(keys);
                    seen.extend(page.prefixes.into_iter().map(|p| (format!("[{p}]"), 0)));
                    if page.next.is_none() {
                        break;
                    }
                    list.after = page.next;
                }
                let bare = |name: &str| name.trim_matches(['[', ']']).to_owned();
                seen.sort_by_key(|(name, time_ms)| (bare(name), *time_ms));
                let names: Vec<_> = seen.into_iter().map(|(name, _)| name).collect();
                assert_eq!(names.join(" "), want, "{limit}");
            }
        }
    });
}
