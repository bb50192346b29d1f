//! How long a caller waits: a soft deadline, after which it takes an old value, and a hard one,
//! after which it gets an error. The load goes on either way.

use std::sync::Arc;
use std::time::Duration;

use larder::engine::runtime::TokioSpawn;
use larder::{Cache, Engine, ErrorKind, Reason};
use larder_test::{ManualClock, TestSource};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    let clock = ManualClock::new();
    let engine = Engine::new(Arc::new(clock.clone()), Arc::new(TokioSpawn::current()?));
    let source = TestSource::of([(7_u64, 1999_u32), (8, 2499)]);
    let prices = Cache::builder("price")
        .max_staleness(10 * S)
        .stale_on_error(3600 * S) // what may stand in at all
        .wait(50 * MS) // soft: then it does
        .deadline(500 * MS) // hard: then it is an error
        .source(source.clone())
        .engine(&engine)
        .build()?;
    prices.get(&7).await?;
    clock.advance(11 * S); // gone
    source.close(); // and from now on the source takes its time

    // Key 7 has an old value: after 50 ms that is the answer.
    let reader = tokio::spawn({
        let prices = prices.clone();
        async move { prices.ask(&7).await }
    });
    clock.until_sleepers(2).await; // the reader, and the timeout of its load
    clock.advance(50 * MS);
    let answer = reader.await.expect("the reader doesn't panic")?;
    assert_eq!((answer.value, answer.reason), (Some(1999), Reason::Slow));

    // Key 8 has none: after 200 ms this caller, who is in a hurry, gets an error.
    let reader = tokio::spawn({
        let prices = prices.clone();
        async move { prices.read(&8).deadline(200 * MS).ask().await }
    });
    clock.until_sleepers(3).await;
    clock.advance(200 * MS);
    let error = reader.await.expect("the reader doesn't panic").expect_err("it was in a hurry");
    assert_eq!(error.kind(), ErrorKind::Timeout);

    // Both loads went on. Whoever comes next has their values.
    source.open();
    while prices.flights() > 0 {
        tokio::task::yield_now().await;
    }
    for key in [7, 8] {
        assert_eq!(prices.ask(&key).await?.reason, Reason::Held);
    }
    assert_eq!(source.loads(), 3);
    println!("{} loads; nobody waited longer than they said", source.loads());
    Ok(())
}
