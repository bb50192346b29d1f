//! What waits counts against the bound of the memory tier: entries make way, and then writes are
//! shed.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{ErrorKind, Journal, Moment};
use larder_engine::behind::{BehindBounds, WriteBehind};
use larder_engine::runtime::TokioSpawn;
use larder_engine::{
    Budget, Cache, Engine, MemoryTier, MessagePack, Plain, PlainChange, memory_tier,
};
use larder_memory::policy::PolicyKind;
use larder_memory::{Bounds, Candidates};
use larder_test::ManualClock;

use crate::common::{S, settle};
use crate::table::Table;
use crate::{BOUNDS, Process};
use larder_test::TestJournal;

const MANY: BehindBounds =
    BehindBounds { slow_from: 100_000, keys_max: 100_000, batch_from: 100_000, ..BOUNDS };

/// A process whose cache has this tier, started.
async fn over(
    memory: &Arc<MemoryTier<u64, i64>>,
    table: &Table,
    journal: &TestJournal,
    bounds: BehindBounds,
) -> Process {
    let clock = ManualClock::new();
    let engine = Engine::new(Arc::new(clock.clone()), Arc::new(TokioSpawn::current().unwrap()));
    let behind = WriteBehind::with(Arc::new(journal.clone()), bounds);
    let cache = Cache::builder("numbers")
        .engine(&engine)
        .memory(Arc::clone(memory))
        .max_staleness(1000 * S)
        .jitter(Duration::ZERO)
        .source(table.clone())
        .sink(table.clone())
        .behind(&behind, MessagePack)
        .build()
        .unwrap();
    let process =
        Process { clock, engine, behind, cache, ends: Arc::default(), changes: Arc::default() };
    process.behind.start(&process.engine).await.unwrap();
    process
}

fn tier(bounds: Bounds) -> Arc<MemoryTier<u64, i64>> {
    Arc::new(memory_tier(bounds, PolicyKind::Sieve, None))
}

const ROOM: usize = 64 << 10;

#[tokio::test]
async fn entries_make_way_for_what_waits_and_come_back_when_it_is_applied() {
    let memory = tier(Bounds::bytes(ROOM));
    let (table, journal) = (Table::default(), TestJournal::default());
    let process = over(&memory, &table, &journal, MANY).await;
    for key in 0..2_000 {
        process.cache.get(&key).await.unwrap();
    }
    let before = memory.bytes();
    assert!(before > ROOM * 3 / 4, "{before} bytes are held");
    let stats = || process.cache.behind_stats().unwrap();
    for key in 10_000..10_150 {
        process.put(key, 1).await.unwrap();
        let (stats, held) = (stats(), memory.bytes());
        assert_eq!(stats.reserved, memory.reserved());
        assert!(stats.bytes <= stats.reserved, "{stats:?}");
        assert!(held + stats.reserved <= ROOM, "{held} bytes are held, and {stats:?} wait");
        assert!(stats.reserved <= stats.bytes + ROOM / 16, "{stats:?}");
    }
    assert!(memory.bytes() < before * 2 / 3, "{} bytes are held", memory.bytes());
    assert_eq!(memory.bounds().bytes_max(), Some(ROOM));
    for _ in 0..40 {
        process.turn(S).await;
    }
    assert_eq!((stats().keys, memory.reserved()), (0, 0));
    for key in 0..2_000 {
        process.cache.get(&key).await.unwrap();
    }
    assert!(memory.bytes() > ROOM * 3 / 4, "{} bytes are held", memory.bytes());
}

#[tokio::test]
async fn where_memory_has_no_room_for_what_would_wait_a_write_is_shed_and_not_written_down() {
    let memory = tier(Bounds::bytes(4 << 10));
    let (table, journal) = (Table::default(), TestJournal::default());
    let process = over(&memory, &table, &journal, MANY).await;
    let mut written = 0;
    let error = loop {
        match process.put(written, 1).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), error.retry_delay().is_some()), (ErrorKind::Shed, true));
    assert!(error.to_string().contains("memory"), "{error}");
    assert_eq!(journal.standing().next, written);
    assert!((10..30).contains(&written), "{written} writes had room");
    // What takes another's place takes no more of it, and what is known is read all the same.
    assert_eq!(process.get(0).await, Some(1));
    process.turn(2 * S).await;
    process.put(100, 1).await.unwrap();
    process.turn(2 * S).await;
    assert_eq!((0..=100).filter_map(|key| table.held(key)).sum::<i64>(), written as i64 + 1);
    assert_eq!(memory.reserved(), 0);
}

#[tokio::test]
async fn a_write_that_was_shed_leaves_nothing_reserved() {
    let memory = tier(Bounds::bytes(4 << 10));
    let (table, journal) = (Table::default(), TestJournal::default());
    let process = over(&memory, &table, &journal, MANY).await;
    journal.room(0);
    for key in 0..1_000 {
        assert_eq!(process.put(key, 1).await.unwrap_err().to_string(), "the journal is full");
    }
    journal.room(100);
    process.put(1, 1).await.unwrap();
    process.turn(2 * S).await;
    assert_eq!((table.held(1), memory.reserved()), (Some(1), 0));
}

