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
