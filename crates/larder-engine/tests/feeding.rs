//! Caches that a feed covers: entries live long, and answers are as young as the feed.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::network::{Network, Process};
use common::{Bench, Numbers, S, settle};
use larder_core::change::{Change, Changed, Field, Row, Table};
use larder_core::feed::Notice;
use larder_core::{ErrorKind, Reason, State};
use larder_engine::feeding::{Feeding, Touched};
use larder_test::{TestFeed, TestSource};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A row of `table` with this id was changed.
fn changed(table: &str, id: u64) -> Notice {
    let table = Table { schema: "public".into(), name: table.into() };
    let row = Row::new(["id".into()].into(), [Field::Text(id.to_string().into())]);
    Notice::Changed(Change { table, changed: Changed::Inserted(row) })
}

fn truncated(table: &str) -> Notice {
    Notice::truncated(Table { schema: "public".into(), name: table.into() })
}

/// Rows of `numbers` are keys; a message is a tag.
fn route(notice: &Notice) -> Touched<u64> {
    match notice {
        Notice::Changed(change) if &*change.table.name == "numbers" => {
            let id = |row: &Row| match row.get("id") {
                Field::Text(id) => str::from_utf8(id).unwrap().parse().ok(),
                Field::Null | Field::Unknown => None,
            };
            let keys: Vec<u64> = change.rows().filter_map(id).collect();
            if keys.is_empty() { Touched::Everything } else { Touched::Keys(keys) }
        }
        Notice::Message(tag) => Touched::Tags(vec![String::from_utf8(tag.to_vec()).unwrap()]),
        Notice::Changed(_) | Notice::Altered(_) => Touched::Nothing,
    }
}

/// One process, a feed, and a cache that promises two seconds and keeps entries for an hour.
struct Alone {
    bench: Bench,
    log: TestFeed,
    feeding: Feeding,
    cache: Numbers,
}

impl Alone {
    async fn new() -> Self {
        let bench = Bench::with(TestSource::of((0..10).map(|key| (key, key))));
        let log = TestFeed::new();
        let feeding = Feeding::over("log", log.clone());
        let builder = bench.tagging().max_staleness(2 * S).fresh_for(HOUR);
        let cache = builder.refresh_at(1.0).xfetch(0.0).feed(&feeding, route).build().unwrap();
        feeding.start(&bench.engine).unwrap();
        let alone = Self { bench, log, feeding, cache };
        alone.pass(S).await;
        alone
    }

    /// The same with a filter that knows the keys of the source.
    fn behind_a_filter() -> Self {
        let bench = Bench::with(TestSource::of((0..10).map(|key| (key, key))));
        let log = TestFeed::new();
        let feeding = Feeding::over("log", log.clone());
        let builder = bench.builder().max_staleness(2 * S).fresh_for(HOUR).feed(&feeding, route);
        let cache = builder.filter(larder_core::keys_of(0..10_u64)).build().unwrap();
        feeding.start(&bench.engine).unwrap();
        Self { bench, log, feeding, cache }
    }

    async fn pass(&self, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(20 * MS);
            self.bench.clock.advance(step);
            left -= step;
            settle().await;
        }
    }

    async fn get(&self, key: u64) -> Option<u64> {
        self.cache.get(&key).await.unwrap()
    }

    fn loads(&self) -> usize {
        self.bench.source.loads()
    }
}

#[tokio::test]
async fn an_entry_is_fresh_for_as_long_as_the_feed_says_that_nothing_changed() {
    let alone = Alone::new().await;
    assert_eq!(alone.get(7).await, Some(7));
    alone.pass(60 * S).await;
    let answer = alone.cache.ask(&7).await.unwrap();
    assert_eq!((answer.value, answer.state, alone.loads()), (Some(7), State::Fresh, 1));
    assert!(answer.age >= 60 * S && answer.current < S, "{answer:?}");
}

