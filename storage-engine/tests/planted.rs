//! Tests of the tests: each bug planted here must make the checkers of the other suites fail.

use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use parking_lot::Mutex;
use storage_engine::format::{
    BATCH_HEADER_BYTES, BatchHeader, RecordBody, RecordHeader, StoredValue, ZONE_DATA_OFFSET,
    ZoneClass, salt_header,
};
use storage_engine::media::{
    Capacity, Fault, Media, MediaCounters, SECTOR_BYTES, Sector, SimEnvironment, SimMedia, Survival,
};
use storage_engine::*;

use crate::device::{batch_header, class_of, pass_on, salt_of};
use crate::reference::{Asked, Change, Plan, Refusal};
use crate::subject::{Kind, Subject, ZONE_BYTES, data, open_on, sim_options, verify};

/// What the crash suite's checker says after a loss of power.
fn verdict(subject: &Subject, survival: Survival) -> Result<(), String> {
    let left = subject.media().crash(survival);
    let again = Subject::resumed(1, left, subject.reference.clone());
    again.map_err(|error| error.to_string())?.verify()
}

/// A store with some acknowledged history, and one more commit whose `nth` operation is struck.
fn commit_under(fault: Fault, nth: u64, len: usize, seed: u64) -> Subject {
    let mut subject = Subject::simulated(seed);
    for (name, len) in [("a", 800), ("b", 9_000), ("c", 800)] {
        subject.put(ROOT_SPACE, name, Keep::Null, data(1, len));
    }
    subject.media().arm(nth, fault);
    subject.put(ROOT_SPACE, "d", Keep::Null, data(2, len));
    assert!(!subject.media().has_armed());
    subject
}

// A small value is one journal write and its sync; a large one is a data write, its sync, and those.
const STRIKES: [(u64, usize); 3] = [(1, 800), (1, 9_000), (2, 9_000)];

#[test]
fn a_skipped_sync_is_noticed() {
    for (nth, len) in STRIKES {
        let subject = commit_under(Fault::SkipSync, nth, len, 1);
        assert!(verdict(&subject, Survival::Nothing).is_err(), "sync {nth} of {len} bytes");
    }
}

#[test]
fn a_lost_write_is_noticed() {
    for (nth, len) in STRIKES {
        let subject = commit_under(Fault::LoseWrite, nth, len, 1);
        assert!(verdict(&subject, Survival::Everything).is_err(), "write {nth} of {len} bytes");
    }
}

#[test]
fn a_torn_or_misdirected_write_is_noticed() {
    for fault in [Fault::TearWrite, Fault::MisdirectWrite] {
        for (nth, len) in STRIKES {
            let noticed = (1..9).filter(|&seed| {
                let subject = commit_under(fault, nth, len, seed);
                verdict(&subject, Survival::Everything).is_err()
            });
            // A tear may keep all that matters, and any place may be the right one.
            let noticed = noticed.count();
            assert!(noticed >= 2, "{fault:?} of write {nth} of {len} bytes: {noticed} of 8");
        }
    }
}

#[test]
fn a_changed_byte_is_noticed() {
    let mut subject = Subject::simulated(1);
    subject.put(ROOT_SPACE, "a", Keep::Null, data(1, 800));
    let entry = subject.engine().current(ROOT_SPACE, b"a").unwrap().unwrap();
    let offset = u64::from(entry.location.offset) + 100;
    subject.media().flip_bit(entry.location.zone, offset, 4).unwrap();
    assert!(subject.verify().is_err());
}

/// The batches of the first journal zone: place, header, all bytes.
fn batches(media: &SimMedia, zone: ZoneId) -> Vec<(u64, BatchHeader, Vec<u8>)> {
    let salt = salt_of(media);
    let mut found = Vec::new();
    let mut offset = ZONE_DATA_OFFSET;
    while offset + SECTOR_BYTES <= ZONE_BYTES {
        let mut bytes = vec![0; BATCH_HEADER_BYTES];
        media.read(zone, offset, &mut bytes).unwrap();
        let Some(header) = batch_header(&bytes, salt) else { break };
        if header.zone != zone {
            break;
        }
        bytes.resize(header.padded_bytes() as usize, 0);
        media.read(zone, offset, &mut bytes).unwrap();
        found.push((offset, header, bytes));
        offset += header.padded_bytes();
    }
    found
}