#[tokio::test]
async fn a_tier_whose_entries_may_not_be_evicted_gives_no_room_that_they_have() {
    let bounds = Bounds::bytes(8 << 10).candidates(Candidates::Expiring);
    let memory = tier(bounds);
    let (table, journal) = (Table::default(), TestJournal::default());
    let process = over(&memory, &table, &journal, MANY).await;
    let plain = Plain::new(&process.engine, Arc::clone(&memory), |_, _| 0);
    for key in 1_000_000.. {
        if memory.bytes() > 4 << 10 {
            break;
        }
        let put = PlainChange::Put { value: 1, expires_at: Moment::MAX };
        plain.update(&key, Moment::ZERO, |_| (put, ())).unwrap();
    }
    let held = memory.bytes();
    let mut written = 0;
    while process.put(written, 1).await.is_ok() {
        written += 1;
        assert!(memory.bytes() + memory.reserved() <= 8 << 10);
    }
    assert!(written > 5, "{written} writes had room");
    assert_eq!(memory.bytes(), held);
}

#[tokio::test]
async fn a_cache_that_is_dropped_gives_its_room_back() {
    let memory = tier(Bounds::bytes(ROOM));
    let (table, journal) = (Table::default(), TestJournal::default());
    let process = over(&memory, &table, &journal, MANY).await;
    process.put(1, 1).await.unwrap();
    assert!(memory.reserved() > 0);
    let Process { clock, cache, .. } = process;
    drop(cache);
    settle().await;
    clock.advance(100 * S);
    settle().await;
    assert_eq!(memory.reserved(), 0);
}

#[tokio::test]
async fn a_replay_waits_for_the_room_that_memory_has() {
    let (table, journal) = (Table::default(), TestJournal::default());
    let process = over(&tier(Bounds::bytes(ROOM)), &table, &journal, MANY).await;
    for key in 0..100 {
        process.put(key, 1).await.unwrap();
    }
    let table = Table::default();
    table.rows(|rows| rows.holds = true);
    let memory = tier(Bounds::bytes(4 << 10));
    let journal = journal.after_the_end(0);
    let starting = {
        let (memory, table) = (Arc::clone(&memory), table.clone());
        tokio::spawn(async move { over(&memory, &table, &journal, MANY).await })
    };
    while memory.reserved() < 2 << 10 {
        // Threads read the journal.
        tokio::task::yield_now().await;
    }
    settle().await;
    assert!(!starting.is_finished());
    let reserved = memory.reserved();
    assert!((2 << 10..=4 << 10).contains(&reserved), "{reserved} bytes");
    table.let_go();
    let process = starting.await.unwrap();
    process.turn(2 * S).await;
    assert_eq!(table.rows(|rows| rows.held.len()), 100);
    assert_eq!(memory.reserved(), 0);
}

#[tokio::test]
async fn a_record_for_which_memory_will_never_have_room_is_replayed_all_the_same() {
    let (table, journal) = (Table::default(), TestJournal::default());
    let process = over(&tier(Bounds::bytes(ROOM)), &table, &journal, MANY).await;
    process.put(1, 7).await.unwrap();
    let table = Table::default();
    let process = over(&tier(Bounds::bytes(10)), &table, &journal.after_the_end(0), MANY).await;
    assert_eq!(process.get(1).await, Some(7));
    process.turn(2 * S).await;
    assert_eq!(table.held(1), Some(7));
}

#[tokio::test]
async fn within_a_budget_what_waits_is_room_that_nobody_takes() {
    const BUDGET: usize = 128 << 10;
    let budget = Budget::bytes(BUDGET);
    let memory = tier(Bounds::bytes(BUDGET));
    let _seat = budget.join(&memory).unwrap();
    let (table, journal) = (Table::default(), TestJournal::default());
    let process = over(&memory, &table, &journal, MANY).await;
    for key in 0..550 {
        process.put(key, 1).await.unwrap();
    }
    let reserved = memory.reserved();
    assert!(reserved > BUDGET * 3 / 4, "{reserved} bytes");
    // Another one joins, and half of the budget would be its share.
    let other: Arc<MemoryTier<u64, String>> =
        Arc::new(memory_tier(Bounds::bytes(BUDGET), PolicyKind::Sieve, None));
    let _other_seat = budget.join(&other).unwrap();
    let both = memory.bounds().bytes_max().unwrap() + other.bounds().bytes_max().unwrap();
    assert!(both <= BUDGET && memory.bounds().bytes_max().unwrap() >= reserved, "{both} bytes");
    assert_eq!(memory.reserved(), reserved);
    assert_eq!(process.put(9_999, 1).await.unwrap_err().kind(), ErrorKind::Shed);
}
