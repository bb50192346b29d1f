//! A Redis that is down, dies, hangs and comes back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use larder_resp::codec::encode_request;
use larder_test::{Redis, Reply};

use crate::support::{Bench, int, ok, pipeline, refusal, talk, until};

/// Fast enough for somebody who waits.
const SOON: Duration = Duration::from_secs(3);

#[test]
fn without_redis_plain_keys_fail_fast_and_declared_keys_are_served() {
    let bench = Bench::new();
    let mut client = bench.client();
    talk(&mut client, "SET a 1");
    bench.redis.kill();
    for line in
        ["GET a", "SET a 2", "MGET a user:1", "DEL a user:1", "KEYS *", "BLPOP l 0", "SCAN 0"]
    {
        let begun = Instant::now();
        let reply = talk(&mut client, line);
        assert!(refusal(&reply).starts_with("SHAREDDOWN "), "{line}: {reply:?}");
        assert!(begun.elapsed() < SOON, "{line} took {:?}", begun.elapsed());
        assert_eq!(talk(&mut client, "GET user:1"), Reply::bulk("row of user:1"));
    }
    let replies = pipeline(&mut client, &["GET user:1", "GET a", "GET user:2", "SET a 1"]);
    assert_eq!(replies[0], Reply::bulk("row of user:1"));
    assert_eq!(replies[2], Reply::bulk("row of user:2"));
    assert!(refusal(&replies[1]).starts_with("SHAREDDOWN "));
    assert!(refusal(&replies[3]).starts_with("SHAREDDOWN "));
    bench.redis.restart();
    assert_eq!(talk(&mut client, "SET a 3"), ok());
    assert_eq!(talk(&mut client, "GET a"), Reply::bulk("3"));
}

#[test]
fn a_redis_that_dies_within_a_pipeline_loses_only_the_replies_that_had_not_come() {
    let bench = Bench::new();
    let mut client = bench.client();
    let mut bytes = Vec::new();
    // Not all of them go together, so that the replies to some come before the others go.
    (0..1024).for_each(|_| encode_request(&mut bytes, &["INCR", "a"]));
    encode_request(&mut bytes, &["EVAL", "redis.call('INCR', 'a') while true do end", "0"]);
    encode_request(&mut bytes, &["INCR", "a"]);
    encode_request(&mut bytes, &["GET", "user:1"]);
    client.send(&bytes);
    until("the script keeps Redis busy", || is_busy(&bench));
    bench.redis.kill();
    let replies: Vec<_> = (0..1026).map(|_| client.receive()).collect();
    let came = replies.iter().take_while(|reply| matches!(reply, Reply::Integer(_))).count();
    assert!((1..=1024).contains(&came), "{came} replies came");
    for (reply, number) in replies.iter().zip(1..).take(came) {
        assert_eq!(*reply, int(number));
    }
    for reply in &replies[came..] {
        let text = refusal(reply);
        assert!(text.starts_with("SHAREDDOWN ") && text.contains("isn't repeated"), "{text}");
    }
    assert_eq!(client.receive(), Reply::bulk("row of user:1"));
    bench.redis.restart();
    until("it is back", || talk(&mut client, "PFADD other") == int(1));
    assert_eq!(talk(&mut client, "GET a"), Reply::Null, "nothing was repeated");
}

/// Whether Redis leaves a question unanswered for a while.
fn is_busy(bench: &Bench) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", bench.redis.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    stream.read_exact(&mut [0; 7]).is_err()
}

#[test]
fn a_redis_that_hangs_is_given_up_and_found_again() {
    let bench = Bench::new();
    let mut client = bench.client();
    talk(&mut client, "SET a 1");
    bench.redis.pause();
    for line in ["GET a", "GET a", "WATCH a"] {
        let begun = Instant::now();
        let mut client = bench.client();
        let reply = talk(&mut client, line);
        assert!(refusal(&reply).starts_with("SHAREDDOWN "), "{line}: {reply:?}");
        assert!(begun.elapsed() < SOON, "{line} took {:?}", begun.elapsed());
        if line != "WATCH a" {
            assert_eq!(talk(&mut client, "GET user:1"), Reply::bulk("row of user:1"));
        }
    }
    bench.redis.resume();
    until("it answers again", || talk(&mut client, "GET a") == Reply::bulk("1"));
}

