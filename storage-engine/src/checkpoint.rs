//! Checkpoints: the index written down while it changes, and read back.
//!
//! Names are written in runs, each under one short read lock with the LSN as of which it is complete;
//! replay from the checkpoint's start skips what a run already holds. All versions of a name are in
//! one run, because versions move between the current and the older ones.
//!
//! Two checkpoints are kept, and the journal since the older: one that cannot be read back costs a
//! longer replay, not the store.

use std::sync::Arc;

use crate::engine::Inner;
use crate::entry::Entry;
use crate::error::{Corruption, Error, Result};
use crate::format::{
    BLOCK_ORDINAL_MAX, BlockHeader, BlockKind, CHECKPOINT_BLOCK_HEADER_BYTES, CheckpointEnd,
    Malformed, NamedVersion, ZONE_DATA_OFFSET, ZoneClass, decode_blobs, decode_spaces,
    decode_versions, encode_blobs, encode_spaces, encode_versions, salt_header,
};
use crate::id::{BlobId, Lsn, ROOT_SPACE, SpaceId, ZoneId};
use crate::index::{Change, Index, history_key};
use crate::journal::Position;
use crate::journal::replay::{CHECKPOINTS_KEPT, FoundCheckpoint, Loaded, Start, corrupt};
use crate::media::{Media, SECTOR_BYTES, Sector, sector_bytes_mut};
use crate::zone::{Claim, Zone};

/// Versions written under one read lock.
const RUN_VERSIONS: usize = 2048;
/// A block is about half as long, and in small zones less.
const BLOCK_BYTES: usize = 1 << 20;
/// Blobs written under one read lock.
const RUN_BLOBS: usize = 4096;

/// Writes blocks into checkpoint zones.
struct Writer<'a> {
    inner: &'a Inner,
    lsn: Lsn,
    zones: Vec<Arc<Zone>>,
    offset: u64,
    /// Blocks written.
    blocks: u32,
}

impl Inner {
    /// Writes a checkpoint and lets go of the ones and the journal before the last but one. Answers
    /// false when nothing was committed since the last.
    pub(crate) fn checkpoint(&self) -> Result<bool> {
        let mut kept = self.checkpoints.lock();
        let Some(position) = self.position() else { return Ok(false) };
        let lsn = Lsn(position.lsn.0 - 1);
        if kept.last().is_some_and(|last| last.lsn == lsn) {
            return Ok(false);
        }
        let started = self.environment.monotonic();
        let covered_bytes = self.counters.tail_bytes();
        let mut writer = Writer { inner: self, lsn, zones: Vec::new(), offset: 0, blocks: 0 };
        let written = self.write_blocks(&mut writer, position);
        if let Err(error) = written {
            for zone in writer.zones.drain(..) {
                self.zones.retire(zone.id);
            }
            // The next one may be as of the same LSN: they must not be found together.
            if let Err(error) = self.zones.sweep() {
                tracing::warn!(%error, "an unfinished checkpoint could not be deleted yet");
            }
            return Err(error);
        }
        writer.zones.iter().for_each(|zone| zone.close());
        let zones = writer.zones.iter().map(|zone| zone.id).collect();
        kept.push(FoundCheckpoint { lsn, zones });
        while kept.len() > CHECKPOINTS_KEPT {
            for zone in kept.remove(0).zones {
                self.zones.retire(zone);
            }
        }
        let took = self.environment.monotonic().saturating_sub(started);
        self.counters.note_checkpoint(took, covered_bytes);
        Ok(true)
    }

    /// Lets go of the older checkpoint, and so of the journal before the newer, when space is short.
    pub(crate) fn forget_older_checkpoint(&self) {
        let mut kept = self.checkpoints.lock();
        while kept.len() > 1 {
            for zone in kept.remove(0).zones {
                self.zones.retire(zone);
            }
        }
    }

