//! Bodies in files: where those go that are too long for memory.
//!
//! Each is a file of its own, gone when nobody holds it any more, or when another one needs its
//! room more. What a run leaves behind the next one removes: the heads were in memory. A folder
//! belongs to one process, which locks it.
//!
//! | module | idea |
//! |---|---|
//! | [`folder`] | the files, and who counts them |
//! | [`room`] | what bodies take, and which one is evicted |
//! | [`body`] | one body: who reads it, and when its file goes |

mod body;
mod folder;
mod room;

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::sync::Arc;

use bytes::Bytes;
use larder_core::{BoxFuture, Error, ErrorKind, Key, LoadError, Result};
use larder_http::{BodyStore, BodyWriter, StoredBody};

use self::body::FileBody;
use self::folder::{Folder, clear, on_disk};
use self::room::room_of;
use crate::config::StoreConfig;

/// The file that is locked.
const LOCK: &str = "larder.lock";

/// A folder of bodies. Clones share it.
///
/// **Bound.** Bodies take `bytes_max` together, in whole blocks of 4 KiB: those that are being
/// written from the moment at which their room is taken, and those that are being sent until they
/// are, even if nothing holds them any more. At the bound those that are used least are evicted;
/// where all the others are being written or sent, a body isn't stored.
#[derive(Clone)]
pub struct FileStore(Arc<Folder>);

/// What a store has counted, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// What its bodies take, in bytes.
    pub bytes: u64,
    /// What they may take, in bytes.
    pub bytes_max: u64,
    /// Bodies that were evicted.
    pub evicted: u64,
    /// What those took, in bytes.
    pub evicted_bytes: u64,
    /// Bodies that couldn't be stored or read: no room, or the disk failed.
    pub failed: u64,
    /// Files that couldn't be removed. They take their room, and are tried again when there is
    /// none.
    pub stuck: u64,
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
        Ok(Self(Arc::new(Folder::new(&config.folder, config.bytes_max, lock))))
    }

    /// What it has counted, and what it holds.
    #[must_use]
    pub fn counts(&self) -> StoreCounts {
        let (evicted, evicted_bytes) = self.0.evicted();
        let room = self.0.room.lock();
        StoreCounts {
            bytes: room.bytes(),
            bytes_max: room.bytes_max(),
            evicted,
            evicted_bytes,
            failed: self.0.failed(),
            stuck: room.stuck() as u64,
        }
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl BodyStore for FileStore {
    fn create(
        &self,
        key: &Key,
        length: Option<u64>,
    ) -> BoxFuture<'static, std::result::Result<Box<dyn BodyWriter>, LoadError>> {
        let body = Arc::new(FileBody(Arc::new(self.0.body(key))));
        let made = on_disk(&self.0, move || {
            let made = FileWriter::make(&body, room_of(length.unwrap_or(0)));
            made.inspect_err(|_| body.0.folder().count_failed())
        });
        Box::pin(async move { Ok(Box::new(made.await?) as Box<dyn BodyWriter>) })
    }
}

struct FileWriter {
    body: Arc<FileBody>,
    file: Arc<File>,
    written: u64,
}

impl FileWriter {
    /// Makes the file of a body, with so much room.
    fn make(body: &Arc<FileBody>, room: u64) -> io::Result<Self> {
        let folder = body.0.folder();
        // Where no file can be made nothing is evicted for it.
        let path = folder.path_of(body.0.number());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        folder.reserve(room)?;
        body.0.set_room(room);
        Ok(Self { body: Arc::clone(body), file: Arc::new(file), written: 0 })
    }
}

/// Writes behind what a body has, with more room if it needs that.
fn write(body: &FileBody, file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    let (has, needs) = (body.0.room(), room_of(at + bytes.len() as u64));
    if needs > has {
        body.0.folder().reserve(needs - has)?;
        body.0.set_room(needs);
    }
    file.write_all_at(bytes, at)
}

impl BodyWriter for FileWriter {
    fn body(&self) -> Arc<dyn StoredBody> {
        Arc::clone(&self.body) as Arc<dyn StoredBody>
    }

    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, std::result::Result<(), LoadError>> {
        let (body, file, at) = (Arc::clone(&self.body), Arc::clone(&self.file), self.written);
        self.written += bytes.len() as u64;
        on_disk(self.body.0.folder(), move || {
            let written = write(&body, &file, at, &bytes);
            written.inspect_err(|_| body.0.folder().count_failed())
        })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, std::result::Result<(), LoadError>> {
        // It is of use to this run only, so it needn't outlast the power.
        let body = &self.body.0;
        // Whoever has read it so far came for what was being fetched.
        body.set_uses(0);
        let admitted = body.folder().room.lock().admit(body);
        let done = if admitted { Ok(()) } else { Err("there are too many bodies".into()) };
        Box::pin(async { done })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn a_full_disk_leaves_nothing_half_stored() {
        let folder = TempDir::new().unwrap();
        let config = StoreConfig { folder: folder.path().into(), bytes_max: 1 << 20, from: 0 };
        let store = FileStore::open(&config).unwrap();
        let body = Arc::new(FileBody(Arc::new(store.0.body(&Key::from("a")))));
        let mut writer = FileWriter::make(&body, room_of(100_000)).unwrap();
        writer.write(Bytes::from_static(b"some of it")).await.unwrap();
        let reader = body.reader().unwrap();
        writer.file = Arc::new(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let failed = writer.write(Bytes::from_static(b"more of it")).await.unwrap_err();
        let failed = failed.downcast_ref::<io::Error>().map(io::Error::kind);
        assert_eq!(failed, Some(io::ErrorKind::StorageFull));
        drop((writer, body));
        // Who reads it already gets what was written, and no one else anything.
        assert_eq!(reader.read(0, 100).await.unwrap(), "some of it");
        assert_eq!((store.counts().failed, store.counts().bytes), (1, room_of(100_000)));
        drop(reader);
        let is_left = || {
            let names = std::fs::read_dir(folder.path()).unwrap();
            names.count() > 1 || store.counts().bytes > 0
        };
        let gone = async {
            while is_left() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone).await.expect("a file is left");
    }
}