#[test]
fn a_client_whose_transaction_or_subscription_is_lost_is_disconnected() {
    let bench = Bench::new();
    let (mut watcher, mut subscriber) = (bench.client(), bench.client());
    let mut queuer = bench.client();
    talk(&mut watcher, "WATCH a");
    talk(&mut subscriber, "SUBSCRIBE news");
    pipeline(&mut queuer, &["MULTI", "SET a 1"]);
    bench.redis.kill();
    assert!(subscriber.is_closed(), "as Redis's own clients are");
    bench.redis.restart();
    // Half of a transaction is never executed.
    assert!(refusal(&talk(&mut queuer, "SET a 2")).starts_with("SHAREDDOWN "));
    assert!(queuer.is_closed());
    assert!(refusal(&talk(&mut watcher, "GET a")).starts_with("SHAREDDOWN "));
    assert!(watcher.is_closed());
    assert_eq!(talk(&mut bench.client(), "GET a"), Reply::Null);
    bench.until_dedicated(0);
}

#[test]
fn a_connection_that_died_idle_is_replaced_unseen() {
    let bench = Bench::new();
    let mut client = bench.client();
    pipeline(&mut client, &["SET a 1", "MULTI", "GET a", "EXEC"]);
    bench.redis.restart();
    // It has gone before anything is asked: nothing can have been executed.
    until("it is back", || talk(&mut client, "SET a 2") == ok());
    let replies = pipeline(&mut client, &["MULTI", "GET a", "EXEC"]);
    assert_eq!(replies[2], Reply::Array(vec![Reply::bulk("2")]));
}

#[test]
fn a_password_is_told_and_a_wrong_one_is_an_error_that_says_so() {
    let redis = || Redis::start_with(&["--requirepass", "open sesame"]);
    let with = |password: &'static str| {
        let redis = redis();
        let url = format!("redis://:{password}@127.0.0.1:{}/3", redis.port());
        Bench::with(redis, |behind| behind.redis.url = url)
    };
    let bench = with("open%20sesame");
    let mut client = bench.client();
    assert_eq!(talk(&mut client, "SET a 1"), ok());
    talk(&mut client, "HELLO 3");
    assert_eq!(talk(&mut client, "GET a"), Reply::bulk("1"));
    assert_eq!(
        pipeline(&mut client, &["MULTI", "GET a", "EXEC"])[2],
        Reply::Array(vec![Reply::bulk("1")])
    );
    let bench = with("open%20barley");
    let reply = talk(&mut bench.client(), "GET a");
    let text = refusal(&reply);
    assert!(text.starts_with("SHAREDDOWN the shared Redis refused AUTH: WRONGPASS"), "{text}");
    assert!(!text.contains("barley"));
}

#[test]
fn a_redis_behind_a_unix_socket_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis.sock");
    let redis = Redis::start_with(&["--unixsocket", path.to_str().unwrap()]);
    let url = format!("unix://{}", path.display());
    let bench = Bench::with(redis, |behind| behind.redis.url = url);
    let mut client = bench.client();
    assert_eq!(pipeline(&mut client, &["SET a 1", "MULTI", "INCR a", "EXEC"])[0], ok());
    assert_eq!(bench.redis.cli(&["GET", "a"]), "2");
    let info = bench.redis.cli(&["CLIENT", "LIST"]);
    assert!(info.lines().any(|line| line.contains("redis.sock")), "{info}");
}

#[test]
fn nobody_listening_is_an_error_at_once() {
    let bench = Bench::with(Redis::start(), |behind| {
        let unused = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = unused.local_addr().unwrap().port();
        behind.redis.url = format!("redis://127.0.0.1:{port}");
    });
    let mut client = bench.client();
    let reply = talk(&mut client, "GET a");
    assert!(refusal(&reply).starts_with("SHAREDDOWN the shared Redis can't be reached"));
    assert_eq!(talk(&mut client, "GET user:1"), Reply::bulk("row of user:1"));
}
