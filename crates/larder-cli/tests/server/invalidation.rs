//! What is invalidated by tag, prefix and cache goes, wherever it is held, and nothing else does.

use std::sync::Barrier;
use std::thread;

use larder_test::{Larder, Postgres, Reply, RespClient};

use crate::page::Page;
use crate::support::{connect, error_code, get, queries, serve, until};

fn start() -> (Postgres, Larder) {
    let postgres = Postgres::start();
    postgres.psql(
        "CREATE TABLE users (id int PRIMARY KEY, name text, tenant_id int);
         INSERT INTO users VALUES (1, 'old', 7), (2, 'old', 7), (3, 'old', 8), (4, 'old', NULL);
         CREATE TABLE orders (user_id int, no int, state text);
         INSERT INTO orders VALUES (1, 1, 'old'), (1, 2, 'old'), (2, 1, 'old')",
    );
    let larder = serve(&format!(
        "[source.shop]
         url = \"{}\"
         [cache.user]
         key = \"user:{{id:int}}\"
         load = \"SELECT name, tenant_id FROM users WHERE id = {{id}}\"
         fresh_for = \"10m\"
         stale_for = \"10m\"
         missing_for = \"10m\"
         tags = [\"tenant:{{tenant_id}}\", \"users\"]
         [cache.order]
         key = \"order:{{user:int}}:{{no:int}}\"
         load = \"SELECT state FROM orders WHERE user_id = {{user}} AND no = {{no}}\"
         max_staleness = \"10m\"
         tags = [\"orders of {{user}}\"]
         [cache.tenant]
         key = \"tenant:{{tenant:int}}:{{v:version}}\"
         load = \"SELECT id, tenant_id, name FROM users WHERE tenant_id = {{tenant}} ORDER BY id\"
         rows = \"many\"
         max_staleness = \"10m\"
         tags = [\"tenant:{{tenant_id}}\", \"user:{{id}}\"]\n",
        postgres.url()
    ));
    (postgres, larder)
}

const KEYS: [&str; 8] =
    ["user:1", "user:2", "user:3", "user:4", "order:1:1", "order:1:2", "order:2:1", "tenant:7:1"];

/// Which of [`KEYS`] hold what was true before the change.
fn old(client: &mut RespClient) -> Vec<&'static str> {
    let is_old = |key: &&str| {
        let reply = get(client, key);
        let (old, new) = (reply.text().contains("old"), reply.text().contains("new"));
        assert!(old != new, "{key}: {reply:?}");
        old
    };
    KEYS.into_iter().filter(is_old).collect()
}

fn change(postgres: &Postgres) {
    postgres.psql("UPDATE users SET name = 'new'; UPDATE orders SET state = 'new'");
}

fn change_back(postgres: &Postgres, client: &mut RespClient) {
    postgres.psql("UPDATE users SET name = 'old'; UPDATE orders SET state = 'old'");
    for cache in ["user", "order", "tenant"] {
        client.command(&["LARDER.INVALIDATE", "CACHE", cache]);
    }
}

#[test]
fn what_is_invalidated_goes_and_nothing_else_does() {
    let (postgres, larder) = start();
    let mut client = connect(&larder);
    for (words, reply, gone) in [
        (vec!["TAGS", "tenant:7"], 1, vec!["user:1", "user:2", "tenant:7:1"]),
        (vec!["TAGS", "tenant:8", "orders of 2"], 2, vec!["user:3", "order:2:1"]),
        (vec!["TAGS", "user:2"], 1, vec!["tenant:7:1"]),
        (vec!["TAGS", "tenant:"], 1, vec![]),
        (vec!["PREFIX", "order:1:"], 2, vec!["order:1:1", "order:1:2"]),
        (vec!["PREFIX", "order:1:2"], 1, vec!["order:1:2"]),
        (vec!["PREFIX", "order:"], 1, vec!["order:1:1", "order:1:2", "order:2:1"]),
        (vec!["CACHE", "tenant"], 1, vec!["tenant:7:1"]),
        (vec!["KEYS", "user:4", "user:9"], 1, vec!["user:4"]),
    ] {
        change_back(&postgres, &mut client);
        assert_eq!(old(&mut client), KEYS);
        change(&postgres);
        assert_eq!(old(&mut client), KEYS, "nothing goes by itself");
        // Another client invalidates.
        let command = [&["LARDER.INVALIDATE"][..], &words].concat();
        assert_eq!(connect(&larder).command(&command), Reply::Integer(reply), "{words:?}");
        let stays: Vec<_> = KEYS.into_iter().filter(|key| !gone.contains(key)).collect();
        assert_eq!(old(&mut client), stays, "{words:?}");
    }
    let reply = client.command(&["LARDER.INVALIDATE", "CACHE", "usr"]);
    assert!(reply.text().contains("did you mean user?"), "{reply:?}");
    let reply = client.command(&["LARDER.INVALIDATE", "PREFIX", "nothing:"]);
    assert_eq!(error_code(&reply), "BADKEY", "{reply:?}");
    let page = Page::of(&larder);
    assert_eq!(page.sum("larder_cache_sweeps_total", &[("cache", "order")]), 9 + 3);
}

#[test]
fn an_absence_has_the_tags_of_its_key_and_a_row_those_that_it_has_now() {
    let (postgres, larder) = start();
    let mut client = connect(&larder);
    assert_eq!(get(&mut client, "user:9"), Reply::Null);
    assert_eq!(get(&mut client, "order:9:9"), Reply::Null);
    postgres
        .psql("INSERT INTO users VALUES (9, 'new', 7); INSERT INTO orders VALUES (9, 9, 'new');");
    client.command(&["LARDER.INVALIDATE", "TAGS", "tenant:7"]);
    assert_eq!(get(&mut client, "user:9"), Reply::Null);
    client.command(&["LARDER.INVALIDATE", "TAGS", "users", "orders of 9"]);
    assert!(get(&mut client, "user:9").text().contains("new"));
    assert!(get(&mut client, "order:9:9").text().contains("new"));
    // It moves to another tenant, and its tag with it.
    postgres.psql("UPDATE users SET tenant_id = 8 WHERE id = 9");
    client.command(&["LARDER.INVALIDATE", "TAGS", "tenant:7"]);
    assert!(get(&mut client, "user:9").text().contains("\"tenant_id\":8"));
    postgres.psql("UPDATE users SET name = 'newer' WHERE id = 9");
    client.command(&["LARDER.INVALIDATE", "TAGS", "tenant:7"]);
    assert!(!get(&mut client, "user:9").text().contains("newer"));
    client.command(&["LARDER.INVALIDATE", "TAGS", "tenant:8"]);
    assert!(get(&mut client, "user:9").text().contains("newer"));
}

#[test]
fn what_is_invalidated_softly_is_served_until_it_was_loaded_again() {
    let (postgres, larder) = start();
    let mut client = connect(&larder);
    for words in [["TAGS", "tenant:7"], ["PREFIX", "user:1"], ["CACHE", "user"]] {
        change_back(&postgres, &mut client);
        assert!(get(&mut client, "user:1").text().contains("old"));
        change(&postgres);
        client.command(&[&["LARDER.INVALIDATE", "SOFT"][..], &words].concat());
        let Reply::Array(fields) = client.command(&["LARDER.GET", "user:1"]) else {
            panic!("LARDER.GET replies a map");
        };
        assert!(fields[1].text().contains("old"), "{words:?}: {fields:?}");
        assert!(fields.contains(&Reply::bulk("refreshing")), "{words:?}: {fields:?}");
        until("it is loaded again", || get(&mut client, "user:1").text().contains("new"));
    }
}

#[test]
fn a_version_in_the_key_is_another_key_for_the_same_row() {
    let (postgres, larder) = start();
    let mut client = connect(&larder);
    assert!(get(&mut client, "tenant:7:1").text().contains("old"));
    change(&postgres);
    assert!(get(&mut client, "tenant:7:1").text().contains("old"));
    assert!(get(&mut client, "tenant:7:2").text().contains("new"));
    assert_eq!(error_code(&get(&mut client, "tenant:7:-1")), "BADKEY");
    assert_eq!(error_code(&get(&mut client, "tenant:7:02")), "BADKEY");
}

#[test]
fn single_keys_that_miss_together_are_one_question_and_what_nobody_reads_is_forgotten() {
    let postgres = Postgres::start();
    postgres.psql(
        "CREATE TABLE users (id int PRIMARY KEY, name text);
         INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 100) AS g(i)",
    );
    let larder = serve(&format!(
        "[source.shop]
         url = \"{}\"
         [cache.user]
         key = \"user:{{id:int}}\"
         load = \"SELECT name FROM users WHERE id = {{id}}\"
         max_staleness = \"10m\"
         gather = \"1s\"
         memory = \"16MiB\"
         idle_for = \"1s\"\n",
        postgres.url()
    ));
    let together = Barrier::new(10);
    thread::scope(|scope| {
        for id in 1..=10 {
            let (larder, together) = (&larder, &together);
            scope.spawn(move || {
                let mut client = connect(larder);
                together.wait();
                let reply = get(&mut client, &format!("user:{id}"));
                assert_eq!(reply, Reply::bulk(format!("{{\"name\":\"user {id}\"}}")));
            });
        }
    });
    assert_eq!(queries(&postgres, "users"), 1);
    let entries = || Page::of(&larder).sum("larder_memory_entries", &[("memory", "cache.user")]);
    until("all are forgotten", || entries() == 0);
    let expired: &[(&str, &str)] = &[("cause", "expired")];
    assert_eq!(Page::of(&larder).sum("larder_memory_removals_total", expired), 10);
}
