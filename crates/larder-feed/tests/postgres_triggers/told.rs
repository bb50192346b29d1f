//! What is told, by whomever it was changed.

use std::time::Instant;

use larder_core::change::{Changed, Field};
use larder_core::feed::Notice;

use crate::text::field;
use crate::{Follower, feed_with, installed, options};

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_in_the_order_of_their_commits() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql(
        "INSERT INTO users VALUES (1, 'Ada'), (2, NULL);
         UPDATE users SET name = 'Ada L.' WHERE id = 1;
         UPDATE users SET id = 3 WHERE id = 2;
         DELETE FROM users WHERE id = 3;
         SELECT larder.notice('tag:x');",
    );
    assert_eq!(
        follower.catch_up(&feed).await,
        ["+1 Ada", "+2 null", "1>1 Ada L.", "2>3 null", "-3", "\"tag:x\""]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rolled_back_is_not_told() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql(
        "BEGIN; INSERT INTO users VALUES (1, 'x'); SELECT larder.notice('n'); ROLLBACK;
         BEGIN; INSERT INTO users VALUES (2, 'kept'); SAVEPOINT s;
         INSERT INTO users VALUES (3, 'x'); TRUNCATE users; ROLLBACK TO s;
         INSERT INTO users VALUES (4, 'too'); TRUNCATE users; COMMIT;",
    );
    // TRUNCATE is seen in the catalogue, too.
    let told = ["altered users", "~users", "+2 kept", "+4 too", "~users"];
    assert_eq!(follower.catch_up(&feed).await, told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_by_psql_is_told_by_the_next_look() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let before = Instant::now();
    follower.catch_up(&feed).await;
    postgres.psql("INSERT INTO users VALUES (1, 'x')");
    // A look that had begun before, and the next one.
    follower.next().await.unwrap();
    if follower.told.is_empty() {
        follower.next().await.unwrap();
    }
    assert_eq!(follower.told, ["+1 x"]);
    let age = follower.age.unwrap();
    assert!(age <= before.elapsed(), "it is counted from the look before at most: {age:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_another_server_is_told() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql(
        "SET session_replication_role = replica; INSERT INTO users VALUES (1, 'x'); DELETE FROM users",
    );
    assert_eq!(follower.catch_up(&feed).await, ["+1 x", "-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_write_to_the_table_is_told_of_and_can_not_see_or_forge_changes() {
    let (postgres, feed) = installed().await;
    postgres.psql(
        "CREATE ROLE app; GRANT INSERT, SELECT ON users TO app; GRANT CREATE ON SCHEMA public TO app;",
    );
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql(
        "SET ROLE app; INSERT INTO users VALUES (1, 'x'); SELECT larder.notice('said');
         CREATE TABLE own (id int);",
    );
    assert_eq!(follower.catch_up(&feed).await, ["+1 x", "\"said\""]);
    for forbidden in [
        "SELECT * FROM larder.change",
        "DELETE FROM larder.state",
        "SELECT nextval('larder.place')",
        "CREATE TRIGGER t AFTER INSERT ON own FOR EACH ROW EXECUTE FUNCTION larder.tell('x', 'y')",
    ] {
        let refused = format!(
            "SET ROLE app; DO $$ BEGIN EXECUTE {}; RAISE 'allowed'; EXCEPTION
             WHEN insufficient_privilege THEN NULL; END $$",
            format_args!("'{}'", forbidden.replace('\'', "''"))
        );
        postgres.psql(&refused);
    }
}

/// Keys are parsed out of these texts, so they are what the log has, whatever the writer's session
/// is set to.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_the_servers_own_text_of_it() {
    let postgres = crate::database();
    let columns = [
        ("b bool", "true", "t"),
        ("i bigint", "-9007199254740993", "-9007199254740993"),
        ("n numeric(10,2)", "1.50", "1.50"),
        ("f float8", "0.1::float8 + 0.2::float8", "0.30000000000000004"),
        ("t text", "'a \"b\" \\ (c, d)'", "a \"b\" \\ (c, d)"),
        ("e text", "''", ""),
        ("z text", "NULL", "null"),
        (
            "u uuid",
            "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        ("d date", "'2026-02-01'", "2026-02-01"),
        ("s timestamp", "'2026-02-01 03:04:05.6'", "2026-02-01 03:04:05.6"),
        ("w timestamptz", "'2026-02-01 03:04:05+00'", "2026-02-01 03:04:05+00"),
        ("v interval", "'1 day 2 hours'", "1 day 02:00:00"),
        ("y bytea", "'\\x00ff'", "\\x00ff"),
        ("a int[]", "'{1,NULL,3}'", "{1,NULL,3}"),
        ("j jsonb", "'{\"k\": [1, \"x\"]}'", "{\"k\": [1, \"x\"]}"),
        ("\"Odd, \"\"one\"\"\" char(3)", "'x'", "x  "),
    ];
    let types: Vec<&str> = columns.iter().map(|(declared, _, _)| *declared).collect();
    postgres.psql(&format!("CREATE TABLE \"Of all $kinds$'\" ({})", types.join(", ")));
    let of_all = crate::PostgresTriggersOptions {
        tables: vec!["\"Of all $kinds$'\"".to_owned()],
        ..options()
    };
    let feed = feed_with(&postgres, of_all);
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let values: Vec<&str> = columns.iter().map(|(_, value, _)| *value).collect();
    postgres.psql(&format!(
        "SET datestyle = 'German, DMY'; SET timezone = 'Asia/Tokyo'; SET bytea_output = 'escape';
         SET intervalstyle = 'iso_8601'; SET extra_float_digits = -5; SET search_path = 'public';
         INSERT INTO \"Of all $kinds$'\" VALUES ({})",
        values.join(", ")
    ));
    follower.catch_up(&feed).await;
    let Notice::Changed(change) = &follower.notices[0] else { panic!("{:?}", follower.notices) };
    assert_eq!((&*change.table.schema, &*change.table.name), ("public", "Of all $kinds$'"));
    let row = change.rows().next().unwrap();
    let told: Vec<String> = row.iter().map(|(_, value)| field(value)).collect();
    let expected: Vec<&str> = columns.iter().map(|(_, _, text)| *text).collect();
    assert_eq!(told, expected);
    assert_eq!(field(row.get("Odd, \"one\"")), "x  ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_text_is_not_said_and_the_keys_beside_it_are() {
    let (postgres, feed) = installed().await;
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    postgres.psql(
        "INSERT INTO users VALUES (1, repeat('x', 1024)), (2, repeat('x', 1025)),
           (3, repeat('ü', 5000)), (4, repeat('x', 3000000));
         UPDATE users SET id = 5 WHERE id = 4; DELETE FROM users WHERE id = 5;",
    );
    follower.catch_up(&feed).await;
    let said: Vec<(String, bool)> = follower
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Changed(change) => change.rows().last(),
            _ => None,
        })
        .map(|row| (field(row.get("id")), *row.get("name") != Field::Unknown))
        .collect();
    let said: Vec<(&str, bool)> = said.iter().map(|(id, is)| (&**id, *is)).collect();
    assert_eq!(
        said,
        [("1", true), ("2", false), ("3", false), ("4", false), ("5", false), ("5", false)]
    );
    assert!(matches!(&follower.notices[4], Notice::Changed(change)
        if matches!(&change.changed, Changed::Updated { old: Some(old), .. }
            if field(old.get("id")) == "4")));
    let bytes = postgres.psql("SELECT max(octet_length(becomes)) < 6000 FROM larder.change");
    assert_eq!(bytes, "t");
}

/// The longest row that a table can have, of texts that are all as long as a key may be.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_many_long_texts_is_told_by_its_table() {
    let postgres = crate::database();
    let columns: Vec<String> = (0..200).map(|at| format!("c{at} text")).collect();
    postgres.psql(&format!("CREATE TABLE wide ({})", columns.join(", ")));
    let wide = crate::PostgresTriggersOptions { tables: vec!["wide".to_owned()], ..options() };
    let feed = feed_with(&postgres, wide);
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let values = vec!["repeat('x', 1000)"; 200];
    postgres.psql(&format!("INSERT INTO wide VALUES ({})", values.join(", ")));
    assert_eq!(follower.catch_up(&feed).await, ["~wide"]);
}
