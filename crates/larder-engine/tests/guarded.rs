//! Writes that are announced before they are committed: several processes, their writers' deaths,
//! a bus that is cut, a tier that is down or forgets. The rows of the table in
//! `docs/concepts/writing.md`.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::network::{Network, Process, name};
use common::{Numbers, S, settle};
use larder_core::sink::{WriteError, WriteFault};
use larder_core::{Changes, ErrorKind, Terms, Tier, Written};
use larder_engine::{
    Cache, CacheBuilder, Consistency, MessagePack, SharingBounds, WriteMode, Wrote,
};
use larder_test::sink::Step;
use larder_test::{TestSink, TestSource};
use tokio::task::JoinHandle;

const MS: Duration = Duration::from_millis(1);
/// Longer than an intent lives.
const INTENT: Duration = Duration::from_secs(23);

/// Two processes with a cache each over one source, whose key 7 has the value 70.
struct Two {
    network: Network,
    sink: TestSink<u64>,
    a: Process,
    b: Process,
    in_a: Numbers,
    in_b: Numbers,
}

impl Two {
    async fn new(consistency: Consistency) -> Self {
        let network = Network::with(TestSource::of([(7, 70)]));
        let sink = TestSink::into(&network.source);
        let (a, b) = (network.process().await, network.process().await);
        let in_a = builder(&a, &sink, consistency).build().unwrap();
        let in_b = builder(&b, &sink, consistency).build().unwrap();
        // Horizons are learnt.
        network.pass(500 * MS).await;
        Self { network, sink, a, b, in_a, in_b }
    }

    /// The second process holds the value.
    async fn held() -> Self {
        let two = Self::new(Consistency::Guarded).await;
        two.hold().await;
        two
    }

    async fn hold(&self) {
        assert_eq!(self.in_b.get(&7).await.unwrap(), Some(70));
        settle().await;
        assert_eq!(self.in_b.peek(&7).unwrap().value, Some(70));
    }

    /// A write of the first process, which waits at this step.
    async fn stopped_at(&self, step: Step) -> JoinHandle<larder_core::Result<Wrote<u64>>> {
        self.sink.close(step);
        let cache = self.in_a.clone();
        let put = tokio::spawn(async move { cache.put(&7, 71).await });
        self.sink.until_waiting(1).await;
        settle().await;
        put
    }

    fn intents(&self) -> usize {
        self.network.server.intents(&name(7))
    }
}

fn builder(
    process: &Process,
    sink: &TestSink<u64>,
    consistency: Consistency,
) -> CacheBuilder<u64, u64> {
    let builder = process.builder().changes(Changes::Announced).max_staleness(2 * S);
    let builder = builder.refresh_at(1.0).xfetch(0.0).consistency(consistency);
    builder.sink(sink.clone()).write(WriteMode::Through).written(|_, _| Terms::default())
}

#[tokio::test]
async fn others_hear_of_a_write_before_its_commit_and_keep_nothing_until_its_end() {
    let two = Two::held().await;
    let put = two.stopped_at(Step::BeforeCommit).await;
    assert_eq!((two.intents(), two.in_b.peek(&7)), (1, None));
    for (cache, _) in [(&two.in_a, 0), (&two.in_b, 1), (&two.in_b, 2)] {
        assert_eq!(cache.get(&7).await.unwrap(), Some(70));
        settle().await;
        assert_eq!((cache.peek(&7), two.network.held(7)), (None, None));
    }
    two.sink.open();
    assert!(put.await.unwrap().unwrap().announced);
    settle().await;
    assert_eq!(two.intents(), 0);
    assert_eq!(two.in_b.get(&7).await.unwrap(), Some(71));
    settle().await;
    assert_eq!(two.in_b.peek(&7).unwrap().value, Some(71));
}

