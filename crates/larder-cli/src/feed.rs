//! `larder feed install|status|remove FILE`: what a database needs to tell of its changes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use larder_server::config::{Config, SourceConfig};
use larder_server::feed::{SourceFeed, Told};
use larder_sql::Database;

use crate::check::{read, tell};
use crate::output::print;
use crate::sources::block_on;

/// What `feed` is told on the command line.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make what the feed needs in the database, or change it to what the configuration says now
    Install(Place),
    /// Say what a change touches, and how far the feed is
    Status(Place),
    /// Take away what was made; whoever follows the feed begins again when it is installed again
    Remove(Place),
}

/// Which feeds.
#[derive(Debug, Args)]
struct Place {
    /// The configuration file
    file: PathBuf,
    /// The source [default: all that have a feed]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let (Action::Install(place) | Action::Status(place) | Action::Remove(place)) =
        &arguments.action;
    let config = match read(&place.file) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let done = feeds(&config, &arguments.action, place.source.as_deref())
        .and_then(|feeds| block_on(act(&arguments.action, feeds)));
    done.map_or_else(|message| tell(&message), |()| ExitCode::SUCCESS)
}

async fn act(action: &Action, feeds: Vec<SourceFeed>) -> Result<(), String> {
    for feed in &feeds {
        let source = feed.source();
        let done = match action {
            Action::Install(_) => feed.install().await.map(|()| "installed".to_owned()),
            Action::Status(_) => feed.status().await,
            Action::Remove(_) => feed.remove().await.map(|()| "removed".to_owned()),
        };
        let done = done.map_err(|error| format!("source {source}: {}", error.chain()))?;
        print(&format!("source {source}: {}\n", done.replace('\n', "\n  ")));
        if !matches!(action, Action::Remove(_)) {
            let told = feed.plan().await.map_err(|error| error.chain())?;
            told.iter().for_each(|told| print(&in_words(told)));
        }
    }
    Ok(())
}

/// What is to be said of a cache that a feed covers.
pub(crate) fn in_words(told: &Told) -> String {
    let mut text = String::new();
    for route in &told.routes {
        text.push_str(&format!("  cache {}: {route}\n", told.cache));
    }
    for warning in &told.warnings {
        text.push_str(&format!("  warning: {warning}\n"));
    }
    text
}

/// The feeds that can be meant.
fn feeds(
    config: &Config,
    action: &Action,
    source: Option<&str>,
) -> Result<Vec<SourceFeed>, String> {
    let databases = config.sources.iter().map(SourceConfig::open);
    let databases: Vec<Database> =
        databases.collect::<Result<_, _>>().map_err(|error| error.chain())?;
    let mut feeds = match action {
        Action::Install(_) | Action::Status(_) => SourceFeed::all(config, &databases),
        // The caches may be gone, and what was made for them isn't.
        Action::Remove(_) => SourceFeed::declared(config, &databases),
    };
    feeds.retain(|feed| source.is_none_or(|name| feed.source() == name));
    match (feeds.is_empty(), source) {
        (false, _) => Ok(feeds),
        (true, Some(name)) => Err(format!(
            "no source {name} has a feed and a cache that loads from it: give it one, for \
             instance feed = \"logical\""
        )),
        (true, None) => Err("no source that a cache loads from has a feed: give it one, for \
                             instance feed = \"logical\""
            .to_owned()),
    }
}
