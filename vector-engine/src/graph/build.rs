//! Builds a graph: rows join in batches of growing size, each finding its place in the graph of
//! those before it, and are then led to from where they lead.
//!
//! Within a batch nothing changes while workers walk and prune; what they chose is put in between,
//! in the order of the rows. So the graph depends on the seed alone, not on how many workers there
//! are or how they are scheduled.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::order::Ranked;
use super::prune::{Pruned, Rule};
use super::reach::link_unreachable;
use super::space::Space;
use super::start::{Random, choose_entries};
use super::walk::{Adjacency, Walk};
use super::{DEGREE_MAX, Graph};

/// How a graph is built.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// The most neighbours of a row; 2 to [`DEGREE_MAX`].
    pub degree: usize,
    /// How many candidates a walk keeps: what pruning chooses from.
    pub list: usize,
    /// How much nearer a neighbour must be to a candidate than the row itself is, to stand for it.
    pub alpha: f32,
    /// How many rows searches begin at; at least one.
    pub entries: usize,
    /// How many threads work at a time, the caller's among them.
    pub workers: NonZeroUsize,
    /// What chance is drawn from.
    pub seed: u64,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            degree: 48,
            list: 100,
            alpha: 1.2,
            entries: 128,
            workers: NonZeroUsize::MIN,
            seed: 0,
        }
    }
}

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Rows that have joined.
    pub done: u32,
    /// Rows that there are.
    pub rows: u32,
}

/// What the watcher of a build says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Go on.
    Continue,
    /// Give up: the graph is not wanted any more.
    Stop,
}

/// Asked by every worker every few milliseconds of work. It may sleep to leave the processors to
/// others.
pub type Watch<'a> = dyn Fn(Progress) -> Pace + Sync + 'a;

/// The largest batch, as a part of all rows: its rows do not see each other, which costs recall
/// when they are many.
const BATCH_PART: usize = 50;

/// Rows that a worker takes on between two questions to the watcher.
const STRIDE: usize = 16;

/// Entries that a walk of the builder begins at. Searches begin at all: an estimate costs less than
/// a distance, and a round that is saved is worth more.
const STARTS_MAX: usize = 32;

/// Room for this many neighbours beyond the degree, as a part of it, so that a row is not pruned for
/// each one that comes to lead from it.
const SLACK_PART: usize = 2;

/// Builds the graph of a space; none when the watcher stopped it.
pub fn build<S: Space + ?Sized>(
    space: &S,
    options: &BuildOptions,
    watch: &Watch<'_>,
) -> Option<Graph> {
    let degree = options.degree.clamp(2, DEGREE_MAX);
    let mut random = Random::new(options.seed);
    let entries = choose_entries(space, options.entries.max(1), &mut random);
    let order = joining_order(space.rows(), &entries, &mut random);
    let mut builder = Builder {
        space,
        watch,
        list: options.list,
        rule: Rule { degree, alpha: options.alpha },
        entries,
        growing: Growing::new(space.rows(), degree + degree / SLACK_PART),
        workers: (0..options.workers.get()).map(|_| Worker::default()).collect(),
        joined: 0,
    };
    let batch_max = (order.len() / BATCH_PART).max(1);
    let mut rest = order.as_slice();
    let mut batch = builder.entries.len();
    while !rest.is_empty() {
        let (joining, later) = rest.split_at(batch.min(rest.len()));
        builder.join(joining)?;
        builder.joined += joining.len();
        rest = later;
        batch = (builder.joined / 2).clamp(1, batch_max);
    }
    builder.cut()?;
    let Builder { growing, entries, .. } = builder;
    let mut graph = growing.finish(degree, entries);
    link_unreachable(space, &mut graph, options.list);
    Some(graph)
}

/// The entries, then all others by chance: rows that lie together in the segment shall not join
/// together.
fn joining_order(rows: u32, entries: &[u32], random: &mut Random) -> Vec<u32> {
    let mut first = entries.to_vec();
    first.sort_unstable();
    let others = (0..rows).filter(|row| first.binary_search(row).is_err());
    let mut order: Vec<u32> = others.collect();
    random.shuffle(&mut order);
    order.splice(0..0, entries.iter().copied());
    order
}

