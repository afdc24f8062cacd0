//! The nearest rows of all members: a plan for each, one round of exact reading for all codes.
//!
//! - Few candidates are measured exactly, every one: what a narrow filter leaves is found whole.
//! - Codes of all members compete before anything is read, so that the round of reading is one.
//! - The same state and query give the same answer: ties go by key hash.

use std::cell::RefCell;

use roaring::RoaringBitmap;

use crate::code::{CodeQuery, Codebook};
use crate::error::Result;
use crate::graph::{self, Expanded, Nodes, SearchOptions, SearchScratch};
use crate::kernel::Probe;
use crate::limits::{EXACT_PAGES_MAX, EXACT_ROWS_MAX, GRAPH_TOP_MAX};
use crate::member::{Member, Rows};
use crate::metrics::Plan;
use crate::pace::Pace;
use crate::pages::Reading;
use crate::scan::{self, Candidate};
use crate::sealed::Sealed;

/// A graph is walked when at least one of this many rows can be found.
const GRAPH_SHARE: u64 = 4;
/// Rows that are compared at least where a filter applies: what it leaves may lie far from the query,
/// where estimates are less sure, and is to be found whole.
const FILTERED_COMPARED_MIN: usize = 500;
/// And at most: so many matches are found whole.
const FILTERED_COMPARED_MAX: usize = 10_000;
/// Rows of one step of an exact search: some pages, read in less than a millisecond.
const EXACT_STEP_ROWS: usize = 256;

thread_local! {
    /// What walks of this thread work on: a bit a row of the largest segment, and some KiB.
    static SCRATCH: RefCell<SearchScratch> = RefCell::default();
}

/// A row and its distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Near {
    /// Place of the member.
    pub(crate) member: usize,
    /// The row in it.
    pub(crate) row: u32,
    /// The ordering distance.
    pub(crate) distance: f32,
}

/// Rows that codes say are near.
#[derive(Debug, Default)]
struct Guesses {
    /// With estimated distances.
    near: Vec<Near>,
    /// The query, as the codes of each member want it.
    queries: Vec<(usize, CodeQuery)>,
    /// How many of all are compared at most, and at least.
    keep: usize,
    least: usize,
}

/// What was done in a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) plan: Plan,
    /// Rows that could be found.
    pub(crate) candidates: u64,
    /// Rows that were measured exactly.
    pub(crate) measured: u64,
    /// Rounds of reading, one after the other.
    pub(crate) rounds: u32,
}

/// One search.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    pub(crate) members: &'a [&'a Member],
    /// What a filter leaves of each member; what matches is alive.
    pub(crate) matches: Option<&'a [RoaringBitmap]>,
    pub(crate) probe: &'a Probe,
    pub(crate) top: usize,
    /// How rows are read; [`Search::run_exactly`] does it its own way.
    pub(crate) reading: Reading,
}

