//! Power cuts: the real server on a device that forgets what was not synced.
//!
//! Each round loads the server, kills it, takes the device's power away, and starts the server on
//! what is left: every acknowledged write has to be there, and what was in flight whole or not at
//! all. What a recovery has shown to a client has to survive the next cut too.
//!
//! - The device is a file system in this process's memory, mounted through `/dev/fuse`. Where that
//!   cannot be mounted the tests say so and pass; `LODESTORE_REQUIRE_POWERCUT=1` makes them fail.
//! - `LODESTORE_POWERCUT_ROUNDS` sets the number of cuts, `LODESTORE_POWERCUT_SEED` repeats the
//!   choices of a run.
//! - The same rounds on a server that was told not to sync must find a loss: that tests the test.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation fails the test")]
#![expect(unreachable_pub, reason = "a test binary has no outside")]

mod device;
mod load;
mod mount;
#[path = "../server/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the other tests use what these do not")]
mod support;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use device::{Device, Survival};
use load::{Buckets, Worker};
use mount::Mount;
use support::fixture::Random;
use support::vector_load::{GROWING_ROWS, VectorLoad};
use support::{Bucket, Server, Setup};

const CAPACITY_BYTES: u64 = 1 << 30;
/// Clients that write objects, and those that write vectors beside them.
const WORKERS: usize = 4;
const VECTOR_WORKERS: usize = 2;
/// Longest wait for segments of vectors to be merged, also in a debug build on a busy machine.
const MERGE_MAX: Duration = Duration::from_secs(30);

/// A server's set-up, and the device below its data directory.
struct Rig {
    setup: Setup,
    device: Arc<Mutex<Device>>,
    mount: Option<Mount>,
    directory: tempfile::TempDir,
    random: Random,
}

impl Rig {
    /// None where file systems cannot be mounted.
    fn new(seed: u64) -> Option<Self> {
        let device = Arc::new(Mutex::new(Device::new(CAPACITY_BYTES)));
        let directory = tempfile::Builder::new().prefix("lodestore-power-").tempdir().unwrap();
        let mount = match Mount::new(&device, directory.path()) {
            Ok(mount) => mount,
            Err(error) => {
                let required = std::env::var_os("LODESTORE_REQUIRE_POWERCUT").is_some();
                assert!(!required, "cannot mount the device: {error}");
                println!("skipped: no file system can be mounted here: {error}");
                return None;
            }
        };
        let setup = Setup::new()
            .env("LODESTORE_DURABILITY", "sync")
            .env("LODESTORE_ZONE_BYTES", "8MiB")
            .env("LODESTORE_CHECKPOINT_BYTES", "2MiB")
            .env("LODESTORE_CAPACITY_BYTES", "256MiB")
            .env("LODESTORE_VECTOR_GROWING_ROWS", &GROWING_ROWS.to_string())
            .argument("--data")
            .argument(store(directory.path()).to_str().unwrap());
        let random = Random::new(seed);
        Some(Self { setup, device, mount: Some(mount), directory, random })
    }

    fn start(&self) -> Result<Server, String> {
        self.setup.clone().try_start()
    }

    /// The server is dead; its device loses power, and comes back.
    fn cut_power(&mut self, survival: Survival) {
        self.mount.take().expect("a mounted device").unmount().expect("unmount the device");
        self.device.lock().unwrap().cut_power(survival, &mut self.random);
        self.mount = Some(Mount::new(&self.device, self.directory.path()).expect("mount again"));
    }

    fn lost_sectors(&self) -> u64 {
        self.device.lock().unwrap().lost_sectors()
    }

    /// Makes a store that is on the device, whatever the server is told from then on.
    fn create(&mut self, kind: Kind, durability: &str) -> Clients {
        let mut server = self.start().unwrap();
        let clients = Clients::create(&server, kind, &mut self.random);
        assert!(server.stop().success(), "{}", server.log());
        self.setup = self.setup.clone().env("LODESTORE_DURABILITY", durability);
        clients
    }

    /// Goes through `rounds` cuts; says what was lost in the first one that lost something.
    fn run(
        &mut self,
        mut clients: Clients,
        rounds: u64,
        survival: Survival,
    ) -> Result<Outcome, Vec<String>> {
        let started = |result: Result<Server, String>| result.map_err(|why| vec![why]);
        let mut server = started(self.start())?;
        let mut sealed_rounds = 0;
        for round in 0..rounds {
            clients.load(&mut server, self.pause());
            if round % 2 == 1 {
                // What a recovery shows must not need what the crash left unsynced.
                server = started(server.start_again_at(&self.setup))?;
                clients.verify(&server)?;
                server.kill();
            }
            self.cut_power(survival);
            let check = self.check();
            server = started(server.start_again_at(&self.setup))?;
            clients.verify(&server)?;
            check?;
            sealed_rounds += u64::from(sealed_segments(&server) > 0.0);
        }
        let is_merged = clients.merge();
        assert!(server.stop().success(), "{}", server.log());
        self.cut_power(Survival::Nothing);
        self.check()?;
        server = started(server.start_again_at(&self.setup))?;
        clients.verify(&server)?;
        Ok(Outcome { clients, sealed_rounds, is_merged })
    }

    /// How long the load lasts.
    fn pause(&mut self) -> Duration {
        Duration::from_millis(self.random.below(800) as u64)
    }

    /// What an offline check finds in the store.
    fn check(&self) -> Result<(), Vec<String>> {
        let output = self.setup.run(&["check", store(self.directory.path()).to_str().unwrap()]);
        if output.status.success() {
            return Ok(());
        }
        Err([output.stdout, output.stderr].map(|words| String::from_utf8(words).unwrap()).into())
    }
}

