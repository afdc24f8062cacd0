//! How long a store takes to open after a kill: names in a checkpoint, records behind it.
//!
//! `cargo run --release -p storage-engine --example recovery -- DIRECTORY [SCALE]` fills a store for
//! each case (a process that aborts), opens it in a fresh process some times, and prints one line an
//! opening. SCALE (1) multiplies every count. The variable `CASE` names the one case to measure, with
//! `KEEP` the stores stay, for the next time and for a profile of `recovery open STORE`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use storage_engine::media::{FileMedia, FileMediaOptions};
use storage_engine::{
    Batch, Bypass, Content, Engine, Environment, Keep, Operation, Options, PlainMasterKey, Put,
    Remove, SpaceId, Stamp, SystemEnvironment, Which,
};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const OPENS: usize = 3;
const FOLDERS: u64 = 1000;
const BATCHES_TOGETHER: u64 = 4096;
const VALUE: [u8; 100] = [7; 100];
const META: &[u8] = b"content-type: application/octet-stream";

/// What lies in the store when it is killed.
struct Case {
    name: &'static str,
    /// Names that the checkpoint holds.
    kept: u64,
    /// Names put for the first time behind it.
    new: u64,
    /// Names of the checkpoint put again behind it.
    again: u64,
    /// Names of the checkpoint removed behind it.
    removed: u64,
    /// What a new version of a name does to those there are.
    keep: Keep,
}

const EMPTY: Case = Case { name: "empty", kept: 0, new: 0, again: 0, removed: 0, keep: Keep::Null };
const CASES: [Case; 6] = [
    Case { name: "checkpoint", kept: 1_000_000, ..EMPTY },
    Case { name: "mixed", kept: 1_000_000, new: 334_000, ..EMPTY },
    Case { name: "tail", new: 1_000_000, ..EMPTY },
    Case { name: "overwrites", kept: 1_000_000, again: 1_000_000, ..EMPTY },
    Case { name: "versions", kept: 1_000_000, again: 500_000, keep: Keep::All, ..EMPTY },
    Case { name: "removals", kept: 1_000_000, removed: 1_000_000, ..EMPTY },
];

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["fill", directory, case, scale] => fill(Path::new(directory), case, scale.parse()?),
        ["open", directory] => open(Path::new(directory)),
        [directory] => measure(Path::new(directory), "1"),
        [directory, scale] => measure(Path::new(directory), scale),
        _ => Err("usage: recovery DIRECTORY [SCALE]".into()),
    }
}

fn measure(directory: &Path, scale: &str) -> Outcome<()> {
    let only = std::env::var("CASE").ok();
    let keep = std::env::var_os("KEEP").is_some();
    for case in CASES.iter().filter(|case| only.as_ref().is_none_or(|only| only == case.name)) {
        let store = directory.join(format!("recovery-{}", case.name));
        let program = std::env::current_exe()?;
        if !store.exists() {
            // It ends by an abort, like a kill.
            Command::new(&program).arg("fill").arg(&store).args([case.name, scale]).status()?;
        }
        for _ in 0..OPENS {
            let opened = Command::new(&program).arg("open").arg(&store).output()?;
            let text = String::from_utf8_lossy(&opened.stdout);
            print!("{:>12}: {text}{}", case.name, String::from_utf8_lossy(&opened.stderr));
        }
        if !keep {
            std::fs::remove_dir_all(&store)?;
        }
    }
    Ok(())
}

fn engine(directory: &Path) -> Outcome<Engine> {
    let media = FileMedia::open(&FileMediaOptions::new(PathBuf::from(directory)))?;
    let options = Options { background: false, ..Options::default() };
    let environment = Arc::new(SystemEnvironment::new(None));
    let master = Arc::new(PlainMasterKey::new([9; 32]));
    Ok(Engine::open(environment, Arc::new(media), master, options)?)
}

fn fill(directory: &Path, case: &str, scale: f64) -> Outcome<()> {
    let case = CASES.iter().find(|held| held.name == case).ok_or("no such case")?;
    std::fs::create_dir_all(directory)?;
    let engine = engine(directory)?;
    let space = engine.reserve_space();
    let make = Batch { operations: vec![Operation::CreateSpace(space)], ..Batch::default() };
    futures::executor::block_on(engine.commit(make))?;
    let scaled = |count: u64| (count as f64 * scale) as u64;
    let (kept, new) = (scaled(case.kept), scaled(case.new));
    let filler = Filler { engine: &engine, space, keep: case.keep };
    filler.commit(0..kept, &|name| filler.put(name))?;
    if kept > 0 {
        engine.checkpoint()?;
    }
    filler.commit(kept..kept + new, &|name| filler.put(name))?;
    filler.commit(0..scaled(case.again), &|name| filler.put(name))?;
    filler.commit(0..scaled(case.removed), &|name| filler.remove(name))?;
    std::process::abort();
}

struct Filler<'a> {
    engine: &'a Engine,
    space: SpaceId,
    keep: Keep,
}

impl Filler<'_> {
    fn commit(
        &self,
        names: std::ops::Range<u64>,
        operation: &dyn Fn(u64) -> Outcome<Operation>,
    ) -> Outcome<()> {
        let mut at = names.start;
        while at < names.end {
            let end = names.end.min(at + BATCHES_TOGETHER);
            let mut batches = Vec::new();
            for name in at..end {
                batches.push(Batch { operations: vec![operation(name)?], ..Batch::default() });
            }
            for result in futures::executor::block_on(self.engine.commit_all(batches)) {
                result?;
            }
            at = end;
        }
        Ok(())
    }

    fn put(&self, name: u64) -> Outcome<Operation> {
        let content = Content::Value {
            value: self.engine.seal_small(self.space, &VALUE)?,
            meta: Bytes::from_static(META),
            stamp: Stamp { digest: u128::from(name).to_be_bytes(), parts: 0 },
            label: 1,
        };
        let (space, keep) = (self.space, self.keep);
        Ok(Operation::Put(Put { space, name: name_of(name), keep, content, lock: None }))
    }

    fn remove(&self, name: u64) -> Outcome<Operation> {
        let (space, name) = (self.space, name_of(name));
        let (which, bypass) = (Which::Null, Bypass::None);
        Ok(Operation::Remove(Remove { space, name, which, bypass }))
    }
}

/// Names as the server's own bench makes them, in an order that is not theirs.
fn name_of(index: u64) -> Bytes {
    Bytes::from(format!("bench/{:06}/{index:012}", index % FOLDERS))
}

fn open(directory: &Path) -> Outcome<()> {
    let environment = SystemEnvironment::new(None);
    let engine = engine(directory)?;
    let wall = environment.monotonic().as_secs_f64();
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    let stats = engine.stats();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let memory = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.map_or("?", str::trim).to_owned()
    };
    println!(
        "open {wall:.3} s, of it engine {:.3} s; {cpu:.3} s of processor; {} records in {} MiB of \
         tail, {} names, {} older versions; resident {}, at most {}",
        stats.recovery_ms as f64 / 1e3,
        stats.recovery_records,
        stats.journal_tail_bytes >> 20,
        stats.current_entries,
        stats.history_entries,
        memory("VmRSS:"),
        memory("VmHWM:"),
    );
    std::process::abort();
}
