//! Columns against the filter's own meaning, row by row; their bytes, and any other bytes.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::filter::FilterLimits;
use crate::metadata::Metadata;

fn metadata(document: &Value) -> Metadata {
    Metadata::stored(document)
}

fn filter(document: &Value) -> Filter {
    Filter::parse(document, &FilterLimits::default()).unwrap()
}

fn built(rows: impl IntoIterator<Item = Metadata>) -> Columns {
    let mut builder = ColumnsBuilder::new(&[]);
    for (row, metadata) in (0..).zip(rows) {
        builder.add(row, &metadata);
    }
    builder.finish()
}

fn found(columns: &Columns, document: Value, rows: u32) -> Vec<u32> {
    columns.matches(&filter(&document), rows).unwrap().into_iter().collect()
}

/// Columns answer what the filter says of each row, and no more rows than they estimate.
fn check(rows: &[Metadata], columns: &Columns, filter: &Filter) {
    let count = rows.len() as u32;
    let expected: Vec<u32> =
        (0..count).filter(|row| filter.matches(&rows[*row as usize])).collect();
    let answered: Vec<u32> = columns.matches(filter, count).unwrap().into_iter().collect();
    assert_eq!(answered, expected, "{filter:?}");
    assert!(columns.estimate(filter, count).unwrap() >= expected.len() as u64, "{filter:?}");
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-3i64..4).prop_map(Value::from),
        (-3i64..4).prop_map(|half| Value::from(half as f64 / 2.0)),
        prop::sample::select(vec![
            json!((1u64 << 53) + 1),
            json!(1u64 << 53),
            json!((1u64 << 53) as f64),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(1e300),
            json!(-1e300),
        ]),
        prop::sample::select(vec!["", "a", "ab", "abc", "b", "é", "éa", "1", "true", "\u{10ffff}"])
            .prop_map(Value::from),
    ]
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "é"])
}

fn document() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        3 => scalar(),
        1 => prop::collection::vec(scalar(), 0..4).prop_map(Value::from),
    ];
    prop::collection::btree_map(key().prop_map(str::to_owned), value, 0..4)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn test() -> impl Strategy<Value = Value> {
    let number = || scalar().prop_filter("a number", Value::is_number);
    let one = (prop::sample::select(vec!["$eq", "$ne"]), scalar())
        .prop_map(|(operator, value)| json!({operator: value}));
    let many = (prop::sample::select(vec!["$in", "$nin"]), prop::collection::vec(scalar(), 1..4))
        .prop_map(|(operator, values)| json!({operator: values}));
    let compare = (prop::sample::select(vec!["$gt", "$gte", "$lt", "$lte"]), number())
        .prop_map(|(operator, value)| json!({operator: value}));
    let between = (number(), number()).prop_map(|(a, b)| json!({"$gte": a, "$lt": b}));
    let exists = any::<bool>().prop_map(|there| json!({"$exists": there}));
    let begins = prop::sample::select(vec!["", "a", "ab", "é", "\u{10ffff}", "z"])
        .prop_map(|prefix| json!({"$startsWith": prefix}));
    prop_oneof![scalar(), one, many, compare, between, exists, begins]
}

