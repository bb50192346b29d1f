//! What all sessions of a server share: the keyspace, the password, and the counts that INFO
//! reports.

use std::fmt;
use std::sync::Arc;

use larder_core::Moment;
use larder_core::sync::{AtomicU64, AtomicUsize, Counter, Ordering};
use larder_engine::Engine;
use larder_memory::Stats;
use subtle::ConstantTimeEq;

use crate::keyspace::Keyspace;
use crate::pool::Pool;
use crate::tickets::Tickets;

/// What the protocol can't know by itself about the process that it runs in.
pub trait Host: Send + Sync + 'static {
    /// How many bytes of memory the process occupies; 0 where that can't be told.
    fn resident_bytes(&self) -> u64;

    /// How many seconds of CPU time the process has used, in the program and in the kernel.
    fn cpu_seconds(&self) -> (f64, f64);

    /// The number of the process.
    fn process_id(&self) -> u32;

    /// The port that clients connect to.
    fn port(&self) -> u16;
}

/// The server, as its sessions see it.
pub struct Service {
    pub(crate) keyspace: Keyspace,
    pub(crate) engine: Engine,
    pools: Vec<Pool>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) started: Moment,
    pub(crate) counts: Counts,
    pub(crate) tickets: Tickets,
    password: Option<Password>,
}

/// What the sessions count together.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) commands: Counter,
    pub(crate) sessions: AtomicU64,
    pub(crate) refused: Counter,
    pub(crate) input_bytes: Counter,
    pub(crate) output_bytes: Counter,
    pub(crate) connected: AtomicUsize,
}

impl Service {
    /// A server over this keyspace. `pools` are the parts of memory that its caches and plain
    /// keys use, each once and with a name of its own.
    pub fn new(keyspace: Keyspace, engine: &Engine, pools: Vec<Pool>, host: Arc<dyn Host>) -> Self {
        let started = engine.clock().now();
        let engine = engine.clone();
        let counts = Counts::default();
        let tickets = Tickets::default();
        Self { keyspace, engine, pools, host, started, counts, tickets, password: None }
    }

    /// Asks every client for this password first.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.password = Some(Password(password.as_bytes().into()));
        self
    }

    /// The keys that it answers for.
    pub fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    /// The engine that its caches belong to.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The parts of memory that its caches and plain keys use.
    pub fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// What was counted of the shared tier and the bus, if there are any.
    pub fn shared_stats(&self) -> Option<larder_engine::SharedStats> {
        self.engine.shared_stats()
    }

    /// What a part of memory holds and did, with what plain keys refused before it was asked.
    pub fn stats(&self, pool: &Pool) -> Stats {
        let mut stats = pool.memory.stats();
        if let Some(plain) = self.keyspace.plain().filter(|plain| plain.is_in(&pool.memory)) {
            stats.too_heavy += plain.too_heavy();
        }
        stats
    }

    /// What all parts of memory hold and did.
    pub(crate) fn all_stats(&self) -> Stats {
        let mut sum = Stats::default();
        for pool in &self.pools {
            sum += self.stats(pool);
        }
        sum
    }

    /// The bound of the bytes in all parts of memory together.
    pub(crate) fn limit_bytes(&self) -> usize {
        self.pools.iter().map(Pool::limit_bytes).sum()
    }

    /// The part of memory that plain keys are in; where there are none, the first.
    pub(crate) fn plain_pool(&self) -> Option<&Pool> {
        let plain = self.keyspace.plain();
        let theirs = |pool: &&Pool| plain.is_some_and(|plain| plain.is_in(&pool.memory));
        self.pools.iter().find(theirs).or(self.pools.first())
    }

    /// Reads that memory could serve and reads that it couldn't, of all keys, so far.
    #[must_use]
    pub fn hits_and_misses(&self) -> (u64, u64) {
        let (mut hits, mut misses) = (0, 0);
        if let Some(plain) = self.keyspace.plain() {
            (hits, misses) = (plain.hits(), plain.misses());
        }
        for declared in self.keyspace.declared() {
            let stats = declared.cache.stats();
            hits += stats.hits();
            misses += stats.misses;
        }
        (hits, misses)
    }

    /// How many clients are connected.
    pub fn connected(&self) -> usize {
        self.counts.connected.load(Ordering::Relaxed)
    }

    /// How many commands were executed so far.
    pub fn commands(&self) -> u64 {
        self.counts.commands.get()
    }

    /// How many connections were accepted so far.
    pub fn sessions(&self) -> u64 {
        self.counts.sessions.load(Ordering::Relaxed)
    }

    /// How many connections were refused so far because too many were open.
    pub fn refused(&self) -> u64 {
        self.counts.refused.get()
    }

    /// Counts a connection that was refused because too many were open.
    pub fn refuse_client(&self) {
        self.counts.refused.add(1);
    }

    /// Counts bytes that came in.
    pub fn count_input(&self, bytes: usize) {
        self.counts.input_bytes.add(bytes as u64);
    }

    /// Counts bytes that go out.
    pub fn count_output(&self, bytes: usize) {
        self.counts.output_bytes.add(bytes as u64);
    }

    pub(crate) fn asks_password(&self) -> bool {
        self.password.is_some()
    }

    pub(crate) fn accepts(&self, password: &[u8]) -> bool {
        self.password.as_ref().is_none_or(|own| own.is(password))
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("keyspace", &self.keyspace).finish_non_exhaustive()
    }
}

/// A password that shows itself to nobody and compares in constant time.
struct Password(Box<[u8]>);

impl Password {
    fn is(&self, given: &[u8]) -> bool {
        bool::from(self.0.ct_eq(given))
    }
}
