//! Keys and values whose destructors call the tier again: they must run outside its locks.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;

use super::*;

type Tier = Memory<Caller, Caller>;

/// Asks the tier how much it holds, which takes every lock, when it is dropped.
struct Caller {
    number: u64,
    tier: Weak<Tier>,
    drops: Arc<AtomicUsize>,
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(tier) = self.tier.upgrade() {
            assert!(tier.entries() <= 2);
            self.drops.fetch_add(1, Ordering::Relaxed);
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
    drops: Arc<AtomicUsize>,
}

impl Case {
    fn new() -> Self {
        let bounds = Bounds::entries(2).entry_bytes_max(10).shards(1);
        Self { tier: Arc::new(Memory::new(bounds)), drops: Arc::default() }
    }

    fn caller(&self, number: u64) -> Caller {
        let (tier, drops) = (Arc::downgrade(&self.tier), Arc::clone(&self.drops));
        Caller { number, tier, drops }
    }

    fn put(&self, number: u64, weight: usize) -> Insert {
        let (key, value) = (self.caller(number), self.caller(number));
        self.tier.insert_if(key, value, weight, at(number), NOW, |_| true)
    }

    fn compute(&self, number: u64, weight: usize) -> Outcome {
        let value = self.caller(number);
        let change = Change::Put { value, weight, expires_at: at(number) };
        let own = |key: &Caller| self.caller(key.number);
        self.tier.compute(&self.caller(number), NOW, own, |_| (change, ())).0
    }

    /// Runs `act`, which drops `drops` callers besides those that it makes itself.
    fn expect(&self, drops: usize, act: impl FnOnce()) {
        let before = self.drops.load(Ordering::Relaxed);
        act();
        assert_eq!(self.drops.load(Ordering::Relaxed) - before, drops);
        self.tier.assert_invariants();
    }
}

fn every_way_out() {
    let case = Case::new();
    let tier = &case.tier;
    case.expect(0, || assert_eq!(case.put(1, 0), Insert::Stored));
    // The old value and the new key.
    case.expect(2, || assert_eq!(case.put(1, 0), Insert::Stored));
    // The old value and the key that was looked for.
    case.expect(2, || assert_eq!(case.compute(1, 0), Outcome::Stored));
    case.expect(0, || assert_eq!(case.put(2, 0), Insert::Stored));
    // An evicted entry.
    case.expect(2, || assert_eq!(case.put(3, 0), Insert::Stored));
    // An evicted entry and the key that was looked for.
    case.expect(3, || assert_eq!(case.compute(4, 0), Outcome::Stored));
    // What is too heavy, and what was held.
    case.expect(4, || assert_eq!(case.put(3, 11), Insert::TooHeavy));
    case.expect(4, || assert_eq!(case.compute(4, 11), Outcome::TooHeavy));
    assert_eq!(tier.entries(), 0);

    assert_eq!((case.put(1, 0), case.put(2, 0)), (Insert::Stored, Insert::Stored));
    let key = [case.caller(1), case.caller(2)];
    // Noticed by a read, and by a write of the same key, which is refused.
    case.expect(2, || assert!(tier.get(&key[0], at(2), |_| ()).is_none()));
    case.expect(4, || {
        let (key, value) = (case.caller(2), case.caller(2));
        assert_eq!(tier.insert_if(key, value, 0, at(9), at(3), |_| false), Insert::Refused);
    });
    assert_eq!((case.put(1, 0), case.put(2, 0)), (Insert::Stored, Insert::Stored));
    case.expect(4, || {
        assert_eq!(tier.expire(at(3), 9), Expired { entries: 2, more: false });
    });

    assert_eq!((case.put(1, 0), case.put(2, 0)), (Insert::Stored, Insert::Stored));
    case.expect(2, || {
        drop(tier.remove(&key[0], NOW, RemovalCause::Removed, || ()));
    });
    case.expect(2, || {
        let remove = Change::Remove(RemovalCause::Removed);
        assert_eq!(tier.compute(&key[1], NOW, |_| panic!(), |_| (remove, ())).0, Outcome::Removed);
    });
    assert_eq!((case.put(1, 0), case.put(2, 0)), (Insert::Stored, Insert::Stored));
    case.expect(4, || tier.clear(RemovalCause::Removed));
}

#[test]
fn destructors_may_call_the_tier() {
    // A destructor under the lock would wait for ever: on a thread of its own that is a failure.
    let (done, finished) = mpsc::channel();
    let ways = std::thread::spawn(move || {
        every_way_out();
        done.send(()).unwrap();
    });
    match finished.recv_timeout(Duration::from_secs(60)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("a destructor ran under a lock"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => ways.join().unwrap(),
    }
}
