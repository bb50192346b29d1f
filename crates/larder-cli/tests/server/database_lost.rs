//! The database is down at the start, dies, stands still, and comes back. What is fresh is still
//! served; the rest fails soon and clearly, and works again without a restart. A database that
//! fails again and again is left alone for a while.

use std::thread;
use std::time::{Duration, Instant};

use larder_test::{Larder, Postgres, Reply, RespClient};

use crate::page::Page;
use crate::support::{admin, connect, error_code, get, serve, until};

/// So long may a read wait, and no failure in this file comes anywhere near it.
const DEADLINE: Duration = Duration::from_secs(20);

fn fill(postgres: &Postgres) {
    postgres.psql(
        "CREATE TABLE users (id int PRIMARY KEY, name text);
         INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 1000) AS g(i)",
    );
}

/// A server that asks its source however often that fails.
fn start(postgres: &Postgres) -> Larder {
    start_with(postgres, "breaker = false")
}

fn start_with(postgres: &Postgres, breaker: &str) -> Larder {
    serve(&format!(
        "[source.shop]
         url = \"{}\"
         {breaker}
         connect_timeout = \"500ms\"
         load_timeout = \"500ms\"
         [cache.user]
         key = \"user:{{id:int}}\"
         load = \"SELECT id, name FROM users WHERE id = {{id}}\"
         max_staleness = \"10m\"
         deadline = \"20s\"\n",
        postgres.url()
    ))
}

fn user(id: u32) -> Reply {
    Reply::bulk(format!("{{\"id\":{id},\"name\":\"user {id}\"}}"))
}

/// Reads a key that isn't held, and expects one of these errors well before the deadline.
fn fails(client: &mut RespClient, key: &str, codes: &[&str]) {
    let start = Instant::now();
    let reply = get(client, key);
    assert!(codes.contains(&error_code(&reply)), "{key}: {reply:?}");
    // Who, for which key, and when to come back. A load is timed by the source, and by the engine
    // for its cache.
    assert!(reply.text().contains("shop") || reply.text().contains("of user"), "{reply:?}");
    assert!(reply.text().contains(&format!("(key {key})")), "{reply:?}");
    assert!(reply.text().ends_with("; retry after 1000 ms"), "{reply:?}");
    assert!(start.elapsed() < DEADLINE / 4, "{key} failed after {:?}", start.elapsed());
}

/// Waits until a key that isn't held can be loaded.
fn recovers(client: &mut RespClient, id: u32) {
    until("a read recovers", || get(client, &format!("user:{id}")) == user(id));
}

#[test]
fn a_database_that_is_down_at_the_start_is_waited_for() {
    let postgres = Postgres::start();
    fill(&postgres);
    postgres.stop();
    let larder = start(&postgres);
    assert_eq!(admin(&larder, "/health"), (200, "ok\n".to_owned()));
    let (status, cause) = admin(&larder, "/ready");
    assert_eq!(status, 503);
    let says = "not ready: cache user: the source shop can't be reached";
    assert!(cause.starts_with(says), "{cause}");
    let mut client = connect(&larder);
    fails(&mut client, "user:1", &["SOURCEDOWN"]);
    // What needs no database is served.
    assert_eq!(client.command(&["SET", "plain", "value"]), Reply::Simple("OK".into()));
    assert_eq!(error_code(&get(&mut client, "user:abc")), "BADKEY");
    postgres.restart();
    recovers(&mut client, 1);
    until("it is ready", || admin(&larder, "/ready") == (200, "ready\n".to_owned()));
    assert!(larder.stop().success());
    let log = larder.log();
    assert!(log.contains("not ready: cache user: the source shop can't be reached"), "{log}");
}

#[test]
fn a_database_that_dies_and_comes_back_costs_errors_only_for_what_is_not_held() {
    let postgres = Postgres::start();
    fill(&postgres);
    let larder = start(&postgres);
    let mut client = connect(&larder);
    assert_eq!(get(&mut client, "user:1"), user(1));
    for round in 1..=2 {
        postgres.kill();
        for _ in 0..100 {
            assert_eq!(get(&mut client, "user:1"), user(1));
        }
        fails(&mut client, &format!("user:{}", 100 * round), &["SOURCEDOWN"]);
        let batch = client.command(&["MGET", "user:1", "user:900"]);
        assert_eq!(error_code(&batch), "SOURCEDOWN", "{batch:?}");
        // Being down now is no matter of whether the loads are sound.
        assert_eq!(admin(&larder, "/ready").0, 200);
        postgres.restart();
        recovers(&mut client, 100 * round);
    }
}

