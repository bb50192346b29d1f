//! The end of the log, and passing it.

use std::path::Path;

use larder_core::{ErrorKind, Feed as _};
use larder_feed::postgres::{PostgresFeed, PostgresFeedOptions};
use larder_test::{Postgres, Proxy};

use crate::{Follower, database, installed};

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_passed_while_nothing_happens() {
    let (_postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    for _ in 0..3 {
        assert!(follower.catch_up(&feed).await.is_empty());
        follower.acknowledge();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_tables_that_are_not_followed_are_passed() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql("CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1)");
    assert!(follower.catch_up(&feed).await.is_empty());
}

/// Where the next record begins on a new page, the server names the place behind its header, which
/// no record that was written reaches.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_at_the_edge_of_a_page_is_passed() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    loop {
        let filled = postgres.psql(FILL);
        assert!(["24", "40"].contains(&&*filled), "the page isn't filled: {filled}");
        let end = feed.end().await.unwrap();
        // Unless the server has written something for itself meanwhile.
        if postgres.psql(INTO_PAGE) == filled {
            assert_eq!(end.0 % 8_192, 0);
            break;
        }
    }
    follower.catch_up(&feed).await;
}

/// Where the next record would begin, within its page.
const INTO_PAGE: &str = "SELECT (pg_current_wal_insert_lsn() - '0/0') % 8192";

/// A message tells what one takes besides its content, and the next fills the rest of the page.
const FILL: &str = "
    DO $$ DECLARE at bigint; besides bigint; room bigint; BEGIN
      FOR n IN 1..200 LOOP
        at := pg_current_wal_insert_lsn() - '0/0';
        PERFORM pg_logical_emit_message(false, 'x', repeat('x', 1000));
        besides := pg_current_wal_insert_lsn() - '0/0' - at - 1000;
        room := 8192 - (pg_current_wal_insert_lsn() - '0/0') % 8192;
        CONTINUE WHEN at / 8192 <> (at + besides + 1000) / 8192 OR room < besides + 256;
        PERFORM pg_logical_emit_message(false, 'x', repeat('x', (room - besides)::int));
        EXIT WHEN (pg_current_wal_insert_lsn() - '0/0') % 8192 IN (24, 40);
      END LOOP;
    END $$;
    SELECT (pg_current_wal_insert_lsn() - '0/0') % 8192";

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_the_disk_does_not_have_yet_are_waited_for() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql("SET synchronous_commit = off; INSERT INTO users VALUES (1, 'soon')");
    assert_eq!(postgres.psql("SELECT name FROM users"), "soon");
    assert_eq!(follower.catch_up(&feed).await, ["+1 soon"]);
}

/// After a failover the address leads to another server, and the connection to the first one may
/// stay for as long as nobody notices. What the one has told says nothing of the other.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_another_servers_log_is_none() {
    let (first, _) = installed().await;
    let second = promoted();
    let proxy = Proxy::to(("127.0.0.1", first.port()));
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", proxy.port());
    let feed = PostgresFeed::new(&url, PostgresFeedOptions::new(["users"])).unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    proxy.retarget(("127.0.0.1", second.port()));
    // Statements have a connection of their own, which is made again.
    first.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE application_name = 'larder feed' AND backend_type = 'client backend'",
    );
    let error = feed.end().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceDown);
    assert!(error.to_string().contains("another server"), "{error}");
    drop(follower);
    feed.end().await.unwrap();
}

/// A server that writes another timeline than a new one does.
fn promoted() -> Postgres {
    let postgres = database();
    postgres.psql("ALTER SYSTEM SET restore_command = 'false'");
    let data = postgres.psql("SHOW data_directory");
    std::fs::write(Path::new(&data).join("recovery.signal"), "").unwrap();
    postgres.restart();
    while postgres.psql("SELECT pg_is_in_recovery()") == "t" {}
    postgres
}

/// More was written than waits on its way, so the server waits for somebody who takes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_hears_of_who_is_busy() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    for from in [10_000, 20_000, 30_000] {
        postgres.psql(&format!(
            "INSERT INTO users SELECT n, repeat('x', 1000) FROM generate_series({from}, {from} + 8999) n"
        ));
    }
    for _ in 0..2 {
        let noted = postgres.psql("SELECT clock_timestamp()");
        let heard = format!(
            "SELECT count(*) FROM pg_stat_replication
              WHERE application_name = 'larder feed' AND reply_time > '{noted}'"
        );
        while postgres.psql(&heard) != "1" {}
    }
    assert_eq!(follower.catch_up(&feed).await.len(), 27_000);
}
