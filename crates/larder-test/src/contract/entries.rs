//! What is held, when it is a hit, and what an invalidation leaves.

use bytes::Bytes;
use larder_core::ErrorKind;
use larder_core::envelope::{STATE_AT, STATE_STALE};
use larder_core::shared::{Invalidation, SharedFill, SharedRead};

use super::subject::{LONG, Subject, ask, but_for_its_state, fill, get, granted, stamp, strike};

/// The longest envelope that is tried.
const TRIED_BYTES_MAX: usize = 64 << 20;

pub(super) async fn a_fresh_entry_is_a_hit(subject: &Subject) {
    let key = subject.key("hit");
    assert_eq!(get(&*subject.b, &key).await, None);
    let held = subject.hold(&key).await;
    for tier in [&subject.a, &subject.b] {
        let entry = get(&**tier, &key).await.expect("it was filled");
        assert_eq!(entry.envelope, held);
        let SharedRead::Hit(entry) = ask(&**tier, &key, None, LONG).await else {
            panic!("it is fresh");
        };
        assert_eq!(entry.envelope, held);
    }
}

pub(super) async fn seen_makes_a_fresh_entry_a_lease(subject: &Subject) {
    let key = subject.key("seen");
    let first = subject.hold(&key).await;
    let SharedRead::Stale { entry, lease } = ask(&*subject.b, &key, stamp(&first), LONG).await
    else {
        panic!("it was seen");
    };
    assert_eq!(but_for_its_state(&entry.envelope), first);
    let second = subject.envelope(b"second");
    assert_eq!(fill(&*subject.b, &key, &lease, second.clone()).await, SharedFill::Stored);
    assert_eq!(get(&*subject.a, &key).await.map(|entry| entry.envelope), Some(second));
}

pub(super) async fn another_entry_than_the_seen_one_is_a_hit(subject: &Subject) {
    let key = subject.key("another");
    let other = subject.envelope(b"another");
    let held = subject.hold(&key).await;
    let SharedRead::Hit(entry) = ask(&*subject.b, &key, stamp(&other), LONG).await else {
        panic!("another one was seen");
    };
    assert_eq!(entry.envelope, held);
    // Nothing was granted on the way.
    let read = ask(&*subject.a, &key, stamp(&held), LONG).await;
    assert!(matches!(read, SharedRead::Stale { .. }), "not {read:?}");
}

pub(super) async fn a_seen_entry_stays_a_hit_for_who_hasnt_seen_it(subject: &Subject) {
    let key = subject.key("unseen");
    let held = subject.hold(&key).await;
    let read = ask(&*subject.a, &key, stamp(&held), LONG).await;
    assert!(matches!(read, SharedRead::Stale { .. }), "not {read:?}");
    let entry = get(&*subject.b, &key).await.expect("it is held on");
    assert_eq!(entry.envelope, held);
    let read = ask(&*subject.b, &key, None, LONG).await;
    assert!(matches!(read, SharedRead::Hit(_)), "not {read:?}");
}

pub(super) async fn busy_shows_what_is_held(subject: &Subject) {
    let key = subject.key("busy");
    let held = subject.hold(&key).await;
    let read = ask(&*subject.a, &key, stamp(&held), LONG).await;
    assert!(matches!(read, SharedRead::Stale { .. }), "not {read:?}");
    let SharedRead::Busy { stale, .. } = ask(&*subject.b, &key, stamp(&held), LONG).await else {
        panic!("the lease was granted already");
    };
    let entry = stale.expect("it is held on");
    assert_eq!(but_for_its_state(&entry.envelope), held);
}

pub(super) async fn an_entry_is_of_the_run_of_its_lease(subject: &Subject) {
    let key = subject.key("run");
    let lease = granted(&*subject.a, &key).await;
    let envelope = subject.envelope(b"held");
    assert_eq!(fill(&*subject.a, &key, &lease, envelope).await, SharedFill::Stored);
    for tier in [&subject.a, &subject.b] {
        let entry = get(&**tier, &key).await.expect("it was filled");
        assert_eq!(entry.incarnation, lease.incarnation);
    }
}

pub(super) async fn a_drop_leaves_nothing(subject: &Subject) {
    let key = subject.key("drop");
    let held = subject.hold(&key).await;
    strike(&*subject.b, &key, Invalidation::Drop).await;
    assert_eq!(get(&*subject.a, &key).await, None);
    let read = ask(&*subject.a, &key, stamp(&held), LONG).await;
    assert!(matches!(read, SharedRead::Miss(_)), "not {read:?}");
}

