//! What is left to do in the shared tier when a flight has landed: to fill it under the lease, or
//! to give the lease back. Nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_core::CacheKey;
use larder_core::context::Stale;
use larder_core::shared::{Lease, SharedFill};

use super::sealed::{Opened, Sealing};
use super::seek::Passed;
use crate::cache::Parts;
use crate::departed::Departed;
use crate::fill::rider_of;
use crate::flight::Landed;
use crate::slot::Rider;

/// See the module's documentation.
pub(crate) struct SharedFilling<K, V> {
    parts: Arc<Parts<K, V>>,
    name: Vec<u8>,
    lease: Lease,
    /// The envelope and its lifetime; `None` gives the lease back.
    sealed: Option<(Bytes, Duration)>,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> SharedFilling<K, V> {
    /// What is left of a flight that landed so; `None` where it has no lease.
    pub(crate) fn new(
        parts: &Arc<Parts<K, V>>,
        passed: Passed<V>,
        landed: Option<&Landed<V>>,
        cost: Duration,
    ) -> Option<Self> {
        let Passed { name, lease, marks, .. } = passed;
        let lease = lease?;
        let sealed = landed.and_then(|landed| {
            let rider = landed.rider.as_deref();
            let (stamp, times) = (parts.engine.stamp(), &landed.times);
            let incarnation = lease.incarnation;
            let sealing = Sealing { stamp, incarnation, marks, times, cost, rider };
            parts.seal(landed.value.as_ref(), &sealing)
        });
        Some(Self { parts: Arc::clone(parts), name, lease, sealed })
    }

    /// Does it.
    ///
    /// # Cancel safety
    ///
    /// What isn't done is done by the lease's end.
    pub(crate) async fn settle(self) {
        self.settled().await;
    }

    /// Does it, and returns what the tier said of the fill, if it was one and the tier answered.
    ///
    /// # Cancel safety
    ///
    /// As [`settle`](Self::settle).
    pub(crate) async fn settled(self) -> Option<SharedFill> {
        let shared = self.parts.engine.shared()?;
        let counters = &self.parts.counters;
        match self.sealed {
            Some((envelope, lifetime)) => {
                let filled = shared.link.fill(&self.name, &self.lease, envelope, lifetime).await;
                match filled {
                    Ok(SharedFill::Stored) => counters.shared_fills.add(1),
                    Ok(SharedFill::Refused) => counters.shared_refused.add(1),
                    Err(_) => counters.shared_errors.add(1),
                }
                filled.ok()
            }
            None => {
                // If it fails, who waits for the lease has its end to wait for.
                drop(shared.link.release(&self.name, &self.lease).await);
                None
            }
        }
    }
}

/// Settles many at once.
pub(crate) async fn settle<K: CacheKey, V: Clone + Send + Sync + 'static>(
    fillings: Vec<SharedFilling<K, V>>,
) {
    futures_util::future::join_all(fillings.into_iter().map(SharedFilling::settle)).await;
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// The envelope of a value and its lifetime, if the tier may keep it.
    pub(crate) fn seal(
        &self,
        value: Option<&V>,
        sealing: &Sealing<'_>,
    ) -> Option<(Bytes, Duration)> {
        let (shared, part) = (self.engine.shared()?, self.part.as_ref()?);
        let abilities = shared.link.abilities();
        let is_tagged = sealing.rider.is_some_and(|rider| !rider.tags.is_empty());
        // Without marks no other process would ever hear that a tag was invalidated.
        if !self.window.keeps() || is_tagged && !abilities.marks {
            return None;
        }
        let (envelope, lifetime) = part.seal(value, &self.window, sealing)?;
        let fits = envelope.len() <= abilities.envelope_bytes_max && !lifetime.is_zero();
        fits.then_some((envelope, lifetime))
    }
}

impl<V: Clone + Send + Sync + 'static> Passed<V> {
    /// What may stand in for a value that couldn't be loaded.
    pub(crate) fn stand_in(&self) -> Option<Opened<V>> {
        self.stand_in.as_ref().filter(|opened| opened.value.is_some()).cloned()
    }

    /// What the tier holds, for the loader to go by, and what stands beside it.
    pub(crate) fn stale<K: CacheKey>(
        &self,
        parts: &Parts<K, V>,
    ) -> (Option<Stale>, Option<Arc<Rider>>) {
        let Some(opened) = &self.stand_in else { return (None, None) };
        let value = opened.value.clone();
        let stale = Stale {
            value: value.map(|value| Arc::new(value) as _),
            validator: opened.envelope.validator.clone(),
            age: parts.engine.now() - opened.times.loaded_at(),
        };
        (Some(stale), rider_of(&opened.envelope))
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Departed<K, V> {
    /// Sees to it that its lease lasts as long as the load that begins now may take. A lease that
    /// is void is given up: what is loaded is then not shared.
    pub(crate) async fn keep_lease(&mut self) {
        let parts = Arc::clone(self.parts());
        let (Some(passed), Some(shared)) = (self.passed(), parts.engine.shared()) else { return };
        let time = parts.lease_time();
        // It lasts for twice as long as a load may take.
        if parts.engine.now() - passed.leased_at <= time / 3 {
            return;
        }
        let Some(lease) = &passed.lease else { return };
        let extended = shared.link.extend(&passed.name, lease, time).await;
        if !extended.is_ok_and(|extended| extended) {
            passed.lease = None;
        }
    }
}
