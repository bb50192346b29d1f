//! The source behind every contender: it makes each row of its key, counts, takes its time, and
//! fails when it is told to. It doesn't know who asks.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::memory::Value;

use super::{Key, value_of};

/// A table whose rows are made of their keys.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    loads: AtomicU64,
    latency_micros: AtomicU64,
    is_down: AtomicBool,
}

/// What a load of [`Rows`] fails with.
#[derive(Debug)]
pub(crate) struct Down;

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the source is down")
    }
}

impl std::error::Error for Down {}

impl Rows {
    /// Lets every load from now on take `latency`, and fail or not; counts from zero.
    pub(crate) fn behave(&self, latency: Duration, is_down: bool) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency_micros.store(micros, Ordering::Relaxed);
        self.is_down.store(is_down, Ordering::Relaxed);
        self.loads.store(0, Ordering::Relaxed);
    }

    /// How many loads have begun.
    pub(crate) fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }

    /// Loads the row of `key`. A latency of zero doesn't wait at all.
    pub(crate) async fn load<K: Key, V: Value>(&self, key: &K) -> Result<V, Down> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let latency = Duration::from_micros(self.latency_micros.load(Ordering::Relaxed));
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if self.is_down.load(Ordering::Relaxed) { Err(Down) } else { Ok(value_of(key)) }
    }
}
