//! Listings: each page is the right window of the same sorted whole, whatever cuts it.

use std::collections::BTreeSet;

use crate::support::fixture::Random;
use crate::support::signing::encode;
use crate::support::xml::{Node, escape};
use crate::support::{Bucket, Server, Setup, bucket, shared};

/// What a listing is asked for.
#[derive(Debug, Clone, Default)]
struct Query {
    prefix: String,
    delimiter: String,
    after: String,
    max_keys: usize,
}

/// What a page has to hold: keys, common prefixes, and whether more follows.
fn page_of(keys: &[String], query: &Query) -> (Vec<String>, Vec<String>, bool) {
    let (mut shown, mut prefixes) = (Vec::new(), Vec::<String>::new());
    for key in keys.iter().filter(|key| key.starts_with(&query.prefix)) {
        let below = &key[query.prefix.len()..];
        let cut = (!query.delimiter.is_empty()).then(|| below.find(&query.delimiter)).flatten();
        let prefix = cut.map(|at| &key[..query.prefix.len() + at + query.delimiter.len()]);
        let name = prefix.unwrap_or(key);
        if name <= query.after.as_str() || prefixes.iter().any(|known| known == name) {
            continue;
        }
        if shown.len() + prefixes.len() == query.max_keys {
            return (shown, prefixes, query.max_keys > 0);
        }
        match prefix {
            Some(prefix) => prefixes.push(prefix.to_owned()),
            None => shown.push(key.clone()),
        }
    }
    (shown, prefixes, false)
}

fn keys_of(xml: &Node) -> (Vec<String>, Vec<String>, bool) {
    let truncated = xml.text("IsTruncated") == "true";
    (xml.column("Contents", "Key"), xml.column("CommonPrefixes", "Prefix"), truncated)
}

#[track_caller]
fn fill(bucket: &Bucket, keys: &[&str]) {
    for key in keys {
        bucket.store(key, *key);
    }
}

#[test]
fn every_page_equals_the_model() {
    let bucket = bucket("list-model");
    let mut random = Random::new(7);
    let alphabet = ["a", "b", "/", "//", "é", "-", "🦀"];
    let mut keys = BTreeSet::new();
    while keys.len() < 120 {
        let length = 1 + random.below(6);
        let key: String = (0..length).map(|_| *random.pick(&alphabet)).collect();
        if keys.insert(key.clone()) {
            bucket.store(&key, "");
        }
    }
    let keys: Vec<String> = keys.into_iter().collect();
    for _ in 0..250 {
        let word = |random: &mut Random| -> String {
            (0..random.below(3)).map(|_| *random.pick(&alphabet)).collect()
        };
        let query = Query {
            prefix: word(&mut random),
            delimiter: (*random.pick(&["", "", "/", "/", "//", "é", "ab"])).to_owned(),
            after: if random.below(2) == 0 { String::new() } else { random.pick(&keys).clone() },
            max_keys: *random.pick(&[1, 2, 3, 7, 50, 1000]),
        };
        let cut = format!(
            "prefix={}&delimiter={}&max-keys={}",
            encode(&query.prefix),
            encode(&query.delimiter),
            query.max_keys
        );
        let expected = page_of(&keys, &query);
        let after = encode(&query.after);
        let first = bucket.get(&format!("?{cut}&marker={after}")).send().expect(200);
        assert_eq!(keys_of(&first.xml()), expected, "V1 {query:?}");
        let second = bucket.get(&format!("?list-type=2&{cut}&start-after={after}")).send();
        let xml = second.expect(200).xml();
        assert_eq!(keys_of(&xml), expected, "V2 {query:?}");
        let count = expected.0.len() + expected.1.len();
        assert_eq!(xml.text("KeyCount"), count.to_string(), "{query:?}");
    }
}

