//! The life of one entry under all its windows: fresh, stale while one refresh runs, standing in
//! while the source fails, gone.

use std::sync::Arc;
use std::time::Duration;

use larder::engine::runtime::TokioSpawn;
use larder::{Cache, CacheBuilder, Engine, ErrorKind, Reason, State};
use larder_test::{ManualClock, TestSource};

const S: Duration = Duration::from_secs(1);

fn windows(builder: CacheBuilder<u64, u32>) -> CacheBuilder<u64, u32> {
    builder
        .fresh_for(60 * S) // as it is
        .stale_for(240 * S) // after that, while one refresh runs
        .max_staleness(300 * S) // the promise, which bounds both
        .stale_on_error(3600 * S) // beyond the promise, and only while the source fails
        .missing_for(10 * S) // how long an absence is remembered
        .jitter(Duration::ZERO) // so that this example can say exactly when
        .refresh_at(1.0) // no early refresh, for the same reason
        .xfetch(0.0)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    let clock = ManualClock::new();
    let engine = Engine::new(Arc::new(clock.clone()), Arc::new(TokioSpawn::current()?));
    let source = TestSource::of([(7, 1999)]);
    let prices = windows(Cache::builder("price")).source(source.clone()).engine(&engine).build()?;

    assert_eq!(prices.ask(&7).await?.reason, Reason::Loaded);

    clock.advance(60 * S); // 1:00, the last moment of fresh_for
    let answer = prices.ask(&7).await?;
    assert_eq!((answer.state, answer.reason), (State::Fresh, Reason::Held));

    source.fail(ErrorKind::SourceDown);
    clock.advance(S); // 1:01: stale; the refresh that this read begins fails
    let answer = prices.ask(&7).await?;
    assert_eq!((answer.state, answer.reason), (State::Stale, Reason::Refreshing));
    all_landed(&prices).await;

    clock.advance(240 * S); // 5:01: gone, and the source fails
    let answer = prices.ask(&7).await?;
    assert_eq!((answer.value, answer.reason), (Some(1999), Reason::Failing));
    assert!(answer.current > 300 * S); // it says that it is beyond the promise

    clock.advance(3600 * S); // 1:05:01: nothing stands in any more
    assert_eq!(prices.ask(&7).await.expect_err("it fails").kind(), ErrorKind::SourceDown);

    source.succeed();
    clock.advance(S); // the source works again
    assert_eq!(prices.ask(&7).await?.reason, Reason::Loaded);
    let stats = prices.stats();
    let (fresh, stale) = (stats.fresh_hit_age.count(), stats.stale_hit_age.count());
    println!("served fresh: {fresh}, stale: {stale}, standing in: {}", stats.stood_in_age.count());
    Ok(())
}

/// Waits until no load is under way.
async fn all_landed(cache: &Cache<u64, u32>) {
    while cache.flights() > 0 {
        tokio::task::yield_now().await;
    }
}
