//! Code of users that panics: the tier stays sound, and nothing is dropped twice.

use std::cell::Cell;
use std::hash::{BuildHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

thread_local! {
    /// What panics on this thread.
    static FUSE: Cell<Fuse> = const { Cell::new(Fuse::Nothing) };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fuse {
    Nothing,
    Hasher,
    Equality,
    Clone,
    Destructor,
}

fn blow(fuse: Fuse) {
    if FUSE.get() == fuse {
        FUSE.set(Fuse::Nothing);
        panic!("{fuse:?}");
    }
}

/// A key or value each part of which can panic.
struct Touchy {
    number: u64,
    alive: Arc<AtomicUsize>,
}

impl Touchy {
    fn new(number: u64, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self { number, alive: Arc::clone(alive) }
    }
}

impl Clone for Touchy {
    fn clone(&self) -> Self {
        blow(Fuse::Clone);
        Self::new(self.number, &self.alive)
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
        blow(Fuse::Destructor);
    }
}

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        blow(Fuse::Equality);
        self.number == other.number
    }
}

impl Eq for Touchy {}

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

struct TouchyHasher;

impl BuildHasher for TouchyHasher {
    type Hasher = std::hash::DefaultHasher;

    fn build_hasher(&self) -> Self::Hasher {
        blow(Fuse::Hasher);
        std::hash::DefaultHasher::new()
    }
}

type Tier = Memory<Touchy, Touchy, TouchyHasher, Lru>;
type Operation = fn(&Tier, &Arc<AtomicUsize>);

const OPERATIONS: [Operation; 12] = [
    |tier, alive| drop(tier.get(&Touchy::new(1, alive), NOW)),
    |tier, alive| drop(tier.get_with(&Touchy::new(1, alive), NOW, Touchy::clone)),
    |tier, alive| drop(tier.get_ref(&Touchy::new(1, alive), NOW)),
    |tier, alive| drop(tier.get_many(&[Touchy::new(1, alive), Touchy::new(2, alive)], NOW)),
    |tier, alive| drop(tier.peek(&Touchy::new(1, alive), NOW, Touchy::clone)),
    |tier, alive| {
        let (key, value) = (Touchy::new(1, alive), Touchy::new(1, alive));
        let _ = tier.insert(key, value, 0, at(1), NOW);
    },
    |tier, alive| {
        let (key, value) = (Touchy::new(9, alive), Touchy::new(9, alive));
        let _ = tier.insert_if(key, value, 0, at(1), NOW, |_| true);
    },
    |tier, alive| {
        let value = Touchy::new(1, alive);
        let put = Change::Put { value, weight: 0, expires_at: Moment::MAX };
        let _ = tier.compute(&Touchy::new(1, alive), NOW, Touchy::clone, |_| (put, ()));
    },
    |tier, alive| tier.remove(&Touchy::new(1, alive), NOW, RemovalCause::Removed, |_| ()),
    |tier, _| tier.retain(NOW, RemovalCause::Removed, |key, _| key.number != 2),
    |tier, _| tier.clear(RemovalCause::Removed),
    |tier, _| tier.resize(Bounds::entries(1)),
];

