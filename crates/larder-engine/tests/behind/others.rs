//! Other processes keep nothing of a key that has writes waiting, where the cache is guarded.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use larder_core::sink::WriteFault;
use larder_core::{Changes, ErrorKind, Journal, Write, Written};
use larder_engine::behind::{BehindBounds, WriteBehind};
use larder_engine::{Cache, CacheBuilder, Consistency, MessagePack};

use crate::BOUNDS;
use crate::common::network::{self, Network, name};
use crate::common::{S, settle};
use crate::table::{Fails, Table};
use larder_test::TestJournal;

/// How long a pledge lasts: two transactions, and two answers of the tier.
const PLEDGE: Duration = Duration::from_secs(11);

/// One process that writes behind and one that reads, over a table whose key 7 holds 70.
struct Two {
    network: Network,
    table: Table,
    journal: TestJournal,
    a: network::Process,
    in_a: Cache<u64, i64>,
    in_b: Cache<u64, i64>,
}

fn builder(
    process: &network::Process,
    table: &Table,
    consistency: Consistency,
) -> CacheBuilder<u64, i64> {
    Cache::builder("numbers")
        .engine(&process.engine)
        .source(table.clone())
        .jitter(Duration::ZERO)
        .shared(MessagePack)
        .changes(Changes::Announced)
        .max_staleness(2 * S)
        .refresh_at(1.0)
        .xfetch(0.0)
        .consistency(consistency)
}

/// The cache of the process that writes, started.
async fn writer(
    process: &network::Process,
    table: &Table,
    journal: &TestJournal,
    (consistency, bounds): (Consistency, BehindBounds),
) -> Cache<u64, i64> {
    let behind = WriteBehind::with(Arc::new(journal.clone()), bounds);
    let cache = builder(process, table, consistency)
        .sink(table.clone())
        .behind(&behind, MessagePack)
        .add_with(|value, difference| Ok(value.copied().unwrap_or(0) + difference))
        .build()
        .unwrap();
    behind.start(&process.engine).await.unwrap();
    cache
}

impl Two {
    async fn new(consistency: Consistency) -> Self {
        Self::with(consistency, BOUNDS).await
    }

    async fn with(consistency: Consistency, bounds: BehindBounds) -> Self {
        let (network, table, journal) = (Network::new(), Table::default(), TestJournal::default());
        table.rows(|rows| rows.held.insert(7, 70));
        let (a, b) = (network.process().await, network.process().await);
        let in_a = writer(&a, &table, &journal, (consistency, bounds)).await;
        let in_b = builder(&b, &table, consistency).build().unwrap();
        // Horizons are learnt.
        network.pass(S / 2).await;
        let two = Self { network, table, journal, a, in_a, in_b };
        assert_eq!(two.read().await, Some(70));
        assert!(two.is_kept());
        two
    }

    /// What the other process reads.
    async fn read(&self) -> Option<i64> {
        let value = self.in_b.get(&7).await.unwrap();
        settle().await;
        value
    }

    /// Whether anybody but the table holds something of the key.
    fn is_kept(&self) -> bool {
        self.in_b.peek(&7).is_some() || self.network.held(7).is_some()
    }

    fn intents(&self) -> usize {
        self.network.server.intents(&name(7))
    }

    async fn put(&self, value: i64) -> larder_core::Result<larder_engine::Wrote<i64>> {
        let cache = self.in_a.clone();
        let put = tokio::spawn(async move { cache.put(&7, value).await });
        settle().await;
        put.await.unwrap()
    }
}

#[tokio::test]
async fn others_keep_nothing_while_a_write_waits_and_read_it_as_soon_as_it_is_applied() {
    for consistency in [Consistency::Guarded, Consistency::Strict] {
        let two = Two::new(consistency).await;
        let wrote = two.put(71).await.unwrap();
        assert_eq!((wrote.written, wrote.announced), (Written::Value(71), true));
        assert_eq!((two.intents(), two.is_kept()), (1, false));
        assert_eq!((two.in_a.get(&7).await.unwrap(), two.read().await), (Some(71), Some(70)));
        assert!(!two.is_kept());
        two.network.pass(S + S / 10).await;
        assert_eq!((two.table.held(7), two.intents()), (Some(71), 0));
        // At once, and not within the promise.
        assert_eq!((two.read().await, two.in_a.get(&7).await.unwrap()), (Some(71), Some(71)));
        assert!(two.is_kept());
    }
}

/// What the level is there for.
#[tokio::test]
async fn of_a_bounded_cache_others_keep_what_is_older_than_what_waits() {
    let two = Two::new(Consistency::Bounded).await;
    two.put(71).await.unwrap();
    assert_eq!((two.intents(), two.read().await, two.is_kept()), (0, Some(70), true));
    two.network.pass(S + S / 10).await;
    assert_eq!(two.read().await, Some(71));
}

