//! Polls a connection again at once when it woke itself.
//!
//! HTTP/1 wakes its own task when a handler asks for the body, as connection and handler share one.
//! To the runtime that is a task that yields: it goes to the end of the queue and another worker is
//! woken, which takes it over. A request with a body would pay for two changes of threads and go on
//! with cold caches.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

/// Polls in a row; then other tasks have their turn.
const POLLS_MAX: usize = 8;

/// Nobody polls, nobody has woken.
const IDLE: u8 = 0;
/// It is being polled.
const POLLED: u8 = 1;
/// It was woken since it was last polled.
const WOKEN: u8 = 2;

/// A future that is polled again when it was woken while it was polled.
#[derive(Debug)]
pub struct Repoll<F> {
    future: F,
    signal: Arc<Signal>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Signal {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // While it is polled, who polls sees to it.
        if self.state.swap(WOKEN, Ordering::AcqRel) == IDLE {
            self.task.wake();
        }
    }
}

impl<F> Repoll<F> {
    /// Of a future.
    pub fn new(future: F) -> Self {
        let signal = Arc::new(Signal::default());
        let waker = Waker::from(Arc::clone(&signal));
        Self { future, signal, waker }
    }
}

impl<F: Future + Unpin> Future for Repoll<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, signal, waker } = self.get_mut();
        signal.task.register(cx.waker());
        for _ in 0..POLLS_MAX {
            signal.state.swap(POLLED, Ordering::AcqRel);
            let polled = Pin::new(&mut *future).poll(&mut Context::from_waker(waker));
            if polled.is_ready() {
                return polled;
            }
            let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
            if signal.state.compare_exchange(POLLED, IDLE, success, failure).is_ok() {
                return Poll::Pending;
            }
        }
        signal.state.store(IDLE, Ordering::Release);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls once a future that wakes itself `times` times and is then done; tells whether it is
    /// done, and how often its task was woken.
    fn polled_once(times: usize) -> (bool, usize) {
        let mut left = times;
        let mut future = Repoll::new(poll_fn(move |cx| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let done = Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_ready();
        (done, count.0.load(Ordering::Relaxed))
    }

    #[test]
    fn what_wakes_itself_is_polled_again_and_its_task_is_not_woken() {
        assert_eq!(polled_once(0), (true, 0));
        assert_eq!(polled_once(1), (true, 0));
        assert_eq!(polled_once(POLLS_MAX - 1), (true, 0));
    }

    #[test]
    fn what_wakes_itself_for_ever_yields() {
        assert_eq!(polled_once(POLLS_MAX), (false, 1));
        assert_eq!(polled_once(usize::MAX), (false, 1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_wake_of_another_thread_is_lost() {
        for _ in 0..200 {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
            let sending = tokio::spawn(async move {
                for number in 0..100 {
                    sender.send(number).await.unwrap();
                }
            });
            let received = Repoll::new(Box::pin(async move {
                let mut sum = 0;
                while let Some(number) = receiver.recv().await {
                    sum += number;
                }
                sum
            }));
            assert_eq!(received.await, 4950);
            sending.await.unwrap();
        }
    }
}
