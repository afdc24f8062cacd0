//! Verifying zones without keys: in the background while serving, and offline for `lodestore check`.
//! What is verified is what the device holds, not what a cache remembers of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::checkpoint::{Outline, verify_blocks};
use crate::cipher::MasterKey;
use crate::device_view::DeviceView;
use crate::engine::Inner;
use crate::engine::ownership::read_root;
use crate::entry::Location;
use crate::error::{Corruption, Error, Result};
use crate::format::{
    BATCH_HEADER_BYTES, BlockHeader, BlockKind, CHECKPOINT_BLOCK_HEADER_BYTES, RecordHeader,
    ZONE_DATA_OFFSET, ZoneClass, ZoneHeader, salt_header,
};
use crate::id::{Lsn, ZoneId};
use crate::index::{Index, Visit};
use crate::journal::replay::{FoundCheckpoint, checkpoints_of, read_header, recover};
use crate::journal::tail::{Walk, crc_of, for_each_record, read_batch_header};
use crate::keeper::Mover;
use crate::media::{Media, SECTOR_BYTES};
use crate::zone::Zone;

/// What `check` looked at and found.
#[derive(Debug, Clone, Default)]
pub struct CheckReport {
    /// Zones read.
    pub zones: u64,
    /// Journal batches verified.
    pub batches: u64,
    /// Records verified.
    pub records: u64,
    /// Versions whose record was verified.
    pub versions: u64,
    /// Blobs verified.
    pub blobs: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Zones that were made and never used.
    pub blank_zones: u64,
    /// What does not verify.
    pub corruptions: Vec<Corruption>,
}

