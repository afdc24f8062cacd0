//! What happens to an index in the background: seals, compactions, text indexes, what is left over.
//!
//! - One step is one such thing. Each becomes true by one batch of the storage engine, so that a crash
//!   leaves the state before or after it.
//! - A segment is built outside the lane's turn; the turn is taken to freeze and to put.

use std::sync::Arc;

use crate::wait::wait;
use bytes::Bytes;
use roaring::RoaringBitmap;
use storage_engine::limits::PAGE_MAX;
use storage_engine::{Batch, Operation};

use crate::builder::{Builder, Built};
use crate::engine::EngineOptions;
use crate::error::{Error, Result};
use crate::index::{IndexInner, Lane};
use crate::limits::{GROWING_BYTES_MAX, GROWING_WRITES_MAX, SEGMENT_BYTES_MAX, SEGMENT_ROWS_MAX};
use crate::member::{Member, Rows};
use crate::pace::Pace;
use crate::sealed::Sealed;
use crate::source::Source;
use crate::state::State;
use crate::store::{
    DeltaNumber, Part, SegmentId, dead_name, delta_name, manifest_name, part_name, segment_prefix,
    texts_prefix,
};
use crate::text::TextBuilder;

/// Segments of like size that are merged into one.
const MERGE_SEGMENTS: usize = 4;
/// Segments are of like size when none has more rows than this many times the smallest.
const LIKE_SIZE: u64 = 4;
/// A segment is rewritten when one of this many rows is dead.
const DEAD_SHARE: u64 = 4;
/// An index that nobody writes to gets a graph when one of so many rows lies in none.
const UNSETTLED_SHARE: u64 = 8;
/// Deltas removed by one batch.
const SWEEP_DELTAS: usize = 1000;

/// Whether a step found something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Did {
    Something,
    Nothing,
}

/// True when the growing segment is as large as it gets, `rows_max` being the rows.
pub(crate) fn should_seal(state: &State, rows_max: usize) -> bool {
    state.growing_writes >= GROWING_WRITES_MAX
        || state.growing_rows() >= rows_max
        || state.growing_bytes() >= GROWING_BYTES_MAX
}

/// Does the next thing that is to be done.
pub(crate) fn step(index: &IndexInner, pace: &dyn Pace) -> Result<Did> {
    match seal_step(index, pace)? {
        Did::Something => Ok(Did::Something),
        Did::Nothing => merge_step(index, pace),
    }
}

/// Seals, when that is to be done.
pub(crate) fn seal_step(index: &IndexInner, pace: &dyn Pace) -> Result<Did> {
    if index.is_gone() {
        return Ok(Did::Nothing);
    }
    let state = index.state();
    let options = &index.shared.options;
    let is_left = index.idle_for() >= options.settle_after
        && state.growing_rows() > 0
        && is_worth_settling(&state, options);
    if state.frozen.is_empty() && !should_seal(&state, options.growing_rows_max) && !is_left {
        return Ok(Did::Nothing);
    }
    seal(index, pace)?;
    Ok(Did::Something)
}

/// Does the next thing besides sealing.
pub(crate) fn merge_step(index: &IndexInner, pace: &dyn Pace) -> Result<Did> {
    if index.is_gone() {
        return Ok(Did::Nothing);
    }
    pace.step()?;
    let _merging = index.merging.lock();
    let state = index.state();
    let dimension = index.settings().dimension;
    let options = &index.shared.options;
    if let Some(members) = to_compact(&state, dimension) {
        compact(index, pace, members, options.graph_rows_min)?;
        return Ok(Did::Something);
    }
    if index.idle_for() >= options.settle_after
        && let Some(members) = to_settle(&state, dimension, options)
    {
        let graph_rows_min = options.graph_rows_min.min(options.settled_rows_min);
        compact(index, pace, members, graph_rows_min)?;
        return Ok(Did::Something);
    }
    if build_text(index, pace, &state)? == Did::Something {
        return Ok(Did::Something);
    }
    if sweep(index)? == Did::Something {
        return Ok(Did::Something);
    }
    for member in &state.sealed {
        if let Rows::Sealed(sealed) = &member.rows {
            sealed.follow()?;
        }
    }
    Ok(Did::Nothing)
}

