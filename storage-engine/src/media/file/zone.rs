//! One zone's state and open files, and how many zones may have files open.
//!
//! A zone with unsynced writes keeps its files: a failed write-back is reported to the descriptors
//! that were open when it failed.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use rustix::process::{Resource, getrlimit};

use crate::id::ZoneId;

/// Zones with open files: never more than a quarter of the process's descriptors, two a zone.
const OPEN_ZONES: (u64, u64) = (16, 4096);

/// What a zone still takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ZoneState {
    /// Writes and syncs.
    Open,
    /// Reads only.
    Sealed,
    /// Reads only, as a sync failed and nobody knows what it lost.
    Failed,
    /// Nothing.
    Deleted,
}

/// A zone on the device.
#[derive(Debug)]
pub(super) struct Zone {
    pub(super) id: ZoneId,
    /// Every block of its file was written before: a write to it changes no metadata.
    pub(super) filled: bool,
    /// Held for reading through every write and sync, so that a change waits for them.
    pub(super) state: RwLock<ZoneState>,
    files: Mutex<Option<Arc<ZoneFiles>>>,
    used: AtomicBool,
    writes_begun: AtomicU64,
    writes_ended: AtomicU64,
    /// Ended writes that a sync has covered.
    writes_synced: AtomicU64,
    /// Syncs go one at a time: a write-back that failed is told to one of them only.
    syncing: Mutex<Syncs>,
}

/// How the syncs of a zone went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Syncs {
    Succeeded,
    OneFailed,
}

/// The open files of a zone.
#[derive(Debug)]
pub(super) struct ZoneFiles {
    /// Reads through the page cache.
    pub(super) reader: File,
    writer: OnceLock<File>,
}

impl ZoneFiles {
    pub(super) fn new(reader: File) -> Self {
        Self { reader, writer: OnceLock::new() }
    }

    /// The file for writes, syncs and uncached reads, opened when first asked for.
    pub(super) fn writer(&self, open: impl FnOnce() -> io::Result<File>) -> io::Result<&File> {
        if let Some(file) = self.writer.get() {
            return Ok(file);
        }
        let file = open()?;
        Ok(self.writer.get_or_init(|| file))
    }
}

impl Zone {
    pub(super) fn new(id: ZoneId, state: ZoneState) -> Self {
        Self {
            id,
            filled: false,
            state: RwLock::new(state),
            files: Mutex::new(None),
            used: AtomicBool::new(false),
            writes_begun: AtomicU64::new(0),
            writes_ended: AtomicU64::new(0),
            writes_synced: AtomicU64::new(0),
            syncing: Mutex::new(Syncs::Succeeded),
        }
    }

    /// Runs a write, counted so that the zone's files stay open until a sync has covered it.
    pub(super) fn write(&self, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.writes_begun.fetch_add(1, SeqCst);
        let written = write();
        self.writes_ended.fetch_add(1, SeqCst);
        written
    }

    /// Runs a sync, which covers the writes that ended before it began. None is run after one failed.
    pub(super) fn sync(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut syncs = self.syncing.lock();
        if *syncs == Syncs::OneFailed {
            return Err(io::Error::other(format!("an earlier sync of zone {} failed", self.id)));
        }
        let covered = self.writes_ended.load(SeqCst);
        sync().inspect_err(|_| *syncs = Syncs::OneFailed)?;
        self.writes_synced.fetch_max(covered, SeqCst);
        Ok(())
    }

    /// The files, if they are open already.
    pub(super) fn open_files(&self) -> Option<Arc<ZoneFiles>> {
        let files = self.files.lock().clone();
        self.used.store(true, Relaxed);
        files
    }

    pub(super) fn close(&self) {
        *self.files.lock() = None;
    }

    /// True while a write is not covered by a sync.
    pub(super) fn has_unsynced(&self) -> bool {
        self.writes_begun.load(SeqCst) != self.writes_synced.load(SeqCst)
    }

    /// Closes the files unless they were used since the last call or may still see a failed write.
    fn close_if_idle(&self) -> bool {
        let used = self.used.swap(false, Relaxed);
        let mut files = self.files.lock();
        let idle = !used && !self.has_unsynced();
        if idle {
            *files = None;
        }
        idle
    }
}

/// Which zones have files open, oldest first, with a second chance for those in use.
#[derive(Debug)]
pub(super) struct Handles {
    open: Mutex<VecDeque<Arc<Zone>>>,
    zones_max: usize,
}

impl Handles {
    pub(super) fn new() -> Self {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self::with_limit((descriptors / 8).clamp(OPEN_ZONES.0, OPEN_ZONES.1))
    }

    fn with_limit(zones_max: u64) -> Self {
        let zones_max = usize::try_from(zones_max).unwrap_or(usize::MAX);
        Self { open: Mutex::new(VecDeque::new()), zones_max }
    }

    /// The files of a zone, opened if they are not.
    pub(super) fn files(
        &self,
        zone: &Arc<Zone>,
        open: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Arc<ZoneFiles>> {
        let files = {
            let mut slot = zone.files.lock();
            zone.used.store(true, Relaxed);
            if let Some(files) = &*slot {
                return Ok(Arc::clone(files));
            }
            Arc::clone(slot.insert(Arc::new(ZoneFiles::new(open()?))))
        };
        self.admit(Arc::clone(zone));
        Ok(files)
    }

    fn admit(&self, zone: Arc<Zone>) {
        let mut open = self.open.lock();
        // Each is asked at most twice: once for its second chance, once for good.
        for _ in 0..2 * open.len() {
            if open.len() < self.zones_max {
                break;
            }
            let Some(oldest) = open.pop_front() else { break };
            if !oldest.close_if_idle() {
                open.push_back(oldest);
            }
        }
        open.push_back(zone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_stay_within_the_limit() {
        let handles = Handles::with_limit(4);
        let zones: Vec<_> =
            (1..=32).map(|id| Arc::new(Zone::new(ZoneId(id), ZoneState::Sealed))).collect();
        for zone in zones.iter().chain(&zones) {
            handles.files(zone, || File::open("/dev/null")).unwrap();
            let open = zones.iter().filter(|zone| zone.files.lock().is_some()).count();
            assert!(open <= 4, "{open} zones are open");
        }
    }

    #[test]
    fn a_zone_with_unsynced_writes_keeps_its_files() {
        let handles = Handles::with_limit(2);
        let written = Arc::new(Zone::new(ZoneId(1), ZoneState::Open));
        handles.files(&written, || File::open("/dev/null")).unwrap();
        written.write(|| Ok(())).unwrap();
        let use_others = || {
            for id in 2..20 {
                let zone = Arc::new(Zone::new(ZoneId(id), ZoneState::Open));
                handles.files(&zone, || File::open("/dev/null")).unwrap();
            }
        };
        use_others();
        assert!(written.open_files().is_some());
        written.sync(|| Ok(())).unwrap();
        use_others();
        assert!(written.open_files().is_none());
    }

    #[test]
    fn a_sync_beside_one_that_fails_does_not_succeed() {
        let zone = Zone::new(ZoneId(1), ZoneState::Open);
        let (done, told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let failed = zone.sync(|| {
                scope.spawn(|| done.send(zone.sync(|| Ok(()))).unwrap());
                // The other one has time to come first, if it can.
                let early = told.recv_timeout(std::time::Duration::from_millis(100));
                assert!(early.is_err(), "{early:?}");
                Err(io::Error::other("a page was lost"))
            });
            assert!(failed.is_err());
        });
        assert!(told.recv().unwrap().is_err());
    }
}