pub(super) async fn a_stale_mark_keeps_the_value_and_its_stamp(subject: &Subject) {
    let key = subject.key("stale");
    let held = subject.hold(&key).await;
    if !subject.a.abilities().marks_stale {
        let error = subject.a.invalidate(&[&key], Invalidation::MarkStale, None).await;
        let kind = error.expect_err("it can't mark a key stale").kind();
        assert_eq!(kind, ErrorKind::Refused);
        return;
    }
    let before = get(&*subject.a, &key).await.expect("it was filled").remaining;
    strike(&*subject.b, &key, Invalidation::MarkStale).await;
    let marked = get(&*subject.a, &key).await.expect("it was marked only");
    assert_eq!(marked.envelope[STATE_AT], STATE_STALE);
    assert_eq!(but_for_its_state(&marked.envelope), held);
    assert!(marked.remaining <= before && !marked.remaining.is_zero(), "{:?}", marked.remaining);
}

pub(super) async fn a_stale_entry_is_no_hit_until_it_is_filled_again(subject: &Subject) {
    if !subject.a.abilities().marks_stale {
        return;
    }
    let other = stamp(&subject.envelope(b"another"));
    for (name, seen) in [("unseen", None), ("another", other)] {
        let key = subject.key(&format!("stale-{name}"));
        let held = subject.hold(&key).await;
        strike(&*subject.a, &key, Invalidation::MarkStale).await;
        let SharedRead::Stale { entry, lease } = ask(&*subject.b, &key, seen, LONG).await else {
            panic!("it is stale");
        };
        assert_eq!(entry.envelope[STATE_AT], STATE_STALE);
        assert_eq!(but_for_its_state(&entry.envelope), held);
        let SharedRead::Busy { stale, .. } = ask(&*subject.a, &key, seen, LONG).await else {
            panic!("the lease was granted already");
        };
        assert!(stale.is_some(), "it is held on");
        let again = subject.envelope(b"again");
        assert_eq!(fill(&*subject.b, &key, &lease, again.clone()).await, SharedFill::Stored);
        let SharedRead::Hit(entry) = ask(&*subject.a, &key, None, LONG).await else {
            panic!("it is fresh again");
        };
        assert_eq!(entry.envelope, again);
    }
}

pub(super) async fn an_empty_payload_is_not_an_absence(subject: &Subject) {
    for (name, payload) in [("empty", Some(&b""[..])), ("absence", None)] {
        let key = subject.key(name);
        assert_comes_back(subject, &key, subject.envelope_of(payload)).await;
    }
}

pub(super) async fn any_bytes_come_back_as_they_were(subject: &Subject) {
    let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    let payloads = [&all, &b"\r\nEND\r\n"[..], b"\0", b" ", b"{}", &[0xff; 5_000]];
    for (at, payload) in payloads.into_iter().enumerate() {
        let key = subject.key(&format!("bytes-{at}"));
        assert_comes_back(subject, &key, subject.envelope(payload)).await;
    }
}

pub(super) async fn an_envelope_at_the_size_limit_is_held_and_a_longer_one_is_not(
    subject: &Subject,
) {
    let limit = subject.a.abilities().envelope_bytes_max;
    let header = subject.envelope(b"").len();
    assert!(limit > header, "{limit} bytes have no room for a value");
    let payload = vec![b'p'; limit.min(TRIED_BYTES_MAX) - header];
    let key = subject.key("longest");
    assert_comes_back(subject, &key, subject.envelope(&payload)).await;
    if limit <= TRIED_BYTES_MAX {
        let longer = subject.envelope(&[&payload[..], b"p"].concat());
        let key = subject.key("too-long");
        let lease = granted(&*subject.a, &key).await;
        let filled = subject.a.fill(&key, &lease, longer, LONG).await;
        assert!(!matches!(filled, Ok(SharedFill::Stored)), "it is longer than the limit");
        assert_eq!(get(&*subject.b, &key).await, None);
    }
}

async fn assert_comes_back(subject: &Subject, key: &[u8], envelope: Bytes) {
    let lease = granted(&*subject.a, key).await;
    assert_eq!(fill(&*subject.a, key, &lease, envelope.clone()).await, SharedFill::Stored);
    let entry = get(&*subject.b, key).await.expect("it was filled");
    assert!(entry.envelope == envelope, "{} bytes, not what was filled", entry.envelope.len());
    let SharedRead::Hit(entry) = ask(&*subject.b, key, None, LONG).await else {
        panic!("it is fresh");
    };
    assert!(entry.envelope == envelope, "{} bytes, not what was filled", entry.envelope.len());
}
