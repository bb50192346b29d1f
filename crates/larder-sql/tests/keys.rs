//! The keys that a query names, from all databases.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use larder_core::{Error, ErrorKind, Key, KeyList, KeyPages, KeyTemplate};
use larder_sql::{Database, Options, SqlKeys};
use larder_test::Postgres;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;

/// A database of either kind with the same tables.
struct Shop {
    database: Database,
    place: Place,
}

enum Place {
    Postgres(Postgres),
    Sqlite(TempDir),
    #[cfg(feature = "mysql")]
    Mariadb(larder_test::Mariadb),
}

impl Shop {
    async fn all(sql: &str) -> Vec<Self> {
        let options = Options { connections: 1, ..Options::new("shop") };
        let postgres = Postgres::start();
        let database = Database::open(&postgres.url(), &options).unwrap();
        let postgres = Self { database, place: Place::Postgres(postgres) };
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("shop.db").display());
        let sqlite = Self {
            database: Database::open(&url, &options).unwrap(),
            place: Place::Sqlite(folder),
        };
        let shops = vec![
            postgres,
            sqlite,
            #[cfg(feature = "mysql")]
            Self::mariadb(&options),
        ];
        for shop in &shops {
            shop.execute(sql).await;
        }
        shops
    }

    #[cfg(feature = "mysql")]
    fn mariadb(options: &Options) -> Self {
        let mariadb = larder_test::Mariadb::start_with(&[("max_recursive_iterations", "10000")]);
        let database = Database::open(&mariadb.url(), options).unwrap();
        Self { database, place: Place::Mariadb(mariadb) }
    }

    async fn execute(&self, sql: &str) {
        match &self.place {
            Place::Postgres(postgres) => {
                postgres.psql(sql);
            }
            #[cfg(feature = "mysql")]
            Place::Mariadb(mariadb) => {
                mariadb.sql(sql);
            }
            Place::Sqlite(folder) => {
                let file = folder.path().join("shop.db");
                let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
                let mut writer = SqliteConnection::connect_with(&options).await.unwrap();
                writer.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
                writer.close().await.unwrap();
            }
        }
    }

    fn keys(&self, template: &str, sql: &str) -> SqlKeys {
        SqlKeys::new(&self.database, &KeyTemplate::parse(template).unwrap(), sql).unwrap()
    }

    fn kind(&self) -> &'static str {
        self.database.kind()
    }
}

fn texts(keys: &[Key]) -> Vec<String> {
    keys.iter().map(|key| String::from_utf8(key.as_bytes().to_vec()).unwrap()).collect()
}

/// All keys, read in pages of this size.
async fn all(list: &SqlKeys, max: usize) -> Result<Vec<String>, Error> {
    let mut pages = list.pages();
    let mut keys = Vec::new();
    loop {
        let page = pages.next(max).await.map_err(Error::from_loader)?;
        if page.is_empty() {
            // It stays at its end.
            assert!(pages.next(max).await.unwrap().is_empty());
            return Ok(keys);
        }
        assert!(page.len() <= max);
        keys.extend(texts(&page));
    }
}

