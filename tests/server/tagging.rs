//! Tags of objects and buckets: kept apart from the content, limited as AWS limits them.

use crate::support::xml::{Node, escape};
use crate::support::{Bucket, Response, bucket, shared};

fn tag_set(tags: &[(&str, &str)]) -> String {
    let tags: String = tags
        .iter()
        .map(|(key, value)| {
            format!("<Tag><Key>{}</Key><Value>{}</Value></Tag>", escape(key), escape(value))
        })
        .collect();
    format!("<Tagging><TagSet>{tags}</TagSet></Tagging>")
}

fn tags_of(xml: &Node) -> Vec<(String, String)> {
    let set = xml.child("TagSet").expect("a set");
    let mut tags: Vec<_> =
        set.column("Tag", "Key").into_iter().zip(set.column("Tag", "Value")).collect();
    tags.sort();
    tags
}

fn put_tags(bucket: &Bucket, target: &str, tags: &[(&str, &str)]) -> Response {
    bucket.put(target).body(tag_set(tags)).content_md5().send()
}

#[test]
fn tags_are_put_read_and_deleted() {
    let bucket = bucket("tags");
    let etag = bucket.store("k", "content");
    assert!(tags_of(&bucket.get("k?tagging").send().expect(200).xml()).is_empty());
    let tags = [("colour", "blue + @green:/=-._"), ("größe", "über"), ("no value", "")];
    put_tags(&bucket, "k?tagging", &tags).expect(200);
    let told = tags_of(&bucket.get("k?tagging").send().expect(200).xml());
    let mut expected = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    expected.sort();
    assert_eq!(told, expected);
    let head = bucket.get("k").send().expect(200).with("x-amz-tagging-count", "3");
    assert_eq!(head.etag(), etag, "tags leave the content alone");
    put_tags(&bucket, "k?tagging", &[("only", "one")]).expect(200);
    assert_eq!(tags_of(&bucket.get("k?tagging").send().xml()), [("only".into(), "one".into())]);
    bucket.delete("k?tagging").send().expect(204);
    assert!(tags_of(&bucket.get("k?tagging").send().expect(200).xml()).is_empty());
    bucket.get("k").send().expect(200).without("x-amz-tagging-count");
}

#[test]
fn tags_come_with_a_put() {
    let bucket = bucket("tags-header");
    let request = bucket.put("k").body("x").header("x-amz-tagging", "a=1&b%20c=2%2B3&d=");
    request.send().expect(200);
    let tags = tags_of(&bucket.get("k?tagging").send().expect(200).xml());
    let expected = [("a", "1"), ("b c", "2+3"), ("d", "")];
    assert_eq!(tags, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    bucket.put("k").body("y").send().expect(200);
    assert!(tags_of(&bucket.get("k?tagging").send().expect(200).xml()).is_empty());
}

#[test]
fn tags_have_limits() {
    let bucket = bucket("tags-limits");
    bucket.store("k", "x");
    let numbered: Vec<String> = (0..11).map(|n| format!("key{n}")).collect();
    let many: Vec<(&str, &str)> = numbered.iter().map(|key| (key.as_str(), "v")).collect();
    put_tags(&bucket, "k?tagging", &many[..10]).expect(200);
    put_tags(&bucket, "k?tagging", &many).refused_as(&[(400, "BadRequest"), (400, "InvalidTag")]);
    let (long_key, long_value) = ("k".repeat(129), "v".repeat(257));
    let cases: [&[(&str, &str)]; 5] = [
        &[(&long_key, "v")],
        &[("k", &long_value)],
        &[("same", "1"), ("same", "2")],
        &[("", "v")],
        &[("aws:mine", "v")],
    ];
    for tags in cases {
        put_tags(&bucket, "k?tagging", tags).refused(400, "InvalidTag");
    }
    put_tags(&bucket, "k?tagging", &[(&long_key[1..], &long_value[1..])]).expect(200);
    for header in ["a=1&a=2", &format!("{long_key}=v"), "=v"] {
        let response = bucket.put("new").body("x").header("x-amz-tagging", header).send();
        response.refused_as(&[(400, "InvalidTag"), (400, "InvalidArgument")]);
    }
    bucket.head("new").send().expect(404);
}

#[test]
fn tags_belong_to_a_version() {
    let bucket = Bucket::create_versioned(&shared().client(), "tags-versions");
    let first = bucket.store_version("k", "1");
    let second = bucket.store_version("k", "2");
    put_tags(&bucket, &format!("k?tagging&versionId={first}"), &[("of", "first")]).expect(200);
    let of = |id: &str| {
        let response = bucket.get(&format!("k?tagging&versionId={id}")).send().expect(200);
        tags_of(&response.with("x-amz-version-id", id).xml())
    };
    assert_eq!(of(&first), [("of".to_owned(), "first".to_owned())]);
    assert!(of(&second).is_empty());
    bucket.get("k").send().expect(200).without("x-amz-tagging-count");
}

#[test]
fn what_is_not_there_has_no_tags() {
    let bucket = Bucket::create_versioned(&shared().client(), "tags-missing");
    bucket.get("never?tagging").send().refused(404, "NoSuchKey");
    put_tags(&bucket, "never?tagging", &[("a", "1")]).refused(404, "NoSuchKey");
    bucket.store("k", "x");
    let marker = bucket.delete("k").send().expect(204).version_id();
    let response = bucket.get(&format!("k?tagging&versionId={marker}")).send();
    response.refused(405, "MethodNotAllowed");
    bucket.head("never").send().expect(404);
}

#[test]
fn a_bucket_is_made_with_tags_or_not_at_all() {
    let made = bucket("tags-of-new");
    let bucket = Bucket { name: format!("{}-tagged", made.name), ..made };
    let tag = |key: &str| format!("<Tag><Key>{key}</Key><Value>a&#32;b</Value></Tag>");
    let create = |tags: &str| {
        let document = format!(
            "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint>\
             <Tags>{tags}</Tags></CreateBucketConfiguration>"
        );
        bucket.put("").body(document).send()
    };
    create(&tag("aws:mine")).refused(400, "InvalidTag");
    create(&[tag("same"), tag("same")].concat()).refused(400, "InvalidTag");
    create("<Tag><Key>half</Key></Tag>").refused(400, "MalformedXML");
    bucket.head("").send().expect(404);
    create(&[tag("team"), tag("cost")].concat()).expect(200);
    let tags = tags_of(&bucket.get("?tagging").send().expect(200).xml());
    let expected = ["cost", "team"].map(|key| (key.to_owned(), "a b".to_owned()));
    assert_eq!(tags, expected);
    create(&tag("team")).refused(409, "BucketAlreadyOwnedByYou");
}

#[test]
fn a_bucket_has_tags_of_its_own() {
    let bucket = bucket("bucket-tags");
    bucket.get("?tagging").send().refused(404, "NoSuchTagSet");
    let put = put_tags(&bucket, "?tagging", &[("team", "storage")]);
    assert!(matches!(put.status, 200 | 204), "{put}");
    let tags = tags_of(&bucket.get("?tagging").send().expect(200).xml());
    assert_eq!(tags, [("team".to_owned(), "storage".to_owned())]);
    bucket.delete("?tagging").send().expect(204);
    bucket.get("?tagging").send().refused(404, "NoSuchTagSet");
    bucket.head("").send().expect(200);
}
