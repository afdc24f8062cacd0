//! Loss of power at every moment of random work: what was acknowledged is there, byte for byte; what
//! was in flight is there whole or not at all; nothing that was removed comes back.
//!
//! A *moment* is a state of the device before or after one of its changes; a *crash point* is a
//! moment and a choice of what survived of the unsynced sectors. The suites here verify more than
//! ten thousand of them a run, and say how many.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use storage_engine::media::{CrashPoint, History, Media, SimMedia, Survival};
use storage_engine::*;

use crate::device::DataSyncedLast;
use crate::model::for_each_seed;
use crate::reference::Reference;
use crate::subject::{Kind, Subject, data, master, open_on, sim_options};
use crate::workload::Workload;

/// Commits of one piece of work.
const COMMITS: usize = 34;

/// A commit as the device saw it.
struct Step {
    /// Changes that were complete when it began and when it was acknowledged.
    began: u64,
    acknowledged: u64,
    /// What the store holds once it is acknowledged.
    after: Reference,
}

/// All that happened, and every moment of it.
struct Past {
    before: Reference,
    steps: Vec<Step>,
    moments: Vec<CrashPoint>,
}

impl Past {
    /// What the store may hold at a moment: what was acknowledged, and what was in flight with it.
    fn allowed(&self, changes: u64) -> (&Reference, Option<&Reference>) {
        let done = self.steps.iter().take_while(|step| step.acknowledged <= changes).count();
        let held = match done.checked_sub(1) {
            Some(last) => &self.steps[last].after,
            None => &self.before,
        };
        let next = self.steps.get(done).filter(|step| step.began < changes);
        (held, next.map(|step| &step.after))
    }

    /// Opens the store after a crash and says what it holds.
    fn recover(&self, point: &CrashPoint, survival: Survival) -> Subject {
        let media = SimMedia::after_crash(point, survival);
        self.identify(media, point.changes)
            .unwrap_or_else(|what| panic!("after change {} ({survival:?}): {what}", point.changes))
    }

    /// What a crash leaves is no corruption.
    fn check(&self, point: &CrashPoint, survival: Survival) {
        let media = SimMedia::after_crash(point, survival);
        // Before the first open there is no store to check.
        let Ok(report) = check(&media, master().as_ref()) else { return };
        assert_eq!(report.corruptions, [], "after change {} ({survival:?})", point.changes);
    }

    fn identify(&self, media: SimMedia, changes: u64) -> Result<Subject, String> {
        let (held, in_flight) = self.allowed(changes);
        let opened = Subject::resumed(changes ^ 0x5eed, media, held.clone());
        let mut subject = opened.map_err(|error| error.to_string())?;
        if let Err(what) = subject.verify() {
            let Some(in_flight) = in_flight else { return Err(what) };
            subject.reference = in_flight.clone();
            subject
                .verify()
                .map_err(|other| format!("{what}; with what was in flight: {other}"))?;
        }
        subject.note_time();
        Ok(subject)
    }
}

/// How data zones are synced beside the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    DataFirst,
    JournalFirst,
}

/// Random work with checkpoints and reclaim among it, every moment kept.
fn work(seed: u64, order: Order) -> Past {
    let mut options = sim_options(seed);
    options.history = History::EveryChange;
    let media = Arc::new(SimMedia::new(&options));
    let mut before = Reference::default();
    before.spaces.entry(ROOT_SPACE).or_default();
    let kind = Kind::Simulated(Arc::clone(&media));
    let mut subject = match order {
        Order::DataFirst => Subject::with(seed, kind),
        Order::JournalFirst => {
            let beside = DataSyncedLast::new(Arc::clone(&media));
            Subject::on(seed, kind, Arc::new(beside))
        }
    };
    let mut work = Workload::new(seed);
    work.size_max = 20_000;
    let mut steps = Vec::new();
    for nth in 0..COMMITS {
        let began = media.changes();
        match (nth, work.random.below(12)) {
            (0, _) => drop(subject.space()),
            (_, 0) => drop(subject.engine().checkpoint().unwrap()),
            (_, 1) => drop(subject.engine().maintain().unwrap()),
            _ => {
                let plan = work.plan(&subject);
                // Values are written before the commit begins; nothing refers to them yet.
                let _accepted = subject.commit(plan).is_ok();
            }
        }
        let acknowledged = media.changes();
        steps.push(Step { began, acknowledged, after: subject.reference.clone() });
        work.forget();
    }
    drop(subject);
    Past { before, steps, moments: media.take_crash_points() }
}

fn survivals(moment: &CrashPoint) -> [Survival; 3] {
    [
        Survival::Nothing,
        Survival::Some(moment.changes.wrapping_mul(0x9E37_79B9)),
        Survival::Some(!moment.changes),
    ]
}

/// After recovery the store goes on: it takes writes, and a second crash keeps them.
fn goes_on(mut subject: Subject, seed: u64) {
    let name = "after the crash";
    subject.put(ROOT_SPACE, name, Keep::Null, data(seed, 300));
    subject.put(ROOT_SPACE, "large, after the crash", Keep::Null, data(seed + 1, 5_000));
    subject.crash(Survival::Some(seed));
    subject.verify().unwrap();
}

fn every_moment(seed: u64, order: Order, points: &AtomicU64) {
    let past = work(seed, order);
    for moment in &past.moments {
        for (nth, survival) in survivals(moment).into_iter().enumerate() {
            let subject = past.recover(moment, survival);
            points.fetch_add(1, Relaxed);
            past.check(moment, survival);
            assert_eq!(subject.engine().scrub().unwrap(), [], "after change {}", moment.changes);
            if (moment.changes + nth as u64).is_multiple_of(3) {
                goes_on(subject, moment.changes);
            }
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_at_any_moment() {
    let points = AtomicU64::new(0);
    for_each_seed(28, |seed| every_moment(seed, Order::DataFirst, &points));
    println!("{} crash points", points.load(Relaxed));
    assert!(points.load(Relaxed) > 7_000 || std::env::var("LODESTORE_SEED").is_ok());
}

#[test]
fn a_journal_that_is_durable_before_its_data_loses_nothing() {
    let points = AtomicU64::new(0);
    for_each_seed(14, |seed| every_moment(seed, Order::JournalFirst, &points));
    println!("{} crash points", points.load(Relaxed));
    assert!(points.load(Relaxed) > 3_000 || std::env::var("LODESTORE_SEED").is_ok());
}

#[test]
fn a_crash_while_recovering_is_recovered_from() {
    for_each_seed(4, |seed| {
        let past = work(seed, Order::JournalFirst);
        for moment in past.moments.iter().step_by(3) {
            let survival = Survival::Some(moment.changes);
            let media = Arc::new(SimMedia::after_crash(moment, survival));
            media.set_history(History::EveryChange);
            let environment = Arc::new(media::SimEnvironment::new(seed));
            drop(open_on(&environment, Arc::clone(&media) as Arc<dyn Media>).unwrap());
            for second in media.take_crash_points() {
                for again in [Survival::Nothing, Survival::Some(second.changes + 77)] {
                    let media = SimMedia::after_crash(&second, again);
                    let found = past.identify(media, moment.changes);
                    let (first, second) = (moment.changes, second.changes);
                    found.unwrap_or_else(|what| panic!("{first} then {second}: {what}"));
                }
            }
        }
    });
}
