//! The task that applies what waits.
//!
//! A batch is one transaction. When it fails:
//!
//! | fault | what is done |
//! |---|---|
//! | transient, conflict | nothing is written: its keys wait again, and may be joined by further writes |
//! | too slow | the batch is divided in two: it would take as long again, and nothing of it ever be applied |
//! | unknown, a panic | the same batch again, with the same sequences, until it is known, and joined by nothing: what is committed already would be counted again with what joined it |
//! | poison | the batch is divided in two, until one write is left: that one is buried |
//! | disowned | nothing is written any more; what waits stays in the journal |

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use larder_core::sink::{Applied, Numbered, WriteError, WriteFault};
use larder_core::{CacheKey, Error, ErrorKind, Moment, Written};

use super::Behind;
use super::dirty::Settled;
use super::writes::Only;
use crate::cache::{Cache, Parts};
use crate::fence::Fence;
use crate::install::Returned;
use crate::observe::{Failing, What};
use crate::wait::{catch_panic, within};
use crate::write::Install;

/// So many bytes are taken for one transaction, about.
const BATCH_BYTES: usize = 4 << 20;
/// So many dead letters are asked for at once.
const LETTERS_MAX: usize = 64;

/// What became of one turn.
enum Turn {
    /// Something was applied, or tried.
    Worked,
    /// There was nothing to do.
    Idle,
    /// It failed, and is to be tried again.
    Failed,
    /// It is over.
    Ended,
}

/// What became of one write.
struct Done<'a, K, V> {
    numbered: &'a Numbered<K, V>,
    written: Written<V>,
    /// When its transaction began, and the fence of its key then, if it was one.
    before: Option<(Moment, Fence)>,
}

/// Writes that are applied in one transaction.
struct Batch<K, V> {
    writes: Vec<Numbered<K, V>>,
    /// Whether it may be committed already.
    is_unknown: bool,
}

impl<K, V> Batch<K, V> {
    /// Whether smaller ones may be fast enough.
    fn was_too_slow(&self, error: &Error) -> bool {
        error.kind() == ErrorKind::Timeout && self.writes.len() > 1
    }

    /// Its writes in two transactions, the first one last: it is taken next.
    fn halves(mut self, is_unknown: bool) -> [Self; 2] {
        let rest = self.writes.split_off(self.writes.len() / 2);
        [rest, self.writes].map(|writes| Self { writes, is_unknown })
    }
}

