//! Plain keys: what was written is what is read, and tokens fill only what nobody wrote.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{Bench, S};
use larder_core::{ErrorKind, Moment};
use larder_engine::{Fill, Plain, PlainChange, memory_tier};
use larder_memory::policy::PolicyKind;
use larder_memory::{Bounds, Candidates};

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
