//! Background work: checkpoints, reclaim, seals, scrub. One thread, on a byte budget, after the foreground.
//!
//! Reclaim copies ciphertext as it is and verifies it on the way; a record or blob moves by one small
//! journal record. A zone goes only when nothing in the index lies in it, no reader holds it, and, for
//! a journal zone, the checkpoints no longer need its records. What cannot be read stays where it is,
//! and keeps its zone only.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::engine::{Engine, Inner};
use crate::entry::Location;
use crate::error::{Corruption, Error, Missing, Result, Shortage};
use crate::format::{BlobPlace, Extent, ZoneClass};
use crate::id::{BlobId, Lsn, SpaceId, ZoneId};
use crate::lane::Prepared;
use crate::limits::WRITE_BYTES;
use crate::media::{SECTOR_BYTES, Sector, sector_bytes_mut};
use crate::queue::Reply;
use crate::read::verify_record;
use crate::scrub::as_corruption;
use crate::zone::{Claim, Room, Zone};

/// How often the keeper looks.
const TICK: Duration = Duration::from_millis(200);
/// A zone with more than this share of it live is not worth moving, in percent.
const LIVE_PERCENT_MAX: u64 = 50;
/// The same when the device is low on space.
const LIVE_PERCENT_MAX_LOW: u64 = 95;
/// Names looked at under one read lock.
const RUN_VERSIONS: usize = 4096;
/// Zones that must be free for a zone to be emptied: one for what moves, and what no move may take.
const RECLAIM_ZONES_MIN: u64 = 3;
/// Records moved at a time: few against what the commit queue takes.
const MOVED_TOGETHER_MAX: usize = 1024;

/// Bytes that a version takes in a checkpoint, about.
const CHECKPOINT_VERSION_BYTES: u64 = 150;
/// Records behind the checkpoint after which the next is due, or as many as there are versions.
const TAIL_RECORDS: u64 = 1_000_000;

/// Journal behind the newest checkpoint.
#[derive(Debug, Clone, Copy)]
struct JournalTail {
    bytes: u64,
    records: u64,
}

impl JournalTail {
    /// A checkpoint waits until it is a small part of what was written, and no longer: replay takes
    /// about a second for a million records.
    fn is_worth_a_checkpoint(self, versions: u64, bytes_min: u64) -> bool {
        self.bytes >= bytes_min.max(versions * CHECKPOINT_VERSION_BYTES * 2)
            || self.records >= versions.max(TAIL_RECORDS)
    }
}

/// What a pass of background work did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Checkpoints written.
    pub checkpoints: u64,
    /// Zones given back to the device.
    pub zones_freed: u64,
    /// Bytes moved to survivor zones.
    pub moved_bytes: u64,
}

impl Engine {
    /// One pass of background work, now: a checkpoint if one is due, reclaim until nothing is worth
    /// it, seals for the zones that take nothing more. The keeper thread calls it by itself; tests and tools call it when there is none.
    pub fn maintain(&self) -> Result<Maintenance> {
        self.inner.maintain()
    }

    /// Reads every zone of the device once and verifies it; answers what does not verify.
    pub fn scrub(&self) -> Result<Vec<Corruption>> {
        let mut found = Vec::new();
        for zone in self.inner.zones.all() {
            found.extend(self.inner.scrub_zone(&zone)?);
        }
        Ok(found)
    }
}

/// A record in a zone, and the version it belongs to.
pub(crate) struct Mover {
    pub(crate) space: SpaceId,
    pub(crate) name: Bytes,
    pub(crate) sequence: u64,
    pub(crate) from: Location,
}

/// Gives room back to its zones' accounts when the move is over.
struct Moving(Vec<Room>);

impl Drop for Moving {
    fn drop(&mut self) {
        for room in &self.0 {
            room.zone.unreserve(room.len);
        }
    }
}

