//! Answers on their way out of a connection, and whether anything of them is taken.
//!
//! The kernel notices a peer that acknowledges nothing, but not one that takes a byte an hour, nor an
//! HTTP/2 peer that gives no window: each would keep its place among the requests worked on at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The answers of a connection. Its twins share them.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    open: AtomicUsize,
    /// Pieces of answers that went, and answers that ended.
    moves: AtomicU64,
}

/// An answer on its way; it ends with the value.
#[derive(Debug)]
pub struct Answer {
    outgoing: Outgoing,
}

impl Outgoing {
    /// One more answer.
    pub fn begin(&self) -> Answer {
        self.shared.open.fetch_add(1, Ordering::Relaxed);
        Answer { outgoing: self.clone() }
    }

    /// Ends when there were answers and nothing of any was taken for all of a `window`, at the latest
    /// after two.
    pub async fn stalled(&self, window: Duration) {
        let mut seen = None;
        while !self.look(&mut seen) {
            tokio::time::sleep(window).await;
        }
    }

    /// True when there are answers, as there were at the last look, and nothing has moved since.
    fn look(&self, seen: &mut Option<u64>) -> bool {
        let moves = self.shared.moves.load(Ordering::Relaxed);
        let is_open = self.shared.open.load(Ordering::Relaxed) > 0;
        let before = std::mem::replace(seen, is_open.then_some(moves));
        is_open && before == Some(moves)
    }
}

impl Answer {
    /// A piece of it was taken.
    pub fn moved(&self) {
        self.outgoing.shared.moves.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.moved();
        self.outgoing.shared.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_of_which_nothing_is_taken_stall() {
        let (outgoing, mut seen) = (Outgoing::default(), None);
        let mut stalls = || outgoing.look(&mut seen);
        assert!(!stalls() && !stalls(), "there is none");
        let taken = outgoing.begin();
        assert!(!stalls(), "it had no whole window");
        let left = outgoing.begin();
        taken.moved();
        assert!(!stalls(), "something was taken");
        drop(taken);
        assert!(!stalls(), "one has ended");
        assert!(stalls());
        drop(left);
        let _next = outgoing.begin();
        assert!(!stalls(), "it is another one");
        assert!(stalls());
    }

    #[tokio::test]
    async fn a_stall_is_noticed_in_time() {
        let outgoing = Outgoing::default();
        let _answer = outgoing.begin();
        outgoing.stalled(Duration::from_millis(20)).await;
    }
}
