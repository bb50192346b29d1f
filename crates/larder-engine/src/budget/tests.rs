//! Budgets over real tiers: who takes room from whom, and that it never sums up to too much.

mod parts;

use larder_core::{Moment, Times};
use larder_memory::policy::PolicyKind;
use larder_memory::{Bounds, Insert, RemovalCause};

use super::*;
use crate::memory::memory_tier;
use crate::slot::Slot;

const BUDGET: usize = 1 << 20;
const COST: Duration = Duration::from_millis(1);
/// What an entry weighs beside its overhead.
const WEIGHT: usize = 200;

/// A tier in a budget, and who asks it.
struct Asked<V> {
    memory: Arc<MemoryTier<u64, V>>,
    seat: Seat,
    cost: Duration,
    draws: u64,
}

impl<V: Clone + Default + Send + Sync + 'static> Asked<V> {
    fn new(budget: &Budget, policy: PolicyKind) -> Self {
        let memory = Arc::new(memory_tier(Bounds::bytes(budget.share()), policy, None));
        let seat = budget.join(&memory).unwrap();
        Self { memory, seat, cost: COST, draws: 1 }
    }

    /// Reads `key`, and fills it if it isn't held. Says whether it was.
    fn ask(&self, key: u64) -> bool {
        let held = self.memory.get(&key, Moment::ZERO).is_some();
        if !held {
            let times = Times::of_truth(Moment::ZERO, Moment::MAX);
            let slot = Slot {
                value: Some(V::default()),
                times,
                born: 0,
                cost_micros: 0,
                ledger: 0,
                rider: None,
            };
            let stored = self.memory.insert(key, slot, WEIGHT, Moment::MAX, Moment::ZERO);
            assert_eq!(stored, Insert::Stored);
            self.seat.filled(&key, self.cost);
        }
        held
    }

    /// Reads one of `keys` keys, small ones more often. The generator is that of Knuth's MMIX.
    fn ask_one_of(&mut self, keys: u64) -> bool {
        self.draws = self
            .draws
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let draw = (self.draws >> 11) as f64 / (1_u64 << 53) as f64;
        self.ask((draw * draw * keys as f64) as u64)
    }

    fn bound(&self) -> usize {
        self.memory.bounds().bytes_max().unwrap()
    }

    fn bytes(&self) -> usize {
        assert!(self.memory.bytes() <= self.bound());
        self.memory.bytes()
    }
}

/// How many of these were held.
fn hits(asks: impl Iterator<Item = bool>) -> usize {
    asks.filter(|held| *held).count()
}

fn check_hot_takes_from_cold(policy: PolicyKind) {
    let budget = Budget::bytes(BUDGET);
    let cold = Asked::<Vec<u8>>::new(&budget, policy);
    let mut hot = Asked::<u64>::new(&budget, policy);
    (0..5_000).for_each(|key| {
        cold.ask(key);
    });
    assert_eq!(hot.bound(), BUDGET / 2);
    assert!(cold.bytes() > BUDGET * 7 / 16, "it is full");

    let mut ask = || {
        let held = hot.ask_one_of(4_000);
        // Only a fill changes anything.
        if !held {
            assert!(hot.bytes() + cold.bytes() <= BUDGET);
            assert_eq!(hot.bound() + cold.bound(), BUDGET);
        }
        held
    };
    (0..4_000).for_each(|_| {
        ask();
    });
    let before = hits((0..4_000).map(|_| ask()));
    (0..40_000).for_each(|_| {
        ask();
    });
    let after = hits((0..4_000).map(|_| ask()));

    assert_eq!(cold.bound(), divide::floor(BUDGET, 2), "{policy}");
    assert!(hot.bytes() > BUDGET / 2, "{policy}");
    assert!(after > before * 11 / 10, "{policy}: {before} hits before, {after} after");
    assert_eq!(budget.moved(), (BUDGET / 2 - BUDGET / 8) as u64);
}

