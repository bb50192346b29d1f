//! A cache that is written behind, over a source whose changes a feed tells: what it tells of our
//! own batches takes nothing away, and what others change is read within the promise, beneath what
//! waits as well.

use std::sync::Arc;
use std::time::Duration;

use larder_core::change::{Change, Changed, Field, Row, Table as Of};
use larder_core::feed::Notice;
use larder_core::sink::WriteFault;
use larder_core::{State, Written};
use larder_engine::behind::{BehindBounds, WriteBehind};
use larder_engine::feeding::{Feeding, Touched};
use larder_engine::runtime::TokioSpawn;
use larder_engine::{Cache, Engine, MessagePack};
use larder_test::{ManualClock, TestFeed, TestJournal};

use crate::common::network::Network;
use crate::common::{S, settle};
use crate::table::{Fails, Table};
use crate::{BOUNDS, Process};

const HOUR: Duration = Duration::from_secs(3600);
/// So long a write waits.
const DELAY: Duration = Duration::from_secs(5);

/// A row of the table was changed.
fn changed(key: u64) -> Notice {
    let table = Of { schema: "public".into(), name: "numbers".into() };
    let row = Row::new(["id".into()].into(), [Field::Text(key.to_string().into())]);
    Notice::Changed(Change { table, changed: Changed::Inserted(row) })
}

fn route(notice: &Notice) -> Touched<u64> {
    let Notice::Changed(change) = notice else { return Touched::Everything };
    let id = |row: &Row| match row.get("id") {
        Field::Text(id) => str::from_utf8(id).unwrap().parse().ok(),
        Field::Null | Field::Unknown => None,
    };
    Touched::Keys(change.rows().filter_map(id).collect())
}

/// A process whose cache promises two seconds, and the log of its table.
struct Fed {
    table: Table,
    log: TestFeed,
    process: Process,
    _feeding: Feeding,
}

impl Fed {
    async fn new() -> Self {
        let (table, log, clock) = (Table::default(), TestFeed::new(), ManualClock::new());
        let spawn = TokioSpawn::current().unwrap();
        let engine = Engine::new(Arc::new(clock.clone()), Arc::new(spawn));
        let bounds = BehindBounds { delay: DELAY, ..BOUNDS };
        let behind = WriteBehind::with(Arc::new(TestJournal::default()), bounds);
        let feeding = Feeding::over("log", log.clone());
        let cache = Cache::builder("numbers")
            .engine(&engine)
            .max_staleness(2 * S)
            .fresh_for(HOUR)
            .refresh_at(1.0)
            .xfetch(0.0)
            .feed(&feeding, route)
            .source(table.clone())
            .sink(table.clone())
            .behind(&behind, MessagePack)
            .add_with(|value, difference| Ok(value.copied().unwrap_or(0) + difference))
            .build()
            .unwrap();
        feeding.start(&engine).unwrap();
        behind.start(&engine).await.unwrap();
        let ends = Arc::default();
        let process = Process { clock, engine, behind, cache, ends, changes: Arc::default() };
        let fed = Self { table, log, process, _feeding: feeding };
        fed.pass(S).await;
        fed
    }

    /// Time goes by, and the feed with it.
    async fn pass(&self, time: Duration) {
        let step = Duration::from_millis(50);
        for _ in 0..time.as_millis() / step.as_millis() {
            self.process.turn(step).await;
        }
    }

    /// Somebody else commits.
    async fn foreign(&self, key: u64, value: i64) {
        self.table.rows(|rows| rows.held.insert(key, value));
        self.told(key).await;
    }

    /// A change of a row is told, whoever made it.
    async fn told(&self, key: u64) {
        self.log.commit([changed(key)]);
        settle().await;
    }

    /// What waits is applied, and the log tells of it.
    async fn apply(&self, keys: &[u64]) {
        self.pass(DELAY).await;
        for &key in keys {
            self.told(key).await;
        }
    }

    async fn get(&self, key: u64) -> Option<i64> {
        self.process.get(key).await
    }

    fn loads(&self) -> usize {
        self.table.rows(|rows| rows.loads)
    }
}

