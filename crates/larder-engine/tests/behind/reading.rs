//! What is read while writes wait.

use std::sync::atomic::Ordering;

use larder_core::{ErrorKind, Journal, Tier, Write, Written};
use larder_engine::behind::BehindBounds;
use larder_engine::{Fill, GuardBounds, Lookup};
use larder_test::TestJournal;

use super::{BOUNDS, Process, fresh};
use crate::common::{S, settle};
use crate::table::Table;

#[tokio::test]
async fn what_was_acknowledged_is_read_at_once_and_applied_later() {
    let (table, journal, process) = fresh().await;
    assert_eq!(process.get(1).await, None);
    assert_eq!(process.put(1, 5).await.unwrap(), Written::Value(5));
    let answer = process.cache.ask(&1).await.unwrap();
    assert_eq!((answer.value, answer.tier, table.held(1)), (Some(5), Tier::Memory, None));
    process.turn(S / 2).await;
    assert_eq!((table.held(1), journal.standing().first), (None, 0));
    process.turn(S).await;
    assert_eq!((table.held(1), process.get(1).await), (Some(5), Some(5)));
    process.cache.delete(&1).await.unwrap();
    assert_eq!((table.held(1), process.get(1).await), (Some(5), None));
    process.turn(2 * S).await;
    assert_eq!((table.held(1), journal.standing().first), (None, 2));
}

#[tokio::test]
async fn observers_hear_of_a_change_when_it_is_read_here_and_when_the_source_has_it() {
    let (_table, _, process) = fresh().await;
    let changes = || process.changes.load(Ordering::Relaxed);
    process.put(1, 5).await.unwrap();
    assert_eq!(changes(), 1);
    process.turn(2 * S).await;
    assert_eq!(changes(), 2);
}

#[tokio::test]
async fn many_reads_and_a_batch_see_it_too_and_the_source_is_not_asked() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.held.insert(2, 20));
    process.put(1, 5).await.unwrap();
    assert_eq!(process.cache.get_many(&[1, 2, 1]).await.unwrap(), [Some(5), Some(20), Some(5)]);
    assert_eq!(table.rows(|rows| rows.loads), 1);
    let Lookup::Hit(answer) = process.cache.lookup(&1).await else { panic!("it is known") };
    assert_eq!(answer.value, Some(5));
}

#[tokio::test]
async fn a_load_that_began_before_a_write_is_not_what_is_read_after_it() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| {
        rows.held.insert(1, 1);
        rows.holds = true;
    });
    let cache = process.cache.clone();
    let read = tokio::spawn(async move { cache.get(&1).await });
    settle().await;
    process.put(1, 2).await.unwrap();
    table.let_go();
    // Its fill is refused, and so it reads again.
    assert_eq!(read.await.unwrap().unwrap(), Some(2));
    assert_eq!(process.get(1).await, Some(2));
}

#[tokio::test]
async fn a_ticket_fills_nothing_while_writes_wait_or_when_they_were_applied_since() {
    let (_, _, process) = fresh().await;
    let Lookup::Miss(before) = process.cache.lookup(&1).await else { panic!("nothing is held") };
    process.put(1, 2).await.unwrap();
    assert_eq!(before.fill(Some(1)), Fill::Refused);
    let Lookup::Miss(before) = process.cache.lookup(&3).await else { panic!("nothing is held") };
    process.put(3, 2).await.unwrap();
    process.turn(2 * S).await;
    assert_eq!(before.fill(Some(1)), Fill::Refused);
    assert_eq!(process.get(3).await, Some(2));
}

#[tokio::test]
async fn an_invalidation_doesnt_touch_what_waits() {
    let (_, _, process) = fresh().await;
    process.put(1, 2).await.unwrap();
    process.cache.invalidate(&1).await.unwrap();
    process.cache.invalidate_all().await.unwrap();
    assert_eq!(process.get(1).await, Some(2));
}

