//! Conditional requests: what AWS answers when the state is not what the client thinks it is.

use crate::support::{Bucket, Response, bucket, digest, shared};

/// Two states that clients ask about: long ago and far ahead.
const PAST: &str = "Sat, 01 Jan 2000 00:00:00 GMT";
const FUTURE: &str = "Fri, 01 Jan 2038 00:00:00 GMT";
/// The ETag of nothing here.
const OTHER: &str = "\"d41d8cd98f00b204e9800998ecf8427f\"";

#[test]
fn reads_answer_each_precondition() {
    let bucket = bucket("read-conditions");
    let etag = bucket.store("k", "content");
    let bare = etag.trim_matches('"').to_owned();
    let list = format!("{OTHER}, {etag}");
    let weak = format!("W/{etag}");
    let cases: [(&[(&str, &str)], u16); 19] = [
        (&[("if-match", &etag)], 200),
        (&[("if-match", &bare)], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", &list)], 200),
        (&[("if-match", OTHER)], 412),
        (&[("if-none-match", &etag)], 304),
        (&[("if-none-match", &bare)], 304),
        (&[("if-none-match", &weak)], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", &list)], 304),
        (&[("if-none-match", OTHER)], 200),
        (&[("if-modified-since", PAST)], 200),
        (&[("if-unmodified-since", FUTURE)], 200),
        (&[("if-unmodified-since", PAST)], 412),
        (&[("if-match", &etag), ("if-unmodified-since", PAST)], 200),
        (&[("if-none-match", OTHER), ("if-modified-since", FUTURE)], 200),
        (&[("if-none-match", &etag), ("if-modified-since", PAST)], 304),
        (&[("if-match", OTHER), ("if-none-match", OTHER)], 412),
        (&[("if-modified-since", "not a date")], 200),
    ];
    for (headers, status) in cases {
        for method in ["GET", "HEAD"] {
            let response = bucket.request(method, "k").headers(headers).send();
            assert_eq!(response.status, status, "{method} {headers:?}: {response}");
        }
    }
}

#[test]
fn if_modified_since_holds_back_what_has_not_changed() {
    let bucket = bucket("not-modified-since");
    bucket.store("k", "content");
    let modified = bucket.head("k").send().expect(200);
    let modified = modified.header("last-modified").expect("a time").to_owned();
    bucket.get("k").header("if-modified-since", modified.as_str()).send().expect(304);
    bucket.get("k").header("if-unmodified-since", modified.as_str()).send().expect(200);
}

#[test]
fn not_modified_carries_the_etag_and_no_body() {
    let bucket = bucket("not-modified");
    let etag = bucket.store("k", "content");
    let response = bucket.get("k").header("if-none-match", etag.as_str()).send().expect(304);
    let response = response.with("etag", &etag);
    assert!(response.header("last-modified").is_some(), "{response}");
}

#[test]
fn a_failed_read_condition_is_precondition_failed() {
    let bucket = bucket("read-412");
    bucket.store("k", "content");
    bucket.get("k").header("if-match", OTHER).send().refused(412, "PreconditionFailed");
}

#[test]
fn put_if_absent_creates_once() {
    let bucket = bucket("put-if-absent");
    let put = |body: &str| bucket.put("k").header("if-none-match", "*").body(body).send();
    put("first").expect(200);
    put("second").refused(412, "PreconditionFailed");
    assert_eq!(bucket.content("k"), b"first");
    bucket.delete("k").send().expect(204);
    put("third").expect(200);
    assert_eq!(bucket.content("k"), b"third");
}

#[test]
fn put_if_absent_takes_a_delete_marker_for_absence() {
    let bucket = Bucket::create_versioned(&shared().client(), "put-if-absent-marker");
    let put = |body: &str| bucket.put("k").header("if-none-match", "*").body(body).send();
    put("first").expect(200);
    put("second").refused(412, "PreconditionFailed");
    bucket.delete("k").send().expect(204);
    put("third").expect(200);
    assert_eq!(bucket.content("k"), b"third");
}

#[test]
fn put_if_match_replaces_exactly_what_was_read() {
    let bucket = bucket("put-if-match");
    let put = |etag: &str, body: &str| bucket.put("k").header("if-match", etag).body(body).send();
    put(OTHER, "nothing to match").refused(404, "NoSuchKey");
    let first = bucket.store("k", "first");
    put(OTHER, "wrong").refused(412, "PreconditionFailed");
    let second = put(&first, "second").expect(200).etag();
    put(&first, "stale").refused(412, "PreconditionFailed");
    put(second.trim_matches('"'), "unquoted").expect(200);
    assert_eq!(bucket.content("k"), b"unquoted");
}

#[test]
fn put_if_none_match_etag_refuses_that_content_only() {
    let bucket = bucket("put-if-none-match-etag");
    let first = bucket.store("k", "first");
    let put =
        |etag: &str, body: &str| bucket.put("k").header("if-none-match", etag).body(body).send();
    put(&first, "second").refused(412, "PreconditionFailed");
    put(OTHER, "second").expect(200);
    assert_eq!(bucket.content("k"), b"second");
}

/// What is no condition: without a value, empty, without an end, two where one is taken.
const MALFORMED: [&str; 7] = ["", " ", "\"\"", "\"open", "two words", "W/\"\"", "\"a\", \"b\""];

#[test]
fn a_write_with_a_broken_condition_writes_nothing() {
    let bucket = bucket("broken-condition");
    bucket.store("k", "kept");
    bucket.store("source", "other");
    let upload = bucket.post("k?uploads").send().expect(200).field("UploadId");
    let part = bucket.put(&format!("k?partNumber=1&uploadId={upload}")).body("part").send();
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part>\
         </CompleteMultipartUpload>",
        part.expect(200).etag()
    );
    for value in MALFORMED {
        for name in ["if-match", "if-none-match"] {
            let writes = [
                bucket.put("k").body("lost"),
                bucket.put("k").header("x-amz-copy-source", format!("/{}/source", bucket.name)),
                bucket.post(&format!("k?uploadId={upload}")).body(list.clone()),
            ];
            for write in writes {
                write.header(name, value).send().refused(400, "InvalidArgument");
            }
        }
        let delete = bucket.delete("k").header("if-match", value);
        delete.send().refused(400, "InvalidArgument");
        assert_eq!(bucket.content("k"), b"kept", "{value:?}");
    }
    let body = bucket.post(&format!("k?uploadId={upload}")).body(list);
    body.send().expect(200);
}

#[test]
fn a_guard_without_a_value_guards_all_the_same() {
    let bucket = bucket("empty-guard");
    bucket.store("k", "kept");
    bucket.store("source", "other");
    let source = format!("/{}/source", bucket.name);
    for name in
        ["x-amz-if-match-size", "x-amz-if-match-last-modified-time", "x-amz-expected-bucket-owner"]
    {
        bucket.delete("k").header(name, "").send().refused(400, "InvalidArgument");
    }
    for name in [
        "x-amz-object-lock-mode",
        "x-amz-object-lock-legal-hold",
        "x-amz-copy-source",
        "x-amz-expected-bucket-owner",
    ] {
        let put = bucket.put("k").body("lost").header(name, "").send();
        put.refused_as(&[(400, "InvalidArgument"), (400, "InvalidRequest")]);
    }
    for name in [
        "x-amz-copy-source-if-match",
        "x-amz-copy-source-if-none-match",
        "x-amz-copy-source-if-modified-since",
        "x-amz-copy-source-if-unmodified-since",
        "x-amz-source-expected-bucket-owner",
    ] {
        let copy = bucket.put("k").header("x-amz-copy-source", source.as_str()).header(name, "");
        copy.send().refused(400, "InvalidArgument");
    }
    assert_eq!(bucket.content("k"), b"kept");
}

#[test]
fn put_if_none_match_compares_weakly() {
    let bucket = bucket("weak-if-none-match");
    let weak = format!("W/{}", bucket.store("k", "kept"));
    let put = |name: &str| bucket.put("k").header(name, weak.as_str()).body("lost").send();
    put("if-none-match").refused(412, "PreconditionFailed");
    put("if-match").refused(412, "PreconditionFailed");
    assert_eq!(bucket.content("k"), b"kept");
}

#[test]
fn delete_if_match_deletes_exactly_what_was_read() {
    let bucket = bucket("delete-if-match");
    let etag = bucket.store("k", "content");
    let delete = |etag: &str| bucket.delete("k").header("if-match", etag).send();
    delete(OTHER).refused(412, "PreconditionFailed");
    assert_eq!(bucket.content("k"), b"content");
    delete(&etag).expect(204);
    bucket.get("k").send().refused(404, "NoSuchKey");
    bucket.store("k", "again");
    delete("*").expect(204);
    bucket.get("k").send().refused(404, "NoSuchKey");
}

#[test]
fn delete_objects_checks_the_etag_of_each_key() {
    let bucket = bucket("delete-many-if-match");
    let right = bucket.store("right", "1");
    bucket.store("wrong", "2");
    let body = format!(
        "<Delete><Object><Key>right</Key><ETag>{right}</ETag></Object>\
         <Object><Key>wrong</Key><ETag>{OTHER}</ETag></Object></Delete>"
    );
    let response = bucket.post("?delete").body(body).content_md5().send().expect(200);
    assert_eq!(response.xml().column("Deleted", "Key"), ["right"]);
    assert_eq!(response.xml().column("Error", "Key"), ["wrong"]);
    assert_eq!(response.xml().column("Error", "Code"), ["PreconditionFailed"]);
    assert_eq!(bucket.keys(), ["wrong"]);
}

#[test]
fn copy_checks_its_source() {
    let bucket = bucket("copy-source-conditions");
    let etag = bucket.store("source", "content");
    let cases = [
        ("x-amz-copy-source-if-match", etag.as_str(), 200),
        ("x-amz-copy-source-if-match", OTHER, 412),
        ("x-amz-copy-source-if-none-match", OTHER, 200),
        ("x-amz-copy-source-if-none-match", etag.as_str(), 412),
        ("x-amz-copy-source-if-modified-since", PAST, 200),
        ("x-amz-copy-source-if-unmodified-since", FUTURE, 200),
        ("x-amz-copy-source-if-unmodified-since", PAST, 412),
    ];
    for (name, value, status) in cases {
        bucket.delete("target").send().expect(204);
        let request = bucket.put("target").header(name, value);
        let response =
            request.header("x-amz-copy-source", format!("/{}/source", bucket.name)).send();
        assert_eq!(response.status, status, "{name}: {value}: {response}");
        let written = bucket.head("target").send().status == 200;
        assert_eq!(written, status == 200, "{name}: {value}");
    }
}

#[test]
fn copy_checks_its_target() {
    let bucket = bucket("copy-target-conditions");
    bucket.store("source", "content");
    let copy = |name: &str, value: &str| -> Response {
        let request = bucket.put("target").header(name, value);
        request.header("x-amz-copy-source", format!("/{}/source", bucket.name)).send()
    };
    copy("if-none-match", "*").expect(200);
    copy("if-none-match", "*").refused(412, "PreconditionFailed");
    copy("if-match", OTHER).refused(412, "PreconditionFailed");
    let etag = format!("\"{}\"", digest::md5_hex(b"content"));
    copy("if-match", &etag).expect(200);
}

#[test]
fn complete_checks_its_target_and_leaves_the_upload_alone() {
    let bucket = bucket("complete-conditions");
    let upload = bucket.post("k?uploads").send().expect(200).field("UploadId");
    let part = bucket.put(&format!("k?partNumber=1&uploadId={upload}")).body("part").send();
    let etag = part.expect(200).etag();
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let complete = || {
        let request = bucket.post(&format!("k?uploadId={upload}")).body(body.clone());
        request.header("if-none-match", "*").send()
    };
    bucket.store("k", "was there");
    complete().refused(412, "PreconditionFailed");
    assert_eq!(bucket.content("k"), b"was there");
    bucket.delete("k").send().expect(204);
    complete().expect(200);
    assert_eq!(bucket.content("k"), b"part");
}