#[tokio::test]
async fn what_changed_is_loaded_again_and_nothing_else() {
    let alone = Alone::new().await;
    assert_eq!((alone.get(7).await, alone.get(8).await), (Some(7), Some(8)));
    alone.bench.source.set(7, 70);
    alone.log.commit([changed("numbers", 7), changed("others", 8)]);
    settle().await;
    assert_eq!((alone.get(7).await, alone.get(8).await, alone.loads()), (Some(70), Some(8), 3));
    alone.log.commit([Notice::Message("number:8".into())]);
    settle().await;
    assert_eq!((alone.get(7).await, alone.get(8).await, alone.loads()), (Some(70), Some(8), 4));
    alone.log.commit([truncated("numbers")]);
    settle().await;
    assert_eq!((alone.get(7).await, alone.get(8).await, alone.loads()), (Some(70), Some(8), 6));
    let standing = alone.feeding.standing(&alone.bench.engine);
    assert_eq!((standing.notices, standing.touched, standing.gaps), (4, 3, 1));
}

#[tokio::test]
async fn when_the_feed_stands_still_the_promise_holds_by_itself() {
    let alone = Alone::new().await;
    alone.get(7).await;
    alone.log.stand_still(true);
    alone.bench.source.set(7, 70);
    alone.log.commit([changed("numbers", 7)]);
    alone.pass(1500 * MS).await;
    // Not known yet, and young enough.
    assert_eq!(alone.get(7).await, Some(7));
    alone.pass(S).await;
    assert_eq!((alone.get(7).await, alone.loads()), (Some(70), 2));
    alone.log.stand_still(false);
    alone.pass(10 * S).await;
    // The change itself was told late, and nobody could know that it was loaded already.
    assert_eq!((alone.get(7).await, alone.loads()), (Some(70), 3));
    alone.pass(10 * S).await;
    assert_eq!((alone.get(7).await, alone.loads()), (Some(70), 3));
}

/// The time is noted before the end is asked for, and is all that its answer proves.
#[tokio::test]
async fn a_late_answer_proves_the_time_at_which_it_was_asked_for() {
    let alone = Alone::new().await;
    alone.log.answer_ends(Some(0));
    alone.pass(S).await;
    let before = alone.log.ends_asked();
    alone.pass(5 * S).await;
    assert_eq!(alone.log.ends_asked(), before, "one question at a time");
    alone.log.answer_ends(Some(1));
    settle().await;
    let age = alone.feeding.standing(&alone.bench.engine).horizon_age.unwrap();
    assert!(age >= 5 * S && age <= 7 * S, "{age:?}");
}

/// Passing the end proves nothing before what was told on the way there is applied.
#[tokio::test]
async fn the_horizon_waits_for_what_was_committed_before_it() {
    let alone = Alone::new().await;
    alone.get(7).await;
    for value in 0..200_u64 {
        alone.bench.source.set(7, value);
        alone.log.commit([changed("numbers", 7)]);
        alone.bench.clock.advance(7 * MS);
        tokio::task::yield_now().await;
        let answer = alone.cache.ask(&7).await.unwrap();
        let horizon = alone.feeding.standing(&alone.bench.engine).horizon_age.unwrap();
        // Whatever it returns was the truth not longer ago than it says.
        let missed = value - answer.value.unwrap().min(value);
        assert!(answer.current >= u32::try_from(missed).unwrap() * 7 * MS || missed == 0);
        assert!(horizon < 2 * S);
    }
}

#[tokio::test]
async fn after_a_gap_everything_is_dropped() {
    let alone = Alone::new().await;
    assert_eq!((alone.get(7).await, alone.get(8).await), (Some(7), Some(8)));
    alone.bench.source.set(7, 70);
    alone.log.commit([changed("numbers", 7)]);
    alone.log.lose();
    alone.pass(S).await;
    assert_eq!((alone.get(7).await, alone.get(8).await, alone.loads()), (Some(70), Some(8), 4));
    assert_eq!(alone.feeding.standing(&alone.bench.engine).gaps, 2);
}

#[tokio::test]
async fn a_connection_that_was_cut_is_no_gap() {
    let alone = Alone::new().await;
    assert_eq!((alone.get(7).await, alone.get(8).await), (Some(7), Some(8)));
    alone.log.cut();
    alone.bench.source.set(7, 70);
    alone.log.commit([changed("numbers", 7)]);
    alone.pass(S).await;
    assert_eq!((alone.get(7).await, alone.get(8).await, alone.loads()), (Some(70), Some(8), 3));
    let standing = alone.feeding.standing(&alone.bench.engine);
    assert_eq!((standing.gaps, standing.failures, standing.follows), (1, 1, true));
    assert_eq!(standing.last_failure.unwrap().kind(), ErrorKind::SourceDown);
}

