//! The name of a request, on its answer, in its error body and in the log.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Unlike any other id of this process, and very likely of any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(u64);

impl RequestId {
    /// What `x-amz-request-id` says: 16 digits.
    pub fn text(self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let nibbles = (0..16).rev().map(|nth| (self.0 >> (4 * nth)) as usize & 15);
        nibbles.map(|nibble| char::from(DIGITS[nibble])).collect()
    }

    /// What `x-amz-id-2` says: longer, for support; ours carries nothing more than the id.
    pub fn extended(self) -> String {
        let mut bytes = [0_u8; 48];
        let mut state = self.0;
        for piece in bytes.chunks_exact_mut(8) {
            state = scatter(state);
            piece.copy_from_slice(&state.to_be_bytes());
        }
        STANDARD.encode(bytes)
    }
}

/// Where request ids come from.
#[derive(Debug)]
pub struct RequestIds {
    next: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        // RandomState is keyed from the system's randomness: another start for each process.
        Self { next: AtomicU64::new(RandomState::new().hash_one("request ids")) }
    }
}

impl RequestIds {
    /// The next one.
    pub fn take(&self) -> RequestId {
        RequestId(scatter(self.next.fetch_add(1, Ordering::Relaxed)))
    }
}

/// The finalizer of splitmix64: one to one, so no two counts give the same id.
fn scatter(count: u64) -> u64 {
    let mut mixed = count.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::RequestIds;

    #[test]
    fn ids_differ_and_have_their_forms() {
        let ids = RequestIds::default();
        let (first, second) = (ids.take(), ids.take());
        assert_ne!(first, second);
        assert_eq!(first.text(), format!("{:016X}", first.0));
        assert_eq!(first.extended().len(), 64);
        assert_ne!(first.extended(), second.extended());
    }
}
