//! Single reads that are loaded together.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Bench, Numbers, S, asking, at_once, settle};
use larder_core::{ErrorKind, Reason, State};
use larder_engine::{Cache, Guard, GuardBounds};
use larder_test::TestSource;

const MS: Duration = Duration::from_millis(1);

fn squares(batch_max: usize) -> Bench {
    Bench::with(
        TestSource::answering(|key: &u64| (*key < 1000).then(|| key * key)).batching(batch_max),
    )
}

fn gathering(bench: &Bench) -> Numbers {
    bench.builder().fresh_for(10 * S).stale_for(100 * S).gather(2 * MS).build().unwrap()
}

#[tokio::test]
async fn single_reads_within_the_window_become_one_question() {
    let bench = squares(100);
    let cache = gathering(&bench);
    let readers: Vec<_> = (0..50).map(|key| asking(&cache, key)).collect();
    settle().await;
    bench.clock.advance(MS);
    let late = asking(&cache, 5000);
    settle().await;
    assert_eq!((bench.source.batches(), bench.source.loads()), (vec![], 0));
    bench.clock.advance(MS);
    for (key, reader) in (0..).zip(readers) {
        let answer = reader.await.unwrap().unwrap();
        assert_eq!((answer.value, answer.reason), (Some(key * key), Reason::Loaded));
    }
    assert_eq!(late.await.unwrap().unwrap().value, None);
    assert_eq!((bench.source.batches(), bench.source.loads()), (vec![51], 0));
}

#[tokio::test]
async fn a_full_question_departs_at_once_and_the_rest_when_its_window_ends() {
    let bench = squares(10);
    let cache = gathering(&bench);
    let readers: Vec<_> = (0..25).map(|key| asking(&cache, key)).collect();
    settle().await;
    assert_eq!(bench.source.batches(), [10, 10]);
    assert_eq!(readers.iter().filter(|reader| reader.is_finished()).count(), 20);
    bench.clock.advance(2 * MS);
    settle().await;
    assert_eq!(bench.source.batches(), [10, 10, 5]);
    assert!(readers.iter().all(tokio::task::JoinHandle::is_finished));
}

#[tokio::test]
async fn readers_of_one_key_share_its_place() {
    let bench = squares(10);
    let cache = gathering(&bench);
    let readers: Vec<_> = (0..100).map(|at| asking(&cache, at % 2)).collect();
    settle().await;
    bench.clock.advance(2 * MS);
    for reader in readers {
        reader.await.unwrap().unwrap();
    }
    assert_eq!((bench.source.batches(), cache.stats().joined), (vec![2], 98));
}

#[tokio::test]
async fn one_that_stays_alone_is_asked_for_alone() {
    let bench = squares(10);
    let cache = gathering(&bench);
    let reader = asking(&cache, 3);
    settle().await;
    bench.clock.advance(2 * MS);
    assert_eq!(reader.await.unwrap().unwrap().value, Some(9));
    assert_eq!((bench.source.batches(), bench.source.loads()), (vec![], 1));
}

#[tokio::test]
async fn a_source_that_takes_one_key_at_a_time_is_asked_at_once() {
    let bench = squares(1);
    let cache = gathering(&bench);
    assert_eq!(cache.get(&3).await.unwrap(), Some(9));
    assert_eq!(bench.clock.sleepers(), 0);
}

#[tokio::test]
async fn a_reader_that_goes_away_leaves_its_key_in_the_question() {
    let bench = squares(10);
    let cache = gathering(&bench);
    let (gone, stays) = (asking(&cache, 1), asking(&cache, 2));
    settle().await;
    gone.abort();
    settle().await;
    bench.clock.advance(2 * MS);
    assert_eq!(stays.await.unwrap().unwrap().value, Some(4));
    assert_eq!((at_once(cache.get(&1)).unwrap(), bench.source.batches()), (Some(1), vec![2]));
}

#[tokio::test]
async fn refreshes_are_gathered_too_and_nobody_waits_for_them() {
    let bench = squares(10);
    let cache = gathering(&bench);
    let held = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get_many(&[1, 2, 3]).await.unwrap() }
    });
    held.await.unwrap();
    bench.clock.advance(15 * S);
    for key in [1, 2, 3, 1, 2, 3] {
        assert_eq!(at_once(cache.ask(&key)).unwrap().state, State::Stale);
    }
    settle().await;
    bench.clock.advance(2 * MS);
    settle().await;
    assert_eq!(bench.source.batches(), [3, 3]);
    assert_eq!(at_once(cache.ask(&3)).unwrap().state, State::Fresh);
}

#[tokio::test]
async fn a_failing_question_fails_all_of_its_readers() {
    let bench = squares(10);
    let cache = gathering(&bench);
    bench.source.fail_next(1, ErrorKind::SourceDown);
    let readers = [asking(&cache, 1), asking(&cache, 2)];
    settle().await;
    bench.clock.advance(2 * MS);
    for (key, reader) in ["1", "2"].into_iter().zip(readers) {
        let error = reader.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.key()), (ErrorKind::SourceDown, Some(key)));
    }
    assert_eq!(cache.flights(), 0);
}

#[tokio::test]
async fn a_question_that_the_guard_sheds_leaves_nobody_waiting() {
    let bench = squares(2);
    let guard =
        Guard::new(GuardBounds { loads_max: 1, loads_waiting_max: 0, breaker: None }).unwrap();
    let builder = bench.builder().max_staleness(10 * S).gather(2 * MS).guard(guard);
    let cache = builder.build().unwrap();
    bench.source.close();
    let first = [asking(&cache, 1), asking(&cache, 2)];
    bench.source.until_waiting(1).await;
    for reader in [asking(&cache, 3), asking(&cache, 4)] {
        assert_eq!(reader.await.unwrap().unwrap_err().kind(), ErrorKind::Shed);
    }
    bench.source.open();
    for reader in first {
        reader.await.unwrap().unwrap();
    }
    assert_eq!(cache.flights(), 0);
}

#[test]
fn a_runtime_that_shuts_down_in_the_window_leaves_nobody_hanging() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (bench, cache) = runtime.block_on(async {
        let bench = squares(10);
        let cache = gathering(&bench);
        drop([asking(&cache, 1), asking(&cache, 2)]);
        settle().await;
        (bench, cache)
    });
    assert_eq!(cache.flights(), 2);
    drop(runtime);
    assert_eq!((cache.flights(), bench.source.loads()), (0, 0));
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = other.block_on(cache.get(&3)).unwrap_err();
    assert_eq!((error.kind(), cache.flights()), (ErrorKind::Internal, 0));
}

#[tokio::test]
async fn gathering_without_a_source_is_refused() {
    let bench = squares(10);
    let builder: larder_engine::CacheBuilder<u64, u64> = Cache::builder("sourceless");
    let error = builder.engine(&bench.engine).max_staleness(S).gather(MS).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}
