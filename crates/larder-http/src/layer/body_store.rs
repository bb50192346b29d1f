//! Where bodies go that are too large for memory. This crate only says what it needs of such a
//! place; files are the server's.
//!
//! A place that is full may make room by evicting what is seldom read. Then the entry in memory
//! goes too, and whoever looks it up before that finds nothing.

use std::sync::Arc;

use bytes::Bytes;
use larder_core::{BoxFuture, Key, LoadError};

/// A place for bodies beside memory.
///
/// What is full is the place's own to decide: a [`create`](Self::create) or a
/// [`write`](BodyWriter::write) that fails ends the storing and nothing else. The response goes on
/// to whoever waits for it.
pub trait BodyStore: Send + Sync + 'static {
    /// Begins a body of what `key` names: the same key whenever that comes again. `length` is how
    /// long it will be, if its origin said so.
    ///
    /// # Errors
    ///
    /// When there is no room, or the place can't be written.
    fn create(
        &self,
        key: &Key,
        length: Option<u64>,
    ) -> BoxFuture<'static, Result<Box<dyn BodyWriter>, LoadError>>;
}

/// A body that is being written, which isn't evicted. Dropped before [`finish`](Self::finish) it is
/// given up: then the place may forget it once its readers are gone.
pub trait BodyWriter: Send + 'static {
    /// What was written so far, to be read while more is written.
    fn body(&self) -> Arc<dyn StoredBody>;

    /// Adds to it. Once the future is done the bytes can be read.
    ///
    /// # Errors
    ///
    /// When they couldn't be written: the body is incomplete from then on.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), LoadError>>;

    /// It is complete, and may be evicted from here on.
    ///
    /// # Errors
    ///
    /// When it isn't durable as the place promises.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), LoadError>>;
}

/// A body in a place. When the last handle is dropped, nobody will begin to read it again.
pub trait StoredBody: Send + Sync + 'static {
    /// Begins to read it, which is a use of it; `None` once it was evicted. It asks no disk and
    /// waits for nothing.
    fn reader(&self) -> Option<Arc<dyn BodyReader>>;

    /// Whether it was evicted.
    fn is_evicted(&self) -> bool;

    /// Calls `tell` once it is evicted, at once if it was. Of several the last one is called.
    fn when_evicted(&self, tell: Box<dyn FnOnce() + Send>);
}

/// One who reads a body, which stays readable until this is dropped, whatever becomes of the body
/// meanwhile.
pub trait BodyReader: Send + Sync + 'static {
    /// At most `max` bytes from `at` on; fewer where there are fewer, and at least one unless `at`
    /// is the end.
    ///
    /// # Errors
    ///
    /// When they can't be read any more. Whoever is being sent the body gets no more of it.
    fn read(&self, at: u64, max: usize) -> BoxFuture<'static, Result<Bytes, LoadError>>;
}
