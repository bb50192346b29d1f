//! Area `resp`: GET hits, against a real Redis server in the same run.
//!
//! The client is redis-benchmark with 50 connections, without and with pipelining, over 10,000
//! keys whose values both servers hold. The rounds alternate, and each ratio is the median of the
//! rounds' ratios, so that a disturbance hits both sides or neither. The client needs about as
//! much CPU as a server, so on two cores throughput shows little but that the server keeps up;
//! the server's own CPU time for the same requests shows what it costs.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use larder_test::server::Server;
use larder_test::{Larder, Redis, Reply, RespClient};

use crate::figures::{median, range, result};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    rounds: usize,
    requests: [(u32, u64); 2],
}

/// About a minute.
pub(crate) const QUICK: Extent = Extent { rounds: 5, requests: [(1, 150_000), (16, 1_500_000)] };
/// Several minutes.
pub(crate) const WHOLE: Extent = Extent { rounds: 15, requests: [(1, 400_000), (16, 4_000_000)] };

const KEYS: usize = 10_000;
const CLIENTS: &str = "50";

/// What redis-benchmark asks for: it puts twelve digits in, so the parameter is a text.
const GET: [&str; 2] = ["GET", "item:__rand_int__"];

/// A source without tables: the row is made of the key.
const CONFIG: &str = r#"
[listen]
resp = "{resp}"

[source.nothing]
url = "sqlite:DATABASE"

[cache.item]
key = "item:{id:text}"
load = "SELECT {id} AS id, 'a row as short as most are' AS name, 1999 AS price"
max_staleness = "1h"
"#;

/// One side in one round.
struct Round {
    requests_per_second: f64,
    cpu_seconds: f64,
}

pub(crate) fn measure(extent: Extent) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let database = folder.path().join("empty.db");
    File::create(&database).map_err(|error| format!("{}: {error}", database.display()))?;
    let config = CONFIG.replace("DATABASE", &database.display().to_string());
    let larder = Larder::start(&binary()?, &config);
    let redis = Redis::start();
    fill(&larder, &redis)?;

    println!("GET hits, {KEYS} keys, {CLIENTS} connections, {} rounds in turn\n", extent.rounds);
    println!("pipeline  server   requests/s (median, range)        CPU us/request (median, range)");
    let mut results = Vec::new();
    for (pipeline, requests) in extent.requests {
        // One round that isn't counted: both sides grow what they need.
        run(&larder, larder.resp_port(), pipeline, requests / 10)?;
        run(&redis, redis.port(), pipeline, requests / 10)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..extent.rounds {
            theirs.push(run(&redis, redis.port(), pipeline, requests)?);
            ours.push(run(&larder, larder.resp_port(), pipeline, requests)?);
        }
        row(pipeline, "redis", requests, &theirs);
        row(pipeline, "larder", requests, &ours);
        let ratios = |ratio: fn(&Round, &Round) -> f64| {
            ours.iter().zip(&theirs).map(|(ours, theirs)| ratio(ours, theirs)).collect::<Vec<_>>()
        };
        let throughput =
            ratios(|ours, theirs| ours.requests_per_second / theirs.requests_per_second);
        let cpu = ratios(|ours, theirs| theirs.cpu_seconds / ours.cpu_seconds);
        results.push((format!("resp_get_p{pipeline}"), median(&throughput)));
        results.push((format!("resp_cpu_p{pipeline}"), median(&cpu)));
    }
    println!();
    results.iter().for_each(|(name, value)| result(name, *value));
    Ok(())
}

/// The server to measure, built as this program is.
pub(crate) fn binary() -> Result<PathBuf, String> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "larder-cli"])
        .status()
        .map_err(|error| format!("can't run cargo: {error}"))?;
    if !built.success() {
        return Err("larder could not be built".to_owned());
    }
    let own = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    Ok(own.with_file_name("larder"))
}

/// Lets both sides hold the same values under the same keys.
fn fill(larder: &Larder, redis: &Redis) -> Result<(), String> {
    let mut ours = RespClient::connect(("127.0.0.1", larder.resp_port()));
    let mut theirs = RespClient::connect(("127.0.0.1", redis.port()));
    for number in 0..KEYS {
        let key = format!("item:{number:012}");
        match ours.command(&["GET", &key]) {
            Reply::Bulk(value) => theirs.command(&[b"SET", key.as_bytes(), &value]),
            other => return Err(format!("larder answered {key} with {other:?}")),
        };
    }
    Ok(())
}

/// One run of the client against one server.
fn run(server: &Server, port: u16, pipeline: u32, requests: u64) -> Result<Round, String> {
    let before = server.cpu_seconds();
    let output = Command::new("redis-benchmark")
        .args(["-p", &port.to_string(), "-c", CLIENTS, "-P", &pipeline.to_string()])
        .args(["-n", &requests.to_string(), "-r", &KEYS.to_string(), "--csv"])
        .args(GET)
        .output()
        .map_err(|error| format!("redis-benchmark can't be run, install redis-tools: {error}"))?;
    let cpu_seconds = server.cpu_seconds() - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let requests_per_second = text
        .lines()
        .last()
        .and_then(|line| line.split("\",\"").nth(1)?.parse().ok())
        .ok_or_else(|| format!("redis-benchmark said: {text}"))?;
    Ok(Round { requests_per_second, cpu_seconds })
}

fn row(pipeline: u32, server: &str, requests: u64, rounds: &[Round]) {
    let throughput: Vec<f64> = rounds.iter().map(|round| round.requests_per_second).collect();
    let cpu: Vec<f64> =
        rounds.iter().map(|round| round.cpu_seconds * 1e6 / requests as f64).collect();
    let ((low, high), (cpu_low, cpu_high)) = (range(&throughput), range(&cpu));
    println!(
        "{pipeline:>8}  {server:<7}  {:>9.0} ({low:.0} to {high:.0})\t  {:.2} ({cpu_low:.2} to \
         {cpu_high:.2})",
        median(&throughput),
        median(&cpu),
    );
}
