//! `larder writes install|status|remove FILE`: larder's own tables in a database, without which
//! nothing is written behind.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use larder_sql::{CacheStatus, TablesStatus, WriteTables};
use serde_json::json;

use crate::check::{read, tell};
use crate::output::{columns, lines, print, short};
use crate::sources::{Opened, all_of, block_on, one_of};

/// What `writes` is told on the command line.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the tables where they are missing, and show the SQL that does it
    Install {
        #[command(flatten)]
        place: Place,
        /// Only show the SQL, for somebody with more rights to run
        #[arg(long)]
        print: bool,
    },
    /// Say which tables are there, who owns which cache, and how many dead letters it has
    Status {
        #[command(flatten)]
        place: Place,
        /// A JSON object for each source, on a line of its own
        #[arg(long)]
        json: bool,
    },
    /// Take the tables away, unless a cache is owned or has dead letters
    Remove {
        #[command(flatten)]
        place: Place,
        /// Whatever they hold: what isn't applied yet can be applied twice then, and dead letters
        /// are lost
        #[arg(long)]
        force: bool,
    },
}

/// Which database.
#[derive(Debug, Args)]
struct Place {
    /// The configuration file
    file: PathBuf,
    /// The source [default: those with caches that are written behind, or the only one]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let (Action::Install { place, .. }
    | Action::Status { place, .. }
    | Action::Remove { place, .. }) = &arguments.action;
    let config = match read(&place.file) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let source = place.source.as_deref();
    let done = match &arguments.action {
        Action::Install { print, .. } => {
            all_of(&config, source).and_then(|all| block_on(install(all, *print)))
        }
        Action::Status { json, .. } => {
            all_of(&config, source).and_then(|all| block_on(status(all, *json)))
        }
        Action::Remove { force, .. } => {
            one_of(&config, source).and_then(|one| block_on(remove(one, *force)))
        }
    };
    done.unwrap_or_else(|message| tell(&message))
}

async fn install(sources: Vec<Opened<'_>>, is_shown_only: bool) -> Result<ExitCode, String> {
    for source in &sources {
        let tables = WriteTables::of(&source.database);
        print(&format!("-- source {} ({})\n", source.config.name, source.database.kind()));
        print(tables.ddl());
        if !is_shown_only {
            tables.install().await.map_err(|error| error.chain())?;
            print("-- installed\n");
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(sources: Vec<Opened<'_>>, is_json: bool) -> Result<ExitCode, String> {
    let mut code = ExitCode::SUCCESS;
    for source in &sources {
        let status = WriteTables::of(&source.database).status().await;
        let status = status.map_err(|error| error.chain())?;
        if !status.is_installed() {
            code = ExitCode::FAILURE;
        }
        print(&if is_json { as_json(source, &status) } else { as_text(source, &status) });
    }
    Ok(code)
}

fn as_json(source: &Opened<'_>, status: &TablesStatus) -> String {
    let cache = |CacheStatus { cache, owner, epoch, letters, requeued }: &CacheStatus| {
        json!({
            "cache": cache, "owner": owner, "epoch": epoch, "letters": letters,
            "requeued": requeued,
        })
    };
    lines([json!({
        "source": source.config.name,
        "kind": source.database.kind(),
        "installed": status.is_installed(),
        "missing": status.missing,
        "caches": status.caches.iter().map(cache).collect::<Vec<_>>(),
    })])
}

fn as_text(source: &Opened<'_>, status: &TablesStatus) -> String {
    let mut text = format!("source {} ({}): ", source.config.name, source.database.kind());
    if !status.is_installed() {
        text.push_str(&format!(
            "missing {}: `larder writes install` makes them\n",
            status.missing.join(", ")
        ));
        return text;
    }
    if status.caches.is_empty() {
        return text + "installed, and nothing was ever written behind\n";
    }
    text.push_str("installed\n");
    let row = |cache: &CacheStatus| {
        let owner = cache.owner.as_deref().map_or_else(|| "nobody".to_owned(), |it| short(it, 48));
        let (name, epoch) = (short(&cache.cache, 48), cache.epoch.to_string());
        vec![name, owner, epoch, cache.letters.to_string(), cache.requeued.to_string()]
    };
    let rows: Vec<_> = status.caches.iter().map(row).collect();
    text + &columns(&["cache", "owner", "epoch", "letters", "requeued"], &rows)
}

async fn remove(source: Opened<'_>, is_forced: bool) -> Result<ExitCode, String> {
    let tables = WriteTables::of(&source.database);
    let before = tables.status().await.map_err(|error| error.chain())?;
    let removed = if is_forced { tables.remove_by_force().await } else { tables.remove().await };
    removed.map_err(|error| {
        let more = if is_forced { "" } else { " (--force removes them all the same)" };
        format!("{}{more}", error.chain())
    })?;
    let letters: u64 = before.caches.iter().map(|cache| cache.letters).sum();
    let lost = if letters > 0 { format!(", with {letters} dead letters") } else { String::new() };
    print(&format!("source {}: the tables are removed{lost}\n", source.config.name));
    Ok(ExitCode::SUCCESS)
}
