//! What the journal asks of a file system, so that a test can put one in its place that loses
//! whatever was not synced.
//!
//! A name is durable when its folder was synced, and the bytes of a file when the file was.

pub(crate) mod disk;
pub(crate) mod read_only;

use std::fmt::Debug;
use std::io;
use std::time::SystemTime;

/// A folder, for one process at a time.
pub(crate) trait Folder: Debug + Send + Sync {
    /// Takes it for this process, until what is returned is dropped. `None` when another one has
    /// it.
    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>>;

    /// Who has it, as far as that is known.
    fn holder(&self) -> String;

    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    fn open(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// Makes an empty file, in place of what had the name.
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// Gives a file another name, in place of what had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all names durable.
    fn sync(&self) -> io::Result<()>;
}

/// An open file. It can still be read when its name is removed.
pub(crate) trait File: Debug + Send + Sync {
    /// How long it is, in bytes.
    fn length(&self) -> io::Result<u64>;

    /// When it was made and written to, where that is kept.
    fn times(&self) -> io::Result<Option<Times>> {
        Ok(None)
    }

    /// Reads into `bytes` until they are full or the file ends, and says how many were read.
    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes all bytes, or fails with some of them written.
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Takes everything from `length` on away.
    fn cut(&self, length: u64) -> io::Result<()>;

    /// Makes its bytes and its length durable.
    fn sync(&self) -> io::Result<()>;
}

/// The times of a file, by the clock of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// When it was made, if that is known.
    pub(crate) made: Option<SystemTime>,
    /// When it was written to for the last time.
    pub(crate) written: SystemTime,
}

/// The first bytes of a file, at most `max`.
pub(crate) fn read_whole(file: &dyn File, max: usize) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.length()?).unwrap_or(usize::MAX).min(max);
    let mut bytes = vec![0; length];
    let read = file.read(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}
