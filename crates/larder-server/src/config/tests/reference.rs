//! The table of options: all of it is read, and the pages say what holds.

use std::time::Duration;

use larder_engine::BreakerBounds;
use larder_memory::Candidates;
use larder_sql::Format;

use super::super::options::later::LATER;
use super::super::options::{Default, Heads};
use super::super::value::size_text;
use super::super::{Beside, Config, options, reference};
use super::bloom::bloomed;
use super::{SMALL, check, edge, feed, parse, windows, writes};

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

/// The page in the repository is the one that the table of options makes.
#[test]
fn the_reference_page_is_up_to_date() {
    larder_test::assert_page("configuration.md", &reference(), "larder-server");
}

/// Who copies the README's configuration gets what it says.
#[test]
fn the_readmes_configuration_is_good() {
    let readme = include_str!("../../../../../README.md");
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
