//! The atomics that reads without a lock are made of.
//!
//! They come from the standard library, or, in this crate's own tests compiled with
//! `--cfg shuttle`, from a checker that explores their interleavings.

use larder_core::sync::{Mutex, MutexGuard};

#[cfg(not(all(test, shuttle)))]
use std::sync::atomic as imp;

#[cfg(all(test, shuttle))]
use shuttle::sync::atomic as imp;

pub(crate) use imp::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};

/// Takes a lock.
#[cfg(not(tsan))]
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// Takes a lock without ever waiting in the standard library, which is compiled without what
/// ThreadSanitizer needs to see: it would miss that who waited comes after who released.
#[cfg(tsan)]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    loop {
        match mutex.try_lock() {
            Some(guard) => return guard,
            None => std::thread::yield_now(),
        }
    }
}