impl Search<'_> {
    /// The `top` nearest rows, nearest first, and what was done in each member.
    pub(crate) fn run(&self) -> Result<(Vec<Near>, Vec<Work>)> {
        let mut near = Vec::new();
        let mut guesses = Guesses::default();
        let mut works: Vec<Work> = Vec::with_capacity(self.members.len());
        for (number, member) in self.members.iter().enumerate() {
            let candidates =
                self.matches_of(number).map_or(member.living().into(), RoaringBitmap::len);
            let plan = self.plan(member, candidates);
            works.push(Work { plan, candidates, measured: 0, rounds: 0 });
        }
        self.announce(works.iter().enumerate().filter_map(|(number, work)| {
            let member = self.members.get(number)?;
            let is_read = work.plan == Plan::Exact && matches!(member.rows, Rows::Sealed(_));
            is_read.then(|| (number, candidates_of(member, self.matches_of(number))))
        }));
        for (number, work) in works.iter_mut().enumerate() {
            let matches = self.matches_of(number);
            match work.plan {
                Plan::Nothing => {}
                Plan::Exact => self.measure_all(number, matches, &mut near, work)?,
                Plan::Graph => self.walk(number, matches, &mut near, work)?,
                Plan::Codes => self.guess(number, matches, &mut guesses),
            }
        }
        self.compare_guesses(guesses, &mut near, &mut works)?;
        self.settle(&mut near);
        Ok((near, works))
    }

    /// The `top` nearest rows, every one that can be found being measured, in small steps.
    pub(crate) fn run_exactly(&self, pace: &dyn Pace) -> Result<Vec<Near>> {
        let mut near = Vec::new();
        for (number, member) in self.members.iter().enumerate() {
            let matches = self.matches_of(number);
            let mut nearest = scan::Nearest::new(self.top);
            for rows in candidates_of(member, matches).chunks(EXACT_STEP_ROWS) {
                pace.step()?;
                match &member.rows {
                    Rows::Growing(chunk) => rows.iter().for_each(|row| {
                        nearest.push(*row, self.probe.distance(chunk.vector(*row)));
                    }),
                    Rows::Sealed(sealed) => {
                        self.read(sealed, rows, Reading::Once, |row, distance| {
                            nearest.push(row, distance);
                        })?;
                    }
                }
            }
            let near_of = |found: Candidate| Near {
                member: number,
                row: found.row,
                distance: found.estimate,
            };
            near.extend(nearest.into_sorted().into_iter().map(near_of));
        }
        self.settle(&mut near);
        Ok(near)
    }

    /// Exact distances of given rows, whatever is near.
    pub(crate) fn measure(&self, rows: &[(usize, u32)]) -> Result<Vec<Near>> {
        let rows: Vec<Near> =
            rows.iter().map(|&(member, row)| Near { member, row, distance: 0.0 }).collect();
        let mut near = Vec::with_capacity(rows.len());
        self.compare(rows, &mut near, &mut [])?;
        Ok(near)
    }

    /// What a filter leaves of a member.
    fn matches_of(&self, number: usize) -> Option<&RoaringBitmap> {
        self.matches.and_then(|matches| matches.get(number))
    }

    fn plan(&self, member: &Member, candidates: u64) -> Plan {
        match &member.rows {
            _ if candidates == 0 => Plan::Nothing,
            _ if candidates <= EXACT_ROWS_MAX => Plan::Exact,
            Rows::Growing(chunk) if chunk.codes().is_none() => Plan::Exact,
            Rows::Sealed(sealed)
                if sealed.resident.degree > 0
                    && self.top <= GRAPH_TOP_MAX
                    && (self.matches.is_none() || candidates > FILTERED_COMPARED_MAX as u64)
                    && candidates * GRAPH_SHARE >= u64::from(member.living()) =>
            {
                Plan::Graph
            }
            Rows::Sealed(sealed)
                if sealed.resident.degree == 0 && sealed.row_pages() <= EXACT_PAGES_MAX =>
            {
                Plan::Exact
            }
            _ => Plan::Codes,
        }
    }

    fn measure_all(
        &self,
        number: usize,
        matches: Option<&RoaringBitmap>,
        near: &mut Vec<Near>,
        work: &mut Work,
    ) -> Result<()> {
        let Some(member) = self.members.get(number) else { return Ok(()) };
        let rows = candidates_of(member, matches);
        work.measured += rows.len() as u64;
        let keep =
            |found: Candidate| Near { member: number, row: found.row, distance: found.estimate };
        match &member.rows {
            Rows::Growing(chunk) => {
                let vectors = rows.iter().map(|row| (*row, chunk.vector(*row)));
                near.extend(scan::exact(self.probe, vectors, self.top).into_iter().map(keep));
            }
            Rows::Sealed(sealed) => {
                work.rounds += 1;
                let mut nearest = scan::Nearest::new(self.top);
                self.read(sealed, &rows, self.reading, |row, distance| {
                    nearest.push(row, distance)
                })?;
                near.extend(nearest.into_sorted().into_iter().map(keep));
            }
        }
        Ok(())
    }

    /// Reads rows and hands out their distances.
    fn read(
        &self,
        sealed: &Sealed,
        rows: &[u32],
        reading: Reading,
        mut each: impl FnMut(u32, f32),
    ) -> Result<()> {
        let mut room = Vec::new();
        sealed.read_rows(rows, reading, |place, bytes| {
            if let Some(row) = rows.get(place) {
                each(*row, self.probe.distance(bytes.vector(&mut room)));
            }
            Ok(())
        })
    }

    /// Codes of a member that has them.
    fn codes(&self, number: usize) -> Option<(&Codebook, &[u8])> {
        match &self.members.get(number)?.rows {
            Rows::Growing(chunk) => chunk.codes().map(|codes| (&codes.book, &codes.codes[..])),
            Rows::Sealed(sealed) => Some((&sealed.resident.book, &sealed.resident.codes[..])),
        }
    }

    /// Scans the codes of a member.
    fn guess(&self, number: usize, matches: Option<&RoaringBitmap>, guesses: &mut Guesses) {
        let Some(member) = self.members.get(number) else { return };
        let Some((book, codes)) = self.codes(number) else { return };
        let dead = member.dead.as_ref();
        let (rows, least) = match matches {
            None => (scan::Rows::Live { dead }, 0),
            Some(matching) => (scan::Rows::Matching { matching, dead }, FILTERED_COMPARED_MIN),
        };
        let keep = match matches {
            None => book.rerank_rows(self.top),
            Some(_) => book.rerank_rows(self.top).max(FILTERED_COMPARED_MAX),
        };
        let query = book.prepare(self.probe.query());
        let best = scan::nearest(book, &query, codes, rows, keep).into_any_order();
        let near =
            |found: Candidate| Near { member: number, row: found.row, distance: found.estimate };
        guesses.near.extend(best.map(near));
        guesses.keep = guesses.keep.max(keep);
        guesses.least = guesses.least.max(least);
        guesses.queries.push((number, query));
    }

    /// Compares as many guesses as their spread asks for. Where a filter applies, a second round reads
    /// every row that its bound does not put behind the last of the `top`.
    fn compare_guesses(
        &self,
        guesses: Guesses,
        near: &mut Vec<Near>,
        works: &mut [Work],
    ) -> Result<()> {
        let Guesses { near: mut first, queries, keep, least } = guesses;
        self.split_nearest(&mut first, keep);
        let query_of = |member: usize| {
            let (book, codes) = self.codes(member)?;
            let (_, query) = queries.iter().find(|(number, _)| *number == member)?;
            Some((book, codes, query))
        };
        let beyond_top = self.split_nearest(&mut first, self.top);
        let last = first.iter().max_by(|a, b| self.order(a, b)).copied();
        first.extend(beyond_top);
        let limit = last.and_then(|last| {
            let (book, codes, query) = query_of(last.member)?;
            let candidate = Candidate { row: last.row, estimate: last.distance };
            Some(scan::comparing_limit(book, query, codes, candidate))
        });
        let worth = limit.map_or(first.len(), |limit| {
            let within = first.iter().filter(|guess| guess.distance <= limit).count();
            within.max(self.top).max(least)
        });
        let mut rest = self.split_nearest(&mut first, worth);
        self.compare(first, near, works)?;
        if self.matches.is_none() || rest.is_empty() {
            return Ok(());
        }
        self.settle(near);
        if let Some(last) = self.top.checked_sub(1).and_then(|last| near.get(last)) {
            rest.retain(|guess| {
                query_of(guess.member).is_none_or(|(book, codes, query)| {
                    let code = book.code(codes, guess.row);
                    book.lower_bound(query, code, guess.distance) <= last.distance
                })
            });
        }
        self.compare(rest, near, works)
    }

    /// Says which rows of which members are read next, when there are several members: the device then
    /// fetches all of them in one round.
    fn announce(&self, reads: impl Iterator<Item = (usize, Vec<u32>)>) {
        if self.reading != Reading::Again || self.members.len() < 2 {
            return;
        }
        let sealed = reads.filter_map(|(number, rows)| match &self.members.get(number)?.rows {
            Rows::Growing(_) => None,
            Rows::Sealed(sealed) => Some((sealed, rows)),
        });
        let sealed: Vec<_> = sealed.collect();
        if sealed.len() > 1 {
            sealed.iter().for_each(|(sealed, rows)| sealed.will_need_rows(rows));
        }
    }

    /// Measures rows: one round of reading for all members.
    fn compare(
        &self,
        mut guesses: Vec<Near>,
        near: &mut Vec<Near>,
        works: &mut [Work],
    ) -> Result<()> {
        guesses.sort_unstable_by_key(|guess| (guess.member, guess.row));
        self.announce(guesses.chunk_by(|a, b| a.member == b.member).filter_map(|group| {
            let number = group.first()?.member;
            Some((number, group.iter().map(|guess| guess.row).collect()))
        }));
        for group in guesses.chunk_by(|a, b| a.member == b.member) {
            let Some(number) = group.first().map(|guess| guess.member) else { continue };
            let Some(member) = self.members.get(number) else { continue };
            if let Some(work) = works.get_mut(number) {
                work.measured += group.len() as u64;
            }
            let rows: Vec<u32> = group.iter().map(|guess| guess.row).collect();
            match &member.rows {
                Rows::Growing(chunk) => near.extend(rows.iter().map(|row| Near {
                    member: number,
                    row: *row,
                    distance: self.probe.distance(chunk.vector(*row)),
                })),
                Rows::Sealed(sealed) => {
                    if let Some(work) = works.get_mut(number) {
                        work.rounds += 1;
                    }
                    self.read(sealed, &rows, self.reading, |row, distance| {
                        near.push(Near { member: number, row, distance });
                    })?;
                }
            }
        }
        Ok(())
    }

    fn walk(
        &self,
        number: usize,
        matches: Option<&RoaringBitmap>,
        near: &mut Vec<Near>,
        work: &mut Work,
    ) -> Result<()> {
        let Some(member) = self.members.get(number) else { return Ok(()) };
        let Rows::Sealed(sealed) = &member.rows else { return Ok(()) };
        let accept = |row| match matches {
            Some(matches) => matches.contains(row),
            None => !member.dead.contains(row),
        };
        let query = sealed.resident.book.prepare(self.probe.query());
        let mut nodes = SealedNodes { search: self, sealed, query, room: Vec::new() };
        let options = SearchOptions::new(self.top, &accept);
        let entries = &sealed.resident.entries;
        let found = SCRATCH
            .with_borrow_mut(|scratch| graph::search(&mut nodes, entries, &options, scratch))?;
        work.measured += u64::from(found.expanded);
        work.rounds += found.rounds;
        near.extend(found.candidates.into_iter().take(self.top).map(|(row, distance)| Near {
            member: number,
            row,
            distance,
        }));
        Ok(())
    }

    /// Leaves the `count` nearest, in no order; answers the others.
    fn split_nearest(&self, guesses: &mut Vec<Near>, count: usize) -> Vec<Near> {
        if let Some(last) = count.checked_sub(1).filter(|last| *last < guesses.len()) {
            guesses.select_nth_unstable_by(last, |a, b| self.order(a, b));
        }
        guesses.split_off(count.min(guesses.len()))
    }

    /// Leaves the `top` nearest, in order.
    fn settle(&self, near: &mut Vec<Near>) {
        near.sort_unstable_by(|a, b| self.order(a, b));
        near.truncate(self.top);
    }

    fn order(&self, a: &Near, b: &Near) -> std::cmp::Ordering {
        let hash = |near: &Near| self.members.get(near.member).map(|m| m.hash(near.row));
        a.distance.total_cmp(&b.distance).then_with(|| hash(a).cmp(&hash(b)))
    }
}

