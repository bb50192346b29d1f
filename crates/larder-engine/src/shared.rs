//! The shared tier and the bus, as an engine uses them.
//!
//! An engine has at most one of each, for all of its caches. What is here knows neither the type
//! of a key nor that of a value, but for the last ones:
//!
//! | file | idea |
//! |---|---|
//! | `link` | the tier behind deadlines and a breaker |
//! | `marks` | what is known of the marks: tags, whole caches, prefixes |
//! | `pending` | invalidations that are not done yet, and what must not be trusted until they are |
//! | `keeper` | the task that carries them out, sends tokens, and probes a tier that failed |
//! | `listener` | the task that applies what comes over the bus |
//! | `members` | the caches of this engine, by name, for those two |
//! | `tokens` | the horizon, learnt by echo |
//! | `applied` | how far the bus has been applied here |
//! | [`codec`] | a value as bytes |
//! | `sealed` | an entry as an envelope, and back |
//! | `view` | what is known when the tier is asked, and what an entry means by it |
//! | `seek` | what the shared tier does for the flights of a cache |
//! | `look` | what it does for who loads for himself |
//! | `companions` | whether plain keys in the tier may have tags or leases |
//! | `writers` | keys that somebody is about to commit, and nobody may keep |
//! | `intents` | a write announced to the tier and the bus, and ended there |
//! | `filling` | what is left to do there when a flight has landed |

mod applied;
pub mod codec;
mod companions;
mod filling;
mod intents;
mod keeper;
mod link;
mod listener;
mod look;
mod marks;
mod members;
mod pending;
mod sealed;
mod seek;
mod tokens;
mod view;
mod writers;

use std::sync::Arc;
use std::time::Duration;

use larder_core::bus::{Announcement, Position, ProcessId};
use larder_core::feed::FeedPosition;
use larder_core::shared::MarkClock;
use larder_core::sync::{AtomicUsize, Counter};
use larder_core::{Bus, Clock, Error, ErrorKind, Moment, Result, SharedTier};

use crate::engine::Engine;
use crate::guard::{Breaker, BreakerBounds};
use applied::Applied;
pub use companions::{COMPANIONS, UNHEARD_MAX, tag_bucket};
pub(crate) use filling::{SharedFilling, settle};
pub(crate) use intents::Announced;
use link::Link;
pub(crate) use look::Looked;
use marks::MarkTable;
pub(crate) use marks::bucket;
pub(crate) use members::{Member, Members};
use pending::Pending;
pub(crate) use pending::{Noted, Work};
pub(crate) use sealed::{COMPRESS_FROM_DEFAULT, Opened, Part, Sealing};
pub(crate) use seek::Passed;
pub(crate) use tokens::Tokens;
use writers::Writers;

/// So many keys or tags are invalidated in one step: with keys of any length they have room in one
/// announcement.
pub(crate) const STEP_MAX: usize = 256;

/// A feed that covers more caches is answered for nobody: what names them would have no room in one
/// announcement.
const ANSWERED_CACHES_MAX: usize = 4_096;

/// How a shared tier and a bus are used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SharingBounds {
    /// A read that the tier doesn't answer within this goes on without it; 50 ms by default.
    pub read_within: Duration,
    /// A fill or an invalidation that the tier doesn't answer within this has failed; 500 ms by
    /// default. An invalidation is then repeated.
    pub write_within: Duration,
    /// How long an invalidation is waited for before its caller is told that it isn't done yet;
    /// 1 s by default. It is repeated all the same.
    pub invalidate_within: Duration,
    /// How long [`share`](Engine::share) waits for the tier and the bus to answer for the first
    /// time; 1 s by default. Without an answer it goes on alone, and they are used as soon as they
    /// answer.
    pub join_within: Duration,
    /// How often a token is sent, which moves the horizon; 200 ms by default.
    pub token_every: Duration,
    /// How long a read waits for another process's fill, where nothing may stand in; 1 s by
    /// default.
    pub fill_wait: Duration,
    /// So many flights ask the tier at once; a further one is shed. 4,096 by default.
    pub flights_max: usize,
    /// So many keys and marks may wait to be invalidated; 100,000 by default. With more, everything
    /// in the tier is invalidated instead. So many writers may be known that have not ended, too;
    /// with more, nothing at all is kept until their time is over.
    pub pending_max: usize,
    /// When the tier is left alone, and how often it is probed: by default at five errors within a
    /// second, if half of all that was asked in it failed, and every 250 ms.
    pub breaker: BreakerBounds,
}

impl Default for SharingBounds {
    fn default() -> Self {
        let often = Duration::from_millis(250);
        Self {
            read_within: Duration::from_millis(50),
            write_within: Duration::from_millis(500),
            invalidate_within: Duration::from_secs(1),
            join_within: Duration::from_secs(1),
            token_every: Duration::from_millis(200),
            fill_wait: Duration::from_secs(1),
            flights_max: 4096,
            pending_max: 100_000,
            breaker: BreakerBounds {
                // A tier that was asked much and answered it is down as soon as any other: what
                // it did seconds ago must not outweigh that it does nothing now.
                window: Duration::from_secs(1),
                probe_after: often,
                probe_after_max: often,
                ..BreakerBounds::default()
            },
        }
    }
}