const NUMBERS: &str = "CREATE TABLE users (id bigint, seen int, name text);
    INSERT INTO users
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
    SELECT i, 5000 - i, concat('name ', i) FROM n;";

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_a_key_in_the_order_of_the_query() {
    for shop in Shop::all(NUMBERS).await {
        let list = shop.keys("user:{id:int}", "SELECT seen, id FROM users ORDER BY seen -- end");
        list.prepare().await.unwrap();
        assert_eq!(list.count().await.unwrap(), Some(5000));
        let expected: Vec<_> = (1..=5000).rev().map(|id| format!("user:{id}")).collect();
        for max in [1, 7, 1000, 1024, 5000, 100_000] {
            let keys = all(&list, max).await.unwrap();
            assert!(keys == expected, "{} by {max}: {} keys", shop.kind(), keys.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_columns_by_name_of_every_kind() {
    const UUID: &str = "0b6c1f5e-52ab-4d0e-9d42-aa90f3a7a1c4";
    let sql = format!(
        "CREATE TABLE t (n int, name text, u text, ok boolean);
         INSERT INTO t VALUES (1, 'ü b', '{UUID}', true), (-2, 'c''\"', '{UUID}', false),
            (3, NULL, '{UUID}', true), (4, 'a/b', '{UUID}', true), (5, '', '{UUID}', true);"
    );
    for shop in Shop::all(&sql).await {
        let cast = if shop.kind() == "postgres" { "u::uuid AS u" } else { "u" };
        let list = shop.keys(
            "t:{name:text}/{n:int}/{u:uuid}/{ok:bool}",
            &format!("SELECT 7 AS unused, ok, {cast}, n, name FROM t ORDER BY n"),
        );
        let expected = [format!("t:c'\"/-2/{UUID}/false"), format!("t:ü b/1/{UUID}/true")];
        assert_eq!(all(&list, 10).await.unwrap(), expected, "{}", shop.kind());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_key_query_is_refused_with_the_cure() {
    for shop in Shop::all("CREATE TABLE users (id bigint, name text);").await {
        for (template, sql, cure) in [
            ("user:{id:int}", "DELETE FROM users", "write a SELECT"),
            ("user:{id:int}", "", "the query for keys is empty"),
            ("user:{id:int}", "SELECT id FROM users; SELECT 1", "leave one query"),
            ("user:{id:int}", "SELECT id FROM users WHERE id > {id}", "nothing to bind"),
            ("users", "SELECT id FROM users", "only one key"),
        ] {
            let key = KeyTemplate::parse(template).unwrap();
            let error = SqlKeys::new(&shop.database, &key, sql).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.chain().contains(cure), "{sql}: {}", error.chain());
        }
        for (sql, cure) in [
            ("SELECT name FROM users", "has no column id, which user:{id:int} asks for"),
            ("SELECT id AS ids, name FROM users", "rename ids with AS"),
            ("SELECT nothing FROM users", "does not accept"),
            ("SELECT id FROM strangers", "does not accept"),
        ] {
            let list = shop.keys("user:{id:int}", sql);
            let error = list.prepare().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{}", error.chain());
            assert!(error.chain().contains(cure), "{sql}: {}", error.chain());
            // A reading fails as well, and leaves nothing behind.
            assert!(all(&list, 10).await.is_err());
        }
        let list = shop.keys("user:{id:int}", "SELECT id FROM users");
        assert!(all(&list, 10).await.unwrap().is_empty());
        assert_eq!(list.count().await.unwrap(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_another_kind_fails_the_reading_and_not_the_next_one() {
    for shop in Shop::all("CREATE TABLE t (id text); INSERT INTO t VALUES ('1'), ('x');").await {
        let list = shop.keys("t:{id:int}", "SELECT id FROM t ORDER BY id");
        let error = all(&list, 10).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Loader, "{}", error.chain());
        assert!(error.chain().contains("`x` in the column id, which is no int"));
        // There is one connection, and it was not left within a transaction.
        shop.execute("DELETE FROM t WHERE id = 'x'; INSERT INTO t VALUES ('2');").await;
        assert_eq!(all(&list, 10).await.unwrap(), ["t:1", "t:2"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_sees_the_table_as_it_was_and_gives_its_connection_back() {
    for shop in Shop::all(NUMBERS).await {
        if shop.kind() == "sqlite" {
            // Else nobody could write while somebody reads.
            shop.execute("PRAGMA journal_mode = WAL").await;
        }
        let list = shop.keys("user:{id:int}", "SELECT id FROM users ORDER BY id");
        let mut pages = list.pages();
        assert_eq!(texts(&pages.next(2).await.unwrap()), ["user:1", "user:2"]);
        shop.execute("DELETE FROM users WHERE id > 10").await;
        let mut rest = 0;
        loop {
            match pages.next(100).await.unwrap().len() {
                0 => break,
                keys => rest += keys,
            }
        }
        assert_eq!(rest, 4998);
        // Of the only connection.
        assert_eq!(all(&list, 100).await.unwrap().len(), 10);
        // One that is dropped half-way gives it back too.
        let mut pages = list.pages();
        assert_eq!(pages.next(1).await.unwrap().len(), 1);
        drop(pages);
        assert_eq!(list.count().await.unwrap(), Some(10));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_waited_for_longer_than_a_statement_may_take() {
    for shop in Shop::all(NUMBERS).await {
        let (url, sleep, endless) = match &shop.place {
            Place::Postgres(server) => {
                (server.url(), "pg_sleep(0.003)", "FROM users, pg_sleep(10)")
            }
            Place::Sqlite(_) => continue,
            #[cfg(feature = "mysql")]
            Place::Mariadb(server) => {
                (server.url(), "SLEEP(0.003)", "FROM users WHERE SLEEP(10) = 0")
            }
        };
        let options = Options { load_timeout: Duration::from_millis(100), ..Options::new("shop") };
        let database = Database::open(&url, &options).unwrap();
        let key = KeyTemplate::parse("user:{id:int}").unwrap();
        // The first page alone takes longer than a load may: each of its rows sleeps.
        let sql = format!("SELECT id, {sleep} FROM users WHERE id <= 100");
        let list = SqlKeys::new(&database, &key, &sql).unwrap();
        assert_eq!(all(&list, 10).await.unwrap().len(), 100);
        // To count them takes too long, and is no failure.
        let slow = SqlKeys::new(&database, &key, &format!("SELECT id {endless}")).unwrap();
        assert_eq!(slow.count().await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_down_is_a_source_down() {
    let options = Options::new("shop");
    for url in [
        "postgres://localhost:1/shop",
        "sqlite:///no/such/folder/shop.db",
        #[cfg(feature = "mysql")]
        "mysql://localhost:1/shop",
    ] {
        let database = Database::open(url, &options).unwrap();
        let key = KeyTemplate::parse("user:{id:int}").unwrap();
        let list = SqlKeys::new(&database, &key, "SELECT id FROM users").unwrap();
        assert_eq!(all(&list, 10).await.unwrap_err().kind(), ErrorKind::SourceDown, "{url}");
        let counted = list.count().await.map_err(Error::from_loader);
        assert_eq!(counted.unwrap_err().kind(), ErrorKind::SourceDown);
    }
}
