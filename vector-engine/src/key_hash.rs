//! The keyed hash that stands for a row's key in memory and orders rows within a segment.
//!
//! - 128 bits under a secret of the index: no one can make two keys meet.
//! - Listings go in the order of hashes, which no seal or compaction changes.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

/// The secret under which an index hashes keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HashSecret(pub(crate) [u8; 16]);

/// Hash of a key, ordered as its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyHash(pub(crate) [u8; 16]);

impl KeyHash {
    /// Bytes of a hash.
    pub(crate) const BYTES: usize = 16;

    /// The hash of `key`.
    pub(crate) fn of(secret: &HashSecret, key: &str) -> Self {
        let mut hasher = SipHasher24::new_with_key(&secret.0);
        hasher.write(key.as_bytes());
        Self(hasher.finish128().as_u128().to_be_bytes())
    }

    /// The part of `parts` equal parts of all hashes that this one is in.
    pub(crate) fn part(self, parts: u32) -> u32 {
        let [a, b, c, d, ..] = self.0;
        let scaled = u64::from(u32::from_be_bytes([a, b, c, d])) * u64::from(parts);
        (scaled >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::{HashSecret, KeyHash};

    #[test]
    fn hashes_depend_on_key_and_secret() {
        let (one, other) = (HashSecret([1; 16]), HashSecret([2; 16]));
        assert_eq!(KeyHash::of(&one, "a"), KeyHash::of(&one, "a"));
        assert_ne!(KeyHash::of(&one, "a"), KeyHash::of(&one, "b"));
        assert_ne!(KeyHash::of(&one, "a"), KeyHash::of(&other, "a"));
    }

    #[test]
    fn parts_cover_all_hashes_in_order() {
        for (first, expected) in [(0, 0), (0x3f, 0), (0x40, 1), (0x80, 2), (0xc0, 3), (0xff, 3)] {
            let mut bytes = [0xff; 16];
            bytes[0] = first;
            assert_eq!(KeyHash(bytes).part(4), expected, "{first:x}");
        }
    }
}
