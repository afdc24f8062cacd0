//! One query: what a filter leaves, the nearest by vector, the best by text, and their fusion.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Shared;
use crate::error::{Error, Result};
use crate::fetch::{Pick, fetch};
use crate::filter::Filter;
use crate::fuse::{Fused, fuse};
use crate::kernel::Probe;
use crate::matching::matching;
use crate::member::{Member, Rows};
use crate::metadata::Metadata;
use crate::metrics::{Phase, Plan};
use crate::pages::Reading;
use crate::recall::Sample;
use crate::row::{IndexSettings, Want};
use crate::search::{Near, Search, Work};
use crate::state::State;
use crate::text_search::{TextRanks, rank_texts};

/// Rows of each list that fusion looks at, at least.
const FUSED_ROWS_MIN: usize = 100;

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Rows near this vector.
    pub vector: Option<Vec<f32>>,
    /// Rows whose texts say this.
    pub texts: Vec<QueryText>,
    /// Results at most.
    pub top: usize,
    /// Only rows that match.
    pub filter: Option<Filter>,
    /// What of each row.
    pub want: Want,
    /// Tell how it was answered.
    pub explain: Explained,
}

/// Whether an answer tells how it came about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Explained {
    /// No.
    #[default]
    No,
    /// Yes.
    Yes,
}

/// A text that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryText {
    /// The metadata key whose text is searched.
    pub key: String,
    /// The words.
    pub text: String,
}

/// What was found, best first.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The rows.
    pub hits: Vec<Hit>,
    /// How they were found, where that was asked.
    pub explain: Option<Explain>,
}

/// A row that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Its key.
    pub key: String,
    /// Its distance, as [`crate::Metric::told`], where a vector was asked.
    pub distance: Option<f32>,
    /// Its score by rank fusion, where a text was asked.
    pub fused: Option<f32>,
    /// Its score by each text that it matched: the key, the score.
    pub text_scores: Vec<(String, f32)>,
    /// Its vector, where that was wanted.
    pub vector: Option<Vec<f32>>,
    /// Its metadata, where that was wanted.
    pub metadata: Option<Metadata>,
}

/// How a query was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explain {
    /// Time of each phase.
    pub phases: Vec<(Phase, Duration)>,
    /// What was done in each segment.
    pub segments: Vec<SegmentWork>,
}

/// What was done in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentWork {
    /// Rows that live.
    pub rows: u64,
    /// Rows that could be found.
    pub candidates: u64,
    /// How they were searched.
    pub plan: Plan,
    /// Rows whose vectors were compared exactly.
    pub measured: u64,
    /// Rounds of reading, one after the other.
    pub rounds: u32,
}

/// Results up to which a query may be light.
const LIGHT_TOP_MAX: usize = 100;
/// Segments up to which walking all of them is light: some 100 us each.
const LIGHT_SEGMENTS_MAX: usize = 4;
/// Components of growing rows up to which comparing all of them is light: some 50 us.
const LIGHT_COMPONENTS_MAX: usize = 1 << 18;

/// True when an answer takes so little work, if what it reads is in memory, that another thread is
/// not worth its waking.
pub(crate) fn is_light(state: &State, settings: &IndexSettings, query: &Query) -> bool {
    let is_walked = |member: &Member| match &member.rows {
        Rows::Growing(_) => true,
        Rows::Sealed(sealed) => sealed.resident.degree > 0,
    };
    query.texts.is_empty()
        && query.filter.is_none()
        && query.top <= LIGHT_TOP_MAX
        && state.growing_rows() * settings.dimension <= LIGHT_COMPONENTS_MAX
        && state.frozen.is_empty()
        && state.sealed.len() <= LIGHT_SEGMENTS_MAX
        && state.members().all(is_walked)
}

