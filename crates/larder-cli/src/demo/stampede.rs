//! The stampede: a crowd that asks for one key at the same moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use larder_core::Key;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use super::fault::Fault;
use super::load::Way;

/// What became of a crowd.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stampede {
    /// How many had their answer within the limit.
    pub(super) answered: usize,
    /// How long the last of those waited; the limit, if somebody waited in vain.
    pub(super) slowest: Duration,
    /// Reads that the database answered.
    pub(super) queries: u64,
}

/// Lets `crowd` clients ask for `key` at once. Who has no answer after `limit` is sent away.
///
/// # Errors
///
/// The first read that fails ends it all.
pub(super) async fn run(
    way: &Way,
    key: &Key,
    crowd: usize,
    limit: Duration,
    bar: &ProgressBar,
) -> Result<Stampede, Fault> {
    let queries_before = way.queries();
    let gate = Arc::new(Barrier::new(crowd));
    let mut running = JoinSet::new();
    for _ in 0..crowd {
        let (way, key, gate) = (way.clone(), key.clone(), Arc::clone(&gate));
        running.spawn(async move {
            gate.wait().await;
            let began = Instant::now();
            way.read(&key).await.map(|_| began.elapsed())
        });
    }
    let until = tokio::time::Instant::now() + limit;
    let (mut answered, mut slowest) = (0, Duration::ZERO);
    while let Ok(Some(ended)) = timeout_at(until, running.join_next()).await {
        slowest = slowest.max(ended??);
        answered += 1;
        bar.inc(1);
    }
    if answered < crowd {
        slowest = limit;
    }
    Ok(Stampede { answered, slowest, queries: way.queries() - queries_before })
}