#[test]
fn a_walk_over_pages_sees_each_name_once() {
    let bucket = bucket("list-walk");
    let keys = ["a", "a/1", "a/2", "b", "b/1", "b/2/3", "c", "d//", "d//e", "f"];
    fill(&bucket, &keys);
    for delimiter in ["", "/"] {
        let whole = format!("?list-type=2&delimiter={}", encode(delimiter));
        let xml = bucket.get(&whole).send().expect(200).xml();
        let expected = (xml.column("Contents", "Key"), xml.column("CommonPrefixes", "Prefix"));
        for max_keys in [1, 2, 3, 4] {
            for (kind, next, from) in [
                ("", "NextMarker", "marker"),
                ("list-type=2", "NextContinuationToken", "continuation-token"),
            ] {
                let mut seen = (Vec::new(), Vec::new());
                let mut token = String::new();
                loop {
                    let cut = format!("delimiter={}&max-keys={max_keys}", encode(delimiter));
                    let xml = bucket.get(&format!("?{kind}&{cut}{token}")).send().expect(200).xml();
                    seen.0.extend(xml.column("Contents", "Key"));
                    seen.1.extend(xml.column("CommonPrefixes", "Prefix"));
                    if xml.text("IsTruncated") == "false" {
                        break;
                    }
                    let mut next = xml.text(next);
                    if next.is_empty() {
                        // V1 tells where to go on only when there is a delimiter.
                        assert!(kind.is_empty() && delimiter.is_empty());
                        next = seen.0.last().unwrap().clone();
                    }
                    token = format!("&{from}={}", encode(next));
                }
                assert_eq!(seen, expected, "{kind} by {max_keys}, delimiter {delimiter:?}");
            }
        }
    }
}

#[test]
fn pages_end_at_a_thousand_keys() {
    let server: Server = Setup::new().env("LODESTORE_DURABILITY", "none").start();
    let bucket = Bucket::create(&server.client(), "list-thousand");
    for number in 0..1001 {
        bucket.store(&format!("{number:04}"), "");
    }
    for asked in ["", "&max-keys=1000", "&max-keys=5000", "&max-keys=2147483647"] {
        let xml = bucket.get(&format!("?list-type=2{asked}")).send().expect(200).xml();
        assert_eq!(xml.all("Contents").len(), 1000, "{asked}");
        assert_eq!(xml.text("IsTruncated"), "true");
        let token = encode(xml.text("NextContinuationToken"));
        let rest = bucket.get(&format!("?list-type=2&continuation-token={token}")).send();
        assert_eq!(rest.expect(200).xml().column("Contents", "Key"), ["1000"]);
    }
}

#[test]
fn no_keys_wanted_is_an_empty_whole_page() {
    let bucket = bucket("list-zero");
    fill(&bucket, &["a", "b"]);
    for kind in ["?", "?list-type=2&"] {
        let xml = bucket.get(&format!("{kind}max-keys=0")).send().expect(200).xml();
        assert_eq!(keys_of(&xml), (vec![], vec![], false));
        assert_eq!(xml.text("MaxKeys"), "0");
    }
}

#[test]
fn a_bad_page_size_is_an_invalid_argument() {
    let bucket = bucket("list-bad-size");
    for kind in ["?", "?list-type=2&", "?versions&", "?uploads&"] {
        let name = if kind == "?uploads&" { "max-uploads" } else { "max-keys" };
        for value in ["-1", "many", "99999999999999999999"] {
            let response = bucket.get(&format!("{kind}{name}={value}")).send();
            response.refused(400, "InvalidArgument");
        }
    }
}

#[test]
fn a_forged_continuation_token_is_an_invalid_argument() {
    let bucket = bucket("list-bad-token");
    fill(&bucket, &["a"]);
    for token in ["%00", "not-a-token-of-ours", "////"] {
        let response = bucket.get(&format!("?list-type=2&continuation-token={token}")).send();
        response.refused(400, "InvalidArgument");
    }
}

