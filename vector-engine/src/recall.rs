//! The recall probe: some queries are answered once more, exactly, behind all that wait, so that an
//! operator sees how many of the nearest rows searches find.
//!
//! - The exact answer is of the state that the query saw; when that can be read no more, none is
//!   counted.
//! - One at a time: a query that is drawn while another's exact answer is awaited is passed over and
//!   counted as dropped. So one state at most is kept for it.
//! - Neighbours are counted by distance: another at the very same is as good.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use roaring::RoaringBitmap;
use storage_engine::Environment;

use crate::engine::Shared;
use crate::error::{Error, Result};
use crate::kernel::Probe;
use crate::member::Member;
use crate::pace::{Pace, Unhurried, Yielding};
use crate::pages::Reading;
use crate::search::Search;
use crate::state::State;

/// Of how many queries something is done: from none to all.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QueryShare(f64);

impl QueryShare {
    /// No query.
    pub const NONE: Self = Self(0.0);

    /// A share from 0 to 1; none: it is not within.
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then_some(Self(share))
    }

    /// Whether it is the turn of one more query.
    fn draw(self, environment: &dyn Environment) -> bool {
        if self.0 <= 0.0 {
            return false;
        }
        let mut random = [0; 8];
        environment.fill_random(&mut random);
        let drawn = (u64::from_le_bytes(random) >> 11) as f64 / (1_u64 << 53) as f64;
        drawn < self.0
    }
}

/// Counts since the start. Recall is `found` of `wanted`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecallStats {
    /// Queries whose exact answer was counted.
    pub probes: u64,
    /// Queries that were drawn and not counted: another's was awaited, or the state was gone.
    pub dropped: u64,
    /// Rows of the exact answers.
    pub wanted: u64,
    /// Rows of them, or as near, that the queries found.
    pub found: u64,
}

/// A query as it was answered.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) state: Arc<State>,
    /// What a filter left of each member.
    pub(crate) matches: Option<Vec<RoaringBitmap>>,
    pub(crate) probe: Probe,
    pub(crate) top: usize,
    /// Distances of what was found, rising.
    pub(crate) found: Vec<f32>,
}

/// Who works out exact answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    /// The thread of [`keep_probing`].
    Thread,
    /// The query itself, where there are no threads.
    Caller,
}

/// The one sample that is not counted yet.
#[derive(Debug, Default)]
enum Slot {
    #[default]
    Free,
    Waiting(Box<Sample>),
    Taken,
}

/// Draws queries and counts what they found.
#[derive(Debug)]
pub(crate) struct RecallProbe {
    share: QueryShare,
    runner: Runner,
    slot: Mutex<Slot>,
    filled: Condvar,
    probes: AtomicU64,
    dropped: AtomicU64,
    wanted: AtomicU64,
    found: AtomicU64,
}

impl RecallProbe {
    pub(crate) fn new(share: QueryShare, runner: Runner) -> Self {
        Self {
            share,
            runner,
            slot: Mutex::default(),
            filled: Condvar::new(),
            probes: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            wanted: AtomicU64::new(0),
            found: AtomicU64::new(0),
        }
    }

    /// Whether a query is to be offered when it is answered.
    pub(crate) fn draws(&self, environment: &dyn Environment) -> bool {
        self.share.draw(environment)
    }

