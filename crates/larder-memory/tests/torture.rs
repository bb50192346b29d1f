//! Threads that do everything at once, on few keys: what a read returns is whole and was stored
//! under its key, what is made is dropped once, and the bounds hold.
//!
//! The work is bounded; `LARDER_TORTURE` says how many percent of it are done, for runs under a
//! sanitizer.
#![allow(clippy::unwrap_used)]

use std::hash::{BuildHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use larder_core::Moment;
use larder_memory::policy::{Chosen, PolicyKind};
use larder_memory::{Bounds, Builder, Candidates, Change, Insert, Memory, RemovalCause};

const STEPS: usize = 30_000;
const ROUNDS: usize = 3;
const THREADS: u64 = 4;
const KEYS: u64 = 60;

/// A hasher that knows only so many values.
#[derive(Clone, Copy)]
struct Few(u64);

impl BuildHasher for Few {
    type Hasher = FewHasher;

    fn build_hasher(&self) -> FewHasher {
        FewHasher { values: self.0, state: 7 }
    }
}

struct FewHasher {
    values: u64,
    state: u64,
}

impl Hasher for FewHasher {
    fn finish(&self) -> u64 {
        (self.state % self.values).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.state = (self.state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// A value on the heap that shows whether it is whole.
struct Value {
    text: String,
    check: u64,
    alive: Arc<AtomicUsize>,
    /// Its destructor panics.
    bad: bool,
}

fn checksum(text: &str) -> u64 {
    text.bytes().fold(11, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
}

impl Value {
    fn new(key: &str, length: usize, bad: bool, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        let text = format!("{key}:{}", "x".repeat(length));
        Self { check: checksum(&text), text, alive: Arc::clone(alive), bad }
    }

    fn verify(&self, key: &str) {
        assert_eq!(self.check, checksum(&self.text), "torn or freed");
        assert_eq!(self.text.split(':').next(), Some(key), "another key's value");
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        self.alive.fetch_add(1, Ordering::Relaxed);
        let (text, alive) = (self.text.clone(), Arc::clone(&self.alive));
        Self { text, check: self.check, alive, bad: false }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        assert_eq!(self.check, checksum(&self.text), "dropped twice");
        self.check = !self.check;
        self.alive.fetch_sub(1, Ordering::Relaxed);
        if self.bad && !thread::panicking() {
            panic!("a destructor that panics");
        }
    }
}

type Tier = Memory<String, Value, Few, Chosen>;

/// A step of the generator of Knuth's MMIX, whose high bits are good enough here.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

const BOUNDS: Bounds = Bounds::entries(40).entry_bytes_max(200).shards(2);
const MOST: usize = 4000;

fn bounds(dice: &mut Dice) -> Bounds {
    match dice.roll(6) {
        0 => BOUNDS.and_entries(3),
        1 => BOUNDS.and_bytes(8000),
        2 => BOUNDS.candidates(Candidates::Expiring),
        3 => BOUNDS.and_entries(MOST),
        _ => BOUNDS,
    }
}

struct Round<'a> {
    tier: &'a Tier,
    alive: &'a Arc<AtomicUsize>,
    steps: usize,
}

impl Round<'_> {
    fn value(&self, key: &str, dice: &mut Dice) -> Value {
        let bad = dice.roll(200) == 0;
        Value::new(key, dice.roll(100) as usize, bad, self.alive)
    }

    /// One operation, whichever it is.
    fn act(&self, dice: &mut Dice, step: u64) {
        let tier = self.tier;
        let now = Moment::from_nanos(step << 18);
        let key = format!("key{}", dice.roll(KEYS));
        let key = key.as_str();
        match dice.roll(100) {
            0..20 => {
                if let Some(value) = tier.get(key, now) {
                    value.verify(key);
                }
            }
            20..35 => {
                let length = tier.get_with(key, now, |value| {
                    value.verify(key);
                    // A read within a read, and a write.
                    if dice.roll(4) == 0 {
                        tier.remove(key, now, RemovalCause::Removed, |_| ());
                    }
                    drop(tier.get_ref(key, now));
                    value.verify(key);
                    value.text.len()
                });
                assert!(length.is_none_or(|length| length >= key.len()));
            }
            35..40 => {
                let _ = tier.peek(key, now, |value| value.verify(key));
            }
            40..45 => {
                let keys: Vec<_> = (0..5).map(|other| format!("key{other}")).collect();
                let values = tier.get_many(keys.iter().map(String::as_str), now);
                for (key, value) in keys.iter().zip(values) {
                    value.inspect(|value| value.verify(key));
                }
            }
            45..75 => {
                let value = self.value(key, dice);
                // None, some, and now and then too much.
                let weight = dice.roll(210) as usize;
                let until = now.as_nanos() + (dice.roll(400) << 18);
                let forever = dice.roll(3) == 0;
                let until = if forever { Moment::MAX } else { Moment::from_nanos(until) };
                let insert = tier.insert(key.to_owned(), value, weight, until, now);
                assert_ne!(insert, Insert::Refused);
            }
            75..85 => {
                let value = self.value(key, dice);
                let change = match dice.roll(3) {
                    0 => Change::Keep,
                    1 => Change::Remove(RemovalCause::Invalidated),
                    _ => Change::Put { value, weight: 9, expires_at: Moment::MAX },
                };
                let _ = tier.compute(key, now, str::to_owned, |held| {
                    if let Some(held) = held {
                        held.value.verify(key);
                    }
                    (change, ())
                });
            }
            85..95 => {
                tier.remove(key, now, RemovalCause::Removed, |value| {
                    if let Some(value) = value {
                        value.verify(key);
                    }
                });
            }
            95 => drop(tier.expire(now, 5).entries),
            96 => tier.for_each(now, |key, held| held.value.verify(key)),
            97 => tier.retain(now, RemovalCause::Removed, |_, _| dice.roll(5) > 0),
            98 => tier.reclaim(),
            _ if step.is_multiple_of(8) => tier.clear(RemovalCause::Removed),
            _ if step.is_multiple_of(4) => tier.resize(bounds(dice)),
            _ => {
                // Many keys for a moment: the table grows, and shrinks when it is cleared.
                for other in 0..dice.roll(300) {
                    let key = format!("other{other}");
                    let value = self.value(&key, dice);
                    let _ = tier.insert(key, value, 0, now, now);
                }
            }
        }
    }

    fn run(&self, seed: u64) {
        let mut dice = Dice(seed);
        let mut kept = Vec::new();
        for step in 0..self.steps as u64 {
            // A destructor that panics does so in whichever operation drops its value.
            let act = || self.act(&mut dice, step);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(act)) {
                assert_eq!(panic.downcast_ref(), Some(&"a destructor that panics"));
            }
            // References are held across some operations.
            let key = format!("key{}", dice.roll(KEYS));
            if dice.roll(4) == 0
                && let Some(value) = self.tier.get_ref(&key, Moment::ZERO)
            {
                kept.push((key, value));
            }
            kept.iter().for_each(|(key, value)| value.verify(key));
            if kept.len() > 12 {
                kept.clear();
            }
            assert!(self.tier.entries() <= MOST);
        }
    }
}

fn quiet() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref() != Some(&"a destructor that panics") {
            before(info);
        }
    }));
}

