//! Names of versions as clients see them: `null`, or 32 hex digits made from the sequence.
//!
//! The low half is the sequence, the high half a mix of it, so that ids do not look like a counter
//! and a made-up one is told from one that was handed out.

use std::fmt;
use std::str::FromStr;

use storage_engine::{Entry, Which};

use super::error::ObjectError;

/// Which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VersionId {
    /// The null version.
    Null,
    /// The version with this sequence.
    Sequence(u64),
}

impl VersionId {
    /// The name of an entry.
    pub fn of(entry: &Entry) -> Self {
        if entry.is_null() { Self::Null } else { Self::Sequence(entry.sequence) }
    }

    /// As the engine names it.
    pub(super) fn which(self) -> Which {
        match self {
            Self::Null => Which::Null,
            Self::Sequence(sequence) => Which::Sequence(sequence),
        }
    }

    /// True when `entry` is the version this id names.
    pub(super) fn names(self, entry: &Entry) -> bool {
        Self::of(entry) == self
    }
}

/// The finaliser of SplitMix64: a bijection in which every bit depends on every other.
fn mix(sequence: u64) -> u64 {
    let mut mixed = sequence.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Sequence(sequence) => {
                write!(f, "{:016x}{sequence:016x}", mix(*sequence))
            }
        }
    }
}

impl FromStr for VersionId {
    type Err = ObjectError;

    fn from_str(text: &str) -> Result<Self, ObjectError> {
        if text == "null" {
            return Ok(Self::Null);
        }
        let malformed = || ObjectError::InvalidVersionId;
        if text.len() != 32 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(malformed());
        }
        let both = u128::from_str_radix(text, 16).map_err(|_| malformed())?;
        let (high, low) = ((both >> 64) as u64, both as u64);
        if high == mix(low) { Ok(Self::Sequence(low)) } else { Err(malformed()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back() {
        for id in [VersionId::Null, VersionId::Sequence(0), VersionId::Sequence(u64::MAX)] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_eq!(VersionId::Sequence(1).to_string().len(), 32);
    }

    #[test]
    fn made_up_ids_are_malformed() {
        let good = VersionId::Sequence(77).to_string();
        let bumped = format!("{}e", &good[..31]);
        for text in ["", "Null", "null ", "zz", "0123456789abcdef0123456789abcdef", &bumped] {
            assert_eq!(text.parse::<VersionId>(), Err(ObjectError::InvalidVersionId), "{text}");
        }
        assert!(good.to_uppercase().parse::<VersionId>().is_err());
    }
}
