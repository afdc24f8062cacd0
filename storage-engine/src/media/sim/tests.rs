//! That the simulator breaks what it is told to break, and nothing else.

use super::*;

const EPOCH: Epoch = Epoch(1);
const ZONE: ZoneId = ZoneId(1);

fn sector(byte: u8) -> Sector {
    Sector([byte; SECTOR_BYTES as usize])
}

fn device() -> SimMedia {
    let media = SimMedia::new(&SimOptions { zone_bytes: 64 * 1024, ..SimOptions::default() });
    media.create(EPOCH, ZONE).unwrap();
    media
}

fn first_bytes(media: &SimMedia, sectors: usize) -> Vec<u8> {
    let mut out = vec![0; sectors * SECTOR_BYTES as usize];
    media.read(ZONE, 0, &mut out).unwrap();
    out
}

#[test]
fn a_crash_keeps_what_was_synced_and_a_choice_of_the_rest() {
    let mut kept_whole = 0;
    let mut torn = 0;
    for seed in 0..500 {
        let media = device();
        media.write(EPOCH, ZONE, 0, &[sector(1)]).unwrap();
        media.sync(EPOCH, ZONE).unwrap();
        media.write(EPOCH, ZONE, SECTOR_BYTES, &[sector(2), sector(3)]).unwrap();
        let media = media.crash(Survival::Some(seed));
        let bytes = first_bytes(&media, 3);
        assert!(bytes[..4096].iter().all(|b| *b == 1), "seed {seed} lost what was synced");
        for (piece, written) in bytes[4096..].chunks(512).zip([[2; 8], [3; 8]].concat()) {
            let one = piece.iter().all(|b| *b == 0) || piece.iter().all(|b| *b == written);
            assert!(one, "seed {seed} tore a piece");
        }
        let second = &bytes[4096..8192];
        kept_whole += u32::from(second.iter().all(|b| *b == 2));
        torn += u32::from(second.contains(&0) && second.contains(&2));
    }
    assert!(kept_whole > 100 && torn > 50, "{kept_whole} whole, {torn} torn");
}

#[test]
fn both_ends_of_survival() {
    for (survival, byte) in [(Survival::Nothing, 0), (Survival::Everything, 9)] {
        let media = device();
        media.write(EPOCH, ZONE, 0, &[sector(9)]).unwrap();
        let left = media.crash(survival);
        assert_eq!(first_bytes(&left, 1), vec![byte; 4096]);
        assert!(media.read(ZONE, 0, &mut [0]).is_err(), "a device without power answered");
    }
}

#[test]
fn a_restart_loses_nothing_but_what_a_failed_sync_left() {
    let media = device();
    media.write(EPOCH, ZONE, 0, &[sector(9)]).unwrap();
    let media = media.restart().crash(Survival::Nothing);
    assert_eq!(first_bytes(&media, 1), [9; 4096]);
    let mut lost = false;
    for seed in 0..50 {
        let media = SimMedia::new(&SimOptions { seed, ..SimOptions::default() });
        media.create(EPOCH, ZONE).unwrap();
        media.write(EPOCH, ZONE, 0, &[sector(9)]).unwrap();
        media.arm(1, Fault::Fail(Target::Only(Operation::Sync)));
        assert!(media.sync(EPOCH, ZONE).is_err());
        lost |= first_bytes(&media.restart(), 1) != [9; 4096];
    }
    assert!(lost);
}

#[test]
fn a_crash_may_forget_a_seal_and_nothing_that_it_covered() {
    let mut forgotten = 0;
    for seed in 0..20 {
        let media = device();
        media.write(EPOCH, ZONE, 0, &[sector(9)]).unwrap();
        media.seal(EPOCH, ZONE).unwrap();
        let left = media.restart();
        assert!(left.is_sealed(ZONE).unwrap());
        let left = left.crash(Survival::Some(seed));
        assert_eq!(first_bytes(&left, 1), [9; 4096]);
        forgotten += u32::from(!left.is_sealed(ZONE).unwrap());
    }
    assert!((1..20).contains(&forgotten), "{forgotten} of 20");
}

#[test]
fn each_fault_strikes_once_and_in_its_turn() {
    let media = device();
    media.arm(2, Fault::Fail(Target::Only(Operation::Write)));
    media.write(EPOCH, ZONE, 0, &[sector(1)]).unwrap();
    assert!(media.has_armed());
    assert!(media.write(EPOCH, ZONE, 0, &[sector(2); 4]).is_err());
    assert!(!media.has_armed());
    media.write(EPOCH, ZONE, 0, &[sector(3)]).unwrap();
    media.arm(1, Fault::FailOn(Target::AnyChange));
    assert!(media.sync(EPOCH, ZONE).is_err());
    assert!(media.seal(EPOCH, ZONE).is_err());
    assert!(media.read(ZONE, 0, &mut [0]).is_ok());
    media.heal();
    assert!(media.seal(EPOCH, ZONE).is_ok());
}

