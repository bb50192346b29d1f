//! What loads read in MariaDB: tables, rows, and what nobody tells a change of.

#![cfg(feature = "mysql")]
#![allow(clippy::unwrap_used)]

mod common;

use common::{load, source};
use larder_core::ErrorKind;
use larder_core::change::Table;
use larder_sql::{Database, Options, Reads};
use larder_test::Mariadb;

const SCHEMA: &str = "
    CREATE TABLE users (id BIGINT PRIMARY KEY, Name VARCHAR(99) COLLATE utf8mb4_nopad_bin,
        email VARCHAR(99) COLLATE utf8mb4_general_ci, padded VARCHAR(9) COLLATE utf8mb4_bin,
        fixed CHAR(9) COLLATE utf8mb4_nopad_bin, tenant INT UNSIGNED, zeros INT ZEROFILL,
        price DECIMAL(9, 2), code UUID, at DATETIME, doc JSON, twice BIGINT AS (id * 2) STORED,
        latin VARCHAR(9) CHARACTER SET latin1 COLLATE latin1_nopad_bin, blobs VARBINARY(9));
    CREATE TABLE orders (id BIGINT PRIMARY KEY, user_id BIGINT, total DECIMAL(9, 2));
    CREATE DATABASE other;
    CREATE TABLE other.notes (id INT, text TEXT);
    CREATE TABLE other.parents (id INT PRIMARY KEY, up INT,
        FOREIGN KEY (up) REFERENCES parents (id) ON DELETE CASCADE);
    CREATE TABLE children (id INT PRIMARY KEY, parent INT,
        FOREIGN KEY (parent) REFERENCES other.parents (id) ON DELETE SET NULL);
    CREATE TABLE strict (id INT PRIMARY KEY, parent INT,
        FOREIGN KEY (parent) REFERENCES children (id));
    CREATE VIEW names AS SELECT id, name FROM users;
    CREATE VIEW sums AS SELECT n.name, (SELECT SUM(total) FROM orders o WHERE o.user_id = n.id) AS s
        FROM names n;
    CREATE VIEW clocks AS SELECT id, NOW() AS now FROM users;
    CREATE VIEW other.away AS SELECT id, text, CONVERT(text USING latin1) AS l,
        CAST(id AS CHAR) AS c, id DIV 2 AS half FROM other.notes WHERE text LIKE 'a%' OR NOT id <=> 7;
    CREATE TABLE mem (id INT) ENGINE = MEMORY;
    CREATE TABLE versioned (id INT) WITH SYSTEM VERSIONING;
    CREATE SEQUENCE numbers;
    CREATE FUNCTION twice(n BIGINT) RETURNS BIGINT DETERMINISTIC RETURN 2 * n;
    INSERT INTO users (id, name) VALUES (1, 'ann');
";

fn start() -> (Mariadb, Database) {
    let mariadb = Mariadb::start();
    mariadb.sql(SCHEMA);
    let options = Options { connections: 1, ..Options::new("shop") };
    let database = Database::open(&mariadb.url(), &options).unwrap();
    (mariadb, database)
}

