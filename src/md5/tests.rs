use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use md5::{Digest, Md5};
use proptest::prelude::*;

use super::board::Board;
use super::chain::Chain;
use super::lanes::PANIC_BYTE;
use super::*;

/// A server on each kernel of this processor; two threads share its streams.
static SERVERS: LazyLock<Vec<LaneServer>> = LazyLock::new(|| {
    let kernels = Kernel::available().into_iter();
    kernels.map(|kernel| LaneServer::start(kernel, 2).unwrap()).collect()
});

fn content(len: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect::<Vec<u8>>().into()
}

fn oracle(content: &[u8]) -> [u8; 16] {
    Md5::digest(content).into()
}

fn hashed(content: &[u8]) -> [u8; 16] {
    let mut chain = Chain::new();
    chain.update(content);
    chain.finish(content.len() as u64)
}

#[test]
fn vectors_of_rfc_1321() {
    for (text, digest) in [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("a", "0cc175b9c0f1b6a831c399e269772661"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
        (
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            "d174ab98d277d9f5a5611c2c9f419d9f",
        ),
        (
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
            "57edf4a22be3c955ac49da2e2107b67a",
        ),
    ] {
        assert_eq!(hex::encode(hashed(text.as_bytes())), digest, "{text}");
    }
}

#[test]
fn every_length_around_a_block_is_padded_right() {
    for len in 0..=200 {
        let content = content(len, 1);
        assert_eq!(hashed(&content), oracle(&content), "{len}");
    }
}

#[test]
fn every_kernel_is_exact_in_every_number_of_lanes() {
    for kernel in Kernel::available() {
        for streams in 0..=2 * LANES_MAX + 1 {
            let contents: Vec<Bytes> =
                (0..streams).map(|i| content((3 + i % 3) * BLOCK_BYTES, i as u64)).collect();
            let runs: Vec<&[Block]> =
                contents.iter().map(|content| content.as_chunks().0).collect();
            let mut states = vec![START; streams];
            let done = kernel.compress(&mut states, &runs);
            assert_eq!(done, if streams == 0 { 0 } else { 3 });
            for (state, run) in states.iter().zip(&runs) {
                let mut expected = START;
                md5::block_api::compress(&mut expected, &run[..done]);
                assert_eq!(*state, expected, "{kernel:?} with {streams}");
            }
        }
    }
}

#[test]
fn a_stream_without_a_block_stops_the_others_at_once() {
    for kernel in Kernel::available() {
        let content = content(BLOCK_BYTES, 1);
        let mut states = [START; 2];
        assert_eq!(kernel.compress(&mut states, &[content.as_chunks().0, &[]]), 0);
        assert_eq!(states, [START; 2]);
    }
}

/// Hashes `content` in pieces of the lengths given, over and over.
async fn stream(server: &LaneServer, content: &Bytes, lens: &[usize]) -> [u8; 16] {
    let mut stream = Md5Stream::on(server);
    let mut rest = content.clone();
    for len in lens.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let piece = rest.split_to(rest.len().min(*len));
        stream.update(&piece).await;
        tokio::task::yield_now().await;
    }
    stream.finish().await.unwrap()
}

