//! The directory of a device: its lock, its names, and changes of names that survive a crash.
//!
//! - One process holds the lock; a second one is told which.
//! - A file is synced before it is renamed, and the folders after it.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FallocateFlags, OFlags, RenameFlags, SeekFrom};
use rustix::io::Errno;

use super::Durability;
use super::frame::{Frame, FrameKind};
use super::zone::{Zone, ZoneState};
use crate::error::{Error, Result};
use crate::id::{Epoch, ZoneId};
use crate::media::{SECTOR_BYTES, Sector, sector_bytes};

const LOCK: &str = "LOCK";
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const SEALED_MODE: u32 = 0o400;
/// One write while a zone is written for the first time.
const FILL_SECTORS: usize = 256;

/// The folders of a device, held against any other process.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    top: File,
    zones: File,
    pool: File,
    durability: Durability,
    /// Locked until it is closed.
    _lock: File,
}

impl Directory {
    /// True when any part of a device is in `path`; looks only.
    pub(super) fn is_device(path: &Path) -> bool {
        let files = [FrameKind::Root, FrameKind::Device].map(FrameKind::file_name);
        files.into_iter().chain(["zones"]).any(|name| path.join(name).exists())
    }

    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self> {
        let explain = |during| move |source| explained(during, path, source);
        let fresh = !path.join(FrameKind::Device.file_name()).exists();
        make_folder(path).map_err(explain("make the device directory"))?;
        let lock = take_lock(path)?;
        for folder in ["zones", "pool"] {
            make_folder(&path.join(folder)).map_err(explain("make the device directory"))?;
        }
        let open = |name: &str| File::open(path.join(name));
        let directory = Self {
            top: open("").map_err(explain("open the device directory"))?,
            zones: open("zones").map_err(explain("open the device directory"))?,
            pool: open("pool").map_err(explain("open the device directory"))?,
            path: path.to_owned(),
            durability,
            _lock: lock,
        };
        directory.settle(fresh)?;
        Ok(directory)
    }

    pub(super) fn top(&self) -> &File {
        &self.top
    }

    /// Makes every name durable that a former process may have left only in memory.
    fn settle(&self, fresh: bool) -> Result<()> {
        let explain = |source| explained("sync the device directory", &self.path, source);
        for folder in [&self.top, &self.zones, &self.pool] {
            self.sync(folder).map_err(explain)?;
        }
        for kind in [FrameKind::Root, FrameKind::Device] {
            let path = self.path.join(kind.file_name());
            let synced = unless_gone(File::open(&path).and_then(|file| self.sync(&file)));
            synced.map_err(|source| explained("sync a file of the device", &path, source))?;
        }
        if fresh {
            // Any of them may have been made just now, or by a caller who left the sync to us; one
            // that cannot be opened was there before.
            for parent in self.path.canonicalize().map_err(explain)?.ancestors().skip(1) {
                if let Ok(parent) = File::open(parent) {
                    self.sync(&parent).map_err(explain)?;
                }
            }
        }
        Ok(())
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        if self.durability == Durability::None {
            return Ok(());
        }
        file.sync_all()
    }

    /// Room on the filesystem for an ordinary user, in bytes.
    pub(super) fn available_bytes(&self) -> io::Result<u64> {
        let facts = rustix::fs::fstatvfs(&self.top)?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }

    /// A framed file, or none when there is none.
    pub(super) fn read_framed(&self, kind: FrameKind) -> Result<Option<Frame>> {
        let path = self.path.join(kind.file_name());
        let explain = |source| explained("read a file of the device", &path, source);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(explain(e)),
        };
        let mut bytes = Vec::new();
        file.take(kind.file_bytes_max() + 1).read_to_end(&mut bytes).map_err(explain)?;
        kind.decode(&bytes).map(Some)
    }

    /// Replaces a framed file: it is the old one or the new one, whatever happens.
    pub(super) fn write_framed(
        &self,
        kind: FrameKind,
        epoch: Epoch,
        payload: &[u8],
    ) -> io::Result<()> {
        let path = self.path.join(kind.file_name());
        let draft = path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(FILE_MODE);
        let mut file = options.open(&draft)?;
        file.write_all(&kind.encode(epoch, payload))?;
        self.sync(&file)?;
        std::fs::rename(&draft, &path)?;
        self.sync(&self.top)
    }

    /// The zones that have a file. A file without write permission is a sealed zone.
    pub(super) fn zones(&self) -> Result<BTreeMap<ZoneId, Arc<Zone>>> {
        let path = self.path.join("zones");
        let explain = |source| explained("list the zones", &path, source);
        let mut zones = BTreeMap::new();
        for item in std::fs::read_dir(&path).map_err(explain)? {
            let item = item.map_err(explain)?;
            let Some(id) = zone_of(&item.file_name().to_string_lossy(), "zone") else { continue };
            let mode = item.metadata().map_err(explain)?.mode();
            let state = if is_writable(mode) { ZoneState::Open } else { ZoneState::Sealed };
            zones.insert(id, Arc::new(Zone::new(id, state)));
        }
        Ok(zones)
    }

    /// The files that wait for reuse; what is half made is removed.
    pub(super) fn pool(&self, zone_bytes: u64) -> Result<Vec<ZoneId>> {
        let path = self.path.join("pool");
        let explain = |source| explained("list freed zones", &path, source);
        let mut pool = Vec::new();
        for item in std::fs::read_dir(&path).map_err(explain)? {
            let item = item.map_err(explain)?;
            let name = item.file_name();
            let name = name.to_string_lossy();
            match zone_of(&name, "free") {
                Some(id) if item.metadata().map_err(explain)?.len() == zone_bytes => pool.push(id),
                Some(_) => std::fs::remove_file(item.path()).map_err(explain)?,
                None if zone_of(&name, "new").is_some() => {
                    std::fs::remove_file(item.path()).map_err(explain)?;
                }
                None => {}
            }
        }
        Ok(pool)
    }

    pub(super) fn open_zone(&self, zone: ZoneId) -> io::Result<File> {
        let path = self.zone_path(zone);
        File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => source,
            // Such as after a copy by another user: an operator has to know which file.
            _ => in_words(&path, source),
        })
    }

    /// Opens a zone for writing; for reading only when it is sealed.
    pub(super) fn open_zone_writer(&self, zone: ZoneId, direct: bool) -> io::Result<File> {
        let flags = if direct { OFlags::DIRECT } else { OFlags::empty() };
        let open = |options: &mut OpenOptions| {
            options.read(true).custom_flags(flags.bits().cast_signed()).open(self.zone_path(zone))
        };
        match open(OpenOptions::new().write(true)) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => open(&mut OpenOptions::new()),
            opened => opened,
        }
    }

    pub(super) fn open_device_direct(&self) -> io::Result<File> {
        let path = self.path.join(FrameKind::Device.file_name());
        let flags = OFlags::DIRECT.bits().cast_signed();
        OpenOptions::new().read(true).custom_flags(flags).open(path)
    }

    /// Makes a whole zone file in the pool folder and returns its name there.
    pub(super) fn make_zone_file(&self, zone: ZoneId, zone_bytes: u64) -> io::Result<String> {
        let name = format!("{:08x}.new", zone.0);
        let path = self.pool_path(&name);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(&path)?;
        let made = allocate(&file, zone_bytes).and_then(|()| self.sync(&file));
        if let Err(error) = made {
            // Left behind, it is removed at the next open.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(name)
    }

    /// Takes the mark of a sealed zone from a file of the pool, where a crash has left it.
    pub(super) fn make_free_writable(&self, name: &str) -> io::Result<()> {
        self.make_writable(&self.pool_path(name))
    }

    /// Takes the mark of a sealed zone from a zone's file, unless the file is gone.
    pub(super) fn make_zone_writable(&self, zone: ZoneId) -> io::Result<()> {
        unless_gone(self.make_writable(&self.zone_path(zone)))
    }

    /// Durable on return: the file's next zone must never look sealed before it is.
    fn make_writable(&self, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        if is_writable(file.metadata()?.mode()) {
            return Ok(());
        }
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
        self.sync(&file)
    }

    /// Writes zeros where a file of the pool was never written, so that a later write to it changes
    /// no metadata of the filesystem.
    pub(super) fn fill_holes(&self, name: &str) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(self.pool_path(name))?;
        let len = file.metadata()?.len();
        let zeros = vec![Sector::ZERO; FILL_SECTORS];
        let mut position = 0;
        while let Some(hole) = next_hole(&file, position, len)? {
            position = hole;
            let end = next_data(&file, hole, len)?;
            while position < end {
                let piece = (end - position).min(FILL_SECTORS as u64 * SECTOR_BYTES);
                let piece = usize::try_from(piece).unwrap_or(usize::MAX);
                let bytes = sector_bytes(&zeros);
                file.write_all_at(bytes.get(..piece).unwrap_or(bytes), position)?;
                position += piece as u64;
            }
        }
        file.sync_all()
    }

    /// Gives a file of the pool a zone's name, durably, unless the name is taken.
    pub(super) fn move_from_pool(&self, name: &str, zone: ZoneId) -> io::Result<()> {
        rename_new(&self.pool, name, &self.zones, &zone_name(zone))?;
        self.sync(&self.zones)?;
        self.sync(&self.pool)
    }

    /// Takes a zone's name away, durably, and keeps its file. A second try ends what a first began.
    pub(super) fn move_to_pool(&self, zone: ZoneId) -> io::Result<()> {
        let moved = rename_new(&self.zones, &zone_name(zone), &self.pool, &free_name(zone));
        unless_gone(moved)?;
        self.sync(&self.zones)?;
        self.sync(&self.pool)
    }

    /// Removes a zone and its file, durably. A second try ends what a first began.
    pub(super) fn unlink_zone(&self, zone: ZoneId) -> io::Result<()> {
        unless_gone(std::fs::remove_file(self.zone_path(zone)))?;
        self.sync(&self.zones)
    }

    /// Makes all of the filesystem durable.
    pub(super) fn sync_filesystem(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.top)?)
    }

    fn zone_path(&self, zone: ZoneId) -> PathBuf {
        self.path.join("zones").join(zone_name(zone))
    }

    fn pool_path(&self, name: &str) -> PathBuf {
        self.path.join("pool").join(name)
    }
}

