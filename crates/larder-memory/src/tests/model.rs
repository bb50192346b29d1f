//! The tier against a model that is too simple to be wrong: a list in the order of use.
//!
//! The model doesn't say which of the entries that have expired a write frees, since a write only
//! looks at a few; it takes that from the tier, and checks that each had.

use std::collections::BTreeMap;

use larder_policy::{Chosen, PolicyKind};
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
    Retain(u64),
    Expire(usize),
    Clear,
    Reclaim,
    /// To so many entries, and bytes for so many, if bytes are bounded.
    Resize(usize, Option<usize>),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || 0..KEYS;
    let value = || {
        let weight = prop_oneof![1 => Just(0), 3 => 0..WEIGHT_MAX + 20];
        let ttl = prop_oneof![8 => 0..20_u64, 1 => 0..2000_u64];
        (weight, prop::option::weighted(0.7, ttl)).prop_map(|(weight, ttl)| Value { weight, ttl })
    };
    let cause = prop::sample::select(vec![RemovalCause::Invalidated, RemovalCause::Removed]);
    let bytes = prop::option::weighted(0.7, 0..8_usize);
    let step = prop_oneof![
        40 => key().prop_map(Step::Get),
        10 => key().prop_map(Step::Peek),
        60 => (key(), value(), prop::bool::weighted(0.9))
            .prop_map(|(key, value, holds)| Step::Insert(key, value, holds)),
        5 => key().prop_map(Step::Keep),
        30 => (key(), value()).prop_map(|(key, value)| Step::Put(key, value)),
        5 => key().prop_map(Step::Take),
        10 => (key(), cause).prop_map(|(key, cause)| Step::Remove(key, cause)),
        2 => (2..5_u64).prop_map(Step::Retain),
        5 => (0..3_usize).prop_map(Step::Expire),
        1 => Just(Step::Clear),
        3 => Just(Step::Reclaim),
        2 => (0..10_usize, bytes).prop_map(|(entries, bytes)| Step::Resize(entries, bytes)),
        30 => prop_oneof![5 => 0..6_u64, 1 => 0..300_u64].prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..300)
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    key: u64,
    value: u64,
    weight: usize,
    expires_at: Moment,
}

fn bounds(entries: usize, bytes: Option<usize>, candidates: Candidates) -> Bounds {
    let bounds = Bounds::entries(entries).entry_bytes_max(WEIGHT_MAX).shards(1);
    let bounds = bytes.map_or(bounds, |bytes| bounds.and_bytes(bytes));
    bounds.candidates(candidates)
}

fn copied(held: Option<&u64>) -> Option<u64> {
    held.copied()
}

struct Pair {
    tier: Memory<u64, u64, RandomState, Chosen>,
    kind: PolicyKind,
    candidates: Candidates,
    entries: usize,
    bytes: usize,
    /// After so many nanoseconds entries expire that aren't used.
    idle: Option<u64>,
    /// The coldest first.
    order: Vec<Entry>,
    /// When the tier noted the last use of each key.
    noted: BTreeMap<u64, Moment>,
    /// What must have been counted since the start.
    before: Stats,
    ticks: u64,
    steps: u64,
}

impl Pair {
    fn new(kind: PolicyKind, candidates: Candidates, idle: Option<u64>) -> Self {
        let builder = Builder::new(bounds(ENTRIES, Some(BYTES), candidates))
            .policy(move |capacity| Chosen::of(kind, capacity));
        let tier = match idle {
            Some(nanos) => builder.idle_for(Duration::from_nanos(nanos)).build(),
            None => builder.build(),
        };
        Self {
            tier,
            kind,
            candidates,
            entries: ENTRIES,
            bytes: BYTES,
            idle,
            order: Vec::new(),
            noted: BTreeMap::new(),
            before: Stats::default(),
            ticks: 0,
            steps: 0,
        }
    }

