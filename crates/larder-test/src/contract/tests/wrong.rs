//! A shared tier and bus that does one thing wrong.

mod bus;
mod writes;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use larder_core::Bus;
use larder_core::bus::Position;
use larder_core::envelope::Envelope;
use larder_core::shared::{
    Abilities, Begun, Closed, Ended, Incarnation, Intent, Invalidation, Lease, LeaseAsk, Mark,
    MarkClock, Marked, Marks, SharedEntry, SharedFill, SharedRead, SharedTier,
};
use larder_core::{BoxFuture, Clock, Error, ErrorKind, Moment, Result};

use super::defects::Defect;
use crate::{ManualClock, SimClient, SimShared};

const LONG: Duration = Duration::from_secs(3_600);

/// A client with a defect, if any.
#[derive(Debug)]
pub(super) struct Wrong {
    server: SimShared,
    inner: SimClient,
    clock: ManualClock,
    defect: Option<Defect>,
    /// When each lease was granted, by its token.
    granted: Mutex<HashMap<Bytes, Moment>>,
    subscribers: AtomicU64,
}

impl Wrong {
    pub(super) fn new(server: &SimShared, clock: ManualClock, defect: Option<Defect>) -> Self {
        Self {
            server: server.clone(),
            inner: server.client(),
            clock,
            defect,
            granted: Mutex::default(),
            subscribers: AtomicU64::new(0),
        }
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn key(&self, key: &[u8]) -> Vec<u8> {
        match self.defect {
            Some(Defect::FoldsKeys) => key.to_ascii_lowercase(),
            Some(Defect::CutsKeys) => key[..key.len().min(250)].to_vec(),
            _ => key.to_vec(),
        }
    }

    fn entry(&self, mut entry: SharedEntry) -> Option<SharedEntry> {
        match self.defect? {
            Defect::TakesEmptyForAbsent => {
                let payload = Envelope::decode(&entry.envelope)?.payload;
                return payload.is_some_and(|payload| !payload.bytes.is_empty()).then_some(entry);
            }
            Defect::CutsAtLineEnds => {
                let end = entry.envelope.windows(2).position(|two| two == b"\r\n");
                entry.envelope.truncate(end.unwrap_or(usize::MAX));
            }
            Defect::EntriesOfAnotherRun => entry.incarnation = Incarnation(1),
            Defect::RoundsUp => entry.remaining += Duration::from_millis(1),
            _ => {}
        }
        Some(entry)
    }

    async fn lease_one(&self, key: &[u8], mut seen: Option<u64>, time: Duration) -> SharedRead {
        let held = self.server.held(key).and_then(|held| Envelope::stamp_of(&held));
        match self.defect {
            Some(Defect::IgnoresSeen) => seen = None,
            Some(Defect::TakesAnySeen) if seen.is_some() => seen = held,
            Some(Defect::StrikesWhatWasSeen) if seen.is_some() && seen == held => {
                self.inner.invalidate(&[key], Invalidation::MarkStale, None).await.unwrap();
            }
            _ => {}
        }
        if self.is(Defect::GrantsAfterLooking) && !self.server.lease_held(key) {
            pause().await;
            self.server.evict_lease(key);
        }
        let time = if self.is(Defect::LeasesWithoutEnd) { LONG } else { time };
        let asks = [LeaseAsk { key, seen }];
        let mut read = self.inner.lease_many(&asks, time).await.remove(0).unwrap();
        match &mut read {
            SharedRead::Busy { .. } if self.is(Defect::GrantsToEverybody) => {
                let token = Bytes::from_static(b"another");
                return SharedRead::Miss(Lease { token, incarnation: self.server.incarnation() });
            }
            SharedRead::Busy { stale, .. } if self.is(Defect::HidesWhatIsHeld) => *stale = None,
            SharedRead::Stale { entry, .. } if self.is(Defect::HitsStaleEntries) => {
                return SharedRead::Hit(entry.clone());
            }
            SharedRead::Hit(entry) if self.is(Defect::RoundsUp) => {
                entry.remaining += Duration::from_millis(1);
            }
            SharedRead::Stale { lease, .. } | SharedRead::Miss(lease) => {
                self.granted.lock().unwrap().insert(lease.token.clone(), self.clock.now());
                if self.is(Defect::LongTokens) {
                    lease.token = [&lease.token[..], &[0; Lease::TOKEN_BYTES_MAX]].concat().into();
                }
            }
            _ => {}
        }
        read
    }

    /// Stores whatever is given, under a lease of its own.
    async fn force(&self, key: &[u8], envelope: Bytes) -> Result<SharedFill> {
        self.inner.invalidate(&[key], Invalidation::Drop, None).await?;
        let asks = [LeaseAsk { key, seen: None }];
        let SharedRead::Miss(lease) = self.inner.lease_many(&asks, LONG).await.remove(0)? else {
            panic!("it was invalidated");
        };
        self.inner.fill(key, &lease, envelope, LONG).await
    }
}

impl SharedTier for Wrong {
    fn name(&self) -> &str {
        "wrong"
    }

