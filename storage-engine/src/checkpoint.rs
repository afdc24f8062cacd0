//! Checkpoints: the index written down while it changes, and read back.
//!
//! Names are written in runs, each under one short read lock with the LSN as of which it is complete;
//! replay from the checkpoint's start skips what a run already holds. All versions of a name are in
//! one run, because versions move between the current and the older ones.
//!
//! Two checkpoints are kept, and the journal since the older: one that cannot be read back costs a
//! longer replay, not the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::Inner;
use crate::error::{Corruption, Error, Result};
use crate::format::{
    BlockHeader, BlockKind, CHECKPOINT_BLOCK_HEADER_BYTES, CheckpointEnd, NamedVersion,
    ZONE_DATA_OFFSET, ZoneClass, ZoneHeader, decode_blobs, decode_spaces, decode_versions,
    encode_blobs, encode_spaces, encode_versions, salt_header,
};
use crate::id::{BlobId, Lsn, ROOT_SPACE, SpaceId, ZoneId};
use crate::index::{Change, Index, Newest, Space};
use crate::journal::Position;
use crate::journal::replay::{FoundCheckpoint, Loaded, Replay, Start, corrupt};
use crate::media::{Media, SECTOR_BYTES, Sector, sector_bytes_mut};
use crate::zone::{Claim, Zone};

/// Versions written under one read lock.
const RUN_VERSIONS: usize = 2048;
/// Blobs written under one read lock.
const RUN_BLOBS: usize = 4096;
/// Checkpoints kept.
const KEPT: usize = 2;

/// Writes blocks into checkpoint zones.
struct Writer<'a> {
    inner: &'a Inner,
    lsn: Lsn,
    zones: Vec<Arc<Zone>>,
    offset: u64,
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
        let mut writer = Writer { inner: self, lsn, zones: Vec::new(), offset: 0 };
        let written = self.write_blocks(&mut writer, position);
        if let Err(error) = written {
            for zone in &writer.zones {
                self.zones.retire(zone.id);
            }
            return Err(error);
        }
        writer.zones.iter().for_each(|zone| zone.close());
        let zones = writer.zones.iter().map(|zone| zone.id).collect();
        kept.push(FoundCheckpoint { lsn, zones });
        while kept.len() > KEPT {
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
        for part in spaces.chunks(RUN_VERSIONS) {
            writer.block(BlockKind::Spaces, writer.lsn, &encode_spaces(part))?;
        }
        for space in std::iter::once(ROOT_SPACE).chain(spaces.iter().map(|(id, _)| *id)) {
            self.write_names(writer, space)?;
        }
        self.write_blobs(writer)?;
        // Durable before the end is written: a damaged checkpoint with an end was whole once.
        for zone in &writer.zones {
            self.zones.sync(zone)?;
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
            let limit = writer.body_max() / 2;
            let (mut part, mut bytes) = (Vec::new(), 0);
            for (id, place) in run {
                bytes += 44 + place.extents.len() * 16;
                part.push((id, place));
                if bytes >= limit {
                    writer.block(BlockKind::Blobs, writer.lsn, &encode_blobs(&part))?;
                    (part, bytes) = (Vec::new(), 0);
                }
            }
            if !part.is_empty() {
                writer.block(BlockKind::Blobs, writer.lsn, &encode_blobs(&part))?;
            }
            self.yield_to_foreground();
        }
    }
}

