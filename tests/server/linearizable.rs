//! One key, many clients: conditions have one winner, and every history has an order.

use std::sync::Barrier;
use std::time::Instant;

use crate::support::fixture::{Random, bytes};
use crate::support::history::{Action, Operation, Value, is_linearizable};
use crate::support::{Bucket, Response, bucket, shared};

const WRITERS: usize = 64;
const ROUNDS: usize = 15;

/// Lets every writer act at once and returns their answers.
fn race<T: Send>(writers: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(writers);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers)
            .map(|writer| {
                let (start, act) = (&start, &act);
                scope.spawn(move || {
                    start.wait();
                    act(writer)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a writer")).collect()
    })
}

/// The one writer who won; everyone else was told so.
#[track_caller]
fn winner(answers: Vec<Response>) -> usize {
    let mut winners = Vec::new();
    for (writer, response) in answers.into_iter().enumerate() {
        if matches!(response.status, 200 | 204) {
            winners.push(writer);
        } else {
            let lost = [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")];
            response.refused_as(&lost);
        }
    }
    assert_eq!(winners.len(), 1, "{} of the writers won: {winners:?}", winners.len());
    winners[0]
}

#[track_caller]
fn one_creates(bucket: &Bucket) {
    for round in 0..ROUNDS {
        let key = format!("k{round}");
        let answers = race(WRITERS, |writer| {
            bucket.put(&key).header("if-none-match", "*").body(format!("{writer}")).send()
        });
        let winner = winner(answers);
        assert_eq!(bucket.content(&key), winner.to_string().as_bytes());
    }
}

#[test]
fn of_64_writers_one_creates_the_key() {
    one_creates(&bucket("one-creates"));
}

#[test]
fn of_64_writers_one_creates_the_key_in_a_versioned_bucket() {
    let bucket = Bucket::create_versioned(&shared().client(), "one-creates-versioned");
    one_creates(&bucket);
    let xml = bucket.get("?versions").send().expect(200).xml();
    assert_eq!(xml.all("Version").len(), ROUNDS, "losers leave no versions");
}

#[test]
fn a_copy_of_what_is_being_removed_is_whole_or_not_there() {
    let bucket = bucket("copy-removed");
    let content = bytes(100_000);
    race(8, |worker| {
        for _ in 0..40 {
            if worker == 0 {
                bucket.store("source", content.clone());
                continue;
            }
            let target = format!("target-{worker}");
            let source = format!("/{}/source", bucket.name);
            let copy = bucket.put(&target).header("x-amz-copy-source", source).send();
            if copy.status == 200 {
                assert!(bucket.content(&target) == content);
            } else {
                copy.refused(404, "NoSuchKey");
            }
            if worker == 1 {
                bucket.delete("source").send().expect(204);
            }
        }
    });
}

#[test]
fn a_read_of_what_is_being_replaced_is_whole() {
    let bucket = bucket("read-replaced");
    let content = bytes(100_000);
    bucket.store("k", content.clone());
    race(8, |worker| {
        for _ in 0..60 {
            match worker {
                0 | 1 => drop(bucket.store("k", content.clone())),
                _ => assert!(bucket.content("k") == content),
            }
        }
    });
}

#[test]
fn an_upload_completes_while_its_part_is_written_again() {
    let bucket = bucket("complete-rewritten");
    let content = bytes(100_000);
    for round in 0..20 {
        let key = format!("k{round}");
        let upload = bucket.post(&format!("{key}?uploads")).send().expect(200).field("UploadId");
        let part = format!("{key}?partNumber=1&uploadId={upload}");
        let etag = bucket.put(&part).body(content.clone()).send().expect(200).etag();
        let answers = race(5, |writer| {
            if writer > 0 {
                return bucket.put(&part).body(content.clone()).send();
            }
            let body = format!(
                "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag>\
                 </Part></CompleteMultipartUpload>"
            );
            bucket.post(&format!("{key}?uploadId={upload}")).body(body).send()
        });
        for (writer, answer) in answers.into_iter().enumerate() {
            match writer {
                0 => drop(answer.expect(200)),
                _ if answer.status == 200 => {}
                _ => drop(answer.refused(404, "NoSuchUpload")),
            }
        }
        assert!(bucket.content(&key) == content);
    }
}

#[test]
fn of_64_writers_one_creates_the_key_over_a_delete_marker() {
    let bucket = Bucket::create_versioned(&shared().client(), "one-creates-marker");
    for round in 0..ROUNDS {
        bucket.store(&format!("k{round}"), "before");
        bucket.delete(&format!("k{round}")).send().expect(204);
    }
    one_creates(&bucket);
}

#[test]
fn of_16_writers_of_large_objects_one_creates_the_key() {
    let bucket = bucket("one-creates-large");
    let content = |writer: usize| {
        let byte = u8::try_from(writer).expect("few writers");
        vec![byte; 300_000]
    };
    for round in 0..4 {
        let key = format!("k{round}");
        let answers = race(16, |writer| {
            let request = bucket.put(&key).header("if-none-match", "*").body(content(writer));
            request.payload("UNSIGNED-PAYLOAD").send()
        });
        let winner = winner(answers);
        assert!(bucket.content(&key) == content(winner));
    }
}

#[test]
fn of_16_completions_one_creates_the_key() {
    let bucket = bucket("one-completes");
    let uploads: Vec<(String, String)> = (0..16)
        .map(|writer| {
            let id = bucket.post("k?uploads").send().expect(200).field("UploadId");
            let target = format!("k?partNumber=1&uploadId={id}");
            let part = bucket.put(&target).body(format!("{writer}")).send().expect(200);
            (id, part.etag())
        })
        .collect();
    let answers = race(16, |writer| {
        let (id, etag) = &uploads[writer];
        let body = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
             </CompleteMultipartUpload>"
        );
        let request = bucket.post(&format!("k?uploadId={id}")).body(body);
        request.header("if-none-match", "*").send()
    });
    assert_eq!(bucket.content("k"), winner(answers).to_string().as_bytes());
}

#[test]
fn of_32_writers_one_replaces_what_all_have_read() {
    let bucket = bucket("one-replaces");
    let mut etag = bucket.store("k", "first");
    for _ in 0..ROUNDS {
        let answers = race(32, |writer| {
            let body = format!("{writer} after {etag}");
            bucket.put("k").header("if-match", etag.as_str()).body(body).send()
        });
        let winner = winner(answers);
        let response = bucket.get("k").send().expect(200);
        assert_eq!(response.text(), format!("{winner} after {etag}"));
        etag = response.etag();
    }
}

#[test]
fn a_delete_and_a_write_of_what_both_have_read_have_one_winner() {
    let bucket = bucket("delete-or-write");
    for round in 0..ROUNDS {
        let etag = bucket.store("k", format!("{round}"));
        let answers = race(8, |writer| {
            let request =
                if writer % 2 == 0 { bucket.delete("k") } else { bucket.put("k").body("new") };
            request.header("if-match", etag.as_str()).send()
        });
        let statuses: Vec<u16> = answers.iter().map(|response| response.status).collect();
        let won = statuses.iter().filter(|status| matches!(status, 200 | 204)).count();
        // After the delete has won, a writer finds no object to match, and a deleter nothing to do.
        let deleted = statuses.iter().step_by(2).any(|status| *status == 204);
        assert!(won == 1 || deleted, "{statuses:?}");
        let written = statuses.iter().skip(1).step_by(2).any(|status| *status == 200);
        assert!(!(deleted && written), "both won: {statuses:?}");
        assert_eq!(bucket.head("k").send().status == 200, written);
    }
}

/// Runs mixed operations of several clients on a few keys and checks the history of each key.
fn mixed_history(bucket: &Bucket, seed: u64) {
    const CLIENTS: usize = 8;
    const STEPS: usize = 50;
    const NAMES: usize = 3;
    let start = Barrier::new(CLIENTS);
    let histories: Vec<Vec<(usize, Operation)>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (start, bucket) = (&start, bucket);
                scope.spawn(move || {
                    let mut random = Random::new(seed ^ (client as u64 + 1));
                    let mut last: [(Value, String); NAMES] = Default::default();
                    start.wait();
                    let step = |number: usize| {
                        let name = random.below(NAMES);
                        let value = (client * STEPS + number) as u64 + 1;
                        (name, act(bucket, name, value, &mut random, &mut last[name]))
                    };
                    (0..STEPS).map(step).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a client")).collect()
    });
    for name in 0..NAMES {
        let history: Vec<Operation> = histories
            .iter()
            .flatten()
            .filter(|(of, _)| *of == name)
            .map(|(_, operation)| *operation)
            .collect();
        assert!(history.len() > 50);
        assert!(is_linearizable(None, &history), "key {name}, seed {seed}: {history:#?}");
    }
}

/// One operation on a key, as the client saw it. `last` is what the client read there last.
fn act(
    bucket: &Bucket,
    name: usize,
    value: u64,
    random: &mut Random,
    last: &mut (Value, String),
) -> Operation {
    let key = format!("k{name}");
    let called = Instant::now();
    let action = match random.below(10) {
        0..4 => {
            let response = bucket.get(&key).send();
            let seen = (response.status == 200).then(|| response.text().parse().expect("a number"));
            *last = (seen, response.etag());
            Action::Read(seen)
        }
        4..6 => {
            bucket.put(&key).body(value.to_string()).send().expect(200);
            Action::Write(Some(value))
        }
        6 => {
            bucket.delete(&key).send().expect(204);
            Action::Write(None)
        }
        7 => {
            let request = bucket.put(&key).header("if-none-match", "*").body(value.to_string());
            match request.send().status {
                200 => Action::Swap(None, Some(value)),
                _ => Action::Refused(None),
            }
        }
        _ if last.1.is_empty() || last.0.is_none() => {
            bucket.put(&key).body(value.to_string()).send().expect(200);
            Action::Write(Some(value))
        }
        _ => {
            let request = bucket.put(&key).header("if-match", last.1.as_str());
            match request.body(value.to_string()).send().status {
                200 => Action::Swap(last.0, Some(value)),
                _ => Action::Refused(last.0),
            }
        }
    };
    Operation { called, answered: Instant::now(), action }
}

#[test]
fn mixed_reads_and_writes_of_a_key_have_an_order() {
    for seed in 0..4 {
        mixed_history(&bucket("mixed-history"), seed);
    }
}

#[test]
fn mixed_reads_and_writes_of_a_versioned_key_have_an_order() {
    let bucket = |n| Bucket::create_versioned(&shared().client(), &format!("mixed-versions-{n}"));
    for seed in 0..3 {
        mixed_history(&bucket(seed), seed);
    }
}

#[test]
fn a_listing_shows_what_was_acknowledged_before_it_was_asked() {
    let bucket = bucket("list-after-write");
    let answers = race(8, |writer| {
        let mut response = None;
        for number in 0..15 {
            let key = format!("{writer}-{number:02}");
            bucket.store(&key, "x");
            let listed = bucket.get(&format!("?list-type=2&prefix={writer}-")).send().expect(200);
            assert_eq!(listed.xml().all("Contents").len(), number + 1, "{key} is not listed");
            response = Some(listed);
        }
        response.expect("a listing")
    });
    assert_eq!(answers.len(), 8);
    assert_eq!(bucket.keys().len(), 120);
}
