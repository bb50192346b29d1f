//! A journal that holds more than memory may: it is replayed in bounded memory.

use std::env;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use larder::engine::behind::BehindBounds;
use larder::journal::JournalOptions;
use larder_crash::child::say;
use larder_crash::{Driver, Shop, TestDatabase};
use tempfile::TempDir;

use crate::child;

/// So many records, unless the environment says how many: `LARDER_REPLAY=1000000`.
const RECORDS: u64 = 200_000;
const RECORDS_OF: &str = "LARDER_REPLAY";
/// How much a replay takes at most, in KiB: the journal is many times that.
const GROWTH_MAX: u64 = 64 << 10;
/// So many write at once, so that one sync serves them all.
const WRITERS: u64 = 1_000;

/// Acknowledges so many items of which none is applied, and ends.
pub(crate) async fn fill(database: &str, folder: &Path, count: u64) {
    let bounds = BehindBounds {
        delay: Duration::from_secs(3600),
        batch_from: usize::MAX,
        slow_from: usize::MAX,
        keys_max: usize::MAX,
        bytes_max: usize::MAX,
        ..BehindBounds::default()
    };
    let journal = Arc::new(JournalOptions::new(folder).open().unwrap());
    let shop = Arc::new(Shop::open(database, journal, bounds).await.unwrap());
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let shop = shop.clone();
            tokio::spawn(async move {
                for id in (writer..count).step_by(WRITERS as usize) {
                    shop.put(id, &format!("{id:0>200}")).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    say(&format!("filled {}", shop.waiting()));
    std::process::exit(0);
}

/// A line of what the system knows of this process, in KiB.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Replays what is there, applies it, and says what that took.
pub(crate) async fn replay(database: &str, folder: &Path) {
    let before = memory("VmRSS");
    let journal = Arc::new(JournalOptions::new(folder).open().unwrap());
    let shop = Shop::open(database, journal, BehindBounds::default()).await.unwrap();
    let stopped = shop.behind.stop(&shop.engine, Duration::from_secs(300)).await.unwrap();
    let growth = memory("VmHWM") - before;
    say(&format!("replayed {} {} {growth}", shop.replayed.records, stopped.left));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_journal_is_replayed_in_bounded_memory() {
    let records = env::var(RECORDS_OF).map_or(RECORDS, |text| text.parse().unwrap());
    let (database, folder) = (TestDatabase::sqlite().await, TempDir::new().unwrap());
    let start =
        |does: &str| Driver::start(child::program(), &database.url(), folder.path(), does, None);
    let mut filling = start(&format!("fill {records}"));
    assert_eq!(filling.says().unwrap(), ["filled".to_owned(), records.to_string()]);
    assert_eq!(filling.says(), None);
    drop(filling);
    assert_eq!(database.number("SELECT count(*) FROM items").await, 0);
    let mut replaying = start("replay -");
    let words = replaying.says().unwrap();
    let [replayed, left, growth] = [1, 2, 3].map(|at| words[at].parse::<u64>().unwrap());
    println!("{replayed} records replayed in {growth} KiB");
    assert_eq!((replayed, left), (records, 0));
    assert!(growth < GROWTH_MAX, "{growth} KiB for {records} records");
    let right = format!("SELECT count(*) FROM items WHERE length(body) = 200 AND id < {records}");
    assert_eq!(database.number(&right).await, records);
}
