//! What the caches of one journal have in common: the journal, its bounds, and whether it runs.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use larder_core::journal::JournalStanding;
use larder_core::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering};
use larder_core::{BoxFuture, Error, ErrorKind, Journal, Moment, Result};

use super::record::Entry;
use crate::engine::Engine;
use crate::runtime::Notify;
use crate::wait::within;

/// When a write that was shed is worth another try.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(500);
/// So often at most the journal is told what it needs no more.
const TRUNCATE_EVERY: Duration = Duration::from_millis(500);

/// How much may wait, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BehindBounds {
    /// A write waits so long for others of its key before it is applied; 1 s by default.
    pub delay: Duration,
    /// With so many keys waiting nobody waits for the delay; 512 by default, a full batch. With
    /// fewer, keys that are written again and again are applied again and again, and the commits
    /// take the disk's syncs away from the journal.
    pub batch_from: usize,
    /// So many writes are applied in one transaction at most; 512 by default.
    pub batch_max: usize,
    /// With so many keys waiting in a cache, acknowledgements are slowed down; 10,000 by default.
    pub slow_from: usize,
    /// With so many, writes are shed; 16,000 by default. Where other processes are told of them,
    /// so many writes are under way at once, too.
    pub keys_max: usize,
    /// Values that wait take so many bytes in a cache at most, or writes are shed; 64 MiB by
    /// default. They count against the bound of the memory tier as well: entries make way for
    /// them, and where it has no room for them, writes are shed before.
    pub bytes_max: usize,
    /// So many transactions of a cache at once at most; 2 by default.
    pub lanes: usize,
    /// A transaction that takes longer may be committed or not; 10 s by default.
    pub apply_within: Duration,
    /// A transaction that failed is tried again after this, and twice as long each time; 100 ms by
    /// default.
    pub retry_after: Duration,
    /// But after this at the latest; 30 s by default.
    pub retry_after_max: Duration,
    /// How often the sink is asked for dead letters that are to be tried again; 5 s by default.
    pub requeue_every: Duration,
}

impl Default for BehindBounds {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(1),
            batch_from: 512,
            batch_max: 512,
            slow_from: 10_000,
            keys_max: 16_000,
            bytes_max: 64 << 20,
            lanes: 2,
            apply_within: Duration::from_secs(10),
            retry_after: Duration::from_millis(100),
            retry_after_max: Duration::from_secs(30),
            requeue_every: Duration::from_secs(5),
        }
    }
}

/// Acknowledged writes of several caches, in one journal.
///
/// Build the caches with it, then [start](Self::start) it: only then they take writes. At the end
/// [stop](Self::stop) it; what isn't applied by then is applied after the next start.
#[derive(Clone)]
pub struct WriteBehind(pub(super) Arc<Hub>);

/// What a replay came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Records that the journal held.
    pub records: u64,
    /// Those that had been applied before.
    pub before: u64,
}

/// What was left when it was stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Keys whose writes are in the journal alone; they are applied after the next start.
    pub left: usize,
}

/// What a cache that is written behind has waiting, and what it has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BehindStats {
    /// Keys with writes that wait.
    pub keys: usize,
    /// What those take, in bytes, about.
    pub bytes: usize,
    /// What is taken from the bound of the memory tier for them, in bytes: somewhat more.
    pub reserved: usize,
    /// How long the oldest waits.
    pub oldest: Option<Duration>,
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Writes that were applied, after those of a key were joined.
    pub applied: u64,
    /// Of those, how many had been applied before.
    pub applied_before: u64,
    /// Writes that became dead letters.
    pub buried: u64,
    /// Transactions that failed and were tried again.
    pub failed: u64,
}

/// What the caches of one journal share.
pub(crate) struct Hub {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) bounds: BehindBounds,
    members: Mutex<Vec<Weak<dyn Member>>>,
    state: AtomicUsize,
    /// Everything that the journal holds waits in a cache, or is applied. Until then it may hold
    /// what nobody has read.
    is_read: AtomicBool,
    /// How many of its records the replay has read so far.
    pub(super) read: AtomicU64,
    truncated_at: AtomicU64,
    /// Nobody is to wait any longer than necessary.
    pub(super) hurry: Notify,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Replaying,
    Running,
    Stopping,
}

impl State {
    const ALL: [Self; 4] = [Self::Idle, Self::Replaying, Self::Running, Self::Stopping];
}

/// A cache, without its types.
pub(super) trait Member: Send + Sync {
    fn name(&self) -> &str;

    /// Takes the cache over.
    fn own<'a>(&'a self, owner: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Gives it back.
    fn disown(&self) -> BoxFuture<'_, Result<()>>;

    /// Begins to apply what waits.
    fn run(self: Arc<Self>);

    /// Takes records of the journal that belong to it, in their order. Returns how many of them
    /// had been applied before.
    fn take_over<'a>(
        self: Arc<Self>,
        entries: &'a [(u64, Entry<'a>)],
    ) -> BoxFuture<'a, Result<u64>>;

    /// The oldest record that it still needs, and since when it waits.
    fn oldest(&self) -> Option<(u64, Moment)>;

    /// What is below this number is durable.
    fn durable_below(&self, number: u64);

    /// How many keys wait.
    fn keys(&self) -> usize;

    /// What they take, in bytes, about.
    fn bytes(&self) -> usize;

    /// Why it writes no more, if that is so.
    fn fault(&self) -> Option<Error>;

    /// Waits until something was applied or given up, from this call on.
    fn settled(&self) -> BoxFuture<'_, ()>;

    /// There may be something to do.
    fn wake(&self);
}

impl WriteBehind {
    /// Writes in this journal, with the default bounds.
    #[must_use]
    pub fn over(journal: Arc<dyn Journal>) -> Self {
        Self::with(journal, BehindBounds::default())
    }

