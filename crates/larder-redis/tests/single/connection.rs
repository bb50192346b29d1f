//! Connections: lost, refused, silent, and found again.

use std::time::{Duration, Instant};

use larder_core::shared::{Invalidation, SharedFill, SharedRead};
use larder_core::{Bus, ErrorKind, SharedTier};
use larder_redis::{RedisOptions, RedisTier};
use larder_test::{Redis, RespClient};

use crate::support::{LEASE, ask, envelope, eventually, fill, get, lease, put, tier, told};

#[tokio::test]
async fn a_script_that_the_server_forgot_is_sent_again() {
    let redis = Redis::start();
    let tier = tier(&redis);
    let held = lease(&tier, "k").await;
    redis.cli(&["SCRIPT", "FLUSH"]);
    assert_eq!(fill(&tier, "k", &held, envelope(1, "a")).await, SharedFill::Stored);
    redis.cli(&["SCRIPT", "FLUSH"]);
    assert!(matches!(ask(&tier, "k", None).await, SharedRead::Hit(_)));
    redis.cli(&["SCRIPT", "FLUSH"]);
    let bus = tier.bus();
    assert_eq!(bus.publish("a".into(), None).await.unwrap().number, 1);
    let (position, _) = bus.subscribe().await.unwrap();
    redis.cli(&["SCRIPT", "FLUSH"]);
    assert_eq!(position.number, 1);
    assert!(tier.marks().await.unwrap().marks.is_empty());
}

#[tokio::test]
async fn a_redis_that_is_down_at_the_start_is_used_once_it_is_there() {
    let redis = Redis::start();
    redis.kill();
    let tier = tier(&redis);
    let error = tier.get_many(&[b"k"]).await.pop().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SharedDown);
    assert!(error.retry_delay().is_some());
    assert_eq!(tier.probe().await.unwrap_err().kind(), ErrorKind::SharedDown);
    redis.restart();
    eventually(async || tier.get_many(&[b"k"]).await.pop().unwrap().is_ok()).await;
    tier.probe().await.unwrap();
}

#[tokio::test]
async fn a_server_that_starts_again_is_another_run() {
    let redis = Redis::start_with(&["--dbfilename", "dump.rdb"]);
    let tier = tier(&redis);
    put(&tier, "k", 1, "a").await;
    let reader = lease(&tier, "other").await;
    let before = get(&tier, "k").await.unwrap().incarnation;
    redis.cli(&["SAVE"]);
    redis.kill();
    redis.restart();
    // The lease came back from disk with everything else, and is void all the same.
    assert_eq!(redis.cli(&["EXISTS", "larder.l:{other}:L"]), "1");
    eventually(async || tier.get_many(&[b"k"]).await.pop().unwrap().is_ok()).await;
    let after = get(&tier, "k").await.unwrap();
    assert_ne!(after.incarnation, before);
    assert_eq!(told(&after).1, "a");
    assert_eq!(fill(&tier, "other", &reader, envelope(2, "b")).await, SharedFill::Refused);
    assert_eq!(get(&tier, "other").await, None);
    // It stands in nobody's way.
    let next = lease(&tier, "other").await;
    assert!(!tier.extend(b"other", &reader, LEASE).await.unwrap());
    assert_eq!(fill(&tier, "other", &next, envelope(3, "c")).await, SharedFill::Stored);
}

#[tokio::test]
async fn a_server_that_starts_again_empty_knows_no_old_lease() {
    let redis = Redis::start();
    let tier = tier(&redis);
    let reader = lease(&tier, "k").await;
    redis.kill();
    redis.restart();
    eventually(async || tier.get_many(&[b"k"]).await.pop().unwrap().is_ok()).await;
    assert_eq!(fill(&tier, "k", &reader, envelope(1, "a")).await, SharedFill::Refused);
    assert_ne!(lease(&tier, "k").await.incarnation, reader.incarnation);
}

#[tokio::test]
async fn flushing_everything_voids_every_lease() {
    let redis = Redis::start();
    let tier = tier(&redis);
    let reader = lease(&tier, "k").await;
    redis.cli(&["FLUSHALL"]);
    assert_eq!(fill(&tier, "k", &reader, envelope(1, "a")).await, SharedFill::Refused);
}

