//! Devices that fail, fill up and rot: nothing acknowledged is lost, nothing that is lost was
//! acknowledged, and a bad byte is found, named and never served.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::executor::block_on;
use storage_engine::format::{BATCH_HEADER_BYTES, BatchHeader, ZONE_DATA_OFFSET, ZoneClass};
use storage_engine::media::{
    Fault, Media, Operation, SECTOR_BYTES, SimMedia, SimOptions, Survival, Target,
};
use storage_engine::*;

use crate::device::class_of;
use crate::reference::{Change, Plan, Reference};
use crate::subject::{
    Kind, Subject, ZONE_BYTES, data, master, open_on, sim_options, verify, write_value,
};

/// What became of a scripted run on a device that fails.
struct Run {
    /// What was acknowledged.
    held: Reference,
    /// What was asked when the engine gave up: it may have happened.
    in_doubt: Option<Plan>,
}

/// One scripted run: small and large values, removals, a checkpoint, reclaim, zone rollover. Goes on
/// after a refusal as an owner would, until the script ends.
fn run_script(media: &Arc<SimMedia>) -> Run {
    let environment = Arc::new(media::SimEnvironment::new(9));
    let mut held = Reference::default();
    held.spaces.entry(ROOT_SPACE).or_default();
    let device = Arc::clone(media) as Arc<dyn Media>;
    let Ok(engine) = open_on(&environment, device) else { return Run { held, in_doubt: None } };
    let kind = Kind::Simulated(Arc::clone(media));
    let mut subject = Subject { environment, kind, engine: Some(engine), reference: held };
    subject.note_time();
    let mut in_doubt = None;
    for nth in 0..26_u64 {
        let name = format!("k{}", nth % 7);
        let plan = match nth % 13 {
            6 => {
                drop(subject.engine().checkpoint());
                continue;
            }
            9 => {
                drop(subject.engine().maintain());
                continue;
            }
            5 | 11 => {
                let name = Bytes::from(name);
                let (which, bypass) = (Which::Null, Bypass::None);
                let remove = Change::Remove { space: ROOT_SPACE, name, which, bypass };
                Plan { conditions: vec![], changes: vec![remove] }
            }
            _ => {
                let len = if nth % 3 == 0 { 9_000 } else { 1_500 };
                let content = data(nth, len);
                let source = crate::subject::Source::Fresh(Placement::Auto);
                let Ok(written) = subject.write(ROOT_SPACE, content, &source) else { continue };
                let (name, content) = (Bytes::from(name), Some(written));
                let (space, keep) = (ROOT_SPACE, Keep::Null);
                let put = Change::Put { space, name, keep, content, lock: None };
                Plan { conditions: vec![], changes: vec![put] }
            }
        };
        match subject.try_commit(&plan) {
            Ok(()) => {}
            // The first that the engine could not settle is in doubt; after it nothing happens.
            Err(Error::Stopped { .. }) => {
                in_doubt.get_or_insert(plan);
            }
            Err(other) => panic!("step {nth}: {other}"),
        }
    }
    drop(block_on(subject.engine().close()));
    Run { held: subject.reference, in_doubt }
}

/// The store must hold what was acknowledged, with or without what was in doubt.
fn verify_run(run: &Run, media: SimMedia) -> Result<(), String> {
    let subject = Subject::resumed(4, media, run.held.clone()).map_err(|e| e.to_string())?;
    let Err(what) = subject.verify() else { return Ok(()) };
    let Some(plan) = &run.in_doubt else { return Err(what) };
    let mut with = run.held.clone();
    let sequence = |change: &Change| match change {
        Change::Put { space, name, .. } => {
            let entry = subject.engine().newest(*space, name).ok().flatten();
            entry.map_or(u64::MAX, |entry| entry.sequence)
        }
        _ => 0,
    };
    let sequences: Vec<u64> = plan.changes.iter().map(sequence).collect();
    with.apply(plan, &sequences);
    verify(subject.engine(), &with).map_err(|other| format!("{what}; with {plan:?}: {other}"))
}

#[test]
fn every_single_failure_leaves_what_was_acknowledged() {
    let changes = {
        let media = Arc::new(SimMedia::new(&sim_options(1)));
        let run = run_script(&media);
        assert!(run.in_doubt.is_none());
        verify_run(&run, media.restart()).unwrap();
        media.changes()
    };
    let mut completed = 0;
    for nth in 1..=changes {
        for fault in [Fault::Fail(Target::AnyChange), Fault::FailOn(Target::AnyChange)] {
            for seed in 1..3 {
                let media = Arc::new(SimMedia::new(&sim_options(seed)));
                media.arm(nth, fault);
                let run = run_script(&media);
                completed += u64::from(run.in_doubt.is_none());
                for left in [media.crash(Survival::Nothing), media.crash(Survival::Some(nth))] {
                    verify_run(&run, left).unwrap_or_else(|what| panic!("{fault:?} {nth}: {what}"));
                }
            }
        }
    }
    assert!(completed > changes, "most single failures do not stop the engine: {completed}");
}