struct Builder<'a, S: Space + ?Sized> {
    space: &'a S,
    watch: &'a Watch<'a>,
    list: usize,
    rule: Rule,
    entries: Vec<u32>,
    growing: Growing,
    workers: Vec<Worker>,
    joined: usize,
}

/// The graph while it grows, with room for more neighbours than it ends with.
struct Growing {
    stride: usize,
    counts: Vec<u8>,
    slots: Vec<u32>,
}

/// What one thread works on, and what it chose.
#[derive(Default)]
struct Worker {
    walk: Walk,
    pruned: Pruned,
    candidates: Vec<Ranked>,
    distances: Vec<f32>,
    chosen: Chosen,
}

/// Rows and the neighbours chosen for each.
#[derive(Default)]
struct Chosen {
    rows: Vec<u32>,
    ends: Vec<usize>,
    neighbours: Vec<u32>,
}

impl<S: Space + ?Sized> Builder<'_, S> {
    /// Lets rows join; none when stopped.
    fn join(&mut self, rows: &[u32]) -> Option<()> {
        self.work(rows.len(), |builder, worker, task| {
            let Some(&row) = rows.get(task) else { return };
            let starts = builder.entries.get(..STARTS_MAX).unwrap_or(builder.entries);
            worker.walk.walk(builder.space, builder.growing, starts, row, builder.list);
            worker.candidates.clear();
            worker.candidates.extend(&worker.walk.expanded);
            worker.prune(builder.space, row, builder.rule);
        })?;
        let mut back: Vec<Link> = Vec::with_capacity(rows.len() * self.rule.degree);
        for worker in &mut self.workers {
            for (row, neighbours) in worker.chosen.lists() {
                self.growing.set(row, neighbours);
                back.extend(neighbours.iter().map(|&to| Link { from: to, to: row }));
            }
            worker.chosen.clear();
        }
        back.sort_unstable();
        self.lead(&back)
    }

    /// Puts links in, ordered by where they come from, and prunes the lists that overflow.
    fn lead(&mut self, links: &[Link]) -> Option<()> {
        let mut overflowing = Vec::new();
        let mut at = 0;
        for links in links.chunk_by(|one, other| one.from == other.from) {
            let range = at..at + links.len();
            at = range.end;
            if !self.growing.append(links) {
                overflowing.push(range);
            }
        }
        self.work(overflowing.len(), |builder, worker, task| {
            let Some(links) = overflowing.get(task).and_then(|range| links.get(range.clone()))
            else {
                return;
            };
            let Some(row) = links.first().map(|link| link.from) else { return };
            let mut to = builder.growing.neighbours(row).to_vec();
            to.extend(links.iter().map(|link| link.to));
            worker.rank(builder.space, row, &to);
            worker.prune(builder.space, row, builder.rule);
        })?;
        self.put_chosen();
        Some(())
    }

    /// Prunes all lists that are longer than they may end.
    fn cut(&mut self) -> Option<()> {
        let degree = self.rule.degree;
        let long = |&row: &u32| self.growing.neighbours(row).len() > degree;
        let long: Vec<u32> = (0..self.space.rows()).filter(long).collect();
        self.work(long.len(), |builder, worker, task| {
            let Some(&row) = long.get(task) else { return };
            worker.rank(builder.space, row, builder.growing.neighbours(row));
            worker.prune(builder.space, row, builder.rule);
        })?;
        self.put_chosen();
        Some(())
    }

    fn put_chosen(&mut self) {
        for worker in &mut self.workers {
            for (row, neighbours) in worker.chosen.lists() {
                self.growing.set(row, neighbours);
            }
            worker.chosen.clear();
        }
    }

    /// Has the workers do tasks `0..tasks`; none when stopped.
    fn work<F>(&mut self, tasks: usize, task: F) -> Option<()>
    where
        F: Fn(&View<'_, S>, &mut Worker, usize) + Sync,
    {
        let view = View {
            space: self.space,
            growing: &self.growing,
            entries: &self.entries,
            list: self.list,
            rule: self.rule,
        };
        let progress = Progress {
            done: u32::try_from(self.joined).unwrap_or(u32::MAX),
            rows: self.space.rows(),
        };
        let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        let run = |worker: &mut Worker| {
            while !stopped.load(Ordering::Relaxed) {
                let taken = next.fetch_add(STRIDE, Ordering::Relaxed);
                if taken >= tasks {
                    return;
                }
                if (self.watch)(progress) == Pace::Stop {
                    stopped.store(true, Ordering::Relaxed);
                }
                for at in taken..tasks.min(taken + STRIDE) {
                    task(&view, worker, at);
                }
            }
        };
        let (own, others) = self.workers.split_first_mut()?;
        if tasks <= STRIDE {
            run(own);
        } else {
            std::thread::scope(|scope| {
                for worker in others {
                    scope.spawn(|| run(worker));
                }
                run(own);
            });
        }
        (!stopped.into_inner()).then_some(())
    }
}

