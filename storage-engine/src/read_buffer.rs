//! Memory in which values are read and opened on their way out.
//!
//! - A buffer of a whole window is used again when its last reader lets go of it: its pages need not be
//!   found and cleared anew, and are still in the processor's cache.
//! - What a buffer holds at first is of no meaning: whoever takes one fills all of it.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::limits::CHUNK_BYTES;

/// Plaintext bytes opened at a time: few enough to stay in a processor's own cache from the read
/// until they are sent, many enough for the calls not to matter.
pub(crate) const WINDOW_BYTES: u64 = 256 * 1024;
/// A window that begins inside a chunk reaches into one more.
const BUFFER_BYTES: usize = WINDOW_BYTES as usize + CHUNK_BYTES;
/// Buffers kept for the next windows, 5 MiB: there are never more than processors in use at a time
/// unless clients are slow, and then nothing depends on them.
const SPARE_MAX: usize = 16;

/// Buffers to use again.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffers {
    spare: Mutex<Vec<Vec<u8>>>,
}

/// Memory for bytes that are read.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    memory: Vec<u8>,
    len: usize,
    /// Where it goes back to, when it holds a whole window.
    home: Option<Arc<ReadBuffers>>,
}

impl ReadBuffers {
    /// A buffer of `len` bytes. Less than a window gets just that: it may be kept for long.
    pub(crate) fn take(self: &Arc<Self>, len: usize) -> ReadBuffer {
        if !(WINDOW_BYTES as usize..=BUFFER_BYTES).contains(&len) {
            return ReadBuffer { memory: vec![0; len], len, home: None };
        }
        let used_before = self.spare.lock().pop();
        let memory = used_before.unwrap_or_else(|| vec![0; BUFFER_BYTES]);
        ReadBuffer { memory, len, home: Some(Arc::clone(self)) }
    }
}

impl AsRef<[u8]> for ReadBuffer {
    fn as_ref(&self) -> &[u8] {
        self.memory.get(..self.len).unwrap_or_default()
    }
}

impl AsMut<[u8]> for ReadBuffer {
    fn as_mut(&mut self) -> &mut [u8] {
        self.memory.get_mut(..self.len).unwrap_or_default()
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            let mut spare = home.spare.lock();
            if spare.len() < SPARE_MAX {
                spare.push(std::mem::take(&mut self.memory));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_windows_are_used_again_up_to_a_limit() {
        const WINDOW: usize = WINDOW_BYTES as usize;
        let buffers = Arc::new(ReadBuffers::default());
        // Length, and whether it comes back.
        for (len, kept) in [
            (0, false),
            (1, false),
            (WINDOW - 1, false),
            (WINDOW, true),
            (BUFFER_BYTES, true),
            (BUFFER_BYTES + 1, false),
        ] {
            let mut buffer = buffers.take(len);
            assert_eq!((buffer.as_ref().len(), buffer.as_mut().len()), (len, len));
            drop(buffer);
            assert_eq!(!buffers.spare.lock().is_empty(), kept, "{len} bytes");
            buffers.spare.lock().clear();
        }
        let held: Vec<_> = (0..SPARE_MAX + 4).map(|_| buffers.take(WINDOW)).collect();
        assert!(buffers.spare.lock().is_empty());
        drop(held);
        assert_eq!(buffers.spare.lock().len(), SPARE_MAX);
        let again = buffers.take(WINDOW + 1);
        assert_eq!((again.as_ref().len(), buffers.spare.lock().len()), (WINDOW + 1, SPARE_MAX - 1));
    }
}
