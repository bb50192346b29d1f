//! Composition: a configuration becomes objects that know each other.
//!
//! This is the one place where a cache meets its database: below it the engine knows no
//! database, and the drivers know no cache.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use foldhash::quality::RandomState;
use larder_core::{Error, ErrorKind, Key, KeyTemplate, Result, Value};
use larder_engine::behind::WriteBehind;
use larder_engine::{
    Cache, CacheBuilder, Engine, Guard, MemoryTier, Plain, Raw, WriteMode, memory_tier,
};
use larder_memory::Bounds;
use larder_resp::key_log::Note;
use larder_resp::upstream::Upstream;
use larder_resp::{Declared, Host, KeyLog, Keyspace, Pool, PoolName, Service};
use larder_sql::{Database, SqlKeys, SqlSink, SqlSource};

use crate::behind::BehindLog;
use crate::config::{CacheConfig, CacheWrites, Config, MemoryConfig, SourceConfig};
use crate::feed::SourceFeed;

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
        let guard = Guard::new(config.guard())?;
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

    /// The writes of one cache to this source; `None` when it takes none.
    ///
    /// # Errors
    ///
    /// `Config` when a statement contradicts itself.
    pub fn sink(&self, cache: &CacheConfig) -> Result<Option<SqlSink>> {
        let writes = cache.writes.as_ref();
        let writes = writes.map(|writes| writes.statements(&cache.name, cache.load()));
        writes.map(|writes| SqlSink::new(&self.database, writes)).transpose()
    }
}

/// A cache's question to its source and its statements that write, to be prepared.
#[derive(Clone)]
pub struct Question {
    /// The NAME of `[cache.NAME]`.
    pub cache: String,
    /// What is asked.
    pub load: Arc<SqlSource>,
    /// What is written, if anything is.
    pub sink: Option<Arc<SqlSink>>,
    /// What the database's answers are held against.
    pub config: CacheConfig,
}

/// A server's objects.
pub struct Composition {
    /// What the RESP listener serves.
    pub service: Arc<Service>,
    /// The systems of record.
    pub sources: Vec<Source>,
    /// The questions of the caches.
    pub questions: Vec<Question>,
    /// What tells of the sources' changes. They are not started.
    pub feeds: Vec<SourceFeed>,
    /// Where the notes of the key log are taken out, if there is one.
    pub notes: Option<Receiver<Note>>,
}

/// The objects that `config` describes; what is written behind is written with `behind`. Nothing
/// listens yet, and nothing is connected but what a filter is built from.
///
/// # Errors
///
/// `Config` when something in it can't be.
pub fn compose(
    config: &Config,
    engine: &Engine,
    host: Arc<dyn Host>,
    behind: Option<&WriteBehind>,
) -> Result<Composition> {
    let mut pools = Pools(Vec::new());
    let shared = config.common.as_ref().map(|common| pools.add(PoolName::Shared, common));
    let sources = config.sources.iter().map(Source::open).collect::<Result<Vec<_>>>()?;
    let feeds = SourceFeed::all(config, sources.iter().map(|source| &source.database));
    let mut questions = Vec::new();
    let mut declared = Vec::new();
    for cache in &config.caches {
        let source = &sources[cache.source];
        let load = Arc::new(source.load(cache)?);
        let mut builder = Cache::builder(cache.name.as_str());
        let mut sink = None;
        if let (Some(writes), Some(whole)) = (&cache.writes, source.sink(cache)?) {
            let built = with_writes(builder, writes, whole, behind)?;
            (builder, sink) = (built.0, Some(built.1));
        }
        questions.push(Question {
            cache: cache.name.clone(),
            load: Arc::clone(&load),
            sink,
            config: cache.clone(),
        });
        let own = |own| pools.add(PoolName::Cache(cache.name.as_str().into()), own);
        let Some(memory) = cache.memory.as_ref().map(own).or_else(|| shared.clone()) else {
            let message =
                format!("[cache.{}] has no memory, neither shared nor its own", cache.name);
            return Err(Error::new(ErrorKind::Config, message));
        };
        if let Some(bloom) = config.bloom_of(cache) {
            let keys = SqlKeys::new(&source.database, &cache.key, &bloom.keys)?;
            builder = builder.filter_with(bloom.options.clone(), keys);
        }
        if let Some(gather) = cache.gather {
            builder = builder.gather(gather);
        }
        for feed in &feeds {
            builder = feed.cover(cache, builder);
        }
        if cache.sharing.in_tier {
            builder = builder.shared(Raw).schema(cache.sharing.schema);
        }
        let built = builder
            .consistency(cache.sharing.consistency)
            .window(cache.window)
            .wait(cache.wait)
            .deadline(cache.deadline)
            .reload(cache.reload)
            .load_timeout(config.sources[cache.source].load_timeout)
            .source(load)
            .guard(source.guard.clone())
            .memory(memory)
            .weigher(weigh)
            .changes(config.sources[cache.source].changes)
            .key_parts_with(names(&cache.key), split(cache.key.clone()))
            .fingerprint(fingerprint())
            .engine(engine)
            .build()?;
        let counter = cache.writes.as_ref().and_then(|writes| writes.counter.as_deref());
        let counter = counter.map(Into::into);
        declared.push(Declared { template: cache.key.clone(), cache: built, counter });
    }
    let plain = config.plain.as_ref();
    let plain = plain.map(|own| Plain::new(engine, pools.add(PoolName::Plain, own), weigh));
    let mut keyspace = Keyspace::new(declared, plain)?;
    if let Some(shared) = config.shared.as_ref().filter(|_| config.upstream) {
        let upstream = shared.upstream()?;
        // In a cluster a key and the marks that its tags have live on two servers.
        let may_have_companions = !upstream.is_divided();
        keyspace = keyspace.with_upstream(Arc::new(upstream));
        if may_have_companions {
            keyspace = keyspace.with_companions(&shared.namespace);
        }
    }
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
    Ok(Composition { service: Arc::new(service), sources, questions, feeds, notes })
}

