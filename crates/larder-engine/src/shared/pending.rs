//! Invalidations that are not done yet beyond this process, in their order, and what must not be
//! trusted until they are.
//!
//! A key that waits here is *quarantined*: what the tier holds of it is not read, and nothing is
//! filled under it, in the tier or in memory. Marks that wait count as set.
//!
//! Work is noted before it is struck in this process, and added afterwards, when somebody may begin
//! to do it. Were it noted afterwards,
//!
//! 1. an invalidation strikes here,
//! 2. a flight begins under the new fence, finds nothing quarantined, and reads the old value in
//!    the tier,
//! 3. the work is noted, and the invalidation returns to who doesn't wait for the tier,
//! 4. the flight fills memory, as its fence holds, and lands for who came after step 3.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;
use larder_core::bus::{Announcement, Position};
use larder_core::envelope::Envelope;
use larder_core::shared::{Invalidation, Mark};
use larder_core::sync::{AtomicUsize, Mutex, Ordering};

use super::marks::bucket;
use crate::events::Fate;
use crate::runtime::{Notify, oneshot};

/// What is to be done beyond this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// To invalidate keys of a cache, by their texts.
    Keys {
        /// The cache.
        cache: Box<str>,
        /// Whether it keeps entries in the tier.
        in_tier: bool,
        /// How.
        strike: Invalidation,
        /// The texts.
        keys: Vec<Box<str>>,
    },
    /// To set marks, and to announce what they mean.
    Marks {
        /// How.
        strike: Invalidation,
        /// The marks.
        marks: Vec<Mark>,
        /// What they mean.
        announcement: Announcement,
    },
    /// Nothing: to be told when everything before is done.
    Barrier,
}

impl Work {
    fn size(&self) -> usize {
        match self {
            Self::Keys { keys, .. } => keys.len(),
            Self::Marks { marks, .. } => marks.len(),
            Self::Barrier => 0,
        }
    }
}

/// Work whose keys and marks are quarantined. To be [added](Pending::add).
#[derive(Debug)]
#[must_use]
pub(crate) struct Noted(Work);

/// The wait for a piece of work.
pub(super) type Done = oneshot::Receiver<Option<Position>>;

/// A piece of work with who waits for it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) work: Work,
    pub(super) done: Vec<oneshot::Sender<Option<Position>>>,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Pending {
    queue: Mutex<Queue>,
    /// How many keys and marks wait; read without the lock by those who find nothing.
    count: AtomicUsize,
    max: usize,
    added: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// How often each key of each cache waits.
    keys: HashMap<Box<str>, HashMap<Box<str>, usize, RandomState>, RandomState>,
    marks: HashMap<(Mark, Invalidation), usize, RandomState>,
}

impl Pending {
    pub(super) fn new(max: usize) -> Self {
        Self { queue: Mutex::default(), count: AtomicUsize::new(0), max, added: Notify::default() }
    }

    /// Quarantines what this work is about; to be done before that is struck in this process.
    pub(super) fn note(&self, work: Work) -> Noted {
        self.quarantine(&mut self.queue.lock(), &work);
        Noted(work)
    }

    /// Adds work, and returns the wait for it. When too much waits, it becomes one mark of
    /// everything, which covers it all.
    pub(super) fn add(&self, Noted(work): Noted) -> Done {
        let (sender, done) = oneshot::channel();
        let mut queue = self.queue.lock();
        if let (Work::Barrier, Some(Waiting { work: Work::Barrier, done: others })) =
            (&work, queue.waiting.back_mut())
        {
            // One barrier does for all who stand at it; who went away is forgotten.
            others.retain(|other| !other.is_closed());
            others.push(sender);
            return done;
        }
        if self.count.load(Ordering::Relaxed) > self.max {
            let strike = Invalidation::Drop;
            let announcement = Announcement::All { strike };
            let all = Work::Marks { strike, marks: vec![Mark::All], announcement };
            // Before the rest is forgotten, so that nobody finds nothing in between.
            self.quarantine(&mut queue, &all);
            // What is being done at this moment still counts.
            let mut covered: Vec<Waiting> = queue.waiting.drain(..).collect();
            covered.push(Waiting { work, done: vec![sender] });
            covered.iter().for_each(|waiting| self.release(&mut queue, &waiting.work));
            let done = covered.into_iter().flat_map(|waiting| waiting.done).collect();
            queue.waiting.push_back(Waiting { work: all, done });
        } else {
            queue.waiting.push_back(Waiting { work, done: vec![sender] });
        }
        drop(queue);
        self.wake();
        done
    }

