//! Several processes: what one invalidates no other serves.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::network::{Network, Process, name};
use common::{Numbers, S, asking, settle};
use larder_core::bus::Announcement;
use larder_core::envelope::encoding;
use larder_core::{Changes, ErrorKind, LoadContext, LoadError, Reason, State, Tier, keys_of};
use larder_engine::observe::{Event, What};
use larder_engine::{Cache, Codec, Consistency, Invalidation, SharingBounds};
use larder_test::TestSource;

const MS: Duration = Duration::from_millis(1);

/// Key 7 is 1, held by two processes and the shared tier; then it is 2.
async fn changed() -> (Network, [Process; 2], [Numbers; 2]) {
    let network = Network::with(TestSource::of([(7, 1)]));
    let processes = [network.process().await, network.process().await];
    let caches = [processes[0].two_seconds(), processes[1].two_seconds()];
    for cache in &caches {
        assert_eq!(cache.get(&7).await.unwrap(), Some(1));
        settle().await;
    }
    network.pass(500 * MS).await;
    network.source.set(7, 2);
    (network, processes, caches)
}

/// Every way of invalidating key 7.
#[derive(Clone, Copy, Debug)]
enum Way {
    Key,
    Many,
    All,
    Prefix,
}

impl Way {
    const EVERY: [Self; 4] = [Self::Key, Self::Many, Self::All, Self::Prefix];

    async fn invalidate(self, cache: &Numbers) -> larder_engine::Invalidated {
        match self {
            Self::Key => cache.invalidate(&7).await,
            Self::Many => cache.invalidate_many(&[7, 8]).await,
            Self::All => cache.invalidate_all().await,
            Self::Prefix => cache.invalidate_prefix("7").await,
        }
        .unwrap()
    }
}

#[tokio::test]
async fn what_one_process_invalidates_no_other_serves() {
    for way in Way::EVERY {
        let (network, _processes, [in_a, in_b]) = changed().await;
        let invalidated = way.invalidate(&in_a).await;
        assert!(invalidated.position.is_some(), "{way:?}");
        assert_eq!(in_a.get(&7).await.unwrap(), Some(2), "{way:?}");
        settle().await;
        assert_eq!(in_b.get(&7).await.unwrap(), Some(2), "{way:?}");
        settle().await;
        assert_eq!(network.source.loads(), 2, "{way:?}");
    }
}

#[tokio::test]
async fn what_was_marked_stale_is_served_within_the_promise_while_it_is_refreshed() {
    let network = Network::with(TestSource::of([(7, 1)]));
    let (a, b) = (network.process().await, network.process().await);
    let stale = |process: &Process| {
        let builder = process.builder().changes(Changes::Announced).max_staleness(2 * S);
        builder.stale_for(10 * S).refresh_at(1.0).xfetch(0.0).build().unwrap()
    };
    let (in_a, in_b) = (stale(&a), stale(&b));
    for cache in [&in_a, &in_b] {
        cache.get(&7).await.unwrap();
        settle().await;
    }
    network.pass(30 * S).await;
    network.source.set(7, 2);
    network.source.close();
    in_a.mark_stale(&7).await.unwrap();
    settle().await;
    let answer = in_b.ask(&7).await.unwrap();
    assert_eq!((answer.value, answer.state, answer.tier), (Some(1), State::Stale, Tier::Memory));
    assert!(network.held(7).unwrap().is_stale);
    network.source.open();
    network.pass(100 * MS).await;
    assert_eq!(in_b.get(&7).await.unwrap(), Some(2));
}

#[tokio::test]
async fn what_was_marked_stale_is_not_lifted_by_a_later_horizon() {
    let network = Network::with(TestSource::of([(7, 1)]));
    let (a, b) = (network.process().await, network.process().await);
    let stale = |process: &Process| {
        let builder = process.builder().changes(Changes::Announced).max_staleness(2 * S);
        builder.stale_for(100 * S).refresh_at(1.0).xfetch(0.0).build().unwrap()
    };
    let (in_a, in_b) = (stale(&a), stale(&b));
    in_a.get(&7).await.unwrap();
    settle().await;
    in_b.get(&7).await.unwrap();
    network.pass(30 * S).await;
    network.source.set(7, 2);
    in_a.mark_many_stale(&[7, 8]).await.unwrap();
    // Nobody reads it, so nobody refreshes it; the bus goes on.
    network.pass(2500 * MS).await;
    assert_eq!(in_b.get(&7).await.unwrap(), Some(2));
}

