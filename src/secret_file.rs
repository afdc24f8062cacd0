//! Small files that only their owner may read: written once, durably, never replaced.
//!
//! The caller holds the lock of the data directory: nobody else creates a file there.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

/// Bits of a mode that let anyone but the owner in.
const OTHERS: u32 = 0o077;

/// Creates `path` with `bytes`, mode 0600; it and its name are on stable media when this returns.
/// Fails when the file exists. A crash leaves either nothing or the whole file.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".new");
    let draft = directory.join(name);
    if path.try_exists()? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // What an interrupted start left was never used.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    File::open(directory)?.sync_all()
}

/// Reads `path`: none when there is no such file. Refuses one that others may read, one over
/// `bytes_max`, and one that is no text.
pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Option<Zeroizing<String>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(forbidden(path, &error));
        }
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    let mode = metadata.permissions().mode();
    if mode & OTHERS != 0 {
        let text = format!(
            "mode {:04o} lets others in (owner uid {}): run chmod 600",
            mode & 0o7777,
            metadata.uid()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    if metadata.len() > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too long"));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(bytes_max).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Who may not read it, whose it is, and how to mend that.
fn forbidden(path: &Path, error: &io::Error) -> io::Error {
    let uid = rustix::process::geteuid().as_raw();
    let standing = std::fs::metadata(path).map_or_else(
        |_| String::new(),
        |facts| {
            let mode = facts.permissions().mode() & 0o7777;
            format!(" (it belongs to uid {}, mode {mode:04o})", facts.uid())
        },
    );
    let text = format!("{error}{standing}: give it to this user (chown {uid} {})", path.display());
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_created_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        assert!(read(&path, 100).unwrap().is_none());
        create(&path, b"one").unwrap();
        assert_eq!(create(&path, b"two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path, 100).unwrap().unwrap().as_str(), "one");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_draft_left_by_a_crash_is_in_nobody_s_way() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("secret.new"), "half").unwrap();
        let path = directory.path().join("secret");
        create(&path, b"whole").unwrap();
        assert_eq!(read(&path, 100).unwrap().unwrap().as_str(), "whole");
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        create(&path, b"one").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let text = read(&path, 100).unwrap_err().to_string();
        assert!(text.contains("mode 0644 lets others in"), "{text}");
    }

    #[test]
    fn a_forbidden_file_is_named_with_owner_mode_and_fix() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        create(&path, b"one").unwrap();
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let text = forbidden(&path, &denied).to_string();
        let uid = rustix::process::geteuid().as_raw();
        let standing = format!("it belongs to uid {uid}, mode 0600");
        let fix = format!("chown {uid} {}", path.display());
        assert!(text.contains(&standing) && text.contains(&fix), "{text}");
    }

    #[test]
    fn a_long_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        create(&path, &[b'x'; 101]).unwrap();
        assert!(read(&path, 100).is_err());
    }
}
