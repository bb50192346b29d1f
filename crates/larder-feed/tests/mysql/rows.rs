//! Values as the database prints them, and rows of which not everything is in the log.

use larder_core::change::{Changed, Row};
use larder_core::feed::Notice;

use crate::{Follower, database, database_with, feed_of, field};

/// A column's type, a value, and `false` where nothing is told of it.
const COLUMNS: &[(&str, &str, bool)] = &[
    ("tinyint", "-128", true),
    ("tinyint unsigned", "255", true),
    ("smallint", "-32768", true),
    ("smallint unsigned", "65535", true),
    ("mediumint", "-8388608", true),
    ("mediumint unsigned", "16777215", true),
    ("int", "-2147483648", true),
    ("int unsigned", "4294967295", true),
    ("int zerofill", "42", false),
    ("bigint", "-9223372036854775808", true),
    ("bigint unsigned", "18446744073709551615", true),
    ("year", "2155", true),
    ("year", "0", true),
    ("bool", "true", true),
    ("decimal(65,30)", "-12345678901234567890123456789012345.123456789012345678901234567890", true),
    ("decimal(10,2)", "0.05", true),
    ("decimal(9,9)", "-0.123456789", true),
    ("decimal(5,0)", "-7", true),
    ("float", "1.5", false),
    ("double", "1e100", false),
    ("bit(10)", "b'1011'", false),
    ("date", "'2024-02-29'", true),
    ("date", "'0000-00-00'", true),
    ("datetime", "'9999-12-31 23:59:59'", true),
    ("datetime(3)", "'2024-01-02 03:04:05.678'", true),
    ("datetime(6)", "'1000-01-01 00:00:00.000001'", true),
    ("timestamp", "'2038-01-19 03:14:07'", true),
    ("timestamp(1)", "'2000-02-29 12:00:00.5'", true),
    ("timestamp(5)", "'1999-12-31 23:59:59.12345'", true),
    ("timestamp", "'0000-00-00 00:00:00'", true),
    ("time", "'-838:59:59'", true),
    ("time(2)", "'-00:00:00.25'", true),
    ("time(4)", "'12:34:56.7891'", true),
    ("time(6)", "'-01:00:00.000001'", true),
    ("char(10)", "'Ada  '", true),
    ("char(255)", "'ä€😀'", true),
    ("varchar(20)", "'ä  '", true),
    ("varchar(5000)", "repeat('ü', 300)", true),
    ("varchar(20) CHARACTER SET latin1", "'plain'", true),
    ("varchar(20) CHARACTER SET latin1", "'ä'", false),
    ("varchar(20) CHARACTER SET utf16", "'plain'", false),
    ("varchar(20) CHARACTER SET ascii", "''", true),
    ("varchar(20) COLLATE uca1400_ai_ci", "'ö'", true),
    ("varchar(300) COMPRESSED", "repeat('x', 200)", false),
    ("varchar(20)", "'behind what is compressed'", true),
    ("point", "point(1, 2)", false),
    ("text CHARACTER SET utf8mb3", "'behind a point: ß'", true),
    ("tinytext", "'tiny'", true),
    ("mediumtext", "'medium'", true),
    ("longtext", "'long'", true),
    ("json", "'{\"a\":1}'", true),
    ("binary(4)", "'a\\0\\0\\0'", true),
    ("varbinary(9)", "'\\0a\\0'", true),
    ("blob", "'\\nx'", true),
    ("enum('a','ä') CHARACTER SET utf8mb4", "'ä'", true),
    ("enum('a','ä') CHARACTER SET latin1", "'ä'", false),
    ("enum('a','b') CHARACTER SET latin1", "'b'", true),
    ("set('x','y','z')", "'x,z'", true),
    ("set('x','y','z')", "''", true),
    ("uuid", "'0a26451d-e60b-11f1-bf15-02fc00000001'", true),
    ("uuid", "'123e4567-e89b-42d3-a456-426614174000'", true),
    ("inet6", "'2001:db8::ff00:42:8329'", true),
    ("inet6", "'::ffff:10.0.0.0'", true),
    ("int", "NULL", true),
    ("text", "NULL", true),
];

