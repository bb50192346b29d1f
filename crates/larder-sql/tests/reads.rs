//! What a load is said to read, held against what it answers, in all databases.

#![allow(clippy::unwrap_used)]

mod common;

use common::{get, load, text};
use larder_core::ErrorKind;
use larder_sql::{Database, Options, Rows, SqlSource};
use larder_test::Postgres;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;

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
        let options = Options::new("shop");
        let open = |url: &str| Database::open(url, &options).unwrap();
        let postgres = Postgres::start();
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("shop.db").display());
        let shops = vec![
            Self { database: open(&postgres.url()), place: Place::Postgres(postgres) },
            Self { database: open(&url), place: Place::Sqlite(folder) },
            #[cfg(feature = "mysql")]
            {
                let mariadb = larder_test::Mariadb::start();
                Self { database: open(&mariadb.url()), place: Place::Mariadb(mariadb) }
            },
        ];
        for shop in &shops {
            shop.execute(sql).await;
        }
        shops
    }

    async fn execute(&self, sql: &str) {
        match &self.place {
            Place::Postgres(postgres) => drop(postgres.psql(sql)),
            #[cfg(feature = "mysql")]
            Place::Mariadb(mariadb) => drop(mariadb.sql(sql)),
            Place::Sqlite(folder) => {
                let file = folder.path().join("shop.db");
                let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
                let mut writer = SqliteConnection::connect_with(&options).await.unwrap();
                writer.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
                writer.close().await.unwrap();
            }
        }
    }

    /// The source of an array of rows, if it is none that can't be.
    fn source(&self, sql: &str) -> Option<SqlSource> {
        let load = larder_sql::Load { rows: Rows::Many, ..load("k:{x:int}", sql) };
        SqlSource::new(&self.database, load).ok()
    }
}

