//! One run: everybody writes, and then what still waits is applied.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::workload::{One, Workload};

/// A way to write.
pub(super) trait Writer: Send + Sync + 'static {
    /// Writes, and returns when that is acknowledged.
    fn write(&self, one: One) -> impl Future<Output = Result<(), String>> + Send;

    /// Returns when everything is in the database.
    fn applied(&self) -> impl Future<Output = Result<(), String>> + Send;
}

/// How long a run took from its first write on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Until the last write was acknowledged.
    pub(super) acknowledged: Duration,
    /// Until it was in the database.
    pub(super) applied: Duration,
}

pub(super) async fn run(side: impl Writer, workload: &Workload) -> Result<Sample, String> {
    let side = Arc::new(side);
    let lists = workload.lists.clone();
    let start = Instant::now();
    let writers: Vec<_> = lists
        .into_iter()
        .map(|list| {
            let side = Arc::clone(&side);
            tokio::spawn(async move {
                for one in list {
                    side.write(one).await?;
                }
                Ok::<_, String>(())
            })
        })
        .collect();
    for writer in writers {
        writer.await.map_err(|error| error.to_string())??;
    }
    let acknowledged = start.elapsed();
    side.applied().await?;
    Ok(Sample { acknowledged, applied: start.elapsed() })
}
