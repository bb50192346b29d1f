//! Write-behind: what was acknowledged is read at once, applied in order, and never lost.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod crashes;
mod ends;
mod fed;
mod installing;
mod others;
mod room;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{S, at_once, settle};
use larder_core::sink::WriteFault;
use larder_core::{Clock, ErrorKind, Journal, Result, Tier, Write, Written};
use larder_engine::behind::{BehindBounds, Stopped, WriteBehind};
use larder_engine::observe::{Event, Failing, What};
use larder_engine::runtime::TokioSpawn;
use larder_engine::{Cache, Engine, Fill, Lookup, MessagePack};
use larder_test::{ManualClock, TestJournal};
use table::{Fails, Table};

/// One process: an engine, a cache that is written behind, and what it stands on.
pub(crate) struct Process {
    pub(crate) clock: ManualClock,
    pub(crate) engine: Engine,
    pub(crate) behind: WriteBehind,
    pub(crate) cache: Cache<u64, i64>,
    /// How often it was said that nothing is written any more.
    pub(crate) ends: Arc<AtomicUsize>,
    /// How often a change was told.
    pub(crate) changes: Arc<AtomicUsize>,
}

const BOUNDS: BehindBounds = BehindBounds {
    delay: S,
    batch_from: 10,
    batch_max: 8,
    slow_from: 20,
    keys_max: 30,
    bytes_max: 1 << 20,
    lanes: 1,
    apply_within: Duration::from_secs(5),
    retry_after: S,
    retry_after_max: Duration::from_secs(4),
    requeue_every: Duration::from_secs(60),
};

impl Process {
    pub(crate) fn over(table: &Table, journal: &TestJournal, bounds: BehindBounds) -> Self {
        let clock = ManualClock::new();
        let spawn = TokioSpawn::current().unwrap();
        let engine = Engine::new(Arc::new(clock.clone()), Arc::new(spawn));
        let behind = WriteBehind::with(Arc::new(journal.clone()), bounds);
        let ends = Arc::new(AtomicUsize::new(0));
        let changes = Arc::new(AtomicUsize::new(0));
        let (counted, told) = (Arc::clone(&ends), Arc::clone(&changes));
        let cache = Cache::builder("numbers")
            .engine(&engine)
            .max_staleness(1000 * S)
            .jitter(Duration::ZERO)
            .source(table.clone())
            .sink(table.clone())
            .behind(&behind, MessagePack)
            .add_with(|value, difference| Ok(value.copied().unwrap_or(0) + difference))
            .observe(move |event: &Event<'_>| {
                let of = match event.what {
                    What::WriteFailed { what: Failing::ForGood, .. } => &counted,
                    What::Changed => &told,
                    _ => return,
                };
                of.fetch_add(1, Ordering::Relaxed);
            })
            .build()
            .unwrap();
        Self { clock, engine, behind, cache, ends, changes }
    }

    pub(crate) async fn start(table: &Table, journal: &TestJournal) -> Self {
        let process = Self::over(table, journal, BOUNDS);
        process.behind.start(&process.engine).await.unwrap();
        process
    }

    pub(crate) async fn turn(&self, time: Duration) {
        settle().await;
        self.clock.advance(time);
        settle().await;
    }

    pub(crate) async fn put(&self, key: u64, value: i64) -> Result<Written<i64>> {
        Ok(self.cache.put(&key, value).await?.written)
    }

    pub(crate) async fn add(&self, key: u64, difference: i64) -> Result<Written<i64>> {
        Ok(self.cache.increment(&key, difference).await?.written)
    }

    pub(crate) async fn get(&self, key: u64) -> Option<i64> {
        self.cache.get(&key).await.unwrap()
    }
}

async fn fresh() -> (Table, TestJournal, Process) {
    let (table, journal) = (Table::default(), TestJournal::default());
    let process = Process::start(&table, &journal).await;
    (table, journal, process)
}

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
async fn a_lookup_finds_what_was_added_on_top_of_what_the_source_has() {
    let (table, _, process) = fresh().await;
    table.rows(|rows| rows.held.insert(1, 100));
    process.add(1, 5).await.unwrap();
    let Lookup::Hit(answer) = process.cache.lookup(&1).await else { panic!("it is known") };
    assert_eq!(answer.value, Some(105));
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
