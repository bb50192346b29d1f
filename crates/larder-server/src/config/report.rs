//! What a configuration promises, in words: `larder check` prints this.

mod edge;
mod write;

use std::fmt;
use std::time::Duration;

use humantime::format_duration;
use larder_core::Changes;
use larder_core::freshness::Early;
use larder_engine::Reload;
use larder_memory::Candidates;
use larder_sql::Rows;

use super::bus::Beside;
use super::cache::CacheConfig;
use super::debezium::Beats;
use super::feed::FeedKind;
use super::journal::JournalConfig;
use super::shared::SharedConfig;
use super::source::SourceConfig;
use super::value::size_text;
use super::{Address, Config, HttpReads, Listen, MemoryConfig, Secret, TraceConfig};

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
        write_cache(cache, config.source_of(cache), config.journal.as_ref(), out)?;
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
        write_source(source, out)?;
        writeln!(out)?;
    }
    if let Some(shared) = &config.shared {
        write_shared(shared, out)?;
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
    write_memory(config, out)?;
    if let Some(journal) = &config.journal {
        writeln!(out, "{journal}")?;
    }
    let listen = &config.listen;
    write_door("resp", listen.resp.as_ref(), "password", listen.password.as_ref(), out)?;
    if listen.resp.is_some() {
        let workers = match listen.workers {
            None => "a thread for every two cores serves them".to_owned(),
            Some(1) => "one thread serves them".to_owned(),
            Some(workers) => format!("{workers} threads serve them"),
        };
        writeln!(out, "  at most {} clients at once; {workers}", listen.clients_max)?;
    }
    write_door("http", listen.http.as_ref(), "token", listen.token.as_ref(), out)?;
    if listen.http.is_some() {
        write_http(listen, out)?;
    }
    config.edges.iter().try_for_each(|one| edge::write(one, out))?;
    write_door("admin", listen.admin.as_ref(), "token", listen.token.as_ref(), out)?;
    match &config.trace {
        None => writeln!(out, "trace: none"),
        Some(TraceConfig { file, sample }) => writeln!(
            out,
            "trace: what is asked of {sample} of the keys, without the keys themselves, to {}",
            file.display()
        ),
    }
}

fn write_cache(
    cache: &CacheConfig,
    source: &SourceConfig,
    journal: Option<&JournalConfig>,
    out: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    writeln!(
        out,
        "cache {}: {} from source {} ({})",
        cache.name,
        cache.key.text(),
        source.name,
        source.url
    )?;
    let window = &cache.window;
    if window.keeps() {
        write_promise(cache, source, out)?;
    } else {
        writeln!(
            out,
            "  every read asks the source: with max_staleness = \"0s\" you don't want a cache, \
             only its coalescing and its limits"
        )?;
    }
    if !cache.tags.is_empty() {
        let tags: Vec<_> = cache.tags.iter().map(ToString::to_string).collect();
        writeln!(out, "  it goes when one of its tags is invalidated: {}", tags.join(", "))?;
    }
    if cache.sharing.in_tier {
        writeln!(
            out,
            "  what one larder loads, the others find in the shared tier; of those that miss \
             together one loads"
        )?;
    } else if cache.sharing.has_bus {
        writeln!(out, "  it is held in each larder's own memory, not in the shared tier")?;
    }
    writeln!(
        out,
        "  a read waits at most {}; the load that it waits for has {}, and goes on without it",
        show(cache.deadline),
        show(source.load_timeout)
    )?;
    match cache.gather {
        None => {}
        Some(gather) => writeln!(
            out,
            "  keys that miss within {} of each other are loaded with one question",
            show(gather)
        )?,
    }
    if cache.reload == Reload::Hot {
        writeln!(out, "  what is in use is loaded again as soon as its key is invalidated")?;
    }
    for invalidate in &cache.invalidate {
        writeln!(out, "  {invalidate}")?;
    }
    match &cache.writes {
        None => Ok(()),
        Some(writes) => write::write(cache, writes, journal, out),
    }
}

