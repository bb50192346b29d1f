//! Keys as tags: what one process has under the key of a row goes with the row, whoever changes it.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use common::network::{Network, Process};
use common::{Numbers, S, at_once, settle};
use larder_core::bus::{Announcement, ProcessId};
use larder_core::change::{Change, Changed, Field, Row, Table};
use larder_core::feed::Notice;
use larder_core::shared::Intent;
use larder_core::{Bus, Changes, LoadContext, State, Terms};
use larder_engine::feeding::{Feeding, Touched};
use larder_engine::observe::Struck;
use larder_engine::{Cache, Consistency, Invalidation, WriteMode};
use larder_test::sink::Step;
use larder_test::{TestFeed, TestSink, TestSource};

const HOUR: Duration = Duration::from_secs(3_600);
/// Longer than an intent lives.
const INTENT: Duration = Duration::from_secs(23);

/// Pages in the memory of a process, each with the key of the same number as its tag, and that of
/// the cache; and what those were told who observe tags.
struct Pages {
    pages: Numbers,
    told: Arc<Mutex<Vec<String>>>,
}

impl Pages {
    /// Whose tags are keys.
    async fn of(process: &Process, name: &str) -> Self {
        let is_first = process
            .engine
            .keys_are_tags(|cache| (!cache.starts_with("pages")).then(|| format!("cache.{cache}")));
        assert!(is_first);
        let told = Arc::<Mutex<Vec<String>>>::default();
        let telling = Arc::clone(&told);
        process.engine.observe_tags(move |struck, how| {
            let mut told = telling.lock().unwrap();
            match struck {
                Struck::Tags(tags) => told.extend(tags.iter().map(|tag| format!("{tag} {how:?}"))),
                Struck::Everything => told.push(format!("everything {how:?}")),
            }
        });
        let pages = Self { pages: pages(process, name), told };
        pages.hold().await;
        pages
    }

    async fn hold(&self) {
        hold(&self.pages).await;
    }

    fn held(&self) -> [Option<State>; 2] {
        held(&self.pages)
    }

