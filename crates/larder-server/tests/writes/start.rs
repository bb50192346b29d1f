//! When a server takes writes behind, when it waits, and when it refuses to.

use larder_core::ErrorKind;
use sqlx::{Connection, SqliteConnection};
use tokio::runtime::Runtime;

use crate::support::{End, Shop, http, run, talk, until};

const STORE: &str = "store = \"INSERT INTO users (id, name) VALUES ({id}, {name})\"\nwrite = \
                     \"behind\"\n";
const ADA: &str = r#"{"id":7,"name":"Ada"}"#;

#[test]
fn a_second_server_ends_and_says_who_owns_the_cache() {
    let shop = Shop::new();
    let first = shop.config(&shop.journal("first"), STORE);
    run(&first, End::Killed, async |server| server.put("user:7", ADA).await).unwrap();
    let second = shop.config(&shop.journal("second"), STORE);
    let error = run(&second, End::Well, async |_| std::future::pending::<()>().await).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let chain = error.chain();
    assert!(chain.contains("the cache user is written behind by "), "{chain}");
    assert!(chain.contains("only one process may do that"), "{chain}");
    // The one that owns it may come back.
    run(&first, End::Well, async |server| server.put("user:8", r#"{"id":8,"name":"Bea"}"#).await)
        .unwrap();
    assert_eq!(shop.value("SELECT group_concat(name) FROM users"), "Ada,Bea");
}

#[test]
fn a_journal_is_opened_by_one_process_alone() {
    let shop = Shop::new();
    let config = shop.config(&shop.journal("journal"), STORE);
    let held = larder_journal::JournalOptions::new(shop.0.path().join("journal")).open().unwrap();
    let error = run(&config, End::Well, async |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.chain().contains("can't be opened"), "{}", error.chain());
    held.close().unwrap();
    run(&config, End::Well, async |server| server.put("user:7", ADA).await).unwrap();
}

#[test]
fn a_server_without_the_tables_of_larder_ends_and_says_what_to_run() {
    let shop = Shop::bare();
    let config = shop.config(&shop.journal("journal"), STORE);
    let error = run(&config, End::Well, async |_| std::future::pending::<()>().await).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let chain = error.chain();
    assert!(chain.contains("the source shop lacks larder_applied, larder_owner"), "{chain}");
    assert!(chain.contains("CREATE TABLE"), "{chain}");
}

#[test]
fn a_journal_of_a_cache_that_is_gone_is_not_left_behind() {
    let shop = Shop::new();
    let journal = shop.journal("journal");
    let config = shop.config(&journal, STORE);
    run(&config, End::Killed, async |server| server.put("user:7", ADA).await).unwrap();
    let without = shop.config(&journal, "");
    let error = run(&without, End::Well, async |_| std::future::pending::<()>().await).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.chain().contains("a cache user that isn't there"), "{}", error.chain());
}

#[test]
fn a_database_that_is_down_is_waited_for_and_no_read_misses_what_was_acknowledged() {
    let shop = Shop::new();
    let config = shop.config(&shop.journal("journal"), STORE);
    // Where it is locked nobody waits for long.
    let config = config.replace("[cache.user]", "load_timeout = \"500ms\"\n[cache.user]");
    let config = format!("{config}write_timeout = \"500ms\"\n");
    run(&config, End::Killed, async |server| server.put("user:7", ADA).await).unwrap();
    let mut other = Runtime::new().unwrap().block_on(async {
        let mut other = SqliteConnection::connect(&shop.url()).await.unwrap();
        sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
        other
    });
    run(&config, End::Well, async |server| {
        // It asks before the database can be asked, and is answered when the journal is replayed.
        let mut asked = std::pin::pin!(talk(server.resp, b"GET user:7\r\nQUIT\r\n"));
        tokio::select! {
            answer = &mut asked => panic!("it was answered: {answer}"),
            () = until("it says so", async || {
                let ready = http(server.admin, "/ready").await;
                ready.contains("503") && ready.contains("journal: the source shop")
            }) => {}
        }
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
        let answer = asked.await;
        // As it was acknowledged, or as the database has it when it was applied before that.
        assert!(answer.contains(r#""name":"Ada""#), "{answer}");
    })
    .unwrap();
    assert_eq!(shop.value("SELECT name FROM users"), "Ada");
}