/// Makes a sealed segment of the growing rows.
pub(crate) fn seal(index: &IndexInner, pace: &dyn Pace) -> Result<()> {
    let _sealing = index.sealing.lock();
    {
        let mut lane = wait(index.turn());
        let mut state = State::clone(&index.state());
        if state.frozen.is_empty() {
            if state.growing_writes == 0 {
                return Ok(());
            }
            state.frozen = std::mem::take(&mut state.growing);
            state.growing_writes = 0;
            lane.frozen_delta = lane.last_delta;
            index.show(state);
        }
    }
    let members = index.state().frozen.clone();
    let graph_rows_min = index.shared.options.graph_rows_min;
    build_and_put(index, pace, members, Watermark::Frozen, graph_rows_min)?;
    index.note_settled();
    Ok(())
}

/// Makes one segment of several.
fn compact(
    index: &IndexInner,
    pace: &dyn Pace,
    members: Vec<Member>,
    graph_rows_min: usize,
) -> Result<()> {
    build_and_put(index, pace, members, Watermark::Stays, graph_rows_min)
}

/// What a new segment says about deltas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watermark {
    /// It holds the frozen rows: their deltas are needed no more.
    Frozen,
    /// It holds what was sealed before.
    Stays,
}

fn build_and_put(
    index: &IndexInner,
    pace: &dyn Pace,
    members: Vec<Member>,
    watermark: Watermark,
    graph_rows_min: usize,
) -> Result<()> {
    let settings = index.settings();
    let source = Source::new(members);
    let id = {
        let mut lane = wait(index.turn());
        let id = lane.manifest.next_segment;
        lane.manifest.next_segment.0 += 1;
        id
    };
    let built = match source.rows() {
        0 => None,
        _ => {
            let (store, counters) = (&index.store, &index.shared.counters);
            let builder = Builder { store, settings: &settings, pace, counters, graph_rows_min };
            Some(builder.build(id, &source)?)
        }
    };
    let mut lane = wait(index.turn());
    put_segment(index, &mut lane, source.members(), built, watermark)
}

/// Puts a segment, takes away what it was made of, and shows both at once.
fn put_segment(
    index: &IndexInner,
    lane: &mut Lane,
    members: &[Member],
    built: Option<Built>,
    watermark: Watermark,
) -> Result<()> {
    let mut manifest = lane.manifest.clone();
    let mut operations = Vec::new();
    let gone: Vec<SegmentId> = members.iter().filter_map(segment_of).collect();
    for id in &gone {
        operations.extend(removal(index, *id)?);
    }
    manifest.segments.retain(|id| !gone.contains(id));
    let state = index.state();
    let mut dead_saved = lane.dead_saved.clone();
    let mut new = None;
    if let Some(built) = built {
        // Deltas that killed them may be swept before the next batch with a manifest.
        let dead = state.died_since(members, &built.hashes);
        if !dead.is_empty() {
            operations.push(put_dead(index, built.id, &dead)?);
            dead_saved.insert(built.id, dead.len());
        }
        manifest.segments.push(built.id);
        operations.extend(built.operations);
        new = Some((built.id, dead));
    }
    if watermark == Watermark::Frozen {
        manifest.watermark = lane.frozen_delta;
    }
    let value = wait(index.store.seal(manifest.encode().into()))?;
    operations.push(index.store.put(manifest_name(), value));
    for member in &state.sealed {
        let Some(id) = segment_of(member).filter(|id| !gone.contains(id)) else { continue };
        if dead_saved.get(&id).copied().unwrap_or(0) != member.dead.len() {
            operations.push(put_dead(index, id, &member.dead)?);
            dead_saved.insert(id, member.dead.len());
        }
    }
    dead_saved.retain(|id, _| !gone.contains(id));
    wait(index.store.engine.commit(Batch { conditions: Vec::new(), operations }))?;
    lane.manifest = manifest;
    lane.dead_saved = dead_saved;
    // From here on the device says so: whatever fails now is found again at the next start.
    let new = match new {
        None => None,
        Some((id, dead)) => {
            let settings = index.settings();
            Some((wait(Sealed::open(&index.store, &index.shared.caches, &settings, id))?, dead))
        }
    };
    let mut state = State::clone(&state);
    state.replace(members, new);
    index.show(state);
    for id in gone {
        index.shared.caches.forget(index.store.space, Some(id));
    }
    Ok(())
}

