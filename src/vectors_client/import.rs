//! `lodestore vectors import`: a thread reads and packs, a few requests are in flight.
//!
//! Bodies in memory: those in flight, one that waits, one in the channel and one in the making.
//! Rows of one key are put in their order: a batch waits while another one with a key of it is in
//! flight. After a failure nothing new is sent; every row before the one that is named to go on
//! with is stored.

use std::collections::HashSet;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::VectorsError;
use super::api::{Api, Caller, IndexTold, told, vector_at_fault};
use super::batch::{Batch, Packer};
use super::options::ImportOptions;
use super::printed::plain;
use super::progress::{EVERY, Progress};
use super::reader::{Fault, Source};
use super::row::Row;
use crate::http_client::Failure;

/// Imports a file.
pub(super) async fn run(options: &ImportOptions) -> Result<(), VectorsError> {
    let api = Api::new(&options.of)?;
    let mut source = Source::open(options)?;
    let name = plain(source.name());
    let first = source.read().map_err(|fault| VectorsError::new(plain(&fault.text)))?;
    if options.create {
        let Some(first) = &first else {
            let why = "it has no rows, so the dimension of a new index is not known";
            return Err(VectorsError::new(format!("{name}: {why}")));
        };
        create(&api, options, first.vector.len()).await?;
    }
    let (sender, batches) = mpsc::channel(1);
    let packer = Packer::new(&api.of_index(), u64::from(options.batch));
    let reader = std::thread::spawn(move || pack(source, first, packer, &sender));
    let mut traffic = Traffic::new(&api, &name, options.concurrency)?;
    traffic.run(batches).await;
    let read = reader.join().map_err(|_| VectorsError::new(format!("{name}: cannot be read")))?;
    traffic.progress.finish(api.errors());
    let stored = traffic.progress.rows();
    // A request that failed is of rows before those that the thread read last.
    let failed = traffic.failed.or_else(|| read.err().map(|fault| (fault.row, fault)));
    match failed {
        None => Ok(()),
        Some((row, Fault { text, .. })) => Err(VectorsError::new(format!(
            "{}; {stored} rows were stored, go on with --from-row {row}",
            plain(&text)
        ))),
    }
}

/// Reads rows to the end, or to one at fault, and sends them packed.
fn pack(
    mut source: Source,
    first: Option<Row>,
    mut packer: Packer,
    sender: &mpsc::Sender<Batch>,
) -> Result<(), Fault> {
    let mut next = first;
    let outcome = loop {
        let Some(row) = next else { break Ok(()) };
        let number = source.row().saturating_sub(1);
        match packer.push(number, &row) {
            Ok(None) => {}
            Ok(Some(batch)) => {
                if sender.blocking_send(batch).is_err() {
                    // Nobody takes more: a request failed, which says why.
                    return Ok(());
                }
            }
            Err(why) => {
                let text = format!("{}: row {number}: {why}", source.name());
                break Err(Fault { row: number, text });
            }
        }
        next = match source.read() {
            Ok(row) => row,
            Err(fault) => break Err(fault),
        };
    };
    // What is before a row at fault is good.
    if let Some(batch) = packer.take() {
        let _stopped = sender.blocking_send(batch);
    }
    outcome
}

/// Requests in flight.
struct Traffic<'a> {
    api: &'a Api,
    /// The file, in messages.
    name: &'a str,
    idle: Vec<Caller>,
    flights: JoinSet<Landed>,
    /// Hashes of the keys in flight.
    keys: HashSet<u64>,
    progress: Progress,
    /// The first row of the first request that failed, and why.
    failed: Option<(u64, Fault)>,
}

/// A request that ended.
struct Landed {
    caller: Caller,
    batch: Batch,
    outcome: Result<Vec<u8>, Failure>,
}

impl<'a> Traffic<'a> {
    fn new(api: &'a Api, name: &'a str, concurrency: u32) -> Result<Self, VectorsError> {
        Ok(Self {
            api,
            name,
            idle: (0..concurrency).map(|_| api.caller()).collect::<Result<_, _>>()?,
            flights: JoinSet::new(),
            keys: HashSet::new(),
            progress: Progress::new("import"),
            failed: None,
        })
    }