impl Inner {
    pub(crate) fn run_keeper(&self) {
        let mut seen_groups = 0;
        let mut scrub_at = ZoneId(0);
        let mut scrub_wait = Duration::ZERO;
        let mut scrub_next = self.environment.monotonic() + self.scrub_pause();
        loop {
            self.keeper_wait(TICK);
            if self.is_closing() {
                return;
            }
            let groups = self.counters.groups();
            let idle = groups == seen_groups;
            seen_groups = groups;
            let outcome = self.keep(idle);
            match outcome {
                Ok(done) => scrub_wait += self.pause_for(done.moved_bytes),
                Err(Error::Stopped { .. }) => return,
                Err(error) => tracing::error!(%error, "background work failed"),
            }
            if scrub_wait > Duration::ZERO && !self.zones.is_low_on_space() {
                self.keeper_wait(std::mem::take(&mut scrub_wait));
            }
            if self.environment.monotonic() >= scrub_next {
                self.scrub_one(&mut scrub_at);
                scrub_next = self.environment.monotonic() + self.scrub_pause();
            }
        }
    }

    fn keep(&self, idle: bool) -> Result<Maintenance> {
        if idle && self.counters.take_unstamped() {
            self.stamp_idle()?;
        }
        self.maintain()
    }

    /// Whatever the last group brought is durable: says so, for the next recovery.
    fn stamp_idle(&self) -> Result<()> {
        let mut lane = self.lane.lock();
        // Asked under the lane's guard: after a group that failed nothing is written any more.
        if let Some(reason) = self.stopped() {
            return Err(Error::Stopped { reason });
        }
        match lane.stamp(self) {
            Ok(()) | Err(Error::Busy(Shortage::Space)) => Ok(()),
            Err(error) => {
                self.stop(format!("the journal cannot be written: {error}"));
                Err(error)
            }
        }
    }

    pub(crate) fn maintain(&self) -> Result<Maintenance> {
        let done = self.checkpoint_and_reclaim()?;
        self.zones.seal_settled();
        Ok(done)
    }

    fn checkpoint_and_reclaim(&self) -> Result<Maintenance> {
        if let Some(reason) = self.stopped() {
            return Err(Error::Stopped { reason });
        }
        let mut done = Maintenance::default();
        if self.zones.is_low_on_space() {
            // The older checkpoint makes room for the next.
            self.forget_older_checkpoint();
            done.zones_freed += self.retire_empty()?;
            match self.checkpoint() {
                Ok(written) => done.checkpoints += u64::from(written),
                Err(Error::Busy(Shortage::Space)) => {}
                Err(error) => return Err(error),
            }
            self.forget_older_checkpoint();
        } else if self.is_checkpoint_due() {
            done.checkpoints += u64::from(self.checkpoint()?);
        }
        done.zones_freed += self.retire_empty()?;
        // Zones that this pass makes are not its victims: every zone moves once at most.
        let Some(newest) = self.zones.all().last().map(|zone| zone.id) else { return Ok(done) };
        let live_bytes = self.live_bytes();
        let low = self.zones.is_low_on_space();
        if low && live_bytes >= self.fruitless_live_bytes.load(Ordering::Relaxed) {
            // Nothing died since moving all of it gained nothing.
            return Ok(done);
        }
        loop {
            let budget = self.options.background_bytes_per_s;
            let low = self.zones.is_low_on_space();
            if self.is_closing() || (done.moved_bytes >= budget && !low) {
                return Ok(done);
            }
            let Some(victim) = self.choose_victim(newest) else { break };
            if self.zones.free_zones()? < RECLAIM_ZONES_MIN {
                break;
            }
            match self.empty_zone(&victim) {
                Ok(moved) => done.moved_bytes += moved,
                Err(Error::Busy(Shortage::Space)) => break,
                Err(error) => return Err(error),
            }
            // Whoever holds a zone keeps it.
            drop(victim);
            done.zones_freed += self.retire_empty()?;
        }
        let fruitless = low && self.zones.is_low_on_space();
        let mark = if fruitless { live_bytes } else { u64::MAX };
        self.fruitless_live_bytes.store(mark, Ordering::Relaxed);
        Ok(done)
    }

    fn live_bytes(&self) -> u64 {
        self.index.read().live.total_bytes()
    }

