//! The threads that hash, and a stream's side of them.
//!
//! - A panic on a thread loses all streams that are open then, and no more: each one's end is
//!   [`StreamLost`], and the thread goes on with those that come after.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::StreamLost;
use super::board::{Board, StreamId};
use super::chain::Chain;
use super::lanes::Kernel;

/// Bytes of a stream that may wait: enough that it does not stop while others are hashed. What is
/// handed over at once comes on top.
const QUEUED_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of all streams that may wait. Where there are so many that it would be more, each has less.
/// What they hold is up to three times that: a piece keeps the whole buffer that it was read into.
const ALL_QUEUED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Threads that advance the streams of all tasks together. They live as long as the process.
#[derive(Debug, Clone)]
pub struct LaneServer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    kernel: Kernel,
    board: Mutex<Board>,
    /// Signalled when a round may be due.
    due: Condvar,
    members: AtomicUsize,
}

/// Who has streams for a server, and so a share of the memory of what waits.
#[derive(Debug)]
pub(super) struct Member {
    server: LaneServer,
}

/// One stream on the lanes. Dropped, it is forgotten.
#[derive(Debug)]
pub(super) struct LaneStream {
    shared: Arc<Shared>,
    id: StreamId,
}

impl LaneServer {
    /// Starts `threads` threads; fails when there is not even one.
    pub fn start(kernel: Kernel, threads: usize) -> std::io::Result<Self> {
        let (board, due) = (Mutex::new(Board::default()), Condvar::new());
        let members = AtomicUsize::new(0);
        let shared = Arc::new(Shared { kernel, board, due, members });
        for number in 0..threads.max(1) {
            let served = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(format!("md5-{number}"));
            match thread.spawn(move || served.keep_serving()) {
                Err(error) if number == 0 => return Err(error),
                Err(error) => tracing::warn!(%error, number, "fewer threads for MD5"),
                Ok(_) => {}
            }
        }
        Ok(Self { shared })
    }

    /// One more who has streams.
    pub(super) fn join(&self) -> Member {
        self.shared.members.fetch_add(1, Ordering::Relaxed);
        Member { server: self.clone() }
    }

    /// Takes over a stream.
    pub(super) fn stream(&self, chain: Chain) -> LaneStream {
        let id = self.shared.board.lock().open(chain);
        LaneStream { shared: Arc::clone(&self.shared), id }
    }
}

impl Member {
    /// Takes over a stream.
    pub(super) fn stream(&self, chain: Chain) -> LaneStream {
        self.server.stream(chain)
    }

    /// Bytes that may wait, of as many as there are now.
    pub(super) fn share_bytes(&self) -> usize {
        let members = self.server.shared.members.load(Ordering::Relaxed).max(1);
        (ALL_QUEUED_BYTES_MAX / members).min(QUEUED_BYTES_MAX)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.server.shared.members.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn keep_serving(&self) -> Infallible {
        loop {
            let Err(_) = catch_unwind(AssertUnwindSafe(|| self.serve()));
            tracing::error!("a thread of MD5 panicked; the uploads that were being hashed fail");
            // What the panic left behind is not looked at.
            let waiting = self.board.lock().lose_all();
            waiting.into_iter().for_each(std::task::Waker::wake);
        }
    }

    fn serve(&self) -> Infallible {
        let lanes = self.kernel.lanes();
        let mut board = self.board.lock();
        loop {
            while !board.is_due(lanes) {
                self.due.wait(&mut board);
            }
            let mut round = board.begin(lanes);
            if board.is_due(lanes) {
                self.due.notify_one();
            }
            drop(board);
            round.run(self.kernel);
            board = self.board.lock();
            let woken = board.end(round);
            if !woken.is_empty() {
                drop(board);
                woken.into_iter().for_each(std::task::Waker::wake);
                board = self.board.lock();
            }
        }
    }

    /// Changes the board and wakes a thread when that made a round due.
    fn change<R>(&self, change: impl FnOnce(&mut Board) -> R) -> R {
        let mut board = self.board.lock();
        let result = change(&mut board);
        if board.is_due(self.kernel.lanes()) {
            self.due.notify_one();
        }
        result
    }
}

impl LaneStream {
    /// Waits until more bytes may be handed over: no more than so many wait.
    pub(super) async fn room(&self, queued_bytes_max: usize) {
        self.down_to(queued_bytes_max).await;
    }

    /// Hands over bytes; leaves `segments` empty.
    pub(super) fn hand_over(&self, segments: &mut Vec<Bytes>) {
        self.shared.change(|board| board.add(self.id, segments.drain(..)));
    }

    /// Waits until all bytes are hashed and gives the chain back.
    pub(super) async fn finish(self) -> Result<Chain, StreamLost> {
        self.down_to(0).await;
        self.shared.change(|board| board.close(self.id)).ok_or(StreamLost)
    }

    async fn down_to(&self, queued_bytes_max: usize) {
        poll_fn(|context| {
            let waker = context.waker();
            match self.shared.change(|board| board.is_down_to(self.id, queued_bytes_max, waker)) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

impl Drop for LaneStream {
    fn drop(&mut self) {
        self.shared.change(|board| board.close(self.id));
    }
}
