//! The graph against exact search, on rows that lie in clusters and on rows that lie on a surface.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};

use super::reach::{link_unreachable, unreachable};
use super::start::Random;
use super::*;
use crate::code::{CodeQuery, Codebook};
use crate::{Error, Metric, Result};

const TOP: usize = 10;
const QUERIES: usize = 50;

/// Rows, and queries that are drawn as they are.
struct Set {
    dimension: usize,
    rows: Vec<Vec<f32>>,
    queries: Vec<Vec<f32>>,
}

/// Roughly normal.
fn draw(random: &mut Random) -> f32 {
    (0..6).map(|_| random.below(1 << 20) as f32 / (1 << 20) as f32 - 0.5).sum::<f32>() * 1.4
}

fn vector(random: &mut Random, dimension: usize, scale: f32) -> Vec<f32> {
    (0..dimension).map(|_| draw(random) * scale).collect()
}

impl Set {
    fn new(dimension: usize, rows: usize, mut row: impl FnMut() -> Vec<f32>) -> Self {
        let mut rows: Vec<Vec<f32>> = (0..rows + QUERIES).map(|_| row()).collect();
        let queries = rows.split_off(rows.len() - QUERIES);
        Self { dimension, rows, queries }
    }

    /// Rows about far centres.
    fn clustered(rows: usize) -> Self {
        let mut random = Random::new(11);
        let centres: Vec<Vec<f32>> = (0..40).map(|_| vector(&mut random, 24, 2.0)).collect();
        Self::new(24, rows, || {
            let centre = &centres[random.below(40) as usize];
            vector(&mut random, 24, 0.3).iter().zip(centre).map(|(a, b)| a + b).collect()
        })
    }

    /// Rows on a curved surface of six dimensions in more.
    fn surface(rows: usize) -> Self {
        let mut random = Random::new(12);
        let directions: Vec<Vec<f32>> = (0..48).map(|_| vector(&mut random, 6, 0.6)).collect();
        Self::new(48, rows, || {
            let place = vector(&mut random, 6, 1.0);
            let along = |to: &Vec<f32>| to.iter().zip(&place).map(|(a, b)| a * b).sum::<f32>();
            directions.iter().map(|to| along(to).tanh() + draw(&mut random) * 0.02).collect()
        })
    }

    fn space(&self, metric: Metric) -> RowSpace {
        let mut space = RowSpace::new(metric, &vec![0.0; self.dimension]);
        self.rows.iter().for_each(|row| space.push(row));
        space.finish()
    }

    /// The rows that are accepted, nearest to a query first.
    fn exact(&self, metric: Metric, query: &[f32], accept: &dyn Fn(u32) -> bool) -> Vec<f32> {
        let rows = self.rows.iter().zip(0..).filter(|(_, at)| accept(*at));
        let mut distances: Vec<f32> = rows.map(|(row, _)| distance(metric, query, row)).collect();
        distances.sort_unstable_by(f32::total_cmp);
        distances
    }
}

fn distance(metric: Metric, one: &[f32], other: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    match metric {
        Metric::Euclidean => one.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum(),
        Metric::InnerProduct => -dot(one, other),
        Metric::Cosine => 1.0 - dot(one, other) / (dot(one, one) * dot(other, other)).sqrt(),
    }
}

/// The nodes in memory, with estimates by codes.
struct Memory<'a> {
    set: &'a Set,
    graph: &'a Graph,
    metric: Metric,
    query: &'a [f32],
    codebook: Codebook,
    prepared: CodeQuery,
    codes: Vec<Vec<u8>>,
}

impl<'a> Memory<'a> {
    fn new(set: &'a Set, graph: &'a Graph, metric: Metric) -> Self {
        let rows = set.rows.iter().map(Vec::as_slice);
        let codebook = Codebook::of_rows(metric, 5, set.dimension, rows).unwrap();
        let code = |row: &Vec<f32>| {
            let mut code = vec![0; codebook.code_bytes()];
            codebook.encode_row(row, &mut code);
            code
        };
        let codes = set.rows.iter().map(code).collect();
        let prepared = codebook.prepare(&vec![0.0; set.dimension]);
        Self { set, graph, metric, query: &[], codebook, prepared, codes }
    }

    fn ask(&mut self, query: &'a [f32]) {
        self.query = query;
        self.prepared = self.codebook.prepare(query);
    }
}

