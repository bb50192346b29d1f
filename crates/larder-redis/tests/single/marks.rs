//! Marks: what is struck as a whole.

use larder_core::SharedTier;
use larder_core::shared::{Invalidation, Mark, MarkClock};
use larder_test::Redis;

use crate::support::tier;

fn cache(name: &str) -> Mark {
    Mark::Cache(name.into())
}

fn prefix(cache: &str, prefix: &str) -> Mark {
    Mark::Prefix { cache: cache.into(), prefix: prefix.into() }
}

/// What is marked, without when.
async fn marked(tier: &larder_redis::RedisTier) -> Vec<(Mark, Invalidation)> {
    let marks = tier.marks().await.unwrap().marks;
    let mut marked: Vec<_> = marks.into_iter().map(|(mark, strike, _)| (mark, strike)).collect();
    marked.sort_by_key(|mark| format!("{mark:?}"));
    marked
}

#[tokio::test]
async fn every_kind_of_mark_is_kept_with_the_moment_of_its_setting() {
    let redis = Redis::start();
    let (one, other) = (tier(&redis), tier(&redis));
    let empty = one.marks().await.unwrap();
    assert!(empty.marks.is_empty());
    assert_eq!(empty.clock, MarkClock(0));
    let all = [Mark::Tag(0), Mark::Tag(65_535), cache("user"), prefix("user", "7:{é}"), Mark::All];
    let set = one.mark(&all, Invalidation::MarkStale, None).await.unwrap();
    assert_eq!((set.incarnation, set.position), (empty.incarnation, None));
    // The clock is the server's, in microseconds.
    assert!(set.clock.0 > 1_600_000_000_000_000 && set.clock.0 < 1 << 53);
    let kept = other.marks().await.unwrap();
    assert_eq!((kept.incarnation, kept.clock), (empty.incarnation, set.clock));
    assert_eq!(kept.marks.len(), all.len());
    for mark in all {
        assert!(kept.marks.contains(&(mark, Invalidation::MarkStale, set.clock)));
    }
}

#[tokio::test]
async fn each_mark_is_later_than_all_before_even_if_the_clock_was_stepped_back() {
    let redis = Redis::start();
    let tier = tier(&redis);
    let first = tier.mark(&[Mark::All], Invalidation::Drop, None).await.unwrap();
    let second = tier.mark(&[Mark::Tag(1)], Invalidation::Drop, None).await.unwrap();
    assert!(second.clock > first.clock);
    let ahead = 1_u64 << 52;
    redis.cli(&["HSET", "larder.b:{bus}:marks", "c", &ahead.to_string()]);
    for step in 1..4 {
        let set = tier.mark(&[Mark::Tag(1)], Invalidation::Drop, None).await.unwrap();
        assert_eq!(set.clock, MarkClock(ahead + step));
    }
    assert_eq!(tier.marks().await.unwrap().clock, MarkClock(ahead + 3));
}

#[tokio::test]
async fn a_drop_outdoes_a_stale_mark_and_not_the_other_way_round() {
    let redis = Redis::start();
    let tier = tier(&redis);
    for mark in [Mark::Tag(7), cache("user"), prefix("shop", "a"), Mark::All] {
        tier.mark(std::slice::from_ref(&mark), Invalidation::MarkStale, None).await.unwrap();
        tier.mark(std::slice::from_ref(&mark), Invalidation::Drop, None).await.unwrap();
        let kept = tier.marks().await.unwrap().marks;
        let strikes = |mark: &Mark| kept.iter().filter(|kept| kept.0 == *mark).count();
        assert_eq!(strikes(&mark), 1, "{kept:?}");
        let stale =
            tier.mark(std::slice::from_ref(&mark), Invalidation::MarkStale, None).await.unwrap();
        let kept = tier.marks().await.unwrap().marks;
        assert!(kept.contains(&(mark.clone(), Invalidation::MarkStale, stale.clock)));
        assert!(kept.iter().any(|kept| kept.0 == mark && kept.1 == Invalidation::Drop));
    }
}

#[tokio::test]
async fn beyond_64_prefixes_the_whole_cache_is_struck() {
    let redis = Redis::start();
    let tier = tier(&redis);
    let some: Vec<Mark> = (0..64).map(|number| prefix("user", &format!("{number:02}:"))).collect();
    tier.mark(&some, Invalidation::Drop, None).await.unwrap();
    assert_eq!(marked(&tier).await.len(), 64);
    // One that is there already is no further one.
    tier.mark(&some[..1], Invalidation::Drop, None).await.unwrap();
    assert_eq!(marked(&tier).await.len(), 64);
    tier.mark(&[prefix("user", "x")], Invalidation::MarkStale, None).await.unwrap();
    let kept = marked(&tier).await;
    assert_eq!(kept.len(), 65);
    assert!(kept.contains(&(cache("user"), Invalidation::MarkStale)));
    tier.mark(&[prefix("user", "x")], Invalidation::Drop, None).await.unwrap();
    assert_eq!(marked(&tier).await, [(cache("user"), Invalidation::Drop)]);
}

#[tokio::test]
async fn marks_that_were_lost_are_another_incarnation() {
    let redis = Redis::start();
    let tier = tier(&redis);
    let before = tier.mark(&[Mark::All], Invalidation::Drop, None).await.unwrap();
    redis.cli(&["DEL", "larder.b:{bus}:marks"]);
    let after = tier.mark(&[Mark::Tag(1)], Invalidation::Drop, None).await.unwrap();
    assert_ne!(after.incarnation, before.incarnation);
    let kept = tier.marks().await.unwrap();
    assert_eq!(kept.incarnation, after.incarnation);
    assert_eq!(kept.marks, [(Mark::Tag(1), Invalidation::Drop, after.clock)]);
    redis.cli(&["FLUSHALL"]);
    assert_ne!(tier.marks().await.unwrap().incarnation, after.incarnation);
}
