//! Threads of the machine that do everything at once, on few keys, with loads of random length: no
//! read breaks the promise that a history of it all is judged by.
//!
//! The work is bounded, and nobody sleeps. `LARDER_SEED` draws other operations.
#![allow(clippy::unwrap_used)]

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use larder_core::{LoadContext, LoadError, Source, Terms};
use larder_engine::{Cache, CacheBuilder, Engine, Fill, Invalidation, Lookup};
use larder_test::History;
use larder_test::history::Announced;
use tokio::runtime::Handle;
use tokio::task::yield_now;

const THREADS: u64 = 6;
const STEPS: usize = 8_000;
/// Their texts begin with 1, 2 or 3; two keys for each.
const KEYS: [u64; 6] = [1, 10, 2, 20, 3, 30];
/// What all of them are tagged with.
const ALL: &str = "all";
const MINUTE: Duration = Duration::from_secs(60);

/// What decides what happens next: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom
/// number generators, 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((x ^ (x >> 31)) % n as u64).unwrap()
    }

    fn key(&mut self) -> u64 {
        KEYS[self.next(KEYS.len())]
    }
}

/// The system of record: a version of each key. How long it takes to be read is drawn.
#[derive(Default)]
struct Record {
    versions: [AtomicU64; KEYS.len()],
    draws: AtomicU64,
    loads: AtomicU64,
    batch_max: usize,
}

impl Record {
    fn version(&self, key: u64) -> &AtomicU64 {
        &self.versions[KEYS.iter().position(|&other| other == key).unwrap()]
    }

    async fn pause(&self) {
        let mut dice = Dice(self.draws.fetch_add(1, Ordering::Relaxed));
        match dice.next(3) {
            0 => {}
            1 => (0..dice.next(2_000)).for_each(|_| spin_loop()),
            _ => {
                for _ in 0..dice.next(4) {
                    yield_now().await;
                }
            }
        }
    }

    async fn read(&self, key: u64) -> u64 {
        self.pause().await;
        let version = self.version(key).load(Ordering::SeqCst);
        self.pause().await;
        version
    }
}

impl Source<u64, u64> for Record {
    async fn load(&self, key: &u64, context: &mut LoadContext) -> Result<Option<u64>, LoadError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        for tag in tags(*key) {
            context.tag(tag);
        }
        Ok(Some(self.read(*key).await))
    }

    fn batch_max(&self) -> usize {
        self.batch_max.max(1)
    }
}

/// The tags of a key: that of all, and one that it shares with another.
fn tags(key: u64) -> [String; 2] {
    [ALL.to_owned(), prefix(key)]
}

/// What the text of a key begins with, and that of one other.
fn prefix(key: u64) -> String {
    key.to_string()[..1].to_owned()
}

/// A cache and those who use it.
struct Users {
    record: Arc<Record>,
    cache: Cache<u64, u64>,
    history: History,
}

impl Users {
    async fn get(&self, key: u64) -> u64 {
        let begun = self.history.begin();
        let version = self.cache.get(&key).await.unwrap().unwrap();
        self.history.read(begun, key, version);
        version
    }

    async fn get_many(&self, keys: &[u64]) {
        let begun = self.history.begin();
        let versions = self.cache.get_many(keys).await.unwrap();
        for (key, version) in keys.iter().zip(versions) {
            self.history.read(begun, *key, version.unwrap());
        }
    }

    async fn aside(&self, key: u64) {
        let begun = self.history.begin();
        let version = match self.cache.lookup(&key).await {
            Lookup::Hit(answer) => answer.value.unwrap(),
            Lookup::Miss(ticket) => {
                let version = self.record.read(key).await;
                let mut terms = Terms::default();
                for tag in tags(key) {
                    terms.tag(tag);
                }
                let _: Fill = ticket.fill_on(Some(version), &terms);
                version
            }
        };
        self.history.read(begun, key, version);
    }