    fn quarantine(&self, queue: &mut Queue, work: &Work) {
        self.count.fetch_add(work.size(), Ordering::Release);
        queue.note(work);
    }

    fn release(&self, queue: &mut Queue, work: &Work) {
        queue.forget(work);
        self.count.fetch_sub(work.size(), Ordering::Release);
    }

    /// How many keys and marks wait.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether there is anything to do.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.queue.lock().waiting.is_empty()
    }

    /// The work that comes first, together with what may be done in the same step, as long as it
    /// concerns no more than `max` keys or marks. It still counts as waiting.
    pub(super) fn next(&self, max: usize) -> Option<Waiting> {
        let mut queue = self.queue.lock();
        let mut first = queue.waiting.pop_front()?;
        while let Some(next) = queue.waiting.front()
            && first.work.size() + next.work.size() <= max
            && merges(&first.work, &next.work)
            && let Some(next) = queue.waiting.pop_front()
        {
            first.done.extend(next.done);
            merge(&mut first.work, next.work);
        }
        Some(first)
    }

    /// Puts back what couldn't be done: it still comes first.
    pub(super) fn put_back(&self, waiting: Waiting) {
        self.queue.lock().waiting.push_front(waiting);
    }

    /// What was taken is done, and no longer stands in the way.
    pub(super) fn finish(&self, waiting: Waiting, position: Option<Position>) {
        self.release(&mut self.queue.lock(), &waiting.work);
        for done in waiting.done {
            // Who went away needn't know.
            let _ = done.send(position);
        }
    }

    /// Waits until something was added, or [`wake`](Self::wake) was called, since the last wait.
    pub(super) async fn added(&self) {
        self.added.notified().await;
    }

    /// Wakes who waits for work.
    pub(super) fn wake(&self) {
        self.added.notify_one();
    }

    /// Whether a key waits to be invalidated.
    pub(super) fn quarantines(&self, cache: &str, key: &str) -> bool {
        self.count() > 0
            && self.queue.lock().keys.get(cache).is_some_and(|keys| keys.contains_key(key))
    }

    /// What becomes of an entry of the tier through marks that wait to be set.
    pub(super) fn fate(&self, cache: &str, key: &str, envelope: &Envelope) -> Fate {
        if self.count() == 0 {
            return Fate::Stands;
        }
        let queue = self.queue.lock();
        let strikes = |mark: &Mark| match mark {
            Mark::Tag(of) => envelope.tags.iter().any(|&hash| bucket(hash) == *of),
            Mark::Cache(of) => **of == *cache,
            Mark::Prefix { cache: of, prefix } => **of == *cache && key.starts_with(&**prefix),
            Mark::All => true,
        };
        let fates =
            queue.marks.keys().filter(|(mark, _)| strikes(mark)).map(|(_, strike)| match strike {
                Invalidation::Drop => Fate::Dropped,
                Invalidation::MarkStale => Fate::Staled,
            });
        fates.max().unwrap_or(Fate::Stands)
    }
}

impl Queue {
    fn note(&mut self, work: &Work) {
        match work {
            Work::Keys { cache, keys, .. } => {
                let of_cache = self.keys.entry(cache.clone()).or_default();
                keys.iter().for_each(|key| *of_cache.entry(key.clone()).or_default() += 1);
            }
            Work::Marks { marks, strike, .. } => {
                for mark in marks {
                    *self.marks.entry((mark.clone(), *strike)).or_default() += 1;
                }
            }
            Work::Barrier => {}
        }
    }

    fn forget(&mut self, work: &Work) {
        match work {
            Work::Keys { cache, keys, .. } => {
                let Some(of_cache) = self.keys.get_mut(cache) else { return };
                keys.iter().for_each(|key| take_one(of_cache, key));
                if of_cache.is_empty() {
                    self.keys.remove(cache);
                }
            }
            Work::Marks { marks, strike, .. } => {
                marks.iter().for_each(|mark| take_one(&mut self.marks, &(mark.clone(), *strike)));
            }
            Work::Barrier => {}
        }
    }
}

fn take_one<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize, RandomState>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// Whether two pieces of work can be done in one step.
fn merges(first: &Work, next: &Work) -> bool {
    match (first, next) {
        (
            Work::Keys { cache, in_tier, strike, .. },
            Work::Keys { cache: next_cache, in_tier: next_in_tier, strike: next_strike, .. },
        ) => (cache, in_tier, strike) == (next_cache, next_in_tier, next_strike),
        // Who stands at a barrier behind it is told when it is done.
        (_, Work::Barrier) => true,
        _ => false,
    }
}

