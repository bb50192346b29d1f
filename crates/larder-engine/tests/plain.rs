//! Plain keys: what was written is what is read, and tokens fill only what nobody wrote.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{Bench, S};
use larder_core::{ErrorKind, Moment};
use larder_engine::{Fill, Plain, PlainChange};
use larder_memory::{Bounds, Memory};

fn plain(bench: &Bench) -> Plain<u64, u64> {
    let bounds = Bounds::entries(100).entry_bytes_max(1000);
    Plain::new(&bench.engine, Arc::new(Memory::new(bounds)), |_, value| match value {
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
    assert_eq!(error.kind(), ErrorKind::Refused);
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