fn segment_of(member: &Member) -> Option<SegmentId> {
    match &member.rows {
        Rows::Growing(_) => None,
        Rows::Sealed(sealed) => Some(sealed.id),
    }
}

fn put_dead(index: &IndexInner, id: SegmentId, dead: &RoaringBitmap) -> Result<Operation> {
    let mut bytes = Vec::with_capacity(dead.serialized_size());
    dead.serialize_into(&mut bytes).map_err(|e| Error::Invalid(e.to_string()))?;
    let value = wait(index.store.seal(bytes.into()))?;
    Ok(index.store.put(dead_name(id), value))
}

/// Removes all records of a segment.
fn removal(index: &IndexInner, id: SegmentId) -> Result<Vec<Operation>> {
    let mut names = index.store.names(&segment_prefix(id), None, PAGE_MAX)?;
    names.push(dead_name(id));
    Ok(names.into_iter().map(|name| index.store.remove(name)).collect())
}

/// Rows of the largest segment that a merge makes.
fn merged_rows_max(dimension: usize) -> u64 {
    let row_bytes = (dimension as u64 * 4 + 256) * 5 / 4;
    (SEGMENT_BYTES_MAX / row_bytes).min(SEGMENT_ROWS_MAX as u64)
}

/// True when enough rows lie in no graph for one of all rows to be worth its building.
fn is_worth_settling(state: &State, options: &EngineOptions) -> bool {
    let in_graph = |member: &&Member| match &member.rows {
        Rows::Growing(_) => false,
        Rows::Sealed(sealed) => sealed.resident.degree > 0,
    };
    let all = state.rows();
    let walked: u64 = state.members().filter(in_graph).map(|m| u64::from(m.living())).sum();
    all >= options.settled_rows_min as u64 && (all - walked) * UNSETTLED_SHARE >= all
}

/// The segments of an index that nobody writes to, to become one with a graph: when all of its rows
/// are sealed, so that none is left beside it.
fn to_settle(state: &State, dimension: usize, options: &EngineOptions) -> Option<Vec<Member>> {
    let sealed: u64 = state.sealed.iter().map(|member| u64::from(member.living())).sum();
    let rows_min = options.settled_rows_min as u64;
    let fits = (rows_min..=merged_rows_max(dimension)).contains(&sealed);
    let is_sealed = state.growing.is_empty() && state.frozen.is_empty();
    (fits && is_sealed && is_worth_settling(state, options)).then(|| state.sealed.clone())
}

/// The segments that are worth being merged.
fn to_compact(state: &State, dimension: usize) -> Option<Vec<Member>> {
    let rows_max = merged_rows_max(dimension);
    let rows = |member: &Member| u64::from(member.living());
    let mostly_dead = |member: &&Member| member.dead.len() * DEAD_SHARE > u64::from(member.len());
    let mut sorted: Vec<&Member> = state.sealed.iter().collect();
    sorted.sort_by_key(|member| member.living());
    // All of them at once: one by one, where writers overwrite faster, their number would only grow.
    let mut together = 0;
    let dying = sorted.iter().copied().filter(mostly_dead).take_while(|member| {
        let is_first = together == 0;
        together += rows(member);
        is_first || together <= rows_max
    });
    let dying: Vec<Member> = dying.cloned().collect();
    if !dying.is_empty() {
        return Some(dying);
    }
    for run in sorted.windows(MERGE_SEGMENTS) {
        let (Some(smallest), Some(largest)) = (run.first(), run.last()) else { continue };
        let together: u64 = run.iter().map(|member| rows(member)).sum();
        if rows(largest) <= rows(smallest).max(1) * LIKE_SIZE && together <= rows_max {
            return Some(run.iter().copied().cloned().collect());
        }
    }
    None
}