#[tokio::test]
async fn a_fill_under_a_lease_that_an_invalidation_voided_stores_nothing() {
    let (network, _processes, [in_a, in_b]) = changed().await;
    in_a.invalidate(&7).await.unwrap();
    settle().await;
    network.source.close();
    let slow = asking(&in_b, 7);
    network.pass(20 * MS).await;
    assert!(network.server.lease_held(&name(7)));
    network.source.set(7, 3);
    in_a.invalidate(&7).await.unwrap();
    network.source.open();
    network.pass(100 * MS).await;
    slow.await.unwrap().unwrap();
    network.pass(100 * MS).await;
    assert_eq!(in_a.get(&7).await.unwrap(), Some(3));
    assert_eq!(in_b.get(&7).await.unwrap(), Some(3));
}

#[tokio::test]
async fn one_load_follows_an_invalidation_however_many_read_wherever() {
    let (network, _processes, [in_a, in_b]) = changed().await;
    let loads = network.source.loads();
    in_a.invalidate(&7).await.unwrap();
    settle().await;
    let reads: Vec<_> = (0..1000).map(|reader| asking([&in_a, &in_b][reader % 2], 7)).collect();
    network.pass(100 * MS).await;
    for read in reads {
        assert_eq!(read.await.unwrap().unwrap().value, Some(2));
    }
    assert_eq!(network.source.loads() - loads, 1);
}

#[tokio::test]
async fn a_position_is_read_in_another_process_even_before_the_announcement_arrives() {
    let (network, [_a, b], [in_a, in_b]) = changed().await;
    b.client.hold_bus();
    let position = in_a.invalidate(&7).await.unwrap().position.unwrap();
    assert_eq!(in_b.get(&7).await.unwrap(), Some(1), "within the promise");
    let at = in_b.clone();
    let read = tokio::spawn(async move { at.read(&7).at(position).get().await });
    network.pass(99 * MS).await;
    assert!(!read.is_finished(), "it waits for the announcement");
    network.pass(100 * MS).await;
    assert_eq!(read.await.unwrap().unwrap(), Some(2));
}

/// The announcement is what tells a filter of it.
#[tokio::test]
async fn a_row_that_is_new_is_read_at_its_position_whatever_a_filter_says() {
    for consistency in [Consistency::Eventual, Consistency::Bounded] {
        let network = Network::with(TestSource::of([(7, 1)]));
        let (a, b) = (network.process().await, network.process().await);
        let filtered = |process: &Process| {
            let builder = process.builder().changes(Changes::Announced).consistency(consistency);
            builder.max_staleness(2 * S).filter(keys_of([7_u64])).build().unwrap()
        };
        let (in_a, in_b) = (filtered(&a), filtered(&b));
        network.pass(S).await;
        let mut new = 1_000;
        while in_b.ask(&new).await.unwrap().reason != Reason::Filtered {
            new += 1;
        }
        b.client.hold_bus();
        network.source.set(new, 2);
        let position = in_a.invalidate(&new).await.unwrap().position.unwrap();
        let read = tokio::spawn(async move { in_b.read(&new).at(position).get().await });
        network.pass(200 * MS).await;
        assert_eq!(read.await.unwrap().unwrap(), Some(2), "{consistency:?}");
    }
}

/// Nobody would ever tell of what another process inserts.
#[tokio::test]
async fn where_no_bus_tells_of_others_a_filter_denies_nothing() {
    let network = Network::with(TestSource::of([(7, 1)]));
    let process = network.process_without_bus().await;
    let builder = process.builder().changes(Changes::Announced).max_staleness(2 * S);
    let cache = builder.filter(keys_of([7_u64])).build().unwrap();
    settle().await;
    for key in 1_000..1_020 {
        assert_ne!(cache.ask(&key).await.unwrap().reason, Reason::Filtered);
    }
    // Where nothing changes nobody inserts.
    let builder = process.builder().changes(Changes::Static).max_staleness(2 * S);
    let cache = builder.filter(keys_of([7_u64])).build().unwrap();
    settle().await;
    let mut denied = 0;
    for key in 1_000..1_020 {
        denied += usize::from(cache.ask(&key).await.unwrap().reason == Reason::Filtered);
    }
    assert!(denied > 10, "{denied}");
}

#[tokio::test]
async fn a_position_that_has_arrived_costs_nothing() {
    let (network, _processes, [in_a, in_b]) = changed().await;
    let position = in_a.invalidate(&7).await.unwrap().position.unwrap();
    settle().await;
    in_b.get(&7).await.unwrap();
    let loads = network.source.loads();
    let answer = in_b.read(&7).at(position).ask().await.unwrap();
    assert_eq!((answer.value, answer.tier), (Some(2), Tier::Memory));
    assert_eq!(network.source.loads(), loads);
}

