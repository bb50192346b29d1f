//! The tier against a model that is too simple to be wrong: a list in the order of use.

use proptest::prelude::*;

use super::*;

const KEYS: u64 = 12;
const ENTRIES: usize = 6;
const BYTES: usize = 6 * OVERHEAD + 400;
const WEIGHT_MAX: usize = 150;

#[derive(Clone, Copy, Debug)]
struct Value {
    weight: usize,
    /// How many ticks it lives; for ever if there is none.
    ttl: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Get(u64),
    Peek(u64),
    Insert(u64, Value, bool),
    Keep(u64),
    Put(u64, Value),
    Take(u64),
    Remove(u64, RemovalCause),
    Expire(usize),
    Clear,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || 0..KEYS;
    let value = || {
        let ttl = prop::option::weighted(0.7, 0..20_u64);
        (0..WEIGHT_MAX + 20, ttl).prop_map(|(weight, ttl)| Value { weight, ttl })
    };
    let cause = prop::sample::select(vec![RemovalCause::Invalidated, RemovalCause::Removed]);
    let step = prop_oneof![
        40 => key().prop_map(Step::Get),
        10 => key().prop_map(Step::Peek),
        60 => (key(), value(), prop::bool::weighted(0.9))
            .prop_map(|(key, value, holds)| Step::Insert(key, value, holds)),
        5 => key().prop_map(Step::Keep),
        30 => (key(), value()).prop_map(|(key, value)| Step::Put(key, value)),
        5 => key().prop_map(Step::Take),
        10 => (key(), cause).prop_map(|(key, cause)| Step::Remove(key, cause)),
        5 => (0..3_usize).prop_map(Step::Expire),
        1 => Just(Step::Clear),
        30 => (0..6_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..300)
}

#[derive(Clone, Debug)]
struct Entry {
    key: u64,
    value: u64,
    weight: usize,
    expires_at: Moment,
}

#[derive(Debug, Default)]
struct Model {
    /// The coldest first.
    order: Vec<Entry>,
    stats: Stats,
}

impl Model {
    fn remove_at(&mut self, place: usize, cause: RemovalCause) -> Entry {
        self.stats.count_removals(cause, 1);
        self.order.remove(place)
    }

    fn find(&mut self, key: u64, now: Moment) -> Option<usize> {
        let place = self.order.iter().position(|entry| entry.key == key)?;
        if self.order[place].expires_at >= now {
            return Some(place);
        }
        self.remove_at(place, RemovalCause::Expired);
        None
    }

    fn look(&mut self, key: u64, now: Moment) -> Option<u64> {
        self.find(key, now).map(|place| self.order[place].value)
    }

    fn get(&mut self, key: u64, now: Moment) -> Option<u64> {
        let place = self.find(key, now)?;
        let entry = self.order.remove(place);
        self.order.push(entry);
        self.order.last().map(|entry| entry.value)
    }

    fn expire_one(&mut self, now: Moment) -> bool {
        let expired = (0..self.order.len()).filter(|&at| self.order[at].expires_at < now);
        let first = expired.min_by_key(|&at| self.order[at].expires_at);
        first.map(|place| self.remove_at(place, RemovalCause::Expired)).is_some()
    }

    fn bytes(&self) -> usize {
        self.order.iter().map(|entry| entry.weight + OVERHEAD).sum()
    }

    /// Whether the entry was light enough.
    fn put(&mut self, entry: Entry, now: Moment) -> bool {
        if let Some(place) = self.find(entry.key, now) {
            self.remove_at(place, RemovalCause::Replaced);
        }
        if entry.weight > WEIGHT_MAX {
            self.stats.too_heavy += 1;
            return false;
        }
        self.expire_one(now);
        self.expire_one(now);
        while self.order.len() == ENTRIES || self.bytes() + entry.weight + OVERHEAD > BYTES {
            if !self.expire_one(now) {
                self.remove_at(0, RemovalCause::Evicted);
            }
        }
        self.stats.inserts += 1;
        self.order.push(entry);
        true
    }

    fn remove(&mut self, key: u64, now: Moment, cause: RemovalCause) -> Option<u64> {
        self.find(key, now).map(|place| self.remove_at(place, cause).value)
    }

    fn expire(&mut self, now: Moment, max: usize) -> Expired {
        let entries = (0..max).take_while(|_| self.expire_one(now)).count();
        Expired { entries, more: self.order.iter().any(|entry| entry.expires_at < now) }
    }

    fn clear(&mut self) {
        self.stats.count_removals(RemovalCause::Removed, self.order.len() as u64);
        self.order.clear();
    }

