//! Redis in its other forms: on a disk, with little memory, behind TLS, as a cluster, and under
//! sentinels.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::time::{Duration, Instant};

use larder_test::{Redis, RedisCluster, RedisSentinel, Reply, RespClient};

fn client(redis: &Redis) -> RespClient {
    RespClient::connect(("127.0.0.1", redis.port()))
}

#[test]
fn what_was_saved_survives_a_kill_and_the_rest_does_not() {
    let redis = Redis::start_saving();
    redis.cli(&["SET", "a", "saved"]);
    redis.save();
    redis.cli(&["SET", "b", "not saved"]);
    redis.kill();
    redis.restart();
    assert_eq!(redis.cli(&["GET", "a"]), "saved");
    assert_eq!(redis.cli(&["GET", "b"]), "");
    redis.flushall();
    assert_eq!(redis.cli(&["DBSIZE"]), "0");
}

#[test]
fn a_limited_one_evicts_or_refuses() {
    let value = "x".repeat(1 << 20);
    let fill = |redis: &Redis| {
        let set = |at: u32| client(redis).command(&["SET", &at.to_string(), &value]);
        (0..10).map(set).filter(|reply| *reply == Reply::Simple("OK".into())).count()
    };
    let evicting = Redis::start_limited(6 << 20, "allkeys-lru");
    assert_eq!(fill(&evicting), 10);
    assert_eq!(client(&evicting).command(&["EXISTS", "0"]), Reply::Integer(0));
    let refusing = Redis::start_limited(6 << 20, "noeviction");
    assert!((1..10).contains(&fill(&refusing)));
    assert_eq!(client(&refusing).command(&["EXISTS", "0"]), Reply::Integer(1));
}

#[test]
fn one_behind_tls_is_reached_by_its_authority_only() {
    let redis = Redis::start_tls();
    assert_eq!(redis.cli(&["SET", "greeting", "hello"]), "OK");
    assert_eq!(redis.url(), format!("rediss://127.0.0.1:{}", redis.port()));
    let openssl = |authority: &std::path::Path, host: &str| {
        let address = format!("{host}:{}", redis.port());
        let mut client = std::process::Command::new("openssl");
        client.args(["s_client", "-verify_return_error", "-connect", &address]);
        let name = if host == "localhost" { "-verify_hostname" } else { "-verify_ip" };
        client.args([name, host, "-CAfile"]).arg(authority);
        client.stdin(std::process::Stdio::null()).output().unwrap()
    };
    assert!(openssl(&redis.ca_file(), "localhost").status.success());
    assert!(openssl(&redis.ca_file(), "127.0.0.1").status.success());
    assert!(!openssl(&Redis::start_tls().ca_file(), "localhost").status.success());
    let mut plain = client(&redis);
    plain.send(b"PING\r\n");
    assert!(plain.is_closed());
    redis.kill();
    redis.restart();
    assert_eq!(redis.cli(&["GET", "greeting"]), "");
}

#[test]
#[should_panic(expected = "it has no certificates")]
fn one_without_tls_has_no_authority() {
    let _ = Redis::start().ca_file();
}

#[test]
fn a_cluster_serves_every_slot_and_its_replicas_have_copies() {
    let start = Instant::now();
    let cluster = RedisCluster::start(3, 1);
    println!("started after {:?}", start.elapsed());
    assert_eq!(cluster.primaries(), [0, 1, 2]);
    assert_eq!((0..3).map(|at| cluster.replicas_of(at)).collect::<Vec<_>>(), [[3], [4], [5]]);
    let ports: Vec<String> =
        cluster.nodes().iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    assert_eq!(cluster.url(), format!("redis+cluster://{}", ports.join(",")));
    let mut owners = [0; 3];
    for key in (0..32).map(|at| format!("key:{at}")) {
        let owner = cluster.owner_of(&key);
        owners[owner] += 1;
        let reply = client(cluster.node(owner)).command(&["SET", &key, "x"]);
        assert_eq!(reply, Reply::Simple("OK".into()));
        let moved = client(cluster.node((owner + 1) % 3)).command(&["GET", &key]);
        let port = cluster.node(owner).port();
        assert_eq!(moved.text(), format!("MOVED {} 127.0.0.1:{port}", cluster.slot_of(&key)));
    }
    assert!(owners.iter().all(|&keys| keys > 0), "{owners:?}");
    assert_eq!(cluster.slot_of("{a}b"), cluster.slot_of("a"));
    let owner = cluster.owner_of("key:0");
    let mut primary = client(cluster.node(owner));
    assert_eq!(primary.command(&["SET", "key:0", "y"]), Reply::Simple("OK".into()));
    assert_eq!(primary.command(&["WAIT", "1", "10000"]), Reply::Integer(1));
    let mut copy = client(cluster.node(cluster.replicas_of(owner)[0]));
    assert_eq!(copy.command(&["READONLY"]), Reply::Simple("OK".into()));
    assert_eq!(copy.command(&["GET", "key:0"]), Reply::bulk("y"));
}

