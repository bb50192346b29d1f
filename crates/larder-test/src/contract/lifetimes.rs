//! How long leases and entries last.

use std::time::Duration;

use larder_core::shared::{Lease, SharedFill, SharedRead};

use super::subject::{LONG, Subject, answered, ask, fill, get, granted_for};

pub(super) async fn a_lease_ends_with_its_time(subject: &Subject) {
    let key = subject.key("ends");
    let lease = over(subject, &key).await;
    assert_eq!(
        fill(&*subject.a, &key, &lease, subject.envelope(b"late")).await,
        SharedFill::Refused
    );
    assert_eq!(get(&*subject.b, &key).await, None);
    let read = ask(&*subject.b, &key, None, LONG).await;
    assert!(matches!(read, SharedRead::Miss(_)), "not {read:?}");
}

pub(super) async fn a_late_fill_after_another_lease_was_granted_is_refused(subject: &Subject) {
    let key = subject.key("late");
    let late = over(subject, &key).await;
    let next = granted_for(&*subject.b, &key, LONG).await;
    let filled = fill(&*subject.a, &key, &late, subject.envelope(b"late")).await;
    assert_eq!(filled, SharedFill::Refused);
    assert_eq!(get(&*subject.a, &key).await, None);
    let envelope = subject.envelope(b"next");
    assert_eq!(fill(&*subject.b, &key, &next, envelope.clone()).await, SharedFill::Stored);
    let filled = fill(&*subject.a, &key, &late, subject.envelope(b"late")).await;
    assert_eq!(filled, SharedFill::Refused);
    assert_eq!(get(&*subject.a, &key).await.map(|entry| entry.envelope), Some(envelope));
}

pub(super) async fn an_extended_lease_lasts_longer(subject: &Subject) {
    let (key, step) = (subject.key("extended"), subject.step());
    let lease = granted_for(&*subject.a, &key, step).await;
    assert!(answered(subject.a.extend(&key, &lease, LONG).await));
    subject.pass(step + subject.slack()).await;
    let SharedRead::Busy { retry_after, .. } = ask(&*subject.b, &key, None, LONG).await else {
        panic!("it was extended");
    };
    assert!(retry_after <= LONG + subject.slack(), "{retry_after:?}");
    let envelope = subject.envelope(b"extended");
    assert_eq!(fill(&*subject.a, &key, &lease, envelope).await, SharedFill::Stored);
}

pub(super) async fn a_void_lease_is_not_extended(subject: &Subject) {
    let key = subject.key("too-late");
    let late = over(subject, &key).await;
    assert!(!answered(subject.a.extend(&key, &late, LONG).await));
    let next = granted_for(&*subject.b, &key, subject.step()).await;
    assert!(!answered(subject.a.extend(&key, &late, LONG).await));
    // Nor was the other one's.
    subject.pass(subject.step() + subject.slack()).await;
    let filled = fill(&*subject.b, &key, &next, subject.envelope(b"late")).await;
    assert_eq!(filled, SharedFill::Refused);

    let used_up = granted_for(&*subject.a, &key, LONG).await;
    let envelope = subject.envelope(b"held");
    assert_eq!(fill(&*subject.a, &key, &used_up, envelope).await, SharedFill::Stored);
    assert!(!answered(subject.a.extend(&key, &used_up, LONG).await));
}

pub(super) async fn lifetime_counts_from_the_grant(subject: &Subject) {
    let (key, step) = (subject.key("grant"), subject.step());
    let lease = granted_for(&*subject.a, &key, LONG).await;
    subject.pass(step).await;
    // An extension grants nothing anew.
    assert!(answered(subject.a.extend(&key, &lease, LONG).await));
    subject.pass(step).await;
    assert_eq!(fill_for(subject, &key, &lease, step * 4).await, SharedFill::Stored);
    let remaining = get(&*subject.b, &key).await.expect("it was filled").remaining;
    assert!(remaining <= step * 2, "{remaining:?} of {:?}, after two of four steps", step * 4);
    subject.pass(step * 2 + subject.slack()).await;
    assert_eq!(get(&*subject.b, &key).await, None);
    let read = ask(&*subject.b, &key, None, LONG).await;
    assert!(matches!(read, SharedRead::Miss(_)), "not {read:?}");
}

pub(super) async fn a_lifetime_that_is_used_up_before_the_fill_is_refused(subject: &Subject) {
    let (key, step) = (subject.key("lifetime"), subject.step());
    let lease = granted_for(&*subject.a, &key, LONG).await;
    subject.pass(step).await;
    assert_eq!(fill_for(subject, &key, &lease, step).await, SharedFill::Refused);
    assert_eq!(get(&*subject.b, &key).await, None);
}

pub(super) async fn remaining_never_exceeds_the_lifetime_less_the_age(subject: &Subject) {
    // No whole number of seconds, which some servers count in.
    let (step, rest) = (subject.step(), Duration::from_millis(1));
    let lifetime = step * 8 + rest;
    let key = subject.key("remaining");
    let lease = granted_for(&*subject.a, &key, LONG).await;
    assert_eq!(fill_for(subject, &key, &lease, lifetime).await, SharedFill::Stored);
    for steps in 0..3 {
        if steps > 0 {
            subject.pass(step).await;
        }
        let age = step * steps;
        let entry = get(&*subject.b, &key).await.expect("its lifetime isn't over");
        let SharedRead::Hit(asked) = ask(&*subject.a, &key, None, LONG).await else {
            panic!("it is fresh");
        };
        for remaining in [entry.remaining, asked.remaining] {
            assert!(remaining <= lifetime - age, "{remaining:?} of {lifetime:?}, {age:?} old");
            // A machine may be slow, but not by as much.
            let least = lifetime - age - step * 3 - subject.slack();
            assert!(remaining >= least, "{remaining:?} of {lifetime:?}, {age:?} old");
        }
    }
}

/// A lease of `a` whose time is over.
async fn over(subject: &Subject, key: &[u8]) -> Lease {
    let step = subject.step();
    let lease = granted_for(&*subject.a, key, step).await;
    let SharedRead::Busy { retry_after, .. } = ask(&*subject.b, key, None, step).await else {
        panic!("the lease was granted already");
    };
    assert!(retry_after <= step + subject.slack(), "{retry_after:?} of {step:?}");
    subject.pass(step + subject.slack()).await;
    lease
}

async fn fill_for(subject: &Subject, key: &[u8], lease: &Lease, lifetime: Duration) -> SharedFill {
    let envelope = subject.envelope(b"held");
    answered(subject.a.fill(key, lease, envelope, lifetime).await)
}
