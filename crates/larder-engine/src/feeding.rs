//! Feeds: what the database says was changed, applied to the caches that it covers.
//!
//! Who follows a feed invalidates what each change [touches](Route), through the same door as
//! everybody else, and learns from it how far it knows everything: the feed's own horizon.
//!
//! 1. Note the time, *then* ask the database where its log ends.
//! 2. When the feed has passed that place, and everything that it told before has been applied
//!    here, in the shared tier and on the bus, the time that was noted is the horizon: every
//!    change that was committed before is known here.
//!
//! One process follows; the others send tokens over the bus, as they do anyway, and the one that
//! follows answers them: it sees a token, asks for the log's end, and announces the answer when
//! the feed has passed it and all of that is announced. So an answer proves to each of them what
//! the follower's own notes prove to itself, by its own clock.
//!
//! When the feed stands still, whoever it is that stopped, so does the horizon, and entries stop
//! being fresh by themselves. After a gap everything that the feed covers is dropped, and so is a
//! cache that who follows didn't cover before. The protocol and its wrong variants are in
//! decisions 0030 and 0019.
//!
//! It doesn't know any database, nor what a change touches.

mod follow;
mod members;
mod waiting;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use larder_core::bus::ProcessId;
use larder_core::feed::{Feed, FeedPosition, Notice};
use larder_core::sync::{AtomicBool, AtomicU64, Counter, Mutex, Ordering};
use larder_core::{CacheKey, Error, ErrorKind, Moment, Result};

use crate::cache::Parts;
use crate::counters::{Histogram, HistogramSnapshot};
use crate::engine::Engine;
use crate::horizon::Horizon;
use crate::shared::Tokens;
use members::{Covered, CoveredCache};

/// So many processes are answered at most; the tokens of others mean nothing until there is room.
const PROCESSES_MAX: usize = 4_096;

/// What one thing that a feed tells means to a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched<K> {
    /// Nothing.
    Nothing,
    /// These keys.
    Keys(Vec<K>),
    /// Everything with one of these tags, in whatever cache.
    Tags(Vec<String>),
    /// Everything that it holds.
    Everything,
    /// All of these.
    Several(Vec<Self>),
}

/// What a change means to a cache.
pub trait Route<K>: Send + Sync + 'static {
    /// What this touches.
    fn touched(&self, notice: &Notice) -> Touched<K>;
}

impl<K, F: Fn(&Notice) -> Touched<K> + Send + Sync + 'static> Route<K> for F {
    fn touched(&self, notice: &Notice) -> Touched<K> {
        self(notice)
    }
}

/// How a feed is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedBounds {
    /// How often the log's end is asked for, which moves the horizon; 150 ms by default.
    pub ask_every: Duration,
    /// A feed that can't be followed is tried again after this; 250 ms by default, and twice as
    /// long after each further failure.
    pub retry_after: Duration,
    /// But no longer than this; 5 s by default.
    pub retry_after_max: Duration,
}

impl Default for FeedBounds {
    fn default() -> Self {
        Self {
            ask_every: Duration::from_millis(150),
            retry_after: Duration::from_millis(250),
            retry_after_max: Duration::from_secs(5),
        }
    }
}

/// How a feed stands.
#[derive(Clone, Debug)]
pub struct FeedStanding {
    /// This process follows it; otherwise another one does, or nobody.
    pub follows: bool,
    /// How old the horizon is; `None` while there is none.
    pub horizon_age: Option<Duration>,
    /// So many changes were told here.
    pub notices: u64,
    /// So many invalidations they came to.
    pub touched: u64,
    /// How long after its commit what was told here had been applied everywhere, by the database's
    /// clock until it was told and by ours from then on.
    pub lag: HistogramSnapshot,
    /// How often everything was dropped.
    pub gaps: u64,
    /// Why it was, last.
    pub last_gap: Option<String>,
    /// How often it couldn't be followed, or ended.
    pub failures: u64,
    /// Why it couldn't be followed, or ended, last.
    pub last_failure: Option<Error>,
}

