//! What is acknowledged is read at once, and applied whatever becomes of the server.

use larder_core::{ErrorKind, Key};

use crate::support::{End, Shop, http, run, until};

const STORE: &str = "store = \"INSERT INTO users (id, name, team, visits) VALUES ({id}, {name}, \
                     {team}, {visits}) ON CONFLICT (id) DO UPDATE SET name = excluded.name\"\nwrite = \
                     \"behind\"\n";
const ADD: &str = "add = \"UPDATE users SET visits = visits + {delta} WHERE id = {id}\"\ncounter = \
                   \"visits\"\nwrite = \"behind\"\n";
const ADA: &str = r#"{"id":7,"name":"Ada","team":1,"visits":0}"#;
const BEA: &str = r#"{"id":8,"name":"Bea","team":1,"visits":0}"#;

#[test]
fn what_was_acknowledged_by_a_server_that_was_killed_is_applied_by_the_next_one() {
    let shop = Shop::new();
    let config = shop.config(&shop.journal("journal"), STORE);
    run(&config, End::Killed, async |server| {
        server.put("user:7", ADA).await;
        assert_eq!(server.get("user:7").await.as_deref(), Some(ADA));
    })
    .unwrap();
    assert_eq!(shop.value("SELECT CAST(count(*) AS TEXT) FROM users"), "0");
    run(&config, End::Well, async |server| {
        // No client is served before the journal is replayed.
        let answer = crate::support::talk(server.resp, b"GET user:7\r\nQUIT\r\n").await;
        assert!(answer.contains(ADA), "{answer}");
        server.put("user:8", BEA).await;
    })
    .unwrap();
    assert_eq!(shop.value("SELECT group_concat(name) FROM users"), "Ada,Bea");
    // Nothing is left, and what was applied isn't applied again.
    shop.execute("UPDATE users SET name = 'Eve'");
    run(&config, End::Well, async |server| {
        let page = http(server.admin, "/metrics").await;
        assert!(page.contains("\nlarder_journal_records 0"), "{page}");
        until("it is ready", async || http(server.admin, "/ready").await.contains("200 OK")).await;
    })
    .unwrap();
    assert_eq!(shop.value("SELECT group_concat(name) FROM users"), "Eve,Eve");
}

#[test]
fn a_server_that_stops_applies_what_waits_and_gives_the_cache_back() {
    let shop = Shop::new();
    let stored = |journal: &str| {
        let config = shop.config(&shop.journal(journal), STORE);
        run(&config, End::Well, async |server| server.put("user:7", ADA).await)
    };
    stored("journal").unwrap();
    assert_eq!(shop.value("SELECT name FROM users WHERE id = 7"), "Ada");
    // A server with another journal may have it now.
    stored("another").unwrap();
}

#[test]
fn what_was_added_is_read_before_it_is_applied() {
    let shop = Shop::new();
    shop.execute("INSERT INTO users VALUES (7, 'Ada', 1, 40)");
    let config = shop.config(&shop.journal("journal"), ADD);
    run(&config, End::Well, async |server| {
        let (ada, nobody) = (Key::from("user:7"), Key::from("user:9"));
        until("writes are taken", async || server.cache().increment(&ada, 1).await.is_ok()).await;
        server.cache().increment(&ada, 1).await.unwrap();
        let sum = r#"{"id":7,"name":"Ada","team":1,"visits":42}"#;
        assert_eq!(server.get("user:7").await.as_deref(), Some(sum));
        // An UPDATE finds no row: nobody can say what it makes of none until it was asked.
        server.cache().increment(&nobody, 1).await.unwrap();
        let error = server.cache().get(&nobody).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{}", error.chain());
        let page = http(server.admin, "/metrics").await;
        for line in [
            "larder_cache_behind_keys{cache=\"user\"} 2",
            "larder_cache_behind_acknowledged_total{cache=\"user\"} 3",
            "larder_cache_behind_applied_total{cache=\"user\"} 0",
            "larder_journal_records 3",
            "larder_journal_limit_bytes 1073741824",
        ] {
            assert!(page.contains(line), "{line} in {page}");
        }
    })
    .unwrap();
    assert_eq!(shop.value("SELECT CAST(sum(visits) AS TEXT) FROM users"), "42");
}
