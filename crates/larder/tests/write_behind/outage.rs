//! A database that goes away under load: writes are acknowledged up to the bound, then shed, and
//! applied when it is back.

use std::collections::HashSet;
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use larder::ErrorKind;
use larder::engine::behind::BehindBounds;
use larder::journal::JournalOptions;
use larder_crash::{Shop, TestDatabase};
use tempfile::TempDir;

/// How many seconds the database stays away after it was noticed; none by default.
const SECONDS_OF: &str = "LARDER_OUTAGE";
const WRITERS: u64 = 8;
const KEYS_MAX: usize = 400;

#[derive(Default)]
struct Told {
    acknowledged: AtomicUsize,
    added: AtomicI64,
    shed: AtomicUsize,
    waiting_max: AtomicUsize,
    is_over: AtomicBool,
}

/// Writes items and one counter until it is over, and returns which items were acknowledged.
async fn writer(shop: Arc<Shop>, told: Arc<Told>, writer: u64) -> Vec<u64> {
    let mut put = Vec::new();
    for id in (writer..).step_by(WRITERS as usize) {
        if told.is_over.load(Ordering::Relaxed) {
            break;
        }
        let done = match id % 40 {
            // One of many, which must not keep the others from anything.
            0 => shop.put(id, "bad").await.map(drop),
            _ => shop.put(id, "1").await.map(|()| put.push(id)),
        };
        let waiting = shop.items.behind_stats().unwrap().keys;
        told.waiting_max.fetch_max(waiting, Ordering::Relaxed);
        match done {
            Ok(()) => drop(told.acknowledged.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Shed, "{}", error.chain());
                assert!(error.retry_delay().is_some());
                told.shed.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
        shop.add(1, 1).await.unwrap();
        told.added.fetch_add(1, Ordering::Relaxed);
    }
    put
}

/// Looks until it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let looks = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), looks).await.expect(what);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_down_sheds_at_the_bound_and_gets_everything_when_it_is_back() {
    let database = TestDatabase::postgres();
    let folder = TempDir::new().unwrap();
    let bounds = BehindBounds {
        delay: Duration::from_millis(50),
        slow_from: KEYS_MAX / 2,
        keys_max: KEYS_MAX,
        retry_after: Duration::from_millis(20),
        retry_after_max: Duration::from_millis(200),
        ..BehindBounds::default()
    };
    let journal = Arc::new(JournalOptions::new(folder.path()).open().unwrap());
    let shop = Arc::new(Shop::open(&database.url(), journal, bounds).await.unwrap());
    let told = Arc::new(Told::default());
    let writers: Vec<_> = (1..=WRITERS)
        .map(|number| tokio::spawn(writer(shop.clone(), told.clone(), number)))
        .collect();
    until("writes", || told.acknowledged.load(Ordering::Relaxed) > 200).await;
    let TestDatabase::Postgres(postgres) = &database else { unreachable!("it is one") };
    tokio::task::block_in_place(|| postgres.kill());
    let before = told.acknowledged.load(Ordering::Relaxed);
    let shed = told.shed.load(Ordering::Relaxed);
    until("shedding", || told.shed.load(Ordering::Relaxed) > shed + 20).await;
    // Longer shows nothing more; whoever wants to see it says how long.
    let longer = env::var(SECONDS_OF).map_or(0, |text| text.parse().unwrap());
    tokio::time::sleep(Duration::from_secs(longer)).await;
    let in_between = told.acknowledged.load(Ordering::Relaxed) - before;
    assert!(shop.waiting() >= KEYS_MAX);
    tokio::task::block_in_place(|| postgres.restart());
    let back = told.acknowledged.load(Ordering::Relaxed);
    until("writes again", || told.acknowledged.load(Ordering::Relaxed) > back + 400).await;
    told.is_over.store(true, Ordering::Relaxed);
    let mut put = HashSet::new();
    for writer in writers {
        put.extend(writer.await.unwrap());
    }
    let stopped = shop.behind.stop(&shop.engine, Duration::from_secs(60)).await.unwrap();
    assert_eq!(stopped.left, 0);
    let waiting_max = told.waiting_max.load(Ordering::Relaxed);
    println!(
        "{} acknowledged, {in_between} of them while it was down, {} shed; {waiting_max} keys \
         waited at most",
        told.acknowledged.load(Ordering::Relaxed),
        told.shed.load(Ordering::Relaxed)
    );
    // Each writer may have looked before the others' writes were there.
    assert!((KEYS_MAX..KEYS_MAX + WRITERS as usize).contains(&waiting_max), "{waiting_max}");
    let items = database.sql("SELECT id FROM items").await;
    let items: HashSet<u64> = items.iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(items, put);
    let added = u64::try_from(told.added.load(Ordering::Relaxed)).unwrap();
    assert_eq!(database.number("SELECT n FROM counters WHERE id = 1").await, added);
}