#[tokio::test]
async fn a_key_is_announced_when_it_becomes_dirty_and_not_for_each_write() {
    let two = Two::new(Consistency::Guarded).await;
    let before = two.a.client.calls();
    for value in 0..100 {
        two.put(value).await.unwrap();
    }
    let calls = two.a.client.calls();
    assert_eq!((calls.begins.trips - before.begins.trips, calls.ends.trips), (1, 0));
    two.network.pass(2 * S).await;
    let calls = two.a.client.calls();
    assert_eq!((calls.begins.trips - before.begins.trips, calls.ends.trips), (1, 1));
    assert_eq!((two.table.held(7), two.intents()), (Some(99), 0));
}

#[tokio::test]
async fn a_pledge_is_given_anew_for_as_long_as_the_sink_is_down() {
    let two = Two::new(Consistency::Guarded).await;
    two.table.rows(|rows| rows.fails.extend([Fails::Before(WriteFault::Transient); 999]));
    two.put(71).await.unwrap();
    for _ in 0..30 {
        two.network.pass(S).await;
        assert_eq!((two.intents(), two.read().await), (1, Some(70)));
        assert!(!two.is_kept());
    }
    two.table.rows(|rows| rows.fails.clear());
    two.network.pass(5 * S).await;
    assert_eq!((two.intents(), two.read().await, two.is_kept()), (0, Some(71), true));
}

#[tokio::test]
async fn a_pledge_is_given_anew_while_nothing_is_tried() {
    let two = Two::with(Consistency::Guarded, BehindBounds { delay: 40 * S, ..BOUNDS }).await;
    two.put(71).await.unwrap();
    for _ in 0..39 {
        two.network.pass(S).await;
        assert_eq!((two.intents(), two.read().await), (1, Some(70)));
        assert!(!two.is_kept());
    }
    two.network.pass(2 * S).await;
    assert_eq!((two.intents(), two.read().await, two.is_kept()), (0, Some(71), true));
    // Some seven times, and not with each look.
    let begun = two.a.client.calls().begins.trips;
    assert!((4..16).contains(&begun), "{begun} times");
}

#[tokio::test]
async fn what_is_written_while_its_key_is_being_applied_is_announced_too() {
    let two = Two::new(Consistency::Guarded).await;
    two.table.rows(|rows| rows.holds_answers = true);
    two.put(71).await.unwrap();
    two.network.pass(S + S / 10).await;
    assert_eq!(two.table.held(7), Some(71));
    two.put(72).await.unwrap();
    two.table.let_go();
    two.network.pass(S / 10).await;
    assert_eq!((two.table.held(7), two.intents()), (Some(71), 1));
    assert_eq!((two.read().await, two.is_kept()), (Some(71), false));
    two.network.pass(2 * S).await;
    assert_eq!((two.intents(), two.read().await, two.is_kept()), (0, Some(72), true));
}

/// Nothing of it was told to others when it was acknowledged, but it is before it is committed.
#[tokio::test]
async fn while_the_tier_is_down_a_guarded_write_goes_on_and_is_announced_before_its_commit() {
    let two = Two::new(Consistency::Guarded).await;
    two.a.client.down();
    let cache = two.in_a.clone();
    let put = tokio::spawn(async move { cache.put(&7, 71).await });
    two.network.pass(S / 2).await;
    assert!(!put.await.unwrap().unwrap().announced);
    assert_eq!((two.in_a.stats().writes_unguarded, two.in_a.get(&7).await.unwrap()), (1, Some(71)));
    two.a.client.up();
    two.table.rows(|rows| rows.holds_answers = true);
    two.network.pass(2 * S).await;
    assert_eq!((two.table.held(7), two.intents()), (Some(71), 1));
    assert_eq!((two.read().await, two.is_kept()), (Some(71), false));
    two.table.let_go();
    two.network.pass(S).await;
    assert_eq!((two.intents(), two.read().await, two.is_kept()), (0, Some(71), true));
}

#[tokio::test]
async fn while_the_tier_is_down_a_guarded_write_is_applied_and_told_later() {
    let two = Two::new(Consistency::Guarded).await;
    two.a.client.down();
    let cache = two.in_a.clone();
    let put = tokio::spawn(async move { cache.put(&7, 71).await });
    two.network.pass(10 * S).await;
    assert!(!put.await.unwrap().unwrap().announced);
    assert_eq!(two.table.held(7), Some(71));
    two.a.client.up();
    two.network.pass(2 * S).await;
    assert_eq!((two.read().await, two.in_a.get(&7).await.unwrap()), (Some(71), Some(71)));
    assert_eq!(two.in_a.behind_stats().unwrap().keys, 0);
}

#[tokio::test]
async fn while_the_tier_is_down_a_strict_write_is_refused_and_not_written_down() {
    let two = Two::new(Consistency::Strict).await;
    two.a.client.down();
    let cache = two.in_a.clone();
    let put = tokio::spawn(async move { cache.put(&7, 71).await });
    two.network.pass(2 * S).await;
    let error = put.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::SharedDown, Some("7")));
    assert_eq!((two.journal.standing().next, two.table.held(7)), (0, Some(70)));
}

