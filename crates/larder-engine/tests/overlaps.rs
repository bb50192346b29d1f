//! An invalidation of each kind during a load of each kind: nothing that was read before it stays,
//! and nobody who comes after it is given that.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Bench, Numbers, S, asking, at_once, settle};
use larder_core::{Reason, State, Terms};
use larder_engine::{Fill, Lookup};
use larder_test::TestSource;
use tokio::sync::oneshot;

/// The ways in which key 1 is invalidated here.
#[derive(Clone, Copy, Debug)]
enum Way {
    Key,
    Tag,
    All,
    Prefix,
}

impl Way {
    const ALL: [Self; 4] = [Self::Key, Self::Tag, Self::All, Self::Prefix];

    async fn invalidate(self, cache: &Numbers) {
        match self {
            Self::Key => cache.invalidate(&1).await,
            Self::Tag => cache.invalidate_tags(&["number:1"]).await,
            Self::All => cache.invalidate_all().await,
            Self::Prefix => cache.invalidate_prefix("1").await,
        }
        .unwrap();
    }

    async fn mark_stale(self, cache: &Numbers) {
        match self {
            Self::Key => cache.mark_stale(&1).await,
            Self::Tag => cache.mark_tags_stale(&["number:1"]).await,
            Self::All => cache.mark_all_stale().await,
            Self::Prefix => cache.mark_prefix_stale("1").await,
        }
        .unwrap();
    }
}

/// Key 1 is 10; its loads wait at the gate once something is held.
fn ten() -> Bench {
    Bench::with(TestSource::of([(1, 10)]))
}

/// The source changes, the cache is told, and then the loads that wait end.
async fn change(bench: &Bench, cache: &Numbers, way: Way) {
    bench.source.until_waiting(1).await;
    bench.source.set(1, 20);
    way.invalidate(cache).await;
    bench.source.open();
    settle().await;
}

/// HybridCache stamps such an entry anew and keeps it; BentoCache stamps it after the load.
#[tokio::test]
async fn a_load_that_somebody_waits_for_is_made_again() {
    for way in Way::ALL {
        let bench = ten();
        let cache = bench.tagging().max_staleness(10 * S).build().unwrap();
        bench.source.close();
        let reader = asking(&cache, 1);
        change(&bench, &cache, way).await;
        let answer = reader.await.unwrap().unwrap();
        assert_eq!((answer.value, answer.reason), (Some(20), Reason::Loaded), "{way:?}");
        assert_eq!(cache.peek(&1).unwrap().value, Some(20), "{way:?}");
        assert_eq!((bench.source.loads(), cache.stats().fills_refused), (2, 1), "{way:?}");
    }
}

/// A row that is created while its absence is on the way (triggerdotdev#3910 is the same with a
/// replica).
#[tokio::test]
async fn an_absence_that_was_read_before_is_not_remembered() {
    for way in Way::ALL {
        let bench = Bench::with(TestSource::of([]));
        let cache = bench.tagging().max_staleness(10 * S).build().unwrap();
        bench.source.close();
        let reader = asking(&cache, 1);
        change(&bench, &cache, way).await;
        assert_eq!(reader.await.unwrap().unwrap().value, Some(20), "{way:?}");
        assert_eq!(cache.get(&1).await.unwrap(), Some(20), "{way:?}");
    }
}

/// FusionCache stamps background loads when they end (FusionCache#628), and a removal during a
/// load didn't stop its fill (FusionCache#625).
#[tokio::test]
async fn a_refresh_of_a_stale_entry_is_discarded() {
    for way in Way::ALL {
        let bench = ten();
        let cache = bench.tagging().fresh_for(10 * S).stale_for(10 * S).build().unwrap();
        cache.get(&1).await.unwrap();
        bench.clock.advance(15 * S);
        bench.source.close();
        assert_eq!(at_once(cache.ask(&1)).unwrap().reason, Reason::Refreshing);
        change(&bench, &cache, way).await;
        assert_eq!(cache.peek(&1), None, "{way:?}");
        assert_eq!(cache.get(&1).await.unwrap(), Some(20), "{way:?}");
    }
}