    /// Takes a query that was drawn.
    pub(crate) fn offer(&self, sample: Sample) {
        match self.runner {
            Runner::Caller => self.count(&sample.settle(&Unhurried)),
            Runner::Thread => {
                let mut slot = self.slot.lock();
                if matches!(*slot, Slot::Free) {
                    *slot = Slot::Waiting(Box::new(sample));
                    self.filled.notify_one();
                } else {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// The sample that waits, or comes within `wait`.
    fn take(&self, wait: Duration) -> Option<Sample> {
        let mut slot = self.slot.lock();
        if matches!(*slot, Slot::Free) {
            self.filled.wait_for(&mut slot, wait);
        }
        match std::mem::take(&mut *slot) {
            Slot::Waiting(sample) => {
                *slot = Slot::Taken;
                Some(*sample)
            }
            Slot::Free | Slot::Taken => None,
        }
    }

    fn count(&self, settled: &Result<Settled>) {
        match settled {
            Ok(Settled { wanted, found }) => {
                self.wanted.fetch_add(*wanted, Ordering::Relaxed);
                self.found.fetch_add(*found, Ordering::Relaxed);
                self.probes.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                // What was compacted away is gone, what is rotten is told by the queries that meet it.
                tracing::debug!(%error, "the recall of a query was not probed");
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn read(&self) -> RecallStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RecallStats {
            probes: load(&self.probes),
            dropped: load(&self.dropped),
            wanted: load(&self.wanted),
            found: load(&self.found),
        }
    }

    /// Has the thread look whether it is to end.
    pub(crate) fn wake(&self) {
        self.filled.notify_all();
    }
}

/// What a probe says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Settled {
    wanted: u64,
    found: u64,
}

impl Sample {
    /// Measures every row that could be found.
    fn settle(&self, pace: &dyn Pace) -> Result<Settled> {
        let members: Vec<&Member> = self.state.members().collect();
        let matches = self.matches.as_deref();
        let (probe, top, reading) = (&self.probe, self.top, Reading::Once);
        let search = Search { members: &members, matches, probe, top, reading };
        let exact = search.run_exactly(pace)?;
        let found = in_both(exact.iter().map(|near| near.distance), &self.found);
        Ok(Settled { wanted: exact.len() as u64, found })
    }
}

/// How many of the `wanted` distances are in `found`, each for one; both rise.
fn in_both(wanted: impl Iterator<Item = f32>, mut found: &[f32]) -> u64 {
    let mut count = 0;
    for distance in wanted {
        let nearer = found.partition_point(|there| there.total_cmp(&distance).is_lt());
        found = found.get(nearer..).unwrap_or_default();
        if let Some((first, rest)) = found.split_first()
            && first.total_cmp(&distance).is_eq()
        {
            count += 1;
            found = rest;
        }
    }
    count
}

/// The thread that works out exact answers: it yields to queries, and ends with the engine.
pub(crate) fn keep_probing(shared: &Weak<Shared>, look_interval: Duration) {
    crate::upkeep::lower_priority();
    loop {
        let Some(shared) = shared.upgrade() else { return };
        if shared.foreground.is_closing() {
            return;
        }
        let Some(sample) = shared.recall.take(look_interval) else { continue };
        let settled = sample.settle(&Yielding::new(&shared.foreground));
        drop(sample);
        if matches!(settled, Err(Error::Stopped)) {
            return;
        }
        shared.recall.count(&settled);
        *shared.recall.slot.lock() = Slot::Free;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use storage_engine::media::SimEnvironment;

    use super::{QueryShare, RecallProbe, RecallStats, Runner, Sample, Settled};
    use crate::delta::{Delta, DeltaRow};
    use crate::kernel::Probe;
    use crate::key_hash::HashSecret;
    use crate::metadata::Metadata;
    use crate::metric::Metric;
    use crate::pace::Unhurried;
    use crate::row::{IndexSettings, NewRow};
    use crate::state::State;

    fn put(state: &mut State, key: &str, vector: f32) {
        let settings = IndexSettings {
            dimension: 1,
            metric: Metric::Euclidean,
            non_filterable: Vec::new(),
            text: Vec::new(),
        };
        let row = NewRow { key: key.into(), vector: vec![vector], metadata: Metadata::default() };
        let delta = Delta { rows: vec![DeltaRow { row, owner: None }], deleted: Vec::new() };
        state.apply(&settings, &HashSecret([0; 16]), delta).unwrap();
    }

    fn sample(state: State, top: usize, found: &[f32]) -> Sample {
        let probe = Probe::new(Metric::Euclidean, &[0.0]);
        Sample { state: Arc::new(state), matches: None, probe, top, found: found.into() }
    }

    #[test]
    fn a_share_draws_about_as_many_and_is_never_beyond_one() {
        let environment = SimEnvironment::new(1);
        let drawn = |share: f64| {
            let share = QueryShare::new(share).unwrap();
            (0..10_000).filter(|_| share.draw(&environment)).count()
        };
        assert_eq!((drawn(0.0), drawn(1.0)), (0, 10_000));
        assert!((300..700).contains(&drawn(0.05)));
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(QueryShare::new(share), None);
        }
    }

    #[test]
    fn what_was_written_after_a_query_is_not_wanted_of_it() {
        let mut state = State::default();
        for (key, vector) in [("a", 1.0), ("b", 2.0), ("c", 2.0), ("d", 9.0)] {
            put(&mut state, key, vector);
        }
        let missed = sample(state.clone(), 3, &[1.0, 4.0]);
        let tied = sample(state.clone(), 2, &[1.0, 4.0]);
        put(&mut state, "nearest", 0.0);
        let after = sample(state, 3, &[1.0, 4.0, 4.0]);
        for (sample, wanted, found) in [(missed, 3, 2), (tied, 2, 2), (after, 3, 2)] {
            assert_eq!(sample.settle(&Unhurried).unwrap(), Settled { wanted, found });
        }
    }

    #[test]
    fn one_sample_waits_and_others_are_dropped() {
        let probe = RecallProbe::new(QueryShare(1.0), Runner::Thread);
        let mut state = State::default();
        put(&mut state, "a", 1.0);
        for _ in 0..3 {
            probe.offer(sample(state.clone(), 1, &[1.0]));
        }
        assert_eq!(probe.read(), RecallStats { dropped: 2, ..RecallStats::default() });
        assert!(probe.take(Duration::ZERO).is_some());
        probe.offer(sample(state, 1, &[1.0]));
        assert_eq!(probe.read().dropped, 3, "one is being worked on");
    }
}
