//! The journal: commit groups appended to journal zones, one in flight at a time.
//!
//! - A group is one batch on the device: header, records, padding. It begins on a sector boundary
//!   and is never rewritten, so nothing acknowledged shares a sector with a later write.
//! - The group's own sync covers a new zone's header too.
//! - A group that fails to be written or synced is written once more, into a fresh zone; its first
//!   home is never written again. When that fails too, the lane stops.

mod blank;
pub(crate) mod replay;
mod run;
pub(crate) mod tail;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::{Error, Result};
use crate::format::{
    BATCH_HEADER_BYTES, BatchHeader, RecordHeader, ZONE_DATA_OFFSET, ZoneClass, salt_header,
};
use crate::id::{Lsn, ZoneId};
use crate::media::{SECTOR_BYTES, Sector, sector_bytes_mut};
use crate::zone::{Claim, Zone, Zones};

/// Where the next batch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) zone: ZoneId,
    pub(crate) offset: u64,
    /// LSN of the next record.
    pub(crate) lsn: Lsn,
}

/// Encoded records of one group, with room for the header in front.
#[derive(Debug)]
pub(crate) struct Group {
    sectors: Vec<Sector>,
    len: usize,
    records: u32,
    first_lsn: Lsn,
}

impl Group {
    pub(crate) fn new(first_lsn: Lsn, spare: Vec<Sector>) -> Self {
        Self { sectors: spare, len: BATCH_HEADER_BYTES, records: 0, first_lsn }
    }

    /// Bytes so far, header included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// LSN of the next record.
    pub(crate) fn next_lsn(&self) -> Lsn {
        Lsn(self.first_lsn.0 + u64::from(self.records))
    }

    /// Appends a record; answers its offset within the batch, its length and its CRC.
    pub(crate) fn push(&mut self, kind: u8, lsn: Lsn, body: &[u8]) -> (u32, u32, u32) {
        let header = RecordHeader {
            kind,
            lsn,
            len: (crate::format::RECORD_HEADER_BYTES + body.len()) as u32,
            crc: crc32fast::hash(body),
        };
        let offset = self.len as u32;
        self.append(&header.encode());
        self.append(body);
        self.records += 1;
        (offset, header.len, header.crc)
    }

    fn append(&mut self, data: &[u8]) {
        let end = self.len + data.len();
        let sectors = end.div_ceil(SECTOR_BYTES as usize);
        if self.sectors.len() < sectors {
            self.sectors.resize(sectors.next_power_of_two(), Sector::ZERO);
        }
        sector_bytes_mut(&mut self.sectors)[self.len..end].copy_from_slice(data);
        self.len = end;
    }

    /// Completes the header for a place and answers the sectors to write and the header's CRC.
    fn finish(
        &mut self,
        zones: &Zones,
        zone: ZoneId,
        durable_lsn: Lsn,
        time_ms: u64,
        previous_crc: u32,
    ) -> (&[Sector], u32) {
        if self.sectors.is_empty() {
            self.sectors.resize(1, Sector::ZERO);
        }
        let padded = self.len.next_multiple_of(SECTOR_BYTES as usize);
        let bytes = sector_bytes_mut(&mut self.sectors);
        bytes[self.len..padded].fill(0);
        let header = BatchHeader {
            zone,
            epoch: zones.epoch,
            first_lsn: self.first_lsn,
            durable_lsn,
            time_ms,
            records: self.records,
            len: (self.len - BATCH_HEADER_BYTES) as u32,
            crc: crc32fast::hash(&bytes[BATCH_HEADER_BYTES..self.len]),
            previous_crc,
            partition: 0,
        };
        let mut encoded = header.encode();
        let mut crc = [0; 4];
        crc.copy_from_slice(&encoded[BATCH_HEADER_BYTES - 4..]);
        salt_header(&mut encoded, zones.salt);
        bytes[..BATCH_HEADER_BYTES].copy_from_slice(&encoded);
        (&self.sectors[..padded / SECTOR_BYTES as usize], u32::from_le_bytes(crc))
    }

    /// Gives the buffer back for the next group.
    pub(crate) fn recycle(self) -> Vec<Sector> {
        self.sectors
    }
}

/// The writing end of the journal.
#[derive(Debug)]
pub(crate) struct Journal {
    zone: Option<Arc<Zone>>,
    /// Zones before it, until it holds something durable: without that, the next open goes on in them.
    left: Vec<Arc<Zone>>,
    offset: u64,
    previous_crc: u32,
    next_lsn: Lsn,
    durable_lsn: Lsn,
    time_ms: u64,
}

/// Where a journal goes on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tail {
    pub(crate) zone: Option<ZoneId>,
    pub(crate) offset: u64,
    pub(crate) previous_crc: u32,
    pub(crate) next_lsn: Lsn,
    pub(crate) time_ms: u64,
}

impl Journal {
    /// Goes on behind `tail`; in a fresh zone when that of the tail is sealed.
    pub(crate) fn resume(zones: &Zones, tail: Tail) -> Result<Self> {
        let zone = tail.zone.map(|id| zones.pin(id)).transpose()?;
        let zone = zone.filter(|zone| !zone.is_sealed());
        if let Some(zone) = &zone {
            zone.reopen();
        }
        Ok(Self {
            zone,
            left: Vec::new(),
            offset: tail.offset,
            previous_crc: tail.previous_crc,
            next_lsn: tail.next_lsn,
            durable_lsn: Lsn(tail.next_lsn.0.saturating_sub(1)),
            time_ms: tail.time_ms,
        })
    }

