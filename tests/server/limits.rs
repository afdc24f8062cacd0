//! Limits that a client meets as a process: connections, requests at once, a body that does not come.

use std::time::{Duration, Instant};

use crate::support::fixture::bytes;
use crate::support::http::{Connection, Response};
use crate::support::{Bucket, Server, Setup};

const MIB: usize = 1024 * 1024;
/// Long enough that an answer would have come.
const MOMENT: Duration = Duration::from_millis(300);

fn open(server: &Server) -> Connection {
    Connection::open(server.address).expect("connect")
}

/// Asks for the server's health, which takes a connection and no place among requests.
fn ask_health(connection: &mut Connection, server: &Server) {
    let head = format!("GET /livez HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    connection.write(head.as_bytes()).expect("send");
}

/// Sends a PUT up to the middle of its body, when the server has asked for it; answers the rest.
fn put_half(connection: &mut Connection, bucket: &Bucket, key: &str) -> Vec<u8> {
    let wire = bucket.put(key).body("half-half").header("expect", "100-continue").build();
    connection.write(&wire.head).expect("send");
    assert!(!connection.waits(Duration::from_secs(30)), "the body is not asked for");
    let body = wire.frames.concat();
    let (first, rest) = body.split_at(5);
    connection.write(first).expect("send");
    rest.to_vec()
}

fn answer(connection: &mut Connection, method: &str) -> Response {
    connection.read_response(method).expect("an answer")
}

#[test]
fn a_connection_over_the_limit_is_served_when_another_ends() {
    let server = Setup::new().argument("--connections").argument("2").start();
    let mut held = [open(&server), open(&server)];
    for connection in &mut held {
        ask_health(connection, &server);
        answer(connection, "GET").expect(200);
    }
    let mut waiting = open(&server);
    ask_health(&mut waiting, &server);
    assert!(waiting.waits(MOMENT), "served without a place");
    let [_kept, ended] = held;
    drop(ended);
    answer(&mut waiting, "GET").expect(200);
}

#[test]
fn a_request_over_the_limit_waits_for_its_turn_and_then_is_told_to_slow_down() {
    let server = Setup::new().argument("--requests").argument("1").start();
    let bucket = Bucket::create(&server.client(), "requests");
    let mut first = open(&server);
    let rest = put_half(&mut first, &bucket, "first");
    let mut second = open(&server);
    second.write(&bucket.put("second").body("").build().head).expect("send");
    assert!(second.waits(MOMENT), "served without a place");
    let mut health = open(&server);
    ask_health(&mut health, &server);
    answer(&mut health, "GET").expect(200);
    first.write(&rest).expect("send");
    answer(&mut first, "PUT").expect(200);
    answer(&mut second, "PUT").expect(200);

    put_half(&mut first, &bucket, "never");
    let asked = Instant::now();
    bucket.get("first").send().refused(503, "SlowDown");
    assert!(asked.elapsed() >= Duration::from_secs(5), "it was not let wait");
    // Who hangs up gives the place back.
    drop(first);
    assert_eq!(bucket.keys(), ["first", "second"]);
}

#[test]
fn an_answer_that_nobody_takes_is_given_up_and_its_place_is_free_again() {
    let server =
        Setup::new().env("LODESTORE_BODY_WINDOW", "300ms").env("LODESTORE_REQUESTS", "1").start();
    let bucket = Bucket::create(&server.client(), "untaken");
    // More than the kernel's buffers hold.
    bucket.store("k", vec![b'x'; 24 << 20]);
    let mut idle = open(&server);
    idle.write(&bucket.get("k").build().head).expect("send");
    assert!(!idle.waits(Duration::from_secs(30)), "no answer begins");
    // It waits for its turn for less time than it would take to be told to slow down.
    assert_eq!(bucket.keys(), ["k"]);
    let cut = idle.read_response("GET");
    assert!(cut.is_err(), "all of it was sent");
}

#[test]
fn a_refused_request_gives_its_place_back_before_its_body_is_taken_in() {
    let server = Setup::new().env("LODESTORE_REQUESTS", "1").start();
    let bucket = Bucket::create(&server.client(), "refused");
    let stranger = bucket.seen_by(("LODESTOREROOTKEY", "wrong"));
    // Each body that does not come is waited for: for all of them longer than for a turn.
    let mut held: Vec<_> = (0..4)
        .map(|_| {
            let mut connection = open(&server);
            let wire = stranger.put("k").body("half-half").build();
            connection.write(&wire.head).expect("send");
            connection
        })
        .collect();
    assert_eq!(bucket.keys(), Vec::<String>::new());
    for connection in &mut held {
        answer(connection, "PUT").expect(403);
    }
}

#[test]
fn a_body_that_does_not_come_is_given_up_and_its_place_is_free_again() {
    let server =
        Setup::new().env("LODESTORE_BODY_WINDOW", "200ms").env("LODESTORE_REQUESTS", "1").start();
    let bucket = Bucket::create(&server.client(), "idle");
    let mut idle = open(&server);
    put_half(&mut idle, &bucket, "k");
    let asked = Instant::now();
    answer(&mut idle, "PUT").refused(400, "RequestTimeout");
    assert!(asked.elapsed() < Duration::from_secs(30), "it waited for the default");
    bucket.get("k").send().refused(404, "NoSuchKey");
    assert_eq!(bucket.keys(), Vec::<String>::new());
}

#[test]
fn connections_leave_the_store_its_files() {
    let setup =
        Setup::new().env("LODESTORE_DURABILITY", "none").env("LODESTORE_ZONE_BYTES", "4MiB");
    let server = setup.descriptors(256).start();
    let bucket = Bucket::create(&server.client(), "files");
    let mut connection = Connection::open(server.address).unwrap();
    // As many as would use up all descriptors; what is not taken waits in the kernel's backlog.
    let idle: Vec<Connection> = (0..240).map(|_| open(&server)).collect();
    // More than what is open, so that zones have to be made.
    for number in 0..8 {
        let wire = bucket.put(&format!("k{number}")).body(bytes(3 * MIB)).build();
        connection.exchange("PUT", &wire.head, &wire.frames.concat()).unwrap().expect(200);
    }
    drop(idle);
    assert_eq!(bucket.keys().len(), 8);
}

#[test]
fn too_few_descriptors_are_told_at_the_start() {
    let why =
        Setup::new().descriptors(100).try_start().expect_err("it started with 100 descriptors");
    assert!(why.contains("needs at least 256") && why.contains("ulimit -n"), "{why}");
}
