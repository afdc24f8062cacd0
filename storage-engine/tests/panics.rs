//! A lane that panics: everybody who waits is answered, and nothing is taken any more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::executor::block_on;
use parking_lot::{Condvar, Mutex};
use storage_engine::media::{Media, SimMedia};
use storage_engine::*;

use crate::subject::{master, open_on, options, sim_options};

/// How far the planted panic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trap {
    Unset,
    /// The next to ask for the time on the lane waits.
    Set,
    /// It waits.
    Entered,
    /// It panics.
    Sprung,
}

/// The machine's environment, in which asking for the time panics when a test says so.
struct Trapped {
    system: SystemEnvironment,
    is_inline: bool,
    trap: Mutex<Trap>,
    changed: Condvar,
}

impl Trapped {
    fn new(is_inline: bool) -> Arc<Self> {
        let system = SystemEnvironment::new(None);
        Arc::new(Self { system, is_inline, trap: Mutex::new(Trap::Unset), changed: Condvar::new() })
    }

    fn set(&self, to: Trap) {
        *self.trap.lock() = to;
        self.changed.notify_all();
    }

    fn wait_for(&self, wanted: Trap) {
        let mut trap = self.trap.lock();
        self.changed.wait_while(&mut trap, |trap| *trap != wanted);
    }
}

impl Environment for Trapped {
    fn now_ms(&self) -> u64 {
        let is_set = *self.trap.lock() != Trap::Unset;
        if is_set && (self.is_inline || std::thread::current().name() == Some("lodestore-lane")) {
            self.set(if self.is_inline { Trap::Sprung } else { Trap::Entered });
            self.wait_for(Trap::Sprung);
            panic!("planted");
        }
        self.system.now_ms()
    }

    fn monotonic(&self) -> Duration {
        self.system.monotonic()
    }

    fn fill_random(&self, out: &mut [u8]) {
        self.system.fill_random(out);
    }

    fn is_inline(&self) -> bool {
        self.is_inline
    }

    fn spawn(&self, name: &str, job: Job) -> std::io::Result<std::thread::JoinHandle<()>> {
        self.system.spawn(name, job)
    }

    fn run_beside<'a>(
        &self,
        name: &str,
        beside: Box<dyn FnOnce() + Send + 'a>,
        here: Box<dyn FnOnce() + 'a>,
    ) -> std::io::Result<()> {
        self.system.run_beside(name, beside, here)
    }

    fn run_blocking(&self, job: Job) {
        self.system.run_blocking(job);
    }

    fn sleep(&self, duration: Duration) {
        self.system.sleep(duration);
    }
}

fn open(environment: &Arc<Trapped>, media: &Arc<SimMedia>) -> Engine {
    let environment = Arc::clone(environment) as Arc<dyn Environment>;
    let media = Arc::clone(media) as Arc<dyn Media>;
    Engine::open(environment, media, master(), options()).unwrap()
}

fn marker(name: &'static str) -> Batch {
    let name = Bytes::from_static(name.as_bytes());
    let (keep, content) = (Keep::All, Content::Marker);
    let put = Put { space: ROOT_SPACE, name, keep, content, lock: None };
    Batch { conditions: vec![], operations: vec![Operation::Put(put)] }
}

/// The answer of a commit, which must come soon.
fn soon(mut commit: impl Future<Output = Result<Vec<Outcome>>> + Unpin) -> Result<Vec<Outcome>> {
    for _ in 0..2_000 {
        if let Some(answer) = (&mut commit).now_or_never() {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("a commit was never answered");
}

fn is_stopped<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(Error::Stopped { .. }))
}

/// What was acknowledged before the panic is there afterwards, and nothing else is.
fn assert_holds_only_the_first(media: &SimMedia) {
    let environment = Arc::new(media::SimEnvironment::new(1));
    let engine = open_on(&environment, Arc::new(media.restart())).unwrap();
    for (name, is_there) in [("before", true), ("during", false), ("behind", false)] {
        let newest = engine.newest(ROOT_SPACE, name.as_bytes()).unwrap();
        assert_eq!(newest.is_some(), is_there, "{name}");
    }
}

#[test]
fn a_panic_of_the_lane_answers_all_that_wait_and_all_that_come_later() {
    let environment = Trapped::new(false);
    let media = Arc::new(SimMedia::new(&sim_options(1)));
    let engine = open(&environment, &media);
    block_on(engine.commit(marker("before"))).unwrap();
    environment.set(Trap::Set);
    let mut during = pin!(engine.commit(marker("during")));
    assert!((&mut during).now_or_never().is_none());
    environment.wait_for(Trap::Entered);
    // The lane has a group in hand; these are behind it.
    let mut behind: Vec<_> = (0..3).map(|_| Box::pin(engine.commit(marker("behind")))).collect();
    for commit in &mut behind {
        assert!(commit.now_or_never().is_none());
    }
    environment.set(Trap::Sprung);
    assert!(is_stopped(&soon(during)));
    for commit in behind {
        let answer = soon(commit);
        assert!(is_stopped(&answer), "{answer:?}");
    }
    environment.set(Trap::Unset);
    assert!(is_stopped(&soon(Box::pin(engine.commit(marker("behind"))))));
    assert_eq!(engine.stats().stopped.as_deref(), Some("the commit lane panicked"));
    assert!(is_stopped(&engine.maintain()));
    assert!(is_stopped(&engine.checkpoint()));
    assert!(is_stopped(&block_on(engine.close())));
    assert_holds_only_the_first(&media);
}

#[test]
fn a_panic_where_the_caller_is_the_lane_stops_the_engine() {
    let environment = Trapped::new(true);
    let media = Arc::new(SimMedia::new(&sim_options(1)));
    let engine = open(&environment, &media);
    block_on(engine.commit(marker("before"))).unwrap();
    environment.set(Trap::Set);
    let commit = AssertUnwindSafe(|| block_on(engine.commit(marker("during"))));
    assert!(catch_unwind(commit).is_err());
    environment.set(Trap::Unset);
    assert!(is_stopped(&block_on(engine.commit(marker("behind")))));
    assert!(is_stopped(&block_on(engine.close())));
    assert_holds_only_the_first(&media);
}