    /// What was told since this was last asked.
    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

fn pages(process: &Process, name: &str) -> Numbers {
    let pages = Cache::builder(name).engine(&process.engine).jitter(Duration::ZERO);
    pages.max_staleness(2 * HOUR).fresh_for(HOUR).stale_for(HOUR).build().unwrap()
}

async fn hold(pages: &Numbers) {
    for page in [7, 8_u64] {
        let load = move |context: LoadContext| async move {
            context.tag(page.to_string()).tag("cache.numbers");
            Ok(Some(page))
        };
        pages.get_or_load(&page, load).await.unwrap();
    }
    settle().await;
    assert_eq!(held(pages), STANDS);
}

/// What is held of both pages.
fn held(pages: &Numbers) -> [Option<State>; 2] {
    [7, 8].map(|page| pages.peek(&page).map(|answer| answer.state))
}

const STANDS: [Option<State>; 2] = [Some(State::Fresh); 2];
const GONE: [Option<State>; 2] = [None, None];
/// The first is gone.
const ONE: [Option<State>; 2] = [None, Some(State::Fresh)];

/// A process that has the rows, and one that has pages and doesn't know the rows' cache.
async fn two() -> (Network, [Process; 2], Numbers, Pages) {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let numbers = a.two_seconds();
    network.pass(S).await;
    let pages = Pages::of(&b, "pages.there").await;
    (network, [a, b], numbers, pages)
}

#[tokio::test]
async fn what_one_process_invalidates_drops_what_another_has_under_it() {
    let (network, [a, _b], numbers, there) = two().await;
    let here = Pages::of(&a, "pages.here").await;
    let stale = [Some(State::Stale), Some(State::Fresh)];
    for (way, left, told) in [
        (0, ONE, &["7 Drop"][..]),
        (1, GONE, &["7 Drop", "8 Drop"]),
        (2, stale, &["7 MarkStale"]),
        (3, ONE, &["7 Drop"]),
        (4, GONE, &["cache.numbers Drop"]),
        (5, GONE, &["cache.numbers Drop"]),
        (6, STANDS, &["70 Drop"]),
    ] {
        for pages in [&here, &there] {
            pages.pages.invalidate_all().await.unwrap();
            pages.hold().await;
            pages.told();
        }
        let before = network.server.bus_len();
        match way {
            0 => drop(numbers.invalidate(&7).await.unwrap()),
            1 => drop(numbers.invalidate_many(&[7, 8]).await.unwrap()),
            2 => drop(numbers.mark_stale(&7).await.unwrap()),
            3 => drop(numbers.invalidate_here(&[7], Invalidation::Drop).unwrap()),
            4 => drop(numbers.invalidate_all().await.unwrap()),
            5 => drop(numbers.invalidate_prefix("7").await.unwrap()),
            _ => drop(numbers.invalidate(&70).await.unwrap()),
        }
        settle().await;
        assert_eq!((here.held(), there.held()), (left, left), "{way}");
        assert_eq!(here.told(), told, "{way}");
        assert_eq!(there.told(), told, "{way}");
        // It is the key that is announced, and nothing else.
        assert_eq!(network.server.bus_len(), before + 1, "{way}");
    }
}

#[tokio::test]
async fn where_nobody_asked_for_it_a_key_is_no_tag() {
    let (network, _, numbers, _) = two().await;
    let other = network.process().await;
    let pages = pages(&other, "pages.other");
    hold(&pages).await;
    numbers.invalidate(&7).await.unwrap();
    numbers.invalidate_all().await.unwrap();
    settle().await;
    assert_eq!(held(&pages), STANDS);
}

#[tokio::test]
async fn caches_whose_keys_are_no_tags_strike_nothing() {
    let (_network, [a, _b], _, there) = two().await;
    let others = Cache::<u64, u64>::builder("pages.others").engine(&a.engine);
    let others = others.max_staleness(HOUR).build().unwrap();
    others.invalidate(&7).await.unwrap();
    others.invalidate_all().await.unwrap();
    settle().await;
    assert_eq!((there.held(), there.told().len()), (STANDS, 0));
}

#[tokio::test]
async fn what_is_made_before_everybody_has_been_told_goes_once_more() {
    let (network, [a, _b], numbers, _) = two().await;
    let here = Pages::of(&a, "pages.here").await;
    a.client.pause();
    let invalidated = tokio::spawn(async move { numbers.invalidate(&7).await });
    settle().await;
    assert_eq!(here.held(), ONE);
    // By somebody who reads what another process still holds.
    here.hold().await;
    a.client.resume();
    network.pass(Duration::from_millis(20)).await;
    invalidated.await.unwrap().unwrap();
    assert_eq!(here.held(), ONE);
    assert_eq!(here.told(), ["7 Drop"]);
}

/// A process that writes rows, announced before or after, and one with pages.
async fn writing(
    consistency: Consistency,
) -> (Network, [Process; 2], Numbers, TestSink<u64>, Pages) {
    let network = Network::with(TestSource::of([(7, 70)]));
    let sink = TestSink::into(&network.source);
    let (a, b) = (network.process().await, network.process().await);
    let builder = a.builder().changes(Changes::Announced).max_staleness(2 * S);
    let builder = builder.sink(sink.clone()).write(WriteMode::Through).consistency(consistency);
    let numbers = builder.written(|_, _| Terms::default()).build().unwrap();
    network.pass(S).await;
    let pages = Pages::of(&b, "pages.there").await;
    (network, [a, b], numbers, sink, pages)
}

#[tokio::test]
async fn a_write_drops_what_another_process_has_when_it_is_committed() {
    for consistency in [Consistency::Bounded, Consistency::Guarded, Consistency::Strict] {
        let (network, [a, _b], numbers, sink, there) = writing(consistency).await;
        let here = Pages::of(&a, "pages.here").await;
        // Held in the tier, where what is written takes its place.
        numbers.get(&7).await.unwrap();
        network.pass(S).await;
        sink.close(Step::BeforeCommit);
        let cache = numbers.clone();
        let put = tokio::spawn(async move { cache.put(&7, 71).await });
        sink.until_waiting(1).await;
        settle().await;
        assert_eq!((here.held(), there.held()), (STANDS, STANDS), "{consistency:?}");
        sink.open();
        put.await.unwrap().unwrap();
        settle().await;
        assert_eq!((here.held(), there.held()), (ONE, ONE), "{consistency:?}");
        assert_eq!(there.told(), ["7 Drop"], "{consistency:?}");
    }
}

#[tokio::test]
async fn a_writer_that_dies_after_its_commit_is_waited_for_no_longer_than_its_time() {
    let (network, [a, _b], numbers, sink, there) = writing(Consistency::Guarded).await;
    sink.close(Step::AfterCommit);
    let _put = tokio::spawn(async move { numbers.put(&7, 71).await });
    sink.until_waiting(1).await;
    settle().await;
    a.client.down();
    assert_eq!(there.held(), STANDS);
    network.pass(INTENT).await;
    assert_eq!((there.held(), there.told()), (ONE, vec!["7 Drop".to_owned()]));
}

#[tokio::test]
async fn what_a_feed_tells_one_process_drops_what_another_has() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let log = TestFeed::new();
    let feeding = Feeding::over("log", log.clone());
    let builder = a.builder().max_staleness(2 * S).fresh_for(HOUR);
    let route = |notice: &Notice| match notice {
        Notice::Changed(Change { changed: Changed::Inserted(row), .. }) => match row.get("id") {
            Field::Text(id) => Touched::Keys(vec![str::from_utf8(id).unwrap().parse().unwrap()]),
            _ => Touched::Nothing,
        },
        _ => Touched::Everything,
    };
    let _numbers = builder.feed(&feeding, route).build().unwrap();
    feeding.start(&a.engine).unwrap();
    network.pass(S).await;
    let there = Pages::of(&b, "pages.there").await;
    let table = || Table { schema: "public".into(), name: "numbers".into() };
    let row = Row::new(["id".into()].into(), [Field::Text("7".into())]);
    log.commit([Notice::Changed(Change { table: table(), changed: Changed::Inserted(row) })]);
    network.pass(S).await;
    assert_eq!((there.held(), there.told()), (ONE, vec!["7 Drop".to_owned()]));
    there.hold().await;
    log.commit([Notice::truncated(table())]);
    network.pass(S).await;
    assert_eq!((there.held(), there.told()), (GONE, vec!["cache.numbers Drop".to_owned()]));
    there.hold().await;
    log.lose();
    network.pass(S).await;
    assert_eq!((there.held(), there.told()), (GONE, vec!["cache.numbers Drop".to_owned()]));
}

