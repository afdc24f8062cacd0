//! Tests of indexing and ranking as a whole.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::*;
use crate::{Error, Result};

fn built<'t>(analyzer: &Analyzer, texts: impl IntoIterator<Item = (u32, &'t str)>) -> TextIndex {
    let mut builder = TextBuilder::new(analyzer);
    for (row, text) in texts {
        builder.add(row, text).unwrap();
    }
    builder.finish().unwrap()
}

fn search(
    index: &TextIndex,
    analyzer: &Analyzer,
    text: &str,
    keep: usize,
) -> Result<Vec<TextMatch>> {
    let query = TextQuery::new(analyzer, text);
    let found = index.find(&query)?;
    let weights = Weights::new(&query, std::slice::from_ref(&found));
    found.best(&weights, Scope::default(), keep)
}

fn rows(matches: &[TextMatch]) -> Vec<u32> {
    matches.iter().map(|found| found.row).collect()
}

/// BM25 as the books write it, in double precision, of every row that has a term of the query.
fn reference(analyzer: &Analyzer, texts: &BTreeMap<u32, String>, query: &str) -> HashMap<u32, f64> {
    let terms: BTreeMap<u32, Vec<String>> =
        texts.iter().map(|(row, text)| (*row, analyzer.row_terms(text))).collect();
    let documents = terms.values().filter(|terms| !terms.is_empty()).count() as f64;
    let average = terms.values().map(Vec::len).sum::<usize>() as f64 / documents.max(1.0);
    let mut scores = HashMap::new();
    for wanted in analyzer.query_terms(query) {
        let having = terms.values().filter(|terms| terms.contains(&wanted)).count() as f64;
        let idf = (1.0 + (documents - having + 0.5) / (having + 0.5)).ln();
        for (row, terms) in &terms {
            let times = terms.iter().filter(|term| **term == wanted).count() as f64;
            let length = terms.len() as f64;
            if times > 0.0 {
                let saturated =
                    times * 2.2 / (times + 1.2 * (1.0 - 0.75 + 0.75 * length / average));
                *scores.entry(*row).or_default() += idf * saturated;
            }
        }
    }
    scores
}

/// Texts whose words are few and often come together, so that scores differ and terms repeat.
fn texts(rows: u32, seed: u64) -> BTreeMap<u32, String> {
    let mut state = seed | 1;
    let mut next = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut texts = BTreeMap::new();
    for row in 0..rows {
        if next(10) == 0 {
            continue;
        }
        let most = if next(20) == 0 { 300 } else { 12 };
        let words = 1 + next(most);
        let text: Vec<String> = (0..words)
            .map(|_| {
                let rare = next(60);
                format!("w{}", next(rare * rare + 1))
            })
            .collect();
        texts.insert(row, text.join(" "));
    }
    texts
}

const QUERIES: [&str; 8] = [
    "w0",
    "w0 w1 w2",
    "w3000 w0",
    "w17 w18 w19 w20 w1000",
    "w0 w0 w5",
    "absent",
    "w2 absent w40 w41 w2500 w0 w1",
    "",
];

#[test]
fn scores_are_those_of_the_formula() {
    let analyzer = Analyzer::new(None);
    for (count, seed) in [(1, 5), (40, 1), (900, 2), (6000, 3)] {
        let texts = texts(count, seed);
        let index = built(&analyzer, texts.iter().map(|(row, text)| (*row, text.as_str())));
        for query in QUERIES {
            let expected = reference(&analyzer, &texts, query);
            let found = search(&index, &analyzer, query, usize::MAX).unwrap();
            assert_eq!(found.len(), expected.len(), "{query:?}");
            for TextMatch { row, score } in &found {
                let expected = expected[row];
                let error = (f64::from(*score) - expected).abs() / expected;
                assert!(error < 1e-5, "{query:?}, row {row}: {score} instead of {expected}");
            }
            assert!(found.is_sorted_by(|a, b| a > b), "{query:?}");
            for keep in [0, 1, 2, 10, 100] {
                let best = search(&index, &analyzer, query, keep).unwrap();
                assert_eq!(best, found[..keep.min(found.len())], "{query:?}, the best {keep}");
            }
        }
    }
}