    fn is_checkpoint_due(&self) -> bool {
        let versions: usize = {
            let index = self.index.read();
            index.spaces.values().map(|s| s.current.len() + s.history.len()).sum()
        };
        let next_lsn = self.position().map_or(Lsn(0), |position| position.lsn);
        let covered = self.checkpoints.lock().last().map_or(Lsn(0), |newest| newest.lsn);
        let tail = JournalTail {
            bytes: self.counters.tail_bytes(),
            records: next_lsn.0.saturating_sub(covered.next().0),
        };
        tail.is_worth_a_checkpoint(versions as u64, self.options.checkpoint_bytes)
    }

    fn pause_for(&self, moved_bytes: u64) -> Duration {
        let rate = self.options.background_bytes_per_s.max(1);
        Duration::from_millis(moved_bytes.saturating_mul(1000) / rate)
    }

    /// Journal records at or below this are in every checkpoint that is kept.
    pub(crate) fn journal_not_needed_to(&self) -> Lsn {
        self.checkpoints.lock().first().map_or(Lsn(0), |oldest| oldest.lsn)
    }

    fn is_reclaimable(&self, zone: &Zone, not_needed_to: Lsn) -> bool {
        if !zone.is_settled() {
            return false;
        }
        match zone.class {
            ZoneClass::Data | ZoneClass::Survivor => true,
            ZoneClass::Journal => zone.last_lsn.load(Ordering::Acquire) <= not_needed_to.0,
            ZoneClass::Checkpoint => false,
        }
    }

    fn retire_empty(&self) -> Result<u64> {
        let not_needed_to = self.journal_not_needed_to();
        let zones = self.zones.all();
        let empty: Vec<ZoneId> = {
            let index = self.index.read();
            let gone = |zone: &&Arc<Zone>| {
                index.live_bytes(zone.id) == 0 && self.is_reclaimable(zone, not_needed_to)
            };
            zones.iter().filter(gone).map(|zone| zone.id).collect()
        };
        drop(zones);
        for &zone in &empty {
            self.zones.retire(zone);
            self.index.write().live.remove(zone);
            self.rotten_zones.lock().remove(&zone);
        }
        let freed = self.zones.sweep()?;
        self.counters.note_reclaimed(freed);
        Ok(freed)
    }

    /// The zone whose emptying pays most: worn, or much dead and long so.
    fn choose_victim(&self, newest: ZoneId) -> Option<Arc<Zone>> {
        let low = self.zones.is_low_on_space();
        let percent_max = if low { LIVE_PERCENT_MAX_LOW } else { LIVE_PERCENT_MAX };
        let (zone_bytes, not_needed_to) = (self.zones.zone_bytes(), self.journal_not_needed_to());
        let now_ms = self.environment.now_ms();
        let index = self.index.read();
        let score = |zone: &Arc<Zone>| {
            let live = index.live_bytes(zone.id);
            if live == 0 {
                return None;
            }
            if zone.is_worn() {
                return Some(u128::MAX);
            }
            if live * 100 > zone_bytes * percent_max {
                return None;
            }
            let age_ms = now_ms.saturating_sub(zone.created_ms) + 1;
            let dead = zone_bytes.saturating_sub(live);
            Some(u128::from(dead) * u128::from(age_ms) / u128::from(zone_bytes + live))
        };
        let zones = self.zones.all();
        let rotten = self.rotten_zones.lock();
        let old = zones.into_iter().filter(|zone| zone.id <= newest && !rotten.contains(&zone.id));
        let fit = old.filter(|zone| self.is_reclaimable(zone, not_needed_to));
        fit.filter_map(|zone| Some((score(&zone)?, zone))).max_by_key(|(s, _)| *s).map(|(_, z)| z)
    }