/// Puts a batch behind the tail.
fn plant(media: &SimMedia, zone: ZoneId, offset: u64, header: &BatchHeader, bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    let mut encoded = header.encode();
    salt_header(&mut encoded, salt_of(media));
    bytes[..BATCH_HEADER_BYTES].copy_from_slice(&encoded);
    for (nth, piece) in bytes.chunks(SECTOR_BYTES as usize).enumerate() {
        let at = offset + nth as u64 * SECTOR_BYTES;
        media.overwrite(zone, at, |to| to.copy_from_slice(piece)).unwrap();
    }
}

#[test]
fn a_stale_batch_is_not_replayed_and_would_be_noticed() {
    let mut subject = Subject::simulated(4);
    subject.put(ROOT_SPACE, "gone", Keep::Null, data(1, 500));
    let zone = subject.media().list().unwrap()[0];
    subject.remove(ROOT_SPACE, "gone");
    let all = batches(subject.media(), zone);
    let (_, put, bytes) = all.iter().find(|(_, header, _)| header.len > 500).unwrap().clone();
    let (last_at, last, last_bytes) = all.last().unwrap().clone();
    let tail = last_at + last.padded_bytes();
    let mut crc = [0; 4];
    crc.copy_from_slice(&last_bytes[BATCH_HEADER_BYTES - 4..BATCH_HEADER_BYTES]);
    salt_header(&mut crc, salt_of(subject.media()));
    let fits = BatchHeader {
        first_lsn: Lsn(last.first_lsn.0 + u64::from(last.records)),
        previous_crc: u32::from_le_bytes(crc),
        epoch: Epoch(2),
        ..put
    };
    // A batch of a former life says another zone, another LSN or another predecessor: it is not
    // replayed. One that says all as it should is; then the checker sees the dead come back.
    let stale = [
        (put, false),
        (BatchHeader { zone: ZoneId(999), ..fits }, false),
        (BatchHeader { first_lsn: put.first_lsn, ..fits }, false),
        (BatchHeader { previous_crc: put.previous_crc, ..fits }, false),
        (BatchHeader { epoch: Epoch(900), ..fits }, false),
        (fits, true),
    ];
    for (header, comes_back) in stale {
        let media = subject.media().fork();
        plant(&media, zone, tail, &header, &bytes);
        let again = Subject::resumed(1, media, subject.reference.clone()).unwrap();
        assert_eq!(again.verify().is_err(), comes_back, "{header:?}");
    }
}

/// What a broken medium does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plant {
    /// Every owner may write.
    IgnoreEpochs,
    /// A sync is acknowledged before it is done, and done at the next one.
    SyncLate,
    /// Deleting a zone deletes a live one as well.
    DeleteMore,
}

struct Broken {
    media: Arc<SimMedia>,
    plant: Plant,
    late: Mutex<Option<ZoneId>>,
}

impl Broken {
    fn under(seed: u64, plant: Plant) -> (Subject, Arc<dyn Media>) {
        let media = Arc::new(SimMedia::new(&sim_options(seed)));
        let kind = Kind::Simulated(Arc::clone(&media));
        let broken: Arc<dyn Media> = Arc::new(Self { media, plant, late: Mutex::default() });
        (Subject::on(seed, kind, Arc::clone(&broken)), broken)
    }

    fn epoch(&self, epoch: Epoch) -> Epoch {
        if self.plant == Plant::IgnoreEpochs { Epoch(1) } else { epoch }
    }
}

