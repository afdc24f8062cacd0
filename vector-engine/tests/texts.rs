//! Texts: found at once, in whatever segment their rows lie, built and built anew in the background.

use bytes::Bytes;
use futures::executor::block_on;
use serde_json::json;
use vector_engine::{
    Error, IndexSettings, Language, Metric, NewRow, Query, QueryText, TextBuilder, TextField,
    TextState,
};

use crate::reference::metadata;
use crate::subject::{Subject, record_name, settings, small_segments};

/// Where the version of the analyzer stands in a text part.
const ANALYZER_VERSION_AT: usize = 11;

fn texts() -> Vec<TextField> {
    vec![TextField { key: "text".to_owned(), language: Some(Language::English) }]
}

fn says(key: &str, text: &str, vector: [f32; 2]) -> NewRow {
    NewRow { key: key.into(), vector: vector.into(), metadata: metadata(&json!({"text": text})) }
}

fn ask(subject: &Subject, text: &str, vector: Option<[f32; 2]>) -> Vec<String> {
    let texts = vec![QueryText { key: "text".to_owned(), text: text.to_owned() }];
    let query = Query { vector: vector.map(Vec::from), texts, top: 10, ..Query::default() };
    let answer = block_on(subject.index.query(query)).unwrap();
    answer.hits.into_iter().map(|hit| hit.key).collect()
}

#[test]
fn texts_are_found_at_once_and_rank_alike_in_whatever_segment_they_lie() {
    let settings = IndexSettings { text: texts(), ..settings(2, Metric::Euclidean) };
    let mut subject = Subject::new(4, settings, small_segments());
    subject.put(vec![
        says("a", "a quick brown fox jumps", [0.0, 1.0]),
        says("b", "the lazy dog sleeps and sleeps", [1.0, 0.0]),
        says("c", "foxes and dogs", [5.0, 5.0]),
    ]);
    let before: Vec<Vec<String>> =
        ["fox", "dog sleeping", "nothing of it"].map(|text| ask(&subject, text, None)).into();
    assert_eq!(before[0].len(), 2, "{before:?}");
    assert_eq!(before[1], ["b", "c"]);
    assert!(before[2].is_empty());
    assert_eq!(ask(&subject, "fox", Some([0.0, 1.0]))[0], "a", "both lists name it first");
    subject.index.seal().unwrap();
    subject.put(vec![says("d", "unrelated", [9.0, 9.0])]);
    subject.delete(vec!["d".to_owned()]);
    subject.restart();
    let after: Vec<Vec<String>> =
        ["fox", "dog sleeping", "nothing of it"].map(|text| ask(&subject, text, None)).into();
    assert_eq!(before, after);
}

#[test]
fn a_text_field_is_building_until_every_segment_has_it() {
    let mut subject = Subject::new(5, settings(2, Metric::Euclidean), small_segments());
    subject.put(vec![says("a", "a quick brown fox", [0.0, 1.0])]);
    subject.index.seal().unwrap();
    subject.put(vec![says("b", "another fox", [0.0, 2.0])]);
    let field = &texts()[0];
    block_on(subject.index.set_text(texts())).unwrap();
    assert_eq!(subject.index.text_state(field), TextState::Building);
    assert_eq!(ask(&subject, "fox", None), ["b"]);
    subject.index.maintain().unwrap();
    assert_eq!(subject.index.text_state(field), TextState::Active);
    let mut found = ask(&subject, "fox", None);
    found.sort();
    assert_eq!(found, ["a", "b"]);
    block_on(subject.index.set_text(Vec::new())).unwrap();
    subject.index.maintain().unwrap();
    let texts = vec![QueryText { key: "text".to_owned(), text: "fox".to_owned() }];
    let query = Query { texts, top: 10, ..Query::default() };
    assert!(matches!(block_on(subject.index.query(query)).unwrap_err(), Error::Invalid(_)));
}

/// A text part of one row, as an older release made it.
fn outdated(field: &TextField, text: &str) -> Bytes {
    let analyzer = vector_engine::Analyzer::new(field.language);
    let mut builder = TextBuilder::new(&analyzer);
    builder.add(0, text).unwrap();
    let mut part = builder.finish().unwrap().encode().to_vec();
    part[ANALYZER_VERSION_AT] -= 1;
    part.into()
}

#[test]
fn texts_of_an_older_release_answer_until_they_are_built_anew() {
    let settings = IndexSettings { text: texts(), ..settings(2, Metric::Euclidean) };
    let field = &settings.text[0].clone();
    let mut subject = Subject::new(15, settings, small_segments());
    for (key, text) in [("a", "a quick brown fox"), ("b", "another fox")] {
        subject.put(vec![says(key, text, [0.0, 1.0])]);
        subject.index.seal().unwrap();
    }
    let part = record_name(b's', 1, "ten/text");
    let current = subject.read(&part).unwrap();
    subject.write(&part, Some(outdated(field, "a wolf")));
    subject.restart();
    assert_eq!(subject.index.text_state(field), TextState::Rebuilding);
    assert_eq!(ask(&subject, "fox", None), ["b"]);
    assert_eq!(ask(&subject, "wolf", None), ["a"]);
    // A field that has no part at all is more than that.
    let missing = record_name(b's', 2, "ten/text");
    let other = subject.read(&missing);
    subject.write(&missing, None);
    assert_eq!(subject.index.text_state(field), TextState::Building);
    subject.write(&missing, other);

    subject.index.maintain().unwrap();
    assert_eq!(subject.index.text_state(field), TextState::Active);
    assert_eq!(subject.read(&part).unwrap(), current);
    for _ in 0..2 {
        let mut found = ask(&subject, "fox", None);
        found.sort();
        assert_eq!(found, ["a", "b"]);
        assert!(ask(&subject, "wolf", None).is_empty());
        subject.restart();
        assert_eq!(subject.index.text_state(field), TextState::Active);
    }
}

#[test]
fn an_outdated_text_whose_field_or_segment_goes_is_waited_for_no_more() {
    let settings = IndexSettings { text: texts(), ..settings(2, Metric::Euclidean) };
    let field = &settings.text[0].clone();
    let mut subject = Subject::new(16, settings, small_segments());
    let part = record_name(b's', 1, "ten/text");
    subject.put(vec![says("a", "a quick brown fox", [0.0, 1.0])]);
    subject.index.seal().unwrap();
    subject.write(&part, Some(outdated(field, "a wolf")));
    subject.restart();
    block_on(subject.index.set_text(Vec::new())).unwrap();
    subject.index.maintain().unwrap();
    assert_eq!(subject.read(&part), None);
    block_on(subject.index.set_text(texts())).unwrap();
    assert_eq!(subject.index.text_state(field), TextState::Building);
    subject.index.maintain().unwrap();
    assert_eq!(subject.index.text_state(field), TextState::Active);
    assert_eq!(ask(&subject, "fox", None), ["a"]);

    subject.write(&part, Some(outdated(field, "a wolf")));
    subject.restart();
    subject.put(vec![says("a", "another fox", [0.0, 1.0])]);
    subject.index.seal().unwrap();
    assert_eq!(subject.index.text_state(field), TextState::Active);
    assert_eq!((ask(&subject, "fox", None), subject.read(&part)), (vec!["a".to_owned()], None));
}
