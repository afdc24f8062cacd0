//! How much memory this process may use: the machine's, or less where a container or a
//! unit is limited; and how much of it caches are given.

use std::path::{Path, PathBuf};

/// Of the memory, the share that caches of vector queries are given.
const VECTOR_CACHE_SHARE: u64 = 8;
/// What they get where memory is short, or its size is not known, and what they get at most.
const VECTOR_CACHE_BYTES: (u64, u64) = (256 << 20, 16 << 30);

/// Bytes for the caches of vector queries where nobody says how many.
pub fn vector_cache_bytes() -> usize {
    let (least, most) = VECTOR_CACHE_BYTES;
    let share = memory_bytes().map_or(least, |bytes| bytes / VECTOR_CACHE_SHARE);
    usize::try_from(share.clamp(least, most)).unwrap_or(usize::MAX)
}

/// Bytes of memory of this machine or of the limit that its control group sets, whichever is less;
/// none where the system does not say.
fn memory_bytes() -> Option<u64> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| total_of(&text));
    let group = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = limit_files(&group).into_iter().filter_map(|path| limit_of(&read(&path)?));
    limits.chain(machine).min()
}

/// The line `MemTotal` of `/proc/meminfo`.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Where limits may stand, in control groups of both versions. A container sees its own group as the
/// root; a unit of systemd lies below it, and so do the groups around it.
fn limit_files(own_groups: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let mut files = vec![root.join("memory.max"), root.join("memory/memory.limit_in_bytes")];
    let own = own_groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let own = own.map(Path::new).unwrap_or(Path::new(""));
    let around = own.ancestors().take_while(|group| *group != Path::new(""));
    files.extend(around.map(|group| root.join(group).join("memory.max")));
    files
}

/// A limit as a control group writes it; `max` is none.
fn limit_of(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_s_memory_is_read_from_meminfo() {
        let text = "MemFree:  7 kB\nMemTotal:       24597204 kB\n";
        assert_eq!(total_of(text), Some(24_597_204 * 1024));
        for bad in ["", "MemTotal: many kB", "MemTotal: 12", "MemTotal: 99999999999999999999 kB"] {
            assert_eq!(total_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn limits_are_looked_for_in_the_own_group_and_those_around_it() {
        let files = limit_files("1:name=x:/y\n0::/system.slice/lodestore.service\n");
        for file in
            ["memory.max", "system.slice/memory.max", "system.slice/lodestore.service/memory.max"]
        {
            assert!(files.contains(&Path::new("/sys/fs/cgroup").join(file)), "{file}: {files:?}");
        }
        assert_eq!(limit_files("").len(), 2);
    }

    #[test]
    fn no_limit_is_none() {
        assert_eq!(limit_of("max\n"), None);
        assert_eq!(limit_of("1073741824\n"), Some(1 << 30));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_says_how_much_it_has() {
        assert!(memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
