//! Zones that take nothing more are sealed on the medium, and what an owner finds sealed it leaves
//! alone.

use std::sync::Arc;

use futures::executor::block_on;
use storage_engine::format::ZoneClass;
use storage_engine::media::{
    Fault, FileMedia, Media, Operation, SECTOR_BYTES, SimMedia, Survival, Target,
};
use storage_engine::*;

use crate::device::class_of;
use crate::subject::{Kind, Subject, data};

/// Enough small and large values to go through many zones.
fn fill(subject: &mut Subject, rounds: u64) {
    for nth in 0..rounds {
        subject.put(ROOT_SPACE, &format!("s{nth}"), Keep::Null, data(nth, 1_900));
        subject.put(ROOT_SPACE, &format!("l{nth}"), Keep::Null, data(nth, 11_000));
    }
}

/// How many zones the device of a store that nobody has open holds, sealed and not.
fn sealed_and_open(kind: &Kind) -> (usize, usize) {
    let media: Arc<dyn Media> = match kind {
        Kind::Simulated(media) => Arc::new(media.fork()),
        Kind::Files { options, .. } => Arc::new(FileMedia::open(options).unwrap()),
    };
    let zones = media.list().unwrap();
    let sealed = zones.iter().filter(|zone| media.is_sealed(**zone).unwrap()).count();
    (sealed, zones.len() - sealed)
}

#[test]
fn full_zones_are_sealed_and_the_open_ones_go_on() {
    for mut subject in [Subject::simulated(1), Subject::files(1)] {
        // Killed behind a pass of background work, then closed in good order.
        for (round, count) in [150, 20].into_iter().enumerate() {
            fill(&mut subject, count);
            match round {
                0 => drop(subject.engine().maintain().unwrap()),
                _ => block_on(subject.engine().close()).unwrap(),
            }
            subject.engine = None;
            let (sealed, open) = sealed_and_open(&subject.kind);
            // The journal's end, the data zone being filled, one for what survives.
            assert!(sealed > 32 && open <= 3, "round {round}: {sealed} sealed, {open} open");
            subject.restart();
            subject.verify().unwrap();
        }
    }
}

#[test]
fn a_store_whose_every_zone_is_sealed_goes_on_in_fresh_ones() {
    let mut subject = Subject::simulated(2);
    fill(&mut subject, 5);
    for nth in 0..3_u64 {
        subject.engine = None;
        let media = subject.media().restart();
        let zones = media.list().unwrap();
        zones.iter().for_each(|zone| media.seal(Epoch(u32::MAX), *zone).unwrap());
        subject.kind = Kind::Simulated(Arc::new(media));
        subject.restart();
        subject.verify().unwrap();
        subject.put(ROOT_SPACE, "small", Keep::Null, data(nth, 500));
        subject.put(ROOT_SPACE, "large", Keep::Null, data(nth, 9_000));
        subject.engine().checkpoint().unwrap();
        subject.engine().maintain().unwrap();
        let more = subject.media().list().unwrap();
        assert!(more.iter().any(|zone| !zones.contains(zone)));
        subject.crash(Survival::Nothing);
        subject.verify().unwrap();
    }
}

#[test]
fn a_seal_that_fails_costs_nothing_and_is_made_up_for_by_the_next_owner() {
    let mut subject = Subject::simulated(3);
    fill(&mut subject, 30);
    subject.media().arm(1, Fault::FailOn(Target::Only(Operation::Seal)));
    for _ in 0..2 {
        subject.engine().maintain().unwrap();
        subject.put(ROOT_SPACE, "more", Keep::Null, data(7, 9_000));
    }
    subject.media().heal();
    subject.verify().unwrap();
    subject.crash(Survival::Nothing);
    subject.engine().maintain().unwrap();
    subject.verify().unwrap();
    subject.engine = None;
    let (sealed, open) = sealed_and_open(&subject.kind);
    assert!(sealed > 5 && open <= 3, "{sealed} sealed, {open} open");
}

#[test]
fn what_lives_in_a_sealed_zone_with_one_header_left_is_moved() {
    for class in [ZoneClass::Data, ZoneClass::Survivor] {
        for copy in 0..2 {
            let mut subject = Subject::simulated(4);
            fill(&mut subject, 60);
            subject.engine().checkpoint().unwrap();
            subject.put(ROOT_SPACE, "last", Keep::Null, data(1, 10));
            subject.engine().checkpoint().unwrap();
            subject.engine().maintain().unwrap();
            let worn = first_sealed(subject.media(), class);
            subject.media().flip_bit(worn, copy * SECTOR_BYTES + 20, 3).unwrap();
            subject.restart();
            assert!(subject.media().list().unwrap().contains(&worn));
            subject.verify().unwrap();
            let done = subject.engine().maintain().unwrap();
            assert!(done.moved_bytes > 0, "{class:?}: {done:?}");
            assert!(!subject.media().list().unwrap().contains(&worn), "{class:?} is emptied");
            subject.verify().unwrap();
            assert_eq!(subject.engine().scrub().unwrap(), []);
        }
    }
}

/// The first sealed zone of a class.
fn first_sealed(media: &SimMedia, class: ZoneClass) -> ZoneId {
    let zones = media.list().unwrap();
    let mut sealed = zones.into_iter().filter(|zone| media.is_sealed(*zone).unwrap());
    sealed.find(|zone| class_of(media, *zone) == Some(class)).unwrap()
}