#[tokio::test]
async fn a_key_that_is_new_is_found_behind_a_filter() {
    let alone = Alone::behind_a_filter();
    settle().await;
    assert_eq!(alone.get(5_000).await, None);
    alone.bench.source.set(5_000, 1);
    alone.log.commit([changed("numbers", 5_000)]);
    settle().await;
    assert_eq!(alone.get(5_000).await, Some(1));
}

#[tokio::test]
async fn when_the_feed_stands_still_a_filter_denies_nothing_for_longer_than_the_promise() {
    let alone = Alone::behind_a_filter();
    alone.pass(10 * S).await;
    let keys = 5_000..5_100;
    let mut denied = None;
    for key in keys.clone() {
        let answer = alone.cache.ask(&key).await.unwrap();
        if answer.reason == Reason::Filtered {
            assert!(answer.current < S, "{answer:?}");
            denied = Some(key);
        }
    }
    let key = denied.unwrap();
    alone.log.stand_still(true);
    alone.bench.source.set(key, 1);
    alone.log.commit([changed("numbers", key)]);
    alone.pass(1500 * MS).await;
    // Not known yet, and it says how far it knows.
    let answer = alone.cache.ask(&key).await.unwrap();
    assert_eq!((answer.value, answer.reason), (None, Reason::Filtered));
    assert!(answer.current >= 1500 * MS, "{answer:?}");
    alone.pass(S).await;
    assert_eq!(alone.get(key).await, Some(1));
    assert_eq!(alone.cache.get_many(&[key, 7]).await.unwrap(), [Some(1), Some(7)]);
}

/// A tag said that it changed. That its key is marked, too, makes it no younger.
#[tokio::test]
async fn what_is_marked_stale_twice_is_as_old_as_at_the_first_time() {
    let alone = Alone::new().await;
    assert_eq!(alone.get(7).await, Some(7));
    alone.bench.source.set(7, 70);
    alone.cache.mark_tags_stale(&["number:7"]).await.unwrap();
    alone.pass(10 * S).await;
    alone.cache.mark_stale(&7).await.unwrap();
    assert_eq!(alone.cache.peek(&7), None, "nothing has vouched for it since the tag was marked");
    assert_eq!(alone.get(7).await, Some(70));
}

#[tokio::test]
async fn a_feed_is_started_once_and_has_a_name_of_its_own() {
    let alone = Alone::new().await;
    let error = alone.feeding.start(&alone.bench.engine).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let same = Feeding::over("log", TestFeed::new());
    assert_eq!(same.start(&alone.bench.engine).unwrap_err().kind(), ErrorKind::Config);
}

/// Two processes over one server, and a feed of which one is followed at a time.
struct Together {
    network: Network,
    log: TestFeed,
    processes: Vec<Process>,
    feedings: Vec<Feeding>,
    caches: Vec<Numbers>,
}

impl Together {
    async fn new() -> Self {
        let network = Network::with(TestSource::of((0..10).map(|key| (key, key))));
        let log = TestFeed::new();
        let (processes, feedings, caches) = (Vec::new(), Vec::new(), Vec::new());
        let mut together = Self { network, log, processes, feedings, caches };
        together.join().await;
        together.join().await;
        together.network.pass(S).await;
        together
    }

    async fn join(&mut self) {
        let process = self.network.process().await;
        let feeding = Feeding::over("log", self.log.clone());
        let builder = process.builder().max_staleness(2 * S).fresh_for(HOUR);
        let cache = builder.refresh_at(1.0).xfetch(0.0).feed(&feeding, route).build().unwrap();
        feeding.start(&process.engine).unwrap();
        self.network.pass(S).await;
        self.processes.push(process);
        self.feedings.push(feeding);
        self.caches.push(cache);
    }

    async fn both(&self, key: u64) -> [Option<u64>; 2] {
        let first = self.caches[0].get(&key).await.unwrap();
        settle().await;
        [first, self.caches[1].get(&key).await.unwrap()]
    }

