//! Which streams have bytes to hash, which are being hashed, and who waits for them.
//!
//! - A stream rests with nothing to hash, is ready and once in the queue, or runs in one round.
//! - A round is due when half of the streams that do not run are ready, or a register full, or when
//!   somebody waits. Nobody waits for company: bytes that nobody waits for can lie.

use std::collections::{HashMap, VecDeque};
use std::task::Waker;

use bytes::{Buf, Bytes};

use super::chain::Chain;
use super::lanes::{BLOCK_BYTES, Block, Kernel, LANES_MAX};

/// Blocks by which a round advances each of its streams: so long a stream waits to join.
const ROUND_BLOCKS: usize = 64 * 1024 / BLOCK_BYTES;

/// Names a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct StreamId(u64);

/// All streams of the lanes.
#[derive(Debug, Default)]
pub(super) struct Board {
    next: u64,
    streams: HashMap<StreamId, Stream>,
    /// Streams to hash.
    ready: VecDeque<StreamId>,
    /// Streams in a round that were not closed meanwhile.
    running: usize,
    /// Streams that have a `wait`.
    waits: usize,
}

#[derive(Debug)]
struct Stream {
    chain: Chain,
    segments: VecDeque<Bytes>,
    /// Bytes not yet hashed, with those of the round it runs in.
    queued_bytes: usize,
    phase: Phase,
    wait: Option<Wait>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Resting,
    Ready,
    Running,
}

/// Somebody who wants to know when so few bytes are left.
#[derive(Debug)]
struct Wait {
    queued_bytes_max: usize,
    waker: Waker,
}

/// Streams to advance together, out of the board's hands.
#[derive(Debug, Default)]
pub(super) struct Round {
    lanes: Vec<Lane>,
}

#[derive(Debug)]
struct Lane {
    id: StreamId,
    chain: Chain,
    segments: VecDeque<Bytes>,
    hashed_bytes: usize,
}

impl Board {
    /// Takes a stream in.
    pub(super) fn open(&mut self, chain: Chain) -> StreamId {
        let id = StreamId(self.next);
        self.next += 1;
        let (segments, phase) = (VecDeque::new(), Phase::Resting);
        self.streams.insert(id, Stream { chain, segments, queued_bytes: 0, phase, wait: None });
        id
    }

    /// Gives a stream back; whatever of it was not hashed is forgotten.
    pub(super) fn close(&mut self, id: StreamId) -> Option<Chain> {
        let stream = self.streams.remove(&id)?;
        self.waits -= usize::from(stream.wait.is_some());
        match stream.phase {
            Phase::Resting => {}
            Phase::Ready => self.ready.retain(|ready| *ready != id),
            Phase::Running => self.running -= 1,
        }
        Some(stream.chain)
    }

    /// Forgets all streams: a thread died while it had some of them. Returns who waited.
    pub(super) fn lose_all(&mut self) -> Vec<Waker> {
        // Numbers are not used twice, so nobody finds another stream where theirs was.
        let lost = std::mem::replace(self, Self { next: self.next, ..Self::default() });
        lost.streams.into_values().filter_map(|stream| stream.wait).map(|wait| wait.waker).collect()
    }

    /// Adds bytes to a stream.
    pub(super) fn add(&mut self, id: StreamId, segments: impl Iterator<Item = Bytes>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        for segment in segments.filter(|segment| !segment.is_empty()) {
            stream.queued_bytes += segment.len();
            stream.segments.push_back(segment);
        }
        if stream.phase == Phase::Resting && !stream.segments.is_empty() {
            stream.phase = Phase::Ready;
            self.ready.push_back(id);
        }
    }

