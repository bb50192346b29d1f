//! Keys and values whose destructors call the tier again: they must run outside its locks, and
//! once for each that was made.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak, mpsc};

use super::*;

type Tier = Memory<Caller, Caller, RandomState, Lru>;

#[derive(Default)]
struct Counts {
    made: AtomicUsize,
    dropped: AtomicUsize,
    shown: AtomicUsize,
}

impl Counts {
    fn alive(&self) -> usize {
        self.made.load(Ordering::Relaxed) - self.dropped.load(Ordering::Relaxed)
    }
}

/// Uses the tier in every way that takes a lock when it is dropped.
struct Caller {
    number: u64,
    tier: Weak<Tier>,
    counts: Arc<Counts>,
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        if let Some(tier) = self.tier.upgrade() {
            assert!(tier.entries() <= 2);
            assert!(tier.weight_max() <= 10);
            tier.reclaim();
        }
    }
}

impl PartialEq for Caller {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Caller {}

impl Hash for Caller {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

struct Case {
    tier: Arc<Tier>,
    counts: Arc<Counts>,
}

const BOUNDS: Bounds = Bounds::entries(2).entry_bytes_max(10).shards(1);

impl Case {
    fn new(listens: bool) -> Self {
        let counts = Arc::<Counts>::default();
        let mut builder = Builder::new(BOUNDS).policy(Lru::new);
        if listens {
            let counts = Arc::clone(&counts);
            builder = builder.on_removal(move |key: &Caller, value: &Caller, _| {
                assert_eq!(key.number, value.number);
                assert!(key.tier.upgrade().is_none_or(|tier| tier.entries() <= 2));
                counts.shown.fetch_add(1, Ordering::Relaxed);
            });
        }
        Self { tier: Arc::new(builder.build()), counts }
    }

    fn caller(&self, number: u64) -> Caller {
        self.counts.made.fetch_add(1, Ordering::Relaxed);
        let (tier, counts) = (Arc::downgrade(&self.tier), Arc::clone(&self.counts));
        Caller { number, tier, counts }
    }

    fn put(&self, number: u64, weight: usize) -> Insert {
        let (key, value) = (self.caller(number), self.caller(number));
        self.tier.insert(key, value, weight, at(number), NOW)
    }

    fn compute(&self, number: u64, weight: usize) -> Outcome {
        let value = self.caller(number);
        let change = Change::Put { value, weight, expires_at: at(number) };
        let own = |key: &Caller| self.caller(key.number);
        self.tier.compute(&self.caller(number), NOW, own, |_| (change, ())).0
    }

    /// Nothing is alive but the entries of these numbers.
    fn expect(&self, numbers: &[u64]) {
        until(|| self.tier.reclaim(), || self.counts.alive() == 2 * numbers.len());
        self.tier.assert_invariants();
        for number in numbers {
            let probe = self.caller(*number);
            assert!(self.tier.peek(&probe, NOW, |_| ()).is_some(), "{number}");
        }
    }

    fn every_way_out(&self) {
        let tier = &self.tier;
        assert_eq!(self.put(1, 0), Insert::Stored);
        self.expect(&[1]);
        assert_eq!(self.put(1, 0), Insert::Stored);
        assert_eq!(self.compute(1, 0), Outcome::Stored);
        self.expect(&[1]);
        assert_eq!(self.put(2, 0), Insert::Stored);
        assert_eq!(self.put(3, 0), Insert::Stored);
        self.expect(&[2, 3]);
        assert_eq!(self.compute(4, 0), Outcome::Stored);
        self.expect(&[3, 4]);
        assert_eq!(self.put(3, 11), Insert::TooHeavy);
        self.expect(&[4]);
        assert_eq!(self.compute(4, 11), Outcome::TooHeavy);
        self.expect(&[]);

        assert_eq!((self.put(1, 0), self.put(2, 0)), (Insert::Stored, Insert::Stored));
        let (key, value) = (self.caller(2), self.caller(2));
        assert_eq!(tier.insert_if(key, value, 0, at(9), at(3), |_| false), Insert::Refused);
        self.expect(&[1]);
        assert_eq!(tier.expire(at(TICK), 9), Expired { entries: 1, more: false });
        self.expect(&[]);

        assert_eq!((self.put(1, 0), self.put(2, 0)), (Insert::Stored, Insert::Stored));
        tier.remove(&self.caller(1), NOW, RemovalCause::Removed, |_| ());
        self.expect(&[2]);
        let remove = Change::Remove(RemovalCause::Removed);
        let own = |_: &Caller| unreachable!("no key is needed");
        assert_eq!(tier.compute(&self.caller(2), NOW, own, |_| (remove, ())).0, Outcome::Removed);
        self.expect(&[]);

        assert_eq!((self.put(1, 0), self.put(2, 0)), (Insert::Stored, Insert::Stored));
        tier.clear(RemovalCause::Removed);
        self.expect(&[]);
        assert_eq!((self.put(1, 0), self.put(2, 0)), (Insert::Stored, Insert::Stored));
        tier.retain(NOW, RemovalCause::Removed, |key, _| key.number == 1);
        self.expect(&[1]);
        tier.resize(BOUNDS.and_entries(0));
        self.expect(&[]);
        tier.resize(BOUNDS);
        assert_eq!((self.put(1, 0), self.put(2, 0)), (Insert::Stored, Insert::Stored));
        self.expect(&[1, 2]);
    }
}

#[test]
fn destructors_and_listeners_may_call_the_tier() {
    // One under the lock would wait for ever: on a thread of its own that is a failure.
    let (done, finished) = mpsc::channel();
    let ways = std::thread::spawn(move || {
        for listens in [false, true] {
            let case = Case::new(listens);
            case.every_way_out();
            let removals = RemovalCause::ALL.map(|cause| case.tier.stats().removals(cause));
            let shown = case.counts.shown.load(Ordering::Relaxed);
            assert_eq!(shown as u64, if listens { removals.iter().sum() } else { 0 });
            let counts = Arc::clone(&case.counts);
            drop(case);
            assert_eq!(counts.alive(), 0);
        }
        done.send(()).unwrap();
    });
    match finished.recv_timeout(Duration::from_secs(100)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("a destructor ran under a lock"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => ways.join().unwrap(),
    }
}
