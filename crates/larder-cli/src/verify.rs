//! `larder verify FILE`: compares what running servers answer with the database, some time after
//! each change, and counts how often they were right.
//!
//! It watches the changes as the servers do, beside them, and looks at each key that one of them
//! touched: after a second, ten, a minute. What a server holds then is compared with what the
//! database has. Only what was held counts: what it has just loaded proves nothing. A difference
//! counts when the database says that the key wasn't changed again, so that a busy key is no alarm.
//! The method is that of Meta's Polaris ("Cache made consistent", 2022).

mod due;
mod tally;
mod watch;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use clap::Args;
use larder_core::{Key, LoadContext, Source as _, Value};
use larder_server::compose::Source;
use larder_server::config::{Config, Secret};
use larder_server::feed::SourceFeed;
use larder_sql::SqlSource;
use tokio::signal::unix::{SignalKind, signal};

use crate::check::{read, tell};
use crate::client::{Client, Served};
use crate::output::print;
use due::{Due, Schedule};
use tally::{Place, Tally, Verdict};
use watch::{Progress, Told, watch};

/// So many changes may wait to be looked at.
const TOUCHES_MAX: usize = 65_536;
/// How long a load for a comparison may take, and how long the changes are waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing is looked at for changes.
const IDLE_MAX: Duration = Duration::from_millis(50);

/// What `verify` is told on the command line.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The configuration of the servers
    file: PathBuf,
    /// Where a server listens; any number of times [default: `resp` of `[listen]`]
    #[arg(long, value_name = "HOST:PORT")]
    server: Vec<String>,
    /// How long to go on
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = time)]
    lasts: Duration,
    /// How long after a change to look; any number of times
    #[arg(long, value_name = "TIME", default_values = ["1s", "10s", "60s"], value_parser = time)]
    after: Vec<Duration>,
    /// Look at so many changed keys at a time at most
    #[arg(long, value_name = "KEYS", default_value_t = 10_000)]
    keys_max: usize,
    /// A JSON object for each server, tier and delay, on a line of its own
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let config = match read(&arguments.file) {
        Ok(config) => config,
        Err(code) => return code,
    };
    match verify(&config, arguments) {
        Ok((tally, broken)) => {
            print(&if arguments.json { tally.as_json() } else { tally.in_words() });
            if tally.checked() == 0 {
                return tell(
                    "nothing was held of what was changed meanwhile, so nothing was compared: let \
                     it go on for longer (--for)",
                );
            }
            match broken {
                0 => ExitCode::SUCCESS,
                _ => tell(&format!("the promise was broken {broken} times")),
            }
        }
        Err(message) => tell(&message),
    }
}

/// A cache that is looked at.
struct Looked {
    load: SqlSource,
    max_staleness: Duration,
    progress: Progress,
}

/// What was found, and how often it breaks the promise of its cache.
fn verify(config: &Config, arguments: &Arguments) -> Result<(Tally, u64), String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| format!("can't start the runtime: {error}"))?;
    let is_stopped = runtime
        .block_on(async { stopped() })
        .map_err(|error| format!("can't listen for signals: {error}"))?;
    let sources = config.sources.iter().map(Source::open).collect::<Result<Vec<_>, _>>();
    let sources = sources.map_err(|error| error.chain())?;
    let feeds = SourceFeed::all(config, sources.iter().map(|source| &source.database));
    if feeds.is_empty() {
        return Err("no source has a feed, so nobody tells which keys were changed".to_owned());
    }
    let skipped = Arc::<AtomicU64>::default();
    let (sender, touches) = sync_channel(TOUCHES_MAX);
    let mut looked = HashMap::new();
    for feed in &feeds {
        let watching = watch(feed, sender.clone(), Arc::clone(&skipped));
        let progress = runtime.block_on(watching).map_err(|error| {
            format!("can't watch the changes of {}: {}", feed.source(), error.chain())
        })?;
        for cache in config.caches.iter().filter(|cache| feed.covers(cache)) {
            let load = sources[cache.source].load(cache).map_err(|error| error.chain())?;
            let max_staleness = cache.window.max_staleness;
            let of_cache = Looked { load, max_staleness, progress: progress.clone() };
            looked.insert(cache.name.clone(), of_cache);
        }
    }
    drop(sender);
    let mut run = Run {
        runtime: &runtime,
        servers: servers(config, arguments)?,
        looked,
        touches,
        schedule: Schedule::new(arguments.after.clone(), arguments.keys_max),
        tally: Tally::default(),
        broken: 0,
        is_stopped,
    };
    let watched = run.go_on(arguments.lasts);
    runtime.block_on(async {
        for feed in &feeds {
            feed.forget_observer().await;
        }
    });
    watched?;
    let Run { mut tally, broken, .. } = run;
    tally.skipped += skipped.load(Ordering::Relaxed);
    Ok((tally, broken))
}

