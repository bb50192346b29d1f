//! Early refresh: a key that is read often is loaded again before it ends, and nobody waits.

use std::sync::Arc;
use std::time::Duration;

use larder::engine::runtime::TokioSpawn;
use larder::{Cache, Engine, Tier};
use larder_test::{ManualClock, TestSource};

const S: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    let clock = ManualClock::new();
    let engine = Engine::new(Arc::new(clock.clone()), Arc::new(TokioSpawn::current()?));
    let source = TestSource::of([(7, 1999)]);
    let prices = Cache::builder("price")
        .max_staleness(100 * S)
        .refresh_at(0.8) // after 80 s a read begins a refresh; this is the default
        .xfetch(0.0) // no chance, so that this example can say exactly when
        .jitter(Duration::ZERO)
        .source(source.clone())
        .engine(&engine)
        .build()?;

    prices.get(&7).await?; // the only read that waits
    let mut waited = 0;
    for _ in 0..600 {
        clock.advance(S);
        let answer = prices.ask(&7).await?;
        assert!(answer.age <= 81 * S);
        waited += u32::from(answer.tier != Tier::Memory);
        while prices.flights() > 0 {
            tokio::task::yield_now().await; // the refresh is a task of the engine
        }
    }
    assert_eq!((waited, source.loads()), (0, 1 + 600 / 81));

    // Without reads nothing is refreshed: what nobody wants isn't kept warm.
    let before = source.loads();
    clock.advance(600 * S);
    assert_eq!(source.loads(), before);
    println!("600 reads in ten minutes, {before} loads, nobody waited after the first");
    Ok(())
}
