//! How much of what is nearest is found: on clustered sets and on embeddings of real text, with every
//! kind of filter, in growing, small and large segments, after updates and deletes of half the rows,
//! after a restart.

use futures::executor::block_on;
use serde_json::{Value, json};
use storage_engine::media::SeededRandom;
use vector_engine::{EngineOptions, Metric, NewRow, Plan, Query, QueryShare};
use vector_engine::{Explained, Filter};

use crate::reference::{ReferenceRow, filter, metadata};
use crate::subject::{Subject, settings};

const ROWS: usize = 6000;
const TOP: usize = 10;
const QUERIES: usize = 30;

/// What an index is filled with and asked.
trait Set {
    fn dimension(&self) -> usize;
    /// Rows to begin with.
    fn rows(&self) -> usize;
    /// A row as it is put first.
    fn row(&self, random: &mut SeededRandom, number: usize) -> NewRow;
    /// A row that is written anew.
    fn changed(&self, random: &mut SeededRandom, number: usize) -> NewRow;
    fn query(&self, random: &mut SeededRandom) -> Vec<f32>;
    /// Filters that most queries' neighbours do not match, and their names.
    fn elsewhere(&self) -> Vec<(Value, &'static str)>;
}

/// What filters ask for beside the group of a row.
fn numbered(key: usize, group: usize, vector: Vec<f32>) -> NewRow {
    let document = json!({
        "cluster": group,
        "tenth": key % 10,
        "hundredth": key % 100,
        "thousandth": key % 1000,
    });
    NewRow { key: format!("row {key}"), vector, metadata: metadata(&document) }
}

/// Embeddings of real text: a fixed sample, see `fixtures/text384.py`.
struct Text {
    dimension: usize,
    sections: &'static [u8],
    rows: &'static [u8],
    queries: &'static [u8],
}

impl Text {
    fn new() -> Self {
        let bytes = include_bytes!("fixtures/text384.bin").as_slice();
        let number =
            |at: usize| u32::from_le_bytes(bytes[4 * at..4 * at + 4].try_into().unwrap()) as usize;
        let (rows, queries, dimension) = (number(0), number(1), number(2));
        let (sections, vectors) = bytes[12..].split_at(rows);
        let (rows, queries_there) = vectors.split_at(rows * dimension);
        assert_eq!(queries_there.len(), queries * dimension);
        Self { dimension, sections, rows, queries: queries_there }
    }

    fn vector(&self, of: &[u8], number: usize) -> Vec<f32> {
        let bytes = &of[number * self.dimension..(number + 1) * self.dimension];
        bytes.iter().map(|byte| f32::from(byte.cast_signed())).collect()
    }
}

impl Set for Text {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn rows(&self) -> usize {
        self.sections.len()
    }

    fn row(&self, _: &mut SeededRandom, number: usize) -> NewRow {
        numbered(number, self.sections[number].into(), self.vector(self.rows, number))
    }

    fn changed(&self, random: &mut SeededRandom, number: usize) -> NewRow {
        let other = random.position(self.rows());
        numbered(number, self.sections[other].into(), self.vector(self.rows, other))
    }

    fn query(&self, random: &mut SeededRandom) -> Vec<f32> {
        self.vector(self.queries, random.position(self.queries.len() / self.dimension))
    }

    fn elsewhere(&self) -> Vec<(Value, &'static str)> {
        vec![
            (json!({"cluster": 28}), "a section of hundreds"),
            (json!({"cluster": {"$lt": 5}}), "a few sections"),
        ]
    }
}

/// Vectors in clusters of unlike sizes on a few directions, as embeddings are.
struct Clusters {
    centres: Vec<Vec<f32>>,
    dimension: usize,
}

impl Clusters {
    fn new(random: &mut SeededRandom, dimension: usize) -> Self {
        let centres = (0..40).map(|_| (0..dimension).map(|_| normal(random)).collect()).collect();
        Self { centres, dimension }
    }