    /// Moves everything live out of a zone, but what cannot be read; answers the bytes moved.
    fn empty_zone(&self, victim: &Arc<Zone>) -> Result<u64> {
        let mut moved = 0;
        let mut rotten = None;
        for (blob, place) in self.blobs_in(victim.id) {
            match self.move_blob(victim.id, blob, &place) {
                Ok(bytes) => moved += bytes,
                Err(Error::Corrupt(corruption)) => rotten = Some(corruption),
                Err(error) => return Err(error),
            }
            if self.is_closing() {
                return Ok(moved);
            }
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        for mover in self.records_in(victim.id) {
            bytes += mover.from.len as usize;
            batch.push(mover);
            if bytes >= WRITE_BYTES / 2 || batch.len() >= MOVED_TOGETHER_MAX {
                moved += self.move_records(std::mem::take(&mut batch), &mut rotten)?;
                bytes = 0;
            }
        }
        moved += self.move_records(batch, &mut rotten)?;
        self.counters.note_moved(moved);
        if let Some(corruption) = rotten {
            let error = Error::Corrupt(corruption);
            tracing::error!(%error, zone = %victim.id, "reclaim leaves a zone that it cannot read");
            self.rotten_zones.lock().insert(victim.id);
            return Ok(moved);
        }
        if moved == 0 && self.index.read().live_bytes(victim.id) > 0 {
            return Err(Error::Corrupt(Corruption {
                zone: Some(victim.id),
                offset: 0,
                what: "zone account",
                expected: "something live to move".to_owned(),
                found: "nothing in the index lies there".to_owned(),
            }));
        }
        Ok(moved)
    }

    fn blobs_in(&self, zone: ZoneId) -> Vec<(BlobId, Arc<BlobPlace>)> {
        let index = self.index.read();
        let inside = index
            .blobs
            .iter()
            .filter(|(_, blob)| blob.place.all_extents().any(|extent| extent.zone == zone));
        inside.map(|(id, blob)| (*id, Arc::clone(&blob.place))).collect()
    }

    /// The records of versions that lie in a zone.
    pub(crate) fn records_in(&self, zone: ZoneId) -> Vec<Mover> {
        let spaces: Vec<SpaceId> = self.index.read().spaces.keys().copied().collect();
        let mut movers = Vec::new();
        for space in spaces {
            let mut after: Option<Vec<u8>> = None;
            loop {
                let index = self.index.read();
                let Some(held) = index.spaces.get(&space) else { break };
                after = held.run_of_names(after.as_deref(), RUN_VERSIONS, &mut |name, entry| {
                    if entry.location.zone == zone {
                        movers.push(Mover {
                            space,
                            name: Bytes::copy_from_slice(name),
                            sequence: entry.sequence,
                            from: entry.location,
                        });
                    }
                });
                if after.is_none() {
                    break;
                }
            }
        }
        movers
    }

    /// Copies the extents of a blob that lie in `zone`; the rest of it stays.
    fn move_blob(&self, zone: ZoneId, blob: BlobId, from: &Arc<BlobPlace>) -> Result<u64> {
        let mut moving = Moving(Vec::new());
        let mut moved = 0;
        let mut shift = |extent: &Extent| -> Result<Extent> {
            if extent.zone != zone || extent.len == 0 {
                return Ok(*extent);
            }
            let room =
                self.zones.allocate_whole(ZoneClass::Survivor, extent.len.into(), Claim::Engine)?;
            let to = Extent { zone: room.zone.id, offset: room.offset as u32, ..*extent };
            moving.0.push(room);
            if let Some(room) = moving.0.last() {
                self.copy_extent(extent, room)?;
            }
            moved += u64::from(extent.len);
            Ok(to)
        };
        let extents = from.extents.iter().map(&mut shift).collect::<Result<Vec<_>>>()?;
        let tags = shift(&from.tags)?;
        let to = BlobPlace { shape: from.shape, tags, extents: extents.into() };
        let zones = moving.0.iter().map(|room| Arc::clone(&room.zone)).collect();
        let operation = Prepared::MoveBlob { blob, from: Arc::clone(from), to, zones };
        for result in self.commit_each(vec![operation])? {
            match result {
                // Removed or moved meanwhile: what was copied is dead where it lies.
                Ok(_) | Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(moved)
    }

    fn copy_extent(&self, extent: &Extent, room: &Room) -> Result<()> {
        let mut done = 0;
        let mut crc = crc32fast::Hasher::new();
        while done < u64::from(extent.len) {
            let len = (u64::from(extent.len) - done).min(WRITE_BYTES as u64);
            let offset = extent.offset + done as u32;
            let data = self.read_to_move(extent.zone, offset, len as usize)?;
            crc.update(&data);
            let mut sectors = vec![Sector::ZERO; len.div_ceil(SECTOR_BYTES) as usize];
            sector_bytes_mut(&mut sectors)[..data.len()].copy_from_slice(&data);
            self.zones.write(&room.zone, room.offset + done, &sectors)?;
            done += len;
        }
        let found = crc.finalize();
        if found != extent.crc {
            self.counters.note_corruption();
            return Err(Error::Corrupt(Corruption {
                zone: Some(extent.zone),
                offset: extent.offset.into(),
                what: "extent",
                expected: format!("crc {:08x}", extent.crc),
                found: format!("crc {found:08x}"),
            }));
        }
        Ok(())
    }

    /// What is on the device now; what cannot be read is corrupt, whatever the device calls it.
    fn read_to_move(&self, zone: ZoneId, offset: u32, len: usize) -> Result<Vec<u8>> {
        let data = self.read_past_caches(zone, offset.into(), len);
        data.map_err(|error| as_corruption(error, zone, offset)).inspect_err(|error| {
            if matches!(error, Error::Corrupt(_)) {
                self.counters.note_corruption();
            }
        })
    }

    fn read_record_to_move(&self, from: Location) -> Result<Vec<u8>> {
        let data = self.read_to_move(from.zone, from.offset, from.len as usize)?;
        verify_record(&data, from).inspect_err(|_| self.counters.note_corruption())?;
        Ok(data)
    }

    /// Moves the records that can be read; says of another what was found.
    fn move_records(&self, movers: Vec<Mover>, rotten: &mut Option<Corruption>) -> Result<u64> {
        let mut whole = Vec::with_capacity(movers.len());
        for mover in movers {
            match self.read_record_to_move(mover.from) {
                Ok(data) => whole.push((mover, data)),
                Err(Error::Corrupt(corruption)) => *rotten = Some(corruption),
                Err(error) => return Err(error),
            }
        }
        if whole.is_empty() {
            return Ok(0);
        }
        let total: u64 = whole.iter().map(|(mover, _)| u64::from(mover.from.len)).sum();
        let room = self.zones.allocate_whole(ZoneClass::Survivor, total, Claim::Engine)?;
        let moving = Moving(vec![room]);
        let Some(room) = moving.0.first() else { return Ok(0) };
        let mut sectors = vec![Sector::ZERO; (room.len / SECTOR_BYTES) as usize];
        let mut at = 0;
        let mut operations = Vec::with_capacity(whole.len());
        for (Mover { space, name, sequence, from }, data) in whole {
            sector_bytes_mut(&mut sectors)[at..at + data.len()].copy_from_slice(&data);
            let offset = (room.offset + at as u64) as u32;
            let to = Location { zone: room.zone.id, offset, ..from };
            let zone = Arc::clone(&room.zone);
            operations.push(Prepared::MoveRecord { space, name, sequence, from, to, zone });
            at += data.len();
        }
        self.zones.write(&room.zone, room.offset, &sectors)?;
        // The room stays reserved until every answer is in.
        let mut failed = Ok(());
        for result in self.commit_each(operations)? {
            match result {
                Ok(_) | Err(Error::NotFound(Missing::Version | Missing::Space(_))) => {}
                Err(error) => failed = Err(error),
            }
        }
        failed.map(|()| total)
    }

    /// Commits the engine's own operations, each by itself, and waits for all. They share groups.
    fn commit_each(&self, operations: Vec<Prepared>) -> Result<Vec<Reply>> {
        let (mut batches, mut answers) = (Vec::new(), Vec::new());
        for operation in operations {
            let (reply, answer) = oneshot::channel();
            let ready = self.ready(Vec::new(), vec![operation], Claim::Engine)?;
            batches.push(ready.into_pending(reply));
            answers.push(answer);
        }
        self.enqueue(batches);
        let gone = || Error::Stopped { reason: "the commit lane is gone".to_owned() };
        let inline = self.environment.is_inline();
        let wait = |mut answer: oneshot::Receiver<Reply>| match inline {
            true => answer.try_recv().unwrap_or_else(|_| Err(gone())),
            false => answer.blocking_recv().unwrap_or_else(|_| Err(gone())),
        };
        Ok(answers.into_iter().map(wait).collect())
    }

    /// Time between two zones, so that all are read in the days the operator gave.
    fn scrub_pause(&self) -> Duration {
        let zones = self.zones.all().len().max(1) as u64;
        Duration::from_secs(u64::from(self.options.scrub_days.max(1)) * 86_400 / zones)
    }

    fn scrub_one(&self, after: &mut ZoneId) {
        let zones = self.zones.all();
        let next = zones.iter().find(|zone| zone.id > *after).or(zones.first());
        let Some(zone) = next else { return };
        *after = zone.id;
        match self.scrub_zone(zone) {
            Ok(found) => {
                for corruption in found {
                    tracing::error!(error = %Error::Corrupt(corruption), "scrub found a bad byte");
                }
            }
            Err(error) => tracing::error!(%error, zone = %zone.id, "scrub failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::batch::{Batch, Operation};
    use crate::cipher::PlainMasterKey;
    use crate::media::{Fault, SimEnvironment, SimMedia, SimOptions, Target};
    use crate::options::Options;

    /// A store and its device, with a commit that nothing says to be durable yet.
    fn unstamped() -> (Engine, Arc<SimMedia>) {
        let media = Arc::new(SimMedia::new(&SimOptions::default()));
        let master = Arc::new(PlainMasterKey::new([7; 32]));
        let environment = Arc::new(SimEnvironment::new(1));
        let device = Arc::clone(&media) as Arc<dyn crate::media::Media>;
        let engine = Engine::open(environment, device, master, Options::default()).unwrap();
        commit(&engine).unwrap();
        (engine, media)
    }

    fn commit(engine: &Engine) -> Result<()> {
        let operations = vec![Operation::CreateSpace(engine.reserve_space())];
        block_on(engine.commit(Batch { conditions: vec![], operations })).map(|_| ())
    }

    #[test]
    fn a_journal_that_cannot_be_stamped_takes_no_more_writes() {
        let (engine, media) = unstamped();
        media.arm(1, Fault::FailOn(Target::AnyChange));
        assert!(engine.inner.keep(true).is_err());
        media.heal();
        assert!(engine.stats().stopped.is_some());
        assert!(matches!(commit(&engine), Err(Error::Stopped { .. })));
    }

    #[test]
    fn a_stopped_engine_writes_no_stamp() {
        let (engine, media) = unstamped();
        media.arm(1, Fault::FailOn(Target::AnyChange));
        assert!(matches!(commit(&engine), Err(Error::Stopped { .. })));
        media.heal();
        let changes = media.changes();
        assert!(matches!(engine.inner.keep(true), Err(Error::Stopped { .. })));
        assert_eq!(media.changes(), changes);
    }

    #[test]
    fn a_checkpoint_is_due_after_many_bytes_or_many_records() {
        const MIB: u64 = 1 << 20;
        let cases = [
            // Versions, bytes and records behind the checkpoint, due.
            (0, 0, 0, false),
            (0, 256 * MIB - 1, 999_999, false),
            (0, 256 * MIB, 1, true),
            (1_000_000, 299_999_999, 999_999, false),
            (1_000_000, 300_000_000, 1, true),
            (1_000_000, 66 * MIB, 1_000_000, true),
            (4_000_000, 260 * MIB, 3_999_999, false),
            (4_000_000, 260 * MIB, 4_000_000, true),
        ];
        for (versions, bytes, records, due) in cases {
            let tail = JournalTail { bytes, records };
            assert_eq!(tail.is_worth_a_checkpoint(versions, 256 * MIB), due, "{tail:?} {versions}");
        }
    }
}
