//! The life of a write.
//!
//! 1. **Refused early**: no sink, a sink that doesn't take such writes, a key that can't name
//!    anything, a guard without a place. Nothing was asked.
//! 2. **A task of the engine** carries it through from here, whatever becomes of the caller (see
//!    [`writing`](crate::writing)): its turn at the guard, then the fence is captured, then the
//!    sink is asked to commit.
//! 3. **Around**: the one door ([`invalidate`](crate::invalidate)). Delete, don't update: the next
//!    read loads the truth.
//! 4. **Through**: what the sink returned goes into memory if the fence still holds, which is to
//!    say that no other write of the key ended and nothing invalidated it since the commit began
//!    (see [`install`](crate::install)); otherwise as around.
//!
//! A commit whose outcome is unknown counts as committed without a value, at once and when it can't
//! come any more (see [`late`](crate::late)). Once a write has
//! returned, a get that starts here returns nothing from before it, and one that starts in another
//! process and insists on its [position](Wrote::position) neither.

use std::sync::Arc;
use std::time::Duration;

use larder_core::bus::Position;
use larder_core::sink::{SinkAbilities, WriteError, WriteFault};
use larder_core::{CacheKey, Changes, Error, ErrorKind, KeyText, Result, Terms, Write, Written};

use crate::behind::{Behind, Only};
use crate::cache::{Cache, Parts};
use crate::erased::DynSink;
use crate::invalidate::Invalidation;
use crate::load::Loader;
use crate::patience::Patience;
use crate::runtime::oneshot;
use crate::writing::{Order, Writing};

/// What a loader would say of a value that was written, or of its absence.
pub(crate) type Say<K, V> = Box<dyn Fn(&K, Option<&V>) -> Terms + Send + Sync>;

/// How often an update reads and decides anew, because somebody else wrote in between.
const UPDATES_MAX: u32 = 8;

/// What becomes of the entry of a key when a write of it was committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteMode {
    /// It is invalidated, and the next read loads.
    #[default]
    Around,
    /// What the sink returned takes its place, if nothing else wrote or invalidated the key
    /// meanwhile; otherwise as around. So it is, too, where an engine
    /// [shares](crate::Engine::share) its entries or its announcements: no process knows alone
    /// that no other one wrote.
    Through,
    /// It is acknowledged when it is durable in a journal, and applied later; see
    /// [`behind`](crate::behind). What the sink returned then is put into memory as with
    /// [`Through`](Self::Through).
    Behind,
}

/// When what was written is put into memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Install {
    /// If something was held of the key: what is written and never read takes no room. Written
    /// [behind](WriteMode::Behind), what was read while it waited counts as held.
    #[default]
    IfHeld,
    /// Always. It must be [said](crate::CacheBuilder::written) what a loader would say of it.
    Always,
}

/// What a write came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wrote<V> {
    /// What the system of record holds now, as far as it said.
    pub written: Written<V>,
    /// Where it stands on the bus, if there is one: who reads [at](crate::Read::at) this position,
    /// in whatever process, reads what was written.
    pub position: Option<Position>,
    /// Whether everybody has been told who shares with this process. If not, the shared tier or
    /// the bus doesn't answer: it is kept, and carried out as soon as they do; until then other
    /// processes may answer with what they hold, within their windows.
    pub announced: bool,
}

/// What a cache needs to write.
pub(crate) struct Writes<K, V> {
    pub(crate) sink: Arc<dyn DynSink<K, V>>,
    pub(crate) abilities: SinkAbilities,
    pub(crate) mode: WriteMode,
    pub(crate) install: Install,
    pub(crate) written: Option<Say<K, V>>,
    pub(crate) timeout: Duration,
    /// What it needs to be written behind, if it is.
    pub(crate) behind: Option<Arc<Behind<K, V>>>,
}