/// A feed that caches of an engine are covered by. Clones are the same.
///
/// ```
/// use std::time::Duration;
///
/// use larder_core::feed::Notice;
/// use larder_core::change::Field;
/// use larder_core::{Feed, Result};
/// use larder_engine::feeding::{Feeding, Touched};
/// use larder_engine::{Cache, Engine};
///
/// fn open(engine: &Engine, feed: impl Feed) -> Result<Cache<u64, String>> {
///     let feeding = Feeding::over("shop", feed);
///     let names = Cache::builder("names")
///         .engine(engine)
///         .max_staleness(Duration::from_secs(2))
///         .fresh_for(Duration::from_secs(3600))
///         .feed(&feeding, |notice: &Notice| match notice {
///             Notice::Changed(change) if &*change.table.name == "users" => {
///                 let ids = change.rows().filter_map(|row| match row.get("id") {
///                     Field::Text(id) => str::from_utf8(id).ok()?.parse().ok(),
///                     _ => None,
///                 });
///                 match ids.collect::<Vec<u64>>() {
///                     none if none.is_empty() => Touched::Everything, // truncated
///                     ids => Touched::Keys(ids),
///                 }
///             }
///             _ => Touched::Nothing,
///         })
///         .build()?;
///     feeding.start(engine)?;
///     Ok(names)
/// }
/// ```
#[derive(Clone)]
pub struct Feeding(pub(crate) Arc<Fed>);

/// See [`Feeding`].
pub(crate) struct Fed {
    /// What it is called on the bus.
    name: Box<str>,
    feed: Arc<dyn Feed>,
    bounds: FeedBounds,
    pub(crate) horizon: Arc<Horizon>,
    covered: Mutex<Vec<Arc<dyn Covered>>>,
    is_started: AtomicBool,
    follows: AtomicBool,
    /// What was applied everywhere, as far as it is known here; zero is nothing.
    since: Mutex<Option<FeedPosition>>,
    /// The tokens of this process, by the numbers under which they went over the bus.
    tokens: Tokens,
    /// The last token that was heard of each process and isn't answered.
    heard: Mutex<HashMap<ProcessId, u64>>,
    notices: Counter,
    touched: Counter,
    lag: Histogram,
    gaps: Counter,
    last_gap: Mutex<Option<String>>,
    failures: AtomicU64,
    last_failure: Mutex<Option<Error>>,
}

impl Feeding {
    /// Caches are covered by this feed. Processes that share a bus give it the same name, and cover
    /// the same caches by it: who follows says which ones he knows the routes of, and a process
    /// that covers another one as well learns no horizon from him.
    #[must_use]
    pub fn over(name: impl Into<Box<str>>, feed: impl Feed) -> Self {
        Self::with(name, Arc::new(feed), FeedBounds::default())
    }

    /// The same within other bounds.
    #[must_use]
    pub fn with(name: impl Into<Box<str>>, feed: Arc<dyn Feed>, bounds: FeedBounds) -> Self {
        Self(Arc::new(Fed {
            name: name.into(),
            feed,
            bounds,
            horizon: Arc::default(),
            covered: Mutex::default(),
            is_started: AtomicBool::new(false),
            follows: AtomicBool::new(false),
            since: Mutex::default(),
            tokens: Tokens::default(),
            heard: Mutex::default(),
            notices: Counter::default(),
            touched: Counter::default(),
            lag: Histogram::default(),
            gaps: Counter::default(),
            last_gap: Mutex::default(),
            failures: AtomicU64::new(0),
            last_failure: Mutex::default(),
        }))
    }

    /// Begins to follow it, or to wait until nobody else does, for as long as the engine lives.
    /// Caches may be built before and after. One that is built while this process follows is
    /// dropped everywhere once, as nobody knows what was told of it before.
    ///
    /// # Errors
    ///
    /// `Config` when it was started before, when the engine has one of this name, or when its
    /// shared tier can't forget a whole cache, as a gap demands.
    pub fn start(&self, engine: &Engine) -> Result<()> {
        let fed = &self.0;
        if engine.shared().is_some_and(|shared| !shared.link.abilities().marks) {
            return Err(config(
                "a feed may have missed something, and everything that it covers must then be \
                 forgotten; this shared tier keeps no marks, and can't",
            ));
        }
        if fed.is_started.swap(true, Ordering::AcqRel) {
            return Err(config("this feed is started already"));
        }
        engine.add_feed(fed)?;
        follow::start(engine, Arc::clone(fed));
        Ok(())
    }

