//! What a right checksum hides is found: records that are whole and say what is not so.

use bytes::Bytes;
use futures::executor::block_on;
use storage_engine::media::SeededRandom;
use vector_engine::{Error, IndexSettings, Metric, Query, QueryText, TextField, verify};

use crate::subject::{Subject, record_name, rows, settings, small_segments};

#[test]
fn every_record_that_does_not_fit_the_others_is_named() {
    let mut random = SeededRandom::new(11);
    let text = vec![TextField { key: "color".to_owned(), language: None }];
    let settings = IndexSettings { text, ..settings(3, Metric::Euclidean) };
    let mut subject = Subject::new(11, settings, small_segments());
    for count in [40, 30] {
        subject.put(rows(&mut random, 3, 100_000, count));
        subject.index.seal().unwrap();
    }
    subject.put(rows(&mut random, 3, 100_000, 5));
    let verified = || verify(&subject.engine, subject.space, &subject.settings).unwrap();
    let whole = verified();
    assert_eq!((whole.segments, whole.rows, whole.deltas), (2, 70, 1));
    assert_eq!(whole.findings, [""; 0]);
    let part = |segment, part: &str| record_name(b's', segment, part);
    let garbage = || Some(Bytes::from_static(b"garbage"));
    let other = |part: &str| subject.read(&record_name(b's', 2, part));
    let far = {
        let mut bytes = Vec::new();
        roaring::RoaringBitmap::from([1000]).serialize_into(&mut bytes).unwrap();
        Some(Bytes::from(bytes))
    };
    for (what, value, finding) in [
        (Bytes::from_static(b"m"), garbage(), "manifest"),
        (Bytes::from_static(b"m"), None, "no manifest"),
        (Bytes::from_static(b"z"), garbage(), "has the name"),
        (record_name(b'd', 99, ""), garbage(), "delta"),
        (record_name(b'x', 1, ""), garbage(), "dead rows"),
        (record_name(b'x', 1, ""), far, "behind its last row"),
        (record_name(b'x', 77, ""), garbage(), "of no segment"),
        (part(77, "f"), garbage(), "of no segment"),
        (part(1, "f"), None, "missing"),
        (part(1, "f"), garbage(), "columns"),
        (part(1, "f"), other("f"), "its columns count"),
        (part(1, "r"), other("r"), "bytes of properties"),
        (part(1, "t-/color"), garbage(), "text index"),
    ] {
        let before = subject.read(&what);
        subject.write(&what, value);
        let found = verified().findings;
        assert!(found.iter().any(|found| found.contains(finding)), "{what:?}: {found:?}");
        subject.write(&what, before);
        assert_eq!(verified(), whole, "after {what:?}");
    }
}

#[test]
fn texts_of_a_segment_that_is_gone_are_missing_and_not_being_built() {
    let text = vec![TextField { key: "color".to_owned(), language: None }];
    let settings = IndexSettings { text, ..settings(3, Metric::Euclidean) };
    let mut subject = Subject::new(12, settings, small_segments());
    subject.put(rows(&mut SeededRandom::new(12), 3, 100_000, 20));
    subject.index.seal().unwrap();
    let asked = || {
        let texts = vec![QueryText { key: "color".to_owned(), text: "red".to_owned() }];
        block_on(subject.index.query(Query { texts, top: 1, ..Query::default() }))
    };
    subject.write(&record_name(b's', 1, "t-/color"), None);
    assert!(asked().unwrap().hits.is_empty());
    subject.write(&record_name(b's', 1, "r"), None);
    let refused = asked().unwrap_err();
    assert!(matches!(refused, Error::Corrupt(_)), "{refused}");
}
