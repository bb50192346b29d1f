//! Who runs the engine's own tasks.
//!
//! A load belongs to the engine and not to the caller that happened to come first: it is given
//! to a [`Spawn`], and a caller that goes away takes nobody with it.

use crate::{BoxFuture, Result};

/// Runs a future to its end, independently of whoever handed it in.
pub trait Spawn: Send + Sync + 'static {
    /// Starts `task`. It may begin before this call returns or later, on any thread.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Starts `work`, which may block its thread for as long as it likes.
    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.spawn(Box::pin(async move { work() }));
    }

    /// Runs `wait`, which blocks the calling thread until a task of this spawner wakes it.
    ///
    /// # Errors
    ///
    /// `Refused` when the calling thread is one that those tasks need: it would wait for ever.
    fn block(&self, wait: &mut dyn FnMut()) -> Result<()> {
        wait();
        Ok(())
    }
}
