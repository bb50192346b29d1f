//! The journal: what it has is carried through, and what it does not take is not written.

use std::sync::atomic::Ordering;

use crate::common::{S, at_once, settle};
use crate::table::Table;
use larder_core::{ErrorKind, Journal, Written};
use larder_engine::behind::BehindBounds;
use larder_test::TestJournal;

use super::{BOUNDS, Process, fresh};

#[tokio::test]
async fn nothing_is_acknowledged_or_shown_before_it_is_durable() {
    let (table, journal, process) = fresh().await;
    journal.hold(true);
    let cache = process.cache.clone();
    let put = tokio::spawn(async move { cache.put(&1, 5).await });
    let cache = process.cache.clone();
    settle().await;
    let read = tokio::spawn(async move { cache.get(&1).await });
    process.turn(2 * S).await;
    assert!(!put.is_finished() && !read.is_finished());
    assert_eq!(table.rows(|rows| rows.batches.clone()), [0; 0]);
    journal.hold(false);
    settle().await;
    assert_eq!(put.await.unwrap().unwrap().written, Written::Value(5));
    assert_eq!(read.await.unwrap().unwrap(), Some(5));
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_a_write_that_is_read_and_applied() {
    let (table, journal, process) = fresh().await;
    journal.hold(true);
    let cache = process.cache.clone();
    let put = tokio::spawn(async move { cache.put(&1, 5).await });
    settle().await;
    put.abort();
    journal.hold(false);
    assert_eq!(process.get(1).await, Some(5));
    process.turn(2 * S).await;
    assert_eq!(table.held(1), Some(5));
}

#[tokio::test]
async fn a_journal_that_fails_takes_nothing_more_and_nothing_of_it_is_applied() {
    let (table, journal, process) = fresh().await;
    journal.fail();
    assert_eq!(process.put(1, 5).await.unwrap_err().kind(), ErrorKind::Internal);
    process.turn(9 * S).await;
    assert_eq!(table.held(1), None);
    assert_eq!(process.put(2, 5).await.unwrap_err().kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn a_journal_that_takes_its_time_ends_nothing_and_what_it_has_then_is_applied() {
    let (table, journal, process) = fresh().await;
    journal.be_late(true);
    assert_eq!(process.put(1, 5).await.unwrap_err().kind(), ErrorKind::Timeout);
    process.turn(2 * S).await;
    process.turn(4 * S).await;
    assert_eq!((table.held(1), process.ends.load(Ordering::Relaxed)), (None, 0));
    journal.be_late(false);
    process.turn(9 * S).await;
    assert_eq!(table.held(1), Some(5));
    process.put(2, 6).await.unwrap();
}

#[tokio::test]
async fn who_writes_faster_than_the_sink_is_slowed_down_and_then_shed() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.holds = true);
    for key in 0..20 {
        at_once(process.put(key, 1)).unwrap();
    }
    let mut slowed = Vec::new();
    for key in 20..30 {
        let cache = process.cache.clone();
        slowed.push(tokio::spawn(async move { cache.put(&key, 1).await }));
    }
    settle().await;
    assert!(slowed.iter().skip(1).all(|put| !put.is_finished()));
    let shed = process.put(30, 1).await.unwrap_err();
    assert_eq!(shed.kind(), ErrorKind::Shed);
    assert!(shed.retry_delay().is_some());
    process.turn(S).await;
    for put in slowed {
        put.await.unwrap().unwrap();
    }
    table.let_go();
    for _ in 0..10 {
        process.turn(S).await;
    }
    process.put(30, 1).await.unwrap();
    assert_eq!((0..30).filter_map(|key| table.held(key)).sum::<i64>(), 30);
}

#[tokio::test]
async fn a_full_journal_sheds_and_nothing_is_written() {
    let (table, journal, process) = fresh().await;
    journal.room(1);
    process.put(1, 1).await.unwrap();
    assert_eq!(process.put(1, 2).await.unwrap_err().kind(), ErrorKind::Shed);
    assert_eq!(process.get(1).await, Some(1));
    process.turn(2 * S).await;
    assert_eq!(table.held(1), Some(1));
    process.put(1, 2).await.unwrap();
}

#[tokio::test]
async fn a_journal_full_of_what_is_applied_finds_room_without_a_write() {
    let (table, journal) = (Table::default(), TestJournal::default());
    let process = Process::over(&table, &journal, BehindBounds { batch_max: 16, ..BOUNDS });
    process.behind.start(&process.engine).await.unwrap();
    journal.room(10);
    for key in 0..8 {
        process.put(key, 1).await.unwrap();
    }
    process.turn(S).await;
    // These are applied at once, so soon after the others that the journal isn't told.
    for key in 0..10 {
        process.put(key, 2).await.unwrap();
    }
    settle().await;
    assert_eq!(table.rows(|rows| rows.held.values().sum::<i64>()), 20);
    process.turn(S * 6 / 10).await;
    assert_eq!(process.put(4, 3).await.unwrap_err().kind(), ErrorKind::Shed);
    settle().await;
    process.put(4, 3).await.unwrap();
}

#[tokio::test]
async fn writing_that_ends_for_good_is_told_once() {
    let (table, _, process) = fresh().await;
    process.put(1, 1).await.unwrap();
    table.rows(|rows| rows.epoch += 1);
    process.turn(2 * S).await;
    assert_eq!(process.ends.load(Ordering::Relaxed), 1);
    process.turn(9 * S).await;
    assert_eq!(process.ends.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_could_never_be_written_is_refused_at_once_and_not_written_down() {
    let (table, journal, process) = fresh().await;
    table.rows(|rows| rows.refused.insert(1));
    assert_eq!(process.put(1, 5).await.unwrap_err().kind(), ErrorKind::Refused);
    process.put(2, 5).await.unwrap();
    assert_eq!((journal.standing().next, process.get(1).await), (1, None));
    process.turn(2 * S).await;
    assert_eq!((table.held(1), table.rows(|rows| rows.letters.len())), (None, 0));
}

#[tokio::test]
async fn what_is_added_while_somebody_loads_beneath_isnt_shown_before_it_is_durable() {
    let (table, journal, process) = fresh().await;
    table.rows(|rows| {
        rows.held.insert(1, 100);
        rows.holds_loads = true;
    });
    process.add(1, 5).await.unwrap();
    let cache = process.cache.clone();
    let read = tokio::spawn(async move { cache.get(&1).await });
    settle().await;
    journal.hold(true);
    let cache = process.cache.clone();
    let add = tokio::spawn(async move { cache.increment(&1, 1).await });
    settle().await;
    table.let_go();
    settle().await;
    assert!(!add.is_finished() && !read.is_finished());
    journal.hold(false);
    settle().await;
    add.await.unwrap().unwrap();
    assert_eq!(read.await.unwrap().unwrap(), Some(106));
}

#[tokio::test]
async fn what_is_written_while_a_batch_flies_isnt_shown_before_it_is_durable() {
    let (table, journal, process) = fresh().await;
    table.rows(|rows| rows.holds_answers = true);
    process.add(1, 5).await.unwrap();
    process.turn(2 * S).await;
    let cache = process.cache.clone();
    let read = tokio::spawn(async move { cache.get(&1).await });
    settle().await;
    journal.hold(true);
    let cache = process.cache.clone();
    let put = tokio::spawn(async move { cache.put(&1, 9).await });
    settle().await;
    table.let_go();
    settle().await;
    assert!(!put.is_finished() && !read.is_finished());
    journal.hold(false);
    settle().await;
    put.await.unwrap().unwrap();
    assert_eq!(read.await.unwrap().unwrap(), Some(9));
}
