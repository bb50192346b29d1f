//! Several processes, one shared tier: who reads it, who fills it, and what is taken from it.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use common::network::{Network, name};
use common::{S, asking, settle};
use larder_core::shared::{Invalidation, LeaseAsk, SharedRead};
use larder_core::{BoxFuture, Changes, ErrorKind, Reason, SharedTier, Spawn, State, Tier};
use larder_engine::runtime::TokioSpawn;
use larder_engine::{Cache, Engine, Fill, Lookup, MessagePack, Sharing};
use larder_test::TestSource;

const MS: Duration = Duration::from_millis(1);

#[tokio::test]
async fn what_one_process_loaded_another_takes_from_the_shared_tier() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let (in_a, in_b) = (a.two_seconds(), b.two_seconds());
    assert_eq!(in_a.get(&7).await.unwrap(), Some(49));
    settle().await;
    network.pass(100 * MS).await;
    let answer = in_b.ask(&7).await.unwrap();
    assert_eq!((answer.value, answer.tier, answer.state), (Some(49), Tier::Shared, State::Fresh));
    assert_eq!((answer.reason, answer.age), (Reason::Held, 100 * MS));
    let answer = in_b.ask(&7).await.unwrap();
    assert_eq!((answer.value, answer.tier), (Some(49), Tier::Memory));
    assert_eq!(network.source.loads(), 1);
    assert_eq!(in_b.stats().shared_hit_age.count(), 1);
}

#[tokio::test]
async fn an_absence_is_shared_too() {
    let network = Network::with(TestSource::of([]));
    let (a, b) = (network.process().await, network.process().await);
    assert_eq!(a.two_seconds().get(&7).await.unwrap(), None);
    settle().await;
    let answer = b.two_seconds().ask(&7).await.unwrap();
    assert_eq!((answer.value, answer.tier), (None, Tier::Shared));
    assert_eq!(network.source.loads(), 1);
}

#[tokio::test]
async fn many_processes_that_miss_together_load_once() {
    let network = Network::new();
    network.source.close();
    let mut reads = Vec::new();
    for _ in 0..3 {
        let process = network.process().await;
        let cache = process.two_seconds();
        reads.extend((0..500).map(|_| asking(&cache, 7)));
    }
    network.pass(50 * MS).await;
    assert_eq!((network.source.waiting(), network.source.loads()), (1, 1));
    network.source.open();
    network.pass(200 * MS).await;
    for read in reads {
        assert_eq!(read.await.unwrap().unwrap().value, Some(49));
    }
    assert_eq!(network.source.loads(), 1);
}

#[tokio::test]
async fn who_waits_too_long_for_another_loads_for_itself_and_fills_nothing_shared() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let (in_a, in_b) = (a.two_seconds(), b.two_seconds());
    network.source.close();
    let first = asking(&in_a, 7);
    network.pass(20 * MS).await;
    let second = asking(&in_b, 7);
    network.pass(900 * MS).await;
    assert_eq!(network.source.waiting(), 1, "it still waits for the other's fill");
    network.pass(200 * MS).await;
    assert_eq!(network.source.waiting(), 2);
    assert!(network.server.lease_held(&name(7)));
    network.source.let_pass(2);
    settle().await;
    for read in [first, second] {
        assert_eq!(read.await.unwrap().unwrap().value, Some(49));
    }
    assert_eq!((in_a.stats().shared_fills, in_b.stats().shared_fills), (1, 0));
}

#[tokio::test]
async fn a_lease_is_given_back_when_its_load_fails() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    network.source.fail_next(1, ErrorKind::Loader);
    assert_eq!(a.two_seconds().get(&7).await.unwrap_err().kind(), ErrorKind::Loader);
    settle().await;
    assert!(!network.server.lease_held(&name(7)));
    assert_eq!(b.two_seconds().get(&7).await.unwrap(), Some(49));
}

