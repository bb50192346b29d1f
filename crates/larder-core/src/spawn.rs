//! Who runs the engine's own tasks.
//!
//! A load belongs to the engine and not to the caller that happened to come first: it is given
//! to a [`Spawn`], and a caller that goes away takes nobody with it.

use crate::BoxFuture;

/// Runs a future to its end, independently of whoever handed it in.
pub trait Spawn: Send + Sync + 'static {
    /// Starts `task`. It may begin before this call returns or later, on any thread.
    fn spawn(&self, task: BoxFuture<'static, ()>);
}
