//! What the engine's tests have in common: a clock to turn and a source to watch.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod network;
pub(crate) mod saying;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use larder_core::{Answer, LoadContext, Result};
use larder_engine::runtime::TokioSpawn;
use larder_engine::{Cache, CacheBuilder, Engine};
use larder_test::{ManualClock, TestSource};
use tokio::task::JoinHandle;

use saying::Saying;

pub(crate) const S: Duration = Duration::from_secs(1);

/// The tests' kind of cache.
pub(crate) type Numbers = Cache<u64, u64>;

/// A clock, a source that squares, and an engine on the current runtime.
pub(crate) struct Bench {
    pub(crate) clock: ManualClock,
    pub(crate) source: TestSource<u64, u64>,
    pub(crate) engine: Engine,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(TestSource::answering(|key: &u64| key.checked_mul(*key)))
    }

    pub(crate) fn with(source: TestSource<u64, u64>) -> Self {
        let clock = ManualClock::new();
        let spawn = TokioSpawn::current().unwrap();
        let engine = Engine::new(Arc::new(clock.clone()), Arc::new(spawn));
        Self { clock, source, engine }
    }

    /// A builder over the source, without jitter.
    pub(crate) fn builder(&self) -> CacheBuilder<u64, u64> {
        Cache::builder("numbers")
            .engine(&self.engine)
            .source(self.source.clone())
            .jitter(Duration::ZERO)
    }

    /// The same over a source whose loader also says something of each key.
    pub(crate) fn saying(
        &self,
        say: impl Fn(u64, &LoadContext) + Send + Sync + 'static,
    ) -> CacheBuilder<u64, u64> {
        self.builder().source(Saying::new(self.source.clone(), say))
    }

    /// The same over a source whose loader gives each key its own tag and one that all have.
    pub(crate) fn tagging(&self) -> CacheBuilder<u64, u64> {
        self.saying(|key, context| {
            context.tag(format!("number:{key}")).tag("numbers");
        })
    }

    /// A cache that promises ten seconds.
    pub(crate) fn ten_seconds(&self) -> Numbers {
        self.builder().max_staleness(10 * S).build().unwrap()
    }
}

/// Lets every task that can run do so: on the single-threaded runtime of a test, a task that
/// yields goes behind all that are ready.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// A read on a task of its own.
pub(crate) fn asking(cache: &Numbers, key: u64) -> JoinHandle<Result<Answer<u64>>> {
    let cache = cache.clone();
    tokio::spawn(async move { cache.ask(&key).await })
}

/// What a future returns that must not wait for anything.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}