#[test]
fn every_failing_read_is_an_error_and_nothing_more() {
    for nth in 1..400 {
        let media = Arc::new(SimMedia::new(&sim_options(1)));
        media.arm(nth, Fault::Fail(Target::Only(Operation::Read)));
        let run = run_script(&media);
        verify_run(&run, media.crash(Survival::Nothing)).unwrap();
        if media.has_armed() {
            return;
        }
    }
}

#[test]
fn a_failed_journal_sync_moves_the_batch_to_a_fresh_zone() {
    let mut subject = Subject::simulated(3);
    for nth in 0..12 {
        subject.media().arm(1 + nth % 2, Fault::Fail(Target::Only(Operation::Sync)));
        subject.put(ROOT_SPACE, &format!("k{nth}"), Keep::Null, data(nth, 700));
        subject.put(ROOT_SPACE, &format!("l{nth}"), Keep::Null, data(nth, 700));
        subject.media().heal();
    }
    subject.verify().unwrap();
    subject.crash(Survival::Nothing);
    subject.verify().unwrap();
}

#[test]
fn an_engine_that_cannot_sync_stops_and_acknowledges_nothing() {
    let mut subject = Subject::simulated(3);
    subject.put(ROOT_SPACE, "before", Keep::Null, data(1, 700));
    subject.media().arm(1, Fault::FailOn(Target::Only(Operation::Sync)));
    let plan = subject.plan_put(ROOT_SPACE, "after", Keep::Null, data(2, 700));
    assert!(matches!(subject.try_commit(&plan), Err(Error::Stopped { .. })));
    let plan = subject.plan_remove(ROOT_SPACE, "before");
    assert!(matches!(subject.try_commit(&plan), Err(Error::Stopped { .. })));
    assert!(subject.engine().writer(ROOT_SPACE, Placement::Auto, None).is_err());
    // What is there is still served.
    subject.verify().unwrap();
    subject.crash(Survival::Nothing);
    subject.verify().unwrap();
}

#[test]
fn a_failed_data_sync_acknowledges_nothing() {
    let mut subject = Subject::simulated(3);
    subject.put(ROOT_SPACE, "before", Keep::Null, data(1, 9_000));
    let plan = subject.plan_put(ROOT_SPACE, "after", Keep::Null, data(2, 9_000));
    // The data zones are synced before the journal when there are no threads.
    subject.media().arm(1, Fault::Fail(Target::Only(Operation::Sync)));
    assert!(matches!(subject.try_commit(&plan), Err(Error::Stopped { .. })));
    subject.crash(Survival::Nothing);
    subject.verify().unwrap();
}

fn tiny_device(zones: u64) -> Subject {
    let options = SimOptions { capacity_bytes: zones * ZONE_BYTES, ..sim_options(5) };
    Subject::with(5, Kind::Simulated(Arc::new(SimMedia::new(&options))))
}

#[test]
fn a_full_device_refuses_puts_and_still_removes() {
    for len in [1_500, 9_000] {
        let mut subject = tiny_device(24);
        let mut names = Vec::new();
        let full = loop {
            let name = format!("k{}", names.len());
            match subject.try_put(ROOT_SPACE, &name, data(names.len() as u64, len)) {
                Ok(()) => names.push(name),
                Err(error) => break error,
            }
            assert!(names.len() < 10_000);
        };
        assert!(matches!(full, Error::Busy(Shortage::Space)), "{full}");
        subject.verify().unwrap();
        assert!(subject.engine().checkpoint().is_ok());
        // Restarting a full store works, and finds it full.
        subject.restart();
        let refused = subject.try_put(ROOT_SPACE, "more", data(1, len)).unwrap_err();
        assert!(matches!(refused, Error::Busy(Shortage::Space)), "{refused}");
        for (nth, name) in names.iter().enumerate() {
            if nth % 4 != 0 {
                subject.remove(ROOT_SPACE, name);
            }
            if nth % 16 == 0 {
                subject.engine().maintain().unwrap();
            }
        }
        for _ in 0..4 {
            subject.engine().maintain().unwrap();
        }
        let stats = subject.engine().stats();
        subject
            .try_put(ROOT_SPACE, "room again", data(7, len))
            .unwrap_or_else(|error| panic!("values of {len} bytes: {error}; {stats:?}"));
        subject.verify().unwrap();
        subject.restart();
        subject.verify().unwrap();
    }
}