#[test]
fn a_listing_echoes_what_it_was_asked() {
    let bucket = bucket("list-echo");
    fill(&bucket, &["p/a", "p/b"]);
    let asked = "prefix=p%2F&delimiter=%2F&max-keys=7&encoding-type=url";
    let xml = bucket.get(&format!("?{asked}&marker=p%2Fa")).send().expect(200).xml();
    assert_eq!(xml.name, "ListBucketResult");
    for (name, value) in [
        ("Name", bucket.name.as_str()),
        ("Prefix", "p/"),
        ("Delimiter", "/"),
        ("MaxKeys", "7"),
        ("Marker", "p/a"),
        ("EncodingType", "url"),
        ("IsTruncated", "false"),
    ] {
        assert_eq!(xml.text(name), value, "{name} of V1");
    }
    let asked = format!("?list-type=2&{asked}&start-after=p%2Fa");
    let xml = bucket.get(&asked).send().expect(200).xml();
    for (name, value) in [
        ("Name", bucket.name.as_str()),
        ("Prefix", "p/"),
        ("Delimiter", "/"),
        ("MaxKeys", "7"),
        ("StartAfter", "p/a"),
        ("KeyCount", "1"),
    ] {
        assert_eq!(xml.text(name), value, "{name} of V2");
    }
}

#[test]
fn an_empty_listing_still_names_its_prefix_and_marker() {
    let bucket = bucket("list-echo-empty");
    let xml = bucket.get("").send().expect(200).xml();
    assert!(xml.child("Prefix").is_some_and(|prefix| prefix.content.is_empty()));
    assert!(xml.child("Marker").is_some_and(|marker| marker.content.is_empty()));
    assert_eq!(xml.text("MaxKeys"), "1000");
    assert!(xml.child("Delimiter").is_none());
}

#[test]
fn an_entry_tells_size_etag_time_and_class() {
    let bucket = bucket("list-entry");
    let etag = bucket.store("k", "12345");
    for kind in ["", "?list-type=2"] {
        let xml = bucket.get(kind).send().expect(200).xml();
        let entry = xml.child("Contents").expect("one entry");
        assert_eq!(entry.text("Key"), "k");
        assert_eq!(entry.text("Size"), "5");
        assert_eq!(entry.text("ETag"), etag);
        assert_eq!(entry.text("StorageClass"), "STANDARD");
        let time = entry.text("LastModified");
        assert!(time.ends_with('Z') && time.contains('.'), "{time} has milliseconds");
    }
}

#[test]
fn the_owner_is_told_by_v1_always_and_by_v2_when_asked() {
    let bucket = bucket("list-owner");
    fill(&bucket, &["k"]);
    let owner = |query: &str| {
        let xml = bucket.get(query).send().expect(200).xml();
        let entry = xml.child("Contents").expect("one entry").clone();
        entry.child("Owner").map(|owner| owner.text("ID"))
    };
    assert_eq!(owner("").map(|id| id.len()), Some(64));
    assert_eq!(owner("?list-type=2"), None);
    assert_eq!(owner("?list-type=2&fetch-owner=true"), owner(""));
}

#[test]
fn url_encoding_covers_keys_and_prefixes() {
    let bucket = bucket("list-url");
    fill(&bucket, &["a b+c/d", "a%2F/é", "asdf+b", "nul\u{1}"]);
    let xml = bucket.get("?list-type=2&encoding-type=url&delimiter=%2F").send().expect(200).xml();
    let prefixes = xml.column("CommonPrefixes", "Prefix");
    // A space may be either; every client decodes both.
    let prefixes: Vec<String> = prefixes.iter().map(|text| text.replace('+', "%20")).collect();
    assert_eq!(prefixes, ["a%20b%2Bc/", "a%252F/"]);
    assert_eq!(xml.column("Contents", "Key"), ["asdf%2Bb", "nul%01"]);
    bucket.get("?encoding-type=rot13").send().refused(400, "InvalidArgument");
}