/// A cache that is also written. What its statements return has the tags that its load gives.
fn with_writes(
    builder: CacheBuilder<Key, Value>,
    writes: &CacheWrites,
    sink: SqlSink,
    behind: Option<&WriteBehind>,
) -> Result<(CacheBuilder<Key, Value>, Arc<SqlSink>)> {
    let (sink, terms) = sink.with_terms();
    let fold = sink.fold(writes.counter.clone());
    let sink = Arc::new(sink);
    let builder = builder
        .sink(Arc::clone(&sink))
        .write_timeout(writes.timeout)
        .written(move |key, value| terms.of(key, value));
    let builder = match (writes.mode, behind) {
        (WriteMode::Behind, Some(behind)) => builder
            .behind(behind, Raw)
            .add_with(move |held, delta| fold.add(held, delta))
            .observe(BehindLog::default()),
        (WriteMode::Behind, None) => {
            let message = "a cache is written behind, and there is no journal";
            return Err(Error::new(ErrorKind::Config, message));
        }
        (mode, _) => builder.write(mode).install(writes.install),
    };
    Ok((builder, sink))
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

/// What the parts of a key are called.
fn names(template: &KeyTemplate) -> impl Iterator<Item = &str> {
    template.parameters().iter().map(|parameter| parameter.name.as_str())
}

/// The parts of a key, as texts; none of a key that doesn't fit its template, of which a cache has
/// none.
fn split(template: KeyTemplate) -> impl Fn(&Key) -> Vec<String> {
    move |key| {
        let text = str::from_utf8(key.as_bytes()).unwrap_or_default();
        let values = template.matches(text).unwrap_or_default();
        values.iter().map(ToString::to_string).collect()
    }
}

/// What tells two values apart: a hash of their bytes, with a seed that nobody outside knows.
fn fingerprint() -> impl Fn(&Value) -> u64 {
    let seed = RandomState::default();
    move |value| seed.hash_one(&value.bytes[..])
}

/// What a key and its value take on the heap. Bytes that are shared, as those of a value that is
/// both held and being sent, have a header of four words in front of them.
fn weigh(key: &Key, value: Option<&Value>) -> usize {
    const SHARED_HEADER: usize = 4 * size_of::<usize>();
    let value = value.filter(|value| !value.bytes.is_empty());
    key.heap_bytes() + value.map_or(0, |value| value.bytes.len() + SHARED_HEADER)
}

#[cfg(test)]
mod tests {
    use larder_engine::Engine;
    use larder_engine::verdict::Worth;
    use tempfile::NamedTempFile;

    use super::*;
    use crate::host::ThisProcess;

    /// What a cache of pages, each with the number of a request in its key, is worth once it was
    /// asked for these keys, each after it was invalidated.
    async fn worth(keys: impl Iterator<Item = (u32, u32)>) -> Worth {
        let file = NamedTempFile::new().unwrap();
        let text = format!(
            "[source.site]
             url = \"sqlite:{}\"
             [cache.page]
             key = \"page:{{page:int}}:{{request:int}}\"
             load = \"SELECT {{page}} AS page, {{request}} >= 0 AS is_asked\"
             max_staleness = \"1h\"",
            file.path().display()
        );
        let config = Config::parse(&text, "larder.toml", &|_| None).unwrap();
        let engine = Engine::on_tokio().unwrap();
        let composition =
            compose(&config, &engine, Arc::new(ThisProcess { port: 0 }), None).unwrap();
        let cache = &composition.service.keyspace().declared()[0].cache;
        for (page, request) in keys {
            let key = Key::new(format!("page:{page}:{request}").as_bytes());
            cache.invalidate(&key).await.unwrap();
            assert!(cache.get(&key).await.unwrap().is_some());
        }
        cache.worth()
    }

    #[tokio::test]
    async fn the_part_that_makes_every_key_new_is_named_as_the_template_names_it() {
        let worth = worth((0..200).map(|request| (request % 5, request))).await;
        let fragment = worth.fragment.unwrap();
        assert_eq!(fragment.name, "request");
        assert!((4..=6).contains(&fragment.distinct_without), "{fragment:?}");
        assert!((180..=220).contains(&worth.distinct), "{}", worth.distinct);
    }

    #[tokio::test]
    async fn a_reload_that_brings_the_same_bytes_is_known_as_such() {
        let worth = worth((0..20).map(|_| (7, 7))).await;
        assert_eq!((worth.loads, worth.reloads, worth.reloads_same), (20, 19, 19));
    }

    #[test]
    fn other_bytes_have_another_fingerprint() {
        let fingerprint = fingerprint();
        let of = |text: &'static str| fingerprint(&Value::json(text));
        assert_eq!(of("[1]"), of("[1]"));
        assert_ne!(of("[1]"), of("[2]"));
    }
}
