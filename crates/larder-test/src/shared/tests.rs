//! The simulated server against its contracts, step by step, and each of its faults. Every answer
//! must be there at the first poll.

mod bus;
mod faults;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use larder_core::bus::{BusEvent, Subscription};
use larder_core::envelope::{STATE_FRESH, STATE_STALE};
use larder_core::shared::{
    Invalidation, Lease, LeaseAsk, Mark, SharedEntry, SharedFill, SharedRead, SharedTier,
};
use larder_core::{Bus, Error, ErrorKind};

use super::*;
use crate::ManualClock;

const SECOND: Duration = Duration::from_secs(1);
const KEY: &[u8] = b"user:42";

fn server() -> (SimShared, SimClient, ManualClock) {
    let clock = ManualClock::new();
    let server = SimShared::new(Arc::new(clock.clone()));
    let client = server.client();
    (server, client, clock)
}

/// What a future is after one poll.
fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn done<T>(future: impl Future<Output = T>) -> T {
    match poll(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}

fn is_down<T>(result: Result<T, Error>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::SharedDown)
}

/// What looks like an envelope: version, state, stamp, and something.
fn envelope(state: u8, stamp: u64) -> Bytes {
    let mut bytes = vec![1, state];
    bytes.extend(stamp.to_be_bytes());
    bytes.extend(b"value");
    bytes.into()
}

fn fresh(stamp: u64) -> Bytes {
    envelope(STATE_FRESH, stamp)
}

fn get(client: &SimClient) -> Option<SharedEntry> {
    done(client.get_many(&[KEY])).remove(0).unwrap()
}

fn ask(client: &SimClient, seen: Option<u64>) -> SharedRead {
    done(client.lease_many(&[LeaseAsk { key: KEY, seen }], SECOND)).remove(0).unwrap()
}

fn lease(client: &SimClient) -> Lease {
    match ask(client, None) {
        SharedRead::Miss(lease) | SharedRead::Stale { lease, .. } => lease,
        other => panic!("no lease: {other:?}"),
    }
}

fn fill(client: &SimClient, lease: &Lease, stamp: u64) -> SharedFill {
    done(client.fill(KEY, lease, fresh(stamp), SECOND * 10)).unwrap()
}

fn drop_key(client: &SimClient) {
    done(client.invalidate(&[KEY], Invalidation::Drop, None)).unwrap();
}

fn arrived(subscription: &mut Subscription) -> Vec<BusEvent> {
    let mut context = Context::from_waker(Waker::noop());
    let mut events = Vec::new();
    while let Poll::Ready(event) = subscription.as_mut().poll_next(&mut context) {
        events.push(event.unwrap());
    }
    events
}

#[test]
fn of_two_who_ask_one_gets_the_lease_and_the_other_what_is_left_of_its_time() {
    let (server, a, clock) = server();
    let b = server.client();
    assert!(matches!(ask(&a, None), SharedRead::Miss(_)));
    clock.advance(SECOND / 4);
    let busy = SharedRead::Busy { retry_after: SECOND * 3 / 4, stale: None };
    assert_eq!(ask(&b, None), busy);
    assert!(server.lease_held(KEY));
    clock.advance(SECOND * 3 / 4);
    assert!(!server.lease_held(KEY));
    assert!(matches!(ask(&b, None), SharedRead::Miss(_)));
}

#[test]
fn a_fresh_entry_that_was_not_seen_is_a_hit_and_one_that_was_a_lease() {
    let (server, a, _) = server();
    let held = lease(&a);
    assert_eq!(fill(&a, &held, 7), SharedFill::Stored);
    assert!(!server.lease_held(KEY));
    let entry = SharedEntry {
        envelope: fresh(7),
        remaining: SECOND * 10,
        incarnation: server.incarnation(),
    };
    assert_eq!(ask(&a, None), SharedRead::Hit(entry.clone()));
    assert_eq!(ask(&a, Some(8)), SharedRead::Hit(entry.clone()));
    let SharedRead::Stale { entry: held, .. } = ask(&a, Some(7)) else { panic!("no lease") };
    assert_eq!(held, entry);
    assert_eq!(ask(&a, Some(7)), SharedRead::Busy { retry_after: SECOND, stale: Some(entry) });
}

