//! What the tests of cached functions share: a body that counts and can be held up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// Counts runs of a body, and lets them end only when it is open. Clones are the same gate.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<Inner>);

#[derive(Default)]
struct Inner {
    runs: AtomicUsize,
    open: Mutex<bool>,
    changed: Condvar,
    opened: tokio::sync::Notify,
}

impl Gate {
    /// One that holds nobody up.
    pub(super) fn opened() -> Self {
        let gate = Self::default();
        gate.open();
        gate
    }

    pub(super) fn runs(&self) -> usize {
        self.0.runs.load(Ordering::SeqCst)
    }

    pub(super) fn open(&self) {
        *self.0.is_open() = true;
        self.0.changed.notify_all();
        self.0.opened.notify_waiters();
    }

    /// One more run; returns its number, once the gate is open.
    pub(super) fn pass(&self) -> usize {
        let run = self.count();
        self.0.wait_while(|open| !open);
        run
    }

    /// The same without blocking.
    pub(super) async fn pass_async(&self) -> usize {
        let run = self.count();
        let opened = self.0.opened.notified();
        if !*self.0.is_open() {
            opened.await;
        }
        run
    }

    /// Waits until a body has begun.
    pub(super) fn wait_for_runs(&self, runs: usize) {
        self.0.wait_while(|_| self.runs() < runs);
    }

    fn count(&self) -> usize {
        let guard = self.0.is_open();
        let run = self.0.runs.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.changed.notify_all();
        drop(guard);
        run
    }
}

impl Inner {
    fn is_open(&self) -> MutexGuard<'_, bool> {
        self.open.lock().expect("nothing panics with this lock held")
    }

    fn wait_while(&self, wait: impl Fn(bool) -> bool) {
        let mut open = self.is_open();
        while wait(*open) {
            open = self.changed.wait(open).expect("nothing panics with this lock held");
        }
    }
}