/// What it reads, the names of its own database left out.
async fn reads(database: &Database, key: &str, sql: &str) -> (Reads, String) {
    let reads = source(database, load(key, sql)).reads().await;
    let reads = reads.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
    let name = |table: &Table| match &*table.schema {
        "other" => table.to_string(),
        _ => table.name.to_string(),
    };
    let mut names: Vec<_> = reads.tables.iter().map(name).collect();
    names.sort();
    let names = names.join(" ");
    (reads, names)
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_named_through_views() {
    let (_mariadb, database) = start();
    for (sql, tables) in [
        ("SELECT name FROM users WHERE id = {id}", "users"),
        (
            "SELECT u.name, o.total FROM users u JOIN orders o ON o.user_id = u.id AND o.id = {id}",
            "orders users",
        ),
        ("SELECT name, s FROM sums WHERE name = {id}", "orders users"),
        (
            "SELECT 1 FROM other.notes WHERE EXISTS (SELECT 1 FROM users WHERE id = {id})",
            "other.notes users",
        ),
        ("SELECT id, l, c, half FROM other.away WHERE id = {id}", "other.notes"),
        ("WITH x AS (SELECT * FROM orders) SELECT * FROM x WHERE id = {id}", "orders"),
        // A name of a WITH may be a table elsewhere: it is named, too.
        (
            "WITH users AS (SELECT * FROM orders) SELECT * FROM users WHERE id = {id}",
            "orders users",
        ),
        (
            "WITH RECURSIVE up(id) AS (SELECT {id} UNION SELECT user_id FROM orders JOIN up USING \
          (id)) SELECT MAX(id) FROM up",
            "orders",
        ),
        (
            "SELECT id FROM users WHERE id = {id} UNION ALL (SELECT id FROM other.notes LIMIT 1)",
            "other.notes users",
        ),
        (
            "SELECT u.id FROM users u LEFT JOIN orders o ON o.id = u.id WHERE u.id = {id}",
            "orders users",
        ),
        (
            "SELECT j.a FROM users u, JSON_TABLE(u.doc, '$[*]' COLUMNS (a INT PATH '$.a')) AS j WHERE \
          u.id = {id}",
            "users",
        ),
        ("SELECT {id} FROM DUAL", ""),
        ("SELECT {id}", ""),
        ("SELECT id FROM versioned WHERE id = {id}", "versioned"),
        (
            "SELECT UPPER(name), COALESCE(name, 1), CONCAT(name, 'a', \"b\"), JSON_OBJECT('a', id), \
          DATE_FORMAT(at, '%Y'), UNIX_TIMESTAMP(at), CAST(id AS CHAR), COUNT(*) OVER (), IF(id, 1, 2), \
          at + INTERVAL 1 DAY, EXTRACT(YEAR FROM at), SUBSTRING(name, 1, 2), TRIM(name), ROUND(price) \
          FROM users WHERE id = {id} -- a comment",
            "users",
        ),
        // The rows of the first go with those of the second, and these with one another.
        ("SELECT id FROM children WHERE id = {id}", "children other.parents"),
        ("SELECT id FROM strict WHERE id = {id}", "strict"),
    ] {
        let (_, names) = reads(&database, "k:{id:int}", sql).await;
        assert_eq!(names, tables, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_without_a_row_is_refused_by_its_name() {
    let (_mariadb, database) = start();
    for (sql, name) in [
        ("SELECT NOW(), {id}", "now()"),
        ("SELECT RAND() FROM users WHERE id = {id}", "rand()"),
        ("SELECT UUID() FROM users WHERE id = {id}", "uuid()"),
        ("SELECT id FROM users WHERE id = {id} AND at > CURRENT_TIMESTAMP", "current_timestamp()"),
        ("SELECT id FROM users WHERE id = {id} AND at > CURDATE()", "curdate()"),
        ("SELECT id FROM users WHERE id = {id} AND at > CURRENT_DATE", "current_date()"),
        ("SELECT UNIX_TIMESTAMP() FROM users WHERE id = {id}", "unix_timestamp()"),
        ("SELECT SYSDATE() FROM users WHERE id = {id}", "sysdate()"),
        ("SELECT id FROM users WHERE id = {id} AND name = CURRENT_USER", "current_user()"),
        ("SELECT USER() FROM users WHERE id = {id}", "user()"),
        ("SELECT CONNECTION_ID() FROM users WHERE id = {id}", "connection_id()"),
        ("SELECT LAST_INSERT_ID() FROM users WHERE id = {id}", "last_insert_id()"),
        ("SELECT twice(id) FROM users WHERE id = {id}", "twice()"),
        ("SELECT @x FROM users WHERE id = {id}", "variable"),
        ("SELECT @@sql_mode FROM users WHERE id = {id}", "variable"),
        ("SELECT id FROM users WHERE id = {id} LOCK IN SHARE MODE", "can't be read here"),
        ("SELECT id, now FROM clocks WHERE id = {id}", "the view"),
        ("SELECT id FROM mem WHERE id = {id}", "the engine memory"),
        ("SELECT minimum_value FROM numbers WHERE minimum_value = {id}", "the sequence"),
        ("SELECT id FROM versioned FOR SYSTEM_TIME AS OF '2020-01-01' WHERE id = {id}", "reads"),
        (
            "SELECT table_name FROM information_schema.tables WHERE table_rows = {id}",
            "the server's own",
        ),
    ] {
        let asked = source(&database, load("k:{id:int}", sql)).reads().await;
        let error = asked.err().unwrap_or_else(|| panic!("{sql}"));
        let message = error.chain();
        assert!(message.contains(name) || message.contains("can't be read"), "{sql}: {message}");
        assert_eq!(error.kind(), ErrorKind::Refused, "{sql}: {message}");
    }
    // The only connection is as good as before.
    let source = source(&database, load("k:{id:int}", "SELECT name FROM users WHERE id = {id}"));
    assert_eq!(common::answer(&source, "k:1").await.unwrap(), "{\"name\":\"ann\"}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_says_its_key_where_each_parameter_is_a_column() {
    let (_mariadb, database) = start();
    for (key, sql, columns) in [
        ("k:{id:int}", "SELECT * FROM users WHERE ID = {id}", "id=id"),
        (
            "k:{t:int}:{n:text}",
            "SELECT COUNT(*) FROM users u WHERE u.tenant = {t} AND ({n} = `NAME`) \
          AND (price > 3 OR price IS NULL) AND id BETWEEN 1 AND 9 ORDER BY 1 LIMIT 1",
            "t=tenant n=Name",
        ),
        ("k:{n:uuid}", "SELECT id FROM users WHERE name = {n}", "n=Name"),
        ("k:{id:int}", "SELECT parent FROM strict WHERE id = {id}", "id=id"),
    ] {
        let (reads, _) = reads(&database, key, sql).await;
        let row = reads.row.unwrap_or_else(|| panic!("{sql}: {:?}", reads.why_not));
        let pairs: Vec<_> = row.columns.iter().map(|(p, c)| format!("{p}={c}")).collect();
        assert_eq!(pairs.join(" "), columns, "{sql}");
        assert_eq!([row.table], reads.tables[..], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_row_does_not_say_its_key_there_is_a_reason() {
    let (_mariadb, database) = start();
    for (key, sql, why) in [
        ("k:{e:text}", "SELECT id FROM users WHERE email = {e}", "collation utf8mb4_general_ci"),
        // 'a' and 'a ' are equal there.
        ("k:{e:text}", "SELECT id FROM users WHERE padded = {e}", "collation utf8mb4_bin"),
        ("k:{e:text}", "SELECT id FROM users WHERE latin = {e}", "collation latin1"),
        ("k:{e:text}", "SELECT id FROM users WHERE fixed = {e}", "is a char(9)"),
        ("k:{e:text}", "SELECT id FROM users WHERE blobs = {e}", "is a varbinary(9)"),
        ("k:{e:uuid}", "SELECT id FROM users WHERE code = {e}", "is a uuid"),
        ("k:{e:text}", "SELECT id FROM users WHERE LOWER(name) = {e}", "has no condition"),
        (
            "k:{e:text}",
            "SELECT id FROM users WHERE name = {e} COLLATE utf8mb4_general_ci",
            "has no condition",
        ),
        ("k:{p:int}", "SELECT id FROM users WHERE zeros = {p}", "zerofill"),
        ("k:{p:int}", "SELECT id FROM users WHERE price = {p}", "decimal"),
        ("k:{p:int}", "SELECT id FROM users WHERE twice = {p}", "generated"),
        ("k:{p:text}", "SELECT id FROM users WHERE id = {p}", "of another kind"),
        ("k:{p:int}", "SELECT id FROM users WHERE name = {p}", "of another kind"),
        ("k:{id:int}", "SELECT id FROM users WHERE id = {id} OR price", "has no condition"),
        ("k:{id:int}", "SELECT id FROM users WHERE price || email AND id = {id}", "operator ||"),
        ("k:{id:int}", "SELECT id FROM users WHERE price XOR email AND id = {id}", "operator XOR"),
        ("k:{id:int}", "SELECT name FROM names WHERE id = {id}", "through a view"),
        ("k:{id:int}", "SELECT COUNT(*) FROM users a, users b WHERE a.id = {id}", "joins"),
        (
            "k:{id:int}",
            "SELECT (SELECT COUNT(*) FROM users) FROM users WHERE id = {id}",
            "another query",
        ),
        ("k:{id:int}", "SELECT id FROM children WHERE id = {id}", "a foreign key"),
        ("k:all", "SELECT COUNT(*) FROM users", "has no parameter"),
        ("k:{id:int}", "SELECT {id}", "reads no table"),
    ] {
        let (reads, _) = reads(&database, key, sql).await;
        assert_eq!(reads.row, None, "{sql}");
        let said = reads.why_not.unwrap();
        assert!(said.contains(why), "{sql}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_not_shown_is_to_be_granted() {
    let (mariadb, database) = start();
    let (reads, _) = reads(&database, "k:{id:int}", "SELECT name FROM users WHERE id = {id}").await;
    let home = &reads.tables[0].schema;
    mariadb.sql(&format!(
        "CREATE USER ann; GRANT SELECT ON {home}.* TO ann; GRANT SELECT ON other.* TO ann;"
    ));
    let url = mariadb.url().replace("larder@", "ann@");
    let ann = Database::open(&url, &Options::new("shop")).unwrap();
    let asked = source(&ann, load("k:{id:int}", "SELECT name FROM names WHERE id = {id}"));
    let error = asked.reads().await.unwrap_err();
    assert!(error.chain().contains("GRANT SHOW VIEW"), "{}", error.chain());
    assert_eq!(error.kind(), ErrorKind::Config);
    // Whose rows a foreign key changes is seen by whoever may read them.
    let asked = source(&ann, load("k:{id:int}", "SELECT id FROM children WHERE id = {id}"));
    assert_eq!(asked.reads().await.unwrap().tables.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_of_a_row_is_what_the_log_is_sure_to_hold() {
    let (mariadb, database) = start();
    let (reads, _) = reads(&database, "k:{id:int}", "SELECT name FROM users WHERE id = {id}").await;
    let home = reads.tables[0].schema.clone();
    let table = |name: &str| Table { schema: home.clone(), name: name.into() };
    let identity =
        async |name: &str| database.identity(&table(name)).await.map(|all| all.join(" "));
    assert_eq!(identity("orders").await.unwrap(), "id user_id total");
    mariadb.sql("SET GLOBAL binlog_row_image = MINIMAL");
    assert_eq!(identity("orders").await.unwrap(), "id");
    assert_eq!(identity("versioned").await.unwrap(), "");
    for none in ["names", "Orders", "nobody"] {
        assert_eq!(identity(none).await.unwrap_err().kind(), ErrorKind::Config, "{none}");
    }
}

#[test]
fn a_row_that_goes_with_another_one_is_not_in_the_log() {
    let log = [("log_bin", "log"), ("binlog_format", "ROW"), ("server_id", "1")];
    let mariadb = Mariadb::start_with(&log);
    mariadb.sql(
        "CREATE TABLE up (id INT PRIMARY KEY);
         CREATE TABLE down (id INT, FOREIGN KEY (id) REFERENCES up (id) ON DELETE CASCADE);
         INSERT INTO up VALUES (1); INSERT INTO down VALUES (1);
         FLUSH BINARY LOGS; DELETE FROM up",
    );
    assert_eq!(mariadb.sql("SELECT COUNT(*) FROM down"), "0");
    let last = mariadb.sql("SHOW BINARY LOGS");
    let last = last.lines().last().unwrap().split('|').next().unwrap().to_owned();
    let events = mariadb.sql(&format!("SHOW BINLOG EVENTS IN '{last}'"));
    // One row of one table, although two are gone.
    assert!(events.contains("(shop.up)"), "{events}");
    assert_eq!(events.matches("Delete_rows").count(), 1, "{events}");
}
