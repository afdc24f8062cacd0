//! kill -9 while an index that nobody writes to gets its graph: what was acknowledged before and during
//! the building is there after the restart, what was deleted is not, and the graph comes in the end.
//!
//! - A server begins a graph when nobody wrote for 20 s. Waiting costs nothing, so several servers do
//!   it side by side, and each is killed at another moment.
//! - Each is killed once for every 20 rounds that `LODESTORE_CRASH_ROUNDS` asks for, as each kill costs
//!   half a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::crash::Run;
use crate::support::fixture::Random;
use crate::support::vector_rows::{Row, Rows, VectorIndex, vector};
use crate::support::vectors::ok;
use crate::support::{Server, Setup};

/// What is joined when a server is killed: nothing yet, a half, all.
const MOMENTS: [f64; 3] = [0.0, 0.5, 1.0];
/// Longest wait for a graph to be begun or to be whole, also in a debug build on a busy machine.
const GRAPH_MAX: Duration = Duration::from_secs(180);
/// Seals and merges come before the graph; what is not sealed then is more than may go on growing.
const GROWING_ROWS: usize = 5_000;
const ROWS: usize = 22_500;
const PUT_ROWS: usize = 500;
/// Rows that change at a time, and those that go.
const CHANGED_ROWS: usize = 300;
const DELETED_ROWS: usize = 100;
/// Queries of one verification, and what of their nearest rows they have to find.
const QUERIES: usize = 20;
const RECALL_MIN: f64 = 0.95;
const OWNER: &str = "nobody";

/// A server, its index, and what has to be in it.
struct Life {
    server: Server,
    index: VectorIndex,
    rows: Rows,
    random: Random,
    /// Kills that came before the graph was whole.
    cut_off: u64,
}

#[test]
fn vectors_survive_kills_while_their_graph_is_built() {
    let Run { rounds, seed } = Run::asked();
    let kills = (rounds / 20).max(1);
    let lives: Vec<u64> = std::thread::scope(|scope| {
        let seeds = (seed..).zip(MOMENTS);
        let lives = seeds.map(|(seed, moment)| scope.spawn(move || live(seed, moment, kills)));
        let lives: Vec<_> = lives.collect();
        lives.into_iter().map(|life| life.join().expect("a life that went well")).collect()
    });
    println!(
        "{kills} kills of each server, the first at {MOMENTS:?} of a graph: {lives:?} cut it off"
    );
    assert!(lives[..2].iter().all(|cut_off| *cut_off > 0), "{lives:?} graphs were cut off");
}

/// Kills a server when that share of a graph has joined, and then at other moments; answers how many
/// graphs were cut off.
fn live(seed: u64, moment: f64, kills: u64) -> u64 {
    let mut life = Life::begin(seed ^ 0x96a9);
    for kill in 0..kills {
        let moment = if kill == 0 { moment } else { life.random.below(100) as f64 / 100.0 };
        life.wait_for_graph();
        if moment > 0.0 {
            life.change();
        }
        life.wait(|life| life.joined_share().is_none_or(|share| share >= moment));
        life.server.kill();
        life.start_again();
        life.verify();
        if life.has_graph() {
            break;
        }
        life.cut_off += 1;
    }
    if !life.has_graph() {
        life.wait_for_graph();
        // What dies while the graph is built is dead in it, and stays so over the next kill.
        life.change();
        life.wait(Life::has_graph);
        life.verify();
        life.server.kill();
        life.start_again();
        life.verify();
    }
    assert!(life.has_graph(), "the graph is gone");
    assert!(life.server.stop().success());
    crate::crash::check_finds_nothing(&life.server);
    life.cut_off
}

impl Life {
    fn begin(seed: u64) -> Self {
        let server = Setup::new()
            .env("LODESTORE_ZONE_BYTES", "4MiB")
            .env("LODESTORE_CHECKPOINT_BYTES", "2MiB")
            .env("LODESTORE_CAPACITY_BYTES", "1GiB")
            .env("LODESTORE_VECTOR_GROWING_ROWS", &GROWING_ROWS.to_string())
            .start();
        let client = server.client();
        ok(&client, "CreateVectorBucket", &json!({ "vectorBucketName": "graphs" }));
        let index = VectorIndex::create(&client, "graphs", "euclidean");
        let mut life =
            Self { server, index, rows: Rows::new(), random: Random::new(seed), cut_off: 0 };
        for first in (0..ROWS).step_by(PUT_ROWS) {
            life.put((first..first + PUT_ROWS).map(key).collect());
        }
        life.change();
        life
    }

    fn put(&mut self, keys: Vec<String>) {
        let rows: Rows = keys.into_iter().map(|key| (key, Row::random(&mut self.random))).collect();
        let vectors: Vec<Value> = rows.iter().map(|(key, row)| row.encoded(key, OWNER)).collect();
        self.index.ask("PutVectors", json!({ "vectors": vectors })).unwrap();
        self.rows.extend(rows);
    }

    /// Overwrites some rows and deletes others.
    fn change(&mut self) {
        let mut some = |count: usize| -> BTreeSet<String> {
            (0..count).map(|_| key(self.random.below(ROWS))).collect()
        };
        let (changed, deleted) = (some(CHANGED_ROWS), some(DELETED_ROWS));
        self.put(changed.into_iter().collect());
        self.index.ask("DeleteVectors", json!({ "keys": deleted })).unwrap();
        self.rows.retain(|key, _| !deleted.contains(key));
    }

    /// The same data after a kill.
    fn start_again(&mut self) {
        let setup = self.server.setup().clone();
        assert!(!self.server.is_running());
        self.server = setup.start();
        self.index.client = self.server.client();
    }

    fn metric(&self, name: &str) -> f64 {
        self.server.metric(name).expect("a metric")
    }

    fn has_graph(&self) -> bool {
        self.metric("lodestore_vector_graph_segments") > 0.0
    }

    /// What of a graph that is being built has joined it.
    fn joined_share(&self) -> Option<f64> {
        let building = self.metric("lodestore_vector_graph_building_rows");
        let joined = self.metric("lodestore_vector_graph_joined_rows");
        (building > 0.0).then(|| joined / building)
    }

    fn wait(&self, until: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + GRAPH_MAX;
        while !until(self) {
            assert!(Instant::now() < deadline, "the graph does not come");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a graph is being built.
    fn wait_for_graph(&self) {
        self.wait(|life| life.joined_share().is_some());
    }

    fn verify(&mut self) {
        let encoded: BTreeMap<String, Value> =
            self.rows.iter().map(|(key, row)| (key.clone(), row.encoded(key, OWNER))).collect();
        self.index.verify_listing(&encoded).unwrap();
        let keys: Vec<String> = (0..100).map(|_| key(self.random.below(ROWS))).collect();
        self.index.verify_get(&keys, &self.rows).unwrap();
        let (mut found, mut wanted) = (0, 0);
        for least in (0..QUERIES as u64).map(|round| round % 4) {
            let vector = vector(&mut self.random);
            let told = self.index.verify_query(&vector, least, &self.rows).unwrap();
            found += told.found;
            wanted += told.wanted;
        }
        let recall = found as f64 / wanted as f64;
        assert!(recall >= RECALL_MIN, "{found} of {wanted} nearest rows were found");
        for (key, row) in keys.iter().filter_map(|key| self.rows.get_key_value(key)).take(5) {
            self.index.verify_text(key, row).unwrap();
        }
    }
}

fn key(number: usize) -> String {
    format!("row {number}")
}