/// See the module's documentation.
pub(super) struct Lane<K, V> {
    parts: Weak<Parts<K, V>>,
    behind: Arc<Behind<K, V>>,
    /// Only one of them asks for dead letters.
    asks_for_letters: bool,
    letters_at: Moment,
    failures: u32,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Lane<K, V> {
    pub(super) fn new(parts: &Arc<Parts<K, V>>, behind: &Arc<Behind<K, V>>, at: usize) -> Self {
        Self {
            parts: Arc::downgrade(parts),
            behind: Arc::clone(behind),
            asks_for_letters: at == 0,
            letters_at: Moment::ZERO,
            failures: 0,
        }
    }

    /// Runs until the cache is gone, or writes no more.
    pub(super) async fn run(mut self) {
        let behind = Arc::clone(&self.behind);
        loop {
            let woken = behind.wake.notified();
            let Some(parts) = self.parts.upgrade() else { return };
            let clock = Arc::clone(parts.engine.clock());
            let until = match self.turn(&parts).await {
                Turn::Ended => return,
                Turn::Worked => {
                    self.failures = 0;
                    continue;
                }
                Turn::Failed => {
                    self.failures = self.failures.saturating_add(1);
                    parts.engine.now() + self.pause(&parts)
                }
                Turn::Idle => self.due(parts.engine.now()),
            };
            drop(parts);
            if self.failures > 0 {
                within(&*clock, until, behind.hub.hurry.notified()).await;
            } else {
                within(&*clock, until, woken).await;
            }
        }
    }

    /// When there is something to do again, if nobody wakes it.
    fn due(&self, now: Moment) -> Moment {
        let bounds = &self.behind.hub.bounds;
        let oldest = self.behind.dirty.oldest().map(|(_, since)| since + bounds.delay);
        let sometime = now + bounds.requeue_every;
        // What is older flies, or is read beneath: whoever ends that wakes us.
        oldest.filter(|&due| due > now).map_or(sometime, |due| due.min(sometime))
    }

    /// Twice as long after each failure, less up to a half by chance, so that many who failed
    /// together don't come back together.
    fn pause(&self, parts: &Parts<K, V>) -> Duration {
        let bounds = &self.behind.hub.bounds;
        let doubled = 2_u32.saturating_pow(self.failures.saturating_sub(1).min(16));
        let pause = bounds.retry_after.saturating_mul(doubled).min(bounds.retry_after_max);
        pause.mul_f64(1.0 - f64::from(parts.engine.draw()) / f64::from(u32::MAX) / 2.0)
    }

    async fn turn(&mut self, parts: &Arc<Parts<K, V>>) -> Turn {
        let behind = Arc::clone(&self.behind);
        if behind.fault().is_some() {
            return Turn::Ended;
        }
        let now = parts.engine.now();
        // Before it looks for work: a journal full of what is applied finds room without a write.
        self.truncate(parts);
        if self.asks_for_letters && behind.hub.takes_writes() && now >= self.letters_at {
            self.letters_at = now + behind.hub.bounds.requeue_every;
            self.take_letters(parts).await;
        }
        let Some((_, since)) = behind.dirty.oldest() else { return Turn::Idle };
        let bounds = &behind.hub.bounds;
        let is_due = now >= since + bounds.delay
            || behind.dirty.keys() >= bounds.batch_from
            || behind.hub.hurries();
        if !is_due {
            return Turn::Idle;
        }
        let batch = behind.dirty.take(bounds.batch_max, BATCH_BYTES);
        let Some(last) = batch.iter().map(|taken| taken.sequence.number).max() else {
            return Turn::Idle;
        };
        // What isn't durable must not be found in the database after an end that forgot it.
        if let Err(error) = behind.durable(last).await {
            batch.iter().for_each(|taken| behind.dirty.give_back(&taken.key));
            // The journal goes on with it, or has ended.
            if let ErrorKind::Shed | ErrorKind::Timeout = error.kind() {
                parts.tell_of_all(What::WriteFailed { what: Failing::Apply, error: &error });
                return Turn::Failed;
            }
            return self.end(parts, &error);
        }
        let turn = self.apply(parts, batch).await;
        self.truncate(parts);
        turn
    }

    /// Tells the journal what it needs no more.
    fn truncate(&self, parts: &Parts<K, V>) {
        if let Err(error) = self.behind.hub.truncate_now_and_then(parts.engine.now()) {
            // What is kept for longer than necessary is found applied.
            parts.tell_of_all(What::WriteFailed { what: Failing::Truncate, error: &error });
        }
    }

    /// Applies a batch, divided as far as needed.
    async fn apply(&mut self, parts: &Arc<Parts<K, V>>, batch: Vec<Numbered<K, V>>) -> Turn {
        let mut left = vec![Batch { writes: batch, is_unknown: false }];
        while let Some(mut batch) = left.pop() {
            let Err(WriteError { fault, error }) = self.try_apply(parts, &batch.writes).await
            else {
                continue;
            };
            self.behind.counters.failed.add(1);
            match fault {
                // It was executed, so nothing of it had been committed before.
                WriteFault::Poison if batch.writes.len() > 1 => left.extend(batch.halves(false)),
                WriteFault::Poison => {
                    let Some(dead) = batch.writes.pop() else { continue };
                    if let Turn::Ended = self.bury(parts, dead, &error).await {
                        return Turn::Ended;
                    }
                }
                WriteFault::Transient | WriteFault::Conflict if !batch.is_unknown => {
                    let what = What::WriteFailed { what: Failing::Apply, error: &error };
                    parts.tell_of_all(what);
                    if batch.was_too_slow(&error) {
                        left.extend(batch.halves(false));
                        continue;
                    }
                    left.push(batch);
                    self.give_back(left);
                    return Turn::Failed;
                }
                WriteFault::Unknown | WriteFault::Transient | WriteFault::Conflict => {
                    let what = What::WriteFailed { what: Failing::Unknown, error: &error };
                    parts.tell_of_all(what);
                    match batch.was_too_slow(&error) {
                        true => left.extend(batch.halves(true)),
                        false => left.push(Batch { is_unknown: true, ..batch }),
                    }
                    self.rest(parts).await;
                }
                WriteFault::Disowned => {
                    left.push(batch);
                    self.give_back(left);
                    return self.end(parts, &error);
                }
            }
        }
        Turn::Worked
    }

    /// Nothing is written any more.
    fn end(&self, parts: &Parts<K, V>, error: &Error) -> Turn {
        let what = What::WriteFailed { what: Failing::ForGood, error };
        if self.behind.fail(error.clone()) {
            parts.tell_of_all(what);
        }
        Turn::Ended
    }

    fn give_back(&self, batches: Vec<Batch<K, V>>) {
        for taken in batches.into_iter().flat_map(|batch| batch.writes) {
            self.behind.dirty.give_back(&taken.key);
        }
    }

    /// One transaction.
    async fn try_apply(
        &self,
        parts: &Arc<Parts<K, V>>,
        batch: &[Numbered<K, V>],
    ) -> Result<(), WriteError> {
        let behind = &self.behind;
        let clock = &**parts.engine.clock();
        let (sink, _) = parts.written_behind().map_err(unasked)?;
        parts.pledge_all(batch.iter().map(|taken| &taken.key)).await.map_err(unasked)?;
        let began = parts.engine.now();
        let fences: Vec<Fence> = batch.iter().map(|taken| parts.fence(&taken.key)).collect();
        let until = began + behind.hub.bounds.apply_within;
        let question = catch_panic(sink.apply(behind.epoch(), batch));
        let applied = match within(clock, until, question).await {
            Some(Ok(applied)) => applied?,
            Some(Err(panic)) => return Err(panicked(&parts.name, &panic)),
            None => {
                let error = Error::new(ErrorKind::Timeout, "the transaction took too long");
                return Err(WriteError::new(WriteFault::Unknown, error));
            }
        };
        if applied.len() != batch.len() {
            let (writes, answers) = (batch.len(), applied.len());
            let message = format!("the sink was given {writes} writes and answered {answers}");
            return Err(WriteError::new(
                WriteFault::Unknown,
                Error::new(ErrorKind::Loader, message),
            ));
        }
        let done = batch.iter().zip(fences).zip(applied).map(|((numbered, fence), applied)| {
            let (counter, written) = match applied {
                Applied::Now(written) => (&behind.counters.applied, written),
                Applied::Before => (&behind.counters.applied_before, Written::Unsaid),
            };
            counter.add(1);
            Done { numbered, written, before: Some((began, fence)) }
        });
        self.settle(parts, done.collect()).await;
        Ok(())
    }

    /// What was applied, or buried, is waited for no more.
    async fn settle(&self, parts: &Arc<Parts<K, V>>, mut done: Vec<Done<'_, K, V>>) {
        let behind = &self.behind;
        done.retain(|Done { numbered, written, before }| {
            if let Some(letter) = numbered.letter {
                behind.letters.end(letter);
            }
            let settled = match before {
                Some((began, fence)) => {
                    let (at, born) = (*began, fence.born);
                    let base = || parts.base_of_written(&numbered.key, written, at, born);
                    // Where what says its terms panics, nobody knows its tags.
                    let base = catch_unwind(AssertUnwindSafe(base)).unwrap_or(None);
                    Settled::Applied(written.clone(), base)
                }
                None => Settled::Buried,
            };
            behind.dirty.settle(&numbered.key, settled)
        });
        let close = || done.iter().for_each(|done| behind.dirty.close(&done.numbered.key));
        #[cfg(shuttle)]
        if parts.engine.omits(crate::engine::Omit::StrikeBeforeClose) {
            close();
        }
        // Before the map forgets the keys: a load that began before the commit must not be what
        // is read afterwards.
        self.leave_or_strike(parts, &done).await;
        close();
        // Whoever asked the source meanwhile, and not this cache, may have read what was before.
        done.iter().for_each(|done| parts.changed(&done.numbered.key));
        behind.room.relax(|| behind.dirty.bytes());
        behind.settled.notify_waiters();
    }

    /// Nothing waits of these keys: memory has what was applied, or nothing.
    async fn leave_or_strike(&self, parts: &Arc<Parts<K, V>>, clean: &[Done<'_, K, V>]) {
        #[cfg(shuttle)]
        if parts.engine.omits(crate::engine::Omit::StrikeAtClose) {
            return;
        }
        let is_left = |done: &&Done<'_, K, V>| {
            let Some((began, fence)) = done.before else { return false };
            let returned = Returned { written: &done.written, began, fence };
            let leave = || self.leave(parts, &done.numbered.key, &returned);
            catch_unwind(AssertUnwindSafe(leave)).unwrap_or(false)
        };
        let struck: Vec<K> = clean
            .iter()
            .filter(|done| !is_left(done))
            .map(|done| done.numbered.key.clone())
            .collect();
        if struck.is_empty() {
            return;
        }
        let untold = parts.take_back(&struck).await;
        // Where the shared tier is down it is done here, and kept.
        let _ = Cache(Arc::clone(parts)).invalidate_many(&untold).await;
    }

    /// Puts what the sink returned into memory, if the key is read, nothing overlapped, and nobody
    /// else can have written it. A write that comes now strikes it again: it waits in the map
    /// before it strikes, and is acknowledged after.
    fn leave(&self, parts: &Parts<K, V>, key: &K, returned: &Returned<'_, V>) -> bool {
        let Some(writes) = &parts.writes else { return false };
        let is_alone = parts.beyond(false).is_ok_and(|beyond| beyond.is_none());
        is_alone
            && (writes.install == Install::Always || self.behind.dirty.is_wanted(key))
            && parts.install_applied(key, writes, returned)
    }

    /// Puts a write with the dead letters, for as long as that takes.
    async fn bury(
        &mut self,
        parts: &Arc<Parts<K, V>>,
        dead: Numbered<K, V>,
        reason: &Error,
    ) -> Turn {
        loop {
            let Ok((sink, _)) = parts.written_behind() else { return Turn::Ended };
            let reason = reason.chain();
            let question = catch_panic(sink.bury(self.behind.epoch(), &dead, &reason));
            let buried = question.await.unwrap_or_else(|panic| Err(panicked(&parts.name, &panic)));
            match buried {
                Ok(()) => break,
                Err(WriteError { fault: WriteFault::Disowned, error }) => {
                    self.behind.dirty.give_back(&dead.key);
                    return self.end(parts, &error);
                }
                Err(WriteError { error, .. }) => {
                    parts.tell_of_all(What::WriteFailed { what: Failing::Bury, error: &error });
                    self.rest(parts).await;
                }
            }
        }
        parts.tell(&dead.key, What::Buried { error: reason });
        self.behind.counters.buried.add(1);
        let done = Done { numbered: &dead, written: Written::Unsaid, before: None };
        self.settle(parts, vec![done]).await;
        Turn::Worked
    }

    /// Waits before the same thing is tried again.
    async fn rest(&mut self, parts: &Arc<Parts<K, V>>) {
        self.failures = self.failures.saturating_add(1);
        let until = parts.engine.now() + self.pause(parts);
        within(&**parts.engine.clock(), until, self.behind.hub.hurry.notified()).await;
    }

    /// Takes dead letters that somebody asked to be tried again.
    async fn take_letters(&self, parts: &Arc<Parts<K, V>>) {
        let Ok((sink, _)) = parts.written_behind() else { return };
        let asking = self.behind.letters.ask();
        let letters = catch_panic(sink.requeued(LETTERS_MAX)).await;
        let letters = letters.unwrap_or_else(|panic| Err(panicked(&parts.name, &panic).error));
        let letters = match letters {
            Ok(letters) => letters,
            Err(error) => {
                let what = What::WriteFailed { what: Failing::Requeue, error: &error };
                return parts.tell_of_all(what);
            }
        };
        for letter in letters {
            if !asking.take(letter.id) {
                continue;
            }
            let Numbered { key, write, .. } = letter.numbered;
            if let Err(error) =
                parts.push_now(&self.behind, &key, write, Some(letter.id), Only::Anyway)
            {
                self.behind.letters.end(letter.id);
                let what = What::WriteFailed { what: Failing::Requeue, error: &error };
                return parts.tell(&key, what);
            }
        }
    }
}

/// Nobody knows what a sink has done that panicked.
fn panicked(cache: &str, panic: &str) -> WriteError {
    let message = format!("the sink of the cache {cache} panicked: {panic}");
    WriteError::new(WriteFault::Unknown, Error::new(ErrorKind::Loader, message))
}

/// Nothing was asked.
fn unasked(error: Error) -> WriteError {
    WriteError::new(WriteFault::Transient, error)
}
