//! One body in its file: who reads it, and when the file goes.
//!
//! A body is open until it is evicted, or nobody holds it any more; then nobody begins to read it.
//! Its file goes, and its room becomes free, when those who read it by then are done:
//!
//! ```text
//! open ──── evicted, which only happens while nobody reads it ──────> gone
//!   └────── nobody holds it, or it can't be read ──> closed ── the last reader is done ──> gone
//! ```
//!
//! All of that is one number, so a hit takes no lock.

use std::fs::File;
use std::io::{self, ErrorKind as IoKind};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

use bytes::Bytes;
use larder_core::sync::Mutex;
use larder_core::{BoxFuture, LoadError};
use larder_http::{BodyReader, StoredBody};
use larder_memory::policy::USES_MAX;

use super::folder::{Folder, on_disk};

/// Nobody begins to read it any more.
const CLOSED: u32 = 1 << 31;
/// It stands nowhere in the order.
const NOWHERE: u32 = u32::MAX;
/// So much is read at once, whatever is asked for.
const PIECE_BYTES: usize = 256 << 10;

/// See the module's documentation.
pub(super) struct Body {
    folder: Arc<Folder>,
    /// The number in its name.
    number: u64,
    /// Of the key that it was stored for.
    hash: u32,
    /// What it takes of the room, in bytes. It stays the same while it is in the order.
    room: AtomicU64,
    /// Where it stands in the order, which changes under the order's lock.
    place: AtomicU32,
    /// How many read it, and [`CLOSED`].
    state: AtomicU32,
    /// How often it was used, as the order has it.
    uses: AtomicU8,
    when_evicted: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

/// What closing a body was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// It was closed before.
    Before,
    /// Nobody reads it, so it can be removed.
    Unread,
    /// Its last reader removes it.
    Read,
}

impl Body {
    /// A body that takes no room yet.
    pub(super) fn new(folder: &Arc<Folder>, number: u64, hash: u32) -> Self {
        Self {
            folder: Arc::clone(folder),
            number,
            hash,
            room: AtomicU64::new(0),
            place: AtomicU32::new(NOWHERE),
            state: AtomicU32::new(0),
            uses: AtomicU8::new(0),
            when_evicted: Mutex::default(),
        }
    }

    pub(super) fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn hash(&self) -> u32 {
        self.hash
    }

    /// What it takes, in bytes.
    pub(super) fn room(&self) -> u64 {
        self.room.load(Relaxed)
    }

    /// It takes so much from now on, which the folder has given it.
    pub(super) fn set_room(&self, bytes: u64) {
        self.room.store(bytes, Relaxed);
    }

    /// Where it stands in the order.
    pub(super) fn place(&self) -> Option<u32> {
        Some(self.place.load(Relaxed)).filter(|place| *place != NOWHERE)
    }

    pub(super) fn stand_in(&self, place: Option<u32>) {
        self.place.store(place.unwrap_or(NOWHERE), Relaxed);
    }

    /// How often it was used. Who reads it uses it all the time.
    pub(super) fn uses(&self) -> u8 {
        match self.state.load(Relaxed) {
            0 => self.uses.load(Relaxed),
            _ => USES_MAX,
        }
    }

    pub(super) fn set_uses(&self, uses: u8) {
        self.uses.store(uses, Relaxed);
    }

    /// Whether nobody begins to read it any more.
    pub(super) fn is_closed(&self) -> bool {
        self.state.load(Acquire) & CLOSED != 0
    }

    /// Begins to read it; `None` if it is closed.
    pub(super) fn begin(self: &Arc<Self>) -> Option<FileReader> {
        let more = |state: u32| (state & CLOSED == 0).then_some(state + 1);
        self.state.fetch_update(AcqRel, Acquire, more).ok()?;
        Some(FileReader(Arc::clone(self)))
    }

    /// Closes it unless somebody reads it or it is closed already. Whoever does this removes it.
    pub(super) fn evict(&self) -> bool {
        self.state.compare_exchange(0, CLOSED, AcqRel, Acquire).is_ok()
    }

    /// Closes it. It stays in the order, which is for who calls this to see to.
    pub(super) fn close(&self) -> Closed {
        match self.state.fetch_or(CLOSED, AcqRel) {
            0 => Closed::Unread,
            before if before & CLOSED == 0 => Closed::Read,
            _ => Closed::Before,
        }
    }

    /// Nobody needs it any more.
    fn let_go(&self) {
        if self.folder.close(self) == Closed::Unread {
            self.folder.remove(self);
        }
    }

    /// It can't be read. Whoever asks next shall find nothing, rather than half an answer.
    fn lose(&self) {
        let closed = self.folder.close(self);
        if closed != Closed::Before {
            self.folder.count_failed();
            self.tell();
        }
        // Who wanted to read it may have left meanwhile.
        if closed == Closed::Unread {
            self.folder.remove(self);
        }
    }

    /// Tells that it is evicted.
    pub(super) fn tell(&self) {
        let tell = self.when_evicted.lock().take();
        if let Some(tell) = tell {
            tell();
        }
    }
}

/// A body as it is held: by the entry in memory, and by whoever writes it. Dropped, nobody needs
/// it any more.
pub(super) struct FileBody(pub(super) Arc<Body>);

impl Drop for FileBody {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

impl StoredBody for FileBody {
    fn reader(&self) -> Option<Arc<dyn BodyReader>> {
        let reader = self.0.begin()?;
        let uses = self.0.uses.load(Relaxed);
        if uses < USES_MAX {
            // Of two at the same time one may be lost.
            self.0.uses.store(uses + 1, Relaxed);
        }
        Some(Arc::new(reader))
    }

    fn is_evicted(&self) -> bool {
        self.0.is_closed()
    }

    fn when_evicted(&self, tell: Box<dyn FnOnce() + Send>) {
        // Outside the lock.
        let _before = self.0.when_evicted.lock().replace(tell);
        if self.0.is_closed() {
            self.0.tell();
        }
    }
}

/// One who reads a body.
pub(super) struct FileReader(Arc<Body>);

impl Drop for FileReader {
    fn drop(&mut self) {
        let before = self.0.state.fetch_sub(1, AcqRel);
        if before == CLOSED + 1 {
            self.0.folder.remove(&self.0);
        }
    }
}

impl BodyReader for FileReader {
    fn read(&self, at: u64, max: usize) -> BoxFuture<'static, Result<Bytes, LoadError>> {
        let body = Arc::clone(&self.0);
        on_disk(&self.0.folder, move || {
            let read = read(&body, at, max.min(PIECE_BYTES));
            read.inspect_err(|_| body.lose())
        })
    }
}

fn read(body: &Body, at: u64, max: usize) -> io::Result<Bytes> {
    let file = File::open(body.folder.path_of(body.number))?;
    let mut bytes = vec![0; max];
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
}