fn write_promise(
    cache: &CacheConfig,
    source: &SourceConfig,
    out: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let window = &cache.window;
    let absence = if cache.rows == Rows::Many { Duration::ZERO } else { window.missing_for };
    let held = window.fresh_for.saturating_add(window.stale_for).max(absence);
    let age = held.min(window.max_staleness);
    if source.feed.is_some() {
        write_fed(window.max_staleness, out)?;
    } else if window.vouched {
        write_vouched(source.changes, window.max_staleness, out)?;
    } else {
        write_changes(source.changes, age, out)?;
    }
    if age < window.max_staleness {
        writeln!(
            out,
            "  that is less than max_staleness = \"{}\" allows",
            show(window.max_staleness)
        )?;
    }
    let jittered = window.fresh_for.saturating_sub(window.jitter);
    if window.jitter.is_zero() {
        writeln!(out, "  it is served as it is for {}", show(window.fresh_for))?;
    } else {
        writeln!(
            out,
            "  it is served as it is for {} to {}, as chance has it (jitter)",
            show(jittered),
            show(window.fresh_for)
        )?;
    }
    write_refresh(&window.early, out)?;
    if window.stale_for.is_zero() {
        writeln!(out, "  stale answers: none")?;
    } else {
        writeln!(
            out,
            "  stale answers: for {} more while one refresh runs, never beyond max_staleness",
            show(window.stale_for)
        )?;
    }
    if !window.stale_on_error.is_zero() {
        writeln!(
            out,
            "  when the source fails, or takes longer than {}: answers up to {} past the promise, \
             which say so",
            show(cache.wait),
            show(window.stale_on_error)
        )?;
    }
    if cache.rows == Rows::Many {
        writeln!(out, "  no rows are an answer like any other")
    } else if window.missing_for.is_zero() {
        writeln!(out, "  an absent row is not remembered: each read of it asks the source")
    } else {
        writeln!(out, "  an absent row is remembered for {}", show(window.missing_for))
    }
}

/// How far an answer is behind at most, where a feed tells of every change.
fn write_fed(max: Duration, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(
        out,
        "  an answer is at most {} behind the database, counted from the commit, whoever changes \
         the data: the feed tells of it; while the feed stands still, what is older is not served, \
         and the source is asked",
        show(max)
    )
}

/// How far an answer is behind at most, where announcements reach this process.
fn write_vouched(changes: Changes, max: Duration, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    if changes == Changes::Static {
        let reason = "nobody changes the data (changes = \"static\")";
        return writeln!(out, "  an answer is right at any age: {reason}");
    }
    writeln!(
        out,
        "  an answer is at most {} behind what was announced: who changes the data announces it \
         (changes = \"announced\"), every larder hears of it over the bus, and the \
         promise counts from the moment that an announcement has returned; a larder that hears \
         nothing asks the source",
        show(max)
    )
}

/// How old an answer is at most, and what that says about its staleness.
fn write_changes(changes: Changes, age: Duration, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let reason = match changes {
        Changes::Announced => {
            "who changes the data announces it (changes = \"announced\"), and the promise counts \
             from the moment that an announcement, an invalidation that isn't SOFT, has \
             returned: nothing older is served"
        }
        Changes::Static => {
            "nobody changes the data (changes = \"static\"), so it is right at any age, and loaded \
             again all the same"
        }
        // Whatever is not known to be better.
        _ => {
            "anyone may change the data behind our back (changes = \"unknown\"), so its age \
             bounds its staleness"
        }
    };
    writeln!(out, "  an answer is at most {} old: {reason}", show(age))
}

/// When a read begins a refresh although what it finds is still served as it is.
fn write_refresh(early: &Early, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (part, xfetch) = (early.refresh_at(), early.xfetch());
    let sooner = "where loads take long (xfetch)";
    match (part < 1.0, xfetch > 0.0) {
        (false, false) => Ok(()),
        (false, true) => writeln!(out, "  a read near its end begins a refresh {sooner}"),
        (true, false) => writeln!(out, "  once {part} of that has passed, a read begins a refresh"),
        (true, true) => writeln!(
            out,
            "  once {part} of that has passed, a read begins a refresh; sooner {sooner}"
        ),
    }
}

fn write_shared(shared: &SharedConfig, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(out, "shared: {}, under names that begin with {}", shared.url, shared.namespace)?;
    writeln!(
        out,
        "  a read waits for it for {} at most, and then goes to the source without it; an \
         invalidation that it doesn't take within {} is kept and repeated until it is done",
        show(shared.bounds.read_within),
        show(shared.bounds.write_within)
    )?;
    write_bus(shared, out)?;
    if shared.is_memcached() {
        let told = |sentence: &&&str| !(shared.has_bus() && sentence.contains("has no bus"));
        for sentence in larder_memcached::explain().iter().filter(told) {
            writeln!(out, "  {sentence}")?;
        }
    }
    Ok(())
}

/// How larders hear of each other, and what that means.
fn write_bus(shared: &SharedConfig, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let stream = "a stream in that Redis, which keeps the last 100,000 announcements; on one \
                  server what is invalidated is announced in the same step";
    let gap = "a larder that missed any drops what it holds";
    match &shared.bus {
        // A Memcached, of which that is said with the rest.
        Beside::None => Ok(()),
        Beside::Streams => writeln!(out, "  bus: {stream}; {gap}"),
        Beside::Tracking => writeln!(
            out,
            "  bus: {stream}; and Redis itself says of every entry that changes, also of one that \
             is deleted by hand; it says the same of fills and evictions, so after each of them \
             every larder that held the entry reads it again from there; {gap}, and so does one \
             that loses its connection for a moment"
        ),
        Beside::Nats(nats) => writeln!(
            out,
            "  bus: {nats}: a stream of JetStream that keeps announcements for an hour, 100,000 \
             and 256 MiB of them at most; {gap}; what is invalidated is announced in a second \
             step, so a larder that dies in between leaves the others with what they hold, for \
             its lifetime"
        ),
    }
}