/// The second process keeps `old` from a load that began before the intent.
#[tokio::test]
async fn a_load_from_before_an_intent_fills_nothing_after_it() {
    let two = Two::new(Consistency::Guarded).await;
    two.network.source.close();
    let reader = common::asking(&two.in_b, 7);
    two.network.source.until_waiting(1).await;
    let put = two.stopped_at(Step::AfterCommit).await;
    two.a.client.down();
    two.network.source.open();
    reader.await.unwrap().unwrap();
    settle().await;
    assert_eq!((two.in_b.peek(&7), two.network.held(7)), (None, None));
    assert_eq!(two.in_b.get(&7).await.unwrap(), Some(71));
    put.abort();
}

/// A writer that can't be heard any more is dead for everybody else.
#[tokio::test]
async fn a_writer_that_dies_after_its_commit_leaves_nothing_that_is_old() {
    let two = Two::held().await;
    let _put = two.stopped_at(Step::AfterCommit).await;
    two.a.client.down();
    let late = two.network.process().await;
    let in_late = builder(&late, &two.sink, Consistency::Guarded).build().unwrap();
    for _ in 0..23 {
        for cache in [&two.in_b, &in_late] {
            assert_eq!(cache.get(&7).await.unwrap(), Some(71));
        }
        two.network.pass(S).await;
    }
    // Its intent is over: the value is kept again.
    assert_eq!(two.intents(), 0);
    let loads = two.network.source.loads();
    two.in_b.get(&7).await.unwrap();
    two.in_b.get(&7).await.unwrap();
    assert!(two.network.source.loads() <= loads + 1);
    assert_eq!(two.in_b.peek(&7).unwrap().value, Some(71));
}

/// What the level is there for.
#[tokio::test]
async fn a_bounded_writer_that_dies_after_its_commit_leaves_what_is_old() {
    let two = Two::new(Consistency::Bounded).await;
    two.hold().await;
    let _put = two.stopped_at(Step::AfterCommit).await;
    two.a.client.down();
    two.network.pass(10 * S).await;
    assert_eq!(two.in_b.get(&7).await.unwrap(), Some(70));
}

#[tokio::test]
async fn a_writer_that_dies_before_its_commit_costs_loads_and_nothing_else() {
    let two = Two::held().await;
    let _put = two.stopped_at(Step::BeforeCommit).await;
    two.a.client.down();
    two.network.pass(INTENT).await;
    assert_eq!(two.in_b.get(&7).await.unwrap(), Some(70));
    settle().await;
    assert_eq!(two.in_b.peek(&7).unwrap().value, Some(70));
}

#[tokio::test]
async fn while_the_bus_is_cut_what_is_held_is_served_no_longer_than_promised() {
    let two = Two::held().await;
    two.b.client.cut_bus();
    two.in_a.put(&7, 71).await.unwrap();
    two.network.pass(S).await;
    assert_eq!(two.in_b.get(&7).await.unwrap(), Some(70));
    two.network.pass(2 * S).await;
    assert_eq!(two.in_b.get(&7).await.unwrap(), Some(71));
}

#[tokio::test]
async fn while_the_bus_is_cut_a_strict_cache_serves_nothing_from_memory() {
    for (consistency, is_served) in [(Consistency::Guarded, true), (Consistency::Strict, false)] {
        let two = Two::new(consistency).await;
        two.hold().await;
        two.b.client.cut_bus();
        assert_eq!(two.in_b.ask(&7).await.unwrap().tier, Tier::Memory);
        two.network.pass(3 * S).await;
        // Loaded now, and so within the promise.
        two.in_b.get(&7).await.unwrap();
        settle().await;
        let answer = two.in_b.ask(&7).await.unwrap();
        assert_eq!(answer.tier == Tier::Memory, is_served, "{consistency:?}: {answer:?}");
    }
}

