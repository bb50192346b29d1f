//! Readers that come at once: each is a task of its own, and the wait of each counts from the
//! moment when all of them came. Counted from when a reader's own turn on a worker came, the
//! waits would be the shorter the more its contender keeps the workers busy.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::memory::Latencies;
use crate::through::ReadThrough;

use super::situation::KEY;

/// What became of the readers so far.
pub(crate) struct Herd {
    /// How long each waited; one that was left without an answer counts with all its patience.
    pub(crate) latencies: Latencies,
    /// How many there were.
    pub(crate) readers: usize,
    /// How many got an error.
    pub(crate) failed: usize,
    /// How many got nothing in time.
    pub(crate) unanswered: usize,
}

impl Herd {
    pub(crate) fn new() -> Self {
        Self { latencies: Latencies::new(), readers: 0, failed: 0, unanswered: 0 }
    }

    /// Lets `readers` come, and waits for them all: `patience` from when the first was sent.
    pub(crate) async fn come<C>(&mut self, cache: &Arc<C>, readers: usize, patience: Duration)
    where
        C: ReadThrough<u64, u64>,
    {
        let until = Instant::now() + patience;
        let together = Arc::new((Barrier::new(readers), OnceLock::new()));
        let send = |_| {
            let (cache, together) = (Arc::clone(cache), Arc::clone(&together));
            tokio::spawn(async move {
                let (all, came_at) = &*together;
                all.wait().await;
                let came_at = *came_at.get_or_init(Instant::now);
                let value = cache.get(&KEY).await;
                (came_at.elapsed(), value)
            })
        };
        let sent: Vec<JoinHandle<_>> = (0..readers).map(send).collect();
        for mut reader in sent {
            let (waited, is_failed) = match timeout_at(until, &mut reader).await {
                Ok(back) => {
                    let (waited, value) = back.expect("a reader doesn't panic");
                    (waited, value.is_none())
                }
                Err(_) => {
                    reader.abort();
                    self.unanswered += 1;
                    (patience, false)
                }
            };
            self.readers += 1;
            self.failed += usize::from(is_failed);
            self.latencies.add(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// The share of readers that got an error or nothing.
    pub(crate) fn share_without_value(&self) -> f64 {
        (self.failed + self.unanswered) as f64 / self.readers.max(1) as f64
    }
}
