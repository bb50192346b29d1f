//! The builder of a cache: it reads like a sentence, and refuses nonsense with the reason (see
//! `build`).

mod build;

use std::sync::Arc;
use std::time::Duration;

use larder_core::freshness::Declared;
use larder_core::sink::Sink;
use larder_core::{CacheKey, Changes, KeyList, Result, Source, Terms, Window};
use larder_memory::policy::PolicyKind;
use larder_memory::{Bounds, Candidates};

use crate::behind::{Fold, WriteBehind};
use crate::budget::Budget;
use crate::consistency::Consistency;
use crate::engine::Engine;
use crate::erased::{DynSink, DynSource};
use crate::feeding::{Feeding, Route};
use crate::filter::FilterOptions;
use crate::guard::Guard;
use crate::keys::AnyKeyList;
use crate::ledger::Weigh;
use crate::memory::MemoryTier;
use crate::observe::{Observer, Observers};
use crate::reload::Reload;
use crate::shared::COMPRESS_FROM_DEFAULT;
use crate::shared::codec::Codec;
use crate::worth::{Fingerprint, KeyParts, parts_of_tuples};
use crate::write::{Install, Say, WriteMode};

/// A load is dropped after this long, if nothing else is said.
const LOAD_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// A caller waits this long before it takes what may stand in, if nothing else is said.
const WAIT_DEFAULT: Duration = Duration::from_millis(100);
/// A caller waits at most this long, if nothing else is said.
const DEADLINE_DEFAULT: Duration = Duration::from_secs(10);
/// A write is dropped after this long, if nothing else is said.
const WRITE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// A cache of its own holds at most so many entries, if nothing else is said.
const ENTRIES_DEFAULT: usize = 10_000;
/// A cache of its own takes at most so many bytes, if nothing else is said.
const BYTES_DEFAULT: usize = 64 << 20;

/// Everything that a cache can be told, each with a default but the window.
#[must_use = "a builder does nothing until it is built"]
pub struct CacheBuilder<K, V> {
    name: Box<str>,
    declared: Declared,
    window: Option<Window>,
    engine: Option<Engine>,
    memory: Option<Arc<MemoryTier<K, V>>>,
    budget: Option<Budget>,
    bounds: Bounds,
    bounds_given: bool,
    candidates: Candidates,
    policy: PolicyKind,
    source: Option<Arc<dyn DynSource<K, V>>>,
    sink: Option<Arc<dyn DynSink<K, V>>>,
    write: Option<WriteMode>,
    install: Option<Install>,
    written: Option<Say<K, V>>,
    write_timeout: Duration,
    behind: Option<(WriteBehind, Box<dyn Codec<V>>)>,
    fold: Option<Fold<V>>,
    guard: Option<Guard>,
    gather: Option<Duration>,
    load_timeout: Duration,
    reload: Reload,
    wait: Duration,
    deadline: Duration,
    idle_for: Option<Duration>,
    weigh: Option<Weigh<K, V>>,
    changes: Changes,
    feed: Option<(Feeding, Box<dyn Route<K>>)>,
    filter: Option<(FilterOptions, AnyKeyList<K>)>,
    key_parts: Option<KeyParts<K>>,
    fingerprint: Option<Fingerprint<V>>,
    observers: Observers,
    codec: Option<Box<dyn Codec<V>>>,
    schema: u32,
    compress_from: usize,
    consistency: Option<Consistency>,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> CacheBuilder<K, V> {
    pub(crate) fn new(name: Box<str>) -> Self {
        Self {
            name,
            declared: Declared::default(),
            window: None,
            engine: None,
            memory: None,
            budget: None,
            bounds: Bounds::entries(ENTRIES_DEFAULT).and_bytes(BYTES_DEFAULT),
            bounds_given: false,
            candidates: Candidates::default(),
            policy: PolicyKind::default(),
            source: None,
            sink: None,
            write: None,
            install: None,
            written: None,
            write_timeout: WRITE_TIMEOUT_DEFAULT,
            behind: None,
            fold: None,
            guard: None,
            gather: None,
            load_timeout: LOAD_TIMEOUT_DEFAULT,
            reload: Reload::default(),
            wait: WAIT_DEFAULT,
            deadline: DEADLINE_DEFAULT,
            idle_for: None,
            weigh: None,
            changes: Changes::Unknown,
            feed: None,
            filter: None,
            key_parts: None,
            fingerprint: None,
            observers: Observers::default(),
            codec: None,
            schema: 0,
            compress_from: COMPRESS_FROM_DEFAULT,
            consistency: None,
        }
    }

    /// The promise: no answer is older than this when its read begins. This or
    /// [`fresh_for`](Self::fresh_for) must be given.
    pub fn max_staleness(mut self, max: Duration) -> Self {
        self.declared.max_staleness = Some(max);
        self
    }

    /// How long an entry is served as it is; as long as `max_staleness` by default.
    pub fn fresh_for(mut self, fresh_for: Duration) -> Self {
        self.declared.fresh_for = Some(fresh_for);
        self
    }

    /// How much longer a stale entry is served while one refresh runs; not at all by default.
    pub fn stale_for(mut self, stale_for: Duration) -> Self {
        self.declared.stale_for = Some(stale_for);
        self
    }

    /// How long an absence is remembered; 30 s by default, at most `max_staleness`.
    pub fn missing_for(mut self, missing_for: Duration) -> Self {
        self.declared.missing_for = Some(missing_for);
        self
    }

    /// How much of `fresh_for` chance may take away; a tenth by default, at most 60 s.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.declared.jitter = Some(jitter);
        self
    }

