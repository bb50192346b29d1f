//! The bus: everything in order, or a gap.

use std::time::Duration;

use bytes::Bytes;
use larder_core::bus::{BusEvent, Message, Position, Subscription};
use larder_core::shared::{Invalidation, Mark, MarkClock};
use larder_core::{Bus, ErrorKind, SharedTier};
use larder_redis::RedisBus;
use larder_test::Redis;

use crate::support::{gap, message, next, put, tier};

const HEAD: &str = "larder.b:{bus}:head";
const STREAM: &str = "larder.b:{bus}:stream";

async fn publish(bus: &RedisBus, text: &str) -> Position {
    bus.publish(Bytes::copy_from_slice(text.as_bytes()), None).await.unwrap()
}

/// What is published now is read, right after `position`.
async fn goes_on(bus: &RedisBus, subscription: &mut Subscription, position: Position) {
    let published = publish(bus, "goes on").await;
    assert!(position.is_followed_by(published), "{position} {published}");
    assert_eq!(message(subscription).await.position, published);
}

#[tokio::test]
async fn everything_published_after_the_subscription_is_read_in_order() {
    let redis = Redis::start();
    let (one, other) = (tier(&redis).bus(), tier(&redis).bus());
    publish(&one, "before").await;
    let (end, mut subscription) = other.subscribe().await.unwrap();
    assert_eq!(end.number, 1);
    let marks = Some((MarkClock(u64::MAX >> 12), 0xffff_fffe));
    let first = one.publish(Bytes::from_static(b"\0\xff\r\n"), marks).await.unwrap();
    let second = publish(&other, "").await;
    assert!(end.is_followed_by(first) && first.is_followed_by(second));
    let expected = Message { position: first, announcement: b"\0\xff\r\n"[..].into(), marks };
    assert_eq!(message(&mut subscription).await, expected);
    let expected = Message { position: second, announcement: Bytes::new(), marks: None };
    assert_eq!(message(&mut subscription).await, expected);
}

