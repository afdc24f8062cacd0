//! Reading the journal from a place on, batch by batch, into runs of what its records say.
//!
//! Invariants:
//! - the last batch may have been written beside data that never became durable: it counts only
//!   when all that it places in other zones verifies, the zones' headers too;
//! - a batch that does not verify is a torn tail only if nothing valid follows it; otherwise it is
//!   corruption, and the store does not open.

use std::collections::BTreeSet;

use crate::entry::Location;
use crate::error::{Corruption, Error, Result};
use crate::format::{
    BATCH_HEADER_BYTES, BatchHeader, BlobPlace, Malformed, RECORD_HEADER_BYTES, RecordBody,
    RecordHeader, Root, ZONE_DATA_OFFSET, ZoneHeader, salt_header,
};
use crate::id::{Lsn, ZoneId};
use crate::index::Change;
use crate::journal::Tail;
use crate::journal::replay::{Start, corrupt, missing_journal};
use crate::journal::run::{Run, Said, Step};
use crate::media::{Media, SECTOR_BYTES};

/// Bytes read at a time, or as many as a batch has: enough for the device, little for the caches.
const WINDOW_BYTES: usize = 1 << 20;

/// Reads the journal of one store.
pub(super) struct TailReader<'a> {
    pub(super) media: &'a dyn Media,
    pub(super) root: &'a Root,
    /// Journal zones from the one where replay begins, in order.
    pub(super) journal: &'a [ZoneHeader],
    /// Zones with a valid header.
    pub(super) zones: &'a BTreeSet<ZoneId>,
    pub(super) start: Start,
}

/// What the reader found.
#[derive(Debug, Default)]
pub(super) struct FoundTail {
    pub(super) tail: Tail,
    /// Zones of what the last batch placed: nothing proves that they were ever synced.
    pub(super) unproven: BTreeSet<ZoneId>,
    pub(super) records: u64,
    pub(super) bytes: u64,
}

/// A batch that was read and verified.
#[derive(Debug, Clone, Copy)]
struct Batch {
    header: BatchHeader,
    crc: u32,
    offset: u64,
}

/// The last batch so far: what it says counts once another follows.
#[derive(Debug, Clone, Copy)]
struct Held {
    batch: Batch,
    /// Its first step in the run.
    from: usize,
}

/// Where a batch must be, and what must precede it.
#[derive(Debug, Clone, Copy)]
struct Place {
    zone: ZoneId,
    offset: u64,
    lsn: Lsn,
    previous_crc: Option<u32>,
}

/// A walk through the journal.
struct Reading<'a> {
    window: Window<'a>,
    run: Run,
    held: Option<Held>,
    found: FoundTail,
}

/// Takes the runs of a walk, and none when no more follows.
pub(super) type Deliver<'a> = dyn FnMut(Option<Run>) -> Result<()> + 'a;