/// A number of values of a strategy, the same each time.
fn some<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// Conditions with and without the parameter, most of them with odd precedences.
fn condition() -> impl Strategy<Value = String> {
    let operand = prop_oneof![
        4 => Just("a = {x}"),
        2 => Just("{x} = a"),
        2 => Just("b = 1"),
        1 => Just("a"),
        1 => Just("b"),
        1 => Just("1"),
        1 => Just("{x}"),
        1 => Just("NOT a = {x}"),
        1 => Just("a = {x} IS NULL"),
        1 => Just("b BETWEEN 0 AND a = {x}"),
        1 => Just("b IN (0, 2)"),
        1 => Just("CASE WHEN b = 1 THEN a = {x} ELSE b = 2 END"),
        1 => Just("b = 1 /* AND */"),
    ];
    let operator = prop_oneof![
        4 => Just("AND"),
        2 => Just("OR"),
        1 => Just("XOR"),
        1 => Just("||"),
        1 => Just("&&"),
        1 => Just("="),
        1 => Just("<>"),
        1 => Just("<"),
        1 => Just("LIKE"),
        1 => Just("AND NOT"),
        1 => Just("IS"),
        1 => Just("+"),
        1 => Just("BETWEEN 0 AND"),
    ];
    let part = (operator, operand.clone(), any::<[bool; 4]>());
    (operand, prop::collection::vec(part, 0..5)).prop_map(|(first, rest)| {
        let mut text = first.to_owned();
        for (operator, operand, [left, right, rare, rarer]) in rest {
            text = if left && rare { format!("({text})") } else { text };
            text = match right && rarer {
                true => format!("{text} {operator} ({operand})"),
                false => format!("{text} {operator} {operand}"),
            };
        }
        text
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_read_but_those_that_say_the_key() {
    let rows: Vec<_> = (0..4).flat_map(|a| (0..4).map(move |b| format!("({a}, {b})"))).collect();
    let rows = rows.join(", ");
    let schema = format!("CREATE TABLE t (a BIGINT, b BIGINT); INSERT INTO t VALUES {rows}");
    for shop in Shop::all(&schema).await {
        let (mut said, mut accepted) = (0, 0);
        for condition in some(&condition(), 250) {
            let sql = format!("SELECT a FROM t WHERE {condition}");
            let Some(source) = shop.source(&sql) else { continue };
            let reads = match source.reads().await {
                Ok(reads) => reads,
                Err(error) => {
                    let kind = error.kind();
                    assert!(matches!(kind, ErrorKind::Config | ErrorKind::Refused), "{error}");
                    continue;
                }
            };
            accepted += 1;
            let Some(row) = reads.row else { continue };
            assert_eq!(row.columns, [("x".into(), "a".into())], "{sql}");
            said += 1;
            for key in 0..4 {
                let rows = text(get(&source, &format!("k:{key}")).await.unwrap()).unwrap();
                let others = rows.replace(&format!("{{\"a\":{key}}}"), "");
                assert!(!others.contains('a'), "{}: {sql} of {key}: {rows}", shop.database.kind());
            }
        }
        // Else it would say nothing about anything.
        assert!(said >= 15 && accepted >= 2 * said, "{said} of {accepted}");
    }
}

/// Queries over tables and views, with anything around them.
fn query() -> impl Strategy<Value = String> {
    let table = prop_oneof![
        Just("t1"),
        Just("t2"),
        Just("t3"),
        Just("v1"),
        Just("v2"),
        Just("t4"),
        Just("v3")
    ];
    let leaf = table.prop_map(|table| format!("SELECT n FROM {table}"));
    leaf.prop_recursive(4, 12, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            two.clone()
                .prop_map(|(a, b)| format!("SELECT x.n FROM ({a}) x JOIN ({b}) y ON x.n = y.n")),
            two.clone().prop_map(|(a, b)| format!("SELECT n FROM ({a}) x WHERE n IN ({b})")),
            two.clone().prop_map(|(a, b)| format!(
                "SELECT (SELECT MAX(n) FROM ({b}) y) AS n FROM ({a}) x"
            )),
            two.clone().prop_map(|(a, b)| format!("SELECT n FROM ({a}) x WHERE NOT EXISTS ({b})")),
            two.clone().prop_map(|(a, b)| format!("WITH t3 AS ({a}) SELECT t3.n FROM t3, ({b}) y")),
            two.clone().prop_map(|(a, b)| {
                format!("SELECT x.n FROM ({a}) x LEFT JOIN ({b}) y ON x.n = y.n")
            }),
            two.prop_map(|(a, b)| format!("SELECT n FROM ({a}) x UNION SELECT n + 1 FROM ({b}) y")),
            inner.prop_map(|a| format!("SELECT COUNT(*) AS n FROM ({a}) x")),
        ]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_named_changes_nothing() {
    const SCHEMA: &str = "
        CREATE TABLE t1 (n BIGINT); CREATE TABLE t2 (n BIGINT); CREATE TABLE t3 (n BIGINT);
        CREATE TABLE t4 (n BIGINT PRIMARY KEY);
        CREATE VIEW v1 AS SELECT n FROM t1 WHERE n > 0;
        CREATE VIEW v2 AS SELECT n FROM v1 UNION ALL SELECT n FROM t2;
        CREATE VIEW v3 AS SELECT t4.n FROM t4 LEFT JOIN t3 ON t3.n = t4.n;
        INSERT INTO t1 VALUES (1), (2); INSERT INTO t2 VALUES (1), (3);
        INSERT INTO t3 VALUES (2), (3); INSERT INTO t4 VALUES (1), (2), (3);";
    for shop in Shop::all(SCHEMA).await {
        let mut sources = Vec::new();
        for query in some(&query(), 60) {
            let sql = format!("SELECT n FROM ({query}) q WHERE n < 99 OR n = {{x}} ORDER BY n");
            let source = shop.source(&sql).unwrap();
            let reads = source.reads().await;
            let reads = reads.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
            let before = get(&source, "k:0").await.unwrap();
            sources.push((sql, source, reads.tables, before));
        }
        let mut unnamed = 0;
        for (name, value) in [("t1", 4), ("t2", 5), ("t3", 6), ("t4", 7)] {
            shop.execute(&format!("INSERT INTO {name} VALUES ({value}), ({value}1)")).await;
            for (sql, source, tables, before) in &sources {
                if tables.iter().any(|table| *table.name == *name) {
                    continue;
                }
                unnamed += 1;
                let after = get(source, "k:0").await.unwrap();
                assert_eq!(after, *before, "{} {name}: {sql}", shop.database.kind());
            }
            shop.execute(&format!("DELETE FROM {name} WHERE n >= {value}")).await;
        }
        assert!(unnamed > 40, "{unnamed}");
    }
}
