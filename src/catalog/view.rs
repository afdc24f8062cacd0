//! The view: a sled database on a thread of its own. Nobody waits for it but open and close, and
//! those not for long.
//!
//! - Rows are small, so that sled writes no blob files (it never syncs those).
//! - An error or a panic inside sled, at any call, deletes the directory. At open a fresh one is
//!   made; later the thread ends, and the next open makes one.
//! - sled is never asked to sync before close: what a crash takes away, open puts back.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::limits::{ROW_BYTES_MAX, VIEW_CACHE_BYTES, VIEW_QUEUE_MAX, VIEW_WAIT};
use super::row::Row;

/// Only the owner may look into a view.
const DIRECTORY_MODE: u32 = 0o700;

/// The rows of a view by record name.
pub(super) type Rows = BTreeMap<Bytes, Row>;

/// A change of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ViewChange {
    /// The row is now this.
    Set(Bytes, Vec<u8>),
    /// There is no such row.
    Remove(Bytes),
}

impl ViewChange {
    /// Keeps `row`, or, if it is too large for the view, keeps none.
    pub(super) fn set(name: Bytes, row: &Row) -> Self {
        let encoded = row.encode();
        if encoded.len() > ROW_BYTES_MAX { Self::Remove(name) } else { Self::Set(name, encoded) }
    }
}

/// An open view.
#[derive(Debug)]
pub(super) struct View {
    changes: SyncSender<Vec<ViewChange>>,
    closed: oneshot::Receiver<()>,
}

impl View {
    /// Opens the view with its rows: none of either when that fails or takes too long.
    pub(super) async fn open(directory: PathBuf) -> (Option<Self>, Rows) {
        let (changes, received) = sync_channel(VIEW_QUEUE_MAX);
        let (opened, rows) = oneshot::channel();
        let (closed_sender, closed) = oneshot::channel();
        let path = directory.clone();
        let thread = std::thread::Builder::new().name("catalog-view".to_owned()).spawn(move || {
            serve(&path, opened, &received);
            let _ = closed_sender.send(());
        });
        if let Err(error) = thread {
            tracing::warn!(%error, "cannot start the catalog view's thread");
            return (None, Rows::new());
        }
        match tokio::time::timeout(VIEW_WAIT, rows).await {
            Ok(Ok(rows)) => (Some(Self { changes, closed }), rows),
            Ok(Err(_)) => (None, Rows::new()),
            Err(_) => {
                tracing::warn!(directory = %directory.display(), "catalog view does not open");
                remove(&directory);
                (None, Rows::new())
            }
        }
    }

    /// Hands over changes without waiting; false when they cannot be taken.
    pub(super) fn offer(&self, changes: Vec<ViewChange>) -> bool {
        self.changes.try_send(changes).is_ok()
    }

    /// Waits for the changes handed over to be written.
    pub(super) async fn close(self) {
        drop(self.changes);
        if tokio::time::timeout(VIEW_WAIT, self.closed).await.is_err() {
            tracing::warn!("catalog view does not close");
        }
    }
}

/// The thread: opens, tells the rows, applies changes until nobody can send more.
fn serve(directory: &Path, opened: oneshot::Sender<Rows>, changes: &Receiver<Vec<ViewChange>>) {
    let (database, rows) = match load(directory) {
        Ok(loaded) => loaded,
        Err(fault) => {
            tracing::warn!(%fault, "catalog view cannot be read; making it anew");
            remove(directory);
            match load(directory) {
                Ok(loaded) => loaded,
                Err(fault) => {
                    tracing::warn!(%fault, "catalog view cannot be made; going on without it");
                    return;
                }
            }
        }
    };
    if opened.send(rows).is_err() {
        return;
    }
    let finished = guarded(move || {
        while let Ok(changes) = changes.recv() {
            apply(&database, changes)?;
        }
        database.flush().map(drop)
    });
    if let Err(fault) = finished {
        tracing::warn!(%fault, "catalog view failed; it is made anew at the next start");
        remove(directory);
    }
}

/// Opens the database and reads all of it.
fn load(directory: &Path) -> Result<(sled::Db, Rows), String> {
    guarded(|| {
        // sled would let everyone look in.
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
        let database = sled::Config::new()
            .path(directory)
            .mode(sled::Mode::LowSpace)
            .cache_capacity(VIEW_CACHE_BYTES)
            .flush_every_ms(None)
            .open()?;
        let mut rows = Rows::new();
        for item in database.iter() {
            let (name, encoded) = item?;
            let row = Row::decode(&encoded)
                .ok_or_else(|| sled::Error::Unsupported("row of an unknown layout".to_owned()))?;
            rows.insert(Bytes::copy_from_slice(&name), row);
        }
        Ok((database, rows))
    })
}

