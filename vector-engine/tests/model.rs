//! Random writes, seals, compactions, restarts and crashes against an exact reference.

use storage_engine::media::{SeededRandom, Survival};
use vector_engine::Metric;

use crate::subject::{Subject, rows, settings, small_segments};

/// Runs a test over seeds, naming the one that fails.
pub(crate) fn for_each_seed(count: u64, test: impl Fn(u64)) {
    let given = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = given("LODESTORE_SEED") {
        return test(seed);
    }
    for seed in 0..given("LODESTORE_SEEDS").unwrap_or(count) {
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(seed)));
        if let Err(panic) = ran {
            eprintln!("seed {seed} failed: LODESTORE_SEED={seed} repeats it");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn every_answer_is_the_references_through_seals_compactions_and_crashes() {
    for_each_seed(24, |seed| {
        let mut random = SeededRandom::new(seed ^ 0x7ec7);
        let metric = [Metric::Euclidean, Metric::Cosine, Metric::InnerProduct][random.position(3)];
        let dimension = 1 + random.position(20);
        let mut subject = Subject::new(seed, settings(dimension, metric), small_segments());
        for _ in 0..60 {
            match random.below(100) {
                0..60 => {
                    let count = 1 + random.position(30);
                    let rows = rows(&mut random, dimension, 300, count);
                    subject.put(rows);
                }
                60..80 => {
                    let count = 1 + random.position(20);
                    let mut keys: Vec<String> =
                        (0..count).map(|_| format!("key {}", random.below(300))).collect();
                    keys.sort();
                    keys.dedup();
                    subject.delete(keys);
                }
                80..90 => subject.index.maintain().unwrap(),
                90..94 => subject.index.seal().unwrap(),
                94..97 => subject.restart(),
                _ => subject.crash(Survival::Some(random.next_u64())),
            }
            if random.percent(25) {
                subject.verify(&mut random).unwrap();
            }
        }
        subject.verify(&mut random).unwrap();
        subject.index.seal().unwrap();
        subject.restart();
        subject.verify(&mut random).unwrap();
    });
}
