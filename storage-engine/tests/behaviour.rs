//! What the engine does for its owner, on a simulated device and on files.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use storage_engine::media::{
    Durability, FileMedia, FileMediaOptions, Media, SimEnvironment, SimMedia, SimOptions,
};
use storage_engine::*;

/// A store that can be closed and opened again.
struct Store {
    environment: Arc<SimEnvironment>,
    kind: Kind,
    engine: Option<Engine>,
}

enum Kind {
    Simulated(Arc<SimMedia>),
    Files { options: FileMediaOptions, _folder: tempfile::TempDir },
}

const ZONE_BYTES: u64 = 256 * 1024;

impl Store {
    fn simulated() -> Self {
        let options = SimOptions { zone_bytes: ZONE_BYTES, ..SimOptions::default() };
        Self::with(Kind::Simulated(Arc::new(SimMedia::new(&options))))
    }

    fn files() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = FileMediaOptions {
            zone_bytes: ZONE_BYTES,
            durability: Durability::Sync,
            capacity_bytes: Some(64 << 20),
            ..FileMediaOptions::new(folder.path())
        };
        Self::with(Kind::Files { options, _folder: folder })
    }

    fn with(kind: Kind) -> Self {
        let environment = Arc::new(SimEnvironment::new(1));
        let mut store = Self { environment, kind, engine: None };
        store.open();
        store
    }

    fn open(&mut self) {
        let media: Arc<dyn Media> = match &self.kind {
            Kind::Simulated(media) => Arc::clone(media) as Arc<dyn Media>,
            Kind::Files { options, .. } => Arc::new(FileMedia::open(options).unwrap()),
        };
        let master = Arc::new(PlainMasterKey::new([7; 32]));
        let environment = Arc::clone(&self.environment) as Arc<dyn Environment>;
        self.engine = Some(Engine::open(environment, media, master, Options::default()).unwrap());
    }

    /// Ends the process without a word and starts it again.
    fn reopen(&mut self) {
        self.engine = None;
        if let Kind::Simulated(media) = &mut self.kind {
            *media = Arc::new(media.restart());
        }
        self.open();
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn space(&self) -> SpaceId {
        let space = self.engine().reserve_space();
        self.commit(vec![Operation::CreateSpace(space)]).unwrap();
        space
    }

    fn commit(&self, operations: Vec<Operation>) -> Result<Vec<Outcome>> {
        block_on(self.engine().commit(Batch { conditions: vec![], operations }))
    }

    fn put(&self, space: SpaceId, name: &str, keep: Keep, data: &[u8]) -> Outcome {
        let value = block_on(async {
            let len = Some(data.len() as u64);
            let mut writer = self.engine().writer(space, Placement::Auto, len).unwrap();
            writer.write(Bytes::copy_from_slice(data)).await.unwrap();
            writer.finish().await.unwrap()
        });
        let content = Content::Value {
            value,
            meta: Bytes::from(format!("meta of {name}")),
            stamp: stamp(data),
            label: 3,
        };
        let name = Bytes::copy_from_slice(name.as_bytes());
        let put = Put { space, name, keep, content, lock: None };
        self.commit(vec![Operation::Put(put)]).unwrap().remove(0)
    }

    fn read(&self, space: SpaceId, name: &str) -> Option<Vec<u8>> {
        let entry = self.engine().current(space, name.as_bytes()).unwrap()?;
        Some(self.read_entry(space, name, &entry, 0..u64::MAX))
    }

    fn read_entry(
        &self,
        space: SpaceId,
        name: &str,
        entry: &Entry,
        range: std::ops::Range<u64>,
    ) -> Vec<u8> {
        let name = Bytes::copy_from_slice(name.as_bytes());
        let record = block_on(self.engine().load(space, &name, entry)).unwrap();
        assert_eq!(record.meta, format!("meta of {}", String::from_utf8_lossy(&name)));
        let read = block_on(record.read(range.clone()).collect()).unwrap();
        let again = block_on(record.into_reader(range).collect()).unwrap();
        assert_eq!(again, read, "the record's own bytes are those of a copy");
        read.to_vec()
    }
}

