//! What the caches of one process have in common: a clock, somebody who runs tasks, and what fences
//! their fills: the epochs of keys, and the events of tags and whole caches.

use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock, Weak};

use foldhash::fast::RandomState;
use larder_core::sync::{AtomicU64, Mutex, Ordering};
use larder_core::{Clock, Error, ErrorKind, Moment, Result, Spawn};

use crate::events::Events;
use crate::feeding::Fed;
use crate::fence::{EPOCHS_DEFAULT, Epochs};
use crate::horizon::Horizon;
use crate::invalidate::Invalidation;
use crate::key_tags::TagOfCache;
use crate::observe::Struck;
use crate::runtime;
use crate::shared::{Members, Shared};

/// The shared ground of several caches. Cloning it is cheap and shares it.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

/// An engine that may be gone already.
#[derive(Clone)]
pub(crate) struct WeakEngine(Weak<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    epochs: Epochs,
    events: Events,
    nonce: u64,
    scopes: AtomicU64,
    draws: AtomicU64,
    /// Up to when the bus vouches for entries.
    horizon: Arc<Horizon>,
    feeds: Mutex<Vec<Arc<Fed>>>,
    members: Arc<Members>,
    shared: OnceLock<Arc<Shared>>,
    tags: OnceLock<Box<TagObserver>>,
    key_tags: OnceLock<TagOfCache>,
    #[cfg(shuttle)]
    omit: Omit,
}

/// Who is told of tags that are struck here.
type TagObserver = dyn Fn(Struck<'_>, Invalidation) + Send + Sync;

/// A protective step that a checker leaves out, to show that the step is needed.
#[cfg(shuttle)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omit {
    /// Everything is in place.
    Nothing,
    /// A fill doesn't look at the fence.
    FenceAtFill,
    /// A caller joins a flight whatever its epoch.
    EpochOfFlight,
    /// A caller joins a flight whatever swept the cache since it began.
    SweepOfFlight,
    /// A result is given to whoever joined, whatever struck its tags since the flight began.
    TagsOfResult,
    /// A fill doesn't look at what swept the cache since its load began.
    SweepAtFill,
    /// A hit doesn't look at what swept its cache or struck its tags.
    FateAtHit,
    /// A load takes the count of events when it is done.
    CountBeforeLoad,
    /// An event is counted before it is marked.
    MarksBeforeCount,
    /// A hit takes the count of events when it has looked at the marks.
    CountBeforeLook,
    /// An invalidation raises the epoch when it has removed the entry and let go of the lock.
    EpochUnderLock,
    /// While a prefix is being looked for, an entry that is marked stale is kept.
    DropWhileWalking,
    /// The leader of a new flight doesn't look into memory again.
    SecondLook,
    /// What a write returned is put into memory whatever overlapped it.
    FenceAtInstall,
    /// What a write returned is put into memory under the epoch that there is.
    EpochAtInstall,
    /// A flight leaves the map before what it loaded is in memory.
    FillBeforeLeaving,
    /// What memory holds is left there when a write is acknowledged behind.
    StrikeAtPush,
    /// A key of which nothing waits any more is forgotten, and neither struck nor put into memory.
    StrikeAtClose,
    /// And only struck, or put into memory, after it was forgotten.
    StrikeBeforeClose,
}

impl Engine {
    /// An engine on the current tokio runtime and the machine's clock.
    ///
    /// # Errors
    ///
    /// `Config` when called outside a tokio runtime.
    pub fn on_tokio() -> Result<Self> {
        let spawn = runtime::TokioSpawn::current()?;
        let clock = runtime::SystemClock::with_timers_of(&spawn);
        Ok(Self::new(Arc::new(clock), Arc::new(spawn)))
    }

    /// An engine on threads of its own and the machine's clock: for programs without a tokio
    /// runtime, and for caches that outlive the runtimes of their callers.
    ///
    /// # Errors
    ///
    /// `Config` when the system gives no threads.
    pub fn on_threads(threads: usize) -> Result<Self> {
        let spawn = runtime::OwnThreads::start(threads)?;
        let clock = runtime::SystemClock::with_timers_of(spawn.tasks());
        Ok(Self::new(Arc::new(clock), Arc::new(spawn)))
    }

    /// An engine on the current tokio runtime, with a clock of your own: one that a test turns.
    ///
    /// # Errors
    ///
    /// `Config` when called outside a tokio runtime.
    pub fn with_clock(clock: impl Clock) -> Result<Self> {
        Ok(Self::new(Arc::new(clock), Arc::new(runtime::TokioSpawn::current()?)))
    }

    /// An engine with a clock and a spawner of your own.
    pub fn new(clock: Arc<dyn Clock>, spawn: Arc<dyn Spawn>) -> Self {
        Self(Arc::new(Inner {
            clock,
            spawn,
            epochs: Epochs::new(EPOCHS_DEFAULT),
            events: Events::new(),
            nonce: RandomState::default().hash_one("nonce"),
            scopes: AtomicU64::new(0),
            draws: AtomicU64::new(0),
            horizon: Arc::default(),
            feeds: Mutex::default(),
            members: Arc::default(),
            shared: OnceLock::new(),
            tags: OnceLock::new(),
            key_tags: OnceLock::new(),
            #[cfg(shuttle)]
            omit: Omit::Nothing,
        }))
    }

    /// An engine small enough for a checker to explore, with one step left out.
    #[cfg(shuttle)]
    pub fn to_explore(clock: Arc<dyn Clock>, spawn: Arc<dyn Spawn>, omit: Omit) -> Self {
        let mut epochs = Epochs::new(1);
        epochs.omit(omit);
        let mut events = Events::new();
        events.omit(omit);
        Self(Arc::new(Inner {
            clock,
            spawn,
            epochs,
            events,
            nonce: 0,
            scopes: AtomicU64::new(0),
            draws: AtomicU64::new(0),
            horizon: Arc::default(),
            feeds: Mutex::default(),
            members: Arc::default(),
            shared: OnceLock::new(),
            tags: OnceLock::new(),
            key_tags: OnceLock::new(),
            omit,
        }))
    }

