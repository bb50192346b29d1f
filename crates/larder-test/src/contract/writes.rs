//! Writes that are announced before they are committed.

use std::time::Duration;

use bytes::Bytes;
use larder_core::ErrorKind;
use larder_core::shared::{
    Begun, Closed, Ended, Intent, Invalidation, SharedFill, SharedRead, SharedTier,
};

use super::subject::{LONG, Subject, answered, ask, fill, get, granted, strike};

/// Names that no other write has.
fn intents<const N: usize>(subject: &Subject, name: &str) -> [Intent; N] {
    let of_name = |at: usize| {
        let text = subject.key(&format!("{name}-{at}"));
        text.iter()
            .fold(7_u128, |sum, byte| sum.wrapping_mul(0x0100_0193).wrapping_add((*byte).into()))
    };
    std::array::from_fn(|at| Intent(of_name(at)))
}

async fn begin(tier: &dyn SharedTier, key: &[u8], intent: Intent, time: Duration) -> Begun {
    answered(tier.begin_write(key, intent, time, None).await)
}

async fn end(tier: &dyn SharedTier, key: &[u8], intent: Intent, ended: Ended) -> Closed {
    answered(tier.end_write(key, intent, ended, None).await)
}

fn leaving(envelope: &Bytes) -> Ended {
    Ended::Committed(Some((envelope.clone(), LONG)))
}

async fn is_pending(subject: &Subject, key: &[u8]) -> bool {
    let read = ask(&*subject.b, key, None, LONG).await;
    matches!(read, SharedRead::WriterPending { .. })
}

fn has_intents(subject: &Subject) -> bool {
    subject.a.abilities().intents
}

pub(super) async fn a_tier_without_intents_refuses_them(subject: &Subject) {
    let (key, [intent]) = (subject.key("refused"), intents(subject, "refused"));
    let begun = subject.a.begin_write(&key, intent, LONG, None).await;
    assert_eq!(begun.is_ok(), has_intents(subject));
    let ended = subject.a.end_write(&key, intent, Ended::Aborted, None).await;
    for error in begun.err().into_iter().chain(ended.err()) {
        assert_eq!(error.kind(), ErrorKind::Refused, "{}", error.chain());
    }
}

pub(super) async fn while_a_write_is_announced_nobody_leases_or_fills(subject: &Subject) {
    if !has_intents(subject) {
        return;
    }
    let (key, [intent]) = (subject.key("writing"), intents(subject, "writing"));
    let before = granted(&*subject.b, &key).await;
    begin(&*subject.a, &key, intent, LONG).await;
    let old = subject.envelope(b"old");
    assert_eq!(fill(&*subject.b, &key, &before, old.clone()).await, SharedFill::Refused);
    assert!(is_pending(subject, &key).await, "a lease beside a writer");
    end(&*subject.a, &key, intent, Ended::Committed(None)).await;
    assert_eq!(fill(&*subject.b, &key, &before, old).await, SharedFill::Refused);
    granted(&*subject.b, &key).await;
}

pub(super) async fn an_intent_says_whether_something_was_held_and_drops_it(subject: &Subject) {
    if !has_intents(subject) {
        return;
    }
    let (key, [first, second]) = (subject.key("was-held"), intents(subject, "was-held"));
    subject.hold(&key).await;
    assert!(begin(&*subject.a, &key, first, LONG).await.was_held);
    assert_eq!(get(&*subject.b, &key).await, None);
    assert!(!begin(&*subject.b, &key, second, LONG).await.was_held);
}

pub(super) async fn a_write_that_was_alone_leaves_its_value(subject: &Subject) {
    if !has_intents(subject) {
        return;
    }
    let (key, [intent]) = (subject.key("alone"), intents(subject, "alone"));
    let begun = begin(&*subject.a, &key, intent, LONG).await;
    let envelope = subject.envelope(b"written");
    assert!(end(&*subject.a, &key, intent, leaving(&envelope)).await.is_held);
    let entry = get(&*subject.b, &key).await.expect("the writer was alone");
    assert_eq!((entry.envelope, entry.incarnation), (envelope, begun.incarnation));
}

pub(super) async fn of_writes_that_overlap_none_leaves_its_value(subject: &Subject) {
    if !has_intents(subject) {
        return;
    }
    for first_ends_first in [true, false] {
        let name = format!("overlap-{first_ends_first}");
        let (key, [a, b]) = (subject.key(&name), intents(subject, &name));
        begin(&*subject.a, &key, a, LONG).await;
        begin(&*subject.b, &key, b, LONG).await;
        let order = if first_ends_first { [a, b] } else { [b, a] };
        for intent in order {
            let envelope = subject.envelope(b"overlapped");
            assert!(!end(&*subject.a, &key, intent, leaving(&envelope)).await.is_held);
            assert_eq!(get(&*subject.b, &key).await, None);
        }
    }
}

