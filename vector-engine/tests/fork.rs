//! Forks of an index: all its rows, for the price of its records, and each on its own from then on.

use futures::executor::block_on;
use serde_json::json;
use storage_engine::media::{History, SeededRandom, SimMedia, Survival};
use storage_engine::{Batch, Operation, PlainMasterKey, SpaceId};
use vector_engine::{EngineOptions, Error, Metric, NewRow, Owner};

use crate::model::for_each_seed;
use crate::reference::{Reference, metadata};
use crate::subject::{Subject, row, rows, settings, small_segments};

fn commit(subject: &Subject, operations: Vec<Operation>) {
    block_on(subject.engine.commit(Batch { conditions: Vec::new(), operations })).unwrap();
}

fn space_beside(subject: &Subject) -> SpaceId {
    let space = subject.engine.reserve_space();
    commit(subject, vec![Operation::CreateSpace(space)]);
    space
}

fn fork_into(subject: &Subject, to: SpaceId) -> Result<(), Error> {
    block_on(subject.index.fork(to, |operations| async move {
        let batch = Batch { conditions: Vec::new(), operations };
        subject.engine.commit(batch).await?;
        Ok(())
    }))
}

fn forked(subject: &Subject) -> Subject {
    let to = space_beside(subject);
    fork_into(subject, to).unwrap();
    subject.reopened(to, subject.reference.clone())
}

/// Both indexes of a store, after it was started anew from `media`.
fn both_resumed(pair: &[Subject; 2], seed: u64, media: SimMedia) -> [Subject; 2] {
    let first = pair[0].resumed(seed, media, pair[0].reference.clone());
    let second = first.reopened(pair[1].space, pair[1].reference.clone());
    [first, second]
}

fn change(subject: &mut Subject, random: &mut SeededRandom) {
    let dimension = subject.settings.dimension;
    match random.below(10) {
        0..5 => {
            let count = 1 + random.position(30);
            let rows = rows(random, dimension, 300, count);
            subject.put(rows);
        }
        5..8 => {
            let first = random.below(290);
            subject.delete((first..first + 10).map(|key| format!("key {key}")).collect());
        }
        8 => subject.index.maintain().unwrap(),
        _ => subject.index.seal().unwrap(),
    }
}

#[test]
fn both_go_on_by_themselves_through_seals_compactions_restarts_and_crashes() {
    for_each_seed(12, |seed| {
        let mut random = SeededRandom::new(seed ^ 0xf04c);
        let dimension = 1 + random.position(20);
        let mut subject =
            Subject::new(seed, settings(dimension, Metric::Euclidean), small_segments());
        for _ in 0..random.position(25) {
            change(&mut subject, &mut random);
        }
        let fork = forked(&subject);
        fork.verify(&mut random).unwrap();
        let mut pair = [subject, fork];
        for _ in 0..40 {
            match random.below(20) {
                0 => pair = both_resumed(&pair, seed, pair[0].media.restart()),
                1 => {
                    let survival = Survival::Some(random.next_u64());
                    pair = both_resumed(&pair, seed, pair[0].media.crash(survival));
                }
                _ => change(&mut pair[random.position(2)], &mut random),
            }
            if random.percent(25) {
                pair.iter().for_each(|subject| subject.verify(&mut random).unwrap());
            }
        }
        // Whichever goes, the other stays whole, and may be forked again.
        let goes = random.position(2);
        let (gone, stays) = (&pair[goes], &pair[1 - goes]);
        commit(gone, vec![Operation::ClearSpace(gone.space)]);
        gone.vectors.forget(gone.space);
        stays.verify(&mut random).unwrap();
        stays.index.seal().unwrap();
        let again = forked(stays);
        let media = again.media.crash(Survival::Nothing);
        for subject in both_resumed(&[stays.clone(), again], seed, media) {
            subject.verify(&mut random).unwrap();
            let media = subject.media.as_ref();
            let report = storage_engine::check(media, &PlainMasterKey::new([7; 32])).unwrap();
            assert_eq!(report.corruptions, []);
        }
    });
}