    /// The clock by which everything here is measured.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    pub(crate) fn now(&self) -> Moment {
        self.0.clock.now()
    }

    /// Tells `observer` of every tag that is invalidated or marked stale through this engine, by
    /// whomever. Others announce tags without their names, so of those nothing is told; but where
    /// [keys are tags](Self::keys_are_tags), what they announce of keys is. It is called where that
    /// happens, so it must be quick, must not block, and must not panic. There is one: returns
    /// whether this is it.
    pub fn observe_tags(
        &self,
        observer: impl Fn(Struck<'_>, Invalidation) + Send + Sync + 'static,
    ) -> bool {
        self.0.tags.set(Box::new(observer)).is_ok()
    }

    pub(crate) fn tell_of_tags<T: AsRef<str>>(&self, tags: &[T], what: Invalidation) {
        if let Some(observer) = self.0.tags.get().filter(|_| !tags.is_empty()) {
            let tags: Vec<&str> = tags.iter().map(AsRef::as_ref).collect();
            observer(Struck::Tags(&tags), what);
        }
    }

    /// Tells who observes tags that all may be struck.
    pub(crate) fn tell_of_every_tag(&self, what: Invalidation) {
        if let Some(observer) = self.0.tags.get() {
            observer(Struck::Everything, what);
        }
    }

    /// See [`keys_are_tags`](Self::keys_are_tags). Returns whether it is the first.
    pub(crate) fn set_key_tags(&self, of_cache: TagOfCache) -> bool {
        self.0.key_tags.set(of_cache).is_ok()
    }

    /// The tag of a whole cache, where keys are tags.
    #[inline]
    pub(crate) fn key_tags(&self) -> Option<TagOfCache> {
        self.0.key_tags.get().copied()
    }

    /// Now or a few milliseconds later, for a fraction of the price.
    pub(crate) fn about_now(&self) -> Moment {
        self.0.clock.about_now()
    }

    /// Runs a task to its end, whatever becomes of who began it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn.spawn(Box::pin(task));
    }

    /// Who runs the tasks.
    pub(crate) fn spawner(&self) -> &Arc<dyn Spawn> {
        &self.0.spawn
    }

    pub(crate) fn epochs(&self) -> &Epochs {
        &self.0.epochs
    }

    pub(crate) fn events(&self) -> &Events {
        &self.0.events
    }

    /// Up to when the bus vouches for entries: everything that was published before has been
    /// applied here.
    #[inline]
    pub(crate) fn horizon(&self) -> &Arc<Horizon> {
        &self.0.horizon
    }

    /// The feeds that it was told to follow.
    pub(crate) fn feeds(&self) -> Vec<Arc<Fed>> {
        self.0.feeds.lock().clone()
    }

    /// Adds one, under a name that no other has.
    pub(crate) fn add_feed(&self, fed: &Arc<Fed>) -> Result<()> {
        let mut feeds = self.0.feeds.lock();
        if feeds.iter().any(|other| other.name() == fed.name()) {
            let message = format!("this engine has a feed {} already", fed.name());
            return Err(Error::new(ErrorKind::Config, message));
        }
        feeds.push(Arc::clone(fed));
        Ok(())
    }

    /// The caches of this engine, by name.
    pub(crate) fn members(&self) -> &Arc<Members> {
        &self.0.members
    }

    /// What it shares with other processes, if anything.
    #[inline]
    pub(crate) fn shared(&self) -> Option<&Arc<Shared>> {
        self.0.shared.get()
    }

    /// Begins to share.
    pub(crate) fn begin_sharing(&self, shared: &Arc<Shared>) -> Result<()> {
        self.0.shared.set(Arc::clone(shared)).map_err(|_| {
            let message = "this engine shares already; it has one shared tier and one bus";
            Error::new(ErrorKind::Config, message)
        })
    }

    pub(crate) fn downgrade(&self) -> WeakEngine {
        WeakEngine(Arc::downgrade(&self.0))
    }

    /// Strikes everything here that has a tag of one of these hashes.
    pub(crate) fn strike_tag_hashes(&self, hashes: &[u64], what: Invalidation) {
        self.events().strike_tags(hashes.iter().copied(), what);
    }

    /// Different in every run of the program: what another run gave out is not taken for ours.
    pub(crate) fn nonce(&self) -> u64 {
        self.0.nonce
    }

    /// A number for a new cache, so that its keys have epochs of their own.
    pub(crate) fn new_scope(&self) -> u64 {
        self.0.scopes.fetch_add(1, Ordering::Relaxed)
    }

    /// A random number for jitter.
    pub(crate) fn draw(&self) -> u32 {
        (self.stamp() >> 32) as u32
    }

    /// A number that nothing else has in this process, and nothing in another one, for all that is
    /// likely. It decides nothing but when entries expire, which fill is which and which writer, so
    /// a weak generator does (SplitMix64: Steele, Lea, Flood 2014).
    pub(crate) fn stamp(&self) -> u64 {
        let draw = self.0.draws.fetch_add(1, Ordering::Relaxed);
        let mut x = self.0.nonce.wrapping_add(draw.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x
    }

    #[cfg(shuttle)]
    pub(crate) fn omits(&self, step: Omit) -> bool {
        self.0.omit == step
    }
}

impl WeakEngine {
    pub(crate) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }

    pub(crate) fn upgrade(&self) -> Option<Engine> {
        self.0.upgrade().map(Engine)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}
