//! Starts: what an earlier run left is taken over, by one owner, and nothing of it is lost.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{S, settle};
use crate::table::Fails;
use larder_core::sink::WriteFault;
use larder_core::{Clock, ErrorKind, Journal};
use larder_engine::behind::{Stopped, WriteBehind};
use larder_engine::runtime::TokioSpawn;
use larder_engine::{Cache, Engine, MessagePack};
use larder_test::{ManualClock, TestJournal};

use super::{BOUNDS, Process, fresh};

#[tokio::test]
async fn at_the_end_what_waits_is_applied_and_the_cache_given_back() {
    let (table, journal, process) = fresh().await;
    for key in 0..9 {
        process.put(key, 1).await.unwrap();
    }
    let stopped = process.behind.stop(&process.engine, S).await.unwrap();
    assert_eq!((stopped, table.rows(|rows| rows.held.len())), (Stopped { left: 0 }, 9));
    let (owner, standing) = (table.rows(|rows| rows.owner.clone()), journal.standing());
    assert_eq!((owner, standing.first), (None, standing.next));
    assert_eq!(process.put(1, 2).await.unwrap_err().kind(), ErrorKind::Shed);
}

#[tokio::test]
async fn what_cant_be_applied_at_the_end_is_applied_after_the_next_start() {
    let (table, journal, process) = fresh().await;
    let down = [Fails::Before(WriteFault::Transient); 99];
    table.rows(|rows| rows.fails.extend(down));
    process.put(1, 1).await.unwrap();
    let clock = process.clock.clone();
    let stopping = async { process.behind.stop(&process.engine, S).await.unwrap() };
    let turning = async {
        settle().await;
        clock.advance(2 * S);
    };
    let (stopped, ()) = tokio::join!(stopping, turning);
    assert_eq!(stopped, Stopped { left: 1 });
    table.rows(|rows| rows.fails.clear());
    let next = Process::start(&table, &journal.after_the_end(0)).await;
    assert_eq!(next.get(1).await, Some(1));
    next.turn(2 * S).await;
    assert_eq!(table.held(1), Some(1));
}

/// Before a replay, and during it, memory may be filled: by a warming, or by who doesn't wait.
#[tokio::test]
async fn what_was_read_or_begun_before_a_replay_is_not_what_is_read_after_it() {
    let (table, journal, process) = fresh().await;
    table.rows(|rows| {
        rows.held.extend([(1, 1), (2, 2)]);
        rows.fails.extend([Fails::Before(WriteFault::Transient); 99]);
    });
    process.put(1, 10).await.unwrap();
    process.put(2, 20).await.unwrap();
    let next = Process::over(&table, &journal.after_the_end(0), BOUNDS);
    assert_eq!(next.get(1).await, Some(1));
    table.rows(|rows| rows.holds_loads = true);
    let cache = next.cache.clone();
    let begun = tokio::spawn(async move { cache.get(&2).await });
    settle().await;
    next.behind.start(&next.engine).await.unwrap();
    table.let_go();
    begun.await.unwrap().unwrap();
    assert_eq!((next.get(1).await, next.get(2).await), (Some(10), Some(20)));
    assert_eq!((table.held(1), table.held(2)), (Some(1), Some(2)));
}

/// A twin that was merely stopped has one more transaction on its way.
#[tokio::test]
async fn what_was_read_before_a_twin_applied_the_last_of_it_is_not_what_is_read_after_a_replay() {
    let (table, journal, process) = fresh().await;
    table.rows(|rows| {
        rows.held.insert(1, 1);
        rows.fails.extend([Fails::Before(WriteFault::Transient); 2]);
    });
    process.put(1, 10).await.unwrap();
    let next = Process::over(&table, &journal.after_the_end(0), BOUNDS);
    assert_eq!(next.get(1).await, Some(1));
    for _ in 0..5 {
        process.turn(4 * S).await;
    }
    assert_eq!(table.held(1), Some(10));
    next.behind.start(&next.engine).await.unwrap();
    assert_eq!(next.get(1).await, Some(10));
}

#[tokio::test]
async fn a_second_owner_is_refused_and_a_paused_twin_writes_nothing() {
    let (table, journal, process) = fresh().await;
    process.put(1, 1).await.unwrap();
    let twin = Process::start(&table, &journal.after_the_end(0)).await;
    twin.put(1, 2).await.unwrap();
    twin.turn(2 * S).await;
    process.turn(2 * S).await;
    assert_eq!(table.held(1), Some(2));
    let error = process.put(1, 3).await.unwrap_err();
    assert!(error.to_string().contains("owns"), "{error}");
    table.rows(|rows| rows.owner = Some("a journal elsewhere".to_owned()));
    let other = Process::over(&table, &TestJournal::default(), BOUNDS);
    let error = other.behind.start(&other.engine).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(other.put(1, 3).await.unwrap_err().kind(), ErrorKind::Shed);
}

