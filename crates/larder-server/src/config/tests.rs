//! Configurations as users write them: what they resolve to, and what is said about mistakes.

mod edge;
mod feed;
mod sharing;
mod writes;

use std::num::NonZeroU32;
use std::time::Duration;

use larder_core::Changes;
use larder_engine::filter::FilterOptions;
use larder_engine::{BreakerBounds, Reload};
use larder_memory::Candidates;
use larder_memory::policy::PolicyKind;
use larder_sql::{Format, Rows};

use super::options::{self, Default, Heads, later::LATER};
use super::reference::EXAMPLE;
use super::value::size_text;
use super::{Beside, BloomConfig, Config, MemoryConfig, Problems, WarmConfig, reference};
use sharing::with_bus;

/// What must never be seen.
const CANARY: &str = "c4n4ry";

/// The smallest file that has one of everything.
const SMALL: &str = r#"
[source.shop]
url = "sqlite:shop.db"
[cache.user]
key = "user:{id:int}"
load = "SELECT name FROM users WHERE id = {id}"
max_staleness = "2s"
"#;

fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse(text, "larder.toml", &|name| match name {
        "DATABASE_URL" => Some(format!("postgres://app:{CANARY}@localhost/shop")),
        "CANARY" => Some(CANARY.to_owned()),
        "EIGHT" => Some("8".to_owned()),
        "YES" => Some("true".to_owned()),
        "EMPTY" => Some(String::new()),
        "LINE" => Some("hunter2\n".to_owned()),
        _ => None,
    })
}

/// Checks that `text` is refused, and that the problems contain `part`.
#[track_caller]
fn check(text: &str, part: &str) {
    match parse(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(problems) => {
            let shown = problems.to_string();
            assert!(shown.contains(part), "not in the problems: {part}\n\n{shown}");
        }
    }
}

/// Checks that `text` is accepted, with one warning that contains `part`.
#[track_caller]
fn check_warning(text: &str, part: &str) {
    let config = parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    let shown: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert!(shown.len() == 1 && shown[0].contains(part), "not the warning: {part}\n{shown:#?}");
}

/// `SMALL` with one more line in its cache.
fn cache_with(line: &str) -> String {
    format!("{SMALL}{line}\n")
}

/// `SMALL` with other windows.
fn windows(lines: &str) -> String {
    SMALL.replace("max_staleness = \"2s\"", lines)
}

/// `SMALL` with one more line in its source.
fn source_with(line: &str) -> String {
    SMALL.replace("[cache.user]", &format!("{line}\n[cache.user]"))
}

#[test]
fn the_example_is_resolved() {
    let config = parse(EXAMPLE).unwrap();
    assert_eq!(config.listen.resp.as_ref().unwrap().to_string(), "127.0.0.1:7379");
    assert_eq!(config.listen.admin.as_ref().unwrap().to_string(), "127.0.0.1:7381");
    assert_eq!(config.memory_bytes, 512 << 20);
    assert!(config.warnings.is_empty());
    let (policy, candidates) = (PolicyKind::Adaptive, Candidates::All);
    let idle_for = None;
    assert_eq!(
        config.common,
        Some(MemoryConfig { bytes: 416 << 20, policy, candidates, idle_for })
    );
    let (policy, candidates) = (PolicyKind::Lru, Candidates::Expiring);
    assert_eq!(config.plain, Some(MemoryConfig { bytes: 64 << 20, policy, candidates, idle_for }));

    let [shop] = &config.sources[..] else { panic!("one source") };
    assert_eq!(shop.url.expose(), format!("postgres://app:{CANARY}@localhost/shop"));
    assert_eq!((&shop.name[..], shop.connections, shop.loads_max), ("shop", 8, 8));

    let [user, prices] = &config.caches[..] else { panic!("two caches") };
    assert_eq!(user.key.text(), "user:{id:int}");
    assert_eq!(user.load, "SELECT id, name, email, tenant_id FROM users WHERE id = {id}");
    assert_eq!((user.rows, user.format), (Rows::One, Format::Json));
    assert_eq!(user.window.fresh_for, Duration::from_secs(2));
    assert_eq!(user.window.missing_for, Duration::from_secs(2));
    let tags: Vec<_> = user.load().tags.iter().map(ToString::to_string).collect();
    assert_eq!(tags, ["tenant:{tenant_id}"]);
    assert_eq!(user.window.stale_on_error, Duration::from_secs(3600));
    assert_eq!((user.wait, user.gather), (Duration::from_millis(50), None));
    let early = prices.window.early;
    assert_eq!((early.refresh_at(), early.xfetch()), (0.5, 0.0));
    assert_eq!(prices.gather, Some(Duration::from_millis(2)));
    assert_eq!(prices.rows, Rows::Many);
    assert_eq!(prices.window.max_staleness, Duration::from_secs(60));
    assert_eq!(prices.deadline, Duration::from_millis(500));
    assert_eq!(config.source_of(prices).name, "shop");
    let (policy, candidates) = (PolicyKind::S3Fifo, Candidates::All);
    let idle_for = Some(Duration::from_secs(20));
    assert_eq!(prices.memory, Some(MemoryConfig { bytes: 32 << 20, policy, candidates, idle_for }));
    assert_eq!(user.memory, None);

    let trace = config.trace.unwrap();
    assert_eq!((trace.file.to_str(), trace.sample), (Some("/var/log/larder/keys"), 0.05));
    assert_eq!(parse(SMALL).unwrap().trace, None);
    assert_eq!(parse("[trace]\nfile = \"k\"\nsample = 1").unwrap().trace.unwrap().sample, 1.0);
}

