//! Loss of power at every moment of writes, seals and compactions: what was acknowledged is found,
//! what was deleted is not, and a write in flight is there whole or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use storage_engine::PlainMasterKey;
use storage_engine::media::{History, SeededRandom, SimMedia, Survival};
use vector_engine::{EngineOptions, Metric};

use crate::model::for_each_seed;
use crate::reference::Reference;
use crate::subject::{Subject, rows, settings, small_segments};

const STEPS: usize = 20;
/// Rows of a put, half of which may go on growing, and keys that they are drawn from.
const PUT_ROWS: usize = 12;
const KEYS: u64 = 150;
const DIMENSION: usize = 3;

/// A step as the device saw it.
struct Step {
    began: u64,
    acknowledged: u64,
    merged: bool,
    made_graph: bool,
    after: Reference,
}

/// Moments at which the power went.
#[derive(Debug, Default)]
struct Points {
    all: AtomicU64,
    /// Of them, those in a step that merged segments.
    merging: AtomicU64,
    /// Of them, those in a step that made a segment with a graph.
    graph: AtomicU64,
}

/// What the merges of a store make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Merges {
    /// Segments without a graph.
    Flat,
    /// Segments with one, out of sealed ones without.
    Graph,
    /// One segment with a graph of all that there are, as if nobody had written for long enough.
    Settled,
}

impl Merges {
    const ALL: [Self; 3] = [Self::Flat, Self::Graph, Self::Settled];

    fn options(self) -> EngineOptions {
        let options = EngineOptions { growing_rows_max: PUT_ROWS / 2, ..small_segments() };
        match self {
            Self::Flat => options,
            Self::Graph => EngineOptions { graph_rows_min: 40, ..options },
            Self::Settled => {
                EngineOptions { settled_rows_min: 30, settle_after: Duration::ZERO, ..options }
            }
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_deleted_is_found_at_any_moment() {
    for merges in Merges::ALL {
        let points = Points::default();
        for_each_seed(4, |seed| crash_at_every_moment(merges, seed, &points));
        println!("{merges:?}: {points:?}");
        if std::env::var("LODESTORE_SEED").is_err() {
            let Points { all, merging, graph } = points;
            assert!(all.load(Relaxed) > 300 && merging.load(Relaxed) > 50, "{merges:?}");
            assert_eq!(graph.load(Relaxed) > 50, merges != Merges::Flat, "{merges:?}");
        }
    }
}

fn crash_at_every_moment(merges: Merges, seed: u64, points: &Points) {
    let mut random = SeededRandom::new(seed ^ 0xc4a5);
    let settings = settings(DIMENSION, Metric::Euclidean);
    let mut subject = Subject::new(seed, settings, merges.options());
    let media = Arc::clone(&subject.media);
    let first = media.changes();
    media.set_history(History::EveryChange);
    let mut steps: Vec<Step> = Vec::new();
    for _ in 0..STEPS {
        let began = media.changes();
        let before = subject.index.stats();
        match random.below(10) {
            0..4 => subject.put(rows(&mut random, DIMENSION, KEYS, PUT_ROWS)),
            4 => {
                let first = random.below(KEYS);
                subject.delete((first..first + 5).map(|key| format!("key {key}")).collect());
            }
            5..8 => subject.index.maintain().unwrap(),
            _ => subject.index.seal().unwrap(),
        }
        let acknowledged = media.changes();
        let now = subject.index.stats();
        steps.push(Step {
            began,
            acknowledged,
            merged: now.sealed_segments < before.sealed_segments,
            made_graph: now.graph_segments > before.graph_segments,
            after: subject.reference.clone(),
        });
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
            points.all.fetch_add(1, Relaxed);
            points.merging.fetch_add(in_flight.is_some_and(|step| step.merged).into(), Relaxed);
            points.graph.fetch_add(in_flight.is_some_and(|step| step.made_graph).into(), Relaxed);
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
                found.put(rows(&mut random, DIMENSION, KEYS, 5));
                found.index.maintain().unwrap();
                found.crash(Survival::Some(seed));
                found.verify(&mut random).unwrap();
            }
        }
    }
}
