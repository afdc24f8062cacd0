//! The format stays what it is: golden bytes, decoders on any bytes, and a store of the first
//! release that every later one must read.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use storage_engine::format::*;
use storage_engine::media::{
    Durability, FileMedia, FileMediaOptions, Media, SeededRandom, SimEnvironment,
};
use storage_engine::*;

use crate::decoders;
use crate::golden::GOLDEN;
use crate::subject::{Kind, Subject, ZONE_BYTES, data, open_on, pages_of, read_pages};

/// Rounds of the bounded run; the fuzz targets go on for as long as they are let.
const ROUNDS: u64 = 4_000;

/// One of each structure, with a different value in every field.
fn samples() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let location = Location { zone: ZoneId(7), offset: 8256, len: 222, crc: 0xAABB_CCDD };
    let extent = |zone| Extent { zone: ZoneId(zone), offset: 8192, len: 70_000, crc: 0x0102_0304 };
    let tags = Extent { zone: ZoneId(9), offset: 78_192, len: 32, crc: 5 };
    let shape = |chunks| BlobShape::new(140_000, chunks);
    let extents = Box::new([extent(8), extent(9)]);
    let place = BlobPlace { shape: shape(ChunkSize::Stream), tags, extents };
    let paged = BlobPlace { shape: shape(ChunkSize::Page), ..place.clone() };
    let retention =
        Some(Retention { mode: RetentionMode::Compliance, until_ms: 1_900_000_000_000 });
    let lock = Lock { retention, legal_hold: LegalHold::On };
    let stamp = Stamp { digest: *b"0123456789abcdef", parts: 3 };
    let head = PutHead {
        space: SpaceId(2),
        sequence: 77,
        time_ms: 1_893_456_000_123,
        size: 5,
        flags: Entry::NULL | Entry::LOCKED,
        label: 4,
        stamp,
        lock: Some(lock),
    };
    let (name, meta): (&[u8], &[u8]) = (b"a name", b"sealed meta");
    let key = [0x6B; WRAPPED_KEY_BYTES];
    let inline = StoredValue::Inline { blob: BlobId(11), key, tag: [0x74; 16], data: b"bytes" };
    let piece = Piece { blob: BlobId(12), len: 140_000, key };
    let blobs = StoredValue::Blobs(vec![piece.clone(), piece]);
    let sequence = 77;
    let space = SpaceId(2);
    let bodies = [
        ("put", RecordBody::Put { head: head.clone(), name, meta, value: inline }),
        ("put of blobs", RecordBody::Put { head: head.clone(), name, meta, value: blobs }),
        ("rewrite", RecordBody::Rewrite { head, name, meta, value: StoredValue::None }),
        ("remove", RecordBody::Remove { space, sequence, name }),
        ("lock", RecordBody::Lock { space, sequence, name, lock }),
        ("create space", RecordBody::CreateSpace { space, key: &key }),
        ("drop space", RecordBody::DropSpace { space }),
        ("blob", RecordBody::Blob { blob: BlobId(12), place: place.clone() }),
        ("blob in pages", RecordBody::Blob { blob: BlobId(13), place: paged.clone() }),
        ("move record", RecordBody::MoveRecord { space, sequence, name, to: location }),
    ];
    let entry = |body| Entry {
        sequence,
        time_ms: 1_893_456_000_123,
        size: 280_000,
        location,
        body,
        stamp,
        label: 4,
        flags: Entry::LOCKED,
    };
    let versions = [
        (Body::Record, None),
        (Body::Blob(BlobId(12)), Some(lock)),
        (Body::Blobs(Box::new(vec![BlobId(12), BlobId(13)])), Some(Lock::default())),
    ];
    let versions: Vec<NamedVersion> = versions
        .into_iter()
        .map(|(body, lock)| {
            let flags = if lock.is_some() { Entry::LOCKED } else { Entry::MARKER };
            NamedVersion { name: name.to_vec(), entry: Entry { flags, ..entry(body) }, lock }
        })
        .collect();
    let root = Root {
        partitions: 1,
        epoch: Epoch(3),
        store: *b"a store's own id",
        created_ms: 1_893_456_000_000,
        zone_ids_end: 1025,
        key: vec![0x6B; 60],
    };
    let zone_header = ZoneHeader {
        class: ZoneClass::Survivor,
        partition: 1,
        zone: ZoneId(7),
        epoch: Epoch(3),
        zone_bytes: 1 << 24,
        first_lsn: Lsn(70),
        ordinal: 2,
        created_ms: 1_893_456_000_000,
        store: *b"a store's own id",
    };
    let batch_header = BatchHeader {
        zone: ZoneId(7),
        epoch: Epoch(3),
        first_lsn: Lsn(77),
        durable_lsn: Lsn(76),
        time_ms: 1_893_456_000_123,
        records: 1,
        len: 222,
        crc: 0x1122_3344,
        previous_crc: 0x5566_7788,
        partition: 1,
    };
    let block = BlockHeader {
        kind: BlockKind::Blobs,
        ordinal: 0,
        zone: ZoneId(7),
        len: 100,
        as_of: Lsn(70),
        crc: 0x1122_3344,
    };
    let numbered = BlockHeader { ordinal: 0x03_0201, ..block };
    let end = CheckpointEnd {
        lsn: Lsn(70),
        replay_zone: ZoneId(7),
        replay_offset: 8192,
        time_ms: 1_893_456_000_123,
        next_space: SpaceId(3),
        zones: 2,
    };
    let record_header = RecordHeader { kind: 3, lsn: Lsn(77), len: 50, crc: 0x1122_3344 };
    let mut samples = vec![
        ("root", "root", root.encode()),
        ("zone header", "zone_header", zone_header.encode()),
        ("batch header", "batch_header", batch_header.encode().to_vec()),
        ("record header", "record", record_header.encode().to_vec()),
        ("block header", "block_header", block.encode().to_vec()),
        ("numbered block header", "block_header", numbered.encode().to_vec()),
        ("checkpoint end", "checkpoint_end", end.encode()),
        ("spaces", "spaces", encode_spaces(&[(space, vec![1; 60]), (SpaceId(9), vec![2; 3])])),
        ("versions", "versions", encode_versions(space, Some(b"bound"), &versions)),
        ("last versions", "versions", encode_versions(space, None, &[])),
        ("blobs", "blobs", encode_blobs(&[(BlobId(12), place), (BlobId(13), paged)])),
    ];
    for (what, body) in bodies {
        let mut bytes = vec![body.kind()];
        encode_body(&body, &mut bytes);
        samples.push((what, "record_body", bytes));
    }
    samples
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}

