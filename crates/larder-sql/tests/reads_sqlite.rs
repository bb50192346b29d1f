//! What loads read in SQLite: tables, rows, and what nobody tells a change of.

#![allow(clippy::unwrap_used)]

mod common;

use common::{load, source};
use larder_core::ErrorKind;
use larder_core::change::Table;
use larder_sql::{Database, Options, Reads};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Executor};
use tempfile::TempDir;

const SCHEMA: &str = "
    CREATE TABLE Users (id INTEGER PRIMARY KEY, Name TEXT, email VARCHAR(99) COLLATE NOCASE,
        tenant BIGINT, price NUMERIC, any, twice INT AS (id * 2), doc TEXT,
        padded TEXT COLLATE RTRIM, \"odd name\" TEXT);
    CREATE INDEX users_by_name ON Users (Name, tenant);
    CREATE INDEX users_by_case ON Users (Name COLLATE NOCASE);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INT UNIQUE, total REAL);
    CREATE TABLE pairs (a TEXT, b INT, PRIMARY KEY (a, b)) WITHOUT ROWID;
    CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT);
    CREATE VIEW names AS SELECT id, name FROM users;
    CREATE VIEW sums AS SELECT n.name, (SELECT sum(total) FROM orders o WHERE o.user_id = n.id) AS s
        FROM names n;
    CREATE VIEW clocks AS SELECT id, name, datetime('now') AS at FROM users;
    CREATE VIEW words AS SELECT value FROM users, json_each(users.doc);
    CREATE VIRTUAL TABLE texts USING fts5(body);
    CREATE VIEW found AS SELECT * FROM texts;
    INSERT INTO Users (id, name) VALUES (1, 'ann');
";

async fn start() -> (TempDir, Database) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let mut writer = SqliteConnection::connect_with(&options).await.unwrap();
    writer.execute(SCHEMA).await.unwrap();
    writer.close().await.unwrap();
    let url = format!("sqlite://{}", file.display());
    let options = Options { connections: 1, ..Options::new("shop") };
    let database = Database::open(&url, &options).unwrap();
    (folder, database)
}