#[tokio::test]
async fn while_the_tier_is_down_a_guarded_write_goes_on_and_is_told_later() {
    let two = Two::held().await;
    two.a.client.down();
    let cache = two.in_a.clone();
    let put = tokio::spawn(async move { cache.put(&7, 71).await });
    two.network.pass(2 * S).await;
    let wrote = put.await.unwrap().unwrap();
    assert_eq!((wrote.written, wrote.announced), (Written::Value(71), false));
    assert_eq!((two.in_a.stats().writes_unguarded, two.sink.writes()), (1, 1));
    assert_eq!(two.in_a.get(&7).await.unwrap(), Some(71));
    two.a.client.up();
    two.network.pass(2 * S).await;
    assert_eq!(two.in_b.get(&7).await.unwrap(), Some(71));
}

#[tokio::test]
async fn while_the_tier_is_down_a_strict_write_is_refused_and_nothing_is_written() {
    let two = Two::new(Consistency::Strict).await;
    two.hold().await;
    two.a.client.down();
    let error = two.in_a.put(&7, 71).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::SharedDown, Some("7")));
    assert!(error.to_string().contains("nothing was written"), "{error}");
    assert_eq!((two.sink.writes(), two.network.source.value(&7)), (0, Some(70)));
}

#[tokio::test]
async fn an_end_that_is_not_heard_is_told_again_until_it_is() {
    let two = Two::held().await;
    let put = two.stopped_at(Step::AfterCommit).await;
    two.a.client.down();
    two.sink.open();
    settle().await;
    two.network.pass(2 * S).await;
    assert!(!put.await.unwrap().unwrap().announced);
    two.a.client.up();
    two.network.pass(INTENT).await;
    for cache in [&two.in_a, &two.in_b] {
        assert_eq!(cache.get(&7).await.unwrap(), Some(71));
        settle().await;
        assert_eq!(cache.peek(&7).unwrap().value, Some(71));
    }
}

#[tokio::test]
async fn a_tier_that_forgets_an_intent_is_told_of_the_end_and_keeps_nothing_of_the_write() {
    let two = Two::held().await;
    let put = two.stopped_at(Step::AfterCommit).await;
    two.network.server.restart_empty();
    two.network.pass(500 * MS).await;
    two.sink.open();
    settle().await;
    two.network.pass(2 * S).await;
    put.await.unwrap().unwrap();
    two.network.pass(S).await;
    assert_eq!((two.in_a.peek(&7), two.intents()), (None, 0));
    for cache in [&two.in_b, &two.in_a] {
        assert_eq!(cache.get(&7).await.unwrap(), Some(71));
    }
}

#[tokio::test]
async fn a_guarded_write_takes_two_round_trips_and_a_bounded_one_takes_one() {
    let guarded = Two::held().await;
    let before = guarded.a.client.calls();
    guarded.in_a.put(&7, 71).await.unwrap();
    let after = guarded.a.client.calls();
    let trips = |calls: larder_test::shared::Calls| {
        (calls.begins.trips, calls.ends.trips, calls.invalidations.trips, calls.publishes.trips)
    };
    let (was, is) = (trips(before), trips(after));
    assert_eq!((is.0 - was.0, is.1 - was.1, is.2 - was.2, is.3 - was.3), (1, 1, 0, 0));

    let bounded = Two::new(Consistency::Bounded).await;
    let was = trips(bounded.a.client.calls());
    bounded.in_a.put(&7, 71).await.unwrap();
    let is = trips(bounded.a.client.calls());
    assert_eq!((is.0 - was.0, is.1 - was.1, is.2 - was.2, is.3 - was.3), (0, 0, 1, 0));
}

#[tokio::test]
async fn what_was_written_alone_is_held_here_and_in_the_tier() {
    let two = Two::held().await;
    let loads = two.network.source.loads();
    two.in_a.put(&7, 71).await.unwrap();
    settle().await;
    assert_eq!(two.in_a.peek(&7).unwrap().value, Some(71));
    assert_eq!(two.in_b.peek(&7), None);
    two.network.pass(100 * MS).await;
    let answer = two.in_b.ask(&7).await.unwrap();
    assert_eq!((answer.value, answer.tier, answer.age), (Some(71), Tier::Shared, 100 * MS));
    assert_eq!((two.network.source.loads(), two.in_a.stats().installed), (loads, 1));
}

