//! Loss of power at every moment of writes, seals and compactions: what was acknowledged is found,
//! what was deleted is not, and a write in flight is there whole or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use storage_engine::PlainMasterKey;
use storage_engine::media::{History, SeededRandom, SimMedia, Survival};
use vector_engine::{EngineOptions, Metric};

use crate::model::for_each_seed;
use crate::reference::Reference;
use crate::subject::{Subject, rows, settings, small_segments};

const STEPS: usize = 14;

/// A step as the device saw it.
struct Step {
    began: u64,
    acknowledged: u64,
    after: Reference,
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_deleted_is_found_at_any_moment() {
    let points = AtomicU64::new(0);
    for_each_seed(6, |seed| {
        let mut random = SeededRandom::new(seed ^ 0xc4a5);
        let options = EngineOptions { growing_rows_max: 25, ..small_segments() };
        let mut subject = Subject::new(seed, settings(3, Metric::Euclidean), options);
        let media = Arc::clone(&subject.media);
        let first = media.changes();
        media.set_history(History::EveryChange);
        let mut steps: Vec<Step> = Vec::new();
        for _ in 0..STEPS {
            let began = media.changes();
            match random.below(10) {
                0..5 => subject.put(rows(&mut random, 3, 60, 12)),
                5..7 => {
                    let first = random.below(60);
                    subject.delete((first..first + 5).map(|key| format!("key {key}")).collect());
                }
                7..9 => subject.index.maintain().unwrap(),
                _ => subject.index.seal().unwrap(),
            }
            let acknowledged = media.changes();
            steps.push(Step { began, acknowledged, after: subject.reference.clone() });
        }
        for moment in media.take_crash_points() {
            if moment.changes < first {
                continue;
            }
            let done = steps.iter().take_while(|step| step.acknowledged <= moment.changes).count();
            let held = match done.checked_sub(1) {
                Some(last) => steps[last].after.clone(),
                None => Reference::default(),
            };
            let in_flight = steps.get(done).filter(|step| step.began < moment.changes);
            for survival in [Survival::Nothing, Survival::Some(moment.changes * 31 + seed)] {
                points.fetch_add(1, Relaxed);
                let media = SimMedia::after_crash(&moment, survival);
                let report = storage_engine::check(&media, &PlainMasterKey::new([7; 32])).unwrap();
                assert_eq!(report.corruptions, [], "after change {}", moment.changes);
                let mut found = subject.resumed(moment.changes, media, held.clone());
                if let Err(what) = found.verify(&mut random) {
                    let Some(step) = in_flight else {
                        panic!("after change {} ({survival:?}): {what}", moment.changes)
                    };
                    found.reference = step.after.clone();
                    if let Err(other) = found.verify(&mut random) {
                        panic!("after change {}: {what}; or else {other}", moment.changes);
                    }
                }
                // It goes on, and a second crash keeps what comes.
                if moment.changes.is_multiple_of(5) {
                    found.put(rows(&mut random, 3, 60, 5));
                    found.index.maintain().unwrap();
                    found.crash(Survival::Some(seed));
                    found.verify(&mut random).unwrap();
                }
            }
        }
    });
    println!("{} crash points", points.load(Relaxed));
    assert!(points.load(Relaxed) > 300 || std::env::var("LODESTORE_SEED").is_ok());
}