#[test]
fn reclaim_of_a_full_device_ends() {
    let mut subject = tiny_device(16);
    let mut nth = 0;
    while subject.try_put(ROOT_SPACE, &format!("k{nth}"), data(nth, 9_000)).is_ok() {
        nth += 1;
    }
    for _ in 0..5 {
        drop(subject.engine().maintain());
    }
    subject.verify().unwrap();
    subject.restart();
    subject.verify().unwrap();
}

#[test]
fn a_checkpoint_outlives_the_journal_zone_it_points_into() {
    let mut subject = Subject::simulated(8);
    for round in 0..40 {
        // Fill the zone nearly, so that the next batch goes to a fresh one.
        for nth in 0..7 {
            subject.put(ROOT_SPACE, "same", Keep::Null, data(nth, 1_000 + round * 31));
        }
        subject.engine().checkpoint().unwrap();
        let big = (0..12).map(|nth| {
            let name = format!("same{nth}");
            subject.plan_put(ROOT_SPACE, &name, Keep::Null, data(nth, 2_000)).changes.remove(0)
        });
        let changes =
            big.chain(subject.plan_put(ROOT_SPACE, "same", Keep::Null, data(1, 1)).changes);
        let plan = Plan { conditions: vec![], changes: changes.collect() };
        subject.commit(plan).unwrap();
        subject.engine().maintain().unwrap();
        subject.crash(Survival::Nothing);
        subject.verify().unwrap();
    }
}

#[test]
fn a_second_owner_fences_the_first() {
    let mut first = Subject::simulated(2);
    first.put(ROOT_SPACE, "k", Keep::Null, data(1, 100));
    let device = Arc::clone(first.media()) as Arc<dyn Media>;
    let second = open_on(&first.environment, device).unwrap();
    let plan = first.plan_put(ROOT_SPACE, "late", Keep::Null, data(2, 100));
    let refused = first.try_commit(&plan).unwrap_err();
    assert!(refused.to_string().contains("fenced"), "{refused}");
    verify(&second, &first.reference).unwrap();
}

#[test]
fn a_store_without_its_root_object_does_not_open() {
    let mut subject = Subject::simulated(2);
    subject.put(ROOT_SPACE, "k", Keep::Null, data(1, 100));
    let zones = subject.media().list().unwrap();
    let bare = SimMedia::new(&sim_options(3));
    // The same zones on a device whose root object is gone.
    for &zone in &zones {
        bare.create(Epoch(1), zone).unwrap();
        let mut bytes = vec![0; SECTOR_BYTES as usize];
        for offset in (0..ZONE_BYTES).step_by(SECTOR_BYTES as usize) {
            subject.media().read(zone, offset, &mut bytes).unwrap();
            bare.overwrite(zone, offset, |to| to.copy_from_slice(&bytes)).unwrap();
        }
    }
    let refused = Subject::resumed(1, bare, subject.reference.clone()).err().unwrap();
    assert!(matches!(refused, Error::Corrupt(Corruption { what: "root object", .. })), "{refused}");
}

/// A store with something in every kind of place, and its reference.
fn rich_store() -> Subject {
    let mut subject = Subject::simulated(6);
    let space = subject.space();
    for round in 0..6 {
        for nth in 0..12 {
            subject.put(space, &format!("s{nth}"), Keep::Null, data(nth + round, 1_200));
        }
        subject.put(space, &format!("kept{round}"), Keep::Null, data(round, 900));
        subject.put(space, &format!("large{round}"), Keep::Null, data(round, 30_000));
        if round % 2 == 1 {
            subject.remove(space, &format!("large{round}"));
        }
        if round == 2 || round == 4 {
            subject.engine().checkpoint().unwrap();
        }
        subject.engine().maintain().unwrap();
    }
    subject.engine().checkpoint().unwrap();
    subject.put(space, "tail", Keep::Null, data(3, 1_000));
    subject.put(space, "large tail", Keep::Null, data(3, 9_000));
    subject.put(space, "last", Keep::Null, data(4, 1_000));
    // Opening says that all before it is durable: no later test takes "last" for a torn tail.
    subject.restart();
    subject
}

