//! The one file of the engine that knows tokio: the machine's clock with its timers, the
//! spawners, and the semaphore behind the bulkhead.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use larder_core::{BoxFuture, Clock, Error, ErrorKind, Moment, Result, Spawn};
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

#[cfg(target_os = "linux")]
use crate::recent;

pub(crate) use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

/// Runs tasks on a tokio runtime.
#[derive(Clone, Debug)]
pub struct TokioSpawn(Handle);

impl TokioSpawn {
    /// Runs them on the runtime of the caller.
    ///
    /// # Errors
    ///
    /// `Config` when there is none.
    pub fn current() -> Result<Self> {
        let handle = Handle::try_current().map_err(|error| {
            let message = "larder runs on tokio: build the cache inside a tokio runtime";
            Error::new(ErrorKind::Config, message).caused_by(error)
        })?;
        Ok(Self(handle))
    }
}

impl Spawn for TokioSpawn {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.0.spawn_blocking(work);
    }

    fn block(&self, wait: &mut dyn FnMut()) -> Result<()> {
        let ours = Handle::try_current().is_ok_and(|current| current.id() == self.0.id());
        match self.0.runtime_flavor() {
            _ if !ours => wait(),
            RuntimeFlavor::CurrentThread => {
                let message = "this thread runs the loads that it would wait for: await the cache \
                               itself here, or give it an engine with threads of its own";
                return Err(Error::new(ErrorKind::Refused, message));
            }
            // The runtime moves its other tasks to another thread meanwhile.
            _ => tokio::task::block_in_place(wait),
        }
        Ok(())
    }
}

/// Runs tasks on threads of its own, for programs without a tokio runtime, and for caches that
/// outlive the runtimes of their callers.
///
/// Dropping the last clone drops the tasks that still run; whoever waits for one gets an error.
#[derive(Clone, Debug)]
pub struct OwnThreads {
    tasks: TokioSpawn,
    _runtime: Arc<OwnRuntime>,
}

#[derive(Debug)]
struct OwnRuntime(Option<Runtime>);

impl OwnThreads {
    /// So many threads, at least one.
    ///
    /// # Errors
    ///
    /// `Config` when the system gives none.
    pub fn start(threads: usize) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("larder")
            .enable_time()
            .build()
            .map_err(|error| {
                let message = "larder can't start threads of its own";
                Error::new(ErrorKind::Config, message).caused_by(error)
            })?;
        let tasks = TokioSpawn(runtime.handle().clone());
        Ok(Self { tasks, _runtime: Arc::new(OwnRuntime(Some(runtime))) })
    }
}

impl OwnThreads {
    /// What gives tasks to these threads, without keeping them.
    #[must_use]
    pub fn tasks(&self) -> &TokioSpawn {
        &self.tasks
    }
}

impl Spawn for OwnThreads {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.tasks.spawn(task);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.tasks.spawn_blocking(work);
    }

    fn block(&self, wait: &mut dyn FnMut()) -> Result<()> {
        self.tasks.block(wait)
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        // It may be dropped within another runtime, where nobody may wait for it.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The machine's clock. It counts the time that the machine was suspended, as a promise about
/// staleness must: on Linux it is `CLOCK_BOOTTIME`, elsewhere the monotonic clock.
#[derive(Clone, Debug, Default)]
pub struct SystemClock {
    /// Whose timers are armed; those of whoever waits, if nothing is said.
    home: Option<Handle>,
}

/// After a suspension a timer of the runtime is late by the time that was slept, so a long wait
/// looks at the clock again at least this often.
const SLEEP_MAX: Duration = Duration::from_secs(1);

impl SystemClock {
    /// The machine's clock.
    #[must_use]
    pub const fn new() -> Self {
        Self { home: None }
    }

    /// The machine's clock with the timers of this spawner's runtime: who waits may be polled by
    /// any executor.
    #[must_use]
    pub fn with_timers_of(spawn: &TokioSpawn) -> Self {
        Self { home: Some(spawn.0.clone()) }
    }

    fn time() -> Moment {
        let time = rustix::time::clock_gettime(CLOCK);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        Moment::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Self::time()
    }

    #[cfg(target_os = "linux")]
    fn about_now(&self) -> Moment {
        recent::about(Self::time)
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()> {
        let home = self.home.clone();
        let sleep = async move {
            loop {
                let left = moment - Self::time();
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(SLEEP_MAX)).await;
            }
        };
        let Some(home) = home else { return Box::pin(sleep) };
        let mut sleep = Box::pin(sleep);
        Box::pin(poll_fn(move |context| {
            let _inside = home.enter();
            sleep.as_mut().poll(context)
        }))
    }
}

#[cfg(target_os = "linux")]
const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_forward() {
        let clock = SystemClock::new();
        let before = clock.now();
        assert!(before > Moment::ZERO);
        assert!(clock.now() >= before);
    }

    #[test]
    fn about_now_is_never_earlier_than_now_and_at_most_a_tick_later() {
        let clock = SystemClock::new();
        for _ in 0..100_000 {
            let before = clock.now();
            let about = clock.about_now();
            let after = clock.now();
            assert!(about <= after + Duration::from_millis(10), "{:?} later", about - after);
            // A tick may be late on a machine that is busy, and that is all that may be missed.
            assert!(about + Duration::from_secs(1) >= before, "{:?} earlier", before - about);
        }
    }
}