/// All threads at once, some of which end before others begin. Without a listener there are costs,
/// and entries expire that some eighty steps don't use.
fn torture(hasher: Few, kind: PolicyKind, listens: bool) {
    let percent = std::env::var("LARDER_TORTURE").map_or(100, |text| text.parse().unwrap());
    let alive = Arc::default();
    let seen = Arc::new(AtomicUsize::new(0));
    let mut builder =
        Builder::new(BOUNDS).hasher(hasher).policy(move |capacity| Chosen::of(kind, capacity));
    if listens {
        let seen = Arc::clone(&seen);
        builder = builder.on_removal(move |key: &String, value: &Value, _| {
            value.verify(key);
            seen.fetch_add(1, Ordering::Relaxed);
        });
    }
    if !listens {
        let cost = |_: &String, value: &Value| Duration::from_micros(value.text.len() as u64);
        builder = builder.idle_for(Duration::from_millis(20)).costs(cost);
    }
    let tier = builder.build();
    let round = Round { tier: &tier, alive: &alive, steps: STEPS * percent / 100 / ROUNDS };
    let round = &round;
    thread::scope(|scope| {
        let run = |seed| scope.spawn(move || round.run(seed));
        for number in 0..ROUNDS as u64 {
            let threads: Vec<_> = (0..THREADS).map(|seed| run(1 + number * 100 + seed)).collect();
            assert!(threads.into_iter().all(|thread| thread.join().is_ok()), "see above");
        }
    });
    let stats = tier.stats();
    assert!(stats.inserts > 0);
    assert_eq!(stats.inserts - stats.entries as u64, {
        RemovalCause::ALL.into_iter().map(|cause| stats.removals(cause)).sum::<u64>()
    });
    while catch_unwind(AssertUnwindSafe(|| tier.clear(RemovalCause::Removed))).is_err() {}
    // A destructor that panics in the middle of many lets the others follow.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(tier)));
    assert_eq!(alive.load(Ordering::Relaxed), 0, "values are left, or were dropped twice");
    assert_eq!(seen.load(Ordering::Relaxed) > 0, listens);
}

