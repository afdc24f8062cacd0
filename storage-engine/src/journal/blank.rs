//! Zones without a header: made and never used, or used and rotten?
//!
//! - A zone's header is durable with its first batch, and the second is written only then. So a batch
//!   of the zone's own behind its first place proves that the header was there once.
//! - One batch, in the first place, may be what a crash left of a group that nobody was told of: it
//!   proves nothing.
//! - A batch of a former life names another zone.

use crate::error::{Corruption, Error, Result};
use crate::format::{BatchHeader, Root, ZONE_DATA_OFFSET};
use crate::id::{Lsn, ZoneId};
use crate::journal::tail::read_batch_header;
use crate::media::{Media, SECTOR_BYTES};

/// Bytes looked at by one read.
const STRIDE_BYTES: u64 = 1 << 20;

/// Errs when a zone without a header held records that replay, which ended before `next_lsn`, has not
/// seen: they were acknowledged.
pub(super) fn refuse_lost_records(
    media: &dyn Media,
    root: &Root,
    blank: &[ZoneId],
    next_lsn: Lsn,
) -> Result<()> {
    for &zone in blank {
        let mut end = Lsn(0);
        let mut proof = None;
        for_each_batch_header(media, root, zone, &mut |offset, header| {
            end = end.max(Lsn(header.first_lsn.0.saturating_add(header.records.into())));
            if offset > ZONE_DATA_OFFSET {
                proof.get_or_insert((offset, header.first_lsn));
            }
        })?;
        let Some((offset, lsn)) = proof.filter(|_| end > next_lsn) else { continue };
        return Err(Error::Corrupt(Corruption {
            zone: Some(zone),
            offset: 0,
            what: "zone header",
            expected: "one of two valid copies".to_owned(),
            found: format!("neither, and a batch of LSN {lsn} at {offset}"),
        }));
    }
    Ok(())
}

/// Visits what looks like the beginning of a batch that was written for this zone, in order.
fn for_each_batch_header(
    media: &dyn Media,
    root: &Root,
    zone: ZoneId,
    visit: &mut dyn FnMut(u64, BatchHeader),
) -> Result<()> {
    let salt = root.salt();
    let mut buffer = vec![0; STRIDE_BYTES as usize];
    let mut at = ZONE_DATA_OFFSET;
    while at < media.zone_bytes() {
        let len = (media.zone_bytes() - at).min(STRIDE_BYTES) as usize;
        let window = buffer.get_mut(..len).unwrap_or_default();
        media.read(zone, at, window)?;
        for (offset, sector) in
            (at..).step_by(SECTOR_BYTES as usize).zip(window.chunks(SECTOR_BYTES as usize))
        {
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
