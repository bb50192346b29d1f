//! The tier behind deadlines and a breaker.
//!
//! Every question has an end: what isn't answered in time counts as an error. After too many the
//! tier is left alone, and only the keeper probes it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_core::bus::Position;
use larder_core::shared::{
    Abilities, Begun, Closed, Ended, Intent, Invalidation, Lease, LeaseAsk, Mark, Marked, Marks,
    SharedEntry, SharedFill, SharedRead,
};
use larder_core::sync::Counter;
use larder_core::{BoxFuture, Clock, Error, ErrorKind, Result, SharedTier};

use super::SharingBounds;
use crate::guard::{Breaker, BreakerState, Permission};
use crate::wait::within;

/// See the module's documentation.
pub(crate) struct Link {
    tier: Arc<dyn SharedTier>,
    abilities: Abilities,
    breaker: Breaker,
    bounds: SharingBounds,
    clock: Arc<dyn Clock>,
    errors: Counter,
}

impl Link {
    pub(super) fn new(
        tier: Arc<dyn SharedTier>,
        breaker: Breaker,
        bounds: SharingBounds,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let abilities = tier.abilities();
        Self { tier, abilities, breaker, bounds, clock, errors: Counter::default() }
    }

    pub(super) fn name(&self) -> &str {
        self.tier.name()
    }

    pub(crate) fn abilities(&self) -> Abilities {
        self.abilities
    }

    pub(super) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors.get()
    }

    /// Whether it is asked at all.
    pub(super) fn is_trusted(&self) -> bool {
        self.breaker.state(self.clock.now()) == BreakerState::Closed
    }

    /// What is held of these keys.
    pub(super) async fn get_many(&self, keys: &[&[u8]]) -> Vec<Result<Option<SharedEntry>>> {
        self.ask_many(keys.len(), self.bounds.read_within, || self.tier.get_many(keys)).await
    }

    /// Asks for leases.
    pub(super) async fn lease_many(
        &self,
        asks: &[LeaseAsk<'_>],
        time: Duration,
    ) -> Vec<Result<SharedRead>> {
        self.ask_many(asks.len(), self.bounds.read_within, || self.tier.lease_many(asks, time))
            .await
    }

    /// Fills under a lease.
    pub(super) async fn fill(
        &self,
        key: &[u8],
        lease: &Lease,
        envelope: Bytes,
        lifetime: Duration,
    ) -> Result<SharedFill> {
        self.ask(|| self.tier.fill(key, lease, envelope, lifetime)).await
    }

    /// Lets a lease last longer.
    pub(super) async fn extend(&self, key: &[u8], lease: &Lease, time: Duration) -> Result<bool> {
        self.ask(|| self.tier.extend(key, lease, time)).await
    }

    /// Gives a lease back.
    pub(super) async fn release(&self, key: &[u8], lease: &Lease) -> Result<()> {
        self.ask(|| self.tier.release(key, lease)).await
    }

    /// Announces a write.
    pub(super) async fn begin_write(
        &self,
        key: &[u8],
        intent: Intent,
        time: Duration,
        announcement: Option<Bytes>,
    ) -> Result<Begun> {
        self.ask(|| self.tier.begin_write(key, intent, time, announcement)).await
    }

    /// Ends a write.
    pub(super) async fn end_write(
        &self,
        key: &[u8],
        intent: Intent,
        ended: Ended,
        announcement: Option<Bytes>,
    ) -> Result<Closed> {
        self.ask(|| self.tier.end_write(key, intent, ended, announcement)).await
    }

    /// Invalidates keys. For the keeper, who may do it while the tier isn't trusted.
    pub(super) async fn invalidate(
        &self,
        keys: &[&[u8]],
        strike: Invalidation,
        announcement: Option<Bytes>,
    ) -> Result<Option<Position>> {
        self.told(self.tier.invalidate(keys, strike, announcement)).await
    }

    /// Sets marks. For the keeper.
    pub(super) async fn mark(
        &self,
        marks: &[Mark],
        strike: Invalidation,
        announcement: Option<Bytes>,
    ) -> Result<Marked> {
        self.told(self.tier.mark(marks, strike, announcement)).await
    }

    /// Every mark. For the keeper.
    pub(super) async fn marks(&self) -> Result<Marks> {
        self.told(self.tier.marks()).await
    }

    /// Whether it answers. For the keeper.
    pub(super) async fn probe(&self) -> Result<()> {
        let until = self.clock.now() + self.bounds.write_within;
        within(&*self.clock, until, self.tier.probe()).await.unwrap_or_else(|| Err(late()))
    }

    /// Asks one question, if the tier is trusted.
    async fn ask<'a, T>(&self, question: impl FnOnce() -> BoxFuture<'a, Result<T>>) -> Result<T> {
        let permission = self.permission()?;
        let until = self.clock.now() + self.bounds.write_within;
        let result = within(&*self.clock, until, question()).await.unwrap_or_else(|| Err(late()));
        self.outcome(permission, result.as_ref().err());
        result
    }

    /// Asks one question about many keys.
    async fn ask_many<'a, T>(
        &self,
        keys: usize,
        time: Duration,
        question: impl FnOnce() -> BoxFuture<'a, Vec<Result<T>>>,
    ) -> Vec<Result<T>> {
        let every = |error: &Error| (0..keys).map(|_| Err(error.clone())).collect();
        let permission = match self.permission() {
            Ok(permission) => permission,
            Err(error) => return every(&error),
        };
        let until = self.clock.now() + time;
        let Some(results) = within(&*self.clock, until, question()).await else {
            let error = late();
            self.outcome(permission, Some(&error));
            return every(&error);
        };
        // Each key may live on a server of its own; one that answers is a sign of life.
        let lives = results.iter().any(Result::is_ok);
        let error = results.iter().find_map(|result| result.as_ref().err());
        self.outcome(permission, error.filter(|_| !lives));
        if results.len() == keys {
            return results;
        }
        let message = "the shared tier answered a different number of keys than were asked";
        every(&Error::new(ErrorKind::Internal, message))
    }

    /// Waits for what must be done whether or not the tier is trusted; the outcome counts.
    async fn told<T>(&self, question: BoxFuture<'_, Result<T>>) -> Result<T> {
        let permission = self.breaker.ask_without_probing(self.clock.now()).ok();
        let until = self.clock.now() + self.bounds.write_within;
        let result = within(&*self.clock, until, question).await.unwrap_or_else(|| Err(late()));
        if let Some(permission) = permission {
            self.outcome(permission, result.as_ref().err());
        }
        result
    }

    fn permission(&self) -> Result<Permission> {
        self.breaker.ask_without_probing(self.clock.now()).map_err(|refused| {
            let message = "the shared tier fails, and is left alone until it answers a probe";
            Error::new(ErrorKind::SharedDown, message).retry_after(refused.retry_after)
        })
    }

    fn outcome(&self, permission: Permission, error: Option<&Error>) {
        let now = self.clock.now();
        match error.map(Error::kind) {
            None => permission.succeeded(now),
            Some(ErrorKind::SharedDown | ErrorKind::Timeout) => {
                self.errors.add(1);
                permission.failed(now);
            }
            Some(_) => {
                self.errors.add(1);
                permission.neutral();
            }
        }
    }
}

fn late() -> Error {
    Error::new(ErrorKind::Timeout, "the shared tier didn't answer in time")
}