#[test]
fn a_lost_write_is_seen_only_in_the_cache() {
    let media = device();
    media.arm(1, Fault::LoseWrite);
    media.write(EPOCH, ZONE, 0, &[sector(9)]).unwrap();
    media.sync(EPOCH, ZONE).unwrap();
    assert_eq!(first_bytes(&media, 1), [9; 4096]);
    let mut out = [sector(1)];
    media.read_uncached(ZONE, 0, &mut out).unwrap();
    assert_eq!(out[0].0, [0; 4096]);
    assert_eq!(first_bytes(&media.crash(Survival::Everything), 1), [0; 4096]);
}

#[test]
fn a_skipped_sync_makes_nothing_durable() {
    let media = device();
    media.arm(1, Fault::SkipSync);
    media.write(EPOCH, ZONE, 0, &[sector(9)]).unwrap();
    media.sync(EPOCH, ZONE).unwrap();
    assert_eq!(first_bytes(&media.crash(Survival::Nothing), 1), [0; 4096]);
}

#[test]
fn a_misdirected_write_lands_elsewhere() {
    let mut elsewhere = 0;
    for seed in 0..20 {
        let media = SimMedia::new(&SimOptions { seed, ..SimOptions::default() });
        media.create(EPOCH, ZONE).unwrap();
        media.arm(1, Fault::MisdirectWrite);
        media.write(EPOCH, ZONE, 0, &[sector(9)]).unwrap();
        let bytes = first_bytes(&media, 16);
        elsewhere += usize::from(bytes[..4096] == [0; 4096]);
    }
    assert!(elsewhere > 10);
}

#[test]
fn a_flipped_bit_is_one_bit() {
    let media = device();
    media.write(EPOCH, ZONE, 0, &[sector(0)]).unwrap();
    media.flip_bit(ZONE, 100, 3).unwrap();
    let bytes = first_bytes(&media, 1);
    assert_eq!(bytes.iter().map(|b| b.count_ones()).sum::<u32>(), 1);
    assert_eq!(bytes[100], 8);
}

#[test]
fn a_zone_may_hold_its_former_life() {
    let mut stale = 0;
    for seed in 0..20 {
        let media = SimMedia::new(&SimOptions { seed, ..SimOptions::default() });
        media.create(EPOCH, ZoneId(7)).unwrap();
        media.write(EPOCH, ZoneId(7), 0, &[sector(7)]).unwrap();
        media.sync(EPOCH, ZoneId(7)).unwrap();
        media.delete(EPOCH, ZoneId(7)).unwrap();
        media.create(EPOCH, ZONE).unwrap();
        stale += usize::from(first_bytes(&media, 1) == [7; 4096]);
    }
    assert!((1..20).contains(&stale), "{stale} of 20");
}

#[test]
fn crash_points_follow_every_change() {
    let options = SimOptions { history: History::EveryChange, ..SimOptions::default() };
    let media = SimMedia::new(&options);
    media.create(EPOCH, ZONE).unwrap();
    for byte in 1..=3 {
        media.write(EPOCH, ZONE, 0, &[sector(byte)]).unwrap();
        media.sync(EPOCH, ZONE).unwrap();
    }
    let points = media.take_crash_points();
    assert_eq!(points.iter().map(|p| p.changes).collect::<Vec<_>>(), (0..=7).collect::<Vec<_>>());
    for (changes, byte) in [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (6, 2), (7, 3)] {
        let left = SimMedia::after_crash(&points[changes], Survival::Nothing);
        assert_eq!(first_bytes(&left, 1), vec![byte; 4096], "after {changes} changes");
    }
}

#[test]
fn a_seed_replays_a_run() {
    let run = |seed| {
        let media = SimMedia::new(&SimOptions { seed, ..SimOptions::default() });
        media.create(EPOCH, ZONE).unwrap();
        media.arm(1, Fault::TearWrite);
        media.write(EPOCH, ZONE, 0, &[sector(5); 4]).unwrap();
        first_bytes(&media.crash(Survival::Some(seed)), 4)
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn a_deletion_that_failed_can_be_tried_again_and_may_show_after_a_crash() {
    let mut gone = 0;
    for seed in 0..20 {
        let media = device();
        media.arm(1, Fault::Fail(Target::Only(Operation::Delete)));
        assert!(media.delete(EPOCH, ZONE).is_err());
        assert_eq!(media.list().unwrap(), [ZONE]);
        let left = media.crash(Survival::Some(seed));
        gone += left.list().unwrap().is_empty() as u32;
    }
    assert!((1..20).contains(&gone), "{gone} of 20");
    let media = device();
    media.arm(1, Fault::Fail(Target::Only(Operation::Delete)));
    assert!(media.delete(EPOCH, ZONE).is_err());
    media.delete(EPOCH, ZONE).unwrap();
    assert_eq!(media.list().unwrap(), []);
}
