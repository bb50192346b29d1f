//! A real NATS that is killed, paused, emptied, rolled back and locked.
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::fs;
use std::future::poll_fn;
use std::path::Path;
use std::time::Duration;

use async_nats::jetstream::{Context, stream::Stream};
use bytes::Bytes;
use larder_core::bus::{Announcement, BusEvent, Message, Position, Subscription};
use larder_core::{Bus, ErrorKind};
use larder_nats::{NatsBus, NatsOptions};
use larder_test::{Nats, Proxy, Redis};
use tokio::time::timeout;

const STREAM: &str = "larder_bus";

fn bus(nats: &Nats) -> NatsBus {
    NatsBus::connect(NatsOptions::new(nats.url())).unwrap()
}

async fn admin(nats: &Nats) -> Context {
    async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap())
}

async fn stream(nats: &Nats) -> Stream {
    admin(nats).await.get_stream(STREAM).await.unwrap()
}

/// Publishes, again and again until it is acknowledged.
async fn publish(bus: &NatsBus, text: &str) -> Position {
    let publishing = async {
        loop {
            let published = bus.publish(Bytes::copy_from_slice(text.as_bytes()), None).await;
            match published {
                Ok(position) => break position,
                Err(error) => assert_eq!(error.kind(), ErrorKind::SharedDown, "{}", error.chain()),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), publishing).await.expect("published within half a minute")
}

async fn next(reader: &mut Subscription) -> BusEvent {
    let next = poll_fn(|context| reader.as_mut().poll_next(context));
    let event = timeout(Duration::from_secs(30), next).await;
    event.expect("an event within half a minute").expect("a subscription never ends")
}

async fn message(reader: &mut Subscription) -> Message {
    match next(reader).await {
        BusEvent::Message(message) => message,
        gap @ BusEvent::Gap(_) => panic!("{gap:?}"),
    }
}

async fn gap(reader: &mut Subscription) -> Position {
    match next(reader).await {
        BusEvent::Gap(position) => position.unwrap(),
        message @ BusEvent::Message(_) => panic!("{message:?}"),
    }
}

/// What is published now is read, right after `position`.
async fn goes_on(bus: &NatsBus, reader: &mut Subscription, position: Position) -> Position {
    let published = publish(bus, "goes on").await;
    assert!(position.is_followed_by(published), "{published} after {position}");
    assert_eq!(message(reader).await.position, published);
    published
}

/// Reads up to `published`, whatever comes in between; whether a gap did.
async fn read_up_to(reader: &mut Subscription, published: Position) -> bool {
    let mut has_gap = false;
    loop {
        let position = match next(reader).await {
            BusEvent::Message(message) => message.position,
            BusEvent::Gap(position) => {
                has_gap = true;
                position.unwrap()
            }
        };
        if position.reaches(published) {
            return has_gap;
        }
    }
}

#[tokio::test]
async fn a_server_that_starts_again_is_a_gap_and_the_reader_goes_on() {
    let nats = Nats::start();
    let (one, other) = (bus(&nats), bus(&nats));
    let (end, mut reader) = one.subscribe().await.unwrap();
    goes_on(&other, &mut reader, end).await;
    // Asked to stop it writes everything down, which nobody knows.
    nats.stop();
    nats.restart();
    let mut last = publish(&other, "after").await;
    assert!(read_up_to(&mut reader, last).await);
    for number in 0..100 {
        let published = publish(&other, &number.to_string()).await;
        let read = message(&mut reader).await;
        assert!(last.is_followed_by(read.position), "{} after {last}", read.position);
        assert_eq!((read.position, read.announcement), (published, number.to_string().into()));
        last = published;
    }
    nats.kill();
    let error = other.publish("x".into(), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SharedDown);
    assert!(error.retry_delay().is_some());
    nats.restart();
    let published = publish(&other, "after").await;
    assert!(read_up_to(&mut reader, published).await);
    goes_on(&one, &mut reader, published).await;
}

#[tokio::test]
async fn a_lost_connection_alone_is_no_gap() {
    let nats = Nats::start();
    let proxy = Proxy::to(("127.0.0.1", nats.port()));
    let reading = NatsBus::connect(NatsOptions::new(format!("nats://{}", proxy.address())));
    let (end, mut reader) = reading.unwrap().subscribe().await.unwrap();
    let last = goes_on(&bus(&nats), &mut reader, end).await;
    proxy.cut();
    proxy.heal();
    goes_on(&bus(&nats), &mut reader, last).await;
}

#[tokio::test]
async fn what_was_published_while_a_reader_was_cut_off_is_read() {
    let nats = Nats::start();
    let one = bus(&nats);
    let (mut last, mut reader) = one.subscribe().await.unwrap();
    last = goes_on(&one, &mut reader, last).await;
    // More than the reader is sent at once, while it doesn't read.
    let other = bus(&nats);
    for number in 0..1_000 {
        publish(&other, &number.to_string()).await;
    }
    for number in 0..1_000 {
        let read = message(&mut reader).await;
        assert!(last.is_followed_by(read.position));
        assert_eq!(read.announcement, number.to_string());
        last = read.position;
    }
}

#[tokio::test]
async fn a_stream_purged_past_the_reader_is_a_gap() {
    let nats = Nats::start();
    let (one, other) = (bus(&nats), bus(&nats));
    // It asks for nothing until it is polled.
    let (end, mut reader) = one.subscribe().await.unwrap();
    for text in ["one", "two", "three"] {
        publish(&other, text).await;
    }
    stream(&nats).await.purge().await.unwrap();
    let position = gap(&mut reader).await;
    assert_eq!(position, Position { number: end.number + 3, ..end });
    goes_on(&other, &mut reader, position).await;
}

#[tokio::test]
async fn announcements_that_were_deleted_before_they_were_read_are_a_gap() {
    let nats = Nats::start();
    let bus = bus(&nats);
    let (end, mut reader) = bus.subscribe().await.unwrap();
    let first = publish(&bus, "first").await;
    let deleted = publish(&bus, "deleted").await;
    let last = publish(&bus, "last").await;
    stream(&nats).await.delete_message(deleted.number).await.unwrap();
    assert!(end.is_followed_by(first));
    assert_eq!(message(&mut reader).await.position, first);
    assert_eq!(gap(&mut reader).await, deleted);
    assert_eq!(message(&mut reader).await.position, last);
    goes_on(&bus, &mut reader, last).await;
}

#[tokio::test]
async fn a_stream_that_is_deleted_is_a_gap_and_another_takes_its_place() {
    let nats = Nats::start();
    let (one, other) = (bus(&nats), bus(&nats));
    let (end, mut reader) = one.subscribe().await.unwrap();
    let last = goes_on(&other, &mut reader, end).await;
    admin(&nats).await.delete_stream(STREAM).await.unwrap();
    let published = publish(&other, "next").await;
    assert_ne!(published.run, last.run);
    assert!(read_up_to(&mut reader, published).await);
    goes_on(&one, &mut reader, published).await;
}

#[tokio::test]
async fn a_stream_made_again_by_hand_under_the_same_subject_is_a_gap() {
    let nats = Nats::start();
    let bus = bus(&nats);
    let (end, mut reader) = bus.subscribe().await.unwrap();
    goes_on(&bus, &mut reader, end).await;
    let config = stream(&nats).await.cached_info().config.clone();
    let admin = admin(&nats).await;
    admin.delete_stream(STREAM).await.unwrap();
    admin.create_stream(config).await.unwrap();
    // As many as were read, and one more, whose number follows.
    publish(&bus, "first").await;
    let second = publish(&bus, "second").await;
    assert!(read_up_to(&mut reader, second).await);
    goes_on(&bus, &mut reader, second).await;
}

#[tokio::test]
async fn a_server_that_comes_back_with_less_is_a_gap_even_if_the_numbers_fit() {
    let (streams, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let nats = Nats::start_with(&["--store_dir", streams.path().to_str().unwrap()]);
    let bus = bus(&nats);
    let (_, mut reader) = bus.subscribe().await.unwrap();
    publish(&bus, "kept").await;
    message(&mut reader).await;
    nats.stop();
    copy_folder(streams.path(), copy.path());
    nats.restart();
    let lost = publish(&bus, "lost").await;
    read_up_to(&mut reader, lost).await;
    nats.stop();
    fs::remove_dir_all(streams.path()).unwrap();
    copy_folder(copy.path(), streams.path());
    nats.restart();
    // The reader isn't asked, so it is not back before its own number was given out again.
    let again = publish(&bus, "another one").await;
    assert_eq!(again, lost);
    let after = publish(&bus, "after").await;
    assert!(read_up_to(&mut reader, after).await);
    goes_on(&bus, &mut reader, after).await;
}

#[tokio::test]
async fn what_a_server_lost_before_it_was_read_is_a_gap() {
    let (streams, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let nats = Nats::start_with(&["--store_dir", streams.path().to_str().unwrap()]);
    let bus = bus(&nats);
    let (end, mut reader) = bus.subscribe().await.unwrap();
    goes_on(&bus, &mut reader, end).await;
    nats.stop();
    copy_folder(streams.path(), copy.path());
    nats.restart();
    // Acknowledged, not read, and lost. Another one gets its number.
    let lost = publish(&bus, "lost").await;
    nats.stop();
    fs::remove_dir_all(streams.path()).unwrap();
    copy_folder(copy.path(), streams.path());
    nats.restart();
    assert_eq!(publish(&bus, "other").await, lost);
    assert!(read_up_to(&mut reader, lost).await);
    goes_on(&bus, &mut reader, lost).await;
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test]
async fn what_somebody_else_wrote_there_is_a_gap() {
    let nats = Nats::start();
    let bus = bus(&nats);
    let (end, mut reader) = bus.subscribe().await.unwrap();
    let subject = format!("{STREAM}.{:08x}", end.run);
    admin(&nats).await.publish(subject, "who knows".into()).await.unwrap().await.unwrap();
    let position = gap(&mut reader).await;
    assert!(end.is_followed_by(position));
    goes_on(&bus, &mut reader, position).await;
}

#[tokio::test]
async fn the_stream_has_its_bounds_and_a_stranger_of_its_name_is_refused() {
    let nats = Nats::start();
    drop(bus(&nats).subscribe().await.unwrap());
    let stream = stream(&nats).await;
    let config = &stream.cached_info().config;
    assert_eq!((config.max_messages, config.max_bytes), (100_000, 256 << 20));
    assert_eq!(config.max_age, Duration::from_secs(3_600));

    let context = admin(&nats).await;
    let name = "shop=2Ea_bus".to_owned();
    let strange = async_nats::jetstream::stream::Config { name, ..Default::default() };
    context.create_stream(strange).await.unwrap();
    let options = NatsOptions { namespace: "shop.a".to_owned(), ..NatsOptions::new(nats.url()) };
    let error = NatsBus::connect(options).unwrap().subscribe().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("another namespace"), "{error}");
}

#[tokio::test]
async fn an_announcement_that_is_too_long_is_refused() {
    let nats = Nats::start();
    let long = Bytes::from(vec![0; Announcement::BYTES_MAX + 1]);
    let error = bus(&nats).publish(long, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
}

#[tokio::test]
async fn the_password_of_the_url_is_used_and_never_shown() {
    let nats = Nats::start_with(&["--user", "ann", "--pass", "p@ss"]);
    let at = |login: &str| nats.url().replace("nats://", &format!("nats://{login}@"));
    let good = NatsBus::connect(NatsOptions::new(at("ann:p%40ss"))).unwrap();
    drop(good.subscribe().await.unwrap());
    assert!(!format!("{good:?} {}", good.name()).contains("p@ss"));
    for login in ["ann:s3cret", ":s3cret"] {
        let bus = NatsBus::connect(NatsOptions::new(at(login))).unwrap();
        let error = bus.publish("x".into(), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SharedDown);
        assert!(error.to_string().contains("user and password"), "{}", error.chain());
        assert!(!format!("{error:?} {}", error.chain()).contains("s3cret"));
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_says_so_and_is_used_when_it_is() {
    let nats = Nats::start();
    let bus = bus(&nats);
    nats.kill();
    let error = bus.subscribe().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::SharedDown);
    assert!(error.to_string().contains("can't be reached"), "{error}");
    nats.restart();
    drop(bus.subscribe().await.unwrap());

    // Spoken to over TLS it isn't either.
    let options = NatsOptions::new(nats.url().replace("nats://", "tls://"));
    let error = NatsBus::connect(options).unwrap().subscribe().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::SharedDown);
}

#[test]
fn a_connection_ends_with_its_runtime_and_the_next_one_opens_another() {
    let nats = Nats::start();
    let bus = bus(&nats);
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut last = None;
    for _ in 0..3 {
        let position = runtime().block_on(publish(&bus, "x"));
        assert!(last.is_none_or(|last: Position| last.is_followed_by(position)));
        last = Some(position);
    }
}

#[tokio::test]
async fn over_tls_a_server_is_spoken_to_if_its_certificate_is_trusted() {
    // Certificates for 127.0.0.1, as the kit makes them.
    let (made, stranger) = (Redis::start_tls(), Redis::start_tls());
    let beside = |name: &str| made.ca_file().with_file_name(name).to_str().unwrap().to_owned();
    let (certificate, key) = (beside("server.crt"), beside("server.key"));
    let nats = Nats::start_with(&["--tls", "--tlscert", &certificate, "--tlskey", &key]);
    let at = |scheme: &str, ca: Option<&Redis>| {
        let url = nats.url().replace("nats://", scheme);
        let certificates = ca.map(Redis::ca_file);
        NatsBus::connect(NatsOptions { certificates, ..NatsOptions::new(url) }).unwrap()
    };
    let bus = at("tls://", Some(&made));
    let (end, mut reader) = bus.subscribe().await.unwrap();
    goes_on(&bus, &mut reader, end).await;
    for untrusted in [at("tls://", Some(&stranger)), at("tls://", None)] {
        let error = untrusted.publish("x".into(), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SharedDown);
        assert!(error.chain().contains("ertificate"), "{}", error.chain());
    }
}
