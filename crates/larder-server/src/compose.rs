//! Composition: a configuration becomes objects that know each other.
//!
//! This is the one place where a cache meets its database: below it the engine knows no
//! database, and the drivers know no cache.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use larder_core::{Error, ErrorKind, Key, Result, Value};
use larder_engine::{Cache, Engine, Guard, GuardBounds, MemoryTier, Plain, memory_tier};
use larder_memory::Bounds;
use larder_resp::key_log::Note;
use larder_resp::{Declared, Host, KeyLog, Keyspace, Pool, PoolName, Service};
use larder_sql::{Database, SqlSource};

use crate::config::{CacheConfig, Config, MemoryConfig, SourceConfig};

/// A system of record and its guard, which all caches over it share.
#[derive(Clone, Debug)]
pub struct Source {
    /// The NAME of `[source.NAME]`.
    pub name: String,
    /// How much it is asked at a time.
    pub guard: Guard,
    /// The connections to it.
    pub database: Database,
}

impl Source {
    /// The source that a configuration describes. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// `Config` when its URL or an option can't be.
    pub fn open(config: &SourceConfig) -> Result<Self> {
        let bounds = GuardBounds {
            loads_max: config.loads_max,
            loads_waiting_max: config.loads_waiting_max,
            ..GuardBounds::default()
        };
        let guard = Guard::new(bounds)?;
        Ok(Self { name: config.name.clone(), guard, database: config.open()? })
    }

    /// The question of one cache to this source.
    ///
    /// # Errors
    ///
    /// `Config` when the load contradicts itself.
    pub fn load(&self, cache: &CacheConfig) -> Result<SqlSource> {
        SqlSource::new(&self.database, cache.load())
    }
}

/// A cache's question to its source, to be prepared.
#[derive(Clone)]
pub struct Question {
    /// The NAME of `[cache.NAME]`.
    pub cache: String,
    /// What is asked.
    pub load: Arc<SqlSource>,
}

/// A server's objects.
pub struct Composition {
    /// What the RESP listener serves.
    pub service: Arc<Service>,
    /// The systems of record.
    pub sources: Vec<Source>,
    /// The questions of the caches.
    pub questions: Vec<Question>,
    /// Where the notes of the key log are taken out, if there is one.
    pub notes: Option<Receiver<Note>>,
}

/// The objects that `config` describes. Nothing is connected and nothing listens yet.
///
/// # Errors
///
/// `Config` when something in it can't be.
pub fn compose(config: &Config, engine: &Engine, host: Arc<dyn Host>) -> Result<Composition> {
    let mut pools = Pools(Vec::new());
    let shared = config.shared.as_ref().map(|shared| pools.add(PoolName::Shared, shared));
    let sources = config.sources.iter().map(Source::open).collect::<Result<Vec<_>>>()?;
    let mut questions = Vec::new();
    let mut declared = Vec::new();
    for cache in &config.caches {
        let source = &sources[cache.source];
        let load = Arc::new(source.load(cache)?);
        questions.push(Question { cache: cache.name.clone(), load: Arc::clone(&load) });
        let own = |own| pools.add(PoolName::Cache(cache.name.as_str().into()), own);
        let Some(memory) = cache.memory.as_ref().map(own).or_else(|| shared.clone()) else {
            let message =
                format!("[cache.{}] has no memory, neither shared nor its own", cache.name);
            return Err(Error::new(ErrorKind::Config, message));
        };
        let mut builder = Cache::builder(cache.name.as_str());
        if let Some(gather) = cache.gather {
            builder = builder.gather(gather);
        }
        let built = builder
            .window(cache.window)
            .wait(cache.wait)
            .deadline(cache.deadline)
            .load_timeout(config.sources[cache.source].load_timeout)
            .source(load)
            .guard(source.guard.clone())
            .memory(memory)
            .weigher(weigh)
            .engine(engine)
            .build()?;
        declared.push(Declared { template: cache.key.clone(), cache: built });
    }
    let plain = config.plain.as_ref();
    let plain = plain.map(|own| Plain::new(engine, pools.add(PoolName::Plain, own), weigh));
    let mut keyspace = Keyspace::new(declared, plain)?;
    let mut notes = None;
    if let Some(trace) = &config.trace {
        let (log, taken) = KeyLog::new(trace.sample, engine.clock());
        keyspace = keyspace.with_key_log(log);
        notes = Some(taken);
    }
    let mut service = Service::new(keyspace, engine, pools.0, host);
    if let Some(password) = &config.listen.password {
        service = service.with_password(password.expose());
    }
    Ok(Composition { service: Arc::new(service), sources, questions, notes })
}

/// The parts of memory so far.
struct Pools(Vec<Pool>);

impl Pools {
    /// Adds the part that `part` describes, and returns its memory.
    fn add(&mut self, name: PoolName, part: &MemoryConfig) -> Arc<MemoryTier<Key, Value>> {
        let &MemoryConfig { bytes, policy, candidates, idle_for } = part;
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let memory =
            Arc::new(memory_tier(Bounds::bytes(bytes).candidates(candidates), policy, idle_for));
        self.0.push(Pool { name, memory: Arc::clone(&memory), policy, candidates });
        memory
    }
}

/// What a key and its value take on the heap. Bytes that are shared, as those of a value that is
/// both held and being sent, have a header of four words in front of them.
fn weigh(key: &Key, value: Option<&Value>) -> usize {
    const SHARED_HEADER: usize = 4 * size_of::<usize>();
    let value = value.filter(|value| !value.bytes.is_empty());
    key.heap_bytes() + value.map_or(0, |value| value.bytes.len() + SHARED_HEADER)
}
