//! The vector engine's one error: each kind says what the caller must do.

use std::fmt;

/// Result of a vector engine call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by what the caller must do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The caller passed something that the index cannot take. Do not retry. The text is for the
    /// caller: lowercase, naming what was wrong.
    Invalid(String),
    /// The index is not there, or was dropped meanwhile.
    NotFound,
    /// The state forbids the change: nothing was written. The text says what stands in the way.
    Conflict(String),
    /// Too many writes wait, or the engine is closing. Retry later.
    Busy,
    /// What is asked is not all in memory: ask again on a thread that may wait for the device.
    NotHeld,
    /// Background work was told to end; it is taken up again at the next start.
    Stopped,
    /// What was stored is not what is read: never served. Restore from a copy.
    Corrupt(String),
    /// The storage engine failed; its kind says what to do.
    Storage(storage_engine::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => write!(f, "invalid: {why}"),
            Self::NotFound => f.write_str("no such vector index"),
            Self::Conflict(why) => write!(f, "conflict: {why}"),
            Self::Busy => f.write_str("too many writes are waiting"),
            Self::NotHeld => f.write_str("not all in memory"),
            Self::Stopped => f.write_str("the vector engine is closing"),
            Self::Corrupt(what) => write!(f, "corrupt vector segment: {what}"),
            Self::Storage(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Storage(error) => Some(error),
            _ => None,
        }
    }
}

impl From<storage_engine::Error> for Error {
    fn from(error: storage_engine::Error) -> Self {
        match error {
            storage_engine::Error::NotFound(storage_engine::Missing::Space(_)) => Self::NotFound,
            error => Self::Storage(error),
        }
    }
}