    /// A write around the cache: the commit, and then its announcement in one of the ways.
    async fn write(&self, key: u64, way: usize, what: Invalidation) {
        let begun = self.history.begin();
        let version = self.record.version(key).fetch_add(1, Ordering::SeqCst) + 1;
        let dropping = what == Invalidation::Drop;
        match way {
            0 | 1 => drop(self.cache.invalidate_here(&[key], what).unwrap()),
            2 if dropping => drop(self.cache.invalidate_tags(&[prefix(key)]).await.unwrap()),
            2 => drop(self.cache.mark_tags_stale(&[prefix(key)]).await.unwrap()),
            3 => {
                let _: usize = self.cache.invalidate_prefix_here(&prefix(key), what).unwrap();
            }
            4 if dropping => drop(self.cache.invalidate_tags(&[ALL]).await.unwrap()),
            _ => self.cache.invalidate_all_here(what).unwrap(),
        }
        let announced = if dropping { Announced::Dropping } else { Announced::Loosely };
        self.history.wrote(begun, key, version, announced);
    }

    async fn run(&self, mut dice: Dice) {
        for _ in 0..STEPS {
            let key = dice.key();
            match dice.next(16) {
                0..=8 => drop(self.get(key).await),
                9 | 10 => self.get_many(&KEYS[dice.next(KEYS.len())..]).await,
                11 | 12 => self.aside(key).await,
                13 | 14 => self.write(key, dice.next(6), Invalidation::Drop).await,
                _ => self.write(key, dice.next(6), Invalidation::MarkStale).await,
            }
        }
    }

    /// When all is quiet each key gives its last version, at the latest after a refresh.
    async fn end(&self) {
        for key in KEYS {
            self.landed().await;
            self.get(key).await;
            self.landed().await;
            assert_eq!(self.get(key).await, self.history.head(key), "it was not refreshed");
        }
    }

    async fn landed(&self) {
        while self.cache.flights() > 0 {
            yield_now().await;
        }
    }
}

fn seed() -> u64 {
    std::env::var("LARDER_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// Lets threads loose on a cache, and judges what they saw.
async fn check(
    record: Record,
    build: impl FnOnce(CacheBuilder<u64, u64>) -> CacheBuilder<u64, u64>,
) {
    let record = Arc::new(record);
    let builder =
        Cache::builder("threads").engine(&Engine::on_tokio().unwrap()).source(Arc::clone(&record));
    let cache = build(builder).build().unwrap();
    let users = Arc::new(Users { record, cache, history: History::new() });
    let seed = seed();
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (users, runtime) = (Arc::clone(&users), Handle::current());
            let dice = Dice((seed << 8) + number);
            thread::spawn(move || runtime.block_on(users.run(dice)))
        })
        .collect();
    for thread in threads {
        let joined = tokio::task::spawn_blocking(|| thread.join());
        assert!(joined.await.unwrap().is_ok(), "LARDER_SEED={seed}: a thread panicked");
    }
    users.end().await;
    match users.history.check() {
        Ok(reads) => assert!(reads > STEPS * 3, "only {reads} reads were judged"),
        Err(violation) => panic!("LARDER_SEED={seed}: {violation}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_read_breaks_the_promise_where_all_is_kept() {
    check(Record::default(), |builder| builder.max_staleness(MINUTE)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_read_breaks_the_promise_where_there_is_room_for_less_than_there_is() {
    check(Record::default(), |builder| builder.max_staleness(MINUTE).entries_max(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_read_breaks_the_promise_where_keys_are_loaded_together() {
    let record = Record { batch_max: 4, ..Record::default() };
    check(record, |builder| builder.max_staleness(MINUTE)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_read_breaks_the_promise_where_nothing_is_kept() {
    check(Record::default(), |builder| builder.max_staleness(Duration::ZERO)).await;
}

/// A read may believe that it starts up to a tick of the clock later than it does. The load that it
/// begins is young enough for it all the same.
#[tokio::test]
async fn where_nothing_is_kept_every_read_asks_once() {
    let record = Arc::new(Record::default());
    let cache = Cache::builder("once")
        .source(Arc::clone(&record))
        .max_staleness(Duration::ZERO)
        .build()
        .unwrap();
    for reads in 1..=20 {
        assert_eq!(cache.get(&1).await.unwrap(), Some(0));
        assert_eq!(cache.get_many(&[2]).await.unwrap(), [Some(0)]);
        assert_eq!(record.loads.load(Ordering::Relaxed), 2 * reads);
    }
}