fn servers(config: &Config, arguments: &Arguments) -> Result<Vec<(String, Client)>, String> {
    let own = config.listen.resp.as_ref().map(ToString::to_string);
    let names = match &*arguments.server {
        [] => own.into_iter().collect(),
        named => named.to_vec(),
    };
    if names.is_empty() {
        return Err("the configuration has no `resp` in [listen]: say --server HOST:PORT".into());
    }
    let password = config.listen.password.as_ref().map(Secret::expose);
    names
        .into_iter()
        .map(|name| Client::connect(&name, password).map(|client| (name, client)))
        .collect()
}

/// A verification that goes on.
struct Run<'r> {
    runtime: &'r tokio::runtime::Runtime,
    servers: Vec<(String, Client)>,
    looked: HashMap<String, Looked>,
    touches: Receiver<Told>,
    schedule: Schedule,
    tally: Tally,
    broken: u64,
    /// Somebody wants it to end.
    is_stopped: Arc<AtomicBool>,
}

/// Becomes true when somebody wants it to end. It ends in order then: what the database keeps for
/// who watches is forgotten.
fn stopped() -> std::io::Result<Arc<AtomicBool>> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let is_stopped = Arc::<AtomicBool>::default();
    let stops = Arc::clone(&is_stopped);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stops.store(true, Ordering::Release);
    });
    Ok(is_stopped)
}

impl Run<'_> {
    /// Looks for so long, or until it is stopped.
    fn go_on(&mut self, lasts: Duration) -> Result<(), String> {
        let end = Instant::now() + lasts;
        while Instant::now() < end && !self.is_stopped.load(Ordering::Acquire) {
            self.listen();
            while !self.is_stopped.load(Ordering::Acquire)
                && let Some(due) = self.schedule.take(Instant::now())
            {
                self.look(&due)?;
                self.schedule.done(&due);
                self.listen();
            }
            let next = self.schedule.next().unwrap_or(end).min(end);
            let idle = next.saturating_duration_since(Instant::now()).min(IDLE_MAX);
            if let Ok(told) = self.touches.recv_timeout(idle) {
                self.note(&told);
            }
        }
        Ok(())
    }

    /// Notes what was touched meanwhile.
    fn listen(&mut self) {
        while let Ok(told) = self.touches.try_recv() {
            self.note(&told);
        }
    }

    fn note(&mut self, told: &Told) {
        match told {
            Told::Touch(touch) if self.schedule.touched(touch) => {}
            Told::Touch(_) => self.tally.skipped += 1,
            Told::Lost => self.schedule.forget(),
        }
    }

    /// Compares what each server answers for one key with what the database has.
    fn look(&mut self, due: &Due) -> Result<(), String> {
        for at in 0..self.servers.len() {
            let Some(before) = self.load(due) else { continue };
            let (name, client) = &mut self.servers[at];
            let server = name.clone();
            let served = match client.served(&due.key) {
                Ok(served) => served,
                Err(_) => {
                    self.tally.unanswered += 1;
                    continue;
                }
            };
            let verdict = self.judge(due, &before, &served);
            let cache = self.looked.get(&due.cache);
            if verdict == Verdict::Wrong
                && cache.is_some_and(|cache| due.delay >= cache.max_staleness)
            {
                self.broken += 1;
            }
            self.tally.add(Place { server, tier: served.tier, delay: due.delay }, verdict);
        }
        Ok(())
    }

    fn judge(&mut self, due: &Due, before: &Option<Value>, served: &Served) -> Verdict {
        if !matches!(&*served.reason, "held" | "refreshing") {
            return Verdict::Undecided;
        }
        if is_same(served, before) {
            return Verdict::Right;
        }
        // It may have been changed while the server was asked.
        match self.load(due) {
            Some(after) if !is_same(served, &after) => {}
            _ => return Verdict::Undecided,
        }
        let progress = self.looked.get(&due.cache).map(|cache| cache.progress.clone());
        let caught_up =
            progress.is_some_and(|mut progress| self.runtime.block_on(progress.catch_up(PATIENCE)));
        self.listen();
        // Nobody knows of another change: what was held is what was there before this one.
        if caught_up && self.schedule.is_last(due) { Verdict::Wrong } else { Verdict::Undecided }
    }

    /// What the database has; `None` when it doesn't answer.
    fn load(&mut self, due: &Due) -> Option<Option<Value>> {
        let cache = self.looked.get(&due.cache)?;
        let loaded = self.runtime.block_on(load(&cache.load, &due.key));
        if loaded.is_none() {
            self.tally.unanswered += 1;
        }
        loaded
    }
}

async fn load(source: &SqlSource, key: &Key) -> Option<Option<Value>> {
    let mut context = LoadContext::new(PATIENCE);
    source.load(key, &mut context).await.ok()
}

fn is_same(served: &Served, value: &Option<Value>) -> bool {
    served.value.as_deref() == value.as_ref().map(|value| &value.bytes[..])
}