fn stamp(data: &[u8]) -> Stamp {
    let mut digest = [0; 16];
    digest[..4].copy_from_slice(&crc32fast::hash(data).to_le_bytes());
    Stamp { digest, parts: 0 }
}

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i as u64 * 31 + u64::from(seed) + (i as u64 >> 8)) as u8).collect()
}

macro_rules! on_both {
    ($($check:ident,)*) => {
        mod simulated {
            $(#[test] fn $check() { super::$check(super::Store::simulated()); })*
        }
        mod files {
            $(#[test] fn $check() { super::$check(super::Store::files()); })*
        }
    };
}

on_both! {
    values_of_every_size_read_back_whole_and_in_ranges,
    listings_fold_at_the_delimiter_and_page,
    versions_stack_and_the_newest_is_current,
    a_condition_holds_back_the_whole_batch,
    reclaim_moves_what_lives_and_frees_the_rest,
    copies_and_joins_move_no_data,
    a_loaded_record_reads_on_when_its_version_goes,
    a_lock_binds_until_its_time,
}

fn values_of_every_size_read_back_whole_and_in_ranges(mut store: Store) {
    let space = store.space();
    let sizes = [0, 1, 4096, 65_535, 65_536, 65_537, 200_000, 1 << 20, 3_000_001];
    for (i, &size) in sizes.iter().enumerate() {
        store.put(space, &format!("k{i}"), Keep::Null, &bytes(size, i as u8));
    }
    for round in 0..3 {
        for (i, &size) in sizes.iter().enumerate() {
            let name = format!("k{i}");
            let expected = bytes(size, i as u8);
            assert_eq!(store.read(space, &name).unwrap(), expected, "size {size} round {round}");
            let entry = store.engine().current(space, name.as_bytes()).unwrap().unwrap();
            for (from, to) in [(0, 1), (1, 70_000), (65_535, 65_537), (size / 2, size)] {
                let (from, to) = (from.min(size), to.min(size).max(from.min(size)));
                let got = store.read_entry(space, &name, &entry, from as u64..to as u64);
                assert_eq!(got, expected[from..to], "size {size} range {from}..{to}");
            }
        }
        if round == 1 {
            store.engine().checkpoint().unwrap();
        }
        store.reopen();
    }
    assert_eq!(store.engine().scrub().unwrap(), vec![]);
}

fn listings_fold_at_the_delimiter_and_page(store: Store) {
    let space = store.space();
    for name in ["a", "a/1", "a/2", "a/b/3", "b", "c/", "c/x", "d\u{10ffff}"] {
        store.put(space, name, Keep::Null, b"x");
    }
    let list = |prefix: &str, delimiter: &str, from: Bound<&str>, limit| {
        let scan = Scan {
            prefix: Bytes::copy_from_slice(prefix.as_bytes()),
            delimiter: Bytes::copy_from_slice(delimiter.as_bytes()),
            from: from.map(|s| Bytes::copy_from_slice(s.as_bytes())),
            limit,
        };
        let page = store.engine().scan(space, &scan).unwrap();
        let items: Vec<String> = page
            .items
            .into_iter()
            .map(|item| match item {
                ScanItem::Version { name, .. } => String::from_utf8(name.to_vec()).unwrap(),
                ScanItem::Prefix(prefix) => format!("[{}]", String::from_utf8_lossy(&prefix)),
            })
            .collect();
        (items.join(" "), page.more)
    };
    for (prefix, delimiter, from, limit, expected, more) in [
        ("", "", Bound::Unbounded, 100, "a a/1 a/2 a/b/3 b c/ c/x d\u{10ffff}", false),
        ("", "/", Bound::Unbounded, 100, "a [a/] b [c/] d\u{10ffff}", false),
        ("", "/", Bound::Unbounded, 2, "a [a/]", true),
        ("", "/", Bound::Excluded("a/"), 2, "b [c/]", true),
        ("a/", "/", Bound::Unbounded, 100, "a/1 a/2 [a/b/]", false),
        ("a/", "/", Bound::Excluded("a/1"), 100, "a/2 [a/b/]", false),
        ("c", "", Bound::Excluded("c/"), 100, "c/x", false),
        ("zz", "/", Bound::Unbounded, 100, "", false),
    ] {
        let got = list(prefix, delimiter, from, limit);
        assert_eq!(got, (expected.to_owned(), more), "{prefix} {delimiter} {from:?} {limit}");
    }
}

fn versions_stack_and_the_newest_is_current(mut store: Store) {
    let space = store.space();
    let first = store.put(space, "k", Keep::Null, b"null");
    let second = store.put(space, "k", Keep::All, b"two");
    let name = Bytes::from_static(b"k");
    let marker =
        Put { space, name: name.clone(), keep: Keep::All, content: Content::Marker, lock: None };
    let marker = store.commit(vec![Operation::Put(marker)]).unwrap().remove(0);
    assert_eq!(store.read(space, "k"), None);
    let remove = |which| {
        Operation::Remove(Remove { space, name: name.clone(), which, bypass: Bypass::None })
    };
    store.reopen();
    assert!(store.engine().newest(space, b"k").unwrap().unwrap().is_marker());
    store.commit(vec![remove(Which::Sequence(marker.sequence))]).unwrap();
    assert_eq!(store.read(space, "k").unwrap(), b"two");
    let third = store.put(space, "k", Keep::Null, b"null again");
    assert_eq!(third.removed.unwrap().sequence, first.sequence);
    store.commit(vec![remove(Which::Null)]).unwrap();
    assert_eq!(store.read(space, "k").unwrap(), b"two");
    store.reopen();
    store.commit(vec![remove(Which::Sequence(second.sequence))]).unwrap();
    assert!(store.engine().is_empty(space).unwrap());
    let gone = store.commit(vec![remove(Which::Sequence(second.sequence))]);
    assert!(matches!(gone, Err(Error::NotFound(Missing::Version))), "{gone:?}");
    store.commit(vec![Operation::DropSpace(space)]).unwrap();
}

fn a_condition_holds_back_the_whole_batch(store: Store) {
    let space = store.space();
    store.put(space, "there", Keep::Null, b"1");
    let put = |name: &'static str| {
        let content = Content::Value {
            value: Value::empty(),
            meta: Bytes::new(),
            stamp: Stamp::default(),
            label: 0,
        };
        let name = Bytes::from_static(name.as_bytes());
        Operation::Put(Put { space, name, keep: Keep::Null, content, lock: None })
    };
    let condition = |name: &'static str, test| Condition {
        space,
        name: Bytes::from_static(name.as_bytes()),
        test,
    };
    let batch = Batch {
        conditions: vec![condition("new", Test::Absent), condition("there", Test::Absent)],
        operations: vec![put("new")],
    };
    let refused = block_on(store.engine().commit(batch));
    assert!(matches!(refused, Err(Error::Condition { index: 1, found: Some(_) })), "{refused:?}");
    assert_eq!(store.engine().current(space, b"new").unwrap(), None);
    let batches = (0..10)
        .map(|_| Batch {
            conditions: vec![condition("once", Test::Absent)],
            operations: vec![put("once")],
        })
        .collect();
    let results = block_on(store.engine().commit_all(batches));
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
}

