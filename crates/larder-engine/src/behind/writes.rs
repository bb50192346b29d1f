//! Pushing writes.

use std::sync::Arc;
use std::time::Duration;

use larder_core::steps::{Step, reach};
use larder_core::{CacheKey, Error, ErrorKind, KeyText, Moment, Result, Write, Written};

use super::Behind;
use super::base::Base;
use super::dirty::{Coming, KEY_BYTES, Read, Seen};
use super::record::{Entry, What};
use crate::cache::Parts;
use crate::erased::DynSink;
use crate::fence::Fence;
use crate::invalidate::Invalidation;
use crate::observe::What as Event;
use crate::runtime::oneshot;
use crate::write::Wrote;

/// A sink, and what waits for it.
pub(super) type WrittenBehind<'a, K, V> = (&'a dyn DynSink<K, V>, &'a Arc<Behind<K, V>>);

/// What a write insists on.
#[derive(Clone, Copy)]
pub(crate) enum Only {
    /// Nothing.
    Anyway,
    /// That nothing was written since the key was read: see [`Parts::mark_of`].
    Unchanged(Mark),
}

/// What a key looked like before it was read.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    last: Option<u64>,
    fence: Fence,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// What it needs to be written behind, if it is.
    pub(crate) fn behind(&self) -> Option<&Arc<Behind<K, V>>> {
        self.writes.as_ref()?.behind.as_ref()
    }

    /// Whether something acknowledged waits to be applied.
    pub(crate) fn is_dirty(&self, key: &K) -> bool {
        self.behind().is_some_and(|behind| behind.dirty.read(key).is_some())
    }

    /// To be taken before a key is read which is then to be written only if it is
    /// [unchanged](Only::Unchanged).
    pub(crate) fn mark_of(&self, key: &K) -> Mark {
        // In this order: what is closed in between has raised the epoch.
        let fence = self.fence(key);
        let last = self.behind().and_then(|behind| behind.dirty.read(key)).map(|read| read.last);
        Mark { last, fence }
    }

    /// Writes behind: returns when the write is durable, with what is held then as far as it is
    /// known.
    ///
    /// # Errors
    ///
    /// What the sink's [check](larder_core::Sink::check) says, `Shed` when too much waits,
    /// `Conflict` when the key isn't what `only` says, `SharedDown` when a strict cache can't
    /// announce it: nothing is written. `Internal` when the journal
    /// failed: the write may come back after the next start.
    ///
    /// # Cancel safety
    ///
    /// Once polled it is written.
    pub(crate) async fn push(
        self: &Arc<Self>,
        key: &K,
        write: Write<V>,
        only: Only,
    ) -> Result<Wrote<V>> {
        let (sink, behind) = self.written_behind()?;
        behind.check_writable(&self.name)?;
        sink.check(key, &write)?;
        behind.check_room(&self.name)?;
        if self.pledging().is_none() {
            let read = self.push_now(behind, key, write, None, only)?;
            return self.acknowledge(behind, read, true).await;
        }
        // Others are told before anything is acknowledged, and who went away meanwhile has written
        // all the same.
        let (sender, outcome) = oneshot::channel();
        let (parts, of) = (Arc::clone(self), key.clone());
        self.engine.spawn(async move {
            // Who went away needn't know.
            let _ = sender.send(parts.push_announced(&of, write, only).await);
        });
        outcome.await.unwrap_or_else(|_| {
            let message = "the write was dropped, as the runtime is shutting down: it may come \
                           back after the next start";
            Err(Error::new(ErrorKind::Internal, message).for_key(KeyText::lossy(key)))
        })
    }

    async fn push_announced(
        self: &Arc<Self>,
        key: &K,
        write: Write<V>,
        only: Only,
    ) -> Result<Wrote<V>> {
        let (_, behind) = self.written_behind()?;
        let pledge = self.pledge(key).await?;
        let announced = pledge.is_some();
        let read = self.push_now(behind, key, write, None, only)?;
        // It waits now, and its pledge stands until it is applied.
        drop(pledge);
        self.acknowledge(behind, read, announced).await
    }

    /// Waits until what was pushed is durable.
    async fn acknowledge(
        &self,
        behind: &Behind<K, V>,
        read: Read<V>,
        announced: bool,
    ) -> Result<Wrote<V>> {
        behind.durable(read.last).await?;
        reach(Step::Acknowledge);
        behind.counters.acknowledged.add(1);
        self.slow_down(behind).await;
        let written = match read.seen {
            Seen::Value(Some(value)) => Written::Value(value),
            Seen::Value(None) => Written::Absent,
            Seen::Beneath => Written::Unsaid,
        };
        Ok(Wrote { written, position: None, announced })
    }

    /// Puts a write into the journal and behind all others of its key, without waiting.
    pub(super) fn push_now(
        &self,
        behind: &Behind<K, V>,
        key: &K,
        write: Write<V>,
        letter: Option<u64>,
        only: Only,
    ) -> Result<Read<V>> {
        let text = self.text(key)?;
        let encoded = match &write {
            Write::Store(value) => Some(behind.codec.encode(value).map_err(|error| {
                let message = format!("the cache {} can't write this value down", self.name);
                Error::new(ErrorKind::Refused, message)
                    .caused_by(Error::from_loader(error))
                    .for_key(&*text)
            })?),
            Write::Delete | Write::Add(_) => None,
        };
        let what = match (&write, &encoded) {
            (_, Some((encoding, value))) => What::Store { encoding: *encoding, value },
            (Write::Add(difference), None) => What::Add(*difference),
            (_, None) => What::Delete,
        };
        // Read once: a stop may give the cache back meanwhile, and what nobody owns would be older
        // than everything that was applied.
        let epoch = behind.owned(&self.name)?;
        let record = Entry { cache: &self.name, key: &text, epoch, letter, what }.encode()?;
        // Whoever asks for it must not be told that there is no such key.
        if let Some(penetration) = &self.penetration {
            penetration.announced(key);
        }
        let weight = record.len();
        let claim = behind.room.claim(KEY_BYTES + weight, || behind.dirty.bytes());
        let _claim = claim.ok_or_else(|| no_room(&self.name, behind).for_key(&*text))?;
        let now = self.engine.now();
        let horizon = self.horizon();
        // What is returned is what is held then, and not what was.
        let stands = |base: Option<&Base>| base.is_none_or(|base| self.stands(base, horizon));
        behind.dirty.doubt_unless(key, stands);
        let read = behind.dirty.push_then(
            key,
            Coming { write, epoch, letter, weight, now },
            |last| match only {
                Only::Unchanged(mark) if last != mark.last || !self.fence_holds(mark.fence) => {
                    let message = "the key was written meanwhile: nothing was written";
                    Err(Error::new(ErrorKind::Conflict, message).for_key(&*text))
                }
                _ => behind.hub.journal.append(&record),
            },
            || self.raise_at_push(key),
        );
        // Where the journal was full, it may be of what is applied by now.
        let read = read.inspect_err(|_| behind.wake.notify_one())?;
        // From now on it is read in the map, and no load of before is what memory holds.
        if self.strike_at_push(key, now) {
            behind.dirty.want(key);
        }
        self.tell(key, Event::Changed);
        let waiting = behind.dirty.keys();
        if waiting == 1 || waiting >= behind.hub.bounds.batch_from {
            behind.wake.notify_one();
        }
        Ok(read)
    }

    /// Voids the loads that began when the write didn't wait yet, as soon as its number can be
    /// seen. With the strike alone, which comes later,
    ///
    /// 1. A leads a flight, whose load begins in its turn,
    /// 2. W puts a write that adds into the map,
    /// 3. U, who updates, marks that it waits, joins A's flight, and is given what its load, which
    ///    begins now, finds without it,
    /// 4. nothing was written since the mark, so U replaces what W added to.
    fn raise_at_push(&self, key: &K) {
        self.engine.epochs().raise(self.scope, key);
    }

    /// Returns whether something was held.
    pub(super) fn strike_at_push(&self, key: &K, now: Moment) -> bool {
        #[cfg(shuttle)]
        if self.engine.omits(crate::engine::Omit::StrikeAtPush) {
            return false;
        }
        self.strike_memory(key, now, Invalidation::Drop).was_held
    }

    /// Lets an acknowledgement wait the longer the more waits to be applied, so that who writes
    /// faster than the sink takes it is slowed down before anything is shed.
    async fn slow_down(&self, behind: &Behind<K, V>) {
        let bounds = &behind.hub.bounds;
        let above = behind.dirty.keys().saturating_sub(bounds.slow_from);
        if above == 0 {
            return;
        }
        let room = bounds.keys_max.saturating_sub(bounds.slow_from).max(1);
        #[allow(clippy::cast_precision_loss)] // A part of a whole.
        let part = (above as f64 / room as f64).min(1.0);
        self.engine.clock().sleep_until(self.engine.now() + SLOWEST.mul_f64(part)).await;
    }

    /// Its sink, and what waits for it.
    pub(super) fn written_behind(&self) -> Result<WrittenBehind<'_, K, V>> {
        let writes = self.writes.as_ref();
        let both = writes.and_then(|writes| Some((&*writes.sink, writes.behind.as_ref()?)));
        both.ok_or_else(|| {
            let message = format!("the cache {} isn't written behind", self.name);
            Error::new(ErrorKind::Refused, message)
        })
    }
}