#[test]
fn a_fork_moves_no_vector_and_is_found_in_at_once() {
    let mut random = SeededRandom::new(1);
    let options = EngineOptions { growing_rows_max: 1000, ..small_segments() };
    let mut subject = Subject::new(1, settings(256, Metric::Cosine), options);
    subject.media.set_capacity(256 << 20);
    for batch in 0..22 {
        let rows = (0..100).map(|nth| {
            let (key, row) = (format!("key {}", batch * 100 + nth), row(&mut random, 256, 1));
            NewRow { key, ..row }
        });
        let rows = rows.collect();
        subject.put(rows);
        subject.index.maintain().unwrap();
    }
    subject.delete((0..50).map(|nth| format!("key {}", nth * 30)).collect());
    let stats = subject.index.stats();
    assert!(stats.sealed_segments == 2 && stats.growing_rows > 0 && stats.dead_rows > 0);
    let vector_bytes = stats.rows * 256 * 4;
    let to = space_beside(&subject);
    let before = subject.engine.stats().device_written_bytes;
    fork_into(&subject, to).unwrap();
    let written = subject.engine.stats().device_written_bytes - before;
    println!("{written} bytes written for {vector_bytes} bytes of vectors");
    assert!(written * 20 < vector_bytes, "{written} bytes of {vector_bytes}");
    let fork = subject.reopened(to, subject.reference.clone());
    assert_eq!(fork.index.stats(), subject.index.stats());
    fork.verify(&mut random).unwrap();
}

#[test]
fn very_many_writes_and_large_records_fit_a_fork_as_well() {
    for (writes, dimension) in [(1100, 2), (40, 3500)] {
        let mut random = SeededRandom::new(2);
        let mut subject = Subject::new(
            2,
            settings(dimension, Metric::Euclidean),
            EngineOptions { background: false, ..EngineOptions::default() },
        );
        for nth in 0..writes {
            let rows = (0..3).map(|twin| NewRow {
                key: format!("key {nth}/{twin}"),
                ..row(&mut random, dimension, 1)
            });
            let rows = rows.collect();
            subject.put(rows);
        }
        let fork = forked(&subject);
        assert_eq!(subject.index.stats().growing_rows, 0, "{writes} writes were sealed");
        fork.verify(&mut random).unwrap();
        subject.verify(&mut random).unwrap();
    }
}

#[test]
fn a_fork_that_is_cut_off_is_not_there_at_all() {
    let mut random = SeededRandom::new(3);
    let mut subject = Subject::new(3, settings(3, Metric::Euclidean), small_segments());
    for _ in 0..8 {
        change(&mut subject, &mut random);
    }
    subject.put(rows(&mut random, 3, 300, 30));
    let to = space_beside(&subject);
    let media = std::sync::Arc::clone(&subject.media);
    media.set_history(History::EveryChange);
    let began = media.changes();
    fork_into(&subject, to).unwrap();
    let acknowledged = media.changes();
    let mut fork = subject.reopened(to, subject.reference.clone());
    fork.put(rows(&mut random, 3, 300, 3));
    let (mut without, mut with) = (0, 0);
    for moment in media.take_crash_points() {
        for survival in [Survival::Nothing, Survival::Some(moment.changes)] {
            let media = SimMedia::after_crash(&moment, survival);
            let found = subject.resumed(moment.changes, media, subject.reference.clone());
            found.verify(&mut random).unwrap();
            if found.engine.is_empty(to).unwrap() {
                without += 1;
                assert!(moment.changes < acknowledged, "lost after {}", moment.changes);
                continue;
            }
            with += 1;
            assert!(moment.changes >= began);
            let fork_before = found.reopened(to, subject.reference.clone());
            let fork_after = found.reopened(to, fork.reference.clone());
            let whole = [&fork_before, &fork_after].map(|fork| fork.verify(&mut random));
            assert!(whole.iter().any(Result::is_ok), "{whole:?}");
        }
    }
    assert!(without > 0 && with > 0, "{without} without, {with} with the fork");
}

#[test]
fn an_index_that_is_gone_or_has_rows_of_owners_is_not_forked() {
    let mut random = SeededRandom::new(4);
    let subject = Subject::new(4, settings(3, Metric::Euclidean), small_segments());
    let owned =
        NewRow { key: "bound".into(), vector: vec![1.0; 3], metadata: metadata(&json!({})) };
    let owner = Owner([1; 16]);
    let bind = |key: &str| {
        let rows = vec![NewRow { key: key.into(), ..owned.clone() }];
        block_on(subject.index.write_owned(owner, rows, Batch::default())).unwrap();
    };
    let unbind = |key: &str| {
        let keys = vec![key.to_owned()];
        block_on(subject.index.delete_owned(owner, keys, Batch::default())).unwrap();
    };
    let to = space_beside(&subject);
    bind("bound");
    for sealed in [false, true] {
        if sealed {
            subject.index.seal().unwrap();
        }
        assert!(matches!(fork_into(&subject, to), Err(Error::Conflict(_))));
        assert!(subject.engine.is_empty(to).unwrap());
    }
    unbind("bound");
    fork_into(&subject, to).unwrap();
    subject.reopened(to, Reference::default()).verify(&mut random).unwrap();
    subject.vectors.forget(subject.space);
    assert!(matches!(fork_into(&subject, space_beside(&subject)), Err(Error::NotFound)));
}
