//! The greedy walk of the builder: from the entries to the rows nearest to one row, over a graph
//! that does not change meanwhile.

use super::order::Ranked;
use super::space::Space;
use super::visited::Visited;

/// A graph under construction, as a walk sees it.
pub(super) trait Adjacency: Sync {
    fn neighbours(&self, row: u32) -> &[u32];
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    ranked: Ranked,
    expanded: bool,
}

/// What a walk works on; kept between walks for its memory.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// The rows whose neighbours were looked at, with their distances, in the order of the walk.
    pub(super) expanded: Vec<Ranked>,
    list: Vec<Candidate>,
    visited: Visited,
    fresh: Vec<u32>,
    distances: Vec<f32>,
}

impl Walk {
    /// Walks towards `row` with a list of `length` candidates, until all in it are expanded.
    pub(super) fn walk<S: Space + ?Sized>(
        &mut self,
        space: &S,
        graph: &impl Adjacency,
        entries: &[u32],
        row: u32,
        length: usize,
    ) {
        self.expanded.clear();
        self.list.clear();
        self.visited.reset(space.rows());
        self.meet(entries);
        self.take_in(space, row, length);
        let mut next = 0;
        while let Some(candidate) = self.list.get_mut(next) {
            candidate.expanded = true;
            let ranked = candidate.ranked;
            self.expanded.push(ranked);
            self.meet(graph.neighbours(ranked.row()));
            let nearest = self.take_in(space, row, length);
            next = nearest.min(next);
            while self.list.get(next).is_some_and(|candidate| candidate.expanded) {
                next += 1;
            }
        }
    }

    /// The nearest that the walk came to, nearest first.
    pub(super) fn nearest(&self) -> impl Iterator<Item = Ranked> {
        self.list.iter().map(|candidate| candidate.ranked)
    }

    fn meet(&mut self, rows: &[u32]) {
        self.fresh.clear();
        let visited = &mut self.visited;
        self.fresh.extend(rows.iter().copied().filter(|&row| visited.insert(row)));
    }

    /// Puts the fresh rows into the list and answers the first place that changed.
    fn take_in<S: Space + ?Sized>(&mut self, space: &S, row: u32, length: usize) -> usize {
        space.distances(row, &self.fresh, &mut self.distances);
        let mut first = self.list.len();
        for (&fresh, &distance) in self.fresh.iter().zip(&self.distances) {
            let ranked = Ranked::new(distance, fresh);
            if self.list.len() >= length {
                if self.list.last().is_none_or(|last| last.ranked <= ranked) {
                    continue;
                }
                self.list.pop();
            }
            let place = self.list.partition_point(|candidate| candidate.ranked < ranked);
            self.list.insert(place, Candidate { ranked, expanded: false });
            first = first.min(place);
        }
        first
    }
}