#[test]
fn a_hot_cache_takes_room_from_a_cold_one() {
    for policy in [PolicyKind::Lru, PolicyKind::Sieve, PolicyKind::TinyLfu, PolicyKind::Adaptive] {
        check_hot_takes_from_cold(policy);
    }
}

#[test]
fn a_cache_that_becomes_hot_gets_its_room_back() {
    let budget = Budget::bytes(BUDGET);
    let mut one = Asked::<u64>::new(&budget, PolicyKind::default());
    let mut other = Asked::<[u8; 4]>::new(&budget, PolicyKind::default());
    (0..40_000).for_each(|_| {
        one.ask_one_of(5_000);
    });
    assert_eq!(other.bound(), divide::floor(BUDGET, 2));
    (0..60_000).for_each(|_| {
        other.ask_one_of(5_000);
    });
    assert_eq!(one.bound(), divide::floor(BUDGET, 2));
}

#[test]
fn a_scan_takes_nothing_however_much_it_evicts() {
    let budget = Budget::bytes(BUDGET);
    let mut used = Asked::<u64>::new(&budget, PolicyKind::default());
    let scan = Asked::<u64>::new(&budget, PolicyKind::default());
    for key in 0..60_000 {
        scan.ask(key);
        // It misses far less often than the scan.
        used.ask_one_of(2_500);
    }
    assert!(used.bound() > BUDGET * 5 / 8, "{} of {BUDGET}", used.bound());
}

#[test]
fn of_two_equals_neither_takes_from_the_other() {
    let budget = Budget::bytes(BUDGET);
    let mut one = Asked::<u64>::new(&budget, PolicyKind::default());
    let mut other = Asked::<u64>::new(&budget, PolicyKind::default());
    for _ in 0..60_000 {
        one.ask_one_of(5_000);
        other.ask_one_of(5_000);
        let bound = one.bound();
        assert!((BUDGET * 3 / 8..=BUDGET * 5 / 8).contains(&bound), "{bound} of {BUDGET}");
    }
}

#[test]
fn of_two_equals_the_one_that_is_dear_to_load_gets_more() {
    let budget = Budget::bytes(BUDGET);
    let mut cheap = Asked::<u64>::new(&budget, PolicyKind::default());
    let mut dear = Asked::<u64>::new(&budget, PolicyKind::default());
    dear.cost = COST * 10;
    for _ in 0..60_000 {
        cheap.ask_one_of(5_000);
        dear.ask_one_of(5_000);
    }
    assert!(dear.bound() > BUDGET * 5 / 8, "{} of {BUDGET}", dear.bound());
}

#[test]
fn what_leaves_for_other_reasons_wants_no_room() {
    let budget = Budget::bytes(BUDGET);
    let still = Asked::<u64>::new(&budget, PolicyKind::default());
    let changing = Asked::<u64>::new(&budget, PolicyKind::default());
    (0..5_000).for_each(|key| {
        still.ask(key);
    });
    // It is as full as it gets without an eviction.
    let keys = (0..).find(|&key| {
        changing.ask(key);
        changing.bytes() > changing.bound() * 7 / 8
    });
    for round in 0..20_000 {
        let key = round % keys.unwrap();
        changing.memory.remove(&key, Moment::ZERO, RemovalCause::Invalidated, |_| ());
        changing.ask(key);
    }
    assert!(changing.seat.returns.counted().returns > 1_000);
    assert_eq!((changing.bound(), budget.moved()), (BUDGET / 2, 0));
}

#[test]
fn a_dropped_cache_gives_its_room_back() {
    let budget = Budget::bytes(BUDGET);
    let [stays, leaves] = [0, 1].map(|_| Asked::<u64>::new(&budget, PolicyKind::default()));
    assert_eq!(stays.bound(), BUDGET / 2);
    let Asked { memory, seat, .. } = leaves;
    drop(memory);
    budget.rebalance();
    assert_eq!(stays.bound(), BUDGET / 2, "its values may still be on their way out");
    drop(seat);
    budget.rebalance();
    assert_eq!(stays.bound(), BUDGET);
}

