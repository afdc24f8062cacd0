//! kill -9 while bound objects are written, overwritten and deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::races::agree;
use super::{Vectors, put};
use crate::support::fixture::Random;
use crate::support::{Bucket, Setup};

const WRITERS: u64 = 4;
const ROUNDS: u64 = 5;
const KEYS: usize = 5;

#[test]
fn object_and_vector_are_there_together_or_not_at_all_after_kill() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut server = Setup::new()
        .env("LODESTORE_ZONE_BYTES", "4MiB")
        .env("LODESTORE_CHECKPOINT_BYTES", "1MiB")
        .start();
    let client = server.client();
    let mut bucket = Bucket::create(&client, "bound-crash");
    let mut vectors = Vectors::create(&client);
    let mut written = 0;
    // What each key may be.
    let mut known: BTreeMap<String, Vec<Content>> = BTreeMap::new();
    for key in keys() {
        known.insert(key, vec![None]);
    }
    for round in 0..ROUNDS {
        let writers = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let (bucket, vectors) = (&bucket, &vectors);
                    scope.spawn(move || write(bucket, vectors, seed + round * 10 + writer, writer))
                })
                .collect();
            std::thread::sleep(Duration::from_millis(300 + 50 * round));
            server.kill();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.collect::<Vec<_>>()
        });
        for (acknowledged, in_flight) in writers {
            written += acknowledged.len();
            for (key, content) in acknowledged {
                known.insert(key, vec![content]);
            }
            let (key, content) = in_flight;
            known.entry(key).or_default().push(content);
        }
        server = server.start_again();
        bucket = Bucket { client: server.client(), ..bucket };
        vectors = vectors.seen_by(server.client());
        let keys = keys();
        for key in &keys {
            agree(&bucket, key, &vectors);
            let read = bucket.get(key).send();
            let found = (read.status == 200).then(|| read.text());
            let slot = known.entry(key.clone()).or_default();
            assert!(slot.contains(&found), "{key} is {found:?} and has to be one of {slot:?}");
            *slot = vec![found];
        }
        let listed = vectors.call("ListVectors", json!({})).expect(200).json();
        for vector in listed["vectors"].as_array().unwrap() {
            assert!(keys.iter().any(|key| vector["key"] == **key), "{vector}");
        }
    }
    assert!(written > 50, "{written} writes are no load");
    assert!(server.stop().success());
    let data = server.data();
    let check = server.setup().run(&["check", data.to_str().unwrap()]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}

fn keys() -> Vec<String> {
    let keys = |writer| (0..KEYS).map(move |key| format!("w{writer}-{key}"));
    (0..WRITERS).flat_map(keys).collect()
}

/// The content of a key, if it is there.
type Content = Option<String>;

/// Writes keys of its own until the server dies; answers what was acknowledged, in order, and what
/// was in flight then.
fn write(
    bucket: &Bucket,
    vectors: &Vectors,
    seed: u64,
    writer: u64,
) -> (Vec<(String, Content)>, (String, Content)) {
    let mut random = Random::new(seed);
    let mut acknowledged = Vec::new();
    loop {
        let key = format!("w{writer}-{}", random.below(KEYS));
        let number = 1 + random.next() % 1_000_000;
        let content = number.to_string();
        let (request, content) = match random.below(4) {
            0 => (bucket.delete(&key), None),
            1 => (bucket.put(&key).body(&*content), Some(content)),
            _ => (put(bucket, &key, vectors, number), Some(content)),
        };
        match request.try_send() {
            Ok(response) => assert!([200, 204].contains(&response.status), "{response}"),
            Err(_) => return (acknowledged, (key, content)),
        }
        acknowledged.push((key, content));
    }
}
