//! What can be followed, and what is said where it can't.

use larder_core::{ErrorKind, Feed as _};
use larder_feed::mysql::{MysqlFeed, MysqlFeedOptions};
use larder_test::Mariadb;

use crate::{Follower, SETTINGS, database, database_with, feed_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_log_can_not_be_followed_says_what_to_do() {
    for (settings, says) in [
        (&[][..], "log_bin"),
        (&[("log-bin", "bin"), ("binlog-format", "MIXED")], "binlog_format = ROW"),
        (&[("log-bin", "bin"), ("binlog-format", "ROW")], "binlog_row_metadata = FULL"),
        (&[&SETTINGS[..], &[("binlog-do-db", "shop")]].concat(), "binlog_do_db"),
        (&[&SETTINGS[..], &[("binlog-ignore-db", "other")]].concat(), "binlog_ignore_db"),
    ] {
        let mariadb = Mariadb::start_with(settings);
        mariadb.sql("CREATE TABLE users (id int PRIMARY KEY, name text)");
        let feed = feed_of(&mariadb, &["users"]);
        for error in [feed.check().await.unwrap_err(), feed.follow(None).await.err().unwrap()] {
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }
    let mariadb = database();
    mariadb.sql("SET GLOBAL read_only = 1");
    let error = feed_of(&mariadb, &["users"]).check().await.unwrap_err();
    assert!(error.to_string().contains("follow the primary"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_does_not_log_what_it_replicates_is_refused() {
    let mariadb = database();
    let feed = feed_of(&mariadb, &["users"]);
    mariadb.sql("CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1");
    let error = feed.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("log_slave_updates"), "{error}");
    let mariadb = database_with(&[("log-slave-updates", "1")]);
    mariadb.sql("CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1");
    feed_of(&mariadb, &["users"]).check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_read_the_log_is_told_which_rights_are_missing() {
    let mariadb = database();
    mariadb.sql(
        "CREATE USER feeder@'127.0.0.1' IDENTIFIED BY 's3cret';
         GRANT SELECT ON shop.* TO feeder@'127.0.0.1';",
    );
    let url = mariadb.url().replace("larder@", "feeder:s3cret@");
    let feed = MysqlFeed::new(&url, MysqlFeedOptions::new(["users"])).unwrap();
    for grant in ["BINLOG MONITOR", "REPLICATION SLAVE"] {
        for error in [feed.check().await.unwrap_err(), feed.follow(None).await.err().unwrap()] {
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            assert!(error.to_string().contains(grant), "{error}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
        mariadb.sql(&format!("GRANT {grant} ON *.* TO feeder@'127.0.0.1'"));
    }
    feed.check().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql("INSERT INTO users VALUES (1, 'a')");
    assert_eq!(follower.catch_up(&feed).await, ["+1 a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_can_not_be_followed_is_refused() {
    let mariadb = database();
    mariadb.sql(
        "CREATE TABLE fleeting (id int PRIMARY KEY) ENGINE = MEMORY;
         CREATE VIEW seen AS SELECT * FROM users;",
    );
    for (table, says) in [
        ("fleeting", "ENGINE = InnoDB"),
        ("seen", "is not a table"),
        ("missing", "there is no table missing"),
        ("elsewhere.users", "there is no table elsewhere.users"),
    ] {
        let feed = feed_of(&mariadb, &["users", table]);
        let standing = feed.check().await.unwrap();
        assert!(standing[0].problems.is_empty());
        assert!(standing[1].problems[0].to_string().contains(says), "{standing:?}");
        let error = feed.follow(None).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config, "{table}");
        assert!(error.to_string().contains(says), "{table}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_tells_of_old_rows_is_known_beforehand() {
    let mariadb = database();
    mariadb.sql(
        "CREATE TABLE parts (a int, b varchar(9) COLLATE utf8mb4_bin, c varchar(9), d int,
             PRIMARY KEY (c, a));",
    );
    let feed = feed_of(&mariadb, &["parts"]);
    let standing = feed.check().await.unwrap();
    assert_eq!(standing[0].identity, ["a", "b", "c", "d"]);
    assert_eq!(standing[0].folded, ["c"]);
    assert_eq!(standing[0].table.to_string(), "shop.parts");
    mariadb.sql("SET GLOBAL binlog_row_image = MINIMAL");
    assert_eq!(feed.check().await.unwrap()[0].identity, ["a", "c"]);
}

#[test]
fn names_and_addresses_that_can_not_be_are_refused() {
    let url = "mysql://a:s%33cret@localhost/shop";
    let named = |name: &str| {
        let options =
            MysqlFeedOptions { name: name.to_owned(), ..MysqlFeedOptions::new(["users"]) };
        MysqlFeed::new(url, options)
    };
    for name in ["", "Larder", "1st", "a-b", "a b", "x'; DROP TABLE users; --", &"x".repeat(51)] {
        assert_eq!(named(name).unwrap_err().kind(), ErrorKind::Config, "{name}");
    }
    let shown = format!("{:?}", named("larder_2").unwrap());
    assert!(shown.contains("localhost") && !shown.contains("cret"), "{shown}");
    let none: [&str; 0] = [];
    MysqlFeed::new(url, MysqlFeedOptions::new(none)).unwrap_err();
    for url in ["postgres://a@b/c", "mysql://a@b", "mysql://a@b/c?ssl-mode=perhaps", "x"] {
        MysqlFeed::new(url, MysqlFeedOptions::new(["users"])).unwrap_err();
    }
    for url in ["mariadb://a@b/c", "mysql://a@b/c?ssl-mode=VERIFY_CA&ssl-ca=/x.pem&charset=utf8"] {
        MysqlFeed::new(url, MysqlFeedOptions::new(["users"])).unwrap();
    }
}