#[tokio::test]
async fn what_a_feed_tells_of_our_own_batch_takes_no_newer_write_away() {
    let fed = Fed::new().await;
    fed.process.put(1, 5).await.unwrap();
    fed.process.add(2, 5).await.unwrap();
    assert_eq!((fed.get(1).await, fed.get(2).await), (Some(5), Some(5)));
    fed.pass(DELAY).await;
    assert_eq!((fed.table.held(1), fed.table.held(2)), (Some(5), Some(5)));
    fed.process.put(1, 6).await.unwrap();
    fed.process.add(2, 1).await.unwrap();
    // By now the log tells of the first batch.
    fed.told(1).await;
    fed.told(2).await;
    assert_eq!((fed.get(1).await, fed.get(2).await), (Some(6), Some(6)));
    fed.apply(&[1, 2]).await;
    assert_eq!((fed.table.held(1), fed.table.held(2)), (Some(6), Some(6)));
    assert_eq!((fed.get(1).await, fed.get(2).await), (Some(6), Some(6)));
}

#[tokio::test]
async fn what_others_change_is_read_as_soon_as_it_is_told_where_nothing_waits() {
    let fed = Fed::new().await;
    fed.process.put(1, 5).await.unwrap();
    fed.apply(&[1]).await;
    assert_eq!(fed.get(1).await, Some(5));
    fed.pass(60 * S).await;
    let (answer, loads) = (fed.process.cache.ask(&1).await.unwrap(), fed.loads());
    assert_eq!((answer.value, answer.state), (Some(5), State::Fresh));
    fed.foreign(1, 50).await;
    assert_eq!((fed.get(1).await, fed.loads()), (Some(50), loads + 1));
}

/// What was added is added to what they wrote, whoever was first.
#[tokio::test]
async fn what_others_change_beneath_a_difference_is_read_with_the_difference_on_top() {
    let fed = Fed::new().await;
    fed.table.rows(|rows| rows.held.insert(1, 100));
    fed.process.add(1, 1).await.unwrap();
    assert_eq!((fed.get(1).await, fed.get(1).await, fed.loads()), (Some(101), Some(101), 1));
    fed.foreign(1, 200).await;
    assert_eq!((fed.get(1).await, fed.get(1).await, fed.loads()), (Some(201), Some(201), 2));
    assert_eq!(fed.process.add(1, 1).await.unwrap(), Written::Value(202));
    fed.apply(&[1]).await;
    assert_eq!((fed.table.held(1), fed.get(1).await), (Some(202), Some(202)));
}

/// It was acknowledged, and is applied over what they wrote.
#[tokio::test]
async fn what_others_change_beneath_a_value_that_waits_is_overwritten_by_it() {
    let fed = Fed::new().await;
    fed.process.put(1, 5).await.unwrap();
    fed.foreign(1, 50).await;
    assert_eq!((fed.get(1).await, fed.table.held(1)), (Some(5), Some(50)));
    fed.apply(&[1]).await;
    assert_eq!((fed.get(1).await, fed.table.held(1)), (Some(5), Some(5)));
    // Who comes after it has the last word.
    fed.foreign(1, 51).await;
    assert_eq!(fed.get(1).await, Some(51));
}

/// 1. A batch commits,
/// 2. somebody else changes the row, and the log tells of both,
/// 3. the answer to the batch arrives, with what the row was in between.
#[tokio::test]
async fn what_a_batch_returned_is_not_what_is_beneath_once_others_have_changed_it() {
    let fed = Fed::new().await;
    fed.process.add(1, 5).await.unwrap();
    assert_eq!(fed.get(1).await, Some(5));
    fed.table.rows(|rows| rows.holds_answers = true);
    fed.pass(DELAY).await;
    assert_eq!(fed.table.held(1), Some(5));
    fed.process.add(1, 1).await.unwrap();
    fed.told(1).await;
    fed.foreign(1, 500).await;
    fed.table.let_go();
    settle().await;
    assert_eq!(fed.get(1).await, Some(501));
    fed.apply(&[1]).await;
    assert_eq!((fed.table.held(1), fed.get(1).await), (Some(501), Some(501)));
}