#[tokio::test]
async fn what_is_invalidated_or_marked_is_announced_in_the_same_step() {
    let redis = Redis::start();
    let tier = tier(&redis);
    put(&tier, "k", 1, "a").await;
    let (_, mut subscription) = tier.bus().subscribe().await.unwrap();
    let position = tier.invalidate(&[b"k"], Invalidation::Drop, Some("key".into())).await.unwrap();
    let read = message(&mut subscription).await;
    assert_eq!((Some(read.position), &read.announcement[..]), (position, &b"key"[..]));
    let marked = tier.mark(&[Mark::Tag(3)], Invalidation::Drop, Some("tag".into())).await.unwrap();
    let read = message(&mut subscription).await;
    assert_eq!((Some(read.position), &read.announcement[..]), (marked.position, &b"tag"[..]));
    assert_eq!(read.marks, Some((marked.clock, marked.incarnation)));
    // Nothing to invalidate, and yet something to say.
    let position = tier.invalidate(&[], Invalidation::Drop, Some("none".into())).await.unwrap();
    assert_eq!(Some(message(&mut subscription).await.position), position);
    let long = Bytes::from(vec![0; (1 << 20) + 1]);
    let error = tier.bus().publish(long, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
}

#[tokio::test]
async fn ten_thousand_announcements_of_two_processes_arrive_in_order_without_a_gap() {
    let redis = Redis::start();
    let (one, other) = (tier(&redis).bus(), tier(&redis).bus());
    let (end, mut subscription) = one.subscribe().await.unwrap();
    let announce = |bus: RedisBus, name: u8| {
        tokio::spawn(async move {
            for number in 0..5_000_u32 {
                let mut text = vec![name];
                text.extend(number.to_be_bytes());
                bus.publish(text.into(), None).await.unwrap();
            }
        })
    };
    let announcing = [announce(one.clone(), 0), announce(other, 1)];
    let (mut last, mut expected) = (end, [0_u32; 2]);
    for _ in 0..10_000 {
        let read = message(&mut subscription).await;
        assert!(last.is_followed_by(read.position));
        last = read.position;
        let (name, number) = read.announcement.split_first().unwrap();
        let number = u32::from_be_bytes(number.try_into().unwrap());
        assert_eq!(number, expected[usize::from(*name)]);
        expected[usize::from(*name)] += 1;
    }
    for announcing in announcing {
        announcing.await.unwrap();
    }
    goes_on(&one, &mut subscription, last).await;
}

#[tokio::test]
async fn a_lost_connection_alone_is_no_gap() {
    let redis = Redis::start();
    let bus = tier(&redis).bus();
    let (end, mut subscription) = bus.subscribe().await.unwrap();
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    let mut published = bus.publish("x".into(), None).await;
    while published.is_err() {
        published = bus.publish("x".into(), None).await;
    }
    assert_eq!(message(&mut subscription).await.position, published.clone().unwrap());
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    goes_on(&tier(&redis).bus(), &mut subscription, published.unwrap()).await;
    assert_eq!(end.number, 0);
}

#[tokio::test]
async fn a_server_that_starts_again_is_a_gap_whatever_it_has_lost() {
    let redis = Redis::start_with(&["--dbfilename", "dump.rdb"]);
    let bus = tier(&redis).bus();
    let (_, mut subscription) = bus.subscribe().await.unwrap();
    publish(&bus, "one").await;
    let read = message(&mut subscription).await.position;
    redis.cli(&["SAVE"]);
    // Acknowledged, not read, and lost. Another one gets its number.
    let lost = publish(&bus, "lost").await;
    redis.kill();
    redis.restart();
    let other = tier(&redis).bus();
    assert_eq!(publish(&other, "other").await, lost);
    let position = gap(&mut subscription).await;
    assert_eq!(position, lost);
    goes_on(&other, &mut subscription, position).await;
    // What was read is rolled back.
    redis.kill();
    redis.restart();
    let position = gap(&mut subscription).await;
    assert_eq!(position, read);
    goes_on(&tier(&redis).bus(), &mut subscription, position).await;
    // Nothing is lost, which nobody knows.
    redis.cli(&["SAVE"]);
    redis.kill();
    redis.restart();
    let position = gap(&mut subscription).await;
    assert!(read.is_followed_by(position));
    goes_on(&tier(&redis).bus(), &mut subscription, position).await;
}

#[tokio::test]
async fn a_bus_that_was_rolled_back_and_went_on_is_a_gap_even_if_the_numbers_fit() {
    let redis = Redis::start_with(&["--dbfilename", "dump.rdb"]);
    let bus = tier(&redis).bus();
    let (_, mut subscription) = bus.subscribe().await.unwrap();
    publish(&bus, "one").await;
    message(&mut subscription).await;
    redis.cli(&["SAVE"]);
    publish(&bus, "two").await;
    let read = message(&mut subscription).await.position;
    redis.kill();
    redis.restart();
    // Before the reader is back: another second one, by a clock that is behind, and a third, whose
    // number follows what was read.
    redis.cli(&[
        "EVAL",
        "redis.call('HSET', KEYS[1], 'n', 3) \
         local id = redis.call('XREVRANGE', KEYS[2], '+', '-')[1][1] \
         redis.call('XADD', KEYS[2], string.gsub(id, '-0', '-7'), 'a', 'x', 'n', 2, 'r', ARGV[1]) \
         return redis.call('XADD', KEYS[2], '*', 'a', 'x', 'n', 3, 'r', ARGV[1])",
        "2",
        HEAD,
        STREAM,
        &format!("{:08x}", read.run),
    ]);
    let position = gap(&mut subscription).await;
    assert_eq!(position, Position { number: 3, ..read });
    goes_on(&tier(&redis).bus(), &mut subscription, position).await;
}

#[tokio::test]
async fn whatever_is_lost_of_the_bus_is_a_gap() {
    let redis = Redis::start();
    let bus = tier(&redis).bus();
    let (end, mut subscription) = bus.subscribe().await.unwrap();
    goes_on(&bus, &mut subscription, end).await;
    let announced_and_lost = "redis.call('HINCRBY', KEYS[1], 'n', 1) \
         return redis.call('DEL', KEYS[2])";
    let lost: [&[&str]; 5] = [
        &["FLUSHALL"],
        &["DEL", HEAD],
        &["HINCRBY", HEAD, "n", "-1"],
        &["EVAL", announced_and_lost, "2", HEAD, STREAM],
        // Somebody else writes there.
        &["XADD", STREAM, "*", "a", "who knows"],
    ];
    for command in lost {
        redis.cli(command);
        // Within a second without any announcement, or with the next one.
        let position = gap(&mut subscription).await;
        goes_on(&bus, &mut subscription, position).await;
        redis.cli(command);
        let published = publish(&bus, "next").await;
        let mut position = gap(&mut subscription).await;
        while !position.reaches(published) {
            match next(&mut subscription).await {
                BusEvent::Message(message) => position = message.position,
                BusEvent::Gap(at) => position = at.unwrap(),
            }
        }
        goes_on(&bus, &mut subscription, position).await;
    }
    // Nothing that was announced is lost with what was read.
    redis.cli(&["DEL", STREAM]);
    let published = publish(&bus, "next").await;
    loop {
        match next(&mut subscription).await {
            BusEvent::Message(message) => break assert_eq!(message.position, published),
            BusEvent::Gap(_) => {}
        }
    }
}

#[tokio::test]
async fn a_stream_that_was_trimmed_past_the_reader_is_a_gap() {
    let redis = Redis::start();
    let bus = tier(&redis).bus();
    let (end, mut subscription) = bus.subscribe().await.unwrap();
    goes_on(&bus, &mut subscription, end).await;
    redis.cli(&[
        "EVAL",
        "for i = 1, 3 do redis.call('HINCRBY', KEYS[1], 'n', 1) end \
         redis.call('XADD', KEYS[2], '*', 'a', 'x', 'n', redis.call('HGET', KEYS[1], 'n'), \
           'r', redis.call('HGET', KEYS[1], 'run')) \
         return redis.call('XTRIM', KEYS[2], 'MAXLEN', 1)",
        "2",
        HEAD,
        STREAM,
    ]);
    let before = gap(&mut subscription).await;
    assert_eq!(before, Position { number: end.number + 3, ..end });
    let read = message(&mut subscription).await.position;
    assert!(before.is_followed_by(read));
    goes_on(&bus, &mut subscription, read).await;
}

#[tokio::test]
async fn the_stream_has_a_bound() {
    let redis = Redis::start();
    let bus = tier(&redis).bus();
    let first = publish(&bus, "x").await;
    // A hundred thousand at once, as this driver writes them.
    let run = format!("{:08x}", first.run);
    let add = "for i = 1, 110000 do redis.call('XADD', KEYS[1], '*', 'a', 'x', 'n', i, 'r', \
               ARGV[1]) end";
    redis.cli(&["EVAL", add, "1", STREAM, &run]);
    publish(&bus, "x").await;
    let length: u64 = redis.cli(&["XLEN", STREAM]).parse().unwrap();
    assert!((100_000..100_200).contains(&length), "{length}");
}

#[tokio::test]
async fn a_reader_waits_while_the_server_is_away_and_reads_on_when_it_is_back() {
    let redis = Redis::start();
    let bus = tier(&redis).bus();
    let (end, mut subscription) = bus.subscribe().await.unwrap();
    goes_on(&bus, &mut subscription, end).await;
    redis.pause();
    let waiting = tokio::time::timeout(Duration::from_secs(5), next(&mut subscription)).await;
    assert!(waiting.is_err(), "{waiting:?}");
    redis.resume();
    let published = publish(&tier(&redis).bus(), "back").await;
    assert_eq!(message(&mut subscription).await.position, published);
}
