//! What a cache says of itself: what it saved, and whether it is worth it.

use std::time::Duration;

use larder::engine::verdict::VerdictKind;
use larder::{Cache, Engine, LoadContext, LoadError, Source};
use larder_test::ManualClock;

const MS: Duration = Duration::from_millis(1);

/// A database whose loads take their time, by the clock of this example.
struct Reports(ManualClock, Duration);

impl Source<u64, u64> for Reports {
    async fn load(&self, id: &u64, _: &mut LoadContext) -> Result<Option<u64>, LoadError> {
        self.0.advance(self.1);
        Ok(Some(*id))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    let reports = cache(40 * MS, 3_600_000 * MS)?;
    for read in 0..10_000 {
        reports.get(&(read % 50)).await?;
    }
    assert_eq!(reports.verdict().kind, VerdictKind::WorthIt);
    println!("{}", reports.verdict());

    // Everybody asks for something else: nothing is read twice.
    let exports = cache(MS / 5, 1_000 * MS)?;
    for id in 0..10_000 {
        exports.get(&id).await?;
    }
    assert_eq!(exports.verdict().kind, VerdictKind::NotWorthIt);
    println!("{}", exports.verdict());
    Ok(())
}

fn cache(takes: Duration, fresh_for: Duration) -> larder::Result<Cache<u64, u64>> {
    let clock = ManualClock::new();
    Cache::builder("report")
        .fresh_for(fresh_for)
        .source(Reports(clock.clone(), takes))
        .engine(&Engine::with_clock(clock)?)
        .build()
}
