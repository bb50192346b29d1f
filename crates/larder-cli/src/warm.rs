//! `larder warm FILE`: asks a running server for keys, so that it has them when others ask.
//!
//! It is a client like any other: it reads keys at a bounded rate, and forgets the values. What the
//! server loads is held as its policy says. A server that warms itself, which knows its free room,
//! is told so in its configuration: `[cache.NAME.warm]`.

use std::fs::File;
use std::io::{BufReader, IsTerminal, stderr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use larder_core::{Key, KeyList, KeyPages};
use larder_server::compose::Source;
use larder_server::config::{CacheConfig, Config, Secret, WarmConfig};
use larder_server::warm::keys_in;
use larder_sql::SqlKeys;

use crate::check::{read, tell};
use crate::client::{Answer, Client};

/// How many keys are asked for with one round trip, at most.
const BATCH_MAX: u32 = 64;
/// After so many batches in a row with nothing but errors it gives up.
const FAILED_BATCHES_MAX: u32 = 3;

/// What `warm` is told on the command line.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The configuration of the server
    file: PathBuf,
    /// The cache whose keys they are [default: the only one]
    #[arg(long, value_name = "NAME")]
    cache: Option<String>,
    /// A file with a key on each line, a list or a log: those that are there most often come
    /// first; - is the standard input
    #[arg(long, visible_alias = "log", value_name = "FILE", required_unless_present = "query")]
    keys: Option<PathBuf>,
    /// A query for keys, sent to the cache's source [default: that of `[cache.NAME.warm]`]
    #[arg(
        long,
        value_name = "SQL",
        num_args = 0..=1,
        default_missing_value = "",
        conflicts_with = "keys"
    )]
    query: Option<String>,
    /// Where the server listens [default: `resp` of `[listen]`]
    #[arg(long, value_name = "HOST:PORT")]
    to: Option<String>,
    /// Ask for so many keys in a second at most
    #[arg(long, value_name = "KEYS", default_value = "1000")]
    per_second: NonZeroU32,
    /// Ask for so many keys at most, which are held in memory meanwhile
    #[arg(long, value_name = "KEYS", default_value_t = 1_000_000)]
    keys_max: usize,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let config = match read(&arguments.file) {
        Ok(config) => config,
        Err(code) => return code,
    };
    match warm(&config, arguments) {
        Ok(counts) => {
            println!(
                "{} keys asked for: {} found, {} absent, {} failed",
                counts.asked(),
                counts.found,
                counts.absent,
                counts.failed
            );
            if counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(message) => tell(&message),
    }
}

/// What became of the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    found: u64,
    absent: u64,
    failed: u64,
}

impl Counts {
    fn asked(self) -> u64 {
        self.found + self.absent + self.failed
    }
}

fn warm(config: &Config, arguments: &Arguments) -> Result<Counts, String> {
    let cache = cache(config, arguments.cache.as_deref())?;
    let keys = match (&arguments.keys, &arguments.query) {
        (Some(file), _) => from_file(file, cache, arguments.keys_max)?,
        (None, query) => from_query(query.as_deref(), config, cache, arguments.keys_max)?,
    };
    let to = match (&arguments.to, &config.listen.resp) {
        (Some(to), _) => to.clone(),
        (None, Some(address)) => address.to_string(),
        (None, None) => {
            return Err("the configuration has no `resp` in [listen]: say --to HOST:PORT".into());
        }
    };
    let password = config.listen.password.as_ref().map(Secret::expose);
    let mut client = Client::connect(&to, password)?;
    ask(&mut client, &keys, arguments.per_second)
}

/// The cache of this name, or the only one.
fn cache<'c>(config: &'c Config, name: Option<&str>) -> Result<&'c CacheConfig, String> {
    let names = || config.caches.iter().map(|cache| &*cache.name).collect::<Vec<_>>().join(", ");
    match (name, &*config.caches) {
        (Some(name), caches) => caches
            .iter()
            .find(|cache| cache.name == name)
            .ok_or_else(|| format!("there is no cache {name}: the caches are {}", names())),
        (None, [only]) => Ok(only),
        (None, []) => Err("the configuration has no cache".to_owned()),
        (None, _) => Err(format!("say which cache to warm with --cache: {}", names())),
    }
}

