//! What a loader says of a value, and what it is told of what is held.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Bench, Numbers, S, at_once, settle};
use larder_core::terms::{TAG_BYTES_MAX, TAGS_MAX};
use larder_core::{ErrorKind, LoadContext, Reason, State, Terms};
use larder_engine::{Fill, Lookup};
use larder_test::TestSource;

const NANO: Duration = Duration::from_nanos(1);

fn ten() -> Bench {
    Bench::with(TestSource::of([(1, 10)]))
}

/// Ten seconds fresh, a hundred seconds stale, over a loader that says this.
fn saying(bench: &Bench, say: impl Fn(u64, &LoadContext) + Send + Sync + 'static) -> Numbers {
    bench.saying(say).fresh_for(10 * S).stale_for(100 * S).build().unwrap()
}

#[tokio::test]
async fn an_own_lifetime_that_is_shorter_holds() {
    let bench = ten();
    let cache = saying(&bench, |_, context| {
        context.fresh_for(2 * S).stale_for(S);
    });
    cache.get(&1).await.unwrap();
    bench.clock.advance(2 * S);
    assert_eq!(cache.peek(&1).unwrap().state, State::Fresh);
    bench.clock.advance(S);
    assert_eq!(cache.peek(&1).unwrap().state, State::Stale);
    bench.clock.advance(NANO);
    assert_eq!(cache.peek(&1), None);
}

#[tokio::test]
async fn an_own_lifetime_that_is_longer_is_bounded_by_the_promise() {
    let bench = ten();
    let builder = bench.saying(|_, context| {
        context.fresh_for(3600 * S).stale_for(3600 * S);
    });
    let cache = builder.max_staleness(60 * S).fresh_for(10 * S).build().unwrap();
    cache.get(&1).await.unwrap();
    bench.clock.advance(60 * S);
    assert_eq!(cache.peek(&1).unwrap().state, State::Fresh);
    bench.clock.advance(NANO);
    assert_eq!(cache.peek(&1), None);
}

/// Otherwise nothing would be refreshed before it is gone, and every reader would wait then.
#[tokio::test]
async fn an_early_refresh_goes_by_the_lifetime_that_the_promise_leaves() {
    let bench = ten();
    let builder = bench.saying(|_, context| {
        context.fresh_for(3600 * S);
    });
    let cache = builder.max_staleness(10 * S).build().unwrap();
    cache.get(&1).await.unwrap();
    bench.clock.advance(9 * S);
    at_once(cache.ask(&1)).unwrap();
    settle().await;
    assert_eq!(bench.source.loads(), 2);
}

#[tokio::test]
async fn an_absence_has_its_own_lifetime_and_its_tags() {
    let bench = Bench::with(TestSource::of([]));
    let cache = saying(&bench, |_, context| {
        context.fresh_for(2 * S).tag("t");
    });
    assert_eq!(cache.get(&1).await.unwrap(), None);
    bench.clock.advance(2 * S);
    assert_eq!(cache.peek(&1).unwrap().value, None);
    cache.invalidate_tags(&["t"]).await.unwrap();
    assert_eq!(cache.peek(&1), None);
    assert_eq!(cache.get(&1).await.unwrap(), None);
    bench.clock.advance(2 * S + NANO);
    assert_eq!(cache.peek(&1), None);
}

#[tokio::test]
async fn what_is_not_to_be_stored_is_given_to_all_who_wait_and_not_kept() {
    let bench = ten();
    let cache = saying(&bench, |_, context| {
        context.dont_store();
    });
    bench.source.close();
    let readers: Vec<_> = (0..10).map(|_| common::asking(&cache, 1)).collect();
    bench.source.until_waiting(1).await;
    settle().await;
    bench.source.open();
    for reader in readers {
        let answer = reader.await.unwrap().unwrap();
        assert_eq!((answer.value, answer.reason), (Some(10), Reason::Uncached));
    }
    assert_eq!((cache.peek(&1), bench.source.loads()), (None, 1));
    assert_eq!(cache.stats().not_kept, 1);
}

#[tokio::test]
async fn an_own_weight_counts_instead_of_the_weighers() {
    for (weight, kept) in [(100, true), (1 << 20, false), (usize::MAX, false)] {
        let bench = ten();
        let builder = bench.saying(move |_, context| {
            context.weight(weight).tag("t");
        });
        let builder = builder.max_staleness(10 * S).bytes_max(64 << 10).weigher(|_, _| 1 << 19);
        let cache = builder.build().unwrap();
        let answer = cache.ask(&1).await.unwrap();
        assert_eq!((answer.value, answer.reason == Reason::Loaded), (Some(10), kept), "{weight}");
        assert_eq!(cache.peek(&1).is_some(), kept, "{weight}");
    }
}

