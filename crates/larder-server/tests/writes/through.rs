//! Writes that the database commits before they return.

use larder_core::{Key, Value};

use crate::support::{End, Shop, http, run};

const THROUGH: &str = "tags = [\"team:{team}\"]\nstore = \"INSERT INTO users (id, name, team, visits) VALUES \
                       ({id}, {name}, {team}, 0) ON CONFLICT (id) DO UPDATE SET name = excluded.name \
                       RETURNING id, name, team, visits\"\ndelete = \"DELETE FROM users WHERE id = \
                       {id}\"\nwrite = \"through\"\ninstall = \"always\"\n";
const ADA: &str = r#"{"id":7,"name":"Ada","team":1}"#;

#[test]
fn what_the_database_returned_is_held_with_the_tags_of_its_row() {
    let shop = Shop::new();
    run(&shop.config("", THROUGH), End::Well, async |server| {
        let (cache, ada) = (server.cache(), Key::from("user:7"));
        cache.put(&ada, Value::json(ADA)).await.unwrap();
        // The default of the column is in it, and nothing was loaded.
        let row = r#"{"id":7,"name":"Ada","team":1,"visits":0}"#;
        assert_eq!(server.get("user:7").await.as_deref(), Some(row));
        let stats = cache.stats();
        assert_eq!((stats.installed, stats.misses), (1, 0));
        let page = http(server.admin, "/metrics").await;
        for line in [
            "larder_cache_installed_total{cache=\"user\"} 1",
            "larder_cache_write_errors_total{cache=\"user\"} 0",
            "larder_cache_write_seconds_count{cache=\"user\"} 1",
        ] {
            assert!(page.contains(line), "{line} in {page}");
        }
        assert!(!page.contains("larder_journal"), "{page}");
        // It goes with its tag.
        cache.invalidate_tags(&["team:2"]).await.unwrap();
        server.get("user:7").await;
        assert_eq!(cache.stats().misses, 0);
        cache.invalidate_tags(&["team:1"]).await.unwrap();
        server.get("user:7").await;
        assert_eq!(cache.stats().misses, 1);
        cache.delete(&ada).await.unwrap();
        assert_eq!(server.get("user:7").await, None);
    })
    .unwrap();
}

#[test]
fn a_statement_or_a_counter_that_the_database_refuses_keeps_the_server_from_starting() {
    let shop = Shop::new();
    for (lines, part) in [
        ("delete = \"DELETE FROM user WHERE id = {id}\"", "no such table: user"),
        (
            "add = \"UPDATE users SET visits = visits + {delta} WHERE id = {id}\"\ncounter = \"visit\"",
            "counter = \"visit\" is no column of load: did you mean visits?",
        ),
    ] {
        let error = run(&shop.config("", lines), End::Well, async |_| {}).unwrap_err();
        assert!(error.chain().contains(part), "{}", error.chain());
        assert!(error.chain().contains("[cache.user] can't work"), "{}", error.chain());
    }
}
