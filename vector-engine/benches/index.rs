//! One index on a data set of `.npy` files: ingest, seal, half of the rows changed, restart; recall and
//! time of queries in each state.
//!
//! `cargo run --release -p vector-engine --example index -- DIRECTORY NAME METRIC [GRAPH_ROWS [ROUNDS]]`
//! reads `DIRECTORY/NAME.{base,query,gt}.npy` and, where they are, `NAME.{sel10,sel1,corr}.npy` with
//! the exact neighbours among their rows. After the first round of queries, which finds pages in no cache,
//! come ROUNDS (1) more.

mod npy;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use npy::Array;
use serde_json::{Map, json};
use storage_engine::media::{FileMedia, FileMediaOptions, Media};
use storage_engine::{
    Batch, Engine, Environment, Operation, Options, PlainMasterKey, SystemEnvironment,
};
use vector_engine::kernel::Probe;
use vector_engine::*;

type Anything = Box<dyn std::error::Error>;

const BATCH_ROWS: usize = 500;
const TOP: usize = 10;
/// Queries whose neighbours are looked for row by row once rows have changed.
const CHANGED_QUERIES: usize = 200;
/// What the server takes by default on a machine of 24 GiB.
const CACHE_BYTES: usize = 3 << 30;

/// Rows that a filter leaves, and the exact neighbours among them.
struct Mask {
    name: &'static str,
    rows: Array,
    truth: Array,
}

impl Mask {
    fn wanted(&self) -> i64 {
        if self.name == "sel10" { 3 } else { 7 }
    }

    fn filter(&self) -> Result<Filter, Anything> {
        Ok(Filter::parse(&json!({self.name: self.wanted()}), &FilterLimits::default())?)
    }
}

/// The nearest rows of each query, as keys.
fn nearest_of(truth: &Array) -> Vec<Vec<String>> {
    let of_query = |query| {
        let nearest = truth.whole(query).into_iter().take(TOP).filter(|row| *row >= 0);
        nearest.map(|row| row.to_string()).collect()
    };
    (0..truth.rows()).map(of_query).collect()
}

struct Set {
    base: Array,
    queries: Array,
    truth: Array,
    masks: Vec<Mask>,
}

impl Set {
    fn read(directory: &str, name: &str) -> Result<Self, Anything> {
        let read =
            |part: &str| Array::read(&Path::new(directory).join(format!("{name}.{part}.npy")));
        let mask =
            |(name, truth)| Some(Mask { name, rows: read(name).ok()?, truth: read(truth).ok()? });
        let masks = [("sel10", "gt_sel10"), ("sel1", "gt_sel1"), ("corr", "gt_corr")];
        Ok(Self {
            base: read("base")?,
            queries: read("query")?,
            truth: read("gt")?,
            masks: masks.into_iter().filter_map(mask).collect(),
        })
    }

    fn row(&self, number: usize) -> Result<NewRow, Anything> {
        let mut document = Map::new();
        for mask in &self.masks {
            document.insert(mask.name.to_owned(), json!(mask.rows.whole(number)[0]));
        }
        let metadata = Metadata::from_map(&document, &[], &MetadataLimits::default())?;
        Ok(NewRow { key: number.to_string(), vector: self.base.floats(number), metadata })
    }

    async fn query_all(&self, index: &Index, state: &str) -> Result<(), Anything> {
        self.query(index, &nearest_of(&self.truth), None, state).await?;
        for mask in &self.masks {
            let what = format!("{state}, {}", mask.name);
            self.query(index, &nearest_of(&mask.truth), Some(mask.filter()?), &what).await?;
        }
        Ok(())
    }