    fn write_blocks(&self, writer: &mut Writer<'_>, position: Position) -> Result<()> {
        let (spaces, time_ms) = {
            let index = self.index.read();
            let spaces: Vec<(SpaceId, Vec<u8>)> = index
                .spaces
                .iter()
                .filter(|(id, _)| **id != ROOT_SPACE)
                .map(|(id, space)| (*id, space.wrapped.clone()))
                .collect();
            (spaces, self.time_ms())
        };
        let mut rest = spaces.as_slice();
        while !rest.is_empty() {
            let sizes = rest.iter().map(|(_, wrapped)| 6 + wrapped.len());
            let (part, left) = rest.split_at(fitting(sizes, writer.body_wanted()));
            writer.block(BlockKind::Spaces, writer.lsn, &encode_spaces(part))?;
            rest = left;
        }
        for space in std::iter::once(ROOT_SPACE).chain(spaces.iter().map(|(id, _)| *id)) {
            self.write_names(writer, space)?;
        }
        self.write_blobs(writer)?;
        // Durable before the end is written: a damaged checkpoint with an end was whole once.
        for zone in &writer.zones {
            self.zones.sync(zone)?;
        }
        // A lane that panicked may have left half a batch in the index.
        if let Some(reason) = self.stopped() {
            return Err(Error::Stopped { reason });
        }
        let end = CheckpointEnd {
            lsn: writer.lsn,
            replay_zone: position.zone,
            replay_offset: position.offset as u32,
            time_ms,
            next_space: self.next_space(),
            zones: writer.zones.len() as u32,
        };
        writer.block(BlockKind::End, writer.lsn, &end.encode())?;
        for zone in &writer.zones {
            self.zones.sync(zone)?;
        }
        Ok(())
    }

    fn write_names(&self, writer: &mut Writer<'_>, space: SpaceId) -> Result<()> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let mut versions = Vec::new();
            let (last, as_of) = {
                let index = self.index.read();
                let as_of = self.position().map_or(Lsn(0), |p| Lsn(p.lsn.0 - 1));
                // A space dropped meanwhile has nothing left to say.
                let Some(held) = index.spaces.get(&space) else { return Ok(()) };
                let last = held.run_of_names(after.as_deref(), RUN_VERSIONS, &mut |name, entry| {
                    let lock = index.locks.get(&entry.sequence).copied();
                    let (name, entry) = (name.to_vec(), entry.clone());
                    versions.push(NamedVersion { name, entry, lock });
                });
                let more = last.as_deref().is_some_and(|n| held.next_name(Some(n)).is_some());
                (if more { last } else { None }, as_of)
            };
            writer.versions(space, last.as_deref(), as_of, &versions)?;
            match last {
                None => return Ok(()),
                last => after = last,
            }
            self.yield_to_foreground();
        }
    }

    fn write_blobs(&self, writer: &mut Writer<'_>) -> Result<()> {
        let mut from = BlobId(0);
        loop {
            let run: Vec<_> = {
                let index = self.index.read();
                let run = index.blobs.range(from..).take(RUN_BLOBS);
                run.map(|(id, blob)| (*id, blob.place.as_ref().clone())).collect()
            };
            let Some((last, _)) = run.last() else { return Ok(()) };
            from = BlobId(last.0 + 1);
            let mut rest = run.as_slice();
            while !rest.is_empty() {
                let sizes = rest.iter().map(|(_, place)| 36 + place.extents.len() * 16);
                let (part, left) = rest.split_at(fitting(sizes, writer.body_wanted()));
                writer.block(BlockKind::Blobs, writer.lsn, &encode_blobs(part))?;
                rest = left;
            }
            self.yield_to_foreground();
        }
    }
}

impl Writer<'_> {
    /// Bytes of a block's body, unless one thing alone has more: half a zone at most, so that nothing
    /// is too much beside the names in its head.
    fn body_wanted(&self) -> usize {
        let zone = (self.inner.zones.zone_bytes() - ZONE_DATA_OFFSET) as usize;
        zone.min(BLOCK_BYTES) / 2
    }

    /// A run of versions, in as many blocks as it needs.
    fn versions(
        &mut self,
        space: SpaceId,
        bound: Option<&[u8]>,
        as_of: Lsn,
        versions: &[NamedVersion],
    ) -> Result<()> {
        let mut rest = versions;
        loop {
            let size = |v: &NamedVersion| 76 + v.name.len() + v.entry.body.blobs().len() * 8;
            let count = fitting(rest.iter().map(size), self.body_wanted());
            let (part, left) = rest.split_at(count);
            let part_bound = match (left.is_empty(), part.last()) {
                (false, Some(last)) => Some(last.name.as_slice()),
                _ => bound,
            };
            self.block(BlockKind::Versions, as_of, &encode_versions(space, part_bound, part))?;
            if left.is_empty() {
                return Ok(());
            }
            rest = left;
        }
    }

    fn block(&mut self, kind: BlockKind, as_of: Lsn, body: &[u8]) -> Result<()> {
        let len = CHECKPOINT_BLOCK_HEADER_BYTES + body.len();
        let sectors = len.div_ceil(SECTOR_BYTES as usize);
        let padded = sectors as u64 * SECTOR_BYTES;
        if padded > self.inner.zones.zone_bytes() - ZONE_DATA_OFFSET {
            return Err(Error::Invalid("a checkpoint block must fit one zone".to_owned()));
        }
        let full = self.offset + padded > self.inner.zones.zone_bytes();
        if self.zones.is_empty() || full {
            let ordinal = self.zones.len() as u32;
            let zones = &self.inner.zones;
            self.zones.push(zones.create(
                ZoneClass::Checkpoint,
                self.lsn,
                ordinal,
                Claim::Vital,
            )?);
            self.offset = ZONE_DATA_OFFSET;
        }
        let Some(zone) = self.zones.last() else { return Ok(()) };
        let crc = crc32fast::hash(body);
        self.blocks += 1;
        let (ordinal, len_bytes) = (self.blocks & BLOCK_ORDINAL_MAX, body.len() as u32);
        let header = BlockHeader { kind, ordinal, zone: zone.id, len: len_bytes, as_of, crc };
        let mut buffer = vec![Sector::ZERO; sectors];
        let bytes = sector_bytes_mut(&mut buffer);
        let mut encoded = header.encode();
        salt_header(&mut encoded, self.inner.zones.salt);
        bytes[..CHECKPOINT_BLOCK_HEADER_BYTES].copy_from_slice(&encoded);
        bytes[CHECKPOINT_BLOCK_HEADER_BYTES..len].copy_from_slice(body);
        self.inner.zones.write(zone, self.offset, &buffer)?;
        self.offset += padded;
        Ok(())
    }
}

