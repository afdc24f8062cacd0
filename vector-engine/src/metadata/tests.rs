//! Metadata from JSON, its limits, and its encoding against any bytes.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn made(document: &Value) -> Result<Metadata> {
    Metadata::from_json(document, &["bulk".to_owned()], &MetadataLimits::default())
}

fn refusal(document: &Value) -> String {
    match made(document) {
        Err(Error::Invalid(text)) => text,
        other => panic!("{document} gave {other:?}"),
    }
}

impl Metadata {
    /// As a document could once be stored: with lists of anything, and of nothing.
    pub(crate) fn stored(document: &Value) -> Self {
        let mut entries: Vec<(&String, &Value)> = document.as_object().unwrap().iter().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        let mut encoded = Vec::new();
        for (key, value) in entries {
            varint::write(&mut encoded, key.len() as u64);
            encoded.extend_from_slice(key.as_bytes());
            let scalar = |value| Scalar::from_json(value).unwrap();
            match value {
                Value::Array(items) => {
                    encode_list(&items.iter().map(scalar).collect::<Vec<_>>(), &mut encoded);
                }
                value => scalar(value).encode_into(&mut encoded),
            }
        }
        Self::decode(&encoded).unwrap()
    }
}

fn encoded(metadata: &Metadata) -> Vec<u8> {
    let mut out = Vec::new();
    metadata.encode_into(&mut out);
    out
}

#[test]
fn what_was_given_comes_back() {
    for document in [
        json!({}),
        json!({"a": "x", "b": 1, "c": -1, "d": 1.5, "e": true, "f": false}),
        json!({"strings": ["x", "", "x"], "numbers": [1, -2, 0.5], "text": ""}),
        json!({"": "without a name", "$eq": 1, "a.b": ["c"]}),
        json!({"großer Schlüssel 鍵": "Wert 値 \u{0} \u{1F600}"}),
        json!({"big": u64::MAX, "small": i64::MIN, "odd": (1u64 << 53) + 1, "tiny": 5e-324}),
        json!({"z": 1, "a": 2, "$x": 3, "a.b": 4}),
    ] {
        let metadata = made(&document).unwrap();
        assert_eq!(Value::Object(metadata.to_json()), document);
        assert_eq!(Metadata::decode(&encoded(&metadata)).unwrap(), metadata);
        for (key, value) in document.as_object().unwrap() {
            assert_eq!(metadata.get(key).unwrap().to_json(), *value, "{key}");
        }
        assert!(metadata.get("absent").is_none());
    }
}