#[tokio::test]
async fn a_batch_asks_once_for_hits_and_once_more_for_leases() {
    let network =
        Network::with(TestSource::answering(|key: &u64| key.checked_mul(*key)).batching(100));
    let (a, b) = (network.process().await, network.process().await);
    let (in_a, in_b) = (a.two_seconds(), b.two_seconds());
    in_a.get_many(&[1, 2, 3]).await.unwrap();
    settle().await;
    let before = b.client.calls();
    let values = in_b.get_many(&[1, 2, 3]).await.unwrap();
    assert_eq!(values, [Some(1), Some(4), Some(9)]);
    let hits = b.client.calls();
    assert_eq!(hits.gets.trips - before.gets.trips, 1);
    assert_eq!(hits.leases.trips, before.leases.trips);
    assert_eq!(in_b.get_many(&[1, 2, 3, 4, 5]).await.unwrap()[3..], [Some(16), Some(25)]);
    let both = b.client.calls();
    assert_eq!(both.gets.trips - hits.gets.trips, 1);
    assert_eq!(both.leases.trips - hits.leases.trips, 1);
    assert_eq!(both.leases.keys - hits.leases.keys, 2);
    assert_eq!(network.source.batches(), [3, 2]);
}

#[tokio::test]
async fn without_announcements_a_shared_hit_is_worth_its_age() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let unknown = |process: &common::network::Process| {
        process.builder().max_staleness(2 * S).refresh_at(1.0).xfetch(0.0).build().unwrap()
    };
    let (in_a, in_b) = (unknown(&a), unknown(&b));
    in_a.get(&7).await.unwrap();
    network.pass(1900 * MS).await;
    let answer = in_b.ask(&7).await.unwrap();
    assert_eq!((answer.tier, answer.age), (Tier::Shared, 1900 * MS));
    network.pass(101 * MS).await;
    assert_eq!(in_b.ask(&7).await.unwrap().tier, Tier::Source);
    assert_eq!(network.source.loads(), 2);
}

/// As it looks when the tier's clock was stepped back.
#[tokio::test]
async fn what_the_tier_will_hold_for_longer_than_it_was_to_be_held_is_no_hit() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let unknown =
        |process: &common::network::Process| process.builder().max_staleness(2 * S).build();
    let (in_a, in_b) = (unknown(&a).unwrap(), unknown(&b).unwrap());
    in_a.get(&7).await.unwrap();
    settle().await;
    let (name, envelope) = (name(7), network.server.held(&name(7)).unwrap());
    a.client.invalidate(&[&name], Invalidation::Drop, None).await.unwrap();
    let ask = [LeaseAsk { key: &name, seen: None }];
    let leased = a.client.lease_many(&ask, S).await.remove(0).unwrap();
    let SharedRead::Miss(lease) = leased else { panic!("{leased:?}") };
    a.client.fill(&name, &lease, envelope, 3_600 * S).await.unwrap();
    network.pass(10 * S).await;
    assert_eq!(in_b.ask(&7).await.unwrap().tier, Tier::Source);
    settle().await;
    assert_eq!(in_a.ask(&7).await.unwrap().tier, Tier::Shared, "it was filled anew");
}

#[tokio::test]
async fn a_value_that_took_long_to_load_is_as_old_as_its_lease() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let unknown = |process: &common::network::Process| {
        process.builder().max_staleness(2 * S).refresh_at(1.0).xfetch(0.0).build().unwrap()
    };
    let (in_a, in_b) = (unknown(&a), unknown(&b));
    network.source.close();
    let read = asking(&in_a, 7);
    settle().await;
    network.pass(1500 * MS).await;
    network.source.open();
    settle().await;
    read.await.unwrap().unwrap();
    network.pass(400 * MS).await;
    let answer = in_b.ask(&7).await.unwrap();
    assert_eq!((answer.tier, answer.age), (Tier::Shared, 1900 * MS));
}

#[tokio::test]
async fn what_the_horizon_vouches_for_outlives_the_promise() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let (in_a, in_b) = (a.two_seconds(), b.two_seconds());
    in_a.get(&7).await.unwrap();
    network.pass(60 * S).await;
    let answer = in_a.ask(&7).await.unwrap();
    assert_eq!((answer.tier, answer.age), (Tier::Memory, 60 * S));
    assert!(answer.current <= 400 * MS, "{:?}", answer.current);
    let answer = in_b.ask(&7).await.unwrap();
    assert_eq!(answer.tier, Tier::Shared);
    assert!(answer.current <= 400 * MS, "{:?}", answer.current);
    assert_eq!(network.source.loads(), 1);
}

