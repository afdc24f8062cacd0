//! Opening a store: the newest checkpoint that can be read, then every batch behind it.
//!
//! Reads only. One thread reads and verifies, and puts in order what it read; the other fills the
//! index with it. Without threads both take turns. Invariants:
//! - a record at or below the LSN as of which a checkpoint block was taken is not applied to the
//!   names of that block again;
//! - a checkpoint that cannot be read back whole is as if it was not there, an older one serves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use crate::checkpoint::{Loader, Outline, VerifiedBlock};
use crate::cipher::{MasterKey, SpaceKey, space_context};
use crate::environment::Environment;
use crate::error::{Corruption, Error, Result};
use crate::format::{Malformed, Root, ZONE_DATA_OFFSET, ZoneClass, ZoneHeader};
use crate::id::{Lsn, ROOT_SPACE, SpaceId, ZoneId};
use crate::index::{Change, Index};
use crate::journal::Tail;
use crate::journal::blank::refuse_lost_records;
use crate::journal::run::{Run, Said, SortedRun, Step};
use crate::journal::tail::{FoundTail, TailReader};
use crate::media::{Media, SECTOR_BYTES};

/// Pieces read ahead of the index: enough to keep both threads busy, little memory.
const PIECES_AHEAD: usize = 2;
/// Checkpoints kept.
pub(crate) const CHECKPOINTS_KEPT: usize = 2;

/// What the device held.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) index: Index,
    /// Zones with a valid header, in order.
    pub(crate) headers: Vec<ZoneHeader>,
    /// Zones without one: made, never used.
    pub(crate) blank: Vec<ZoneId>,
    pub(crate) tail: Tail,
    /// Zones of what the last batch placed: nothing proves that they were ever synced.
    pub(crate) unproven: BTreeSet<ZoneId>,
    /// LSN, first replayed byte and zones of the checkpoints that were found, oldest first.
    pub(crate) checkpoints: Vec<FoundCheckpoint>,
    pub(crate) next_space: u32,
    pub(crate) records: u64,
    /// Bytes of journal replayed.
    pub(crate) tail_bytes: u64,
    /// Blobs that versions need and that are not there.
    pub(crate) missing_blobs: usize,
}

/// A checkpoint on the device.
#[derive(Debug, Clone)]
pub(crate) struct FoundCheckpoint {
    pub(crate) lsn: Lsn,
    pub(crate) zones: Vec<ZoneId>,
}

/// As of which LSN the names of a space were loaded, by the last name each block covers.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    spaces: BTreeMap<SpaceId, Vec<LoadedRun>>,
    newest: Lsn,
}

/// Names up to `bound` (all that follow when none) were complete as of an LSN.
#[derive(Debug)]
struct LoadedRun {
    bound: Option<Vec<u8>>,
    as_of: Lsn,
}

impl Loaded {
    pub(crate) fn note(&mut self, space: SpaceId, bound: Option<Vec<u8>>, as_of: Lsn) {
        self.newest = self.newest.max(as_of);
        self.spaces.entry(space).or_default().push(LoadedRun { bound, as_of });
    }

    /// True when what `lsn` did to the name is in what was loaded.
    fn covers(&self, space: SpaceId, name: &[u8], lsn: Lsn) -> bool {
        if lsn > self.newest {
            return false;
        }
        let Some(runs) = self.spaces.get(&space) else { return false };
        let before = |run: &LoadedRun| run.bound.as_deref().is_some_and(|bound| bound < name);
        let at = runs.partition_point(before);
        runs.get(at).is_some_and(|run| lsn <= run.as_of)
    }
}