impl Nodes for Memory<'_> {
    fn rows(&self) -> u32 {
        self.graph.rows()
    }

    fn estimate(&mut self, rows: &[u32], out: &mut Vec<f32>) {
        out.clear();
        let code = |&row: &u32| self.codebook.estimate(&self.prepared, &self.codes[row as usize]);
        out.extend(rows.iter().map(code));
    }

    fn expand(&mut self, rows: &[u32], out: &mut Expanded) -> Result<()> {
        for (place, &row) in rows.iter().enumerate() {
            let distance = distance(self.metric, self.query, &self.set.rows[row as usize]);
            out.put(place, distance, self.graph.neighbours(row).iter().copied());
        }
        Ok(())
    }
}

fn options(workers: usize) -> BuildOptions {
    let workers = NonZeroUsize::new(workers).unwrap();
    BuildOptions { degree: 32, list: 64, workers, seed: 3, ..Default::default() }
}

fn built<S: Space>(space: &S, options: &BuildOptions) -> Graph {
    let graph = build(space, options, &|_| Pace::Continue).expect("nothing stopped it");
    assert_eq!(graph.rows(), space.rows());
    assert_eq!(unreachable(&graph), 0);
    for row in 0..graph.rows() {
        let mut neighbours = graph.neighbours(row).to_vec();
        assert!(neighbours.len() <= graph.degree());
        assert!(neighbours.iter().all(|&to| to != row && to < graph.rows()));
        neighbours.sort_unstable();
        assert!(neighbours.is_sorted_by(|one, other| one < other), "row {row} leads twice to one");
    }
    graph
}

/// The part of the nearest accepted rows that searches find, by distance, as rows may be equal.
fn recall(set: &Set, graph: &Graph, metric: Metric, accept: &dyn Fn(u32) -> bool) -> f64 {
    let mut nodes = Memory::new(set, graph, metric);
    let mut scratch = SearchScratch::default();
    let (mut hits, mut wanted) = (0, 0);
    for query in &set.queries {
        nodes.ask(query);
        let options = SearchOptions::new(TOP, accept);
        let found = search(&mut nodes, graph.entries(), &options, &mut scratch).unwrap();
        assert!(found.candidates.iter().all(|&(row, _)| accept(row)));
        assert!(found.candidates.is_sorted_by(|one, other| one.1 <= other.1 && one.0 != other.0));
        assert!(found.expanded as usize <= options.reads_max && found.rounds <= found.expanded);
        let exact = set.exact(metric, query, accept);
        let nearest = &exact[..TOP.min(exact.len())];
        wanted += nearest.len();
        if let Some(&farthest) = nearest.last() {
            hits += found.candidates.iter().filter(|found| found.1 <= farthest).count();
        }
    }
    f64::from(u32::try_from(hits).unwrap()) / f64::from(u32::try_from(wanted.max(1)).unwrap())
}

#[test]
fn searches_find_the_nearest_by_every_measure() {
    let (clusters, surface) = (Set::clustered(1500), Set::surface(1500));
    let cases = [
        ("clusters", &clusters, Metric::Euclidean),
        ("clusters", &clusters, Metric::InnerProduct),
        ("surface", &surface, Metric::Euclidean),
        ("surface", &surface, Metric::Cosine),
        ("surface", &surface, Metric::InnerProduct),
    ];
    for (name, set, metric) in cases {
        let graph = built(&set.space(metric), &options(2));
        let recall = recall(set, &graph, metric, &|_| true);
        assert!(recall >= 0.99, "{name} {metric:?}: {recall}");
    }
}

#[test]
fn rows_that_are_not_accepted_are_walked_through_and_never_found() {
    let set = Set::surface(1000);
    let graph = built(&set.space(Metric::Euclidean), &options(2));
    let third = |row: u32| row.is_multiple_of(3);
    let few = |row: u32| row.is_multiple_of(200);
    let none = |_: u32| false;
    let all_but_entries = |row: u32| !graph.entries().contains(&row);
    let accepts: [(&str, &dyn Fn(u32) -> bool); 3] =
        [("a third", &third), ("a few", &few), ("all but entries", &all_but_entries)];
    for (name, accept) in accepts {
        let recall = recall(&set, &graph, Metric::Euclidean, accept);
        assert!(recall >= 0.99, "{name}: {recall}");
    }
    let mut nodes = Memory::new(&set, &graph, Metric::Euclidean);
    nodes.ask(&set.queries[0]);
    let options = SearchOptions { reads_max: 100, ..SearchOptions::new(TOP, &none) };
    let found = search(&mut nodes, graph.entries(), &options, &mut SearchScratch::default());
    let found = found.unwrap();
    assert_eq!((found.candidates.len(), found.expanded), (0, 100), "reads have a limit");
}