impl Media for Broken {
    pass_on! {
        zone_bytes() -> u64;
        root() -> Result<Option<Vec<u8>>>;
        list() -> Result<Vec<ZoneId>>;
        read(zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<()>;
        read_cached(zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<bool>;
        read_uncached(zone: ZoneId, offset: u64, out: &mut [Sector]) -> Result<()>;
        is_sealed(zone: ZoneId) -> Result<bool>;
        capacity() -> Result<Capacity>;
        counters() -> MediaCounters;
        durability() -> &'static str;
    }

    fn replace_root(&self, epoch: Epoch, bytes: &[u8]) -> Result<()> {
        self.media.replace_root(self.epoch(epoch), bytes)
    }

    fn create(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        self.media.create(self.epoch(epoch), zone)
    }

    fn write(&self, epoch: Epoch, zone: ZoneId, offset: u64, data: &[Sector]) -> Result<()> {
        self.media.write(self.epoch(epoch), zone, offset, data)
    }

    fn sync(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        let epoch = self.epoch(epoch);
        if self.plant != Plant::SyncLate {
            return self.media.sync(epoch, zone);
        }
        match self.late.lock().replace(zone) {
            Some(before) if before != zone => self.media.sync(epoch, before),
            _ => Ok(()),
        }
    }

    fn seal(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        self.media.seal(self.epoch(epoch), zone)
    }

    fn delete(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        self.media.delete(epoch, zone)?;
        let zones = self.media.list()?;
        let data = zones.iter().find(|&&zone| class_of(&self.media, zone) == Some(ZoneClass::Data));
        match data {
            Some(&live) if self.plant == Plant::DeleteMore => self.media.delete(epoch, live),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_medium_that_ignores_epochs_is_noticed() {
    let (mut first, broken) = Broken::under(1, Plant::IgnoreEpochs);
    first.put(ROOT_SPACE, "before", Keep::Null, data(1, 500));
    let environment = Arc::clone(&first.environment);
    let engine = Some(open_on(&environment, broken).unwrap());
    let kind = Kind::Simulated(Arc::clone(first.media()));
    let reference = first.reference.clone();
    let mut second = Subject { environment, kind, engine, reference };
    // Both believe that they own the device, and both are told that their write is durable.
    second.put(ROOT_SPACE, "of the second", Keep::Null, data(3, 500));
    first.put(ROOT_SPACE, "of the first", Keep::Null, data(2, 500));
    let left = Arc::new(first.media().restart());
    let Ok(engine) = open_on(&first.environment, left) else { return };
    let held = |name: &[u8]| matches!(engine.current(ROOT_SPACE, name), Ok(Some(_)));
    assert!(!held(b"of the first") || !held(b"of the second"));
}

#[test]
fn an_early_acknowledgement_is_noticed() {
    let (mut subject, _) = Broken::under(2, Plant::SyncLate);
    subject.put(ROOT_SPACE, "a", Keep::Null, data(1, 500));
    assert!(verdict(&subject, Survival::Nothing).is_err());
}

#[test]
fn reclaiming_a_zone_that_serves_is_noticed() {
    let (mut subject, _) = Broken::under(3, Plant::DeleteMore);
    for nth in 0..30 {
        subject.put(ROOT_SPACE, &format!("k{}", nth % 3), Keep::Null, data(nth, 12_000));
    }
    subject.put(ROOT_SPACE, "kept", Keep::Null, data(99, 12_000));
    let noticed = subject.engine().maintain().is_err();
    assert!(noticed || subject.verify().is_err());
}

#[test]
fn a_reader_keeps_what_it_reads() {
    let mut subject = Subject::simulated(5);
    let content = data(1, 140_000);
    subject.put(ROOT_SPACE, "read", Keep::Null, Arc::clone(&content));
    let entry = subject.engine().current(ROOT_SPACE, b"read").unwrap().unwrap();
    let name = Bytes::from_static(b"read");
    let record = block_on(subject.engine().load(ROOT_SPACE, &name, &entry)).unwrap();
    let reader = record.read(0..u64::MAX);
    subject.remove(ROOT_SPACE, "read");
    let before = subject.engine().maintain().unwrap().zones_freed;
    assert_eq!(block_on(reader.collect()).unwrap()[..], content[..]);
    drop(record);
    let after = subject.engine().maintain().unwrap().zones_freed;
    assert!(after > before, "{before} then {after}: the zones go once nobody reads");
}

#[test]
fn a_forgotten_condition_is_noticed() {
    let mut subject = Subject::simulated(6);
    subject.put(ROOT_SPACE, "there", Keep::Null, data(1, 10));
    let mut plan = subject.plan_put(ROOT_SPACE, "new", Keep::Null, data(2, 10));
    let name = Bytes::from_static(b"there");
    plan.conditions.push((ROOT_SPACE, name, Asked::Plain(Test::Absent)));
    let expected = subject.reference.decide(&plan);
    assert!(matches!(expected, Err(Refusal::Condition { index: 0, .. })));
    // An engine that forgets the condition says yes, and its index differs from the model's.
    let forgetful = Batch { conditions: vec![], ..subject.batch(&plan) };
    assert!(block_on(subject.engine().commit(forgetful)).is_ok());
    assert!(subject.verify().is_err());
}

#[test]
fn a_forgotten_lock_is_noticed() {
    let mut subject = Subject::simulated(6);
    let mut plan = subject.plan_put(ROOT_SPACE, "locked", Keep::Null, data(1, 10));
    if let Some(Change::Put { lock, .. }) = plan.changes.first_mut() {
        *lock = Some(Lock { retention: None, legal_hold: LegalHold::On });
    }
    subject.commit(plan).unwrap();
    // The model forgets it: the engine's refusal then differs from the model's answer.
    let name = Bytes::from_static(b"locked");
    let (which, bypass) = (Which::Null, Bypass::None);
    let remove = Change::Remove { space: ROOT_SPACE, name, which, bypass };
    let remove = Plan { conditions: vec![], changes: vec![remove] };
    assert_eq!(subject.commit(remove.clone()), Err(Refusal::Locked));
    let versions = subject.reference.spaces.get_mut(&ROOT_SPACE).unwrap();
    versions.get_mut(&b"locked"[..]).unwrap()[0].lock = None;
    assert_eq!(subject.reference.decide(&remove), Ok(()));
    assert!(subject.verify().is_err());
}

/// Every nonce that seals something in the journal, under which key, must be there once.
fn repeated_nonces(media: &SimMedia) -> usize {
    let mut seen = std::collections::HashSet::new();
    let mut repeated = 0;
    let mut note = |what: &'static str, space: SpaceId, nonce: &[u8]| {
        repeated += usize::from(!seen.insert((what, space, nonce[..12].to_vec())));
    };
    for zone in media.list().unwrap() {
        for (_, header, bytes) in batches(media, zone) {
            let mut rest = &bytes[BATCH_HEADER_BYTES..][..header.len as usize];
            while let Ok((record, body)) = RecordHeader::decode_record(rest) {
                rest = &rest[record.len as usize..];
                let RecordBody::Put { head, meta, value, .. } = body else { continue };
                note("metadata", head.space, meta);
                match value {
                    StoredValue::Inline { key, .. } => note("key", head.space, &key),
                    StoredValue::Blobs(pieces) => {
                        pieces.iter().for_each(|piece| note("key", head.space, &piece.key));
                    }
                    StoredValue::None => {}
                }
            }
        }
    }
    repeated
}

#[test]
fn a_repeated_nonce_is_noticed() {
    for repeats in [false, true] {
        let mut subject = Subject::simulated(7);
        for round in 0..4 {
            for nth in 0..4 {
                let len = 400 + nth * 1_000;
                subject.put(ROOT_SPACE, &format!("k{nth}"), Keep::Null, data(1, len as usize));
            }
            // Randomness that starts over at every start.
            let seed = if repeats { 1_000 } else { 1_000 + round };
            subject.environment = Arc::new(SimEnvironment::new(seed));
            subject.restart();
        }
        assert_eq!(repeated_nonces(subject.media()) > 0, repeats);
        verify(subject.engine(), &subject.reference).unwrap();
    }
}
