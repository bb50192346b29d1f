//! A body on its way from the origin, read by all who wait for it while it arrives.
//!
//! While it may still be stored in memory its chunks are held, and the origin is read as fast as
//! it sends. Past that it goes to the store of bodies, and everybody reads it from there. Where
//! there is none, or it has no room, the body isn't stored any more: then so many bytes are held at
//! most, and the origin is read no faster than the slowest of its readers takes them.
//!
//! **Bound.** One body holds what an object may have in memory, or [`WINDOW_BYTES`] and a chunk.
//! A reader that takes nothing for the time of a wait, while others would, is cut off.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use larder_core::sync::Mutex;
use larder_core::{BoxFuture, LoadError};

use super::body_store::BodyReader;
use super::waiting::Wakers;

/// So many bytes are held of a body that isn't stored.
pub(super) const WINDOW_BYTES: usize = 256 * 1024;
/// So many bytes are read at once from the store of bodies.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Arriving(Mutex<Buffer>);

#[derive(Default)]
struct Buffer {
    chunks: VecDeque<Bytes>,
    /// The number of the first chunk that is held.
    first: u64,
    /// Where the first chunk begins, in bytes.
    begins: u64,
    /// Where the last one ends.
    ends: u64,
    /// Where it is read from, once it is too large for memory: all up to `ends`.
    apart: Option<Arc<dyn BodyReader>>,
    /// Not stored any more: what everybody has taken is let go.
    passing: bool,
    over: Option<Over>,
    /// Where each reader is, by its number.
    readers: HashMap<u64, u64>,
    next: u64,
    wakers: Wakers,
    origin: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Complete,
    Broken,
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { begins, ends, over, .. } = self;
        write!(f, "bytes {begins} to {ends}, {over:?}")
    }
}

impl Buffer {
    fn held(&self) -> usize {
        usize::try_from(self.ends - self.begins).unwrap_or(usize::MAX)
    }

    /// Lets go of what every reader has taken.
    fn release(&mut self) {
        if !self.passing {
            return;
        }
        let slowest = self.readers.values().min().copied().unwrap_or(self.ends);
        while let Some(first) = self.chunks.front() {
            let end = self.begins + first.len() as u64;
            if end > slowest {
                break;
            }
            self.begins = end;
            self.first += 1;
            self.chunks.pop_front();
        }
    }
}

impl Arriving {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    /// A reader from the beginning; `None` where that isn't held any more.
    pub(super) fn reader(self: &Arc<Self>) -> Option<Reader> {
        let mut buffer = self.0.lock();
        if buffer.apart.is_none() && buffer.begins > 0 {
            return None;
        }
        buffer.next += 1;
        let id = buffer.next;
        buffer.readers.insert(id, 0);
        let body = Arc::clone(self);
        Some(Reader { body, id, at: 0, chunk: 0, waiting: None, reading: None })
    }

    /// So many bytes have come.
    pub(super) fn ends(&self) -> u64 {
        self.0.lock().ends
    }