#[test]
fn rows_rank_alike_in_one_index_and_in_three() {
    let analyzer = Analyzer::new(None);
    let texts = texts(5000, 9);
    let whole = built(&analyzer, texts.iter().map(|(row, text)| (*row, text.as_str())));
    let starts = [0u32, 3, 2700, 5000];
    let parts: Vec<TextIndex> = starts
        .windows(2)
        .map(|ends| {
            let own = texts.range(ends[0]..ends[1]);
            built(&analyzer, own.map(|(row, text)| (row - ends[0], text.as_str())))
        })
        .collect();
    for query in QUERIES {
        let query = TextQuery::new(&analyzer, query);
        let found: Vec<FoundTerms<'_>> =
            parts.iter().map(|part| part.find(&query).unwrap()).collect();
        let weights = Weights::new(&query, &found);
        let one = whole.find(&query).unwrap();
        assert_eq!(weights, Weights::new(&query, std::slice::from_ref(&one)));
        for keep in [1, 10, 200, usize::MAX] {
            let mut merged = Vec::new();
            for (part, start) in found.iter().zip(starts) {
                let best = part.best(&weights, Scope::default(), keep).unwrap();
                let moved = |found: TextMatch| TextMatch { row: found.row + start, ..found };
                merged.extend(best.into_iter().map(moved));
            }
            merged.sort_by(|a, b| b.cmp(a));
            merged.truncate(keep);
            assert_eq!(merged, one.best(&weights, Scope::default(), keep).unwrap(), "{query:?}");
        }
    }
}

#[test]
fn only_living_rows_of_the_filter_are_answered_and_they_score_as_ever() {
    let analyzer = Analyzer::new(None);
    let texts = texts(5000, 4);
    let index = built(&analyzer, texts.iter().map(|(row, text)| (*row, text.as_str())));
    let every = |step: usize| (0..6000u32).step_by(step).collect::<RoaringBitmap>();
    let (few, many, dead) = ([7, 1023, 1024, 4801].into(), every(3), every(2));
    let scopes = [
        Scope { filter: Some(&few), dead: None },
        Scope { filter: Some(&many), dead: None },
        Scope { filter: None, dead: Some(&dead) },
        Scope { filter: Some(&many), dead: Some(&dead) },
        Scope { filter: Some(&dead), dead: Some(&dead) },
        Scope { filter: Some(&RoaringBitmap::new()), dead: None },
    ];
    for query in QUERIES {
        let query = TextQuery::new(&analyzer, query);
        let found = index.find(&query).unwrap();
        let weights = Weights::new(&query, std::slice::from_ref(&found));
        let all = found.best(&weights, Scope::default(), usize::MAX).unwrap();
        for scope in scopes {
            let has = |found: &&TextMatch| {
                scope.filter.is_none_or(|filter| filter.contains(found.row))
                    && scope.dead.is_none_or(|dead| !dead.contains(found.row))
            };
            let expected: Vec<TextMatch> = all.iter().filter(has).copied().collect();
            for keep in [1, 10, usize::MAX] {
                let best = found.best(&weights, scope, keep).unwrap();
                assert_eq!(best, expected[..keep.min(expected.len())], "{query:?}");
            }
        }
    }
}

#[test]
fn texts_of_a_row_count_together() {
    let analyzer = Analyzer::new(None);
    let apart = built(&analyzer, [(0, "a b"), (0, "a"), (0, ""), (2, "c"), (2, "a")]);
    let together = built(&analyzer, [(0, "a b a"), (2, "c a")]);
    assert_eq!(apart.encode(), together.encode());
    assert_eq!(apart.statistics(), TextStatistics { documents: 2, tokens: 5 });
    assert_eq!(apart.terms(), 3);
}

