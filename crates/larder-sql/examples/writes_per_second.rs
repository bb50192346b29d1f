//! How many writes a second single commits and batches make, in Postgres and SQLite, on real disks.
//!
//! `cargo run --release -p larder-sql --example writes_per_second`

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use larder_core::sink::{Numbered, Sequence};
use larder_core::{Key, KeyTemplate, Sink, Value, Write};
use larder_sql::{Database, Format, Load, Options, Rows, SqlSink, WriteTables, Writes};
use larder_test::{Postgres, Proxy};
use sqlx::ConnectOptions;

/// How many rows there are.
const ROWS: usize = 10_000;

/// How long each is measured.
const MEASURED: Duration = Duration::from_secs(2);

const TABLES: [&str; 2] = [
    "CREATE TABLE users (id bigint PRIMARY KEY, name text, email text)",
    "CREATE TABLE counters (id bigint PRIMARY KEY, n bigint)",
];

fn writes(cache: &str) -> Writes {
    let load = |key: &str, sql: &str, format| Load {
        key: KeyTemplate::parse(key).unwrap(),
        sql: sql.to_owned(),
        rows: Rows::One,
        format,
        tags: Vec::new(),
    };
    if cache == "user" {
        let store = "INSERT INTO users (id, name, email) VALUES ({id}, {name}, {email})
            ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, email = EXCLUDED.email
            RETURNING *";
        let sql = "SELECT id, name, email FROM users WHERE id = {id}";
        let load = load("user:{id:int}", sql, Format::Json);
        return Writes { store: Some(store.to_owned()), ..Writes::new(cache, load) };
    }
    let add = "UPDATE counters SET n = n + {delta} WHERE id = {id} RETURNING n";
    let load = load("counter:{id:int}", "SELECT n FROM counters WHERE id = {id}", Format::Raw);
    Writes { add: Some(add.to_owned()), ..Writes::new(cache, load) }
}

fn write(cache: &str, id: usize, number: u64) -> (Key, Write<Value>) {
    let write = match cache {
        "user" => {
            let json = format!(r#"{{"id":{id},"name":"Ada {number}","email":"{id}@example.org"}}"#);
            Write::Store(Value::json(json))
        }
        _ => Write::Add(1),
    };
    (Key::from(format!("{cache}:{id}").as_str()), write)
}

/// Writes in a second, in batches of `size`; 0 are single commits.
async fn measure(sink: &SqlSink, cache: &str, size: usize) -> f64 {
    let epoch = sink.own("example").await.unwrap();
    let (mut done, mut number, start) = (0_usize, 0_u64, Instant::now());
    while start.elapsed() < MEASURED {
        number += 1;
        if size == 0 {
            let (key, write) = write(cache, done * 7_919 % ROWS + 1, number);
            sink.write(&key, &write).await.unwrap();
            done += 1;
            continue;
        }
        let numbered = |at: usize| {
            let (key, write) = write(cache, (done + at) * 7_919 % ROWS + 1, number);
            Numbered { key, write, sequence: Sequence { epoch, number }, letter: None }
        };
        let batch: Vec<_> = (0..size).map(numbered).collect();
        sink.apply(epoch, &batch).await.unwrap();
        done += size;
    }
    done as f64 / start.elapsed().as_secs_f64()
}

async fn table(heading: &str, database: &Database) {
    println!("\n{heading}");
    println!("| writes/s | single | 1 | 100 | 1,000 | 1,000 : single |");
    println!("|---|---|---|---|---|---|");
    for cache in ["user", "counter"] {
        let sink = SqlSink::new(database, writes(cache)).unwrap();
        let mut rates = Vec::new();
        for size in [0, 1, 100, 1_000] {
            rates.push(measure(&sink, cache, size).await);
        }
        let [single, one, hundred, thousand] = rates[..] else { unreachable!() };
        let ratio = thousand / single;
        println!(
            "| {cache} | {single:.0} | {one:.0} | {hundred:.0} | {thousand:.0} | {ratio:.1} |"
        );
    }
}

#[tokio::main]
async fn main() {
    let postgres = Postgres::start_with(&[("fsync", "on")]);
    let fill = |sql: &str| format!("INSERT INTO counters {sql}");
    for table in TABLES {
        postgres.psql(table);
    }
    postgres.psql(&fill(&format!("SELECT i, 0 FROM generate_series(1, {ROWS}) AS g(i)")));
    let database = Database::open(&postgres.url(), &Options::new("shop")).unwrap();
    WriteTables::of(&database).install().await.unwrap();
    table("Postgres", &database).await;

    let proxy = Proxy::to(("127.0.0.1", postgres.port()));
    proxy.delay(Duration::from_micros(500));
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", proxy.port());
    let far = Database::open(&url, &Options::new("shop")).unwrap();
    table("Postgres, a millisecond away", &far).await;

    // Not in memory, where a folder for temporary files may lie.
    let folder = std::env::current_dir().unwrap().join("target/writes_per_second");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("shop.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    let rows = format!(
        "WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < {ROWS})
         SELECT i, 0 FROM g"
    );
    for sql in ["PRAGMA journal_mode = WAL", TABLES[0], TABLES[1], &fill(&rows)] {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::Executor::execute(&mut connection, sql).await.unwrap();
    }
    let url = format!("sqlite://{}", file.display());
    let database = Database::open(&url, &Options::new("shop")).unwrap();
    WriteTables::of(&database).install().await.unwrap();
    table("SQLite, with a write-ahead log", &database).await;
    drop(connection);
    let _ = std::fs::remove_dir_all(&folder);
}