fn from_file(file: &Path, cache: &CacheConfig, max: usize) -> Result<Vec<Key>, String> {
    let shown = file.display().to_string();
    let fault = |error| format!("can't read {shown}: {error}");
    let keys = if shown == "-" {
        keys_in(std::io::stdin().lock(), &cache.key, max)
    } else {
        keys_in(BufReader::new(File::open(file).map_err(fault)?), &cache.key, max)
    };
    let keys = keys.map_err(fault)?;
    if keys.is_empty() {
        return Err(format!("{shown} has no line that is a key {}", cache.key.text()));
    }
    Ok(keys)
}

fn from_query(
    sql: Option<&str>,
    config: &Config,
    cache: &CacheConfig,
    max: usize,
) -> Result<Vec<Key>, String> {
    let of_config = || {
        let of_cache = |warm: &&WarmConfig| {
            config.caches.get(warm.cache).is_some_and(|warmed| warmed.name == cache.name)
        };
        config.warm.iter().find(of_cache)?.query.as_deref()
    };
    let sql = sql
        .filter(|sql| !sql.is_empty())
        .or_else(of_config)
        .ok_or_else(|| format!("[cache.{}.warm] has no `query`: say --query SQL", cache.name))?;
    let source = Source::open(config.source_of(cache)).map_err(|error| error.chain())?;
    let list = SqlKeys::new(&source.database, &cache.key, sql).map_err(|error| error.chain())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("can't start the runtime: {error}"))?;
    runtime.block_on(async {
        let mut pages = list.pages();
        let mut keys = Vec::new();
        while keys.len() < max {
            let wanted = (max - keys.len()).min(1024);
            let page = pages.next(wanted).await;
            let page = page.map_err(|error| larder_core::Error::from_loader(error).chain())?;
            if page.is_empty() {
                break;
            }
            keys.extend(page);
        }
        Ok(keys)
    })
}

/// Asks for all keys, no faster than that.
fn ask(client: &mut Client, keys: &[Key], per_second: NonZeroU32) -> Result<Counts, String> {
    let bar = bar(keys.len());
    let mut counts = Counts::default();
    let (mut failed_batches, mut first_error) = (0, None);
    let began = Instant::now();
    for batch in keys.chunks(per_second.get().min(BATCH_MAX) as usize) {
        // When this batch may begin: all before it have had their time.
        let due = Duration::from_secs_f64(counts.asked() as f64 / f64::from(per_second.get()));
        sleep(due.saturating_sub(began.elapsed()));
        let before = counts.failed;
        client.get(batch, |answer| match answer {
            Answer::Found => counts.found += 1,
            Answer::Absent => counts.absent += 1,
            Answer::Failed(error) => {
                counts.failed += 1;
                first_error.get_or_insert(error);
            }
        })?;
        bar.inc(batch.len() as u64);
        let all_failed = counts.failed - before == batch.len() as u64;
        failed_batches = if all_failed { failed_batches + 1 } else { 0 };
        if failed_batches == FAILED_BATCHES_MAX {
            break;
        }
    }
    bar.finish_and_clear();
    match first_error {
        Some(error) if failed_batches == FAILED_BATCHES_MAX || counts.failed == counts.asked() => {
            Err(format!("the server answers with errors, the first of them {error}"))
        }
        Some(error) => {
            eprintln!("larder: the first of {} errors is {error}", counts.failed);
            Ok(counts)
        }
        None => Ok(counts),
    }
}

/// A bar at a terminal, nothing elsewhere.
fn bar(keys: usize) -> ProgressBar {
    let target = if stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {per_sec}  {eta} left")
        .expect("the template above is well-formed")
        .progress_chars("━━╌");
    ProgressBar::with_draw_target(Some(keys as u64), target)
        .with_style(style)
        .with_finish(ProgressFinish::AndClear)
}
