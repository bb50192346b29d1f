//! A real folder that is only looked at: nothing in it is made, changed, locked or removed.

use std::io;
use std::path::{Path, PathBuf};

use super::{File, Folder};

/// A folder by its path, which may belong to another process.
#[derive(Debug)]
pub(crate) struct ReadOnlyFolder(PathBuf);

impl ReadOnlyFolder {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl Folder for ReadOnlyFolder {
    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>> {
        refused()
    }

    fn holder(&self) -> String {
        super::disk::holder(&self.0)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        super::disk::names(&self.0)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        super::disk::open_to_read(&self.0.join(name))
    }

    fn create(&self, _: &str) -> io::Result<Box<dyn File>> {
        refused()
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        refused()
    }

    fn sync(&self) -> io::Result<()> {
        refused()
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}