/// Builds one text index that is missing or that an older release's analyzer made, or removes one that
/// is wanted no more.
fn build_text(index: &IndexInner, pace: &dyn Pace, state: &State) -> Result<Did> {
    let settings = index.settings();
    for member in &state.sealed {
        let Rows::Sealed(sealed) = &member.rows else { continue };
        for field in &settings.text {
            let name = part_name(sealed.id, &Part::Text(field.part_name()));
            let is_there = index.store.engine.current(index.store.space, &name)?.is_some();
            if is_there && !index.outdated_texts.contains(&name) {
                continue;
            }
            let analyzer = field.analyzer();
            let mut builder = TextBuilder::new(&analyzer);
            let mut number = 0;
            let all = Member::new(Rows::Sealed(Arc::clone(sealed)));
            Source::new(vec![all]).for_each(crate::source::Pass::Whole, |row| {
                pace.step()?;
                field.add(&mut builder, number, &row.metadata)?;
                number += 1;
                Ok(())
            })?;
            let value = wait(index.store.seal(builder.finish()?.encode()))?;
            // In the turn, and only for a segment that is still there.
            let _turn = wait(index.turn());
            if index.state().sealed.iter().any(|now| now.is_same(member)) {
                let operations = vec![index.store.put(name.clone(), value)];
                wait(index.store.engine.commit(Batch { conditions: Vec::new(), operations }))?;
                // Whoever keeps an outdated one later than this sees that it is.
                index.shared.caches.parts.forget(index.store.space, Some(sealed.id));
            }
            index.outdated_texts.remove(&name);
            return Ok(Did::Something);
        }
        let wanted = |name: &Bytes| {
            let mut fields = settings.text.iter();
            fields.any(|field| part_name(sealed.id, &Part::Text(field.part_name())) == *name)
        };
        let names = index.store.names(&texts_prefix(sealed.id), None, PAGE_MAX)?;
        if let Some(name) = names.into_iter().find(|name| !wanted(name)) {
            let operations = vec![index.store.remove(name)];
            wait(index.store.engine.commit(Batch { conditions: Vec::new(), operations }))?;
            index.shared.caches.parts.forget(index.store.space, Some(sealed.id));
            return Ok(Did::Something);
        }
    }
    Ok(Did::Nothing)
}

/// Removes deltas that are in sealed segments.
fn sweep(index: &IndexInner) -> Result<Did> {
    let watermark = wait(index.turn()).manifest.watermark;
    let end = delta_name(DeltaNumber(watermark.0.saturating_add(1)));
    let mut names = index.store.names(b"d", None, SWEEP_DELTAS)?;
    names.retain(|name| *name < end);
    if names.is_empty() {
        return Ok(Did::Nothing);
    }
    let operations = names.into_iter().map(|name| index.store.remove(name)).collect();
    wait(index.store.engine.commit(Batch { conditions: Vec::new(), operations }))?;
    Ok(Did::Something)
}

/// Has the calling thread stand behind those that answer.
pub(crate) fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) =
        rustix::process::setpriority_process(Some(rustix::thread::gettid()), BACKGROUND_NICE)
    {
        tracing::debug!(%error, "background work runs at the priority of the rest");
    }
}