#[tokio::test]
async fn what_is_handed_over_without_waiting_reaches_the_others_soon() {
    let (network, _processes, [in_a, in_b]) = changed().await;
    assert_eq!(in_a.invalidate_here(&[7], Invalidation::Drop).unwrap(), 1);
    network.pass(20 * MS).await;
    assert_eq!(in_b.get(&7).await.unwrap(), Some(2));
}

#[tokio::test]
async fn a_gap_on_the_bus_drops_everything_and_is_counted() {
    let (network, [a, b], [in_a, in_b]) = changed().await;
    b.client.cut_bus();
    in_a.invalidate(&7).await.unwrap();
    network.pass(400 * MS).await;
    b.client.heal_bus();
    network.pass(400 * MS).await;
    assert_eq!(in_b.get(&7).await.unwrap(), Some(2));
    assert_eq!(b.engine.shared_stats().unwrap().gaps, 1);
    assert_eq!(a.engine.shared_stats().unwrap().gaps, 0);
}

#[tokio::test]
async fn a_message_that_comes_twice_does_no_harm() {
    let (network, [_a, b], [in_a, in_b]) = changed().await;
    b.client.repeat_next_messages(100);
    in_a.invalidate(&7).await.unwrap();
    network.pass(400 * MS).await;
    assert_eq!(in_b.get(&7).await.unwrap(), Some(2));
    network.pass(3 * S).await;
    assert_eq!(in_b.ask(&7).await.unwrap().tier, Tier::Memory);
}

#[tokio::test]
async fn a_cache_that_shares_no_entries_hears_of_invalidations_all_the_same() {
    let network = Network::with(TestSource::of([(7, 1)]));
    let (a, b) = (network.process().await, network.process().await);
    let local = |process: &Process| {
        Cache::builder("numbers")
            .engine(&process.engine)
            .source(network.source.clone())
            .changes(Changes::Announced)
            .max_staleness(2 * S)
            .build()
            .unwrap()
    };
    let (in_a, in_b): (Numbers, Numbers) = (local(&a), local(&b));
    in_a.get(&7).await.unwrap();
    in_b.get(&7).await.unwrap();
    network.source.set(7, 2);
    in_a.invalidate(&7).await.unwrap();
    settle().await;
    assert_eq!(in_b.get(&7).await.unwrap(), Some(2));
    assert!(network.server.keys().is_empty());
}

#[tokio::test]
async fn a_tier_without_marks_refuses_to_forget_a_whole_cache_elsewhere() {
    let network = Network::over(TestSource::of([(7, 1)]), |server| {
        server.with_abilities(|abilities| abilities.marks = false)
    });
    let a = network.process_without_bus().await;
    let cache = a.two_seconds();
    cache.get(&7).await.unwrap();
    let error = cache.invalidate_all().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(cache.peek(&7).is_none(), "here it is done");
    assert_eq!(cache.invalidate(&7).await.unwrap().position, None);
}

#[tokio::test]
async fn more_than_one_announcement_can_hold_goes_in_several() {
    let (network, _processes, [in_a, in_b]) = changed().await;
    let mut keys: Vec<u64> = (0..60_000).map(|at| 1_000_000_000_000_000_000 + at).collect();
    keys.insert(0, 7);
    assert!(keys.len() * 19 > Announcement::BYTES_MAX);
    let invalidating = tokio::spawn(async move { in_a.invalidate_many(&keys).await });
    for _ in 0..200 {
        settle().await;
    }
    assert!(invalidating.await.unwrap().unwrap().position.is_some());
    assert_eq!(in_b.get(&7).await.unwrap(), Some(2));
    drop(network);
}

#[tokio::test]
async fn more_tags_than_one_announcement_can_hold_go_in_several() {
    let network = Network::with(TestSource::of([(7, 1)]));
    let roomy = SharingBounds { pending_max: 1_000_000, ..SharingBounds::default() };
    let (a, b) = (network.process_with(roomy).await, network.process().await);
    let in_b = b.two_seconds();
    assert_eq!(in_b.get(&7).await.unwrap(), Some(1));
    let tags: Vec<String> = (0..150_000).map(|at| format!("tag:{at}")).collect();
    assert!(tags.len() * 8 > Announcement::BYTES_MAX);
    let engine = a.engine.clone();
    let invalidating = tokio::spawn(async move { engine.invalidate_tags(&tags).await });
    for _ in 0..200 {
        settle().await;
    }
    assert!(invalidating.await.unwrap().unwrap().position.is_some());
    // It had none of them.
    network.source.set(7, 2);
    assert_eq!(in_b.get(&7).await.unwrap(), Some(1));
}

