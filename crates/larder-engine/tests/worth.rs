//! What a cache says of itself: numbers that are true, and one sentence.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Bench, Numbers, S};
use larder_core::{LoadContext, LoadError, Source};
use larder_engine::verdict::VerdictKind;
use larder_engine::{Cache, memory_tier};
use larder_memory::Bounds;
use larder_memory::policy::PolicyKind;
use larder_test::ManualClock;

const MS: Duration = Duration::from_millis(1);

/// A source whose loads take their time, by the clock that is turned.
struct Slow {
    clock: ManualClock,
    takes: Duration,
}

impl Source<u64, u64> for Slow {
    async fn load(&self, key: &u64, _: &mut LoadContext) -> Result<Option<u64>, LoadError> {
        self.clock.advance(self.takes);
        Ok(Some(*key))
    }
}

impl Source<(u64, u64), u64> for Slow {
    async fn load(
        &self,
        key: &(u64, u64),
        context: &mut LoadContext,
    ) -> Result<Option<u64>, LoadError> {
        Source::<u64, u64>::load(self, &key.0, context).await
    }
}

fn slow(bench: &Bench, takes: Duration, fresh_for: Duration) -> Numbers {
    Cache::builder("slow")
        .engine(&bench.engine)
        .source(Slow { clock: bench.clock.clone(), takes })
        .fresh_for(fresh_for)
        .refresh_at(1.0)
        .xfetch(0.0)
        .jitter(Duration::ZERO)
        .fingerprint(|value| *value)
        .build()
        .unwrap()
}

#[tokio::test]
async fn it_says_how_much_loading_it_saved_and_spent() {
    let bench = Bench::new();
    let cache = slow(&bench, 4 * MS, 3600 * S);
    for _ in 0..1_000 {
        for key in 0..10 {
            cache.get(&key).await.unwrap();
        }
    }
    let worth = cache.worth();
    assert_eq!((worth.hits, worth.misses, worth.loads), (9_990, 10, 10));
    assert_eq!(worth.load_time_spent, 40 * MS);
    assert_eq!(worth.load_time_saved, 9_990 * 4 * MS);
    let verdict = cache.verdict();
    assert_eq!(verdict.kind, VerdictKind::WorthIt, "{verdict}");
}

#[tokio::test]
async fn loads_that_cost_next_to_nothing_are_not_worth_it() {
    let bench = Bench::new();
    let cache = slow(&bench, Duration::from_micros(200), S);
    for key in 0..3_000 {
        cache.get(&key).await.unwrap();
        if key % 30 == 0 {
            cache.get(&key).await.unwrap();
        }
    }
    bench.clock.advance(10 * S);
    let verdict = cache.verdict();
    assert_eq!(verdict.kind, VerdictKind::NotWorthIt, "{verdict}");
    assert!(verdict.to_string().starts_with("not worth it: 3 % hits, 0.2 ms loads"), "{verdict}");
}

#[tokio::test]
async fn reloads_that_bring_the_same_value_ask_for_a_longer_window() {
    let bench = Bench::new();
    let cache = slow(&bench, 5 * MS, S);
    for _ in 0..300 {
        for key in 0..5 {
            cache.get(&key).await.unwrap();
            cache.get(&key).await.unwrap();
        }
        bench.clock.advance(2 * S);
    }
    let worth = cache.worth();
    assert_eq!((worth.reloads, worth.reloads_same), (299 * 5, 299 * 5));
    let verdict = cache.verdict();
    assert_eq!(verdict.kind, VerdictKind::TooShort, "{verdict}");
}

#[tokio::test]
async fn a_part_of_the_key_that_is_always_new_is_named() {
    let bench = Bench::new();
    let cache: Cache<(u64, u64), u64> = Cache::builder("pages")
        .engine(&bench.engine)
        .source(Slow { clock: bench.clock.clone(), takes: MS })
        .fresh_for(S)
        .key_parts(["page", "request"])
        .build()
        .unwrap();
    for request in 0..3_000 {
        cache.get(&(request % 20, request)).await.unwrap();
    }
    let verdict = cache.verdict();
    assert_eq!(verdict.kind, VerdictKind::Fragmented, "{verdict}");
    assert!(verdict.to_string().contains("{request}"), "{verdict}");
}

#[tokio::test]
async fn what_a_cache_holds_of_a_shared_tier_is_told_apart_and_integrated_over_time() {
    let bench = Bench::new();
    let memory = std::sync::Arc::new(memory_tier(Bounds::bytes(1 << 20), PolicyKind::Lru, None));
    let build = |name: &'static str| {
        bench
            .builder()
            .memory(std::sync::Arc::clone(&memory))
            .max_staleness(3600 * S)
            .weigher(|_, _| 100)
            .build()
            .map(|cache| (name, cache))
            .unwrap()
    };
    let ((_, one), (_, other)) = (build("one"), build("other"));
    one.get(&1).await.unwrap();
    let each = one.worth().bytes;
    assert!(each >= 100);
    for key in 2..=4 {
        one.get(&key).await.unwrap();
    }
    other.get(&1_000).await.unwrap();
    bench.clock.advance(10 * S);
    assert_eq!((one.worth().bytes, other.worth().bytes), (4 * each, each));
    assert_eq!(one.worth().byte_seconds, 40.0 * each as f64);

    // Replaced, marked stale, invalidated: nothing is counted twice, and nothing stays.
    one.mark_stale(&1).await.unwrap();
    assert_eq!(settled(&memory, || one.worth().bytes, 4 * each), 4 * each);
    one.invalidate(&1).await.unwrap();
    one.get(&1).await.unwrap();
    for key in 1..=4 {
        one.invalidate(&key).await.unwrap();
    }
    assert_eq!(settled(&memory, || one.worth().bytes, 0), 0);
    assert_eq!(other.worth().bytes, each);
}

/// What is counted once everything that left has been told of: what another test's thread was
/// reading at that moment is told of a little later.
fn settled(
    memory: &larder_engine::MemoryTier<u64, u64>,
    count: impl Fn() -> u64,
    expected: u64,
) -> u64 {
    let deadline = std::time::Instant::now() + 10 * S;
    while count() != expected && std::time::Instant::now() < deadline {
        memory.reclaim();
        std::thread::yield_now();
    }
    count()
}

#[tokio::test]
async fn evictions_are_those_of_the_cache_itself() {
    let bench = Bench::new();
    let memory =
        std::sync::Arc::new(memory_tier(Bounds::entries(8).shards(1), PolicyKind::Fifo, None));
    let build =
        || bench.builder().memory(std::sync::Arc::clone(&memory)).max_staleness(60 * S).build();
    let (one, other) = (build().unwrap(), build().unwrap());
    for key in 0..8 {
        one.get(&key).await.unwrap();
    }
    for key in 100..105 {
        other.get(&key).await.unwrap();
    }
    assert_eq!((one.worth().evicted, other.worth().evicted), (5, 0));
}
