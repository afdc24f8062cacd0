//! The engine's threads: the lane, the data sync beside it, the keeper. Where the environment has no
//! threads, each does its work on the caller's.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use super::Inner;
use crate::error::{Error, Result};
use crate::lane::StopOnPanic;
use crate::queue::Linger;
use crate::zone::Zone;

/// Zones to sync, and whom to tell.
pub(super) type DataSyncRequest = (Vec<Arc<Zone>>, mpsc::Sender<Result<()>>);

/// Answers what waits for the lane when it has ended, however that came.
struct LaneEnd<'a>(&'a Inner);

impl Drop for LaneEnd<'_> {
    fn drop(&mut self) {
        let reason = self.0.stopped().unwrap_or_else(|| "the engine is closed".to_owned());
        self.0.queue.abandon(&reason);
    }
}

impl Inner {
    /// Starts the lane, the data sync beside it and the keeper, unless all work is done inline.
    pub(super) fn start_threads(self: &Arc<Self>) -> Result<()> {
        if self.environment.is_inline() {
            return Ok(());
        }
        let io = |source| Error::io("starting a thread", source);
        let (requests, incoming) = mpsc::channel::<DataSyncRequest>();
        *self.data_sync.lock() = Some(requests);
        let mut threads = self.threads.lock();
        let inner = Arc::clone(self);
        threads.push(
            self.environment
                .spawn(
                    "lodestore-sync",
                    Box::new(move || {
                        for (zones, done) in incoming {
                            let result = zones.iter().try_for_each(|zone| inner.zones.sync(zone));
                            // The lane waits for it unless it failed itself.
                            drop(done.send(result));
                        }
                    }),
                )
                .map_err(io)?,
        );
        let inner = Arc::clone(self);
        let lane = Box::new(move || inner.run_lane());
        threads.push(self.environment.spawn("lodestore-lane", lane).map_err(io)?);
        if self.options.background {
            let inner = Arc::clone(self);
            let keeper = Box::new(move || inner.run_keeper());
            threads.push(self.environment.spawn("lodestore-keeper", keeper).map_err(io)?);
        }
        Ok(())
    }

    /// Syncs data zones beside the journal; without threads, at once.
    pub(crate) fn start_data_sync(
        &self,
        zones: Vec<Arc<Zone>>,
    ) -> Result<Option<mpsc::Receiver<Result<()>>>> {
        let lane = self.data_sync.lock().clone();
        let Some(requests) = lane else {
            zones.iter().try_for_each(|zone| self.zones.sync(zone))?;
            return Ok(None);
        };
        let (done, result) = mpsc::channel();
        requests
            .send((zones, done))
            .map_err(|_| Error::Stopped { reason: "the data sync thread is gone".to_owned() })?;
        Ok(Some(result))
    }

    fn run_lane(&self) {
        let _end = LaneEnd(self);
        let _guard = StopOnPanic(self);
        let mut deferred = Vec::new();
        let mut linger = Linger {
            environment: self.environment.as_ref(),
            company: 1,
            at_most: Duration::from_micros(self.options.linger_us),
        };
        while let Some(group) = self.queue.take(deferred, &linger) {
            linger.company = (linger.company * 3 / 4).max(group.len());
            deferred = self.lane.lock().run(self, group);
        }
    }

    /// Waits for every thread; the queue is closed. Stops the engine when one of them panicked.
    pub(super) fn join_threads(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        drop(self.data_sync.lock().take());
        let mut panicked = false;
        for thread in threads {
            panicked |= thread.join().is_err();
        }
        if panicked {
            self.stop("an engine thread panicked".to_owned());
        }
    }
}
