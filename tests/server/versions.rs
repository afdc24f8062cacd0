//! Versions: nothing is overwritten, and every delete can be undone until it names a version.

use crate::support::{Bucket, bucket, shared};

#[track_caller]
fn versioned(purpose: &str) -> Bucket {
    Bucket::create_versioned(&shared().client(), purpose)
}

#[test]
fn versioning_is_off_until_it_is_set() {
    let bucket = bucket("versioning-state");
    let status = || bucket.get("?versioning").send().expect(200).field("Status");
    assert_eq!(status(), "");
    bucket.put("k").body("x").send().expect(200).without("x-amz-version-id");
    bucket.get("k").send().expect(200).without("x-amz-version-id");
    for state in ["Enabled", "Suspended", "Enabled"] {
        bucket.set_versioning(state);
        assert_eq!(status(), state);
    }
    let body = "<VersioningConfiguration><Status>Off</Status></VersioningConfiguration>";
    bucket.put("?versioning").body(body).content_md5().send().refused(400, "MalformedXML");
}

#[test]
fn each_put_makes_a_version_that_stays_readable() {
    let bucket = versioned("versions");
    let ids: Vec<String> = (0..5).map(|n| bucket.store_version("k", format!("body {n}"))).collect();
    for (number, id) in ids.iter().enumerate() {
        let response = bucket.get(&format!("k?versionId={id}")).send().expect(200);
        assert_eq!(response.with("x-amz-version-id", id).text(), format!("body {number}"));
        let head = bucket.head(&format!("k?versionId={id}")).send().expect(200);
        head.with("x-amz-version-id", id);
    }
    let current = bucket.get("k").send().expect(200).with("x-amz-version-id", &ids[4]);
    assert_eq!(current.text(), "body 4");
}

#[test]
fn a_delete_leaves_a_marker_that_hides_the_object() {
    let bucket = versioned("marker");
    let id = bucket.store_version("k", "x");
    let deleted = bucket.delete("k").send().expect(204).with("x-amz-delete-marker", "true");
    let marker = deleted.version_id();
    assert!(!marker.is_empty() && marker != id);
    let missing = bucket.get("k").send().refused(404, "NoSuchKey");
    missing.with("x-amz-delete-marker", "true").with("x-amz-version-id", &marker);
    bucket.head("k").send().expect(404).with("x-amz-delete-marker", "true");
    assert_eq!(bucket.get(&format!("k?versionId={id}")).send().expect(200).text(), "x");
}

#[test]
fn a_marker_cannot_be_read_by_its_id() {
    let bucket = versioned("marker-read");
    bucket.store("k", "x");
    let marker = bucket.delete("k").send().expect(204).version_id();
    let response = bucket.get(&format!("k?versionId={marker}")).send();
    let response = response.refused(405, "MethodNotAllowed").with("x-amz-delete-marker", "true");
    assert_eq!(response.header("allow"), Some("DELETE"));
    bucket.head(&format!("k?versionId={marker}")).send().expect(405);
}

#[test]
fn removing_the_marker_brings_the_object_back() {
    let bucket = versioned("marker-remove");
    bucket.store("k", "x");
    let marker = bucket.delete("k").send().expect(204).version_id();
    let response = bucket.delete(&format!("k?versionId={marker}")).send().expect(204);
    response.with("x-amz-delete-marker", "true").with("x-amz-version-id", &marker);
    assert_eq!(bucket.content("k"), b"x");
}

#[test]
fn each_delete_stacks_a_marker() {
    let bucket = versioned("marker-stack");
    bucket.store("k", "x");
    let mut markers: Vec<String> =
        (0..3).map(|_| bucket.delete("k").send().expect(204).version_id()).collect();
    markers.reverse();
    let xml = bucket.get("?versions").send().expect(200).xml();
    assert_eq!(xml.column("DeleteMarker", "VersionId"), markers);
    assert_eq!(xml.column("DeleteMarker", "IsLatest"), ["true", "false", "false"]);
}

#[test]
fn a_delete_of_what_never_was_leaves_a_marker_too() {
    let bucket = versioned("marker-nothing");
    bucket.delete("k").send().expect(204).with("x-amz-delete-marker", "true");
    assert_eq!(bucket.get("?versions").send().expect(200).xml().all("DeleteMarker").len(), 1);
}

#[test]
fn a_version_is_deleted_for_good() {
    let bucket = versioned("version-delete");
    let first = bucket.store_version("k", "first");
    let second = bucket.store_version("k", "second");
    let response = bucket.delete(&format!("k?versionId={second}")).send().expect(204);
    response.with("x-amz-version-id", &second).without("x-amz-delete-marker");
    assert_eq!(bucket.content("k"), b"first");
    bucket.get(&format!("k?versionId={second}")).send().refused(404, "NoSuchVersion");
    bucket.delete(&format!("k?versionId={second}")).send().expect(204);
    bucket.delete(&format!("k?versionId={first}")).send().expect(204);
    let response = bucket.get("k").send().refused(404, "NoSuchKey");
    response.without("x-amz-delete-marker");
}

