//! MD5 of content that comes in pieces, for the entity tags of S3.
//!
//! - Small content is hashed where it comes in. Of larger content the pieces go to the
//!   [`LaneServer`], which advances many streams at once, so that one processor hashes what it
//!   would take ten for; receiving, sealing and writing go on meanwhile.
//! - A stream has a bounded number of bytes waiting: beyond it the one who brings them waits.
//! - A stream that is dropped is forgotten, whatever of it still waits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod board;
mod chain;
mod lanes;
mod server;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};

use self::chain::Chain;
pub use self::lanes::{BLOCK_BYTES, Block, Kernel, LANES_MAX, START, State};
pub use self::server::LaneServer;
use self::server::LaneStream;

/// Content that is hashed where it comes in: the beginning of any, the whole of small.
const INLINE_BYTES_MAX: u64 = 64 * 1024;
/// Content gathered before it is handed over: enough to be worth the lock and the wake-up.
const GATHER_BYTES: usize = 256 * 1024;
/// What is not yet handed over when the content ends is hashed at once when it is less than this.
const REST_BYTES_MAX: usize = 64 * 1024;
/// Pieces shorter than this are copied together, so that they do not cost more than their bytes.
const COPIED_BYTES_MAX: usize = 8 * 1024;

/// The lanes of the process; none when its processor has no instructions for them.
static LANES: LazyLock<Option<LaneServer>> = LazyLock::new(|| {
    let kernel = Kernel::widest();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if kernel.lanes() == 1 {
        return None;
    }
    LaneServer::start(kernel, (processors / 2).max(1))
        .inspect_err(|error| tracing::warn!(%error, "no threads for MD5; it runs on the workers"))
        .ok()
});

/// MD5 running over content.
#[derive(Debug)]
pub struct Md5Stream {
    /// Where larger content goes; none hashes everything where it comes in.
    lanes: Option<LaneServer>,
    len: u64,
    place: Place,
    /// Pieces not yet hashed, in order, and their bytes; those in `copied` come after them.
    gathered: Vec<Bytes>,
    copied: BytesMut,
    gathered_bytes: usize,
}

/// What was hashed so far is lost: the thread that hashed it panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLost;

/// Who has the chaining value.
#[derive(Debug)]
enum Place {
    Here(Chain),
    Lanes(LaneStream),
}

impl Default for Md5Stream {
    fn default() -> Self {
        Self::new()
    }
}

impl Md5Stream {
    /// Begins; larger content will go to the lanes of the process.
    pub fn new() -> Self {
        Self::begin(None)
    }

    /// Begins; larger content will go to `lanes`.
    pub fn on(lanes: &LaneServer) -> Self {
        Self::begin(Some(lanes.clone()))
    }

    fn begin(lanes: Option<LaneServer>) -> Self {
        Self {
            lanes,
            len: 0,
            place: Place::Here(Chain::new()),
            gathered: Vec::new(),
            copied: BytesMut::new(),
            gathered_bytes: 0,
        }
    }

    /// Adds bytes. Waits while too many of this stream wait to be hashed.
    pub async fn update(&mut self, piece: &Bytes) {
        self.len += piece.len() as u64;
        if let Place::Here(chain) = &mut self.place {
            if self.len <= INLINE_BYTES_MAX {
                chain.update(piece);
                return;
            }
            if self.lanes.is_none() {
                self.lanes.clone_from(&LANES);
            }
            if self.lanes.is_none() {
                chain.update(piece);
                return;
            }
        }
        self.gather(piece);
        if self.gathered_bytes >= GATHER_BYTES {
            self.hand_over().await;
        }
    }

    /// The digest of all bytes.
    pub async fn finish(mut self) -> Result<[u8; 16], StreamLost> {
        if matches!(self.place, Place::Lanes(_)) || self.gathered_bytes >= REST_BYTES_MAX {
            self.hand_over().await;
        }
        self.flush_copied();
        let mut chain = match self.place {
            Place::Here(chain) => chain,
            Place::Lanes(stream) => stream.finish().await?,
        };
        for piece in &self.gathered {
            chain.update(piece);
        }
        Ok(chain.finish(self.len))
    }

    fn gather(&mut self, piece: &Bytes) {
        self.gathered_bytes += piece.len();
        if piece.len() < COPIED_BYTES_MAX {
            self.copied.extend_from_slice(piece);
        } else {
            self.flush_copied();
            self.gathered.push(piece.clone());
        }
    }

    fn flush_copied(&mut self) {
        if !self.copied.is_empty() {
            self.gathered.push(self.copied.split().freeze());
        }
    }

    /// Hands over what was gathered; keeps it when there are no lanes.
    async fn hand_over(&mut self) {
        self.flush_copied();
        if let (Place::Here(chain), Some(lanes)) = (&mut self.place, &self.lanes) {
            let chain = std::mem::replace(chain, Chain::new());
            self.place = Place::Lanes(lanes.stream(chain));
        }
        if let Place::Lanes(stream) = &self.place {
            stream.room().await;
            stream.hand_over(&mut self.gathered);
            self.gathered_bytes = 0;
        }
    }
}