#[test]
fn equal_rows_are_found_and_do_not_hide_others() {
    let mut set = Set::clustered(800);
    for at in 0..400 {
        set.rows[at] = set.rows[0].clone();
    }
    for at in 400..500 {
        set.rows[at] = vec![0.0; set.dimension];
    }
    set.queries.truncate(20);
    set.queries.push(set.rows[0].clone());
    set.queries.push(vec![0.0; set.dimension]);
    let graph = built(&set.space(Metric::Euclidean), &options(2));
    assert!(recall(&set, &graph, Metric::Euclidean, &|_| true) >= 0.99);
    let all_equal = Set { rows: vec![vec![1.0; 24]; 200], ..set };
    let graph = built(&all_equal.space(Metric::Euclidean), &options(1));
    assert!(recall(&all_equal, &graph, Metric::Euclidean, &|_| true) >= 0.99);
}

#[test]
fn few_rows_make_a_graph_in_which_all_are_found() {
    let degree = options(1).degree;
    for rows in [0, 1, 2, 3, degree - 1, degree, degree + 1, degree + 2] {
        let set = Set::surface(rows);
        let graph = built(&set.space(Metric::Cosine), &options(2));
        assert!(recall(&set, &graph, Metric::Cosine, &|_| true) >= (rows > 0).into(), "{rows}");
    }
}

#[test]
fn the_graph_depends_on_the_seed_and_not_on_the_workers() {
    let space = Set::clustered(500).space(Metric::Euclidean);
    let graph = built(&space, &options(1));
    assert_eq!(graph, built(&space, &options(1)));
    assert_eq!(graph, built(&space, &options(3)));
    assert_ne!(graph, built(&space, &BuildOptions { seed: 4, ..options(1) }));
}

#[test]
fn islands_are_linked_whatever_the_degree() {
    // Rows on a line, in groups that are far apart: alone, each group keeps to itself.
    let rows = (0..300_u16).map(|row| f32::from(row % 30 + row / 30 * 1000));
    let mut space = RowSpace::new(Metric::Euclidean, &[0.0, 0.0]);
    rows.for_each(|at| space.push(&[at, 0.5]));
    let space = space.finish();
    for (degree, entries) in [(2, 0), (3, 1), (8, 1)] {
        built(&space, &BuildOptions { degree, list: 10, entries, ..options(1) });
    }
}

#[test]
fn a_lost_row_takes_no_place_that_another_needs() {
    let set = Set::clustered(40);
    let space = set.space(Metric::Euclidean);
    // A ring of two neighbours a row, which leaves out the last ten; those lead to each other.
    let neighbours = (0..40_u32).flat_map(|row| match row {
        0..30 => [(row + 1) % 30, (row + 2) % 30],
        _ => [30 + (row + 1) % 10, 30 + (row + 2) % 10],
    });
    let neighbours = neighbours.collect();
    let mut graph = Graph { degree: 2, entries: vec![0], counts: vec![2; 40], neighbours };
    assert_eq!(unreachable(&graph), 10);
    assert!(link_unreachable(&space, &mut graph, 5) >= 1);
    assert_eq!(unreachable(&graph), 0);
    assert_eq!(link_unreachable(&space, &mut graph, 5), 0);
}

#[test]
fn a_watcher_sees_progress_and_stops_the_build() {
    let space = Set::clustered(600).space(Metric::Euclidean);
    let last = AtomicU32::new(0);
    let watch = |progress: Progress| {
        assert!(progress.done >= last.fetch_max(progress.done, Ordering::Relaxed));
        if progress.done * 2 < progress.rows { Pace::Continue } else { Pace::Stop }
    };
    assert_eq!(build(&space, &options(1), &watch), None);
    assert!((300..600).contains(&last.into_inner()));
}

#[test]
fn a_node_that_leads_out_of_the_segment_is_corrupt() {
    let set = Set::clustered(10);
    let neighbours = vec![10; 10];
    let graph = Graph { degree: 1, entries: vec![0], counts: vec![1; 10], neighbours };
    let mut nodes = Memory::new(&set, &graph, Metric::Euclidean);
    nodes.ask(&set.queries[0]);
    let options = SearchOptions::new(TOP, &|_| true);
    let found = search(&mut nodes, graph.entries(), &options, &mut SearchScratch::default());
    assert!(matches!(found, Err(Error::Corrupt(why)) if why == "a node leads to row 10 of 10"));
}