    fn now(&self) -> Moment {
        at(self.ticks * TICK / 2)
    }

    fn entry(&self, key: u64, Value { weight, ttl }: Value) -> Entry {
        let expires_at = ttl.map_or(Moment::MAX, |ttl| at((self.ticks + ttl) * TICK / 2));
        Entry { key, value: self.steps, weight, expires_at }
    }

    /// The live value under a key.
    fn look(&self, key: u64) -> Option<u64> {
        let live = |entry: &&Entry| entry.key == key && self.lives(entry);
        self.order.iter().find(live).map(|entry| entry.value)
    }

    fn lives(&self, entry: &Entry) -> bool {
        let unused = |nanos: u64| self.noted[&entry.key] + Duration::from_nanos(nanos + nanos / 32);
        entry.expires_at.min(self.idle.map_or(Moment::MAX, unused)) >= self.now()
    }

    /// Notes a use if the last note is old enough.
    fn note(&mut self, key: u64) {
        let granule = Duration::from_nanos(self.idle.unwrap_or(0) / 32);
        if self.now() > self.noted[&key] + granule {
            self.noted.insert(key, self.now());
        }
    }

    /// Whether bounds as they are have room for these.
    fn fits<'a>(&self, entries: impl Iterator<Item = &'a Entry> + Clone) -> bool {
        entries.clone().count() <= self.entries
            && entries.map(|entry| entry.weight + OVERHEAD).sum::<usize>() <= self.bytes
    }

    fn offers(&self, entry: &Entry) -> bool {
        self.candidates == Candidates::All || entry.expires_at != Moment::MAX
    }

    fn apply(&mut self, step: Step) {
        self.steps += 1;
        let now = self.now();
        self.before = self.tier.stats();
        match step {
            Step::Get(key) => {
                assert_eq!(self.tier.get(&key, now), self.look(key));
                // With an exact policy a read frees what it finds expired.
                self.follow(None, None);
                if let Some(place) = self.order.iter().position(|entry| entry.key == key)
                    && self.lives(&self.order[place])
                {
                    self.note(key);
                    let entry = self.order.remove(place);
                    self.order.push(entry);
                }
            }
            Step::Peek(key) => {
                assert_eq!(self.tier.peek(&key, now, |value| *value), self.look(key));
            }
            Step::Insert(key, value, holds) => self.insert(self.entry(key, value), holds),
            Step::Keep(key) => {
                let seen = |held: Option<Held<'_, u64>>| held.map(|held| *held.value);
                let kept =
                    self.tier.compute(&key, now, u64::clone, |held| (Change::Keep, seen(held)));
                assert_eq!(kept, (Outcome::Kept, self.look(key)));
                self.follow(None, None);
            }
            Step::Put(key, value) => self.put(self.entry(key, value)),
            Step::Take(key) => {
                let cause = RemovalCause::Removed;
                let remove = |_: Option<Held<'_, u64>>| (Change::Remove(cause), ());
                let (outcome, ()) = self.tier.compute(&key, now, u64::clone, remove);
                let removed = self.look(key).is_some();
                assert_eq!(outcome == Outcome::Removed, removed, "{outcome:?}");
                self.follow(removed.then_some((key, cause)), None);
            }
            Step::Remove(key, cause) => {
                let removed = self.tier.remove(&key, now, cause, copied);
                assert_eq!(removed, self.look(key));
                self.follow(removed.map(|_| (key, cause)), None);
            }
            Step::Retain(each) => {
                self.tier.retain(now, RemovalCause::Removed, |key, _| key % each != 0);
                let order = std::mem::take(&mut self.order);
                let stays = |entry: &Entry| self.lives(entry) && !entry.key.is_multiple_of(each);
                self.order = order.into_iter().filter(stays).collect();
            }
            Step::Expire(max) => {
                let expired = self.order.iter().filter(|entry| !self.lives(entry)).count();
                let expected = Expired { entries: max.min(expired), more: expired > max };
                assert_eq!(self.tier.expire(now, max), expected);
                self.follow(None, None);
            }
            Step::Clear => {
                self.tier.clear(RemovalCause::Removed);
                self.order.clear();
            }
            Step::Reclaim => self.tier.reclaim(),
            Step::Resize(entries, bytes) => {
                // Where not all may be evicted, less room may be kept by nothing.
                let entries = entries.max(if self.candidates == Candidates::All { 0 } else { 8 });
                let bytes = bytes.filter(|_| self.candidates == Candidates::All);
                let bytes = bytes.map(|bytes| bytes * (OVERHEAD + 50));
                (self.entries, self.bytes) = (entries, bytes.unwrap_or(usize::MAX / 4));
                self.tier.resize(bounds(entries, bytes, self.candidates));
                self.follow(None, None);
            }
            Step::Wait(ticks) => self.ticks += ticks,
        }
        self.check();
    }

    fn insert(&mut self, entry: Entry, holds: bool) {
        let Entry { key, value, weight, expires_at } = entry;
        let held = self.look(key);
        let now = self.now();
        let insert = self.tier.insert_if(key, value, weight, expires_at, now, |seen| {
            assert_eq!(seen.copied(), held);
            holds
        });
        if holds {
            self.stored(entry, insert);
        } else {
            assert_eq!(insert, Insert::Refused);
            self.follow(None, None);
        }
    }

    fn put(&mut self, entry: Entry) {
        let Entry { key, value, weight, expires_at } = entry;
        let put = Change::Put { value, weight, expires_at };
        let seen = |held: Option<Held<'_, u64>>| held.map(|held| *held.value);
        let held = self.look(key);
        let now = self.now();
        let (outcome, saw) = self.tier.compute(&key, now, u64::clone, |held| (put, seen(held)));
        assert_eq!(saw, held);
        let insert = match outcome {
            Outcome::Stored => Insert::Stored,
            Outcome::TooHeavy => Insert::TooHeavy,
            Outcome::NoRoom => Insert::NoRoom,
            Outcome::Kept | Outcome::Removed => panic!("{outcome:?}"),
        };
        self.stored(entry, insert);
    }

    /// What came of storing this entry.
    fn stored(&mut self, entry: Entry, insert: Insert) {
        let admitted = entry.weight <= WEIGHT_MAX && self.fits(std::iter::once(&entry));
        let replaced = self.look(entry.key).map(|_| (entry.key, RemovalCause::Replaced));
        match insert {
            Insert::Stored => {
                assert!(admitted);
                self.follow(replaced, Some(entry));
            }
            Insert::TooHeavy => {
                assert!(!admitted);
                self.follow(replaced, None);
            }
            Insert::NoRoom => {
                assert!(admitted && self.candidates == Candidates::Expiring);
                // Nothing that may be evicted is left, except what was to be replaced.
                let held = self.held();
                self.order.retain(|old| held.contains_key(&old.key));
                let others = self.order.iter().filter(|old| old.key != entry.key);
                assert!(!others.clone().any(|old| self.offers(old) && self.lives(old)));
                assert!(!self.fits(others.chain([&entry])));
            }
            Insert::Refused => panic!("it holds"),
        }
    }

    /// What the tier has, whether it has expired or not.
    fn held(&self) -> BTreeMap<u64, Entry> {
        let mut held = BTreeMap::new();
        self.tier.for_each(Moment::ZERO, |&key, seen| {
            let (&value, weight, expires_at) = (seen.value, seen.weight, seen.expires_at);
            assert!(held.insert(key, Entry { key, value, weight, expires_at }).is_none());
        });
        held
    }

    /// Lets the model forget what the tier has, and checks that each entry had to go: one for a
    /// known cause, those that had expired, and the coldest for room.
    fn follow(&mut self, known: Option<(u64, RemovalCause)>, new: Option<Entry>) {
        let (held, stats) = (self.held(), self.tier.stats());
        let count = |cause| stats.removals(cause) - self.before.removals(cause);
        let key = known.map(|(key, _)| key);
        if let Some((_, cause)) = known {
            assert_eq!(count(cause), 1, "{cause:?}");
        }
        let stays = |entry: &Entry| {
            held.get(&entry.key).is_some_and(|other| other == entry) && key != Some(entry.key)
        };
        let gone: Vec<_> = self
            .order
            .iter()
            .filter(|entry| !stays(entry) && key != Some(entry.key))
            .cloned()
            .collect();
        let evicted: Vec<_> = gone.iter().filter(|entry| self.lives(entry)).collect();
        let total = count(RemovalCause::Evicted) + count(RemovalCause::Expired);
        assert_eq!(gone.len() as u64, total, "{gone:?}");
        assert!(evicted.len() as u64 <= count(RemovalCause::Evicted), "{evicted:?}");
        if let Some(hottest) = evicted.last() {
            // Without the last of them there would not have been room.
            let needed = self.order.iter().filter(|entry| stays(entry)).chain(&new);
            let would_fit = self.fits(needed.chain([*hottest]));
            // Expired entries that were only found later may have made room as well.
            let exact = self.kind == PolicyKind::Lru && gone.len() == evicted.len();
            assert!(!exact || !would_fit, "{evicted:?} in vain");
            assert!(evicted.iter().all(|entry| self.offers(entry)));
        }
        if self.kind == PolicyKind::Lru
            && let Some(hottest) = evicted.last()
        {
            let colder = self.order.iter().take_while(|entry| entry != hottest);
            let stayed = colder.clone().find(|entry| stays(entry) && self.offers(entry));
            assert_eq!(stayed, None, "{evicted:?} left before what is colder");
        }
        // To be replaced is to be used.
        self.order.retain(stays);
        if let Some(new) = &new {
            self.noted.insert(new.key, self.now());
        }
        self.order.extend(new);
    }

    fn check(&self) {
        self.tier.assert_invariants();
        let stats = self.tier.stats();
        let held = self.held();
        assert_eq!(held.len(), self.order.len());
        for entry in &self.order {
            assert_eq!(held.get(&entry.key), Some(entry));
        }
        let expires = |entry: &&Entry| self.idle.is_some() || entry.expires_at != Moment::MAX;
        let expiring = self.order.iter().filter(expires).count();
        assert_eq!((stats.entries, stats.expiring), (self.order.len(), expiring));
        assert!(self.fits(self.order.iter()), "{:?}", self.order);
    }
}