/// Name of a freed zone's file in the pool.
pub(super) fn free_name(former: ZoneId) -> String {
    format!("{:08x}.free", former.0)
}

/// Takes write permission from a zone's file: the mark of a sealed zone.
pub(super) fn make_read_only(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(SEALED_MODE))
}

fn is_writable(mode: u32) -> bool {
    mode & 0o200 != 0
}

fn zone_name(zone: ZoneId) -> String {
    format!("{:08x}.zone", zone.0)
}

/// The zone in a file name of ours, if it is one.
fn zone_of(name: &str, extension: &str) -> Option<ZoneId> {
    let digits = name.strip_suffix(extension)?.strip_suffix('.')?;
    let lower = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if digits.len() != 8 || !lower {
        return None;
    }
    u32::from_str_radix(digits, 16).ok().map(ZoneId)
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

fn allocate(file: &File, len: u64) -> io::Result<()> {
    let allocated =
        rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len));
    match allocated {
        Ok(()) => Ok(()),
        // A filesystem that cannot reserve finds room when it is written to.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(len),
        Err(Errno::NOSPC | Errno::DQUOT) => Err(io::ErrorKind::StorageFull.into()),
        Err(errno) => Err(errno.into()),
    }
}

fn rename_new(from: &File, name: &str, to: &File, new_name: &str) -> io::Result<()> {
    match rustix::fs::renameat_with(from, name, to, new_name, RenameFlags::NOREPLACE) {
        // Nobody else holds the directory, so that a look beforehand is as good.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            match rustix::fs::statat(to, new_name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(Errno::NOENT) => Ok(rustix::fs::renameat(from, name, to, new_name)?),
                Err(errno) => Err(errno.into()),
            }
        }
        renamed => Ok(renamed?),
    }
}

fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn next_hole(file: &File, position: u64, len: u64) -> io::Result<Option<u64>> {
    if position >= len {
        return Ok(None);
    }
    match rustix::fs::seek(file, SeekFrom::Hole(position)) {
        Ok(hole) => Ok(Some(hole).filter(|hole| *hole < len)),
        // It cannot tell: take everything for a hole.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(position)),
        Err(errno) => Err(errno.into()),
    }
}

fn next_data(file: &File, position: u64, len: u64) -> io::Result<u64> {
    match rustix::fs::seek(file, SeekFrom::Data(position)) {
        Ok(data) if data > position => Ok(data.min(len)),
        Ok(_) | Err(Errno::NXIO | Errno::INVAL | Errno::OPNOTSUPP) => Ok(len),
        Err(errno) => Err(errno.into()),
    }
}

/// Locks the device against any other process and writes down who holds it.
fn take_lock(directory: &Path) -> Result<File> {
    let path = directory.join(LOCK);
    let explain = |source| explained("lock the device directory", directory, source);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    let mut lock = options.open(&path).map_err(explain)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only words for the operator: without them it is still in use.
            let _ = (&lock).take(32).read_to_string(&mut holder);
            let place = directory.display();
            let why = match holder.trim() {
                "" => format!("{place} is in use by another process"),
                pid => format!("{place} is in use by process {pid}"),
            };
            let busy = io::Error::new(io::ErrorKind::ResourceBusy, why);
            return Err(Error::io("lock the device directory", busy));
        }
        Err(TryLockError::Error(source)) => return Err(explain(source)),
    }
    lock.set_len(0).map_err(explain)?;
    writeln!(lock, "{}", std::process::id()).map_err(explain)?;
    Ok(lock)
}

/// An error with what an operator needs to mend it: path, user, owner, mode and what to do.
fn explained(during: &'static str, path: &Path, source: io::Error) -> Error {
    Error::io(during, in_words(path, source))
}

fn in_words(path: &Path, source: io::Error) -> io::Error {
    let uid = rustix::process::geteuid().as_raw();
    let existing = path.ancestors().find_map(|place| Some((place, place.metadata().ok()?)));
    let standing = existing.map_or_else(String::new, |(place, facts)| {
        let (place, owner, mode) = (place.display(), facts.uid(), facts.mode() & 0o7777);
        format!("; {place} belongs to uid {owner} with mode {mode:04o}, this process is uid {uid}")
    });
    let advice = match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "; give it to this user (chown) or choose another directory"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; mount it writable or choose another directory",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "; a file is in the way: remove it or choose another directory"
        }
        io::ErrorKind::StorageFull => "; free some space or choose another directory",
        _ => "",
    };
    let words = format!("{}: {source}{standing}{advice}", path.display());
    io::Error::new(source.kind(), words)
}