#[test]
fn a_version_id_that_is_none_is_an_invalid_argument() {
    let bucket = versioned("version-bad-id");
    bucket.store("k", "x");
    for id in ["", "nonsense!", "%00", "..%2F..", &"a".repeat(2000)] {
        for method in ["GET", "DELETE"] {
            let response = bucket.request(method, &format!("k?versionId={id}")).send();
            response.refused(400, "InvalidArgument");
        }
    }
    assert_eq!(bucket.content("k"), b"x");
}

#[test]
fn what_was_there_before_versioning_is_the_null_version() {
    let bucket = bucket("null-before");
    bucket.store("k", "before");
    bucket.set_versioning("Enabled");
    let id = bucket.store_version("k", "after");
    assert!(!id.is_empty() && id != "null");
    let response = bucket.get("k?versionId=null").send().expect(200);
    assert_eq!(response.with("x-amz-version-id", "null").text(), "before");
    bucket.delete(&format!("k?versionId={id}")).send().expect(204);
    assert_eq!(bucket.content("k"), b"before");
}

#[test]
fn suspended_versioning_replaces_the_null_version_only() {
    let bucket = versioned("suspended");
    let id = bucket.store_version("k", "kept");
    bucket.set_versioning("Suspended");
    for body in ["one", "two"] {
        let response = bucket.put("k").body(body).send().expect(200);
        response.without("x-amz-version-id");
        assert_eq!(bucket.content("k"), body.as_bytes());
    }
    let xml = bucket.get("?versions").send().expect(200).xml();
    assert_eq!(xml.column("Version", "VersionId"), ["null", id.as_str()]);
    assert_eq!(bucket.get(&format!("k?versionId={id}")).send().expect(200).text(), "kept");
}

#[test]
fn a_suspended_delete_replaces_the_null_version_by_a_null_marker() {
    let bucket = versioned("suspended-delete");
    let id = bucket.store_version("k", "kept");
    bucket.set_versioning("Suspended");
    bucket.store("k", "lost");
    for _ in 0..2 {
        let response = bucket.delete("k").send().expect(204);
        response.with("x-amz-delete-marker", "true").with("x-amz-version-id", "null");
    }
    bucket.get("k").send().refused(404, "NoSuchKey");
    let xml = bucket.get("?versions").send().expect(200).xml();
    assert_eq!(xml.column("DeleteMarker", "VersionId"), ["null"]);
    assert_eq!(xml.column("Version", "VersionId"), [id.as_str()]);
    bucket.delete("k?versionId=null").send().expect(204);
    assert_eq!(bucket.content("k"), b"kept");
}

#[test]
fn an_unversioned_delete_leaves_nothing() {
    let bucket = bucket("unversioned-delete");
    bucket.store("k", "x");
    let response = bucket.delete("k").send().expect(204);
    response.without("x-amz-delete-marker").without("x-amz-version-id");
    assert!(bucket.get("?versions").send().expect(200).xml().all("Version").is_empty());
    bucket.store("k", "x");
    bucket.delete("k?versionId=null").send().expect(204);
    bucket.get("k").send().refused(404, "NoSuchKey");
}

#[test]
fn delete_objects_makes_and_removes_markers() {
    let bucket = versioned("versions-delete-many");
    let first = bucket.store_version("a", "1");
    bucket.store("b", "2");
    let body = format!(
        "<Delete><Object><Key>a</Key><VersionId>{first}</VersionId></Object>\
         <Object><Key>b</Key></Object></Delete>"
    );
    let response = bucket.post("?delete").body(body).content_md5().send().expect(200);
    let xml = response.xml();
    let of = |key: &str| {
        let found = xml.all("Deleted").into_iter().find(|deleted| deleted.text("Key") == key);
        found.expect("a result for each key").clone()
    };
    assert_eq!(of("a").text("VersionId"), first);
    assert!(of("a").child("DeleteMarker").is_none());
    assert_eq!(of("b").text("DeleteMarker"), "true");
    let marker = of("b").text("DeleteMarkerVersionId");
    let body =
        format!("<Delete><Object><Key>b</Key><VersionId>{marker}</VersionId></Object></Delete>");
    let response = bucket.post("?delete").body(body).content_md5().send().expect(200);
    let deleted = response.xml().child("Deleted").expect("a result").clone();
    assert_eq!(deleted.text("VersionId"), marker);
    assert_eq!(deleted.text("DeleteMarker"), "true");
    assert_eq!(deleted.text("DeleteMarkerVersionId"), marker);
    assert_eq!(bucket.keys(), ["b"]);
}

#[test]
fn a_bucket_with_old_versions_is_not_empty() {
    let bucket = versioned("versions-not-empty");
    let id = bucket.store_version("k", "x");
    let marker = bucket.delete("k").send().expect(204).version_id();
    bucket.delete("").send().refused(409, "BucketNotEmpty");
    bucket.delete(&format!("k?versionId={id}")).send().expect(204);
    bucket.delete("").send().refused(409, "BucketNotEmpty");
    bucket.delete(&format!("k?versionId={marker}")).send().expect(204);
    bucket.delete("").send().expect(204);
}

#[test]
fn versions_of_many_puts_keep_their_order() {
    let bucket = versioned("versions-order");
    let mut ids: Vec<String> = (0..60).map(|n| bucket.store_version("k", n.to_string())).collect();
    ids.reverse();
    let xml = bucket.get("?versions&prefix=k").send().expect(200).xml();
    assert_eq!(xml.column("Version", "VersionId"), ids);
}