#[cfg(target_os = "linux")]
const BACKGROUND_NICE: i32 = 10;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use storage_engine::media::{SimEnvironment, SimMedia, SimOptions};
    use storage_engine::{Batch, Engine, Environment, Operation, Options, PlainMasterKey, SpaceId};

    use super::{Did, merge_step, seal, seal_step, to_settle};
    use crate::pace::{Pace, Unhurried};
    use crate::wait::wait;
    use crate::{
        EngineOptions, Index, IndexSettings, List, Metadata, Metric, NewRow, Result, VectorEngine,
        Want,
    };

    fn engine(media: SimMedia) -> (Engine, Arc<dyn Environment>) {
        let environment: Arc<dyn Environment> = Arc::new(SimEnvironment::new(1));
        let master = Arc::new(PlainMasterKey::new([7; 32]));
        let options = Options { background: false, ..Options::default() };
        let media = Arc::new(media);
        (Engine::open(Arc::clone(&environment), media, master, options).unwrap(), environment)
    }

    fn index(engine: &Engine, environment: Arc<dyn Environment>, space: SpaceId) -> Index {
        let options = EngineOptions { growing_rows_max: 2, ..EngineOptions::default() };
        let vectors = VectorEngine::new(engine.clone(), environment, options).unwrap();
        let (non_filterable, text) = (Vec::new(), Vec::new());
        let metric = Metric::Euclidean;
        wait(vectors.index(space, &IndexSettings { dimension: 1, metric, non_filterable, text }))
            .unwrap()
    }

    fn fresh() -> (Engine, Index, SpaceId) {
        let (engine, environment) = engine(SimMedia::new(&SimOptions::default()));
        let space = engine.reserve_space();
        let operations = vec![Operation::CreateSpace(space)];
        wait(engine.commit(Batch { conditions: vec![], operations })).unwrap();
        let index = index(&engine, environment, space);
        (engine, index, space)
    }

    fn put(index: &Index, keys: [&str; 2]) {
        let row = |key: &str| NewRow {
            key: key.to_owned(),
            vector: vec![1.0],
            metadata: Metadata::default(),
        };
        wait(index.put(keys.map(row).into())).unwrap();
    }

    fn keys(index: &Index) -> Vec<String> {
        let list = List {
            after: None,
            limit: 100,
            page_bytes: usize::MAX,
            parts: None,
            want: Want::default(),
            filter: None,
        };
        let mut keys: Vec<String> =
            wait(index.list(list)).unwrap().rows.into_iter().map(|row| row.key).collect();
        keys.sort();
        keys
    }

    #[test]
    fn growing_rows_are_sealed_while_segments_are_merged() {
        let (_engine, index, _) = fresh();
        let _merging = index.inner.merging.lock();
        for sealed in 1..3 {
            put(&index, [&format!("a{sealed}"), &format!("b{sealed}")]);
            assert_eq!(seal_step(&index.inner, &Unhurried).unwrap(), Did::Something);
            assert_eq!(index.stats().sealed_segments, sealed);
        }
    }

    #[test]
    fn segments_that_are_mostly_dead_become_one_in_one_step() {
        let (_engine, index, _) = fresh();
        for nth in 0..9 {
            put(&index, [&format!("a{nth}"), &format!("b{nth}")]);
            seal(&index.inner, &Unhurried).unwrap();
        }
        wait(index.delete((0..9).map(|nth| format!("a{nth}")).collect())).unwrap();
        assert_eq!(merge_step(&index.inner, &Unhurried).unwrap(), Did::Something);
        let stats = index.stats();
        assert_eq!((stats.sealed_segments, stats.dead_rows, stats.rows), (1, 0, 9));
    }

    #[test]
    fn what_still_grows_is_sealed_before_all_becomes_one_segment() {
        let (_engine, index, _) = fresh();
        let options = EngineOptions { settled_rows_min: 100, ..EngineOptions::default() };
        let row = |number: usize| NewRow {
            key: number.to_string(),
            vector: vec![number as f32],
            metadata: Metadata::default(),
        };
        let settling = || to_settle(&index.inner.state(), 1, &options).map(|members| members.len());
        wait(index.put((0..100).map(row).collect())).unwrap();
        seal(&index.inner, &Unhurried).unwrap();
        assert_eq!(settling(), Some(1));
        wait(index.put((100..120).map(row).collect())).unwrap();
        assert_eq!(settling(), None);
        seal(&index.inner, &Unhurried).unwrap();
        assert_eq!(settling(), Some(2));
    }

    /// Overwrites rows and seals, once, in the middle of other work.
    #[derive(Debug)]
    struct Meddling<'a>(&'a Index, AtomicBool);

    impl Pace for Meddling<'_> {
        fn step(&self) -> Result<()> {
            if self.0.inner.merging.is_locked() && !self.1.swap(true, Ordering::Relaxed) {
                put(self.0, ["a0", "b1"]);
                assert_eq!(seal_step(&self.0.inner, &Unhurried)?, Did::Something);
            }
            Ok(())
        }
    }

    #[test]
    fn what_died_and_was_sealed_during_a_merge_stays_dead_after_a_crash() {
        let (engine, index, space) = fresh();
        let mut expected = Vec::new();
        for nth in 0..4 {
            let (a, b) = (format!("a{nth}"), format!("b{nth}"));
            put(&index, [&a, &b]);
            assert_eq!(seal_step(&index.inner, &Unhurried).unwrap(), Did::Something);
            expected.extend([a, b]);
        }
        expected.sort();
        let meddling = Meddling(&index, AtomicBool::new(false));
        assert_eq!(merge_step(&index.inner, &meddling).unwrap(), Did::Something);
        assert!(meddling.1.load(Ordering::Relaxed));
        assert_eq!((keys(&index), index.stats().sealed_segments), (expected.clone(), 2));
        index.maintain().unwrap();
        let again = self::index(&engine, Arc::new(SimEnvironment::new(2)), space);
        assert_eq!(keys(&again), expected);
    }
}
