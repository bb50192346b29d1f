//! `larder check FILE`: says in words what a configuration promises, or what is wrong with it.
//!
//! A database that can be reached is asked whether it accepts the loads; one that can't is a
//! warning, as it may only be down.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use larder_core::ErrorKind;
use larder_server::compose::Source;
use larder_server::config::{self, Config};

/// What `check` is told on the command line.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The configuration file
    file: PathBuf,
    /// Don't ask the databases whether they accept the loads
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

/// Asks the databases whether they accept the loads.
async fn ask(config: &Config) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let sources = match config.sources.iter().map(Source::open).collect::<Result<Vec<_>, _>>() {
        Ok(sources) => sources,
        Err(error) => return tell(&error.chain()),
    };
    println!();
    for cache in &config.caches {
        let name = &cache.name;
        let report = match sources[cache.source].load(cache) {
            Ok(load) => load.prepare().await,
            Err(error) => Err(error),
        };
        match report {
            Ok(report) => {
                println!("cache {name}: the database accepts the load");
                for warning in report.warnings {
                    println!("  warning: {warning}");
                }
            }
            Err(error) if error.kind() == ErrorKind::Config => {
                println!("cache {name}: {}", error.chain());
                code = ExitCode::FAILURE;
            }
            Err(error) => {
                println!("cache {name}: not asked, {}", error.chain());
            }
        }
    }
    code
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
