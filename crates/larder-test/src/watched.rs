//! Something that changes, and futures that wait until it has changed enough.
//!
//! It works under any executor, and a wait that takes too long panics instead of hanging the
//! test: a thread watches the machine's clock, whatever clock the test itself turns.

use std::future::poll_fn;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// Waits for a future, and panics with what was waited for if that takes too long.
pub(crate) async fn within_patience<F: Future>(what: &str, future: F) -> F::Output {
    within(PATIENCE, what, future).await
}

async fn within<F: Future>(patience: Duration, what: &str, future: F) -> F::Output {
    let deadline = Instant::now() + patience;
    let timer = Watched::new(());
    // Dropped with this future, which ends the thread.
    let _running = timer.wake_after(patience);
    let mut future = std::pin::pin!(future);
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(output);
        }
        let is_late = timer.poll_for(context, |()| (Instant::now() >= deadline).then_some(()));
        assert!(is_late.is_pending(), "waited in vain for {patience:?}: {what}");
        Poll::Pending
    })
    .await
}

/// A value whose changes can be waited for. Clones share it.
#[derive(Debug)]
pub(crate) struct Watched<T>(Arc<Mutex<Inner<T>>>);

#[derive(Debug)]
struct Inner<T> {
    value: T,
    wakers: Vec<Waker>,
}

impl<T: Send + 'static> Watched<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(Inner { value, wakers: Vec::new() })))
    }

    pub(crate) fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock().value)
    }

    /// Changes the value and wakes everybody who waits for that.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut inner = self.lock();
        let result = change(&mut inner.value);
        let wakers = std::mem::take(&mut inner.wakers);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// Waits until `enough` says so; for as long as it takes. What `enough` changes wakes nobody.
    pub(crate) async fn until(&self, mut enough: impl FnMut(&mut T) -> bool) {
        let mut enough = move |value: &mut T| enough(value).then_some(());
        poll_fn(|context| self.poll_for(context, &mut enough)).await;
    }

    /// What `take` finds, or a wait for the next change. What `take` changes wakes nobody.
    pub(crate) fn poll_for<R>(
        &self,
        context: &mut Context<'_>,
        take: impl FnOnce(&mut T) -> Option<R>,
    ) -> Poll<R> {
        let mut inner = self.lock();
        if let Some(taken) = take(&mut inner.value) {
            return Poll::Ready(taken);
        }
        inner.wakers.retain(|waker| !waker.will_wake(context.waker()));
        inner.wakers.push(context.waker().clone());
        Poll::Pending
    }

    /// Waits until `enough` says so, and panics with what `seen` says if that takes too long.
    pub(crate) async fn until_soon(
        &self,
        enough: impl Fn(&T) -> bool,
        seen: impl FnOnce(&T) -> String,
    ) {
        let deadline = Instant::now() + PATIENCE;
        // Dropped with this future, which ends the thread.
        let _running = self.wake_after(PATIENCE);
        self.until(|value| enough(value) || Instant::now() >= deadline).await;
        let failure = self.read(|value| (!enough(value)).then(|| seen(value)));
        if let Some(seen) = failure {
            panic!("waited in vain for {PATIENCE:?}: {seen}");
        }
    }

    /// Wakes all who wait after `delay`, unless what is returned has been dropped before.
    fn wake_after(&self, delay: Duration) -> mpsc::Sender<()> {
        let (running, ended) = mpsc::channel();
        let watched = self.clone();
        thread::spawn(move || {
            if ended.recv_timeout(delay) == Err(RecvTimeoutError::Timeout) {
                watched.change(|_| ());
            }
        });
        running
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "waited in vain for 1ms: a miracle")]
    async fn what_takes_too_long_ends_the_test() {
        within(Duration::from_millis(1), "a miracle", std::future::pending::<()>()).await;
    }
}