fn write_source(source: &SourceConfig, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(out, "source {}: {}", source.name, source.url)?;
    writeln!(
        out,
        "  at most {} loads at once over {} connections, each load for {} at most; connecting \
         has {}",
        source.loads_max,
        source.connections,
        show(source.load_timeout),
        show(source.connect_timeout)
    )?;
    writeln!(
        out,
        "  {} more may wait; after that a read is told at once to come back later",
        source.loads_waiting_max
    )?;
    if let Some(feed) = &source.feed {
        write!(out, "  feed: {}, called {} in the database", feed.kind.as_str(), feed.name)?;
        match feed.kind {
            FeedKind::Logical => {
                writeln!(
                    out,
                    ", which keeps {} of log for it at most; one that is further behind begins \
                     again, and everything that it covers is dropped once",
                    size_text(feed.behind_max)
                )?;
                let budget = feed.wal_budget.map(size_text);
                budget.map_or(Ok(()), |budget| {
                    writeln!(out, "    and {budget} while no larder runs, once it is installed")
                })?;
            }
            FeedKind::Triggers => writeln!(
                out,
                ", which keeps {} changes for it at most; one that is further behind begins \
                 again, and everything that it covers is dropped once",
                feed.changes_max
            )?,
            FeedKind::Debezium => {
                let debezium = feed.debezium.as_ref();
                let from = debezium.map(|debezium| debezium.from.shown()).unwrap_or_default();
                let beats = debezium.map(|debezium| debezium.heartbeat);
                let horizon = match beats {
                    None | Some(Beats::None) => {
                        "; without a heartbeat nobody knows how far it is, so `max_staleness` \
                         bounds the age of what is held"
                    }
                    Some(Beats::Messages | Beats::Table) => "",
                };
                writeln!(out, ", from {from}{horizon}")?;
            }
            FeedKind::Binlog => writeln!(
                out,
                "; one that is further behind than the server keeps its log begins again, and \
                 everything that it covers is dropped once"
            )?,
        }
    }
    match &source.breaker {
        None => writeln!(out, "  while it fails, it is asked all the same"),
        Some(bounds) => writeln!(
            out,
            "  once {} loads within {} have failed, and {} of all of them, it is left alone for \
             {}, then probed; while probes fail, for {} at most",
            bounds.errors_min,
            show(bounds.window),
            bounds.error_share,
            show(bounds.probe_after),
            show(bounds.probe_after_max)
        ),
    }
}

/// What each part of memory may hold, and what leaves when it is full.
fn write_memory(config: &Config, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(out, "memory: {}", size_text(config.memory_bytes))?;
    if let Some(shared) = &config.common {
        write_part("the caches that share it", shared, out)?;
    }
    for cache in &config.caches {
        if let Some(own) = &cache.memory {
            write_part(&format!("the cache {}", cache.name), own, out)?;
        }
    }
    for edge in &config.edges {
        writeln!(out, "  {} for the edge {}", size_text(edge.memory), edge.name)?;
    }
    match &config.plain {
        Some(plain) => write_part("keys of no cache", plain, out),
        None => Ok(()),
    }
}

fn write_part(whose: &str, part: &MemoryConfig, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let leaves = match part.candidates {
        Candidates::All => "what is evicted",
        Candidates::Expiring => "which of those with an expiry are evicted; the others stay",
    };
    writeln!(out, "  {} for {whose}; {} decides {leaves}", size_text(part.bytes), part.policy)?;
    match part.idle_for {
        None => Ok(()),
        Some(idle_for) => {
            writeln!(out, "    what nobody has read for {} is forgotten", show(idle_for))
        }
    }
}

/// One line about a listener, which has its `credential` or hasn't.
fn write_door(
    name: &str,
    address: Option<&Address>,
    credential: &str,
    given: Option<&Secret>,
    out: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let Some(address) = address else {
        return writeln!(out, "{name}: not opened");
    };
    let reach = if address.is_loopback() { "this machine only" } else { "other machines, no TLS" };
    let guard = if given.is_some() { "with a" } else { "without a" };
    writeln!(out, "{name}: {address} ({reach}, {guard} {credential})")
}

/// Who may do what over HTTP, and who is answered at all.
fn write_http(listen: &Listen, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let guard = match (&listen.token, listen.http_reads) {
        (None, _) => "whoever reaches it reads, writes and invalidates",
        (Some(_), HttpReads::Anyone) => {
            "whoever reaches it reads; who writes or invalidates sends the token"
        }
        (Some(_), HttpReads::Token) => "only who sends the token reads, writes or invalidates",
    };
    let hosts = listen.hosts.join(", ");
    writeln!(out, "  caches are at /cache/NAME/KEY; {guard}")?;
    writeln!(out, "  requests must be for this machine's own names, or for {hosts}")
}

fn show(duration: Duration) -> humantime::FormattedDuration {
    format_duration(duration)
}
