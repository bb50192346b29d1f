//! What is told, by whomever it was changed.

use std::time::Duration;

use larder_core::change::{Changed, Field};
use larder_core::feed::Notice;

use crate::text::field;
use crate::{Database, Follower, followed, options};

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_in_the_order_of_their_commits() {
    let (database, feed, mut follower) = followed().await;
    database.sqlite3(
        "INSERT INTO users VALUES (1, 'Ada'), (2, NULL);
         UPDATE users SET name = 'Ada L.' WHERE id = 1;
         UPDATE users SET id = 3 WHERE id = 2;
         DELETE FROM users WHERE id = 3;
         INSERT INTO larder_notice VALUES ('tag:x');
         INSERT INTO users (name) VALUES ('auto');",
    );
    assert_eq!(
        follower.catch_up(&feed).await,
        ["+1 Ada", "+2 null", "1>1 Ada L.", "2>3 null", "-3", "\"tag:x\"", "+2 auto"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rolled_back_is_not_told() {
    let (database, feed, mut follower) = followed().await;
    database.sqlite3(
        "BEGIN; INSERT INTO users VALUES (1, 'x'); ROLLBACK;
         BEGIN; INSERT INTO users VALUES (2, 'kept'); SAVEPOINT s;
         INSERT INTO users VALUES (3, 'x'); ROLLBACK TO s; INSERT INTO users VALUES (4, 'too');
         COMMIT;",
    );
    assert_eq!(follower.catch_up(&feed).await, ["+2 kept", "+4 too"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_by_sqlite3_is_told_by_the_next_look() {
    for mode in ["delete", "wal"] {
        let (database, _feed, mut follower) = followed().await;
        assert_eq!(database.sqlite3(&format!("PRAGMA journal_mode = {mode}")), mode);
        for id in 1..=5 {
            database.sqlite3(&format!("INSERT INTO users VALUES ({id}, 'x')"));
            // What was passed before, and what is new.
            follower.next().await.unwrap();
            if follower.told.is_empty() {
                follower.next().await.unwrap();
            }
            assert_eq!(std::mem::take(&mut follower.told), [format!("+{id} x")], "{mode}");
            follower.acknowledge();
        }
        assert!(follower.age.is_some());
    }
}

/// SQLite forgets all rows at once where no trigger would hear of it, which is not here.
#[tokio::test(flavor = "multi_thread")]
async fn deleting_everything_is_told_row_by_row() {
    let (database, feed, mut follower) = followed().await;
    database.sqlite3("INSERT INTO users VALUES (1, 'a'), (2, 'b'); DELETE FROM users;");
    assert_eq!(follower.catch_up(&feed).await, ["+1 a", "+2 b", "-1", "-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_foreign_key_deletes_is_told() {
    let database = Database::new();
    database.sqlite3(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT,
           user INTEGER REFERENCES users ON DELETE CASCADE)",
    );
    let tables = vec!["users".to_owned(), "orders".to_owned()];
    let feed = database.feed_with(crate::SqliteTriggersOptions { tables, ..options() });
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    database.sqlite3(
        "PRAGMA foreign_keys = on; INSERT INTO users VALUES (1, 'a');
         INSERT INTO orders VALUES (7, 'o', 1); DELETE FROM users;",
    );
    let mut told = follower.catch_up(&feed).await;
    told.sort_unstable();
    assert_eq!(told, ["+1 a", "+7 o", "-1", "-7"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_without_row_numbers_and_odd_names_are_followed() {
    let database = Database::new();
    database.sqlite3(
        "CREATE TABLE \"it's \"\"odd\"\"\" (id TEXT, name TEXT, \"a b\" INT, PRIMARY KEY (id, \"a b\"))
           WITHOUT ROWID;
         CREATE TABLE shadowed (_rowid_ INT, rowid INT, oid INT, id INT UNIQUE, name TEXT);",
    );
    let tables = vec!["IT'S \"odd\"".to_owned(), "shadowed".to_owned()];
    let feed = database.feed_with(crate::SqliteTriggersOptions { tables, ..options() });
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    database.sqlite3(
        "INSERT INTO \"it's \"\"odd\"\"\" VALUES ('k', 'x', 1);
         UPDATE \"it's \"\"odd\"\"\" SET id = 'l';
         DELETE FROM \"it's \"\"odd\"\"\";
         INSERT INTO shadowed VALUES (1, 2, 3, 4, 'y');
         UPDATE shadowed SET name = 'z';",
    );
    assert_eq!(follower.catch_up(&feed).await, ["+k x", "k>l x", "-l", "+4 y", "4>4 z"]);
    let Notice::Changed(change) = &follower.notices[0] else { panic!("{:?}", follower.notices) };
    assert_eq!((&*change.table.schema, &*change.table.name), ("", "it's \"odd\""));
    assert_eq!(field(change.rows().next().unwrap().get("a b")), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_the_databases_own_text_of_it() {
    let database = Database::new();
    database.sqlite3("CREATE TABLE kinds (id, g AS (id || '!'), v)");
    let tables = vec!["kinds".to_owned()];
    let feed = database.feed_with(crate::SqliteTriggersOptions { tables, ..options() });
    feed.install().await.unwrap();
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let long = "x".repeat(1024);
    let cases = [
        ("-9223372036854775808", "-9223372036854775808"),
        ("1.5", "1.5"),
        ("1e300", "1.0e+300"),
        ("NULL", "null"),
        ("''", ""),
        ("'a \"b\" \\ (c, d) ''e'' ü'", "a \"b\" \\ (c, d) 'e' ü"),
        ("'\\?'", "\\?"),
        ("x'00ff'", "?"),
        ("CAST(x'66ff6f' AS TEXT)", "f\u{fffd}o"),
        (&format!("'{long}'"), &long),
        (&format!("'{long}x'"), "?"),
        ("printf('%.*c', 2000000, 'x')", "?"),
    ];
    for (value, _) in cases {
        database.sqlite3(&format!("INSERT INTO kinds (id, v) VALUES ({value}, 'v')"));
    }
    follower.catch_up(&feed).await;
    let told: Vec<String> = follower
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Changed(change) => change.rows().next(),
            _ => None,
        })
        .inspect(|row| assert_eq!(*row.get("v"), Field::Text("v".into())))
        .map(|row| field(row.get("id")))
        .collect();
    let expected: Vec<&str> = cases.iter().map(|(_, text)| *text).collect();
    assert_eq!(told, expected);
    let Notice::Changed(change) = &follower.notices[1] else { panic!() };
    assert_eq!(field(change.rows().next().unwrap().get("g")), "1.5!");
    assert!(matches!(change.changed, Changed::Inserted(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_long_is_refused_to_its_writer() {
    let (database, feed, mut follower) = followed().await;
    let (is_fine, said) =
        database.try_sqlite3("INSERT INTO larder_notice VALUES (printf('%.*c', 8193, 'x'))");
    assert!(!is_fine && said.contains("8192 bytes"), "{said}");
    database.sqlite3("INSERT INTO larder_notice VALUES (printf('%.*c', 8192, 'x')), (NULL)");
    let told = follower.catch_up(&feed).await;
    assert_eq!(told.iter().map(String::len).collect::<Vec<_>>(), [8194, 2]);
}

/// A look that finds nothing new reads no row, and keeps no writer waiting.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_while_nothing_is_written() {
    let (database, feed, mut follower) = followed().await;
    follower.next().await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(200), follower.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    assert!(follower.catch_up(&feed).await.is_empty());
    database.sqlite3("CREATE TABLE other (id); INSERT INTO other VALUES (1)");
    assert!(follower.catch_up(&feed).await.is_empty());
}