fn lens() -> impl Strategy<Value = Vec<usize>> {
    let len = prop_oneof![1..200_usize, 1000..9000_usize, 8_000..300_000_usize];
    prop::collection::vec(len, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn streams_of_any_length_and_split_are_exact(
        streams in prop::collection::vec((0..900_000_usize, lens(), any::<u64>()), 1..24),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        for server in &*SERVERS {
            let (server, streams) = (server.clone(), streams.clone());
            let tasks: Vec<_> = streams.into_iter().map(|(len, lens, seed)| {
                let server = server.clone();
                runtime.spawn(async move {
                    let content = content(len, seed);
                    (stream(&server, &content, &lens).await, oracle(&content))
                })
            }).collect();
            for task in tasks {
                let (digest, expected) = runtime.block_on(task).unwrap();
                prop_assert_eq!(digest, expected);
            }
        }
    }

    #[test]
    fn a_round_never_changes_a_digest(
        streams in prop::collection::vec((0..20_000_usize, lens(), any::<u64>()), 1..24),
        lanes in 1..=LANES_MAX,
    ) {
        for kernel in Kernel::available() {
            let mut board = Board::default();
            let streams: Vec<_> = streams.iter().map(|(len, lens, seed)| {
                let id = board.open(Chain::new());
                let content = content(*len, *seed);
                let mut rest = content.clone();
                let pieces: Vec<Bytes> = lens.iter().cycle()
                    .map_while(|len| {
                        let piece = rest.split_to(rest.len().min(*len));
                        (!piece.is_empty()).then_some(piece)
                    })
                    .collect();
                let (early, late) = pieces.split_at(pieces.len() / 2);
                board.add(id, early.iter().cloned());
                (id, content, late.to_vec())
            }).collect();
            let mut first = board.begin(lanes);
            for (id, _, late) in &streams {
                board.add(*id, late.iter().cloned());
            }
            first.run(kernel);
            board.end(first);
            loop {
                let mut round = board.begin(lanes);
                if round.is_empty() {
                    break;
                }
                round.run(kernel);
                board.end(round);
            }
            for (id, content, _) in streams {
                let chain = board.close(id).unwrap();
                prop_assert_eq!(chain.finish(content.len() as u64), oracle(&content));
            }
        }
    }
}

#[tokio::test]
async fn a_dropped_stream_is_forgotten_and_the_others_end() {
    for server in &*SERVERS {
        let content = content(3_000_000, 7);
        let running: FuturesUnordered<_> = (0..20)
            .map(|number| {
                let content = &content;
                async move {
                    if number % 2 == 0 {
                        return Some(stream(server, content, &[70_001]).await);
                    }
                    let mut cut = Md5Stream::on(server);
                    for piece in content.chunks(131_072).take(number) {
                        cut.update(&content.slice_ref(piece)).await;
                    }
                    None
                }
            })
            .collect();
        let digests: Vec<_> = running.filter_map(std::future::ready).collect().await;
        assert_eq!(digests, vec![oracle(&content); 10]);
    }
}

#[tokio::test]
async fn content_goes_to_the_lanes_of_the_process() {
    let content = content(1_500_000, 9);
    let mut stream = Md5Stream::new();
    for piece in content.chunks(100_000) {
        stream.update(&content.slice_ref(piece)).await;
    }
    assert_eq!(matches!(stream.place, Place::Lanes(_)), Kernel::widest().lanes() > 1);
    assert_eq!(stream.finish().await, Ok(oracle(&content)));
}

/// Counts how often it is woken.
struct Bell(std::sync::atomic::AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn a_round_is_due_for_half_of_the_streams_or_for_one_who_waits() {
    let mut board = Board::default();
    let ids: Vec<_> = (0..5).map(|_| board.open(Chain::new())).collect();
    let block = || std::iter::once(Bytes::from_static(&[0; BLOCK_BYTES]));
    assert!(!board.is_due(16));
    board.add(ids[0], block());
    board.add(ids[1], block());
    assert!(!board.is_due(16), "two of five");
    assert!(board.is_due(2), "the register is full");
    board.add(ids[2], block());
    assert!(board.is_due(16), "three of five");
    board.close(ids[2]);
    board.close(ids[1]);
    assert!(!board.is_due(16), "one of three");

    let bell = Arc::new(Bell(0.into()));
    let waker = Waker::from(Arc::clone(&bell));
    assert!(board.is_down_to(ids[0], BLOCK_BYTES, &waker));
    assert!(!board.is_due(16), "nobody waits");
    assert!(!board.is_down_to(ids[0], 0, &waker));
    assert!(board.is_due(16), "somebody waits");
    let mut round = board.begin(16);
    assert!(!board.is_due(16), "it runs");
    round.run(Kernel::SCALAR);
    for waker in board.end(round) {
        waker.wake();
    }
    assert_eq!(bell.0.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert!(board.is_down_to(ids[0], 0, &waker));
}

#[test]
fn a_waiting_stream_that_is_closed_makes_no_round_due() {
    let mut board = Board::default();
    let [gone, other, _idle] = [(); 3].map(|()| board.open(Chain::new()));
    let block = || std::iter::once(Bytes::from_static(&[0; BLOCK_BYTES]));
    board.add(gone, block());
    assert!(!board.is_down_to(gone, 0, Waker::noop()));
    let round = board.begin(16);
    board.close(gone);
    assert!(!board.is_due(16));
    assert!(board.end(round).is_empty());
    board.add(other, block());
    board.open(Chain::new());
    assert!(!board.is_due(16), "nobody waits any more");
}

#[tokio::test]
async fn a_panic_fails_the_streams_that_are_open_and_no_later_one() {
    let server = LaneServer::start(Kernel::PANICKING, 1).unwrap();
    let good = content(900_000, 3);
    let bad = Bytes::from(vec![PANIC_BYTE; 900_000]);
    for _ in 0..3 {
        let bystander = server.stream(Chain::new());
        let mut stream = Md5Stream::on(&server);
        stream.update(&good).await;
        stream.update(&bad).await;
        assert_eq!(stream.finish().await, Err(StreamLost));
        assert_eq!(bystander.finish().await.err(), Some(StreamLost));
        assert_eq!(self::stream(&server, &good, &[70_001]).await, oracle(&good));
    }
}

#[tokio::test]
async fn a_stream_waits_while_too_much_of_it_does() {
    // A kernel of more than one lane: one stream does not fill its register.
    let server = LaneServer::start(Kernel::PANICKING, 1).unwrap();
    // Two that rest: nothing of the third is hashed before somebody waits for it.
    let _idle = [server.stream(Chain::new()), server.stream(Chain::new())];
    let stream = server.stream(Chain::new());
    let mut segments = vec![content(4 << 20, 1)];
    stream.hand_over(&mut segments);
    let mut room = std::pin::pin!(stream.room(1 << 20));
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(room.as_mut().poll(&mut context), Poll::Pending);
    room.await;
}

#[tokio::test]
async fn many_streams_share_the_memory_of_what_waits() {
    let server = LaneServer::start(Kernel::SCALAR, 1).unwrap();
    let members: Vec<_> = (0..32).map(|_| server.join()).collect();
    assert_eq!(members[0].share_bytes(), 1 << 20);
    let more: Vec<_> = (0..1968).map(|_| server.join()).collect();
    assert_eq!(members[0].share_bytes(), (32 << 20) / 2000);
    let content = content(900_000, 3);
    assert_eq!(stream(&server, &content, &[70_001]).await, oracle(&content));
    drop(more);
    assert_eq!(members[0].share_bytes(), 1 << 20);
}
