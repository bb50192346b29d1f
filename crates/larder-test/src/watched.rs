//! Something that changes, and futures that wait until it has changed enough.
//!
//! It works under any executor, and a wait that takes too long panics instead of hanging the
//! test: a thread watches the machine's clock, whatever clock the test itself turns.

use std::future::poll_fn;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for something that it expects.
const PATIENCE: Duration = Duration::from_secs(30);

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
        poll_fn(|context| {
            let mut inner = self.lock();
            if enough(&mut inner.value) {
                return Poll::Ready(());
            }
            inner.wakers.retain(|waker| !waker.will_wake(context.waker()));
            inner.wakers.push(context.waker().clone());
            Poll::Pending
        })
        .await;
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