fn any_filter() -> impl Strategy<Value = Value> {
    let leaf = prop::collection::btree_map(key().prop_map(str::to_owned), test(), 1..3)
        .prop_map(|map| Value::Object(map.into_iter().collect()));
    leaf.prop_recursive(3, 12, 3, |inner| {
        (prop::sample::select(vec!["$and", "$or"]), prop::collection::vec(inner, 1..4))
            .prop_map(|(operator, parts)| json!({operator: parts}))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn columns_answer_what_the_filter_says_of_each_row(
        documents in prop::collection::vec(document(), 0..40),
        filters in prop::collection::vec(any_filter(), 1..8),
    ) {
        let rows: Vec<Metadata> = documents.iter().map(metadata).collect();
        let columns = built(rows.iter().cloned());
        let read = Columns::decode(columns.encode().into()).unwrap();
        for document in &filters {
            let filter = filter(document);
            check(&rows, &columns, &filter);
            check(&rows, &read, &filter);
        }
    }

    #[test]
    fn any_bytes_are_columns_or_corrupt(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        ask_all(bytes.clone());
        let mut headed = b"LODECOLS\x01\0\0\0\x05\0\0\0\x01\0\0\0\x1c\0\0\0\0\0\0\0".to_vec();
        headed.extend_from_slice(&bytes);
        ask_all(headed);
    }

    #[test]
    fn changed_bytes_are_columns_or_corrupt(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = mixed(600).encode();
        for (at, value) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        ask_all(bytes.clone());
        bytes.truncate(cut.index(bytes.len()));
        ask_all(bytes);
    }
}

/// Asks filters of every kind: an answer or `Error::Corrupt`, never a panic.
fn ask_all(bytes: Vec<u8>) {
    let Ok(columns) = Columns::decode(bytes.into()) else { return };
    for document in [
        json!({"few": 3}),
        json!({"few": {"$ne": 3}}),
        json!({"id": "row-000123"}),
        json!({"id": {"$startsWith": "row-0001"}}),
        json!({"number": {"$gt": 100}}),
        json!({"number": {"$lte": 400.5}}),
        json!({"$or": [{"few": {"$exists": false}}, {"absent": 1}, {"number": {"$nin": [1, 2]}}]}),
    ] {
        for asked in [
            columns.matches(&filter(&document), 600).err(),
            columns.estimate(&filter(&document), 600).err(),
        ] {
            assert!(asked.is_none_or(|error| matches!(error, Error::Corrupt(_))));
        }
    }
}

/// A key of two values, one of another string each row, one of another number each row.
fn mixed(rows: u32) -> Columns {
    built((0..rows).map(|row| {
        let number = row.wrapping_mul(7919) % rows;
        metadata(&json!({"few": row % 2 + 2, "id": format!("row-{row:06}"), "number": number}))
    }))
}

#[test]
fn a_value_of_many_rows_and_values_of_one_are_found_alike() {
    let columns = mixed(5000);
    let even: Vec<u32> = (0..5000).step_by(2).collect();
    assert_eq!(found(&columns, json!({"few": 2}), 5000), even);
    assert_eq!(found(&columns, json!({"few": {"$ne": 3}}), 5000), even);
    assert_eq!(found(&columns, json!({"id": "row-000123"}), 5000), [123]);
    assert_eq!(
        found(&columns, json!({"id": {"$startsWith": "row-00123"}}), 5000),
        (1230..1240).collect::<Vec<u32>>()
    );
    assert_eq!(found(&columns, json!({"id": "row-000123", "few": 2}), 5000), [] as [u32; 0]);
}

#[test]
fn a_wide_range_of_rare_values_goes_over_spans() {
    let rows = 120_000u32;
    let columns = mixed(rows);
    let spans = columns.section("number").unwrap().unwrap().spans();
    assert_eq!(spans, 3);
    for (from, to) in [(0, rows), (1, rows - 1), (10, 11), (500, 40_000), (40_000, 119_999)] {
        let document = json!({"number": {"$gte": from, "$lt": to}});
        let expected: Vec<u32> =
            (0..rows).filter(|row| (from..to).contains(&(row.wrapping_mul(7919) % rows))).collect();
        assert_eq!(found(&columns, document.clone(), rows), expected);
    }
    assert_eq!(
        columns.estimate(&filter(&json!({"number": {"$lt": 40_000}})), rows).unwrap(),
        40_000
    );
}

#[test]
fn estimates_are_exact_for_one_test_or_range_of_a_key() {
    let columns = mixed(5000);
    for (document, count) in [
        (json!({"few": 2}), 2500),
        (json!({"few": {"$ne": 2}}), 2500),
        (json!({"few": {"$in": [2, 2, 3]}}), 5000),
        (json!({"few": {"$gt": 2}}), 2500),
        (json!({"number": {"$gt": 17, "$lte": 17}}), 0),
        (json!({"number": {"$gte": 17, "$lt": 1000}}), 983),
        (json!({"$and": [{"number": {"$gte": 17}}, {"few": 2}, {"number": {"$lte": 20}}]}), 4),
        (json!({"number": {"$lt": 1000}}), 1000),
        (json!({"number": {"$lt": 0}}), 0),
        (json!({"id": {"$startsWith": "row-0001"}}), 100),
        (json!({"id": {"$exists": false}}), 0),
        (json!({"absent": {"$exists": false}}), 5000),
        (json!({"absent": 1}), 0),
        (json!({"$or": [{"few": 2}, {"few": 3}, {"few": 2}]}), 5000),
        (json!({"few": 2, "id": {"$startsWith": "row-0001"}}), 100),
    ] {
        assert_eq!(columns.estimate(&filter(&document), 5000).unwrap(), count, "{document}");
    }
}

#[test]
fn the_ends_of_a_range_are_met_by_any_value_of_a_list() {
    let columns = built([metadata(&json!({"n": [1, 10]})), metadata(&json!({"n": 5}))]);
    assert_eq!(found(&columns, json!({"n": {"$gt": 4, "$lt": 6}}), 2), [0, 1]);
    assert_eq!(found(&columns, json!({"n": {"$gt": 5, "$lt": 6}}), 2), [0]);
    assert_eq!(found(&columns, json!({"n": {"$gt": 10, "$lt": 6}}), 2), [] as [u32; 0]);
}

#[test]
fn rows_without_any_key_pass_only_what_asks_for_absence() {
    let columns = built([metadata(&json!({})), metadata(&json!({"a": 1})), metadata(&json!({}))]);
    assert_eq!(found(&columns, json!({"a": 1}), 4), [1]);
    assert_eq!(found(&columns, json!({"a": {"$ne": 1}}), 4), [0, 2, 3]);
    assert_eq!(found(&columns, json!({"b": {"$exists": false}}), 4), [0, 1, 2, 3]);
    let none = built([]);
    assert_eq!(found(&none, json!({"a": {"$ne": 1}}), 2), [0, 1]);
    assert_eq!(found(&none, json!({"a": {"$ne": 1}}), 0), [] as [u32; 0]);
}

#[test]
fn non_filterable_keys_are_left_out() {
    let mut builder = ColumnsBuilder::new(&["text".to_owned()]);
    builder.add(0, &metadata(&json!({"text": "long", "a": 1})));
    let columns = builder.finish();
    assert_eq!(found(&columns, json!({"text": {"$exists": true}}), 1), [] as [u32; 0]);
    assert_eq!(found(&columns, json!({"a": {"$exists": true}}), 1), [0]);
}

#[test]
fn rows_may_be_added_in_any_order() {
    let mut builder = ColumnsBuilder::new(&[]);
    for row in [5, 2, 9, 0] {
        builder.add(row, &metadata(&json!({"a": ["x", "x", row]})));
    }
    let columns = builder.finish();
    assert_eq!(found(&columns, json!({"a": "x"}), 10), [0, 2, 5, 9]);
    assert_eq!(found(&columns, json!({"a": {"$gte": 5}}), 10), [5, 9]);
}

#[test]
fn columns_of_more_rows_than_the_segment_are_corrupt() {
    let columns = mixed(10);
    assert!(matches!(columns.matches(&filter(&json!({"few": 2})), 9), Err(Error::Corrupt(_))));
    assert!(matches!(columns.estimate(&filter(&json!({"few": 2})), 9), Err(Error::Corrupt(_))));
}

#[test]
fn unknown_magic_and_versions_are_refused() {
    let bytes = mixed(3).encode();
    for (at, text) in [(0, "columns: magic"), (8, "columns: unknown version 254")] {
        let mut changed = bytes.clone();
        changed[at] = 0xfe;
        changed[at + 1] = 0;
        match Columns::decode(changed.into()) {
            Err(Error::Corrupt(what)) => assert_eq!(what, text),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_bytes_are_these() {
    let columns =
        built([metadata(&json!({"b": [1, true], "k": "xy"})), metadata(&json!({"k": "xz"}))]);
    let section_b = [
        &1u32.to_le_bytes()[..],
        &1u32.to_le_bytes(),
        &0u32.to_le_bytes(),
        &1u32.to_le_bytes(),
        &25u64.to_le_bytes(),
        b"b",
        &0u64.to_le_bytes(),
        &0u64.to_le_bytes(),
        &[0, 1, 0, 1, 0],
        &[0, 1, 2, 1, 0],
        &[0, 11, 3, 0xbf, 0xf0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0][..],
    ]
    .concat();
    let section_k = [
        &1u32.to_le_bytes()[..],
        &1u32.to_le_bytes(),
        &0u32.to_le_bytes(),
        &0u32.to_le_bytes(),
        &18u64.to_le_bytes(),
        b"k",
        &0u64.to_le_bytes(),
        &0u64.to_le_bytes(),
        &[0, 1, 0, 2, 0, 0],
        &[0, 3, 4, b'x', b'y', 1, 0],
        &[2, 1, b'z', 1, 1],
    ]
    .concat();
    let first = 36u64;
    let expected = [
        &b"LODECOLS"[..],
        &1u16.to_le_bytes(),
        &[0, 0],
        &2u32.to_le_bytes(),
        &2u32.to_le_bytes(),
        &first.to_le_bytes(),
        &(first + section_b.len() as u64).to_le_bytes(),
        &section_b,
        &section_k,
    ]
    .concat();
    assert_eq!(columns.encode(), expected);
    assert_eq!(columns.memory_bytes(), expected.len() + size_of::<Columns>());
}
