//! What a batch alone makes of a sink: how many writes a second reach the database in single
//! commits and in batches of some sizes, one after the other, by one caller.
//!
//! It explains the results and isn't one: neither the journal nor the joining of writes is in it.

use std::time::{Duration, Instant};

use larder_core::sink::{Numbered, Sequence};
use larder_core::{Key, Result, Sink, Value, Write};
use larder_sql::SqlSink;
use larder_test::Proxy;

use super::database::Database;
use super::larder::{shop, writes};
use super::workload::{KEYS, Kind, body};

/// Who owns the caches meanwhile.
const OWNER: &str = "bench";
/// How many writes a batch has, if there are as many keys; 0 are single commits.
const SIZES: [usize; 4] = [0, 1, 100, 1_000];
/// How many rows there are.
const ROWS: usize = 10_000;
/// What a network puts in front of a database, each way.
const FAR: Duration = Duration::from_micros(500);

/// Measures each size for so long, and prints it.
pub(super) async fn print(
    databases: &[Database; 2],
    measured: Duration,
) -> std::result::Result<(), String> {
    println!("writes per second of one caller, by the size of its batches");
    println!("| | single commits | 1 | 100 | 1,000 |");
    println!("|---|---|---|---|---|");
    for database in databases {
        let name = database.name();
        print_one(name, database, &database.url(), measured).await?;
        if let Some(port) = database.port() {
            let proxy = Proxy::to(("127.0.0.1", port));
            proxy.delay(FAR);
            let url = database.url().replace(&port.to_string(), &proxy.port().to_string());
            print_one(&format!("{name}, a millisecond away"), database, &url, measured).await?;
        }
    }
    println!();
    Ok(())
}

async fn print_one(
    name: &str,
    database: &Database,
    url: &str,
    measured: Duration,
) -> std::result::Result<(), String> {
    for kind in Kind::ALL {
        database.empty(kind).await?;
        let rates = rates(database, url, kind, measured).await;
        let rates = rates.map_err(|error| error.chain().to_string())?;
        println!("| {name}, {} | {} |", kind.name(), rates.join(" | "));
    }
    Ok(())
}

async fn rates(
    database: &Database,
    url: &str,
    kind: Kind,
    measured: Duration,
) -> Result<Vec<String>> {
    let shop = shop(database.name(), url).await?;
    let sink = SqlSink::new(&shop, writes(database, kind)?)?;
    let mut rates = Vec::new();
    for size in SIZES {
        rates.push(format!("{:.0}", rate(&sink, kind, size, measured).await?));
    }
    let epoch = sink.own(OWNER).await?;
    sink.disown(epoch).await?;
    Ok(rates)
}

async fn rate(sink: &SqlSink, kind: Kind, size: usize, measured: Duration) -> Result<f64> {
    let epoch = sink.own(OWNER).await?;
    let (mut done, mut number, start) = (0, 0, Instant::now());
    while start.elapsed() < measured {
        number += 1;
        if size == 0 {
            let (key, write) = write(kind, done, number);
            sink.write(&key, &write).await.map_err(|error| error.error)?;
            done += 1;
            continue;
        }
        let numbered = |at| {
            let (key, write) = write(kind, done + at, number);
            Numbered { key, write, sequence: Sequence { epoch, number }, letter: None }
        };
        let batch: Vec<_> = (0..size.min(most(kind))).map(numbered).collect();
        sink.apply(epoch, &batch).await.map_err(|error| error.error)?;
        done += batch.len();
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

/// A batch has no key twice.
const fn most(kind: Kind) -> usize {
    match kind {
        Kind::Counters => KEYS as usize,
        Kind::Rows => ROWS,
    }
}

fn write(kind: Kind, at: usize, number: u64) -> (Key, Write<Value>) {
    let id = at * 7_919 % most(kind);
    match kind {
        Kind::Counters => (Key::from(format!("counter:{id}").as_str()), Write::Add(1)),
        Kind::Rows => {
            let body = body(i64::try_from(number).unwrap_or(i64::MAX));
            let json = format!(r#"{{"id":{id},"body":"{body}"}}"#);
            (Key::from(format!("item:{id}").as_str()), Write::Store(Value::json(json)))
        }
    }
}