fn reclaim_moves_what_lives_and_frees_the_rest(mut store: Store) {
    let space = store.space();
    for round in 0..30_u8 {
        for i in 0..8 {
            store.put(space, &format!("small{i}"), Keep::Null, &bytes(9_000, round));
        }
        store.put(space, "large", Keep::Null, &bytes(150_000, round));
        store.put(space, &format!("kept{round}"), Keep::Null, &bytes(10_000, round));
    }
    let before = store.engine().stats().zone_total_bytes;
    store.engine().checkpoint().unwrap();
    store.put(space, "more", Keep::Null, b"x");
    store.engine().checkpoint().unwrap();
    let done = store.engine().maintain().unwrap();
    assert!(done.zones_freed > 10 && done.moved_bytes > 0, "{done:?}");
    assert!(store.engine().stats().zone_total_bytes < before / 2);
    store.reopen();
    for round in 0..30_u8 {
        assert_eq!(store.read(space, &format!("kept{round}")).unwrap(), bytes(10_000, round));
    }
    assert_eq!(store.read(space, "large").unwrap(), bytes(150_000, 29));
    assert_eq!(store.engine().scrub().unwrap(), vec![]);
}

fn copies_and_joins_move_no_data(mut store: Store) {
    let (from, to) = (store.space(), store.space());
    let data = bytes(300_000, 5);
    store.put(from, "a", Keep::Null, &data);
    let name = Bytes::from_static(b"a");
    let entry = store.engine().current(from, b"a").unwrap().unwrap();
    let record = block_on(store.engine().load(from, &name, &entry)).unwrap();
    let sealed = Sealed { space: from, value: record.value() };
    drop(record);
    let written = store.engine().stats().device_written_bytes;
    let value = store.engine().adopt(to, &[sealed.clone(), sealed]).unwrap();
    assert_eq!(value.size(), 600_000);
    let meta = Bytes::from_static(b"meta of joined");
    let content = Content::Value { value, meta, stamp: Stamp::default(), label: 0 };
    let name = Bytes::from_static(b"joined");
    let put = Put { space: to, name, keep: Keep::Null, content, lock: None };
    store.commit(vec![Operation::Put(put)]).unwrap();
    assert!(store.engine().stats().device_written_bytes - written <= 8192);
    store.commit(vec![Operation::ClearSpace(from)]).unwrap();
    store.reopen();
    let joined = store.read(to, "joined").unwrap();
    assert_eq!(joined, [data.clone(), data].concat());
    store.commit(vec![Operation::ClearSpace(to)]).unwrap();
    assert_eq!(store.engine().stats().blobs, 0);
}

