//! Zones whose header is gone: rot is refused by name, what a crash leaves is not taken for rot.

use std::sync::Arc;

use storage_engine::format::{BATCH_HEADER_BYTES, Root, ZONE_DATA_OFFSET, ZoneClass};
use storage_engine::media::{History, Media, SECTOR_BYTES, SimMedia, Survival};
use storage_engine::*;

use crate::device::{batch_header, class_of, salt_of};
use crate::subject::{Kind, Subject, ZONE_BYTES, data, master, sim_options};

/// The zones of a class, oldest first.
fn zones_of(media: &SimMedia, class: ZoneClass) -> Vec<ZoneId> {
    let mut zones = media.list().unwrap();
    zones.retain(|zone| class_of(media, *zone) == Some(class));
    zones
}

/// Changes a bit in each of the first `sectors` sectors; the first two hold the header.
fn rot(media: &SimMedia, zone: ZoneId, sectors: u64) {
    for sector in 0..sectors {
        media.flip_bit(zone, sector * SECTOR_BYTES + 3, 1).unwrap();
    }
}

/// Which zones the batch headers in a zone name, by place.
fn batch_zones(media: &SimMedia, zone: ZoneId) -> Vec<(u64, ZoneId)> {
    let salt = salt_of(media);
    let places = (ZONE_DATA_OFFSET..ZONE_BYTES).step_by(SECTOR_BYTES as usize);
    let batches = places.filter_map(|offset| {
        let mut bytes = [0; BATCH_HEADER_BYTES];
        media.read(zone, offset, &mut bytes).unwrap();
        Some((offset, batch_header(&bytes, salt)?.zone))
    });
    batches.collect()
}

fn is_blank(media: &SimMedia, zone: ZoneId) -> bool {
    let copy = |offset| {
        let mut bytes = [0; 128];
        media.read(zone, offset, &mut bytes).unwrap();
        format::ZoneHeader::decode(&bytes).is_ok_and(|header| header.zone == zone)
    };
    !copy(0) && !copy(SECTOR_BYTES)
}

/// Puts small values until the journal has gone through this many zones more.
fn fill_journal_zones(subject: &mut Subject, more: usize) {
    let begun = zones_of(subject.media(), ZoneClass::Journal).len();
    for nth in 0.. {
        subject.put(ROOT_SPACE, &format!("k{nth}"), Keep::Null, data(nth, 1_500));
        if zones_of(subject.media(), ZoneClass::Journal).len() == begun + more {
            break;
        }
    }
    subject.put(ROOT_SPACE, "last", Keep::Null, data(7, 1_500));
}

#[test]
fn a_journal_zone_whose_header_rotted_is_refused_by_name() {
    for checkpoint in [false, true] {
        let mut subject = Subject::simulated(3);
        subject.put(ROOT_SPACE, "before", Keep::Null, data(1, 700));
        if checkpoint {
            subject.engine().checkpoint().unwrap();
        }
        fill_journal_zones(&mut subject, 3);
        let journal = zones_of(subject.media(), ZoneClass::Journal);
        // With the first batch too, and with the zones before it: from any point on to the end.
        for (last, sectors) in (1..=journal.len() - 1).flat_map(|last| [(last, 2), (last, 3)]) {
            let rotten = &journal[journal.len() - last..];
            let media = subject.media().fork();
            rotten.iter().for_each(|zone| rot(&media, *zone, sectors));
            let report = check(&media, master().as_ref()).unwrap();
            assert!(report.corruptions.iter().any(|c| c.zone == Some(rotten[0])), "{report:?}");
            match Subject::resumed(1, media, subject.reference.clone()).map(drop) {
                Err(Error::Corrupt(found)) => {
                    assert_eq!((found.zone, found.what), (Some(rotten[0]), "zone header"));
                }
                other => panic!("{last} zones, {sectors} sectors rotten: {other:?}"),
            }
        }
    }
}

#[test]
fn a_store_whose_only_journal_zone_rotted_is_refused_by_name() {
    let mut subject = Subject::simulated(3);
    subject.put(ROOT_SPACE, "k", Keep::Null, data(1, 700));
    let zone = zones_of(subject.media(), ZoneClass::Journal)[0];
    let media = subject.media().fork();
    rot(&media, zone, 2);
    let refused = Subject::resumed(1, media, subject.reference.clone()).map(drop);
    assert!(matches!(&refused, Err(Error::Corrupt(c)) if c.zone == Some(zone)), "{refused:?}");
}

#[test]
fn a_rotten_header_of_a_zone_that_nothing_needs_is_no_reason_to_refuse() {
    let mut subject = Subject::simulated(3);
    fill_journal_zones(&mut subject, 2);
    for nth in 0..100 {
        let name = format!("k{nth}");
        if subject.engine().current(ROOT_SPACE, name.as_bytes()).unwrap().is_some() {
            subject.remove(ROOT_SPACE, &name);
        }
    }
    subject.engine().checkpoint().unwrap();
    // Its records are in the checkpoint and nothing in it lives; only the older checkpoint keeps it.
    let dead = zones_of(subject.media(), ZoneClass::Journal)[1];
    let media = subject.media().fork();
    rot(&media, dead, 2);
    let opened = Subject::resumed(1, media, subject.reference.clone()).unwrap();
    opened.verify().unwrap();
    assert!(!opened.media().list().unwrap().contains(&dead), "it is given back");
}

#[test]
fn a_recycled_zone_that_holds_a_former_life_opens() {
    let mut subject = Subject::simulated(4);
    // Journal zones that died: their content shows again in zones made of them.
    for _ in 0..8 {
        fill_journal_zones(&mut subject, 2);
        subject.engine().checkpoint().unwrap();
        subject.engine().maintain().unwrap();
    }
    let epoch = Root::decode(&subject.media().root().unwrap().unwrap()).unwrap().epoch;
    let media = subject.media().fork();
    let zones: Vec<ZoneId> = (900..912).map(ZoneId).collect();
    zones.iter().for_each(|zone| media.create(epoch, *zone).unwrap());
    assert!(zones.iter().all(|zone| is_blank(&media, *zone)));
    let stale = zones.iter().filter(|zone| batch_zones(&media, **zone).len() >= 2).count();
    assert!(stale >= 2, "{stale} zones hold batches of a former life");
    let opened = Subject::resumed(1, media, subject.reference.clone()).unwrap();
    opened.verify().unwrap();
    let left = opened.media().list().unwrap();
    assert!(!zones.iter().any(|zone| left.contains(zone)), "they are given back");
}

#[test]
fn a_batch_that_outlived_its_torn_header_is_what_a_crash_leaves() {
    let mut options = sim_options(5);
    options.history = History::EveryChange;
    let media = Arc::new(SimMedia::new(&options));
    let mut subject = Subject::with(5, Kind::Simulated(Arc::clone(&media)));
    fill_journal_zones(&mut subject, 4);
    let mut alone = 0;
    for moment in media.take_crash_points() {
        for seed in 0..8 {
            let left = SimMedia::after_crash(&moment, Survival::Some(seed));
            let Some(newest) = left.list().unwrap().pop().filter(|zone| is_blank(&left, *zone))
            else {
                continue;
            };
            alone += u32::from(batch_zones(&left, newest).contains(&(ZONE_DATA_OFFSET, newest)));
            let report = check(&left, master().as_ref()).unwrap();
            assert_eq!(report.corruptions, [], "after change {}, seed {seed}", moment.changes);
        }
    }
    assert!(alone > 0, "no crash kept a batch and tore both copies of its zone's header");
}