    /// Of every four rows, the first gets the vector of a second, and the seconds go.
    async fn change(&self, index: &Index) -> Result<Vec<Option<usize>>, Anything> {
        let fours = self.base.rows() / 4;
        let mut vector_of: Vec<Option<usize>> = (0..self.base.rows()).map(Some).collect();
        for start in (0..fours).step_by(BATCH_ROWS) {
            let some = start..(start + BATCH_ROWS).min(fours);
            let mut changed = Vec::with_capacity(some.len());
            for four in some.clone() {
                let other = (four * 7919 + 1) % fours * 4 + 1;
                vector_of[four * 4] = Some(other);
                changed.push(NewRow { vector: self.base.floats(other), ..self.row(four * 4)? });
            }
            index.put(changed).await?;
            let gone: Vec<usize> = some.map(|four| four * 4 + 1).collect();
            gone.iter().for_each(|key| vector_of[*key] = None);
            index.delete(gone.iter().map(usize::to_string).collect()).await?;
        }
        Ok(vector_of)
    }

    /// The nearest by looking at each, for as many queries as [`CHANGED_QUERIES`].
    fn exact(
        &self,
        metric: Metric,
        vector_of: &[Option<usize>],
        mask: Option<&Mask>,
    ) -> Vec<Vec<String>> {
        let matches = |key: usize| mask.is_none_or(|mask| mask.rows.whole(key)[0] == mask.wanted());
        let living = vector_of.iter().enumerate().filter_map(|(key, row)| Some((key, (*row)?)));
        let rows: Vec<(usize, Vec<f32>)> = living
            .filter(|(key, _)| matches(*key))
            .map(|(key, row)| (key, self.base.floats(row)))
            .collect();
        let queries = 0..self.queries.rows().min(CHANGED_QUERIES);
        let nearest = queries.map(|query| {
            let probe = Probe::new(metric, &self.queries.floats(query));
            let mut distances: Vec<(f32, usize)> =
                rows.iter().map(|(key, vector)| (probe.distance(vector), *key)).collect();
            distances.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            distances.iter().take(TOP).map(|(_, key)| key.to_string()).collect()
        });
        nearest.collect()
    }

    async fn query(
        &self,
        index: &Index,
        truth: &[Vec<String>],
        filter: Option<Filter>,
        what: &str,
    ) -> Result<(), Anything> {
        let count = self.queries.rows().min(truth.len()).min(1000);
        let (mut times, mut found, mut wanted) = (Vec::with_capacity(count), 0, 0);
        let mut last = None;
        let before = processor_time();
        for (number, nearest) in truth.iter().enumerate().take(count) {
            let query = Query {
                vector: Some(self.queries.floats(number)),
                top: TOP,
                filter: filter.clone(),
                explain: Explained::Yes,
                ..Query::default()
            };
            let at = Instant::now();
            let answer = index.query(query).await?;
            times.push(at.elapsed());
            wanted += nearest.len();
            found += answer.hits.iter().filter(|hit| nearest.contains(&hit.key)).count();
            last = answer.explain;
        }
        let cpu_us = (processor_time() - before).as_micros() as usize / count.max(1);
        times.sort();
        let at = |share: f64| times[((count - 1) as f64 * share) as usize].as_micros();
        let segments = last.iter().flat_map(|explain| &explain.segments).map(|work| {
            let (measured, candidates) = (work.measured, work.candidates);
            format!("{} {measured}/{candidates} in {}", work.plan.name(), work.rounds)
        });
        let segments: Vec<String> = segments.collect();
        println!(
            "| {what} | {:.4} | {} | {} | {cpu_us} | {} |",
            found as f64 / wanted.max(1) as f64,
            at(0.5),
            at(0.99),
            segments.join(", "),
        );
        Ok(())
    }
}

