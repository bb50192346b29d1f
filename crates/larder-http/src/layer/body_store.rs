//! Where bodies go that are too large for memory. This crate only says what it needs of such a
//! place; files are the server's.

use std::sync::Arc;

use bytes::Bytes;
use larder_core::{BoxFuture, LoadError};

/// A place for bodies beside memory.
///
/// What is full is the place's own to decide: a [`create`](Self::create) or a
/// [`write`](BodyWriter::write) that fails ends the storing and nothing else. The response goes on
/// to whoever waits for it.
pub trait BodyStore: Send + Sync + 'static {
    /// Begins a body. `length` is how long it will be, if its origin said so.
    ///
    /// # Errors
    ///
    /// When there is no room, or the place can't be written.
    fn create(
        &self,
        length: Option<u64>,
    ) -> BoxFuture<'static, Result<Box<dyn BodyWriter>, LoadError>>;
}

/// A body that is being written. Dropped before [`finish`](Self::finish) it is given up: then the
/// place may forget it once its readers are gone.
pub trait BodyWriter: Send + 'static {
    /// What was written so far, to be read while more is written.
    fn body(&self) -> Arc<dyn StoredBody>;

    /// Adds to it. Once the future is done the bytes can be read.
    ///
    /// # Errors
    ///
    /// When they couldn't be written: the body is incomplete from then on.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), LoadError>>;

    /// It is complete.
    ///
    /// # Errors
    ///
    /// When it isn't durable as the place promises.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), LoadError>>;
}

/// A body in a place. When the last handle is dropped, nobody will read it again.
pub trait StoredBody: Send + Sync + 'static {
    /// At most `max` bytes from `at` on; fewer where there are fewer, and at least one unless `at`
    /// is the end.
    ///
    /// # Errors
    ///
    /// When they can't be read any more. Whoever is being sent the body gets no more of it.
    fn read(&self, at: u64, max: usize) -> BoxFuture<'static, Result<Bytes, LoadError>>;
}
