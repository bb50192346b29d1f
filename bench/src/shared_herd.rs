//! Area `shared-herd`: 500 readers at each of three larders ask for one key at once, and how often
//! the database is asked.
//!
//! The key is cold everywhere, or has just been invalidated through one larder while the others
//! still hold it. Each reader has a connection of its own; a few threads send for all of them
//! before they look at any reply, so that all ask before anybody is answered: a load takes longer
//! than that. There is no peer: the result is how many queries the worst round made, and should be
//! one. A read goes on without the shared tier when that doesn't answer within 50 ms, as on a
//! machine that has too much to do; its lease, if it got one unheard, keeps the others waiting in
//! vain. How often that was stands beside the result, and a longer `--read-within` rules it out.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use larder_test::{Larder, Postgres, Redis, Reply, RespClient, accounts, concurrency};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::figures::result;
use crate::resp::binary;

const LARDERS: usize = 3;
const READERS_EACH: usize = 500;
/// How many connections a thread has, all to one larder.
const CONNECTIONS: usize = 50;
/// Files that are no connection of a reader.
const FILES_BESIDE: u64 = 200;

/// What every larder runs with.
const CONFIG: &str = r#"
[listen]
resp = "{resp}"
admin = "{admin}"

[shared]
url = "REDIS"
read_within = "READ_WITHIN"

[source.bank]
url = "POSTGRES"
changes = "announced"

[cache.account]
key = "account:{id:int}"
load = "SELECT id, version FROM concurrency(0, 100), accounts WHERE id = {id}"
max_staleness = "2s"
"#;

/// What is measured.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Five rounds instead of thirty
    #[arg(long)]
    quick: bool,
    /// How long a read waits for Redis before it goes on without it
    #[arg(long, default_value = "50ms")]
    read_within: String,
}

/// What all rounds were like.
#[derive(Default)]
struct Rounds {
    queries: Vec<u64>,
    wait: Duration,
}

/// Runs what the options say, and prints it.
pub(crate) fn measure(options: &Options) -> Result<(), String> {
    allow_files((LARDERS * READERS_EACH) as u64 + FILES_BESIDE)?;
    let rounds: u64 = if options.quick { 5 } else { 30 };
    let binary = binary()?;
    let postgres = Postgres::start();
    accounts::create(&postgres, rounds);
    concurrency::create(&postgres);
    let redis = Redis::start();
    let config = CONFIG
        .replace("REDIS", &redis.url())
        .replace("READ_WITHIN", &options.read_within)
        .replace("POSTGRES", &postgres.url());
    let larders: Vec<Larder> = (0..LARDERS).map(|_| Larder::start(&binary, &config)).collect();
    let mut herd = Herd::connect(&larders);
    let (mut cold, mut invalidated) = (Rounds::default(), Rounds::default());
    for round in 1..=rounds {
        let key = format!("account:{round}");
        cold.add(&postgres, || herd.ask(&key))?;
        let mut writer = RespClient::connect(("127.0.0.1", larders[0].resp_port()));
        match writer.command(&["LARDER.INVALIDATE", "KEYS", &key]) {
            Reply::Integer(_) => invalidated.add(&postgres, || herd.ask(&key))?,
            other => return Err(format!("{key} can't be invalidated: {other:?}")),
        }
    }
    println!("{LARDERS} larders, {READERS_EACH} readers of one key at each, {rounds} rounds\n");
    for (name, rounds) in [("cold", &cold), ("just invalidated", &invalidated)] {
        let Rounds { queries, wait } = rounds;
        println!("{name}: {queries:?} queries, the longest wait {wait:.0?}");
    }
    println!();
    result("shared_herd_cold_queries", cold.worst());
    result("shared_herd_invalidated_queries", invalidated.worst());
    let in_vain = |larder: &Larder| larder.metric("larder_cache_shared_errors_total", "");
    result("shared_herd_asked_in_vain", larders.iter().map(in_vain).sum());
    Ok(())
}

impl Rounds {
    /// Counts the queries that a herd makes.
    fn add(
        &mut self,
        postgres: &Postgres,
        come: impl FnOnce() -> Result<Duration, String>,
    ) -> Result<(), String> {
        let queries = || postgres.calls("%accounts WHERE id =%");
        let before = queries();
        self.wait = self.wait.max(come()?);
        self.queries.push(queries() - before);
        Ok(())
    }

    fn worst(&self) -> f64 {
        self.queries.iter().max().copied().unwrap_or_default() as f64
    }
}

/// Readers with a connection each, those of one thread together.
struct Herd(Vec<Vec<RespClient>>);

impl Herd {
    fn connect(larders: &[Larder]) -> Self {
        let connect = |larder: &Larder| {
            let client = |_| RespClient::connect(("127.0.0.1", larder.resp_port()));
            (0..CONNECTIONS).map(client).collect()
        };
        let groups = larders.iter().flat_map(|larder| {
            (0..READERS_EACH / CONNECTIONS).map(move |_| connect(larder)).collect::<Vec<_>>()
        });
        Self(groups.collect())
    }

    /// Lets everybody ask for a key at once. Returns the longest wait.
    fn ask(&mut self, key: &str) -> Result<Duration, String> {
        let (start, request) = (Barrier::new(self.0.len()), format!("GET {key}\r\n"));
        let ask = |clients: &mut Vec<RespClient>| {
            start.wait();
            let began = Instant::now();
            clients.iter_mut().for_each(|client| client.send(request.as_bytes()));
            for reply in clients.iter_mut().map(RespClient::receive) {
                if !matches!(reply, Reply::Bulk(_)) {
                    return Err(format!("{key} was answered with {reply:?}"));
                }
            }
            Ok(began.elapsed())
        };
        thread::scope(|scope| {
            let ask = &ask;
            let threads: Vec<_> =
                self.0.iter_mut().map(|clients| scope.spawn(move || ask(clients))).collect();
            let waits = threads.into_iter().map(|thread| thread.join().expect("it returns"));
            waits.collect::<Result<Vec<_>, _>>()
        })
        .map(|waits| waits.into_iter().max().unwrap_or_default())
    }
}

/// Lets this process, and those that it starts, have so many files open.
pub(crate) fn allow_files(count: u64) -> Result<(), String> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum })
        .map_err(|error| format!("{count} files can't be open at once: {error} (ulimit -Hn)"))
}