    /// How it stands, by the clock of this engine.
    #[must_use]
    pub fn standing(&self, engine: &Engine) -> FeedStanding {
        let fed = &self.0;
        let horizon = fed.horizon.get();
        FeedStanding {
            follows: fed.follows.load(Ordering::Acquire),
            horizon_age: (horizon > Moment::ZERO).then(|| engine.now() - horizon),
            notices: fed.notices.get(),
            touched: fed.touched.get(),
            lag: fed.lag.snapshot(),
            gaps: fed.gaps.get(),
            last_gap: fed.last_gap.lock().clone(),
            failures: fed.failures.load(Ordering::Relaxed),
            last_failure: fed.last_failure.lock().clone(),
        }
    }
}

impl Fed {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Covers a cache, for as long as it lives.
    pub(crate) fn cover<K: CacheKey, V: Clone + Send + Sync + 'static>(
        &self,
        parts: &Arc<Parts<K, V>>,
        route: Box<dyn Route<K>>,
    ) {
        let parts: Weak<Parts<K, V>> = Arc::downgrade(parts);
        let mut covered = self.covered.lock();
        covered.retain(|one| one.lives());
        let is_vouched = AtomicBool::new(false);
        covered.push(Arc::new(CoveredCache { parts, route, is_vouched }));
        // It is about the others: what was told of this one touched nothing that was known. Under
        // the lock, as who moves it looks at them first.
        self.horizon.clear();
    }

    /// Moves the horizon of a process that follows, and returns what the caches that it covers are
    /// called; `None` while there is one that nothing was known of before.
    fn advance(&self, noted: Moment) -> Option<Vec<Box<str>>> {
        let covered = self.covered.lock();
        if covered.iter().any(|one| one.lives() && !one.is_vouched()) {
            return None;
        }
        self.horizon.advance(noted);
        Some(covered.iter().filter_map(|one| one.name()).collect())
    }

    fn covered(&self) -> Vec<Arc<dyn Covered>> {
        self.covered.lock().clone()
    }

    /// This process sends a token of this number, whose time was noted before.
    pub(crate) fn sent(&self, number: u64, noted: Moment) {
        self.tokens.note(number, noted);
    }

    /// A token was read on the bus, whoever sent it.
    pub(crate) fn heard(&self, from: ProcessId, number: u64) {
        if !self.follows.load(Ordering::Acquire) {
            return;
        }
        let mut heard = self.heard.lock();
        if heard.len() < PROCESSES_MAX || heard.contains_key(&from) {
            heard.insert(from, number);
        }
    }

    /// An answer was read on the bus. What was published before has been applied here.
    pub(crate) fn answered(
        &self,
        own: ProcessId,
        position: FeedPosition,
        caches: &[Box<str>],
        tokens: &[(ProcessId, u64)],
    ) {
        let covered = self.covered.lock();
        // What touches another cache was told to nobody. Nor could we go on from there.
        if !covered.iter().filter_map(|one| one.name()).all(|name| caches.contains(&name)) {
            return;
        }
        // Who follows knows better: this may be an answer from before the cache was built.
        if !self.follows.load(Ordering::Acquire) {
            covered.iter().for_each(|one| one.vouch());
        }
        *self.since.lock() = Some(position);
        let ours = tokens.iter().find(|(process, _)| *process == own);
        if let Some(noted) = ours.and_then(|(_, number)| self.tokens.echoed(*number)) {
            self.horizon.advance(noted);
        }
    }

    /// Something that the bus carried may be missing, so that an answer that comes proves nothing
    /// of what was sent before.
    pub(crate) fn lost_track(&self) {
        // An answer that is being taken is taken first.
        let _covered = self.covered.lock();
        self.horizon.clear();
        self.tokens.forget();
    }
}

impl fmt::Debug for Feeding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeding")
            .field("name", &self.0.name)
            .field("feed", &self.0.feed)
            .finish_non_exhaustive()
    }
}

fn config(message: &'static str) -> Error {
    Error::new(ErrorKind::Config, message)
}