#[test]
fn keys_are_ordered_by_their_bytes() {
    let bucket = bucket("list-order");
    let mut keys =
        vec!["Z", "a", "B", "é", "z", "~", "!", "\u{ffff}", "\u{10000}", "0", "a!", "a/"];
    fill(&bucket, &keys);
    keys.sort_by_key(|key| key.as_bytes());
    assert_eq!(bucket.keys(), keys);
}

#[test]
fn a_marker_inside_a_prefix_goes_on_behind_it() {
    let bucket = bucket("list-marker-prefix");
    fill(&bucket, &["a/1", "a/2", "b/1", "c"]);
    for marker in ["a%2F", "a%2F1", "a%2F9"] {
        let target = format!("?delimiter=%2F&marker={marker}");
        let xml = bucket.get(&target).send().expect(200).xml();
        assert_eq!(xml.column("CommonPrefixes", "Prefix"), ["b/"], "{marker}");
        assert_eq!(xml.column("Contents", "Key"), ["c"]);
    }
}

#[test]
fn a_listing_sees_a_write_at_once() {
    let bucket = bucket("list-at-once");
    for round in 0..50 {
        let key = format!("k{round:02}");
        bucket.store(&key, "x");
        assert_eq!(bucket.keys(), [key.as_str()]);
        bucket.delete(&key).send().expect(204);
        assert!(bucket.keys().is_empty());
    }
}

#[test]
fn versions_are_listed_newest_first() {
    let bucket = Bucket::create_versioned(&shared().client(), "list-versions");
    let mut expected = Vec::new();
    for key in ["a", "b"] {
        let first = bucket.store_version(key, "1");
        let second = bucket.store_version(key, "22");
        let marker = bucket.delete(key).send().expect(204).version_id();
        let third = bucket.store_version(key, "333");
        for (id, latest) in
            [(third, "true"), (marker, "false"), (second, "false"), (first, "false")]
        {
            expected.push((key.to_owned(), id, latest.to_owned()));
        }
    }
    let xml = bucket.get("?versions").send().expect(200).xml();
    assert_eq!(xml.name, "ListVersionsResult");
    assert_eq!(versions_of(&xml), expected);
    assert_eq!(xml.column("DeleteMarker", "Key"), ["a", "b"]);
    assert_eq!(xml.column("Version", "Size"), ["3", "2", "1", "3", "2", "1"]);
    assert!(xml.all("Version").iter().all(|version| !version.text("ETag").is_empty()));
    for max_keys in [1, 2, 3, 5] {
        let mut seen = Vec::new();
        let mut from = String::new();
        loop {
            let page = format!("?versions&max-keys={max_keys}{from}");
            let xml = bucket.get(&page).send().expect(200).xml();
            seen.extend(versions_of(&xml));
            if xml.text("IsTruncated") == "false" {
                break;
            }
            let (key, id) = (xml.text("NextKeyMarker"), xml.text("NextVersionIdMarker"));
            from = format!("&key-marker={}&version-id-marker={}", encode(key), encode(id));
        }
        assert_eq!(seen, expected, "by {max_keys}");
    }
}

/// Versions and markers in the order of the document.
fn versions_of(xml: &Node) -> Vec<(String, String, String)> {
    xml.children
        .iter()
        .filter(|child| matches!(child.name.as_str(), "Version" | "DeleteMarker"))
        .map(|child| (child.text("Key"), child.text("VersionId"), child.text("IsLatest")))
        .collect()
}