    /// How long after an entry is gone its value may stand in while the source fails, or is
    /// slower than [`wait`](Self::wait); not at all by default. Only this goes beyond the
    /// promise: such answers say so ([`Reason::Failing`](larder_core::Reason::Failing),
    /// [`Reason::Slow`](larder_core::Reason::Slow)) and are counted. A failing key is then tried
    /// again after 1 s, and after each further failure twice as long, up to 30 s.
    pub fn stale_on_error(mut self, stale_on_error: Duration) -> Self {
        self.declared.stale_on_error = Some(stale_on_error);
        self
    }

    /// The part of `fresh_for` after which a read begins a refresh, and is served what is held;
    /// 0.8 by default, 1 is never.
    pub fn refresh_at(mut self, part: f64) -> Self {
        self.declared.refresh_at = Some(part);
        self
    }

    /// β of XFetch, which begins refreshes the earlier the longer loads take; 1 by default, 0 is
    /// off.
    pub fn xfetch(mut self, beta: f64) -> Self {
        self.declared.xfetch = Some(beta);
        self
    }

    /// After how long without a read an entry is forgotten; never by default.
    pub fn idle_for(mut self, idle_for: Duration) -> Self {
        self.idle_for = Some(idle_for);
        self
    }

    /// All windows at once, as a configuration resolved them. Windows given one by one are then
    /// without effect.
    pub fn window(mut self, window: Window) -> Self {
        self.window = Some(window);
        self
    }

    /// The system of record. Without one the cache serves
    /// [`get_or_load`](Cache::get_or_load) and [`lookup`](Cache::lookup).
    pub fn source(mut self, source: impl Source<K, V>) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The system of record as it is written, which [`Cache::put`] and its siblings ask. It has the
    /// source's guard: loads and writes together are never more at once than that lets through.
    pub fn sink(mut self, sink: impl Sink<K, V>) -> Self {
        self.sink = Some(Arc::new(sink));
        self
    }

    /// What becomes of the entry when a write was committed; [`WriteMode::Around`] by default.
    pub fn write(mut self, mode: WriteMode) -> Self {
        self.write = Some(mode);
        self
    }