/// Processor time of this process, to a hundredth of a second.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Anything> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, name, metric, rest @ ..] = arguments.as_slice() else {
        return Err("arguments: DIRECTORY NAME cosine|euclidean|inner [GRAPH_ROWS [ROUNDS]]".into());
    };
    let metric = match metric.as_str() {
        "cosine" => Metric::Cosine,
        "euclidean" => Metric::Euclidean,
        _ => Metric::InnerProduct,
    };
    let set = Set::read(directory, name)?;
    let graph_rows_min = rest.first().and_then(|rows| rows.parse().ok());
    let folder = PathBuf::from("target").join(format!("vector-index-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let media: Arc<dyn Media> = Arc::new(FileMedia::open(&FileMediaOptions::new(&folder))?);
    let runtime = tokio::runtime::Handle::current();
    let environment: Arc<dyn Environment> = Arc::new(SystemEnvironment::new(Some(runtime)));
    let master = Arc::new(PlainMasterKey::new([7; 32]));
    let engine = Engine::open(Arc::clone(&environment), media, master, Options::default())?;
    let space = engine.reserve_space();
    let operations = vec![Operation::CreateSpace(space)];
    engine.commit(Batch { conditions: Vec::new(), operations }).await?;
    let options = EngineOptions {
        graph_rows_min: graph_rows_min.unwrap_or(limits::GRAPH_ROWS_MIN),
        growing_rows_max: usize::MAX,
        cache_bytes: CACHE_BYTES,
        background: false,
        ..EngineOptions::default()
    };
    let vectors = VectorEngine::new(engine.clone(), Arc::clone(&environment), options.clone())?;
    let dimension = set.base.width;
    let settings =
        IndexSettings { dimension, metric, non_filterable: Vec::new(), text: Vec::new() };
    let index = vectors.index(space, &settings).await?;
    let (at, before) = (Instant::now(), processor_time());
    for start in (0..set.base.rows()).step_by(BATCH_ROWS) {
        let end = (start + BATCH_ROWS).min(set.base.rows());
        let rows: Result<Vec<NewRow>, Anything> = (start..end).map(|row| set.row(row)).collect();
        index.put(rows?).await?;
    }
    let took = at.elapsed().as_secs_f64();
    let cpu = (processor_time() - before).as_secs_f64();
    let rows = set.base.rows();
    println!(
        "{name}: {rows} rows of {dimension}, put one batch of {BATCH_ROWS} at a time in {took:.2} s"
    );
    println!("({:.0} rows/s, {cpu:.2} processor seconds), durability sync\n", rows as f64 / took);
    println!(
        "| state, filter | recall@10 | p50 us | p99 us | CPU us | measured/candidates in rounds |"
    );
    println!("|---|---|---|---|---|---|");
    set.query_all(&index, "growing").await?;
    let (at, before) = (Instant::now(), processor_time());
    index.seal()?;
    let sealed = (at.elapsed().as_secs_f64(), (processor_time() - before).as_secs_f64());
    set.query_all(&index, "sealed, first round").await?;
    let rounds = rest.get(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
    for _ in 0..rounds {
        set.query_all(&index, "sealed").await?;
    }
    println!("\nsealed in {:.2} s, {:.2} processor seconds", sealed.0, sealed.1);
    let stats = index.stats();
    let each = |bytes: u64| bytes as f64 / stats.rows as f64;
    println!("{:.1} bytes of memory a row", each(stats.memory_bytes));
    println!("{:.1} bytes on the device a row\n", each(stats.device_bytes));
    let vector_of = set.change(&index).await?;
    let mut asked = vec![(String::new(), None, set.exact(metric, &vector_of, None))];
    for mask in &set.masks {
        let nearest = set.exact(metric, &vector_of, Some(mask));
        asked.push((format!(", {}", mask.name), Some(mask.filter()?), nearest));
    }
    let changed = async |index: &Index, state: &str| -> Result<(), Anything> {
        for (name, filter, nearest) in &asked {
            let what = format!("half of it changed, {state}{name}");
            set.query(index, nearest, filter.clone(), &what).await?;
        }
        Ok(())
    };
    changed(&index, "growing over sealed").await?;
    index.seal()?;
    changed(&index, "sealed").await?;
    index.maintain()?;
    changed(&index, "merged").await?;
    drop(index);
    vectors.close().await;
    let vectors = VectorEngine::new(engine.clone(), environment, options)?;
    changed(&vectors.index(space, &settings).await?, "opened again").await?;
    vectors.close().await;
    engine.close().await?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