/// What all workers see of a build.
struct View<'a, S: Space + ?Sized> {
    space: &'a S,
    growing: &'a Growing,
    entries: &'a [u32],
    list: usize,
    rule: Rule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Link {
    from: u32,
    to: u32,
}

impl Worker {
    /// Makes rows the candidates of a row.
    fn rank<S: Space + ?Sized>(&mut self, space: &S, row: u32, others: &[u32]) {
        space.distances(row, others, &mut self.distances);
        self.candidates.clear();
        let ranked = others.iter().zip(&self.distances);
        self.candidates.extend(ranked.map(|(&other, &distance)| Ranked::new(distance, other)));
    }

    /// Chooses from the candidates.
    fn prune<S: Space + ?Sized>(&mut self, space: &S, row: u32, rule: Rule) {
        self.pruned.prune(space, row, &mut self.candidates, rule);
        self.chosen.rows.push(row);
        self.chosen.neighbours.extend(&self.pruned.chosen);
        self.chosen.ends.push(self.chosen.neighbours.len());
    }
}

impl Chosen {
    fn lists(&self) -> impl Iterator<Item = (u32, &[u32])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(&self.ends).map(|(start, &end)| start..end);
        let lists = ranges.map(|range: Range<usize>| self.neighbours.get(range));
        self.rows.iter().copied().zip(lists.map(Option::unwrap_or_default))
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.ends.clear();
        self.neighbours.clear();
    }
}

impl Growing {
    fn new(rows: u32, stride: usize) -> Self {
        let rows = rows as usize;
        Self { stride, counts: vec![0; rows], slots: vec![0; rows * stride] }
    }

    fn list(&mut self, row: u32) -> Option<(&mut u8, &mut [u32])> {
        let from = row as usize * self.stride;
        let slots = self.slots.get_mut(from..from + self.stride)?;
        Some((self.counts.get_mut(row as usize)?, slots))
    }

    fn set(&mut self, row: u32, neighbours: &[u32]) {
        let Some((count, slots)) = self.list(row) else { return };
        let kept = neighbours.len().min(slots.len());
        *count = kept as u8;
        for (slot, &neighbour) in slots.iter_mut().zip(neighbours) {
            *slot = neighbour;
        }
    }

    /// Adds the links of one row behind those it has, without those that it has; false, with nothing
    /// added, when there is no room.
    fn append(&mut self, links: &[Link]) -> bool {
        let Some(row) = links.first().map(|link| link.from) else { return true };
        let Some((count, slots)) = self.list(row) else { return true };
        let (have, free) = slots.split_at_mut(usize::from(*count));
        let fresh = links.iter().map(|link| link.to).filter(|to| !have.contains(to));
        if fresh.clone().count() > free.len() {
            return false;
        }
        for (slot, to) in free.iter_mut().zip(fresh) {
            *slot = to;
            *count += 1;
        }
        true
    }

    /// The lists at the stride they end with.
    fn finish(mut self, degree: usize, entries: Vec<u32>) -> Graph {
        for row in 0..self.counts.len() {
            let from = row * self.stride;
            self.slots.copy_within(from..from + degree, row * degree);
        }
        self.slots.truncate(self.counts.len() * degree);
        self.slots.shrink_to_fit();
        Graph { degree, entries, counts: self.counts, neighbours: self.slots }
    }
}

impl Adjacency for Growing {
    fn neighbours(&self, row: u32) -> &[u32] {
        let from = row as usize * self.stride;
        let count = self.counts.get(row as usize).copied().map_or(0, usize::from);
        self.slots.get(from..from + count).unwrap_or_default()
    }
}