#[test]
fn room_that_nobody_got_goes_to_the_next_who_grows() {
    let budget = Budget::bytes(BUDGET);
    let cold = Asked::<u64>::new(&budget, PolicyKind::default());
    let mut hot = Asked::<u64>::new(&budget, PolicyKind::default());
    // As if the step had ended here, with the panic of a destructor.
    assert_eq!(budget.0.parts.lock()[0].shrink(BUDGET / 4), BUDGET / 4);
    assert_eq!(cold.bound() + hot.bound(), BUDGET * 3 / 4);
    while budget.moved() == 0 {
        hot.ask_one_of(4_000);
    }
    assert_eq!(cold.bound() + hot.bound(), BUDGET);
}

#[test]
fn a_tier_that_somebody_holds_stays_a_part() {
    let budget = Budget::bytes(BUDGET);
    let [stays, held] = [0, 1].map(|_| Asked::<u64>::new(&budget, PolicyKind::default()));
    let Asked { memory, seat, .. } = held;
    drop(seat);
    budget.rebalance();
    assert_eq!((stays.bound(), memory.bounds().bytes_max()), (BUDGET / 2, Some(BUDGET / 2)));
}

#[test]
fn a_tier_joins_once() {
    let budget = Budget::bytes(BUDGET);
    let one = Asked::<u64>::new(&budget, PolicyKind::default());
    let again = budget.join(&one.memory).unwrap();
    assert_eq!((one.bound(), budget.share()), (BUDGET, BUDGET / 2));
    again.filled(&1, COST);
    one.seat.filled(&1, COST);
    // They note in one book: nothing is within reach before the first look.
    budget.rebalance();
    again.filled(&1, COST);
    assert_eq!(one.seat.returns.counted(), again.returns.counted());
}

#[test]
fn more_tiers_than_the_limit_are_refused() {
    let budget = Budget::bytes(BUDGET);
    let join = || {
        let memory = Arc::new(memory_tier::<u64, u64>(Bounds::bytes(0), PolicyKind::Fifo, None));
        budget.join(&memory).map(|seat| (memory, seat))
    };
    let mut parts: Vec<_> = (0..PARTS_MAX).map(|_| join().unwrap()).collect();
    assert_eq!(join().unwrap_err().kind(), ErrorKind::Config);
    drop(parts.pop());
    assert!(join().is_ok());
}

/// Each of two asks for much in turn, and looks now and then whether all bounds hold.
fn ask_by_turns<V: Clone + Default + Send + Sync + 'static>(
    budget: &Budget,
    part: &mut Asked<V>,
    many: [u64; 2],
    memories: (&MemoryTier<u64, u64>, &MemoryTier<u64, Vec<u8>>),
) {
    for keys in many.into_iter().cycle().take(6) {
        for asks in 0..20_000 {
            part.ask_one_of(keys);
            if asks % 64 == 0 {
                // Nobody moves room meanwhile.
                let parts = budget.0.parts.lock();
                let [one, other] = [parts[0].bound, parts[1].bound];
                assert_eq!(one + other, BUDGET);
                assert!(memories.0.bytes() <= one && memories.1.bytes() <= other);
            }
        }
    }
}

#[test]
fn the_bounds_hold_while_threads_fill_and_room_moves() {
    let budget = Budget::bytes(BUDGET);
    let mut one = Asked::<u64>::new(&budget, PolicyKind::default());
    let mut other = Asked::<Vec<u8>>::new(&budget, PolicyKind::default());
    let (first, second) = (Arc::clone(&one.memory), Arc::clone(&other.memory));
    std::thread::scope(|scope| {
        let (budget, memories) = (&budget, (&*first, &*second));
        scope.spawn(move || ask_by_turns(budget, &mut one, [5_000, 500], memories));
        scope.spawn(move || ask_by_turns(budget, &mut other, [500, 5_000], memories));
    });
    assert!(budget.moved() > 0);
}