/// The places of a store's used sectors.
fn used_sectors(media: &SimMedia) -> Vec<(ZoneId, u64)> {
    let mut places = Vec::new();
    for zone in media.list().unwrap() {
        for offset in (0..ZONE_BYTES).step_by(SECTOR_BYTES as usize) {
            let mut bytes = vec![0; SECTOR_BYTES as usize];
            media.read(zone, offset, &mut bytes).unwrap();
            if bytes.iter().any(|&byte| byte != 0) {
                places.push((zone, offset));
            }
        }
    }
    places
}

#[test]
fn no_flipped_bit_anywhere_is_ever_served() {
    let rich = rich_store();
    let places = used_sectors(rich.media());
    let (mut refused, mut found, mut dropped) = (0, 0, 0);
    for (nth, &(zone, offset)) in places.iter().enumerate() {
        for at in [17, 40 + nth as u64 % 200, 900 + (nth as u64 * 37) % 3_000] {
            let media = rich.media().fork();
            media.flip_bit(zone, offset + at, (nth % 8) as u8).unwrap();
            let report = check(&media, master().as_ref()).unwrap();
            let named = report.corruptions.iter().any(|c| c.zone == Some(zone));
            match Subject::resumed(1, media, rich.reference.clone()) {
                Err(Error::Corrupt(_)) => {
                    assert!(!report.corruptions.is_empty(), "{zone} {offset} {at}");
                    refused += 1;
                }
                Err(other) => panic!("{zone} {offset} {at}: {other}"),
                Ok(subject) => match subject.verify() {
                    // It lay in nothing that serves.
                    Ok(()) => {}
                    Err(what) if what.contains("corrupt") => {
                        assert!(named, "served an error but not named: {zone} {offset}: {what}");
                        found += 1;
                    }
                    // The last batch is a torn tail to anybody who was not told that it was durable.
                    Err(what) if what.contains("ends before") || what.contains("in the place") => {
                        let class = class_of(rich.media(), zone);
                        let tail = last_batch(rich.media());
                        let in_tail = (zone, offset) == tail;
                        assert!(in_tail, "lost {what} at {zone} {offset} {class:?}, tail {tail:?}");
                        dropped += 1;
                    }
                    Err(what) => panic!("served {what} at {zone} {offset} {at}"),
                },
            }
        }
    }
    assert!(found > 20 && refused > 0, "{found} found, {refused} refused, {dropped} dropped");
}

/// Place of the last batch of the journal.
fn last_batch(media: &SimMedia) -> (ZoneId, u64) {
    let mut last = (Lsn(0), ZoneId(0), 0);
    for zone in media.list().unwrap() {
        for (offset, header) in batches(media, zone) {
            last = last.max((header.first_lsn, zone, offset));
        }
    }
    (last.1, last.2)
}

/// The batches of a journal zone.
fn batches(media: &SimMedia, zone: ZoneId) -> Vec<(u64, BatchHeader)> {
    let mut found = Vec::new();
    if class_of(media, zone) != Some(ZoneClass::Journal) {
        return found;
    }
    let mut offset = ZONE_DATA_OFFSET;
    while offset + SECTOR_BYTES <= ZONE_BYTES {
        let mut bytes = [0; BATCH_HEADER_BYTES];
        media.read(zone, offset, &mut bytes).unwrap();
        match BatchHeader::decode(&bytes) {
            Ok((header, _)) if header.zone == zone => {
                found.push((offset, header));
                offset += header.padded_bytes();
            }
            _ => break,
        }
    }
    found
}

#[test]
fn a_torn_tail_is_dropped_and_a_hole_is_refused() {
    let mut subject = Subject::simulated(2);
    for nth in 0..5 {
        subject.put(ROOT_SPACE, &format!("k{nth}"), Keep::Null, data(nth, 500));
    }
    let zone = subject.media().list().unwrap()[0];
    let batches = batches(subject.media(), zone);
    for (nth, (offset, header)) in batches.iter().enumerate() {
        for at in [20, BATCH_HEADER_BYTES as u64 + u64::from(header.len) / 2] {
            if at > 20 && header.len == 0 {
                continue;
            }
            let media = subject.media().fork();
            media.flip_bit(zone, offset + at, 3).unwrap();
            let opened = Subject::resumed(1, media, subject.reference.clone());
            if nth + 1 == batches.len() {
                let mut reference = subject.reference.clone();
                reference.spaces.get_mut(&ROOT_SPACE).unwrap().remove(&b"k4"[..]);
                verify(opened.unwrap().engine(), &reference).unwrap();
            } else {
                let Err(Error::Corrupt(found)) = opened.map(drop) else {
                    panic!("opened over a hole at batch {nth}")
                };
                assert_eq!((found.zone, found.offset), (Some(zone), *offset), "batch {nth}");
            }
        }
    }
}