/// How long an acknowledgement waits just before writes are shed.
const SLOWEST: Duration = Duration::from_millis(100);

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Behind<K, V> {
    /// Whether another key has room.
    fn check_room(&self, name: &str) -> Result<()> {
        let bounds = &self.hub.bounds;
        if self.dirty.keys() < bounds.keys_max && self.dirty.bytes() < bounds.bytes_max {
            return Ok(());
        }
        let message = format!(
            "the cache {name} has {} keys with {} bytes waiting to be applied, which is all that \
             may: its sink is slower than its writers, or down",
            self.dirty.keys(),
            self.dirty.bytes()
        );
        Err(Error::new(ErrorKind::Shed, message).retry_after(super::hub::RETRY_AFTER))
    }

    /// Whether what has this number is durable.
    pub(super) fn is_durable(&self, number: u64) -> bool {
        number < self.hub.journal.durable_below()
    }

    /// Waits until it is.
    pub(super) async fn durable(&self, number: u64) -> Result<()> {
        if self.is_durable(number) {
            return Ok(());
        }
        self.hub.journal.durable(number).await
    }
}

/// The error of a write for which the memory tier has no room.
fn no_room<K: CacheKey, V: Clone>(name: &str, behind: &Behind<K, V>) -> Error {
    let message = format!(
        "what waits to be applied counts against the memory of the cache {name}, and with {} bytes \
         waiting it has no room for this: its sink is slower than its writers, or down, or its \
         memory too small",
        behind.dirty.bytes()
    );
    Error::new(ErrorKind::Shed, message).retry_after(super::hub::RETRY_AFTER)
}