/// What an engine shares with other processes, and through what.
#[derive(Clone, Debug)]
pub struct Sharing {
    tier: Arc<dyn SharedTier>,
    bus: Option<Arc<dyn Bus>>,
    is_tiers_own: bool,
    bounds: SharingBounds,
}

impl Sharing {
    /// Entries in this tier, and no bus: other processes hear of no invalidation, and only age
    /// bounds what their memory serves.
    #[must_use]
    pub fn over(tier: Arc<dyn SharedTier>) -> Self {
        Self { tier, bus: None, is_tiers_own: false, bounds: SharingBounds::default() }
    }

    /// Announces on the tier's own bus: where the tier can, it invalidates and announces in one
    /// step.
    #[must_use]
    pub fn own_bus(self, bus: Arc<dyn Bus>) -> Self {
        Self { bus: Some(bus), is_tiers_own: true, ..self }
    }

    /// Announces on another bus.
    #[must_use]
    pub fn bus(self, bus: Arc<dyn Bus>) -> Self {
        Self { bus: Some(bus), is_tiers_own: false, ..self }
    }

    /// Other bounds.
    #[must_use]
    pub fn bounds(self, bounds: SharingBounds) -> Self {
        Self { bounds, ..self }
    }
}

/// What the caches of one engine know of their shared tier and their bus.
pub(crate) struct Shared {
    pub(crate) link: Link,
    bus: Option<Arc<dyn Bus>>,
    /// Whether the tier announces on that bus in the same step in which it invalidates.
    is_tiers_own: bool,
    pub(crate) bounds: SharingBounds,
    clock: Arc<dyn Clock>,
    id: ProcessId,
    pub(crate) marks: MarkTable,
    pending: Pending,
    pub(crate) writers: Writers,
    members: Arc<Members>,
    tokens: Tokens,
    pub(crate) applied: Applied,
    /// How many flights ask the tier at this moment.
    flights: AtomicUsize,
    gaps: Counter,
    messages: Counter,
}

/// What an engine has counted of its shared tier and its bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedStats {
    /// Questions that the tier didn't answer, or answered with an error.
    pub errors: u64,
    /// How often its breaker opened.
    pub opened: u64,
    /// Questions that weren't asked because its breaker was open.
    pub refused: u64,
    /// Invalidations of keys and marks that are not done yet.
    pub pending: usize,
    /// Messages that were applied.
    pub messages: u64,
    /// Gaps on the bus: each dropped everything that this process held.
    pub gaps: u64,
    /// How old the horizon is; `None` while there is none.
    pub horizon_age: Option<Duration>,
}

impl Engine {
    /// Shares entries with other processes, from now on: caches that are built with a
    /// [codec](crate::CacheBuilder::shared) keep theirs in the tier too, and every invalidation is
    /// announced to the others. To be called once, before the caches are built.
    ///
    /// It waits for the tier and the bus for a while, but a tier that is down is no error: the
    /// caches then work without it until it is there.
    ///
    /// # Errors
    ///
    /// `Config` when this engine shares already, or when bounds contradict themselves.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the engine sharing.
    pub async fn share(&self, sharing: Sharing) -> Result<()> {
        let Sharing { tier, bus, is_tiers_own, bounds } = sharing;
        let times = [bounds.read_within, bounds.write_within, bounds.token_every];
        if times.iter().any(Duration::is_zero) || bounds.flights_max == 0 || bounds.pending_max == 0
        {
            let message = "the deadlines and bounds of a shared tier must be more than zero";
            return Err(Error::new(ErrorKind::Config, message));
        }
        let clock = Arc::clone(self.clock());
        let link = Link::new(tier, Breaker::new(bounds.breaker)?, bounds, Arc::clone(&clock));
        let shared = Arc::new(Shared {
            link,
            bus,
            is_tiers_own,
            bounds,
            id: ProcessId(self.nonce()),
            marks: MarkTable::default(),
            pending: Pending::new(bounds.pending_max),
            writers: Writers::new(bounds.pending_max),
            members: Arc::clone(self.members()),
            tokens: Tokens::default(),
            applied: Applied::default(),
            flights: AtomicUsize::new(0),
            gaps: Counter::default(),
            messages: Counter::default(),
            clock,
        });
        self.begin_sharing(&shared)?;
        if shared.bus.is_none() {
            // Before the keeper looks for it: nothing would wake it.
            shared.applied.begin(None);
        }
        let joined = keeper::start(self, &shared);
        if shared.bus.is_some() {
            listener::start(self, &shared);
        }
        let until = self.now() + bounds.join_within;
        crate::wait::within(&**self.clock(), until, joined).await;
        Ok(())
    }

