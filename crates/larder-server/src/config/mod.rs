//! The configuration: a text becomes a [`Config`], or everything that is wrong with it.
//!
//! ```
//! use larder_server::config::Config;
//!
//! let text = r#"
//! [source.shop]
//! url = "${DATABASE_URL}"
//!
//! [cache.user]
//! key = "user:{id:int}"
//! load = "SELECT id, name FROM users WHERE id = {id}"
//! max_staleness = "2s"
//! "#;
//! let url = "postgres://app:secret@localhost/shop";
//! let config = Config::parse(text, "larder.toml", &|name| {
//!     (name == "DATABASE_URL").then(|| url.to_owned())
//! })?;
//! assert_eq!(config.caches[0].name, "user");
//! assert!(config.report().contains("an answer is at most 2s old"));
//! assert!(!config.report().contains("secret"));
//! # Ok::<(), larder_server::config::Problems>(())
//! ```
//!
//! It goes in steps, each a file: the text is parsed to TOML and sorted by the table of options
//! (`document`), each value is read by its kind (`scope`, `value`), each section is resolved and
//! checked (`listen`, `source`, `breaker`, `cache`, `window`, `patience`, `tags`, `statement`,
//! `trace`, `edge`), then all keys together (`keyspace`), and then all memory (`memory`). No step
//! stops at the first problem. Nothing here asks a database, opens a socket or looks at a clock;
//! only [`read()`] touches a file and the environment.

mod address;
mod bloom;
mod breaker;
mod bus;
mod cache;
mod debezium;
mod document;
mod edge;
mod edge_bounds;
mod edge_rule;
mod edge_tls;
mod edge_value;
mod edge_webhook;
mod environment;
mod feed;
mod findings;
mod glob;
mod http;
mod inner;
mod invalidate;
mod journal;
mod keyspace;
mod listen;
mod memory;
mod network;
mod options;
mod patience;
mod problem;
mod read;
mod reference;
mod report;
mod scope;
mod secret;
mod shared;
mod sharing;
mod source;
mod statement;
mod tags;
mod template;
mod text;
mod trace;
mod unknown;
mod upstream;
mod value;
mod warm;
mod window;
mod write;

#[cfg(test)]
mod tests;

use toml::de::DeTable;

pub use address::Address;
pub use bloom::BloomConfig;
pub use bus::{Beside, NatsUrl};
pub use cache::CacheConfig;
pub use debezium::{Beats, DebeziumConfig, RecordsUrl};
pub use edge::EdgeConfig;
pub use edge_bounds::{EdgeBounds, StoreConfig};
pub use edge_rule::{EdgeRule, MediaRange, ParameterName, StatusLifetime};
pub use edge_tls::TlsFiles;
pub use edge_value::{Forwarding, HostName, OriginUrl, Profile};
pub use edge_webhook::{WebhookConfig, WebhookUrl};
pub use feed::{FeedConfig, FeedKind};
pub use glob::Glob;
pub use http::HttpReads;
pub use invalidate::Invalidate;
pub use journal::JournalConfig;
pub use listen::Listen;
pub use memory::MemoryConfig;
pub use network::Network;
pub use problem::{Place, Problem, Problems};
pub use read::{FILE_BYTES_MAX, read};
pub use reference::reference;
pub use secret::{Secret, SecretUrl};
pub use shared::{SharedConfig, Tier};
pub use sharing::CacheSharing;
pub use source::SourceConfig;
pub use trace::TraceConfig;
pub use warm::WarmConfig;
pub use write::CacheWrites;

use cache::{Around, Known};
use document::{Document, Written};
use findings::{Findings, Reported};
use memory::{Owners, Plain, Whole};
use scope::Scope;
use text::Text;