#[test]
fn a_panic_in_a_part_of_a_key_or_value_leaves_the_tier_sound() {
    for listens in [false, true] {
        for fuse in [Fuse::Hasher, Fuse::Equality, Fuse::Clone, Fuse::Destructor] {
            for operation in OPERATIONS {
                let alive = Arc::default();
                let mut builder = Builder::new(Bounds::entries(4).shards(1))
                    .hasher(TouchyHasher)
                    .policy(Lru::new);
                if listens {
                    builder = builder.on_removal(|_, _, _| ());
                }
                let tier = builder.build();
                for number in 1..5 {
                    let (key, value) = (Touchy::new(number, &alive), Touchy::new(number, &alive));
                    assert_eq!(tier.insert(key, value, 0, at(9), NOW), Insert::Stored);
                }
                FUSE.set(fuse);
                let panicked = catch_unwind(AssertUnwindSafe(|| operation(&tier, &alive)));
                let blown = FUSE.replace(Fuse::Nothing) == Fuse::Nothing;
                assert_eq!(panicked.is_err(), blown);
                tier.assert_invariants();
                until(|| tier.reclaim(), || alive.load(Ordering::Relaxed) == 2 * tier.entries());
                operation(&tier, &alive);
                tier.assert_invariants();
                // One of the destructors panics when the tier itself is dropped.
                FUSE.set(Fuse::Destructor);
                let entries = tier.entries();
                let dropped = catch_unwind(AssertUnwindSafe(|| drop(tier)));
                let blown = FUSE.replace(Fuse::Nothing) == Fuse::Nothing;
                assert!(blown || entries == 0);
                assert_eq!(dropped.is_err(), blown);
                assert_eq!(alive.load(Ordering::Relaxed), 0);
            }
        }
    }
}

#[test]
fn a_panic_in_a_closure_undoes_its_own_change() {
    let memory = entries(10);
    assert_eq!(put(&memory, 1, 1), Insert::Stored);
    let put = || Change::Put { value: 20, weight: 1, expires_at: Moment::MAX };
    let panics: [&dyn Fn(); 9] = [
        &|| memory.get_with(&1, NOW, |_| panic!("read")).unwrap(),
        &|| memory.peek(&1, NOW, |_| panic!("read")).unwrap(),
        &|| memory.compute(&2, NOW, u64::clone, |_| panic!("change")).1,
        &|| memory.compute(&2, NOW, |_| panic!("own"), |_| (put(), ())).1,
        &|| assert_eq!(memory.insert_if(2, 2, 1, at(1), NOW, |_| panic!("holds")), Insert::Stored),
        &|| memory.remove(&1, NOW, RemovalCause::Removed, |_| panic!("read")),
        &|| memory.for_each(NOW, |_, _| panic!("visit")),
        &|| memory.retain(NOW, RemovalCause::Removed, |_, _| panic!("keep")),
        &|| drop(memory.get_many([&1].into_iter().inspect(|_| panic!("keys")), NOW)),
    ];
    for panics in panics {
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!((keys(&memory), memory.bytes()), (vec![1], OVERHEAD + 1));
    }
}

#[test]
fn what_a_panic_lets_go_of_may_call_the_tier() {
    struct Caller<'a>(&'a Memory<u64, u64>);

    impl Drop for Caller<'_> {
        fn drop(&mut self) {
            assert_eq!(self.0.entries(), 0);
        }
    }

    let other = Memory::new(Bounds::entries(1));
    let memory: Memory<u64, Caller<'_>> = Memory::new(Bounds::entries(10));
    let put = Change::Put { value: Caller(&other), weight: 0, expires_at: Moment::MAX };
    let own = |_: &u64| -> u64 { panic!("own") };
    let computes = || memory.compute(&1, NOW, own, |_| (put, ())).1;
    assert!(catch_unwind(AssertUnwindSafe(computes)).is_err());
    memory.assert_invariants();
}

#[test]
fn a_panic_in_the_listener_loses_no_destructor() {
    let alive = Arc::new(AtomicUsize::new(0));
    let memory = Builder::new(Bounds::entries(8).shards(1))
        .policy(Lru::new)
        .on_removal(|key: &u64, _: &Touchy, _| assert!(!key.is_multiple_of(3), "listener"))
        .build();
    let mut panics = 0;
    for key in 0..1000 {
        let value = Touchy::new(key, &alive);
        let insert = || memory.insert(key, value, 0, Moment::MAX, NOW);
        panics += usize::from(catch_unwind(AssertUnwindSafe(insert)).is_err());
        memory.assert_invariants();
    }
    assert!(panics > 100, "{panics}");
    drop(memory);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}