    /// Adds what came.
    pub(super) fn push(&self, chunk: Bytes) {
        let woken = {
            let mut buffer = self.0.lock();
            buffer.ends += chunk.len() as u64;
            buffer.chunks.push_back(chunk);
            buffer.release();
            buffer.wakers.take()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// What is held, to be written elsewhere.
    pub(super) fn chunks(&self) -> Vec<Bytes> {
        self.0.lock().chunks.iter().cloned().collect()
    }

    /// All that came so far, if it is still held in memory.
    pub(super) fn beginning(&self) -> Option<Bytes> {
        let is_held = {
            let buffer = self.0.lock();
            buffer.begins == 0 && !buffer.passing && buffer.apart.is_none()
        };
        is_held.then(|| self.whole())
    }

    /// From now on it is read from there, where all that came so far is written.
    pub(super) fn move_apart(&self, apart: Arc<dyn BodyReader>) {
        let mut buffer = self.0.lock();
        buffer.apart = Some(apart);
        buffer.first += buffer.chunks.len() as u64;
        buffer.chunks.clear();
        buffer.begins = buffer.ends;
    }

    /// So many more bytes were written there.
    pub(super) fn written(&self, bytes: usize) {
        let woken = {
            let mut buffer = self.0.lock();
            buffer.ends += bytes as u64;
            buffer.begins = buffer.ends;
            buffer.wakers.take()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// It isn't stored any more.
    pub(super) fn pass(&self) {
        let mut buffer = self.0.lock();
        buffer.passing = true;
        // What was written so far stays readable; what comes is held again.
        buffer.release();
    }

    /// Whether anybody still reads it.
    pub(super) fn is_read(&self) -> bool {
        !self.0.lock().readers.is_empty()
    }

    /// Ready when more may be read from the origin: with room, or without readers.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut buffer = self.0.lock();
        if buffer.held() < WINDOW_BYTES || buffer.readers.is_empty() {
            buffer.origin = None;
            return Poll::Ready(());
        }
        buffer.origin = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ready when nobody reads it any more.
    pub(super) fn poll_unread(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut buffer = self.0.lock();
        if buffer.readers.is_empty() {
            return Poll::Ready(());
        }
        buffer.origin = Some(context.waker().clone());
        Poll::Pending
    }

    /// Cuts off who takes nothing while others would. One reader alone keeps nobody waiting.
    pub(super) fn cut_off(&self) {
        let woken = {
            let mut buffer = self.0.lock();
            let begins = buffer.begins;
            let first = buffer.chunks.front().map_or(0, Bytes::len) as u64;
            let is_slow = |at: &u64| *at < begins + first;
            let slow = buffer.readers.values().filter(|at| is_slow(at)).count();
            if slow == buffer.readers.len() {
                return;
            }
            buffer.readers.retain(|_, at| !is_slow(at));
            buffer.release();
            buffer.wakers.take()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// The whole body in one piece.
    pub(super) fn whole(&self) -> Bytes {
        let buffer = self.0.lock();
        match buffer.chunks.len() {
            0 => Bytes::new(),
            1 => buffer.chunks[0].clone(),
            _ => {
                let mut whole = Vec::with_capacity(buffer.held());
                buffer.chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
                whole.into()
            }
        }
    }

    /// All of it came.
    pub(super) fn complete(&self) {
        self.end(Over::Complete);
    }

    /// It broke off: who reads it gets an error, so that no client takes a part for the whole.
    pub(super) fn break_off(&self) {
        self.end(Over::Broken);
    }

    fn end(&self, over: Over) {
        let woken = {
            let mut buffer = self.0.lock();
            buffer.over.get_or_insert(over);
            buffer.wakers.take()
        };
        woken.into_iter().for_each(Waker::wake);
    }
}

/// One who reads a body while it arrives.
pub(super) struct Reader {
    body: Arc<Arriving>,
    id: u64,
    at: u64,
    /// The number of the chunk that is next, if it isn't read from elsewhere.
    chunk: u64,
    waiting: Option<u64>,
    reading: Option<BoxFuture<'static, Result<Bytes, LoadError>>>,
}

/// What there is for a reader at this moment.
enum Next {
    Chunk(Bytes),
    Read(Arc<dyn BodyReader>, usize),
    Over(Over),
    Wait,
}

impl Reader {
    /// The next bytes; `None` at the end.
    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, LoadError>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let Poll::Ready(read) = Pin::new(reading).poll(context) else {
                    return Poll::Pending;
                };
                self.reading = None;
                return Poll::Ready(Some(read.and_then(|bytes| self.take(bytes))));
            }
            match self.next(context) {
                Next::Chunk(chunk) => return Poll::Ready(Some(self.take(chunk))),
                Next::Read(apart, max) => self.reading = Some(apart.read(self.at, max)),
                Next::Over(Over::Complete) => return Poll::Ready(None),
                Next::Over(Over::Broken) => {
                    return Poll::Ready(Some(Err("the body broke off".into())));
                }
                Next::Wait => return Poll::Pending,
            }
        }
    }

    /// Goes on behind these bytes.
    fn take(&mut self, bytes: Bytes) -> Result<Bytes, LoadError> {
        if bytes.is_empty() {
            return Err("the body ends before its end".into());
        }
        self.at += bytes.len() as u64;
        let origin = {
            let mut buffer = self.body.0.lock();
            if let Some(at) = buffer.readers.get_mut(&self.id) {
                *at = self.at;
            }
            buffer.release();
            buffer.origin.take()
        };
        origin.into_iter().for_each(Waker::wake);
        Ok(bytes)
    }

    fn next(&mut self, context: &mut Context<'_>) -> Next {
        let mut buffer = self.body.0.lock();
        if !buffer.readers.contains_key(&self.id) {
            return Next::Over(Over::Broken);
        }
        if self.at < buffer.begins {
            return match &buffer.apart {
                Some(apart) => {
                    let left = usize::try_from(buffer.begins - self.at).unwrap_or(READ_BYTES);
                    Next::Read(Arc::clone(apart), left.min(READ_BYTES))
                }
                None => Next::Over(Over::Broken),
            };
        }
        // Readers take whole chunks, so this one begins where it has come to.
        self.chunk = self.chunk.max(buffer.first);
        let place = usize::try_from(self.chunk - buffer.first).unwrap_or(usize::MAX);
        if let Some(chunk) = buffer.chunks.get(place) {
            self.chunk += 1;
            return Next::Chunk(chunk.clone());
        }
        if let Some(over) = buffer.over {
            return Next::Over(over);
        }
        buffer.wakers.register(&mut self.waiting, context.waker());
        Next::Wait
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let origin = {
            let mut buffer = self.body.0.lock();
            buffer.readers.remove(&self.id);
            let waiting = self.waiting;
            buffer.wakers.forget(waiting);
            buffer.release();
            buffer.origin.take()
        };
        origin.into_iter().for_each(Waker::wake);
    }
}
