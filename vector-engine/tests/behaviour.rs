//! What the owner of an index relies on, on files and with the threads of a real process.

use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use serde_json::json;
use storage_engine::media::{FileMedia, FileMediaOptions, Media, SeededRandom};
use storage_engine::{
    Batch, Bypass, Content, Engine, Environment, Keep, Operation, Options, PlainMasterKey, Put,
    SpaceId, Stamp, SystemEnvironment, Value,
};
use vector_engine::*;

use crate::reference::{filter, metadata};
use crate::subject::{Subject, row, rows, settings, small_segments, vector};

/// A store on files in a folder of its own.
struct Files {
    folder: tempfile::TempDir,
    engine: Option<Engine>,
    vectors: Option<VectorEngine>,
    recall_probe: QueryShare,
    space: SpaceId,
}

impl Files {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (recall_probe, space) = (QueryShare::NONE, SpaceId(0));
        let mut files = Self { folder, engine: None, vectors: None, recall_probe, space };
        files.open();
        files.space = files.engine.as_ref().unwrap().reserve_space();
        let operations = vec![Operation::CreateSpace(files.space)];
        let made = Batch { conditions: Vec::new(), operations };
        files.engine.as_ref().unwrap().commit(made).await.unwrap();
        files
    }

    /// The device, once the tasks of an earlier engine have let go of it.
    fn media(&self, options: &FileMediaOptions) -> FileMedia {
        for _ in 0..500 {
            match FileMedia::open(options) {
                Err(storage_engine::Error::Io { during: "lock the device directory", .. }) => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                opened => return opened.unwrap(),
            }
        }
        panic!("an earlier engine still holds the device")
    }

    fn open(&mut self) {
        let options = FileMediaOptions {
            zone_bytes: 1 << 20,
            capacity_bytes: Some(512 << 20),
            ..FileMediaOptions::new(self.folder.path())
        };
        let media: Arc<dyn Media> = Arc::new(self.media(&options));
        let runtime = tokio::runtime::Handle::current();
        let environment: Arc<dyn Environment> = Arc::new(SystemEnvironment::new(Some(runtime)));
        let master = Arc::new(PlainMasterKey::new([7; 32]));
        let engine =
            Engine::open(Arc::clone(&environment), media, master, Options::default()).unwrap();
        let recall_probe = self.recall_probe;
        let options =
            EngineOptions { growing_rows_max: 500, recall_probe, ..EngineOptions::default() };
        self.vectors = Some(VectorEngine::new(engine.clone(), environment, options).unwrap());
        self.engine = Some(engine);
    }

    async fn index(&self, settings: &IndexSettings) -> Index {
        self.vectors.as_ref().unwrap().index(self.space, settings).await.unwrap()
    }

    async fn close(&mut self) {
        self.vectors.take().unwrap().close().await;
        self.engine.take().unwrap().close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_at_once_all_find_what_they_wrote_while_segments_are_sealed() {
    let mut files = Files::new().await;
    let settings = settings(8, Metric::Euclidean);
    let index = files.index(&settings).await;
    let tasks: Vec<_> = (0..16_u64)
        .map(|task| {
            let index = index.clone();
            tokio::spawn(async move {
                let mut random = SeededRandom::new(task);
                for nth in 0..40 {
                    let mut batch = rows(&mut random, 8, 1000, 10);
                    for row in &mut batch {
                        row.key = format!("{task}/{nth}/{}", row.key);
                    }
                    let first = batch[0].clone();
                    index.put(batch).await.unwrap();
                    let query =
                        Query { vector: Some(first.vector.clone()), top: 1, ..Query::default() };
                    let answer = index.query(query).await.unwrap();
                    assert_eq!(answer.hits[0].distance, Some(0.0), "{task}/{nth}");
                    let want = Want { data: true, metadata: true };
                    let read = index.get(std::slice::from_ref(&first.key), want).await.unwrap();
                    assert_eq!(read[0].vector, Some(first.vector));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let rows_before = index.stats().rows;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while index.stats().sealed_segments == 0 {
        assert!(tokio::time::Instant::now() < deadline, "nothing was sealed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(index);
    files.close().await;
    files.open();
    assert_eq!(files.index(&settings).await.stats().rows, rows_before);
    files.close().await;
}

#[test]
fn pages_that_queries_read_are_kept_and_go_with_their_segment() {
    let mut random = SeededRandom::new(11);
    let mut subject = Subject::new(11, settings(8, Metric::Euclidean), small_segments());
    subject.put(rows(&mut random, 8, 1000, 100));
    subject.index.seal().unwrap();
    let query = Query { vector: Some(vector(&mut random, 8)), top: 10, ..Query::default() };
    let ask = || block_on(subject.index.query(query.clone())).unwrap().hits;
    let first = ask();
    let read = subject.vectors.stats().pages;
    assert!(read.bytes > 0 && read.misses > 0, "{read:?}");
    assert_eq!(ask(), first);
    let again = subject.vectors.stats().pages;
    assert_eq!((again.misses, again.bytes), (read.misses, read.bytes), "nothing more was read");
    assert!(again.hits > read.hits);
    let keys = subject.reference.rows.keys().take(60).cloned().collect();
    subject.delete(keys);
    subject.index.maintain().unwrap();
    assert_eq!(subject.index.stats().dead_rows, 0, "the segment was written anew");
    assert_eq!(subject.vectors.stats().pages.bytes, 0);
}

#[test]
fn answers_are_the_same_whatever_fits_in_memory() {
    let answers_of = |cache_bytes| {
        let mut random = SeededRandom::new(12);
        let options = EngineOptions { cache_bytes, graph_rows_min: 100, ..small_segments() };
        let mut subject = Subject::new(12, settings(8, Metric::Euclidean), options);
        subject.put(rows(&mut random, 8, 100_000, 900));
        subject.index.seal().unwrap();
        subject.put(rows(&mut random, 8, 100_000, 30));
        assert_eq!(subject.index.stats().graph_segments, 1);
        let queries: Vec<_> = (0..20).map(|_| vector(&mut random, 8)).collect();
        let ask = |vector: &Vec<f32>| {
            let query = Query { vector: Some(vector.clone()), top: 10, ..Query::default() };
            block_on(subject.index.query(query)).unwrap().hits
        };
        let answers: Vec<_> = queries.iter().map(ask).collect();
        for _ in 0..2 {
            assert_eq!(queries.iter().map(ask).collect::<Vec<_>>(), answers);
        }
        answers
    };
    let (none, few, all) = (answers_of(0), answers_of(64 << 10), answers_of(64 << 20));
    assert_eq!(none, all);
    assert_eq!(few, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn recall_is_probed_in_the_background_one_query_at_a_time() {
    let mut files = Files::new().await;
    let settings = settings(8, Metric::Euclidean);
    let mut random = SeededRandom::new(9);
    let query = |random: &mut SeededRandom| Query {
        vector: Some(vector(random, 8)),
        top: 10,
        ..Query::default()
    };
    for _ in 0..5 {
        files.index(&settings).await.put(rows(&mut random, 8, 1000, 200)).await.unwrap();
    }
    for _ in 0..20 {
        files.index(&settings).await.query(query(&mut random)).await.unwrap();
    }
    assert_eq!(files.vectors.as_ref().unwrap().stats().recall, RecallStats::default());
    files.close().await;
    files.recall_probe = QueryShare::new(1.0).unwrap();
    files.open();
    let index = files.index(&settings).await;
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let index = index.clone();
            let mut random = SeededRandom::new(task);
            tokio::spawn(async move {
                for _ in 0..25 {
                    index.query(query(&mut random)).await.unwrap();
                    // What was written since is not counted against the query.
                    index.put(rows(&mut random, 8, 1000, 5)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let recall = files.vectors.as_ref().unwrap().stats().recall;
        assert!(recall.probes + recall.dropped <= 200);
        if recall.probes + recall.dropped == 200 {
            assert!(recall.probes > 0);
            assert_eq!(recall.wanted, recall.probes * 10);
            assert_eq!(recall.found, recall.wanted, "so few rows are all measured");
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{recall:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(index);
    files.close().await;
}

#[test]
fn a_query_sees_one_state_while_everything_is_written_anew() {
    let mut random = SeededRandom::new(3);
    let mut subject = Subject::new(3, settings(4, Metric::Cosine), small_segments());
    for _ in 0..10 {
        let rows = rows(&mut random, 4, 100, 50);
        subject.put(rows);
        let query = Query { vector: Some(vector(&mut random, 4)), top: 1000, ..Query::default() };
        let answer = block_on(subject.index.query(query)).unwrap();
        assert_eq!(answer.hits.len(), subject.reference.rows.len());
    }
}

#[test]
fn writes_that_an_index_cannot_take_are_refused_whole() {
    let mut random = SeededRandom::new(1);
    let mut subject = Subject::new(1, settings(3, Metric::Euclidean), small_segments());
    subject.put(vec![row(&mut random, 3, 10)]);
    let good = |key: &str| NewRow {
        key: key.into(),
        vector: vec![1.0, 2.0, 3.0],
        metadata: metadata(&json!({})),
    };
    for (bad, says) in [
        (NewRow { vector: vec![1.0; 2], ..good("bad") }, "2 dimensions, not 3"),
        (NewRow { vector: vec![1.0, f32::NAN, 0.0], ..good("bad") }, "not finite"),
        (NewRow { vector: vec![1.0, f32::INFINITY, 0.0], ..good("bad") }, "not finite"),
        (NewRow { key: String::new(), ..good("bad") }, "at least one byte"),
        (NewRow { key: "k".repeat(1025), ..good("bad") }, "at most 1024 bytes"),
        (good("good"), "stands twice"),
    ] {
        let refused = block_on(subject.index.put(vec![good("good"), bad])).unwrap_err();
        assert!(matches!(refused, Error::Invalid(_)), "{refused}");
        assert!(refused.to_string().contains(says), "{refused}");
        subject.verify(&mut random).unwrap();
    }
}

#[test]
fn rows_of_an_owner_change_only_with_it_and_with_what_it_commits() {
    let mut random = SeededRandom::new(2);
    let mut subject = Subject::new(2, settings(3, Metric::Euclidean), small_segments());
    let (owner, other) = (Owner([1; 16]), Owner([2; 16]));
    let mut owned = row(&mut random, 3, 10);
    owned.key = "bound".to_owned();
    let put = |space, name: &'static str| {
        Operation::Put(Put {
            space,
            name: name.into(),
            keep: Keep::Null,
            content: Content::Value {
                value: Value::empty(),
                meta: bytes::Bytes::new(),
                stamp: Stamp::default(),
                label: 0,
            },
            lock: None,
        })
    };
    let space = storage_engine::ROOT_SPACE;
    let extra = Batch { conditions: Vec::new(), operations: vec![put(space, "object")] };
    block_on(subject.index.write_owned(owner, vec![owned.clone()], extra)).unwrap();
    assert!(subject.engine.current(space, b"object").unwrap().is_some());
    for sealed in [false, true] {
        if sealed {
            subject.index.seal().unwrap();
        }
        let refused = block_on(subject.index.put(vec![owned.clone()])).unwrap_err();
        assert!(matches!(refused, Error::Conflict(_)), "{refused}");
        let refused = block_on(subject.index.delete(vec!["bound".to_owned()])).unwrap_err();
        assert!(matches!(refused, Error::Conflict(_)), "{refused}");
        let refused = subject.index.write_owned(other, vec![owned.clone()], Batch::default());
        assert!(matches!(block_on(refused).unwrap_err(), Error::Conflict(_)));
        // Another owner's deletion leaves it.
        let keys = vec!["bound".to_owned()];
        block_on(subject.index.delete_owned(other, keys.clone(), Batch::default())).unwrap();
        assert_eq!(block_on(subject.index.get(&keys, Want::default())).unwrap().len(), 1);
    }
    // A batch whose condition fails changes neither.
    let remove = Operation::Remove(storage_engine::Remove {
        space,
        name: "object".into(),
        which: storage_engine::Which::Null,
        bypass: Bypass::None,
    });
    let absent = storage_engine::Condition {
        space,
        name: "object".into(),
        test: storage_engine::Test::Absent,
    };
    let keys = vec!["bound".to_owned()];
    // Nor does one that may not, and is told of the condition, which was decided first.
    let stale = Batch { conditions: vec![absent.clone()], operations: Vec::new() };
    let refused = block_on(subject.index.write_owned(other, vec![owned.clone()], stale));
    let is_condition =
        |error| matches!(error, Error::Storage(storage_engine::Error::Condition { index: 0, .. }));
    assert!(refused.is_err_and(is_condition));
    let fails = Batch { conditions: vec![absent], operations: vec![remove] };
    block_on(subject.index.delete_owned(owner, keys.clone(), fails)).unwrap_err();
    assert_eq!(block_on(subject.index.get(&keys, Want::default())).unwrap().len(), 1);
    block_on(subject.index.delete_owned(owner, keys.clone(), Batch::default())).unwrap();
    assert_eq!(block_on(subject.index.get(&keys, Want::default())).unwrap().len(), 0);
    subject.restart();
    assert_eq!(block_on(subject.index.get(&keys, Want::default())).unwrap().len(), 0);
}

#[test]
fn an_owner_hands_a_row_on_and_an_index_with_owned_rows_is_not_let_go() {
    let mut random = SeededRandom::new(6);
    let mut subject = Subject::new(2, settings(3, Metric::Euclidean), small_segments());
    let (first, second) = (Owner([1; 16]), Owner([2; 16]));
    let named =
        |random: &mut SeededRandom, key: &str| NewRow { key: key.to_owned(), ..row(random, 3, 10) };
    let old = named(&mut random, "a");
    block_on(subject.index.write_owned(first, vec![old], Batch::default())).unwrap();
    let count = |subject: &Subject, key: &str| {
        block_on(subject.index.get(&[key.to_owned()], Want::default())).unwrap().len()
    };
    for sealed in [false, true] {
        if sealed {
            subject.index.seal().unwrap();
        }
        let held = block_on(subject.index.hold_unowned()).map(drop);
        assert!(matches!(held, Err(Error::Conflict(_))));
        // From one owner to the next under the same key, and back under another.
        let keys = vec![(first, "a".to_owned())];
        let rows = vec![(second, named(&mut random, "a"))];
        block_on(subject.index.change_owned(rows, keys, Batch::default())).unwrap();
        block_on(subject.index.delete_owned(first, vec!["a".to_owned()], Batch::default()))
            .unwrap();
        assert_eq!(count(&subject, "a"), 1);
        let keys = vec![(second, "a".to_owned())];
        let rows = vec![(first, named(&mut random, "b"))];
        block_on(subject.index.change_owned(rows, keys, Batch::default())).unwrap();
        assert_eq!((count(&subject, "a"), count(&subject, "b")), (0, 1));
        let keys = vec![(first, "b".to_owned())];
        let rows = vec![(first, named(&mut random, "a"))];
        block_on(subject.index.change_owned(rows, keys, Batch::default())).unwrap();
    }
    subject.restart();
    let held = block_on(subject.index.hold_unowned()).map(drop);
    assert!(matches!(held, Err(Error::Conflict(_))));
    block_on(subject.index.delete_owned(first, vec!["a".to_owned()], Batch::default())).unwrap();
    let hold = block_on(subject.index.hold_unowned()).unwrap();
    drop(hold);
    assert_eq!(count(&subject, "a"), 0);
}

#[test]
fn what_matches_is_deleted_and_only_that() {
    let mut random = SeededRandom::new(6);
    let mut subject = Subject::new(6, settings(3, Metric::Euclidean), small_segments());
    for _ in 0..8 {
        let rows = rows(&mut random, 3, 400, 40);
        subject.put(rows);
    }
    subject.index.seal().unwrap();
    let red = filter(&json!({"color": "red"}));
    let count = subject.reference.rows.values().filter(|row| red.matches(&row.metadata)).count();
    assert_eq!(block_on(subject.index.delete_matching(red.clone())).unwrap(), count as u64);
    subject.reference.rows.retain(|_, row| !red.matches(&row.metadata));
    subject.verify(&mut random).unwrap();
}

#[test]
fn nothing_that_matches_is_deleted_while_one_of_it_has_an_owner() {
    let mut random = SeededRandom::new(17);
    let options = EngineOptions { growing_rows_max: 10_000, ..small_segments() };
    let mut subject = Subject::new(17, settings(2, Metric::Euclidean), options);
    let count = limits::WRITE_ROWS_MAX + 500;
    let red = metadata(&json!({"color": "red"}));
    let many = |from: usize, to| {
        let named = |n| NewRow { key: n, vector: vec![1.0, 2.0], metadata: red.clone() };
        (from..to).map(|n| named(format!("{n}"))).collect::<Vec<_>>()
    };
    subject.put(many(0, 4000));
    subject.put(many(4000, count));
    let asked = filter(&json!({"color": "red"}));
    let (owner, key) = (Owner([3; 16]), "owned".to_owned());
    let bound = NewRow { key: key.clone(), ..many(0, 1).remove(0) };
    block_on(subject.index.write_owned(owner, vec![bound], Batch::default())).unwrap();
    for sealed in [false, true] {
        if sealed {
            subject.index.seal().unwrap();
        }
        let refused = block_on(subject.index.delete_matching(asked.clone())).unwrap_err();
        assert!(matches!(&refused, Error::Conflict(why) if why.contains("\"owned\"")), "{refused}");
        assert_eq!(subject.index.stats().rows, count as u64 + 1);
    }
    block_on(subject.index.delete_owned(owner, vec![key], Batch::default())).unwrap();
    // An owner in the way that does not match is none.
    let other = NewRow { metadata: metadata(&json!({"color": "blue"})), ..row(&mut random, 2, 1) };
    block_on(subject.index.write_owned(owner, vec![other], Batch::default())).unwrap();
    assert_eq!(block_on(subject.index.delete_matching(asked)).unwrap(), count as u64);
    assert_eq!(subject.index.stats().rows, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_row_that_gets_an_owner_during_a_deletion_stays_and_does_not_stop_it() {
    let mut files = Files::new().await;
    let index = files.index(&settings(2, Metric::Euclidean)).await;
    let red = metadata(&json!({"color": "red"}));
    let named =
        |n: u64| NewRow { key: n.to_string(), vector: vec![1.0, 2.0], metadata: red.clone() };
    let (count, bound) = (20_000, 20);
    for start in (0..count).step_by(4000) {
        index.put((start..start + 4000).map(named).collect()).await.unwrap();
    }
    let asked = filter(&json!({"color": "red"}));
    let deletion = tokio::spawn({
        let index = index.clone();
        async move { index.delete_matching(asked).await.unwrap() }
    });
    while index.stats().rows == count {
        tokio::task::yield_now().await;
    }
    for n in 0..bound {
        index.write_owned(Owner([n as u8; 16]), vec![named(n)], Batch::default()).await.unwrap();
    }
    let deleted = deletion.await.unwrap();
    assert!((count - bound..=count).contains(&deleted), "{deleted}");
    assert_eq!(index.stats().rows, bound);
    let keys: Vec<String> = (0..bound).map(|n| n.to_string()).collect();
    assert_eq!(index.get(&keys, Want::default()).await.unwrap().len(), keys.len());
    drop(index);
    files.close().await;
}

#[test]
fn filters_on_keys_that_are_not_filterable_are_refused() {
    let mut random = SeededRandom::new(7);
    let mut subject = Subject::new(7, settings(3, Metric::Euclidean), small_segments());
    subject.put(vec![row(&mut random, 3, 10)]);
    let query = Query {
        vector: Some(vec![1.0; 3]),
        top: 1,
        filter: Some(filter(&json!({"note": "x"}))),
        ..Query::default()
    };
    assert!(matches!(block_on(subject.index.query(query)).unwrap_err(), Error::Invalid(_)));
}

#[test]
fn a_rotten_page_is_named_and_never_served() {
    let mut random = SeededRandom::new(8);
    let mut subject = Subject::new(8, settings(700, Metric::Euclidean), small_segments());
    subject.put(rows(&mut random, 700, 40, 40));
    subject.index.seal().unwrap();
    let report = storage_engine::check(subject.media.as_ref(), &PlainMasterKey::new([7; 32]));
    assert_eq!(report.unwrap().corruptions, []);
    let mut named = 0;
    for zone in subject.media.list().unwrap() {
        // One bit of each page from the first on: some lie in vectors.
        for page in 2..60 {
            drop(subject.media.flip_bit(zone, page * 4096 + 100, 3));
        }
    }
    for key in subject.reference.rows.keys() {
        let want = Want { data: true, metadata: true };
        match block_on(subject.index.get(std::slice::from_ref(key), want)) {
            Ok(rows) => {
                assert_eq!(rows[0].vector.as_ref(), Some(&subject.reference.rows[key].vector))
            }
            Err(Error::Storage(storage_engine::Error::Corrupt(_))) => named += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(named > 0, "no flipped bit met a vector");
}