    fn draw(&self, random: &mut SeededRandom) -> (usize, Vec<f32>) {
        let cluster = random.position(self.centres.len()).min(random.position(self.centres.len()));
        let centre = &self.centres[cluster];
        let vector = centre.iter().map(|mean| mean + 0.6 * normal(random)).collect();
        (cluster, vector)
    }
}

impl Set for Clusters {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn rows(&self) -> usize {
        ROWS
    }

    fn row(&self, random: &mut SeededRandom, number: usize) -> NewRow {
        let (cluster, vector) = self.draw(random);
        numbered(number, cluster, vector)
    }

    fn changed(&self, random: &mut SeededRandom, number: usize) -> NewRow {
        self.row(random, number)
    }

    fn query(&self, random: &mut SeededRandom) -> Vec<f32> {
        self.draw(random).1
    }

    fn elsewhere(&self) -> Vec<(Value, &'static str)> {
        vec![
            (json!({"cluster": 30}), "a cluster, mostly another than the query's"),
            (json!({"cluster": {"$lt": 3}}), "a few clusters"),
        ]
    }
}

fn normal(random: &mut SeededRandom) -> f32 {
    let uniform =
        |random: &mut SeededRandom| (random.below(1 << 24) as f64 + 0.5) / (1 << 24) as f64;
    let (a, b) = (uniform(random), uniform(random));
    ((-2.0 * a.ln()).sqrt() * (b * std::f64::consts::TAU).cos()) as f32
}

/// Recall at 10 and the share of full answers over some queries.
fn measure(
    subject: &Subject,
    set: &dyn Set,
    random: &mut SeededRandom,
    filter: Option<&Filter>,
) -> (f64, f64, Vec<Plan>) {
    let (mut found, mut wanted, mut returned, mut plans) = (0, 0, 0, Vec::new());
    for _ in 0..QUERIES {
        let vector = set.query(random);
        let expected = subject.reference.nearest(subject.settings.metric, &vector, filter);
        let top = TOP.min(expected.len());
        let query = Query {
            vector: Some(vector),
            top: TOP,
            filter: filter.cloned(),
            explain: Explained::Yes,
            ..Query::default()
        };
        let answer = block_on(subject.index.query(query)).unwrap();
        let worst = expected.get(top.wrapping_sub(1)).map_or(0.0, |(_, distance)| *distance);
        let near = |hit: &&vector_engine::Hit| {
            f64::from(hit.distance.unwrap()) <= worst + 1e-4 * (1.0 + worst.abs())
        };
        found += answer.hits.iter().filter(near).count();
        returned += answer.hits.len();
        wanted += top;
        plans.extend(answer.explain.unwrap().segments.iter().map(|segment| segment.plan));
    }
    (found as f64 / wanted as f64, returned as f64 / wanted as f64, plans)
}

fn filters() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"tenth": 3}), "a tenth"),
        (json!({"tenth": {"$lt": 4}}), "four tenths"),
        (json!({"tenth": {"$gte": 1}}), "nine tenths"),
        (json!({"hundredth": 7}), "a hundredth"),
        (json!({"thousandth": 11}), "a thousandth"),
    ]
}

fn check(subject: &Subject, set: &dyn Set, what: &str, plan: Plan) {
    let mut random = SeededRandom::new(99);
    let (recall, completeness, plans) = measure(subject, set, &mut random, None);
    assert!(recall >= 0.99 && completeness == 1.0, "{what}: recall {recall}");
    assert!(plans.contains(&plan), "{what}: {plans:?} without {plan:?}");
    for (document, name) in filters().into_iter().chain(set.elsewhere()) {
        let filter = filter(&document);
        let (recall, completeness, plans) = measure(subject, set, &mut random, Some(&filter));
        assert!(recall >= 0.999 && completeness == 1.0, "{what}, {name}: recall {recall}");
        assert!(!plans.contains(&Plan::Graph), "{what}, {name}: so few are looked at one by one");
    }
}