#[tokio::test]
async fn when_the_bus_stands_still_nothing_is_fresh_for_longer_than_the_promise() {
    let network = Network::new();
    let a = network.process().await;
    let in_a = a.two_seconds();
    in_a.get(&7).await.unwrap();
    network.pass(60 * S).await;
    a.client.hold_bus();
    network.pass(1700 * MS).await;
    assert_eq!(in_a.ask(&7).await.unwrap().tier, Tier::Memory);
    network.pass(500 * MS).await;
    // Neither memory nor the shared tier can say that it is still right.
    let answer = in_a.ask(&7).await.unwrap();
    assert_eq!((answer.tier, answer.current), (Tier::Source, Duration::ZERO));
    a.client.release_bus();
    network.pass(400 * MS).await;
    assert!(in_a.ask(&7).await.unwrap().current <= 600 * MS);
}

#[tokio::test]
async fn what_another_version_wrote_is_a_miss_and_is_written_anew() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let of = |process: &common::network::Process, schema| {
        process.builder().changes(Changes::Announced).max_staleness(2 * S).schema(schema).build()
    };
    let (old, new) = (of(&a, 1).unwrap(), of(&b, 2).unwrap());
    old.get(&7).await.unwrap();
    settle().await;
    assert_eq!(new.ask(&7).await.unwrap().tier, Tier::Source);
    assert_eq!(new.stats().shared_unreadable, 1);
    settle().await;
    assert_eq!(network.held(7).unwrap().schema, 2);
}

#[tokio::test]
async fn a_value_of_another_type_is_a_miss() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    a.two_seconds().get(&7).await.unwrap();
    settle().await;
    let words: Cache<u64, String> = Cache::builder("numbers")
        .engine(&b.engine)
        .shared(MessagePack)
        .changes(Changes::Announced)
        .max_staleness(2 * S)
        .build()
        .unwrap();
    let word = words.get_or_load(&7, |_| async { Ok(Some("seven".to_owned())) }).await.unwrap();
    assert_eq!(word.as_deref(), Some("seven"));
    assert_eq!(words.stats().shared_unreadable, 1);
}

#[tokio::test]
async fn long_values_are_compressed_and_read_back() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let words = |process: &common::network::Process| -> Cache<u64, String> {
        Cache::builder("numbers")
            .engine(&process.engine)
            .shared(MessagePack)
            .changes(Changes::Announced)
            .max_staleness(2 * S)
            .build()
            .unwrap()
    };
    let long = "long ".repeat(1000);
    let (loaded, in_b) = (long.clone(), words(&b));
    words(&a).get_or_load(&7, |_| async { Ok(Some(loaded)) }).await.unwrap();
    settle().await;
    assert!(network.server.held(&name(7)).unwrap().len() < 500);
    assert_eq!(in_b.get(&7).await.unwrap(), Some(long));
}

#[tokio::test]
async fn a_stale_entry_of_the_shared_tier_is_served_while_one_process_refreshes() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let stale = |process: &common::network::Process| {
        let builder = process.builder().changes(Changes::Announced).max_staleness(2 * S);
        builder.fresh_for(10 * S).stale_for(10 * S).refresh_at(1.0).xfetch(0.0).build().unwrap()
    };
    let (in_a, in_b) = (stale(&a), stale(&b));
    in_a.get(&7).await.unwrap();
    network.pass(11 * S).await;
    network.source.close();
    let answer = in_b.ask(&7).await.unwrap();
    assert_eq!((answer.value, answer.tier), (Some(49), Tier::Shared));
    assert_eq!((answer.state, answer.reason), (State::Stale, Reason::Refreshing));
    network.pass(20 * MS).await;
    assert_eq!(network.source.waiting(), 1);
    assert_eq!(in_b.ask(&7).await.unwrap().tier, Tier::Memory);
    network.source.open();
    network.pass(20 * MS).await;
    assert_eq!(in_b.ask(&7).await.unwrap().state, State::Fresh);
    assert_eq!(network.source.loads(), 2);
}

#[tokio::test]
async fn what_the_shared_tier_holds_stands_in_when_the_source_fails() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let lenient = |process: &common::network::Process| {
        let builder = process.builder().max_staleness(2 * S).stale_on_error(60 * S);
        builder.refresh_at(1.0).xfetch(0.0).build().unwrap()
    };
    let (in_a, in_b) = (lenient(&a), lenient(&b));
    in_a.get(&7).await.unwrap();
    network.pass(10 * S).await;
    network.source.fail(ErrorKind::SourceDown);
    let answer = in_b.ask(&7).await.unwrap();
    assert_eq!((answer.value, answer.reason), (Some(49), Reason::Failing));
    assert_eq!(answer.age, 10 * S);
}

