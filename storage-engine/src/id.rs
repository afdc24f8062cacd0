//! Identities and counters as types, so that one is never taken for another.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id! {
    /// One life of a zone. Never reused, so it is also the zone's generation.
    ZoneId(u32)
}
id! {
    /// One ownership of a device: raised at every open, on every mutation.
    Epoch(u32)
}
id! {
    /// Position in the journal's order. 0 is before the first record.
    Lsn(u64)
}
id! {
    /// A namespace with its own key: names in it are ordered bytes.
    SpaceId(u32)
}
id! {
    /// One creation attempt of one value: epoch in the high 24 bits, a counter in the low 40.
    /// Never reused, which is what makes a data key serve exactly one attempt.
    BlobId(u64)
}

impl Lsn {
    /// The one behind it.
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The last epoch: a blob id has no room for a later one.
pub(crate) const EPOCH_MAX: Epoch = Epoch((1 << 24) - 1);

/// Never made: it says that there are no space ids left.
pub(crate) const SPACE_NONE: SpaceId = SpaceId(u32::MAX);

/// The space that holds the engine owner's own records; it always exists.
pub const ROOT_SPACE: SpaceId = SpaceId(0);