    fn follows(&self) -> Vec<bool> {
        let standing = |(feeding, process): (&Feeding, &Process)| feeding.standing(&process.engine);
        self.feedings.iter().zip(&self.processes).map(standing).map(|it| it.follows).collect()
    }
}

#[tokio::test]
async fn one_process_follows_and_the_other_knows_as_much() {
    let together = Together::new().await;
    assert_eq!(together.follows(), [true, false]);
    assert_eq!(together.both(7).await, [Some(7); 2]);
    together.network.pass(60 * S).await;
    assert_eq!((together.both(7).await, together.network.source.loads()), ([Some(7); 2], 1));
    together.network.source.set(7, 70);
    together.log.commit([changed("numbers", 7)]);
    together.network.pass(100 * MS).await;
    assert_eq!((together.both(7).await, together.network.source.loads()), ([Some(70); 2], 2));
}

#[tokio::test]
async fn when_it_stops_the_other_goes_on_without_a_gap() {
    let mut together = Together::new().await;
    assert_eq!(together.both(7).await, [Some(7); 2]);
    assert_eq!(together.both(8).await, [Some(8); 2]);
    together.network.pass(S).await;
    // Its tasks end with its engine.
    drop((together.processes.remove(0), together.feedings.remove(0), together.caches.remove(0)));
    together.network.source.set(7, 70);
    together.log.commit([changed("numbers", 7)]);
    together.network.pass(10 * S).await;
    assert_eq!(together.follows(), [true]);
    let cache = &together.caches[0];
    assert_eq!(cache.get(&7).await.unwrap(), Some(70));
    assert_eq!(cache.get(&8).await.unwrap(), Some(8));
    let standing = together.feedings[0].standing(&together.processes[0].engine);
    assert_eq!(standing.gaps, 0);
    together.network.pass(10 * S).await;
    let loads = together.network.source.loads();
    assert_eq!(cache.get(&8).await.unwrap(), Some(8));
    assert_eq!(together.network.source.loads(), loads);
}

#[tokio::test]
async fn after_a_gap_no_process_serves_what_was_before() {
    let together = Together::new().await;
    assert_eq!(together.both(7).await, [Some(7); 2]);
    together.network.source.set(7, 70);
    together.log.lose();
    together.network.pass(10 * S).await;
    assert_eq!(together.both(7).await, [Some(70); 2]);
}

/// Who follows has no route for what touches another process's cache, so he can't vouch for it.
#[tokio::test]
async fn a_process_that_covers_another_cache_learns_no_horizon_from_who_follows() {
    let together = Together::new().await;
    let [_, process] = &together.processes[..] else { panic!("there are two") };
    let age = || together.feedings[1].standing(&process.engine).horizon_age;
    assert!(age().unwrap() < S);
    let other = larder_engine::Cache::<u64, u64>::builder("others")
        .engine(&process.engine)
        .max_staleness(2 * S)
        .source(together.network.source.clone())
        .feed(&together.feedings[1], route)
        .build()
        .unwrap();
    together.network.pass(10 * S).await;
    assert_eq!(age(), None);
    drop(other);
    together.network.pass(S).await;
    assert!(age().unwrap() < S);
}

/// What isn't announced is neither answered nor acknowledged: the others don't know it.
#[tokio::test]
async fn nothing_is_answered_while_the_tier_is_down() {
    let together = Together::new().await;
    assert_eq!(together.both(7).await, [Some(7); 2]);
    together.network.pass(S).await;
    together.processes[0].client.down();
    together.network.source.set(7, 70);
    together.log.commit([changed("numbers", 7)]);
    let before = together.log.acknowledged();
    together.network.pass(1500 * MS).await;
    assert_eq!(together.caches[1].get(&7).await.unwrap(), Some(7), "within its promise");
    together.network.pass(S).await;
    assert_eq!(together.caches[1].get(&7).await.unwrap(), Some(70));
    assert_eq!(together.log.acknowledged(), before);
    together.processes[0].client.up();
    together.network.pass(10 * S).await;
    assert!(together.log.acknowledged() > before);
    assert_eq!(together.both(7).await, [Some(70); 2]);
}
