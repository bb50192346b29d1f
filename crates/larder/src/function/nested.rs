//! Which functions' bodies a call comes from.
//!
//! A function that calls itself must not wait for a load of its own cache: the loads that it
//! waits for would need places that the waiting ones hold. So a body carries the caches whose
//! bodies it runs inside, and a call that meets its own cache among them runs at once, in place.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use larder_core::{BoxFuture, LoadError};
use larder_engine::Cache;

/// A cache whose body runs, and those below it. There are no more of them than functions.
pub(super) struct Frame {
    cache: usize,
    below: Option<Arc<Self>>,
}

thread_local! {
    /// What runs on this thread at this moment.
    static TOP: Cell<Option<Arc<Frame>>> = const { Cell::new(None) };
}

impl Frame {
    /// `cache` on top of what runs on this thread.
    pub(super) fn on_top<K, V>(cache: &'static Cache<K, V>) -> Arc<Self> {
        Arc::new(Self { cache: address(cache), below: top() })
    }
}

/// Whether the body of `cache` runs on this thread, or waits for what does.
pub(super) fn runs<K, V>(cache: &'static Cache<K, V>) -> bool {
    let top = top();
    std::iter::successors(top.as_deref(), |frame| frame.below.as_deref())
        .any(|frame| frame.cache == address(cache))
}

/// Runs `body` inside `frame`.
pub(super) fn inside<T>(frame: Arc<Frame>, body: impl FnOnce() -> T) -> T {
    let _before = Before(TOP.replace(Some(frame)));
    body()
}

/// A body that is inside its frame whenever it is polled.
pub(super) struct Inside<V> {
    frame: Arc<Frame>,
    body: BoxFuture<'static, Result<Option<V>, LoadError>>,
}

impl<V> Inside<V> {
    pub(super) fn new(
        frame: Arc<Frame>,
        body: impl Future<Output = Result<Option<V>, LoadError>> + Send + 'static,
    ) -> Self {
        Self { frame, body: Box::pin(body) }
    }
}

impl<V> Future for Inside<V> {
    type Output = Result<Option<V>, LoadError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        inside(Arc::clone(&self.frame), || self.body.as_mut().poll(context))
    }
}

/// What ran before, put back on drop: a body that panics leaves nothing behind.
struct Before(Option<Arc<Frame>>);

impl Drop for Before {
    fn drop(&mut self) {
        TOP.set(self.0.take());
    }
}

fn top() -> Option<Arc<Frame>> {
    let top = TOP.take();
    TOP.set(top.clone());
    top
}

fn address<K, V>(cache: &'static Cache<K, V>) -> usize {
    std::ptr::from_ref(cache).addr()
}
