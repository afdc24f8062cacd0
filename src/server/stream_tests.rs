//! Bodies that end well, end early, are changed, or stop.

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http_body::{Body, Frame};
use s3s::stream::ByteStream;
use sha2::{Digest, Sha256};

use super::{BodyStream, Check, Ledger, Patience};
use crate::server::body::BodyError;

/// What a sender does next.
enum Event {
    Data(&'static [u8]),
    Reset,
    Wait(Duration),
}

struct Script {
    events: VecDeque<Event>,
    waiting: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Body for Script {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        loop {
            if let Some(timer) = &mut self.waiting {
                std::task::ready!(timer.as_mut().poll(cx));
                self.waiting = None;
            }
            return Poll::Ready(match self.events.pop_front() {
                None => None,
                Some(Event::Data(data)) => Some(Ok(Frame::data(Bytes::from_static(data)))),
                Some(Event::Reset) => Some(Err(std::io::ErrorKind::ConnectionReset.into())),
                Some(Event::Wait(time)) => {
                    self.waiting = Some(Box::pin(tokio::time::sleep(time)));
                    continue;
                }
            });
        }
    }
}

/// Stands for the minute that a sender has, so that tests need not wait for one.
const WINDOW: Duration = Duration::from_millis(1000);

type TestStream = BodyStream<Script>;

fn stream(events: Vec<Event>, check: Check) -> (TestStream, Arc<Ledger<Script>>) {
    let ledger = Arc::new(Ledger::default());
    let script = Script { events: events.into(), waiting: None };
    let mut stream = BodyStream::new(script, check, Arc::clone(&ledger));
    stream.patience = Patience::new(WINDOW);
    (stream, ledger)
}

async fn collect(stream: TestStream) -> (Vec<u8>, Result<(), &'static str>) {
    let mut stream = Box::pin(stream);
    let mut data = Vec::new();
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => data.extend_from_slice(&piece),
            Err(error) => {
                let code = error.downcast_ref::<BodyError>().unwrap().code;
                assert!(stream.next().await.is_none(), "nothing follows an error");
                return (data, Err(code));
            }
        }
    }
    (data, Ok(()))
}

fn hash(data: &[u8]) -> Option<[u8; 32]> {
    Some(Sha256::digest(data).into())
}

#[tokio::test]
async fn plain_bodies_are_checked_by_length_and_hash() {
    use Event::{Data, Reset};
    let two = || vec![Data(b"hello "), Data(b"world")];
    for (events, check, expected) in [
        (two(), Check::plain(Some(11), None), Ok(())),
        (two(), Check::plain(None, None), Ok(())),
        (two(), Check::plain(Some(11), hash(b"hello world")), Ok(())),
        (vec![], Check::plain(Some(0), hash(b"")), Ok(())),
        (two(), Check::plain(Some(11), hash(b"hello")), Err("XAmzContentSHA256Mismatch")),
        (two(), Check::plain(Some(12), None), Err("IncompleteBody")),
        (two(), Check::plain(Some(10), None), Err("IncompleteBody")),
        (vec![Data(b"hello"), Reset], Check::plain(Some(11), None), Err("IncompleteBody")),
        (vec![], Check::plain(Some(1), None), Err("IncompleteBody")),
    ] {
        let (stream, _) = stream(events, check);
        let (data, result) = collect(stream).await;
        assert_eq!(result, expected);
        if expected.is_ok() {
            assert!(data.is_empty() || data == b"hello world");
        } else {
            assert!(data.len() < 11, "the last piece must be held back");
        }
    }
}

#[tokio::test]
async fn the_remaining_length_is_never_nothing_before_the_end() {
    let (stream, _) =
        stream(vec![Event::Data(b"ab"), Event::Data(b"c")], Check::plain(Some(3), None));
    let mut stream = Box::pin(stream);
    assert_eq!(stream.remaining_length().exact(), Some(3));
    assert_eq!(stream.next().await.unwrap().unwrap(), "ab");
    assert_eq!(stream.remaining_length().exact(), Some(1));
    assert_eq!(stream.next().await.unwrap().unwrap(), "c");
    assert_eq!(stream.remaining_length().exact(), None);
    assert!(stream.next().await.is_none());
    assert_eq!(stream.remaining_length().exact(), Some(0));
}

#[tokio::test]
async fn a_sender_that_stops_is_cut_off() {
    use Event::{Data, Wait};
    let check = || Check::plain(None, None);
    let (stopped, _) = stream(vec![Data(b"a"), Wait(WINDOW * 3)], check());
    assert_eq!(collect(stopped).await.1, Err("RequestTimeout"));
    let (slow, _) = stream(vec![Data(b"a"), Wait(WINDOW / 10), Data(b"b")], check());
    assert_eq!(collect(slow).await, (b"ab".to_vec(), Ok(())));
    let mut drops = Vec::new();
    for _ in 0..10 {
        drops.extend([Data(b"x"), Wait(WINDOW / 5)]);
    }
    let (dribbling, _) = stream(drops, check());
    assert_eq!(collect(dribbling).await.1, Err("RequestTimeout"));
    static PIECE: [u8; 2048] = [0; 2048];
    let mut steady = Vec::new();
    for _ in 0..10 {
        steady.extend([Data(&PIECE), Wait(WINDOW / 5)]);
    }
    let (steady, ledger) = stream(steady, check());
    assert_eq!(collect(steady).await.1, Ok(()));
    assert_eq!(ledger.received(), 20_480);
    assert!(ledger.take_leftover().is_none());
}

#[tokio::test]
async fn a_slow_handler_is_not_held_against_the_sender() {
    let (stream, _) = stream(
        vec![
            Event::Data(b"a"),
            Event::Data(b"b"),
            Event::Wait(Duration::from_millis(10)),
            Event::Data(b"c"),
        ],
        Check::plain(Some(3), None),
    );
    let mut stream = Box::pin(stream);
    let mut count = 0;
    while let Some(piece) = stream.next().await {
        piece.unwrap();
        count += 1;
        tokio::time::sleep(WINDOW * 3 / 2).await;
    }
    assert_eq!(count, 3);
}

#[tokio::test]
async fn a_dropped_stream_gives_the_rest_back() {
    let (stream, ledger) =
        stream(vec![Event::Data(b"a"), Event::Data(b"b")], Check::plain(Some(2), None));
    assert!(ledger.take_leftover().is_none());
    let mut boxed: Pin<Box<dyn Stream<Item = _> + Send + Sync>> = Box::pin(stream);
    drop(boxed.next().await);
    drop(boxed);
    assert!(ledger.take_leftover().is_some());
}
