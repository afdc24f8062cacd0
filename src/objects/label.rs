//! The byte that the index keeps with a version: what is asked of many versions, unread.
//!
//! | bits | meaning |
//! |---|---|
//! | 0–2 | checksum algorithm code, 0: no checksum |
//! | 3 | set: the checksum is composite |
//! | 4–6 | storage class code |
//! | 7 | set: a vector is bound to the version |

use super::meta::StorageClass;
use crate::checksum::{Algorithm, Coverage};

const ALGORITHM: u8 = 0b0000_0111;
const COMPOSITE: u8 = 0b0000_1000;
const CLASS_SHIFT: u32 = 4;
const CLASS: u8 = 0b0111_0000;
const BOUND: u8 = 0b1000_0000;

/// What is known of a version besides what every entry has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Label {
    /// Checksum algorithm and coverage.
    pub(super) checksum: Option<(Algorithm, Coverage)>,
    /// Storage class.
    pub(super) storage_class: StorageClass,
    /// Whether a vector is bound to the version.
    pub(super) bound: bool,
}

impl Label {
    /// As the index keeps it.
    pub(super) fn encode(self) -> u8 {
        let checksum = match self.checksum {
            None => 0,
            Some((algorithm, Coverage::FullObject)) => algorithm.code() & ALGORITHM,
            Some((algorithm, Coverage::Composite)) => algorithm.code() & ALGORITHM | COMPOSITE,
        };
        let bound = if self.bound { BOUND } else { 0 };
        bound | checksum | self.storage_class.code() << CLASS_SHIFT & CLASS
    }

    /// From [`Label::encode`]. A label only decorates a listing: what is unknown is left out.
    pub(super) fn decode(byte: u8) -> Self {
        let coverage =
            if byte & COMPOSITE == 0 { Coverage::FullObject } else { Coverage::Composite };
        let class = StorageClass::from_code((byte & CLASS) >> CLASS_SHIFT);
        Self {
            checksum: Algorithm::from_code(byte & ALGORITHM).map(|algorithm| (algorithm, coverage)),
            storage_class: class.unwrap_or_default(),
            bound: byte & BOUND != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_back() {
        let coverages = [Coverage::FullObject, Coverage::Composite];
        let checksums = Algorithm::ALL.iter().flat_map(|a| coverages.map(|c| Some((*a, c))));
        for checksum in checksums.chain([None]) {
            for storage_class in StorageClass::ALL {
                for bound in [false, true] {
                    let label = Label { checksum, storage_class, bound };
                    assert_eq!(Label::decode(label.encode()), label);
                }
            }
        }
        assert_eq!(Label::decode(0), Label::default());
    }
}