#[test]
fn nothing_is_torn_lost_or_dropped_twice() {
    quiet();
    torture(Few(u64::MAX), PolicyKind::Sieve, false);
    torture(Few(4), PolicyKind::S3Fifo, true);
    torture(Few(1), PolicyKind::Lru, false);
    torture(Few(u64::MAX), PolicyKind::Adaptive, true);
    torture(Few(16), PolicyKind::CostAware, false);
}

/// A key that is held the whole time, while its neighbours come and go, its value is replaced,
/// and the table grows and shrinks.
#[test]
fn a_key_that_is_held_is_never_missed() {
    let percent = std::env::var("LARDER_TORTURE").map_or(100, |text| text.parse().unwrap());
    for hasher in [Few(u64::MAX), Few(4), Few(1)] {
        let tier: Memory<u64, Box<u64>, Few> =
            Builder::new(Bounds::entries(100_000).shards(1)).hasher(hasher).build();
        let put = |key, value| {
            let insert = tier.insert(key, Box::new(value), 0, Moment::MAX, Moment::ZERO);
            assert_eq!(insert, Insert::Stored);
        };
        put(0, 0);
        put(1, 0);
        let (tier, put) = (&tier, &put);
        let rounds = if hasher.0 == u64::MAX { 20 } else { 20 * 20 } * percent / 100;
        let others = if hasher.0 == u64::MAX { 4000 } else { 40 };
        thread::scope(|scope| {
            let readers = [(), ()].map(|()| {
                scope.spawn(move || {
                    let mut last = 0;
                    while last < rounds {
                        assert!(tier.get(&1, Moment::ZERO).is_some(), "missed");
                        let value = tier.get(&0, Moment::ZERO);
                        let value = *value.expect("the key is held the whole time");
                        assert!(value >= last, "{value} after {last}");
                        last = value;
                    }
                })
            });
            for round in 1..=rounds {
                put(0, round);
                for key in 2..others {
                    put(key, key);
                }
                put(0, round);
                tier.retain(Moment::ZERO, RemovalCause::Removed, |key, _| *key < 2);
                tier.reclaim();
            }
            assert!(readers.into_iter().all(|reader| reader.join().is_ok()), "see above");
        });
    }
}
