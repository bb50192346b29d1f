//! Plain keys: what was written is what is read, and tokens fill only what nobody wrote.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{Bench, S};
use larder_core::{ErrorKind, Moment};
use larder_engine::{Fill, Invalidation, Moved, Moving, Occupant, Plain, PlainChange, memory_tier};
use larder_memory::policy::PolicyKind;
use larder_memory::{Bounds, Candidates, Cursor};

fn plain(bench: &Bench) -> Plain<u64, u64> {
    let bounds = Bounds::entries(100).entry_bytes_max(1000);
    let memory = Arc::new(memory_tier(bounds, PolicyKind::Lru, None));
    Plain::new(&bench.engine, memory, |_, value| match value {
        Some(&heavy) if heavy > 1000 => 10_000,
        _ => 8,
    })
}

fn get<R>(plain: &Plain<u64, u64>, key: u64, read: impl FnOnce(&u64, Moment) -> R) -> Option<R> {
    plain.get(&key, plain.engine().clock().now(), read)
}

fn put(plain: &Plain<u64, u64>, key: u64, value: u64, expires_at: Moment) {
    let now = plain.engine().clock().now();
    plain.update(&key, now, |_| (PlainChange::Put { value, expires_at }, ())).unwrap();
}

#[tokio::test]
async fn what_was_written_is_read_until_it_expires() {
    let bench = Bench::new();
    let plain = plain(&bench);
    let until = bench.engine.clock().now() + 5 * S;
    put(&plain, 1, 10, until);
    bench.clock.advance(5 * S);
    assert_eq!(get(&plain, 1, |value, expiry| (*value, expiry)), Some((10, until)));
    bench.clock.advance(S);
    assert_eq!(get(&plain, 1, |value, _| *value), None);
    assert_eq!((plain.hits(), plain.misses()), (1, 1));
}

#[tokio::test]
async fn a_value_too_heavy_is_refused_and_the_old_one_stays() {
    let bench = Bench::new();
    let plain = plain(&bench);
    put(&plain, 1, 10, Moment::MAX);
    let now = plain.engine().clock().now();
    let heavy = PlainChange::Put { value: 5000, expires_at: Moment::MAX };
    let error = plain.update(&1, now, |_| (heavy, ())).unwrap_err();
    assert_eq!((error.kind(), plain.too_heavy()), (ErrorKind::Refused, 1));
    assert_eq!(get(&plain, 1, |value, _| *value), Some(10));
}

#[tokio::test]
async fn a_token_fills_what_nobody_has_written_or_deleted_since() {
    let bench = Bench::new();
    let plain = plain(&bench);
    let token = plain.lookup(&1).unwrap_err();
    assert_eq!(plain.fill(&1, token, 5, Moment::MAX), Some(Fill::Stored));
    assert_eq!(plain.lookup(&1).unwrap().value, Some(5));

    let token = plain.lookup(&2).unwrap_err();
    put(&plain, 2, 20, Moment::MAX);
    assert_eq!(plain.fill(&2, token, 5, Moment::MAX), Some(Fill::Refused));
    assert_eq!(get(&plain, 2, |value, _| *value), Some(20));

    let token = plain.lookup(&3).unwrap_err();
    let now = plain.engine().clock().now();
    plain.update(&3, now, |_| (PlainChange::Remove, ())).unwrap();
    assert_eq!(plain.fill(&3, token, 5, Moment::MAX), Some(Fill::Refused));

    let token = plain.lookup(&4).unwrap_err();
    assert_eq!(plain.fill(&5, token, 5, Moment::MAX), None);
}

#[tokio::test]
async fn where_nothing_may_be_evicted_a_write_is_refused_and_nothing_is_lost() {
    let bench = Bench::new();
    let bounds = Bounds::entries(4).candidates(Candidates::Expiring);
    let memory = Arc::new(memory_tier(bounds, PolicyKind::Lru, None));
    let plain = Plain::new(&bench.engine, Arc::clone(&memory), |_, _| 0);
    assert!(plain.is_in(&memory));
    let now = bench.engine.clock().now();
    let try_put = |key: u64, expires_at: Moment| {
        plain.update(&key, now, |_| (PlainChange::Put { value: key, expires_at }, ()))
    };
    for key in 0..4 {
        put(&plain, key, key, Moment::MAX);
    }
    for key in 4..6 {
        for expires_at in [Moment::MAX, now + S] {
            let error = try_put(key, expires_at).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoRoom);
            assert_eq!(error.key(), Some(&*key.to_string()));
            assert!(error.to_string().contains("give them an expiry"), "{error}");
        }
    }
    assert_eq!((memory.stats().no_room, memory.entries()), (4, 4));
    let Err(token) = plain.lookup(&4) else { panic!("4 is not held") };
    assert_eq!(plain.fill(&4, token, 4, Moment::MAX), Some(Fill::NotKept));
    // In the place of another value, or where one was removed, there is room.
    put(&plain, 3, 3, now + S);
    put(&plain, 4, 4, Moment::MAX);
    let held: Vec<u64> = (0..6).filter(|&key| get(&plain, key, |_, _| ()).is_some()).collect();
    assert_eq!(held, [0, 1, 2, 4], "what expires was evicted");
    plain.update(&0, now, |_| (PlainChange::Remove, ())).unwrap();
    put(&plain, 5, 5, Moment::MAX);
}