/// Reads the device into an index, on two threads when there is an environment that has them.
pub(crate) fn recover(
    media: &dyn Media,
    master: &dyn MasterKey,
    root: &Root,
    threads: Option<&dyn Environment>,
) -> Result<Recovered> {
    let (headers, blank) = read_headers(media, root)?;
    let recovery = Recovery {
        media,
        master,
        root,
        threads: threads.filter(|environment| !environment.is_inline()),
        zones: headers.iter().map(|header| header.zone).collect(),
        headers: &headers,
    };
    let Replayed { index, next_space, missing_blobs, found, checkpoints } = recovery.replay()?;
    let FoundTail { tail, unproven, records, bytes: tail_bytes } = found;
    refuse_lost_records(media, root, &blank, tail.next_lsn)?;
    Ok(Recovered {
        index,
        headers,
        blank,
        tail,
        unproven,
        checkpoints,
        next_space,
        records,
        tail_bytes,
        missing_blobs,
    })
}

/// Where replay begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    pub(crate) zone: Option<ZoneId>,
    pub(crate) offset: u64,
    pub(crate) lsn: Lsn,
    pub(crate) time_ms: u64,
}

/// One opening of one store.
struct Recovery<'a> {
    media: &'a dyn Media,
    master: &'a dyn MasterKey,
    root: &'a Root,
    threads: Option<&'a dyn Environment>,
    headers: &'a [ZoneHeader],
    /// Zones with a valid header.
    zones: BTreeSet<ZoneId>,
}

/// What one attempt came to.
struct Replayed {
    index: Index,
    next_space: u32,
    missing_blobs: usize,
    found: FoundTail,
    checkpoints: Vec<FoundCheckpoint>,
}

/// Why an attempt failed.
enum Failed {
    /// An older checkpoint may do.
    Checkpoint(Error),
    /// Nothing else will do.
    Journal(Error),
}

impl Failed {
    fn into_error(self) -> Error {
        match self {
            Self::Checkpoint(error) | Self::Journal(error) => error,
        }
    }
}

/// What the reading thread hands over.
enum Piece {
    Block(VerifiedBlock),
    /// No block follows.
    Loaded,
    Steps(SortedRun),
    /// No step follows.
    End,
}

impl Recovery<'_> {
    /// Tries the checkpoints, newest first, and the journal from its beginning last.
    fn replay(&self) -> Result<Replayed> {
        let mut candidates = checkpoints_of(self.headers);
        let mut failed = None;
        while let Some(newest) = candidates.last() {
            let outline = Outline::read(self.media, newest, self.root.salt());
            let attempt = match outline {
                // It was never finished.
                Ok(None) => {
                    candidates.pop();
                    continue;
                }
                Ok(Some(outline)) => self.attempt(Some(&outline)),
                Err(error) => Err(Failed::Checkpoint(error)),
            };
            match attempt {
                Ok(mut replayed) => {
                    let forgotten = candidates.len().saturating_sub(CHECKPOINTS_KEPT);
                    replayed.checkpoints = candidates.split_off(forgotten);
                    return Ok(replayed);
                }
                Err(Failed::Journal(error)) => return Err(error),
                Err(Failed::Checkpoint(error)) => {
                    let lsn = newest.lsn;
                    tracing::error!(%error, %lsn, "checkpoint cannot be read, trying an older");
                    failed = Some(error);
                    candidates.pop();
                }
            }
        }
        let begins = |h: &ZoneHeader| h.class == ZoneClass::Journal && h.first_lsn == Lsn(1);
        match failed {
            Some(error) if !self.headers.iter().any(begins) => Err(error),
            _ => self.attempt(None).map_err(Failed::into_error),
        }
    }

    /// Loads a checkpoint, if there is one, and the journal behind it.
    fn attempt(&self, checkpoint: Option<&Outline>) -> Result<Replayed, Failed> {
        let start = checkpoint.map_or(START, Outline::start);
        let journal = self.journal_from(start).map_err(Failed::Journal)?;
        let reader = TailReader {
            media: self.media,
            root: self.root,
            journal: &journal,
            zones: &self.zones,
            start,
        };
        let mut replay = Replay::new(self.master, self.root).map_err(Failed::Journal)?;
        replay.next_space = checkpoint.map_or(1, |outline| outline.end.next_space.0);
        let read = |deliver: &mut dyn FnMut(Piece) -> Result<(), Failed>| {
            for block in checkpoint.map_or(&[][..], |outline| &outline.blocks) {
                let block = block.read(self.media).map_err(Failed::Checkpoint)?;
                deliver(Piece::Block(block))?;
            }
            deliver(Piece::Loaded)?;
            read_tail(&reader, deliver)
        };
        let found = match self.threads {
            None => read(&mut |piece| replay.take(piece)),
            Some(environment) => {
                let (pieces, taken) = sync_channel(PIECES_AHEAD);
                let mut found = None;
                let mut filled = Ok(());
                environment
                    .run_beside(
                        "lodestore-replay",
                        Box::new(|| {
                            let pieces = pieces;
                            found = Some(read(&mut |piece| {
                                pieces.send(piece).map_err(|_| Failed::Journal(given_up()))
                            }));
                        }),
                        Box::new(|| {
                            filled = taken.into_iter().try_for_each(|piece| replay.take(piece));
                        }),
                    )
                    .map_err(|source| Failed::Journal(Error::io("starting a thread", source)))?;
                filled.and(found.unwrap_or_else(|| Err(Failed::Journal(given_up()))))
            }
        }?;
        let Replay { index, next_space, missing_blobs, .. } = replay;
        Ok(Replayed { index, next_space, missing_blobs, found, checkpoints: Vec::new() })
    }

    /// The journal zones from the one where replay begins, in order.
    fn journal_from(&self, start: Start) -> Result<Vec<ZoneHeader>> {
        let mut zones: Vec<ZoneHeader> =
            self.headers.iter().filter(|h| h.class == ZoneClass::Journal).cloned().collect();
        zones.sort_by_key(|h| (h.first_lsn, h.zone));
        let first = match start.zone {
            None => 0,
            Some(id) => zones
                .iter()
                .position(|h| h.zone == id)
                // It was full and nothing in it lives: the next zone begins where it ended.
                .or_else(|| zones.iter().position(|h| h.first_lsn == start.lsn))
                .ok_or_else(|| {
                    missing_journal(format!("zone {id}, where the checkpoint's replay begins"))
                })?,
        };
        zones.drain(..first);
        Ok(zones)
    }
}

