//! A server, and processes over it: some directly, one behind proxies that count.

use std::sync::Arc;
use std::time::{Duration, Instant};

use larder::engine::{MessagePack, Sharing, SharingBounds};
use larder::memcached::{MemcachedOptions, MemcachedTier};
use larder::redis::{RedisOptions, RedisTier};
use larder::{Cache, Changes, Engine};
use larder_test::proxy::Counts;
use larder_test::{ManualClock, Memcached, PATIENCE, Proxy, Redis, TestSource};

/// The longest pause between two questions of who waits for another's load.
pub(crate) const POLL_MAX: Duration = Duration::from_millis(50);
/// Longer than any clock here is turned.
const LONG: Duration = Duration::from_secs(3600);
/// How much later everything arrives, each way, behind a proxy that counts.
const DELAY: Duration = Duration::from_millis(20);
/// A wire on which nothing was sent for so long is quiet: longer than a reply takes, and longer
/// than what a connection knows of its server's clock holds, so that each miss asks for that.
const QUIET: Duration = Duration::from_millis(250);

/// The server and the source of all processes.
pub(crate) struct Site {
    server: Server,
    source: TestSource<u64, String>,
}

/// Which server it is.
pub(crate) enum Server {
    Redis(Redis),
    Memcached(Memcached),
}

/// A proxy in front of the server.
pub(crate) struct Wire(Proxy);

/// The wires of the process that is measured.
pub(crate) struct Wires {
    pub(crate) tier: Wire,
    pub(crate) bus: Wire,
}

/// One process, whose clock stands still.
pub(crate) struct Process {
    pub(crate) cache: Cache<u64, String>,
    pub(crate) source: TestSource<u64, String>,
    engine: Engine,
    clock: ManualClock,
    has_bus: bool,
}

/// What every key has: with two bytes before it, its text takes 200.
pub(crate) fn row() -> String {
    "r".repeat(198)
}

impl Server {
    pub(crate) const REDIS: &str = "Redis";
    pub(crate) const MEMCACHED: &str = "Memcached";

    fn port(&self) -> u16 {
        match self {
            Self::Redis(redis) => redis.port(),
            Self::Memcached(memcached) => memcached.port(),
        }
    }

    /// The tier on one port and, where there is one, the bus on another.
    fn open(&self, tier: u16, bus: u16) -> Sharing {
        match self {
            Self::Redis(_) => {
                let open = |port: u16| {
                    let url = format!("redis://127.0.0.1:{port}");
                    RedisTier::connect(RedisOptions::new(url)).unwrap()
                };
                // With one address they have the connection in common, as in a program.
                let own = open(tier);
                let bus = if tier == bus { own.bus() } else { open(bus).bus() };
                Sharing::over(Arc::new(own)).own_bus(Arc::new(bus))
            }
            Self::Memcached(_) => {
                let url = format!("memcached://127.0.0.1:{tier}");
                let options = MemcachedOptions::new(&url).unwrap();
                Sharing::over(Arc::new(MemcachedTier::connect(options).unwrap()))
            }
        }
    }
}

impl Site {
    pub(crate) fn redis() -> Self {
        Self::over(Server::Redis(Redis::start()))
    }

    pub(crate) fn memcached() -> Self {
        Self::over(Server::Memcached(Memcached::start()))
    }

    fn over(server: Server) -> Self {
        Self { server, source: TestSource::answering(|_: &u64| Some(row())).batching(100) }
    }

    /// A wire that delays.
    pub(crate) fn wire(&self) -> Wire {
        let proxy = Proxy::to(("127.0.0.1", self.server.port()));
        proxy.delay(DELAY);
        Wire(proxy)
    }

    /// A process that nobody measures.
    pub(crate) async fn process(&self) -> Process {
        self.process_at(self.server.port(), self.server.port()).await
    }

    pub(crate) async fn measured(&self) -> (Process, Wires) {
        let wires = Wires { tier: self.wire(), bus: self.wire() };
        (self.process_over(&wires.tier, &wires.bus).await, wires)
    }

    pub(crate) async fn process_over(&self, tier: &Wire, bus: &Wire) -> Process {
        self.process_at(tier.0.port(), bus.0.port()).await
    }

    async fn process_at(&self, tier: u16, bus: u16) -> Process {
        let clock = ManualClock::new();
        let engine = Engine::with_clock(clock.clone()).unwrap();
        // Its clock is turned while answers are on their way: nothing may seem late.
        let bounds = SharingBounds {
            read_within: LONG,
            write_within: LONG,
            invalidate_within: LONG,
            fill_wait: LONG,
            ..SharingBounds::default()
        };
        engine.share(self.server.open(tier, bus).bounds(bounds)).await.unwrap();
        let cache = Cache::builder("row")
            .engine(&engine)
            .source(self.source.clone())
            .max_staleness(LONG)
            .changes(Changes::Announced)
            .deadline(LONG)
            .load_timeout(LONG)
            .shared(MessagePack)
            .build();
        let has_bus = matches!(self.server, Server::Redis(_));
        Process { cache: cache.unwrap(), source: self.source.clone(), engine, clock, has_bus }
    }
}

impl Wire {
    /// What has been counted once nothing is sent any more.
    pub(crate) async fn quiet(&self) -> Counts {
        let (since, mut before) = (Instant::now(), self.0.counts());
        loop {
            tokio::time::sleep(QUIET).await;
            let now = self.0.counts();
            if now == before {
                return now;
            }
            assert!(since.elapsed() < PATIENCE, "the wire is never quiet: {before:?}, {now:?}");
            before = now;
        }
    }
}

impl Process {
    /// Reads keys that must be loaded, with one question if there are several, and waits until
    /// they are in the tier.
    pub(crate) async fn get(&self, keys: &[u64]) {
        let loads = || keys.iter().map(|key| self.source.loads_of(key)).sum::<usize>();
        let (fills, before) = (self.cache.stats().shared_fills, loads());
        match keys {
            [key] => drop(self.cache.get(key).await.unwrap()),
            keys => drop(self.cache.get_many(keys).await.unwrap()),
        }
        let loaded = (loads() - before) as u64;
        until("all is filled", || self.cache.stats().shared_fills == fills + loaded).await;
    }

    /// Turns its clock, and lets it do what it does then.
    pub(crate) async fn turn(&self, time: Duration) {
        self.clock.advance(time);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    /// Turns its clock step by step.
    pub(crate) async fn turn_until(&self, step: Duration, what: &str, done: impl Fn() -> bool) {
        let since = Instant::now();
        while !done() {
            assert!(since.elapsed() < PATIENCE, "turned the clock in vain until {what}");
            self.turn(step).await;
        }
    }

    /// Whether it hears what others announce.
    pub(crate) fn has_bus(&self) -> bool {
        self.has_bus
    }

    /// How many messages of the bus it has applied.
    pub(crate) fn messages(&self) -> u64 {
        self.engine.shared_stats().unwrap().messages
    }

    pub(crate) async fn heard(&self, messages: u64) {
        until("it is heard", || self.messages() >= messages).await;
    }

    pub(crate) fn knows_horizon(&self) -> bool {
        self.engine.shared_stats().unwrap().horizon_age.is_some()
    }
}

/// Waits for what other tasks and the server do.
pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