async fn reads(database: &Database, key: &str, sql: &str) -> Reads {
    let reads = source(database, load(key, sql)).reads().await;
    reads.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()))
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_named_through_views() {
    let (_folder, database) = start().await;
    for (sql, tables) in [
        ("SELECT name FROM users WHERE id = {id}", "Users"),
        ("SELECT count(*) FROM users", "Users"),
        (
            "SELECT u.name, o.total FROM users u JOIN orders o ON o.user_id = u.id AND o.id = {id}",
            "Users orders",
        ),
        ("SELECT name, s FROM sums WHERE name = {id}", "Users orders"),
        ("SELECT b FROM pairs WHERE a = {id} AND b IN (SELECT id FROM orders)", "orders pairs"),
        ("WITH users AS (SELECT * FROM orders) SELECT * FROM users WHERE id = {id}", "orders"),
        (
            "WITH RECURSIVE up(id) AS (SELECT {id} UNION SELECT user_id FROM orders JOIN up USING \
          (id)) SELECT max(id) FROM up",
            "orders",
        ),
        ("SELECT id FROM users WHERE id = {id} UNION ALL SELECT b FROM pairs", "Users pairs"),
        ("SELECT id FROM users WHERE id = {id} OR tenant = {id}", "Users"),
        ("SELECT name FROM clocks WHERE id = {id}", "Users"),
        ("SELECT value FROM words WHERE value = {id}", "Users"),
        ("SELECT j.value FROM json_each('[1]') j WHERE j.value = {id}", ""),
        ("SELECT {id}", ""),
        (
            "SELECT upper(name), coalesce(name, 1), json_object('a', id), printf('%d', id), iif(id, 1, \
          2), name LIKE 'a%', group_concat(name), sum(id) OVER (ORDER BY name), max(id, 2) \
          FROM users WHERE id = {id}",
            "Users",
        ),
        ("SELECT json_group_array(id), total(id), count(*) FROM users WHERE id = {id}", "Users"),
        // Whatever the other table holds, the answer is the same.
        ("SELECT u.name FROM users u LEFT JOIN orders o ON o.id = u.id WHERE u.id = {id}", "Users"),
    ] {
        let reads = reads(&database, "k:{id:int}", sql).await;
        let names: Vec<_> = reads.tables.iter().map(ToString::to_string).collect();
        assert_eq!(names.join(" "), tables, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_without_a_row_is_refused_by_its_name() {
    let (_folder, database) = start().await;
    for (sql, name) in [
        ("SELECT random() FROM users WHERE id = {id}", "random()"),
        ("SELECT hex(randomblob(4)) FROM users WHERE id = {id}", "randomblob()"),
        ("SELECT id FROM users WHERE tenant = {id} ORDER BY random()", "random()"),
        ("SELECT CURRENT_TIMESTAMP FROM users WHERE id = {id}", "current_timestamp()"),
        ("SELECT id FROM users WHERE id = {id} AND name > current_date", "current_date()"),
        ("SELECT date('now') FROM users WHERE id = {id}", "date()"),
        ("SELECT unixepoch() FROM users WHERE id = {id}", "unixepoch()"),
        ("SELECT strftime('%Y', name) FROM users WHERE id = {id}", "strftime()"),
        ("SELECT at FROM clocks WHERE id = {id}", "datetime()"),
        ("SELECT last_insert_rowid() FROM users WHERE id = {id}", "last_insert_rowid()"),
        ("SELECT changes() FROM users WHERE id = {id}", "changes()"),
        ("SELECT body FROM texts WHERE texts MATCH {id}", "the virtual table texts"),
        ("SELECT body FROM \"Texts\" WHERE rowid = {id}", "the virtual table texts"),
        ("SELECT body FROM found WHERE body = {id}", "the virtual table texts"),
        ("SELECT body FROM found, json_each('[1]') WHERE body = {id}", "the virtual table texts"),
        ("SELECT name FROM pragma_table_info('users') WHERE cid = {id}", "pragma_table_info"),
        ("SELECT * FROM dbstat WHERE pageno = {id}", "dbstat"),
        ("SELECT block FROM texts_data WHERE id = {id}", "texts_data"),
        ("SELECT name FROM sqlite_schema WHERE rootpage = {id}", "sqlite_schema"),
        ("SELECT seq FROM sqlite_sequence WHERE seq = {id}", "sqlite_sequence"),
    ] {
        let reads = source(&database, load("k:{id:int}", sql)).reads().await;
        let error = reads.err().unwrap_or_else(|| panic!("{sql}"));
        assert!(error.chain().contains(name), "{sql}: {}", error.chain());
        assert_eq!(error.kind(), ErrorKind::Refused, "{sql}");
    }
    // The only connection is as good as before.
    let source = source(&database, load("k:{id:int}", "SELECT name FROM users WHERE id = {id}"));
    assert_eq!(common::answer(&source, "k:1").await.unwrap(), "{\"Name\":\"ann\"}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_says_its_key_where_each_parameter_is_a_column() {
    let (_folder, database) = start().await;
    for (key, sql, columns) in [
        ("k:{id:int}", "SELECT * FROM users WHERE ID == {id}", "id=id"),
        (
            "k:{t:int}:{n:text}",
            "SELECT count(*) FROM users AS u WHERE \
          u.tenant = {t} AND ({n} = [NAME]) AND (price > 3 OR price IS NULL) LIMIT 1",
            "t=tenant n=Name",
        ),
        ("k:{n:uuid}", "SELECT id FROM main.users WHERE \"Name\" = {n}", "n=Name"),
        ("k:{o:text}", "SELECT id FROM users WHERE `odd name` = {o}", "o=odd name"),
        ("k:{a:text}", "SELECT max(b) FROM pairs WHERE a = {a}", "a=a"),
    ] {
        let reads = reads(&database, key, sql).await;
        let row = reads.row.unwrap_or_else(|| panic!("{sql}: {:?}", reads.why_not));
        let pairs: Vec<_> = row.columns.iter().map(|(p, c)| format!("{p}={c}")).collect();
        assert_eq!(pairs.join(" "), columns, "{sql}");
        assert_eq!([row.table], reads.tables[..], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_row_does_not_say_its_key_there_is_a_reason() {
    let (_folder, database) = start().await;
    for (key, sql, why) in [
        ("k:{e:text}", "SELECT id FROM users WHERE email = {e}", "collation"),
        ("k:{e:text}", "SELECT id FROM users WHERE padded = {e}", "collation"),
        ("k:{e:text}", "SELECT id FROM users WHERE name = {e} COLLATE NOCASE", "has no condition"),
        ("k:{e:text}", "SELECT id FROM users WHERE lower(name) = {e}", "has no condition"),
        ("k:{p:int}", "SELECT id FROM users WHERE price = {p}", "neither"),
        ("k:{p:int}", "SELECT id FROM users WHERE any = {p}", "neither"),
        ("k:{p:int}", "SELECT id FROM users WHERE twice = {p}", "generated"),
        ("k:{p:text}", "SELECT id FROM users WHERE id = {p}", "of another kind"),
        ("k:{p:int}", "SELECT id FROM users WHERE name = {p}", "of another kind"),
        ("k:{p:bool}", "SELECT id FROM users WHERE tenant = {p}", "of another kind"),
        ("k:{p:int}", "SELECT id FROM users WHERE rowid = {p}", "no column"),
        ("k:{id:int}", "SELECT id FROM users WHERE id = {id} OR price", "has no condition"),
        ("k:{id:int}", "SELECT name FROM names WHERE id = {id}", "through a view"),
        ("k:{id:int}", "SELECT count(*) FROM users a, users b WHERE a.id = {id}", "joins"),
        (
            "k:{id:int}",
            "SELECT (SELECT count(*) FROM users) FROM users WHERE id = {id}",
            "another query",
        ),
        (
            "k:{id:int}",
            "SELECT u.name FROM users u JOIN orders o ON o.id = u.id WHERE u.id = {id}",
            "more than one table",
        ),
        ("k:all", "SELECT count(*) FROM users", "has no parameter"),
        ("k:{id:int}", "SELECT {id}", "reads no table"),
    ] {
        let reads = reads(&database, key, sql).await;
        assert_eq!(reads.row, None, "{sql}");
        let said = reads.why_not.unwrap();
        assert!(said.contains(why), "{sql}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_is_seen() {
    let (folder, database) = start().await;
    let source = source(&database, load("k:{id:int}", "SELECT name FROM names WHERE id = {id}"));
    assert_eq!(source.reads().await.unwrap().tables[0].to_string(), "Users");
    let options = SqliteConnectOptions::new().filename(folder.path().join("shop.db"));
    let mut writer = SqliteConnection::connect_with(&options).await.unwrap();
    let change = "DROP VIEW names; CREATE VIEW names AS SELECT b AS id, a AS name FROM pairs";
    writer.execute(change).await.unwrap();
    assert_eq!(source.reads().await.unwrap().tables[0].to_string(), "pairs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_tells_every_column() {
    let (_folder, database) = start().await;
    let table = |name: &str| Table { schema: "".into(), name: name.into() };
    let columns = database.identity(&table("pairs")).await.unwrap();
    assert_eq!(columns.join(" "), "a b");
    assert_eq!(database.identity(&table("Users")).await.unwrap().len(), 10);
    for none in ["names", "nobody"] {
        let error = database.identity(&table(none)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}