/// How long entries may go unused: less than a tick, some, or a time in which wheels turn.
fn idle() -> impl Strategy<Value = Option<u64>> {
    let ticks = prop_oneof![Just(TICK / 3), (1..40_u64).prop_map(|ticks| ticks * TICK / 2)];
    prop::option::of(ticks)
}

/// Which of the other policies, and which candidates.
fn kinds() -> impl Strategy<Value = (PolicyKind, Candidates)> {
    let candidates = prop::sample::select(vec![Candidates::All, Candidates::Expiring]);
    (prop::sample::select(PolicyKind::ALL.to_vec()), candidates)
}

proptest! {
    #[test]
    fn the_tier_is_a_list_in_the_order_of_use(
        steps in steps(),
        candidates in prop::sample::select(vec![Candidates::All, Candidates::Expiring]),
        idle in idle(),
    ) {
        let mut pair = Pair::new(PolicyKind::Lru, candidates, idle);
        for step in steps {
            pair.apply(step);
        }
    }

    #[test]
    fn with_every_policy_reads_return_what_was_stored_last(
        (kind, candidates) in kinds(),
        steps in steps(),
        idle in idle(),
    ) {
        let mut pair = Pair::new(kind, candidates, idle);
        for step in steps {
            pair.apply(step);
        }
    }
}