/// How many of the things that take so many bytes go into one block: as many as fit, and one.
fn fitting(sizes: impl ExactSizeIterator<Item = usize>, wanted: usize) -> usize {
    let (all, mut bytes) = (sizes.len(), 0);
    let fit = sizes.take_while(|size| {
        bytes += size;
        bytes <= wanted
    });
    fit.count().max(1).min(all)
}

/// A block of a checkpoint, found by its header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacedBlock {
    zone: ZoneId,
    offset: u64,
    header: BlockHeader,
}

/// A block of a checkpoint, as it was written.
pub(crate) struct VerifiedBlock {
    place: PlacedBlock,
    body: Vec<u8>,
}

impl VerifiedBlock {
    /// Bytes of its body.
    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }
}

/// Where the blocks of a finished checkpoint lie.
pub(crate) struct Outline {
    /// All but the end, in order.
    pub(crate) blocks: Vec<PlacedBlock>,
    pub(crate) end: CheckpointEnd,
}

impl Outline {
    /// Reads the headers of a checkpoint; none when it was never finished.
    pub(crate) fn read(
        media: &dyn Media,
        checkpoint: &FoundCheckpoint,
        salt: u32,
    ) -> Result<Option<Self>> {
        let mut blocks = Vec::new();
        for &zone in &checkpoint.zones {
            blocks.append(&mut find_blocks(media, zone, checkpoint.lsn, salt)?);
        }
        let Some(last) = blocks.pop_if(|block| block.header.kind == BlockKind::End) else {
            return Ok(None);
        };
        for (ordinal, block) in (1..).zip(blocks.iter().chain([&last])) {
            block.refuse_gap(ordinal)?;
        }
        let end = CheckpointEnd::decode(&last.read(media)?.body)
            .map_err(|malformed| last.malformed("checkpoint end", malformed))?;
        let is_whole = end.zones as usize == checkpoint.zones.len() && end.lsn == checkpoint.lsn;
        Ok(is_whole.then_some(Self { blocks, end }))
    }

    /// Where replay behind the checkpoint begins.
    pub(crate) fn start(&self) -> Start {
        Start {
            zone: Some(self.end.replay_zone),
            offset: u64::from(self.end.replay_offset),
            lsn: self.end.lsn.next(),
            time_ms: self.end.time_ms,
        }
    }
}

impl PlacedBlock {
    /// Reads and verifies the body.
    pub(crate) fn read(&self, media: &dyn Media) -> Result<VerifiedBlock> {
        let mut body = vec![0; self.header.len as usize];
        media.read(self.zone, self.offset + CHECKPOINT_BLOCK_HEADER_BYTES as u64, &mut body)?;
        let crc = crc32fast::hash(&body);
        if crc != self.header.crc {
            let expected = format!("crc {:08x}", self.header.crc);
            return Err(self.corrupt(expected, format!("crc {crc:08x}")));
        }
        Ok(VerifiedBlock { place: *self, body })
    }

    /// Errs when the block has a number and it is another: then blocks before it are lost.
    fn refuse_gap(&self, ordinal: u32) -> Result<()> {
        let expected = ordinal & BLOCK_ORDINAL_MAX;
        match self.header.ordinal {
            0 => Ok(()),
            found if found == expected => Ok(()),
            found => Err(self.corrupt(format!("block {expected}"), format!("block {found}"))),
        }
    }

    fn corrupt(&self, expected: String, found: String) -> Error {
        let (zone, offset) = (Some(self.zone), self.offset);
        Error::Corrupt(Corruption { zone, offset, what: "checkpoint block", expected, found })
    }

