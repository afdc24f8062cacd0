//! Waiting for the storage engine on a thread that may block.
//!
//! It nests, as an executor's `block_on` does not: where all jobs run in their caller, a query waits
//! inside the caller's own waiting.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on this thread.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    // Whoever waits here in a task of tokio gives up no turn, so its budget must not end the progress.
    let mut future = pin!(tokio::task::unconstrained(future));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::wait;

    #[test]
    fn waiting_ends_with_what_another_thread_sends_and_nests() {
        let (send, receive) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || send.send(3).unwrap());
        assert_eq!(wait(async { wait(receive).unwrap() }), 3);
        thread.join().unwrap();
    }
}
