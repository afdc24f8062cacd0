//! Opening: threads change nothing, a checkpoint counts whole or not at all.

use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use storage_engine::format::{Root, ZONE_DATA_OFFSET, ZoneClass, ZoneHeader};
use storage_engine::media::{Media, SECTOR_BYTES, SimEnvironment, SimMedia, Survival};
use storage_engine::*;

use crate::reference::{Change, Plan};
use crate::subject::{Subject, ZONE_BYTES, data, master, open_on, options, verify};

/// A name that takes much room in whatever holds it.
fn long_name(nth: u64, len: usize) -> String {
    format!("{nth:0>8}{}", "n".repeat(len - 8))
}

fn marker(space: SpaceId, name: &str, keep: Keep) -> Plan {
    let name = Bytes::copy_from_slice(name.as_bytes());
    let put = Change::Put { space, name, keep, content: None, lock: None };
    Plan { conditions: vec![], changes: vec![put] }
}

/// Versions of all kinds under many names in several spaces, half of them in a checkpoint, with more
/// records behind it than are taken in one go.
fn store_of_many_runs() -> Subject {
    let mut subject = Subject::simulated(11);
    let spaces = [subject.space(), subject.space()];
    for round in 0..26_u64 {
        let mut plans = Vec::new();
        for nth in 0..200_u64 {
            let space = spaces[(nth % 2) as usize];
            // In another order every round.
            let name = long_name(nth * (2 * round + 1) % 200, 1_900);
            let keep = if (nth / 2 + round) % 5 < 3 { Keep::Null } else { Keep::All };
            plans.push(match (nth + round) % 11 {
                0 => marker(space, &name, keep),
                len => subject.plan_put(space, &name, keep, data(nth, 40 * len as usize)),
            });
        }
        for answer in subject.commit_all(plans) {
            answer.unwrap();
        }
        for nth in 0..20 {
            subject.remove(spaces[0], &long_name(nth * 10, 1_900));
        }
        if round == 1 {
            subject.put(spaces[1], "large", Keep::Null, data(7, 30_000));
            subject.engine().checkpoint().unwrap();
            let late = subject.space();
            subject.put(late, "in a space of the tail", Keep::Null, data(8, 100));
            let dropped = subject.space();
            subject.put(dropped, "gone", Keep::Null, data(9, 100));
            let clear = Plan { conditions: vec![], changes: vec![Change::ClearSpace(dropped)] };
            subject.commit(clear).unwrap();
        }
    }
    subject
}

fn open_with_threads(media: SimMedia) -> Result<Engine> {
    let environment = Arc::new(SystemEnvironment::new(None));
    Engine::open(environment, Arc::new(media), master(), options())
}

#[test]
fn a_store_opens_alike_with_threads_and_without() {
    let mut subject = store_of_many_runs();
    let media = subject.media().fork();
    subject.crash(Survival::Everything);
    subject.verify().unwrap();
    let engine = open_with_threads(media).unwrap();
    verify(&engine, &subject.reference).unwrap();
    let (alone, beside) = (subject.engine().stats(), engine.stats());
    assert!(alone.journal_tail_bytes > 2 * (4 << 20), "{} bytes", alone.journal_tail_bytes);
    assert_eq!(alone.live_bytes, beside.live_bytes);
    assert_eq!(alone.recovery_records, beside.recovery_records);
    assert_eq!(alone.journal_tail_bytes, beside.journal_tail_bytes);
    block_on(engine.close()).unwrap();
}

#[test]
fn a_lost_block_anywhere_in_a_checkpoint_costs_a_longer_replay_only() {
    let mut subject = Subject::simulated(12);
    for round in 0..2 {
        for nth in 0..150 {
            subject.put(ROOT_SPACE, &long_name(nth, 1_500), Keep::Null, data(nth + round, 50));
        }
        subject.engine().checkpoint().unwrap();
    }
    let media = subject.media();
    let mut checkpoint: Vec<ZoneHeader> = media
        .list()
        .unwrap()
        .into_iter()
        .filter_map(|zone| header_of(media, zone))
        .filter(|header| header.class == ZoneClass::Checkpoint)
        .collect();
    let newest = checkpoint.iter().map(|header| header.first_lsn).max().unwrap();
    checkpoint.retain(|header| header.first_lsn == newest);
    assert!(checkpoint.len() > 2, "{} zones", checkpoint.len());
    let mut lost = 0;
    for header in checkpoint {
        for offset in (ZONE_DATA_OFFSET..ZONE_BYTES).step_by(SECTOR_BYTES as usize) {
            let mut start = [0; 5];
            media.read(header.zone, offset, &mut start).unwrap();
            if !start.starts_with(b"LCKP") {
                continue;
            }
            let damaged = media.fork();
            damaged.flip_bit(header.zone, offset + 9, 1).unwrap();
            let engine = open_with_threads(damaged.fork()).unwrap();
            verify(&engine, &subject.reference).unwrap_or_else(|what| panic!("{offset}: {what}"));
            block_on(engine.close()).unwrap();
            let report = check(&damaged, master().as_ref()).unwrap();
            let named = report.corruptions.iter().any(|found| found.what == "checkpoint block");
            // Without its end a checkpoint looks like one that a crash cut short.
            let is_end = start[4] == 4;
            assert_eq!(named, !is_end, "{} {offset}: {report:?}", header.zone);
            lost += 1;
        }
    }
    assert!(lost > 4, "{lost} blocks");
}

#[test]
fn a_store_that_has_no_epoch_or_zone_ids_left_is_refused_and_left_as_it_is() {
    let last_epoch = (1 << 24) - 1;
    for (epoch, zone_ids_end, opens) in [
        (last_epoch - 1, 5_000, true),
        (last_epoch, 5_000, false),
        (u32::MAX, 5_000, false),
        (7, u32::MAX - 1024, true),
        (7, u32::MAX - 1023, false),
        (7, u32::MAX, false),
    ] {
        let mut subject = Subject::simulated(13);
        subject.put(ROOT_SPACE, "k", Keep::Null, data(1, 5_000));
        let reference = subject.reference.clone();
        let media = subject.media().restart();
        let root = Root::decode(&media.root().unwrap().unwrap()).unwrap();
        let epoch = Epoch(epoch);
        let root = Root { epoch, zone_ids_end, ..root };
        media.replace_root(epoch, &root.encode()).unwrap();
        let (media, before) = (Arc::new(media.restart()), root.encode());
        let environment = Arc::new(SimEnvironment::new(1));
        let opened = open_on(&environment, Arc::clone(&media) as Arc<dyn Media>);
        let told = format!("epoch {epoch}, zone ids to {zone_ids_end}");
        if opens {
            verify(&opened.unwrap(), &reference).unwrap_or_else(|what| panic!("{told}: {what}"));
        } else {
            assert!(matches!(opened, Err(Error::Stopped { .. })), "{told}");
            assert_eq!(media.root().unwrap().unwrap(), before, "{told}");
            assert_eq!(media.changes(), 0, "{told}");
        }
    }
}

fn header_of(media: &SimMedia, zone: ZoneId) -> Option<ZoneHeader> {
    let mut bytes = [0; 128];
    media.read(zone, 0, &mut bytes).unwrap();
    ZoneHeader::decode(&bytes).ok()
}
