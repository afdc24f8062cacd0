//! File descriptors: as many as the system lets this process have, shared between connections and
//! the store.
//!
//! - Connections get half. Anybody may open them, and a store that cannot open its next zone stops.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Fewest that a server works with: a quarter goes to the open zones, some dozens to all else.
pub const DESCRIPTORS_MIN: u64 = 256;

/// Raises the limit of this process as far as it may; answers how many descriptors it may have.
pub fn raise() -> u64 {
    let held = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: held.maximum, maximum: held.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of file descriptors stays as it is");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Of `wanted` connections those that `descriptors` are enough for; none where no server is.
pub fn connections_within(wanted: usize, descriptors: u64) -> Option<usize> {
    let half = usize::try_from(descriptors / 2).unwrap_or(usize::MAX);
    (descriptors >= DESCRIPTORS_MIN).then(|| wanted.min(half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_half() {
        for (wanted, descriptors, given) in [
            (8192, 0, None),
            (1, 255, None),
            (8192, 256, Some(128)),
            (8192, 1024, Some(512)),
            (8192, 16_384, Some(8192)),
            (8192, u64::MAX, Some(8192)),
            (3, 1024, Some(3)),
        ] {
            assert_eq!(connections_within(wanted, descriptors), given, "{wanted} of {descriptors}");
        }
    }

    #[test]
    fn the_limit_is_raised_to_what_is_allowed() {
        let allowed = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert_eq!(raise(), allowed);
    }
}