#[test]
fn rows_must_ascend() {
    let analyzer = Analyzer::new(None);
    let mut builder = TextBuilder::new(&analyzer);
    builder.add(3, "a").unwrap();
    for row in [2, u32::MAX] {
        assert!(matches!(builder.add(row, "b"), Err(Error::Invalid(_))));
    }
    assert_eq!(builder.finish().unwrap().statistics().documents, 1);
}

#[test]
fn terms_beyond_a_rows_limit_are_not_found() {
    let analyzer = Analyzer::new(None);
    let mut text = "word ".repeat(usize::from(ROW_TERMS_MAX) - 1);
    text.push_str("last beyond");
    let index = built(&analyzer, [(0, text.as_str()), (0, "other"), (1, "beyond")]);
    assert_eq!(index.statistics().tokens, u64::from(ROW_TERMS_MAX) + 1);
    assert_eq!(rows(&search(&index, &analyzer, "last", 9).unwrap()), [0]);
    assert_eq!(rows(&search(&index, &analyzer, "beyond", 9).unwrap()), [1]);
    assert!(search(&index, &analyzer, "other", 9).unwrap().is_empty());
}

#[test]
fn a_query_has_its_limit() {
    let analyzer = Analyzer::new(None);
    let text: Vec<String> = (0..QUERY_TERMS_MAX + 5).map(|n| format!("w{n}")).collect();
    assert_eq!(TextQuery::new(&analyzer, &text.join(" ")).terms().count(), QUERY_TERMS_MAX);
    assert!(TextQuery::new(&Analyzer::new(Some(Language::English)), "To be, or not").is_empty());
}

#[test]
fn each_language_finds_its_own_words_again() {
    let cases = [
        (None, "Ärger im Büro", "ärger"),
        (Some(Language::English), "Searching libraries", "library search"),
        (Some(Language::French), "les chevaux de l'été", "ete"),
        (Some(Language::Spanish), "canciones españolas", "cancion"),
        (Some(Language::Portuguese), "as informações", "informação"),
        (Some(Language::Italian), "nell'università", "universita"),
        (Some(Language::German), "die Häuser", "Haus"),
        (Some(Language::Dutch), "de huizen", "huizen"),
        (Some(Language::Chinese), "我爱北京天安门", "北京"),
        (Some(Language::Japanese), "吾輩は猫である", "猫"),
        (Some(Language::Korean), "한국어를 공부", "한국어"),
    ];
    for (language, text, query) in cases {
        let analyzer = Analyzer::new(language);
        let index = built(&analyzer, [(0, "x"), (1, text), (2, "y")]);
        assert_eq!(index.language(), language);
        assert_eq!(rows(&search(&index, &analyzer, query, 9).unwrap()), [1], "{language:?}");
    }
}

/// The encoded form is on devices: these bytes may only change with the format version.
#[test]
fn the_encoded_form_is_this() {
    let analyzer = Analyzer::new(Some(Language::English));
    let index = built(&analyzer, [(0, "red fish"), (2, "red red reed")]);
    let expected: Vec<u8> = [
        b"LDSTTEXT".as_slice(),
        &[1, 0, 1, 1, 1, 0, 0, 0],
        &[3, 0, 0, 0, 2, 0, 0, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0],
        &[3, 0, 0, 0, 0, 0, 0, 0],
        &[21, 0, 0, 0, 0, 0, 0, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0],
        // Lengths, then the place of the one block.
        &[2, 0, 3],
        &[0, 0, 0, 0, 0, 0, 0, 0],
        // Postings from 0; "fish" in 1 row, "re" + "d" in 2, "re" + "ed" in 1.
        &[0, 4],
        b"fish",
        &[1, 1, 0, 3],
        b"red",
        &[2, 3, 2, 2],
        b"ed",
        &[1, 1],
        // Row 0 once; row 0 once and, with one left out, row 2 twice; row 2 once.
        &[1, 1, 2, 2, 5],
    ]
    .concat();
    assert_eq!(index.encode().to_vec(), expected);
    let decoded = TextIndex::decode(expected.into()).unwrap();
    assert!(decoded.is_current());
    assert_eq!(decoded.statistics(), index.statistics());
    assert_eq!(rows(&search(&decoded, &analyzer, "red", 9).unwrap()), [2, 0]);
    assert!(decoded.memory_bytes() > index.encode().len());
}