fn filled(dimension: usize, metric: Metric, options: EngineOptions) -> (Subject, Clusters) {
    let clusters = Clusters::new(&mut SeededRandom::new(dimension as u64), dimension);
    (filled_with(&clusters, metric, options), clusters)
}

fn filled_with(set: &dyn Set, metric: Metric, options: EngineOptions) -> Subject {
    let mut random = SeededRandom::new(set.dimension() as u64 + 1);
    let mut subject = Subject::new(5, settings(set.dimension(), metric), options);
    subject.media.set_capacity(512 << 20);
    let numbers: Vec<usize> = (0..set.rows()).collect();
    for batch in numbers.chunks(600) {
        let rows: Vec<_> = batch.iter().map(|number| set.row(&mut random, *number)).collect();
        assert!(rows.iter().all(|row| row.vector.len() == set.dimension()));
        subject.put(rows);
    }
    subject
}

/// Half of the rows change: a quarter is written anew, a quarter goes.
fn churn(subject: &mut Subject, set: &dyn Set) {
    let mut random = SeededRandom::new(4);
    let anew: Vec<NewRow> =
        (0..set.rows()).step_by(4).map(|number| set.changed(&mut random, number)).collect();
    for batch in anew.chunks(500) {
        subject.put(batch.to_vec());
    }
    let gone: Vec<String> =
        (1..set.rows()).step_by(4).map(|number| format!("row {number}")).collect();
    for batch in gone.chunks(500) {
        subject.delete(batch.to_vec());
    }
}

fn background_off() -> EngineOptions {
    EngineOptions { background: false, ..EngineOptions::default() }
}

#[test]
fn growing_rows_are_found_by_scans_of_codes() {
    let (mut subject, clusters) = filled(96, Metric::Cosine, background_off());
    check(&subject, &clusters, "growing", Plan::Codes);
    churn(&mut subject, &clusters);
    subject.restart();
    check(&subject, &clusters, "growing, half of it changed, restarted", Plan::Codes);
}

#[test]
fn small_sealed_segments_are_found_by_scans_of_codes() {
    let (mut subject, clusters) = filled(64, Metric::Euclidean, background_off());
    subject.index.seal().unwrap();
    check(&subject, &clusters, "small", Plan::Codes);
    churn(&mut subject, &clusters);
    check(&subject, &clusters, "small, half of it changed", Plan::Codes);
    subject.index.seal().unwrap();
    subject.restart();
    check(&subject, &clusters, "small, half of it changed, restarted", Plan::Codes);
}

/// Estimates would miss one of the nearest in some hundred queries.
#[test]
fn of_a_segment_of_few_pages_nothing_is_missed() {
    let (subject, clusters) = filled(6, Metric::Euclidean, background_off());
    subject.index.seal().unwrap();
    let mut random = SeededRandom::new(31);
    for _ in 0..10 {
        let (recall, completeness, plans) = measure(&subject, &clusters, &mut random, None);
        assert_eq!((recall, completeness), (1.0, 1.0));
        assert!(plans.iter().all(|plan| *plan == Plan::Exact), "{plans:?}");
    }
}

#[test]
fn large_sealed_segments_are_found_along_their_graph() {
    let options = EngineOptions { graph_rows_min: 3000, ..background_off() };
    let (mut subject, clusters) = filled(48, Metric::Euclidean, options);
    subject.index.seal().unwrap();
    check(&subject, &clusters, "large", Plan::Graph);
    churn(&mut subject, &clusters);
    check(&subject, &clusters, "large, half of it changed", Plan::Graph);
    subject.index.maintain().unwrap();
    subject.restart();
    check(&subject, &clusters, "large, half of it changed, restarted", Plan::Graph);
}