fn put_tagged(plain: &Plain<u64, u64>, key: u64, tags: &[&str]) {
    let now = plain.engine().clock().now();
    let tags = tags.iter().map(|&tag| tag.into()).collect();
    let change = PlainChange::PutTagged { value: key, expires_at: Moment::MAX, tags };
    plain.update(&key, now, |_| (change, ())).unwrap();
}

#[tokio::test]
async fn a_tag_forgets_what_was_written_before_and_nothing_later_whatever_was_asked_for() {
    for what in [Invalidation::Drop, Invalidation::MarkStale] {
        let bench = Bench::new();
        let plain = plain(&bench);
        put_tagged(&plain, 1, &["a", "b"]);
        put_tagged(&plain, 2, &["c"]);
        put(&plain, 3, 3, Moment::MAX);
        bench.engine.invalidate_tags_here(&["x", "b"], what);
        put_tagged(&plain, 4, &["b"]);
        let held: Vec<u64> = (1..5).filter(|&key| get(&plain, key, |_, _| ()).is_some()).collect();
        assert_eq!(held, [2, 3, 4]);
        // Nobody finds it in another way.
        assert!(plain.lookup(&1).is_err());
        let mut seen = Vec::new();
        let end = plain.page(Cursor::START, 100, Moment::ZERO, |key, _| seen.push(*key));
        seen.sort_unstable();
        assert_eq!((end, seen), (None, vec![2, 3, 4]));
        let now = plain.engine().clock().now();
        let was_held = plain.update(&1, now, |held| (PlainChange::Keep, held.is_some())).unwrap();
        assert!(!was_held);
        let moved = plain.relocate((&1, &9), Moving::Rename, Occupant::Replaced, now).unwrap();
        assert_eq!(moved, Moved::Missing);
    }
}

#[tokio::test]
async fn tags_are_struck_however_often_they_were_found_to_stand() {
    let bench = Bench::new();
    let plain = plain(&bench);
    put_tagged(&plain, 1, &["a"]);
    for _ in 0..3 {
        bench.engine.invalidate_tags_here(&["x"], Invalidation::Drop);
        assert_eq!(get(&plain, 1, |value, _| *value), Some(1));
    }
    bench.engine.invalidate_tags_here(&["a"], Invalidation::Drop);
    assert_eq!(get(&plain, 1, |value, _| *value), None);
    assert_eq!(get(&plain, 1, |value, _| *value), None, "it stays forgotten");
}

#[tokio::test]
async fn what_revises_a_value_leaves_its_tags_and_what_puts_one_takes_them() {
    let bench = Bench::new();
    let plain = plain(&bench);
    let now = bench.engine.clock().now();
    put_tagged(&plain, 1, &["a"]);
    put_tagged(&plain, 2, &["a"]);
    let revised = PlainChange::Revise { value: 10, expires_at: Moment::MAX };
    plain.update(&1, now, |_| (revised, ())).unwrap();
    put(&plain, 2, 20, Moment::MAX);
    bench.engine.invalidate_tags_here(&["a"], Invalidation::Drop);
    assert_eq!([1, 2].map(|key| get(&plain, key, |value, _| *value)), [None, Some(20)]);
}

#[tokio::test]
async fn tags_weigh() {
    let bench = Bench::new();
    let bounds = Bounds::entries(100).entry_bytes_max(100);
    let memory = Arc::new(memory_tier(bounds, PolicyKind::Lru, None));
    let plain: Plain<u64, u64> = Plain::new(&bench.engine, memory, |_, _| 8);
    assert_eq!(plain.weight_max(), 100);
    let tags = (0..100).map(|tag| format!("t{tag}").into()).collect();
    let change = PlainChange::PutTagged { value: 1, expires_at: Moment::MAX, tags };
    let error = plain.update(&1, bench.engine.clock().now(), |_| (change, ())).unwrap_err();
    assert_eq!((error.kind(), plain.too_heavy()), (ErrorKind::Refused, 1));
}