#[tokio::test]
async fn what_is_added_is_read_on_top_of_what_the_source_has() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.held.insert(1, 100));
    assert_eq!(process.add(1, 5).await.unwrap(), Written::Unsaid);
    assert_eq!(process.get(1).await, Some(105));
    assert_eq!(process.add(1, 1).await.unwrap(), Written::Value(106));
    process.turn(2 * S).await;
    assert_eq!((table.held(1), process.get(1).await), (Some(106), Some(106)));
}

#[tokio::test]
async fn what_is_being_added_is_counted_once_by_a_read() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| {
        rows.held.insert(1, 100);
        rows.holds = true;
    });
    process.add(1, 5).await.unwrap();
    process.turn(2 * S).await;
    process.add(1, 1).await.unwrap();
    let cache = process.cache.clone();
    let read = tokio::spawn(async move { cache.get(&1).await });
    settle().await;
    assert!(!read.is_finished());
    table.let_go();
    settle().await;
    assert_eq!(read.await.unwrap().unwrap(), Some(106));
}

#[tokio::test]
async fn an_update_is_not_lost_between_two() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.held.insert(1, 0));
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let cache = process.cache.clone();
        tasks.push(tokio::spawn(async move {
            let up = |value: Option<i64>| Some(Write::Store(value.unwrap_or(0) + 1));
            while cache.update(&1, up).await.is_err() {}
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    process.turn(2 * S).await;
    assert_eq!(table.held(1), Some(20));
}

#[tokio::test]
async fn a_lookup_finds_what_was_added_on_top_of_what_the_source_has() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.held.insert(1, 100));
    process.add(1, 5).await.unwrap();
    let Lookup::Hit(answer) = process.cache.lookup(&1).await else { panic!("it is known") };
    assert_eq!(answer.value, Some(105));
}

/// What waits isn't applied while somebody reads beneath it, so that must have an end.
#[tokio::test]
async fn a_load_beneath_takes_no_longer_than_a_load_may() {
    let (table, _, process) = fresh().await;
    process.add(1, 5).await.unwrap();
    table.rows(|rows| rows.holds_loads = true);
    let cache = process.cache.clone();
    let read = tokio::spawn(async move { cache.get(&1).await });
    process.turn(2 * S).await;
    assert_eq!((table.held(1), table.rows(|rows| rows.loading)), (None, 1));
    for _ in 0..10 {
        process.turn(5 * S).await;
    }
    assert_eq!(read.await.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!((table.held(1), table.rows(|rows| rows.loading)), (Some(5), 0));
}

#[tokio::test]
async fn loads_beneath_are_never_more_than_the_guard_lets_through() {
    let (table, journal) = (Table::default(), TestJournal::default());
    let bounds = BehindBounds { delay: 1000 * S, batch_from: 1000, keys_max: 1000, ..BOUNDS };
    let bounds = BehindBounds { slow_from: 1000, ..bounds };
    let process = Process::over(&table, &journal, bounds);
    process.behind.start(&process.engine).await.unwrap();
    table.rows(|rows| rows.holds_loads = true);
    let loads_max = GuardBounds::default().loads_max;
    let keys = 2 * loads_max as u64;
    let mut reads = Vec::new();
    for key in 0..keys {
        process.add(key, 5).await.unwrap();
        let cache = process.cache.clone();
        reads.push(tokio::spawn(async move { cache.get(&key).await }));
    }
    settle().await;
    assert_eq!(table.rows(|rows| rows.loading), loads_max);
    table.let_go();
    for read in reads {
        assert_eq!(read.await.unwrap().unwrap(), Some(5));
    }
}

/// What it adds to was read a moment ago. That would do for a read; an update wants what is held
/// now.
#[tokio::test]
async fn an_update_reads_anew_what_is_beneath() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.held.insert(1, 100));
    process.add(1, 5).await.unwrap();
    assert_eq!(process.get(1).await, Some(105));
    // Nobody tells of it.
    table.rows(|rows| rows.held.insert(1, 200));
    process.clock.advance(S / 2);
    assert_eq!(process.get(1).await, Some(105));
    let up = |value: Option<i64>| value.map(|value| Write::Store(value + 1));
    let wrote = process.cache.update(&1, up).await.unwrap();
    assert_eq!(wrote.written, Written::Value(206));
}
