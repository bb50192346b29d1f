//! The order of what is done to the parts, watched at each step of it.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::budget::part::{self, Told};

const BUDGET: usize = 1 << 16;

/// The bound of each tier, checked whenever one is changed.
#[derive(Default)]
struct Watch(Mutex<Vec<(u64, usize)>>);

impl Watch {
    fn set(&self, tier: u64, bound: usize) {
        let mut bounds = self.0.lock();
        bounds.retain(|(other, _)| *other != tier);
        bounds.push((tier, bound));
        let sum: usize = bounds.iter().map(|(_, bound)| bound).sum();
        assert!(sum <= BUDGET, "{bounds:?} are more than {BUDGET}");
    }
}

/// A tier that is always full, of which all but `stuck` bytes can be evicted.
struct Pretended {
    number: u64,
    stuck: usize,
    bytes: AtomicU64,
    evicted: AtomicU64,
    watch: Arc<Watch>,
}

impl Tier for Pretended {
    fn tell(&self) -> Told {
        let bytes = self.bytes.load(Ordering::Relaxed) as usize;
        let evicted = self.evicted.load(Ordering::Relaxed);
        Told { entries: 1000, bytes, left: evicted, evicted }
    }

    fn resize(&self, bytes: usize) {
        let held = self.bytes.load(Ordering::Relaxed) as usize;
        let held = bytes.max(self.stuck.min(held));
        self.bytes.store(held as u64, Ordering::Relaxed);
        // What it holds is what counts, whatever the bound says.
        self.watch.set(self.number, held);
    }
}

impl Drop for Pretended {
    fn drop(&mut self) {
        self.watch.0.lock().retain(|(other, _)| *other != self.number);
    }
}

#[derive(Clone, Debug)]
enum Event {
    Join { stuck: usize },
    Leave(Index),
    Fills(Index, u64),
    Rebalance,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        2 => prop_oneof![3 => Just(0), 1 => 0..BUDGET].prop_map(|stuck| Event::Join { stuck }),
        1 => any::<Index>().prop_map(Event::Leave),
        6 => (any::<Index>(), 1_u64..200).prop_map(|(part, fills)| Event::Fills(part, fills)),
        4 => Just(Event::Rebalance),
    ];
    proptest::collection::vec(event, 0..100)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn at_no_step_are_the_parts_more_than_the_budget(events in events()) {
        let watch = Arc::new(Watch::default());
        let budget = Budget::bytes(BUDGET);
        let mut parts: Vec<(Arc<Pretended>, Seat)> = Vec::new();
        let mut was_stuck = false;
        for (number, event) in events.into_iter().enumerate() {
            match event {
                Event::Join { stuck } => {
                    was_stuck |= stuck > 0;
                    let tier = Arc::new(Pretended {
                        number: number as u64,
                        stuck,
                        bytes: AtomicU64::new(0),
                        evicted: AtomicU64::new(0),
                        watch: Arc::clone(&watch),
                    });
                    let erased: Arc<dyn Tier> = Arc::<Pretended>::clone(&tier);
                    let seat = budget.join_tier(&erased).unwrap();
                    parts.push((tier, seat));
                }
                Event::Leave(_) | Event::Fills(..) if parts.is_empty() => {}
                Event::Leave(part) => drop(parts.swap_remove(part.index(parts.len()))),
                Event::Fills(part, fills) => {
                    let (tier, seat) = &parts[part.index(parts.len())];
                    tier.evicted.fetch_add(fills, Ordering::Relaxed);
                    (0..fills).for_each(|fill| seat.filled(&(fill % 20), COST));
                }
                Event::Rebalance => drop(budget.rebalance()),
            }
            let known = budget.0.parts.lock();
            let bounds = part::bounds(&known);
            prop_assert!(bounds.iter().sum::<usize>() <= BUDGET);
            if !was_stuck && !bounds.is_empty() {
                prop_assert_eq!(bounds.iter().sum::<usize>(), BUDGET);
                let least = divide::floor(BUDGET, bounds.len());
                prop_assert!(bounds.iter().all(|&bound| bound + 32 >= least), "{:?}", bounds);
            }
        }
    }
}

#[test]
fn room_that_nothing_can_be_evicted_from_is_not_given_twice() {
    let watch = Arc::new(Watch::default());
    let budget = Budget::bytes(BUDGET);
    let join = |number, stuck| {
        let (bytes, evicted) = (AtomicU64::new(0), AtomicU64::new(0));
        let watch = Arc::clone(&watch);
        let tier: Arc<dyn Tier> = Arc::new(Pretended { number, stuck, bytes, evicted, watch });
        let seat = budget.join_tier(&tier).unwrap();
        (tier, seat)
    };
    // The first resize fills it.
    let _stuck = join(1, BUDGET * 3 / 4);
    let _newcomer = join(2, 0);
    let bounds = part::bounds(&budget.0.parts.lock());
    assert_eq!(bounds, [BUDGET * 3 / 4, BUDGET / 4]);
}
