//! Memory in which values are sealed on their way to the device: one budget for all writers.
//!
//! - Nobody waits for a part of the budget, so nobody who holds one can hold up another. Where it is
//!   spent, a writer gets what one chunk takes: all writers together have the budget and a chunk each.
//! - A buffer goes back when it is written, not when its writer comes for it: a writer whose stream
//!   has stalled holds one buffer at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::limits::{CHUNK_BYTES, WRITE_BYTES};
use crate::media::{SECTOR_BYTES, Sector, sector_bytes, sector_bytes_mut};

/// A device write, and a sector for the tags that end most values.
pub(crate) const BUFFER_BYTES_MAX: usize = WRITE_BYTES + SECTOR_BYTES as usize;
/// Up to this a buffer costs no more than a writer has to have: it is not counted.
const UNCOUNTED_BYTES_MAX: usize = CHUNK_BYTES + SECTOR_BYTES as usize;
/// Whole buffers kept for the next writers, whose pages the kernel need not find and clear again.
const SPARE_MAX: usize = 16;

/// The budget, and buffers to use again.
#[derive(Debug)]
pub(crate) struct WriteBuffers {
    budget_bytes: usize,
    taken_bytes: AtomicUsize,
    spare: Mutex<Vec<Vec<Sector>>>,
}

/// Whole sectors of memory. What they hold at first is of no meaning.
#[derive(Debug)]
pub(crate) struct WriteBuffer {
    sectors: Vec<Sector>,
    /// Where it goes back to, when it is counted.
    home: Option<Arc<WriteBuffers>>,
}

impl WriteBuffers {
    /// None taken yet of so many bytes.
    pub(crate) fn new(budget_bytes: usize) -> Self {
        Self { budget_bytes, taken_bytes: AtomicUsize::new(0), spare: Mutex::default() }
    }

    /// A buffer of `bytes`, unless that is more than is left.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<WriteBuffer> {
        if bytes <= UNCOUNTED_BYTES_MAX {
            return Some(WriteBuffer::uncounted(bytes));
        }
        let bytes = bytes.next_multiple_of(SECTOR_BYTES as usize);
        let add = |taken: usize| Some(taken + bytes).filter(|taken| *taken <= self.budget_bytes);
        self.taken_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok()?;
        let used_before = (bytes == BUFFER_BYTES_MAX).then(|| self.spare.lock().pop()).flatten();
        let sectors = used_before.unwrap_or_else(|| zeroed(bytes));
        Some(WriteBuffer { sectors, home: Some(Arc::clone(self)) })
    }
}

impl WriteBuffer {
    /// One outside of the budget.
    pub(crate) fn uncounted(bytes: usize) -> Self {
        Self { sectors: zeroed(bytes), home: None }
    }

    pub(crate) fn sectors(&self) -> &[Sector] {
        &self.sectors
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        sector_bytes(&self.sectors)
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        sector_bytes_mut(&mut self.sectors)
    }
}

impl Drop for WriteBuffer {
    fn drop(&mut self) {
        let Some(home) = &self.home else { return };
        let len = self.bytes().len();
        if len == BUFFER_BYTES_MAX {
            let mut spare = home.spare.lock();
            if spare.len() < SPARE_MAX {
                spare.push(std::mem::take(&mut self.sectors));
            }
        }
        home.taken_bytes.fetch_sub(len, Ordering::Relaxed);
    }
}

fn zeroed(bytes: usize) -> Vec<Sector> {
    vec![Sector::ZERO; bytes.div_ceil(SECTOR_BYTES as usize)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_the_budget() {
        let buffers = Arc::new(WriteBuffers::new(3 * BUFFER_BYTES_MAX));
        let whole = || buffers.take(BUFFER_BYTES_MAX);
        let mut held = vec![whole().unwrap(), whole().unwrap()];
        held.push(buffers.take(WRITE_BYTES).unwrap());
        assert!(whole().is_none());
        assert!(buffers.take(UNCOUNTED_BYTES_MAX + 1).is_none());
        let chunk = buffers.take(UNCOUNTED_BYTES_MAX).unwrap();
        assert_eq!(chunk.bytes().len(), UNCOUNTED_BYTES_MAX);
        held.swap_remove(0);
        let small = buffers.take(UNCOUNTED_BYTES_MAX + 1).unwrap();
        assert!(whole().is_none());
        drop((small, held, chunk));
        assert_eq!(buffers.taken_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn whole_buffers_are_used_again() {
        let buffers = Arc::new(WriteBuffers::new(64 * BUFFER_BYTES_MAX));
        let held: Vec<_> = (0..20).map(|_| buffers.take(BUFFER_BYTES_MAX).unwrap()).collect();
        drop(held);
        assert_eq!(buffers.spare.lock().len(), SPARE_MAX);
        let again = buffers.take(BUFFER_BYTES_MAX).unwrap();
        assert_eq!((again.bytes().len(), again.sectors().len()), (BUFFER_BYTES_MAX, 257));
        assert_eq!(buffers.spare.lock().len(), SPARE_MAX - 1);
    }
}
