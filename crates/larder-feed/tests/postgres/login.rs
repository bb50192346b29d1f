//! Who follows proves who he is, in the ways that a server may ask for.

use std::fs;

use larder_core::ErrorKind;
use larder_feed::postgres::{PostgresFeed, PostgresFeedOptions};
use larder_test::Postgres;

use crate::{Follower, database, feed_of};

/// Lets the superuser in as he is, and `larder` with a password that is asked for like this.
fn admit(postgres: &Postgres, how: &str) {
    let access = postgres.place().folder().join("data/pg_hba.conf");
    fs::write(access, format!("host all postgres all trust\nhost all larder all {how}\n")).unwrap();
    postgres.psql("SELECT pg_reload_conf()");
    let said = "SELECT auth_method FROM pg_hba_file_rules WHERE 'larder' = ANY (user_name)";
    while postgres.psql(said) != how {}
}

fn feed(postgres: &Postgres) -> PostgresFeed {
    let url = format!("postgres://larder:s%20e%2Fcret@127.0.0.1:{}/postgres", postgres.port());
    PostgresFeed::new(&url, PostgresFeedOptions::new(["users"])).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_proven_or_sent_as_the_server_asks() {
    let postgres = database();
    feed_of(&postgres).install().await.unwrap();
    postgres.psql("CREATE ROLE larder LOGIN REPLICATION PASSWORD 's e/cret'");
    for how in ["scram-sha-256", "password"] {
        admit(&postgres, how);
        let feed = feed(&postgres);
        let mut follower = Follower::follow_soon(&feed, None).await;
        follower.catch_up(&feed).await;
        postgres.psql("INSERT INTO users SELECT coalesce(max(id), 0) + 1, 'x' FROM users");
        assert_eq!(follower.catch_up(&feed).await.len(), 1, "{how}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_in_a_way_that_is_not_spoken_is_told_what_to_do() {
    let postgres = database();
    feed_of(&postgres).install().await.unwrap();
    postgres.psql(
        "SET password_encryption = 'md5'; CREATE ROLE larder LOGIN REPLICATION PASSWORD 's e/cret'",
    );
    admit(&postgres, "md5");
    let refused = Follower::follow(&feed(&postgres), None).await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert!(refused.to_string().contains("let larder in by scram-sha-256"), "{refused}");
}