#[test]
fn every_structure_has_its_golden_bytes() {
    let samples = samples();
    let found: Vec<(&str, String)> =
        samples.iter().map(|(what, _, bytes)| (*what, hex(bytes))).collect();
    if std::env::var("LODESTORE_PRINT_GOLDEN").is_ok() {
        for (what, hex) in &found {
            println!("GOLDEN {what}|{hex}");
        }
    }
    assert_eq!(found.len(), GOLDEN.len());
    for ((what, hex), (name, golden)) in found.iter().zip(GOLDEN) {
        assert_eq!((*what, hex.as_str()), (name, golden));
    }
}

#[test]
fn every_structure_reads_back_and_none_is_read_short() {
    for (_, decoder, bytes) in samples() {
        assert!(decoders::ALL.iter().any(|(name, _)| *name == decoder));
        for len in 0..=bytes.len() {
            decoders::run(decoder, &bytes[..len]);
        }
    }
}

#[test]
fn no_decoder_panics_on_any_bytes() {
    let samples = samples();
    let mut random = SeededRandom::new(1);
    for _ in 0..ROUNDS {
        let (_, _, sample) = &samples[random.position(samples.len())];
        let mut bytes = sample.clone();
        match random.below(4) {
            0 => {
                bytes = vec![0; random.position(300)];
                random.fill(&mut bytes);
            }
            1 => bytes.truncate(random.position(sample.len())),
            2 => bytes.extend_from_within(random.position(sample.len())..),
            _ => {}
        }
        for _ in 0..random.below(4) {
            let at = random.position(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.next_u64() as u8;
            }
        }
        for (decoder, _) in decoders::ALL {
            decoders::run(decoder, &bytes);
        }
    }
}

/// A store as the first release with a format version wrote it.
fn fixture(version: u16) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/v{version}"))
}