#[tokio::test]
async fn a_server_that_is_silent_is_down_within_the_timeouts_and_then_back() {
    let redis = Redis::start();
    let options = RedisOptions {
        connect_timeout: Duration::from_millis(300),
        answer_timeout: Duration::from_millis(300),
        ..RedisOptions::new(redis.url())
    };
    let tier = RedisTier::connect(options).unwrap();
    put(&tier, "k", 1, "a").await;
    redis.pause();
    let begun = Instant::now();
    let error = tier.get_many(&[b"k"]).await.pop().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    // The next one asks on a new connection, on which nobody answers either.
    let error = tier.get_many(&[b"k"]).await.pop().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SharedDown);
    assert_eq!(tier.probe().await.unwrap_err().kind(), ErrorKind::SharedDown);
    assert!(begun.elapsed() < Duration::from_secs(10));
    redis.resume();
    eventually(async || tier.get_many(&[b"k"]).await.pop().unwrap().is_ok()).await;
    assert_eq!(told(&get(&tier, "k").await.unwrap()).1, "a");
}

#[tokio::test]
async fn a_silent_connection_is_replaced_even_if_nobody_waits_for_the_timeout() {
    let redis = Redis::start();
    let options = RedisOptions {
        answer_timeout: Duration::from_millis(300),
        ..RedisOptions::new(redis.url())
    };
    let tier = RedisTier::connect(options).unwrap();
    put(&tier, "k", 1, "a").await;
    redis.pause();
    // Callers that go away sooner than any timeout of ours.
    let mut errors = 0;
    let deadline = Instant::now() + Duration::from_secs(30);
    while errors == 0 {
        assert!(Instant::now() < deadline, "the connection was never given up");
        let keys: [&[u8]; 1] = [b"k"];
        let asked = tokio::time::timeout(Duration::from_millis(50), tier.get_many(&keys)).await;
        errors += usize::from(asked.is_ok_and(|mut got| got.pop().unwrap().is_err()));
    }
    redis.resume();
    eventually(async || tier.get_many(&[b"k"]).await.pop().unwrap().is_ok()).await;
}

#[tokio::test]
async fn a_connection_that_is_killed_is_replaced() {
    let redis = Redis::start();
    let tier = tier(&redis);
    put(&tier, "k", 1, "a").await;
    let incarnation = get(&tier, "k").await.unwrap().incarnation;
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    eventually(async || tier.get_many(&[b"k"]).await.pop().unwrap().is_ok()).await;
    assert_eq!(get(&tier, "k").await.unwrap().incarnation, incarnation);
    assert!(redis.cli(&["CLIENT", "LIST"]).contains("name=larder"));
}

#[tokio::test]
async fn a_replica_is_not_asked() {
    let (master, replica) = (Redis::start(), Redis::start());
    let tier = tier(&replica);
    put(&tier, "k", 1, "a").await;
    replica.cli(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    // What it reads from now on is another's, so it is no longer asked, not even for reads.
    eventually(async || tier.get_many(&[b"k"]).await.pop().unwrap().is_err()).await;
    let error = tier.invalidate(&[b"k"], Invalidation::Drop, None).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SharedDown);
    assert!(error.chain().contains("replica"), "{}", error.chain());
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    eventually(async || tier.get_many(&[b"k"]).await.pop().unwrap().is_ok()).await;
}

#[tokio::test]
async fn a_password_is_given_and_a_wrong_one_is_an_error_that_says_so() {
    let redis = Redis::start_with(&["--requirepass", "s3cret", "--databases", "4"]);
    let url = |login: &str| format!("redis://{login}127.0.0.1:{}/3", redis.port());
    let tier = RedisTier::connect(RedisOptions::new(url(":s3cret@"))).unwrap();
    put(&tier, "k", 1, "a").await;
    let mut client = RespClient::connect(("127.0.0.1", redis.port()));
    client.command(&["AUTH", "s3cret"]);
    client.command(&["SELECT", "3"]);
    assert_eq!(client.command(&["EXISTS", "larder:{k}"]), larder_test::Reply::Integer(1));
    for (login, words) in [
        ("", "write one into the url"),
        (":wr0ng@", "does not accept the user and password"),
        ("ann:wr0ng@", "does not accept the user and password"),
    ] {
        let tier = RedisTier::connect(RedisOptions::new(url(login))).unwrap();
        let error = tier.get_many(&[b"k"]).await.pop().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SharedDown);
        assert!(error.chain().contains(words), "{}", error.chain());
        let shown = format!("{tier:?} {error:?} {}", tier.name());
        assert!(!shown.contains("wr0ng") && !shown.contains("s3cret"), "{shown}");
    }
}