#[tokio::test]
async fn what_nobody_held_is_not_put_anywhere() {
    let two = Two::new(Consistency::Guarded).await;
    two.in_a.put(&7, 71).await.unwrap();
    settle().await;
    assert_eq!((two.in_a.peek(&7), two.network.held(7)), (None, None));
}

/// A process that only writes has never seen a tag, and others may have.
#[tokio::test]
async fn where_nobody_said_what_a_loader_says_nothing_is_put_anywhere() {
    let two = Two::held().await;
    let unsaid = two.a.builder().changes(Changes::Announced).max_staleness(2 * S);
    let unsaid = unsaid.consistency(Consistency::Guarded).sink(two.sink.clone());
    let unsaid = unsaid.write(WriteMode::Through).build().unwrap();
    unsaid.put(&7, 71).await.unwrap();
    settle().await;
    assert_eq!((unsaid.peek(&7), two.network.held(7)), (None, None));
}

#[tokio::test]
async fn of_writers_in_two_processes_that_overlap_none_leaves_its_value() {
    let two = Two::held().await;
    let put = two.stopped_at(Step::AfterCommit).await;
    let other = tokio::spawn({
        let cache = two.in_b.clone();
        async move { cache.put(&7, 72).await }
    });
    two.sink.until_waiting(2).await;
    two.sink.open();
    put.await.unwrap().unwrap();
    other.await.unwrap().unwrap();
    settle().await;
    assert_eq!((two.in_a.peek(&7), two.in_b.peek(&7), two.network.held(7)), (None, None, None));
    for cache in [&two.in_a, &two.in_b] {
        assert_eq!(cache.get(&7).await.unwrap(), Some(72));
    }
}

#[tokio::test]
async fn what_was_invalidated_during_a_write_is_left_nowhere() {
    let two = Two::held().await;
    let put = two.stopped_at(Step::AfterCommit).await;
    two.network.source.set(7, 72);
    two.in_b.invalidate(&7).await.unwrap();
    two.sink.open();
    put.await.unwrap().unwrap();
    settle().await;
    assert_eq!((two.in_a.peek(&7), two.network.held(7)), (None, None));
    assert_eq!(two.in_a.get(&7).await.unwrap(), Some(72));
}

#[tokio::test]
async fn a_write_that_failed_lets_others_keep_again_at_once() {
    let two = Two::held().await;
    two.sink.fail_next(1, WriteFault::Transient);
    two.in_a.put(&7, 71).await.unwrap_err();
    settle().await;
    assert_eq!(two.intents(), 0);
    for cache in [&two.in_a, &two.in_b] {
        assert_eq!(cache.get(&7).await.unwrap(), Some(70));
        settle().await;
        assert_eq!(cache.peek(&7).unwrap().value, Some(70));
    }
}

/// The commit may come when its writer has long been told that nobody knows.
#[tokio::test]
async fn after_a_write_of_unknown_outcome_nobody_keeps_anything_until_its_intent_is_over() {
    let two = Two::held().await;
    two.sink.fail_next(1, WriteFault::Unknown);
    let error = two.in_a.put(&7, 71).await.unwrap_err();
    assert_eq!(error.downcast_ref::<WriteError>().unwrap().fault, WriteFault::Unknown);
    settle().await;
    for cache in [&two.in_a, &two.in_b] {
        two.network.source.set(7, 70); // it was not committed yet
        assert_eq!(cache.get(&7).await.unwrap(), Some(70));
        two.network.source.set(7, 71); // now it is
        assert_eq!(cache.get(&7).await.unwrap(), Some(71));
    }
    two.network.pass(INTENT).await;
    two.in_b.get(&7).await.unwrap();
    settle().await;
    assert_eq!((two.intents(), two.in_b.peek(&7).unwrap().value), (0, Some(71)));
}

