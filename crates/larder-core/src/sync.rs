//! The locks and atomics of the engine and of the memory tier.
//!
//! They come from the standard library, or, compiled with `--cfg shuttle`, from a checker that
//! explores the interleavings of the same code. Nothing else in the engine or the memory tier
//! names a lock or an atomic.

#[cfg(not(shuttle))]
use std::sync as imp;

#[cfg(shuttle)]
use shuttle::sync as imp;

use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

pub use crate::counter::Counter;
pub use imp::MutexGuard;
pub use imp::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// A mutual exclusion lock that a panic does not poison.
///
/// Every structure behind one is left consistent before any code of a user can run, so a panic
/// elsewhere is no reason to refuse service.
#[derive(Debug, Default)]
pub struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    /// A lock around `value`.
    pub fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    /// Takes the lock, if nobody has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// What the lock protects, without taking it: nobody else can.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the lock and takes it. Never held across an `.await`.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where threads wait until something that a [`Mutex`] protects has changed. For threads of our
/// own only: a task waits in a future.
#[derive(Debug, Default)]
pub struct Condvar(imp::Condvar);

impl Condvar {
    /// Lets go of the lock, waits until somebody notifies, or for no reason, and takes it again.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, and for no longer than `time`. A checker never lets it pass.
    pub fn wait_at_most<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> MutexGuard<'a, T> {
        self.0.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Wakes one of those that wait.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all that wait.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}
