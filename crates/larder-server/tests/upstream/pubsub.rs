//! Subscriptions: a client is told what is published, while it is idle as well.

use larder_test::Reply;

use crate::support::{Bench, int, ok, pipeline, refusal, talk};

fn message(kind: &str, parts: &[&str]) -> Vec<Reply> {
    std::iter::once(kind).chain(parts.iter().copied()).map(Reply::bulk).collect()
}

fn confirmed(kind: &str, topic: &str, count: i64) -> Vec<Reply> {
    vec![Reply::bulk(kind), Reply::bulk(topic), int(count)]
}

#[test]
fn a_subscriber_in_resp2_is_told_messages_and_may_do_nothing_else() {
    let bench = Bench::new();
    let (mut subscriber, mut publisher) = (bench.client(), bench.client());
    subscriber.send(b"SUBSCRIBE news sport\r\n");
    assert_eq!(subscriber.receive(), Reply::Array(confirmed("subscribe", "news", 1)));
    assert_eq!(subscriber.receive(), Reply::Array(confirmed("subscribe", "sport", 2)));
    subscriber.send(b"PSUBSCRIBE n*\r\n");
    assert_eq!(subscriber.receive(), Reply::Array(confirmed("psubscribe", "n*", 3)));
    assert_eq!(talk(&mut publisher, "PUBLISH news hello"), int(2));
    assert_eq!(subscriber.receive(), Reply::Array(message("message", &["news", "hello"])));
    let matched = message("pmessage", &["n*", "news", "hello"]);
    assert_eq!(subscriber.receive(), Reply::Array(matched));
    for line in ["GET a", "GET user:1", "MULTI", "INFO", "HELLO 3"] {
        let reply = talk(&mut subscriber, line);
        assert!(refusal(&reply).starts_with("ERR Can't execute '"), "{line}: {reply:?}");
    }
    assert_eq!(talk(&mut subscriber, "PING"), Reply::Array(message("pong", &[""])));
    assert_eq!(talk(&mut subscriber, "PING x"), Reply::Array(message("pong", &["x"])));
    // Many, one after the other.
    for number in 0..1000 {
        assert_eq!(talk(&mut publisher, &format!("PUBLISH sport {number}")), int(1));
    }
    for number in 0..1000 {
        let expected = message("message", &["sport", &number.to_string()]);
        assert_eq!(subscriber.receive(), Reply::Array(expected));
    }
    subscriber.send(b"UNSUBSCRIBE\r\n");
    let mut ended = [subscriber.receive(), subscriber.receive()];
    ended.sort_by_key(|reply| format!("{reply:?}").contains(":2"));
    assert!(
        ended
            .iter()
            .all(|reply| matches!(reply, Reply::Array(parts) if parts[0].text() == "unsubscribe"))
    );
    let last = talk(&mut subscriber, "PUNSUBSCRIBE n*");
    assert_eq!(last, Reply::Array(confirmed("punsubscribe", "n*", 0)));
    // It is a client like any other again.
    let replies = pipeline(&mut subscriber, &["SET a 1", "GET user:1", "PING"]);
    assert_eq!(replies, [ok(), Reply::bulk("row of user:1"), Reply::Simple("PONG".into())]);
    bench.until_dedicated(0);
}

#[test]
fn a_subscriber_in_resp3_goes_on_with_everything() {
    let bench = Bench::new();
    let (mut subscriber, mut publisher) = (bench.client(), bench.client());
    talk(&mut subscriber, "HELLO 3");
    let confirmation = talk(&mut subscriber, "SUBSCRIBE news");
    assert_eq!(confirmation, Reply::Push(confirmed("subscribe", "news", 1)));
    let row = Reply::bulk("row of user:1");
    let replies = pipeline(&mut subscriber, &["SET a 1", "GET user:1", "GET a", "PING"]);
    assert_eq!(replies, [ok(), row, Reply::bulk("1"), Reply::Simple("PONG".into())]);
    assert_eq!(talk(&mut publisher, "PUBLISH news one"), int(1));
    assert_eq!(subscriber.receive(), Reply::Push(message("message", &["news", "one"])));
    // What it publishes itself comes before the reply, as from Redis.
    let replies = [talk(&mut subscriber, "PUBLISH news two"), subscriber.receive()];
    assert_eq!(replies, [Reply::Push(message("message", &["news", "two"])), int(1)]);
    let replies = pipeline(&mut subscriber, &["MULTI", "INCR a", "EXEC"]);
    assert_eq!(replies[2], Reply::Array(vec![int(2)]));
    assert!(refusal(&talk(&mut subscriber, "BLPOP l 0")).starts_with("REFUSED BLPOP"));
    talk(&mut subscriber, "SSUBSCRIBE shard");
    assert_eq!(talk(&mut publisher, "SPUBLISH shard x"), int(1));
    assert_eq!(subscriber.receive(), Reply::Push(message("smessage", &["shard", "x"])));
    talk(&mut subscriber, "SUNSUBSCRIBE");
    bench.until_dedicated(1);
    let ended = talk(&mut subscriber, "UNSUBSCRIBE");
    assert_eq!(ended, Reply::Push(confirmed("unsubscribe", "news", 0)));
    bench.until_dedicated(0);
    let none = talk(&mut subscriber, "UNSUBSCRIBE");
    assert_eq!(none, Reply::Push(vec![Reply::bulk("unsubscribe"), Reply::Null, int(0)]));
}

#[test]
fn what_larders_processes_tell_each_other_is_told_to_nobody() {
    let bench = Bench::new();
    let mut subscriber = bench.client();
    talk(&mut subscriber, "PSUBSCRIBE *");
    bench.redis.cli(&["PUBLISH", "larder:bus", "secret"]);
    bench.redis.cli(&["PUBLISH", "larder", "plain"]);
    let told = message("pmessage", &["*", "larder", "plain"]);
    assert_eq!(subscriber.receive(), Reply::Array(told));
    bench.redis.cli(&["PUBLISH", "larder.bus", "secret"]);
    assert_eq!(talk(&mut subscriber, "PING"), Reply::Array(message("pong", &[""])));
}

#[test]
fn channels_of_larder_are_not_listed() {
    let bench = Bench::new();
    let mut own = bench.straight();
    talk(&mut own, "SUBSCRIBE larder:bus");
    let (mut subscriber, mut client) = (bench.client(), bench.client());
    talk(&mut subscriber, "SUBSCRIBE user:42");
    let listed = talk(&mut client, "PUBSUB CHANNELS");
    assert_eq!(listed, Reply::Array(vec![Reply::bulk("user:42")]));
    assert_eq!(talk(&mut client, "PUBSUB NUMPAT"), int(0));
    assert_eq!(talk(&mut client, "PUBLISH user:42 hello"), int(1), "a channel is no key");
}

#[test]
fn a_message_of_sixteen_mebibytes_is_told() {
    let bench = Bench::new();
    let (mut subscriber, mut publisher) = (bench.client(), bench.client());
    talk(&mut subscriber, "SUBSCRIBE news");
    let text = vec![b'x'; 16 << 20];
    assert_eq!(publisher.command(&[&b"PUBLISH"[..], b"news", &text]), int(1));
    let told = vec![Reply::bulk("message"), Reply::bulk("news"), Reply::Bulk(text)];
    assert_eq!(subscriber.receive(), Reply::Array(told));
}
