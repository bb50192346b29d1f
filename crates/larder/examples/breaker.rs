//! A breaker: a database that fails is left alone, and asked again now and then.

use std::time::Duration;

use larder::{Cache, Engine, ErrorKind, Guard, GuardBounds};
use larder_test::{ManualClock, TestSource};

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    let clock = ManualClock::new();
    let source = TestSource::of((0..100_u64).map(|id| (id, id)));
    // One guard for one database, whatever number of caches read from it.
    let guard = Guard::new(GuardBounds::default())?;
    let users = Cache::builder("user")
        .max_staleness(Duration::from_secs(2))
        .source(source.clone())
        .guard(guard.clone())
        .engine(&Engine::with_clock(clock.clone())?)
        .build()?;

    source.fail(ErrorKind::SourceDown);
    for id in 0..100 {
        let error = users.get(&id).await.expect_err("the database is down");
        assert!(error.retry_delay().is_some());
    }
    assert_eq!(source.loads(), 5, "the other 95 were told at once, and cost it nothing");

    source.succeed(); // it is back; the next probe finds out
    clock.advance(Duration::from_secs(5));
    assert_eq!(users.get(&7).await?, Some(7));
    let opened = guard.breaker().map_or(0, larder::engine::guard::Breaker::opened);
    println!("the breaker opened {opened} time");
    Ok(())
}