/// The same of an eager refresh, of an entry that is fresh still (FusionCache#628).
#[tokio::test]
async fn an_early_refresh_is_discarded() {
    for way in Way::ALL {
        let bench = ten();
        let cache = bench.tagging().max_staleness(10 * S).build().unwrap();
        cache.get(&1).await.unwrap();
        bench.clock.advance(9 * S);
        bench.source.close();
        assert_eq!(at_once(cache.ask(&1)).unwrap().state, State::Fresh);
        change(&bench, &cache, way).await;
        assert_eq!(cache.peek(&1), None, "{way:?}");
        assert_eq!(cache.get(&1).await.unwrap(), Some(20), "{way:?}");
    }
}

/// A load that ends in the background because its reader left with a stale value
/// (FusionCache's soft timeouts).
#[tokio::test]
async fn a_load_that_outlived_the_patience_of_its_reader_is_discarded() {
    for way in Way::ALL {
        let bench = ten();
        let builder = bench.tagging().max_staleness(10 * S).stale_on_error(100 * S);
        let cache = builder.wait(S).build().unwrap();
        cache.get(&1).await.unwrap();
        bench.clock.advance(20 * S);
        bench.source.close();
        let reader = asking(&cache, 1);
        bench.source.until_waiting(1).await;
        settle().await;
        bench.clock.advance(S);
        assert_eq!(reader.await.unwrap().unwrap().reason, Reason::Slow);
        change(&bench, &cache, way).await;
        assert_eq!(cache.peek(&1), None, "{way:?}");
        assert_eq!(cache.get(&1).await.unwrap(), Some(20), "{way:?}");
    }
}

#[tokio::test]
async fn a_key_of_a_batch_is_read_again() {
    for way in Way::ALL {
        let bench = Bench::with(TestSource::of([(1, 10), (2, 2)]).batching(10));
        let cache = bench.tagging().max_staleness(10 * S).build().unwrap();
        bench.source.close();
        let reader = tokio::spawn({
            let cache = cache.clone();
            async move { cache.get_many(&[2, 1]).await.unwrap() }
        });
        change(&bench, &cache, way).await;
        assert_eq!(reader.await.unwrap(), [Some(2), Some(20)], "{way:?}");
        assert_eq!(cache.peek(&1).unwrap().value, Some(20), "{way:?}");
    }
}

#[tokio::test]
async fn a_gathered_load_is_made_again() {
    for way in Way::ALL {
        let bench = Bench::with(TestSource::of([(1, 10)]).batching(10));
        let cache = bench.tagging().max_staleness(10 * S).gather(S).build().unwrap();
        bench.source.close();
        let reader = asking(&cache, 1);
        bench.clock.until_sleepers(1).await;
        settle().await;
        bench.clock.advance(S);
        change(&bench, &cache, way).await;
        bench.clock.advance(S);
        settle().await;
        assert_eq!(reader.await.unwrap().unwrap().value, Some(20), "{way:?}");
    }
}

/// What gocache's LoadableCache overwrites: a deletion between the load and the put.
#[tokio::test]
async fn a_ticket_is_void() {
    for way in Way::ALL {
        let bench = ten();
        let cache = bench.ten_seconds();
        let Lookup::Miss(ticket) = cache.lookup(&1).await else { panic!("nothing is held") };
        way.invalidate(&cache).await;
        let mut terms = Terms::default();
        terms.tag("number:1");
        assert_eq!(ticket.fill_on(Some(10), &terms), Fill::Refused, "{way:?}");
        assert_eq!(cache.peek(&1), None, "{way:?}");
    }
}