    /// When [`WriteMode::Through`] puts what was written into memory; [`Install::IfHeld`] by
    /// default.
    pub fn install(mut self, install: Install) -> Self {
        self.install = Some(install);
        self
    }

    /// What a loader would say of what a write returned, `None` being the absence of a value: its
    /// tags, its lifetime, its weight. Without it nothing is put into memory by a write where an
    /// entry of this cache ever had tags. Where loaders tag some values and others not it must be
    /// said: only it knows that the value which was written belongs to those that are tagged.
    pub fn written(
        mut self,
        say: impl Fn(&K, Option<&V>) -> Terms + Send + Sync + 'static,
    ) -> Self {
        self.written = Some(Box::new(say));
        self
    }

    /// After how long a write is dropped, which may then be committed or not; 10 s by default.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// Acknowledges writes when they are durable in this journal, where values are written so, and
    /// applies them later: [`WriteMode::Behind`]. The sink must keep
    /// [sequences](larder_core::sink). [Start](WriteBehind::start) it when all caches are built.
    pub fn behind(mut self, behind: &WriteBehind, codec: impl Codec<V>) -> Self {
        self.behind = Some((behind.clone(), Box::new(codec)));
        self.write = Some(WriteMode::Behind);
        self
    }

    /// How a difference changes a value, so that what was added [behind](Self::behind) can be read
    /// before it is applied. `None` is the value where there is none yet. Where it fails, a write
    /// on top of what is known is refused with its error, and a read of what isn't known yet is
    /// refused until the sink has said it.
    pub fn add_with(
        mut self,
        fold: impl Fn(Option<&V>, i64) -> Result<V> + Send + Sync + 'static,
    ) -> Self {
        self.fold = Some(Box::new(fold));
        self
    }

    /// The feed that tells of every change of its data, whoever makes it, and what a change
    /// [touches](Route). Entries may then live for as long as `fresh_for` says, and the promise is
    /// kept by the feed: `max_staleness` is how far it may be behind.
    pub fn feed(mut self, feeding: &Feeding, route: impl Route<K>) -> Self {
        self.feed = Some((feeding.clone(), Box::new(route)));
        self
    }

    /// The guard of that source, if other caches read from it too; one of its own with the
    /// default bounds otherwise.
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Loads single keys that miss within this time of each other with one question, if the
    /// source takes several; each alone by default. The first of them waits so long.
    pub fn gather(mut self, within: Duration) -> Self {
        self.gather = Some(within);
        self
    }

    /// After how long a load is dropped; 10 s by default.
    pub fn load_timeout(mut self, timeout: Duration) -> Self {
        self.load_timeout = timeout;
        self
    }

    /// Whether an entry is loaded again when its key is invalidated, by a [feed](Self::feed) for
    /// instance, so that the next reader doesn't wait for it; [`Reload::Never`] by default.
    pub fn reload(mut self, reload: Reload) -> Self {
        self.reload = reload;
        self
    }

    /// How long a read waits for a load before it takes what may stand in under
    /// [`stale_on_error`](Self::stale_on_error); 100 ms by default. The load goes on.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// How long a caller waits before it gets a [`Timeout`](ErrorKind::Timeout); 10 s by
    /// default. The load goes on.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// At most so many entries; 10,000 by default.
    pub fn entries_max(mut self, entries: usize) -> Self {
        self.bounds = self.bounds.and_entries(entries);
        self.bounds_given = true;
        self
    }

