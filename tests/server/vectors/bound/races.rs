//! Many at once: whoever wins, object and vector are of the same one.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::{Vectors, fixture, put, put_as};
use crate::support::Bucket;
use crate::support::fixture::Random;

const WRITERS: u64 = 16;

/// Runs a closure for each writer at once; answers what they answer.
fn at_once<T: Send>(run: impl Fn(u64) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..WRITERS)
            .map(|n| {
                scope.spawn({
                    let run = &run;
                    move || run(n)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Object and vector say the same, or the object has none and there is none.
#[track_caller]
pub(super) fn agree(bucket: &Bucket, key: &str, vectors: &Vectors) {
    let read = bucket.get(key).send();
    let number = vectors.number(key);
    match read.header("x-lodestore-vector-key") {
        None => assert_eq!(number, None, "a vector without its object: {read}"),
        Some(_) => {
            let number = number.map(|number| number.to_string());
            assert_eq!(number.as_deref(), Some(&*read.text()), "{read}");
        }
    }
}

#[test]
fn of_many_objects_one_gets_the_vector() {
    let (bucket, vectors) = fixture("bound-race-keys");
    let statuses = at_once(|n| put_as(&bucket, &format!("o{n}"), &vectors, "k", n).send().status);
    let winners: Vec<usize> = (0..statuses.len()).filter(|n| statuses[*n] == 200).collect();
    assert_eq!(winners.len(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
    assert_eq!(bucket.keys(), [format!("o{}", winners[0])]);
    assert_eq!(vectors.number("k"), Some(winners[0] as u64));
}

#[test]
fn all_who_overwrite_one_object_succeed_and_the_last_stands() {
    let (bucket, vectors) = fixture("bound-race-object");
    let statuses = at_once(|n| put(&bucket, "k", &vectors, n + 1).send().status);
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    agree(&bucket, "k", &vectors);
    assert!(vectors.number("k").is_some());
}

#[test]
fn object_and_vector_agree_whatever_races_from_the_first_on() {
    for round in 0..4 {
        // A new bucket each time: its first bound object races with all else.
        let (bucket, vectors) = fixture("bound-race-mix");
        if round % 2 == 1 {
            bucket.set_versioning("Suspended");
        }
        let count = AtomicU64::new(1);
        at_once(|n| {
            let mut random = Random::new(round * 100 + n);
            for _ in 0..12 {
                let number = count.fetch_add(1, Ordering::Relaxed);
                let response = match random.below(6) {
                    0 => bucket.delete("k").send(),
                    1 => bucket.delete("k?versionId=null").send(),
                    2 => bucket.put("k").body(number.to_string()).send(),
                    _ => put(&bucket, "k", &vectors, number).send(),
                };
                assert!([200, 204].contains(&response.status), "{response}");
            }
        });
        agree(&bucket, "k", &vectors);
        let listed = vectors.call("ListVectors", json!({})).expect(200).json();
        assert!(listed["vectors"].as_array().unwrap().len() <= 1, "{listed}");
    }
}

#[test]
fn no_index_goes_from_under_an_object() {
    for round in 0..8 {
        let (bucket, vectors) = fixture("bound-race-index");
        if round % 2 == 1 {
            // The index is marked already.
            put(&bucket, "before", &vectors, 1).send().expect(200);
            bucket.delete("before").send().expect(204);
        }
        let statuses = at_once(|n| match n {
            0 => vectors.call("DeleteIndex", json!({})).status,
            n => put(&bucket, &format!("o{n}"), &vectors, n).send().status,
        });
        let bound = bucket.keys();
        match statuses[0] {
            200 => assert_eq!(bound, [""; 0], "their index is gone"),
            409 => {
                assert!(!bound.is_empty(), "nothing stood in the way");
                for key in bound {
                    agree(&bucket, &key, &vectors);
                }
            }
            other => panic!("DeleteIndex answered {other}"),
        }
        assert!(
            statuses[1..].iter().all(|status| [200, 400, 409].contains(status)),
            "{statuses:?}"
        );
    }
}