/// Copies a folder with the modes a device has: a checkout keeps none.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy_folder(&item.path(), &target);
        } else {
            std::fs::write(&target, std::fs::read(item.path()).unwrap()).unwrap();
            std::fs::set_permissions(&target, PermissionsExt::from_mode(0o600)).unwrap();
        }
    }
    std::fs::set_permissions(to, PermissionsExt::from_mode(0o700)).unwrap();
}

fn fixture_options(directory: &Path) -> FileMediaOptions {
    FileMediaOptions {
        zone_bytes: ZONE_BYTES,
        durability: Durability::Sync,
        capacity_bytes: Some(1 << 20),
        ..FileMediaOptions::new(directory)
    }
}

/// All that a store says of itself, as text.
fn describe(engine: &Engine, spaces: &[u32]) -> String {
    let mut out = String::new();
    for &space in spaces {
        let space = SpaceId(space);
        let (prefix, delimiter) = (Bytes::new(), Bytes::new());
        let scan = VersionScan { prefix, delimiter, after: None, limit: limits::PAGE_MAX };
        for item in engine.scan_versions(space, &scan).unwrap().items {
            let ScanItem::Version { name, entry, newest } = item else { continue };
            let record = block_on(engine.load(space, &name, &entry)).unwrap();
            let content = block_on(record.read(0..u64::MAX).collect()).unwrap();
            // Only a value in pages has a reader of them.
            let pages = block_on(engine.page_reader(&record)).map(|reader| {
                let all: Vec<u32> = (0..reader.pages()).collect();
                assert_eq!(read_pages(&reader, &all).unwrap(), pages_of(&content, &all));
                format!(" pages {}", all.len())
            });
            writeln!(
                out,
                "{space} {} {} {} flags {} label {} size {} stamp {}-{} lock {:?} meta {} crc {:08x} {newest}{}",
                String::from_utf8_lossy(&name),
                entry.sequence,
                entry.time_ms,
                entry.flags,
                entry.label,
                entry.size,
                hex(&entry.stamp.digest),
                entry.stamp.parts,
                engine.lock_of(&entry),
                hex(&record.meta),
                crc32fast::hash(&content),
                pages.unwrap_or_default(),
            )
            .unwrap();
        }
    }
    out
}

#[test]
fn a_hold_that_the_first_format_did_not_tell_from_none_is_off() {
    let lock = |hold: u8| {
        let mut bytes = vec![1, hold];
        bytes.extend(7_u64.to_le_bytes());
        let body = [&2_u32.to_le_bytes()[..], &77_u64.to_le_bytes(), &bytes, b"a name"].concat();
        match RecordBody::decode(4, &body) {
            Ok(RecordBody::Lock { lock, .. }) => Some(lock.legal_hold),
            _ => None,
        }
    };
    let holds = [Some(LegalHold::Off), Some(LegalHold::On), Some(LegalHold::NeverSet), None];
    assert_eq!([0, 1, 2, 3].map(lock), holds);
}

#[test]
fn yesterdays_data_is_read_exactly() {
    if std::env::var_os("LODESTORE_WRITE_FIXTURE").is_some() {
        write_the_fixture();
    }
    for version in 1..=FORMAT_VERSION {
        read_the_fixture(version);
    }
}

fn read_the_fixture(version: u16) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    copy_folder(&fixture(version).join("store"), &store);
    let expected = std::fs::read_to_string(fixture(version).join("content.txt")).unwrap();
    let environment = Arc::new(SimEnvironment::new(99));
    {
        let media = Arc::new(FileMedia::open(&fixture_options(&store)).unwrap());
        let report = check(media.as_ref(), &PlainMasterKey::new([7; 32])).unwrap();
        assert_eq!(report.corruptions, []);
        let engine = open_on(&environment, media).unwrap();
        assert_eq!(describe(&engine, &[0, 1, 2]), expected);
        assert_eq!(engine.scrub().unwrap(), []);
        block_on(engine.close()).unwrap();
    }
    // And once more, after this release wrote to it and sealed what the first one left open.
    let media: Arc<dyn Media> = Arc::new(FileMedia::open(&fixture_options(&store)).unwrap());
    let zones = media.list().unwrap();
    let sealed = zones.iter().filter(|zone| media.is_sealed(**zone).unwrap()).count();
    assert!(sealed > 0 && sealed < zones.len(), "{sealed} of {} zones are sealed", zones.len());
    let engine = open_on(&environment, media).unwrap();
    assert_eq!(describe(&engine, &[0, 1, 2]), expected);
}

