//! Who gets a lease, and what voids it.

use bytes::Bytes;
use larder_core::shared::{
    Incarnation, Invalidation, Lease, LeaseAsk, SharedFill, SharedRead, SharedTier,
};

use super::subject::{LONG, Subject, answered, ask, fill, get, granted, strike, strikes};

pub(super) async fn of_two_asks_one_gets_the_lease(subject: &Subject) {
    let key = subject.key("two-asks");
    assert!(matches!(ask(&*subject.a, &key, None, LONG).await, SharedRead::Miss(_)));
    for tier in [&subject.b, &subject.a] {
        let SharedRead::Busy { retry_after, stale } = ask(&**tier, &key, None, LONG).await else {
            panic!("the lease was granted already");
        };
        assert!(!retry_after.is_zero() && retry_after <= LONG + subject.slack());
        assert_eq!(stale, None);
    }
}

pub(super) async fn of_two_asks_for_one_key_in_one_question_the_first_gets_the_lease(
    subject: &Subject,
) {
    let key = subject.key("twice");
    let asks = [LeaseAsk { key: &key, seen: None }; 2];
    let reads: Vec<_> = subject.a.lease_many(&asks, LONG).await.into_iter().map(answered).collect();
    assert!(matches!(reads[..], [SharedRead::Miss(_), SharedRead::Busy { .. }]), "not {reads:?}");
}

pub(super) async fn tokens_differ_and_keep_to_their_length(subject: &Subject) {
    let mut leases: Vec<Lease> = Vec::new();
    for key in ["token-1", "token-2"].map(|name| subject.key(name)) {
        for tier in [&subject.a, &subject.b] {
            leases.push(granted(&**tier, &key).await);
            strike(&**tier, &key, Invalidation::Drop).await;
        }
    }
    for (at, lease) in leases.iter().enumerate() {
        let length = lease.token.len();
        assert!((1..=Lease::TOKEN_BYTES_MAX).contains(&length), "{length} bytes");
        assert!(!leases[..at].contains(lease), "the same lease twice");
    }
}

pub(super) async fn a_fill_without_its_lease_is_refused(subject: &Subject) {
    let (key, other) = (subject.key("guarded"), subject.key("other"));
    let made_up = granted(&*subject.a, &other).await;
    assert_refused(subject, &key, &made_up, "while nobody has a lease").await;
    let lease = granted(&*subject.a, &key).await;
    assert_refused(subject, &key, &made_up, "under another key's lease").await;
    let mut changed = lease.token.to_vec();
    changed.iter_mut().for_each(|byte| *byte ^= 1);
    for token in [Bytes::new(), changed.into(), Bytes::from_static(&[b'9'; 32])] {
        let lease = Lease { token, ..lease.clone() };
        assert_refused(subject, &key, &lease, "under a token that nobody got").await;
    }
    // None of them used it up.
    let envelope = subject.envelope(b"mine");
    assert_eq!(fill(&*subject.a, &key, &lease, envelope).await, SharedFill::Stored);
}

pub(super) async fn a_fill_ends_its_lease(subject: &Subject) {
    let key = subject.key("used-up");
    let lease = granted(&*subject.a, &key).await;
    let first = subject.envelope(b"first");
    assert_eq!(fill(&*subject.a, &key, &lease, first.clone()).await, SharedFill::Stored);
    let second = subject.envelope(b"second");
    assert_eq!(fill(&*subject.a, &key, &lease, second).await, SharedFill::Refused);
    let held = get(&*subject.b, &key).await.expect("it was filled");
    assert_eq!(held.envelope, first);
}

pub(super) async fn a_lease_of_another_incarnation_is_void(subject: &Subject) {
    let key = subject.key("another-run");
    let lease = granted(&*subject.a, &key).await;
    let incarnation = Incarnation(lease.incarnation.0.wrapping_add(1));
    let void = Lease { incarnation, ..lease.clone() };
    assert_refused(subject, &key, &void, "under another run's lease").await;
    assert!(!answered(subject.a.extend(&key, &void, LONG).await));
    answered(subject.a.release(&key, &void).await);
    let envelope = subject.envelope(b"mine");
    assert_eq!(fill(&*subject.a, &key, &lease, envelope).await, SharedFill::Stored);
}

