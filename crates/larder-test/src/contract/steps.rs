//! What a tier announces in the same step in which it invalidates.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use larder_core::shared::{Invalidation, Mark};

use super::buses::{message, plain, published};
use super::subject::{Subject, answered, get, strikes};

pub(super) async fn it_answers_a_probe(subject: &Subject) {
    answered(subject.a.probe().await);
    answered(subject.b.probe().await);
}

pub(super) async fn an_announcement_in_the_same_step_has_a_position_that_follows(
    subject: &Subject,
) {
    let announces = subject.a.abilities().announces;
    let key = subject.key("announced");
    for &how in strikes(&*subject.a) {
        let announcement = Bytes::from_static(b"announced");
        let keys = [&key[..]];
        let invalidation = subject.a.invalidate(&keys, how, Some(announcement));
        let Some([bus, other]) = subject.buses() else {
            assert_eq!(answered(invalidation.await).is_some(), announces);
            continue;
        };
        let (end, mut reader) = answered(other.subscribe().await);
        let position = answered(invalidation.await);
        assert_eq!(position.is_some(), announces);
        if let Some(position) = position {
            assert!(end.is_followed_by(position), "{position} after {end}");
            assert_eq!(message(&mut reader).await, plain(position, "announced"));
        }
        // What isn't announced in the step isn't announced at all.
        assert_eq!(answered(subject.a.invalidate(&[&key], how, None).await), None);
        let next = published(&**bus, "next").await;
        assert!(position.unwrap_or(end).is_followed_by(next), "{next} after {position:?}");
        assert_eq!(message(&mut reader).await, plain(next, "next"));
    }
}

pub(super) async fn an_announcement_of_marks_carries_their_moment(subject: &Subject) {
    let abilities = subject.a.abilities();
    let Some([bus, other]) = subject.buses().filter(|_| abilities.marks) else { return };
    let (end, mut reader) = answered(other.subscribe().await);
    let mark = [Mark::Cache(subject.name("announced")), Mark::Tag(1)];
    let announcement = Bytes::from_static(b"marks");
    let marked =
        answered(subject.a.mark(&mark, Invalidation::Drop, Some(announcement.clone())).await);
    assert_eq!(marked.position.is_some(), abilities.announces);
    if let Some(position) = marked.position {
        assert!(end.is_followed_by(position), "{position} after {end}");
        let read = message(&mut reader).await;
        let moment = Some((marked.clock, marked.incarnation));
        assert_eq!((read.position, read.marks), (position, moment));
        assert_eq!(read.announcement, announcement);
    }
    let next = published(&**bus, "next").await;
    assert!(marked.position.unwrap_or(end).is_followed_by(next));
    assert_eq!(message(&mut reader).await, plain(next, "next"));
}

pub(super) async fn what_is_announced_has_been_done(subject: &Subject) {
    let Some([_, other]) = subject.buses().filter(|_| subject.a.abilities().announces) else {
        return;
    };
    let key = subject.key("done");
    subject.hold(&key).await;
    let (_, mut reader) = answered(other.subscribe().await);
    let announcement = Bytes::from_static(b"done");
    let keys = [&key[..]];
    let mut invalidation = subject.a.invalidate(&keys, Invalidation::Drop, Some(announcement));
    // The reader may be told before the writer is.
    let mut position = None;
    let read = {
        let mut next = pin!(message(&mut reader));
        poll_fn(|context| {
            if position.is_none()
                && let Poll::Ready(done) = invalidation.as_mut().poll(context)
            {
                position = Some(done);
            }
            next.as_mut().poll(context)
        })
        .await
    };
    assert_eq!(get(&*subject.b, &key).await, None, "it was announced");
    let position = match position {
        Some(done) => answered(done),
        None => answered(invalidation.await),
    };
    assert_eq!(position, Some(read.position));
}