/// What is done in the middle of something else.
type Meanwhile = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

fn now_do(meanwhile: &Meanwhile) {
    let what = meanwhile.lock().unwrap().take();
    if let Some(what) = what {
        what();
    }
}

/// A value that does something when it is copied.
struct Copied(u64, Meanwhile);

impl Clone for Copied {
    fn clone(&self) -> Self {
        now_do(&self.1);
        Self(self.0, Arc::clone(&self.1))
    }
}

/// Reads what does so.
struct Copying(Meanwhile);

impl Codec<Copied> for Copying {
    fn encode(&self, value: &Copied) -> Result<(u8, Bytes), LoadError> {
        Ok((encoding::RAW, value.0.to_string().into()))
    }

    fn decode(&self, _encoding: u8, bytes: &Bytes) -> Result<Copied, LoadError> {
        Ok(Copied(str::from_utf8(bytes)?.parse()?, Arc::clone(&self.0)))
    }
}

/// The tier still has what is invalidated here without waiting for it. Whoever begins to read when
/// that is half done must not keep it.
#[test]
fn a_read_in_the_middle_of_an_invalidation_keeps_nothing_of_before() {
    const WITHIN: Duration = Duration::from_secs(30);
    for way in ["key", "tag", "all", "prefix"] {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        let network = Network::new();
        let [a, b] = runtime.block_on(async { [network.process().await, network.process().await] });
        let (copied, begun) = (Meanwhile::default(), Meanwhile::default());
        let cache = |process: &Process, begun: &Meanwhile| -> Cache<u64, Copied> {
            let (begun, of_tags) = (Arc::clone(begun), Arc::clone(begun));
            process.engine.observe_tags(move |_, _| now_do(&of_tags));
            let builder = Cache::builder("numbers")
                .engine(&process.engine)
                .shared(Copying(Arc::clone(&copied)))
                .changes(Changes::Announced)
                .max_staleness(2 * S);
            let struck = move |event: &Event<'_>| match event.what {
                What::Invalidated(_) | What::Swept(_) | What::SweptPrefix { .. } => now_do(&begun),
                _ => {}
            };
            builder.observe(struck).build().unwrap()
        };
        let (in_a, in_b) = (cache(&a, &begun), cache(&b, &Meanwhile::default()));
        let read = |cache: &Cache<u64, Copied>, number: u64| {
            let (cache, copied) = (cache.clone(), Arc::clone(&copied));
            async move {
                let load = move |context: LoadContext| async move {
                    context.tag("numbers");
                    Ok(Some(Copied(number, copied)))
                };
                cache.get_or_load(&7, load).await.unwrap().unwrap().0
            }
        };
        assert_eq!(runtime.block_on(read(&in_b, 1)), 1);
        let deadline = Instant::now() + WITHIN;
        while network.server.held(&name(7)).is_none() {
            assert!(Instant::now() < deadline, "{way}: it is never shared");
            std::thread::yield_now();
        }
        // Half of it is done: somebody reads, and what he has found is copied into memory …
        let (found, is_found) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel::<()>();
        let (reading, reads) = mpsc::channel();
        let (handle, client) = (runtime.handle().clone(), a.client.clone());
        let (first, arms) = (read(&in_a, 2), Arc::clone(&copied));
        *begun.lock().unwrap() = Some(Box::new(move || {
            *arms.lock().unwrap() = Some(Box::new(move || {
                found.send(()).unwrap();
                let _ = goes_on.recv();
            }));
            reading.send(handle.spawn(first)).unwrap();
            is_found.recv_timeout(WITHIN).unwrap();
            client.pause();
        }));
        let strike = Invalidation::Drop;
        let invalidated = match way {
            "key" => in_a.invalidate_here(&[7], strike).map(|_| ()),
            "prefix" => in_a.invalidate_prefix_here("7", strike).map(|_| ()),
            "all" => in_a.invalidate_all_here(strike),
            _ => {
                a.engine.invalidate_tags_here(&["numbers"], strike);
                Ok(())
            }
        };
        invalidated.unwrap();
        // … and only then he goes on.
        drop(go_on);
        runtime.block_on(reads.recv().unwrap()).unwrap();
        assert_eq!(runtime.block_on(read(&in_a, 2)), 2, "{way}");
    }
}