/// Everything that a file declares, with every default filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who may connect, where and how.
    pub listen: Listen,
    /// What entries may take, in bytes: keys, values and a stated overhead. All parts together
    /// are this or less.
    pub memory_bytes: u64,
    /// The part of memory that the caches without one of their own share, if there are any.
    pub common: Option<MemoryConfig>,
    /// The part of memory that keys which belong to no cache have; `None` when those are refused.
    pub plain: Option<MemoryConfig>,
    /// Whether plain keys live in the shared Redis, under their own names; otherwise they live in
    /// memory or are refused.
    pub upstream: bool,
    /// The tier that it shares with others; `None` when it runs alone.
    pub shared: Option<SharedConfig>,
    /// The systems of record, in the file's order.
    pub sources: Vec<SourceConfig>,
    /// The caches, in the file's order. No key belongs to two.
    pub caches: Vec<CacheConfig>,
    /// What caches are filled with before anybody asks, at most one for each.
    pub warm: Vec<WarmConfig>,
    /// The filters of caches, in the file's order.
    pub bloom: Vec<BloomConfig>,
    /// Where the writes of caches that are written behind are durable until they are applied.
    /// There is one wherever such a cache is.
    pub journal: Option<JournalConfig>,
    /// The caching reverse proxies, in the file's order.
    pub edges: Vec<EdgeConfig>,
    /// The log of what is asked, if one is to be written.
    pub trace: Option<TraceConfig>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Reads `text`. `file_name` is what problems call it; `lookup` gives the variables of the
    /// environment.
    ///
    /// # Errors
    ///
    /// Everything that is wrong. Where the text isn't TOML, only that is known.
    pub fn parse(
        text: &str,
        file_name: &str,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Problems> {
        let (root, faults) = DeTable::parse_recoverable(text);
        if !faults.is_empty() {
            return Err(broken(text, file_name, &faults));
        }
        let mut findings = Findings::new(file_name, Text::parsed(text, root.get_ref()));
        let document = Document::read(root.get_ref(), &mut findings);
        let mut scope = Scope { findings: &mut findings, lookup };
        let config = resolve(&document, &mut scope);
        let (config, warnings) = findings.finish(config)?;
        Ok(Self { warnings, ..config })
    }

    /// The filter of `cache`, if it has one.
    #[must_use]
    pub fn bloom_of(&self, cache: &CacheConfig) -> Option<&BloomConfig> {
        self.bloom.iter().find(|bloom| self.caches[bloom.cache].name == cache.name)
    }

    /// What caches are filled with before anybody asks: what was declared, and for those that keep
    /// their entries in a shared tier what other larders found hot.
    #[must_use]
    pub fn all_warm(&self) -> Vec<WarmConfig> {
        let mut all = self.warm.clone();
        for (at, cache) in self.caches.iter().enumerate() {
            if cache.sharing.in_tier && all.iter().all(|warm| warm.cache != at) {
                all.push(WarmConfig::of_others(at));
            }
        }
        all
    }

    /// Whether a feed tells of the changes of what `cache` loads.
    #[must_use]
    pub fn is_fed(&self, cache: &CacheConfig) -> bool {
        self.source_of(cache).feed.is_some()
    }

    /// The source that `cache` loads from.
    ///
    /// # Panics
    ///
    /// Panics when `cache` is of another configuration.
    #[must_use]
    pub fn source_of(&self, cache: &CacheConfig) -> &SourceConfig {
        &self.sources[cache.source]
    }
}

/// What is wrong with a text that isn't TOML.
fn broken(text: &str, file_name: &str, faults: &[toml::de::Error]) -> Problems {
    let mut findings = Findings::new(file_name, Text::broken(text));
    let mut reported = None;
    for fault in faults {
        reported = Some(findings.error(
            &fault.span(),
            format!("this is not TOML: {}", fault.message()),
            "see https://toml.io for how it is written",
        ));
    }
    let nothing: Result<(), Reported> = reported.map_or(Ok(()), Err);
    match findings.finish(nothing) {
        Err(problems) => problems,
        Ok(_) => unreachable!("it is called with one fault at least"),
    }
}

