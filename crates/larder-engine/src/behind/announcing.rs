//! Pledges given to the shared tier and the bus, and taken back.
//!
//! 1. Who is about to write a key that nobody announced gives a pledge first: an intent in the
//!    tier and on the bus, which drops what is held of the key everywhere. From then on everybody
//!    reads the source and keeps nothing. Who finds one writes at once: it costs a round trip for
//!    each key that becomes dirty, not for each write.
//! 2. It lasts as long as two transactions may take, and is given anew while half of that is left,
//!    for as long as something waits: here, and by the lane before each commit.
//! 3. When nothing waits any more it is taken back, in the tier and on the bus in one step. From
//!    then on everybody loads, and keeps, what was applied.
//!
//! Where a pledge can't be given, a guarded cache writes without, and tries again before the
//! commit; a strict one refuses the write, and applies nothing until it can. A process that dies
//! leaves pledges that end with their time; what it had acknowledged is applied after its next
//! start, and announced before that like anything else.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use larder_core::shared::Ended;
use larder_core::{CacheKey, Error, ErrorKind, KeyText, Moment, Result};

use super::Behind;
use super::pledges::{Ending, Found, Given, Pledges, Who};
use crate::cache::{Cache, Parts};
use crate::consistency::Consistency;
use crate::guarded::unannounced;
use crate::invalidate::Invalidation;
use crate::shared::Shared;

/// So many keys are talked about at once.
const WIDTH: usize = 64;
/// What is to be given anew is looked for so often within the time that it lasts.
const LOOKS: u32 = 8;

/// A cache whose dirty keys others are told of.
pub(super) type Pledging<'a, K, V> = (&'a Arc<Shared>, &'a Arc<Behind<K, V>>);

/// Somebody is about to write a key, and everybody was told.
pub(crate) struct Pledged<K: CacheKey, V: Clone + Send + Sync + 'static> {
    parts: Arc<Parts<K, V>>,
    key: K,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Drop for Pledged<K, V> {
    fn drop(&mut self) {
        let Some(behind) = self.parts.behind() else { return };
        if behind.pledges.leave(&self.key, || behind.dirty.is_idle(&self.key)) {
            let (parts, key) = (Arc::clone(&self.parts), self.key.clone());
            self.parts.engine.spawn(async move {
                drop(parts.take_back(std::slice::from_ref(&key)).await);
            });
        }
    }
}

/// Somebody talks about a key; what he says last is said even if his task is dropped.
struct Talking<'a, K: CacheKey> {
    pledges: &'a Pledges<K>,
    key: &'a K,
    given: Option<Given>,
}