#[tokio::test]
async fn after_a_gap_nothing_beneath_is_counted_on_and_nothing_that_waits_is_lost() {
    let fed = Fed::new().await;
    fed.process.add(1, 1).await.unwrap();
    fed.process.put(2, 5).await.unwrap();
    assert_eq!((fed.get(1).await, fed.get(2).await), (Some(1), Some(5)));
    fed.table.rows(|rows| rows.held.insert(1, 100));
    fed.log.lose();
    fed.pass(S).await;
    assert_eq!((fed.get(1).await, fed.get(2).await), (Some(101), Some(5)));
    fed.apply(&[1, 2]).await;
    assert_eq!((fed.table.held(1), fed.table.held(2)), (Some(101), Some(5)));
}

#[tokio::test]
async fn while_the_feed_stands_still_what_is_beneath_is_as_old_as_is_promised() {
    let fed = Fed::new().await;
    fed.process.add(1, 1).await.unwrap();
    assert_eq!(fed.get(1).await, Some(1));
    fed.log.stand_still(true);
    fed.table.rows(|rows| rows.held.insert(1, 100));
    fed.log.commit([changed(1)]);
    fed.pass(S + S / 2).await;
    let answer = fed.process.cache.ask(&1).await.unwrap();
    assert_eq!((answer.value, answer.current >= S), (Some(1), true), "{answer:?}");
    fed.pass(S).await;
    assert_eq!(fed.get(1).await, Some(101));
}

#[tokio::test]
async fn nothing_is_lost_while_the_table_fails_and_the_log_is_lost() {
    let fed = Fed::new().await;
    fed.table.rows(|rows| {
        let fails = [Fails::Before(WriteFault::Transient), Fails::Committed, Fails::Committed];
        rows.fails.extend(fails);
    });
    for round in 1..=10 {
        fed.process.add(1, 1).await.unwrap();
        fed.process.put(2, round).await.unwrap();
        if round % 3 == 0 {
            fed.log.lose();
        }
        fed.pass(2 * S).await;
        fed.told(1).await;
        // While nobody knows whether a difference was committed its sum is waited for.
        let cache = fed.process.cache.clone();
        let sum = tokio::spawn(async move { cache.get(&1).await.unwrap() });
        fed.pass(5 * S).await;
        assert!(sum.is_finished());
        assert_eq!((sum.await.unwrap(), fed.get(2).await), (Some(round), Some(round)));
    }
    fed.pass(20 * S).await;
    assert_eq!((fed.table.held(1), fed.table.held(2)), (Some(10), Some(10)));
    assert_eq!(fed.process.cache.behind_stats().unwrap().keys, 0);
}

/// The other one needs no announcement: the feed tells it of the batch, from its commit.
#[tokio::test]
async fn another_process_reads_the_table_and_knows_of_a_batch_by_the_feed() {
    let (network, table, log) = (Network::new(), Table::default(), TestFeed::new());
    table.rows(|rows| rows.held.insert(7, 70));
    let processes = [network.process().await, network.process().await];
    let behind = WriteBehind::with(Arc::new(TestJournal::default()), BOUNDS);
    let [in_a, in_b] = [0, 1].map(|at| {
        let feeding = Feeding::over("log", log.clone());
        let builder = Cache::builder("numbers")
            .engine(&processes[at].engine)
            .max_staleness(2 * S)
            .fresh_for(HOUR)
            .refresh_at(1.0)
            .xfetch(0.0)
            .shared(MessagePack)
            .feed(&feeding, route)
            .source(table.clone());
        let writes = |builder: larder_engine::CacheBuilder<u64, i64>| {
            builder.sink(table.clone()).behind(&behind, MessagePack)
        };
        let cache = if at == 0 { writes(builder) } else { builder }.build().unwrap();
        feeding.start(&processes[at].engine).unwrap();
        cache
    });
    behind.start(&processes[0].engine).await.unwrap();
    network.pass(S).await;
    assert_eq!(in_b.get(&7).await.unwrap(), Some(70));
    let put = in_a.clone();
    tokio::spawn(async move { put.put(&7, 71).await.unwrap() });
    settle().await;
    assert_eq!((in_a.get(&7).await.unwrap(), in_b.get(&7).await.unwrap()), (Some(71), Some(70)));
    network.pass(S + S / 10).await;
    assert_eq!(table.held(7), Some(71));
    log.commit([changed(7)]);
    network.pass(S / 2).await;
    assert_eq!((in_a.get(&7).await.unwrap(), in_b.get(&7).await.unwrap()), (Some(71), Some(71)));
}
