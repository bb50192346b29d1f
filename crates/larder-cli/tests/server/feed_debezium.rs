//! Debezium as a feed: over HTTP, a stream of a Redis, and NATS.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use larder_test::{Nats, Postgres, Redis, RespClient};

use crate::feed::{config, postgres, sees};
use crate::page::Page;
use crate::support::{connect, get, http_post, serve, until};

/// What Debezium tells of an update, as it writes it without schemas.
fn told_by_debezium(id: u32, name: &str) -> String {
    format!(
        r#"{{"before":null,"after":{{"id":{id},"name":"{name}"}},"source":{{"version":"2.7.0.Final",
        "connector":"postgresql","name":"shop","ts_ms":1,"snapshot":"false","db":"postgres",
        "schema":"public","table":"users","txId":1,"lsn":1}},"op":"u","ts_ms":1}}"#
    )
}

/// A source over Debezium, without a heartbeat.
pub(crate) fn over_debezium(postgres: &Postgres, from: &str) -> String {
    config(postgres, "").replace("feed = \"logical\"", "feed = \"debezium\"")
        + &format!("[source.shop.debezium]\n{from}\nheartbeat = \"none\"\n")
}

#[test]
fn what_debezium_posts_is_applied_when_it_is_answered() {
    let postgres = postgres();
    let config = over_debezium(&postgres, "from = \"http\"");
    let larder = serve(&config);
    let mut client = connect(&larder);
    until("somebody follows", || {
        Page::of(&larder).sum("larder_feed_follows", &[("source", "shop")]) == 1
    });
    for id in 1..=2 {
        assert!(get(&mut client, &format!("user:{id}")).text().contains("old"));
    }
    postgres.psql("UPDATE users SET name = 'new'");
    let post = |path: &str, body: &str| http_post(&larder.admin_url(), path, body);
    let applied = post("/feed/shop", &told_by_debezium(1, "new"));
    assert_eq!(applied, (200, "applied\n".to_owned()));
    // By then, and nothing else.
    assert!(get(&mut client, "user:1").text().contains("new"));
    assert!(get(&mut client, "user:2").text().contains("old"));
    assert_eq!(post("/feed/other", "{}").0, 404);
    assert_eq!(post("/feed/shop", "nonsense").0, 400);
}

#[test]
fn what_debezium_writes_into_a_stream_of_a_redis_is_applied() {
    let postgres = postgres();
    let redis = Redis::start();
    let from =
        format!("from = \"redis://127.0.0.1:{}\"\ntopics = [\"shop.public.users\"]", redis.port());
    let larder = serve(&over_debezium(&postgres, &from));
    let mut client = connect(&larder);
    until("somebody follows", || {
        Page::of(&larder).sum("larder_feed_follows", &[("source", "shop")]) == 1
    });
    assert!(get(&mut client, "user:1").text().contains("old"));
    postgres.psql("UPDATE users SET name = 'new'");
    let value = told_by_debezium(1, "new");
    let mut direct = RespClient::connect(("127.0.0.1", redis.port()));
    direct.command(&["XADD", "shop.public.users", "*", "{\"id\":1}", &value]);
    sees(&mut client, "user:1", "new");
}

/// Publishes these to a NATS, by its protocol, and returns when it has taken them.
fn nats_publishes(nats: &Nats, messages: &[(&str, &str)]) {
    let mut socket = TcpStream::connect(("127.0.0.1", nats.port())).unwrap();
    let mut said = "CONNECT {\"verbose\":false}\r\n".to_owned();
    for (subject, text) in messages {
        said += &format!("PUB {subject} {}\r\n{text}\r\n", text.len());
    }
    socket.write_all((said + "PING\r\n").as_bytes()).unwrap();
    let (mut answered, mut some) = (String::new(), [0; 4_096]);
    while !answered.contains("PONG\r\n") {
        let count = socket.read(&mut some).unwrap();
        assert!(count > 0, "{answered}");
        answered += str::from_utf8(&some[..count]).unwrap();
    }
    assert!(!answered.contains("-ERR"), "{answered}");
}

#[test]
fn what_debezium_publishes_to_a_nats_is_applied() {
    let (postgres, nats) = (postgres(), Nats::start());
    let stream = r#"{"name":"DebeziumStream","subjects":["shop.>"]}"#;
    nats_publishes(&nats, &[("$JS.API.STREAM.CREATE.DebeziumStream", stream)]);
    let from = format!("from = \"{}\"\ntopics = [\"shop.public.users\"]", nats.url());
    let larder = serve(&over_debezium(&postgres, &from));
    let mut client = connect(&larder);
    until("somebody follows", || {
        Page::of(&larder).sum("larder_feed_follows", &[("source", "shop")]) == 1
    });
    assert!(get(&mut client, "user:1").text().contains("old"));
    postgres.psql("UPDATE users SET name = 'new'");
    nats_publishes(&nats, &[("shop.public.users", &told_by_debezium(1, "new"))]);
    sees(&mut client, "user:1", "new");
}
