//! The task that applies what waits.
//!
//! A batch is one transaction. When it fails:
//!
//! | fault | what is done |
//! |---|---|
//! | transient, conflict | nothing is written: its keys wait again, and may be joined by further writes |
//! | unknown | the same batch again, with the same sequences, until it is known, and joined by nothing: what is committed already would be counted again with what joined it |
//! | poison | the batch is divided in two, until one write is left: that one is buried |
//! | disowned | nothing is written any more; what waits stays in the journal |

use std::sync::{Arc, Weak};
use std::time::Duration;

use larder_core::sink::{Applied, Numbered, WriteError, WriteFault};
use larder_core::{CacheKey, Error, ErrorKind, Moment, Written};

use super::Behind;
use super::writes::Only;
use crate::cache::{Cache, Parts};
use crate::observe::{Failing, What};
use crate::wait::within;

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

/// Writes that are applied in one transaction.
struct Batch<K, V> {
    writes: Vec<Numbered<K, V>>,
    /// Whether it may be committed already.
    is_unknown: bool,
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
            behind.fail(error);
            return Turn::Ended;
        }
        let turn = self.apply(parts, batch).await;
        if let Err(error) = behind.hub.truncate_now_and_then(parts.engine.now()) {
            // What is kept for longer than necessary is found applied.
            parts.tell_of_all(What::WriteFailed { what: Failing::Truncate, error: &error });
        }
        turn
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
                WriteFault::Poison if batch.writes.len() > 1 => {
                    let rest = batch.writes.split_off(batch.writes.len() / 2);
                    for writes in [rest, batch.writes] {
                        left.push(Batch { writes, is_unknown: false });
                    }
                }
                WriteFault::Poison => {
                    let Some(dead) = batch.writes.pop() else { continue };
                    if let Turn::Ended = self.bury(parts, dead, &error).await {
                        return Turn::Ended;
                    }
                }
                WriteFault::Transient | WriteFault::Conflict if !batch.is_unknown => {
                    let what = What::WriteFailed { what: Failing::Apply, error: &error };
                    parts.tell_of_all(what);
                    left.push(batch);
                    self.give_back(left);
                    return Turn::Failed;
                }
                WriteFault::Unknown | WriteFault::Transient | WriteFault::Conflict => {
                    let what = What::WriteFailed { what: Failing::Unknown, error: &error };
                    parts.tell_of_all(what);
                    left.push(Batch { is_unknown: true, ..batch });
                    self.rest(parts).await;
                }
                WriteFault::Disowned => {
                    left.push(batch);
                    self.give_back(left);
                    self.behind.fail(error);
                    return Turn::Ended;
                }
            }
        }
        Turn::Worked
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
        let until = parts.engine.now() + behind.hub.bounds.apply_within;
        let (sink, _) = parts.written_behind().map_err(no_sink)?;
        let applied = within(clock, until, sink.apply(behind.epoch(), batch)).await;
        let applied = applied.unwrap_or_else(|| {
            let message = "the transaction took too long";
            Err(WriteError::new(WriteFault::Unknown, Error::new(ErrorKind::Timeout, message)))
        })?;
        let done = batch.iter().zip(applied).map(|(numbered, applied)| match applied {
            Applied::Now(written) => {
                behind.counters.applied.add(1);
                (numbered, written)
            }
            Applied::Before => {
                behind.counters.applied_before.add(1);
                (numbered, Written::Unsaid)
            }
        });
        self.settle(parts, done.collect()).await;
        Ok(())
    }

    /// What was applied, or buried, is waited for no more.
    async fn settle(&self, parts: &Arc<Parts<K, V>>, done: Vec<(&Numbered<K, V>, Written<V>)>) {
        let behind = &self.behind;
        let mut clean = Vec::new();
        for (numbered, written) in done {
            if let Some(letter) = numbered.letter {
                behind.letters.lock().remove(&letter);
            }
            if behind.dirty.settle(&numbered.key, written) {
                clean.push(numbered.key.clone());
            }
        }
        if !clean.is_empty() {
            // Before the map forgets the keys: a load that began before the commit must not be what
            // is read afterwards. Where the shared tier is down it is done here, and kept.
            let cache = Cache(Arc::clone(parts));
            let _ = cache.invalidate_many(&clean).await;
            clean.iter().for_each(|key| behind.dirty.close(key));
        }
        behind.settled.notify_waiters();
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
            match sink.bury(self.behind.epoch(), &dead, &reason.chain()).await {
                Ok(()) => break,
                Err(WriteError { fault: WriteFault::Disowned, error }) => {
                    self.behind.dirty.give_back(&dead.key);
                    self.behind.fail(error);
                    return Turn::Ended;
                }
                Err(WriteError { error, .. }) => {
                    parts.tell_of_all(What::WriteFailed { what: Failing::Bury, error: &error });
                    self.rest(parts).await;
                }
            }
        }
        parts.tell(&dead.key, What::Buried { error: reason });
        self.behind.counters.buried.add(1);
        self.settle(parts, vec![(&dead, Written::Unsaid)]).await;
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
        let letters = match sink.requeued(LETTERS_MAX).await {
            Ok(letters) => letters,
            Err(error) => {
                let what = What::WriteFailed { what: Failing::Requeue, error: &error };
                return parts.tell_of_all(what);
            }
        };
        for letter in letters {
            if !self.behind.letters.lock().insert(letter.id) {
                continue;
            }
            let Numbered { key, write, .. } = letter.numbered;
            if let Err(error) =
                parts.push_now(&self.behind, &key, write, Some(letter.id), Only::Anyway)
            {
                self.behind.letters.lock().remove(&letter.id);
                let what = What::WriteFailed { what: Failing::Requeue, error: &error };
                return parts.tell(&key, what);
            }
        }
    }
}

fn no_sink(error: Error) -> WriteError {
    WriteError::new(WriteFault::Transient, error)
}