    pub(crate) fn next_lsn(&self) -> Lsn {
        self.next_lsn
    }

    /// The highest time journaled, raised to `now_ms`.
    pub(crate) fn advance_time(&mut self, now_ms: u64) -> u64 {
        self.time_ms = self.time_ms.max(now_ms);
        self.time_ms
    }

    pub(crate) fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// Where the next batch goes; none before the first zone was made.
    pub(crate) fn position(&self) -> Option<Position> {
        let zone = self.zone.as_ref()?;
        Some(Position { zone: zone.id, offset: self.offset, lsn: self.next_lsn })
    }

    /// Largest group a zone can take.
    pub(crate) fn group_bytes_max(zones: &Zones) -> usize {
        (zones.zone_bytes() - ZONE_DATA_OFFSET) as usize
    }

    /// Writes a group and makes it durable, `beside` the data zones it needs. Answers where it
    /// begins: record offsets count from there.
    pub(crate) fn write(
        &mut self,
        zones: &Zones,
        group: &mut Group,
        claim: Claim,
        sync_data: &mut dyn FnMut(Stage) -> Result<()>,
    ) -> Result<(ZoneId, u64)> {
        let padded = (group.len() as u64).next_multiple_of(SECTOR_BYTES);
        self.make_room(zones, padded, claim)?;
        sync_data(Stage::Start)?;
        let written = match self.write_here(zones, group) {
            Ok(at) => Ok(at),
            Err(first @ Error::Io { .. }) => {
                tracing::error!(error = %first, "journal write failed, using a fresh zone");
                self.leave_zone();
                self.make_room(zones, padded, Claim::Engine)
                    .and_then(|()| self.write_here(zones, group))
                    .map_err(|second| Error::Stopped {
                        reason: format!("journal write failed twice: {first}; then {second}"),
                    })
            }
            Err(other) => Err(other),
        };
        sync_data(Stage::Finish)?;
        let (zone, offset, header_crc) = written?;
        self.offset = offset + padded;
        self.previous_crc = header_crc;
        self.next_lsn = Lsn(self.next_lsn.0 + u64::from(group.records));
        self.durable_lsn = Lsn(self.next_lsn.0 - 1);
        if let Some(held) = &self.zone {
            held.last_lsn.store(self.durable_lsn.0, Ordering::Release);
        }
        self.left.drain(..).for_each(|zone| zone.close());
        Ok((zone, offset))
    }

    fn write_here(&self, zones: &Zones, group: &mut Group) -> Result<(ZoneId, u64, u32)> {
        let Some(zone) = &self.zone else {
            return Err(Error::Stopped { reason: "the journal has no zone".to_owned() });
        };
        let (sectors, crc) =
            group.finish(zones, zone.id, self.durable_lsn, self.time_ms, self.previous_crc);
        zones.write(zone, self.offset, sectors)?;
        zones.sync(zone)?;
        Ok((zone.id, self.offset, crc))
    }

    fn make_room(&mut self, zones: &Zones, padded: u64, claim: Claim) -> Result<()> {
        let fits = self.zone.is_some() && self.offset + padded <= zones.zone_bytes();
        if fits {
            return Ok(());
        }
        let zone = zones.create(ZoneClass::Journal, self.next_lsn, 0, claim)?;
        self.leave_zone();
        zone.last_lsn.store(self.durable_lsn.0, Ordering::Release);
        self.zone = Some(zone);
        self.offset = ZONE_DATA_OFFSET;
        self.previous_crc = 0;
        Ok(())
    }

    fn leave_zone(&mut self) {
        self.left.extend(self.zone.take());
    }
}

/// The two moments of syncing data zones beside the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The journal is about to be written: begin.
    Start,
    /// The journal is durable: wait for the data.
    Finish,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Root;
    use crate::id::Epoch;
    use crate::media::{Media, SimEnvironment, SimMedia, SimOptions};

    #[test]
    fn a_zone_is_sealed_when_the_next_one_holds_something_durable_and_not_before() {
        let media = Arc::new(SimMedia::new(&SimOptions::default()));
        let root = Root {
            partitions: 1,
            epoch: Epoch(1),
            store: [1; 16],
            created_ms: 0,
            zone_ids_end: 100,
            key: Vec::new(),
        };
        let environment = Arc::new(SimEnvironment::new(1));
        let device = Arc::clone(&media) as Arc<dyn Media>;
        let zones = Zones::new(device, environment, root, &[], 1).unwrap();
        let mut journal = Journal::resume(&zones, Tail::default()).unwrap();
        let body = vec![7; 100_000];
        let sealed = |zone: ZoneId| media.is_sealed(zone).unwrap();
        let mut previous = None;
        for _ in 0..10 {
            let mut group = Group::new(journal.next_lsn(), Vec::new());
            group.push(1, journal.next_lsn(), &body);
            let mut before_the_write = |stage| {
                if stage == Stage::Start {
                    zones.seal_settled();
                    assert!(previous.is_none_or(|zone| !sealed(zone)));
                }
                Ok(())
            };
            let (zone, _) =
                journal.write(&zones, &mut group, Claim::Vital, &mut before_the_write).unwrap();
            zones.seal_settled();
            assert!(!sealed(zone));
            if let Some(left) = previous.filter(|left| *left != zone) {
                assert!(sealed(left));
            }
            previous = Some(zone);
        }
        assert!(previous > Some(ZoneId(3)), "the journal went through several zones");
    }
}