impl<K: CacheKey> Drop for Talking<'_, K> {
    fn drop(&mut self) {
        self.pledges.said(self.key, self.given.take());
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// What it needs to tell others of its dirty keys, if it does.
    pub(super) fn pledging(&self) -> Option<Pledging<'_, K, V>> {
        let shared = self.engine.shared().filter(|_| self.consistency.is_guarded())?;
        Some((shared, self.behind()?))
    }

    /// To be held by who is about to write; `None` where nobody is told, or could be.
    ///
    /// # Errors
    ///
    /// `SharedDown` where the cache is strict and it can't be announced, `Shed` when too many are
    /// about to write: nothing may be written.
    ///
    /// # Cancel safety
    ///
    /// What was announced is taken back.
    pub(crate) async fn pledge(self: &Arc<Self>, key: &K) -> Result<Option<Pledged<K, V>>> {
        match self.pledging() {
            Some(pledging) => self.pledge_as(Who::Writer, pledging, key).await,
            None => Ok(None),
        }
    }

    /// Sees to it that everybody has been told of these keys before they are committed.
    ///
    /// # Errors
    ///
    /// `SharedDown` where the cache is strict and one of them can't be announced.
    pub(super) async fn pledge_all<'a>(
        self: &Arc<Self>,
        keys: impl Iterator<Item = &'a K>,
    ) -> Result<()>
    where
        K: 'a,
    {
        let Some(pledging @ (shared, behind)) = self.pledging() else { return Ok(()) };
        let until = self.engine.now() + time(shared, behind) / 2;
        for keys in behind.pledges.lacking(keys, until).chunks(WIDTH) {
            let pledges = keys.iter().map(|key| self.pledge_as(Who::Lane, pledging, key));
            for pledge in join_all(pledges).await {
                // It stands for as long as something waits.
                drop(pledge?);
            }
        }
        Ok(())
    }

    async fn pledge_as(
        self: &Arc<Self>,
        who: Who,
        (shared, behind): Pledging<'_, K, V>,
        key: &K,
    ) -> Result<Option<Pledged<K, V>>> {
        let (pledges, time) = (&behind.pledges, time(shared, behind));
        loop {
            let changed = pledges.changed.notified();
            let pledged = || Pledged { parts: Arc::clone(self), key: key.clone() };
            let before = match pledges.enter(key, self.engine.now() + time / 2, who) {
                Found::Given => return Ok(Some(pledged())),
                Found::Give(before) => before,
                Found::Busy => {
                    changed.await;
                    continue;
                }
                Found::Full => return Err(self.full(key)),
            };
            // In this order: who is still counted when he has said what stands takes it back.
            let pledged = pledged();
            let mut talking = Talking { pledges, key, given: before };
            let now = self.engine.now();
            let given = match &talking.given {
                Some(Given { announced, .. }) => {
                    let announced = announced.clone();
                    self.prolong(shared, &announced, time).await.map(|()| announced)
                }
                None => self.announce(shared, key, time).await,
            };
            match given {
                Ok(announced) => {
                    talking.given = Some(Given { announced, until: now + time });
                    drop(talking);
                    return Ok(Some(pledged));
                }
                Err(error) if self.consistency == Consistency::Strict => {
                    return Err(unannounced(error).for_key(KeyText::lossy(key)));
                }
                Err(_) => {
                    self.counters.unguarded.add(1);
                    return Ok(None);
                }
            }
        }
    }

    /// What was applied of these keys is told to everybody, and what is held of them here struck.
    /// Returns those of which nobody was told before: they are to be invalidated.
    pub(super) async fn take_back(self: &Arc<Self>, keys: &[K]) -> Vec<K> {
        let Some(pledging) = self.pledging() else { return keys.to_vec() };
        let mut untold = Vec::new();
        for keys in keys.chunks(WIDTH) {
            let told = join_all(keys.iter().map(|key| self.take_one_back(pledging, key))).await;
            let of_them = keys.iter().zip(told).filter(|(_, is_told)| !is_told);
            untold.extend(of_them.map(|(key, _)| key.clone()));
        }
        untold
    }

    async fn take_one_back(
        self: &Arc<Self>,
        (shared, behind): Pledging<'_, K, V>,
        key: &K,
    ) -> bool {
        let strike = || self.strike(key, self.engine.now(), Invalidation::Drop);
        let announced = match behind.pledges.end(key, || behind.dirty.is_idle(key)) {
            Ending::TakeBack(announced) => announced,
            // Until it is taken back nobody keeps anything.
            Ending::Stands => {
                strike();
                return true;
            }
            Ending::None => return false,
        };
        let _talking = Talking { pledges: &behind.pledges, key, given: None };
        match self.conclude(shared, &announced, Ended::Committed(None)).await {
            Ok(_) => drop(strike()),
            // Where the tier is down it is done here, and kept; the intent ends with its time.
            Err(_) => drop(Cache(Arc::clone(self)).invalidate(key).await),
        }
        self.forget_writer(shared, &announced);
        true
    }

    /// Gives pledges anew for as long as something waits, until the cache is gone.
    pub(super) fn keep_pledges(self: &Arc<Self>) {
        let Some((shared, behind)) = self.pledging() else { return };
        let time = time(shared, behind);
        let (parts, clock) = (Arc::downgrade(self), Arc::clone(self.engine.clock()));
        self.engine.spawn(async move {
            loop {
                clock.sleep_until(clock.now() + time / LOOKS).await;
                let Some(parts) = parts.upgrade() else { return };
                let Some((_, behind)) = parts.pledging() else { return };
                if behind.fault().is_some() {
                    // Whoever owns the cache now tells others of what it writes.
                    return;
                }
                // So soon that who writes or applies finds them given for long enough.
                let soon = clock.now() + time / 2 + time / LOOKS;
                parts.renew(soon).await;
            }
        });
    }

    async fn renew(self: &Arc<Self>, soon: Moment) {
        let Some((shared, behind)) = self.pledging() else { return };
        let time = time(shared, behind);
        for keys in behind.pledges.due(soon).chunks(WIDTH) {
            join_all(keys.iter().map(|key| async move {
                let Some(given) = behind.pledges.renew(key, soon) else { return };
                let mut talking =
                    Talking { pledges: &behind.pledges, key, given: Some(given.clone()) };
                let until = self.engine.now() + time;
                // Otherwise it stands as it did, and is tried again.
                if self.prolong(shared, &given.announced, time).await.is_ok() {
                    talking.given = Some(Given { until, ..given });
                }
            }))
            .await;
        }
    }

    fn full(&self, key: &K) -> Error {
        let message = format!(
            "too many writes of the cache {} are being announced, or wait to be applied",
            self.name
        );
        let error = Error::new(ErrorKind::Shed, message).retry_after(super::hub::RETRY_AFTER);
        error.for_key(KeyText::lossy(key))
    }
}

/// How long a pledge lasts: as long as what is acknowledged now may take to be applied once its
/// turn has come, and as long again.
fn time<K, V>(shared: &Shared, behind: &Behind<K, V>) -> Duration {
    behind.hub.bounds.apply_within.saturating_mul(2) + shared.bounds.write_within * 2
}
