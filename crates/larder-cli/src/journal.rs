//! `larder journal status|show FILE`: the journal of acknowledged writes, while the server that
//! writes it runs or after it has ended.
//!
//! Nothing of it is changed, and its lock isn't taken.

mod show;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use larder_journal::JournalView;
use larder_server::config::Config;

use crate::check::{read, tell};

/// What `journal` is told on the command line.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say how many records wait, how old the oldest is, and whether something is lost
    Status {
        #[command(flatten)]
        place: Place,
    },
    /// Show the records that are there, and whether the database has them
    Show {
        #[command(flatten)]
        place: Place,
        /// Only those of this key
        key: Option<String>,
        /// Only those of this cache
        #[arg(long, value_name = "NAME")]
        cache: Option<String>,
        /// So many at most, the oldest ones, up to 10000
        #[arg(long, default_value_t = 100)]
        #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
        /// Don't ask the databases what they have
        #[arg(long)]
        offline: bool,
    },
}

/// Which journal, and how it is said.
#[derive(Debug, Args)]
struct Place {
    /// The configuration file
    #[arg(required_unless_present = "path")]
    file: Option<PathBuf>,
    /// The journal's folder [default: `path` of `[journal]`]
    #[arg(long, value_name = "FOLDER")]
    path: Option<PathBuf>,
    /// JSON objects, each on a line of its own
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let (Action::Status { place } | Action::Show { place, .. }) = &arguments.action;
    let config = match place.file.as_deref().map(read).transpose() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let view = match view(place, config.as_ref()) {
        Ok(view) => view,
        Err(message) => return tell(&message),
    };
    let done = match &arguments.action {
        Action::Status { .. } => status::run(&view, place.json),
        Action::Show { key, cache, limit, offline, .. } => {
            let asked = show::Asked {
                key: key.as_deref(),
                cache: cache.as_deref(),
                limit: (*limit).into(),
            };
            let config = config.as_ref().filter(|_| !offline);
            show::run(&view, &asked, config, place.json)
        }
    };
    done.unwrap_or_else(|message| tell(&message))
}

fn view(place: &Place, config: Option<&Config>) -> Result<JournalView, String> {
    let of_config = || config?.journal.as_ref().map(|journal| &journal.path);
    let path = place.path.as_ref().or_else(of_config);
    path.map(JournalView::of)
        .ok_or_else(|| "the configuration has no [journal]: say --path FOLDER".to_owned())
}