    /// At most so many bytes: keys, values and the memory tier's overhead; 64 MiB by default.
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        self.bounds = self.bounds.and_bytes(bytes);
        self.bounds_given = true;
        self
    }

    /// Which entries are evicted first when room is needed; [`PolicyKind::Adaptive`] by default.
    pub fn policy(mut self, policy: PolicyKind) -> Self {
        self.policy = policy;
        self
    }

    /// Which entries may be evicted; all of them by default.
    pub fn candidates(mut self, candidates: Candidates) -> Self {
        self.candidates = candidates;
        self
    }

    /// How many bytes a key and its value take beyond their own `size_of`: what they hold on the
    /// heap. Nothing by default, which is right for plain numbers only.
    pub fn weigher(
        mut self,
        weigh: impl Fn(&K, Option<&V>) -> usize + Send + Sync + 'static,
    ) -> Self {
        self.weigh = Some(Box::new(weigh));
        self
    }

    /// Who may change the data: anyone, behind our back, if nothing is said.
    pub fn changes(mut self, changes: Changes) -> Self {
        self.changes = changes;
        self
    }

    /// Answers reads of keys that surely don't exist without asking the source: a Bloom filter
    /// over all keys of the source, which `list` gives; see [`filter`](crate::filter). Only where
    /// inserts are known ([`changes`](Self::changes)): announce them by their key.
    pub fn filter(self, list: impl KeyList<K>) -> Self {
        self.filter_with(FilterOptions::default(), list)
    }

    /// The same with options.
    pub fn filter_with(mut self, options: FilterOptions, list: impl KeyList<K>) -> Self {
        self.filter = Some((options, AnyKeyList::new(list)));
        self
    }

    /// Names the parts of a key that is a tuple, so that a [verdict](Cache::verdict) can name the
    /// one that makes every key new.
    pub fn key_parts<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        let names = names.into_iter().map(str::to_owned).collect();
        self.key_parts = Some(parts_of_tuples(names));
        self
    }

    /// The same for keys that `split` takes apart, in the order of the names.
    pub fn key_parts_with<'n>(
        mut self,
        names: impl IntoIterator<Item = &'n str>,
        split: impl Fn(&K) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        let names = names.into_iter().map(str::to_owned).collect();
        self.key_parts = Some(KeyParts { names, split: Box::new(split) });
        self
    }

    /// What tells two values apart, cheaply: equal values have equal fingerprints. With it a
    /// [verdict](Cache::verdict) knows how many reloads brought the same value, and whether the
    /// window is too short.
    pub fn fingerprint(mut self, fingerprint: impl Fn(&V) -> u64 + Send + Sync + 'static) -> Self {
        self.fingerprint = Some(Box::new(fingerprint));
        self
    }

    /// Tells `observer` what the cache does beside its reads. There may be several.
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.add(observer);
        self
    }

    /// A memory tier to share with other caches of these types, whose keys must differ. Bounds,
    /// policy and candidates given here are then without effect.
    pub fn memory(mut self, memory: Arc<MemoryTier<K, V>>) -> Self {
        self.memory = Some(memory);
        self
    }

    /// Memory that this cache shares with others of whatever types, so that hot ones take room
    /// from cold ones: see [`budget`](crate::budget). Instead of bounds of its own.
    pub fn budget(mut self, budget: &Budget) -> Self {
        self.budget = Some(budget.clone());
        self
    }

    /// Keeps entries in the engine's [shared tier](Engine::share) too, written so.
    /// [`MessagePack`](crate::MessagePack) does for every type with `serde`. What was invalidated
    /// is announced to other processes with or without it.
    pub fn shared(mut self, codec: impl Codec<V>) -> Self {
        self.codec = Some(Box::new(codec));
        self
    }

    /// The version of what its values mean in the shared tier; 0 by default. Programs of other
    /// versions don't read them.
    pub fn schema(mut self, schema: u32) -> Self {
        self.schema = schema;
        self
    }

    /// Values that take so many bytes or more are compressed in the shared tier; 1 KiB by default.
    pub fn compress_from(mut self, bytes: usize) -> Self {
        self.compress_from = bytes;
        self
    }

    /// What is promised while processes can't hear of each other; see [`Consistency`].
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = Some(consistency);
        self
    }

    /// The engine to share with other caches; one on the current tokio runtime otherwise.
    pub fn engine(mut self, engine: &Engine) -> Self {
        self.engine = Some(engine.clone());
        self
    }
}
