//! A thousand callers miss at once, and the source is asked once.

use std::time::Duration;

use larder::{Cache, Reason};
use larder_test::TestSource;

#[tokio::main]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    // A source that counts, and answers when it is told to.
    let source = TestSource::of([(7_u64, 1999_u32)]);
    source.close();
    let prices = Cache::builder("price")
        .max_staleness(Duration::from_secs(60))
        .source(source.clone())
        .build()?;

    let callers: Vec<_> = (0..1_000)
        .map(|_| {
            let prices = prices.clone();
            tokio::spawn(async move { prices.ask(&7).await })
        })
        .collect();
    while prices.stats().joined < 999 {
        tokio::task::yield_now().await; // until all of them wait
    }
    source.until_waiting(1).await;
    assert_eq!(source.running(), 1);
    source.open();

    let mut led = 0;
    for caller in callers {
        let answer = caller.await.expect("a caller doesn't panic")?;
        assert_eq!(answer.value, Some(1999));
        led += u32::from(answer.reason == Reason::Loaded);
    }
    assert_eq!((led, source.loads()), (1, 1));
    println!("1 led, 999 joined, {} load", source.loads());
    Ok(())
}