/// The checkpoints that zones belong to, oldest first, finished or not.
pub(crate) fn checkpoints_of(headers: &[ZoneHeader]) -> Vec<FoundCheckpoint> {
    let mut found: BTreeMap<Lsn, Vec<&ZoneHeader>> = BTreeMap::new();
    for header in headers.iter().filter(|header| header.class == ZoneClass::Checkpoint) {
        found.entry(header.first_lsn).or_default().push(header);
    }
    let in_order = |(lsn, mut zones): (Lsn, Vec<&ZoneHeader>)| {
        zones.sort_by_key(|header| (header.ordinal, header.zone));
        FoundCheckpoint { lsn, zones: zones.iter().map(|header| header.zone).collect() }
    };
    found.into_iter().map(in_order).collect()
}

/// Without a checkpoint, replay begins with the first record.
const START: Start = Start { zone: None, offset: 0, lsn: Lsn(1), time_ms: 0 };

fn read_tail(
    reader: &TailReader<'_>,
    deliver: &mut dyn FnMut(Piece) -> Result<(), Failed>,
) -> Result<FoundTail, Failed> {
    let mut failed = None;
    let found = reader.read(&mut |run| {
        let piece = run.map_or(Piece::End, |run: Run| Piece::Steps(run.sort()));
        deliver(piece).map_err(|why| {
            failed = Some(why);
            given_up()
        })
    });
    found.map_err(|error| failed.unwrap_or(Failed::Journal(error)))
}

/// What the reading side answers when the other side failed; nobody sees it.
fn given_up() -> Error {
    Error::Stopped { reason: "recovery was given up".to_owned() }
}

/// The index being filled.
struct Replay<'a> {
    master: &'a dyn MasterKey,
    root: &'a Root,
    index: Index,
    loader: Loader,
    loaded: Loaded,
    next_space: u32,
    missing_blobs: usize,
}

