//! The engine under test beside its reference model: plans go to both, answers are compared.

use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use storage_engine::media::{
    Durability, FileMedia, FileMediaOptions, Media, SimEnvironment, SimMedia, SimOptions, Survival,
};
use storage_engine::*;

use crate::reference::{Asked, Change, Plan, Reference, Refusal, Version, Written};

/// Zones as small as they may be, so that every structure spans and rolls over.
pub(crate) const ZONE_BYTES: u64 = 64 * 1024;
/// Values up to this length lie in their record.
pub(crate) const INLINE_BYTES: usize = 2048;

/// The device under the engine.
pub(crate) enum Kind {
    Simulated(Arc<SimMedia>),
    Files { options: FileMediaOptions, _folder: tempfile::TempDir },
}

/// An engine, its device and what must be in it.
pub(crate) struct Subject {
    pub(crate) environment: Arc<SimEnvironment>,
    pub(crate) kind: Kind,
    pub(crate) engine: Option<Engine>,
    pub(crate) reference: Reference,
}

/// Where the value of a put comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Fresh(Placement),
    /// These versions, joined.
    Copies(Vec<(SpaceId, Bytes, u64)>),
}

pub(crate) fn options() -> Options {
    Options {
        background: false,
        inline_bytes: INLINE_BYTES,
        checkpoint_bytes: 64 * 1024,
        ..Options::default()
    }
}

pub(crate) fn master() -> Arc<PlainMasterKey> {
    Arc::new(PlainMasterKey::new([7; 32]))
}

/// Opens an engine on any medium, with the clock and randomness of `environment`.
pub(crate) fn open_on(environment: &Arc<SimEnvironment>, media: Arc<dyn Media>) -> Result<Engine> {
    let environment = Arc::clone(environment) as Arc<dyn Environment>;
    Engine::open(environment, media, master(), options())
}

pub(crate) fn sim_options(seed: u64) -> SimOptions {
    SimOptions { seed, zone_bytes: ZONE_BYTES, ..SimOptions::default() }
}

/// Bytes of a length that no other seed gives.
pub(crate) fn data(seed: u64, len: usize) -> Arc<[u8]> {
    let mut out = vec![0; len];
    storage_engine::media::SeededRandom::new(seed).fill(&mut out);
    out.into()
}

pub(crate) fn stamp_of(data: &[u8]) -> Stamp {
    let mut digest = [0; 16];
    digest[..4].copy_from_slice(&crc32fast::hash(data).to_le_bytes());
    digest[4..12].copy_from_slice(&(data.len() as u64).to_le_bytes());
    Stamp { digest, parts: 0 }
}

impl Subject {
    pub(crate) fn simulated(seed: u64) -> Self {
        Self::with(seed, Kind::Simulated(Arc::new(SimMedia::new(&sim_options(seed)))))
    }

    pub(crate) fn files(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = FileMediaOptions {
            zone_bytes: ZONE_BYTES,
            durability: Durability::Device,
            capacity_bytes: Some(64 << 20),
            ..FileMediaOptions::new(folder.path())
        };
        Self::with(seed, Kind::Files { options, _folder: folder })
    }

    pub(crate) fn with(seed: u64, kind: Kind) -> Self {
        let media: Arc<dyn Media> = match &kind {
            Kind::Simulated(media) => Arc::clone(media) as Arc<dyn Media>,
            Kind::Files { options, .. } => Arc::new(FileMedia::open(options).unwrap()),
        };
        Self::on(seed, kind, media)
    }

    /// A fresh store on a medium that stands before the simulated one.
    pub(crate) fn on(seed: u64, kind: Kind, media: Arc<dyn Media>) -> Self {
        let mut reference = Reference::default();
        reference.spaces.entry(ROOT_SPACE).or_default();
        let environment = Arc::new(SimEnvironment::new(seed));
        let engine = Some(open_on(&environment, media).unwrap());
        let mut subject = Self { environment, kind, engine, reference };
        subject.note_time();
        subject
    }

