//! A round: all tasks ask one side until its time is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::table::Table;
use super::{Reads, TASKS};

/// What one side did in one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) reads: u64,
    pub(super) elapsed: Duration,
    /// Reads that were served from memory.
    pub(super) hits: u64,
    /// Rows that were loaded from the table.
    pub(super) loads: u64,
    /// Questions that Redis didn't answer in time.
    pub(super) errors: u64,
}

impl Sample {
    pub(super) fn nanos_per_read(&self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.reads as f64
    }
}

/// One round, which is the same for both sides.
pub(super) struct Round<'a> {
    pub(super) table: &'a Arc<Table>,
    pub(super) requests: &'a Arc<[u64]>,
    /// One request in so many changes the row.
    pub(super) reads_per_change: Option<usize>,
    pub(super) number: usize,
    pub(super) window: Duration,
}

impl Round<'_> {
    /// Lets all tasks ask until the window is over.
    pub(super) async fn run<R: Reads>(&self, side: &Arc<R>) -> Result<Sample, String> {
        let (over, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (hits, loads, errors) = (side.hits(), self.table.loads(), side.errors());
        let begun = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                // Each task and each round begins elsewhere.
                let length = self.requests.len();
                let asker = Asker {
                    side: Arc::clone(side),
                    table: Arc::clone(self.table),
                    requests: Arc::clone(self.requests),
                    reads_per_change: self.reads_per_change,
                    at: (length / TASKS * task + self.number * 7919) % length,
                };
                tokio::spawn(asker.ask(Arc::clone(&over), Arc::clone(&reads)))
            })
            .collect();
        tokio::time::sleep(self.window).await;
        over.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.map_err(|error| format!("a task failed: {error}"))??;
        }
        Ok(Sample {
            reads: reads.load(Ordering::Relaxed),
            elapsed: begun.elapsed(),
            hits: side.hits() - hits,
            loads: self.table.loads() - loads,
            errors: side.errors() - errors,
        })
    }
}

/// One task.
struct Asker<R> {
    side: Arc<R>,
    table: Arc<Table>,
    requests: Arc<[u64]>,
    reads_per_change: Option<usize>,
    at: usize,
}

impl<R: Reads> Asker<R> {
    async fn ask(mut self, over: Arc<AtomicBool>, reads: Arc<AtomicU64>) -> Result<(), String> {
        let mut done = 0;
        while !over.load(Ordering::Relaxed) {
            let id = self.requests[self.at];
            self.at = (self.at + 1) % self.requests.len();
            if self.reads_per_change.is_some_and(|reads| self.at.is_multiple_of(reads)) {
                self.table.change(id);
                self.side.changed(id).await?;
                continue;
            }
            let row = self.side.read(id).await?;
            if row.id != id {
                return Err(format!("row {id} was asked for and row {} answered", row.id));
            }
            done += 1;
            // A hit in memory never waits, and the other tasks want to run, too.
            if done % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        reads.fetch_add(done, Ordering::Relaxed);
        Ok(())
    }
}