#[tokio::test]
async fn a_socket_file_leads_there_too() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("redis.sock");
    let _redis = Redis::start_with(&["--unixsocket", socket.to_str().unwrap()]);
    let url = format!("unix://{}?db=1", socket.display());
    let tier = RedisTier::connect(RedisOptions::new(url)).unwrap();
    put(&tier, "k", 1, "a").await;
    assert_eq!(told(&get(&tier, "k").await.unwrap()).1, "a");
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_the_tier_usable() {
    let redis = Redis::start();
    let tier = tier(&redis);
    put(&tier, "k", 1, "a").await;
    for _ in 0..100 {
        let keys: [&[u8]; 1] = [b"k"];
        let mut read = tier.get_many(&keys);
        // Polled once: sent, perhaps, and not answered.
        let once = std::future::poll_fn(|context| {
            let _ = read.as_mut().poll(context);
            std::task::Poll::Ready(())
        });
        once.await;
        drop(read);
        assert_eq!(told(&get(&tier, "k").await.unwrap()).1, "a");
    }
}

#[test]
fn a_tier_outlives_the_runtime_that_first_used_it() {
    let redis = Redis::start();
    let tier = tier(&redis);
    for stamp in 1..4 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            if stamp == 1 {
                put(&tier, "k", 1, "a").await;
            }
            eventually(async || tier.get_many(&[b"k"]).await.pop().unwrap().is_ok()).await;
            assert_eq!(told(&get(&tier, "k").await.unwrap()).1, "a");
        });
    }
}

#[test]
fn an_attempt_to_connect_that_ended_with_its_runtime_is_made_again() {
    let redis = Redis::start();
    let tier = tier(&redis);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    redis.pause();
    runtime().block_on(async {
        let keys: [&[u8]; 1] = [b"k"];
        let asked = tokio::time::timeout(Duration::from_millis(50), tier.get_many(&keys)).await;
        assert!(asked.is_err(), "the attempt must last until its runtime ends");
    });
    redis.resume();
    runtime().block_on(async {
        eventually(async || tier.get_many(&[b"k"]).await.pop().unwrap().is_ok()).await;
    });
}

/// Makes a server the replica of another one, and waits until it has what that one has.
async fn replicate(replica: &Redis, master: &Redis) {
    replica.cli(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    let has_all = || replica.cli(&["INFO", "replication"]).contains("master_link_status:up");
    eventually(async || has_all()).await;
    master.cli(&["SET", "x", "y"]);
    assert_eq!(master.cli(&["WAIT", "1", "30000"]), "1");
}

#[tokio::test]
async fn a_master_that_was_a_replica_in_between_is_another_run() {
    let (redis, other) = (Redis::start(), Redis::start());
    replicate(&other, &redis).await;
    let one = tier(&redis);
    put(&one, "k", 1, "old").await;
    let run = get(&one, "k").await.unwrap().incarnation;
    assert_eq!(redis.cli(&["WAIT", "1", "30000"]), "1");
    let reader = lease(&one, "other").await;
    // The replica takes over, and doesn't hear what its master is told last.
    other.cli(&["REPLICAOF", "NO", "ONE"]);
    one.invalidate(&[b"k"], Invalidation::Drop, None).await.unwrap();
    assert_eq!(get(&one, "k").await, None);
    // What was dropped comes back, in the same process.
    replicate(&redis, &other).await;
    redis.cli(&["REPLICAOF", "NO", "ONE"]);
    let entry = get(&tier(&redis), "k").await.unwrap();
    assert_eq!(told(&entry).1, "old");
    assert_ne!(entry.incarnation, run);
    // Who was connected all the while sees it within a second.
    eventually(async || {
        let held = one.get_many(&[b"k"]).await.pop().unwrap();
        held.is_ok_and(|entry| entry.unwrap().incarnation != run)
    })
    .await;
    assert_eq!(fill(&one, "other", &reader, envelope(2, "b")).await, SharedFill::Refused);
}
