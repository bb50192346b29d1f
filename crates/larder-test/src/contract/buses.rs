//! The bus by itself: everything, in order, from where one began.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::Bus;
use larder_core::bus::{Announcement, BusEvent, Message, Position, Subscription};
use larder_core::shared::MarkClock;

use super::subject::answered;

type Buses = [Arc<dyn Bus>; 2];

pub(super) async fn positions_are_consecutive([a, b]: &Buses) {
    let mut last = published(&**a, "first").await;
    for bus in [a, b, b, a] {
        let next = published(&**bus, "next").await;
        assert!(last.is_followed_by(next), "{next} after {last}");
        last = next;
    }
}

pub(super) async fn subscribe_starts_at_the_end([a, b]: &Buses) {
    let before = published(&**a, "before").await;
    let (end, mut reader) = answered(b.subscribe().await);
    assert_eq!(end, before);
    let after = published(&**a, "after").await;
    assert_eq!(message(&mut reader).await, plain(after, "after"));
}

pub(super) async fn a_bus_is_in_order_and_complete([a, b]: &Buses) {
    let (mut last, mut reader) = answered(b.subscribe().await);
    let texts: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    // Half of them before anything is read.
    let (early, late) = texts.split_at(50);
    let mut expected = Vec::new();
    for (at, text) in early.iter().enumerate() {
        let bus = [a, b][at % 2];
        expected.push(plain(published(&**bus, text).await, text));
    }
    for message_expected in expected {
        let read = message(&mut reader).await;
        assert_eq!(read, message_expected);
        assert!(last.is_followed_by(read.position), "{} after {last}", read.position);
        last = read.position;
    }
    for (at, text) in late.iter().enumerate() {
        let bus = [a, b][at % 2];
        let position = published(&**bus, text).await;
        assert_eq!(message(&mut reader).await, plain(position, text));
    }
}

pub(super) async fn every_subscriber_reads_everything([a, b]: &Buses) {
    let mut readers = Vec::new();
    for bus in [a, b, b] {
        readers.push(answered(bus.subscribe().await).1);
    }
    let (one, two) = (published(&**a, "one").await, published(&**b, "two").await);
    for reader in &mut readers {
        assert_eq!(message(reader).await, plain(one, "one"));
        assert_eq!(message(reader).await, plain(two, "two"));
    }
    // A reader that leaves takes nothing from the others.
    drop(readers.remove(1));
    let three = published(&**a, "three").await;
    for reader in &mut readers {
        assert_eq!(message(reader).await, plain(three, "three"));
    }
}

pub(super) async fn announcements_come_back_as_they_were([a, b]: &Buses) {
    let (_, mut reader) = answered(b.subscribe().await);
    let all: Vec<u8> = (0..=255).collect();
    let announcements = [
        Bytes::from_static(b"\r\n"),
        all.into(),
        Bytes::from(vec![0; Announcement::BYTES_MAX]),
        Bytes::from_static(b"x"),
    ];
    let marks = [Some((MarkClock(u64::MAX), u32::MAX)), None, Some((MarkClock(1), 7)), None];
    for (announcement, marks) in announcements.into_iter().zip(marks) {
        let position = answered(a.publish(announcement.clone(), marks).await);
        let read = message(&mut reader).await;
        assert_eq!((read.position, read.marks), (position, marks));
        assert!(read.announcement == announcement, "{} bytes", read.announcement.len());
    }
}

pub(super) async fn published(bus: &dyn Bus, text: &str) -> Position {
    answered(bus.publish(Bytes::copy_from_slice(text.as_bytes()), None).await)
}

/// The next that is published.
pub(super) async fn message(reader: &mut Subscription) -> Message {
    match poll_fn(|context| reader.as_mut().poll_next(context)).await {
        Some(BusEvent::Message(message)) => message,
        Some(BusEvent::Gap(_)) => panic!("a gap where nothing went wrong"),
        None => panic!("a subscription never ends"),
    }
}

pub(super) fn plain(position: Position, text: &str) -> Message {
    let announcement = Bytes::copy_from_slice(text.as_bytes());
    Message { position, announcement, marks: None }
}
