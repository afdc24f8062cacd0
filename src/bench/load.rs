//! Workers on threads until a budget is used up, with a line of progress each second.
//!
//! A thread runs its share of the workers on a runtime of its own: a connection never moves between
//! processors, and no thread waits for another one's work.

use std::io::{IsTerminal, Write as _};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::BenchError;
use super::options::Operation;
use super::plan::Plan;
use super::recorder::Recorder;
use super::worker::Worker;
use crate::http_client::Failure;

/// A worker whose connection broke waits before the next try, so as not to spin.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
const MIB: f64 = 1024.0 * 1024.0;

/// A number of workers that can run one operation after the other.
pub(super) struct Load {
    plan: Arc<Plan>,
    workers: u32,
    threads: u32,
}

/// How much to do: a number of operations, a time, or whichever ends first.
pub(super) struct Budget {
    count: Option<u64>,
    duration: Option<Duration>,
    start: OnceLock<Instant>,
    turns: AtomicU64,
}

/// What a load did.
pub(super) struct Outcome {
    pub(super) elapsed: Duration,
    /// Processor time of this process meanwhile.
    pub(super) cpu: Duration,
    pub(super) recorder: Recorder,
}

/// What has been done so far.
#[derive(Default)]
struct Progress {
    operations: AtomicU64,
    bytes: AtomicU64,
    errors: AtomicU64,
}

/// What the threads of one load share.
struct Shared {
    plan: Arc<Plan>,
    operation: Operation,
    budget: Arc<Budget>,
    progress: Progress,
    /// Passed when every connection is made.
    ready: Barrier,
}

impl Budget {
    pub(super) fn new(count: Option<u64>, duration: Option<Duration>) -> Self {
        Self { count, duration, start: OnceLock::new(), turns: AtomicU64::new(0) }
    }

    /// Operations that were begun.
    pub(super) fn turns(&self) -> u64 {
        let turns = self.turns.load(Relaxed);
        self.count.map_or(turns, |count| turns.min(count))
    }

    /// Starts the clock, once.
    fn start(&self) -> Instant {
        *self.start.get_or_init(Instant::now)
    }

    /// The number of the next operation: none when the budget is used up.
    fn take(&self, now: Instant) -> Option<u64> {
        if self.duration.is_some_and(|duration| now >= self.start() + duration) {
            return None;
        }
        let turn = self.turns.fetch_add(1, Relaxed);
        self.count.is_none_or(|count| turn < count).then_some(turn)
    }
}

impl Load {
    pub(super) fn new(plan: Arc<Plan>, workers: u32, threads: Option<u32>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let half = u32::try_from(processors / 2).unwrap_or(1).max(1);
        Self { plan, workers, threads: threads.unwrap_or(half).min(workers) }
    }

    /// Threads of the client.
    pub(super) fn threads(&self) -> u32 {
        self.threads
    }

    /// Makes the bucket when it is missing.
    pub(super) fn make_bucket(&self) -> Result<(), BenchError> {
        let made = runtime()?.block_on(async {
            let mut worker = Worker::new(Arc::clone(&self.plan), 0)?;
            worker.make_bucket().await
        });
        made.map_err(|failure| {
            let Plan { target, bucket_path, .. } = &*self.plan;
            let bucket = bucket_path.trim_start_matches('/');
            BenchError::new(format!(
                "bucket `{bucket}` at {}: {failure}",
                target.endpoint.authority
            ))
        })
    }

    /// Runs `operation` until `budget` is used up.
    pub(super) fn run(
        &self,
        operation: Operation,
        budget: &Arc<Budget>,
    ) -> Result<Outcome, BenchError> {
        self.run_quietly(operation.name(), operation, budget)
    }

    /// Like [`Load::run`], with another word for it in the progress.
    pub(super) fn run_quietly(
        &self,
        label: &str,
        operation: Operation,
        budget: &Arc<Budget>,
    ) -> Result<Outcome, BenchError> {
        let shared = Arc::new(Shared {
            plan: Arc::clone(&self.plan),
            operation,
            budget: Arc::clone(budget),
            progress: Progress::default(),
            ready: Barrier::new(self.threads as usize + 1),
        });
        let threads: Vec<_> = (0..self.threads)
            .map(|thread| {
                let shared = Arc::clone(&shared);
                let numbers = (thread..self.workers).step_by(self.threads as usize);
                std::thread::spawn(move || work(&shared, numbers.collect()))
            })
            .collect();
        shared.ready.wait();
        let start = budget.start();
        let cpu_start = processor_time();
        watch(label, &threads, &shared.progress, start);
        let (elapsed, cpu) = (start.elapsed(), processor_time().saturating_sub(cpu_start));
        let mut recorder = Recorder::default();
        for thread in threads {
            let result = thread.join().map_err(|_| BenchError::new("a thread of the load died"))?;
            recorder.merge(result?);
        }
        Ok(Outcome { elapsed, cpu, recorder })
    }
}