    fn stats(&self) -> Stats {
        let expiring = self.order.iter().filter(|entry| entry.expires_at != Moment::MAX).count();
        Stats { entries: self.order.len(), expiring, bytes: self.bytes(), ..self.stats }
    }
}

struct Pair {
    tier: Numbers,
    model: Model,
    ticks: u64,
    steps: u64,
}

impl Pair {
    fn new() -> Self {
        let bounds = Bounds::entries(ENTRIES).and_bytes(BYTES).entry_bytes_max(WEIGHT_MAX);
        Self { tier: Memory::new(bounds.shards(1)), model: Model::default(), ticks: 0, steps: 0 }
    }

    /// The entry that this step stores. Each step has its own value and, within a tick, its own
    /// moments, so that the order in which entries expire is never a tie.
    fn entry(&self, key: u64, Value { weight, ttl }: Value) -> Entry {
        let expires_at = ttl.map_or(Moment::MAX, |ttl| at((self.ticks + ttl) * 1000 + self.steps));
        Entry { key, value: self.steps, weight, expires_at }
    }

    fn apply(&mut self, step: Step) {
        self.steps += 1;
        let now = at(self.ticks * 1000);
        let (tier, model) = (&self.tier, &mut self.model);
        match step {
            Step::Get(key) => {
                assert_eq!(tier.get(&key, now, |value| *value), model.get(key, now));
            }
            Step::Peek(key) => {
                assert_eq!(tier.peek(&key, now, |value| *value), model.look(key, now));
            }
            Step::Insert(key, value, holds) => self.insert(self.entry(key, value), now, holds),
            Step::Keep(key) => {
                let seen = |held: Option<Held<'_, u64>>| held.map(|held| *held.value);
                let kept = tier.compute(&key, now, u64::clone, |held| (Change::Keep, seen(held)));
                assert_eq!(kept, (Outcome::Kept, model.look(key, now)));
            }
            Step::Put(key, value) => self.put(self.entry(key, value), now),
            Step::Take(key) => {
                let cause = RemovalCause::Removed;
                let remove = |_: Option<Held<'_, u64>>| (Change::Remove(cause), ());
                let (outcome, ()) = tier.compute(&key, now, u64::clone, remove);
                let removed = model.remove(key, now, cause).is_some();
                assert_eq!(outcome == Outcome::Removed, removed, "{outcome:?}");
            }
            Step::Remove(key, cause) => {
                let removed = tier.remove(&key, now, cause, || ());
                assert_eq!(removed, model.remove(key, now, cause));
            }
            Step::Expire(max) => assert_eq!(tier.expire(now, max), model.expire(now, max)),
            Step::Clear => {
                tier.clear(RemovalCause::Removed);
                model.clear();
            }
            Step::Wait(ticks) => self.ticks += ticks,
        }
        self.check();
    }

    fn insert(&mut self, entry: Entry, now: Moment, holds: bool) {
        let Entry { key, value, weight, expires_at } = entry;
        let held = self.model.look(key, now);
        let insert = self.tier.insert_if(key, value, weight, expires_at, now, |seen| {
            assert_eq!(seen.copied(), held);
            holds
        });
        let expected = if !holds {
            self.model.stats.refused += 1;
            Insert::Refused
        } else if self.model.put(entry, now) {
            Insert::Stored
        } else {
            Insert::TooHeavy
        };
        assert_eq!(insert, expected);
    }

    fn put(&mut self, entry: Entry, now: Moment) {
        let Entry { key, value, weight, expires_at } = entry;
        let put = Change::Put { value, weight, expires_at };
        let seen = |held: Option<Held<'_, u64>>| held.map(|held| *held.value);
        let put = self.tier.compute(&key, now, u64::clone, |held| (put, seen(held)));
        let held = self.model.look(key, now);
        let stored = self.model.put(entry, now);
        let outcome = if stored { Outcome::Stored } else { Outcome::TooHeavy };
        assert_eq!(put, (outcome, held));
    }

    fn check(&self) {
        self.tier.assert_invariants();
        assert_eq!(self.tier.stats(), self.model.stats());
        for shard in self.tier.shards() {
            let shard = shard.lock();
            let order = self.model.order.iter().map(|entry| &entry.key);
            assert!(shard.keys_coldest_first().eq(order), "{:?}", self.model.order);
        }
        let mut seen = 0;
        self.tier.for_each(Moment::ZERO, |key, held| {
            let entry = self.model.order.iter().find(|entry| entry.key == *key).unwrap();
            let expected = (entry.value, entry.weight, entry.expires_at);
            assert_eq!((*held.value, held.weight, held.expires_at), expected);
            seen += 1;
        });
        assert_eq!(seen, self.model.order.len());
    }
}

proptest! {
    #[test]
    fn the_tier_is_a_list_in_the_order_of_use(steps in steps()) {
        let mut pair = Pair::new();
        for step in steps {
            pair.apply(step);
        }
    }
}
