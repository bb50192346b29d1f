//! Readers and writers in a hurry on a real Memcached: what is fresh is never older than the last
//! invalidation that had returned before the read began.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::*;
use larder_core::SharedTier;
use larder_core::envelope::Envelope;
use larder_core::shared::{Invalidation, Lease, SharedEntry, SharedFill, SharedRead};
use larder_memcached::MemcachedTier;
use larder_test::Memcached;

const KEYS: u64 = 3;
const STEPS: u64 = 5_000;

/// A key's row in the source.
#[derive(Default)]
struct Row {
    /// The version that a load sees.
    committed: AtomicU64,
    /// The latest version whose invalidation has returned.
    announced: AtomicU64,
}

struct World {
    rows: Vec<Row>,
    stored: AtomicU64,
    refused: AtomicU64,
}

impl World {
    /// Checks an entry that a read returned which began when `floor` was announced.
    fn check(&self, entry: &SharedEntry, floor: u64) {
        let version = Envelope::stamp_of(&entry.envelope).unwrap();
        assert!(is_stale(entry) || version >= floor, "fresh {version}, announced {floor}");
    }
}

/// Numbers that look random, from a seed.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

async fn run(world: Arc<World>, tier: MemcachedTier, mut seed: u64) {
    for _ in 0..STEPS {
        let at = next(&mut seed) % KEYS;
        let (row, key) = (&world.rows[at as usize], at.to_be_bytes());
        let floor = row.announced.load(Ordering::SeqCst);
        match next(&mut seed) % 16 {
            0 | 1 => {
                let version = row.committed.fetch_add(1, Ordering::SeqCst) + 1;
                let strike =
                    [Invalidation::Drop, Invalidation::MarkStale][(next(&mut seed) % 2) as usize];
                invalidate(&tier, &key, strike).await;
                row.announced.fetch_max(version, Ordering::SeqCst);
            }
            2 | 3 => {
                if let Some(entry) = get(&tier, &key).await {
                    world.check(&entry, floor);
                }
            }
            4 => {
                // Gone before the answer is there, most of the time.
                let asking = ask(&tier, &key);
                let _ = tokio::time::timeout(Duration::from_micros(30), asking).await;
            }
            kind => {
                let seen = (kind < 8).then(|| row.committed.load(Ordering::SeqCst));
                match try_ask(&tier, &key, seen, LEASE).await.unwrap() {
                    SharedRead::Hit(entry) => world.check(&entry, floor),
                    SharedRead::Miss(lease) => {
                        load(&world, &tier, row, &key, lease, &mut seed).await;
                    }
                    SharedRead::Stale { entry, lease } => {
                        world.check(&entry, floor);
                        load(&world, &tier, row, &key, lease, &mut seed).await;
                    }
                    SharedRead::Busy { stale, .. } => {
                        stale.iter().for_each(|entry| world.check(entry, floor));
                    }
                    SharedRead::WriterPending { .. } => panic!("there are no intents"),
                }
            }
        }
    }
}

async fn load(
    world: &World,
    tier: &MemcachedTier,
    row: &Row,
    key: &[u8],
    lease: Lease,
    seed: &mut u64,
) {
    let version = row.committed.load(Ordering::SeqCst);
    for _ in 0..next(seed) % 3 {
        tokio::task::yield_now().await;
    }
    match next(seed) % 8 {
        0 => tier.release(key, &lease).await.unwrap(),
        1 => {
            tier.extend(key, &lease, LEASE).await.unwrap();
        }
        _ => {}
    }
    let count = match fill(tier, key, &lease, version).await {
        SharedFill::Stored => &world.stored,
        SharedFill::Refused => &world.refused,
    };
    count.fetch_add(1, Ordering::Relaxed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fill_outlives_an_invalidation() {
    let server = Memcached::start();
    let rows = (0..KEYS).map(|_| Row::default()).collect();
    let world = Arc::new(World { rows, stored: 0.into(), refused: 0.into() });
    let seeds = 1..=8_u64;
    let tasks = seeds.map(|seed| {
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        tokio::spawn(run(Arc::clone(&world), tier(&server), seed))
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let [stored, refused] =
        [&world.stored, &world.refused].map(|count| count.load(Ordering::Relaxed));
    assert!(stored > 100 && refused > 100, "{stored} fills stored, {refused} refused");
    // In the end somebody gets each key.
    let tier = tier(&server);
    for at in 0..KEYS {
        invalidate(&tier, &at.to_be_bytes(), Invalidation::Drop).await;
        put(&tier, &at.to_be_bytes(), 1).await;
    }
}