impl TailReader<'_> {
    /// Reads all there is. Answers the runs in order to `deliver`, which may end it by an error; with
    /// none when nothing more follows.
    pub(super) fn read(&self, deliver: &mut Deliver<'_>) -> Result<FoundTail> {
        let start = self.start;
        let begins_late = self.journal.first().is_some_and(|zone| zone.first_lsn != start.lsn);
        if start.zone.is_none() && begins_late {
            return Err(missing_journal(format!("LSN {}", start.lsn)));
        }
        let tail = Tail { next_lsn: start.lsn, time_ms: start.time_ms, ..Tail::default() };
        let mut reading = Reading {
            window: Window::new(self.media),
            run: Run::default(),
            held: None,
            found: FoundTail { tail, ..FoundTail::default() },
        };
        let mut last = None;
        for (ordinal, zone) in self.journal.iter().enumerate() {
            let end_lsn = self.journal.get(ordinal + 1).map(|next| next.first_lsn);
            let end = self.read_zone(zone.zone, end_lsn, &mut reading, deliver)?;
            if let Some(end_lsn) = end_lsn {
                end.refuse_before(end_lsn)?;
                continue;
            }
            let tail = &mut reading.found.tail;
            tail.zone = Some(end.zone);
            tail.offset = end.offset;
            tail.previous_crc = match end.previous_crc {
                Some(crc) => crc,
                None => self.crc_before(end.zone, end.offset)?,
            };
            last = Some(end);
        }
        let Reading { mut run, held, mut found, .. } = reading;
        if let Some(held) = held {
            self.settle_last(held, &mut run, &mut found)?;
        }
        deliver(Some(run))?;
        deliver(None)?;
        // Nobody waits for it unless it fails.
        if let Some(end) = last {
            self.refuse_hole(end)?;
        }
        Ok(found)
    }

    /// Reads the batches of a zone, up to the one of `end_lsn` or as far as there are any. Answers
    /// where the next one would be.
    fn read_zone(
        &self,
        zone: ZoneId,
        end_lsn: Option<Lsn>,
        reading: &mut Reading<'_>,
        deliver: &mut Deliver<'_>,
    ) -> Result<Place> {
        let Reading { window, run, held, found } = reading;
        let resumed = self.start.zone == Some(zone);
        let mut at = Place {
            zone,
            offset: if resumed { self.start.offset } else { ZONE_DATA_OFFSET },
            lsn: found.tail.next_lsn,
            previous_crc: if resumed { None } else { Some(0) },
        };
        while end_lsn.is_none_or(|end| at.lsn < end) {
            let Some((batch, records)) = self.read_batch(window, at)? else { break };
            if run.is_full() {
                deliver(Some(std::mem::take(run)))?;
            }
            *held = Some(Held { batch, from: run.len() });
            take_records(run, &batch, records)?;
            let header = batch.header;
            at.offset += header.padded_bytes();
            at.lsn = header.end_lsn();
            at.previous_crc = Some(batch.crc);
            found.records += u64::from(header.records);
            found.bytes += header.padded_bytes();
            found.tail.next_lsn = at.lsn;
            found.tail.time_ms = found.tail.time_ms.max(header.time_ms);
        }
        Ok(at)
    }

    /// Decides on the last batch.
    fn settle_last(&self, held: Held, run: &mut Run, found: &mut FoundTail) -> Result<()> {
        let Held { batch, from } = held;
        let tail = &mut found.tail;
        // A zone is only begun when all before it is durable: what rotted since is found when it is
        // read, and keeps nothing else from being served.
        if tail.zone != Some(batch.header.zone) {
            return Ok(());
        }
        found.unproven = run.since(from).iter().flat_map(zones_placed).collect();
        if self.data_is_whole(run.since(from))? {
            return Ok(());
        }
        // Never acknowledged: its data did not make it. The next batch takes its place.
        run.truncate(from);
        found.records -= u64::from(batch.header.records);
        tail.next_lsn = batch.header.first_lsn;
        tail.offset = batch.offset;
        tail.previous_crc = batch.header.previous_crc;
        Ok(())
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

    /// The batch at a place with its records, if there is one that continues the order.
    fn read_batch<'w>(
        &self,
        window: &'w mut Window<'_>,
        at: Place,
    ) -> Result<Option<(Batch, &'w [u8])>> {
        let Place { zone, offset, lsn, previous_crc } = at;
        if offset + SECTOR_BYTES > self.media.zone_bytes() {
            return Ok(None);
        }
        let bytes = window.view(zone, offset, BATCH_HEADER_BYTES)?;
        let Ok((header, crc)) = read_batch_header(bytes, self.root.salt()) else {
            return Ok(None);
        };
        let continues = header.zone == zone
            && header.first_lsn == lsn
            && header.epoch <= self.root.epoch
            && previous_crc.is_none_or(|previous| previous == header.previous_crc)
            && offset + header.padded_bytes() <= self.media.zone_bytes();
        if !continues {
            return Ok(None);
        }
        let len = BATCH_HEADER_BYTES + header.len as usize;
        let bytes = window.view(zone, offset, len)?;
        let records = bytes.get(BATCH_HEADER_BYTES..).unwrap_or_default();
        if crc32fast::hash(records) != header.crc {
            return Ok(None);
        }
        Ok(Some((Batch { header, crc, offset }, records)))
    }

    /// Errs when a later valid batch lies behind the end: then what is there was durable once and is
    /// not a torn tail.
    fn refuse_hole(&self, end: Place) -> Result<()> {
        let Place { zone, offset, lsn, .. } = end;
        let mut later = None;
        for_each_batch_header(self.media, self.root, zone, offset, &mut |at, header| {
            // An empty batch takes no LSN, so one of the same LSN behind it is later, too.
            if header.first_lsn > lsn || (at > offset && header.first_lsn == lsn) {
                later.get_or_insert((at, header.first_lsn));
            }
        })?;
        let Some((at, later)) = later else { return Ok(()) };
        Err(Error::Corrupt(Corruption {
            zone: Some(zone),
            offset,
            what: "journal batch",
            expected: format!("a batch of LSN {lsn}"),
            found: format!("no valid batch, yet LSN {later} follows at {at}"),
        }))
    }

    /// True when all that the steps place in other zones can be read back as it was written.
    fn data_is_whole(&self, steps: &[Step]) -> Result<bool> {
        if !steps.iter().flat_map(zones_placed).all(|zone| self.zones.contains(&zone)) {
            return Ok(false);
        }
        for step in steps {
            let is_whole = match &step.said {
                Said::Change(Change::Blob { place, .. }) => place_is_whole(self.media, place)?,
                Said::Change(Change::MoveRecord { to, .. }) => record_is_whole(self.media, *to)?,
                _ => true,
            };
            if !is_whole {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Place {
    /// Errs when the zone ended here and the next one begins with a later record.
    fn refuse_before(&self, end: Lsn) -> Result<()> {
        if self.lsn >= end {
            return Ok(());
        }
        Err(Error::Corrupt(Corruption {
            zone: Some(self.zone),
            offset: self.offset,
            what: "journal batch",
            expected: format!("LSN {} before zone of LSN {end}", self.lsn),
            found: "no valid batch".to_owned(),
        }))
    }
}

/// A part of a zone, read ahead.
struct Window<'a> {
    media: &'a dyn Media,
    zone: ZoneId,
    /// Where in the zone the buffer begins.
    start: u64,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were read.
    filled: usize,
}

impl<'a> Window<'a> {
    fn new(media: &'a dyn Media) -> Self {
        Self { media, zone: ZoneId(0), start: 0, buffer: Vec::new(), filled: 0 }
    }

    /// The bytes at a place of a zone.
    fn view(&mut self, zone: ZoneId, offset: u64, len: usize) -> Result<&[u8]> {
        let end = self.start + self.filled as u64;
        let begins_inside = self.zone == zone && (self.start..=end).contains(&offset);
        let known = if begins_inside { (end - offset) as usize } else { 0 };
        if known < len {
            self.advance(zone, offset, known, len)?;
        }
        let from = (offset - self.start) as usize;
        Ok(self.buffer.get(from..from + len).unwrap_or_default())
    }

    /// Moves to `offset`, keeping the `known` bytes from there on, and reads up to `len` or more.
    fn advance(&mut self, zone: ZoneId, offset: u64, known: usize, len: usize) -> Result<()> {
        if known < self.filled {
            self.buffer.copy_within(self.filled - known..self.filled, 0);
        }
        (self.zone, self.start, self.filled) = (zone, offset, known);
        let rest = self.media.zone_bytes().saturating_sub(offset);
        let ahead = rest.min(len.max(WINDOW_BYTES) as u64) as usize;
        if self.fill(ahead.max(len)).is_err() {
            // A bad sector behind what is asked for is none of the caller's business.
            self.fill(len)?;
        }
        Ok(())
    }

    fn fill(&mut self, len: usize) -> Result<()> {
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        let missing = self.buffer.get_mut(self.filled..len).unwrap_or_default();
        self.media.read(self.zone, self.start + self.filled as u64, missing)?;
        self.filled = len;
        Ok(())
    }
}

/// The zones in which a record says that something lies.
fn zones_placed(step: &Step) -> Vec<ZoneId> {
    match &step.said {
        Said::Change(Change::Blob { place, .. }) => {
            place.all_extents().map(|extent| extent.zone).collect()
        }
        Said::Change(Change::MoveRecord { to, .. }) => vec![to.zone],
        _ => Vec::new(),
    }
}

/// Adds what the records of a batch say to a run.
fn take_records(run: &mut Run, batch: &Batch, records: &[u8]) -> Result<()> {
    let zone = batch.header.zone;
    let base = batch.offset + BATCH_HEADER_BYTES as u64;
    for_each_record(records, &mut |at, header, body| {
        let offset = (base + at as u64) as u32;
        let location = Location { zone, offset, len: header.len, crc: header.crc };
        run.push(header.lsn, body, location);
    })
    .map_err(|Walk { at, malformed }| corrupt(zone, base + at as u64, "journal record", malformed))
}

/// Takes the store's salt off a batch header, verifies and reads it.
pub(crate) fn read_batch_header(data: &[u8], salt: u32) -> Result<(BatchHeader, u32), Malformed> {
    let mut header: [u8; BATCH_HEADER_BYTES] =
        *data.first_chunk().ok_or(Malformed::new("batch header length"))?;
    salt_header(&mut header, salt);
    BatchHeader::decode(&header)
}

/// Visits what looks like the beginning of a batch that was written for this zone, in order, from
/// `offset` on.
pub(super) fn for_each_batch_header(
    media: &dyn Media,
    root: &Root,
    zone: ZoneId,
    offset: u64,
    visit: &mut dyn FnMut(u64, BatchHeader),
) -> Result<()> {
    let salt = root.salt();
    let mut buffer = vec![0; WINDOW_BYTES];
    let mut at = offset;
    while at < media.zone_bytes() {
        let len = (media.zone_bytes() - at).min(WINDOW_BYTES as u64) as usize;
        let window = buffer.get_mut(..len).unwrap_or_default();
        media.read(zone, at, window)?;
        let sectors = window.chunks(SECTOR_BYTES as usize);
        for (offset, sector) in (at..).step_by(SECTOR_BYTES as usize).zip(sectors) {
            if let Ok((header, _)) = read_batch_header(sector, salt)
                && header.zone == zone
            {
                visit(offset, header);
            }
        }
        at += len as u64;
    }
    Ok(())
}

/// True when every extent of a blob has the checksum it should have.
fn place_is_whole(media: &dyn Media, place: &BlobPlace) -> Result<bool> {
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
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; len.min(WINDOW_BYTES as u64) as usize];
    let mut done = 0;
    while done < len {
        let step = (len - done).min(WINDOW_BYTES as u64) as usize;
        let window = buffer.get_mut(..step).unwrap_or_default();
        media.read(zone, offset + done, window)?;
        hasher.update(window);
        done += step as u64;
    }
    Ok(hasher.finalize())
}

/// A walk over records ended at this offset: there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walk {
    pub(crate) at: usize,
    pub(crate) malformed: Malformed,
}

/// Visits each record of a verified batch with its offset.
pub(crate) fn for_each_record(
    records: &[u8],
    visit: &mut dyn FnMut(usize, RecordHeader, RecordBody<'_>),
) -> Result<(), Walk> {
    let mut at = 0;
    while at + RECORD_HEADER_BYTES <= records.len() {
        let rest = records.get(at..).unwrap_or_default();
        let (header, body) =
            RecordHeader::decode_record(rest).map_err(|malformed| Walk { at, malformed })?;
        visit(at, header, body);
        at += header.len as usize;
    }
    let rest = Walk { at, malformed: Malformed::new("record") };
    if at == records.len() { Ok(()) } else { Err(rest) }
}
