//! What a batch returned is put into memory, so that who reads a counter that is written all the
//! time doesn't load it after each batch.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use larder_core::{ErrorKind, Terms, Tier, Written};
use larder_engine::behind::WriteBehind;
use larder_engine::runtime::TokioSpawn;
use larder_engine::{Cache, CacheBuilder, Engine, Install, MessagePack};
use larder_test::ManualClock;

use crate::common::{S, settle};
use crate::table::{Fails, Table};
use crate::{BOUNDS, Process, fresh};
use larder_test::TestJournal;

fn loads(table: &Table) -> usize {
    table.rows(|rows| rows.loads)
}

/// A process whose cache is told more.
async fn with(
    table: &Table,
    more: impl FnOnce(CacheBuilder<u64, i64>) -> CacheBuilder<u64, i64>,
) -> Process {
    let clock = ManualClock::new();
    let engine = Engine::new(Arc::new(clock.clone()), Arc::new(TokioSpawn::current().unwrap()));
    let behind = WriteBehind::with(Arc::new(TestJournal::default()), BOUNDS);
    let builder = Cache::builder("numbers").engine(&engine).max_staleness(1000 * S);
    let builder = builder.source(table.clone()).sink(table.clone()).behind(&behind, MessagePack);
    let process = Process {
        clock,
        engine: engine.clone(),
        cache: more(builder).build().unwrap(),
        behind: behind.clone(),
        ends: Arc::default(),
        changes: Arc::default(),
    };
    behind.start(&engine).await.unwrap();
    process
}

#[tokio::test]
async fn a_counter_that_is_read_is_loaded_once_however_often_it_is_applied() {
    let (table, _, process) = fresh().await;
    assert_eq!(process.get(1).await, None);
    for count in 1..=20 {
        process.add(1, 1).await.unwrap();
        process.turn(2 * S).await;
        let answer = process.cache.ask(&1).await.unwrap();
        assert_eq!((answer.value, answer.tier), (Some(count), Tier::Memory));
    }
    assert_eq!((table.held(1), loads(&table)), (Some(20), 1));
    assert_eq!(process.cache.stats().installed, 20);
}

#[tokio::test]
async fn what_is_read_while_it_waits_is_kept_too_and_what_nobody_reads_takes_no_room() {
    let (table, _, process) = fresh().await;
    for key in [1, 2] {
        process.put(key, 5).await.unwrap();
    }
    assert_eq!(process.get(1).await, Some(5));
    process.turn(2 * S).await;
    assert_eq!(process.cache.peek(&1).unwrap().value, Some(5));
    assert_eq!((process.cache.peek(&2), loads(&table)), (None, 0));
    process.cache.delete(&1).await.unwrap();
    process.turn(2 * S).await;
    assert_eq!(process.cache.peek(&1).unwrap().value, None);
}

#[tokio::test]
async fn it_is_what_the_sink_returned_and_as_old_as_its_transaction() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.held.insert(1, 100));
    process.add(1, 1).await.unwrap();
    assert_eq!(process.get(1).await, Some(101));
    // Somebody adds behind larder's back.
    table.rows(|rows| rows.held.insert(1, 200));
    table.rows(|rows| rows.holds = true);
    process.turn(2 * S).await;
    process.turn(3 * S).await;
    table.let_go();
    settle().await;
    let answer = process.cache.ask(&1).await.unwrap();
    assert_eq!((answer.value, answer.age), (Some(201), 3 * S));
}

/// 1. a batch commits,
/// 2. somebody else changes the row, and invalidates,
/// 3. the answer to the batch arrives.
#[tokio::test]
async fn what_an_invalidation_overlapped_is_not_put_into_memory() {
    type Strike = fn(&Process);
    let strikes: [Strike; 3] = [
        |process| drop(process.cache.invalidate_here(&[1], larder_engine::Invalidation::Drop)),
        |process| drop(process.cache.invalidate_all_here(larder_engine::Invalidation::Drop)),
        |process| {
            drop(process.cache.invalidate_prefix_here("1", larder_engine::Invalidation::Drop));
        },
    ];
    for strike in strikes {
        let (table, _, process) = fresh().await;
        process.put(1, 5).await.unwrap();
        assert_eq!(process.get(1).await, Some(5));
        table.rows(|rows| rows.holds_answers = true);
        process.turn(2 * S).await;
        assert_eq!(table.held(1), Some(5));
        table.rows(|rows| rows.held.insert(1, 6));
        strike(&process);
        table.let_go();
        settle().await;
        assert_eq!((process.cache.peek(&1), process.get(1).await), (None, Some(6)));
    }
}