#[tokio::test]
async fn while_the_tier_is_down_a_strict_cache_applies_nothing_and_does_so_afterwards() {
    let two = Two::new(Consistency::Strict).await;
    two.table.rows(|rows| rows.fails.extend([Fails::Before(WriteFault::Transient); 999]));
    two.put(71).await.unwrap();
    two.a.client.down();
    // Its pledge ends, and then the table would take it.
    two.network.pass(PLEDGE * 2).await;
    two.table.rows(|rows| rows.fails.clear());
    two.network.pass(8 * S).await;
    assert_eq!((two.table.held(7), two.intents()), (Some(70), 0));
    two.a.client.up();
    two.network.pass(8 * S).await;
    assert_eq!((two.table.held(7), two.intents()), (Some(71), 0));
    assert_eq!(two.read().await, Some(71));
}

#[tokio::test]
async fn a_process_that_dies_leaves_a_pledge_that_ends_and_what_it_owes_is_announced_again() {
    let two = Two::new(Consistency::Guarded).await;
    two.put(71).await.unwrap();
    two.a.client.down();
    let journal = two.journal.after_the_end(0);
    two.table.rows(|rows| rows.epoch += 1);
    two.network.pass(PLEDGE + S).await;
    assert_eq!((two.intents(), two.read().await, two.is_kept()), (0, Some(70), true));
    let next = two.network.process().await;
    two.table.rows(|rows| rows.holds_answers = true);
    let in_next = writer(&next, &two.table, &journal, (Consistency::Guarded, BOUNDS)).await;
    two.network.pass(2 * S).await;
    assert_eq!((two.table.held(7), two.intents()), (Some(71), 1));
    assert_eq!((two.read().await, two.is_kept()), (Some(71), false));
    two.table.let_go();
    two.network.pass(S).await;
    assert_eq!((two.intents(), two.read().await), (0, Some(71)));
    assert_eq!(in_next.get(&7).await.unwrap(), Some(71));
}

#[tokio::test]
async fn a_write_that_was_polled_once_is_carried_through_when_it_is_dropped() {
    let two = Two::new(Consistency::Guarded).await;
    {
        let mut put = Box::pin(two.in_a.put(&7, 71));
        assert!(put.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    settle().await;
    assert_eq!((two.in_a.get(&7).await.unwrap(), two.intents()), (Some(71), 1));
    two.network.pass(2 * S).await;
    assert_eq!((two.table.held(7), two.intents()), (Some(71), 0));
}

#[tokio::test]
async fn what_was_shed_is_taken_back_so_that_others_keep_again() {
    let two = Two::new(Consistency::Guarded).await;
    two.journal.room(0);
    assert_eq!(two.put(71).await.unwrap_err().kind(), ErrorKind::Shed);
    settle().await;
    assert_eq!((two.intents(), two.read().await, two.is_kept()), (0, Some(70), true));
}

#[tokio::test]
async fn an_update_is_decided_on_what_is_held_then_and_announced_once() {
    let two = Two::new(Consistency::Guarded).await;
    let before = two.a.client.calls().begins.trips;
    for _ in 0..2 {
        let cache = two.in_a.clone();
        let mut decided = 0;
        let updated = tokio::spawn(async move {
            let up = |value: Option<i64>| {
                decided += 1;
                Some(Write::Store(value.unwrap_or(0) + 1))
            };
            cache.update(&7, up).await.unwrap();
            decided
        });
        settle().await;
        assert_eq!(updated.await.unwrap(), 1);
    }
    assert_eq!(two.a.client.calls().begins.trips, before + 1);
    two.network.pass(2 * S).await;
    assert_eq!((two.table.held(7), two.intents()), (Some(72), 0));
    // Nothing was decided: nobody has to be kept from anything.
    two.in_a.update(&7, |_| None).await.unwrap();
    settle().await;
    assert_eq!(two.intents(), 0);
}

#[tokio::test]
async fn a_write_that_becomes_a_dead_letter_is_taken_back() {
    let two = Two::new(Consistency::Guarded).await;
    two.table.rows(|rows| rows.poison.insert(7));
    two.put(71).await.unwrap();
    two.network.pass(2 * S).await;
    assert_eq!((two.intents(), two.read().await, two.is_kept()), (0, Some(70), true));
}

#[tokio::test]
async fn no_more_are_announced_at_once_than_may_wait() {
    let bounds = BehindBounds { keys_max: 3, ..BOUNDS };
    let two = Two::with(Consistency::Guarded, bounds).await;
    two.a.client.pause();
    let mut puts = Vec::new();
    for key in 0..5 {
        let cache = two.in_a.clone();
        puts.push(tokio::spawn(async move { cache.put(&key, 1).await }));
    }
    settle().await;
    assert_eq!(puts.iter().filter(|put| put.is_finished()).count(), 2);
    two.a.client.resume();
    settle().await;
    let mut shed = 0;
    for put in puts {
        match put.await.unwrap() {
            Ok(wrote) => assert!(wrote.announced),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Shed);
                shed += 1;
            }
        }
    }
    assert_eq!(shed, 2);
}
