//! `larder check FILE`: says in words what a configuration promises, or what is wrong with it.
//!
//! A database that can be reached is asked whether it accepts the loads and the statements that
//! write, and whether it has the tables that writing behind needs; one that can't is a warning, as
//! it may only be down.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use larder_core::ErrorKind;
use larder_server::behind;
use larder_server::compose::Source;
use larder_server::config::{self, CacheConfig, CacheWrites, Config};
use larder_server::feed::SourceFeed;
use larder_sql::{SqlSink, Warning};

use crate::feed::in_words;

/// What `check` is told on the command line.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The configuration file
    file: PathBuf,
    /// Don't ask the databases whether they accept the statements
    #[arg(long)]
    offline: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let config = match read(&arguments.file) {
        Ok(config) => config,
        Err(code) => return code,
    };
    for warning in &config.warnings {
        eprintln!("{warning}");
    }
    print!("{}", config.report());
    if arguments.offline {
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tell(&format!("can't start the runtime: {error}")),
    };
    runtime.block_on(ask(&config))
}

/// Asks the databases whether they accept the statements, and have the tables that are needed.
async fn ask(config: &Config) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let sources = match config.sources.iter().map(Source::open).collect::<Result<Vec<_>, _>>() {
        Ok(sources) => sources,
        Err(error) => return tell(&error.chain()),
    };
    println!();
    for cache in &config.caches {
        let name = &cache.name;
        let source = &sources[cache.source];
        if is_refused(&format!("cache {name}"), ask_load(cache, source).await)
            || is_refused(&format!("cache {name}"), ask_writes(cache, source).await)
        {
            code = ExitCode::FAILURE;
        }
    }
    for (source, tables) in behind::tables(config, &sources) {
        let has_tables = behind::check_tables(&source, &tables).await;
        let answer = has_tables.map(|()| Some(("has the tables of larder".to_owned(), Vec::new())));
        if is_refused(&format!("source {source}"), answer) {
            code = ExitCode::FAILURE;
        }
    }
    for feed in SourceFeed::all(config, sources.iter().map(|source| &source.database)) {
        let covered = match (feed.plan().await, feed.warnings().await) {
            (Ok(told), Ok(warnings)) => {
                let told: String = told.iter().map(in_words).collect();
                let warnings = warnings.iter().map(|what| format!("  warning: {what}\n"));
                let said = told + &warnings.collect::<String>();
                Ok(Some((format!("its feed can be followed\n{}", said.trim_end()), Vec::new())))
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        if is_refused(&format!("source {}", feed.source()), covered) {
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// What a database accepts, and what should be looked at; `None` where there is nothing to ask.
type Answer = Result<Option<(String, Vec<Warning>)>, larder_core::Error>;

async fn ask_load(cache: &CacheConfig, source: &Source) -> Answer {
    let report = source.load(cache)?.prepare().await?;
    cache.check_counter(&report.columns)?;
    Ok(Some(("the database accepts the load".to_owned(), report.warnings)))
}

async fn ask_writes(cache: &CacheConfig, source: &Source) -> Answer {
    let Some((sink, _)) = source.sink(cache)?.map(SqlSink::with_terms) else { return Ok(None) };
    let mut warnings = sink.prepare().await?.warnings;
    warnings.retain(cache.tells_what_is_unsaid());
    let verbs = cache.writes.as_ref().map(CacheWrites::verbs).unwrap_or_default();
    Ok(Some((format!("the database accepts {}", verbs.join(", ")), warnings)))
}

/// Says what a database answered about `what`, and whether it will never accept it.
fn is_refused(what: &str, answer: Answer) -> bool {
    match answer {
        Ok(None) => false,
        Ok(Some((accepted, warnings))) => {
            println!("{what}: {accepted}");
            for warning in warnings {
                println!("  warning: {warning}");
            }
            false
        }
        Err(error) if error.kind() == ErrorKind::Config => {
            println!("{what}: {}", error.chain());
            true
        }
        Err(error) => {
            println!("{what}: not asked, {}", error.chain());
            false
        }
    }
}

/// Reads a configuration; what is wrong with it is told.
pub(crate) fn read(file: &Path) -> Result<Config, ExitCode> {
    config::read(file).map_err(|problems| tell(&problems.to_string()))
}

/// Says what went wrong and returns the exit code for it.
pub(crate) fn tell(message: &str) -> ExitCode {
    eprintln!("larder: {message}");
    ExitCode::FAILURE
}