pub(super) async fn what_is_invalidated_during_a_write_is_not_left(subject: &Subject) {
    if !has_intents(subject) {
        return;
    }
    let (key, [intent]) = (subject.key("struck"), intents(subject, "struck"));
    begin(&*subject.a, &key, intent, LONG).await;
    strike(&*subject.b, &key, Invalidation::Drop).await;
    assert!(is_pending(subject, &key).await, "an invalidation ends no write");
    let envelope = subject.envelope(b"old");
    assert!(!end(&*subject.a, &key, intent, leaving(&envelope)).await.is_held);
    assert_eq!(get(&*subject.b, &key).await, None);
}

pub(super) async fn a_write_that_was_aborted_lets_others_in(subject: &Subject) {
    if !has_intents(subject) {
        return;
    }
    let (key, [intent]) = (subject.key("aborted"), intents(subject, "aborted"));
    begin(&*subject.a, &key, intent, LONG).await;
    assert!(!end(&*subject.a, &key, intent, Ended::Aborted).await.is_held);
    granted(&*subject.b, &key).await;
}

pub(super) async fn a_write_of_unknown_outcome_keeps_others_out_for_its_time(subject: &Subject) {
    if !has_intents(subject) {
        return;
    }
    let (key, [intent]) = (subject.key("unknown"), intents(subject, "unknown"));
    let time = subject.step();
    begin(&*subject.a, &key, intent, time).await;
    end(&*subject.a, &key, intent, Ended::Unknown).await;
    assert!(is_pending(subject, &key).await, "the commit may be on its way");
    subject.pass(time + subject.slack()).await;
    granted(&*subject.b, &key).await;
}

pub(super) async fn an_intent_ends_with_its_time(subject: &Subject) {
    if !has_intents(subject) {
        return;
    }
    let (key, [intent]) = (subject.key("ends"), intents(subject, "ends"));
    let time = subject.step();
    begin(&*subject.a, &key, intent, time).await;
    subject.pass(time + subject.slack()).await;
    granted(&*subject.b, &key).await;
    // Others may have filled since, so it leaves nothing.
    let envelope = subject.envelope(b"late");
    assert!(!end(&*subject.a, &key, intent, leaving(&envelope)).await.is_held);
    assert_eq!(get(&*subject.b, &key).await, None);
}

pub(super) async fn an_intent_that_is_announced_again_lasts_longer(subject: &Subject) {
    if !has_intents(subject) {
        return;
    }
    let (key, [intent]) = (subject.key("again"), intents(subject, "again"));
    let time = subject.step();
    begin(&*subject.a, &key, intent, time).await;
    begin(&*subject.a, &key, intent, LONG).await;
    subject.pass(time + subject.slack()).await;
    assert!(is_pending(subject, &key).await, "it was announced for longer");
    let envelope = subject.envelope(b"again");
    assert!(!end(&*subject.a, &key, intent, leaving(&envelope)).await.is_held);
    granted(&*subject.b, &key).await;
}

pub(super) async fn what_a_write_leaves_is_as_old_as_its_beginning(subject: &Subject) {
    if !has_intents(subject) {
        return;
    }
    let (key, [intent]) = (subject.key("age"), intents(subject, "age"));
    let step = subject.step();
    begin(&*subject.a, &key, intent, LONG).await;
    subject.pass(step).await;
    let envelope = subject.envelope(b"written");
    assert!(end(&*subject.a, &key, intent, leaving(&envelope)).await.is_held);
    let entry = get(&*subject.b, &key).await.expect("it was left");
    assert!(entry.remaining <= LONG - step + subject.slack(), "{:?} remain", entry.remaining);
}

pub(super) async fn the_end_of_one_write_leaves_the_others_intent_alone(subject: &Subject) {
    if !has_intents(subject) {
        return;
    }
    let (key, [a, b]) = (subject.key("two-writers"), intents(subject, "two-writers"));
    begin(&*subject.a, &key, a, LONG).await;
    begin(&*subject.b, &key, b, LONG).await;
    end(&*subject.b, &key, b, Ended::Committed(None)).await;
    assert!(is_pending(subject, &key).await, "the first writer has not ended");
    end(&*subject.a, &key, a, Ended::Committed(None)).await;
    granted(&*subject.b, &key).await;
}

pub(super) async fn an_intent_is_announced_in_the_same_step(subject: &Subject) {
    if !has_intents(subject) || !subject.a.abilities().announces || subject.buses().is_none() {
        return;
    }
    let (key, [intent]) = (subject.key("announced"), intents(subject, "announced"));
    let said = Bytes::from_static(b"about to");
    let begun = subject.a.begin_write(&key, intent, LONG, Some(said)).await;
    let begun = answered(begun).position.expect("it announces");
    let said = Bytes::from_static(b"done");
    let ended = subject.a.end_write(&key, intent, Ended::Committed(None), Some(said)).await;
    let ended = answered(ended).position.expect("it announces");
    assert_eq!((begun.run, begun.number + 1), (ended.run, ended.number));
}