/// Verifies a store that nobody has open, without changing it: every zone header, journal batch,
/// record, checkpoint block, extent and reference.
pub fn check(media: &dyn Media, master: &dyn MasterKey) -> Result<CheckReport> {
    let Some(bytes) = media.root()? else {
        return Err(Error::Invalid("no store lies here: there is no root object".to_owned()));
    };
    let root = read_root(&bytes)?;
    let mut report = CheckReport::default();
    let view = DeviceView::new(media);
    let recovered = match recover(media, master, &root, None) {
        Ok(recovered) => recovered,
        Err(Error::Corrupt(corruption)) => {
            report.corruptions.push(corruption);
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    let media = &view;
    if recovered.missing_blobs > 0 {
        report.corruptions.push(missing_blobs(recovered.missing_blobs));
    }
    report.blank_zones = recovered.blank.len() as u64;
    for blank in &recovered.blank {
        if recovered.index.live_bytes(*blank) > 0 {
            report.corruptions.push(bad_header(*blank));
        }
    }
    let end = recovered.tail.next_lsn;
    let mut finished = BTreeSet::new();
    for header in recovered.headers.iter().filter(|h| h.class == ZoneClass::Checkpoint) {
        if is_finished(media, header.zone, header.salt())? {
            finished.insert(header.first_lsn);
        }
    }
    let needed_from = recovered.checkpoints.first().map_or(Lsn(0), |oldest| oldest.lsn);
    for header in &recovered.headers {
        report.zones += 1;
        let batches = report.batches;
        match header.class {
            ZoneClass::Journal => {
                let journal = recovered.headers.iter().filter(|h| h.class == ZoneClass::Journal);
                let later =
                    journal.filter(|h| (h.first_lsn, h.zone) > (header.first_lsn, header.zone));
                let next = later.map(|h| h.first_lsn).min().unwrap_or(end);
                let reaches = if next > needed_from.next() { next } else { Lsn(0) };
                check_journal(media, header, end, reaches, &mut report)?;
            }
            // Checked whole below.
            ZoneClass::Checkpoint | ZoneClass::Data | ZoneClass::Survivor => {}
        }
        // A header is durable with the first sync of its zone: before it, a crash may tear it.
        let was_synced = match header.class {
            ZoneClass::Journal => {
                Some(header.zone) != recovered.tail.zone || report.batches > batches + 1
            }
            ZoneClass::Checkpoint => finished.contains(&header.first_lsn),
            ZoneClass::Data | ZoneClass::Survivor => {
                recovered.index.live_bytes(header.zone) > 0
                    && !recovered.unproven.contains(&header.zone)
            }
        };
        if was_synced {
            check_header_copies(media, header, &mut report)?;
        }
    }
    for checkpoint in checkpoints_of(&recovered.headers) {
        if finished.contains(&checkpoint.lsn) {
            check_checkpoint(media, &checkpoint, root.salt(), &mut report)?;
        }
    }
    check_blobs(media, &recovered.index, &mut report)?;
    check_versions(media, &recovered.index, &mut report)?;
    Ok(report)
}

impl Inner {
    /// Verifies one zone while serving.
    pub(crate) fn scrub_zone(&self, zone: &Arc<Zone>) -> Result<Vec<Corruption>> {
        let media = &DeviceView::new(self.zones.media.as_ref());
        let mut report = CheckReport::default();
        let header = read_header(media, zone.id)?;
        match &header {
            Some(header) => check_header_copies(media, header, &mut report)?,
            None => report.corruptions.push(bad_header(zone.id)),
        }
        match zone.class {
            ZoneClass::Journal => {
                let end = Lsn(zone.last_lsn.load(Ordering::Acquire)).next();
                let needed = end > self.journal_not_needed_to().next();
                let reaches = if needed { end } else { Lsn(0) };
                if let Some(header) = &header {
                    check_journal(media, header, end, reaches, &mut report)?;
                }
            }
            ZoneClass::Checkpoint => {
                let salt = self.zones.salt;
                note(verify_blocks(media, zone.id, Lsn(0), salt).map(|_| ()), &mut report)?;
            }
            ZoneClass::Data | ZoneClass::Survivor => {
                self.scrub_live(media, zone.id, &mut report)?;
            }
        }
        self.counters.note_scrubbed();
        for _ in &report.corruptions {
            self.counters.note_corruption();
        }
        Ok(report.corruptions)
    }

    /// Verifies what lies in a zone of extents. A blob or record that moved away or went meanwhile is
    /// no corruption.
    fn scrub_live(&self, media: &dyn Media, zone: ZoneId, report: &mut CheckReport) -> Result<()> {
        let places: Vec<_> = {
            let index = self.index.read();
            let held = index.blobs.iter();
            held.filter(|(_, blob)| blob.place.all_extents().any(|extent| extent.zone == zone))
                .map(|(id, blob)| (*id, Arc::clone(&blob.place)))
                .collect()
        };
        for (id, place) in places {
            for extent in place.all_extents().filter(|extent| extent.zone == zone) {
                let crc = crc_of(media, zone, extent.offset.into(), extent.len.into())?;
                let still = || {
                    let index = self.index.read();
                    index.blobs.get(&id).is_some_and(|blob| Arc::ptr_eq(&blob.place, &place))
                };
                if crc != extent.crc && still() {
                    report.corruptions.push(bad_extent(zone, extent.offset, extent.crc, crc));
                }
            }
        }
        let mut records = self.records_in(zone);
        records.sort_unstable_by_key(|record| record.from.offset);
        for Mover { space, name, sequence, from } in records {
            let checked = check_record(media, from);
            let now = || self.index.read().by_sequence(space, &name, sequence);
            if checked.is_err() && now().is_some_and(|entry| entry.location == from) {
                note(checked, report)?;
            }
        }
        Ok(())
    }
}

fn check_header_copies(
    media: &dyn Media,
    header: &ZoneHeader,
    report: &mut CheckReport,
) -> Result<()> {
    for copy in 0..ZONE_DATA_OFFSET / SECTOR_BYTES {
        let mut bytes = [0; 128];
        media.read(header.zone, copy * SECTOR_BYTES, &mut bytes)?;
        if ZoneHeader::decode(&bytes) != Ok(*header) {
            report
                .corruptions
                .push(Corruption { offset: copy * SECTOR_BYTES, ..bad_header(header.zone) });
        }
    }
    Ok(())
}

/// Walks the batches of a journal zone up to `end`; they must get to `reaches`.
fn check_journal(
    media: &dyn Media,
    header: &ZoneHeader,
    end: Lsn,
    reaches: Lsn,
    report: &mut CheckReport,
) -> Result<()> {
    let (zone, salt) = (header.zone, header.salt());
    let mut offset = ZONE_DATA_OFFSET;
    let mut previous = 0;
    let mut reached = header.first_lsn;
    while offset + SECTOR_BYTES <= media.zone_bytes() {
        let mut bytes = [0; BATCH_HEADER_BYTES];
        media.read(zone, offset, &mut bytes)?;
        let Ok((header, crc)) = read_batch_header(&bytes, salt) else { break };
        let continues = header.zone == zone
            && header.previous_crc == previous
            && offset + header.padded_bytes() <= media.zone_bytes();
        if !continues || header.first_lsn > end {
            break;
        }
        if header.first_lsn == end && header.records > 0 {
            break;
        }
        let mut records = vec![0; header.len as usize];
        media.read(zone, offset + BATCH_HEADER_BYTES as u64, &mut records)?;
        report.bytes += header.padded_bytes();
        let found = crc32fast::hash(&records);
        if found != header.crc {
            report.corruptions.push(Corruption {
                zone: Some(zone),
                offset,
                what: "journal batch",
                expected: format!("crc {:08x}", header.crc),
                found: format!("crc {found:08x}"),
            });
        } else {
            report.batches += 1;
            let walked = for_each_record(&records, &mut |_, _, _| report.records += 1);
            if let Err(Walk { at, malformed }) = walked {
                report.corruptions.push(Corruption {
                    zone: Some(zone),
                    offset: offset + (BATCH_HEADER_BYTES + at) as u64,
                    what: "journal record",
                    expected: "a valid record".to_owned(),
                    found: format!("bad {}", malformed.what),
                });
            }
        }
        previous = crc;
        offset += header.padded_bytes();
        reached = header.end_lsn();
    }
    if reached < reaches {
        report.corruptions.push(Corruption {
            zone: Some(zone),
            offset,
            what: "journal batch",
            expected: format!("batches up to LSN {reaches}"),
            found: format!("none from LSN {reached} on"),
        });
    }
    Ok(())
}

/// True when a checkpoint ends in this zone. All else of it was durable before its end was written:
/// one without an end was never finished, one with an end was whole.
fn is_finished(media: &dyn Media, zone: ZoneId, salt: u32) -> Result<bool> {
    let mut offset = ZONE_DATA_OFFSET;
    while offset + SECTOR_BYTES <= media.zone_bytes() {
        let mut bytes = [0; CHECKPOINT_BLOCK_HEADER_BYTES];
        media.read(zone, offset, &mut bytes)?;
        salt_header(&mut bytes, salt);
        let header = BlockHeader::decode(&bytes).ok().filter(|header| header.zone == zone);
        if header.is_some_and(|header| header.kind == BlockKind::End) {
            return Ok(true);
        }
        offset += SECTOR_BYTES;
    }
    Ok(false)
}

fn check_checkpoint(
    media: &dyn Media,
    checkpoint: &FoundCheckpoint,
    salt: u32,
    report: &mut CheckReport,
) -> Result<()> {
    let outline = match Outline::read(media, checkpoint, salt) {
        Ok(Some(outline)) => outline,
        Ok(None) => {
            report.corruptions.push(Corruption {
                zone: checkpoint.zones.first().copied(),
                offset: ZONE_DATA_OFFSET,
                what: "checkpoint block",
                expected: "all zones and blocks up to the end".to_owned(),
                found: "a gap before the end".to_owned(),
            });
            return Ok(());
        }
        Err(error) => return note(Err(error), report),
    };
    for block in &outline.blocks {
        let verified = block.read(media).map(|block| report.bytes += block.len() as u64);
        note(verified, report)?;
    }
    Ok(())
}

fn check_blobs(media: &dyn Media, index: &Index, report: &mut CheckReport) -> Result<()> {
    for blob in index.blobs.values() {
        for extent in blob.place.all_extents() {
            match crc_of(media, extent.zone, extent.offset.into(), extent.len.into()) {
                Ok(crc) if crc == extent.crc => {}
                Ok(crc) => {
                    let found = bad_extent(extent.zone, extent.offset, extent.crc, crc);
                    report.corruptions.push(found);
                }
                Err(error) => note(Err(as_corruption(error, extent.zone, extent.offset)), report)?,
            }
            report.bytes += u64::from(extent.len);
        }
        report.blobs += 1;
    }
    Ok(())
}

fn check_versions(media: &dyn Media, index: &Index, report: &mut CheckReport) -> Result<()> {
    let mut failed = Ok(());
    for space in index.spaces.values() {
        for table in [&space.current, &space.history] {
            table.visit(std::ops::Bound::Unbounded, &mut |_, entry| {
                report.versions += 1;
                failed = note(check_record(media, entry.location), report);
                if failed.is_ok() { Visit::Next } else { Visit::Stop }
            });
            std::mem::replace(&mut failed, Ok(()))?;
        }
    }
    failed
}

fn check_record(media: &dyn Media, location: Location) -> Result<()> {
    let mut data = vec![0; location.len as usize];
    media
        .read(location.zone, location.offset.into(), &mut data)
        .map_err(|error| as_corruption(error, location.zone, location.offset))?;
    crate::read::verify_record(&data, location)?;
    RecordHeader::decode_record(&data).map(|_| ()).map_err(|malformed| {
        crate::journal::replay::corrupt(location.zone, location.offset.into(), "record", malformed)
    })
}

/// A reference that leads nowhere is corruption, whatever the device calls it.
pub(crate) fn as_corruption(error: Error, zone: ZoneId, offset: u32) -> Error {
    match error {
        Error::NotFound(_) | Error::Io { .. } => Error::Corrupt(Corruption {
            zone: Some(zone),
            offset: offset.into(),
            what: "reference",
            expected: "readable bytes".to_owned(),
            found: error.to_string(),
        }),
        other => other,
    }
}

/// Keeps a corruption in the report; anything else ends the check.
fn note(result: Result<()>, report: &mut CheckReport) -> Result<()> {
    match result {
        Err(Error::Corrupt(corruption)) => {
            report.corruptions.push(corruption);
            Ok(())
        }
        other => other,
    }
}

/// An extent whose bytes have another checksum.
pub(crate) fn bad_extent(zone: ZoneId, offset: u32, expected: u32, found: u32) -> Corruption {
    Corruption {
        zone: Some(zone),
        offset: offset.into(),
        what: "extent",
        expected: format!("crc {expected:08x}"),
        found: format!("crc {found:08x}"),
    }
}

fn bad_header(zone: ZoneId) -> Corruption {
    Corruption {
        zone: Some(zone),
        offset: 0,
        what: "zone header",
        expected: "two equal valid copies".to_owned(),
        found: "a copy that is not".to_owned(),
    }
}

fn missing_blobs(count: usize) -> Corruption {
    Corruption {
        zone: None,
        offset: 0,
        what: "index",
        expected: "every blob that versions refer to".to_owned(),
        found: format!("{count} blobs missing"),
    }
}
