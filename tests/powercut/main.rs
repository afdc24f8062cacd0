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
use std::time::Duration;

use device::{Device, Survival};
use load::{Buckets, Worker};
use mount::Mount;
use support::fixture::Random;
use support::{Bucket, Server, Setup};

const CAPACITY_BYTES: u64 = 1 << 30;
const WORKERS: usize = 4;

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
    fn new(durability: &str, seed: u64) -> Option<Self> {
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
            .env("LODESTORE_DURABILITY", durability)
            .env("LODESTORE_ZONE_BYTES", "8MiB")
            .env("LODESTORE_CHECKPOINT_BYTES", "2MiB")
            .env("LODESTORE_CAPACITY_BYTES", "256MiB")
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

    /// Goes through `rounds` cuts; says what was lost in the first one that lost something.
    fn run(&mut self, rounds: u64) -> Result<Vec<Worker>, Vec<String>> {
        let started = |result: Result<Server, String>| result.map_err(|why| vec![why]);
        let mut server = started(self.start())?;
        let buckets = Buckets::create(&server);
        let mut workers: Vec<Worker> =
            (0..WORKERS).map(|number| Worker::new(number, &buckets, self.random.next())).collect();
        for round in 0..rounds {
            load(&mut server, &mut workers, self.pause());
            if round % 2 == 1 {
                // What a recovery shows must not need what the crash left unsynced.
                server = started(server.start_again_at(&self.setup))?;
                verify(&server, &mut workers)?;
                server.kill();
            }
            self.cut_power(Survival::Chance);
            server = started(server.start_again_at(&self.setup))?;
            verify(&server, &mut workers)?;
        }
        assert!(server.stop().success(), "{}", server.log());
        self.cut_power(Survival::Nothing);
        self.check();
        server = started(server.start_again_at(&self.setup))?;
        verify(&server, &mut workers)?;
        Ok(workers)
    }

    /// How long the load lasts.
    fn pause(&mut self) -> Duration {
        Duration::from_millis(self.random.below(800) as u64)
    }

    /// The store verifies offline.
    fn check(&self) {
        let output = self.setup.run(&["check", store(self.directory.path()).to_str().unwrap()]);
        let (words, errors) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
        assert!(output.status.success(), "{}{errors}", String::from_utf8_lossy(&words));
    }
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

/// Lets the workers write for a while, and kills the server under them.
fn load(server: &mut Server, workers: &mut [Worker], time: Duration) {
    for worker in &mut *workers {
        worker.meet(server);
    }
    std::thread::scope(|scope| {
        for worker in workers {
            scope.spawn(|| worker.work());
        }
        std::thread::sleep(time);
        server.kill();
    });
}

fn verify(server: &Server, workers: &mut [Worker]) -> Result<(), Vec<String>> {
    let mut losses = Vec::new();
    for worker in workers {
        worker.meet(server);
        losses.extend(worker.verify());
    }
    if losses.is_empty() { Ok(()) } else { Err(losses) }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect(variable))
}

#[test]
fn acknowledged_writes_survive_power_cuts() {
    let rounds = number("LODESTORE_POWERCUT_ROUNDS").unwrap_or(5);
    let seed = number("LODESTORE_POWERCUT_SEED").unwrap_or_else(|| std::process::id().into());
    println!("LODESTORE_POWERCUT_SEED={seed}");
    let Some(mut rig) = Rig::new("sync", seed) else { return };
    let workers = rig.run(rounds).unwrap_or_else(|losses| panic!("{}", losses.join("\n")));
    let acknowledged: u64 = workers.iter().map(Worker::acknowledged).sum();
    println!("{acknowledged} writes acknowledged, {} sectors lost", rig.lost_sectors());
    assert!(acknowledged > rounds * 20, "{acknowledged} acknowledged writes are no load");
}

#[test]
fn a_new_store_is_there_as_soon_as_it_answers() {
    let Some(mut rig) = Rig::new("sync", 1) else { return };
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
    let Some(mut rig) = Rig::new("none", 1) else { return };
    let losses = rig.run(20).expect_err("nothing was lost without syncs");
    println!("caught after {} lost sectors: {}", rig.lost_sectors(), losses.join("\n"));
}
