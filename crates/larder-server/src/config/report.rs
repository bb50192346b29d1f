//! What a configuration promises, in words: `larder check` prints this.

mod cache;
mod edge;
mod listen;
mod memory;
mod shared;
mod source;
mod write;

use std::fmt;
use std::time::Duration;

use humantime::format_duration;

use super::{CacheConfig, Config, SharedConfig, TraceConfig};

impl Config {
    /// What each cache promises, and within which limits, in words and without secrets. Each
    /// line ends with a line break.
    #[must_use]
    pub fn report(&self) -> String {
        Report(self).to_string()
    }
}

struct Report<'c>(&'c Config);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self.0, f)
    }
}

fn write(config: &Config, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    for cache in &config.caches {
        cache::write(cache, config.source_of(cache), config.journal.as_ref(), out)?;
        let is_warmed = |cached: &&CacheConfig| cached.name == cache.name;
        for warm in &config.warm {
            if config.caches.get(warm.cache).as_ref().is_some_and(is_warmed) {
                writeln!(out, "  {warm}")?;
            }
        }
        if let Some(bloom) = config.bloom_of(cache) {
            writeln!(out, "  {bloom}")?;
        }
        writeln!(out)?;
    }
    for source in &config.sources {
        source::write(source, out)?;
        writeln!(out)?;
    }
    if let Some(shared) = &config.shared {
        shared::write(shared, out)?;
    }
    let plain = match (&config.plain, config.upstream) {
        (Some(_), _) => "served as by Redis",
        (None, true) if config.shared.as_ref().is_some_and(SharedConfig::is_cluster) => {
            "passed through to the shared Redis, where they have their own names; as it is a \
             cluster, they have no tags and no leases"
        }
        (None, true) => "passed through to the shared Redis, where they have their own names",
        (None, false) => "refused",
    };
    writeln!(out, "keys of no cache: {plain}")?;
    memory::write(config, out)?;
    if let Some(journal) = &config.journal {
        writeln!(out, "{journal}")?;
    }
    listen::write_resp(&config.listen, out)?;
    listen::write_http(&config.listen, out)?;
    config.edges.iter().try_for_each(|one| edge::write(one, out))?;
    listen::write_admin(&config.listen, out)?;
    match &config.trace {
        None => writeln!(out, "trace: none"),
        Some(TraceConfig { file, sample }) => writeln!(
            out,
            "trace: what is asked of {sample} of the keys, without the keys themselves, to {}",
            file.display()
        ),
    }
}

fn show(duration: Duration) -> humantime::FormattedDuration {
    format_duration(duration)
}
