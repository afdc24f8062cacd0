//! Zones without a header: made and never used, or used and rotten?
//!
//! - A zone's header is durable with its first batch, and the second is written only then. So a batch
//!   of the zone's own behind its first place proves that the header was there once.
//! - One batch, in the first place, may be what a crash left of a group that nobody was told of: it
//!   proves nothing.
//! - A batch of a former life names another zone.

use crate::error::{Corruption, Error, Result};
use crate::format::{Root, ZONE_DATA_OFFSET};
use crate::id::{Lsn, ZoneId};
use crate::journal::tail::for_each_batch_header;
use crate::media::Media;

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
        for_each_batch_header(media, root, zone, ZONE_DATA_OFFSET, &mut |offset, header| {
            end = end.max(header.end_lsn());
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