#[test]
fn version_listings_know_prefix_delimiter_and_marker() {
    let bucket = Bucket::create_versioned(&shared().client(), "list-versions-cut");
    for key in ["a/1", "a/2", "b", "c/1", "c/1"] {
        bucket.store(key, key);
    }
    let list = |query: &str| {
        let xml = bucket.get(&format!("?versions&{query}")).send().expect(200).xml();
        (xml.column("Version", "Key"), xml.column("CommonPrefixes", "Prefix"))
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(list("delimiter=%2F"), (names(&["b"]), names(&["a/", "c/"])));
    assert_eq!(list("prefix=a%2F"), (names(&["a/1", "a/2"]), vec![]));
    assert_eq!(list("key-marker=a%2F1"), (names(&["a/2", "b", "c/1", "c/1"]), vec![]));
    bucket.get("?versions&version-id-marker=x").send().refused(400, "InvalidArgument");
}

#[test]
fn an_unversioned_object_is_listed_as_the_null_version() {
    let bucket = bucket("list-null");
    bucket.store("k", "x");
    let xml = bucket.get("?versions").send().expect(200).xml();
    assert_eq!(versions_of(&xml), [("k".to_owned(), "null".to_owned(), "true".to_owned())]);
}

#[test]
fn deleted_objects_are_not_listed() {
    let bucket = Bucket::create_versioned(&shared().client(), "list-deleted");
    fill(&bucket, &["a", "b/1", "c"]);
    bucket.delete("a").send().expect(204);
    bucket.delete("b/1").send().expect(204);
    let xml = bucket.get("?list-type=2&delimiter=%2F").send().expect(200).xml();
    assert_eq!(keys_of(&xml), (vec!["c".to_owned()], vec![], false));
}

#[test]
fn control_characters_in_keys_come_back_in_every_document() {
    const KEYS: [&str; 10] =
        ["\u{1}", "\t", "\n", "\r\n", "\r", "\u{1f}", "\u{7f}", "\u{85}", "\u{ffff}", "🦀"];
    let bucket = Bucket::create_versioned(&shared().client(), "list-control");
    let prefix = |key: &str| format!("p{key}/");
    // In the order of listings: "p\r\n/" is before "p\r/".
    for key in KEYS {
        let key = prefix(key) + key;
        bucket.store(&key, "x");
        let upload = bucket.post(&format!("{}?uploads", encode(&key))).send().expect(200).xml();
        assert_eq!(upload.text("Key"), key);
        let parts = format!("{}?uploadId={}", encode(&key), upload.text("UploadId"));
        assert_eq!(bucket.get(&parts).send().expect(200).field("Key"), key);
    }
    let keys = KEYS.map(|key| prefix(key) + key);
    let prefixes = KEYS.map(prefix);
    for (query, row) in [
        ("?", "Contents"),
        ("?list-type=2", "Contents"),
        ("?versions", "Version"),
        ("?uploads", "Upload"),
    ] {
        let page = |rest: String| {
            let query = format!("{query}{rest}");
            bucket.get(&query).send().expect(200).xml()
        };
        let all = page(String::new());
        assert_eq!(all.column(row, "Key"), keys, "{query}");
        let folded = page("&delimiter=/".to_owned());
        assert_eq!(folded.column("CommonPrefixes", "Prefix"), prefixes, "{query}");
        for (key, prefix) in keys.iter().zip(&prefixes) {
            let one = page(format!("&prefix={}", encode(prefix)));
            assert_eq!(
                (one.text("Prefix"), one.column(row, "Key")),
                (prefix.clone(), vec![key.clone()])
            );
        }
    }
    for (query, field) in [
        ("?delimiter=/&max-keys=1&marker=", "Marker"),
        ("?list-type=2&start-after=", "StartAfter"),
        ("?versions&key-marker=", "KeyMarker"),
        ("?uploads&key-marker=", "KeyMarker"),
        ("?delimiter=", "Delimiter"),
    ] {
        for key in &keys {
            let asked = bucket.get(&format!("{query}{}", encode(key))).send().expect(200);
            assert_eq!(asked.field(field), *key, "{query}");
        }
    }
    let names: String =
        keys.iter().map(|key| format!("<Object><Key>{}</Key></Object>", escape(key))).collect();
    let body = format!("<Delete>{names}</Delete>");
    let deleted = bucket.post("?delete").body(body).content_md5().send().expect(200).xml();
    assert_eq!(deleted.column("Deleted", "Key"), keys);
    assert_eq!(bucket.keys(), Vec::<String>::new());
}
