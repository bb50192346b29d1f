//! One write under way: from its turn at the guard to its end, whatever becomes of its caller.
//!
//! The fence is captured before the sink is asked, so whatever ends or invalidates afterwards is
//! noticed at the end. A task that is dropped in between (its runtime went down) leaves nothing
//! held that the commit may have made old.

use std::sync::Arc;
use std::time::Duration;

use larder_core::bus::Position;
use larder_core::sink::{WriteError, WriteFault};
use larder_core::{CacheKey, Error, ErrorKind, Result, Write, Written};

use crate::cache::{Cache, Parts};
use crate::guard::Place;
use crate::install::Returned;
use crate::invalidate::Invalidation;
use crate::observe::What;
use crate::wait::{catch_panic, within};
use crate::write::{WriteMode, Writes, Wrote};

/// What the sink is asked for.
pub(crate) enum Order<V> {
    Write(Write<V>),
    /// The same if this is what it holds.
    Replace {
        expected: Option<V>,
        write: Write<V>,
    },
}

impl<V> Order<V> {
    /// The word for it.
    pub(crate) const fn verb(&self) -> &'static str {
        match self {
            Self::Write(write) | Self::Replace { write, .. } => write.verb(),
        }
    }
}

/// See the module's documentation.
pub(crate) struct Writing<K: CacheKey, V: Clone + Send + Sync + 'static> {
    pub(crate) parts: Arc<Parts<K, V>>,
    pub(crate) key: K,
    order: Order<V>,
    /// Whether the sink may have committed something that nobody knows of yet.
    pub(crate) is_open: bool,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Writing<K, V> {
    pub(crate) fn new(parts: &Arc<Parts<K, V>>, key: &K, order: Order<V>) -> Self {
        Self { parts: Arc::clone(parts), key: key.clone(), order, is_open: false }
    }

    /// Waits for its turn, writes, and ends.
    pub(crate) async fn carry_through(mut self, place: Place) -> Result<Wrote<V>> {
        let parts = Arc::clone(&self.parts);
        let Some(writes) = &parts.writes else { return Err(no_turn()) };
        let clock = &**parts.engine.clock();
        let until = clock.now() + parts.patience.deadline;
        let turn = within(clock, until, place.turn(parts.engine.clock())).await;
        let turn = turn.unwrap_or_else(|| Err(no_turn()))?;
        let began = clock.now();
        let guarding = self.announce(writes).await?;
        let fence = parts.fence(&self.key);
        self.is_open = true;
        let outcome = self.ask(writes, &place).await;
        drop(turn);
        let took = clock.now() - began;
        match outcome {
            Ok(written) => {
                self.tell(took, None);
                let returned = Returned { written: &written, began, fence };
                let (position, announced) = match &guarding {
                    None => self.end(writes, &returned).await,
                    Some(guarding) => self.conclude(writes, &returned, guarding).await,
                };
                Ok(Wrote { written, position, announced })
            }
            Err(error) => {
                let is_unknown = error.fault == WriteFault::Unknown;
                parts.counters.write_errors.add(1);
                let error = parts.failed_write(&self.key, error);
                self.tell(took, Some(&error));
                match guarding {
                    None if is_unknown => {
                        let returned = Returned { written: &Written::Unsaid, began, fence };
                        self.end(writes, &returned).await;
                        parts.expect_late(&self.key, writes);
                    }
                    None => {}
                    Some(guarding) if is_unknown => self.leave_open(&guarding).await,
                    Some(guarding) => self.abort(&guarding).await,
                }
                self.is_open = false;
                Err(error)
            }
        }
    }

    /// Asks the sink, to its end, its timeout or its panic.
    async fn ask(&self, writes: &Writes<K, V>, place: &Place) -> Result<Written<V>, WriteError> {
        let clock = &**self.parts.engine.clock();
        let began = clock.now();
        let question = match &self.order {
            Order::Write(write) => writes.sink.write(&self.key, write),
            Order::Replace { expected, write } => {
                writes.sink.replace(&self.key, expected.as_ref(), write)
            }
        };
        let unknown =
            |kind, message| WriteError::new(WriteFault::Unknown, Error::new(kind, message));
        let name = &self.parts.name;
        let outcome = match within(clock, began + writes.timeout, catch_panic(question)).await {
            Some(Ok(outcome)) => outcome,
            Some(Err(panic)) => {
                let message = format!("the sink of the cache {name} panicked: {panic}");
                Err(unknown(ErrorKind::Loader, message))
            }
            None => {
                let message = format!("the sink of {name} took longer than {:?}", writes.timeout);
                Err(unknown(ErrorKind::Timeout, message))
            }
        };
        let (now, cost) = (clock.now(), clock.now() - began);
        // What is refused was understood: it says nothing against the source's health.
        let health = match &outcome {
            Err(WriteError { fault: WriteFault::Transient | WriteFault::Unknown, error }) => {
                Err(error.clone())
            }
            _ => Ok(()),
        };
        place.answered(&health, cost, now);
        self.parts.counters.writes.record(cost);
        outcome
    }

    /// Ends a write that was committed, or may be. Returns where it stands on the bus, and whether
    /// everybody has been told.
    async fn end(
        &mut self,
        writes: &Writes<K, V>,
        returned: &Returned<'_, V>,
    ) -> (Option<Position>, bool) {
        let is_alone = self.parts.beyond(false).is_ok_and(|beyond| beyond.is_none());
        if writes.mode == WriteMode::Through
            && is_alone
            && self.parts.install(&self.key, writes, returned)
        {
            self.is_open = false;
            self.parts.changed(&self.key);
            return (None, true);
        }
        self.invalidate().await
    }

    /// Through the one door.
    pub(crate) async fn invalidate(&mut self) -> (Option<Position>, bool) {
        let cache = Cache(Arc::clone(&self.parts));
        let ending = cache.invalidate(&self.key);
        // Once it is polled it is done here, and kept for the others.
        self.is_open = false;
        match ending.await {
            Ok(invalidated) => (invalidated.position, true),
            Err(_) => (None, false),
        }
    }

    fn tell(&self, took: Duration, error: Option<&Error>) {
        let verb = self.order.verb();
        self.parts.tell(&self.key, What::Wrote { verb, took, error });
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Drop for Writing<K, V> {
    fn drop(&mut self) {
        if self.is_open {
            let cache = Cache(Arc::clone(&self.parts));
            // A key that has no text was refused before.
            let _ = cache.invalidate_here(std::slice::from_ref(&self.key), Invalidation::Drop);
        }
    }
}

fn no_turn() -> Error {
    let message = "the write had no turn within the deadline of its cache: nothing was written";
    Error::new(ErrorKind::Timeout, message)
}
