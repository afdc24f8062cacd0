//! Verifying an index whole: every record is decoded, and what two of them say is compared.
//!
//! - It writes nothing, and damage does not end it: all that is found is told.
//! - It believes the storage engine about bytes: what it looks for is what a correct checksum hides.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use roaring::RoaringBitmap;
use storage_engine::limits::PAGE_MAX;
use storage_engine::{Engine, SpaceId};

use crate::cache::Caches;
use crate::codec::Cursor;
use crate::columns::Columns;
use crate::delta::Delta;
use crate::error::{Error, Result};
use crate::key_hash::{HashSecret, KeyHash};
use crate::layout::Locator;
use crate::manifest::Manifest;
use crate::pages::Reading;
use crate::properties::Properties;
use crate::row::IndexSettings;
use crate::sealed::{Resident, Sealed};
use crate::store::{DeltaNumber, Part, RecordKind, SegmentId, Store, dead_name, manifest_name};
use crate::text::TextIndex;
use crate::wait::wait;

/// Findings told of one index: more say nothing new.
const FINDINGS_MAX: usize = 100;
/// Rows read at once.
const RUN_ROWS: u32 = 256;

/// What verifying an index went through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Sealed segments.
    pub segments: u64,
    /// Their rows, the dead ones too.
    pub rows: u64,
    /// Of them, the dead ones.
    pub dead_rows: u64,
    /// Writes that are in no sealed segment yet.
    pub deltas: u64,
    /// What is wrong, in words; at most a hundred.
    pub findings: Vec<String>,
}

/// Verifies the index in `space`. Blocks until all of it was read.
pub fn verify(engine: &Engine, space: SpaceId, settings: &IndexSettings) -> Result<Verified> {
    let store = Store { engine: engine.clone(), space };
    let mut check = Check { store, settings, verified: Verified::default() };
    check.index()?;
    Ok(check.verified)
}

/// Decodes the value of a record of an index by its name, as far as it can be alone: vectors are
/// what a segment's other parts say of them. Takes any bytes.
pub fn decode_record(name: &[u8], value: &Bytes, dimension: usize) -> Result<()> {
    match RecordKind::of(name) {
        None => Err(Error::Corrupt("a record whose name means nothing".to_owned())),
        Some(RecordKind::Manifest) => Manifest::decode(value).map(drop),
        Some(RecordKind::Delta(_)) => Delta::decode(value, dimension).map(drop),
        Some(RecordKind::Dead(_)) => dead_rows(value).map(drop),
        Some(RecordKind::Part(_, part)) => match part {
            Part::Vectors => Ok(()),
            Part::Resident => Resident::decode(value).map(drop),
            Part::Columns => Columns::decode(value.clone())?.walk().map(drop),
            Part::Text(_) => TextIndex::decode(value.clone())?.walk(),
            Part::Properties => {
                let mut cursor = Cursor::new("properties", value);
                while cursor.end().is_err() {
                    Properties::read(&mut cursor)?;
                }
                Ok(())
            }
        },
    }
}

fn dead_rows(bytes: &[u8]) -> Result<RoaringBitmap> {
    let corrupt = |_| Error::Corrupt("dead rows that are no bitmap".to_owned());
    RoaringBitmap::deserialize_from(bytes).map_err(corrupt)
}

struct Check<'a> {
    store: Store,
    settings: &'a IndexSettings,
    verified: Verified,
}

