//! Sees to it that every row can be reached from the entries: what no search can come to is lost.

use super::Graph;
use super::space::Space;
use super::walk::{Adjacency, Walk};

/// Links rows that the entries do not lead to from near rows that they lead to, until a walk over
/// the entire graph finds all. Answers how many had to be linked.
///
/// A list that is full gives up the last neighbour that is reached another way, so that no row is
/// lost for another.
pub(super) fn link_unreachable<S: Space + ?Sized>(
    space: &S,
    graph: &mut Graph,
    list: usize,
) -> u32 {
    let mut linked = 0;
    let mut walk = Walk::default();
    loop {
        let mut reach = Reach::of(graph);
        let lost: Vec<u32> = (0..graph.rows()).filter(|&row| !reach.holds(row)).collect();
        if lost.is_empty() {
            return linked;
        }
        for row in lost {
            // One that was linked before it may lead to it.
            if !reach.holds(row) {
                walk.walk(space, graph, &graph.entries, row, list);
                let near = walk.nearest().map(|near| near.row()).collect::<Vec<_>>();
                let anywhere = 0..graph.rows();
                let mut from = near.into_iter().chain(anywhere);
                linked += u32::from(from.any(|from| reach.link(graph, from, row)));
            }
        }
    }
}

/// How many rows the entries do not lead to.
#[cfg(test)]
pub(super) fn unreachable(graph: &Graph) -> usize {
    let reach = Reach::of(graph);
    (0..graph.rows()).filter(|&row| !reach.holds(row)).count()
}

/// A tree over the rows that the entries lead to.
struct Reach {
    /// Whence each row was first reached; itself for an entry.
    parents: Vec<u32>,
}

/// No row leads here.
const NOWHERE: u32 = u32::MAX;

impl Reach {
    fn of(graph: &Graph) -> Self {
        let mut reach = Self { parents: vec![NOWHERE; graph.rows() as usize] };
        for &entry in graph.entries() {
            reach.enter(entry, entry);
        }
        for &entry in graph.entries() {
            reach.spread(graph, entry);
        }
        reach
    }

    fn holds(&self, row: u32) -> bool {
        self.parents.get(row as usize).is_some_and(|&parent| parent != NOWHERE)
    }

    /// Whether the row was not reached before.
    fn enter(&mut self, row: u32, parent: u32) -> bool {
        match self.parents.get_mut(row as usize) {
            Some(known) if *known == NOWHERE => {
                *known = parent;
                true
            }
            _ => false,
        }
    }

    /// Enters all that a row leads to.
    fn spread(&mut self, graph: &Graph, row: u32) {
        let mut open = vec![row];
        while let Some(row) = open.pop() {
            for &neighbour in graph.neighbours(row) {
                if self.enter(neighbour, row) {
                    open.push(neighbour);
                }
            }
        }
    }

    /// Links `row` from `from`; false when `from` is not reached, or all that it leads to is reached
    /// through it.
    fn link(&mut self, graph: &mut Graph, from: u32, row: u32) -> bool {
        if !self.holds(from) {
            return false;
        }
        let parents = &self.parents;
        let spare = |neighbour: u32| parents.get(neighbour as usize) != Some(&from);
        if !graph.link(from, row, spare) {
            return false;
        }
        self.enter(row, from);
        self.spread(graph, row);
        true
    }
}

impl Graph {
    /// Leads from one row to another; where the list is full, instead of the last neighbour that is
    /// to spare.
    fn link(&mut self, from: u32, to: u32, spare: impl Fn(u32) -> bool) -> bool {
        let start = from as usize * self.degree;
        let Some(slots) = self.neighbours.get_mut(start..start + self.degree) else { return false };
        let Some(count) = self.counts.get_mut(from as usize) else { return false };
        if let Some(free) = slots.get_mut(usize::from(*count)) {
            *free = to;
            *count += 1;
            return true;
        }
        match slots.iter_mut().rev().find(|neighbour| spare(**neighbour)) {
            Some(slot) => *slot = to,
            None => return false,
        }
        true
    }
}

impl Adjacency for Graph {
    fn neighbours(&self, row: u32) -> &[u32] {
        self.neighbours(row)
    }
}