#[tokio::test]
async fn a_journal_with_writes_of_a_cache_that_isnt_there_is_not_started_and_keeps_them() {
    let (table, journal, process) = fresh().await;
    process.put(1, 1).await.unwrap();
    let journal = journal.after_the_end(0);
    let clock = ManualClock::new();
    let engine = Engine::new(Arc::new(clock), Arc::new(TokioSpawn::current().unwrap()));
    let behind = WriteBehind::over(Arc::new(journal.clone()));
    let other: Cache<u64, i64> = Cache::builder("others")
        .engine(&engine)
        .max_staleness(S)
        .sink(table)
        .behind(&behind, MessagePack)
        .build()
        .unwrap();
    let error = behind.start(&engine).await.unwrap_err();
    assert!(error.to_string().contains("numbers"), "{error}");
    assert_eq!(other.put(&1, 1).await.unwrap_err().kind(), ErrorKind::Shed);
    assert_eq!(journal.standing().first, 0);
}

#[tokio::test]
async fn a_cache_that_was_dropped_keeps_its_writes_in_the_journal() {
    let (table, journal, process) = fresh().await;
    table.rows(|rows| rows.fails.extend([Fails::Before(WriteFault::Transient); 9]));
    process.put(1, 1).await.unwrap();
    let Process { clock, engine, behind, cache, .. } = process;
    drop(cache);
    settle().await;
    clock.advance(9 * S);
    settle().await;
    behind.stop(&engine, Duration::ZERO).await.unwrap();
    assert_eq!(journal.standing().first, 0);
    assert!(clock.now() > ManualClock::START);
}

#[tokio::test]
async fn a_start_that_failed_half_way_goes_on_where_it_was() {
    let (table, journal, process) = fresh().await;
    table.rows(|rows| rows.holds = true);
    for _ in 0..1500 {
        process.add(1, 1).await.unwrap();
    }
    let journal = journal.after_the_end(0);
    let next = Process::over(&table, &journal, BOUNDS);
    // The first 1,024 are taken over, and the source isn't there for the others.
    table.rows(|rows| rows.asks_left = Some(1));
    let error = next.behind.start(&next.engine).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceDown);
    table.rows(|rows| rows.asks_left = None);
    next.behind.start(&next.engine).await.unwrap();
    table.let_go();
    next.turn(2 * S).await;
    next.turn(2 * S).await;
    assert_eq!((table.held(1), next.get(1).await), (Some(1500), Some(1500)));
}

#[tokio::test]
async fn a_start_that_failed_leaves_in_the_journal_what_it_has_not_read() {
    let (table, journal, process) = fresh().await;
    let down = Fails::Before(WriteFault::Transient);
    table.rows(|rows| rows.fails.extend([down; 99]));
    for key in 0..1500 {
        // Slowed down, and shed: what is joined needs no room.
        process.put(key % 5, 1).await.unwrap();
    }
    let journal = journal.after_the_end(0);
    let needed = journal.standing();
    table.rows(|rows| {
        rows.fails.clear();
        rows.asks_left = Some(1);
    });
    let next = Process::over(&table, &journal, BOUNDS);
    next.behind.start(&next.engine).await.unwrap_err();
    for _ in 0..5 {
        next.turn(2 * S).await;
    }
    assert_eq!(next.cache.behind_stats().unwrap().keys, 0);
    next.behind.stop(&next.engine, S).await.unwrap();
    assert_eq!(journal.standing().first, needed.first);
    assert!(table.rows(|rows| rows.owner.is_some()));
}

#[tokio::test]
async fn what_was_read_before_the_start_or_during_it_is_not_what_is_read_after_it() {
    let (table, journal, process) = fresh().await;
    table.rows(|rows| {
        rows.held.extend([(1, 1), (2, 1)]);
        rows.fails.extend([Fails::Before(WriteFault::Transient); 99]);
    });
    process.put(1, 2).await.unwrap();
    process.put(2, 2).await.unwrap();
    let next = Process::over(&table, &journal.after_the_end(0), BOUNDS);
    assert_eq!(next.get(1).await, Some(1));
    table.rows(|rows| rows.holds_loads = true);
    let cache = next.cache.clone();
    let read = tokio::spawn(async move { cache.get(&2).await });
    settle().await;
    next.behind.start(&next.engine).await.unwrap();
    table.let_go();
    read.await.unwrap().unwrap();
    assert_eq!((next.get(1).await, next.get(2).await), (Some(2), Some(2)));
}

#[tokio::test]
async fn a_start_that_isnt_told_of_every_key_what_was_applied_loses_nothing() {
    let (table, journal, process) = fresh().await;
    process.put(1, 1).await.unwrap();
    process.put(2, 1).await.unwrap();
    let journal = journal.after_the_end(0);
    let next = Process::over(&table, &journal, BOUNDS);
    table.rows(|rows| rows.is_forgetful = true);
    let error = next.behind.start(&next.engine).await.unwrap_err();
    assert!(error.to_string().contains("2 keys"), "{error}");
    table.rows(|rows| rows.is_forgetful = false);
    next.behind.start(&next.engine).await.unwrap();
    assert_eq!((next.get(1).await, next.get(2).await), (Some(1), Some(1)));
}