/// What a run's clients write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Objects, and vectors beside them.
    All,
    /// Vectors alone.
    Vectors,
}

/// Those who write, and remember what they were told.
struct Clients {
    objects: Vec<Worker>,
    vectors: VectorLoad,
}

/// What came of a run that lost nothing.
struct Outcome {
    clients: Clients,
    /// Rounds after which there were sealed segments of vectors.
    sealed_rounds: u64,
    /// Whether some of them were merged.
    is_merged: bool,
}

impl Clients {
    fn create(server: &Server, kind: Kind, random: &mut Random) -> Self {
        let buckets = Buckets::create(server);
        let workers = if kind == Kind::All { WORKERS } else { 0 };
        let objects = (0..workers).map(|number| Worker::new(number, &buckets, random.next()));
        let objects = objects.collect();
        let vectors = VectorLoad::create(server, "power", VECTOR_WORKERS, random.next());
        Self { objects, vectors }
    }

    /// Lets all write for a while, and kills the server under them.
    fn load(&mut self, server: &mut Server, time: Duration) {
        self.meet(server);
        std::thread::scope(|scope| {
            for worker in &mut self.objects {
                scope.spawn(|| worker.work());
            }
            for worker in self.vectors.workers() {
                scope.spawn(|| worker.work());
            }
            std::thread::sleep(time);
            server.kill();
        });
    }

    fn meet(&mut self, server: &Server) {
        for worker in &mut self.objects {
            worker.meet(server);
        }
        self.vectors.meet(server);
    }

    /// Holds what all know against the store.
    fn verify(&mut self, server: &Server) -> Result<(), Vec<String>> {
        self.meet(server);
        let mut losses: Vec<String> = self.objects.iter_mut().flat_map(Worker::verify).collect();
        losses.extend(self.vectors.verify());
        if losses.is_empty() { Ok(()) } else { Err(losses) }
    }

    /// Writes vectors until some of their segments were merged; whether they were in time.
    fn merge(&mut self) -> bool {
        let deadline = Instant::now() + MERGE_MAX;
        while !self.vectors.has_merged() && Instant::now() < deadline {
            self.vectors.go_on();
        }
        self.vectors.has_merged()
    }
}

fn sealed_segments(server: &Server) -> f64 {
    server.metric("lodestore_vector_sealed_segments").unwrap_or(0.0)
}

impl Server {
    /// The same set-up once more; this one is dead.
    fn start_again_at(mut self, setup: &Setup) -> Result<Self, String> {
        assert!(!self.is_running(), "the server still runs");
        setup.clone().try_start()
    }
}

/// The data directory: below the top, so that the server makes directories on the device.
fn store(mount: &Path) -> PathBuf {
    mount.join("srv/store")
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect(variable))
}

#[test]
fn acknowledged_writes_survive_power_cuts() {
    let rounds = number("LODESTORE_POWERCUT_ROUNDS").unwrap_or(5);
    let seed = number("LODESTORE_POWERCUT_SEED").unwrap_or_else(|| std::process::id().into());
    println!("LODESTORE_POWERCUT_SEED={seed}");
    let Some(mut rig) = Rig::new(seed) else { return };
    let clients = rig.create(Kind::All, "sync");
    let outcome = rig.run(clients, rounds, Survival::Chance);
    let outcome = outcome.unwrap_or_else(|losses| panic!("{}", losses.join("\n")));
    let Outcome { clients: Clients { objects, vectors }, sealed_rounds, is_merged } = outcome;
    let acknowledged: u64 = objects.iter().map(Worker::acknowledged).sum();
    println!(
        "{acknowledged} writes of objects and {} of vectors acknowledged, {} sectors lost, sealed \
         segments after {sealed_rounds} of {rounds} rounds",
        vectors.acknowledged(),
        rig.lost_sectors()
    );
    assert!(acknowledged > rounds * 20, "{acknowledged} acknowledged writes are no load");
    assert!(vectors.acknowledged() > rounds * 5, "{} are no load", vectors.acknowledged());
    assert!(sealed_rounds > 0, "no segment was sealed");
    assert!(is_merged, "no segments were merged");
}

#[test]
fn a_new_store_is_there_as_soon_as_it_answers() {
    let Some(mut rig) = Rig::new(1) else { return };
    let mut server = rig.start().unwrap();
    let bucket = Bucket::create(&server.client(), "first");
    bucket.store("key", "content");
    server.kill();
    rig.cut_power(Survival::Nothing);
    let server = rig.start().unwrap();
    let bucket = Bucket { client: server.client(), name: bucket.name };
    assert_eq!(bucket.content("key"), b"content");
}

#[test]
fn a_server_that_does_not_sync_is_caught() {
    // Where nothing survives, the store is whole and old: the clients have to notice.
    for (kind, survival, expected) in [
        (Kind::All, Survival::Chance, ""),
        (Kind::All, Survival::Nothing, "worker0/key"),
        (Kind::Vectors, Survival::Nothing, "vectors of euclidean: of "),
    ] {
        let Some(mut rig) = Rig::new(1) else { return };
        let clients = rig.create(kind, "none");
        let losses = rig.run(clients, 20, survival).err().expect("nothing was lost without syncs");
        println!("caught after {} lost sectors: {}", rig.lost_sectors(), losses.join("\n"));
        assert!(losses.iter().any(|loss| loss.starts_with(expected)), "no {expected:?} is told");
    }
}
