//! A Bloom filter in front of a database: reads of keys that surely don't exist never reach it.

use std::time::Duration;

use larder::{Cache, Changes, Reason, keys_of};
use larder_test::TestSource;

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    let source = TestSource::of((0..1_000_u64).map(|id| (id, "a user")));
    let users = Cache::builder("user")
        .max_staleness(Duration::from_secs(60))
        .source(source.clone())
        .changes(Changes::Announced) // who inserts says so, or the filter would hide the new row
        .filter(keys_of(0..1_000_u64)) // or a query that lists the keys
        .build()?;
    // Until it is built it lets everything through.
    while users.filter_stats().is_some_and(|filter| filter.rate_estimated.is_none()) {
        tokio::task::yield_now().await;
    }

    let mut filtered = 0;
    for id in 1_000_000..1_001_000 {
        let answer = users.ask(&id).await?;
        assert_eq!(answer.value, None);
        filtered += u32::from(answer.reason == Reason::Filtered);
    }
    assert!(filtered > 950, "one in a hundred gets through");

    // An insert is announced by its key, after the commit.
    source.set(1_000_000, "a new user");
    users.invalidate(&1_000_000).await?;
    assert_eq!(users.get(&1_000_000).await?, Some("a new user"));
    println!("{filtered} of 1,000 reads of nothing never reached the database");
    Ok(())
}
