//! A store that has no room left: it says so before it takes the body, loses nothing, deletes, and
//! writes again once there is room.

use std::time::{Duration, Instant};

use crate::support::{Bucket, Content, Response, Setup};

const MIB: usize = 1024 * 1024;

/// A small store and a bucket in it.
fn small() -> (crate::support::Server, Bucket) {
    let setup = Setup::new().env("LODESTORE_CAPACITY_BYTES", "256MiB");
    let setup = setup.env("LODESTORE_ZONE_BYTES", "4MiB").env("LODESTORE_DURABILITY", "none");
    let server = setup.start();
    let bucket = Bucket::create(&server.client(), "full");
    (server, bucket)
}

#[track_caller]
fn is_full(response: &Response) {
    let clear = matches!(response.status, 507 | 503) && !response.field("Message").is_empty();
    assert!(clear, "a full store answered {response}");
}

/// Puts objects until one is refused; returns those that were acknowledged.
fn fill(bucket: &Bucket, len: usize, objects_max: u64) -> Vec<Content> {
    let mut stored = Vec::new();
    for seed in 0..objects_max {
        let content = Content { seed, len };
        let response = bucket.put(&format!("k{seed}")).body(content.bytes()).send();
        if response.status != 200 {
            is_full(&response);
            bucket.head(&format!("k{seed}")).send().expect(404);
            return stored;
        }
        stored.push(content);
    }
    panic!("{objects_max} objects of {len} bytes fit into 256 MiB");
}

#[test]
fn a_store_that_could_never_take_a_write_does_not_start_and_can_be_mended() {
    let setup = Setup::new().env("LODESTORE_CAPACITY_BYTES", "256MiB");
    let refused = setup.clone().env("LODESTORE_ZONE_BYTES", "64MiB").try_start();
    let text = refused.expect_err("it started with room for four zones");
    assert!(text.contains("give it more room, or smaller zones"), "{text}");
    let server = setup.env("LODESTORE_ZONE_BYTES", "4MiB").start();
    Bucket::create(&server.client(), "mended").store("k", "x");
}

#[test]
fn a_full_store_refuses_loses_nothing_deletes_and_recovers() {
    let (server, bucket) = small();
    let stored = fill(&bucket, 3 * MIB, 200);
    assert!(stored.len() > 40, "only {} objects of 3 MiB fit into 256 MiB", stored.len());
    for content in &stored {
        let key = format!("k{}", content.seed);
        assert!(bucket.content(&key) == content.bytes(), "{key} changed");
    }
    let server = server.restart();
    let bucket = Bucket { client: server.client(), ..bucket };
    assert_eq!(bucket.keys().len(), stored.len());
    let (deleted, kept) = stored.split_at(stored.len() / 2);
    for content in deleted {
        bucket.delete(&format!("k{}", content.seed)).send().expect(204);
    }
    // Reclaim makes room in the background.
    let deadline = Instant::now() + Duration::from_secs(60);
    let again = Content { seed: 1_000, len: 3 * MIB };
    loop {
        let response = bucket.put("again").body(again.bytes()).send();
        if response.status == 200 {
            break;
        }
        is_full(&response);
        assert!(Instant::now() < deadline, "no room after half was deleted: {response}");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(bucket.content("again") == again.bytes());
    for content in kept {
        let key = format!("k{}", content.seed);
        assert!(bucket.content(&key) == content.bytes(), "{key} changed");
    }
}

#[test]
fn a_full_journal_refuses_small_writes_too() {
    let (_server, bucket) = small();
    let stored = fill(&bucket, 60 * 1024, 8_000);
    for content in stored.iter().rev().take(50) {
        let key = format!("k{}", content.seed);
        assert!(bucket.content(&key) == content.bytes(), "{key} changed");
    }
    bucket.delete("k0").send().expect(204);
    bucket.get("k0").send().refused(404, "NoSuchKey");
    let body = "<Delete><Object><Key>k1</Key></Object><Object><Key>k2</Key></Object></Delete>";
    let response = bucket.post("?delete").body(body).content_md5().send().expect(200);
    assert_eq!(response.xml().all("Deleted").len(), 2);
}

#[test]
fn an_object_larger_than_the_store_is_refused_before_its_body() {
    let (server, bucket) = small();
    let wire = bucket.put("k").payload("UNSIGNED-PAYLOAD").content_length(1024 * MIB).build();
    let mut connection = crate::support::Connection::open(server.address).unwrap();
    connection.write(&wire.head).unwrap();
    assert!(!connection.waits(Duration::from_secs(10)), "it waits for a body it cannot keep");
    is_full(&connection.read_response("PUT").unwrap());
    bucket.head("k").send().expect(404);
    bucket.store("small", "fits");
}