#[tokio::test]
async fn what_was_written_meanwhile_is_what_is_read_and_kept() {
    let (table, _, process) = fresh().await;
    process.put(1, 5).await.unwrap();
    assert_eq!(process.get(1).await, Some(5));
    table.rows(|rows| rows.holds_answers = true);
    process.turn(2 * S).await;
    process.put(1, 6).await.unwrap();
    table.let_go();
    settle().await;
    assert_eq!((process.cache.peek(&1), process.get(1).await), (None, Some(6)));
    process.turn(2 * S).await;
    assert_eq!((process.cache.peek(&1).unwrap().value, loads(&table)), (Some(6), 0));
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_leaves_nothing() {
    let (table, _, process) = fresh().await;
    process.put(1, 5).await.unwrap();
    assert_eq!(process.get(1).await, Some(5));
    table.rows(|rows| rows.fails.push_back(Fails::Committed));
    for _ in 0..5 {
        process.turn(S).await;
    }
    assert_eq!((process.cache.behind_stats().unwrap().keys, process.cache.peek(&1)), (0, None));
}

#[tokio::test]
async fn a_write_that_was_buried_leaves_nothing_of_it() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.poison.insert(1));
    process.put(1, 5).await.unwrap();
    assert_eq!(process.get(1).await, Some(5));
    process.turn(2 * S).await;
    assert_eq!((process.cache.peek(&1), process.get(1).await), (None, None));
}

#[tokio::test]
async fn everything_is_kept_where_that_is_said_and_tags_are_known() {
    let table = Table::default();
    let process = with(&table, |builder| {
        builder.install(Install::Always).written(|_, _| {
            let mut terms = Terms::default();
            terms.tag("all");
            terms
        })
    })
    .await;
    process.put(1, 5).await.unwrap();
    process.turn(2 * S).await;
    assert_eq!(process.cache.peek(&1).unwrap().value, Some(5));
    process.cache.invalidate_tags(&["all"]).await.unwrap();
    assert_eq!(process.cache.peek(&1), None);
    // Nobody says what its loader would say.
    let builder: CacheBuilder<u64, i64> = Cache::builder("numbers")
        .engine(&process.engine)
        .max_staleness(S)
        .sink(table)
        .behind(&WriteBehind::over(Arc::new(TestJournal::default())), MessagePack);
    let error = builder.install(Install::Always).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_sink_that_says_nothing_leaves_nothing() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.is_silent = true);
    assert_eq!(process.put(1, 5).await.unwrap(), Written::Value(5));
    assert_eq!(process.get(1).await, Some(5));
    process.turn(2 * S).await;
    assert_eq!((table.held(1), process.cache.peek(&1)), (Some(5), None));
}

/// Whatever of a user panics when it was applied, it is applied, and so is what comes.
#[tokio::test]
async fn what_says_the_terms_or_the_weight_of_what_was_applied_and_panics_stops_nothing() {
    for (panics, times) in [("terms", 2), ("weight", 1)] {
        let (table, left) = (Table::default(), Arc::new(AtomicUsize::new(times)));
        let (of_terms, of_weight) = (Arc::clone(&left), Arc::clone(&left));
        let once_more = |left: &AtomicUsize| {
            let down = |left: usize| left.checked_sub(1);
            assert!(left.fetch_update(SeqCst, SeqCst, down).is_err(), "it panics");
        };
        let process = with(&table, |builder| {
            let builder = builder.install(Install::Always).written(move |_, _| {
                (panics == "terms").then(|| once_more(&of_terms));
                Terms::default()
            });
            builder.weigher(move |_, _| {
                (panics == "weight").then(|| once_more(&of_weight));
                0
            })
        })
        .await;
        for value in 1..=4 {
            process.put(1, value).await.unwrap();
            process.turn(2 * S).await;
            assert_eq!(table.held(1), Some(value), "{panics}");
            assert_eq!(process.get(1).await, Some(value));
        }
        assert_eq!(left.load(SeqCst), 0, "{panics}");
        assert_eq!(process.cache.behind_stats().unwrap().keys, 0);
    }
}
