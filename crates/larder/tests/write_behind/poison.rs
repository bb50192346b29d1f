//! One write among many that the database refuses.

use std::sync::Arc;
use std::time::Duration;

use larder::engine::behind::BehindBounds;
use larder::journal::JournalOptions;
use larder_crash::{Shop, TestDatabase};
use tempfile::TempDir;

const ROWS: u64 = 10_000;
const BAD: u64 = 6_789;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_poisoned_row_among_ten_thousand_delays_nobody_else() {
    let (database, folder) = (TestDatabase::postgres(), TempDir::new().unwrap());
    let journal = Arc::new(JournalOptions::new(folder.path()).open().unwrap());
    let bounds = BehindBounds { slow_from: 20_000, keys_max: 20_000, ..BehindBounds::default() };
    let shop = Arc::new(Shop::open(&database.url(), journal, bounds).await.unwrap());
    let writers = (0..50).map(|writer| {
        let shop = Arc::clone(&shop);
        tokio::spawn(async move {
            for id in (writer..ROWS).step_by(50) {
                shop.put(id, if id == BAD { "bad" } else { "1" }).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let stopped = shop.behind.stop(&shop.engine, Duration::from_secs(60)).await.unwrap();
    let stats = shop.items.behind_stats().unwrap();
    assert_eq!((stopped.left, stats.buried, stats.acknowledged), (0, 1, ROWS));
    // A batch has 512 at most: divided in two until one is left, that is once for each half.
    assert!((1..=10).contains(&stats.failed), "{} transactions failed", stats.failed);
    assert_eq!(database.number("SELECT count(*) FROM items").await, ROWS - 1);
    let letters = database.sql("SELECT key FROM larder_dead_letters").await;
    assert_eq!(letters, [[format!("item:{BAD}")]]);
}
