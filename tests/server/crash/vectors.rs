//! kill -9 under a load of vectors, with segments so small that each round seals and merges some:
//! what was acknowledged is got, listed and found; what was in flight happened whole or not at all.

use std::time::{Duration, Instant};

use crate::crash::Run;
use crate::support::Setup;
use crate::support::fixture::Random;
use crate::support::vector_load::{GROWING_ROWS, VectorLoad};

const WORKERS: usize = 3;
/// Longest wait for segments to be merged, also in a debug build on a busy machine.
const MERGE_MAX: Duration = Duration::from_secs(30);

#[test]
fn acknowledged_vectors_survive_kill() {
    let Run { rounds, seed } = Run::asked();
    let mut random = Random::new(seed ^ 0x7ec);
    let mut server = Setup::new()
        .env("LODESTORE_ZONE_BYTES", "4MiB")
        .env("LODESTORE_CHECKPOINT_BYTES", "2MiB")
        .env("LODESTORE_CAPACITY_BYTES", "1GiB")
        .env("LODESTORE_VECTOR_GROWING_ROWS", &GROWING_ROWS.to_string())
        .start();
    let mut load = VectorLoad::create(&server, "crash", WORKERS, random.next());
    let mut seals = 0_u64;
    for _ in 0..rounds {
        let work = Duration::from_millis(200 + u64::try_from(random.below(600)).unwrap());
        std::thread::scope(|scope| {
            for worker in load.workers() {
                scope.spawn(|| worker.work());
            }
            std::thread::sleep(work);
            server.kill();
        });
        server = server.start_again();
        load.meet(&server);
        assert_eq!(load.verify(), [""; 0]);
        seals += u64::from(server.metric("lodestore_vector_sealed_segments") > Some(0.0));
    }
    let acknowledged = load.acknowledged();
    println!(
        "{acknowledged} acknowledged writes of vectors in {rounds} rounds, sealed segments after \
         {seals} of them"
    );
    assert!(acknowledged > rounds * 5, "{acknowledged} writes are no load");
    assert_eq!(load.refused(), 0, "there was room for every write");
    assert!(seals > rounds / 2, "too few segments were sealed");
    let deadline = Instant::now() + MERGE_MAX;
    while !load.has_merged() {
        assert!(Instant::now() < deadline, "segments are not merged: {:?}", load.segments());
        load.go_on();
    }
    assert!(server.stop().success());
    crate::crash::check_finds_nothing(&server);
}