fn a_loaded_record_reads_on_when_its_version_goes(store: Store) {
    let engine = store.engine();
    let key = Bytes::from_static(b"k");
    for (len, whole_space_goes) in
        [(1_000, false), (200_000, false), (1_000, true), (200_000, true)]
    {
        let space = store.space();
        store.put(space, "k", Keep::Null, &bytes(len, 1));
        let entry = engine.current(space, &key).unwrap().unwrap();
        let record = block_on(engine.load(space, &key, &entry)).unwrap();
        if whole_space_goes {
            store.commit(vec![Operation::ClearSpace(space)]).unwrap();
        } else {
            store.put(space, "k", Keep::Null, &bytes(len, 2));
        }
        engine.checkpoint().unwrap();
        engine.maintain().unwrap();
        let read = block_on(record.read(0..u64::MAX).collect()).unwrap();
        assert!(read == bytes(len, 1), "{len} bytes, space goes: {whole_space_goes}");
    }
}

fn a_lock_binds_until_its_time(mut store: Store) {
    let space = store.space();
    let put = store.put(space, "k", Keep::All, b"x");
    let name = Bytes::from_static(b"k");
    let until_ms = store.environment.now_ms() + 10_000;
    let lock = |until_ms, mode| {
        Operation::SetLock(SetLock {
            space,
            name: name.clone(),
            which: Which::Sequence(put.sequence),
            change: LockChange::Retention(Some(Retention { mode, until_ms })),
            bypass: Bypass::Governance,
        })
    };
    let remove = || {
        let which = Which::Sequence(put.sequence);
        Operation::Remove(Remove { space, name: name.clone(), which, bypass: Bypass::Governance })
    };
    store.commit(vec![lock(until_ms, RetentionMode::Compliance)]).unwrap();
    store.engine().checkpoint().unwrap();
    store.reopen();
    for refused in [
        remove(),
        lock(until_ms - 1, RetentionMode::Compliance),
        lock(until_ms, RetentionMode::Governance),
        Operation::ClearSpace(space),
    ] {
        let result = store.commit(vec![refused]);
        assert!(matches!(result, Err(Error::Locked { .. })), "{result:?}");
    }
    store.environment.advance(std::time::Duration::from_secs(11));
    store.put(space, "time passes", Keep::All, b"x");
    store.environment.set_now_ms(until_ms - 5_000);
    store.commit(vec![remove()]).unwrap();
    assert_eq!(store.read(space, "k"), None);
}
