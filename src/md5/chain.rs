//! The chaining value of one stream with the bytes that are not yet a block.

use bytes::{Buf, Bytes};
use md5::block_api::compress;

use super::lanes::{BLOCK_BYTES, Block, START, State};

/// Where the length of the content begins in the last block.
const LENGTH_OFFSET: usize = BLOCK_BYTES - 8;

/// MD5 over a stream, at any byte of it.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    /// The state after the last whole block.
    pub(super) state: State,
    /// The bytes after it, in its first `rest_len` bytes: less than a block.
    rest: Block,
    rest_len: usize,
}

impl Chain {
    /// At the first byte.
    pub(super) fn new() -> Self {
        Self { state: START, rest: [0; BLOCK_BYTES], rest_len: 0 }
    }

    /// Takes in bytes.
    pub(super) fn update(&mut self, mut data: &[u8]) {
        self.fill(&mut data);
        let (blocks, mut rest) = data.as_chunks();
        compress(&mut self.state, blocks);
        self.keep(&mut rest);
    }

    /// Takes from the front of `data` what ends the block that was begun, if one was.
    fn fill(&mut self, data: &mut impl Buf) {
        if self.rest_len == 0 {
            return;
        }
        self.keep(data);
        if self.rest_len == BLOCK_BYTES {
            compress(&mut self.state, &[self.rest]);
            self.rest_len = 0;
        }
    }

    /// Takes from the front of `segment` what is not a whole block, so that it begins with one
    /// or is empty.
    pub(super) fn settle(&mut self, segment: &mut Bytes) {
        self.fill(segment);
        if segment.len() < BLOCK_BYTES {
            self.keep(segment);
        }
    }

    fn keep(&mut self, data: &mut impl Buf) {
        let room = self.rest.get_mut(self.rest_len..).unwrap_or_default();
        let len = room.len().min(data.remaining());
        if let Some(room) = room.get_mut(..len) {
            data.copy_to_slice(room);
            self.rest_len += len;
        }
    }

    /// The digest of the content, of which there were `len` bytes.
    pub(super) fn finish(mut self, len: u64) -> [u8; 16] {
        let mut last = [[0; BLOCK_BYTES]; 2];
        let bytes = last.as_flattened_mut();
        let padding = std::iter::once(0x80);
        let content = self.rest.into_iter().take(self.rest_len);
        for (byte, value) in bytes.iter_mut().zip(content.chain(padding)) {
            *byte = value;
        }
        let blocks = if self.rest_len < LENGTH_OFFSET { 1 } else { 2 };
        let length = len.wrapping_mul(8).to_le_bytes();
        for (byte, value) in
            bytes.iter_mut().skip((blocks - 1) * BLOCK_BYTES + LENGTH_OFFSET).zip(length)
        {
            *byte = value;
        }
        compress(&mut self.state, last.get(..blocks).unwrap_or(&last));
        bytemuck::must_cast(self.state.map(u32::to_le))
    }
}