#[test]
fn a_float_stays_a_float() {
    let metadata = made(&json!({"a": 1.0})).unwrap();
    assert_eq!(Value::Object(metadata.to_json()).to_string(), r#"{"a":1.0}"#);
}

#[test]
fn what_is_not_metadata_is_refused_in_amazons_words_and_by_name() {
    const VALUES: &str = "Metadata values must be strings, numbers, booleans, or arrays: key 'k'";
    const LISTS: &str = "Metadata array values must be strings or numbers: key 'k'";
    for (document, text) in [
        (json!([]), "Metadata must be an object"),
        (json!("x"), "Metadata must be an object"),
        (json!(null), "Metadata must be an object"),
        (json!({"k": null}), VALUES),
        (json!({"a": 1, "k": {"x": 1}}), VALUES),
        (json!({"bulk": 1, "k": {}}), VALUES),
        (json!({"k": []}), "Empty arrays are not allowed in metadata: key 'k'"),
        (json!({"k": ["x", null]}), LISTS),
        (json!({"k": [["x"]]}), LISTS),
        (json!({"k": [{}]}), LISTS),
        (json!({"k": [true, false]}), LISTS),
        (json!({"k": ["x", 1]}), LISTS),
        (json!({"k": [1, "x"]}), LISTS),
    ] {
        assert_eq!(refusal(&document), text);
    }
    let long = "k".repeat(2049);
    assert_eq!(refusal(&json!({long: true})), "Metadata keys must have at most 2048 bytes");
}

#[test]
fn what_lists_of_anything_were_stored_is_still_read() {
    for document in [
        json!({"list": ["x", 1, -2, 0.5, true], "empty": [], "text": ""}),
        json!({"a": [false], "b": "x"}),
    ] {
        let metadata = Metadata::stored(&document);
        assert_eq!(Value::Object(metadata.to_json()), document);
        assert_eq!(Metadata::decode(&encoded(&metadata)).unwrap(), metadata);
        assert!(matches!(made(&document), Err(Error::Invalid(_))));
    }
}

/// An object of `count` keys.
fn keys(count: usize) -> Map<String, Value> {
    (0..count).map(|at| (format!("k{at:02}"), json!("y"))).collect()
}

#[test]
fn at_most_fifty_keys() {
    assert!(made(&Value::Object(keys(50))).is_ok());
    assert_eq!(refusal(&Value::Object(keys(51))), "Metadata object must have at most 50 keys");
}

/// The longest value that Amazon's service took of each shape, as others measured it.
#[test]
fn bytes_are_counted_as_amazon_counts_them() {
    const FILTERABLE: &str = "Filterable metadata must have at most 2048 bytes";
    const TOTAL: &str = "Metadata object must have at most 40960 bytes";
    let named = |names: std::ops::Range<usize>, letter: &str, value: Value| -> Map<String, Value> {
        names.map(|at| (format!("{letter}{at}"), value.clone())).collect()
    };
    let list = |key: &str, count: usize, value: Value| -> Map<String, Value> {
        [(key.to_owned(), Value::Array(vec![value; count]))].into_iter().collect()
    };
    // Key, letter, how many of it fit, what else there is, what is said of one more.
    type Shape = (&'static str, &'static str, usize, Map<String, Value>, &'static str);
    let shapes: [Shape; 13] = [
        ("f", "x", 2035, Map::new(), FILTERABLE),
        ("ffffffffff", "x", 2026, Map::new(), FILTERABLE),
        ("f", "é", 1017, Map::new(), FILTERABLE),
        ("f", "中", 678, Map::new(), FILTERABLE),
        ("f", "\n", 2035, Map::new(), FILTERABLE),
        ("f", "x", 1807, keys(19), FILTERABLE),
        ("f", "x", 1895, named(0..10, "n", json!(0.123_456_789_012_345_6)), FILTERABLE),
        ("f", "x", 1895, named(0..10, "i", json!(7)), FILTERABLE),
        ("f", "x", 1935, named(0..10, "b", json!(true)), FILTERABLE),
        ("f", "x", 1626, list("a", 50, json!(1.5)), FILTERABLE),
        ("f", "x", 1726, list("s", 50, json!("ab")), FILTERABLE),
        ("bulk", "x", 40944, Map::new(), TOTAL),
        ("bulk", "中", 13648, Map::new(), TOTAL),
    ];
    for (key, letter, most, rest, text) in shapes {
        let with = |count: usize| {
            let mut map = rest.clone();
            map.insert(key.to_owned(), Value::from(letter.repeat(count)));
            Value::Object(map)
        };
        assert!(made(&with(most)).is_ok(), "{key} {letter} {most}");
        assert_eq!(refusal(&with(most + 1)), text, "{key} {letter} {most}");
    }
}

#[test]
fn a_row_without_metadata_allocates_nothing() {
    let none = made(&json!({})).unwrap();
    assert!(none.is_empty());
    assert_eq!(none.memory_bytes(), 16);
    assert_eq!(none, Metadata::default());
}

#[test]
fn the_encoding_is_this() {
    let metadata = Metadata::stored(&json!({"b": [true, -1], "a": "é", "c": 300, "d": 0.5}));
    let expected = [
        &[1, b'a', 5, 2, 0xc3, 0xa9][..],
        &[1, b'b', 6, 3, 1, 3, 0],
        &[1, b'c', 2, 0xac, 2],
        &[1, b'd', 4, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f],
    ];
    assert_eq!(encoded(&metadata), expected.concat());
}

#[test]
fn bytes_that_are_no_metadata_are_corrupt() {
    for bytes in [
        &[1][..],
        &[1, b'a'],
        &[1, b'a', 9],
        &[1, b'a', 0, 1, b'a', 0],
        &[1, b'b', 0, 1, b'a', 0],
        &[1, 0xff, 0],
        &[1, b'a', 5, 1, 0xff],
        &[1, b'a', 6, 2, 6, 0],
        &[1, b'a', 6, 1, 5],
        &[1, b'a', 4, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f],
        &[1, b'a', 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
    ] {
        assert!(matches!(Metadata::decode(bytes), Err(Error::Corrupt(_))), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_metadata_that_encodes_to_them_or_corrupt(
        bytes in proptest::collection::vec(prop_oneof![0u8..8, any::<u8>()], 0..40),
    ) {
        if let Ok(metadata) = Metadata::decode(&bytes) {
            prop_assert_eq!(encoded(&metadata), bytes);
            let keys = metadata.iter().count();
            prop_assert_eq!(metadata.to_json().len(), keys);
        }
    }

    #[test]
    fn changed_bytes_are_metadata_or_corrupt(
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let metadata =
            Metadata::stored(&json!({"a": "é", "b": [true, -1, "x", 0.5], "c": u64::MAX, "d": []}));
        let mut bytes = encoded(&metadata);
        let at = at.index(bytes.len());
        bytes[at] = value;
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            match Metadata::decode(bytes) {
                Ok(metadata) => prop_assert_eq!(encoded(&metadata), bytes),
                Err(error) => prop_assert!(matches!(error, Error::Corrupt(_))),
            }
        }
    }
}
