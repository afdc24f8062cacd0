//! The catalog on a real engine over a simulated device, with a real view in a real directory.

use std::path::Path;
use std::time::Duration;

use storage_engine::media::{Fault, Operation as On, SimEnvironment, SimMedia, SimOptions};
use storage_engine::media::{Survival, Target};
use storage_engine::{Options, PlainMasterKey, SpaceId};

use super::*;

/// A store with its device in reach, and a directory that outlives it.
struct Store {
    media: Arc<SimMedia>,
    engine: Engine,
    catalog: Catalog,
    /// Reads of the device that opening the catalog took.
    reads: u64,
}

impl Store {
    async fn new(view: &Path) -> Self {
        let options = SimOptions { zone_bytes: 4 << 20, ..SimOptions::default() };
        Self::open(SimMedia::new(&options), view).await
    }

    async fn open(media: SimMedia, view: &Path) -> Self {
        let media = Arc::new(media);
        let environment = Arc::new(SimEnvironment::new(1));
        let key = Arc::new(PlainMasterKey::new([7; 32]));
        let device = Arc::<SimMedia>::clone(&media);
        let engine = Engine::open(environment, device, key, Options::default()).unwrap();
        let before = media.reads();
        let catalog = Catalog::open(engine.clone(), Some(view.to_owned())).await.unwrap();
        let reads = media.reads() - before;
        Self { media, engine, catalog, reads }
    }

    /// Closes the view, takes the power away and opens what is left, with whatever view is there.
    async fn reopen(self, view: &Path) -> Self {
        self.catalog.close().await;
        let media = self.media.crash(Survival::Nothing);
        Self::open(media, view).await
    }

    async fn put(&self, name: &str, expect: Expect, bytes: &str) -> Result<CatalogRecord> {
        self.catalog.change(change(name, expect, Some(bytes))).await
    }

    async fn delete(&self, name: &str) -> Result<CatalogRecord> {
        let sequence = self.catalog.get(Kind::Bucket, name).unwrap().sequence;
        self.catalog.change(change(name, Expect::Sequence(sequence), None)).await
    }

    /// Every bucket with its content.
    fn shown(&self) -> Vec<(String, String)> {
        let records = self.catalog.list(Kind::Bucket, None, usize::MAX).into_iter();
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        records.map(|record| (record.name, text(record.bytes))).collect()
    }
}

fn change(name: &str, expect: Expect, bytes: Option<&str>) -> Change {
    Change {
        kind: Kind::Bucket,
        name: name.to_owned(),
        expect,
        bytes: bytes.map(|bytes| Bytes::copy_from_slice(bytes.as_bytes())),
        conditions: Vec::new(),
        operations: Vec::new(),
    }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, bytes)| ((*name).to_owned(), (*bytes).to_owned())).collect()
}

fn failed_condition<T: fmt::Debug>(result: Result<T>) -> usize {
    match result {
        Err(Error::Condition { index, .. }) => index,
        other => panic!("expected a refused condition, found {other:?}"),
    }
}

#[tokio::test]
async fn what_a_change_returned_is_shown_and_survives_a_power_cut() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path()).await;
    let first = store.put("a", Expect::Absent, "one").await.unwrap();
    assert_eq!(store.catalog.get(Kind::Bucket, "a"), Some(first.clone()));
    let second = store.put("a", Expect::Sequence(first.sequence), "two").await.unwrap();
    assert!(second.sequence > first.sequence);
    store.put("b", Expect::Absent, "gone").await.unwrap();
    assert_eq!(store.delete("b").await.unwrap().bytes, "gone");
    let store = store.reopen(folder.path()).await;
    assert_eq!(store.catalog.get(Kind::Bucket, "a"), Some(second));
    assert_eq!(store.shown(), pairs(&[("a", "two")]));
}

#[tokio::test]
async fn an_expectation_that_does_not_hold_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path()).await;
    let first = store.put("a", Expect::Absent, "one").await.unwrap();
    store.put("a", Expect::Sequence(first.sequence), "two").await.unwrap();
    assert_eq!(failed_condition(store.put("a", Expect::Absent, "x").await), 0);
    let stale = Expect::Sequence(first.sequence);
    assert_eq!(failed_condition(store.put("a", stale, "x").await), 0);
    assert_eq!(failed_condition(store.catalog.change(change("a", stale, None)).await), 0);
    assert_eq!(failed_condition(store.put("none", stale, "x").await), 0);
    let impossible = store.catalog.change(change("none", Expect::Absent, None)).await;
    assert!(matches!(impossible, Err(Error::Invalid(_))));
    assert_eq!(store.shown(), pairs(&[("a", "two")]));
    assert_eq!(store.reopen(folder.path()).await.shown(), pairs(&[("a", "two")]));
}