    /// What it has counted of its shared tier and its bus, if it has them.
    #[must_use]
    pub fn shared_stats(&self) -> Option<SharedStats> {
        let shared = self.shared()?;
        let horizon = self.horizon().get();
        Some(SharedStats {
            errors: shared.link.errors(),
            opened: shared.link.breaker().opened(),
            refused: shared.link.breaker().refused(),
            pending: shared.pending.count(),
            messages: shared.messages.get(),
            gaps: shared.gaps.get(),
            horizon_age: (horizon > Moment::ZERO).then(|| self.now() - horizon),
        })
    }

    /// The breaker of its shared tier, if it has one.
    #[must_use]
    pub fn shared_breaker(&self) -> Option<&Breaker> {
        self.shared().map(|shared| shared.link.breaker())
    }

    /// Whether it shares entries or announcements with other processes.
    #[must_use]
    pub fn shares(&self) -> bool {
        self.shared().is_some()
    }

    /// Waits until everything that was handed over so far, by
    /// [`invalidate_here`](crate::Cache::invalidate_here) for instance, has been carried out beyond
    /// this process. Returns where the last announcement stands.
    ///
    /// # Errors
    ///
    /// As [`Cache::invalidate`](crate::Cache::invalidate).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves what was handed over.
    pub async fn settled(&self) -> Result<Option<Position>> {
        match self.shared() {
            Some(shared) => shared.invalidate(shared.note(Work::Barrier)).await,
            None => Ok(None),
        }
    }

    /// How far the bus has been applied in this process.
    #[must_use]
    pub fn applied(&self) -> Option<Position> {
        self.shared()?.applied.position()
    }
}

impl Shared {
    /// Whether it has a bus.
    pub(crate) fn has_bus(&self) -> bool {
        self.bus.is_some()
    }

    /// Quarantines what an invalidation is about; to be done before it strikes here.
    pub(crate) fn note(&self, work: Work) -> Noted {
        self.pending.note(work)
    }

    /// Does what an invalidation asks for beyond this process, and waits for it for a while.
    /// Returns where it stands on the bus, if there is one.
    ///
    /// # Errors
    ///
    /// `SharedDown` when it isn't done yet: it is kept, and done as soon as the tier answers.
    ///
    /// # Cancel safety
    ///
    /// Once polled it is done, sooner or later.
    pub(crate) async fn invalidate(&self, work: Noted) -> Result<Option<Position>> {
        let done = self.pending.add(work);
        if !self.link.is_trusted() {
            return Err(self.not_yet());
        }
        let until = self.clock.now() + self.bounds.invalidate_within;
        match crate::wait::within(&*self.clock, until, done).await {
            Some(Ok(position)) => Ok(position),
            Some(Err(_)) | None => Err(self.not_yet()),
        }
    }

    /// The error of what is not done beyond this process, with the time of the next try.
    fn not_yet(&self) -> Error {
        let message = "the shared tier didn't answer: the invalidation is done in this process, \
                       kept, and carried out as soon as the tier answers; until then other \
                       processes may answer with what they hold, within their windows";
        Error::new(ErrorKind::SharedDown, message).retry_after(self.bounds.breaker.probe_after)
    }

    /// The same without waiting.
    pub(crate) fn hand_over(&self, work: Noted) {
        drop(self.pending.add(work));
    }

    /// Tells others how far they know what a feed told. Returns whether they are told; otherwise
    /// their horizon stands still.
    pub(crate) async fn answer(
        &self,
        feed: &str,
        position: FeedPosition,
        caches: Vec<Box<str>>,
        tokens: Vec<(ProcessId, u64)>,
    ) -> bool {
        if caches.len() > ANSWERED_CACHES_MAX {
            return false;
        }
        let answer = Announcement::Answer { feed: feed.into(), position, caches, tokens };
        self.publish(answer.encode(self.id), None).await.is_ok()
    }

    /// Publishes by itself what the tier hasn't announced in its own step.
    async fn publish(
        &self,
        bytes: bytes::Bytes,
        marks: Option<(MarkClock, u32)>,
    ) -> Result<Option<Position>> {
        let Some(bus) = &self.bus else { return Ok(None) };
        let until = self.clock.now() + self.bounds.write_within;
        let published = crate::wait::within(&*self.clock, until, bus.publish(bytes, marks)).await;
        published.unwrap_or_else(|| Err(self.not_yet())).map(Some)
    }

    /// Everything that this process holds may be old, whatever it is.
    fn lost_track(&self, engine: &Engine) {
        self.gaps.add(1);
        engine.horizon().clear();
        self.tokens.forget();
        engine.feeds().iter().for_each(|fed| fed.lost_track());
        self.marks.unknown();
        self.drop_all(engine);
        self.pending.wake();
    }

    /// Drops everything that this process holds, and voids every load under way.
    fn drop_all(&self, engine: &Engine) {
        self.members.sweep_all();
        engine.strike_unknown();
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("tier", &self.link.name()).finish_non_exhaustive()
    }
}