#[test]
fn a_fill_needs_its_own_lease_and_uses_it_up() {
    let (server, a, clock) = server();
    let first = lease(&a);
    clock.advance(SECOND);
    let second = lease(&a);
    assert_eq!(fill(&a, &first, 1), SharedFill::Refused);
    assert_eq!(fill(&a, &second, 2), SharedFill::Stored);
    assert_eq!(fill(&a, &second, 3), SharedFill::Refused);
    assert_eq!(server.held(KEY), Some(fresh(2)));
}

#[test]
fn an_invalidation_voids_the_lease_whether_or_not_something_is_held() {
    for strike in [Invalidation::Drop, Invalidation::MarkStale] {
        let (server, a, _) = server();
        let voided = lease(&a);
        done(a.invalidate(&[KEY], strike, None)).unwrap();
        assert_eq!(fill(&a, &voided, 1), SharedFill::Refused);
        let granted = lease(&a);
        assert_eq!(fill(&a, &granted, 2), SharedFill::Stored);
        let SharedRead::Stale { lease: voided, .. } = ask(&a, Some(2)) else { panic!("no lease") };
        done(a.invalidate(&[KEY], strike, None)).unwrap();
        assert_eq!(fill(&a, &voided, 3), SharedFill::Refused);
        let left = (strike == Invalidation::MarkStale).then(|| envelope(STATE_STALE, 2));
        assert_eq!(server.held(KEY), left);
    }
}

#[test]
fn a_lifetime_counts_from_the_grant_and_can_be_used_up() {
    let (server, a, clock) = server();
    let granted = lease(&a);
    assert!(done(a.extend(KEY, &granted, SECOND * 20)).unwrap());
    clock.advance(SECOND * 4);
    assert_eq!(fill(&a, &granted, 1), SharedFill::Stored);
    assert_eq!(get(&a).unwrap().remaining, SECOND * 6);
    clock.advance(SECOND * 6 - Duration::from_nanos(1));
    assert_eq!(get(&a).unwrap().remaining, Duration::ZERO);
    clock.advance(Duration::from_nanos(1));
    assert_eq!((get(&a), server.keys()), (None, vec![]));

    let granted = lease(&a);
    assert!(done(a.extend(KEY, &granted, SECOND * 20)).unwrap());
    clock.advance(SECOND * 10);
    assert_eq!(fill(&a, &granted, 2), SharedFill::Refused);
    assert_eq!(get(&a), None);
}

#[test]
fn a_lease_is_extended_and_given_back_by_its_holder_only() {
    let (server, a, clock) = server();
    let over = lease(&a);
    clock.advance(SECOND);
    assert!(!done(a.extend(KEY, &over, SECOND)).unwrap());
    let held = lease(&a);
    done(a.release(KEY, &over)).unwrap();
    assert!(server.lease_held(KEY));
    clock.advance(SECOND / 2);
    assert!(done(a.extend(KEY, &held, SECOND)).unwrap());
    clock.advance(SECOND - Duration::from_nanos(1));
    assert!(server.lease_held(KEY));
    done(a.release(KEY, &held)).unwrap();
    assert!(!server.lease_held(KEY));
    assert!(!done(a.extend(KEY, &held, SECOND)).unwrap());
}

#[test]
fn what_has_no_state_is_no_hit_and_is_dropped_instead_of_marked() {
    let (server, a, _) = server();
    let granted = lease(&a);
    let bytes = Bytes::from_static(b"x");
    assert_eq!(done(a.fill(KEY, &granted, bytes, SECOND)).unwrap(), SharedFill::Stored);
    assert!(matches!(ask(&a, None), SharedRead::Stale { .. }));
    done(a.invalidate(&[KEY], Invalidation::MarkStale, None)).unwrap();
    assert_eq!(server.held(KEY), None);
}

