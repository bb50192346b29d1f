//! How writes are applied: together, in order, once each, and what becomes of those that
//! never can be.

use std::time::Duration;

use larder_core::sink::WriteFault;
use larder_core::{Journal, Write};
use larder_engine::behind::BehindBounds;
use larder_test::TestJournal;

use super::{BOUNDS, Process, fresh};
use crate::common::{S, settle};
use crate::table::{Fails, Table};

#[tokio::test]
async fn writes_wait_for_others_of_their_key_and_are_applied_as_one() {
    let (table, _, process) = fresh().await;
    for value in 0..1000 {
        process.put(1, value).await.unwrap();
        process.add(2, 1).await.unwrap();
    }
    assert_eq!(process.get(2).await, Some(1000));
    process.turn(2 * S).await;
    assert_eq!((table.held(1), table.held(2)), (Some(999), Some(1000)));
    assert_eq!(table.rows(|rows| rows.batches.clone()), [2]);
}

#[tokio::test]
async fn many_keys_wait_for_no_delay_and_go_in_batches() {
    let (table, _, process) = fresh().await;
    for key in 0..10 {
        process.put(key, 1).await.unwrap();
    }
    settle().await;
    assert_eq!(table.rows(|rows| rows.batches.clone()), [8]);
    process.turn(2 * S).await;
    assert_eq!(table.rows(|rows| rows.batches.clone()), [8, 2]);
}

#[tokio::test]
async fn a_transaction_that_failed_is_tried_until_it_succeeds_and_joined_meanwhile() {
    let (table, _, process) = fresh().await;
    let down = Fails::Before(WriteFault::Transient);
    table.rows(|rows| rows.fails.extend([down, down, Fails::Before(WriteFault::Conflict)]));
    process.put(1, 1).await.unwrap();
    process.turn(2 * S).await;
    process.put(1, 2).await.unwrap();
    assert_eq!((table.held(1), process.get(1).await), (None, Some(2)));
    for _ in 0..10 {
        process.turn(S).await;
    }
    assert_eq!((table.held(1), table.rows(|rows| rows.batches.len())), (Some(2), 4));
    let stats = process.cache.behind_stats().unwrap();
    assert_eq!((stats.applied, stats.failed, stats.keys, stats.bytes), (1, 3, 0, 0));
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_counts_once() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.fails.extend([Fails::Committed, Fails::Committed]));
    process.add(1, 5).await.unwrap();
    process.turn(2 * S).await;
    process.add(1, 2).await.unwrap();
    for _ in 0..10 {
        process.turn(S).await;
    }
    assert_eq!((table.held(1), process.get(1).await), (Some(7), Some(7)));
    assert_eq!(process.cache.behind_stats().unwrap().applied_before, 1);
}

#[tokio::test]
async fn what_may_be_committed_is_joined_by_nothing_whatever_fails_behind_it() {
    let (table, _, process) = fresh().await;
    let down = Fails::Before(WriteFault::Transient);
    table.rows(|rows| rows.fails.extend([Fails::Committed, down]));
    process.add(1, 5).await.unwrap();
    process.turn(S).await;
    process.add(1, 2).await.unwrap();
    for _ in 0..10 {
        process.turn(S).await;
    }
    assert_eq!((table.held(1), process.get(1).await), (Some(7), Some(7)));
}

#[tokio::test]
async fn a_transaction_that_takes_too_long_is_repeated_and_counts_once() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.holds = true);
    process.add(1, 5).await.unwrap();
    process.turn(2 * S).await;
    process.turn(6 * S).await;
    table.let_go();
    for _ in 0..10 {
        process.turn(S).await;
    }
    assert_eq!(table.held(1), Some(5));
}

/// A batch that is too much for the sink would be too much again, for ever.
#[tokio::test]
async fn a_batch_that_is_always_too_slow_is_applied_in_smaller_ones() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.slow_beyond = Some(2));
    for key in 0..8 {
        process.add(key, 5).await.unwrap();
    }
    for _ in 0..20 {
        process.turn(5 * S).await;
    }
    let held = table.rows(|rows| (0..8).filter(|key| rows.held.get(key) == Some(&5)).count());
    assert_eq!(held, 8, "{:?}", table.rows(|rows| rows.batches.clone()));
    assert_eq!(process.get(3).await, Some(5));
}