    fn abilities(&self) -> Abilities {
        let mut abilities = self.inner.abilities();
        if self.is(Defect::TakesAnyLength) {
            abilities.envelope_bytes_max -= 1;
        }
        abilities
    }

    fn get_many<'a>(
        &'a self,
        keys: &'a [&'a [u8]],
    ) -> BoxFuture<'a, Vec<Result<Option<SharedEntry>>>> {
        Box::pin(async move {
            let keys: Vec<_> = keys.iter().map(|key| self.key(key)).collect();
            let keys: Vec<_> = keys.iter().map(|key| &key[..]).collect();
            let mut entries = self.inner.get_many(&keys).await;
            if self.defect.is_some() {
                for entry in entries.iter_mut().filter_map(|entry| entry.as_mut().ok()) {
                    *entry = entry.take().and_then(|entry| self.entry(entry));
                }
            }
            match self.defect {
                Some(Defect::Reverses) => entries.reverse(),
                Some(Defect::AnswersForNoKeys) if keys.is_empty() => entries.push(Ok(None)),
                Some(Defect::HoldsNothingForOthers) => {
                    let mine = self.granted.lock().unwrap().is_empty();
                    entries.iter_mut().filter(|_| mine).for_each(|entry| *entry = Ok(None));
                }
                _ => {}
            }
            entries
        })
    }

    fn lease_many<'a>(
        &'a self,
        asks: &'a [LeaseAsk<'a>],
        time: Duration,
    ) -> BoxFuture<'a, Vec<Result<SharedRead>>> {
        Box::pin(async move {
            let mut reads: Vec<Result<SharedRead>> = Vec::new();
            for ask in asks {
                let first = reads.first().and_then(|first| first.as_ref().ok()).cloned();
                let read = match first {
                    Some(first) if self.is(Defect::GrantsTwiceInOneQuestion) && *ask == asks[0] => {
                        first
                    }
                    _ => self.lease_one(&self.key(ask.key), ask.seen, time).await,
                };
                reads.push(Ok(read));
            }
            reads
        })
    }

    fn fill<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a Lease,
        envelope: Bytes,
        mut lifetime: Duration,
    ) -> BoxFuture<'a, Result<SharedFill>> {
        Box::pin(async move {
            let (key, mut lease) = (self.key(key), lease.clone());
            let granted_at = self.granted.lock().unwrap().get(&lease.token).copied();
            let age = granted_at.map_or(Duration::ZERO, |granted_at| self.clock.now() - granted_at);
            match self.defect {
                Some(Defect::LongTokens) => lease.token = lease.token.slice(..8),
                Some(Defect::IgnoresIncarnations) => lease.incarnation = self.server.incarnation(),
                Some(Defect::CountsFromTheFill) => lifetime += age,
                Some(Defect::FillsWhatIsUsedUp) if lifetime <= age => lifetime += age,
                _ => {}
            }
            let is_leased = self.server.lease_held(&key);
            if self.is(Defect::FillsAfterLooking) && is_leased {
                pause().await;
                return self.force(&key, envelope).await;
            }
            let filled = self.inner.fill(&key, &lease, envelope.clone(), lifetime).await?;
            let forced = filled == SharedFill::Refused
                && match self.defect {
                    Some(Defect::FillsWithoutLease) => true,
                    Some(Defect::FillsTwice) => self.server.held(&key).is_some(),
                    Some(Defect::FillsUnderAnothersLease) => is_leased,
                    _ => false,
                };
            if forced { self.force(&key, envelope).await } else { Ok(filled) }
        })
    }

    fn extend<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a Lease,
        time: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            match self.defect {
                Some(Defect::ExtendsNothing) => Ok(true),
                Some(Defect::ExtendsVoidLeases) => {
                    self.inner.extend(key, lease, time).await.map(|_| true)
                }
                _ => self.inner.extend(key, lease, time).await,
            }
        })
    }

    fn release<'a>(&'a self, key: &'a [u8], lease: &'a Lease) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match self.defect {
                Some(Defect::ReleasesNothing) => Ok(()),
                Some(Defect::ReleasesAnybody) => {
                    self.server.evict_lease(key);
                    Ok(())
                }
                _ => self.inner.release(key, lease).await,
            }
        })
    }

    fn invalidate<'a>(
        &'a self,
        keys: &'a [&'a [u8]],
        mut strike: Invalidation,
        mut announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Option<Position>>> {
        Box::pin(async move {
            let keys: Vec<_> = keys.iter().map(|key| self.key(key)).collect();
            let mut keys: Vec<_> = keys.iter().map(|key| &key[..]).collect();
            let everything = self.server.keys();
            let held = |key: &&[u8]| self.server.held(key).is_some();
            match (self.defect, strike) {
                (Some(Defect::KeepsTheLeaseOfWhatIsNotHeld), _) => keys.retain(held),
                (Some(Defect::KeepsTheLeaseOfWhatIsHeld), Invalidation::Drop) => {
                    keys.retain(|key| !self.server.evict(key));
                }
                (Some(Defect::MarksInsteadOfDropping), _) => strike = Invalidation::MarkStale,
                (Some(Defect::DropsInsteadOfMarking), _) => strike = Invalidation::Drop,
                (Some(Defect::StrikesEverything), _) => {
                    keys.extend(everything.iter().map(|key| &key[..]));
                }
                (Some(Defect::FailsToRepeat), _) if !keys.iter().any(held) => {
                    return Err(Error::new(ErrorKind::SharedDown, "nothing is held"));
                }
                (Some(Defect::AnnouncesNothing), _) => announcement = None,
                (Some(Defect::AnnouncesBefore), _) => {
                    if let Some(announcement) = announcement {
                        let position = self.inner.publish(announcement, None).await?;
                        pause().await;
                        self.inner.invalidate(&keys, strike, None).await?;
                        return Ok(Some(position));
                    }
                }
                _ => {}
            }
            let position = self.inner.invalidate(&keys, strike, announcement).await;
            if self.is(Defect::IsBusyAfterInvalidations) {
                let asks: Vec<_> = keys.iter().map(|key| LeaseAsk { key, seen: None }).collect();
                self.inner.lease_many(&asks, LONG).await;
            }
            position
        })
    }

    fn mark<'a>(
        &'a self,
        marks: &'a [Mark],
        strike: Invalidation,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Marked>> {
        Box::pin(async move {
            match (self.defect, announcement) {
                (Some(Defect::MarksOneByOne), announcement) => {
                    let (last, others) = marks.split_last().expect("there are marks");
                    for mark in others {
                        self.inner.mark(std::slice::from_ref(mark), strike, None).await?;
                    }
                    self.inner.mark(std::slice::from_ref(last), strike, announcement).await
                }
                (Some(Defect::AnnouncesWithoutMoment), Some(announcement)) => {
                    let marked = self.inner.mark(marks, strike, None).await?;
                    let position = Some(self.inner.publish(announcement, None).await?);
                    Ok(Marked { position, ..marked })
                }
                (_, announcement) => {
                    let mut marked = self.inner.mark(marks, strike, announcement).await?;
                    if self.is(Defect::ClockStands) {
                        marked.clock = MarkClock(1);
                    }
                    Ok(marked)
                }
            }
        })
    }

    fn marks(&self) -> BoxFuture<'_, Result<Marks>> {
        Box::pin(async move {
            let mut marks = self.inner.marks().await?;
            for (_, strike, clock) in &mut marks.marks {
                match self.defect {
                    Some(Defect::ForgetsStrikes) => *strike = Invalidation::Drop,
                    Some(Defect::ClockStands) => *clock = MarkClock(1),
                    _ => {}
                }
            }
            if self.is(Defect::ClockStands) {
                marks.clock = MarkClock(1);
            }
            Ok(marks)
        })
    }

    fn begin_write<'a>(
        &'a self,
        key: &'a [u8],
        intent: Intent,
        time: Duration,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Begun>> {
        Box::pin(self.begin(key, intent, time, announcement))
    }

    fn end_write<'a>(
        &'a self,
        key: &'a [u8],
        intent: Intent,
        ended: Ended,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Closed>> {
        Box::pin(self.end(key, intent, ended, announcement))
    }

    fn probe(&self) -> BoxFuture<'_, Result<()>> {
        match self.defect {
            Some(Defect::DoesNotAnswer) => Box::pin(std::future::pending()),
            _ => self.inner.probe(),
        }
    }
}

/// Lets everybody else go on first.
async fn pause() {
    let mut is_first = true;
    std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
}