/// Uses an index in every way; what it answers is open, that it answers is not.
fn exercise(bytes: Vec<u8>) -> Result<()> {
    let analyzer = Analyzer::new(None);
    let index = TextIndex::decode(bytes.into())?;
    let searched = QUERIES.map(|query| search(&index, &analyzer, query, 10).map(drop));
    let rows: Vec<u32> = (0..400).rev().collect();
    let merged = TextIndex::merge(&[TextPart { index: &index, rows: &rows }]).map(drop);
    searched.into_iter().chain([merged]).collect()
}

#[test]
fn no_damage_makes_an_index_panic() {
    let analyzer = Analyzer::new(None);
    for count in [3, 300] {
        let texts = texts(count, 11);
        let index = built(&analyzer, texts.iter().map(|(row, text)| (*row, text.as_str())));
        let good = index.encode().to_vec();
        exercise(good.clone()).unwrap();
        let step = good.len() / 200 + 1;
        for at in (0..good.len()).step_by(step).chain(0..56) {
            let cut = exercise(good[..at].to_vec());
            assert!(matches!(cut, Err(Error::Corrupt(_))), "{at} of {} bytes", good.len());
            for flip in [0x01, 0x80, 0xFF] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                match exercise(bad) {
                    Ok(()) | Err(Error::Corrupt(_) | Error::Invalid(_)) => {}
                    Err(error) => panic!("byte {at}: {error}"),
                }
            }
        }
        let mut longer = good;
        longer.push(0);
        assert!(matches!(exercise(longer), Err(Error::Corrupt(_))));
    }
}

proptest! {
    #[test]
    fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(matches!(TextIndex::decode(Bytes::from(bytes)), Err(Error::Corrupt(_))));
    }

    #[test]
    fn garbage_behind_a_good_head_does_not_panic(
        rows in 0u8..40, terms in 0u8..40, dictionary in 0u8..60,
        body in prop::collection::vec(prop_oneof![0u8..5, any::<u8>()], 200),
    ) {
        let mut bytes = b"LDSTTEXT".to_vec();
        bytes.extend([1, 0, 0, 1, 1, 0, 0, 0, rows, 0, 0, 0, rows, 0, 0, 0]);
        let used = usize::from(rows) + usize::from(terms).div_ceil(16) * 8 + usize::from(dictionary);
        for number in [200, u64::from(terms), dictionary.into(), (200 - used.min(200)) as u64] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(body);
        if let Err(error) = exercise(bytes) {
            prop_assert!(matches!(error, Error::Corrupt(_) | Error::Invalid(_)));
        }
    }

    #[test]
    fn any_texts_are_indexed_and_found_by_their_own_words(
        texts in prop::collection::vec("\\PC{0,20}|[a-zé東京한글 ]{0,30}", 1..12)
    ) {
        for language in [None, Some(Language::French), Some(Language::Japanese)] {
            let analyzer = Analyzer::new(language);
            let index = built(&analyzer, (0..).zip(texts.iter().map(String::as_str)));
            let decoded = TextIndex::decode(index.encode()).unwrap();
            for (row, text) in (0..).zip(&texts) {
                let found = search(&decoded, &analyzer, text, usize::MAX).unwrap();
                let has_terms = !analyzer.row_terms(text).is_empty();
                prop_assert_eq!(rows(&found).contains(&row), has_terms);
            }
        }
    }
}
