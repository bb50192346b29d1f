//! Several caches of different types on one budget.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Bench, S};
use larder_core::ErrorKind;
use larder_engine::{Budget, Cache};
use larder_test::TestSource;

#[tokio::test]
async fn a_hot_cache_takes_room_from_a_cold_one_and_both_stay_within_the_budget() {
    const BUDGET: usize = 4 << 20;
    let bench = Bench::new();
    let budget = Budget::bytes(BUDGET);
    let cold: Cache<u64, u64> =
        bench.builder().max_staleness(3600 * S).budget(&budget).build().unwrap();
    let names = TestSource::answering(|key: &String| Some(format!("{key:>500}")));
    let hot: Cache<String, String> = Cache::builder("names")
        .engine(&bench.engine)
        .source(names.clone())
        .max_staleness(3600 * S)
        .weigher(|key, value| key.capacity() + value.map_or(0, String::capacity))
        .budget(&budget)
        .build()
        .unwrap();
    for key in 0..20_000 {
        cold.get(&key).await.unwrap();
    }
    let held = |hot: &Cache<String, String>, cold: &Cache<u64, u64>| {
        usize::try_from(hot.worth().memory_bytes + cold.worth().memory_bytes).unwrap()
    };
    let share_before = hot.worth().memory_bytes_max;
    for round in 0..12 {
        for key in 0..4_000_u64 {
            hot.get(&(key * 7 % 4_000).to_string()).await.unwrap();
        }
        assert!(held(&hot, &cold) <= BUDGET, "round {round}");
    }
    let share_after = hot.worth().memory_bytes_max;
    assert!(share_after > share_before * 5 / 4, "{share_before} bytes, then {share_after}");
    assert!(cold.worth().memory_bytes_max + share_after <= BUDGET as u64);
}

#[tokio::test]
async fn a_budget_beside_bounds_is_refused() {
    let bench = Bench::new();
    let budget = Budget::bytes(1 << 20);
    let builder = bench.builder().max_staleness(S).entries_max(10).budget(&budget);
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("entries_max"), "{error}");
}
