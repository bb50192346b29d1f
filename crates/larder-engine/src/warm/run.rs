//! One warming, from the first page of its list to its end.
//!
//! It doesn't know what the keys are, nor who wants them warm.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{CacheKey, Error, ErrorKind, Moment, Result};

use super::progress::Counts;
use super::reading::{Reading, Taken};
use super::{Warm, WarmEnd};
use crate::backoff::delay;
use crate::cache::Parts;
use crate::departed::Departed;
use crate::fill::Fill;
use crate::flight::{Landing, Role};
use crate::load::Seek;
use crate::wait::within;

/// After so many keys in a row for which there was no room, it is over. A tier has parts, of which
/// the last may have room when most are full.
const NO_ROOM_MAX: u32 = 64;
/// After so many pauses with nothing but failures in between, the last of half a minute, it gives
/// up: some two minutes.
const FAILURES_MAX: u32 = 8;
/// How long it sleeps without looking whether it is to stop.
const NAP_MAX: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Run<'a, K: CacheKey, V: Clone + Send + Sync + 'static> {
    warm: &'a Warm<K, V>,
    parts: &'a Arc<Parts<K, V>>,
    until: Moment,
    /// Questions to the source that may run at once.
    loads_max: usize,
    batch_max: usize,
    reading: Reading<K>,
    /// Questions that are under way, the oldest first; at most `loads_max`.
    flying: VecDeque<Vec<(K, Landing<V>)>>,
    no_room: u32,
    /// Pauses since something was loaded.
    failures: u32,
    /// When the next question may begin.
    next_at: Moment,
}