#[tokio::test]
async fn a_closure_loads_under_a_lease_and_not_at_all_when_the_tier_holds_the_value() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let (in_a, in_b) = (a.two_seconds(), b.two_seconds());
    assert_eq!(in_a.get_or_load(&7, |_| async { Ok(Some(1)) }).await.unwrap(), Some(1));
    settle().await;
    assert_eq!(in_b.get_or_load(&7, |_| async { Ok(Some(2)) }).await.unwrap(), Some(1));
    assert_eq!(network.source.loads(), 0);
}

#[tokio::test]
async fn what_is_not_for_keeping_is_not_shared_and_its_lease_is_given_back() {
    let network = Network::new();
    let a = network.process().await;
    let load = |context: larder_core::LoadContext| async move {
        context.dont_store();
        Ok(Some(1))
    };
    a.two_seconds().get_or_load(&7, load).await.unwrap();
    settle().await;
    assert!(network.held(7).is_none() && !network.server.lease_held(&name(7)));
}

#[tokio::test]
async fn a_cache_shares_only_where_its_engine_does() {
    let network = Network::new();
    let alone = network.alone();
    let error = alone.builder().max_staleness(2 * S).build().unwrap_err();
    assert!(error.to_string().contains("Engine::share"), "{error}");
    let process = network.process().await;
    let sharing = Sharing::over(Arc::new(process.client.clone()));
    assert_eq!(process.engine.share(sharing).await.unwrap_err().kind(), ErrorKind::Config);
}

/// Begins each task before it returns, as a thread of its own may.
struct Eager(TokioSpawn);

impl Spawn for Eager {
    fn spawn(&self, mut task: BoxFuture<'static, ()>) {
        let mut context = Context::from_waker(Waker::noop());
        if task.as_mut().poll(&mut context).is_pending() {
            self.0.spawn(task);
        }
    }
}

#[tokio::test]
async fn a_tier_without_a_bus_is_there_at_once_even_if_its_task_begins_at_once() {
    let network = Network::new();
    let spawn = Eager(TokioSpawn::current().unwrap());
    let engine = Engine::new(Arc::new(network.clock.clone()), Arc::new(spawn));
    let sharing = Sharing::over(Arc::new(network.server.client()));
    // The clock stands still: what is waited for until it moves never comes.
    let joining = tokio::spawn(async move { engine.share(sharing).await });
    settle().await;
    assert!(joining.is_finished());
    joining.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_ticket_fills_the_shared_tier_under_a_lease_and_others_find_it() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let (in_a, in_b) = (a.two_seconds(), b.two_seconds());
    let Lookup::Miss(ticket) = in_a.lookup(&7).await else { panic!("nothing is held") };
    assert!(network.server.lease_held(&name(7)));
    let Lookup::Miss(other) = in_b.lookup(&7).await else { panic!("nothing is held") };
    assert_eq!(ticket.fill(Some(49)), Fill::Stored);
    settle().await;
    // Who had no lease fills its own memory, and nothing that is shared.
    assert_eq!(other.fill(Some(50)), Fill::Stored);
    settle().await;
    let late = network.process().await.two_seconds();
    let Lookup::Hit(answer) = late.lookup(&7).await else { panic!("it is shared") };
    assert_eq!((answer.value, answer.tier), (Some(49), Tier::Shared));
    assert_eq!(network.source.loads(), 0);
}

#[tokio::test]
async fn a_ticket_of_before_an_invalidation_elsewhere_fills_nothing() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let (in_a, in_b) = (a.two_seconds(), b.two_seconds());
    let Lookup::Miss(ticket) = in_a.lookup(&7).await else { panic!("nothing is held") };
    in_b.invalidate(&7).await.unwrap();
    settle().await;
    assert_eq!(ticket.fill(Some(1)), Fill::Refused);
    settle().await;
    assert!(network.held(7).is_none());
}

#[tokio::test]
async fn a_ticket_that_is_given_back_leaves_no_lease() {
    let network = Network::new();
    let in_a = network.process().await.two_seconds();
    let Lookup::Miss(ticket) = in_a.lookup(&7).await else { panic!("nothing is held") };
    ticket.give_back();
    settle().await;
    assert!(!network.server.lease_held(&name(7)));
}