    fn malformed(&self, what: &'static str, malformed: Malformed) -> Error {
        corrupt(self.zone, self.offset, what, malformed)
    }
}

/// The blocks of a checkpoint zone up to the end of the checkpoint, or of what was written.
fn find_blocks(media: &dyn Media, zone: ZoneId, lsn: Lsn, salt: u32) -> Result<Vec<PlacedBlock>> {
    let mut blocks = Vec::new();
    let mut offset = ZONE_DATA_OFFSET;
    while offset + SECTOR_BYTES <= media.zone_bytes() {
        let mut bytes = [0; CHECKPOINT_BLOCK_HEADER_BYTES];
        media.read(zone, offset, &mut bytes)?;
        // What does not begin a block of this zone is the unwritten rest of it.
        salt_header(&mut bytes, salt);
        let Ok(header) = BlockHeader::decode(&bytes) else { break };
        let len = CHECKPOINT_BLOCK_HEADER_BYTES as u64 + u64::from(header.len);
        if header.zone != zone || header.as_of < lsn || offset + len > media.zone_bytes() {
            break;
        }
        blocks.push(PlacedBlock { zone, offset, header });
        if header.kind == BlockKind::End {
            break;
        }
        offset += len.next_multiple_of(SECTOR_BYTES);
    }
    Ok(blocks)
}

/// Verifies the blocks of a checkpoint zone; answers their bytes.
pub(crate) fn verify_blocks(media: &dyn Media, zone: ZoneId, lsn: Lsn, salt: u32) -> Result<u64> {
    let mut bytes = 0;
    for block in find_blocks(media, zone, lsn, salt)? {
        bytes += block.read(media)?.len() as u64;
    }
    Ok(bytes)
}

/// Fills an index with blocks in their order. The versions of a space are gathered first, so that its
/// tables are built in one pass.
#[derive(Debug, Default)]
pub(crate) struct Loader {
    space: SpaceId,
    current: Vec<(Box<[u8]>, Entry)>,
    history: Vec<(Box<[u8]>, Entry)>,
    /// The last name whose newest version is a marker.
    marked: Option<Vec<u8>>,
}

impl Loader {
    /// Takes what a block holds. Answers the spaces that it says there are, with their wrapped keys.
    pub(crate) fn take(
        &mut self,
        block: &VerifiedBlock,
        index: &mut Index,
        loaded: &mut Loaded,
    ) -> Result<Vec<(SpaceId, Vec<u8>)>> {
        let VerifiedBlock { place, body } = block;
        let bad = |malformed| place.malformed("checkpoint block", malformed);
        match place.header.kind {
            BlockKind::Spaces => return decode_spaces(body).map_err(bad),
            BlockKind::Versions => {
                let block = decode_versions(body).map_err(bad)?;
                loaded.note(block.space, block.bound, place.header.as_of);
                if block.space != self.space {
                    std::mem::take(self).finish(index);
                    self.space = block.space;
                }
                for version in block.versions {
                    self.push(version, index);
                }
            }
            BlockKind::Blobs => {
                for (blob, place) in decode_blobs(body).map_err(bad)? {
                    index.apply(Change::Blob { blob, place });
                }
            }
            BlockKind::End => {}
        }
        Ok(Vec::new())
    }

    /// The newest version of a name comes first: current, unless it is a marker.
    fn push(&mut self, version: NamedVersion, index: &mut Index) {
        let NamedVersion { name, entry, lock } = version;
        if let Some(lock) = lock {
            index.locks.insert(entry.sequence, lock);
        }
        let follows = self.current.last().is_some_and(|(held, _)| **held == *name)
            || self.marked.as_ref() == Some(&name);
        if !follows && !entry.is_marker() {
            self.current.push((name.into(), entry));
            return;
        }
        self.history.push((history_key(&name, entry.sequence), entry));
        if !follows {
            self.marked = Some(name);
        }
    }

    /// Gives the index what is left.
    pub(crate) fn finish(self, index: &mut Index) {
        if let Some(held) = index.spaces.get_mut(&self.space) {
            held.current.fill(self.current);
            held.history.fill(self.history);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_takes_what_fits_and_at_least_one_thing() {
        let cases: [(&[usize], usize); 7] = [
            (&[], 0),
            (&[1], 1),
            (&[500], 1),
            (&[500, 1], 1),
            (&[60, 40], 2),
            // What would not fit behind others begins the next block.
            (&[99, 500], 1),
            (&[50, 50, 1], 2),
        ];
        for (sizes, count) in cases {
            assert_eq!(fitting(sizes.iter().copied(), 100), count, "{sizes:?}");
        }
    }
}
