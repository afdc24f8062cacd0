//! What filters mean, case by case, of rows and of columns alike; what is refused, in which words.

use serde_json::{Value, json};

use super::*;
use crate::columns::ColumnsBuilder;
use crate::metadata::MetadataLimits;

/// A document, the filters it passes, those it does not.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

const CASES: &[Case] = &[
    (
        r#"{"genre": "drama", "year": 2020, "new": true}"#,
        &[
            r#"{"genre": "drama"}"#,
            r#"{"genre": {"$eq": "drama"}}"#,
            r#"{"genre": {"$ne": "comedy"}}"#,
            r#"{"genre": {"$in": ["comedy", "drama"]}}"#,
            r#"{"genre": {"$nin": ["comedy", "horror"]}}"#,
            r#"{"genre": {"$exists": true}}"#,
            r#"{"genre": {"$startsWith": "dra"}}"#,
            r#"{"genre": {"$startsWith": "drama"}}"#,
            r#"{"genre": {"$startsWith": ""}}"#,
            r#"{"genre": {"$startsWith": "d", "$ne": "dr"}}"#,
            r#"{"year": 2020}"#,
            r#"{"year": 2020.0}"#,
            r#"{"year": {"$gt": 2019}}"#,
            r#"{"year": {"$gte": 2020}}"#,
            r#"{"year": {"$lt": 2020.5}}"#,
            r#"{"year": {"$lte": 2020}}"#,
            r#"{"year": {"$gte": 2020, "$lte": 2020}}"#,
            r#"{"year": {"$gt": 2000, "$lt": 2030, "$ne": 2021, "$exists": true}}"#,
            r#"{"year": {"$in": [2020]}}"#,
            r#"{"new": true}"#,
            r#"{"new": {"$ne": false}}"#,
            r#"{"new": {"$in": [false, true]}}"#,
            r#"{"genre": "drama", "year": 2020}"#,
            r#"{"$and": [{"genre": "drama"}, {"year": {"$gt": 2000}}]}"#,
            r#"{"$and": [{"genre": "drama"}]}"#,
            r#"{"$or": [{"genre": "comedy"}, {"year": 2020}]}"#,
            r#"{"$or": [{"genre": "drama", "year": 2020}]}"#,
            r#"{"$or": [{"genre": "x"}, {"$and": [{"new": true}, {"$or": [{"year": 1}, {"year": 2020}]}]}]}"#,
            r#"{"new": true, "$or": [{"year": 1}, {"year": 2020}]}"#,
            r#"{"$and": [{"new": true}], "$or": [{"year": 2020}]}"#,
            r#"{"absent": {"$exists": false}, "genre": "drama"}"#,
        ],
        &[
            r#"{"genre": "Drama"}"#,
            r#"{"genre": "dram"}"#,
            r#"{"genre": "drama "}"#,
            r#"{"genre": {"$ne": "drama"}}"#,
            r#"{"genre": {"$in": ["comedy"]}}"#,
            r#"{"genre": {"$nin": ["comedy", "drama"]}}"#,
            r#"{"genre": {"$exists": false}}"#,
            r#"{"genre": {"$startsWith": "Dra"}}"#,
            r#"{"genre": {"$startsWith": "dramatic"}}"#,
            r#"{"genre": {"$startsWith": "rama"}}"#,
            r#"{"year": 2021}"#,
            r#"{"year": {"$gt": 2020}}"#,
            r#"{"year": {"$gte": 2020.5}}"#,
            r#"{"year": {"$lt": 2020}}"#,
            r#"{"year": {"$lte": 2019.9}}"#,
            r#"{"year": {"$gt": 2019, "$lt": 2020}}"#,
            r#"{"year": {"$gt": 2000, "$ne": 2020}}"#,
            r#"{"new": false}"#,
            r#"{"new": {"$nin": [true]}}"#,
            r#"{"genre": "drama", "year": 2021}"#,
            r#"{"$and": [{"genre": "drama"}, {"year": 1}]}"#,
            r#"{"$or": [{"genre": "comedy"}, {"year": 1}]}"#,
            r#"{"new": false, "$or": [{"year": 1}, {"year": 2020}]}"#,
            r#"{"absent": {"$exists": true}}"#,
        ],
    ),
    // Without the key: what negates passes, all else does not.
    (
        r#"{"other": 1}"#,
        &[
            r#"{"a": {"$ne": "x"}}"#,
            r#"{"a": {"$ne": 1}}"#,
            r#"{"a": {"$nin": ["x", 1, true]}}"#,
            r#"{"a": {"$exists": false}}"#,
            r#"{"a": {"$ne": "x", "$exists": false}}"#,
            r#"{"$or": [{"a": "x"}, {"a": {"$exists": false}}]}"#,
        ],
        &[
            r#"{"a": "x"}"#,
            r#"{"a": {"$eq": ""}}"#,
            r#"{"a": false}"#,
            r#"{"a": 0}"#,
            r#"{"a": {"$gt": -1e300}}"#,
            r#"{"a": {"$gte": 0}}"#,
            r#"{"a": {"$lt": 1e300}}"#,
            r#"{"a": {"$lte": 0}}"#,
            r#"{"a": {"$in": ["x", 0, false]}}"#,
            r#"{"a": {"$exists": true}}"#,
            r#"{"a": {"$startsWith": ""}}"#,
            r#"{"a": {"$ne": "x", "$exists": true}}"#,
        ],
    ),
    // Nothing at all.
    (
        r#"{}"#,
        &[r#"{"a": {"$ne": 1}}"#, r#"{"a": {"$exists": false}}"#, r#"{"a": {"$nin": [1]}}"#],
        &[r#"{"a": 1}"#, r#"{"a": {"$exists": true}}"#],
    ),
    // A list: any of its values.
    (
        r#"{"tags": ["red", "green", 7, true]}"#,
        &[
            r#"{"tags": "red"}"#,
            r#"{"tags": {"$eq": "green"}}"#,
            r#"{"tags": 7}"#,
            r#"{"tags": 7.0}"#,
            r#"{"tags": true}"#,
            r#"{"tags": {"$ne": "blue"}}"#,
            r#"{"tags": {"$in": ["blue", "red"]}}"#,
            r#"{"tags": {"$nin": ["blue", 8, false]}}"#,
            r#"{"tags": {"$exists": true}}"#,
            r#"{"tags": {"$startsWith": "gr"}}"#,
            r#"{"tags": {"$gt": 6}}"#,
            r#"{"tags": {"$lte": 7}}"#,
            r#"{"$and": [{"tags": "red"}, {"tags": "green"}]}"#,
            r#"{"tags": {"$eq": "red", "$ne": "blue"}}"#,
        ],
        &[
            r#"{"tags": "blue"}"#,
            r#"{"tags": "red,green"}"#,
            r#"{"tags": "7"}"#,
            r#"{"tags": false}"#,
            r#"{"tags": {"$ne": "red"}}"#,
            r#"{"tags": {"$ne": 7}}"#,
            r#"{"tags": {"$in": ["blue", 8]}}"#,
            r#"{"tags": {"$nin": ["blue", "green"]}}"#,
            r#"{"tags": {"$exists": false}}"#,
            r#"{"tags": {"$startsWith": "bl"}}"#,
            r#"{"tags": {"$gt": 7}}"#,
            r#"{"$and": [{"tags": "red"}, {"tags": "blue"}]}"#,
        ],
    ),
    // Each operator looks at any value by itself.
    (
        r#"{"n": [1, 10]}"#,
        &[
            r#"{"n": {"$gt": 5}}"#,
            r#"{"n": {"$lt": 5}}"#,
            r#"{"n": {"$gt": 4, "$lt": 6}}"#,
            r#"{"n": {"$gte": 10}}"#,
            r#"{"n": {"$ne": 5}}"#,
        ],
        &[r#"{"n": {"$gt": 10}}"#, r#"{"n": {"$lt": 1}}"#, r#"{"n": {"$ne": 1}}"#],
    ),
    // An empty list is there, and holds nothing.
    (
        r#"{"e": []}"#,
        &[r#"{"e": {"$exists": true}}"#, r#"{"e": {"$ne": "x"}}"#, r#"{"e": {"$nin": ["x"]}}"#],
        &[
            r#"{"e": ""}"#,
            r#"{"e": {"$exists": false}}"#,
            r#"{"e": {"$in": ["x", ""]}}"#,
            r#"{"e": {"$startsWith": ""}}"#,
            r#"{"e": {"$gte": 0}}"#,
        ],
    ),
    // Types do not mix.
    (
        r#"{"s": "1", "t": "true", "n": 1, "z": 0, "b": true, "f": false}"#,
        &[
            r#"{"s": "1"}"#,
            r#"{"n": 1}"#,
            r#"{"b": true}"#,
            r#"{"s": {"$ne": 1}}"#,
            r#"{"n": {"$ne": "1"}}"#,
            r#"{"n": {"$ne": true}}"#,
            r#"{"b": {"$ne": 1}}"#,
            r#"{"b": {"$nin": ["true", 1, "1"]}}"#,
            r#"{"n": {"$in": ["1", true, 1]}}"#,
        ],
        &[
            r#"{"s": 1}"#,
            r#"{"n": "1"}"#,
            r#"{"n": true}"#,
            r#"{"b": 1}"#,
            r#"{"b": "true"}"#,
            r#"{"t": true}"#,
            r#"{"f": 0}"#,
            r#"{"z": false}"#,
            r#"{"f": ""}"#,
            r#"{"s": {"$gt": 0}}"#,
            r#"{"s": {"$lte": 1}}"#,
            r#"{"b": {"$gt": 0}}"#,
            r#"{"b": {"$gte": 1}}"#,
            r#"{"f": {"$lt": 1}}"#,
            r#"{"n": {"$startsWith": "1"}}"#,
            r#"{"b": {"$startsWith": "t"}}"#,
            r#"{"s": {"$in": [1, true]}}"#,
        ],
    ),
    // Integers keep all their digits; a float is the number that it is.
    (
        r#"{"odd": 9007199254740993, "big": 18446744073709551615, "low": -9223372036854775808, "f": 0.1, "m": -0.0, "x": 9007199254740992.0}"#,
        &[
            r#"{"odd": 9007199254740993}"#,
            r#"{"odd": {"$gt": 9007199254740992}}"#,
            r#"{"odd": {"$gt": 9007199254740992.0}}"#,
            r#"{"odd": {"$lt": 9007199254740994}}"#,
            r#"{"odd": {"$ne": 9007199254740992.0}}"#,
            r#"{"big": 18446744073709551615}"#,
            r#"{"big": {"$lt": 18446744073709551616.0}}"#,
            r#"{"big": {"$gt": 18446744073709551614}}"#,
            r#"{"low": -9223372036854775808}"#,
            r#"{"low": -9223372036854775808.0}"#,
            r#"{"low": {"$lt": -9223372036854775807}}"#,
            r#"{"f": 0.1}"#,
            r#"{"f": {"$gt": 0, "$lt": 1}}"#,
            r#"{"m": 0}"#,
            r#"{"m": {"$gte": 0, "$lte": 0}}"#,
            r#"{"x": 9007199254740992}"#,
            r#"{"x": 9.007199254740992e15}"#,
        ],
        &[
            r#"{"odd": 9007199254740992}"#,
            r#"{"odd": 9007199254740992.0}"#,
            r#"{"odd": {"$lte": 9007199254740992}}"#,
            r#"{"big": 18446744073709551614}"#,
            r#"{"big": 18446744073709551616.0}"#,
            r#"{"low": {"$gt": -9223372036854775808}}"#,
            r#"{"f": 0.1000000001}"#,
            r#"{"m": {"$lt": 0}}"#,
            r#"{"x": 9007199254740993}"#,
        ],
    ),
    // Text is compared by its bytes; nothing is folded or normalised.
    (
        r#"{"ключ": "значение", "é": "e\u0301", "emoji": "👩‍👩‍👧", "nul": "a\u0000b", "long": "𝔘nicode"}"#,
        &[
            r#"{"ключ": "значение"}"#,
            r#"{"ключ": {"$startsWith": "зна"}}"#,
            r#"{"é": "e\u0301"}"#,
            r#"{"é": {"$startsWith": "e"}}"#,
            r#"{"é": {"$ne": "\u00e9"}}"#,
            r#"{"emoji": {"$startsWith": "👩"}}"#,
            r#"{"nul": "a\u0000b"}"#,
            r#"{"nul": {"$startsWith": "a\u0000"}}"#,
            r#"{"long": {"$startsWith": "𝔘"}}"#,
        ],
        &[
            r#"{"ключ": "Значение"}"#,
            r#"{"é": "\u00e9"}"#,
            r#"{"e\u0301": {"$exists": true}}"#,
            r#"{"nul": "a"}"#,
            r#"{"emoji": "👩"}"#,
            r#"{"long": {"$startsWith": "U"}}"#,
        ],
    ),
    // A key is a name, not a path; a value may look like an operator.
    (
        r#"{"a.b": 1, "a b": 2, "v": "$eq", "$weird": 3}"#,
        &[
            r#"{"a.b": 1}"#,
            r#"{"a b": {"$gte": 2}}"#,
            r#"{"v": "$eq"}"#,
            r#"{"v": {"$in": ["$eq", "$and"]}}"#,
        ],
        &[r#"{"a": 1}"#, r#"{"b": 1}"#, r#"{"A.B": 1}"#],
    ),
];

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn parsed(document: &Value) -> Filter {
    Filter::parse(document, &FilterLimits::default()).unwrap()
}

#[test]
fn a_row_passes_what_it_should_by_itself_and_in_columns() {
    let mut cases = 0;
    for (document, passed, failed) in CASES {
        let metadata = Metadata::stored(&json(document));
        let mut builder = ColumnsBuilder::new(&[]);
        builder.add(1, &metadata);
        let columns = builder.finish();
        for (filters, expected) in [(passed, true), (failed, false)] {
            for text in *filters {
                let filter = parsed(&json(text));
                assert_eq!(filter.matches(&metadata), expected, "{document} {text}");
                let rows = columns.matches(&filter, 2).unwrap();
                assert_eq!(rows.contains(1), expected, "{document} {text} in columns");
                cases += 1;
            }
        }
    }
    assert!(cases >= 150, "{cases}");
}

#[test]
fn what_is_no_filter_is_refused_by_name() {
    for (text, why) in [
        (r#"null"#, "a filter must be an object"),
        (r#"[]"#, "a filter must be an object"),
        (r#""x""#, "a filter must be an object"),
        (r#"{}"#, "a filter must name at least one key"),
        (r#"{"a": {}}"#, "key 'a' must have at least one operator"),
        (r#"{"a": null}"#, "$eq of key 'a' must have a string, number or boolean"),
        (r#"{"a": ["x"]}"#, "$eq of key 'a' must have a string, number or boolean"),
        (r#"{"a": {"$eq": null}}"#, "$eq of key 'a' must have a string, number or boolean"),
        (r#"{"a": {"$eq": ["x"]}}"#, "$eq of key 'a' must have a string, number or boolean"),
        (r#"{"a": {"$ne": {"b": 1}}}"#, "$ne of key 'a' must have a string, number or boolean"),
        (r#"{"a": {"$gt": "1"}}"#, "$gt of key 'a' must have a number"),
        (r#"{"a": {"$gte": true}}"#, "$gte of key 'a' must have a number"),
        (r#"{"a": {"$lt": null}}"#, "$lt of key 'a' must have a number"),
        (r#"{"a": {"$lte": [1]}}"#, "$lte of key 'a' must have a number"),
        (
            r#"{"a": {"$in": []}}"#,
            "$in of key 'a' must have a non-empty array of strings, numbers and booleans",
        ),
        (
            r#"{"a": {"$in": "x"}}"#,
            "$in of key 'a' must have a non-empty array of strings, numbers and booleans",
        ),
        (
            r#"{"a": {"$in": ["x", null]}}"#,
            "$in of key 'a' must have a non-empty array of strings, numbers and booleans",
        ),
        (
            r#"{"a": {"$nin": [["x"]]}}"#,
            "$nin of key 'a' must have a non-empty array of strings, numbers and booleans",
        ),
        (r#"{"a": {"$exists": 1}}"#, "$exists of key 'a' must have a boolean"),
        (r#"{"a": {"$exists": "true"}}"#, "$exists of key 'a' must have a boolean"),
        (r#"{"a": {"$startsWith": 1}}"#, "$startsWith of key 'a' must have a string"),
        (r#"{"a": {"$startsWith": ["x"]}}"#, "$startsWith of key 'a' must have a string"),
        (r#"{"a": {"$regex": "x"}}"#, "key 'a' has the unknown operator '$regex'"),
        (r#"{"a": {"b": 1}}"#, "key 'a' has the unknown operator 'b'"),
        (r#"{"a": {"$not": {"$eq": 1}}}"#, "key 'a' has the unknown operator '$not'"),
        (r#"{"a": {"$and": [{"b": 1}]}}"#, "key 'a' has the unknown operator '$and'"),
        (r#"{"a": {"$EQ": 1}}"#, "key 'a' has the unknown operator '$EQ'"),
        (r#"{"$eq": 1}"#, "'$eq' cannot stand where a key does"),
        (r#"{"$not": [{"a": 1}]}"#, "'$not' cannot stand where a key does"),
        (r#"{"$and": []}"#, "$and must have a non-empty array of filters"),
        (r#"{"$and": {"a": 1}}"#, "$and must have a non-empty array of filters"),
        (r#"{"$or": "x"}"#, "$or must have a non-empty array of filters"),
        (r#"{"$or": [{"a": 1}, 2]}"#, "a filter must be an object"),
        (r#"{"$or": [{"a": 1}, {}]}"#, "a filter must name at least one key"),
    ] {
        match Filter::parse(&json(text), &FilterLimits::default()) {
            Err(Error::Invalid(said)) => {
                assert_eq!(said, format!("Invalid filter: {why}"), "{text}");
            }
            other => panic!("{text} gave {other:?}"),
        }
    }
}

#[test]
fn every_value_named_is_a_constraint() {
    for (text, count) in [
        (r#"{"a": 1}"#, 1),
        (r#"{"a": {"$eq": 1}}"#, 1),
        (r#"{"a": {"$in": [1, 2, 3]}}"#, 3),
        (r#"{"a": {"$nin": [1, 1]}}"#, 2),
        (r#"{"$and": [{"a": 1}, {"b": {"$lte": 2}}]}"#, 2),
        (r#"{"a": {"$gte": 1, "$lte": 2}}"#, 2),
        (r#"{"a": {"$exists": true}, "b": {"$startsWith": "x"}}"#, 2),
        (r#"{"$or": [{"$and": [{"a": 1}]}, {"b": 1, "c": {"$in": [1, 2]}}]}"#, 4),
    ] {
        assert_eq!(parsed(&json(text)).constraints(), count, "{text}");
    }
}

#[test]
fn a_hundred_constraints_are_taken_and_no_more() {
    let many = |count: usize| json!({"a": {"$in": (0..count).collect::<Vec<_>>()}});
    assert_eq!(parsed(&many(100)).constraints(), 100);
    let spread = json!({"$or": (0..101).map(|at| json!({"a": {"$gt": at}})).collect::<Vec<_>>()});
    for over in [many(101), many(10_000), spread, json!({"$and": [many(100), {"b": 1}]})] {
        match Filter::parse(&over, &FilterLimits::default()) {
            Err(Error::Invalid(said)) => {
                assert_eq!(said, "Invalid filter: a filter must have at most 100 constraints");
            }
            other => panic!("{other:?}"),
        }
    }
    let raised = FilterLimits { constraints: 101, ..FilterLimits::default() };
    assert!(Filter::parse(&many(101), &raised).is_ok());
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!({"a": 1}), |inner, at| {
        if at % 2 == 0 { json!({"$and": [inner]}) } else { json!({"$or": [inner]}) }
    })
}

#[test]
fn nesting_is_taken_to_its_limit_and_no_deeper() {
    let filter = parsed(&nested(32));
    let metadata = Metadata::from_json(&json!({"a": 1}), &[], &MetadataLimits::default()).unwrap();
    assert!(filter.matches(&metadata));
    for depth in [33, 60] {
        match Filter::parse(&nested(depth), &FilterLimits::default()) {
            Err(Error::Invalid(said)) => {
                assert_eq!(said, "Invalid filter: $and and $or must be nested at most 32 deep")
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn keys_are_told_and_non_filterable_ones_refused() {
    let filter = parsed(&json!({"$or": [{"b": 1}, {"a": {"$gt": 1, "$lt": 3}}], "c": true}));
    assert_eq!(filter.keys().into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(filter.check_keys(&["d".to_owned()]).is_ok());
    match filter.check_keys(&["d".to_owned(), "a".to_owned()]) {
        Err(Error::Invalid(said)) => {
            assert_eq!(said, "Invalid use of non-filterable metadata in filter: key 'a'")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_prefixes_need_the_enhanced_mode() {
    assert!(parsed(&json!({"$or": [{"a": 1}, {"b": {"$startsWith": "x"}}]})).needs_enhanced());
    assert!(!parsed(&json!({"a": {"$in": ["x"]}, "b": {"$exists": true}})).needs_enhanced());
}

#[test]
fn filters_that_say_the_same_have_the_same_bytes() {
    for (a, b) in [
        (r#"{"a": 1}"#, r#"{"a": {"$eq": 1.0}}"#),
        (r#"{"a": 1}"#, r#"{"a": {"$in": [1]}}"#),
        (r#"{"a": {"$in": ["x", "y"]}}"#, r#"{"a": {"$in": ["y", "x", "y"]}}"#),
        (r#"{"a": 1, "b": 2}"#, r#"{"$and": [{"b": 2}, {"a": 1}]}"#),
        (r#"{"$or": [{"a": 1}, {"b": 2}]}"#, r#"{"$or": [{"b": 2}, {"a": 1}]}"#),
        (r#"{"$and": [{"a": 1}]}"#, r#"{"a": 1}"#),
        (r#"{"a": {"$gt": 1, "$lt": 2}}"#, r#"{"$and": [{"a": {"$lt": 2}}, {"a": {"$gt": 1}}]}"#),
    ] {
        assert_eq!(
            parsed(&json(a)).canonical_bytes(),
            parsed(&json(b)).canonical_bytes(),
            "{a} {b}"
        );
    }
}

#[test]
fn filters_that_say_something_else_have_other_bytes() {
    let all = [
        r#"{"a": 1}"#,
        r#"{"a": 2}"#,
        r#"{"b": 1}"#,
        r#"{"a": "1"}"#,
        r#"{"a": true}"#,
        r#"{"a": false}"#,
        r#"{"a": {"$ne": 1}}"#,
        r#"{"a": {"$in": [1, 2]}}"#,
        r#"{"a": {"$nin": [1, 2]}}"#,
        r#"{"a": {"$gt": 1}}"#,
        r#"{"a": {"$gte": 1}}"#,
        r#"{"a": {"$lt": 1}}"#,
        r#"{"a": {"$lte": 1}}"#,
        r#"{"a": {"$startsWith": "1"}}"#,
        r#"{"a": {"$startsWith": ""}}"#,
        r#"{"a": {"$exists": true}}"#,
        r#"{"a": {"$exists": false}}"#,
        r#"{"a": 1, "b": 1}"#,
        r#"{"$or": [{"a": 1}, {"b": 1}]}"#,
        r#"{"$or": [{"a": 1}, {"b": 1, "c": 1}]}"#,
        r#"{"a": 9007199254740992}"#,
        r#"{"a": 9007199254740993}"#,
    ];
    let bytes: std::collections::HashSet<Vec<u8>> =
        all.iter().map(|text| parsed(&json(text)).canonical_bytes()).collect();
    assert_eq!(bytes.len(), all.len());
}