impl Writer<'_> {
    fn body_max(&self) -> usize {
        let zone = (self.inner.zones.zone_bytes() - ZONE_DATA_OFFSET) as usize;
        zone.min(1 << 20) - CHECKPOINT_BLOCK_HEADER_BYTES
    }

    /// A run of versions, in as many blocks as it needs.
    fn versions(
        &mut self,
        space: SpaceId,
        bound: Option<&[u8]>,
        as_of: Lsn,
        versions: &[NamedVersion],
    ) -> Result<()> {
        let limit = self.body_max() / 2;
        let mut rest = versions;
        loop {
            let (mut count, mut bytes) = (0, 0);
            while let Some(version) = rest.get(count) {
                bytes += 96 + version.name.len() + version.entry.body.blobs().len() * 8;
                count += 1;
                if bytes >= limit {
                    break;
                }
            }
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
        let header = BlockHeader { kind, zone: zone.id, len: body.len() as u32, as_of, crc };
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

impl Replay<'_> {
    /// Loads the newest checkpoint that is whole. Answers where replay begins and the checkpoints
    /// worth keeping.
    pub(crate) fn load_checkpoint(
        &mut self,
        headers: &[ZoneHeader],
    ) -> Result<(Start, Vec<FoundCheckpoint>)> {
        let mut found: BTreeMap<Lsn, Vec<&ZoneHeader>> = BTreeMap::new();
        for header in headers.iter().filter(|h| h.class == ZoneClass::Checkpoint) {
            found.entry(header.first_lsn).or_default().push(header);
        }
        let mut kept = Vec::new();
        let mut start = None;
        let mut failed = None;
        for (lsn, mut zones) in found.into_iter().rev() {
            zones.sort_by_key(|header| (header.ordinal, header.zone));
            let zones: Vec<ZoneId> = zones.iter().map(|header| header.zone).collect();
            if start.is_none() {
                match self.read_checkpoint(lsn, &zones) {
                    Ok(Some(end)) => start = Some(end),
                    Ok(None) => continue,
                    Err(error) => {
                        tracing::error!(%error, %lsn, "checkpoint cannot be read, trying an older");
                        failed = Some(error);
                        self.forget_loaded();
                        continue;
                    }
                }
            }
            kept.push(FoundCheckpoint { lsn, zones });
        }
        kept.truncate(KEPT);
        kept.reverse();
        match (start, failed) {
            (Some(end), _) => Ok((
                Start {
                    zone: Some(end.replay_zone),
                    offset: u64::from(end.replay_offset),
                    lsn: Lsn(end.lsn.0 + 1),
                    time_ms: end.time_ms,
                },
                kept,
            )),
            (None, failed) => {
                let start = Start { zone: None, offset: 0, lsn: Lsn(1), time_ms: 0 };
                let whole =
                    headers.iter().any(|h| h.class == ZoneClass::Journal && h.first_lsn == Lsn(1));
                match failed {
                    Some(error) if !whole => Err(error),
                    _ => Ok((start, Vec::new())),
                }
            }
        }
    }

    fn forget_loaded(&mut self) {
        let root = self.index.spaces.remove(&ROOT_SPACE);
        self.index = Index::default();
        self.loaded = Loaded::default();
        if let Some(Space { key, wrapped, .. }) = root {
            self.index.apply(Change::CreateSpace { space: ROOT_SPACE, key, wrapped });
        }
    }

    /// Reads one checkpoint into a fresh index; none when its end is not there.
    fn read_checkpoint(&mut self, lsn: Lsn, zones: &[ZoneId]) -> Result<Option<CheckpointEnd>> {
        let mut blocks = Vec::new();
        let mut end = None;
        for &zone in zones {
            end =
                read_blocks(self.media, zone, lsn, self.root.salt(), &mut |kind, as_of, body| {
                    blocks.push((zone, kind, as_of, body));
                })?;
        }
        let Some(end) = end.filter(|end| end.zones as usize == zones.len() && end.lsn == lsn)
        else {
            return Ok(None);
        };
        let mut previous: Option<(SpaceId, Vec<u8>)> = None;
        for (zone, kind, as_of, body) in blocks {
            let bad = |malformed| corrupt(zone, 0, "checkpoint block", malformed);
            match kind {
                BlockKind::Spaces => {
                    for (space, wrapped) in decode_spaces(&body).map_err(bad)? {
                        let change = self.create_space(space, &wrapped)?;
                        self.index.apply(change);
                    }
                }
                BlockKind::Versions => {
                    let block = decode_versions(&body).map_err(bad)?;
                    self.loaded.note(block.space, block.bound, as_of);
                    for version in block.versions {
                        let same = previous
                            .as_ref()
                            .is_some_and(|(s, n)| *s == block.space && *n == version.name);
                        if !same {
                            previous = Some((block.space, version.name.clone()));
                        }
                        let newest = if same { Newest::No } else { Newest::Yes };
                        self.index.load(block.space, version, newest);
                    }
                }
                BlockKind::Blobs => {
                    for (blob, place) in decode_blobs(&body).map_err(bad)? {
                        self.index.apply(Change::Blob { blob, place });
                    }
                }
                BlockKind::End => {}
            }
        }
        self.next_space = self.next_space.max(end.next_space.0);
        Ok(Some(end))
    }
}

/// Reads the blocks of a checkpoint zone up to its end or the end of the checkpoint.
pub(crate) fn read_blocks(
    media: &dyn Media,
    zone: ZoneId,
    lsn: Lsn,
    salt: u32,
    visit: &mut dyn FnMut(BlockKind, Lsn, Vec<u8>),
) -> Result<Option<CheckpointEnd>> {
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
        let mut body = vec![0; header.len as usize];
        media.read(zone, offset + CHECKPOINT_BLOCK_HEADER_BYTES as u64, &mut body)?;
        let crc = crc32fast::hash(&body);
        if crc != header.crc {
            return Err(Error::Corrupt(Corruption {
                zone: Some(zone),
                offset,
                what: "checkpoint block",
                expected: format!("crc {:08x}", header.crc),
                found: format!("crc {crc:08x}"),
            }));
        }
        if header.kind == BlockKind::End {
            return CheckpointEnd::decode(&body)
                .map(Some)
                .map_err(|malformed| corrupt(zone, offset, "checkpoint end", malformed));
        }
        visit(header.kind, header.as_of, body);
        offset += len.next_multiple_of(SECTOR_BYTES);
    }
    Ok(None)
}
