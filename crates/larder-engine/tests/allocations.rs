//! A hit allocates nothing, whatever it is asked through.
#![allow(clippy::unwrap_used)]

mod common;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use common::{Bench, S};
use larder_core::{Clock, Key};
use larder_engine::Cache;
use larder_engine::runtime::SystemClock;
use larder_test::TestSource;

/// The output of a future that doesn't wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a hit waits for nothing"),
    }
}

fn allocations(hits: impl FnMut()) -> u64 {
    let mut hits = hits;
    hits(); // what a thread has for itself is made with its first read
    allocation_counter::measure(|| (0..1_000).for_each(|_| hits())).count_total
}

#[tokio::test]
async fn a_get_of_what_is_held_allocates_nothing() {
    let bench = Bench::new();
    let numbers = bench.ten_seconds();
    numbers.get(&7).await.unwrap();
    assert_eq!(allocations(|| assert_eq!(now(numbers.get(&7)).unwrap(), Some(49))), 0);
    assert_eq!(allocations(|| assert!(now(numbers.ask(&7)).unwrap().value.is_some())), 0);
    assert_eq!(allocations(|| assert!(now(numbers.read(&7).get()).unwrap().is_some())), 0);
    assert_eq!(allocations(|| assert!(numbers.blocking().get(&7).unwrap().is_some())), 0);

    let absent = TestSource::of([(1_u64, 1_u64)]);
    let absent = bench.builder().source(absent).max_staleness(S).build().unwrap();
    absent.get(&2).await.unwrap();
    assert_eq!(allocations(|| assert_eq!(now(absent.get(&2)).unwrap(), None)), 0);
}

#[tokio::test]
async fn neither_shared_values_nor_tags_nor_keys_of_text_are_copied() {
    let bench = Bench::new();
    let texts: Cache<String, Arc<str>> =
        Cache::builder("texts").engine(&bench.engine).max_staleness(S).build().unwrap();
    let key = "a key that is longer than what fits into a string inline".to_owned();
    let load = |context: larder_core::LoadContext| async move {
        context.tag("texts").validator("v1");
        Ok(Some(Arc::from("a value that is shared")))
    };
    texts.get_or_load(&key, load).await.unwrap();
    assert_eq!(allocations(|| assert!(now(texts.get(&key)).unwrap().is_some())), 0);
    let time = bench.clock.now();
    assert_eq!(allocations(|| assert_eq!(texts.fresh(key.as_str(), time, |_| ()), Some(()))), 0);

    let keys: Cache<Key, u64> =
        Cache::builder("keys").engine(&bench.engine).max_staleness(S).build().unwrap();
    let key = Key::new(b"user:1234567890123456789012345678901234567890");
    keys.get_or_load(&key, |_| async { Ok(Some(1)) }).await.unwrap();
    let bytes = key.as_bytes();
    assert_eq!(allocations(|| assert_eq!(keys.fresh(bytes, time, |_| ()), Some(()))), 0);
}

#[test]
fn telling_the_time_of_a_hit_allocates_nothing() {
    let clock = SystemClock::new();
    assert_eq!(allocations(|| assert!(clock.about_now() >= clock.now())), 0);
}
