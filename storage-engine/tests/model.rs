//! Random work against the reference model, step by step, on simulated devices and on files.
//!
//! `LODESTORE_SEEDS=n` runs more seeds, `LODESTORE_SEED=n` one. A failure names its seed.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use storage_engine::media::Survival;
use storage_engine::*;

use crate::reference::{Change, Plan};
use crate::subject::{Subject, data, differs};
use crate::workload::{Copies, NAMES, Workload};

const STEPS: usize = 120;

#[test]
fn every_answer_is_the_models_answer_on_a_simulated_device() {
    for_each_seed(60, |seed| run(Subject::simulated(seed), seed));
}

#[test]
fn every_answer_is_the_models_answer_on_files() {
    for_each_seed(6, |seed| run(Subject::files(seed), seed));
}

#[test]
fn a_checkpoint_of_many_runs_holds_every_version() {
    let mut subject = Subject::simulated(1);
    let space = subject.space();
    // One name with more versions than a run, among names on both sides of it.
    for round in 0..40_u64 {
        let mut plan = Plan::default();
        for nth in 0..130 {
            let deep = if nth % 2 == 0 { format!("{:03}", nth + round % 2) } else { String::new() };
            let name = if deep.is_empty() { format!("n{}", nth * 40 + round) } else { deep };
            let name = Bytes::from(name);
            let content = None;
            plan.changes.push(Change::Put { space, name, keep: Keep::All, content, lock: None });
        }
        subject.commit(plan).unwrap();
        let changes = (0..70).map(|_| Change::Put {
            space,
            name: Bytes::from_static(b"deep"),
            keep: Keep::All,
            content: None,
            lock: None,
        });
        for change in changes {
            subject.commit(Plan { conditions: vec![], changes: vec![change] }).unwrap();
        }
    }
    assert!(subject.engine().checkpoint().unwrap());
    subject.put(space, "after", Keep::All, data(1, 100));
    subject.restart();
    subject.verify_in_pages(space);
}

#[test]
fn a_copy_whose_source_went_first_is_refused() {
    let mut subject = Subject::simulated(1);
    let space = subject.space();
    subject.put(space, "from", Keep::Null, data(1, 9_000));
    let name = Bytes::from_static(b"from");
    let sequence = subject.reference.newest(space, &name).unwrap().sequence;
    let source = crate::subject::Source::Copies(vec![(space, name.clone(), sequence)]);
    let written = subject.write(space, data(1, 9_000), &source).unwrap();
    let which = Which::Sequence(sequence);
    let remove = Change::Remove { space, name, which, bypass: Bypass::None };
    let name = Bytes::from_static(b"to");
    let content = Some(written);
    let copy = Change::Put { space, name, keep: Keep::All, content, lock: None };
    let plans = [remove, copy].map(|change| Plan { conditions: vec![], changes: vec![change] });
    let [remove, copy] = plans;
    let answers = subject.commit_all(vec![copy.clone(), remove.clone()]);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    subject.verify().unwrap();
    subject.restart();
    subject.verify().unwrap();
}

/// Runs seeds; the one that fails is named.
pub(crate) fn for_each_seed(count: u64, run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("LODESTORE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("LODESTORE_SEEDS").unwrap_or(count) + 1,
    };
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("seed {seed} failed: LODESTORE_SEED={seed} repeats it");
            std::panic::resume_unwind(panic);
        }
    }
}

fn run(mut subject: Subject, seed: u64) {
    let mut work = Workload::new(seed);
    subject.space();
    for _ in 0..STEPS {
        step(&mut subject, &mut work);
        compare(&subject, &mut work);
    }
    subject.verify().unwrap();
    subject.close();
    subject.verify().unwrap();
    assert_eq!(subject.engine().scrub().unwrap(), []);
}

fn step(subject: &mut Subject, work: &mut Workload) {
    match work.random.below(100) {
        0..74 => {
            let plan = work.plan(subject);
            let _accepted = subject.commit(plan).is_ok();
        }
        74..82 => {
            let count = 2 + work.random.position(6);
            work.copies = Copies::Never;
            let plans = (0..count).map(|_| work.plan(subject)).collect();
            work.copies = Copies::Sometimes;
            subject.commit_all(plans);
        }
        82..86 => {
            subject.engine().checkpoint().unwrap();
        }
        86..90 => {
            subject.engine().maintain().unwrap();
            work.forget();
        }
        90..94 => {
            // The clock goes on or back; a batch brings it into the journal.
            let now_ms = subject.environment.now_ms();
            match work.random.below(3) {
                0 => subject.environment.set_now_ms(now_ms - work.random.below(5_000)),
                _ => subject.environment.advance(Duration::from_millis(work.random.below(3_000))),
            }
            let put = work.put_in_root(subject);
            let _accepted = subject.commit(put).is_ok();
        }
        94..96 => subject.restart(),
        96 => subject.crash(Survival::Nothing),
        97 => subject.crash(Survival::Some(work.random.next_u64())),
        98 => subject.close(),
        _ => subject.verify().unwrap(),
    }
}

