//! TLS: both connections of a URL are as private as it says, or there is none.

use std::fs;

use larder_core::{ErrorKind, Result};
use larder_feed::postgres::{PostgresFeed, PostgresFeedOptions};
use larder_test::Postgres;

use crate::{Follower, database};

fn url(postgres: &Postgres, host: &str, parameters: &str) -> String {
    format!("postgres://postgres@{host}:{}/postgres?{parameters}", postgres.port())
}

fn feed(url: &str) -> PostgresFeed {
    PostgresFeed::new(url, PostgresFeedOptions::new(["users"])).unwrap()
}

/// Lets in who comes like this, from wherever.
fn admit(postgres: &Postgres, how: &str) {
    let access = postgres.place().folder().join("data/pg_hba.conf");
    fs::write(access, format!("{how} all all all trust\n{how} replication all all trust\n"))
        .unwrap();
    postgres.psql("SELECT pg_reload_conf()");
    while postgres.psql("SELECT string_agg(DISTINCT type, '') FROM pg_hba_file_rules") != how {}
}

/// Which of the server's connections are private, of those of a feed.
async fn private(postgres: &Postgres, url: &str) -> Result<String> {
    let feed = feed(url);
    feed.install().await?;
    let mut follower = Follower::follow_soon(&feed, None).await;
    follower.catch_up(&feed).await;
    postgres.psql("INSERT INTO users SELECT coalesce(max(id), 0) + 1, 'x' FROM users");
    let told = follower.catch_up(&feed).await;
    assert!(told.len() == 1 && told[0].ends_with(" x"), "{told:?}");
    let ssl = postgres.psql(
        "SELECT string_agg(a.backend_type || ' ' || s.ssl, ', ' ORDER BY a.backend_type)
           FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
          WHERE a.application_name = 'larder feed'",
    );
    drop(follower);
    feed.remove().await?;
    Ok(ssl)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_connections_are_as_private_as_the_url_says() {
    // The second isn't in its certificate.
    let addresses = ("listen_addresses", "127.0.0.1,127.0.0.2");
    let postgres = Postgres::start_with(&[("wal_level", "logical"), addresses]);
    postgres.psql("CREATE TABLE users (id int PRIMARY KEY, name text)");
    admit(&postgres, "host");
    let all = "client backend true, walsender true";
    let none = "client backend false, walsender false";
    for plain in ["", "sslmode=prefer", "sslmode=disable"] {
        assert_eq!(private(&postgres, &url(&postgres, "localhost", plain)).await.unwrap(), none);
    }
    let refused =
        private(&postgres, &url(&postgres, "localhost", "sslmode=require")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert!(refused.to_string().contains("does not support TLS"), "{refused}");
    let authority = postgres.speak_tls();
    let authority = format!("sslrootcert={}", authority.display());
    for (host, mode, says) in [
        ("localhost", "sslmode=disable".to_owned(), Ok(none)),
        ("localhost", "sslmode=prefer".to_owned(), Ok(all)),
        ("localhost", "sslmode=require".to_owned(), Ok(all)),
        ("localhost", format!("sslmode=verify-ca&{authority}"), Ok(all)),
        ("localhost", format!("sslmode=verify-full&{authority}"), Ok(all)),
        ("127.0.0.1", format!("sslmode=verify-full&{authority}"), Ok(all)),
        ("127.0.0.2", format!("sslmode=verify-ca&{authority}"), Ok(all)),
        ("127.0.0.2", format!("sslmode=verify-full&{authority}"), Err("not valid for name")),
        ("localhost", "sslmode=verify-ca".to_owned(), Err("UnknownIssuer")),
        ("localhost", "sslmode=verify-full".to_owned(), Err("UnknownIssuer")),
        ("localhost", "sslmode=verify-ca&sslrootcert=/none".to_owned(), Err("")),
    ] {
        let followed = private(&postgres, &url(&postgres, host, &mode)).await;
        match (followed, says) {
            (Ok(ssl), Ok(says)) => assert_eq!(ssl, says, "{host} {mode}"),
            (Err(error), Err(says)) => {
                assert!(error.to_string().contains(says), "{host} {mode}: {error}");
            }
            (followed, _) => panic!("{host} {mode}: {followed:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_nothing_else_is_followed() {
    let postgres = database();
    let authority = postgres.speak_tls();
    admit(&postgres, "hostssl");
    let mode = format!("sslmode=verify-full&sslrootcert={}", authority.display());
    let feed = feed(&url(&postgres, "localhost", &mode));
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.catch_up(&feed).await;
    // More than what may be on its way.
    postgres.psql("INSERT INTO users SELECT n, repeat('x', 100) FROM generate_series(1, 20000) n");
    assert_eq!(follower.catch_up(&feed).await.len(), 20_000);
    let position = follower.position;
    follower.acknowledge();
    drop(follower);
    postgres.restart();
    let mut follower = loop {
        match Follower::follow(&feed, Some(position)).await {
            Ok(follower) => break follower,
            Err(error) => assert_ne!(error.kind(), ErrorKind::Config, "{error}"),
        }
    };
    postgres.psql("DELETE FROM users WHERE id > 1");
    let told = follower.catch_up(&feed).await;
    assert_eq!(told.iter().filter(|told| told.starts_with('-')).count(), 19_999);
    assert!(follower.gaps.is_empty());
}