fn resolve(document: &Document, scope: &mut Scope<'_, '_>) -> Result<Config, Reported> {
    let listen = Listen::resolve(document.one(&options::listen::SECTION), scope);
    let memory = document.one(&options::memory::SECTION);
    let whole = Whole::resolve(memory, scope);
    let plain = document.one(&options::plain::SECTION);
    let plain_keys = Plain::resolve(plain, whole, scope);
    let shared = SharedConfig::resolve(document.one(&options::shared::SECTION), scope);
    let (plain_keys, upstream) = upstream::resolve(plain, plain_keys, &shared, scope.findings);

    let written: Vec<&Written> = document.named(&options::source::SECTION).collect();
    let sources: Vec<_> =
        written.iter().map(|written| SourceConfig::resolve(written, document, scope)).collect();
    let known: Vec<_> = written
        .iter()
        .zip(&sources)
        .map(|(written, source)| Known {
            name: &written.name,
            database: source.as_ref().ok().map(|(_, database)| database),
            changes: source.as_ref().ok().map(|(source, _)| source.changes),
            // Where something about the source was reported, nothing more is said of it.
            is_fed: source.as_ref().map_or(true, |(source, _)| source.feed.is_some()),
        })
        .collect();
    let feedable = feed::check_shared(&written, &known, &shared, scope.findings);

    let section = document.one(&options::journal::SECTION);
    let journal = JournalConfig::resolve(section, scope);
    let keys: Vec<_> = document
        .named(&options::cache::SECTION)
        .map(|written| (written, scope.required(written, &options::cache::KEY)))
        .collect();
    let keyspace = keyspace::check(&keys, scope.findings);
    let declared: Vec<&Written> = keys.iter().map(|(written, _)| *written).collect();
    let caches: Vec<_> = keys
        .into_iter()
        .map(|(written, key)| {
            let around = Around { sources: &known, whole, shared: &shared, journal: &journal };
            CacheConfig::resolve(written, key, around, scope)
        })
        .collect();

    let warm = WarmConfig::resolve_all(document, &declared, scope);
    let bloom = BloomConfig::resolve_all(document, &declared, scope);
    let invalidated = invalidate::resolve_all(document, &declared, scope);
    let edges = EdgeConfig::resolve_all(document, &listen, scope);
    let trace = TraceConfig::resolve(document.one(&options::trace::SECTION), scope);

    keyspace?;
    let (whole, plain_keys) = (whole?, plain_keys?);
    let mut caches = caches.into_iter().collect::<Result<Vec<_>, _>>()?;
    let invalidated = invalidate::check(invalidated, &mut caches, &known, scope.findings);
    let warm = WarmConfig::check(warm, &caches, &known, scope.findings);
    let bloom = BloomConfig::check(bloom, &caches, &known, scope.findings);
    let homes: Vec<_> = declared.into_iter().zip(&caches).collect();
    let edges = edges?;
    let fronts: Vec<_> = document.named(&options::edge::SECTION).zip(&edges).collect();
    let owners = Owners { caches: &homes, edges: &fronts };
    let parts = memory::divide((memory, whole), (plain, plain_keys), owners, scope.findings)?;
    let mut sources = sources
        .into_iter()
        .map(|source| source.map(|(source, _)| source))
        .collect::<Result<Vec<_>, _>>()?;
    allow_writes(&mut sources, &caches);
    feedable?;
    invalidated?;
    let journal = journal?;
    if journal.is_some() && !caches.iter().any(CacheConfig::is_behind) {
        scope.findings.warning(
            &section.at,
            "no cache is written behind, so nothing is ever put into this journal",
            "set `write = \"behind\"` in a cache, or leave it out; if an earlier run left writes \
             in it, the server says so at its start and ends",
        );
    }
    let config = Config {
        listen: listen?,
        memory_bytes: whole.limit,
        common: parts.shared,
        upstream,
        shared: shared?,
        plain: parts.plain,
        sources,
        caches,
        warm: warm?,
        bloom: bloom?,
        journal,
        edges,
        trace: trace?,
        warnings: Vec::new(),
    };
    warn(&config, &written, scope.findings);
    Ok(config)
}

/// Gives the statements of a source as long as the writes of its caches may take.
fn allow_writes(sources: &mut [SourceConfig], caches: &[CacheConfig]) {
    for (at, source) in sources.iter_mut().enumerate() {
        let writes = caches.iter().filter(|cache| cache.source == at);
        let timeouts =
            writes.filter_map(|cache| cache.writes.as_ref()).map(|writes| writes.timeout);
        source.write_timeout = timeouts.max().unwrap_or(source.write_timeout);
    }
}

/// Says what no single section can know. `sources` are the sections of the sources.
fn warn(config: &Config, sources: &[&Written], findings: &mut Findings<'_>) {
    for (at, written) in sources.iter().enumerate() {
        if config.caches.iter().all(|cache| cache.source != at) {
            findings.warning(
                &written.at,
                format!("no cache loads from {}", written.header()),
                "name it in a cache, or leave it out",
            );
        }
    }
    if config.caches.is_empty() && config.plain.is_none() && !config.upstream {
        findings.warning(
            [],
            "there is no cache, and plain keys are refused: nothing can be read",
            "declare a cache: [cache.NAME] with its `key`, `load` and `max_staleness`",
        );
    }
}