    /// Sends all batches, or those before a failure, and waits for their answers.
    async fn run(&mut self, mut batches: mpsc::Receiver<Batch>) {
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + EVERY, EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting: Option<Batch> = None;
        let mut ended = false;
        loop {
            if let Some(batch) = waiting.take_if(|batch| self.keys.is_disjoint(&batch.keys))
                && let Some(batch) = self.take_off(batch)
            {
                waiting = Some(batch);
            }
            if self.flights.is_empty() && waiting.is_none() && ended {
                return;
            }
            tokio::select! {
                batch = batches.recv(), if waiting.is_none() && !ended => {
                    ended = batch.is_none();
                    waiting = batch;
                }
                Some(landed) = self.flights.join_next(), if !self.flights.is_empty() => {
                    self.land(landed);
                }
                _ = ticks.tick() => self.progress.show(self.api.errors()),
            }
            if self.failed.is_some() {
                batches.close();
                (waiting, ended) = (None, true);
            }
        }
    }

    /// Sends a batch; gives it back when no connection is idle.
    fn take_off(&mut self, batch: Batch) -> Option<Batch> {
        let Some(mut caller) = self.idle.pop() else { return Some(batch) };
        self.keys.extend(&batch.keys);
        self.flights.spawn(async move {
            let outcome = caller.call("PutVectors", batch.body.clone()).await;
            Landed { caller, batch, outcome }
        });
        None
    }

    fn land(&mut self, landed: Result<Landed, tokio::task::JoinError>) {
        let (first, rows, why, nth) = match landed {
            Ok(Landed { caller, batch, outcome }) => {
                self.idle.push(caller);
                for key in &batch.keys {
                    self.keys.remove(key);
                }
                match outcome {
                    Ok(_) => return self.progress.add(batch.rows),
                    Err(failure) => {
                        let nth = vector_at_fault(&failure).filter(|nth| *nth < batch.rows);
                        (batch.first_row, batch.rows, told(&failure), nth)
                    }
                }
            }
            // Which one is not known; none of this run is believed then.
            Err(error) => (0, 1, error.to_string(), None),
        };
        let place = match nth {
            Some(nth) => format!("row {}", first + nth),
            None => format!("rows {first} to {}", first + rows.saturating_sub(1)),
        };
        let fault = Fault { row: first, text: format!("{}: {place}: {why}", self.name) };
        if self.failed.as_ref().is_none_or(|(row, _)| first < *row) {
            self.failed = Some((first, fault));
        }
    }
}

/// Makes bucket and index, or finds an index that fits.
async fn create(api: &Api, options: &ImportOptions, dimension: usize) -> Result<(), VectorsError> {
    let Some(metric) = options.metric else {
        return Err(VectorsError::new("--create needs --metric"));
    };
    let mut caller = api.caller()?;
    let refused = |what: &str, failure: &Failure| {
        VectorsError::new(format!("{what} of {}: {}", api.name(), told(failure)))
    };
    let made = caller.ask::<Value>("CreateVectorBucket", &api.of_bucket()).await;
    match made {
        Ok(_) | Err(Failure::Status(409, _)) => {}
        Err(failure) => return Err(refused("vector bucket", &failure)),
    }
    let mut new = api.of_index();
    new["dataType"] = json!("float32");
    new["dimension"] = json!(dimension);
    new["distanceMetric"] = json!(metric.wire());
    if !options.non_filterable.is_empty() {
        let keys = json!(options.non_filterable);
        new["metadataConfiguration"]["nonFilterableMetadataKeys"] = keys;
    }
    if !options.text_keys.is_empty() {
        let keys = options.text_keys.iter().map(|key| json!({ "metadataKey": key }));
        let keys = Value::Array(keys.collect());
        new["metadataConfiguration"]["textSearchConfigurations"] = keys;
    }
    match caller.ask::<Value>("CreateIndex", &new).await {
        Ok(_) => return Ok(()),
        Err(Failure::Status(409, _)) => {}
        Err(failure) => return Err(refused("index", &failure)),
    }
    let IndexTold { dimension: there, distance_metric } =
        caller.index().await.map_err(|failure| refused("index", &failure))?;
    if there == dimension && distance_metric == metric.wire() {
        return Ok(());
    }
    Err(VectorsError::new(format!(
        "index {} is there with dimension {there} and {}, not {dimension} and {}",
        api.name(),
        plain(&distance_metric),
        metric.wire()
    )))
}
