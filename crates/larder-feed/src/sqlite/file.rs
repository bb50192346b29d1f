//! The file that a database is: whether it is still the same, and who follows it.
//!
//! Beside it lies an empty file, and who follows has a lock on that. It is never deleted: two
//! could have a lock on two files of the same name.

use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use larder_core::{Error, ErrorKind, Result};

/// Where a database lies. Nothing is opened by it.
#[derive(Clone, Debug)]
pub(super) struct File {
    path: PathBuf,
    shown: String,
    /// What the lock's file is called behind the database's name.
    suffix: String,
}

/// Says who follows, until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(fs::File);

impl Drop for Lock {
    /// Closing the file wouldn't do: a child that is just being started has it open as well.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl File {
    pub(super) fn new(path: PathBuf, feed: &str) -> Self {
        let shown = format!("sqlite:{}", path.display());
        Self { path, shown, suffix: format!(".{feed}.lock") }
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// What tells it from another file that took its name.
    pub(super) fn identity(&self) -> Result<u64> {
        fs::metadata(&self.path).map(|found| identity(&found)).map_err(|error| self.failed(&error))
    }

    /// Takes the lock.
    pub(super) fn lock(&self) -> Result<Lock> {
        let mut options = OpenOptions::new();
        // Whatever name leads to the database, there is one lock.
        let path = fs::canonicalize(&self.path).map_err(|error| self.failed(&error))?;
        let file = options.create(true).truncate(false).write(true).open(self.beside(&path));
        let file = file.map_err(|error| self.failed(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(ErrorKind::Refused, "another process follows the feed"))
            }
            Err(TryLockError::Error(error)) => Err(self.failed(&error)),
        }
    }

    /// Whether somebody has the lock.
    pub(super) fn is_locked(&self) -> Result<bool> {
        match self.lock() {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == ErrorKind::Refused => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn beside(&self, path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(&self.suffix);
        name.into()
    }

    fn failed(&self, error: &io::Error) -> Error {
        let file = self.path.display();
        Error::new(ErrorKind::SourceDown, format!("the database {file} can't be followed: {error}"))
    }
}

#[cfg(unix)]
fn identity(found: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    found.ino() ^ found.dev().wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Where files have no number, a file that was replaced goes by its own numbers alone.
#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> u64 {
    0
}