#[tokio::test(flavor = "multi_thread")]
async fn values_are_told_as_the_database_prints_them() {
    let mariadb = database_with(&[("sql-mode", ""), ("default-time-zone", "+05:00")]);
    let columns: Vec<String> = COLUMNS
        .iter()
        .enumerate()
        .map(|(at, (kind, ..))| match kind.starts_with("timestamp") {
            true => format!("c{at} {kind} NULL DEFAULT NULL"),
            false => format!("c{at} {kind} NULL"),
        })
        .collect();
    mariadb.sql(&format!("CREATE TABLE kinds (id int PRIMARY KEY, {})", columns.join(", ")));
    let feed = feed_of(&mariadb, &["kinds"]);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let values: Vec<&str> = COLUMNS.iter().map(|(_, value, _)| *value).collect();
    let values = values.join(", ");
    mariadb.sql(&format!("SET time_zone = '+00:00'; INSERT INTO kinds VALUES (1, {values})"));
    follower.catch_up(&feed).await;
    let Some(Notice::Changed(change)) = follower.notices.first() else {
        panic!("nothing was told: {:?}", follower.notices)
    };
    let Changed::Inserted(row) = &change.changed else { panic!("{change:?}") };
    for (at, (kind, value, is_told)) in COLUMNS.iter().enumerate() {
        let told = field(row.get(&format!("c{at}")));
        let sql = format!("SET time_zone = '+00:00'; SELECT ifnull(c{at}, 'null') FROM kinds");
        match is_told {
            true => assert_eq!(told, mariadb.sql(&sql), "{kind} {value}"),
            // What is printed depends on more than what is in the log.
            false => assert!(told == "?" || *kind == "int zerofill", "{kind} {value}: {told}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_rows_that_are_told_in_part_the_rest_is_unknown() {
    let mariadb = database();
    mariadb.sql(
        "CREATE TABLE parts (a int, b int, c int, d int DEFAULT 4, PRIMARY KEY (b));
         SET GLOBAL binlog_row_image = MINIMAL",
    );
    let feed = feed_of(&mariadb, &["parts"]);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql(
        "INSERT INTO parts (a, b) VALUES (1, 2);
         UPDATE parts SET c = 3;
         UPDATE parts SET b = 5;
         DELETE FROM parts;",
    );
    let told = follower.catch_up(&feed).await;
    assert_eq!(told[1..], ["? 2 ? ?>? 2 3 ?", "? 2 ? ?>? 5 ? ?", "-? 5 ? ?"]);
    assert!(told[0].starts_with("+1 2 "), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_columns_are_told_as_far_as_the_log_has_them() {
    let mariadb = database();
    mariadb.sql(
        "CREATE TABLE made (id int PRIMARY KEY, next int AS (id + 1) VIRTUAL,
             twice int AS (id * 2) STORED, name varchar(9))",
    );
    let feed = feed_of(&mariadb, &["made"]);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql("INSERT INTO made (id, name) VALUES (7, 'x'); UPDATE made SET name = 'y'");
    follower.catch_up(&feed).await;
    let rows = follower.notices.iter().flat_map(|notice| match notice {
        Notice::Changed(change) => change.rows().cloned().collect::<Vec<Row>>(),
        _ => Vec::new(),
    });
    let rows: Vec<Row> = rows.collect();
    assert_eq!(rows.len(), 3);
    for row in &rows {
        assert!(["8", "?"].contains(&&*field(row.get("next"))), "{row:?}");
        assert_eq!(field(row.get("twice")), "14");
    }
    assert_eq!(field(rows[2].get("name")), "y");
}

/// The names aren't in what was written before the server was told to write them.
#[tokio::test(flavor = "multi_thread")]
async fn rows_without_names_tell_their_table_as_a_whole() {
    let mariadb = database();
    let feed = feed_of(&mariadb, &["users"]);
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    mariadb.sql("SET GLOBAL binlog_row_metadata = NO_LOG; INSERT INTO users VALUES (1, 'a')");
    assert_eq!(follower.catch_up(&feed).await, ["~users"]);
    let error = feed.check().await.unwrap_err();
    assert!(error.to_string().contains("binlog_row_metadata"), "{error}");
}
