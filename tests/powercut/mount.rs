//! A [`Device`] as a file system of the kernel: the server meets it through ordinary system calls.
//! Nothing is decided here.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyStatfs, ReplyWrite,
    Request, TimeOrNow, WriteFlags,
};

use crate::device::{Coverage, Device, Facts, Kind, ROOT, Refusal, Replace, SECTOR_BYTES};

/// How long the kernel may trust what it heard: only the kernel changes anything.
const TRUST: Duration = Duration::from_secs(3600);
/// How long a sync takes. It covers what was written when it began: all that comes in the meantime
/// can be lost.
const SYNC: Duration = Duration::from_millis(1);
/// Requests that are answered at a time.
const THREADS: usize = 4;

/// A mounted device; dropping it unmounts.
#[derive(Debug)]
pub struct Mount {
    session: Option<BackgroundSession>,
    watchdog: Child,
}

impl Mount {
    /// Mounts `device` on an empty directory.
    pub fn new(device: &Arc<Mutex<Device>>, directory: &Path) -> io::Result<Self> {
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("lodestore-powercut".to_owned()),
            MountOption::DefaultPermissions,
            MountOption::NoAtime,
        ];
        config.n_threads = Some(THREADS);
        let session = fuser::spawn_mount(Served(Arc::clone(device)), directory, &config)?;
        Ok(Self { session: Some(session), watchdog: watch(directory)? })
    }

    /// Unmounts, so that nothing of the kernel's memory is left.
    pub fn unmount(mut self) -> io::Result<()> {
        self.session.take().map_or(Ok(()), BackgroundSession::umount_and_join)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let ended = [self.watchdog.kill(), self.watchdog.wait().map(drop)];
        if let Some(error) = ended.into_iter().find_map(Result::err) {
            eprintln!("end the watchdog: {error}");
        }
    }
}

/// A shell that waits for this process to end, and then takes the dead mount away.
fn watch(directory: &Path) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", "trap '' INT TERM; read -r _; umount -l -- \"$0\" || fusermount3 -uz \"$0\""])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// The device as the kernel asks it.
struct Served(Arc<Mutex<Device>>);

impl Served {
    fn device(&self) -> Result<MutexGuard<'_, Device>, Errno> {
        self.0.lock().map_err(|_| Errno::EIO)
    }

    fn attributes(&self, id: u64) -> Result<FileAttr, Errno> {
        let (kind, facts) = self.device()?.node(id)?;
        Ok(attributes(id, kind, facts))
    }

    fn make(
        &self,
        parent: INodeNo,
        name: &OsStr,
        kind: Kind,
        mode: u32,
    ) -> Result<FileAttr, Errno> {
        let mode = u16::try_from(mode & 0o7777).map_err(|_| Errno::EINVAL)?;
        let id = self.device()?.make(parent.0, name, kind, mode)?;
        self.attributes(id)
    }

    fn remove(&self, parent: INodeNo, name: &OsStr) -> Result<(), Errno> {
        Ok(self.device()?.remove(parent.0, name)?)
    }
}

impl From<Refusal> for Errno {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing => Self::ENOENT,
            Refusal::Exists => Self::EEXIST,
            Refusal::NotEmpty => Self::ENOTEMPTY,
            Refusal::Full => Self::ENOSPC,
        }
    }
}

fn attributes(id: u64, kind: Kind, facts: Facts) -> FileAttr {
    FileAttr {
        ino: INodeNo(id),
        size: facts.size,
        blocks: facts.size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: file_type(kind),
        perm: facts.mode,
        nlink: 1,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        rdev: 0,
        blksize: SECTOR_BYTES as u32,
        flags: 0,
    }
}

fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::Directory => FileType::Directory,
        Kind::File => FileType::RegularFile,
    }
}

fn done(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

fn entered(result: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match result {
        Ok(attributes) => reply.entry(&TRUST, &attributes, Generation(0)),
        Err(errno) => reply.error(errno),
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.device().and_then(|device| Ok(device.find(parent.0, name)?));
        entered(found.and_then(|id| self.attributes(id)), reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(ino.0) {
            Ok(attributes) => reply.attr(&TRUST, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<std::time::SystemTime>,
        _: Option<FileHandle>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = || -> Result<FileAttr, Errno> {
            let mut device = self.device()?;
            if let Some(size) = size {
                device.set_size(ino.0, size)?;
            }
            if let Some(mode) = mode {
                let mode = u16::try_from(mode & 0o7777).map_err(|_| Errno::EINVAL)?;
                device.set_mode(ino.0, mode)?;
            }
            drop(device);
            self.attributes(ino.0)
        };
        match set() {
            Ok(attributes) => reply.attr(&TRUST, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        entered(self.make(parent, name, Kind::Directory, mode & !umask), reply);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self.make(parent, name, Kind::File, mode & !umask) {
            Ok(attributes) => {
                let (generation, handle) = (Generation(0), FileHandle(0));
                reply.created(&TRUST, &attributes, generation, handle, FopenFlags::empty());
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.remove(parent, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.remove(parent, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let replace = match flags {
            RenameFlags::RENAME_NOREPLACE => Replace::Never,
            _ if flags.is_empty() => Replace::Allowed,
            _ => return reply.error(Errno::EINVAL),
        };
        let renamed = self.device().and_then(|mut device| {
            Ok(device.rename((parent.0, name), (newparent.0, newname), replace)?)
        });
        done(renamed, reply);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.device().and_then(|device| Ok(device.read(ino.0, offset, size.into())?));
        match read {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.device().and_then(|mut device| Ok(device.write(ino.0, offset, data)?));
        match written {
            Ok(()) => reply.written(data.len() as u32),
            Err(errno) => reply.error(errno),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // A close makes nothing durable.
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, datasync: bool, reply: ReplyEmpty) {
        let coverage = if datasync { Coverage::Data } else { Coverage::All };
        let synced = self.device().and_then(|mut device| Ok(device.sync(ino.0, coverage)?));
        std::thread::sleep(SYNC);
        done(synced, reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(self.device().map(|mut device| device.sync_names(ino.0)), reply);
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        if mode != 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let allocate = || -> Result<(), Errno> {
            let mut device = self.device()?;
            let (_, facts) = device.node(ino.0)?;
            Ok(device.set_size(ino.0, facts.size.max(offset + length))?)
        };
        done(allocate(), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let device = match self.device() {
            Ok(device) => device,
            Err(errno) => return reply.error(errno),
        };
        let dots = [".", ".."].map(|name| (OsStr::new(name), ROOT));
        let names = dots.into_iter().chain(device.names(ino.0));
        for (place, (name, id)) in (1..).zip(names).skip(offset as usize) {
            let kind = device.node(id).map_or(Kind::File, |(kind, _)| kind);
            if reply.add(INodeNo(id), place, file_type(kind), name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        match self.device() {
            Ok(device) => {
                let (total, free) = device.room_bytes();
                let (total, free) = (total / SECTOR_BYTES, free / SECTOR_BYTES);
                let (sector, files) = (SECTOR_BYTES as u32, 1 << 20);
                reply.statfs(total, free, free, files, files, sector, 255, sector);
            }
            Err(errno) => reply.error(errno),
        }
    }
}