fn merge(first: &mut Work, next: Work) {
    if let (Work::Keys { keys, .. }, Work::Keys { keys: more, .. }) = (first, next) {
        keys.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(cache: &str, keys: &[&str]) -> Work {
        let keys = keys.iter().map(|&key| key.into()).collect();
        Work::Keys { cache: cache.into(), in_tier: true, strike: Invalidation::Drop, keys }
    }

    fn add(pending: &Pending, work: Work) -> Done {
        pending.add(pending.note(work))
    }

    fn of(waiting: &Waiting) -> &[Box<str>] {
        match &waiting.work {
            Work::Keys { keys, .. } => keys,
            Work::Marks { .. } | Work::Barrier => &[],
        }
    }

    #[test]
    fn what_may_go_together_does_and_what_comes_between_is_not_overtaken() {
        let pending = Pending::new(100);
        for work in
            [keys("a", &["1"]), keys("a", &["2", "3"]), keys("b", &["1"]), keys("a", &["4"])]
        {
            drop(add(&pending, work));
        }
        let steps: Vec<usize> =
            std::iter::from_fn(|| pending.next(100)).map(|waiting| of(&waiting).len()).collect();
        assert_eq!(steps, [3, 1, 1]);
    }

    #[test]
    fn a_barrier_keeps_nothing_from_going_together() {
        let pending = Pending::new(100);
        drop(add(&pending, keys("a", &["1"])));
        let mut told = add(&pending, Work::Barrier);
        drop(add(&pending, keys("a", &["2"])));
        let both = pending.next(100).unwrap();
        assert_eq!((of(&both).len(), pending.is_waited_for()), (2, false));
        assert!(told.try_recv().is_err());
        pending.finish(both, None);
        assert_eq!(told.try_recv(), Ok(None));
    }

    #[test]
    fn a_step_has_no_more_keys_than_it_may() {
        let pending = Pending::new(100);
        (0..5).for_each(|_| drop(add(&pending, keys("a", &["1", "2"]))));
        assert_eq!(of(&pending.next(5).unwrap()).len(), 4);
    }

    #[test]
    fn a_key_is_quarantined_until_every_invalidation_of_it_is_done() {
        let pending = Pending::new(100);
        drop(add(&pending, keys("a", &["1"])));
        let first = pending.next(1).unwrap();
        drop(add(&pending, keys("a", &["1"])));
        pending.finish(first, None);
        assert!(pending.quarantines("a", "1") && !pending.quarantines("b", "1"));
        let second = pending.next(1).unwrap();
        pending.put_back(second);
        assert!(pending.quarantines("a", "1"));
        let again = pending.next(1).unwrap();
        pending.finish(again, None);
        assert_eq!((pending.quarantines("a", "1"), pending.count()), (false, 0));
    }

    #[test]
    fn those_who_stand_at_a_barrier_share_it_and_who_goes_away_leaves_nothing() {
        let pending = Pending::new(100);
        drop(add(&pending, keys("a", &["1"])));
        (0..1000).for_each(|_| drop(add(&pending, Work::Barrier)));
        let mut told = add(&pending, Work::Barrier);
        // One who waits for the key, and one at the barrier.
        let both = pending.next(100).unwrap();
        assert_eq!((of(&both).len(), both.done.len(), pending.is_waited_for()), (1, 2, false));
        pending.finish(both, None);
        assert_eq!(told.try_recv(), Ok(None));
    }

    #[test]
    fn more_than_may_wait_becomes_one_mark_and_what_is_being_done_still_counts() {
        let pending = Pending::new(3);
        drop(add(&pending, keys("a", &["1", "2"])));
        let being_done = pending.next(9).unwrap();
        drop(add(&pending, keys("a", &["3"])));
        let mut told = add(&pending, keys("a", &["4"]));
        assert_eq!(pending.count(), 3);
        pending.finish(being_done, None);
        let all = pending.next(9).unwrap();
        assert_eq!(all.work.size(), 1);
        assert!(matches!(&all.work, Work::Marks { marks, .. } if marks[..] == [Mark::All]));
        pending.finish(all, None);
        assert_eq!((pending.count(), told.try_recv()), (0, Ok(None)));
    }
}