/// What a builder was told of writes.
pub(crate) struct DeclaredWrites<K, V> {
    pub(crate) behind: Option<Arc<Behind<K, V>>>,
    pub(crate) sink: Option<Arc<dyn DynSink<K, V>>>,
    pub(crate) mode: Option<WriteMode>,
    pub(crate) install: Option<Install>,
    pub(crate) written: Option<Say<K, V>>,
    pub(crate) timeout: Duration,
}

impl<K: 'static, V: 'static> DeclaredWrites<K, V> {
    /// What follows from it; `None` without a sink.
    ///
    /// # Errors
    ///
    /// `Config` where it contradicts itself.
    pub(crate) fn resolve(self, changes: Changes) -> Result<Option<Writes<K, V>>> {
        let Some(sink) = self.sink else {
            if self.mode.is_some() || self.install.is_some() || self.written.is_some() {
                return Err(config(
                    "this cache is told how to write, and has no sink to write to: give it one, \
                     or leave write, install and written out",
                ));
            }
            return Ok(None);
        };
        if changes == Changes::Static {
            return Err(config(
                "a sink changes what changes(Changes::Static) says never changes: leave one of \
                 them out",
            ));
        }
        let (mode, install) = (self.mode.unwrap_or_default(), self.install.unwrap_or_default());
        if install == Install::Always && (mode == WriteMode::Around || self.written.is_none()) {
            return Err(config(
                "Install::Always puts values into memory that no loader has seen: it needs \
                 write(WriteMode::Through) or behind(…), and written(…), which says what a loader \
                 would say of them; `|_, _| Terms::default()` where loaders say nothing",
            ));
        }
        if self.timeout.is_zero() {
            return Err(config("write_timeout must be longer than zero"));
        }
        let abilities = sink.abilities();
        let (written, timeout) = (self.written, self.timeout);
        if mode == WriteMode::Behind && self.behind.is_none() {
            return Err(config("WriteMode::Behind needs a journal: give it one with behind(…)"));
        }
        if self.behind.is_some() && !abilities.behind {
            return Err(config(
                "this sink keeps no sequences, so acknowledged writes could be applied twice: \
                 write through or around it",
            ));
        }
        let behind = self.behind;
        Ok(Some(Writes { sink, abilities, mode, install, written, timeout, behind }))
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// Which writes its sink takes; none where it has no sink.
    #[must_use]
    pub fn abilities(&self) -> SinkAbilities {
        self.0.writes.as_ref().map(|writes| writes.abilities).unwrap_or_default()
    }

    /// What its writes do; `None` where it has no sink.
    #[must_use]
    pub fn write_mode(&self) -> Option<WriteMode> {
        let writes = self.0.writes.as_ref()?;
        Some(if writes.behind.is_some() { WriteMode::Behind } else { writes.mode })
    }

    /// Lets the system of record hold `value` under `key`, whatever it held, and the cache know.
    ///
    /// It is committed when this returns. A read that starts then, in this process, sees it or
    /// what came after it; [elsewhere](Wrote::position) so does one that insists on it.
    ///
    /// ```
    /// use larder_core::sink::{Sink, SinkAbilities, WriteError};
    /// use larder_core::{LoadContext, LoadError, Source, Write, Written};
    /// use larder_engine::{Cache, WriteMode};
    /// use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    /// use std::{sync::Arc, time::Duration};
    ///
    /// #[derive(Clone, Default)]
    /// struct Price(Arc<AtomicU64>); // the database
    ///
    /// impl Source<u64, u64> for Price {
    ///     async fn load(&self, _: &u64, _: &mut LoadContext) -> Result<Option<u64>, LoadError> {
    ///         Ok(Some(self.0.load(SeqCst)))
    ///     }
    /// }
    ///
    /// impl Sink<u64, u64> for Price {
    ///     fn abilities(&self) -> SinkAbilities {
    ///         SinkAbilities { store: true, ..SinkAbilities::default() }
    ///     }
    ///
    ///     async fn write(&self, _: &u64, write: &Write<u64>) -> Result<Written<u64>, WriteError> {
    ///         let Write::Store(price) = *write else { return Ok(Written::Unsaid) };
    ///         self.0.store(price, SeqCst);
    ///         Ok(Written::Value(price))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
    /// let prices = Cache::builder("price")
    ///     .max_staleness(Duration::from_secs(60))
    ///     .source(Price::default())
    ///     .sink(Price::default())
    ///     .write(WriteMode::Through)
    ///     .build()?;
    /// assert_eq!(prices.get(&7).await?, Some(0));
    /// prices.put(&7, 1999).await?;
    /// assert_eq!(prices.get(&7).await?, Some(1999)); // not asked again: it was held
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// `Refused` without a sink, or where it doesn't take such writes; `BadKey`; `Shed` when too
    /// many loads and writes wait already; `SourceDown` while the source rests after many
    /// failures; `Timeout` when its turn didn't come within the cache's deadline. In all these
    /// cases nothing was written.
    ///
    /// When the sink failed, its [`WriteError`] is [inside](Error::downcast_ref), and its
    /// [fault](WriteError::fault) says what that means: only after [`WriteFault::Unknown`], and a
    /// write that took longer than its timeout, it may have been written, and is invalidated as
    /// if it had been.
    ///
    /// # Cancel safety
    ///
    /// Once polled it is carried through, with everything that it entails: the write belongs to the
    /// engine and not to its caller. If the runtime goes down with it, what is held of the key is
    /// dropped.
    pub async fn put(&self, key: &K, value: V) -> Result<Wrote<V>> {
        self.0.write(key, Order::Write(Write::Store(value))).await
    }

    /// Lets the system of record hold nothing under `key`.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    ///
    /// # Cancel safety
    ///
    /// As [`put`](Self::put).
    pub async fn delete(&self, key: &K) -> Result<Wrote<V>> {
        self.0.write(key, Order::Write(Write::Delete)).await
    }

    /// Makes the number that the system of record holds under `key` greater by `delta`; smaller,
    /// if it is negative. Repeated after an error that leaves it unknown whether it was committed,
    /// it may count twice.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    ///
    /// # Cancel safety
    ///
    /// As [`put`](Self::put).
    pub async fn increment(&self, key: &K, delta: i64) -> Result<Wrote<V>> {
        self.0.write(key, Order::Write(Write::Add(delta))).await
    }

    /// Reads `key` from the source, lets `change` decide, and writes what it decided, if the
    /// system of record still holds what was read. If somebody else wrote in between it begins
    /// again, at most eight times. Where `change` decides `None` nothing is written.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask) and [`put`](Self::put); `Conflict` when somebody else wrote each time:
    /// then nothing was written.
    ///
    /// # Cancel safety
    ///
    /// A write that it has begun is carried through; nothing is begun anew.
    pub async fn update<F>(&self, key: &K, mut change: F) -> Result<Wrote<V>>
    where
        F: FnMut(Option<V>) -> Option<Write<V>>,
    {
        let parts = &self.0;
        if parts.behind().is_some() {
            return self.update_behind(key, change).await;
        }
        if !parts.writes()?.abilities.replace {
            return Err(parts.cant("compare what is held with what is expected"));
        }
        // Only the truth of this moment will do.
        let patience = Patience { max_staleness: Duration::ZERO, ..parts.patience };
        for attempt in 1.. {
            let current = parts.ask(key, patience, Loader::Source).await?.value;
            let Some(write) = change(current.clone()) else {
                let written = current.map_or(Written::Absent, Written::Value);
                return Ok(Wrote { written, position: None, announced: true });
            };
            match parts.write(key, Order::Replace { expected: current, write }).await {
                Err(error) if error.kind() == ErrorKind::Conflict && attempt < UPDATES_MAX => {
                    // What was read is not the truth any more, whoever else has it.
                    parts.strike(key, parts.engine.now(), Invalidation::Drop);
                }
                outcome => return outcome,
            }
        }
        unreachable!("the last attempt returns")
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// [`update`](Self::update) where only this process writes: nothing in the system of record
    /// needs to be compared.
    async fn update_behind<F>(&self, key: &K, mut change: F) -> Result<Wrote<V>>
    where
        F: FnMut(Option<V>) -> Option<Write<V>>,
    {
        let parts = &self.0;
        let patience = Patience { max_staleness: Duration::ZERO, ..parts.patience };
        for attempt in 1.. {
            // Before the key is looked at: who announces a write strikes it.
            let _pledge = parts.pledge(key).await?;
            let mark = parts.mark_of(key);
            let current = parts.ask(key, patience, Loader::Source).await?.value;
            let Some(write) = change(current.clone()) else {
                let written = current.map_or(Written::Absent, Written::Value);
                return Ok(Wrote { written, position: None, announced: true });
            };
            match parts.push(key, write, Only::Unchanged(mark)).await {
                Err(error) if error.kind() == ErrorKind::Conflict && attempt < UPDATES_MAX => {}
                outcome => return outcome,
            }
        }
        unreachable!("the last attempt returns")
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    fn writes(&self) -> Result<&Writes<K, V>> {
        self.writes.as_ref().ok_or_else(|| {
            let message = format!("the cache {} has no sink: it can't be written", self.name);
            Error::new(ErrorKind::Refused, message)
        })
    }

    /// A whole write. Until the task is spawned nothing is waited for, so that a future which was
    /// polled once has begun it.
    async fn write(self: &Arc<Self>, key: &K, order: Order<V>) -> Result<Wrote<V>> {
        let abilities = self.writes()?.abilities;
        let takes = match &order {
            Order::Replace { .. } => abilities.replace,
            Order::Write(Write::Store(_)) => abilities.store,
            Order::Write(Write::Delete) => abilities.delete,
            Order::Write(Write::Add(_)) => abilities.add,
        };
        if !takes {
            return Err(self.cant(order.verb()));
        }
        let text = self.text(key)?;
        if let Some(Err(error)) = self.source.as_ref().map(|source| source.check(key)) {
            return Err(if error.key().is_some() { error } else { error.for_key(text) });
        }
        if let (Some(_), Order::Write(write)) = (self.behind(), &order) {
            return self.push(key, write.clone(), Only::Anyway).await;
        }
        let named = |error: Error| error.for_key(KeyText::lossy(key));
        let place = self.guard.enter(self.engine.now()).map_err(named)?;
        let (sender, outcome) = oneshot::channel();
        let writing = Writing::new(self, key, order);
        self.engine.spawn(async move {
            // Who went away needn't know.
            let _ = sender.send(writing.carry_through(place).await);
        });
        outcome.await.unwrap_or_else(|_| Err(named(dropped())))
    }

    /// An error that says that the sink can't do it.
    fn cant(&self, what: &str) -> Error {
        let message = format!("the sink of the cache {} can't {what}", self.name);
        Error::new(ErrorKind::Refused, message)
    }

    /// What the caller is told of a write that failed.
    pub(crate) fn failed_write(&self, key: &K, error: WriteError) -> Error {
        let (kind, means) = match error.fault {
            WriteFault::Conflict => (ErrorKind::Conflict, "nothing was written: another was first"),
            WriteFault::Unknown => (
                error.error.kind(),
                "it may be committed or not, and what was held of it was dropped: read it before \
                 you repeat it",
            ),
            WriteFault::Transient => {
                (error.error.kind(), "nothing was written; it may be repeated")
            }
            WriteFault::Poison | WriteFault::Disowned => {
                (error.error.kind(), "nothing was written")
            }
        };
        let retry_after = error.error.retry_delay();
        let message = format!("the write of the cache {} failed: {means}", self.name);
        let failed = Error::new(kind, message).caused_by(error).for_key(KeyText::lossy(key));
        retry_after.into_iter().fold(failed, Error::retry_after)
    }
}

fn dropped() -> Error {
    let message = "the write was dropped, as the runtime is shutting down: it may be committed or \
                   not";
    Error::new(ErrorKind::Internal, message)
}

fn config(message: &'static str) -> Error {
    Error::new(ErrorKind::Config, message)
}
