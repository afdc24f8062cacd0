//! Background work on a device that rots or lies: it goes on with what is whole, and finds the rest.

use bytes::Bytes;
use futures::executor::block_on;
use storage_engine::format::{ZONE_DATA_OFFSET, ZoneClass};
use storage_engine::media::{Fault, Media, SECTOR_BYTES, Survival, Target};
use storage_engine::*;

use crate::device::class_of;
use crate::subject::{Subject, ZONE_BYTES, data};

#[test]
fn a_rotten_zone_keeps_no_other_from_being_emptied() {
    // The value that is kept first lies in the first zone of records, the third of extents.
    for (len, class, nth) in [(900, ZoneClass::Journal, 0), (9_000, ZoneClass::Data, 2)] {
        let mut subject = Subject::simulated(11);
        let space = subject.space();
        for round in 0..24 {
            for nth in 0..10 {
                subject.put(space, &format!("churn{nth}"), Keep::Null, data(nth + round, len));
            }
            subject.put(space, &format!("kept{round}"), Keep::Null, data(round, len));
        }
        for name in ["more", "and more"] {
            subject.engine().checkpoint().unwrap();
            subject.put(space, name, Keep::Null, data(1, 10));
        }
        subject.engine().checkpoint().unwrap();
        let media = subject.media();
        let zones = media.list().unwrap().into_iter();
        let rotten = zones.filter(|zone| class_of(media, *zone) == Some(class)).nth(nth).unwrap();
        for offset in (ZONE_DATA_OFFSET..ZONE_BYTES).step_by(SECTOR_BYTES as usize) {
            media.flip_bit(rotten, offset + 100, 3).unwrap();
        }
        let before = subject.engine().stats().zone_total_bytes;
        for _ in 0..3 {
            subject.engine().maintain().unwrap();
        }
        let stats = subject.engine().stats();
        assert!(stats.zone_total_bytes < before / 3, "{class:?}: {before} to {stats:?}");
        let corruptions = stats.corruptions;
        assert!(corruptions > 0, "{class:?}");
        subject.engine().maintain().unwrap();
        let again = subject.engine().stats().corruptions;
        assert_eq!(again, corruptions, "{class:?}: what cannot be read is not tried for ever");
        let read = |round: u64| {
            let name = Bytes::from(format!("kept{round}"));
            let entry = subject.engine().current(space, &name).unwrap().unwrap();
            block_on(async {
                let record = subject.engine().load(space, &name, &entry).await?;
                record.read(0..u64::MAX).collect().await
            })
        };
        let mut lost = 0;
        for round in 0..24 {
            match read(round) {
                Ok(content) => assert!(content[..] == data(round, len)[..], "{class:?} {round}"),
                Err(Error::Corrupt(found)) => {
                    assert_eq!(found.zone, Some(rotten), "{class:?} {round}: {found:?}");
                    lost += 1;
                }
                Err(other) => panic!("{class:?} {round}: {other}"),
            }
        }
        assert!((1..8).contains(&lost), "{class:?}: {lost} of 24 lay in one zone");
    }
}

#[test]
fn scrub_finds_what_only_a_cache_still_holds() {
    for len in [900, 9_000] {
        let mut subject = Subject::simulated(12);
        let space = subject.space();
        subject.put(space, "before", Keep::Null, data(1, len));
        subject.media().arm(1, Fault::LoseWrite);
        subject.put(space, "lost", Keep::Null, data(2, len));
        assert!(!subject.media().has_armed(), "{len}: no write was lost");
        subject.put(space, "after", Keep::Null, data(3, len));
        subject.verify().unwrap();
        assert_ne!(subject.engine().scrub().unwrap(), [], "{len} bytes");
    }
}

#[test]
fn a_checkpoint_after_an_unfinished_one_is_the_one_that_counts() {
    let mut subject = Subject::simulated(13);
    let space = subject.space();
    for nth in 0..400 {
        subject.put(space, &format!("k{nth}"), Keep::Null, data(nth, 20));
    }
    for nth in 2..9 {
        let media = subject.media().restart();
        let mut cut = Subject::resumed(1, media, subject.reference.clone()).unwrap();
        cut.media().arm(nth, Fault::FailOn(Target::AnyChange));
        assert!(cut.engine().checkpoint().is_err(), "{nth} changes were enough");
        cut.crash(Survival::Everything);
        // Nothing is committed in between: the second try is as of the same LSN.
        cut.engine().checkpoint().unwrap();
        cut.crash(Survival::Everything);
        cut.verify().unwrap();
        let records = cut.engine().stats().recovery_records;
        assert!(records < 10, "cut at change {nth}: {records} records replayed");
    }
}
