//! One Postgres, one Redis, two processes' worth of caches, a writer and readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use larder::core::change::{Field, Row};
use larder::core::feed::Notice;
use larder::engine::feeding::{Feeding, Touched};
use larder::engine::{MessagePack, Sharing};
use larder::feed::postgres::{PostgresFeed, PostgresFeedOptions};
use larder::redis::{RedisOptions, RedisTier};
use larder::sql::{Database, Format, Load, Options, Rows, SqlSource};
use larder::{Cache, Engine, LoadContext, LoadError, Source};
use larder_test::accounts::{self, Writer};
use larder_test::checker::{Checker, Read, now};
use larder_test::{Postgres, Redis};
use std::sync::Mutex;

pub(crate) const ACCOUNTS: u64 = 50;
/// Between two changes.
const CHANGE_EVERY: Duration = Duration::from_millis(10);

pub(crate) struct Place {
    pub(crate) postgres: Postgres,
    pub(crate) redis: Redis,
    pub(crate) checker: Arc<Checker>,
    processes: Mutex<Vec<Option<Process>>>,
    changes: AtomicU64,
    loads: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Process {
    engine: Engine,
    feeding: Feeding,
    cache: Cache<u64, u64>,
}

impl Place {
    pub(crate) async fn new() -> Self {
        let postgres = Postgres::start_with(&[("wal_level", "logical")]);
        accounts::create(&postgres, ACCOUNTS);
        let redis = Redis::start();
        let loads = Arc::new(AtomicU64::new(0));
        let mut processes = Vec::new();
        for _ in 0..2 {
            processes.push(Some(process(&postgres, &redis, &loads).await));
        }
        let checker = Arc::new(Checker::new());
        let processes = Mutex::new(processes);
        let place = Self { postgres, redis, checker, processes, changes: AtomicU64::new(0), loads };
        // From then on it is covered.
        while place.standing().iter().any(|standing| standing.horizon_age.is_none()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        place
    }

    fn standing(&self) -> Vec<larder::engine::feeding::FeedStanding> {
        let processes = self.processes.lock().unwrap();
        let all = processes.iter().flatten();
        all.map(|process| process.feeding.standing(&process.engine)).collect()
    }

    /// Which process follows, as soon as one does.
    pub(crate) async fn follower(&self) -> usize {
        loop {
            match self.now_following() {
                Some(process) => return process,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    fn now_following(&self) -> Option<usize> {
        let processes = self.processes.lock().unwrap();
        let follows = |process: &Option<Process>| {
            process
                .as_ref()
                .is_some_and(|process| process.feeding.standing(&process.engine).follows)
        };
        processes.iter().position(follows)
    }

    /// Ends a process.
    pub(crate) fn stop(&self, process: usize) {
        self.processes.lock().unwrap()[process] = None;
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    pub(crate) fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }

    /// Changes and reads for so long.
    pub(crate) async fn run(&self, time: Duration) {
        self.disturbed(time, || ()).await;
    }

    /// The same, and does something meanwhile.
    pub(crate) async fn disturbed(&self, time: Duration, disturb: impl FnOnce() + Send) {
        let until = Instant::now() + time;
        let ends = AtomicBool::new(false);
        let processes: Vec<(u64, Cache<u64, u64>)> = (0..)
            .zip(self.processes.lock().unwrap().iter())
            .filter_map(|(at, process)| Some((at, process.as_ref()?.cache.clone())))
            .collect();
        let readers: Vec<_> = processes
            .into_iter()
            .map(|(at, cache)| {
                let checker = Arc::clone(&self.checker);
                tokio::spawn(read(at, cache, checker, until))
            })
            .collect();
        thread::scope(|scope| {
            scope.spawn(|| self.write(&ends));
            scope.spawn(disturb);
            thread::sleep(until.saturating_duration_since(Instant::now()));
            ends.store(true, Ordering::Relaxed);
        });
        for reader in readers {
            reader.await.unwrap();
        }
    }

    /// Changes accounts, and tells nobody.
    fn write(&self, ends: &AtomicBool) {
        let seed = self.changes();
        let address = ("127.0.0.1", self.postgres.port());
        let mut writer = Writer::connect(address, ACCOUNTS, seed).unwrap();
        while !ends.load(Ordering::Relaxed) {
            let mut write = writer.update().unwrap();
            // The feed counts from the commit.
            write.announced = write.committed;
            self.checker.wrote(write);
            self.changes.fetch_add(1, Ordering::Relaxed);
            thread::sleep(CHANGE_EVERY);
        }
    }
}

/// Reads account after account.
async fn read(process: u64, cache: Cache<u64, u64>, checker: Arc<Checker>, until: Instant) {
    let mut key = process;
    while Instant::now() < until {
        for _ in 0..200 {
            key = key * 31 % ACCOUNTS + 1;
            let began = now();
            // While the source or the tier is away it may say so; what it returns is judged.
            if let Ok(Some(version)) = cache.get(&key).await {
                checker.read(Read { process, key, version, began, ended: now() });
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn process(postgres: &Postgres, redis: &Redis, loads: &Arc<AtomicU64>) -> Process {
    let tier = RedisTier::connect(RedisOptions::new(redis.url())).unwrap();
    let bus = Arc::new(tier.bus());
    let engine = Engine::on_tokio().unwrap();
    engine.share(Sharing::over(Arc::new(tier)).own_bus(bus)).await.unwrap();
    let feed = PostgresFeed::new(&postgres.url(), PostgresFeedOptions::new(["accounts"])).unwrap();
    feed.install().await.unwrap();
    let feeding = Feeding::over("accounts", feed);
    let database = Database::open(&postgres.url(), &Options::new("accounts")).unwrap();
    let load = Load {
        key: larder::core::KeyTemplate::parse("account:{id:int}").unwrap(),
        sql: "SELECT version FROM accounts WHERE id = {id}".to_owned(),
        rows: Rows::One,
        format: Format::Raw,
        tags: Vec::new(),
    };
    let source = SqlSource::new(&database, load).unwrap();
    let source = Versions { source, loads: Arc::clone(loads) };
    let cache = Cache::builder("accounts")
        .engine(&engine)
        .max_staleness(super::PROMISE)
        .fresh_for(Duration::from_secs(3600))
        .source(source)
        .shared(MessagePack)
        .feed(&feeding, touched)
        .build()
        .unwrap();
    feeding.start(&engine).unwrap();
    Process { engine, feeding, cache }
}

/// The versions of accounts, and how often somebody asked for one.
struct Versions {
    source: SqlSource,
    loads: Arc<AtomicU64>,
}

impl Source<u64, u64> for Versions {
    async fn load(&self, id: &u64, context: &mut LoadContext) -> Result<Option<u64>, LoadError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let key = larder::core::Key::from(format!("account:{id}").as_str());
        let value = self.source.load(&key, context).await?;
        value.map(|value| Ok(str::from_utf8(&value.bytes)?.parse()?)).transpose()
    }
}

fn touched(notice: &Notice) -> Touched<u64> {
    let Notice::Changed(change) = notice else { return Touched::Nothing };
    let id = |row: &Row| match row.get("id") {
        Field::Text(id) => str::from_utf8(id).ok()?.parse().ok(),
        Field::Null | Field::Unknown => None,
    };
    match change.rows().filter_map(id).collect::<Vec<_>>() {
        none if none.is_empty() => Touched::Everything,
        ids => Touched::Keys(ids),
    }
}