impl<'a, K: CacheKey, V: Clone + Send + Sync + 'static> Run<'a, K, V> {
    pub(super) fn new(warm: &'a Warm<K, V>) -> Self {
        let parts = &warm.cache.0;
        let now = parts.engine.now();
        let all = parts.guard.loads_max();
        Self {
            warm,
            parts,
            until: warm.deadline.map_or(Moment::MAX, |deadline| now + deadline),
            loads_max: warm.loads_max.unwrap_or(all / 10).clamp(1, all),
            batch_max: parts.source.as_ref().map_or(1, |source| source.batch_max()),
            reading: Reading::new(warm.list.clone(), warm.keys_max),
            flying: VecDeque::new(),
            no_room: 0,
            failures: 0,
            next_at: now,
        }
    }

    /// Runs to the end.
    pub(super) async fn fill(mut self) -> WarmEnd {
        if self.parts.source.is_none() {
            let message = "a cache without a source can't be warmed from a list of keys";
            return WarmEnd::Failed(Error::new(ErrorKind::Refused, message));
        }
        let end = match self.questions().await {
            Ok(()) => WarmEnd::Listed,
            Err(end) => end,
        };
        if matches!(end, WarmEnd::Failed(_)) {
            self.counts().failed.add(self.reading.waiting() as u64);
        }
        end
    }

    async fn questions(&mut self) -> Result<(), WarmEnd> {
        self.begin().await?;
        loop {
            let entry_bytes = self.parts.entry_bytes();
            let batch = match self.gather(entry_bytes).await {
                Ok(batch) => batch,
                Err(WarmEnd::Full) => {
                    // What is under way still counts.
                    while !self.flying.is_empty() {
                        self.land().await?;
                    }
                    return Err(WarmEnd::Full);
                }
                Err(end) => return Err(end),
            };
            if !batch.is_empty() {
                self.depart(batch).await?;
            } else if self.flying.is_empty() && self.reading.is_over() {
                return self
                    .reading
                    .take_fault()
                    .map_or(Ok(()), |error| Err(WarmEnd::Failed(error)));
            }
            let most = if entry_bytes.is_none() || self.is_at_end() { 0 } else { self.loads_max };
            while !self.flying.is_empty() && self.flying.len() >= most {
                self.land().await?;
            }
        }
    }

    /// Whether there is nothing to do but to wait for what is under way.
    fn is_at_end(&self) -> bool {
        self.reading.is_over() || self.reading.waiting() > 0
    }

    /// Counts the list and reads its first page, as often as it takes.
    async fn begin(&mut self) -> Result<(), WarmEnd> {
        loop {
            match self.reading.begin(&**self.parts.engine.clock()).await {
                Ok(of) => {
                    self.failures = 0;
                    self.warm.warming.expect(of);
                    return Ok(());
                }
                Err(error) if is_passing(&error) => self.pause(error).await?,
                Err(error) => return Err(WarmEnd::Failed(error)),
            }
        }
    }

    /// The next keys to load: as many as make one question and have room, those that are under
    /// way counted in. Empty when something must land first, or at the end of the list.
    async fn gather(&mut self, entry_bytes: Option<usize>) -> Result<Vec<K>, WarmEnd> {
        // Before anything is held nobody knows what an entry takes: one shows it.
        let most = if entry_bytes.is_some() { self.batch_max } else { 1 };
        let most = self.warm.per_second.map_or(most, |keys| most.min(keys.get() as usize));
        let mut batch = Vec::new();
        let flying: usize = self.flying.iter().map(Vec::len).sum();
        while batch.len() < most {
            self.check()?;
            let clock = &**self.parts.engine.clock();
            let Some(Taken { key, is_new }) = self.reading.next(clock).await else { break };
            if is_new {
                self.counts().seen.add(1);
            }
            if self.parts.is_fresh(&key) {
                self.counts().held.add(1);
                continue;
            }
            let others = flying + batch.len();
            let bytes = entry_bytes.unwrap_or(0);
            let has_room = self.parts.has_room(&key, 0, bytes)
                // Who has just freed in vain needn't do it again.
                || self.no_room == 0 && self.parts.frees_room(&key, bytes);
            if !has_room {
                self.counts().no_room.add(1);
                self.no_room += 1;
                match self.no_room {
                    ..NO_ROOM_MAX => continue,
                    _ if batch.is_empty() => return Err(WarmEnd::Full),
                    _ => break,
                }
            }
            self.no_room = 0;
            if others > 0 && !self.parts.has_room(&key, others, bytes) {
                self.reading.put_back(key);
                break;
            }
            batch.push(key);
        }
        Ok(batch)
    }

    /// Begins one question.
    async fn depart(&mut self, batch: Vec<K>) -> Result<(), WarmEnd> {
        self.nap_until(self.next_at).await?;
        let now = self.parts.engine.now();
        if let Some(per_second) = self.warm.per_second {
            let nanos = 1_000_000_000 * batch.len() as u64 / u64::from(per_second.get());
            self.next_at = now + Duration::from_nanos(nanos);
        }
        let seek = Seek::since(now.before(self.parts.window.max_staleness));
        let (mut led, mut question) = (Vec::new(), Vec::new());
        for key in batch {
            match self.parts.join_or_lead(&key, seek) {
                Err(_) => self.counts().failed.add(1),
                Ok(Role::Join(_)) => self.counts().held.add(1),
                Ok(Role::Lead(flight)) => {
                    if self.parts.land_from_memory(&key, &flight, seek) {
                        self.counts().held.add(1);
                    } else {
                        led.push(Departed::new(self.parts, &key, &flight, seek));
                        question.push((key, flight.landing()));
                    }
                }
            }
        }
        self.parts.depart_many(led);
        if !question.is_empty() {
            self.flying.push_back(question);
        }
        Ok(())
    }

    /// Waits for the oldest question; after a failure, for all, and then a while.
    async fn land(&mut self) -> Result<(), WarmEnd> {
        let mut failure = None;
        while let Some(question) = self.flying.pop_front() {
            for (key, landing) in question {
                match within(&**self.parts.engine.clock(), self.until, landing).await {
                    None => return Err(WarmEnd::Deadline),
                    Some(Ok(landed)) => {
                        self.failures = 0;
                        let counts = self.counts();
                        let kept = landed.fill == Fill::Stored;
                        if kept { &counts.loaded } else { &counts.not_kept }.add(1);
                    }
                    Some(Err(error)) => {
                        if is_passing(&error) {
                            self.reading.again(key);
                        } else {
                            self.counts().failed.add(1);
                        }
                        if error.kind() != ErrorKind::BadKey {
                            failure = Some(error);
                        }
                    }
                }
            }
            if failure.is_none() {
                return Ok(());
            }
        }
        match failure {
            Some(error) => self.pause(error).await,
            None => Ok(()),
        }
    }

    /// Leaves the source alone for a while, or gives up.
    async fn pause(&mut self, error: Error) -> Result<(), WarmEnd> {
        if self.failures == FAILURES_MAX {
            return Err(WarmEnd::Failed(error));
        }
        self.failures += 1;
        let pause = delay(self.failures).max(error.retry_delay().unwrap_or_default());
        self.nap_until(self.parts.engine.now() + pause).await
    }

    async fn nap_until(&mut self, moment: Moment) -> Result<(), WarmEnd> {
        let clock = &**self.parts.engine.clock();
        loop {
            self.check()?;
            let now = clock.now();
            if now >= moment {
                return Ok(());
            }
            clock.sleep_until(moment.min(self.until).min(now + NAP_MAX)).await;
        }
    }

    /// Whether it goes on.
    fn check(&self) -> Result<(), WarmEnd> {
        if self.warm.warming.is_stopped() {
            return Err(WarmEnd::Stopped);
        }
        if self.parts.engine.now() >= self.until {
            return Err(WarmEnd::Deadline);
        }
        Ok(())
    }

    fn counts(&self) -> &'a Counts {
        self.warm.warming.counts()
    }
}

/// Whether the same question may be answered later.
fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::SourceDown | ErrorKind::Shed)
}