impl<'a> Replay<'a> {
    fn new(master: &'a dyn MasterKey, root: &'a Root) -> Result<Self> {
        let mut replay = Self {
            master,
            root,
            index: Index::default(),
            loader: Loader::default(),
            loaded: Loaded::default(),
            next_space: 1,
            missing_blobs: 0,
        };
        replay.create_space(ROOT_SPACE, &root.key)?;
        Ok(replay)
    }

    fn take(&mut self, piece: Piece) -> Result<(), Failed> {
        match piece {
            Piece::Block(block) => self.load(&block).map_err(Failed::Checkpoint),
            Piece::Loaded => {
                std::mem::take(&mut self.loader).finish(&mut self.index);
                Ok(())
            }
            Piece::Steps(steps) => {
                steps.take().try_for_each(|step| self.apply(step)).map_err(Failed::Journal)
            }
            Piece::End => {
                self.missing_blobs = self.index.settle().len();
                Ok(())
            }
        }
    }

    fn load(&mut self, block: &VerifiedBlock) -> Result<()> {
        for (space, wrapped) in self.loader.take(block, &mut self.index, &mut self.loaded)? {
            self.create_space(space, &wrapped)?;
        }
        Ok(())
    }

    /// Does what a record says, unless the checkpoint already holds it.
    fn apply(&mut self, step: Step) -> Result<()> {
        match step.said {
            Said::CreateSpace(space, wrapped) => self.create_space(space, &wrapped),
            Said::Change(change) => {
                let is_covered = change
                    .target()
                    .is_some_and(|(space, name)| self.loaded.covers(space, name, step.lsn));
                if !is_covered {
                    self.index.apply(change);
                }
                Ok(())
            }
        }
    }

    fn create_space(&mut self, space: SpaceId, wrapped: &[u8]) -> Result<()> {
        self.next_space = self.next_space.max(space.0.saturating_add(1));
        if self.index.spaces.contains_key(&space) {
            return Ok(());
        }
        let context = space_context(&self.root.store, space);
        let key = Arc::new(SpaceKey::open(self.master, wrapped, &context)?);
        self.index.apply(Change::CreateSpace { space, key, wrapped: wrapped.to_vec() });
        Ok(())
    }
}

fn read_headers(media: &dyn Media, root: &Root) -> Result<(Vec<ZoneHeader>, Vec<ZoneId>)> {
    let (mut headers, mut blank) = (Vec::new(), Vec::new());
    for zone in media.list()? {
        match read_header(media, zone)? {
            // Ids are never handed out twice: this is no former life.
            Some(header) if header.store != root.store => {
                return Err(Error::Corrupt(Corruption {
                    zone: Some(zone),
                    offset: 0,
                    what: "zone header",
                    expected: "a zone of this store".to_owned(),
                    found: "a zone of another store".to_owned(),
                }));
            }
            Some(header) => headers.push(header),
            None => blank.push(zone),
        }
    }
    Ok((headers, blank))
}

/// The header of a zone, from the first copy that is valid; none when neither is.
pub(crate) fn read_header(media: &dyn Media, zone: ZoneId) -> Result<Option<ZoneHeader>> {
    for copy in 0..ZONE_DATA_OFFSET / SECTOR_BYTES {
        let mut bytes = [0; 128];
        media.read(zone, copy * SECTOR_BYTES, &mut bytes)?;
        let header = ZoneHeader::decode(&bytes).ok().filter(|header| header.zone == zone);
        if header.is_some() {
            return Ok(header);
        }
    }
    Ok(None)
}

pub(crate) fn corrupt(
    zone: ZoneId,
    offset: u64,
    what: &'static str,
    malformed: Malformed,
) -> Error {
    Error::Corrupt(Corruption {
        zone: Some(zone),
        offset,
        what,
        expected: "a valid structure".to_owned(),
        found: format!("bad {}", malformed.what),
    })
}

pub(crate) fn missing_journal(what: String) -> Error {
    Error::Corrupt(Corruption {
        zone: None,
        offset: 0,
        what: "journal",
        expected: what,
        found: "no zone holds it".to_owned(),
    })
}