#[test]
fn marks_get_later_clocks_even_within_a_microsecond_and_keep_the_latest_of_each_strike() {
    let (server, a, clock) = server();
    let prefix = Mark::Prefix { cache: "user".into(), prefix: "4".into() };
    let both = [Mark::Tag(7), prefix.clone()];
    let first = done(a.mark(&both, Invalidation::Drop, None)).unwrap();
    assert_eq!(first.clock.0, clock.now().as_nanos() / 1_000);
    let second = done(a.mark(&[Mark::Tag(7)], Invalidation::MarkStale, None)).unwrap();
    assert_eq!((second.clock.0, second.position), (first.clock.0 + 1, None));
    let marks = done(a.marks()).unwrap();
    assert_eq!((marks.incarnation, marks.clock), (first.incarnation, second.clock));
    // What was dropped stays so when it is marked stale later.
    let all = vec![
        (Mark::Tag(7), Invalidation::MarkStale, second.clock),
        (Mark::Tag(7), Invalidation::Drop, first.clock),
        (prefix, Invalidation::Drop, first.clock),
    ];
    assert_eq!(marks.marks, all);

    server.lose_marks();
    let lost = done(a.marks()).unwrap();
    assert!(lost.marks.is_empty() && lost.incarnation != first.incarnation);
    let third = done(a.mark(&[Mark::All], Invalidation::Drop, None)).unwrap();
    assert!(third.clock > second.clock && third.incarnation == lost.incarnation);
}

#[test]
fn round_trips_and_keys_are_counted_apart_for_each_process() {
    let (server, a, _) = server();
    let b = server.client();
    let keys = [&b"1"[..], b"2", b"3"];
    assert_eq!(done(a.get_many(&keys)).len(), 3);
    done(b.invalidate(&keys[..2], Invalidation::Drop, None)).unwrap();
    b.down();
    assert!(is_down(done(b.get_many(&keys[..1])).remove(0)));
    let count = |trips, keys| Count { trips, keys };
    assert_eq!(a.calls(), Calls { gets: count(1, 3), ..Calls::default() });
    let both = Calls { gets: count(2, 4), invalidations: count(1, 2), ..Calls::default() };
    assert_eq!(server.calls(), both);
}

#[test]
fn what_it_can_not_do_and_what_is_too_long_is_refused() {
    let clock = Arc::new(ManualClock::new());
    let server = SimShared::new(clock).announcing(false).with_abilities(|abilities| {
        (abilities.marks, abilities.marks_stale) = (false, false);
        (abilities.key_bytes_max, abilities.envelope_bytes_max) = (KEY.len(), 15);
        abilities.resolution = SECOND * 3;
    });
    let a = server.client();
    let refused = |error: Error| error.kind() == ErrorKind::Refused;
    assert!(refused(done(a.mark(&[Mark::All], Invalidation::Drop, None)).unwrap_err()));
    assert!(refused(done(a.invalidate(&[KEY], Invalidation::MarkStale, None)).unwrap_err()));
    assert_eq!(done(a.marks()).unwrap(), larder_core::shared::Marks::default());
    let granted = lease(&a);
    let long = Bytes::from(vec![1; 16]);
    assert!(refused(done(a.fill(KEY, &granted, long, SECOND)).unwrap_err()));
    assert_eq!(fill(&a, &granted, 1), SharedFill::Stored);
    assert_eq!(get(&a).unwrap().remaining, SECOND * 9);
    let announcement = Some(Bytes::from_static(b"x"));
    assert_eq!(done(a.invalidate(&[KEY], Invalidation::Drop, announcement)).unwrap(), None);
    assert_eq!(server.bus_len(), 0);
}

#[test]
fn beyond_its_limit_it_evicts_and_loses_its_marks() {
    let server = SimShared::holding(Arc::new(ManualClock::new()), 2);
    let a = server.client();
    for number in 0..3_u8 {
        let key = [number];
        let asks = [LeaseAsk { key: &key, seen: None }];
        let read = done(a.lease_many(&asks, SECOND)).remove(0).unwrap();
        let SharedRead::Miss(lease) = read else { panic!("no lease") };
        done(a.fill(&key, &lease, fresh(1), SECOND)).unwrap();
    }
    assert_eq!(server.keys(), [&[1][..], &[2]]);
    let keys = [&b"a"[..], b"b", b"c"];
    let asks = keys.map(|key| LeaseAsk { key, seen: None });
    done(a.lease_many(&asks, SECOND));
    assert_eq!(keys.map(|key| server.lease_held(key)), [false, true, true]);
    let before = done(a.mark(&[Mark::Tag(1), Mark::Tag(2)], Invalidation::Drop, None)).unwrap();
    let after = done(a.mark(&[Mark::Tag(3)], Invalidation::Drop, None)).unwrap();
    assert_ne!(before.incarnation, after.incarnation);
    assert!(done(a.marks()).unwrap().marks.is_empty());
}