#[tokio::test]
async fn what_goes_with_a_change_happens_with_it_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path()).await;
    let [kept, refused] = [(); 2].map(|()| store.engine.reserve_space());
    let with = |name: &str, space: SpaceId, test: Test| Change {
        conditions: vec![Condition {
            space: ROOT_SPACE,
            name: Kind::Bucket.record_name("guard"),
            test,
        }],
        operations: vec![Operation::CreateSpace(space)],
        ..change(name, Expect::Absent, Some("x"))
    };
    store.catalog.change(with("kept", kept, Test::Absent)).await.unwrap();
    let result = store.catalog.change(with("refused", refused, Test::Present)).await;
    assert_eq!(failed_condition(result), 1);
    let store = store.reopen(folder.path()).await;
    assert_eq!(store.shown(), pairs(&[("kept", "x")]));
    assert!(store.engine.is_empty(kept).unwrap());
    assert!(store.engine.is_empty(refused).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_changes_of_one_record_lose_nothing_and_show_in_order() {
    const WRITERS: u64 = 16;
    const ADDITIONS: u64 = 20;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path()).await;
    store.put("count", Expect::Absent, "0").await.unwrap();
    let catalog = store.catalog.clone();
    let watcher = tokio::spawn(async move {
        let mut last = 0;
        loop {
            let record = catalog.get(Kind::Bucket, "count").unwrap();
            assert!(record.sequence >= last, "an older state was shown after a newer one");
            last = record.sequence;
            if record.bytes == (WRITERS * ADDITIONS).to_string() {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let catalog = store.catalog.clone();
            tokio::spawn(async move {
                let mut added = 0;
                while added < ADDITIONS {
                    let record = catalog.get(Kind::Bucket, "count").unwrap();
                    let count: u64 = std::str::from_utf8(&record.bytes).unwrap().parse().unwrap();
                    let expect = Expect::Sequence(record.sequence);
                    let next = (count + 1).to_string();
                    match catalog.change(change("count", expect, Some(&next))).await {
                        Ok(_) => added += 1,
                        Err(Error::Condition { index: 0, .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    watcher.await.unwrap();
    let total = (WRITERS * ADDITIONS).to_string();
    assert_eq!(store.reopen(folder.path()).await.shown(), pairs(&[("count", &total)]));
}

#[tokio::test]
async fn a_change_that_nobody_waits_for_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path()).await;
    {
        let mut begun = Box::pin(store.put("a", Expect::Absent, "one"));
        assert!(futures::poll!(begun.as_mut()).is_pending());
    }
    let shown = async {
        while store.catalog.get(Kind::Bucket, "a").is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), shown).await.unwrap();
    assert_eq!(store.reopen(folder.path()).await.shown(), pairs(&[("a", "one")]));
}

#[tokio::test]
async fn a_change_that_did_not_become_durable_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path()).await;
    store.put("a", Expect::Absent, "one").await.unwrap();
    store.media.arm(1, Fault::FailOn(Target::Only(On::Sync)));
    let sequence = store.catalog.get(Kind::Bucket, "a").unwrap().sequence;
    let failed = store.put("a", Expect::Sequence(sequence), "two").await;
    assert!(matches!(failed, Err(Error::Stopped { .. })), "{failed:?}");
    assert!(store.put("b", Expect::Absent, "new").await.is_err());
    assert_eq!(store.shown(), pairs(&[("a", "one")]));
    assert_eq!(store.reopen(folder.path()).await.shown(), pairs(&[("a", "one")]));
}

#[tokio::test]
async fn a_view_in_order_spares_the_reads_and_large_records_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path()).await;
    for number in 0..50 {
        store.put(&format!("bucket-{number}"), Expect::Absent, "x").await.unwrap();
    }
    let store = store.reopen(folder.path()).await;
    assert_eq!((store.shown().len(), store.reads), (50, 0));
    let large = "x".repeat(limits::ROW_BYTES_MAX);
    store.put("large", Expect::Absent, &large).await.unwrap();
    let store = store.reopen(folder.path()).await;
    assert!(store.reads > 0, "a row above the limit was kept in the view");
    assert_eq!(store.catalog.get(Kind::Bucket, "large").unwrap().bytes, large);
}

#[tokio::test]
async fn no_view_can_change_what_is_shown_and_each_is_put_right() {
    for wrong in [Wrong::Missing, Wrong::Stale, Wrong::Foreign, Wrong::Damaged, Wrong::ForeignRows]
    {
        let parent = tempfile::tempdir().unwrap();
        let view = parent.path().join("view");
        let store = Store::new(&view).await;
        for name in ["changed", "deleted", "same"] {
            store.put(name, Expect::Absent, "old").await.unwrap();
        }
        let store = store.reopen(&view).await;
        store.catalog.close().await;
        let stale = parent.path().join("stale");
        copy(&view, &stale);
        let sequence = store.catalog.get(Kind::Bucket, "changed").unwrap().sequence;
        store.put("changed", Expect::Sequence(sequence), "new").await.unwrap();
        store.delete("deleted").await.unwrap();
        store.put("added", Expect::Absent, "new").await.unwrap();
        wrong.inflict(&view, &stale).await;
        let expected = pairs(&[("added", "new"), ("changed", "new"), ("same", "old")]);
        let store = Store::open(store.media.crash(Survival::Nothing), &view).await;
        assert_eq!(store.shown(), expected, "{wrong:?}");
        let store = store.reopen(&view).await;
        assert_eq!((store.shown(), store.reads), (expected, 0), "{wrong:?} was not put right");
    }
}

#[tokio::test]
async fn many_records_come_back_page_by_page() {
    const COUNT: usize = 2_500;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path()).await;
    for number in 0..COUNT {
        let name = format!("bucket-{number:05}");
        store.put(&name, Expect::Absent, &name).await.unwrap();
    }
    let setting = Change { kind: Kind::Setting, ..change("s", Expect::Absent, Some("1")) };
    store.catalog.change(setting).await.unwrap();
    let media = store.media.crash(Survival::Nothing);
    let store = Store::open(media, &folder.path().join("none")).await;
    let shown = store.shown();
    assert_eq!(shown.len(), COUNT);
    assert!(shown.is_sorted() && shown.iter().all(|(name, bytes)| name == bytes));
    let page = store.catalog.list(Kind::Bucket, Some("bucket-00999"), 2);
    let names: Vec<String> = page.into_iter().map(|record| record.name).collect();
    assert_eq!(names, ["bucket-01000", "bucket-01001"]);
    // A walk over all goes on from page to page.
    let all: Vec<String> = store.catalog.all(Kind::Bucket).map(|record| record.name).collect();
    assert!(all.len() > 2 * super::limits::PAGE_RECORDS && all.is_sorted_by(|a, b| a < b));
    assert_eq!(all.len(), store.catalog.list(Kind::Bucket, None, usize::MAX).len());
}

/// What can be wrong with a view.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    /// It is not there.
    Missing,
    /// It is as it was before the last changes.
    Stale,
    /// It belongs to another store, with the same names and sequences.
    Foreign,
    /// Its file is noise.
    Damaged,
    /// It is no view, but a database of somebody else.
    ForeignRows,
}

impl Wrong {
    async fn inflict(self, view: &Path, stale: &Path) {
        std::fs::remove_dir_all(view).unwrap();
        match self {
            Self::Missing => {}
            Self::Stale => copy(stale, view),
            Self::Foreign => {
                let other = Store::new(view).await;
                for name in ["changed", "deleted", "same", "added"] {
                    other.put(name, Expect::Absent, "foreign").await.unwrap();
                }
                other.catalog.close().await;
            }
            Self::Damaged => {
                copy(stale, view);
                let file = view.join("db");
                let length = std::fs::metadata(&file).unwrap().len();
                std::fs::write(&file, vec![0xA5; usize::try_from(length).unwrap()]).unwrap();
            }
            Self::ForeignRows => {
                let database = sled::open(view).unwrap();
                database.insert("bucket/same", b"\xffanother layout").unwrap();
                database.insert("stranger", b"x").unwrap();
                database.flush().unwrap();
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}