/// Answers a query on one state.
pub(crate) fn run(
    shared: &Shared,
    state: &Arc<State>,
    settings: &IndexSettings,
    query: &Query,
    reading: Reading,
) -> Result<Answer> {
    if query.vector.is_none() && query.texts.is_empty() {
        return Err(Error::Invalid("a query has a vector or a text".to_owned()));
    }
    let mut clock =
        Clock { shared, at: shared.environment.monotonic(), explain: Explain::default() };
    let members: Vec<&Member> = state.members().collect();
    let matches = matching(&members, settings, query.filter.as_ref())?;
    clock.end(Phase::Filter);
    let depth = match query.texts.is_empty() {
        true => query.top,
        false => query.top.max(FUSED_ROWS_MIN),
    };
    let probe = query.vector.as_ref().map(|vector| Probe::new(settings.metric, vector));
    let search = probe.as_ref().map(|probe| Search {
        members: &members,
        matches: matches.as_deref(),
        probe,
        top: depth,
        reading,
    });
    let near = match &search {
        None => Vec::new(),
        Some(search) => {
            let (near, works) = search.run()?;
            clock.note_works(&members, &works);
            near
        }
    };
    let drawn = probe.is_some() && shared.recall.draws(shared.environment.as_ref());
    let found: Option<Vec<f32>> = drawn.then(|| near.iter().map(|near| near.distance).collect());
    clock.end(Phase::Vectors);
    let texts = rank_texts(&members, matches.as_deref(), settings, &query.texts, depth)?;
    clock.end(Phase::Texts);
    let ranked = match query.texts.is_empty() {
        true => near.into_iter().map(Ranked::by_vector).collect(),
        false => fused(near, search.as_ref(), &texts, query.top)?,
    };
    let picks: Vec<Pick> = ranked.iter().map(|ranked| ranked.pick).collect();
    let rows = fetch(&members, &picks, query.want, reading)?;
    clock.end(Phase::Fetch);
    let hits = ranked.into_iter().zip(rows).map(|(ranked, row)| Hit {
        key: row.key,
        distance: ranked.distance.map(|distance| settings.metric.told(distance)),
        fused: ranked.fused,
        text_scores: texts.scores_of(ranked.pick),
        vector: row.vector,
        metadata: row.metadata,
    });
    let hits = hits.collect();
    shared.counters.note_query();
    if let (Some(found), Some(probe)) = (found, probe) {
        shared.recall.offer(Sample { state: Arc::clone(state), matches, probe, top: depth, found });
    }
    let explain = (query.explain == Explained::Yes).then_some(clock.explain);
    Ok(Answer { hits, explain })
}

/// A result before its row is read.
#[derive(Debug, Clone, Copy)]
struct Ranked {
    pick: Pick,
    distance: Option<f32>,
    fused: Option<f32>,
}

impl Ranked {
    fn by_vector(near: Near) -> Self {
        let pick = Pick { member: near.member, row: near.row };
        Self { pick, distance: Some(near.distance), fused: None }
    }
}

/// The fusion of the vector's ranks and each text's. What only a text found has its distance measured.
fn fused(
    near: Vec<Near>,
    search: Option<&Search<'_>>,
    texts: &TextRanks,
    top: usize,
) -> Result<Vec<Ranked>> {
    let mut lists: Vec<Vec<(usize, u32)>> = texts.lists();
    if search.is_some() {
        lists.insert(0, near.iter().map(|near| (near.member, near.row)).collect());
    }
    let best = fuse(lists, top);
    let mut distances: std::collections::HashMap<(usize, u32), f32> =
        near.into_iter().map(|near| ((near.member, near.row), near.distance)).collect();
    if let Some(search) = search {
        let missing: Vec<(usize, u32)> =
            best.iter().map(|fused| fused.id).filter(|id| !distances.contains_key(id)).collect();
        let measured = search.measure(&missing)?;
        distances.extend(measured.into_iter().map(|near| ((near.member, near.row), near.distance)));
    }
    let ranked = |Fused { id: (member, row), score }| Ranked {
        pick: Pick { member, row },
        distance: distances.get(&(member, row)).copied(),
        fused: Some(score),
    };
    Ok(best.into_iter().map(ranked).collect())
}

/// Times phases.
struct Clock<'a> {
    shared: &'a Shared,
    at: Duration,
    explain: Explain,
}

impl Clock<'_> {
    fn end(&mut self, phase: Phase) {
        let now = self.shared.environment.monotonic();
        let took = now.saturating_sub(self.at);
        self.at = now;
        self.shared.counters.note_phase(phase, took);
        self.explain.phases.push((phase, took));
    }

    fn note_works(&mut self, members: &[&Member], works: &[Work]) {
        for (member, work) in members.iter().zip(works) {
            self.shared.counters.note_plan(work.plan);
            self.explain.segments.push(SegmentWork {
                rows: member.living().into(),
                candidates: work.candidates,
                plan: work.plan,
                measured: work.measured,
                rounds: work.rounds,
            });
        }
    }
}