#[tokio::test]
async fn a_value_moves_with_its_expiry_and_its_tags() {
    let bench = Bench::new();
    let plain = plain(&bench);
    let now = bench.engine.clock().now();
    let until = now + 5 * S;
    let tags = vec!["a".into()];
    let change = PlainChange::PutTagged { value: 10, expires_at: until, tags };
    plain.update(&1, now, |_| (change, ())).unwrap();
    put(&plain, 2, 20, Moment::MAX);
    let moved = plain.relocate((&1, &2), Moving::Rename, Occupant::Stays, now).unwrap();
    assert_eq!(moved, Moved::Occupied);
    let moved = plain.relocate((&1, &2), Moving::Rename, Occupant::Replaced, now).unwrap();
    assert_eq!(moved, Moved::Done { value: 10, expires_at: until });
    assert_eq!(get(&plain, 1, |value, _| *value), None);
    assert_eq!(get(&plain, 2, |value, until| (*value, until)), Some((10, until)));
    plain.relocate((&2, &3), Moving::Copy, Occupant::Stays, now).unwrap();
    bench.engine.invalidate_tags_here(&["a"], Invalidation::Drop);
    assert_eq!([2, 3].map(|key| get(&plain, key, |value, _| *value)), [None, None]);
}

#[tokio::test]
async fn a_value_that_is_too_heavy_for_its_new_key_stays_where_it_was() {
    let bench = Bench::new();
    let bounds = Bounds::entries(100).entry_bytes_max(1000);
    let memory = Arc::new(memory_tier(bounds, PolicyKind::Lru, None));
    let heavy = |key: &u64, _: Option<&u64>| if *key == 9 { 10_000 } else { 8 };
    let plain: Plain<u64, u64> = Plain::new(&bench.engine, memory, heavy);
    put(&plain, 1, 10, Moment::MAX);
    let now = bench.engine.clock().now();
    let error = plain.relocate((&1, &9), Moving::Rename, Occupant::Replaced, now).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!([1, 9].map(|key| get(&plain, key, |value, _| *value)), [Some(10), None]);
}

#[tokio::test]
async fn many_are_put_all_or_none_and_void_the_tokens_of_before() {
    let bench = Bench::new();
    let plain = plain(&bench);
    let now = bench.engine.clock().now();
    let token = plain.lookup(&1).unwrap_err();
    assert!(plain.put_all(&[(1, 10), (2, 20)], Occupant::Stays, now).unwrap());
    plain.update(&1, now, |_| (PlainChange::Remove, ())).unwrap();
    assert_eq!(plain.fill(&1, token, 5, Moment::MAX), Some(Fill::Refused));
    assert!(!plain.put_all(&[(1, 11), (2, 21)], Occupant::Stays, now).unwrap());
    let error = plain.put_all(&[(1, 12), (2, 22), (3, 5000)], Occupant::Replaced, now).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let held = [1, 2, 3].map(|key| get(&plain, key, |value, _| *value));
    assert_eq!(held, [None, Some(20), None]);
    assert!(plain.put_all(&[(1, 12), (2, 22)], Occupant::Replaced, now).unwrap());
    assert_eq!([1, 2].map(|key| get(&plain, key, |value, _| *value)), [Some(12), Some(22)]);
}

#[tokio::test]
async fn walks_pass_over_the_entries_of_caches() {
    let bench = Bench::new();
    let memory = Arc::new(memory_tier(Bounds::entries(10_000), PolicyKind::Lru, None));
    let plain = Plain::new(&bench.engine, Arc::clone(&memory), |_, _| 8);
    let cache = bench.builder().max_staleness(10 * S).memory(Arc::clone(&memory)).build().unwrap();
    for key in 0..1000 {
        cache.get(&key).await.unwrap();
    }
    let now = bench.engine.clock().now();
    assert_eq!(plain.random(now), None);
    put(&plain, 7777, 1, Moment::MAX);
    assert_eq!(plain.random(now), Some(7777));
    let (mut seen, mut at, mut pages) = (Vec::new(), Some(Cursor::START), 0);
    while let Some(from) = at {
        at = plain.page(from, 50, now, |key, _| seen.push(*key));
        pages += 1;
    }
    assert!(seen == [7777] && pages > 10, "{seen:?} on {pages} pages");
}
