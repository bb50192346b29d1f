//! The bus, and what can happen to messages on their way.

use larder_core::bus::{Message, Position};

use super::*;

fn publish(client: &SimClient, text: &'static str) -> Position {
    done(client.publish(Bytes::from_static(text.as_bytes()), None)).unwrap()
}

fn subscribe(client: &SimClient) -> (Position, Subscription) {
    done(client.subscribe()).unwrap()
}

fn message(position: Position, text: &'static str) -> BusEvent {
    let announcement = Bytes::from_static(text.as_bytes());
    BusEvent::Message(Message { position, announcement, marks: None })
}

#[test]
fn everything_after_the_subscription_arrives_once_and_in_order() {
    let (server, a, _) = server();
    let b = server.client();
    let before = publish(&a, "before");
    let (end, mut reader) = subscribe(&b);
    assert_eq!(end, before);
    assert_eq!(arrived(&mut reader), []);
    let (x, y) = (publish(&a, "x"), publish(&b, "y"));
    assert!(end.is_followed_by(x) && x.is_followed_by(y));
    let (_, mut late) = subscribe(&a);
    assert_eq!(arrived(&mut reader), [message(x, "x"), message(y, "y")]);
    assert_eq!(arrived(&mut reader), []);
    assert_eq!(arrived(&mut late), []);
}

#[test]
fn what_a_step_announces_arrives_with_the_clock_of_its_marks() {
    let (_, a, _) = server();
    let (end, mut reader) = subscribe(&a);
    let announcement = Bytes::from_static(b"keys");
    let keys = done(a.invalidate(&[KEY], Invalidation::Drop, Some(announcement.clone()))).unwrap();
    let keys = keys.expect("the server announces");
    assert!(end.is_followed_by(keys));
    let marked =
        done(a.mark(&[Mark::All], Invalidation::Drop, Some(announcement.clone()))).unwrap();
    let position = marked.position.expect("the server announces");
    let marks = Some((marked.clock, marked.incarnation));
    let struck = BusEvent::Message(Message { position, announcement, marks });
    assert_eq!(arrived(&mut reader), [message(keys, "keys"), struck]);
}

#[test]
fn who_is_too_far_behind_is_told_of_a_gap_and_reads_on_behind_it() {
    let clock = Arc::new(ManualClock::new());
    let server = SimShared::new(clock).log_max(2);
    let a = server.client();
    let (_, mut reader) = subscribe(&a);
    let (one, two, three) = (publish(&a, "1"), publish(&a, "2"), publish(&a, "3"));
    assert_eq!(server.bus_len(), 2);
    let expected = [BusEvent::Gap(Some(one)), message(two, "2"), message(three, "3")];
    assert_eq!(arrived(&mut reader), expected);
}

#[test]
fn what_is_held_up_arrives_later_and_what_is_cut_off_is_a_gap() {
    let (server, a, _) = server();
    let b = server.client();
    let (_, mut held) = subscribe(&b);
    let (_, mut other) = subscribe(&a);
    b.hold_bus();
    let one = publish(&b, "1");
    assert_eq!(arrived(&mut held), []);
    assert_eq!(arrived(&mut other), [message(one, "1")]);
    b.release_bus();
    assert_eq!(arrived(&mut held), [message(one, "1")]);

    b.cut_bus();
    let two = publish(&b, "2");
    assert_eq!(arrived(&mut held), []);
    b.heal_bus();
    let three = publish(&a, "3");
    assert_eq!(arrived(&mut held), [BusEvent::Gap(Some(two)), message(three, "3")]);
    assert_eq!(arrived(&mut other), [message(two, "2"), message(three, "3")]);
    let (_, mut new) = subscribe(&b);
    b.heal_bus();
    assert_eq!(arrived(&mut new), []);
}

#[test]
fn a_message_comes_twice_when_told() {
    let (_, a, _) = server();
    let (_, mut reader) = subscribe(&a);
    a.repeat_next_messages(1);
    let (one, two) = (publish(&a, "1"), publish(&a, "2"));
    let once_more = [message(one, "1"), message(one, "1"), message(two, "2")];
    assert_eq!(arrived(&mut reader), once_more);
}

#[test]
fn a_restart_is_a_gap_for_every_subscriber() {
    let (server, a, _) = server();
    let b = server.client();
    publish(&a, "1");
    let snapshot = server.snapshot();
    publish(&a, "2");
    let (old, mut reader) = subscribe(&b);
    server.restart_with(&snapshot);
    let two = publish(&a, "another 2");
    assert_eq!((two.number, old.number), (2, 2));
    assert!(!two.reaches(old));
    let start = Position { number: 1, ..two };
    assert_eq!(arrived(&mut reader), [BusEvent::Gap(Some(start)), message(two, "another 2")]);
    server.restart_empty();
    let one = publish(&a, "another 1");
    let start = Position { number: 0, ..one };
    assert_eq!((one.number, one.run == two.run), (1, false));
    assert_eq!(arrived(&mut reader), [BusEvent::Gap(Some(start)), message(one, "another 1")]);
}

#[tokio::test]
async fn a_reader_that_waits_is_woken() {
    let (server, a, _) = server();
    let (_, mut reader) = subscribe(&a);
    let next = |mut reader: Subscription| async move {
        let event = std::future::poll_fn(|context| reader.as_mut().poll_next(context)).await;
        (event, reader)
    };
    assert_eq!(arrived(&mut reader), []);
    let waiting = tokio::spawn(next(reader));
    tokio::task::yield_now().await;
    let one = publish(&a, "1");
    let (event, reader) = waiting.await.unwrap();
    assert_eq!(event, Some(message(one, "1")));

    // Nothing new is published when what held the message up ends.
    server.pause();
    let waiting = tokio::spawn(next(reader));
    let publishing = tokio::spawn({
        let a = a.clone();
        async move { publish_later(&a).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished() && !publishing.is_finished());
    server.resume();
    let two = publishing.await.unwrap();
    assert_eq!(waiting.await.unwrap().0, Some(message(two, "2")));
}

async fn publish_later(client: &SimClient) -> Position {
    client.publish(Bytes::from_static(b"2"), None).await.unwrap()
}
