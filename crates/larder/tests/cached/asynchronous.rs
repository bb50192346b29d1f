//! Async functions: one run for many callers, whatever runtime they are on, and whoever leaves.

use futures_util::future::{join_all, poll_immediate};
use larder::Result;

use super::support::Gate;

#[tokio::test]
async fn concurrent_callers_of_one_key_run_the_body_once() {
    #[larder::cached(fresh_for = "1h", skip(gate))]
    async fn square(number: u64, gate: &Gate) -> Result<u64> {
        gate.pass_async().await;
        Ok(number * number)
    }

    let gate = Gate::default();
    let mut callers: Vec<_> = (0..100).map(|at| Box::pin(square(at % 2, &gate))).collect();
    for caller in &mut callers {
        assert!(poll_immediate(caller).await.is_none());
    }
    gate.open();
    let squares = join_all(callers).await;
    assert!(squares.into_iter().zip(0..).all(|(square, at)| square.unwrap() == at % 2));
    assert_eq!(gate.runs(), 2);
    assert_eq!(square_cache().stats().joined, 98);
}

#[tokio::test]
async fn what_is_held_is_served_without_the_body_until_it_is_invalidated() {
    #[larder::cached(max_staleness = "1h", skip(gate))]
    async fn runs(_user: u64, gate: &Gate) -> usize {
        gate.pass_async().await
    }

    let gate = Gate::opened();
    assert_eq!([runs(1, &gate).await, runs(1, &gate).await, runs(2, &gate).await], [1, 1, 2]);
    assert_eq!(runs_cache().invalidate(&1).await.unwrap().entries, 1);
    assert_eq!([runs(1, &gate).await, runs(2, &gate).await], [3, 2]);
}

#[test]
fn a_value_outlives_the_runtime_that_asked_for_it_and_so_does_its_load() {
    #[larder::cached(fresh_for = "1h", skip(gate))]
    async fn runs(user: u64, gate: &Gate) -> usize {
        tokio::task::yield_now().await;
        gate.pass_async().await + usize::try_from(user).unwrap() * 100
    }

    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let gate = Gate::default();
    let first = runtime();
    // The caller leaves, and its runtime with it.
    first.block_on(async { assert!(poll_immediate(Box::pin(runs(1, &gate))).await.is_none()) });
    drop(first);
    gate.open();
    assert_eq!(runtime().block_on(runs(1, &gate)), 101);
    assert_eq!(gate.runs(), 1);
    // No runtime at all.
    assert_eq!(futures_util::FutureExt::now_or_never(runs(1, &gate)), Some(101));
}

#[tokio::test]
async fn a_stale_value_is_served_while_one_refresh_runs() {
    #[larder::cached(fresh_for = "1h", stale_for = "1h", skip(gate))]
    async fn runs(_user: u64, gate: &Gate) -> usize {
        gate.pass_async().await
    }

    let gate = Gate::opened();
    assert_eq!(runs(1, &gate).await, 1);
    runs_cache().invalidate(&1).await.unwrap();
    assert_eq!(runs(1, &gate).await, 2);
    runs_cache().mark_stale(&1).await.unwrap();
    let refresh = Gate::default();
    for _ in 0..50 {
        assert_eq!(runs(1, &refresh).await, 2, "at once: the refresh can't end yet");
    }
    let begun = refresh.clone();
    tokio::task::spawn_blocking(move || begun.wait_for_runs(1)).await.unwrap();
    refresh.open();
    while runs_cache().peek(&1).unwrap().state == larder::State::Stale {
        tokio::task::yield_now().await;
    }
    assert_eq!(runs(1, &gate).await, 1, "the first run of the second gate");
    assert_eq!((refresh.runs(), gate.runs()), (1, 2));
}

#[tokio::test]
async fn attributes_documentation_and_visibility_stay() {
    mod shop {
        /// What it costs.
        #[larder::cached(name = "prices", fresh_for = "1h", entries_max = 2, bytes_max = 100_000)]
        #[must_use]
        #[allow(clippy::unused_async)]
        pub(super) async fn price(mut product: u64) -> u64 {
            product += 1;
            product
        }
    }

    assert_eq!(shop::price(1).await, 2);
    assert_eq!(shop::price_cache().name(), "prices");
    for product in 0..10 {
        let _price = shop::price(product).await;
    }
    let held = (0..10).filter(|product| shop::price_cache().peek(product).is_some()).count();
    assert_eq!(held, 2, "entries_max");
}