    /// True when no more than so many bytes of a stream are left to hash, or the stream is lost; else
    /// wakes `waker` then.
    pub(super) fn is_down_to(
        &mut self,
        id: StreamId,
        queued_bytes_max: usize,
        waker: &Waker,
    ) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return true };
        let before = stream.wait.take();
        if stream.queued_bytes > queued_bytes_max {
            stream.wait = Some(Wait { queued_bytes_max, waker: waker.clone() });
        }
        self.waits += usize::from(stream.wait.is_some());
        self.waits -= usize::from(before.is_some());
        stream.wait.is_none()
    }

    /// True when a round is worth its while on `lanes` lanes.
    pub(super) fn is_due(&self, lanes: usize) -> bool {
        let enough = (self.streams.len() - self.running).div_ceil(2).min(lanes);
        !self.ready.is_empty() && (self.waits > 0 || self.ready.len() >= enough)
    }

    /// Takes out up to `lanes` streams, those first that are ready for the longest time.
    pub(super) fn begin(&mut self, lanes: usize) -> Round {
        let mut round = Round::default();
        for id in self.ready.drain(..self.ready.len().min(lanes)) {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.phase = Phase::Running;
                self.running += 1;
                let segments = std::mem::take(&mut stream.segments);
                let chain = stream.chain.clone();
                round.lanes.push(Lane { id, chain, segments, hashed_bytes: 0 });
            }
        }
        round
    }

    /// Takes streams back; returns who has waited for what was done.
    pub(super) fn end(&mut self, round: Round) -> Vec<Waker> {
        let mut woken = Vec::new();
        for mut lane in round.lanes {
            let Some(stream) = self.streams.get_mut(&lane.id) else { continue };
            self.running -= 1;
            stream.chain = lane.chain;
            stream.queued_bytes -= lane.hashed_bytes;
            lane.segments.append(&mut stream.segments);
            stream.segments = lane.segments;
            stream.phase = Phase::Resting;
            if !stream.segments.is_empty() {
                stream.phase = Phase::Ready;
                self.ready.push_back(lane.id);
            }
            let queued_bytes = stream.queued_bytes;
            if let Some(wait) = stream.wait.take_if(|wait| queued_bytes <= wait.queued_bytes_max) {
                self.waits -= 1;
                woken.push(wait.waker);
            }
        }
        woken
    }
}

impl Round {
    /// True when it has no stream.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Hashes until the shortest stream has no more blocks, or for so long that others may join.
    pub(super) fn run(&mut self, kernel: Kernel) {
        let mut left = ROUND_BLOCKS;
        while left > 0 {
            let done = self.step(kernel, left);
            if done == 0 {
                return;
            }
            left -= done;
        }
    }

    /// Advances all lanes by what each has in one segment; returns by how many blocks.
    fn step(&mut self, kernel: Kernel, blocks_max: usize) -> usize {
        let lanes = self.lanes.len().min(LANES_MAX);
        let mut states = [super::START; LANES_MAX];
        let mut runs: [&[Block]; LANES_MAX] = [&[]; LANES_MAX];
        for lane in &mut self.lanes {
            lane.settle();
        }
        for ((lane, state), run) in self.lanes.iter().zip(&mut states).zip(&mut runs) {
            *state = lane.chain.state;
            let blocks = lane.blocks();
            *run = blocks.get(..blocks_max).unwrap_or(blocks);
        }
        let (Some(states), Some(runs)) = (states.get_mut(..lanes), runs.get(..lanes)) else {
            return 0;
        };
        let done = kernel.compress(states, runs);
        for (lane, state) in self.lanes.iter_mut().zip(states) {
            lane.chain.state = *state;
            lane.skip(done * BLOCK_BYTES);
        }
        done
    }
}

impl Lane {
    /// Has blocks at the front, unless less than a block is left in all.
    fn settle(&mut self) {
        while let Some(segment) = self.segments.front_mut() {
            let before = segment.len();
            self.chain.settle(segment);
            self.hashed_bytes += before - segment.len();
            if !segment.is_empty() {
                return;
            }
            self.segments.pop_front();
        }
    }

    /// The blocks at the front.
    fn blocks(&self) -> &[Block] {
        self.segments.front().map_or(&[], |segment| segment.as_chunks().0)
    }

    /// Leaves out bytes at the front.
    fn skip(&mut self, bytes: usize) {
        if let Some(segment) = self.segments.front_mut() {
            segment.advance(bytes);
            self.hashed_bytes += bytes;
        }
        if self.segments.front().is_some_and(Bytes::is_empty) {
            self.segments.pop_front();
        }
    }
}