#[test]
fn real_text_is_found_in_growing_small_and_large_segments() {
    let text = Text::new();
    let mut subject = filled_with(&text, Metric::Cosine, background_off());
    check(&subject, &text, "text, growing", Plan::Codes);
    subject.index.seal().unwrap();
    check(&subject, &text, "text, small", Plan::Codes);
    churn(&mut subject, &text);
    subject.restart();
    check(&subject, &text, "text, small, half of it changed, restarted", Plan::Codes);

    let options = EngineOptions { graph_rows_min: 2000, ..background_off() };
    let mut subject = filled_with(&text, Metric::Cosine, options);
    subject.index.seal().unwrap();
    check(&subject, &text, "text, large", Plan::Graph);
    churn(&mut subject, &text);
    subject.index.maintain().unwrap();
    subject.restart();
    check(&subject, &text, "text, large, half of it changed, restarted", Plan::Graph);
}

#[test]
fn the_probe_counts_what_an_exact_reference_counts() {
    let everything = QueryShare::new(1.0).unwrap();
    for (graph_rows_min, plan) in [(usize::MAX, Plan::Codes), (3000, Plan::Graph)] {
        let options =
            EngineOptions { graph_rows_min, recall_probe: everything, ..background_off() };
        let (mut subject, clusters) = filled(32, Metric::Euclidean, options);
        subject.index.seal().unwrap();
        churn(&mut subject, &clusters);
        let mut random = SeededRandom::new(7);
        let before = subject.vectors.stats().recall;
        let (mut wanted, mut found, mut queries) = (0.0, 0.0, 0);
        let thousandth = filter(&json!({"thousandth": 11}));
        for filter in [None, Some(&thousandth)] {
            let matching = |row: &&ReferenceRow| filter.is_none_or(|it| it.matches(&row.metadata));
            let top = TOP.min(subject.reference.rows.values().filter(matching).count());
            let (recall, _, plans) = measure(&subject, &clusters, &mut random, filter);
            assert!(filter.is_some() || plans.contains(&plan));
            wanted += (QUERIES * top) as f64;
            found += (QUERIES * top) as f64 * recall;
            queries += QUERIES as u64;
        }
        let probed = subject.vectors.stats().recall;
        assert_eq!((probed.probes - before.probes, probed.dropped), (queries, 0));
        assert_eq!(probed.wanted as f64, wanted);
        assert!((probed.found as f64 - found).abs() <= 1.0, "{probed:?}, {found} of {wanted}");
    }
}

#[test]
fn an_index_that_nobody_writes_to_gets_a_graph_of_all_its_rows() {
    let (rows, dimension) = (24_000, 8);
    let options = EngineOptions { growing_rows_max: 9_000, ..background_off() };
    let mut random = SeededRandom::new(8);
    let clusters = Clusters::new(&mut random, dimension);
    let mut subject = Subject::new(6, settings(dimension, Metric::Euclidean), options);
    subject.media.set_capacity(512 << 20);
    for start in (0..rows).step_by(4000) {
        let numbers = start..start + 4000;
        subject.put(numbers.map(|number| clusters.row(&mut random, number)).collect());
        subject.index.maintain().unwrap();
    }
    assert_eq!(subject.index.stats().graph_segments, 0, "it is written to");
    subject.environment.advance(subject.options.settle_after);
    subject.index.maintain().unwrap();
    let stats = subject.index.stats();
    assert_eq!((stats.sealed_segments, stats.graph_segments), (1, 1));
    let (recall, completeness, plans) = measure(&subject, &clusters, &mut random, None);
    assert!(recall >= 0.99 && completeness == 1.0, "recall {recall}");
    assert!(plans.contains(&Plan::Graph));
    // Ten thousand matches are found whole, however many more rows there are.
    let filter = filter(&json!({"tenth": {"$lt": 4}}));
    let (recall, completeness, plans) = measure(&subject, &clusters, &mut random, Some(&filter));
    assert!(recall >= 0.999 && completeness == 1.0, "four tenths: recall {recall}");
    assert!(!plans.contains(&Plan::Graph));
    // Few rows more are not worth another one.
    subject.put((0..500).map(|number| clusters.row(&mut random, number)).collect());
    subject.environment.advance(subject.options.settle_after);
    subject.index.maintain().unwrap();
    assert_eq!(subject.index.stats().growing_rows, 500);
}
