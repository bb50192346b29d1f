//! The folder of a store: its files, its room and its counts.

use std::fs::{self, File};
use std::hash::BuildHasher as _;
use std::io::{self, ErrorKind as IoKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use foldhash::quality::RandomState;
use larder_core::sync::Mutex;
use larder_core::{BoxFuture, Key, LoadError};
use tokio::runtime::Handle;

use super::body::{Body, Closed};
use super::room::{Room, Stuck, Taken};

/// How the files of bodies are called, behind a number.
const ENDING: &str = "body";

/// What the handles of one store share.
pub(super) struct Folder {
    path: PathBuf,
    pub(super) room: Mutex<Room>,
    next: AtomicU64,
    hasher: RandomState,
    evicted: AtomicU64,
    evicted_bytes: AtomicU64,
    failed: AtomicU64,
    /// Where files are read and written, beside what must not wait.
    home: Handle,
    /// Held as long as the folder is ours.
    _lock: File,
}

impl Folder {
    /// # Panics
    ///
    /// Panics outside of a runtime.
    pub(super) fn new(path: &Path, bytes_max: u64, lock: File) -> Self {
        Self {
            path: path.to_owned(),
            room: Mutex::new(Room::new(bytes_max)),
            next: AtomicU64::new(0),
            hasher: RandomState::default(),
            evicted: AtomicU64::new(0),
            evicted_bytes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            home: Handle::current(),
            _lock: lock,
        }
    }

    /// Bodies that were evicted, and what they took.
    pub(super) fn evicted(&self) -> (u64, u64) {
        (self.evicted.load(Relaxed), self.evicted_bytes.load(Relaxed))
    }

    /// Bodies that couldn't be stored or read.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    pub(super) fn count_failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    /// A body of what `key` names, whose file isn't there yet.
    pub(super) fn body(self: &Arc<Self>, key: &Key) -> Body {
        let number = self.next.fetch_add(1, Relaxed);
        // The upper half is as good as the lower one.
        let hash = self.hasher.hash_one(key.as_bytes()) >> 32;
        Body::new(self, number, u32::try_from(hash).unwrap_or_default())
    }

    pub(super) fn path_of(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number}.{ENDING}"))
    }

    /// Takes room for so many bytes, and removes what was evicted for them. Waits for the disk.
    pub(super) fn reserve(&self, bytes: u64) -> io::Result<()> {
        let stuck = self.room.lock().unstick(bytes);
        if let Some(stuck) = stuck {
            match self.unlink(stuck.number) {
                Ok(()) => self.room.lock().give(stuck.bytes),
                Err(_) => self.room.lock().stick(stuck),
            }
        }
        let Taken { fits, victims } = self.room.lock().take(bytes);
        let mut gone = Ok(());
        for victim in victims {
            let (number, room) = (victim.number(), victim.room());
            victim.tell();
            self.evicted.fetch_add(1, Relaxed);
            self.evicted_bytes.fetch_add(room, Relaxed);
            match (self.unlink(number), fits) {
                (Ok(()), true) => {}
                (Ok(()), false) => self.room.lock().give(room),
                (Err(error), fits) => {
                    let stuck = Stuck { number, bytes: room };
                    match fits {
                        true => self.room.lock().stick_beside(stuck),
                        false => self.room.lock().stick(stuck),
                    }
                    gone = Err(self.complain(number, error));
                }
            }
        }
        match (fits, gone) {
            (false, _) => Err(io::Error::new(IoKind::StorageFull, "the store is full")),
            (true, Ok(())) => Ok(()),
            (true, Err(error)) => {
                // What is there is there: nothing is written beside it.
                self.room.lock().give(bytes);
                Err(error)
            }
        }
    }

    /// Closes a body, which isn't evicted any more.
    pub(super) fn close(&self, body: &Body) -> Closed {
        self.room.lock().close(body)
    }

    /// Removes a body that nobody reads any more, and gives its room back. The last one to hold it
    /// may be a thread that must not wait, so this doesn't.
    pub(super) fn remove(self: &Arc<Self>, body: &Body) {
        let (folder, number, bytes) = (Arc::clone(self), body.number(), body.room());
        // What a runtime that ends leaves behind is removed at the next start.
        self.home.spawn_blocking(move || match folder.unlink(number) {
            Ok(()) => folder.room.lock().give(bytes),
            Err(error) => {
                folder.complain(number, error);
                folder.room.lock().stick(Stuck { number, bytes });
            }
        });
    }

    /// Removes a file that may not be there any more.
    fn unlink(&self, number: u64) -> io::Result<()> {
        match fs::remove_file(self.path_of(number)) {
            Err(error) if error.kind() != IoKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Tells that a file can't be removed.
    fn complain(&self, number: u64, error: io::Error) -> io::Error {
        let file = self.path_of(number);
        let file = file.display();
        tracing::warn!(%file, "a body can't be removed, and takes its room: {error}");
        error
    }
}

/// Removes the bodies in a folder, and nothing else.
pub(super) fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Runs what waits for the disk on a thread that may.
pub(super) fn on_disk<T: Send + 'static>(
    folder: &Folder,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> BoxFuture<'static, Result<T, LoadError>> {
    let done = folder.home.spawn_blocking(work);
    Box::pin(async move { Ok(done.await??) })
}