#[tokio::test]
async fn who_comes_after_the_invalidation_is_given_nothing_that_was_read_before() {
    for way in Way::ALL {
        let bench = ten();
        let cache = bench.tagging().max_staleness(10 * S).build().unwrap();
        bench.source.close();
        let before = asking(&cache, 1);
        bench.source.until_waiting(1).await;
        bench.source.set(1, 20);
        way.invalidate(&cache).await;
        let after = asking(&cache, 1);
        settle().await;
        bench.source.open();
        assert_eq!(after.await.unwrap().unwrap().value, Some(20), "{way:?}");
        before.await.unwrap().unwrap();
        assert_eq!(cache.get(&1).await.unwrap(), Some(20), "{way:?}");
    }
}

#[tokio::test]
async fn a_load_begun_before_a_stale_mark_makes_nothing_fresh() {
    for way in Way::ALL {
        let bench = ten();
        let cache = bench.tagging().fresh_for(10 * S).stale_for(100 * S).build().unwrap();
        cache.get(&1).await.unwrap();
        bench.clock.advance(11 * S);
        bench.source.close();
        at_once(cache.ask(&1)).unwrap();
        bench.source.until_waiting(1).await;
        bench.source.set(1, 20);
        way.mark_stale(&cache).await;
        bench.source.let_pass(1);
        settle().await;
        let held = cache.peek(&1).unwrap();
        assert_eq!((held.value, held.state), (Some(10), State::Stale), "{way:?}");
        bench.source.open();
        at_once(cache.ask(&1)).unwrap();
        settle().await;
        let answer = cache.ask(&1).await.unwrap();
        assert_eq!((answer.value, answer.state), (Some(20), State::Fresh), "{way:?}");
    }
}

/// A mark during a refresh leaves no gap in which stale values are served and nothing that could
/// replace them is on the way.
#[tokio::test]
async fn a_reader_after_a_stale_mark_begins_a_refresh_though_an_older_one_runs() {
    for way in [Way::Key, Way::All, Way::Prefix] {
        let bench = ten();
        let cache = bench.tagging().fresh_for(10 * S).stale_for(100 * S).build().unwrap();
        cache.get(&1).await.unwrap();
        bench.clock.advance(11 * S);
        bench.source.close();
        at_once(cache.ask(&1)).unwrap();
        bench.source.until_waiting(1).await;
        bench.source.set(1, 20);
        way.mark_stale(&cache).await;
        for _ in 0..10 {
            assert_eq!(at_once(cache.ask(&1)).unwrap().reason, Reason::Refreshing, "{way:?}");
        }
        settle().await;
        assert_eq!(bench.source.waiting(), 2, "{way:?}");
        bench.source.open();
        settle().await;
        assert_eq!(at_once(cache.ask(&1)).unwrap().value, Some(20), "{way:?}");
        assert_eq!(bench.source.loads(), 3, "{way:?}");
    }
}

/// Of two loads the one that began later stays, though it ends first.
#[tokio::test]
async fn an_old_load_that_ends_last_overwrites_nothing() {
    let bench = ten();
    let cache = bench.ten_seconds();
    let load = || {
        let (end, ended) = oneshot::channel::<u64>();
        let cache = cache.clone();
        let reader = tokio::spawn(async move {
            cache.get_or_load(&1, move |_| async move { Ok(Some(ended.await?)) }).await.unwrap()
        });
        (end, reader)
    };
    let (end_old, old) = load();
    settle().await;
    cache.invalidate(&1).await.unwrap();
    let (end_new, new) = load();
    settle().await;
    bench.source.set(1, 20);
    end_new.send(20).unwrap();
    assert_eq!(new.await.unwrap(), Some(20));
    end_old.send(10).unwrap();
    // The reader that came first reads again, now that its load was overtaken.
    assert_eq!(old.await.unwrap(), Some(20));
    assert_eq!(cache.peek(&1).unwrap().value, Some(20));
    assert_eq!((bench.source.loads(), cache.stats().fills_refused), (0, 1));
}
