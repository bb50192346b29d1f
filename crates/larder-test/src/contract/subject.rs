//! What is checked, and what the behaviours do with it again and again.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use larder_core::envelope::{Envelope, Payload, STATE_AT, STATE_FRESH, encoding};
use larder_core::shared::{
    Incarnation, Invalidation, Lease, LeaseAsk, MarkClock, SharedEntry, SharedFill, SharedRead,
};
use larder_core::{BoxFuture, Bus, Result, SharedTier};

use crate::ManualClock;

/// A time that doesn't end while a behaviour is checked.
pub(super) const LONG: Duration = Duration::from_secs(3_600);

/// How time passes.
pub struct Passing {
    step: Duration,
    pass: Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Passing {
    /// A clock is turned; what is checked takes its time from it.
    #[must_use]
    pub fn turned(clock: ManualClock) -> Self {
        let pass = move |time| -> BoxFuture<'static, ()> {
            clock.advance(time);
            Box::pin(std::future::ready(()))
        };
        Self { step: Duration::from_secs(1), pass: Box::new(pass) }
    }

    /// Time is waited for, with the runtime's own way to sleep. Much happens within one `step`:
    /// take one that is longer than a few round trips on a busy machine. All behaviours together
    /// take about 15 of them, and where the tier tells time coarsely, each takes four times its
    /// resolution.
    pub fn waited<F>(step: Duration, sleep: impl Fn(Duration) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { step, pass: Box::new(move |time| Box::pin(sleep(time))) }
    }
}

impl fmt::Debug for Passing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passing").field("step", &self.step).finish_non_exhaustive()
    }
}

/// A shared tier to be checked, as two processes see it.
#[derive(Debug)]
pub struct Subject {
    pub(super) a: Arc<dyn SharedTier>,
    pub(super) b: Arc<dyn SharedTier>,
    buses: Option<[Arc<dyn Bus>; 2]>,
    passing: Passing,
    run: u64,
    stamps: AtomicU64,
}

impl Subject {
    /// Two connections to one server, and how time passes there.
    #[must_use]
    pub fn new([a, b]: [Arc<dyn SharedTier>; 2], passing: Passing) -> Self {
        let run = RandomState::new().hash_one(());
        Self { a, b, buses: None, passing, run, stamps: AtomicU64::new(run) }
    }

    /// And its bus: the one that it announces on, if it announces. Nobody else may publish
    /// meanwhile.
    #[must_use]
    pub fn with_buses(mut self, buses: [Arc<dyn Bus>; 2]) -> Self {
        self.buses = Some(buses);
        self
    }

    pub(super) fn buses(&self) -> Option<&[Arc<dyn Bus>; 2]> {
        self.buses.as_ref()
    }

    /// A name that no other run uses.
    pub(super) fn name(&self, name: &str) -> Box<str> {
        format!("contract-{:016x}-{name}", self.run).into()
    }

    pub(super) fn key(&self, name: &str) -> Vec<u8> {
        self.name(name).into_string().into_bytes()
    }

    /// A time within which much happens, and that the tier can tell from none.
    pub(super) fn step(&self) -> Duration {
        self.passing.step.max(self.a.abilities().resolution * 4)
    }

    /// What may be missing from a time that the tier tells, or from one that has passed.
    pub(super) fn slack(&self) -> Duration {
        self.a.abilities().resolution * 2
    }

    pub(super) async fn pass(&self, time: Duration) {
        (self.passing.pass)(time).await;
    }

    /// A fresh envelope with a stamp of its own.
    pub(super) fn envelope(&self, payload: &[u8]) -> Bytes {
        self.envelope_of(Some(payload))
    }

    pub(super) fn envelope_of(&self, payload: Option<&[u8]>) -> Bytes {
        let payload = payload.map(|payload| Payload {
            encoding: encoding::RAW,
            is_compressed: false,
            bytes: Bytes::copy_from_slice(payload),
        });
        let envelope = Envelope {
            is_stale: false,
            stamp: self.stamps.fetch_add(1, Ordering::Relaxed),
            incarnation: Incarnation(0),
            marks: 0,
            clock: MarkClock(0),
            lifetime: LONG,
            fresh_for: LONG,
            stale_for: Duration::ZERO,
            cost: Duration::ZERO,
            weight: None,
            schema: 0,
            tags: Vec::new(),
            validator: None,
            payload,
        };
        envelope.encode()
    }

    /// Fills a key through `a`, and returns what was filled.
    pub(super) async fn hold(&self, key: &[u8]) -> Bytes {
        let lease = granted(&*self.a, key).await;
        let envelope = self.envelope(b"held");
        let filled = fill(&*self.a, key, &lease, envelope.clone()).await;
        assert_eq!(filled, SharedFill::Stored, "a fill under a lease that was just granted");
        envelope
    }
}

#[track_caller]
pub(super) fn answered<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("a tier that is up answers: {}", error.chain()))
}

/// The answer to a question about one key.
#[track_caller]
pub(super) fn only<T>(mut results: Vec<Result<T>>) -> T {
    assert_eq!(results.len(), 1, "one answer for one key");
    answered(results.remove(0))
}

pub(super) async fn get(tier: &dyn SharedTier, key: &[u8]) -> Option<SharedEntry> {
    only(tier.get_many(&[key]).await)
}

pub(super) async fn ask(
    tier: &dyn SharedTier,
    key: &[u8],
    seen: Option<u64>,
    time: Duration,
) -> SharedRead {
    only(tier.lease_many(&[LeaseAsk { key, seen }], time).await)
}

/// The lease of a key that nothing usable is held under.
pub(super) async fn granted(tier: &dyn SharedTier, key: &[u8]) -> Lease {
    granted_for(tier, key, LONG).await
}

pub(super) async fn granted_for(tier: &dyn SharedTier, key: &[u8], time: Duration) -> Lease {
    match ask(tier, key, None, time).await {
        SharedRead::Miss(lease) | SharedRead::Stale { lease, .. } => lease,
        other => panic!("a lease that nobody has is granted, not {other:?}"),
    }
}

pub(super) async fn fill(
    tier: &dyn SharedTier,
    key: &[u8],
    lease: &Lease,
    envelope: Bytes,
) -> SharedFill {
    answered(tier.fill(key, lease, envelope, LONG).await)
}

pub(super) async fn strike(tier: &dyn SharedTier, key: &[u8], strike: Invalidation) {
    let position = answered(tier.invalidate(&[key], strike, None).await);
    assert_eq!(position, None, "what isn't announced has no position");
}

/// The ways in which the tier can invalidate a key.
pub(super) fn strikes(tier: &dyn SharedTier) -> &'static [Invalidation] {
    match tier.abilities().marks_stale {
        true => &[Invalidation::Drop, Invalidation::MarkStale],
        false => &[Invalidation::Drop],
    }
}

pub(super) fn stamp(envelope: &[u8]) -> Option<u64> {
    Some(Envelope::stamp_of(envelope).expect("the kit's own envelopes have stamps"))
}

/// An envelope but for its state, which alone may change.
pub(super) fn but_for_its_state(envelope: &[u8]) -> Bytes {
    let mut bytes = BytesMut::from(envelope);
    if let Some(state) = bytes.get_mut(STATE_AT) {
        *state = STATE_FRESH;
    }
    bytes.freeze()
}
