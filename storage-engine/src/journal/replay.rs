//! Opening a store: the newest checkpoint, then every batch behind it, in order.
//!
//! Reads only. Invariants:
//! - the last batch may have been written beside data that never became durable: it counts only
//!   when all that it places in other zones verifies, the zones' headers too;
//! - a batch that does not verify is a torn tail only if nothing valid follows it; otherwise it is
//!   corruption, and the store does not open;
//! - a record at or below the LSN as of which a checkpoint block was taken is not applied to the
//!   names of that block again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cipher::{MasterKey, SpaceKey, space_context};
use crate::entry::Location;
use crate::error::{Corruption, Error, Result};
use crate::format::{
    BATCH_HEADER_BYTES, BatchHeader, BlobPlace, Malformed, RECORD_HEADER_BYTES, RecordBody,
    RecordHeader, Root, ZONE_DATA_OFFSET, ZoneClass, ZoneHeader, salt_header,
};
use crate::id::{Lsn, ROOT_SPACE, SpaceId, ZoneId};
use crate::index::{Change, Index, entry_of};
use crate::journal::Tail;
use crate::journal::blank::refuse_lost_records;
use crate::media::{Media, SECTOR_BYTES};

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

/// Reads the device into an index.
pub(crate) fn recover(media: &dyn Media, master: &dyn MasterKey, root: &Root) -> Result<Recovered> {
    let (headers, blank) = read_headers(media, root)?;
    let mut index = Index::default();
    let context = space_context(&root.store, ROOT_SPACE);
    let key = Arc::new(SpaceKey::open(master, &root.key, &context)?);
    index.apply(Change::CreateSpace { space: ROOT_SPACE, key, wrapped: root.key.clone() });
    let mut replay = Replay {
        media,
        master,
        root,
        zones: headers.iter().map(|header| header.zone).collect(),
        unproven: BTreeSet::new(),
        index,
        loaded: Loaded::default(),
        records: 0,
        bytes: 0,
        next_space: 1,
    };
    let (start, checkpoints) = replay.load_checkpoint(&headers)?;
    let tail = replay.read_journal(&headers, start)?;
    refuse_lost_records(media, root, &blank, tail.next_lsn)?;
    let missing_blobs = replay.index.settle().len();
    Ok(Recovered {
        index: replay.index,
        headers,
        blank,
        tail,
        unproven: replay.unproven,
        checkpoints,
        next_space: replay.next_space,
        records: replay.records,
        tail_bytes: replay.bytes,
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

pub(crate) struct Replay<'a> {
    pub(crate) media: &'a dyn Media,
    pub(crate) master: &'a dyn MasterKey,
    pub(crate) root: &'a Root,
    /// Zones with a valid header.
    zones: BTreeSet<ZoneId>,
    unproven: BTreeSet<ZoneId>,
    pub(crate) index: Index,
    pub(crate) loaded: Loaded,
    records: u64,
    bytes: u64,
    pub(crate) next_space: u32,
}

/// A batch that was read and verified, not yet applied.
struct Batch {
    header: BatchHeader,
    crc: u32,
    offset: u64,
    records: Vec<u8>,
}

impl Replay<'_> {
    fn read_journal(&mut self, headers: &[ZoneHeader], start: Start) -> Result<Tail> {
        let mut zones: Vec<&ZoneHeader> =
            headers.iter().filter(|h| h.class == ZoneClass::Journal).collect();
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
        let zones = zones.get(first..).unwrap_or_default();
        let mut tail = Tail { next_lsn: start.lsn, time_ms: start.time_ms, ..Tail::default() };
        let mut held: Option<(ZoneId, Batch)> = None;
        let begins_late = zones.first().is_some_and(|zone| zone.first_lsn != start.lsn);
        if start.zone.is_none() && begins_late {
            return Err(missing_journal(format!("LSN {}", start.lsn)));
        }
        for (ordinal, zone) in zones.iter().enumerate() {
            let next = zones.get(ordinal + 1);
            let end_lsn = next.map(|next| next.first_lsn);
            let resumed = start.zone == Some(zone.zone);
            let mut offset = if resumed { start.offset } else { ZONE_DATA_OFFSET };
            let mut previous_crc = if resumed { None } else { Some(0) };
            loop {
                if end_lsn.is_some_and(|end| tail.next_lsn >= end) {
                    break;
                }
                let read = self.read_batch(zone.zone, offset, tail.next_lsn, previous_crc)?;
                let Some(batch) = read else { break };
                if let Some((zone, batch)) = held.take() {
                    self.apply_batch(zone, &batch)?;
                }
                self.bytes += batch.header.padded_bytes();
                offset += batch.header.padded_bytes();
                previous_crc = Some(batch.crc);
                tail.next_lsn = Lsn(tail.next_lsn.0 + u64::from(batch.header.records));
                tail.time_ms = tail.time_ms.max(batch.header.time_ms);
                held = Some((zone.zone, batch));
            }
            if let Some(end) = end_lsn {
                if tail.next_lsn < end {
                    return Err(Error::Corrupt(Corruption {
                        zone: Some(zone.zone),
                        offset,
                        what: "journal batch",
                        expected: format!("LSN {} before zone of LSN {end}", tail.next_lsn),
                        found: "no valid batch".to_owned(),
                    }));
                }
            } else {
                self.refuse_hole(zone.zone, offset, tail.next_lsn)?;
                tail.zone = Some(zone.zone);
                tail.offset = offset;
                tail.previous_crc = match previous_crc {
                    Some(crc) => crc,
                    None => self.crc_before(zone.zone, offset)?,
                };
            }
        }
        if let Some((zone, batch)) = held {
            // A zone is only begun when all before it is durable: what rotted since is found when it is
            // read, and keeps nothing else from being served.
            if tail.zone != Some(zone) || self.data_is_whole(&batch)? {
                self.apply_batch(zone, &batch)?;
            } else {
                // Never acknowledged: its data did not make it. The next batch takes its place.
                tail.next_lsn = batch.header.first_lsn;
                tail.offset = batch.offset;
                tail.previous_crc = batch.header.previous_crc;
            }
        }
        Ok(tail)
    }

    /// The header CRC of the batch that ends at `offset`: found by walking the zone, because a
    /// checkpoint keeps only the place.
    fn crc_before(&self, zone: ZoneId, end: u64) -> Result<u32> {
        let mut offset = ZONE_DATA_OFFSET;
        let mut crc = 0;
        while offset < end {
            let mut bytes = [0; BATCH_HEADER_BYTES];
            self.media.read(zone, offset, &mut bytes)?;
            let (header, found) = read_batch_header(&bytes, self.root.salt())
                .map_err(|malformed| corrupt(zone, offset, "journal batch", malformed))?;
            crc = found;
            offset += header.padded_bytes();
        }
        Ok(crc)
    }

    /// The batch at a place, if there is one that continues the order.
    fn read_batch(
        &self,
        zone: ZoneId,
        offset: u64,
        lsn: Lsn,
        previous_crc: Option<u32>,
    ) -> Result<Option<Batch>> {
        if offset + SECTOR_BYTES > self.media.zone_bytes() {
            return Ok(None);
        }
        let mut bytes = [0; BATCH_HEADER_BYTES];
        self.media.read(zone, offset, &mut bytes)?;
        let salt = self.root.salt();
        let Ok((header, crc)) = read_batch_header(&bytes, salt) else { return Ok(None) };
        let continues = header.zone == zone
            && header.first_lsn == lsn
            && header.epoch <= self.root.epoch
            && previous_crc.is_none_or(|previous| previous == header.previous_crc)
            && offset + header.padded_bytes() <= self.media.zone_bytes();
        if !continues {
            return Ok(None);
        }
        let mut records = vec![0; header.len as usize];
        self.media.read(zone, offset + BATCH_HEADER_BYTES as u64, &mut records)?;
        if crc32fast::hash(&records) != header.crc {
            return Ok(None);
        }
        Ok(Some(Batch { header, crc, offset, records }))
    }

    /// Errs when a later valid batch lies behind `offset`: then what is at `offset` was
    /// durable once and is not a torn tail.
    fn refuse_hole(&self, zone: ZoneId, offset: u64, lsn: Lsn) -> Result<()> {
        const STRIDE: usize = 1 << 20;
        let salt = self.root.salt();
        let mut at = offset;
        let mut buffer = vec![0; STRIDE];
        while at + SECTOR_BYTES <= self.media.zone_bytes() {
            let len = (self.media.zone_bytes() - at).min(STRIDE as u64) as usize;
            let window = buffer.get_mut(..len).unwrap_or_default();
            self.media.read(zone, at, window)?;
            for (ordinal, sector) in window.chunks(SECTOR_BYTES as usize).enumerate() {
                let Ok((header, _)) = read_batch_header(sector, salt) else { continue };
                // An empty batch takes no LSN, so one of the same LSN behind it is later, too.
                let is_behind = at > offset || ordinal > 0;
                let is_later = header.first_lsn > lsn || (is_behind && header.first_lsn == lsn);
                if header.zone == zone && is_later {
                    return Err(Error::Corrupt(Corruption {
                        zone: Some(zone),
                        offset,
                        what: "journal batch",
                        expected: format!("a batch of LSN {lsn}"),
                        found: format!(
                            "no valid batch, yet LSN {} follows at {}",
                            header.first_lsn,
                            at + ordinal as u64 * SECTOR_BYTES
                        ),
                    }));
                }
            }
            at += len as u64;
        }
        Ok(())
    }

    fn apply_batch(&mut self, zone: ZoneId, batch: &Batch) -> Result<()> {
        let base = batch.offset + BATCH_HEADER_BYTES as u64;
        for_each_record(&batch.records, &mut |at, header, body| {
            self.records += 1;
            let location = Location {
                zone,
                offset: (base + at as u64) as u32,
                len: header.len,
                crc: header.crc,
            };
            if let Some(change) = self.change_of(header.lsn, body, location)? {
                self.index.apply(change);
            }
            Ok(())
        })
        .map_err(|error| match error {
            Walk::Malformed(at, malformed) => {
                corrupt(zone, base + at as u64, "journal record", malformed)
            }
            Walk::Failed(error) => error,
        })
    }

    /// The change a record says, unless the checkpoint already holds it.
    fn change_of(
        &mut self,
        lsn: Lsn,
        body: RecordBody<'_>,
        location: Location,
    ) -> Result<Option<Change>> {
        let covered = |space, name: &[u8]| self.loaded.covers(space, name, lsn);
        Ok(Some(match body {
            RecordBody::Put { head, name, value, .. } => {
                if covered(head.space, name) {
                    return Ok(None);
                }
                let body = crate::entry::Body::of(&value);
                let (space, lock) = (head.space, head.lock);
                Change::Put {
                    space,
                    name: name.to_vec(),
                    entry: entry_of(&head, body, location),
                    lock,
                }
            }
            RecordBody::Rewrite { head, name, .. } => {
                if covered(head.space, name) {
                    return Ok(None);
                }
                let (space, sequence, label) = (head.space, head.sequence, head.label);
                Change::Rewrite { space, name: name.to_vec(), sequence, label, location }
            }
            RecordBody::Remove { space, sequence, name } => {
                if covered(space, name) {
                    return Ok(None);
                }
                Change::Remove { space, name: name.to_vec(), sequence }
            }
            RecordBody::Lock { space, sequence, name, lock } => {
                if covered(space, name) {
                    return Ok(None);
                }
                Change::Lock { space, name: name.to_vec(), sequence, lock }
            }
            RecordBody::MoveRecord { space, sequence, name, to } => {
                if covered(space, name) {
                    return Ok(None);
                }
                Change::MoveRecord { space, name: name.to_vec(), sequence, to }
            }
            RecordBody::CreateSpace { space, key } => {
                self.next_space = self.next_space.max(space.0 + 1);
                if self.index.spaces.contains_key(&space) {
                    return Ok(None);
                }
                self.create_space(space, key)?
            }
            RecordBody::DropSpace { space } => Change::DropSpace { space },
            RecordBody::Blob { blob, place } => Change::Blob { blob, place },
        }))
    }

    pub(crate) fn create_space(&mut self, space: SpaceId, wrapped: &[u8]) -> Result<Change> {
        self.next_space = self.next_space.max(space.0 + 1);
        let context = space_context(&self.root.store, space);
        let key = Arc::new(SpaceKey::open(self.master, wrapped, &context)?);
        Ok(Change::CreateSpace { space, key, wrapped: wrapped.to_vec() })
    }

    /// True when all that the batch places in other zones can be read back as it was written.
    fn data_is_whole(&mut self, batch: &Batch) -> Result<bool> {
        let mut whole = true;
        let mut placed = BTreeSet::new();
        for_each_record(&batch.records, &mut |_, _, body| {
            match &body {
                RecordBody::Blob { place, .. } => {
                    placed.extend(place.all_extents().map(|extent| extent.zone));
                }
                RecordBody::MoveRecord { to, .. } => {
                    placed.insert(to.zone);
                }
                _ => {}
            }
            whole = whole
                && match body {
                    RecordBody::Blob { place, .. } => {
                        place.all_extents().all(|extent| self.zones.contains(&extent.zone))
                            && place_is_whole(self.media, &place)?
                    }
                    RecordBody::MoveRecord { to, .. } => {
                        self.zones.contains(&to.zone) && record_is_whole(self.media, to)?
                    }
                    _ => true,
                };
            Ok(())
        })
        .map_err(|error| match error {
            Walk::Malformed(at, malformed) => corrupt(
                batch.header.zone,
                batch.offset + (BATCH_HEADER_BYTES + at) as u64,
                "journal record",
                malformed,
            ),
            Walk::Failed(error) => error,
        })?;
        self.unproven = placed;
        Ok(whole)
    }
}

/// Takes the store's salt off a batch header, verifies and reads it.
pub(crate) fn read_batch_header(data: &[u8], salt: u32) -> Result<(BatchHeader, u32), Malformed> {
    let mut header: [u8; BATCH_HEADER_BYTES] =
        *data.first_chunk().ok_or(Malformed::new("batch header length"))?;
    salt_header(&mut header, salt);
    BatchHeader::decode(&header)
}

/// True when every extent of a blob has the checksum it should have.
pub(crate) fn place_is_whole(media: &dyn Media, place: &BlobPlace) -> Result<bool> {
    for extent in place.all_extents() {
        match crc_of(media, extent.zone, u64::from(extent.offset), u64::from(extent.len)) {
            Ok(crc) if crc == extent.crc => {}
            Ok(_) | Err(Error::NotFound(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// True when a record lies where it should.
fn record_is_whole(media: &dyn Media, location: Location) -> Result<bool> {
    let mut data = vec![0; location.len as usize];
    match media.read(location.zone, location.offset.into(), &mut data) {
        Ok(()) => Ok(crate::read::verify_record(&data, location).is_ok()),
        Err(Error::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// CRC-32 of a run of bytes in a zone.
pub(crate) fn crc_of(media: &dyn Media, zone: ZoneId, offset: u64, len: u64) -> Result<u32> {
    const STRIDE: u64 = 1 << 20;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; len.min(STRIDE) as usize];
    let mut done = 0;
    while done < len {
        let step = (len - done).min(STRIDE) as usize;
        let window = buffer.get_mut(..step).unwrap_or_default();
        media.read(zone, offset + done, window)?;
        hasher.update(window);
        done += step as u64;
    }
    Ok(hasher.finalize())
}

/// Why a walk over records ended.
pub(crate) enum Walk {
    /// The record at this offset is not one.
    Malformed(usize, Malformed),
    /// The visitor failed.
    Failed(Error),
}

/// Visits each record of a verified batch with its offset.
pub(crate) fn for_each_record(
    records: &[u8],
    visit: &mut dyn FnMut(usize, RecordHeader, RecordBody<'_>) -> Result<()>,
) -> Result<(), Walk> {
    let mut at = 0;
    while at + RECORD_HEADER_BYTES <= records.len() {
        let rest = records.get(at..).unwrap_or_default();
        let (header, body) =
            RecordHeader::decode_record(rest).map_err(|m| Walk::Malformed(at, m))?;
        visit(at, header, body).map_err(Walk::Failed)?;
        at += header.len as usize;
    }
    if at == records.len() { Ok(()) } else { Err(Walk::Malformed(at, Malformed::new("record"))) }
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

fn missing_journal(what: String) -> Error {
    Error::Corrupt(Corruption {
        zone: None,
        offset: 0,
        what: "journal",
        expected: what,
        found: "no zone holds it".to_owned(),
    })
}