#[tokio::test]
async fn after_a_gap_nothing_is_left_and_who_observes_tags_is_told_that_all_may_be_struck() {
    let (network, [_a, b], numbers, there) = two().await;
    b.client.cut_bus();
    numbers.invalidate(&7).await.unwrap();
    network.pass(S).await;
    assert_eq!(there.held(), STANDS);
    b.client.heal_bus();
    network.pass(S).await;
    assert_eq!((there.held(), there.told()), (GONE, vec!["everything Drop".to_owned()]));
}

#[tokio::test]
async fn everything_is_everything_and_what_nobody_announced_strikes_no_tags() {
    let (network, [a, _b], _, there) = two().await;
    let strike = Invalidation::Drop;
    let keys = || Announcement::Keys { strike, cache: "numbers".into(), keys: vec!["7".into()] };
    let publish = async |announcement: Announcement, from| {
        a.client.publish(announcement.encode(from), None).await.unwrap();
        network.pass(Duration::from_millis(20)).await;
    };
    // It may be a fill.
    publish(keys(), ProcessId::NOBODY).await;
    assert_eq!((there.held(), there.told().len()), (STANDS, 0));
    publish(keys(), ProcessId(5)).await;
    assert_eq!((there.held(), there.told()), (ONE, vec!["7 Drop".to_owned()]));
    there.hold().await;
    publish(Announcement::All { strike }, ProcessId(5)).await;
    assert_eq!((there.held(), there.told()), (GONE, vec!["everything Drop".to_owned()]));
}

/// The keeper has looked whose time is over, and strikes what he wrote. In between he announces
/// himself anew: until his end nobody keeps what is loaded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_announces_himself_anew_as_his_time_ends_is_not_forgotten() {
    let network = Network::new();
    let (a, b) = (network.process().await, network.process().await);
    let numbers = b.two_seconds();
    b.engine.keys_are_tags(|cache| Some(format!("cache.{cache}")));
    let (client, engine) = (a.client.clone(), b.engine.clone());
    let announce = move |time: Duration| {
        let millis = time.as_millis().try_into().unwrap();
        let (cache, key) = ("numbers".into(), "7".into());
        let writing = Announcement::Writing { intent: Intent(1), millis, cache, key };
        let position = at_once(client.publish(writing.encode(ProcessId(5)), None)).unwrap();
        until(|| engine.applied().unwrap().reaches(position));
    };
    announce(S);
    let anew = Mutex::new(Some(announce));
    let (sender, announced) = mpsc::channel();
    b.engine.observe_tags(move |_, _| {
        let Some(announce) = anew.lock().unwrap().take() else { return };
        tokio::task::block_in_place(|| announce(HOUR));
        sender.send(()).unwrap();
    });
    network.clock.advance(2 * S);
    tokio::task::block_in_place(|| announced.recv_timeout(Duration::from_secs(30)).unwrap());
    // The next token comes when the keeper is done with that.
    network.clock.advance(S);
    let is_young = |age: Option<Duration>| age.is_some_and(|age| age < S);
    tokio::task::block_in_place(|| {
        until(|| is_young(b.engine.shared_stats().unwrap().horizon_age));
    });
    for loads in 1..3 {
        assert_eq!(numbers.get(&7).await.unwrap(), Some(49));
        assert_eq!(network.source.loads(), loads);
    }
}

/// Waits for what other threads do.
fn until(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::yield_now();
    }
}