/// Writes the store of this release anew; only for a new format version.
fn write_the_fixture() {
    use crate::reference::{Change, Plan};
    let fixture = fixture(FORMAT_VERSION);
    let store = fixture.join("store");
    let _absent = std::fs::remove_dir_all(&fixture).is_err();
    std::fs::create_dir_all(&store).unwrap();
    let options = fixture_options(&store);
    let media: Arc<dyn Media> = Arc::new(FileMedia::open(&options).unwrap());
    let _folder = tempfile::tempdir().unwrap();
    let mut subject = Subject::on(2026, Kind::Files { options, _folder }, media);
    let (one, two) = (subject.space(), subject.space());
    for (nth, len) in [0, 1, 700, 2_048, 2_049, 9_000].into_iter().enumerate() {
        subject.put(one, &format!("k{nth}"), Keep::Null, data(nth as u64, len));
    }
    subject.put(one, "k2", Keep::All, data(20, 300));
    let pages = crate::subject::Source::Fresh(Placement::Pages);
    for (name, len) in [("pages", 70_000), ("no pages", 0)] {
        let content = Some(subject.write(one, data(24, len), &pages).unwrap());
        let name = Bytes::from_static(name.as_bytes());
        let put = Change::Put { space: one, name, keep: Keep::Null, content, lock: None };
        subject.commit(Plan { conditions: vec![], changes: vec![put] }).unwrap();
    }
    subject.put(two, "a/b", Keep::All, data(21, 300));
    subject.put(two, "a/b", Keep::All, data(22, 5_000));
    subject.put(ROOT_SPACE, "root", Keep::Null, data(23, 30));
    assert!(subject.engine().checkpoint().unwrap());
    let name = Bytes::from_static(b"a/b");
    let sequence = subject.reference.newest(two, &name).unwrap().sequence;
    let copies = crate::subject::Source::Copies(vec![
        (two, name.clone(), sequence),
        (one, Bytes::from_static(b"k5"), subject.reference.newest(one, b"k5").unwrap().sequence),
    ]);
    let joined: Arc<[u8]> = [&data(22, 5_000)[..], &data(5, 9_000)[..]].concat().into();
    let content = Some(subject.write(one, joined, &copies).unwrap());
    let retention =
        Some(Retention { mode: RetentionMode::Compliance, until_ms: 4_000_000_000_000 });
    let lock = Some(Lock { retention, legal_hold: LegalHold::On });
    let joined = Bytes::from_static(b"joined");
    let marker = Bytes::from_static(b"k0");
    let which = Which::Sequence(sequence);
    let meta = Bytes::from_static(b"other meta");
    let changes = vec![
        Change::Put { space: one, name: joined, keep: Keep::All, content, lock },
        Change::Put { space: one, name: marker, keep: Keep::All, content: None, lock: None },
        Change::Remove {
            space: one,
            name: Bytes::from_static(b"k1"),
            which: Which::Null,
            bypass: Bypass::None,
        },
        Change::Rewrite { space: two, name: name.clone(), sequence, meta, label: 9 },
    ];
    subject.commit(Plan { conditions: vec![], changes }).unwrap();
    let (change, bypass) = (LockChange::LegalHold(true), Bypass::None);
    let set = Change::SetLock { space: two, name, which, change, bypass };
    subject.commit(Plan { conditions: vec![], changes: vec![set] }).unwrap();
    for legal_hold in [LegalHold::NeverSet, LegalHold::Off] {
        let name = Bytes::from(format!("hold {legal_hold:?}"));
        let lock = Some(Lock { retention, legal_hold });
        let marker = Change::Put { space: two, name, keep: Keep::All, content: None, lock };
        subject.commit(Plan { conditions: vec![], changes: vec![marker] }).unwrap();
    }
    subject.verify().unwrap();
    std::fs::write(fixture.join("content.txt"), describe(subject.engine(), &[0, 1, 2])).unwrap();
    subject.engine = None;
    let _gone = std::fs::remove_file(store.join("LOCK")).is_ok();
}
