//! The tier under a scheduler that explores the order in which threads run:
//! `RUSTFLAGS="--cfg shuttle" cargo test -p larder-memory --lib`.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use larder_core::Moment;
use larder_core::sync::{AtomicU64, Ordering};
use shuttle::thread;

use crate::{Bounds, Insert, Memory, RemovalCause};

type Tier = Memory<u64, u64, BuildHasherDefault<DefaultHasher>>;

const NOW: Moment = Moment::ZERO;
const KEY: u64 = 1;
const ORDERS: usize = 2000;

fn tier(bounds: Bounds) -> Arc<Tier> {
    Arc::new(Memory::with_hasher(bounds.shards(2), BuildHasherDefault::default()))
}

#[derive(Default)]
struct World {
    row: AtomicU64,
    epoch: AtomicU64,
}

/// Reads the row and fills the tier, unless the fence that it took before was raised.
fn fill(tier: &Tier, world: &World) -> Insert {
    let fence = world.epoch.load(Ordering::Acquire);
    let row = world.row.load(Ordering::Acquire);
    let holds = |_: Option<&u64>| world.epoch.load(Ordering::Acquire) == fence;
    tier.insert_if(KEY, row, 0, Moment::MAX, NOW, holds)
}

#[test]
fn a_fill_that_an_invalidation_overlaps_is_never_seen() {
    shuttle::check_random(
        || {
            let (tier, world) = (tier(Bounds::entries(10)), Arc::new(World::default()));
            let fillers = [(), ()].map(|()| {
                let (tier, world) = (Arc::clone(&tier), Arc::clone(&world));
                thread::spawn(move || fill(&tier, &world))
            });
            world.row.store(1, Ordering::Release);
            tier.remove(&KEY, NOW, RemovalCause::Invalidated, || {
                world.epoch.fetch_add(1, Ordering::AcqRel);
            });
            assert_ne!(tier.get(&KEY, NOW, |row| *row), Some(0));
            let fills = fillers.map(|filler| filler.join().unwrap());
            assert_ne!(tier.get(&KEY, NOW, |row| *row), Some(0), "{fills:?}");
            tier.assert_invariants();
        },
        ORDERS,
    );
}

#[test]
fn the_bounds_hold_in_every_order() {
    shuttle::check_random(
        || {
            let tier = tier(Bounds::entries(4));
            let threads = [0, 10, 20].map(|first| {
                let tier = Arc::clone(&tier);
                thread::spawn(move || {
                    for key in first..first + 4 {
                        let insert = tier.insert_if(key, key, 0, Moment::MAX, NOW, |_| true);
                        assert_eq!(insert, Insert::Stored);
                        assert!(tier.entries() <= 4);
                    }
                })
            });
            for thread in threads {
                thread.join().unwrap();
            }
            tier.assert_invariants();
        },
        ORDERS,
    );
}