/// The rows of a member that can be found.
fn candidates_of(member: &Member, matches: Option<&RoaringBitmap>) -> Vec<u32> {
    match matches {
        Some(matches) => matches.iter().collect(),
        None => (0..member.len()).filter(|row| !member.dead.contains(*row)).collect(),
    }
}

/// The graph of a segment as a search walks it.
struct SealedNodes<'a> {
    search: &'a Search<'a>,
    sealed: &'a Sealed,
    query: CodeQuery,
    room: Vec<f32>,
}

impl Nodes for SealedNodes<'_> {
    fn rows(&self) -> u32 {
        self.sealed.len()
    }

    fn estimate(&mut self, rows: &[u32], out: &mut Vec<f32>) {
        let resident = &self.sealed.resident;
        resident.book.estimate_rows(&self.query, &resident.codes, rows, out);
    }

    fn expand(&mut self, rows: &[u32], out: &mut Expanded) -> Result<()> {
        let (sealed, Search { probe, reading, .. }) = (self.sealed, self.search);
        let room = &mut self.room;
        sealed.read_rows(rows, *reading, |place, bytes| {
            let distance = probe.distance(bytes.vector(room));
            out.put(place, distance, bytes.neighbours().filter(|row| *row < sealed.len()));
            Ok(())
        })
    }
}