/// Prints a line a second until every thread has ended.
fn watch<T>(label: &str, threads: &[JoinHandle<T>], progress: &Progress, start: Instant) {
    let is_terminal = std::io::stderr().is_terminal();
    let (mut last, mut last_operations, mut last_bytes) = (start, 0, 0);
    let mut printed = false;
    while threads.iter().any(|thread| !thread.is_finished()) {
        // Short at first, so that a run of a few milliseconds is not rounded up.
        let pause =
            (start.elapsed() / 50).clamp(Duration::from_micros(200), Duration::from_millis(20));
        std::thread::sleep(pause);
        let seconds = last.elapsed().as_secs_f64();
        if last.elapsed() < PROGRESS_EVERY {
            continue;
        }
        let operations = progress.operations.load(Relaxed);
        let bytes = progress.bytes.load(Relaxed);
        let line = format!(
            "{label} {:>4} s  {operations:>10} done  {:>9.0} ops/s  {:>8.1} MiB/s  {} errors",
            start.elapsed().as_secs(),
            (operations - last_operations) as f64 / seconds,
            (bytes - last_bytes) as f64 / MIB / seconds,
            progress.errors.load(Relaxed),
        );
        // Progress that nobody can read is no reason to stop.
        let _unread = match is_terminal {
            true => write!(std::io::stderr(), "\r{line}\x1b[K"),
            false => writeln!(std::io::stderr(), "{line}"),
        };
        (last, last_operations, last_bytes) = (Instant::now(), operations, bytes);
        printed = true;
    }
    if is_terminal && printed {
        let _unread = writeln!(std::io::stderr());
    }
}

/// One thread: connects its workers, waits for the others, works.
fn work(shared: &Arc<Shared>, numbers: Vec<u32>) -> Result<Recorder, BenchError> {
    let connected = runtime().and_then(|runtime| {
        let workers = runtime.block_on(connect(shared, &numbers))?;
        Ok((runtime, workers))
    });
    // Also after a failure: the others wait.
    shared.ready.wait();
    let (runtime, workers) = connected?;
    runtime.block_on(async {
        let tasks: Vec<_> = workers
            .into_iter()
            .map(|worker| tokio::spawn(drive(Arc::clone(shared), worker)))
            .collect();
        let mut recorder = Recorder::default();
        for task in tasks {
            recorder.merge(task.await.map_err(|error| BenchError::new(error.to_string()))?);
        }
        Ok(recorder)
    })
}

async fn connect(shared: &Shared, numbers: &[u32]) -> Result<Vec<Worker>, BenchError> {
    let fail = |failure: Failure| {
        BenchError::new(format!("{}: {failure}", shared.plan.target.endpoint.authority))
    };
    let mut workers = Vec::with_capacity(numbers.len());
    for number in numbers {
        let mut worker = Worker::new(Arc::clone(&shared.plan), u64::from(*number)).map_err(fail)?;
        worker.connect().await.map_err(fail)?;
        workers.push(worker);
    }
    Ok(workers)
}

async fn drive(shared: Arc<Shared>, mut worker: Worker) -> Recorder {
    let mut recorder = Recorder::default();
    let progress = &shared.progress;
    let mut start = Instant::now();
    while let Some(turn) = shared.budget.take(start) {
        let (verb, result) = worker.step(shared.operation, turn).await;
        let end = Instant::now();
        recorder.record(verb, end - start, &result);
        start = end;
        match result {
            Ok(done) => {
                progress.operations.fetch_add(1, Relaxed);
                progress.bytes.fetch_add(done.bytes, Relaxed);
            }
            Err(failure) => {
                progress.errors.fetch_add(1, Relaxed);
                if matches!(failure, Failure::Connection(_)) {
                    tokio::time::sleep(RETRY_PAUSE).await;
                    start = Instant::now();
                }
            }
        }
    }
    recorder
}

fn runtime() -> Result<tokio::runtime::Runtime, BenchError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| BenchError::new(format!("runtime: {error}")))
}

/// Processor time that this process has used.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_ends_by_count_or_by_time() {
        let budget = Budget::new(Some(2), None);
        let now = Instant::now();
        assert_eq!([budget.take(now), budget.take(now)], [Some(0), Some(1)]);
        assert_eq!(budget.take(now), None);
        assert_eq!(budget.turns(), 2);

        let budget = Budget::new(None, Some(Duration::from_secs(1)));
        let start = budget.start();
        assert_eq!(budget.take(start), Some(0));
        assert_eq!(budget.take(start + Duration::from_secs(2)), None);
    }

    #[test]
    fn processor_time_goes_on() {
        let before = processor_time();
        let mut sum = 0u64;
        while processor_time() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(processor_time() > before);
    }
}