#[test]
fn a_damaged_checkpoint_costs_a_longer_replay_only() {
    let subject = rich_store();
    subject.environment.advance(Duration::from_secs(1));
    let media = subject.media();
    let mut zones = media.list().unwrap();
    zones.retain(|zone| class_of(media, *zone) == Some(ZoneClass::Checkpoint));
    let newest = *zones.last().unwrap();
    for offset in (ZONE_DATA_OFFSET..ZONE_BYTES).step_by(SECTOR_BYTES as usize) {
        for at in [9, 60] {
            let media = subject.media().fork();
            media.flip_bit(newest, offset + at, 1).unwrap();
            let opened = Subject::resumed(1, media, subject.reference.clone()).unwrap();
            opened.verify().unwrap_or_else(|what| panic!("{offset} {at}: {what}"));
        }
    }
}

#[test]
fn both_headers_of_a_live_zone_gone_is_refused_by_name() {
    let subject = rich_store();
    for zone in subject.media().list().unwrap() {
        let class = class_of(subject.media(), zone);
        let media = subject.media().fork();
        media.flip_bit(zone, 3, 1).unwrap();
        media.flip_bit(zone, SECTOR_BYTES + 3, 1).unwrap();
        let report = check(&media, master().as_ref()).unwrap();
        match Subject::resumed(1, media, subject.reference.clone()) {
            Err(Error::Corrupt(found)) => {
                assert!(!report.corruptions.is_empty());
                assert!(found.zone == Some(zone) || found.zone.is_none(), "{found:?}");
            }
            Err(other) => panic!("{zone}: {other}"),
            Ok(subject) => {
                subject.verify().unwrap_or_else(|what| panic!("{zone} {class:?}: {what}"));
            }
        }
    }
}

#[test]
fn scrub_and_check_name_each_planted_byte_in_what_lives() {
    let rich = rich_store();
    let mut planted = 0;
    for (space, name, version) in rich.reference.all() {
        let which = Which::Sequence(version.sequence);
        let entry = rich.engine().version(space, name, which).unwrap().unwrap();
        let media = rich.media().fork();
        let (zone, offset) = (entry.location.zone, u64::from(entry.location.offset));
        media.flip_bit(zone, offset + 50, 2).unwrap();
        let report = check(&media, master().as_ref()).unwrap();
        assert!(report.corruptions.iter().any(|c| c.zone == Some(zone)), "{name:?} {report:?}");
        rich.media().flip_bit(zone, offset + 50, 2).unwrap();
        let found = rich.engine().scrub().unwrap();
        assert!(found.iter().any(|c| c.zone == Some(zone)), "{name:?} in {zone}: {found:?}");
        let loaded = block_on(rich.engine().load(space, name, &entry));
        assert!(matches!(loaded, Err(Error::Corrupt(_))), "{name:?} was served");
        rich.media().flip_bit(zone, offset + 50, 2).unwrap();
        planted += 1;
    }
    assert!(planted > 10);
    assert_eq!(rich.engine().scrub().unwrap(), []);
}

impl Subject {
    /// Commits a plan whose fate only the engine knows; the model follows when it happened.
    fn try_commit(&mut self, plan: &Plan) -> Result<()> {
        let now_ms = self.reference.time_ms.max(self.environment.now_ms());
        let outcomes = block_on(self.engine().commit(self.batch(plan)))?;
        self.reference.time_ms = now_ms;
        let sequences: Vec<u64> = outcomes.iter().map(|outcome| outcome.sequence).collect();
        self.reference.apply(plan, &sequences);
        Ok(())
    }

    fn try_put(&mut self, space: SpaceId, name: &str, content: Arc<[u8]>) -> Result<()> {
        let placement = Placement::Auto;
        drop(block_on(write_value(self.engine(), space, placement, &[]))?);
        let source = crate::subject::Source::Fresh(placement);
        let content = Some(self.write(space, content, &source)?);
        let name = Bytes::copy_from_slice(name.as_bytes());
        let put = Change::Put { space, name, keep: Keep::Null, content, lock: None };
        self.try_commit(&Plan { conditions: vec![], changes: vec![put] })
    }

    fn plan_remove(&self, space: SpaceId, name: &str) -> Plan {
        let name = Bytes::copy_from_slice(name.as_bytes());
        let remove = Change::Remove { space, name, which: Which::Null, bypass: Bypass::None };
        Plan { conditions: vec![], changes: vec![remove] }
    }
}