#[tokio::test]
async fn who_reads_at_the_position_of_a_write_reads_it_in_any_process() {
    let two = Two::held().await;
    two.b.client.hold_bus();
    let wrote = two.in_a.put(&7, 71).await.unwrap();
    let position = wrote.position.unwrap();
    assert_eq!(two.in_b.peek(&7).unwrap().value, Some(70));
    let cache = two.in_b.clone();
    let read = tokio::spawn(async move { cache.read(&7).at(position).get().await });
    settle().await;
    two.b.client.release_bus();
    settle().await;
    assert_eq!(read.await.unwrap().unwrap(), Some(71));
}

/// It was loaded while nobody could say whether there was a writer, so no later horizon vouches
/// for it.
#[tokio::test]
async fn what_was_loaded_without_the_tiers_word_lives_no_longer_than_the_promise() {
    for (consistency, lives) in [(Consistency::Bounded, true), (Consistency::Guarded, false)] {
        let two = Two::new(consistency).await;
        two.b.client.down();
        assert_eq!(two.in_b.get(&7).await.unwrap(), Some(70));
        settle().await;
        two.b.client.up();
        two.network.pass(S).await;
        assert_eq!(two.in_b.peek(&7).map(|answer| answer.value), Some(Some(70)));
        two.network.pass(3 * S).await;
        let loads = two.network.source.loads();
        two.in_b.get(&7).await.unwrap();
        assert_eq!(two.network.source.loads() == loads, lives, "{consistency:?}");
    }
}

#[tokio::test]
async fn with_more_writers_than_may_be_noted_nothing_is_kept_until_their_time_is_over() {
    let network = Network::with(TestSource::of((0..10).map(|key| (key, key))));
    let sink = TestSink::into(&network.source);
    let a = network.process().await;
    let b = network.process_with(SharingBounds { pending_max: 2, ..Default::default() }).await;
    let in_a = builder(&a, &sink, Consistency::Guarded).build().unwrap();
    let in_b = builder(&b, &sink, Consistency::Guarded).build().unwrap();
    sink.close(Step::BeforeCommit);
    for key in 0..4 {
        let cache = in_a.clone();
        tokio::spawn(async move { cache.put(&key, 9).await });
    }
    sink.until_waiting(4).await;
    settle().await;
    a.client.down();
    in_b.get(&7).await.unwrap();
    settle().await;
    assert_eq!(in_b.peek(&7), None);
    network.pass(INTENT).await;
    in_b.get(&7).await.unwrap();
    settle().await;
    assert_eq!(in_b.peek(&7).unwrap().value, Some(7));
}

#[tokio::test]
async fn what_cannot_be_guarded_is_refused_with_the_reason() {
    let network = Network::new();
    let shared = network.process().await;
    let without_bus = network.process_without_bus().await;
    let memcached = Network::over(TestSource::of([]), |server| {
        server.with_abilities(|abilities| abilities.intents = false)
    });
    let without_intents = memcached.process().await;
    let guarded = |process: &Process| {
        let builder = process.builder().changes(Changes::Announced).max_staleness(2 * S);
        builder.consistency(Consistency::Guarded)
    };
    let local: CacheBuilder<u64, u64> = Cache::builder("local").engine(&shared.engine);
    let local = local.changes(Changes::Announced).max_staleness(S);
    let refused = [
        (guarded(&without_bus).build(), "need a bus"),
        (guarded(&without_intents).build(), "Memcached doesn't"),
        (guarded(&shared).changes(Changes::Unknown).build(), "must be announced"),
        (local.consistency(Consistency::Strict).build(), "knows intents"),
    ];
    for (built, why) in refused {
        let error = built.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(why), "{error}");
    }
    guarded(&shared).shared(MessagePack).build().unwrap();
}
