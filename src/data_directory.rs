//! The directory of the store: made when missing, checked before anything is opened, and removed at
//! exit when it is a temporary one. Its errors say what an operator has to do.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use crate::config::{ConfigError, Place};

/// Only the owner may look into a store.
const MODE: u32 = 0o700;

/// Each finds what was made since the one before; opening a store makes a few files.
const REMOVE_ATTEMPTS_MAX: u32 = 100;

/// A directory that can be written.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    lifetime: Lifetime,
}

/// Whether the store outlives the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// It stays.
    Permanent,
    /// It is removed when this value is dropped.
    Ephemeral,
}

impl DataDirectory {
    /// Makes the directory of `place` when it is missing, and checks that it can be written.
    pub fn open(place: &Place) -> Result<Self, ConfigError> {
        let (path, lifetime) = match place {
            Place::Directory(path) => (path.clone(), Lifetime::Permanent),
            Place::Ephemeral => (temporary_path()?, Lifetime::Ephemeral),
        };
        let made = DirBuilder::new().recursive(true).mode(MODE).create(&path);
        made.and_then(|()| check(&path)).map_err(|error| explain(&path, &error))?;
        let path = path.canonicalize().map_err(|error| explain(&path, &error))?;
        Ok(Self { path, lifetime })
    }

    /// Where it is, from the root of the file system.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it stays.
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime
    }
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        if self.lifetime == Lifetime::Ephemeral {
            remove_ephemeral(&self.path);
        }
    }
}

/// Removes a temporary store. Nothing can be done when that fails: the system's own cleaning of
/// temporary files gets it.
pub fn remove_ephemeral(path: &Path) {
    for attempt in 1.. {
        match std::fs::remove_dir_all(path) {
            // A store that is just being opened makes files in it.
            Err(error)
                if error.kind() == io::ErrorKind::DirectoryNotEmpty
                    && attempt < REMOVE_ATTEMPTS_MAX => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "temporary store was not removed");
                return;
            }
            Ok(()) => return,
        }
    }
}

fn temporary_path() -> Result<PathBuf, ConfigError> {
    let mut name = [0; 8];
    aws_lc_rs::rand::fill(&mut name)
        .map_err(|_| ConfigError::new("ephemeral: the system gives no randomness"))?;
    Ok(std::env::temp_dir().join(format!("lodestore-{}", hex::encode(name))))
}

fn check(path: &Path) -> io::Result<()> {
    if !std::fs::metadata(path)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)?)
}

/// What is wrong with `path`, who is asking, and how to mend it.
fn explain(path: &Path, error: &io::Error) -> ConfigError {
    let uid = rustix::process::geteuid().as_raw();
    let shown = path.display();
    let fix = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let give = if path.exists() { "chown" } else { "install -d -m 0700 -o" };
            format!("give it to this user ({give} {uid} {shown}), or name another with --data")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "mount it writable, or name another with --data".into()
        }
        io::ErrorKind::StorageFull => "make room, or name another with --data".into(),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "a file is in the way; move it, or name another with --data".into()
        }
        _ => "name another with --data".into(),
    };
    ConfigError::new(format!(
        "data: `{shown}` cannot be used by uid {uid}: {error}{}; {fix}",
        nearest(path)
    ))
}

/// Owner and mode of `path`, or of the nearest directory above it that exists.
fn nearest(path: &Path) -> String {
    let found = path.ancestors().find_map(|ancestor| {
        let ancestor = if ancestor.as_os_str().is_empty() { Path::new(".") } else { ancestor };
        Some((ancestor, std::fs::metadata(ancestor).ok()?))
    });
    let Some((ancestor, metadata)) = found else { return String::new() };
    format!(
        " ({} belongs to uid {}, mode {:04o})",
        ancestor.display(),
        metadata.uid(),
        metadata.permissions().mode() & 0o7777
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Result<DataDirectory, ConfigError> {
        DataDirectory::open(&Place::Directory(path.to_owned()))
    }

    #[test]
    fn a_missing_directory_is_made_for_its_owner_only() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let directory = open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        drop(directory);
        assert!(path.is_dir());
        open(&path).unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_named_with_owner_mode_and_fix() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("file");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let text = open(&path).unwrap_err().to_string();
        let uid = rustix::process::geteuid().as_raw();
        assert!(text.contains(&format!("cannot be used by uid {uid}")), "{text}");
        assert!(text.contains("mode 0640") && text.contains("move it"), "{text}");
    }

    #[test]
    fn a_forbidden_directory_names_the_fix() {
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        let text = explain(Path::new("/"), &error).to_string();
        assert!(text.contains("(chown ") && text.contains("belongs to uid 0, mode"), "{text}");
    }

    #[test]
    fn an_ephemeral_directory_ends_with_its_owner() {
        let directory = DataDirectory::open(&Place::Ephemeral).unwrap();
        let path = directory.path().to_owned();
        std::fs::write(path.join("file"), "x").unwrap();
        drop(directory);
        assert!(!path.exists());
    }
}