#[test]
fn a_slot_midway_asks_and_a_finished_one_has_moved_with_its_keys() {
    let cluster = RedisCluster::start(2, 0);
    let (slot, from) = (cluster.slot_of("{s}"), cluster.owner_of("{s}"));
    let to = 1 - from;
    let [mut old, mut new] = [from, to].map(|at| client(cluster.node(at)));
    for at in 0..250 {
        old.command(&["SET", &format!("{{s}}{at}"), "x"]);
    }
    let migration = cluster.migrate_slot(slot, to);
    assert_eq!((migration.slot(), migration.from(), migration.to()), (slot, from, to));
    assert!(migration.move_key("{s}0"));
    assert!(!migration.move_key("{s}0"));
    assert_eq!(old.command(&["GET", "{s}1"]), Reply::bulk("x"));
    let ask = format!("ASK {slot} 127.0.0.1:{}", cluster.node(to).port());
    assert_eq!(old.command(&["GET", "{s}0"]), Reply::Error(ask));
    assert!(old.command(&["MGET", "{s}0", "{s}1"]).text().starts_with("TRYAGAIN"));
    assert!(new.command(&["GET", "{s}0"]).text().starts_with("MOVED"));
    let asked = new.pipeline([&["ASKING"][..], &["GET", "{s}0"]]);
    assert_eq!(asked[1], Reply::bulk("x"));
    assert_eq!(cluster.owner_of_slot(slot), from);
    migration.finish();
    assert_eq!(cluster.owner_of_slot(slot), to);
    for at in 0..250 {
        assert_eq!(new.command(&["GET", &format!("{{s}}{at}")]), Reply::bulk("x"));
    }
    assert!(old.command(&["GET", "{s}0"]).text().starts_with("MOVED"));
}

#[test]
fn a_replica_takes_over_on_order_and_the_old_primary_comes_back_as_its_replica() {
    let cluster = RedisCluster::start_with(1, 1, &["--cluster-replica-no-failover", "yes"]);
    client(cluster.node(0)).pipeline([&["SET", "a", "1"][..], &["WAIT", "1", "10000"]]);
    assert_eq!(cluster.failover(0), 1);
    assert_eq!((cluster.primaries(), cluster.replicas_of(1)), (vec![1], vec![0]));
    assert_eq!(client(cluster.node(1)).command(&["GET", "a"]), Reply::bulk("1"));
    cluster.node(1).kill();
    assert_eq!(cluster.failover(1), 0);
    assert_eq!(client(cluster.node(0)).command(&["SET", "a", "2"]), Reply::Simple("OK".into()));
    cluster.node(1).restart();
    cluster.wait_until_settled();
    assert_eq!((cluster.primaries(), cluster.replicas_of(0)), (vec![0], vec![1]));
    cluster.node(0).pause();
    assert_eq!(cluster.failover(0), 1);
    cluster.node(0).resume();
    assert_eq!(client(cluster.node(1)).command(&["GET", "a"]), Reply::bulk("2"));
}

#[test]
fn a_cluster_replaces_a_dead_primary_by_itself() {
    let cluster = RedisCluster::start(3, 1);
    cluster.node(0).kill();
    cluster.wait_until_settled();
    assert_eq!(cluster.primaries(), [1, 2, 3]);
}

#[test]
fn sentinels_promote_the_replica_and_take_the_old_primary_back_as_one() {
    for sentinels in [1, 3] {
        let start = Instant::now();
        let redis = RedisSentinel::start_with(sentinels);
        println!("{sentinels} started after {:?}", start.elapsed());
        assert_eq!(redis.sentinels().len(), sentinels);
        let url = redis.url();
        assert!(url.starts_with("redis+sentinel://127.0.0.1:") && url.ends_with("/mymaster"));
        assert_eq!(url.matches(',').count(), sentinels - 1);
        let (old, new) = (redis.primary().port(), redis.replica().port());
        client(redis.primary()).pipeline([&["SET", "a", "1"][..], &["WAIT", "1", "10000"]]);
        let killed = Instant::now();
        redis.kill_primary();
        redis.wait_until_promoted(old);
        println!("promoted after {:?}", killed.elapsed());
        assert!(killed.elapsed() > Duration::from_millis(500));
        assert_eq!((redis.primary().port(), redis.replica().port()), (new, old));
        assert_eq!(client(redis.primary()).command(&["GET", "a"]), Reply::bulk("1"));
        redis.replica().restart();
        redis.wait_until_replicated();
        // A sentinel that was away remembers whom it named.
        redis.sentinels()[0].restart();
        assert_eq!(redis.primary().port(), new);
    }
}
