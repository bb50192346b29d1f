//! A real folder. All that this crate knows of the operating system is here.
//!
//! Files are synced with `fdatasync`, which on Linux makes the length durable too, as far as it is
//! needed to read what was written. A folder is synced like a file.

use std::fs::{self, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{File, Folder, Times};

const LOCK: &str = "lock";

/// A folder by its path.
#[derive(Debug)]
pub(crate) struct DiskFolder {
    path: PathBuf,
}

impl DiskFolder {
    /// The folder at `path`, which is made if it isn't there.
    pub(crate) fn make(path: &Path) -> io::Result<Self> {
        let made = path.ancestors().take_while(|above| !above.exists()).count();
        fs::create_dir_all(path)?;
        // Each one's name stands in the folder above. That of the last is synced even if it was
        // there: who made it may have been killed before.
        let path = path.canonicalize()?;
        for above in path.ancestors().skip(1).take(made.max(1)) {
            match fs::File::open(above).and_then(|folder| folder.sync_all()) {
                // What can't be read wasn't made here.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                done => done?,
            }
        }
        Ok(Self { path })
    }
}

impl Folder for DiskFolder {
    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false);
        let file = file.open(self.path.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => {
                // Only for people: what counts is the lock. A full disk is no reason not to open.
                let text = format!("{}\n", std::process::id());
                let _ = file.set_len(0).and_then(|()| file.write_all_at(text.as_bytes(), 0));
                Ok(Some(Box::new(file)))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn holder(&self) -> String {
        holder(&self.path)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        names(&self.path)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(true).open(self.path.join(name))?;
        Ok(Box::new(DiskFile(file)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Box::new(DiskFile(options.open(self.path.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.path)?.sync_all()
    }
}

/// Who took the folder last.
pub(super) fn holder(path: &Path) -> String {
    let text = fs::read_to_string(path.join(LOCK)).unwrap_or_default();
    match text.trim() {
        "" => "another process".to_owned(),
        id => format!("process {id}"),
    }
}

/// The names of all files.
pub(super) fn names(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

/// A file that can't be written to, so that no mistake could.
pub(super) fn open_to_read(path: &Path) -> io::Result<Box<dyn File>> {
    Ok(Box::new(DiskFile(fs::File::open(path)?)))
}

#[derive(Debug)]
struct DiskFile(fs::File);

impl File for DiskFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn times(&self) -> io::Result<Option<Times>> {
        let metadata = self.0.metadata()?;
        Ok(Some(Times { made: metadata.created().ok(), written: metadata.modified()? }))
    }

    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < bytes.len() {
            match self.0.read_at(&mut bytes[read..], at + read as u64) {
                Ok(0) => break,
                Ok(some) => read += some,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