#[tokio::test]
async fn one_write_that_is_refused_is_buried_alone() {
    let (table, journal, process) = fresh().await;
    table.rows(|rows| rows.poison.insert(3));
    for key in 0..8 {
        process.put(key, 1).await.unwrap();
    }
    process.turn(2 * S).await;
    let (held, letters) = table.rows(|rows| (rows.held.len(), rows.letters.clone()));
    assert_eq!((held, letters.len()), (7, 1));
    let letter = &letters[0];
    assert_eq!((letter.numbered.key, &letter.numbered.write), (3, &Write::Store(1)));
    assert!(letter.reason.contains("may not be"), "{}", letter.reason);
    assert_eq!(table.rows(|rows| rows.batches.iter().sum::<usize>()), 8 + 8 + 4 + 2);
    assert_eq!((process.get(3).await, process.cache.behind_stats().unwrap().buried), (None, 1));
    // It is no longer needed in the journal.
    process.turn(2 * S).await;
    process.put(9, 1).await.unwrap();
    process.turn(2 * S).await;
    assert_eq!(journal.standing().first, 9);
}

#[tokio::test]
async fn a_dead_letter_is_tried_again_and_applied_once() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.poison.insert(3));
    process.add(3, 7).await.unwrap();
    process.turn(2 * S).await;
    table.rows(|rows| {
        rows.poison.clear();
        rows.requeued.insert(1);
        rows.fails.push_back(Fails::Committed);
    });
    for _ in 0..20 {
        process.turn(10 * S).await;
    }
    assert_eq!(table.held(3), Some(7));
    assert_eq!(table.rows(|rows| rows.letters.len()), 0);
}

#[tokio::test]
async fn a_dead_letter_that_is_refused_again_is_buried_anew() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.poison.insert(3));
    process.add(3, 7).await.unwrap();
    process.turn(2 * S).await;
    table.rows(|rows| rows.requeued.insert(1));
    for _ in 0..20 {
        process.turn(10 * S).await;
    }
    let letters = table.rows(|rows| rows.letters.clone());
    assert_eq!((letters.len(), &letters[0].numbered.write), (1, &Write::Add(7)));
    assert!(table.rows(|rows| rows.requeued.is_empty()));
}

/// One lane asks for letters, and hears late of one that the other has applied meanwhile.
#[tokio::test]
async fn a_dead_letter_that_was_applied_does_not_come_back_over_what_was_written_since() {
    let (table, journal) = (Table::default(), TestJournal::default());
    let bounds = BehindBounds { lanes: 2, requeue_every: 10 * S, ..BOUNDS };
    let process = Process::over(&table, &journal, bounds);
    process.behind.start(&process.engine).await.unwrap();
    table.rows(|rows| rows.poison.insert(3));
    process.put(3, 7).await.unwrap();
    process.turn(2 * S).await;
    // It is taken on, and can't be applied before somebody asks for letters again.
    table.rows(|rows| {
        rows.poison.clear();
        rows.requeued.insert(1);
        rows.fails.extend([Fails::Before(WriteFault::Transient); 100]);
    });
    for _ in 0..6 {
        process.turn(2 * S).await;
    }
    assert_eq!((process.get(3).await, table.held(3)), (Some(7), None));
    table.rows(|rows| rows.holds_letters = true);
    for _ in 0..8 {
        process.turn(2 * S).await;
    }
    assert_eq!(table.rows(|rows| (rows.letters.len(), rows.letters_held)), (1, 1));
    // What is said of it is on its way.
    table.rows(|rows| rows.fails.clear());
    for _ in 0..4 {
        process.turn(2 * S).await;
    }
    assert_eq!((table.held(3), table.rows(|rows| rows.letters.len())), (Some(7), 0));
    process.put(3, 8).await.unwrap();
    table.let_go();
    process.turn(Duration::ZERO).await;
    assert_eq!(process.get(3).await, Some(8), "it was written after the letter was applied");
    for _ in 0..10 {
        process.turn(2 * S).await;
    }
    assert_eq!((table.held(3), process.get(3).await), (Some(8), Some(8)));
}

#[tokio::test]
async fn a_sink_that_panics_is_asked_again_and_what_it_committed_counts_once() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.fails.push_back(Fails::Panicking));
    process.add(1, 5).await.unwrap();
    process.turn(2 * S).await;
    process.add(1, 2).await.unwrap();
    for _ in 0..10 {
        process.turn(S).await;
    }
    assert_eq!((table.held(1), process.cache.behind_stats().unwrap().keys), (Some(7), 0));
    assert_eq!(process.get(1).await, Some(7));
}

#[tokio::test]
async fn a_sink_that_leaves_a_write_out_of_its_answer_is_asked_again() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.fails.push_back(Fails::Forgetful));
    process.add(1, 5).await.unwrap();
    process.add(2, 5).await.unwrap();
    process.turn(2 * S).await;
    for _ in 0..10 {
        process.turn(S).await;
    }
    assert_eq!((table.held(1), table.held(2)), (Some(5), Some(5)));
    let stats = process.cache.behind_stats().unwrap();
    assert_eq!((stats.keys, stats.applied_before), (0, 2));
}
