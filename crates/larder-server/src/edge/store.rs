//! Bodies in files: where those go that are too long for memory.
//!
//! Each is a file of its own, gone when nobody holds it any more. What a run leaves behind the
//! next one removes: the heads were in memory. A folder belongs to one process, which locks it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind as IoKind};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use larder_core::{BoxFuture, Error, ErrorKind, LoadError, Result};
use larder_http::{BodyStore, BodyWriter, StoredBody};
use tokio::runtime::Handle;

use crate::config::StoreConfig;

/// How the files of bodies are called, behind a number.
const ENDING: &str = "body";
/// The file that is locked.
const LOCK: &str = "larder.lock";

/// A folder of bodies. Clones share it.
#[derive(Clone, Debug)]
pub struct FileStore(Arc<Folder>);

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    bytes_max: u64,
    bytes: AtomicU64,
    next: AtomicU64,
    /// Where files are read and written, beside what must not wait.
    home: Handle,
    /// Held as long as the folder is ours.
    _lock: File,
}

impl FileStore {
    /// Opens the folder, makes it if it isn't there, and removes what an earlier run left.
    ///
    /// # Errors
    ///
    /// `Config` when another process has it, or when it can't be written.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime.
    pub fn open(config: &StoreConfig) -> Result<Self> {
        let fault = |error: io::Error| {
            let message = format!("the store {} can't be used", config.folder.display());
            Error::new(ErrorKind::Config, message).caused_by(error)
        };
        // What is stored may be meant for some clients only.
        DirBuilder::new().recursive(true).mode(0o700).create(&config.folder).map_err(fault)?;
        let lock = config.folder.join(LOCK);
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(lock);
        let lock = lock.map_err(fault)?;
        if lock.try_lock().is_err() {
            let message = format!(
                "the store {} is another process's: give each a folder of its own",
                config.folder.display()
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        clear(&config.folder).map_err(fault)?;
        Ok(Self(Arc::new(Folder {
            path: config.folder.clone(),
            bytes_max: config.bytes_max,
            bytes: AtomicU64::new(0),
            next: AtomicU64::new(0),
            home: Handle::current(),
            _lock: lock,
        })))
    }

    /// What its bodies take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Relaxed)
    }

    /// What they may take, in bytes.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.0.bytes_max
    }
}

/// Removes the bodies in a folder, and nothing else.
fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

impl Folder {
    /// Takes room for so many bytes, or says that there is none.
    fn reserve(&self, bytes: u64) -> io::Result<()> {
        let fits = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        let reserved = self.bytes.fetch_update(Relaxed, Relaxed, fits);
        reserved.map(drop).map_err(|_| io::Error::new(IoKind::StorageFull, "the store is full"))
    }
}

/// Runs what waits for the disk on a thread that may.
fn on_disk<T: Send + 'static>(
    home: &Handle,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> BoxFuture<'static, std::result::Result<T, LoadError>> {
    let done = home.spawn_blocking(work);
    Box::pin(async move { Ok(done.await??) })
}

/// A body's file and its share of the room.
#[derive(Debug)]
struct Body {
    folder: Arc<Folder>,
    path: PathBuf,
    /// What it takes of the room, in bytes.
    reserved: AtomicU64,
}

impl Drop for Body {
    fn drop(&mut self) {
        self.folder.bytes.fetch_sub(self.reserved.load(Relaxed), Relaxed);
        let path = std::mem::take(&mut self.path);
        // The last one to hold it may be a thread that must not wait. What can't be removed now is
        // at the next start.
        self.folder.home.spawn_blocking(move || fs::remove_file(path));
    }
}

impl BodyStore for FileStore {
    fn create(
        &self,
        length: Option<u64>,
    ) -> BoxFuture<'static, std::result::Result<Box<dyn BodyWriter>, LoadError>> {
        let folder = Arc::clone(&self.0);
        let home = folder.home.clone();
        let made = on_disk(&home, move || {
            let length = length.unwrap_or(0);
            folder.reserve(length)?;
            let number = folder.next.fetch_add(1, Relaxed);
            let path = folder.path.join(format!("{number}.{ENDING}"));
            let body = Arc::new(Body { folder, path, reserved: AtomicU64::new(length) });
            let file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&body.path)?;
            Ok(FileWriter { body, file: Arc::new(file), written: 0 })
        });
        Box::pin(async move { Ok(Box::new(made.await?) as Box<dyn BodyWriter>) })
    }
}

struct FileWriter {
    body: Arc<Body>,
    file: Arc<File>,
    written: u64,
}

impl BodyWriter for FileWriter {
    fn body(&self) -> Arc<dyn StoredBody> {
        Arc::clone(&self.body) as Arc<dyn StoredBody>
    }

    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, std::result::Result<(), LoadError>> {
        let (body, file, at) = (Arc::clone(&self.body), Arc::clone(&self.file), self.written);
        self.written += bytes.len() as u64;
        let end = self.written;
        on_disk(&self.body.folder.home, move || {
            let reserved = body.reserved.load(Relaxed);
            if end > reserved {
                body.folder.reserve(end - reserved)?;
                body.reserved.store(end, Relaxed);
            }
            file.write_all_at(&bytes, at)
        })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, std::result::Result<(), LoadError>> {
        // It is of use to this run only, so it needn't outlast the power.
        Box::pin(async { Ok(()) })
    }
}

impl StoredBody for Body {
    fn read(
        &self,
        at: u64,
        max: usize,
    ) -> BoxFuture<'static, std::result::Result<Bytes, LoadError>> {
        /// So much is read at once, whatever is asked for.
        const PIECE: usize = 256 << 10;
        let path = self.path.clone();
        on_disk(&self.folder.home, move || {
            let file = File::open(path)?;
            let mut bytes = vec![0; max.min(PIECE)];
            let mut read = 0;
            while read < bytes.len() {
                match file.read_at(&mut bytes[read..], at + read as u64) {
                    Ok(0) => break,
                    Ok(more) => read += more,
                    Err(error) if error.kind() == IoKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            bytes.truncate(read);
            Ok(Bytes::from(bytes))
        })
    }
}