    /// Writes in this journal, within these bounds.
    #[must_use]
    pub fn with(journal: Arc<dyn Journal>, bounds: BehindBounds) -> Self {
        Self(Arc::new(Hub {
            journal,
            bounds,
            members: Mutex::default(),
            state: AtomicUsize::new(State::Idle as usize),
            is_read: AtomicBool::new(false),
            read: AtomicU64::new(0),
            truncated_at: AtomicU64::new(0),
            hurry: Notify::new(),
        }))
    }

    /// How much the journal holds.
    #[must_use]
    pub fn standing(&self) -> JournalStanding {
        self.0.journal.standing()
    }

    /// How many records of the journal [`start`](Self::start) has read so far.
    #[must_use]
    pub fn records_read(&self) -> u64 {
        self.0.read.load(Ordering::Relaxed)
    }

    /// Applies what it can within this time, and takes no further writes. What isn't applied then
    /// stays in the journal. A cache of which nothing is left is given back, so that another
    /// process may own it.
    ///
    /// # Errors
    ///
    /// When the journal can't write down what it needs no more: it is then replayed, and found
    /// applied.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it stopping; what isn't applied stays in the journal.
    pub async fn stop(&self, engine: &Engine, at_most: Duration) -> Result<Stopped> {
        let hub = &self.0;
        hub.enter(State::Stopping);
        let clock = &**engine.clock();
        let until = clock.now() + at_most;
        let mut left = 0;
        for member in hub.members() {
            loop {
                // Before it is asked: what is settled in between is heard of, too.
                let settled = member.settled();
                if member.keys() == 0 || member.fault().is_some() {
                    break;
                }
                hub.hurry.notify_waiters();
                member.wake();
                if within(clock, until, settled).await.is_none() {
                    break;
                }
            }
            left += member.keys();
        }
        hub.truncate()?;
        // What the journal holds unread is still owed by its owner.
        let is_read = hub.is_read.load(Ordering::Acquire);
        for member in hub.members().into_iter().filter(|_| is_read) {
            if member.keys() == 0 && member.fault().is_none() {
                // It remains owned, and the same journal owns it again.
                let _ = member.disown().await;
            }
        }
        Ok(Stopped { left })
    }
}

impl fmt::Debug for WriteBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBehind").field("journal", &self.0.journal).finish_non_exhaustive()
    }
}

impl Hub {
    /// Takes a cache in.
    ///
    /// # Errors
    ///
    /// `Config` when it has started already, or has one of this name.
    pub(super) fn admit(&self, member: Weak<dyn Member>, name: &str) -> Result<()> {
        let mut members = self.members.lock();
        let is_taken =
            |other: &Weak<dyn Member>| other.upgrade().is_some_and(|other| other.name() == name);
        let message = if self.state() != State::Idle {
            format!("the cache {name} is built after its journal was started: build it before")
        } else if members.iter().any(is_taken) {
            format!("two caches named {name} can't write in one journal: give one another name")
        } else {
            members.push(member);
            return Ok(());
        };
        Err(Error::new(ErrorKind::Config, message))
    }

    pub(super) fn members(&self) -> Vec<Arc<dyn Member>> {
        self.members.lock().iter().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn takes_writes(&self) -> bool {
        self.state() == State::Running
    }

    /// Whether what waits is applied without a delay.
    pub(super) fn hurries(&self) -> bool {
        matches!(self.state(), State::Replaying | State::Stopping)
    }

    pub(super) fn begin_replay(&self) -> Result<()> {
        self.exchange(State::Idle, State::Replaying).map_err(|_| {
            Error::new(ErrorKind::Config, "this journal is started already, or was stopped")
        })
    }

    pub(super) fn end_replay(&self, is_done: bool) {
        if is_done {
            self.is_read.store(true, Ordering::Release);
        }
        // Stopped meanwhile, it stays so.
        let end = if is_done { State::Running } else { State::Idle };
        let _ = self.exchange(State::Replaying, end);
    }

    /// Tells the journal what it needs no more, now and then.
    pub(super) fn truncate_now_and_then(&self, now: Moment) -> Result<()> {
        let last = self.truncated_at.load(Ordering::Relaxed);
        let due = Moment::from_nanos(last) + TRUNCATE_EVERY;
        if now < due {
            return Ok(());
        }
        if self.truncate()? {
            self.truncated_at.store(now.as_nanos(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Returns whether there was anything to tell.
    fn truncate(&self) -> Result<bool> {
        // What isn't read yet waits nowhere else.
        if !self.is_read.load(Ordering::Acquire) {
            return Ok(false);
        }
        // Asked before the caches are: what comes meanwhile is behind it.
        let standing = self.journal.standing();
        let all: Option<Vec<_>> = self.members.lock().iter().map(Weak::upgrade).collect();
        // What a cache that was dropped had waiting is in the journal alone.
        let Some(members) = all else { return Ok(false) };
        let durable = self.journal.durable_below();
        members.iter().for_each(|member| member.durable_below(durable));
        let oldest = members.iter().filter_map(|member| member.oldest()).min();
        let needed = oldest.map_or(standing.next, |(number, _)| number.min(standing.next));
        if needed <= standing.first {
            return Ok(false);
        }
        self.journal.truncate_below(needed)?;
        Ok(true)
    }

    fn exchange(&self, from: State, to: State) -> Result<(), usize> {
        let (from, to) = (from as usize, to as usize);
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).map(drop)
    }

    fn enter(&self, state: State) {
        self.state.store(state as usize, Ordering::Release);
    }

    fn state(&self) -> State {
        State::ALL[self.state.load(Ordering::Acquire)]
    }
}