fn apply(database: &sled::Db, changes: Vec<ViewChange>) -> sled::Result<()> {
    let mut batch = sled::Batch::default();
    for change in changes {
        match change {
            ViewChange::Set(name, row) => batch.insert(name.as_ref(), row),
            ViewChange::Remove(name) => batch.remove(name.as_ref()),
        }
    }
    database.apply_batch(batch)
}

/// Runs `work` so that a panic in it is an error like any other.
fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("panic: {}", panic_text(panic.as_ref()))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "without words",
    }
}

/// Deletes the view.
fn remove(directory: &Path) {
    if let Err(error) = std::fs::remove_dir_all(directory)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, directory = %directory.display(), "cannot delete the catalog view");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::CatalogRecord;
    use super::*;

    fn row(sequence: u64, len: usize) -> Row {
        let bytes = Bytes::from(vec![b'x'; len]);
        Row::of(&CatalogRecord { name: String::new(), sequence, time_ms: 5, bytes })
    }

    fn set(name: &'static str, sequence: u64) -> ViewChange {
        ViewChange::set(Bytes::from_static(name.as_bytes()), &row(sequence, 100))
    }

    async fn reopen(directory: &Path) -> (View, Rows) {
        let (view, rows) = View::open(directory.to_owned()).await;
        (view.unwrap(), rows)
    }

    #[tokio::test]
    async fn what_was_offered_is_there_after_close() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("view");
        let (view, rows) = reopen(&directory).await;
        assert!(rows.is_empty());
        let mode = std::fs::metadata(&directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, DIRECTORY_MODE);
        assert!(view.offer(vec![set("bucket/a", 1), set("bucket/b", 2)]));
        assert!(view.offer(vec![ViewChange::Remove(Bytes::from_static(b"bucket/a"))]));
        assert!(view.offer(vec![set("bucket/b", 3)]));
        view.close().await;
        let (view, rows) = reopen(&directory).await;
        assert_eq!(rows, Rows::from([(Bytes::from_static(b"bucket/b"), row(3, 100))]));
        view.close().await;
    }

    #[test]
    fn a_row_too_large_is_not_kept() {
        let name = Bytes::from_static(b"bucket/a");
        let change = ViewChange::set(name.clone(), &row(1, ROW_BYTES_MAX));
        assert_eq!(change, ViewChange::Remove(name));
    }

    #[tokio::test]
    async fn a_damaged_view_is_made_anew() {
        for damage in [Damage::Garbage, Damage::Flip, Damage::Truncate, Damage::ForeignRow] {
            let parent = tempfile::tempdir().unwrap();
            let directory = parent.path().join("view");
            let (view, _) = reopen(&directory).await;
            for sequence in 0..2000 {
                let name = Bytes::from(format!("bucket/{sequence}"));
                while !view.offer(vec![ViewChange::set(name.clone(), &row(sequence, 1000))]) {
                    tokio::task::yield_now().await;
                }
            }
            view.close().await;
            damage.inflict(&directory);
            let (view, rows) = reopen(&directory).await;
            for (name, found) in rows {
                let text = std::str::from_utf8(&name).unwrap();
                let sequence = text.strip_prefix("bucket/").unwrap().parse().unwrap();
                assert_eq!(found, row(sequence, 1000), "{damage:?} made up a row");
            }
            view.close().await;
            // What sled notices only when it writes has the view made anew at the next start.
            let mut kept = None;
            for _ in 0..3 {
                let (view, _) = reopen(&directory).await;
                assert!(view.offer(vec![set("bucket/new", 9)]));
                view.close().await;
                let (view, rows) = reopen(&directory).await;
                view.close().await;
                kept = rows.get(&b"bucket/new"[..]).cloned();
                if kept.is_some() {
                    break;
                }
            }
            assert_eq!(kept, Some(row(9, 100)), "{damage:?}");
        }
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_made_means_no_view() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (view, rows) = View::open(file.path().join("below/a/file")).await;
        assert!(view.is_none() && rows.is_empty());
    }

    #[test]
    fn a_panic_is_an_error() {
        let fault = guarded(|| -> sled::Result<()> { panic!("page {} is gone", 7) });
        assert_eq!(fault, Err("panic: page 7 is gone".to_owned()));
    }

    #[derive(Debug, Clone, Copy)]
    enum Damage {
        Garbage,
        Flip,
        Truncate,
        ForeignRow,
    }

    impl Damage {
        fn inflict(self, directory: &Path) {
            let file = directory.join("db");
            let mut bytes = std::fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            match self {
                Self::Garbage => bytes.fill(0xA5),
                Self::Flip => bytes.iter_mut().step_by(4099).for_each(|byte| *byte ^= 0x40),
                Self::Truncate => bytes.truncate(middle),
                Self::ForeignRow => {
                    let database = sled::open(directory).unwrap();
                    database.insert("bucket/foreign", b"\xffother layout").unwrap();
                    return;
                }
            }
            std::fs::write(&file, bytes).unwrap();
        }
    }
}
