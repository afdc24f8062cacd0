//! What a device says about itself. Nothing here can fail an open: what is not known is none.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::directory::Directory;
use crate::media::{SECTOR_BYTES, Sector, sector_bytes_mut};

/// Whether a write that completed can still be lost by the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteCache {
    /// A completed write is on stable media; a sync costs no flush.
    Through,
    /// A completed write may lie in a volatile cache until it is flushed.
    Back,
}

/// What the device says about its write cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Name of the filesystem, or its magic number.
    pub filesystem: String,
    /// Name of the block device below it.
    pub device: Option<String>,
    /// The device's write cache.
    pub write_cache: Option<WriteCache>,
    /// True when the device can force one write to stable media.
    pub forced_unit_access: Option<bool>,
    /// True for spinning media.
    pub rotational: Option<bool>,
    /// True when the filesystem takes direct I/O.
    pub direct: bool,
}

impl Probe {
    pub(super) fn of(directory: &Directory) -> Self {
        let queue = queue_folder(directory.top());
        let setting = |name: &str| {
            let text = std::fs::read_to_string(queue.as_ref()?.join(name)).ok()?;
            Some(text.trim().to_owned())
        };
        let flag = |name: &str| setting(name).map(|text| text != "0");
        Self {
            filesystem: filesystem_name(directory.top()),
            device: queue.as_ref().and_then(|queue| {
                Some(queue.parent()?.file_name()?.to_string_lossy().into_owned())
            }),
            write_cache: setting("write_cache").and_then(|text| match text.as_str() {
                "write through" => Some(WriteCache::Through),
                "write back" => Some(WriteCache::Back),
                _ => None,
            }),
            forced_unit_access: flag("fua"),
            rotational: flag("rotational"),
            direct: takes_direct(directory),
        }
    }
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.filesystem)?;
        if let Some(device) = &self.device {
            write!(f, " on {device}")?;
        }
        match self.write_cache {
            Some(WriteCache::Through) => f.write_str(", write-through")?,
            Some(WriteCache::Back) => f.write_str(", volatile write cache")?,
            None => {}
        }
        f.write_str(if self.direct { ", direct I/O" } else { ", buffered I/O" })
    }
}

/// The block device's queue settings; a partition has them one level up.
fn queue_folder(top: &File) -> Option<PathBuf> {
    let device = top.metadata().ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let place = std::fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    let folders = [place.join("queue"), place.parent()?.join("queue")];
    folders.into_iter().find(|folder| folder.is_dir())
}

fn filesystem_name(top: &File) -> String {
    let Ok(facts) = rustix::fs::fstatfs(top) else { return "unknown".into() };
    let magic = facts.f_type as u64;
    let name = match magic {
        0xEF53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683E => "btrfs",
        0x2FC1_2FC1 => "zfs",
        0xF2F5_2010 => "f2fs",
        0x0102_1994 => "tmpfs",
        0x794C_7630 => "overlay",
        0x6573_5546 => "fuse",
        0x0102_1997 => "9p",
        0x6969 => "nfs",
        _ => return format!("filesystem {magic:#x}"),
    };
    name.into()
}

/// Some filesystems refuse direct I/O at open, some at the first read.
fn takes_direct(directory: &Directory) -> bool {
    let Ok(file) = directory.open_device_direct() else { return false };
    let mut out = [Sector::ZERO];
    let bytes = sector_bytes_mut(&mut out);
    debug_assert_eq!(bytes.len() as u64, SECTOR_BYTES);
    std::os::unix::fs::FileExt::read_at(&file, bytes, 0).is_ok()
}