    /// An engine on `media` that must hold what `reference` says.
    pub(crate) fn resumed(seed: u64, media: SimMedia, reference: Reference) -> Result<Self> {
        let environment = Arc::new(SimEnvironment::new(seed));
        let media = Arc::new(media);
        let engine = open_on(&environment, Arc::clone(&media) as Arc<dyn Media>)?;
        let kind = Kind::Simulated(media);
        Ok(Self { environment, kind, engine: Some(engine), reference })
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    pub(crate) fn media(&self) -> &Arc<SimMedia> {
        match &self.kind {
            Kind::Simulated(media) => media,
            Kind::Files { .. } => panic!("no simulated device"),
        }
    }

    fn open(&mut self) {
        let media: Arc<dyn Media> = match &self.kind {
            Kind::Simulated(media) => Arc::clone(media) as Arc<dyn Media>,
            Kind::Files { options, .. } => Arc::new(FileMedia::open(options).unwrap()),
        };
        self.engine = Some(open_on(&self.environment, media).unwrap());
        self.note_time();
    }

    /// Time is journaled at every open and every batch.
    pub(crate) fn note_time(&mut self) {
        self.reference.time_ms = self.reference.time_ms.max(self.environment.now_ms());
    }

    /// Ends the process without a word and starts it again.
    pub(crate) fn restart(&mut self) {
        self.engine = None;
        if let Kind::Simulated(media) = &mut self.kind {
            *media = Arc::new(media.restart());
        }
        self.open();
    }

    /// Loses power and starts again.
    pub(crate) fn crash(&mut self, survival: Survival) {
        self.engine = None;
        if let Kind::Simulated(media) = &mut self.kind {
            *media = Arc::new(media.crash(survival));
        }
        self.open();
    }

    /// Closes in good order and starts again.
    pub(crate) fn close(&mut self) {
        block_on(self.engine().close()).unwrap();
        self.restart();
    }

    /// Makes a space.
    pub(crate) fn space(&mut self) -> SpaceId {
        let space = self.engine().reserve_space();
        self.commit(Plan { conditions: vec![], changes: vec![Change::CreateSpace(space)] })
            .unwrap();
        space
    }

    /// Commits a plan; the engine must say what the model says.
    pub(crate) fn commit(&mut self, plan: Plan) -> Result<(), Refusal> {
        self.commit_all(vec![plan]).remove(0)
    }

    /// Commits plans in one go; the engine must say of each what the model says.
    pub(crate) fn commit_all(&mut self, plans: Vec<Plan>) -> Vec<Result<(), Refusal>> {
        let prepared: Vec<_> = plans.iter().map(|plan| self.reference.prepare(plan)).collect();
        let batches = plans.iter().map(|plan| self.batch(plan)).collect();
        if prepared.iter().any(Result::is_ok) {
            self.note_time();
        }
        let results = block_on(self.engine().commit_all(batches));
        let mut answers = Vec::new();
        for ((plan, prepared), result) in plans.iter().zip(prepared).zip(results) {
            let expected = prepared.and_then(|()| self.reference.decide(plan));
            match (&expected, &result) {
                (Ok(()), Ok(outcomes)) => self.accept(plan, outcomes),
                (Err(refusal), Err(error)) => {
                    assert_eq!(Some(*refusal), Refusal::of(error), "{plan:?}: {error}");
                }
                _ => panic!("{plan:?}: expected {expected:?}, got {result:?}"),
            }
            answers.push(expected);
        }
        answers
    }

    fn accept(&mut self, plan: &Plan, outcomes: &[Outcome]) {
        assert_eq!(plan.changes.len(), outcomes.len());
        for (change, outcome) in plan.changes.iter().zip(outcomes) {
            let (removed, changed) = match change {
                Change::Put { space, name, keep: Keep::Null, .. } => {
                    (self.reference.version(*space, name, Which::Null), None)
                }
                Change::Remove { space, name, which, .. } => {
                    let gone = self.reference.version(*space, name, *which);
                    (gone, Some(gone))
                }
                Change::SetLock { space, name, which, .. } => {
                    (None, Some(self.reference.version(*space, name, *which)))
                }
                _ => (None, None),
            };
            let sequence_of = |version: Option<&Version>| version.map(|v| v.sequence);
            let got = outcome.removed.as_ref().map(|entry| entry.sequence);
            assert_eq!(sequence_of(removed), got, "{change:?}");
            if let Some(changed) = changed {
                assert_eq!(sequence_of(changed).unwrap_or(0), outcome.sequence, "{change:?}");
            }
            assert_eq!(outcome.time_ms, self.reference.time_ms, "{change:?}");
        }
        let sequences: Vec<u64> = outcomes.iter().map(|outcome| outcome.sequence).collect();
        self.reference.apply(plan, &sequences);
    }

    /// The engine's form of a plan. Values were written by [`Subject::write`].
    pub(crate) fn batch(&self, plan: &Plan) -> Batch {
        let conditions = plan.conditions.iter().map(|(space, name, asked)| {
            let test = match *asked {
                Asked::Plain(test) => test,
                Asked::Record { sequence, location, .. } => Test::RecordIs { sequence, location },
            };
            Condition { space: *space, name: name.clone(), test }
        });
        let operations = plan.changes.iter().map(|change| self.operation(change));
        Batch { conditions: conditions.collect(), operations: operations.collect() }
    }

    fn operation(&self, change: &Change) -> Operation {
        match change.clone() {
            Change::Put { space, name, keep, content, lock } => {
                let content = match content {
                    None => Content::Marker,
                    Some(Written { value, meta, stamp, label, .. }) => {
                        let value = value.unwrap_or_default();
                        Content::Value { value, meta, stamp, label }
                    }
                };
                Operation::Put(Put { space, name, keep, content, lock })
            }
            Change::Rewrite { space, name, sequence, meta, label } => {
                let which = Which::Sequence(sequence);
                let entry = self.engine().version(space, &name, which).ok().flatten();
                let (entry, value) = match entry {
                    Some(entry) => {
                        let record = block_on(self.engine().load(space, &name, &entry)).unwrap();
                        (record.entry.clone(), record.value())
                    }
                    None => (no_entry(sequence), Value::empty()),
                };
                Operation::Rewrite(Rewrite { space, name, entry, value, meta, label })
            }
            Change::Remove { space, name, which, bypass } => {
                Operation::Remove(Remove { space, name, which, bypass })
            }
            Change::SetLock { space, name, which, change, bypass } => {
                Operation::SetLock(SetLock { space, name, which, change, bypass })
            }
            Change::CreateSpace(space) => Operation::CreateSpace(space),
            Change::DropSpace(space) => Operation::DropSpace(space),
            Change::ClearSpace(space) => Operation::ClearSpace(space),
        }
    }

    /// Writes or adopts a value for `space` and says what it is; the caller puts it.
    pub(crate) fn write(
        &self,
        space: SpaceId,
        content: Arc<[u8]>,
        source: &Source,
    ) -> Result<Written> {
        let (value, blobs) = match source {
            Source::Fresh(placement) => {
                let value = block_on(write_value(self.engine(), space, *placement, &content))?;
                let in_blob =
                    !value.is_inline() && (!content.is_empty() || *placement != Placement::Auto);
                (value, if in_blob { vec![fresh_blob()] } else { vec![] })
            }
            Source::Copies(sources) => {
                let mut sealed = Vec::new();
                let mut blobs = Vec::new();
                for (from, name, sequence) in sources {
                    let which = Which::Sequence(*sequence);
                    let held = self.reference.version(*from, name, which).unwrap();
                    blobs.extend(held.content.iter().flat_map(|content| &content.blobs));
                    let entry = self.engine().version(*from, name, which)?.unwrap();
                    let record = block_on(self.engine().load(*from, name, &entry))?;
                    sealed.push(Sealed { space: *from, value: record.value() });
                }
                (self.engine().adopt(space, &sealed)?, blobs)
            }
        };
        assert_eq!(value.size(), content.len() as u64);
        let shares = matches!(source, Source::Copies(_));
        let meta = Bytes::from(format!("meta {}", crc32fast::hash(&content)));
        let stamp = stamp_of(&content);
        let label = content.first().copied().unwrap_or(0);
        Ok(Written { data: content, meta, stamp, label, blobs, shares, value: Some(value) })
    }

    /// Puts fresh bytes under a name.
    pub(crate) fn put(&mut self, space: SpaceId, name: &str, keep: Keep, content: Arc<[u8]>) {
        let plan = self.plan_put(space, name, keep, content);
        self.commit(plan).unwrap();
    }

    /// A plan that puts fresh bytes under a name.
    pub(crate) fn plan_put(
        &self,
        space: SpaceId,
        name: &str,
        keep: Keep,
        content: Arc<[u8]>,
    ) -> Plan {
        let written = self.write(space, content, &Source::Fresh(Placement::Auto)).unwrap();
        let name = Bytes::copy_from_slice(name.as_bytes());
        let content = Some(written);
        let put = Change::Put { space, name, keep, content, lock: None };
        Plan { conditions: vec![], changes: vec![put] }
    }

    /// Removes the null version of a name.
    pub(crate) fn remove(&mut self, space: SpaceId, name: &str) {
        let name = Bytes::copy_from_slice(name.as_bytes());
        let remove = Change::Remove { space, name, which: Which::Null, bypass: Bypass::None };
        self.commit(Plan { conditions: vec![], changes: vec![remove] }).unwrap();
    }

    /// The engine holds exactly what the model holds, byte for byte.
    pub(crate) fn verify(&self) -> Result<(), String> {
        verify(self.engine(), &self.reference)
    }
}

/// Says how an engine differs from the model, if it does.
pub(crate) fn verify(engine: &Engine, reference: &Reference) -> Result<(), String> {
    for (space, names) in &reference.spaces {
        let scan = VersionScan {
            prefix: Bytes::new(),
            delimiter: Bytes::new(),
            after: None,
            limit: limits::PAGE_MAX,
        };
        let page = engine.scan_versions(*space, &scan).map_err(|e| format!("{space}: {e}"))?;
        let mut found = page.items.iter();
        for (name, versions) in names {
            for (nth, version) in versions.iter().enumerate() {
                let Some(ScanItem::Version { name: at, entry, newest }) = found.next() else {
                    return Err(format!("space {space} ends before {name:?}"));
                };
                if at != name || (nth == 0) != *newest {
                    return Err(format!("space {space}: {at:?} in the place of {name:?}"));
                }
                let lock = engine.lock_of(entry);
                differs(version, entry, lock)
                    .map_err(|what| format!("{space} {name:?}: {what}"))?;
                read_back(engine, *space, name, entry, version)
                    .map_err(|what| format!("{space} {name:?} {}: {what}", entry.sequence))?;
            }
        }
        if let Some(more) = found.next() {
            return Err(format!("space {space} also holds {more:?}"));
        }
    }
    Ok(())
}

/// How an entry differs from a version.
pub(crate) fn differs(version: &Version, entry: &Entry, lock: Option<Lock>) -> Result<(), String> {
    let found = (
        entry.sequence,
        entry.time_ms,
        entry.is_marker(),
        entry.is_null(),
        entry.size,
        entry.stamp,
        entry.label,
        lock,
    );
    let content = version.content.as_ref();
    let expected = (
        version.sequence,
        version.time_ms,
        version.is_marker(),
        version.keep == Keep::Null,
        content.map_or(0, |content| content.data.len() as u64),
        content.map_or(Stamp::default(), |content| content.stamp),
        content.map_or(0, |content| content.label),
        version.lock,
    );
    if found == expected { Ok(()) } else { Err(format!("{found:?}, not {expected:?}")) }
}

fn read_back(
    engine: &Engine,
    space: SpaceId,
    name: &Bytes,
    entry: &Entry,
    version: &Version,
) -> Result<(), String> {
    let say = |error: Error| error.to_string();
    let record = block_on(engine.load(space, name, entry)).map_err(say)?;
    let Some(content) = &version.content else { return Ok(()) };
    let data = block_on(record.read(0..u64::MAX).collect()).map_err(say)?;
    if record.meta != content.meta {
        return Err("other metadata".to_owned());
    }
    if data[..] != content.data[..] {
        return Err(format!("other bytes, {} of them", data.len()));
    }
    match block_on(engine.page_reader(&record)) {
        // It is no value in pages.
        Err(Error::Invalid(_)) => Ok(()),
        Err(error) => Err(say(error)),
        Ok(reader) => {
            let pages: Vec<u32> = (0..reader.pages()).rev().collect();
            let found = read_pages(&reader, &pages).map_err(say)?;
            let same = found == pages_of(&content.data, &pages);
            same.then_some(()).ok_or_else(|| format!("other pages, {} of them", pages.len()))
        }
    }
}

/// Reads pages, one behind the other.
pub(crate) fn read_pages(reader: &PageReader, pages: &[u32]) -> Result<Vec<u8>> {
    let mut out = vec![0xEE; pages.len() * limits::PAGE_BYTES];
    reader.read(pages, &mut out)?;
    Ok(out)
}

/// What [`read_pages`] must give.
pub(crate) fn pages_of(content: &[u8], pages: &[u32]) -> Vec<u8> {
    let mut out = Vec::new();
    for page in pages {
        let held = content.chunks(limits::PAGE_BYTES).nth(*page as usize).unwrap();
        out.extend_from_slice(held);
        out.resize(out.len().next_multiple_of(limits::PAGE_BYTES), 0);
    }
    out
}

/// Writes a value in uneven pieces.
pub(crate) async fn write_value(
    engine: &Engine,
    space: SpaceId,
    placement: Placement,
    content: &[u8],
) -> Result<Value> {
    let mut writer = engine.writer(space, placement, Some(content.len() as u64))?;
    for piece in content.chunks(10_007) {
        writer.write(Bytes::copy_from_slice(piece)).await?;
    }
    writer.finish().await
}

fn fresh_blob() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn no_entry(sequence: u64) -> Entry {
    Entry {
        sequence,
        time_ms: 0,
        size: 0,
        location: Location::default(),
        body: Body::Record,
        stamp: Stamp::default(),
        label: 0,
        flags: 0,
    }
}