#[tokio::test]
async fn as_many_tags_as_an_entry_may_have_work_and_one_more_fails_the_load() {
    for (tags, works) in [(TAGS_MAX, true), (TAGS_MAX + 1, false)] {
        let bench = ten();
        let cache = saying(&bench, move |_, context| {
            (0..tags).for_each(|tag| _ = context.tag(format!("tag:{tag}")));
        });
        match cache.ask(&1).await {
            Ok(_) => assert!(works),
            Err(error) => {
                assert!(!works);
                assert_eq!((error.kind(), error.key()), (ErrorKind::Loader, Some("1")));
                assert!(error.to_string().contains("129 tags"), "{error}");
            }
        }
        cache.invalidate_tags(&[format!("tag:{}", TAGS_MAX - 1)]).await.unwrap();
        assert_eq!((cache.peek(&1), cache.flights()), (None, 0));
    }
}

#[tokio::test]
async fn a_tag_that_is_too_long_fails_the_load() {
    for (bytes, works) in [(TAG_BYTES_MAX, true), (TAG_BYTES_MAX + 1, false)] {
        let bench = ten();
        let cache = saying(&bench, move |_, context| _ = context.tag("x".repeat(bytes)));
        assert_eq!(cache.get(&1).await.is_ok(), works, "{bytes}");
    }
}

#[tokio::test]
async fn a_ticket_keeps_nothing_that_has_more_tags_than_an_entry_may_have() {
    for (tags, fill) in [(TAGS_MAX, Fill::Stored), (TAGS_MAX + 1, Fill::NotKept)] {
        let bench = ten();
        let cache = bench.ten_seconds();
        let Lookup::Miss(ticket) = cache.lookup(&1).await else { panic!("nothing is held") };
        let mut terms = Terms::default();
        (0..tags).for_each(|tag| _ = terms.tag(tag.to_string()));
        assert_eq!(ticket.fill_on(Some(10), &terms), fill);
        assert_eq!(cache.peek(&1).is_some(), fill == Fill::Stored);
    }
}

#[tokio::test]
async fn a_ticket_fills_on_terms_of_its_own() {
    let bench = ten();
    let cache = bench.ten_seconds();
    let Lookup::Miss(ticket) = cache.lookup(&1).await else { panic!("nothing is held") };
    let mut terms = Terms::default();
    terms.tag("t").fresh_for(2 * S);
    assert_eq!(ticket.fill_on(Some(5), &terms), Fill::Stored);
    bench.clock.advance(2 * S);
    assert_eq!(cache.peek(&1).unwrap().value, Some(5));
    cache.invalidate_tags(&["t"]).await.unwrap();
    assert_eq!(cache.peek(&1), None);
    let Lookup::Miss(ticket) = cache.lookup(&1).await else { panic!("nothing is held") };
    terms.dont_store();
    assert_eq!(ticket.fill_on(Some(5), &terms), Fill::NotKept);
}

#[tokio::test]
async fn the_terms_of_each_key_of_a_batch_are_its_own() {
    let bench = Bench::with(TestSource::answering(|key: &u64| Some(*key)).batching(10));
    let cache = saying(&bench, |key, context| match key {
        1 => _ = context.fresh_for(2 * S).stale_for(Duration::ZERO),
        2 => _ = context.dont_store(),
        3 => _ = context.tag("three"),
        4 => (0..=TAGS_MAX).for_each(|tag| _ = context.tag(format!("tag:{tag}"))),
        _ => {}
    });
    let answers = cache.ask_many(&[1, 2, 3, 4, 5]).await;
    assert_eq!(bench.source.batches(), [5]);
    assert_eq!(answers[1].as_ref().unwrap().reason, Reason::Uncached);
    assert_eq!(answers[3].as_ref().unwrap_err().key(), Some("4"));
    let held = || [1, 2, 3, 4, 5].map(|key| cache.peek(&key).is_some());
    assert_eq!(held(), [true, false, true, false, true]);
    cache.invalidate_tags(&["three"]).await.unwrap();
    assert_eq!(held(), [true, false, false, false, true]);
    bench.clock.advance(3 * S);
    assert_eq!(held(), [false, false, false, false, true]);
}