impl Workload {
    fn put_in_root(&mut self, subject: &Subject) -> Plan {
        let (space, name) = (ROOT_SPACE, self.name());
        let put = Change::Put { space, name, keep: Keep::All, content: None, lock: None };
        assert!(subject.reference.spaces.contains_key(&ROOT_SPACE));
        Plan { conditions: vec![], changes: vec![put] }
    }
}

impl Subject {
    /// Like [`Subject::verify`], for spaces larger than a page.
    fn verify_in_pages(&self, space: SpaceId) {
        let mut after = None;
        let mut found: BTreeMap<Bytes, Vec<u64>> = BTreeMap::new();
        loop {
            let (prefix, delimiter) = (Bytes::new(), Bytes::new());
            let scan = VersionScan { prefix, delimiter, after, limit: 997 };
            let page = self.engine().scan_versions(space, &scan).unwrap();
            for item in &page.items {
                let ScanItem::Version { name, entry, .. } = item else { panic!("{item:?}") };
                found.entry(name.clone()).or_default().push(entry.sequence);
            }
            after = found.last_key_value().map(|(n, all)| (n.clone(), all.last().copied()));
            if !page.more {
                break;
            }
        }
        let expected = self.reference.spaces[&space].iter().map(|(name, versions)| {
            (name.clone(), versions.iter().map(|version| version.sequence).collect::<Vec<_>>())
        });
        let expected: BTreeMap<_, _> = expected.collect();
        for (name, sequences) in &expected {
            assert_eq!(Some(sequences), found.get(name), "{name:?}");
        }
        assert_eq!(expected.len(), found.len());
    }
}

/// Asks everything that can be asked of a few names, and pages.
fn compare(subject: &Subject, work: &mut Workload) {
    let (engine, reference) = (subject.engine(), &subject.reference);
    for _ in 0..4 {
        let (space, name) = (work.space(subject), work.name());
        let sequence_of = |entry: Option<Entry>| entry.map(|entry| entry.sequence);
        let current = engine.current(space, &name).unwrap();
        let expected = reference.current(space, &name).map(|version| version.sequence);
        assert_eq!(sequence_of(current), expected, "current of {name:?}");
        let newest = engine.newest(space, &name).unwrap();
        let expected = reference.newest(space, &name).map(|version| version.sequence);
        assert_eq!(sequence_of(newest), expected, "newest of {name:?}");
        let null = engine.version(space, &name, Which::Null).unwrap();
        let expected = reference.version(space, &name, Which::Null).map(|v| v.sequence);
        assert_eq!(sequence_of(null), expected, "null of {name:?}");
        for version in reference.versions(space, &name) {
            let which = Which::Sequence(version.sequence);
            let entry = engine.version(space, &name, which).unwrap().unwrap();
            differs(version, &entry, engine.lock_of(&entry)).unwrap();
        }
        let absent = engine.version(space, &name, Which::Sequence(u64::MAX)).unwrap();
        assert_eq!(absent, None);
        let empty = reference.spaces[&space].is_empty();
        assert_eq!(engine.is_empty(space).unwrap(), empty);
    }
    for _ in 0..4 {
        let space = work.space(subject);
        let scan = work.scan();
        let page = engine.scan(space, &scan).unwrap();
        assert_eq!(items_of(page), reference.scan(space, &scan), "{scan:?}");
        let scan = work.version_scan(subject);
        let page = engine.scan_versions(space, &scan).unwrap();
        assert_eq!(items_of(page), reference.scan_versions(space, &scan), "{scan:?}");
    }
    let gone = SpaceId(999_999);
    assert!(matches!(engine.current(gone, NAMES[0]), Err(Error::NotFound(Missing::Space(_)))));
}

fn items_of(page: ScanPage) -> (Vec<(Bytes, Option<u64>)>, bool) {
    let items = page.items.into_iter().map(|item| match item {
        ScanItem::Version { name, entry, .. } => (name, Some(entry.sequence)),
        ScanItem::Prefix(prefix) => (prefix, None),
    });
    (items.collect(), page.more)
}
