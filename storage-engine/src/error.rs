//! The engine's one error: each kind says what the caller must do.
//!
//! Errors are values on their way to the place that handles them; that place logs them, once.

use std::fmt;

use crate::entry::Entry;
use crate::id::{SpaceId, ZoneId};

/// Result of an engine call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by what the caller must do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A condition of the batch did not hold: nothing was written. Re-read and decide.
    Condition {
        /// Position of the failed condition in [`crate::Batch::conditions`].
        index: usize,
        /// The current version at that name when the batch was sequenced.
        found: Option<Entry>,
    },
    /// A lock forbids the change: nothing was written. Do not retry before it ends.
    Locked {
        /// Why, in words for an operator.
        reason: &'static str,
    },
    /// What the operation names is not there.
    NotFound(Missing),
    /// The caller passed something outside the engine's limits. Do not retry.
    Invalid(String),
    /// No room, or too much in flight. Retry later, or free space; deletes always work.
    Busy(Shortage),
    /// Bytes read back are not the bytes written. Restore from a copy; never served.
    Corrupt(Corruption),
    /// A device call failed. The operation did not happen.
    Io {
        /// What the engine was doing.
        during: &'static str,
        /// What the system answered.
        source: std::io::Error,
    },
    /// Another owner raised the epoch, or holds the device. Step down.
    Fenced {
        /// The epoch found on the device.
        found: u32,
        /// The epoch this owner holds.
        held: u32,
    },
    /// The engine stopped taking writes after a failure it cannot undo, or was closed.
    Stopped {
        /// The first failure, in words.
        reason: String,
    },
}

/// What was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The space was never made, or was dropped.
    Space(SpaceId),
    /// No such version of the name.
    Version,
    /// A blob that a value refers to is gone.
    Blob,
    /// A zone is not on the device.
    Zone(ZoneId),
}

/// What there is too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// The device has no zone left for user writes.
    Space,
    /// The commit queue is at its limit.
    Queue,
}

/// Where a bad byte is and how it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corruption {
    /// The zone, or none for the root object.
    pub zone: Option<ZoneId>,
    /// Byte offset inside the zone.
    pub offset: u64,
    /// The structure that was being read.
    pub what: &'static str,
    /// What had to be there.
    pub expected: String,
    /// What was there.
    pub found: String,
}

impl Error {
    /// An [`Error::Io`] with what was being done.
    pub fn io(during: &'static str, source: std::io::Error) -> Self {
        Self::Io { during, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Condition { index, .. } => write!(f, "condition {index} of the batch failed"),
            Self::Locked { reason } => write!(f, "locked: {reason}"),
            Self::NotFound(missing) => match missing {
                Missing::Space(id) => write!(f, "space {id} does not exist"),
                Missing::Version => write!(f, "no such version"),
                Missing::Blob => write!(f, "blob is gone"),
                Missing::Zone(id) => write!(f, "zone {id} is not on the device"),
            },
            Self::Invalid(why) => write!(f, "invalid: {why}"),
            Self::Busy(Shortage::Space) => write!(f, "no space left for user writes"),
            Self::Busy(Shortage::Queue) => write!(f, "commit queue is full"),
            Self::Corrupt(c) => {
                write!(f, "corrupt {}", c.what)?;
                if let Some(zone) = c.zone {
                    write!(f, " in zone {zone}")?;
                }
                write!(f, " at offset {}: expected {}, found {}", c.offset, c.expected, c.found)
            }
            Self::Io { during, source } => write!(f, "{during}: {source}"),
            Self::Fenced { found, held } => {
                write!(f, "fenced: device is at epoch {found}, this owner holds {held}")
            }
            Self::Stopped { reason } => write!(f, "engine stopped: {reason}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
