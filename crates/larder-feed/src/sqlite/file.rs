//! The file that a database is: whether it is still the same, and who follows it.
//!
//! Beside it lies an empty file, and who follows has a lock on that; and another one for who
//! watches. They are never deleted: two could have a lock on two files of the same name.

use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::path::PathBuf;

use larder_core::{Error, ErrorKind, Result};

/// Where a database lies. Nothing is opened by it.
#[derive(Clone, Debug)]
pub(super) struct File {
    path: PathBuf,
    shown: String,
    /// What the lock's file is called behind the database's name.
    suffix: String,
    /// And that of who watches beside who follows.
    watch_suffix: String,
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
        let (suffix, watch_suffix) = (format!(".{feed}.lock"), format!(".{feed}.watch"));
        Self { path, shown, suffix, watch_suffix }
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// What tells it from another file that took its name.
    pub(super) fn identity(&self) -> Result<u64> {
        fs::metadata(&self.path).map(|found| identity(&found)).map_err(|error| self.failed(&error))
    }

    /// Takes the lock of who follows.
    pub(super) fn lock(&self) -> Result<Lock> {
        self.lock_beside(&self.suffix, "another process follows the feed")
    }

    /// Takes the lock of who watches.
    pub(super) fn watch(&self) -> Result<Lock> {
        self.lock_beside(&self.watch_suffix, "somebody else watches the feed")
    }

    fn lock_beside(&self, suffix: &str, taken: &'static str) -> Result<Lock> {
        let mut options = OpenOptions::new();
        // Whatever name leads to the database, there is one lock.
        let path = fs::canonicalize(&self.path).map_err(|error| self.failed(&error))?;
        let mut name = path.into_os_string();
        name.push(suffix);
        let file = options.create(true).truncate(false).write(true).open(PathBuf::from(name));
        let file = file.map_err(|error| self.failed(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => Err(Error::new(ErrorKind::Refused, taken)),
            Err(TryLockError::Error(error)) => Err(self.failed(&error)),
        }
    }

    /// Whether somebody follows.
    pub(super) fn is_locked(&self) -> Result<bool> {
        is_taken(self.lock())
    }

    /// Whether somebody watches.
    pub(super) fn is_watched(&self) -> Result<bool> {
        is_taken(self.watch())
    }

    fn failed(&self, error: &io::Error) -> Error {
        let file = self.path.display();
        Error::new(ErrorKind::SourceDown, format!("the database {file} can't be followed: {error}"))
    }
}

fn is_taken(lock: Result<Lock>) -> Result<bool> {
    match lock {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::Refused => Ok(true),
        Err(error) => Err(error),
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
