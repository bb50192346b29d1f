//! `[shared]`, and what it changes for caches and plain keys.

use std::time::Duration;

use super::{check, parse, windows};

/// A file with a Redis, whose source says who changes the data, and a cache with these options.
fn sharing(changes: &str, options: &str) -> String {
    format!(
        "[shared]\nurl = \"redis://localhost\"\n[source.shop]\nurl = \"sqlite:shop.db\"\nchanges = \
         \"{changes}\"\n[cache.user]\nkey = \"user:{{id:int}}\"\nload = \"SELECT id FROM users WHERE id = \
         {{id}}\"\n{options}\n"
    )
}

#[test]
fn where_announcements_arrive_an_answer_may_be_fresh_for_longer_than_the_promise() {
    let long = "max_staleness = \"2s\"\nfresh_for = \"1h\"";
    let config = parse(&sharing("announced", long)).unwrap();
    assert!(config.caches[0].window.vouched);
    assert!(config.report().contains("at most 2s behind what was announced"));
    let default = parse(&sharing("announced", "max_staleness = \"2s\"")).unwrap();
    assert_eq!(default.caches[0].window.fresh_for, Duration::from_secs(3600));
    for refused in [
        sharing("unknown", long),
        sharing("announced", &format!("{long}\nconsistency = \"eventual\"")),
        sharing("announced", long).replace("[shared]\nurl = \"redis://localhost\"\n", ""),
    ] {
        check(&refused, "without a stream of changes nothing but age bounds the staleness");
    }
}

#[test]
fn what_memcached_can_not_do_is_said_and_its_caches_go_by_age() {
    let memcached = |text: String| text.replace("redis://localhost", "memcached://a,b:11212");
    let config = parse(&memcached(sharing("announced", "max_staleness = \"2s\""))).unwrap();
    assert!(!config.caches[0].window.vouched && config.caches[0].sharing.in_tier);
    assert!(config.report().contains("Memcached keeps no marks"));
    let long = sharing("announced", "max_staleness = \"2s\"\nfresh_for = \"1h\"");
    check(&memcached(long), "without a stream of changes");
}

/// A file with this tier and this bus.
pub(super) fn with_bus(tier: &str, bus: &str) -> String {
    let shared = format!("\"{tier}\"\nbus = \"{bus}\"\n[source");
    let text = sharing("announced", "max_staleness = \"2s\"");
    text.replacen("\"redis://localhost\"\n[source", &shared, 1)
}

#[test]
fn the_bus_is_chosen_and_what_it_means_is_said() {
    for (bus, part) in [
        ("streams", "in the same step; a larder that missed any"),
        ("tracking", "Redis itself says of every entry that changes"),
    ] {
        let config = parse(&with_bus("redis://localhost", bus)).unwrap();
        assert!(config.report().contains(part), "{}", config.report());
        check(&with_bus("memcached://a", bus), "the shared tier is a Memcached");
    }
    check(&with_bus("redis://localhost", "pubsub"), "names no bus");
    check("[bus]\nurl = \"nats://a\"", "`bus` in `[shared]`");
}

#[cfg(feature = "nats")]
#[test]
fn a_nats_beside_memcached_lets_its_caches_outlive_their_window() {
    let config = parse(&with_bus("memcached://a", "nats://ann:c4n4ry@b,c")).unwrap();
    assert!(config.caches[0].window.vouched && config.caches[0].sharing.has_bus);
    let report = config.report();
    assert!(report.contains("bus: NATS at b,c: a stream"), "{report}");
    assert!(!report.contains("has no bus"), "{report}");
    for refused in ["nats://", "nats://c4n4ry@b", "nats://a:b%c4n4ry@c", "tls://a:c4n4ry@b:port"] {
        check(&with_bus("redis://localhost", refused), "the bus has a url");
    }
    // Certificates are the bus's where only that is spoken to over TLS.
    let file = with_bus("redis://localhost", "tls://b");
    let file = file.replacen("bus =", "certificates = \"/no/such/file\"\nbus =", 1);
    parse(&file).unwrap().shared.unwrap().open().unwrap();
    let over_tls = format!("[plain]\nenabled = false\n{}", file.replace("redis://", "rediss://"));
    let error = parse(&over_tls).unwrap().shared.unwrap().open().unwrap_err();
    assert!(error.to_string().contains("/no/such/file"), "{error}");
}

#[cfg(not(feature = "nats"))]
#[test]
fn a_nats_is_refused_by_a_build_without_it() {
    check(&with_bus("memcached://a", "nats://b"), "left out of this build");
}

#[test]
fn a_cache_may_keep_out_of_the_shared_tier() {
    let config = parse(&sharing("announced", "max_staleness = \"2s\"\nshared = false")).unwrap();
    let sharing_of = config.caches[0].sharing;
    assert!(!sharing_of.in_tier && sharing_of.has_bus);
    assert!(config.report().contains("in each larder's own memory"));
}

#[test]
fn what_needs_a_shared_tier_is_warned_of_where_there_is_none() {
    for option in ["shared = true", "schema = 2", "consistency = \"bounded\""] {
        let config = parse(&windows(&format!("max_staleness = \"1s\"\n{option}"))).unwrap();
        let warning = config.warnings[0].to_string();
        assert!(warning.contains("there is no `[shared]`"), "{warning}");
    }
}

#[test]
fn a_shared_tier_that_can_not_be_is_refused_where_it_stands() {
    let url =
        |url: &str| sharing("unknown", "fresh_for = \"1s\"").replace("redis://localhost", url);
    for wrong in ["http://localhost", "redis://localhost:port", "redis+cluster://"] {
        check(&url(wrong), "the shared tier has");
    }
}

#[test]
fn a_cluster_says_that_its_plain_keys_have_no_tags() {
    let said = |url: &str| {
        let text = sharing("announced", "max_staleness = \"2s\"");
        parse(&text.replace("redis://localhost", url)).unwrap().report()
    };
    assert!(said("redis+cluster://a,b").contains("they have no tags and no leases"));
    assert!(!said("redis://a").contains("no tags"));
}
