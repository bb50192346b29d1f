//! Which of a configuration's sources a command is about.

use larder_server::config::{CacheWrites, Config, SourceConfig};
use larder_sql::Database;

/// A source and the database that it is.
pub(crate) struct Opened<'c> {
    pub(crate) config: &'c SourceConfig,
    pub(crate) database: Database,
}

/// All that can be meant: the one of this name, or else those with caches that are written behind,
/// or else all.
pub(crate) fn all_of<'c>(
    config: &'c Config,
    name: Option<&str>,
) -> Result<Vec<Opened<'c>>, String> {
    let known: Vec<&SourceConfig> = match name {
        Some(name) => vec![named(config, name)?],
        None => {
            let is_behind = |at: usize| {
                config.caches.iter().any(|cache| {
                    cache.source == at && cache.writes.as_ref().is_some_and(CacheWrites::is_behind)
                })
            };
            let all = config.sources.iter().enumerate();
            let behind: Vec<_> =
                all.filter(|(at, _)| is_behind(*at)).map(|(_, source)| source).collect();
            if behind.is_empty() { config.sources.iter().collect() } else { behind }
        }
    };
    if known.is_empty() {
        return Err("the configuration has no source".to_owned());
    }
    known.into_iter().map(open).collect()
}

/// The only one that can be meant.
pub(crate) fn one_of<'c>(config: &'c Config, name: Option<&str>) -> Result<Opened<'c>, String> {
    let mut all = all_of(config, name)?;
    match all.len() {
        1 => Ok(all.remove(0)),
        _ => {
            let names: Vec<_> = all.iter().map(|source| &*source.config.name).collect();
            Err(format!("say which source with --source: {}", names.join(", ")))
        }
    }
}

/// The one that a cache is written to, wherever it may be declared.
pub(crate) fn of_cache<'c>(
    config: &'c Config,
    cache: &str,
    name: Option<&str>,
) -> Result<Opened<'c>, String> {
    match config.caches.iter().find(|known| known.name == cache) {
        Some(known) if name.is_none() => open(config.source_of(known)),
        // It may have been declared once.
        _ => one_of(config, name),
    }
}

pub(crate) fn open(config: &SourceConfig) -> Result<Opened<'_>, String> {
    let database = config.open().map_err(|error| error.chain())?;
    Ok(Opened { config, database })
}

fn named<'c>(config: &'c Config, name: &str) -> Result<&'c SourceConfig, String> {
    config.sources.iter().find(|source| source.name == name).ok_or_else(|| {
        let names: Vec<_> = config.sources.iter().map(|source| &*source.name).collect();
        format!("there is no source {name}: the sources are {}", names.join(", "))
    })
}

/// Runs a command that asks databases.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("can't start the runtime: {error}"))?.block_on(work)
}