impl Check<'_> {
    fn found(&mut self, what: String) {
        if self.verified.findings.len() < FINDINGS_MAX {
            self.verified.findings.push(what);
        }
    }

    /// Keeps damage as a finding; anything else ends the check.
    fn note<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(
                error @ (Error::Corrupt(_) | Error::Storage(storage_engine::Error::Corrupt(_))),
            ) => {
                self.found(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn index(&mut self) -> Result<()> {
        let value = wait(self.store.value(&manifest_name()));
        let value = self.note(value)?.flatten();
        let manifest = match value {
            None => None,
            Some(value) => self.note(Manifest::decode(&value))?,
        };
        self.names(manifest.as_ref())?;
        let Some(manifest) = manifest else { return Ok(()) };
        // Living keys of all segments: a key lives in one.
        let mut living = Vec::new();
        for id in &manifest.segments {
            let segment = self.segment(*id, &manifest.secret, &mut living);
            self.note(segment)?;
        }
        living.sort_unstable();
        let twice = living.windows(2).filter(|pair| pair.first() == pair.last()).count();
        if twice > 0 {
            self.found(format!("{twice} keys live in two segments"));
        }
        Ok(())
    }

    /// Looks at every name, and at the deltas behind their names.
    fn names(&mut self, manifest: Option<&Manifest>) -> Result<()> {
        let held: BTreeSet<SegmentId> =
            manifest.into_iter().flat_map(|manifest| manifest.segments.iter().copied()).collect();
        let watermark = manifest.map_or(DeltaNumber(0), |manifest| manifest.watermark);
        let mut after = None;
        loop {
            let names = self.store.names(b"", after.take(), PAGE_MAX)?;
            let Some(last) = names.last().cloned() else { return Ok(()) };
            for name in names {
                match RecordKind::of(&name) {
                    None => self.found(format!("a record has the name {name:?}")),
                    Some(RecordKind::Manifest) => {}
                    Some(_) if manifest.is_none() => {
                        self.found(format!("{name:?} is there and no manifest"));
                    }
                    Some(RecordKind::Delta(number)) => {
                        self.verified.deltas += u64::from(number > watermark);
                        let value = wait(self.store.value(&name));
                        if let Some(Some(value)) = self.note(value)? {
                            let decoded = Delta::decode(&value, self.settings.dimension);
                            self.note(decoded)?;
                        }
                    }
                    Some(RecordKind::Part(id, _) | RecordKind::Dead(id)) => {
                        if !held.contains(&id) {
                            self.found(format!("{name:?} is of no segment of the index"));
                        }
                    }
                }
            }
            after = Some(last);
        }
    }

    fn segment(
        &mut self,
        id: SegmentId,
        secret: &HashSecret,
        living: &mut Vec<KeyHash>,
    ) -> Result<()> {
        let caches = Caches::new(0);
        let opened = wait(Sealed::open(&self.store, &caches, self.settings, id));
        let Some(sealed) = self.note(opened)? else { return Ok(()) };
        let dead = match wait(self.store.value(&dead_name(id)))? {
            Some(value) => dead_rows(&value)?,
            None => RoaringBitmap::new(),
        };
        let rows = sealed.len();
        if dead.max().is_some_and(|last| last >= rows) {
            self.found(format!("segment {}: dead rows behind its last row", id.0));
        }
        self.verified.segments += 1;
        self.verified.rows += u64::from(rows);
        self.verified.dead_rows += dead.len();
        let alive = (0..rows).filter(|row| !dead.contains(*row));
        living.extend(alive.map(|row| sealed.hash(row)));
        let keys = self.rows(&sealed, secret)?;
        self.columns(&sealed, keys)?;
        for field in &self.settings.text {
            let text = sealed.text(field);
            let Some(Some(text)) = self.note(text)? else { continue };
            if text.rows() > rows {
                self.found(format!("segment {}: texts of {} rows", id.0, text.rows()));
            }
            self.note(text.walk())?;
        }
        Ok(())
    }

    /// Reads every row; answers how many rows have each metadata key that can be filtered by.
    fn rows(&mut self, sealed: &Sealed, secret: &HashSecret) -> Result<BTreeMap<String, u64>> {
        let mut keys = BTreeMap::new();
        let rows = sealed.len();
        for start in (0..rows).step_by(RUN_ROWS as usize) {
            let run: Vec<u32> = (start..rows.min(start.saturating_add(RUN_ROWS))).collect();
            let mut locators: Vec<Locator> = Vec::with_capacity(run.len());
            let (mut unfit, mut astray) = (0, 0);
            let mut vector = Vec::new();
            let read = sealed.read_rows(&run, Reading::Once, |_, row| {
                locators.push(row.locator()?);
                row.vector_into(&mut vector);
                unfit += usize::from(!vector.iter().all(|component| component.is_finite()));
                astray += row.neighbours().filter(|neighbour| *neighbour >= rows).count();
                Ok(())
            });
            if self.note(read)?.is_none() {
                continue;
            }
            let id = sealed.id.0;
            if unfit > 0 {
                self.found(format!("segment {id}: {unfit} vectors from row {start} on are none"));
            }
            if astray > 0 {
                self.found(format!("segment {id}: {astray} neighbours are no rows"));
            }
            let Some(properties) = self.note(sealed.read_properties(&locators, Reading::Once))?
            else {
                continue;
            };
            for (row, said) in run.iter().zip(properties) {
                if KeyHash::of(secret, &said.key) != sealed.hash(*row) {
                    self.found(format!("segment {id}: row {row} has the key of another"));
                }
                if said.owner.is_some() != sealed.resident.owned.contains(*row) {
                    self.found(format!("segment {id}: row {row} is another owner's"));
                }
                for (key, _) in said.metadata.iter() {
                    if !self.settings.non_filterable.iter().any(|other| other == key) {
                        *keys.entry(key.to_owned()).or_default() += 1;
                    }
                }
            }
        }
        Ok(keys)
    }

    /// Compares the filter columns with what the rows say.
    fn columns(&mut self, sealed: &Sealed, keys: BTreeMap<String, u64>) -> Result<()> {
        let walked = sealed.columns().and_then(|columns| columns.walk());
        let Some(found) = self.note(walked)? else { return Ok(()) };
        if found != keys {
            let id = sealed.id.0;
            self.found(format!("segment {id}: its columns count {found:?}, its rows {keys:?}"));
        }
        Ok(())
    }
}