#[test]
fn the_report_says_in_words_what_is_promised() {
    let report = parse(EXAMPLE).unwrap().report();
    assert_eq!(
        report,
        "\
cache user: user:{id:int} from source shop (postgres://app:***@localhost/shop)
  an answer is at most 2s old: anyone may change the data behind our back (changes = \"unknown\"), so its age bounds its staleness
  it is served as it is for 1s 800ms to 2s, as chance has it (jitter)
  once 0.8 of that has passed, a read begins a refresh; sooner where loads take long (xfetch)
  stale answers: none
  when the source fails, or takes longer than 50ms: answers up to 1h past the promise, which say so
  an absent row is remembered for 2s
  it goes when one of its tags is invalidated: tenant:{tenant_id}
  a read waits at most 10s; the load that it waits for has 10s, and goes on without it

cache prices: prices:{product:int} from source shop (postgres://app:***@localhost/shop)
  an answer is at most 1m old: anyone may change the data behind our back (changes = \"unknown\"), so its age bounds its staleness
  it is served as it is for 27s to 30s, as chance has it (jitter)
  once 0.5 of that has passed, a read begins a refresh
  stale answers: for 30s more while one refresh runs, never beyond max_staleness
  no rows are an answer like any other
  a read waits at most 500ms; the load that it waits for has 10s, and goes on without it
  keys that miss within 2ms of each other are loaded with one question
  at the start it is filled, as far as there is free room, with the last run's hottest keys (/var/lib/larder/prices), then the keys of a query; 100000 keys at most

source shop: postgres://app:***@localhost/shop
  at most 8 loads at once over 8 connections, each load for 10s at most; connecting has 1s
  1024 more may wait; after that a read is told at once to come back later
  once 5 loads within 10s have failed, and 0.5 of all of them, it is left alone for 5s, then probed; while probes fail, for 30s at most

keys of no cache: served as by Redis
memory: 512MiB
  416MiB for the caches that share it; adaptive decides what is evicted
  32MiB for the cache prices; s3fifo decides what is evicted
    what nobody has read for 20s is forgotten
  64MiB for keys of no cache; lru decides which of those with an expiry are evicted; the others stay
resp: 127.0.0.1:7379 (this machine only, without a password)
  at most 10000 clients at once; a thread for every two cores serves them
http: not opened
admin: 127.0.0.1:7381 (this machine only, without a token)
trace: what is asked of 0.05 of the keys, without the keys themselves, to /var/log/larder/keys
"
    );
}

#[test]
fn the_report_tells_the_other_cases_too() {
    for (text, part) in [
        (windows("max_staleness = \"0s\""), "you don't want a cache"),
        (
            windows("fresh_for = \"1s\"\nmax_staleness = \"9s\"\nmissing_for = \"1s\""),
            "at most 1s old",
        ),
        (windows("fresh_for = \"1s\"\nmax_staleness = \"9s\""), "an answer is at most 9s old"),
        (cache_with("jitter = \"0s\""), "it is served as it is for 2s\n"),
        (cache_with("missing_for = \"0s\""), "an absent row is not remembered"),
        (
            cache_with("refresh_at = 1"),
            "  a read near its end begins a refresh where loads take long (xfetch)\n",
        ),
        (cache_with("refresh_at = 1\nxfetch = 0"), "chance has it (jitter)\n  stale answers"),
        (
            cache_with("stale_on_error = \"1h\""),
            "  when the source fails, or takes longer than 100ms: answers up to 1h past the \
             promise, which say so\n",
        ),
        (
            source_with("changes = \"announced\""),
            "  an answer is at most 2s old: who changes the data announces it (changes = \
             \"announced\"), and the promise counts from the moment that an announcement, an \
             invalidation that isn't SOFT, has returned: nothing older is served\n",
        ),
        (
            source_with("changes = \"static\""),
            "  an answer is at most 2s old: nobody changes the data (changes = \"static\"), so it \
             is right at any age, and loaded again all the same\n",
        ),
        (source_with("breaker = false"), "  while it fails, it is asked all the same\n"),
        (format!("{SMALL}[plain]\nenabled = false\n"), "keys of no cache: refused"),
        (SMALL.to_owned(), "resp: not opened"),
        (SMALL.to_owned(), "trace: none\n"),
        (
            "[listen]\nresp = \"[::]:1\"\npassword = \"p\"\nplaintext = true\nworkers = 1"
                .to_owned(),
            "resp: [::]:1 (other machines, no TLS, with a password)\n  at most 10000 clients at \
             once; one thread serves them",
        ),
        (
            "[listen]\nhttp = \"127.0.0.1:7380\"".to_owned(),
            "http: 127.0.0.1:7380 (this machine only, without a token)\n  caches are at \
             /cache/NAME/KEY; whoever reaches it reads, writes and invalidates\n  requests must be \
             for this machine's own names, or for 127.0.0.1\n",
        ),
        (
            "[listen]\nhttp = \"127.0.0.1:1\"\ntoken = \"t\"".to_owned(),
            "whoever reaches it reads; who writes or invalidates sends the token\n",
        ),
        (
            "[listen]\nhttp = \"[::]:1\"\ntoken = \"t\"\nplaintext = true\n\
             hosts = [\"Cache.Internal\"]"
                .to_owned(),
            "http: [::]:1 (other machines, no TLS, with a token)\n  caches are at /cache/NAME/KEY; \
             only who sends the token reads, writes or invalidates\n  requests must be for this \
             machine's own names, or for ::, cache.internal\n",
        ),
    ] {
        let report = parse(&text).unwrap_or_else(|problems| panic!("{problems}")).report();
        assert!(report.contains(part), "{part}\n\n{report}");
    }
}

#[test]
fn every_default_is_the_one_of_the_reference() {
    let shared_url = "[shared]\nurl = \"redis://localhost\"\n";
    let config = parse(&format!("{SMALL}[trace]\nfile = \"keys\"\n{shared_url}")).unwrap();
    assert!(config.warnings.is_empty());
    let (source, cache) = (&config.sources[0], &config.caches[0]);
    // With a shared Redis plain keys have no part of memory.
    assert!(config.plain.is_none() && config.upstream);
    let plain = parse(SMALL).unwrap().plain.unwrap();
    let common = parse(SMALL).unwrap().common.unwrap();
    let shared = config.shared.as_ref().unwrap();
    let show = |duration| humantime::format_duration(duration).to_string();
    let breaker = source.breaker.unwrap();
    let resolved = [
        ("listen", "plaintext", config.listen.plaintext.to_string()),
        ("listen", "clients_max", config.listen.clients_max.to_string()),
        ("listen", "head_timeout", show(config.listen.head_timeout)),
        ("memory", "limit", size_text(config.memory_bytes)),
        ("memory", "policy", common.policy.to_string()),
        ("memory", "candidates", format!("{:?}", common.candidates).to_lowercase()),
        ("plain", "enabled", config.upstream.to_string()),
        ("plain", "policy", plain.policy.to_string()),
        ("source", "changes", format!("{:?}", source.changes).to_lowercase()),
        ("source", "connections", source.connections.to_string()),
        ("source", "write_connections", source.write_connections.to_string()),
        ("source", "connect_timeout", show(source.connect_timeout)),
        ("source", "load_timeout", show(source.load_timeout)),
        ("source", "loads_waiting_max", source.loads_waiting_max.to_string()),
        ("source", "breaker", source.breaker.is_some().to_string()),
        ("source", "breaker_errors", breaker.errors_min.to_string()),
        ("source", "breaker_share", breaker.error_share.to_string()),
        ("source", "breaker_window", show(breaker.window)),
        ("source", "breaker_probe_after", show(breaker.probe_after)),
        ("cache", "rows", format!("{:?}", cache.rows).to_lowercase()),
        ("cache", "stale_for", show(cache.window.stale_for)),
        ("cache", "stale_on_error", show(cache.window.stale_on_error)),
        ("cache", "refresh_at", format!("{:?}", cache.window.early.refresh_at())),
        ("cache", "xfetch", format!("{:?}", cache.window.early.xfetch())),
        ("cache", "wait", show(cache.wait)),
        ("cache", "deadline", show(cache.deadline)),
        ("cache", "reload", format!("{:?}", cache.reload).to_lowercase()),
        ("cache", "consistency", format!("{:?}", cache.sharing.consistency).to_lowercase()),
        ("cache", "schema", cache.sharing.schema.to_string()),
        ("shared", "namespace", shared.namespace.clone()),
        ("shared", "connect_timeout", show(shared.connect_timeout)),
        ("shared", "read_within", show(shared.bounds.read_within)),
        ("shared", "write_within", show(shared.bounds.write_within)),
        ("shared", "fill_wait", show(shared.bounds.fill_wait)),
        ("trace", "sample", config.trace.as_ref().unwrap().sample.to_string()),
    ];
    let warmed = windows("max_staleness = \"1h\"\n[cache.user.warm]\nlog = \"keys\"");
    let warm = parse(&warmed).unwrap().warm.remove(0);
    let bloom = parse(&bloomed("static", "keys = \"SELECT id FROM users\"")).unwrap();
    let bloom = bloom.bloom_of(&bloom.caches[0]).unwrap().options.clone();
    let resolved = resolved.into_iter().chain([
        ("bloom", "false_positives", bloom.false_positives.to_string()),
        ("bloom", "bytes_max", size_text(bloom.bytes_max as u64)),
        ("bloom", "rebuild_after", "24h".to_owned()),
        ("warm", "keys_max", warm.keys_max.to_string()),
        ("warm", "ready_waits", warm.ready_waits.to_string()),
    ]);
    let resolved = resolved.chain(writes::defaults()).chain(feed::defaults());
    let resolved = resolved.chain(edge::defaults());
    let resolved: Vec<_> = resolved.collect();
    let mut checked = 0;
    for (section, about) in options::all() {
        let Default::Value(default) = about.default else {
            continue;
        };
        let found = resolved.iter().find(|(s, name, _)| (*s, *name) == (section.name, about.name));
        let (_, _, value) = found.unwrap_or_else(|| panic!("{} isn't compared", about.name));
        assert_eq!(value, default, "{}", about.name);
        checked += 1;
    }
    assert_eq!(checked, resolved.len());

    // Those that are given in words.
    let listen = &config.listen;
    assert!(listen.resp.is_none() && listen.http.is_none() && listen.admin.is_none());
    assert!(config.listen.password.is_none() && config.listen.token.is_none());
    assert_eq!(config.listen.workers, None);
    assert_eq!(source.loads_max, source.connections);
    assert_eq!(source.breaker, Some(BreakerBounds::default()));
    assert_eq!((common.bytes, plain.bytes), (128 << 20, 128 << 20));
    assert_eq!((plain.candidates, cache.memory), (Candidates::All, None));
    assert_eq!((cache.source, cache.format), (0, Format::Json));
    assert_eq!((cache.gather, cache.tags.len()), (None, 0));
    assert_eq!((common.idle_for, plain.idle_for), (None, None));
    assert!(cache.sharing.in_tier && shared.certificates.is_none());
    assert!(matches!(shared.bus, Beside::Streams));
    assert_eq!(cache.window.fresh_for, cache.window.max_staleness);
    assert_eq!(cache.window.missing_for, cache.window.max_staleness);
    assert_eq!(cache.window.jitter, cache.window.fresh_for / 10);
    let long = &parse(&windows("fresh_for = \"1h\"\nstale_for = \"1h\"")).unwrap().caches[0];
    assert_eq!(long.window.max_staleness, Duration::from_secs(7_200));
    assert_eq!(long.window.missing_for, Duration::from_secs(30));
    assert_eq!(long.window.jitter, Duration::from_secs(60));
}

#[test]
fn every_option_of_the_table_is_read() {
    for (section, about) in options::all() {
        let header = section.header().replace("NAME", "x");
        let must = format!(
            "larder.toml:2:{}: `{2}` must be {1}",
            about.name.len() + 4,
            about.value(),
            about.name
        );
        check(&format!("{header}\n{} = []", about.name), &must);
    }
}

#[test]
fn every_name_from_elsewhere_leads_to_the_option() {
    for (section, about) in options::all() {
        let header = section.header().replace("NAME", "x");
        for name in about.elsewhere {
            let part = format!("larder calls it `{}`", about.name);
            check(&format!("{header}\n{name} = 1"), &part);
        }
    }
}

#[test]
fn what_is_planned_is_refused_as_such() {
    for later in LATER {
        let text = match later.section {
            None => format!("[{}]", later.name),
            Some(name) => {
                let section = options::SECTIONS.into_iter().find(|known| known.name == name);
                format!("{}\n{} = 1", section.unwrap().header().replace("NAME", "x"), later.name)
            }
        };
        check(&text, "is not in this version yet");
        check(&text, later.instead);
    }
    check("replicas = 1", "it is not in this version yet");
}

#[test]
fn an_unknown_name_is_an_error_with_the_nearest_one() {
    check(
        &cache_with("fresh_fro = \"1s\""),
        "larder.toml:8:1: `fresh_fro` is no option of [cache.user]\n  8 | fresh_fro = ***\n    \
         | ^^^^^^^^^\n  = did you mean `fresh_for`? What larder doesn't know is an error, because",
    );
    check(&cache_with("zzzzzzzz = 1"), "[cache.user] knows key, load, source, rows, column,");
    check(&cache_with("connections = 1"), "`connections` belongs to [source.NAME]");
    check("[memroy]", "did you mean [memory]?");
    check("max_staleness = \"1s\"", "`max_staleness` belongs to [cache.NAME]");
    check(
        "[zzzzzzzz]",
        "the sections are [listen], [memory], [plain], [shared], [source.NAME], [source.NAME.debezium], [cache.NAME], [[cache.NAME.invalidate]], [cache.NAME.bloom], [cache.NAME.warm], [journal], [edge.NAME], [edge.NAME.tls], [[edge.NAME.rules]], [edge.NAME.webhook], [trace]",
    );
    check("\"\\u001b[31m\" = 1", "`\\u{1b}[31m` is no section");
    check("[cache.\"\\u001b[31m\"]", "[cache.\\u{1b}[31m] has no `key`");
    check(&format!("{} = 1", "x".repeat(65)), &format!("`{}…` is no section", "x".repeat(64)));
}

#[test]
fn a_section_has_its_shape() {
    check("listen = 1", "larder.toml:1:1: `listen` is a section, not a value");
    check("cache = 1", "write [cache.NAME] on a line of its own, once for each name");
    check("[[memory]]", "`memory` is a section, not a value");
    check("[cache]\nkey = \"k\"", "larder.toml:2:1: [cache] holds named sections, not options");
    for name in ["User", "1user", "\"user:x\"", "\"\"", "_x", &"x".repeat(65)] {
        check(&format!("[cache.{name}]"), "this can't be the name of a cache");
    }
    assert!(parse(&SMALL.replace("cache.user", &format!("cache.{}", "x".repeat(64)))).is_ok());
    assert!(parse(&SMALL.replace("cache.user", "cache.user-2_b")).is_ok());
    check("a = ", "larder.toml:1:5: this is not TOML");
    check(
        "[memory]\nlimit = \"1MiB\"\nlimit = \"2MiB\"",
        "larder.toml:3:1: this is not TOML: duplicate key",
    );
}

#[test]
fn all_problems_are_reported_at_once_and_in_order() {
    let problems = parse(
        "[listen]\nresp = \"0.0.0.0:1\"\nworkers = 0\n[memory]\nlimit = 5\n[cache.a]\nkey = \"a:{x}\"\n\
         [cache.b]\nkey = \"b\"\nfresh_for = \"x\"\n",
    )
    .unwrap_err();
    let lines: Vec<usize> = problems.errors.iter().map(|problem| problem.places[0].line).collect();
    assert_eq!(lines, [2, 2, 3, 5, 6, 6, 6, 7, 8, 8, 10], "{problems}");
    assert!(problems.to_string().ends_with("11 errors"));
}

#[test]
fn values_have_their_kind() {
    check(&cache_with("fresh_for = 2"), "`fresh_for` must be a duration");
    check(&cache_with("fresh_for = 2"), "put it in quotes, with its unit: \"2s\"");
    check(&cache_with("fresh_for = \"2\""), "larder.toml:8:13: `fresh_for` is no duration");
    check("[memory]\nlimit = 268435456", "with its unit: \"256MiB\"");
    check("[memory]\nlimit = \"256MB\"", "some read as a power of ten");
    check("[memory]\nlimit = \"1023KiB\"", "`limit` must be at least 1MiB");
    check(&source_with("connections = \"8\""), "write it without quotes");
    check(&source_with("connections = 0"), "a whole number from 1 to 1000");
    check(&source_with("connections = 99999999999999999999999"), "a whole number from 1 to");
    check(&source_with("connections = 8.0"), "`connections` must be a whole number");
    check("[plain]\nenabled = \"true\"", "write true or false without quotes");
    check("[trace]\nfile = \"k\"\nsample = 0", "`sample` must be a number above 0, up to 1");
    check("[trace]\nfile = \"k\"\nsample = 1.5", "write a part: 0.01 is a hundredth");
    check("[trace]\nfile = \"k\"\nsample = nan", "`sample` must be a number above 0");
    check("[trace]\nfile = \"k\"\nsample = \"0.1\"", "write it without quotes");
    check("[trace]\nfile = \" \"", "`file` is empty");
    check("[trace]", "[trace] has no `file`");
    check(&cache_with("rows = \"all\""), "`rows` must be \"one\" or \"many\"");
    check(&cache_with("column = \"json\""), "`column` must be \"raw\"");
    check(&cache_with("deadline = \"0s\""), "`deadline` must be from 1ms to 24h");
    check(&source_with("load_timeout = \"25h\""), "`load_timeout` must be from 1ms to 24h");
    let sixteen = parse(&source_with("connections = 0x10")).unwrap();
    assert_eq!(sixteen.sources[0].connections, 16);
    let raw = parse(&cache_with("column = \"raw\"")).unwrap();
    assert_eq!((raw.caches[0].rows, raw.caches[0].format), (Rows::One, Format::Raw));
}

#[test]
fn the_environment_fills_in_text_and_numbers() {
    let config = parse(&source_with("connections = \"${EIGHT}\"\nload_timeout = \"${EIGHT}s\""));
    let source = &config.unwrap().sources[0];
    assert_eq!((source.connections, source.load_timeout), (8, Duration::from_secs(8)));
    let config = parse("[plain]\nenabled = \"${YES}\"").unwrap();
    assert!(config.plain.is_some());
    check("[plain]\nenabled = \"${EIGHT}\"", "`enabled` must be true or false");
    check(
        &source_with("load_timeout = \"${NOT_SET}\""),
        "larder.toml:4:17: not set in the environment: NOT_SET\n  4 | load_timeout = \
         \"${NOT_SET}\"\n    |                 ^^^^^^^^^^",
    );
    check(&source_with("load_timeout = \"${A}${B}\""), "not set in the environment: A, B");
    check(&source_with("load_timeout = \"${A\""), "for a literal `${` write `$${`");
    check(&source_with("load_timeout = \"${CANARY}\""), "the value is what the environment gave");
}

#[test]
fn a_listener_is_not_open_to_strangers() {
    let listen = |lines: &str| format!("{SMALL}[listen]\n{lines}");
    for text in [
        "resp = \"127.0.0.1:1\"\nadmin = \"localhost:2\"",
        "resp = \"[::1]:0\"\nadmin = \"[::1]:0\"",
        "resp = \"0.0.0.0:1\"\npassword = \"p\"\nplaintext = true",
        "admin = \"10.0.0.1:1\"\ntoken = \"t\"\nplaintext = true",
        "http = \"127.0.0.1:1\"",
        "http = \"127.0.0.1:1\"\ntoken = \"t\"\nhttp_reads = \"token\"",
        "http = \"10.0.0.1:1\"\ntoken = \"t\"\nplaintext = true\nhosts = [\"cache.internal\"]",
    ] {
        let config = parse(&listen(text)).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(config.listen.require_one().is_ok() && config.warnings.is_empty());
    }
    for (text, part) in [
        ("resp = \"0.0.0.0:1\"\nplaintext = true", "reach `resp`, and it has no `password`"),
        ("resp = \"0.0.0.0:1\"\npassword = \"p\"", "reach `resp`, and it would have no TLS"),
        ("resp = \"0.0.0.0:1\"\ntoken = \"t\"\nplaintext = true", "it has no `password`"),
        ("admin = \"0.0.0.0:1\"\nplaintext = true", "reach `admin`, and it has no `token`"),
        ("admin = \"db.example:1\"\ntoken = \"t\"", "reach `admin`, and it would have no TLS"),
        ("resp = \"h:1\"\nworkers = 0", "reach `resp`, and it has no `password`"),
        ("resp = \"127.0.0.1:1\"\npassword = \"\"", "`password` is empty"),
        ("resp = \"127.0.0.1:1\"\npassword = \"${EMPTY}\"", "`password` is empty"),
        ("resp = \"127.0.0.1:1\"\npassword = \"${LINE}\"", "a variable filled from a file"),
        ("admin = \"127.0.0.1:1\"\ntoken = \"a b\"", "a bearer token can't have"),
        ("resp = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:1\"", "`resp` and `admin` have one address"),
        ("resp = \":1\"", "`resp` is no address"),
        ("http = \"0.0.0.0:1\"\nplaintext = true", "reach `http`, and it has no `token`"),
        ("http = \"0.0.0.0:1\"\ntoken = \"t\"", "reach `http`, and it would have no TLS"),
        ("http = \"[::1]:1\"\nadmin = \"[::1]:1\"", "`http` and `admin` have one address"),
        ("resp = \"[::1]:1\"\nhttp = \"[::1]:1\"", "`resp` and `http` have one address"),
        ("http = \"[::1]:1\"\nhttp_reads = \"token\"", "asks for a token, and there is none"),
        ("http = \"[::1]:1\"\nhttp_reads = \"all\"", "must be `anyone` or `token`"),
        ("http = \"[::1]:1\"\nhosts = [\"http://a\"]", "`hosts` holds what is no host"),
    ] {
        check(&listen(text), part);
    }
    check_warning(
        &listen("resp = \"[::1]:1\"\ntoken = \"t\""),
        "neither `http` nor `admin` is opened",
    );
    check_warning(&listen("http = \"[::1]:1\"\npassword = \"p\""), "because `resp` isn't opened");
    check_warning(&listen("resp = \"[::1]:1\"\ntoken = \"t\""), "`token` protects nothing");
    let none = parse(SMALL).unwrap().listen.require_one().unwrap_err();
    assert_eq!(none.kind(), larder_core::ErrorKind::Config);
    assert!(none.to_string().contains("resp = \"127.0.0.1:7379\""));
}

/// How much each part of memory has, in MiB: the pool, the cache, the plain keys.
#[track_caller]
fn parts(text: &str) -> [Option<u64>; 3] {
    let config = parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let own = config.caches.first().and_then(|cache| cache.memory);
    [config.common, own, config.plain].map(|part| part.map(|part| part.bytes >> 20))
}

#[test]
fn memory_is_divided() {
    let plain = |lines: &str| format!("[memory]\nlimit = \"100MiB\"\n[plain]\n{lines}\n");
    let with = |lines: &str, cache: &str| format!("{}{SMALL}{cache}\n", plain(lines));
    let own = "memory = \"40MiB\"";
    // Who shares the pool shares it with the plain keys.
    assert_eq!(parts(&with("", "")), [Some(50), None, Some(50)]);
    assert_eq!(parts(&with("memory = \"30MiB\"", "")), [Some(70), None, Some(30)]);
    assert_eq!(parts(&with("enabled = false", "")), [Some(100), None, None]);
    // Who shares nothing leaves the rest to them.
    assert_eq!(parts(&plain("")), [None, None, Some(100)]);
    assert_eq!(parts(&with("", own)), [None, Some(40), Some(60)]);
    assert_eq!(parts(&with("memory = \"60MiB\"", own)), [None, Some(40), Some(60)]);
    // One has its own, another shares half of what is left.
    let another = "[cache.b]\nkey = \"b:{x:int}\"\nload = \"SELECT {x}\"\nfresh_for = \"1s\"";
    let both = with("", &format!("{own}\n{another}"));
    assert_eq!(parts(&both), [Some(30), Some(40), Some(30)]);
    // A part may be small.
    assert_eq!(
        parts(&SMALL.replace("2s\"", "2s\"\nmemory = \"64KiB\"")),
        [None, Some(0), Some(255)]
    );
}

#[test]
fn what_is_evicted_is_said_once_for_all_or_for_each() {
    let config = |more: &str| parse(more).unwrap_or_else(|problems| panic!("{problems}"));
    let eviction = |part: Option<MemoryConfig>| part.map(|part| (part.policy, part.candidates));
    let own = "memory = \"1MiB\"\n";
    let whole = "[memory]\npolicy = \"sieve\"\ncandidates = \"expiring\"\n";
    let (all, expiring) = (Candidates::All, Candidates::Expiring);

    let shared = config(&format!("{SMALL}{whole}"));
    assert_eq!(eviction(shared.common), Some((PolicyKind::Sieve, expiring)));
    assert_eq!(eviction(shared.plain), Some((PolicyKind::Lru, expiring)));
    let inherited = config(&format!("{SMALL}{own}{whole}"));
    assert_eq!(eviction(inherited.caches[0].memory), Some((PolicyKind::Sieve, expiring)));
    let apart = config(&format!(
        "{SMALL}{own}policy = \"cost\"\ncandidates = \"all\"\n{whole}
         [plain]\npolicy = \"random\"\ncandidates = \"all\""
    ));
    assert_eq!(eviction(apart.caches[0].memory), Some((PolicyKind::CostAware, all)));
    assert_eq!(eviction(apart.plain), Some((PolicyKind::Random, all)));

    for kind in PolicyKind::ALL {
        let named = config(&format!("{SMALL}[memory]\npolicy = \"{kind}\""));
        assert_eq!(named.common.unwrap().policy, kind);
    }
}

#[test]
fn memory_that_is_not_there_cant_be_given() {
    let with = |cache: &str, sections: &str| {
        format!("{SMALL}{cache}\n[memory]\nlimit = \"64MiB\"\n{sections}\n")
    };
    let another = "[cache.b]\nkey = \"b:{x:int}\"\nload = \"SELECT {x}\"\nfresh_for = \"1s\"";
    let too_much = with("memory = \"65MiB\"", "[plain]\nenabled = false");
    check(
        &too_much,
        "larder.toml:8:10: 65MiB are given as somebody's own, and `limit` is 64MiB\n  8 | memory",
    );
    check(&too_much, "| limit = \"64MiB\"");
    check(&too_much, "= set `limit` to \"65MiB\" or more, or give less\n");
    check(&with("memory = \"64MiB\"", ""), "nothing is left for the plain keys");
    check(&with("memory = \"64MiB\"", ""), "set `limit` to \"65MiB\" or more, or give less; who");
    check(&with("memory = \"64MiB\"", ""), "says `enabled = false` in [plain]");
    check(
        &with("", "[plain]\nmemory = \"64MiB\""),
        "larder.toml:12:10: 64MiB are given as somebody's own, and `limit` is 64MiB: nothing is \
         left for the caches without memory of their own\n",
    );
    check(
        &with("memory = \"64MiB\"", another),
        "left for the caches without memory of their own, and for the plain keys",
    );
    check(
        &with("memory = \"32MiB\"", &format!("[plain]\nmemory = \"32MiB\"\n{another}")),
        "left for the caches without memory of their own\n",
    );
    check(&with("memory = \"99999TiB\"", "[plain]\nmemory = \"999TiB\""), "set `limit` to");
    check(&SMALL.replace("2s\"", "2s\"\nmemory = \"300MiB\""), "and `limit` is 256MiB");
    check(&cache_with("memory = \"63KiB\""), "`memory` must be at least 64KiB");
    check("[plain]\nmemory = \"63KiB\"", "`memory` must be at least 64KiB");

    check_warning(
        &with("memory = \"16MiB\"", "[plain]\nmemory = \"16MiB\""),
        "larder.toml:10:1: 32MiB of `limit` can't be used",
    );
    check_warning(&with("memory = \"16MiB\"", "[plain]\nenabled = false"), "set it to \"16MiB\"");
    check_warning("[plain]\nmemory = \"16MiB\"", "240MiB of `limit` can't be used");
}

#[test]
fn an_eviction_of_its_own_needs_memory_of_its_own() {
    for (line, name) in [("policy = \"lru\"", "policy"), ("candidates = \"all\"", "candidates")] {
        let lone = cache_with(line);
        let what = format!(
            "larder.toml:8:1: [cache.user] has a `{name}` of its own, and no `memory` of its own"
        );
        check(&lone, &what);
        check(
            &lone,
            &format!("add for instance `memory = \"16MiB\"`, or set `{name}` in [memory]"),
        );
        assert!(parse(&format!("{lone}memory = \"16MiB\"")).is_ok());
    }
    check(&cache_with("policy = \"lru\"\ncandidates = \"all\""), "2 errors");
    check(&cache_with("memory = \"16MiB\"\npolicy = \"lur\""), "`policy` is no policy");
    check(&cache_with("policy = \"LRU\""), "write one of lru, lfu, fifo, random, sieve, s3fifo,");
    check("[plain]\npolicy = \"allkeys-lfu\"", "`policy` is in Redis's words\n");
    check("[plain]\npolicy = \"allkeys-lfu\"", "= write \"lfu\"");
    check(
        "[memory]\nmaxmemory_policy = \"volatile-lru\"\npolicy = \"volatile-lru\"",
        "write `policy = \"lru\"` and `candidates = \"expiring\"`",
    );
    check("[memory]\ncandidates = \"volatile\"", "`candidates` must be \"all\" or \"expiring\"");
    for line in ["memory = \"1MiB\"", "policy = \"lru\"", "candidates = \"all\""] {
        let refused = format!("{SMALL}[plain]\nenabled = false\n{line}");
        check_warning(&refused, "never applies: plain keys are refused");
    }
    check_warning("[memory]\npolicy = \"lfu\"", "it is for caches, and there is none");
}

#[test]
fn a_source_can_be_asked() {
    let url = |url: &str| SMALL.replace("sqlite:shop.db", url);
    for good in ["postgres://h/d", "postgresql://u:p@h:1/d?sslmode=require", "sqlite:///a/b.db"] {
        assert!(parse(&url(good)).is_ok(), "{good}");
    }
    for (bad, part) in [
        ("", "`url` is empty"),
        ("shop.db", "`url` is no URL: it has no scheme"),
        ("postgres:h/d", "`//` must follow the scheme"),
        ("sqlite://", "`url` names no file"),
        ("postgres://localhost:port/shop", "has a url that Postgres does not understand"),
        ("sqlite::memory:", "name a file"),
        ("redis://h", "names no database that larder can ask"),
    ] {
        check(&url(bad), part);
    }
    for mysql in ["mysql://u:p@h:1/d", "mariadb://h/d?ssl-mode=REQUIRED"] {
        if cfg!(feature = "mysql") {
            assert!(parse(&url(mysql)).is_ok(), "{mysql}");
            check(&url("mysql:h/d"), "`//` must follow the scheme");
            check(&url("mysql://localhost:port/shop"), "has a url that MySQL does not understand");
        } else {
            check(&url(mysql), "build larder with the feature `mysql`");
        }
    }
    check("[source.a]", "larder.toml:1:9: [source.a] has no `url`");
    check(
        &source_with("changes = \"never\""),
        "`changes` must be \"unknown\", \"announced\" or \"static\"",
    );
    check_warning(&source_with("loads_max = 17"), "`loads_max` is larger than `connections`");
    check_warning(
        &format!("{SMALL}[source.b]\nurl = \"sqlite:b\"\n")
            .replace("max_staleness", "source = \"shop\"\nmax_staleness"),
        "no cache loads from [source.b]",
    );
    check_warning("[plain]\nenabled = false", "nothing can be read");
}

#[test]
fn a_breaker_is_what_its_numbers_say() {
    let breaker = |line: &str| {
        let config = parse(&source_with(line)).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(config.warnings.is_empty());
        let guard = config.sources[0].guard();
        assert_eq!((guard.loads_max, guard.loads_waiting_max), (16, 1024));
        guard.breaker
    };
    let given = "breaker_errors = 1\nbreaker_share = 0.25\nbreaker_window = \"20ms\"\n\
                 breaker_probe_after = \"2s\"\nbreaker_probe_after_max = \"2s\"";
    let two = Duration::from_secs(2);
    let bounds = BreakerBounds {
        errors_min: 1,
        error_share: 0.25,
        window: Duration::from_millis(20),
        probe_after: two,
        probe_after_max: two,
        ..BreakerBounds::default()
    };
    assert_eq!(breaker(given), Some(bounds));
    assert_eq!(breaker(&format!("breaker = true\n{given}")), Some(bounds));
    assert_eq!(breaker("breaker = false"), None);
    // The longest rest is never shorter than the first, if nothing is said.
    let minute = Duration::from_secs(60);
    let longest = breaker("breaker_probe_after = \"1m\"").unwrap().probe_after_max;
    assert_eq!(longest, minute);

    check(&source_with("breaker = \"on\""), "`breaker` must be true or false");
    check(&source_with("breaker_errors = 0"), "`breaker_errors` must be a whole number from 1");
    check(&source_with("breaker_share = 0"), "`breaker_share` must be a number above 0, up to 1");
    check(&source_with("breaker_share = 1.1"), "`breaker_share` must be a number above 0, up to 1");
    check(&source_with("breaker_window = \"9ms\""), "`breaker_window`: window must be at least 10");
    check(&source_with("breaker_probe_after = \"0s\""), "`breaker_probe_after` must be from 1ms");
    let short = "breaker_probe_after_max = \"4s\"";
    check(&source_with(short), "`breaker_probe_after_max` is shorter than `breaker_probe_after`");
    check(&source_with(short), "set it to \"5s\" or more, or leave it out");
    check_warning(
        &source_with("breaker = false\nbreaker_errors = 7"),
        "`breaker_errors` never applies: `breaker = false`",
    );
}

#[test]
fn a_source_says_who_changes_its_data() {
    for (line, changes) in [
        ("", Changes::Unknown),
        ("changes = \"unknown\"", Changes::Unknown),
        ("changes = \"announced\"", Changes::Announced),
        ("changes = \"static\"", Changes::Static),
    ] {
        assert_eq!(parse(&source_with(line)).unwrap().sources[0].changes, changes, "{line}");
    }
}

#[test]
fn a_cache_knows_its_source() {
    let two = format!("{SMALL}[source.spare]\nurl = \"sqlite:spare.db\"\n");
    check(&two, "[cache.user] doesn't say which source it loads from");
    check(&two, "set `source` to one of: shop, spare");
    check(&cache_with("source = \"shpo\""), "did you mean \"shop\"?");
    check(&cache_with("source = \"zzzzzz\""), "the sources are: shop");
    check("[cache.a]", "[cache.a] has nothing to load from: there is no source");
    check("[cache.a]\nsource = \"b\"", "declare it: [source.NAME]");
    let spare = two.replace("max_staleness", "source = \"spare\"\nmax_staleness");
    let config = parse(&spare).unwrap();
    assert_eq!(config.source_of(&config.caches[0]).name, "spare");
}

#[test]
fn what_cant_be_promised_is_refused_where_it_stands() {
    check(&windows(""), "larder.toml:4:8: [cache.user] promises nothing: name the window");
    check(
        &cache_with("fresh_for = \"1h\""),
        "larder.toml:8:1: fresh_for is longer than max_staleness: without a stream of changes \
         nothing but age bounds the staleness",
    );
    check(&cache_with("fresh_for = \"1h\""), "`fresh_for = \"2s\"`, or `max_staleness = \"1h\"`");
    check(&cache_with("jitter = \"3s\""), "larder.toml:8:1: jitter is longer than fresh_for");
    check(&cache_with("jitter = \"3s\""), "set `jitter` to \"2s\" or less");
    check(&cache_with("missing_for = \"3s\""), "larder.toml:8:1: missing_for is longer");
    check(&cache_with("jitter = \"3s\"\nmissing_for = \"3s\""), "2 errors");
    check_warning(&windows("max_staleness = \"0s\""), "every read asks the source");
    check_warning(&cache_with("stale_for = \"1s\""), "`stale_for` never applies");
    check_warning(
        &cache_with("fresh_for = \"1s\"\nstale_for = \"5s\""),
        "`max_staleness` ends `stale_for` after 1s",
    );
}

#[test]
fn what_goes_beyond_the_promise_is_bounded_too() {
    check(
        &windows("max_staleness = \"0s\"\nstale_on_error = \"1h\""),
        "larder.toml:8:1: stale_on_error needs something that is held",
    );
    let wait = |lines: &str| cache_with(&format!("wait = \"2s\"\n{lines}"));
    check_warning(&wait(""), "larder.toml:8:1: `wait` never applies: without `stale_on_error`");
    check_warning(
        &wait("stale_on_error = \"1h\"\ndeadline = \"2s\""),
        "larder.toml:8:1: `wait` never applies: `deadline` comes first",
    );
    assert!(parse(&wait("stale_on_error = \"1h\"")).unwrap().warnings.is_empty());
    // A default never warns.
    assert!(parse(&cache_with("deadline = \"50ms\"")).unwrap().warnings.is_empty());
    let at_once = parse(&cache_with("wait = \"0s\"\nstale_on_error = \"1h\"")).unwrap();
    assert!(at_once.warnings.is_empty() && at_once.caches[0].wait.is_zero());
}

#[test]
fn a_refresh_begins_within_the_window() {
    for refresh_at in ["0", "1.1", "-1", "nan"] {
        let text = cache_with(&format!("refresh_at = {refresh_at}"));
        check(&text, "larder.toml:8:14: `refresh_at` must be a number above 0, up to 1");
    }
    check(&cache_with("xfetch = -1"), "`xfetch` must be a number from 0 to 100");
    check(&cache_with("xfetch = 101"), "1 is right for most, 0 is off");
    let early = parse(&cache_with("refresh_at = 0.5\nxfetch = 2")).unwrap().caches[0].window.early;
    assert_eq!((early.refresh_at(), early.xfetch()), (0.5, 2.0));
}

#[test]
fn gathering_is_shorter_than_a_read_may_take() {
    for gather in ["0s", "99us", "2s"] {
        check(
            &cache_with(&format!("gather = \"{gather}\"")),
            "larder.toml:8:10: `gather` must be from 100us to 1s",
        );
    }
    check(
        &cache_with("deadline = \"5ms\"\ngather = \"5ms\""),
        "larder.toml:9:1: `gather` is as long as `deadline`",
    );
    let all = cache_with("gather = \"1ms\"")
        .replace("user:{id:int}", "users")
        .replace("WHERE id = {id}", "");
    check_warning(&all, "larder.toml:8:1: `gather` never applies: `load` binds nothing");
}

#[test]
fn what_is_in_use_is_loaded_again_where_that_is_known() {
    check(&cache_with("reload = \"all\""), "`reload` must be \"never\" or \"hot\"");
    let hot = parse(&cache_with("reload = \"hot\"")).unwrap();
    assert_eq!(hot.caches[0].reload, Reload::Hot);
    assert!(hot.report().contains("what is in use is loaded again"), "{}", hot.report());
    for fifo in ["memory = \"8MiB\"\npolicy = \"fifo\"", "[memory]\npolicy = \"fifo\""] {
        check(
            &cache_with(&format!("reload = \"hot\"\n{fifo}")),
            "which entries are in use isn't known with `policy = \"fifo\"`",
        );
    }
}

#[test]
fn what_nobody_reads_is_forgotten_only_in_memory_of_its_own() {
    check(
        &cache_with("idle_for = \"1s\""),
        "larder.toml:8:1: [cache.user] has an `idle_for` of its own, and no `memory` of its own",
    );
    check(&cache_with("idle_for = \"1s\""), "add for instance `memory = \"16MiB\"`, or leave it");
    check(&cache_with("memory = \"16MiB\"\nidle_for = \"0s\""), "must be from 1ms to 24h");
    check_warning(
        &cache_with("memory = \"16MiB\"\nidle_for = \"2s\""),
        "larder.toml:9:1: `idle_for` never applies: no entry lasts longer than 2s",
    );
    let lasting = cache_with("memory = \"16MiB\"\nidle_for = \"2s\"\nstale_on_error = \"1s\"");
    let config = parse(&lasting).unwrap();
    assert!(config.warnings.is_empty());
    assert_eq!(config.caches[0].memory.unwrap().idle_for, Some(Duration::from_secs(2)));
}

#[test]
fn tags_are_a_list_of_templates() {
    let texts = |line: &str| -> Vec<String> {
        let config = parse(&cache_with(line)).unwrap_or_else(|problems| panic!("{problems}"));
        config.caches[0].tags.iter().map(ToString::to_string).collect()
    };
    assert_eq!(texts("tags = [\"t:{tenant_id}\", \"users\"]"), ["t:{tenant_id}", "users"]);
    assert_eq!(texts("tags = [\"t${EIGHT}\"]"), ["t8"]);
    for (tags, part) in [
        ("[]", "larder.toml:8:8: `tags` must be a list of 1 to 128, each a tag"),
        ("\"users\"", "write them in brackets, each in quotes: [\"users\"]"),
        ("[\"users\", 7]", "larder.toml:8:18: `tags` must be a list of 1 to 128, each a tag"),
        ("[[\"users\"]]", "larder.toml:8:9: `tags` must be a list"),
        ("[\"a\", \"t:{id:int}\"]", "larder.toml:8:14: `tags` is refused: the tag `t:{id:int}`"),
        ("[\"t:{id\"]", "write {{ for the brace itself"),
        ("[\"\"]", "is empty"),
        ("[\"${NOT_SET}\"]", "larder.toml:8:10: not set in the environment: NOT_SET"),
    ] {
        check(&cache_with(&format!("tags = {tags}")), part);
    }
    check(&cache_with("tags = [\"\", \"t:{\"]"), "2 errors");
    let count = |count: usize| {
        let tags: Vec<_> = (0..count).map(|at| format!("\"t{at}\"")).collect();
        cache_with(&format!("tags = [{}]", tags.join(", ")))
    };
    check_warning(
        &cache_with("tags = [\"a\", \"a\"]"),
        "larder.toml:8:14: the tag `a` stands twice",
    );
    assert!(parse(&count(16)).unwrap().warnings.is_empty());
    check_warning(&count(17), "each entry has up to 17 tags");
    assert_eq!(parse(&count(128)).unwrap().caches[0].tags.len(), 128);
    check(&count(129), "must be a list of 1 to 128");
    // A list is for what is one.
    check(&cache_with("rows = [\"many\"]"), "`rows` must be `\"one\"` or `\"many\"`");
}

#[test]
fn a_version_in_the_key_is_not_bound() {
    let versioned = SMALL.replace("user:{id:int}", "user:{id:int}:{v:version}");
    assert!(parse(&versioned).unwrap().warnings.is_empty());
    check(&versioned.replace("id = {id}", "id = {v}"), "names {v}, which is a version");
}

#[test]
fn a_value_has_a_shape() {
    check(
        &cache_with("rows = \"many\"\ncolumn = \"raw\""),
        "larder.toml:9:1: `column = \"raw\"` is the value of one row",
    );
    let many = cache_with("rows = \"many\"\nmissing_for = \"1s\"");
    check_warning(&many, "larder.toml:9:1: `missing_for` never applies");
}

#[test]
fn a_load_fits_its_key() {
    let load = |load: &str| SMALL.replace("SELECT name FROM users WHERE id = {id}", load);
    for (statement, part) in [
        ("SELECT {idd}", "larder.toml:6:8: load names {idd}, which the key does not have"),
        ("SELECT {idd}", "did you mean {id}?"),
        ("DELETE FROM users WHERE id = {id}", "begins with DELETE, but a load reads"),
        ("SELECT name FROM users WHERE id = '{id}'", "has {id} inside a string"),
        ("SELECT {id}; SELECT 1", "has two statements"),
    ] {
        check(&load(statement), part);
    }
    check_warning(&load("SELECT 1"), "larder.toml:6:8: `load` ignores {id}");
    // The load is checked though the window isn't right.
    check(&load("SELECT {idd}").replace("2s", "2"), "did you mean {id}?");
}

#[test]
fn what_the_parts_are_made_of_is_what_was_declared() {
    let config = parse(&cache_with("column = \"raw\"")).unwrap();
    let load = config.caches[0].load();
    assert_eq!(load.key.text(), "user:{id:int}");
    assert_eq!(load.sql, "SELECT name FROM users WHERE id = {id}");
    assert_eq!((load.rows, load.format), (Rows::One, Format::Raw));

    let config = parse(&source_with("connections = 3\nload_timeout = \"7s\"")).unwrap();
    let database = config.sources[0].open().unwrap();
    assert_eq!((database.name(), database.kind()), ("shop", "sqlite"));
    let options = database.options();
    assert_eq!((options.connections, options.load_timeout), (3, Duration::from_secs(7)));
    assert_eq!(options.connect_timeout, Duration::from_secs(1));
}

#[test]
fn a_key_belongs_to_one_cache() {
    let with = |key: &str| {
        let more = "load = \"SELECT name FROM users WHERE id = {id}\"\nmax_staleness = \"2s\"";
        format!("{SMALL}[cache.b]\nkey = \"{key}\"\n{more}\n")
    };
    check(
        &with("user:{id:text}"),
        "larder.toml:9:1: `user:1` would be a key of both [cache.b] and [cache.user]\n  9 | key = \
         \"user:{id:text}\"\n    | ^^^\n  5 | key = \"user:{id:int}\"\n    | ^^^\n  = begin",
    );
    check(&with("user:{id:int}"), "would be a key of both");
    check(&with("user:{id:text}").replace("2s", "x"), "would be a key of both");
    check(&with("user:{id}"), "`key` is refused: the key template `user:{id}` has a parameter");
    for apart in ["user:{id:uuid}", "user:mail:{id:text}", "order:{id:int}"] {
        assert!(parse(&with(apart)).is_ok(), "{apart}");
    }
}

#[test]
fn a_quote_is_one_short_line_without_comments() {
    let quote = |text: &str| parse(text).unwrap_err().errors[0].places[0].clone();
    let place = quote("[memory]\n\tlimit =\t5 # five\r\n");
    assert_eq!((place.line, place.column, &place.quote[..]), (2, 10, " limit = 5"));
    assert_eq!((place.caret_at, place.carets), (9, 1));

    let place = quote(&cache_with(&format!("rows = \"{}\"", "ä".repeat(500))));
    assert_eq!((place.line, place.column, place.caret_at), (8, 8, 7));
    assert_eq!(place.quote.chars().count(), 121);
    assert!(place.quote.ends_with("ä…") && place.carets == 113);

    let place = quote(&cache_with(&format!("{}column = 1", " ".repeat(500))));
    assert_eq!(
        (place.column, &place.quote[..]),
        (510, &*format!("…{}column = 1", " ".repeat(110)))
    );
    assert_eq!((place.caret_at, place.carets), (120, 1));

    let place = quote(&cache_with("rows = '''#\n # '''"));
    assert_eq!((&place.quote[..], place.carets), ("rows = '''#", 4));
}

#[test]
fn no_more_problems_are_kept_than_the_limit() {
    let unknown = |count: usize| (0..count).map(|n| format!("x{n} = 1\n")).collect::<String>();
    let at = parse(&unknown(Problems::KEPT_MAX)).unwrap_err();
    assert_eq!((at.errors.len(), at.errors_left_out), (Problems::KEPT_MAX, 0));
    assert!(at.to_string().ends_with("\n100 errors"));
    let beyond = parse(&unknown(Problems::KEPT_MAX + 1)).unwrap_err();
    assert_eq!((beyond.errors.len(), beyond.errors_left_out), (Problems::KEPT_MAX, 1));
    assert!(beyond.to_string().ends_with("\n101 errors, 100 of them shown"));
    check(&"]".repeat(100_000), "this is not TOML");
}

#[test]
fn secrets_are_never_seen() {
    let mut texts = vec![EXAMPLE.to_owned(), SMALL.to_owned()];
    for line in [
        "resp = \"[::1]:1\"\npassword = \"c4n4ry\"",
        "admin = \"[::1]:1\"\ntoken = \"c4n4ry\"",
        "resp = \"[::1]:1\"\npassword = \"${CANARY}\"\nworkers = 0",
        "password = \"c4n4ry\\n\"",
        "password = '''c4n4ry\nc4n4ry'''",
        "password = [1, \"c4n4ry\"]",
        "pasword = \"c4n4ry\"",
        "paßword = \"c4n4ry\" # c4n4ry",
        "token = { x = \"c4n4ry\", url = \"c4n4ry\" }",
        "token = \"c4n4ry !\"",
        "workers = \"${CANARY}\"",
        "resp = \"${CANARY}\"",
        "resp = 1 # \"c4n4ry\"",
        "resp = \"#\" # c4n4ry",
        "\"a#b\" = 1 # c4n4ry",
    ] {
        texts.push(format!("{SMALL}[listen]\n{line}"));
    }
    for url in [
        "postgres://c4n4ry",
        "mysql://a:c4n4ry@h",
        "c4n4ry",
        "postgres:a:c4n4ry@h",
        "postgres://a:c4n4ry@h:port/d",
        "postgres://a@h/d?sslmode=c4n4ry",
        "sqlite:x?password=c4n4ry",
        "sqlite:x?mode=rw&key=c4n4ry",
        "postgres://a:${CANARY}@h/d?password=c4n4ry",
        "postgres://a:b@c4n4ry@h/d\\n",
    ] {
        texts.push(SMALL.replace("sqlite:shop.db", url));
    }
    texts.push("[shared]\nurl = \"redis://:c4n4ry@h\"".to_owned());
    for bus in ["nats://:c4n4ry@h", "nats://c4n4ry@h", "tls://a:c4n4ry@h", "c4n4ry"] {
        texts.push(with_bus("redis://localhost", bus));
    }
    texts.push("shared = { url = \"redis://:c4n4ry@h\" }\ncanary = \"c4n4ry\"".to_owned());
    texts.push("source = { shop = { url = \"x:c4n4ry\", ur1 = \"c4n4ry\" } }".to_owned());
    for text in texts {
        let seen = match parse(&text) {
            // A host is no secret.
            Ok(_) if text.contains("//c4n4ry") => continue,
            Ok(config) => format!("{config:?}{config:#?}{}", config.report()),
            Err(problems) => format!("{problems}{problems:?}"),
        };
        assert!(!seen.contains(CANARY), "{text}\n\n{seen}");
    }
}

/// Whatever is missing from a file, and wherever it ends: it is read or refused, and what is
/// secret in it stays so.
#[test]
fn secrets_are_never_seen_in_what_is_not_toml() {
    let text = r#"
[listen]
resp = "127.0.0.1:7379" # local
password = "c4n4ry" # c4n4ry
token = """
[c4n4ry
c4n4ry = c4n4ry
c4n4ry"""
[source.shop]
url = 'postgres://app:c4n4ry@h/d'
connections = 1
[source]
spare = { connections = 1, "url" = "postgres://app:c4n4ry@h/d", password = 'c4n4ry' }
"#;
    let mut broken = 0;
    for (at, c) in text.char_indices() {
        let without = format!("{}{}", &text[..at], &text[at + c.len_utf8()..]);
        let doubled = format!("{}{c}{}", &text[..at], &text[at..]);
        for text in [&text[..at], &without, &doubled] {
            let seen = match parse(text) {
                Ok(config) => format!("{config:?}{}", config.report()),
                Err(problems) => {
                    broken += usize::from(problems.to_string().contains("not TOML"));
                    format!("{problems}{problems:?}")
                }
            };
            assert!(!seen.contains(CANARY), "{text}\n\n{seen}");
        }
    }
    assert!(broken > 100, "{broken}");
}

#[test]
fn the_line_of_what_is_not_toml_is_shown_when_it_is_harmless() {
    check("[cache.a]\nload = \"SELECT 1", "2 | load = \"SELECT 1\n");
    check("[listen\nresp = 1", "1 | [listen\n");
    check("[cache.a]\nload = \"SELECT token", "2 | load =***\n");
    check("[listen]\npassword = \"c4n4ry", "2 | password =***\n");
    check("[c4n4ry", "1 | ***\n");
}

/// The page in the repository is the one that the table of options makes.
#[test]
fn the_reference_page_is_up_to_date() {
    larder_test::assert_page("configuration.md", &reference(), "larder-server");
}

/// Who copies the README's configuration gets what it says.
#[test]
fn the_readmes_configuration_is_good() {
    let readme = include_str!("../../../../README.md");
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let url = |name: &str| (name == "DATABASE_URL").then(|| "sqlite:shop.db".to_owned());
    let config = Config::parse(text, "larder.toml", &url).unwrap();
    assert!(config.warnings.is_empty());
    assert_eq!(config.caches[0].window.max_staleness, Duration::from_secs(2));
}

#[test]
fn the_reference_names_everything() {
    let page = reference();
    for (section, about) in options::all() {
        let once = section.heads == Heads::One;
        assert!(page.contains(&format!("## `{}`", section.header())), "{once}");
        assert!(
            page.contains(&format!("| `{}` | {} |", about.name, about.value())),
            "{}",
            about.name
        );
    }
    for later in LATER {
        assert!(page.contains(later.instead), "{}", later.name);
    }
    for line in page.lines().filter(|line| line.starts_with('|')) {
        assert!(matches!(line.matches('|').count(), 4 | 5), "{line}");
    }
}

/// A configuration whose data `changes`, with this in the section of its filter.
fn bloomed(changes: &str, bloom: &str) -> String {
    source_with(&format!("changes = \"{changes}\"")) + &format!("\n[cache.user.bloom]\n{bloom}")
}

#[test]
fn a_cache_has_a_filter_as_its_inner_section_says() {
    let bloom = "keys = \"SELECT id FROM users\"\nfalse_positives = 0.001\nbytes_max = \"1MiB\"\n\
                 rebuild_after = \"1h\"";
    let config = parse(&bloomed("announced", bloom)).unwrap();
    let options = FilterOptions {
        false_positives: 0.001,
        bytes_max: 1 << 20,
        rebuild_after: Duration::from_secs(3600),
        ..FilterOptions::default()
    };
    let keys = "SELECT id FROM users".to_owned();
    assert_eq!(config.bloom, [BloomConfig { cache: 0, keys, options }]);
    assert!(config.report().contains("about one in 1000 of them gets through"));
    assert!(parse(SMALL).unwrap().bloom.is_empty());
}

#[test]
fn a_filter_that_can_be_none_is_an_error_with_the_cure() {
    let keys = "keys = \"SELECT id FROM users\"";
    for (text, reason) in [
        (bloomed("unknown", keys), "set `changes = \"announced\"` in the source"),
        // Another source is at fault: this one is told all the same.
        (
            "[source.a]\nurl = \"nosuch:\"\n[source.b]\nurl = \"sqlite:b.db\"\n\
             changes = \"static\"\n[cache.user]\nsource = \"b\"\nkey = \"user:{id:int}\"\n\
             load = \"SELECT name FROM users WHERE id = {id}\"\nmax_staleness = \"2s\"\n\
             [cache.user.bloom]\nkeys = \"DELETE FROM users\""
                .to_owned(),
            "the query for keys begins with",
        ),
        (bloomed("static", ""), "`keys`"),
        (bloomed("static", "keys = \"DELETE FROM users\""), "the query for keys begins with"),
        (bloomed("static", &format!("{keys}\nfalse_positives = 0.9")), "at most 0.5"),
        (bloomed("static", &format!("{keys}\nrebuild_after = \"0s\"")), "needs time"),
        (bloomed("static", &format!("{keys}\nbytes_max = \"1B\"")), "must be at least 1KiB"),
    ] {
        let problems = parse(&text).unwrap_err().to_string();
        assert!(problems.contains(reason), "{reason}\nnot in\n{problems}");
    }
}

#[test]
fn a_cache_is_warmed_as_its_inner_section_says() {
    let text = windows(
        "max_staleness = \"1h\"
         [cache.user.warm]
         last_run = \"hot\"
         log = \"log\"
         query = \"SELECT id FROM users\"
         keys_max = 7
         loads_max = 2
         per_second = 9
         ready_waits = true",
    );
    let config = parse(&text).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let warm = WarmConfig {
        cache: 0,
        last_run: Some("hot".into()),
        log: Some("log".into()),
        query: Some("SELECT id FROM users".to_owned()),
        keys_max: 7,
        loads_max: Some(2),
        per_second: NonZeroU32::new(9),
        ready_waits: true,
    };
    assert_eq!(config.warm, [warm]);
    assert!(config.report().contains(
        "  at the start it is filled, as far as there is free room, with the last run's hottest \
         keys (hot), then the keys in log, then the keys of a query; 7 keys at most; the server \
         is ready after that\n"
    ));
    assert!(parse(SMALL).unwrap().warm.is_empty());
}

#[test]
fn a_warming_that_can_be_none_is_an_error_with_the_cure() {
    let hour = |lines: &str| windows(&format!("max_staleness = \"1h\"\n{lines}"));
    for (text, part) in [
        ("[cache.user.warm]", "[cache.user.warm] doesn't say what is loaded"),
        ("[cache.user.warm]\nquery = \"DELETE FROM users\"", "the query for keys begins with"),
        ("[cache.user.warm]\nquery = \"SELECT {id}\"", "it has nothing to bind"),
        ("[cache.user.warm]\nlast = \"x\"", "`last` is no option of [cache.user.warm]"),
        ("warm = true", "write [cache.NAME.warm] on a line of its own, once for each cache"),
        ("[warm]\nlog = \"x\"", "`warm` is no section"),
        ("[cache.other.warm]\nlog = \"x\"", "[cache.other] has no `key`"),
        (
            "[cache.user.warm]\nlast_run = \"x\"
             [cache.item]\nkey = \"item:{id:int}\"\nload = \"SELECT {id}\"\nmax_staleness = \"1h\"
             [cache.item.warm]\nlast_run = \"x\"",
            "two caches save their keys in one file",
        ),
    ] {
        check(&hour(text), part);
    }
    check_warning(&cache_with("[cache.user.warm]\nlog = \"x\""), "what is loaded is gone again");
}