#[test]
fn a_database_that_stands_still_costs_a_load_timeout_and_no_more() {
    let postgres = Postgres::start();
    fill(&postgres);
    let larder = start(&postgres);
    let mut client = connect(&larder);
    assert_eq!(get(&mut client, "user:1"), user(1));
    postgres.pause();
    for id in 2..5 {
        // The open connection says nothing; after that no new one can be had.
        fails(&mut client, &format!("user:{id}"), &["TIMEOUT", "SOURCEDOWN"]);
        assert_eq!(get(&mut client, "user:1"), user(1));
    }
    postgres.resume();
    recovers(&mut client, 5);
}

#[test]
fn two_hundred_loads_that_wait_for_a_dead_database_fail_together() {
    let postgres = Postgres::start();
    fill(&postgres);
    let larder = start(&postgres);
    assert_eq!(get(&mut connect(&larder), "user:1"), user(1));
    let herd = |codes: &[&str], from: u32| {
        let start = Instant::now();
        thread::scope(|scope| {
            let larder = &larder;
            for id in from..from + 200 {
                scope.spawn(move || fails(&mut connect(larder), &format!("user:{id}"), codes));
            }
        });
        // With sixteen connections they would be thirteen rounds of half a second, one by one.
        assert!(start.elapsed() < DEADLINE / 4, "{:?}", start.elapsed());
    };
    postgres.pause();
    herd(&["TIMEOUT", "SOURCEDOWN"], 100);
    postgres.kill();
    herd(&["SOURCEDOWN"], 300);
    postgres.restart();
    recovers(&mut connect(&larder), 600);
}

#[test]
fn a_database_that_keeps_failing_is_left_alone_until_a_probe_finds_it_again() {
    let postgres = Postgres::start();
    fill(&postgres);
    let larder = start_with(
        &postgres,
        "breaker_errors = 2
         breaker_share = 0.1
         breaker_window = \"10m\"
         breaker_probe_after = \"1s\"
         breaker_probe_after_max = \"1s\"",
    );
    let mut client = connect(&larder);
    assert_eq!(get(&mut client, "user:1"), user(1));
    let source: &[(&str, &str)] = &[("source", "shop")];
    let page = Page::of(&larder);
    assert_eq!(page.sum("larder_source_breaker_state", source), 0);
    assert_eq!(page.sum("larder_source_breaker_opened_total", source), 0);

    postgres.stop();
    for id in [2, 3] {
        let reply = get(&mut client, &format!("user:{id}"));
        assert_eq!(error_code(&reply), "SOURCEDOWN");
        assert!(!reply.text().contains("is left alone"), "{reply:?}");
    }
    // The next read is refused, unless a second has passed: then it is a probe, and the one after
    // it is refused.
    let mut refused = 0;
    until("the source is left alone", || {
        let reply = get(&mut client, "user:4");
        assert_eq!(error_code(&reply), "SOURCEDOWN");
        if reply.text().contains("is left alone") {
            let (_, delay) = reply.text().rsplit_once("; retry after ").unwrap();
            let millis: u64 = delay.strip_suffix(" ms").unwrap().parse().unwrap();
            assert!(millis <= 1000, "{reply:?}");
            refused += 1;
        }
        refused == 1
    });
    assert_eq!(get(&mut client, "user:1"), user(1));
    let page = Page::of(&larder);
    assert_eq!(page.sum("larder_source_breaker_opened_total", source), 1);
    assert_eq!(page.sum("larder_source_breaker_refused_total", source), 1);
    assert!(page.sum("larder_source_breaker_state", source) > 0);

    postgres.restart();
    recovers(&mut client, 5);
    let page = Page::of(&larder);
    assert_eq!(page.sum("larder_source_breaker_state", source), 0);
    assert_eq!(page.sum("larder_source_breaker_opened_total", source), 1);
    // Everybody is let in again.
    for id in 10..20 {
        assert_eq!(get(&mut client, &format!("user:{id}")), user(id));
    }
}
