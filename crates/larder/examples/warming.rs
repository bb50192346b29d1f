//! Warming: a cache is filled before anybody waits for it, slowly, and only where there is room.

use std::time::Duration;

use larder::{Cache, keys_of};
use larder_test::TestSource;

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    let source = TestSource::of((0..10_000_u64).map(|id| (id, id))).batching(100);
    let products = Cache::builder("product")
        .max_staleness(Duration::from_secs(3600))
        .entries_max(5_000)
        .source(source.clone())
        .build()?;

    let warm = products.warm(keys_of(0..1_000_u64)).loads_max(2); // or a query, a log, the last run
    let warming = warm.warming(); // to look at from elsewhere, or to stop it
    let report = warm.run().await;
    assert_eq!(report.loaded, 1_000);

    assert_eq!(warming.progress().loaded, 1_000);

    let loads = source.batches().len();
    for id in 0..1_000 {
        assert_eq!(products.get(&id).await?, Some(id));
    }
    assert_eq!(source.batches().len(), loads, "nobody waited");
    println!("{} keys in {loads} questions", report.loaded);
    Ok(())
}