pub(super) async fn an_invalidation_voids_the_lease_of_a_key_that_isnt_held(subject: &Subject) {
    for &how in strikes(&*subject.a) {
        let key = subject.key(&format!("void-{how:?}"));
        let lease = granted(&*subject.a, &key).await;
        strike(&*subject.b, &key, how).await;
        assert_refused(subject, &key, &lease, "under a lease that was voided").await;
    }
}

pub(super) async fn an_invalidation_voids_the_lease_of_a_key_that_is_held(subject: &Subject) {
    for &how in strikes(&*subject.a) {
        let key = subject.key(&format!("void-held-{how:?}"));
        let lease = refresh(subject, &key).await;
        strike(&*subject.b, &key, how).await;
        let before = get(&*subject.a, &key).await.map(|entry| entry.envelope);
        let late = subject.envelope(b"late");
        assert_eq!(fill(&*subject.a, &key, &lease, late).await, SharedFill::Refused);
        assert_eq!(get(&*subject.a, &key).await.map(|entry| entry.envelope), before);
    }
}

pub(super) async fn after_an_invalidation_the_next_ask_gets_a_lease(subject: &Subject) {
    for &how in strikes(&*subject.a) {
        let (absent, held) =
            (subject.key(&format!("next-{how:?}")), subject.key(&format!("next-held-{how:?}")));
        let void = [granted(&*subject.a, &absent).await, refresh(subject, &held).await];
        for (key, void) in [&absent, &held].into_iter().zip(void) {
            strike(&*subject.a, key, how).await;
            let next = granted(&*subject.b, key).await;
            // The one before is still void, and leaves the new one alone.
            let late = subject.envelope(b"late");
            assert_eq!(fill(&*subject.a, key, &void, late).await, SharedFill::Refused);
            let envelope = subject.envelope(b"next");
            assert_eq!(fill(&*subject.b, key, &next, envelope).await, SharedFill::Stored);
        }
    }
}

pub(super) async fn a_release_lets_the_next_one_in(subject: &Subject) {
    let key = subject.key("release");
    let given_back = granted(&*subject.a, &key).await;
    answered(subject.a.release(&key, &given_back).await);
    assert_refused(subject, &key, &given_back, "under a lease that was given back").await;
    assert!(matches!(ask(&*subject.b, &key, None, LONG).await, SharedRead::Miss(_)));

    let key = subject.key("release-held");
    let given_back = refresh(subject, &key).await;
    let held = get(&*subject.b, &key).await.expect("it was filled").envelope;
    answered(subject.a.release(&key, &given_back).await);
    assert_eq!(get(&*subject.b, &key).await.map(|entry| entry.envelope), Some(held));
}

pub(super) async fn a_release_of_a_void_lease_leaves_the_others_lease_alone(subject: &Subject) {
    let key = subject.key("release-void");
    let void = granted(&*subject.a, &key).await;
    strike(&*subject.a, &key, Invalidation::Drop).await;
    let lease = granted(&*subject.b, &key).await;
    answered(subject.a.release(&key, &void).await);
    assert!(matches!(ask(&*subject.a, &key, None, LONG).await, SharedRead::Busy { .. }));
    let envelope = subject.envelope(b"mine");
    assert_eq!(fill(&*subject.b, &key, &lease, envelope).await, SharedFill::Stored);
    answered(subject.b.release(&key, &lease).await);
    assert!(get(&*subject.a, &key).await.is_some(), "a release drops nothing");
}

/// A lease of `a` for a key that it holds fresh.
async fn refresh(subject: &Subject, key: &[u8]) -> Lease {
    let held = subject.hold(key).await;
    let seen = super::subject::stamp(&held);
    match ask(&*subject.a, key, seen, LONG).await {
        SharedRead::Stale { lease, .. } => lease,
        other => panic!("what was seen can be filled, not {other:?}"),
    }
}

/// Checks that a fill of a key that isn't held is refused, and stores nothing.
async fn assert_refused(subject: &Subject, key: &[u8], lease: &Lease, when: &str) {
    let tier: &dyn SharedTier = &*subject.a;
    let filled = fill(tier, key, lease, subject.envelope(b"late")).await;
    assert_eq!(filled, SharedFill::Refused, "a fill {when}");
    assert_eq!(get(tier, key).await, None, "after a fill {when}");
}
